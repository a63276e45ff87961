//! PAUSE, RESUME, STOP and the other buttons of one campaign or schedule.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use chrono::{DateTime, NaiveTime, Utc};
use diesel::PgConnection;
use serde::Deserialize;

use crate::access::{Manage, Operate, Person};
use crate::app::App;
use crate::control::{Edit, Locked, Refused, actions};
use crate::db::Error;
use crate::deliveries::counts::Scope;
use crate::drafting;
use crate::ids::{CampaignId, RunId, ScheduleId};
use crate::pacing::Rate;
use crate::screen::domain::{ScheduleLine, Sheet};
use crate::screen::web::index::{Asked, ShownSchedule, answer_row, html, row_of_locked};
use crate::screen::web::panels::{Note, Place, Plan};
use crate::screen::web::stop::{ask, carry_out, still};
use crate::web::chart::thousands;
use crate::web::{Click, Frame, Htmx, May, Problem, see_other};

pub fn routes(pages: &mut ServiceConfig) {
    pages
        .service(pause)
        .service(resume_plan)
        .service(resume)
        .service(ask_stop)
        .service(stop)
        .service(extend)
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

#[post("/schedules/{id}/pause")]
async fn pause(app: Data<App>, may: May<Operate>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::pause(conn, id, by, now);
    change(&app, &may.person, htmx, id, Click::Pause, None, verb).await
}

#[post("/schedules/{id}/resume")]
async fn resume(app: Data<App>, may: May<Operate>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::resume(conn, id, by, now);
    change(&app, &may.person, htmx, id, Click::Resume, Some("Resumed. It goes on where it stopped."), verb).await
}

#[post("/schedules/{id}/stop")]
async fn stop(app: Data<App>, may: May<Manage>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let verb = move |conn: &mut PgConnection| actions::stop(conn, id, by, now);
    change(&app, &may.person, htmx, id, Click::Stop, None, verb).await
}

#[derive(Deserialize)]
struct Times {
    #[serde(default)]
    end: String,
    #[serde(default)]
    rate: String,
}

impl Times {
    fn end(&self) -> Result<NaiveTime, &'static str> {
        let text = self.end.trim();
        NaiveTime::parse_from_str(text, "%H:%M")
            .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"))
            .map_err(|_| "Write the end time as hours and minutes, such as 18:00.")
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
    id: Path<ScheduleId>,
    form: Form<Times>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    match form.end() {
        Ok(end) => {
            let verb = move |conn: &mut PgConnection| actions::extend(conn, id, end, by, now);
            change(&app, &may.person, htmx, id, Click::Resume, Some("Extended and resumed."), verb).await
        }
        Err(reason) => refuse(&app, &may.person, htmx, id, Problem::Invalid(reason.to_owned())).await,
    }
}

#[post("/schedules/{id}/edit")]
async fn edit_schedule(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<ScheduleId>,
    form: Form<Times>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    match form.end().and_then(|end| Ok(Edit { end: Some(end.into()), rate: Some(form.rate()?) })) {
        Ok(edit) => {
            let verb = move |conn: &mut PgConnection| actions::edit(conn, id, edit, by, now);
            change(&app, &may.person, htmx, id, Click::Edit, Some("Updated."), verb).await
        }
        Err(reason) => refuse(&app, &may.person, htmx, id, Problem::Invalid(reason.to_owned())).await,
    }
}

/// Carries a verb out on a schedule and shows what has become of it. `done`: what is said
/// then; where nothing is, the answer waits until the wire is quiet and tells that.
async fn change(
    app: &App,
    person: &Person,
    htmx: Htmx,
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
            Htmx(false) => Ok(see_other(shown.address())),
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
        true => Some(plan(&app, &[line]).await?),
        false => None,
    };
    let note = plan.is_none().then(|| Note::refusal("The schedule is not paused."));
    let panel = shown.draw(&app, &may.person, note, plan, None).await?;
    match htmx {
        Htmx(true) => Ok(html(panel)),
        Htmx(false) => ask(frame, htmx, "Resume", &format!("<div class=\"schedules\">{panel}</div>")),
    }
}

async fn plan(app: &App, lines: &[&ScheduleLine]) -> Result<Plan, Problem> {
    let now = app.clock.now();
    let too_late = lines.iter().any(|line| line.needs_more_time(now));
    let runs: Vec<_> = lines.iter().filter_map(|line| line.with_holds()).collect();
    let ids: Vec<RunId> = runs.iter().map(|(run, _)| run.id).collect();
    let barred = app.db.run(move |conn| crate::screen::store::barred(conn, &ids, now)).await?;
    Ok(Plan {
        left: lines.iter().map(|line| line.counts.unsent()).sum(),
        barred,
        outlook: crate::screen::domain::if_resumed(runs.into_iter(), now),
        too_late,
        says: match !lines.is_empty() && lines.iter().all(|line| line.is_inbound()) {
            true => Some(meets_again(app, lines).await?),
            false => None,
        },
    })
}

/// What resuming brings where the contact writes first.
async fn meets_again(app: &App, lines: &[&ScheduleLine]) -> Result<String, Problem> {
    let mut says = "Resumed, it meets who writes first again.".to_owned();
    for line in lines {
        let (id, channel) = (line.schedule.campaign_id, &line.channel);
        let Some((other, by)) = line.met_by.clone().filter(|(other, _)| *other != id) else { continue };
        says += &match app.db.run(move |conn| crate::inbound::actions::is_newer(conn, id, other)).await? {
            true => format!(" “{by}” is current on {channel} until then."),
            false => format!(" “{by}” was started later and stays current on {channel}."),
        };
    }
    Ok(says)
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
        title: format!("Stop {}?", line.schedule.plan.name),
        action: format!("/schedules/{id}/stop"),
        target: format!("#schedule-{id}"),
        unsent: thousands(line.counts.unsent()),
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
        return Ok(see_other(format!("/campaigns?open={id}#campaign-{id}")));
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
        Htmx(false) => ask(frame, htmx, "Resume", &format!("<div class=\"campaigns\">{row}</div>")),
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
        title: format!("Stop {}?", sheet.campaign.name),
        action: format!("/campaigns/{id}/stop"),
        target: format!("#campaign-{id}"),
        talks: talks.map(thousands),
        unsent: thousands(hit.clone().map(|line| line.counts.unsent()).sum()),
        launches: sheet.launches,
        schedules: Some(hit.count()),
        back: format!("/campaigns?open={id}#campaign-{id}"),
    };
    question.answer(frame, htmx)
}

#[post("/campaigns/{id}/duplicate")]
async fn duplicate(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (*id, may.person.id, app.clock.now());
    let copy = app.db.run(move |conn| drafting::actions::duplicate(conn, id, by, now)).await?;
    Ok(htmx.leave_for(&format!("/campaigns/{copy}/edit")))
}
