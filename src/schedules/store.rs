//! Schedules in Postgres.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::Bool;

use super::{After, Draft, PausedWith, Schedule, ScheduleState, When};
use crate::bots::domain::Pinned;
use crate::db::fixed;
use crate::db::locks::{self, Lock};
use crate::db::schema::schedules;
use crate::ids::{BotId, CampaignId, ChannelId, ScheduleId};
use crate::pacing::{LatePolicy, Rate};

pub fn find(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Schedule> {
    schedules::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// The schedules of these campaigns, campaign by campaign in the order they were added.
pub fn of_campaigns(conn: &mut PgConnection, ids: &[CampaignId]) -> QueryResult<Vec<Schedule>> {
    schedules::table
        .filter(schedules::campaign_id.eq_any(ids))
        .order((schedules::campaign_id, schedules::id))
        .select(Row::as_select())
        .load(conn)?
        .into_iter()
        .map(Schedule::try_from)
        .collect()
}

/// A schedule that recurs, and when its next run is due.
pub type Due = (DateTime<Utc>, ScheduleId);

/// Up to `limit` schedules that recur and whose next run is due, the longest due first,
/// after the one at which an earlier answer ended.
pub fn due(conn: &mut PgConnection, after: Option<Due>, limit: i64, now: DateTime<Utc>) -> QueryResult<Vec<Due>> {
    let due = schedules::table
        // As it stands in the index: a bound value would not be seen to be it.
        .filter(fixed::<Bool>("schedules.state = 'active'"))
        .filter(schedules::next_run_at.le(now))
        .order((schedules::next_run_at, schedules::id))
        .limit(limit)
        .select((schedules::next_run_at.assume_not_null(), schedules::id))
        .into_boxed();
    let due = match after {
        Some((at, id)) => {
            due.filter(schedules::next_run_at.gt(at).or(schedules::next_run_at.eq(at).and(schedules::id.gt(id))))
        }
        None => due,
    };
    due.load(conn)
        .map(|rows: Vec<(DateTime<Utc>, i64)>| rows.into_iter().map(|(at, id)| (at, ScheduleId(id))).collect())
}

pub fn set_next_run(conn: &mut PgConnection, id: ScheduleId, at: Option<DateTime<Utc>>) -> QueryResult<()> {
    diesel::update(schedules::table.find(id)).set(schedules::next_run_at.eq(at)).execute(conn).map(drop)
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Schedule> {
    locks::take(Lock::Schedule);
    schedules::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

pub fn insert(conn: &mut PgConnection, campaign: CampaignId, plan: &Draft) -> QueryResult<ScheduleId> {
    diesel::insert_into(schedules::table)
        .values((schedules::campaign_id.eq(campaign), PlanColumns::try_from(plan)?))
        .returning(schedules::id)
        .get_result(conn)
        .map(ScheduleId)
}

/// Those of a copied campaign that go to whom another could not reach follow the copy of that one. `copies`: by whom
/// they are of.
pub fn follow_copies(
    conn: &mut PgConnection,
    campaign: CampaignId,
    copies: &HashMap<ScheduleId, ScheduleId>,
) -> QueryResult<()> {
    for Schedule { id, mut plan, .. } in of_campaigns(conn, &[campaign])? {
        let Some(after) = plan.rules.after else { continue };
        plan.rules.after = copies.get(&after.schedule).map(|copy| After { schedule: *copy, ..after });
        save_plan(conn, id, &plan)?;
    }
    Ok(())
}

pub fn save_plan(conn: &mut PgConnection, id: ScheduleId, plan: &Draft) -> QueryResult<()> {
    diesel::update(schedules::table.find(id)).set(PlanColumns::try_from(plan)?).execute(conn).map(drop)
}

pub fn save_state(conn: &mut PgConnection, schedule: &Schedule) -> QueryResult<()> {
    let (paused_at, paused_with) = match schedule.state {
        ScheduleState::Paused { since, with } => (Some(since), Some(with.word())),
        ScheduleState::Active | ScheduleState::Stopped | ScheduleState::Finished => (None, None),
    };
    diesel::update(schedules::table.find(schedule.id))
        .set((
            schedules::state.eq(schedule.state.word()),
            schedules::paused_at.eq(paused_at),
            schedules::paused_with.eq(paused_with),
        ))
        .execute(conn)
        .map(drop)
}

/// Removes a schedule of a draft. One with runs is not removed: its ledger stays.
pub fn delete(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<()> {
    diesel::delete(schedules::table.find(id)).execute(conn).map(drop)
}

impl PausedWith {
    fn word(self) -> &'static str {
        match self {
            PausedWith::Schedule => "schedule",
            PausedWith::Campaign => "campaign",
        }
    }
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schedules, check_for_backend(Pg), treat_none_as_null = true)]
pub struct PlanColumns {
    name: String,
    channel_id: ChannelId,
    body: String,
    bot_id: Option<BotId>,
    bot_version: Option<i32>,
    template: Option<serde_json::Value>,
    inbound: bool,
    undecided: bool,
    run_date: Option<NaiveDate>,
    recurrence: Option<serde_json::Value>,
    start_time: NaiveTime,
    end_time: NaiveTime,
    rate: Option<f64>,
    late_policy: LatePolicy,
    group_value: Option<String>,
    rules: serde_json::Value,
}

/// A row as stored; turning it into a [`Schedule`] is where nonsense is caught.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = schedules, check_for_backend(Pg))]
pub struct Row {
    id: ScheduleId,
    campaign_id: CampaignId,
    #[diesel(embed)]
    plan: PlanColumns,
    state: String,
    paused_at: Option<DateTime<Utc>>,
    paused_with: Option<String>,
    next_run_at: Option<DateTime<Utc>>,
}

impl TryFrom<&Draft> for PlanColumns {
    type Error = diesel::result::Error;

    fn try_from(plan: &Draft) -> QueryResult<Self> {
        let (run_date, recurrence) = match &plan.when {
            When::Once { date } => (Some(*date), None),
            When::Daily | When::Inbound | When::Undecided => (None, None),
            When::Recurring(it) => (None, Some(json(it)?)),
        };
        Ok(PlanColumns {
            name: plan.name.clone(),
            channel_id: plan.channel_id,
            body: plan.body.clone(),
            bot_id: plan.bot.map(|bot| bot.bot),
            bot_version: plan.bot.map(|bot| bot.version),
            template: plan.template.as_ref().map(json).transpose()?,
            inbound: plan.when == When::Inbound,
            undecided: plan.when == When::Undecided,
            run_date,
            recurrence,
            start_time: plan.start,
            end_time: plan.end,
            rate: plan.rate.fixed(),
            late_policy: plan.late,
            group_value: plan.group.clone(),
            rules: json(&plan.rules)?,
        })
    }
}

fn json(value: &impl serde::Serialize) -> QueryResult<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| SerializationError(error.into()))
}

impl TryFrom<Row> for Schedule {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let state = match (row.state.as_str(), row.paused_at, row.paused_with.as_deref()) {
            ("active", None, None) => ScheduleState::Active,
            ("paused", Some(since), Some("schedule")) => ScheduleState::Paused { since, with: PausedWith::Schedule },
            ("paused", Some(since), Some("campaign")) => ScheduleState::Paused { since, with: PausedWith::Campaign },
            ("stopped", None, None) => ScheduleState::Stopped,
            ("finished", None, None) => ScheduleState::Finished,
            _ => return Err(DeserializationError(format!("schedules: not a schedule: {row:?}").into())),
        };
        let unreadable = |error: serde_json::Error| DeserializationError(error.into());
        let when = match (row.plan.run_date, row.plan.recurrence) {
            (Some(date), _) => When::Once { date },
            (None, Some(it)) => When::Recurring(serde_json::from_value(it).map_err(unreadable)?),
            (None, None) if row.plan.inbound => When::Inbound,
            (None, None) if row.plan.undecided => When::Undecided,
            (None, None) => When::Daily,
        };
        Ok(Schedule {
            id: row.id,
            campaign_id: row.campaign_id,
            plan: Draft {
                name: row.plan.name,
                channel_id: row.plan.channel_id,
                body: row.plan.body,
                bot: Pinned::of(row.plan.bot_id, row.plan.bot_version),
                template: row.plan.template.map(serde_json::from_value).transpose().map_err(unreadable)?,
                when,
                start: row.plan.start_time,
                end: row.plan.end_time,
                rate: row.plan.rate.map_or(Rate::Auto, Rate::Fixed),
                late: row.plan.late_policy,
                group: row.plan.group_value,
                rules: serde_json::from_value(row.plan.rules).map_err(unreadable)?,
            },
            state,
            next_run_at: row.next_run_at,
        })
    }
}
