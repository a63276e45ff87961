//! Octets of SMS as letters, and back.

use crate::words::words;

words! {
    /// How the letters of a text are octets.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Letters {
        /// The alphabet of 3GPP TS 23.038, a septet an octet.
        #[default]
        Gsm = "gsm" => "GSM 7 bit, one character an octet",
        /// The same, eight septets in seven octets.
        Packed = "packed" => "GSM 7 bit, packed",
        Latin1 = "latin1" => "Latin-1 (ISO 8859-1)",
        Ascii = "ascii" => "ASCII",
        Ucs2 = "ucs2" => "UCS-2",
        Cyrillic = "cyrillic" => "Cyrillic (ISO 8859-5)",
        Hebrew = "hebrew" => "Hebrew (ISO 8859-8)",
        Japanese = "japanese" => "Japanese (Shift JIS)",
        Korean = "korean" => "Korean (KS C 5601)",
    }
}

/// A text, or a piece of one, as it came: a letter may be cut in two between pieces.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Undecoded {
    pub letters: Letters,
    pub octets: Vec<u8>,
}

impl Undecoded {
    pub fn text(&self) -> String {
        self.letters.decode(&self.octets)
    }

    /// With what follows it. `None`: that is of other letters.
    pub fn and(mut self, next: &Undecoded) -> Option<Undecoded> {
        if self.letters != next.letters {
            return None;
        }
        self.octets.extend(&next.octets);
        Some(self)
    }
}

impl Letters {
    /// `None` when it has not all of these letters.
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        let below = |most: u32| text.chars().map(|c| u8::try_from(c).ok().filter(|it| u32::from(*it) < most)).collect();
        match self {
            Letters::Gsm => septets_of(text),
            Letters::Packed => Some(pack(&septets_of(text)?, 0)),
            Letters::Latin1 => below(0x100),
            Letters::Ascii => below(0x80),
            Letters::Ucs2 => Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
            Letters::Cyrillic | Letters::Hebrew | Letters::Japanese | Letters::Korean => None,
        }
    }

    /// What is no letter becomes a sign for one. Octets of nothing at the end are no letters.
    pub fn decode(self, octets: &[u8]) -> String {
        let by = |encoding: &'static encoding_rs::Encoding| encoding.decode_without_bom_handling(octets).0.into_owned();
        let text = match self {
            Letters::Gsm => return text_of(octets),
            Letters::Packed => return text_of(&unpack(octets, 0)),
            Letters::Latin1 | Letters::Ascii => octets.iter().copied().map(char::from).collect(),
            // Some say in front which octet comes first.
            Letters::Ucs2 if octets.starts_with(&[0xFF, 0xFE]) => {
                by(encoding_rs::UTF_16LE).split_off('\u{feff}'.len_utf8())
            }
            Letters::Ucs2 => {
                let octets = octets.strip_prefix(&[0xFE, 0xFF]).unwrap_or(octets);
                let units =
                    octets.chunks_exact(2).map(|it| it.iter().fold(0, |unit, octet| unit << 8 | u16::from(*octet)));
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            Letters::Cyrillic => by(encoding_rs::ISO_8859_5),
            Letters::Hebrew => by(encoding_rs::ISO_8859_8),
            Letters::Japanese => by(encoding_rs::SHIFT_JIS),
            Letters::Korean => by(encoding_rs::EUC_KR),
        };
        text.trim_end_matches('\0').replace('\0', "\u{fffd}")
    }
}

/// Septets of a header that are filled up before a text begins behind it, in bits.
pub fn fill_bits(header: usize) -> usize {
    (7 - header * 8 % 7) % 7
}

const ESCAPE: u8 = 0x1B;

/// By its septet.
const ALPHABET: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{a0}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// Those that stand behind an escape.
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

fn septets_of(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for c in text.chars() {
        if let Some((septet, _)) = EXTENSION.iter().find(|(_, it)| *it == c) {
            septets.extend([ESCAPE, *septet]);
            continue;
        }
        let septet = ALPHABET.iter().position(|it| *it == c).filter(|septet| *septet != usize::from(ESCAPE));
        septets.push(septet? as u8);
    }
    Some(septets)
}

