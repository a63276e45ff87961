use chrono::{DateTime, Utc};

use crate::ids::{CampaignId, ChannelId, FileId, RunId, ScheduleId};
use crate::pacing::{self, Holds, LatePolicy, Rate, SendClock, Window};

/// One dated execution of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub schedule_id: ScheduleId,
    pub campaign_id: CampaignId,
    pub channel_id: ChannelId,
    pub file_id: FileId,
    /// Campaign name, hyphen, date.
    pub name: String,
    /// The text as it was at launch.
    pub body: String,
    pub window: Window,
    pub late: LatePolicy,
    pub state: RunState,
    /// Whether its deliveries are written; before that it has no contacts to speak of.
    pub prepared: bool,
    /// The next contact to claim, from 1.
    pub next_seq: i32,
    /// How many contacts there are.
    pub last_seq: i32,
    pub clock: Clock,
    /// Sends claimed so far, second attempts included.
    pub released: i64,
    /// The first so many sends may leave at once, to catch up with a late start.
    pub burst: i64,
}

/// Releases sends. Before the start there is only the rate it will have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clock {
    /// Sends a minute, once started.
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

impl Clock {
    /// Sends a minute.
    pub fn rate(&self) -> f64 {
        match self {
            Clock::Unstarted { rate } => *rate,
            Clock::Started(clock) => clock.rate,
        }
    }
}

impl Run {
    /// Contacts that no claim has reached.
    pub fn unclaimed(&self) -> i32 {
        self.last_seq - self.next_seq + 1
    }

    /// Begins to release sends. Late or in time is decided by the window and the late-start policy.
    pub fn start(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        match self.state {
            RunState::Waiting if !self.prepared || now < self.window.starts => return Err(Refused::NotDue),
            RunState::Waiting if self.window.ends <= now => return Err(Refused::EndPassed),
            RunState::Waiting => {}
            RunState::Running => return Err(Refused::NotDue),
            RunState::Paused { .. } => return Err(Refused::AlreadyPaused),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        }
        let start = pacing::start(
            &self.window,
            Rate::Fixed(self.clock.rate()),
            self.late,
            self.last_seq.into(),
            &Holds::none(),
            now,
        );
        self.clock = Clock::Started(start.clock);
        self.burst = start.burst;
        self.state = RunState::Running;
        Ok(())
    }

    /// Freezes the clock. Nothing is claimed from now on.
    pub fn pause(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        self.state = self.state.paused(now)?;
        Ok(())
    }

    /// Goes on where it stood: the clock is moved on by the length of the pause.
    /// A run that was paused before its start waits again, and starts late if it must.
    pub fn resume(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        let since = match self.state {
            RunState::Paused { .. } if self.window.ends <= now => return Err(Refused::EndPassed),
            RunState::Paused { since } => since,
            RunState::Waiting | RunState::Running => return Err(Refused::NotPaused),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Overrun { .. } => return Err(Refused::EndPassed),
            RunState::Completed { .. } => return Err(Refused::Ended),
        };
        self.go_on(since, now);
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
    pub fn end(&mut self, unsettled: i64, unsent: i64, now: DateTime<Utc>) -> Result<(), Refused> {
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
            if let (Some(since), Clock::Started(clock)) = (frozen_since, self.clock) {
                self.clock = Clock::Started(clock.resumed(since, now, &Holds::none()));
            }
            self.state = RunState::Overrun { at: now };
        } else {
            return Err(Refused::NotDue);
        }
        Ok(())
    }

    /// Gives a run that ran out of time, or is paused, a new end and lets it go on.
    pub fn extend(&mut self, ends: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refused> {
        let since = match self.state {
            RunState::Overrun { at } => at,
            RunState::Paused { since } => since,
            RunState::Waiting | RunState::Running => return Err(Refused::NotPaused),
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } => return Err(Refused::Ended),
        };
        self.window.ends = self.checked_end(ends, now)?;
        self.go_on(since, now);
        Ok(())
    }

