//! Campaigns in Postgres.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Int8, Text, Timestamptz};

use super::{Campaign, CampaignState};
use crate::db::schema::{campaigns, schedule_runs, schedules};
use crate::ids::{CampaignId, FileId, UserId};

pub fn find(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Campaign> {
    campaigns::table.find(id.0).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Campaign> {
    campaigns::table.find(id.0).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// Writes a draft. A name that is taken is refused by `one_campaign_per_name`.
pub fn insert(
    conn: &mut PgConnection,
    name: &str,
    zone: Tz,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<CampaignId> {
    diesel::insert_into(campaigns::table)
        .values((
            campaigns::name.eq(name),
            campaigns::time_zone.eq(zone.name()),
            campaigns::created_by.eq(by.0),
            campaigns::created_at.eq(now),
        ))
        .returning(campaigns::id)
        .get_result(conn)
        .map(CampaignId)
}

pub fn set_basics(conn: &mut PgConnection, id: CampaignId, name: &str, zone: Tz) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0))
        .set((campaigns::name.eq(name), campaigns::time_zone.eq(zone.name())))
        .execute(conn)
        .map(drop)
}

pub fn set_file(conn: &mut PgConnection, id: CampaignId, file: Option<FileId>) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0))
        .set(campaigns::file_id.eq(file.map(|file| file.0)))
        .execute(conn)
        .map(drop)
}

/// Writes the state and the instant that belongs to it.
pub fn save_state(
    conn: &mut PgConnection,
    id: CampaignId,
    state: CampaignState,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let it = campaigns::table.find(id.0);
    match state {
        CampaignState::Active => diesel::update(it)
            .set((
                campaigns::state.eq(state.word()),
                campaigns::launched_at.eq(diesel::dsl::sql::<diesel::sql_types::Nullable<Timestamptz>>(
                    "coalesce(launched_at, ",
                )
                .bind::<Timestamptz, _>(now)
                .sql(")")),
                campaigns::ended_at.eq(None::<DateTime<Utc>>),
            ))
            .execute(conn),
        CampaignState::Draft | CampaignState::Paused => {
            diesel::update(it).set(campaigns::state.eq(state.word())).execute(conn)
        }
        CampaignState::Stopped | CampaignState::Finished => {
            diesel::update(it).set((campaigns::state.eq(state.word()), campaigns::ended_at.eq(now))).execute(conn)
        }
        CampaignState::Archived => diesel::update(it).set(campaigns::state.eq(state.word())).execute(conn),
    }
    .map(drop)
}

/// “name copy”, or the first of “name copy 2”, “name copy 3” … that nobody uses.
pub fn free_name(conn: &mut PgConnection, name: &str) -> QueryResult<String> {
    let taken: Vec<String> = campaigns::table
        .filter(campaigns::name.ilike(format!("{} copy%", name.replace(['%', '_', '\\'], "_"))))
        .select(campaigns::name)
        .load(conn)?;
    let taken: std::collections::HashSet<String> = taken.into_iter().map(|name| name.to_lowercase()).collect();
    let numbered = (2..).map(|n| format!("{name} copy {n}"));
    let mut names = std::iter::once(format!("{name} copy")).chain(numbered);
    Ok(names.find(|name| !taken.contains(&name.to_lowercase())).unwrap_or_default())
}

/// Removes a draft with its schedules. A launched campaign is never removed.
pub fn delete(conn: &mut PgConnection, id: CampaignId) -> QueryResult<()> {
    diesel::delete(campaigns::table.find(id.0)).execute(conn).map(drop)
}

/// Whether there is no campaign at all.
pub fn is_empty(conn: &mut PgConnection) -> QueryResult<bool> {
    campaigns::table.select(campaigns::id).first::<i64>(conn).optional().map(|first| first.is_none())
}

/// Ids of campaigns in this state, in locking order.
pub fn in_state(conn: &mut PgConnection, state: CampaignState) -> QueryResult<Vec<CampaignId>> {
    campaigns::table
        .filter(campaigns::state.eq(state.word()))
        .order(campaigns::id)
        .select(campaigns::id)
        .load(conn)
        .map(|ids: Vec<i64>| ids.into_iter().map(CampaignId).collect())
}

/// Launched campaigns none of whose runs can go on by itself.
pub fn with_all_runs_ended(conn: &mut PgConnection) -> QueryResult<Vec<CampaignId>> {
    let going_on = schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaigns::id))
        .filter(schedule_runs::state.eq_any(["waiting", "running", "paused"]));
    campaigns::table
        .filter(campaigns::state.eq_any(["active", "paused"]))
        .filter(diesel::dsl::not(diesel::dsl::exists(going_on)))
        .order(campaigns::id)
        .select(campaigns::id)
        .load(conn)
        .map(|ids: Vec<i64>| ids.into_iter().map(CampaignId).collect())
}

/// What a STOP of everything hit, or would hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    pub campaigns: i64,
    pub schedules: i64,
}

/// States that a STOP of everything ends, by table: taken from the machines, not listed anew.
pub struct Stoppable {
    pub campaigns: Vec<&'static str>,
    pub schedules: Vec<&'static str>,
    pub runs: Vec<&'static str>,
}

/// Stops campaigns, then schedules, then runs: the order in which everybody locks them.
pub fn stop_all(conn: &mut PgConnection, states: &Stoppable, by: UserId, now: DateTime<Utc>) -> QueryResult<Hit> {
    let mut stop = |sql: &'static str, states: &[&'static str]| {
        diesel::sql_query(sql)
            .bind::<Array<Text>, _>(states)
            .bind::<Timestamptz, _>(now)
            .bind::<Int8, _>(by.0)
            .get_result::<N>(conn)
            .map(|it| it.n)
    };
    let campaigns = stop(include_str!("stop_campaigns.sql"), &states.campaigns)?;
    let schedules = stop(include_str!("stop_schedules.sql"), &states.schedules)?;
    stop(include_str!("stop_runs.sql"), &states.runs)?;
    Ok(Hit { campaigns, schedules })
}

/// What a STOP of everything would hit right now, and how many contacts it would leave unsent.
pub fn would_stop(conn: &mut PgConnection, states: &Stoppable) -> QueryResult<(Hit, i64)> {
    let campaigns = campaigns::table.filter(campaigns::state.eq_any(&states.campaigns)).count().get_result(conn)?;
    let schedules = schedules::table
        .inner_join(campaigns::table)
        .filter(campaigns::state.eq_any(&states.campaigns))
        .filter(schedules::state.eq_any(&states.schedules))
        .count()
        .get_result(conn)?;
    let unsent: N = diesel::sql_query(
        "SELECT coalesce(sum(last_seq - next_seq + 1), 0)::bigint AS n FROM schedule_runs WHERE state = ANY ($1)",
    )
    .bind::<Array<Text>, _>(&states.runs)
    .get_result(conn)?;
    Ok((Hit { campaigns, schedules }, unsent.n))
}

#[derive(QueryableByName)]
struct N {
    #[diesel(sql_type = Int8)]
    n: i64,
}

/// A row as stored; turning it into a [`Campaign`] is where nonsense is caught.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(Pg))]
struct Row {
    id: i64,
    name: String,
    time_zone: String,
    state: String,
    file_id: Option<i64>,
}

impl TryFrom<Row> for Campaign {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let (Some(state), Ok(zone)) = (CampaignState::of_word(&row.state), row.time_zone.parse()) else {
            return Err(DeserializationError(format!("campaigns: not a campaign: {row:?}").into()));
        };
        Ok(Campaign { id: CampaignId(row.id), name: row.name, zone, state, file_id: row.file_id.map(FileId) })
    }
}
