//! store: Channels of which nothing is heard any more, though messages were taken that should have been told of.
//!
//! Such a channel is held: of what it sent nobody would learn either whether it arrived. Because nothing leaves then that
//! could be told of, it would be held for ever if only a receipt let it go on. So any call lets it, and a check that sends
//! nothing, and a person who wants to do without until something comes again.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Int8, Nullable, Timestamptz};

use super::incidents::Trouble;
use crate::db::Prepared;
use crate::db::locks::{self, Lock};
use crate::db::schema::{channel_incidents, channels};
use crate::ids::ChannelId;
use crate::providers::ProviderName;

/// A provider that tells of sends has told something by then: phones that are off keep it waiting for a few, not for all.
const LONG: TimeDelta = TimeDelta::minutes(15);
/// Of fewer it may be chance.
const ENOUGH: i64 = 10;
/// What was taken longer ago says nothing of how things are now.
const LATELY: TimeDelta = TimeDelta::days(1);
/// They are counted no further.
const COUNTED: i64 = 10_000;

/// A channel of which nothing was heard for long. There may be nothing to hear.
#[derive(Clone, Debug, Queryable)]
pub struct Unheard {
    pub id: ChannelId,
    provider: ProviderName,
    heard_at: Option<DateTime<Utc>>,
    told_at: Option<DateTime<Utc>>,
}

impl Unheard {
    /// Whether it tells of sends: it has told of one, or tells of all at an address that everybody can call.
    pub fn tells(&self, is_public: bool) -> bool {
        self.told_at.is_some() || (is_public && self.provider.tells_of_all())
    }

    /// Since when what was taken should have been told of.
    fn since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.heard_at.map_or(now - LATELY, |at| at.max(now - LATELY))
    }
}

/// Sends that were taken, and of which nothing was told since.
#[derive(Clone, Copy, Debug, PartialEq, QueryableByName)]
pub struct Untold {
    #[diesel(sql_type = Int8)]
    pub n: i64,
    /// When the first of them left.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub since: Option<DateTime<Utc>>,
}

impl Untold {
    pub fn are_enough(&self) -> bool {
        ENOUGH <= self.n
    }

    fn words(&self) -> String {
        match COUNTED <= self.n {
            true => format!("{COUNTED} or more wait for a word"),
            false => format!("{} wait for a word", self.n),
        }
    }
}

