//! store: How much of a channel's limit is left, what its provider takes, and who takes a share.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Int8, Interval, Nullable, Timestamptz};

use crate::db::locks::{self, Lock};
use crate::db::schema::{channel_takes, channels};
use crate::db::{N, Prepared};
use crate::ids::{ChannelId, LeaseId};
use crate::pacing::{LATEST, Lately, Pace};

/// The stretch over which rates and limits are measured.
const MINUTE: TimeDelta = TimeDelta::seconds(60);

/// What left in the last minute, as it is asked of leases.
#[derive(QueryableByName)]
pub struct LatelyRow {
    #[diesel(sql_type = Nullable<Int8>)]
    claimed: Option<i64>,
    #[diesel(sql_type = Nullable<Int8>)]
    begun: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_begun: Option<DateTime<Utc>>,
}

impl LatelyRow {
    /// `so_far` sends were claimed in all, of which the first `apart` do not count.
    pub fn read(self, so_far: i64, apart: i64) -> Lately {
        let since = |before: Option<i64>| before.map_or(0, |before| so_far - before.max(apart).min(so_far));
        Lately { claimed: since(self.claimed), begun: since(self.begun), last_begun: self.last_begun }
    }
}

/// Sends of a channel within the last minute; it has taken `so_far` in all.
fn lately_of_channel(
    conn: &mut PgConnection,
    channel: ChannelId,
    so_far: i64,
    now: DateTime<Utc>,
) -> QueryResult<Lately> {
    let ask = diesel::sql_query(include_str!("lately_of_channel.sql"))
        .bind::<Int8, _>(channel)
        .bind::<Timestamptz, _>(now - MINUTE)
        .bind::<Timestamptz, _>(now - MINUTE - LATEST)
        .bind::<Interval, _>(LATEST);
    let row: LatelyRow = Prepared(ask).get_result(conn)?;
    Ok(row.read(so_far, 0))
}

/// The limits of the channels that have one, in messages a minute.
pub fn limits(conn: &mut PgConnection) -> QueryResult<HashMap<ChannelId, i32>> {
    let rows: Vec<(i64, i32)> = channels::table
        .filter(channels::per_minute.is_not_null())
        .select((channels::id, channels::per_minute.assume_not_null()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, limit)| (ChannelId(id), limit)).collect())
}

/// What a channel allows right now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Room {
    /// Without a limit of its own.
    Unlimited,
    /// The channel's row is locked.
    Limited(Share),
    /// The provider asked for silence, or nothing tells any more what becomes of messages.
    Held,
}

/// What a channel with a limit, or one whose provider was overrun lately, has left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// So many sends may be claimed.
    pub sends: i64,
    /// So many it has taken before.
    pub before: i64,
    per_minute: Option<i64>,
    lately: Lately,
}

impl Share {
    /// Before when none of `n` more sends may begin, so that the limit holds.
    pub fn wait(&self, n: i64) -> Option<DateTime<Utc>> {
        self.lately.wait(self.per_minute?, n)
    }
}

/// Asks the channel for room. With a limit or a pace, its row stays locked until the transaction ends.
pub fn channel_room(conn: &mut PgConnection, channel: ChannelId, now: DateTime<Utc>) -> QueryResult<Room> {
    locks::take(Lock::Channel);
    let it = channels::table.find(channel).select(ChannelRow::as_select()).first(conn)?;
    if it.unheard || it.held_until.is_some_and(|until| now < until) {
        return Ok(Room::Held);
    }
    if it.per_minute.is_none() && it.pace(now).is_none() {
        return Ok(Room::Unlimited);
    }
    let it = channels::table.find(channel).select(ChannelRow::as_select()).for_no_key_update().first(conn)?;
    let (before, per_minute) = (it.taken, it.per_minute.map(i64::from));
    let lately = lately_of_channel(conn, channel, before, now)?;
    let by_limit = per_minute.map_or(i64::MAX, |limit| limit - lately.counted(now));
    let by_pace = match it.pace(now).and_then(|pace| pace.at_once(now)) {
        Some((stretch, sends)) => sends - (before - taken_before(conn, channel, now - stretch)?.unwrap_or(before)),
        None => i64::MAX,
    };
    Ok(Room::Limited(Share { sends: by_limit.min(by_pace).max(0), before, per_minute, lately }))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = channels, check_for_backend(diesel::pg::Pg))]
