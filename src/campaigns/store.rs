//! Campaigns in Postgres.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Bool, Int8, Nullable, Text, Timestamptz};

use super::screen::{Line, Sheet, Talks};
use super::{Campaign, CampaignKind, CampaignState, Freeze, inbound};
use crate::db::schema::{
    campaign_lists, campaigns, conversations, files, launches_to_come, openings, schedule_runs, schedules,
};
use crate::deliveries::store::Scope;
use crate::ids::{CampaignId, FileId, ListId, ScheduleId, UserId};
use crate::pacing::Holds;
use crate::settings;

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
    kind: CampaignKind,
    zone: Tz,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<CampaignId> {
    diesel::insert_into(campaigns::table)
        .values((
            campaigns::name.eq(name),
            kind_columns(kind)?,
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

pub fn set_kind(conn: &mut PgConnection, id: CampaignId, kind: CampaignKind) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0)).set(kind_columns(kind)?).execute(conn).map(drop)
}

/// A kind with what it must have: in an inbound campaign the contact writes first, at any time until somebody says otherwise.
#[allow(clippy::type_complexity, reason = "three assignments")]
fn kind_columns(
    kind: CampaignKind,
) -> QueryResult<(
    diesel::dsl::Eq<campaigns::kind, &'static str>,
    diesel::dsl::Eq<campaigns::direction, &'static str>,
    diesel::dsl::Eq<campaigns::inbound, Option<serde_json::Value>>,
)> {
    let is_inbound = kind == CampaignKind::Inbound;
    let plan = is_inbound.then(|| json(&inbound::Plan::default())).transpose()?;
    Ok((
        campaigns::kind.eq(kind.word()),
        campaigns::direction.eq(if is_inbound { "inbound" } else { "outbound" }),
        campaigns::inbound.eq(plan),
    ))
}

fn json(value: &impl serde::Serialize) -> QueryResult<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

/// Hours and texts of an inbound campaign.
pub fn set_inbound(conn: &mut PgConnection, id: CampaignId, plan: &inbound::Plan) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0)).set(campaigns::inbound.eq(json(plan)?)).execute(conn).map(drop)
}

/// How long conversations of this campaign can be continued; holds for open ones at once.
pub fn set_validity(conn: &mut PgConnection, id: CampaignId, validity: inbound::Validity) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0))
        .set(campaigns::validity_minutes.eq(validity.minutes()))
        .execute(conn)
        .map(drop)
}

/// `field`: whose value says which schedule serves a row.
pub fn set_group_by(conn: &mut PgConnection, id: CampaignId, field: Option<&str>) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0)).set(campaigns::group_by.eq(field)).execute(conn).map(drop)
}

pub fn set_freeze(conn: &mut PgConnection, id: CampaignId, freeze: Freeze) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0)).set(campaigns::freeze.eq(freeze.word())).execute(conn).map(drop)
}

pub fn set_quiet(conn: &mut PgConnection, id: CampaignId, own: &settings::Override) -> QueryResult<()> {
    let times = own.quiet.own();
    diesel::update(campaigns::table.find(id.0))
        .set((
            campaigns::quiet.eq(own.quiet.word()),
            campaigns::quiet_from.eq(times.map(|quiet| quiet.from())),
            campaigns::quiet_to.eq(times.map(|quiet| quiet.to())),
            campaigns::blackouts_apply.eq(own.blackouts_apply),
        ))
        .execute(conn)
        .map(drop)
}

/// The lists of a campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    pub include: Vec<ListId>,
    pub exclude: Vec<ListId>,
}

pub fn lists(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Lists> {
    let rows: Vec<(i64, String)> = campaign_lists::table
        .filter(campaign_lists::campaign_id.eq(id.0))
        .order(campaign_lists::list_id)
        .select((campaign_lists::list_id, campaign_lists::role))
        .load(conn)?;
    let with = |role: &str| rows.iter().filter(|(_, it)| it == role).map(|(id, _)| ListId(*id)).collect();
    Ok(Lists { include: with("include"), exclude: with("exclude") })
}

pub fn set_lists(conn: &mut PgConnection, id: CampaignId, lists: &Lists) -> QueryResult<()> {
    diesel::delete(campaign_lists::table.filter(campaign_lists::campaign_id.eq(id.0))).execute(conn)?;
    let row = |role: &'static str| {
        move |list: &ListId| {
            (campaign_lists::campaign_id.eq(id.0), campaign_lists::list_id.eq(list.0), campaign_lists::role.eq(role))
        }
    };
    let rows: Vec<_> =
        lists.include.iter().map(row("include")).chain(lists.exclude.iter().map(row("exclude"))).collect();
    diesel::insert_into(campaign_lists::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}

/// Lets only one request at a time start something under this key; the others wait for its transaction.
pub fn take_start_key(conn: &mut PgConnection, key: &str) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7305816))")
        .bind::<Text, _>(key)
        .execute(conn)
        .map(drop)
}

