use std::collections::BTreeSet;

use chrono::{Datelike, Months, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;

use crate::db::Reason;
use crate::pacing::{Calendar, Quiet};

/// The most minutes that what was held may be spread over.
pub const MAX_JITTER: i16 = 60;
/// The most days that a frequency cap looks back.
pub const MAX_CAP_DAYS: i16 = 90;
/// The most blackout dates that are added in one go.
pub const MAX_DAYS_AT_ONCE: usize = 31;

/// What holds for every campaign, unless it has an [`Override`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct House {
    pub quiet: Option<Quiet>,
    /// What was held goes on up to so many minutes later.
    pub jitter_minutes: i16,
    pub cap: Option<Cap>,
    pub approval: ApprovalRule,
}

/// At most so many messages to one contact within so many days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cap {
    pub messages: i32,
    pub days: i16,
}

/// Which launches need the approval of a second person.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ApprovalRule {
    #[default]
    Never,
    Every,
    /// Those to more contacts than this.
    Above(i32),
}

impl ApprovalRule {
    pub fn is_needed(self, contacts: i64) -> bool {
        match self {
            ApprovalRule::Never => false,
            ApprovalRule::Every => true,
            ApprovalRule::Above(most) => i64::from(most) < contacts,
        }
    }

    /// As the database has it.
    pub fn above(self) -> Option<i32> {
        match self {
            ApprovalRule::Never => None,
            ApprovalRule::Every => Some(0),
            ApprovalRule::Above(most) => Some(most),
        }
    }

    pub fn of_above(above: Option<i32>) -> Self {
        match above {
            None => ApprovalRule::Never,
            Some(0) => ApprovalRule::Every,
            Some(most) => ApprovalRule::Above(most),
        }
    }
}

impl House {
    /// What is different in `new`, in words for the journal; empty when nothing is.
    pub fn changes(&self, new: &House) -> String {
        let cap = |cap: Option<Cap>| cap.map_or("none".to_owned(), |cap| format!("{} in {}", cap.messages, days(cap)));
        let approval = |approval: ApprovalRule| match approval {
            ApprovalRule::Never => "never".to_owned(),
            ApprovalRule::Every => "every launch".to_owned(),
            ApprovalRule::Above(most) => format!("above {most} contacts"),
        };
        let mut changes = Vec::new();
        if self.quiet != new.quiet {
            changes.push(format!("quiet hours {} → {}", hours(self.quiet), hours(new.quiet)));
        }
        if self.jitter_minutes != new.jitter_minutes {
            changes.push(format!("jitter {} → {} minutes", self.jitter_minutes, new.jitter_minutes));
        }
        if self.cap != new.cap {
            changes.push(format!("frequency cap {} → {}", cap(self.cap), cap(new.cap)));
        }
        if self.approval != new.approval {
            changes.push(format!("second person {} → {}", approval(self.approval), approval(new.approval)));
        }
        changes.join(", ")
    }

    /// What the quiet hours mean.
    pub fn quiet_sentence(&self) -> String {
        let Some(quiet) = self.quiet else {
            return "There are no quiet hours: campaigns send at any hour inside their windows.".to_owned();
        };
        let (from, to) = (quiet.from().format("%H:%M"), quiet.to().format("%H:%M"));
        let spread = match self.jitter_minutes {
            0 => String::new(),
            1 => ", up to 1 minute later so that not everything starts at once".to_owned(),
            n => format!(", up to {n} minutes later so that not everything starts at once"),
        };
        format!(
            "Between {from} and {to} in the campaign's time zone nothing is sent; what is due waits and goes on at {to}{spread}."
        )
    }

    /// What the frequency cap means.
    pub fn cap_sentence(&self) -> String {
        match self.cap {
            None => "There is no frequency cap: every campaign may write to every contact.".to_owned(),
            Some(cap) => {
                let messages = if cap.messages == 1 { "message" } else { "messages" };
                format!("A contact gets at most {} {messages} within {}, over all campaigns.", cap.messages, days(cap))
            }
        }
    }

