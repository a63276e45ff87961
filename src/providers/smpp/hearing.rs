//! What messages say that an SMSC brings: receipts, and what people write.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::ids::IdForm;
use super::pdu::{Message, tag};
use super::receipts::{ReceiptText, receipt};
use crate::providers::{Event, Inbound, TextPart};
use crate::wording::letters::{Letters, Undecoded, fill_bits, unpack};

/// Seconds within which the same words of the same person are one message: SMSCs name none.
const ONE_MESSAGE: i64 = 10;
/// The same of a piece of a text. Its reference comes round only after some hundred texts, so that there is time enough
/// to be told again.
const ONE_PIECE: i64 = 24 * 60 * 60;

/// How it is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Hearing {
    /// What `data_coding` 0 means.
    pub alphabet: Letters,
    /// Of dates in receipts.
    pub zone: Tz,
    pub ids: IdForm,
}

impl Hearing {
    pub fn read(&self, message: &Message, at: DateTime<Utc>) -> Event {
        self.receipt(message).unwrap_or_else(|| self.written(message, at))
    }

    /// `None`: somebody wrote it.
    fn receipt(&self, message: &Message) -> Option<Event> {
        let kind = message.esm_class & 0x3C;
        let is_named = message.tlvs.get(tag::RECEIPTED_MESSAGE_ID).is_some();
        let octets = match header(message) {
            Some((_, n)) => message.octets().get(n..).unwrap_or_default(),
            None => message.octets(),
        };
        let text = ReceiptText::read(octets);
        // Acknowledged by a phone, or by somebody on it: of use only where it says of what.
        let is_notice = matches!(kind, 0x08 | 0x10 | 0x18);
        let is_receipt = matches!(kind, 0x04 | 0x20) || is_notice || is_named || text.is_one();
        if !is_receipt {
            return None;
        }
        let Some(mut it) = receipt(&text, &message.tlvs, kind == 0x20, self.ids, self.zone) else {
            return Some(Event::Other(format!("a receipt that does not say of what, or what: {text:?}")));
        };
        it.to = Some(message.from.text()).filter(|to| !to.is_empty());
        Some(Event::Receipt(it))
    }

    fn written(&self, message: &Message, at: DateTime<Utc>) -> Event {
        let from = message.from.text();
        if from.is_empty() {
            return Event::Other("a message that names nobody".to_owned());
        }
        let (part, begins_at) = header(message).unwrap_or_default();
        let part = part.or_else(|| of_fields(message));
        let octets = message.octets().get(begins_at..).unwrap_or_default();
        let undecoded = match letters(message.data_coding, self.alphabet, octets) {
            // Its pieces begin at bits of their own.
            Letters::Packed => {
                let fill = if begins_at == 0 { 0 } else { fill_bits(begins_at) };
                Undecoded { letters: Letters::Gsm, octets: unpack(octets, fill) }
            }
            letters => Undecoded { letters, octets: octets.to_vec() },
        };
        let seconds = if part.is_some() { ONE_PIECE } else { ONE_MESSAGE };
        let name = format!("{from}\n{}\n{part:?}\n{}\n", message.to.text(), at.timestamp() / seconds);
        let digest = Sha256::new().chain_update(name).chain_update(message.octets()).finalize();
        Event::Inbound(Inbound {
            id: digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
            from,
            to: Some(message.to.text()).filter(|to| !to.is_empty()),
            text: undecoded.text(),
            octets: part.is_some().then_some(Box::new(undecoded)),
            part,
            ..Inbound::default()
        })
    }
}

/// How the octets of a text are letters. Values that SMPP keeps for later are those of the GSM scheme (3GPP TS 23.038, 4),
/// which operators pass on as they are.
fn letters(coding: u8, alphabet: Letters, octets: &[u8]) -> Letters {
    let by_bits = |coding: u8| match coding & 0x0C {
        0x04 => Letters::Latin1,
        0x08 => Letters::Ucs2,
        _ => alphabet,
    };
    let letters = match coding {
        0x00 => alphabet,
        0x01 => Letters::Ascii,
        // Octets of nothing in particular: what is read of them is better than nothing.
        0x02..=0x04 => Letters::Latin1,
        0x05 | 0x0A | 0x0D => Letters::Japanese,
        0x06 => Letters::Cyrillic,
        0x07 => Letters::Hebrew,
        0x08 => Letters::Ucs2,
        0x0E => Letters::Korean,
        0x09 | 0x0B | 0x0C | 0x0F => alphabet,
        0x10..=0x7F => by_bits(coding),
        0x80..=0xDF => alphabet,
        0xE0..=0xEF => Letters::Ucs2,
        0xF0..=0xFF if coding & 0x04 != 0 => Letters::Latin1,
        0xF0..=0xFF => alphabet,
    };
    // Marked as what an answer to it would be in: no text of two octets a letter is so.
    let is_plain = |octet: &u8| matches!(octet, b' '..=b'~' | b'\n' | b'\r');
    if letters == Letters::Ucs2 && octets.len() % 2 == 1 && octets.iter().all(is_plain) {
        return Letters::Ascii;
    }
    letters
}

