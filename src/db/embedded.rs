//! A private Postgres for machines that have no database set up.
//!
//! The server is a child of this process, reachable through a Unix socket in a
//! folder only its account may enter, and it dies with us. Root may not run
//! Postgres, so as root it runs under an account without privileges.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use diesel::{Connection, PgConnection};

/// What to say when a machine has no Postgres.
const INSTALL_HINT: &str = "No PostgreSQL server programs (initdb, postgres) were found.\n\
    Install them, for example with `apt-get install postgresql`, `dnf install postgresql-server` or `brew install postgresql`,\n\
    or set DATABASE_URL to a PostgreSQL database that Bugle may use.";

/// Whether data must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    /// For tests: quicker, and worthless after a crash of the machine.
    None,
}

/// A running private server. Dropping it stops the server, if this process started it.
pub struct Private {
    socket: PathBuf,
    /// `None`: it was running already, for another process.
    child: Option<Child>,
}

struct Child {
    pid: i32,
    stopping: Arc<AtomicBool>,
    ended: Mutex<mpsc::Receiver<ExitStatus>>,
}

impl Private {
    /// Starts the server whose data lie under `root`, which is made when missing.
    pub fn start(root: &Path, durability: Durability) -> Result<Self> {
        let programs = find_programs()?;
        let account = unprivileged_account()?;
        let (data, socket) = (root.join("postgres"), root.join("socket"));
        for dir in [root, &socket] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        }
        let root = &root.canonicalize()?;
        let (data, socket) =
            (root.join(data.file_name().unwrap_or_default()), root.join(socket.file_name().unwrap_or_default()));
        fs::set_permissions(&socket, Permissions::from_mode(0o700))?;
        if let Some((user, group)) = account {
            fs::set_permissions(root, Permissions::from_mode(0o711))?;
            chown(&socket, Some(user), Some(group))?;
            if let Some(closed) = root.ancestors().find(|dir| !is_searchable(dir)) {
                bail!(
                    "{} cannot be entered by the account that PostgreSQL runs under. Choose another folder with --data-dir, such as /var/lib/bugle.",
                    closed.display()
                );
            }
        }

