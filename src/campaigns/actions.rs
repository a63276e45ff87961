//! What people and the clock do to campaigns. Each function is one transaction.

use chrono::{DateTime, NaiveTime, Utc};
use diesel::prelude::*;

use crate::access::Actor;
use crate::campaigns::inbound::Validity;
use crate::campaigns::store::{self, Hit, States, WouldStop};
use crate::campaigns::{Campaign, CampaignState, Refused};
use crate::db::{Error, locks, unless_taken};
use crate::ids::{CampaignId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::pacing::Holds;
use crate::runs::{self, Run, RunState};
use crate::schedules::{self, PausedWith, Schedule, ScheduleState, When};

/// A name somebody else's campaign has becomes a sentence.
pub fn named<T>(result: QueryResult<T>, name: &str) -> Result<T, Error<Refused>> {
    unless_taken(result, "one_campaign_per_name", || Refused::NameTaken(name.to_owned()))
}

/// Says how long conversations of a campaign can be continued; holds at once, for open ones too.
pub fn set_validity(
    conn: &mut PgConnection,
    id: CampaignId,
    validity: Validity,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        if campaign.validity == validity {
            return Ok(());
        }
        store::set_validity(conn, id, validity)?;
        let why = format!("validity {} → {}", campaign.validity.words(), validity.words());
        journal::note(
            conn,
            Entry::new(Happened::CampaignEdited, id, by)
                .of(id)
                .was(campaign.state.word())
                .became(campaign.state.word())
                .why(&why),
            now,
        )?;
        Ok(())
    })
}

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
        journal::note(
            conn,
            Entry::new(Happened::CampaignLaunchTakenBack, id, by)
                .of(id)
                .was(campaign.state.word())
                .became(campaign.state.word()),
            now,
        )?;
        return Ok(None);
    }
    Ok(Some(campaign))
}

/// Pauses a campaign with all its schedules; those paused by themselves stay so. One that
/// waits for its file to be launched is a draft again.
pub fn pause(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let Some(campaign) = lock_to_hold(conn, id, by, now)? else { return Ok(()) };
        let state = campaign.state.pause()?;
        for mut schedule in schedules::store::of_campaigns(conn, &[id])? {
            let was = schedule.state.word();
            // Paused by itself, stopped or finished: it is as still as it will be.
            if schedule.pause(PausedWith::Campaign, now).is_err() {
                continue;
            }
            // One whose time is over may stand still already, until the clock ends it.
            change(conn, &schedule, Happened::SchedulePaused, was, by, now, |run, _| match run.pause(now) {
                Err(runs::Refused::AlreadyPaused) => Ok(()),
                paused => paused,
            })?;
        }
        stop_tests(conn, id, now)?;
        store::save_state(conn, id, state, now)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignPaused, id, by).of(id).was(campaign.state.word()).became(state.word()),
            now,
        )?;
        Ok(())
    })
}

/// Pauses every active campaign. Returns how many. The safe alternative to STOP.
/// `by`: `None` when it is done from the command line.
pub fn pause_all(conn: &mut PgConnection, by: impl Into<Actor>, now: DateTime<Utc>) -> Result<usize, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| {
        locks::take_halt(conn, true)?;
        store::forget_launches(conn)?;
        Ok(store::pause_all(conn, &pausable(now), by, now)?)
    })
}

/// Lets a campaign go on with the schedules that were paused together with it, or,
/// when it is not paused itself, with all that are.
///
/// A schedule whose end time has just passed stays paused until the clock ends its
/// run; from then on it can be extended.
pub fn resume(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_halt(conn, false)?;
        let campaign = store::lock(conn, id)?;
        let schedules = schedules::store::of_campaigns(conn, &[id])?;
        let resumes = |schedule: &Schedule| campaign.state.resumes(&schedule.state);
        let state = match campaign.state {
            CampaignState::Active if schedules.iter().any(resumes) => CampaignState::Active,
            state => state.resume()?,
        };
        for mut schedule in schedules.into_iter().filter(resumes) {
            let (was, before) = (schedule.state.word(), schedule.clone());
            schedule.resume()?;
            match change(conn, &schedule, Happened::ScheduleResumed, was, by, now, |run, holds| run.resume(holds, now))
            {
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
        journal::note(
            conn,
            Entry::new(Happened::CampaignResumed, id, by).of(id).was(campaign.state.word()).became(state.word()),
            now,
        )?;
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
pub fn stop(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let Some(campaign) = lock_to_hold(conn, id, by, now)? else { return Ok(()) };
        let state = campaign.state.stop_with(store::talks_with_somebody(conn, id)?)?;
        for mut schedule in schedules::store::of_campaigns(conn, &[id])? {
            let was = schedule.state.word();
            if schedule.stop().is_ok() {
                change(conn, &schedule, Happened::ScheduleStopped, was, by, now, |run, _| run.stop(now))?;
            }
        }
        stop_tests(conn, id, now)?;
        store::save_state(conn, id, state, now)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignStopped, id, by).of(id).was(campaign.state.word()).became(state.word()),
            now,
        )?;
        Ok(())
    })
}

