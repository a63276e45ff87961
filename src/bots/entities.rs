//! domain: Dates, numbers and the like, found in what people write.

use chrono::{Datelike, Days, NaiveDate, Weekday};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// A kind of thing that can be found in a text and kept in one form.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Entity {
        /// Kept as `2026-03-31`.
        Date = "date" => "Date",
        /// Kept as `1000.50`.
        Number = "number" => "Number",
        /// Kept with its domain in small letters.
        Email = "email" => "E-mail address",
        /// Kept as `SW1A 1AA`, `D02 AF30`, or as written in capitals.
        Postcode = "postcode" => "Postcode",
        /// Kept as `Ada Lovelace`.
        Name = "name" => "Name of a person",
    }
}

/// A value that a bot kept, as people write it: a day is `3 March 2026` and not `2026-03-03`.
pub fn as_said(value: String) -> String {
    match NaiveDate::parse_from_str(&value, "%Y-%m-%d") {
        Ok(day) if value.len() == "2026-03-03".len() => day.format("%-d %B %Y").to_string(),
        Ok(_) | Err(_) => value,
    }
}

impl Entity {
    /// The first such thing in a text, as it is kept. `today` is the day where the contact is.
    pub fn find(self, text: &str, today: NaiveDate) -> Option<String> {
        match self {
            Entity::Date => date(text, today).map(|date| date.format("%Y-%m-%d").to_string()),
            Entity::Number => number(text),
            Entity::Email => email(text),
            Entity::Postcode => postcode(text),
            Entity::Name => name(text),
        }
    }
}

// Dates

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The place of a name or its beginning of three letters or more: "sep", "sept", "september".
fn place_of(word: &str, names: &[&str]) -> Option<u32> {
    let short_enough = word.len() >= 3 && word.is_ascii();
    let place = names.iter().position(|name| name.starts_with(word))?;
    short_enough.then_some(place as u32)
}

/// A day of a month: "3", "3rd", "03".
fn day_of(word: &str) -> Option<u32> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ending = word.strip_prefix(digits)?;
    let day = digits.parse().ok().filter(|day| (1..=31).contains(day))?;
    (digits.len() <= 2 && ["", "st", "nd", "rd", "th"].contains(&ending)).then_some(day)
}

fn year_of(word: &str) -> Option<i32> {
    let year = word.parse().ok()?;
    (word.len() == 4 && (1900..=2199).contains(&year)).then_some(year)
}

/// A year written with two digits lies near: within the next twenty years, or before.
fn short_year(word: &str, today: NaiveDate) -> Option<i32> {
    if word.len() != 2 {
        return year_of(word);
    }
    let n: i32 = word.parse().ok()?;
    let year = today.year() / 100 * 100 + n;
    Some(if year > today.year() + 20 { year - 100 } else { year })
}

/// The day in that year, or the next time it comes.
fn day_in(year: Option<i32>, month: u32, day: u32, today: NaiveDate) -> Option<NaiveDate> {
    match year {
        Some(year) => NaiveDate::from_ymd_opt(year, month, day),
        // Within eight years there is a 29th of February.
        None => (0..=8)
            .filter_map(|later| NaiveDate::from_ymd_opt(today.year() + later, month, day))
            .find(|date| *date >= today),
    }
}

/// `2026-03-31`, `31/3/2026`, `31.3.26`, `31/3`: the day comes first, as in Europe.
fn in_numbers(word: &str, today: NaiveDate) -> Option<NaiveDate> {
    let separator = word.chars().find(|c| ['-', '/', '.'].contains(c))?;
    let parts: Vec<&str> = word.split(separator).collect();
    match parts[..] {
        [year, month, day] if year.len() == 4 => {
            NaiveDate::from_ymd_opt(year_of(year)?, month.parse().ok()?, day.parse().ok()?)
        }
        [day, month, year] => NaiveDate::from_ymd_opt(short_year(year, today)?, month.parse().ok()?, day_of(day)?),
        // "3.5" and "3-4" are rather numbers.
        [day, month] if separator == '/' => {
            let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
            day_in(None, month, day_of(day)?, today)
        }
        _ => None,
    }
}