        // Two first starts at once must not both make the cluster; the loser finds it running.
        let lock = File::create(root.join("lock"))?;
        // SAFETY: flock on a descriptor that we own.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error()).context("cannot lock the data folder");
        }
        // A server whose owner was killed is on its way out and holds its data until then.
        let began = Instant::now();
        while !answers(&socket) && is_alive(&data) && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if answers(&socket) {
            return Ok(Self { socket, child: None });
        }
        if data.join("PG_VERSION").exists() {
            check_version(&programs, &data)?;
        } else {
            make_cluster(&programs, account, root, &data)?;
        }

        let log = root.join("postgres.log");
        let child = spawn(&programs, account, root, &data, &socket, &log, durability)?;
        let private = Self { socket, child: Some(child) };
        private.wait_until_ready(&log)?;
        Ok(private)
    }

    /// Where `database` is, as libpq wants to be told.
    pub fn url(&self, database: &str) -> String {
        format!("host={} user=bugle dbname={database}", self.socket.display())
    }

    /// Makes `database` unless it is there.
    pub fn create_database(&self, database: &str) -> Result<()> {
        use diesel::connection::SimpleConnection;
        let mut conn = PgConnection::establish(&self.url("postgres"))?;
        match conn.batch_execute(&format!("CREATE DATABASE {database}")) {
            Err(error) if !error.to_string().contains("already exists") => Err(error.into()),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn wait_until_ready(&self, log: &Path) -> Result<()> {
        let began = Instant::now();
        while !answers(&self.socket) {
            let ended = self.child.as_ref().and_then(|child| child.ended.lock().unwrap().try_recv().ok());
            let said = || fs::read_to_string(log).unwrap_or_default();
            if let Some(status) = ended {
                bail!("PostgreSQL ended at once ({status}):\n{}", said());
            }
            if Duration::from_secs(60) < began.elapsed() {
                bail!("PostgreSQL was not ready within a minute:\n{}", said());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let Some(child) = &self.child else { return };
        child.stopping.store(true, Ordering::SeqCst);
        // Fast shutdown, then immediate, then by force.
        for (signal, patience) in [(libc::SIGINT, 20), (libc::SIGQUIT, 5), (libc::SIGKILL, 5)] {
            // SAFETY: the process is our child and has not been waited for while `ended` is silent.
            unsafe { libc::kill(child.pid, signal) };
            match child.ended.lock().unwrap().recv_timeout(Duration::from_secs(patience)) {
                Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// The folder with initdb and postgres: from PATH, or where distributions put them, newest first.
pub fn find_programs() -> Result<PathBuf> {
    let mut candidates: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output() {
        candidates.push(String::from_utf8_lossy(&answer.stdout).trim().into());
    }
    for (base, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
    ] {
        let mut versions: Vec<PathBuf> = fs::read_dir(base)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path().join("bin"))
            .collect();
        versions.sort();
        candidates.extend(versions.into_iter().rev());
    }
    candidates
        .into_iter()
        .find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
        .context(INSTALL_HINT)
}

/// As root: user and group of an account that may run Postgres. It must be in
/// /etc/passwd; initdb does not take a bare number.
pub fn unprivileged_account() -> Result<Option<(u32, u32)>> {
    // SAFETY: geteuid cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    for wanted in ["postgres", "nobody"] {
        for line in accounts.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, user, group, ..] = fields[..]
                && name == wanted
            {
                return Ok(Some((user.parse()?, group.parse()?)));
            }
        }
    }
    bail!("PostgreSQL does not run as root, and there is neither an account `postgres` nor `nobody` to run it as.")
}

/// Whether everyone may pass through the folder.
pub fn is_searchable(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
}

fn program(programs: &Path, name: &str, account: Option<(u32, u32)>, root: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command.current_dir(root).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command
}

fn check_version(programs: &Path, data: &Path) -> Result<()> {
    let have = fs::read_to_string(data.join("PG_VERSION"))?;
    let says = Command::new(programs.join("postgres")).arg("--version").output()?;
    let says = String::from_utf8_lossy(&says.stdout);
    let major = says.split_whitespace().filter_map(|word| word.split('.').next()).any(|word| word == have.trim());
    if !major {
        bail!(
            "{} was made by PostgreSQL {} and the one found here is {}. Upgrade the data with pg_upgrade, or install version {}.",
            data.display(),
            have.trim(),
            says.trim(),
            have.trim()
        );
    }
    Ok(())
}

fn make_cluster(programs: &Path, account: Option<(u32, u32)>, root: &Path, data: &Path) -> Result<()> {
    // Renamed at the end: an initdb that was killed leaves no half cluster.
    let half = root.join("postgres.new");
    match fs::remove_dir_all(&half) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Err(_) | Ok(()) => fs::create_dir(&half)?,
    }
    if let Some((user, group)) = account {
        chown(&half, Some(user), Some(group))?;
    }
    let made = program(programs, "initdb", account, root)
        .arg("-D")
        .arg(&half)
        .args(["-U", "bugle", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"])
        .output()?;
    if !made.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    }
    fs::rename(&half, data)?;
    Ok(())
}

fn spawn(
    programs: &Path,
    account: Option<(u32, u32)>,
    root: &Path,
    data: &Path,
    socket: &Path,
    log: &Path,
    durability: Durability,
) -> Result<Child> {
    let log = File::create(log)?;
    let parent = std::process::id();
    let mut command = program(programs, "postgres", account, root);
    command.arg("-D").arg(data).arg("-k").arg(socket);
    let mut settings = vec![
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "shared_buffers=128MB",
        "max_connections=200",
        "max_wal_size=2GB",
        "log_min_messages=warning",
    ];
    if durability == Durability::None {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    // A group of its own: Ctrl-C in the terminal reaches us and not the server.
    command.stdout(log.try_clone()?).stderr(log).process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are made.
    unsafe {
        command.pre_exec(move || {
            // After the change of account, which would clear it.
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            if libc::getppid() as u32 != parent {
                return Err(std::io::Error::other("the parent is gone"));
            }
            Ok(())
        });
    }
    let stopping = Arc::new(AtomicBool::new(false));
    let (tell_started, started) = mpsc::channel();
    let (tell_ended, ended) = mpsc::channel();
    let meant_to = stopping.clone();
    // The death signal comes when the *thread* that forked ends, so that thread
    // stays until the server is gone, and tells when it was not meant to go.
    std::thread::Builder::new().name("postgres".into()).spawn(move || {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = tell_started.send(Err(error));
                return;
            }
        };
        let _ = tell_started.send(Ok(child.id() as i32));
        let Ok(status) = child.wait() else { return };
        if !meant_to.load(Ordering::SeqCst) {
            tracing::error!("the private PostgreSQL ended unexpectedly ({status}); restart Bugle");
        }
        let _ = tell_ended.send(status);
    })?;
    let pid = started.recv()?.context("cannot start PostgreSQL")?;
    Ok(Child { pid, stopping, ended: Mutex::new(ended) })
}

/// Whether a server process holds these data.
fn is_alive(data: &Path) -> bool {
    let pid = fs::read_to_string(data.join("postmaster.pid")).ok();
    let pid = pid.and_then(|text| text.lines().next()?.trim().parse::<i32>().ok());
    // SAFETY: signal 0 only asks.
    pid.is_some_and(|pid| unsafe { libc::kill(pid, 0) } == 0)
}

fn answers(socket: &Path) -> bool {
    socket.join(".s.PGSQL.5432").exists()
        && PgConnection::establish(&format!("host={} user=bugle dbname=postgres connect_timeout=2", socket.display()))
            .is_ok()
}
