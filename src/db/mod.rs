//! The door to Postgres: pools, one way to borrow a connection from them, and an
//! end to every wait.
//!
//! Each pool has connections and threads of its own, so that nothing in one can
//! use up another's. Whoever waits for the database gives up after a time, and
//! what was given up changes nothing afterwards ([`DbError::Lost`] says whether it
//! may have before). When work is stuck, `warden` ends it or, if another server
//! has taken over meanwhile, begins anew with that one.

mod assembled;
mod columns;
pub mod conninfo;
pub mod embedded;
mod error;
mod gone;
mod health;
pub mod locks;
mod migrations;
mod pair;
mod pool;
mod prepared;
pub mod reach;

pub mod schema;
mod session;
mod snapshot;
mod ticket;
pub mod url;
mod warden;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use diesel::PgConnection;
use diesel::result::{DatabaseErrorKind, Error as Failure};
use r2d2::PooledConnection;

pub use assembled::Assembled;
pub use columns::{N, Zone, beginning, containing};
pub use error::{DbError, Error, Lost, Reason, unless_taken};
pub use gone::is_gone;
pub use health::Health;
pub use migrations::{Refused, migrate, unmigrate};
pub use pair::{confirms_alone, has_several_hosts};
pub use prepared::{Fixed, Prepared, fixed};
pub use session::{CannotConnect, Purpose};

use pool::Pool;
use session::{Manager, Session};
use ticket::Ticket;

/// How long a click that waits for somebody else's row bears with them before they are ended.
const BEARS_WITH_BLOCKERS: Duration = Duration::from_millis(400);

/// Connections for one purpose. Clones share them.
#[derive(Clone)]
pub struct Db {
    pool: Arc<RwLock<Arc<Pool>>>,
    health: Arc<Health>,
}

impl Db {
    /// `size`: connections at most; they are opened as they are needed. Deadlines that
    /// the address lacks are added.
    pub fn connect(url: &str, size: u32) -> anyhow::Result<Self> {
        Self::with(url, Purpose::Pages, size, Arc::default())
    }

    /// Connections of their own to the same database, for something else.
    pub fn beside(&self, purpose: Purpose, size: u32) -> anyhow::Result<Self> {
        Self::with(&self.now().url, purpose, size, self.health.clone())
    }

    fn with(url: &str, purpose: Purpose, size: u32, health: Arc<Health>) -> anyhow::Result<Self> {
        let pool = Pool::open(url::with_deadlines(url), purpose, size, health.clone())?;
        Ok(Self { pool: Arc::new(RwLock::new(Arc::new(pool))), health })
    }

    /// The pool as it is now; after another server took over it is another one.
    fn now(&self) -> Arc<Pool> {
        self.pool.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Whether the database answers.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Runs `work` with a pooled connection on a thread that may block.
    ///
    /// Diesel is synchronous; this is the one bridge from async code to it. The
    /// connection goes back to the pool when `work` returns, so never hold it
    /// across a call to a provider. Given up after the patience of the purpose;
    /// `work` may be dropped between two of its statements then.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let patience = self.now().purpose.patience();
        self.run_within(patience, work).await
    }

    /// The same for work that may take minutes.
    pub async fn run_long<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.run_within(Purpose::Long.patience(), work).await
    }

    async fn run_within<T, E>(
        &self,
        patience: Duration,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (pool, ticket) = (self.now(), Arc::new(Ticket::default()));
        let task = pool.spawn(ticket.clone(), patience, work);
        tokio::pin!(task);
        let waited = tokio::time::sleep(patience);
        tokio::pin!(waited);
        let mut bears =
            tokio::time::interval_at(tokio::time::Instant::now() + BEARS_WITH_BLOCKERS, BEARS_WITH_BLOCKERS);
        loop {
            tokio::select! {
                biased;
                done = &mut task => return done.map_err(|_| DbError::Cancelled)?,
                () = &mut waited => break,
                () = pool.is_replaced() => break,
                _ = bears.tick(), if pool.purpose == Purpose::Vital => {
                    if let Some((backend, _)) = ticket.backend() {
                        warden::end_blockers(&pool.url, backend);
                    }
                }
            }
        }
        let unchanged = ticket.give_up();
        // Waiting for a thread: all are in use. A pool has given up waiting for a connection by now.
        if !ticket.is_begun() && !self.health.is_silent() {
            return Err(DbError::Busy);
        }
        self.health.no_answer("a statement was given up");
        warden::watch(self, &pool, ticket);
        Err(self.health.lost(unchanged))
    }

    /// Borrows a connection, without a deadline; for code that blocks anyway.
    pub fn lend(&self) -> Result<Lent, r2d2::Error> {
        self.now().lend().map(Lent)
    }

    /// Opens a connection of its own outside the pool, for work that keeps one for minutes.
    pub fn open(&self) -> Result<PgConnection, CannotConnect> {
        Session::open(&self.now().url, Purpose::Long, self.health.counter()).map(Session::into_connection)
    }
}

/// A borrowed connection.
pub struct Lent(PooledConnection<Manager>);

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// Whether the write was refused because of the unique constraint or index `name`.
pub fn violates_unique(error: &Failure, name: &str) -> bool {
    matches!(error, Failure::DatabaseError(DatabaseErrorKind::UniqueViolation, info) if info.constraint_name() == Some(name))
}
