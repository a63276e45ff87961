//! What people and the clock do to the files of a daily campaign. Each function is one transaction.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use super::domain::{
    DailyFile, DailyPlan, DropCheck, DropFacts, DropRefusal, DropState, DropTemplate, DropVerdict, Mode, Refused,
    came_to_nothing, judge, today,
};
use super::store::{self, Tally};
use crate::access::Actor;
use crate::campaigns::{Campaign, CampaignKind, CampaignState};
use crate::contacts::addresses::TwoWays;
use crate::control::clockwork::{Planned, plan_run};
use crate::db::Error;
use crate::deliveries::actions::{NotAppended, append, take_back};
use crate::files::domain::File;
use crate::ids::{CampaignId, DropId, FileId, RunId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::pacing::{self, Window};
use crate::schedules::same_group;
use crate::schedules::{Schedule, ScheduleState};
use crate::{campaigns, files, runs, schedules};

// ---- the plan --------------------------------------------------------------------

/// Says when the file of a daily campaign is expected and what it is called. After the
/// launch it holds from the next window on.
pub fn set_plan(
    conn: &mut PgConnection,
    id: CampaignId,
    plan: &DailyPlan,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = campaigns::store::lock(conn, id)?;
        must_take_plan(&campaign)?;
        let is_draft = campaign.state == CampaignState::Draft;
        store::save_plan(conn, id, plan)?;
        if !is_draft {
            store::set_closes_at(conn, id, plan.next_close(campaign.zone, now))?;
        }
        let name = if plan.expected_name.is_empty() { "any name" } else { &plan.expected_name };
        let (opens, closes) = (plan.opens.format("%H:%M"), plan.closes.format("%H:%M"));
        let why = format!("{}, {opens} to {closes}, {name}", plan.days.words());
        journal::note(conn, Entry::new(Happened::DailyPlanned, id, by).of(id).why(&why), now)?;
        Ok(())
    })
}

/// Begins to wait for files: called by the launch of the campaign, which holds its lock.
/// The columns of its sample file are kept from now on.
pub fn begin(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<()> {
    let campaign = campaigns::store::find(conn, id)?;
    if let Some(template) = store::template(conn, id)? {
        store::save_template(conn, id, &template)?;
    }
    let plan = store::plan(conn, id)?;
    store::set_closes_at(conn, id, plan.and_then(|plan| plan.next_close(campaign.zone, now)))
}

/// What has to be known before a file is received: what it holds and how it is read, when it
/// is expected, and the zone.
pub fn ready(conn: &mut PgConnection, id: CampaignId) -> Result<(DropTemplate, DailyPlan, Tz), Error<Refused>> {
    let campaign = campaigns::store::find(conn, id)?;
    must_take_files(&campaign)?;
    let plan = store::plan(conn, id)?.ok_or(Refused::NotDaily)?;
    let template = store::template(conn, id)?.ok_or(Refused::NotDaily)?;
    Ok((template, plan, campaign.zone))
}

// ---- a file comes ----------------------------------------------------------------

/// Judges a file that was dropped, and orders its import if it is let in. `file`: `None`
/// when it had nothing below its header row, and so was not kept.
pub fn take(
    conn: &mut PgConnection,
    campaign: CampaignId,
    name: &str,
    file: Option<FileId>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<DailyFile, Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = campaigns::store::lock(conn, campaign)?;
        must_take_files(&campaign)?;
        let mut dropped = DailyFile {
            id: DropId(0),
            campaign: campaign.id,
            day: today(campaign.zone, now),
            file,
            name: name.to_owned(),
            state: DropState::Asked,
            allowed: Default::default(),
            dropped_at: now,
        };
        let new_columns = judge_again(conn, &campaign, &mut dropped, by, now)?;
        dropped.id = store::insert(conn, &dropped, by)?;
        store::set_new_columns(conn, dropped.id, &new_columns)?;
        record_drop(conn, &dropped, by, now)?;
        Ok(dropped)
    })
}

