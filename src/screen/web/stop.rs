//! PAUSE ALL, STOP, and the questions before what cannot be taken back.

use std::borrow::Borrow;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde::Deserialize;

use crate::access::{Operate, Right, StopEverything, View};
use crate::app::App;
use crate::control::actions;
use crate::db::{DbError, Error, Lost, Reason};
use crate::deliveries::counts::{Scope, n_in_flight};
use crate::deliveries::quiet::{self, OnTheWire};
use crate::ids::PauseAllId;
use crate::screen::domain::{Moment, Outlook, PausedAll, ScheduleLine};
use crate::screen::web::index::{draw, html};
use crate::screen::web::panels::{PausedTogether, Plan};
use crate::screen::web::plans::plan;
use crate::web::chart::thousands;
use crate::web::{Click, FieldErrors, Frame, Htmx, May, Problem, page, page_with};

/// What has to be typed before everything stops.
const WORD: &str = "STOP";

pub fn routes(pages: &mut ServiceConfig) {
    pages
        .service(ask_pause_all)
        .service(pause_all)
        .service(paused_all)
        .service(ask_resume_all)
        .service(resume_all)
        .service(ask_stop_all)
        .service(stop_all);
}

/// A connection that breaks sooner than this under a click is given a second try:
/// it was dead already, and both answers still come in time.
const TRIED_AGAIN_WITHIN: Duration = Duration::from_millis(1500);

/// Carries out a click whose answer has to be true. One that came to nothing, because
/// the connection broke under it, is carried out once more; so is one that may have
/// come to something, and what says then that it has been done already is right: `None`
/// is answered, as nothing was held on to.
pub async fn carry_out<T: Send + 'static, R: Reason>(
    app: &App,
    click: Click,
    work: impl Fn(&mut PgConnection) -> Result<T, Error<R>> + Clone + Send + 'static,
) -> Result<Option<T>, Problem> {
    let began = Instant::now();
    let answer = match app.db.run(work.clone()).await {
        Err(DbError::Lost(lost)) if began.elapsed() < TRIED_AGAIN_WITHIN => match app.db.run(work).await {
            Err(DbError::Work(Error::Refused(_))) if !lost.unchanged => return Ok(None),
            Err(DbError::Lost(again)) => {
                Err(DbError::Lost(Lost { unchanged: lost.unchanged && again.unchanged, ..again }))
            }
            answer => answer,
        },
        answer => answer,
    };
    answer.map(Some).map_err(|error| Problem::from(error).clicking(click))
}

/// Waits after a pause or a stop until nothing can begin any more.
pub async fn still(app: &App, click: Click, scope: Scope) -> Result<OnTheWire, Problem> {
    quiet::wait(app, scope).await.map_err(|error| {
        tracing::warn!("after {click:?}: {error}");
        Problem::Unseen(click)
    })
}

/// A question as a page of its own.
#[derive(Template)]
#[template(path = "campaigns/ask.html")]
struct Ask<'a> {
    frame: Frame,
    title: &'a str,
    body: &'a str,
}

/// A question: in the dialog of the page, or as a page when there are no scripts.
pub fn ask(frame: Frame, htmx: Htmx, title: &str, body: &str) -> Result<HttpResponse, Problem> {
    ask_with(StatusCode::OK, frame, htmx, title, body)
}

fn ask_with(status: StatusCode, frame: Frame, htmx: Htmx, title: &str, body: &str) -> Result<HttpResponse, Problem> {
    match htmx {
        Htmx(true) => {
            let mut answer = html(format!("<h2 id=\"dialog-title\">{title}</h2>{body}", title = escaped(title)?));
            *answer.status_mut() = status;
            Ok(answer)
        }
        Htmx(false) => page_with(status, Ask { frame, title, body }),
    }
}

pub fn escaped(text: &str) -> Result<String, Problem> {
    #[derive(Template)]
    #[template(source = "{{ text }}", ext = "html")]
    struct Text<'a> {
        text: &'a str,
    }
    draw(&Text { text })
}

/// Before one campaign or schedule is stopped.
#[derive(Template)]
#[template(path = "campaigns/_stop_one.html")]
pub struct Question {
    /// What it is called.
    pub what: String,
    pub action: String,
    /// What the answer replaces.
    pub target: String,
    pub unsent: String,
    /// Conversations in which its bot falls silent; `None` where it has no bot.
    pub talks: Option<String>,
    /// It waits for its file, and is a draft again when it is stopped.
    pub launches: bool,
    /// How many schedules; `None` when it is one of them.
    pub schedules: Option<usize>,
    pub back: String,
}

impl Question {
    pub fn answer(self, frame: Frame, htmx: Htmx) -> Result<HttpResponse, Problem> {
        ask(frame, htmx, &format!("Stop {}?", self.what), &draw(&self)?)
    }
}

#[derive(Template)]
#[template(path = "campaigns/_stop_all.html")]
struct StopAll {
    campaigns: String,
    schedules: String,
    unsent: String,
    talks: String,
    errors: FieldErrors,
}

#[post("/campaigns/pause-all")]
async fn pause_all(app: Data<App>, may: May<Operate>, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (by, now, app) = (may.person.id, app.clock.now(), app.without_delay());
    carry_out(&app, Click::PauseAll, move |conn| actions::pause_all(conn, by, now)).await?;
    still(&app, Click::PauseAll, Scope::Everything).await?;
    Ok(htmx.leave_for("/campaigns?settling=Paused"))
}

#[derive(Deserialize)]
struct Was {
    /// Signature of what the asker shows already.
    #[serde(default)]
    was: String,
}

