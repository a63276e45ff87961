//! Makes the runs of what recurs, readies what was planned, and starts each at its time.

use crate::app::App;
use crate::db::DbError;
use crate::deliveries;
use crate::ids::ScheduleId;
use crate::runs;
use crate::schedules;
use crate::schedules::actions::CameRound;

/// Runs started, and schedules looked at, in one go.
const BATCH: i64 = 500;
/// Dates that went by which one schedule makes up its mind about in one tick.
const DATES: usize = 50;

/// Plans what recurs, starts what is due, then readies what was planned, then starts
/// that if it is due. Returns how many runs it planned, readied or started.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    Ok(plan(app).await? + start(app).await? + prepare(app).await? + start(app).await?)
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
async fn plan_one(app: &App, schedule: ScheduleId) -> Result<usize, DbError<schedules::actions::Error>> {
    for n in 0..DATES {
        let now = app.clock.now();
        match app.db.run(move |conn| schedules::actions::come_round(conn, schedule, now)).await? {
            CameRound::NotDue | CameRound::Waits => return Ok(n),
            CameRound::Planned(_) | CameRound::Skipped | CameRound::Asks => {}
        }
    }
    Ok(DATES)
}

/// Writes the deliveries of launched runs. A run that cannot be readied holds up no other.
pub async fn prepare(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    for run in app.db.run(runs::store::unprepared).await? {
        let now = app.clock.now();
        match app.db.run(move |conn| deliveries::actions::prepare(conn, run, now)).await {
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
            match app.db.run(move |conn| schedules::actions::start_run(conn, run, now)).await {
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
