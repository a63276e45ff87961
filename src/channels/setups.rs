//! store: The channels as their adapters are made from them.

use diesel::prelude::*;

use crate::db::schema::channels;
use crate::ids::ChannelId;
use crate::providers::{Kind, ProviderName, Setup};

/// How the channel is configured.
pub fn find(conn: &mut PgConnection, channel: ChannelId) -> QueryResult<Setup> {
    channels::table.find(channel).select(SetupRow::as_select()).first(conn).map(Setup::from)
}

/// All channels.
pub fn all(conn: &mut PgConnection) -> QueryResult<Vec<Setup>> {
    channels::table
        .order(channels::id)
        .select(SetupRow::as_select())
        .load::<SetupRow>(conn)
        .map(|rows| rows.into_iter().map(Setup::from).collect())
}

/// The channel of an account, by the provider's id for it.
pub fn of_account(conn: &mut PgConnection, provider: ProviderName, account: &str) -> QueryResult<Option<Setup>> {
    let its_id = "coalesce(settings->>'phone_number_id', settings->>'page_id') = ";
    let is_its = diesel::dsl::sql::<diesel::sql_types::Bool>(its_id).bind::<diesel::sql_types::Text, _>(account);
    channels::table
        .filter(channels::provider.eq(provider))
        .filter(is_its)
        .order(channels::id)
        .select(SetupRow::as_select())
        .first(conn)
        .optional()
        .map(|row: Option<SetupRow>| row.map(Setup::from))
}

/// Names and providers of channels that nobody here can make an adapter for.
pub fn of_unknown_providers(conn: &mut PgConnection) -> QueryResult<Vec<(String, String)>> {
    let known = ProviderName::ALL.map(ProviderName::word);
    channels::table
        .filter(channels::provider.ne_all(known))
        .order(channels::id)
        .select((channels::name, channels::provider))
        .load(conn)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = channels, check_for_backend(diesel::pg::Pg))]
struct SetupRow {
    id: i64,
    kind: Kind,
    provider: ProviderName,
    sender: String,
    secret: String,
    credentials: Option<String>,
    settings: serde_json::Value,
}

impl From<SetupRow> for Setup {
    fn from(row: SetupRow) -> Self {
        Setup {
            id: row.id,
            kind: row.kind,
            provider: row.provider,
            sender: row.sender,
            secret: row.secret.into(),
            credentials: row.credentials,
            settings: row.settings,
        }
    }
}
