//! Plans, dropped files and missed days in Postgres.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{Array, Date, Int8, Nullable, Text};

use super::domain::{Allowed, DailyFile, DailyPlan, DropCheck, DropState, DropTemplate, Earlier, Mode};
use crate::db::locks::{self, Lock};
use crate::db::schema::{campaigns, daily_plans, drops, files, missed_days, schedule_runs, users};
use crate::files::domain::File;
use crate::ids::{CampaignId, DropId, FileId, RunId, UserId};
use crate::runs::store::is_real;

// ---- the plan of a campaign ---------------------------------------------------

pub fn plan(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Option<DailyPlan>> {
    let found: Option<(NaiveTime, NaiveTime, i16, String)> = daily_plans::table
        .find(id)
        .select((daily_plans::opens, daily_plans::closes, daily_plans::days, daily_plans::expected_name))
        .first(conn)
        .optional()?;
    let Some((opens, closes, days, expected_name)) = found else { return Ok(None) };
    let days = days.try_into().map_err(|error| DeserializationError(Box::new(error)))?;
    Ok(Some(DailyPlan { opens, closes, days, expected_name }))
}

pub fn save_plan(conn: &mut PgConnection, id: CampaignId, plan: &DailyPlan) -> QueryResult<()> {
    let values = (
        daily_plans::opens.eq(plan.opens),
        daily_plans::closes.eq(plan.closes),
        daily_plans::days.eq(i16::from(plan.days)),
        daily_plans::expected_name.eq(&plan.expected_name),
    );
    diesel::insert_into(daily_plans::table)
        .values((daily_plans::campaign_id.eq(id), values))
        .on_conflict(daily_plans::campaign_id)
        .do_update()
        .set(values)
        .execute(conn)
        .map(drop)
}

/// Gives the draft `copy` the plan of a campaign, if that has one. Its template is its own.
pub fn copy_plan(conn: &mut PgConnection, id: CampaignId, copy: CampaignId) -> QueryResult<()> {
    match plan(conn, id)? {
        Some(plan) => save_plan(conn, copy, &plan),
        None => Ok(()),
    }
}

/// The columns of the daily files: as kept since the launch, or those of the sample file.
pub fn template(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Option<DropTemplate>> {
    let kept: Option<Option<serde_json::Value>> =
        daily_plans::table.find(id).select(daily_plans::template).first(conn).optional()?;
    if let Some(kept) = kept.flatten() {
        return serde_json::from_value(kept).map(Some).map_err(|error| DeserializationError(error.into()));
    }
    let sample: Option<i64> = campaigns::table.find(id).select(campaigns::file_id).first(conn)?;
    let Some(sample) = sample else { return Ok(None) };
    let file = crate::files::store::find(conn, FileId(sample))?;
    let region = file.region.as_deref().unwrap_or_default();
    let of = |mapping| {
        let template = DropTemplate::new(file.kind.word(), region, &file.head.headers, mapping);
        DropTemplate { two_ways: file.two_ways, ..template.read_like(&file.head) }
    };
    Ok(file.mapping.as_ref().map(of))
}

pub fn save_template(conn: &mut PgConnection, id: CampaignId, template: &DropTemplate) -> QueryResult<()> {
    let template = serde_json::to_value(template).map_err(|error| SerializationError(error.into()))?;
    diesel::update(daily_plans::table.find(id)).set(daily_plans::template.eq(template)).execute(conn).map(drop)
}

/// When the window is looked at next; `None`: never.
pub fn closes_at(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Option<DateTime<Utc>>> {
    daily_plans::table.find(id).select(daily_plans::closes_at).first(conn).optional().map(Option::flatten)
}

pub fn set_closes_at(conn: &mut PgConnection, id: CampaignId, at: Option<DateTime<Utc>>) -> QueryResult<()> {
    diesel::update(daily_plans::table.find(id)).set(daily_plans::closes_at.eq(at)).execute(conn).map(drop)
}

/// Up to `limit` campaigns whose window has closed and was not looked at since.
pub fn closed(conn: &mut PgConnection, limit: i64, now: DateTime<Utc>) -> QueryResult<Vec<CampaignId>> {
    daily_plans::table
        .filter(daily_plans::closes_at.le(now))
        .order((daily_plans::closes_at, daily_plans::campaign_id))
        .limit(limit)
        .select(daily_plans::campaign_id)
        .load(conn)
}

// ---- dropped files -----------------------------------------------------------------

/// Writes down a file that was dropped, as it was judged. The id of `dropped` is of no meaning.
pub fn insert(conn: &mut PgConnection, dropped: &DailyFile, by: UserId) -> QueryResult<DropId> {
    let sha256: Option<Vec<u8>> = match dropped.file {
        Some(file) => Some(files::table.find(file).select(files::sha256).first(conn)?),
        None => None,
    };
    diesel::insert_into(drops::table)
        .values((
            drops::campaign_id.eq(dropped.campaign),
            drops::day.eq(dropped.day),
            drops::name.eq(&dropped.name),
            drops::sha256.eq(sha256),
            drops::dropped_by.eq(by),
            drops::dropped_at.eq(dropped.dropped_at),
            Judged::of(dropped),
        ))
        .returning(drops::id)
        .get_result(conn)
        .map(DropId)
}

pub fn find(conn: &mut PgConnection, id: DropId) -> QueryResult<DailyFile> {
    drops::table.find(id).select(Row::as_select()).first(conn)?.try_into()
}

/// Like [`find`], but makes everyone else wait until this transaction ends.
pub fn lock(conn: &mut PgConnection, id: DropId) -> QueryResult<DailyFile> {
    locks::take(Lock::DailyFile);
    drops::table.find(id).select(Row::as_select()).for_no_key_update().first(conn)?.try_into()
}

/// Writes where it stands and what was let pass.
pub fn save(conn: &mut PgConnection, dropped: &DailyFile) -> QueryResult<()> {
    diesel::update(drops::table.find(dropped.id)).set(Judged::of(dropped)).execute(conn).map(drop)
}

pub fn set_allowed_by(conn: &mut PgConnection, id: DropId, by: UserId) -> QueryResult<()> {
    diesel::update(drops::table.find(id)).set(drops::allowed_by.eq(by)).execute(conn).map(drop)
}

/// Who answered the question it asked; for one that asked nothing, only when it was through.
pub fn set_decided(conn: &mut PgConnection, id: DropId, by: Option<UserId>, now: DateTime<Utc>) -> QueryResult<()> {
    let it = drops::table.find(id);
    match by {
        Some(by) => diesel::update(it).set((drops::decided_by.eq(by), drops::decided_at.eq(now))).execute(conn),
        None => diesel::update(it).set(drops::decided_at.eq(now)).execute(conn),
    }
    .map(drop)
}

/// Returns whether it was there until now.
pub fn dismiss(conn: &mut PgConnection, id: DropId, now: DateTime<Utc>) -> QueryResult<bool> {
    let there = drops::table.find(id).filter(drops::dismissed_at.is_null());
    diesel::update(there).set(drops::dismissed_at.eq(now)).execute(conn).map(|n| n == 1)
}

pub fn set_new_columns(conn: &mut PgConnection, id: DropId, columns: &[String]) -> QueryResult<()> {
    diesel::update(drops::table.find(id)).set(drops::new_columns.eq(serde_json::json!(columns))).execute(conn).map(drop)
}

/// What came of the contacts of a launched file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub contacts: i64,
    /// Left out because a run of the day has them.
    pub already_there: i64,
    /// No schedule serves them.
    pub no_group: i64,
}

pub fn set_tally(conn: &mut PgConnection, id: DropId, tally: &Tally) -> QueryResult<()> {
    diesel::update(drops::table.find(id))
        .set((
            drops::contacts.eq(tally.contacts),
            drops::already_there.eq(tally.already_there),
            drops::no_group.eq(tally.no_group),
        ))
        .execute(conn)
        .map(drop)
}

/// States in which a file counts as the day's.
const TAKEN: [&str; 2] = ["importing", "launched"];

/// The file with the same content that came first on that day and was not refused.
pub fn same_on(
    conn: &mut PgConnection,
    campaign: CampaignId,
    day: NaiveDate,
    file: FileId,
) -> QueryResult<Option<Earlier>> {
    let sha256: Vec<u8> = files::table.find(file).select(files::sha256).first(conn)?;
    drops::table
        .inner_join(users::table.on(users::id.eq(drops::dropped_by)))
        .filter(drops::campaign_id.eq(campaign))
        .filter(drops::day.eq(day))
        .filter(drops::state.ne("refused"))
        .filter(drops::sha256.eq(sha256))
        .order(drops::id)
        .select((drops::dropped_at, users::name))
        .first(conn)
        .optional()
        .map(|found| found.map(|(at, by): (DateTime<Utc>, String)| Earlier { at, by }))
}

/// Whether a file was taken in on that day.
pub fn has_taken(conn: &mut PgConnection, campaign: CampaignId, day: NaiveDate) -> QueryResult<bool> {
    let taken = drops::table
        .filter(drops::campaign_id.eq(campaign))
        .filter(drops::day.eq(day))
        .filter(drops::state.eq_any(TAKEN));
    diesel::select(diesel::dsl::exists(taken)).get_result(conn)
}

/// Whether a file that came before this one on its day is still on its way.
pub fn is_behind_another(conn: &mut PgConnection, dropped: &DailyFile) -> QueryResult<bool> {
    let before = drops::table
        .filter(drops::campaign_id.eq(dropped.campaign))
        .filter(drops::day.eq(dropped.day))
        .filter(drops::state.eq("importing"))
        .filter(drops::id.lt(dropped.id));
    diesel::select(diesel::dsl::exists(before)).get_result(conn)
}

/// Files that were let in and whose import has ended, oldest first.
pub fn to_launch(conn: &mut PgConnection) -> QueryResult<Vec<DropId>> {
    drops::table
        .inner_join(files::table.on(files::id.nullable().eq(drops::file_id)))
        .filter(drops::state.eq("importing"))
        .filter(files::state.ne("importing"))
        .order(drops::id)
        .select(drops::id)
        .load(conn)
}

/// The runs of a campaign on a day, in the order in which they are locked.
pub fn runs_on(conn: &mut PgConnection, campaign: CampaignId, day: NaiveDate) -> QueryResult<Vec<RunId>> {
    schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaign))
        .filter(is_real())
        .filter(schedule_runs::run_date.eq(day))
        .order(schedule_runs::id)
        .select(schedule_runs::id)
        .load(conn)
}

