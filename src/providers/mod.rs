//! One trait, one file per provider.
//!
//! An adapter turns our words into the provider's and back. It never sees the
//! database or a web request of ours, and nothing outside it sees its JSON.
//!
//! Deliberately absent: retries. An adapter says what it knows about one try;
//! what follows is decided in [`crate::deliveries`]. Most providers' send calls
//! are not idempotent, so a repeat after a silence may reach the person twice.

pub mod form;
pub mod key;
pub mod credentials;
pub mod answer;
pub mod said;
pub mod accounts;
pub mod caller;
pub mod class;
pub mod doubt;
pub mod download;
pub mod media;
pub mod samples;
pub mod sandbox;
pub mod webchat;
pub mod http;
pub mod twilio;
pub mod meta;
pub mod viber;
pub mod smpp;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

pub use self::doubt::InDoubt;
use self::key::{SendKey, StatusKey};
use self::media::{FetchedMedia, FileRule, Unfetched};
use crate::ids::UserId;
use crate::wording::letters::Undecoded;
use crate::wording::{Approved, Content};
use crate::words::words;

words! {
    /// The kinds of channel an address can belong to.
    #[derive(Hash, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Kind {
        Sms = "sms" => "SMS",
        Whatsapp = "whatsapp" => "WhatsApp",
        Messenger = "messenger" => "Messenger",
        Viber = "viber" => "Viber",
        Webchat = "webchat" => "Web chat",
    }
}

impl Kind {
    /// Whether its addresses are phone numbers.
    pub fn is_phone(self) -> bool {
        match self {
            Kind::Sms | Kind::Whatsapp | Kind::Viber => true,
            Kind::Messenger | Kind::Webchat => false,
        }
    }
}

/// A claimed send begins within this time or not at all. PAUSE, STOP and whoever tells of
/// an opt-out wait so long before they answer, and so nothing begins after their answer, in
/// this process or another, however long a thread was asleep.
pub const BEGIN_WITHIN: Duration = Duration::from_secs(1);

/// One send: rendered, allowed, and claimed under a name of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Its text is ours for the provider, and what it gives back when it tells of the send.
    pub key: SendKey,
    /// The address on the channel's kind.
    pub to: String,
    pub content: Content,
    /// Of no use to the person after this instant.
    pub expires_at: DateTime<Utc>,
}

/// What a provider can carry. What it cannot is refused before it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Able {
    /// Answers to offer as buttons.
    pub choices: bool,
    /// Files that it carries as such; others go as links.
    pub files: &'static [FileRule],
    /// Characters of words that go with a place; `None`: a place goes as a link.
    pub places: Option<usize>,
    pub templates: bool,
    /// What it tells of a send names it by the provider's reference and not by our key, so that the
    /// reference has to be kept.
    pub tells_by_reference: bool,
    /// Characters of a text at most; `None` where that is the provider's affair.
    pub longest: Option<usize>,
    /// The line that it holds open is held by one process at a time, and only that one sends.
    pub held_once: bool,
}

impl Able {
    /// Texts and nothing else.
    pub const TEXT: Able = Able {
        choices: false,
        files: &[],
        places: None,
        templates: false,
        tells_by_reference: false,
        longest: None,
        held_once: false,
    };

    /// Why it cannot carry this; `None` when it can.
    pub fn refuses(&self, content: &Content) -> Option<(RejectClass, &'static str)> {
        match content {
            Content::Choices { .. } if !self.choices => Some((RejectClass::Content, "it offers no answers")),
            Content::Media { .. } if self.files.is_empty() => Some((RejectClass::Content, "it carries no files")),
            Content::Place { .. } if self.places.is_none() => Some((RejectClass::Content, "it carries no places")),
            Content::Template { .. } if !self.templates => Some((RejectClass::Template, "it knows no templates")),
            Content::Template { .. } => None,
            Content::Text(_) | Content::Choices { .. } | Content::Media { .. } | Content::Place { .. } => {
                let too_long = self.longest.is_some_and(|most| most < content.words().0.chars().count());
                too_long.then_some((RejectClass::Content, "the text is longer than the channel carries"))
            }
        }
    }
}

/// What the provider made of one try.
#[derive(Clone, Debug, PartialEq)]
pub enum SendOutcome {
    /// It took the message and may tell more under `provider_ref`.
    Accepted { provider_ref: Option<String> },
    /// Not like this, and not by trying again.
    Rejected { class: RejectClass, code: String },
    /// Proven not processed; it may be tried again.
    RetryLater { why: Later, after: Duration, scope: RetryScope, code: String },
    /// The line went dead after we may have handed it over.
    Unknown { code: String },
}