/// Channels of accounts somewhere else of which nothing was heard for long.
pub fn unheard(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<Unheard>> {
    channels::table
        .filter(channels::provider.ne_all([ProviderName::Sandbox, ProviderName::Webchat]))
        .filter(channels::heard_at.is_null().or(channels::heard_at.lt(now - LONG)))
        .order(channels::id)
        .select((channels::id, channels::provider, channels::heard_at, channels::told_at))
        .load(conn)
}

/// What such a channel should have told of by now. Replies are not among it: whoever is answered has just been heard.
pub fn untold(conn: &mut PgConnection, it: &Unheard, now: DateTime<Utc>) -> QueryResult<Untold> {
    let count = diesel::sql_query(include_str!("silence.sql"))
        .bind::<Int8, _>(it.id)
        .bind::<Timestamptz, _>(it.since(now))
        .bind::<Timestamptz, _>(now - LONG)
        .bind::<Int8, _>(COUNTED);
    Prepared(count).get_result(conn)
}

/// Holds a channel because of this, unless something was heard meanwhile; of one that is held, or that sends all the same,
/// notes how many it has become. Returns whether that is new.
pub fn note(conn: &mut PgConnection, it: &Unheard, untold: &Untold, now: DateTime<Utc>) -> QueryResult<bool> {
    use channel_incidents::{began_at, channel_id, code, last_at, trouble};
    conn.transaction(|conn| {
        locks::take(Lock::Channel);
        let known: Option<DateTime<Utc>> =
            channels::table.find(it.id).select(channels::heard_at).for_no_key_update().first(conn)?;
        if known != it.heard_at {
            return Ok(false);
        }
        let (said, since) = (untold.words(), it.heard_at.or(untold.since).unwrap_or(now));
        let goes_on = diesel::update(open(it.id)).set((code.eq(&said), last_at.eq(now))).execute(conn)?;
        if goes_on > 0 {
            return Ok(false);
        }
        let incident =
            (channel_id.eq(it.id), trouble.eq(Trouble::Callbacks), code.eq(&said), began_at.eq(since), last_at.eq(now));
        diesel::insert_into(channel_incidents::table).values(incident).execute(conn)?;
        diesel::update(channels::table.find(it.id)).set(channels::unheard.eq(true)).execute(conn)?;
        Ok(true)
    })
}

/// The incident of a channel that nothing is heard of, while it goes on.
#[diesel::dsl::auto_type(no_type_alias)]
fn open(channel: ChannelId) -> _ {
    let silence: Trouble = Trouble::Callbacks;
    channel_incidents::table
        .filter(channel_incidents::channel_id.eq(channel))
        .filter(channel_incidents::trouble.eq(silence))
        .filter(channel_incidents::ended_at.is_null())
}

/// Something about a channel has come, and with it perhaps what became of a send: it goes on. Written down once a minute.
pub fn heard(conn: &mut PgConnection, channel: ChannelId, of_sends: bool, now: DateTime<Utc>) -> QueryResult<()> {
    let note = diesel::sql_query(
        "UPDATE channels
         SET heard_at = $2, unheard = false, told_at = CASE WHEN $3 THEN coalesce(told_at, $2) ELSE told_at END
         WHERE id = $1 AND (heard_at IS NULL OR heard_at < $4 OR unheard OR ($3 AND told_at IS NULL))",
    )
    .bind::<Int8, _>(channel)
    .bind::<Timestamptz, _>(now)
    .bind::<Bool, _>(of_sends)
    .bind::<Timestamptz, _>(now - TimeDelta::minutes(1));
    let written = Prepared(note).execute(conn)?;
    if written > 0 {
        diesel::update(open(channel)).set(channel_incidents::ended_at.eq(now)).execute(conn)?;
    }
    Ok(())
}

/// Whether a channel is held because nothing is heard of it. It stays so until this transaction ends.
pub fn lock(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<bool> {
    locks::take(Lock::Channel);
    channels::table.find(channel).select(channels::unheard).for_no_key_update().first(conn)
}

/// Lets a channel send all the same, until something is heard.
pub fn waive(conn: &mut PgConnection, channel: ChannelId, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(channels::table.find(channel)).set(channels::unheard.eq(false)).execute(conn)?;
    diesel::update(open(channel)).set(channel_incidents::waived_at.eq(now)).execute(conn).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_told_of_a_send_is_not_waited_for_unless_its_provider_tells_of_all() {
        let now = "2026-03-02T09:00:00Z".parse().unwrap();
        let channel = |provider, told_at| Unheard { id: ChannelId(1), provider, heard_at: None, told_at };
        assert!(channel(ProviderName::Http, Some(now)).tells(false));
        assert!(!channel(ProviderName::Http, None).tells(true));
        assert!(!channel(ProviderName::Smpp, None).tells(true));
        assert!(channel(ProviderName::Twilio, None).tells(true));
        assert!(!channel(ProviderName::Twilio, None).tells(false), "it was given no address");
    }

    #[test]
    fn what_was_taken_a_day_ago_or_before_something_came_is_not_missed() {
        let now: DateTime<Utc> = "2026-03-02T09:00:00Z".parse().unwrap();
        let since =
            |heard_at| Unheard { id: ChannelId(1), provider: ProviderName::Http, heard_at, told_at: None }.since(now);
        assert_eq!(since(None), now - TimeDelta::days(1));
        assert_eq!(since(Some(now - TimeDelta::days(2))), now - TimeDelta::days(1));
        assert_eq!(since(Some(now - TimeDelta::hours(2))), now - TimeDelta::hours(2));
    }
}
