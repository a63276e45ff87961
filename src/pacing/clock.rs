//! The clock of a run, and how many sends it lets go.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{Holds, LatePolicy, Rate, Window};
use crate::providers::BEGIN_WITHIN;

/// How far sending may fall behind and still catch up. What is further behind
/// counts as a stretch in which nobody could send: the clock is moved on.
pub const LAG: TimeDelta = TimeDelta::seconds(5);

/// A start this much after the window opened is on time.
pub const ON_TIME: TimeDelta = TimeDelta::seconds(5);

/// Forgives the rounding of floating point, in sends.
pub(super) const GRAIN: f64 = 1e-8;

/// The clock of a run: how many of its sends are released by when.
///
/// It stands still while the run is paused: nobody asks it then, and on resume
/// it goes on where it stood ([`resumed`](SendClock::resumed)). It stands still
/// in holds too, once it was led [`past`](SendClock::past) them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SendClock {
    /// Sends a minute.
    pub rate: f64,
    /// Sends released at `since`; the fraction is a send on its way.
    pub base: f64,
    pub since: DateTime<Utc>,
}

impl SendClock {
    /// How many sends may have begun by `now`, whatever the size of the audience.
    ///
    /// Never below the whole part of `base`, however early `now` is.
    pub fn due(&self, now: DateTime<Utc>) -> i64 {
        (self.reading(now) + GRAIN).floor() as i64
    }

    /// The clock with the holds that began by `now` taken out: it stands still in
    /// them and goes on at their end where it stood, half a send included.
    ///
    /// During a hold it starts again at its end, so nothing more is due until then.
    /// Holds that ended before `since` are taken out already, so it does no harm to
    /// ask twice.
    pub fn past(self, holds: &Holds, now: DateTime<Utc>) -> SendClock {
        let begun = holds.ending_after(self.since).take_while(|hold| hold.from <= now);
        begun.fold(self, |clock, hold| SendClock { base: clock.reading(hold.from), since: hold.to, ..clock })
    }

    /// The clock after a pause: what was released when it began stays so, half a
    /// send included, and it goes on from `now`.
    pub fn resumed(self, paused_at: DateTime<Utc>, now: DateTime<Utc>, holds: &Holds) -> SendClock {
        let base = self.past(holds, paused_at).reading(paused_at);
        SendClock { base, since: now.trunc_subsecs(6), ..self }
    }

    /// From `now` on another rate: what is released stays so, and nothing is
    /// added for the time before.
    ///
    /// For a paused run, `now` is the instant at which it was paused.
    pub fn at_rate(self, rate: f64, now: DateTime<Utc>, holds: &Holds) -> SendClock {
        let base = self.past(holds, now).due(now) as f64;
        SendClock { rate, base, since: now.trunc_subsecs(6) }
    }

    /// The clock, but never behind what was released already: holds may have been
    /// added to the past.
    pub(super) fn at_least(self, released: i64, now: DateTime<Utc>) -> SendClock {
        if self.due(now) < released {
            SendClock { base: released as f64, since: now.trunc_subsecs(6), ..self }
        } else {
            self
        }
    }

    /// The instant at which send number `n`, counted from 1, is released. For forecasts.
    pub fn release_at(&self, n: i64) -> DateTime<Utc> {
        let missing = n as f64 - self.base;
        if missing <= 0.0 {
            return self.since;
        }
        // A rate close to nothing gives a number that is cut to the largest i64.
        let micros = (missing * MICROS_A_MINUTE / self.rate).ceil() as i64;
        self.since.checked_add_signed(TimeDelta::microseconds(micros)).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Like [`release_at`](SendClock::release_at), with the holds taken out.
    pub(super) fn release_between(self, holds: &Holds, n: i64) -> DateTime<Utc> {
        let mut clock = self;
        loop {
            let at = clock.release_at(n);
            let later = clock.past(holds, at);
            if later.since == clock.since {
                return at;
            }
            clock = later;
        }
    }

    /// Like [`due`](SendClock::due), with the fraction.
    pub(super) fn reading(&self, now: DateTime<Utc>) -> f64 {
        let micros = (now - self.since).num_microseconds().unwrap_or(i64::MAX).max(0);
        // In this order: rate times microseconds is exact, and so is a whole number of sends.
        self.base + self.rate * micros as f64 / MICROS_A_MINUTE
    }

    /// What it releases within [`LAG`], at least one send.
    fn lag(&self) -> i64 {
        ((self.rate * minutes(LAG)).ceil() as i64).max(1)
    }
}

const MICROS_A_MINUTE: f64 = 60e6;

fn minutes(time: TimeDelta) -> f64 {
    time.num_microseconds().map_or(f64::MAX, |micros| micros as f64 / MICROS_A_MINUTE)
}

/// The rate that spreads `contacts` evenly over `time`, a tenth faster than
/// exact. `None` when there are no contacts or no time.
pub fn auto_rate(contacts: i64, time: TimeDelta) -> Option<f64> {
    (contacts > 0 && time > TimeDelta::zero()).then(|| contacts as f64 * 11.0 / (minutes(time) * 10.0))
}

/// The rate where [`Rate::Auto`] has no contacts or no time to go by.
const NOTHING_TO_SPREAD: f64 = 1.0;

/// How a run starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    pub clock: SendClock,
    /// The first so many sends may leave at once, above the rate.
    pub burst: i64,
}

