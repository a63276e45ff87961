//! WhatsApp through Meta's Cloud API.
//!
//! One address serves every number of an app: a call that speaks of another number than this channel's is read by that
//! number's channel as well, with the secret of its own app. Our name for a send comes back in every status of it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GRAPH, VERSION, is_genuine, is_id, means, outcome, subscription, templates, text, version_of};
use crate::clock::Clock;
use crate::providers::answer::HttpAnswer;
use crate::providers::caller::{Caller, HttpAsk, Unanswered};
use crate::providers::class::AnswerMeans;
use crate::providers::credentials::Credentials;
use crate::providers::download::download;
use crate::providers::form::{Fields, Mistakes, SettingsForm};
use crate::providers::http::calls::about;
use crate::providers::http::template::percent;
use crate::providers::media::{FetchedMedia, FileRule, MIB, Unfetched};
use crate::providers::said::{Said, instant};
use crate::providers::{
    Able, Call, CallAnswer, ChoiceHeard, ConsentNews, Envelope, Event, Forged, Gate, Heard, Inbound, Kind, MediaHeard,
    Provider, ProviderName, Receipt, ReceiptStatus, RejectClass, SendOutcome,
};
use crate::wording::{Approved, Content, FileLook, MapPlace, MediaFile};

/// What a channel keeps, its credentials apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WhatsappSettings {
    /// Digits; not the number itself.
    pub phone_number_id: String,
    /// Of the business account; templates belong to it.
    pub waba_id: String,
    /// `v25.0`
    pub api_version: String,
    /// How many people its account may write to first within a day, where somebody says so.
    pub new_people: Option<u32>,
}

/// How many people an account may write to first within a day, by the name of its tier; `None`: without a limit.
///
/// An error for a name that is none.
fn tier(name: &str) -> Result<Option<i32>, ()> {
    let size = name.strip_prefix("TIER_").ok_or(())?;
    if size == "UNLIMITED" {
        return Ok(None);
    }
    let (digits, thousands) = size.strip_suffix('K').map_or((size, 1), |digits| (digits, 1_000));
    let n: i32 = digits.parse().map_err(drop)?;
    n.checked_mul(thousands).filter(|n| 0 < *n).map(Some).ok_or(())
}

impl SettingsForm for WhatsappSettings {
    fn fields(&self) -> Fields {
        let version = if self.api_version.is_empty() { VERSION } else { &self.api_version };
        Fields::from([
            ("phone_number_id", self.phone_number_id.clone()),
            ("waba_id", self.waba_id.clone()),
            ("api_version", version.to_owned()),
            ("new_people", self.new_people.map(|n| n.to_string()).unwrap_or_default()),
        ])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let text = |name: &str| fields.get(name).trim().to_owned();
        let (phone_number_id, waba_id) = (text("phone_number_id"), text("waba_id"));
        let api_version = version_of(fields, mistakes);
        if !is_id(&phone_number_id) {
            mistakes.add("phone_number_id", "Digits only, as under API Setup; it is not the phone number.");
        }
        if !waba_id.is_empty() && !is_id(&waba_id) {
            mistakes.add("waba_id", "Digits only, as under API Setup.");
        }
        let new_people = match text("new_people").as_str() {
            "" => None,
            typed => match typed.parse::<u32>() {
                Ok(n) if 0 < n => Some(n),
                _ => {
                    mistakes.add("new_people", "A whole number above 0, or nothing for what Meta says.");
                    None
                }
            },
        };
        WhatsappSettings { phone_number_id, waba_id, api_version, new_people }
    }
}

/// What a channel of WhatsApp is made of.
pub struct WhatsappParts {
    pub settings: WhatsappSettings,
    pub credentials: Credentials,
    /// [`GRAPH`], or somebody who plays it.
    pub api: String,
}

impl WhatsappParts {
    pub fn new(settings: WhatsappSettings, credentials: Credentials) -> WhatsappParts {
        WhatsappParts { settings, credentials, api: GRAPH.to_owned() }
    }
}

pub struct Whatsapp {
    it: WhatsappParts,
    caller: Arc<Caller>,
    clock: Clock,
}

/// Characters at most, from Meta's own description of the API.
pub const LONGEST: usize = 4096;
const LONGEST_ASKED: usize = 1024;
const BUTTONS: usize = 3;
const BUTTON: usize = 20;
const ROWS: usize = 10;
const ROW: usize = 24;

