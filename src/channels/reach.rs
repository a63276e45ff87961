//! store: How many people a channel's account may write to first within a day, and whom it has.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int8, Nullable, Text, Timestamptz};

use crate::db::Prepared;
use crate::db::locks;
use crate::db::schema::{channels, reached_people};
use crate::ids::{ChannelId, ContactId};
use crate::providers::ProviderName;

/// The stretch over which people are counted, and in which whoever wrote does not count.
const DAY: TimeDelta = TimeDelta::hours(24);
/// While there is no place, nobody is looked at more often, or less: they may have written.
const LOOKS: (TimeDelta, TimeDelta) = (TimeDelta::minutes(5), TimeDelta::hours(1));

/// The limit of an account, which all of its numbers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyReach {
    account: String,
    pub limit: i64,
    numbers: Vec<ChannelId>,
}

/// The limit of a channel's account. `None`: it has none, or none is known.
pub fn of_channel(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Option<DailyReach>> {
    let (provider, settings, told): (ProviderName, serde_json::Value, Option<i32>) = channels::table
        .find(channel)
        .select((channels::provider, channels::settings, channels::new_people))
        .first(conn)?;
    if provider != ProviderName::Whatsapp {
        return Ok(None);
    }
    let typed = settings["new_people"].as_i64();
    let Some(limit) = typed.or(told.map(i64::from)) else { return Ok(None) };
    let account = settings["waba_id"].as_str().unwrap_or_default().to_owned();
    if account.is_empty() {
        return Ok(Some(DailyReach { account: format!("channel {channel}"), limit, numbers: vec![channel] }));
    }
    let is_its = diesel::dsl::sql::<Bool>("settings->>'waba_id' = ").bind::<Text, _>(account.clone());
    let numbers =
        channels::table.filter(channels::provider.eq(provider)).filter(is_its).select(channels::id).load(conn)?;
    Ok(Some(DailyReach { account, limit, numbers }))
}

/// Notes what a channel's provider says of that limit; `None`: there is none.
pub fn keep(conn: &mut PgConnection, channel: ChannelId, limit: Option<i32>) -> QueryResult<()> {
    diesel::update(channels::table.find(channel)).set(channels::new_people.eq(limit)).execute(conn).map(drop)
}

/// Whom an account has reached within a day.
#[derive(Clone, Copy, Debug, QueryableByName)]
struct Used {
    #[diesel(sql_type = Int8)]
    n: i64,
    /// When the first of them was.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    since: Option<DateTime<Utc>>,
}

fn used_by(conn: &mut PgConnection, reach: &DailyReach, now: DateTime<Utc>) -> QueryResult<Used> {
    let count =
        diesel::sql_query("SELECT count(*) AS n, min(at) AS since FROM reached_people WHERE account = $1 AND at > $2")
            .bind::<Text, _>(&reach.account)
            .bind::<Timestamptz, _>(now - DAY);
    Prepared(count).get_result(conn)
}

/// How many people an account has reached within a day who count.
pub fn used(conn: &mut PgConnection, reach: &DailyReach, now: DateTime<Utc>) -> QueryResult<i64> {
    used_by(conn, reach, now).map(|it| it.n)
}

/// The places that an account has left, for contacts that were asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    left: i64,
    /// When to look again for one who got none.
    again_at: DateTime<Utc>,
    /// Who has not written lately, and whether they were reached since then all the same.
    outside: HashMap<ContactId, bool>,
    taken: Vec<ContactId>,
}

impl Places {
    /// Takes a place for a contact who needs one. An error: there is none, and when to look again.
    pub fn take(&mut self, contact: ContactId) -> Result<(), DateTime<Utc>> {
        let Some(is_reached) = self.outside.get_mut(&contact) else { return Ok(()) };
        if !*is_reached {
            if self.left < 1 {
                return Err(self.again_at);
            }
            self.left -= 1;
            *is_reached = true;
        }
        self.taken.push(contact);
        Ok(())
    }
}

/// The places that are left for these contacts. Nobody else takes one until this transaction ends.
pub fn lock_places(
    conn: &mut PgConnection,
    reach: &DailyReach,
    contacts: &[ContactId],
    now: DateTime<Utc>,
) -> QueryResult<Places> {
    #[derive(QueryableByName)]
    struct Outside {
        #[diesel(sql_type = Int8)]
        contact_id: ContactId,
        #[diesel(sql_type = Bool)]
        is_reached: bool,
    }
    locks::take_reach(conn, &reach.account)?;
    let Used { n, since } = used_by(conn, reach, now)?;
    let look = diesel::sql_query(include_str!("outside.sql"))
        .bind::<Array<Int8>, _>(contacts)
        .bind::<Array<Int8>, _>(&reach.numbers)
        .bind::<Timestamptz, _>(now - DAY)
        .bind::<Text, _>(&reach.account);
    let outside: Vec<Outside> = Prepared(look).load(conn)?;
    Ok(Places {
        left: reach.limit - n,
        again_at: since.map_or(now, |since| since + DAY).clamp(now + LOOKS.0, now + LOOKS.1),
        outside: outside.into_iter().map(|it| (it.contact_id, it.is_reached)).collect(),
        taken: Vec::new(),
    })
}

/// Notes who was taken.
pub fn note(conn: &mut PgConnection, reach: &DailyReach, places: Places, now: DateTime<Utc>) -> QueryResult<()> {
    if places.taken.is_empty() {
        return Ok(());
    }
    let note = diesel::sql_query(
        "INSERT INTO reached_people (account, contact_id, at) SELECT DISTINCT $1, u.id, $3 FROM unnest($2::bigint[]) AS u (id)
         ON CONFLICT (account, contact_id) DO UPDATE SET at = excluded.at",
    )
    .bind::<Text, _>(&reach.account)
    .bind::<Array<Int8>, _>(places.taken)
    .bind::<Timestamptz, _>(now);
    Prepared(note).execute(conn).map(drop)
}

/// Forgets who counts for no limit any more.
pub fn forget(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::delete(reached_people::table.filter(reached_people::at.lt(now - DAY))).execute(conn).map(drop)
}

/// How many of so many new people can be reached, where an account has a limit and has reached some.
pub fn reachable(limit: i64, used: i64, new: i64) -> i64 {
    new.min((limit - used).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wrote_lately_or_was_reached_needs_no_place() {
        let again_at = "2026-03-02T09:00:00Z".parse().unwrap();
        let outside = HashMap::from([(ContactId(1), false), (ContactId(2), true), (ContactId(3), false)]);
        let mut places = Places { left: 1, again_at, outside, taken: Vec::new() };
        let mut take = |id| places.take(ContactId(id));
        assert_eq!([take(1), take(3), take(2), take(4), take(1)], [Ok(()), Err(again_at), Ok(()), Ok(()), Ok(())]);
        assert_eq!(places.taken, [1, 2, 1].map(ContactId), "who wrote is not counted");
        assert_eq!(places.left, 0);
    }

    #[test]
    fn nobody_is_reached_where_more_were_than_may_be() {
        assert_eq!((reachable(250, 40, 1_000), reachable(250, 40, 100), reachable(250, 300, 9)), (210, 100, 0));
    }
}
