//! store: The texts that a channel's provider has approved, as it told them last.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};

use crate::db::schema::{channel_templates, channels};
use crate::ids::ChannelId;
use crate::providers::{Kind, ProviderName};
use crate::wording::{Approved, FilledTemplate};

/// They are asked for so often; a provider that tells of a change is asked at once.
const GOOD_FOR: TimeDelta = TimeDelta::hours(1);

/// When a channel's approved texts were asked for, and why they could not be read then.
#[derive(Clone, Debug, Default, PartialEq, Queryable)]
pub struct Fetched {
    pub at: Option<DateTime<Utc>>,
    pub error: Option<String>,
}

fn read(value: serde_json::Value) -> QueryResult<Approved> {
    serde_json::from_value(value).map_err(|error| DeserializationError(error.into()))
}

/// Those of a channel, by name and language.
pub fn of_channel(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Vec<Approved>> {
    let rows: Vec<serde_json::Value> = channel_templates::table
        .filter(channel_templates::channel_id.eq(channel))
        .order((channel_templates::name, channel_templates::language))
        .select(channel_templates::template)
        .load(conn)?;
    rows.into_iter().map(read).collect()
}

/// Those of these channels.
pub fn of_channels(conn: &mut PgConnection, channels: &[ChannelId]) -> QueryResult<HashMap<ChannelId, Vec<Approved>>> {
    let rows: Vec<(ChannelId, serde_json::Value)> = channel_templates::table
        .filter(channel_templates::channel_id.eq_any(channels))
        .order((channel_templates::name, channel_templates::language))
        .select((channel_templates::channel_id, channel_templates::template))
        .load(conn)?;
    let mut them: HashMap<ChannelId, Vec<Approved>> = HashMap::new();
    for (channel, value) in rows {
        them.entry(channel).or_default().push(read(value)?);
    }
    Ok(them)
}

/// Why a filled text cannot be sent through a channel as things stand; `None`: it can.
pub fn refusal(known: &[Approved], filled: &FilledTemplate) -> Option<String> {
    let title = &filled.title;
    let Some(it) = known.iter().find(|it| it.key() == filled.key()) else {
        return Some(format!("The approved text “{title}” is not there any more."));
    };
    if !it.is_approved() {
        return Some(format!("The approved text “{title}” is {} now.", it.status));
    }
    if let Some(beyond) = &it.beyond {
        return Some(format!("The approved text “{title}” cannot be sent from here: {beyond}."));
    }
    (!it.is_still(filled))
        .then(|| format!("The approved text “{title}” has other words or places now. Choose it again."))
}

pub fn fetched(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Fetched> {
    channels::table.find(channel).select((channels::templates_at, channels::templates_error)).first(conn)
}

/// Channels of providers that approve texts whose texts are to be asked for, those that were never asked first.
pub fn due(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<ChannelId>> {
    channels::table
        .filter(channels::provider.eq_any([ProviderName::Whatsapp, ProviderName::Twilio, ProviderName::Sandbox]))
        .filter(channels::kind.eq(Kind::Whatsapp))
        .filter(channels::templates_at.is_null().or(channels::templates_at.le(now - GOOD_FOR)))
        .order((channels::templates_at.asc().nulls_first(), channels::id))
        .select(channels::id)
        .load(conn)
}

/// Keeps what a provider has told: all there is.
pub fn keep(conn: &mut PgConnection, channel: ChannelId, them: &[Approved], now: DateTime<Utc>) -> QueryResult<()> {
    use channel_templates::{channel_id, language, name, template};
    conn.transaction(|conn| {
        note(conn, channel, None, now)?;
        if of_channel(conn, channel)?.as_slice() == them {
            return Ok(());
        }
        diesel::delete(channel_templates::table.filter(channel_id.eq(channel))).execute(conn)?;
        let rows = them.iter().map(|it| {
            let value = serde_json::to_value(it).map_err(|error| SerializationError(error.into()))?;
            Ok((channel_id.eq(channel), name.eq(&it.name), language.eq(&it.language), template.eq(value)))
        });
        let rows: Vec<_> = rows.collect::<QueryResult<_>>()?;
        diesel::insert_into(channel_templates::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
    })
}

/// Notes that they could not be read. Those that are known stay.
pub fn could_not_be_read(
    conn: &mut PgConnection,
    channel: ChannelId,
    why: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    note(conn, channel, Some(why), now)
}

fn note(conn: &mut PgConnection, channel: ChannelId, error: Option<&str>, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(channels::table.find(channel))
        .set((channels::templates_at.eq(now), channels::templates_error.eq(error)))
        .execute(conn)
        .map(drop)
}

/// Which of these, each through its channel, cannot be sent as things stand, and why.
pub fn refusals<K>(
    conn: &mut PgConnection,
    them: impl Iterator<Item = (K, ChannelId, FilledTemplate)>,
) -> QueryResult<Vec<(K, String)>> {
    let them: Vec<_> = them.collect();
    if them.is_empty() {
        return Ok(Vec::new());
    }
    let channels: Vec<ChannelId> = them.iter().map(|(_, channel, _)| *channel).collect();
    let known = of_channels(conn, &channels)?;
    let why = |(key, channel, filled): (K, ChannelId, FilledTemplate)| {
        let known = known.get(&channel).map_or(&[][..], Vec::as_slice);
        Some((key, refusal(known, &filled)?))
    };
    Ok(them.into_iter().filter_map(why).collect())
}

/// Its provider has refused a text, whomever it was for. It stands so until the texts are asked for again.
pub fn was_refused(
    conn: &mut PgConnection,
    channel: ChannelId,
    filled: &FilledTemplate,
    code: &str,
) -> QueryResult<()> {
    let them = channel_templates::table.find((channel, &filled.name, &filled.language));
    let known: Option<serde_json::Value> = them.select(channel_templates::template).first(conn).optional()?;
    // Everything of it that was on the wire is refused alike: the first says so.
    let Some(known) = known.map(read).transpose()?.filter(Approved::is_approved) else { return Ok(()) };
    let refused = Approved { status: format!("refused by the provider ({code})"), ..known };
    let value = serde_json::to_value(refused).map_err(|error| SerializationError(error.into()))?;
    diesel::update(them).set(channel_templates::template.eq(value)).execute(conn).map(drop)
}

/// Something became of a text of some account of this provider.
pub fn ask_again(conn: &mut PgConnection, provider: ProviderName) -> QueryResult<()> {
    diesel::update(channels::table.filter(channels::provider.eq(provider)))
        .set(channels::templates_at.eq(None::<DateTime<Utc>>))
        .execute(conn)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_only_as_it_is_approved_now() {
        let known = Approved { name: "a".into(), title: "a".into(), language: "en".into(), ..Approved::default() };
        let approved = Approved { status: "approved".into(), body: "Hi".into(), ..known };
        let filled = approved.filled(|_| String::new());
        let refusal = |it: &Approved| refusal(std::slice::from_ref(it), &filled);
        assert_eq!(refusal(&approved), None);
        assert!(refusal(&Approved { status: "paused".into(), ..approved.clone() }).unwrap().contains("is paused now"));
        assert!(refusal(&Approved { body: "Hello".into(), ..approved.clone() }).unwrap().contains("other words"));
        assert!(refusal(&Approved { beyond: Some("x".into()), ..approved.clone() }).is_some());
        assert!(refusal(&Approved { language: "de".into(), ..approved }).unwrap().contains("not there"));
    }
}
