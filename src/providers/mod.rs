//! One trait, one file per provider.
//!
//! An adapter turns our words into the provider's and back. It never sees the
//! database or a web request of ours, and nothing outside it sees its JSON.
//!
//! Deliberately absent: retries. An adapter says what it knows about one try;
//! what follows is decided in [`crate::deliveries`]. Most providers' send calls
//! are not idempotent, so a repeat after a silence may reach the person twice.

pub mod key;
pub mod sandbox;
pub mod webchat;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::ids::UserId;
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

/// One send: rendered, allowed, and claimed under a number of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Ours; providers that take a reference give it back in their receipts.
    pub id: String,
    /// The address on the channel's kind.
    pub to: String,
    pub text: String,
    /// Answers to offer as buttons, where the channel has them.
    pub choices: Vec<String>,
    /// 1 for the first try.
    pub attempt: u16,
    /// Of no use to the person after this instant.
    pub expires_at: DateTime<Utc>,
}

/// What the provider made of one try.
#[derive(Clone, Debug, PartialEq)]
pub enum SendOutcome {
    /// It took the message and may tell more under `provider_ref`.
    Accepted { provider_ref: Option<String> },
    /// It never will.
    Rejected { class: RejectClass, code: String },
    /// Proven not processed; it may be tried again.
    RetryLater { after: Duration, scope: RetryScope, code: String },
    /// The line went dead after we may have handed it over.
    Unknown { code: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectClass {
    OptedOut,
    BadAddress,
    Unreachable,
    WindowClosed,
    Content,
    Policy,
}

/// How much should wait when the provider says "later".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryScope {
    Recipient,
    Channel,
}

words! {
    /// Whose line a channel is. One that is not in here is an error, never another one's.
    pub enum ProviderName {
        /// A carrier and phones of ours, to try everything on.
        Sandbox = "sandbox" => "Sandbox",
        /// A widget in the pages of somebody's site.
        Webchat = "webchat" => "Web chat",
    }
}

/// What a provider tells us of its own accord.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Receipt(Receipt),
    Inbound(Inbound),
}

/// A message that a contact wrote.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
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
}

/// News that the provider brings after the send.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Receipt {
    /// [`Part::id`] of the send it speaks of.
    pub part: String,
    pub status: ReceiptStatus,
    /// The provider's reason, when it gave one.
    pub code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// On its way to the phone.
    Sent,
    Delivered,
    Failed,
}

/// A webhook call as it came in. Signatures cover the exact bytes of `body`.
pub struct Webhook<'a> {
    pub signature: Option<&'a str>,
    pub body: &'a [u8],
}

/// Why a webhook call was turned away.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Forged {
    #[error("the signature does not match")]
    BadSignature,
    #[error("not a payload we know: {0}")]
    Unreadable(String),
}

/// The last question before a message leaves: whether it still may.
pub type Gate<'a> = &'a (dyn Fn() -> bool + Sync);

#[async_trait]
pub trait Provider: Send + Sync {
    /// Hands one message to the provider. Never panics, never tries twice.
    ///
    /// `gate` is asked once, as late as can be: when all is prepared, and nothing is waited for between its
    /// answer and the first byte. None: it was shut, and nothing left.
    async fn send(&self, part: &Part, gate: Gate<'_>) -> Option<SendOutcome>;

    /// Checks and reads a webhook call. Pure: no clock, no network, no database.
    fn read(&self, webhook: &Webhook<'_>) -> Result<Vec<Event>, Forged>;
}

/// A configured sender as an adapter is made from it.
#[derive(Clone, Debug)]
pub struct Setup {
    pub id: i64,
    pub kind: Kind,
    pub provider: ProviderName,
    pub sender: String,
    /// Signs webhook calls.
    pub secret: String,
    pub settings: serde_json::Value,
}

/// Makes the adapter for a configured channel. Stories and benchmarks put their own in.
pub type Providers = Arc<dyn Fn(&Setup) -> Arc<dyn Provider> + Send + Sync>;
