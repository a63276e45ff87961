//! What one machine has on the wire: sends that it claimed and that are not written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::deliveries::PATIENCE;

/// Counts what is claimed and not written down, from before the claim on, so that
/// whoever waits for the wire to fall silent misses nothing.
#[derive(Default)]
pub struct Wire {
    n: AtomicUsize,
    /// Told whenever something is written down.
    moved: Notify,
    stopping: CancellationToken,
}

/// Sends that are about to be claimed. Those that are not are taken off when it is dropped.
pub struct Expected {
    wire: Arc<Wire>,
    n: usize,
}

impl Expected {
    /// So many were claimed: they count until they are written down.
    pub fn were(mut self, n: usize) {
        self.n -= n;
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.wire.less(self.n);
    }
}

impl Wire {
    /// Counts sends that are about to be claimed. `None` when the machine is to end: then
    /// nothing more may be.
    pub fn expect(self: &Arc<Self>, n: usize) -> Option<Expected> {
        self.n.fetch_add(n, Ordering::SeqCst);
        let expected = Expected { wire: self.clone(), n };
        (!self.is_stopping()).then_some(expected)
    }

    /// Takes off sends that were written down.
    pub fn less(&self, n: usize) {
        self.n.fetch_sub(n, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// Waits until something is written down.
    pub fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    pub fn in_flight(&self) -> usize {
        self.n.load(Ordering::SeqCst)
    }

    /// Waits until everything is written down.
    pub async fn idle(&self) {
        loop {
            let moved = self.moved();
            if self.in_flight() == 0 {
                return;
            }
            let _ = timeout(Duration::from_millis(100), moved).await;
        }
    }

    /// Nothing more is claimed, and what was claimed and has not begun goes back.
    pub fn hold(&self) {
        self.stopping.cancel();
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until the machine is to end.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Claims nothing more and waits for what is on the wire.
    pub async fn shut_down(&self, what: &str) {
        self.hold();
        if timeout(PATIENCE + Duration::from_secs(5), self.idle()).await.is_err() {
            tracing::warn!(left = self.in_flight(), "{what} did not settle before shutdown; they will be unconfirmed");
        }
    }
}
