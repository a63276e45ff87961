use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{InboxAlerts, NewUser, Refused, User, hash_password, heard_again};
use super::store;
use crate::access::{Actor, Role};
use crate::db::{Error, locks, unless_taken};
use crate::ids::UserId;
use crate::installation;
use crate::journal::{self, Entry, Happened};

/// What an attempt to sign in met.
#[derive(Debug)]
pub enum Attempt {
    /// The password may be looked at. Without a user there is nothing it could fit.
    Heard { user: Option<(User, String)> },
    /// It comes too soon after one that failed. Not even the right password would do.
    TooSoon { until: DateTime<Utc> },
}

/// Begins an attempt to sign in with a tidied e-mail address.
///
/// It is written down as failed before the password is looked at, so that guesses
/// made side by side are all counted; [`welcome`] takes that back.
pub fn attempt(conn: &mut PgConnection, email: &str, peer: &str, now: DateTime<Utc>) -> QueryResult<Attempt> {
    conn.transaction(|conn| {
        locks::take_attempts(conn, email)?;
        if let Some(until) = heard_again(&store::failures(conn, email, peer, now)?, now) {
            return Ok(Attempt::TooSoon { until });
        }
        store::insert_failure(conn, email, peer, now)?;
        Ok(Attempt::Heard { user: store::credentials(conn, email)? })
    })
}

