//! Messenger through Meta's Send API.
//!
//! A page writes to people who have written to it, and freely for 24 hours after that. Our name for a send comes back in
//! its echo; after that Meta tells of it by its own name, or by the instant up to which a person has everything. One
//! address serves all pages of an app, as with WhatsApp.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{GRAPH, VERSION, is_genuine, is_id, outcome, subscription, text, version_of};
use crate::clock::Clock;
use crate::providers::answer::HttpAnswer;
use crate::providers::caller::{Caller, HttpAsk, Unanswered};
use crate::providers::credentials::Credentials;
use crate::providers::download::download_open;
use crate::providers::form::{Fields, Mistakes, SettingsForm};
use crate::providers::key::{SendKey, StatusKey};
use crate::providers::media::{FetchedMedia, FileRule, MIB, Unfetched};
use crate::providers::said::{Said, instant};
use crate::providers::{
    Able, Call, CallAnswer, ChoiceHeard, ConsentNews, Envelope, Event, Forged, Gate, Heard, Inbound, MediaHeard,
    Provider, Receipt, ReceiptStatus, SendOutcome,
};
use crate::wording::{Content, FileLook, MediaFile};

/// What a channel keeps, its credentials apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessengerSettings {
    /// Digits.
    pub page_id: String,
    /// Digits; echoes of what other apps wrote name another one.
    pub app_id: String,
    /// `v25.0`
    pub api_version: String,
}

impl SettingsForm for MessengerSettings {
    fn fields(&self) -> Fields {
        let version = if self.api_version.is_empty() { VERSION } else { &self.api_version };
        Fields::from([
            ("page_id", self.page_id.clone()),
            ("app_id", self.app_id.clone()),
            ("api_version", version.to_owned()),
        ])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let text = |name: &str| fields.get(name).trim().to_owned();
        let (page_id, app_id, api_version) = (text("page_id"), text("app_id"), version_of(fields, mistakes));
        if !is_id(&page_id) {
            mistakes.add("page_id", "Digits only, as under the page's About, Page transparency.");
        }
        if !is_id(&app_id) {
            mistakes.add("app_id", "Digits only, as at the top of the app's dashboard.");
        }
        MessengerSettings { page_id, app_id, api_version }
    }
}

/// What a channel of Messenger is made of.
pub struct MessengerParts {
    pub settings: MessengerSettings,
    pub credentials: Credentials,
    /// [`GRAPH`], or somebody who plays it.
    pub api: String,
}

impl MessengerParts {
    pub fn new(settings: MessengerSettings, credentials: Credentials) -> MessengerParts {
        MessengerParts { settings, credentials, api: GRAPH.to_owned() }
    }
}

pub struct Messenger {
    it: MessengerParts,
    caller: Arc<Caller>,
    clock: Clock,
}

/// Characters of a text at most.
pub const LONGEST: usize = 2000;
const QUICK_REPLIES: usize = 13;
/// Characters of one; Messenger cuts what is longer.
const QUICK_REPLY: usize = 20;

/// A text with answers: as quick replies, or below it where those do not hold them.
fn asked(said: &str, choices: &[String]) -> Value {
    let fit = choices.len() <= QUICK_REPLIES && choices.iter().all(|it| it.chars().count() <= QUICK_REPLY);
    if !fit {
        return json!({ "text": format!("{said}\n\n{}", choices.join("\n")) });
    }
    let reply = |title: &String| json!({ "content_type": "text", "title": title, "payload": title });
    json!({ "text": said, "quick_replies": choices.iter().map(reply).collect::<Vec<_>>() })
}

/// What it carries of files. An attachment has no words; with some it goes as a link below them.
pub const FILES: &[FileRule] =
    &[carried(FileLook::Picture), carried(FileLook::Video), carried(FileLook::Sound), carried(FileLook::Other)];