/// Stops everything that is not stopped. Irreversible. Drafts are left alone: they send nothing.
/// `by`: `None` when it is done from the command line.
pub fn stop_all(conn: &mut PgConnection, by: impl Into<Actor>, now: DateTime<Utc>) -> Result<Hit, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| {
        locks::take_halt(conn, true)?;
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
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_halt(conn, false)?;
        let campaign = schedules::store::lock_home(conn, id)?.id;
        let campaign = store::lock(conn, campaign)?;
        let state = campaign.state.extend()?;
        schedules::actions::extend(conn, id, end, by, now).map_err(|error| match error {
            Error::Refused(refused) => Error::from(refused),
            Error::Database(error) => error.into(),
        })?;
        if state != campaign.state {
            store::save_state(conn, campaign.id, state, now)?;
            journal::note(
                conn,
                Entry::new(Happened::CampaignExtended, campaign.id, by)
                    .of(campaign.id)
                    .was(campaign.state.word())
                    .became(state.word()),
                now,
            )?;
        }
        Ok(())
    })
}

/// Puts an ended campaign out of sight.
pub fn archive(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        let state = campaign.state.archive()?;
        store::save_state(conn, id, state, now)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignArchived, id, by).of(id).was(campaign.state.word()).became(state.word()),
            now,
        )?;
        Ok(())
    })
}

/// Ends a campaign all of whose runs have ended and none of whose schedules runs again. Returns whether it did.
pub fn finish(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        let plans = schedules::store::of_campaigns(conn, &[id])?;
        // What runs once ends with its run; the others are stopped or see their last date.
        let comes_round = |it: &Schedule| it.state.stopped().is_ok() && !matches!(it.plan.when, When::Once { .. });
        // A bot that is going to speak up is not over: a pause has to reach it.
        if runs::store::has_open(conn, id)? || plans.iter().any(comes_round) || store::will_speak_up(conn, id)? {
            return Ok(false);
        }
        let all_stopped = plans.iter().all(|it| it.state == ScheduleState::Stopped);
        let Ok(state) = campaign.state.runs_ended(all_stopped) else { return Ok(false) };
        store::save_state(conn, id, state, now)?;
        let entry = Entry::new(Happened::CampaignEnded, id, Actor::Clock)
            .of(id)
            .was(campaign.state.word())
            .became(state.word());
        journal::note(conn, entry, now)?;
        Ok(true)
    })
}

/// A test message that is still to leave stays here: nobody is going to resume it.
fn stop_tests(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    for mut run in runs::store::lock_open_tests(conn, id)? {
        run.stop(now).map_err(Refused::Run)?;
        runs::store::save(conn, &run, now)?;
    }
    Ok(())
}

/// Writes a changed schedule, and changes those of its runs with it that have not ended.
/// Refused when each of them refuses.
#[allow(clippy::too_many_arguments, reason = "one line of the journal has so many parts")]
pub fn change(
    conn: &mut PgConnection,
    schedule: &Schedule,
    happened: Happened,
    was: &str,
    by: UserId,
    now: DateTime<Utc>,
    verb: impl Fn(&mut Run, &Holds) -> Result<(), runs::Refused>,
) -> Result<(), Error<Refused>> {
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
    let entry = Entry::new(happened, schedule.id, by).of(schedule.campaign_id).was(was).became(schedule.state.word());
    Ok(journal::note(conn, entry, now)?)
}