struct ChannelRow {
    per_minute: Option<i32>,
    taken: i64,
    held_until: Option<DateTime<Utc>>,
    pace: Option<f64>,
    paced_at: Option<DateTime<Utc>>,
    unheard: bool,
}

impl ChannelRow {
    /// What its provider takes, if that is known.
    fn pace(&self, now: DateTime<Utc>) -> Option<Pace> {
        let (per_minute, since) = self.pace.zip(self.paced_at)?;
        Some(Pace { per_minute, since }).filter(|pace| pace.at(now).is_some())
    }
}

/// How many sends the channel had taken before the first after `since`.
fn taken_before(conn: &mut PgConnection, channel: ChannelId, since: DateTime<Utc>) -> QueryResult<Option<i64>> {
    channel_takes::table
        .filter(channel_takes::channel_id.eq(channel))
        .filter(channel_takes::taken_at.gt(since))
        .order((channel_takes::taken_at, channel_takes::id))
        .select(channel_takes::before)
        .first(conn)
        .optional()
}

/// How many replies of a channel wait to leave, counted no further than a limit could matter.
/// What a bot says by itself may be held by a pause, and goes before nobody.
pub fn replies_waiting(conn: &mut PgConnection, channel: ChannelId, now: DateTime<Utc>) -> QueryResult<i64> {
    let count = diesel::sql_query(
        "SELECT count(*) AS n FROM (SELECT FROM messages
         WHERE channel_id = $1 AND state = 'queued' AND due_at <= $2 AND purpose <> 'reengager' LIMIT 10000) q",
    )
    .bind::<Int8, _>(channel)
    .bind::<Timestamptz, _>(now);
    Prepared(count).get_result::<N>(conn).map(|it| it.n)
}

/// What one claim takes of a channel: so many sends, under a lease or, replies, under none.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    pub lease: Option<LeaseId>,
    pub sends: i64,
}

/// Notes what claims took of a channel that had taken `before` sends, and whose row is locked.
pub fn take(
    conn: &mut PgConnection,
    channel: ChannelId,
    mut before: i64,
    takes: &[Taking],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let mut rows = Vec::with_capacity(takes.len());
    for take in takes {
        rows.push((
            channel_takes::channel_id.eq(channel),
            channel_takes::before.eq(before),
            channel_takes::lease_id.eq(take.lease),
            channel_takes::taken_at.eq(now),
        ));
        before += take.sends;
    }
    if rows.is_empty() {
        return Ok(());
    }
    diesel::insert_into(channel_takes::table).values(rows).execute(conn)?;
    diesel::update(channels::table.find(channel)).set(channels::taken.eq(before)).execute(conn).map(drop)
}

/// Forgets what was taken so long ago that no limit and no pace asks for it.
pub fn forget(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    let old = channel_takes::table.filter(channel_takes::taken_at.lt(now - TimeDelta::days(1)));
    diesel::delete(old).execute(conn).map(drop)
}

/// Keeps a channel quiet until `until`, unless it is held longer already, and sets its pace, if it has a new one.
pub fn slow_down(
    conn: &mut PgConnection,
    channel: ChannelId,
    until: DateTime<Utc>,
    pace: Option<Pace>,
) -> QueryResult<()> {
    let it = channels::table.find(channel);
    diesel::update(it)
        .filter(channels::held_until.is_null().or(channels::held_until.lt(until)))
        .set(channels::held_until.eq(until))
        .execute(conn)?;
    if let Some(pace) = pace {
        let pace = (channels::pace.eq(pace.per_minute), channels::paced_at.eq(pace.since));
        diesel::update(it).set(pace).execute(conn)?;
    }
    Ok(())
}

/// The pace of a channel, which is locked.
pub fn lock_pace(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Option<Pace>> {
    locks::take(Lock::Channel);
    let it: (Option<f64>, Option<DateTime<Utc>>) =
        channels::table.find(channel).select((channels::pace, channels::paced_at)).for_no_key_update().first(conn)?;
    Ok(it.0.zip(it.1).map(|(per_minute, since)| Pace { per_minute, since }))
}
