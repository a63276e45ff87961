//! Readies launched runs, and starts each at its time.

use crate::app::App;
use crate::deliveries;
use crate::runs;
use crate::schedules;

/// Runs started in one go.
const BATCH: i64 = 500;

/// Starts what is due, then readies what was launched, then starts that if it is due.
/// Returns how many runs it readied or started.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    Ok(start(app).await? + prepare(app).await? + start(app).await?)
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
