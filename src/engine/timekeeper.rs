//! Compares our clock with the database's, and notices when either leaps.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Interval, Timestamptz};

use crate::app::App;
use crate::clock::{Compared, uptime};

/// How often clocks are compared, as the machine counts.
const EVERY: Duration = Duration::from_secs(1);
/// An answer that took longer tells the time too badly.
const PROMPT: Duration = Duration::from_millis(500);
/// A machine whose clock is so far off is worth a line.
const SKEWED: TimeDelta = TimeDelta::seconds(2);

/// Goes on until the process ends.
pub async fn keep(app: App) {
    let (mut every, mut was_skewed) = (tokio::time::interval(EVERY), false);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        match compare(&app).await {
            Ok(Some(skew)) => {
                app.pulse.database_answered(Instant::now());
                metrics::gauge!("bugle_clock_skew_seconds").set(skew.as_seconds_f64());
                let is_skewed = SKEWED < skew.abs();
                if is_skewed && !was_skewed {
                    let seconds = skew.as_seconds_f64();
                    tracing::warn!("this machine's clock is {seconds:+.1} s off the database's, which is gone by");
                }
                was_skewed = is_skewed;
            }
            Ok(None) => app.pulse.database_answered(Instant::now()),
            // The database's silence is told elsewhere.
            Err(error) => tracing::debug!("the time could not be asked: {error:#}"),
        }
    }
}

/// Asks the database for the time and goes by it. Returns how far the machine's own
/// clock is ahead of it; `None` when the answer came too late to tell.
pub async fn compare(app: &App) -> anyhow::Result<Option<TimeDelta>> {
    let (sent, read) = app
        .vital
        .run(|conn| {
            let sent = uptime();
            let read: DateTime<Utc> = diesel::select(clock_timestamp()).get_result(conn)?;
            QueryResult::Ok((sent, read))
        })
        .await?;
    let took = uptime().saturating_sub(sent);
    if PROMPT < took {
        return Ok(None);
    }
    let error = TimeDelta::from_std(took / 2)?;
    let now = read + error;
    if let Compared::Leapt(by) = app.clock.hear(now, error) {
        tracing::warn!("the database's clock leapt by {:+.1} s", by.as_seconds_f64());
        metrics::counter!("bugle_clock_leaps_total").increment(1);
        if by < TimeDelta::zero() {
            app.vital.run(move |conn| take_along(conn, by, now)).await?;
        }
    }
    Ok(Some(Utc::now() - now))
}

diesel::define_sql_function!(fn clock_timestamp() -> Timestamptz);

/// What was claimed before the clock was set back lies in the future now. It is moved
/// along, each as far as the others, so that the last minute stays one minute and
/// leases end when they would have. Whoever comes second finds nothing to move.
fn take_along(conn: &mut PgConnection, by: TimeDelta, now: DateTime<Utc>) -> QueryResult<usize> {
    let take = "WITH takes AS (UPDATE channel_takes SET taken_at = taken_at + $1 WHERE taken_at > $2)
                UPDATE leases SET taken_at = taken_at + $1, begun_at = begun_at + $1, expires_at = expires_at + $1
                WHERE taken_at > $2";
    diesel::sql_query(take)
        .bind::<Interval, _>(by)
        .bind::<Timestamptz, _>(now + TimeDelta::milliseconds(500))
        .execute(conn)
}
