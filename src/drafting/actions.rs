//! What makes and changes a draft, and launches it. Each function is one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;

use crate::campaigns::store::named;
use crate::campaigns::store::{self, Lists};
use crate::campaigns::{self, Campaign, CampaignKind, CampaignState, Freeze};
use crate::control::clockwork::{Planned, plan_run};
use crate::db::{Error, locks, unless_taken};
use crate::drafting::Refused;
use crate::drafting::approvals;
use crate::drafting::audience;
use crate::drafting::obstacles::obstacles;
use crate::drafting::own_yes::{self, Matter};
use crate::drafting::review;
use crate::ids::{CampaignId, FileId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::lists::store::AudienceTarget;
use crate::schedules::{self, Draft, When};
use crate::settings::Override;
use crate::{daily, files, lists};

/// Begins a draft. Nothing is sent before it is launched.
pub fn create(
    conn: &mut PgConnection,
    name: &str,
    kind: CampaignKind,
    zone: Tz,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<CampaignId, Error<Refused>> {
    conn.transaction(|conn| {
        let id = named(store::insert(conn, name, kind, zone, by, now), name)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignCreated, id, by).of(id).became(CampaignState::Draft.word()),
            now,
        )?;
        Ok(id)
    })
}

/// What the first form of a campaign says.
#[derive(Clone, Debug)]
pub struct Basics {
    pub name: String,
    pub kind: CampaignKind,
    pub zone: Tz,
}

/// Renames a campaign; a draft also changes its kind and its zone. The schedules of one that
/// becomes of another kind stay and have to be saved anew.
pub fn edit(
    conn: &mut PgConnection,
    id: CampaignId,
    new: &Basics,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::lock(conn, id)?;
        let (kind, zone) = match campaign.state {
            CampaignState::Draft => (new.kind, new.zone),
            _ => (campaign.kind, campaign.zone),
        };
        let changes: Vec<String> = [
            ("name", campaign.name.as_str(), new.name.as_str()),
            ("kind", campaign.kind.word(), kind.word()),
            ("time zone", campaign.zone.name(), zone.name()),
        ]
        .into_iter()
        .filter(|(_, was, became)| was != became)
        .map(|(what, was, became)| format!("{what} {was} → {became}"))
        .collect();
        if changes.is_empty() {
            return Ok(());
        }
        named(store::set_basics(conn, id, &new.name, zone), &new.name)?;
        if kind != campaign.kind {
            if kind == CampaignKind::Recurring {
                store::set_group_by(conn, id, None)?;
            }
            store::set_kind(conn, id, kind)?;
        }
        let state = campaign.state.word();
        let changes = changes.join(", ");
        let entry = Entry::new(Happened::CampaignEdited, id, by).of(id).was(state).became(state).why(&changes);
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// Gives a draft its file, or takes it away.
pub fn set_file(
    conn: &mut PgConnection,
    id: CampaignId,
    file: Option<FileId>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        if campaign.file_id == file {
            return Ok(());
        }
        let (was, became) = (file_name(conn, campaign.file_id)?, file_name(conn, file)?);
        edited(conn, id, Happened::CampaignFileChanged, (&was, &became), by, now)?;
        if file.is_none() {
            // Without a file there are no columns to group by.
            store::set_group_by(conn, id, None)?;
        }
        store::set_file(conn, id, file)?;
        Ok(())
    })
}

/// Gives a draft lists to go to, and says when they become an audience.
pub fn set_lists(
    conn: &mut PgConnection,
    id: CampaignId,
    lists: &Lists,
    freeze: Freeze,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        let old = store::lists(conn, id)?;
        let (was, became) = (list_words(conn, &old, campaign.freeze)?, list_words(conn, lists, freeze)?);
        if was == became {
            return Ok(());
        }
        edited(conn, id, Happened::CampaignListsChanged, (&was, &became), by, now)?;
        store::set_lists(conn, id, lists)?;
        if campaign.kind == CampaignKind::Recurring || campaign.file_id.is_none() {
            // Lists have no columns to group by.
            store::set_group_by(conn, id, None)?;
        }
        Ok(store::set_freeze(conn, id, freeze)?)
    })
}

/// Splits a draft's contacts by the value of a field, or takes that back.
pub fn set_group_by(
    conn: &mut PgConnection,
    id: CampaignId,
    field: Option<&str>,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        if campaign.group_by.as_deref() == field {
            return Ok(());
        }
        if let Some(field) = field {
            must_group(conn, &campaign, field)?;
        }
        let change = (campaign.group_by.as_deref().unwrap_or(NONE), field.unwrap_or(NONE));
        edited(conn, id, Happened::CampaignGroupingChanged, change, by, now)?;
        Ok(store::set_group_by(conn, id, field)?)
    })
}

/// Lets a draft have quiet hours of its own, or none.
pub fn set_quiet(
    conn: &mut PgConnection,
    id: CampaignId,
    own: &Override,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        if campaign.quiet == *own {
            return Ok(());
        }
        edited(conn, id, Happened::CampaignQuietChanged, (&campaign.quiet.words(), &own.words()), by, now)?;
        Ok(store::set_quiet(conn, id, own)?)
    })
}

