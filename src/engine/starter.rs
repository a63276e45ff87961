//! Readies launched runs, and starts each at its time.

use crate::app::App;
use crate::deliveries;
use crate::runs;
use crate::schedules;

/// Runs started in one go.
const BATCH: i64 = 500;

/// Writes the deliveries of launched runs and starts those whose time has come.
/// Returns how many runs it readied or started.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let mut n = 0;
    for run in app.db.run(runs::store::unprepared).await? {
        n += usize::from(app.db.run(move |conn| deliveries::actions::prepare(conn, run, now)).await?.is_some());
    }
    loop {
        let due = app.db.run(move |conn| runs::store::due_to_start(conn, BATCH, now)).await?;
        let mut started = 0;
        for run in due {
            started += usize::from(app.db.run(move |conn| schedules::actions::start_run(conn, run, now)).await?);
        }
        if started == 0 {
            return Ok(n);
        }
        n += started;
    }
}
