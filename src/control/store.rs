//! What is locked to change it, and what of it is written; and the statements that hold everything at once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int8, Nullable, Text, Timestamptz};

use super::domain::{Locked, LockedSchedule, States, followed};
use crate::access::Actor;
use crate::campaigns::store::{self as of_campaign, Row as CampaignRow};
use crate::campaigns::{Campaign, CampaignState};
use crate::db::N;
use crate::db::locks::{self, Lock};
use crate::db::schema::{campaigns, conversations, launches_to_come, openings, schedule_runs, schedules};
use crate::ids::{CampaignId, PauseAllId, ScheduleId};
use crate::journal::{self, Entry, Happened};
use crate::runs::{self, store::is_real};
use crate::schedules::Schedule;
use crate::schedules::store::{self as of_schedule, Row as ScheduleRow};

/// Locks a schedule, its campaign before it and its runs behind it.
pub fn lock_schedule(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Locked> {
    locks::take(Lock::Campaign);
    locks::take(Lock::Schedule);
    // Rows are locked in the order in which the tables stand.
    let (campaign, schedule): (CampaignRow, ScheduleRow) = campaigns::table
        .inner_join(schedules::table)
        .filter(schedules::id.eq(id))
        .select((CampaignRow::as_select(), ScheduleRow::as_select()))
        .for_no_key_update()
        .first(conn)?;
    let runs = runs::store::lock_of_schedule(conn, id)?;
    Ok(Locked { campaign: campaign.try_into()?, schedules: vec![LockedSchedule::new(schedule.try_into()?, runs)] })
}

/// Locks a campaign, which keeps everybody from its schedules, and its runs.
pub fn lock_campaign(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Locked> {
    let campaign = of_campaign::lock(conn, id)?;
    let found = of_schedule::of_campaigns(conn, &[id])?;
    let mut runs = runs::store::lock_of_campaign(conn, id)?;
    let mut with_runs = |schedule: Schedule| {
        let (its, others) = std::mem::take(&mut runs).into_iter().partition(|run| run.schedule_id == schedule.id);
        runs = others;
        LockedSchedule::new(schedule, its)
    };
    Ok(Locked { campaign, schedules: found.into_iter().map(&mut with_runs).collect() })
}

/// Writes what has become of a schedule and its runs, and notes it.
pub fn save(
    conn: &mut PgConnection,
    it: &LockedSchedule,
    happened: Happened,
    by: Actor,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (was, schedule) = (it.was(), &it.schedule);
    if schedule.plan != was.plan {
        of_schedule::save_plan(conn, schedule.id, &schedule.plan)?;
    }
    if schedule.next_run_at != was.next_run_at {
        of_schedule::set_next_run(conn, schedule.id, schedule.next_run_at)?;
    }
    if schedule.state != was.state {
        of_schedule::save_state(conn, schedule)?;
    }
    let campaign = schedule.campaign_id;
    let entry = Entry::new(happened, schedule.id, by).of(campaign);
    let mut entries = vec![entry.was(was.state.word()).became(schedule.state.word()).why_if(why)];
    for (was, run) in it.changed_runs() {
        runs::store::save(conn, run, now)?;
        if let Some(happened) = followed(was.state, run.state) {
            let entry = Entry::new(happened, run.id, by).of(campaign);
            entries.push(entry.was(was.state.word()).became(run.state.word()).why_if(why));
        }
    }
    journal::note_all(conn, &entries, now)
}

/// Writes the state of a campaign, and notes it.
pub fn save_campaign(
    conn: &mut PgConnection,
    campaign: &mut Campaign,
    state: CampaignState,
    happened: Happened,
    by: Actor,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    save_campaign_because(conn, campaign, state, happened, by, None, now)
}

/// The same with a reason, if there is one worth telling.
pub fn save_campaign_because(
    conn: &mut PgConnection,
    campaign: &mut Campaign,
    state: CampaignState,
    happened: Happened,
    by: Actor,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (id, was) = (campaign.id, campaign.state);
    if state != was {
        of_campaign::save_state(conn, id, state, now)?;
    }
    campaign.state = state;
    let entry = Entry::new(happened, id, by).of(id).was(was.word()).became(state.word()).why_if(why);
    journal::note(conn, entry, now)
}

/// Launched campaigns none of whose runs can go on by itself, none of whose schedules runs
/// again, and none of whose bots speaks up by itself.
pub fn with_all_runs_ended(conn: &mut PgConnection) -> QueryResult<Vec<CampaignId>> {
    let going_on = schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaigns::id))
        .filter(is_real())
        .filter(schedule_runs::state.eq_any(["waiting", "running", "paused"]));
    // What runs once has had its run; the others end by being stopped or by their last date.
    let coming_round = schedules::table
        .filter(schedules::campaign_id.eq(campaigns::id))
        .filter(schedules::run_date.is_null())
        .filter(schedules::state.eq_any(["active", "paused"]));
    // Bots that are going to speak up can still be paused.
    let speaking_up = conversations::table
        .inner_join(schedules::table.on(schedules::id.nullable().eq(conversations::schedule_id)))
        .filter(schedules::campaign_id.eq(campaigns::id))
        .filter(schedules::state.ne("stopped"))
        .filter(conversations::wake_at.is_not_null());
    campaigns::table
        .filter(campaigns::state.eq_any(["active", "paused"]))
        .filter(diesel::dsl::not(diesel::dsl::exists(going_on)))
        .filter(diesel::dsl::not(diesel::dsl::exists(coming_round)))
        .filter(diesel::dsl::not(diesel::dsl::exists(speaking_up)))
        .order(campaigns::id)
        .select(campaigns::id)
        .load(conn)
}

