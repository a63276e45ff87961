//! Files in Postgres, and what came with messages.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use uuid::Uuid;

use super::domain::{FileWay, KeptFile, Sniffed, way_of_file, way_of_place};
use super::heard::{HeardFile, HeardState};
use crate::db::schema::{media, media_contents, message_media};
use crate::ids::{ChannelId, MessageId, UserId};
use crate::providers::{Kind, MediaHeard, ProviderName};
use crate::wording::{Attached, attached};

#[derive(Queryable, Selectable)]
#[diesel(table_name = media, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: i64,
    key: Uuid,
    name: String,
    content_type: String,
    size: i64,
    is_public: bool,
    made_at: DateTime<Utc>,
}

fn kept(row: Row) -> KeptFile {
    let Row { id, key, name, content_type, size, is_public, made_at } = row;
    KeptFile { id, key, name, content_type, size: size.unsigned_abs(), is_public, made_at }
}

/// Writes a file down: one of the house, which whoever has its address may fetch, or one that a contact sent.
pub fn insert(
    conn: &mut PgConnection,
    it: &Sniffed,
    octets: &[u8],
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> QueryResult<KeptFile> {
    conn.transaction(|conn| {
        let row: Row = diesel::insert_into(media::table)
            .values((
                media::key.eq(Uuid::new_v4()),
                media::name.eq(&it.name),
                media::content_type.eq(&it.content_type),
                media::size.eq(octets.len() as i64),
                media::is_public.eq(by.is_some()),
                media::made_at.eq(now),
                media::made_by.eq(by),
            ))
            .returning(Row::as_returning())
            .get_result(conn)?;
        diesel::insert_into(media_contents::table)
            .values((media_contents::media_id.eq(row.id), media_contents::octets.eq(octets)))
            .execute(conn)?;
        Ok(kept(row))
    })
}

pub fn find(conn: &mut PgConnection, key: Uuid) -> QueryResult<KeptFile> {
    media::table.filter(media::key.eq(key)).select(Row::as_select()).first(conn).map(kept)
}

/// Those of these files that there are, by their keys.
pub fn find_all(conn: &mut PgConnection, keys: &[Uuid]) -> QueryResult<HashMap<Uuid, KeptFile>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Row> = media::table.filter(media::key.eq_any(keys)).select(Row::as_select()).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.key, kept(row))).collect())
}

/// Deletes files from before `then` that strangers brought, and no message came with. Returns how many.
pub fn forget_strays(conn: &mut PgConnection, then: DateTime<Utc>) -> QueryResult<usize> {
    let comes = message_media::table.filter(message_media::media_id.eq(media::id.nullable()));
    let strays = media::table
        .filter(media::is_public.eq(false))
        .filter(media::made_at.lt(then))
        .filter(diesel::dsl::not(diesel::dsl::exists(comes)));
    diesel::delete(strays).execute(conn)
}

/// How what a text brings along leaves through a channel; `None`: it brings nothing.
pub fn way(conn: &mut PgConnection, text: &str, provider: ProviderName, kind: Kind) -> QueryResult<Option<FileWay>> {
    Ok(match attached(text) {
        None => None,
        Some((Attached::Place(_), words)) => Some(way_of_place(&words, provider, kind)),
        Some((Attached::File(link), words)) => {
            let known = find_all(conn, &[link.key])?;
            Some(way_of_file(&link, known.get(&link.key), &words, provider, kind))
        }
    })
}

/// What is in a file.
pub fn octets(conn: &mut PgConnection, id: i64) -> QueryResult<Vec<u8>> {
    media_contents::table.find(id).select(media_contents::octets).first(conn)
}

/// Notes what came with a message. What is brought to us is there; what lies elsewhere is to be fetched.
pub fn note_heard(
    conn: &mut PgConnection,
    channel: ChannelId,
    message: MessageId,
    them: &[MediaHeard],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let keys: Vec<Uuid> = them.iter().filter_map(|it| it.key).collect();
    let known = find_all(conn, &keys)?;
    let mut rows = Vec::with_capacity(them.len());
    for it in them {
        let media_id = it.key.and_then(|key| known.get(&key)).map(|file| file.id);
        let is_elsewhere = it.id.is_some() || it.url.starts_with("http");
        let state = match media_id {
            Some(_) => HeardState::Kept,
            None if is_elsewhere => HeardState::Awaited,
            None => HeardState::Told,
        };
        let heard =
            serde_json::to_value(it).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
        rows.push((
            message_media::message_id.eq(message),
            message_media::channel_id.eq(channel),
            message_media::heard.eq(heard),
            message_media::state.eq(state.word()),
            message_media::media_id.eq(media_id),
            message_media::due_at.eq((state == HeardState::Awaited).then_some(now)),
        ));
    }
    diesel::insert_into(message_media::table).values(rows).execute(conn).map(drop)
}