/// Whether it is this connection's turn to deal with what was sent off under a key. It
/// stays so until the connection ends, also when its process does.
pub fn try_turn(conn: &mut PgConnection, key: &str) -> QueryResult<bool> {
    diesel::select(
        diesel::dsl::sql::<diesel::sql_types::Bool>("pg_try_advisory_lock(hashtextextended(")
            .bind::<Text, _>(key)
            .sql(", 7305817))"),
    )
    .get_result(conn)
}

/// The campaign that was started with this key.
pub fn started_with(conn: &mut PgConnection, key: &str) -> QueryResult<Option<CampaignId>> {
    campaigns::table
        .filter(campaigns::start_key.eq(key))
        .select(campaigns::id)
        .first(conn)
        .optional()
        .map(|id| id.map(CampaignId))
}

pub fn set_start_key(conn: &mut PgConnection, id: CampaignId, key: &str) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id.0)).set(campaigns::start_key.eq(key)).execute(conn).map(drop)
}

// ---- launches to come ------------------------------------------------------------

/// Whether a file is on its way.
pub fn is_importing(conn: &mut PgConnection, file: FileId) -> QueryResult<bool> {
    files::table.find(file.0).select(files::state.eq("importing")).first(conn)
}

/// Has a draft launched as soon as its file is imported.
pub fn launch_later(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(launches_to_come::table)
        .values((launches_to_come::campaign_id.eq(id.0), launches_to_come::by.eq(by.0), launches_to_come::at.eq(now)))
        .on_conflict_do_nothing()
        .execute(conn)
        .map(drop)
}

/// Whether it is launched by itself when its file is through.
pub fn will_launch(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    launches_to_come::table
        .find(id.0)
        .select(launches_to_come::campaign_id)
        .first::<i64>(conn)
        .optional()
        .map(|found| found.is_some())
}

