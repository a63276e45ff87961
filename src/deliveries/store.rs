//! The ledger, its leases and its tallies in Postgres.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{
    Array, Bool, Float8, Int2, Int4, Int8, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use uuid::Uuid;

use super::turn::Candidate;
use super::{Claim, Contact, Counts, Fate, LEASE, LOST, Lease, Outcome, PartId, Settled, Word};
use crate::channels::Kind;
use crate::consent::store::Learnt;
use crate::db::Prepared;
use crate::db::schema::{
    campaign_lists, campaigns, channels, deliveries, files, leases, replacements, retries, schedule_runs,
};
use crate::ids::{ChannelId, ContactId, FileId, LeaseId, ListId, RunId};
use crate::lists;
use crate::lists::store::AudienceTarget;
use crate::pacing::{LATEST, Lately, Pace, SendClock};
use crate::runs::Run;

/// The stretch over which rates and limits are measured.
const MINUTE: TimeDelta = TimeDelta::seconds(60);

// ---- claiming ----------------------------------------------------------------

#[derive(QueryableByName)]
struct LatelyRow {
    #[diesel(sql_type = Nullable<Int8>)]
    claimed: Option<i64>,
    #[diesel(sql_type = Nullable<Int8>)]
    begun: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_begun: Option<DateTime<Utc>>,
}

impl LatelyRow {
    /// `so_far` sends were claimed in all, of which the first `apart` do not count.
    fn read(self, so_far: i64, apart: i64) -> Lately {
        let since = |before: Option<i64>| before.map_or(0, |before| so_far - before.max(apart).min(so_far));
        Lately { claimed: since(self.claimed), begun: since(self.begun), last_begun: self.last_begun }
    }
}

/// Sends of the run within the last minute, its catch-up burst not counted.
pub fn lately(conn: &mut PgConnection, run: &Run, now: DateTime<Utc>) -> QueryResult<Lately> {
    let ask = diesel::sql_query(include_str!("lately.sql"))
        .bind::<Int8, _>(run.id.0)
        .bind::<Timestamptz, _>(now - MINUTE)
        .bind::<Timestamptz, _>(now - MINUTE - LATEST)
        .bind::<Int8, _>(run.burst)
        .bind::<Interval, _>(LATEST);
    let row: LatelyRow = Prepared(ask).get_result(conn)?;
    Ok(row.read(run.released, run.burst))
}

/// Sends of a channel within the last minute; it has taken `so_far` in all.
fn lately_of_channel(
    conn: &mut PgConnection,
    channel: ChannelId,
    so_far: i64,
    now: DateTime<Utc>,
) -> QueryResult<Lately> {
    let ask = diesel::sql_query(include_str!("lately_of_channel.sql"))
        .bind::<Int8, _>(channel.0)
        .bind::<Timestamptz, _>(now - MINUTE)
        .bind::<Timestamptz, _>(now - MINUTE - LATEST)
        .bind::<Interval, _>(LATEST);
    let row: LatelyRow = Prepared(ask).get_result(conn)?;
    Ok(row.read(so_far, 0))
}

/// How much a run may claim now of its part of a channel's limit, in messages a minute.
pub fn left_of_part(conn: &mut PgConnection, run: &Run, part: f64, now: DateTime<Utc>) -> QueryResult<i64> {
    // A part of less than one a minute is one in several minutes.
    let minutes = (1.0 / part.max(1e-6)).max(1.0);
    let stretch = TimeDelta::microseconds((minutes * 60e6) as i64);
    let first: Option<i64> = leases::table
        .filter(leases::run_id.eq(run.id.0))
        .filter(leases::taken_at.gt(now - stretch))
        .order((leases::taken_at, leases::id))
        .select(leases::released_before)
        .first(conn)
        .optional()?;
    let recent = first.map_or(0, |before| run.released - before);
    Ok((part * minutes - 1e-9).ceil() as i64 - recent)
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
    /// The provider asked for silence.
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
    let it = channels::table.find(channel.0).select(ChannelRow::as_select()).first(conn)?;
    if it.held_until.is_some_and(|until| now < until) {
        return Ok(Room::Held);
    }
    if it.per_minute.is_none() && it.pace(now).is_none() {
        return Ok(Room::Unlimited);
    }
    let it = channels::table.find(channel.0).select(ChannelRow::as_select()).for_no_key_update().first(conn)?;
    let (before, per_minute) = (it.taken, it.per_minute.map(i64::from));
    let lately = lately_of_channel(conn, channel, before, now)?;
    let by_limit = per_minute.map_or(i64::MAX, |limit| limit - lately.counted(now));
    let by_pace = match it.pace(now).and_then(|pace| pace.at_once(now)) {
        Some((stretch, sends)) => sends - (before - channel_before(conn, channel, now - stretch)?.unwrap_or(before)),
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
}

impl ChannelRow {
    /// What its provider takes, if that is known.
    fn pace(&self, now: DateTime<Utc>) -> Option<Pace> {
        let (per_minute, since) = self.pace.zip(self.paced_at)?;
        Some(Pace { per_minute, since }).filter(|pace| pace.at(now).is_some())
    }
}

/// How many sends the channel had taken before the first after `since`.
fn channel_before(conn: &mut PgConnection, channel: ChannelId, since: DateTime<Utc>) -> QueryResult<Option<i64>> {
    leases::table
        .filter(leases::channel_id.eq(channel.0))
        .filter(leases::taken_at.gt(since))
        .filter(leases::channel_before.is_not_null())
        .order((leases::taken_at, leases::id))
        .select(leases::channel_before.assume_not_null())
        .first(conn)
        .optional()
}

/// How many replies of a channel wait to leave, counted no further than a limit could matter.
/// What a bot says by itself may be held by a pause, and goes before nobody.
pub fn replies_waiting(conn: &mut PgConnection, channel: ChannelId, now: DateTime<Utc>) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let count = diesel::sql_query(
        "SELECT count(*) AS n FROM (SELECT FROM messages
         WHERE channel_id = $1 AND state = 'queued' AND due_at <= $2 AND purpose <> 'reengager' LIMIT 10000) q",
    )
    .bind::<Int8, _>(channel.0)
    .bind::<Timestamptz, _>(now);
    Prepared(count).get_result::<Waiting>(conn).map(|it| it.n)
}

