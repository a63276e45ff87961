//! Twilio's Messages API: SMS, and WhatsApp through Twilio.
//!
//! A send that was answered with a fault of theirs may have been taken: their POST is not idempotent. Our name for it
//! travels in the address of its status calls, so that these settle it.

pub mod codes;
pub mod found;
pub mod form;
pub mod signing;
pub mod templates;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::HttpAnswer;
use super::caller::{Caller, HttpAsk, Unanswered};
use super::class::AnswerMeans;
use super::credentials::Credentials;
use super::download::download;
use super::http::calls::about;
use super::http::template::percent;
use super::http::{Hook, basic};
use super::media::{FetchedMedia, FileRule, MIB, Unfetched};
use super::said::{Said, pairs};
use super::{
    Able, Call, CallAnswer, ChoiceHeard, ConsentNews, Envelope, Event, Forged, Gate, Heard, InDoubt, Inbound, Kind,
    MediaHeard, Provider, ProviderName, Receipt, ReceiptStatus, RejectClass, RetryScope, SendOutcome,
};
use crate::clock::Clock;
use crate::wording::{Approved, Content, FileLook, MapPlace};

/// What a channel keeps, its credentials apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TwilioSettings {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Where it signs in with a key of its own and not with the account's token: `SK…`
    pub api_key_sid: String,
    /// `MG…`: it chooses the number. Empty: the channel's sender is the number.
    pub messaging_service_sid: String,
}

/// Where Twilio is.
pub const API: &str = "https://api.twilio.com";
/// Where its contents are.
const CONTENTS: &str = "https://content.twilio.com";

pub struct Twilio {
    kind: Kind,
    sender: String,
    settings: TwilioSettings,
    credentials: Credentials,
    hook: Hook,
    /// [`API`], or somebody who plays it.
    api: String,
    caller: Arc<Caller>,
    clock: Clock,
}

/// Characters of a text at most; Twilio answers 21617 above it.
pub const LONGEST: usize = 1600;
/// Seconds for which Twilio tries, at least and at most.
const VALID: (i64, i64) = (1, 36_000);
const WHATSAPP: &str = "whatsapp:";

/// What a channel of Twilio is made of.
pub struct TwilioParts {
    pub kind: Kind,
    pub sender: String,
    pub settings: TwilioSettings,
    pub credentials: Credentials,
    pub hook: Hook,
    pub api: String,
}

impl Twilio {
    pub fn new(it: TwilioParts, caller: Arc<Caller>, clock: Clock) -> Twilio {
        let TwilioParts { kind, sender, settings, credentials, hook, api } = it;
        Twilio { kind, sender, settings, credentials, hook, api, caller, clock }
    }

