//! store: What nobody can say any more: leases that ran out, and history that was lost.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int2, Int4, Int8, Interval, Text, Timestamptz};

use super::{LOST, Outcome};
use crate::channels::look_ups::{self, UnansweredSend};
use crate::db::N;
use crate::db::locks::{self, Lock};
use crate::db::schema::leases;
use crate::ids::{ChannelId, LeaseId, RunId};
use crate::pacing::LATEST;
use crate::providers::ProviderName;
use crate::providers::key::DeliveryKey;

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
    if n > 0 {
        let left = to_ask_about(conn, lease, now)?;
        look_ups::order(conn, &left, now)?;
    }
    // When those began that nobody will tell about is not known: as late as they could.
    diesel::sql_query("UPDATE leases SET open = 0, begun_at = greatest(begun_at, taken_at + $2) WHERE id = $1")
        .bind::<Int8, _>(lease)
        .bind::<Interval, _>(LATEST)
        .execute(conn)?;
    Ok(n)
}

/// What a lease left behind that was given up at `now`, where its provider can be asked.
fn to_ask_about(conn: &mut PgConnection, lease: LeaseId, now: DateTime<Utc>) -> QueryResult<Vec<UnansweredSend>> {
    #[derive(QueryableByName)]
    struct Left {
        #[diesel(sql_type = Int8)]
        channel_id: ChannelId,
        #[diesel(sql_type = Int8)]
        run_id: RunId,
        #[diesel(sql_type = Int4)]
        seq: i32,
        #[diesel(sql_type = Int2)]
        attempt: i16,
        #[diesel(sql_type = Text)]
        address: String,
        #[diesel(sql_type = Timestamptz)]
        taken_at: DateTime<Utc>,
    }
    let asked: Vec<&str> =
        ProviderName::ALL.into_iter().filter(|it| it.can_be_asked()).map(ProviderName::word).collect();
    let left: Vec<Left> = diesel::sql_query(
        "SELECT r.channel_id, d.run_id, d.seq, l.attempt, d.address, l.taken_at
         FROM leases l
         JOIN schedule_runs r ON r.id = l.run_id
         JOIN channels h ON h.id = r.channel_id AND h.provider = ANY ($3)
         JOIN deliveries d ON d.run_id = l.run_id AND d.seq BETWEEN l.lo AND l.hi
         WHERE l.id = $1 AND d.attempt = l.attempt AND d.outcome = $4 AND d.settled_at = $2
           AND (l.seqs IS NULL OR d.seq = ANY (l.seqs))",
    )
    .bind::<Int8, _>(lease)
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Text>, _>(asked)
    .bind::<Int2, _>(Outcome::Unconfirmed.code())
    .load(conn)?;
    let unanswered = |it: Left| {
        let key = DeliveryKey { run: it.run_id, seq: it.seq, attempt: it.attempt }.into();
        UnansweredSend { channel: it.channel_id, key, to: it.address, body: None, begun_at: it.taken_at }
    };
    Ok(left.into_iter().map(unanswered).collect())
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