/// What a STOP of everything hit, or would hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    pub campaigns: i64,
    pub schedules: i64,
}

/// Stops campaigns, then schedules, then runs: the order in which everybody locks them.
pub fn stop_all(conn: &mut PgConnection, states: &States, by: Actor, now: DateTime<Utc>) -> QueryResult<Hit> {
    let talking = &states.talking;
    let mut stop = |sql: &'static str, states: &[&'static str]| {
        diesel::sql_query(sql)
            .bind::<Array<Text>, _>(states)
            .bind::<Timestamptz, _>(now)
            .bind::<Nullable<Int8>, _>(by.person())
            .bind::<Array<Text>, _>(talking)
            .get_result::<N>(conn)
            .map(|it| it.n)
    };
    locks::take(Lock::Campaign);
    let campaigns = stop(include_str!("stop_campaigns.sql"), &states.campaigns)?;
    locks::take(Lock::Schedule);
    let schedules = stop(include_str!("stop_schedules.sql"), &states.schedules)?;
    locks::take(Lock::Run);
    stop(include_str!("stop_runs.sql"), &states.runs)?;
    Ok(Hit { campaigns, schedules })
}

/// Pauses campaigns, then their schedules, then their runs. Returns how many campaigns.
pub fn pause_all(conn: &mut PgConnection, states: &States, by: Actor, now: DateTime<Utc>) -> QueryResult<usize> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = Int8)]
        id: CampaignId,
    }
    let mut pause = |sql: &'static str, states: &[&'static str], campaigns: &[CampaignId]| {
        diesel::sql_query(sql)
            .bind::<Array<Text>, _>(states)
            .bind::<Timestamptz, _>(now)
            .bind::<Nullable<Int8>, _>(by.person())
            .bind::<Array<Int8>, _>(campaigns)
            .load::<Id>(conn)
            .map(|ids| ids.into_iter().map(|it| it.id).collect::<Vec<CampaignId>>())
    };
    locks::take(Lock::Campaign);
    let campaigns = pause(include_str!("pause_campaigns.sql"), &states.campaigns, &[])?;
    locks::take(Lock::Schedule);
    pause(include_str!("pause_schedules.sql"), &states.schedules, &campaigns)?;
    locks::take(Lock::Run);
    pause(include_str!("pause_runs.sql"), &states.runs, &campaigns)?;
    Ok(campaigns.len())
}

/// Campaigns that this PAUSE of everything paused, and that nothing else has become of since.
pub fn paused_with(conn: &mut PgConnection, pause: PauseAllId) -> QueryResult<Vec<CampaignId>> {
    campaigns::table
        .filter(campaigns::paused_with_all.eq(pause.0))
        .order(campaigns::id)
        .select(campaigns::id)
        .load(conn)
}

