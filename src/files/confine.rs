//! io: What a process may do that reads a stranger's file: compute, read what it was given, write what it
//! found. Memory, time and everything else end by the kernel's hand, not by ours.

use std::io;

/// All that reading a workbook may hold at once, the program itself included. A sheet of 65,536 rows and
/// 100 full columns in the old format fits.
const MEMORY: u64 = 1 << 30;
/// Time of computing that the largest honest workbook is far from.
const CPU_SECONDS: u64 = 300;

/// Gives up, for good, whatever reading needs not. What was opened before and is not one of the
/// three standard streams is closed, so open nothing first.
///
/// Returns whether system calls are held back, too: no file, socket or process can be had any more. A
/// kernel that cannot do it leaves the limits, an empty environment and closed descriptors.
pub fn confine() -> io::Result<bool> {
    // SAFETY: system calls with plain numbers; there is one thread, and nothing else has a descriptor.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        // Should the parent be gone already, the pipe to it is, and the time is limited.
        done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        done(libc::prctl(libc::PR_SET_DUMPABLE, 0))?;
    }
    limit(libc::RLIMIT_AS, MEMORY, MEMORY)?;
    limit(libc::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 5)?;
    limit(libc::RLIMIT_FSIZE, 0, 0)?;
    limit(libc::RLIMIT_CORE, 0, 0)?;
    limit(libc::RLIMIT_NOFILE, 8, 8)?;
    Ok(seal())
}

#[cfg(target_env = "musl")]
type Resource = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Resource = libc::__rlimit_resource_t;

fn limit(what: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft as libc::rlim_t, rlim_max: hard as libc::rlim_t };
    // SAFETY: the structure lives through the call.
    done(unsafe { libc::setrlimit(what, &limit) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// As the kernel names the machine whose numbers of system calls these are.
#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;

/// Calls for memory, for the descriptors that are open, and for ending; nothing that leads outside.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const ALLOWED: [libc::c_long; 21] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Holds back every system call but [`ALLOWED`]. Returns whether the kernel took it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn seal() -> bool {
    // Where the number of a call and the machine stand in what the kernel shows to a filter.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let is = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt| libc::sock_filter { code, jt, jf: 0, k };
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

    let mut filter = vec![step(load, ARCH, 0), step(is, MACHINE, 1), step(answer, refused, 0), step(load, NUMBER, 0)];
    for (i, call) in ALLOWED.iter().enumerate() {
        // Over the calls that follow and the refusal behind them.
        filter.push(step(is, *call as u32, (ALLOWED.len() - i) as u8));
    }
    filter.extend([step(answer, refused, 0), step(answer, libc::SECCOMP_RET_ALLOW, 0)]);
    let program = libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    // SAFETY: the filter lives through the call, and the kernel copies it.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0 }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn seal() -> bool {
    false
}
