use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{ChannelSetup, Refused};
use super::{silence, store};
use crate::access::Actor;
use crate::channels::domain::Own;
use crate::db::{Error, unless_taken};
use crate::ids::{ChannelId, UserId};
use crate::installation;
use crate::journal::{self, Entry, Happened};
use crate::keyring::Keyring;
use crate::providers::Kind;
use crate::providers::credentials::Credentials;
use crate::providers::sandbox::Knobs;

fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error<Refused>> {
    unless_taken(result, "one_channel_per_name", || Refused::NameTaken(name.to_owned()))
}

/// Adds a channel. Its credentials are sealed under the newest of the keys.
pub fn add(
    conn: &mut PgConnection,
    kind: Kind,
    setup: &ChannelSetup,
    keys: &Keyring,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<ChannelId, Error<Refused>> {
    // Signs its webhook calls, or its visitors' tokens, or stands in its address; nobody chooses it.
    let secret = format!("{:032x}", rand::random::<u128>());
    let sealed = setup.typed.seal(keys).map_err(Refused::from)?;
    conn.transaction(|conn| {
        let id = named(store::insert(conn, kind, setup, &secret, sealed.as_deref(), now), &setup.name)?;
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
        let (name, sender, typed) = ("Sandbox SMS".to_owned(), "Bugle".to_owned(), Credentials::default());
        let setup = ChannelSetup { name, sender, per_minute: None, own, typed };
        add(conn, Kind::Sms, &setup, &Keyring::default(), Actor::Clock, now).map(drop)
    })
}

/// Changes a channel. What was claimed goes out as it was; the next claim feels it.
pub fn change(
    conn: &mut PgConnection,
    id: ChannelId,
    setup: &ChannelSetup,
    keys: &Keyring,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let known = store::lock(conn, id)?;
        let changes = known.setup.changes(setup);
        if changes.is_empty() {
            return Ok(());
        }
        named(store::save(conn, id, setup), &setup.name)?;
        if !setup.typed.is_empty() {
            // What no key opens any more is of no use: then all of them are typed anew.
            let old = Credentials::open(known.sealed.as_deref(), keys).unwrap_or_default();
            let sealed = old.with(&setup.typed).seal(keys).map_err(Refused::from)?;
            store::keep_credentials(conn, id, sealed.as_deref())?;
        }
        record(conn, id, Happened::ChannelChanged, by, &changes, now)?;
        Ok(())
    })
}

/// Puts all credentials under the newest key. Returns how many were under another. None of them changes: they are the same
/// afterwards, and so this is no entry of a channel's.
pub fn reseal(conn: &mut PgConnection, keys: &Keyring) -> Result<usize, Error<Refused>> {
    conn.transaction(|conn| {
        let mut n = 0;
        for (id, sealed) in store::lock_sealed(conn)? {
            if keys.is_current(&sealed) {
                continue;
            }
            let them = Credentials::open(Some(&sealed), keys).map_err(Refused::from)?;
            store::keep_credentials(conn, id, them.seal(keys).map_err(Refused::from)?.as_deref())?;
            n += 1;
        }
        Ok(n)
    })
}

/// How somebody lets a channel send again that is held because nothing is heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeardAgain {
    /// It was found that it can be called, or that its line is up: what is to come is waited for anew.
    Checked,
    /// It does without until something comes.
    Waived,
}

/// Lets a channel send again. Returns whether it was held.
pub fn let_go_on(
    conn: &mut PgConnection,
    id: ChannelId,
    how: HeardAgain,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    conn.transaction(|conn| {
        if !silence::lock(conn, id)? {
            return Ok(false);
        }
        let why = match how {
            HeardAgain::Checked => {
                silence::heard(conn, id, false, now)?;
                "it can be called, as a check has shown: it sends again"
            }
            HeardAgain::Waived => {
                silence::waive(conn, id, now)?;
                "it sends without being told what becomes of messages, until something comes again"
            }
        };
        journal::note(conn, Entry::new(Happened::ChannelChanged, id, by).why(why), now)?;
        Ok(true)
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
