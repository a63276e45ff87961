//! What the screen shows, read from the tables of all rooms above; it writes none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int2, Int8, Nullable, Text, Timestamptz};

use crate::campaigns::store::{Row, find, launching, lists};
use crate::campaigns::{Campaign, CampaignKind, CampaignState};
use crate::channels::store::met_by_campaigns;
use crate::channels::{incidents, templates};
use crate::control::{Locked, LockedSchedule};
use crate::daily::store::last_missed;
use crate::db::schema::{
    bots, campaigns, channels, conversations, files, journal, schedule_runs, schedules, settings as settings_table,
    users,
};
use crate::db::{N, containing};
use crate::deliveries::counts::{self, Scope};
use crate::deliveries::{CountChange, Counts, Outcome, Word};
use crate::ids::{CampaignId, ListId, PauseAllId, RunId, ScheduleId};
use crate::journal::Happened;
use crate::pacing::Holds;
use crate::runs::store::is_real;
use crate::runs::{self, Run, RunState};
use crate::schedules::{PausedWith, Schedule, ScheduleState, When};
use crate::screen::domain::{COUNTED, EarlierRun, PausedAll, PausedBy, ScheduleLine, Sheet, Talks};
use crate::settings::{self, House};
use crate::web::chart::Fates;

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
    Draft,
    /// Through, without what ran out of time.
    Finished,
    Overrun,
    Stopped,
    Archived,
}

