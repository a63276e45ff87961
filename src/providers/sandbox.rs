//! The sandbox: a carrier inside the product, behind the same trait as every
//! other, so that a newcomer and every test use the whole real path.
//!
//! What it does with a message is decided by the last two digits of the number,
//! so that no set-up is needed:
//!
//! | ends in | behaviour |
//! | --- | --- |
//! | 80 | delivered late, after 30 s |
//! | 81 | receipts out of order: delivered before sent |
//! | 82 | every receipt twice |
//! | 83 | never a receipt |
//! | 84 | accepted, then failed |
//! | 90 | rejected: bad number |
//! | 91 | rejected: opted out |
//! | 92 | rejected: window closed |
//! | 93 | told "later" for the first two tries, then as usual |
//! | 94 | the line goes dead, but the phone got it |
//! | 95 | the line goes dead, and the phone did not |
//! | 96 | whatever the phone writes is reported three times, under the same id |
//! | 97 | the phone writes STOP at once, whatever it gets |
//! | others | accepted, sent, delivered |
//!
//! The rest is set by [`Knobs`]. Chance is drawn from the seed and the send's key:
//! the same seed gives the same run.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::form::{Fields, Mistakes, SettingsForm};
use super::key::SendKey;
use super::samples;
use super::{
    Able, Call, Envelope, Event, Forged, Gate, Heard, Inbound, Kind, Later, Provider, ProviderName, Receipt,
    ReceiptStatus, RejectClass, RetryScope, SendOutcome, Setup,
};
use crate::wording::Approved;

/// How the carrier behaves; the channel's settings.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Knobs {
    /// It answers after between `latency_ms` and `latency_to_ms`, evenly spread.
    pub latency_ms: u64,
    pub latency_to_ms: u64,
    /// Share of answers that take ten times as long, 0 to 1.
    pub long_tail: f64,
    /// Share of messages it cannot deliver, 0 to 1.
    pub error_rate: f64,
    /// Messages a second; beyond it says "later" for the whole channel. 0 for no limit.
    pub per_second: u32,
    /// How long after accepting it reports "sent"; "delivered" takes twice as long.
    pub receipt_ms: u64,
    /// How long the line stays silent before it goes dead (94 and 95).
    pub silence_ms: u64,
    pub seed: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Knobs {
            latency_ms: 20,
            latency_to_ms: 60,
            long_tail: 0.0,
            error_rate: 0.0,
            per_second: 0,
            receipt_ms: 1500,
            silence_ms: 3000,
            seed: 1,
        }
    }
}

impl SettingsForm for Knobs {
    fn fields(&self) -> Fields {
        let percent = |share: f64| format!("{}", (share * 1e6).round() / 1e4);
        Fields::from([
            ("latency_ms", self.latency_ms.to_string()),
            ("latency_to_ms", self.latency_to_ms.to_string()),
            ("long_tail", percent(self.long_tail)),
            ("error_rate", percent(self.error_rate)),
            ("per_second", self.per_second.to_string()),
            ("receipt_ms", self.receipt_ms.to_string()),
            ("silence_ms", self.silence_ms.to_string()),
            ("seed", self.seed.to_string()),
        ])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let mut whole = |field: &'static str, most: u64| match fields.get(field).trim().parse::<u64>() {
            Ok(n) if n <= most => n,
            _ => {
                mistakes.add(field, format!("A whole number from 0 to {most}."));
                0
            }
        };
        let latency_ms = whole("latency_ms", 60_000);
        let latency_to_ms = whole("latency_to_ms", 60_000);
        let per_second = whole("per_second", 1_000_000) as u32;
        let receipt_ms = whole("receipt_ms", 86_400_000);
        let silence_ms = whole("silence_ms", 600_000);
        let seed = whole("seed", i64::MAX as u64);
        let mut share = |field: &'static str| match fields.get(field).trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => percent / 100.0,
            _ => {
                mistakes.add(field, "A number from 0 to 100.");
                0.0
            }
        };
        let (long_tail, error_rate) = (share("long_tail"), share("error_rate"));
        if latency_to_ms < latency_ms {
            mistakes.add("latency_to_ms", "Not below the shortest answer.");
        }
        Knobs { latency_ms, latency_to_ms, long_tail, error_rate, per_second, receipt_ms, silence_ms, seed }
    }
}

/// A message on its way to a phone, with the receipts the carrier will owe for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Handed {
    pub channel: i64,
    pub phone: String,
    pub part: String,
    pub text: String,
    /// Answers that it offers.
    pub choices: Vec<String>,
    /// Whether the phone gets it at all.
    pub reaches: bool,
    /// Of the channel; what a phone answers by itself is drawn from it.
    pub seed: u64,
    pub receipts: Vec<(Duration, ReceiptStatus)>,
    /// When it was handed over, by the clock of the machine.
    pub stamped_at: DateTime<Utc>,
}

