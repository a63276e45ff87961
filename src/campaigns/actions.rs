//! What people and the clock do to campaigns. Each function is one transaction.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use super::domain::same_group_twice;
use super::inbound::Validity;
use super::store::Lists;
use super::store::{self, Hit, States, WouldStop};
use super::{Campaign, CampaignKind, CampaignState, Freeze, Refused};
use super::{approvals, review};
use crate::channels::Kind;
use crate::db::schema::{channels, files as files_table};
use crate::db::violates_unique;
use crate::ids::{CampaignId, FileId, ScheduleId, UserId};
use crate::journal::{self, Entry};
use crate::lists;
use crate::lists::store::AudienceTarget;
use crate::pacing::Holds;
use crate::runs::{self, Run, RunState};
use crate::schedules::actions::Planned;
use crate::schedules::{self, Draft, PausedWith, Schedule, ScheduleState, When};
use crate::settings::Override;
use crate::{bots, drops, files};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

impl From<schedules::Refused> for Error {
    fn from(refused: schedules::Refused) -> Self {
        Error::Refused(Refused::Schedule(refused))
    }
}

impl From<runs::Refused> for Error {
    fn from(refused: runs::Refused) -> Self {
        Error::Refused(Refused::Run(refused))
    }
}

/// A name somebody else's campaign has becomes a sentence.
pub(super) fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error> {
    result.map_err(|error| match violates_unique(&error, "one_campaign_per_name") {
        true => Refused::NameTaken(name.to_owned()).into(),
        false => error.into(),
    })
}

// ---- drafting ----------------------------------------------------------------

/// Begins a draft. Nothing is sent before it is launched.
pub fn create(
    conn: &mut PgConnection,
    name: &str,
    kind: CampaignKind,
    zone: Tz,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<CampaignId, Error> {
    conn.transaction(|conn| {
        let id = named(store::insert(conn, name, kind, zone, by, now), name)?;
        record(conn, id, "campaign.created", by, None, CampaignState::Draft, None, now)?;
        Ok(id)
    })
}

/// Renames a campaign; a draft also changes its zone.
pub fn edit(
    conn: &mut PgConnection,
    id: CampaignId,
    name: &str,
    zone: Tz,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        let zone = if campaign.state == CampaignState::Draft { zone } else { campaign.zone };
        named(store::set_basics(conn, id, name, zone), name)?;
        let why = format!("name {} → {name}", campaign.name);
        record(conn, id, "campaign.edited", by, Some(campaign.state), campaign.state, Some(&why), now)?;
        Ok(())
    })
}

/// Gives a draft its file, or takes it away.
pub fn set_file(conn: &mut PgConnection, id: CampaignId, file: Option<FileId>) -> Result<(), Error> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        if file.is_none() {
            // Without a file there are no columns to group by.
            store::set_group_by(conn, id, None)?;
        }
        store::set_file(conn, id, file)?;
        Ok(())
    })
}

/// Makes a draft one of another kind. Its schedules stay and have to be saved anew.
pub fn set_kind(conn: &mut PgConnection, id: CampaignId, kind: CampaignKind) -> Result<(), Error> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        if kind == CampaignKind::Recurring {
            store::set_group_by(conn, id, None)?;
        }
        Ok(store::set_kind(conn, id, kind)?)
    })
}

/// Gives a draft lists to go to, and says when they become an audience.
pub fn set_lists(conn: &mut PgConnection, id: CampaignId, lists: &Lists, freeze: Freeze) -> Result<(), Error> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        store::set_lists(conn, id, lists)?;
        if campaign.kind == CampaignKind::Recurring || campaign.file_id.is_none() {
            // Lists have no columns to group by.
            store::set_group_by(conn, id, None)?;
        }
        Ok(store::set_freeze(conn, id, freeze)?)
    })
}

/// Splits a draft's contacts by the value of a field, or takes that back.
pub fn set_group_by(conn: &mut PgConnection, id: CampaignId, field: Option<&str>) -> Result<(), Error> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        Ok(store::set_group_by(conn, id, field)?)
    })
}