/// The constraint that says so.
const ONE_NAME: &str = "one_schedule_per_name";

/// Gives a draft one more schedule.
pub fn add_schedule(
    conn: &mut PgConnection,
    id: CampaignId,
    plan: &Draft,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<ScheduleId, Error<Refused>> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        let added = schedules::store::insert(conn, id, plan);
        let schedule = unless_taken(added, ONE_NAME, || Refused::ScheduleNameTaken)?;
        let entry = Entry::new(Happened::ScheduleAdded, schedule, by).of(id).became("draft").why(&plan.name);
        journal::note(conn, entry, now)?;
        Ok(schedule)
    })
}

/// Plans a schedule of a draft anew.
pub fn change_schedule(
    conn: &mut PgConnection,
    schedule: ScheduleId,
    plan: &Draft,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = schedules::store::find(conn, schedule)?.campaign_id;
        lock_draft(conn, campaign)?;
        let changes = schedules::store::lock(conn, schedule)?.plan.changes(plan);
        if changes.is_empty() {
            return Ok(());
        }
        let saved = schedules::store::save_plan(conn, schedule, plan);
        unless_taken(saved, ONE_NAME, || Refused::ScheduleNameTaken)?;
        let entry = Entry::new(Happened::ScheduleEdited, schedule, by).of(campaign).was("draft").became("draft");
        journal::note(conn, entry.why(&changes), now)?;
        Ok(())
    })
}

/// `id`: the campaign that it is expected to be of.
pub fn remove_schedule(
    conn: &mut PgConnection,
    id: CampaignId,
    schedule: ScheduleId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        lock_draft(conn, id)?;
        let found = schedules::store::lock(conn, schedule)?;
        if found.campaign_id != id {
            return Err(diesel::result::Error::NotFound.into());
        }
        let name = found.plan.name;
        let others = schedules::store::of_campaigns(conn, &[id])?;
        if let Some(after) = others.iter().find(|it| it.plan.rules.after.is_some_and(|it| it.schedule == schedule)) {
            return Err(Refused::FollowedBy { name, by: after.plan.name.clone() }.into());
        }
        schedules::store::delete(conn, schedule)?;
        let entry = Entry::new(Happened::ScheduleRemoved, schedule, by).of(id).was("draft").why(&name);
        journal::note(conn, entry, now)?;
        Ok(())
    })
}

/// Whether a campaign's file can be split by this column.
fn must_group(conn: &mut PgConnection, campaign: &Campaign, field: &str) -> Result<(), Error<Refused>> {
    let file = campaign.file_id.map(|file| files::store::find(conn, file)).transpose()?;
    let Some(file) = file.filter(|file| matches!(file.state, files::domain::State::Imported { .. })) else {
        return Err(Refused::ImportFirst.into());
    };
    if !audience::data_fields(&file).iter().any(|it| it == field) {
        return Err(Refused::NotAColumn.into());
    }
    match files::store::counted_groups(conn, file.id, field)? {
        Some(_) => Ok(()),
        None => Err(Refused::TooManyGroups.into()),
    }
}

/// What the journal calls what is not there.
const NONE: &str = "none";

/// Notes that something of a draft is another one now.
fn edited(
    conn: &mut PgConnection,
    id: CampaignId,
    happened: Happened,
    (was, became): (&str, &str),
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    journal::note(conn, Entry::new(happened, id, by).of(id).was(was).became(became), now)
}

fn file_name(conn: &mut PgConnection, file: Option<FileId>) -> QueryResult<String> {
    file.map_or(Ok(NONE.to_owned()), |file| files::store::find(conn, file).map(|file| file.name))
}

fn list_words(conn: &mut PgConnection, lists: &Lists, freeze: Freeze) -> QueryResult<String> {
    let include = lists::store::names_of(conn, &lists.include)?;
    let exclude = match lists.exclude.is_empty() {
        true => String::new(),
        false => format!(" without {}", lists::store::names_of(conn, &lists.exclude)?),
    };
    Ok(if include.is_empty() { NONE.to_owned() } else { format!("{include}{exclude}, as of {}", freeze.word()) })
}

/// Removes a draft. What was launched is kept for ever.
pub fn discard(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = lock_draft(conn, id)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignDiscarded, id, by)
                .of(id)
                .was(campaign.state.word())
                .became(campaign.state.word())
                .why(&campaign.name),
            now,
        )?;
        store::delete(conn, id)?;
        Ok(())
    })
}

