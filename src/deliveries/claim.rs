//! store: What a claim asks and writes, and what decides who is in it.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, Bool, Float8, Int2, Int4, Int8, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use uuid::Uuid;

use super::settle::count;
use super::{Claim, ClaimedContact, CountChange, LEASE, Lease, Outcome};
use crate::channels::room::LatelyRow;
use crate::db::locks::{self, Lock};
use crate::db::schema::{campaigns, leases, replacements, retries, schedule_runs};
use crate::db::{N, Prepared};
use crate::ids::{ContactId, LeaseId, RunId};
use crate::pacing::{LATEST, Lately, SendClock};
use crate::providers::key::DeliveryKey;
use crate::runs::Run;

/// The stretch over which rates and limits are measured.
const MINUTE: TimeDelta = TimeDelta::seconds(60);

/// Sends of the run within the last minute, its catch-up burst not counted.
pub fn lately(conn: &mut PgConnection, run: &Run, now: DateTime<Utc>) -> QueryResult<Lately> {
    let ask = diesel::sql_query(include_str!("lately.sql"))
        .bind::<Int8, _>(run.id)
        .bind::<Timestamptz, _>(now - MINUTE)
        .bind::<Timestamptz, _>(now - MINUTE - LATEST)
        .bind::<Int8, _>(run.burst)
        .bind::<Interval, _>(LATEST);
    let row: LatelyRow = Prepared(ask).get_result(conn)?;
    Ok(row.read(run.released, run.burst))
}

/// How much a run may claim now of its part of a channel's limit, in messages a minute.
pub fn left_of_part(conn: &mut PgConnection, run: &Run, part: f64, now: DateTime<Utc>) -> QueryResult<i64> {
    // A part of less than one a minute is one in several minutes.
    let minutes = (1.0 / part.max(1e-6)).max(1.0);
    let stretch = TimeDelta::microseconds((minutes * 60e6) as i64);
    let first: Option<i64> = leases::table
        .filter(leases::run_id.eq(run.id))
        .filter(leases::taken_at.gt(now - stretch))
        .order((leases::taken_at, leases::id))
        .select(leases::released_before)
        .first(conn)
        .optional()?;
    let recent = first.map_or(0, |before| run.released - before);
    Ok((part * minutes - 1e-9).ceil() as i64 - recent)
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
    locks::skip(Lock::Retry);
    let first = if tried_only { 2 } else { 1 };
    retries::table
        .filter(retries::run_id.eq(run))
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
    contact_id: ContactId,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Jsonb)]
    values: serde_json::Value,
    #[diesel(sql_type = Nullable<Text>)]
    replaced: Option<String>,
}