type HeardRow = (i64, MessageId, serde_json::Value, String, Option<String>, Option<Row>);

/// What came with these messages, in its order.
pub fn heard_with(conn: &mut PgConnection, messages: &[MessageId]) -> QueryResult<HashMap<MessageId, Vec<HeardFile>>> {
    let rows: Vec<HeardRow> = message_media::table
        .left_join(media::table.on(message_media::media_id.eq(media::id.nullable())))
        .filter(message_media::message_id.eq_any(messages))
        .order(message_media::id)
        .select((
            message_media::id,
            message_media::message_id,
            message_media::heard,
            message_media::state,
            message_media::why,
            Option::<Row>::as_select(),
        ))
        .load(conn)?;
    let mut with: HashMap<MessageId, Vec<HeardFile>> = HashMap::new();
    for (id, message, heard, state, why, file) in rows {
        let heard = serde_json::from_value(heard).map_err(|error| DeserializationError(error.into()))?;
        let state = HeardState::of_word(&state).unwrap_or(HeardState::Refused);
        let it = HeardFile { id, heard, state, why, file: file.map(kept) };
        with.entry(message).or_default().push(it);
    }
    Ok(with)
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Awaited {
    pub id: i64,
    pub channel: ChannelId,
    pub heard: MediaHeard,
    /// How often it was tried, this time included.
    pub tries: i16,
}

/// Takes up to `n` files that are due, and puts the next try of each off until `then`: nobody else fetches it meanwhile.
pub fn take_due(conn: &mut PgConnection, n: i64, now: DateTime<Utc>, then: DateTime<Utc>) -> QueryResult<Vec<Awaited>> {
    conn.transaction(|conn| {
        let ids: Vec<i64> = message_media::table
            .filter(message_media::state.eq(HeardState::Awaited.word()))
            .filter(message_media::due_at.le(now))
            .order((message_media::due_at, message_media::id))
            .limit(n)
            .select(message_media::id)
            .for_update()
            .skip_locked()
            .load(conn)?;
        let rows: Vec<(i64, ChannelId, serde_json::Value, i16)> =
            diesel::update(message_media::table.filter(message_media::id.eq_any(ids)))
                .set((message_media::tries.eq(message_media::tries + 1), message_media::due_at.eq(then)))
                .returning((message_media::id, message_media::channel_id, message_media::heard, message_media::tries))
                .get_results(conn)?;
        let read = |(id, channel, heard, tries)| {
            let heard = serde_json::from_value(heard).map_err(|error| DeserializationError(error.into()))?;
            Ok(Awaited { id, channel, heard, tries })
        };
        rows.into_iter().map(read).collect()
    })
}

/// What became of a file that was to be fetched.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchedHeard {
    Kept(i64),
    /// To be tried again then.
    Later(DateTime<Utc>, String),
    Refused(String),
    /// There is nothing to fetch.
    Told,
}

/// Writes down what became of it. Returns the message with which it came; `None`: it waited for that no longer.
pub fn settle(conn: &mut PgConnection, id: i64, fetched: &FetchedHeard) -> QueryResult<Option<MessageId>> {
    let (state, file, due_at, why) = match fetched {
        FetchedHeard::Kept(file) => (HeardState::Kept, Some(*file), None, None),
        FetchedHeard::Later(at, why) => (HeardState::Awaited, None, Some(*at), Some(why.as_str())),
        FetchedHeard::Refused(why) => (HeardState::Refused, None, None, Some(why.as_str())),
        FetchedHeard::Told => (HeardState::Told, None, None, None),
    };
    let it = message_media::table.find(id).filter(message_media::state.eq(HeardState::Awaited.word()));
    let set = (
        message_media::state.eq(state.word()),
        message_media::media_id.eq(file),
        message_media::due_at.eq(due_at),
        message_media::why.eq(why),
    );
    diesel::update(it).set(set).returning(message_media::message_id).get_result(conn).optional()
}

/// Fetches once more what could not be fetched with a message. Returns how many files.
pub fn fetch_again(conn: &mut PgConnection, message: MessageId, now: DateTime<Utc>) -> QueryResult<usize> {
    let refused = message_media::table
        .filter(message_media::message_id.eq(message))
        .filter(message_media::state.eq(HeardState::Refused.word()));
    diesel::update(refused)
        .set((
            message_media::state.eq(HeardState::Awaited.word()),
            message_media::tries.eq(0),
            message_media::due_at.eq(Some(now)),
        ))
        .execute(conn)
}
