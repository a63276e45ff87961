use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::actions;
use super::domain::{Channel, ChannelSetup, Own};
use super::store;
use crate::access::{Administer, Role, View};
use crate::app::App;
use crate::db::{DbError, Error};
use crate::folding::folded;
use crate::ids::{CampaignId, ChannelId};
use crate::providers::form::{Fields, Mistakes};
use crate::providers::webchat::Side;
use crate::providers::{Kind, ProviderName};
use crate::web::{FieldErrors, Frame, May, Problem, Say, page, page_with, plain_host, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list).service(new_page).service(add).service(show).service(change);
}

#[derive(Template)]
#[template(path = "channels/index.html")]
struct Index {
    frame: Frame,
    channels: Vec<Channel>,
    /// The inbound campaign that is current on each.
    met_by: HashMap<ChannelId, (CampaignId, String)>,
    zone: Tz,
    now: DateTime<Utc>,
}

impl Index {
    /// Until when the channel is silent, while it is.
    fn held(&self, sender: &Channel) -> Option<String> {
        let until = sender.held_until.filter(|until| self.now < *until)?;
        Some(until.with_timezone(&self.zone).format("%H:%M:%S").to_string())
    }
}

#[get("/channels")]
async fn list(_may: May<View>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let (channels, met_by) =
        app.db.run(|conn| diesel::QueryResult::Ok((store::list(conn)?, store::met_by_campaigns(conn)?))).await?;
    page(Index { frame, channels, met_by, zone: app.settings.time_zone, now: app.clock.now() })
}

/// A channel as typed. Which of the fields count depends on its kind.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ChannelForm {
    name: String,
    kind: String,
    sender: String,
    per_minute: String,
    /// What its provider asks for.
    #[serde(flatten)]
    own: Fields,
}

impl ChannelForm {
    fn of(kind: Kind, setup: &ChannelSetup) -> Self {
        ChannelForm {
            name: setup.name.clone(),
            kind: kind.word().to_owned(),
            sender: setup.sender.clone(),
            per_minute: setup.per_minute.map(|n| n.to_string()).unwrap_or_default(),
            own: setup.own.fields(),
        }
    }

    fn own(&self, field: &str) -> &str {
        self.own.get(field)
    }

    /// Checks everything but the kind, which is chosen once; the `provider` follows from it.
    fn parse(&self, provider: ProviderName) -> Result<ChannelSetup, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = folded(&self.name);
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
        let mut mistakes = Mistakes::default();
        let own = Own::read(provider, &self.own, &mut mistakes);
        for (field, what) in mistakes.0 {
            errors.add(field, what);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(ChannelSetup { name: name.to_owned(), sender: sender.to_owned(), per_minute, own })
    }
}

/// Who sends for a kind of channel.
fn provider_of(kind: Kind) -> ProviderName {
    match kind {
        Kind::Webchat => ProviderName::Webchat,
        Kind::Sms | Kind::Whatsapp | Kind::Messenger | Kind::Viber => ProviderName::Sandbox,
    }
}

/// Adding a channel when there is no `id`, changing one otherwise.
#[derive(Template)]
#[template(path = "channels/edit.html")]
struct Edit<'a> {
    frame: Frame,
    id: Option<ChannelId>,
    /// As it is saved, whatever was typed since.
    saved_name: &'a str,
    form: &'a ChannelForm,
    errors: &'a FieldErrors,
    provider: ProviderName,
    /// Where browsers find us.
    site: String,
}

impl Edit<'_> {
    /// The kinds that the sandbox plays.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        Kind::ALL
            .into_iter()
            .filter(|kind| provider_of(*kind) == ProviderName::Sandbox)
            .map(|kind| (kind.word(), kind.label()))
    }

    fn sides(&self) -> [(&'static str, &'static str); 2] {
        Side::ALL.map(|side| (side.word(), side.label()))
    }

    fn is_webchat(&self) -> bool {
        self.provider == ProviderName::Webchat
    }

    /// What somebody puts into the pages of their site.
    fn snippet(&self, id: &ChannelId) -> String {
        format!("<script src=\"{}/webchat/{id}/widget.js\" async></script>", self.site)
    }

    fn kind_label(&self) -> &'static str {
        Kind::of_word(&self.form.kind).map_or("", Kind::label)
    }

    fn action(&self) -> String {
        self.id.map_or("/channels".to_owned(), |id| format!("/channels/{id}"))
    }
}

fn site(req: &HttpRequest, app: &App) -> String {
    // What a browser or a proxy says of our name is copied into other people's pages: only what nobody
    // can have made up is believed.
    app.settings.public_url.clone().unwrap_or_else(|| {
        let address = req.app_config().local_addr().to_string();
        format!("http://{}", plain_host(req.headers()).unwrap_or(&address))
    })
}

#[derive(Deserialize)]
struct New {
    #[serde(default)]
    kind: String,
}

