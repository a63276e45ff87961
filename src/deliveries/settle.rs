//! store: What becomes of sends, in the ledger and its tallies.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int2, Int4, Int8, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::{CountChange, Fate, Lease, Outcome, Settled, Word};
use crate::consent::store::Learnt;
use crate::db::Prepared;
use crate::db::locks::{self, Lock};
use crate::db::schema::{deliveries, leases, retries, schedule_runs};
use crate::ids::{ChannelId, ContactId, LeaseId, RunId};
use crate::providers::key::DeliveryKey;

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
    let ids: Vec<LeaseId> = closed.keys().map(|lease| lease.id).collect();
    let (ns, begun): (Vec<i32>, Vec<Option<DateTime<Utc>>>) = closed.values().map(|it| (it.sends, it.begun_at)).unzip();
    let (processes, taken): (Vec<Uuid>, Vec<DateTime<Utc>>) =
        closed.keys().map(|lease| (lease.process, lease.taken_at)).unzip();
    let close = diesel::sql_query(
        "UPDATE leases l SET open = l.open - u.n, last_batch = $3, begun_at = greatest(l.begun_at, u.begun_at)
         FROM unnest($1::bigint[], $2::integer[], $4::timestamptz[], $5::uuid[], $6::timestamptz[])
              AS u (id, n, begun_at, process, taken_at)
         WHERE l.id = ANY ($1) AND l.id = u.id AND l.process = u.process AND l.taken_at = u.taken_at
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
    let ids: Vec<LeaseId> = leases.collect();
    let open = leases::table.filter(leases::id.eq_any(ids)).filter(leases::open.gt(0));
    diesel::select(diesel::dsl::not(diesel::dsl::exists(open))).get_result(conn)
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Int8)]
    run_id: RunId,
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
    let mut changes: BTreeMap<RunId, CountChange> = BTreeMap::new();
    for row in written {
        let word = Word { progress: row.progress, outcome: row.outcome.and_then(Outcome::of_code) };
        changes.entry(row.run_id).or_default().add(word, 1);
    }
    count(conn, &changes, shard)
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
               SELECT u.* FROM u JOIN real_runs r ON r.id = u.run_id AND r.bot_id IS NOT NULL
               WHERE NOT EXISTS (SELECT FROM conversations v WHERE v.run_id = u.run_id AND v.seq = u.seq)
               ON CONFLICT DO NOTHING";
    insert_openings(conn, proven, sql)
}