/// Writes a claim. The caller holds the run's row. `clock` and `released` are the
/// run's after and before it.
pub fn claim(
    conn: &mut PgConnection,
    run: &Run,
    take: &Take<'_>,
    clock: &SendClock,
    released: i64,
    by: Claimer,
) -> QueryResult<Claim> {
    let (sql, attempt) = match *take {
        Take::Fresh { .. } => (include_str!("claim.sql"), 1),
        Take::Set { attempt, .. } => (include_str!("claim_set.sql"), attempt),
    };
    let query = diesel::sql_query(sql).bind::<Int8, _>(run.id);
    let query = match *take {
        Take::Fresh { lo, hi } => query.into_boxed().bind::<Int4, _>(lo).bind::<Int4, _>(hi),
        Take::Set { seqs, .. } => query.into_boxed().bind::<Array<Int4>, _>(seqs).bind::<Int2, _>(attempt),
    };
    let query = query
        .bind::<Float8, _>(clock.base)
        .bind::<Timestamptz, _>(clock.since)
        .bind::<Int8, _>(released)
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
            .map(|row| ClaimedContact {
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
    let contacts: Vec<ContactId> =
        claims.iter().flat_map(|claim| &claim.contacts).map(|contact| contact.contact).collect();
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
pub fn barred(
    conn: &mut PgConnection,
    contacts: &[ContactId],
    now: DateTime<Utc>,
) -> QueryResult<HashMap<ContactId, Outcome>> {
    #[derive(QueryableByName)]
    struct Barred {
        #[diesel(sql_type = Int8)]
        id: ContactId,
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

pub(super) fn fields_of(values: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match values {
        serde_json::Value::Object(values) => values,
        _ => serde_json::Map::new(),
    }
}

/// A contact whose turn it is.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub seq: i32,
    /// The try that is its turn, from 1.
    pub attempt: i16,
    pub contact: ContactId,
    pub address: String,
    /// Field name to text.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// Set when somebody put another run in this one's place.
    pub replaced: Option<String>,
}

#[derive(QueryableByName)]
struct CandidateRow {
    #[diesel(sql_type = Int4)]
    seq: i32,
    #[diesel(sql_type = Int8)]
    contact_id: ContactId,
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
    let query = diesel::sql_query(include_str!("candidates.sql")).bind::<Int8, _>(run).bind::<Array<Int4>, _>(seqs);
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

/// Makes every other claim that asks about one of these contacts wait until this
/// transaction ends. In one order, so that no two claims wait for each other.
pub fn lock_contacts(conn: &mut PgConnection, contacts: &[ContactId]) -> QueryResult<()> {
    locks::take(Lock::Lately);
    let mut keys: Vec<i32> = contacts.iter().map(|contact| (contact.0 % i64::from(i32::MAX)) as i32).collect();
    keys.sort_unstable();
    keys.dedup();
    let lock = diesel::sql_query("SELECT pg_advisory_xact_lock($2, u.key) FROM unnest($1::integer[]) AS u (key)")
        .bind::<Array<Int4>, _>(keys)
        .bind::<Int4, _>(locks::number::LATELY);
    Prepared(lock).execute(conn).map(drop)
}

/// How many messages these contacts got since then, over all campaigns; none is not among them.
pub fn sent_lately(
    conn: &mut PgConnection,
    contacts: &[ContactId],
    since: DateTime<Utc>,
) -> QueryResult<HashMap<ContactId, i64>> {
    #[derive(QueryableByName)]
    struct Sent {
        #[diesel(sql_type = Int8)]
        contact_id: ContactId,
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
    pub contact_id: ContactId,
    #[diesel(sql_type = Int8)]
    pub run_id: RunId,
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
    contacts: &[ContactId],
    now: DateTime<Utc>,
) -> QueryResult<Vec<Elsewhere>> {
    let query = diesel::sql_query(include_str!("elsewhere.sql"))
        .bind::<Array<Int8>, _>(contacts)
        .bind::<Int8, _>(run.campaign_id)
        .bind::<Timestamptz, _>(now);
    Prepared(query).load(conn)
}

pub fn campaign_name(conn: &mut PgConnection, run: &Run) -> QueryResult<String> {
    campaigns::table.find(run.campaign_id).select(campaigns::name).first(conn)
}

/// Notes that somebody else's contacts shall not be sent to when their turn comes.
pub fn replace(conn: &mut PgConnection, theirs: &[(RunId, i32)], why: &str, now: DateTime<Utc>) -> QueryResult<()> {
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
    diesel::update(schedule_runs::table.find(run))
        .set((
            schedule_runs::next_seq.eq(next_seq),
            schedule_runs::passed_over.eq(schedule_runs::passed_over + passed_over),
        ))
        .execute(conn)
        .map(drop)
}

/// Takes contacts off the list of those that wait. Returns how often each of them was refused already.
pub fn wait_no_more(conn: &mut PgConnection, run: RunId, seqs: &[i32]) -> QueryResult<HashMap<i32, i16>> {
    let waiting = retries::table.filter(retries::run_id.eq(run)).filter(retries::seq.eq_any(seqs));
    let refused: Vec<(i32, i16)> =
        diesel::delete(waiting).returning((retries::seq, retries::refusals)).get_results(conn)?;
    let change = CountChange::retrying(-(refused.len() as i64));
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
    .bind::<Int8, _>(run)
    .bind::<Array<Int4>, _>(seqs)
    .bind::<Array<Int2>, _>(attempts)
    .bind::<Array<Timestamptz>, _>(untils)
    .bind::<Array<Text>, _>(details);
    let new: N = Prepared(hold).get_result(conn)?;
    let change = CountChange::retrying(new.n);
    count(conn, &BTreeMap::from([(run, change)]), 0)
}

/// Which of these parts were never sent, because their contacts still wait for their first try.
pub fn held_parts(conn: &mut PgConnection, parts: &[DeliveryKey]) -> QueryResult<HashSet<(RunId, i32)>> {
    #[derive(QueryableByName)]
    struct Part {
        #[diesel(sql_type = Int8)]
        run_id: RunId,
        #[diesel(sql_type = Int4)]
        seq: i32,
    }
    let (runs, seqs): (Vec<RunId>, Vec<i32>) = parts.iter().map(|part| (part.run, part.seq)).unzip();
    let query = diesel::sql_query(
        "SELECT t.run_id, t.seq FROM unnest($1::bigint[], $2::integer[]) AS u (run_id, seq)
         JOIN retries t ON t.run_id = u.run_id AND t.seq = u.seq AND t.attempt = 1",
    )
    .bind::<Array<Int8>, _>(runs)
    .bind::<Array<Int4>, _>(seqs);
    let rows: Vec<Part> = Prepared(query).load(conn)?;
    Ok(rows.into_iter().map(|part| (part.run_id, part.seq)).collect())
}