/// Writes down that something was dropped of which nothing can be made.
pub fn refuse(
    conn: &mut PgConnection,
    campaign: CampaignId,
    name: &str,
    why: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<DailyFile, Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = campaigns::store::lock(conn, campaign)?;
        must_take_files(&campaign)?;
        let mut dropped = DailyFile {
            id: DropId(0),
            campaign: campaign.id,
            day: today(campaign.zone, now),
            file: None,
            name: name.to_owned(),
            state: DropState::Refused { failed: DropCheck::File, why: why.to_owned() },
            allowed: Default::default(),
            dropped_at: now,
        };
        dropped.id = store::insert(conn, &dropped, by)?;
        record_drop(conn, &dropped, by, now)?;
        Ok(dropped)
    })
}

/// Lets a refused file pass the check that it failed, once, and judges it again.
/// `end`: the new end time, local, where that is what it needs.
pub fn allow(
    conn: &mut PgConnection,
    id: DropId,
    failed: DropCheck,
    end: Option<NaiveTime>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<DailyFile, Error<Refused>> {
    conn.transaction(|conn| {
        let (campaign, mut dropped) = hold(conn, id)?;
        let zone = campaign.zone;
        let ends = end.map(|end| pacing::instant(dropped.day, end, zone));
        let why = match (&dropped.state, end) {
            (DropState::Refused { why, .. }, Some(end)) => format!("{why} New end time: {}.", end.format("%H:%M")),
            (DropState::Refused { why, .. }, None) => format!("although: {why}"),
            (DropState::Importing(_) | DropState::Asked | DropState::Launched(_), _) => String::new(),
        };
        dropped.allow(failed, ends, today(zone, now))?;
        if failed == DropCheck::End && ends.is_none_or(|ends| ends <= now) {
            return Err(Refused::EndNotInFuture.into());
        }
        journal::note(conn, Entry::new(Happened::DropAllowed, id, by).of(dropped.campaign).why(&why), now)?;
        let new_columns = judge_again(conn, &campaign, &mut dropped, by, now)?;
        store::save(conn, &dropped)?;
        store::set_allowed_by(conn, id, by)?;
        store::set_new_columns(conn, id, &new_columns)?;
        record_drop(conn, &dropped, by, now)?;
        Ok(dropped)
    })
}

/// Answers the question a second file asks: its import is ordered, to add or to replace.
pub fn decide(
    conn: &mut PgConnection,
    id: DropId,
    mode: Mode,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<DailyFile, Error<Refused>> {
    conn.transaction(|conn| {
        let (campaign, mut dropped) = hold(conn, id)?;
        if dropped.state == DropState::Asked && dropped.day != today(campaign.zone, now) {
            return Err(Refused::OtherDay.into());
        }
        dropped.decide(mode)?;
        let template = store::template(conn, campaign.id)?.ok_or(Refused::NotDaily)?;
        let new_columns = order_import(conn, &mut dropped, template, by, now)?;
        store::save(conn, &dropped)?;
        store::set_decided(conn, id, Some(by), now)?;
        store::set_new_columns(conn, id, &new_columns)?;
        record_drop(conn, &dropped, by, now)?;
        Ok(dropped)
    })
}

/// Leaves a second file out. `who`: the name of the person.
pub fn leave(
    conn: &mut PgConnection,
    id: DropId,
    by: UserId,
    who: &str,
    now: DateTime<Utc>,
) -> Result<DailyFile, Error<Refused>> {
    conn.transaction(|conn| {
        let (_, mut dropped) = hold(conn, id)?;
        dropped.leave(who)?;
        store::save(conn, &dropped)?;
        store::set_decided(conn, id, Some(by), now)?;
        record_drop(conn, &dropped, by, now)?;
        Ok(dropped)
    })
}

/// Takes a file that was refused off the list of the day, where it has been read.
pub fn dismiss(
    conn: &mut PgConnection,
    id: DropId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<DailyFile, Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::find(conn, id)?.campaign;
        campaigns::store::lock(conn, campaign)?;
        let dropped = store::lock(conn, id)?;
        dropped.dismiss()?;
        if store::dismiss(conn, id, now)? {
            let entry = Entry::new(Happened::DropDismissed, id, by).of(campaign).why(&dropped.name);
            journal::note(conn, entry, now)?;
        }
        Ok(dropped)
    })
}

/// A dropped file, locked under its campaign, which still takes files.
fn hold(conn: &mut PgConnection, id: DropId) -> Result<(Campaign, DailyFile), Error<Refused>> {
    let campaign = store::find(conn, id)?.campaign;
    let campaign = campaigns::store::lock(conn, campaign)?;
    must_take_files(&campaign)?;
    Ok((campaign, store::lock(conn, id)?))
}