/// Says how long conversations of a campaign can be continued; holds at once, for open ones too.
pub fn set_validity(
    conn: &mut PgConnection,
    id: CampaignId,
    validity: Validity,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        if campaign.validity == validity {
            return Ok(());
        }
        store::set_validity(conn, id, validity)?;
        let why = format!("validity {} → {}", campaign.validity.words(), validity.words());
        record(conn, id, "campaign.edited", by, Some(campaign.state), campaign.state, Some(&why), now)?;
        Ok(())
    })
}

/// Lets a draft have quiet hours of its own, or none.
pub fn set_quiet(conn: &mut PgConnection, id: CampaignId, own: &Override) -> Result<(), Error> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        Ok(store::set_quiet(conn, id, own)?)
    })
}

pub fn add_schedule(conn: &mut PgConnection, id: CampaignId, plan: &Draft) -> Result<ScheduleId, Error> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        Ok(schedules::store::insert(conn, id, plan)?)
    })
}

pub fn change_schedule(conn: &mut PgConnection, schedule: ScheduleId, plan: &Draft) -> Result<(), Error> {
    conn.transaction(|conn| {
        let campaign = schedules::store::lock_home(conn, schedule)?.id;
        lock_draft(conn, campaign)?;
        schedules::store::save_plan(conn, schedule, plan)?;
        Ok(())
    })
}

/// `id`: the campaign that it is expected to be of.
pub fn remove_schedule(conn: &mut PgConnection, id: CampaignId, schedule: ScheduleId) -> Result<(), Error> {
    conn.transaction(|conn| {
        if schedules::store::lock_home(conn, schedule)?.id != id {
            return Err(diesel::result::Error::NotFound.into());
        }
        lock_draft(conn, id)?;
        schedules::store::delete(conn, schedule)?;
        Ok(())
    })
}

/// Removes a draft. What was launched is kept for ever.
pub fn discard(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        record(conn, id, "campaign.discarded", by, Some(campaign.state), campaign.state, Some(&campaign.name), now)?;
        store::delete(conn, id)?;
        Ok(())
    })
}