/// A text with answers: as buttons, as a list, or below it where neither holds them.
fn asked(said: &str, choices: &[String]) -> Value {
    let fit = |n: usize, longest: usize| {
        choices.len() <= n
            && choices.iter().all(|it| it.chars().count() <= longest)
            && said.chars().count() <= LONGEST_ASKED
    };
    if fit(BUTTONS, BUTTON) {
        let button = |title: &String| json!({ "type": "reply", "reply": { "id": title, "title": title } });
        let buttons: Vec<Value> = choices.iter().map(button).collect();
        let interactive = json!({ "type": "button", "body": { "text": said }, "action": { "buttons": buttons } });
        return json!({ "type": "interactive", "interactive": interactive });
    }
    if fit(ROWS, ROW) {
        let rows: Vec<Value> = choices.iter().map(|title| json!({ "id": title, "title": title })).collect();
        let action = json!({ "button": "Choose", "sections": [{ "rows": rows }] });
        let interactive = json!({ "type": "list", "body": { "text": said }, "action": action });
        return json!({ "type": "interactive", "interactive": interactive });
    }
    plain(&format!("{said}\n\n{}", choices.join("\n")))
}

fn plain(said: &str) -> Value {
    json!({ "type": "text", "text": { "body": said, "preview_url": false } })
}

/// What it carries of files, from Meta's own table of supported media types.
pub const FILES: &[FileRule] = &[
    FileRule {
        look: FileLook::Picture,
        types: &["image/jpeg", "image/png"],
        most: 5 * MIB,
        words: LONGEST_ASKED,
        choices: BUTTONS,
    },
    FileRule {
        look: FileLook::Video,
        types: &["video/mp4", "video/3gpp"],
        most: 16 * MIB,
        words: LONGEST_ASKED,
        choices: BUTTONS,
    },
    FileRule {
        look: FileLook::Sound,
        types: &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"],
        most: 16 * MIB,
        words: 0,
        choices: 0,
    },
    FileRule { look: FileLook::Other, types: &[], most: 100 * MIB, words: LONGEST_ASKED, choices: BUTTONS },
];

/// A file, with words below it and answers to choose from where there are some.
fn file(file: &MediaFile, caption: &str, choices: &[String]) -> Value {
    let kind = match file.look() {
        FileLook::Picture => "image",
        FileLook::Video => "video",
        FileLook::Sound => "audio",
        FileLook::Other => "document",
    };
    let mut it = json!({ "link": file.url });
    if kind == "document" {
        it["filename"] = json!(file.name);
    }
    if !choices.is_empty() {
        let mut message = asked(caption, choices);
        // A list and a text have no place for it.
        if message["interactive"]["type"] != "button" {
            return asked(&file.as_link(caption), choices);
        }
        message["interactive"]["header"] = json!({ "type": kind, kind: it });
        return message;
    }
    if !caption.is_empty() {
        it["caption"] = json!(caption);
    }
    json!({ "type": kind, kind: it })
}

fn place(place: MapPlace, words: &str) -> Value {
    // Its own description of the API wants them as texts.
    let mut it = json!({ "latitude": place.latitude.to_string(), "longitude": place.longitude.to_string() });
    if !words.is_empty() {
        it["name"] = json!(words);
    }
    json!({ "type": "location", "location": it })
}

impl Whatsapp {
    pub fn new(it: WhatsappParts, caller: Arc<Caller>, clock: Clock) -> Whatsapp {
        Whatsapp { it, caller, clock }
    }

    fn address(&self, rest: &str) -> String {
        self.address_of(&self.it.settings.phone_number_id, rest)
    }

    fn address_of(&self, object: &str, rest: &str) -> String {
        let WhatsappParts { settings, api, .. } = &self.it;
        let version = if settings.api_version.is_empty() { VERSION } else { &settings.api_version };
        format!("{api}/{version}/{object}{rest}")
    }

