use std::borrow::Borrow;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use actix_web::{HttpResponse, ResponseError, get, post};
use askama::Template;
use chrono::{DateTime, Days as Span, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use diesel::PgConnection;
use diesel::result::QueryResult;
use serde::Deserialize;

use super::actions;
use super::domain::{
    DailyFile, DailyPlan, DropCheck, DropState, Mode, Refused, name_on, slot_words, today, unknown_placeholder,
};
use super::store::{self, DayRun, ShownDrop};
use crate::access::{Manage, Operate, Person, Role, View};
use crate::app::App;
use crate::campaigns::{self, CampaignKind, CampaignState};
use crate::contacts::addresses::TwoWays;
use crate::db::{DbError, Error};
use crate::files::domain::{File, State};
use crate::files::refusal::Refusal;
use crate::files::upload;
use crate::ids::{CampaignId, DropId};
use crate::pacing::{self, Window};
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, Htmx, Incoming, May, Problem, page, page_with, see_other};

/// Days that the list goes back, beside today.
const DAYS_BACK: u64 = 7;
/// Files that a panel shows.
const SHOWN: i64 = 50;
/// The most that can be pasted; more is a file.
const LARGEST_PASTE: usize = 4 << 20;

pub fn routes(pages: &mut ServiceConfig) {
    pages
        .service(plan_page)
        .service(set_plan)
        .service(panel)
        .service(drop_file)
        .service(accept_name)
        .service(let_in)
        .service(give_new_end)
        .service(add)
        .service(replace)
        .service(settle)
        .service(leave)
        .service(dismiss);
}

// ---- the plan ----------------------------------------------------------------------

/// When the daily file is expected, as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    opens: String,
    closes: String,
    expected_name: String,
    mon: String,
    tue: String,
    wed: String,
    thu: String,
    fri: String,
    sat: String,
    sun: String,
}

impl Typed {
    fn of(plan: Option<&DailyPlan>) -> Typed {
        let Some(plan) = plan else {
            let on = || "on".to_owned();
            return Typed {
                opens: "08:00".to_owned(),
                closes: "11:00".to_owned(),
                mon: on(),
                tue: on(),
                wed: on(),
                thu: on(),
                fri: on(),
                ..Typed::default()
            };
        };
        let time = |time: NaiveTime| time.format("%H:%M").to_string();
        let on = |day| if plan.days.contains(day) { "on".to_owned() } else { String::new() };
        use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        Typed {
            opens: time(plan.opens),
            closes: time(plan.closes),
            expected_name: plan.expected_name.clone(),
            mon: on(Mon),
            tue: on(Tue),
            wed: on(Wed),
            thu: on(Thu),
            fri: on(Fri),
            sat: on(Sat),
            sun: on(Sun),
        }
    }

    /// Name of the field, the day in words, and whether it is chosen.
    fn days(&self) -> [(&'static str, &'static str, bool); 7] {
        let day = |name, words, typed: &str| (name, words, !typed.is_empty());
        [
            day("mon", "Monday", &self.mon),
            day("tue", "Tuesday", &self.tue),
            day("wed", "Wednesday", &self.wed),
            day("thu", "Thursday", &self.thu),
            day("fri", "Friday", &self.fri),
            day("sat", "Saturday", &self.sat),
            day("sun", "Sunday", &self.sun),
        ]
    }

