use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::ForeignKeyViolation;
use diesel::result::Error::DatabaseError;

use super::domain::{File, Mapping, Refused, State, TableHead};
use super::store;
use crate::contacts::addresses::{Doubtful, DoubtfulNumber, TwoWays, normalise, spaced};
use crate::db::Error;
use crate::ids::{FileId, UserId};
use crate::journal::{self, Entry, Happened};

/// What a page shows of a file.
#[derive(Clone)]
pub struct Look {
    pub file: File,
    /// The first rows that were not taken.
    pub problems: Vec<store::Listed>,
    /// The country to offer on the mapping form, as [`File::likely_region`] tells.
    pub region: Option<String>,
    /// The first numbers that could be read in two ways, while they are left out.
    pub doubtful: Vec<DoubtfulNumber>,
    /// The first addresses that were taken, phone numbers as they will be dialled.
    pub first: Vec<String>,
    /// Whether what is made of those can still be chosen.
    pub may_settle: bool,
}

/// Problems that a page lists; the rest are for downloading.
const FIRST_PROBLEMS: i64 = 20;
/// Addresses that a page shows as they will be dialled.
const FIRST_ADDRESSES: i32 = 3;

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
    let first = match file.state {
        State::Imported { .. } => store::first_rows(conn, id, FIRST_ADDRESSES)?,
        State::Received | State::Importing { .. } | State::Refused { .. } | State::Cancelled { .. } => Vec::new(),
    };
    let dialled = |it: store::Taken| if file.kind.is_phone() { spaced(&it.address) } else { it.address };
    let first = first.into_iter().map(dialled).collect();
    let (mut doubtful, mut may_settle) = (Vec::new(), false);
    if file.counts.two_ways > 0 && matches!(file.state, State::Imported { .. }) {
        doubtful = self::doubtful(conn, &file)?.first;
        may_settle = !store::is_sent_to(conn, id)?;
    }
    Ok(Look { file, problems, region, first, doubtful, may_settle })
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
    two_ways: TwoWays,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<File, Error<Refused>> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        let was = file.state.word();
        file.import(mapping, region, two_ways)?;
        store::save(conn, &file)?;
        let chosen = format!("numbers that could be read two ways: {}", two_ways.done());
        let entry = Entry::new(Happened::FileImportOrdered, id, by).was(was).became(file.state.word());
        journal::note(conn, entry.why_if(Some(&*chosen).filter(|_| two_ways != TwoWays::LeaveOut)), now)?;
        Ok(file)
    })
}

/// Numbers of an imported file that could be read in two ways. While they are left out, the first of them are
/// known with both readings.
pub fn doubtful(conn: &mut PgConnection, file: &File) -> QueryResult<Doubtful> {
    let mut doubtful = Doubtful::default();
    let region = file.region.as_deref().unwrap_or_default();
    for text in store::left_doubtful(conn, file.id, Doubtful::SHOWN as i64)? {
        doubtful.see(&text, &normalise(file.kind, &text, region));
    }
    doubtful.n = file.counts.two_ways as usize;
    Ok(doubtful)
}

/// Has an imported file read once more, with another choice of what numbers are that could be read in two ways.
/// A tick takes it up; until it is through, nothing goes to the file's contacts.
///
/// # Errors
///
/// When its contacts were sent to, or a launched campaign is about to.
pub fn settle(
    conn: &mut PgConnection,
    id: FileId,
    two_ways: TwoWays,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut file = store::lock(conn, id)?;
        if store::is_sent_to(conn, id)? {
            return Err(Refused::SentTo.into());
        }
        let was = file.two_ways;
        if was == two_ways && file.counts.two_ways > 0 {
            return Ok(());
        }
        file.settle(two_ways)?;
        store::save(conn, &file)?;
        store::forget_counts(conn, id)?;
        let entry = Entry::new(Happened::FileTwoWaysChosen, id, by).was(was.done()).became(two_ways.done());
        Ok(journal::note(conn, entry, now)?)
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
