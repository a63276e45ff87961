//! Asks providers what became of sends that nobody answered for, where they can be asked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::app::App;
use crate::bots;
use crate::campaigns;
use crate::channels::look_ups::{self, UnansweredSend};
use crate::channels::setups;
use crate::conversations::looked_up;
use crate::deliveries::claim::candidates;
use crate::providers::InDoubt;
use crate::providers::key::{DeliveryKey, SendKey};
use crate::runs;

/// Asked about in one tick, and side by side: a provider limits how often it is asked, too.
const AT_ONCE: i64 = 10;
const SIDE_BY_SIDE: usize = 4;
/// It is asked again after more than that.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks about those that are due. Returns of how many it became known what became of them.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let due = app.db.run(move |conn| look_ups::take_due(conn, AT_ONCE, now)).await?;
    let asked = stream::iter(due).map(|it| async move {
        let key = it.key;
        look_up(app, it, now).await.unwrap_or_else(|error| {
            tracing::error!("what became of {key} could not be looked up: {error:#}");
            false
        })
    });
    Ok(asked.buffer_unordered(SIDE_BY_SIDE).filter(|known| std::future::ready(*known)).count().await)
}

async fn look_up(app: &App, it: UnansweredSend, now: DateTime<Utc>) -> anyhow::Result<bool> {
    let about = it.clone();
    let (setup, body) = app
        .db
        .run(move |conn| {
            let body = match looked_up::is_open(conn, &about)? {
                true => said(conn, &about)?,
                false => None,
            };
            if body.is_none() {
                look_ups::done(conn, &about)?;
            }
            QueryResult::Ok((setups::find(conn, about.channel)?, body))
        })
        .await?;
    let Some(body) = body else { return Ok(false) };
    let doubt = InDoubt { key: it.key, to: it.to.clone(), body: body.clone(), begun_at: it.begun_at };
    let adapter = (app.providers)(&setup);
    let found = match timeout(PATIENCE, adapter.look_up(&doubt)).await {
        Ok(Some(Ok(found))) => found,
        Ok(Some(Err(why))) => {
            tracing::warn!(channel.id = %it.channel, "channel {} could not be asked what became of {}: {why}", it.channel, it.key);
            return Ok(false);
        }
        Ok(None) => {
            app.db.run(move |conn| look_ups::done(conn, &it)).await?;
            return Ok(false);
        }
        Err(_) => return Ok(false),
    };
    let known = app.db.run(move |conn| looked_up::take_in(conn, setup.provider, &it, &body, &found, now)).await?;
    metrics::counter!("bugle_looked_up_total", "known" => known.to_string()).increment(1);
    Ok(known)
}

/// What a send said. `None`: nobody can say any more.
fn said(conn: &mut PgConnection, it: &UnansweredSend) -> QueryResult<Option<String>> {
    let (None, SendKey::Delivery(key)) = (&it.body, it.key) else { return Ok(it.body.clone()) };
    let Some(body) = rendered(conn, key, it.begun_at)? else { return Ok(None) };
    look_ups::said(conn, it, &body)?;
    Ok(Some(body))
}

/// The first words of a run to one of its contacts, as they were sent.
fn rendered(conn: &mut PgConnection, key: DeliveryKey, at: DateTime<Utc>) -> QueryResult<Option<String>> {
    let run = runs::store::find(conn, key.run)?;
    let zone = campaigns::store::find(conn, run.campaign_id)?.zone;
    let first = bots::store::first(conn, &run.body, run.bot, run.template.as_ref(), &run.fields, zone)?;
    let them = candidates(conn, key.run, &[(key.seq, key.attempt)])?;
    Ok(them.first().and_then(|it| first.render(&it.values, at).ok()).map(|content| InDoubt::body_of(&content)))
}
