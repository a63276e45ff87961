//! io: Keeps the texts that providers have approved as they are there.

use std::time::Duration;

use tokio::time::timeout;

use super::{reach, setups, templates};
use crate::app::App;
use crate::db::DbError;
use crate::ids::ChannelId;
use crate::providers::Provider;

/// How long a list, page after page, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for the texts of each channel whose texts are due. Returns of how many channels they were read.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let due = app.db.run(move |conn| templates::due(conn, now)).await?;
    let mut n = 0;
    for channel in due {
        n += usize::from(fetch(app, channel).await?.is_ok());
    }
    Ok(n)
}

/// Asks how many people a channel's account may write to first within a day, and keeps it. What is not told now stays as
/// it was told before.
pub async fn fetch_reach(
    app: &App,
    channel: ChannelId,
    adapter: &dyn Provider,
) -> Result<(), DbError<diesel::result::Error>> {
    match timeout(PATIENCE, adapter.new_people()).await {
        Ok(Some(limit)) => app.db.run(move |conn| reach::keep(conn, channel, limit)).await,
        _ => Ok(()),
    }
}

/// Asks for the texts of a channel, and keeps them. Returns how many there are, or why they cannot be read.
pub async fn fetch(app: &App, channel: ChannelId) -> Result<Result<usize, String>, DbError<diesel::result::Error>> {
    let setup = app.db.run(move |conn| setups::find(conn, channel)).await?;
    let adapter = (app.providers)(&setup);
    let told = match timeout(PATIENCE, adapter.templates()).await {
        Ok(Some(told)) => told,
        Ok(None) => Err("this provider approves no texts".to_owned()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    fetch_reach(app, channel, &*adapter).await?;
    let now = app.clock.now();
    match told {
        Ok(them) => {
            let n = them.len();
            app.db.run(move |conn| templates::keep(conn, channel, &them, now)).await?;
            Ok(Ok(n))
        }
        Err(why) => {
            let noted = why.clone();
            app.db.run(move |conn| templates::could_not_be_read(conn, channel, &noted, now)).await?;
            Ok(Err(why))
        }
    }
}
