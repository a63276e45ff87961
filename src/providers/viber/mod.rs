//! Bots on Viber, through its REST API.
//!
//! Whatever it answers, it answers with 200; the status in the body says what became of it. It never says our name for a
//! send again, only its own token, a whole number of 64 bits that is kept as text. What arrived it tells of all messages,
//! those that the person wrote among them.

pub mod form;
mod heard;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hmac::Hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::answer::HttpAnswer;
use super::caller::{Caller, HttpAsk, Unanswered};
use super::class::AnswerMeans;
use super::credentials::Credentials;
use super::download::download_open;
use super::http::Hook;
use super::http::signing::is_mac;
use super::media::{FetchedMedia, FileRule, MIB, Unfetched};
use super::said::Said;
use super::{
    Able, Call, CallAnswer, Envelope, Forged, Gate, Heard, Kind, Later, MediaHeard, Provider, ProviderName,
    RejectClass, RetryScope, SendOutcome,
};
use crate::clock::Clock;
use crate::wording::{Content, FileLook, MediaFile};

/// Where Viber is.
pub const API: &str = "https://chatapi.viber.com";

/// Characters of the sender's name at most.
pub const LONGEST_SENDER: usize = 28;
/// Characters of a text at most.
pub const LONGEST: usize = 7000;
/// Characters below a picture at most.
const LONGEST_CAPTION: usize = 768;
/// Bytes of a request at most.
const LARGEST: usize = 30 * 1024;
/// Rows of a keyboard at most.
const ROWS: usize = 12;
/// A row's width, in parts of which a button takes some.
const COLUMNS: usize = 6;
/// A person who does not answer gets a hundred messages an hour: there is no sense in trying at once.
const TOO_MANY: Duration = Duration::from_secs(600);

/// What Viber calls us about, but for what people write, which it always tells.
const EVENTS: [&str; 6] = ["delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"];

/// What a channel keeps, its credentials apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViberSettings {
    /// What somebody reads who opens the bot and has not written. Empty: nothing.
    pub welcome: String,
}

/// What a channel of Viber is made of.
pub struct ViberParts {
    pub sender: String,
    pub settings: ViberSettings,
    pub credentials: Credentials,
    pub hook: Hook,
    /// [`API`], or somebody who plays it.
    pub api: String,
}

pub struct Viber {
    it: ViberParts,
    caller: Arc<Caller>,
    clock: Clock,
}

/// Buttons for answers; `None` where there are more than a keyboard holds.
fn keyboard(choices: &[String]) -> Option<Value> {
    let columns = match choices.len() {
        0 => return None,
        n if n <= ROWS => COLUMNS,
        n if n <= 2 * ROWS => COLUMNS / 2,
        _ => return None,
    };
    let button = |title: &String| json!({ "Columns": columns, "Rows": 1, "ActionType": "reply", "ActionBody": title, "Text": title });
    Some(json!({ "Type": "keyboard", "Buttons": choices.iter().map(button).collect::<Vec<_>>() }))
}

/// What it carries of files. A picture has words below it, and nothing else has.
pub const FILES: &[FileRule] = &[
    FileRule {
        look: FileLook::Picture,
        types: &["image/jpeg", "image/png", "image/gif"],
        most: MIB,
        words: LONGEST_CAPTION,
        choices: 2 * ROWS,
    },
    FileRule { look: FileLook::Video, types: &["video/mp4"], most: 26 * MIB, words: 0, choices: 2 * ROWS },
    FileRule { look: FileLook::Sound, types: &[], most: 50 * MIB, words: 0, choices: 2 * ROWS },
    FileRule { look: FileLook::Other, types: &[], most: 50 * MIB, words: 0, choices: 2 * ROWS },
];

fn file(file: &MediaFile, caption: &str) -> Value {
    match file.look() {
        FileLook::Picture => json!({ "type": "picture", "text": caption, "media": file.url }),
        _ if !caption.is_empty() => json!({ "type": "text", "text": file.as_link(caption) }),
        FileLook::Video => json!({ "type": "video", "media": file.url, "size": file.size }),
        FileLook::Sound | FileLook::Other => {
            json!({ "type": "file", "media": file.url, "size": file.size, "file_name": file.name })
        }
    }
}

