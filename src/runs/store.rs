//! Runs in Postgres.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{exists, not, sql};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};

use super::{Run, RunClock, RunState};
use crate::bots::domain::Pinned;
use crate::db::locks::{self, Lock};
use crate::db::schema::{campaigns, losses, retries, schedule_runs};
use crate::db::{Fixed, Prepared, fixed};
use crate::ids::{BotId, CampaignId, ChannelId, FileId, RunId, ScheduleId};
use crate::pacing::{Holds, LatePolicy, Rate, SendClock, Window};
use crate::schedules::Rules;
use crate::settings;
use crate::wording::FilledTemplate;

/// Whether it is a run that a campaign makes, and no test message. SQL that counts asks the
/// view `real_runs` instead.
pub fn is_real() -> Fixed<Bool> {
    fixed("schedule_runs.purpose = 'campaign'")
}

/// States of which [`RunState::has_ended`] says no.
const OPEN: [&str; 3] = ["waiting", "running", "paused"];

pub fn find(conn: &mut PgConnection, id: RunId) -> QueryResult<Run> {
    schedule_runs::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends: claims, pauses and stops alike.
pub fn lock(conn: &mut PgConnection, id: RunId) -> QueryResult<Run> {
    locks::take(Lock::Run);
    schedule_runs::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// Like [`lock`], if it is running and not everything is held; `None` otherwise. This is where a
/// claim feels a pause or a stop, and lost history. With it, whether somebody waits whose turn has
/// come round at `now`.
pub fn lock_running(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> QueryResult<Option<(Run, bool)>> {
    locks::take(Lock::Run);
    let comes_round = exists(retries::table.filter(retries::run_id.eq(id)).filter(retries::due_at.le(now)));
    let found: Option<(Row, bool)> = schedule_runs::table
        .find(id)
        .filter(schedule_runs::state.eq("running"))
        .filter(not(exists(losses::table.filter(losses::released_at.is_null()))))
        .select((Row::as_select(), comes_round))
        .for_no_key_update()
        .first(conn)
        .optional()?;
    found.map(|(row, comes_round)| Ok((row.try_into()?, comes_round))).transpose()
}

/// The runs of a schedule that have not ended, and its newest one whatever it is, newest
/// first. All are locked; the schedule is locked before.
///
/// Several are open when one was extended into the time of the next.
pub fn lock_of_schedule(conn: &mut PgConnection, schedule: ScheduleId) -> QueryResult<Vec<Run>> {
    locks::take(Lock::Run);
    let newest = sql::<Bool>("id = (SELECT n.id FROM real_runs n WHERE n.schedule_id = ")
        .bind::<BigInt, _>(schedule)
        .sql(" ORDER BY n.starts_at DESC LIMIT 1)");
    let rows: Vec<Row> = schedule_runs::table
        .filter(schedule_runs::schedule_id.eq(schedule))
        .filter(is_real())
        .filter(schedule_runs::state.eq_any(OPEN).or(newest))
        .order(schedule_runs::id)
        .select(Row::as_select())
        .for_no_key_update()
        .load(conn)?;
    newest_first(rows)
}

/// The same of all schedules of a campaign, which is locked before.
pub fn lock_of_campaign(conn: &mut PgConnection, campaign: CampaignId) -> QueryResult<Vec<Run>> {
    locks::take(Lock::Run);
    let newest = sql::<Bool>("id IN (SELECT DISTINCT ON (n.schedule_id) n.id FROM real_runs n WHERE n.campaign_id = ")
        .bind::<BigInt, _>(campaign)
        .sql(" ORDER BY n.schedule_id, n.starts_at DESC)");
    let rows: Vec<Row> = schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaign))
        .filter(is_real())
        .filter(schedule_runs::state.eq_any(OPEN).or(newest))
        .order(schedule_runs::id)
        .select(Row::as_select())
        .for_no_key_update()
        .load(conn)?;
    newest_first(rows)
}

fn newest_first(rows: Vec<Row>) -> QueryResult<Vec<Run>> {
    let mut runs = rows.into_iter().map(Run::try_from).collect::<QueryResult<Vec<Run>>>()?;
    runs.sort_by_key(|run| std::cmp::Reverse(run.window.starts));
    Ok(runs)
}

/// Whether a run of this campaign has not ended, of whatever age.
pub fn has_open(conn: &mut PgConnection, campaign: CampaignId) -> QueryResult<bool> {
    let open = schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaign))
        .filter(is_real())
        .filter(schedule_runs::state.eq_any(OPEN));
    diesel::select(diesel::dsl::exists(open)).get_result(conn)
}

