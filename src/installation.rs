//! What every process of one installation shares, kept in its database.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use rand::RngCore;
use rand::distr::{Alphanumeric, SampleString};

use crate::db::schema::{channels, installation};

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
    cookie_key(conn)?;
    installation::table.select(installation::only).for_update().first::<bool>(conn).map(drop)
}

/// Gives an installation without channels a sandbox to try things with.
pub fn ensure_channel(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        take_turn(conn)?;
        if channels::table.count().get_result::<i64>(conn)? > 0 {
            return Ok(());
        }
        diesel::insert_into(channels::table)
            .values((
                channels::name.eq("Sandbox SMS"),
                channels::kind.eq("sms"),
                channels::provider.eq("sandbox"),
                channels::sender.eq("Bugle"),
                channels::secret.eq(Alphanumeric.sample_string(&mut rand::rng(), 32)),
                channels::created_at.eq(now),
            ))
            .execute(conn)
            .map(drop)
    })
}
