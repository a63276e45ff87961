//! What the database knows.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Bool, Int2, Int8, Jsonb, Nullable, Timestamptz, Uuid as SqlUuid};
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
    let ask = about(known, diesel::sql_query(include_str!("missing.sql")).into_boxed());
    Prepared(ask).get_result::<Missing>(conn).map(|it| it.missing)
}

type Asked<'a> = BoxedSqlQuery<'a, Pg, SqlQuery>;

/// Binds what `missing.sql` asks for.
fn about<'a>(known: &KnownRuns, ask: Asked<'a>) -> Asked<'a> {
    let (leases, processes): (Vec<i64>, Vec<uuid::Uuid>) =
        known.claims.iter().map(|claim| (claim.lease.0, claim.process)).unzip();
    let (messages, attempts): (Vec<i64>, Vec<i16>) = known.replies.iter().map(|(id, attempt)| (id.0, *attempt)).unzip();
    let (entry, entry_at) = known.newest.entry.unzip();
    let (message, message_at) = known.newest.message.unzip();
    ask.bind::<Array<Int8>, _>(leases)
        .bind::<Array<SqlUuid>, _>(processes)
        .bind::<Array<Int8>, _>(messages)
        .bind::<Array<Int2>, _>(attempts)
        .bind::<Nullable<Int8>, _>(entry)
        .bind::<Nullable<Timestamptz>, _>(entry_at)
        .bind::<Nullable<Int8>, _>(message)
        .bind::<Nullable<Timestamptz>, _>(message_at)
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

/// Reads what the database knows, with the runs that are under way and those in `runs`, and
/// whether something of what is `known` is [missing](is_missing). One question: it stands
/// between a pause and its answer.
pub fn present(
    conn: &mut PgConnection,
    known: &KnownRuns,
    runs: Vec<i64>,
    now: DateTime<Utc>,
) -> QueryResult<(Present, bool)> {
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
        #[diesel(sql_type = Bool)]
        missing: bool,
        #[diesel(sql_type = Jsonb)]
        under_way: serde_json::Value,
    }
    #[derive(serde::Deserialize)]
    struct UnderWay {
        id: RunId,
        schedule_id: ScheduleId,
        name: String,
        state: String,
        next_seq: i32,
        ends_at: DateTime<Utc>,
    }
    let ask = diesel::sql_query(concat!(
        "SELECT present.*, missing.*, coalesce((
             SELECT jsonb_agg(to_jsonb(r) ORDER BY r.id) FROM (
                 SELECT id, schedule_id, name, state, next_seq, ends_at FROM real_runs
                 WHERE state IN ('running', 'paused') OR id = ANY ($9)
             ) r), '[]') AS under_way
         FROM (",
        include_str!("present.sql"),
        ") present, (",
        include_str!("missing.sql"),
        ") missing"
    ));
    let ask = about(known, ask.into_boxed()).bind::<Array<Int8>, _>(runs);
    let row: Row = Prepared(ask).get_result(conn)?;
    let under_way: Vec<UnderWay> =
        serde_json::from_value(row.under_way).map_err(|error| DeserializationError(error.into()))?;
    let top = Top { run: row.run.unwrap_or(0), lease: row.lease.unwrap_or(0), message: row.message.unwrap_or(0) };
    let newest = Newest { entry: row.entry.zip(row.entry_at), message: row.message.zip(row.message_at) };
    let mut facts = vec![Fact::Reaches { until: now, newest, top }];
    facts.extend(under_way.into_iter().map(|it| Fact::Run {
        id: it.id,
        stand: Stand {
            schedule: it.schedule_id,
            name: it.name,
            state: it.state,
            next_seq: it.next_seq,
            ends_at: it.ends_at,
        },
    }));
    Ok((Present { at: now, facts, reaches: row.reaches, held: row.held }, row.missing))
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
