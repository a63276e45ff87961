//! PAUSE, RESUME, STOP and the other buttons of one campaign or schedule.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use diesel::PgConnection;
use serde::Deserialize;

use crate::access::{Manage, Operate, Person};
use crate::app::App;
use crate::control::{Edit, End, Locked, LockedSchedule, Refused, actions};
use crate::db::Error;
use crate::deliveries::counts::Scope;
use crate::drafting;
use crate::ids::{CampaignId, ScheduleId};
use crate::pacing::Rate;
use crate::screen::domain::{ENTERED, ScheduleLine, Sheet, all_through, would_mean};
use crate::screen::web::index::{Asked, ShownSchedule, answer_row, draw, html, row_of_locked};
use crate::screen::web::panels::{Note, Place, Plan};
use crate::screen::web::plans::plan;
use crate::screen::web::stop::{ask, carry_out, escaped, still};
use crate::settings::calendars;
use crate::web::chart::thousands;
use crate::web::{Click, Frame, Htmx, May, Problem, Say, see_other};

pub fn routes(pages: &mut ServiceConfig) {
    pages
        .service(pause)
        .service(resume_plan)
        .service(resume)
        .service(ask_stop)
        .service(stop)
        .service(extend)
        .service(would)
        .service(edit_schedule)
        .service(pause_campaign)
        .service(campaign_plan)
        .service(resume_campaign)
        .service(ask_stop_campaign)
        .service(stop_campaign)
        .service(duplicate)
        .service(archive);
}

// ---- one schedule ----------------------------------------------------------------

/// The place in the list from which a form was sent, if it was there.
struct CameFrom(Place);

impl FromRequest for CameFrom {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let page = req.headers().get(header::REFERER).and_then(|page| page.to_str().ok());
        let asked = page.and_then(|page| page.split_once("/campaigns?")).map(|(_, query)| Query::from_query(query));
        let place = asked.and_then(Result::ok).map(|asked: Query<Asked>| asked.place());
        ready(Ok(CameFrom(place.unwrap_or_default())))
    }
}

#[post("/schedules/{id}/pause")]
async fn pause(
    app: Data<App>,
    may: May<Operate>,
    htmx: Htmx,
    from: CameFrom,
    id: Path<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::pause(conn, id, by, now);
    change(&app, &may.person, htmx, from, id, Click::Pause, None, verb).await
}

#[post("/schedules/{id}/resume")]
async fn resume(
    app: Data<App>,
    may: May<Operate>,
    htmx: Htmx,
    from: CameFrom,
    id: Path<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::resume(conn, id, by, now);
    change(&app, &may.person, htmx, from, id, Click::Resume, Some("Resumed. It goes on where it stopped."), verb).await
}

#[post("/schedules/{id}/stop")]
async fn stop(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    from: CameFrom,
    id: Path<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::stop(conn, id, by, now);
    change(&app, &may.person, htmx, from, id, Click::Stop, None, verb).await
}

#[derive(Deserialize)]
struct Times {
    #[serde(default)]
    end: String,
    #[serde(default)]
    rate: String,
}

impl Times {
    /// As a field of date and time has it, or one of time alone.
    fn end(&self) -> Result<End, &'static str> {
        let text = self.end.trim();
        let whole = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
        let whole = whole.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        let time = || ["%H:%M", "%H:%M:%S"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok());
        let end = whole.map(End::from).or_else(|| time().map(End::from));
        end.ok_or("Write the end as date and time, such as 2026-11-28 18:00.")
    }

    /// The same with its day: a time that has passed today is nobody's way to say tomorrow.
    fn end_on_a_day(&self) -> Result<End, &'static str> {
        self.end()?.with_day().ok_or("Write the date of the end as well, such as 2026-11-28 18:00.")
    }

    fn edit(&self) -> Result<Edit, &'static str> {
        Ok(Edit { end: Some(self.end()?), rate: Some(self.rate()?) })
    }

    /// Empty for an automatic rate.
    fn rate(&self) -> Result<Rate, &'static str> {
        let text = self.rate.trim();
        if text.is_empty() {
            return Ok(Rate::Auto);
        }
        let rate = text.parse().ok().filter(|rate| (0.01..=6_000_000.0).contains(rate)).map(Rate::Fixed);
        rate.ok_or("Messages a minute must be a number from 0.01 to 6,000,000, or empty for an automatic rate.")
    }
}

#[post("/schedules/{id}/extend")]
async fn extend(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    from: CameFrom,
    id: Path<ScheduleId>,
    form: Form<Times>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    match form.end_on_a_day() {
        Ok(end) => {
            let verb = move |conn: &mut PgConnection| actions::extend(conn, id, end, by, now);
            change(&app, &may.person, htmx, from, id, Click::Resume, Some("Extended and resumed."), verb).await
        }
        Err(reason) => refuse(&app, &may.person, htmx, id, Problem::Invalid(reason.to_owned())).await,
    }
}

