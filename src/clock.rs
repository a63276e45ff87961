//! The only place that knows what time it is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;

/// A difference of less than this is taken over without a word: two clocks are never quite the same.
const STEP: TimeDelta = TimeDelta::seconds(2);
/// The stretch over which rates are measured. After a leap forward nothing is claimed
/// for as long, so that one real minute never becomes two.
const MINUTE: Duration = Duration::from_secs(60);

/// Tells the time. `serve` goes by the database's clock, which all processes share; a
/// story and the demo set it by hand.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    Hand(Arc<Mutex<DateTime<Utc>>>),
    Steered(Arc<Mutex<Steering>>),
}

/// Between two words of the database, time goes on as the machine counts it, whatever
/// somebody sets its wall clock to.
#[derive(Default)]
struct Steering {
    /// What the time was, and how long the machine had been up.
    told: Option<(DateTime<Utc>, Duration)>,
    /// By how much that may be wrong.
    error: TimeDelta,
    /// Nothing is to be claimed before the machine has been up for so long.
    holds_until: Duration,
}

/// What came of comparing clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// They agree, or nearly.
    Kept,
    /// The database's clock leapt by so much, forward or back, and this one with it.
    Leapt(TimeDelta),
}

impl Default for Clock {
    /// The machine's clock, until the database's is known.
    fn default() -> Self {
        Self(Kind::Steered(Arc::default()))
    }
}

impl Clock {
    /// A clock that stands still until it is [`set`](Clock::set).
    pub fn stopped_at(instant: DateTime<Utc>) -> Self {
        Self(Kind::Hand(Arc::new(Mutex::new(instant))))
    }

    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Kind::Hand(instant) => *instant.lock().unwrap(),
            Kind::Steered(steering) => steering.lock().unwrap().now(uptime()),
        }
    }

    /// What the database's clock shows by now at the latest: its time was asked over a wire. For
    /// what must be over before that clock says so.
    pub fn latest(&self) -> DateTime<Utc> {
        match &self.0 {
            Kind::Hand(instant) => *instant.lock().unwrap(),
            Kind::Steered(steering) => steering.lock().unwrap().latest(uptime()),
        }
    }

    /// Moves a stopped clock. A running clock ignores it.
    pub fn set(&self, instant: DateTime<Utc>) {
        if let Kind::Hand(hand) = &self.0 {
            *hand.lock().unwrap() = instant;
        }
    }

    /// Hears what the database's clock showed at this moment, give or take `error`. A
    /// stopped clock does not care.
    pub fn hear(&self, told: DateTime<Utc>, error: TimeDelta) -> Compared {
        match &self.0 {
            Kind::Hand(_) => Compared::Kept,
            Kind::Steered(steering) => steering.lock().unwrap().hear(told, error, uptime()),
        }
    }

    /// Whether time has just leapt forward: what was claimed within the last real
    /// minute looks older than it is, so nothing is claimed until that minute is over.
    pub fn has_leapt(&self) -> bool {
        match &self.0 {
            Kind::Hand(_) => false,
            Kind::Steered(steering) => uptime() < steering.lock().unwrap().holds_until,
        }
    }
}

impl Steering {
    fn now(&self, up: Duration) -> DateTime<Utc> {
        match self.told {
            None => Utc::now(),
            Some((at, then)) => at + TimeDelta::from_std(up.saturating_sub(then)).unwrap_or_default(),
        }
    }

    fn latest(&self, up: Duration) -> DateTime<Utc> {
        self.now(up) + self.error
    }

    fn hear(&mut self, told: DateTime<Utc>, error: TimeDelta, up: Duration) -> Compared {
        let leap = self.told.map_or(TimeDelta::zero(), |_| told - self.now(up));
        // What may be an error of the asking is no reason to go otherwise.
        if self.told.is_some() && leap.abs() <= error {
            return Compared::Kept;
        }
        self.told = Some((told, up));
        self.error = error;
        if leap.abs() < STEP {
            return Compared::Kept;
        }
        if let Ok(forward) = leap.to_std() {
            self.holds_until = self.holds_until.max(up + forward.min(MINUTE));
        }
        Compared::Leapt(leap)
    }
}

