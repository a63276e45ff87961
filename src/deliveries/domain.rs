use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::ids::{ContactId, LeaseId, RunId};
use crate::providers::{Later, ReceiptStatus, RejectClass, RetryScope, SendOutcome};
use crate::runs::RunState;

/// How long we listen to a provider that does not answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Outlives the call and the writing down of its result, so that a living sender keeps its lease.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Why a contact is unconfirmed of which the database knows less than somebody else did.
pub const LOST: &str = "the database lost what it knew of it";
/// How often a provider may say "later" about one recipient before the recipient is given up.
const MAX_REFUSALS: i16 = 5;
/// A recipient for whom it was too much is asked about so seldom at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// A lease as its holder knows it. Its number alone does not name it: after history was lost,
/// numbers are given out a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    pub id: LeaseId,
    pub process: Uuid,
    pub taken_at: DateTime<Utc>,
}

/// The right to send to some contacts of a run once.
#[derive(Clone, Debug)]
pub struct Claim {
    pub run: RunId,
    pub lease: Lease,
    /// 1 for the first try at these contacts.
    pub attempt: i16,
    /// None of them begins before this instant, so that rates and limits hold.
    pub begins_at: Option<DateTime<Utc>>,
    /// None begins at or after this one: a hold begins, or the window ends.
    pub until: DateTime<Utc>,
    pub contacts: Vec<ClaimedContact>,
    /// Whether consent was asked for after the claim had committed. Where it was not, nothing may begin.
    pub seen: bool,
}

/// A claimed contact as the claim found it.
#[derive(Clone, Debug)]
pub struct ClaimedContact {
    pub seq: i32,
    /// Its number among all contacts.
    pub contact: ContactId,
    pub address: String,
    /// Field name to text.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// Why it must not be sent to, if so, and what more there is to say about it.
    pub barred: Option<(Outcome, Option<String>)>,
    /// How often its provider has said "later" about it.
    pub refusals: i16,
}

/// The final word on a delivery. The codes are exported and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Delivered,
    Invalid,
    Unavailable,
    NetworkError,
    Expired,
    InvalidMessage,
    InvalidContact,
    Overrun,
    Blocklisted,
    Profanity,
    Rejected,
    Unconfirmed,
    Stopped,
    NoGroup,
    DuplicateInFile,
    OptedOut,
    WindowClosed,
    Replaced,
    FrequencyCap,
    Busy,
    Doubted,
}

impl Outcome {
    pub const ALL: [Outcome; 21] = [
        Outcome::Delivered,
        Outcome::Invalid,
        Outcome::Unavailable,
        Outcome::NetworkError,
        Outcome::Expired,
        Outcome::InvalidMessage,
        Outcome::InvalidContact,
        Outcome::Overrun,
        Outcome::Blocklisted,
        Outcome::Profanity,
        Outcome::Rejected,
        Outcome::Unconfirmed,
        Outcome::Stopped,
        Outcome::NoGroup,
        Outcome::DuplicateInFile,
        Outcome::OptedOut,
        Outcome::WindowClosed,
        Outcome::Replaced,
        Outcome::FrequencyCap,
        Outcome::Busy,
        Outcome::Doubted,
    ];

    pub fn code(self) -> i16 {
        match self {
            Outcome::Delivered => 0,
            Outcome::Invalid => 1,
            Outcome::Unavailable => 2,
            Outcome::NetworkError => 3,
            Outcome::Expired => 5,
            Outcome::InvalidMessage => 6,
            Outcome::InvalidContact => 7,
            Outcome::Overrun => 9,
            Outcome::Blocklisted => 10,
            Outcome::Profanity => 11,
            Outcome::Rejected => 12,
            Outcome::Unconfirmed => 14,
            Outcome::Stopped => 20,
            Outcome::NoGroup => 21,
            Outcome::DuplicateInFile => 22,
            Outcome::OptedOut => 23,
            Outcome::WindowClosed => 24,
            Outcome::Replaced => 25,
            Outcome::FrequencyCap => 26,
            Outcome::Busy => 27,
            Outcome::Doubted => 28,
        }
    }

