//! domain: When a route is taken.

use std::fmt;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::entities::{Entity, weekday};

use crate::words::words;

/// The name that routes call a step by. It stays when the step is renamed or moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where to go on: a step, or the one below when nothing is said.
pub type To = Option<StepId>;

/// A condition and where it leads.
///
/// The value is kept as it was typed, so that a draft can hold one that is not
/// finished; [`Route::wrong`] says what is missing, and such a condition never holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The field that is looked at; the answer given last when there is none.
    #[serde(default)]
    pub field: Option<String>,
    pub op: Op,
    #[serde(default)]
    pub value: String,
    #[serde(default)]
    pub to: To,
}

words! {
    /// How a condition compares. Texts are compared without regard to capitals.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Op {
        /// One of the words, and nothing else.
        Is = "is" => "is one of",
        /// One of the words stands in it.
        HasWord = "has_word" => "has the word",
        Contains = "contains" => "contains",
        StartsWith = "starts_with" => "starts with",
        /// Whatever was accepted as an answer.
        Understood = "understood" => "was understood",
        /// An entity is found in it.
        IsA = "is_a" => "is a",
        LessThan = "less_than" => "is less than",
        AtMost = "at_most" => "is at most",
        Equals = "equals" => "equals the number",
        AtLeast = "at_least" => "is at least",
        MoreThan = "more_than" => "is more than",
        Before = "before" => "is before the day",
        On = "on" => "is on the day",
        After = "after" => "is after the day",
        IsEmpty = "is_empty" => "is empty",
        IsNotEmpty = "is_not_empty" => "is not empty",
        TimeBetween = "time_between" => "the time is between",
        Weekday = "weekday" => "the weekday is one of",
    }
}

impl Op {
    /// Whether it needs something to compare with.
    pub fn compares(self) -> bool {
        !matches!(self, Op::IsEmpty | Op::IsNotEmpty | Op::Understood)
    }

    /// Whether it looks at a field or the answer, and not at the clock or at how the answer was taken.
    pub fn looks(self) -> bool {
        !matches!(self, Op::TimeBetween | Op::Weekday | Op::Understood)
    }
}

/// What a condition may look at.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The value of the field, or the answer; `None` when there is none.
    pub value: Option<&'a str>,
    pub now: DateTime<Utc>,
    pub zone: Tz,
}

/// Words between commas, as they are compared.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(plain).filter(|word| !word.is_empty())
}

/// A text in small letters, without the signs around its words.
pub(super) fn plain(text: &str) -> String {
    let word =
        |word: &str| word.trim_matches(|c: char| c.is_ascii_punctuation() && !"+#@€$".contains(c)).to_lowercase();
    text.replace('’', "'").split_whitespace().map(word).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether `word` stands in `text`, both [`plain`], as a word or words.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    !word.is_empty() && format!(" {text} ").contains(&format!(" {word} "))
}

fn number(text: &str, today: NaiveDate) -> Option<f64> {
    Entity::Number.find(text, today)?.parse().ok()
}

fn date(text: &str, today: NaiveDate) -> Option<NaiveDate> {
    Entity::Date.find(text, today)?.parse().ok()
}

/// A minus as it is typed: the sign of the keyboard, the dashes, and the sign of mathematics.
const MINUS: [char; 5] = ['-', '‐', '–', '—', '−'];

/// `2026-03-31`, or days from today: `today`, `today+3`, `today-30`, also with the dashes that
/// word processors make of a minus.
fn day(text: &str, today: NaiveDate) -> Option<NaiveDate> {
    let text = text.trim().to_lowercase();
    let Some(rest) = text.strip_prefix("today") else { return text.parse().ok() };
    let rest = rest.replace(' ', "");
    if rest.is_empty() {
        return Some(today);
    }
    let days = |digits: &str| digits.parse().ok().filter(|days| *days <= 36_500).map(Days::new);
    match rest.strip_prefix('+') {
        Some(digits) => today.checked_add_days(days(digits)?),
        None => today.checked_sub_days(days(rest.strip_prefix(MINUS)?)?),
    }
}

/// `09:00-17:30`
fn hours(text: &str) -> Option<(NaiveTime, NaiveTime)> {
    let (from, to) = text.split_once(MINUS)?;
    let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
    Some((time(from)?, time(to)?))
}

