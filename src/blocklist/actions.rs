use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::Block;
use super::store;
use crate::ids::UserId;
use crate::journal;
use crate::journal::Happened;
use crate::providers::Kind;

/// Blocks addresses. Nothing to them begins to leave after this, queued or not.
pub fn block(conn: &mut PgConnection, kind: Kind, blocks: &[Block], by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let put = store::put(conn, kind, blocks, Some(by), now)?;
        journal::note_each(conn, Happened::AddressBlocked, &put, by, now)
    })
}

/// Takes an entry off the list: the address may be written to again.
pub fn unblock(conn: &mut PgConnection, id: i64, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let entry = store::lock(conn, id)?;
        store::remove(conn, id)?;
        journal::note_each(conn, Happened::AddressUnblocked, &[(id, entry.why)], by, now)
    })
}
