//! io: Forgetting files that nothing refers to.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::store;
use crate::access::Actor;
use crate::app::App;
use crate::journal::{self, Entry, Happened};

/// How long a file may wait to be used.
const KEPT_FOR: TimeDelta = TimeDelta::hours(24);

/// Forgets every file that has waited too long for a campaign, a run or a drop to refer to
/// it. Returns how many.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let (mut n, now) = (0, app.clock.now());
    while app.db.run(move |conn| forget_one(conn, now)).await? {
        n += 1;
    }
    Ok(n)
}

/// One in a transaction: a file may have a million rows.
fn forget_one(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let Some(file) = store::lock_unused(conn, now - KEPT_FOR)? else { return Ok(false) };
        store::delete(conn, file.id)?;
        let entry = Entry::new(Happened::FileForgotten, file.id, Actor::Clock).was(file.state.word()).why(&file.name);
        journal::note(conn, entry, now)?;
        Ok(true)
    })
}
