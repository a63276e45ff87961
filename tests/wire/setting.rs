//! The channel of a case, made as the product makes it.

use std::sync::Arc;

use bugle::clock::Clock;
use bugle::providers::answer::HttpAnswer;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::http::gateway::{CUSTOM, Gateway};
use bugle::providers::http::rules::{AnswerRule, json_pointer};
use bugle::providers::http::{Hook, Http, HttpParts, HttpSettings};
use bugle::providers::meta::messenger::{Messenger, MessengerParts, MessengerSettings};
use bugle::providers::meta::whatsapp::{Whatsapp, WhatsappParts, WhatsappSettings};
use bugle::providers::twilio::{API, Twilio, TwilioParts, TwilioSettings};
use bugle::providers::viber::{self, Viber, ViberParts, ViberSettings};
use bugle::providers::{Kind, Provider, SendOutcome};
use chrono::{DateTime, Utc};
use serde_json::Value;

pub enum Adapter {
    Http(Box<Http>),
    Twilio(Box<Twilio>),
    Whatsapp(Box<Whatsapp>),
    Messenger(Box<Messenger>),
    Viber(Box<Viber>),
}

impl Adapter {
    pub fn provider(&self) -> &dyn Provider {
        match self {
            Adapter::Http(it) => it.as_ref(),
            Adapter::Twilio(it) => it.as_ref(),
            Adapter::Whatsapp(it) => it.as_ref(),
            Adapter::Messenger(it) => it.as_ref(),
            Adapter::Viber(it) => it.as_ref(),
        }
    }

    pub fn outcome(&self, answer: HttpAnswer, now: DateTime<Utc>) -> SendOutcome {
        match self {
            Adapter::Http(it) => it.outcome(Ok(answer), now),
            Adapter::Twilio(it) => it.outcome(Ok(answer), now),
            Adapter::Whatsapp(it) => it.outcome(Ok(answer), now),
            Adapter::Messenger(it) => it.outcome(Ok(answer), now),
            Adapter::Viber(it) => it.outcome(Ok(answer), now),
        }
    }
}

/// The channel, its kind, and the country of its national numbers. `number`: which of our numbers it is, where one app
/// has several.
pub fn channel(case: &Value, number: Option<&str>) -> Result<(Adapter, Kind, String), String> {
    let setup = &case["setup"];
    let text = |name: &str| setup[name].as_str().unwrap_or_default().to_owned();
    let url = setup["public_url"].as_str().unwrap_or("https://bugle.example/hooks/x");
    let hook = Hook { url: url.trim_end_matches('/').to_owned(), is_public: true };
    let (caller, clock) = (Arc::new(Caller::new(Vec::new())), Clock::default());
    if case["provider"] == "twilio" {
        let written = case.to_string();
        let kind =
            if written.contains("whatsapp:") || written.contains("whatsapp%3A") { Kind::Whatsapp } else { Kind::Sms };
        let credentials = Credentials::from([("auth_token", text("auth_token").as_str())]);
        let (settings, sender, api) = (TwilioSettings::default(), String::new(), API.to_owned());
        let parts = TwilioParts { kind, sender, settings, credentials, hook, api };
        return Ok((Adapter::Twilio(Box::new(Twilio::new(parts, caller, clock))), kind, String::new()));
    }
    if case["provider"] == "whatsapp" {
        let first = setup["our_phone_number_ids"].as_object().and_then(|ids| ids.keys().next().cloned());
        let number = number.map(str::to_owned).or(first).unwrap_or_default();
        let settings = WhatsappSettings { phone_number_id: number, ..WhatsappSettings::default() };
        let whatsapp = Whatsapp::new(WhatsappParts::new(settings, of_app(&text)), caller, clock);
        return Ok((Adapter::Whatsapp(Box::new(whatsapp)), Kind::Whatsapp, String::new()));
    }
    if case["provider"] == "messenger" {
        let page_id = number.map_or_else(|| text("page_id"), str::to_owned);
        let settings = MessengerSettings { page_id, app_id: text("app_id"), ..MessengerSettings::default() };
        let messenger = Messenger::new(MessengerParts::new(settings, of_app(&text)), caller, clock);
        return Ok((Adapter::Messenger(Box::new(messenger)), Kind::Messenger, String::new()));
    }
    if case["provider"] == "viber" {
        let of_welcome = |pointer: &str| setup["welcome"].pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (sender, welcome) = (of_welcome("/sender/name").to_owned(), of_welcome("/text").to_owned());
        let credentials = Credentials::from([("auth_token", text("auth_token").as_str())]);
        let (settings, api) = (ViberSettings { welcome }, viber::API.to_owned());
        let viber = Viber::new(ViberParts { sender, settings, credentials, hook, api }, caller, clock);
        return Ok((Adapter::Viber(Box::new(viber)), Kind::Viber, String::new()));
    }
    let provider = case["provider"].as_str().unwrap_or_default();
    let is_one_api = text("api").to_lowercase().contains("one");
    let preset = match provider {
        "generic-http" => CUSTOM,
        "clickatell" if is_one_api => "clickatell-one",
        other => other,
    };
    let mut settings = HttpSettings::of(preset).ok_or_else(|| format!("no preset {preset}"))?;
    settings.region = text("default_country");
    if let Ok(zone) = text("zone").parse() {
        settings.zone = zone;
    }
    if let Some(gateway) = &mut settings.gateway {
        describe(gateway, setup)?;
    }
    let region = settings.region.clone();
    let secrets = [("signature_secret", text("signature_secret")), ("signature_method", text("signature_method"))];
    let mut credentials = Credentials::default();
    for (name, value) in secrets.iter().filter(|(_, value)| !value.is_empty()) {
        credentials.put(name, value.as_str());
    }
    let parts = HttpParts { channel: 1, sender: "Bugle".to_owned(), settings, credentials, hook };
    let http = Http::new(parts, caller, clock).ok_or("the preset cannot be used")?;
    Ok((Adapter::Http(Box::new(http)), Kind::Sms, region))
}

