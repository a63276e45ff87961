//! Ends what has come to its end, finds what a dead process left behind, and judges
//! the first contacts of runs that wait for them.

use crate::app::App;
use crate::deliveries;
use crate::runs;
use crate::{campaigns, schedules};

/// Marks contacts of expired leases unconfirmed, ends runs that are through or out
/// of time, and then campaigns; lets runs go on, or holds them, whose first contacts are
/// known. Returns how many of these it touched.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let mut n = 0;
    while let Some(unconfirmed) = app.db.run(move |conn| deliveries::actions::rescue_one(conn, now)).await? {
        metrics::counter!("bugle_unconfirmed_total").increment(unconfirmed as u64);
        tracing::warn!(unconfirmed, "a lease ran out with {unconfirmed} sends unsettled");
        n += 1;
    }
    for run in app.db.run(runs::store::with_canary).await? {
        match app.db.run(move |conn| schedules::actions::judge_canary(conn, run, now)).await {
            Ok(judged) => n += usize::from(judged),
            Err(error) => tracing::error!(run.id = %run, "the first of run {run} could not be judged: {error}"),
        }
    }
    for run in app.db.run(move |conn| runs::store::perhaps_ended(conn, now)).await? {
        match app.db.run(move |conn| schedules::actions::end_run(conn, run, now)).await {
            Ok(ended) => n += usize::from(ended),
            Err(error) => tracing::error!(run.id = %run, "run {run} could not be ended: {error}"),
        }
    }
    for campaign in app.db.run(campaigns::store::with_all_runs_ended).await? {
        match app.db.run(move |conn| campaigns::actions::finish(conn, campaign, now)).await {
            Ok(ended) => n += usize::from(ended),
            Err(error) => tracing::error!(campaign.id = %campaign, "campaign {campaign} could not be ended: {error}"),
        }
    }
    Ok(n)
}
