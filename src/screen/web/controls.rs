//! PAUSE, RESUME, STOP and the other buttons of one campaign or schedule.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use chrono::{DateTime, NaiveTime, Utc};
use diesel::{Connection, PgConnection};
use serde::Deserialize;

use crate::access::{Manage, Operate, Person};
use crate::app::App;
use crate::campaigns::{Campaign, actions, store};
use crate::deliveries::counts::Scope;
use crate::ids::{CampaignId, RunId, ScheduleId};
use crate::pacing::Rate;
use crate::schedules::actions::Edit;
use crate::screen::domain::{ScheduleLine, Sheet};
use crate::screen::web::index::{Asked, answer_row, draw_schedule, html, place_of, sheet_of};
use crate::screen::web::panels::{Note, Place, Plan};
use crate::screen::web::stop::{ask, carry_out, still};
use crate::web::chart::thousands;
use crate::web::{Click, Frame, Htmx, May, Problem, see_other};
use crate::{drafting, schedules};

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

#[derive(Clone, Copy)]
enum Verb {
    Pause,
    Resume,
    Stop,
    Extend(NaiveTime),
    Edit(Edit),
}

impl Verb {
    /// Whether the answer waits until the wire is quiet.
    fn stills(self) -> bool {
        matches!(self, Verb::Pause | Verb::Stop)
    }

    fn click(self) -> Click {
        match self {
            Verb::Pause => Click::Pause,
            Verb::Resume | Verb::Extend(_) => Click::Resume,
            Verb::Stop => Click::Stop,
            Verb::Edit(_) => Click::Edit,
        }
    }

    /// What to say of it, with the end it leads to: a time that was typed may mean tomorrow.
    fn done(self, line: &ScheduleLine, campaign: &Campaign, now: DateTime<Utc>) -> Option<Note> {
        let text = match self {
            Verb::Pause | Verb::Stop => return None,
            Verb::Resume => "Resumed. It goes on where it stopped.",
            Verb::Extend(_) => "Extended and resumed.",
            Verb::Edit(_) => "Updated.",
        };
        let ends =
            line.run.as_ref().map(|run| crate::screen::domain::moment(run.window.ends, campaign.zone, now).words);
        let ends = ends.map(|ends| format!(" It ends {ends}.")).unwrap_or_default();
        Some(Note { tone: "good", text: format!("{text}{ends}") })
    }
}

#[post("/schedules/{id}/pause")]
async fn pause(app: Data<App>, may: May<Operate>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    change(&app, &may.person, htmx, *id, Verb::Pause).await
}

#[post("/schedules/{id}/resume")]
async fn resume(app: Data<App>, may: May<Operate>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    change(&app, &may.person, htmx, *id, Verb::Resume).await
}

#[post("/schedules/{id}/stop")]
async fn stop(app: Data<App>, may: May<Manage>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    change(&app, &may.person, htmx, *id, Verb::Stop).await
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
    match form.end() {
        Ok(end) => change(&app, &may.person, htmx, *id, Verb::Extend(end)).await,
        Err(reason) => refuse(&app, &may.person, htmx, *id, Problem::Invalid(reason.to_owned())).await,
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
    match form.end().and_then(|end| Ok(Edit { end: Some(end), rate: Some(form.rate()?) })) {
        Ok(edit) => change(&app, &may.person, htmx, *id, Verb::Edit(edit)).await,
        Err(reason) => refuse(&app, &may.person, htmx, *id, Problem::Invalid(reason.to_owned())).await,
    }
}

async fn change(app: &App, person: &Person, htmx: Htmx, id: ScheduleId, verb: Verb) -> Result<HttpResponse, Problem> {
    let (by, now, app) = (person.id, app.clock.now(), &app.without_delay());
    let work = move |conn: &mut PgConnection| {
        conn.transaction(|conn| {
            match verb {
                Verb::Pause => schedules::actions::pause(conn, id, by, now)?,
                Verb::Resume => schedules::actions::resume(conn, id, by, now)?,
                Verb::Stop => {
                    schedules::actions::stop(conn, id, by, now)?;
                    // With its last schedule the campaign is stopped, too.
                    let campaign = schedules::store::find(conn, id)?.campaign_id;
                    actions::finish(conn, campaign, now)?;
                }
                Verb::Edit(edit) => schedules::actions::edit(conn, id, edit, by, now)?,
                Verb::Extend(end) => actions::extend(conn, id, end, by, now)?,
            }
            Ok(())
        })
    };
    match carry_out(app, verb.click(), work).await {
        Ok(()) => {}
        Err(problem @ Problem::Conflict(_)) => return refuse(app, person, htmx, id, problem).await,
        Err(problem) => return Err(problem),
    }
    if verb.stills() {
        still(app, verb.click(), Scope::Schedule(id.0)).await?;
    }
    let drawn = async {
        let (sheet, n) = sheet_of(app, id).await?;
        match htmx {
            Htmx(true) => {
                let (campaign, line) = (&sheet.campaign, &sheet.lines[n]);
                let note = verb.done(line, campaign, now);
                draw_schedule(app, person, campaign, line, note, None).await.map(html)
            }
            Htmx(false) => Ok(see_other(place_of(&sheet, id))),
        }
    };
    drawn.await.map_err(|problem: Problem| unseen(verb.click(), problem))
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
    let (sheet, n) = sheet_of(app, id).await?;
    let note = Note::refusal(problem.to_string());
    let body = draw_schedule(app, person, &sheet.campaign, &sheet.lines[n], Some(note), None).await?;
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
    let (sheet, n) = sheet_of(&app, *id).await?;
    let line = &sheet.lines[n];
    let plan = match line.can_resume() {
        true => Some(plan(&app, &[line]).await?),
        false => None,
    };
    let note = plan.is_none().then(|| Note::refusal("The schedule is not paused."));
    let panel = draw_schedule(&app, &may.person, &sheet.campaign, line, note, plan).await?;
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
            Ok::<_, diesel::result::Error>((sheet, store::n_with_bot(conn, Scope::Schedule(id.0))?))
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
        back: place_of(&sheet, id),
    };
    question.answer(frame, htmx)
}

