//! From a name to a launch: the pages on which a campaign is drafted.

use actix_multipart::Multipart;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::campaigns::actions::{self, Error};
use crate::campaigns::review::{self, Contacts, Facts, Outlook, Review};
use crate::campaigns::{Campaign, CampaignKind, CampaignState, Refused, store};
use crate::channels::Kind;
use crate::db::{DbError, violates_unique};
use crate::drops::web::PlanForm;
use crate::files::actions::Look;
use crate::files::domain::State;
use crate::files::refusal::Refusal;
use crate::files::upload;
use crate::files::web::{Panel, Purpose};
use crate::ids::{CampaignId, ChannelId, ScheduleId, UserId};
use crate::pacing::{LatePolicy, Rate};
use crate::runs::Rules;
use crate::schedules::{Draft, When};
use crate::web::chart::{Timeline, thousands};
use crate::web::{FieldErrors, Frame, Manage, May, Problem, Right, View, page, page_with, see_other};
use crate::wording::{Segments, Template as Text, segments};

pub fn routes(cfg: &mut ServiceConfig) {
    // `new` before `{id}`, which would take it for one.
    cfg.service(new_page)
        .service(create)
        .service(show)
        .service(edit_page)
        .service(edit)
        .service(upload_file)
        .service(leave_file)
        .service(add_schedule)
        .service(change_schedule)
        .service(remove_schedule)
        .service(measure)
        .service(review_again)
        .service(launch)
        .service(discard);
}

// Name and zone

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct BasicsForm {
    name: String,
    time_zone: String,
}

impl BasicsForm {
    fn of(campaign: &Campaign) -> Self {
        BasicsForm { name: campaign.name.clone(), time_zone: campaign.zone.name().to_owned() }
    }

    fn parse(&self) -> Result<(String, Tz), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.name.trim();
        if name.is_empty() {
            errors.add("name", "Give the campaign a name.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let zone = self.time_zone.trim().parse();
        if zone.is_err() {
            errors.add("time_zone", "Choose a time zone from the list, such as Europe/Dublin.");
        }
        match zone {
            Ok(zone) if errors.is_empty() => Ok((name.to_owned(), zone)),
            _ => Err(errors),
        }
    }
}

/// All zones, for the list behind the field.
fn zones() -> impl Iterator<Item = &'static str> {
    TZ_VARIANTS.iter().map(|zone| zone.name())
}

#[derive(Template)]
#[template(path = "campaigns/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a BasicsForm,
    errors: &'a FieldErrors,
}

#[get("/campaigns/new")]
async fn new_page(_may: May<Manage>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let form = BasicsForm { name: String::new(), time_zone: app.settings.time_zone.name().to_owned() };
    page(New { frame, form: &form, errors: &FieldErrors::default() })
}

#[post("/campaigns")]
async fn create(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    form: Form<BasicsForm>,
) -> Result<HttpResponse, Problem> {
    let again =
        |errors: FieldErrors| page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, form: &form, errors: &errors });
    let (name, zone) = match form.parse() {
        Ok(parsed) => parsed,
        Err(errors) => return again(errors),
    };
    let (by, now) = (may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::create(conn, &name, CampaignKind::OnceOff, zone, by, now)).await {
        Ok(id) => Ok(see_other(format!("/campaigns/{id}/edit"))),
        Err(DbError::Work(Error::Refused(refused @ Refused::NameTaken(_)))) => {
            again(one_error("name", refused.to_string()))
        }
        Err(error) => Err(problem(error)),
    }
}

fn one_error(field: &'static str, message: String) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.add(field, message);
    errors
}

fn problem(error: DbError<Error>) -> Problem {
    match error {
        DbError::Work(Error::Refused(refused)) => Problem::Conflict(refused.to_string()),
        DbError::Work(Error::Database(error)) => error.into(),
        DbError::Busy(_) => Problem::Busy,
        DbError::Cancelled => Problem::Unexpected(anyhow::anyhow!("database work was cancelled")),
    }
}

// The guided page