/// Notes that so many more sends of a limited channel were claimed.
pub fn take_channel_room(conn: &mut PgConnection, channel: ChannelId, sends: i64) -> QueryResult<()> {
    diesel::update(channels::table.find(channel.0))
        .set(channels::taken.eq(channels::taken + sends))
        .execute(conn)
        .map(drop)
}

/// Keeps a channel quiet until `until`, unless it is held longer already, and sets its pace, if it has a new one.
pub fn slow_down(
    conn: &mut PgConnection,
    channel: ChannelId,
    until: DateTime<Utc>,
    pace: Option<Pace>,
) -> QueryResult<()> {
    let it = channels::table.find(channel.0);
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
    let it: (Option<f64>, Option<DateTime<Utc>>) =
        channels::table.find(channel.0).select((channels::pace, channels::paced_at)).for_no_key_update().first(conn)?;
    Ok(it.0.zip(it.1).map(|(per_minute, since)| Pace { per_minute, since }))
}

/// Contacts that wait and are due, with the number of the try that is theirs: `limit`
/// of them, after the first `skip`. With `tried_only` none that was held before its first.
pub fn due_retries(
    conn: &mut PgConnection,
    run: RunId,
    skip: usize,
    limit: usize,
    tried_only: bool,
    now: DateTime<Utc>,
) -> QueryResult<Vec<(i32, i16)>> {
    let first = if tried_only { 2 } else { 1 };
    retries::table
        .filter(retries::run_id.eq(run.0))
        .filter(retries::due_at.le(now))
        .filter(retries::attempt.ge(first))
        .order((retries::due_at, retries::seq))
        .offset(skip as i64)
        .limit(limit as i64)
        .select((retries::seq, retries::attempt))
        .for_update()
        .load(conn)
}

/// Which of these runs have contacts that wait and are due.
pub fn with_due_retries(conn: &mut PgConnection, runs: Vec<i64>, now: DateTime<Utc>) -> QueryResult<HashSet<RunId>> {
    #[derive(QueryableByName)]
    struct Due {
        #[diesel(sql_type = Int8)]
        id: i64,
    }
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    let ask = diesel::sql_query(
        "SELECT u.id FROM unnest($1::bigint[]) AS u (id)
         WHERE EXISTS (SELECT FROM retries t WHERE t.run_id = u.id AND t.due_at <= $2)",
    )
    .bind::<Array<Int8>, _>(runs)
    .bind::<Timestamptz, _>(now);
    let due: Vec<Due> = Prepared(ask).load(conn)?;
    Ok(due.into_iter().map(|run| RunId(run.id)).collect())
}

/// Which contacts a claim takes.
pub enum Take<'a> {
    /// Contacts `lo` to `hi`, for the first time, and the cursor moves past them.
    Fresh { lo: i32, hi: i32 },
    /// These, for try number `attempt`.
    Set { seqs: &'a [i32], attempt: i16 },
}

/// Who claims, and when.
#[derive(Clone, Copy)]
pub struct Claimer {
    pub process: Uuid,
    pub now: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct ClaimRow {
    #[diesel(sql_type = Int8)]
    lease: i64,
    #[diesel(sql_type = Int4)]
    seq: i32,
    #[diesel(sql_type = Int8)]
    contact_id: i64,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Jsonb)]
    values: serde_json::Value,
    #[diesel(sql_type = Nullable<Text>)]
    replaced: Option<String>,
}

/// Writes a claim. The caller holds the run's row. `clock` and `released` are the
/// run's after and before it; `channel_before` likewise the limited channel's.
pub fn claim(
    conn: &mut PgConnection,
    run: &Run,
    take: &Take<'_>,
    clock: &SendClock,
    released: i64,
    channel_before: Option<i64>,
    by: Claimer,
) -> QueryResult<Claim> {
    let (sql, attempt) = match *take {
        Take::Fresh { .. } => (include_str!("claim.sql"), 1),
        Take::Set { attempt, .. } => (include_str!("claim_set.sql"), attempt),
    };
    let query = diesel::sql_query(sql).bind::<Int8, _>(run.id.0);
    let query = match *take {
        Take::Fresh { lo, hi } => query.into_boxed().bind::<Int4, _>(lo).bind::<Int4, _>(hi),
        Take::Set { seqs, .. } => query.into_boxed().bind::<Array<Int4>, _>(seqs).bind::<Int2, _>(attempt),
    };
    let query = query
        .bind::<Float8, _>(clock.base)
        .bind::<Timestamptz, _>(clock.since)
        .bind::<Int8, _>(released)
        .bind::<Int8, _>(run.channel_id.0)
        .bind::<Nullable<Int8>, _>(channel_before)
        .bind::<SqlUuid, _>(by.process)
        .bind::<Timestamptz, _>(by.now)
        .bind::<Timestamptz, _>(by.now + LEASE);
    let rows: Vec<ClaimRow> = Prepared(query).load(conn)?;
    Ok(Claim {
        run: run.id,
        lease: Lease { id: LeaseId(rows.first().map_or(0, |row| row.lease)), process: by.process, taken_at: by.now },
        attempt,
        begins_at: None,
        until: run.window.ends,
        contacts: rows
            .into_iter()
            .map(|row| Contact {
                seq: row.seq,
                contact: row.contact_id,
                address: row.address,
                values: fields_of(row.values),
                barred: row.replaced.map(|why| (Outcome::Replaced, Some(why))),
                refusals: 0,
            })
            .collect(),
        seen: false,
    })
}

/// Asks once more, now that these claims have committed, which of their contacts must not be
/// written to, and notes why.
pub fn last_look(conn: &mut PgConnection, claims: &mut [Claim], now: DateTime<Utc>) -> QueryResult<()> {
    let contacts: Vec<i64> = claims.iter().flat_map(|claim| &claim.contacts).map(|contact| contact.contact).collect();
    let barred = barred(conn, &contacts, now)?;
    for claim in claims {
        claim.seen = true;
        for contact in &mut claim.contacts {
            if let Some(outcome) = barred.get(&contact.contact) {
                contact.barred = Some((*outcome, None));
            }
        }
    }
    Ok(())
}