    /// When a second person is needed.
    pub fn approval_sentence(&self) -> String {
        match self.approval {
            ApprovalRule::Never => "Whoever may launch a campaign launches it alone.".to_owned(),
            ApprovalRule::Every => "Every launch needs the approval of a second person.".to_owned(),
            ApprovalRule::Above(1) => {
                "Launches to more than 1 contact need the approval of a second person.".to_owned()
            }
            ApprovalRule::Above(most) => {
                format!("Launches to more than {most} contacts need the approval of a second person.")
            }
        }
    }
}

fn days(cap: Cap) -> String {
    if cap.days == 1 { "1 day".to_owned() } else { format!("{} days", cap.days) }
}

/// Quiet hours in a few words: `21:00–08:00`, or `none`.
pub fn hours(quiet: Option<Quiet>) -> String {
    quiet.map_or("none".to_owned(), |quiet| format!("{}–{}", quiet.from().format("%H:%M"), quiet.to().format("%H:%M")))
}

/// A time of day as a form sends it.
pub fn time_of(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S")).ok()
}

// A campaign's own choice

/// Which quiet hours a campaign keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum QuietChoice {
    /// Those of the installation, as they are at the time.
    #[default]
    Inherit,
    None,
    Own(Quiet),
}

impl QuietChoice {
    pub fn word(self) -> &'static str {
        match self {
            QuietChoice::Inherit => "inherit",
            QuietChoice::None => "none",
            QuietChoice::Own(_) => "own",
        }
    }

    /// The times that stand beside the word in the database.
    pub fn own(self) -> Option<Quiet> {
        match self {
            QuietChoice::Own(quiet) => Some(quiet),
            QuietChoice::Inherit | QuietChoice::None => None,
        }
    }

    pub fn of_word(word: &str, own: Option<Quiet>) -> Option<Self> {
        match (word, own) {
            ("inherit", None) => Some(QuietChoice::Inherit),
            ("none", None) => Some(QuietChoice::None),
            ("own", Some(quiet)) => Some(QuietChoice::Own(quiet)),
            _ => None,
        }
    }
}

/// What a campaign decides for itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Override {
    pub quiet: QuietChoice,
    pub blackouts_apply: bool,
}

impl Default for Override {
    fn default() -> Self {
        Override { quiet: QuietChoice::Inherit, blackouts_apply: true }
    }
}

impl Override {
    /// For the journal.
    pub fn words(&self) -> String {
        let quiet = match self.quiet {
            QuietChoice::Inherit => "quiet hours as in Settings".to_owned(),
            QuietChoice::None => "no quiet hours".to_owned(),
            QuietChoice::Own(quiet) => format!("quiet hours {}", hours(Some(quiet))),
        };
        let blackouts = if self.blackouts_apply { "kept" } else { "passed over" };
        format!("{quiet}, blackout dates {blackouts}")
    }
}

/// When a campaign whose clocks show `zone` is held.
pub fn effective(house: &House, blackouts: &BTreeSet<NaiveDate>, own: &Override, zone: Tz) -> Calendar {
    let quiet = match own.quiet {
        QuietChoice::Inherit => house.quiet,
        QuietChoice::None => None,
        QuietChoice::Own(quiet) => Some(quiet),
    };
    let blackouts = if own.blackouts_apply { blackouts.clone() } else { BTreeSet::new() };
    Calendar { zone, quiet, blackouts, jitter: TimeDelta::minutes(house.jitter_minutes.into()) }
}

// Blackout dates

/// A day on which nothing is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Blackout {
    pub day: NaiveDate,
    pub name: String,
}

/// Why the blackout dates stayed as they were. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("{day} is a blackout date already: {name}.", day = in_words(.0.day), name = .0.name)]
    AlreadyThere(Blackout),
}

impl Reason for Refused {}

