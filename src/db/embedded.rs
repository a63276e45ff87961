//! A private Postgres for machines that have no database set up.
//!
//! The server is a child of this process, reachable through a Unix socket in a
//! folder only its account may enter, and it dies with us. Root may not run
//! Postgres, so as root it runs under an account without privileges.
//!
//! Who may connect is the account of the server, and root, as the kernel tells; nobody has a
//! password. Bugle is the role `bugle` there, which owns its database and can do nothing else;
//! the cluster belongs to the role `postgres`, which is used at start only.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use super::reach;
use crate::privileges::{self, Account, is_searchable};

/// What we keep in the data folder. As root it is handed to the account that works with it.
const OURS: [&str; 7] = ["postgres", "postgres.new", "postgres.log", "socket", "lock", "first-password", "marks"];

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
    root: PathBuf,
    /// `None`: it was running already, for another process.
    child: Option<Child>,
}

struct Child {
    pid: i32,
    stopping: Arc<AtomicBool>,
    ended: Mutex<mpsc::Receiver<ExitStatus>>,
}

/// Sees what becomes of a private server.
#[derive(Clone)]
pub struct Watch {
    data: PathBuf,
}

impl Watch {
    /// Whether the server's programs were replaced while it runs, by an upgrade: what it has not
    /// loaded yet may no longer fit. Starting Bugle anew ends that.
    pub fn is_outdated(&self) -> bool {
        postmaster(&self.data).is_some_and(was_replaced)
    }
}

/// Makes the folder `root` when it is missing, and gives it to `account` with what we keep there.
pub fn hand_over(root: &Path, account: &Account) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("cannot make the folder {}", root.display()))?;
    let root = root.canonicalize()?;
    if let Some(closed) = root.ancestors().skip(1).find(|dir| !is_searchable(dir)) {
        bail!(
            "{} cannot be entered by the account {}, which Bugle works under as root. Choose another folder with --data-dir, such as /var/lib/bugle.",
            closed.display(),
            account.name
        );
    }
    for entry in OURS.map(|name| root.join(name)) {
        match account.give(&entry) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Err(_) | Ok(()) => {}
        }
    }
    Ok(std::os::unix::fs::chown(&root, Some(account.user), Some(account.group))?)
}

impl Private {
    /// Starts the server whose data lie under `root`, which is made when missing.
    pub fn start(root: &Path, durability: Durability) -> Result<Self> {
        let programs = find_programs()?;
        let account = privileges::account(None)?;
        match &account {
            Some(account) => hand_over(root, account)?,
            None => fs::create_dir_all(root).with_context(|| format!("cannot make the folder {}", root.display()))?,
        }
        let root = root.canonicalize()?;
        let closed = Permissions::from_mode(0o700);
        fs::set_permissions(&root, closed.clone())
            .with_context(|| format!("{} belongs to somebody else", root.display()))?;
        let (data, socket) = (root.join("postgres"), root.join("socket"));
        fs::create_dir_all(&socket)?;
        fs::set_permissions(&socket, closed)?;
        if let Some(account) = &account {
            account.give(&socket)?;
        }

        let mut server = Self { root, child: None };
        // Two first starts at once must not both make the cluster; the loser finds it running.
        let _turn = server.take_turn()?;
        // A server whose owner was killed is on its way out and holds its data until then.
        let began = Instant::now();
        while !server.answers() && is_alive(&data) && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if server.answers() {
            return Ok(server);
        }
        if data.join("PG_VERSION").exists() {
            check_version(&programs, &data)?;
        } else {
            make_cluster(&programs, account.as_ref(), &server.root, &data)?;
        }
        let name = account.as_ref().map(|account| account.name.clone()).or_else(privileges::own_name);
        write_who_may_connect(&data, &name.context("the account that Bugle runs under has no name")?)?;
        server.child = Some(spawn(&programs, account.as_ref(), &server.root, &data, &socket, durability)?);
        server.wait_until_ready()?;
        server.keep_roles()?;
        Ok(server)
    }

    /// Where `database` is for Bugle, as libpq wants to be told.
    pub fn url(&self, database: &str) -> String {
        self.url_of("bugle", database)
    }

    /// The same for the role that the cluster belongs to.
    pub fn keeper_url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    fn url_of(&self, role: &str, database: &str) -> String {
        format!("host={} user={role} dbname={database}", self.root.join("socket").display())
    }

    /// Makes `database` for Bugle unless it is there, and sees to it that Bugle owns all of it.
    pub fn create_database(&self, database: &str) -> Result<()> {
        // Of two that look at once, one would find it missing and then there.
        let _turn = self.take_turn()?;
        let conn = &mut PgConnection::establish(&self.keeper_url("postgres"))?;
        let known = format!("SELECT 1 FROM pg_database WHERE datname = '{database}'");
        if diesel::RunQueryDsl::execute(diesel::sql_query(known), conn)? == 0 {
            conn.batch_execute(&format!("CREATE DATABASE {database} OWNER bugle"))?;
        }
        let conn = &mut PgConnection::establish(&self.keeper_url(database))?;
        Ok(conn.batch_execute(include_str!("own_everything.sql"))?)
    }

    /// To ask later whether the running server is still sound.
    pub fn watch(&self) -> Watch {
        Watch { data: self.root.join("postgres") }
    }