    pub fn of_code(code: i16) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.code() == code)
    }

    /// Whether the person surely has not got it, and another channel may reach them.
    pub fn is_unreached(self) -> bool {
        match self {
            Outcome::Invalid
            | Outcome::Unavailable
            | Outcome::NetworkError
            | Outcome::Expired
            | Outcome::InvalidContact
            | Outcome::Rejected
            | Outcome::WindowClosed => true,
            Outcome::Delivered
            | Outcome::InvalidMessage
            | Outcome::Overrun
            | Outcome::Blocklisted
            | Outcome::Profanity
            | Outcome::Unconfirmed
            | Outcome::Stopped
            | Outcome::NoGroup
            | Outcome::DuplicateInFile
            | Outcome::OptedOut
            | Outcome::Replaced
            | Outcome::FrequencyCap
            | Outcome::Busy
            | Outcome::Doubted => false,
        }
    }

    /// Which of the counts it belongs to.
    pub fn group(self) -> OutcomeGroup {
        match self {
            Outcome::Delivered => OutcomeGroup::Delivered,
            Outcome::Unconfirmed => OutcomeGroup::Unconfirmed,
            Outcome::InvalidMessage
            | Outcome::Blocklisted
            | Outcome::DuplicateInFile
            | Outcome::OptedOut
            | Outcome::WindowClosed
            | Outcome::Replaced
            | Outcome::FrequencyCap
            | Outcome::Busy
            | Outcome::Doubted
            | Outcome::Profanity => OutcomeGroup::Skipped,
            Outcome::Invalid
            | Outcome::Unavailable
            | Outcome::NetworkError
            | Outcome::Expired
            | Outcome::InvalidContact
            | Outcome::Rejected => OutcomeGroup::Failed,
            Outcome::NoGroup => OutcomeGroup::NoGroup,
            Outcome::Overrun | Outcome::Stopped => OutcomeGroup::Unsent,
        }
    }

    /// The name on the screen and in exports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Invalid => "invalid",
            Outcome::Unavailable => "unavailable",
            Outcome::NetworkError => "network error",
            Outcome::Expired => "expired",
            Outcome::InvalidMessage => "invalid message",
            Outcome::InvalidContact => "invalid contact",
            Outcome::Overrun => "overrun",
            Outcome::Blocklisted => "blocklisted",
            Outcome::Profanity => "profanity",
            Outcome::Rejected => "rejected",
            Outcome::Unconfirmed => "unconfirmed",
            Outcome::Stopped => "stopped",
            Outcome::NoGroup => "no group",
            Outcome::DuplicateInFile => "duplicate in file",
            Outcome::OptedOut => "opted out meanwhile",
            Outcome::WindowClosed => "window closed",
            Outcome::Replaced => "replaced",
            Outcome::FrequencyCap => "frequency cap",
            Outcome::Busy => "busy elsewhere",
            Outcome::Doubted => "consent in doubt",
        }
    }

    /// Why, in a sentence for the person who asks why somebody got nothing.
    pub fn why(self) -> &'static str {
        match self {
            Outcome::Delivered => "The phone confirmed it.",
            Outcome::Invalid => "The provider says the address does not exist.",
            Outcome::Unavailable => "The provider could not reach the phone.",
            Outcome::NetworkError => "The provider asked to try later, and every later try was refused too.",
            Outcome::Expired => "It could not be delivered in time.",
            Outcome::InvalidMessage => {
                "A value that the text needs is missing in the contact's row, and there is no fallback."
            }
            Outcome::InvalidContact => "The row has no usable address.",
            Outcome::Overrun => "The end time came first.",
            Outcome::Blocklisted => "The address is on the blocklist.",
            Outcome::Profanity => "The text was held back.",
            Outcome::Rejected => "The provider refused it.",
            Outcome::Unconfirmed => {
                "It may have been sent: the connection or the process died before the provider's answer. It is not sent again by itself."
            }
            Outcome::Stopped => "It was stopped before this contact's turn.",
            Outcome::NoGroup => "No schedule serves the row's group.",
            Outcome::DuplicateInFile => "The address stands in the file twice.",
            Outcome::OptedOut => "The person opted out before their turn.",
            Outcome::WindowClosed => "The channel's messaging window with this person was closed.",
            Outcome::Replaced => "Another file or campaign took this one's place before its turn.",
            Outcome::FrequencyCap => "The person has got as many messages lately as this installation allows.",
            Outcome::Busy => "The person's turn in another campaign was still to come.",
            Outcome::Doubted => {
                "The person seems to have opted out in words of their own. Somebody has to decide, in the inbox."
            }
        }
    }
}

/// What the counts of a run sort final words into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeGroup {
    Delivered,
    Failed,
    /// Not attempted, for a reason known beforehand.
    Skipped,
    /// No schedule was to send to it. It stands in the ledger of the first, and counts for none.
    NoGroup,
    Unconfirmed,
    /// Its turn never came. Follows from the state of the run and is never written on a row.
    Unsent,
}