// ---- missed days -------------------------------------------------------------------

/// Notes a missed day. Returns whether nobody had.
pub fn miss(conn: &mut PgConnection, campaign: CampaignId, day: NaiveDate, now: DateTime<Utc>) -> QueryResult<bool> {
    diesel::insert_into(missed_days::table)
        .values((missed_days::campaign_id.eq(campaign), missed_days::day.eq(day), missed_days::at.eq(now)))
        .on_conflict_do_nothing()
        .execute(conn)
        .map(|n| n == 1)
}

/// Of each of these campaigns the last day that was missed and had no file since.
pub fn last_missed(conn: &mut PgConnection, campaigns: &[CampaignId]) -> QueryResult<HashMap<CampaignId, NaiveDate>> {
    #[derive(QueryableByName)]
    struct Missed {
        #[diesel(sql_type = Int8)]
        campaign_id: CampaignId,
        #[diesel(sql_type = Date)]
        day: NaiveDate,
    }
    let missed: Vec<Missed> = diesel::sql_query(
        "SELECT m.campaign_id, max(m.day) AS day FROM missed_days m
         WHERE m.campaign_id = ANY ($1)
           AND NOT EXISTS (SELECT FROM drops d WHERE d.campaign_id = m.campaign_id AND d.day >= m.day AND d.state = 'launched')
         GROUP BY m.campaign_id",
    )
    .bind::<Array<Int8>, _>(campaigns)
    .load(conn)?;
    Ok(missed.into_iter().map(|it| (it.campaign_id, it.day)).collect())
}