words! {
    /// Whose fault it is that a provider refuses a message.
    pub enum RejectClass {
        OptedOut = "opted-out" => "the person has opted out",
        BadAddress = "bad-number" => "the number is no good",
        Unreachable = "unreachable" => "the person cannot be reached",
        WindowClosed = "window-closed" => "the time in which one may write freely is over",
        /// No such template, not approved, or not filled in as it was approved.
        Template = "template" => "the template",
        Content = "content" => "what it says",
        /// A filter, a block, not today: no word of the person.
        Policy = "blocked" => "a filter or a block",
        /// The channel is set up wrongly, or its credentials are no good any more.
        ChannelConfig = "credentials" => "the account, the sender or a permission",
        /// The account may not send any more: out of funds, or suspended.
        AccountLimit = "funds" => "the account has no funds, or is suspended",
        /// The address that we ask is not the provider's.
        Misset = "misset" => "the address that is asked is not the provider’s",
        /// Surely refused, and nobody says why.
        Other = "other" => "it does not say why",
    }
}

impl RejectClass {
    /// Whether it would refuse everybody: then it is no word about this message.
    pub fn is_of_channel(self) -> bool {
        matches!(self, RejectClass::ChannelConfig | RejectClass::AccountLimit | RejectClass::Misset)
    }
}

/// Why it shall be tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Too much came at once. What waits goes slower from then on.
    TooFast,
    /// The provider cannot be reached, or takes nothing just now. It says nothing about our pace.
    NotNow,
}

/// How much should wait when the provider says "later".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    Recipient,
    /// All that leaves from the channel's number or name.
    Sender,
    Channel,
    /// All channels of the provider's account.
    Account,
}

words! {
    /// Whose line a channel is. One that is not in here is an error, never another one's.
    pub enum ProviderName {
        /// A carrier and phones of ours, to try everything on.
        Sandbox = "sandbox" => "Sandbox",
        /// A widget in the pages of somebody's site.
        Webchat = "webchat" => "Web chat",
        /// Whatever takes messages over HTTP: gateways of operators and aggregators.
        Http = "http" => "HTTP gateway",
        Twilio = "twilio" => "Twilio",
        Whatsapp = "whatsapp" => "WhatsApp Cloud API",
        Messenger = "messenger" => "Messenger Platform",
        Viber = "viber" => "Viber",
        Smpp = "smpp" => "SMPP",
    }
}

impl ProviderName {
    /// How long after a person wrote one may write to them freely. Later only an approved text reaches them, where
    /// there are such. `None`: at any time.
    pub fn window(self, kind: Kind) -> Option<TimeDelta> {
        match (self, kind) {
            // WhatsApp's rule, whoever carries it there.
            (ProviderName::Whatsapp, _) | (ProviderName::Twilio, Kind::Whatsapp) => Some(TimeDelta::hours(24)),
            (ProviderName::Messenger, _) => Some(TimeDelta::hours(24)),
            _ => None,
        }
    }

    /// The files that it carries as such.
    pub fn files(self, kind: Kind) -> &'static [FileRule] {
        match (self, kind) {
            (ProviderName::Whatsapp, _) => meta::whatsapp::FILES,
            (ProviderName::Twilio, Kind::Whatsapp) => twilio::FILES,
            (ProviderName::Twilio, _) => twilio::MMS,
            (ProviderName::Messenger, _) => meta::messenger::FILES,
            (ProviderName::Viber, _) => viber::FILES,
            // Whose phones and widgets are ours show whatever there is.
            (ProviderName::Sandbox | ProviderName::Webchat, kind) if kind != Kind::Sms => media::ANY,
            (ProviderName::Sandbox | ProviderName::Webchat | ProviderName::Http | ProviderName::Smpp, _) => &[],
        }
    }

    /// Characters of a text at most, whichever channel of it; `None`: that is its own affair.
    pub fn longest(self) -> Option<usize> {
        match self {
            ProviderName::Twilio => Some(twilio::LONGEST),
            ProviderName::Whatsapp => Some(meta::whatsapp::LONGEST),
            ProviderName::Messenger => Some(meta::messenger::LONGEST),
            ProviderName::Viber => Some(viber::LONGEST),
            ProviderName::Sandbox | ProviderName::Webchat | ProviderName::Http | ProviderName::Smpp => None,
        }
    }

    /// Characters of words that go with a place; `None`: it goes as a link to a map.
    pub fn places(self, kind: Kind) -> Option<usize> {
        match (self, kind) {
            // The name of the place.
            (ProviderName::Whatsapp, _) | (ProviderName::Twilio, Kind::Whatsapp) => Some(100),
            (ProviderName::Viber, _) => Some(0),
            _ => None,
        }
    }

    /// Whether it tells what became of every send, once it knows our address.
    pub fn tells_of_all(self) -> bool {
        match self {
            ProviderName::Twilio | ProviderName::Whatsapp | ProviderName::Messenger | ProviderName::Viber => true,
            // Not every gateway does, nor every SMSC, whatever it is asked.
            ProviderName::Http | ProviderName::Smpp | ProviderName::Sandbox | ProviderName::Webchat => false,
        }
    }

    /// Whether it can be asked what became of a send that it gave no answer for.
    pub fn can_be_asked(self) -> bool {
        self == ProviderName::Twilio
    }

    /// Whether it approves texts beforehand, and can be asked for them.
    pub fn approves_texts(self, kind: Kind) -> bool {
        let of_kind = matches!(self, ProviderName::Twilio | ProviderName::Sandbox) && kind == Kind::Whatsapp;
        of_kind || self == ProviderName::Whatsapp
    }
}

