//! What the database knows.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int2, Int8, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use sha2::{Digest, Sha256};

use super::{Fact, KnownRuns, Newest, Stand, Top};
use crate::db::Prepared;
use crate::db::schema::losses;
use crate::ids::{RunId, ScheduleId};
use crate::installation;

/// Whether something is missing that is known to have been written down.
pub fn is_missing(conn: &mut PgConnection, known: &KnownRuns) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Missing {
        #[diesel(sql_type = Bool)]
        missing: bool,
    }
    let (leases, processes): (Vec<i64>, Vec<uuid::Uuid>) =
        known.claims.iter().map(|claim| (claim.lease.0, claim.process)).unzip();
    let (messages, attempts): (Vec<i64>, Vec<i16>) = known.replies.iter().map(|(id, attempt)| (id.0, *attempt)).unzip();
    let (entry, entry_at) = known.newest.entry.unzip();
    let (message, message_at) = known.newest.message.unzip();
    let ask = diesel::sql_query(include_str!("missing.sql"))
        .bind::<Array<Int8>, _>(leases)
        .bind::<Array<SqlUuid>, _>(processes)
        .bind::<Array<Int8>, _>(messages)
        .bind::<Array<Int2>, _>(attempts)
        .bind::<Nullable<Int8>, _>(entry)
        .bind::<Nullable<Timestamptz>, _>(entry_at)
        .bind::<Nullable<Int8>, _>(message)
        .bind::<Nullable<Timestamptz>, _>(message_at);
    Prepared(ask).get_result::<Missing>(conn).map(|it| it.missing)
}

/// What the database knows now.
pub struct Present {
    pub at: DateTime<Utc>,
    pub facts: Vec<Fact>,
    /// The newest instant of which it has something.
    pub reaches: Option<DateTime<Utc>>,
    pub held: bool,
}

impl Present {
    /// Where a run stands; `None` when it is not known, or was not asked for.
    pub fn stand(&self, run: RunId) -> Option<&Stand> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::Run { id, stand } if *id == run => Some(stand),
            _ => None,
        })
    }
}

/// Reads what the database knows, with the runs that are under way and those in `runs`.
pub fn present(conn: &mut PgConnection, runs: Vec<i64>, now: DateTime<Utc>) -> QueryResult<Present> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Int8>)]
        entry: Option<i64>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        entry_at: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Int8>)]
        message: Option<i64>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        message_at: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Int8>)]
        lease: Option<i64>,
        #[diesel(sql_type = Nullable<Int8>)]
        run: Option<i64>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        reaches: Option<DateTime<Utc>>,
        #[diesel(sql_type = Bool)]
        held: bool,
    }
    #[derive(QueryableByName)]
    struct RunRow {
        #[diesel(sql_type = Int8)]
        id: i64,
        #[diesel(sql_type = Int8)]
        schedule_id: ScheduleId,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = diesel::sql_types::Int4)]
        next_seq: i32,
        #[diesel(sql_type = Timestamptz)]
        ends_at: DateTime<Utc>,
    }
    let row: Row = Prepared(diesel::sql_query(include_str!("present.sql"))).get_result(conn)?;
    let under_way = diesel::sql_query(
        "SELECT id, schedule_id, name, state, next_seq, ends_at FROM schedule_runs
         WHERE purpose = 'campaign' AND (state IN ('running', 'paused') OR id = ANY ($1)) ORDER BY id",
    )
    .bind::<Array<Int8>, _>(runs);
    let rows: Vec<RunRow> = Prepared(under_way).load(conn)?;
    let top = Top { run: row.run.unwrap_or(0), lease: row.lease.unwrap_or(0), message: row.message.unwrap_or(0) };
    let newest = Newest { entry: row.entry.zip(row.entry_at), message: row.message.zip(row.message_at) };
    let mut facts = vec![Fact::Reaches { until: now, newest, top }];
    facts.extend(rows.into_iter().map(|row| Fact::Run {
        id: RunId(row.id),
        stand: Stand {
            schedule: row.schedule_id,
            name: row.name,
            state: row.state,
            next_seq: row.next_seq,
            ends_at: row.ends_at,
        },
    }));
    Ok(Present { at: now, facts, reaches: row.reaches, held: row.held })
}

/// Whether everything is held, because history was lost and nobody has said yet how to go on.
pub fn is_held(conn: &mut PgConnection) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(losses::table.filter(losses::released_at.is_null()))).get_result(conn)
}

/// A name of this installation that outlives dumps and standbys, and is another one
/// in a database that was made anew.
pub fn name_of_installation(conn: &mut PgConnection) -> QueryResult<String> {
    let digest = Sha256::digest(installation::cookie_key(conn)?);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
