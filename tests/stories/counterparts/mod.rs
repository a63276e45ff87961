//! The other side as others wrote it: gateways that really run, and the libraries that providers give to their
//! customers. `tests/run providers` installs them and runs these stories; without them each says that it did not run.

mod chats;
mod kannel;
mod shapes;
mod smpp;
mod twilio;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

use crate::desk::until;

/// A process that ends with its story.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Running {
        Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the child is ours and not waited for yet.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub async fn reachable(port: u16) {
    until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
}

/// Says that a counterpart is not here, where somebody reads along. `true`: it is.
pub fn is_here(what: &str, found: bool) -> bool {
    if !found {
        println!("\nNOT RUN: {what} is not here; tests/run providers installs it");
    }
    found
}