    fn parse(&self) -> Result<DailyPlan, FieldErrors> {
        let mut errors = FieldErrors::default();
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
        let (opens, closes) = (time(&self.opens), time(&self.closes));
        if opens.is_none() {
            errors.add("opens", "A time, such as 08:00.");
        }
        if closes.is_none() {
            errors.add("closes", "A time, such as 11:00.");
        }
        if let Some((opens, closes)) = opens.zip(closes)
            && closes <= opens
        {
            errors.add("closes", "The window closes on the same day: choose a time after it opens.");
        }
        let chosen = self.days().into_iter().filter(|(.., chosen)| *chosen).map(|(_, words, _)| words);
        let days = pacing::Days::of_names(chosen).map_err(|none| errors.add("days", none.to_string())).ok();
        let expected_name = self.expected_name.trim().to_owned();
        if expected_name.chars().count() > 200 {
            errors.add("expected_name", "At most 200 characters.");
        } else if expected_name.contains(['/', '\\']) {
            errors.add("expected_name", "The name alone, without folders.");
        } else if let Some(word) = unknown_placeholder(&expected_name) {
            errors.add(
                "expected_name",
                format!("{word} stands for nothing. Write {{date}}, {{yyyy}}, {{mm}} or {{dd}} for the day's date."),
            );
        }
        match (opens, closes, days) {
            (Some(opens), Some(closes), Some(days)) if errors.is_empty() => {
                Ok(DailyPlan { opens, closes, days, expected_name })
            }
            _ => Err(errors),
        }
    }
}

/// The form in which a daily campaign is told when its file is expected. Other pages may
/// show it with `{{ form|safe }}`.
#[derive(Template)]
#[template(path = "daily/_plan_form.html")]
pub struct PlanForm {
    campaign: CampaignId,
    zone: Tz,
    typed: Typed,
    errors: FieldErrors,
    /// Why the campaign cannot have it.
    problem: Option<String>,
}

impl PlanForm {
    pub fn new(campaign: CampaignId, zone: Tz, plan: Option<&DailyPlan>) -> PlanForm {
        PlanForm { campaign, zone, typed: Typed::of(plan), errors: FieldErrors::default(), problem: None }
    }
}

#[derive(Template)]
#[template(path = "daily/plan.html")]
struct PlanPage {
    frame: Frame,
    name: String,
    campaign: CampaignId,
    form: PlanForm,
}

#[get("/campaigns/{id}/daily")]
async fn plan_page(
    _: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let (campaign, plan) =
        app.db.run(move |conn| QueryResult::Ok((campaigns::store::find(conn, id)?, store::plan(conn, id)?))).await?;
    match actions::must_take_plan(&campaign) {
        Err(Refused::NotDaily) => return Err(Problem::NotFound),
        Err(ended) => return Err(Problem::Conflict(ended.to_string())),
        Ok(()) => {}
    }
    let form = PlanForm::new(id, campaign.zone, plan.as_ref());
    page(PlanPage { frame, name: campaign.name, campaign: id, form })
}

#[post("/campaigns/{id}/daily")]
async fn set_plan(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    typed: Form<Typed>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now, typed) = (id.into_inner(), may.person.id, app.clock.now(), typed.into_inner());
    let campaign = app.db.run(move |conn| campaigns::store::find(conn, id)).await?;
    let (status, errors, problem) = match typed.parse() {
        Err(errors) => (StatusCode::UNPROCESSABLE_ENTITY, errors, None),
        Ok(plan) => match app.db.run(move |conn| actions::set_plan(conn, id, &plan, by, now)).await {
            Ok(()) => {
                return Ok(match campaign.state {
                    CampaignState::Draft => htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#daily")),
                    _ => htmx.leave_for(&format!("/campaigns?open={id}#drops-{id}")),
                });
            }
            Err(DbError::Work(Error::Refused(why))) => {
                (StatusCode::CONFLICT, FieldErrors::default(), Some(why.to_string()))
            }
            Err(error) => return Err(error.into()),
        },
    };
    let form = PlanForm { campaign: id, zone: campaign.zone, typed, errors, problem };
    page_with(status, PlanPage { frame, name: campaign.name, campaign: id, form })
}

// ---- the panel ---------------------------------------------------------------------