    /// Until the file is dropped, other processes that start on these data wait.
    fn take_turn(&self) -> Result<File> {
        let path = self.root.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // SAFETY: flock on a descriptor that we own.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error()).context("cannot lock the data folder");
        }
        Ok(lock)
    }

    fn answers(&self) -> bool {
        let socket = self.root.join("socket/.s.PGSQL.5432");
        socket.exists() && reach::answers(&format!("{} connect_timeout=2", self.keeper_url("postgres")))
    }

    /// Makes the roles that the cluster should have. One of before belonged to `bugle`, which
    /// cannot be renamed by itself: somebody comes, does it, and goes.
    fn keep_roles(&self) -> Result<()> {
        let of_before = format!("{} connect_timeout=2", self.url("postgres"));
        if PgConnection::establish(&self.keeper_url("postgres")).is_err() {
            PgConnection::establish(&of_before)?
                .batch_execute("DROP ROLE IF EXISTS bugle_mover; CREATE ROLE bugle_mover SUPERUSER LOGIN")?;
            PgConnection::establish(&self.url_of("bugle_mover", "postgres"))?
                .batch_execute("BEGIN; ALTER ROLE bugle RENAME TO postgres; CREATE ROLE bugle LOGIN; COMMIT")?;
            tracing::info!("the private PostgreSQL now belongs to the role postgres; Bugle is an ordinary one there");
        }
        PgConnection::establish(&self.keeper_url("postgres"))?.batch_execute(
            "DO $$ BEGIN
                 IF to_regrole('bugle') IS NULL THEN CREATE ROLE bugle LOGIN; END IF;
             END $$;
             DROP ROLE IF EXISTS bugle_mover",
        )?;
        Ok(())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let began = Instant::now();
        while !self.answers() {
            let ended = self.child.as_ref().and_then(|child| child.ended.lock().unwrap().try_recv().ok());
            let said = || fs::read_to_string(self.root.join("postgres.log")).unwrap_or_default();
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

fn program(programs: &Path, name: &str, account: Option<&Account>, root: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    if let Some(account) = account {
        command.uid(account.user).gid(account.group);
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

fn make_cluster(programs: &Path, account: Option<&Account>, root: &Path, data: &Path) -> Result<()> {
    // Renamed at the end: an initdb that was killed leaves no half cluster.
    let half = root.join("postgres.new");
    match fs::remove_dir_all(&half) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Err(_) | Ok(()) => fs::create_dir(&half)?,
    }
    if let Some(account) = account {
        account.give(&half)?;
    }
    let made = program(programs, "initdb", account, root)
        .arg("-D")
        .arg(&half)
        .args(["-U", "postgres", "-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "-N"])
        .output()?;
    if !made.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    }
    fs::rename(&half, data)?;
    Ok(())
}

/// Lets in the account called `name`, and root, by what the kernel says of them. Written at
/// every start, so that data of before follow.
fn write_who_may_connect(data: &Path, name: &str) -> Result<()> {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let mut map = String::new();
    for (account, role) in [quoted.as_str(), "root"].iter().flat_map(|it| ROLES.map(|role| (it, role))) {
        map.push_str(&format!("bugle {account} {role}\n"));
    }
    fs::write(data.join("pg_ident.conf"), map)?;
    fs::write(data.join("pg_hba.conf"), "local all all peer map=bugle\nlocal replication all peer map=bugle\n")?;
    Ok(())
}

/// As whom one may connect.
const ROLES: [&str; 3] = ["bugle", "postgres", "bugle_mover"];

fn spawn(
    programs: &Path,
    account: Option<&Account>,
    root: &Path,
    data: &Path,
    socket: &Path,
    durability: Durability,
) -> Result<Child> {
    // Statements that failed stand in it, and with them what people are called.
    let log = root.join("postgres.log");
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&log)?;
    fs::set_permissions(&log, Permissions::from_mode(0o600))?;
    let log = opened;
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
    // Loaded once, before an upgrade can put others in their place that do not fit this server.
    let preload = format!("shared_preload_libraries={}", libraries(programs).join(","));
    settings.push(&preload);
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

/// Libraries of the server that our migrations make use of, as far as they lie where we know.
fn libraries(programs: &Path) -> Vec<&'static str> {
    // Programs in PATH may be links to where they really lie, with their libraries beside them.
    let Ok(server) = programs.join("postgres").canonicalize() else { return Vec::new() };
    let programs = server.parent().unwrap_or(programs);
    let folders = ["../lib", "../lib/postgresql", "../lib64/pgsql"].map(|folder| programs.join(folder));
    let is_there = |name: &&str| folders.iter().any(|folder| folder.join(format!("{name}.so")).is_file());
    ["plpgsql", "pg_trgm"].into_iter().filter(is_there).collect()
}

/// The process that the data say holds them.
fn postmaster(data: &Path) -> Option<i32> {
    fs::read_to_string(data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// Whether a server process holds these data.
fn is_alive(data: &Path) -> bool {
    // SAFETY: signal 0 only asks.
    postmaster(data).is_some_and(|pid| unsafe { libc::kill(pid, 0) } == 0)
}

/// Whether the program file that the process runs is no longer where it was.
fn was_replaced(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_replaced_while_it_runs_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sleep");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut running = Command::new(&program).arg("60").spawn().unwrap();
        let pid = running.id() as i32;
        let before = was_replaced(pid);
        fs::copy("/bin/sleep", dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), &program).unwrap();
        let after = was_replaced(pid);
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!((before, after), (false, true));
    }
}