#[get("/channels/new")]
async fn new_page(
    _may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    req: HttpRequest,
    new: Query<New>,
) -> Result<HttpResponse, Problem> {
    let kind = Kind::of_word(&new.kind).unwrap_or(Kind::Sms);
    let provider = provider_of(kind);
    let setup = ChannelSetup { name: String::new(), sender: "Bugle".into(), per_minute: None, own: Own::of(provider) };
    let form = ChannelForm::of(kind, &setup);
    let errors = &FieldErrors::default();
    page(Edit { frame, id: None, saved_name: "", form: &form, errors, provider, site: site(&req, &app) })
}

#[post("/channels")]
async fn add(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    say: Say,
    req: HttpRequest,
    form: Form<ChannelForm>,
) -> Result<HttpResponse, Problem> {
    let (by, now, kind) = (may.person.id, app.clock.now(), Kind::of_word(&form.kind));
    let provider = provider_of(kind.unwrap_or(Kind::Sms));
    let again = |mut errors: FieldErrors| {
        if kind.is_none() {
            errors.add("kind", "Choose a kind.");
        }
        let site = site(&req, &app);
        let again = Edit { frame, id: None, saved_name: "", form: &form, errors: &errors, provider, site };
        page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
    };
    let (kind, setup) = match (kind, form.parse(provider)) {
        (Some(kind), Ok(setup)) => (kind, setup),
        (_, Err(errors)) => return again(errors),
        (None, Ok(_)) => return again(FieldErrors::default()),
    };
    let name = setup.name.clone();
    match app.db.run(move |conn| actions::add(conn, kind, &setup, by, now)).await {
        // What a site needs to hold it stands on its page.
        Ok(id) => {
            say.that(format!("The channel “{name}” is added."));
            Ok(see_other(match provider {
                ProviderName::Webchat => format!("/channels/{id}"),
                _ => "/channels".to_owned(),
            }))
        }
        Err(DbError::Work(Error::Refused(refused))) => again(name_error(&refused)),
        Err(error) => Err(error.into()),
    }
}

#[get("/channels/{id}")]
async fn show(
    _may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    req: HttpRequest,
    id: Path<ChannelId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let sender = app.db.run(move |conn| store::find(conn, id)).await?;
    let form = ChannelForm::of(sender.kind, &sender.setup);
    let (errors, provider, site) = (&FieldErrors::default(), sender.setup.own.provider(), site(&req, &app));
    page(Edit { frame, id: Some(id), saved_name: &sender.setup.name, form: &form, errors, provider, site })
}

#[post("/channels/{id}")]
async fn change(
    may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    req: HttpRequest,
    id: Path<ChannelId>,
    form: Form<ChannelForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let saved = app.db.run(move |conn| store::find(conn, id)).await?;
    let provider = saved.setup.own.provider();
    // The kind is not in the form: it stays.
    let form = ChannelForm { kind: saved.kind.word().to_owned(), ..form.into_inner() };
    let again = |errors: FieldErrors| {
        let (saved_name, site) = (&saved.setup.name, site(&req, &app));
        let again = Edit { frame, id: Some(id), saved_name, form: &form, errors: &errors, provider, site };
        page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
    };
    let setup = match form.parse(provider) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::sandbox::Knobs;
    use crate::providers::webchat::Widget;

    #[test]
    fn a_channel_comes_back_from_its_form_as_it_was() {
        let knobs = Knobs { error_rate: 0.025, long_tail: 0.07, seed: 9, ..Knobs::default() };
        let own = Own::Sandbox(knobs);
        let setup = ChannelSetup { name: "SMS".into(), sender: "Bugle".into(), per_minute: Some(90), own };
        assert_eq!(ChannelForm::of(Kind::Sms, &setup).parse(ProviderName::Sandbox), Ok(setup.clone()));

        let origins = vec!["https://shop.example".into(), "http://localhost:3000".into()];
        let widget = Widget { origins, greeting: "Hello".into(), side: Side::Left, ..Widget::default() };
        let setup = ChannelSetup { own: Own::Webchat(widget), per_minute: None, ..setup };
        assert_eq!(ChannelForm::of(Kind::Webchat, &setup).parse(ProviderName::Webchat), Ok(setup));
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        let own = Fields::from([("latency_ms", "20".into()), ("latency_to_ms", "10".into())]);
        let form = ChannelForm { own, ..ChannelForm::default() };
        let errors = form.parse(ProviderName::Sandbox).unwrap_err();
        for field in ["name", "sender", "latency_to_ms", "error_rate", "seed"] {
            assert!(errors.of(field).is_some(), "{field}");
        }
        assert_eq!(errors.of("per_minute"), None, "no limit is fine");
        assert_eq!(errors.of("latency_ms"), None);

        let own = Fields::from([("accent", "red".into()), ("origins", "https://a.example shop.example".into())]);
        let form = ChannelForm { own, ..form };
        let errors = form.parse(ProviderName::Webchat).unwrap_err();
        for field in ["name", "title", "accent", "side", "offline", "origins"] {
            assert!(errors.of(field).is_some(), "{field}");
        }
        assert_eq!((errors.of("seed"), errors.of("greeting")), (None, None));
    }
}
