//! The door to Postgres: a pool, and one way to borrow a connection from it.

mod assembled;
pub mod embedded;
mod prepared;
pub mod schema;
mod snapshot;

use std::time::Duration;

use anyhow::anyhow;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, Pool, PoolError, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as Failure};
use diesel::{Connection, PgConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

pub use assembled::Assembled;
pub use prepared::Prepared;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// How long a request waits for a connection before it answers "busy".
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    url: String,
}

/// Why borrowed work did not produce its value.
#[derive(Debug, thiserror::Error)]
pub enum DbError<E> {
    #[error("no database connection became free in time")]
    Busy(#[source] PoolError),
    #[error("the work was cut short")]
    Cancelled,
    #[error(transparent)]
    Work(E),
}

impl Db {
    /// `size`: connections at most; they are opened as they are needed.
    pub fn connect(url: &str, size: u32) -> Result<Self, PoolError> {
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(PATIENCE)
            // Asking "are you alive?" at every loan costs a third of the throughput.
            // A connection that Postgres closed is noticed by `is_broken` after its
            // first failure and not lent again.
            .test_on_check_out(false)
            .build(ConnectionManager::new(url))?;
        Ok(Self { pool, url: url.to_owned() })
    }

    /// Runs `work` with a pooled connection on a thread that may block.
    ///
    /// Diesel is synchronous; this is the one bridge from async code to it. The
    /// connection goes back to the pool when `work` returns, so never hold it
    /// across a call to a provider.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let db = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut conn = db.lend().map_err(DbError::Busy)?;
            work(&mut conn).map_err(DbError::Work)
        })
        .await
        .map_err(|_| DbError::Cancelled)?
    }

    /// Borrows a connection; for code that blocks anyway.
    pub fn lend(&self) -> Result<PooledConnection<ConnectionManager<PgConnection>>, PoolError> {
        self.pool.get()
    }

    /// Opens a connection of its own outside the pool, for work that keeps one for minutes.
    pub fn open(&self) -> diesel::ConnectionResult<PgConnection> {
        PgConnection::establish(&self.url)
    }
}

/// Brings the database at `url` up to date. Several processes may do so at once: they take turns.
pub fn migrate(url: &str) -> anyhow::Result<()> {
    let mut conn = PgConnection::establish(url)?;
    conn.batch_execute("SELECT pg_advisory_lock(7305812)")?;
    let applied = conn.run_pending_migrations(MIGRATIONS).map(drop).map_err(|error| anyhow!(error));
    conn.batch_execute("SELECT pg_advisory_unlock(7305812)")?;
    applied
}

/// Undoes every migration, newest first. For tests of the way back; it destroys all data.
pub fn unmigrate(url: &str) -> anyhow::Result<()> {
    let mut conn = PgConnection::establish(url)?;
    conn.revert_all_migrations(MIGRATIONS).map(drop).map_err(|error| anyhow!(error))
}

/// Whether the write was refused because of the unique constraint or index `name`.
pub fn violates_unique(error: &Failure, name: &str) -> bool {
    matches!(error, Failure::DatabaseError(DatabaseErrorKind::UniqueViolation, info) if info.constraint_name() == Some(name))
}
