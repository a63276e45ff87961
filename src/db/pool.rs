//! Connections and the threads that wait for them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use r2d2::PooledConnection;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DbError;
use super::health::Health;
use super::session::{Complaints, Manager, Purpose, Session};
use super::ticket::{self, Ticket};

/// How long somebody waits for a connection before they are told that all are in use.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct Pool {
    connections: r2d2::Pool<Manager>,
    /// As many threads as connections, for nothing else. Only for its blocking threads:
    /// nobody drives it. `None` once it is over.
    threads: Option<Runtime>,
    pub(super) url: String,
    pub(super) purpose: Purpose,
    pub(super) size: u32,
    broken: Arc<AtomicU64>,
    /// The server that answered last.
    pub(super) server: Arc<Mutex<Option<Arc<str>>>>,
    health: Arc<Health>,
    replaced: CancellationToken,
    /// Work that nobody waits for any more and that has not come back, with the server that it was given to.
    pub(super) stuck: Mutex<Vec<Arc<Ticket>>>,
}

impl Pool {
    pub(super) fn open(url: String, purpose: Purpose, size: u32, health: Arc<Health>) -> anyhow::Result<Pool> {
        let broken = Arc::new(AtomicU64::new(0));
        let server = Arc::new(Mutex::new(None));
        let manager = Manager {
            url: url.clone(),
            purpose,
            broken: broken.clone(),
            statements: health.counter(),
            server: server.clone(),
        };
        let connections = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(PATIENCE)
            // The manager knows which are worth asking.
            .test_on_check_out(true)
            .error_handler(Box::new(Complaints(health.clone())))
            .build(manager)?;
        let threads = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(size.max(1) as usize)
            .thread_keep_alive(Duration::from_secs(60))
            .build()?;
        Ok(Pool {
            connections,
            threads: Some(threads),
            url,
            purpose,
            size,
            broken,
            server,
            health,
            replaced: CancellationToken::new(),
            stuck: Mutex::default(),
        })
    }

    /// Waits until another pool has taken this one's place.
    pub(super) async fn is_replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// Gives up all that is under way here.
    pub(super) fn replace(&self) {
        self.replaced.cancel();
    }

    pub(super) fn lend(&self) -> Result<PooledConnection<Manager>, r2d2::Error> {
        self.connections.get()
    }

    /// Begins `work` on one of the threads. `patience`: how long it may take.
    pub(super) fn spawn<T, E>(
        self: &Arc<Self>,
        ticket: Arc<Ticket>,
        patience: Duration,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> JoinHandle<Result<T, DbError<E>>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let pool = self.clone();
        let task = move || {
            let done = pool.work(&ticket, patience, work);
            ticket.finish();
            done
        };
        match &self.threads {
            Some(threads) => threads.spawn_blocking(task),
            // Only a pool that is being dropped has none, and nobody works with that.
            None => tokio::task::spawn_blocking(task),
        }
    }

    fn work<T, E>(
        &self,
        ticket: &Arc<Ticket>,
        patience: Duration,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, DbError<E>> {
        // Whoever asked has been told already that nothing was done.
        if ticket.is_given_up() {
            return Err(DbError::Cancelled);
        }
        ticket.begin();
        let Ok(mut lent) = self.lend() else {
            return Err(match self.health.is_silent() {
                true => self.health.lost(true),
                false => DbError::Busy,
            });
        };
        let may_take_long = self.purpose.patience() < patience;
        if may_take_long && lent.batch_execute(Purpose::settings_of_long_work()).is_err() {
            return Err(self.lost(&mut lent, true));
        }
        ticket.begun_by(lent.backend, &lent.server);
        lent.desk.take(ticket);
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut lent)));
        lent.desk.clear();
        match done {
            Ok(Ok(value)) => {
                self.health.answered();
                if may_take_long && lent.batch_execute(&self.purpose.settings_of_short_work()).is_err() {
                    lent.is_dead = true;
                }
                Ok(value)
            }
            // A word of the work's own, or a connection that broke under it?
            Ok(Err(_)) if !lent.answers() => Err(self.lost(&mut lent, ticket.wrote_nothing())),
            Ok(Err(error)) => {
                self.health.answered();
                if may_take_long {
                    lent.is_dead = true;
                }
                Err(DbError::Work(error))
            }
            Err(unwound) => {
                lent.is_dead = true;
                match ticket::is_given_up(&*unwound) {
                    true => Err(self.health.lost(ticket.wrote_nothing())),
                    false => resume_unwind(unwound),
                }
            }
        }
    }

    fn lost<E>(&self, session: &mut Session, unchanged: bool) -> DbError<E> {
        session.is_dead = true;
        self.broken.fetch_add(1, Ordering::SeqCst);
        self.health.no_answer("a connection broke");
        self.health.lost(unchanged)
    }

    pub(super) fn complain(&self, why: &str) {
        self.health.no_answer(why);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // Its threads may be stuck; nobody waits for them.
            threads.shutdown_background();
        }
    }
}
