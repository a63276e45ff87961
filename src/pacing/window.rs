//! Local times and the instants they stand for.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// The instants in which a run may send: `[starts, ends)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub starts: DateTime<Utc>,
    pub ends: DateTime<Utc>,
}

/// A clock change leaves nothing between the two local times on that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("On this day the clocks change and there is no time between the start and the end.")]
pub struct EmptyWindow;

/// The window from `start` to `end` on `date` as clocks in `zone` show it.
///
/// An `end` that is not after `start` lies on the next day, so equal times are
/// a whole day.
pub fn window(date: NaiveDate, start: NaiveTime, end: NaiveTime, zone: Tz) -> Result<Window, EmptyWindow> {
    let last_date = if end > start { date } else { date.succ_opt().ok_or(EmptyWindow)? };
    let window = Window { starts: instant(date, start, zone), ends: instant(last_date, end, zone) };
    if window.starts < window.ends { Ok(window) } else { Err(EmptyWindow) }
}

/// The instant at which clocks in `zone` show this date and time.
///
/// A time that a clock change skips moves forward to the first instant that
/// exists; one that occurs twice is its first occurrence.
pub fn instant(date: NaiveDate, time: NaiveTime, zone: Tz) -> DateTime<Utc> {
    let local = date.and_time(time);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => at.to_utc(),
        LocalResult::Ambiguous(one, other) => one.min(other).to_utc(),
        // The end of a gap is unknown only outside the years that chrono can count.
        LocalResult::None => {
            GapInfo::new(&local, &zone).and_then(|gap| gap.end).map_or(local.and_utc(), |at| at.to_utc())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::{Offset, TimeDelta};
    use chrono_tz::TZ_VARIANTS;

    use super::*;

    fn on(date: &str) -> NaiveDate {
        date.parse().unwrap()
    }

    fn at(time: &str) -> NaiveTime {
        NaiveTime::parse_from_str(time, "%H:%M").unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_local() {
        let window = window(on("2026-07-01"), at("09:00"), at("18:00"), Tz::Europe__Dublin).unwrap();
        assert_eq!(window.starts, utc("2026-07-01T08:00:00Z"));
        assert_eq!(window.ends, utc("2026-07-01T17:00:00Z"));
    }

    #[test]
    fn an_end_at_or_before_the_start_is_tomorrow() {
        let night = window(on("2026-12-31"), at("22:00"), at("02:00"), Tz::UTC).unwrap();
        assert_eq!(night.ends, utc("2027-01-01T02:00:00Z"));
        let all_day = window(on("2026-12-31"), at("00:00"), at("00:00"), Tz::UTC).unwrap();
        assert_eq!(all_day.ends - all_day.starts, TimeDelta::hours(24));
    }

    #[test]
    fn a_day_on_which_clocks_change_is_shorter_or_longer() {
        let spring = window(on("2026-03-29"), at("00:00"), at("06:00"), Tz::Europe__Berlin).unwrap();
        assert_eq!(spring.ends - spring.starts, TimeDelta::hours(5));
        let autumn = window(on("2026-10-25"), at("00:00"), at("06:00"), Tz::Europe__Berlin).unwrap();
        assert_eq!(autumn.ends - autumn.starts, TimeDelta::hours(7));
    }

    #[test]
    fn a_window_inside_the_skipped_hour_is_refused() {
        assert_eq!(window(on("2026-03-29"), at("02:10"), at("02:50"), Tz::Europe__Berlin), Err(EmptyWindow));
    }

    #[test]
    fn samoa_skipped_a_whole_day() {
        let first = instant(on("2011-12-30"), at("10:00"), Tz::Pacific__Apia);
        assert_eq!(first, utc("2011-12-30T10:00:00Z"), "midnight of the 31st, the first instant after the 29th");
    }

    /// What clocks in `zone` are ahead of UTC, in seconds.
    fn ahead(zone: Tz, at: i64) -> i64 {
        let at = DateTime::from_timestamp(at, 0).unwrap().naive_utc();
        i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
    }

    /// The instants in `[from, to)` from which another offset holds: a look a day, then halving.
    pub(in crate::pacing) fn changes(zone: Tz, from: i64, to: i64) -> Vec<i64> {
        const DAY: i64 = 86_400;
        let mut found = Vec::new();
        let mut before = ahead(zone, from);
        for day in (from..to).step_by(DAY as usize) {
            let after = ahead(zone, day + DAY);
            if after != before {
                let (mut old, mut new) = (day, day + DAY);
                while new - old > 1 {
                    let middle = (old + new) / 2;
                    if ahead(zone, middle) == before { old = middle } else { new = middle }
                }
                found.push(new);
            }
            before = after;
        }
        found
    }

    #[test]
    fn in_every_zone_skipped_times_move_on_and_doubled_ones_are_the_first() {
        let (from, to) = (utc("2020-01-01T00:00:00Z").timestamp(), utc("2030-01-01T00:00:00Z").timestamp());
        let (mut skipped, mut doubled) = (0, 0);
        for zone in TZ_VARIANTS {
            for change in changes(zone, from, to) {
                let (old, new) = (ahead(zone, change - 1), ahead(zone, change));
                let local = |at: i64| DateTime::from_timestamp(at, 0).unwrap().naive_utc();
                let found = |at| {
                    let local = local(at);
                    instant(local.date(), local.time(), zone).timestamp()
                };
                if new > old {
                    // Clocks jump from change + old to change + new.
                    for at in [change + old, change + (old + new) / 2, change + new - 1] {
                        assert_eq!(found(at), change, "{zone}: {} does not exist", local(at));
                        skipped += 1;
                    }
                } else {
                    for at in [change + new, change + (old + new) / 2, change + old - 1] {
                        assert_eq!(found(at), at - old, "{zone}: {} occurs twice", local(at));
                        doubled += 1;
                    }
                }
                // The neighbours are ordinary.
                assert_eq!(found(change + new.max(old)), change + new.max(old) - new, "{zone}");
                assert_eq!(found(change + new.min(old) - 1), change + new.min(old) - 1 - old, "{zone}");
            }
        }
        assert!(skipped > 1000 && doubled > 1000, "{skipped} skipped and {doubled} doubled times were tried");
    }
}
