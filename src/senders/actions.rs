use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{Refused, Setup};
use super::store;
use crate::channels::Kind;
use crate::db::violates_unique;
use crate::ids::{ChannelId, UserId};
use crate::journal::{self, Entry};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
}

fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error> {
    result.map_err(|error| match violates_unique(&error, "one_channel_per_name") {
        true => Refused::NameTaken(name.to_owned()).into(),
        false => error.into(),
    })
}

/// Adds a channel: a web chat, or one of the sandbox. `by`: `None` when it is done from the command line.
pub fn add(
    conn: &mut PgConnection,
    kind: Kind,
    setup: &Setup,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<ChannelId, Error> {
    // Signs its webhook calls, or its visitors' tokens; nobody has to know it.
    let secret = format!("{:032x}", rand::random::<u128>());
    conn.transaction(|conn| {
        let id = named(store::insert(conn, kind, setup, &secret, now), &setup.name)?;
        record(conn, id, "channel.added", by, &setup.name, now)?;
        Ok(id)
    })
}

/// Changes a channel. What was claimed goes out as it was; the next claim feels it.
pub fn change(
    conn: &mut PgConnection,
    id: ChannelId,
    setup: &Setup,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    conn.transaction(|conn| {
        let changes = store::lock(conn, id)?.setup.changes(setup);
        if changes.is_empty() {
            return Ok(());
        }
        named(store::save(conn, id, setup), &setup.name)?;
        record(conn, id, "channel.changed", Some(by), &changes, now)?;
        Ok(())
    })
}

fn record(
    conn: &mut PgConnection,
    id: ChannelId,
    happened: &'static str,
    by: Option<UserId>,
    why: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry { happened, campaign: None, subject: id.0, by, was: None, became: None, why: Some(why) };
    journal::record(conn, &entry, now)
}
