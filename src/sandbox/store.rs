//! The carrier's books in Postgres.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Int8, Nullable, Text, Timestamptz};

use crate::channels::sandbox::Handed;
use crate::channels::{Receipt, ReceiptStatus};
use crate::db::schema::{sandbox_messages, sandbox_receipts};
use crate::ids::ChannelId;

/// Writes down a message and the receipts owed for it. `stamped_at` is when the
/// send reached the carrier by the machine's clock, whatever the product's says.
pub fn enter(
    conn: &mut PgConnection,
    handed: &Handed,
    stamped_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    conn.transaction(|conn| {
        // A carrier's books need not survive a power cut; they must be quick.
        conn.batch_execute("SET LOCAL synchronous_commit = off")?;
        if handed.reaches {
            diesel::insert_into(sandbox_messages::table)
                .values((
                    sandbox_messages::channel_id.eq(handed.channel),
                    sandbox_messages::phone.eq(&handed.phone),
                    sandbox_messages::part.eq(&handed.part),
                    sandbox_messages::body.eq(&handed.text),
                    sandbox_messages::at.eq(now),
                    sandbox_messages::stamped_at.eq(stamped_at),
                ))
                .execute(conn)?;
        }
        let receipts: Vec<_> = handed
            .receipts
            .iter()
            .map(|(after, receipt)| {
                (
                    sandbox_receipts::channel_id.eq(handed.channel),
                    sandbox_receipts::part.eq(&receipt.part),
                    sandbox_receipts::status.eq(word(receipt.status)),
                    sandbox_receipts::due_at.eq(now + TimeDelta::milliseconds(after.as_millis() as i64)),
                )
            })
            .collect();
        diesel::insert_into(sandbox_receipts::table).values(receipts).execute(conn)?;
        Ok(())
    })
}

/// Receipts that are due, oldest first, with their numbers in the books.
pub fn due_receipts(
    conn: &mut PgConnection,
    limit: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<(i64, ChannelId, Receipt)>> {
    let rows: Vec<(i64, i64, String, String)> = sandbox_receipts::table
        .filter(sandbox_receipts::due_at.le(now))
        .order((sandbox_receipts::due_at, sandbox_receipts::id))
        .limit(limit)
        .select((sandbox_receipts::id, sandbox_receipts::channel_id, sandbox_receipts::part, sandbox_receipts::status))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(id, channel, part, status)| {
            let status = of_word(&status)?;
            let code = (status == ReceiptStatus::Failed).then(|| "absent subscriber".to_owned());
            Some((id, ChannelId(channel), Receipt { part, status, code }))
        })
        .collect())
}

/// Strikes out receipts that were reported.
pub fn reported(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    diesel::delete(sandbox_receipts::table.filter(sandbox_receipts::id.eq_any(ids))).execute(conn).map(drop)
}

/// A phone that got something.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Phone {
    /// Of its newest message.
    #[diesel(sql_type = Int8)]
    pub last: i64,
    #[diesel(sql_type = Text)]
    pub number: String,
    #[diesel(sql_type = Text)]
    pub text: String,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Int8)]
    pub n: i64,
}

/// Up to `n` phones with `digits` in their number, the one that got something last
/// first; only those whose newest message is older than `before`.
fn phones(conn: &mut PgConnection, digits: &str, before: Option<i64>, n: i64) -> QueryResult<Vec<Phone>> {
    diesel::sql_query(include_str!("phones.sql"))
        .bind::<Text, _>(digits)
        .bind::<Nullable<Int8>, _>(before)
        .bind::<Int8, _>(n)
        .load(conn)
}

/// The wall of phones, with the newest message there is; `None` when nothing came after message `since`.
pub fn wall(
    conn: &mut PgConnection,
    digits: &str,
    before: Option<i64>,
    since: Option<i64>,
    n: i64,
) -> QueryResult<Option<(i64, Vec<Phone>)>> {
    // Asked first: what arrives in between is news again, and never missed.
    let newest = newest(conn)?;
    if since.is_some_and(|since| newest <= since) {
        return Ok(None);
    }
    Ok(Some((newest, phones(conn, digits, before, n)?)))
}

/// The newest message on any phone, or 0.
fn newest(conn: &mut PgConnection) -> QueryResult<i64> {
    sandbox_messages::table
        .select(diesel::dsl::max(sandbox_messages::id))
        .first::<Option<i64>>(conn)
        .map(Option::unwrap_or_default)
}

/// A message that reached a phone.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = sandbox_messages, check_for_backend(diesel::pg::Pg))]
pub struct Message {
    pub id: i64,
    /// Our id of the send.
    pub part: String,
    pub body: String,
    pub at: DateTime<Utc>,
}

/// The newest `n` messages of a phone after message `since` and before message `before`, oldest first.
pub fn messages(
    conn: &mut PgConnection,
    number: &str,
    since: i64,
    before: Option<i64>,
    n: i64,
) -> QueryResult<Vec<Message>> {
    let mut messages: Vec<Message> = sandbox_messages::table
        .filter(sandbox_messages::phone.eq(number))
        .filter(sandbox_messages::id.gt(since))
        .filter(sandbox_messages::id.lt(before.unwrap_or(i64::MAX)))
        .order(sandbox_messages::id.desc())
        .limit(n)
        .select(Message::as_select())
        .load(conn)?;
    messages.reverse();
    Ok(messages)
}

fn word(status: ReceiptStatus) -> &'static str {
    match status {
        ReceiptStatus::Sent => "sent",
        ReceiptStatus::Delivered => "delivered",
        ReceiptStatus::Failed => "failed",
    }
}

fn of_word(word: &str) -> Option<ReceiptStatus> {
    [ReceiptStatus::Sent, ReceiptStatus::Delivered, ReceiptStatus::Failed]
        .into_iter()
        .find(|it| self::word(*it) == word)
}
