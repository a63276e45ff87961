//! SMPP 3.4: a bind to an operator's SMSC, held open by one process at a time.
//!
//! Nothing in SMPP tells a message again from one that was sent twice, and nobody can be asked about one whose name never
//! came. So what was on the wire when a connection broke, or got no answer in time, is unknown, and stays so unless its
//! answer or a receipt comes after all.

pub mod exchange;
pub mod form;
pub mod hearing;
pub mod ids;
pub mod pdu;
pub mod receipts;
pub mod session;
pub mod settings;
pub mod statuses;
pub mod texts;
pub mod wire;

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::exchange::together;
use self::pdu::{Message, Pdu, command};
use self::session::{Bind, BindRole, BindStanding, Keeper, Operator, OtherParts, WaitingSend};
pub use self::settings::{BindKind, SmppSettings};
use self::texts::{TextReferences, parts};
use self::wire::WireSaid;
use super::caller::{ASKED_AGAIN_AFTER, Caller};
use super::credentials::Credentials;
use super::{
    Able, BEGIN_WITHIN, Call, Envelope, Forged, Gate, Heard, Later, Provider, RejectClass, RetryScope, SendOutcome,
    Session, TakeIn,
};
use crate::clock::{Clock, uptime};

/// Nobody tries for longer, or for less.
const VALID: (TimeDelta, TimeDelta) = (TimeDelta::minutes(1), TimeDelta::days(7));

/// What a channel of SMPP is made of.
pub struct SmppParts {
    pub sender: String,
    pub settings: SmppSettings,
    pub credentials: Credentials,
}

pub struct Smpp {
    sender: String,
    operator: Arc<Operator>,
    references: TextReferences,
    others: Arc<OtherParts>,
    /// How things stand with the line that was opened last.
    standing: Mutex<Option<watch::Receiver<BindStanding>>>,
}

/// One part of a text without an answer yet.
type Answer = oneshot::Receiver<SendOutcome>;

impl Smpp {
    pub fn new(parts: SmppParts, caller: Arc<Caller>, clock: Clock) -> Smpp {
        let SmppParts { sender, settings, credentials } = parts;
        let password = credentials.get("password").to_owned();
        Smpp {
            sender,
            operator: Arc::new(Operator { settings, password, caller, clock }),
            references: TextReferences::default(),
            others: Arc::default(),
            standing: Mutex::default(),
        }
    }

    fn settings(&self) -> &SmppSettings {
        &self.operator.settings
    }

    /// The messages that a text is, in their order. `None`: it would be too many.
    pub fn messages(&self, envelope: &Envelope, now: DateTime<Utc>) -> Option<Vec<Message>> {
        let (text, choices) = envelope.content.words();
        let text = match choices.is_empty() {
            true => text.to_owned(),
            false => format!("{text}\n\n{}", choices.join("\n")),
        };
        let settings = self.settings();
        let bodies = parts(&text, settings.alphabet, settings.long, self.references.next(&envelope.to))?;
        let until = envelope.expires_at.clamp(now + VALID.0, now + VALID.1);
        let message = |body: texts::PartBody| Message {
            from: settings.source(&self.sender),
            to: settings.destination(&envelope.to),
            esm_class: body.esm_class,
            validity: until.format("%y%m%d%H%M%S000+").to_string(),
            registered: 1,
            data_coding: body.data_coding,
            short: body.short,
            tlvs: body.tlvs,
            ..Message::default()
        };
        Some(bodies.into_iter().map(message).collect())
    }

