//! store: Which process holds the line of a channel, where one at a time may.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Int8, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::db::Prepared;
use crate::db::schema::channel_lines;
use crate::ids::ChannelId;

/// How long a process holds a line without saying so again. Another takes it over so long after it was killed.
pub const HELD_FOR: TimeDelta = TimeDelta::seconds(10);

/// Takes the lines that nobody holds any more, and those that this process holds for longer. Returns those it holds now.
pub fn take(
    conn: &mut PgConnection,
    process: Uuid,
    channels: &[ChannelId],
    now: DateTime<Utc>,
) -> QueryResult<Vec<ChannelId>> {
    #[derive(QueryableByName)]
    struct Mine {
        #[diesel(sql_type = Int8)]
        channel_id: ChannelId,
    }
    let take = diesel::sql_query(
        "INSERT INTO channel_lines AS l (channel_id, process, until)
         SELECT id, $2, $3 FROM unnest($1) AS id ORDER BY id
         ON CONFLICT (channel_id) DO UPDATE SET process = excluded.process, until = excluded.until
         WHERE l.process = excluded.process OR l.until <= $4
         RETURNING channel_id",
    )
    .bind::<Array<Int8>, _>(channels)
    .bind::<SqlUuid, _>(process)
    .bind::<Timestamptz, _>(now + HELD_FOR)
    .bind::<Timestamptz, _>(now);
    let mine: Vec<Mine> = Prepared(take).load(conn)?;
    Ok(mine.into_iter().map(|it| it.channel_id).collect())
}

/// Gives up all lines of a process.
pub fn let_go(conn: &mut PgConnection, process: Uuid) -> QueryResult<()> {
    diesel::delete(channel_lines::table.filter(channel_lines::process.eq(process))).execute(conn).map(drop)
}
