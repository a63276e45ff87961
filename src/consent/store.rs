//! Consent in Postgres: the words, and the proof of every change.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::domain::ConsentRules;
use crate::contacts::search::starts;
use crate::contacts::store as contacts_store;
use crate::db::Assembled;
use crate::db::locks::{self, Lock};
use crate::db::schema::{channels, consent_changes, consent_rules, contacts, users};
use crate::ids::{ChannelId, ContactId, UserId};
use crate::providers::key::SendKey;
use crate::providers::{Kind, ProviderName};
use crate::words::words;

/// What holds now.
pub fn rules(conn: &mut PgConnection) -> QueryResult<ConsentRules> {
    read(consent_rules::table.find(true).select(consent_rules::rules).first(conn)?)
}

/// Like [`rules`], but makes everyone else wait until this transaction ends.
pub fn lock_rules(conn: &mut PgConnection) -> QueryResult<ConsentRules> {
    locks::take(Lock::ConsentRules);
    read(consent_rules::table.find(true).select(consent_rules::rules).for_no_key_update().first(conn)?)
}

fn read(rules: Option<serde_json::Value>) -> QueryResult<ConsentRules> {
    match rules {
        None => Ok(ConsentRules::default()),
        Some(rules) => serde_json::from_value(rules).map_err(|error| DeserializationError(error.into())),
    }
}

/// Writes the rules; `None` for those that a new installation has.
pub fn save_rules(
    conn: &mut PgConnection,
    rules: Option<&ConsentRules>,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let rules = rules.map(serde_json::to_value).transpose().map_err(|error| SerializationError(error.into()))?;
    diesel::update(consent_rules::table.find(true))
        .set((consent_rules::rules.eq(rules), consent_rules::updated_at.eq(now), consent_rules::updated_by.eq(by)))
        .execute(conn)
        .map(drop)
}

/// When the rules were changed last, and by whom.
pub fn last_change(conn: &mut PgConnection) -> QueryResult<Option<(DateTime<Utc>, Option<String>)>> {
    let (at, name): (Option<DateTime<Utc>>, Option<String>) = consent_rules::table
        .find(true)
        .left_join(users::table.on(users::id.nullable().eq(consent_rules::updated_by)))
        .select((consent_rules::updated_at, users::name.nullable()))
        .first(conn)?;
    Ok(at.map(|at| (at, name)))
}

words! {
    /// What a contact changed about their consent, or somebody for them.
    pub enum Change {
        Out = "out",
        In = "in",
        /// They seem to have opted out; no campaign writes to them until somebody has decided.
        Doubted = "doubted",
        /// They did not mean it.
        Kept = "kept",
    }
}

/// How it is known.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    pub channel: Option<ChannelId>,
    /// `keyword`, `words`, `agent` or `provider`.
    pub how: &'static str,
    /// What the contact wrote.
    pub words: Option<&'a str>,
    /// The provider's name for that message; ours for one of ours that it refused.
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
    let it = contacts::table.find(contact);
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
    write_down(conn, contact, change, proof, now)
}

fn write_down(
    conn: &mut PgConnection,
    contact: ContactId,
    change: Change,
    proof: &Proof<'_>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(consent_changes::table)
        .values((
            consent_changes::contact_id.eq(contact),
            consent_changes::channel_id.eq(proof.channel),
            consent_changes::at.eq(now),
            consent_changes::change.eq(change),
            consent_changes::how.eq(proof.how),
            consent_changes::words.eq(proof.words),
            consent_changes::message.eq(proof.message),
            consent_changes::answered.eq(proof.answered),
            consent_changes::user_id.eq(proof.by),
        ))
        .execute(conn)
        .map(drop)
}

/// Whether this contact, since they last opted in, opted out in another way than on a channel of the sandbox.
pub fn is_out_elsewhere(conn: &mut PgConnection, contact: ContactId) -> QueryResult<bool> {
    let changes = || consent_changes::table.filter(consent_changes::contact_id.eq(contact));
    let last_in: Option<i64> = changes()
        .filter(consent_changes::change.eq(Change::In))
        .select(diesel::dsl::max(consent_changes::id))
        .first(conn)?;
    let elsewhere = changes()
        .left_join(channels::table.on(channels::id.nullable().eq(consent_changes::channel_id)))
        .filter(consent_changes::change.eq(Change::Out))
        .filter(consent_changes::id.gt(last_in.unwrap_or(0)))
        .filter(channels::provider.nullable().is_distinct_from(ProviderName::Sandbox));
    diesel::select(diesel::dsl::exists(elsewhere)).get_result(conn)
}

