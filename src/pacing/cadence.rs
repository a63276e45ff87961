//! When a schedule comes round again.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use super::instant;
use super::late::whole_minutes;

use crate::words::words;

/// Days of the week, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct Days(u8);

/// A number or names that are no days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Choose at least one day of the week.")]
pub struct NoDays;

const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

impl Days {
    pub const ALL: Days = Days(0b111_1111);
    pub const WEEKDAYS: Days = Days(0b001_1111);

    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Result<Days, NoDays> {
        match days.into_iter().fold(0, |bits, day| bits | Days::bit(day)) {
            0 => Err(NoDays),
            bits => Ok(Days(bits)),
        }
    }

    /// From English names, long or short: `Mon`, `tuesday`.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Days, NoDays> {
        let days: Result<Vec<_>, _> = names.into_iter().map(|name| Weekday::from_str(name.trim())).collect();
        Days::of(days.map_err(|_| NoDays)?)
    }

    pub fn contains(self, day: Weekday) -> bool {
        self.0 & Days::bit(day) != 0
    }

    /// From Monday.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        WEEK.into_iter().filter(move |day| self.contains(*day))
    }

    /// The words on the screen: `every day`, `weekdays`, `Mon Tue Fri`.
    pub fn words(self) -> String {
        match self {
            Days::ALL => "every day".to_owned(),
            Days::WEEKDAYS => "weekdays".to_owned(),
            _ => self.iter().map(|day| day.to_string()).collect::<Vec<_>>().join(" "),
        }
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.num_days_from_monday()
    }
}

/// Monday is 1, Sunday 64.
impl From<Days> for i16 {
    fn from(days: Days) -> i16 {
        days.0.into()
    }
}

impl TryFrom<i16> for Days {
    type Error = NoDays;

    fn try_from(bits: i16) -> Result<Days, NoDays> {
        match u8::try_from(bits) {
            Ok(bits @ 1..=127) => Ok(Days(bits)),
            _ => Err(NoDays),
        }
    }
}

/// A cron expression of five fields that comes round at least once.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronText {
    text: String,
    cron: Box<Cron>,
}

/// Why a text is no cron expression. The words are for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    #[error(
        "Write five fields: minute, hour, day of the month, month, weekday. 30 9 * * MON-FRI is 09:30 on weekdays."
    )]
    NotFive,
    #[error("{text} is not {article} {name}. Write {hint}, or * for every {name}.")]
    Field { text: String, article: &'static str, name: &'static str, hint: &'static str },
    #[error("These fields do not go together. Write them like 30 9 * * MON-FRI, which is 09:30 on weekdays.")]
    Together,
    #[error("Such a day never comes. Choose another day of the month or another month.")]
    Never,
}

/// What a field is called and what may stand in it.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59, a list such as 0,30 or a step such as */15"),
    ("hour", "0 to 23, a range such as 9-17 or a list such as 9,13"),
    ("day of the month", "1 to 31, L for the last one or a list such as 1,15"),
    ("month", "1 to 12, JAN to DEC or a list such as MAR,SEP"),
    ("weekday", "0 to 6 from Sunday, SUN to SAT or a range such as MON-FRI"),
];

impl CronText {
    pub fn text(&self) -> &str {
        &self.text
    }

    fn read(text: &str) -> Option<Cron> {
        // Such fields are taken for days that never come, after a search of seconds.
        let has_gap = |field: &str| field.contains('+') || field.split(',').any(str::is_empty);
        if text.split(' ').any(has_gap) {
            return None;
        }
        CronParser::builder().seconds(Seconds::Disallowed).build().parse(text).ok()
    }
}

impl FromStr for CronText {
    type Err = BadCron;

    fn from_str(text: &str) -> Result<CronText, BadCron> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() || text.contains('@') {
            return Err(BadCron::NotFive);
        }
        let text = fields.join(" ");
        let Some(cron) = CronText::read(&text) else {
            // Which one is wrong: each is read among stars.
            let alone = |n: usize| (0..FIELDS.len()).map(|k| if k == n { fields[k] } else { "*" }).collect::<Vec<_>>();
            let wrong = (0..FIELDS.len()).find(|n| CronText::read(&alone(*n).join(" ")).is_none());
            return Err(wrong.map_or(BadCron::Together, |n| {
                let (name, hint) = FIELDS[n];
                let article = if name == "hour" { "an" } else { "a" };
                BadCron::Field { text: fields[n].chars().take(20).collect(), article, name, hint }
            }));
        };
        // Any start will do: the search goes on for longer than the calendar takes to repeat.
        let comes = cron.find_next_occurrence(&DateTime::UNIX_EPOCH.naive_utc(), true).is_ok();
        if comes { Ok(CronText { text, cron: Box::new(cron) }) } else { Err(BadCron::Never) }
    }
}

