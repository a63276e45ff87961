//! Gateways over HTTP: Kannel, aggregators, and whatever else takes messages that way. What is different from one to the
//! next is data ([`gateway`]); this says what is the same.

pub mod calls;
pub mod form;
pub mod gateway;
pub mod judging;
pub mod rapidpro;
pub mod rules;
pub mod signing;
pub mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use self::gateway::{CUSTOM, ContentType, Gateway, PRESETS};
use self::template::{Escape, Filling, fill, places};
use super::answer::HttpAnswer;
use super::caller::{ASKED_AGAIN_AFTER, Caller, HttpAsk, Unanswered};
use super::credentials::Credentials;
use super::download::download_open;
use super::key::SendKey;
use super::media::{FetchedMedia, Unfetched};
use super::said::Said;
use super::{
    Able, Call, CallAnswer, Envelope, Event, Forged, Gate, Heard, Later, MediaHeard, Provider, RetryScope, SendOutcome,
};
use crate::clock::Clock;
use crate::wording::{Encoding, segments};

/// What a channel of a gateway keeps, its credentials apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpSettings {
    /// The word of a preset.
    pub preset: String,
    /// What the preset asks for, by its names.
    pub asked: BTreeMap<String, String>,
    /// Of [`CUSTOM`]: how the gateway is spoken to.
    pub gateway: Option<Box<Gateway>>,
    /// ISO code of the country whose national numbers come in without its code; empty: none.
    pub region: String,
    /// Of times that come in without one.
    pub zone: Tz,
    /// Where the gateway honours a key: what got no answer is asked again under the same one.
    pub repeats: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            preset: CUSTOM.to_owned(),
            asked: BTreeMap::new(),
            gateway: None,
            region: String::new(),
            zone: Tz::UTC,
            repeats: false,
        }
    }
}

impl HttpSettings {
    /// A channel of a preset as it begins.
    pub fn of(preset: &str) -> Option<HttpSettings> {
        let known = PRESETS.get(preset)?;
        let asked = known.asks.iter().filter(|it| !it.secret).map(|it| (it.name.clone(), it.value.clone())).collect();
        let gateway = (preset == CUSTOM).then(|| Box::new(known.gateway.clone()));
        Some(HttpSettings { preset: preset.to_owned(), asked, gateway, ..HttpSettings::default() })
    }

    /// How the gateway is spoken to. `None`: a preset that this version does not know.
    pub fn gateway(&self) -> Option<&Gateway> {
        match &self.gateway {
            Some(gateway) => Some(gateway),
            None => PRESETS.get(self.preset.as_str()).map(|preset| &preset.gateway),
        }
    }
}

/// Where a channel's provider finds us.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// The address of the channel's calls, without a stroke at the end.
    pub url: String,
    /// Whether somebody outside can reach it, so that it may be given to providers.
    pub is_public: bool,
}

impl Hook {
    fn path(url: &str) -> &str {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
        path.split(['?', '#']).next().unwrap_or_default()
    }

    /// How the address of a call ends behind the channel's own. `None`: it was not called there.
    pub fn door<'a>(&self, url: &'a str) -> Option<&'a str> {
        let (ours, called) = (Hook::path(&self.url), Hook::path(url));
        let (begin, rest) = called.split_at_checked(ours.len())?;
        // As long as any other: how much of it was right tells nobody anything.
        let same: bool = subtle::ConstantTimeEq::ct_eq(begin.as_bytes(), ours.as_bytes()).into();
        (same && (rest.is_empty() || rest.starts_with('/'))).then(|| rest.trim_matches('/'))
    }
}

pub struct Http {
    channel: i64,
    sender: String,
    gateway: Gateway,
    settings: HttpSettings,
    credentials: Credentials,
    hook: Hook,
    caller: Arc<Caller>,
    clock: Clock,
}

/// Minutes for which a message is worth something, at least and at most, as gateways take them.
const VALID_MINUTES: (i64, i64) = (1, 2 * 24 * 60);
/// Names that templates may use besides those that a preset asks for.
pub const NAMES: [&str; 17] = [
    "id",
    "key",
    "to",
    "to_no_plus",
    "from",
    "from_no_plus",
    "text",
    "channel",
    "quick_replies",
    "hook",
    "callback",
    "coding",
    "alphabet",
    "validity_seconds",
    "validity_minutes",
    "validity_ms",
    "urn",
];