/// What a provider tells us of its own accord.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Receipt(Receipt),
    Inbound(Inbound),
    Consent(ConsentNews),
    /// It took a send for which nobody waits any more, and its name for it.
    Taken {
        key: SendKey,
        reference: Option<String>,
    },
    /// Known, and nothing that a person said: it starts nobody's bot and is answered by none.
    Other(String),
}

/// Somebody wants to be written to no more, or again, and the provider says so.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsentNews {
    /// The address on the channel's kind.
    pub from: String,
    pub wants: bool,
    /// The provider's name for the news, or for the send that it answered so.
    pub id: Option<String>,
}

/// A picture, a voice or another file that came with a message.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct MediaHeard {
    /// What it is, in the provider's word, such as `image`, `location`, `contact`; empty when it only says of what type.
    pub kind: String,
    /// Where the provider keeps it; empty where it is asked for by its id.
    pub url: String,
    pub id: Option<String>,
    /// As the provider says; empty when it does not.
    pub content_type: String,
    /// A name of it.
    pub about: String,
    /// Of a file that we have, because it was brought to us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<uuid::Uuid>,
}

/// One of the answers that were offered, as it was chosen.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChoiceHeard {
    pub id: String,
    pub title: String,
}

/// A piece of a text that comes in several.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TextPart {
    /// What the pieces of one text have in common. It comes again after some hundred texts.
    pub of_text: String,
    /// From 1.
    pub n: u16,
    /// How many there are.
    pub of: u16,
}

/// A message that a contact wrote.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Inbound {
    /// The provider's name for it: told again, it is the same message.
    pub id: String,
    /// The address on the channel's kind.
    pub from: String,
    pub text: String,
    /// When it was written, by the provider's clock, where it says.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
    /// Who of the house wrote it in the contact's place. Only phones of the sandbox can be written on.
    #[serde(default)]
    pub by: Option<UserId>,
    /// Where it was written to, as the provider says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `None`: it is the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<TextPart>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaHeard>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<ChoiceHeard>,
    /// What was filled into a form that the provider showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<serde_json::Value>,
    /// The provider's name for the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What the person is called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What `text` was read from, where it is a piece of a text: a letter may be cut in two between pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub octets: Option<Box<Undecoded>>,
}

/// News that the provider brings after the send.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    pub about: StatusKey,
    pub status: ReceiptStatus,
    /// The provider's reason, when it gave one.
    pub code: Option<String>,
    /// Whose fault it is that it failed.
    pub class: Option<RejectClass>,
    /// What the provider calls the send, though it names it by our key.
    pub reference: Option<String>,
    /// To whom, and when, where the provider says it.
    pub to: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

impl Receipt {
    /// News of a send by our name for it.
    pub fn of(key: SendKey, status: ReceiptStatus) -> Receipt {
        Receipt::about(StatusKey::Ours(key), status)
    }

    /// News of which nothing more is known.
    pub fn about(about: StatusKey, status: ReceiptStatus) -> Receipt {
        Receipt { about, status, code: None, class: None, reference: None, to: None, at: None }
    }
}

words! {
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ReceiptStatus {
        /// The provider has it.
        Accepted = "accepted",
        /// On its way to the phone.
        Sent = "sent",
        Delivered = "delivered",
        /// On the phone, and looked at.
        Read = "read",
        Failed = "failed",
    }
}

