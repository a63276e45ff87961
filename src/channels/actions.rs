use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{ChannelSetup, Refused};
use super::store;
use crate::access::Actor;
use crate::channels::domain::Own;
use crate::db::{Error, unless_taken};
use crate::ids::{ChannelId, UserId};
use crate::installation;
use crate::journal::{self, Entry, Happened};
use crate::providers::Kind;
use crate::providers::sandbox::Knobs;

fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error<Refused>> {
    unless_taken(result, "one_channel_per_name", || Refused::NameTaken(name.to_owned()))
}

/// Adds a channel: a web chat, or one of the sandbox.
pub fn add(
    conn: &mut PgConnection,
    kind: Kind,
    setup: &ChannelSetup,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<ChannelId, Error<Refused>> {
    // Signs its webhook calls, or its visitors' tokens; nobody has to know it.
    let secret = format!("{:032x}", rand::random::<u128>());
    conn.transaction(|conn| {
        let id = named(store::insert(conn, kind, setup, &secret, now), &setup.name)?;
        record(conn, id, Happened::ChannelAdded, by, &setup.name, now)?;
        Ok(id)
    })
}

/// Gives an installation without channels one of the sandbox to try things with. Of several
/// processes that start together one does.
pub fn ensure_channel(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        installation::take_turn(conn)?;
        if !store::list(conn)?.is_empty() {
            return Ok(());
        }
        let own = Own::Sandbox(Knobs::default());
        let setup = ChannelSetup { name: "Sandbox SMS".to_owned(), sender: "Bugle".to_owned(), per_minute: None, own };
        add(conn, Kind::Sms, &setup, Actor::Clock, now).map(drop)
    })
}

/// Changes a channel. What was claimed goes out as it was; the next claim feels it.
pub fn change(
    conn: &mut PgConnection,
    id: ChannelId,
    setup: &ChannelSetup,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let changes = store::lock(conn, id)?.setup.changes(setup);
        if changes.is_empty() {
            return Ok(());
        }
        named(store::save(conn, id, setup), &setup.name)?;
        record(conn, id, Happened::ChannelChanged, by, &changes, now)?;
        Ok(())
    })
}

fn record(
    conn: &mut PgConnection,
    id: ChannelId,
    happened: Happened,
    by: impl Into<Actor>,
    why: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry::new(happened, id, by).why(why);
    journal::note(conn, entry, now)
}