/// What is wrong with the days that somebody wants to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDays {
    #[error("This day has passed.")]
    Passed,
    #[error("At most ten years from now.")]
    TooFar,
    #[error("Not before the first day.")]
    Backwards,
    #[error("At most {MAX_DAYS_AT_ONCE} days in one go.")]
    TooMany,
}

/// The days from `first` to `last`.
pub fn days_between(first: NaiveDate, last: NaiveDate, today: NaiveDate) -> Result<Vec<NaiveDate>, BadDays> {
    if first < today {
        return Err(BadDays::Passed);
    }
    if today.checked_add_months(Months::new(120)).is_none_or(|limit| limit < first) {
        return Err(BadDays::TooFar);
    }
    if last < first {
        return Err(BadDays::Backwards);
    }
    let days: Vec<_> = first.iter_days().take_while(|day| *day <= last).take(MAX_DAYS_AT_ONCE + 1).collect();
    if days.len() > MAX_DAYS_AT_ONCE { Err(BadDays::TooMany) } else { Ok(days) }
}

/// What copying last year's dates to `year` would add: each on the same day of the
/// same month, unless that day is a blackout date, has passed, or does not exist.
pub fn copied(blackouts: &[Blackout], year: i32, today: NaiveDate) -> Vec<Blackout> {
    let there: BTreeSet<_> = blackouts.iter().map(|blackout| blackout.day).collect();
    let last_years = blackouts.iter().filter(|blackout| year.checked_sub(1) == Some(blackout.day.year()));
    last_years
        .filter_map(|blackout| Some(Blackout { day: blackout.day.with_year(year)?, name: blackout.name.clone() }))
        .filter(|copy| today <= copy.day && !there.contains(&copy.day))
        .collect()
}

