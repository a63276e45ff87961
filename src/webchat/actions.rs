//! What is written in a web chat, in both directions. Each function is one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::domain::{A_MINUTE, inbound_id};
use super::store;
use crate::conversations;
use crate::ids::VisitorId;
use crate::providers::webchat::ChatMessage;
use crate::providers::{Inbound, Setup};

/// Writes down a message for a visitor, once for each part. Returns whether the channel has such a visitor.
pub fn enter(conn: &mut PgConnection, message: &ChatMessage, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let Some(visitor) = store::lock_at(conn, message.channel, &message.to)? else { return Ok(false) };
        if !store::has_part(conn, &message.part)? {
            store::insert_out(conn, &visitor, message, now)?;
        }
        Ok(true)
    })
}

/// What became of something that a visitor wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitorHeard {
    /// It has this number and was written then, just now or when it was told before, by the
    /// contact with that address.
    Written { seq: i64, at: DateTime<Utc>, from: String },
    /// Not written down: too many came before it. Until then it is one too many.
    TooFast { until: DateTime<Utc> },
}

/// Writes down what a visitor wrote, and takes it in as a message of that contact: both or
/// neither, and once, however often the widget tells it.
pub fn hear(
    conn: &mut PgConnection,
    channel: &Setup,
    visitor: VisitorId,
    client_id: &str,
    text: &str,
    now: DateTime<Utc>,
) -> QueryResult<VisitorHeard> {
    conn.transaction(|conn| {
        let visitor = store::lock(conn, visitor)?;
        if let Some((seq, at)) = store::heard(conn, visitor.id, client_id)? {
            return Ok(VisitorHeard::Written { seq, at, from: visitor.address });
        }
        let until = store::wrote_nth_last(conn, visitor.id, A_MINUTE)?.map(|at| at + TimeDelta::seconds(60));
        if let Some(until) = until.filter(|until| now < *until) {
            return Ok(VisitorHeard::TooFast { until });
        }
        let seq = store::insert_in(conn, &visitor, client_id, text, now)?;
        let inbound = Inbound {
            id: inbound_id(VisitorId(visitor.id), client_id),
            from: visitor.address.clone(),
            text: text.to_owned(),
            at: Some(now),
            ..Inbound::default()
        };
        conversations::actions::take_in(conn, channel, &inbound, now)?;
        Ok(VisitorHeard::Written { seq, at: now, from: visitor.address })
    })
}
