use chrono::{DateTime, Utc};

use crate::bots::domain::Pinned;
use crate::db::Reason;
use crate::ids::{CampaignId, ChannelId, FileId, RunId, ScheduleId};
use crate::pacing::{self, Calendar, Holds, LatePolicy, Rate, SendClock, TooLate, Window};
use crate::schedules::Rules;
use crate::wording::FilledTemplate;

/// One dated execution of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub schedule_id: ScheduleId,
    pub campaign_id: CampaignId,
    pub channel_id: ChannelId,
    /// `None` when its contacts come from lists.
    pub file_id: Option<FileId>,
    /// Campaign name, hyphen, date.
    pub name: String,
    /// The text as it was when the run was made.
    pub body: String,
    /// The bot that its contacts meet instead.
    pub bot: Option<Pinned>,
    /// The approved text that leaves for the text, or with which the bot begins.
    pub template: Option<FilledTemplate>,
    /// Names that the text may use; known once the run is prepared.
    pub fields: Vec<String>,
    pub window: Window,
    pub late: LatePolicy,
    /// Its rate is found when it starts, and found anew when its end is moved.
    pub auto: bool,
    /// The schedule's, as they were when the run was made.
    pub rules: Rules,
    /// Its first contacts turned out well, or somebody let it go on all the same.
    pub canary_passed: bool,
    /// One message to somebody's own phone, before the launch.
    pub is_test: bool,
    pub state: RunState,
    /// Whether its deliveries are written; before that it has no contacts to speak of.
    pub prepared: bool,
    /// The next contact to claim, from 1.
    pub next_seq: i32,
    /// How many contacts there are.
    pub last_seq: i32,
    /// Contacts before `next_seq` that no claim took: left out, or held until later.
    pub passed_over: i32,
    pub clock: RunClock,
    /// Sends claimed so far, second attempts included.
    pub released: i64,
    /// The first so many sends may leave at once, to catch up with a late start.
    pub burst: i64,
}

/// What came of an attempt to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    Running,
    /// It would have started later than its rules allow, and is over.
    TooLate,
    /// It would start later than its rules allow; somebody has to say whether it still shall.
    Asks,
}

/// Releases sends. Before the start there is only the rate it will have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunClock {
    /// Sends a minute, once started; of no meaning where the rate is found then.
    Unstarted { rate: f64 },
    /// Ticking, or standing still since the run was paused or ended.
    Started(SendClock),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunState {
    Waiting,
    Running,
    Paused { since: DateTime<Utc> },
    Completed { at: DateTime<Utc> },
    Overrun { at: DateTime<Utc> },
    Stopped { at: DateTime<Utc> },
}

/// Why a run stayed as it was. The text is shown to the person.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("It is already paused.")]
    AlreadyPaused,
    #[error("It is not paused.")]
    NotPaused,
    #[error("It was stopped; a stop is final. Duplicate the campaign to run it again.")]
    Stopped,
    #[error("Its run has ended.")]
    Ended,
    #[error("Its end time has passed. Extend the end time to go on.")]
    EndPassed,
    #[error("The new end time must lie in the future.")]
    EndNotInFuture,
    #[error("The end time must be after the start time.")]
    EndBeforeStart,
    #[error("It is not due yet.")]
    NotDue,
}

impl Reason for Refused {}

