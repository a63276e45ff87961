//! io: Taking in what providers tell us: checked and read by the channel's adapter, written
//! down, one transaction for each message of a contact, and only then acknowledged; after
//! words that bar somebody from being written to, when nothing to them can begin any more.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection, QueryResult};

use super::{actions, pieces, replies, sent_to, store};
use crate::app::App;
use crate::channels::references::{self, Resolved, SendsOf};
use crate::channels::setups;
use crate::channels::silence;
use crate::channels::store as channels;
use crate::channels::templates;
use crate::contacts::addresses::normalise;
use crate::contacts::quiet;
use crate::contacts::store::Whom;
use crate::db::DbError;
use crate::deliveries;
use crate::ids::ChannelId;
use crate::providers::key::{DeliveryKey, MessageKey, SendKey, StatusKey};
use crate::providers::{
    Call, CallAnswer, ConsentNews, Event, Forged, Heard, Inbound, Kind, ProviderName, Receipt, ReceiptStatus, Setup,
};

#[derive(Debug, thiserror::Error)]
pub enum NotTakenIn {
    #[error(transparent)]
    Forged(#[from] Forged),
    #[error(transparent)]
    Database(#[from] DbError<diesel::result::Error>),
}

/// Takes in one call for a channel. Returns what it is answered.
pub async fn webhook(
    app: &App,
    channel: ChannelId,
    call: &Call<'_>,
    now: DateTime<Utc>,
) -> Result<Option<CallAnswer>, NotTakenIn> {
    let setup = app.db.run(move |conn| setups::find(conn, channel)).await?;
    let Heard { events, elsewhere, templates_changed, answer } = (app.providers)(&setup).read(call)?;
    // One that only speaks of others says nothing of whether this channel is told of.
    let is_of_others = events.is_empty() && !elsewhere.is_empty();
    let mut heard: Vec<(ChannelId, bool)> = Vec::new();
    if !is_of_others {
        heard.push((channel, tells_of_sends(&events)));
    }
    take_in(app, channel, events, now).await?;
    // One address may serve several accounts of a provider.
    for account in elsewhere {
        let (provider, name) = (setup.provider, account.clone());
        let Some(other) = app.db.run(move |conn| setups::of_account(conn, provider, &name)).await? else {
            tracing::warn!(channel.id = %channel, "a call speaks of the account {account}, and no channel has it");
            continue;
        };
        match (app.providers)(&other).read(call) {
            Ok(read) => {
                heard.push((ChannelId(other.id), tells_of_sends(&read.events)));
                take_in(app, ChannelId(other.id), read.events, now).await?;
            }
            Err(error) => {
                let id = other.id;
                tracing::warn!(channel.id = id, "a call at channel {channel} is none for channel {id}: {error}");
            }
        }
    }
    if templates_changed {
        app.db.run(move |conn| templates::ask_again(conn, setup.provider)).await?;
    }
    // The others are ours.
    if !matches!(setup.provider, ProviderName::Sandbox | ProviderName::Webchat) {
        let note = move |conn: &mut PgConnection| {
            channels::was_called(conn, channel, now)?;
            heard.into_iter().try_for_each(|(channel, of_sends)| silence::heard(conn, channel, of_sends, now))
        };
        app.db.run(note).await?;
    }
    Ok(answer)
}

/// Whether somebody says what became of a send.
fn tells_of_sends(events: &[Event]) -> bool {
    events.iter().any(|it| matches!(it, Event::Receipt(_)))
}

/// Takes in what a channel hears over the line that it holds open.
pub async fn over_a_line(
    app: &App,
    channel: ChannelId,
    events: Vec<Event>,
    now: DateTime<Utc>,
) -> Result<(), DbError<diesel::result::Error>> {
    let of_sends = tells_of_sends(&events);
    take_in(app, channel, events, now).await?;
    app.db.run(move |conn| silence::heard(conn, channel, of_sends, now)).await
}

/// Characters of a message at most; the rest is not kept.
const LONGEST: usize = 10_000;

/// A message as it can be kept. `None` for one that names nobody: told again it would be no better.
///
/// Whoever wrote it is the person whom a file names so; `region` is the country whose national numbers come without
/// its code. What is no number of anybody, such as a short code, stays as it was told.
pub fn readable(kind: Kind, region: &str, mut it: Inbound) -> Option<Inbound> {
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    it.from = whom(kind, region, &it.from);
    it.id = clean(&it.id);
    it.text = clean(&it.text).chars().take(LONGEST).collect();
    if it.from.is_empty() || it.id.is_empty() {
        tracing::warn!("a message without a sender or a name was passed over");
        return None;
    }
    Some(it)
}

/// The address of somebody as a provider tells it, in the form in which contacts have it.
fn whom(kind: Kind, region: &str, told: &str) -> String {
    let as_told = || told.replace('\0', "\u{fffd}").trim().trim_start_matches('+').to_owned();
    normalise(kind, told, region).unwrap_or_else(|_| as_told())
}

/// The country whose national numbers a channel is told without its code.
fn region_of(setup: &Setup) -> &str {
    setup.settings.get("region").and_then(|region| region.as_str()).unwrap_or_default()
}

/// Merges a channel's receipts, each into the ledger that its send is in. Returns how many changed something.
pub fn take_in_receipts(
    conn: &mut PgConnection,
    channel: ChannelId,
    receipts: &[Receipt],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    // Before references are looked up: what is not on the wire any more has left its own by then.
    let sent = sent_to::open(conn, channel, receipts.iter().filter_map(|it| it.about.to()))?;
    let Resolved { mut known, unknown } = references::resolve(conn, channel, receipts, now)?;
    let (mut parked, none) = (Vec::new(), Vec::new());
    for receipt in unknown {
        let to_them = receipt.about.to().and_then(|to| sent.get(to)).unwrap_or(&none);
        let waits = match &receipt.about {
            StatusKey::UpTo { until, .. } => {
                // Whatever its clock says: what leaves from now on it does not know.
                let until = now.min(*until);
                known.extend(sent_to::covered(to_them, until).map(|key| (key, receipt)));
                sent_to::may_be_covered(to_them, until)
            }
            StatusKey::TheirsTo { .. } => sent_to::any_in_flight(to_them),
            // Whether it is of what they wrote is known a moment later.
            StatusKey::TheirsOrOnly { .. } => {
                sent_to::any_in_flight(to_them) || sent_to::only_unconfirmed(to_them, now - references::KEPT).is_some()
            }
            StatusKey::Ours(_) | StatusKey::Theirs(_) | StatusKey::Named { .. } | StatusKey::Strange(_) => true,
        };
        if waits {
            parked.push(receipt);
        }
    }
    references::park(conn, channel, &parked, now)?;
    let n = merge(conn, channel, &known, now)?;
    Ok(if parked.is_empty() { n } else { n + take_in_parked(conn, now)? })
}

/// How long a provider may take to tell us of a message that somebody wrote, after it has told what became of it.
const TOLD_APART: TimeDelta = TimeDelta::seconds(30);

/// Looks at receipts again that wait for what is on the wire to somebody. Returns how many changed something.
///
/// What went to them by an instant is merged. Whose reference nobody has learnt though nothing is on the wire any more
/// was never ours; or it is of the one send to them that is unconfirmed, where the provider can mean no other, and then
/// this is learnt like any reference.
fn take_in_parked_to(conn: &mut PgConnection, channel: ChannelId, now: DateTime<Utc>) -> QueryResult<usize> {
    let parked = references::parked_to(conn, channel)?;
    if parked.is_empty() {
        return Ok(0);
    }
    let sent = sent_to::open(conn, channel, parked.iter().map(|it| it.to.as_str()))?;
    let theirs: Vec<&str> = parked.iter().filter_map(|it| it.receipt.about.theirs()).collect();
    let learnt = references::keys(conn, channel, &theirs)?;
    let (mut covered, mut done, none) = (Vec::new(), Vec::new(), Vec::new());
    let mut adopted: HashMap<&str, SendKey> = HashMap::new();
    for it in &parked {
        let to_them = sent.get(&it.to).unwrap_or(&none);
        let waits = match &it.receipt.about {
            StatusKey::UpTo { until, .. } => {
                covered.extend(sent_to::covered(to_them, *until).map(|key| (key, &it.receipt)));
                sent_to::may_be_covered(to_them, *until)
            }
            about => match about.theirs() {
                // Taken in with all that wait for their reference.
                Some(theirs) if learnt.contains_key(theirs) || adopted.contains_key(theirs) => true,
                _ if sent_to::any_in_flight(to_them) => true,
                Some(theirs) if matches!(about, StatusKey::TheirsOrOnly { .. }) => {
                    let is_early = now < it.since + TOLD_APART;
                    let only = sent_to::only_unconfirmed(to_them, now - references::KEPT);
                    match only.filter(|key| !adopted.values().any(|it| it == key)) {
                        Some(_) if is_early => true,
                        Some(key) if !store::was_written(conn, channel, theirs)? => {
                            adopted.insert(theirs, key);
                            true
                        }
                        _ => false,
                    }
                }
                _ => false,
            },
        };
        if !waits {
            done.push(it.id);
        }
    }
    let adopted: Vec<_> = adopted.into_iter().map(|(theirs, key)| (channel, theirs.to_owned(), key)).collect();
    if !adopted.is_empty() {
        references::remember(conn, &adopted, now)?;
    }
    let n = merge(conn, channel, &covered, now)?;
    references::unpark(conn, &done)?;
    Ok(n)
}

/// Receipts, each with what it is about.
type Keyed<'a, K> = Vec<(K, &'a Receipt)>;

/// Receipts, each to the ledger that its send is in.
fn sorted<'a>(receipts: &[(SendKey, &'a Receipt)]) -> (Keyed<'a, DeliveryKey>, Keyed<'a, MessageKey>) {
    let (mut deliveries, mut messages) = (Vec::new(), Vec::new());
    for (key, receipt) in receipts {
        match *key {
            SendKey::Delivery(key) => deliveries.push((key, *receipt)),
            SendKey::Message(key) => messages.push((key, *receipt)),
        }
    }
    (deliveries, messages)
}