/// An opt-out that a provider told when it refused a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Learnt {
    pub contact: ContactId,
    pub channel: ChannelId,
    /// Our id of that message.
    pub part: String,
}

/// Notes opt-outs that providers told, with the proof. Who is out already stays as they are.
pub fn learn(conn: &mut PgConnection, learnt: &[Learnt], now: DateTime<Utc>) -> QueryResult<()> {
    let ids: Vec<ContactId> = learnt.iter().map(|it| it.contact).collect();
    for id in contacts_store::opt_out(conn, &ids, now)? {
        let Some(it) = learnt.iter().find(|it| it.contact == id) else { continue };
        let proof = Proof {
            channel: Some(it.channel),
            how: "provider",
            words: None,
            message: Some(&it.part),
            answered: None,
            by: None,
        };
        write_down(conn, it.contact, Change::Out, &proof, now)?;
    }
    Ok(())
}

// ---- the proof -----------------------------------------------------------------

/// A change of consent as people look at it.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Changed {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    pub contact_id: ContactId,
    #[diesel(sql_type = Text)]
    pub kind: Kind,
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = Text)]
    pub change: String,
    #[diesel(sql_type = Text)]
    pub how: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub words: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub channel: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub message: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub answered: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub by: Option<String>,
}

impl Changed {
    /// What it is called on the screen.
    pub fn name(&self) -> &'static str {
        match self.change.as_str() {
            "out" => "Opted out",
            "in" => "Opted in",
            "doubted" => "Seems to opt out",
            _ => "Stays in",
        }
    }

    pub fn tone(&self) -> &'static str {
        match self.change.as_str() {
            "out" => "bad",
            "doubted" => "warn",
            _ => "good",
        }
    }

    /// The provider's name for the message that it came with; ours for a send says nothing to anybody.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref().filter(|message| SendKey::parse(message).is_none())
    }

    /// How it is known.
    pub fn why(&self) -> &'static str {
        match self.how.as_str() {
            "keyword" => "wrote the word",
            "words" => "in words of their own",
            "provider" => "the provider said so",
            _ => "decided here",
        }
    }
}

/// Whose changes, and from which time on or before which.
#[derive(Clone, Debug, Default)]
pub struct WantedChanges {
    /// Of contacts whose address begins so, as it is stored.
    pub begins: String,
    pub contact: Option<ContactId>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Older than this one.
    pub before: Option<i64>,
}

/// Up to `n` changes, the newest first.
pub fn changes(conn: &mut PgConnection, wanted: &WantedChanges, n: i64) -> QueryResult<Vec<Changed>> {
    let mut sql = Assembled::default();
    sql.sql(
        "SELECT x.id, x.at, x.contact_id, c.kind, c.address, x.change, x.how, x.words, h.name AS channel, x.message,
                x.answered, u.name AS by
         FROM consent_changes x JOIN contacts c ON c.id = x.contact_id
         LEFT JOIN channels h ON h.id = x.channel_id LEFT JOIN users u ON u.id = x.user_id
         WHERE x.id < ",
    )
    .number(wanted.before.unwrap_or(i64::MAX));
    if let Some(contact) = wanted.contact {
        sql.sql(" AND x.contact_id = ").number(contact.0);
    }
    if let Some(since) = wanted.since {
        sql.sql(" AND x.at >= ").text(&since.to_rfc3339()).sql("::timestamptz");
    }
    if let Some(until) = wanted.until {
        sql.sql(" AND x.at < ").text(&until.to_rfc3339()).sql("::timestamptz");
    }
    if !wanted.begins.is_empty() {
        sql.sql(" AND ");
        starts(&mut sql, "c.address", &wanted.begins);
    }
    sql.sql(" ORDER BY x.id DESC LIMIT ").number(n);
    sql.query().load(conn)
}