/// Those of these campaigns that are launched by themselves when their file is through.
fn launching(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<Vec<i64>> {
    let of = launches_to_come::campaign_id.eq_any(ids);
    launches_to_come::table.filter(of).select(launches_to_come::campaign_id).load(conn)
}

/// Launches to come whose file waits for nothing any more, be it imported or not.
pub fn launches_due(conn: &mut PgConnection) -> QueryResult<Vec<CampaignId>> {
    let on_its_way =
        files::table.filter(campaigns::file_id.eq(files::id.nullable())).filter(files::state.eq("importing"));
    launches_to_come::table
        .inner_join(campaigns::table)
        .filter(diesel::dsl::not(diesel::dsl::exists(on_its_way)))
        .order(launches_to_come::at)
        .select(launches_to_come::campaign_id)
        .load(conn)
        .map(|ids: Vec<i64>| ids.into_iter().map(CampaignId).collect())
}

/// Strikes a launch to come off. Returns who had ordered it; `None` when somebody was quicker.
pub fn take_launch(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Option<UserId>> {
    diesel::delete(launches_to_come::table.find(id.0))
        .returning(launches_to_come::by)
        .get_result(conn)
        .optional()
        .map(|by| by.map(UserId))
}

/// Strikes all of them off: nothing starts by itself after everything was paused or stopped.
pub fn forget_launches(conn: &mut PgConnection) -> QueryResult<()> {
    diesel::delete(launches_to_come::table).execute(conn).map(drop)
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
                campaigns::launched_at.eq(diesel::dsl::sql::<Nullable<Timestamptz>>("coalesce(launched_at, ")
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

/// Gives the new draft `copy` what a campaign has beside its schedules: file, lists, groups and quiet hours.
pub fn copy_plan(conn: &mut PgConnection, id: CampaignId, copy: CampaignId) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE campaigns c
         SET file_id = o.file_id, group_by = o.group_by, \"freeze\" = o.\"freeze\", quiet = o.quiet, quiet_from = o.quiet_from,
             quiet_to = o.quiet_to, blackouts_apply = o.blackouts_apply, validity_minutes = o.validity_minutes, inbound = o.inbound
         FROM campaigns o WHERE c.id = $1 AND o.id = $2",
    )
    .bind::<Int8, _>(copy.0)
    .bind::<Int8, _>(id.0)
    .execute(conn)?;
    diesel::sql_query(
        "INSERT INTO campaign_lists (campaign_id, list_id, role)
         SELECT $1, list_id, role FROM campaign_lists WHERE campaign_id = $2",
    )
    .bind::<Int8, _>(copy.0)
    .bind::<Int8, _>(id.0)
    .execute(conn)
    .map(drop)
}

/// Removes a draft with its schedules. A launched campaign is never removed.
pub fn delete(conn: &mut PgConnection, id: CampaignId) -> QueryResult<()> {
    diesel::delete(campaigns::table.find(id.0)).execute(conn).map(drop)
}

/// Whether there is no campaign at all.
pub fn is_empty(conn: &mut PgConnection) -> QueryResult<bool> {
    campaigns::table.select(campaigns::id).first::<i64>(conn).optional().map(|first| first.is_none())
}

/// Whether no run is running or will start by itself.
pub fn stands_still(conn: &mut PgConnection) -> QueryResult<bool> {
    schedule_runs::table
        .filter(schedule_runs::state.eq_any(["waiting", "running"]))
        .select(schedule_runs::id)
        .first::<i64>(conn)
        .optional()
        .map(|going| going.is_none())
}

/// Takes the turn that STOP and PAUSE of everything need for themselves. Whoever sets
/// something going takes it beside the others, so that nothing starts unseen between
/// the statements of a stop.
pub fn take_turn(conn: &mut PgConnection, alone: bool) -> QueryResult<()> {
    let lock = if alone { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
    diesel::sql_query(format!("SELECT {lock}(7305815)")).execute(conn).map(drop)
}

/// Launched campaigns none of whose runs can go on by itself, none of whose schedules runs
/// again, and none of whose bots speaks up by itself.
pub fn with_all_runs_ended(conn: &mut PgConnection) -> QueryResult<Vec<CampaignId>> {
    let going_on = schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaigns::id))
        .filter(schedule_runs::purpose.eq("campaign"))
        .filter(schedule_runs::state.eq_any(["waiting", "running", "paused"]));
    // What runs once has had its run; the others end by being stopped or by their last date.
    let coming_round = schedules::table
        .filter(schedules::campaign_id.eq(campaigns::id))
        .filter(schedules::run_date.is_null())
        .filter(schedules::state.eq_any(["active", "paused"]));
    // Bots that are going to speak up can still be paused.
    let speaking_up = conversations::table
        .inner_join(schedules::table.on(schedules::id.nullable().eq(conversations::schedule_id)))
        .filter(schedules::campaign_id.eq(campaigns::id))
        .filter(schedules::state.ne("stopped"))
        .filter(conversations::wake_at.is_not_null());
    campaigns::table
        .filter(campaigns::state.eq_any(["active", "paused"]))
        .filter(diesel::dsl::not(diesel::dsl::exists(going_on)))
        .filter(diesel::dsl::not(diesel::dsl::exists(coming_round)))
        .filter(diesel::dsl::not(diesel::dsl::exists(speaking_up)))
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

/// States that a verb can change, by table: asked of the machines, not listed anew.
pub struct States {
    pub campaigns: Vec<&'static str>,
    /// Those of a campaign that are left only while a bot of it talks with somebody.
    pub talking: Vec<&'static str>,
    pub schedules: Vec<&'static str>,
    pub runs: Vec<&'static str>,
}

/// Stops campaigns, then schedules, then runs: the order in which everybody locks them.
pub fn stop_all(conn: &mut PgConnection, states: &States, by: Option<UserId>, now: DateTime<Utc>) -> QueryResult<Hit> {
    let talking = &states.talking;
    let mut stop = |sql: &'static str, states: &[&'static str]| {
        diesel::sql_query(sql)
            .bind::<Array<Text>, _>(states)
            .bind::<Timestamptz, _>(now)
            .bind::<Nullable<Int8>, _>(by.map(|user| user.0))
            .bind::<Array<Text>, _>(talking)
            .get_result::<N>(conn)
            .map(|it| it.n)
    };
    let campaigns = stop(include_str!("stop_campaigns.sql"), &states.campaigns)?;
    let schedules = stop(include_str!("stop_schedules.sql"), &states.schedules)?;
    stop(include_str!("stop_runs.sql"), &states.runs)?;
    Ok(Hit { campaigns, schedules })
}

/// Pauses campaigns, then their schedules, then their runs. Returns how many campaigns.
pub fn pause_all(
    conn: &mut PgConnection,
    states: &States,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = Int8)]
        id: i64,
    }
    let mut pause = |sql: &'static str, states: &[&'static str], campaigns: &[i64]| {
        diesel::sql_query(sql)
            .bind::<Array<Text>, _>(states)
            .bind::<Timestamptz, _>(now)
            .bind::<Nullable<Int8>, _>(by.map(|user| user.0))
            .bind::<Array<Int8>, _>(campaigns)
            .load::<Id>(conn)
            .map(|ids| ids.into_iter().map(|it| it.id).collect::<Vec<i64>>())
    };
    let campaigns = pause(include_str!("pause_campaigns.sql"), &states.campaigns, &[])?;
    pause(include_str!("pause_schedules.sql"), &states.schedules, &campaigns)?;
    pause(include_str!("pause_runs.sql"), &states.runs, &campaigns)?;
    Ok(campaigns.len())
}

