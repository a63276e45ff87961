//! Taking in what providers tell us: checked and read by the channel's adapter,
//! merged in one transaction, and only then acknowledged.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::actions;
use crate::app::App;
use crate::channels::{Forged, Kind, Setup, Webhook};
use crate::db::DbError;
use crate::db::schema::channels;
use crate::ids::ChannelId;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Forged(#[from] Forged),
    #[error(transparent)]
    Database(#[from] DbError<diesel::result::Error>),
}

/// Takes in one webhook call for a channel. Returns how many deliveries it moved.
pub async fn webhook(
    app: &App,
    channel: ChannelId,
    signature: Option<&str>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<usize, Error> {
    let setup = app.db.run(move |conn| find_setup(conn, channel)).await?;
    let receipts = (app.providers)(&setup).read(&Webhook { signature, body })?;
    Ok(app.db.run(move |conn| actions::take_in(conn, channel, &receipts, now)).await?)
}

/// How the channel is configured.
pub fn find_setup(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Setup> {
    channels::table.find(channel.0).select(SetupRow::as_select()).first(conn)?.try_into()
}

/// All channels.
pub fn setups(conn: &mut PgConnection) -> QueryResult<Vec<Setup>> {
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