    /// Moves the end of a run that has not ended.
    pub fn edit_end(&mut self, ends: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Refused> {
        match self.state {
            RunState::Waiting | RunState::Running | RunState::Paused { .. } => {}
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        }
        self.window.ends = self.checked_end(ends, now)?;
        Ok(())
    }

    /// Another rate from now on, never retroactive.
    pub fn edit_rate(&mut self, rate: f64, now: DateTime<Utc>) -> Result<(), Refused> {
        let at = match self.state {
            RunState::Waiting | RunState::Running => now,
            RunState::Paused { since } => since,
            RunState::Stopped { .. } => return Err(Refused::Stopped),
            RunState::Completed { .. } | RunState::Overrun { .. } => return Err(Refused::Ended),
        };
        self.clock = match self.clock {
            Clock::Unstarted { .. } => Clock::Unstarted { rate },
            Clock::Started(clock) => Clock::Started(clock.at_rate(rate, at, &Holds::none())),
        };
        Ok(())
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

    fn go_on(&mut self, frozen_since: DateTime<Utc>, now: DateTime<Utc>) {
        self.state = match self.clock {
            Clock::Unstarted { .. } => RunState::Waiting,
            Clock::Started(clock) => {
                self.clock = Clock::Started(clock.resumed(frozen_since, now, &Holds::none()));
                RunState::Running
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            file_id: FileId(1),
            name: "Spring offer-2026-03-02".into(),
            body: "Hello".into(),
            window: Window { starts: at("09:00:00"), ends: at("09:10:00") },
            late: LatePolicy::CatchUp,
            state: RunState::Waiting,
            prepared: true,
            next_seq: 1,
            last_seq: 100,
            clock: Clock::Unstarted { rate: 10.0 },
            released: 0,
            burst: 0,
        }
    }

    fn due(run: &Run, now: &str) -> i64 {
        match run.clock {
            Clock::Started(clock) => clock.due(at(now)),
            Clock::Unstarted { .. } => 0,
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
            verdicts(|run| run.resume(now)),
            [Err(NotPaused), Err(NotPaused), Ok("waiting"), Err(Ended), Err(EndPassed), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.stop(now)),
            [Ok("stopped"), Ok("stopped"), Ok("stopped"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.extend(at("10:00:00"), now)),
            [Err(NotPaused), Err(NotPaused), Ok("waiting"), Err(Ended), Ok("waiting"), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.edit_end(at("10:00:00"), now)),
            [Ok("waiting"), Ok("running"), Ok("paused"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.edit_rate(20.0, now)),
            [Ok("waiting"), Ok("running"), Ok("paused"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.end(5, 5, at("09:10:00"))),
            [Ok("overrun"), Ok("overrun"), Ok("overrun"), Err(Ended), Err(Ended), Err(Stopped)]
        );
        assert_eq!(
            verdicts(|run| run.start(now)),
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
        run.start(at("09:00:00")).unwrap();
        run.pause(at("09:03:10")).unwrap();
        let before = due(&run, "09:03:10");
        run.resume(at("09:05:10")).unwrap();
        assert_eq!(due(&run, "09:05:10"), before);
        assert_eq!(due(&run, "09:06:10"), before + 10);
    }

    #[test]
    fn a_run_cannot_be_resumed_after_its_end() {
        let mut run = run();
        run.start(at("09:00:00")).unwrap();
        run.pause(at("09:03:00")).unwrap();
        assert_eq!(run.resume(at("09:10:00")), Err(Refused::EndPassed));
    }

    #[test]
    fn an_overrun_run_that_was_paused_goes_on_from_its_pause_when_extended() {
        let mut run = run();
        run.start(at("09:00:00")).unwrap();
        run.pause(at("09:03:00")).unwrap();
        let before = due(&run, "09:03:00");
        run.end(70, 70, at("09:10:00")).unwrap();
        assert_eq!(run.state, RunState::Overrun { at: at("09:10:00") });
        run.extend(at("11:00:00"), at("10:00:00")).unwrap();
        assert_eq!((run.state, due(&run, "10:00:00")), (RunState::Running, before));
    }

    #[test]
    fn a_run_with_sends_on_the_wire_does_not_complete_and_does_not_overrun() {
        let mut run = Run { next_seq: 101, ..run() };
        run.start(at("09:00:00")).unwrap();
        assert_eq!(run.end(3, 0, at("09:10:00")), Err(Refused::NotDue));
        assert_eq!(run.end(0, 0, at("09:10:00")), Ok(()));
        assert_eq!(run.state.word(), "completed");
    }

    #[test]
    fn a_new_end_must_be_after_now_and_after_the_start() {
        let mut run = run();
        assert_eq!(run.edit_end(at("08:59:00"), at("08:00:00")), Err(Refused::EndBeforeStart));
        assert_eq!(run.edit_end(at("09:05:00"), at("09:05:00")), Err(Refused::EndNotInFuture));
        assert_eq!(run.edit_end(at("09:20:00"), at("09:05:00")), Ok(()));
    }
}