fn date(text: &str, today: NaiveDate) -> Option<NaiveDate> {
    let text = text.to_lowercase();
    let mut words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || ",;!?()".contains(c))
        .map(|word| word.trim_matches(['.', '\'', '"', ':']))
        .filter(|word| !word.is_empty() && !["of", "the"].contains(word))
        .collect();
    // A time is no part of it.
    words.iter_mut().for_each(|word| {
        if let Some((date, _)) = word.split_once('t').filter(|(date, time)| date.len() == 10 && time.contains(':')) {
            *word = date;
        }
    });
    let ahead = |n: u64| today.checked_add_days(Days::new(n));
    (0..words.len()).find_map(|i| {
        let next = |n: usize| words.get(i + n).copied().unwrap_or_default();
        let word = words[i];
        if let Some(date) = in_numbers(word, today) {
            return Some(date);
        }
        match (word, next(1), next(2)) {
            ("day", "after", "tomorrow") => return ahead(2),
            ("tomorrow", ..) | ("tmrw", ..) => return ahead(1),
            ("today", ..) | ("tonight", ..) => return Some(today),
            ("yesterday", ..) => return today.pred_opt(),
            ("in", n, "day" | "days") => return ahead(n.parse().ok().filter(|n| *n <= 3650)?),
            ("in", n, "week" | "weeks") => return ahead(7 * n.parse::<u64>().ok().filter(|n| *n <= 520)?),
            _ => {}
        }
        if let (Some(day), Some(month)) = (day_of(word), place_of(next(1), &MONTHS)) {
            return day_in(year_of(next(2)), month + 1, day, today);
        }
        if let (Some(month), Some(day)) = (place_of(word, &MONTHS), day_of(next(1))) {
            return day_in(year_of(next(2)), month + 1, day, today);
        }
        let weekday =
            place_of(word, &WEEKDAYS).filter(|_| !["sat", "sun", "mon", "wed"].contains(&word) || words.len() <= 2)?;
        let until = (7 + weekday - today.weekday().num_days_from_monday()) % 7;
        ahead(if until == 0 { 7 } else { u64::from(until) })
    })
}

/// Days of the week by their first three letters, as conditions have them.
pub(super) fn weekday(word: &str) -> Option<Weekday> {
    const DAYS: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
    place_of(&word.to_lowercase(), &WEEKDAYS).map(|place| DAYS[place as usize])
}

// Numbers

const NUMBERS: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

fn number(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let lower = word.to_lowercase();
        let plain = lower.trim_matches(|c: char| !c.is_alphanumeric() && c != '-' && c != '+');
        if let Some(n) = NUMBERS.iter().position(|name| *name == plain) {
            return Some(n.to_string());
        }
        let negative = plain.starts_with('-');
        let digits = plain.trim_start_matches(['-', '+']).trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = digits.trim_end_matches(|c: char| !c.is_ascii_digit());
        // Of a word such as "b2b" nothing is a number; "€5" and "5km" have one.
        let letters_before = plain.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_alphabetic());
        let plain_enough = digits.chars().all(|c| c.is_ascii_digit() || ['.', ','].contains(&c));
        if digits.is_empty() || letters_before || !plain_enough {
            return None;
        }
        let number = in_digits(digits)?;
        Some(if negative && number.chars().any(|c| ('1'..='9').contains(&c)) { format!("-{number}") } else { number })
    })
}

/// Whichever of `.` and `,` comes last, and not before exactly three digits, begins the decimals.
fn in_digits(digits: &str) -> Option<String> {
    let (whole, decimals) = match digits.rsplit_once(['.', ',']) {
        Some((before, after)) => {
            let sign = char::from(digits.as_bytes()[before.len()]);
            let thousands = before.contains(sign) || (sign == ',' && after.len() == 3 && !before.contains('.'));
            if thousands { (digits, "") } else { (before, after) }
        }
        None => (digits, ""),
    };
    let groups: Vec<&str> = whole.split(['.', ',']).collect();
    if groups.len() > 1 && (groups[0].len() > 3 || groups[1..].iter().any(|group| group.len() != 3)) {
        return None;
    }
    let whole = groups.concat();
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if decimals.is_empty() { whole.to_owned() } else { format!("{whole}.{decimals}") })
}

// Addresses

fn email(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || ",;<>()".contains(c)).find_map(|word| {
        let word =
            word.trim_start_matches("mailto:").trim_matches(|c: char| !c.is_alphanumeric() && !"+_-".contains(c));
        let (local, domain) = word.split_once('@')?;
        let local_is_good = !local.is_empty()
            && local.len() <= 64
            && !local.contains("..")
            && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c));
        let labels: Vec<&str> = domain.split('.').collect();
        let label_is_good = |label: &&str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        let domain_is_good = labels.len() >= 2
            && labels.iter().all(label_is_good)
            && labels.last().is_some_and(|top| top.chars().count() >= 2 && !top.chars().any(|c| c.is_ascii_digit()));
        (local_is_good && domain_is_good).then(|| format!("{local}@{}", domain.to_lowercase()))
    })
}

