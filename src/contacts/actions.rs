use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::Known;
use super::store;
use crate::ids::{ContactId, UserId};
use crate::journal::{self, Entry};

/// Changes what is known about a contact. Runs that are prepared keep what stood there before.
pub fn edit(conn: &mut PgConnection, id: ContactId, new: &Known, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let changes = store::lock_known(conn, id)?.changes(new);
        if changes.is_empty() {
            return Ok(());
        }
        store::save_known(conn, id, new)?;
        let entry = Entry {
            happened: "contact.edited",
            campaign: None,
            subject: id.0,
            by: Some(by),
            was: None,
            became: None,
            why: Some(&changes),
        };
        journal::record(conn, &entry, now)
    })
}
