use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::domain::{NewUser, Refused, User, hash_password, heard_again};
use super::store;
use crate::db::violates_unique;
use crate::ids::UserId;
use crate::installation;
use crate::journal::{self, Entry};
use crate::web::Role;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
    #[error("the password could not be hashed: {0}")]
    Hashing(#[from] argon2::password_hash::Error),
    #[error("the first password could not be written down: {0}")]
    Keeping(#[from] std::io::Error),
}

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
        store::take_turns(conn, email)?;
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
pub fn welcome(conn: &mut PgConnection, email: &str, peer: &str, password_hash: &str) -> QueryResult<Option<User>> {
    conn.transaction(|conn| {
        let Some((user, current_hash)) = store::credentials(conn, email)? else { return Ok(None) };
        if current_hash != password_hash {
            return Ok(None);
        }
        store::forget_failures_from(conn, email, peer)?;
        Ok(Some(user))
    })
}

/// Adds somebody. `by`: `None` when it is done from the command line.
///
/// The caller has asked the domain whether e-mail, name and password will do.
pub fn add_user(
    conn: &mut PgConnection,
    new: &NewUser,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<UserId, Error> {
    let password_hash = hash_password(&new.password)?;
    conn.transaction(|conn| {
        let id = store::insert(conn, new, &password_hash, now).map_err(|error| match error {
            error if violates_unique(&error, "one_user_per_email") => Error::Refused(Refused::EmailTaken),
            error => Error::Db(error),
        })?;
        let entry = Entry { became: Some(new.role.word()), ..about(id, "user.added", by) };
        journal::record(conn, &entry, now)?;
        Ok(id)
    })
}

/// Adds the person an installation begins with, unless there is somebody already. Returns
/// whether it did; of several processes that start together one does.
///
/// `keep` writes their password down. It comes first: without it nobody could sign in.
pub fn add_first_user(
    conn: &mut PgConnection,
    new: &NewUser,
    keep: impl FnOnce() -> std::io::Result<()>,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    conn.transaction(|conn| {
        installation::take_turn(conn)?;
        if !store::list(conn)?.is_empty() {
            return Ok(false);
        }
        keep()?;
        add_user(conn, new, None, now).map(|_| true)
    })
}

/// Gives a person another password and signs them out everywhere.
pub fn set_password(
    conn: &mut PgConnection,
    id: UserId,
    password: &str,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<User, Error> {
    let password_hash = hash_password(password)?;
    conn.transaction(|conn| {
        let user = store::lock(conn, id)?;
        store::set_password_hash(conn, id, &password_hash)?;
        store::end_sessions(conn, id)?;
        // Whoever was locked out by failures has a password again that works.
        store::forget_failures(conn, &user.email)?;
        journal::record(conn, &about(id, "user.password_changed", by), now)?;
        Ok(user)
    })
}

/// Shuts a person out from this instant on.
pub fn disable_user(conn: &mut PgConnection, id: UserId, by: Option<UserId>, now: DateTime<Utc>) -> Result<(), Error> {
    if by == Some(id) {
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
        let entry = Entry { was: Some("enabled"), became: Some("disabled"), ..about(id, "user.disabled", by) };
        journal::record(conn, &entry, now)?;
        Ok(())
    })
}

/// Lets a disabled person in again, with the password they had.
pub fn enable_user(conn: &mut PgConnection, id: UserId, by: Option<UserId>, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let user = store::lock(conn, id)?;
        if user.disabled_at.is_none() {
            return Err(Refused::AlreadyEnabled.into());
        }
        // A session that was begun while they were being disabled must not come back with them.
        store::end_sessions(conn, id)?;
        store::set_disabled_at(conn, id, None)?;
        let entry = Entry { was: Some("disabled"), became: Some("enabled"), ..about(id, "user.enabled", by) };
        journal::record(conn, &entry, now)?;
        Ok(())
    })
}

/// Gives a person another role, from their next request on.
pub fn set_role(
    conn: &mut PgConnection,
    id: UserId,
    role: Role,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if by == Some(id) {
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
        let entry =
            Entry { was: Some(user.role.word()), became: Some(role.word()), ..about(id, "user.role_changed", by) };
        journal::record(conn, &entry, now)?;
        Ok(())
    })
}

fn about(id: UserId, happened: &'static str, by: Option<UserId>) -> Entry<'static> {
    Entry { happened, campaign: None, subject: id.0, by, was: None, became: None, why: None }
}