impl Review {
    /// What late start means here, if it would start late.
    fn late(&self) -> Option<String> {
        if !self.outlook.late {
            return None;
        }
        let starts = "Its start has passed: launched now, it starts late.";
        Some(match self.schedule.plan.late {
            LatePolicy::CatchUp => {
                format!("{starts} The {} that were due by now leave at once.", thousands(self.outlook.burst))
            }
            LatePolicy::Spread => format!(
                "{starts} All contacts are spread over the time that is left, {} a minute.",
                rate_text(self.outlook.rate)
            ),
            LatePolicy::KeepRate => format!("{starts} It keeps its rate from now on."),
        })
    }

    /// SMS over all contacts, should the others' texts be as long as the first one's.
    fn estimate(&self) -> Option<String> {
        let parts = self.segments?.parts as i64;
        let total = thousands(parts * (self.contacts - self.lacking));
        Some(format!("about {total} SMS: {parts} for each of {} contacts", thousands(self.contacts - self.lacking)))
    }

    fn unsent(&self) -> Option<String> {
        Some(self.outlook.forecast.unsent).filter(|n| *n > 0).map(thousands)
    }

    fn needed(&self) -> String {
        self.needed.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(" or ")
    }

    fn unknown(&self) -> String {
        self.unknown.iter().map(|field| format!("#{field}")).collect::<Vec<_>>().join(", ")
    }
}

fn plan_rate(rate: &Rate) -> String {
    rate.fixed().map_or("auto".to_owned(), rate_text)
}

fn rate_text(rate: f64) -> String {
    format!("{}", (rate * 100.0).round() / 100.0)
}

/// What is typed on the page, and what is wrong with it.
struct Typed {
    basics: BasicsForm,
    basics_errors: FieldErrors,
    file_error: Option<String>,
    /// The schedule form, when it is open; `id` when it changes one.
    schedule: Option<(Option<ScheduleId>, ScheduleForm)>,
    schedule_errors: FieldErrors,
    launch_error: Option<String>,
}

impl Typed {
    fn nothing(campaign: &Campaign) -> Self {
        Typed {
            basics: BasicsForm::of(campaign),
            basics_errors: FieldErrors::default(),
            file_error: None,
            schedule: None,
            schedule_errors: FieldErrors::default(),
            launch_error: None,
        }
    }
}

#[derive(Template)]
#[template(path = "campaigns/edit.html")]
struct Edit {
    frame: Frame,
    facts: Facts,
    typed: Typed,
    panel: Option<Panel>,
    measured: Option<Measured>,
}

/// The part of `edit.html` that changes while the file is being imported.
#[derive(Template)]
#[template(path = "campaigns/edit.html", block = "review")]
struct Reviewed {
    facts: Facts,
    typed: Typed,
}

/// What stands below the text and follows it as it is typed.
#[derive(Template)]
#[template(path = "campaigns/_measure.html")]
struct MeasuredPart {
    measured: Option<Measured>,
}

impl Edit {
    fn new(frame: Frame, facts: Facts, typed: Typed) -> Self {
        let panel = facts.contacts.as_ref().map(|contacts| {
            let look = Look {
                file: contacts.look.file.clone(),
                problems: contacts.look.problems.clone(),
                region: contacts.look.region.clone(),
            };
            Panel::new(look, Purpose { campaign: Some(facts.campaign.id) }, frame.person.role)
        });
        let measured = typed.schedule.as_ref().map(|(_, form)| Measured::of(&form.body, facts.contacts.as_ref()));
        Edit { frame, facts, typed, panel, measured }
    }

    /// Kinds of the channels there are, to choose what the addresses of a file are.
    fn kinds(&self) -> Vec<(&'static str, &'static str)> {
        let mut kinds: Vec<_> = self.facts.senders.iter().map(|sender| sender.kind).collect();
        kinds.sort_by_key(|kind| kind.word());
        kinds.dedup();
        kinds.into_iter().map(|kind| (kind.word(), kind.label())).collect()
    }

