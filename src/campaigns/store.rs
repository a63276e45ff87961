//! Campaigns in Postgres.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Int8, Nullable, Text, Timestamptz};

use crate::campaigns::{Campaign, CampaignKind, CampaignState, Freeze, Refused, inbound};
use crate::db::locks::{self, Lock};
use crate::db::schema::{campaign_lists, campaigns, files, launches_to_come};
use crate::db::{Error, Zone, beginning, unless_taken};
use crate::ids::{CampaignId, FileId, ListId, UserId};
use crate::settings;

pub fn find(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Campaign> {
    campaigns::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Campaign> {
    locks::take(Lock::Campaign);
    campaigns::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
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
            campaigns::created_by.eq(by),
            campaigns::created_at.eq(now),
        ))
        .returning(campaigns::id)
        .get_result(conn)
        .map(CampaignId)
}

pub fn set_basics(conn: &mut PgConnection, id: CampaignId, name: &str, zone: Tz) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id))
        .set((campaigns::name.eq(name), campaigns::time_zone.eq(zone.name())))
        .execute(conn)
        .map(drop)
}

pub fn set_file(conn: &mut PgConnection, id: CampaignId, file: Option<FileId>) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id)).set(campaigns::file_id.eq(file)).execute(conn).map(drop)
}

pub fn set_kind(conn: &mut PgConnection, id: CampaignId, kind: CampaignKind) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id)).set(kind_columns(kind)?).execute(conn).map(drop)
}

/// A kind with what it must have: in an inbound campaign the contact writes first, at any time until somebody says otherwise.
#[allow(clippy::type_complexity, reason = "three assignments")]
fn kind_columns(
    kind: CampaignKind,
) -> QueryResult<(
    diesel::dsl::Eq<campaigns::kind, CampaignKind>,
    diesel::dsl::Eq<campaigns::direction, &'static str>,
    diesel::dsl::Eq<campaigns::inbound, Option<serde_json::Value>>,
)> {
    let is_inbound = kind == CampaignKind::Inbound;
    let plan = is_inbound.then(|| json(&inbound::InboundPlan::default())).transpose()?;
    Ok((
        campaigns::kind.eq(kind),
        campaigns::direction.eq(if is_inbound { "inbound" } else { "outbound" }),
        campaigns::inbound.eq(plan),
    ))
}

fn json(value: &impl serde::Serialize) -> QueryResult<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

/// Hours and texts of an inbound campaign.
pub fn set_inbound(conn: &mut PgConnection, id: CampaignId, plan: &inbound::InboundPlan) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id)).set(campaigns::inbound.eq(json(plan)?)).execute(conn).map(drop)
}

/// How long conversations of this campaign can be continued; holds for open ones at once.
pub fn set_validity(conn: &mut PgConnection, id: CampaignId, validity: inbound::Validity) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id))
        .set(campaigns::validity_minutes.eq(validity.minutes()))
        .execute(conn)
        .map(drop)
}

/// `field`: whose value says which schedule serves a row.
pub fn set_group_by(conn: &mut PgConnection, id: CampaignId, field: Option<&str>) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id)).set(campaigns::group_by.eq(field)).execute(conn).map(drop)
}

pub fn set_freeze(conn: &mut PgConnection, id: CampaignId, freeze: Freeze) -> QueryResult<()> {
    diesel::update(campaigns::table.find(id)).set(campaigns::freeze.eq(freeze)).execute(conn).map(drop)
}

pub fn set_quiet(conn: &mut PgConnection, id: CampaignId, own: &settings::Override) -> QueryResult<()> {
    let times = own.quiet.own();
    diesel::update(campaigns::table.find(id))
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
        .filter(campaign_lists::campaign_id.eq(id))
        .order(campaign_lists::list_id)
        .select((campaign_lists::list_id, campaign_lists::role))
        .load(conn)?;
    let with = |role: &str| rows.iter().filter(|(_, it)| it == role).map(|(id, _)| ListId(*id)).collect();
    Ok(Lists { include: with("include"), exclude: with("exclude") })
}

