//! What people and the clock do to schedules and their runs. Each function is one transaction.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::domain::{Recurrence, edited_end, next_occurrence};
use super::{PausedWith, Refused, Schedule, When, store};
use crate::access::Actor;
use crate::db::Error;
use crate::deliveries;
use crate::ids::{CampaignId, FileId, RunId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::pacing::{MissedVerdict, Overlap, Rate, Window};
use crate::runs::store::{Group, NewRun};
use crate::runs::{self, Begun, Run, RunState};

/// A schedule with its newest run, and those before it that have not ended, all locked
/// under their campaign.
struct Held {
    home: store::Home,
    schedule: Schedule,
    run: Option<Run>,
    /// One that was extended into the time of the next.
    before: Vec<Run>,
}

fn hold(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Held> {
    let home = store::lock_home(conn, id)?;
    let schedule = store::lock(conn, id)?;
    let mut runs = runs::store::lock_of_schedule(conn, id)?.into_iter();
    Ok(Held { home, schedule, run: runs.next(), before: runs.collect() })
}

/// Freezes the schedule and its run. When this has committed, no claim follows.
pub fn pause(conn: &mut PgConnection, id: ScheduleId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        if held.home.state == "paused" {
            return Err(Refused::CampaignPaused.into());
        }
        let was = held.schedule.state.word();
        held.schedule.pause(PausedWith::Schedule, now)?;
        held.pause_runs(now)?;
        held.save(conn, Happened::SchedulePaused, was, by.into(), None, now)
    })
}

/// Like [`pause`], without anybody's order, and with the reason. Returns whether it went on until now.
pub fn pause_because(
    conn: &mut PgConnection,
    id: ScheduleId,
    why: &str,
    now: DateTime<Utc>,
) -> Result<bool, Error<Refused>> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        let was = held.schedule.state.word();
        if was != "active" || held.home.state != "active" {
            return Ok(false);
        }
        held.schedule.pause(PausedWith::Schedule, now)?;
        held.pause_runs(now)?;
        held.save(conn, Happened::SchedulePaused, was, Actor::Clock, Some(why), now)?;
        Ok(true)
    })
}

/// Lets the schedule go on where it stopped.
pub fn resume(conn: &mut PgConnection, id: ScheduleId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        if held.home.state == "paused" {
            return Err(Refused::CampaignPaused.into());
        }
        if let Some(run) = &held.run
            && matches!(run.state, RunState::Overrun { .. })
            && !held.schedule.comes_round()
        {
            return Err(runs::Refused::EndPassed.into());
        }
        let was = held.schedule.state.word();
        held.schedule.resume()?;
        let comes_round = held.schedule.comes_round();
        for run in held.open().filter(|run| matches!(run.state, RunState::Paused { .. })) {
            let holds = runs::store::holds(conn, run)?;
            match run.resume(&holds, now) {
                Ok(()) => {}
                // Its time is over, and the clock ends it: its schedule goes on with the next one.
                Err(runs::Refused::EndPassed) if comes_round => {}
                Err(why) => return Err(why.into()),
            }
        }
        held.save(conn, Happened::ScheduleResumed, was, by.into(), None, now)
    })
}

/// Stops the schedule and its run for good.
pub fn stop(conn: &mut PgConnection, id: ScheduleId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        let was = held.schedule.state.word();
        held.schedule.stop()?;
        for run in held.open() {
            run.stop(now)?;
        }
        held.save(conn, Happened::ScheduleStopped, was, by.into(), None, now)
    })
}

/// Changes of a run that is under way, and of those to come. `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edit {
    /// Local time in the campaign's zone, on the day of the run or, when at or before its start, the day after.
    pub end: Option<NaiveTime>,
    /// From now on.
    pub rate: Option<Rate>,
}

/// Moves the end, or changes the rate from now on.
pub fn edit(
    conn: &mut PgConnection,
    id: ScheduleId,
    edit: Edit,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        let zone = held.home.zone;
        if held.schedule.comes_round() {
            held.schedule.state.stopped()?;
            // What is over for today is edited for the days to come.
            held.run = held.run.filter(|run| !run.state.has_ended());
        } else if held.run.is_none() {
            return Err(Refused::Finished.into());
        }
        let words = |rate: Rate| rate.fixed().map_or("automatic".to_owned(), |rate| rate.to_string());
        let mut why = Vec::new();
        if let Some(rate) = edit.rate {
            let was = held.run.as_ref().map_or(held.schedule.plan.rate, |run| match run.auto {
                true => Rate::Auto,
                false => run.rate(),
            });
            if rate != was {
                why.push(format!("rate {} → {} a minute", words(was), words(rate)));
                if let Some(run) = &mut held.run {
                    let holds = runs::store::holds(conn, run)?;
                    run.edit_rate(rate, &holds, now)?;
                    run.spread(deliveries::counts::waiting(conn, run.id)?, &holds, now);
                }
                held.schedule.plan.rate = rate;
            }
        }
        if let Some(end) = edit.end
            && end != held.schedule.plan.end
        {
            why.push(format!("end {} → {end}", held.schedule.plan.end));
            held.schedule.plan.end = end;
            if let Some(run) = &mut held.run {
                let ends = edited_end(&run.window, end, zone, now);
                let holds = runs::store::holds_until(conn, run, ends)?;
                run.edit_end(ends, now)?;
                run.spread(deliveries::counts::waiting(conn, run.id)?, &holds, now);
            }
        }
        if why.is_empty() {
            return Ok(());
        }
        store::save_plan(conn, id, &held.schedule.plan)?;
        let was = held.schedule.state.word();
        held.save(conn, Happened::ScheduleEdited, was, by.into(), Some(&why.join(", ")), now)
    })
}

