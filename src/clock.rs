//! The only place that knows what time it is.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::Deserialize;

/// Tells the time. `serve` reads the system clock; a story and the demo set it by hand.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Mutex<DateTime<Utc>>>>);

impl Clock {
    /// A clock that stands still until it is [`set`](Clock::set).
    pub fn stopped_at(instant: DateTime<Utc>) -> Self {
        Self(Some(Arc::new(Mutex::new(instant))))
    }

    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Some(instant) => *instant.lock().unwrap(),
            None => Utc::now(),
        }
    }

    /// Moves a stopped clock. A running clock ignores it.
    pub fn set(&self, instant: DateTime<Utc>) {
        if let Some(hand) = &self.0 {
            *hand.lock().unwrap() = instant;
        }
    }
}

/// Whether a day is one that calendars and databases know. What comes from outside may be any.
pub fn is_of_our_days(day: impl Datelike) -> bool {
    (1970..=9999).contains(&day.year())
}

/// An instant as it stands in an address, in microseconds.
pub fn instant_from_outside(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).filter(|at| is_of_our_days(*at))
}

/// A day as it stands in an address.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "NaiveDate")]
pub struct DayFromOutside(pub NaiveDate);

impl TryFrom<NaiveDate> for DayFromOutside {
    type Error = &'static str;

    fn try_from(day: NaiveDate) -> Result<Self, &'static str> {
        is_of_our_days(day).then_some(Self(day)).ok_or("not a day of our calendars")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_lies_within_our_days() {
        for micros in [i64::MIN, -1, 8_000_000_000_000_000_000, 253_402_300_800_000_000, i64::MAX] {
            assert_eq!(instant_from_outside(micros), None, "{micros}");
        }
        assert_eq!(instant_from_outside(0), Some(DateTime::UNIX_EPOCH));
        let day = |text: &str| serde_json::from_value::<DayFromOutside>(text.into()).map(|day| day.0.to_string());
        assert_eq!(day("2026-12-25").unwrap(), "2026-12-25");
        for far in ["-262143-01-01", "+262142-12-31", "1969-12-31", "+10000-01-01"] {
            assert!(day(far).is_err(), "{far}");
        }
    }
}