impl Route {
    pub(super) fn holds(&self, seen: Seen) -> bool {
        let local = seen.now.with_timezone(&seen.zone);
        let today = local.date_naive();
        let value = seen.value.unwrap_or_default();
        let said = plain(value);
        let compared = || Some((number(value, today)?, number(&self.value, today)?));
        let days = || Some((date(value, today)?, day(&self.value, today)?));
        match self.op {
            Op::Is => words(&self.value).any(|word| word == said),
            Op::HasWord => words(&self.value).any(|word| has_word(&said, &word)),
            Op::Contains => words(&self.value).any(|word| said.contains(&word)),
            Op::StartsWith => words(&self.value).any(|word| said.starts_with(&word)),
            Op::LessThan => compared().is_some_and(|(a, b)| a < b),
            Op::AtMost => compared().is_some_and(|(a, b)| a <= b),
            Op::Equals => compared().is_some_and(|(a, b)| a == b),
            Op::AtLeast => compared().is_some_and(|(a, b)| a >= b),
            Op::MoreThan => compared().is_some_and(|(a, b)| a > b),
            Op::Before => days().is_some_and(|(a, b)| a < b),
            Op::On => days().is_some_and(|(a, b)| a == b),
            Op::After => days().is_some_and(|(a, b)| a > b),
            Op::IsEmpty => value.trim().is_empty(),
            Op::IsNotEmpty => !value.trim().is_empty(),
            Op::IsA => Entity::of_word(self.value.trim()).is_some_and(|entity| entity.find(value, today).is_some()),
            Op::Understood => true,
            Op::TimeBetween => hours(&self.value).is_some_and(|(from, to)| {
                let time = local.time();
                // From 22:00 to 06:00 goes over midnight.
                if from <= to { from <= time && time < to } else { from <= time || time < to }
            }),
            Op::Weekday => words(&self.value).filter_map(|word| weekday(&word)).any(|day| day == local.weekday()),
        }
    }

