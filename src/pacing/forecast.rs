//! What a clock will release, minute by minute.

use chrono::{DateTime, TimeDelta, Utc};

use super::clock::GRAIN;
use super::{Holds, SendClock};

/// A forecast has at most this many points. Longer ones count several minutes together.
pub const MAX_POINTS: i64 = 240;

/// What will leave, as far as can be told now.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Start of the bucket and the sends planned in it; only buckets with sends, in order.
    pub minutes: Vec<(DateTime<Utc>, i64)>,
    /// How many minutes a bucket holds: 1 unless that would be too many to draw.
    pub bucket_minutes: i64,
    /// When the last send leaves. `None` when the end comes first or nothing is left to send.
    pub finishes: Option<DateTime<Utc>>,
    /// Not sent when the window ends: the overrun.
    pub unsent: i64,
    /// Sends planned from now on.
    pub planned: i64,
}

/// What `clock` will release from `now` until `ends`, when `released` of the
/// `contacts` have been claimed.
///
/// A clock that starts later than `now` releases nothing before its start, and
/// none releases anything in `holds`. One that holds a backlog releases it at
/// once; pass it through [`allowance`](super::allowance) first to see what the
/// dispatcher will make of it. The work grows with the number of buckets and
/// holds, not of contacts.
pub fn forecast(
    clock: &SendClock,
    released: i64,
    contacts: i64,
    holds: &Holds,
    now: DateTime<Utc>,
    ends: DateTime<Utc>,
) -> Forecast {
    let from = now.max(clock.since);
    let clock = clock.past(holds, from);
    // A hold moves the start to its end, and there nothing is held.
    let from = from.max(clock.since);
    let mut clock = clock.at_least(released, from);
    let at_once = clock.due(from);
    // Sends begun before `at`, by a clock led past the holds that began by then.
    // One released exactly then is not among them.
    let begun_before = |clock: SendClock, at: DateTime<Utc>| {
        let by_clock = if at <= from { 0 } else { at_once.max((clock.reading(at) - GRAIN).ceil() as i64 - 1) };
        by_clock.min(contacts).max(released)
    };
    let planned = begun_before(clock.past(holds, ends), ends) - released;
    let unsent = (contacts - released - planned).max(0);
    let last = clock.release_between(holds, released + planned).max(from).min(ends - TimeDelta::microseconds(1));

    let bucket_minutes = bucket_for(bucket_start(from, 1), last, 1);
    let mut minutes = Vec::new();
    if planned > 0 {
        let mut begun = released;
        let mut at = bucket_start(from, bucket_minutes);
        while at <= last {
            let next = at + TimeDelta::minutes(bucket_minutes);
            clock = clock.past(holds, next.min(ends));
            let by_then = begun_before(clock, next.min(ends));
            if by_then > begun {
                minutes.push((at, by_then - begun));
            }
            (begun, at) = (by_then, next);
        }
    }
    let finishes = (planned > 0 && unsent == 0).then_some(last);
    Forecast { minutes, bucket_minutes, finishes, unsent, planned }
}

/// The start of the bucket that `at` falls into.
pub(crate) fn bucket_start(at: DateTime<Utc>, bucket_minutes: i64) -> DateTime<Utc> {
    let length = bucket_minutes * 60;
    DateTime::from_timestamp(at.timestamp().div_euclid(length) * length, 0).unwrap_or(at)
}

