//! What the screen shows, read from the tables of all rooms above; it writes none.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int8, Nullable, Timestamptz};

use crate::campaigns::store::{Row, find, launching, lists};
use crate::campaigns::{Campaign, CampaignKind, CampaignState};
use crate::channels::store::met_by_campaigns;
use crate::control::{Locked, LockedSchedule};
use crate::daily::store::last_missed;
use crate::db::schema::{
    bots, campaigns, channels, conversations, files, journal, schedule_runs, schedules, settings as settings_table,
    users,
};
use crate::db::{N, containing};
use crate::deliveries::counts::{self, Scope};
use crate::ids::{CampaignId, ListId, RunId, ScheduleId};
use crate::journal::Happened;
use crate::pacing::Holds;
use crate::runs::store::is_real;
use crate::runs::{self, Run, RunState};
use crate::schedules::{Schedule, When};
use crate::screen::domain::{COUNTED, ScheduleLine, Sheet, Talks};
use crate::settings::{self, House};

/// Which campaigns a page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShowCampaigns {
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
    show: ShowCampaigns,
    after: Option<CampaignId>,
    limit: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Campaign>> {
    let mut found = campaigns::table.select(Row::as_select()).order(campaigns::id.desc()).limit(limit).into_boxed();
    if !q.is_empty() {
        found = found.filter(campaigns::search.ilike(containing(q)));
    }
    if let Some(after) = after {
        found = found.filter(campaigns::id.lt(after));
    }
    let with_run = |state: &'static str| {
        exists(
            schedule_runs::table
                .filter(is_real())
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
        ShowCampaigns::All => found.filter(campaigns::state.ne("archived")),
        ShowCampaigns::Live => {
            found.filter(campaigns::state.eq("active")).filter(with_run("running").or(inbound_with("active")))
        }
        ShowCampaigns::Paused => found.filter(
            campaigns::state.eq("paused").or(campaigns::state
                .eq("active")
                .and(with_run("paused").or(inbound_with("paused").and(diesel::dsl::not(inbound_with("active")))))),
        ),
        // A day has the same date nearly everywhere: the dates around it find the few, the zone decides.
        ShowCampaigns::Today => {
            let (day, one) = (now.date_naive(), chrono::Days::new(1));
            let around = schedule_runs::table
                .filter(is_real())
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
        ShowCampaigns::Inbound => {
            found.filter(campaigns::direction.eq("inbound")).filter(campaigns::state.ne("archived"))
        }
        ShowCampaigns::Finished => found.filter(campaigns::state.eq_any(["finished", "stopped"])),
        ShowCampaigns::Archived => found.filter(campaigns::state.eq("archived")),
    };
    found.load(conn)?.into_iter().map(Campaign::try_from).collect()
}

/// Those of these campaigns that exist, newest first.
pub fn some(conn: &mut PgConnection, ids: &[CampaignId]) -> QueryResult<Vec<Campaign>> {
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

/// What the screen shows of these campaigns: three questions however many they are, and
/// one more each where files are waited for, where bots talk, and where contacts write first.
pub fn sheets(conn: &mut PgConnection, found: Vec<Campaign>) -> QueryResult<Vec<Sheet>> {
    let ids: Vec<CampaignId> = found.iter().map(|campaign| campaign.id).collect();
    let shown = shown(conn, &ids)?;
    let house = settings::store::house_and_blackouts(conn)?;
    filled(conn, found, shown, &house)
}

/// What the screen shows of a campaign and those of its schedules that were just changed.
pub fn sheet_of_locked(conn: &mut PgConnection, locked: Locked) -> QueryResult<Sheet> {
    let ids: Vec<i64> = locked.schedules.iter().map(|it| it.schedule.id.0).collect();
    let (mut names, house) = names_and_house(conn, &ids)?;
    let shown = |it: LockedSchedule| {
        let (channel, kind, bot) = names.remove(&it.schedule.id).unwrap_or_default();
        Shown { run: it.runs.into_iter().next(), schedule: it.schedule, channel, kind, bot }
    };
    let shown = locked.schedules.into_iter().map(shown).collect();
    filled(conn, vec![locked.campaign], shown, &house)?.pop().ok_or(diesel::result::Error::NotFound)
}

/// Schedules with the names of their channels and bots, and what belongs to each of them.
fn filled(
    conn: &mut PgConnection,
    found: Vec<Campaign>,
    shown: Vec<Shown>,
    (house, blackouts): &AllHouse,
) -> QueryResult<Vec<Sheet>> {
    let ids: Vec<CampaignId> = found.iter().map(|campaign| campaign.id).collect();
    let run_ids: Vec<_> = shown.iter().filter_map(|it| it.run.as_ref().map(|run| run.id)).collect();
    let counted = counts::counts(conn, &run_ids)?;

    // Those of which the first were sent and the others wait.
    let waits = |run: &&Run| run.state == RunState::Running && run.canary_left() == Some(0);
    let waiting: Vec<_> = shown.iter().filter_map(|it| it.run.as_ref()).filter(waits).map(|run| run.id).collect();
    let last_claimed = match waiting.is_empty() {
        true => Default::default(),
        false => counts::last_claimed(conn, &waiting)?,
    };

    let daily: Vec<CampaignId> =
        found.iter().filter(|it| it.kind == CampaignKind::Daily).map(|campaign| campaign.id).collect();
    let missed = match daily.is_empty() {
        true => Default::default(),
        false => last_missed(conn, &daily)?,
    };
    let mut with_bots: Vec<CampaignId> =
        shown.iter().filter(|it| it.bot.is_some()).map(|it| it.schedule.campaign_id).collect();
    with_bots.dedup();
    let talks = match with_bots.is_empty() {
        true => Default::default(),
        false => self::talks(conn, &with_bots)?,
    };
    let met_by = match shown.iter().any(|it| it.schedule.plan.when == When::Inbound) {
        true => met_by_campaigns(conn)?,
        false => Default::default(),
    };
    let launching = match found.iter().any(|campaign| campaign.state == CampaignState::Draft) {
        true => launching(conn, &ids)?,
        false => Vec::new(),
    };
    let sheet = |campaign: Campaign| {
        let missed = missed.get(&campaign.id).copied();
        let talks = talks.get(&campaign.id).copied().unwrap_or_default();
        let launches = launching.contains(&campaign.id);
        Sheet { campaign, lines: Vec::new(), talks, launches, missed }
    };
    let mut sheets: Vec<Sheet> = found.into_iter().map(sheet).collect();
    let at: std::collections::HashMap<_, _> =
        sheets.iter().enumerate().map(|(n, sheet)| (sheet.campaign.id, n)).collect();
    for Shown { schedule, run, channel, kind, bot } in shown {
        let Some(n) = at.get(&schedule.campaign_id) else { continue };
        let Sheet { campaign, lines, .. } = &mut sheets[*n];
        let counts = run.as_ref().and_then(|run| counted.get(&run.id)).copied().unwrap_or_default();
        let holds = run.as_ref().filter(|run| !run.state.has_ended()).map_or(Holds::none(), |run| {
            run.holds(&settings::effective(house, blackouts, &campaign.quiet, campaign.zone))
        });
        let waits_until = run.as_ref().and_then(|run| {
            let canary = run.rules.canary?;
            Some(canary.waits_until(*last_claimed.get(&run.id)?))
        });
        let met_by = match schedule.plan.when {
            When::Inbound => met_by.get(&schedule.plan.channel_id).cloned(),
            When::Once { .. } | When::Undecided | When::Daily | When::Recurring(_) => None,
        };
        lines.push(ScheduleLine { schedule, run, holds, counts, channel, kind, bot, met_by, waits_until });
    }
    Ok(sheets)
}

/// The open conversations of these campaigns.
fn talks(conn: &mut PgConnection, campaigns: &[CampaignId]) -> QueryResult<HashMap<CampaignId, Talks>> {
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

/// One campaign as the screen shows it.
pub fn sheet(conn: &mut PgConnection, id: CampaignId) -> QueryResult<Sheet> {
    let campaign = find(conn, id)?;
    sheets(conn, vec![campaign])?.pop().ok_or(diesel::result::Error::NotFound)
}

/// The sheet of the campaign that a schedule belongs to.
pub fn sheet_of_schedule(conn: &mut PgConnection, id: ScheduleId) -> QueryResult<Sheet> {
    let campaign: CampaignId = schedules::table.find(id).select(schedules::campaign_id).first(conn)?;
    sheet(conn, campaign)
}

/// All that an open row shows beside its sheet.
pub struct Inside {
    /// Name, and how many contacts it has.
    pub file: Option<(String, i64)>,
    /// Names of the lists that it takes its contacts from, and of those that it leaves out.
    pub lists: Option<(String, String)>,
    pub history: Vec<HistoryLine>,
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

/// What left a minute, and the pauses.
pub fn past(conn: &mut PgConnection, run: &Run) -> QueryResult<Past> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        at: DateTime<Utc>,
        /// `None` for a pause.
        #[diesel(sql_type = Nullable<Int8>)]
        sent: Option<i64>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        until: Option<DateTime<Utc>>,
    }
    let rows: Vec<Row> = diesel::sql_query(include_str!("past.sql")).bind::<Int8, _>(run.id).load(conn)?;
    let (mut sent, mut pauses) = (Vec::new(), Vec::new());
    for row in rows {
        match row.sent {
            Some(n) => sent.push((row.at, n)),
            None => pauses.push((row.at, row.until)),
        }
    }
    Ok(Past { sent, pauses })
}

pub fn inside(conn: &mut PgConnection, sheet: &Sheet, n_history: i64) -> QueryResult<Inside> {
    let file = match sheet.campaign.file_id {
        Some(file) => files::table.find(file).select((files::name, files::rows_good)).first(conn).optional()?,
        None => None,
    };
    let of = lists(conn, sheet.campaign.id)?;
    let lists = match of.include.is_empty() {
        true => None,
        false => {
            let mut names = |ids: &[ListId]| crate::lists::store::names_of(conn, ids);
            Some((names(&of.include)?, names(&of.exclude)?))
        }
    };
    let history = history(conn, sheet.campaign.id, n_history)?;
    let mut pasts = Vec::new();
    for line in &sheet.lines {
        pasts.push(line.run.as_ref().map(|run| past(conn, run)).transpose()?);
    }
    Ok(Inside { file, lists, history, pasts })
}

/// Of the contacts that these runs have not reached, how many opted out or were blocked.
pub fn barred(conn: &mut PgConnection, runs: &[RunId], now: DateTime<Utc>) -> QueryResult<i64> {
    diesel::sql_query(include_str!("barred.sql"))
        .bind::<Array<Int8>, _>(runs)
        .bind::<Timestamptz, _>(now)
        .get_result::<N>(conn)
        .map(|it| it.n)
}

/// A line of a campaign's history.
#[derive(Debug, Queryable)]
pub struct HistoryLine {
    pub at: DateTime<Utc>,
    /// `None`: the clock did it, or somebody at the terminal.
    who: Option<String>,
    nobody: Option<String>,
    pub happened: String,
    pub was: Option<String>,
    pub became: Option<String>,
    pub why: Option<String>,
}

impl HistoryLine {
    pub fn who(&self) -> &str {
        match &self.who {
            Some(name) => name,
            None if self.nobody.is_some() => "the terminal",
            None => "the clock",
        }
    }
}

/// The last `limit` things that happened to a campaign, newest first; without those of runs
/// that only followed their schedule.
pub fn history(conn: &mut PgConnection, id: CampaignId, limit: i64) -> QueryResult<Vec<HistoryLine>> {
    // The clock stops a run alone, and says why.
    let followed_nobody = journal::user_id.is_null().and(journal::nobody.is_null());
    journal::table
        .left_join(users::table.on(users::id.nullable().eq(journal::user_id)))
        .filter(journal::campaign_id.eq(id))
        .filter(journal::happened.ne_all([Happened::RunPaused, Happened::RunResumed]))
        .filter(journal::happened.ne(Happened::RunStopped).or(followed_nobody))
        .order(journal::id.desc())
        .limit(limit)
        .select((
            journal::at,
            users::name.nullable(),
            journal::nobody,
            journal::happened,
            journal::was,
            journal::became,
            journal::why,
        ))
        .load(conn)
}

/// A schedule, its newest run, its channel and that one's kind, its bot.
type ShownRow = (crate::schedules::store::Row, Option<runs::store::Row>, String, String, Option<String>);

/// A schedule as the screen shows it.
struct Shown {
    schedule: Schedule,
    /// Its newest run.
    run: Option<Run>,
    /// What its channel is called.
    channel: String,
    /// Of which kind that is, as stored.
    kind: String,
    /// What its bot is called.
    bot: Option<String>,
}

/// What the house says of all campaigns, and its blackout dates.
type AllHouse = (House, BTreeSet<NaiveDate>);

/// What a schedule's channel is called, of which kind it is, and what its bot is called.
type Names = (String, String, Option<String>);

/// The names beside these schedules, and what the house says of all: one question, since
/// whoever pressed a button waits for the answer.
fn names_and_house(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<(HashMap<ScheduleId, Names>, AllHouse)> {
    let rows: Vec<(ScheduleId, Names, settings::store::HouseRow)> = schedules::table
        .inner_join(channels::table.on(channels::id.eq(schedules::channel_id)))
        .left_join(bots::table.on(bots::id.nullable().eq(schedules::bot_id)))
        .inner_join(settings_table::table.on(settings_table::only))
        .filter(schedules::id.eq_any(ids))
        .select((schedules::id, (channels::name, channels::kind, bots::name.nullable()), settings::store::house_row()))
        .load(conn)?;
    let (mut names, mut house) = (HashMap::new(), None);
    for (id, its, row) in rows {
        names.insert(id, its);
        house = Some(row);
    }
    let house = match house {
        Some(row) => settings::store::read_house(row),
        None => settings::store::house_and_blackouts(conn)?,
    };
    Ok((names, house))
}

/// The schedules of these campaigns as the screen shows them, campaign by campaign in the order in which they were added.
fn shown(conn: &mut PgConnection, ids: &[CampaignId]) -> QueryResult<Vec<Shown>> {
    let newest = sql::<Bool>(
        "schedule_runs.id = (SELECT r.id FROM real_runs r WHERE r.schedule_id = schedules.id
                             ORDER BY r.starts_at DESC LIMIT 1)",
    );
    let rows: Vec<ShownRow> = schedules::table
        .inner_join(channels::table.on(channels::id.eq(schedules::channel_id)))
        .left_join(schedule_runs::table.on(newest))
        .left_join(bots::table.on(bots::id.nullable().eq(schedules::bot_id)))
        .filter(schedules::campaign_id.eq_any(ids))
        .order((schedules::campaign_id, schedules::id))
        .select((
            crate::schedules::store::Row::as_select(),
            Option::<runs::store::Row>::as_select(),
            channels::name,
            channels::kind,
            bots::name.nullable(),
        ))
        .load(conn)?;
    rows.into_iter()
        .map(|(schedule, run, channel, kind, bot)| {
            Ok(Shown { schedule: schedule.try_into()?, run: run.map(Run::try_from).transpose()?, channel, kind, bot })
        })
        .collect()
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
            let campaign: CampaignId = schedules::table.find(id).select(schedules::campaign_id).first(conn)?;
            let of_schedule = conversations::schedule_id.eq(id);
            open.filter(conversations::campaign_id.eq(campaign)).filter(of_schedule).get_result(conn)
        }
        Scope::Campaign(id) => open.filter(conversations::campaign_id.eq(id)).get_result(conn),
        Scope::Everything => open.get_result(conn),
    }
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