/// All that a ledger row says about its fate. Both `None`: nothing is known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// 1 accepted by the provider, 2 sent on by it, 3 read by the person.
    pub progress: Option<i16>,
    pub outcome: Option<Outcome>,
}

impl Word {
    pub const ACCEPTED: Word = Word { progress: Some(1), outcome: None };
    pub const SENT: Word = Word { progress: Some(2), outcome: None };
    /// The phone has it, and somebody has looked at it.
    pub const READ: Word = Word { progress: Some(3), outcome: Some(Outcome::Delivered) };

    pub fn finally(outcome: Outcome) -> Word {
        Word { progress: None, outcome: Some(outcome) }
    }
}

/// What the claim's holder learned about one contact.
#[derive(Clone, Debug)]
pub struct Settled {
    pub lease: Lease,
    pub run: RunId,
    pub seq: i32,
    pub attempt: i16,
    /// How often its provider had said "later" about it before.
    pub refusals: i16,
    pub fate: Fate,
    /// When it was handed to the provider; `None` if it was not.
    pub begun_at: Option<DateTime<Utc>>,
    /// Whether a bot took its first turn in it.
    pub opens: bool,
}

/// Where a delivery goes after a try.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Accepted {
        provider_ref: Option<String>,
    },
    /// A final word; `detail` is the provider's code or ours.
    Final {
        outcome: Outcome,
        detail: Option<String>,
    },
    /// Proven not processed: another try at `at`. `refused`: it was this recipient that
    /// the provider would not take now, so that it counts.
    Later {
        at: DateTime<Utc>,
        refused: bool,
        detail: Option<String>,
    },
}

impl Fate {
    /// It was claimed and not handed over: it goes back as it was.
    pub fn not_begun(at: DateTime<Utc>) -> Fate {
        Fate::Later { at, refused: false, detail: Some("not begun in time".to_owned()) }
    }

    /// It was claimed, and then nobody could be asked whether it still may leave. A moment later: each
    /// claim counts as an attempt, and their number ends at 32,767.
    pub fn not_asked(now: DateTime<Utc>) -> Fate {
        let at = now + TimeDelta::seconds(1);
        Fate::Later { at, refused: false, detail: Some("consent could not be asked".to_owned()) }
    }

    /// Whether the provider, and not our own list, said that the person opted out.
    pub fn is_news_of_an_opt_out(&self) -> bool {
        matches!(self, Fate::Final { outcome: Outcome::OptedOut, detail: Some(_) })
    }
}

/// Decides what follows a try at a recipient about whom the provider has said "later"
/// `refusals` times before. What it says of the whole channel is no fault of theirs.
pub fn fate(refusals: i16, sent: SendOutcome, now: DateTime<Utc>) -> Fate {
    match sent {
        SendOutcome::Accepted { provider_ref } => Fate::Accepted { provider_ref },
        // Nobody would get it through, so it says nothing about this one.
        SendOutcome::Rejected { class, code } if class.is_of_channel() => {
            Fate::Later { at: now, refused: false, detail: Some(code) }
        }
        SendOutcome::Rejected { class, code } => Fate::Final { outcome: Outcome::failed(class), detail: Some(code) },
        // Too much for this one person just now says nothing about whether they can be reached: more and more slowly.
        SendOutcome::RetryLater { why: Later::TooFast, scope: RetryScope::Recipient, after, code } => {
            let wait = after.saturating_mul(1 << refusals.clamp(0, 10)).min(LONGEST_WAIT);
            Fate::Later { at: now + wait, refused: true, detail: Some(code) }
        }
        SendOutcome::RetryLater { scope: RetryScope::Recipient, code, .. } if MAX_REFUSALS <= refusals + 1 => {
            Fate::Final {
                outcome: Outcome::NetworkError,
                detail: Some(format!("gave up after {MAX_REFUSALS} tries: {code}")),
            }
        }
        SendOutcome::RetryLater { after, scope, code, .. } => {
            Fate::Later { at: now + after, refused: scope == RetryScope::Recipient, detail: Some(code) }
        }
        SendOutcome::Unknown { code } => Fate::Final { outcome: Outcome::Unconfirmed, detail: Some(code) },
    }
}

impl Outcome {
    /// What it comes to when a provider refuses a message, at once or after it had taken it.
    pub fn failed(class: RejectClass) -> Outcome {
        match class {
            RejectClass::OptedOut => Outcome::OptedOut,
            RejectClass::BadAddress => Outcome::Invalid,
            RejectClass::Unreachable => Outcome::Unavailable,
            RejectClass::WindowClosed => Outcome::WindowClosed,
            RejectClass::Template
            | RejectClass::Content
            | RejectClass::Policy
            | RejectClass::ChannelConfig
            | RejectClass::AccountLimit
            | RejectClass::Misset
            | RejectClass::Other => Outcome::Rejected,
        }
    }
}

