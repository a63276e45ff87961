//! The carrier's books in Postgres.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

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