/// Why those of the contacts must not be written to that must not.
pub fn barred(conn: &mut PgConnection, contacts: &[i64], now: DateTime<Utc>) -> QueryResult<HashMap<i64, Outcome>> {
    #[derive(QueryableByName)]
    struct Barred {
        #[diesel(sql_type = Int8)]
        id: i64,
        #[diesel(sql_type = Int2)]
        barred: i16,
    }
    if contacts.is_empty() {
        return Ok(HashMap::new());
    }
    let look =
        diesel::sql_query(include_str!("last_look.sql")).bind::<Array<Int8>, _>(contacts).bind::<Timestamptz, _>(now);
    let rows: Vec<Barred> = Prepared(look).load(conn)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id, Outcome::of_code(row.barred)?))).collect())
}

fn fields_of(values: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match values {
        serde_json::Value::Object(values) => values,
        _ => serde_json::Map::new(),
    }
}

#[derive(QueryableByName)]
struct CandidateRow {
    #[diesel(sql_type = Int4)]
    seq: i32,
    #[diesel(sql_type = Int8)]
    contact_id: i64,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Jsonb)]
    values: serde_json::Value,
    #[diesel(sql_type = Nullable<Text>)]
    replaced: Option<String>,
}

/// What a claim may have to ask about contacts of a run, given with the tries that are theirs.
pub fn candidates(conn: &mut PgConnection, run: RunId, turns: &[(i32, i16)]) -> QueryResult<Vec<Candidate>> {
    let seqs: Vec<i32> = turns.iter().map(|(seq, _)| *seq).collect();
    let query = diesel::sql_query(include_str!("candidates.sql")).bind::<Int8, _>(run.0).bind::<Array<Int4>, _>(seqs);
    let rows: Vec<CandidateRow> = Prepared(query).load(conn)?;
    Ok(rows
        .into_iter()
        .zip(turns)
        .map(|(row, (_, attempt))| Candidate {
            seq: row.seq,
            attempt: *attempt,
            contact: row.contact_id,
            address: row.address,
            values: fields_of(row.values),
            replaced: row.replaced,
        })
        .collect())
}

/// Whether the addresses of a run are phone numbers, and the zone of its campaign.
pub fn place(conn: &mut PgConnection, run: &Run) -> QueryResult<(bool, Tz)> {
    let kind: String = channels::table.find(run.channel_id.0).select(channels::kind).first(conn)?;
    let zone: String = campaigns::table.find(run.campaign_id.0).select(campaigns::time_zone).first(conn)?;
    let is_phone = matches!(Kind::of_word(&kind), Some(Kind::Sms | Kind::Whatsapp | Kind::Viber));
    let Ok(zone) = zone.parse() else {
        return Err(DeserializationError(format!("campaigns: not a time zone: {zone}").into()));
    };
    Ok((is_phone, zone))
}

/// Makes every other claim that asks about one of these contacts wait until this
/// transaction ends. In one order, so that no two claims wait for each other.
pub fn lock_contacts(conn: &mut PgConnection, contacts: &[i64]) -> QueryResult<()> {
    let mut keys: Vec<i32> = contacts.iter().map(|contact| (contact % i64::from(i32::MAX)) as i32).collect();
    keys.sort_unstable();
    keys.dedup();
    let lock = diesel::sql_query("SELECT pg_advisory_xact_lock(7305815, u.key) FROM unnest($1::integer[]) AS u (key)")
        .bind::<Array<Int4>, _>(keys);
    Prepared(lock).execute(conn).map(drop)
}

/// How many messages these contacts got since then, over all campaigns; none is not among them.
pub fn sent_lately(conn: &mut PgConnection, contacts: &[i64], since: DateTime<Utc>) -> QueryResult<HashMap<i64, i64>> {
    #[derive(QueryableByName)]
    struct Sent {
        #[diesel(sql_type = Int8)]
        contact_id: i64,
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let query = diesel::sql_query(include_str!("sent_lately.sql"))
        .bind::<Array<Int8>, _>(contacts)
        .bind::<Timestamptz, _>(since);
    let rows: Vec<Sent> = Prepared(query).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.contact_id, row.n)).collect())
}

/// A contact whose turn in a run of another campaign is still to come, or is now.
#[derive(Clone, Debug, QueryableByName)]
pub struct Elsewhere {
    #[diesel(sql_type = Int8)]
    pub contact_id: i64,
    #[diesel(sql_type = Int8)]
    pub run_id: i64,
    #[diesel(sql_type = Int4)]
    pub seq: i32,
    /// Name of the other campaign.
    #[diesel(sql_type = Text)]
    pub campaign: String,
    /// What the other run does with contacts that are busy here.
    #[diesel(sql_type = Nullable<Text>)]
    pub busy: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub starts_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    pub in_flight: bool,
}