/// The part of a limit that is everybody's: who wants less takes less, and leaves the
/// rest to the others. `None` when there is enough for all.
pub fn even_part(limit: f64, demands: &mut [f64]) -> Option<f64> {
    demands.sort_unstable_by(f64::total_cmp);
    let mut left = limit;
    for (n, demand) in demands.iter().enumerate() {
        let even = left / (demands.len() - n) as f64;
        if even < *demand {
            return Some(even);
        }
        left -= demand;
    }
    None
}

/// What a receipt makes of what is known: upwards only. `None` when it says nothing new.
///
/// `class`: whose fault it is, where it failed.
pub fn merge(known: Word, status: ReceiptStatus, class: Option<RejectClass>) -> Option<Word> {
    let open = matches!(known.outcome, None | Some(Outcome::Unconfirmed));
    match status {
        ReceiptStatus::Accepted if open && known.progress.is_none() => Some(Word::ACCEPTED),
        ReceiptStatus::Sent if open && known.progress != Some(2) => Some(Word::SENT),
        ReceiptStatus::Accepted | ReceiptStatus::Sent => None,
        // Good news wins over any bad news, early or late: the phone has it.
        ReceiptStatus::Delivered if known.outcome == Some(Outcome::Delivered) => None,
        ReceiptStatus::Delivered => Some(Word { outcome: Some(Outcome::Delivered), ..known }),
        // Whoever has read it has it.
        ReceiptStatus::Read => (known != Word::READ).then_some(Word::READ),
        ReceiptStatus::Failed if open => {
            let outcome = class.map_or(Outcome::Unavailable, Outcome::failed);
            Some(Word { outcome: Some(outcome), ..known })
        }
        ReceiptStatus::Failed => None,
    }
}

/// Where a contact of a run stands, for the ledger page: what the row says, or
/// what follows from the run when the row says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Planned,
    InFlight,
    Retrying,
    /// Its turn came at a time at which it could not be sent, and comes again.
    Held,
    Accepted,
    Sent,
    /// Delivered, and looked at.
    Read,
    Final(Outcome),
}

/// What is on record about one contact of a run.
#[derive(Clone, Copy, Debug)]
pub struct OnRecord {
    pub word: Word,
    /// The try it waits for, if it waits for one: 1 when it was never tried.
    pub waits_for: Option<i16>,
    /// The run's cursor has passed it.
    pub claimed: bool,
}

impl Standing {
    /// Where a contact of a run in this state stands. `ledger.sql` asks the same
    /// of many rows at once; a story holds the two against each other.
    pub fn of(on_record: OnRecord, run: &RunState) -> Standing {
        let OnRecord { word, waits_for, claimed } = on_record;
        match (word.outcome, word.progress) {
            (Some(Outcome::Delivered), Some(3)) => return Standing::Read,
            (Some(outcome), _) => return Standing::Final(outcome),
            (None, Some(2..)) => return Standing::Sent,
            (None, Some(_)) => return Standing::Accepted,
            (None, None) if claimed && waits_for.is_none() => return Standing::InFlight,
            (None, None) => {}
        }
        match run {
            RunState::Overrun { .. } => Standing::Final(Outcome::Overrun),
            RunState::Stopped { .. } => Standing::Final(Outcome::Stopped),
            RunState::Waiting | RunState::Running | RunState::Paused { .. } | RunState::Completed { .. } => {
                match waits_for {
                    None => Standing::Planned,
                    Some(1) => Standing::Held,
                    Some(_) => Standing::Retrying,
                }
            }
        }
    }