/// What is known of the files of a daily campaign, for somebody who looks.
struct Look {
    campaign: CampaignId,
    zone: Tz,
    /// Whether files are taken now.
    takes_files: bool,
    /// Whether its plan may be changed now.
    takes_plan: bool,
    plan: Option<DailyPlan>,
    /// What is made of numbers that could be read in two ways, in files to come.
    two_ways: Option<TwoWays>,
    role: Role,
    now: DateTime<Utc>,
    todays: Vec<ShownDrop>,
    days: Vec<Day>,
    missed_today: bool,
    wrong: Option<Wrong>,
}

/// Why a dropped file stayed as it was when somebody decided about it.
struct Wrong {
    drop: DropId,
    why: Refused,
    /// The new end time, as typed.
    end: String,
}

/// A day before today on which something came, or should have.
struct Day {
    day: NaiveDate,
    missed: bool,
    files: Vec<ShownDrop>,
    runs: Vec<DayRun>,
}

fn look(conn: &mut PgConnection, id: CampaignId, role: Role, now: DateTime<Utc>) -> QueryResult<Look> {
    let campaign = campaigns::store::find(conn, id)?;
    let zone = campaign.zone;
    let today = today(zone, now);
    let since = today.checked_sub_days(Span::new(DAYS_BACK)).unwrap_or(today);
    let missed = store::missed_since(conn, id, since)?;
    let runs = store::runs_since(conn, id, since)?;
    let (todays, mut before): (Vec<ShownDrop>, Vec<ShownDrop>) =
        store::shown(conn, id, since, SHOWN)?.into_iter().partition(|shown| shown.dropped.day == today);
    let mut days: Vec<NaiveDate> = missed.iter().copied().filter(|day| *day != today).collect();
    days.extend(before.iter().map(|shown| shown.dropped.day));
    days.sort_unstable();
    days.dedup();
    days.reverse();
    let mut list = Vec::new();
    for day in days {
        let (files, rest) = before.into_iter().partition(|shown| shown.dropped.day == day);
        before = rest;
        let runs = runs.iter().filter(|run| run.day == day).cloned().collect();
        list.push(Day { day, missed: missed.contains(&day), files, runs });
    }
    let launched = todays.iter().any(|shown| matches!(shown.dropped.state, DropState::Launched(_)));
    Ok(Look {
        campaign: id,
        zone,
        takes_files: campaign.kind == CampaignKind::Daily
            && matches!(campaign.state, CampaignState::Active | CampaignState::Paused),
        takes_plan: actions::must_take_plan(&campaign).is_ok(),
        plan: store::plan(conn, id)?,
        two_ways: store::template(conn, id)?.map(|template| template.two_ways),
        role,
        now,
        todays,
        days: list,
        missed_today: missed.contains(&today) && !launched,
        wrong: None,
    })
}

impl Look {
    fn may(&self, role: Role) -> bool {
        self.role >= role
    }

    fn today(&self) -> NaiveDate {
        today(self.zone, self.now)
    }

    fn time(&self, at: impl Borrow<DateTime<Utc>>) -> String {
        at.borrow().with_timezone(&self.zone).format("%H:%M").to_string()
    }

    fn slot(&self) -> Option<Window> {
        self.plan.as_ref()?.next_slot(self.zone, self.now)
    }

    fn slot_words(&self, slot: &Window) -> String {
        slot_words(slot, self.zone)
    }

    fn is_open(&self, slot: &Window) -> bool {
        slot.starts <= self.now
    }

    fn expected_name(&self) -> Option<String> {
        self.plan.as_ref()?.name_on(self.today())
    }

    /// What pasted rows are called: as today's file, where that is one name.
    fn pasted_name(&self) -> String {
        pasted_name(self.plan.as_ref(), self.today())
    }

    fn is_importing(&self) -> bool {
        self.todays.iter().any(|shown| matches!(shown.dropped.state, DropState::Importing(_)))
    }

    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn percent(&self, file: &File) -> i64 {
        (file.counts.bytes_done * 100).checked_div(file.size_bytes).unwrap_or(0).clamp(0, 100)
    }