/// What a STOP of everything would come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WouldStop {
    pub hit: Hit,
    /// Contacts left unsent.
    pub unsent: i64,
    /// Conversations in which bots fall silent.
    pub talks: i64,
}

/// What a STOP of everything would hit right now.
pub fn would_stop(conn: &mut PgConnection, states: &States) -> QueryResult<WouldStop> {
    let campaigns: N = diesel::sql_query(
        "SELECT count(*) AS n FROM campaigns c
         WHERE c.state = ANY ($1)
            OR (c.state = ANY ($2) AND EXISTS (SELECT FROM conversations v
                WHERE v.campaign_id = c.id AND v.handler = 'bot' AND v.closed_at IS NULL))",
    )
    .bind::<Array<Text>, _>(&states.campaigns)
    .bind::<Array<Text>, _>(&states.talking)
    .get_result(conn)?;
    let talks: N = diesel::sql_query(
        "SELECT count(*) AS n FROM conversations v
         JOIN campaigns c ON c.id = v.campaign_id JOIN schedules s ON s.id = v.schedule_id
         WHERE v.handler = 'bot' AND v.closed_at IS NULL AND c.state <> 'stopped' AND s.state <> 'stopped'",
    )
    .get_result(conn)?;
    let schedules = schedules::table
        .inner_join(campaigns::table)
        .filter(campaigns::state.eq_any(&states.campaigns))
        .filter(schedules::state.eq_any(&states.schedules))
        .count()
        .get_result(conn)?;
    let unsent: N = diesel::sql_query(
        "SELECT coalesce(sum(last_seq - next_seq + 1
                + (SELECT coalesce(sum(t.retrying), 0) FROM tallies t WHERE t.run_id = r.id)), 0)::bigint AS n
         FROM schedule_runs r WHERE state = ANY ($1)",
    )
    .bind::<Array<Text>, _>(&states.runs)
    .get_result(conn)?;
    Ok(WouldStop { hit: Hit { campaigns: campaigns.n, schedules }, unsent: unsent.n, talks: talks.n })
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
    kind: String,
    time_zone: String,
    state: String,
    file_id: Option<i64>,
    group_by: Option<String>,
    freeze: String,
    #[diesel(embed)]
    quiet: settings::calendars::OwnColumns,
    validity_minutes: i32,
    inbound: Option<serde_json::Value>,
}

