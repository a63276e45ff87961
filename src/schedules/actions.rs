//! What people and the clock do to schedules and their runs. Each function is one transaction.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use super::domain::{edited_end, next_occurrence};
use super::{PausedWith, Refused, Schedule, store};
use crate::deliveries;
use crate::ids::{RunId, ScheduleId, UserId};
use crate::journal::{self, Entry};
use crate::runs::{self, Clock, Run};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

impl From<runs::Refused> for Error {
    fn from(refused: runs::Refused) -> Self {
        Error::Refused(Refused::Run(refused))
    }
}

/// A schedule and its newest run, both locked under their campaign.
struct Held {
    home: store::Home,
    schedule: Schedule,
    run: Option<Run>,
}

fn hold(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Held> {
    let home = store::lock_home(conn, id)?;
    let schedule = store::lock(conn, id)?;
    let run = runs::store::lock_of_schedule(conn, id)?;
    Ok(Held { home, schedule, run })
}

/// Freezes the schedule and its run. When this has committed, no claim follows.
pub fn pause(conn: &mut PgConnection, id: ScheduleId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        if held.home.state == "paused" {
            return Err(Refused::CampaignPaused.into());
        }
        let was = held.schedule.state.word();
        held.schedule.pause(PausedWith::Schedule, now)?;
        if let Some(run) = &mut held.run
            && !run.state.has_ended()
        {
            run.pause(now)?;
        }
        held.save(conn, "schedule.paused", was, Some(by), None, now)
    })
}

/// Lets the schedule go on where it stopped.
pub fn resume(conn: &mut PgConnection, id: ScheduleId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        if held.home.state == "paused" {
            return Err(Refused::CampaignPaused.into());
        }
        if let Some(run) = &held.run
            && matches!(run.state, runs::RunState::Overrun { .. })
        {
            return Err(runs::Refused::EndPassed.into());
        }
        let was = held.schedule.state.word();
        held.schedule.resume()?;
        if let Some(run) = &mut held.run {
            run.resume(now)?;
        }
        held.save(conn, "schedule.resumed", was, Some(by), None, now)
    })
}

/// Stops the schedule and its run for good.
pub fn stop(conn: &mut PgConnection, id: ScheduleId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        let was = held.schedule.state.word();
        held.schedule.stop()?;
        if let Some(run) = &mut held.run
            && !run.state.has_ended()
        {
            run.stop(now)?;
        }
        held.save(conn, "schedule.stopped", was, Some(by), None, now)
    })
}

/// Changes of a run that is under way. `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edit {
    /// Local time in the campaign's zone, on the day of the run or, when at or before its start, the day after.
    pub end: Option<NaiveTime>,
    /// Messages a minute, from now on.
    pub rate: Option<f64>,
}

/// Moves the end, or changes the rate from now on.
pub fn edit(conn: &mut PgConnection, id: ScheduleId, edit: Edit, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        let zone = held.zone()?;
        let Some(run) = &mut held.run else { return Err(Refused::Finished.into()) };
        let mut why = Vec::new();
        if let Some(rate) = edit.rate
            && rate != run.clock.rate()
        {
            why.push(format!("rate {} → {rate} a minute", run.clock.rate()));
            run.edit_rate(rate, now)?;
            held.schedule.plan.rate = rate;
        }
        if let Some(end) = edit.end
            && end != held.schedule.plan.end
        {
            why.push(format!("end {} → {end}", held.schedule.plan.end));
            held.schedule.plan.end = end;
            run.edit_end(edited_end(&run.window, end, zone, now), now)?;
        }
        if why.is_empty() {
            return Ok(());
        }
        store::save_plan(conn, id, &held.schedule.plan)?;
        let was = held.schedule.state.word();
        held.save(conn, "schedule.edited", was, Some(by), Some(&why.join(", ")), now)
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
) -> Result<(), Error> {
    conn.transaction(|conn| {
        let mut held = hold(conn, id)?;
        held.must_be_launched()?;
        if held.home.state == "paused" {
            return Err(Refused::CampaignPaused.into());
        }
        let zone = held.zone()?;
        let was = held.schedule.state.word();
        held.schedule.extend()?;
        let Some(run) = &mut held.run else { return Err(Refused::Finished.into()) };
        let ends = next_occurrence(end, zone, now);
        run.extend(ends, now)?;
        held.schedule.plan.end = end;
        store::save_plan(conn, id, &held.schedule.plan)?;
        let why = format!("end time extended to {}", ends.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z"));
        held.save(conn, "schedule.extended", was, Some(by), Some(&why), now)
    })
}

impl Held {
    fn must_be_launched(&self) -> Result<(), Refused> {
        match self.home.state.as_str() {
            "draft" => Err(Refused::CampaignIsDraft),
            "stopped" => Err(Refused::CampaignStopped),
            _ => Ok(()),
        }
    }

    fn zone(&self) -> QueryResult<Tz> {
        self.home.time_zone.parse().map_err(|_| {
            diesel::result::Error::DeserializationError(format!("not a time zone: {}", self.home.time_zone).into())
        })
    }

    fn save(
        &self,
        conn: &mut PgConnection,
        happened: &'static str,
        was: &str,
        by: Option<UserId>,
        why: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        store::save_state(conn, &self.schedule)?;
        if let Some(run) = &self.run {
            runs::store::save(conn, run)?;
        }
        let entry = Entry {
            happened,
            campaign: Some(self.home.id),
            subject: self.schedule.id.0,
            by,
            was: Some(was),
            became: Some(self.schedule.state.word()),
            why,
        };
        journal::store::record(conn, &entry, now)?;
        Ok(())
    }
}

/// Starts a run whose time has come. Returns whether it did.
///
/// Only the run's row is locked: whoever pauses or stops takes it as well.
pub fn start_run(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let mut run = runs::store::lock(conn, id)?;
        let was = run.state.word();
        if run.start(now).is_err() {
            return Ok(false);
        }
        runs::store::save(conn, &run)?;
        let late = match run.clock {
            Clock::Started(_) if run.burst > 0 => Some(format!("late: {} at once to catch up", run.burst)),
            Clock::Started(_) | Clock::Unstarted { .. } => None,
        };
        record_run(conn, &run, "run.started", was, late.as_deref(), now)?;
        Ok(true)
    })
}

/// Ends a run that has nothing left to do, or no time left to do it in. Returns whether it did.
pub fn end_run(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let schedule = runs::store::find(conn, id)?.schedule_id;
        store::lock_home(conn, schedule)?;
        let mut schedule = store::lock(conn, schedule)?;
        let mut run = runs::store::lock(conn, id)?;
        let counts = deliveries::store::counts_of(conn, id)?;
        let was = run.state.word();
        if run.end(counts.audience - counts.settled(), counts.unsent(), now).is_err() {
            return Ok(false);
        }
        schedule.run_ended();
        runs::store::save(conn, &run)?;
        store::save_state(conn, &schedule)?;
        record_run(conn, &run, "run.ended", was, None, now)?;
        Ok(true)
    })
}

fn record_run(
    conn: &mut PgConnection,
    run: &Run,
    happened: &'static str,
    was: &str,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry {
        happened,
        campaign: Some(run.campaign_id),
        subject: run.id.0,
        by: None,
        was: Some(was),
        became: Some(run.state.word()),
        why,
    };
    journal::store::record(conn, &entry, now)
}