const fn carried(look: FileLook) -> FileRule {
    FileRule { look, types: &[], most: 25 * MIB, words: 0, choices: QUICK_REPLIES }
}

fn file(file: &MediaFile, caption: &str, choices: &[String]) -> Value {
    let kind = match file.look() {
        _ if !caption.is_empty() => return asked(&file.as_link(caption), choices),
        FileLook::Picture => "image",
        FileLook::Video => "video",
        FileLook::Sound => "audio",
        FileLook::Other => "file",
    };
    let replies = asked("", choices);
    if !choices.is_empty() && replies.get("quick_replies").is_none() {
        return asked(&file.url, choices);
    }
    let mut message = json!({ "attachment": { "type": kind, "payload": { "url": file.url } } });
    if let Some(replies) = replies.get("quick_replies").filter(|_| !choices.is_empty()) {
        message["quick_replies"] = replies.clone();
    }
    message
}

impl Messenger {
    pub fn new(it: MessengerParts, caller: Arc<Caller>, clock: Clock) -> Messenger {
        Messenger { it, caller, clock }
    }

    fn address(&self, rest: &str) -> String {
        let MessengerParts { settings, api, .. } = &self.it;
        let version = if settings.api_version.is_empty() { VERSION } else { &settings.api_version };
        format!("{api}/{version}/{}{rest}", settings.page_id)
    }

    /// The body of a message's request.
    pub fn body(&self, envelope: &Envelope) -> Value {
        let mut message = match &envelope.content {
            Content::Choices { text, choices } => asked(text, choices),
            Content::Media { file: it, caption, choices } => file(it, caption, choices),
            // A template or a place is refused before it comes here.
            content @ (Content::Text(_) | Content::Place { .. } | Content::Template { .. }) => {
                json!({ "text": content.words().0 })
            }
        };
        message["metadata"] = json!(envelope.key.to_string());
        // Both are for the 24 hours after somebody wrote; which one it is says whether we were asked. What may be sent
        // later carries a tag, and no tag is for campaigns.
        let kind = match envelope.key {
            SendKey::Delivery(_) => "UPDATE",
            SendKey::Message(_) => "RESPONSE",
        };
        json!({ "recipient": { "id": envelope.to }, "messaging_type": kind, "message": message })
    }

    fn ask(&self, method: &str, url: String, body: Vec<u8>) -> HttpAsk {
        let token = format!("Bearer {}", self.it.credentials.get("access_token"));
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Accept", "application/json")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        HttpAsk { method: method.to_owned(), url, headers, body, ..HttpAsk::default() }
    }

    pub fn outcome(&self, answered: Result<HttpAnswer, Unanswered>, now: DateTime<Utc>) -> SendOutcome {
        outcome(answered, now, |said| said.text("/message_id"))
    }

    /// What an entry of a call says, which is about our page.
    fn events(&self, entry: &Value) -> Vec<Event> {
        let told = entry["messaging"].as_array().into_iter().flatten();
        let mut events: Vec<Event> = told.flat_map(|it| self.told(it)).collect();
        // Another app has the conversation: nothing in it is said to us.
        let passed = entry["standby"].as_array().into_iter().flatten();
        events.extend(passed.map(|_| Event::Other("in a conversation that another app holds".to_owned())));
        let changes = entry["changes"].as_array().into_iter().flatten();
        events.extend(changes.map(|it| Event::Other(format!("the page's {}", text(it, "/field").unwrap_or_default()))));
        events
    }

