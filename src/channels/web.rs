use std::collections::HashMap;

use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::actions;
use super::domain::{Channel, ChannelSetup, Own, TestTyped};
use super::incidents::{self, Incident};
use super::{setups, store};
use crate::access::{Administer, Role, View};
use crate::app::App;
use crate::db::{DbError, Error};
use crate::folding::folded;
use crate::ids::{CampaignId, ChannelId};
use crate::providers::accounts::hook;
use crate::providers::credentials::Credentials;
use crate::providers::form::{Fields, Mistakes};
use crate::providers::http::form::CUSTOM_SECRETS;
use crate::providers::http::gateway::{AccountField, CUSTOM, ContentType, Method, PRESETS, Preset, Signed};
use crate::providers::http::{Hook, HttpSettings, rapidpro};
use crate::providers::smpp::BindKind;
use crate::providers::smpp::form::ALPHABETS;
use crate::providers::smpp::ids::IdForm;
use crate::providers::smpp::texts::LongTexts;
use crate::providers::viber::LONGEST_SENDER;
use crate::providers::webchat::Side;
use crate::providers::{Kind, ProviderName};
use crate::web::{FieldErrors, Frame, May, Problem, Say, page, page_with, see_other, site, told_once};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list).service(choose).service(new_page).service(paste).service(add).service(show).service(change);
}

#[derive(Template)]
#[template(path = "channels/index.html")]
struct Index {
    frame: Frame,
    channels: Vec<Channel>,
    /// The inbound campaign that is current on each.
    met_by: HashMap<ChannelId, (CampaignId, String)>,
    /// What keeps some from sending.
    troubled: HashMap<ChannelId, Incident>,
    zone: Tz,
    now: DateTime<Utc>,
}

impl Index {
    /// Whether it was tried lately: what waits for a channel is, every minute.
    fn is_tried(&self, it: &Incident) -> bool {
        self.now - it.last_at < TimeDelta::minutes(5)
    }

    fn last(&self, it: &Incident) -> String {
        it.last_at.with_timezone(&self.zone).format("%-d %b, %H:%M").to_string()
    }

    /// How things are with a channel that cannot send, or of which nothing is heard.
    fn badge(&self, it: &Incident) -> String {
        match it.is_silence() {
            true if it.holds() => format!("Held, no word since {}", self.since(it)),
            true => format!("No word since {}", self.since(it)),
            false if self.is_tried(it) => format!("Held since {}", self.since(it)),
            false => format!("Not tried since {}", self.last(it)),
        }
    }

    fn since(&self, it: &Incident) -> String {
        it.began_at.with_timezone(&self.zone).format("%-d %b, %H:%M").to_string()
    }

    /// Until when the channel is silent, while it is.
    fn held(&self, sender: &Channel) -> Option<String> {
        let until = sender.held_until.filter(|until| self.now < *until)?;
        Some(until.with_timezone(&self.zone).format("%H:%M:%S").to_string())
    }
}

#[get("/channels")]
async fn list(_may: May<View>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let asked = |conn: &mut diesel::PgConnection| {
        diesel::QueryResult::Ok((store::list(conn)?, store::met_by_campaigns(conn)?, incidents::open(conn)?))
    };
    let (channels, met_by, troubled) = app.db.run(asked).await?;
    page(Index { frame, channels, met_by, troubled, zone: app.settings.time_zone, now: app.clock.now() })
}