/// Begins a draft with the contacts and schedules of another campaign, on the day `now`
/// is in its zone. Called “name copy”, “name copy 2” and so on.
pub fn duplicate(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<CampaignId, Error> {
    conn.transaction(|conn| {
        let campaign = store::find(conn, id)?;
        let name = store::free_name(conn, &campaign.name)?;
        let copy = named(store::insert(conn, &name, campaign.kind, campaign.zone, by, now), &name)?;
        store::copy_plan(conn, id, copy)?;
        drops::store::copy_plan(conn, id, copy)?;
        let today = now.with_timezone(&campaign.zone).date_naive();
        let mut met = Vec::new();
        for schedule in schedules::store::of_campaigns(conn, &[id.0])? {
            // A channel that was left and taken up again has two.
            if schedule.plan.when == When::Inbound {
                if met.contains(&schedule.plan.channel_id) {
                    continue;
                }
                met.push(schedule.plan.channel_id);
            }
            let when = match schedule.plan.when {
                When::Once { date } => When::Once { date: date.max(today) },
                when @ (When::Daily | When::Recurring(_) | When::Inbound) => when,
            };
            schedules::store::insert(conn, copy, &Draft { when, ..schedule.plan })?;
        }
        let why = format!("a copy of {}", campaign.name);
        record(conn, copy, "campaign.created", by, None, CampaignState::Draft, Some(&why), now)?;
        Ok(copy)
    })
}

fn lock_draft(conn: &mut PgConnection, id: CampaignId) -> Result<Campaign, Error> {
    let campaign = store::lock(conn, id)?;
    match campaign.state {
        CampaignState::Draft => Ok(campaign),
        CampaignState::Active | CampaignState::Paused | CampaignState::Stopped => Err(Refused::AlreadyLaunched.into()),
        CampaignState::Finished | CampaignState::Archived => Err(Refused::AlreadyLaunched.into()),
    }
}

/// Why a draft cannot be launched as it stands; empty when it can.
pub fn obstacles(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<Vec<Refused>> {
    let campaign = store::find(conn, id)?;
    let plans = schedules::store::of_campaigns(conn, &[id.0])?;
    let mut obstacles = Vec::new();
    let (kind, obstacle) = contacts_obstacle(conn, &campaign)?;
    obstacles.extend(obstacle);
    // Consent is kept by kind of channel, so addresses of one kind are not for another.
    let reachable: Option<Vec<i64>> = match kind {
        Some(kind) => Some(channels::table.filter(channels::kind.eq(kind.word())).select(channels::id).load(conn)?),
        None => None,
    };
    if let (Some(field), Some(file)) = (&campaign.group_by, campaign.file_id) {
        let file = files::store::find(conn, file)?;
        let read = matches!(file.state, files::domain::State::Imported { .. });
        if read && !review::data_fields(&file).contains(field) {
            obstacles.push(Refused::NoSuchColumn { field: field.clone() });
        }
    }
    if campaign.kind == CampaignKind::Daily && drops::store::plan(conn, id)?.is_none() {
        obstacles.push(Refused::NoDailyPlan);
    }
    if plans.is_empty() {
        obstacles.push(Refused::NoSchedules);
    }
    for schedule in &plans {
        let name = schedule.plan.name.clone();
        if reachable.as_ref().is_some_and(|channels| !channels.contains(&schedule.plan.channel_id.0)) {
            obstacles.push(Refused::OtherKind { schedule: name.clone() });
        }
        if let (Some(field), None) = (&campaign.group_by, &schedule.plan.group) {
            obstacles.push(Refused::NoGroup { schedule: name.clone(), field: field.clone() });
        }
        if let Some(pinned) = schedule.plan.bot {
            let bot = bots::store::find(conn, pinned.bot)?;
            if bot.archived_at.is_some() {
                obstacles.push(Refused::BotArchived { schedule: name.clone(), bot: bot.name });
            }
        }
        if !campaign.kind.takes(&schedule.plan.when) {
            obstacles.push(Refused::OtherWhen { schedule: name });
            continue;
        }
        if campaign.kind == CampaignKind::Inbound {
            continue;
        }
        match schedule.plan.first_window(campaign.zone, now) {
            Err(_) => obstacles.push(Refused::EmptyWindow { schedule: name }),
            Ok(None) => obstacles.push(Refused::NeverRuns { schedule: name }),
            Ok(Some(window)) if window.ends <= now && campaign.kind != CampaignKind::Daily => {
                obstacles.push(Refused::WindowPassed {
                    schedule: name,
                    ends: window.ends.with_timezone(&campaign.zone).format("%e %B %H:%M").to_string(),
                });
            }
            Ok(Some(_)) => {}
        }
    }
    if campaign.group_by.is_some()
        && let Some((one, other)) = same_group_twice(&plans)
    {
        obstacles.push(Refused::SameGroup { one: one.plan.name.clone(), other: other.plan.name.clone() });
    }
    Ok(obstacles)
}

/// What kind of addresses the contacts of a draft are, and why they cannot be sent to.
fn contacts_obstacle(conn: &mut PgConnection, campaign: &Campaign) -> QueryResult<(Option<Kind>, Option<Refused>)> {
    if campaign.kind == CampaignKind::Inbound {
        return Ok((None, None));
    }
    let lists = store::lists(conn, campaign.id)?;
    let file = match (campaign.kind, campaign.file_id) {
        (CampaignKind::Recurring | CampaignKind::Inbound, _) | (CampaignKind::OnceOff | CampaignKind::Quick, None) => {
            None
        }
        (CampaignKind::OnceOff | CampaignKind::Daily | CampaignKind::Quick, file) => file,
    };
    let Some(file) = file else {
        let none = match campaign.kind {
            CampaignKind::Recurring => Refused::NoLists,
            CampaignKind::Inbound | CampaignKind::OnceOff | CampaignKind::Daily | CampaignKind::Quick => {
                Refused::NoFile
            }
        };
        if lists.include.is_empty() || campaign.kind == CampaignKind::Daily {
            return Ok((None, Some(none)));
        }
        let kind = lists::store::kind_of(conn, &lists.include)?;
        let somebody = match kind {
            Some(kind) => lists::store::count_audience(conn, &lists.include, &lists.exclude, kind)? > 0,
            None => false,
        };
        // A list may fill up until the run; only what goes out at once must have somebody on it now.
        let nobody = !somebody && campaign.kind != CampaignKind::Recurring;
        return Ok((kind, nobody.then_some(Refused::NobodyOnLists)));
    };
    let (state, rows, kind): (String, i64, String) = files_table::table
        .find(file.0)
        .select((files_table::state, files_table::rows_good, files_table::kind))
        .first(conn)?;
    let obstacle = match state.as_str() {
        "imported" if rows == 0 => Some(Refused::NoContacts),
        "imported" => None,
        _ => Some(Refused::FileNotReady),
    };
    Ok((Kind::of_word(&kind), obstacle))
}

/// Launches a draft. What runs once gets its waiting run, its text pinned; the engine
/// writes the deliveries and starts each run at its time. What recurs gets its next
/// date, and what is daily waits for its file.
pub fn launch(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        store::take_turn(conn, false)?;
        let campaign = store::lock(conn, id)?;
        let state = campaign.state.launch()?;
        if let Some(obstacle) = obstacles(conn, id, now)?.into_iter().next() {
            return Err(obstacle.into());
        }
        if let Some(obstacle) = approvals::obstacle(conn, &campaign, by)? {
            return Err(obstacle.into());
        }
        let lists = store::lists(conn, id)?;
        let by_lists = campaign.kind == CampaignKind::Recurring || campaign.file_id.is_none();
        if by_lists && campaign.freeze == Freeze::Launch {
            let kind = lists::store::kind_of(conn, &lists.include)?.ok_or(Refused::NoLists)?;
            let into = AudienceTarget::Campaign(id);
            lists::store::insert_audience(conn, &lists.include, &lists.exclude, kind, into)?;
        }
        let plans = schedules::store::of_campaigns(conn, &[id.0])?;
        let served: Vec<String> = plans.iter().filter_map(|schedule| schedule.plan.group.clone()).collect();
        for (n, schedule) in plans.iter().enumerate() {
            match &schedule.plan.when {
                When::Once { date } => {
                    let window = schedule
                        .plan
                        .window_on(*date, campaign.zone)
                        .map_err(|_| Refused::EmptyWindow { schedule: schedule.plan.name.clone() })?;
                    let home = schedules::store::lock_home(conn, schedule.id)?;
                    let planned = Planned {
                        window,
                        file: campaign.file_id.filter(|_| !by_lists),
                        // One of the runs answers for the rows that none of them serves.
                        served: (n == 0).then_some(served.as_slice()),
                    };
                    schedules::actions::plan_run(conn, &home, schedule, &planned)?;
                }
                When::Daily | When::Inbound => {}
                When::Recurring(it) => {
                    let next = it.rule.next(now, campaign.zone, it.last_date);
                    schedules::store::set_next_run(conn, schedule.id, next)?;
                }
            }
        }
        if campaign.kind == CampaignKind::Daily {
            drops::actions::begin(conn, id, now)?;
        }
        store::save_state(conn, id, state, now)?;
        record(conn, id, "campaign.launched", by, Some(campaign.state), state, None, now)?;
        Ok(())
    })
}