    fn told(&self, it: &Value) -> Vec<Event> {
        let from = text(it, "/sender/id");
        if let Some(message) = it.get("message").filter(|it| it.is_object()) {
            let is_ours = message["is_echo"] == true || from.as_deref() == Some(self.it.settings.page_id.as_str());
            return vec![if is_ours { self.echo(it, message) } else { said(it, message) }];
        }
        if let Some(postback) = it.get("postback").filter(|it| it.is_object()) {
            return vec![pressed(it, postback)];
        }
        for (name, status) in [("delivery", ReceiptStatus::Delivered), ("read", ReceiptStatus::Read)] {
            if let (Some(about), Some(from)) = (it.get(name).filter(|it| it.is_object()), &from) {
                return receipts(it, about, from, status);
            }
        }
        // Somebody stops what a page sends of its own accord, or wants it again.
        let wants = match text(it, "/optin/notification_messages_status").as_deref() {
            Some("STOP_NOTIFICATIONS") => Some(false),
            Some("RESUME_NOTIFICATIONS") => Some(true),
            _ => None,
        };
        if let (Some(wants), Some(from)) = (wants, from) {
            return vec![Event::Consent(ConsentNews { from, wants, id: None })];
        }
        // Reactions, opt-ins, referrals, who holds the conversation: nothing in them was written.
        let whom = ["sender", "recipient", "timestamp"];
        let names = it.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let what: Vec<&str> = names.filter(|name| !whom.contains(name)).collect();
        vec![Event::Other(what.join(", "))]
    }

    /// What the page has sent: by us, by another app, or by a colleague in the page's inbox.
    fn echo(&self, it: &Value, message: &Value) -> Event {
        let (mid, name) = (text(message, "/mid"), text(message, "/metadata"));
        let other = Event::Other("what the page wrote otherwise".to_owned());
        let app = text(message, "/app_id");
        let is_ours = app.is_none_or(|app| app == self.it.settings.app_id);
        let (Some(name), Some(mid), true) = (name, mid, is_ours) else { return other };
        let about = match SendKey::parse(&name) {
            Some(ours) => StatusKey::Named { ours, theirs: mid.clone() },
            None => StatusKey::Strange(name),
        };
        Event::Receipt(Receipt {
            reference: Some(mid),
            to: text(it, "/recipient/id"),
            at: at(it),
            ..Receipt::about(about, ReceiptStatus::Sent)
        })
    }
}

fn at(it: &Value) -> Option<DateTime<Utc>> {
    text(it, "/timestamp").and_then(|at| instant(&at, chrono_tz::UTC))
}

/// What a person wrote.
fn said(it: &Value, message: &Value) -> Event {
    let (Some(id), Some(from)) = (text(message, "/mid"), text(it, "/sender/id")) else {
        return Event::Other("a message without a name or a sender".to_owned());
    };
    let words = text(message, "/text").unwrap_or_default();
    let choice = text(message, "/quick_reply/payload").map(|id| ChoiceHeard { id, title: words.clone() });
    let is_sticker = message.get("sticker_id").is_some_and(|it| !it.is_null());
    let attachments = message["attachments"].as_array().into_iter().flatten();
    let media: Vec<MediaHeard> = attachments.map(|it| attachment(it, is_sticker)).collect();
    if words.is_empty() && media.is_empty() {
        // Taken back, or something that Messenger shows and does not hand on.
        return Event::Other(format!("nothing that can be read, in {id}"));
    }
    Event::Inbound(Inbound {
        id,
        from,
        to: text(it, "/recipient/id"),
        text: words,
        at: at(it),
        media,
        choice,
        reply_to: text(message, "/reply_to/mid"),
        ..Inbound::default()
    })
}

fn attachment(it: &Value, is_sticker: bool) -> MediaHeard {
    let kind = text(it, "/type").unwrap_or_default();
    let first = |pointers: &[&str]| pointers.iter().find_map(|pointer| text(it, pointer)).unwrap_or_default();
    let place = text(it, "/payload/coordinates/lat").zip(text(it, "/payload/coordinates/long"));
    let url = match place {
        Some((lat, long)) => format!("geo:{lat},{long}"),
        None => first(&["/payload/url", "/url", "/payload/elements/0/url", "/payload/elements/0/image_url"]),
    };
    let about = match is_sticker {
        true => "sticker".to_owned(),
        false => first(&["/title", "/payload/title", "/name", "/payload/name", "/payload/elements/0/title"]),
    };
    MediaHeard { kind, url, about, ..MediaHeard::default() }
}

