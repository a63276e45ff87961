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
pub const KEPT: TimeDelta = TimeDelta::days(8);
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
    if references.is_empty() {
        return Ok(());
    }
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

/// Receipts, those with our names for what they are about apart from those of which that is not known yet.
#[derive(Debug, Default)]
pub struct Resolved<'a> {
    pub known: Vec<(SendKey, &'a Receipt)>,
    /// By a reference that is not known, or of what went to somebody by an instant.
    pub unknown: Vec<&'a Receipt>,
}

/// Finds out which sends receipts are about, and keeps the references that these bring along.
pub fn resolve<'a>(
    conn: &mut PgConnection,
    channel: ChannelId,
    receipts: &'a [Receipt],
    now: DateTime<Utc>,
) -> QueryResult<Resolved<'a>> {
    let theirs: Vec<&str> = receipts.iter().filter_map(|receipt| receipt.about.theirs()).collect();
    let known = keys(conn, channel, &theirs)?;
    let (mut resolved, mut learnt) = (Resolved::default(), Vec::new());
    for receipt in receipts {
        match &receipt.about {
            StatusKey::Ours(key) => resolved.known.push((*key, receipt)),
            StatusKey::Named { ours, theirs } => {
                if !known.contains_key(theirs) {
                    learnt.push((channel, theirs.clone(), *ours));
                }
                resolved.known.push((*ours, receipt));
            }
            StatusKey::Strange(_) => {}
            StatusKey::UpTo { .. } => resolved.unknown.push(receipt),
            StatusKey::Theirs(theirs) | StatusKey::TheirsTo { theirs, .. } | StatusKey::TheirsOrOnly { theirs, .. } => {
                match known.get(theirs) {
                    Some(key) => resolved.known.push((*key, receipt)),
                    None => resolved.unknown.push(receipt),
                }
            }
        }
    }
    if !learnt.is_empty() {
        remember(conn, &learnt, now)?;
    }
    Ok(resolved)
}

/// Which sends these references are of, where that is known.
pub fn keys(conn: &mut PgConnection, channel: ChannelId, references: &[&str]) -> QueryResult<HashMap<String, SendKey>> {
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

/// Keeps receipts until it is known what they are about.
pub fn park(conn: &mut PgConnection, channel: ChannelId, receipts: &[&Receipt], now: DateTime<Utc>) -> QueryResult<()> {
    use parked_receipts as p;
    if receipts.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = receipts
        .iter()
        .map(|receipt| {
            let up_to = match &receipt.about {
                StatusKey::UpTo { until, .. } => Some(now.min(*until)),
                _ => None,
            };
            (
                p::channel_id.eq(channel),
                p::reference.eq(receipt.about.theirs()),
                p::status.eq(receipt.status),
                p::code.eq(receipt.code.as_deref()),
                p::class.eq(receipt.class),
                p::until.eq(now + PARKED),
                p::to_whom.eq(receipt.about.to()),
                p::up_to.eq(up_to),
                p::may_adopt.eq(matches!(receipt.about, StatusKey::TheirsOrOnly { .. })),
            )
        })
        .collect();
    diesel::insert_into(p::table).values(rows).execute(conn).map(drop)
}

/// A receipt that is parked and says to whom what it is about had gone.
#[derive(Debug)]
pub struct ParkedTo {
    pub id: i64,
    pub to: String,
    /// By its reference, or up to when.
    pub receipt: Receipt,
    pub since: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = parked_receipts, check_for_backend(diesel::pg::Pg))]
struct ParkedToRow {
    id: i64,
    reference: Option<String>,
    status: ReceiptStatus,
    code: Option<String>,
    class: Option<RejectClass>,
    until: DateTime<Utc>,
    to_whom: Option<String>,
    up_to: Option<DateTime<Utc>>,
    may_adopt: bool,
}

impl ParkedToRow {
    fn read(self) -> Option<ParkedTo> {
        let to = self.to_whom?;
        let about = match (self.reference, self.up_to) {
            (Some(theirs), _) if self.may_adopt => StatusKey::TheirsOrOnly { theirs, to: to.clone() },
            (Some(theirs), _) => StatusKey::TheirsTo { theirs, to: to.clone() },
            (None, until) => StatusKey::UpTo { to: to.clone(), until: until? },
        };
        let receipt = Receipt { code: self.code, class: self.class, ..Receipt::about(about, self.status) };
        Some(ParkedTo { id: self.id, to, receipt, since: self.until - PARKED })
    }
}

/// Those of a channel, in the order in which they came.
pub fn parked_to(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Vec<ParkedTo>> {
    let rows: Vec<ParkedToRow> = parked_receipts::table
        .filter(parked_receipts::channel_id.eq(channel))
        .filter(parked_receipts::to_whom.is_not_null())
        .order(parked_receipts::id)
        .limit(1000)
        .select(ParkedToRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().filter_map(ParkedToRow::read).collect())
}

/// Takes parked receipts off the list.
pub fn unpark(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::delete(parked_receipts::table.filter(parked_receipts::id.eq_any(ids))).execute(conn).map(drop)
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
    for table in ["provider_references", "parked_receipts", "look_ups"] {
        let old = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE until <= $1 LIMIT $2))"
        );
        diesel::sql_query(old).bind::<Timestamptz, _>(now).bind::<Int8, _>(AT_ONCE).execute(conn)?;
    }
    Ok(())
}
