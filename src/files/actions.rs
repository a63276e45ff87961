use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::ForeignKeyViolation;
use diesel::result::Error::DatabaseError;

use super::domain::{File, Mapping, Refused, State, TableHead};
use super::store;
use crate::db::Error;
use crate::ids::{FileId, UserId};
use crate::journal::{self, Entry, Happened};

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

/// Keeps the head of a file that somebody has had read otherwise. What its columns are is asked anew.
pub fn read_anew(
    conn: &mut PgConnection,
    id: FileId,
    head: &TableHead,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let file = store::lock(conn, id)?;
        file.may_be_read_anew()?;
        store::save_head(conn, id, head)?;
        let (was, became) = (file.head.reading(), head.reading());
        let entry = Entry::new(Happened::FileReadAnew, id, by).was(&was).became(&became);
        Ok(journal::note(conn, entry, now)?)
    })
}

/// Sends a file to be imported; a tick takes it up.
pub fn import(
    conn: &mut PgConnection,
    id: FileId,
    mapping: Mapping,
    region: String,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<File, Error<Refused>> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        let was = file.state.word();
        file.import(mapping, region)?;
        store::save(conn, &file)?;
        record(conn, &file, Happened::FileImportOrdered, was, by, now)?;
        Ok(file)
    })
}

pub fn cancel(conn: &mut PgConnection, id: FileId, by: UserId, now: DateTime<Utc>) -> Result<File, Error<Refused>> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        let was = file.state.word();
        file.cancel(now)?;
        store::save(conn, &file)?;
        record(conn, &file, Happened::FileCancelOrdered, was, by, now)?;
        Ok(file)
    })
}

/// Deletes a file that nothing refers to, with its rows.
pub fn delete(conn: &mut PgConnection, id: FileId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let file = store::lock(conn, id)?;
        if let State::Importing { .. } = file.state {
            return Err(Refused::AlreadyImporting.into());
        }
        if !store::used(conn, &[id])?.is_empty() {
            return Err(Refused::InUse.into());
        }
        store::delete(conn, id).map_err(|error| match error {
            // Somebody has chosen it this moment.
            DatabaseError(ForeignKeyViolation, _) => Error::Refused(Refused::InUse),
            error => error.into(),
        })?;
        let entry = Entry::new(Happened::FileDeleted, id, by).was(file.state.word()).why(&file.name);
        Ok(journal::note(conn, entry, now)?)
    })
}

/// Writes down in the journal what somebody, or the clock, did to a file.
fn record(
    conn: &mut PgConnection,
    file: &File,
    happened: Happened,
    was: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry::new(happened, file.id, by).was(was).became(file.state.word());
    journal::note(conn, entry, now)
}