/// Starts a run at `now`, which is not before its window.
///
/// The first send is released with the start, so that every minute gets its
/// full share by its end. Time that was held does not make a start late.
///
/// The clock still has its holds before it: whoever asks it leads it
/// [`past`](SendClock::past) them.
pub fn start(window: &Window, rate: Rate, late: LatePolicy, contacts: i64, holds: &Holds, now: DateTime<Utc>) -> Start {
    let spread_from = |from| auto_rate(contacts, holds.open_time(from, window.ends));
    let rate_from = |from| rate.fixed().or_else(|| spread_from(from)).unwrap_or(NOTHING_TO_SPREAD);
    let planned = SendClock { rate: rate_from(window.starts), base: 1.0, since: window.starts };
    let from_now = |rate| SendClock { rate, base: 1.0, since: now.trunc_subsecs(6) };
    if holds.open_time(window.starts, now) <= ON_TIME {
        return Start { clock: planned, burst: 0 };
    }
    match late {
        // The clock holds one send more than was missed: the one that is due now anyway.
        LatePolicy::CatchUp => {
            let missed = planned.past(holds, now).due(now) - 1;
            Start { clock: planned, burst: missed.min(contacts) }
        }
        LatePolicy::KeepRate => Start { clock: from_now(rate_from(now)), burst: 0 },
        LatePolicy::Spread => Start { clock: from_now(spread_from(now).unwrap_or_else(|| rate_from(now))), burst: 0 },
    }
}

/// How many sends may be claimed at `now`, and the clock to go on with.
///
/// `released` sends were claimed so far, `recent` of them within the last
/// minute, `(now - 60 s, now]`; those among the first `burst` do not count as
/// recent. The caller caps the answer by the contacts that are left.
///
/// The clock is one that was led [`past`](SendClock::past) the holds, and nobody
/// asks during a hold. Three rules beside the clock:
///
/// 1. Never more than the rate, rounded up, in any 60 s, the burst apart. After
///    a rate was lowered nothing leaves until the last minute fits the new one.
/// 2. Time in which nobody could send (a restart, a slow provider) is not made
///    up for: when more is due than [`LAG`] releases, the clock is moved on so
///    that exactly this much is due.
/// 3. What was claimed counts as released, even when a hold was since added to
///    the time of the claim: the run goes on from there, it does not wait for
///    its clock to come up again.
///
/// A minute filled to its rate has no slack. Claims that come a little late
/// therefore push those a minute later, so tell it, and store as the time of
/// the claim, the time [`on_the_beat`].
pub fn allowance(clock: SendClock, released: i64, recent: i64, burst: i64, now: DateTime<Utc>) -> (i64, SendClock) {
    let clock = clock.at_least(released, now);
    let most = released.max(burst) + clock.lag();
    let clock = if clock.due(now) > most {
        // Not `since` alone: after a change of rate, `base` may already be too far.
        let underway = (clock.reading(now) + GRAIN).fract();
        SendClock { base: most as f64 + underway, since: now.trunc_subsecs(6), ..clock }
    } else {
        clock
    };

    let due = (clock.due(now) - released).max(0);
    let at_once = (burst - released).max(0);
    let this_minute = (most_a_minute(clock.rate) - recent).max(0);
    (due.min(at_once + this_minute), clock)
}

/// How long after the time of its claim, which is one [`on_the_beat`], a send may begin.
pub const LATEST: TimeDelta = TimeDelta::milliseconds(BEGIN_WITHIN.as_millis() as i64 + BEAT.num_milliseconds());

/// How long a claim may wait before its sends begin, well within [`BEGIN_WITHIN`].
const SOON: TimeDelta = TimeDelta::milliseconds(500);

/// Between the last look at the clock and the provider's own.
const APART: TimeDelta = TimeDelta::milliseconds(2);

/// The sends of the last minute, twice: as they were claimed, and as they may have begun.
///
/// A limit is for sends as they begin, and those begin up to [`LATEST`] after their claim:
/// what was claimed a little more than a minute ago may have begun less than a minute
/// ago. Counting it would cost two sends in a hundred for ever. So what follows waits
/// until the last of it has begun a minute ago, where that is soon; only otherwise it is
/// counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lately {
    /// Claimed in `(now - 60 s, now]`.
    pub claimed: i64,
    /// Claimed in `(now - 60 s - LATEST, now]`.
    pub begun: i64,
    /// When the last began of those that only `begun` counts; at the latest, where that is
    /// not known. `None` when none did.
    pub last_begun: Option<DateTime<Utc>>,
}

impl Lately {
    /// How many count against a limit at `now`.
    pub fn counted(&self, now: DateTime<Utc>) -> i64 {
        match self.clear_at() {
            Some(at) if now + SOON < at => self.begun,
            Some(_) | None => self.claimed,
        }
    }