/// Gives a paused or overrun schedule until `end` (local time in the campaign's
/// zone: its next occurrence after now) and lets it go on.
pub fn extend(
    conn: &mut PgConnection,
    id: ScheduleId,
    end: NaiveTime,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        if held.home.state == "paused" {
            return Err(Refused::CampaignPaused.into());
        }
        let zone = held.home.zone;
        let was = held.schedule.state.word();
        held.schedule.extend()?;
        let Some(run) = &mut held.run else { return Err(Refused::Finished.into()) };
        let ends = next_occurrence(end, zone, now);
        let holds = runs::store::holds_until(conn, run, ends)?;
        run.extend(ends, &holds, now)?;
        run.spread(deliveries::counts::waiting(conn, run.id)?, &holds, now);
        // Only what runs once means this end for good.
        if !held.schedule.comes_round() {
            held.schedule.plan.end = end;
            store::save_plan(conn, id, &held.schedule.plan)?;
        }
        let why = format!("end time extended to {}", ends.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z"));
        held.save(conn, Happened::ScheduleExtended, was, by.into(), Some(&why), now)
    })
}

impl Held {
    /// Its runs that have not ended.
    fn open(&mut self) -> impl Iterator<Item = &mut Run> {
        self.run.iter_mut().chain(&mut self.before).filter(|run| !run.state.has_ended())
    }

    fn pause_runs(&mut self, now: DateTime<Utc>) -> Result<(), runs::Refused> {
        let mut going = self.open().filter(|run| !matches!(run.state, RunState::Paused { .. }));
        going.try_for_each(|run| run.pause(now))
    }

    fn must_be_launched(&self) -> Result<(), Refused> {
        match self.home.state.as_str() {
            "draft" => Err(Refused::CampaignIsDraft),
            "stopped" => Err(Refused::CampaignStopped),
            _ => Ok(()),
        }
    }

    fn save(
        &self,
        conn: &mut PgConnection,
        happened: Happened,
        was: &str,
        by: Actor,
        why: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), Error<Refused>> {
        store::save_state(conn, &self.schedule)?;
        for run in self.run.iter().chain(&self.before) {
            runs::store::save(conn, run, now)?;
        }
        let entry = Entry::new(happened, self.schedule.id, by)
            .of(self.home.id)
            .was(was)
            .became(self.schedule.state.word())
            .why_if(why);
        journal::note(conn, entry, now)?;
        Ok(())
    }
}

// ---- runs come, start and end ----------------------------------------------------

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
    home: &store::Home,
    schedule: &Schedule,
    planned: &Planned<'_>,
) -> QueryResult<RunId> {
    let (plan, window) = (&schedule.plan, planned.window);
    let date = window.starts.with_timezone(&home.zone).date_naive();
    let group = home.group_by.clone().zip(plan.group.clone());
    let group = group.map(|(by, value)| Group { by, value, served: planned.served.map(<[String]>::to_vec) });
    let run = NewRun {
        schedule_id: schedule.id,
        campaign_id: home.id,
        channel_id: plan.channel_id,
        file_id: planned.file,
        name: &format!("{}-{date}", home.name),
        date,
        body: &plan.body,
        bot: plan.bot,
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
        let mut held = hold(conn, id)?;
        let (Some(due), When::Recurring(it)) = (held.schedule.next_run_at, held.schedule.plan.when.clone()) else {
            return Ok(CameRound::NotDue);
        };
        if now < due || held.schedule.state.word() != "active" || held.home.state != "active" {
            return Ok(CameRound::NotDue);
        }
        let before = held.run.as_ref().and_then(Run::over_at);
        // One whose time is over ends at the next opportunity: until then nothing is decided.
        if held.open().any(|run| run.window.ends <= now || it.overlap == Overlap::Wait) {
            return Ok(CameRound::Waits);
        }
        let window = held.schedule.plan.window_from(due, held.home.zone);
        if window.ends <= now {
            return held.skip(conn, &it, due, "all of its time had passed", now);
        }
        // Waiting for the run before does not make it late.
        let free = match (it.overlap, before) {
            (Overlap::Wait, Some(free)) => due.max(free),
            (Overlap::Wait | Overlap::Skip | Overlap::Replace, _) => due,
        };
        let verdict = it.missed.judge(free, now);
        if verdict == MissedVerdict::Skip {
            return held.skip(conn, &it, due, "it was too late for it", now);
        }
        if it.overlap == Overlap::Skip && held.open().next().is_some() {
            return held.skip(conn, &it, due, "the run before still goes on", now);
        }
        for before in held.open() {
            let was = before.state.word();
            before.stop(now)?;
            runs::store::save(conn, before, now)?;
            record_run(conn, before, Happened::RunStopped, was, Some("the next run takes its place"), now)?;
        }
        if verdict == MissedVerdict::Ask {
            let was = held.schedule.state.word();
            held.schedule.pause(PausedWith::Schedule, now)?;
            let planned = Planned { window, file: None, served: None };
            let run = plan_run(conn, &held.home, &held.schedule, &planned)?;
            let mut run = runs::store::lock(conn, run)?;
            run.pause(now)?;
            held.run = Some(run);
            held.move_on(conn, &it, due)?;
            let why = "it would start late: RESUME sends it all the same, STOP ends it";
            held.save(conn, Happened::SchedulePaused, was, Actor::Clock, Some(why), now)?;
            return Ok(CameRound::Asks);
        }
        let run = plan_run(conn, &held.home, &held.schedule, &Planned { window, file: None, served: None })?;
        held.move_on(conn, &it, due)?;
        Ok(CameRound::Planned(run))
    })
}

