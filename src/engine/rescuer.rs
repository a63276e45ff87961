//! Ends what has come to its end, finds what a dead process left behind, and judges
//! the first contacts of runs that wait for them.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};

use crate::app::App;
use crate::channels::{reach, references, room};
use crate::conversations::intake;
use crate::ids::{CampaignId, RunId};
use crate::{control, deliveries, marks, runs};

/// Marks contacts of expired leases unconfirmed, ends runs that are through or out
/// of time, and the campaigns whose last run that was; lets runs go on, or holds them,
/// whose first contacts are known. Returns how many of these it touched.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let mut n = 0;
    while let Some(unconfirmed) = app.db.run(move |conn| deliveries::actions::rescue_one(conn, now)).await? {
        metrics::counter!("bugle_unconfirmed_total").increment(unconfirmed as u64);
        tracing::warn!(unconfirmed, "a lease ran out with {unconfirmed} sends unsettled");
        n += 1;
    }
    match app.db.run(move |conn| intake::take_in_parked(conn, now)).await {
        Ok(taken) => n += taken,
        Err(error) => tracing::error!("parked receipts could not be taken in: {error}"),
    }
    match intake::take_in_overdue(app, now).await {
        Ok(taken) => n += taken,
        Err(error) => tracing::error!("texts of which pieces are missing could not be taken in: {error}"),
    }
    for run in app.db.run(runs::store::with_canary).await? {
        match app.db.run(move |conn| control::clockwork::judge_canary(conn, run, now)).await {
            Ok(judged) => n += usize::from(judged),
            Err(error) => tracing::error!(run.id = %run, "the first of run {run} could not be judged: {error}"),
        }
    }
    for run in app.db.run(move |conn| perhaps_ended(conn, now)).await? {
        match app.db.run(move |conn| control::clockwork::end_run(conn, run, now)).await {
            Ok(Some(campaign)) => n += 1 + finish(app, vec![campaign]).await,
            Ok(None) => {}
            Err(error) => tracing::error!(run.id = %run, "run {run} could not be ended: {error}"),
        }
    }
    Ok(n)
}

/// Runs that may have come to their end; none while everything is held: whoever releases it may
/// want those to be sent to again whom the end would leave out.
fn perhaps_ended(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<RunId>> {
    if marks::store::is_held(conn)? { Ok(Vec::new()) } else { runs::store::perhaps_ended(conn, now) }
}

/// Ends campaigns that nothing is left of in any other way: whoever ended their last
/// run died before this, or their last date went by. It looks at every campaign there
/// is, so it need not come each second. Returns how many it ended.
pub async fn sweep(app: &App) -> anyhow::Result<usize> {
    let over = app.db.run(control::store::with_all_runs_ended).await?;
    Ok(finish(app, over).await)
}

/// Forgets references of providers and what channels took, of which nobody asks any more.
pub async fn forget(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    Ok(app
        .db
        .run(move |conn| {
            references::forget(conn, now)?;
            room::forget(conn, now)?;
            reach::forget(conn, now)
        })
        .await?)
}

/// Ends those of these campaigns that nothing is left of. One that cannot be ended holds up no other.
async fn finish(app: &App, campaigns: Vec<CampaignId>) -> usize {
    let (mut n, now) = (0, app.clock.now());
    for campaign in campaigns {
        match app.db.run(move |conn| control::clockwork::finish(conn, campaign, now)).await {
            Ok(ended) => n += usize::from(ended),
            Err(error) => tracing::error!(campaign.id = %campaign, "campaign {campaign} could not be ended: {error}"),
        }
    }
    n
}