    /// The templates of the business account, page after page.
    async fn list_templates(&self) -> Result<Vec<Approved>, String> {
        let account = &self.it.settings.waba_id;
        if account.is_empty() {
            return Err("the channel says no business account id".to_owned());
        }
        let (mut known, mut after): (Vec<Approved>, Option<String>) = (Vec::new(), None);
        for _ in 0..templates::MOST_PAGES {
            let fields = "name,language,status,category,quality_score,components,parameter_format";
            let mut rest = format!("/message_templates?limit={}&fields={fields}", templates::A_PAGE);
            if let Some(cursor) = &after {
                rest.push_str(&format!("&after={}", percent(cursor)));
            }
            let ask = self.ask("GET", self.address_of(account, &rest), Vec::new());
            let answered = self.caller.ask(&ask, &|| true).await.ok_or("nobody was asked")?;
            let answer = answered.map_err(Unanswered::words)?;
            let said = answer.said().unwrap_or_default();
            if answer.status != 200 {
                let why = said.text("/error/message").unwrap_or_default();
                return Err(format!("Meta answered {}: {why}", answer.status));
            }
            let (them, more) = templates::page(said.get("").ok_or("Meta answered with nothing")?);
            known.extend(them);
            after = more;
            if after.is_none() {
                return Ok(known);
            }
        }
        Err("the list of templates does not end".to_owned())
    }

    /// How many people the business may write to first within a day. `None`: Meta does not say.
    async fn ask_for_tier(&self) -> Option<Option<i32>> {
        // The newer field is the business's, the older one was the number's. Who is asked for one that there is not
        // answers with nothing else either.
        for field in ["whatsapp_business_manager_messaging_limit", "messaging_limit_tier"] {
            let ask = self.ask("GET", self.address(&format!("?fields={field}")), Vec::new());
            let Some(Ok(answer)) = self.caller.ask(&ask, &|| true).await else { continue };
            let said = answer.said().filter(|_| answer.status == 200);
            if let Some(limit) = said.and_then(|it| it.text(&format!("/{field}"))).and_then(|it| tier(&it).ok()) {
                return Some(limit);
            }
        }
        None
    }

    /// The body of a message's request.
    pub fn body(&self, envelope: &Envelope) -> Value {
        let mut body = match &envelope.content {
            Content::Text(said) => plain(said),
            Content::Choices { text, choices } => asked(text, choices),
            Content::Media { file: it, caption, choices } => file(it, caption, choices),
            Content::Place { place: it, words } => place(*it, words),
            Content::Template { filled, .. } => {
                json!({ "type": "template", "template": templates::written(filled) })
            }
        };
        body["messaging_product"] = json!("whatsapp");
        body["recipient_type"] = json!("individual");
        // Who has no number we know is named by an id of their own.
        let is_number = envelope.to.bytes().all(|byte| byte.is_ascii_digit());
        body[if is_number { "to" } else { "recipient" }] = json!(envelope.to);
        body["biz_opaque_callback_data"] = json!(envelope.key.to_string());
        body
    }

    fn ask(&self, method: &str, url: String, body: Vec<u8>) -> HttpAsk {
        let token = format!("Bearer {}", self.it.credentials.get("access_token"));
        let headers =
            [("Authorization", token.as_str()), ("Content-Type", "application/json"), ("Accept", "application/json")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        HttpAsk { method: method.to_owned(), url, headers, body, ..HttpAsk::default() }
    }

    pub fn outcome(&self, answered: Result<HttpAnswer, Unanswered>, now: DateTime<Utc>) -> SendOutcome {
        outcome(answered, now, |said| said.text("/messages/0/id"))
    }
}

/// What an entry of a call says, about which of our numbers.
struct Told<'a> {
    to: Option<String>,
    /// What people are called there, by their id.
    names: HashMap<String, String>,
    value: &'a Value,
}