// ---- showing ---------------------------------------------------------------------------

/// A dropped file as a page shows it.
pub struct ShownDrop {
    pub dropped: DailyFile,
    pub by: String,
    pub allowed_by: Option<String>,
    pub decided_by: Option<String>,
    pub tally: Option<Tally>,
    pub new_columns: Vec<String>,
    /// Its file, unless nothing of it was kept.
    pub file: Option<File>,
}

/// The files dropped from the day `since` on, newest first, up to `limit`.
pub fn shown(
    conn: &mut PgConnection,
    campaign: CampaignId,
    since: NaiveDate,
    limit: i64,
) -> QueryResult<Vec<ShownDrop>> {
    let rows: Vec<(Row, Extra)> = drops::table
        .filter(drops::campaign_id.eq(campaign))
        .filter(drops::day.ge(since))
        .filter(drops::dismissed_at.is_null())
        .order(drops::id.desc())
        .limit(limit)
        .select((Row::as_select(), Extra::as_select()))
        .load(conn)?;
    let people: HashMap<i64, String> = {
        let of = |extra: &Extra| [Some(extra.dropped_by), extra.allowed_by, extra.decided_by].into_iter().flatten();
        let ids: Vec<i64> = rows.iter().flat_map(|(_, extra)| of(extra)).collect();
        let named: Vec<(i64, String)> =
            users::table.filter(users::id.eq_any(ids)).select((users::id, users::name)).load(conn)?;
        named.into_iter().collect()
    };
    let mut shown = Vec::new();
    for (row, extra) in rows {
        let dropped = DailyFile::try_from(row)?;
        let file = match dropped.file {
            Some(file) => Some(crate::files::store::find(conn, file)?),
            None => None,
        };
        let named = |id: Option<i64>| id.and_then(|id| people.get(&id).cloned());
        let tally = extra.contacts.map(|contacts| Tally {
            contacts,
            already_there: extra.already_there.unwrap_or_default(),
            no_group: extra.no_group.unwrap_or_default(),
        });
        shown.push(ShownDrop {
            by: named(Some(extra.dropped_by)).unwrap_or_default(),
            allowed_by: named(extra.allowed_by),
            decided_by: named(extra.decided_by),
            tally,
            new_columns: serde_json::from_value(extra.new_columns).unwrap_or_default(),
            dropped,
            file,
        });
    }
    Ok(shown)
}