    /// The final word, where there is one.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Standing::Final(outcome) => Some(outcome),
            Standing::Read => Some(Outcome::Delivered),
            Standing::Planned
            | Standing::InFlight
            | Standing::Retrying
            | Standing::Held
            | Standing::Accepted
            | Standing::Sent => None,
        }
    }

    /// The code of the outcome, or a negative number of our own before there is one, and for one that was read.
    pub fn code(self) -> i16 {
        match self {
            Standing::Planned => -1,
            Standing::InFlight => -2,
            Standing::Retrying => -3,
            Standing::Accepted => -4,
            Standing::Sent => -5,
            Standing::Held => -6,
            Standing::Read => -7,
            Standing::Final(outcome) => outcome.code(),
        }
    }

    pub fn of_code(code: i16) -> Option<Standing> {
        Standing::all().find(|standing| standing.code() == code)
    }

    pub fn all() -> impl Iterator<Item = Standing> {
        let open = [
            Standing::Planned,
            Standing::InFlight,
            Standing::Retrying,
            Standing::Held,
            Standing::Accepted,
            Standing::Sent,
            Standing::Read,
        ];
        open.into_iter().chain(Outcome::ALL.map(Standing::Final))
    }

    /// How it is marked on the screen, beside its name.
    pub fn tone(&self) -> &'static str {
        match self {
            Standing::Planned | Standing::InFlight | Standing::Retrying | Standing::Held => "open",
            Standing::Accepted | Standing::Sent | Standing::Read => "good",
            Standing::Final(outcome) => match outcome.group() {
                OutcomeGroup::Delivered => "good",
                OutcomeGroup::Failed => "bad",
                OutcomeGroup::Unconfirmed => "warn",
                OutcomeGroup::Unsent => "warn",
                OutcomeGroup::Skipped | OutcomeGroup::NoGroup => "",
            },
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Standing::Planned => "planned",
            Standing::InFlight => "in flight",
            Standing::Retrying => "waiting for another try",
            Standing::Held => "held",
            Standing::Accepted => "accepted",
            Standing::Sent => "sent",
            Standing::Read => "read",
            Standing::Final(outcome) => outcome.name(),
        }
    }

    pub fn why(&self) -> &'static str {
        match self {
            Standing::Planned => "Its turn has not come.",
            Standing::InFlight => "Handed to the provider; no answer yet.",
            Standing::Retrying => "The provider asked to try later; nothing was processed.",
            Standing::Held => "Its turn came at a time at which it may not be sent. It comes again.",
            Standing::Accepted => "The provider took it. No receipt yet.",
            Standing::Sent => "The provider sent it on to the phone. No receipt from the phone yet.",
            Standing::Read => "The phone confirmed it, and somebody has looked at it.",
            Standing::Final(outcome) => outcome.why(),
        }
    }
}

/// Which rows of a ledger somebody wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// The audience: all but those in no group.
    #[default]
    All,
    /// Taken by the provider, whatever came of it later short of failing.
    Sent,
    Delivered,
    Failed,
    Skipped,
    Unsent,
    Unconfirmed,
    InFlight,
    Retrying,
    /// Those that no schedule was to send to.
    NoGroup,
    Outcome(Outcome),
}

impl Show {
    /// Those that have a number of their own above the rows.
    pub const COUNTED: [Show; 9] = [
        Show::All,
        Show::Sent,
        Show::Delivered,
        Show::Failed,
        Show::Skipped,
        Show::Unconfirmed,
        Show::InFlight,
        Show::Unsent,
        Show::NoGroup,
    ];

    /// The word in URLs; `outcome-12` for one outcome.
    pub fn word(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Show::All => "all",
            Show::Sent => "sent",
            Show::Delivered => "delivered",
            Show::Failed => "failed",
            Show::Skipped => "skipped",
            Show::Unsent => "unsent",
            Show::Unconfirmed => "unconfirmed",
            Show::InFlight => "in-flight",
            Show::Retrying => "retrying",
            Show::NoGroup => "no-group",
            Show::Outcome(outcome) => return Cow::Owned(format!("outcome-{}", outcome.code())),
        })
    }

    pub fn of_word(word: &str) -> Option<Show> {
        if let Some(code) = word.strip_prefix("outcome-") {
            return Outcome::of_code(code.parse().ok()?).map(Show::Outcome);
        }
        Show::COUNTED.into_iter().chain([Show::Retrying]).find(|show| show.word() == word)
    }

    /// The word on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Show::All => "Audience",
            Show::Sent => "Sent",
            Show::Delivered => "Delivered",
            Show::Failed => "Failed",
            Show::Skipped => "Skipped",
            Show::Unsent => "Unsent",
            Show::Unconfirmed => "Unconfirmed",
            Show::InFlight => "In flight",
            Show::Retrying => "Waiting for another try",
            Show::NoGroup => "In no group",
            Show::Outcome(outcome) => outcome.name(),
        }
    }

    /// How many of these the counts know of. `None` for single outcomes, which they do not tell apart, and
    /// for those in no group where there are no groups.
    pub fn count(self, counts: &Counts) -> Option<i64> {
        match self {
            Show::All => Some(counts.audience),
            Show::Sent => Some(counts.sent()),
            Show::Delivered => Some(counts.delivered),
            Show::Failed => Some(counts.failed),
            Show::Skipped => Some(counts.skipped),
            Show::Unsent => Some(counts.unsent()),
            Show::Unconfirmed => Some(counts.unconfirmed),
            Show::InFlight => Some(counts.in_flight()),
            Show::Retrying => Some(counts.retrying),
            Show::NoGroup => Some(counts.no_group).filter(|n| *n > 0),
            Show::Outcome(_) => None,
        }
    }

    pub fn shows(self, standing: Standing) -> bool {
        let group = standing.outcome().map(Outcome::group);
        match self {
            Show::All => group != Some(OutcomeGroup::NoGroup),
            Show::Sent => {
                matches!(standing, Standing::Accepted | Standing::Sent) || group == Some(OutcomeGroup::Delivered)
            }
            Show::Delivered => group == Some(OutcomeGroup::Delivered),
            Show::Failed => group == Some(OutcomeGroup::Failed),
            Show::Skipped => group == Some(OutcomeGroup::Skipped),
            Show::Unsent => {
                matches!(standing, Standing::Planned | Standing::Retrying | Standing::Held)
                    || group == Some(OutcomeGroup::Unsent)
            }
            Show::Unconfirmed => group == Some(OutcomeGroup::Unconfirmed),
            Show::InFlight => standing == Standing::InFlight,
            Show::Retrying => matches!(standing, Standing::Retrying | Standing::Held),
            Show::NoGroup => group == Some(OutcomeGroup::NoGroup),
            Show::Outcome(outcome) => standing.outcome() == Some(outcome),
        }
    }
}