    /// The bind to send by, where it is up or just being made.
    async fn bind(&self) -> Result<Arc<Bind>, SendOutcome> {
        let standing = self.standing.lock().unwrap().clone();
        let Some(mut standing) = standing else { return Err(away("no bind is open in this process".to_owned())) };
        let is_known = |it: &BindStanding| !matches!(it, BindStanding::Opening);
        match timeout(BEGIN_WITHIN, standing.wait_for(is_known)).await {
            Ok(Ok(known)) => match &*known {
                BindStanding::Bound(bind) => Ok(bind.clone()),
                BindStanding::Refused(class, code) => Err(SendOutcome::Rejected { class: *class, code: code.clone() }),
                BindStanding::Away(why) => Err(away(why.clone())),
                BindStanding::Opening => Err(away("the bind is not made yet".to_owned())),
            },
            Ok(Err(_)) => Err(away("the bind is closed".to_owned())),
            Err(_) => Err(away("the bind is not made yet".to_owned())),
        }
    }

    /// Sends all of them behind one another, when there are places for them and the gate lets them. `None`: nothing left.
    async fn begin(
        &self,
        bind: &Bind,
        envelope: &Envelope,
        gate: Gate<'_>,
    ) -> Option<Result<Vec<Answer>, SendOutcome>> {
        let rejected = |code: &str| SendOutcome::Rejected { class: RejectClass::Content, code: code.to_owned() };
        let Some(messages) = self.messages(envelope, self.operator.clock.now()) else {
            return Some(Err(rejected("the text has too many parts")));
        };
        let bodies: Vec<Vec<u8>> = messages.iter().map(Message::body).collect();
        // A text of more parts than the window has places has all of them.
        let n_places = bodies.len().min(usize::from(self.settings().window).max(1)) as u32;
        // Past that the gate is shut.
        let place = timeout(BEGIN_WITHIN, bind.window.clone().acquire_many_owned(n_places)).await.ok()?;
        let Ok(mut places) = place else { return Some(Err(away("the bind was lost".to_owned()))) };
        let turn = match timeout(BEGIN_WITHIN, bind.wire.turn()).await.ok()? {
            Ok(turn) => turn,
            Err(error) => return Some(Err(away(format!("the connection was lost: {error}")))),
        };
        if bind.window.is_closed() {
            return Some(Err(away("the bind was lost".to_owned())));
        }
        if !gate() {
            return None;
        }
        // From here to the first octet nothing is waited for.
        let (since, key) = (uptime(), (bodies.len() == 1).then_some(envelope.key));
        let (mut octets, mut sequences, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        let mut exchange = bind.exchange.lock().unwrap();
        for body in bodies {
            let (tell, answer) = oneshot::channel();
            let sequence = exchange.number();
            exchange.expect(sequence, WaitingSend { tell, place: places.split(1) }, key, since);
            Pdu::new(command::SUBMIT_SM, sequence, body).write(&mut octets);
            sequences.push(sequence);
            answers.push(answer);
        }
        match turn.say(&octets) {
            WireSaid::Whole => Some(Ok(answers)),
            // What may have left is settled when the connection's end is noticed.
            WireSaid::Broken(_) => Some(Ok(answers)),
            WireSaid::Nothing(error) => {
                sequences.into_iter().for_each(|sequence| exchange.take_back(sequence));
                let is_full = error.kind() == ErrorKind::WouldBlock;
                (!is_full).then(|| Err(away(format!("the connection was lost: {error}"))))
            }
        }
    }

    /// Only one reference speaks for a text; what is told of its other parts is no news.
    fn set_apart(&self, outcomes: &[SendOutcome], whole: &SendOutcome) {
        let references = outcomes.iter().filter_map(|it| match it {
            SendOutcome::Accepted { provider_ref } if it != whole => provider_ref.clone(),
            _ => None,
        });
        if outcomes.len() > 1 {
            references.for_each(|reference| self.others.remember(reference));
        }
    }
}

/// Nothing left.
fn away(code: String) -> SendOutcome {
    let (why, scope) = (Later::NotNow, RetryScope::Channel);
    SendOutcome::RetryLater { why, after: ASKED_AGAIN_AFTER, scope, code }
}

#[async_trait]
impl Provider for Smpp {
    fn able(&self) -> Able {
        Able { choices: true, tells_by_reference: true, held_once: true, ..Able::TEXT }
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let bind = match self.bind().await {
            Ok(bind) => bind,
            Err(outcome) => return Some(outcome),
        };
        let answers = match self.begin(&bind, envelope, gate).await? {
            Ok(answers) => answers,
            Err(outcome) => return Some(outcome),
        };
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            let lost = |_| SendOutcome::Unknown { code: "the connection was lost".to_owned() };
            outcomes.push(answer.await.unwrap_or_else(lost));
        }
        let whole = together(outcomes.clone());
        self.set_apart(&outcomes, &whole);
        Some(whole)
    }