/// The days from `since` on that were missed, newest first.
pub fn missed_since(conn: &mut PgConnection, campaign: CampaignId, since: NaiveDate) -> QueryResult<Vec<NaiveDate>> {
    missed_days::table
        .filter(missed_days::campaign_id.eq(campaign))
        .filter(missed_days::day.ge(since))
        .order(missed_days::day.desc())
        .select(missed_days::day)
        .load(conn)
}

/// A run as the list of days shows it.
#[derive(Clone, Debug, QueryableByName)]
pub struct DayRun {
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
    #[diesel(sql_type = Int8)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub schedule: String,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub group_value: Option<String>,
}

/// The runs from the day `since` on, newest day first.
pub fn runs_since(conn: &mut PgConnection, campaign: CampaignId, since: NaiveDate) -> QueryResult<Vec<DayRun>> {
    diesel::sql_query(
        "SELECT r.run_date AS day, r.id, s.name AS schedule, r.name, r.state, r.\"group\" ->> 'value' AS group_value
         FROM real_runs r JOIN schedules s ON s.id = r.schedule_id
         WHERE r.campaign_id = $1 AND r.run_date >= $2
         ORDER BY r.run_date DESC, r.id",
    )
    .bind::<Int8, _>(campaign)
    .bind::<Date, _>(since)
    .load(conn)
}

// ---- rows ------------------------------------------------------------------------------

/// A row as stored; turning it into a [`DailyFile`] is where nonsense is caught.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = drops, check_for_backend(Pg))]
struct Row {
    id: i64,
    campaign_id: CampaignId,
    day: NaiveDate,
    name: String,
    #[diesel(embed)]
    judged: Judged,
    dropped_at: DateTime<Utc>,
}

/// What judging and deciding change.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = drops, check_for_backend(Pg), treat_none_as_null = true)]
struct Judged {
    file_id: Option<FileId>,
    mode: Option<String>,
    state: String,
    failed: Option<String>,
    refusal: Option<String>,
    day_allowed: bool,
    window_allowed: bool,
    name_allowed: bool,
    ends_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = drops, check_for_backend(Pg))]
struct Extra {
    dropped_by: i64,
    allowed_by: Option<i64>,
    decided_by: Option<i64>,
    contacts: Option<i64>,
    already_there: Option<i64>,
    no_group: Option<i64>,
    new_columns: serde_json::Value,
}

impl Judged {
    fn of(dropped: &DailyFile) -> Judged {
        let (mode, failed, refusal) = match &dropped.state {
            DropState::Importing(mode) | DropState::Launched(mode) => (Some(mode.word()), None, None),
            DropState::Asked => (None, None, None),
            DropState::Refused { failed, why } => (None, Some(failed.word()), Some(why)),
        };
        Judged {
            file_id: dropped.file,
            mode: mode.map(str::to_owned),
            state: dropped.state.word().to_owned(),
            failed: failed.map(str::to_owned),
            refusal: refusal.cloned(),
            day_allowed: dropped.allowed.day,
            window_allowed: dropped.allowed.window,
            name_allowed: dropped.allowed.name,
            ends_at: dropped.allowed.ends,
        }
    }
}

impl TryFrom<Row> for DailyFile {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<DailyFile> {
        let it = &row.judged;
        let mode = it.mode.as_deref().and_then(Mode::of_word);
        let failed = it.failed.as_deref().and_then(DropCheck::of_word);
        let state = match (it.state.as_str(), mode, failed, it.refusal.clone()) {
            ("importing", Some(mode), None, None) => DropState::Importing(mode),
            ("asked", None, None, None) => DropState::Asked,
            ("launched", Some(mode), None, None) => DropState::Launched(mode),
            ("refused", None, Some(failed), Some(why)) => DropState::Refused { failed, why },
            _ => return Err(DeserializationError(format!("drops: not a dropped file: {row:?}").into())),
        };
        Ok(DailyFile {
            id: DropId(row.id),
            campaign: row.campaign_id,
            day: row.day,
            file: it.file_id,
            allowed: Allowed {
                day: it.day_allowed,
                window: it.window_allowed,
                name: it.name_allowed,
                ends: it.ends_at,
            },
            name: row.name,
            state,
            dropped_at: row.dropped_at,
        })
    }
}
