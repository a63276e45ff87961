//! store: How far runs are, and what of them is on the wire.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int4, Int8, Nullable, Text, Timestamptz};

use super::{Counts, Outcome};
use crate::db::schema::{leases, outcome_tallies, retries};
use crate::db::{N, Prepared};
use crate::ids::{CampaignId, RunId, ScheduleId};
use crate::runs::{Run, RunState};

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
    let tried = retries::table.filter(retries::run_id.eq(run.id)).filter(retries::attempt.gt(1));
    let later: i64 = tried.count().get_result(conn)?;
    let last_claimed = last_claimed(conn, &[run.id])?.remove(&run.id);
    let failed = counts.failed + counts.unconfirmed;
    Ok(Firsts { failed, open: counts.in_flight() + counts.accepted + later, last_claimed })
}

/// When the last of each of these runs' contacts was claimed for the first time.
pub fn last_claimed(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<HashMap<RunId, DateTime<Utc>>> {
    let rows: Vec<(RunId, Option<DateTime<Utc>>)> = leases::table
        .filter(leases::run_id.eq_any(runs))
        .filter(leases::attempt.eq(1))
        .group_by(leases::run_id)
        .select((leases::run_id, diesel::dsl::max(leases::taken_at)))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(run, at)| Some((run, at?))).collect())
}

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
        #[diesel(sql_type = Int8)]
        no_group: i64,
    }
    let count = diesel::sql_query(include_str!("counts.sql")).bind::<Array<Int8>, _>(runs);
    let rows: Vec<Row> = Prepared(count).load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let counts = Counts {
                audience: i64::from(row.last_seq) - row.no_group,
                unclaimed: (row.last_seq - row.next_seq + 1).into(),
                accepted: row.accepted,
                delivered: row.delivered,
                failed: row.failed,
                skipped: row.skipped - row.no_group,
                unconfirmed: row.unconfirmed,
                retrying: row.retrying,
                no_group: row.no_group,
            };
            (RunId(row.id), counts)
        })
        .collect())
}

/// Contacts of a run that were passed or tried and come round again.
pub fn waiting(conn: &mut PgConnection, run: RunId) -> QueryResult<i64> {
    retries::table.filter(retries::run_id.eq(run)).count().get_result(conn)
}

/// The counts of one run.
pub fn counts_of(conn: &mut PgConnection, run: RunId) -> QueryResult<Counts> {
    counts(conn, &[run])?.remove(&run).ok_or(diesel::result::Error::NotFound)
}

/// How often each outcome occurs in a run with these counts, those that do not occur left out.
pub fn outcomes(conn: &mut PgConnection, run: &Run, counts: &Counts) -> QueryResult<Vec<(Outcome, i64)>> {
    let kept: Vec<(i16, i64)> = outcome_tallies::table
        .filter(outcome_tallies::run_id.eq(run.id))
        .select((outcome_tallies::outcome, outcome_tallies::n))
        .load(conn)?;
    let mut outcomes: BTreeMap<Outcome, i64> = BTreeMap::new();
    for (code, n) in kept {
        let Some(outcome) = Outcome::of_code(code) else { continue };
        *outcomes.entry(outcome).or_default() += n;
    }
    outcomes.insert(Outcome::Delivered, counts.delivered);
    outcomes.insert(Outcome::Unconfirmed, counts.unconfirmed);
    match run.state {
        RunState::Overrun { .. } => drop(outcomes.insert(Outcome::Overrun, counts.unsent())),
        RunState::Stopped { .. } => drop(outcomes.insert(Outcome::Stopped, counts.unsent())),
        RunState::Waiting | RunState::Running | RunState::Paused { .. } | RunState::Completed { .. } => {}
    }
    Ok(outcomes.into_iter().filter(|(_, n)| *n > 0).collect())
}

/// What a stop or a pause covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Schedule(ScheduleId),
    Campaign(CampaignId),
    Everything,
}

impl Scope {
    /// The schedule or the campaign that it is.
    fn ids(self) -> (Option<ScheduleId>, Option<CampaignId>) {
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