/// The counts of a run, or of several added up.
///
/// `audience` = [`sent`](Counts::sent) + `failed` + `skipped` + `unconfirmed` +
/// [`in_flight`](Counts::in_flight) + [`unsent`](Counts::unsent), always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub audience: i64,
    /// Contacts that no claim has reached.
    pub unclaimed: i64,
    /// With the provider, without a final word.
    pub accepted: i64,
    pub delivered: i64,
    pub failed: i64,
    /// Not attempted, for a reason known beforehand.
    pub skipped: i64,
    pub unconfirmed: i64,
    /// Waiting for another try.
    pub retrying: i64,
    /// Beside the audience: in the ledger, and in no group that a schedule sends to.
    pub no_group: i64,
}

impl Counts {
    /// Taken by the provider, whatever came of it later short of failing.
    pub fn sent(&self) -> i64 {
        self.accepted + self.delivered
    }

    pub fn unsent(&self) -> i64 {
        self.unclaimed + self.retrying
    }

    /// Contacts about which there is a word, final or not.
    pub fn settled(&self) -> i64 {
        self.sent() + self.failed + self.skipped + self.unconfirmed
    }

    pub fn in_flight(&self) -> i64 {
        self.audience - self.settled() - self.unsent()
    }
}

/// What a write does to the counts of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CountChange {
    pub counts: Counts,
    /// The same by outcome, for groups that have more than one.
    pub outcomes: BTreeMap<Outcome, i64>,
}

impl CountChange {
    /// `n` rows came to this outcome.
    pub fn of(outcome: Outcome, n: i64) -> CountChange {
        let mut change = CountChange::default();
        change.add(Word::finally(outcome), n);
        change
    }

    /// `n` rows went onto the list of those that wait for another try.
    pub fn retrying(n: i64) -> CountChange {
        CountChange { counts: Counts { retrying: n, ..Counts::default() }, ..CountChange::default() }
    }

