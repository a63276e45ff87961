//! What people do to schedules and campaigns. Each function is one transaction and answers
//! with what it holds.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::clockwork::finish_locked;
use super::domain::{Edit, End, Locked, LockedSchedule, Refused, States};
use super::store::{self, Hit, WouldPause, WouldStop};
use crate::access::Actor;
use crate::campaigns::inbound::Validity;
use crate::campaigns::{self, CampaignState};
use crate::db::{Error, locks};
use crate::deliveries;
use crate::deliveries::counts::Scope;
use crate::ids::{CampaignId, PauseAllId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::runs::{self, Run};
use crate::schedules::PausedWith;
use crate::settings::calendars;

// ---- one schedule, or one campaign with all of its ---------------------------------

/// What a verb is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Schedule(ScheduleId),
    Campaign(CampaignId),
}

impl From<ScheduleId> for Target {
    fn from(id: ScheduleId) -> Self {
        Target::Schedule(id)
    }
}

impl From<CampaignId> for Target {
    fn from(id: CampaignId) -> Self {
        Target::Campaign(id)
    }
}

impl From<Target> for Scope {
    fn from(target: Target) -> Self {
        match target {
            Target::Schedule(id) => Scope::Schedule(id),
            Target::Campaign(id) => Scope::Campaign(id),
        }
    }
}

/// Freezes a schedule with its runs, or a campaign with all its schedules, of which those
/// paused by themselves stay so. When this has committed, no claim follows.
///
/// A campaign that waits for its file to be launched is a draft again.
pub fn pause(
    conn: &mut PgConnection,
    target: impl Into<Target>,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| match target.into() {
        Target::Schedule(id) => {
            let mut locked = store::lock_schedule(conn, id)?;
            locked.campaign.state.lets_schedules_go_on()?;
            each(conn, &mut locked, Happened::SchedulePaused, by, now, |it| it.pause(PausedWith::Schedule, now))?;
            Ok(locked)
        }
        Target::Campaign(id) => {
            let (mut locked, was_to_launch) = lock_to_hold(conn, id, by, now)?;
            if was_to_launch {
                return Ok(locked);
            }
            let state = locked.campaign.state.pause()?;
            // Paused by itself, stopped or finished: it is as still as it will be.
            let going = |it: &LockedSchedule| it.schedule.state.paused(PausedWith::Campaign, now).is_ok();
            some(conn, &mut locked, going, Happened::SchedulePaused, by, now, |it| {
                it.pause(PausedWith::Campaign, now)
            })?;
            stop_tests(conn, id, now)?;
            store::save_campaign(conn, &mut locked.campaign, state, Happened::CampaignPaused, by, now)?;
            Ok(locked)
        }
    })
}

/// Lets a schedule go on where it stopped, or a campaign with the schedules that were
/// paused together with it; with all that are, where it is not paused itself.
///
/// A schedule of a campaign whose end time has just passed stays paused until the clock
/// ends its run; from then on it can be extended.
pub fn resume(
    conn: &mut PgConnection,
    target: impl Into<Target>,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| match target.into() {
        Target::Schedule(id) => {
            let mut locked = store::lock_schedule(conn, id)?;
            locked.campaign.state.lets_schedules_go_on()?;
            let calendar = calendars::of(conn, locked.campaign.zone, &locked.campaign.quiet)?;
            each(conn, &mut locked, Happened::ScheduleResumed, by, now, |it| it.resume(&calendar, now))?;
            Ok(locked)
        }
        Target::Campaign(id) => {
            locks::take_halt(conn, false)?;
            let locked = store::lock_campaign(conn, id)?;
            go_on(conn, locked, None, by, now)
        }
    })
}

/// Lets a campaign that is held go on, as [`resume`] says.
fn go_on(
    conn: &mut PgConnection,
    mut locked: Locked,
    why: Option<&str>,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    let before = locked.campaign.state;
    let goes_on = |it: &LockedSchedule| it.schedule.state.goes_on_with(before);
    let state = match before {
        CampaignState::Active if locked.schedules.iter().any(goes_on) => CampaignState::Active,
        state => state.resume()?,
    };
    let calendar = calendars::of(conn, locked.campaign.zone, &locked.campaign.quiet)?;
    for it in locked.schedules.iter_mut().filter(|it| goes_on(it)) {
        match it.resume(&calendar, now) {
            Ok(()) => store::save(conn, it, Happened::ScheduleResumed, by, why, now)?,
            Err(Refused::Run(why)) => {
                it.stay_paused(now);
                store::save(conn, it, Happened::SchedulePaused, by, Some(&why.to_string()), now)?;
            }
            Err(why) => return Err(why.into()),
        }
    }
    store::save_campaign_because(conn, &mut locked.campaign, state, Happened::CampaignResumed, by, why, now)?;
    Ok(locked)
}

