//! What becomes of messages, as SMSCs tell it: in a text that the standard only suggests (appendix B), and in fields
//! beside it.

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::ids::IdForm;
use super::pdu::{Tlvs, plain, tag};
use crate::providers::key::StatusKey;
use crate::providers::{Receipt, ReceiptStatus, RejectClass};
use crate::wording::letters::Letters;

/// What a text of a receipt calls its parts, by one word each.
const NAMES: [&str; 7] = ["id", "sub", "dlvrd", "stat", "err", "text", "date"];

/// The text of a receipt, of which any part may be missing.
#[derive(Debug, Default, PartialEq)]
pub struct ReceiptText {
    pub id: Option<String>,
    pub stat: Option<String>,
    pub err: Option<String>,
    pub done: Option<String>,
}

impl ReceiptText {
    /// Its octets are ASCII whatever `data_coding` says: that is the message's.
    pub fn read(octets: &[u8]) -> ReceiptText {
        let is_wide = octets.len() >= 8 && octets.chunks_exact(2).take(4).all(|pair| pair.first() == Some(&0));
        let text = if is_wide { Letters::Ucs2.decode(octets) } else { plain(octets) };
        // What the message said comes last, and may look like anything.
        let head = match find(&text, "text") {
            Some((before, _)) => before,
            None => &text,
        };
        let field = |names: &[&str]| {
            let (_, rest) = names.iter().find_map(|name| find(head, name))?;
            let value = rest.split_whitespace().next()?.trim_matches('\0');
            // Nothing stands there, and the next name follows.
            let is_name =
                value.split_once(':').is_some_and(|(it, _)| NAMES.iter().any(|name| name.eq_ignore_ascii_case(it)));
            (!value.is_empty() && !is_name && !value.ends_with(':')).then(|| value.to_owned())
        };
        ReceiptText {
            id: field(&["id"]),
            stat: field(&["stat", "status", "state"]),
            err: field(&["err", "error"]),
            done: field(&["done date", "done_date", "donedate"]),
        }
    }

    /// Whether it is a receipt though nothing else says so.
    pub fn is_one(&self) -> bool {
        self.id.is_some() && self.stat.as_deref().and_then(status_of_word).is_some() && self.done.is_some()
    }
}

/// What stands before `name:` and behind it. The name is a word of its own, in upper or lower case.
fn find<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    // Of the same length, so that places are the same.
    let (lower, name) = (text.to_ascii_lowercase(), format!("{name}:"));
    let mut from = 0;
    loop {
        let at = from + lower.get(from..)?.find(&name)?;
        let before = text.get(..at)?;
        if !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return Some((before, text.get(at + name.len()..)?.trim_start_matches(' ')));
        }
        from = at + name.len();
    }
}

/// By the beginnings of its words: they have seven letters each, more or less.
fn status_of_word(word: &str) -> Option<ReceiptStatus> {
    let word = word.trim().to_ascii_uppercase();
    let begins = |with: &[&str]| with.iter().any(|it| word.starts_with(it));
    if begins(&["DELIV"]) {
        Some(ReceiptStatus::Delivered)
    } else if begins(&["ACCEP", "BUFF", "SCHED", "QUEUE"]) {
        Some(ReceiptStatus::Accepted)
    } else if begins(&["ENROUT", "SUBMIT", "SENT"]) {
        Some(ReceiptStatus::Sent)
    } else if begins(&["EXPIR", "DELET", "UNDEL", "REJEC", "UNKNO", "FAIL", "SKIP"]) {
        Some(ReceiptStatus::Failed)
    } else {
        None
    }
}

/// By `message_state`.
fn status_of_state(state: u16) -> Option<(ReceiptStatus, &'static str)> {
    Some(match state {
        0 => (ReceiptStatus::Accepted, "SCHEDULED"),
        1 => (ReceiptStatus::Sent, "ENROUTE"),
        2 => (ReceiptStatus::Delivered, "DELIVRD"),
        3 => (ReceiptStatus::Failed, "EXPIRED"),
        4 => (ReceiptStatus::Failed, "DELETED"),
        5 => (ReceiptStatus::Failed, "UNDELIV"),
        6 => (ReceiptStatus::Accepted, "ACCEPTD"),
        7 => (ReceiptStatus::Failed, "UNKNOWN"),
        8 => (ReceiptStatus::Failed, "REJECTD"),
        9 => (ReceiptStatus::Failed, "SKIPPED"),
        _ => return None,
    })
}

/// What a failure says of the person.
fn class_of(word: &str) -> Option<RejectClass> {
    let word = word.to_ascii_uppercase();
    if word.starts_with("UNDEL") || word.starts_with("EXPIR") {
        Some(RejectClass::Unreachable)
    } else if word.starts_with("REJEC") {
        Some(RejectClass::Policy)
    } else {
        None
    }
}

