//! What the statuses of answers mean: SMPP 3.4, 5.1.3.

use std::collections::BTreeMap;

use crate::providers::RejectClass;
use crate::providers::RetryScope;
use crate::providers::class::AnswerMeans;

pub const OK: u32 = 0;
/// What a message is answered with that could not be taken in: it comes again.
pub const TRY_AGAIN: u32 = 0x64;
pub const BAD_LENGTH: u32 = 0x02;
pub const BAD_COMMAND: u32 = 0x03;

/// As operators write it.
pub fn code(status: u32) -> String {
    format!("0x{status:08X}")
}

/// A code as somebody writes it: `0x0000000B`, `0B` with its `0x`, or 11.
pub fn of_text(text: &str) -> Option<u32> {
    let text = text.trim();
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What this operator means by statuses, as its channel says it; see [`AnswerMeans::parse`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusTable(BTreeMap<u32, AnswerMeans>);

impl StatusTable {
    /// Those that cannot be read are none.
    pub fn of(codes: &BTreeMap<String, String>) -> StatusTable {
        let read = |(code, means): (&String, &String)| Some((of_text(code)?, AnswerMeans::parse(means)?));
        StatusTable(codes.iter().filter_map(read).collect())
    }

    /// What a message that was answered so came to.
    pub fn meaning(&self, status: u32) -> AnswerMeans {
        self.0.get(&status).copied().unwrap_or_else(|| meaning(status))
    }

    /// Why a bind is refused: for whatever cause, it is the channel that cannot send.
    pub fn of_bind(&self, status: u32) -> AnswerMeans {
        match self.0.get(&status) {
            Some(means @ AnswerMeans::Rejected(class)) if class.is_of_channel() => *means,
            Some(means @ AnswerMeans::Later { .. }) => *means,
            _ => match status {
                // It takes nobody just now.
                0x08 | 0x14 | 0x58 | 0x64 => AnswerMeans::not_now(RetryScope::Channel),
                _ => AnswerMeans::Rejected(RejectClass::ChannelConfig),
            },
        }
    }
}

fn meaning(status: u32) -> AnswerMeans {
    use RejectClass::{BadAddress, ChannelConfig, Content, Other, Unreachable};
    match status {
        OK => AnswerMeans::Accepted,
        // RTHROTTLED, RMSGQFUL: true for the whole bind.
        0x58 | 0x14 => AnswerMeans::throttled(RetryScope::Channel),
        // The address, its type, its plan: of the person…
        0x0B | 0x50 | 0x51 => AnswerMeans::Rejected(BadAddress),
        // … and ours. A name that is not registered is nobody else's fault.
        0x0A | 0x48 | 0x49 => AnswerMeans::Rejected(ChannelConfig),
        // The bind, the password, the system id, and whether we may send at all.
        0x04 | 0x05 | 0x0D..=0x0F | 0x15 | 0x53 => AnswerMeans::Rejected(ChannelConfig),
        // How long it is.
        0x01 => AnswerMeans::Rejected(Content),
        // An application behind it takes nothing just now; or did not deliver it.
        0x64 => AnswerMeans::not_now(RetryScope::Recipient),
        0xFE => AnswerMeans::Rejected(Unreachable),
        // RSYSERR, RSUBMITFAIL and what each operator uses as it likes: surely refused.
        _ => AnswerMeans::Rejected(Other),
    }
}

/// What a refused bind is about, in words.
pub fn about_bind(status: u32) -> &'static str {
    match status {
        0x05 => "somebody is bound with this system_id already",
        0x0D => "the bind failed",
        0x0E => "the password is wrong",
        0x0F => "the system_id is not known there",
        0x53 => "the system_type is not known there",
        _ => "it refuses the bind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_its_operator_goes_before_the_standard() {
        let codes = [("0x94", "funds"), ("1025", "rate-limited channel 30"), ("0x45", "bad-number"), ("x", "funds")];
        let table = StatusTable::of(&codes.map(|(code, it)| (code.to_owned(), it.to_owned())).into());
        assert_eq!(table.meaning(0x94), AnswerMeans::Rejected(RejectClass::AccountLimit));
        assert_eq!(table.meaning(0x401), AnswerMeans::parse("rate-limited channel 30").unwrap());
        assert_eq!(table.meaning(0x45), AnswerMeans::Rejected(RejectClass::BadAddress));
        assert_eq!(StatusTable::default().meaning(0x45), AnswerMeans::Rejected(RejectClass::Other));
        assert_eq!((code(0x0B), of_text(" 0x0000000b"), of_text("11")), ("0x0000000B".into(), Some(11), Some(11)));
    }

    #[test]
    fn a_refused_bind_is_about_the_channel_and_marks_nobody() {
        let codes = BTreeMap::from([("0x0F".to_owned(), "bad-number".to_owned())]);
        for status in (1..0x110).filter(|it| ![0x08, 0x14, 0x58, 0x64].contains(it)) {
            let means = StatusTable::of(&codes).of_bind(status);
            assert_eq!(means, AnswerMeans::Rejected(RejectClass::ChannelConfig), "{status}");
        }
    }
}