/// Its plan is made while it is a draft and may be changed while it takes files.
pub fn must_take_plan(campaign: &Campaign) -> Result<(), Refused> {
    match must_take_files(campaign) {
        Err(Refused::IsDraft) => Ok(()),
        answer => answer,
    }
}

fn must_take_files(campaign: &Campaign) -> Result<(), Refused> {
    if campaign.kind != CampaignKind::Daily {
        return Err(Refused::NotDaily);
    }
    match campaign.state {
        CampaignState::Active | CampaignState::Paused => Ok(()),
        CampaignState::Draft => Err(Refused::IsDraft),
        CampaignState::Stopped => Err(Refused::Stopped),
        CampaignState::Finished => Err(Refused::Finished),
        CampaignState::Archived => Err(Refused::Archived),
    }
}

/// Schedules that may still run, in their order.
fn schedules_of(conn: &mut PgConnection, campaign: &Campaign) -> QueryResult<Vec<Schedule>> {
    let mut found = schedules::store::of_campaigns(conn, &[campaign.id])?;
    found.retain(|schedule| matches!(schedule.state, ScheduleState::Active | ScheduleState::Paused { .. }));
    Ok(found)
}

/// Judges a file as things are now, and orders its import if it is let in. Returns the
/// columns it brought along.
fn judge_again(
    conn: &mut PgConnection,
    campaign: &Campaign,
    dropped: &mut DailyFile,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<String>, Error<Refused>> {
    let plan = store::plan(conn, campaign.id)?.ok_or(Refused::NotDaily)?;
    let template = store::template(conn, campaign.id)?.ok_or(Refused::NotDaily)?;
    let schedules = schedules_of(conn, campaign)?;
    if schedules.is_empty() {
        return Err(Refused::NoSchedules.into());
    }
    let windows: Vec<Window> =
        schedules.iter().filter_map(|schedule| schedule.plan.window_on(dropped.day, campaign.zone).ok()).collect();
    let headers = match dropped.file {
        Some(file) => files::store::find(conn, file)?.head.headers,
        None => Vec::new(),
    };
    let same = match dropped.file {
        Some(file) => store::same_on(conn, campaign.id, dropped.day, file)?,
        None => None,
    };
    let facts = DropFacts {
        name: &dropped.name,
        has_rows: dropped.file.is_some(),
        headers: &headers,
        same,
        another: store::has_taken(conn, campaign.id, dropped.day)?,
        windows: &windows,
        allowed: dropped.allowed,
    };
    match judge(&plan, &template, &facts, campaign.zone, now) {
        DropVerdict::Refused(refusal) => {
            forget_if_hopeless(conn, dropped, &refusal)?;
            dropped.state = DropState::Refused { failed: refusal.check(), why: refusal.to_string() };
            Ok(Vec::new())
        }
        DropVerdict::Ask => {
            dropped.state = DropState::Asked;
            Ok(Vec::new())
        }
        DropVerdict::Waits { .. } | DropVerdict::Late => {
            dropped.state = DropState::Importing(Mode::First);
            order_import(conn, dropped, template, by, now)
        }
    }
}

/// Nothing is kept of a file that no one can let in.
fn forget_if_hopeless(conn: &mut PgConnection, dropped: &mut DailyFile, refusal: &DropRefusal) -> QueryResult<()> {
    match dropped.file.take_if(|_| !refusal.check().has_a_way_on()) {
        Some(file) => files::store::delete(conn, file),
        None => Ok(()),
    }
}

/// Sends a file to be imported as the template says, and takes its new columns into the
/// template. Returns those.
fn order_import(
    conn: &mut PgConnection,
    dropped: &mut DailyFile,
    mut template: DropTemplate,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<String>, Error<Refused>> {
    let id = dropped.file.ok_or(Refused::NotKept)?;
    let headers = files::store::find(conn, id)?.head.headers;
    let new_columns = template.take_in(&headers);
    if !new_columns.is_empty() {
        store::save_template(conn, dropped.campaign, &template)?;
        let why = format!("{} came with {}", new_columns.join(", "), dropped.name);
        journal::note(conn, Entry::new(Happened::ColumnsAdded, id, by).of(dropped.campaign).why(&why), now)?;
    }
    match files::actions::import(conn, id, template.mapping(&headers), template.region, template.two_ways, by, now) {
        Ok(_) => {}
        Err(Error::Database(error)) => return Err(error.into()),
        Err(Error::Refused(why)) => {
            dropped.state = DropState::Refused { failed: DropCheck::File, why: why.to_string() };
        }
    }
    Ok(new_columns)
}

/// Says what is made of numbers that could be read in two ways in the files that come from now on.
pub fn settle(
    conn: &mut PgConnection,
    id: CampaignId,
    two_ways: TwoWays,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = campaigns::store::lock(conn, id)?;
        must_take_files(&campaign)?;
        let template = store::template(conn, id)?.ok_or(Refused::IsDraft)?;
        if template.two_ways == two_ways {
            return Ok(());
        }
        let (was, became) = (template.two_ways.done(), two_ways.done());
        store::save_template(conn, id, &DropTemplate { two_ways, ..template })?;
        let entry = Entry::new(Happened::DailyTwoWaysChosen, id, by).of(id).was(was).became(became);
        Ok(journal::note(conn, entry, now)?)
    })
}