#[post("/schedules/{id}/edit")]
async fn edit_schedule(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    from: CameFrom,
    id: Path<ScheduleId>,
    form: Form<Times>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    match form.edit() {
        Ok(edit) => {
            let verb = move |conn: &mut PgConnection| actions::edit(conn, id, edit, by, now);
            change(&app, &may.person, htmx, from, id, Click::Edit, Some("Updated."), verb).await
        }
        Err(reason) => refuse(&app, &may.person, htmx, id, Problem::Invalid(reason.to_owned())).await,
    }
}

#[derive(Deserialize)]
struct Would {
    #[serde(default)]
    end: String,
    #[serde(default)]
    rate: String,
    /// `yes` for more time after a pause or the end, and the rate as it is.
    #[serde(default)]
    extend: String,
}

/// A change as it would be, to be confirmed where no script shows it beside the form.
#[derive(Template)]
#[template(path = "campaigns/_would.html")]
struct WouldMean<'a> {
    words: &'a str,
    refused: bool,
    action: String,
    asked: &'a Would,
    back: String,
}

/// What a change of the end or the rate would mean.
#[get("/schedules/{id}/would")]
async fn would(
    app: Data<App>,
    _may: May<Manage>,
    frame: Frame,
    htmx: Htmx,
    id: Path<ScheduleId>,
    asked: Query<Would>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (*id, app.clock.now());
    let times = Times { end: asked.end.clone(), rate: asked.rate.clone() };
    let extends = asked.extend == "yes";
    let shown = ShownSchedule::find(&app, id).await?;
    let (line, zone) = (shown.line(), shown.sheet.campaign.zone);
    let own = shown.sheet.campaign.quiet;
    let calendar = app.db.run(move |conn| calendars::of(conn, zone, &own)).await?;
    let mut it = LockedSchedule::new(line.schedule.clone(), line.run.clone().into_iter().collect());
    let waiting = line.counts.retrying;
    let changed = match extends {
        true => times.end_on_a_day().map(|end| it.extend(end, zone, &calendar, waiting, now).map(drop)),
        false => times.edit().map(|edit| it.edit(edit, zone, &calendar, waiting, now).map(drop)),
    };
    let (words, refused) = match changed {
        Ok(Ok(())) => match it.edited_run() {
            Some(run) => (would_mean(run, &run.holds(&calendar), zone, now), false),
            None => ("It holds from the next run on.".to_owned(), false),
        },
        Ok(Err(why)) => (why.to_string(), true),
        Err(why) => (why.to_owned(), true),
    };
    let action = if extends { "extend" } else { "edit" };
    let action = format!("/schedules/{id}/{action}");
    match htmx {
        Htmx(true) => Ok(html(escaped(&words)?)),
        Htmx(false) => {
            let title = format!("{}: what it would mean", line.schedule.plan.name);
            let asked = &*asked;
            let body = draw(&WouldMean { words: &words, refused, action, asked, back: shown.address() })?;
            ask(frame, htmx, &title, &body)
        }
    }
}

/// Carries a verb out on a schedule and shows what has become of it. `done`: what is said
/// then; where nothing is, the answer waits until the wire is quiet and tells that.
#[allow(clippy::too_many_arguments, reason = "whoever clicks comes from somewhere and wants something")]
async fn change(
    app: &App,
    person: &Person,
    htmx: Htmx,
    from: CameFrom,
    id: ScheduleId,
    click: Click,
    done: Option<&'static str>,
    verb: impl Fn(&mut PgConnection) -> Result<Locked, Error<Refused>> + Clone + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let app = &app.without_delay();
    let locked = match carry_out(app, click, verb).await {
        Ok(locked) => locked,
        Err(problem @ Problem::Conflict(_)) => return refuse(app, person, htmx, id, problem).await,
        Err(problem) => return Err(problem),
    };
    let wire = match done {
        None => Some(still(app, click, Scope::Schedule(id)).await?),
        Some(_) => None,
    };
    let drawn = async {
        let shown = match locked {
            Some(locked) => ShownSchedule::of(app, id, locked).await?,
            None => ShownSchedule::find(app, id).await?,
        };
        match htmx {
            Htmx(true) => {
                let note = done.map(|done| said(done, &shown, app.clock.now()));
                shown.draw(app, person, note, None, wire).await.map(html)
            }
            Htmx(false) => Ok(see_other(shown.address_in(from.0))),
        }
    };
    drawn.await.map_err(|problem: Problem| unseen(click, problem))
}

