//! When nobody may be sent to: quiet hours and blackout days.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::instant;

/// A local time of day in which nobody is sent to, every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    from: NaiveTime,
    to: NaiveTime,
}

/// Quiet hours that end when they begin: nothing or everything, nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Quiet hours must end at another time than they begin.")]
pub struct EmptyQuiet;

impl Quiet {
    /// With `from` after `to` they go over midnight.
    pub fn new(from: NaiveTime, to: NaiveTime) -> Result<Quiet, EmptyQuiet> {
        if from == to { Err(EmptyQuiet) } else { Ok(Quiet { from, to }) }
    }

    pub fn from(&self) -> NaiveTime {
        self.from
    }

    pub fn to(&self) -> NaiveTime {
        self.to
    }
}

/// What says when nobody may be sent to.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Where its times of day and its days are.
    pub zone: Tz,
    pub quiet: Option<Quiet>,
    /// Whole days, from midnight to midnight.
    pub blackouts: BTreeSet<NaiveDate>,
    /// A hold ends up to so much later, for each run another time: runs that
    /// were held together do not all go on in the same second.
    pub jitter: TimeDelta,
}

impl Calendar {
    /// Nothing is ever closed.
    pub fn open(zone: Tz) -> Calendar {
        Calendar { zone, quiet: None, blackouts: BTreeSet::new(), jitter: TimeDelta::zero() }
    }

    /// The holds that touch `[from, to)`, each in its full length.
    ///
    /// `salt` is the number of the run; it decides how much later its holds end.
    pub fn closed(&self, salt: i64, from: DateTime<Utc>, to: DateTime<Utc>) -> Holds {
        if self.quiet.is_none() && self.blackouts.is_empty() || to <= from {
            return Holds::none();
        }
        let local = |at: DateTime<Utc>| at.with_timezone(&self.zone).date_naive();
        // A hold that began before, or ends after, is found whole: quiet hours by
        // a day to spare, days in a row by going to their end.
        let earlier = Days::new(2 + self.jitter.num_days().unsigned_abs());
        let mut first = local(from).checked_sub_days(earlier).unwrap_or(NaiveDate::MIN);
        while self.blackouts.contains(&first)
            && let Some(before) = first.pred_opt()
        {
            first = before;
        }
        let mut last = local(to).succ_opt().unwrap_or(NaiveDate::MAX);
        while self.blackouts.contains(&last)
            && let Some(after) = last.succ_opt()
        {
            last = after;
        }

        let midnight = |date| instant(date, NaiveTime::MIN, self.zone);
        let next = |date: NaiveDate| date.succ_opt().unwrap_or(date);
        let days =
            self.blackouts.range(first..=last).map(|&date| Hold { from: midnight(date), to: midnight(next(date)) });
        let quiet = self.quiet.into_iter().flat_map(|Quiet { from, to }| {
            first.iter_days().take_while(|date| *date <= last).map(move |date| {
                let ends = if from < to { date } else { next(date) };
                Hold { from: instant(date, from, self.zone), to: instant(ends, to, self.zone) }
            })
        });
        let later = self.later(salt);
        let exact = Holds::of(days.chain(quiet));
        let moved = Holds::of(exact.iter().map(|hold| Hold { to: hold.to + later, ..hold }));
        Holds(moved.0.into_iter().filter(|hold| hold.to > from && hold.from < to).collect())
    }

    /// By how much the holds of one run end later.
    fn later(&self, salt: i64) -> TimeDelta {
        match self.jitter.num_seconds() {
            ..=0 => TimeDelta::zero(),
            most => TimeDelta::seconds((scattered(salt) % most.unsigned_abs()) as i64),
        }
    }
}

