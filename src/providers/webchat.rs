//! Web chat: a widget in the pages of somebody's site, and no provider but ourselves.
//!
//! A message is accepted when it is written down for its visitor, and delivered when the
//! widget says that it shows it. A widget that was away is given what it missed, and what
//! it is given twice it shows once: nothing is lost and nothing doubled.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::form::{Fields, Mistakes, SettingsForm};
use super::{
    Able, Call, Envelope, Forged, Gate, Heard, Kind, Later, Provider, ProviderName, RejectClass, RetryScope,
    SendOutcome, Setup,
};

use crate::words::words;

/// How the widget looks, and where it may be; the channel's settings.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Widget {
    /// Sites whose pages may hold it, such as `https://shop.example`. Our own always may.
    pub origins: Vec<String>,
    pub title: String,
    /// Stands above the first message; empty: nothing.
    pub greeting: String,
    /// `#rrggbb`
    pub accent: String,
    pub side: Side,
    /// Said while there is no connection.
    pub offline: String,
}

words! {
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Side {
        #[default]
        Right = "right" => "Bottom right",
        Left = "left" => "Bottom left",
    }
}

impl Default for Widget {
    fn default() -> Self {
        Widget {
            origins: Vec::new(),
            title: "Chat with us".to_owned(),
            greeting: String::new(),
            accent: "#4446d8".to_owned(),
            side: Side::Right,
            offline: "No connection. What you write is kept and sent as soon as you are back.".to_owned(),
        }
    }
}

/// Sites that may hold one widget.
const SITES: usize = 50;

impl SettingsForm for Widget {
    fn fields(&self) -> Fields {
        Fields::from([
            ("title", self.title.clone()),
            ("greeting", self.greeting.clone()),
            ("accent", self.accent.clone()),
            ("side", self.side.word().to_owned()),
            ("offline", self.offline.clone()),
            ("origins", self.origins.join("\n")),
        ])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let mut text = |field: &'static str, most: usize| {
            let text = fields.get(field).trim();
            if most < text.chars().count() {
                mistakes.add(field, format!("At most {most} characters."));
            }
            text.to_owned()
        };
        let (title, greeting, offline) = (text("title", 60), text("greeting", 500), text("offline", 200));
        if title.is_empty() {
            mistakes.add("title", "Say what visitors are offered, such as “Chat with us”.");
        }
        if offline.is_empty() {
            mistakes.add("offline", "Say what happens to what they write.");
        }
        let accent = fields.get("accent").trim().to_lowercase();
        let digits = accent.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            mistakes.add("accent", "A colour such as #4446d8.");
        }
        let side = Side::of_word(fields.get("side")).unwrap_or_else(|| {
            mistakes.add("side", "Choose a corner.");
            Side::default()
        });
        let typed: Vec<&str> = fields.get("origins").split_whitespace().collect();
        let mut origins: Vec<String> = typed.iter().filter_map(|text| origin(text)).collect();
        match typed.iter().find(|text| origin(text).is_none()) {
            Some(not) => {
                let what = format!("“{not}” is no site. Write scheme and host, such as https://shop.example.");
                mistakes.add("origins", what);
            }
            None if SITES < typed.len() => mistakes.add("origins", format!("At most {SITES} sites.")),
            None => {}
        }
        let mut seen = HashSet::new();
        origins.retain(|it| seen.insert(it.clone()));
        Widget { origins, title, greeting, accent, side, offline }
    }
}

/// An origin as browsers send it, from how people write it: `Shop.Example/` is not one
/// for want of a scheme, `https://Shop.Example:443/` is `https://shop.example`.
pub fn origin(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/').to_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    let standard = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let rest = rest.strip_suffix(standard).unwrap_or(rest);
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    (!rest.is_empty() && rest.chars().all(is_host)).then(|| format!("{scheme}://{rest}"))
}

/// A message for a visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatMessage {
    pub channel: i64,
    pub to: String,
    pub part: String,
    pub text: String,
    pub choices: Vec<String>,
}

/// Why a message was not written down.
#[derive(Clone, Debug, PartialEq)]
pub enum NotEntered {
    /// The channel has no such visitor.
    Nobody,
    /// It certainly is not there.
    NotNow(String),
    /// It may be there.
    Unknown(String),
}

