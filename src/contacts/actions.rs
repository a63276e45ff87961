use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::Known;
use super::store;
use crate::ids::{ContactId, UserId};
use crate::journal::{self, Entry, Happened};

/// Changes what is known about a contact. Runs that are prepared keep what stood there before.
pub fn edit(conn: &mut PgConnection, id: ContactId, new: &Known, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let changes = store::lock_known(conn, id)?.changes(new);
        if changes.is_empty() {
            return Ok(());
        }
        store::save_known(conn, id, new)?;
        let entry = Entry::new(Happened::ContactEdited, id, by).why(&changes);
        journal::note(conn, entry, now)
    })
}
