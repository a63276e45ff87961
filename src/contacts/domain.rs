use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, Region};

use super::regions;
use crate::providers::Kind;

/// The longest address of a kind that is not a phone.
const LONGEST_ADDRESS: usize = 200;

/// Why a text is not an address. [`AddressProblem::says`] has the words for the
/// person whose file it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    Missing,
    /// Holds something that no phone number holds.
    NotAPhone,
    /// A spreadsheet wrote the number with an exponent, and digits are lost.
    Rounded,
    /// No such number exists where it claims to be from.
    NoSuchNumber,
    TooLong,
    HasSpaces,
}

impl AddressProblem {
    /// The word in the list of problems.
    pub fn code(self) -> &'static str {
        match self {
            AddressProblem::Missing => "missing_address",
            AddressProblem::NotAPhone
            | AddressProblem::Rounded
            | AddressProblem::NoSuchNumber
            | AddressProblem::TooLong
            | AddressProblem::HasSpaces => "invalid_address",
        }
    }

    /// What is wrong with `text` and what to do about it.
    pub fn says(self, kind: Kind, text: &str, region: &str) -> String {
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
/// may be written with `+`, with `00`, or as inside `region`, with the usual
/// spaces, dashes, dots and brackets. With an empty `region` every number has
/// its country code, even without a plus.
///
/// Other addresses are trimmed and otherwise left alone.
pub fn normalise(kind: Kind, text: &str, region: &str) -> Result<String, AddressProblem> {
    let text = text.trim().trim_start_matches('\'');
    if text.is_empty() {
        return Err(AddressProblem::Missing);
    }
    if kind.is_phone() {
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

/// An address that somebody may read again in any country: with a plus if it is a phone number.
pub fn in_full(kind: Kind, address: &str) -> String {
    if kind.is_phone() { format!("+{address}") } else { address.to_owned() }
}

/// The last day on which a block holds that ends at this instant.
pub fn last_day(until: DateTime<Utc>, zone: Tz) -> NaiveDate {
    (until - TimeDelta::seconds(1)).with_timezone(&zone).date_naive()
}

/// Of what somebody pasted, so many pieces that are no addresses are kept and named; more are only counted.
pub const MOST_NAMED: usize = 200;

/// Addresses that somebody pasted.
#[derive(Debug, Default, PartialEq)]
pub struct Pasted {
    /// In the form in which they are kept, each once.
    pub good: Vec<String>,
    /// The first of those that are none.
    pub bad: Vec<BadAddress>,
    pub n_bad: usize,
    /// How many stood there again.
    pub repeated: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BadAddress {
    pub text: String,
    /// What is wrong with it.
    pub says: String,
}

/// Reads addresses that stand one in a line, or with commas or semicolons between them.
pub fn read_pasted(kind: Kind, text: &str, region: &str) -> Pasted {
    let mut pasted = Pasted::default();
    for piece in text.split(['\n', '\r', ',', ';', '\t']).map(str::trim).filter(|piece| !piece.is_empty()) {
        match normalise(kind, piece, region) {
            Ok(address) => pasted.good.push(address),
            Err(problem) => {
                pasted.n_bad += 1;
                if pasted.n_bad <= MOST_NAMED {
                    let text: String = piece.chars().take(100).collect();
                    let says = problem.says(kind, &text, region);
                    pasted.bad.push(BadAddress { text, says });
                }
            }
        }
    }
    pasted.repeated = keep_first(&mut pasted.good, |address| address);
    pasted
}

/// Keeps the first of those with the same address, in their order. Returns how many went.
pub fn keep_first<T>(all: &mut Vec<T>, address: impl Fn(&T) -> &str) -> usize {
    let n = all.len();
    let mut seen = std::collections::HashSet::with_capacity(n);
    let is_first: Vec<bool> = all.iter().map(|it| seen.insert(address(it))).collect();
    drop(seen);
    let mut is_first = is_first.into_iter();
    all.retain(|_| is_first.next().unwrap_or(true));
    n - all.len()
}

/// What is known about a contact beside its address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub customer_id: Option<String>,
    /// Custom values by field name; none is empty.
    pub values: BTreeMap<String, String>,
}

impl Known {
    /// What is different in `new`, by name, for the journal; empty when nothing is.
    pub fn changes(&self, new: &Known) -> String {
        let mut changes: Vec<&str> = Vec::new();
        if self.customer_id != new.customer_id {
            changes.push("customer ID");
        }
        let fields: std::collections::BTreeSet<&String> = self.values.keys().chain(new.values.keys()).collect();
        changes.extend(fields.into_iter().filter(|it| self.values.get(*it) != new.values.get(*it)).map(String::as_str));
        changes.join(", ")
    }
}

/// The beginning of a phone number as people write it, the way addresses are
/// stored; anything else as it stands.
pub fn as_stored(text: &str) -> String {
    let is_number = text.chars().all(|c| c.is_ascii_digit() || "+-() ./".contains(c));
    if !is_number {
        return text.to_owned();
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
}

/// Digits of the shortest phone number anywhere.
const SHORTEST_PHONE: usize = 4;

fn phone(text: &str, region: &str) -> Result<String, AddressProblem> {
    // More than any writing of 15 digits needs, and cheap to refuse.
    if text.len() > 60 {
        return Err(AddressProblem::NotAPhone);
    }
    // The library also finds numbers inside sentences and reads letters as on a
    // telephone's keys. In a column of numbers both are mistakes.
    let mut digits = String::with_capacity(18);
    let mut plus = false;
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' | '＋' if digits.is_empty() && !plus => plus = true,
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2010}'..='\u{2015}' => {}
            // Marks of writing direction that address books leave around a number.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            'e' | 'E' if is_rounded(text) => return Err(AddressProblem::Rounded),
            _ => return Err(AddressProblem::NotAPhone),
        }
    }
    if digits.is_empty() {
        return Err(AddressProblem::NotAPhone);
    }
    // No country has shorter ones, and a text may hold millions of such.
    if digits.len() < SHORTEST_PHONE {
        return Err(AddressProblem::NoSuchNumber);
    }

    let region = (!region.is_empty()).then(|| Region::from_code(region).ok()).flatten();
    let international = if plus {
        Some(digits.as_str())
    } else if let Some(rest) = digits.strip_prefix("00") {
        Some(rest)
    } else if region.is_none() {
        Some(digits.as_str())
    } else {
        None
    };
    let parsed = match international {
        // "+44 (0) 20…": the library drops the zero.
        Some(digits) => PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None),
        None => PHONE_NUMBER_UTIL.parse(&digits, region),
    };
    match parsed {
        Ok(number) if PHONE_NUMBER_UTIL.is_valid_number(&number) || is_fictional(&number) => Ok(written(&number)),
        Ok(_) | Err(_) => Err(AddressProblem::NoSuchNumber),
    }
}

