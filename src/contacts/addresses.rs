//! domain: The one door for addresses: what somebody wrote, and the one form in which it is kept.
//!
//! Whatever comes from outside comes through [`normalise`]: files, lists, the blocklist, forms, providers.
//! It takes off what writing adds to a number, and nothing else:
//!
//! * blanks, dashes, dots, brackets and slashes between digits; characters that nobody sees; digits of other
//!   scripts are digits; `tel:` before it, an apostrophe before it, `="…"` around it;
//! * `.0` behind it, which a column of decimal numbers leaves, and an exponent when every digit is there;
//! * what one dials in front: `+`, `00` or the region's own way to dial abroad, `(0)`, the region's trunk prefix;
//!   and it puts on what one need not dial inside: the country code, the one area code of a small country;
//! * what changed in whole countries: `+52 1 …` is `+52 …`, and mobile numbers of Brazil have their ninth digit.
//!
//! An address on Viber is a number, or the id under which a person is known to one bot: base64 with its padding, such as
//! `01234567890A=`, which no number ends with. It is kept letter by letter.
//!
//! What could be read in two ways is decided by a person ([`TwoWays`]) and never here, and no two numbers become one.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberType, Region};
use serde::{Deserialize, Serialize};

use super::regions;
use crate::folding::is_invisible;
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::words::words;

/// The longest address of a kind that is not a phone.
const LONGEST_ADDRESS: usize = 200;
/// Bytes of the longest writing of a number.
const LONGEST_WRITING: usize = 120;
/// Digits of the shortest phone number anywhere.
const SHORTEST_PHONE: usize = 4;
/// Digits of a number beside which another one may stand; what has fewer is an extension.
const SHORTEST_OF_SEVERAL: usize = 7;

/// The code of [`AddressProblem::TwoWays`] in the list of problems.
pub const TWO_WAYS: &str = "two_ways";

/// Why a text is not an address. [`AddressProblem::says`] has the words for the
/// person whose file it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    Missing,
    /// Holds something that no phone number holds.
    NotAPhone,
    /// A spreadsheet wrote the number with an exponent, and digits are lost.
    Rounded,
    /// No such number exists where it claims to be from.
    NoSuchNumber,
    /// It is two numbers.
    Several,
    /// It goes on behind the number, to an extension.
    Extension,
    /// Letters stand for digits.
    Letters,
    /// It has a decimal point in it, and what is before that is no number.
    Decimals,
    /// It is a number with its country code, and another one without.
    TwoWays {
        with_code: String,
        without_code: String,
    },
    TooLong,
    HasSpaces,
}

words! {
    /// What somebody has made of numbers that could be read in two ways.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum TwoWays {
        #[default]
        LeaveOut = "leave_out" => "Leave them out",
        Inside = "inside" => "Read them as dialled inside the country",
        WithCode = "with_code" => "Read them with their country code in front",
    }
}

impl TwoWays {
    /// What was done with so many `them`, to say behind how many there were.
    pub fn done(self) -> &'static str {
        match self {
            TwoWays::LeaveOut => "left out",
            TwoWays::Inside => "read as dialled inside the country",
            TwoWays::WithCode => "read with their country code in front",
        }
    }
}

/// Numbers that could be read in two ways, whatever was made of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Doubtful {
    pub n: usize,
    /// The first of them.
    pub first: Vec<DoubtfulNumber>,
}

/// A number that could be read in two ways, and both of them as people read them aloud.
#[derive(Clone, Debug, PartialEq)]
pub struct DoubtfulNumber {
    pub text: String,
    pub with_code: String,
    pub inside: String,
}

impl Doubtful {
    /// So many are shown with both readings.
    pub const SHOWN: usize = 5;

    /// How many there are and what was made of them; `None` when there are none. `of`: what they are called.
    pub fn words(&self, of: &(&str, &str), two_ways: &TwoWays) -> Option<String> {
        let (they, was) = match self.n {
            0 => return None,
            1 => (format!("1 {}", of.0), "was"),
            n => (format!("{} {}", thousands(n as i64), of.1), "were"),
        };
        Some(format!("{they} could be read two ways and {was} {}.", two_ways.done()))
    }

    /// Counts a text in whose reading came out in two ways.
    pub fn see(&mut self, text: &str, read: &Result<String, AddressProblem>) {
        let Err(AddressProblem::TwoWays { with_code, without_code }) = read else { return };
        self.n += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push(DoubtfulNumber {
                text: text.trim().chars().take(60).collect(),
                with_code: spaced(with_code),
                inside: spaced(without_code),
            });
        }
    }
}