/// Time since the machine started, that in which it slept included. For deadlines that
/// somebody elsewhere waits for: [`Instant`](std::time::Instant) stands still while a
/// virtual machine is suspended, and a wall clock can be set.
pub fn uptime() -> Duration {
    #[cfg(target_os = "linux")]
    const ASLEEP_TOO: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const ASLEEP_TOO: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to `at` and nothing else, and these clocks always exist.
    unsafe { libc::clock_gettime(ASLEEP_TOO, &mut at) };
    Duration::new(at.tv_sec.unsigned_abs(), at.tv_nsec as u32)
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

    const NONE: TimeDelta = TimeDelta::zero();

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn up(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn between_two_words_of_the_database_time_goes_on_as_the_machine_counts() {
        let mut steering = Steering::default();
        steering.hear(at("2026-03-02T09:00:00Z"), NONE, up(100));
        assert_eq!(steering.now(up(107)), at("2026-03-02T09:00:07Z"));
        assert_eq!(steering.hear(at("2026-03-02T09:00:07.2Z"), NONE, up(107)), Compared::Kept);
        assert_eq!(steering.now(up(108)), at("2026-03-02T09:00:08.2Z"));
    }

    #[test]
    fn what_may_be_an_error_of_the_asking_is_not_followed() {
        let mut steering = Steering::default();
        steering.hear(at("2026-03-02T09:00:00Z"), NONE, up(100));
        steering.hear(at("2026-03-02T09:00:01.2Z"), TimeDelta::milliseconds(250), up(101));
        assert_eq!(steering.now(up(101)), at("2026-03-02T09:00:01Z"));
    }

    #[test]
    fn a_leap_forward_is_followed_and_holds_claims_for_as_long_but_a_minute_at_most() {
        let mut steering = Steering::default();
        steering.hear(at("2026-03-02T09:00:00Z"), NONE, up(100));
        assert_eq!(steering.hear(at("2026-03-02T09:10:01Z"), NONE, up(101)), Compared::Leapt(TimeDelta::seconds(600)));
        assert_eq!(steering.now(up(101)), at("2026-03-02T09:10:01Z"));
        assert_eq!(steering.holds_until, up(161));
        let mut steering = Steering::default();
        steering.hear(at("2026-03-02T09:00:00Z"), NONE, up(100));
        steering.hear(at("2026-03-02T09:00:11Z"), NONE, up(101));
        assert_eq!(steering.holds_until, up(111));
    }

    #[test]
    fn a_leap_back_is_followed_and_holds_nothing() {
        let mut steering = Steering::default();
        steering.hear(at("2026-03-02T09:00:00Z"), NONE, up(100));
        assert_eq!(steering.hear(at("2026-03-02T08:59:16Z"), NONE, up(101)), Compared::Leapt(TimeDelta::seconds(-45)));
        assert_eq!((steering.now(up(102)), steering.holds_until), (at("2026-03-02T08:59:17Z"), up(0)));
    }

    #[test]
    fn uptime_goes_on_and_counts_from_the_start_of_the_machine() {
        let before = uptime();
        assert!(before <= uptime());
        #[cfg(target_os = "linux")]
        {
            // Seconds since the start, sleep included.
            let told = std::fs::read_to_string("/proc/uptime").unwrap();
            let told: f64 = told.split_whitespace().next().unwrap().parse().unwrap();
            assert!((uptime().as_secs_f64() - told).abs() < 1.0, "{told}");
        }
    }

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

    #[test]
    fn what_must_be_over_is_over_as_much_earlier_as_the_time_may_be_wrong() {
        let mut steering = Steering::default();
        let (told, error) = (at("2026-03-02T09:00:00Z"), TimeDelta::milliseconds(7));
        steering.hear(told, error, Duration::from_secs(1));
        assert_eq!(steering.latest(Duration::from_secs(2)), told + TimeDelta::seconds(1) + error);
        assert_eq!(steering.now(Duration::from_secs(2)), told + TimeDelta::seconds(1));
        // Asked again and better, it is less.
        steering.hear(told + TimeDelta::milliseconds(1_005), TimeDelta::milliseconds(1), Duration::from_secs(2));
        assert_eq!(steering.latest(Duration::from_secs(2)), told + TimeDelta::milliseconds(1_006));
    }
}
