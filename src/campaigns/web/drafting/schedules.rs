//! The form of a schedule.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, post};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use serde::Deserialize;

use super::{Edit, Typed, facts, one_error, problem};
use crate::app::App;
use crate::campaigns::actions::{self, Error};
use crate::campaigns::review::Facts;
use crate::db::{DbError, violates_unique};
use crate::ids::{CampaignId, ChannelId, ScheduleId};
use crate::pacing::{LatePolicy, Rate};
use crate::runs::Rules;
use crate::schedules::{Draft, When};
use crate::web::{FieldErrors, Frame, Manage, May, Problem, page_with, see_other};

/// A schedule as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ScheduleForm {
    pub(super) schedule_name: String,
    pub(super) channel: String,
    pub(super) body: String,
    pub(super) date: String,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) rate: String,
    pub(super) late: String,
}

/// The longest text. What it costs is told long before.
const LONGEST_TEXT: usize = 5000;
/// As the database has it.
const FASTEST: f64 = 6_000_000.0;

impl ScheduleForm {
    pub(super) fn of(plan: &Draft) -> Self {
        ScheduleForm {
            schedule_name: plan.name.clone(),
            channel: plan.channel_id.to_string(),
            body: plan.body.clone(),
            date: match &plan.when {
                When::Once { date } => date.to_string(),
                When::Daily | When::Recurring(_) => String::new(),
            },
            start: plan.start.format("%H:%M").to_string(),
            end: plan.end.format("%H:%M").to_string(),
            rate: plan.rate.fixed().map(|rate| rate.to_string()).unwrap_or_default(),
            late: plan.late.word().to_owned(),
        }
    }

    /// What is offered for another schedule: from the next quarter of an hour, for two hours.
    pub(super) fn fresh(facts: &Facts, now: DateTime<Utc>) -> Self {
        let n = facts.schedules.len();
        let local = now.with_timezone(&facts.campaign.zone).naive_local();
        let into_quarter = TimeDelta::seconds(i64::from(local.time().num_seconds_from_midnight() % 900));
        let start = local - into_quarter + TimeDelta::minutes(15);
        let last = facts.schedules.last().map(|schedule| &schedule.plan);
        ScheduleForm {
            schedule_name: if n == 0 { "Main".to_owned() } else { format!("Schedule {}", n + 1) },
            channel: last.map(|plan| plan.channel_id.to_string()).unwrap_or_default(),
            body: last.map(|plan| plan.body.clone()).unwrap_or_default(),
            date: start.date().to_string(),
            start: start.format("%H:%M").to_string(),
            end: (start + TimeDelta::hours(2)).format("%H:%M").to_string(),
            rate: "60".to_owned(),
            late: LatePolicy::default().word().to_owned(),
        }
    }

    fn parse(&self, facts: &Facts, now: DateTime<Utc>) -> Result<Draft, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.schedule_name.trim();
        if name.is_empty() {
            errors.add("schedule_name", "Give the schedule a name.");
        } else if name.chars().count() > 100 {
            errors.add("schedule_name", "At most 100 characters.");
        }
        let channel_id = self.channel.parse().map(ChannelId).unwrap_or(ChannelId(0));
        let kind = facts.contacts.as_ref().map(|contacts| contacts.look.file.kind);
        match facts.senders.iter().find(|sender| sender.id == channel_id) {
            None => errors.add("channel", "Choose a channel."),
            Some(sender) if kind.is_some_and(|kind| kind != sender.kind) => {
                errors.add("channel", format!("The file's addresses are not of this kind: {}.", sender.kind.label()));
            }
            Some(_) => {}
        }
        let body = self.body.replace("\r\n", "\n");
        if body.trim().is_empty() {
            errors.add("body", "Write the text.");
        } else if body.chars().count() > LONGEST_TEXT {
            errors.add("body", format!("At most {LONGEST_TEXT} characters."));
        }
        let date = self.date.trim().parse::<NaiveDate>().ok();
        if date.is_none() {
            errors.add("date", "A date, such as 2026-03-25.");
        }
        let time = |text: &str| {
            let text = text.trim();
            NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
        };
        let (start, end) = (time(&self.start), time(&self.end));
        if start.is_none() {
            errors.add("start", "A time, such as 09:00.");
        }
        if end.is_none() {
            errors.add("end", "A time, such as 18:00.");
        }
        let rate = self.rate.trim().parse::<f64>().ok().filter(|rate| 0.0 < *rate && *rate <= FASTEST);
        if rate.is_none() {
            errors.add("rate", "A number above 0 and up to 6,000,000.");
        }
        let late = LatePolicy::of_word(&self.late);
        if late.is_none() {
            errors.add("late", "Choose one.");
        }
        let (Some(date), Some(start), Some(end), Some(rate), Some(late)) = (date, start, end, rate, late) else {
            return Err(errors);
        };
        let plan = Draft {
            name: name.to_owned(),
            channel_id,
            body,
            when: When::Once { date },
            start,
            end,
            rate: Rate::Fixed(rate),
            late,
            group: None,
            rules: Rules::default(),
        };
        match plan.window_on(date, facts.campaign.zone) {
            Err(empty) => errors.add("end", empty.to_string()),
            Ok(window) if window.ends <= now => errors.add("end", "This has passed. Choose a later date or end time."),
            Ok(_) => {}
        }
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }
}

#[post("/campaigns/{id}/schedules")]
pub(super) async fn add_schedule(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<ScheduleForm>,
) -> Result<HttpResponse, Problem> {
    save_schedule(&app, frame, id.into_inner(), None, form.into_inner()).await
}

#[post("/campaigns/{id}/schedules/{schedule}")]
pub(super) async fn change_schedule(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    path: Path<(CampaignId, ScheduleId)>,
    form: Form<ScheduleForm>,
) -> Result<HttpResponse, Problem> {
    let (id, schedule) = path.into_inner();
    save_schedule(&app, frame, id, Some(schedule), form.into_inner()).await
}

async fn save_schedule(
    app: &App,
    frame: Frame,
    id: CampaignId,
    schedule: Option<ScheduleId>,
    form: ScheduleForm,
) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let facts = facts(app, id, frame.person.id).await?;
    if schedule.is_some_and(|wanted| !facts.schedules.iter().any(|it| it.id == wanted)) {
        return Err(Problem::NotFound);
    }
    let errors = match form.parse(&facts, now) {
        Err(errors) => errors,
        Ok(plan) => {
            let saved = app.db.run(move |conn| match schedule {
                Some(schedule) => actions::change_schedule(conn, schedule, &plan),
                None => actions::add_schedule(conn, id, &plan).map(drop),
            });
            match saved.await {
                Ok(()) => return Ok(see_other(format!("/campaigns/{id}/edit#schedules"))),
                Err(DbError::Work(Error::Database(error))) if violates_unique(&error, "one_schedule_per_name") => {
                    one_error("schedule_name", "Another schedule of this campaign has this name.".to_owned())
                }
                Err(error) => return Err(problem(error)),
            }
        }
    };
    let typed = Typed { schedule: Some((schedule, form)), schedule_errors: errors, ..Typed::nothing(&facts.campaign) };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Edit::new(frame, facts, typed))
}

#[post("/campaigns/{id}/schedules/{schedule}/remove")]
pub(super) async fn remove_schedule(
    _may: May<Manage>,
    app: Data<App>,
    path: Path<(CampaignId, ScheduleId)>,
) -> Result<HttpResponse, Problem> {
    let (id, schedule) = path.into_inner();
    app.db.run(move |conn| actions::remove_schedule(conn, schedule)).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#schedules")))
}