impl RunState {
    /// The word in the database.
    pub fn word(&self) -> &'static str {
        match self {
            RunState::Waiting => "waiting",
            RunState::Running => "running",
            RunState::Paused { .. } => "paused",
            RunState::Completed { .. } => "completed",
            RunState::Overrun { .. } => "overrun",
            RunState::Stopped { .. } => "stopped",
        }
    }

    /// Whether nothing more will be claimed unless somebody extends it.
    pub fn has_ended(&self) -> bool {
        match self {
            RunState::Waiting | RunState::Running | RunState::Paused { .. } => false,
            RunState::Completed { .. } | RunState::Overrun { .. } | RunState::Stopped { .. } => true,
        }
    }

    /// What a pause makes of it.
    pub fn paused(self, now: DateTime<Utc>) -> Result<RunState, Refused> {
        match self {
            RunState::Waiting | RunState::Running => Ok(RunState::Paused { since: now }),
            RunState::Paused { .. } => Err(Refused::AlreadyPaused),
            RunState::Stopped { .. } => Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => Err(Refused::Ended),
        }
    }

    /// What a stop makes of it.
    pub fn stopped(self, now: DateTime<Utc>) -> Result<RunState, Refused> {
        match self {
            RunState::Waiting | RunState::Running | RunState::Paused { .. } => Ok(RunState::Stopped { at: now }),
            RunState::Stopped { .. } => Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => Err(Refused::Ended),
        }
    }
}

impl RunClock {
    /// Sends a minute.
    pub fn rate(&self) -> f64 {
        match self {
            RunClock::Unstarted { rate } => *rate,
            RunClock::Started(clock) => clock.rate,
        }
    }
}

impl Run {
    /// When it may not send, until it ends; `calendar`: its campaign's.
    pub fn holds(&self, calendar: &Calendar) -> Holds {
        self.holds_until(calendar, self.window.ends)
    }

    /// The same, should it end at `ends`.
    pub fn holds_until(&self, calendar: &Calendar, ends: DateTime<Utc>) -> Holds {
        if self.is_test { Holds::none() } else { calendar.closed(self.id.0, self.window.starts, ends) }
    }

    /// Contacts that no claim has reached.
    pub fn unclaimed(&self) -> i32 {
        self.last_seq - self.next_seq + 1
    }