/// What was done, with the end that it leads to: a time that was typed may mean tomorrow.
fn said(done: &str, shown: &ShownSchedule, now: DateTime<Utc>) -> Note {
    let zone = shown.sheet.campaign.zone;
    let ends = shown.line().run.as_ref().map(|run| crate::screen::domain::moment(run.window.ends, zone, now).words);
    let ends = ends.map(|ends| format!(" It ends {ends}.")).unwrap_or_default();
    Note { tone: "good", text: format!("{done}{ends}") }
}

/// What was clicked has been done, whatever became of drawing it.
fn unseen(click: Click, problem: Problem) -> Problem {
    match problem {
        Problem::Busy | Problem::TooSlow | Problem::NoDatabase(_) => Problem::Unseen(click),
        problem => problem,
    }
}

/// Shows the schedule as it really is and, in it, why nothing was done.
async fn refuse(
    app: &App,
    person: &Person,
    htmx: Htmx,
    id: ScheduleId,
    problem: Problem,
) -> Result<HttpResponse, Problem> {
    if htmx == Htmx(false) {
        return Err(problem);
    }
    let note = Note::refusal(problem.to_string());
    let body = ShownSchedule::find(app, id).await?.draw(app, person, Some(note), None, None).await?;
    Ok(in_place(&problem, &format!("#schedule-{id}"), body))
}

/// Answers with the piece of the screen itself: its state, not the button, decides where it goes.
fn in_place(problem: &Problem, target: &str, body: String) -> HttpResponse {
    let status = match problem {
        Problem::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("HX-Retarget", target))
        .insert_header(("HX-Reswap", "outerHTML"))
        .body(body)
}

/// What resuming now would bring.
#[get("/schedules/{id}/resume")]
async fn resume_plan(
    app: Data<App>,
    may: May<Operate>,
    frame: Frame,
    htmx: Htmx,
    id: Path<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    let app = app.without_delay();
    let shown = ShownSchedule::find(&app, *id).await?;
    let line = shown.line();
    let plan = match line.can_resume() {
        true => {
            let plan = plan(&app, &[line]).await?;
            let until = if plan.too_late { Some(until_all_are_through(&app, &shown).await?) } else { None };
            Some(Plan { until, ..plan })
        }
        false => None,
    };
    let note = plan.is_none().then(|| Note::refusal("The schedule is not paused."));
    let panel = shown.draw(&app, &may.person, note, plan, None).await?;
    match htmx {
        Htmx(true) => Ok(html(panel)),
        Htmx(false) => {
            let title = format!("Resume {} of {}?", line.schedule.plan.name, shown.sheet.campaign.name);
            ask(frame, htmx, &title, &format!("<div class=\"schedules\">{panel}</div>"))
        }
    }
}

/// An end by which all would be through if it went on now, as a field of date and time takes it.
async fn until_all_are_through(app: &App, shown: &ShownSchedule) -> Result<String, Problem> {
    let (now, zone) = (app.clock.now(), shown.sheet.campaign.zone);
    let own = shown.sheet.campaign.quiet;
    let calendar = app.db.run(move |conn| calendars::of(conn, zone, &own)).await?;
    let until = shown.line().run.as_ref().and_then(|run| all_through(run, &calendar, now));
    Ok(until.unwrap_or(now + TimeDelta::hours(1)).with_timezone(&zone).format(ENTERED).to_string())
}

#[get("/schedules/{id}/stop")]
async fn ask_stop(
    app: Data<App>,
    _may: May<Manage>,
    frame: Frame,
    htmx: Htmx,
    id: Path<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    let (id, app) = (*id, app.without_delay());
    let (sheet, n_talks) = app
        .db
        .look(move |conn| {
            let sheet = crate::screen::store::sheet_of_schedule(conn, id)?;
            Ok::<_, diesel::result::Error>((sheet, crate::screen::store::n_with_bot(conn, Scope::Schedule(id))?))
        })
        .await?;
    let line = sheet.lines.iter().find(|line| line.schedule.id == id).ok_or(Problem::NotFound)?;
    let talks = line.bot.as_ref().map(|_| n_talks);
    let question = crate::screen::web::stop::Question {
        what: format!("{} of {}", line.schedule.plan.name, sheet.campaign.name),
        action: format!("/schedules/{id}/stop"),
        target: format!("#schedule-{id}"),
        unsent: thousands(line.all_counts().unsent()),
        talks: talks.map(thousands),
        launches: false,
        schedules: None,
        back: format!("/campaigns?open={}#schedule-{id}", sheet.campaign.id),
    };
    question.answer(frame, htmx)
}

// ---- one campaign ----------------------------------------------------------------

#[post("/campaigns/{id}/pause")]
async fn pause_campaign(
    app: Data<App>,
    may: May<Operate>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::pause(conn, id, by, now);
    change_campaign(&app, &may.person, htmx, id, asked.place(), Click::Pause, verb).await
}