impl Told<'_> {
    fn message(&self, it: &Value) -> Option<Event> {
        let kind = text(it, "/type").unwrap_or_default();
        let from = text(it, "/from").or_else(|| text(it, "/from_user_id"));
        let (Some(id), Some(from)) = (text(it, "/id"), from) else { return None };
        // Of these nothing was said to us.
        let unsaid = ["reaction", "unsupported", "system", "edit", "revoke", "unknown", "ephemeral"];
        if unsaid.contains(&kind.as_str()) || it.get("group_id").is_some() {
            return Some(Event::Other(format!("{kind} of {id}")));
        }
        let mut inbound = Inbound {
            id,
            name: self.names.get(&from).cloned(),
            from,
            to: self.to.clone(),
            at: text(it, "/timestamp").and_then(|at| instant(&at, chrono_tz::UTC)),
            reply_to: text(it, "/context/id"),
            ..Inbound::default()
        };
        let chosen = |id: Option<String>, title: Option<String>| {
            let title = title.unwrap_or_default();
            ChoiceHeard { id: id.unwrap_or_else(|| title.clone()), title }
        };
        match kind.as_str() {
            "text" => inbound.text = text(it, "/text/body").unwrap_or_default(),
            "button" => {
                let choice = chosen(text(it, "/button/payload"), text(it, "/button/text"));
                (inbound.text, inbound.choice) = (choice.title.clone(), Some(choice));
            }
            "interactive" => match text(it, "/interactive/type").as_deref() {
                Some(reply @ ("button_reply" | "list_reply")) => {
                    let at = |field: &str| text(it, &format!("/interactive/{reply}/{field}"));
                    let choice = chosen(at("id"), at("title"));
                    (inbound.text, inbound.choice) = (choice.title.clone(), Some(choice));
                }
                _ => {
                    let filled_in = text(it, "/interactive/nfm_reply/response_json").unwrap_or_default();
                    inbound.form = Some(serde_json::from_str(&filled_in).unwrap_or(Value::String(filled_in)));
                }
            },
            "location" => {
                let at = |field: &str| text(it, &format!("/location/{field}")).unwrap_or_default();
                let url = format!("geo:{},{}", at("latitude"), at("longitude"));
                inbound.media.push(MediaHeard { kind, url, about: at("name"), ..MediaHeard::default() });
            }
            "contacts" => {
                for card in it["contacts"].as_array().into_iter().flatten() {
                    let name = text(card, "/name/formatted_name").unwrap_or_default();
                    let phone = text(card, "/phones/0/phone").unwrap_or_default();
                    let about = format!("{name}, {phone}");
                    inbound.media.push(MediaHeard { kind: "contact".to_owned(), about, ..MediaHeard::default() });
                }
            }
            // A picture, a voice, a file; or something that is newer than we are.
            _ => {
                let at = |field: &str| text(it, &format!("/{kind}/{field}"));
                inbound.text = at("caption").unwrap_or_default();
                inbound.media.push(MediaHeard {
                    id: at("id"),
                    content_type: at("mime_type").unwrap_or_default(),
                    about: at("filename").unwrap_or_default(),
                    kind,
                    ..MediaHeard::default()
                });
            }
        }
        Some(Event::Inbound(inbound))
    }

    fn status(&self, it: &Value) -> Vec<Event> {
        let id = text(it, "/id");
        let status = match text(it, "/status").as_deref() {
            Some("sent") => ReceiptStatus::Sent,
            Some("delivered") => ReceiptStatus::Delivered,
            Some("read" | "played") => ReceiptStatus::Read,
            Some("failed") => ReceiptStatus::Failed,
            other => return vec![Event::Other(format!("the status {}", other.unwrap_or_default()))],
        };
        let Some(about) = about(text(it, "/biz_opaque_callback_data"), id.clone()) else { return Vec::new() };
        let to = text(it, "/recipient_id").or_else(|| text(it, "/recipient_user_id"));
        let code = text(it, "/errors/0/code");
        let details = text(it, "/errors/0/error_data/details").unwrap_or_default();
        let meant = code.as_deref().and_then(|code| means(code.parse().ok()?, None, &details));
        let failed = status == ReceiptStatus::Failed;
        let class = meant.and_then(AnswerMeans::class).unwrap_or(RejectClass::Other);
        let receipt = Receipt {
            class: failed.then_some(class),
            code,
            reference: id.clone(),
            to: to.clone(),
            at: text(it, "/timestamp").and_then(|at| instant(&at, chrono_tz::UTC)),
            ..Receipt::about(about, status)
        };
        let mut events = vec![Event::Receipt(receipt)];
        if let (true, RejectClass::OptedOut, Some(from)) = (failed, class, to) {
            events.push(Event::Consent(ConsentNews { from, wants: false, id }));
        }
        events
    }

    fn preference(&self, it: &Value) -> Option<Event> {
        let from = text(it, "/wa_id").or_else(|| text(it, "/user_id"))?;
        let wants = match text(it, "/value")?.as_str() {
            "stop" => false,
            "resume" => true,
            _ => return None,
        };
        Some(Event::Consent(ConsentNews { from, wants, id: None }))
    }

    fn events(&self) -> Vec<Event> {
        let list = |name: &str| self.value[name].as_array().into_iter().flatten();
        let mut events: Vec<Event> = list("statuses").flat_map(|it| self.status(it)).collect();
        events.extend(list("user_preferences").filter_map(|it| self.preference(it)));
        events.extend(list("messages").filter_map(|it| self.message(it)));
        events
    }
}