    /// What is wrong with it, in words that say what to do.
    pub fn wrong(&self) -> Option<&'static str> {
        let any_day = NaiveDate::default();
        if self.field.as_ref().is_some_and(|field| field.trim().is_empty()) {
            return Some("Choose what the condition looks at.");
        }
        if self.op.compares() && self.value.trim().is_empty() {
            return Some("Say what the condition compares with.");
        }
        match self.op {
            Op::Is | Op::HasWord | Op::Contains | Op::StartsWith => {
                words(&self.value).next().is_none().then_some("Write a word, or several with commas between them.")
            }
            Op::LessThan | Op::AtMost | Op::Equals | Op::AtLeast | Op::MoreThan => {
                number(&self.value, any_day).is_none().then_some("Write a number, such as 100 or 12.50.")
            }
            Op::Before | Op::On | Op::After => {
                day(&self.value, any_day).is_none().then_some("Write a day as 2026-03-31, today, today+3 or today-30.")
            }
            Op::IsA => Entity::of_word(self.value.trim())
                .is_none()
                .then_some("Write one of date, number, email, postcode, name."),
            Op::TimeBetween => match hours(&self.value) {
                Some((from, to)) if from != to => None,
                Some(_) | None => Some("Write two different times, such as 09:00-17:00."),
            },
            Op::Weekday => words(&self.value)
                .any(|word| weekday(&word).is_none())
                .then_some("Write weekdays with commas between them, such as Sat, Sun."),
            Op::IsEmpty | Op::IsNotEmpty | Op::Understood => None,
        }
    }

    pub fn words(&self) -> String {
        let what = match &self.field {
            Some(field) if self.op.looks() => format!("{field} "),
            None if self.op.looks() && self.op != Op::Is => "answer ".to_owned(),
            Some(_) | None => String::new(),
        };
        let how = if self.field.is_none() && self.op == Op::Is { "" } else { self.op.label() };
        let with = if self.op.compares() { self.value.trim() } else { "" };
        format!("{what}{how} {with}").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Monday, ten in the morning in Dublin as in London.
    fn now() -> DateTime<Utc> {
        "2026-03-02T10:00:00Z".parse().unwrap()
    }

    fn holds(value: &str, op: Op, with: &str) -> bool {
        let route = Route { field: None, op, value: with.into(), to: None };
        route.holds(Seen { value: Some(value), now: now(), zone: chrono_tz::Europe::Dublin })
    }

    #[test]
    fn words_are_compared_without_capitals_and_signs() {
        assert!(holds(" Yes! ", Op::Is, "ok, yes"));
        assert!(!holds("yes please", Op::Is, "ok, yes"));
        assert!(holds("oh yes, please", Op::HasWord, "yes"));
        assert!(!holds("yesterday", Op::HasWord, "yes"));
        assert!(holds("please call me back", Op::HasWord, "call me"));
        assert!(holds("yesterday", Op::Contains, "no, yes"));
        assert!(holds("Yesterday", Op::StartsWith, "yes"));
        assert!(!holds("oh yes", Op::StartsWith, "yes"));
        for op in [Op::Is, Op::HasWord, Op::Contains, Op::StartsWith] {
            assert!(!holds("", op, "yes") && !holds("yes", op, " , "), "{op:?}");
        }
    }

    #[test]
    fn numbers_and_days_are_compared_as_such_and_never_hold_for_what_is_none() {
        assert!(holds("1,000.50", Op::MoreThan, "999"));
        assert!(holds("10", Op::AtMost, "10") && holds("10", Op::AtLeast, "10") && holds("10.0", Op::Equals, "10"));
        assert!(holds("9", Op::LessThan, "10") && !holds("10", Op::LessThan, "10"));
        assert!(holds("2026-03-01", Op::Before, "today") && !holds("2026-03-02", Op::Before, "today"));
        assert!(holds("2 March", Op::On, "2026-03-02") && holds("2026-03-06", Op::After, "today + 3"));
        assert!(!holds("2026-03-05", Op::After, "today+3"));
        for op in [Op::LessThan, Op::AtMost, Op::Equals, Op::AtLeast, Op::MoreThan, Op::Before, Op::On, Op::After] {
            assert!(!holds("many", op, "10") && !holds("10", op, "many"), "{op:?}");
        }
    }

    #[test]
    fn the_clock_is_that_of_the_zone() {
        assert!(holds("", Op::TimeBetween, "10:00-11:00") && !holds("", Op::TimeBetween, "09:00-10:00"));
        assert!(holds("", Op::TimeBetween, "22:00-10:30") && !holds("", Op::TimeBetween, "22:00-10:00"));
        assert!(holds("", Op::Weekday, "sun, Monday") && !holds("", Op::Weekday, "Tue"));
        let late = Route { field: None, op: Op::TimeBetween, value: "19:00-19:01".into(), to: None };
        assert!(late.holds(Seen { value: None, now: now(), zone: chrono_tz::Asia::Tokyo }));
    }

    #[test]
    fn what_is_not_finished_says_so_and_never_holds() {
        for (op, value) in [
            (Op::Is, ""),
            (Op::Is, ","),
            (Op::MoreThan, "many"),
            (Op::Before, "soon"),
            (Op::Before, "today*3"),
            (Op::IsA, "horse"),
            (Op::TimeBetween, "9"),
            (Op::Weekday, "Mon, Someday"),
        ] {
            let route = Route { field: None, op, value: value.into(), to: None };
            assert!(route.wrong().is_some(), "{op:?} {value}");
        }
        for (op, value) in [(Op::Is, "yes"), (Op::Before, "today-3"), (Op::IsA, "date"), (Op::Weekday, "Sat, sun")] {
            let route = Route { field: None, op, value: value.into(), to: None };
            assert_eq!(route.wrong(), None, "{op:?} {value}");
        }
    }

    #[test]
    fn a_minus_may_be_typed_as_any_dash() {
        for dash in MINUS {
            assert!(holds("2026-02-28", Op::Before, &format!("today {dash} 1")), "{dash}");
            assert!(!holds("2026-03-01", Op::Before, &format!("today{dash}1")), "{dash}");
            assert!(holds("", Op::TimeBetween, &format!("10:00{dash}11:00")), "{dash}");
        }
        for odd in ["today\u{301}3", "today·3", "today–é", "todayé", "today–", "today–36501"] {
            let route = Route { field: None, op: Op::On, value: odd.into(), to: None };
            assert!(route.wrong().is_some(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_judged_and_compared(
            value in prop_oneof!["(\\PC|[-+–—−0-9:., ]|today|mon){0,12}", "today ?(\\PC|[-+–—−‐]) ?(\\PC|[0-9]){0,6}"],
            said in "(\\PC|[-0-9., ]|friday){0,12}",
        ) {
            for op in Op::ALL {
                let route = Route { field: None, op, value: value.clone(), to: None };
                let holds = route.holds(Seen { value: Some(&said), now: now(), zone: chrono_tz::Europe::Dublin });
                if matches!(op, Op::Before | Op::On | Op::After) && route.wrong().is_some() {
                    prop_assert!(!holds, "{:?} {:?} of {:?}", op, value, said);
                }
                route.words();
            }
        }
    }
}