pub fn set_lists(conn: &mut PgConnection, id: CampaignId, lists: &Lists) -> QueryResult<()> {
    diesel::delete(campaign_lists::table.filter(campaign_lists::campaign_id.eq(id))).execute(conn)?;
    let row = |role: &'static str| {
        move |list: &ListId| {
            (campaign_lists::campaign_id.eq(id), campaign_lists::list_id.eq(*list), campaign_lists::role.eq(role))
        }
    };
    let rows: Vec<_> =
        lists.include.iter().map(row("include")).chain(lists.exclude.iter().map(row("exclude"))).collect();
    diesel::insert_into(campaign_lists::table).values(rows).on_conflict_do_nothing().execute(conn).map(drop)
}

/// Whether it is this connection's turn to deal with what was sent off under a key. It
/// stays so until the connection ends, also when its process does.
pub fn try_turn(conn: &mut PgConnection, key: &str) -> QueryResult<bool> {
    diesel::select(
        diesel::dsl::sql::<diesel::sql_types::Bool>("pg_try_advisory_lock(hashtextextended(")
            .bind::<Text, _>(key)
            .sql(&format!(", {}))", locks::number::SENT_OFF)),
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
    diesel::update(campaigns::table.find(id)).set(campaigns::start_key.eq(key)).execute(conn).map(drop)
}

/// Whether a file is on its way.
pub fn is_importing(conn: &mut PgConnection, file: FileId) -> QueryResult<bool> {
    files::table.find(file).select(files::state.eq("importing")).first(conn)
}

/// Has a draft launched as soon as its file is imported.
pub fn launch_later(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(launches_to_come::table)
        .values((launches_to_come::campaign_id.eq(id), launches_to_come::by.eq(by), launches_to_come::at.eq(now)))
        .on_conflict_do_nothing()
        .execute(conn)
        .map(drop)
}

/// Whether it is launched by itself when its file is through.
pub fn will_launch(conn: &mut PgConnection, id: CampaignId) -> QueryResult<bool> {
    launches_to_come::table
        .find(id)
        .select(launches_to_come::campaign_id)
        .first::<i64>(conn)
        .optional()
        .map(|found| found.is_some())
}

/// Those of these campaigns that are launched by themselves when their file is through.
pub fn launching(conn: &mut PgConnection, ids: &[CampaignId]) -> QueryResult<Vec<CampaignId>> {
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
}

/// Strikes a launch to come off. Returns who had ordered it; `None` when somebody was quicker.
pub fn take_launch(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Option<UserId>> {
    diesel::delete(launches_to_come::table.find(id))
        .returning(launches_to_come::by)
        .get_result(conn)
        .optional()
        .map(|by| by.map(UserId))
}

/// Strikes all of them off: nothing starts by itself after everything was paused or stopped.
/// Returns whose they were.
pub fn take_launches(conn: &mut PgConnection) -> QueryResult<Vec<CampaignId>> {
    diesel::delete(launches_to_come::table).returning(launches_to_come::campaign_id).get_results(conn)
}

/// Writes the state and the instant that belongs to it.
pub fn save_state(
    conn: &mut PgConnection,
    id: CampaignId,
    state: CampaignState,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let it = campaigns::table.find(id);
    // Whatever paused it, from here on that is another pause, or none.
    let written = (campaigns::state.eq(state), campaigns::paused_with_all.eq(None::<i64>));
    match state {
        CampaignState::Active => diesel::update(it)
            .set((
                written,
                campaigns::launched_at.eq(diesel::dsl::sql::<Nullable<Timestamptz>>("coalesce(launched_at, ")
                    .bind::<Timestamptz, _>(now)
                    .sql(")")),
                campaigns::ended_at.eq(None::<DateTime<Utc>>),
            ))
            .execute(conn),
        CampaignState::Stopped | CampaignState::Finished => {
            diesel::update(it).set((written, campaigns::ended_at.eq(now))).execute(conn)
        }
        CampaignState::Draft | CampaignState::Paused | CampaignState::Archived => {
            diesel::update(it).set(written).execute(conn)
        }
    }
    .map(drop)
}

/// The longest name of a campaign, in characters.
pub const LONGEST_NAME: usize = 100;

/// “name copy”, or the first of “name copy 2”, “name copy 3” … that nobody uses; another word than “copy” as well.
pub fn free_name(conn: &mut PgConnection, name: &str, what: &str) -> QueryResult<String> {
    // With room for a number, and the whole no longer than a name may be.
    let name: String = name.chars().take(LONGEST_NAME - what.len() - 6).collect();
    let name = name.trim_end();
    let taken: Vec<String> = campaigns::table
        .filter(campaigns::name.ilike(beginning(&format!("{name} {what}"))))
        .select(campaigns::name)
        .load(conn)?;
    let taken: std::collections::HashSet<String> = taken.into_iter().map(|name| name.to_lowercase()).collect();
    let numbered = (2..).map(|n| format!("{name} {what} {n}"));
    let mut names = std::iter::once(format!("{name} {what}")).chain(numbered);
    Ok(names.find(|name| !taken.contains(&name.to_lowercase())).unwrap_or_default())
}

/// Gives the new draft `copy` what a campaign has beside its schedules: file, lists, groups and quiet hours. It
/// remembers which one that was.
pub fn copy_plan(conn: &mut PgConnection, id: CampaignId, copy: CampaignId) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE campaigns c
         SET file_id = o.file_id, group_by = o.group_by, \"freeze\" = o.\"freeze\", quiet = o.quiet, quiet_from = o.quiet_from,
             quiet_to = o.quiet_to, blackouts_apply = o.blackouts_apply, validity_minutes = o.validity_minutes, inbound = o.inbound,
             copied_from = o.id
         FROM campaigns o WHERE c.id = $1 AND o.id = $2",
    )
    .bind::<Int8, _>(copy)
    .bind::<Int8, _>(id)
    .execute(conn)?;
    diesel::sql_query(
        "INSERT INTO campaign_lists (campaign_id, list_id, role)
         SELECT $1, list_id, role FROM campaign_lists WHERE campaign_id = $2",
    )
    .bind::<Int8, _>(copy)
    .bind::<Int8, _>(id)
    .execute(conn)
    .map(drop)
}

