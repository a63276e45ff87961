use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::Bool;
use serde_json::Value;

use super::domain::{Channel, ChannelSetup, Own};
use crate::db::locks::{self, Lock};
use crate::db::schema::{campaigns, channels, schedules};
use crate::db::{Fixed, fixed};
use crate::ids::{CampaignId, ChannelId, ScheduleId};
use crate::providers::credentials::Credentials;
use crate::providers::{Kind, ProviderName};

/// All channels, by name.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<Channel>> {
    channels::table
        .order((channels::name, channels::id))
        .select(Row::as_select())
        .load(conn)?
        .into_iter()
        .map(Channel::try_from)
        .collect()
}

pub fn find(conn: &mut PgConnection, id: ChannelId) -> QueryResult<Channel> {
    channels::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: ChannelId) -> QueryResult<Channel> {
    locks::take(Lock::Channel);
    channels::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// Writes a channel. A name that is taken is refused by `one_channel_per_name`.
pub fn insert(
    conn: &mut PgConnection,
    kind: Kind,
    setup: &ChannelSetup,
    secret: &str,
    sealed: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<ChannelId> {
    diesel::insert_into(channels::table)
        .values((
            channels::kind.eq(kind),
            channels::provider.eq(setup.own.provider()),
            channels::secret.eq(secret),
            channels::credentials.eq(sealed),
            channels::created_at.eq(now),
            Saved::try_from(setup)?,
        ))
        .returning(channels::id)
        .get_result(conn)
        .map(ChannelId)
}

pub fn save(conn: &mut PgConnection, id: ChannelId, setup: &ChannelSetup) -> QueryResult<()> {
    diesel::update(channels::table.find(id)).set(Saved::try_from(setup)?).execute(conn).map(drop)
}

/// Keeps credentials, which are sealed.
pub fn keep_credentials(conn: &mut PgConnection, id: ChannelId, sealed: Option<&str>) -> QueryResult<()> {
    diesel::update(channels::table.find(id)).set(channels::credentials.eq(sealed)).execute(conn).map(drop)
}

/// All that are kept, until the transaction ends by nobody else.
pub fn lock_sealed(conn: &mut PgConnection) -> QueryResult<Vec<(ChannelId, String)>> {
    locks::take(Lock::Channel);
    channels::table
        .filter(channels::credentials.is_not_null())
        .order(channels::id)
        .select((channels::id, channels::credentials.assume_not_null()))
        .for_no_key_update()
        .load(conn)
}

/// Its provider called. Written down once a minute.
pub fn was_called(conn: &mut PgConnection, id: ChannelId, now: DateTime<Utc>) -> QueryResult<()> {
    let before = now - chrono::TimeDelta::minutes(1);
    diesel::update(channels::table.find(id))
        .filter(channels::called_at.is_null().or(channels::called_at.lt(before)))
        .set(channels::called_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Who meets those who write first on a channel: the active schedule of the active inbound
/// campaign that was launched last.
pub fn met_by(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Option<ScheduleId>> {
    schedules::table
        .inner_join(campaigns::table)
        .filter(meets())
        .filter(schedules::channel_id.eq(channel))
        .order((campaigns::launched_at.desc(), campaigns::id.desc()))
        .select(schedules::id)
        .first(conn)
        .optional()
        .map(|id| id.map(ScheduleId))
}

/// The same on each channel: the campaign and its name. A channel that nobody meets is not in it.
pub fn met_by_campaigns(conn: &mut PgConnection) -> QueryResult<HashMap<ChannelId, (CampaignId, String)>> {
    let rows: Vec<(ChannelId, (CampaignId, String))> = schedules::table
        .inner_join(campaigns::table)
        .filter(meets())
        .distinct_on(schedules::channel_id)
        .order((schedules::channel_id, campaigns::launched_at.desc(), campaigns::id.desc()))
        .select((schedules::channel_id, (campaigns::id, campaigns::name)))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Whether a schedule, joined with its campaign, meets somebody; of the schedule as it stands in the index.
fn meets() -> Fixed<Bool> {
    fixed("schedules.inbound AND schedules.state = 'active' AND campaigns.state = 'active'")
}

/// What a form changes.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = channels, check_for_backend(Pg), treat_none_as_null = true)]
struct Saved {
    name: String,
    sender: String,
    per_minute: Option<i32>,
    settings: Value,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = channels, check_for_backend(Pg))]
struct Row {
    id: ChannelId,
    kind: Kind,
    provider: ProviderName,
    held_until: Option<DateTime<Utc>>,
    #[diesel(column_name = credentials)]
    sealed: Option<String>,
    called_at: Option<DateTime<Utc>>,
    #[diesel(embed)]
    saved: Saved,
}

impl TryFrom<&ChannelSetup> for Saved {
    type Error = diesel::result::Error;

    fn try_from(setup: &ChannelSetup) -> QueryResult<Self> {
        let settings = match &setup.own {
            Own::Sandbox(knobs) => serde_json::to_value(knobs),
            Own::Webchat(widget) => serde_json::to_value(widget),
            Own::Http(settings) => serde_json::to_value(settings),
            Own::Twilio(settings) => serde_json::to_value(settings),
            Own::Whatsapp(settings) => serde_json::to_value(settings),
            Own::Messenger(settings) => serde_json::to_value(settings),
            Own::Viber(settings) => serde_json::to_value(settings),
            Own::Smpp(settings) => serde_json::to_value(settings),
        };
        let settings = settings.map_err(|error| SerializationError(error.into()))?;
        Ok(Saved { name: setup.name.clone(), sender: setup.sender.clone(), per_minute: setup.per_minute, settings })
    }
}

impl TryFrom<Row> for Channel {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let Saved { name, sender, per_minute, settings } = row.saved;
        let own = match row.provider {
            ProviderName::Webchat => serde_json::from_value(settings).map(Own::Webchat),
            ProviderName::Sandbox => serde_json::from_value(settings).map(Own::Sandbox),
            ProviderName::Http => serde_json::from_value(settings).map(Own::Http),
            ProviderName::Twilio => serde_json::from_value(settings).map(Own::Twilio),
            ProviderName::Whatsapp => serde_json::from_value(settings).map(Own::Whatsapp),
            ProviderName::Messenger => serde_json::from_value(settings).map(Own::Messenger),
            ProviderName::Viber => serde_json::from_value(settings).map(Own::Viber),
            ProviderName::Smpp => serde_json::from_value(settings).map(Own::Smpp),
        };
        let own = own.map_err(|error| DeserializationError(error.into()))?;
        Ok(Channel {
            id: row.id,
            kind: row.kind,
            provider: row.provider,
            setup: ChannelSetup { name, sender, per_minute, own, typed: Credentials::default() },
            held_until: row.held_until,
            sealed: row.sealed,
            called_at: row.called_at,
        })
    }
}