/// Whether this campaign is still one of them.
pub fn is_paused_with(conn: &mut PgConnection, id: CampaignId, pause: PauseAllId) -> QueryResult<bool> {
    let it = campaigns::table.find(id).filter(campaigns::paused_with_all.eq(pause.0));
    diesel::select(diesel::dsl::exists(it)).get_result(conn)
}

/// What a PAUSE of everything would come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WouldPause {
    pub campaigns: i64,
    /// Drafts that are launched by nobody any more when their file comes.
    pub launches: i64,
}

pub fn would_pause(conn: &mut PgConnection, states: &States) -> QueryResult<WouldPause> {
    let campaigns = campaigns::table.filter(campaigns::state.eq_any(&states.campaigns)).count().get_result(conn)?;
    let launches = launches_to_come::table.count().get_result(conn)?;
    Ok(WouldPause { campaigns, launches })
}

/// What a STOP of everything would come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WouldStop {
    pub hit: Hit,
    /// Contacts left unsent.
    pub unsent: i64,
    /// Conversations in which bots fall silent.
    pub talks: i64,
}

/// What a STOP of everything would hit right now.
pub fn would_stop(conn: &mut PgConnection, states: &States) -> QueryResult<WouldStop> {
    let campaigns: N = diesel::sql_query(
        "SELECT count(*) AS n FROM campaigns c
         WHERE c.state = ANY ($1)
            OR (c.state = ANY ($2) AND EXISTS (SELECT FROM conversations v
                WHERE v.campaign_id = c.id AND v.handler = 'bot' AND v.closed_at IS NULL))",
    )
    .bind::<Array<Text>, _>(&states.campaigns)
    .bind::<Array<Text>, _>(&states.talking)
    .get_result(conn)?;
    let talks: N = diesel::sql_query(
        "SELECT count(*) AS n FROM conversations v
         JOIN campaigns c ON c.id = v.campaign_id JOIN schedules s ON s.id = v.schedule_id
         WHERE v.handler = 'bot' AND v.closed_at IS NULL AND c.state <> 'stopped' AND s.state <> 'stopped'",
    )
    .get_result(conn)?;
    let schedules = schedules::table
        .inner_join(campaigns::table)
        .filter(campaigns::state.eq_any(&states.campaigns))
        .filter(schedules::state.eq_any(&states.schedules))
        .count()
        .get_result(conn)?;
    let unsent: N = diesel::sql_query(
        "SELECT coalesce(sum(last_seq - next_seq + 1
                + (SELECT coalesce(sum(t.retrying), 0) FROM tallies t WHERE t.run_id = r.id)), 0)::bigint AS n
         FROM real_runs r WHERE state = ANY ($1)",
    )
    .bind::<Array<Text>, _>(&states.runs)
    .get_result(conn)?;
    Ok(WouldStop { hit: Hit { campaigns: campaigns.n, schedules }, unsent: unsent.n, talks: talks.n })
}

/// Whether a bot of this campaign talks with somebody.
pub fn talks_with_somebody(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    let open = conversations::table
        .filter(conversations::campaign_id.eq(id))
        .filter(conversations::handler.eq("bot"))
        .filter(conversations::closed_at.is_null());
    diesel::select(diesel::dsl::exists(open)).get_result(conn)
}

/// Whether a bot of this campaign is going to speak up by itself.
pub fn will_speak_up(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    let to_wake = conversations::table
        .filter(
            conversations::schedule_id.eq_any(
                schedules::table
                    .filter(schedules::campaign_id.eq(id))
                    .filter(schedules::state.ne("stopped"))
                    .select(schedules::id.nullable()),
            ),
        )
        .filter(conversations::wake_at.is_not_null());
    // One that has just begun is written down within moments.
    let opening = openings::table
        .inner_join(schedule_runs::table.on(schedule_runs::id.eq(openings::run_id)))
        .filter(schedule_runs::campaign_id.eq(id));
    diesel::select(diesel::dsl::exists(to_wake).or(diesel::dsl::exists(opening))).get_result(conn)
}
