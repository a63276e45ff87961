//! Visitors of web chats and what stands in their widgets, in Postgres.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int8, Jsonb, Nullable, Text, Timestamptz};

use super::domain::{By, ChatLine};
use crate::db::Prepared;
use crate::db::locks::{self, Lock};
use crate::db::schema::{webchat_messages, webchat_visitors};
use crate::ids::{ChannelId, VisitorId};
use crate::providers::webchat::ChatMessage;

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = webchat_visitors, check_for_backend(diesel::pg::Pg))]
pub struct Visitor {
    pub id: i64,
    /// Of the contact that they are to the rest of the product.
    pub address: String,
    pub last_seq: i64,
    pub acked_seq: i64,
}

/// Writes a visitor nobody has heard of before.
pub fn insert(
    conn: &mut PgConnection,
    channel: ChannelId,
    address: &str,
    now: DateTime<Utc>,
) -> QueryResult<VisitorId> {
    diesel::insert_into(webchat_visitors::table)
        .values((
            webchat_visitors::channel_id.eq(channel),
            webchat_visitors::address.eq(address),
            webchat_visitors::created_at.eq(now),
            webchat_visitors::seen_at.eq(now),
        ))
        .returning(webchat_visitors::id)
        .get_result(conn)
        .map(VisitorId)
}

/// Deletes visitors from before `then` who never said a word, and to whom nothing was said: up to `n`.
pub fn sweep(conn: &mut PgConnection, then: DateTime<Utc>, n: i64) -> QueryResult<usize> {
    locks::skip(Lock::Visitor);
    let silent = webchat_visitors::table
        .filter(webchat_visitors::last_seq.eq(0))
        .filter(webchat_visitors::seen_at.lt(then))
        .order(webchat_visitors::seen_at)
        .limit(n)
        .select(webchat_visitors::id)
        .for_update()
        .skip_locked();
    let ids: Vec<i64> = silent.load(conn)?;
    // Asked again: one may have written meanwhile.
    let those =
        webchat_visitors::table.filter(webchat_visitors::id.eq_any(ids)).filter(webchat_visitors::last_seq.eq(0));
    diesel::delete(those).execute(conn)
}

pub fn find(conn: &mut PgConnection, id: VisitorId) -> QueryResult<Visitor> {
    webchat_visitors::table.find(id).select(Visitor::as_select()).first(conn)
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: VisitorId) -> QueryResult<Visitor> {
    locks::take(Lock::Visitor);
    webchat_visitors::table.find(id).select(Visitor::as_select()).for_no_key_update().first(conn)
}

/// The visitor of a channel at this address, locked; `None` if it has none.
pub fn lock_at(conn: &mut PgConnection, channel: i64, address: &str) -> QueryResult<Option<Visitor>> {
    locks::take(Lock::Visitor);
    webchat_visitors::table
        .filter(webchat_visitors::address.eq(address))
        .filter(webchat_visitors::channel_id.eq(channel))
        .select(Visitor::as_select())
        .for_no_key_update()
        .first(conn)
        .optional()
}

/// Whether a send stands there already.
pub fn has_part(conn: &mut PgConnection, part: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(webchat_messages::table.filter(webchat_messages::part.eq(part))))
        .get_result(conn)
}