    fn address(&self, address: &str) -> String {
        // Who has no number is known by an id with a country in front of it.
        let is_number = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_digit());
        let address = if is_number && address.len() >= 7 { format!("+{address}") } else { address.to_owned() };
        match self.kind {
            Kind::Whatsapp if !address.starts_with(WHATSAPP) => format!("{WHATSAPP}{address}"),
            _ => address,
        }
    }

    fn authorization(&self) -> String {
        match self.settings.api_key_sid.is_empty() {
            true => basic(&self.settings.account_sid, self.credentials.get("auth_token")),
            false => basic(&self.settings.api_key_sid, self.credentials.get("api_key_secret")),
        }
    }

    /// The fields of a message's request, in their order.
    pub fn fields(&self, envelope: &Envelope, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
        let mut fields = vec![("To", self.address(&envelope.to))];
        match self.settings.messaging_service_sid.is_empty() {
            true => fields.push(("From", self.address(&self.sender))),
            false => fields.push(("MessagingServiceSid", self.settings.messaging_service_sid.clone())),
        }
        match &envelope.content {
            Content::Template { filled, .. } => {
                let variables = filled.values.iter().map(|it| (it.name.clone(), Value::from(it.text.as_str())));
                let variables = Value::Object(variables.collect());
                fields.extend([("ContentSid", filled.name.clone()), ("ContentVariables", variables.to_string())]);
            }
            // Pictures by SMS are for Canada and the United States; elsewhere it is refused.
            Content::Media { file, caption, .. } if self.kind == Kind::Sms && !is_american(&envelope.to) => {
                fields.push(("Body", file.as_link(caption)));
            }
            Content::Media { file, caption, .. } => {
                fields.push(("MediaUrl", file.url.clone()));
                if !caption.is_empty() {
                    fields.push(("Body", caption.clone()));
                }
            }
            Content::Place { place, words } => {
                let label = words.replace('|', "/");
                fields.push(("Body", if words.is_empty() { place.link() } else { words.clone() }));
                let MapPlace { latitude, longitude } = place;
                fields.push(("PersistentAction", format!("geo:{latitude},{longitude}|{label}")));
            }
            content @ (Content::Text(_) | Content::Choices { .. }) => {
                let (text, choices) = content.words();
                let text = match choices.is_empty() {
                    true => text.to_owned(),
                    false => format!("{text}\n\n{}", choices.join("\n")),
                };
                fields.push(("Body", text));
            }
        }
        if self.hook.is_public {
            fields.push((
                "StatusCallback",
                format!("{}/status?part={}", self.hook.url, percent(&envelope.key.to_string())),
            ));
        }
        let seconds = (envelope.expires_at - now).num_seconds().clamp(VALID.0, VALID.1);
        if self.kind == Kind::Sms {
            fields.push(("ValidityPeriod", seconds.to_string()));
        }
        fields
    }

    pub fn request(&self, envelope: &Envelope, now: DateTime<Utc>) -> HttpAsk {
        let fields = self.fields(envelope, now);
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        HttpAsk {
            method: "POST".to_owned(),
            url: format!("{}/2010-04-01/Accounts/{}/Messages.json", self.api, self.settings.account_sid),
            headers: vec![
                ("Authorization".to_owned(), self.authorization()),
                ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("Accept".to_owned(), "application/json".to_owned()),
            ],
            body: body.join("&").into_bytes(),
            ..HttpAsk::default()
        }
    }

    /// The contents of the account, page after page.
    async fn list_templates(&self) -> Result<Vec<Approved>, String> {
        // Who plays the API plays this part of it as well.
        let site = if self.api == API { CONTENTS } else { self.api.as_str() };
        let mut url = format!("{site}/v1/ContentAndApprovals?PageSize=100");
        let mut known = Vec::new();
        for _ in 0..templates::MOST_PAGES {
            let headers = vec![("Authorization".to_owned(), self.authorization())];
            let ask = HttpAsk { method: "GET".to_owned(), url, headers, ..HttpAsk::default() };
            let answered = self.caller.ask(&ask, &|| true).await.ok_or("nobody was asked")?;
            let answer = answered.map_err(Unanswered::words)?;
            let said = answer.said().unwrap_or_default();
            if answer.status != 200 {
                let why = said.text("/message").unwrap_or_default();
                return Err(format!("Twilio answered {}: {why}", answer.status));
            }
            let (them, more) = templates::page(said.get("").ok_or("Twilio answered with nothing")?);
            known.extend(them);
            match more {
                None => return Ok(known),
                // The token goes nowhere else.
                Some(next) if next.starts_with(&format!("{site}/")) => url = next,
                Some(_) => return Err("the list goes on at another site".to_owned()),
            }
        }
        Err("the list of contents does not end".to_owned())
    }

    /// The messages to somebody that may be one that nobody answered for.
    async fn find(&self, it: &InDoubt) -> Result<Vec<Receipt>, String> {
        let (to, day) = (self.address(&it.to), found::since(it).format("%Y-%m-%d"));
        let list = format!("{}/2010-04-01/Accounts/{}/Messages.json", self.api, self.settings.account_sid);
        let ask = HttpAsk {
            method: "GET".to_owned(),
            url: format!("{list}?To={}&DateSent%3E={day}&PageSize=1000", percent(&to)),
            headers: vec![("Authorization".to_owned(), self.authorization())],
            ..HttpAsk::default()
        };
        let answered = self.caller.ask(&ask, &|| true).await.ok_or("nobody was asked")?;
        let answer = answered.map_err(Unanswered::words)?;
        let said = answer.said().unwrap_or_default();
        if answer.status != 200 {
            return Err(format!("Twilio answered {}: {}", answer.status, said.text("/message").unwrap_or_default()));
        }
        let service = &self.settings.messaging_service_sid;
        let is_ours = |message: &Value| match service.is_empty() {
            true => message["from"].as_str() == Some(self.address(&self.sender).as_str()),
            false => message["messaging_service_sid"].as_str() == Some(service),
        };
        found::candidates(said.get("").ok_or("Twilio answered with nothing")?, it, is_ours)
    }

    /// What an answer to a send comes to.
    pub fn outcome(&self, answered: Result<HttpAnswer, Unanswered>, now: DateTime<Utc>) -> SendOutcome {
        match answered {
            Ok(answer) => judge(&answer, now),
            Err(unanswered) => unanswered.outcome(),
        }
    }
}

