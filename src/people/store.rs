use std::collections::HashMap;

use actix_session::Session;
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key};
use actix_web::cookie::time::Duration;
use actix_web::web::Data;
use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::domain::{FORGOTTEN, IDLE, InboxAlerts, LONGEST_SESSION, NewUser, STEPS, User};
use crate::access::{Person, Role};
use crate::app::App;
use crate::db::DbError;
use crate::db::locks::{self, Lock};
use crate::db::schema::{sessions, sign_in_failures, users};
use crate::ids::UserId;

// Users

/// Everybody, by name.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<User>> {
    let rows: Vec<Row> = users::table.select(Row::as_select()).order((users::name, users::id)).load(conn)?;
    rows.into_iter().map(User::try_from).collect()
}

pub fn find(conn: &mut PgConnection, id: UserId) -> QueryResult<User> {
    users::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Who has this tidied e-mail address, disabled or not.
pub fn find_by_email(conn: &mut PgConnection, email: &str) -> QueryResult<Option<User>> {
    let row = users::table.filter(users::email.eq(email)).select(Row::as_select()).first(conn).optional()?;
    row.map(User::try_from).transpose()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: UserId) -> QueryResult<User> {
    locks::take(Lock::User);
    users::table.find(id).select(Row::as_select()).for_update().first(conn)?.try_into()
}

/// Locks the admins who may sign in, always in the same order, and returns who they are.
pub fn lock_enabled_admins(conn: &mut PgConnection) -> QueryResult<Vec<UserId>> {
    locks::take(Lock::Admins);
    let ids: Vec<i64> = users::table
        .filter(users::role.eq(Role::Admin))
        .filter(users::disabled_at.is_null())
        .order(users::id)
        .select(users::id)
        .for_update()
        .load(conn)?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// Who may sign in with this tidied e-mail address, and the hash of their password.
pub fn credentials(conn: &mut PgConnection, email: &str) -> QueryResult<Option<(User, String)>> {
    let found = users::table
        .filter(users::email.eq(email))
        .filter(users::disabled_at.is_null())
        .select((Row::as_select(), users::password_hash))
        .first::<(Row, String)>(conn)
        .optional()?;
    found.map(|(row, hash)| Ok((row.try_into()?, hash))).transpose()
}

pub fn insert(conn: &mut PgConnection, new: &NewUser, password_hash: &str, now: DateTime<Utc>) -> QueryResult<UserId> {
    diesel::insert_into(users::table)
        .values((
            users::email.eq(&new.email),
            users::name.eq(&new.name),
            users::role.eq(new.role),
            users::password_hash.eq(password_hash),
            users::created_at.eq(now),
        ))
        .returning(users::id)
        .get_result(conn)
        .map(UserId)
}

pub fn set_password_hash(conn: &mut PgConnection, id: UserId, password_hash: &str) -> QueryResult<()> {
    diesel::update(users::table.find(id)).set(users::password_hash.eq(password_hash)).execute(conn).map(drop)
}

pub fn set_name_and_email(conn: &mut PgConnection, id: UserId, name: &str, email: &str) -> QueryResult<()> {
    let set = (users::name.eq(name), users::email.eq(email));
    diesel::update(users::table.find(id)).set(set).execute(conn).map(drop)
}

pub fn set_role(conn: &mut PgConnection, id: UserId, role: Role) -> QueryResult<()> {
    diesel::update(users::table.find(id)).set(users::role.eq(role)).execute(conn).map(drop)
}

pub fn alerts(conn: &mut PgConnection, id: UserId) -> QueryResult<InboxAlerts> {
    users::table.find(id).select(users::alerts).first(conn)
}

pub fn set_alerts(conn: &mut PgConnection, id: UserId, alerts: InboxAlerts) -> QueryResult<()> {
    diesel::update(users::table.find(id)).set(users::alerts.eq(alerts)).execute(conn).map(drop)
}

pub fn set_disabled_at(conn: &mut PgConnection, id: UserId, at: Option<DateTime<Utc>>) -> QueryResult<()> {
    diesel::update(users::table.find(id)).set(users::disabled_at.eq(at)).execute(conn).map(drop)
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(Pg))]
struct Row {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    disabled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for User {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let Row { id, email, name, role, disabled_at, created_at } = row;
        Ok(User { id, email, name, role, disabled_at, created_at })
    }
}

// Failed attempts to sign in

/// When attempts for this e-mail address from one network, or known browser, failed: newest first,
/// as far as it can matter.
pub fn failures(
    conn: &mut PgConnection,
    email: &str,
    peer: &str,
    now: DateTime<Utc>,
) -> QueryResult<Vec<DateTime<Utc>>> {
    sign_in_failures::table
        .filter(sign_in_failures::email.eq(email))
        .filter(sign_in_failures::peer.eq(peer))
        .filter(sign_in_failures::at.gt(now - FORGOTTEN))
        .order(sign_in_failures::at.desc())
        .limit(i64::from(STEPS))
        .select(sign_in_failures::at)
        .load(conn)
}

pub fn insert_failure(conn: &mut PgConnection, email: &str, peer: &str, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(sign_in_failures::table)
        .values((sign_in_failures::email.eq(email), sign_in_failures::peer.eq(peer), sign_in_failures::at.eq(now)))
        .execute(conn)
        .map(drop)
}

pub fn forget_failures(conn: &mut PgConnection, email: &str) -> QueryResult<()> {
    diesel::delete(sign_in_failures::table.filter(sign_in_failures::email.eq(email))).execute(conn).map(drop)
}

/// The same for one network, or known browser.
pub fn forget_failures_from(conn: &mut PgConnection, email: &str, peer: &str) -> QueryResult<()> {
    let those =
        sign_in_failures::table.filter(sign_in_failures::email.eq(email)).filter(sign_in_failures::peer.eq(peer));
    diesel::delete(those).execute(conn).map(drop)
}

// Sessions

/// Signs the person out everywhere.
pub fn end_sessions(conn: &mut PgConnection, id: UserId) -> QueryResult<()> {
    diesel::delete(sessions::table.filter(sessions::user_id.eq(id))).execute(conn).map(drop)
}

/// Deletes what time has made meaningless: sessions that are over, and old failures.
pub fn sweep(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    let over = sessions::expires_at.le(now).or(sessions::begun_at.le(now - LONGEST_SESSION));
    let n_sessions = diesel::delete(sessions::table.filter(over)).execute(conn)?;
    let old = sign_in_failures::table.filter(sign_in_failures::at.le(now - FORGOTTEN));
    Ok(n_sessions + diesel::delete(old).execute(conn)?)
}

tokio::task_local! {
    /// Whether a person is behind the request that is being answered, or only a page that asks
    /// again and again by itself. Such a page keeps no session alive.
    pub static ATTENDED: bool;
}

/// What a session is known by in the database; worth nothing to who would take it over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Vec<u8>);

impl SessionId {
    /// Where a session that was read keeps its own.
    const IN_SESSION: &'static str = "session_id";

    pub fn of(session: &Session) -> Option<SessionId> {
        session.get(Self::IN_SESSION).ok().flatten()
    }
}

/// Which of these sessions are not over, and belong to somebody who may be in.
pub fn still_in(conn: &mut PgConnection, ids: &[SessionId], now: DateTime<Utc>) -> QueryResult<Vec<SessionId>> {
    let found: Vec<Vec<u8>> = sessions::table
        .inner_join(users::table.on(sessions::user_id.eq(users::id.nullable())))
        .filter(users::disabled_at.is_null())
        .filter(sessions::key_hash.eq_any(ids.iter().map(|id| &id.0)))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::begun_at.gt(now - LONGEST_SESSION))
        .select(sessions::key_hash)
        .load(conn)?;
    Ok(found.into_iter().map(SessionId).collect())
}