    /// Whether somebody with the right may still let it in.
    fn has_a_way_on(&self, dropped: &DailyFile, failed: &DropCheck) -> bool {
        self.takes_files && failed.has_a_way_on() && dropped.file.is_some()
    }

    /// What is wrong with the new end time of this file.
    fn wrong_end(&self, id: &DropId) -> Option<&Wrong> {
        self.wrong.as_ref().filter(|wrong| wrong.drop == *id && wrong.why == Refused::EndNotInFuture)
    }

    /// Why this file stayed as it was, where no field of it is wrong.
    fn wrong_about(&self, id: &DropId) -> Option<&Wrong> {
        self.wrong.as_ref().filter(|wrong| wrong.drop == *id && wrong.why != Refused::EndNotInFuture)
    }

    /// The same of a file that is not shown among today's.
    fn wrong_elsewhere(&self) -> Option<&Wrong> {
        self.wrong.as_ref().filter(|wrong| self.todays.iter().all(|shown| shown.dropped.id != wrong.drop))
    }
}

impl ShownDrop {
    fn is_imported(&self) -> bool {
        self.file.as_ref().is_some_and(|file| matches!(file.state, State::Imported { .. }))
    }

    /// Where its rows and their problems are shown.
    fn file_page(&self) -> String {
        self.dropped.file.map(|file| format!("/files/{file}")).unwrap_or_default()
    }

    fn n_problems(&self) -> i64 {
        self.file.as_ref().map_or(0, |file| file.counts.bad + file.counts.duplicate)
    }

    /// What was let pass, and by whom.
    fn let_pass(&self) -> Option<String> {
        let by = self.allowed_by.as_deref()?;
        let allowed = &self.dropped.allowed;
        let all = [
            (allowed.day, "the day"),
            (allowed.window, "the time"),
            (allowed.name, "the name"),
            (allowed.ends.is_some(), "the end time"),
        ];
        let what: Vec<&str> = all.into_iter().filter(|(passed, _)| *passed).map(|(_, words)| words).collect();
        Some(format!("{by} let it pass {}", what.join(" and ")))
    }
}

fn pasted_name(plan: Option<&DailyPlan>, day: NaiveDate) -> String {
    match plan.map(|plan| plan.expected_name.trim()).filter(|name| !name.is_empty()) {
        Some(expected) => name_on(expected, day).replace('*', "pasted"),
        None => format!("pasted-{day}.csv"),
    }
}

/// The files of a daily campaign: when one is expected, where it is dropped, and what
/// became of the last ones. Other pages may show it with `{{ panel|safe }}`.
#[derive(Template)]
#[template(path = "daily/panel.html")]
pub struct DropPanel {
    it: Look,
    /// Why nothing was even judged.
    problem: Option<String>,
    /// Rows that were pasted and came to nothing.
    cells: String,
}

impl DropPanel {
    /// `role`: of whoever looks; it decides which buttons there are.
    pub fn load(conn: &mut PgConnection, id: CampaignId, role: Role, now: DateTime<Utc>) -> QueryResult<DropPanel> {
        Ok(DropPanel { it: look(conn, id, role, now)?, problem: None, cells: String::new() })
    }
}

/// The part of the panel that moves: what was dropped today.
#[derive(Template)]
#[template(path = "daily/_today.html")]
struct Todays {
    it: Look,
}

#[get("/campaigns/{id}/drops")]
async fn panel(may: May<View>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let (id, role, now) = (id.into_inner(), may.person.role, app.clock.now());
    page(Todays { it: app.db.run(move |conn| look(conn, id, role, now)).await? })
}

// ---- dropping ----------------------------------------------------------------------

