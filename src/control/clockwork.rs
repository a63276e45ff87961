//! actions: What the clock does to schedules, runs and campaigns. Each function is one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::domain::{Locked, LockedSchedule, Refused};
use super::store;
use crate::access::Actor;
use crate::campaigns::{self, Campaign, CampaignState};
use crate::db::Error;
use crate::deliveries;
use crate::ids::{CampaignId, FileId, RunId, ScheduleId};
use crate::journal::{self, Entry, Happened};
use crate::pacing::{MissedVerdict, Overlap, Window};
use crate::runs::store::{Group, NewRun};
use crate::runs::{self, Begun, Run, RunState};
use crate::schedules::{self, PausedWith, Recurrence, Schedule, ScheduleState, Verdict, When};
use crate::settings;

/// What a run is made for.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    pub window: Window,
    /// The file whose rows it takes; `None`: the campaign's lists.
    pub file: Option<FileId>,
    /// Set for one schedule of a campaign with groups: its run also keeps the rows that none of these values serve.
    pub served: Option<&'a [String]>,
}

/// Makes a waiting run of a schedule, its text, rate and rules pinned. The engine
/// writes its deliveries and starts it at its time. The campaign is locked.
pub fn plan_run(
    conn: &mut PgConnection,
    campaign: &Campaign,
    schedule: &Schedule,
    planned: &Planned<'_>,
) -> QueryResult<RunId> {
    let (plan, window) = (&schedule.plan, planned.window);
    let date = window.starts.with_timezone(&campaign.zone).date_naive();
    let group = campaign.group_by.clone().zip(plan.group.clone());
    let group = group.map(|(by, value)| Group { by, value, served: planned.served.map(<[String]>::to_vec) });
    let run = NewRun {
        schedule_id: schedule.id,
        campaign_id: campaign.id,
        channel_id: plan.channel_id,
        file_id: planned.file,
        name: &format!("{}-{date}", campaign.name),
        date,
        body: &plan.body,
        bot: plan.bot,
        template: plan.template.as_ref(),
        window,
        late: plan.late,
        rate: plan.rate,
        rules: &plan.rules,
        group,
        is_test: false,
    };
    runs::store::insert(conn, &run)
}

/// What came of a recurring schedule whose time had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameRound {
    /// Somebody else was quicker, or it was paused or stopped meanwhile.
    NotDue,
    Planned(RunId),
    /// Its policy for missed times or for overlaps left this one out.
    Skipped,
    /// It waits for the run before to end.
    Waits,
    /// It waits for somebody to say whether it shall run so late.
    Asks,
}

/// Makes the due run of a recurring schedule and moves on to its next date, all or
/// nothing: whoever dies in between leaves it due.
pub fn come_round(conn: &mut PgConnection, id: ScheduleId, now: DateTime<Utc>) -> Result<CameRound, Error<Refused>> {
    conn.transaction(|conn| {
        let (campaign, mut held) = lock(conn, id)?;
        let (Some(due), When::Recurring(it)) = (held.schedule.next_run_at, held.schedule.plan.when.clone()) else {
            return Ok(CameRound::NotDue);
        };
        if now < due || held.schedule.state != ScheduleState::Active || campaign.state != CampaignState::Active {
            return Ok(CameRound::NotDue);
        }
        let before = held.newest().and_then(Run::over_at);
        // One whose time is over ends at the next opportunity: until then nothing is decided.
        if held.open().any(|run| run.window.ends <= now || it.overlap == Overlap::Wait) {
            return Ok(CameRound::Waits);
        }
        let window = held.schedule.plan.window_from(due, campaign.zone);
        if window.ends <= now {
            return skip(conn, &campaign, held, &it, due, "all of its time had passed", now);
        }
        // Waiting for the run before does not make it late.
        let free = match (it.overlap, before) {
            (Overlap::Wait, Some(free)) => due.max(free),
            (Overlap::Wait | Overlap::Skip | Overlap::Replace, _) => due,
        };
        let verdict = it.missed.judge(free, now);
        if verdict == MissedVerdict::Skip {
            return skip(conn, &campaign, held, &it, due, "it was too late for it", now);
        }
        if it.overlap == Overlap::Skip && held.open().next().is_some() {
            return skip(conn, &campaign, held, &it, due, "the run before still goes on", now);
        }
        for before in held.open() {
            let was = before.state.word();
            before.stop(now)?;
            runs::store::save(conn, before, now)?;
            record_run(conn, before, Happened::RunStopped, was, Some("the next run takes its place"), now)?;
        }
        let mut held = LockedSchedule::new(held.schedule, held.runs);
        let planned = Planned { window, file: None, served: None };
        let run = plan_run(conn, &campaign, &held.schedule, &planned)?;
        let next = it.rule.next(due, campaign.zone, it.last_date);
        schedules::store::set_next_run(conn, id, next)?;
        if verdict == MissedVerdict::Ask {
            let mut run = runs::store::lock(conn, run)?;
            run.pause(now)?;
            runs::store::save(conn, &run, now)?;
            held.schedule.pause(PausedWith::Schedule, now)?;
            let why = "it would start late: RESUME sends it all the same, STOP ends it";
            store::save(conn, &held, Happened::SchedulePaused, Actor::Clock, Some(why), now)?;
            return Ok(CameRound::Asks);
        }
        Ok(CameRound::Planned(run))
    })
}