/// Where the carrier keeps its books. Not the ledger: the two are held against each other.
#[async_trait]
pub trait CarrierBooks: Send + Sync {
    /// Returns when the message is written down, or says why not.
    async fn enter(&self, handed: Handed) -> Result<(), String>;
}

pub struct Sandbox {
    setup: Setup,
    knobs: Knobs,
    books: Arc<dyn CarrierBooks>,
    /// Messages taken in the second that began then.
    second: Mutex<(Instant, u32)>,
}

impl Sandbox {
    /// Settings that cannot be read count as the defaults.
    pub fn new(setup: &Setup, books: Arc<dyn CarrierBooks>) -> Self {
        let knobs = serde_json::from_value(setup.settings.clone()).unwrap_or_default();
        Sandbox { setup: setup.clone(), knobs, books, second: Mutex::new((Instant::now(), 0)) }
    }

    fn over_throughput(&self) -> bool {
        if self.knobs.per_second == 0 {
            return false;
        }
        let mut second = self.second.lock().unwrap();
        if second.0.elapsed() >= Duration::from_secs(1) {
            *second = (Instant::now(), 0);
        }
        second.1 += 1;
        self.knobs.per_second < second.1
    }
}

/// What the carrier does with one message.
#[derive(Clone, Debug, PartialEq)]
struct Plan {
    answers_after: Duration,
    answer: SendOutcome,
    reaches: bool,
    receipts: Vec<(Duration, ReceiptStatus)>,
}

/// A number from 0 to 1 that depends on nothing but its arguments.
pub fn chance(seed: u64, part: &str, what: &str) -> f64 {
    let digest = Sha256::digest(format!("{seed}/{part}/{what}"));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes) as f64 / u64::MAX as f64
}

/// The end of a number that decides what the carrier does with it.
fn ending(number: &str) -> &str {
    number.get(number.len().saturating_sub(2)..).unwrap_or_default()
}

/// How often the carrier reports each message that this phone writes.
pub fn reports(number: &str) -> i16 {
    if ending(number) == "96" { 3 } else { 1 }
}

/// Whether this phone writes STOP whatever it gets.
pub fn always_stops(number: &str) -> bool {
    ending(number) == "97"
}