// ---- pause, resume, stop -------------------------------------------------------

/// Locks a campaign that is to be paused or stopped. `None` when nothing is left to do: it
/// was waiting for its file to be launched, and now is a draft that nobody launches.
///
/// The launch is struck off before the campaign is locked, as the launch itself does it. One
/// that is under way comes first, and what it has launched is paused or stopped like any other.
fn lock_to_hold(
    conn: &mut PgConnection,
    id: CampaignId,
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<Option<Campaign>> {
    let was_to_launch = store::take_launch(conn, id)?.is_some();
    let campaign = store::lock(conn, id)?;
    if was_to_launch && campaign.state == CampaignState::Draft {
        record(conn, id, "campaign.launch_taken_back", by, Some(campaign.state), campaign.state, None, now)?;
        return Ok(None);
    }
    Ok(Some(campaign))
}

/// Pauses a campaign with all its schedules; those paused by themselves stay so. One that
/// waits for its file to be launched is a draft again.
pub fn pause(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let Some(campaign) = lock_to_hold(conn, id, by, now)? else { return Ok(()) };
        let state = campaign.state.pause()?;
        for mut schedule in schedules::store::of_campaigns(conn, &[id.0])? {
            let was = schedule.state.word();
            // Paused by itself, stopped or finished: it is as still as it will be.
            if schedule.pause(PausedWith::Campaign, now).is_err() {
                continue;
            }
            // One whose time is over may stand still already, until the clock ends it.
            change(conn, &schedule, "schedule.paused", was, by, now, |run, _| match run.pause(now) {
                Err(runs::Refused::AlreadyPaused) => Ok(()),
                paused => paused,
            })?;
        }
        stop_tests(conn, id, now)?;
        store::save_state(conn, id, state, now)?;
        record(conn, id, "campaign.paused", by, Some(campaign.state), state, None, now)?;
        Ok(())
    })
}

