//! Changing the words. Each function is one transaction, and holds for the next message.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{ConsentRules, Language, Refusals, Refused};
use super::store;
use crate::db::Error;
use crate::ids::UserId;
use crate::journal::{self, Entry, Happened};

/// Puts a language in the place of the one called `was`, or behind the others.
pub fn save_language(
    conn: &mut PgConnection,
    was: Option<&str>,
    language: &Language,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refusals>> {
    change(conn, |rules| rules.with(was, language), by, now)
}

pub fn remove_language(
    conn: &mut PgConnection,
    name: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refusals>> {
    change(conn, |rules| rules.without(name).map_err(|refused| vec![refused]), by, now)
}

/// Says on which channels natural words are answers, and on which the provider confirms opt-outs.
pub fn set_channels(
    conn: &mut PgConnection,
    natural_on: &BTreeSet<i64>,
    silent_on: &BTreeSet<i64>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refusals>> {
    let set = |rules: &ConsentRules| {
        Ok(ConsentRules {
            natural_on: natural_on.clone(),
            silent_on: silent_on.clone(),
            languages: rules.languages.clone(),
        })
    };
    change(conn, set, by, now)
}

/// Takes every change back.
pub fn reset(conn: &mut PgConnection, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let old = store::lock_rules(conn)?;
        if old == ConsentRules::default() {
            return Ok(());
        }
        store::save_rules(conn, None, by, now)?;
        record(conn, Happened::ConsentReset, &old.changes(&ConsentRules::default()), by, now)
    })
}

fn change(
    conn: &mut PgConnection,
    changed: impl FnOnce(&ConsentRules) -> Result<ConsentRules, Vec<Refused>>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refusals>> {
    conn.transaction(|conn| {
        let old = store::lock_rules(conn)?;
        let new = changed(&old).map_err(Refusals)?;
        if old == new {
            return Ok(());
        }
        store::save_rules(conn, Some(&new), by, now)?;
        Ok(record(conn, Happened::ConsentChanged, &old.changes(&new), by, now)?)
    })
}

fn record(conn: &mut PgConnection, happened: Happened, why: &str, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    // There is one row of rules, so its number says nothing.
    let entry = Entry::new(happened, 0, by).why(why);
    journal::note(conn, entry, now)
}