/// A call that came in at a channel's address, as it came. Signatures cover the exact bytes of `body`.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub method: &'a str,
    /// As the provider called it, with scheme and host.
    pub url: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    /// When it came: a call that was signed long ago is nobody's any more.
    pub at: DateTime<Utc>,
}

impl Call<'_> {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| *it == name).map(|(_, value)| *value)
    }
}

/// What a call says, and what it is answered once that is taken in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    pub events: Vec<Event>,
    /// Other accounts of the same provider that it speaks of, by the provider's ids. What it says of them is read as
    /// their channels read it, with their secrets.
    pub elsewhere: Vec<String>,
    /// Something became of an approved text: they are to be fetched anew.
    pub templates_changed: bool,
    /// `None`: 204, with nothing in it.
    pub answer: Option<CallAnswer>,
}

/// 200, with this in it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallAnswer {
    pub content_type: &'static str,
    pub body: String,
}

/// Why a call was turned away.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Forged {
    #[error("the signature does not match")]
    BadSignature,
    #[error("not a payload we know: {0}")]
    Unreadable(String),
}

/// Takes in what a session hears. An error: it was not taken in, and must be told again.
pub type TakeIn = Arc<dyn Fn(Vec<Event>) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A line that an adapter holds open. It is closed when this is dropped.
pub type Session = AbortOnDropHandle<()>;

/// The last question before a message leaves: whether it still may.
pub type Gate<'a> = &'a (dyn Fn() -> bool + Sync);

#[async_trait]
pub trait Provider: Send + Sync {
    /// Hands one message to the provider. Never panics, never tries twice.
    ///
    /// `gate` is asked once, as late as can be: when all is prepared, and nothing is waited for between its
    /// answer and the first byte. None: it was shut, and nothing left.
    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome>;

    /// What it can carry.
    fn able(&self) -> Able;

    /// Asks its provider whether we may send, without sending anything; in words for the channel's page. `None`: it
    /// cannot be asked.
    async fn check(&self) -> Option<Result<String, String>> {
        None
    }

    /// The texts that its provider has approved, or was asked to: all of them. `None`: it has none to fetch.
    async fn templates(&self) -> Option<Result<Vec<Approved>, String>> {
        None
    }

    /// Fetches what came with a message, if there is something to fetch. `None`: what was told is all there is, as of a
    /// place or a card.
    async fn fetch(&self, _heard: &MediaHeard) -> Option<Result<FetchedMedia, Unfetched>> {
        None
    }

    /// Asks its provider how many people its account may write to first within a day; `Some(None)`: as many as it likes.
    /// `None`: it does not say.
    async fn new_people(&self) -> Option<Option<i32>> {
        None
    }

    /// Asks its provider what became of a send that nobody answered for: what would be told of it, for each message that
    /// it may be. Whoever asks knows which of them are other sends. None of them: it is not known, and may still come.
    ///
    /// `None`: it cannot be asked. Of WhatsApp, Messenger and Viber nobody can list what was sent, and an SMSC is asked by
    /// a name that an unanswered send never got.
    async fn look_up(&self, _it: &InDoubt) -> Option<Result<Vec<Receipt>, String>> {
        None
    }

    /// Tells its provider where it finds us, where no console of the provider's asks for that; in words for the
    /// channel's page. `None`: it is told otherwise.
    async fn tell_address(&self) -> Option<Result<String, String>> {
        None
    }

    /// Checks and reads a call. Pure: no clock, no network, no database.
    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged>;

    /// Opens the line that it holds to its provider, if it is one of those that hold one. What comes in there is
    /// told to `told`, which returns when it is taken in and may be acknowledged.
    fn open(self: Arc<Self>, _told: TakeIn) -> Option<Session> {
        None
    }
}

/// What a provider and we alone know. It is shown nowhere: not on a page, not in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Secret(secret)
    }
}

impl std::ops::Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A configured sender as an adapter is made from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub id: i64,
    pub kind: Kind,
    pub provider: ProviderName,
    pub sender: String,
    /// Signs the calls of the sandbox and the tokens of visitors: made by us, and told to nobody else.
    pub secret: Secret,
    /// What an account somewhere else is used with, sealed.
    pub credentials: Option<String>,
    pub settings: serde_json::Value,
}

/// Makes the adapter for a configured channel. Stories and benchmarks put their own in.
pub type Providers = Arc<dyn Fn(&Setup) -> Arc<dyn Provider> + Send + Sync>;