/// Takes in a file, or rows that were pasted, and judges it.
#[post("/campaigns/{id}/drops")]
async fn drop_file(
    may: May<Operate>,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Incoming,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let person = &may.person;
    let (template, plan, zone) = match app.db.run(move |conn| actions::ready(conn, id)).await {
        Ok(ready) => ready,
        Err(error) => return not_taken(&app, person, id, error, String::new(), htmx).await,
    };
    let kind = Kind::of_word(&template.kind).unwrap_or(Kind::Sms);
    let form = match upload::Form::read(form, &["cells"]).await {
        Ok(form) => form,
        Err(failed) => return unjudged(&app, person, id, failed.into(), String::new(), htmx).await,
    };
    let (mut name, mut pasted) = (String::new(), String::new());
    let cells = form.texts.bytes("cells");
    let received = match &form.file {
        Err(Refusal::NoFile) if cells.len() > LARGEST_PASTE => {
            let why = "This is too much to paste. Save it as a file and drop that.".to_owned();
            return unjudged(&app, person, id, Problem::Invalid(why), pasted, htmx).await;
        }
        Err(Refusal::NoFile) if !cells.trim_ascii().is_empty() => {
            name = pasted_name(Some(&plan), today(zone, now));
            pasted = String::from_utf8_lossy(cells).into_owned();
            upload::receive_text(&app, &name, cells, kind, by, now).await
        }
        Err(Refusal::NoFile) => Err(Refusal::NoFile.into()),
        Err(refusal) => {
            let why = Problem::Invalid(refusal.to_string());
            return unjudged(&app, person, id, why, pasted, htmx).await;
        }
        Ok(file) => {
            name = file.name.clone();
            form.keep_like(template.reading(), &app, kind, by, now).await
        }
    };
    let dropped = match received {
        Ok(file) => app.db.run(move |conn| actions::take(conn, id, &name, Some(file), by, now)).await,
        Err(upload::Failed::Refused(Refusal::NoFile)) => {
            let why = "Drop a file, choose one, or paste its rows first.".to_owned();
            return unjudged(&app, person, id, Problem::Invalid(why), pasted, htmx).await;
        }
        Err(upload::Failed::Refused(Refusal::HeaderOnly)) => {
            app.db.run(move |conn| actions::take(conn, id, &name, None, by, now)).await
        }
        Err(upload::Failed::Refused(refusal)) => {
            let why = refusal.to_string();
            app.db.run(move |conn| actions::refuse(conn, id, &name, &why, by, now)).await
        }
        Err(failed) => return Err(failed.into()),
    };
    match dropped {
        Ok(dropped) => answer(&app, person, dropped, pasted, htmx).await,
        Err(error) => not_taken(&app, person, id, error, pasted, htmx).await,
    }
}

/// The panel with why a campaign takes no file.
async fn not_taken(
    app: &App,
    person: &Person,
    id: CampaignId,
    error: DbError<Error<Refused>>,
    pasted: String,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    match error {
        DbError::Work(Error::Refused(why)) => unjudged(app, person, id, why.into(), pasted, htmx).await,
        error => Err(error.into()),
    }
}

/// The panel with why nothing was judged, and the rows that were pasted.
async fn unjudged(
    app: &App,
    person: &Person,
    id: CampaignId,
    problem: Problem,
    pasted: String,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    if htmx == Htmx(false) {
        return Err(problem);
    }
    let (role, now) = (person.role, app.clock.now());
    let it = app.db.run(move |conn| look(conn, id, role, now)).await?;
    page_with(problem.status_code(), DropPanel { it, problem: Some(problem.to_string()), cells: pasted })
}

/// The panel as it is now; 409 when the file was refused, with the rows that were pasted.
async fn answer(
    app: &App,
    person: &Person,
    dropped: DailyFile,
    pasted: String,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let status = match dropped.state {
        DropState::Refused { failed: DropCheck::Left, .. } => StatusCode::OK,
        DropState::Refused { .. } => StatusCode::CONFLICT,
        DropState::Importing(_) | DropState::Asked | DropState::Launched(_) => StatusCode::OK,
    };
    answer_with(status, app, person, dropped.campaign, pasted, htmx).await
}

