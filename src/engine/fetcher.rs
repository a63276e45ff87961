//! Fetches what came with messages from where its provider keeps it, before it keeps it no longer.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::{Connection, PgConnection, QueryResult};
use tokio::time::timeout;

use crate::app::App;
use crate::channels::setups;
use crate::conversations;
use crate::db::DbError;
use crate::files::upload::plain_name;
use crate::media::domain::sniff;
use crate::media::store::{self, Awaited, FetchedHeard};
use crate::providers::media::Unfetched;

/// Files at once in one process.
const AT_ONCE: i64 = 4;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever takes one has it for so long.
const TAKEN_FOR: TimeDelta = TimeDelta::minutes(2);
/// How long a file waits for the message with which it comes.
const STRAYS_KEPT_FOR: TimeDelta = TimeDelta::hours(24);
/// Tries before it is given up: after 10 s, 40 s, 3 and 11 minutes.
const TRIES: i16 = 5;

/// Fetches what is due. Returns how many files that was.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let due = app.db.run(move |conn| store::take_due(conn, AT_ONCE, now, now + TAKEN_FOR)).await?;
    let n = due.len();
    let each = due.into_iter().map(|it| fetch(app, it));
    for fetched in futures_util::future::join_all(each).await {
        fetched?;
    }
    Ok(n)
}

/// Forgets files that strangers brought for a message that never came. Returns how many.
pub async fn forget_strays(app: &App) -> anyhow::Result<usize> {
    let then = app.clock.now() - STRAYS_KEPT_FOR;
    Ok(app.db.run(move |conn| store::forget_strays(conn, then)).await?)
}

async fn fetch(app: &App, it: Awaited) -> anyhow::Result<()> {
    let channel = it.channel;
    let setup = app.db.run(move |conn| setups::find(conn, channel)).await?;
    let adapter = (app.providers)(&setup);
    let got = match timeout(PATIENCE, adapter.fetch(&it.heard)).await {
        Ok(got) => got,
        Err(_) => Some(Err(Unfetched::Later("no answer in time".to_owned()))),
    };
    let now = app.clock.now();
    let fetched = match got {
        None => FetchedHeard::Told,
        Some(Ok(got)) => match sniff(&got.octets, &name_of(&it)) {
            Ok(file) => {
                let id = it.id;
                let keep = move |conn: &mut PgConnection| {
                    conn.transaction(|conn| {
                        let kept = store::insert(conn, &file, &got.octets, None, now)?;
                        match settle(conn, id, &FetchedHeard::Kept(kept.id))? {
                            true => Ok(()),
                            // Somebody else has brought it meanwhile.
                            false => Err(diesel::result::Error::RollbackTransaction),
                        }
                    })
                };
                match app.db.run(keep).await {
                    Ok(()) | Err(DbError::Work(diesel::result::Error::RollbackTransaction)) => {}
                    Err(error) => return Err(error.into()),
                }
                return Ok(());
            }
            Err(refused) => FetchedHeard::Refused(refused.to_string()),
        },
        Some(Err(Unfetched::Never(why))) => FetchedHeard::Refused(why),
        Some(Err(Unfetched::Later(why))) if TRIES <= it.tries => FetchedHeard::Refused(why),
        Some(Err(Unfetched::Later(why))) => {
            FetchedHeard::Later(now + TimeDelta::seconds(10 * 4_i64.pow(it.tries.clamp(1, 5) as u32 - 1)), why)
        }
    };
    app.db.run(move |conn| conn.transaction(|conn| settle(conn, it.id, &fetched))).await?;
    Ok(())
}

/// Writes down what became of it, and shows it to whoever looks at the conversation.
fn settle(conn: &mut PgConnection, id: i64, fetched: &FetchedHeard) -> QueryResult<bool> {
    let Some(message) = store::settle(conn, id, fetched)? else { return Ok(false) };
    let of = conversations::store::conversation_of(conn, message)?;
    conversations::store::touch(conn, &[of])?;
    Ok(true)
}

/// What it is called: as somebody named it, else by what it is.
fn name_of(it: &Awaited) -> String {
    let told = plain_name(&it.heard.about);
    match told.is_empty() {
        false => told,
        true => {
            let kind = it.heard.kind.trim();
            if kind.is_empty() { "file".to_owned() } else { plain_name(kind) }
        }
    }
}