/// Where else these contacts of a run are still to be sent to.
pub fn elsewhere(
    conn: &mut PgConnection,
    run: &Run,
    contacts: &[i64],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Elsewhere>> {
    let query = diesel::sql_query(include_str!("elsewhere.sql"))
        .bind::<Array<Int8>, _>(contacts)
        .bind::<Int8, _>(run.campaign_id.0)
        .bind::<Timestamptz, _>(now);
    Prepared(query).load(conn)
}

pub fn campaign_name(conn: &mut PgConnection, run: &Run) -> QueryResult<String> {
    campaigns::table.find(run.campaign_id.0).select(campaigns::name).first(conn)
}

/// Notes that somebody else's contacts shall not be sent to when their turn comes.
pub fn replace(conn: &mut PgConnection, theirs: &[(i64, i32)], why: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let rows: Vec<_> = theirs
        .iter()
        .map(|(run, seq)| {
            (
                replacements::run_id.eq(run),
                replacements::seq.eq(seq),
                replacements::why.eq(why),
                replacements::at.eq(now),
            )
        })
        .collect();
    diesel::insert_into(replacements::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}

/// Moves the cursor of a run to `next_seq`. `passed_over`: how many more of the
/// contacts before it no claim took.
pub fn move_cursor(conn: &mut PgConnection, run: RunId, next_seq: i32, passed_over: i32) -> QueryResult<()> {
    diesel::update(schedule_runs::table.find(run.0))
        .set((
            schedule_runs::next_seq.eq(next_seq),
            schedule_runs::passed_over.eq(schedule_runs::passed_over + passed_over),
        ))
        .execute(conn)
        .map(drop)
}

/// Takes contacts off the list of those that wait. Returns how often each of them was refused already.
pub fn wait_no_more(conn: &mut PgConnection, run: RunId, seqs: &[i32]) -> QueryResult<HashMap<i32, i16>> {
    let waiting = retries::table.filter(retries::run_id.eq(run.0)).filter(retries::seq.eq_any(seqs));
    let refused: Vec<(i32, i16)> =
        diesel::delete(waiting).returning((retries::seq, retries::refusals)).get_results(conn)?;
    let change = Counts { retrying: -(refused.len() as i64), ..Counts::default() };
    count(conn, &BTreeMap::from([(run, change)]), 0)?;
    Ok(refused.into_iter().collect())
}

/// A contact whose turn came at a time at which it may not be sent to.
pub struct Held {
    pub seq: i32,
    pub attempt: i16,
    pub until: DateTime<Utc>,
    pub detail: String,
}

/// Puts contacts on the list of those that wait, or lets those on it wait longer.
pub fn hold(conn: &mut PgConnection, run: RunId, held: &[Held]) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct New {
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let seqs: Vec<i32> = held.iter().map(|it| it.seq).collect();
    let attempts: Vec<i16> = held.iter().map(|it| it.attempt).collect();
    let untils: Vec<DateTime<Utc>> = held.iter().map(|it| it.until).collect();
    let details: Vec<&str> = held.iter().map(|it| it.detail.as_str()).collect();
    let hold = diesel::sql_query(
        "WITH held AS (
             INSERT INTO retries (run_id, seq, attempt, due_at, detail)
             SELECT $1, u.* FROM unnest($2::integer[], $3::smallint[], $4::timestamptz[], $5::text[]) AS u
             ON CONFLICT (run_id, seq) DO UPDATE SET due_at = EXCLUDED.due_at, detail = EXCLUDED.detail
             RETURNING xmax = 0 AS is_new
         ) SELECT count(*) FILTER (WHERE is_new) AS n FROM held",
    )
    .bind::<Int8, _>(run.0)
    .bind::<Array<Int4>, _>(seqs)
    .bind::<Array<Int2>, _>(attempts)
    .bind::<Array<Timestamptz>, _>(untils)
    .bind::<Array<Text>, _>(details);
    let new: New = Prepared(hold).get_result(conn)?;
    let change = Counts { retrying: new.n, ..Counts::default() };
    count(conn, &BTreeMap::from([(run, change)]), 0)
}

/// How the first contacts of a run turned out, while the others wait for them.
pub struct Firsts {
    /// Failed, or nobody can say.
    pub failed: i64,
    /// Without a final word. Those that were left out have one, and did not fail.
    pub open: i64,
    pub last_claimed: Option<DateTime<Utc>>,
}

pub fn firsts(conn: &mut PgConnection, run: &Run) -> QueryResult<Firsts> {
    let counts = counts_of(conn, run.id)?;
    let tried = retries::table.filter(retries::run_id.eq(run.id.0)).filter(retries::attempt.gt(1));
    let later: i64 = tried.count().get_result(conn)?;
    let last_claimed = last_claimed(conn, &[run.id])?.remove(&run.id);
    let failed = counts.failed + counts.unconfirmed;
    Ok(Firsts { failed, open: counts.in_flight() + counts.accepted + later, last_claimed })
}

/// When the last of each of these runs' contacts was claimed for the first time.
pub fn last_claimed(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<HashMap<RunId, DateTime<Utc>>> {
    let ids: Vec<i64> = runs.iter().map(|run| run.0).collect();
    let rows: Vec<(Option<i64>, Option<DateTime<Utc>>)> = leases::table
        .filter(leases::run_id.eq_any(&ids))
        .filter(leases::attempt.eq(1))
        .group_by(leases::run_id)
        .select((leases::run_id, diesel::dsl::max(leases::taken_at)))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(run, at)| Some((RunId(run?), at?))).collect())
}

/// Which of these parts were never sent, because their contacts still wait for their first try.
pub fn held_parts(conn: &mut PgConnection, parts: &[PartId]) -> QueryResult<HashSet<(RunId, i32)>> {
    #[derive(QueryableByName)]
    struct Part {
        #[diesel(sql_type = Int8)]
        run_id: i64,
        #[diesel(sql_type = Int4)]
        seq: i32,
    }
    let (runs, seqs): (Vec<i64>, Vec<i32>) = parts.iter().map(|part| (part.run.0, part.seq)).unzip();
    let query = diesel::sql_query(
        "SELECT t.run_id, t.seq FROM unnest($1::bigint[], $2::integer[]) AS u (run_id, seq)
         JOIN retries t ON t.run_id = u.run_id AND t.seq = u.seq AND t.attempt = 1",
    )
    .bind::<Array<Int8>, _>(runs)
    .bind::<Array<Int4>, _>(seqs);
    let rows: Vec<Part> = Prepared(query).load(conn)?;
    Ok(rows.into_iter().map(|part| (RunId(part.run_id), part.seq)).collect())
}

/// The field names of a file, which are those that a text sent to it can name.
pub fn fields(conn: &mut PgConnection, file: FileId) -> QueryResult<Vec<String>> {
    let headers: serde_json::Value = files::table.find(file.0).select(files::headers).first(conn)?;
    Ok(serde_json::from_value(headers).unwrap_or_default())
}

// ---- settling ----------------------------------------------------------------

/// What became of some sends of a lease.
#[derive(Clone, Copy, Debug, Default)]
pub struct Closed {
    pub sends: i32,
    /// When the last of them began.
    pub begun_at: Option<DateTime<Utc>>,
}