/// Where the messages of widgets are kept.
#[async_trait]
pub trait ChatBooks: Send + Sync {
    /// Returns when the message is written down; told again under the same part, it is there once.
    async fn enter(&self, message: ChatMessage) -> Result<(), NotEntered>;
}

pub struct Webchat {
    channel: i64,
    books: Arc<dyn ChatBooks>,
}

impl Webchat {
    pub fn new(setup: &Setup, books: Arc<dyn ChatBooks>) -> Self {
        Webchat { channel: setup.id, books }
    }
}

#[async_trait]
impl Provider for Webchat {
    fn able(&self) -> Able {
        Able { choices: true, files: ProviderName::Webchat.files(Kind::Webchat), ..Able::TEXT }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let (_, choices) = envelope.content.words();
        let message = ChatMessage {
            channel: self.channel,
            to: envelope.to.clone(),
            part: envelope.key.to_string(),
            // What it brings along is shown where its address stands.
            text: envelope.content.as_text().into_owned(),
            choices: choices.to_vec(),
        };
        if !gate() {
            return None;
        }
        Some(match self.books.enter(message).await {
            Ok(()) => SendOutcome::Accepted { provider_ref: None },
            Err(NotEntered::Nobody) => {
                SendOutcome::Rejected { class: RejectClass::BadAddress, code: "no such visitor".to_owned() }
            }
            Err(NotEntered::NotNow(code)) => {
                let (why, after) = (Later::NotNow, Duration::from_secs(1));
                SendOutcome::RetryLater { why, after, scope: RetryScope::Recipient, code }
            }
            Err(NotEntered::Unknown(code)) => SendOutcome::Unknown { code },
        })
    }

    /// Nobody calls: widgets have doors of their own.
    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        Err(Forged::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;
    use crate::providers::ProviderName;
    use crate::providers::key::MessageKey;
    use crate::wording::Content;

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        let read = |text: &str| origin(text);
        assert_eq!(read(" https://Shop.Example/ "), Some("https://shop.example".into()));
        assert_eq!(read("http://localhost:8080"), Some("http://localhost:8080".into()));
        assert_eq!(read("https://shop.example:443"), Some("https://shop.example".into()));
        assert_eq!(read("http://[::1]:3000"), Some("http://[::1]:3000".into()));
        for not in ["", "shop.example", "ftp://shop.example", "https://", "https://shop.example/path", "null", "*"] {
            assert_eq!(read(not), None, "{not}");
        }
    }

    struct Answers(Result<(), NotEntered>);

    #[async_trait]
    impl ChatBooks for Answers {
        async fn enter(&self, _: ChatMessage) -> Result<(), NotEntered> {
            self.0.clone()
        }
    }

    #[tokio::test]
    async fn only_what_may_have_been_written_down_is_unknown() {
        let setup = Setup {
            id: 1,
            kind: crate::providers::Kind::Webchat,
            provider: ProviderName::Webchat,
            sender: "Bugle".into(),
            secret: "s3cret".to_owned().into(),
            credentials: None,
            settings: serde_json::json!({}),
        };
        let part = Envelope {
            key: MessageKey { id: MessageId(1), attempt: 1 }.into(),
            to: "visitor-1".into(),
            content: Content::Text("Hello".into()),
            expires_at: chrono::DateTime::UNIX_EPOCH,
        };
        let webchat = |answer| Webchat::new(&setup, Arc::new(Answers(answer)));
        let send = async |answer| webchat(answer).send(&part, &|| true).await.unwrap();
        assert_eq!(send(Ok(())).await, SendOutcome::Accepted { provider_ref: None });
        assert!(matches!(send(Err(NotEntered::Nobody)).await, SendOutcome::Rejected { .. }));
        assert!(matches!(send(Err(NotEntered::NotNow("busy".into()))).await, SendOutcome::RetryLater { .. }));
        assert!(matches!(send(Err(NotEntered::Unknown("cut".into()))).await, SendOutcome::Unknown { .. }));
        let (webchat, setup_at) = (webchat(Ok(())), chrono::DateTime::UNIX_EPOCH);
        assert_eq!(webchat.send(&part, &|| false).await, None);
        assert_eq!(
            webchat.read(&Call { method: "POST", url: "http://localhost/", headers: &[], body: b"[]", at: setup_at }),
            Err(Forged::BadSignature)
        );
    }
}
