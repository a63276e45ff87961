//! store: Which send a provider means that names it by a reference of its own, and receipts that
//! came before that was known.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Int8, Nullable, Text, Timestamptz};

use crate::db::Prepared;
use crate::db::schema::{parked_receipts, provider_references};
use crate::ids::ChannelId;
use crate::providers::key::{SendKey, StatusKey};
use crate::providers::{Receipt, ReceiptStatus};

/// Receipts come up to three days late; some providers tell again for a week.
const KEPT: TimeDelta = TimeDelta::days(8);
/// A receipt overtakes our own books by seconds. A process that died takes as long as its leases, and a database that
/// was away some hours.
const PARKED: TimeDelta = TimeDelta::days(1);
/// Rows forgotten in one statement.
const AT_ONCE: i64 = 10_000;

/// Notes under which references providers tell of these sends.
pub fn remember(
    conn: &mut PgConnection,
    references: &[(ChannelId, String, SendKey)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use provider_references::{channel_id, reference, send_key, until};
    let rows: Vec<_> = references
        .iter()
        .map(|(channel, by, key)| {
            (channel_id.eq(channel), reference.eq(by), send_key.eq(key.to_string()), until.eq(now + KEPT))
        })
        .collect();
    diesel::insert_into(provider_references::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}

/// The receipts with our names for what they are about. Those of which nothing is known yet are parked.
pub fn resolve<'a>(
    conn: &mut PgConnection,
    channel: ChannelId,
    receipts: &'a [Receipt],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(SendKey, &'a Receipt)>> {
    let theirs: Vec<&str> = receipts
        .iter()
        .filter_map(|receipt| match &receipt.about {
            StatusKey::Theirs(reference) => Some(reference.as_str()),
            StatusKey::Ours(_) => None,
        })
        .collect();
    let known = keys(conn, channel, &theirs)?;
    let (mut resolved, mut unknown) = (Vec::new(), Vec::new());
    for receipt in receipts {
        match &receipt.about {
            StatusKey::Ours(key) => resolved.push((*key, receipt)),
            StatusKey::Theirs(reference) => match known.get(reference) {
                Some(key) => resolved.push((*key, receipt)),
                None => unknown.push((reference.as_str(), receipt)),
            },
        }
    }
    park(conn, channel, &unknown, now)?;
    Ok(resolved)
}

fn keys(conn: &mut PgConnection, channel: ChannelId, references: &[&str]) -> QueryResult<HashMap<String, SendKey>> {
    use provider_references::{channel_id, reference, send_key};
    if references.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String)> = provider_references::table
        .filter(channel_id.eq(channel))
        .filter(reference.eq_any(references))
        .select((reference, send_key))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(by, key)| Some((by, SendKey::parse(&key)?))).collect())
}

fn park(
    conn: &mut PgConnection,
    channel: ChannelId,
    unknown: &[(&str, &Receipt)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use parked_receipts::{channel_id, code, reference, status, until};
    if unknown.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = unknown
        .iter()
        .map(|(by, receipt)| {
            (
                channel_id.eq(channel),
                reference.eq(*by),
                status.eq(receipt.status),
                code.eq(receipt.code.as_deref()),
                until.eq(now + PARKED),
            )
        })
        .collect();
    diesel::insert_into(parked_receipts::table).values(rows).execute(conn).map(drop)
}

/// Whether any receipt is parked.
pub fn are_parked(conn: &mut PgConnection) -> QueryResult<bool> {
    diesel::select(exists(parked_receipts::table.select(parked_receipts::id))).get_result(conn)
}

/// Takes those parked receipts off the list of which it has become known what they are about, in
/// the order in which they came. Whoever parks one and whoever learns of its reference commits, and then
/// asks this: whichever comes second finds it.
pub fn take_parked(conn: &mut PgConnection) -> QueryResult<Vec<(ChannelId, Receipt)>> {
    #[derive(QueryableByName)]
    struct Parked {
        #[diesel(sql_type = Int8)]
        channel_id: ChannelId,
        #[diesel(sql_type = Text)]
        send_key: String,
        #[diesel(sql_type = Text)]
        status: ReceiptStatus,
        #[diesel(sql_type = Nullable<Text>)]
        code: Option<String>,
    }
    let take = diesel::sql_query(
        "WITH known AS (
             SELECT p.id, r.send_key FROM parked_receipts p
             JOIN provider_references r ON r.channel_id = p.channel_id AND r.reference = p.reference
             ORDER BY p.id LIMIT 1000 FOR UPDATE OF p SKIP LOCKED
         ), taken AS (
             DELETE FROM parked_receipts p USING known k WHERE p.id = k.id
             RETURNING p.id, p.channel_id, k.send_key, p.status, p.code
         ) SELECT channel_id, send_key, status, code FROM taken ORDER BY id",
    );
    let parked: Vec<Parked> = Prepared(take).load(conn)?;
    Ok(parked
        .into_iter()
        .filter_map(|it| {
            let about = StatusKey::Ours(SendKey::parse(&it.send_key)?);
            Some((it.channel_id, Receipt { about, status: it.status, code: it.code }))
        })
        .collect())
}

/// Forgets what nobody will tell of any more.
pub fn forget(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
    for table in ["provider_references", "parked_receipts"] {
        let old = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE until <= $1 LIMIT $2))"
        );
        diesel::sql_query(old).bind::<Timestamptz, _>(now).bind::<Int8, _>(AT_ONCE).execute(conn)?;
    }
    Ok(())
}