/// The campaigns whose names hold `q`, of those that `show` asks for, in no order.
pub fn asked_for(
    conn: &mut PgConnection,
    q: &str,
    show: ShowCampaigns,
    now: DateTime<Utc>,
) -> QueryResult<Vec<CampaignId>> {
    let mut found = campaigns::table.select(campaigns::id).into_boxed();
    if !q.is_empty() {
        found = found.filter(campaigns::search.ilike(containing(q)));
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
    // The newest run of one of its schedules did.
    let out_of_time = || {
        exists(
            schedule_runs::table
                .filter(is_real())
                .filter(schedule_runs::campaign_id.eq(campaigns::id))
                .filter(schedule_runs::state.eq("overrun"))
                .filter(sql::<Bool>(
                    "NOT EXISTS (SELECT FROM real_runs n WHERE n.schedule_id = schedule_runs.schedule_id
                                 AND n.starts_at > schedule_runs.starts_at)",
                )),
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
        ShowCampaigns::Draft => found.filter(campaigns::state.eq("draft")),
        ShowCampaigns::Finished => {
            found.filter(campaigns::state.eq("finished")).filter(diesel::dsl::not(out_of_time()))
        }
        ShowCampaigns::Overrun => found.filter(campaigns::state.eq_any(["active", "finished"])).filter(out_of_time()),
        ShowCampaigns::Stopped => found.filter(campaigns::state.eq("stopped")),
        ShowCampaigns::Archived => found.filter(campaigns::state.eq("archived")),
    };
    found.load(conn)
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
        let mut runs = it.runs.into_iter();
        let run = runs.next();
        Shown { run, earlier: runs.filter(is_open).collect(), schedule: it.schedule, channel, kind, bot }
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
    let run_ids: Vec<_> = shown.iter().flat_map(|it| it.run.iter().chain(&it.earlier)).map(|run| run.id).collect();
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
    let sends = |it: &Shown| it.run.as_ref().is_some_and(|run| run.state == RunState::Running);
    let troubled = match shown.iter().any(sends) {
        true => incidents::open(conn)?,
        false => Default::default(),
    };
    let texts = shown.iter().filter(|it| sends(it)).filter_map(|it| {
        let plan = &it.schedule.plan;
        Some((it.schedule.id, plan.channel_id, plan.template.clone()?))
    });
    let refused: HashMap<ScheduleId, String> = templates::refusals(conn, texts)?.into_iter().collect();
    let names: HashMap<ScheduleId, String> =
        shown.iter().map(|it| (it.schedule.id, it.schedule.plan.name.clone())).collect();
    let mut paused_by = paused_by(conn, &found, &shown)?;
    let sheet = |campaign: Campaign| {
        let paused_by = paused_by.0.remove(&campaign.id);
        let missed = missed.get(&campaign.id).copied();
        let talks = talks.get(&campaign.id).copied().unwrap_or_default();
        let launches = launching.contains(&campaign.id);
        Sheet { campaign, lines: Vec::new(), talks, launches, missed, paused_by }
    };
    let mut sheets: Vec<Sheet> = found.into_iter().map(sheet).collect();
    let at: std::collections::HashMap<_, _> =
        sheets.iter().enumerate().map(|(n, sheet)| (sheet.campaign.id, n)).collect();
    for Shown { schedule, run, earlier, channel, kind, bot } in shown {
        let Some(n) = at.get(&schedule.campaign_id) else { continue };
        let Sheet { campaign, lines, .. } = &mut sheets[*n];
        let counts = |run: &Run| counted.get(&run.id).copied().unwrap_or_default();
        let holds = |run: &Run| match is_open(run) {
            true => run.holds(&settings::effective(house, blackouts, &campaign.quiet, campaign.zone)),
            false => Holds::none(),
        };
        let earlier = earlier.into_iter();
        let earlier = earlier.map(|run| EarlierRun { holds: holds(&run), counts: counts(&run), run }).collect();
        let (holds, counts) = run.as_ref().map_or((Holds::none(), Counts::default()), |run| (holds(run), counts(run)));
        let paused_by = paused_by.1.remove(&schedule.id);
        let waits_until = run.as_ref().and_then(|run| {
            let canary = run.rules.canary?;
            Some(canary.waits_until(*last_claimed.get(&run.id)?))
        });
        let met_by = match schedule.plan.when {
            When::Inbound => met_by.get(&schedule.plan.channel_id).cloned(),
            When::Once { .. } | When::Undecided | When::Daily | When::Recurring(_) => None,
        };
        let trouble = troubled.get(&schedule.plan.channel_id).filter(|it| it.holds()).cloned();
        let text_refused = refused.get(&schedule.id).cloned();
        let follows = schedule.plan.rules.after.and_then(|after| names.get(&after.schedule).cloned());
        lines.push(ScheduleLine {
            schedule,
            run,
            holds,
            counts,
            earlier,
            paused_by,
            channel,
            kind,
            bot,
            met_by,
            waits_until,
            trouble,
            text_refused,
            follows,
        });
    }
    Ok(sheets)
}

fn is_open(run: &Run) -> bool {
    !run.state.has_ended()
}

/// Who paused what stands still, campaigns and schedules by themselves. One question, where something does.
fn paused_by(
    conn: &mut PgConnection,
    found: &[Campaign],
    shown: &[Shown],
) -> QueryResult<(HashMap<CampaignId, PausedBy>, HashMap<ScheduleId, PausedBy>)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        as_a_whole: bool,
        #[diesel(sql_type = Int8)]
        id: i64,
        #[diesel(sql_type = Timestamptz)]
        at: DateTime<Utc>,
        #[diesel(sql_type = Nullable<Text>)]
        name: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        nobody: Option<String>,
    }
    let campaigns: Vec<i64> =
        found.iter().filter(|it| it.state == CampaignState::Paused).map(|campaign| campaign.id.0).collect();
    let by_itself = |it: &&Shown| matches!(it.schedule.state, ScheduleState::Paused { with: PausedWith::Schedule, .. });
    let schedules: Vec<i64> = shown.iter().filter(by_itself).map(|it| it.schedule.id.0).collect();
    let (mut whole, mut single) = (HashMap::new(), HashMap::new());
    if campaigns.is_empty() && schedules.is_empty() {
        return Ok((whole, single));
    }
    let rows: Vec<Row> = diesel::sql_query(include_str!("paused_by.sql"))
        .bind::<Array<Int8>, _>(campaigns)
        .bind::<Array<Int8>, _>(schedules)
        .load(conn)?;
    for row in rows {
        let by = PausedBy { who: who(row.name.as_deref(), row.nobody.as_deref()).to_owned(), at: row.at };
        match row.as_a_whole {
            true => drop(whole.insert(CampaignId(row.id), by)),
            false => drop(single.insert(ScheduleId(row.id), by)),
        }
    }
    Ok((whole, single))
}

/// Who did what the journal tells of: a person, or whoever is none.
fn who<'a>(name: Option<&'a str>, nobody: Option<&str>) -> &'a str {
    match name {
        Some(name) => name,
        None if nobody.is_some() => "the terminal",
        None => "the clock",
    }
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
    /// What became of those who had their turn, minute by minute.
    pub turns: Vec<(DateTime<Utc>, Fates)>,
    /// They are only counted, as sent.
    pub in_one: bool,
    /// From when to when it stood still; `None` for a pause that goes on.
    pauses: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

/// Of more contacts than these, a picture does not tell apart what became of them.
const TOLD_APART: i32 = 50_000;

impl Past {
    /// The pauses, the one that goes on drawn up to `now`.
    pub fn pauses_until(&self, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        self.pauses.iter().map(|(from, to)| (*from, to.unwrap_or(now))).collect()
    }
}

/// What became of those who had their turn, minute by minute, and the pauses.
pub fn past(conn: &mut PgConnection, run: &Run) -> QueryResult<Past> {
    past_within(conn, run, TOLD_APART)
}

