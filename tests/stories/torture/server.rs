//! A PostgreSQL to be tormented: started and stopped by us, reached over TCP.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use diesel::{Connection, PgConnection};

use super::comes_true;

/// Folders of this test run; those of runs that are over are removed.
static GROUND: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir();
    for old in fs::read_dir(&dir).unwrap().flatten() {
        let name = old.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("bugle-torture-").and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)) {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let ground = dir.join(format!("bugle-torture-{}", std::process::id()));
    fs::create_dir_all(&ground).unwrap();
    ground
});

/// A new folder that the server's account owns.
pub fn folder(name: &str) -> PathBuf {
    static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let n = N.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let dir = GROUND.join(format!("{name}-{n}"));
    fs::create_dir_all(&dir).unwrap();
    give_away(&dir);
    dir
}

/// Makes the server's account the owner of `path`.
pub fn give_away(path: &Path) {
    if let Some((user, group)) = *ACCOUNT {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// As root: the account that runs PostgreSQL.
static ACCOUNT: LazyLock<Option<(u32, u32)>> = LazyLock::new(|| {
    // SAFETY: geteuid cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let find = |wanted: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("an account that may run PostgreSQL"))
});

/// The folder with initdb and postgres.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for (base, bin) in [("/usr/lib/postgresql", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr", "bin")] {
        let mut found: Vec<PathBuf> =
            fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path().join(bin)).collect();
        found.sort();
        dirs.extend(found.into_iter().rev());
    }
    dirs.into_iter().find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file()).expect("PostgreSQL")
});

/// One of PostgreSQL's programs, run by the account that may.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(PROGRAMS.join(name));
    if let Some((user, group)) = *ACCOUNT {
        command.uid(user).gid(group);
    }
    command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command
}

pub struct Server {
    pub data: PathBuf,
    pub port: u16,
    postmaster: Option<Child>,
}

impl Server {
    /// A new, empty cluster in `dir`, running.
    pub fn make(dir: &Path) -> Server {
        let data = dir.join("data");
        let made = program("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "bugle", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        Server::start_at(data)
    }

    /// A copy of a cluster that is not running, in `dir`, running.
    pub fn copy(of: &Path, dir: &Path) -> Server {
        let data = dir.join("data");
        let copied = Command::new("cp").arg("-a").arg(of).arg(&data).status().unwrap();
        assert!(copied.success());
        Server::start_at(data)
    }

    fn start_at(data: PathBuf) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Server { data, port, postmaster: None };
        server.start();
        server
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Starts it on its port and waits until it answers.
    pub fn start(&mut self) {
        let began = std::time::Instant::now();
        loop {
            self.spawn();
            let postmaster = std::cell::RefCell::new(self.postmaster.as_mut().unwrap());
            let ended = || postmaster.borrow_mut().try_wait().unwrap().is_some();
            comes_true(Duration::from_secs(60), || self_answers(self.port) || ended());
            if !ended() {
                return;
            }
            // After a kill the processes of the old server hold its memory for a moment.
            assert!(began.elapsed() < Duration::from_secs(60), "{}", self.log());
        }
    }

    fn spawn(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.data.with_file_name("postgres.log")).unwrap();
        let mut command = program("postgres");
        command.arg("-D").arg(&self.data).arg("-p").arg(self.port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=64MB",
            "max_connections=200",
            "fsync=off",
            "log_min_messages=warning",
        ] {
            command.args(["-c", setting]);
        }
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        // SAFETY: prctl is async-signal-safe. After the change of account, which would clear it.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        self.postmaster = Some(command.spawn().unwrap());
    }

    /// Waits for nobody: connections are closed, what they did is rolled back.
    pub fn stop(&mut self) {
        self.end(libc::SIGINT);
    }

    /// As `pg_ctl restart -m fast`.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// SIGKILL of the postmaster; its processes notice and go.
    pub fn kill(&mut self) {
        self.end(libc::SIGKILL);
    }

    fn end(&mut self, signal: i32) {
        if let Some(mut postmaster) = self.postmaster.take() {
            send(postmaster.id() as i32, signal);
            postmaster.wait().unwrap();
        }
    }

    /// Stops every process of it where it stands.
    pub fn freeze(&self) {
        for pid in self.pids() {
            send(pid, libc::SIGSTOP);
        }
    }

    /// The parent first: what it started meanwhile is found as well.
    pub fn thaw(&self) {
        for pid in self.pids() {
            send(pid, libc::SIGCONT);
        }
    }

    /// The postmaster and its children, the postmaster first.
    fn pids(&self) -> Vec<i32> {
        let Some(postmaster) = &self.postmaster else { return Vec::new() };
        let of = postmaster.id();
        let mut pids = vec![of as i32];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
            if parent == Some(of) {
                pids.push(pid);
            }
        }
        pids
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data.with_file_name("postgres.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.thaw();
        self.end(libc::SIGQUIT);
    }
}

pub fn url(port: u16, database: &str) -> String {
    format!("postgres://bugle@127.0.0.1:{port}/{database}")
}

fn self_answers(port: u16) -> bool {
    PgConnection::establish(&format!("{}?connect_timeout=2", url(port, "postgres"))).is_ok()
}

/// Sends a signal to a process that we started.
pub fn send(pid: i32, signal: i32) {
    // SAFETY: a signal to our own child, or a child of it, that has not been waited for.
    unsafe { libc::kill(pid, signal) };
}