/// Test messages of this campaign that have not ended, locked.
pub fn lock_open_tests(conn: &mut PgConnection, campaign: CampaignId) -> QueryResult<Vec<Run>> {
    locks::take(Lock::Run);
    schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaign))
        .filter(schedule_runs::purpose.eq("test"))
        .filter(schedule_runs::state.eq_any(OPEN))
        .order(schedule_runs::id)
        .select(Row::as_select())
        .for_no_key_update()
        .load(conn)?
        .into_iter()
        .map(Run::try_from)
        .collect()
}

/// These runs, in any order.
pub fn these(conn: &mut PgConnection, ids: &[RunId]) -> QueryResult<Vec<Run>> {
    let rows: Vec<Row> =
        schedule_runs::table.filter(schedule_runs::id.eq_any(ids)).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(Run::try_from).collect()
}

/// All runs of a campaign, the oldest first.
pub fn of_campaign(conn: &mut PgConnection, campaign: CampaignId) -> QueryResult<Vec<Run>> {
    schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaign))
        .filter(is_real())
        .order(schedule_runs::id)
        .select(Row::as_select())
        .load(conn)?
        .into_iter()
        .map(Run::try_from)
        .collect()
}

/// The newest run of each of the schedules of these campaigns.
pub fn of_campaigns(conn: &mut PgConnection, campaigns: &[CampaignId]) -> QueryResult<Vec<Run>> {
    schedule_runs::table
        .filter(schedule_runs::campaign_id.eq_any(campaigns))
        .filter(is_real())
        .distinct_on(schedule_runs::schedule_id)
        .order((schedule_runs::schedule_id, schedule_runs::starts_at.desc()))
        .select(Row::as_select())
        .load(conn)?
        .into_iter()
        .map(Run::try_from)
        .collect()
}

/// Everything that is running, for the dispatcher to look over. Not locked.
pub fn running(conn: &mut PgConnection) -> QueryResult<Vec<Run>> {
    schedule_runs::table
        .filter(schedule_runs::state.eq("running"))
        .order(schedule_runs::id)
        .select(Row::as_select())
        .load(conn)?
        .into_iter()
        .map(Run::try_from)
        .collect()
}