impl TryFrom<Row> for Campaign {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let words =
            (CampaignState::of_word(&row.state), CampaignKind::of_word(&row.kind), Freeze::of_word(&row.freeze));
        let ((Some(state), Some(kind), Some(freeze)), Ok(zone)) = (words, row.time_zone.parse()) else {
            return Err(DeserializationError(format!("campaigns: not a campaign: {row:?}").into()));
        };
        Ok(Campaign {
            id: CampaignId(row.id),
            name: row.name,
            kind,
            zone,
            state,
            file_id: row.file_id.map(FileId),
            group_by: row.group_by,
            freeze,
            quiet: row.quiet.read()?,
            validity: inbound::Validity::of_minutes(row.validity_minutes).unwrap_or(inbound::Validity::DEFAULT),
            inbound: row
                .inbound
                .map(serde_json::from_value)
                .transpose()
                .map_err(|error| DeserializationError(error.into()))?,
        })
    }
}

// ---- the screen ----------------------------------------------------------------

/// Which campaigns a page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// All but archived ones.
    #[default]
    All,
    Live,
    Paused,
    Today,
    Inbound,
    Finished,
    Archived,
}

/// Up to `limit` campaigns, newest first, whose names hold `q`, from the one after `after` on.
pub fn list(
    conn: &mut PgConnection,
    q: &str,
    show: Show,
    after: Option<CampaignId>,
    limit: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Campaign>> {
    use diesel::dsl::{exists, sql};

    let mut found = campaigns::table.select(Row::as_select()).order(campaigns::id.desc()).limit(limit).into_boxed();
    if !q.is_empty() {
        found = found.filter(campaigns::search.ilike(containing(q)));
    }
    if let Some(after) = after {
        found = found.filter(campaigns::id.lt(after.0));
    }
    let with_run = |state: &'static str| {
        exists(
            schedule_runs::table
                .filter(schedule_runs::campaign_id.eq(campaigns::id))
                .filter(schedule_runs::state.eq(state)),
        )
    };
    let inbound_with = |state: &'static str| {
        exists(
            schedules::table
                .filter(schedules::campaign_id.eq(campaigns::id))
                .filter(schedules::inbound)
                .filter(schedules::state.eq(state)),
        )
    };
    found = match show {
        Show::All => found.filter(campaigns::state.ne("archived")),
        Show::Live => {
            found.filter(campaigns::state.eq("active")).filter(with_run("running").or(inbound_with("active")))
        }
        Show::Paused => found.filter(
            campaigns::state.eq("paused").or(campaigns::state
                .eq("active")
                .and(with_run("paused").or(inbound_with("paused").and(diesel::dsl::not(inbound_with("active")))))),
        ),
        // A day has the same date nearly everywhere: the dates around it find the few, the zone decides.
        Show::Today => {
            let (day, one) = (now.date_naive(), chrono::Days::new(1));
            let around = schedule_runs::table
                .filter(schedule_runs::purpose.eq("campaign"))
                .filter(schedule_runs::run_date.between(day - one, day + one))
                .filter(
                    sql::<Nullable<Bool>>("schedule_runs.run_date = (")
                        .bind::<Timestamptz, _>(now)
                        .sql(" AT TIME ZONE campaigns.time_zone)::date"),
                )
                .filter(schedule_runs::campaign_id.eq(campaigns::id));
            let to_come = schedules::table
                .filter(schedules::next_run_at.lt(now + chrono::TimeDelta::days(1)))
                .filter(
                    sql::<Nullable<Bool>>("(schedules.next_run_at AT TIME ZONE campaigns.time_zone)::date = (")
                        .bind::<Timestamptz, _>(now)
                        .sql(" AT TIME ZONE campaigns.time_zone)::date"),
                )
                .filter(schedules::campaign_id.eq(campaigns::id));
            found.filter(campaigns::state.ne("archived")).filter(exists(around).or(exists(to_come)))
        }
        Show::Inbound => found.filter(campaigns::direction.eq("inbound")).filter(campaigns::state.ne("archived")),
        Show::Finished => found.filter(campaigns::state.eq_any(["finished", "stopped"])),
        Show::Archived => found.filter(campaigns::state.eq("archived")),
    };
    found.load(conn)?.into_iter().map(Campaign::try_from).collect()
}

/// Those of these campaigns that exist, newest first.
pub fn some(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<Vec<Campaign>> {
    let rows: Vec<Row> = campaigns::table
        .filter(campaigns::id.eq_any(ids))
        .select(Row::as_select())
        .order(campaigns::id.desc())
        .load(conn)?;
    rows.into_iter().map(Campaign::try_from).collect()
}

pub fn any(conn: &mut PgConnection) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(campaigns::table.select(campaigns::id))).get_result(conn)
}