/// A channel as typed. Which of the fields count depends on its kind.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ChannelForm {
    name: String,
    kind: String,
    /// Empty: it follows from the kind.
    provider: String,
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
            provider: setup.own.provider().word().to_owned(),
            sender: setup.sender.clone(),
            per_minute: setup.per_minute.map(|n| n.to_string()).unwrap_or_default(),
            own: setup.own.fields(),
        }
    }

    fn own(&self, field: &str) -> &str {
        self.own.get(field)
    }

    /// Whose channel it is to be.
    fn provider(&self) -> ProviderName {
        let kind = Kind::of_word(&self.kind).unwrap_or(Kind::Sms);
        ProviderName::of_word(&self.provider).unwrap_or_else(|| provider_of(kind))
    }

    /// Checks everything but the kind, which is chosen once. `known`: the credentials that are kept already.
    fn parse(&self, provider: ProviderName, known: &Credentials) -> Result<ChannelSetup, FieldErrors> {
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
        } else if provider == ProviderName::Viber && LONGEST_SENDER < sender.chars().count() {
            errors.add("sender", format!("At most {LONGEST_SENDER} characters: Viber takes no longer name."));
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
        let typed = own.typed(&self.own);
        for (field, name) in own.needs() {
            if typed.get(name).is_empty() && known.get(name).is_empty() {
                mistakes.add(field, "This is missing.");
            }
        }
        for (field, what) in mistakes.0 {
            errors.add(field, what);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(ChannelSetup { name: name.to_owned(), sender: sender.to_owned(), per_minute, own, typed })
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
    /// Where its provider finds us; of one that is added.
    hook: Option<Hook>,
    /// Names of the credentials that are kept.
    kept: Vec<String>,
    /// When its provider called last.
    called: Option<String>,
    /// Its last incidents: what, from when, until when.
    incidents: Vec<(Incident, String, Option<String>)>,
    tried: TestTyped,
}

/// Whether a provider carries a kind of channel.
fn carries(provider: ProviderName, kind: Kind) -> bool {
    match provider {
        ProviderName::Sandbox => provider_of(kind) == ProviderName::Sandbox,
        ProviderName::Webchat => kind == Kind::Webchat,
        ProviderName::Http => matches!(kind, Kind::Sms | Kind::Whatsapp | Kind::Viber),
        ProviderName::Twilio => matches!(kind, Kind::Sms | Kind::Whatsapp),
        ProviderName::Whatsapp => kind == Kind::Whatsapp,
        ProviderName::Messenger => kind == Kind::Messenger,
        ProviderName::Viber => kind == Kind::Viber,
        ProviderName::Smpp => kind == Kind::Sms,
    }
}

impl Edit<'_> {
    /// The kinds that its provider carries.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let kinds = Kind::ALL.into_iter().filter(|kind| carries(self.provider, *kind));
        kinds.map(|kind| (kind.word(), kind.label()))
    }

    fn title(&self) -> String {
        let begun = |what: &str| format!("Add {what}");
        match (self.id, self.provider) {
            (Some(_), _) => self.saved_name.to_owned(),
            (None, ProviderName::Webchat) => begun("a web chat"),
            (None, ProviderName::Sandbox) => begun("a sandbox channel"),
            (None, ProviderName::Http) if self.is_custom() => begun("another gateway"),
            (None, ProviderName::Http) => begun(self.preset().map_or("a gateway", |preset| preset.label.as_str())),
            (None, ProviderName::Twilio) => begun("a channel of Twilio"),
            (None, ProviderName::Whatsapp) => begun("a number of WhatsApp"),
            (None, ProviderName::Messenger) => begun("a page on Messenger"),
            (None, ProviderName::Viber) => begun("a bot on Viber"),
            (None, ProviderName::Smpp) => begun("a bind to an SMSC"),
        }
    }

    fn sides(&self) -> [(&'static str, &'static str); 2] {
        Side::ALL.map(|side| (side.word(), side.label()))
    }

    fn is_webchat(&self) -> bool {
        self.provider == ProviderName::Webchat
    }

    /// Whether it sends through an account somewhere else.
    fn has_account(&self) -> bool {
        !matches!(self.provider, ProviderName::Sandbox | ProviderName::Webchat)
    }

    /// Where its provider finds us, if it is one that calls.
    fn called_at_all(&self) -> Option<&Hook> {
        self.hook.as_ref().filter(|_| self.provider != ProviderName::Smpp)
    }

    fn binds(&self) -> [(&'static str, &'static str); 2] {
        BindKind::ALL.map(|it| (it.word(), it.label()))
    }

    fn alphabets(&self) -> [(&'static str, &'static str); 4] {
        ALPHABETS.map(|it| (it.word(), it.label()))
    }

    fn longs(&self) -> [(&'static str, &'static str); 3] {
        LongTexts::ALL.map(|it| (it.word(), it.label()))
    }

    fn id_forms(&self) -> [(&'static str, &'static str); 3] {
        IdForm::ALL.map(|it| (it.word(), it.label()))
    }

    fn preset(&self) -> Option<&'static Preset> {
        PRESETS.get(self.form.own("preset"))
    }

    fn is_custom(&self) -> bool {
        self.form.own("preset") == CUSTOM
    }

    fn asks(&self) -> &'static [AccountField] {
        self.preset().map(|preset| preset.asks.as_slice()).unwrap_or_default()
    }

    fn asked(&self, it: &AccountField) -> String {
        self.form.own(&asked_field(it)).to_owned()
    }

    fn is_kept(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept == name)
    }

    /// That nothing tells any more what becomes of messages, while it is so; and since when.
    fn silence(&self) -> Option<(&Incident, &str)> {
        let open = self.incidents.iter().find(|(it, ..)| it.is_silence() && it.ended_at.is_none());
        open.map(|(it, since, _)| (it, since.as_str()))
    }

    /// What to do on the gateway's side.
    fn steps(&self) -> Vec<String> {
        let hook = self.hook.as_ref().map(|hook| hook.url.as_str()).unwrap_or_default();
        let steps = self.preset().map(|preset| preset.steps.as_slice()).unwrap_or_default();
        steps.iter().map(|step| step.replace("{{hook}}", hook)).collect()
    }

    fn methods(&self) -> [(&'static str, &'static str); 3] {
        Method::ALL.map(|it| (it.word(), it.word()))
    }

    fn contents(&self) -> [(&'static str, &'static str); 4] {
        ContentType::ALL.map(|it| (it.word(), it.label()))
    }

    fn signeds(&self) -> [(&'static str, &'static str); 2] {
        [Signed::Address, Signed::Header].map(|it| (it.word(), it.label()))
    }

    fn otherwises(&self) -> [(&'static str, &'static str); 3] {
        [
            ("unknown-fate", "It may have been taken: unconfirmed"),
            ("other", "It was refused"),
            ("temporary", "Nothing was taken: try again"),
        ]
    }

    fn secrets(&self) -> [(&'static str, &'static str); 4] {
        CUSTOM_SECRETS
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

fn asked_field(it: &AccountField) -> String {
    format!("ask_{}", it.name)
}

/// What one can send through.
#[derive(Template)]
#[template(path = "channels/choose.html")]
struct Choose {
    frame: Frame,
    pasted: String,
    errors: FieldErrors,
}

impl Choose {
    fn presets(&self) -> impl Iterator<Item = (&'static str, &'static Preset)> {
        // The one that somebody describes comes last.
        let (custom, others): (Vec<_>, Vec<_>) =
            PRESETS.iter().map(|(word, preset)| (*word, preset)).partition(|(word, _)| *word == CUSTOM);
        others.into_iter().chain(custom)
    }
}

#[get("/channels/add")]
async fn choose(_may: May<Administer>, frame: Frame) -> Result<HttpResponse, Problem> {
    page(Choose { frame, pasted: String::new(), errors: FieldErrors::default() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct New {
    kind: String,
    provider: String,
    preset: String,
}

/// A page for a channel that is not there yet.
fn blank<'a>(frame: Frame, form: &'a ChannelForm, errors: &'a FieldErrors, site: String) -> Edit<'a> {
    let (provider, kept) = (form.provider(), Vec::new());
    Edit {
        frame,
        id: None,
        saved_name: "",
        form,
        errors,
        provider,
        site,
        hook: None,
        kept,
        called: None,
        incidents: Vec::new(),
        tried: TestTyped::default(),
    }
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
    let provider = ProviderName::of_word(&new.provider).unwrap_or_else(|| provider_of(kind));
    let own = match provider {
        ProviderName::Http => Own::Http(HttpSettings::of(&new.preset).unwrap_or_default()),
        other => Own::of(other),
    };
    let form = begun(kind, own, Credentials::default());
    page(blank(frame, &form, &FieldErrors::default(), site(&req, &app.settings)))
}

fn begun(kind: Kind, own: Own, typed: Credentials) -> ChannelForm {
    // An account has senders of its own.
    let sender = if matches!(own, Own::Sandbox(_) | Own::Webchat(_)) { "Bugle" } else { "" };
    ChannelForm::of(kind, &ChannelSetup { name: String::new(), sender: sender.into(), per_minute: None, own, typed })
}

#[derive(Deserialize)]
struct Pasted {
    settings: String,
}

/// Settings of a channel of RapidPro: they come back as a form to look through.
#[post("/channels/paste")]
async fn paste(
    _may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    req: HttpRequest,
    pasted: Form<Pasted>,
) -> Result<HttpResponse, Problem> {
    match rapidpro::read(&pasted.settings) {
        Ok((settings, credentials)) => {
            let mut form = begun(Kind::Sms, Own::Http(settings), Credentials::default());
            for name in credentials.names() {
                // Typed by whoever pasted it, a moment ago.
                form.own.put(format!("ask_{name}"), credentials.get(name));
            }
            page(blank(frame, &form, &FieldErrors::default(), site(&req, &app.settings)))
        }
        Err(what) => {
            let mut errors = FieldErrors::default();
            errors.add("settings", what);
            let again = Choose { frame, pasted: pasted.into_inner().settings, errors };
            page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
        }
    }
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
    let provider = form.provider();
    let kind = Kind::of_word(&form.kind).filter(|kind| carries(provider, *kind));
    let (by, now) = (may.person.id, app.clock.now());
    let again = |mut errors: FieldErrors| {
        if kind.is_none() {
            errors.add("kind", "Choose a kind.");
        }
        page_with(StatusCode::UNPROCESSABLE_ENTITY, blank(frame, &form, &errors, site(&req, &app.settings)))
    };
    let (kind, setup) = match (kind, form.parse(provider, &Credentials::default())) {
        (Some(kind), Ok(setup)) => (kind, setup),
        (_, Err(errors)) => return again(errors),
        (None, Ok(_)) => return again(FieldErrors::default()),
    };
    let (name, keys) = (setup.name.clone(), app.settings.keyring.clone());
    match app.db.run(move |conn| actions::add(conn, kind, &setup, &keys, by, now)).await {
        // What a site or a provider needs to hold it stands on its page.
        Ok(id) => {
            say.that(format!("The channel “{name}” is added."));
            Ok(see_other(match provider {
                ProviderName::Sandbox => "/channels".to_owned(),
                _ => format!("/channels/{id}"),
            }))
        }
        Err(DbError::Work(Error::Refused(refused))) => again(name_error(&refused)),
        Err(error) => Err(error.into()),
    }
}

/// A channel that is there, as its page needs it.
struct Saved {
    channel: Channel,
    hook: Hook,
    credentials: Credentials,
    incidents: Vec<Incident>,
}

/// Incidents that a channel's page shows.
const INCIDENTS: i64 = 10;

async fn saved(app: &App, id: ChannelId) -> Result<Saved, Problem> {
    let asked = move |conn: &mut diesel::PgConnection| {
        diesel::QueryResult::Ok((
            store::find(conn, id)?,
            setups::find(conn, id)?,
            incidents::of_channel(conn, id, INCIDENTS)?,
        ))
    };
    let (channel, setup, incidents) = app.db.run(asked).await?;
    let credentials = Credentials::open(channel.sealed.as_deref(), &app.settings.keyring).unwrap_or_default();
    Ok(Saved { hook: hook(app.settings.public_url.as_deref(), &setup), channel, credentials, incidents })
}

impl Saved {
    fn page<'a>(
        &'a self,
        frame: Frame,
        form: &'a ChannelForm,
        errors: &'a FieldErrors,
        (app, req): (&App, &HttpRequest),
    ) -> Edit<'a> {
        let zone = app.settings.time_zone;
        let moment = |at: DateTime<Utc>| at.with_timezone(&zone).format("%-d %b %Y, %H:%M").to_string();
        let called = self.channel.called_at.map(moment);
        let incidents = self.incidents.iter();
        let incidents = incidents.map(|it| (it.clone(), moment(it.began_at), it.ended_at.map(moment))).collect();
        Edit {
            frame,
            id: Some(self.channel.id),
            saved_name: &self.channel.setup.name,
            form,
            errors,
            provider: self.channel.provider,
            site: site(req, &app.settings),
            hook: Some(self.hook.clone()),
            kept: self.credentials.names().map(str::to_owned).collect(),
            called,
            incidents,
            tried: TestTyped::default(),
        }
    }
}

#[get("/channels/{id}")]
async fn show(
    _may: May<Administer>,
    frame: Frame,
    app: Data<App>,
    req: HttpRequest,
    session: Session,
    id: Path<ChannelId>,
) -> Result<HttpResponse, Problem> {
    let saved = saved(&app, id.into_inner()).await?;
    let form = ChannelForm::of(saved.channel.kind, &saved.channel.setup);
    let tried = told_once(&session, req.path()).unwrap_or_default();
    let errors = FieldErrors::default();
    page(Edit { tried, ..saved.page(frame, &form, &errors, (&app, &req)) })
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
    let saved = saved(&app, id).await?;
    let provider = saved.channel.provider;
    // Neither is in the form: they stay.
    let (kind, provider_word) = (saved.channel.kind.word().to_owned(), provider.word().to_owned());
    let form = ChannelForm { kind, provider: provider_word, ..form.into_inner() };
    let again = |errors: FieldErrors| {
        page_with(StatusCode::UNPROCESSABLE_ENTITY, saved.page(frame, &form, &errors, (&app, &req)))
    };
    let setup = match form.parse(provider, &saved.credentials) {
        Ok(setup) => setup,
        Err(errors) => return again(errors),
    };
    let keys = app.settings.keyring.clone();
    match app.db.run(move |conn| actions::change(conn, id, &setup, &keys, by, now)).await {
        Ok(()) => Ok(see_other("/channels")),
        Err(DbError::Work(Error::Refused(refused))) => again(name_error(&refused)),
        Err(error) => Err(error.into()),
    }
}

fn name_error(refused: &super::domain::Refused) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let field = match refused {
        super::domain::Refused::NameTaken(_) => "name",
        super::domain::Refused::Keyring(_) => "keyring",
    };
    errors.add(field, refused.to_string());
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::sandbox::Knobs;
    use crate::providers::webchat::Widget;

    #[test]
    fn a_channel_comes_back_from_its_form_as_it_was() {
        let none = &Credentials::default();
        let knobs = Knobs { error_rate: 0.025, long_tail: 0.07, seed: 9, ..Knobs::default() };
        let own = Own::Sandbox(knobs);
        let setup = ChannelSetup {
            name: "SMS".into(),
            sender: "Bugle".into(),
            per_minute: Some(90),
            own,
            typed: Credentials::default(),
        };
        assert_eq!(ChannelForm::of(Kind::Sms, &setup).parse(ProviderName::Sandbox, none), Ok(setup.clone()));

        let origins = vec!["https://shop.example".into(), "http://localhost:3000".into()];
        let widget = Widget { origins, greeting: "Hello".into(), side: Side::Left, ..Widget::default() };
        let setup = ChannelSetup { own: Own::Webchat(widget), per_minute: None, ..setup };
        assert_eq!(ChannelForm::of(Kind::Webchat, &setup).parse(ProviderName::Webchat, none), Ok(setup));
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        let own = Fields::from([("latency_ms", "20".into()), ("latency_to_ms", "10".into())]);
        let form = ChannelForm { own, ..ChannelForm::default() };
        let errors = form.parse(ProviderName::Sandbox, &Credentials::default()).unwrap_err();
        for field in ["name", "sender", "latency_to_ms", "error_rate", "seed"] {
            assert!(errors.of(field).is_some(), "{field}");
        }
        assert_eq!(errors.of("per_minute"), None, "no limit is fine");
        assert_eq!(errors.of("latency_ms"), None);

        let own = Fields::from([("accent", "red".into()), ("origins", "https://a.example shop.example".into())]);
        let form = ChannelForm { own, ..form };
        let errors = form.parse(ProviderName::Webchat, &Credentials::default()).unwrap_err();
        for field in ["name", "title", "accent", "side", "offline", "origins"] {
            assert!(errors.of(field).is_some(), "{field}");
        }
        assert_eq!((errors.of("seed"), errors.of("greeting")), (None, None));
    }
}