/// The header in front of a text: which part it is, where it says so, and how many octets it takes.
fn header(message: &Message) -> Option<(Option<TextPart>, usize)> {
    let octets = message.octets();
    // Some do not say that it is there.
    let looks_so = octets.starts_with(&[5, 0, 3]) || octets.starts_with(&[6, 8, 4]);
    if message.esm_class & 0x40 == 0 && !looks_so {
        return None;
    }
    let n = usize::from(*octets.first()?);
    let mut elements = octets.get(1..=n)?;
    let mut part = None;
    while let [element, long, rest @ ..] = elements {
        let long = usize::from(*long).min(rest.len());
        let (value, next) = rest.split_at(long);
        let found = match (element, value) {
            (0x00, [reference, of, n]) => text_part(u16::from(*reference), *of, *n),
            (0x08, [high, low, of, n]) => text_part(u16::from_be_bytes([*high, *low]), *of, *n),
            _ => None,
        };
        part = part.or(found);
        elements = next;
    }
    let is_there = message.esm_class & 0x40 != 0 || part.is_some();
    is_there.then_some((part, n + 1))
}

fn of_fields(message: &Message) -> Option<TextPart> {
    let number = |tag| message.tlvs.number(tag);
    let (of, n) = (number(tag::SAR_TOTAL_SEGMENTS)?, number(tag::SAR_SEGMENT_SEQNUM)?);
    text_part(number(tag::SAR_MSG_REF_NUM)?, u8::try_from(of).ok()?, u8::try_from(n).ok()?)
}