/// Pauses every active campaign. Returns how many. The safe alternative to STOP.
/// `by`: `None` when it is done from the command line.
pub fn pause_all(conn: &mut PgConnection, by: impl Into<Option<UserId>>, now: DateTime<Utc>) -> Result<usize, Error> {
    let by = by.into();
    conn.transaction(|conn| {
        store::take_turn(conn, true)?;
        store::forget_launches(conn)?;
        Ok(store::pause_all(conn, &pausable(now), by, now)?)
    })
}

/// Lets a campaign go on with the schedules that were paused together with it, or,
/// when it is not paused itself, with all that are.
///
/// A schedule whose end time has just passed stays paused until the clock ends its
/// run; from then on it can be extended.
pub fn resume(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        store::take_turn(conn, false)?;
        let campaign = store::lock(conn, id)?;
        let schedules = schedules::store::of_campaigns(conn, &[id.0])?;
        let resumes = |schedule: &Schedule| campaign.state.resumes(&schedule.state);
        let state = match campaign.state {
            CampaignState::Active if schedules.iter().any(resumes) => CampaignState::Active,
            state => state.resume()?,
        };
        for mut schedule in schedules.into_iter().filter(resumes) {
            let (was, before) = (schedule.state.word(), schedule.clone());
            schedule.resume()?;
            match change(conn, &schedule, "schedule.resumed", was, by, now, |run, holds| run.resume(holds, now)) {
                Ok(()) => {}
                // Its time is over, and the clock ends it: its schedule goes on with the next one.
                Err(Error::Refused(Refused::Run(_))) if schedule.comes_round() => {
                    schedules::store::save_state(conn, &schedule)?;
                }
                Err(Error::Refused(Refused::Run(_))) => schedules::store::save_state(conn, &keep_paused(before, now))?,
                Err(error) => return Err(error),
            }
        }
        store::save_state(conn, id, state, now)?;
        record(conn, id, "campaign.resumed", by, Some(campaign.state), state, None, now)?;
        Ok(())
    })
}

/// From now on paused by itself: its campaign goes on without it.
fn keep_paused(schedule: Schedule, now: DateTime<Utc>) -> Schedule {
    let since = match schedule.state {
        ScheduleState::Paused { since, .. } => since,
        ScheduleState::Active | ScheduleState::Stopped | ScheduleState::Finished => now,
    };
    Schedule { state: ScheduleState::Paused { since, with: PausedWith::Schedule }, ..schedule }
}

