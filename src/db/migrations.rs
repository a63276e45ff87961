//! Bringing a database up to date when the program starts, or saying why it is left alone.
//!
//! All that one start has to change is one transaction, and its turn is a lock of that
//! transaction: a process that dies half-way leaves nothing behind, also behind a pooler,
//! and of several that start together one writes and the others find it done.

use super::locks;
use anyhow::{Context, anyhow};
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{Array, Bool, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Why a database was left as it was. The text is for the person who started the program.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(
        "the database {database} holds things that are not Bugle's ({}). Nothing was written. Give Bugle a database of its own.",
        .relations.join(", ")
    )]
    NotOurs { database: String, relations: Vec<String> },
    #[error(
        "the database was brought up to date by a newer Bugle (this one does not know its change {version}). Nothing was \
         written. Start the newer version, or restore a backup from before it."
    )]
    Newer { version: String },
    #[error(
        "the extension pg_trgm is missing on this PostgreSQL. Install its contrib package (Fedora: postgresql-contrib), or \
         choose a server that has it."
    )]
    NoTrigrams,
    #[error(
        "the role {role} may not add the extension pg_trgm. Let somebody who may say, in the database {database}: CREATE \
         EXTENSION pg_trgm; or make {role} its owner."
    )]
    MayNotAddTrigrams { database: String, role: String },
    #[error(
        "the role {role} may not create tables in the database {database}. Make it the owner: ALTER DATABASE {database} \
         OWNER TO {role};"
    )]
    MayNotAddTables { database: String, role: String },
}

/// Brings the database at `url` up to date, all at once or not at all. Several processes may
/// do so together: they take turns.
pub fn migrate(url: &str) -> anyhow::Result<()> {
    PgConnection::establish(url)?.transaction(|conn| {
        // Not for ever: a migration may wait for work that hangs, and others wait for it.
        conn.batch_execute(&format!(
            "SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock({})",
            locks::number::MIGRATION
        ))
        .context("another process that changes this database did not finish within a minute")?;
        if let Some(refused) = obstacle(conn)? {
            return Err(refused.into());
        }
        conn.run_pending_migrations(MIGRATIONS).map(drop).map_err(|error| anyhow!(error))
    })
}

/// Undoes every migration, newest first. For tests of the way back; it destroys all data.
pub fn unmigrate(url: &str) -> anyhow::Result<()> {
    let mut conn = PgConnection::establish(url)?;
    conn.revert_all_migrations(MIGRATIONS).map(drop).map_err(|error| anyhow!(error))
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    has_versions: bool,
    /// Some of the tables, views and sequences.
    #[diesel(sql_type = Array<Text>)]
    relations: Vec<String>,
    #[diesel(sql_type = Bool)]
    has_trigrams: bool,
    #[diesel(sql_type = Bool)]
    could_have_trigrams: bool,
    #[diesel(sql_type = Bool)]
    may_add_extensions: bool,
    #[diesel(sql_type = Bool)]
    may_add_tables: bool,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    role: String,
}

/// Why this database is not one to write into.
fn obstacle(conn: &mut PgConnection) -> anyhow::Result<Option<Refused>> {
    let found: Found = diesel::sql_query(include_str!("before_migrating.sql")).get_result(conn)?;
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(|error| anyhow!(error))?;
    let known: Vec<String> = known.iter().map(|it| it.name().version().to_string()).collect();
    let applied = if found.has_versions { applied(conn)? } else { Vec::new() };

    let ours = applied.iter().any(|version| known.contains(version));
    let Found { relations, database, role, .. } = found;
    Ok(match applied.into_iter().find(|version| !known.contains(version)) {
        Some(version) if ours => Some(Refused::Newer { version }),
        Some(_) => Some(Refused::NotOurs { database, relations }),
        None if !ours && !relations.is_empty() => Some(Refused::NotOurs { database, relations }),
        None if !found.has_trigrams && !found.could_have_trigrams => Some(Refused::NoTrigrams),
        None if !found.has_trigrams && !found.may_add_extensions => Some(Refused::MayNotAddTrigrams { database, role }),
        None if !ours && !found.may_add_tables => Some(Refused::MayNotAddTables { database, role }),
        None => None,
    })
}

/// The versions written down in the database, newest first.
fn applied(conn: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let versions = conn.applied_migrations().map_err(|error| anyhow!(error))?;
    Ok(versions.iter().map(ToString::to_string).collect())
}