// ---- one campaign ----------------------------------------------------------------

#[derive(Clone, Copy)]
enum Whole {
    Pause,
    Resume,
    Stop,
    Archive,
}

impl Whole {
    fn click(self) -> Click {
        match self {
            Whole::Pause => Click::Pause,
            Whole::Resume => Click::Resume,
            Whole::Stop => Click::Stop,
            Whole::Archive => Click::Edit,
        }
    }
}

#[post("/campaigns/{id}/pause")]
async fn pause_campaign(
    app: Data<App>,
    may: May<Operate>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    change_campaign(&app, &may.person, htmx, *id, asked.place(), Whole::Pause).await
}

#[post("/campaigns/{id}/resume")]
async fn resume_campaign(
    app: Data<App>,
    may: May<Operate>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    change_campaign(&app, &may.person, htmx, *id, asked.place(), Whole::Resume).await
}

#[post("/campaigns/{id}/stop")]
async fn stop_campaign(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    change_campaign(&app, &may.person, htmx, *id, asked.place(), Whole::Stop).await
}

#[post("/campaigns/{id}/archive")]
async fn archive(
    app: Data<App>,
    may: May<Manage>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    change_campaign(&app, &may.person, htmx, *id, asked.place(), Whole::Archive).await
}

async fn change_campaign(
    app: &App,
    person: &Person,
    htmx: Htmx,
    id: CampaignId,
    place: Place,
    whole: Whole,
) -> Result<HttpResponse, Problem> {
    let (by, now, app) = (person.id, app.clock.now(), &app.without_delay());
    let click = whole.click();
    let work = move |conn: &mut PgConnection| {
        Ok(match whole {
            Whole::Pause => actions::pause(conn, id, by, now),
            Whole::Resume => actions::resume(conn, id, by, now),
            Whole::Stop => actions::stop(conn, id, by, now),
            Whole::Archive => actions::archive(conn, id, by, now),
        }?)
    };
    match carry_out(app, click, work).await {
        Ok(()) => {}
        Err(problem @ Problem::Conflict(_)) if htmx == Htmx(true) => {
            let note = Note::refusal(problem.to_string());
            let body = answer_row(app, person, id, place, Some(note), None).await?;
            return Ok(in_place(&problem, &format!("#campaign-{id}"), body));
        }
        Err(problem) => return Err(problem),
    }
    match whole {
        Whole::Pause | Whole::Stop => drop(still(app, click, Scope::Campaign(id.0)).await?),
        Whole::Resume | Whole::Archive => {}
    }
    match htmx {
        Htmx(true) => {
            let drawn = answer_row(app, person, id, place, None, None).await;
            drawn.map(html).map_err(|problem| unseen(click, problem))
        }
        Htmx(false) => Ok(see_other(format!("/campaigns?open={id}#campaign-{id}"))),
    }
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
        sheet.lines.iter().filter(|line| sheet.campaign.state.resumes(&line.schedule.state)).collect();
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
                store::n_with_bot(conn, Scope::Campaign(id.0))?,
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