/// A pattern for `ILIKE` that finds `text` anywhere, whatever signs it is made of.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for sign in text.chars() {
        if matches!(sign, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern.push('%');
    pattern
}

/// What the screen shows of these campaigns: three questions however many they are, and
/// one more each where files are waited for, where bots talk, and where contacts write first.
pub fn sheets(conn: &mut PgConnection, found: Vec<Campaign>) -> QueryResult<Vec<Sheet>> {
    use crate::runs::{Run, RunState};
    use crate::schedules::When;
    use crate::schedules::store::Shown;
    use crate::{deliveries, drops, schedules, senders};

    let ids: Vec<i64> = found.iter().map(|campaign| campaign.id.0).collect();
    let shown = schedules::store::shown(conn, &ids)?;
    let run_ids: Vec<_> = shown.iter().filter_map(|it| it.run.as_ref().map(|run| run.id)).collect();
    let counts = deliveries::store::counts(conn, &run_ids)?;
    let (house, blackouts) = settings::store::house_and_blackouts(conn)?;

    // Those of which the first were sent and the others wait.
    let waits = |run: &&Run| run.state == RunState::Running && run.canary_left() == Some(0);
    let waiting: Vec<_> = shown.iter().filter_map(|it| it.run.as_ref()).filter(waits).map(|run| run.id).collect();
    let last_claimed = match waiting.is_empty() {
        true => Default::default(),
        false => deliveries::store::last_claimed(conn, &waiting)?,
    };

    let daily: Vec<i64> =
        found.iter().filter(|it| it.kind == CampaignKind::Daily).map(|campaign| campaign.id.0).collect();
    let missed = match daily.is_empty() {
        true => Default::default(),
        false => drops::store::last_missed(conn, &daily)?,
    };
    let mut with_bots: Vec<i64> =
        shown.iter().filter(|it| it.bot.is_some()).map(|it| it.schedule.campaign_id.0).collect();
    with_bots.dedup();
    let talks = match with_bots.is_empty() {
        true => Default::default(),
        false => self::talks(conn, &with_bots)?,
    };
    let met_by = match shown.iter().any(|it| it.schedule.plan.when == When::Inbound) {
        true => senders::store::met_by(conn)?,
        false => Default::default(),
    };
    let launching = match found.iter().any(|campaign| campaign.state == CampaignState::Draft) {
        true => launching(conn, &ids)?,
        false => Vec::new(),
    };
    let sheet = |campaign: Campaign| {
        let missed = missed.get(&campaign.id).copied();
        let talks = talks.get(&campaign.id).copied().unwrap_or_default();
        let launches = launching.contains(&campaign.id.0);
        Sheet { campaign, lines: Vec::new(), talks, launches, missed }
    };
    let mut sheets: Vec<Sheet> = found.into_iter().map(sheet).collect();
    let at: std::collections::HashMap<_, _> =
        sheets.iter().enumerate().map(|(n, sheet)| (sheet.campaign.id, n)).collect();
    for Shown { schedule, run, channel, kind, bot } in shown {
        let Some(n) = at.get(&schedule.campaign_id) else { continue };
        let Sheet { campaign, lines, .. } = &mut sheets[*n];
        let counts = run.as_ref().and_then(|run| counts.get(&run.id)).copied().unwrap_or_default();
        let holds = run.as_ref().filter(|run| !run.state.has_ended()).map_or(Holds::none(), |run| {
            let calendar = settings::effective(&house, &blackouts, &campaign.quiet, campaign.zone);
            calendar.closed(run.id.0, run.window.starts, run.window.ends)
        });
        let waits_until = run.as_ref().and_then(|run| {
            let canary = run.rules.canary?;
            Some(canary.waits_until(*last_claimed.get(&run.id)?))
        });
        let met_by = match schedule.plan.when {
            When::Inbound => met_by.get(&schedule.plan.channel_id).cloned(),
            When::Once { .. } | When::Daily | When::Recurring(_) => None,
        };
        lines.push(Line { schedule, run, holds, counts, channel, kind, bot, met_by, waits_until });
    }
    Ok(sheets)
}

/// Conversations are counted no further on the screen.
pub const COUNTED: i64 = 1000;