/// What a call says, each part with the id of the number that it is about.
fn read(said: &Value) -> Vec<(Option<String>, Event)> {
    let mut events = Vec::new();
    for change in said["entry"].as_array().into_iter().flatten().flat_map(|it| it["changes"].as_array()).flatten() {
        let (value, field) = (&change["value"], text(change, "/field").unwrap_or_default());
        let number = text(value, "/metadata/phone_number_id");
        if !["messages", "user_preferences"].contains(&field.as_str()) {
            // Of the account, or of what a colleague wrote in the app.
            events.push((number, Event::Other(format!("{field}: {}", text(value, "/event").unwrap_or_default()))));
            continue;
        }
        let person =
            |it: &Value| Some((text(it, "/wa_id").or_else(|| text(it, "/user_id"))?, text(it, "/profile/name")?));
        let names = value["contacts"].as_array().into_iter().flatten().filter_map(person).collect();
        let told = Told { to: text(value, "/metadata/display_phone_number"), names, value };
        events.extend(told.events().into_iter().map(|event| (number.clone(), event)));
    }
    events
}

/// Whether a call says that something became of a template: its status, quality, category or words.
fn is_of_a_template(event: &Event) -> bool {
    matches!(event, Event::Other(what) if what.starts_with("message_template"))
}

#[async_trait]
impl Provider for Whatsapp {
    fn able(&self) -> Able {
        Able {
            choices: true,
            files: FILES,
            places: ProviderName::Whatsapp.places(Kind::Whatsapp),
            templates: true,
            tells_by_reference: true,
            longest: Some(LONGEST),
            ..Able::TEXT
        }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let ask = self.ask("POST", self.address("/messages"), self.body(envelope).to_string().into_bytes());
        let answered = self.caller.ask(&ask, gate).await?;
        Some(self.outcome(answered, self.clock.now()))
    }

