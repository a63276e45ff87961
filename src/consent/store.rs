//! Consent in Postgres: the words, and the proof of every change.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};

use super::domain::Rules;
use crate::db::schema::{consent_changes, consent_rules, contacts};
use crate::ids::{ChannelId, ContactId, UserId};

/// What holds now.
pub fn rules(conn: &mut PgConnection) -> QueryResult<Rules> {
    let rules: Option<serde_json::Value> = consent_rules::table.find(true).select(consent_rules::rules).first(conn)?;
    match rules {
        None => Ok(Rules::default()),
        Some(rules) => serde_json::from_value(rules).map_err(|error| DeserializationError(error.into())),
    }
}

pub fn save_rules(conn: &mut PgConnection, rules: &Rules, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    let rules = serde_json::to_value(rules).map_err(|error| SerializationError(error.into()))?;
    diesel::update(consent_rules::table.find(true))
        .set((consent_rules::rules.eq(rules), consent_rules::updated_at.eq(now), consent_rules::updated_by.eq(by.0)))
        .execute(conn)
        .map(drop)
}

/// What a contact changed about their consent, or somebody for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Out,
    In,
    /// They seem to have opted out; no campaign writes to them until somebody has decided.
    Doubted,
    /// They did not mean it.
    Kept,
}

impl Change {
    pub fn word(self) -> &'static str {
        match self {
            Change::Out => "out",
            Change::In => "in",
            Change::Doubted => "doubted",
            Change::Kept => "kept",
        }
    }
}

/// How it is known.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    pub channel: Option<ChannelId>,
    /// `keyword`, `words`, `agent` or `provider`.
    pub how: &'static str,
    /// What the contact wrote, and the provider's name for that message.
    pub words: Option<&'a str>,
    pub message: Option<&'a str>,
    /// What we answered.
    pub answered: Option<&'a str>,
    pub by: Option<UserId>,
}

/// Changes a contact's consent, with the proof. From the commit on no claim passes it by.
pub fn change(
    conn: &mut PgConnection,
    contact: ContactId,
    change: Change,
    proof: &Proof<'_>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let it = contacts::table.find(contact.0);
    let (doubted, opted_out) = (contacts::doubted_at, contacts::opted_out_at);
    match change {
        Change::Out => {
            // An earlier opt-out stays.
            diesel::update(it.filter(opted_out.is_null())).set(opted_out.eq(now)).execute(conn)?;
            diesel::update(it).set(doubted.eq(None::<DateTime<Utc>>)).execute(conn)?
        }
        Change::In => diesel::update(it)
            .set((opted_out.eq(None::<DateTime<Utc>>), doubted.eq(None::<DateTime<Utc>>)))
            .execute(conn)?,
        Change::Doubted => diesel::update(it).set(doubted.eq(now)).execute(conn)?,
        Change::Kept => diesel::update(it).set(doubted.eq(None::<DateTime<Utc>>)).execute(conn)?,
    };
    diesel::insert_into(consent_changes::table)
        .values((
            consent_changes::contact_id.eq(contact.0),
            consent_changes::channel_id.eq(proof.channel.map(|channel| channel.0)),
            consent_changes::at.eq(now),
            consent_changes::change.eq(change.word()),
            consent_changes::how.eq(proof.how),
            consent_changes::words.eq(proof.words),
            consent_changes::message.eq(proof.message),
            consent_changes::answered.eq(proof.answered),
            consent_changes::user_id.eq(proof.by.map(|by| by.0)),
        ))
        .execute(conn)
        .map(drop)
}