/// Takes sends off each lease that still has so many open. Returns the leases
/// that held; one that expired was given up and is not among them, nor is one from
/// which this very `batch` took its part before, nor one whose number has been given to another.
pub fn close_part(conn: &mut PgConnection, closed: &BTreeMap<Lease, Closed>, batch: Uuid) -> QueryResult<Vec<LeaseId>> {
    #[derive(QueryableByName)]
    struct Held {
        #[diesel(sql_type = Int8)]
        id: i64,
    }
    let ids: Vec<i64> = closed.keys().map(|lease| lease.id.0).collect();
    let (ns, begun): (Vec<i32>, Vec<Option<DateTime<Utc>>>) = closed.values().map(|it| (it.sends, it.begun_at)).unzip();
    let (processes, taken): (Vec<Uuid>, Vec<DateTime<Utc>>) =
        closed.keys().map(|lease| (lease.process, lease.taken_at)).unzip();
    let close = diesel::sql_query(
        "UPDATE leases l SET open = l.open - u.n, last_batch = $3, begun_at = greatest(l.begun_at, u.begun_at)
         FROM unnest($1::bigint[], $2::integer[], $4::timestamptz[], $5::uuid[], $6::timestamptz[])
              AS u (id, n, begun_at, process, taken_at)
         WHERE l.id = u.id AND l.process = u.process AND l.taken_at = u.taken_at
           AND l.open >= u.n AND l.last_batch IS DISTINCT FROM $3
         RETURNING l.id",
    )
    .bind::<Array<Int8>, _>(ids)
    .bind::<Array<Int4>, _>(ns)
    .bind::<SqlUuid, _>(batch)
    .bind::<Array<Nullable<Timestamptz>>, _>(begun)
    .bind::<Array<SqlUuid>, _>(processes)
    .bind::<Array<Timestamptz>, _>(taken);
    let held: Vec<Held> = Prepared(close).load(conn)?;
    Ok(held.into_iter().map(|held| LeaseId(held.id)).collect())
}

/// Whether none of these leases has anything open, because somebody gave them up.
pub fn are_closed(conn: &mut PgConnection, leases: impl Iterator<Item = LeaseId>) -> QueryResult<bool> {
    let ids: Vec<i64> = leases.map(|lease| lease.0).collect();
    let open = leases::table.filter(leases::id.eq_any(ids)).filter(leases::open.gt(0));
    diesel::select(diesel::dsl::not(diesel::dsl::exists(open))).get_result(conn)
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Int8)]
    run_id: i64,
    #[diesel(sql_type = Nullable<Int2>)]
    progress: Option<i16>,
    #[diesel(sql_type = Nullable<Int2>)]
    outcome: Option<i16>,
}

/// Writes words on rows that have none, and counts them in `shard`.
pub fn write_words(conn: &mut PgConnection, settled: &[&Settled], shard: i16, now: DateTime<Utc>) -> QueryResult<()> {
    let mut columns = (vec![], vec![], vec![], vec![], vec![], vec![], vec![]);
    for it in settled {
        let (word, detail, provider_ref) = match &it.fate {
            Fate::Accepted { provider_ref } => (Word::ACCEPTED, None, provider_ref.as_deref()),
            Fate::Final { outcome, detail } => (Word::finally(*outcome), detail.as_deref(), None),
            Fate::Later { .. } => continue,
        };
        columns.0.push(it.run.0);
        columns.1.push(it.seq);
        columns.2.push(word.progress);
        columns.3.push(word.outcome.map(Outcome::code));
        columns.4.push(it.attempt);
        columns.5.push(detail);
        columns.6.push(provider_ref);
    }
    if columns.0.is_empty() {
        return Ok(());
    }
    let settle = diesel::sql_query(include_str!("settle.sql"))
        .bind::<Array<Int8>, _>(columns.0)
        .bind::<Array<Int4>, _>(columns.1)
        .bind::<Array<Nullable<Int2>>, _>(columns.2)
        .bind::<Array<Nullable<Int2>>, _>(columns.3)
        .bind::<Array<Int2>, _>(columns.4)
        .bind::<Array<Nullable<Text>>, _>(columns.5)
        .bind::<Array<Nullable<Text>>, _>(columns.6)
        .bind::<Timestamptz, _>(now);
    let written: Vec<Written> = Prepared(settle).load(conn)?;
    let mut tally: BTreeMap<RunId, Counts> = BTreeMap::new();
    for row in written {
        let word = Word { progress: row.progress, outcome: row.outcome.and_then(Outcome::of_code) };
        tally.entry(RunId(row.run_id)).or_default().add(word, 1);
    }
    count(conn, &tally, shard)
}

/// Notes that these deliveries begin conversations: a bot spoke in them, then.
pub fn open(conn: &mut PgConnection, begun: &[(RunId, i32, DateTime<Utc>)]) -> QueryResult<()> {
    if begun.is_empty() {
        return Ok(());
    }
    insert_openings(conn, begun, "INSERT INTO openings (run_id, seq, at) SELECT u.* FROM u ON CONFLICT DO NOTHING")
}

/// The same for deliveries that a receipt has proven, of which some may be no bot's.
pub fn open_proven(conn: &mut PgConnection, proven: &[(RunId, i32, DateTime<Utc>)]) -> QueryResult<()> {
    if proven.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO openings (run_id, seq, at)
               SELECT u.* FROM u JOIN schedule_runs r ON r.id = u.run_id AND r.bot_id IS NOT NULL AND r.purpose = 'campaign'
               WHERE NOT EXISTS (SELECT FROM conversations v WHERE v.run_id = u.run_id AND v.seq = u.seq)
               ON CONFLICT DO NOTHING";
    insert_openings(conn, proven, sql)
}

fn insert_openings(
    conn: &mut PgConnection,
    of: &[(RunId, i32, DateTime<Utc>)],
    insert: &'static str,
) -> QueryResult<()> {
    let (mut runs, mut seqs, mut ats) = (Vec::new(), Vec::new(), Vec::new());
    for (run, seq, at) in of {
        runs.push(run.0);
        seqs.push(*seq);
        ats.push(*at);
    }
    let rows =
        "WITH u AS (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[]) AS u (run_id, seq, at)) ";
    let query = diesel::sql_query(format!("{rows}{insert}"))
        .bind::<Array<Int8>, _>(runs)
        .bind::<Array<Int4>, _>(seqs)
        .bind::<Array<Timestamptz>, _>(ats);
    query.execute(conn).map(drop)
}