/// Stops a campaign, its schedules and their runs for good. Also one that has finished,
/// while its bots still talk: they fall silent. One that waits for its file to be launched
/// is a draft again.
pub fn stop(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let Some(campaign) = lock_to_hold(conn, id, by, now)? else { return Ok(()) };
        let state = campaign.state.stop_with(store::talks_with_somebody(conn, id)?)?;
        for mut schedule in schedules::store::of_campaigns(conn, &[id.0])? {
            let was = schedule.state.word();
            if schedule.stop().is_ok() {
                change(conn, &schedule, "schedule.stopped", was, by, now, |run, _| run.stop(now))?;
            }
        }
        stop_tests(conn, id, now)?;
        store::save_state(conn, id, state, now)?;
        record(conn, id, "campaign.stopped", by, Some(campaign.state), state, None, now)?;
        Ok(())
    })
}

/// Stops everything that is not stopped. Irreversible. Drafts are left alone: they send nothing.
/// `by`: `None` when it is done from the command line.
pub fn stop_all(conn: &mut PgConnection, by: impl Into<Option<UserId>>, now: DateTime<Utc>) -> Result<Hit, Error> {
    let by = by.into();
    conn.transaction(|conn| {
        store::take_turn(conn, true)?;
        store::forget_launches(conn)?;
        Ok(store::stop_all(conn, &stoppable(now), by, now)?)
    })
}

/// What [`stop_all`] would hit.
pub fn would_stop(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<WouldStop> {
    store::would_stop(conn, &stoppable(now))
}

/// States that a stop ends.
fn stoppable(now: DateTime<Utc>) -> States {
    let talking = |it: &CampaignState| it.stop().is_err() && it.stop_with(true).is_ok();
    let states = states(
        now,
        |campaign| campaign.stop().is_ok(),
        |schedule| schedule.stopped().is_ok(),
        |run| run.stopped(now).is_ok(),
    );
    let talking = CampaignState::ALL.into_iter().filter(talking).map(CampaignState::word).collect();
    States { talking, ..states }
}

/// States that a pause holds.
fn pausable(now: DateTime<Utc>) -> States {
    states(
        now,
        |campaign| campaign.pause().is_ok(),
        |schedule| schedule.paused(PausedWith::Campaign, now).is_ok(),
        |run| run.paused(now).is_ok(),
    )
}

/// Asks the state machines themselves in which states they take a verb.
fn states(
    now: DateTime<Utc>,
    campaign: impl Fn(CampaignState) -> bool,
    schedule: impl Fn(ScheduleState) -> bool,
    run: impl Fn(RunState) -> bool,
) -> States {
    let schedules = [
        ScheduleState::Active,
        ScheduleState::Paused { since: now, with: PausedWith::Schedule },
        ScheduleState::Stopped,
        ScheduleState::Finished,
    ];
    let runs = [
        RunState::Waiting,
        RunState::Running,
        RunState::Paused { since: now },
        RunState::Completed { at: now },
        RunState::Overrun { at: now },
        RunState::Stopped { at: now },
    ];
    States {
        talking: Vec::new(),
        campaigns: CampaignState::ALL.into_iter().filter(|it| campaign(*it)).map(CampaignState::word).collect(),
        schedules: schedules.iter().filter(|it| schedule(**it)).map(ScheduleState::word).collect(),
        runs: runs.iter().filter(|it| run(**it)).map(RunState::word).collect(),
    }
}

/// Gives a paused or overrun schedule more time and lets it go on; its campaign
/// with it, if that had finished.
pub fn extend(
    conn: &mut PgConnection,
    id: ScheduleId,
    end: NaiveTime,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    conn.transaction(|conn| {
        store::take_turn(conn, false)?;
        let campaign = schedules::store::lock_home(conn, id)?.id;
        let campaign = store::lock(conn, campaign)?;
        let state = campaign.state.extend()?;
        schedules::actions::extend(conn, id, end, by, now).map_err(|error| match error {
            schedules::actions::Error::Refused(refused) => Error::from(refused),
            schedules::actions::Error::Database(error) => error.into(),
        })?;
        if state != campaign.state {
            store::save_state(conn, campaign.id, state, now)?;
            record(conn, campaign.id, "campaign.extended", by, Some(campaign.state), state, None, now)?;
        }
        Ok(())
    })
}

/// Puts an ended campaign out of sight.
pub fn archive(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        let state = campaign.state.archive()?;
        store::save_state(conn, id, state, now)?;
        record(conn, id, "campaign.archived", by, Some(campaign.state), state, None, now)?;
        Ok(())
    })
}

