use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::checks::{check, errors};
use super::domain::{Bot, Draft, Edit, Refused, name};
use super::steps::{StepId, Steps};
use super::store;
use crate::contacts::store::usual_fields;
use crate::db::violates_unique;
use crate::ids::{BotId, UserId};
use crate::journal::{self, Entry};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
}

fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error> {
    result.map_err(|error| match violates_unique(&error, "one_bot_per_name") {
        true => Refused::NameTaken(name.to_owned()).into(),
        false => error.into(),
    })
}

/// Makes a bot whose draft has these steps.
pub fn create(
    conn: &mut PgConnection,
    typed: &str,
    steps: &Steps,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<BotId, Error> {
    conn.transaction(|conn| {
        let name = name(typed)?;
        let id = named(store::insert(conn, &name, by, now), &name)?;
        // What could not be checked could never be opened again: nothing of it is kept.
        check(steps, &usual_fields(conn)?);
        store::insert_draft(conn, id, steps, by, now)?;
        record(conn, "bot.created", id, by, (None, Some(&name)), None, now)?;
        Ok(id)
    })
}

pub fn rename(conn: &mut PgConnection, id: BotId, typed: &str, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let (bot, name) = (store::lock(conn, id)?, name(typed)?);
        if bot.name == name {
            return Ok(());
        }
        named(store::rename(conn, id, &name), &name)?;
        record(conn, "bot.renamed", id, by, (Some(&bot.name), Some(&name)), None, now)?;
        Ok(())
    })
}

/// Puts a bot out of the way. What uses one of its versions goes on.
pub fn archive(conn: &mut PgConnection, id: BotId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        if store::lock(conn, id)?.archived_at.is_none() {
            store::set_archived_at(conn, id, Some(now))?;
            record(conn, "bot.archived", id, by, (None, None), None, now)?;
        }
        Ok(())
    })
}

pub fn restore(conn: &mut PgConnection, id: BotId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        if store::lock(conn, id)?.archived_at.is_some() {
            store::set_archived_at(conn, id, None)?;
            record(conn, "bot.restored", id, by, (None, None), None, now)?;
        }
        Ok(())
    })
}

fn usable(bot: Bot) -> Result<Bot, Refused> {
    if bot.archived_at.is_some() { Err(Refused::Archived) } else { Ok(bot) }
}

/// The draft, if nobody changed it since `revision`.
fn unchanged(conn: &mut PgConnection, id: BotId, revision: i32) -> Result<Draft, Error> {
    let draft = store::draft(conn, id)?;
    if draft.revision != revision {
        let who = draft.changed_by.unwrap_or_else(|| "Somebody".to_owned());
        return Err(Refused::ChangedMeanwhile { who }.into());
    }
    Ok(draft)
}

/// Changes the draft that was seen as `revision`, all or nothing. Returns it, and the
/// step that one looks at afterwards. Changes that change nothing make no new revision.
pub fn edit(
    conn: &mut PgConnection,
    id: BotId,
    revision: i32,
    edits: Vec<Edit>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(Draft, Option<StepId>), Error> {
    conn.transaction(|conn| {
        usable(store::lock(conn, id)?)?;
        let mut draft = unchanged(conn, id, revision)?;
        let was = draft.steps.clone();
        let mut step = None;
        for edit in edits {
            step = draft.edit(edit)?;
        }
        if draft.steps == was {
            return Ok((draft, step));
        }
        check(&draft.steps, &usual_fields(conn)?);
        store::save_draft(conn, id, &draft.steps, draft.based_on, by, now)?;
        Ok((store::draft(conn, id)?, step))
    })
}

/// Makes the draft that was seen as `revision` the next version. Returns its number.
pub fn publish(
    conn: &mut PgConnection,
    id: BotId,
    revision: i32,
    note: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<i32, Error> {
    conn.transaction(|conn| {
        usable(store::lock(conn, id)?)?;
        let draft = unchanged(conn, id, revision)?;
        match errors(&check(&draft.steps, &usual_fields(conn)?)) {
            0 => {}
            n => return Err(Refused::HasErrors(n).into()),
        }
        let newest = store::newest_version(conn, id)?;
        if let Some(newest) = newest.as_ref().filter(|newest| newest.steps == draft.steps) {
            return Err(Refused::NothingChanged(newest.n).into());
        }
        let n = newest.map_or(0, |newest| newest.n) + 1;
        store::insert_version(conn, id, n, &draft.steps, note.trim(), by, now)?;
        store::set_based_on(conn, id, n)?;
        record(conn, "bot.published", id, by, (None, Some(&n.to_string())), Some(note.trim()), now)?;
        Ok(n)
    })
}

/// Makes a new version with the steps of an older one. Returns its number.
///
/// The draft follows unless it has changes that were not published.
pub fn revert(conn: &mut PgConnection, id: BotId, to: i32, by: UserId, now: DateTime<Utc>) -> Result<i32, Error> {
    conn.transaction(|conn| {
        usable(store::lock(conn, id)?)?;
        let old = store::find_version(conn, id, to)?;
        let newest = store::newest_version(conn, id)?.unwrap_or_else(|| old.clone());
        if newest.steps == old.steps {
            return Err(Refused::NothingChanged(to).into());
        }
        let (draft, n) = (store::draft(conn, id)?, newest.n + 1);
        store::insert_version(conn, id, n, &old.steps, &format!("Back to version {to}"), by, now)?;
        if draft.steps == newest.steps {
            store::save_draft(conn, id, &old.steps, Some(n), by, now)?;
        }
        record(
            conn,
            "bot.reverted",
            id,
            by,
            (Some(&newest.n.to_string()), Some(&n.to_string())),
            Some(&to.to_string()),
            now,
        )?;
        Ok(n)
    })
}

fn record(
    conn: &mut PgConnection,
    happened: &'static str,
    id: BotId,
    by: UserId,
    (was, became): (Option<&str>, Option<&str>),
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let why = why.filter(|why| !why.is_empty());
    journal::record(conn, &Entry { happened, campaign: None, subject: id.0, by: Some(by), was, became, why }, now)
}
