//! What is written in a web chat, in both directions. Each function is one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::domain::{A_MINUTE, inbound_id};
use super::store;
use crate::ids::VisitorId;
use crate::media::domain::KeptFile;
use crate::providers::webchat::ChatMessage;
use crate::providers::{Inbound, MediaHeard, Setup};
use crate::{conversations, media};

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
    file: Option<Uuid>,
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
        let media: Vec<MediaHeard> = match file {
            Some(key) => media::store::find_all(conn, &[key])?.values().map(brought).collect(),
            None => Vec::new(),
        };
        let shown = media.iter().map(|it| format!("📎 {}", it.about));
        let shown: Vec<String> = Some(text.to_owned()).into_iter().chain(shown).filter(|it| !it.is_empty()).collect();
        let seq = store::insert_in(conn, &visitor, client_id, &shown.join("\n"), now)?;
        let inbound = Inbound {
            id: inbound_id(VisitorId(visitor.id), client_id),
            from: visitor.address.clone(),
            text: text.to_owned(),
            at: Some(now),
            media,
            ..Inbound::default()
        };
        conversations::actions::take_in(conn, channel, &inbound, now)?;
        Ok(VisitorHeard::Written { seq, at: now, from: visitor.address })
    })
}

/// A file that a visitor has brought, as other providers tell of one.
fn brought(file: &KeptFile) -> MediaHeard {
    MediaHeard {
        kind: file.look().label().to_owned(),
        content_type: file.content_type.clone(),
        about: file.name.clone(),
        key: Some(file.key),
        ..MediaHeard::default()
    }
}