/// The open conversations of these campaigns.
fn talks(conn: &mut PgConnection, campaigns: &[i64]) -> QueryResult<HashMap<CampaignId, Talks>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Int8)]
        id: i64,
        #[diesel(sql_type = Int8)]
        open: i64,
        #[diesel(sql_type = Int8)]
        waiting: i64,
        #[diesel(sql_type = Bool)]
        with_bot: bool,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT c.id,
                (SELECT count(*) FROM (SELECT FROM conversations v
                  WHERE v.campaign_id = c.id AND v.closed_at IS NULL LIMIT $2) l) AS open,
                (SELECT count(*) FROM (SELECT FROM conversations v
                  WHERE v.campaign_id = c.id AND v.unanswered_since IS NOT NULL LIMIT $2) l) AS waiting,
                EXISTS (SELECT FROM conversations v
                  WHERE v.campaign_id = c.id AND v.handler = 'bot' AND v.closed_at IS NULL) AS with_bot
         FROM unnest($1::bigint[]) AS c (id)",
    )
    .bind::<Array<Int8>, _>(campaigns)
    .bind::<Int8, _>(COUNTED)
    .load(conn)?;
    let talks = |it: Row| (CampaignId(it.id), Talks { open: it.open, waiting: it.waiting, with_bot: it.with_bot });
    Ok(rows.into_iter().map(talks).collect())
}

/// Whether a bot of this campaign talks with somebody.
pub fn talks_with_somebody(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    let open = conversations::table
        .filter(conversations::campaign_id.eq(id.0))
        .filter(conversations::handler.eq("bot"))
        .filter(conversations::closed_at.is_null());
    diesel::select(diesel::dsl::exists(open)).get_result(conn)
}

/// How many open conversations bots have.
pub fn n_with_bot(conn: &mut PgConnection, of: Scope) -> QueryResult<i64> {
    let open = conversations::table
        .filter(conversations::handler.eq("bot"))
        .filter(conversations::closed_at.is_null())
        .count()
        .into_boxed();
    match of {
        Scope::Schedule(id) => {
            let campaign: i64 = schedules::table.find(id).select(schedules::campaign_id).first(conn)?;
            let of_schedule = conversations::schedule_id.eq(id);
            open.filter(conversations::campaign_id.eq(campaign)).filter(of_schedule).get_result(conn)
        }
        Scope::Campaign(id) => open.filter(conversations::campaign_id.eq(id)).get_result(conn),
        Scope::Everything => open.get_result(conn),
    }
}

/// Whether a bot of this campaign is going to speak up by itself.
pub fn will_speak_up(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    let to_wake = conversations::table
        .filter(
            conversations::schedule_id.eq_any(
                schedules::table
                    .filter(schedules::campaign_id.eq(id.0))
                    .filter(schedules::state.ne("stopped"))
                    .select(schedules::id.nullable()),
            ),
        )
        .filter(conversations::wake_at.is_not_null());
    // One that has just begun is written down within moments.
    let opening = openings::table
        .inner_join(schedule_runs::table.on(schedule_runs::id.eq(openings::run_id)))
        .filter(schedule_runs::campaign_id.eq(id.0));
    diesel::select(diesel::dsl::exists(to_wake).or(diesel::dsl::exists(opening))).get_result(conn)
}

