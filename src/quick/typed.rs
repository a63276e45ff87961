//! domain: Numbers as people type or paste them: which can be sent to, and what is wrong with the others.

use crate::contacts::addresses::{AddressProblem, Doubtful, TwoWays, normalise};
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
    /// Those that could be read in two ways, whatever was made of them.
    pub doubtful: Doubtful,
    pub two_ways: TwoWays,
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
    pub fn read(text: &str, region: &str, two_ways: TwoWays) -> Typed {
        let mut typed = Typed { two_ways, ..Typed::default() };
        for (n, line) in text.lines().enumerate() {
            let is_separator = |c: char| matches!(c, ',' | ';' | '\t');
            let whole = line.replace(is_separator, " ");
            // `087,123,4567` is one number, not three.
            let one = is_number(&whole, region).then(|| vec![whole.as_str()]);
            let pieces = one.unwrap_or_else(|| line.split(is_separator).collect());
            for piece in pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()) {
                for part in parts(piece, region) {
                    let read = normalise(Kind::Sms, &part, region);
                    typed.doubtful.see(&part, &read);
                    match read.or_else(|problem| problem.settled(two_ways)) {
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

/// Whether it is a number, or two of which somebody has to choose one.
fn is_number(text: &str, region: &str) -> bool {
    matches!(normalise(Kind::Sms, text, region), Ok(_) | Err(AddressProblem::TwoWays { .. }))
}

/// A piece between separators: one number, or several with blanks between them.
fn parts(piece: &str, region: &str) -> Vec<String> {
    if is_number(piece, region) {
        return vec![piece.to_owned()];
    }
    let mut parts = Vec::new();
    let mut open = String::new();
    for word in piece.split_whitespace() {
        if !open.is_empty() {
            open.push(' ');
        }
        open.push_str(word);
        if is_number(&open, region) {
            parts.push(std::mem::take(&mut open));
        } else if is_number(word, region) && open.len() > word.len() {
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
        Typed::read(text, "IE", TwoWays::LeaveOut).good
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
        let typed = Typed::read("0871234567\n\nMary\n0871 0871234568", "IE", TwoWays::LeaveOut);
        assert_eq!(typed.good, ["353871234567", "353871234568"]);
        let bad: Vec<_> = typed.bad.iter().map(|bad| (bad.row, bad.text.as_str())).collect();
        assert_eq!(bad, [(3, "Mary"), (4, "0871")]);
        assert!(typed.bad[1].says.contains("not a phone number in Ireland"), "{}", typed.bad[1].says);
    }

    #[test]
    fn a_number_that_stands_there_twice_counts_once() {
        let typed = Typed::read("0871234567\n+353 87 123 4567", "IE", TwoWays::LeaveOut);
        assert_eq!((typed.good.len(), typed.repeated), (1, 1));
        assert_eq!(typed.as_file(), b"phone\n+353871234567\n");
    }

    #[test]
    fn numbers_with_two_readings_stand_beside_others_and_follow_the_choice() {
        let read = |two_ways| Typed::read("49331123456 0331 123457, 49331123458", "DE", two_ways);
        let left = read(TwoWays::LeaveOut);
        assert_eq!((left.good, left.n_bad, left.doubtful.n), (vec!["49331123457".to_owned()], 2, 2));
        assert_eq!(read(TwoWays::WithCode).good, ["49331123456", "49331123457", "49331123458"]);
        assert_eq!(read(TwoWays::Inside).good, ["4949331123456", "49331123457", "4949331123458"]);
    }

    #[test]
    fn without_a_country_every_number_needs_its_code() {
        let typed = Typed::read("+353871234567\n0871234568", "", TwoWays::LeaveOut);
        assert_eq!((typed.good.len(), typed.bad.len()), (1, 1));
    }
}