    /// When it ended, at the latest when its time was over; `None` while it has not.
    pub fn over_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            RunState::Waiting | RunState::Running | RunState::Paused { .. } => None,
            RunState::Completed { at } | RunState::Overrun { at } | RunState::Stopped { at } => {
                Some(at.min(self.window.ends))
            }
        }
    }

    /// The rate it has, or starts with.
    pub fn rate(&self) -> Rate {
        match self.clock {
            RunClock::Unstarted { .. } if self.auto => Rate::Auto,
            RunClock::Unstarted { rate } => Rate::Fixed(rate),
            RunClock::Started(clock) => Rate::Fixed(clock.rate),
        }
    }

    /// Begins to release sends. Late or in time is decided by the window and the late-start policy.
    pub fn start(&mut self, holds: &Holds, now: DateTime<Utc>) -> Result<Begun, Refused> {
        match self.state {
            RunState::Waiting if !self.prepared || now < self.window.starts => return Err(Refused::NotDue),
            RunState::Waiting if self.window.ends <= now => return Err(Refused::EndPassed),
            RunState::Waiting => {}
            RunState::Running => return Err(Refused::NotDue),
            RunState::Paused { .. } => return Err(Refused::AlreadyPaused),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        }
        match self.rules.late.and_then(|limit| limit.judge(&self.window, now)) {
            Some(TooLate::Overrun) => {
                self.state = RunState::Overrun { at: now };
                return Ok(Begun::TooLate);
            }
            Some(TooLate::Ask) => {
                self.state = RunState::Paused { since: now };
                return Ok(Begun::Asks);
            }
            None => {}
        }
        let start = pacing::start(&self.window, self.rate(), self.late, self.unclaimed().into(), holds, now);
        self.clock = RunClock::Started(start.clock);
        self.burst = start.burst;
        self.state = RunState::Running;
        Ok(Begun::Running)
    }

    /// Freezes the clock. Nothing is claimed from now on.
    pub fn pause(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        self.state = self.state.paused(now)?;
        Ok(())
    }

    /// Goes on where it stood: the clock is moved on by the length of the pause.
    /// A run that was paused before its start waits again, and starts late if it must,
    /// however late: whoever resumes it wants it to start.
    pub fn resume(&mut self, holds: &Holds, now: DateTime<Utc>) -> Result<(), Refused> {
        let since = match self.state {
            RunState::Paused { .. } if self.window.ends <= now => return Err(Refused::EndPassed),
            RunState::Paused { since } => since,
            RunState::Waiting | RunState::Running => return Err(Refused::NotPaused),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Overrun { .. } => return Err(Refused::EndPassed),
            RunState::Completed { .. } => return Err(Refused::Ended),
        };
        if self.canary_left() == Some(0) {
            self.pass_canary();
        }
        self.go_on(since, holds, now);
        Ok(())
    }

    /// Stops for good.
    pub fn stop(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        self.state = self.state.stopped(now)?;
        Ok(())
    }

    /// Ends the run when there is nothing left to do or no time left to do it in.
    ///
    /// `unsettled`: contacts without a word about them yet, claimed or not.
    /// `unsent`: those of them that are not on the wire.
    pub fn end(&mut self, unsettled: i64, unsent: i64, holds: &Holds, now: DateTime<Utc>) -> Result<(), Refused> {
        let frozen_since = match self.state {
            RunState::Waiting | RunState::Running => None,
            RunState::Paused { since } => Some(since),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        };
        if !self.prepared {
            return Err(Refused::NotDue);
        }
        if unsettled == 0 && self.state != RunState::Waiting {
            self.state = RunState::Completed { at: now };
        } else if self.window.ends <= now && unsent > 0 {
            // Paused runs end with their clock where it was frozen, in case they are extended.
            if let (Some(since), RunClock::Started(clock)) = (frozen_since, self.clock) {
                self.clock = RunClock::Started(clock.resumed(since, now, holds));
            }
            self.state = RunState::Overrun { at: now };
        } else {
            return Err(Refused::NotDue);
        }
        Ok(())
    }

    /// Gives a run that ran out of time, or is paused, a new end and lets it go on.
    pub fn extend(&mut self, ends: DateTime<Utc>, holds: &Holds, now: DateTime<Utc>) -> Result<(), Refused> {
        let since = match self.state {
            RunState::Overrun { at } => at,
            RunState::Paused { since } => since,
            RunState::Waiting | RunState::Running => return Err(Refused::NotPaused),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } => return Err(Refused::Ended),
        };
        self.window.ends = self.checked_end(ends, now)?;
        if self.canary_left() == Some(0) {
            self.pass_canary();
        }
        self.go_on(since, holds, now);
        Ok(())
    }

    /// More contacts for a run: they follow those it has. One that was through goes on.
    pub fn add(&mut self, contacts: i32, holds: &Holds, now: DateTime<Utc>) -> Result<(), Refused> {
        match self.state {
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Overrun { .. } => return Err(Refused::EndPassed),
            _ if self.window.ends <= now => return Err(Refused::EndPassed),
            RunState::Waiting | RunState::Running | RunState::Paused { .. } => self.last_seq += contacts,
            RunState::Completed { at } => {
                self.last_seq += contacts;
                self.go_on(at, holds, now);
            }
        }
        Ok(())
    }

    /// Lets it go on though its first contacts did not turn out well, or before that is known.
    pub fn pass_canary(&mut self) {
        self.canary_passed = true;
    }

    /// How many of its first contacts may still be claimed before the others have
    /// to wait for them; `None` when nothing waits for them.
    pub fn canary_left(&self) -> Option<i64> {
        let canary = self.rules.canary.filter(|_| !self.canary_passed)?;
        Some((i64::from(canary.first) - i64::from(self.next_seq - 1 - self.passed_over)).max(0))
    }

    /// Moves the end of a run that has not ended. An earlier end lies so far ahead that
    /// what was claimed under the old one has begun by then.
    pub fn edit_end(&mut self, ends: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refused> {
        match self.state {
            RunState::Waiting | RunState::Running | RunState::Paused { .. } => {}
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        }
        if ends < self.window.ends && ends <= now + pacing::LATEST * 2 {
            return Err(Refused::EndNotInFuture);
        }
        self.window.ends = self.checked_end(ends, now)?;
        Ok(())
    }

    /// Another rate from now on, never retroactive.
    pub fn edit_rate(&mut self, rate: Rate, holds: &Holds, now: DateTime<Utc>) -> Result<(), Refused> {
        let at = match self.state {
            RunState::Waiting | RunState::Running => now,
            RunState::Paused { since } => since,
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        };
        self.auto = rate == Rate::Auto;
        if let Rate::Fixed(rate) = rate {
            self.clock = match self.clock {
                RunClock::Unstarted { .. } => RunClock::Unstarted { rate },
                RunClock::Started(clock) => RunClock::Started(clock.at_rate(rate, at, holds)),
            };
        }
        Ok(())
    }

    /// Finds the rate anew that spreads what is left over the time that is left, where
    /// that is how the rate is found. `waiting`: contacts that were passed or tried and
    /// come round again. To be asked after every change of the end, the rate or the contacts.
    pub fn spread(&mut self, waiting: i64, holds: &Holds, now: DateTime<Utc>) {
        let at = match self.state {
            RunState::Running => now,
            RunState::Paused { since } => since,
            RunState::Waiting => return,
            RunState::Completed { .. } | RunState::Overrun { .. } | RunState::Stopped { .. } => return,
        };
        let left = pacing::auto_rate(i64::from(self.unclaimed()) + waiting, holds.open_time(now, self.window.ends));
        if let (true, RunClock::Started(clock), Some(rate)) = (self.auto, self.clock, left) {
            self.clock = RunClock::Started(clock.at_rate(rate, at, holds));
        }
    }

    fn checked_end(&self, ends: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
        if ends <= self.window.starts {
            Err(Refused::EndBeforeStart)
        } else if ends <= now {
            Err(Refused::EndNotInFuture)
        } else {
            Ok(ends)
        }
    }

    fn go_on(&mut self, frozen_since: DateTime<Utc>, holds: &Holds, now: DateTime<Utc>) {
        self.state = match self.clock {
            RunClock::Unstarted { .. } => {
                self.rules.late = self.rules.late.filter(|limit| limit.judge(&self.window, now).is_none());
                RunState::Waiting
            }
            RunClock::Started(clock) => {
                self.clock = RunClock::Started(clock.resumed(frozen_since, now, holds));
                RunState::Running
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::pacing::LateLimit;
    use crate::schedules::{Canary, Verdict};

    const NONE: Holds = Holds::none();

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    /// 100 contacts, 09:00 to 09:10, ten a minute.
    fn run() -> Run {
        Run {
            id: RunId(1),
            schedule_id: ScheduleId(1),
            campaign_id: CampaignId(1),
            channel_id: ChannelId(1),
            file_id: Some(FileId(1)),
            name: "Spring offer-2026-03-02".into(),
            body: "Hello".into(),
            bot: None,
            template: None,
            fields: Vec::new(),
            auto: false,
            rules: Rules::default(),
            canary_passed: false,
            is_test: false,
            window: Window { starts: at("09:00:00"), ends: at("09:10:00") },
            late: LatePolicy::CatchUp,
            state: RunState::Waiting,
            prepared: true,
            next_seq: 1,
            last_seq: 100,
            passed_over: 0,
            clock: RunClock::Unstarted { rate: 10.0 },
            released: 0,
            burst: 0,
        }
    }

    fn due(run: &Run, now: &str) -> i64 {
        match run.clock {
            RunClock::Started(clock) => clock.due(at(now)),
            RunClock::Unstarted { .. } => 0,
        }
    }

    fn in_each_state() -> Vec<Run> {
        [
            RunState::Waiting,
            RunState::Running,
            RunState::Paused { since: at("09:01:00") },
            RunState::Completed { at: at("09:01:00") },
            RunState::Overrun { at: at("09:01:00") },
            RunState::Stopped { at: at("09:01:00") },
        ]
        .map(|state| Run { state, ..run() })
        .into()
    }

    fn verdicts(verb: impl Fn(&mut Run) -> Result<(), Refused>) -> Vec<Result<&'static str, Refused>> {
        in_each_state().iter_mut().map(|run| verb(run).map(|()| run.state.word())).collect()
    }

    #[test]
    fn every_verb_accounts_for_every_state() {
        use Refused::*;
        let now = at("09:05:00");
        // waiting, running, paused, completed, overrun, stopped
        assert_eq!(
            verdicts(|run| run.pause(now)),
            [Ok("paused"), Ok("paused"), Err(AlreadyPaused), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.resume(&NONE, now)),
            [Err(NotPaused), Err(NotPaused), Ok("waiting"), Err(Ended), Err(EndPassed), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.stop(now)),
            [Ok("stopped"), Ok("stopped"), Ok("stopped"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.extend(at("10:00:00"), &NONE, now)),
            [Err(NotPaused), Err(NotPaused), Ok("waiting"), Err(Ended), Ok("waiting"), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.edit_end(at("10:00:00"), now)),
            [Ok("waiting"), Ok("running"), Ok("paused"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.edit_rate(Rate::Fixed(20.0), &NONE, now)),
            [Ok("waiting"), Ok("running"), Ok("paused"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.end(5, 5, &NONE, at("09:10:00"))),
            [Ok("overrun"), Ok("overrun"), Ok("overrun"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.start(&NONE, now).map(drop)),
            [Ok("running"), Err(NotDue), Err(AlreadyPaused), Err(Ended), Err(Ended), Err(Stopped)]
        );
    }

    #[test]
    fn a_refused_verb_changes_nothing() {
        for run in in_each_state() {
            let mut tried = run.clone();
            if tried.stop(at("09:05:00")).is_err() {
                assert_eq!(tried, run);
            }
        }
    }

    #[test]
    fn the_clock_stands_still_during_a_pause() {
        let mut run = run();
        run.start(&NONE, at("09:00:00")).unwrap();
        run.pause(at("09:03:10")).unwrap();
        let before = due(&run, "09:03:10");
        run.resume(&NONE, at("09:05:10")).unwrap();
        assert_eq!(due(&run, "09:05:10"), before);
        assert_eq!(due(&run, "09:06:10"), before + 10);
    }

    #[test]
    fn a_run_cannot_be_resumed_after_its_end() {
        let mut run = run();
        run.start(&NONE, at("09:00:00")).unwrap();
        run.pause(at("09:03:00")).unwrap();
        assert_eq!(run.resume(&NONE, at("09:10:00")), Err(Refused::EndPassed));
    }

    #[test]
    fn an_overrun_run_that_was_paused_goes_on_from_its_pause_when_extended() {
        let mut run = run();
        run.start(&NONE, at("09:00:00")).unwrap();
        run.pause(at("09:03:00")).unwrap();
        let before = due(&run, "09:03:00");
        run.end(70, 70, &NONE, at("09:10:00")).unwrap();
        assert_eq!(run.state, RunState::Overrun { at: at("09:10:00") });
        run.extend(at("11:00:00"), &NONE, at("10:00:00")).unwrap();
        assert_eq!((run.state, due(&run, "10:00:00")), (RunState::Running, before));
    }

    #[test]
    fn a_run_with_sends_on_the_wire_does_not_complete_and_does_not_overrun() {
        let mut run = Run { next_seq: 101, ..run() };
        run.start(&NONE, at("09:00:00")).unwrap();
        assert_eq!(run.end(3, 0, &NONE, at("09:10:00")), Err(Refused::NotDue));
        assert_eq!(run.end(0, 0, &NONE, at("09:10:00")), Ok(()));
        assert_eq!(run.state.word(), "completed");
    }

    #[test]
    fn a_new_end_must_be_after_now_and_after_the_start() {
        let mut run = run();
        assert_eq!(run.edit_end(at("08:59:00"), at("08:00:00")), Err(Refused::EndBeforeStart));
        assert_eq!(run.edit_end(at("09:05:00"), at("09:05:00")), Err(Refused::EndNotInFuture));
        assert_eq!(run.edit_end(at("09:20:00"), at("09:05:00")), Ok(()));
        // What is claimed by now may begin until a second later.
        assert_eq!(run.edit_end(at("09:06:00"), at("09:05:59")), Err(Refused::EndNotInFuture));
        assert_eq!(run.edit_end(at("09:21:00"), at("09:20:59")), Ok(()), "later than it was");
    }

    #[test]
    fn a_start_that_is_too_late_is_over_or_asks_and_whoever_resumes_it_wants_it_all_the_same() {
        let limit = |then| Rules { late: Some(LateLimit { within: TimeDelta::minutes(2), then }), ..Rules::default() };
        let mut run = Run { rules: limit(TooLate::Overrun), ..run() };
        assert_eq!(run.clone().start(&NONE, at("09:02:00")), Ok(Begun::Running));
        assert_eq!(run.start(&NONE, at("09:03:00")), Ok(Begun::TooLate));
        assert_eq!(run.state.word(), "overrun");

        let mut run = Run { rules: limit(TooLate::Ask), ..self::run() };
        assert_eq!(run.start(&NONE, at("09:03:00")), Ok(Begun::Asks));
        assert_eq!(run.state.word(), "paused");
        run.resume(&NONE, at("09:04:00")).unwrap();
        assert_eq!(run.start(&NONE, at("09:04:01")), Ok(Begun::Running));
    }

    #[test]
    fn an_automatic_rate_follows_the_end() {
        let mut run = Run { auto: true, ..run() };
        run.start(&NONE, at("09:00:00")).unwrap();
        assert_eq!(run.clock.rate(), 11.0, "a tenth faster than exact");
        run.edit_end(at("09:05:00"), at("09:00:00")).unwrap();
        run.spread(0, &NONE, at("09:00:00"));
        assert_eq!(run.clock.rate(), 22.0);
        run.spread(50, &NONE, at("09:00:00"));
        assert_eq!(run.clock.rate(), 33.0, "whoever waits for a turn has to be reached as well");
        run.edit_rate(Rate::Fixed(5.0), &NONE, at("09:00:00")).unwrap();
        run.edit_end(at("09:20:00"), at("09:00:00")).unwrap();
        run.spread(0, &NONE, at("09:00:00"));
        assert_eq!(run.clock.rate(), 5.0, "a rate that somebody set stays");
    }

    #[test]
    fn more_contacts_wake_a_run_that_was_through() {
        let mut run = Run { next_seq: 101, ..run() };
        run.start(&NONE, at("09:00:00")).unwrap();
        run.end(0, 0, &NONE, at("09:04:00")).unwrap();
        run.add(20, &NONE, at("09:05:00")).unwrap();
        assert_eq!((run.state, run.last_seq), (RunState::Running, 120));
        assert_eq!(run.add(1, &NONE, at("09:10:00")), Err(Refused::EndPassed));
    }

    #[test]
    fn the_first_contacts_hold_the_others_back_until_they_turned_out_well() {
        let canary = Canary { first: 10, minutes: 5, most_failed: 10.0 };
        let mut run = Run { rules: Rules { canary: Some(canary), ..Rules::default() }, next_seq: 8, ..run() };
        assert_eq!(run.canary_left(), Some(3));
        run.next_seq = 11;
        assert_eq!(run.canary_left(), Some(0));
        run.pass_canary();
        assert_eq!(run.canary_left(), None);

        let judged = |failed, open, minutes| canary.judge(failed, open, TimeDelta::minutes(minutes));
        assert_eq!(judged(0, 3, 4), None, "three may still fail");
        assert_eq!(judged(0, 3, 5), Some(Verdict::GoOn), "no receipt is no failure");
        assert_eq!(judged(1, 0, 0), Some(Verdict::GoOn));
        assert_eq!(judged(2, 0, 0), Some(Verdict::Hold));
    }
}