/// A session in use is written again after so long, not for every request.
const EXTEND_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Sessions as actix-session keeps them, in the table `sessions`.
///
/// The person in the state is never stored: going in, they become `user_id`, and
/// coming out they are read from `users`, in the same query.
#[derive(Clone)]
pub struct PgSessions {
    app: Data<App>,
}

type State = HashMap<String, String>;

impl PgSessions {
    pub fn new(app: Data<App>) -> Self {
        Self { app }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DbError<diesel::result::Error>> {
        self.app.vital.run(work).await
    }

    fn expiry(&self, ttl: &Duration) -> DateTime<Utc> {
        self.app.clock.now() + TimeDelta::seconds(ttl.whole_seconds())
    }
}

impl SessionStore for PgSessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let (id, now) = (hash(key), self.app.clock.now());
        let asked = id.clone();
        let attended = ATTENDED.try_with(|attended| *attended).unwrap_or(true);
        match self.run(move |conn| find_session(conn, &asked, attended, now)).await {
            Ok(state) => state.map(|found| to_state(found, &id)).transpose().map_err(LoadError::Deserialization),
            // An error here would be an empty page. Whoever asks for the person will say that we are busy.
            Err(error) => {
                tracing::error!("reading a session: {error:#}");
                let silent_for = match error {
                    DbError::Lost(lost) => lost.silent_for.as_secs().to_string(),
                    DbError::Busy | DbError::Cancelled | DbError::Work(_) => "null".to_owned(),
                };
                Ok(Some(State::from([(Person::UNKNOWN_IN_SESSION.to_owned(), silent_for)])))
            }
        }
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        let (id, expires_at, now) = (hash(&key), self.expiry(ttl), self.app.clock.now());
        let user = user_in(&state).map_err(SaveError::Serialization)?;
        let state = to_json(state).map_err(SaveError::Serialization)?;
        self.run(move |conn| {
            diesel::insert_into(sessions::table)
                .values((
                    sessions::key_hash.eq(id),
                    sessions::user_id.eq(user),
                    sessions::state.eq(state),
                    sessions::expires_at.eq(expires_at),
                    sessions::begun_at.eq(now),
                ))
                .execute(conn)
        })
        .await
        .map_err(|error| SaveError::Other(error.into()))?;
        Ok(key)
    }

    /// Who is signed in stays as it is: signing in makes a new session. One that was
    /// ended in the meantime stays ended, and what was to be kept in it is dropped.
    async fn update(&self, key: SessionKey, state: State, ttl: &Duration) -> Result<SessionKey, UpdateError> {
        let (id, expires_at) = (hash(&key), self.expiry(ttl));
        let state = to_json(state).map_err(UpdateError::Serialization)?;
        self.run(move |conn| {
            diesel::update(sessions::table.find(id))
                .set((sessions::state.eq(state), sessions::expires_at.eq(expires_at)))
                .execute(conn)
        })
        .await
        .map_err(|error| UpdateError::Other(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> anyhow::Result<()> {
        let (id, expires_at) = (hash(key), self.expiry(ttl));
        self.run(move |conn| {
            diesel::update(sessions::table.find(id)).set(sessions::expires_at.eq(expires_at)).execute(conn)
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> anyhow::Result<()> {
        let id = hash(key);
        self.run(move |conn| diesel::delete(sessions::table.find(id)).execute(conn)).await?;
        Ok(())
    }
}

fn hash(key: &SessionKey) -> Vec<u8> {
    Sha256::digest(key.as_ref().as_bytes()).to_vec()
}

type Found = (serde_json::Value, Option<Person>);

/// A session that is not over, with the person whose it is. `None` too when that
/// person is disabled.
fn find_session(conn: &mut PgConnection, id: &[u8], attended: bool, now: DateTime<Utc>) -> QueryResult<Option<Found>> {
    let found = sessions::table
        .left_join(users::table.on(sessions::user_id.eq(users::id.nullable()).and(users::disabled_at.is_null())))
        .filter(sessions::key_hash.eq(id))
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::begun_at.gt(now - LONGEST_SESSION))
        .select((sessions::state, sessions::expires_at, sessions::user_id, Option::<Row>::as_select()))
        .first::<(serde_json::Value, DateTime<Utc>, Option<i64>, Option<Row>)>(conn)
        .optional()?;

    let Some((state, expires_at, user_id, row)) = found else { return Ok(None) };
    if user_id.is_some() && row.is_none() {
        return Ok(None);
    }
    if attended && expires_at < now + IDLE - EXTEND_AFTER {
        diesel::update(sessions::table.find(id)).set(sessions::expires_at.eq(now + IDLE)).execute(conn)?;
    }
    let user = row.map(User::try_from).transpose()?;
    Ok(Some((state, user.map(|user| user.as_person()))))
}

fn to_state((state, person): Found, id: &[u8]) -> anyhow::Result<State> {
    let mut state: State = serde_json::from_value(state)?;
    if let Some(person) = person {
        state.insert(Person::IN_SESSION.to_owned(), serde_json::to_string(&person)?);
        state.insert(SessionId::IN_SESSION.to_owned(), serde_json::to_string(&SessionId(id.to_vec()))?);
    }
    Ok(state)
}

fn to_json(mut state: State) -> anyhow::Result<serde_json::Value> {
    state.remove(Person::IN_SESSION);
    state.remove(Person::UNKNOWN_IN_SESSION);
    state.remove(SessionId::IN_SESSION);
    Ok(serde_json::to_value(state)?)
}

fn user_in(state: &State) -> anyhow::Result<Option<UserId>> {
    let person = state.get(Person::IN_SESSION).map(|person| serde_json::from_str::<Person>(person)).transpose();
    Ok(person.map_err(|error| anyhow!("session: not a person: {error}"))?.map(|person| person.id))
}
