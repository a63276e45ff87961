//! Texts as parts that an SMSC takes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU16, Ordering};

use super::pdu::{SHORT, Tlvs, tag};
use crate::wording::letters::{Letters, fill_bits, pack};
use crate::wording::{Encoding, segments, split_as};
use crate::words::words;

words! {
    /// How an SMSC wants texts that are longer than one SMS.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum LongTexts {
        #[default]
        Udh = "udh" => "In parts with a user data header (UDH)",
        Sar = "sar" => "In parts with sar_ parameters",
        Payload = "payload" => "Whole, in message_payload",
    }
}

/// Parts of a text at most: their number is one octet.
const MOST: usize = 255;
const WITH_HEADER: u8 = 0x40;

/// What of a part depends on its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartBody {
    pub esm_class: u8,
    pub data_coding: u8,
    pub short: Vec<u8>,
    pub tlvs: Tlvs,
}

/// The parts of a text, in their order. `reference` is what they have in common. `None`: they would be too many.
///
/// A text that the alphabet of the phones does not have, or that of the SMSC, travels as UCS-2: an SMSC would put
/// question marks for letters that it has and phones have not.
pub fn parts(text: &str, alphabet: Letters, long: LongTexts, reference: u16) -> Option<Vec<PartBody>> {
    let fits = segments(text).encoding == Encoding::Gsm7 && alphabet.encode(text).is_some();
    let (encoding, letters, data_coding) =
        if fits { (Encoding::Gsm7, alphabet, 0) } else { (Encoding::Ucs2, Letters::Ucs2, 8) };
    let pieces = split_as(text, encoding);
    let alone = |tlvs: Tlvs, short: Vec<u8>| PartBody { data_coding, short, tlvs, ..PartBody::default() };
    let whole = letters.encode(text)?;
    if pieces.len() == 1 && whole.len() <= SHORT {
        return Some(vec![alone(Tlvs::default(), whole)]);
    }
    if long == LongTexts::Payload {
        let is_short_enough = whole.len() <= usize::from(u16::MAX);
        return is_short_enough.then(|| vec![alone(Tlvs(vec![(tag::MESSAGE_PAYLOAD, whole)]), Vec::new())]);
    }
    let of = u8::try_from(pieces.len()).ok().filter(|of| usize::from(*of) <= MOST)?;
    let part = |(n, piece): (usize, &&str)| {
        let n = n as u8 + 1;
        Some(match long {
            LongTexts::Sar => {
                let fields = [
                    (tag::SAR_MSG_REF_NUM, reference.to_be_bytes().to_vec()),
                    (tag::SAR_TOTAL_SEGMENTS, vec![of]),
                    (tag::SAR_SEGMENT_SEQNUM, vec![n]),
                ];
                alone(Tlvs(fields.to_vec()), letters.encode(piece)?)
            }
            LongTexts::Udh | LongTexts::Payload => {
                let mut short = vec![5, 0, 3, reference as u8, of, n];
                match letters {
                    Letters::Packed => short.extend(pack(&Letters::Gsm.encode(piece)?, fill_bits(short.len()))),
                    letters => short.extend(letters.encode(piece)?),
                }
                PartBody { esm_class: WITH_HEADER, ..alone(Tlvs::default(), short) }
            }
        })
    };
    pieces.iter().enumerate().map(part).collect()
}

/// References of texts. Those of two texts to one person, one after the other, are never the same: a phone would put
/// their parts together.
pub struct TextReferences {
    /// Whoever has the same place here counts along.
    next: Vec<AtomicU16>,
    places: RandomState,
}

/// Places: two octets each.
const PLACES: u64 = 4096;

impl Default for TextReferences {
    fn default() -> Self {
        // Another process begins elsewhere.
        TextReferences {
            next: (0..PLACES).map(|_| AtomicU16::new(rand::random())).collect(),
            places: RandomState::new(),
        }
    }
}

