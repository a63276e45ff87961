//! The door to Postgres: a pool, and one way to borrow a connection from it.

mod assembled;
pub mod conninfo;
pub mod embedded;
mod migrations;
mod prepared;
pub mod reach;
pub mod schema;

use std::time::Duration;

use diesel::r2d2::{ConnectionManager, Pool, PoolError, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as Failure};
use diesel::{Connection, PgConnection};

pub use assembled::Assembled;
pub use migrations::{Refused, migrate, unmigrate};
pub use prepared::Prepared;

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

/// Whether the write was refused because of the unique constraint or index `name`.
pub fn violates_unique(error: &Failure, name: &str) -> bool {
    matches!(error, Failure::DatabaseError(DatabaseErrorKind::UniqueViolation, info) if info.constraint_name() == Some(name))
}