/// Stops a schedule and its runs for good, and its campaign when that was the last one; or a
/// campaign with all its schedules, also one that has finished while its bots still talk:
/// they fall silent.
///
/// A campaign that waits for its file to be launched is a draft again.
pub fn stop(
    conn: &mut PgConnection,
    target: impl Into<Target>,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| match target.into() {
        Target::Schedule(id) => {
            let mut locked = store::lock_schedule(conn, id)?;
            locked.campaign.state.lets_schedules_change()?;
            each(conn, &mut locked, Happened::ScheduleStopped, by, now, |it| it.stop(now))?;
            finish_locked(conn, &mut locked.campaign, now)?;
            Ok(locked)
        }
        Target::Campaign(id) => {
            let (mut locked, was_to_launch) = lock_to_hold(conn, id, by, now)?;
            if was_to_launch {
                return Ok(locked);
            }
            let state = locked.campaign.state.stop_with(store::talks_with_somebody(conn, id)?)?;
            let going = |it: &LockedSchedule| it.schedule.state.stopped().is_ok();
            some(conn, &mut locked, going, Happened::ScheduleStopped, by, now, |it| it.stop(now))?;
            stop_tests(conn, id, now)?;
            store::save_campaign(conn, &mut locked.campaign, state, Happened::CampaignStopped, by, now)?;
            Ok(locked)
        }
    })
}

/// Carries out a verb on every schedule that is held, and writes what has become of it.
fn each(
    conn: &mut PgConnection,
    locked: &mut Locked,
    happened: Happened,
    by: Actor,
    now: DateTime<Utc>,
    verb: impl FnMut(&mut LockedSchedule) -> Result<(), Refused>,
) -> Result<(), Error<Refused>> {
    some(conn, locked, |_| true, happened, by, now, verb)
}

/// The same on those for which it is meant.
fn some(
    conn: &mut PgConnection,
    locked: &mut Locked,
    is_meant: impl Fn(&LockedSchedule) -> bool,
    happened: Happened,
    by: Actor,
    now: DateTime<Utc>,
    mut verb: impl FnMut(&mut LockedSchedule) -> Result<(), Refused>,
) -> Result<(), Error<Refused>> {
    for it in locked.schedules.iter_mut().filter(|it| is_meant(it)) {
        verb(it)?;
        store::save(conn, it, happened, by, None, now)?;
    }
    Ok(())
}

/// Locks a campaign that is to be paused or stopped, and whether nothing is left to do: it
/// was waiting for its file to be launched, and now is a draft that nobody launches.
///
/// The launch is struck off before the campaign is locked, as the launch itself does it. One
/// that is under way comes first, and what it has launched is paused or stopped like any other.
fn lock_to_hold(conn: &mut PgConnection, id: CampaignId, by: Actor, now: DateTime<Utc>) -> QueryResult<(Locked, bool)> {
    let was_to_launch = campaigns::store::take_launch(conn, id)?.is_some();
    let mut locked = store::lock_campaign(conn, id)?;
    let is_draft = locked.campaign.state == CampaignState::Draft;
    if was_to_launch && is_draft {
        let happened = Happened::CampaignLaunchTakenBack;
        store::save_campaign(conn, &mut locked.campaign, CampaignState::Draft, happened, by, now)?;
    }
    Ok((locked, was_to_launch && is_draft))
}

/// A test message that is still to leave stays here: nobody is going to resume it.
fn stop_tests(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    for mut run in runs::store::lock_open_tests(conn, id)? {
        run.stop(now)?;
        runs::store::save(conn, &run, now)?;
    }
    Ok(())
}

// ---- everything --------------------------------------------------------------------

/// Pauses every active campaign. Returns how many. The safe alternative to STOP: [`resume_all`] takes it back.
pub fn pause_all(conn: &mut PgConnection, by: impl Into<Actor>, now: DateTime<Utc>) -> Result<usize, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| {
        locks::take_halt(conn, true)?;
        take_back_launches(conn, by, now)?;
        Ok(store::pause_all(conn, &States::pausable(now), by, now)?)
    })
}