/// What a status means, in an answer.
fn means(status: i64) -> AnswerMeans {
    use RejectClass::*;
    AnswerMeans::Rejected(match status {
        0 => return AnswerMeans::Accepted,
        12 => {
            let (why, scope, after) = (Later::TooFast, RetryScope::Recipient, Some(TOO_MANY));
            return AnswerMeans::Later { why, scope, after };
        }
        5 => BadAddress,
        6 => OptedOut,
        // No device that can show it, or too old a one; a country where there is no such thing.
        11 | 13 | 14 | 21 => Unreachable,
        3 | 4 | 16 | 22 => Content,
        1 | 2 | 7..=10 | 15 => ChannelConfig,
        // What is free has been used up; the account is empty.
        23 | 24 => AccountLimit,
        _ => Other,
    })
}

/// What an answer to a message means.
fn judge(answer: &HttpAnswer, now: DateTime<Utc>) -> SendOutcome {
    let said = answer.said().unwrap_or_default();
    let code = format!("HTTP {}", answer.status);
    match (answer.status, said.text("/status").and_then(|status| status.parse::<i64>().ok())) {
        (200..=299, Some(status)) => means(status).outcome(said.text("/message_token"), status.to_string()),
        (300..=399 | 404 | 405, _) => SendOutcome::Rejected { class: RejectClass::Misset, code },
        (401 | 403, _) => SendOutcome::Rejected { class: RejectClass::ChannelConfig, code },
        (413, _) => SendOutcome::Rejected { class: RejectClass::Content, code },
        (429, _) => AnswerMeans::throttled(RetryScope::Account).after(answer.retry_after(now)).outcome(None, code),
        _ => SendOutcome::Unknown { code },
    }
}

impl Viber {
    pub fn new(it: ViberParts, caller: Arc<Caller>, clock: Clock) -> Viber {
        Viber { it, caller, clock }
    }

    /// The body of a message's request.
    pub fn body(&self, envelope: &Envelope) -> Value {
        let mut body = match &envelope.content {
            Content::Choices { text, choices } => match keyboard(choices) {
                Some(keyboard) => json!({ "type": "text", "text": text, "keyboard": keyboard }),
                None => json!({ "type": "text", "text": format!("{text}\n\n{}", choices.join("\n")) }),
            },
            Content::Media { file: it, caption, choices } => {
                let mut body = file(it, caption);
                if let Some(keyboard) = keyboard(choices) {
                    body["keyboard"] = keyboard;
                }
                body
            }
            Content::Place { place, .. } => {
                json!({ "type": "location", "location": { "lat": place.latitude, "lon": place.longitude } })
            }
            // A template is refused before it comes here.
            content @ (Content::Text(_) | Content::Template { .. }) => {
                json!({ "type": "text", "text": content.words().0 })
            }
        };
        body["receiver"] = json!(envelope.to);
        body["min_api_version"] = json!(1);
        body["sender"] = json!({ "name": self.it.sender });
        // It comes back with the person's next message, and with nothing else.
        body["tracking_data"] = json!(envelope.key.to_string());
        body
    }

    /// The token that we ask with; while it is changed, several sign.
    fn token(&self) -> &str {
        self.it.credentials.get("auth_token").split_whitespace().next().unwrap_or_default()
    }

    fn ask(&self, what: &str, body: &Value) -> HttpAsk {
        let headers = [("X-Viber-Auth-Token", self.token()), ("Content-Type", "application/json")];
        HttpAsk {
            method: "POST".to_owned(),
            url: format!("{}/pa/{what}", self.it.api),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.to_string().into_bytes(),
            ..HttpAsk::default()
        }
    }

    pub fn outcome(&self, answered: Result<HttpAnswer, Unanswered>, now: DateTime<Utc>) -> SendOutcome {
        match answered {
            Ok(answer) => judge(&answer, now),
            Err(unanswered) => unanswered.outcome(),
        }
    }