fn text_of(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut them = septets.iter().copied();
    while let Some(septet) = them.next() {
        text.push(match (septet, ALPHABET.get(usize::from(septet))) {
            (ESCAPE, _) => match them.next() {
                // Of what it does not know, a phone shows the letter of the alphabet.
                Some(it) => {
                    let known = EXTENSION.iter().find(|(septet, _)| *septet == it).map(|(_, c)| *c);
                    known.or(ALPHABET.get(usize::from(it)).copied()).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                None => break,
            },
            (_, Some(c)) => *c,
            // No septet: somebody took Latin-1 for one.
            (octet, None) => char::from(octet),
        });
    }
    text
}

/// Eight septets in seven octets, behind some bits that are filled up.
pub fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let mut octets = vec![0; (septets.len() * 7 + fill).div_ceil(8)];
    for (n, septet) in septets.iter().enumerate() {
        let bit = n * 7 + fill;
        let both = u16::from(*septet & 0x7F) << (bit % 8);
        if let Some(octet) = octets.get_mut(bit / 8) {
            *octet |= both as u8;
        }
        if let Some(octet) = octets.get_mut(bit / 8 + 1) {
            *octet |= (both >> 8) as u8;
        }
    }
    octets
}

/// The septets behind some bits that were filled up. Bits that were left at the end are no letter.
pub fn unpack(octets: &[u8], fill: usize) -> Vec<u8> {
    let n = (octets.len() * 8).saturating_sub(fill) / 7;
    let septet = |n: usize| {
        let bit = n * 7 + fill;
        let octet = |at: usize| octets.get(at).copied().map_or(0, u16::from);
        ((octet(bit / 8) | octet(bit / 8 + 1) << 8) >> (bit % 8)) as u8 & 0x7F
    };
    let mut septets: Vec<u8> = (0..n).map(septet).collect();
    let left_over = n > 0 && (octets.len() * 8 - fill).is_multiple_of(7);
    if left_over && matches!(septets.last(), Some(0 | 0x0D)) {
        septets.pop();
    }
    septets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wording::{Encoding, segments};

    #[test]
    fn the_alphabet_is_that_which_texts_are_counted_by() {
        for c in (0..0x1_0000).filter_map(char::from_u32) {
            let text = c.to_string();
            let counted = segments(&text);
            let encoded = Letters::Gsm.encode(&text);
            assert_eq!(encoded.is_some(), counted.encoding == Encoding::Gsm7, "{c:?}");
            if let Some(octets) = encoded {
                assert_eq!((octets.len(), Letters::Gsm.decode(&octets)), (counted.units, text), "{c:?}");
            }
        }
    }

    #[test]
    fn octets_that_are_none_of_the_alphabet_are_read_all_the_same() {
        assert_eq!(Letters::Gsm.decode(b"a\x1b\x65 \x00 \xe4 \x1b"), "a€ @ ä ");
        assert_eq!(Letters::Gsm.decode(b"\x1bA\x1b\xff"), "A\u{fffd}");
        assert_eq!(Letters::Latin1.decode(b"a\0b\0\0"), "a\u{fffd}b");
        assert_eq!(Letters::Ucs2.decode(b"\x00a\xd8\x3d\x00b\x00"), "a\u{fffd}b");
        assert_eq!(Letters::Ucs2.decode(b"\xfe\xff\x00a"), "a");
        assert_eq!(Letters::Ucs2.decode(b"\xff\xfea\x00"), "a");
        assert_eq!(Letters::Hebrew.decode(b"\xf9"), "ש");
    }

    #[test]
    fn septets_are_packed_as_the_standard_shows_it() {
        assert_eq!(Letters::Packed.encode("hellohello").unwrap(), b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37");
        assert_eq!(Letters::Packed.decode(b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37"), "hellohello");
        assert_eq!([5, 6, 7].map(fill_bits), [2, 1, 0]);
    }

    #[test]
    fn a_letter_that_was_cut_in_two_is_whole_again() {
        let piece = |octets: &[u8]| Undecoded { letters: Letters::Ucs2, octets: octets.to_vec() };
        assert_eq!(piece(b"\x00a\xd8\x3d").and(&piece(b"\xde\x31")).unwrap().text(), "a😱");
        assert_eq!(piece(b"").and(&Undecoded { letters: Letters::Gsm, octets: Vec::new() }), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "([a-z €\\[@Δ]){0,80}", fill in 0..7_usize) {
            let septets = Letters::Gsm.encode(&text).unwrap();
            prop_assert_eq!(&Letters::Gsm.decode(&septets), &text);
            let unpacked = unpack(&pack(&septets, fill), fill);
            // An @ that fills the last octet cannot be told from nothing.
            prop_assert_eq!(unpacked.iter().rev().skip_while(|it| **it == 0).count(), septets.iter().rev().skip_while(|it| **it == 0).count());
            prop_assert!(septets.starts_with(&unpacked) || unpacked.starts_with(&septets));
        }

        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..200), fill in 0..7_usize) {
            for letters in Letters::ALL {
                prop_assert!(!letters.decode(&octets).contains('\0'));
            }
            unpack(&octets, fill);
        }
    }
}