/// The same for the same number for ever, and far apart for neighbours (splitmix64).
fn scattered(salt: i64) -> u64 {
    let mut z = (salt as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Nobody may be sent to in `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// Holds in order, with time between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds(Vec<Hold>);

impl Holds {
    pub const fn none() -> Holds {
        Holds(Vec::new())
    }

    /// In any order; those that overlap or touch become one, empty ones are left out.
    pub fn of(holds: impl IntoIterator<Item = Hold>) -> Holds {
        let mut holds: Vec<Hold> = holds.into_iter().filter(|hold| hold.from < hold.to).collect();
        holds.sort_unstable_by_key(|hold| hold.from);
        holds.dedup_by(|hold, before| {
            let touches = hold.from <= before.to;
            if touches {
                before.to = before.to.max(hold.to);
            }
            touches
        });
        Holds(holds)
    }

    pub fn iter(&self) -> impl Iterator<Item = Hold> {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn is_closed(&self, at: DateTime<Utc>) -> bool {
        self.reopens(at).is_some()
    }

    /// The end of the hold at `at`; `None` when nothing is held then.
    pub fn reopens(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ending_after(at).next().filter(|hold| hold.from <= at).map(|hold| hold.to)
    }

    /// When the next hold after `at` begins.
    pub fn closes(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.ending_after(at).map(|hold| hold.from).find(|from| at < *from)
    }

    /// How much of `[from, to)` is not held.
    pub fn open_time(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
        if to <= from {
            return TimeDelta::zero();
        }
        let held = self.ending_after(from).take_while(|hold| hold.from < to);
        held.fold(to - from, |open, hold| open - (hold.to.min(to) - hold.from.max(from)))
    }

    /// The hold at `at` and all that follow.
    pub(super) fn ending_after(&self, at: DateTime<Utc>) -> impl Iterator<Item = Hold> {
        self.0[self.0.partition_point(|hold| hold.to <= at)..].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn time(text: &str) -> NaiveTime {
        NaiveTime::parse_from_str(text, "%H:%M").unwrap()
    }

    fn nights(zone: Tz) -> Calendar {
        Calendar { quiet: Some(Quiet::new(time("21:00"), time("08:00")).unwrap()), ..Calendar::open(zone) }
    }

    fn days(dates: &[&str]) -> BTreeSet<NaiveDate> {
        dates.iter().map(|date| date.parse().unwrap()).collect()
    }

    #[test]
    fn quiet_hours_go_over_midnight() {
        let holds = nights(Tz::Europe__Dublin).closed(1, utc("2026-07-01T12:00:00Z"), utc("2026-07-02T12:00:00Z"));
        assert_eq!(
            holds.iter().collect::<Vec<_>>(),
            [Hold { from: utc("2026-07-01T20:00:00Z"), to: utc("2026-07-02T07:00:00Z") }]
        );
        assert!(!holds.is_closed(utc("2026-07-01T19:59:59Z")) && holds.is_closed(utc("2026-07-01T20:00:00Z")));
        assert!(holds.is_closed(utc("2026-07-02T06:59:59Z")) && !holds.is_closed(utc("2026-07-02T07:00:00Z")));
        assert_eq!(holds.reopens(utc("2026-07-02T03:00:00Z")), Some(utc("2026-07-02T07:00:00Z")));
        assert_eq!(holds.reopens(utc("2026-07-02T07:00:00Z")), None);
        assert_eq!(holds.open_time(utc("2026-07-01T19:00:00Z"), utc("2026-07-02T08:00:00Z")), TimeDelta::hours(2));
    }

    #[test]
    fn quiet_hours_within_a_day_come_every_day() {
        let lunch =
            Calendar { quiet: Some(Quiet::new(time("12:00"), time("13:30")).unwrap()), ..Calendar::open(Tz::UTC) };
        let holds = lunch.closed(1, utc("2026-07-01T12:30:00Z"), utc("2026-07-03T12:00:00Z"));
        let begins: Vec<_> = holds.iter().map(|hold| hold.from).collect();
        assert_eq!(begins, [utc("2026-07-01T12:00:00Z"), utc("2026-07-02T12:00:00Z")]);
    }

    #[test]
    fn quiet_hours_that_end_when_they_begin_are_refused() {
        assert_eq!(Quiet::new(time("08:00"), time("08:00")), Err(EmptyQuiet));
    }

    #[test]
    fn a_blackout_day_joins_the_nights_around_it() {
        let calendar = Calendar { blackouts: days(&["2026-12-25", "2026-12-26"]), ..nights(Tz::UTC) };
        let whole = Hold { from: utc("2026-12-24T21:00:00Z"), to: utc("2026-12-27T08:00:00Z") };
        for from in ["2026-12-24T20:00:00Z", "2026-12-25T12:00:00Z", "2026-12-27T07:59:00Z"] {
            let holds = calendar.closed(1, utc(from), utc(from) + TimeDelta::hours(2));
            assert_eq!(holds.iter().collect::<Vec<_>>(), [whole], "seen from {from}");
        }
    }

    #[test]
    fn a_long_row_of_days_is_found_whole_from_its_middle() {
        let august = days(&["2026-08-01"]).first().unwrap().iter_days().take(31).collect();
        let calendar = Calendar { blackouts: august, ..Calendar::open(Tz::Europe__Berlin) };
        let holds = calendar.closed(1, utc("2026-08-15T12:00:00Z"), utc("2026-08-15T13:00:00Z"));
        let whole = Hold { from: utc("2026-07-31T22:00:00Z"), to: utc("2026-08-31T22:00:00Z") };
        assert_eq!(holds.iter().collect::<Vec<_>>(), [whole]);
    }

    #[test]
    fn the_night_in_which_clocks_change_is_shorter_or_longer() {
        let night = |from: &str| {
            let holds = nights(Tz::Europe__Berlin).closed(1, utc(from), utc(from) + TimeDelta::hours(12));
            let [hold] = holds.iter().collect::<Vec<_>>()[..] else { panic!("{holds:?}") };
            hold.to - hold.from
        };
        assert_eq!(night("2026-03-28T20:00:00Z"), TimeDelta::hours(10));
        assert_eq!(night("2026-10-24T19:00:00Z"), TimeDelta::hours(12));
    }

    #[test]
    fn quiet_hours_inside_the_skipped_hour_do_not_happen() {
        let quiet = Quiet::new(time("02:10"), time("02:50")).unwrap();
        let calendar = Calendar { quiet: Some(quiet), ..Calendar::open(Tz::Europe__Berlin) };
        let holds = calendar.closed(1, utc("2026-03-29T00:00:00Z"), utc("2026-03-29T12:00:00Z"));
        assert!(holds.is_empty(), "{holds:?}");
    }

    #[test]
    fn runs_that_were_held_together_go_on_apart() {
        let calendar = Calendar { jitter: TimeDelta::minutes(5), ..nights(Tz::UTC) };
        let (from, to) = (utc("2026-07-01T12:00:00Z"), utc("2026-07-04T12:00:00Z"));
        let mut ends = BTreeSet::new();
        for run in 1..=100 {
            let holds = calendar.closed(run, from, to);
            assert_eq!(holds, calendar.closed(run, from, to));
            let eight = |at: DateTime<Utc>| at.date_naive().and_time(time("08:00")).and_utc();
            let later: BTreeSet<TimeDelta> = holds.iter().map(|hold| hold.to - eight(hold.to)).collect();
            assert_eq!(later.len(), 1, "each night by the same");
            assert!(later.iter().all(|later| (TimeDelta::zero()..TimeDelta::minutes(5)).contains(later)));
            ends.extend(later);
        }
        assert!(ends.len() > 70, "{} seconds for a hundred runs", ends.len());
    }

    #[test]
    fn an_open_calendar_holds_nothing() {
        let holds = Calendar::open(Tz::UTC).closed(7, utc("2026-01-01T00:00:00Z"), utc("2027-01-01T00:00:00Z"));
        assert_eq!(holds, Holds::none());
        assert_eq!(holds.open_time(utc("2026-01-01T00:00:00Z"), utc("2026-01-02T00:00:00Z")), TimeDelta::days(1));
        assert_eq!(holds.open_time(utc("2026-01-02T00:00:00Z"), utc("2026-01-01T00:00:00Z")), TimeDelta::zero());
    }

    proptest! {
        /// Holds are what the wall clock says, minute by minute.
        #[test]
        fn a_minute_is_held_when_the_clock_on_the_wall_says_so(
            from in 0..1440_u32, to in 0..1440_u32, blackout in prop::collection::btree_set(0..20_u64, 0..5),
            starts in 0..20_000_i64, zone in prop::sample::select(vec![Tz::UTC, Tz::Asia__Kathmandu, Tz::America__St_Johns]),
        ) {
            prop_assume!(from != to);
            let clock = |minute: u32| NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
            let quiet = Quiet::new(clock(from), clock(to)).unwrap();
            let first: NaiveDate = "2026-06-01".parse().unwrap();
            let blackouts = blackout.into_iter().map(|n| first + Days::new(n)).collect();
            let calendar = Calendar { quiet: Some(quiet), blackouts, ..Calendar::open(zone) };
            let starts = utc("2026-06-01T00:00:00Z") + TimeDelta::minutes(starts);
            let ends = starts + TimeDelta::days(2);
            let holds = calendar.closed(1, starts, ends);
            prop_assert!(holds.0.is_sorted_by(|a, b| a.to < b.from));
            let mut open = 0;
            for minute in 0..2 * 1440 {
                let at = starts + TimeDelta::minutes(minute);
                let wall = at.with_timezone(&zone).naive_local();
                let in_quiet = if quiet.from < quiet.to {
                    (quiet.from..quiet.to).contains(&wall.time())
                } else {
                    wall.time() >= quiet.from || wall.time() < quiet.to
                };
                let held = in_quiet || calendar.blackouts.contains(&wall.date());
                prop_assert_eq!(holds.is_closed(at), held, "{}", wall);
                open += i64::from(!held);
            }
            prop_assert_eq!(holds.open_time(starts, ends), TimeDelta::minutes(open));
        }
    }
}
