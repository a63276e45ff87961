//! store: What nobody can say any more: leases that ran out, and history that was lost.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Int4, Int8, Interval, Text, Timestamptz};

use super::LOST;
use crate::db::N;
use crate::db::locks::{self, Lock};
use crate::db::schema::leases;
use crate::ids::{LeaseId, RunId};
use crate::pacing::LATEST;

/// An expired lease with sends that never settled, locked; passes over those another process has.
pub fn lock_expired_lease(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Option<(LeaseId, RunId)>> {
    locks::skip(Lock::Lease);
    leases::table
        .filter(leases::open.gt(0))
        .filter(leases::expires_at.le(now))
        .order(leases::id)
        .select((leases::id, leases::run_id))
        .for_update()
        .skip_locked()
        .first(conn)
        .optional()
        .map(|found| found.map(|(lease, run): (i64, i64)| (LeaseId(lease), RunId(run))))
}

/// Marks what an expired lease left behind as unconfirmed and closes it. Returns how many contacts.
pub fn rescue(conn: &mut PgConnection, lease: LeaseId, now: DateTime<Utc>) -> QueryResult<usize> {
    let n = diesel::sql_query(include_str!("rescue.sql"))
        .bind::<Int8, _>(lease)
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    // When those began that nobody will tell about is not known: as late as they could.
    diesel::sql_query("UPDATE leases SET open = 0, begun_at = greatest(begun_at, taken_at + $2) WHERE id = $1")
        .bind::<Int8, _>(lease)
        .bind::<Interval, _>(LATEST)
        .execute(conn)?;
    Ok(n)
}

/// Moves the cursor of a locked run to `next_seq` and marks the contacts it passes unconfirmed.
/// Returns how many.
pub fn lose(conn: &mut PgConnection, run: RunId, next_seq: i32, now: DateTime<Utc>) -> QueryResult<i64> {
    diesel::sql_query(include_str!("lose.sql"))
        .bind::<Int8, _>(run)
        .bind::<Int4, _>(next_seq)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(LOST)
        .get_result::<N>(conn)
        .map(|it| it.n)
}

/// Contacts of a run that may have had another try.
#[derive(QueryableByName)]
pub struct LostWaiting {
    #[diesel(sql_type = Int8)]
    pub run_id: RunId,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Int8)]
    pub n: i64,
}

/// Marks those unconfirmed who waited for another try that was due by `until`.
pub fn lose_waiting(
    conn: &mut PgConnection,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<LostWaiting>> {
    diesel::sql_query(include_str!("lose_waiting.sql"))
        .bind::<Timestamptz, _>(until)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(LOST)
        .load(conn)
}

/// Puts those of a locked run back who were marked so since `since`, for another try. Returns how many.
pub fn send_again(conn: &mut PgConnection, run: RunId, since: DateTime<Utc>, now: DateTime<Utc>) -> QueryResult<i64> {
    locks::take(Lock::Delivery);
    diesel::sql_query(include_str!("send_again.sql"))
        .bind::<Int8, _>(run)
        .bind::<Timestamptz, _>(since)
        .bind::<Text, _>(LOST)
        .bind::<Timestamptz, _>(now)
        .get_result::<N>(conn)
        .map(|it| it.n)
}