/// A schedule with its runs, locked under its campaign.
fn lock(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<(Campaign, LockedSchedule)> {
    let Locked { campaign, mut schedules } = store::lock_schedule(conn, id)?;
    Ok((campaign, schedules.pop().ok_or(diesel::result::Error::NotFound)?))
}

/// Leaves a due run out and says so.
fn skip(
    conn: &mut PgConnection,
    campaign: &Campaign,
    mut held: LockedSchedule,
    it: &Recurrence,
    due: DateTime<Utc>,
    why: &str,
    now: DateTime<Utc>,
) -> Result<CameRound, Error<Refused>> {
    held.schedule.next_run_at = it.rule.next(due, campaign.zone, it.last_date);
    // After its last date there is nothing to wait for.
    if held.open().next().is_none() {
        held.schedule.run_ended();
    }
    let due = due.with_timezone(&campaign.zone).format("%-d %B, %H:%M");
    let why = format!("the run of {due} was left out: {why}");
    store::save(conn, &held, Happened::ScheduleSkipped, Actor::Clock, Some(&why), now)?;
    Ok(CameRound::Skipped)
}

/// Starts a run whose time has come; one that would start later than its rules allow
/// is over, or asks. Returns whether any of this happened.
///
/// Only the run's row is locked to start it: whoever pauses or stops takes it as well.
pub fn start_run(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> Result<bool, Error<Refused>> {
    let (schedule, begun) = conn.transaction(|conn| {
        let mut run = runs::store::lock(conn, id)?;
        let holds = runs::store::holds(conn, &run)?;
        let was = run.state.word();
        let begun = run.start(&holds, now);
        if begun == Ok(Begun::Running) {
            runs::store::save(conn, &run, now)?;
            let late = (run.burst > 0).then(|| format!("late: {} at once to catch up", run.burst));
            record_run(conn, &run, Happened::RunStarted, was, late.as_deref(), now)?;
        }
        QueryResult::Ok((run.schedule_id, begun))
    })?;
    match begun {
        Err(_) => Ok(false),
        Ok(Begun::Running) => Ok(true),
        // Its schedule changes with it, so the locks are taken anew and in their order.
        Ok(Begun::TooLate | Begun::Asks) => conn.transaction(|conn| start_late(conn, schedule, id, now)),
    }
}

fn start_late(
    conn: &mut PgConnection,
    schedule: ScheduleId,
    id: RunId,
    now: DateTime<Utc>,
) -> Result<bool, Error<Refused>> {
    let (campaign, mut held) = lock(conn, schedule)?;
    let calendar = settings::calendars::of(conn, campaign.zone, &campaign.quiet)?;
    let Some(run) = held.open().find(|run| run.id == id) else { return Ok(false) };
    let was = run.state.word();
    match run.start(&run.holds(&calendar), now) {
        Ok(Begun::TooLate) => {
            let run = run.clone();
            held.schedule.run_ended();
            runs::store::save(conn, &run, now)?;
            schedules::store::save_state(conn, &held.schedule)?;
            record_run(conn, &run, Happened::RunEnded, was, Some("it would have started later than it may"), now)?;
        }
        Ok(Begun::Asks) => {
            held.pause(PausedWith::Schedule, now)?;
            let why = "it would start later than it may: RESUME sends it all the same, STOP ends it";
            store::save(conn, &held, Happened::SchedulePaused, Actor::Clock, Some(why), now)?;
        }
        Ok(Begun::Running) | Err(_) => return Ok(false),
    }
    Ok(true)
}

/// Ends a run that has nothing left to do, or no time left to do it in. Returns whose run it ended.
pub fn end_run(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> QueryResult<Option<CampaignId>> {
    conn.transaction(|conn| {
        let found = runs::store::find(conn, id)?;
        campaigns::store::lock(conn, found.campaign_id)?;
        let mut schedule = schedules::store::lock(conn, found.schedule_id)?;
        let mut run = runs::store::lock(conn, id)?;
        let counts = deliveries::counts::counts_of(conn, id)?;
        let holds = runs::store::holds(conn, &run)?;
        let was = run.state.word();
        if run.end(counts.audience - counts.settled(), counts.unsent(), &holds, now).is_err() {
            return Ok(None);
        }
        runs::store::save(conn, &run, now)?;
        if !run.is_test {
            schedule.run_ended();
            schedules::store::save_state(conn, &schedule)?;
        }
        record_run(conn, &run, Happened::RunEnded, was, None, now)?;
        Ok(Some(run.campaign_id))
    })
}

/// Judges the first contacts of a run that waits for them: it goes on, or is paused
/// with its schedule until somebody has looked. Returns whether it was time to say so.
pub fn judge_canary(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> Result<bool, Error<Refused>> {
    conn.transaction(|conn| {
        let found = runs::store::find(conn, id)?;
        if found.canary_left() != Some(0) {
            return Ok(false);
        }
        let (campaign, mut held) = lock(conn, found.schedule_id)?;
        let Some(run) = held.open().find(|run| run.id == id) else { return Ok(false) };
        let (Some(canary), RunState::Running, Some(0)) = (run.rules.canary, run.state, run.canary_left()) else {
            return Ok(false);
        };
        let firsts = deliveries::counts::firsts(conn, run)?;
        let waited = firsts.last_claimed.map_or_else(TimeDelta::zero, |at| now - at);
        let was = run.state.word();
        match canary.judge(firsts.failed, firsts.open, waited) {
            None => return Ok(false),
            Some(Verdict::GoOn) => {
                run.pass_canary();
                // The time it waited is made up for.
                let calendar = settings::calendars::of(conn, campaign.zone, &campaign.quiet)?;
                run.spread(deliveries::counts::waiting(conn, id)?, &run.holds(&calendar), now);
                runs::store::save(conn, run, now)?;
                record_run(conn, run, Happened::RunCanaryPassed, was, None, now)?;
            }
            Some(Verdict::Hold) => {
                let why = canary.held_because(firsts.failed);
                held.pause(PausedWith::Schedule, now)?;
                store::save(conn, &held, Happened::SchedulePaused, Actor::Clock, Some(&why), now)?;
            }
        }
        Ok(true)
    })
}

/// Pauses a schedule without anybody's order. Returns whether it went on until now.
pub fn pause_because(
    conn: &mut PgConnection,
    id: ScheduleId,
    why: &str,
    now: DateTime<Utc>,
) -> Result<bool, Error<Refused>> {
    conn.transaction(|conn| {
        let (campaign, mut held) = lock(conn, id)?;
        if held.schedule.state != ScheduleState::Active || campaign.state != CampaignState::Active {
            return Ok(false);
        }
        held.pause(PausedWith::Schedule, now)?;
        store::save(conn, &held, Happened::SchedulePaused, Actor::Clock, Some(why), now)?;
        Ok(true)
    })
}

/// Ends a campaign all of whose runs have ended and none of whose schedules runs again. Returns whether it did.
pub fn finish(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let mut campaign = campaigns::store::lock(conn, id)?;
        finish_locked(conn, &mut campaign, now)
    })
}

/// The same of one that is locked.
pub(super) fn finish_locked(conn: &mut PgConnection, campaign: &mut Campaign, now: DateTime<Utc>) -> QueryResult<bool> {
    let id = campaign.id;
    let plans = schedules::store::of_campaigns(conn, &[id])?;
    // What runs once ends with its run; the others are stopped or see their last date.
    let comes_round =
        |it: &Schedule| it.state.stopped().is_ok() && !matches!(it.plan.when, When::Once { .. } | When::Undecided);
    // A bot that is going to speak up is not over: a pause has to reach it.
    if plans.iter().any(comes_round) || runs::store::has_open(conn, id)? || store::will_speak_up(conn, id)? {
        return Ok(false);
    }
    let all_stopped = plans.iter().all(|it| it.state == ScheduleState::Stopped);
    let Ok(state) = campaign.state.runs_ended(all_stopped) else { return Ok(false) };
    store::save_campaign(conn, campaign, state, Happened::CampaignEnded, Actor::Clock, now)?;
    Ok(true)
}

fn record_run(
    conn: &mut PgConnection,
    run: &Run,
    happened: Happened,
    was: &str,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry =
        Entry::new(happened, run.id, Actor::Clock).of(run.campaign_id).was(was).became(run.state.word()).why_if(why);
    journal::note(conn, entry, now)
}