#[post("/campaigns/{id}/resume")]
async fn resume_campaign(
    app: Data<App>,
    may: May<Operate>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::resume(conn, id, by, now);
    change_campaign(&app, &may.person, htmx, id, asked.place(), Click::Resume, verb).await
}

#[post("/campaigns/{id}/stop")]
async fn stop_campaign(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::stop(conn, id, by, now);
    change_campaign(&app, &may.person, htmx, id, asked.place(), Click::Stop, verb).await
}

#[post("/campaigns/{id}/archive")]
async fn archive(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::archive(conn, id, by, now);
    change_campaign(&app, &may.person, htmx, id, asked.place(), Click::Edit, verb).await
}

/// Carries a verb out on a campaign and shows what has become of it; after a pause and a
/// stop once the wire is quiet.
async fn change_campaign(
    app: &App,
    person: &Person,
    htmx: Htmx,
    id: CampaignId,
    place: Place,
    click: Click,
    verb: impl Fn(&mut PgConnection) -> Result<Locked, Error<Refused>> + Clone + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let app = &app.without_delay();
    let locked = match carry_out(app, click, verb).await {
        Ok(locked) => locked,
        Err(problem @ Problem::Conflict(_)) if htmx == Htmx(true) => {
            let note = Note::refusal(problem.to_string());
            let body = answer_row(app, person, id, place, Some(note), None).await?;
            return Ok(in_place(&problem, &format!("#campaign-{id}"), body));
        }
        Err(problem) => return Err(problem),
    };
    let wire = match click {
        Click::Pause | Click::Stop => Some(still(app, click, Scope::Campaign(id)).await?),
        _ => None,
    };
    if htmx == Htmx(false) {
        return Ok(see_other(format!("{}#campaign-{id}", place.url(Some(id)))));
    }
    let drawn = match locked {
        Some(locked) => row_of_locked(app, person, locked, place, wire).await,
        None => answer_row(app, person, id, place, None, None).await,
    };
    drawn.map(html).map_err(|problem| unseen(click, problem))
}

#[get("/campaigns/{id}/resume")]
async fn campaign_plan(
    app: Data<App>,
    may: May<Operate>,
    frame: Frame,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (id, app) = (*id, app.without_delay());
    let sheet: Sheet = app.db.look(move |conn| crate::screen::store::sheet(conn, id)).await?;
    let held: Vec<&ScheduleLine> =
        sheet.lines.iter().filter(|line| line.schedule.state.goes_on_with(sheet.campaign.state)).collect();
    let (note, plan) = match held.is_empty() && sheet.campaign.state.resume().is_err() {
        true => (Note::refusal("It is not paused.".to_owned()), None),
        false => (Note { tone: "good", text: "Paused.".into() }, Some(plan(&app, &held).await?)),
    };
    let row = answer_row(&app, &may.person, id, asked.place(), Some(note), plan).await?;
    match htmx {
        Htmx(true) => Ok(html(row)),
        Htmx(false) => {
            let title = format!("Resume {}?", sheet.campaign.name);
            ask(frame, htmx, &title, &format!("<div class=\"campaigns\">{row}</div>"))
        }
    }
}

#[get("/campaigns/{id}/stop")]
async fn ask_stop_campaign(
    app: Data<App>,
    _may: May<Manage>,
    frame: Frame,
    htmx: Htmx,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, app) = (*id, app.without_delay());
    let (sheet, n_talks) = app
        .db
        .look(move |conn| {
            Ok::<_, diesel::result::Error>((
                crate::screen::store::sheet(conn, id)?,
                crate::screen::store::n_with_bot(conn, Scope::Campaign(id))?,
            ))
        })
        .await?;
    let talks = sheet.has_bot().then_some(n_talks);
    let hit = sheet.lines.iter().filter(|line| line.can_stop(&sheet.campaign));
    let question = crate::screen::web::stop::Question {
        what: sheet.campaign.name.clone(),
        action: format!("/campaigns/{id}/stop"),
        target: format!("#campaign-{id}"),
        talks: talks.map(thousands),
        unsent: thousands(hit.clone().map(|line| line.all_counts().unsent()).sum()),
        launches: sheet.launches,
        schedules: Some(hit.count()),
        back: format!("/campaigns?open={id}#campaign-{id}"),
    };
    question.answer(frame, htmx)
}

#[post("/campaigns/{id}/duplicate")]
async fn duplicate(
    app: Data<App>,
    say: Say,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let copy = app.db.run(move |conn| drafting::actions::duplicate(conn, id, by, now)).await?;
    say.that("This is the copy. Nothing is sent before you launch it.");
    Ok(htmx.leave_for(&format!("/campaigns/{copy}/edit")))
}
