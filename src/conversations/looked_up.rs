//! actions: What a provider has that may be a send which nobody answered for.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};

use super::intake;
use super::sent_to::{self, SentIs};
use crate::channels::look_ups::{self, UnansweredSend};
use crate::providers::key::SendKey;
use crate::providers::{ProviderName, Receipt};

/// Whether nobody knows yet what became of it.
pub fn is_open(conn: &mut PgConnection, it: &UnansweredSend) -> QueryResult<bool> {
    let sent = sent_to::open(conn, it.channel, std::iter::once(it.to.as_str()))?;
    let to_them = sent.get(&it.to).map(Vec::as_slice).unwrap_or_default();
    Ok(to_them.iter().any(|sent| sent.key == it.key && sent.is == SentIs::Unconfirmed))
}

/// Takes in what is told of a send that was found, if it can be no other. Returns whether that settled it.
///
/// `found` is what the provider had when it was asked: all that went to the person about then and says the same. What is
/// known to be another send of ours is none of it. While something is on the wire to them its reference is not known yet;
/// and of two that nobody answered for and that say the same, either may be the one that was found.
pub fn take_in(
    conn: &mut PgConnection,
    provider: ProviderName,
    it: &UnansweredSend,
    body: &str,
    found: &[Receipt],
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    // Before references are looked up: what is not on the wire any more has left its own by then.
    let sent = sent_to::open(conn, it.channel, std::iter::once(it.to.as_str()))?;
    let to_them = sent.get(&it.to).map(Vec::as_slice).unwrap_or_default();
    if sent_to::any_in_flight(to_them) {
        return Ok(false);
    }
    let others: Vec<SendKey> = to_them
        .iter()
        .filter(|sent| sent.is == SentIs::Unconfirmed && sent.key != it.key)
        .map(|sent| sent.key)
        .collect();
    if look_ups::may_have_said(conn, it.channel, &others, body)? {
        return Ok(false);
    }
    let theirs: Vec<&str> = found.iter().filter_map(|receipt| receipt.about.theirs()).collect();
    let owned = look_ups::owned(conn, provider, &theirs)?;
    let is_free = |receipt: &&Receipt| receipt.about.theirs().is_some_and(|it| !owned.iter().any(|known| known == it));
    let mut free = found.iter().filter(is_free);
    let (Some(only), None) = (free.next(), free.next()) else { return Ok(false) };
    intake::take_in_receipts(conn, it.channel, std::slice::from_ref(only), now)?;
    look_ups::done(conn, it)?;
    Ok(true)
}