impl AddressProblem {
    /// What a choice makes of it: the number, where it could be read in two ways and one of them was chosen.
    ///
    /// # Errors
    ///
    /// Whatever else is wrong stays wrong, and so does this while nobody has chosen.
    pub fn settled(self, choice: TwoWays) -> Result<String, AddressProblem> {
        match (self, choice) {
            (AddressProblem::TwoWays { without_code, .. }, TwoWays::Inside) => Ok(without_code),
            (AddressProblem::TwoWays { with_code, .. }, TwoWays::WithCode) => Ok(with_code),
            (problem, _) => Err(problem),
        }
    }

    /// The word in the list of problems.
    pub fn code(&self) -> &'static str {
        match self {
            AddressProblem::Missing => "missing_address",
            AddressProblem::TwoWays { .. } => TWO_WAYS,
            AddressProblem::NotAPhone
            | AddressProblem::Rounded
            | AddressProblem::NoSuchNumber
            | AddressProblem::Several
            | AddressProblem::Extension
            | AddressProblem::Letters
            | AddressProblem::Decimals
            | AddressProblem::TooLong
            | AddressProblem::HasSpaces => "invalid_address",
        }
    }

    /// What is wrong with `text` and what to do about it.
    pub fn says(&self, kind: Kind, text: &str, region: &str) -> String {
        let text: String = text.trim().chars().take(60).collect();
        match self {
            AddressProblem::Missing if kind.is_phone() => {
                "There is no phone number in this row. Add it, or leave the row out.".to_owned()
            }
            AddressProblem::Missing => "There is no address in this row. Add it, or leave the row out.".to_owned(),
            AddressProblem::NotAPhone => format!(
                "{text} is not a phone number. Write digits only, with the country code in front, such as {}.",
                example(region)
            ),
            AddressProblem::Rounded => format!(
                "{text} was a phone number until a spreadsheet shortened it. Format the column as text there and put the numbers in again."
            ),
            AddressProblem::NoSuchNumber => match regions::name(region) {
                Some(name) => format!(
                    "{text} is not a phone number in {name}. Write it with its country code, such as {}.",
                    example(region)
                ),
                None => format!(
                    "{text} is not a phone number with its country code. Write the country code in front, such as +353…, or choose the country that the numbers belong to."
                ),
            },
            AddressProblem::Several => {
                format!("{text} looks like more than one number. Give each number a row of its own.")
            }
            AddressProblem::Extension => {
                format!("{text} has an extension, which no text can reach. Write the number without it.")
            }
            AddressProblem::Letters => format!("{text} has letters in place of digits. Write the digits."),
            AddressProblem::Decimals => format!(
                "{text} has a decimal point in it. Format the column as text in the spreadsheet and put the numbers in again."
            ),
            AddressProblem::TwoWays { with_code, without_code } => format!(
                "{text} could be {} or {}. Write it with + and its country code{}.",
                spaced(with_code),
                spaced(without_code),
                regions::name(region).map_or_else(String::new, |name| format!(", or as it is dialled inside {name}"))
            ),
            AddressProblem::TooLong => format!("{text}… is too long for an address. {LONGEST_ADDRESS} characters fit."),
            AddressProblem::HasSpaces => format!("{text} has a space in it. An address has none."),
        }
    }
}

fn example(region: &str) -> String {
    match regions::dial_code(region) {
        Some(dial_code) => format!("+{dial_code}…"),
        None => "+353…".to_owned(),
    }
}

/// The one form in which an address is kept.
///
/// Phone numbers become international digits without plus or leading zero. They
/// may be written with `+`, with `00`, or as inside `region`. With an empty
/// `region` every number has its country code, even without a plus.
///
/// Other addresses are trimmed and otherwise left alone.
///
/// # Errors
///
/// Also when it could be read in two ways: then the person decides, and [`AddressProblem::settled`] does as they say.
pub fn normalise(kind: Kind, text: &str, region: &str) -> Result<String, AddressProblem> {
    let text: String = text.chars().filter(|c| !is_nothing(*c)).collect();
    let text = unwrapped(text.trim());
    if text.is_empty() {
        return Err(AddressProblem::Missing);
    }
    if kind.is_phone() && !(kind == Kind::Viber && is_viber_id(text)) {
        return phone(text, region);
    }
    if text.chars().nth(LONGEST_ADDRESS).is_some() {
        return Err(AddressProblem::TooLong);
    }
    if text.contains(char::is_whitespace) {
        return Err(AddressProblem::HasSpaces);
    }
    Ok(text.to_owned())
}

/// Whether it is the id of somebody who talks with a bot on Viber.
fn is_viber_id(text: &str) -> bool {
    let id = text.trim_end_matches('=');
    let padding = text.len() - id.len();
    (1..=2).contains(&padding)
        && 8 <= id.len()
        && id.bytes().all(|it| it.is_ascii_alphanumeric() || b"+/".contains(&it))
}