    /// The kind to offer first.
    fn kind(&self) -> &'static str {
        self.facts.contacts.as_ref().map_or(Kind::Sms, |contacts| contacts.look.file.kind).word()
    }

    /// Channels that the contacts can be reached on.
    fn channels(&self) -> Vec<(ChannelId, String)> {
        let kind = self.facts.contacts.as_ref().map(|contacts| contacts.look.file.kind);
        self.facts
            .senders
            .iter()
            .filter(|sender| kind.is_none_or(|kind| sender.kind == kind))
            .map(|sender| {
                (sender.id, format!("{} ({}, from {})", sender.setup.name, sender.kind.label(), sender.setup.sender))
            })
            .collect()
    }

    fn channel_name(&self, id: &ChannelId) -> &str {
        self.facts.senders.iter().find(|sender| sender.id == *id).map_or("", |sender| &sender.setup.name)
    }

    fn schedule_action(&self) -> String {
        let campaign = self.facts.campaign.id;
        match &self.typed.schedule {
            Some((Some(id), _)) => format!("/campaigns/{campaign}/schedules/{id}"),
            Some((None, _)) | None => format!("/campaigns/{campaign}/schedules"),
        }
    }

    fn is_late(&self, policy: &LatePolicy) -> bool {
        self.typed.schedule.as_ref().is_some_and(|(_, form)| form.late == policy.word())
    }
}

impl Facts {
    /// Asks a daily campaign when its file is expected; nothing for the others.
    fn daily_form(&self) -> Option<PlanForm> {
        let is_daily = self.campaign.kind == CampaignKind::Daily;
        is_daily.then(|| PlanForm::new(self.campaign.id, self.campaign.zone, self.daily.as_ref()))
    }

    fn timeline(&self, review: &Review) -> Timeline {
        let Outlook { window, forecast, .. } = &review.outlook;
        Timeline::of(forecast, window, self.campaign.zone, &[], &[])
    }

    fn ready(&self) -> bool {
        self.obstacles.is_empty()
    }

    /// The file may still become ready, so the review asks again.
    fn file_is_on_its_way(&self) -> bool {
        self.contacts.as_ref().is_some_and(|contacts| match contacts.look.file.state {
            State::Received | State::Importing { .. } => true,
            State::Imported { .. } | State::Refused { .. } | State::Cancelled { .. } => false,
        })
    }

    /// Where an obstacle is taken out of the way.
    fn place(&self, obstacle: &Refused) -> &'static str {
        match obstacle {
            Refused::NoFile | Refused::FileNotReady | Refused::NoContacts => "contacts",
            Refused::NoDailyPlan => "daily",
            Refused::NoSchedules
            | Refused::WindowPassed { .. }
            | Refused::EmptyWindow { .. }
            | Refused::OtherKind { .. } => "schedules",
            _ => "basics",
        }
    }

    fn when(&self, outlook: &Outlook) -> String {
        let local = |at: DateTime<Utc>| at.with_timezone(&self.campaign.zone);
        let (starts, ends) = (local(outlook.window.starts), local(outlook.window.ends));
        let end = if starts.date_naive() == ends.date_naive() { "%H:%M" } else { "%-d %B, %H:%M" };
        format!("{} to {} ({})", starts.format("%-d %B %Y, %H:%M"), ends.format(end), self.campaign.zone)
    }

    fn finish(&self, outlook: &Outlook) -> Option<String> {
        let at = outlook.forecast.finishes?.with_timezone(&self.campaign.zone);
        Some(at.format("%-d %B, %H:%M:%S").to_string())
    }
}

#[derive(Default, Deserialize)]
struct Opened {
    /// `new`, or the id of a schedule: the form that is open.
    #[serde(default)]
    schedule: String,
}

#[get("/campaigns/{id}/edit")]
async fn edit_page(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    opened: Query<Opened>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    let campaign = app.db.run(move |conn| store::find(conn, id)).await?;
    if campaign.state != CampaignState::Draft {
        return page(Rename {
            frame,
            form: &BasicsForm::of(&campaign),
            campaign: &campaign,
            errors: &FieldErrors::default(),
        });
    }
    let facts = facts(&app, id, may.person.id).await?;
    let mut typed = Typed::nothing(&campaign);
    typed.schedule = match opened.schedule.parse().map(ScheduleId) {
        Ok(wanted) => facts
            .schedules
            .iter()
            .find(|schedule| schedule.id == wanted)
            .map(|schedule| (Some(wanted), ScheduleForm::of(&schedule.plan))),
        Err(_) if opened.schedule == "new" || facts.schedules.is_empty() => {
            Some((None, ScheduleForm::fresh(&facts, now)))
        }
        Err(_) => None,
    };
    page(Edit::new(frame, facts, typed))
}