fn merge(
    conn: &mut PgConnection,
    channel: ChannelId,
    receipts: &[(SendKey, &Receipt)],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let (of_runs, of_conversations) = sorted(receipts);
    Ok(deliveries::actions::take_in(conn, channel, of_runs, now)?
        + replies::take_in(conn, channel, of_conversations, now)?)
}

/// Merges receipts that came before it was known what they are about, and now it is. Returns how many
/// changed something.
pub fn take_in_parked(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<usize> {
    let mut n = 0;
    for channel in references::with_parked(conn)? {
        n += take_in_parked_to(conn, channel, now)?;
        // A ledger at a time, and all of it together: so they are locked in the order of everybody.
        for of in [SendsOf::Runs, SendsOf::Conversations] {
            n += conn.transaction(|conn| {
                let parked = references::take_parked(conn, channel, of)?;
                let parked: Vec<(SendKey, &Receipt)> = parked.iter().map(|(key, receipt)| (*key, receipt)).collect();
                merge(conn, channel, &parked, now)
            })?;
        }
    }
    Ok(n)
}

/// Takes in what a channel tells, in its order: receipts first. Returns how much of it was news.
pub async fn take_in(
    app: &App,
    channel: ChannelId,
    events: Vec<Event>,
    now: DateTime<Utc>,
) -> Result<usize, DbError<diesel::result::Error>> {
    let (mut receipts, mut inbound): (Vec<Receipt>, Vec<Inbound>) = Default::default();
    let mut consents: Vec<ConsentNews> = Vec::new();
    let mut learned: Vec<(ChannelId, String, SendKey)> = Vec::new();
    for event in events {
        match event {
            Event::Receipt(receipt) => receipts.push(receipt),
            Event::Inbound(it) => inbound.push(it),
            Event::Consent(it) => consents.push(it),
            Event::Taken { key, reference } => {
                receipts.push(Receipt::of(key, ReceiptStatus::Accepted));
                learned.extend(reference.map(|reference| (channel, reference, key)));
            }
            Event::Other(what) => tracing::debug!(channel.id = %channel, "passed over: {what}"),
        }
    }
    let (n, wrote) = app
        .db
        .run(move |conn| {
            let (mut n, mut wrote) = (0, None);
            if !learned.is_empty() {
                references::remember(conn, &learned, now)?;
                n += take_in_parked(conn, now)?;
            }
            if !receipts.is_empty() {
                n += take_in_receipts(conn, channel, &receipts, now)?;
            }
            if !inbound.is_empty() || !consents.is_empty() {
                let setup = setups::find(conn, channel)?;
                let region = region_of(&setup);
                let mut from = Vec::new();
                // Before what they wrote: whatever it says, nobody answers it any more.
                for it in consents {
                    let it = ConsentNews { from: whom(setup.kind, region, &it.from), ..it };
                    n += usize::from(actions::take_in_consent(conn, &setup, &it, now)?);
                    from.push(it.from);
                }
                for it in inbound.into_iter().filter_map(|it| readable(setup.kind, region, it)) {
                    n += usize::from(take_in_message(conn, &setup, &it, now)?);
                    from.push(it.from);
                }
                wrote = Some((setup.kind, from));
            }
            Ok::<_, diesel::result::Error>((n, wrote))
        })
        .await?;
    if let Some((kind, from)) = wrote {
        app.said.notify_one();
        // Told again, a word of theirs is no news, and is not acknowledged any earlier.
        quiet::wait(app, Whom::Addresses(kind, from)).await;
    }
    Ok(n)
}

/// Takes in a message, or a piece of one, in one transaction. Returns whether it was news.
fn take_in_message(conn: &mut PgConnection, setup: &Setup, it: &Inbound, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let whole = match &it.part {
            Some(part) => match pieces::keep(conn, ChannelId(setup.id), it, part, now)? {
                Some(whole) => whole,
                None => return Ok(false),
            },
            None => it.clone(),
        };
        Ok(actions::take_in(conn, setup, &whole, now)? != actions::TakenIn::Repeated)
    })
}

/// Takes in texts whose other pieces did not come. Returns how many.
pub async fn take_in_overdue(app: &App, now: DateTime<Utc>) -> Result<usize, DbError<diesel::result::Error>> {
    let n = app
        .db
        .run(move |conn| {
            conn.transaction(|conn| {
                let overdue = pieces::overdue(conn, now)?;
                for (channel, it) in &overdue {
                    let setup = setups::find(conn, *channel)?;
                    actions::take_in(conn, &setup, it, now)?;
                }
                QueryResult::Ok(overdue.len())
            })
        })
        .await?;
    if n > 0 {
        app.said.notify_one();
    }
    Ok(n)
}