    /// Its id leads to an address that is good for five minutes, and to nobody else.
    async fn fetch(&self, heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
        let id = heard.id.as_deref()?;
        let ask = self.ask("GET", self.address_of(&percent(id), ""), Vec::new());
        let answer = match self.caller.ask(&ask, &|| true).await? {
            Ok(answer) => answer,
            Err(unanswered) => return Some(Err(Unfetched::Later(unanswered.words()))),
        };
        let url = answer.said().and_then(|said| said.text("/url"));
        let Some(url) = url.filter(|_| answer.status == 200) else {
            let why = format!("HTTP {}", answer.status);
            return Some(Err(if answer.status == 404 { Unfetched::Never(why) } else { Unfetched::Later(why) }));
        };
        let proof = ask.headers.into_iter().filter(|(name, _)| name == "Authorization").collect::<Vec<_>>();
        Some(download(&self.caller, &url, &proof).await)
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged> {
        if let Some(asked) = subscription(&self.it.credentials, call) {
            return asked.map(|answer| Heard { answer: Some(answer), ..Heard::default() });
        }
        if !is_genuine(&self.it.credentials, call) {
            return Err(Forged::BadSignature);
        }
        let said = Said::of_text("application/json", &String::from_utf8_lossy(call.body)).unwrap_or_default();
        let ours = Some(self.it.settings.phone_number_id.as_str());
        let mut heard = Heard::default();
        for (number, event) in said.get("").map(read).unwrap_or_default() {
            heard.templates_changed |= is_of_a_template(&event);
            match number {
                Some(number) if Some(number.as_str()) != ours => {
                    if !heard.elsewhere.contains(&number) {
                        heard.elsewhere.push(number);
                    }
                }
                _ => heard.events.push(event),
            }
        }
        heard.answer = Some(CallAnswer { content_type: "text/plain", body: String::new() });
        Ok(heard)
    }

    async fn templates(&self) -> Option<Result<Vec<Approved>, String>> {
        Some(self.list_templates().await)
    }

    async fn new_people(&self) -> Option<Option<i32>> {
        self.ask_for_tier().await
    }

    async fn check(&self) -> Option<Result<String, String>> {
        let fields = "?fields=verified_name,display_phone_number,quality_rating";
        let answered = self.caller.ask(&self.ask("GET", self.address(fields), Vec::new()), &|| true).await?;
        Some(match answered {
            Ok(answer) => {
                let said = answer.said().unwrap_or_default();
                let get = |pointer: &str| said.text(pointer).unwrap_or_default();
                match answer.status {
                    200 => Ok(format!(
                        "{} is {}, with the quality {}.",
                        get("/display_phone_number"),
                        get("/verified_name"),
                        get("/quality_rating").to_lowercase()
                    )),
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
    use crate::ids::MessageId;
    use crate::providers::key::MessageKey;
    use crate::wording::FilledTemplate;

    fn body(to: &str, content: Content) -> Value {
        let parts = WhatsappParts::new(WhatsappSettings::default(), Credentials::default());
        let whatsapp = Whatsapp::new(parts, Arc::new(Caller::new(Vec::new())), Clock::default());
        let key = MessageKey { id: MessageId(7), attempt: 1 }.into();
        whatsapp.body(&Envelope { key, to: to.into(), content, expires_at: DateTime::UNIX_EPOCH })
    }

    #[test]
    fn a_tier_says_how_many_and_another_word_says_nothing() {
        let tiers = ["TIER_250", "TIER_2K", "TIER_100K", "TIER_UNLIMITED"].map(tier);
        assert_eq!(tiers, [Ok(Some(250)), Ok(Some(2_000)), Ok(Some(100_000)), Ok(None)]);
        assert_eq!(["TIER_NOT_SET", "", "TIER_0", "250", "TIER_9999999K"].map(tier), [Err(()); 5]);
    }

    #[test]
    fn answers_are_buttons_or_a_list_or_stand_below() {
        let choices = |n: usize, longest: usize| {
            let choices = (0..n).map(|n| format!("{n}").repeat(longest)).collect();
            body("353861234567", Content::Choices { text: "Which?".into(), choices })
        };
        assert_eq!(choices(3, 20)["interactive"]["type"], "button");
        assert_eq!(choices(3, 21)["interactive"]["type"], "list");
        assert_eq!(choices(10, 1)["interactive"]["action"]["sections"][0]["rows"].as_array().unwrap().len(), 10);
        assert_eq!(choices(11, 1)["type"], "text");
        assert!(choices(4, 25)["text"]["body"].as_str().unwrap().starts_with("Which?\n\n"));
    }

    #[test]
    fn our_name_goes_with_it_and_who_has_no_number_is_named_by_their_id() {
        let text = body("353861234567", Content::Text("Hello".into()));
        assert_eq!((&text["to"], &text["biz_opaque_callback_data"]), (&json!("353861234567"), &json!("m7-1")));
        assert!(text.get("recipient").is_none() && text["recipient_type"] == "individual");
        let text = body("US.13491208655302741918", Content::Text("Hello".into()));
        assert!(text.get("to").is_none() && text["recipient"] == "US.13491208655302741918");
        let filled = FilledTemplate { name: "offer".into(), language: "en".into(), ..FilledTemplate::default() };
        let template = body("1", Content::approved(filled));
        assert_eq!((&template["type"], &template["template"]["name"]), (&json!("template"), &json!("offer")));
        assert!(template["template"].get("components").is_none());
    }

    #[test]
    fn a_file_goes_as_what_it_is_with_its_words_and_answers() {
        let file = |content_type: &str, caption: &str, choices: &[&str]| {
            let (url, name) = ("https://a.example/b".to_owned(), "b.pdf".to_owned());
            let file = MediaFile { url, name, content_type: content_type.into(), size: 1 };
            let choices = choices.iter().map(|&it| it.to_owned()).collect();
            body("1", Content::Media { file, caption: caption.into(), choices })
        };
        assert_eq!(
            file("image/png", "Look", &[])["image"],
            json!({ "link": "https://a.example/b", "caption": "Look" })
        );
        assert_eq!(file("audio/mpeg", "", &[])["audio"], json!({ "link": "https://a.example/b" }));
        assert_eq!(file("application/pdf", "", &[])["document"]["filename"], "b.pdf");
        let asked = file("image/png", "Come?", &["Yes", "No"]);
        assert_eq!(asked["interactive"]["header"]["image"]["link"], "https://a.example/b");
        assert_eq!(asked["interactive"]["body"]["text"], "Come?");
        let long = file("image/png", "Come?", &["Yes, with pleasure, and soon"]);
        assert!(long["text"]["body"].as_str().unwrap().starts_with("Come?\nhttps://a.example/b\n\nYes, with"));
        let place = body("1", Content::Place { place: MapPlace::new(48.2, 16.37).unwrap(), words: "Our shop".into() });
        assert_eq!(place["location"], json!({ "latitude": "48.2", "longitude": "16.37", "name": "Our shop" }));
    }
}