/// The same, telling apart `most` contacts.
pub fn past_within(conn: &mut PgConnection, run: &Run, most: i32) -> QueryResult<Past> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        at: DateTime<Utc>,
        /// `None` for a pause.
        #[diesel(sql_type = Nullable<Int8>)]
        n: Option<i64>,
        #[diesel(sql_type = Nullable<Int2>)]
        progress: Option<i16>,
        #[diesel(sql_type = Nullable<Int2>)]
        outcome: Option<i16>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        until: Option<DateTime<Utc>>,
    }
    let in_one = most < run.next_seq;
    let rows: Vec<Row> =
        diesel::sql_query(include_str!("past.sql")).bind::<Int8, _>(run.id).bind::<Bool, _>(!in_one).load(conn)?;
    let (mut turns, mut pauses) = (BTreeMap::<DateTime<Utc>, CountChange>::new(), Vec::new());
    for row in rows {
        match row.n {
            Some(n) => {
                let word = Word { progress: row.progress, outcome: row.outcome.and_then(Outcome::of_code) };
                turns.entry(row.at).or_default().add(word, n);
            }
            None => pauses.push((row.at, row.until)),
        }
    }
    let turns = turns.into_iter().map(|(at, change)| (at, turns_of(&change.counts))).collect();
    Ok(Past { turns, in_one, pauses })
}

/// What the counts of a run say of those who had their turn.
pub fn turns_of(counts: &Counts) -> Fates {
    Fates { sent: counts.sent(), failed: counts.failed, unconfirmed: counts.unconfirmed, skipped: counts.skipped }
}

/// `pictures`: with what they show; without, they fetch themselves.
pub fn inside(conn: &mut PgConnection, sheet: &Sheet, n_history: i64, pictures: bool) -> QueryResult<Inside> {
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
        let run = line.run.as_ref().filter(|_| pictures);
        pasts.push(run.map(|run| past(conn, run)).transpose()?);
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
        who(self.who.as_deref(), self.nobody.as_deref())
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
    /// Those before it that have not ended, newest first.
    earlier: Vec<Run>,
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
    let mut shown = Vec::new();
    for (schedule, run, channel, kind, bot) in rows {
        let (schedule, run) = (Schedule::try_from(schedule)?, run.map(Run::try_from).transpose()?);
        shown.push(Shown { schedule, run, earlier: Vec::new(), channel, kind, bot });
    }
    // Only what comes round has runs before its newest.
    let round: Vec<ScheduleId> =
        shown.iter().map(|it| &it.schedule).filter(|it| it.comes_round()).map(|schedule| schedule.id).collect();
    if !round.is_empty() {
        let open: Vec<runs::store::Row> = schedule_runs::table
            .filter(schedule_runs::schedule_id.eq_any(round))
            .filter(is_real())
            .filter(schedule_runs::state.eq_any(["waiting", "running", "paused"]))
            .order(schedule_runs::starts_at.desc())
            .select(runs::store::Row::as_select())
            .load(conn)?;
        let mut open: Vec<Run> = open.into_iter().map(Run::try_from).collect::<QueryResult<_>>()?;
        for it in &mut shown {
            let newest = it.run.as_ref().map(|run| run.id);
            let is_earlier = |run: &mut Run| run.schedule_id == it.schedule.id && Some(run.id) != newest;
            it.earlier = open.extract_if(.., is_earlier).collect();
        }
    }
    Ok(shown)
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

/// PAUSES of everything of which something is left that nobody has resumed or stopped, newest first.
pub fn pauses_of_everything(conn: &mut PgConnection) -> QueryResult<Vec<PausedAll>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Int8)]
        id: PauseAllId,
        #[diesel(sql_type = Timestamptz)]
        at: DateTime<Utc>,
        #[diesel(sql_type = Nullable<Text>)]
        name: Option<String>,
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT p.id, p.at, u.name, c.n
         FROM (SELECT paused_with_all AS id, count(*) AS n FROM campaigns
               WHERE paused_with_all IS NOT NULL GROUP BY 1) c
         JOIN pauses_of_everything p ON p.id = c.id
         LEFT JOIN users u ON u.id = p.user_id ORDER BY p.id DESC",
    )
    .load(conn)?;
    let paused = |it: Row| {
        let by = PausedBy { who: it.name.unwrap_or_else(|| "the terminal".to_owned()), at: it.at };
        PausedAll { id: it.id, by, n: it.n }
    };
    Ok(rows.into_iter().map(paused).collect())
}

/// What the screen shows of the campaigns that one of them holds.
pub fn sheets_paused_with(conn: &mut PgConnection, pause: PauseAllId) -> QueryResult<Vec<Sheet>> {
    let ids = crate::control::store::paused_with(conn, pause)?;
    let found = some(conn, &ids)?;
    sheets(conn, found)
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