/// Ends a campaign all of whose runs have ended and none of whose schedules runs again. Returns whether it did.
pub fn finish(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        let plans = schedules::store::of_campaigns(conn, &[id.0])?;
        // What runs once ends with its run; the others are stopped or see their last date.
        let comes_round = |it: &Schedule| it.state.stopped().is_ok() && !matches!(it.plan.when, When::Once { .. });
        // A bot that is going to speak up is not over: a pause has to reach it.
        if runs::store::has_open(conn, id)? || plans.iter().any(comes_round) || store::will_speak_up(conn, id)? {
            return Ok(false);
        }
        let all_stopped = plans.iter().all(|it| it.state == ScheduleState::Stopped);
        let Ok(state) = campaign.state.runs_ended(all_stopped) else { return Ok(false) };
        store::save_state(conn, id, state, now)?;
        let entry = Entry {
            happened: "campaign.ended",
            campaign: Some(id),
            subject: id.0,
            by: None,
            was: Some(campaign.state.word()),
            became: Some(state.word()),
            why: None,
        };
        journal::store::record(conn, &entry, now)?;
        Ok(true)
    })
}

/// A test message that is still to leave stays here: nobody is going to resume it.
fn stop_tests(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> Result<(), Error> {
    for mut run in runs::store::lock_open_tests(conn, id)? {
        run.stop(now).map_err(Refused::Run)?;
        runs::store::save(conn, &run, now)?;
    }
    Ok(())
}

/// Writes a changed schedule, and changes those of its runs with it that have not ended.
/// Refused when each of them refuses.
#[allow(clippy::too_many_arguments, reason = "one line of the journal has so many parts")]
pub(super) fn change(
    conn: &mut PgConnection,
    schedule: &Schedule,
    happened: &'static str,
    was: &str,
    by: UserId,
    now: DateTime<Utc>,
    verb: impl Fn(&mut Run, &Holds) -> Result<(), runs::Refused>,
) -> Result<(), Error> {
    let (mut changed, mut refused) = (false, None);
    for mut run in runs::store::lock_of_schedule(conn, schedule.id)? {
        if run.state.has_ended() {
            continue;
        }
        let holds = runs::store::holds(conn, &run)?;
        match verb(&mut run, &holds) {
            Ok(()) => {
                changed = true;
                runs::store::save(conn, &run, now)?;
            }
            Err(why) => refused = Some(why),
        }
    }
    if let (false, Some(why)) = (changed, refused) {
        return Err(why.into());
    }
    schedules::store::save_state(conn, schedule)?;
    let entry = Entry {
        happened,
        campaign: Some(schedule.campaign_id),
        subject: schedule.id.0,
        by: Some(by),
        was: Some(was),
        became: Some(schedule.state.word()),
        why: None,
    };
    Ok(journal::store::record(conn, &entry, now)?)
}

#[allow(clippy::too_many_arguments, reason = "one line of the journal has so many parts")]
pub(super) fn record(
    conn: &mut PgConnection,
    id: CampaignId,
    happened: &'static str,
    by: UserId,
    was: Option<CampaignState>,
    became: CampaignState,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry {
        happened,
        campaign: Some(id),
        subject: id.0,
        by: Some(by),
        was: was.map(CampaignState::word),
        became: Some(became.word()),
        why,
    };
    journal::store::record(conn, &entry, now)
}
