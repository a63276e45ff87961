//! Losses in Postgres.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Int8, Text};

use crate::db::schema::{losses, lost_runs};
use crate::ids::{RunId, UserId};
use crate::marks::Top;

/// Numbers that others may have given out since somebody looked last.
const UNSEEN: i64 = 10_000;

/// History that was lost.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = losses, check_for_backend(Pg))]
pub struct Loss {
    pub id: i64,
    pub noticed_at: DateTime<Utc>,
    /// The newest thing that the database still knew.
    pub reaches: Option<DateTime<Utc>>,
    /// The newest instant of which a process knew more.
    pub until: DateTime<Utc>,
    /// Replies that may have left.
    pub replies: i64,
    pub released_at: Option<DateTime<Utc>>,
    /// Whether those who may have got it were sent to again.
    pub again: Option<bool>,
}

/// A run that had come further than the database knows.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = lost_runs, check_for_backend(Pg))]
pub struct LostRun {
    pub loss_id: i64,
    pub run_id: RunId,
    pub name: String,
    /// Whether the database still has it.
    pub known: bool,
    pub lo: i32,
    pub hi: i32,
    /// Contacts that may have had another try.
    pub waiting: i64,
    /// Why its schedule was paused.
    pub held: Option<String>,
}

impl LostRun {
    /// How many contacts may have been sent to.
    pub fn n(&self) -> i64 {
        i64::from(self.hi - self.lo + 1).max(0) + self.waiting
    }
}

/// The loss that holds everything; `None` when nothing is held.
pub fn open(conn: &mut PgConnection) -> QueryResult<Option<Loss>> {
    losses::table.filter(losses::released_at.is_null()).select(Loss::as_select()).first(conn).optional()
}

/// The last loss that was released.
pub fn last_released(conn: &mut PgConnection) -> QueryResult<Option<Loss>> {
    losses::table
        .filter(losses::released_at.is_not_null())
        .order(losses::id.desc())
        .select(Loss::as_select())
        .first(conn)
        .optional()
}

pub fn runs(conn: &mut PgConnection, loss: i64) -> QueryResult<Vec<LostRun>> {
    lost_runs::table
        .filter(lost_runs::loss_id.eq(loss))
        .order(lost_runs::run_id)
        .select(LostRun::as_select())
        .load(conn)
}

/// Opens a loss, or widens the one that is open. Returns its number.
pub fn widen(
    conn: &mut PgConnection,
    reaches: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    match open(conn)? {
        Some(loss) => {
            let reaches = loss.reaches.into_iter().chain(reaches).min();
            diesel::update(losses::table.find(loss.id))
                .set((losses::reaches.eq(reaches), losses::until.eq(until.max(loss.until))))
                .execute(conn)?;
            Ok(loss.id)
        }
        None => diesel::insert_into(losses::table)
            .values((losses::noticed_at.eq(now), losses::reaches.eq(reaches), losses::until.eq(until)))
            .returning(losses::id)
            .get_result(conn),
    }
}

/// Notes a run, or more about one that is noted.
pub fn note_run(conn: &mut PgConnection, run: &LostRun) -> QueryResult<()> {
    use diesel::dsl::sql;
    use diesel::sql_types::{Int4, Nullable};
    diesel::insert_into(lost_runs::table)
        .values(run)
        .on_conflict((lost_runs::loss_id, lost_runs::run_id))
        .do_update()
        .set((
            lost_runs::lo.eq(sql::<Int4>("least(lost_runs.lo, excluded.lo)")),
            lost_runs::hi.eq(sql::<Int4>("greatest(lost_runs.hi, excluded.hi)")),
            lost_runs::waiting.eq(sql::<Int8>("lost_runs.waiting + excluded.waiting")),
            lost_runs::held.eq(sql::<Nullable<Text>>("coalesce(lost_runs.held, excluded.held)")),
        ))
        .execute(conn)
        .map(drop)
}

pub fn add_replies(conn: &mut PgConnection, loss: i64, n: i64) -> QueryResult<()> {
    diesel::update(losses::table.find(loss)).set(losses::replies.eq(losses::replies + n)).execute(conn).map(drop)
}

/// How far losses that were released speak for these runs: the last contact of each; of
/// those that were not known, the last that somebody knew of.
pub fn spoken_for(conn: &mut PgConnection) -> QueryResult<HashMap<RunId, i32>> {
    let rows: Vec<(i64, Option<i32>)> = lost_runs::table
        .inner_join(losses::table)
        .filter(losses::released_at.is_not_null())
        .group_by(lost_runs::run_id)
        .select((lost_runs::run_id, diesel::dsl::max(lost_runs::hi)))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(run, hi)| Some((RunId(run), hi?))).collect())
}

/// Whether a loss that was released speaks for everything known until `until`.
pub fn is_spoken_for(conn: &mut PgConnection, until: DateTime<Utc>) -> QueryResult<bool> {
    let released = losses::table.filter(losses::released_at.is_not_null()).filter(losses::until.ge(until));
    diesel::select(diesel::dsl::exists(released)).get_result(conn)
}

/// Lets numbers go on behind those that were given out in what was lost: receipts and late
/// results that name them must not find something else.
pub fn pass_numbers(conn: &mut PgConnection, top: Top) -> QueryResult<()> {
    for (table, top) in [("schedule_runs", top.run), ("leases", top.lease), ("messages", top.message)] {
        diesel::sql_query(
            "SELECT setval(s.name::regclass, greatest($2, nextval(s.name::regclass))) FROM pg_get_serial_sequence($1, 'id') AS s (name)",
        )
        .bind::<Text, _>(table)
        .bind::<Int8, _>(top + UNSEEN)
        .execute(conn)?;
    }
    Ok(())
}

pub fn release(conn: &mut PgConnection, loss: i64, again: bool, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(losses::table.find(loss))
        .set((losses::released_at.eq(now), losses::released_by.eq(by), losses::again.eq(again)))
        .execute(conn)
        .map(drop)
}
