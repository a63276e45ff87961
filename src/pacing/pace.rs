//! How fast a provider takes messages, learnt from its refusals.

use chrono::{DateTime, TimeDelta, Utc};

/// What a refusal leaves of the pace.
const SLOWER: f64 = 0.7;
/// In so many seconds it grows by as much as it was.
const GROWS_IN: f64 = 20.0;
/// After so long without a refusal there is no pace to keep to.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::minutes(10);
/// A channel that refuses everything is still tried so often, in sends a minute.
const SLOWEST: f64 = 6.0;

/// The pace of a channel whose provider said that it was too fast: cut to a part at
/// each refusal, and growing evenly in between, so that it comes back to the edge of
/// what the provider takes and stays about there. Nothing has to be written while it grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Sends a minute at `since`.
    pub per_minute: f64,
    pub since: DateTime<Utc>,
}

impl Pace {
    /// The pace after a refusal of a send that began at `began_at`, when so many had begun
    /// within a second. What began before the last cut says nothing new: `None`.
    pub fn refused(
        known: Option<Pace>,
        in_a_second: usize,
        began_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Pace> {
        if known.is_some_and(|pace| began_at < pace.since) {
            return None;
        }
        let sent = in_a_second.max(1) as f64 * 60.0;
        let meant = known.and_then(|pace| pace.at(now)).unwrap_or(f64::MAX);
        Some(Pace { per_minute: (meant.min(sent) * SLOWER).max(SLOWEST), since: now })
    }

    /// Sends a minute at `now`; `None` when it is so long ago that there is no pace to keep to.
    pub fn at(&self, now: DateTime<Utc>) -> Option<f64> {
        let since = (now - self.since).max(TimeDelta::zero());
        let grown = 1.0 + since.as_seconds_f64() / GROWS_IN;
        (since < FORGOTTEN_AFTER).then_some(self.per_minute * grown)
    }

    /// Over which time it is to be kept at `now`, and how many sends that are: some in a
    /// second, or one in several.
    pub fn at_once(&self, now: DateTime<Utc>) -> Option<(TimeDelta, i64)> {
        let a_second = self.at(now)? / 60.0;
        let stretch = (1.0 / a_second).max(1.0);
        Some((TimeDelta::microseconds((stretch * 1e6) as i64), (a_second.floor() as i64).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nine() -> DateTime<Utc> {
        "2026-03-25T09:00:00Z".parse().unwrap()
    }

    fn seconds(n: i64) -> TimeDelta {
        TimeDelta::seconds(n)
    }

    #[test]
    fn a_refusal_cuts_what_was_really_sent_and_those_sent_before_the_cut_cut_no_more() {
        let cut = Pace::refused(None, 50, nine(), nine() + seconds(1)).unwrap();
        assert_eq!(cut, Pace { per_minute: 50.0 * 60.0 * SLOWER, since: nine() + seconds(1) });
        assert_eq!(Pace::refused(Some(cut), 50, nine(), nine() + seconds(2)), None);
        let again = Pace::refused(Some(cut), 35, nine() + seconds(1), nine() + seconds(2)).unwrap();
        assert_eq!(again.per_minute, 35.0 * 60.0 * SLOWER);
    }

    #[test]
    fn it_grows_and_is_forgotten_in_the_end() {
        let pace = Pace { per_minute: 600.0, since: nine() };
        assert_eq!((pace.at(nine()), pace.at(nine() + seconds(20))), (Some(600.0), Some(1200.0)));
        assert_eq!(pace.at(nine() + FORGOTTEN_AFTER), None);
        assert_eq!(pace.at(nine() - seconds(60)), Some(600.0), "a clock that was set back");
        assert_eq!(pace.at_once(nine()), Some((seconds(1), 10)));
        let slow = Pace { per_minute: SLOWEST, since: nine() };
        assert_eq!(slow.at_once(nine()), Some((seconds(10), 1)));
        assert_eq!(Pace::refused(Some(slow), 1, nine(), nine()), Some(slow), "no slower");
    }

    #[test]
    fn it_finds_what_a_provider_takes_and_stays_about_there() {
        // A provider that takes 20 a second, and somebody who would send 64.
        let (mut pace, mut taken, mut refused) = (None, 0, 0);
        for second in 0..600 {
            let now = nine() + seconds(second);
            let sends = pace.and_then(|it: Pace| it.at_once(now)).map_or(64, |(_, n)| n.min(64));
            taken += sends.min(20);
            if sends > 20 {
                refused += sends - 20;
                pace = Pace::refused(pace, sends as usize, now, now).or(pace);
            }
        }
        assert!(taken > 600 * 20 * 8 / 10, "{taken} taken");
        assert!(refused < 250, "{refused} refused");
    }
}
