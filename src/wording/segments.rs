//! How many SMS a text is.

/// How the characters of an SMS travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Septets of the alphabet in 3GPP TS 23.038; a few characters take two.
    Gsm7,
    /// Units of 16 bits, for a text with any character outside that alphabet.
    Ucs2,
}

impl Encoding {
    pub fn label(self) -> &'static str {
        match self {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "Unicode",
        }
    }

    /// Units in a single SMS, and in each of several: the header that joins them takes its share.
    fn limits(self) -> (usize, usize) {
        match self {
            Encoding::Gsm7 => (160, 153),
            Encoding::Ucs2 => (70, 67),
        }
    }

    fn units(self, c: char) -> usize {
        match self {
            Encoding::Gsm7 => septets(c).unwrap_or(1),
            Encoding::Ucs2 => c.len_utf16(),
        }
    }
}

/// What a text costs as SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    pub encoding: Encoding,
    /// Septets or 16-bit units of the whole text.
    pub units: usize,
    /// At least 1: an empty text is sent too.
    pub parts: usize,
    pub per_part_limit: usize,
    /// Units that still fit into the last part. Growing from one part to two makes parts smaller.
    pub left_in_last: usize,
    /// The first character for which the text had to be [`Encoding::Ucs2`].
    pub forced_by: Option<char>,
}

/// Counts the SMS that `text` will be.
pub fn segments(text: &str) -> Segments {
    let (segments, _) = cut(text, encoding_of(text), |_| {});
    segments
}

/// The parts as they will be sent. Joined they are `text`; no character is cut in two.
pub fn split(text: &str) -> Vec<&str> {
    split_as(text, encoding_of(text))
}

/// The same for a text that travels so. What is outside the alphabet of [`Encoding::Gsm7`] counts as one of its
/// characters.
pub fn split_as(text: &str, encoding: Encoding) -> Vec<&str> {
    let mut parts = Vec::new();
    let (_, last) = cut(text, encoding, |part| parts.push(part));
    parts.push(last);
    parts
}

fn encoding_of(text: &str) -> Encoding {
    if text.chars().all(|c| septets(c).is_some()) { Encoding::Gsm7 } else { Encoding::Ucs2 }
}

/// Tells `full` each part but the last, which it returns.
///
/// A character of two units never straddles parts: phones would show neither half.
fn cut<'a>(text: &'a str, encoding: Encoding, mut full: impl FnMut(&'a str)) -> (Segments, &'a str) {
    let forced_by = text.chars().find(|c| septets(*c).is_none());
    let units = text.chars().map(|c| encoding.units(c)).sum();
    let (single, each) = encoding.limits();
    let per_part_limit = if units <= single { single } else { each };

    let (mut parts, mut part, mut rest, mut used) = (1, 0, text, 0);
    for c in text.chars() {
        if used + encoding.units(c) > per_part_limit {
            let (whole, after) = rest.split_at(part);
            full(whole);
            (parts, part, rest, used) = (parts + 1, 0, after, 0);
        }
        part += c.len_utf8();
        used += encoding.units(c);
    }
    let segments = Segments { encoding, units, parts, per_part_limit, left_in_last: per_part_limit - used, forced_by };
    (segments, rest)
}