/// Whose opt-outs these are, told by the provider that refused them.
pub fn learnt_of(conn: &mut PgConnection, parts: &[PartId]) -> QueryResult<Vec<Learnt>> {
    let mut learnt = Vec::new();
    for part in parts {
        let contact = deliveries::table.find((part.run.0, part.seq)).select(deliveries::contact_id).first(conn)?;
        let channel = schedule_runs::table.find(part.run.0).select(schedule_runs::channel_id).first(conn)?;
        learnt.push(Learnt { contact: ContactId(contact), channel: ChannelId(channel), part: part.to_string() });
    }
    Ok(learnt)
}

/// Puts contacts back for another try. One about which a receipt knows already is left alone.
pub fn write_retries(conn: &mut PgConnection, settled: &[&Settled], shard: i16) -> QueryResult<()> {
    let mut tally: BTreeMap<RunId, Counts> = BTreeMap::new();
    for it in settled {
        let Fate::Later { at, refused, detail } = &it.fate else { continue };
        // Locked, so that no receipt settles it meanwhile: it would be sent once more.
        let settled: Option<Option<DateTime<Utc>>> = deliveries::table
            .find((it.run.0, it.seq))
            .select(deliveries::settled_at)
            .for_no_key_update()
            .first(conn)
            .optional()?;
        if settled != Some(None) {
            continue;
        }
        diesel::insert_into(retries::table)
            .values((
                retries::run_id.eq(it.run.0),
                retries::seq.eq(it.seq),
                retries::attempt.eq(it.attempt.saturating_add(1)),
                retries::due_at.eq(at),
                retries::detail.eq(detail),
                retries::refusals.eq(it.refusals + i16::from(*refused)),
            ))
            .execute(conn)?;
        tally.entry(it.run).or_default().retrying += 1;
    }
    count(conn, &tally, shard)
}

/// Adds to the tallies, run by run in one order, so that two writers never wait for each other in a ring.
pub fn count(conn: &mut PgConnection, tally: &BTreeMap<RunId, Counts>, shard: i16) -> QueryResult<()> {
    let mut columns = (vec![], vec![], vec![], vec![], vec![], vec![], vec![]);
    for (run, counts) in tally {
        columns.0.push(run.0);
        columns.1.push(counts.accepted);
        columns.2.push(counts.delivered);
        columns.3.push(counts.failed);
        columns.4.push(counts.skipped);
        columns.5.push(counts.unconfirmed);
        columns.6.push(counts.retrying);
    }
    if columns.0.is_empty() {
        return Ok(());
    }
    let add = diesel::sql_query(
        "INSERT INTO tallies (run_id, shard, accepted, delivered, failed, skipped, unconfirmed, retrying)
         SELECT u.run_id, $8, u.a, u.d, u.f, u.s, u.u, u.r
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
              AS u (run_id, a, d, f, s, u, r)
         ORDER BY u.run_id
         ON CONFLICT (run_id, shard) DO UPDATE SET
             accepted = tallies.accepted + EXCLUDED.accepted, delivered = tallies.delivered + EXCLUDED.delivered,
             failed = tallies.failed + EXCLUDED.failed, skipped = tallies.skipped + EXCLUDED.skipped,
             unconfirmed = tallies.unconfirmed + EXCLUDED.unconfirmed, retrying = tallies.retrying + EXCLUDED.retrying",
    )
    .bind::<Array<Int8>, _>(columns.0)
    .bind::<Array<Int8>, _>(columns.1)
    .bind::<Array<Int8>, _>(columns.2)
    .bind::<Array<Int8>, _>(columns.3)
    .bind::<Array<Int8>, _>(columns.4)
    .bind::<Array<Int8>, _>(columns.5)
    .bind::<Array<Int8>, _>(columns.6)
    .bind::<Int2, _>(shard);
    Prepared(add).execute(conn).map(drop)
}

/// The next contact to claim of each of these runs that goes through the channel.
pub fn cursors(
    conn: &mut PgConnection,
    channel: ChannelId,
    runs: impl Iterator<Item = RunId>,
) -> QueryResult<BTreeMap<RunId, i32>> {
    let ids: Vec<i64> = runs.map(|run| run.0).collect();
    let rows: Vec<(i64, i32)> = schedule_runs::table
        .filter(schedule_runs::id.eq_any(ids))
        .filter(schedule_runs::channel_id.eq(channel.0))
        .select((schedule_runs::id, schedule_runs::next_seq))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, next_seq)| (RunId(id), next_seq)).collect())
}

/// What is known about one delivery, locked. `None` when there is no such delivery.
pub fn lock_word(conn: &mut PgConnection, part: PartId) -> QueryResult<Option<Word>> {
    let known: Option<(Option<i16>, Option<i16>)> = deliveries::table
        .find((part.run.0, part.seq))
        .select((deliveries::progress, deliveries::outcome))
        .for_no_key_update()
        .first(conn)
        .optional()?;
    Ok(known.map(|(progress, outcome)| Word { progress, outcome: outcome.and_then(Outcome::of_code) }))
}