fn postcode(text: &str) -> Option<String> {
    let upper = text.to_uppercase();
    let words: Vec<&str> = upper
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .map(|word| word.trim_matches('-'))
        .filter(|word| !word.is_empty())
        .collect();
    let pairs = words.windows(2).map(<[&str]>::concat);
    let known = pairs.chain(words.iter().map(|word| (*word).to_owned()));
    known.clone().find_map(|word| british(&word).or_else(|| irish(&word))).or_else(|| {
        let other = |word: &&&str| {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            (3..=10).contains(&word.len()) && digits >= 2
        };
        words.iter().find(other).map(|word| (*word).to_owned())
    })
}

/// The shape of a word: `A` for a letter, `9` for a digit.
fn shape(word: &str) -> String {
    let of = |c: char| {
        if c.is_ascii_digit() {
            '9'
        } else if c.is_ascii_uppercase() {
            'A'
        } else {
            c
        }
    };
    word.chars().map(of).collect()
}

fn british(word: &str) -> Option<String> {
    if !(5..=7).contains(&word.len()) || !word.is_ascii() {
        return None;
    }
    let (outward, inward) = word.split_at(word.len() - 3);
    let known = ["A9", "A99", "AA9", "AA99", "A9A", "AA9A"].contains(&&*shape(outward)) && shape(inward) == "9AA";
    let letters_are_used = inward.chars().skip(1).all(|c| !"CIKMOV".contains(c));
    (known && letters_are_used).then(|| format!("{outward} {inward}"))
}

fn irish(word: &str) -> Option<String> {
    if word.len() != 7 || !word.is_ascii() {
        return None;
    }
    let (routing, unique) = word.split_at(3);
    let known = shape(routing) == "A99" || routing == "D6W";
    let letters_are_used = word.chars().all(|c| c.is_ascii_digit() || "ACDEFHKNPRTVWXY".contains(c));
    let mixed = unique.chars().all(|c| c.is_ascii_alphanumeric());
    (known && letters_are_used && mixed).then(|| format!("{routing} {unique}"))
}

// Names

fn name(text: &str) -> Option<String> {
    let mut said = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('’', "'");
    let lower = said.to_lowercase();
    let openings = [
        "my name is ",
        "my name's ",
        "the name is ",
        "i am ",
        "i'm ",
        "im ",
        "it is ",
        "it's ",
        "this is ",
        "hi, ",
        "hello, ",
    ];
    if let Some(opening) = openings.iter().find(|opening| lower.starts_with(**opening) && lower.len() == said.len()) {
        said = said.get(opening.len()..).unwrap_or_default().to_owned();
    }
    let said = said.trim_matches(|c: char| !c.is_alphabetic());
    let words: Vec<&str> = said.split(' ').collect();
    let is_name = |word: &&str| {
        word.starts_with(char::is_alphabetic) && word.chars().all(|c| c.is_alphabetic() || "'-.".contains(c))
    };
    let no_names = ["yes", "no", "ok", "okay", "hi", "hello", "stop", "help", "thanks", "why", "what", "who", "not"];
    let plain = words.iter().all(is_name) && !words.iter().any(|word| no_names.contains(&&*word.to_lowercase()));
    if !plain || words.len() > 5 || said.chars().count() > 60 || said.is_empty() {
        return None;
    }
    // Whoever uses capitals in some places only knows where they belong.
    let one_case = said == said.to_lowercase() || (said == said.to_uppercase() && said.chars().count() > 2);
    Some(if one_case { capitals(said) } else { said.to_owned() })
}

/// A letter in its other case, where that is one letter as well.
fn one_for_one(c: char, mut other: impl Iterator<Item = char>) -> char {
    match (other.next(), other.next()) {
        (Some(other), None) => other,
        _ => c,
    }
}

