use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::actions::{self, Error};
use super::domain::{Sender, Setup};
use super::store;
use crate::app::App;
use crate::channels::Kind;
use crate::channels::sandbox::Knobs;
use crate::db::DbError;
use crate::ids::{CampaignId, ChannelId};
use crate::web::{FieldErrors, Frame, May, Problem, Role, StopEverything, View, page, page_with, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list).service(new_page).service(add).service(show).service(change);
}

#[derive(Template)]
#[template(path = "senders/index.html")]
struct Index {
    frame: Frame,
    senders: Vec<Sender>,
    /// The inbound campaign that is current on each.
    met_by: HashMap<ChannelId, (CampaignId, String)>,
    zone: Tz,
    now: DateTime<Utc>,
}

impl Index {
    /// Until when the channel is silent, while it is.
    fn held(&self, sender: &Sender) -> Option<String> {
        let until = sender.held_until.filter(|until| self.now < *until)?;
        Some(until.with_timezone(&self.zone).format("%H:%M:%S").to_string())
    }
}

#[get("/channels")]
async fn list(_may: May<View>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let (senders, met_by) =
        app.db.run(|conn| diesel::QueryResult::Ok((store::list(conn)?, store::met_by(conn)?))).await?;
    page(Index { frame, senders, met_by, zone: app.settings.time_zone, now: app.clock.now() })
}

/// A channel as typed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct SenderForm {
    name: String,
    kind: String,
    sender: String,
    per_minute: String,
    latency_ms: String,
    latency_to_ms: String,
    long_tail: String,
    error_rate: String,
    per_second: String,
    receipt_ms: String,
    silence_ms: String,
    seed: String,
}

impl SenderForm {
    fn of(kind: Kind, setup: &Setup) -> Self {
        let percent = |share: f64| format!("{}", (share * 1e6).round() / 1e4);
        let knobs = &setup.knobs;
        SenderForm {
            name: setup.name.clone(),
            kind: kind.word().to_owned(),
            sender: setup.sender.clone(),
            per_minute: setup.per_minute.map(|n| n.to_string()).unwrap_or_default(),
            latency_ms: knobs.latency_ms.to_string(),
            latency_to_ms: knobs.latency_to_ms.to_string(),
            long_tail: percent(knobs.long_tail),
            error_rate: percent(knobs.error_rate),
            per_second: knobs.per_second.to_string(),
            receipt_ms: knobs.receipt_ms.to_string(),
            silence_ms: knobs.silence_ms.to_string(),
            seed: knobs.seed.to_string(),
        }
    }

    /// Checks everything but the kind, which is chosen once.
    fn parse(&self) -> Result<Setup, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.name.trim();
        if name.is_empty() {
            errors.add("name", "Give it a name.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let sender = self.sender.trim();
        if sender.is_empty() {
            errors.add("sender", "Say as whom messages arrive.");
        } else if sender.chars().count() > 50 {
            errors.add("sender", "At most 50 characters.");
        }
        let per_minute = match self.per_minute.trim() {
            "" => None,
            text => match text.parse::<i32>() {
                Ok(n) if 0 < n => Some(n),
                _ => {
                    errors.add("per_minute", "A whole number above 0, or nothing for no limit.");
                    None
                }
            },
        };
        let mut whole = |field: &'static str, text: &str, most: u64| match text.trim().parse::<u64>() {
            Ok(n) if n <= most => n,
            _ => {
                errors.add(field, format!("A whole number from 0 to {most}."));
                0
            }
        };
        let latency_ms = whole("latency_ms", &self.latency_ms, 60_000);
        let latency_to_ms = whole("latency_to_ms", &self.latency_to_ms, 60_000);
        let per_second = whole("per_second", &self.per_second, 1_000_000) as u32;
        let receipt_ms = whole("receipt_ms", &self.receipt_ms, 86_400_000);
        let silence_ms = whole("silence_ms", &self.silence_ms, 600_000);
        let seed = whole("seed", &self.seed, i64::MAX as u64);
        let mut share = |field: &'static str, text: &str| match text.trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => percent / 100.0,
            _ => {
                errors.add(field, "A number from 0 to 100.");
                0.0
            }
        };
        let long_tail = share("long_tail", &self.long_tail);
        let error_rate = share("error_rate", &self.error_rate);
        if latency_to_ms < latency_ms {
            errors.add("latency_to_ms", "Not below the shortest answer.");
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let knobs =
            Knobs { latency_ms, latency_to_ms, long_tail, error_rate, per_second, receipt_ms, silence_ms, seed };
        Ok(Setup { name: name.to_owned(), sender: sender.to_owned(), per_minute, knobs })
    }
}