impl Held {
    fn move_on(&mut self, conn: &mut PgConnection, it: &Recurrence, due: DateTime<Utc>) -> QueryResult<()> {
        self.schedule.next_run_at = it.rule.next(due, self.home.zone, it.last_date);
        store::set_next_run(conn, self.schedule.id, self.schedule.next_run_at)
    }

    /// Leaves a due run out and says so.
    fn skip(
        mut self,
        conn: &mut PgConnection,
        it: &Recurrence,
        due: DateTime<Utc>,
        why: &str,
        now: DateTime<Utc>,
    ) -> Result<CameRound, Error<Refused>> {
        self.move_on(conn, it, due)?;
        let was = self.schedule.state.word();
        // After its last date there is nothing to wait for.
        if self.open().next().is_none() {
            self.schedule.run_ended();
        }
        let why =
            format!("the run of {} was left out: {why}", due.with_timezone(&self.home.zone).format("%-d %B, %H:%M"));
        self.save(conn, Happened::ScheduleSkipped, was, Actor::Clock, Some(&why), now)?;
        Ok(CameRound::Skipped)
    }
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
    let mut held = hold(conn, schedule)?;
    let was = held.schedule.state.word();
    let Some(run) = held.open().find(|run| run.id == id) else { return Ok(false) };
    let holds = runs::store::holds(conn, run)?;
    let (happened, why) = match run.start(&holds, now) {
        Ok(Begun::TooLate) => {
            held.schedule.run_ended();
            (Happened::RunEnded, "it would have started later than it may")
        }
        Ok(Begun::Asks) => {
            held.schedule.pause(PausedWith::Schedule, now)?;
            held.pause_runs(now)?;
            (Happened::SchedulePaused, "it would start later than it may: RESUME sends it all the same, STOP ends it")
        }
        Ok(Begun::Running) | Err(_) => return Ok(false),
    };
    held.save(conn, happened, was, Actor::Clock, Some(why), now)?;
    Ok(true)
}

/// Ends a run that has nothing left to do, or no time left to do it in. Returns whose run it ended.
pub fn end_run(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> QueryResult<Option<CampaignId>> {
    conn.transaction(|conn| {
        let schedule = runs::store::find(conn, id)?.schedule_id;
        store::lock_home(conn, schedule)?;
        let mut schedule = store::lock(conn, schedule)?;
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
            store::save_state(conn, &schedule)?;
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
        let mut held = hold(conn, found.schedule_id)?;
        let Some(run) = held.open().find(|run| run.id == id) else { return Ok(false) };
        let (Some(canary), RunState::Running, Some(0)) = (run.rules.canary, run.state, run.canary_left()) else {
            return Ok(false);
        };
        let firsts = deliveries::counts::firsts(conn, run)?;
        let waited = firsts.last_claimed.map_or_else(TimeDelta::zero, |at| now - at);
        let was = run.state.word();
        match canary.judge(firsts.failed, firsts.open, waited) {
            None => return Ok(false),
            Some(runs::Verdict::GoOn) => {
                run.pass_canary();
                // The time it waited is made up for.
                let holds = runs::store::holds(conn, run)?;
                run.spread(deliveries::counts::waiting(conn, id)?, &holds, now);
                runs::store::save(conn, run, now)?;
                record_run(conn, run, Happened::RunCanaryPassed, was, None, now)?;
            }
            Some(runs::Verdict::Hold) => {
                let why = canary.held_because(firsts.failed);
                let was = held.schedule.state.word();
                held.schedule.pause(PausedWith::Schedule, now)?;
                held.pause_runs(now)?;
                held.save(conn, Happened::SchedulePaused, was, Actor::Clock, Some(&why), now)?;
            }
        }
        Ok(true)
    })
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
