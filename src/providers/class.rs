//! What an answer of a provider means, as adapters and their tables of codes say it.

use std::time::Duration;

use super::{Later, RejectClass, RetryScope, SendOutcome};

/// How long is waited where the provider says no time.
const A_WHILE: Duration = Duration::from_secs(5);

/// What an answer, or a code in it, means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnswerMeans {
    Accepted,
    Rejected(RejectClass),
    Later {
        why: Later,
        scope: RetryScope,
        /// `None`: the provider says no time.
        after: Option<Duration>,
    },
    /// It may have been taken.
    Unknown,
}

impl AnswerMeans {
    /// Too fast, for all that this much of us sends.
    pub fn throttled(scope: RetryScope) -> AnswerMeans {
        AnswerMeans::Later { why: Later::TooFast, scope, after: None }
    }

    /// Surely not taken, and worth another try.
    pub fn not_now(scope: RetryScope) -> AnswerMeans {
        AnswerMeans::Later { why: Later::NotNow, scope, after: None }
    }

    /// The same, and the provider says how long to wait.
    pub fn after(self, wait: Option<Duration>) -> AnswerMeans {
        match self {
            AnswerMeans::Later { why, scope, after } => AnswerMeans::Later { why, scope, after: after.or(wait) },
            it => it,
        }
    }

    /// As tables of codes say it: `bad-number`, `credentials`, `rate-limited account 60`, `temporary channel`,
    /// `unknown-fate`, … The scope is the channel where none is named, the seconds whatever the answer says.
    pub fn parse(text: &str) -> Option<AnswerMeans> {
        let mut words = text.split_whitespace();
        let word = words.next()?;
        let (mut scope, mut after) = (RetryScope::Channel, None);
        for more in words {
            match (more, more.parse::<u64>()) {
                (_, Ok(seconds)) => after = Some(Duration::from_secs(seconds)),
                ("recipient", _) => scope = RetryScope::Recipient,
                ("sender", _) => scope = RetryScope::Sender,
                ("channel", _) => scope = RetryScope::Channel,
                ("account", _) => scope = RetryScope::Account,
                _ => return None,
            }
        }
        Some(match word {
            "accepted" => AnswerMeans::Accepted,
            "unknown-fate" => AnswerMeans::Unknown,
            "rate-limited" => AnswerMeans::Later { why: Later::TooFast, scope, after },
            "temporary" => AnswerMeans::Later { why: Later::NotNow, scope, after },
            class => AnswerMeans::Rejected(RejectClass::of_word(class)?),
        })
    }

    /// What a send that was answered so came to.
    pub fn outcome(self, reference: Option<String>, code: String) -> SendOutcome {
        match self {
            AnswerMeans::Accepted => SendOutcome::Accepted { provider_ref: reference },
            AnswerMeans::Rejected(class) => SendOutcome::Rejected { class, code },
            AnswerMeans::Later { why, scope, after } => {
                SendOutcome::RetryLater { why, after: after.unwrap_or(A_WHILE), scope, code }
            }
            AnswerMeans::Unknown => SendOutcome::Unknown { code },
        }
    }

    /// Whose fault it is, where it says that a message failed.
    pub fn class(self) -> Option<RejectClass> {
        match self {
            AnswerMeans::Rejected(class) => Some(class),
            AnswerMeans::Accepted | AnswerMeans::Later { .. } | AnswerMeans::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_as_tables_write_it() {
        assert_eq!(AnswerMeans::parse("bad-number"), Some(AnswerMeans::Rejected(RejectClass::BadAddress)));
        assert_eq!(AnswerMeans::parse("credentials sender"), Some(AnswerMeans::Rejected(RejectClass::ChannelConfig)));
        let after = Some(Duration::from_secs(60));
        let limited = AnswerMeans::Later { why: Later::TooFast, scope: RetryScope::Account, after };
        assert_eq!(AnswerMeans::parse(" rate-limited account 60 "), Some(limited));
        assert_eq!(AnswerMeans::parse("temporary"), Some(AnswerMeans::not_now(RetryScope::Channel)));
        for wrong in ["", "sent", "bad-number tomorrow"] {
            assert_eq!(AnswerMeans::parse(wrong), None, "{wrong}");
        }
    }
}