    /// Asks something that sends nothing; what it said, or what is wrong.
    async fn asked(&self, what: &str, body: &Value) -> Option<Result<Said, String>> {
        let answered = self.caller.ask(&self.ask(what, body), &|| true).await?;
        Some(match answered {
            Ok(answer) => {
                let said = answer.said().unwrap_or_default();
                match (answer.status, said.text("/status").as_deref()) {
                    (200, Some("0")) => Ok(said),
                    (200, Some("2")) => {
                        Err("Viber does not know this token. Copy it again from the bot's page.".to_owned())
                    }
                    (200, Some(status)) => {
                        let words = said.text("/status_message").unwrap_or_default();
                        Err(format!("Viber answered {status}: {words}"))
                    }
                    (status, _) => Err(format!("Viber answered HTTP {status}.")),
                }
            }
            Err(unanswered) => Err(unanswered.words()),
        })
    }

    /// What somebody reads who has opened the bot.
    fn welcome(&self) -> Option<CallAnswer> {
        let text = self.it.settings.welcome.trim();
        let body = json!({ "sender": { "name": self.it.sender }, "type": "text", "text": text }).to_string();
        (!text.is_empty()).then_some(CallAnswer { content_type: "application/json", body })
    }
}

const SIGNATURE: &str = "x-viber-content-signature";

/// Whether a call was signed with the bot's token, over the very octets of its body.
pub fn is_genuine(credentials: &Credentials, call: &Call<'_>) -> bool {
    let told = call.header(SIGNATURE).unwrap_or_default();
    let mut tokens = credentials.get("auth_token").split_whitespace();
    !told.is_empty() && tokens.any(|token| is_mac::<Hmac<Sha256>>(token, call.body, told))
}

#[async_trait]
impl Provider for Viber {
    fn able(&self) -> Able {
        Able {
            choices: true,
            files: FILES,
            places: ProviderName::Viber.places(Kind::Viber),
            tells_by_reference: true,
            longest: Some(LONGEST),
            ..Able::TEXT
        }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let ask = self.ask("send_message", &self.body(envelope));
        if LARGEST < ask.body.len() {
            let code = "longer than 30 KB with its buttons".to_owned();
            return Some(SendOutcome::Rejected { class: RejectClass::Content, code });
        }
        let answered = self.caller.ask(&ask, gate).await?;
        Some(self.outcome(answered, self.clock.now()))
    }