async fn answer_with(
    status: StatusCode,
    app: &App,
    person: &Person,
    id: CampaignId,
    pasted: String,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (role, now) = (person.role, app.clock.now());
    match htmx {
        Htmx(true) => {
            let now_so = app.db.run(move |conn| DropPanel::load(conn, id, role, now)).await?;
            let cells = if status == StatusCode::CONFLICT { pasted } else { String::new() };
            page_with(status, DropPanel { cells, ..now_so })
        }
        Htmx(false) => Ok(see_other(format!("/campaigns?open={id}#drops-{id}"))),
    }
}

/// What a decision about a dropped file came to; why it stayed as it was stands beside it.
async fn decided(
    app: &App,
    person: &Person,
    id: DropId,
    end: String,
    dropped: Result<DailyFile, DbError<Error<Refused>>>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let why = match (dropped, htmx) {
        (Ok(dropped), _) => return answer(app, person, dropped, String::new(), htmx).await,
        (Err(DbError::Work(Error::Refused(why))), Htmx(true)) => why,
        (Err(error), _) => return Err(error.into()),
    };
    let status = Problem::from(why.clone()).status_code();
    let (role, now) = (person.role, app.clock.now());
    let now_so = app.db.run(move |conn| {
        let campaign = store::find(conn, id)?.campaign;
        let mut now_so = DropPanel::load(conn, campaign, role, now)?;
        now_so.it.wrong = Some(Wrong { drop: id, why, end });
        QueryResult::Ok(now_so)
    });
    page_with(status, now_so.await?)
}

/// Lets a file in although it has another name, once.
#[post("/drops/{id}/accept-name")]
async fn accept_name(may: May<Operate>, app: Data<App>, id: Path<DropId>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let dropped = app.db.run(move |conn| actions::allow(conn, id, DropCheck::Name, None, by, now)).await;
    decided(&app, &may.person, id, String::new(), dropped, htmx).await
}

/// Lets a file in on a day, or at a time, on which none is expected.
#[post("/drops/{id}/let-in")]
async fn let_in(may: May<Manage>, app: Data<App>, id: Path<DropId>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let dropped = app
        .db
        .run(move |conn| {
            let failed = match store::find(conn, id)?.state {
                DropState::Refused { failed: DropCheck::Window, .. } => DropCheck::Window,
                _ => DropCheck::Day,
            };
            actions::allow(conn, id, failed, None, by, now)
        })
        .await;
    decided(&app, &may.person, id, String::new(), dropped, htmx).await
}

#[derive(Deserialize)]
struct NewEnd {
    #[serde(default)]
    end: String,
}

/// Lets a file in that came after the schedules had ended: they get a new end.
#[post("/drops/{id}/end")]
async fn give_new_end(
    may: May<Manage>,
    app: Data<App>,
    id: Path<DropId>,
    form: Form<NewEnd>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let end = NaiveTime::parse_from_str(form.end.trim(), "%H:%M").ok();
    let dropped = app.db.run(move |conn| actions::allow(conn, id, DropCheck::End, end, by, now)).await;
    decided(&app, &may.person, id, form.into_inner().end, dropped, htmx).await
}

#[post("/drops/{id}/add")]
async fn add(may: May<Operate>, app: Data<App>, id: Path<DropId>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    decide(&app, &may.person, id.into_inner(), Mode::Add, htmx).await
}

#[post("/drops/{id}/replace")]
async fn replace(may: May<Operate>, app: Data<App>, id: Path<DropId>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    decide(&app, &may.person, id.into_inner(), Mode::Replace, htmx).await
}

async fn decide(app: &App, person: &Person, id: DropId, mode: Mode, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (by, now) = (person.id, app.clock.now());
    let dropped = app.db.run(move |conn| actions::decide(conn, id, mode, by, now)).await;
    decided(app, person, id, String::new(), dropped, htmx).await
}

#[derive(Deserialize)]
struct TwoWaysForm {
    two_ways: String,
}

