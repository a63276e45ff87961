//! How many may come in: connections are counted against the descriptors that the process
//! may have, so that strangers never take those which the database and the engine need.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;

use crate::config::Settings;
use crate::people::domain::peer_of;

/// Connections at most, whatever the system allows.
const MOST: usize = 50_000;
/// Descriptors for what is no connection and no database: files, pipes, listeners, programs.
const OURS: usize = 128;
/// Connections of one address on the internet.
const OF_ONE_ADDRESS: usize = 512;

/// Who has connections open. One for the process.
pub struct Doors {
    settings: Settings,
    /// Connections that there are places for.
    pub connections: usize,
    of_one_address: usize,
    open: Mutex<HashMap<String, usize>>,
}

impl Doors {
    /// Lets the process have as many descriptors as the system allows it, and leaves `databases`
    /// connections to the database, and more, out of what strangers may take.
    pub fn open(settings: Settings, databases: usize) -> Arc<Doors> {
        Doors::within(settings, raise_descriptors(), databases)
    }

    fn within(settings: Settings, descriptors: usize, databases: usize) -> Arc<Doors> {
        let left = descriptors.saturating_sub(OURS + databases);
        // With very few descriptors the half must do for either.
        let connections = left.max(descriptors / 2).min(MOST);
        let of_one_address = OF_ONE_ADDRESS.min(connections / 4).max(1);
        Arc::new(Doors { settings, connections, of_one_address, open: Mutex::default() })
    }

    /// For each new connection: counts it while it lasts, and ends it at once when its address has too many.
    pub fn keep(self: &Arc<Self>) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
        let doors = self.clone();
        move |io, lasts| {
            let Some(stream) = io.downcast_ref::<TcpStream>() else { return };
            let Ok(peer) = stream.peer_addr() else { return };
            match doors.enter(peer.ip()) {
                Some(inside) => drop(lasts.insert(inside)),
                None => hang_up(stream.as_raw_fd()),
            }
        }
    }

    /// `None` when the address has too many. This machine, and a proxy that speaks for others,
    /// may have as many as there are.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Inside> {
        let alone = peer.to_canonical().is_loopback() || self.settings.trusts(peer);
        let from = (!alone).then(|| peer_of(peer));
        if let Some(from) = &from {
            let mut open = self.open.lock().unwrap();
            let n = open.entry(from.clone()).or_default();
            if self.of_one_address <= *n {
                return None;
            }
            *n += 1;
        }
        Some(Inside { doors: self.clone(), from })
    }
}

/// A connection that is counted.
struct Inside {
    doors: Arc<Doors>,
    from: Option<String>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some(from) = &self.from else { return };
        let mut open = self.doors.open.lock().unwrap();
        if let Some(n) = open.get_mut(from) {
            *n -= 1;
            if *n == 0 {
                open.remove(from);
            }
        }
    }
}

/// Ends a connection in both directions; whoever reads from it next hears so and lets go of it.
fn hang_up(socket: RawFd) {
    // SAFETY: the descriptor is open, its stream is borrowed meanwhile.
    unsafe { libc::shutdown(socket, libc::SHUT_RDWR) };
}

/// Raises the number of descriptors to what may be had without asking. Returns it.
fn raise_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both read and write only the structure that they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            limit = raised;
        }
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_never_take_what_the_database_and_we_need() {
        let left = |descriptors| Doors::within(Settings::default(), descriptors, 36).connections;
        assert_eq!(left(1024), 1024 - OURS - 36);
        assert_eq!(left(1 << 20), MOST);
        assert_eq!(left(200), 100);
    }

    #[test]
    fn one_address_takes_a_quarter_and_this_machine_what_it_likes() {
        let doors = Doors::within(Settings::default(), 1024, 36);
        let enter = |peer: &str| doors.enter(peer.parse().unwrap());
        let held: Vec<_> = (0..1000).filter_map(|_| enter("203.0.113.9")).collect();
        assert_eq!(held.len(), doors.connections / 4);
        assert!(enter("203.0.113.10").is_some());
        let ours: Vec<_> = (0..1000).filter_map(|_| enter("127.0.0.1")).collect();
        assert_eq!(ours.len(), 1000);
        drop((held, ours));
        assert!(doors.open.lock().unwrap().is_empty());
        assert!(enter("203.0.113.9").is_some());
    }
}