impl TryFrom<String> for CronText {
    type Error = BadCron;

    fn try_from(text: String) -> Result<CronText, BadCron> {
        text.parse()
    }
}

impl From<CronText> for String {
    fn from(cron: CronText) -> String {
        cron.text
    }
}

impl PartialEq for CronText {
    fn eq(&self, other: &CronText) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for CronText {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// When something comes round, in local time.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    Weekly { days: Days, at: NaiveTime },
    Cron(CronText),
}

impl Rule {
    /// The first time after `after`, not at it; none after `last_date`.
    ///
    /// A time that a clock change skips moves forward to the first minute that
    /// exists; one that occurs twice is its first occurrence. So a day has one
    /// run whatever its clocks do.
    pub fn next(&self, after: DateTime<Utc>, zone: Tz, last_date: Option<NaiveDate>) -> Option<DateTime<Utc>> {
        let local = after.with_timezone(&zone);
        let in_time = |date: NaiveDate| last_date.is_none_or(|last| date <= last);
        match self {
            Rule::Weekly { days, at } => {
                // Yesterday's may have been moved past midnight, and where a day
                // was skipped next week's is the next one.
                let dates = local.date_naive().pred_opt()?.iter_days().take(16);
                dates
                    .filter(|date| days.contains(date.weekday()))
                    .take_while(|date| in_time(*date))
                    .map(|date| instant(date, *at, zone))
                    .find(|at| *at > after)
            }
            Rule::Cron(CronText { cron, .. }) => {
                // It gives up where clocks skip more than two hours (Casey skips three).
                let past_a_gap = || {
                    let at = cron.find_next_occurrence(&local.naive_local(), false).ok()?;
                    Some(instant(at.date(), at.time(), zone)).filter(|at| *at > after)
                };
                let at =
                    cron.find_next_occurrence(&local, false).map_or_else(|_| past_a_gap(), |at| Some(at.to_utc()))?;
                in_time(at.with_timezone(&zone).date_naive()).then_some(at)
            }
        }
    }

    /// In English, to be read after "sends".
    pub fn describe(&self) -> String {
        match self {
            Rule::Weekly { days: Days::ALL, at } => format!("every day at {}", at.format("%H:%M")),
            Rule::Weekly { days, at } => format!("on {} at {}", days.words(), at.format("%H:%M")),
            Rule::Cron(cron) => format!("by cron {cron}"),
        }
    }
}

/// The next `n` times, fewer when the last date comes first.
pub fn upcoming(
    rule: &Rule,
    after: DateTime<Utc>,
    zone: Tz,
    last_date: Option<NaiveDate>,
    n: usize,
) -> Vec<DateTime<Utc>> {
    std::iter::successors(rule.next(after, zone, last_date), |at| rule.next(*at, zone, last_date)).take(n).collect()
}

/// A run this much after its time is in time.
const PROMPT: TimeDelta = TimeDelta::seconds(60);

/// What becomes of a run whose time went by while nothing ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// The next one is on time again.
    Skip,
    /// It runs late, but not later than this.
    Late {
        #[serde(with = "whole_minutes")]
        within: TimeDelta,
    },
    /// It waits until somebody has decided.
    Ask,
}

/// What becomes of a run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedVerdict {
    Go,
    Skip,
    Ask,
}

impl Missed {
    pub const WORDS: [&str; 3] = ["skip", "late", "ask"];

    /// The word in the database and in forms.
    pub fn word(self) -> &'static str {
        match self {
            Missed::Skip => "skip",
            Missed::Late { .. } => "late",
            Missed::Ask => "ask",
        }
    }

    /// The words on the screen.
    pub fn label(self) -> &'static str {
        match self {
            Missed::Skip => "Skip it",
            Missed::Late { .. } => "Run it late",
            Missed::Ask => "Ask me",
        }
    }

    /// `within` is how late a run may be that runs late; the others have no use for it.
    pub fn of_word(word: &str, within: TimeDelta) -> Option<Missed> {
        [Missed::Skip, Missed::Late { within }, Missed::Ask].into_iter().find(|missed| missed.word() == word)
    }

    /// What becomes at `now` of a run that was planned for `planned`.
    pub fn judge(self, planned: DateTime<Utc>, now: DateTime<Utc>) -> MissedVerdict {
        let late = now - planned;
        match self {
            _ if late <= PROMPT => MissedVerdict::Go,
            Missed::Skip => MissedVerdict::Skip,
            Missed::Late { within } if late <= within => MissedVerdict::Go,
            Missed::Late { .. } => MissedVerdict::Skip,
            Missed::Ask => MissedVerdict::Ask,
        }
    }
}

