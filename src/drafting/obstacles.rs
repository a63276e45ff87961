//! store: What keeps a draft from being launched.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::campaigns::{Campaign, CampaignKind, store};
use crate::channels::templates;
use crate::db::schema::{channels, files as files_table};
use crate::drafting::Refused;
use crate::ids::CampaignId;
use crate::pacing::Rule;
use crate::providers::Kind;
use crate::schedules::{self, After, Draft, Schedule, When, same_group};
use crate::{bots, channels as channels_room, daily, files, lists};

/// Why a draft cannot be launched as it stands; empty when it can.
pub fn obstacles(conn: &mut PgConnection, id: CampaignId, now: DateTime<Utc>) -> QueryResult<Vec<Refused>> {
    let campaign = store::find(conn, id)?;
    let plans = schedules::store::of_campaigns(conn, &[id])?;
    let mut obstacles = Vec::new();
    let (kind, obstacle) = contacts_obstacle(conn, &campaign)?;
    obstacles.extend(obstacle);
    // Consent is kept by kind of channel, so addresses of one kind are not for another.
    let reachable: Option<Vec<i64>> = match kind {
        Some(kind) => Some(channels::table.filter(channels::kind.eq(kind)).select(channels::id).load(conn)?),
        None => None,
    };
    if let (Some(field), Some(file)) = (&campaign.group_by, campaign.file_id) {
        let file = files::store::find(conn, file)?;
        let read = matches!(file.state, files::domain::State::Imported { .. });
        if read && !crate::drafting::audience::data_fields(&file).contains(field) {
            obstacles.push(Refused::NoSuchColumn { field: field.clone() });
        }
    }
    if campaign.kind == CampaignKind::Daily && daily::store::plan(conn, id)?.is_none() {
        obstacles.push(Refused::NoDailyPlan);
    }
    if plans.is_empty() {
        obstacles.push(Refused::NoSchedules);
    }
    for schedule in &plans {
        let name = schedule.plan.name.clone();
        let why = schedule
            .plan
            .rules
            .after
            .and_then(|after| follows_badly(conn, &campaign, &plans, schedule, after).transpose());
        if let Some(why) = why.transpose()? {
            obstacles.push(Refused::FollowsBadly { schedule: name.clone(), why });
        }
        let follows = schedule.plan.rules.after.is_some();
        if !follows && reachable.as_ref().is_some_and(|channels| !channels.contains(&schedule.plan.channel_id.0)) {
            obstacles.push(Refused::OtherKind { schedule: name.clone() });
        }
        if let (Some(field), None, false) = (&campaign.group_by, &schedule.plan.group, follows) {
            obstacles.push(Refused::NoGroup { schedule: name.clone(), field: field.clone() });
        }
        if let Some(filled) = &schedule.plan.template {
            let known = templates::of_channel(conn, schedule.plan.channel_id)?;
            if let Some(why) = templates::refusal(&known, filled) {
                obstacles.push(Refused::Template { schedule: name.clone(), why });
            }
        }
        if let Some(pinned) = schedule.plan.bot {
            let bot = bots::store::find(conn, pinned.bot)?;
            if bot.archived_at.is_some() {
                obstacles.push(Refused::BotArchived { schedule: name.clone(), bot: bot.name });
            }
        }
        if !schedule.plan.when.suits(campaign.kind) {
            obstacles.push(Refused::OtherWhen { schedule: name });
            continue;
        }
        if campaign.kind == CampaignKind::Inbound {
            continue;
        }
        match schedule.plan.first_window(campaign.zone, now) {
            Err(_) => obstacles.push(Refused::EmptyWindow { schedule: name }),
            Ok(None) if schedule.plan.when == When::Undecided => obstacles.push(Refused::NoDay { schedule: name }),
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

/// Why a schedule cannot go to those whom another could not reach; `None`: it can.
fn follows_badly(
    conn: &mut PgConnection,
    campaign: &Campaign,
    plans: &[Schedule],
    schedule: &Schedule,
    after: After,
) -> QueryResult<Option<&'static str>> {
    let Some(before) = plans.iter().find(|it| it.id == after.schedule && it.id != schedule.id) else {
        return Ok(Some("that one is not there any more"));
    };
    let kind = |conn: &mut PgConnection, plan: &Draft| {
        QueryResult::Ok(channels_room::store::find(conn, plan.channel_id)?.kind)
    };
    let (one, other) = (kind(conn, &before.plan)?, kind(conn, &schedule.plan)?);
    let (first, then) = (&before.plan, &schedule.plan);
    Ok(if !matches!(campaign.kind, CampaignKind::OnceOff | CampaignKind::Quick | CampaignKind::Recurring) {
        Some("that is possible only where a run has a day of its own")
    } else if first.rules.after.is_some() {
        Some("that one follows another itself")
    } else if !follows_kind(one, other) {
        Some("its channel has other addresses: only SMS and WhatsApp share them")
    } else if (one == other) && first.channel_id == then.channel_id {
        Some("both send through one channel")
    } else if !same_days(&first.when, &then.when) {
        Some("it does not run on the same days")
    } else if then.start < first.start && then.end > then.start {
        Some("it starts before that one")
    } else {
        None
    })
}

/// Whether people of one kind of channel can be found on another by the same address.
pub fn follows_kind(one: Kind, other: Kind) -> bool {
    let is_number = |kind| matches!(kind, Kind::Sms | Kind::Whatsapp);
    one == other || (is_number(one) && is_number(other))
}

fn same_days(one: &When, other: &When) -> bool {
    match (one, other) {
        (When::Recurring(one), When::Recurring(other)) => match (&one.rule, &other.rule) {
            (Rule::Weekly { days: one, .. }, Rule::Weekly { days: other, .. }) => one == other,
            // A day on which only one of them runs has nobody for it.
            _ => true,
        },
        (one, other) => one == other,
    }
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
        .find(file)
        .select((files_table::state, files_table::rows_good, files_table::kind))
        .first(conn)?;
    let obstacle = match state.as_str() {
        "imported" if rows == 0 => Some(Refused::NoContacts),
        "imported" => None,
        _ => Some(Refused::FileNotReady),
    };
    Ok((Kind::of_word(&kind), obstacle))
}

/// Two schedules that serve the same group at the same time, if there are such.
fn same_group_twice(schedules: &[Schedule]) -> Option<(&Schedule, &Schedule)> {
    let clash = |one: &Schedule, other: &Schedule| {
        let (a, b) = (&one.plan, &other.plan);
        if a.rules.after.is_some() || b.rules.after.is_some() {
            return false;
        }
        let same_group = a.group.as_deref().zip(b.group.as_deref()).is_some_and(|(one, other)| same_group(one, other));
        same_group && a.when == b.when && a.start == b.start && a.end == b.end
    };
    schedules
        .iter()
        .enumerate()
        .find_map(|(n, one)| schedules[n + 1..].iter().find(|other| clash(one, other)).map(|other| (one, other)))
}