/// A campaign has no page of its own: a draft is edited, any other stands on the Campaigns screen.
#[get("/campaigns/{id:\\d+}")]
async fn show(may: May<View>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let is_draft = app.db.run(move |conn| store::find(conn, id)).await?.state == CampaignState::Draft;
    let may_edit = may.person.role >= Manage::NEEDS;
    Ok(see_other(match is_draft && may_edit {
        true => format!("/campaigns/{id}/edit#schedules"),
        false => format!("/campaigns?open={id}"),
    }))
}

async fn facts(app: &App, id: CampaignId, by: UserId) -> Result<Facts, Problem> {
    let now = app.clock.now();
    Ok(app.db.run(move |conn| review::gather(conn, id, by, now)).await?)
}

/// Shows the page again with what was typed and what is wrong with it.
async fn again(
    app: &App,
    frame: Frame,
    id: CampaignId,
    typed: impl FnOnce(&Facts) -> Typed,
) -> Result<HttpResponse, Problem> {
    let facts = facts(app, id, frame.person.id).await?;
    let typed = typed(&facts);
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Edit::new(frame, facts, typed))
}

/// All that can be edited after the launch: the name. Times and rates are edited on
/// the schedules themselves.
#[derive(Template)]
#[template(path = "campaigns/rename.html")]
struct Rename<'a> {
    frame: Frame,
    campaign: &'a Campaign,
    form: &'a BasicsForm,
    errors: &'a FieldErrors,
}

#[post("/campaigns/{id}/edit")]
async fn edit(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<BasicsForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let campaign = app.db.run(move |conn| store::find(conn, id)).await?;
    let is_draft = campaign.state == CampaignState::Draft;
    let mut form = form.into_inner();
    if !is_draft {
        // Its times are meant in its zone, so the zone stays.
        form.time_zone = campaign.zone.name().to_owned();
    }
    let errors = match form.parse() {
        Ok((name, zone)) => match app.db.run(move |conn| actions::edit(conn, id, &name, zone, by, now)).await {
            Ok(()) if is_draft => return Ok(see_other(format!("/campaigns/{id}/edit#contacts"))),
            Ok(()) => return Ok(see_other(format!("/campaigns?open={id}"))),
            Err(DbError::Work(Error::Refused(refused @ Refused::NameTaken(_)))) => {
                one_error("name", refused.to_string())
            }
            Err(error) => return Err(problem(error)),
        },
        Err(errors) => errors,
    };
    if is_draft {
        let typed = |facts: &Facts| Typed { basics: form, basics_errors: errors, ..Typed::nothing(&facts.campaign) };
        return again(&app, frame, id, typed).await;
    }
    let rename = Rename { frame, campaign: &campaign, form: &form, errors: &errors };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, rename)
}

// Contacts

/// Takes in the file. A form with `kind` in it says what the addresses are.
#[post("/campaigns/{id}/file")]
async fn upload_file(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    mut form: Multipart,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    // Asked before the upload, so that nothing is stored for a campaign that cannot have it.
    if app.db.run(move |conn| store::find(conn, id)).await?.state != CampaignState::Draft {
        return Err(Problem::Conflict(Refused::AlreadyLaunched.to_string()));
    }
    let mut kind = Kind::Sms;
    let mut received = Err(upload::Failed::Refused(Refusal::NoFile));
    loop {
        let mut field = match form.try_next().await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(_) => {
                received = Err(Refusal::BrokeOff.into());
                break;
            }
        };
        match field.name() {
            Some("kind") => {
                let text = field.bytes(32).await.ok().and_then(Result::ok).unwrap_or_default();
                kind = std::str::from_utf8(&text).ok().and_then(Kind::of_word).unwrap_or(kind);
            }
            Some("file") => received = upload::receive(&app, &mut field, kind, by, now).await,
            Some(_) | None => {}
        }
    }
    match received {
        Ok(file) => {
            app.db.run(move |conn| actions::set_file(conn, id, Some(file))).await.map_err(problem)?;
            Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
        }
        Err(upload::Failed::Refused(refusal)) => {
            let why = refusal.to_string();
            again(&app, frame, id, |facts| Typed { file_error: Some(why), ..Typed::nothing(&facts.campaign) }).await
        }
        Err(upload::Failed::Broken(error)) => Err(Problem::Unexpected(error)),
    }
}

#[post("/campaigns/{id}/file/remove")]
async fn leave_file(_may: May<Manage>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    app.db.run(move |conn| actions::set_file(conn, id, None)).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
}

