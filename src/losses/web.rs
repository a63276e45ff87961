use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::actions;
use super::store::{self, Loss, LostRun};
use crate::access::{Administer, Role, View};
use crate::app::App;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, May, Problem, page, page_with, see_other};

/// What has to be typed before everything goes on.
const WORD: &str = "RELEASE";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(show).service(release);
}

#[derive(Template)]
#[template(path = "losses/show.html")]
struct Show {
    frame: Frame,
    zone: Tz,
    /// What holds everything.
    open: Option<(Loss, Vec<LostRun>)>,
    /// The last one that was released.
    before: Option<Loss>,
    again: bool,
    errors: FieldErrors,
}

impl Show {
    async fn read(frame: Frame, app: &App) -> Result<Self, Problem> {
        let (open, before) = app
            .db
            .run(|conn| {
                let open = match store::open(conn)? {
                    Some(loss) => Some((store::runs(conn, loss.id)?, loss)),
                    None => None,
                };
                Ok::<_, diesel::result::Error>((open.map(|(runs, loss)| (loss, runs)), store::last_released(conn)?))
            })
            .await?;
        let zone = app.settings.time_zone;
        Ok(Show { frame, zone, open, before, again: false, errors: FieldErrors::default() })
    }

    fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %B %Y, %H:%M:%S").to_string()
    }

    /// What is known about a run, in words.
    fn sentence(&self, run: &LostRun) -> String {
        let mut words = Vec::new();
        if run.lo <= run.hi {
            let (n, lo, hi) = (i64::from(run.hi - run.lo + 1), i64::from(run.lo), i64::from(run.hi));
            let (n, lo, hi) = (thousands(n), thousands(lo), thousands(hi));
            words.push(match run.known {
                true => format!("Contacts {lo} to {hi} ({n}) may have got it, and are unconfirmed."),
                false => {
                    format!("The database does not know them any more: contacts {lo} to {hi} ({n}) may have got it.")
                }
            });
        }
        if run.waiting > 0 {
            let n = thousands(run.waiting);
            words.push(format!("{n} who waited for another try may have had it, and are unconfirmed."));
        }
        if let Some(held) = &run.held {
            words.push(format!("Its schedule is paused: {held}."));
        }
        words.join(" ")
    }
}

#[get("/lost-history")]
async fn show(_may: May<View>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    page(Show::read(frame, &app).await?)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    word: String,
    /// `unconfirmed` or `again`.
    #[serde(default)]
    those: String,
}

#[post("/lost-history")]
async fn release(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    form: Form<Answer>,
) -> Result<HttpResponse, Problem> {
    let again = form.those == "again";
    if form.word.trim() != WORD {
        let mut errors = FieldErrors::default();
        errors.add("word", "Type RELEASE in capital letters. Everything is still held.");
        let page = Show { again, errors, ..Show::read(frame, &app).await? };
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, page);
    }
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| actions::release(conn, again, by, now)).await?;
    Ok(see_other("/lost-history"))
}