/// Septets of a character of the default alphabet and its extension; `None` outside both.
fn septets(c: char) -> Option<usize> {
    match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | ' ' | '\n' | '\r' => Some(1),
        '!' | '"' | '#' | '$' | '%' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | '-' | '.' | '/' => Some(1),
        ':' | ';' | '<' | '=' | '>' | '?' | '@' | '_' | '¡' | '¿' | '£' | '¥' | '¤' | '§' => Some(1),
        'à' | 'è' | 'é' | 'ì' | 'ò' | 'ù' | 'ä' | 'ö' | 'ü' | 'ñ' | 'å' | 'æ' | 'ø' | 'ß' => Some(1),
        'Ä' | 'Ö' | 'Ü' | 'Ñ' | 'Å' | 'Æ' | 'Ø' | 'É' | 'Ç' => Some(1),
        'Δ' | 'Φ' | 'Γ' | 'Λ' | 'Ω' | 'Π' | 'Ψ' | 'Σ' | 'Θ' | 'Ξ' => Some(1),
        '^' | '{' | '}' | '\\' | '[' | ']' | '~' | '|' | '€' | '\u{c}' => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> usize {
        segments(text).parts
    }

    #[test]
    fn the_alphabet_is_complete() {
        let (mut one, mut two) = (0, 0);
        for c in (0..0x1_0000).filter_map(char::from_u32) {
            match septets(c) {
                Some(1) => one += 1,
                Some(_) => two += 1,
                None => {}
            }
        }
        assert_eq!((one, two), (127, 10), "128 places without the escape, and the extension");
    }

    #[test]
    fn one_part_holds_more_than_each_of_several() {
        assert_eq!((parts(""), parts(&"a".repeat(160)), parts(&"a".repeat(161))), (1, 1, 2));
        assert_eq!((parts(&"a".repeat(306)), parts(&"a".repeat(307))), (2, 3));
        assert_eq!((parts(&"я".repeat(70)), parts(&"я".repeat(71))), (1, 2));
        assert_eq!((parts(&"я".repeat(134)), parts(&"я".repeat(135))), (2, 3));
    }

    #[test]
    fn the_euro_counts_twice() {
        assert_eq!((parts(&"€".repeat(80)), parts(&"€".repeat(81))), (1, 2));
        assert_eq!(segments("^{}\\[]~|€\u{c}").units, 20);
    }

    #[test]
    fn an_emoji_counts_twice() {
        assert_eq!((parts(&"👍".repeat(35)), parts(&"👍".repeat(36))), (1, 2));
    }

    #[test]
    fn some_characters_force_unicode() {
        for c in ['á', 'ç', '\t', '`', '’', '–', 'я', '👍'] {
            let counted = segments(&format!("plain {c} and é"));
            assert_eq!((counted.encoding, counted.forced_by), (Encoding::Ucs2, Some(c)), "{c:?}");
        }
        for c in ['é', 'Ç', '\r', '\n', 'Δ', '€'] {
            let counted = segments(&format!("plain {c}"));
            assert_eq!((counted.encoding, counted.forced_by), (Encoding::Gsm7, None), "{c:?}");
        }
        assert_eq!(segments("çá").forced_by, Some('ç'), "the first of them");
    }

    #[test]
    fn a_pair_moves_to_the_next_part_whole() {
        let text = format!("{}👍{}", "я".repeat(66), "я".repeat(30));
        assert_eq!(split(&text), ["я".repeat(66), format!("👍{}", "я".repeat(30))]);
        let text = format!("{}€{}", "a".repeat(152), "a".repeat(30));
        assert_eq!(split(&text), ["a".repeat(152), format!("€{}", "a".repeat(30))]);
    }

    #[test]
    fn it_says_what_still_fits() {
        let (none, full, over) = (segments(""), segments(&"a".repeat(160)), segments(&"a".repeat(161)));
        assert_eq!((none.left_in_last, none.per_part_limit), (160, 160));
        assert_eq!(full.left_in_last, 0);
        assert_eq!((over.left_in_last, over.per_part_limit), (145, 153));
    }

    proptest! {
        #[test]
        fn parts_join_to_the_text_and_keep_the_limit(text in "([a-z €\\[]|\\PC|👍|я){0,400}") {
            let (counted, parts) = (segments(&text), split(&text));
            prop_assert_eq!(parts.concat(), &text[..]);
            prop_assert_eq!(parts.len(), counted.parts);
            let units = |part: &&str| part.chars().map(|c| counted.encoding.units(c)).sum::<usize>();
            prop_assert!(parts.iter().all(|part| units(part) <= counted.per_part_limit));
            prop_assert_eq!(parts.iter().map(units).sum::<usize>(), counted.units);
            prop_assert_eq!(units(parts.last().unwrap()) + counted.left_in_last, counted.per_part_limit);
            // Only a pair that would be cut leaves a place free.
            for (part, next) in parts.iter().zip(&parts[1..]) {
                prop_assert!(units(part) + counted.encoding.units(next.chars().next().unwrap()) > counted.per_part_limit);
            }
        }
    }
}