/// The same; nothing when the asker shows it as it is.
#[get("/campaigns/paused-all")]
async fn paused_all(app: Data<App>, may: May<View>, asked: Query<Was>) -> Result<HttpResponse, Problem> {
    let pauses = app.db.run(crate::screen::store::pauses_of_everything).await?;
    if asked.was == PausedTogether::signature(&pauses) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let operates = may.person.role >= Operate::NEEDS;
    page(PausedTogether { pauses, zone: app.settings.time_zone, now: app.clock.now(), operates })
}

/// Before everything pauses.
#[derive(Template)]
#[template(path = "campaigns/_pause_all.html")]
struct PauseAll {
    campaigns: String,
    in_flight: String,
    launches: i64,
}

#[get("/campaigns/pause-all")]
async fn ask_pause_all(app: Data<App>, _may: May<Operate>, frame: Frame, htmx: Htmx) -> Result<HttpResponse, Problem> {
    let (now, app) = (app.clock.now(), app.without_delay());
    let would = move |conn: &mut PgConnection| {
        let would = actions::would_pause(conn, now)?;
        Ok::<_, diesel::result::Error>((would, n_in_flight(conn, Scope::Everything)?))
    };
    let (would, in_flight) = app.db.look(would).await?;
    let (campaigns, in_flight) = (thousands(would.campaigns), thousands(in_flight));
    ask(frame, htmx, "Pause everything?", &draw(&PauseAll { campaigns, in_flight, launches: would.launches })?)
}

/// Before what was paused together goes on.
#[derive(Template)]
#[template(path = "campaigns/_resume_all.html")]
struct ResumeAll {
    paused: PausedAll,
    plan: Plan,
    /// Schedules whose end has passed.
    n_late: usize,
    zone: chrono_tz::Tz,
    now: DateTime<Utc>,
}

impl ResumeAll {
    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        crate::screen::domain::moment(*at.borrow(), self.zone, self.now)
    }
}

const NOTHING_LEFT: &str = "Nothing of it is paused any more.";

#[get("/campaigns/resume-all/{id}")]
async fn ask_resume_all(
    app: Data<App>,
    _may: May<Operate>,
    frame: Frame,
    htmx: Htmx,
    id: Path<PauseAllId>,
) -> Result<HttpResponse, Problem> {
    let (id, now, app) = (*id, app.clock.now(), app.without_delay());
    let (pauses, sheets) = app
        .db
        .look(move |conn| {
            let pauses = crate::screen::store::pauses_of_everything(conn)?;
            Ok::<_, diesel::result::Error>((pauses, crate::screen::store::sheets_paused_with(conn, id)?))
        })
        .await?;
    let Some(paused) = pauses.into_iter().find(|it| it.id == id) else {
        return Err(Problem::Conflict(NOTHING_LEFT.to_owned()));
    };
    let lines: Vec<&ScheduleLine> = sheets
        .iter()
        .flat_map(|sheet| sheet.lines.iter().filter(|line| line.schedule.state.goes_on_with(sheet.campaign.state)))
        .collect();
    let (late, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.needs_more_time(now));
    let plan = plan(&app, &others).await?;
    let zone = app.settings.time_zone;
    ask(frame, htmx, "Resume them?", &draw(&ResumeAll { paused, plan, n_late: late.len(), zone, now })?)
}

#[derive(Deserialize)]
struct Which {
    pause: PauseAllId,
}

#[post("/campaigns/resume-all")]
async fn resume_all(app: Data<App>, may: May<Operate>, htmx: Htmx, form: Form<Which>) -> Result<HttpResponse, Problem> {
    let (id, by, now, app) = (form.pause, may.person.id, app.clock.now(), app.without_delay());
    let n = carry_out(&app, Click::ResumeAll, move |conn| actions::resume_all(conn, id, by, now)).await?;
    match n {
        Some(0) => Err(Problem::Conflict(NOTHING_LEFT.to_owned())),
        _ => Ok(htmx.leave_for("/campaigns")),
    }
}

#[get("/stop")]
async fn ask_stop_all(
    app: Data<App>,
    _may: May<StopEverything>,
    frame: Frame,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    question(&app.without_delay(), StatusCode::OK, frame, htmx, FieldErrors::default()).await
}

async fn question(
    app: &App,
    status: StatusCode,
    frame: Frame,
    htmx: Htmx,
    errors: FieldErrors,
) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let would = app.db.look(move |conn| actions::would_stop(conn, now)).await?;
    let form = StopAll {
        campaigns: thousands(would.hit.campaigns),
        schedules: thousands(would.hit.schedules),
        unsent: thousands(would.unsent),
        talks: thousands(would.talks),
        errors,
    };
    ask_with(status, frame, htmx, "STOP everything?", &draw(&form)?)
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    word: String,
}

#[post("/stop")]
async fn stop_all(
    app: Data<App>,
    may: May<StopEverything>,
    frame: Frame,
    htmx: Htmx,
    form: Form<Typed>,
) -> Result<HttpResponse, Problem> {
    if form.word.trim() != WORD {
        let mut errors = FieldErrors::default();
        errors.add("word", "Type STOP in capital letters. Nothing was stopped.");
        return question(&app.without_delay(), StatusCode::UNPROCESSABLE_ENTITY, frame, htmx, errors).await;
    }
    let (by, now, app) = (may.person.id, app.clock.now(), app.without_delay());
    carry_out(&app, Click::StopAll, move |conn| actions::stop_all(conn, by, now)).await?;
    still(&app, Click::StopAll, Scope::Everything).await?;
    Ok(htmx.leave_for("/campaigns?settling=Stopped"))
}
