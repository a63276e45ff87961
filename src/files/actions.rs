use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::ForeignKeyViolation;
use diesel::result::Error::DatabaseError;

use super::domain::{File, Mapping, State, Unchanged};
use super::store;
use crate::ids::{FileId, UserId};
use crate::journal::{self, Entry};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Unchanged(#[from] Unchanged),
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
}

/// What a page shows of a file.
pub struct Look {
    pub file: File,
    /// The first rows that were not taken.
    pub problems: Vec<store::Listed>,
    /// The country to offer on the mapping form, as [`File::likely_region`] tells.
    pub region: Option<String>,
}

/// Problems that a page lists; the rest are for downloading.
const FIRST_PROBLEMS: i64 = 20;

pub fn look(conn: &mut PgConnection, id: FileId, by: UserId) -> QueryResult<Look> {
    let file = store::find(conn, id)?;
    let problems = match file.state {
        State::Imported { .. } => store::problems(conn, id, 0, FIRST_PROBLEMS)?,
        State::Received | State::Importing { .. } | State::Refused { .. } | State::Cancelled { .. } => Vec::new(),
    };
    let region = match (&file.state, &file.region) {
        (State::Received, _) | (State::Cancelled { .. }, None) => {
            let mapping = Mapping::guess(&file.head.headers, &file.head.sample);
            let last = store::last_region(conn, by)?;
            file.likely_region(&mapping, last)
        }
        (_, region) => region.clone(),
    };
    Ok(Look { file, problems, region })
}

/// Sends a file to be imported; a tick takes it up.
pub fn import(
    conn: &mut PgConnection,
    id: FileId,
    mapping: Mapping,
    region: String,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<File, Error> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        let was = file.state.word();
        file.import(mapping, region)?;
        store::save(conn, &file)?;
        record(conn, &file, "file.import_ordered", was, by, now)?;
        Ok(file)
    })
}

pub fn cancel(conn: &mut PgConnection, id: FileId, by: UserId, now: DateTime<Utc>) -> Result<File, Error> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        let was = file.state.word();
        file.cancel(now)?;
        store::save(conn, &file)?;
        record(conn, &file, "file.cancel_ordered", was, by, now)?;
        Ok(file)
    })
}

/// Deletes a file that nothing refers to, with its rows.
pub fn delete(conn: &mut PgConnection, id: FileId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let file = store::lock(conn, id)?;
        if let State::Importing { .. } = file.state {
            return Err(Unchanged::AlreadyImporting.into());
        }
        if !store::used(conn, &[id.0])?.is_empty() {
            return Err(Unchanged::InUse.into());
        }
        store::delete(conn, id).map_err(|error| match error {
            // Somebody has chosen it this moment.
            DatabaseError(ForeignKeyViolation, _) => Error::Unchanged(Unchanged::InUse),
            error => error.into(),
        })?;
        let entry = Entry {
            happened: "file.deleted",
            campaign: None,
            subject: id.0,
            by: Some(by),
            was: Some(file.state.word()),
            became: None,
            why: Some(&file.name),
        };
        Ok(journal::record(conn, &entry, now)?)
    })
}

/// Writes down in the journal what somebody, or the clock, did to a file.
fn record(
    conn: &mut PgConnection,
    file: &File,
    happened: &'static str,
    was: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry {
        happened,
        campaign: None,
        subject: file.id.0,
        by: Some(by),
        was: Some(was),
        became: Some(file.state.word()),
        why: None,
    };
    journal::record(conn, &entry, now)
}