// Schedules

/// A schedule as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ScheduleForm {
    schedule_name: String,
    channel: String,
    body: String,
    date: String,
    start: String,
    end: String,
    rate: String,
    late: String,
}

/// The longest text. What it costs is told long before.
const LONGEST_TEXT: usize = 5000;
/// As the database has it.
const FASTEST: f64 = 6_000_000.0;

impl ScheduleForm {
    fn of(plan: &Draft) -> Self {
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
    fn fresh(facts: &Facts, now: DateTime<Utc>) -> Self {
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
async fn add_schedule(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<ScheduleForm>,
) -> Result<HttpResponse, Problem> {
    save_schedule(&app, frame, id.into_inner(), None, form.into_inner()).await
}

#[post("/campaigns/{id}/schedules/{schedule}")]
async fn change_schedule(
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
async fn remove_schedule(
    _may: May<Manage>,
    app: Data<App>,
    path: Path<(CampaignId, ScheduleId)>,
) -> Result<HttpResponse, Problem> {
    let (id, schedule) = path.into_inner();
    app.db.run(move |conn| actions::remove_schedule(conn, schedule)).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#schedules")))
}

// The text as it is typed

/// What a text comes to.
struct Measured {
    segments: Segments,
    /// Counted as the first contact gets it; otherwise with the fields unfilled.
    filled: bool,
    /// Look like fields and are none.
    unknown: Vec<String>,
    /// A field without fallback that the first contact lacks.
    missing: Option<String>,
}

impl Measured {
    fn of(body: &str, contacts: Option<&Contacts>) -> Self {
        let body = body.replace("\r\n", "\n");
        let fields = contacts.map(|contacts| contacts.fields.as_slice()).unwrap_or_default();
        let text = Text::parse(&body, fields);
        let values = contacts.and_then(|contacts| contacts.first.as_ref()).and_then(Value::as_object);
        let rendered = values.map(|values| text.render(values));
        let missing = match &rendered {
            Some(Err(missing)) => Some(missing.field.clone()),
            Some(Ok(_)) | None => None,
        };
        let filled = rendered.and_then(Result::ok);
        Measured {
            segments: segments(filled.as_deref().unwrap_or(&body)),
            filled: filled.is_some(),
            unknown: text.unknown().to_vec(),
            missing,
        }
    }

    fn n_sms(&self) -> String {
        match self.segments.parts {
            1 => "1 SMS".to_owned(),
            n => format!("{n} SMS"),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MeasureForm {
    body: String,
    campaign: Option<CampaignId>,
}

/// Changes nothing; it is a POST because texts are longer than addresses may be.
#[post("/wording/measure")]
async fn measure(may: May<Manage>, app: Data<App>, form: Form<MeasureForm>) -> Result<HttpResponse, Problem> {
    let (MeasureForm { body, campaign }, by) = (form.into_inner(), may.person.id);
    let contacts = match campaign {
        Some(campaign) => app.db.run(move |conn| review::contacts_of(conn, campaign, by)).await?,
        None => None,
    };
    page(MeasuredPart { measured: Some(Measured::of(&body, contacts.as_ref())) })
}

// Review and launch

#[get("/campaigns/{id}/review")]
async fn review_again(may: May<Manage>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let facts = facts(&app, id.into_inner(), may.person.id).await?;
    let typed = Typed::nothing(&facts.campaign);
    page(Reviewed { facts, typed })
}

#[post("/campaigns/{id}/launch")]
async fn launch(may: May<Manage>, frame: Frame, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::launch(conn, id, by, now)).await {
        Ok(()) => Ok(see_other(format!("/campaigns?open={id}"))),
        // Pressed twice: it is where one wants it.
        Err(DbError::Work(Error::Refused(Refused::AlreadyLaunched))) => Ok(see_other(format!("/campaigns?open={id}"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let why = refused.to_string();
            again(&app, frame, id, |facts| Typed { launch_error: Some(why), ..Typed::nothing(&facts.campaign) }).await
        }
        Err(error) => Err(problem(error)),
    }
}

#[post("/campaigns/{id}/discard")]
async fn discard(may: May<Manage>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::discard(conn, id, by, now)).await.map_err(problem)?;
    Ok(see_other("/campaigns"))
}