/// `Friday 25 December 2026`
pub fn in_words(day: NaiveDate) -> String {
    day.format("%A %-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(from: &str, to: &str) -> Quiet {
        Quiet::new(time_of(from).unwrap(), time_of(to).unwrap()).unwrap()
    }

    fn on(day: &str) -> NaiveDate {
        day.parse().unwrap()
    }

    fn blackout(day: &str, name: &str) -> Blackout {
        Blackout { day: on(day), name: name.into() }
    }

    fn house() -> House {
        House {
            quiet: Some(quiet("21:00", "08:00")),
            jitter_minutes: 10,
            cap: Some(Cap { messages: 3, days: 7 }),
            approval: ApprovalRule::Above(1000),
        }
    }

    #[test]
    fn the_journal_hears_what_changed_and_nothing_else() {
        assert_eq!(house().changes(&house()), "");
        assert_eq!(
            House::default().changes(&house()),
            "quiet hours none → 21:00–08:00, jitter 0 → 10 minutes, frequency cap none → 3 in 7 days, \
             second person never → above 1000 contacts"
        );
        let new = House { cap: Some(Cap { messages: 1, days: 1 }), approval: ApprovalRule::Every, ..house() };
        assert_eq!(
            house().changes(&new),
            "frequency cap 3 in 7 days → 1 in 1 day, second person above 1000 contacts → every launch"
        );
    }

    #[test]
    fn sentences_say_what_the_settings_mean() {
        assert_eq!(
            house().quiet_sentence(),
            "Between 21:00 and 08:00 in the campaign's time zone nothing is sent; what is due waits and goes on at 08:00, \
             up to 10 minutes later so that not everything starts at once."
        );
        assert!(House { jitter_minutes: 0, ..house() }.quiet_sentence().ends_with("goes on at 08:00."));
        assert!(House { jitter_minutes: 1, ..house() }.quiet_sentence().contains("up to 1 minute later"));
        assert_eq!(house().cap_sentence(), "A contact gets at most 3 messages within 7 days, over all campaigns.");
        let once = House { cap: Some(Cap { messages: 1, days: 1 }), ..house() };
        assert_eq!(once.cap_sentence(), "A contact gets at most 1 message within 1 day, over all campaigns.");
    }

    #[test]
    fn a_second_person_is_needed_above_the_number_and_not_at_it() {
        for (approval, contacts, needed) in [
            (ApprovalRule::Never, i64::MAX, false),
            (ApprovalRule::Every, 0, true),
            (ApprovalRule::Above(1000), 1000, false),
            (ApprovalRule::Above(1000), 1001, true),
        ] {
            assert_eq!(approval.is_needed(contacts), needed, "{approval:?} {contacts}");
            assert_eq!(ApprovalRule::of_above(approval.above()), approval);
        }
    }

    #[test]
    fn a_campaign_keeps_the_hours_of_the_installation_or_its_own_or_none() {
        let own = quiet("12:00", "13:00");
        for (choice, expected) in
            [(QuietChoice::Inherit, house().quiet), (QuietChoice::None, None), (QuietChoice::Own(own), Some(own))]
        {
            let calendar =
                effective(&house(), &BTreeSet::new(), &Override { quiet: choice, ..Override::default() }, Tz::UTC);
            assert_eq!(calendar.quiet, expected, "{choice:?}");
            assert_eq!(calendar.jitter, TimeDelta::minutes(10));
            assert_eq!(QuietChoice::of_word(choice.word(), choice.own()), Some(choice));
        }
        assert_eq!(QuietChoice::of_word("own", None), None);
        assert_eq!(QuietChoice::of_word("inherit", Some(own)), None);
    }

    #[test]
    fn blackout_dates_hold_a_campaign_unless_it_leaves_them_out() {
        let christmas = BTreeSet::from([on("2026-12-25")]);
        let of = |own: Override| effective(&house(), &christmas, &own, Tz::Europe__Dublin);
        assert_eq!(of(Override::default()).blackouts, christmas);
        assert_eq!(of(Override { blackouts_apply: false, ..Override::default() }).blackouts, BTreeSet::new());
        assert_eq!(of(Override::default()).zone, Tz::Europe__Dublin);
    }

    #[test]
    fn days_are_added_from_today_on_and_not_too_many() {
        let between = |first, last| days_between(on(first), on(last), on("2026-12-24"));
        assert_eq!(between("2026-12-24", "2026-12-26"), Ok(vec![on("2026-12-24"), on("2026-12-25"), on("2026-12-26")]));
        assert_eq!(between("2026-12-23", "2026-12-26"), Err(BadDays::Passed));
        assert_eq!(between("2026-12-25", "2026-12-24"), Err(BadDays::Backwards));
        assert_eq!(between("2036-12-24", "2036-12-24").map(|days| days.len()), Ok(1));
        assert_eq!(between("2036-12-25", "2036-12-25"), Err(BadDays::TooFar));
        assert_eq!(between("2027-01-01", "2027-01-31").map(|days| days.len()), Ok(31));
        assert_eq!(between("2027-01-01", "2027-02-01"), Err(BadDays::TooMany));
    }

    #[test]
    fn copying_a_year_leaves_out_what_is_there_has_passed_or_does_not_exist() {
        let blackouts = [
            blackout("2027-12-25", "Not last year's"),
            blackout("2028-01-01", "New Year"),
            blackout("2028-02-29", "Leap day"),
            blackout("2028-03-17", "St Patrick's Day"),
            blackout("2028-12-25", "Christmas Day"),
            blackout("2029-03-17", "There already"),
        ];
        assert_eq!(copied(&blackouts, 2029, on("2029-01-02")), [blackout("2029-12-25", "Christmas Day")]);
        assert_eq!(copied(&blackouts, 2029, on("2028-12-31")).len(), 2);
        assert_eq!(copied(&blackouts, 2031, on("2028-12-31")), []);
    }

    #[test]
    fn a_refusal_names_the_day_and_what_it_is() {
        assert_eq!(
            Refused::AlreadyThere(blackout("2026-12-25", "Christmas Day")).to_string(),
            "Friday 25 December 2026 is a blackout date already: Christmas Day."
        );
    }
}
