use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::checks::{check, errors};
use super::domain::{Bot, BotDraft, Refused, StepEdit, name};
use super::steps::{StepId, Steps};
use super::store;
use crate::contacts::store::usual_fields;
use crate::db::{Error, unless_taken};
use crate::ids::{BotId, UserId};
use crate::journal::{self, Entry, Happened};

fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error<Refused>> {
    unless_taken(result, "one_bot_per_name", || Refused::NameTaken(name.to_owned()))
}

/// Makes a bot whose draft has these steps.
pub fn create(
    conn: &mut PgConnection,
    typed: &str,
    steps: &Steps,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<BotId, Error<Refused>> {
    conn.transaction(|conn| {
        let name = name(typed)?;
        let id = named(store::insert(conn, &name, by, now), &name)?;
        // What could not be checked could never be opened again: nothing of it is kept.
        check(steps, &usual_fields(conn)?);
        store::insert_draft(conn, id, steps, by, now)?;
        record(conn, Happened::BotCreated, id, by, (None, Some(&name)), None, now)?;
        Ok(id)
    })
}

pub fn rename(
    conn: &mut PgConnection,
    id: BotId,
    typed: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let (bot, name) = (store::lock(conn, id)?, name(typed)?);
        if bot.name == name {
            return Ok(());
        }
        named(store::rename(conn, id, &name), &name)?;
        record(conn, Happened::BotRenamed, id, by, (Some(&bot.name), Some(&name)), None, now)?;
        Ok(())
    })
}

/// Puts a bot out of the way. What uses one of its versions goes on.
pub fn archive(conn: &mut PgConnection, id: BotId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        if store::lock(conn, id)?.archived_at.is_none() {
            store::set_archived_at(conn, id, Some(now))?;
            record(conn, Happened::BotArchived, id, by, (None, None), None, now)?;
        }
        Ok(())
    })
}

pub fn restore(conn: &mut PgConnection, id: BotId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        if store::lock(conn, id)?.archived_at.is_some() {
            store::set_archived_at(conn, id, None)?;
            record(conn, Happened::BotRestored, id, by, (None, None), None, now)?;
        }
        Ok(())
    })
}

fn usable(bot: Bot) -> Result<Bot, Refused> {
    if bot.archived_at.is_some() { Err(Refused::Archived) } else { Ok(bot) }
}

/// The draft, if nobody changed it since `revision`.
fn unchanged(conn: &mut PgConnection, id: BotId, revision: i32) -> Result<BotDraft, Error<Refused>> {
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
    edits: Vec<StepEdit>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(BotDraft, Option<StepId>), Error<Refused>> {
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
        let new = store::draft(conn, id)?;
        let change = (Some(&*format!("draft {}", draft.revision)), Some(&*format!("draft {}", new.revision)));
        record(conn, Happened::BotEdited, id, by, change, None, now)?;
        Ok((new, step))
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
) -> Result<i32, Error<Refused>> {
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
        record(conn, Happened::BotPublished, id, by, (None, Some(&n.to_string())), Some(note.trim()), now)?;
        Ok(n)
    })
}

/// Makes a new version with the steps of an older one. Returns its number.
///
/// The draft follows unless it has changes that were not published.
pub fn revert(
    conn: &mut PgConnection,
    id: BotId,
    to: i32,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<i32, Error<Refused>> {
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
            Happened::BotReverted,
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
    happened: Happened,
    id: BotId,
    by: UserId,
    (was, became): (Option<&str>, Option<&str>),
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    journal::note(conn, Entry { was, became, ..Entry::new(happened, id, by) }.why_if(why), now)
}
