use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::ForeignKeyViolation;
use diesel::result::Error::DatabaseError;

use super::domain::{Filter, List, Refused, name};
use super::store;
use crate::db::{Error, unless_taken};
use crate::files::domain::State;
use crate::ids::{ContactId, FileId, ListId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::providers::Kind;
use crate::{contacts, files};

fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error<Refused>> {
    unless_taken(result, "one_list_per_name", || Refused::NameTaken(name.to_owned()))
}

/// Makes a list that is kept by hand, of these addresses.
pub fn create(
    conn: &mut PgConnection,
    typed: &str,
    kind: Kind,
    addresses: &[String],
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ListId, Error<Refused>> {
    conn.transaction(|conn| {
        let id = insert(conn, typed, kind, None, by, now)?;
        add(conn, id, addresses, by, now)?;
        Ok(id)
    })
}

/// Makes a list that is kept by hand, of the contacts of an imported file.
pub fn create_from_file(
    conn: &mut PgConnection,
    typed: &str,
    file: FileId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ListId, Error<Refused>> {
    conn.transaction(|conn| {
        let kind = files::store::find(conn, file)?.kind;
        let id = insert(conn, typed, kind, None, by, now)?;
        add_file(conn, id, file, by, now)?;
        Ok(id)
    })
}

/// Makes a list of whoever matches when it is asked.
pub fn create_filter(
    conn: &mut PgConnection,
    typed: &str,
    kind: Kind,
    filter: &Filter,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ListId, Error<Refused>> {
    conn.transaction(|conn| insert(conn, typed, kind, Some(filter), by, now))
}

fn insert(
    conn: &mut PgConnection,
    typed: &str,
    kind: Kind,
    filter: Option<&Filter>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ListId, Error<Refused>> {
    let name = name(typed)?;
    let id = named(store::insert(conn, &name, kind, filter, by, now), &name)?;
    record(conn, Happened::ListCreated, id, by, (None, Some(&name)), filter.map(Filter::words).as_deref(), now)?;
    Ok(id)
}

/// Adds addresses, making contacts of them where they are none. Returns how many were no members.
pub fn add(
    conn: &mut PgConnection,
    id: ListId,
    addresses: &[String],
    by: UserId,
    now: DateTime<Utc>,
) -> Result<usize, Error<Refused>> {
    conn.transaction(|conn| {
        let list = by_hand(store::lock(conn, id)?)?;
        contacts::store::add(conn, list.kind, addresses)?;
        let n = store::add_addresses(conn, &list, addresses, now)?;
        record_number(conn, Happened::ListMembersAdded, id, by, n, now)?;
        Ok(n)
    })
}

/// Adds the contacts of an imported file. Returns how many were no members.
pub fn add_file(
    conn: &mut PgConnection,
    id: ListId,
    file: FileId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<usize, Error<Refused>> {
    conn.transaction(|conn| {
        let list = by_hand(store::lock(conn, id)?)?;
        let file = files::store::find(conn, file)?;
        if !matches!(file.state, State::Imported { .. }) {
            return Err(Refused::NotImported.into());
        }
        if file.kind != list.kind {
            return Err(Refused::OtherKind.into());
        }
        let n = store::add_file(conn, id, file.id, now)?;
        record_number(conn, Happened::ListMembersAdded, id, by, n, now)?;
        Ok(n)
    })
}

/// Takes a contact off a list. One that is not on it stays so.
pub fn remove(
    conn: &mut PgConnection,
    id: ListId,
    contact: ContactId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        by_hand(store::lock(conn, id)?)?;
        if store::remove(conn, id, contact.0)? {
            record_number(conn, Happened::ListMembersRemoved, id, by, 1, now)?;
        }
        Ok(())
    })
}

pub fn rename(
    conn: &mut PgConnection,
    id: ListId,
    typed: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let (list, name) = (store::lock(conn, id)?, name(typed)?);
        if list.name == name {
            return Ok(());
        }
        named(store::rename(conn, id, &name), &name)?;
        record(conn, Happened::ListRenamed, id, by, (Some(&list.name), Some(&name)), None, now)?;
        Ok(())
    })
}

/// Changes who matches. Campaigns ask at their launch, or at each run, and get the new answer.
pub fn set_filter(
    conn: &mut PgConnection,
    id: ListId,
    filter: &Filter,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let was = store::lock(conn, id)?.filter.ok_or(Refused::HasNoFilter)?;
        if was == *filter {
            return Ok(());
        }
        store::set_filter(conn, id, filter)?;
        record(conn, Happened::ListFilterChanged, id, by, (Some(&was.words()), Some(&filter.words())), None, now)?;
        Ok(())
    })
}

/// Deletes a list; its contacts stay. Refused while something refers to it.
pub fn delete(conn: &mut PgConnection, id: ListId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let list = store::lock(conn, id)?;
        store::delete(conn, id).map_err(|error| match error {
            DatabaseError(ForeignKeyViolation, _) => Error::Refused(Refused::InUse),
            error => error.into(),
        })?;
        record(conn, Happened::ListDeleted, id, by, (Some(&list.name), None), None, now)?;
        Ok(())
    })
}

fn by_hand(list: List) -> Result<List, Refused> {
    if list.filter.is_some() { Err(Refused::HasFilter) } else { Ok(list) }
}

fn record_number(
    conn: &mut PgConnection,
    happened: Happened,
    id: ListId,
    by: UserId,
    n: usize,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    record(conn, happened, id, by, (None, None), Some(&n.to_string()), now)
}

fn record(
    conn: &mut PgConnection,
    happened: Happened,
    id: ListId,
    by: UserId,
    (was, became): (Option<&str>, Option<&str>),
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    journal::note(conn, Entry { was, became, ..Entry::new(happened, id, by) }.why_if(why), now)
}