fn plan(knobs: &Knobs, envelope: &Envelope) -> Plan {
    use ReceiptStatus::{Delivered, Failed, Sent};
    let part = envelope.key.to_string();
    let spread = knobs.latency_to_ms.saturating_sub(knobs.latency_ms) as f64;
    let latency = knobs.latency_ms as f64 + spread * chance(knobs.seed, &part, "latency");
    let tail = if chance(knobs.seed, &part, "tail") < knobs.long_tail { 10.0 } else { 1.0 };
    let receipt = Duration::from_millis(knobs.receipt_ms);

    let accepted = Plan {
        answers_after: Duration::from_secs_f64(latency * tail / 1000.0),
        answer: SendOutcome::Accepted { provider_ref: Some(format!("sb-{part}")) },
        reaches: true,
        receipts: vec![(receipt, Sent), (receipt * 2, Delivered)],
    };
    let rejected = |class, code: &str| Plan {
        answer: SendOutcome::Rejected { class, code: code.to_owned() },
        reaches: false,
        receipts: vec![],
        ..accepted.clone()
    };
    let dead = |reaches: bool| Plan {
        answers_after: Duration::from_millis(knobs.silence_ms),
        answer: SendOutcome::Unknown { code: "no answer".to_owned() },
        reaches,
        receipts: if reaches { accepted.receipts.clone() } else { vec![] },
    };

    match ending(&envelope.to) {
        "80" => Plan { receipts: vec![(receipt, Sent), (Duration::from_secs(30), Delivered)], ..accepted },
        "81" => Plan { receipts: vec![(receipt, Delivered), (receipt * 2, Sent)], ..accepted },
        "82" => Plan {
            receipts: vec![(receipt, Sent), (receipt, Sent), (receipt * 2, Delivered), (receipt * 2, Delivered)],
            ..accepted
        },
        "83" => Plan { receipts: vec![], ..accepted },
        "84" => Plan { receipts: vec![(receipt, Sent), (receipt * 2, Failed)], reaches: false, ..accepted },
        "90" => rejected(RejectClass::BadAddress, "bad number"),
        "91" => rejected(RejectClass::OptedOut, "opted out"),
        "92" => rejected(RejectClass::WindowClosed, "window closed"),
        "93" if envelope.key.attempt() <= 2 => Plan {
            answer: SendOutcome::RetryLater {
                why: Later::TooFast,
                after: Duration::from_secs(5),
                scope: RetryScope::Recipient,
                code: "too many requests".to_owned(),
            },
            reaches: false,
            receipts: vec![],
            ..accepted
        },
        "94" => dead(true),
        "95" => dead(false),
        _ if chance(knobs.seed, &part, "error") < knobs.error_rate => {
            rejected(RejectClass::Unreachable, "no such subscriber")
        }
        _ => accepted,
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn able(&self) -> Able {
        Able {
            choices: true,
            templates: self.setup.kind == Kind::Whatsapp,
            files: ProviderName::Sandbox.files(self.setup.kind),
            ..Able::TEXT
        }
    }

    async fn templates(&self) -> Option<Result<Vec<Approved>, String>> {
        (self.setup.kind == Kind::Whatsapp).then(|| Ok(samples::approved()))
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        let plan = plan(&self.knobs, envelope);
        let (_, choices) = envelope.content.words();
        let mut handed = Handed {
            channel: self.setup.id,
            phone: envelope.to.clone(),
            part: envelope.key.to_string(),
            text: envelope.content.as_text().into_owned(),
            choices: choices.to_vec(),
            seed: self.knobs.seed,
            reaches: plan.reaches,
            receipts: plan.receipts.clone(),
            stamped_at: DateTime::UNIX_EPOCH,
        };
        if !gate() {
            return None;
        }
        handed.stamped_at = Utc::now();
        if self.over_throughput() {
            let code = "throughput exceeded".to_owned();
            let (why, after) = (Later::TooFast, Duration::from_secs(1));
            return Some(SendOutcome::RetryLater { why, after, scope: RetryScope::Channel, code });
        }
        // The phone has it, or will not, before the answer: as with any carrier.
        if let Err(code) = self.books.enter(handed).await {
            return Some(SendOutcome::Unknown { code });
        }
        tokio::time::sleep(plan.answers_after).await;
        Some(plan.answer)
    }

    fn read(&self, call: &Call<'_>) -> Result<Heard, Forged> {
        // Some write which hash it is in front.
        let signature = call.header(SIGNATURE).map(|text| text.strip_prefix("sha256=").unwrap_or(text));
        let signature = signature.and_then(unhex).ok_or(Forged::BadSignature)?;
        mac(&self.setup.secret, call.body).verify_slice(&signature).map_err(|_| Forged::BadSignature)?;
        let told: Vec<News> = serde_json::from_slice(call.body).map_err(|it| Forged::Unreadable(it.to_string()))?;
        Ok(Heard { events: told.into_iter().filter_map(News::read).collect(), answer: None, ..Heard::default() })
    }
}

/// The header with the signature of a call's body, in lower case.
pub const SIGNATURE: &str = "x-signature-256";

/// News as the carrier writes it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum News {
    Receipt {
        /// [`Handed::part`]
        part: String,
        status: ReceiptStatus,
        code: Option<String>,
    },
    Inbound(Box<Inbound>),
}

impl News {
    /// `None`: it is about a send that is none of ours.
    fn read(self) -> Option<Event> {
        Some(match self {
            News::Receipt { part, status, code } => {
                Event::Receipt(Receipt { code, ..Receipt::of(SendKey::parse(&part)?, status) })
            }
            News::Inbound(inbound) => Event::Inbound(*inbound),
        })
    }
}

/// The body of a call with this news, and its signature.
pub fn webhook(secret: &str, news: &[News]) -> (Vec<u8>, String) {
    let body = serde_json::to_vec(news).unwrap_or_default();
    let signature = mac(secret, &body).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (body, signature)
}

