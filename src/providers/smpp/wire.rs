//! A connection on which something can be said at once, or known not to have been said.
//!
//! Behind a gate's answer nothing may be waited for. So whoever wants to say something has a [`WireTurn`] first: all that was
//! said before has left, and the connection takes more. Then [`WireTurn::say`] says it without a wait.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedMutexGuard;

use crate::providers::caller::Connected;

/// Both directions; each is polled by one task at a time.
pub struct Duplex {
    connection: Mutex<Connected>,
    /// Held by whoever says something.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The turn to say something.
pub struct WireTurn {
    wire: Arc<Duplex>,
    guard: OwnedMutexGuard<()>,
}

/// What became of what was said.
#[derive(Debug)]
pub enum WireSaid {
    /// All of it has left, or will without anybody waiting for it.
    Whole,
    /// Not an octet of it: the connection takes nothing just now, or is broken.
    Nothing(io::Error),
    /// The connection broke, and some of it may have left.
    Broken(io::Error),
}

impl Duplex {
    pub fn new(connection: Connected) -> Arc<Duplex> {
        Arc::new(Duplex { connection: Mutex::new(connection), turn: Arc::default() })
    }

    /// Waits until all that was said has left and the connection takes more.
    pub async fn turn(self: &Arc<Self>) -> io::Result<WireTurn> {
        let guard = self.turn.clone().lock_owned().await;
        std::future::poll_fn(|cx| self.poll_ready(cx)).await?;
        Ok(WireTurn { wire: self.clone(), guard })
    }

    /// Octets that came, 0 of them when the other side has hung up.
    pub async fn hear(&self, into: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(into);
            let polled = match &mut *self.connection.lock().unwrap() {
                Connected::Plain(it) => Pin::new(it).poll_read(cx, &mut buffer),
                Connected::Tls(it) => Pin::new(it).poll_read(cx, &mut buffer),
            };
            ready!(polled)?;
            Poll::Ready(Ok(buffer.filled().len()))
        })
        .await
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.connection.lock().unwrap() {
            Connected::Plain(it) => it.poll_write_ready(cx),
            Connected::Tls(it) => {
                ready!(Pin::new(&mut **it).poll_flush(cx))?;
                it.get_ref().0.poll_write_ready(cx)
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.connection.lock().unwrap() {
            // Not by its poll, which lets others go first now and then.
            Connected::Plain(it) => match it.try_write(octets) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pin::new(it).poll_write(cx, octets),
                done => Poll::Ready(done),
            },
            Connected::Tls(it) => {
                let n = ready!(Pin::new(&mut **it).poll_write(cx, octets))?;
                // What is not flushed now is before the next turn.
                if let Poll::Ready(Err(error)) = Pin::new(&mut **it).poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(n))
            }
        }
    }
}

impl WireTurn {
    /// Says it now. What the connection does not take in one go follows by itself, before anybody else's turn.
    pub fn say(self, octets: &[u8]) -> WireSaid {
        let WireTurn { wire, guard } = self;
        let mut rest = octets;
        let mut now = Context::from_waker(Waker::noop());
        let is_plain = matches!(&*wire.connection.lock().unwrap(), Connected::Plain(_));
        while !rest.is_empty() {
            let is_begun = rest.len() < octets.len();
            match wire.poll_write(&mut now, rest) {
                Poll::Ready(Ok(n)) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
                Poll::Ready(Ok(_)) => return WireSaid::Broken(io::ErrorKind::WriteZero.into()),
                // Under TLS it may have broken behind some of it.
                Poll::Ready(Err(error)) if is_begun || !is_plain => return WireSaid::Broken(error),
                Poll::Ready(Err(error)) => return WireSaid::Nothing(error),
                Poll::Pending if !is_begun => return WireSaid::Nothing(io::ErrorKind::WouldBlock.into()),
                Poll::Pending => {
                    tokio::spawn(follow(wire, guard, rest.to_vec()));
                    return WireSaid::Whole;
                }
            }
        }
        if !is_plain {
            tokio::spawn(follow(wire, guard, Vec::new()));
        }
        WireSaid::Whole
    }
}

/// The rest of what was said. Where it breaks off, whoever listens hears it.
async fn follow(wire: Arc<Duplex>, guard: OwnedMutexGuard<()>, rest: Vec<u8>) {
    let mut rest = rest.as_slice();
    while !rest.is_empty() {
        match std::future::poll_fn(|cx| wire.poll_write(cx, rest)).await {
            Ok(n) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
            _ => return,
        }
    }
    let _ = std::future::poll_fn(|cx| wire.poll_ready(cx)).await;
    drop(guard);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (Arc<Duplex>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        (Duplex::new(Connected::Plain(ours)), theirs)
    }

    #[tokio::test]
    async fn what_is_said_is_on_the_wire_when_the_call_returns() {
        let (wire, theirs) = pair().await;
        let turn = wire.turn().await.unwrap();
        assert!(matches!(turn.say(b"hello"), WireSaid::Whole));
        theirs.readable().await.unwrap();
        let mut buffer = [0; 9];
        assert_eq!(theirs.try_read(&mut buffer).unwrap(), 5);
    }

    #[tokio::test]
    async fn what_does_not_fit_follows_whole_and_before_anything_else() {
        let (wire, mut theirs) = pair().await;
        let large: Vec<u8> = (0..8_000_000_u32).map(|n| n as u8).collect();
        let turn = wire.turn().await.unwrap();
        assert!(matches!(turn.say(&large), WireSaid::Whole));
        let (again, behind) = (
            wire.clone(),
            tokio::spawn({
                let wire = wire.clone();
                async move { matches!(wire.turn().await.unwrap().say(b"end"), WireSaid::Whole) }
            }),
        );
        let mut heard = vec![0; large.len() + 3];
        theirs.read_exact(&mut heard).await.unwrap();
        assert!(heard == [large, b"end".to_vec()].concat() && behind.await.unwrap());
        drop(theirs);
        let mut buffer = [0; 9];
        assert_eq!(again.hear(&mut buffer).await.unwrap(), 0);
    }
}