/// Overwrites what is known about one delivery.
pub fn set_word(
    conn: &mut PgConnection,
    part: PartId,
    word: Word,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(deliveries::table.find((part.run.0, part.seq)))
        .set((
            deliveries::progress.eq(word.progress),
            deliveries::outcome.eq(word.outcome.map(Outcome::code)),
            deliveries::attempt.eq(part.attempt),
            deliveries::detail.eq(detail),
            deliveries::settled_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Takes a contact off the list of second tries. Returns whether it was on it.
pub fn drop_retry(conn: &mut PgConnection, part: PartId) -> QueryResult<bool> {
    diesel::delete(retries::table.find((part.run.0, part.seq))).execute(conn).map(|n| n == 1)
}

// ---- preparing and rescuing ---------------------------------------------------

/// Makes the one who calls first the only one to prepare this run until its transaction ends.
pub fn try_reserve_preparation(conn: &mut PgConnection, run: RunId) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Mine {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        mine: bool,
    }
    diesel::sql_query("SELECT pg_try_advisory_xact_lock(7305814, ($1 % 2147483647)::integer) AS mine")
        .bind::<Int8, _>(run.0)
        .get_result::<Mine>(conn)
        .map(|it| it.mine)
}

/// Writes a delivery for each contact of the file. Returns how many.
pub fn prepare(conn: &mut PgConnection, run: RunId, file: FileId) -> QueryResult<usize> {
    diesel::sql_query(include_str!("prepare.sql")).bind::<Int8, _>(run.0).bind::<Int8, _>(file.0).execute(conn)
}

/// Writes a delivery for each contact of the file whose field `by` has one of these
/// values, numbered after `before`. Returns how many.
pub fn prepare_group(
    conn: &mut PgConnection,
    run: RunId,
    file: FileId,
    by: &str,
    values: &[String],
    before: i32,
) -> QueryResult<usize> {
    diesel::sql_query(include_str!("prepare_group.sql"))
        .bind::<Int8, _>(run.0)
        .bind::<Int8, _>(file.0)
        .bind::<Text, _>(by)
        .bind::<Array<Text>, _>(values)
        .bind::<Int4, _>(before)
        .execute(conn)
}

/// Writes a delivery that is not to be sent for each contact of the file whose field
/// `by` has none of these values. Returns how many.
pub fn prepare_unserved(
    conn: &mut PgConnection,
    run: RunId,
    file: FileId,
    by: &str,
    values: &[String],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query(include_str!("prepare_unserved.sql"))
        .bind::<Int8, _>(run.0)
        .bind::<Int8, _>(file.0)
        .bind::<Text, _>(by)
        .bind::<Array<Text>, _>(values)
        .bind::<Timestamptz, _>(now)
        .execute(conn)
}

/// Settles what a locked run has not sent as replaced and moves its cursor behind it.
/// Returns how many, and how many of them had been held.
pub fn replace_unsent(
    conn: &mut PgConnection,
    run: RunId,
    next_seq: i32,
    now: DateTime<Utc>,
) -> QueryResult<(i64, i64)> {
    #[derive(QueryableByName)]
    struct Replaced {
        #[diesel(sql_type = Int8)]
        n: i64,
        #[diesel(sql_type = Int8)]
        held: i64,
    }
    let replaced: Replaced = diesel::sql_query(include_str!("replace_unsent.sql"))
        .bind::<Int8, _>(run.0)
        .bind::<Int4, _>(next_seq)
        .bind::<Timestamptz, _>(now)
        .get_result(conn)?;
    Ok((replaced.n, replaced.held))
}

/// How many contacts a file has, of one group if one is named: a field and its values.
pub fn count_rows(conn: &mut PgConnection, file: FileId, group: Option<(&str, &[String])>) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct N {
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let (by, values) = group.unzip();
    diesel::sql_query(
        "SELECT count(*) AS n FROM file_rows WHERE file_id = $1 AND ($2 IS NULL OR \"values\" ->> $2 = ANY ($3))",
    )
    .bind::<Int8, _>(file.0)
    .bind::<Nullable<Text>, _>(by)
    .bind::<Nullable<Array<Text>>, _>(values)
    .get_result::<N>(conn)
    .map(|it| it.n)
}

/// Writes a delivery into a locked run for each contact of the file, of one group if one
/// is named, that neither it nor a run beside it has. Returns how many.
pub fn append(
    conn: &mut PgConnection,
    run: &Run,
    file: FileId,
    group: Option<(&str, &[String])>,
    beside: &[RunId],
) -> QueryResult<i64> {
    let (by, values) = group.unzip();
    let mut looked_at: Vec<i64> = beside.iter().map(|run| run.0).collect();
    looked_at.push(run.id.0);
    diesel::sql_query(include_str!("append.sql"))
        .bind::<Int8, _>(run.id.0)
        .bind::<Int8, _>(file.0)
        .bind::<Int4, _>(run.last_seq)
        .bind::<Nullable<Text>, _>(by)
        .bind::<Nullable<Array<Text>>, _>(values)
        .bind::<Array<Int8>, _>(looked_at)
        .execute(conn)
        .map(|n| n as i64)
}

/// Writes a delivery for each contact on the lists of the run's campaign: those frozen
/// at its launch, or whoever is on them now. Returns how many.
pub fn prepare_lists(conn: &mut PgConnection, run: &Run) -> QueryResult<usize> {
    let freeze: String = campaigns::table.find(run.campaign_id.0).select(campaigns::freeze).first(conn)?;
    if freeze == "launch" {
        return diesel::sql_query(include_str!("prepare_frozen.sql"))
            .bind::<Int8, _>(run.id.0)
            .bind::<Int8, _>(run.campaign_id.0)
            .execute(conn);
    }
    let lists: Vec<(i64, String)> = campaign_lists::table
        .filter(campaign_lists::campaign_id.eq(run.campaign_id.0))
        .select((campaign_lists::list_id, campaign_lists::role))
        .load(conn)?;
    let with =
        |role: &str| -> Vec<ListId> { lists.iter().filter(|(_, it)| it == role).map(|(id, _)| ListId(*id)).collect() };
    let (include, exclude) = (with("include"), with("exclude"));
    match lists::store::kind_of(conn, &include)? {
        Some(kind) => lists::store::insert_audience(conn, &include, &exclude, kind, AudienceTarget::Run(run.id)),
        None => Ok(0),
    }
}

/// The names of the values that contacts of a run have.
pub fn fields_of_run(conn: &mut PgConnection, run: RunId) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Field {
        #[diesel(sql_type = Text)]
        field: String,
    }
    let rows: Vec<Field> = diesel::sql_query(
        "SELECT DISTINCT f.field FROM deliveries d CROSS JOIN jsonb_object_keys(d.\"values\") AS f (field)
         WHERE d.run_id = $1 ORDER BY 1",
    )
    .bind::<Int8, _>(run.0)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.field).collect())
}

/// An expired lease with sends that never settled, locked; passes over those another process has.
pub fn lock_expired_lease(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Option<(LeaseId, RunId)>> {
    leases::table
        .filter(leases::open.gt(0))
        .filter(leases::expires_at.le(now))
        .order(leases::id)
        .select((leases::id, leases::run_id.assume_not_null()))
        .for_update()
        .skip_locked()
        .first(conn)
        .optional()
        .map(|found| found.map(|(lease, run): (i64, i64)| (LeaseId(lease), RunId(run))))
}

/// Marks what an expired lease left behind as unconfirmed and closes it. Returns how many contacts.
pub fn rescue(conn: &mut PgConnection, lease: LeaseId, now: DateTime<Utc>) -> QueryResult<usize> {
    let n = diesel::sql_query(include_str!("rescue.sql"))
        .bind::<Int8, _>(lease.0)
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    // When those began that nobody will tell about is not known: as late as they could.
    diesel::sql_query("UPDATE leases SET open = 0, begun_at = greatest(begun_at, taken_at + $2) WHERE id = $1")
        .bind::<Int8, _>(lease.0)
        .bind::<Interval, _>(LATEST)
        .execute(conn)?;
    Ok(n)
}

// ---- lost history --------------------------------------------------------------

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Int8)]
    n: i64,
}

