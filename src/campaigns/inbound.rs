//! domain: What an inbound campaign does beside its bot: its hours, and what it says outside them.

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::pacing::Days;

/// The bot meets people in these hours, by the clock of the campaign's zone; at other
/// times they are told so and wait for a human.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundPlan {
    pub days: Days,
    pub from: NaiveTime,
    /// At or before `from` it means the next day; the same: all day long.
    pub to: NaiveTime,
    /// Said once to who writes first at another time; empty: nothing.
    pub out_of_hours: String,
    /// Said when the bot cannot go on and a human is waited for; empty: nothing.
    pub fallback: String,
}

impl Default for InboundPlan {
    fn default() -> Self {
        let midnight = NaiveTime::MIN;
        InboundPlan {
            days: Days::ALL,
            from: midnight,
            to: midnight,
            out_of_hours: String::new(),
            fallback: String::new(),
        }
    }
}

impl InboundPlan {
    /// Whether the bot meets who writes first at `now`.
    pub fn is_open(&self, zone: Tz, now: DateTime<Utc>) -> bool {
        let local = now.with_timezone(&zone);
        let (day, time) = (local.date_naive(), local.time());
        let on = |day: chrono::NaiveDate| self.days.contains(day.weekday());
        if self.from < self.to {
            on(day) && (self.from..self.to).contains(&time)
        } else {
            // The hours after midnight belong to the day on which they began.
            (self.from <= time && on(day)) || (time < self.to && day.pred_opt().is_some_and(on))
        }
    }

    /// For people: on which days and from when to when.
    pub fn hours(&self) -> String {
        let days = self.days.words();
        match self.from == self.to {
            true if self.days == Days::ALL => "at any time".to_owned(),
            true => format!("{days}, all day"),
            false => format!("{days}, {}–{}", self.from.format("%H:%M"), self.to.format("%H:%M")),
        }
    }
}

/// How long after its last message, in either direction, a conversation can be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity {
    minutes: i32,
}

impl Validity {
    pub const DEFAULT: Validity = Validity { minutes: 24 * 60 };

    /// From one hour to 90 days.
    pub fn of_minutes(minutes: i32) -> Option<Validity> {
        (60..=90 * 24 * 60).contains(&minutes).then_some(Validity { minutes })
    }

    pub fn minutes(self) -> i32 {
        self.minutes
    }

    /// Whether a conversation whose last message was then can still be continued.
    pub fn holds(self, last_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        now - last_at <= TimeDelta::minutes(self.minutes.into())
    }

    /// For people.
    pub fn words(self) -> String {
        let (n, unit) = match self.minutes {
            minutes if minutes % (24 * 60) == 0 && minutes > 24 * 60 => (minutes / (24 * 60), "day"),
            minutes if minutes % 60 == 0 => (minutes / 60, "hour"),
            minutes => (minutes, "minute"),
        };
        format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(from: &str, to: &str, days: Days) -> InboundPlan {
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        InboundPlan { days, from: time(from), to: time(to), out_of_hours: String::new(), fallback: String::new() }
    }

    #[test]
    fn it_is_open_in_its_hours_by_its_own_clock() {
        // A Monday in summer: Dublin is an hour ahead.
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let dublin = chrono_tz::Europe::Dublin;
        let office = plan("09:00", "17:00", Days::WEEKDAYS);
        assert!(
            office.is_open(dublin, at("2026-06-01T08:00:00Z")) && office.is_open(dublin, at("2026-06-01T15:59:59Z"))
        );
        assert!(
            !office.is_open(dublin, at("2026-06-01T16:00:00Z")) && !office.is_open(dublin, at("2026-05-31T12:00:00Z"))
        );
        let night = plan("22:00", "06:00", Days::WEEKDAYS);
        assert!(night.is_open(dublin, at("2026-06-06T04:59:00Z")), "Friday's night goes into Saturday");
        assert!(
            !night.is_open(dublin, at("2026-06-06T21:30:00Z")) && !night.is_open(dublin, at("2026-06-01T04:00:00Z"))
        );
        let always = plan("00:00", "00:00", Days::ALL);
        assert!(always.is_open(dublin, at("2026-06-06T04:59:00Z")));
        assert_eq!((always.hours(), office.hours().ends_with("09:00–17:00")), ("at any time".into(), true));
    }

    #[test]
    fn validity_is_an_hour_to_90_days_and_counts_from_the_last_message() {
        assert_eq!(Validity::of_minutes(59), None);
        assert_eq!(Validity::of_minutes(90 * 24 * 60 + 1), None);
        let last: DateTime<Utc> = "2026-03-02T10:00:00Z".parse().unwrap();
        let hour = Validity::of_minutes(60).unwrap();
        assert!(hour.holds(last, last + TimeDelta::minutes(60)) && !hour.holds(last, last + TimeDelta::seconds(3601)));
        assert_eq!((hour.words(), Validity::DEFAULT.words()), ("1 hour".into(), "24 hours".into()));
        assert_eq!(Validity::of_minutes(7 * 24 * 60).unwrap().words(), "7 days");
    }
}