/// Adding a channel when there is no `id`, changing one otherwise.
#[derive(Template)]
#[template(path = "senders/edit.html")]
struct Edit<'a> {
    frame: Frame,
    id: Option<ChannelId>,
    /// As it is saved, whatever was typed since.
    saved_name: &'a str,
    form: &'a SenderForm,
    errors: &'a FieldErrors,
}

impl Edit<'_> {
    fn kinds(&self) -> [(&'static str, &'static str); 5] {
        Kind::ALL.map(|kind| (kind.word(), kind.label()))
    }

    fn kind_label(&self) -> &'static str {
        Kind::of_word(&self.form.kind).map_or("", Kind::label)
    }

    fn action(&self) -> String {
        self.id.map_or("/channels".to_owned(), |id| format!("/channels/{id}"))
    }
}

#[get("/channels/new")]
async fn new_page(_may: May<StopEverything>, frame: Frame) -> Result<HttpResponse, Problem> {
    let setup = Setup { name: String::new(), sender: "Bugle".into(), per_minute: None, knobs: Knobs::default() };
    let form = SenderForm::of(Kind::Sms, &setup);
    page(Edit { frame, id: None, saved_name: "", form: &form, errors: &FieldErrors::default() })
}

#[post("/channels")]
async fn add(
    may: May<StopEverything>,
    frame: Frame,
    app: Data<App>,
    form: Form<SenderForm>,
) -> Result<HttpResponse, Problem> {
    let (by, now, kind) = (may.person.id, app.clock.now(), Kind::of_word(&form.kind));
    let again = |mut errors: FieldErrors| {
        if kind.is_none() {
            errors.add("kind", "Choose a kind.");
        }
        let again = Edit { frame, id: None, saved_name: "", form: &form, errors: &errors };
        page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
    };
    let (kind, setup) = match (kind, form.parse()) {
        (Some(kind), Ok(setup)) => (kind, setup),
        (_, Err(errors)) => return again(errors),
        (None, Ok(_)) => return again(FieldErrors::default()),
    };
    match app.db.run(move |conn| actions::add(conn, kind, &setup, Some(by), now)).await {
        Ok(_) => Ok(see_other("/channels")),
        Err(DbError::Work(Error::Refused(refused))) => again(name_error(&refused)),
        Err(error) => Err(error.into()),
    }
}

#[get("/channels/{id}")]
async fn show(
    _may: May<StopEverything>,
    frame: Frame,
    app: Data<App>,
    id: Path<ChannelId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let sender = app.db.run(move |conn| store::find(conn, id)).await?;
    let form = SenderForm::of(sender.kind, &sender.setup);
    let errors = &FieldErrors::default();
    page(Edit { frame, id: Some(id), saved_name: &sender.setup.name, form: &form, errors })
}

#[post("/channels/{id}")]
async fn change(
    may: May<StopEverything>,
    frame: Frame,
    app: Data<App>,
    id: Path<ChannelId>,
    form: Form<SenderForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let saved = app.db.run(move |conn| store::find(conn, id)).await?;
    // The kind is not in the form: it stays.
    let form = SenderForm { kind: saved.kind.word().to_owned(), ..form.into_inner() };
    let again = |errors: FieldErrors| {
        let again = Edit { frame, id: Some(id), saved_name: &saved.setup.name, form: &form, errors: &errors };
        page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
    };
    let setup = match form.parse() {
        Ok(setup) => setup,
        Err(errors) => return again(errors),
    };
    match app.db.run(move |conn| actions::change(conn, id, &setup, by, now)).await {
        Ok(()) => Ok(see_other("/channels")),
        Err(DbError::Work(Error::Refused(refused))) => again(name_error(&refused)),
        Err(error) => Err(error.into()),
    }
}

fn name_error(refused: &super::domain::Refused) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.add("name", refused.to_string());
    errors
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refused) => Problem::Conflict(refused.to_string()),
            Error::Db(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_comes_back_from_its_form_as_it_was() {
        let knobs = Knobs { error_rate: 0.025, long_tail: 0.07, seed: 9, ..Knobs::default() };
        let setup = Setup { name: "SMS".into(), sender: "Bugle".into(), per_minute: Some(90), knobs };
        assert_eq!(SenderForm::of(Kind::Sms, &setup).parse(), Ok(setup));
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        let form = SenderForm { latency_ms: "20".into(), latency_to_ms: "10".into(), ..SenderForm::default() };
        let errors = form.parse().unwrap_err();
        for field in ["name", "sender", "latency_to_ms", "error_rate", "seed"] {
            assert!(errors.of(field).is_some(), "{field}");
        }
        assert_eq!(errors.of("per_minute"), None, "no limit is fine");
        assert_eq!(errors.of("latency_ms"), None);
    }
}
