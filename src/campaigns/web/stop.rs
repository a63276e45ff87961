//! PAUSE ALL, STOP, and the questions before what cannot be taken back.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use super::super::actions;
use super::index::{draw, html};
use crate::app::App;
use crate::deliveries::quiet;
use crate::deliveries::store::Scope;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, Htmx, May, Operate, Problem, StopEverything, page_with};

/// What has to be typed before everything stops.
const WORD: &str = "STOP";

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(pause_all).service(ask_stop_all).service(stop_all);
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

fn escaped(text: &str) -> Result<String, Problem> {
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
    pub title: String,
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
        ask(frame, htmx, &self.title, &draw(&self)?)
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
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::pause_all(conn, by, now)).await?;
    quiet::wait(&app, Scope::Everything).await?;
    Ok(htmx.leave_for("/campaigns?settling=Paused"))
}

#[get("/stop")]
async fn ask_stop_all(
    app: Data<App>,
    _may: May<StopEverything>,
    frame: Frame,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    question(&app, StatusCode::OK, frame, htmx, FieldErrors::default()).await
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
        return question(&app, StatusCode::UNPROCESSABLE_ENTITY, frame, htmx, errors).await;
    }
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::stop_all(conn, by, now)).await?;
    quiet::wait(&app, Scope::Everything).await?;
    Ok(htmx.leave_for("/campaigns?settling=Stopped"))
}
