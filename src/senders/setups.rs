//! The channels as their adapters are made from them.

use diesel::prelude::*;

use crate::channels::{Kind, Setup};
use crate::db::schema::channels;
use crate::ids::ChannelId;

/// How the channel is configured.
pub fn find(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Setup> {
    channels::table.find(channel.0).select(SetupRow::as_select()).first(conn)?.try_into()
}

/// All channels.
pub fn all(conn: &mut PgConnection) -> QueryResult<Vec<Setup>> {
    channels::table
        .order(channels::id)
        .select(SetupRow::as_select())
        .load(conn)?
        .into_iter()
        .map(Setup::try_from)
        .collect()
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = channels, check_for_backend(diesel::pg::Pg))]
struct SetupRow {
    id: i64,
    kind: String,
    provider: String,
    sender: String,
    secret: String,
    settings: serde_json::Value,
}

impl TryFrom<SetupRow> for Setup {
    type Error = diesel::result::Error;

    fn try_from(row: SetupRow) -> QueryResult<Self> {
        let Some(kind) = Kind::of_word(&row.kind) else {
            let what = format!("channels: not a kind: {}", row.kind);
            return Err(diesel::result::Error::DeserializationError(what.into()));
        };
        Ok(Setup {
            id: row.id,
            kind,
            provider: row.provider,
            sender: row.sender,
            secret: row.secret,
            settings: row.settings,
        })
    }
}
