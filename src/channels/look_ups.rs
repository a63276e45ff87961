//! store: Sends that nobody answered for, as long as their provider is asked what became of them.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int2, Int8, Nullable, Text, Timestamptz};

use super::references::KEPT;
use crate::db::Prepared;
use crate::db::locks::{self, Lock};
use crate::db::schema::{channels, look_ups, provider_references};
use crate::ids::ChannelId;
use crate::providers::ProviderName;
use crate::providers::key::SendKey;

/// How long after it became unconfirmed, and after each time that nothing came of it, a send is asked about. What is
/// not found then is in no list that has to be waited for.
const AFTER: [TimeDelta; 5] =
    [TimeDelta::seconds(10), TimeDelta::minutes(1), TimeDelta::minutes(5), TimeDelta::minutes(30), TimeDelta::hours(3)];

/// A send to ask about.
#[derive(Clone, Debug, PartialEq)]
pub struct UnansweredSend {
    pub channel: ChannelId,
    pub key: SendKey,
    pub to: String,
    /// What it said. `None`: whoever asks renders it again.
    pub body: Option<String>,
    /// When it left, if it did.
    pub begun_at: DateTime<Utc>,
}

/// Has their providers asked about these. One that is known is left as it is.
pub fn order(conn: &mut PgConnection, them: &[UnansweredSend], now: DateTime<Utc>) -> QueryResult<()> {
    let row = |it: &UnansweredSend| {
        (
            look_ups::channel_id.eq(it.channel),
            look_ups::send_key.eq(it.key.to_string()),
            look_ups::address.eq(it.to.clone()),
            look_ups::body.eq(it.body.clone()),
            look_ups::begun_at.eq(it.begun_at),
            look_ups::due_at.eq(now + AFTER[0]),
            look_ups::until.eq(now + KEPT),
        )
    };
    for some in them.chunks(1000) {
        let rows: Vec<_> = some.iter().map(row).collect();
        diesel::insert_into(look_ups::table).values(rows).on_conflict_do_nothing().execute(conn)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Int8)]
    channel_id: ChannelId,
    #[diesel(sql_type = Text)]
    send_key: String,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Nullable<Text>)]
    body: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    begun_at: DateTime<Utc>,
}

/// Takes up to `most` of those that are due, each for nobody else until it is due again.
pub fn take_due(conn: &mut PgConnection, most: i64, now: DateTime<Utc>) -> QueryResult<Vec<UnansweredSend>> {
    // Of those that were asked about so often: when they are next, from now.
    let (mut tries, mut seconds) = (Vec::new(), Vec::new());
    for (n, after) in AFTER.iter().enumerate().skip(1) {
        tries.push(n as i16 - 1);
        seconds.push(after.num_seconds());
    }
    locks::skip(Lock::LookUp);
    let take = diesel::sql_query(
        "WITH due AS (
             SELECT channel_id, send_key FROM look_ups WHERE due_at <= $1
             ORDER BY due_at, channel_id, send_key LIMIT $2 FOR UPDATE SKIP LOCKED
         )
         UPDATE look_ups u
         SET tries = u.tries + 1,
             due_at = (SELECT $1 + a.seconds * interval '1 second'
                       FROM unnest($3::smallint[], $4::bigint[]) AS a (tries, seconds) WHERE a.tries = u.tries)
         FROM due d
         WHERE u.channel_id = d.channel_id AND u.send_key = d.send_key
         RETURNING u.channel_id, u.send_key, u.address, u.body, u.begun_at",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Int8, _>(most)
    .bind::<Array<Int2>, _>(tries)
    .bind::<Array<Int8>, _>(seconds);
    let rows: Vec<Row> = Prepared(take).load(conn)?;
    let read = |row: Row| {
        let Row { channel_id: channel, address: to, body, begun_at, .. } = row;
        Some(UnansweredSend { channel, key: SendKey::parse(&row.send_key)?, to, body, begun_at })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Notes what a send said that nobody had written down.
pub fn said(conn: &mut PgConnection, it: &UnansweredSend, body: &str) -> QueryResult<()> {
    diesel::update(look_ups::table.find((it.channel, it.key.to_string())))
        .set(look_ups::body.eq(body))
        .execute(conn)
        .map(drop)
}

/// It is known, or cannot be asked about.
pub fn done(conn: &mut PgConnection, it: &UnansweredSend) -> QueryResult<()> {
    diesel::delete(look_ups::table.find((it.channel, it.key.to_string()))).execute(conn).map(drop)
}

/// Whether one of these sends of a channel may have said this: it did, or nobody knows what it said.
pub fn may_have_said(conn: &mut PgConnection, channel: ChannelId, keys: &[SendKey], body: &str) -> QueryResult<bool> {
    let keys: Vec<String> = keys.iter().map(SendKey::to_string).collect();
    let others: i64 = look_ups::table
        .filter(look_ups::channel_id.eq(channel))
        .filter(look_ups::send_key.eq_any(&keys))
        .filter(look_ups::body.is_not_null().and(look_ups::body.ne(body)))
        .count()
        .get_result(conn)?;
    Ok(others < keys.len() as i64)
}

/// Those of a provider's references that are of sends of ours, through any channel of it.
pub fn owned(conn: &mut PgConnection, provider: ProviderName, references: &[&str]) -> QueryResult<Vec<String>> {
    let channels = channels::table.filter(channels::provider.eq(provider)).select(channels::id);
    let ids: Vec<ChannelId> = channels.load(conn)?;
    provider_references::table
        .filter(provider_references::channel_id.eq_any(ids))
        .filter(provider_references::reference.eq_any(references))
        .select(provider_references::reference)
        .load(conn)
}