/// What an HTTP channel is made of.
pub struct HttpParts {
    pub channel: i64,
    pub sender: String,
    pub settings: HttpSettings,
    pub credentials: Credentials,
    pub hook: Hook,
}

impl Http {
    /// `None`: its preset is none that this version knows.
    pub fn new(it: HttpParts, caller: Arc<Caller>, clock: Clock) -> Option<Http> {
        let HttpParts { channel, sender, settings, credentials, hook } = it;
        let gateway = settings.gateway()?.clone();
        Some(Http { channel, sender, gateway, settings, credentials, hook, caller, clock })
    }

    /// The request for a message, ready to leave.
    pub fn request(&self, envelope: &Envelope, now: DateTime<Utc>) -> HttpAsk {
        let send = &self.gateway.send;
        let (text, choices) = envelope.content.words();
        let offers = places(&send.body).contains(&"quick_replies") || places(&send.url).contains(&"quick_replies");
        // Where answers cannot be offered apart, they stand below the text.
        let text = match choices.is_empty() || offers {
            true => text.to_owned(),
            false => format!("{text}\n\n{}", choices.join("\n")),
        };
        let minutes = (envelope.expires_at - now).num_minutes().clamp(VALID_MINUTES.0, VALID_MINUTES.1);
        let is_gsm = segments(&text).encoding == Encoding::Gsm7;
        let id = envelope.key.to_string();
        let in_callback = |name: &str| match name {
            "hook" => Some(Filling::Text(self.hook.url.clone())),
            "id" => Some(Filling::Text(id.clone())),
            _ => None,
        };
        let callback = match self.hook.is_public {
            true => fill(&whole_address(&self.gateway.receipt_url, &in_callback), Escape::Percent, &in_callback),
            false => String::new(),
        };
        let no_plus = |address: &str| address.strip_prefix('+').unwrap_or(address).to_owned();
        let value = |name: &str| -> Option<Filling> {
            let text = match name {
                "id" => id.clone(),
                "key" => lasting(envelope.key),
                "to" | "urn" => with_plus(&envelope.to),
                "to_no_plus" => no_plus(&envelope.to),
                "from" => self.sender.clone(),
                "from_no_plus" => no_plus(&self.sender),
                "text" => text.clone(),
                "channel" => self.channel.to_string(),
                "quick_replies" => return Some(Filling::Texts(choices.to_vec())),
                "hook" if self.hook.is_public => self.hook.url.clone(),
                "callback" => callback.clone(),
                "coding" => if is_gsm { "0" } else { "2" }.to_owned(),
                "alphabet" => if is_gsm { "text" } else { "unicode" }.to_owned(),
                "validity_seconds" => (minutes * 60).to_string(),
                "validity_minutes" => minutes.to_string(),
                "validity_ms" => (minutes * 60_000).to_string(),
                name => {
                    self.settings.asked.get(name).map(String::as_str).unwrap_or(self.credentials.get(name)).to_owned()
                }
            };
            Some(Filling::Text(text))
        };
        let in_body = match send.content {
            ContentType::Form => Escape::Percent,
            ContentType::Json => Escape::Json,
            ContentType::Xml => Escape::Xml,
            ContentType::Text => Escape::None,
        };
        let mut headers: Vec<(String, String)> =
            send.headers.iter().map(|(name, text)| (name.clone(), fill(text, Escape::None, &value))).collect();
        let body = fill(&send.body, in_body, &value);
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".to_owned(), send.content.header().to_owned()));
        }
        if let Some((name, password)) = self.basic() {
            headers.push(("Authorization".to_owned(), basic(&name, &password)));
        }
        if send.honours_key {
            headers.push(("Idempotency-Key".to_owned(), lasting(envelope.key)));
        }
        // An address that begins with a place is a whole one, and not a value inside of one.
        let url = fill(&whole_address(&send.url, &value), Escape::Percent, &value);
        HttpAsk { method: send.method.word().to_owned(), url, headers, body: body.into_bytes(), ..HttpAsk::default() }
    }

    /// Name and password of HTTP Basic, where a channel that somebody described has them.
    fn basic(&self) -> Option<(String, String)> {
        let password = self.credentials.get("basic_password");
        let name = self.settings.asked.get("basic_user")?;
        (!name.is_empty()).then(|| (name.clone(), password.to_owned()))
    }

    /// What an answer comes to.
    pub fn outcome(&self, answered: Result<HttpAnswer, Unanswered>, now: DateTime<Utc>) -> SendOutcome {
        match answered {
            Ok(answer) => {
                let it = judging::judge(&self.gateway.answers, &answer, now);
                match it.verdict.outcome(it.id, it.code) {
                    SendOutcome::Unknown { code } => self.unknown(code),
                    outcome => outcome,
                }
            }
            Err(Unanswered::Lost(code)) => self.unknown(code),
            Err(unanswered) => unanswered.outcome(),
        }
    }

    /// It may have arrived. Only where the gateway promises to know its key again it is asked once more.
    fn unknown(&self, code: String) -> SendOutcome {
        match self.settings.repeats && self.gateway.send.honours_key {
            true => SendOutcome::RetryLater {
                why: Later::NotNow,
                after: ASKED_AGAIN_AFTER,
                scope: RetryScope::Recipient,
                code,
            },
            false => SendOutcome::Unknown { code },
        }
    }
}