/// What an app of Meta's signs and asks with.
fn of_app(text: &dyn Fn(&str) -> String) -> Credentials {
    let (secret, word) = (text("app_secret"), text("verify_token"));
    Credentials::from([("app_secret", secret.as_str()), ("verify_token", word.as_str())])
}

/// Whether one of these accounts of a provider is ours.
pub fn is_ours(case: &Value, account: &str) -> bool {
    // Written anywhere in what is set up: as the page, or as one of several numbers.
    case["setup"].to_string().contains(&format!("\"{account}\""))
}

/// Fills in the gateway as somebody would in its form: rules about answers, names of fields.
fn describe(gateway: &mut Gateway, setup: &Value) -> Result<(), String> {
    let outcome = &setup["outcome"];
    if outcome.is_object() {
        gateway.answers = Default::default();
        let rule = |name: &str| -> Result<Option<AnswerRule>, String> {
            outcome[name]
                .as_str()
                .map(|text| text.parse::<AnswerRule>().map_err(|what| format!("{name}: {what}")))
                .transpose()
        };
        let answers = &mut gateway.answers;
        answers.accepted = match rule("success")? {
            Some(rule) => Some(rule),
            None => rule("accepted")?,
        };
        answers.rejected = rule("rejected")?;
        answers.later = match rule("retry")? {
            Some(rule) => Some(rule),
            None => rule("later")?,
        };
        answers.not_now = rule("temporary")?;
        answers.id = rule("id")?;
        answers.otherwise = outcome["otherwise"].as_str().unwrap_or_default().to_owned();
        let codes = outcome["codes"].as_object().into_iter().flatten();
        answers.codes = codes.filter_map(|(code, it)| Some((code.clone(), it.as_str()?.to_owned()))).collect();
        if let Some(code) = outcome["code"].as_str() {
            let path = code.trim_start_matches("JSON").trim_start_matches("XPath").trim();
            answers.code = vec![json_pointer(path)];
        }
    }
    for (name, field) in setup["fields"].as_object().into_iter().flatten() {
        let Some(field) = field.as_str() else { continue };
        for call in gateway.calls.iter_mut().filter(|call| call.is == bugle::providers::http::gateway::CallIs::Message)
        {
            let named = vec![json_pointer(field)];
            match name.as_str() {
                "from" => call.from = named,
                "to" => call.to = named,
                "text" => call.text = named,
                "id" => call.id = named,
                "time" => call.time = named,
                _ => {}
            }
        }
    }
    Ok(())
}
