//! actions: A message to somebody's own phone: what the first contact would get, sent now.
//!
//! It is a run like any other, so it shows what a launch will do, and STOP ends it; but
//! it is marked as a test and counts for nothing.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Int8, Jsonb, Text as SqlText};

use crate::campaigns::{self, CampaignState};
use crate::db::schema::{channels, deliveries, retries, schedule_runs};
use crate::db::{Error, locks};
use crate::deliveries::{OnRecord, Outcome, Standing, Word};
use crate::drafting::Refused;
use crate::drafting::audience::Contacts;
use crate::ids::{CampaignId, RunId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::pacing::{LatePolicy, Rate, Window};
use crate::providers::Kind;
use crate::runs::store::NewRun;
use crate::runs::{self};
use crate::schedules;
use crate::schedules::Rules;

/// How long it may take.
const WITHIN: TimeDelta = TimeDelta::minutes(30);
/// How long somebody looks at a test that nothing is heard of.
const WORTH_WAITING: TimeDelta = TimeDelta::minutes(3);

/// The last test of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub run: RunId,
    pub kind: Kind,
    pub address: String,
    pub at: DateTime<Utc>,
    pub standing: Standing,
    pub detail: Option<String>,
}

impl Trial {
    /// Whether more is to be heard of it soon. Not every provider sends receipts, so
    /// nobody waits for ever.
    pub fn goes_on(&self, now: DateTime<Utc>) -> bool {
        self.standing.outcome().is_none() && now - self.at < WORTH_WAITING
    }
}

/// Sends the text of a draft's schedule to `address`, filled in for its first contact.
/// The engine starts it at once.
pub fn send(
    conn: &mut PgConnection,
    id: ScheduleId,
    kind: Kind,
    address: &str,
    by: UserId,
    now: DateTime<Utc>,
) -> Result<RunId, Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_halt(conn, false)?;
        let campaign = schedules::store::find(conn, id)?.campaign_id;
        let campaign = campaigns::store::lock(conn, campaign)?;
        if campaign.state != CampaignState::Draft {
            return Err(campaigns::Refused::AlreadyLaunched.into());
        }
        let schedule = schedules::store::lock(conn, id)?;
        let contacts = crate::drafting::audience::contacts_of(conn, campaign.id, by)?
            .filter(Contacts::ready)
            .ok_or(Refused::NoContacts)?;
        let file_id = contacts.file().map(|file| file.id);
        let firsts = match (&campaign.group_by, &schedule.plan.group, contacts.file()) {
            (Some(field), Some(value), Some(file)) => {
                crate::drafting::audience::firsts_of_group(conn, file.id, field, value)?
            }
            _ => contacts.firsts,
        };
        let values = firsts.into_iter().next().ok_or(Refused::NoContacts)?.values;
        let run = NewRun {
            schedule_id: id,
            campaign_id: campaign.id,
            channel_id: schedule.plan.channel_id,
            file_id,
            name: &format!("{}-test", campaign.name),
            date: now.with_timezone(&campaign.zone).date_naive(),
            body: &schedule.plan.body,
            bot: schedule.plan.bot,
            template: schedule.plan.template.as_ref(),
            window: Window { starts: now, ends: now + WITHIN },
            late: LatePolicy::KeepRate,
            rate: Rate::Fixed(60.0),
            rules: &Rules::default(),
            group: None,
            is_test: true,
        };
        let run = runs::store::insert(conn, &run)?;
        diesel::sql_query(
            "INSERT INTO contacts (kind, address) VALUES ($1, $2) ON CONFLICT (kind, address) DO NOTHING",
        )
        .bind::<SqlText, _>(kind.word())
        .bind::<SqlText, _>(address)
        .execute(conn)?;
        diesel::sql_query(
            "INSERT INTO deliveries (run_id, seq, contact_id, address, \"values\")
             SELECT $1, 1, id, address, $4 FROM contacts WHERE kind = $2 AND address = $3",
        )
        .bind::<Int8, _>(run)
        .bind::<SqlText, _>(kind.word())
        .bind::<SqlText, _>(address)
        .bind::<Jsonb, _>(values)
        .execute(conn)?;
        runs::store::set_prepared(conn, run, 1, 0, &contacts.fields, now)?;
        // The number stands in the ledger of the run; the journal does without it.
        let entry = Entry::new(Happened::ScheduleTested, id, by).of(campaign.id);
        journal::note(conn, entry, now)?;
        Ok(run)
    })
}

/// The last test of each schedule of a campaign.
pub fn last(conn: &mut PgConnection, campaign: CampaignId) -> QueryResult<HashMap<ScheduleId, Trial>> {
    let ids: Vec<i64> = schedule_runs::table
        .filter(schedule_runs::campaign_id.eq(campaign))
        .filter(schedule_runs::purpose.eq("test"))
        .distinct_on(schedule_runs::schedule_id)
        .order((schedule_runs::schedule_id, schedule_runs::id.desc()))
        .select(schedule_runs::id)
        .load(conn)?;
    let mut trials = HashMap::new();
    for id in ids {
        let run = runs::store::find(conn, RunId(id))?;
        let (address, progress, outcome, detail): (String, Option<i16>, Option<i16>, Option<String>) =
            deliveries::table
                .find((id, 1))
                .select((deliveries::address, deliveries::progress, deliveries::outcome, deliveries::detail))
                .first(conn)?;
        let kind: String = channels::table.find(run.channel_id).select(channels::kind).first(conn)?;
        let Some(kind) = Kind::of_word(&kind) else { continue };
        let waits_for = retries::table.find((id, 1)).select(retries::attempt).first(conn).optional()?;
        let word = Word { progress, outcome: outcome.and_then(Outcome::of_code) };
        let on_record = OnRecord { word, waits_for, claimed: run.unclaimed() == 0 };
        let standing = Standing::of(on_record, &run.state);
        trials.insert(run.schedule_id, Trial { run: run.id, kind, address, at: run.window.starts, standing, detail });
    }
    Ok(trials)
}
