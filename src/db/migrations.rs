//! Bringing a database up to date when the program starts.

use anyhow::anyhow;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

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
