//! Makes the runs of what recurs, readies what was planned, and starts each at its time.

use crate::app::App;
use crate::deliveries;
use crate::runs;
use crate::schedules;
use crate::schedules::actions::CameRound;

/// Runs started in one go.
const BATCH: i64 = 500;

/// Plans what recurs, starts what is due, then readies what was planned, then starts
/// that if it is due. Returns how many runs it planned, readied or started.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    Ok(plan(app).await? + start(app).await? + prepare(app).await? + start(app).await?)
}

/// Makes the runs of recurring schedules whose time has come. A schedule that cannot
/// be planned holds up no other.
pub async fn plan(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    loop {
        let now = app.clock.now();
        let due = app.db.run(move |conn| schedules::store::due(conn, BATCH, now)).await?;
        let mut moved = 0;
        for schedule in due {
            match app.db.run(move |conn| schedules::actions::come_round(conn, schedule, now)).await {
                Ok(CameRound::NotDue | CameRound::Waits) => {}
                Ok(CameRound::Planned(_) | CameRound::Skipped | CameRound::Asks) => moved += 1,
                Err(error) => {
                    tracing::error!(schedule.id = %schedule, "schedule {schedule} could not be planned: {error}");
                }
            }
        }
        if moved == 0 {
            return Ok(n);
        }
        n += moved;
    }
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