/// The receipt, by its text and its fields. `None`: it does not say of which message, or what became of it.
pub fn receipt(text: &ReceiptText, tlvs: &Tlvs, is_between: bool, ids: IdForm, zone: Tz) -> Option<Receipt> {
    let named = tlvs.text(tag::RECEIPTED_MESSAGE_ID);
    let id = ids.of_receipt(text.id.as_deref(), named.as_deref())?;
    let word = text.stat.as_deref().unwrap_or_default();
    let by_text = status_of_word(word).map(|status| (status, word));
    let (status, word) = tlvs.number(tag::MESSAGE_STATE).and_then(status_of_state).or(by_text)?;
    // Whatever it says, the last word follows.
    let status = match status {
        ReceiptStatus::Delivered | ReceiptStatus::Failed if is_between => ReceiptStatus::Sent,
        status => status,
    };
    let code = text.err.clone().or_else(|| match tlvs.get(tag::NETWORK_ERROR_CODE)? {
        [_, high, low] => Some(format!("{:03}", u16::from_be_bytes([*high, *low]))),
        _ => None,
    });
    Some(Receipt {
        code,
        class: class_of(word).filter(|_| status == ReceiptStatus::Failed),
        at: text.done.as_deref().and_then(|done| instant(done, zone)),
        ..Receipt::about(StatusKey::Theirs(id), status)
    })
}

/// `YYMMDDhhmm`, the same with seconds, or either with the whole year. `None` as well where two readings are dates.
pub fn instant(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let read = |text: &str, form: &str| NaiveDateTime::parse_from_str(text, form).ok();
    // Without seconds there is no time to chrono.
    let with_seconds = format!("{text}00");
    let at = match text.len() {
        10 => read(&with_seconds, "%y%m%d%H%M%S"),
        12 => match (read(text, "%y%m%d%H%M%S"), read(&with_seconds, "%Y%m%d%H%M%S")) {
            (Some(_), Some(_)) => None,
            (one, other) => one.or(other),
        },
        14 => read(text, "%Y%m%d%H%M%S"),
        _ => None,
    };
    zone.from_local_datetime(&at?).earliest().map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Option<Receipt> {
        receipt(&ReceiptText::read(text.as_bytes()), &Tlvs::default(), false, IdForm::AsItIs, Tz::UTC)
    }

    #[test]
    fn a_text_is_read_with_whatever_parts_it_has() {
        let whole = "id:0123456789 sub:001 dlvrd:001 submit date:2611280903 done date:2611280904 stat:DELIVRD err:000 text:stat:UNDELIV id:9";
        let it = told(whole).unwrap();
        assert_eq!(it.about, StatusKey::Theirs("0123456789".into()));
        assert_eq!((it.status, it.code.as_deref(), it.class), (ReceiptStatus::Delivered, Some("000"), None));
        assert_eq!(it.at.unwrap().to_rfc3339(), "2026-11-28T09:04:00+00:00");
        let failed = told("ID:a-b Stat:UNDELIV Err:12 Text:").unwrap();
        assert_eq!((failed.status, failed.class), (ReceiptStatus::Failed, Some(RejectClass::Unreachable)));
        assert_eq!((failed.code.as_deref(), failed.at), (Some("12"), None));
        for (word, status) in
            [("ENROUTE", "sent"), ("ACCEPTD", "accepted"), ("EXPIRED", "failed"), ("DELIVERED", "delivered")]
        {
            assert_eq!(told(&format!("id:1 stat:{word}")).unwrap().status.word(), status, "{word}");
        }
        for none in ["", "id:", "id:1", "id:1 stat:SOON", "stat:DELIVRD", "valid:1 stat:DELIVRD", "id: stat:DELIVRD"] {
            assert_eq!(told(none), None, "{none}");
        }
        let wide: Vec<u8> = whole.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(ReceiptText::read(&wide), ReceiptText::read(whole.as_bytes()));
    }

    #[test]
    fn fields_go_before_the_text_and_a_notice_in_between_is_not_the_end() {
        let tlvs = Tlvs(vec![
            (tag::RECEIPTED_MESSAGE_ID, b"7f\0".to_vec()),
            (tag::MESSAGE_STATE, vec![5]),
            (tag::NETWORK_ERROR_CODE, vec![3, 0, 27]),
        ]);
        let read = |is_between| receipt(&ReceiptText::default(), &tlvs, is_between, IdForm::AsItIs, Tz::UTC).unwrap();
        assert_eq!((read(false).status, read(false).code.as_deref()), (ReceiptStatus::Failed, Some("027")));
        assert_eq!((read(true).status, read(true).class), (ReceiptStatus::Sent, None));
    }

    #[test]
    fn dates_are_read_where_there_is_one_reading() {
        let at = |text: &str| instant(text, chrono_tz::Europe::Vienna).map(|at| at.to_rfc3339());
        let ten = Some("2026-11-28T10:00:00+00:00".to_owned());
        for text in ["2611281100", "261128110000", "202611281100", "20261128110000"] {
            assert_eq!(at(text), ten, "{text}");
        }
        for text in
            ["", "201112101112", "0000000000", "261328110000", "26112811", "２６１１２８１１００", "-2611281100"]
        {
            assert_eq!(at(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..200), text in "(id:|stat:|done date:|text:|[a-z0-9: é]){0,12}") {
            ReceiptText::read(&octets);
            told(&text);
        }
    }
}