/// `None`: it is the whole text.
fn text_part(reference: u16, of: u8, n: u8) -> Option<TextPart> {
    let is_part = 1 < of && (1..=of).contains(&n);
    is_part.then(|| TextPart { of_text: reference.to_string(), n: u16::from(n), of: u16::from(of) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pdu::{SmscAddress, Tlvs};
    use super::*;

    fn hearing(alphabet: Letters) -> Hearing {
        Hearing { alphabet, zone: Tz::UTC, ids: IdForm::AsItIs }
    }

    fn message(esm_class: u8, data_coding: u8, short: &[u8]) -> Message {
        let from = SmscAddress { ton: 1, npi: 1, address: "353861234567".into() };
        Message { from, esm_class, data_coding, short: short.to_vec(), ..Message::default() }
    }

    fn heard(alphabet: Letters, it: &Message) -> Inbound {
        match hearing(alphabet).read(it, DateTime::UNIX_EPOCH) {
            Event::Inbound(it) => it,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn letters_are_those_of_the_coding_and_of_the_operator() {
        let text = |alphabet, coding, octets: &[u8]| heard(alphabet, &message(0, coding, octets)).text;
        assert_eq!(text(Letters::Gsm, 0, b"S\x7e\x00"), "Sü@");
        assert_eq!(text(Letters::Latin1, 0, b"S\xfc@"), "Sü@");
        assert_eq!(text(Letters::Gsm, 3, b"S\xfc{"), "Sü{");
        assert_eq!(text(Letters::Packed, 0, &Letters::Packed.encode("Süd €5").unwrap()), "Süd €5");
        for flash in [0x10, 0xF0, 0xF1, 0xC8, 0xD0] {
            assert_eq!(text(Letters::Gsm, flash, b"\x7b"), "ä", "{flash:x}");
        }
        for wide in [8, 0x18, 0x19, 0xE0] {
            assert_eq!(text(Letters::Gsm, wide, b"\x04\x1f"), "П", "{wide:x}");
        }
        assert_eq!(text(Letters::Gsm, 0xF5, b"\xe4"), "ä");
        assert_eq!(text(Letters::Gsm, 8, b"hello"), "hello", "no such text has an odd number of octets");
        assert_eq!(text(Letters::Gsm, 6, b"\xbf"), "П");
    }

    #[test]
    fn a_part_says_so_in_a_header_or_in_fields() {
        let part = |it: &Message| heard(Letters::Gsm, it).part.map(|it| (it.of_text, it.n, it.of));
        let second = Some(("258".to_owned(), 2, 3));
        assert_eq!(part(&message(0x40, 0, b"\x06\x08\x04\x01\x02\x03\x02abc")), second);
        assert_eq!(part(&message(0x40, 0, b"\x05\x00\x03\x07\x03\x02abc")), Some(("7".into(), 2, 3)));
        assert_eq!(part(&message(0, 0, b"\x05\x00\x03\x07\x03\x02abc")), Some(("7".into(), 2, 3)));
        let ports = message(0x40, 0, b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x07\x03\x02abc");
        assert_eq!((part(&ports), heard(Letters::Gsm, &ports).text), (Some(("7".into(), 2, 3)), "abc".into()));
        let fields = [
            (tag::SAR_MSG_REF_NUM, vec![1, 2]),
            (tag::SAR_TOTAL_SEGMENTS, vec![3]),
            (tag::SAR_SEGMENT_SEQNUM, vec![2]),
        ];
        let tlvs = Tlvs(fields.to_vec());
        assert_eq!(part(&Message { tlvs, ..message(0, 0, b"abc") }), second);
        // One of one, none of three, and a header that is longer than all of it.
        for whole in [&b"\x05\x00\x03\x07\x01\x01abc"[..], b"\x05\x00\x03\x07\x03\x00abc", b"\x50\x00\x03abc"] {
            assert_eq!(part(&message(0x40, 0, whole)), None, "{whole:x?}");
        }
        assert_eq!(heard(Letters::Gsm, &message(0x40, 0, b"\x05\x00\x03\x07\x01\x01abc")).text, "abc");
        assert_eq!(heard(Letters::Gsm, &message(0, 0, b"\x05\x04\x02")).text, "éè$".to_owned(), "no header");
        // Septets begin behind the bits that fill the header up.
        let septets = Letters::Gsm.encode("Nächster Halt").unwrap();
        let packed = [&b"\x05\x00\x03\x07\x03\x02"[..], &crate::wording::letters::pack(&septets, 1)].concat();
        assert_eq!(heard(Letters::Packed, &message(0x40, 0, &packed)).text, "Nächster Halt");
    }

    #[test]
    fn told_again_it_has_the_same_name_and_other_words_have_another() {
        let name = |it: &Message, at: i64| {
            let at = DateTime::from_timestamp(at, 0).unwrap();
            match hearing(Letters::Gsm).read(it, at) {
                Event::Inbound(it) => it.id,
                other => panic!("{other:?}"),
            }
        };
        let ok = message(0, 0, b"ok");
        assert_eq!(name(&ok, 100), name(&ok, 109));
        assert_ne!(name(&ok, 100), name(&ok, 110));
        assert_ne!(name(&ok, 100), name(&message(0, 0, b"OK"), 100));
        let piece = |n: u8| message(0x40, 0, &[5, 0, 3, 7, 2, n, b'a']);
        assert_eq!(name(&piece(1), 100), name(&piece(1), 4_000), "pieces are told again later as well");
        assert_ne!(name(&piece(1), 100), name(&piece(2), 100));
    }

    #[test]
    fn what_says_nothing_of_a_message_is_no_words_of_a_person() {
        for it in [message(0x04, 0, b"hello"), message(0x08, 0, b"read"), message(0x20, 0, b"")] {
            assert!(matches!(hearing(Letters::Gsm).read(&it, DateTime::UNIX_EPOCH), Event::Other(_)), "{it:?}");
        }
        // Without the bits that say so.
        let bare = message(0, 0, b"id:7 submit date:2611280903 done date:2611280904 stat:DELIVRD err:000");
        assert!(matches!(hearing(Letters::Gsm).read(&bare, DateTime::UNIX_EPOCH), Event::Receipt(_)));
    }

    proptest! {
        #[test]
        fn any_octets_are_heard(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
            (esm_class, coding) in any::<(u8, u8)>(),
        ) {
            for alphabet in Letters::ALL {
                hearing(alphabet).read(&message(esm_class, coding, &octets), DateTime::UNIX_EPOCH);
            }
        }
    }
}