/// The smallest round bucket, a multiple of `whole` minutes, that covers the
/// time between two instants with [`MAX_POINTS`] buckets.
pub(crate) fn bucket_for(from: DateTime<Utc>, to: DateTime<Utc>, whole: i64) -> i64 {
    const ROUND: [i64; 11] = [1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440];
    let least = (to - from).num_minutes() / (MAX_POINTS - 1) + 1;
    let round = ROUND.into_iter().find(|minutes| *minutes >= least && minutes % whole == 0);
    round.unwrap_or_else(|| ((least + 1439) / 1440 * 1440).max(whole))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Hold, LatePolicy, Rate, Window, start};
    use super::*;

    fn nine() -> DateTime<Utc> {
        "2026-03-25T09:00:00Z".parse().unwrap()
    }

    fn at(minute: i64) -> DateTime<Utc> {
        nine() + TimeDelta::minutes(minute)
    }

    fn counts(forecast: &Forecast) -> Vec<i64> {
        forecast.minutes.iter().map(|(_, n)| *n).collect()
    }

    fn begun(rate: f64, contacts: i64, now: DateTime<Utc>) -> SendClock {
        start(
            &Window { starts: nine(), ends: at(10) },
            Rate::Fixed(rate),
            LatePolicy::CatchUp,
            contacts,
            &Holds::none(),
            now,
        )
        .clock
    }

    #[test]
    fn a_hundred_in_ten_minutes_are_ten_in_each() {
        let forecast = forecast(&begun(10.0, 100, nine()), 0, 100, &Holds::none(), nine(), at(10));
        assert_eq!(counts(&forecast), [10; 10]);
        assert_eq!(forecast.finishes, Some(nine() + TimeDelta::seconds(594)));
        assert_eq!((forecast.unsent, forecast.planned, forecast.bucket_minutes), (0, 100, 1));
    }

    #[test]
    fn seen_before_the_start_it_is_the_same() {
        let clock = begun(10.0, 100, nine());
        assert_eq!(
            forecast(&clock, 0, 100, &Holds::none(), at(-600), at(10)),
            forecast(&clock, 0, 100, &Holds::none(), nine(), at(10))
        );
    }

    #[test]
    fn dropped_at_half_time_it_catches_up() {
        let forecast = forecast(&begun(10.0, 100, at(5)), 0, 100, &Holds::none(), at(5), at(10));
        assert_eq!(forecast.minutes, [(at(5), 60), (at(6), 10), (at(7), 10), (at(8), 10), (at(9), 10)]);
        assert_eq!(forecast.finishes, Some(nine() + TimeDelta::seconds(594)));
    }

    #[test]
    fn what_does_not_fit_is_overrun() {
        let forecast = forecast(&begun(10.0, 130, nine()), 0, 130, &Holds::none(), nine(), at(10));
        assert_eq!((forecast.planned, forecast.unsent, forecast.finishes), (100, 30, None));
    }

    #[test]
    fn from_the_middle_it_counts_what_is_left() {
        let clock = begun(10.0, 100, nine());
        let forecast = forecast(&clock, 41, 100, &Holds::none(), at(4), at(10));
        assert_eq!((forecast.planned, forecast.unsent), (59, 0));
        assert_eq!(counts(&forecast), [9, 10, 10, 10, 10, 10]);
    }

    #[test]
    fn after_the_end_all_is_overrun_and_after_the_last_nothing_is() {
        let clock = begun(10.0, 100, nine());
        let late = forecast(&clock, 40, 100, &Holds::none(), at(11), at(10));
        assert_eq!((late.planned, late.unsent, late.finishes, late.minutes.len()), (0, 60, None, 0));
        let done = forecast(&clock, 100, 100, &Holds::none(), at(9), at(10));
        assert_eq!((done.planned, done.unsent, done.finishes, done.minutes.len()), (0, 0, None, 0));
    }

    #[test]
    fn minutes_without_a_send_are_left_out() {
        let forecast =
            forecast(&SendClock { rate: 0.5, base: 1.0, since: nine() }, 0, 3, &Holds::none(), nine(), at(10));
        assert_eq!(forecast.minutes, [(at(0), 1), (at(2), 1), (at(4), 1)]);
    }

    #[test]
    fn a_long_day_counts_several_minutes_together() {
        let clock = SendClock { rate: 1000.0, base: 1.0, since: nine() };
        let forecast = forecast(&clock, 0, 1_000_000, &Holds::none(), nine(), at(24 * 60));
        assert_eq!(forecast.bucket_minutes, 5);
        assert_eq!(forecast.minutes[0], (nine(), 5_000));
        assert_eq!(forecast.minutes.len(), 200);
        assert_eq!(forecast.planned, 1_000_000);
    }

    #[test]
    fn nothing_is_planned_in_a_hold_and_it_goes_on_after() {
        let holds = Holds::of([Hold { from: at(2), to: at(5) }, Hold { from: at(8), to: at(20) }]);
        let all = forecast(&begun(10.0, 60, nine()), 0, 60, &holds, nine(), at(60));
        let foreseen = [0, 1, 5, 6, 7, 20].map(|minute| (at(minute), 10));
        assert_eq!(all.minutes, foreseen);
        assert_eq!(all.finishes, Some(at(20) + TimeDelta::seconds(54)));

        let seen_inside = forecast(&begun(10.0, 60, nine()), 20, 60, &holds, at(3), at(60));
        assert_eq!(seen_inside.minutes, foreseen[2..]);
        let ends_inside = forecast(&begun(10.0, 60, nine()), 0, 60, &holds, nine(), at(10));
        assert_eq!((ends_inside.planned, ends_inside.unsent, ends_inside.finishes), (50, 10, None));
        let added_to_the_past = Holds::of([Hold { from: at(0), to: at(3) }]);
        let goes_on = forecast(&begun(10.0, 60, nine()), 30, 60, &added_to_the_past, at(2), at(60));
        assert_eq!(goes_on.minutes.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at(3), at(4), at(5), at(6)]);
        let whole = Holds::of([Hold { from: at(-60), to: at(60) }]);
        let never = forecast(&begun(10.0, 60, nine()), 0, 60, &whole, nine(), at(10));
        assert_eq!((never.planned, never.unsent, never.minutes.len()), (0, 60, 0));
    }

    #[test]
    fn a_million_over_a_year_of_quiet_hours_fit_into_one_picture() {
        let holds = Holds::of((0..365).map(|day| Hold { from: at(day * 1440), to: at(day * 1440 + 600) }));
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        let forecast = forecast(&clock, 0, 1_000_000, &holds, nine(), at(365 * 1440));
        assert_eq!((forecast.planned, forecast.unsent), (1_000_000, 0));
        assert!(forecast.minutes.len() as i64 <= MAX_POINTS);
    }

    proptest! {
        #[test]
        fn the_numbers_agree(
            rate in 0.01..5_000.0_f64, released in 0..1_000_i64, left in 0..1_000_000_i64,
            now_s in 0..30_000_i64, ends_s in 0..200_000_i64,
            holds in prop::collection::vec((-5_000..200_000_i64, 1..40_000_i64), 0..6),
        ) {
            let at_second = |second| nine() + TimeDelta::seconds(second);
            let holds = holds.into_iter().map(|(from, lasts)| Hold { from: at_second(from), to: at_second(from + lasts) });
            let holds = Holds::of(holds);
            let clock = SendClock { rate, base: 1.0, since: nine() };
            let (now, ends) = (nine() + TimeDelta::seconds(now_s), nine() + TimeDelta::seconds(ends_s));
            let forecast = forecast(&clock, released, released + left, &holds, now, ends);
            prop_assert_eq!(forecast.planned + forecast.unsent, left);
            prop_assert_eq!(counts(&forecast).iter().sum::<i64>(), forecast.planned);
            prop_assert!(forecast.minutes.len() as i64 <= MAX_POINTS);
            prop_assert!(forecast.minutes.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!(forecast.minutes.iter().all(|(at, n)| *at < ends && *n > 0));
            if let Some(last) = forecast.finishes {
                prop_assert!(last < ends && last >= now && !holds.is_closed(last));
                let bucket = bucket_start(last, forecast.bucket_minutes);
                prop_assert_eq!(forecast.minutes.last().unwrap().0, bucket);
            }
        }
    }
}
