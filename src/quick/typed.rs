//! domain: Numbers as people type or paste them: which can be sent to, and what is wrong with the others.

use crate::contacts::addresses::normalise;
use crate::contacts::domain::{MOST_NAMED, keep_first};
use crate::providers::Kind;

/// More of them belong into a file.
pub const MOST: usize = 10_000;

/// What was made of a text full of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typed {
    /// International digits, each once, in the order in which they were typed.
    pub good: Vec<String>,
    /// The first of those that are none.
    pub bad: Vec<Bad>,
    pub n_bad: usize,
    /// How many stood there another time.
    pub repeated: usize,
}

/// Something that is not a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Bad {
    /// Line of the text, from 1.
    pub row: usize,
    pub text: String,
    pub says: String,
}

impl Typed {
    /// Reads numbers that stand in lines, or beside one another with commas, semicolons,
    /// tabs or blanks between them. Blanks, and even commas, inside of a number are its own.
    ///
    /// `region`: the country that numbers without a country code belong to; empty when all have theirs.
    pub fn read(text: &str, region: &str) -> Typed {
        let mut typed = Typed::default();
        for (n, line) in text.lines().enumerate() {
            let is_separator = |c: char| matches!(c, ',' | ';' | '\t');
            let whole = line.replace(is_separator, " ");
            // `087,123,4567` is one number, not three.
            let one = normalise(Kind::Sms, &whole, region).ok().map(|_| vec![whole.as_str()]);
            let pieces = one.unwrap_or_else(|| line.split(is_separator).collect());
            for piece in pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()) {
                for part in parts(piece, region) {
                    match normalise(Kind::Sms, &part, region) {
                        Ok(number) => typed.good.push(number),
                        Err(problem) => {
                            typed.n_bad += 1;
                            if typed.n_bad <= MOST_NAMED {
                                let text: String = part.chars().take(60).collect();
                                typed.bad.push(Bad { row: n + 1, says: problem.says(Kind::Sms, &text, region), text });
                            }
                        }
                    }
                }
            }
        }
        typed.repeated = keep_first(&mut typed.good, |number| number);
        typed
    }

    pub fn is_empty(&self) -> bool {
        self.good.is_empty() && self.bad.is_empty()
    }

    /// As a campaign file with one column.
    pub fn as_file(&self) -> Vec<u8> {
        let mut file = String::from("phone\n");
        for number in &self.good {
            file.push('+');
            file.push_str(number);
            file.push('\n');
        }
        file.into_bytes()
    }
}

/// A piece between separators: one number, or several with blanks between them.
fn parts(piece: &str, region: &str) -> Vec<String> {
    if normalise(Kind::Sms, piece, region).is_ok() {
        return vec![piece.to_owned()];
    }
    let mut parts = Vec::new();
    let mut open = String::new();
    for word in piece.split_whitespace() {
        if !open.is_empty() {
            open.push(' ');
        }
        open.push_str(word);
        if normalise(Kind::Sms, &open, region).is_ok() {
            parts.push(std::mem::take(&mut open));
        } else if normalise(Kind::Sms, word, region).is_ok() && open.len() > word.len() {
            // What stood before it is none by itself.
            let before = open.strip_suffix(word).unwrap_or_default().trim().to_owned();
            parts.extend([before, word.to_owned()]);
            open.clear();
        }
    }
    if !open.is_empty() {
        parts.push(open);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Vec<String> {
        Typed::read(text, "IE").good
    }

    #[test]
    fn numbers_may_stand_in_lines_or_beside_one_another() {
        let both = ["353871234567", "353871234568"];
        for text in [
            "0871234567\n0871234568",
            "0871234567, 0871234568",
            "087 123 4567; 087 123 4568\r\n",
            "0871234567 0871234568",
            "087 123 4567 087 123 4568",
            "\n\n+353 87 123 4567\t+353-87-1234568\n",
            "087,123,4567\n087 123 4568",
        ] {
            assert_eq!(good(text), both, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_named_with_its_row_and_the_others_survive() {
        let typed = Typed::read("0871234567\n\nMary\n0871 0871234568", "IE");
        assert_eq!(typed.good, ["353871234567", "353871234568"]);
        let bad: Vec<_> = typed.bad.iter().map(|bad| (bad.row, bad.text.as_str())).collect();
        assert_eq!(bad, [(3, "Mary"), (4, "0871")]);
        assert!(typed.bad[1].says.contains("not a phone number in Ireland"), "{}", typed.bad[1].says);
    }

    #[test]
    fn a_number_that_stands_there_twice_counts_once() {
        let typed = Typed::read("0871234567\n+353 87 123 4567", "IE");
        assert_eq!((typed.good.len(), typed.repeated), (1, 1));
        assert_eq!(typed.as_file(), b"phone\n+353871234567\n");
    }

    #[test]
    fn without_a_country_every_number_needs_its_code() {
        let typed = Typed::read("+353871234567\n0871234568", "");
        assert_eq!((typed.good.len(), typed.bad.len()), (1, 1));
    }
}