/// Takes one PAUSE of everything back: what it paused goes on, and nothing that was paused before,
/// after or in between by other means. Returns how many campaigns went on.
///
/// A transaction for each: one that waits for its campaign keeps no other from going on, and what
/// was not come to is still remembered.
pub fn resume_all(
    conn: &mut PgConnection,
    pause: PauseAllId,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<usize, Error<Refused>> {
    let (by, mut n) = (by.into(), 0);
    for id in store::paused_with(conn, pause)? {
        n += conn.transaction(|conn| {
            locks::take_halt(conn, false)?;
            let locked = store::lock_campaign(conn, id)?;
            // Somebody else may have come first.
            if !store::is_paused_with(conn, id, pause)? {
                return Ok::<_, Error<Refused>>(0);
            }
            go_on(conn, locked, Some("RESUME of everything"), by, now)?;
            Ok(1)
        })?;
    }
    Ok(n)
}

/// What [`pause_all`] would hit.
pub fn would_pause(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<WouldPause> {
    store::would_pause(conn, &States::pausable(now))
}

/// Stops everything that is not stopped. Irreversible. Drafts are left alone: they send nothing.
pub fn stop_all(conn: &mut PgConnection, by: impl Into<Actor>, now: DateTime<Utc>) -> Result<Hit, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| {
        locks::take_halt(conn, true)?;
        take_back_launches(conn, by, now)?;
        Ok(store::stop_all(conn, &States::stoppable(now), by, now)?)
    })
}

/// Drafts that wait for their file are launched by nobody any more.
fn take_back_launches(conn: &mut PgConnection, by: Actor, now: DateTime<Utc>) -> QueryResult<()> {
    let drafts = campaigns::store::take_launches(conn)?;
    let draft = CampaignState::Draft.word();
    let entry =
        |id: &CampaignId| Entry::new(Happened::CampaignLaunchTakenBack, *id, by).of(*id).was(draft).became(draft);
    journal::note_all(conn, &drafts.iter().map(entry).collect::<Vec<_>>(), now)
}

/// What [`stop_all`] would hit.
pub fn would_stop(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<WouldStop> {
    store::would_stop(conn, &States::stoppable(now))
}

// ---- changes -----------------------------------------------------------------------

/// Moves the end of a schedule, or changes its rate from now on.
pub fn edit(
    conn: &mut PgConnection,
    id: ScheduleId,
    edit: Edit,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    let by = by.into();
    conn.transaction(|conn| {
        let mut locked = store::lock_schedule(conn, id)?;
        let Locked { campaign, schedules } = &mut locked;
        campaign.state.lets_schedules_change()?;
        let calendar = calendars::of(conn, campaign.zone, &campaign.quiet)?;
        for it in schedules {
            let waiting = waiting(conn, it.edited_run())?;
            let changed = it.edit(edit, campaign.zone, &calendar, waiting, now)?;
            if !changed.is_empty() {
                store::save(conn, it, Happened::ScheduleEdited, by, Some(&changed.join(", ")), now)?;
            }
        }
        Ok(locked)
    })
}

/// Gives a paused or overrun schedule until `end` (by the clock of its campaign; a time without
/// a day: when it next comes) and lets it go on; its campaign with it, if that had finished.
pub fn extend(
    conn: &mut PgConnection,
    id: ScheduleId,
    end: impl Into<End>,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    let (by, end) = (by.into(), end.into());
    conn.transaction(|conn| {
        locks::take_halt(conn, false)?;
        let mut locked = store::lock_schedule(conn, id)?;
        let Locked { campaign, schedules } = &mut locked;
        let state = campaign.state.extend()?;
        let calendar = calendars::of(conn, campaign.zone, &campaign.quiet)?;
        for it in schedules {
            let waiting = waiting(conn, it.newest())?;
            let ends = it.extend(end, campaign.zone, &calendar, waiting, now)?;
            let ends = ends.with_timezone(&campaign.zone).format("%Y-%m-%d %H:%M %Z");
            let why = format!("end time extended to {ends}");
            store::save(conn, it, Happened::ScheduleExtended, by, Some(&why), now)?;
        }
        if state != campaign.state {
            store::save_campaign(conn, campaign, state, Happened::CampaignExtended, by, now)?;
        }
        Ok(locked)
    })
}

/// Contacts of a run that come round again.
fn waiting(conn: &mut PgConnection, run: Option<&Run>) -> QueryResult<i64> {
    run.map_or(Ok(0), |run| deliveries::counts::waiting(conn, run.id))
}

/// Puts an ended campaign out of sight, with what it has.
pub fn archive(
    conn: &mut PgConnection,
    id: CampaignId,
    by: impl Into<Actor>,
    now: DateTime<Utc>,
) -> Result<Locked, Error<Refused>> {
    conn.transaction(|conn| {
        let mut locked = store::lock_campaign(conn, id)?;
        let state = locked.campaign.state.archive()?;
        store::save_campaign(conn, &mut locked.campaign, state, Happened::CampaignArchived, by.into(), now)?;
        Ok(locked)
    })
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
        let campaign = campaigns::store::lock(conn, id)?;
        if campaign.validity == validity {
            return Ok(());
        }
        campaigns::store::set_validity(conn, id, validity)?;
        let (state, was) = (campaign.state.word(), campaign.validity.words());
        let why = format!("validity {was} → {}", validity.words());
        let entry = Entry::new(Happened::CampaignEdited, id, by).of(id).was(state).became(state).why(&why);
        Ok(journal::note(conn, entry, now)?)
    })
}
