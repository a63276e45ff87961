//! What people change about the phones' rules. Each function is one transaction.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{Habit, usual};
use super::store;
use crate::ids::UserId;
use crate::journal::{self, Entry, Happened};

/// Adds a rule below the others.
pub fn add(conn: &mut PgConnection, habit: &Habit, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        store::lock_rules(conn)?;
        let id = store::add_rule(conn, habit)?;
        record(conn, Happened::PhoneRuleAdded, id, by, &habit.pattern, now)
    })
}

/// Puts the usual rules in, unless there are any.
pub fn add_usual(conn: &mut PgConnection, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        if !store::lock_rules(conn)?.is_empty() {
            return Ok(());
        }
        for habit in usual() {
            let id = store::add_rule(conn, &habit)?;
            record(conn, Happened::PhoneRuleAdded, id, by, &habit.pattern, now)?;
        }
        Ok(())
    })
}

pub fn change(conn: &mut PgConnection, id: i64, habit: &Habit, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let rules = store::lock_rules(conn)?;
        let was = rules.iter().find(|rule| rule.id == id).ok_or(diesel::result::Error::NotFound)?;
        if was.habit == *habit {
            return Ok(());
        }
        store::save_rule(conn, id, habit)?;
        record(conn, Happened::PhoneRuleChanged, id, by, &habit.pattern, now)
    })
}

pub fn remove(conn: &mut PgConnection, id: i64, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let rules = store::lock_rules(conn)?;
        let Some(rule) = rules.iter().find(|rule| rule.id == id) else { return Ok(()) };
        store::remove_rule(conn, id)?;
        record(conn, Happened::PhoneRuleRemoved, id, by, &rule.habit.pattern, now)
    })
}

/// Turns a rule on or off; all of them without an `id`.
pub fn switch(conn: &mut PgConnection, id: Option<i64>, on: bool, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let rules = store::lock_rules(conn)?;
        for rule in rules.iter().filter(|rule| rule.enabled != on && id.is_none_or(|id| id == rule.id)) {
            store::switch_rule(conn, rule.id, on)?;
            let happened = if on { Happened::PhoneRuleTurnedOn } else { Happened::PhoneRuleTurnedOff };
            record(conn, happened, rule.id, by, &rule.habit.pattern, now)?;
        }
        Ok(())
    })
}

/// Moves a rule one place up or down.
pub fn shift(conn: &mut PgConnection, id: i64, up: bool, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let mut ids: Vec<i64> = store::lock_rules(conn)?.iter().map(|rule| rule.id).collect();
        let Some(at) = ids.iter().position(|it| *it == id) else { return Ok(()) };
        let to = if up { at.checked_sub(1) } else { Some(at + 1).filter(|to| *to < ids.len()) };
        let Some(to) = to else { return Ok(()) };
        ids.swap(at, to);
        store::place_rules(conn, &ids)?;
        record(conn, Happened::PhoneRuleMoved, id, by, &format!("to place {}", to + 1), now)
    })
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
