//! Every kind of message that we send, held against the providers' own descriptions of their APIs. Prism plays them: it
//! takes what a description allows and refuses what it does not.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bugle::clock::Clock;
use bugle::ids::MessageId;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::http::Hook;
use bugle::providers::key::MessageKey;
use bugle::providers::meta::whatsapp::{Whatsapp, WhatsappParts, WhatsappSettings};
use bugle::providers::twilio::{Twilio, TwilioParts, TwilioSettings};
use bugle::providers::{Envelope, Kind, Provider, SendOutcome};
use bugle::wording::{Content, FilledPlace, FilledTemplate, MapPlace, MediaFile, PlacePart};
use chrono::{TimeDelta, Utc};

use super::{Running, is_here, port, reachable};

const TWILIO: &str = "tests/fixtures/twilio_messages.json";
const WHATSAPP: &str = "tests/fixtures/whatsapp_messages.json";

/// Prism over a description, and where it answers. `None`: it is not installed.
async fn prism(description: &str) -> Option<(Running, String)> {
    let dir = std::env::var("COUNTERPARTS").unwrap_or_default();
    let program = Path::new(&dir).join("node_modules/@stoplight/prism-cli/dist/index.js");
    if !is_here("Prism", program.exists()) {
        return None;
    }
    let (port, log) = (port(), File::create("/dev/null").unwrap());
    let mut command = Command::new("node");
    command.env("SCARF_ANALYTICS", "false").arg(program).args(["mock", "-h", "127.0.0.1", "--errors"]);
    command.args(["-p", &port.to_string(), description]).stdout(log.try_clone().unwrap()).stderr(log);
    let running = Running::start(&mut command);
    reachable(port).await;
    Some((running, format!("http://127.0.0.1:{port}")))
}

fn hook() -> Hook {
    Hook { url: "https://bugle.example/webhooks/7".to_owned(), is_public: true }
}

fn envelope(to: &str, content: Content) -> Envelope {
    let key = MessageKey { id: MessageId(7), attempt: 1 }.into();
    Envelope { key, to: to.to_owned(), content, expires_at: Utc::now() + TimeDelta::minutes(30) }
}

fn caller() -> Arc<Caller> {
    Arc::new(Caller::new(vec!["127.0.0.0/8".parse().unwrap()]))
}

/// Messages of every kind: plain, long, in other letters, with answers, files and templates.
fn contents() -> Vec<Content> {
    let text = |text: &str| Content::Text(text.to_owned());
    let choices = |n: usize, longest: usize| {
        let choices = (0..n).map(|n| format!("{n}{}", "x".repeat(longest - n.to_string().len()))).collect();
        Content::Choices { text: "Which one?".to_owned(), choices }
    };
    let media = |name: &str, caption: &str, choices: &[&str]| {
        let content_type = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("png") => "image/png",
            Some("mp4") => "video/mp4",
            Some("mp3") => "audio/mpeg",
            _ => "application/pdf",
        };
        let file = MediaFile {
            url: format!("https://shop.example/{name}"),
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            size: 1000,
        };
        let choices = choices.iter().map(|&it| it.to_owned()).collect();
        Content::Media { file, caption: caption.to_owned(), choices }
    };
    let filled = |language: &str, values: &[(PlacePart, &str, &str)]| {
        let value = |(part, name, text): &(PlacePart, &str, &str)| FilledPlace {
            part: *part,
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        };
        let values = values.iter().map(value).collect();
        let (name, language) = (format!("HX{}", "0".repeat(32)), language.to_owned());
        Content::approved(FilledTemplate { name, language, values, ..FilledTemplate::default() })
    };
    vec![
        text("Hello"),
        text(&"ä😀\n".repeat(500)),
        choices(3, 20),
        choices(4, 20),
        choices(3, 21),
        choices(10, 24),
        choices(11, 24),
        choices(2, 25),
        Content::Choices { text: "long ".repeat(250), choices: vec!["Yes".to_owned()] },
        media("a.png", "Look", &[]),
        media("a.mp4", "", &[]),
        media("a.mp3", "", &[]),
        media("a.pdf", "The bill", &[]),
        media("a.png", "Come?", &["Yes", "No"]),
        media("a.pdf", "Read it?", &["Yes"]),
        Content::Place { place: MapPlace { latitude: 48.2, longitude: 16.37 }, words: "Our shop".to_owned() },
        Content::Place { place: MapPlace { latitude: -48.2, longitude: -0.5 }, words: String::new() },
        filled("en", &[(PlacePart::Body, "1", "Anna"), (PlacePart::Body, "2", "€ 5")]),
        filled("pt_BR", &[]),
        filled(
            "en",
            &[
                (PlacePart::Image, "0", "https://files.example/a.png"),
                (PlacePart::Body, "1", "Anna"),
                // Buttons with a code are younger than the description.
                (PlacePart::ButtonUrl, "0", "a7"),
            ],
        ),
        filled("en", &[(PlacePart::Document, "0", "https://files.example/a.pdf")]),
        filled("en", &[(PlacePart::Header, "1", "Anna")]),
    ]
}

#[actix_web::test]
async fn metas_description_takes_every_kind_of_message() {
    let Some((_prism, api)) = prism(WHATSAPP).await else { return };
    let settings = WhatsappSettings {
        phone_number_id: "10000000001".to_owned(),
        api_version: "v23.0".to_owned(),
        ..WhatsappSettings::default()
    };
    let credentials = Credentials::from([("access_token", "t0ken")]);
    let parts = WhatsappParts { settings, credentials, api };
    let whatsapp = Whatsapp::new(parts, caller(), Clock::default());
    for content in contents() {
        for to in ["353861234567", "US.13491208655302741918"] {
            let it = envelope(to, content.clone());
            let sent = whatsapp.send(&it, &|| true).await;
            assert!(matches!(sent, Some(SendOutcome::Accepted { .. })), "{sent:?}: {}", whatsapp.body(&it));
        }
    }
}

#[actix_web::test]
async fn twilios_description_takes_every_kind_of_message_and_knows_every_field() {
    let description: serde_json::Value = serde_json::from_reader(File::open(TWILIO).unwrap()).unwrap();
    let fields = "/paths/~12010-04-01~1Accounts~1{AccountSid}~1Messages.json/post/requestBody/content/application~1x-www-form-urlencoded/schema/properties";
    let known = description.pointer(fields).and_then(|it| it.as_object()).expect("the fields of a message");
    let Some((_prism, api)) = prism(TWILIO).await else { return };
    for (kind, service) in [(Kind::Sms, ""), (Kind::Whatsapp, "MG00000000000000000000000000000000")] {
        let settings = TwilioSettings {
            account_sid: format!("AC{}", "0".repeat(32)),
            messaging_service_sid: service.to_owned(),
            ..TwilioSettings::default()
        };
        let (sender, credentials) = ("353861234560".to_owned(), Credentials::from([("auth_token", "t0ken")]));
        let parts = TwilioParts { kind, sender, settings, credentials, hook: hook(), api: api.clone() };
        let twilio = Twilio::new(parts, caller(), Clock::default());
        for content in contents() {
            let it = envelope("353861234567", content);
            for (name, _) in twilio.fields(&it, Utc::now()) {
                assert!(known.contains_key(name), "{name} is none of Twilio's");
            }
            // Prism takes a list that is written as a form only where it has two of them.
            if matches!(it.content, Content::Media { .. } | Content::Place { .. }) {
                continue;
            }
            let sent = twilio.send(&it, &|| true).await;
            assert!(matches!(sent, Some(SendOutcome::Accepted { .. })), "{sent:?}: {it:?}");
        }
    }
}