    async fn check(&self) -> Option<Result<String, String>> {
        let SmppSettings { host, port, system_id, bind, .. } = self.settings();
        let standing = self.standing.lock().unwrap().clone();
        if let Some(BindStanding::Bound(bind)) = standing.map(|it| it.borrow().clone()) {
            let answered = bind.enquire().await;
            return Some(answered.map(|()| format!("Bound to {host}:{port} as {system_id}, and it answers.")));
        }
        for role in BindRole::of(*bind) {
            match self.operator.bind(*role).await {
                Ok(made) => session::unbind(made).await,
                Err(not_bound) => return Some(Err(not_bound.why)),
            }
        }
        Some(Ok(format!("{host}:{port} takes the bind of {system_id}.")))
    }

    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        // Nothing calls: all of it comes over the bind.
        Err(Forged::BadSignature)
    }

    fn open(self: Arc<Self>, told: TakeIn) -> Option<Session> {
        let (tell, standing) = watch::channel(BindStanding::Opening);
        *self.standing.lock().unwrap() = Some(standing);
        let (closing, mut tell) = (CancellationToken::new(), Some(tell));
        for role in BindRole::of(self.settings().bind) {
            let keeper = Keeper {
                operator: self.operator.clone(),
                role: *role,
                told: told.clone(),
                others: self.others.clone(),
                standing: tell.take(),
                closing: closing.clone(),
            };
            tokio::spawn(keeper.keep());
        }
        // Dropped, it lets them say farewell.
        let close = closing.drop_guard();
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let _close = close;
            std::future::pending().await
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;
    use crate::providers::key::MessageKey;
    use crate::wording::Content;
    use crate::wording::letters::Letters;

    fn smpp(settings: SmppSettings) -> Smpp {
        let parts = SmppParts { sender: "Bugle".into(), settings, credentials: Credentials::default() };
        Smpp::new(parts, Arc::new(Caller::new(Vec::new())), Clock::default())
    }

    fn envelope(content: Content) -> Envelope {
        let expires_at = "2026-11-28T10:30:00Z".parse().unwrap();
        Envelope {
            key: MessageKey { id: MessageId(7), attempt: 1 }.into(),
            to: "353861234567".into(),
            content,
            expires_at,
        }
    }

    #[test]
    fn a_message_says_until_when_it_is_of_use_and_wants_a_receipt() {
        let choices = Content::Choices { text: "Come?".into(), choices: vec!["Yes".into(), "No".into()] };
        let now = "2026-11-28T10:00:00Z".parse().unwrap();
        let messages = smpp(SmppSettings::default()).messages(&envelope(choices), now).unwrap();
        assert_eq!((messages.len(), messages[0].registered, messages[0].validity.as_str()), (1, 1, "261128103000000+"));
        assert_eq!(Letters::Gsm.decode(&messages[0].short), "Come?\n\nYes\nNo");
        let late = "2026-11-28T10:40:00Z".parse().unwrap();
        let messages = smpp(SmppSettings::default()).messages(&envelope(Content::Text("a".into())), late).unwrap();
        assert_eq!(messages[0].validity, "261128104100000+", "an SMSC refuses what is over");
    }

    #[tokio::test]
    async fn without_a_bind_nothing_leaves_and_nobody_is_burnt() {
        let sent = smpp(SmppSettings::default()).send(&envelope(Content::Text("a".into())), &|| true).await;
        assert!(matches!(sent, Some(SendOutcome::RetryLater { why: Later::NotNow, scope: RetryScope::Channel, .. })));
    }
}