/// Writes a message for a visitor, who is locked.
pub fn insert_out(conn: &mut PgConnection, visitor: &Visitor, it: &ChatMessage, now: DateTime<Utc>) -> QueryResult<()> {
    let seq = next_seq(conn, visitor.id)?;
    diesel::insert_into(webchat_messages::table)
        .values((
            webchat_messages::visitor_id.eq(visitor.id),
            webchat_messages::seq.eq(seq),
            webchat_messages::direction.eq("out"),
            webchat_messages::part.eq(&it.part),
            webchat_messages::body.eq(&it.text),
            webchat_messages::choices.eq(serde_json::json!(it.choices)),
            webchat_messages::at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Writes what a visitor, who is locked, has typed. Returns its number.
pub fn insert_in(
    conn: &mut PgConnection,
    visitor: &Visitor,
    client_id: &str,
    text: &str,
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    let seq = next_seq(conn, visitor.id)?;
    diesel::insert_into(webchat_messages::table)
        .values((
            webchat_messages::visitor_id.eq(visitor.id),
            webchat_messages::seq.eq(seq),
            webchat_messages::direction.eq("in"),
            webchat_messages::client_id.eq(client_id),
            webchat_messages::body.eq(text),
            webchat_messages::at.eq(now),
        ))
        .execute(conn)?;
    diesel::update(webchat_visitors::table.find(visitor.id)).set(webchat_visitors::seen_at.eq(now)).execute(conn)?;
    Ok(seq)
}

fn next_seq(conn: &mut PgConnection, visitor: i64) -> QueryResult<i64> {
    diesel::update(webchat_visitors::table.find(visitor))
        .set(webchat_visitors::last_seq.eq(webchat_visitors::last_seq + 1))
        .returning(webchat_visitors::last_seq)
        .get_result(conn)
}

/// Number and time of what a visitor's widget calls so, if it was written down.
pub fn heard(conn: &mut PgConnection, visitor: i64, client_id: &str) -> QueryResult<Option<(i64, DateTime<Utc>)>> {
    webchat_messages::table
        .filter(webchat_messages::visitor_id.eq(visitor))
        .filter(webchat_messages::client_id.eq(client_id))
        .select((webchat_messages::seq, webchat_messages::at))
        .first(conn)
        .optional()
}

/// When the visitor wrote the `n`th message from the end.
pub fn wrote_nth_last(conn: &mut PgConnection, visitor: i64, n: i64) -> QueryResult<Option<DateTime<Utc>>> {
    webchat_messages::table
        .filter(webchat_messages::visitor_id.eq(visitor))
        .filter(webchat_messages::direction.eq("in"))
        .order(webchat_messages::seq.desc())
        .offset(n - 1)
        .limit(1)
        .select(webchat_messages::at)
        .first(conn)
        .optional()
}

type Row = (i64, Option<String>, String, serde_json::Value, DateTime<Utc>);

fn line((seq, client_id, text, choices, at): Row) -> ChatLine {
    let by = client_id.map_or(By::Us, |client_id| By::Visitor { client_id });
    ChatLine { seq, by, text, choices: serde_json::from_value(choices).unwrap_or_default(), at }
}

const COLUMNS: (
    webchat_messages::seq,
    webchat_messages::client_id,
    webchat_messages::body,
    webchat_messages::choices,
    webchat_messages::at,
) = (
    webchat_messages::seq,
    webchat_messages::client_id,
    webchat_messages::body,
    webchat_messages::choices,
    webchat_messages::at,
);

/// The newest `n` messages of a visitor, oldest first.
pub fn newest(conn: &mut PgConnection, visitor: VisitorId, n: i64) -> QueryResult<Vec<ChatLine>> {
    let mut rows: Vec<Row> = webchat_messages::table
        .filter(webchat_messages::visitor_id.eq(visitor))
        .order(webchat_messages::seq.desc())
        .limit(n)
        .select(COLUMNS)
        .load(conn)?;
    rows.reverse();
    Ok(rows.into_iter().map(line).collect())
}

/// The first `n` messages of a visitor that come after number `after`.
pub fn after(conn: &mut PgConnection, visitor: VisitorId, after: i64, n: i64) -> QueryResult<Vec<ChatLine>> {
    let rows: Vec<Row> = webchat_messages::table
        .filter(webchat_messages::visitor_id.eq(visitor))
        .filter(webchat_messages::seq.gt(after))
        .order(webchat_messages::seq)
        .limit(n)
        .select(COLUMNS)
        .load(conn)?;
    Ok(rows.into_iter().map(line).collect())
}

#[derive(QueryableByName)]
struct Missed {
    #[diesel(sql_type = Int8)]
    visitor_id: VisitorId,
    #[diesel(sql_type = Int8)]
    seq: i64,
    #[diesel(sql_type = Nullable<Text>)]
    client_id: Option<String>,
    #[diesel(sql_type = Text)]
    body: String,
    #[diesel(sql_type = Jsonb)]
    choices: serde_json::Value,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

/// Messages of one visitor that are read at once.
pub const OF_ONE: i64 = 100;

/// What stands after these numbers, by visitor; at most `n` messages, so ask again when it is that many.
pub fn missed(
    conn: &mut PgConnection,
    seen: &[(VisitorId, i64)],
    n: i64,
) -> QueryResult<HashMap<VisitorId, Vec<ChatLine>>> {
    let (visitors, seqs): (Vec<VisitorId>, Vec<i64>) = seen.iter().copied().unzip();
    let ask = diesel::sql_query(include_str!("missed.sql"))
        .bind::<Array<Int8>, _>(visitors)
        .bind::<Array<Int8>, _>(seqs)
        .bind::<Int8, _>(n)
        .bind::<Int8, _>(OF_ONE);
    let rows: Vec<Missed> = Prepared(ask).load(conn)?;
    let mut by_visitor: HashMap<VisitorId, Vec<ChatLine>> = HashMap::new();
    for row in rows {
        let it = line((row.seq, row.client_id, row.body, row.choices, row.at));
        by_visitor.entry(row.visitor_id).or_default().push(it);
    }
    Ok(by_visitor)
}

/// The sends that a widget shows now which showed everything up to `from` before and everything up to `to` now.
pub fn parts(conn: &mut PgConnection, visitor: VisitorId, from: i64, to: i64) -> QueryResult<Vec<String>> {
    webchat_messages::table
        .filter(webchat_messages::visitor_id.eq(visitor))
        .filter(webchat_messages::seq.gt(from))
        .filter(webchat_messages::seq.le(to))
        .filter(webchat_messages::part.is_not_null())
        .order(webchat_messages::seq)
        .select(webchat_messages::part.assume_not_null())
        .load(conn)
}

/// Notes that a widget shows everything up to `seq`; it never takes that back.
pub fn acknowledge(conn: &mut PgConnection, visitor: VisitorId, seq: i64, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(
        webchat_visitors::table
            .find(visitor)
            .filter(webchat_visitors::acked_seq.lt(seq))
            .filter(webchat_visitors::last_seq.ge(seq)),
    )
    .set((webchat_visitors::acked_seq.eq(seq), webchat_visitors::seen_at.eq(now)))
    .execute(conn)
    .map(drop)
}