/// Runs whose deliveries are not written yet and can be, oldest first. Also those that
/// were stopped before: their ledger says of everyone that they were stopped.
///
/// Who is on the lists of a campaign that freezes them at the start is not known before.
pub fn unprepared(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<RunId>> {
    let frozen_later =
        campaigns::table.filter(campaigns::id.eq(schedule_runs::campaign_id)).filter(campaigns::freeze.eq("start"));
    // For those whom another schedule could not reach, which has not told of all of them yet. The end of its own time waits
    // for nobody.
    let waits_for_another = sql::<Bool>(
        "(schedule_runs.rules -> 'after' IS NOT NULL AND schedule_runs.state <> 'stopped' AND schedule_runs.ends_at > ",
    )
    .bind::<Timestamptz, _>(now)
    .sql(" AND (schedule_runs.starts_at > ")
    .bind::<Timestamptz, _>(now)
    .sql(
        " OR EXISTS (
              SELECT FROM real_runs o
              WHERE o.schedule_id = (schedule_runs.rules #>> '{after,schedule}')::bigint
                AND o.run_date = schedule_runs.run_date
                AND (o.ended_at IS NULL
                     OR o.ended_at + (schedule_runs.rules #>> '{after,minutes}')::integer * interval '1 minute' > ",
    )
    .bind::<Timestamptz, _>(now)
    .sql(")))) IS TRUE");
    schedule_runs::table
        .filter(schedule_runs::prepared_at.is_null())
        .filter(
            schedule_runs::file_id
                .is_not_null()
                .or(schedule_runs::starts_at.le(now))
                .or(schedule_runs::state.eq("stopped"))
                .or(diesel::dsl::not(diesel::dsl::exists(frozen_later))),
        )
        .filter(not(waits_for_another))
        .order(schedule_runs::id)
        .select(schedule_runs::id)
        .load(conn)
}

/// A run whose contacts are known only now begins now, if its time has come: it has nothing to catch up with.
pub fn begin_later(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(schedule_runs::table.find(id).filter(schedule_runs::state.eq("waiting")))
        .filter(schedule_runs::starts_at.lt(now))
        .filter(schedule_runs::ends_at.gt(now))
        .set(schedule_runs::starts_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Running runs in which the first contacts may have to turn out well before the others follow.
pub fn with_canary(conn: &mut PgConnection) -> QueryResult<Vec<RunId>> {
    schedule_runs::table
        .filter(schedule_runs::state.eq("running"))
        .filter(is_real())
        .filter(schedule_runs::canary_passed_at.is_null())
        .filter(fixed::<Bool>("rules ->> 'canary' IS NOT NULL"))
        .order(schedule_runs::id)
        .select(schedule_runs::id)
        .load(conn)
}

/// Up to `limit` prepared runs whose time to start has come.
pub fn due_to_start(conn: &mut PgConnection, limit: i64, now: DateTime<Utc>) -> QueryResult<Vec<RunId>> {
    schedule_runs::table
        .filter(schedule_runs::state.eq("waiting"))
        .filter(schedule_runs::starts_at.le(now))
        .filter(schedule_runs::ends_at.gt(now))
        .filter(schedule_runs::prepared_at.is_not_null())
        .order(schedule_runs::starts_at)
        .limit(limit)
        .select(schedule_runs::id)
        .load(conn)
}

/// Runs that may have come to their end: out of time, or every contact claimed.
///
/// Two questions, because each has an index that finds the few; joined by OR they
/// would look through everything that waits.
pub fn perhaps_ended(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<RunId>> {
    let prepared = schedule_runs::table.filter(schedule_runs::prepared_at.is_not_null()).select(schedule_runs::id);
    let mut ids: Vec<i64> = prepared
        .filter(schedule_runs::state.eq_any(["waiting", "running", "paused"]))
        .filter(schedule_runs::ends_at.le(now))
        .load(conn)?;
    let all_claimed: Vec<i64> = prepared
        .filter(schedule_runs::state.eq_any(["running", "paused"]))
        .filter(schedule_runs::next_seq.gt(schedule_runs::last_seq))
        .load(conn)?;
    ids.extend(all_claimed);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.into_iter().map(RunId).collect())
}

/// Which rows of its file a run takes: those whose field `by` has this value, whatever its case and the
/// blanks around it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Group {
    pub by: String,
    pub value: String,
    /// Set for one of the runs of a file: it also keeps the rows with none of these values, as not sent to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub served: Option<Vec<String>>,
}

/// The group of a run as it was planned; `None`: it takes all rows.
pub fn group(conn: &mut PgConnection, id: RunId) -> QueryResult<Option<Group>> {
    let group: Option<serde_json::Value> = schedule_runs::table.find(id).select(schedule_runs::group).first(conn)?;
    group.map(|group| serde_json::from_value(group).map_err(|error| DeserializationError(error.into()))).transpose()
}

/// When the run may not send, until it ends.
pub fn holds(conn: &mut PgConnection, run: &Run) -> QueryResult<Holds> {
    if run.is_test {
        return Ok(Holds::none());
    }
    Ok(run.holds(&settings::calendars::of_campaign(conn, run.campaign_id)?))
}

/// A run that does not exist yet.
pub struct NewRun<'a> {
    pub schedule_id: ScheduleId,
    pub campaign_id: CampaignId,
    pub channel_id: ChannelId,
    /// `None` for contacts that come from the campaign's lists.
    pub file_id: Option<FileId>,
    pub name: &'a str,
    pub date: NaiveDate,
    pub body: &'a str,
    pub bot: Option<Pinned>,
    pub template: Option<&'a FilledTemplate>,
    pub window: Window,
    pub late: LatePolicy,
    pub rate: Rate,
    pub rules: &'a Rules,
    /// `None` for all rows of its file.
    pub group: Option<Group>,
    pub is_test: bool,
}

/// Writes a waiting run. A second one for the same schedule and start is refused by `one_run_per_start`.
pub fn insert(conn: &mut PgConnection, run: &NewRun<'_>) -> QueryResult<RunId> {
    diesel::insert_into(schedule_runs::table)
        .values((
            schedule_runs::schedule_id.eq(run.schedule_id),
            schedule_runs::campaign_id.eq(run.campaign_id),
            schedule_runs::channel_id.eq(run.channel_id),
            schedule_runs::file_id.eq(run.file_id),
            schedule_runs::name.eq(run.name),
            schedule_runs::run_date.eq(run.date),
            schedule_runs::body.eq(run.body),
            schedule_runs::starts_at.eq(run.window.starts),
            schedule_runs::ends_at.eq(run.window.ends),
            schedule_runs::late_policy.eq(run.late),
            (
                schedule_runs::bot_id.eq(run.bot.map(|bot| bot.bot)),
                schedule_runs::bot_version.eq(run.bot.map(|bot| bot.version)),
                schedule_runs::template.eq(run.template.map(json).transpose()?),
                schedule_runs::rate.eq(run.rate.fixed().unwrap_or(1.0)),
                schedule_runs::auto_rate.eq(run.rate == Rate::Auto),
                schedule_runs::rules.eq(json(run.rules)?),
                schedule_runs::group.eq(run.group.as_ref().map(json).transpose()?),
                schedule_runs::purpose.eq(if run.is_test { "test" } else { "campaign" }),
            ),
        ))
        .returning(schedule_runs::id)
        .get_result(conn)
        .map(RunId)
}

fn json(value: &impl serde::Serialize) -> QueryResult<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| SerializationError(error.into()))
}

/// Says how many contacts the run has, once they are written, how many of the first of
/// them are not to be claimed, and which fields they have. Any state: a stop may have come meanwhile.
pub fn set_prepared(
    conn: &mut PgConnection,
    id: RunId,
    contacts: i32,
    left_out: i32,
    fields: &[String],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(schedule_runs::table.find(id).filter(schedule_runs::prepared_at.is_null()))
        .set((
            schedule_runs::prepared_at.eq(now),
            schedule_runs::last_seq.eq(contacts),
            schedule_runs::next_seq.eq(left_out + 1),
            schedule_runs::passed_over.eq(left_out),
            schedule_runs::fields.eq(json(&fields)?),
        ))
        .execute(conn)
        .map(drop)
}

/// Says which fields its contacts have, once more have come.
pub fn set_fields(conn: &mut PgConnection, id: RunId, fields: &[String]) -> QueryResult<()> {
    diesel::update(schedule_runs::table.find(id)).set(schedule_runs::fields.eq(json(&fields)?)).execute(conn).map(drop)
}

/// Writes the state, the window, the clock and how many contacts there are, and begins or
/// ends its pause. The cursor moves in a claim, and past contacts that were replaced, and
/// nowhere else.
pub fn save(conn: &mut PgConnection, run: &Run, now: DateTime<Utc>) -> QueryResult<()> {
    let (paused_at, ended_at) = match run.state {
        RunState::Waiting | RunState::Running => (None, None),
        RunState::Paused { since } => (Some(since), None),
        RunState::Completed { at } | RunState::Overrun { at } | RunState::Stopped { at } => (None, Some(at)),
    };
    let (clock_base, clock_since) = match run.clock {
        RunClock::Unstarted { .. } => (0.0, None),
        RunClock::Started(clock) => (clock.base, Some(clock.since)),
    };
    let save = diesel::sql_query(include_str!("save.sql"))
        .bind::<BigInt, _>(run.id)
        .bind::<Timestamptz, _>(now)
        .bind::<Text, _>(run.state.word())
        .bind::<Integer, _>(run.last_seq)
        .bind::<Timestamptz, _>(run.window.ends)
        .bind::<Double, _>(run.clock.rate())
        .bind::<Bool, _>(run.auto)
        .bind::<Jsonb, _>(json(&run.rules)?)
        .bind::<Double, _>(clock_base)
        .bind::<Nullable<Timestamptz>, _>(clock_since)
        .bind::<BigInt, _>(run.burst)
        .bind::<Nullable<Timestamptz>, _>(paused_at)
        .bind::<Nullable<Timestamptz>, _>(ended_at)
        .bind::<Bool, _>(run.canary_passed);
    Prepared(save).execute(conn).map(drop)
}

/// A row as stored. It can hold combinations that no run can be in; turning it
/// into a [`Run`] is where they are caught.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = schedule_runs, check_for_backend(Pg))]
pub struct Row {
    id: RunId,
    schedule_id: ScheduleId,
    campaign_id: CampaignId,
    channel_id: ChannelId,
    file_id: Option<FileId>,
    name: String,
    body: String,
    bot_id: Option<BotId>,
    bot_version: Option<i32>,
    template: Option<serde_json::Value>,
    fields: serde_json::Value,
    late_policy: LatePolicy,
    prepared_at: Option<DateTime<Utc>>,
    canary_passed_at: Option<DateTime<Utc>>,
    purpose: String,
    next_seq: i32,
    passed_over: i32,
    starts_at: DateTime<Utc>,
    #[diesel(embed)]
    saved: Saved,
    released: i64,
}

/// What verbs change.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = schedule_runs, check_for_backend(Pg))]
pub struct Saved {
    state: String,
    last_seq: i32,
    ends_at: DateTime<Utc>,
    rate: f64,
    auto_rate: bool,
    rules: serde_json::Value,
    clock_base: f64,
    clock_since: Option<DateTime<Utc>>,
    burst: i64,
    paused_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Run {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let s = &row.saved;
        let state = match (s.state.as_str(), s.paused_at, s.ended_at) {
            ("waiting", None, None) => RunState::Waiting,
            ("running", None, None) => RunState::Running,
            ("paused", Some(since), None) => RunState::Paused { since },
            ("completed", None, Some(at)) => RunState::Completed { at },
            ("overrun", None, Some(at)) => RunState::Overrun { at },
            ("stopped", None, Some(at)) => RunState::Stopped { at },
            _ => return Err(DeserializationError(format!("schedule_runs: not a run: {row:?}").into())),
        };
        let clock = match s.clock_since {
            None => RunClock::Unstarted { rate: s.rate },
            Some(since) => RunClock::Started(SendClock { rate: s.rate, base: s.clock_base, since }),
        };
        let unreadable = |error: serde_json::Error| DeserializationError(error.into());
        Ok(Run {
            id: row.id,
            schedule_id: row.schedule_id,
            campaign_id: row.campaign_id,
            channel_id: row.channel_id,
            file_id: row.file_id,
            window: Window { starts: row.starts_at, ends: s.ends_at },
            late: row.late_policy,
            auto: s.auto_rate,
            rules: serde_json::from_value(row.saved.rules.clone()).map_err(unreadable)?,
            canary_passed: row.canary_passed_at.is_some(),
            is_test: row.purpose == "test",
            state,
            prepared: row.prepared_at.is_some(),
            next_seq: row.next_seq,
            last_seq: s.last_seq,
            passed_over: row.passed_over,
            clock,
            released: row.released,
            burst: s.burst,
            name: row.name,
            body: row.body,
            bot: Pinned::of(row.bot_id, row.bot_version),
            template: row.template.map(serde_json::from_value).transpose().map_err(unreadable)?,
            fields: serde_json::from_value(row.fields).map_err(unreadable)?,
        })
    }
}
