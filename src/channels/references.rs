//! store: Which send a provider means that names it by a reference of its own, and receipts that
//! came before that was known.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Int8, Nullable, Text, Timestamptz};

use crate::db::Prepared;
use crate::db::schema::{parked_receipts, provider_references};
use crate::ids::ChannelId;
use crate::providers::key::{SendKey, StatusKey};
use crate::providers::{Receipt, ReceiptStatus, RejectClass};

/// Receipts come up to three days late; some providers tell again for a week.
const KEPT: TimeDelta = TimeDelta::days(8);
/// A receipt overtakes our own books by seconds. A process that died takes as long as its leases, and a database that
/// was away some hours.
const PARKED: TimeDelta = TimeDelta::days(1);
/// Rows forgotten in one statement.
const AT_ONCE: i64 = 10_000;

/// Notes under which references providers tell of these sends. Of one that a provider gives a second time the newest counts.
pub fn remember(
    conn: &mut PgConnection,
    references: &[(ChannelId, String, SendKey)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use diesel::upsert::excluded;
    use provider_references::{channel_id, reference, send_key, until};
    // Each once, and in one order for everybody.
    let newest: BTreeMap<(ChannelId, &str), &SendKey> =
        references.iter().map(|(channel, by, key)| ((*channel, by.as_str()), key)).collect();
    let rows: Vec<_> = newest
        .into_iter()
        .map(|((channel, by), key)| {
            (channel_id.eq(channel), reference.eq(by), send_key.eq(key.to_string()), until.eq(now + KEPT))
        })
        .collect();
    diesel::insert_into(provider_references::table)
        .values(rows)
        .on_conflict((channel_id, reference))
        .do_update()
        .set((send_key.eq(excluded(send_key)), until.eq(excluded(until))))
        .execute(conn)
        .map(drop)
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
            StatusKey::Ours(_) | StatusKey::Strange(_) => None,
        })
        .collect();
    let known = keys(conn, channel, &theirs)?;
    let (mut resolved, mut unknown) = (Vec::new(), Vec::new());
    for receipt in receipts {
        match &receipt.about {
            StatusKey::Ours(key) => resolved.push((*key, receipt)),
            StatusKey::Strange(_) => {}
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
    use parked_receipts::{channel_id, class, code, reference, status, until};
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
                class.eq(receipt.class),
                until.eq(now + PARKED),
            )
        })
        .collect();
    diesel::insert_into(parked_receipts::table).values(rows).execute(conn).map(drop)
}

/// Channels with receipts that are parked.
pub fn with_parked(conn: &mut PgConnection) -> QueryResult<Vec<ChannelId>> {
    use parked_receipts::channel_id;
    parked_receipts::table.select(channel_id).distinct().order(channel_id).load(conn)
}

/// The ledger that sends are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendsOf {
    Runs,
    Conversations,
}

/// Takes those parked receipts of a channel off the list of which it has become known that they are about
/// sends of this ledger, in the order in which they came. Whoever parks one and whoever learns of its reference
/// commits, and then asks this: whichever comes second finds it.
pub fn take_parked(conn: &mut PgConnection, channel: ChannelId, of: SendsOf) -> QueryResult<Vec<(SendKey, Receipt)>> {
    #[derive(QueryableByName)]
    struct Parked {
        #[diesel(sql_type = Text)]
        send_key: String,
        #[diesel(sql_type = Text)]
        status: ReceiptStatus,
        #[diesel(sql_type = Nullable<Text>)]
        code: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        class: Option<RejectClass>,
    }
    let take = diesel::sql_query(
        "WITH known AS (
             SELECT p.id, r.send_key FROM parked_receipts p
             JOIN provider_references r ON r.channel_id = p.channel_id AND r.reference = p.reference
             WHERE p.channel_id = $1 AND r.send_key LIKE 'm%' = $2
             ORDER BY p.id LIMIT 1000 FOR UPDATE OF p SKIP LOCKED
         ), taken AS (
             DELETE FROM parked_receipts p USING known k WHERE p.id = k.id
             RETURNING p.id, k.send_key, p.status, p.code, p.class
         ) SELECT send_key, status, code, class FROM taken ORDER BY id",
    )
    .bind::<Int8, _>(channel)
    .bind::<Bool, _>(of == SendsOf::Conversations);
    let parked: Vec<Parked> = Prepared(take).load(conn)?;
    Ok(parked
        .into_iter()
        .filter_map(|it| {
            let key = SendKey::parse(&it.send_key)?;
            Some((key, Receipt { code: it.code, class: it.class, ..Receipt::of(key, it.status) }))
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