/// A button that a person pressed: its title is what they said.
fn pressed(it: &Value, postback: &Value) -> Event {
    let (payload, title) = (text(postback, "/payload"), text(postback, "/title"));
    let (Some(from), Some(chosen)) = (text(it, "/sender/id"), payload.clone().or_else(|| title.clone())) else {
        return Event::Other("a button of nobody".to_owned());
    };
    let words = title.unwrap_or_else(|| chosen.clone());
    // The same button at the same instant is the same press.
    let pressed_at = text(it, "/timestamp").unwrap_or_default();
    let id = text(postback, "/mid").unwrap_or_else(|| {
        let digest = Sha256::digest(format!("{from}\n{pressed_at}\n{chosen}"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    });
    Event::Inbound(Inbound {
        id,
        from,
        to: text(it, "/recipient/id"),
        text: words.clone(),
        at: at(it),
        choice: Some(ChoiceHeard { id: chosen, title: words }),
        ..Inbound::default()
    })
}

/// What arrived at somebody, or was looked at: by names, where some are told, and by the instant up to which everything has.
fn receipts(it: &Value, about: &Value, from: &str, status: ReceiptStatus) -> Vec<Event> {
    let to = from.to_owned();
    let receipt = |key| Event::Receipt(Receipt { to: Some(to.clone()), at: at(it), ..Receipt::about(key, status) });
    let mids = about["mids"].as_array().into_iter().flatten().chain(about.get("mid"));
    let named = mids.filter_map(|mid| mid.as_str());
    let mut events: Vec<Event> =
        named.map(|mid| receipt(StatusKey::TheirsTo { theirs: mid.to_owned(), to: to.clone() })).collect();
    let until = text(about, "/watermark").and_then(|at| instant(&at, chrono_tz::UTC));
    events.extend(until.map(|until| receipt(StatusKey::UpTo { to: to.clone(), until })));
    events
}

#[async_trait]
impl Provider for Messenger {
    fn able(&self) -> Able {
        Able { choices: true, files: FILES, tells_by_reference: true, longest: Some(LONGEST), ..Able::TEXT }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let ask = self.ask("POST", self.address("/messages"), self.body(envelope).to_string().into_bytes());
        let answered = self.caller.ask(&ask, gate).await?;
        Some(self.outcome(answered, self.clock.now()))
    }

    async fn fetch(&self, heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
        let is_file = ["image", "video", "audio", "file", "sticker"].contains(&heard.kind.as_str());
        if is_file { download_open(&self.caller, heard).await } else { None }
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged> {
        if let Some(asked) = subscription(&self.it.credentials, call) {
            return asked.map(|answer| Heard { answer: Some(answer), ..Heard::default() });
        }
        if !is_genuine(&self.it.credentials, call) {
            return Err(Forged::BadSignature);
        }
        let answer = Some(CallAnswer { content_type: "text/plain", body: String::new() });
        let mut heard = Heard { answer, ..Heard::default() };
        let said = Said::of_text("application/json", &String::from_utf8_lossy(call.body)).unwrap_or_default();
        if said.text("/object").as_deref() != Some("page") {
            let of = said.text("/object").unwrap_or_default();
            heard.events.push(Event::Other(format!("a call about “{of}”, and not about a page")));
            return Ok(heard);
        }
        for entry in said.get("/entry").and_then(Value::as_array).into_iter().flatten() {
            match text(entry, "/id") {
                Some(page) if page != self.it.settings.page_id => {
                    if !heard.elsewhere.contains(&page) {
                        heard.elsewhere.push(page);
                    }
                }
                _ => heard.events.extend(self.events(entry)),
            }
        }
        Ok(heard)
    }

    async fn check(&self) -> Option<Result<String, String>> {
        let answered = self.caller.ask(&self.ask("GET", self.address("?fields=name"), Vec::new()), &|| true).await?;
        Some(match answered {
            Ok(answer) => {
                let said = answer.said().unwrap_or_default();
                let get = |pointer: &str| said.text(pointer).unwrap_or_default();
                match answer.status {
                    200 => Ok(format!("The page is “{}”.", get("/name"))),
                    status => Err(format!("Meta answered {status}: {}", get("/error/message"))),
                }
            }
            Err(unanswered) => Err(unanswered.words()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MessageId, RunId};
    use crate::providers::key::{DeliveryKey, MessageKey};

    fn messenger() -> Messenger {
        let settings = MessengerSettings { page_id: "111".into(), app_id: "909".into(), ..Default::default() };
        let parts = MessengerParts::new(settings, Credentials::default());
        Messenger::new(parts, Arc::new(Caller::new(Vec::new())), Clock::default())
    }

    fn body(key: impl Into<SendKey>, content: Content) -> Value {
        let (key, to) = (key.into(), "7000000000000001".to_owned());
        messenger().body(&Envelope { key, to, content, expires_at: DateTime::UNIX_EPOCH })
    }

    fn reply(content: Content) -> Value {
        body(MessageKey { id: MessageId(7), attempt: 1 }, content)
    }

    fn heard(what: Value) -> Vec<Event> {
        let mut it = json!({ "sender": { "id": "7" }, "recipient": { "id": "111" }, "timestamp": 1795860000000i64 });
        it.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        messenger().events(&json!({ "messaging": [it] }))
    }

    fn message(what: Value) -> Inbound {
        match heard(what).remove(0) {
            Event::Inbound(it) => it,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_quick_replies_or_stand_below_and_our_name_goes_with_it() {
        let choices = |n: usize, longest: usize| {
            let choices = (0..n).map(|n| "abcdefghijklmno".get(n..=n).unwrap().repeat(longest)).collect();
            reply(Content::Choices { text: "Which?".into(), choices })
        };
        assert_eq!(choices(13, 20)["message"]["quick_replies"].as_array().unwrap().len(), 13);
        for (n, longest) in [(14, 1), (2, 21)] {
            let below = choices(n, longest);
            assert!(below["message"].get("quick_replies").is_none());
            assert!(below["message"]["text"].as_str().unwrap().starts_with("Which?\n\na"));
        }
        let said = reply(Content::Text("Hello".into()));
        let message = json!({ "text": "Hello", "metadata": "m7-1" });
        let recipient = json!({ "id": "7000000000000001" });
        assert_eq!(said, json!({ "recipient": recipient, "messaging_type": "RESPONSE", "message": message }));
        let campaign = body(DeliveryKey { run: RunId(4), seq: 2, attempt: 1 }, Content::Text("Offer".into()));
        assert_eq!(
            (&campaign["messaging_type"], &campaign["message"]["metadata"]),
            (&json!("UPDATE"), &json!("4-2-1"))
        );
    }

    #[test]
    fn files_go_as_what_they_are_and_with_words_as_a_link() {
        let file = |content_type: &str, caption: &str, choices: &[&str]| {
            let (url, name) = ("https://a.example/b".to_owned(), "b".to_owned());
            let file = MediaFile { url, name, content_type: content_type.into(), size: 1 };
            let choices = choices.iter().map(|&it| it.to_owned()).collect();
            reply(Content::Media { file, caption: caption.into(), choices })["message"].clone()
        };
        let of = |content_type: &str| file(content_type, "", &[])["attachment"]["type"].clone();
        let all = ["image/png", "video/mp4", "audio/mpeg", "application/pdf"].map(of);
        assert_eq!(all, ["image", "video", "audio", "file"]);
        assert_eq!(file("image/png", "Look", &[])["text"], "Look\nhttps://a.example/b");
        let asked = file("image/png", "", &["Yes"]);
        assert_eq!(
            (&asked["attachment"]["type"], &asked["quick_replies"][0]["title"]),
            (&json!("image"), &json!("Yes"))
        );
    }

    #[test]
    fn attachments_are_kept_as_what_they_are() {
        let media = |it: Value| message(json!({ "message": { "mid": "m", "attachments": [it] } })).media.remove(0);
        let place = media(
            json!({ "type": "location", "title": "Home", "payload": { "coordinates": { "lat": 48.2, "long": 16.37 } } }),
        );
        assert_eq!((place.url.as_str(), place.about.as_str()), ("geo:48.2,16.37", "Home"));
        let link = media(json!({ "type": "fallback", "title": "News", "url": "https://a.example", "payload": null }));
        assert_eq!(
            (link.kind.as_str(), link.url.as_str(), link.about.as_str()),
            ("fallback", "https://a.example", "News")
        );
        let form =
            json!({ "type": "template", "payload": { "template_type": "generic", "elements": [{ "title": "Hat" }] } });
        assert_eq!(media(form).about, "Hat");
        let gone = heard(json!({ "message": { "mid": "m", "is_deleted": true } }));
        assert!(matches!(gone.as_slice(), [Event::Other(_)]));
    }

    #[test]
    fn a_button_without_a_name_is_the_same_when_it_is_told_again() {
        let press = |payload: &str| message(json!({ "postback": { "title": "Begin", "payload": payload } }));
        assert_eq!(press("A"), press("A"));
        assert_ne!(press("A").id, press("B").id);
        assert_eq!((press("A").text.as_str(), press("A").choice.unwrap().id.as_str()), ("Begin", "A"));
    }

    #[test]
    fn only_our_own_echo_is_news_of_a_send() {
        let echo = |what: Value| {
            let mut it = json!({ "mid": "m_1", "is_echo": true, "text": "Hi" });
            it.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            heard(json!({ "message": it })).remove(0)
        };
        let key = SendKey::parse("12-7-1").unwrap();
        let Event::Receipt(ours) = echo(json!({ "app_id": 909, "metadata": "12-7-1" })) else { panic!("no receipt") };
        assert_eq!(ours.about, StatusKey::Named { ours: key, theirs: "m_1".into() });
        assert_eq!((ours.status, ours.to.as_deref()), (ReceiptStatus::Sent, Some("111")));
        for others in [json!({ "app_id": 910, "metadata": "12-7-1" }), json!({ "app_id": 909 }), json!({})] {
            assert!(matches!(echo(others.clone()), Event::Other(_)), "{others}");
        }
    }

    #[test]
    fn what_arrived_is_told_by_names_and_up_to_an_instant_as_a_number_or_a_text() {
        let until = DateTime::from_timestamp_millis(1_795_860_000_000).unwrap();
        let up_to = StatusKey::UpTo { to: "7".into(), until };
        for watermark in [json!(1795860000000i64), json!("1795860000000")] {
            let events = heard(json!({ "delivery": { "mids": ["m_a"], "watermark": watermark } }));
            let about: Vec<_> = events
                .into_iter()
                .map(|event| match event {
                    Event::Receipt(it) => it.about,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(about, [StatusKey::TheirsTo { theirs: "m_a".into(), to: "7".into() }, up_to.clone()]);
        }
        let other = heard(json!({ "reaction": { "mid": "m", "emoji": "x" } }));
        assert_eq!(other, [Event::Other("reaction".into())]);
        assert_eq!(heard(json!({ "optin": { "ref": "x" } })), [Event::Other("optin".into())]);
        let stops = json!({ "optin": { "notification_messages_status": "STOP_NOTIFICATIONS" } });
        assert_eq!(heard(stops), [Event::Consent(ConsentNews { from: "7".into(), wants: false, id: None })]);
    }
}
