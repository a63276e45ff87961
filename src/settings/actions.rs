use chrono::{DateTime, Datelike, NaiveDate, Utc};
use diesel::prelude::*;

use super::domain::{ApprovalRule, Blackout, Cap, House, Refused, copied};
use super::store;
use crate::db::Error;
use crate::ids::UserId;
use crate::journal::{self, Entry, Happened};
use crate::pacing::Quiet;

/// Sets the quiet hours, and over how many minutes what they held is spread.
pub fn set_quiet(
    conn: &mut PgConnection,
    quiet: Option<Quiet>,
    jitter_minutes: i16,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    change(conn, |house| House { quiet, jitter_minutes, ..house }, by, now)
}

pub fn set_cap(conn: &mut PgConnection, cap: Option<Cap>, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    change(conn, |house| House { cap, ..house }, by, now)
}

pub fn set_approval(
    conn: &mut PgConnection,
    approval: ApprovalRule,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    change(conn, |house| House { approval, ..house }, by, now)
}

fn change(
    conn: &mut PgConnection,
    changed: impl FnOnce(House) -> House,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    conn.transaction(|conn| {
        let old = store::lock(conn)?;
        let new = changed(old);
        let changes = old.changes(&new);
        if changes.is_empty() {
            return Ok(());
        }
        store::save(conn, &new, Some(by), now)?;
        // There is one row of settings, so its number says nothing.
        record(conn, Happened::SettingsChanged, 0, by, &changes, now)
    })
}

/// Adds these days under one name: all of them, or none when one is there already.
pub fn add_blackouts(
    conn: &mut PgConnection,
    days: &[NaiveDate],
    name: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        store::lock(conn)?;
        if let Some(there) = store::first_among(conn, days)? {
            return Err(Refused::AlreadyThere(there).into());
        }
        for day in days {
            insert(conn, &Blackout { day: *day, name: name.to_owned() }, by, now)?;
        }
        Ok(())
    })
}

/// Copies the dates of the year before to `year`, see [`copied`].
pub fn copy_blackouts(
    conn: &mut PgConnection,
    year: i32,
    today: NaiveDate,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    conn.transaction(|conn| {
        store::lock(conn)?;
        for blackout in copied(&store::list(conn)?, year, today) {
            insert(conn, &blackout, by, now)?;
        }
        Ok(())
    })
}

/// Takes a blackout date away. What it holds goes on with the next tick.
pub fn remove_blackout(conn: &mut PgConnection, day: NaiveDate, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| match store::remove(conn, day)? {
        Some(name) => record(conn, Happened::BlackoutRemoved, number(day), by, &format!("{day} {name}"), now),
        None => Ok(()),
    })
}

fn insert(conn: &mut PgConnection, blackout: &Blackout, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    store::insert(conn, blackout, Some(by), now)?;
    let why = format!("{} {}", blackout.day, blackout.name);
    record(conn, Happened::BlackoutAdded, number(blackout.day), by, &why, now)
}

/// A day as a number that can be read: 20261225.
fn number(day: NaiveDate) -> i64 {
    i64::from(day.year()) * 10_000 + i64::from(day.month() * 100 + day.day())
}

fn record(
    conn: &mut PgConnection,
    happened: Happened,
    subject: i64,
    by: UserId,
    why: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry::new(happened, subject, by).why(why);
    journal::note(conn, entry, now)
}