words! {
    /// What becomes of a run whose time comes while the one before it still runs.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Overlap {
        /// It is left out.
        Skip = "skip" => "Skip the new run",
        /// It starts when the one before has ended.
        Wait = "wait" => "Wait until the run before has ended",
        /// The one before is stopped.
        Replace = "replace" => "Stop the run before",
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::TZ_VARIANTS;
    use proptest::prelude::*;

    use super::super::window::tests::changes;
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn time(text: &str) -> NaiveTime {
        NaiveTime::parse_from_str(text, "%H:%M").unwrap()
    }

    fn weekly(days: Days, at: &str) -> Rule {
        Rule::Weekly { days, at: time(at) }
    }

    fn cron(text: &str) -> Rule {
        Rule::Cron(text.parse().unwrap())
    }

    #[test]
    fn days_come_back_from_numbers_and_names() {
        let days = Days::of([Weekday::Mon, Weekday::Tue, Weekday::Fri]).unwrap();
        assert_eq!((i16::from(days), days.words()), (1 + 2 + 16, "Mon Tue Fri".to_owned()));
        assert_eq!(Days::try_from(19), Ok(days));
        assert_eq!(Days::of_names(["Friday", "mon", "tue"]), Ok(days));
        assert_eq!(i16::from(Days::of([Weekday::Sun]).unwrap()), 64);
        assert_eq!((Days::ALL.words(), Days::WEEKDAYS.words()), ("every day".into(), "weekdays".into()));
        for no_days in [0, 128, -1, 300] {
            assert_eq!(Days::try_from(no_days), Err(NoDays));
        }
        assert_eq!(Days::of_names([]), Err(NoDays));
        assert_eq!(Days::of_names(["mon", "someday"]), Err(NoDays));
    }

    #[test]
    fn weekly_runs_come_on_their_days() {
        let rule = weekly(Days::of([Weekday::Mon, Weekday::Fri]).unwrap(), "09:00");
        let all = upcoming(&rule, utc("2026-03-25T12:00:00Z"), Tz::Europe__Dublin, None, 3);
        assert_eq!(
            all,
            [utc("2026-03-27T09:00:00Z"), utc("2026-03-30T08:00:00Z"), utc("2026-04-03T08:00:00Z")],
            "at nine on the wall, in summer too"
        );
        let last = Some("2026-03-30".parse().unwrap());
        assert_eq!(upcoming(&rule, utc("2026-03-25T12:00:00Z"), Tz::Europe__Dublin, last, 3), all[..2]);
        let once_a_week = weekly(Days::of([Weekday::Wed]).unwrap(), "09:00");
        let wednesday = utc("2026-03-25T09:00:00Z");
        assert_eq!(once_a_week.next(wednesday, Tz::UTC, None), Some(utc("2026-04-01T09:00:00Z")));
        assert_eq!(once_a_week.next(wednesday - TimeDelta::seconds(1), Tz::UTC, None), Some(wednesday));
    }

    #[test]
    fn a_field_with_nothing_in_it_is_named_and_not_searched_for() {
        for (text, field) in
            [("0 12 15W * +", "weekday"), ("0 , 15W * *", "hour"), ("0 9 1,,15 * *", "day of the month")]
        {
            let refused = text.parse::<CronText>();
            assert!(matches!(refused, Err(BadCron::Field { name, .. }) if name == field), "{text}: {refused:?}");
        }
    }

    #[test]
    fn cron_runs_come_at_their_local_times() {
        let rule = cron("30 9 1,15 * *");
        let all = upcoming(&rule, utc("2026-03-01T12:00:00Z"), Tz::Europe__Dublin, None, 2);
        assert_eq!(all, [utc("2026-03-15T09:30:00Z"), utc("2026-04-01T08:30:00Z")]);
        let last = Some("2026-03-31".parse().unwrap());
        assert_eq!(upcoming(&rule, utc("2026-03-01T12:00:00Z"), Tz::Europe__Dublin, last, 9).len(), 1);
    }

    #[test]
    fn by_cron_too_a_day_on_which_clocks_change_has_one_run() {
        let rule = cron("30 2 * * *");
        let spring = upcoming(&rule, utc("2026-03-28T12:00:00Z"), Tz::Europe__Berlin, None, 2);
        assert_eq!(spring, [utc("2026-03-29T01:00:00Z"), utc("2026-03-30T00:30:00Z")]);
        let autumn = upcoming(&rule, utc("2026-10-24T12:00:00Z"), Tz::Europe__Berlin, None, 2);
        assert_eq!(autumn, [utc("2026-10-25T00:30:00Z"), utc("2026-10-26T01:30:00Z")]);
    }

    #[test]
    fn by_cron_a_gap_of_hours_ends_nothing() {
        // 00:01 becomes 03:01.
        let zone = Tz::Antarctica__Casey;
        for skipped in ["7 0 * * *", "0 1 * * *", "0 3 * * *"] {
            let found = upcoming(&cron(skipped), utc("2020-10-03T12:00:00Z"), zone, None, 3);
            assert_eq!(found[0], utc("2020-10-03T16:01:00Z"), "{skipped}");
            assert_eq!(found.len(), 3, "{skipped}");
        }
        let quarters = upcoming(&cron("*/15 * * * *"), utc("2020-10-03T15:50:00Z"), zone, None, 2);
        assert_eq!(quarters, [utc("2020-10-03T16:00:00Z"), utc("2020-10-03T16:15:00Z")]);
    }

    #[test]
    fn by_cron_every_zone_has_a_run_on_each_day() {
        let (from, to) = (utc("2020-01-01T00:00:00Z").timestamp(), utc("2030-01-01T00:00:00Z").timestamp());
        for zone in TZ_VARIANTS {
            for change in changes(zone, from, to).into_iter().take(3) {
                let first =
                    DateTime::from_timestamp(change, 0).unwrap().with_timezone(&zone).date_naive() - TimeDelta::days(1);
                for at in ["02:30", "00:00", "00:45", "01:15", "23:45"] {
                    let at = time(at);
                    let expected: Vec<_> = first.iter_days().take(4).map(|date| instant(date, at, zone)).collect();
                    let rule = cron(&at.format("%M %H * * *").to_string());
                    let found = upcoming(&rule, expected[0] - TimeDelta::seconds(1), zone, None, 4);
                    assert_eq!(found, expected, "{zone} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_bad_expression_says_what_to_write() {
        let says = |text: &str| text.parse::<CronText>().unwrap_err().to_string();
        for not_five in ["", "@daily", "0 9 * *", "0 0 9 * * *", "@a @b @c @d @e"] {
            assert!(says(not_five).starts_with("Write five fields"), "{not_five}");
        }
        assert_eq!(
            says("61 9 * * *"),
            "61 is not a minute. Write 0 to 59, a list such as 0,30 or a step such as */15, or * for every minute."
        );
        assert!(says("0 24 * * *").starts_with("24 is not an hour"));
        assert!(says("0 9 32 * *").starts_with("32 is not a day of the month"));
        assert!(says("0 9 * SOON *").starts_with("SOON is not a month"));
        assert!(says("0 9 * * WHENEVER").starts_with("WHENEVER is not a weekday"));
        assert!(says("0 9 30 2 *").starts_with("Such a day never comes"));
        assert_eq!("0 9 29 2 *".parse::<CronText>().map(String::from), Ok("0 9 29 2 *".to_owned()));
        assert_eq!("  0  9 * *   mon-fri ".parse::<CronText>().unwrap().text(), "0 9 * * mon-fri");
    }

    #[test]
    fn rules_are_kept_as_they_are() {
        for rule in [weekly(Days::WEEKDAYS, "09:30"), cron("0 9 * * MON")] {
            let text = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule, "{text}");
        }
        assert!(serde_json::from_str::<Rule>(r#"{"cron":"0 9 30 2 *"}"#).is_err());
        assert_eq!(weekly(Days::ALL, "09:30").describe(), "every day at 09:30");
        assert_eq!(weekly(Days::WEEKDAYS, "09:30").describe(), "on weekdays at 09:30");
        assert_eq!(cron("0 9 * * MON").describe(), "by cron 0 9 * * MON");
    }

    #[test]
    fn in_every_zone_a_day_has_one_run_whatever_its_clocks_do() {
        let (from, to) = (utc("2020-01-01T00:00:00Z").timestamp(), utc("2030-01-01T00:00:00Z").timestamp());
        let mut days = 0;
        for zone in TZ_VARIANTS {
            for change in changes(zone, from, to) {
                let noon = |days: i64| DateTime::from_timestamp(change, 0).unwrap() + TimeDelta::days(days);
                for at in ["02:30", "00:00", "00:45", "01:15", "23:45"] {
                    let rule = weekly(Days::ALL, at);
                    let first = noon(-3).with_timezone(&zone).date_naive();
                    let expected: Vec<_> =
                        first.iter_days().take(6).map(|date| instant(date, time(at), zone)).collect();
                    let before = expected[0] - TimeDelta::microseconds(1);
                    let found = upcoming(&rule, before, zone, None, 6);
                    assert_eq!(found, expected, "{zone} at {at}");
                    assert!(found.is_sorted_by(|a, b| a < b), "{zone} at {at}");
                    if at == "02:30" {
                        let dates: Vec<_> = found.iter().map(|at| at.with_timezone(&zone).date_naive()).collect();
                        assert_eq!(dates, first.iter_days().take(6).collect::<Vec<_>>(), "{zone}");
                        days += dates.len();
                    }
                }
            }
        }
        assert!(days > 10_000, "{days} days were tried");
    }

    #[test]
    fn what_was_missed_is_skipped_run_late_or_asked_about() {
        use MissedVerdict::*;
        let planned = utc("2026-03-25T09:00:00Z");
        let late = Missed::Late { within: TimeDelta::minutes(30) };
        let verdicts = |seconds| {
            let now = planned + TimeDelta::seconds(seconds);
            [Missed::Skip, late, Missed::Ask].map(|missed| missed.judge(planned, now))
        };
        assert_eq!(verdicts(-5), [Go, Go, Go]);
        assert_eq!(verdicts(60), [Go, Go, Go]);
        assert_eq!(verdicts(61), [Skip, Go, Ask]);
        assert_eq!(verdicts(1800), [Skip, Go, Ask]);
        assert_eq!(verdicts(1801), [Skip, Skip, Ask]);
        assert_eq!(Missed::Late { within: TimeDelta::zero() }.judge(planned, planned + TimeDelta::seconds(60)), Go);
    }

    #[test]
    fn the_words_come_back() {
        let within = TimeDelta::minutes(5);
        for word in Missed::WORDS {
            let missed = Missed::of_word(word, within).unwrap();
            assert_eq!(missed.word(), word);
            let text = serde_json::to_string(&missed).unwrap();
            assert_eq!(serde_json::from_str::<Missed>(&text).unwrap(), missed);
        }
        assert_eq!(serde_json::to_string(&Missed::Late { within }).unwrap(), r#"{"late":{"within":5}}"#);
        for overlap in Overlap::ALL {
            assert_eq!(Overlap::of_word(overlap.word()), Some(overlap));
            assert_eq!(serde_json::to_string(&overlap).unwrap(), format!("\"{}\"", overlap.word()));
        }
        assert_eq!((Missed::of_word("later", within), Overlap::of_word("later")), (None, None));
    }

    proptest! {
        #[test]
        fn the_next_time_is_later_and_on_its_day(
            bits in 1..128_i16, minute in 0..1440_u32, after_s in 0..300_000_000_i64, zone in prop::sample::select(&TZ_VARIANTS),
        ) {
            let at = NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
            let days = Days::try_from(bits).unwrap();
            let after = utc("2020-01-01T00:00:00Z") + TimeDelta::seconds(after_s);
            let found = upcoming(&Rule::Weekly { days, at }, after, zone, None, 10);
            prop_assert_eq!(found.len(), 10);
            prop_assert!(found[0] > after && found.is_sorted_by(|a, b| a < b));
            let weeks = 10 / days.iter().count() as i64 + 2;
            prop_assert!(found[9] - after < TimeDelta::weeks(weeks), "none is left out");
        }

        #[test]
        fn whatever_is_typed_as_cron_is_read_or_refused(
            text in "([-0-9*/,#LW?A-Z@~ ]{0,12} ){4}[-0-9*/,#LW?A-Z]{0,12}|\\PC{0,40}",
        ) {
            if let Ok(cron) = text.parse::<CronText>() {
                prop_assert_eq!(cron.text().parse::<CronText>(), Ok(cron));
            }
        }

        #[test]
        fn by_cron_the_next_time_is_later(
            minute in 0..60_u32, hour in 0..24_u32, after_s in 0..300_000_000_i64, zone in prop::sample::select(&TZ_VARIANTS),
        ) {
            let after = utc("2020-01-01T00:00:00Z") + TimeDelta::seconds(after_s);
            let found = upcoming(&cron(&format!("{minute} {hour} * * *")), after, zone, None, 20);
            prop_assert!(found.len() == 20 && found[0] > after && found.is_sorted_by(|a, b| a < b));
            prop_assert!(found[19] - after < TimeDelta::days(22), "none is left out");
        }
    }
}
