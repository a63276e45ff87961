//! store: When a channel could not send, and why.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use crate::db::schema::channel_incidents;
use crate::ids::ChannelId;
use crate::providers::{Later, RejectClass, RetryScope, SendOutcome};
use crate::words::words;

words! {
    /// What keeps a channel from sending.
    pub enum Trouble {
        Credentials = "credentials" => "the provider refuses our account, our sender or a permission",
        Funds = "funds" => "the account has no funds, or is suspended",
        Misset = "misset" => "the address that is asked is not the provider's",
        TooFast = "rate-limited" => "it was too fast for the provider",
        NotNow = "temporary" => "the provider cannot be reached",
        /// It would send; [`silence`](super::silence) holds it.
        Callbacks = "callbacks" => "nothing tells any more what becomes of messages",
    }
}

impl Trouble {
    /// What an outcome says of the whole channel, with the provider's code; `None`: nothing.
    pub fn of(outcome: &SendOutcome) -> Option<(Trouble, &str)> {
        match outcome {
            SendOutcome::Rejected { class, code } => {
                let trouble = match class {
                    RejectClass::ChannelConfig => Trouble::Credentials,
                    RejectClass::AccountLimit => Trouble::Funds,
                    RejectClass::Misset => Trouble::Misset,
                    _ => return None,
                };
                Some((trouble, code))
            }
            SendOutcome::RetryLater { scope: RetryScope::Recipient, .. } => None,
            SendOutcome::RetryLater { why: Later::TooFast, code, .. } => Some((Trouble::TooFast, code)),
            SendOutcome::RetryLater { why: Later::NotNow, code, .. } => Some((Trouble::NotNow, code)),
            SendOutcome::Accepted { .. } | SendOutcome::Unknown { .. } => None,
        }
    }
}

/// A stretch in which a channel could not send.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = channel_incidents, check_for_backend(diesel::pg::Pg))]
pub struct Incident {
    pub channel_id: ChannelId,
    pub trouble: Trouble,
    /// What the provider said last.
    pub code: String,
    pub began_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// `None`: it goes on.
    pub ended_at: Option<DateTime<Utc>>,
    /// When somebody let it send all the same.
    pub waived_at: Option<DateTime<Utc>>,
}

impl Incident {
    /// Whether nothing leaves because of it, as long as it goes on.
    pub fn holds(&self) -> bool {
        self.waived_at.is_none()
    }

    pub fn is_silence(&self) -> bool {
        self.trouble == Trouble::Callbacks
    }
}

/// The same trouble so soon after is the same incident.
const SAME_WITHIN: TimeDelta = TimeDelta::minutes(5);
/// Characters of a code at most.
const LONGEST: usize = 300;

/// Notes trouble of a channel: it goes on, or it begins.
pub fn note(
    conn: &mut PgConnection,
    channel: ChannelId,
    is: Trouble,
    said: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use channel_incidents::{began_at, channel_id, code, ended_at, id, last_at, trouble};
    let said: String = said.chars().filter(|c| *c != '\0').take(LONGEST).collect();
    let newest: Option<(i64, Trouble, Option<DateTime<Utc>>)> = channel_incidents::table
        .filter(channel_id.eq(channel))
        .filter(trouble.ne(Trouble::Callbacks))
        .order(id.desc())
        .select((id, trouble, ended_at))
        .first(conn)
        .optional()?;
    let goes_on = newest.filter(|(_, was, ended)| match ended {
        None => true,
        Some(ended) => *was == is && now - *ended < SAME_WITHIN,
    });
    match goes_on {
        Some((known, ..)) => diesel::update(channel_incidents::table.find(known))
            .set((trouble.eq(is), code.eq(said), last_at.eq(now), ended_at.eq(None::<DateTime<Utc>>)))
            .execute(conn)
            .map(drop),
        // Another process may have been first.
        None => diesel::insert_into(channel_incidents::table)
            .values((channel_id.eq(channel), trouble.eq(is), code.eq(said), began_at.eq(now), last_at.eq(now)))
            .on_conflict_do_nothing()
            .execute(conn)
            .map(drop),
    }
}

/// A message was taken again. That says nothing of what is told of it.
pub fn end(conn: &mut PgConnection, channel: ChannelId, now: DateTime<Utc>) -> QueryResult<()> {
    use channel_incidents::{began_at, channel_id, ended_at, trouble};
    diesel::update(channel_incidents::table)
        .filter(channel_id.eq(channel))
        .filter(ended_at.is_null())
        .filter(trouble.ne(Trouble::Callbacks))
        .filter(began_at.le(now))
        .set(ended_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Those that go on. A channel may have two: one in which nothing is heard of it, and another.
pub fn all_open(conn: &mut PgConnection) -> QueryResult<Vec<Incident>> {
    channel_incidents::table
        .filter(channel_incidents::ended_at.is_null())
        .order(channel_incidents::id)
        .select(Incident::as_select())
        .load(conn)
}

/// Those that go on, by channel: of two the one in which it is refused.
pub fn open(conn: &mut PgConnection) -> QueryResult<HashMap<ChannelId, Incident>> {
    let (silent, others): (Vec<_>, Vec<_>) = all_open(conn)?.into_iter().partition(Incident::is_silence);
    Ok(silent.into_iter().chain(others).map(|it| (it.channel_id, it)).collect())
}

/// The last of a channel, newest first.
pub fn of_channel(conn: &mut PgConnection, channel: ChannelId, n: i64) -> QueryResult<Vec<Incident>> {
    channel_incidents::table
        .filter(channel_incidents::channel_id.eq(channel))
        .order((channel_incidents::ended_at.desc().nulls_first(), channel_incidents::id.desc()))
        .limit(n)
        .select(Incident::as_select())
        .load(conn)
}
