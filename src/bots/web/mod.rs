//! The pages of bots: the list, making one, the editor, the simulator, the versions.

mod editor;
mod simulator;
mod step_form;
mod versions;

use crate::ids::BotId;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::actions;

use super::examples::{EXAMPLES, Example};
use super::exchange::{self, Wrong};
use super::steps::{Act, Step, StepId, Steps};
use super::store::{self, ListedBot, UsedBy};
use crate::access::{Manage, Role, View};
use crate::app::App;
use crate::db::{DbError, Error};
use crate::web::{FieldErrors, Frame, Htmx, Incoming, May, Parts, Problem, page, page_with};

pub fn routes(cfg: &mut ServiceConfig) {
    // What has a name before `{id}`, which would take it for one.
    cfg.service(index)
        .service(new)
        .service(create)
        .service(import_page)
        .service(import)
        .service(editor::show)
        .service(editor::save)
        .service(editor::add)
        .service(editor::shift)
        .service(editor::publish)
        .service(simulator::begin)
        .service(simulator::go_on)
        .service(versions::list)
        .service(versions::compare)
        .service(versions::revert)
        .service(versions::export)
        .service(versions::rename)
        .service(versions::archive)
        .service(versions::restore);
}

/// Bots on one page.
const PAGE: usize = 50;
/// Campaigns of a bot that the list names.
const NAMED: usize = 2;
/// Campaigns of a bot that its own page names.
const USERS: i64 = 20;

/// An instant on a page, in the installation's zone.
fn when(at: &DateTime<Utc>, zone: &Tz) -> String {
    at.with_timezone(zone).format("%-d %B %Y, %H:%M").to_string()
}

// The list

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Place {
    q: String,
    after: String,
    archived: bool,
}

#[derive(Template)]
#[template(path = "bots/index.html")]
struct Index {
    frame: Frame,
    bots: Vec<ListedBot>,
    used_by: Vec<UsedBy>,
    place: Place,
    next: Option<String>,
    zone: Tz,
}

impl Index {
    fn href(&self, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", self.place.q.as_str()), ("after", after)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if self.place.archived {
            query.append_pair("archived", "true");
        }
        format!("/bots?{}", query.finish())
    }

    /// Campaigns of one bot: so many by name, and whether there are more.
    fn users(&self, bot: &BotId) -> (Vec<&UsedBy>, bool) {
        let mut users: Vec<&UsedBy> = self.used_by.iter().filter(|it| it.bot_id == *bot).collect();
        let more = NAMED < users.len();
        users.truncate(NAMED);
        (users, more)
    }

    fn when(&self, at: &DateTime<Utc>) -> String {
        when(at, &self.zone)
    }
}

#[get("/bots")]
async fn index(_may: May<View>, frame: Frame, app: Data<App>, place: Query<Place>) -> Result<HttpResponse, Problem> {
    let place = place.into_inner();
    let asked = Place { q: place.q.trim().replace('\0', ""), after: place.after.replace('\0', ""), ..place.clone() };
    let mut bots =
        app.db.run(move |conn| store::list(conn, &asked.q, &asked.after, asked.archived, PAGE as i64 + 1)).await?;
    let next = (bots.len() > PAGE).then(|| bots[PAGE - 1].name.clone());
    bots.truncate(PAGE);
    let ids: Vec<BotId> = bots.iter().map(|bot| bot.id).collect();
    let used_by = app.db.run(move |conn| store::used_by(conn, &ids, NAMED as i64 + 1)).await?;
    page(Index { frame, bots, used_by, place, next, zone: app.settings.time_zone })
}

// Making one

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct NewForm {
    name: String,
    /// The word of an example; empty to begin with next to nothing.
    from: String,
}

#[derive(Template)]
#[template(path = "bots/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a NewForm,
    errors: &'a FieldErrors,
}

#[get("/bots/new")]
async fn new(_may: May<Manage>, frame: Frame, form: Query<NewForm>) -> Result<HttpResponse, Problem> {
    let mut form = form.into_inner();
    if let (Some(example), true) = (Example::of_word(&form.from), form.name.is_empty()) {
        form.name = example.name.to_owned();
    }
    page(New { frame, form: &form, errors: &FieldErrors::default() })
}

fn nearly_nothing() -> Steps {
    let step = |id: &str, name: &str, act: Act| Step { id: StepId(id.to_owned()), name: name.to_owned(), act };
    Steps(vec![
        step("s1", "Greeting", Act::Message { text: String::new(), next: None }),
        step("s2", "End", Act::Close { text: String::new() }),
    ])
}

#[post("/bots")]
async fn create(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    form: Form<NewForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let steps = Example::of_word(&form.from).map_or_else(nearly_nothing, Example::steps);
    let name = form.name.replace('\0', "");
    match app.db.run(move |conn| actions::create(conn, &name, &steps, by, now)).await {
        Ok(id) => Ok(htmx.leave_for(&format!("/bots/{id}"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut errors = FieldErrors::default();
            errors.add("name", refused.to_string());
            page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, form: &form, errors: &errors })
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Clone, Default)]
struct ImportForm {
    name: String,
    text: String,
}

#[derive(Template)]
#[template(path = "bots/import.html")]
struct Import<'a> {
    frame: Frame,
    form: &'a ImportForm,
    errors: &'a FieldErrors,
    wrong: &'a [Wrong],
}

#[get("/bots/import")]
async fn import_page(_may: May<Manage>, frame: Frame) -> Result<HttpResponse, Problem> {
    page(Import { frame, form: &ImportForm::default(), errors: &FieldErrors::default(), wrong: &[] })
}

/// Makes a bot of what was exported, here or elsewhere. What is pasted counts before the file.
#[post("/bots/import")]
async fn import(may: May<Manage>, frame: Frame, app: Data<App>, form: Incoming) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let parts = Parts::read(form, &["text", "file", "name"]).await?;
    let text = parts.text("text");
    let text = if text.trim().is_empty() { parts.text("file") } else { text };
    let form = ImportForm { name: parts.text("name"), text };
    let (mut errors, mut wrong) = (FieldErrors::default(), Vec::new());
    if form.text.trim().is_empty() {
        errors.add("text", "Choose a file, or paste what is in it.");
    } else {
        match exchange::read(&form.text) {
            Err(found) => wrong = found,
            Ok(exported) => {
                let name = if form.name.trim().is_empty() { exported.name } else { form.name.clone() };
                match app.db.run(move |conn| actions::create(conn, &name, &exported.steps, by, now)).await {
                    Ok(id) => return Ok(crate::web::see_other(format!("/bots/{id}"))),
                    Err(DbError::Work(Error::Refused(refused))) => errors.add("name", refused.to_string()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Import { frame, form: &form, errors: &errors, wrong: &wrong })
}