/// Moves the cursor of a locked run to `next_seq` and marks the contacts it passes unconfirmed.
/// Returns how many.
pub fn lose(conn: &mut PgConnection, run: RunId, next_seq: i32, now: DateTime<Utc>) -> QueryResult<i64> {
    diesel::sql_query(include_str!("lose.sql"))
        .bind::<Int8, _>(run.0)
        .bind::<Int4, _>(next_seq)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(LOST)
        .get_result::<Count>(conn)
        .map(|it| it.n)
}

/// Contacts of a run that may have had another try.
#[derive(QueryableByName)]
pub struct LostWaiting {
    #[diesel(sql_type = Int8)]
    pub run_id: i64,
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
    diesel::sql_query(include_str!("send_again.sql"))
        .bind::<Int8, _>(run.0)
        .bind::<Timestamptz, _>(since)
        .bind::<Text, _>(LOST)
        .bind::<Timestamptz, _>(now)
        .get_result::<Count>(conn)
        .map(|it| it.n)
}

// ---- asking ------------------------------------------------------------------

/// The counts of each of these runs, from the cursor and the tallies.
pub fn counts(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<BTreeMap<RunId, Counts>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Int8)]
        id: i64,
        #[diesel(sql_type = Int4)]
        next_seq: i32,
        #[diesel(sql_type = Int4)]
        last_seq: i32,
        #[diesel(sql_type = Int8)]
        accepted: i64,
        #[diesel(sql_type = Int8)]
        delivered: i64,
        #[diesel(sql_type = Int8)]
        failed: i64,
        #[diesel(sql_type = Int8)]
        skipped: i64,
        #[diesel(sql_type = Int8)]
        unconfirmed: i64,
        #[diesel(sql_type = Int8)]
        retrying: i64,
    }
    let ids: Vec<i64> = runs.iter().map(|run| run.0).collect();
    let count = diesel::sql_query(include_str!("counts.sql")).bind::<Array<Int8>, _>(ids);
    let rows: Vec<Row> = Prepared(count).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let counts = Counts {
                audience: row.last_seq.into(),
                unclaimed: (row.last_seq - row.next_seq + 1).into(),
                accepted: row.accepted,
                delivered: row.delivered,
                failed: row.failed,
                skipped: row.skipped,
                unconfirmed: row.unconfirmed,
                retrying: row.retrying,
            };
            (RunId(row.id), counts)
        })
        .collect())
}

/// Contacts of a run that were passed or tried and come round again.
pub fn waiting(conn: &mut PgConnection, run: RunId) -> QueryResult<i64> {
    retries::table.filter(retries::run_id.eq(run.0)).count().get_result(conn)
}

/// The counts of one run.
pub fn counts_of(conn: &mut PgConnection, run: RunId) -> QueryResult<Counts> {
    counts(conn, &[run])?.remove(&run).ok_or(diesel::result::Error::NotFound)
}

/// What a stop or a pause covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Schedule(i64),
    Campaign(i64),
    Everything,
}

impl Scope {
    /// The schedule or the campaign that it is.
    fn ids(self) -> (Option<i64>, Option<i64>) {
        match self {
            Scope::Schedule(id) => (Some(id), None),
            Scope::Campaign(id) => (None, Some(id)),
            Scope::Everything => (None, None),
        }
    }
}

/// A send that has begun and not settled.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct InFlight {
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub customer_id: Option<String>,
    #[diesel(sql_type = Text)]
    pub run: String,
    /// By then its fate is known, or given up as unconfirmed.
    #[diesel(sql_type = Timestamptz)]
    pub deadline: DateTime<Utc>,
}

/// How many sends in the scope have not settled: those that [`in_flight`] names. Not what
/// leases have open: a receipt may have come before the result, which then changes nothing.
pub fn n_in_flight(conn: &mut PgConnection, scope: Scope) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct N {
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let (schedule, campaign) = scope.ids();
    let count = diesel::sql_query(concat!("SELECT count(*) AS n FROM (", include_str!("in_flight.sql"), ") f"))
        .bind::<Nullable<Int8>, _>(schedule)
        .bind::<Nullable<Int8>, _>(campaign)
        .bind::<Nullable<Int8>, _>(None::<i64>);
    Prepared(count).get_result::<N>(conn).map(|it| it.n)
}

/// The sends in the scope that have not settled, by name, up to `limit`.
pub fn in_flight(conn: &mut PgConnection, scope: Scope, limit: i64) -> QueryResult<Vec<InFlight>> {
    let (schedule, campaign) = scope.ids();
    diesel::sql_query(include_str!("in_flight.sql"))
        .bind::<Nullable<Int8>, _>(schedule)
        .bind::<Nullable<Int8>, _>(campaign)
        .bind::<Nullable<Int8>, _>(Some(limit))
        .load(conn)
}

/// Sends begun per minute of a run, for the bars of its picture.
pub fn per_minute(conn: &mut PgConnection, run: RunId) -> QueryResult<Vec<(DateTime<Utc>, i64)>> {
    #[derive(QueryableByName)]
    struct Bar {
        #[diesel(sql_type = Timestamptz)]
        minute: DateTime<Utc>,
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    diesel::sql_query(
        "SELECT date_trunc('minute', taken_at) AS minute, sum(coalesce(cardinality(seqs), hi - lo + 1))::bigint AS n
         FROM leases WHERE run_id = $1 GROUP BY 1 ORDER BY 1",
    )
    .bind::<Int8, _>(run.0)
    .load::<Bar>(conn)
    .map(|bars| bars.into_iter().map(|bar| (bar.minute, bar.n)).collect())
}
