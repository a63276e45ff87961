//! The real `bugle`, serving pages and running campaigns on the real clock.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use super::server::send;

pub struct Program {
    child: Child,
    heard: Mutex<mpsc::Receiver<String>>,
    pub log: PathBuf,
    /// Where it answers, once it does.
    pub address: SocketAddr,
}

impl Program {
    /// Starts it on the database at `url`; it is not waited for. `more` are flags and variables.
    pub fn launch(url: &str, dir: &Path, more: &[&str], variables: &[(&str, &str)]) -> Program {
        static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let n = N.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let log = dir.join(format!("bugle-{n}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bugle"));
        command
            .args(["serve", "--port", "0", "--demo", "none"])
            .args(more)
            .env("DATABASE_URL", url)
            .env("BUGLE_LOG", "warn")
            // Houses are copies of one: to a mark that they shared, each would be an older state of the one before.
            .env("BUGLE_DATA_DIR", dir)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap());
        // SAFETY: prctl is async-signal-safe.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let mut child = command.spawn().unwrap();
        let (tell, heard) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("Listening on http://") {
                    let _ = tell.send(address.to_owned());
                }
            }
        });
        Program { child, heard: Mutex::new(heard), log, address: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }

    /// Waits until it listens; false when it ended or did not within `patience`.
    pub fn listens_within(&mut self, patience: Duration) -> bool {
        match self.heard.lock().unwrap().recv_timeout(patience) {
            Ok(address) => {
                self.address = address.parse().unwrap();
                true
            }
            Err(_) => false,
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// SIGKILL: no goodbye.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    pub fn freeze(&self) {
        send(self.pid(), libc::SIGSTOP);
    }

    pub fn thaw(&self) {
        send(self.pid(), libc::SIGCONT);
    }

    /// Tells it to end. Returns how it did, unless it did not within `patience`.
    pub fn leaves_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        send(self.pid(), libc::SIGTERM);
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            super::nap(20);
        }
        None
    }

    /// The last lines that it logged.
    pub fn said(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(6)..].join("\n      ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