/// What an answer to a POST of a message means.
fn judge(answer: &HttpAnswer, now: DateTime<Utc>) -> SendOutcome {
    let said = answer.said().unwrap_or_default();
    let code = said.text("/code").unwrap_or_else(|| format!("HTTP {}", answer.status));
    match answer.status {
        200..=299 => match said.text("/sid") {
            // Some faults of a message come with its name.
            Some(sid) if said.text("/status").is_none_or(|status| status != "failed") => {
                SendOutcome::Accepted { provider_ref: Some(sid) }
            }
            Some(_) => {
                let code = said.text("/error_code").unwrap_or(code);
                codes::verdict(&code).unwrap_or(AnswerMeans::Rejected(RejectClass::Other)).outcome(None, code)
            }
            None => SendOutcome::Unknown { code: format!("HTTP {} without a sid", answer.status) },
        },
        // They say that what is answered so was never processed.
        429 => {
            let verdict = codes::verdict(&code).unwrap_or(AnswerMeans::throttled(RetryScope::Account));
            verdict.after(answer.retry_after(now)).outcome(None, code)
        }
        300..=399 => SendOutcome::Rejected { class: RejectClass::Misset, code },
        400..=499 => {
            let known = codes::verdict(&code);
            let verdict = known.unwrap_or(match answer.status {
                401 | 403 => AnswerMeans::Rejected(RejectClass::ChannelConfig),
                404 => AnswerMeans::Rejected(RejectClass::ChannelConfig),
                408 => AnswerMeans::Unknown,
                _ => AnswerMeans::Rejected(RejectClass::Other),
            });
            verdict.outcome(None, code)
        }
        _ => SendOutcome::Unknown { code },
    }
}

/// The address of a person on the channel's kind.
fn person(address: &str) -> String {
    address.trim().trim_start_matches(WHATSAPP).to_owned()
}

