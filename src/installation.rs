//! What every process of one installation shares, kept in its database.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use rand::RngCore;

use crate::db::locks::{self, Lock};
use crate::db::schema::installation;

/// The key that signs session cookies; made when it is asked for the first time.
pub fn cookie_key(conn: &mut PgConnection) -> QueryResult<Vec<u8>> {
    let mut fresh = vec![0; 64];
    rand::rng().fill_bytes(&mut fresh);
    diesel::insert_into(installation::table)
        .values((installation::only.eq(true), installation::cookie_key.eq(fresh)))
        .on_conflict_do_nothing()
        .execute(conn)?;
    installation::table.select(installation::cookie_key).first(conn)
}

/// Claims the right to write the demo. Returns whether nobody has before.
pub fn take_seeding(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<bool> {
    cookie_key(conn)?;
    diesel::update(installation::table.filter(installation::seeded_at.is_null()))
        .set(installation::seeded_at.eq(now))
        .execute(conn)
        .map(|n| n == 1)
}

/// Makes other processes that prepare this installation wait until this transaction ends:
/// they then find what it wrote.
pub fn take_turn(conn: &mut PgConnection) -> QueryResult<()> {
    locks::take(Lock::Installation);
    cookie_key(conn)?;
    installation::table.select(installation::only).for_update().first::<bool>(conn).map(drop)
}
