//! The cable between a process and its database, which can be cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub struct Cable {
    pub port: u16,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    /// Nothing passes, and nobody is told.
    mute: AtomicBool,
    /// Connections of an earlier age are mute for ever.
    age: AtomicU64,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Cable {
    /// A way to `server` that is whole.
    pub fn to(server: SocketAddr) -> Cable {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, way) = (listener.local_addr().unwrap().port(), Arc::<Way>::default());
        let ways = way.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if ways.ended.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    let way = ways.clone();
                    thread::spawn(move || join(client, server, &way));
                }
            }
        });
        Cable { port, way }
    }

    /// Nothing passes any more, and neither end is told.
    pub fn cut(&self) {
        self.way.mute.store(true, Ordering::SeqCst);
    }

    /// What waited passes now.
    pub fn mend(&self) {
        self.way.mute.store(false, Ordering::SeqCst);
    }

    /// What is open is mute for ever, and what is opened from now on reaches the server: as when
    /// another server takes over an address.
    pub fn abandon(&self) {
        self.way.age.fetch_add(1, Ordering::SeqCst);
        self.mend();
    }

    /// Every connection is closed.
    pub fn hang_up(&self) {
        for stream in self.way.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.way.ended.store(true, Ordering::SeqCst);
        self.hang_up();
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Carries bytes both ways until either end hangs up.
fn join(client: TcpStream, server: SocketAddr, way: &Arc<Way>) {
    let age = way.age.load(Ordering::SeqCst);
    if !wait(way, age) {
        return;
    }
    let Ok(server) = TcpStream::connect(server) else { return };
    let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
    way.open.lock().unwrap().extend([client.try_clone(), server.try_clone()].into_iter().flatten());
    let there = way.clone();
    let to_server = thread::spawn(move || carry(from_client, server, &there, age));
    carry(from_server, client, way, age);
    let _ = to_server.join();
}

/// Waits until something may pass; false if it never will.
fn wait(way: &Way, age: u64) -> bool {
    while way.mute.load(Ordering::SeqCst) || age != way.age.load(Ordering::SeqCst) {
        if way.ended.load(Ordering::SeqCst) {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn carry(mut from: TcpStream, mut to: TcpStream, way: &Way, age: u64) {
    let mut piece = [0; 16 << 10];
    let _ = from.set_read_timeout(Some(Duration::from_millis(500)));
    let _ = to.set_nodelay(true);
    loop {
        let n = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if way.ended.load(Ordering::SeqCst) {
                    break;
                }
                continue;
            }
            Err(_) => break,
        };
        if !wait(way, age) || to.write_all(&piece[..n]).is_err() {
            break;
        }
    }
    // The end of a connection does not get through a cut cable either.
    if wait(way, age) {
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