// ---- its runs --------------------------------------------------------------------

/// What came of a file whose import has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// Its contacts are in the day's runs.
    Done,
    Refused,
    /// A file before it, or the deliveries of a run, are still being written.
    Waits,
    /// Somebody else was quicker.
    NotDue,
}

/// Makes the day's runs of a file that is imported, or gives them its contacts; all or
/// nothing, so whoever dies in between leaves it to be done.
pub fn launch(conn: &mut PgConnection, id: DropId, now: DateTime<Utc>) -> Result<Launch, Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::find(conn, id)?.campaign;
        let campaign = campaigns::store::lock(conn, campaign)?;
        let mut dropped = store::lock(conn, id)?;
        let (DropState::Importing(mode), Some(file)) = (&dropped.state, dropped.file) else {
            return Ok(Launch::NotDue);
        };
        let (mode, file) = (*mode, files::store::find(conn, file)?);
        if store::is_behind_another(conn, &dropped)? {
            return Ok(Launch::Waits);
        }
        let refused = match (came_to_nothing(&file), must_take_files(&campaign)) {
            (Some(why), _) => Some((DropCheck::File, why)),
            (None, Err(unchanged)) => Some((DropCheck::Run, unchanged.to_string())),
            (None, Ok(())) => None,
        };
        if let Some((failed, why)) = refused {
            return refuse_late(conn, &campaign, &mut dropped, failed, why, now);
        }
        let runs = store::runs_on(conn, campaign.id, dropped.day)?;
        let (tally, words) = if runs.is_empty() {
            (make_runs(conn, &campaign, &dropped, &file, now)?, "made the day's runs".to_owned())
        } else {
            match join_runs(conn, &campaign, &runs, &file, mode, now)? {
                Joined::Waits => return Ok(Launch::Waits),
                Joined::Refused(why) => {
                    return refuse_late(conn, &campaign, &mut dropped, DropCheck::Run, why, now);
                }
                Joined::Done(tally, words) => (tally, words),
            }
        };
        dropped.state = DropState::Launched(mode);
        store::save(conn, &dropped)?;
        store::set_tally(conn, id, &tally)?;
        store::set_decided(conn, id, None, now)?;
        let why = format!("{}: {} contacts, {words}", dropped.name, tally.contacts);
        journal::note(
            conn,
            Entry::new(Happened::DropLaunched, id, Actor::Clock)
                .of(campaign.id)
                .was("importing")
                .became("launched")
                .why(&why),
            now,
        )?;
        Ok(Launch::Done)
    })
}

fn make_runs(
    conn: &mut PgConnection,
    campaign: &Campaign,
    dropped: &DailyFile,
    file: &File,
    now: DateTime<Utc>,
) -> QueryResult<Tally> {
    let plans = schedules_of(conn, campaign)?;
    let served: Vec<String> = plans.iter().filter_map(|schedule| schedule.plan.group.clone()).collect();
    // One of the runs answers for the rows that none of them serves.
    let mut answers = campaign.group_by.is_some();
    for schedule in &plans {
        let Ok(mut window) = schedule.plan.window_on(dropped.day, campaign.zone) else { continue };
        if let Some(ends) = dropped.allowed.ends
            && window.ends <= now
        {
            window.ends = window.ends.max(ends);
        }
        let served = std::mem::take(&mut answers).then_some(served.as_slice());
        let run = plan_run(conn, campaign, schedule, &Planned { window, file: Some(file.id), served })?;
        keep_still(conn, campaign, schedule, run, now)?;
    }
    let no_group = no_group(conn, campaign, file, &served)?;
    Ok(Tally { contacts: file.counts.good, already_there: 0, no_group })
}