pub(super) fn insert_openings(
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
pub fn learnt_of(conn: &mut PgConnection, parts: &[DeliveryKey]) -> QueryResult<Vec<Learnt>> {
    let mut learnt = Vec::new();
    for part in parts {
        let contact = deliveries::table.find((part.run, part.seq)).select(deliveries::contact_id).first(conn)?;
        let channel = schedule_runs::table.find(part.run).select(schedule_runs::channel_id).first(conn)?;
        learnt.push(Learnt { contact: ContactId(contact), channel: ChannelId(channel), part: part.to_string() });
    }
    Ok(learnt)
}

/// Puts contacts back for another try. One about which a receipt knows already is left alone.
pub fn write_retries(conn: &mut PgConnection, settled: &[&Settled], shard: i16) -> QueryResult<()> {
    locks::take(Lock::Delivery);
    let mut changes: BTreeMap<RunId, CountChange> = BTreeMap::new();
    for it in settled {
        let Fate::Later { at, refused, detail } = &it.fate else { continue };
        // Locked, so that no receipt settles it meanwhile: it would be sent once more.
        let settled: Option<Option<DateTime<Utc>>> = deliveries::table
            .find((it.run, it.seq))
            .select(deliveries::settled_at)
            .for_no_key_update()
            .first(conn)
            .optional()?;
        if settled != Some(None) {
            continue;
        }
        diesel::insert_into(retries::table)
            .values((
                retries::run_id.eq(it.run),
                retries::seq.eq(it.seq),
                retries::attempt.eq(it.attempt.saturating_add(1)),
                retries::due_at.eq(at),
                retries::detail.eq(detail),
                retries::refusals.eq(it.refusals + i16::from(*refused)),
            ))
            .execute(conn)?;
        changes.entry(it.run).or_default().counts.retrying += 1;
    }
    count(conn, &changes, shard)
}

/// Adds to the tallies, run by run in one order, so that two writers never wait for each other in a ring.
pub fn count(conn: &mut PgConnection, changes: &BTreeMap<RunId, CountChange>, shard: i16) -> QueryResult<()> {
    let mut columns = (vec![], vec![], vec![], vec![], vec![], vec![], vec![]);
    let mut outcomes = (vec![], vec![], vec![]);
    for (run, CountChange { counts, outcomes: single }) in changes {
        for (outcome, n) in single {
            outcomes.0.push(run.0);
            outcomes.1.push(outcome.code());
            outcomes.2.push(*n);
        }
        columns.0.push(run.0);
        columns.1.push(counts.accepted);
        columns.2.push(counts.delivered);
        columns.3.push(counts.failed);
        columns.4.push(counts.skipped + counts.no_group);
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
    Prepared(add).execute(conn)?;
    if outcomes.0.is_empty() {
        return Ok(());
    }
    let add = diesel::sql_query(
        "INSERT INTO outcome_tallies (run_id, shard, outcome, n)
         SELECT u.run_id, $4, u.outcome, u.n FROM unnest($1::bigint[], $2::smallint[], $3::bigint[]) AS u (run_id, outcome, n)
         ORDER BY u.run_id, u.outcome
         ON CONFLICT (run_id, shard, outcome) DO UPDATE SET n = outcome_tallies.n + EXCLUDED.n",
    )
    .bind::<Array<Int8>, _>(outcomes.0)
    .bind::<Array<Int2>, _>(outcomes.1)
    .bind::<Array<Int8>, _>(outcomes.2)
    .bind::<Int2, _>(shard);
    Prepared(add).execute(conn).map(drop)
}

/// The next contact to claim of each of these runs that goes through the channel.
pub fn cursors(
    conn: &mut PgConnection,
    channel: ChannelId,
    runs: impl Iterator<Item = RunId>,
) -> QueryResult<BTreeMap<RunId, i32>> {
    let ids: Vec<RunId> = runs.collect();
    let rows: Vec<(i64, i32)> = schedule_runs::table
        .filter(schedule_runs::id.eq_any(ids))
        .filter(schedule_runs::channel_id.eq(channel))
        .select((schedule_runs::id, schedule_runs::next_seq))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, next_seq)| (RunId(id), next_seq)).collect())
}

/// What is known about these deliveries of a run, locked in the order of their numbers. Those that do not
/// exist are not in it.
pub fn lock_words(conn: &mut PgConnection, run: RunId, seqs: &[i32]) -> QueryResult<BTreeMap<i32, Word>> {
    locks::take(Lock::Delivery);
    let known: Vec<(i32, Option<i16>, Option<i16>)> = deliveries::table
        .filter(deliveries::run_id.eq(run))
        .filter(deliveries::seq.eq_any(seqs))
        .order(deliveries::seq)
        .select((deliveries::seq, deliveries::progress, deliveries::outcome))
        .for_no_key_update()
        .load(conn)?;
    let word = |(seq, progress, outcome): (i32, _, Option<i16>)| {
        (seq, Word { progress, outcome: outcome.and_then(Outcome::of_code) })
    };
    Ok(known.into_iter().map(word).collect())
}

/// What has become known about a delivery.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a> {
    pub attempt: i16,
    pub word: Word,
    pub detail: Option<&'a str>,
}

/// Overwrites what is known about deliveries of a run, by their numbers. They are locked.
pub fn set_words(
    conn: &mut PgConnection,
    run: RunId,
    learned: &BTreeMap<i32, Learned<'_>>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    if learned.is_empty() {
        return Ok(());
    }
    let set = diesel::sql_query(include_str!("set_words.sql"))
        .bind::<Int8, _>(run)
        .bind::<Array<Int4>, _>(learned.keys().copied().collect::<Vec<_>>())
        .bind::<Array<Nullable<Int2>>, _>(learned.values().map(|it| it.word.progress).collect::<Vec<_>>())
        .bind::<Array<Nullable<Int2>>, _>(
            learned.values().map(|it| it.word.outcome.map(Outcome::code)).collect::<Vec<_>>(),
        )
        .bind::<Array<Int2>, _>(learned.values().map(|it| it.attempt).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(learned.values().map(|it| it.detail).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(now);
    Prepared(set).execute(conn).map(drop)
}

/// Takes contacts of a run off the list of second tries. Returns how many were on it.
pub fn drop_retries(conn: &mut PgConnection, run: RunId, seqs: &[i32]) -> QueryResult<i64> {
    let waiting = retries::table.filter(retries::run_id.eq(run)).filter(retries::seq.eq_any(seqs));
    diesel::delete(waiting).execute(conn).map(|n| n as i64)
}