/// An address that somebody may read again in any country: with a plus if it is a phone number.
pub fn in_full(kind: Kind, address: &str) -> String {
    let is_number = kind.is_phone() && !(kind == Kind::Viber && is_viber_id(address));
    if is_number { format!("+{address}") } else { address.to_owned() }
}

/// A phone number as people read it aloud: `+49 1512 3456704` for `4915123456704`; an id as it is.
pub fn spaced(address: &str) -> String {
    if is_viber_id(address) {
        return address.to_owned();
    }
    let full = format!("+{address}");
    match PHONE_NUMBER_UTIL.parse(&full, None) {
        Ok(number) => PHONE_NUMBER_UTIL.format(&number, rlibphonenumber::PhoneNumberFormat::International).into_owned(),
        Err(_) => full,
    }
}

/// The beginning of a phone number as people write it, the way addresses are
/// stored; anything else as it stands.
pub fn as_stored(text: &str) -> String {
    let text: String = text.chars().filter(|c| !is_nothing(*c)).map(plain).collect();
    let is_number = text.chars().all(|c| c.is_ascii_digit() || "+-() ./".contains(c));
    if !is_number {
        return text;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
}

/// Without what spreadsheets and address books put around a number.
fn unwrapped(text: &str) -> &str {
    let text = text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let text = text.trim_start_matches(['\'', '\u{2019}']);
    match text.split_at_checked(4) {
        Some((start, number)) if start.eq_ignore_ascii_case("tel:") => number.trim(),
        Some(_) | None => text.trim(),
    }
}

/// Zeros of the scripts that have digits of their own; nine more follow each.
const ZEROS: [char; 40] = [
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{ff10}',
    '\u{104a0}',
    '\u{11066}',
    '\u{1e140}',
    '\u{1e950}',
];

/// Digits of other scripts as our own, and every dash, dot, bracket and blank as the plain one.
fn plain(c: char) -> char {
    match c {
        ' '..='~' => c,
        c if c.is_whitespace() => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '\u{ff0b}' => '+',
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        '\u{ff0f}' => '/',
        '\u{ff0e}' => '.',
        _ => {
            let digit = ZEROS.iter().find_map(|zero| (c as u32).checked_sub(*zero as u32).filter(|n| *n < 10));
            digit.and_then(|n| char::from_digit(n, 10)).unwrap_or(c)
        }
    }
}

/// Whether it is nothing in an address: nobody sees it, or it only says how its neighbour is drawn.
fn is_nothing(c: char) -> bool {
    (is_invisible(c) && !c.is_whitespace())
        || matches!(c, '\u{2800}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn phone(text: &str, region: &str) -> Result<String, AddressProblem> {
    // Cheap to refuse.
    if text.len() > LONGEST_WRITING {
        return Err(AddressProblem::NotAPhone);
    }
    let text: String = text.chars().map(plain).collect();
    let text = whole(text.trim())?;
    // The library also finds numbers inside sentences and reads letters as on a
    // telephone's keys. In a column of numbers both are mistakes.
    let mut written = Written::default();
    for c in text.chars() {
        match c {
            '0'..='9' => written.digits.push(c),
            '+' if written.digits.is_empty() && !written.plus => written.plus = true,
            ' ' | '-' | '.' | '(' | ')' | '/' => written.breaks.push((written.digits.len(), c)),
            _ => return Err(no_number(&text)),
        }
    }
    let region = (!region.is_empty()).then(|| Region::from_code(region).ok()).flatten();
    if is_several(&written, region) {
        return Err(AddressProblem::Several);
    }
    read(&written.digits, written.plus, region)
}

/// The digits of a text, and where something stood between them.
#[derive(Default)]
struct Written {
    plus: bool,
    digits: String,
    /// How many digits stand before it, and what it is.
    breaks: Vec<(usize, char)>,
}

/// What a text is that holds something else than digits.
fn no_number(text: &str) -> AddressProblem {
    let is_digit = |c: char| c.is_ascii_digit();
    let is_whole = |piece: &&str| SHORTEST_OF_SEVERAL <= piece.matches(is_digit).count();
    if 1 < text.split(|c: char| !c.is_ascii_digit() && !" -.()/+".contains(c)).filter(is_whole).count() {
        return AddressProblem::Several;
    }
    if let Some((number, rest)) = text.find(|c: char| c.is_alphabetic() || c == '#').map(|at| text.split_at(at))
        && number.matches(is_digit).count() >= SHORTEST_PHONE
        && rest.ends_with(is_digit)
    {
        return AddressProblem::Extension;
    }
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let is_vanity = text.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '(')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-() ./".contains(c))
        && (7..=15).contains(&(letters + text.matches(is_digit).count()));
    if is_vanity { AddressProblem::Letters } else { AddressProblem::NotAPhone }
}

/// A number without the traces of having been a decimal number.
fn whole(text: &str) -> Result<String, AddressProblem> {
    let (sign, number) = match text.strip_prefix('+') {
        Some(number) => ("+", number),
        None => ("", text),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((mantissa, exponent)) = number.split_once(['e', 'E']) {
        let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
        let exponent = exponent.strip_prefix('+').unwrap_or(exponent).parse::<usize>();
        let (true, true, Ok(exponent)) = (is_digits(whole), part.is_empty() || is_digits(part), exponent) else {
            return Ok(text.to_owned());
        };
        // Zeros at the end may have been digits before.
        return match part.split_at_checked(exponent) {
            Some((digits, rest)) if rest.bytes().all(|b| b == b'0') => Ok(format!("{sign}{whole}{digits}")),
            Some(_) | None => Err(AddressProblem::Rounded),
        };
    }
    // Dots between more groups than two are part of how the number is written.
    match number.split_once(['.', ',']) {
        Some((whole, part)) if is_digits(whole) && is_digits(part) && whole.len() >= SHORTEST_PHONE + 3 => {
            match part.bytes().all(|b| b == b'0') {
                true => Ok(format!("{sign}{whole}")),
                // `0171.2345678` has its digits behind the dot.
                false if part.len() <= 2 => Err(AddressProblem::Decimals),
                false => Ok(text.to_owned()),
            }
        }
        _ => match number.rsplit_once(['.', ',']) {
            // Nobody writes a last group of one zero.
            Some((before, "0")) if !before.contains(['.', ',']) => Ok(format!("{sign}{before}")),
            Some((_, "0")) => Err(AddressProblem::Decimals),
            Some((before, "00")) if !before.contains('.') => Err(AddressProblem::Decimals),
            _ => Ok(text.to_owned()),
        },
    }
}

/// The number that these digits are.
fn read(digits: &str, plus: bool, region: Option<Region>) -> Result<String, AddressProblem> {
    if digits.is_empty() {
        return Err(AddressProblem::NotAPhone);
    }
    // No country has shorter ones, and a text may hold millions of such.
    if digits.len() < SHORTEST_PHONE {
        return Err(AddressProblem::NoSuchNumber);
    }
    let abroad = if plus { Some(digits) } else { digits.strip_prefix("00") };
    let Some(region) = region.filter(|_| abroad.is_none()) else {
        return valid(&format!("+{}", abroad.unwrap_or(digits)), None)
            .map(|number| written(&number))
            .ok_or(AddressProblem::NoSuchNumber);
    };
    let inside = valid(digits, Some(region));
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region).unwrap_or_default().to_string();
    let with_code = digits.starts_with(&code).then(|| valid(&format!("+{digits}"), None)).flatten();
    match (inside, with_code) {
        (None, None) => Err(AddressProblem::NoSuchNumber),
        (Some(number), None) | (None, Some(number)) => Ok(written(&number)),
        (Some(without), Some(with)) if written(&without) == written(&with) => Ok(written(&with)),
        // A text goes to mobile phones, and the code stands there.
        (Some(without), Some(with)) if is_mobile(&with) && !is_mobile(&without) => Ok(written(&with)),
        (Some(without), Some(with)) => {
            Err(AddressProblem::TwoWays { with_code: written(&with), without_code: written(&without) })
        }
    }
}

fn valid(text: &str, region: Option<Region>) -> Option<PhoneNumber> {
    // "+44 (0) 20…": the library drops the zero.
    let number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    let is_valid = |number: &PhoneNumber| PHONE_NUMBER_UTIL.is_valid_number(number) || is_fictional(number);
    renumbered(&number).filter(is_valid).or_else(|| Some(number).filter(is_valid))
}

/// What became of a number when its whole country was renumbered.
fn renumbered(number: &PhoneNumber) -> Option<PhoneNumber> {
    let national = number.get_national_significant_number();
    let today = match (number.country_code, national.as_bytes()) {
        // Mexico took the 1 off its mobile numbers in 2019; messengers still write it.
        (52, [b'1', rest @ ..]) if rest.len() == 10 => national.get(1..)?.to_owned(),
        // Brazil put a 9 before the eight digits of its mobile numbers, area by area until 2016.
        (55, [_, _, b'6'..=b'9', ..]) if national.len() == 10 => {
            format!("{}9{}", national.get(..2)?, national.get(2..)?)
        }
        _ => return None,
    };
    PHONE_NUMBER_UTIL.parse(format!("+{}{today}", number.country_code), None).ok()
}

fn is_mobile(number: &PhoneNumber) -> bool {
    use PhoneNumberType::{FixedLineOrMobile, Mobile};
    matches!(PHONE_NUMBER_UTIL.get_number_type(number), Mobile | FixedLineOrMobile)
}

/// Whether there are two numbers, or one and a second ending of it: `0171 2345678/9`.
fn is_several(it: &Written, region: Option<Region>) -> bool {
    const PLAUSIBLE: usize = 7;
    it.breaks.iter().any(|&(at, sign)| {
        let (left, right) = it.digits.split_at(at);
        if left.len() < SHORTEST_PHONE + 1 || right.is_empty() {
            return false;
        }
        let is_number = |digits: &str, plus| match read(digits, plus, region) {
            Ok(_) | Err(AddressProblem::TwoWays { .. }) => true,
            Err(_) => false,
        };
        match sign {
            '/' => is_number(left, it.plus),
            // The second begins as one dials it, which no part of a number does.
            _ => {
                right.starts_with('0')
                    && left.len().min(right.len()) >= PLAUSIBLE
                    && is_number(left, it.plus)
                    && is_number(right, false)
            }
        }
    })
}

/// Whether it lies in the range that North America keeps for films and trials:
/// 555-0100 to 555-0199 in every area. Demos and the sandbox send to it.
fn is_fictional(number: &PhoneNumber) -> bool {
    let national = number.national_number;
    number.country_code == 1
        && (2_000_000_000..10_000_000_000).contains(&national)
        && (5_550_100..5_550_200).contains(&(national % 10_000_000))
}

/// Country code and national number. Zeros that belong to the number (in Italy)
/// are kept.
fn written(number: &PhoneNumber) -> String {
    format!("{}{}", number.country_code, number.get_national_significant_number())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sms(text: &str, region: &str) -> Result<String, AddressProblem> {
        normalise(Kind::Sms, text, region)
    }

    #[test]
    fn one_number_has_one_form_however_it_is_written() {
        for text in [
            "086 123 4567",
            "(086) 123-4567",
            "0861234567",
            "+353861234567",
            "+353 (0)86 123 4567",
            "00353 86 123 4567",
            "353861234567",
            "'0861234567",
            " 086.123.4567 ",
            "\u{202a}+353\u{a0}86 123‑4567\u{202c}",
        ] {
            assert_eq!(sms(text, "IE"), Ok("353861234567".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_country_code_wins_over_the_region() {
        assert_eq!(sms("+44 7911 123456", "IE"), Ok("447911123456".to_owned()));
        assert_eq!(sms("0044 7911 123456", "US"), Ok("447911123456".to_owned()));
        assert_eq!(sms("07911 123456", "GB"), Ok("447911123456".to_owned()));
    }

    #[test]
    fn an_address_in_full_is_the_same_in_every_country() {
        for address in ["353861234567", "390669821234", "12025550123"] {
            for region in ["", "IE", "AT", "IT", "US"] {
                assert_eq!(sms(&in_full(Kind::Sms, address), region), Ok(address.to_owned()), "{region}");
            }
        }
        assert_eq!(in_full(Kind::Messenger, "10158"), "10158");
    }

    #[test]
    fn without_a_region_every_number_has_its_country_code() {
        assert_eq!(sms("353861234567", ""), Ok("353861234567".to_owned()));
        assert_eq!(sms("+353861234567", ""), Ok("353861234567".to_owned()));
        assert_eq!(sms("0861234567", ""), Err(AddressProblem::NoSuchNumber));
    }

    #[test]
    fn italy_keeps_its_zero() {
        assert_eq!(sms("06 6982 1234", "IT"), Ok("390669821234".to_owned()));
    }

    #[test]
    fn numbers_kept_for_trials_pass() {
        for text in ["+1 202 555 0123", "+12025550100", "+15555550199", "(999) 555-0142"] {
            assert!(sms(text, "US").is_ok(), "{text}");
        }
        assert_eq!(sms("+1 999 555 0200", "US"), Err(AddressProblem::NoSuchNumber));
    }

    #[test]
    fn what_is_not_a_number_is_told_apart() {
        assert_eq!(sms("  ", "IE"), Err(AddressProblem::Missing));
        assert_eq!(sms("07911 1", "IE"), Err(AddressProblem::NoSuchNumber));
        assert_eq!(sms("call 0861234567", "IE"), Err(AddressProblem::NotAPhone));
        assert_eq!(sms("3.53861E+11", "IE"), Err(AddressProblem::Rounded));
        assert_eq!(sms(&"1".repeat(1_000_000), "IE"), Err(AddressProblem::NotAPhone));
        assert_eq!(sms("+", "IE"), Err(AddressProblem::NotAPhone));
    }

    #[test]
    fn the_words_name_the_country_and_its_code() {
        assert_eq!(
            AddressProblem::NoSuchNumber.says(Kind::Sms, "07911 1", "IE"),
            "07911 1 is not a phone number in Ireland. Write it with its country code, such as +353…."
        );
    }

    #[test]
    fn numbers_are_looked_for_however_they_are_written() {
        assert_eq!(as_stored("+353 (87) 123-45"), "3538712345");
        assert_eq!(as_stored("00353 87"), "35387");
        assert_eq!(as_stored("C-00012"), "C-00012");
        assert_eq!(as_stored("+"), "");
    }

    #[test]
    fn other_kinds_are_only_trimmed() {
        let page = |text: &str| normalise(Kind::Messenger, text, "IE");
        assert_eq!(page(" 10158 "), Ok("10158".to_owned()));
        assert_eq!(page("a b"), Err(AddressProblem::HasSpaces));
        assert_eq!(page(&"é".repeat(200)), Ok("é".repeat(200)));
        assert_eq!(page(&"é".repeat(201)), Err(AddressProblem::TooLong));
    }

    #[test]
    fn on_viber_an_id_is_kept_letter_by_letter_beside_numbers() {
        let viber = |text: &str| normalise(Kind::Viber, text, "IE");
        for id in ["xy5/5y6O81+/kbWHpLhBoA==", "01234567890A=", "353861234567/+8=", "1234567890123456789012=="] {
            assert_eq!(viber(&format!(" {id} ")).as_deref(), Ok(id));
            assert_eq!((in_full(Kind::Viber, id).as_str(), spaced(id).as_str(), as_stored(id).as_str()), (id, id, id));
            assert!(sms(id, "IE").is_err(), "{id}");
        }
        assert_eq!(viber("086 123 4567").as_deref(), Ok("353861234567"));
        assert_eq!(in_full(Kind::Viber, "353861234567"), "+353861234567");
        for neither in ["xy5/5y6O81+/kbWHpLhBoA", "xy5=y6O81==", "abc=", "086 123 4567=", "xy5/5y6O81+/kbWHpLhBoA==="] {
            assert!(viber(neither).is_err(), "{neither}");
        }
    }

    #[test]
    fn what_begins_with_the_code_of_its_country_has_it() {
        for (text, region, number) in [
            ("4915123456704", "DE", "4915123456704"),
            ("491701234567", "DE", "491701234567"),
            ("436641234567", "AT", "436641234567"),
            ("393471234567", "IT", "393471234567"),
            ("3934712345", "IT", "393934712345"),
            ("15123456704", "DE", "4915123456704"),
            ("00491701234567", "DE", "491701234567"),
            ("12025550123", "US", "12025550123"),
        ] {
            assert_eq!(sms(text, region).as_deref(), Ok(number), "{text} in {region}");
        }
        let Err(both @ AddressProblem::TwoWays { .. }) = sms("49331123456", "DE") else { panic!() };
        assert_eq!(
            both.says(Kind::Sms, "49331123456", "DE"),
            "49331123456 could be +49 331 123456 or +49 4933 1123456. Write it with + and its country code, or as it is dialled inside Germany."
        );
        assert_eq!(sms("+49331123456", "DE").as_deref(), Ok("49331123456"));
        assert_eq!(sms("049331123456", "DE").as_deref(), Ok("4949331123456"));
    }

    #[test]
    fn a_column_of_decimal_numbers_leaves_its_traces_and_no_strangers_number() {
        for text in [
            "436641234567.0",
            "+436641234567.00",
            "436641234567,0",
            "06641234567.0",
            "4.36641234567E+11",
            "4,36641234567e11",
        ] {
            assert_eq!(sms(text, "AT").as_deref(), Ok("436641234567"), "{text}");
        }
        assert_eq!(sms("436641234567.5", "AT"), Err(AddressProblem::Decimals));
        assert_eq!(sms("0664 1234567.0", "AT").as_deref(), Ok("436641234567"));
        assert_eq!(sms("0664 1234567.00", "AT"), Err(AddressProblem::Decimals));
        assert_eq!(sms("4.36641E+11", "AT"), Err(AddressProblem::Rounded));
        assert_eq!(sms("4,91512E+12", "DE"), Err(AddressProblem::Rounded));
        assert_eq!(sms("+4.305010.0", "AF"), Err(AddressProblem::Decimals));
        assert_eq!(sms("01.23.45.67.00", "FR").as_deref(), Ok("33123456700"), "dots between groups are no decimals");
        assert_eq!(sms("0664.1234567", "AT").as_deref(), Ok("436641234567"));
    }

    #[test]
    fn two_numbers_are_not_made_one() {
        for text in ["0171 2345678/9", "0171 2345678 / 79", "030 1234567/0171 2345678", "01712345678 01722345678"] {
            assert_eq!(sms(text, "DE"), Err(AddressProblem::Several), "{text}");
        }
        for text in ["086 1230008 or 086 1230009", "0861230008, 0861230009", "+353861230008; +353861230009 (work)"] {
            assert_eq!(sms(text, "IE"), Err(AddressProblem::Several), "{text}");
        }
        for text in [&*spaced("35222002000000"), "+352 2200200 0000"] {
            assert_eq!(sms(text, "").as_deref().map(|it| &it[..6]), Ok("352220"), "its end is no number of its own");
        }
        for text in ["0171/2345678", "0171 / 234 56 78", "+49/171/2345678", "030/123456-78"] {
            assert!(sms(text, "DE").is_ok(), "{text}");
        }
    }

    #[test]
    fn what_a_text_cannot_reach_is_said() {
        for text in ["0861234567 ext 12", "0861234567x12", "0861234567#12", "(086) 123 4567 Durchwahl 3"] {
            assert_eq!(sms(text, "IE"), Err(AddressProblem::Extension), "{text}");
        }
        for text in ["1-800-FLOWERS", "(800) CALLNOW", "+1 800 FLOWERS"] {
            assert_eq!(sms(text, "US"), Err(AddressProblem::Letters), "{text}");
        }
    }

    #[test]
    fn digits_are_digits_in_every_script_and_what_nobody_sees_is_nothing() {
        for text in [
            "٠٨٦١٢٣٤٥٦٧",
            "۰۸۶ ۱۲۳ ۴۵۶۷",
            "०८६१२३४५६७",
            "０８６－１２３－４５６７",
            "\u{200b}086\u{2060}123\u{ad}4567",
            "086\u{3000}123\u{2007}4567\u{feff}",
            "=\"0861234567\"",
            "tel:+353861234567",
            "＋３５３ ８６ １２３ ４５６７",
            "\u{2019}0861234567",
        ] {
            assert_eq!(sms(text, "IE").as_deref(), Ok("353861234567"), "{text:?}");
        }
        assert_eq!(sms("\u{200b}\u{feff}", "IE"), Err(AddressProblem::Missing));
        assert_eq!(normalise(Kind::Messenger, "\u{200b}10158\u{feff}", "").as_deref(), Ok("10158"));
    }

    #[test]
    fn one_person_has_one_number_though_it_was_renumbered() {
        for text in ["+52 1 55 1234 5678", "5215512345678", "+525512345678", "55 1234 5678"] {
            assert_eq!(sms(text, "MX").as_deref(), Ok("525512345678"), "{text}");
        }
        for text in ["+55 31 98812-3457", "+55 31 8812-3457", "553188123457", "(31) 98812-3457"] {
            assert_eq!(sms(text, "BR").as_deref(), Ok("5531988123457"), "{text}");
        }
        assert_eq!(sms("+55 31 3212-3457", "BR").as_deref(), Ok("553132123457"), "a landline has eight digits");
    }

    /// Numbers of every country and kind that the metadata knows, with the country.
    fn examples() -> Vec<(Region, PhoneNumber)> {
        use PhoneNumberType::*;
        let kinds = [FixedLine, Mobile, TollFree, PremiumRate, SharedCost, VoIP, PersonalNumber, Pager, UAN];
        let of = |region| {
            kinds.into_iter().filter_map(move |kind| {
                let number = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind).ok()?;
                PHONE_NUMBER_UTIL.is_valid_number(&number).then_some((region, number))
            })
        };
        PHONE_NUMBER_UTIL.get_supported_regions().flat_map(of).collect()
    }

    #[test]
    fn every_number_of_every_country_reads_as_itself_or_is_asked_about() {
        use rlibphonenumber::PhoneNumberFormat::{International, National, RFC3966};
        let (mut n, mut asked) = (0, 0);
        for (region, number) in examples() {
            let (code, digits) = (region.as_region_str().to_string(), written(&number));
            for format in [International, National, RFC3966] {
                let text = PHONE_NUMBER_UTIL.format(&number, format);
                assert_eq!(sms(&text, &code).as_deref(), Ok(&*digits), "{text} in {code}");
            }
            match sms(&digits, &code) {
                Ok(read) => assert_eq!(read, digits, "its digits in {code}"),
                Err(AddressProblem::TwoWays { with_code, without_code }) => {
                    assert!([&with_code, &without_code].contains(&&digits), "{digits} in {code}");
                    asked += 1;
                }
                Err(problem) => panic!("{digits} in {code}: {problem:?}"),
            }
            n += 1;
        }
        assert!(n > 1000 && asked * 20 < n, "{asked} of {n}");
    }

    /// A choice changes nothing but what could be read in two ways, and makes of that what it says.
    fn must_settle(text: &str, region: &str) -> bool {
        let read = sms(text, region);
        let settled = TwoWays::ALL.map(|choice| read.clone().or_else(|problem| problem.settled(choice)));
        let mut doubtful = Doubtful::default();
        doubtful.see(text, &read);
        match &read {
            Err(AddressProblem::TwoWays { with_code, without_code }) => {
                assert_ne!(with_code, without_code, "{text} in {region}");
                assert_eq!(
                    settled,
                    [read.clone(), Ok(without_code.clone()), Ok(with_code.clone())],
                    "{text} in {region}"
                );
                let (inside, outside) = (sms(&doubtful.first[0].inside, ""), sms(&doubtful.first[0].with_code, ""));
                assert_eq!((inside, outside), (Ok(without_code.clone()), Ok(with_code.clone())), "{text} in {region}");
                let says = read.as_ref().unwrap_err().says(Kind::Sms, text, region);
                assert!(says.contains(&spaced(with_code)) && says.contains(&spaced(without_code)), "{says}");
            }
            Ok(_) | Err(_) => {
                assert_eq!(settled, [read.clone(), read.clone(), read.clone()], "{text} in {region}");
                assert_eq!(doubtful, Doubtful::default());
            }
        }
        doubtful.n == 1
    }

    #[test]
    fn of_two_readings_the_chosen_one_is_taken_and_none_without_a_choice() {
        assert!(must_settle("49331123456", "DE"));
        let read = |choice| sms("49331123456", "DE").or_else(|problem| problem.settled(choice));
        assert_eq!(read(TwoWays::Inside).as_deref(), Ok("4949331123456"));
        assert_eq!(read(TwoWays::WithCode).as_deref(), Ok("49331123456"));
        assert_eq!(read(TwoWays::LeaveOut).unwrap_err().code(), "two_ways");
        assert!(!must_settle("+49331123456", "DE") && !must_settle("07911 1", "IE"));

        let mut doubtful = Doubtful::default();
        (0..9).for_each(|_| doubtful.see("49331123456", &sms("49331123456", "DE")));
        assert_eq!((doubtful.n, doubtful.first.len()), (9, Doubtful::SHOWN));
    }

    #[test]
    fn in_every_country_a_choice_takes_one_of_the_readings_that_were_named() {
        let of_region = |(region, number): (Region, PhoneNumber)| {
            let code = region.as_region_str().to_string();
            let national = number.get_national_significant_number();
            let twice = format!("{}{}", number.country_code, written(&number));
            usize::from(must_settle(&written(&number), &code))
                + usize::from(must_settle(&national, &code))
                + usize::from(must_settle(&twice, &code))
        };
        let asked: usize = examples().into_iter().map(of_region).sum();
        assert!(asked > 5, "hardly a country has numbers that are asked about: {asked}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever stands there, in whatever country.
        #[test]
        fn a_choice_settles_two_readings_and_nothing_else(
            rest in "[0-9]{5,10}",
            (at, has_code) in (0..245_usize, proptest::bool::weighted(0.8)),
        ) {
            let regions: Vec<_> = regions::all().collect();
            let region = &regions[at % regions.len()];
            let text = if has_code { format!("{}{rest}", region.dial_code) } else { rest };
            must_settle(&text, region.code);
        }

        /// Nothing is made of a text but what its digits say; and what is kept reads as itself everywhere.
        #[test]
        fn no_number_differs_from_what_was_written(
            text in "[+]?[0-9]{1,5}([ ./()-]{0,2}[0-9]{1,8}){0,4}([.]0)?",
            (at, other) in (0..245_usize, 0..245_usize),
        ) {
            let regions: Vec<&str> = regions::all().map(|it| it.code).collect();
            let (region, other) = (regions[at % regions.len()], regions[other % regions.len()]);
            let found = match sms(&text, region) {
                Ok(number) => vec![number],
                Err(AddressProblem::TwoWays { with_code, without_code }) => vec![with_code, without_code],
                Err(_) => vec![],
            };
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            for number in found {
                // Without the code: a trunk prefix may have stood behind it.
                // And a whole country may have one area code, which nobody dials inside.
                let kept = 6.min(number.len() - 4).min(digits.len() - usize::from(text.ends_with(".0")));
                let tail = &number[number.len() - kept..];
                let without_decimals = digits.strip_suffix('0').unwrap_or(&digits);
                prop_assert!(digits.ends_with(tail) || without_decimals.ends_with(tail), "{text} in {region} became {number}");
                prop_assert_eq!(sms(&in_full(Kind::Sms, &number), other), Ok(number.clone()));
                prop_assert_eq!(sms(&spaced(&number), other), Ok(number));
            }
        }
    }
}