impl TextReferences {
    pub fn next(&self, to: &str) -> u16 {
        let place = (self.places.hash_one(to) % PLACES) as usize;
        self.next.get(place).map_or(0, |next| next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, alphabet: Letters, long: LongTexts) -> Vec<PartBody> {
        parts(text, alphabet, long, 0x1FE).unwrap()
    }

    #[test]
    fn a_short_text_is_one_and_in_the_letters_of_its_operator() {
        let one = |text: &str, alphabet| {
            let them = of(text, alphabet, LongTexts::Udh);
            assert_eq!((them.len(), them[0].esm_class), (1, 0));
            (them[0].data_coding, them[0].short.clone())
        };
        assert_eq!(one("ü@€", Letters::Gsm), (0, b"\x7e\x00\x1b\x65".to_vec()));
        assert_eq!(one("ü@", Letters::Latin1), (0, b"\xfc@".to_vec()));
        assert_eq!(one("ü", Letters::Ascii), (8, b"\x00\xfc".to_vec()));
        assert_eq!(one("€", Letters::Latin1), (8, b"\x20\xac".to_vec()));
        assert_eq!(one("á", Letters::Latin1), (8, b"\x00\xe1".to_vec()), "no phone's alphabet has it");
        assert_eq!(one("hellohello", Letters::Packed), (0, b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37".to_vec()));
        assert_eq!(one("", Letters::Gsm), (0, Vec::new()));
    }

    #[test]
    fn a_long_one_is_cut_as_its_operator_wants_it() {
        let text = "a".repeat(307);
        let udh = of(&text, Letters::Gsm, LongTexts::Udh);
        assert_eq!(udh.iter().map(|it| it.short.len()).collect::<Vec<_>>(), [159, 159, 7]);
        assert_eq!((udh[2].esm_class, &udh[2].short[..]), (0x40, &b"\x05\x00\x03\xfe\x03\x03a"[..]));
        let sar = of(&text, Letters::Gsm, LongTexts::Sar);
        assert_eq!((sar.len(), sar[1].esm_class, sar[1].short.len()), (3, 0, 153));
        let field = |tag| sar[1].tlvs.get(tag).unwrap().to_vec();
        assert_eq!(
            [tag::SAR_MSG_REF_NUM, tag::SAR_TOTAL_SEGMENTS, tag::SAR_SEGMENT_SEQNUM].map(field),
            [vec![1, 0xFE], vec![3], vec![2]]
        );
        let payload = of(&text, Letters::Gsm, LongTexts::Payload);
        assert_eq!((payload.len(), payload[0].short.len()), (1, 0));
        assert_eq!(payload[0].tlvs.get(tag::MESSAGE_PAYLOAD), Some(text.as_bytes()));
        assert_eq!(of(&"€".repeat(80), Letters::Gsm, LongTexts::Payload)[0].short.len(), 160);
        assert_eq!(parts(&"a".repeat(153 * 255 + 1), Letters::Gsm, LongTexts::Udh, 1), None);
    }

    #[test]
    fn two_texts_to_one_person_never_have_the_same_reference() {
        let references = TextReferences::default();
        let mut last = references.next("353861234567") as u8;
        for n in 0..1000 {
            references.next(&n.to_string());
            let next = references.next("353861234567") as u8;
            // 255 others in the same place between the two would be needed.
            assert_ne!(next, last);
            last = next;
        }
    }

    proptest! {
        #[test]
        fn parts_fit_and_join_to_the_text(text in "([a-z €\\[ü]|\\PC|👍|я){0,500}", n in 0..3_usize, a in 0..4_usize) {
            let long = LongTexts::ALL[n];
            let alphabet = [Letters::Gsm, Letters::Packed, Letters::Latin1, Letters::Ascii][a];
            let mut joined = String::new();
            for part in of(&text, alphabet, long) {
                let letters = if part.data_coding == 8 { Letters::Ucs2 } else { alphabet };
                let header = if part.esm_class == 0x40 { 6 } else { 0 };
                let most = match letters {
                    Letters::Ucs2 | Letters::Packed => 140,
                    _ => 160,
                };
                prop_assert!(part.short.len() <= most);
                let octets = match part.tlvs.get(tag::MESSAGE_PAYLOAD) { Some(it) => it, None => &part.short[header..] };
                if letters == Letters::Packed && header > 0 {
                    joined.push_str(&Letters::Gsm.decode(&crate::wording::letters::unpack(octets, fill_bits(header))));
                } else {
                    joined.push_str(&letters.decode(octets));
                }
            }
            prop_assume!(!text.contains('\0'));
            // An @ at the end of packed octets cannot be told from nothing.
            prop_assert_eq!(joined.trim_end_matches('\0'), &text[..]);
        }
    }
}
