//! Makes the runs of what recurs and of files that were dropped, readies what was
//! planned, and starts each at its time.

use crate::app::App;
use crate::control;
use crate::control::clockwork::CameRound;
use crate::daily;
use crate::daily::actions::Launch;
use crate::db::{DbError, Error};
use crate::deliveries;
use crate::ids::ScheduleId;
use crate::runs;
use crate::schedules;

/// Runs started, and schedules looked at, in one go.
const BATCH: i64 = 500;
/// Dates that went by which one schedule makes up its mind about in one tick.
const DATES: usize = 50;

/// Plans what recurs and what was dropped, starts what is due, then readies what was
/// planned, then starts that if it is due. Returns how many runs or files it planned,
/// readied or started.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let planned = plan(app).await? + launch_files(app).await?;
    Ok(planned + start(app).await? + prepare(app).await? + start(app).await?)
}

/// Makes the runs of daily files whose import has ended, and notes the days whose window
/// closed without one. A file or a campaign that cannot be served holds up no other.
pub async fn launch_files(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    for id in app.db.run(daily::store::to_launch).await? {
        let now = app.clock.now();
        match app.db.run_long(move |conn| daily::actions::launch(conn, id, now)).await {
            Ok(Launch::Done | Launch::Refused) => n += 1,
            Ok(Launch::Waits | Launch::NotDue) => {}
            Err(error) => tracing::error!(drop.id = %id, "dropped file {id} could not be launched: {error}"),
        }
    }
    let now = app.clock.now();
    for id in app.db.run(move |conn| daily::store::closed(conn, BATCH, now)).await? {
        // After a long standstill several windows of it have closed.
        loop {
            match app.db.run(move |conn| daily::actions::close(conn, id, now)).await {
                Ok(Some(missed)) => metrics::counter!("bugle_missed_days_total").increment(missed.into()),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(campaign.id = %id, "the window of campaign {id} could not be closed: {error}");
                    break;
                }
            }
        }
    }
    Ok(n)
}

/// Makes the runs of recurring schedules whose time has come. A schedule that cannot
/// be planned, or waits, holds up no other.
pub async fn plan(app: &App) -> anyhow::Result<usize> {
    let (mut n, mut after) = (0, None);
    loop {
        let now = app.clock.now();
        let due = app.db.run(move |conn| schedules::store::due(conn, after, BATCH, now)).await?;
        let Some(last) = due.last() else { return Ok(n) };
        after = Some(*last);
        for (_, schedule) in due {
            match plan_one(app, schedule).await {
                Ok(planned) => n += planned,
                Err(error) => {
                    tracing::error!(schedule.id = %schedule, "schedule {schedule} could not be planned: {error}");
                }
            }
        }
    }
}

/// Brings one schedule to its next date that is still to come, or far towards it.
async fn plan_one(app: &App, schedule: ScheduleId) -> Result<usize, DbError<Error<control::Refused>>> {
    for n in 0..DATES {
        let now = app.clock.now();
        match app.db.run(move |conn| control::clockwork::come_round(conn, schedule, now)).await? {
            CameRound::NotDue | CameRound::Waits => return Ok(n),
            CameRound::Planned(_) | CameRound::Skipped | CameRound::Asks => {}
        }
    }
    Ok(DATES)
}

/// Writes the deliveries of launched runs. A run that cannot be readied holds up no other.
pub async fn prepare(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    let now = app.clock.now();
    for run in app.db.run(move |conn| runs::store::unprepared(conn, now)).await? {
        let now = app.clock.now();
        match app.db.run_long(move |conn| deliveries::actions::prepare(conn, run, now)).await {
            Ok(contacts) => n += usize::from(contacts.is_some()),
            Err(error) => tracing::error!(run.id = %run, "run {run} could not be readied: {error}"),
        }
    }
    Ok(n)
}

/// Starts runs whose time has come. A run that cannot be started holds up no other.
pub async fn start(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    loop {
        let now = app.clock.now();
        let due = app.db.run(move |conn| runs::store::due_to_start(conn, BATCH, now)).await?;
        let mut started = 0;
        for run in due {
            match app.db.run(move |conn| control::clockwork::start_run(conn, run, now)).await {
                Ok(it) => started += usize::from(it),
                Err(error) => tracing::error!(run.id = %run, "run {run} could not be started: {error}"),
            }
        }
        if started == 0 {
            return Ok(n);
        }
        n += started;
    }
}