/// The same for every try at one message, for gateways that honour a key.
fn lasting(key: SendKey) -> String {
    match key {
        SendKey::Delivery(key) => format!("{}-{}", key.run, key.seq),
        SendKey::Message(key) => format!("m{}", key.id),
    }
}

/// A number as it is dialled; a short code, or a name, as it is.
fn with_plus(address: &str) -> String {
    let is_number = 7 <= address.len() && address.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("+{address}") } else { address.to_owned() }
}

pub fn basic(name: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

/// An address whose first place is filled, where it begins with one.
fn whole_address(url: &str, value: &dyn Fn(&str) -> Option<Filling>) -> String {
    let begins = url.strip_prefix("{{").and_then(|rest| rest.split_once("}}"));
    match begins.and_then(|(name, rest)| Some((value(name.trim())?, rest))) {
        Some((Filling::Text(begin), rest)) => format!("{}{rest}", begin.trim_end_matches('/')),
        _ => url.to_owned(),
    }
}

#[async_trait]
impl Provider for Http {
    fn able(&self) -> Able {
        // Only a gateway that cannot name our key in what it tells of a send tells by its own.
        let by_reference =
            self.gateway.calls.iter().any(|call| !call.id.is_empty() && call.is == gateway::CallIs::Receipt);
        let longest = self.gateway.send.longest;
        Able { choices: true, tells_by_reference: by_reference, longest, ..Able::TEXT }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let ask = self.request(envelope, self.clock.now());
        let answered = self.caller.ask(&ask, gate).await?;
        Some(self.outcome(answered, self.clock.now()))
    }

    async fn fetch(&self, heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
        download_open(&self.caller, heard).await
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged> {
        let door = self.hook.door(call.url).ok_or(Forged::BadSignature)?;
        signing::check(self.gateway.signed, &self.credentials, call)?;
        let events = match Said::of_call(call) {
            Some(said) => calls::read(&self.gateway.calls, call, door, &said, self.settings.zone),
            // Told again it would be no better.
            None => vec![Event::Other("a call that is no form, no JSON and no XML".to_owned())],
        };
        let answer = CallAnswer { content_type: "text/plain", body: self.gateway.reply.clone() };
        Ok(Heard { events, answer: Some(answer), ..Heard::default() })
    }

    async fn check(&self) -> Option<Result<String, String>> {
        let value = |name: &str| self.settings.asked.get(name).cloned().map(Filling::Text);
        let url = fill(&whole_address(&self.gateway.send.url, &value), Escape::Percent, &value);
        Some(match self.caller.reach(&url).await {
            Ok(host) => Ok(format!("{host} can be reached. Whether it takes messages only a message tells.")),
            Err(unanswered) => Err(unanswered.words()),
        })
    }
}