/// Pauses a run that would go on though its schedule or its campaign is paused.
fn keep_still(
    conn: &mut PgConnection,
    campaign: &Campaign,
    schedule: &Schedule,
    run: RunId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    if campaign.state != CampaignState::Paused && !matches!(schedule.state, ScheduleState::Paused { .. }) {
        return Ok(());
    }
    let mut run = runs::store::lock(conn, run)?;
    if run.pause(now).is_ok() {
        runs::store::save(conn, &run, now)?;
    }
    Ok(())
}

/// How many contacts of a file no schedule serves.
fn no_group(conn: &mut PgConnection, campaign: &Campaign, file: &File, served: &[String]) -> QueryResult<i64> {
    let Some(by) = &campaign.group_by else { return Ok(0) };
    let is_served = |value: &str| served.iter().any(|group| same_group(group, value));
    let groups = files::store::groups(conn, file.id, by)?;
    Ok(groups.into_iter().filter(|(value, _)| !value.as_deref().is_some_and(is_served)).map(|(_, n)| n).sum())
}

enum Joined {
    Done(Tally, String),
    Refused(String),
    Waits,
}

/// Gives the day's runs the contacts of another file. Nobody is in two of them who was
/// in one before, unless two schedules serve the same people.
fn join_runs(
    conn: &mut PgConnection,
    campaign: &Campaign,
    ids: &[RunId],
    file: &File,
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<Joined, Error<Refused>> {
    let schedules = schedules_of(conn, campaign)?;
    let mut runs_of = HashMap::new();
    // All of them are locked before any is changed: no claim comes between.
    let mut groups = Vec::new();
    for id in ids {
        let run = runs::store::lock(conn, *id)?;
        if !run.prepared {
            return Ok(Joined::Waits);
        }
        runs_of.insert(*id, schedules.iter().find(|schedule| schedule.id == run.schedule_id));
        groups.push((*id, runs::store::group(conn, *id)?.map(|group| group.value)));
    }
    let (mut taking, mut refused, mut replaced) = (Vec::new(), None, 0);
    for (id, _) in &groups {
        let taken_back = match (mode, runs_of[id]) {
            // Its schedule was stopped after it was through.
            (_, None) => Err(NotAppended::Refused(runs::Refused::Stopped)),
            (Mode::Replace, Some(_)) => take_back(conn, *id, now),
            // Whether it takes more is asked without giving it any.
            (Mode::First | Mode::Add, Some(_)) => can_take(conn, *id, now).map(|()| 0),
        };
        match taken_back {
            Ok(n) => {
                replaced += n;
                taking.push(*id);
            }
            Err(NotAppended::Refused(why)) => refused = Some(why),
            Err(NotAppended::Database(error)) => return Err(error.into()),
        }
    }
    if let (true, Some(why)) = (taking.is_empty(), refused) {
        return Ok(Joined::Refused(format!("Today's runs take no more contacts. {why}")));
    }
    let (mut added, mut already_there) = (0, 0);
    for (id, group) in groups.iter().filter(|(id, _)| taking.contains(id)) {
        let serves_others = |other: &Option<String>| match (group, other) {
            (Some(one), Some(other)) => !same_group(one, other),
            (None, _) | (_, None) => false,
        };
        let beside: Vec<RunId> =
            groups.iter().filter(|(_, other)| serves_others(other)).map(|(other, _)| *other).collect();
        match append(conn, *id, file.id, &beside, now) {
            Ok(it) => {
                if let Some(schedule) = runs_of[id] {
                    keep_still(conn, campaign, schedule, *id, now)?;
                }
                added += it.added;
                already_there = it.already_there.max(already_there);
            }
            Err(NotAppended::Refused(_)) => {}
            Err(NotAppended::Database(error)) => return Err(error.into()),
        }
    }
    let served: Vec<String> = groups.into_iter().filter_map(|(_, group)| group).collect();
    let tally = Tally { contacts: file.counts.good, already_there, no_group: no_group(conn, campaign, file, &served)? };
    let mut words = format!("{added} added");
    if mode == Mode::Replace {
        words = format!("{replaced} unsent replaced, {words}");
    }
    if taking.len() < ids.len() {
        words.push_str("; some of the day's runs had ended");
    }
    Ok(Joined::Done(tally, words))
}

fn can_take(conn: &mut PgConnection, id: RunId, now: DateTime<Utc>) -> Result<(), NotAppended> {
    let mut run = runs::store::find(conn, id)?;
    let holds = runs::store::holds(conn, &run)?;
    Ok(run.add(0, &holds, now)?)
}

/// Refuses a file that was let in before its rows were known. Should its window have
/// closed meanwhile, the day is missed after all.
fn refuse_late(
    conn: &mut PgConnection,
    campaign: &Campaign,
    dropped: &mut DailyFile,
    failed: DropCheck,
    why: String,
    now: DateTime<Utc>,
) -> Result<Launch, Error<Refused>> {
    dropped.state = DropState::Refused { failed, why: why.clone() };
    store::save(conn, dropped)?;
    store::set_decided(conn, dropped.id, None, now)?;
    let why = format!("{}: {why}", dropped.name);
    journal::note(
        conn,
        Entry::new(Happened::DropRefused, dropped.id, Actor::Clock)
            .of(campaign.id)
            .was("importing")
            .became("refused")
            .why(&why),
        now,
    )?;
    let closed = store::plan(conn, campaign.id)?
        .and_then(|plan| plan.window_on(dropped.day, campaign.zone))
        .is_some_and(|window| window.ends <= now);
    if closed {
        miss(conn, campaign, dropped.day, now)?;
    }
    Ok(Launch::Refused)
}

// ---- a window closes ---------------------------------------------------------------

/// Looks at a window that has closed: a day without a file was missed. Returns whether
/// it was, or `None` when no window has closed.
pub fn close(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<Option<bool>> {
    conn.transaction(|conn| {
        let campaign = campaigns::store::lock(conn, id)?;
        let Some(closed) = store::closes_at(conn, id)?.filter(|at| *at <= now) else { return Ok(None) };
        let waits = matches!(campaign.state, CampaignState::Active | CampaignState::Paused);
        let plan = store::plan(conn, id)?.filter(|_| waits);
        store::set_closes_at(conn, id, plan.and_then(|plan| plan.next_close(campaign.zone, closed)))?;
        // While it is paused nobody waits for a file.
        let missed =
            campaign.state == CampaignState::Active && miss(conn, &campaign, today(campaign.zone, closed), now)?;
        Ok(Some(missed))
    })
}

/// Notes that a day was missed, unless a file was taken in. Returns whether it was.
fn miss(conn: &mut PgConnection, campaign: &Campaign, day: NaiveDate, now: DateTime<Utc>) -> QueryResult<bool> {
    if store::has_taken(conn, campaign.id, day)? || !store::miss(conn, campaign.id, day, now)? {
        return Ok(false);
    }
    let why = format!("no file came on {}", day.format("%A %-d %B"));
    journal::note(
        conn,
        Entry::new(Happened::CampaignMissed, campaign.id, Actor::Clock).of(campaign.id).why(&why),
        now,
    )?;
    Ok(true)
}

// ---- writing it down -----------------------------------------------------------------

/// What was made of a file that somebody dropped or decided about.
fn record_drop(conn: &mut PgConnection, dropped: &DailyFile, by: UserId, now: DateTime<Utc>) -> QueryResult<()> {
    let (happened, words) = match &dropped.state {
        DropState::Importing(mode) => (Happened::DropAccepted, format!(" ({})", mode.word())),
        DropState::Asked => (Happened::DropAsked, ": another file came before it".to_owned()),
        DropState::Launched(_) => (Happened::DropLaunched, String::new()),
        DropState::Refused { why, .. } => (Happened::DropRefused, format!(": {why}")),
    };
    let why = format!("{}{words}", dropped.name);
    journal::note(conn, Entry::new(happened, dropped.id, by).of(dropped.campaign).why(&why), now)
}