/// Begins a draft with the contacts and schedules of another campaign, without the day of what runs once.
/// Called “name copy”, “name copy 2” and so on.
pub fn duplicate(
    conn: &mut PgConnection,
    id: CampaignId,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<CampaignId, Error<Refused>> {
    conn.transaction(|conn| {
        let campaign = store::find(conn, id)?;
        let name = store::free_name(conn, &campaign.name, "copy")?;
        let copy = named(store::insert(conn, &name, campaign.kind, campaign.zone, by, now), &name)?;
        store::copy_plan(conn, id, copy)?;
        daily::store::copy_plan(conn, id, copy)?;
        let (mut met, mut copies) = (Vec::new(), HashMap::new());
        for schedule in schedules::store::of_campaigns(conn, &[id])? {
            // A channel that was left and taken up again has two.
            if schedule.plan.when == When::Inbound {
                if met.contains(&schedule.plan.channel_id) {
                    continue;
                }
                met.push(schedule.plan.channel_id);
            }
            let when = match schedule.plan.when {
                // Nobody meant it to go out a second time on that day.
                When::Once { .. } => When::Undecided,
                when @ (When::Undecided | When::Daily | When::Recurring(_) | When::Inbound) => when,
            };
            let new = schedules::store::insert(conn, copy, &Draft { when, ..schedule.plan })?;
            copies.insert(schedule.id, new);
        }
        schedules::store::follow_copies(conn, copy, &copies)?;
        let why = format!("a copy of {}", campaign.name);
        journal::note(
            conn,
            Entry::new(Happened::CampaignCreated, copy, by).of(copy).became(CampaignState::Draft.word()).why(&why),
            now,
        )?;
        Ok(copy)
    })
}

fn lock_draft(conn: &mut PgConnection, id: CampaignId) -> Result<Campaign, Error<Refused>> {
    let campaign = store::lock(conn, id)?;
    match campaign.state {
        CampaignState::Draft => Ok(campaign),
        _ => Err(campaigns::Refused::AlreadyLaunched.into()),
    }
}

/// Launches a draft that somebody has looked at, provided that it is still what they have `seen`, by its
/// fingerprint, and that they have `agreed` to what of it wants a yes of its own, each with at least the figure
/// that it has now.
pub fn launch_agreed(
    conn: &mut PgConnection,
    id: CampaignId,
    seen: Option<&str>,
    agreed: &[(Matter, i64)],
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        // Before anything is locked: a large audience takes its time, and a STOP of everything waits for none of it.
        store::find(conn, id)?.state.launch()?;
        let facts = review::gather(conn, id, by, now)?;
        if seen.is_some_and(|seen| seen != facts.fingerprint) {
            return Err(Refused::ChangedMeanwhile.into());
        }
        if let Some(obstacle) = facts.obstacles.into_iter().next() {
            return Err(obstacle.into());
        }
        let asked = facts.own_yes;
        if let Some(it) = own_yes::not_agreed(&asked, agreed) {
            let before = agreed.iter().find(|(matter, _)| *matter == it.matter).map(|(_, n)| *n);
            return Err(Refused::NotAgreed(it.is_asked(before)).into());
        }
        let noted: Vec<String> = asked.iter().map(|it| it.noted(it.n)).collect();
        launch_noting(conn, id, Some(&facts.fingerprint), &noted.join(", "), by, now)
    })
}

/// Launches a draft. What runs once gets its waiting run, its text pinned; the engine
/// writes the deliveries and starts each run at its time. What recurs gets its next
/// date, and what is daily waits for its file.
pub fn launch(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    launch_noting(conn, id, None, "", by, now)
}

/// `seen`: the fingerprint of what was looked through; `agreed`: what somebody has said yes to, for the journal.
fn launch_noting(
    conn: &mut PgConnection,
    id: CampaignId,
    seen: Option<&str>,
    agreed: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_halt(conn, false)?;
        let campaign = store::lock(conn, id)?;
        let state = campaign.state.launch()?;
        if let Some(file) = campaign.file_id {
            files::store::hold(conn, file)?;
        }
        if let Some(seen) = seen
            && audience::fingerprint_of(conn, &campaign)?.0 != seen
        {
            return Err(Refused::ChangedMeanwhile.into());
        }
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
        let plans = schedules::store::of_campaigns(conn, &[id])?;
        let served: Vec<String> = plans.iter().filter_map(|schedule| schedule.plan.group.clone()).collect();
        let answers = plans.iter().find(|schedule| schedule.plan.rules.after.is_none()).map(|schedule| schedule.id);
        for schedule in &plans {
            match &schedule.plan.when {
                When::Once { date } => {
                    let window = schedule
                        .plan
                        .window_on(*date, campaign.zone)
                        .map_err(|_| Refused::EmptyWindow { schedule: schedule.plan.name.clone() })?;
                    let planned = Planned {
                        window,
                        file: campaign.file_id.filter(|_| !by_lists),
                        // One of the runs answers for the rows that none of them serves.
                        served: (answers == Some(schedule.id)).then_some(served.as_slice()),
                    };
                    plan_run(conn, &campaign, schedule, &planned)?;
                }
                When::Undecided => return Err(Refused::NoDay { schedule: schedule.plan.name.clone() }.into()),
                When::Daily | When::Inbound => {}
                When::Recurring(it) => {
                    let next = it.rule.next(now, campaign.zone, it.last_date);
                    schedules::store::set_next_run(conn, schedule.id, next)?;
                }
            }
        }
        if campaign.kind == CampaignKind::Daily {
            daily::actions::begin(conn, id, now)?;
        }
        store::save_state(conn, id, state, now)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignLaunched, id, by)
                .of(id)
                .was(campaign.state.word())
                .became(state.word())
                .why(agreed),
            now,
        )?;
        Ok(())
    })
}