/// Removes a draft with its schedules. A launched campaign is never removed.
pub fn delete(conn: &mut PgConnection, id: CampaignId) -> QueryResult<()> {
    diesel::delete(campaigns::table.find(id)).execute(conn).map(drop)
}

/// Whether there is no campaign at all.
pub fn is_empty(conn: &mut PgConnection) -> QueryResult<bool> {
    campaigns::table.select(campaigns::id).first::<i64>(conn).optional().map(|first| first.is_none())
}

/// A row as stored; turning it into a [`Campaign`] is where nonsense is caught.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(Pg))]
pub struct Row {
    id: CampaignId,
    name: String,
    kind: CampaignKind,
    time_zone: Zone,
    state: CampaignState,
    file_id: Option<FileId>,
    group_by: Option<String>,
    freeze: Freeze,
    #[diesel(embed)]
    quiet: settings::calendars::OwnColumns,
    validity_minutes: i32,
    inbound: Option<serde_json::Value>,
}

impl TryFrom<Row> for Campaign {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        Ok(Campaign {
            id: row.id,
            name: row.name,
            kind: row.kind,
            zone: row.time_zone.0,
            state: row.state,
            file_id: row.file_id,
            group_by: row.group_by,
            freeze: row.freeze,
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

/// A name somebody else's campaign has becomes a sentence.
pub fn named<T, R: From<Refused>>(result: QueryResult<T>, name: &str) -> Result<T, Error<R>> {
    unless_taken(result, "one_campaign_per_name", || Refused::NameTaken(name.to_owned()).into())
}