fn mac(secret: &str, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RunId;
    use crate::providers::key::DeliveryKey;
    use crate::providers::{Kind, ProviderName};
    use crate::wording::Content;

    fn envelope(to: &str, seq: i32, attempt: i16) -> Envelope {
        Envelope {
            key: DeliveryKey { run: RunId(1), seq, attempt }.into(),
            to: to.into(),
            content: Content::Text("Hello".into()),
            expires_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn does(to: &str, attempt: i16) -> Plan {
        plan(&Knobs::default(), &envelope(to, 2, attempt))
    }

    #[test]
    fn the_last_two_digits_decide() {
        use ReceiptStatus::*;
        let statuses = |to: &str| does(to, 1).receipts.into_iter().map(|(_, status)| status).collect::<Vec<_>>();
        assert_eq!(statuses("12025550101"), [Sent, Delivered]);
        assert_eq!(statuses("12025550181"), [Delivered, Sent]);
        assert_eq!(statuses("12025550182"), [Sent, Sent, Delivered, Delivered]);
        assert_eq!(statuses("12025550183"), []);
        assert_eq!(statuses("12025550184"), [Sent, Failed]);
        assert_eq!(does("12025550180", 1).receipts[1].0, Duration::from_secs(30));
        for (to, class) in
            [("90", RejectClass::BadAddress), ("91", RejectClass::OptedOut), ("92", RejectClass::WindowClosed)]
        {
            assert!(matches!(does(to, 1).answer, SendOutcome::Rejected { class: it, .. } if it == class));
            assert!(!does(to, 1).reaches);
        }
        assert!(matches!(does("93", 2).answer, SendOutcome::RetryLater { .. }));
        assert!(matches!(does("93", 3).answer, SendOutcome::Accepted { .. }));
        assert!(matches!(does("94", 1), Plan { answer: SendOutcome::Unknown { .. }, reaches: true, .. }));
        assert!(matches!(does("95", 1), Plan { answer: SendOutcome::Unknown { .. }, reaches: false, .. }));
        assert_eq!((reports("12025550196"), reports("12025550197"), reports("6")), (3, 1, 1));
        assert!(always_stops("12025550197") && !always_stops("12025550196") && !always_stops("é7"));
    }

    #[test]
    fn the_same_seed_gives_the_same_run_and_about_the_right_share_of_errors() {
        let knobs = Knobs { error_rate: 0.2, seed: 7, ..Knobs::default() };
        let run = || (0..1000).map(|n| plan(&knobs, &envelope("12025550101", n, 1))).collect::<Vec<_>>();
        let errors = run().iter().filter(|plan| !plan.reaches).count();
        assert!((150..250).contains(&errors), "{errors}");
        assert_eq!(run(), run());
    }

    /// Keeps what is entered.
    #[derive(Default)]
    struct Kept(Mutex<Vec<Handed>>);

    #[async_trait]
    impl CarrierBooks for Kept {
        async fn enter(&self, handed: Handed) -> Result<(), String> {
            self.0.lock().unwrap().push(handed);
            Ok(())
        }
    }

    fn setup() -> Setup {
        Setup {
            id: 1,
            kind: Kind::Sms,
            provider: ProviderName::Sandbox,
            sender: "Bugle".into(),
            secret: "s3cret".to_owned().into(),
            credentials: None,
            settings: serde_json::json!({}),
        }
    }

    #[test]
    fn a_setup_can_be_logged_without_its_secret() {
        let logged = format!("{:?}", setup());
        assert!(logged.contains("Bugle") && !logged.contains("s3cret"), "{logged}");
    }

    #[tokio::test]
    async fn nothing_leaves_by_a_shut_gate_and_what_leaves_is_stamped_behind_it() {
        let books = Arc::new(Kept::default());
        let sandbox = Sandbox::new(&setup(), books.clone());
        assert_eq!(sandbox.send(&envelope("12025550101", 2, 1), &|| false).await, None);
        assert_eq!(books.0.lock().unwrap().len(), 0);
        let asked_at = Mutex::new(None);
        let gate = || asked_at.lock().unwrap().replace(Utc::now()).is_none();
        assert!(sandbox.send(&envelope("12025550101", 2, 1), &gate).await.is_some(), "it is asked once");
        let entered = books.0.lock().unwrap();
        assert!(asked_at.lock().unwrap().unwrap() <= entered[0].stamped_at);
    }

    #[test]
    fn a_forged_or_changed_webhook_is_turned_away() {
        let sandbox = Sandbox::new(&setup(), Arc::new(Kept::default()));
        let delivered = |part: &str| News::Receipt { part: part.into(), status: ReceiptStatus::Delivered, code: None };
        let (body, signature) = webhook("s3cret", &[delivered("1-2-1"), delivered("not ours")]);
        let read = |signature: Option<&str>, body: &[u8]| {
            let headers: Vec<(&str, &str)> = signature.map(|it| (SIGNATURE, it)).into_iter().collect();
            let (url, at) = ("http://localhost/", DateTime::UNIX_EPOCH);
            sandbox.read(&Call { method: "POST", url, headers: &headers, body, at })
        };

        let key = DeliveryKey { run: RunId(1), seq: 2, attempt: 1 };
        let events = vec![Event::Receipt(Receipt::of(key.into(), ReceiptStatus::Delivered))];
        assert_eq!(
            read(Some(&signature), &body),
            Ok(Heard { events: events.clone(), answer: None, ..Heard::default() })
        );
        assert_eq!(
            read(Some(&format!("sha256={signature}")), &body),
            Ok(Heard { events, answer: None, ..Heard::default() })
        );
        assert_eq!(read(None, &body), Err(Forged::BadSignature));
        assert_eq!(read(Some(&webhook("other", &[delivered("1-2-1")]).1), &body), Err(Forged::BadSignature));
        assert_eq!(read(Some(&signature), b"[]"), Err(Forged::BadSignature));
        let (body, signature) = (b"nonsense".to_vec(), webhook("s3cret", &[]).1);
        assert_eq!(read(Some(&signature), &body), Err(Forged::BadSignature));
    }
}