fn read_form(said: &Said, door: &str) -> Vec<Event> {
    let get = |name: &str| said.text(&format!("/{name}"));
    let sid = get("MessageSid").or_else(|| get("SmsSid"));
    let status = get("MessageStatus").or_else(|| get("SmsStatus"));
    let is_status = door == "status" || (get("MessageStatus").is_some() && get("Body").is_none());
    if is_status && status.as_deref() != Some("received") {
        return read_status(said, sid, status);
    }
    let (Some(id), Some(from)) = (sid, get("From")) else {
        return vec![Event::Other("a call that is about no message".to_owned())];
    };
    let text = get("Body").unwrap_or_default();
    let n: usize = get("NumMedia").and_then(|n| n.parse().ok()).unwrap_or_default();
    let media = (0..n.min(20)).filter_map(|n| {
        let content_type = get(&format!("MediaContentType{n}")).unwrap_or_default();
        Some(MediaHeard { url: get(&format!("MediaUrl{n}"))?, content_type, ..MediaHeard::default() })
    });
    let choice = get("ButtonPayload").or_else(|| get("ListId")).map(|id| ChoiceHeard {
        id,
        title: get("ButtonText").or_else(|| get("ListTitle")).unwrap_or_else(|| text.clone()),
    });
    let mut events = Vec::new();
    // Before the message: whatever its words are, and in whatever language, nobody answers it any more.
    let wants = match get("OptOutType").map(|word| word.to_uppercase()).as_deref() {
        Some("STOP") => Some(false),
        Some("START") => Some(true),
        _ => None,
    };
    events.extend(wants.map(|wants| Event::Consent(ConsentNews { from: person(&from), wants, id: Some(id.clone()) })));
    events.push(Event::Inbound(Inbound {
        id,
        from: person(&from),
        to: get("To").map(|to| person(&to)),
        media: media.collect(),
        choice,
        reply_to: get("OriginalRepliedMessageSid"),
        name: get("ProfileName"),
        text,
        ..Inbound::default()
    }));
    events
}

/// What Twilio's word for how a message stands means.
fn receipt_status(word: &str) -> Option<ReceiptStatus> {
    Some(match word {
        "accepted" | "queued" | "scheduled" | "sending" => ReceiptStatus::Accepted,
        "sent" => ReceiptStatus::Sent,
        "delivered" | "partially_delivered" => ReceiptStatus::Delivered,
        "read" => ReceiptStatus::Read,
        "failed" | "undelivered" | "canceled" => ReceiptStatus::Failed,
        _ => return None,
    })
}

fn read_status(said: &Said, sid: Option<String>, status: Option<String>) -> Vec<Event> {
    let get = |name: &str| said.text(&format!("/{name}"));
    let word = status.unwrap_or_default();
    let Some(status) = receipt_status(&word) else {
        return vec![Event::Other(format!("a status that is none: {word}"))];
    };
    let Some(about) = about(get("part"), sid.clone()) else {
        return vec![Event::Other("a status of no message".to_owned())];
    };
    let to = get("To").map(|to| person(&to));
    let code = get("ErrorCode").filter(|code| code != "0");
    let failed = status == ReceiptStatus::Failed;
    let class = code.as_deref().and_then(codes::verdict).and_then(AnswerMeans::class);
    let receipt = Receipt {
        class: class.or(Some(RejectClass::Other)).filter(|_| failed),
        code,
        reference: sid.clone(),
        to: to.clone(),
        ..Receipt::about(about, status)
    };
    let opted_out = failed && class == Some(RejectClass::OptedOut);
    let mut events = vec![Event::Receipt(receipt)];
    if let (true, Some(from)) = (opted_out, to) {
        events.push(Event::Consent(ConsentNews { from, wants: false, id: sid }));
    }
    events
}

fn is_american(number: &str) -> bool {
    number.trim_start_matches('+').starts_with('1')
}

/// What WhatsApp carries through Twilio.
pub const FILES: &[FileRule] = &[
    FileRule {
        look: FileLook::Picture,
        types: &["image/jpeg", "image/png"],
        most: 5 * MIB,
        words: LONGEST,
        choices: 0,
    },
    FileRule { look: FileLook::Video, types: &["video/mp4"], most: 16 * MIB, words: LONGEST, choices: 0 },
    FileRule {
        look: FileLook::Sound,
        types: &["audio/ogg", "audio/amr", "audio/3gpp", "audio/aac", "audio/mpeg"],
        most: 16 * MIB,
        words: 0,
        choices: 0,
    },
    FileRule { look: FileLook::Other, types: &["application/pdf"], most: 16 * MIB, words: LONGEST, choices: 0 },
];
/// MMS, from Twilio's description of the field `MediaUrl`.
pub const MMS: &[FileRule] = &[
    FileRule {
        look: FileLook::Picture,
        types: &["image/jpeg", "image/png", "image/gif"],
        most: 5 * MIB,
        words: LONGEST,
        choices: 0,
    },
    FileRule { look: FileLook::Video, types: &[], most: 500 << 10, words: LONGEST, choices: 0 },
    FileRule { look: FileLook::Sound, types: &[], most: 500 << 10, words: LONGEST, choices: 0 },
    FileRule { look: FileLook::Other, types: &["application/pdf"], most: 500 << 10, words: LONGEST, choices: 0 },
];