    /// Adds `n` (perhaps negative) to the counts that a row with this word is in.
    pub fn add(&mut self, word: Word, n: i64) {
        let counts = &mut self.counts;
        let group = word.outcome.map(Outcome::group);
        let count = match group {
            None if word.progress.is_some() => &mut counts.accepted,
            None | Some(OutcomeGroup::Unsent) => return,
            Some(OutcomeGroup::Delivered) => &mut counts.delivered,
            Some(OutcomeGroup::Unconfirmed) => &mut counts.unconfirmed,
            Some(OutcomeGroup::Skipped) => &mut counts.skipped,
            Some(OutcomeGroup::NoGroup) => &mut counts.no_group,
            Some(OutcomeGroup::Failed) => &mut counts.failed,
        };
        *count += n;
        if let (Some(outcome), Some(OutcomeGroup::Skipped | OutcomeGroup::NoGroup | OutcomeGroup::Failed)) =
            (word.outcome, group)
        {
            *self.outcomes.entry(outcome).or_default() += n;
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Counts;

    fn add(self, other: Counts) -> Counts {
        Counts {
            audience: self.audience + other.audience,
            unclaimed: self.unclaimed + other.unclaimed,
            accepted: self.accepted + other.accepted,
            delivered: self.delivered + other.delivered,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            unconfirmed: self.unconfirmed + other.unconfirmed,
            retrying: self.retrying + other.retrying,
            no_group: self.no_group + other.no_group,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Later;

    fn now() -> DateTime<Utc> {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn codes_and_outcomes_go_both_ways() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::of_code(outcome.code()), Some(outcome));
        }
        assert_eq!(Outcome::of_code(4), None);
    }

    #[test]
    fn only_a_proven_refusal_is_tried_again_and_not_for_ever() {
        let later = |refusals, scope| {
            let (why, after) = (Later::NotNow, Duration::from_secs(5));
            let sent = SendOutcome::RetryLater { why, after, scope, code: "429".into() };
            fate(refusals, sent, now())
        };
        let again = |refused| Fate::Later { at: now() + TimeDelta::seconds(5), refused, detail: Some("429".into()) };
        assert_eq!(later(0, RetryScope::Recipient), again(true));
        assert_eq!(later(3, RetryScope::Recipient), again(true));
        let Fate::Final { outcome: Outcome::NetworkError, detail } = later(4, RetryScope::Recipient) else { panic!() };
        assert_eq!(detail.as_deref(), Some("gave up after 5 tries: 429"));
        assert_eq!(later(1000, RetryScope::Channel), again(false), "nobody is given up because a channel is busy");
        let unknown = fate(1, SendOutcome::Unknown { code: "timeout".into() }, now());
        assert!(matches!(unknown, Fate::Final { outcome: Outcome::Unconfirmed, .. }));
    }

    #[test]
    fn nobody_is_given_up_because_they_got_much_lately() {
        let wait = |refusals| {
            let (why, scope, after) = (Later::TooFast, RetryScope::Recipient, Duration::from_secs(6));
            match fate(refusals, SendOutcome::RetryLater { why, after, scope, code: "131056".into() }, now()) {
                Fate::Later { at, refused: true, .. } => (at - now()).num_seconds(),
                fate => panic!("{fate:?}"),
            }
        };
        assert_eq!([0, 1, 4, 9, 1_000].map(wait), [6, 12, 96, 3_072, 3_600]);
    }

    #[test]
    fn a_limit_is_shared_evenly_and_who_wants_less_leaves_the_rest_to_the_others() {
        assert_eq!(even_part(60.0, &mut [600.0, 60.0]), Some(30.0));
        assert_eq!(even_part(60.0, &mut [600.0, 6.0, 60.0]), Some(27.0));
        assert_eq!(even_part(60.0, &mut [40.0, 20.0]), None);
        assert_eq!(even_part(1.0, &mut [10.0, 10.0, 10.0, 10.0]), Some(0.25));
        assert_eq!(even_part(60.0, &mut []), None);
    }

    #[test]
    fn receipts_move_a_delivery_upwards_only() {
        use ReceiptStatus::*;
        let merge = |known, status| super::merge(known, status, None);
        let delivered = Word { progress: Some(1), outcome: Some(Outcome::Delivered) };
        let failed = Word { progress: Some(1), outcome: Some(Outcome::Unavailable) };
        let unconfirmed = Word::finally(Outcome::Unconfirmed);
        let rejected = Word::finally(Outcome::Rejected);

        assert_eq!(merge(Word::ACCEPTED, Sent), Some(Word::SENT));
        assert_eq!(merge(Word::SENT, Sent), None);
        assert_eq!(merge(delivered, Sent), None);
        assert_eq!(merge(delivered, Failed), None);
        assert_eq!(merge(delivered, Delivered), None);
        assert_eq!(merge(failed, Delivered), Some(delivered));
        assert_eq!(merge(failed, Sent), None);
        assert_eq!(merge(rejected, Failed), None);
        assert_eq!(merge(Word::ACCEPTED, Failed), Some(failed));
        // A receipt resolves what was unconfirmed, and may even come before the answer.
        assert_eq!(merge(unconfirmed, Sent), Some(Word::SENT));
        assert_eq!(merge(unconfirmed, Delivered).unwrap().outcome, Some(Outcome::Delivered));
        assert_eq!(merge(Word::default(), Delivered).unwrap().outcome, Some(Outcome::Delivered));
        // That it was taken is news only where nothing is known, and whoever has read it has it.
        assert_eq!(merge(Word::default(), Accepted), Some(Word::ACCEPTED));
        assert_eq!(merge(unconfirmed, Accepted), Some(Word::ACCEPTED));
        assert_eq!((merge(Word::SENT, Accepted), merge(delivered, Accepted)), (None, None));
        for known in [Word::default(), Word::SENT, delivered, failed, unconfirmed] {
            assert_eq!(merge(known, Read), Some(Word::READ));
        }
        assert_eq!([Accepted, Sent, Delivered, Read, Failed].map(|status| merge(Word::READ, status)), [None; 5]);
        // Whose fault it is decides what it is called.
        let failed = |class| super::merge(Word::ACCEPTED, Failed, Some(class)).unwrap().outcome;
        assert_eq!(failed(RejectClass::BadAddress), Some(Outcome::Invalid));
        assert_eq!(failed(RejectClass::WindowClosed), Some(Outcome::WindowClosed));
        assert_eq!(failed(RejectClass::ChannelConfig), Some(Outcome::Rejected));
    }

    #[test]
    fn a_row_that_says_nothing_is_explained_by_its_run() {
        let at = now();
        let states = [
            RunState::Waiting,
            RunState::Running,
            RunState::Paused { since: at },
            RunState::Overrun { at },
            RunState::Stopped { at },
        ];
        let names = |word, waits_for, claimed| {
            states.map(|run| Standing::of(OnRecord { word, waits_for, claimed }, &run).name())
        };
        let nothing = Word::default();
        assert_eq!(names(nothing, None, false), ["planned", "planned", "planned", "overrun", "stopped"]);
        assert_eq!(names(nothing, None, true), ["in flight"; 5], "it left before the end, so the end says nothing");
        let waits = "waiting for another try";
        assert_eq!(names(nothing, Some(2), true), [waits, waits, waits, "overrun", "stopped"]);
        assert_eq!(names(nothing, Some(1), true), ["held", "held", "held", "overrun", "stopped"]);
        assert_eq!(names(Word::ACCEPTED, None, true), ["accepted"; 5]);
        assert_eq!(names(Word::SENT, None, true), ["sent"; 5]);
        assert_eq!(names(Word::finally(Outcome::Rejected), None, true), ["rejected"; 5]);
    }

    #[test]
    fn codes_and_standings_go_both_ways() {
        for standing in Standing::all() {
            assert_eq!(Standing::of_code(standing.code()), Some(standing));
        }
        assert_eq!(Standing::all().count(), 7 + Outcome::ALL.len());
    }

    #[test]
    fn every_standing_is_in_exactly_one_of_the_groups_that_make_up_the_audience() {
        let parts = [Show::Sent, Show::Failed, Show::Skipped, Show::Unconfirmed, Show::InFlight, Show::Unsent];
        for standing in Standing::all() {
            // Whoever is in no group is counted beside it.
            let is_in = standing != Standing::Final(Outcome::NoGroup);
            assert_eq!(parts.iter().filter(|show| show.shows(standing)).count(), usize::from(is_in), "{standing:?}");
            assert_eq!((Show::All.shows(standing), Show::NoGroup.shows(standing)), (is_in, !is_in), "{standing:?}");
        }
    }

    #[test]
    fn what_to_show_goes_into_an_address_and_back() {
        for show in Show::COUNTED.into_iter().chain([Show::Retrying, Show::Outcome(Outcome::OptedOut)]) {
            assert_eq!(Show::of_word(&show.word()), Some(show));
        }
        for strange in ["", "everything", "outcome-", "outcome-4", "outcome-x"] {
            assert_eq!(Show::of_word(strange), None, "{strange}");
        }
    }

    #[test]
    fn the_counts_always_add_up_to_the_audience() {
        let mut change = CountChange {
            counts: Counts { audience: 40, unclaimed: 5, retrying: 2, ..Counts::default() },
            ..CountChange::default()
        };
        change.add(Word::ACCEPTED, 3);
        for outcome in Outcome::ALL {
            change.add(Word::finally(outcome), 1);
        }
        change.add(Word::finally(Outcome::Rejected), 1);
        let counts = change.counts;
        assert_eq!(counts.sent() + counts.failed + counts.skipped + counts.unconfirmed, counts.settled());
        assert_eq!(counts.settled() + counts.in_flight() + counts.unsent(), 40);
        let of = |group| change.outcomes.iter().filter(|it| it.0.group() == group).map(|it| it.1).sum::<i64>();
        assert_eq!((of(OutcomeGroup::Failed), of(OutcomeGroup::Skipped)), (counts.failed, counts.skipped));
        assert_eq!(change.outcomes[&Outcome::Rejected], 2);
    }
}