/// Says what is made of numbers that could be read in two ways in the files that come from now on.
#[post("/campaigns/{id}/daily/two-ways")]
async fn settle(
    may: May<Manage>,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<TwoWaysForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, role, now) = (id.into_inner(), may.person.id, may.person.role, app.clock.now());
    let Some(two_ways) = TwoWays::of_word(&form.two_ways) else {
        return Err(Problem::Invalid("Choose how numbers are read that could be read two ways.".to_owned()));
    };
    app.db.run(move |conn| actions::settle(conn, id, two_ways, by, now)).await?;
    match htmx {
        Htmx(true) => page(app.db.run(move |conn| DropPanel::load(conn, id, role, now)).await?),
        Htmx(false) => Ok(see_other(format!("/campaigns?open={id}#drops-{id}"))),
    }
}

#[post("/drops/{id}/leave")]
async fn leave(may: May<Operate>, app: Data<App>, id: Path<DropId>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (id, by, who, now) = (id.into_inner(), may.person.id, may.person.name.clone(), app.clock.now());
    let dropped = app.db.run(move |conn| actions::leave(conn, id, by, &who, now)).await;
    decided(&app, &may.person, id, String::new(), dropped, htmx).await
}

#[post("/drops/{id}/dismiss")]
async fn dismiss(may: May<Operate>, app: Data<App>, id: Path<DropId>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::dismiss(conn, id, by, now)).await {
        Ok(dropped) => answer_with(StatusCode::OK, &app, &may.person, dropped.campaign, String::new(), htmx).await,
        refused => decided(&app, &may.person, id, String::new(), refused, htmx).await,
    }
}

impl From<Refused> for Problem {
    fn from(why: Refused) -> Self {
        match why {
            Refused::EndNotInFuture => Problem::Invalid(why.to_string()),
            _ => Problem::Conflict(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Typed {
        Typed { expected_name: " arrears-{date}.csv ".to_owned(), ..Typed::of(None) }
    }

    #[test]
    fn a_plan_is_read_from_its_form_and_shown_in_it_again() {
        let plan = filled().parse().unwrap();
        assert_eq!((plan.days, plan.expected_name.as_str()), (pacing::Days::WEEKDAYS, "arrears-{date}.csv"));
        let again = Typed::of(Some(&plan));
        assert_eq!(again.parse().unwrap(), plan);
        assert!(again.days().iter().take(5).all(|(.., chosen)| *chosen));
    }

    #[test]
    fn each_field_says_what_to_do() {
        let wrong = |typed: Typed, field: &str| typed.parse().unwrap_err().of(field).unwrap_or_default().to_owned();
        assert_eq!(wrong(Typed { opens: "8".to_owned(), ..filled() }, "opens"), "A time, such as 08:00.");
        let backwards = Typed { closes: "08:00".to_owned(), ..filled() };
        assert_eq!(wrong(backwards, "closes"), "The window closes on the same day: choose a time after it opens.");
        let no_days = Typed { opens: "08:00".to_owned(), closes: "09:00".to_owned(), ..Typed::default() };
        assert_eq!(wrong(no_days, "days"), "Choose at least one day of the week.");
        let name = Typed { expected_name: "a-{day}.csv".to_owned(), ..filled() };
        assert!(wrong(name, "expected_name").starts_with("{day} stands for nothing."));
    }

    #[test]
    fn pasted_rows_are_called_what_is_expected() {
        let day = "2026-11-24".parse().unwrap();
        let plan = filled().parse().unwrap();
        assert_eq!(pasted_name(Some(&plan), day), "arrears-2026-11-24.csv");
        let plan = DailyPlan { expected_name: "a*.csv".to_owned(), ..plan };
        assert_eq!(pasted_name(Some(&plan), day), "apasted.csv");
        assert_eq!(pasted_name(None, day), "pasted-2026-11-24.csv");
    }
}