fn capitals(said: &str) -> String {
    let mut begins = true;
    let mut name = String::with_capacity(said.len());
    for c in said.chars() {
        match begins {
            true => name.push(one_for_one(c, c.to_uppercase())),
            false => name.push(one_for_one(c, c.to_lowercase())),
        }
        begins = !c.is_alphabetic();
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Monday.
    fn today() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, 2).unwrap()
    }

    fn found(entity: Entity, text: &str) -> String {
        entity.find(text, today()).unwrap_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn a_date_is_found_however_it_is_written() {
        for (text, date) in [
            ("2026-03-31", "2026-03-31"),
            ("2026-03-31T09:30 please", "2026-03-31"),
            ("on 31/3/2026.", "2026-03-31"),
            ("31.03.26", "2026-03-31"),
            ("12/5/81", "1981-05-12"),
            ("1/3", "2027-03-01"),
            ("3 March 1990", "1990-03-03"),
            ("the 3rd of april", "2026-04-03"),
            ("April 3, 2027", "2027-04-03"),
            ("Sept 5th", "2026-09-05"),
            ("2 March", "2026-03-02"),
            ("1 March", "2027-03-01"),
            ("29 feb", "2028-02-29"),
            ("Today!", "2026-03-02"),
            ("can we do tomorrow?", "2026-03-03"),
            ("the day after tomorrow", "2026-03-04"),
            ("yesterday", "2026-03-01"),
            ("in 10 days", "2026-03-12"),
            ("in 2 weeks", "2026-03-16"),
            ("next friday", "2026-03-06"),
            ("monday", "2026-03-09"),
            ("wed", "2026-03-04"),
        ] {
            assert_eq!(found(Entity::Date, text), date, "{text}");
        }
        for none in ["", "soon", "31/2/2026", "30 feb 2026", "3.5", "I sat there", "32 March", "99/99", "the 3rd"] {
            assert_eq!(found(Entity::Date, none), "nothing", "{none}");
        }
    }

    #[test]
    fn a_number_is_kept_in_one_form() {
        for (text, number) in [
            ("12", "12"),
            ("I owe 1,000.50 euro", "1000.50"),
            ("€12.50", "12.50"),
            ("12,5", "12.5"),
            ("1.000,50", "1000.50"),
            ("1,000", "1000"),
            ("1,000,000", "1000000"),
            ("-5", "-5"),
            ("+5", "5"),
            ("007", "7"),
            ("-0", "0"),
            ("5km", "5"),
            ("two please", "2"),
            ("about 20.", "20"),
        ] {
            assert_eq!(found(Entity::Number, text), number, "{text}");
        }
        for none in ["", "many", "b2b", "1,00,0", "1/2"] {
            assert_eq!(found(Entity::Number, none), "nothing", "{none}");
        }
    }

    #[test]
    fn an_address_is_found_in_a_sentence() {
        assert_eq!(found(Entity::Email, "It is Ada.Lovelace+x@Example.ORG, thanks"), "Ada.Lovelace+x@example.org");
        assert_eq!(found(Entity::Email, "<mailto:a@b.ie>"), "a@b.ie");
        for none in ["ada@", "@example.org", "ada@example", "a@b@c.ie", "ada@exam_ple.org", "a..b@c.ie", "ada@1.2"] {
            assert_eq!(found(Entity::Email, none), "nothing", "{none}");
        }
    }

    #[test]
    fn postcodes_of_two_islands_have_their_space_and_others_stay() {
        for (text, code) in [
            ("sw1a1aa", "SW1A 1AA"),
            ("I live in M1 1AE, Manchester", "M1 1AE"),
            ("ec1a 1bb", "EC1A 1BB"),
            ("d02af30", "D02 AF30"),
            ("D6W XY00", "D6W XY00"),
            ("T12 X70A", "T12 X70A"),
            ("10115 Berlin", "10115"),
            ("1000-001 Lisboa", "1000-001"),
        ] {
            assert_eq!(found(Entity::Postcode, text), code, "{text}");
        }
        for none in ["", "Dublin", "no idea", "1"] {
            assert_eq!(found(Entity::Postcode, none), "nothing", "{none}");
        }
    }

    #[test]
    fn a_name_loses_what_is_said_around_it() {
        for (text, name) in [
            ("my name is ada lovelace.", "Ada Lovelace"),
            ("I'm Seán Ó Sé", "Seán Ó Sé"),
            ("MARY O'BRIEN-KELLY", "Mary O'Brien-Kelly"),
            ("it’s anna", "Anna"),
            ("McCarthy", "McCarthy"),
            ("ΐων", "ΐων"),
            ("ßteffi", "ßteffi"),
        ] {
            assert_eq!(found(Entity::Name, text), name, "{text}");
        }
        for none in ["", "yes", "12", "why do you want to know that now", "a@b.ie"] {
            assert_eq!(found(Entity::Name, none), "nothing", "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_found_again_as_it_is(text in "(\\PC|[0-9/.,@ -]|march|friday){0,30}") {
            for entity in Entity::ALL {
                if let Some(kept) = entity.find(&text, today()) {
                    prop_assert_eq!(entity.find(&kept, today()), Some(kept.clone()), "{:?} of {:?}", entity, text);
                }
            }
        }
    }
}
