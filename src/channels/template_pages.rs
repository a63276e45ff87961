//! web: The texts that a channel's provider has approved, as a page, and the button that fetches them.

use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;

use super::domain::Channel;
use super::templates::Fetched;
use super::{fetch, store, templates};
use crate::access::{Administer, Role, View};
use crate::app::App;
use crate::ids::ChannelId;
use crate::web::{Frame, May, Problem, Say, page, see_other};
use crate::wording::{Approved, TemplatePlace};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list).service(fetch_now);
}

#[derive(Template)]
#[template(path = "channels/templates.html")]
struct Templates {
    frame: Frame,
    channel: Channel,
    known: Vec<Approved>,
    fetched: Fetched,
    /// When that was, for people.
    fetched_at: String,
}

impl Templates {
    /// What a person reads of one, its examples in its places.
    fn lines(&self, it: &Approved) -> Vec<String> {
        let example = |place: &TemplatePlace| match place.example.as_str() {
            "" => place.label(),
            example => example.to_owned(),
        };
        it.filled(example).words().lines().map(str::to_owned).collect()
    }
}

#[get("/channels/{id}/templates")]
async fn list(_may: May<View>, frame: Frame, app: Data<App>, id: Path<ChannelId>) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let asked = move |conn: &mut diesel::PgConnection| {
        diesel::QueryResult::Ok((
            store::find(conn, id)?,
            templates::of_channel(conn, id)?,
            templates::fetched(conn, id)?,
        ))
    };
    let (channel, known, fetched) = app.db.run(asked).await?;
    if !channel.provider.approves_texts(channel.kind) {
        return Err(Problem::NotFound);
    }
    let zone = app.settings.time_zone;
    let at = fetched.at.map(|at| at.with_timezone(&zone).format("%-d %B, %H:%M %Z").to_string());
    page(Templates { frame, channel, known, fetched, fetched_at: at.unwrap_or_default() })
}

#[post("/channels/{id}/templates/fetch")]
async fn fetch_now(
    _may: May<Administer>,
    app: Data<App>,
    say: Say,
    id: Path<ChannelId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    match fetch::fetch(&app, id).await? {
        Ok(1) => say.that("One approved text was read."),
        Ok(n) => say.that(format!("{n} approved texts were read.")),
        Err(why) => say.sorry(format!("They could not be read: {why}")),
    }
    Ok(see_other(format!("/channels/{id}/templates")))
}