    async fn fetch(&self, heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
        download_open(&self.caller, heard).await
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged> {
        if !is_genuine(&self.it.credentials, call) {
            return Err(Forged::BadSignature);
        }
        let said = Said::of_text("application/json", &String::from_utf8_lossy(call.body)).unwrap_or_default();
        let nothing = CallAnswer { content_type: "text/plain", body: String::new() };
        let answer = match said.text("/event").as_deref() {
            Some("conversation_started") => self.welcome(),
            _ => None,
        };
        Ok(Heard { events: heard::events(&said), answer: answer.or(Some(nothing)), ..Heard::default() })
    }

    async fn check(&self) -> Option<Result<String, String>> {
        Some(self.asked("get_account_info", &json!({})).await?.map(|said| {
            let get = |pointer: &str| said.text(pointer).unwrap_or_default();
            let told = match get("/webhook") {
                address if address == self.it.hook.url => "It calls this channel.".to_owned(),
                address if address.is_empty() => "It has not been told our address yet.".to_owned(),
                address => format!("It calls {address}, which is not this channel."),
            };
            format!("The bot is “{}”, with {} subscribers. {told}", get("/name"), get("/subscribers_count"))
        }))
    }

    async fn tell_address(&self) -> Option<Result<String, String>> {
        let url = &self.it.hook.url;
        if !self.it.hook.is_public {
            return Some(Err("Bugle does not know its own address. Start it with --public-url first.".to_owned()));
        }
        if !url.starts_with("https://") {
            return Some(Err(format!("Viber calls only addresses with https, and ours is {url}.")));
        }
        let body = json!({ "url": url, "event_types": EVENTS, "send_name": true, "send_photo": false });
        let told = self.asked("set_webhook", &body).await?;
        Some(told.map(|_| format!("Viber knows our address now: {url}. It has called it once, and was answered.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;
    use crate::providers::key::MessageKey;
    use crate::wording::MapPlace;

    fn body(content: Content) -> Value {
        let parts = ViberParts {
            sender: "Bugle".into(),
            settings: ViberSettings::default(),
            credentials: Credentials::default(),
            hook: Hook { url: String::new(), is_public: false },
            api: API.into(),
        };
        let viber = Viber::new(parts, Arc::new(Caller::new(Vec::new())), Clock::default());
        let key = MessageKey { id: MessageId(7), attempt: 1 }.into();
        viber.body(&Envelope { key, to: "01234567890A=".into(), content, expires_at: DateTime::UNIX_EPOCH })
    }

    #[test]
    fn a_text_goes_in_the_name_of_the_sender() {
        let right = json!({ "receiver": "01234567890A=", "type": "text", "text": "Hello", "sender": { "name": "Bugle" },
                            "min_api_version": 1, "tracking_data": "m7-1" });
        assert_eq!(body(Content::Text("Hello".into())), right);
    }

    #[test]
    fn answers_are_a_keyboard_of_twelve_rows_or_stand_below() {
        let choices = |n: usize| {
            let choices = (0..n).map(|n| format!("Answer {n}")).collect();
            body(Content::Choices { text: "Which?".into(), choices })
        };
        for (n, columns) in [(1, 6), (12, 6), (13, 3), (24, 3)] {
            let it = choices(n);
            let buttons = it["keyboard"]["Buttons"].as_array().unwrap();
            assert_eq!((buttons.len(), buttons[0]["Columns"].as_u64()), (n, Some(columns)));
            assert!(n * columns as usize <= ROWS * COLUMNS && buttons[0]["ActionBody"] == "Answer 0");
        }
        assert!(choices(25).get("keyboard").is_none() && choices(25)["text"].as_str().unwrap().ends_with("Answer 24"));
    }

    #[test]
    fn a_file_goes_as_what_it_is_and_its_size_is_told() {
        let file = |content_type: &str, caption: &str| {
            let (url, name) = ("https://a.example/b".to_owned(), "b.pdf".to_owned());
            let file = MediaFile { url, name, content_type: content_type.into(), size: 7 };
            body(Content::Media { file, caption: caption.into(), choices: vec!["Yes".into()] })
        };
        let picture = file("image/png", "Look");
        assert_eq!((&picture["type"], &picture["text"]), (&json!("picture"), &json!("Look")));
        assert_eq!(picture["keyboard"]["Buttons"][0]["Text"], "Yes");
        let paper = file("application/pdf", "");
        let told = (&paper["type"], &paper["size"], &paper["file_name"]);
        assert_eq!(told, (&json!("file"), &json!(7), &json!("b.pdf")));
        assert_eq!(file("application/pdf", "Look")["text"], "Look\nhttps://a.example/b");
        assert_eq!(file("video/mp4", "")["size"], 7);
        let place = body(Content::Place { place: MapPlace::new(48.2, 16.37).unwrap(), words: String::new() });
        assert_eq!(place["location"], json!({ "lat": 48.2, "lon": 16.37 }));
    }

    #[test]
    fn the_status_decides_and_its_token_keeps_all_digits() {
        let outcome = |status: u16, body: &str| {
            judge(&HttpAnswer { status, headers: Vec::new(), body: body.into() }, DateTime::UNIX_EPOCH)
        };
        let accepted = outcome(200, r#"{"status":0,"status_message":"ok","message_token":4987381194038857789}"#);
        assert_eq!(accepted, SendOutcome::Accepted { provider_ref: Some("4987381194038857789".into()) });
        let class = |status: i64| match outcome(200, &format!(r#"{{"status":{status}}}"#)) {
            SendOutcome::Rejected { class, code } if code == status.to_string() => Some(class),
            _ => None,
        };
        use RejectClass::*;
        assert_eq!(
            [2, 5, 6, 10, 3].map(class),
            [ChannelConfig, BadAddress, OptedOut, ChannelConfig, Content].map(Some)
        );
        assert_eq!([23, 24, 99].map(class), [AccountLimit, AccountLimit, Other].map(Some));
        let later = outcome(200, r#"{"status":12}"#);
        assert!(matches!(later, SendOutcome::RetryLater { scope: RetryScope::Recipient, after: TOO_MANY, .. }));
        for (status, body) in [(200, "<html>"), (500, r#"{"status":0}"#), (502, ""), (200, "{}")] {
            assert!(matches!(outcome(status, body), SendOutcome::Unknown { .. }), "{status} {body}");
        }
    }
}