#[async_trait]
impl Provider for Twilio {
    fn able(&self) -> Able {
        // A call about a send names it by our key; one that was sent by other hands only by theirs.
        Able {
            choices: true,
            files: ProviderName::Twilio.files(self.kind),
            places: ProviderName::Twilio.places(self.kind),
            templates: self.kind == Kind::Whatsapp,
            tells_by_reference: true,
            longest: Some(LONGEST),
            ..Able::TEXT
        }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let ask = self.request(envelope, self.clock.now());
        let answered = self.caller.ask(&ask, gate).await?;
        Some(self.outcome(answered, self.clock.now()))
    }

    async fn fetch(&self, heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
        if !heard.url.starts_with("http") {
            return None;
        }
        // Whoever wrote the address into the call: our token goes to Twilio alone.
        let proof = match heard.url.starts_with(&format!("{}/", self.api)) {
            true => vec![("Authorization".to_owned(), self.authorization())],
            false => Vec::new(),
        };
        Some(download(&self.caller, &heard.url, &proof).await)
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged> {
        let door = self.hook.door(call.url).ok_or(Forged::BadSignature)?;
        let tokens = self.credentials.get("auth_token").split_whitespace().collect::<Vec<_>>();
        if !tokens.iter().any(|token| signing::is_genuine(token, &self.hook.url, call)) {
            return Err(Forged::BadSignature);
        }
        let is_form = call.body.first() != Some(&b'{');
        let events = match Said::of_call(call) {
            Some(said) if is_form => read_form(&said, door),
            _ => vec![Event::Other("a call that is about no message".to_owned())],
        };
        let answer = CallAnswer { content_type: "text/xml", body: "<Response/>".to_owned() };
        Ok(Heard { events, answer: Some(answer), ..Heard::default() })
    }

    async fn templates(&self) -> Option<Result<Vec<Approved>, String>> {
        match self.kind {
            Kind::Whatsapp => Some(self.list_templates().await),
            _ => None,
        }
    }

    async fn look_up(&self, it: &InDoubt) -> Option<Result<Vec<Receipt>, String>> {
        Some(self.find(it).await)
    }

    async fn check(&self) -> Option<Result<String, String>> {
        let ask = HttpAsk {
            method: "GET".to_owned(),
            url: format!("{}/2010-04-01/Accounts/{}.json", self.api, self.settings.account_sid),
            headers: vec![("Authorization".to_owned(), self.authorization())],
            ..HttpAsk::default()
        };
        let answered = self.caller.ask(&ask, &|| true).await?;
        Some(match answered {
            Ok(answer) if answer.status == 200 => {
                let said = answer.said().unwrap_or_default();
                let name = said.text("/friendly_name").unwrap_or_default();
                match said.text("/status").as_deref() {
                    Some("active") | None => Ok(format!("Signed in to the account “{name}”.")),
                    Some(status) => Err(format!("The account “{name}” is {status}.")),
                }
            }
            Ok(answer) if answer.status == 401 => {
                Err("Twilio does not know this Account SID and token. Copy both again from the console's home page."
                    .to_owned())
            }
            Ok(answer) => Err(format!("Twilio answered HTTP {}.", answer.status)),
            Err(unanswered) => Err(unanswered.words()),
        })
    }
}

/// Names and values of a form in the order of a signature.
fn sorted_pairs(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut fields = pairs(body);
    fields.sort();
    fields.dedup();
    fields
}