/// One campaign as the screen shows it.
pub fn sheet(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Sheet> {
    let campaign = find(conn, id)?;
    sheets(conn, vec![campaign])?.pop().ok_or(diesel::result::Error::NotFound)
}

/// The sheet of the campaign that a schedule belongs to.
pub fn sheet_of_schedule(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Sheet> {
    let campaign: i64 = schedules::table.find(id.0).select(schedules::campaign_id).first(conn)?;
    sheet(conn, CampaignId(campaign))
}

/// All that an open row shows beside its sheet.
pub struct Inside {
    /// Name, and how many contacts it has.
    pub file: Option<(String, i64)>,
    /// Names of the lists that it takes its contacts from, and of those that it leaves out.
    pub lists: Option<(String, String)>,
    pub history: Vec<Happened>,
    /// For each schedule in order: what its run has been through.
    pub pasts: Vec<Option<Past>>,
}

/// What a run has been through, for its picture.
pub struct Past {
    /// What left, minute by minute.
    pub sent: Vec<(DateTime<Utc>, i64)>,
    /// From when to when it stood still; `None` for a pause that goes on.
    pauses: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

impl Past {
    /// The pauses, the one that goes on drawn up to `now`.
    pub fn pauses_until(&self, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        self.pauses.iter().map(|(from, to)| (*from, to.unwrap_or(now))).collect()
    }
}

pub fn past(conn: &mut PgConnection, run: &crate::runs::Run) -> QueryResult<Past> {
    use crate::db::schema::journal;
    let verbs = ["schedule.paused", "schedule.resumed", "schedule.extended", "schedule.stopped"];
    let turns: Vec<(DateTime<Utc>, String)> = journal::table
        .filter(journal::campaign_id.eq(run.campaign_id.0))
        .filter(journal::subject_id.eq(run.schedule_id.0))
        .filter(journal::happened.eq_any(verbs))
        .order(journal::id)
        .select((journal::at, journal::happened))
        .load(conn)?;
    let mut pauses: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = Vec::new();
    for (at, verb) in turns {
        if verb == "schedule.paused" {
            pauses.push((at, None));
        } else if let Some((_, to)) = pauses.last_mut() {
            to.get_or_insert(at);
        }
    }
    Ok(Past { sent: crate::deliveries::store::per_minute(conn, run.id)?, pauses })
}

pub fn inside(conn: &mut PgConnection, sheet: &Sheet, n_history: i64) -> QueryResult<Inside> {
    use crate::db::schema::files;
    let file = match sheet.campaign.file_id {
        Some(file) => files::table.find(file.0).select((files::name, files::rows_good)).first(conn).optional()?,
        None => None,
    };
    let of = lists(conn, sheet.campaign.id)?;
    let lists = match of.include.is_empty() {
        true => None,
        false => Some((names_of(conn, &of.include)?, names_of(conn, &of.exclude)?)),
    };
    let history = history(conn, sheet.campaign.id, n_history)?;
    let mut pasts = Vec::new();
    for line in &sheet.lines {
        pasts.push(line.run.as_ref().map(|run| past(conn, run)).transpose()?);
    }
    Ok(Inside { file, lists, history, pasts })
}

/// The names of these lists, in one line.
fn names_of(conn: &mut PgConnection, ids: &[ListId]) -> QueryResult<String> {
    use crate::db::schema::lists;
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let names: Vec<String> =
        lists::table.filter(lists::id.eq_any(ids)).order(lists::name).select(lists::name).load(conn)?;
    Ok(names.join(", "))
}

/// Of the contacts that these runs have not reached, how many opted out or were blocked.
pub fn barred(conn: &mut PgConnection, runs: &[i64], now: DateTime<Utc>) -> QueryResult<i64> {
    diesel::sql_query(include_str!("barred.sql"))
        .bind::<Array<Int8>, _>(runs)
        .bind::<Timestamptz, _>(now)
        .get_result::<N>(conn)
        .map(|it| it.n)
}

/// A line of a campaign's history.
#[derive(Debug, Queryable)]
pub struct Happened {
    pub at: DateTime<Utc>,
    /// `None`: the clock did it, or somebody at the terminal.
    who: Option<String>,
    pub happened: String,
    pub was: Option<String>,
    pub became: Option<String>,
    pub why: Option<String>,
}

impl Happened {
    pub fn who(&self) -> &str {
        let at_the_terminal = self.why.as_deref().is_some_and(|why| why.ends_with("from the terminal"));
        match &self.who {
            Some(name) => name,
            None if at_the_terminal => "the terminal",
            None => "the clock",
        }
    }
}

/// The last `limit` things that happened to a campaign, newest first.
pub fn history(conn: &mut PgConnection, id: CampaignId, limit: i64) -> QueryResult<Vec<Happened>> {
    use crate::db::schema::{journal, users};
    journal::table
        .left_join(users::table.on(users::id.nullable().eq(journal::user_id)))
        .filter(journal::campaign_id.eq(id.0))
        .order(journal::id.desc())
        .limit(limit)
        .select((journal::at, users::name.nullable(), journal::happened, journal::was, journal::became, journal::why))
        .load(conn)
}

#[cfg(test)]
mod tests {
    use super::containing;

    #[test]
    fn signs_that_mean_something_to_a_pattern_stand_for_themselves() {
        assert_eq!(containing(r"50% off_a\b"), r"%50\% off\_a\\b%");
    }
}