    /// Before when none of `n` more sends may begin, so that the limit holds.
    pub fn wait(&self, limit: i64, n: i64) -> Option<DateTime<Utc>> {
        self.clear_at().filter(|_| limit < self.begun + n)
    }

    fn clear_at(&self) -> Option<DateTime<Utc>> {
        self.last_begun.map(|at| at + TimeDelta::minutes(1) + APART)
    }
}

/// The most sends within 60 s at this rate.
pub fn most_a_minute(rate: f64) -> i64 {
    (rate - GRAIN).ceil() as i64
}

/// The beats that times of claims are rounded to.
const BEAT: TimeDelta = TimeDelta::milliseconds(200);

/// The last of five beats a second, to which the times of claims are rounded down.
///
/// Claims that carry the time of the beat rather than of the moment are whole
/// beats apart, so a tick that comes milliseconds late does not make the ticks
/// of the following minutes later and later.
pub fn on_the_beat(now: DateTime<Utc>) -> DateTime<Utc> {
    let into = i64::from(now.timestamp_subsec_nanos()) % (BEAT.num_milliseconds() * 1_000_000);
    now - TimeDelta::nanoseconds(into)
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::super::{Calendar, Hold, Quiet, forecast};
    use super::*;

    const MINUTE: TimeDelta = TimeDelta::minutes(1);

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn nine() -> DateTime<Utc> {
        utc("2026-03-25T09:00:00Z")
    }

    fn ten_minutes() -> Window {
        Window { starts: nine(), ends: nine() + MINUTE * 10 }
    }

    /// A dispatcher that remembers when it claimed which send.
    struct Dispatcher {
        clock: SendClock,
        burst: i64,
        contacts: i64,
        holds: Holds,
        claims: Vec<DateTime<Utc>>,
    }

    impl Dispatcher {
        fn new(Start { clock, burst }: Start, contacts: i64) -> Self {
            Self { clock, burst, contacts, holds: Holds::none(), claims: Vec::new() }
        }

        fn beyond_burst(&self) -> &[DateTime<Utc>] {
            &self.claims[self.claims.len().min(self.burst as usize)..]
        }

        fn tick(&mut self, now: DateTime<Utc>) -> i64 {
            if self.holds.is_closed(now) {
                return 0;
            }
            let released = self.claims.len() as i64;
            let claims = self.beyond_burst();
            let recent = (claims.len() - claims.partition_point(|at| *at <= now - MINUTE)) as i64;
            let (n, clock) = allowance(self.clock.past(&self.holds, now), released, recent, self.burst, now);
            self.clock = clock;
            let n = n.min(self.contacts - released);
            self.claims.extend(std::iter::repeat_n(now, n as usize));
            n
        }

        fn tick_every(&mut self, step: TimeDelta, from: DateTime<Utc>, to: DateTime<Utc>) {
            let mut now = from;
            while now < to {
                self.tick(now);
                now += step;
            }
        }

        /// Ticks every second, but only now and then where nothing may leave.
        fn tick_through(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) {
            let mut now = from;
            while now < to && (self.claims.len() as i64) < self.contacts {
                self.tick(now);
                now = match self.holds.reopens(now) {
                    Some(reopens) => {
                        (now + MINUTE * 37).min(reopens + TimeDelta::milliseconds(now.timestamp_subsec_millis().into()))
                    }
                    None => now + TimeDelta::seconds(1),
                };
            }
        }

        fn per_minute(&self) -> Vec<usize> {
            (0..10)
                .map(|k| (nine() + MINUTE * k, nine() + MINUTE * (k + 1)))
                .map(|(from, to)| self.claims.iter().filter(|at| **at >= from && **at < to).count())
                .collect()
        }
    }

    #[test]
    fn a_hundred_in_ten_minutes_are_ten_in_each() {
        let mut run = Dispatcher::new(
            start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::CatchUp, 100, &Holds::none(), nine()),
            100,
        );
        run.tick_every(TimeDelta::seconds(1), nine(), nine() + MINUTE * 10);
        assert_eq!(run.per_minute(), [10; 10]);
        assert_eq!(run.claims[0], nine());
        assert_eq!(run.claims[99], nine() + TimeDelta::seconds(594));
    }

    #[test]
    fn dropped_at_half_time_it_catches_up() {
        let dropped = nine() + MINUTE * 5;
        let begun = start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::CatchUp, 100, &Holds::none(), dropped);
        assert_eq!(begun.burst, 50);
        let mut run = Dispatcher::new(begun, 100);
        assert_eq!(run.tick(dropped), 51, "the fifty that were missed, and the one due now");
        run.tick_every(TimeDelta::seconds(1), dropped, nine() + MINUTE * 10);
        assert_eq!(run.per_minute(), [0, 0, 0, 0, 0, 60, 10, 10, 10, 10]);
        assert!(*run.claims.last().unwrap() < nine() + MINUTE * 10);
    }

    #[test]
    fn a_file_smaller_than_what_was_missed_leaves_at_once() {
        let dropped = nine() + MINUTE * 5;
        let begun = start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::CatchUp, 30, &Holds::none(), dropped);
        assert_eq!(begun.burst, 30);
        assert_eq!(Dispatcher::new(begun, 30).tick(dropped), 30);
    }

    #[test]
    fn keeping_the_rate_starts_the_plan_now() {
        let dropped = nine() + MINUTE * 5;
        let mut run = Dispatcher::new(
            start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::KeepRate, 100, &Holds::none(), dropped),
            100,
        );
        run.tick_every(TimeDelta::seconds(1), dropped, nine() + MINUTE * 10);
        assert_eq!(run.per_minute(), [0, 0, 0, 0, 0, 10, 10, 10, 10, 10]);
    }

    #[test]
    fn spreading_uses_the_minutes_that_are_left() {
        let dropped = nine() + MINUTE * 5;
        let begun = start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::Spread, 100, &Holds::none(), dropped);
        assert_eq!((begun.clock.rate, begun.burst), (22.0, 0));
        let mut run = Dispatcher::new(begun, 100);
        run.tick_every(TimeDelta::seconds(1), dropped, nine() + MINUTE * 10);
        assert_eq!(run.per_minute(), [0, 0, 0, 0, 0, 22, 22, 22, 22, 12]);
    }

    #[test]
    fn a_few_seconds_are_not_late() {
        let now = nine() + ON_TIME;
        for late in LatePolicy::ALL {
            let begun = start(&ten_minutes(), Rate::Fixed(10.0), late, 100, &Holds::none(), now);
            assert_eq!(begun, Start { clock: SendClock { rate: 10.0, base: 1.0, since: nine() }, burst: 0 });
        }
        let later = now + TimeDelta::milliseconds(1);
        assert_eq!(
            start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::KeepRate, 100, &Holds::none(), later).clock.since,
            later
        );
    }

    #[test]
    fn spreading_when_nothing_is_left_to_spread_keeps_the_rate() {
        let after = nine() + MINUTE * 10;
        assert_eq!(
            start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::Spread, 100, &Holds::none(), after).clock.rate,
            10.0
        );
        assert_eq!(
            start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::Spread, 0, &Holds::none(), nine() + MINUTE).clock.rate,
            10.0
        );
    }

    #[test]
    fn fractions_of_a_rate_add_up() {
        let clock = SendClock { rate: 0.4, base: 0.0, since: nine() };
        let due: Vec<i64> = (0..=5).map(|m| clock.due(nine() + MINUTE * m)).collect();
        assert_eq!(due, [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn another_rate_keeps_what_was_released() {
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        let t = nine() + TimeDelta::seconds(90);
        let faster = clock.at_rate(60.0, t, &Holds::none());
        assert_eq!((clock.due(t), faster.due(t)), (16, 16));
        assert_eq!(faster.due(t + MINUTE), 76);
    }

    #[test]
    fn downtime_is_not_made_up_for() {
        let mut run = Dispatcher::new(
            start(&ten_minutes(), Rate::Fixed(60.0), LatePolicy::CatchUp, 1000, &Holds::none(), nine()),
            1000,
        );
        run.tick_every(TimeDelta::seconds(1), nine(), nine() + MINUTE);
        assert_eq!(run.claims.len(), 60);
        let back = nine() + MINUTE * 4;
        assert_eq!(run.tick(back), 5, "what five seconds release");
        assert_eq!(run.tick(back), 0, "and no more in the same second");
        run.tick_every(TimeDelta::seconds(1), back, back + MINUTE);
        assert_eq!(run.claims.len(), 60 + 60);
    }

    #[test]
    fn a_send_that_was_half_due_stays_half_due() {
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        let back = nine() + TimeDelta::seconds(183);
        let (n, moved) = allowance(clock, 1, 0, 0, back);
        assert_eq!((n, moved.release_at(3)), (1, back + TimeDelta::seconds(3)));
    }

    #[test]
    fn a_burst_that_was_cut_short_goes_on_after_downtime() {
        let dropped = nine() + MINUTE * 5;
        let Start { clock, burst } =
            start(&ten_minutes(), Rate::Fixed(10.0), LatePolicy::CatchUp, 100, &Holds::none(), dropped);
        let (n, moved) = allowance(clock, 20, 0, burst, dropped + MINUTE * 3);
        assert_eq!(n, 31, "the other thirty, and what the lag allows");
        assert_eq!(moved.due(dropped + MINUTE * 3), 51);
    }

    #[test]
    fn after_a_slow_change_of_rate_the_backlog_is_dropped_too() {
        let clock = SendClock { rate: 60.0, base: 1.0, since: nine() };
        let t = nine() + MINUTE * 10;
        let (n, moved) = allowance(clock.at_rate(120.0, t, &Holds::none()), 0, 0, 0, t);
        assert_eq!((n, moved.due(t)), (10, 10));
    }

    #[test]
    fn a_hold_is_taken_out_and_half_a_send_is_kept() {
        let hold = Hold { from: nine() + TimeDelta::seconds(63), to: nine() + MINUTE * 30 };
        let holds = Holds::of([hold]);
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        assert_eq!(clock.past(&holds, nine() + MINUTE), clock, "it has not begun");
        for now in [hold.from, hold.from + MINUTE, hold.to, hold.to + MINUTE] {
            let led = clock.past(&holds, now);
            assert_eq!((led.base, led.since), (11.5, hold.to));
        }
        let during = SendClock { since: hold.from + MINUTE, ..clock };
        assert_eq!(during.past(&holds, hold.from + MINUTE), SendClock { since: hold.to, ..clock });
        let after = SendClock { since: hold.to, ..clock };
        assert_eq!(after.past(&holds, hold.to + MINUTE), after);
    }

    #[test]
    fn a_pause_that_overlaps_a_hold_is_taken_out_once() {
        let holds = Holds::of([Hold { from: nine() + MINUTE * 10, to: nine() + MINUTE * 20 }]);
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        let due = |paused: i32, resumed: i32, at: i32| {
            let clock = clock.resumed(nine() + MINUTE * paused, nine() + MINUTE * resumed, &holds);
            clock.past(&holds, nine() + MINUTE * at).due(nine() + MINUTE * at)
        };
        assert_eq!(due(5, 15, 18), 51, "resumed in the hold, it waits for its end");
        assert_eq!(due(5, 15, 21), 61);
        assert_eq!(due(15, 25, 26), 111, "paused in the hold, nothing was added there");
        assert_eq!(due(5, 25, 26), 61);
        assert_eq!(due(22, 25, 26), 131);
    }

    #[test]
    fn another_rate_inside_a_hold_waits_for_its_end() {
        let holds = Holds::of([Hold { from: nine() + MINUTE, to: nine() + MINUTE * 5 }]);
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        let faster = clock.at_rate(60.0, nine() + MINUTE * 3, &holds);
        let due = |minute: i32| faster.past(&holds, nine() + MINUTE * minute).due(nine() + MINUTE * minute);
        assert_eq!((due(4), due(5), due(6)), (11, 11, 71));
    }

    #[test]
    fn a_hold_added_to_the_past_does_not_make_the_run_wait_again() {
        let clock = SendClock { rate: 10.0, base: 1.0, since: nine() };
        let holds = Holds::of([Hold { from: nine(), to: nine() + MINUTE * 60 }]);
        let now = nine() + MINUTE * 61;
        let (n, clock) = allowance(clock.past(&holds, now), 300, 0, 0, now);
        assert_eq!((n, clock.due(now), clock.due(now + MINUTE)), (0, 300, 310));
    }

    #[test]
    fn dropped_after_a_hold_it_catches_up_with_the_time_that_was_open() {
        let window = Window { starts: nine(), ends: nine() + MINUTE * 60 };
        let holds = Holds::of([Hold { from: nine() + MINUTE * 2, to: nine() + MINUTE * 20 }]);
        let at =
            |minute: i32| start(&window, Rate::Fixed(10.0), LatePolicy::CatchUp, 500, &holds, nine() + MINUTE * minute);
        assert_eq!((at(10).burst, at(20).burst, at(25).burst), (20, 20, 70));
        let spread = start(&window, Rate::Fixed(10.0), LatePolicy::Spread, 500, &holds, nine() + MINUTE * 10);
        assert_eq!(spread.clock.rate, 500.0 * 1.1 / 40.0, "the forty minutes that are open");
        let held = Holds::of([Hold { from: nine() - MINUTE, to: nine() + MINUTE * 20 }]);
        let begun = start(&window, Rate::Fixed(10.0), LatePolicy::KeepRate, 500, &held, nine() + MINUTE * 10);
        assert_eq!((begun.clock.since, begun.burst), (nine(), 0), "nothing was missed, so it is not late");
    }

    #[test]
    fn an_auto_rate_is_done_in_the_time_there_is() {
        let begun = |late, minute: i32, contacts| {
            let begun = start(&ten_minutes(), Rate::Auto, late, contacts, &Holds::none(), nine() + MINUTE * minute);
            (begun.clock.rate, begun.burst)
        };
        for late in LatePolicy::ALL {
            assert_eq!(begun(late, 0, 100), (11.0, 0), "in time: the whole window");
        }
        assert_eq!(begun(LatePolicy::Spread, 5, 100), (22.0, 0), "late: what is left");
        assert_eq!(begun(LatePolicy::KeepRate, 5, 100), (22.0, 0));
        assert_eq!(begun(LatePolicy::CatchUp, 5, 100), (11.0, 55), "half at once, then as it was planned");
        assert_eq!(begun(LatePolicy::Spread, 0, 0).0, 1.0);
        assert_eq!(begun(LatePolicy::Spread, 10, 100).0, 1.0, "no time is left");
        let holds = Holds::of([Hold { from: nine(), to: nine() + MINUTE * 5 }]);
        assert_eq!(start(&ten_minutes(), Rate::Auto, LatePolicy::Spread, 100, &holds, nine()).clock.rate, 22.0);
    }

    #[test]
    fn ticks_that_come_a_little_late_do_not_slow_the_run_down() {
        let since = nine();
        let mut run = Dispatcher::new(Start { clock: SendClock { rate: 60.0, base: 1.0, since }, burst: 0 }, 100_000);
        for tick in 0..8 * 3600 * 5 {
            let jitter = TimeDelta::milliseconds((tick * 7919) % 190);
            run.tick(on_the_beat(since + TimeDelta::milliseconds(200) * tick as i32 + jitter));
        }
        assert_eq!(run.claims.len(), 8 * 3600);
    }

    /// Claims `want` sends at each look under a limit of its own, each look's sends
    /// beginning so long after it. Returns when they began, in order.
    fn begins(limit: i64, looks: impl Iterator<Item = (DateTime<Utc>, TimeDelta, i64)>) -> Vec<DateTime<Utc>> {
        let (mut claimed, mut begun) = (Vec::new(), Vec::new());
        for (now, late, want) in looks {
            let beat = on_the_beat(now);
            let within = |stretch| claimed.iter().rev().take_while(move |(at, _)| beat - stretch < *at);
            let last_begun = within(MINUTE + LATEST).skip(within(MINUTE).count()).map(|(_, began)| *began).max();
            let lately = Lately {
                claimed: within(MINUTE).count() as i64,
                begun: within(MINUTE + LATEST).count() as i64,
                last_begun,
            };
            let n = want.min(limit - lately.counted(beat)).max(0);
            let waits = lately.wait(limit, n).map_or(now, |at| at.max(now));
            // What would begin after its time does not begin at all.
            let began = (waits + late).min(now + TimeDelta::from_std(BEGIN_WITHIN).unwrap());
            claimed.extend(std::iter::repeat_n((beat, began), n as usize));
            begun.extend(std::iter::repeat_n(began, n as usize));
        }
        begun.sort();
        begun
    }

    fn most_in_a_minute(begun: &[DateTime<Utc>]) -> usize {
        (0..begun.len()).map(|n| begun[n..].partition_point(|at| *at < begun[n] + MINUTE)).max().unwrap_or(0)
    }

    #[test]
    fn a_limit_is_reached_though_sends_begin_a_little_after_their_claim() {
        let looks = (0..600)
            .map(|s| (nine() + TimeDelta::milliseconds(s * 1000 + s % 7), TimeDelta::milliseconds(s * 37 % 60), 40));
        let begun = begins(600, looks);
        assert!(most_in_a_minute(&begun) <= 600, "{}", most_in_a_minute(&begun));
        assert!(begun.len() > 5_900, "{}", begun.len());
    }

    #[test]
    fn a_rate_of_almost_nothing_never_comes_to_its_send() {
        let clock = SendClock { rate: 1e-12, base: 1.0, since: nine() };
        assert_eq!(clock.release_at(1), nine());
        assert_eq!(clock.release_at(1_000_000), DateTime::<Utc>::MAX_UTC);
    }

    /// What may happen to a run between two looks at it.
    #[derive(Clone, Debug)]
    enum Event {
        Tick { after_ms: i64 },
        Pause { after_ms: i64, for_ms: i64 },
        Rate { after_ms: i64, rate: f64 },
    }

    fn gap() -> impl Strategy<Value = i64> {
        prop_oneof![60 => 1..2_000_i64, 30 => 1..20_000_i64, 10 => 1..600_000_i64, 1 => 1..50_000_000_i64]
    }

    fn rate() -> impl Strategy<Value = f64> {
        prop_oneof![0.3..5.0_f64, 1.0..300.0_f64, (1..200_u32).prop_map(f64::from)]
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            12 => gap().prop_map(|after_ms| Event::Tick { after_ms }),
            1 => (gap(), gap()).prop_map(|(after_ms, for_ms)| Event::Pause { after_ms, for_ms }),
            1 => (gap(), rate()).prop_map(|(after_ms, rate)| Event::Rate { after_ms, rate }),
        ]
    }

    /// Quiet hours that begin within the first hours of a run, and blackout days.
    fn calendar() -> impl Strategy<Value = Calendar> {
        let zones = vec![Tz::UTC, Tz::Europe__Dublin, Tz::Asia__Kathmandu, Tz::America__St_Johns];
        let quiet = prop::option::of((-120..180_i64, 1..1_200_i64));
        let blackouts = prop::collection::btree_set(0..6_u64, 0..3);
        (prop::sample::select(zones), quiet, blackouts, 0..600_i64).prop_map(|(zone, quiet, blackouts, jitter_s)| {
            let local = nine().with_timezone(&zone).naive_local();
            let quiet = quiet.map(|(begins, lasts)| {
                let begins = local.time() + TimeDelta::minutes(begins);
                Quiet::new(begins, begins + TimeDelta::minutes(lasts)).unwrap()
            });
            let blackouts = blackouts.into_iter().map(|n| local.date() + Days::new(n)).collect();
            Calendar { zone, quiet, blackouts, jitter: TimeDelta::seconds(jitter_s) }
        })
    }

    fn holds() -> impl Strategy<Value = Holds> {
        (calendar(), 0..1_000_i64)
            .prop_map(|(calendar, run)| calendar.closed(run, nine(), nine() + TimeDelta::days(30)))
    }

    proptest! {
        // A tick a second for hours: fewer of them.
        #![proptest_config(ProptestConfig::with_cases(80))]

        /// What the preview shows around quiet hours and blackout days is what the dispatcher does.
        #[test]
        fn the_forecast_comes_true_around_holds(
            rate in 1.0..200.0_f64, auto in any::<bool>(), late in prop::sample::select(&LatePolicy::ALL),
            late_s in 0..20_000_i64, lasts_h in 6..48_i32, contacts in 1..1_500_i64, holds in holds(),
        ) {
            let window = Window { starts: nine(), ends: nine() + TimeDelta::hours(1) * lasts_h };
            let now = nine() + TimeDelta::seconds(late_s);
            let rate = if auto { Rate::Auto } else { Rate::Fixed(rate) };
            let begun = start(&window, rate, late, contacts, &holds, now);
            let forecast = forecast(&begun.clock, 0, contacts, &holds, now, window.ends);
            let mut run = Dispatcher { holds, ..Dispatcher::new(begun, contacts) };
            run.tick_through(now, window.ends);

            prop_assert!(!run.claims.iter().any(|at| run.holds.is_closed(*at)));
            let between_ticks = 1 + (begun.clock.rate / 60.0).ceil() as i64;
            let mut foreseen = 0;
            for (at, n) in &forecast.minutes {
                let ends = *at + MINUTE * forecast.bucket_minutes as i32;
                let sent = run.claims.partition_point(|claim| *claim < ends) as i64;
                foreseen += n;
                prop_assert!((foreseen - between_ticks..=foreseen).contains(&sent), "{} of {} by {}", sent, foreseen, ends);
            }
            prop_assert!((forecast.planned - between_ticks..=forecast.planned).contains(&(run.claims.len() as i64)));
            if let Some(finishes) = forecast.finishes {
                prop_assert!(!run.holds.is_closed(finishes));
                if run.claims.len() as i64 == contacts {
                    let behind = *run.claims.last().unwrap() - finishes;
                    // The next tick; and after a burst, one send later: the one due at once counts as recent.
                    let most = TimeDelta::milliseconds(1_000 + (60_000.0 / begun.clock.rate) as i64);
                    // Instants have whole microseconds, which two ways of reckoning may round to two neighbours.
                    let least = TimeDelta::microseconds(-1);
                    prop_assert!((least..=most).contains(&behind), "{} behind", behind);
                }
            }
        }

        /// Where there is time, everybody is sent to, and exactly when the clock
        /// without holds would have sent, moved by the holds.
        #[test]
        fn holds_only_move_sends(rate in 1.0..200.0_f64, contacts in 1..1_500_i64, holds in holds()) {
            let clock = SendClock { rate, base: 1.0, since: nine() };
            let mut run = Dispatcher { holds, ..Dispatcher::new(Start { clock, burst: 0 }, contacts) };
            run.tick_through(nine(), nine() + TimeDelta::days(25));
            prop_assert_eq!(run.claims.len() as i64, contacts);
            for (n, at) in run.claims.iter().enumerate() {
                let released = clock.release_at(n as i64 + 1) - nine();
                let open = run.holds.open_time(nine(), *at);
                let behind = open - released;
                prop_assert!((TimeDelta::milliseconds(-1)..=TimeDelta::seconds(1)).contains(&behind), "{}: {}", n, behind);
            }
        }
    }

    proptest! {
        /// Whatever happens to a run, no minute holds more than its rate, nothing
        /// leaves in a hold, and nobody is sent to twice.
        #[test]
        fn no_minute_exceeds_its_rate(
            rate in rate(), late in prop::sample::select(&LatePolicy::ALL), late_ms in 0..500_000_i64,
            contacts in 1..3_000_i64, holds in holds(), events in prop::collection::vec(event(), 1..250),
        ) {
            let mut now = nine() + TimeDelta::milliseconds(late_ms);
            let begun = start(&ten_minutes(), Rate::Fixed(rate), late, contacts, &holds, now);
            prop_assert!(begun.burst <= contacts);
            let mut run = Dispatcher { holds, ..Dispatcher::new(begun, contacts) };
            let mut rates = vec![(now, run.clock.rate)];
            run.tick(now);
            for event in events {
                match event {
                    Event::Tick { after_ms } => {
                        now += TimeDelta::milliseconds(after_ms);
                        run.tick(now);
                    }
                    Event::Pause { after_ms, for_ms } => {
                        let paused = now + TimeDelta::milliseconds(after_ms);
                        now = paused + TimeDelta::milliseconds(for_ms);
                        let resumed = run.clock.resumed(paused, now, &run.holds);
                        prop_assert_eq!(resumed.due(now), run.clock.past(&run.holds, paused).due(paused));
                        run.clock = resumed;
                    }
                    Event::Rate { after_ms, rate } => {
                        now += TimeDelta::milliseconds(after_ms);
                        let changed = run.clock.at_rate(rate, now, &run.holds);
                        prop_assert_eq!(changed.due(now), run.clock.past(&run.holds, now).due(now));
                        run.clock = changed;
                        rates.push((now, rate));
                    }
                }
            }

            prop_assert!(run.claims.len() as i64 <= contacts);
            prop_assert!(!run.claims.iter().any(|at| run.holds.is_closed(*at)));
            let claims = run.beyond_burst();
            for (i, last) in claims.iter().enumerate() {
                let first_of_minute = *last - MINUTE;
                let in_minute = claims[..=i].iter().rev().take_while(|at| **at > first_of_minute).count();
                // In force at some time of this minute: it began before the end, and the next one after the start.
                let fastest = rates
                    .iter()
                    .enumerate()
                    .filter(|(k, (from, _))| from <= last && rates.get(k + 1).is_none_or(|(to, _)| *to > first_of_minute))
                    .map(|(_, (_, rate))| rate.ceil() as usize)
                    .max()
                    .unwrap();
                prop_assert!(in_minute <= fastest, "{} sends in a minute of at most {}", in_minute, fastest);
            }
        }

        /// However long after its claim each send begins.
        #[test]
        fn no_minute_of_begins_exceeds_a_limit(
            limit in 1..200_i64, looks in prop::collection::vec((1..3_000_i64, 0..1_000_i64, 1..120_i64), 1..300),
        ) {
            let mut now = nine();
            let begun = begins(limit, looks.into_iter().map(|(after, late, want)| {
                now += TimeDelta::milliseconds(after);
                (now, TimeDelta::milliseconds(late), want)
            }));
            prop_assert!(most_in_a_minute(&begun) as i64 <= limit);
        }

        #[test]
        fn a_dispatcher_that_ticks_every_second_keeps_the_rate(rate in rate(), for_minutes in 1..40_i32, phase_ms in 0..1_000_i64) {
            let mut run = Dispatcher::new(Start { clock: SendClock { rate, base: 1.0, since: nine() }, burst: 0 }, i64::MAX);
            let end = nine() + MINUTE * for_minutes;
            run.tick_every(TimeDelta::seconds(1), nine() + TimeDelta::milliseconds(phase_ms), end);
            let (sent, planned) = (run.claims.len() as f64, rate * f64::from(for_minutes));
            // One at the start, and what the last second released after its tick.
            prop_assert!((sent - planned).abs() <= 2.0 + rate / 60.0, "{} sent, {} planned", sent, planned);
        }

        /// What the preview shows is what the dispatcher does, on time or late.
        #[test]
        fn the_forecast_comes_true(
            rate in rate(), late in prop::sample::select(&LatePolicy::ALL), late_s in 0..500_i64, contacts in 1..2_000_i64,
        ) {
            let (window, now) = (ten_minutes(), nine() + TimeDelta::seconds(late_s));
            let begun = start(&window, Rate::Fixed(rate), late, contacts, &Holds::none(), now);
            let forecast = forecast(&begun.clock, 0, contacts, &Holds::none(), now, window.ends);
            let mut run = Dispatcher::new(begun, contacts);
            run.tick_every(TimeDelta::seconds(1), now, window.ends);

            let (mut foreseen, mut sent) = (0, 0);
            for (k, in_minute) in run.per_minute().into_iter().enumerate() {
                let minute = nine() + MINUTE * k as i32;
                foreseen += forecast.minutes.iter().find(|(at, _)| *at == minute).map_or(0, |(_, n)| *n);
                sent += in_minute as i64;
                // What is released after the last tick of a minute leaves with the first of the next.
                let between_ticks = 1 + (begun.clock.rate / 60.0).ceil() as i64;
                prop_assert!((foreseen - between_ticks..=foreseen).contains(&sent), "{} of {} by {}", sent, foreseen, minute);
            }
        }

        /// Asking twice, or in steps, is asking once.
        #[test]
        fn a_clock_led_past_its_holds_twice_is_the_same(
            rate in rate(), base in 0.0..50.0_f64, since_s in 0..100_000_i64,
            first_s in 0..400_000_i64, then_s in 0..400_000_i64, holds in holds(),
        ) {
            let clock = SendClock { rate, base, since: nine() + TimeDelta::seconds(since_s) };
            let first = clock.since + TimeDelta::seconds(first_s);
            let then = first + TimeDelta::seconds(then_s);
            let led = clock.past(&holds, first);
            prop_assert_eq!(led.past(&holds, first), led);
            prop_assert_eq!(led.past(&holds, then), clock.past(&holds, then));
            prop_assert!(led.due(first) >= clock.base as i64);
            if let Some(reopens) = holds.reopens(first) {
                prop_assert_eq!(led.due(reopens), led.due(first), "it stands still");
            }
        }

        #[test]
        fn a_send_is_released_at_its_instant_and_not_before(
            rate in rate(), base in 0.0..50.0_f64, n in 1..100_000_i64,
        ) {
            let clock = SendClock { rate, base, since: nine() };
            let at = clock.release_at(n);
            prop_assert!(clock.due(at) >= n);
            if at > clock.since {
                prop_assert!(clock.due(at - TimeDelta::milliseconds(1)) < n);
            }
        }
    }
}