fn is_rounded(text: &str) -> bool {
    text.split_once(['e', 'E']).is_some_and(|(mantissa, exponent)| {
        mantissa.starts_with(|c: char| c.is_ascii_digit())
            && exponent.trim_start_matches('+').parse::<u8>().is_ok()
            && mantissa.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',')
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
        assert_eq!(sms("1-800-FLOWERS", "US"), Err(AddressProblem::NotAPhone));
        assert_eq!(sms("call 0861234567", "IE"), Err(AddressProblem::NotAPhone));
        assert_eq!(sms("0861234567, 0871234567", "IE"), Err(AddressProblem::NotAPhone));
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
    fn pasted_numbers_are_sorted_out() {
        let pasted = read_pasted(Kind::Sms, "086 123 4567, +353 86 123 4568\n\n07911 1;0861234567\r\n", "IE");
        assert_eq!(pasted.good, ["353861234567", "353861234568"]);
        assert_eq!(pasted.repeated, 1);
        assert_eq!(pasted.bad.iter().map(|bad| bad.text.as_str()).collect::<Vec<_>>(), ["07911 1"]);
        assert!(pasted.bad[0].says.contains("is not a phone number in Ireland"));
    }

    #[test]
    fn the_journal_hears_which_values_changed_and_never_the_values() {
        let known = |customer_id: Option<&str>, values: &[(&str, &str)]| Known {
            customer_id: customer_id.map(str::to_owned),
            values: values.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect(),
        };
        let old = known(Some("17"), &[("city", "Cork"), ("name", "Anna")]);
        assert_eq!(old.changes(&old), "");
        assert_eq!(old.changes(&known(None, &[("city", "Sligo"), ("plan", "A")])), "customer ID, city, name, plan");
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
}