/// Ends an attempt whose password, behind `password_hash`, was right.
///
/// `None` when the person was disabled or got another password in the meantime.
pub fn welcome(
    conn: &mut PgConnection,
    email: &str,
    peer: &str,
    password_hash: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<User>> {
    conn.transaction(|conn| {
        let Some((user, current_hash)) = store::credentials(conn, email)? else { return Ok(None) };
        if current_hash != password_hash {
            return Ok(None);
        }
        store::forget_failures_from(conn, email, peer)?;
        journal::note(conn, about(user.id, Happened::UserSignedIn, user.id.into()), now)?;
        Ok(Some(user))
    })
}

/// Writes down that somebody gave a wrong password. Of an unknown address not even the address
/// is kept: it may be a password that was typed into the wrong field.
pub fn turned_away(conn: &mut PgConnection, user: Option<UserId>, from: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let why = match user {
        Some(_) => format!("from {from}"),
        None => format!("an unknown e-mail address, from {from}"),
    };
    let entry = Entry::new(Happened::UserSignInFailed, user.map_or(0, |id| id.0), Actor::Stranger).why(&why);
    journal::note(conn, entry, now)
}

pub fn sign_out(conn: &mut PgConnection, id: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    journal::note(conn, about(id, Happened::UserSignedOut, id.into()), now)
}

/// Adds somebody. `by`: `None` when it is done from the command line.
///
/// The caller has asked the domain whether e-mail, name and password will do.
pub fn add_user(
    conn: &mut PgConnection,
    new: &NewUser,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<UserId, Error<Refused>> {
    let password_hash = hash_password(&new.password);
    conn.transaction(|conn| {
        let added = store::insert(conn, new, &password_hash, now);
        let id = unless_taken(added, "one_user_per_email", || Refused::EmailTaken)?;
        let entry = about(id, Happened::UserAdded, by).became(new.role.word());
        journal::note(conn, entry, now)?;
        Ok(id)
    })
}

/// Adds the person an installation begins with, unless there is somebody already. Returns
/// whether it did; of several processes that start together one does.
///
/// `keep` writes their password down. It comes first: without it nobody could sign in.
pub fn add_first_user<E: From<Error<Refused>> + From<diesel::result::Error>>(
    conn: &mut PgConnection,
    new: &NewUser,
    keep: impl FnOnce() -> Result<(), E>,
    now: DateTime<Utc>,
) -> Result<bool, E> {
    conn.transaction(|conn| {
        installation::take_turn(conn)?;
        if !store::list(conn)?.is_empty() {
            return Ok(false);
        }
        keep()?;
        add_user(conn, new, Actor::Shell, now)?;
        Ok(true)
    })
}

/// Gives a person another password and signs them out everywhere.
pub fn set_password(
    conn: &mut PgConnection,
    id: UserId,
    password: &str,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<User, Error<Refused>> {
    let password_hash = hash_password(password);
    conn.transaction(|conn| {
        let user = store::lock(conn, id)?;
        store::set_password_hash(conn, id, &password_hash)?;
        store::end_sessions(conn, id)?;
        // Whoever was locked out by failures has a password again that works.
        store::forget_failures(conn, &user.email)?;
        journal::note(conn, about(id, Happened::UserPasswordChanged, by), now)?;
        Ok(user)
    })
}

/// Shuts a person out from this instant on.
pub fn disable_user(conn: &mut PgConnection, id: UserId, by: Actor, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    if by == Actor::Person(id) {
        return Err(Refused::Yourself.into());
    }
    conn.transaction(|conn| {
        // Before the person, so that two admins who disable one another take turns.
        let admins = store::lock_enabled_admins(conn)?;
        let user = store::lock(conn, id)?;
        if user.disabled_at.is_some() {
            return Err(Refused::AlreadyDisabled.into());
        }
        if admins == [id] {
            return Err(Refused::LastAdmin.into());
        }
        store::set_disabled_at(conn, id, Some(now))?;
        store::end_sessions(conn, id)?;
        let entry = about(id, Happened::UserDisabled, by).was("enabled").became("disabled");
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// Lets a disabled person in again, with the password they had.
pub fn enable_user(conn: &mut PgConnection, id: UserId, by: Actor, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let user = store::lock(conn, id)?;
        if user.disabled_at.is_none() {
            return Err(Refused::AlreadyEnabled.into());
        }
        // A session that was begun while they were being disabled must not come back with them.
        store::end_sessions(conn, id)?;
        store::set_disabled_at(conn, id, None)?;
        let entry = about(id, Happened::UserEnabled, by).was("disabled").became("enabled");
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// Gives a person another name or e-mail address, from their next request on. They sign in with the new address.
///
/// The caller has asked the domain whether they will do.
pub fn edit_user(
    conn: &mut PgConnection,
    id: UserId,
    name: &str,
    email: &str,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let user = store::lock(conn, id)?;
        let (was, becomes) = (format!("{} <{}>", user.name, user.email), format!("{name} <{email}>"));
        if was == becomes {
            return Ok(());
        }
        unless_taken(store::set_name_and_email(conn, id, name, email), "one_user_per_email", || Refused::EmailTaken)?;
        journal::note(conn, about(id, Happened::UserEdited, by).was(&was).became(&becomes), now)?;
        Ok(())
    })
}

/// Gives a person another role, from their next request on.
pub fn set_role(
    conn: &mut PgConnection,
    id: UserId,
    role: Role,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    if by == Actor::Person(id) {
        return Err(Refused::OwnRole.into());
    }
    conn.transaction(|conn| {
        // Before the person, so that two admins who do it to one another take turns.
        let admins = store::lock_enabled_admins(conn)?;
        let user = store::lock(conn, id)?;
        if user.role == role {
            return Ok(());
        }
        if admins == [id] {
            return Err(Refused::LastAdmin.into());
        }
        store::set_role(conn, id, role)?;
        let entry = about(id, Happened::UserRoleChanged, by).was(user.role.word()).became(role.word());
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// What happens in the browser of whoever decides it when one more waits for them.
pub fn set_alerts(
    conn: &mut PgConnection,
    id: UserId,
    alerts: InboxAlerts,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        store::lock(conn, id)?;
        let was = store::alerts(conn, id)?;
        if was == alerts {
            return Ok(());
        }
        store::set_alerts(conn, id, alerts)?;
        let by = Actor::Person(id);
        journal::note(conn, about(id, Happened::UserAlertsChanged, by).was(was.word()).became(alerts.word()), now)?;
        Ok(())
    })
}

fn about(id: UserId, happened: Happened, by: Actor) -> Entry<'static> {
    Entry::new(happened, id, by)
}
