//! What was published: list, compare, go back, take away.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::PgConnection;
use serde::Deserialize;

use super::when;
use crate::access::{Manage, Role, View};
use crate::app::App;
use crate::bots::actions;
use crate::bots::compare::{Difference, How, compare as differences};
use crate::bots::domain::{Bot, Version};
use crate::bots::exchange;
use crate::bots::steps::Steps;
use crate::bots::store;
use crate::db::{DbError, Error};
use crate::ids::BotId;
use crate::web::{FieldErrors, Frame, May, Problem, page, page_with, see_other, table_in_turn};
use actix_web::middleware::from_fn;

/// The steps that `draft`, or the number of a version, names.
pub(super) fn steps_of(conn: &mut PgConnection, id: BotId, version: &str) -> diesel::QueryResult<Steps> {
    match version.parse() {
        Ok(n) => Ok(store::find_version(conn, id, n)?.steps),
        Err(_) if version == "draft" => Ok(store::draft(conn, id)?.steps),
        Err(_) => Err(diesel::result::Error::NotFound),
    }
}

#[derive(Template)]
#[template(path = "bots/versions.html")]
struct Versions {
    frame: Frame,
    bot: Bot,
    versions: Vec<Version>,
    differs: bool,
    typed_name: String,
    errors: FieldErrors,
    zone: Tz,
}

impl Versions {
    fn when(&self, at: &DateTime<Utc>) -> String {
        when(at, &self.zone)
    }

    /// What can be compared, as words and values.
    fn choices(&self) -> Vec<(String, String)> {
        let draft = [("draft".to_owned(), "The draft".to_owned())];
        draft
            .into_iter()
            .chain(self.versions.iter().map(|it| (it.n.to_string(), format!("Version {}", it.n))))
            .collect()
    }

    /// The two that one probably wants to compare.
    fn usual(&self) -> (String, String) {
        let n = |at: usize| self.versions.get(at).map_or("draft".to_owned(), |version| version.n.to_string());
        if self.differs { (n(0), "draft".to_owned()) } else { (n(1), n(0)) }
    }
}

async fn look(app: &App, frame: Frame, id: BotId) -> Result<Versions, Problem> {
    let (bot, versions, draft) = app
        .db
        .run(move |conn| {
            let (bot, versions) = (store::find(conn, id)?, store::versions(conn, id)?);
            Ok::<_, diesel::result::Error>((bot, versions, store::draft(conn, id)?))
        })
        .await?;
    let differs = versions.first().is_none_or(|newest| newest.steps != draft.steps);
    let (typed_name, errors, zone) = (bot.name.clone(), FieldErrors::default(), app.settings.time_zone);
    Ok(Versions { frame, bot, versions, differs, typed_name, errors, zone })
}

#[get("/bots/{id}/versions")]
pub(super) async fn list(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
) -> Result<HttpResponse, Problem> {
    page(look(&app, frame, id.into_inner()).await?)
}

#[derive(Deserialize)]
pub(super) struct Two {
    from: String,
    to: String,
}

#[derive(Template)]
#[template(path = "bots/compare.html")]
struct Compare {
    frame: Frame,
    bot: Bot,
    two: Two,
    differences: Vec<Difference>,
    /// Only the order of the steps differs.
    order_differs: bool,
}

impl Compare {
    fn words(&self, version: &str) -> String {
        if version == "draft" { "the draft".to_owned() } else { format!("version {version}") }
    }
}

#[get("/bots/{id}/compare")]
pub(super) async fn compare(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    two: Query<Two>,
) -> Result<HttpResponse, Problem> {
    let (id, two) = (id.into_inner(), two.into_inner());
    let (from, to) = (two.from.clone(), two.to.clone());
    let (bot, from, to) = app
        .db
        .run(move |conn| {
            let bot = store::find(conn, id)?;
            Ok::<_, diesel::result::Error>((bot, steps_of(conn, id, &from)?, steps_of(conn, id, &to)?))
        })
        .await?;
    let differences = differences(&from, &to);
    let order_differs = differences.is_empty() && from != to;
    page(Compare { frame, bot, two, differences, order_differs })
}

#[post("/bots/{id}/versions/{n}/revert")]
pub(super) async fn revert(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    path: Path<(BotId, i32)>,
) -> Result<HttpResponse, Problem> {
    let ((id, n), by, now) = (path.into_inner(), may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::revert(conn, id, n, by, now)).await {
        Ok(_) => Ok(see_other(format!("/bots/{id}/versions"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut page = look(&app, frame, id).await?;
            page.errors.add("revert", refused.to_string());
            page_with(StatusCode::CONFLICT, page)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    version: String,
}

#[get("/bots/{id}/export", wrap = "from_fn(table_in_turn)")]
pub(super) async fn export(
    _may: May<View>,
    app: Data<App>,
    id: Path<BotId>,
    which: Query<Which>,
) -> Result<HttpResponse, Problem> {
    let (id, version) = (id.into_inner(), which.into_inner().version);
    let asked = version.clone();
    let (bot, steps) = app
        .db
        .run(move |conn| Ok::<_, diesel::result::Error>((store::find(conn, id)?, steps_of(conn, id, &asked)?)))
        .await?;
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let file: String = bot.name.chars().map(plain).collect();
    let file = format!("attachment; filename=\"{}-{version}.json\"", file.trim_matches('-'));
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CONTENT_DISPOSITION, file))
        .body(exchange::write(&bot.name, version.parse().ok(), &steps)))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    #[serde(default)]
    name: String,
}

#[post("/bots/{id}/rename")]
pub(super) async fn rename(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    form: Form<Rename>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let name = form.into_inner().name.replace('\0', "");
    let typed = name.clone();
    match app.db.run(move |conn| actions::rename(conn, id, &typed, by, now)).await {
        Ok(()) => Ok(see_other(format!("/bots/{id}/versions"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut page = look(&app, frame, id).await?;
            page.errors.add("name", refused.to_string());
            page_with(StatusCode::UNPROCESSABLE_ENTITY, Versions { typed_name: name, ..page })
        }
        Err(error) => Err(error.into()),
    }
}

#[post("/bots/{id}/archive")]
pub(super) async fn archive(may: May<Manage>, app: Data<App>, id: Path<BotId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::archive(conn, id, by, now)).await?;
    Ok(see_other("/bots"))
}

#[post("/bots/{id}/restore")]
pub(super) async fn restore(may: May<Manage>, app: Data<App>, id: Path<BotId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::restore(conn, id, by, now)).await?;
    Ok(see_other(format!("/bots/{id}/versions")))
}
