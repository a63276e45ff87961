use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use diesel::dsl::{AsSelect, exists, sql};
use diesel::expression::SqlLiteral;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Date};

use super::domain::{ApprovalRule, Blackout, Cap, House};
use crate::db::locks::{self, Lock};
use crate::db::schema::{blackouts, leases, schedule_runs, settings, users};
use crate::ids::UserId;
use crate::pacing::Quiet;

/// What holds now. One row by its key: cheap enough to ask at every tick.
pub fn house(conn: &mut PgConnection) -> QueryResult<House> {
    settings::table.find(true).select(Row::as_select()).first(conn).map(House::from)
}

/// Like [`house`], but makes everyone else who changes settings or blackout dates
/// wait until this transaction ends.
pub fn lock(conn: &mut PgConnection) -> QueryResult<House> {
    locks::take(Lock::Settings);
    settings::table.find(true).select(Row::as_select()).for_no_key_update().first(conn).map(House::from)
}

pub fn save(conn: &mut PgConnection, house: &House, by: Option<UserId>, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(settings::table.find(true))
        .set((Row::from(house), settings::updated_at.eq(now), settings::updated_by.eq(by)))
        .execute(conn)
        .map(drop)
}

/// Whether there is any run that could send, or a send whose result is not known.
pub fn is_anything_sending(conn: &mut PgConnection) -> QueryResult<bool> {
    let running = exists(schedule_runs::table.filter(schedule_runs::state.eq("running")));
    let open = exists(leases::table.filter(leases::open.gt(0)));
    diesel::select(running.or(open)).get_result(conn)
}

/// When the settings were changed last, and by whom.
pub fn last_change(conn: &mut PgConnection) -> QueryResult<Option<(DateTime<Utc>, Option<String>)>> {
    let (at, name): (Option<DateTime<Utc>>, _) = settings::table
        .find(true)
        .left_join(users::table)
        .select((settings::updated_at, users::name.nullable()))
        .first(conn)?;
    Ok(at.map(|at| (at, name)))
}

/// The days of all blackout dates.
pub fn blackouts(conn: &mut PgConnection) -> QueryResult<BTreeSet<NaiveDate>> {
    Ok(blackouts::table.select(blackouts::day).load(conn)?.into_iter().collect())
}

/// [`house`] and [`blackouts`] with one question.
pub fn house_and_blackouts(conn: &mut PgConnection) -> QueryResult<(House, BTreeSet<NaiveDate>)> {
    settings::table.find(true).select(house_row()).first(conn).map(read_house)
}

fn days() -> SqlLiteral<Array<Date>> {
    sql("ARRAY(SELECT day FROM blackouts)")
}

/// The row of the settings and the days of all blackout dates.
pub type HouseRow = (Row, Vec<NaiveDate>);

/// The columns of a [`HouseRow`], for whoever asks for them beside something else.
pub fn house_row() -> (AsSelect<Row, Pg>, SqlLiteral<Array<Date>>) {
    (Row::as_select(), days())
}

pub fn read_house((row, days): HouseRow) -> (House, BTreeSet<NaiveDate>) {
    (row.into(), days.into_iter().collect())
}

/// All blackout dates with their names, by day.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<Blackout>> {
    let rows: Vec<(NaiveDate, String)> =
        blackouts::table.order(blackouts::day).select((blackouts::day, blackouts::name)).load(conn)?;
    Ok(rows.into_iter().map(|(day, name)| Blackout { day, name }).collect())
}

/// The first blackout date among these days.
pub fn first_among(conn: &mut PgConnection, days: &[NaiveDate]) -> QueryResult<Option<Blackout>> {
    let row: Option<(NaiveDate, String)> = blackouts::table
        .filter(blackouts::day.eq_any(days))
        .order(blackouts::day)
        .select((blackouts::day, blackouts::name))
        .first(conn)
        .optional()?;
    Ok(row.map(|(day, name)| Blackout { day, name }))
}

pub fn insert(conn: &mut PgConnection, blackout: &Blackout, by: Option<UserId>, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(blackouts::table)
        .values((
            blackouts::day.eq(blackout.day),
            blackouts::name.eq(&blackout.name),
            blackouts::added_by.eq(by),
            blackouts::added_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Takes a blackout date away and tells its name; `None` when there was none.
pub fn remove(conn: &mut PgConnection, day: NaiveDate) -> QueryResult<Option<String>> {
    diesel::delete(blackouts::table.find(day)).returning(blackouts::name).get_result(conn).optional()
}

#[derive(Debug, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = settings, check_for_backend(Pg), treat_none_as_null = true)]
pub struct Row {
    quiet_from: Option<NaiveTime>,
    quiet_to: Option<NaiveTime>,
    jitter_minutes: i16,
    cap_messages: Option<i32>,
    cap_days: Option<i16>,
    approval_above: Option<i32>,
}

impl From<Row> for House {
    fn from(row: Row) -> Self {
        House {
            quiet: row.quiet_from.zip(row.quiet_to).and_then(|(from, to)| Quiet::new(from, to).ok()),
            jitter_minutes: row.jitter_minutes,
            cap: row.cap_messages.zip(row.cap_days).map(|(messages, days)| Cap { messages, days }),
            approval: ApprovalRule::of_above(row.approval_above),
        }
    }
}

impl From<&House> for Row {
    fn from(house: &House) -> Self {
        Row {
            quiet_from: house.quiet.map(|quiet| quiet.from()),
            quiet_to: house.quiet.map(|quiet| quiet.to()),
            jitter_minutes: house.jitter_minutes,
            cap_messages: house.cap.map(|cap| cap.messages),
            cap_days: house.cap.map(|cap| cap.days),
            approval_above: house.approval.above(),
        }
    }
}
