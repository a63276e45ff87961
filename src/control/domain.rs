use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::campaigns::{self, Campaign, CampaignState};
use crate::db::Reason;
use crate::journal::Happened;
use crate::pacing::{self, Calendar, Rate};
use crate::runs::{self, Run, RunState};
use crate::schedules::{self, PausedWith, Schedule, ScheduleState, edited_end, next_occurrence};

/// Why what was to be changed stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Campaign(#[from] campaigns::Refused),
    #[error(transparent)]
    Schedule(#[from] schedules::Refused),
    #[error(transparent)]
    Run(#[from] runs::Refused),
}

impl Reason for Refused {}

/// When something is to end, by the clock of its campaign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    pub time: NaiveTime,
    /// `None`: the day that somebody means who says no other.
    pub day: Option<NaiveDate>,
}

impl End {
    /// If it says on which day.
    pub fn with_day(self) -> Option<End> {
        self.day.map(|_| self)
    }
}

impl From<NaiveTime> for End {
    fn from(time: NaiveTime) -> Self {
        End { time, day: None }
    }
}

impl From<NaiveDateTime> for End {
    fn from(at: NaiveDateTime) -> Self {
        End { time: at.time(), day: Some(at.date()) }
    }
}

/// Changes of a run that is under way, and of those to come. `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edit {
    /// Without a day on that of the run or, when at or before its start, the day after.
    pub end: Option<End>,
    /// From now on.
    pub rate: Option<Rate>,
}

/// A campaign and some of its schedules, or all, locked or as a verb has left them.
#[derive(Debug)]
pub struct Locked {
    pub campaign: Campaign,
    /// In the order in which they were added.
    pub schedules: Vec<LockedSchedule>,
}

/// A schedule with its runs: the newest, whatever it is, and those before it that have not
/// ended, which were extended into the time of the next. Newest first.
#[derive(Clone, Debug)]
pub struct LockedSchedule {
    pub schedule: Schedule,
    pub runs: Vec<Run>,
    /// As they are stored.
    stored: (Schedule, Vec<Run>),
}

impl LockedSchedule {
    pub fn new(schedule: Schedule, runs: Vec<Run>) -> Self {
        let stored = (schedule.clone(), runs.clone());
        LockedSchedule { schedule, runs, stored }
    }

    pub fn newest(&self) -> Option<&Run> {
        self.runs.first()
    }

    /// The schedule as it is stored.
    pub fn was(&self) -> &Schedule {
        &self.stored.0
    }

    /// Runs that are no longer as they are stored, after what they were.
    pub fn changed_runs(&self) -> impl Iterator<Item = (&Run, &Run)> {
        self.stored.1.iter().zip(&self.runs).filter(|(was, run)| was != run)
    }

    /// Runs that have not ended.
    pub fn open(&mut self) -> impl Iterator<Item = &mut Run> {
        self.runs.iter_mut().filter(|run| !run.state.has_ended())
    }

    /// Freezes it and its runs; one whose time is over may stand still already, until the clock ends it.
    pub fn pause(&mut self, with: PausedWith, now: DateTime<Utc>) -> Result<(), Refused> {
        self.schedule.pause(with, now)?;
        let mut going = self.open().filter(|run| !matches!(run.state, RunState::Paused { .. }));
        Ok(going.try_for_each(|run| run.pause(now))?)
    }

    /// Lets it and its runs go on where they stopped.
    pub fn resume(&mut self, calendar: &Calendar, now: DateTime<Utc>) -> Result<(), Refused> {
        let comes_round = self.schedule.comes_round();
        if self.newest().is_some_and(|run| matches!(run.state, RunState::Overrun { .. })) && !comes_round {
            return Err(runs::Refused::EndPassed.into());
        }
        self.schedule.resume()?;
        for run in self.open().filter(|run| matches!(run.state, RunState::Paused { .. })) {
            match run.resume(&run.holds(calendar), now) {
                Ok(()) => {}
                // Its time is over, and the clock ends it: its schedule goes on with the next one.
                Err(runs::Refused::EndPassed) if comes_round => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Stops it and its runs for good.
    pub fn stop(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        self.schedule.stop()?;
        Ok(self.open().try_for_each(|run| run.stop(now))?)
    }

    /// The run that an edit is meant for: what is over for today is edited for the days to come.
    pub fn edited_run(&self) -> Option<&Run> {
        self.newest().filter(|run| !self.schedule.comes_round() || !run.state.has_ended())
    }

    /// Moves its end, or changes its rate from now on. `waiting`: contacts of the
    /// [edited run](Self::edited_run) that come round again. Returns what was changed, in words.
    pub fn edit(
        &mut self,
        edit: Edit,
        zone: Tz,
        calendar: &Calendar,
        waiting: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, Refused> {
        let has_run = self.edited_run().is_some();
        if self.schedule.comes_round() {
            self.schedule.state.stopped()?;
        } else if !has_run {
            return Err(schedules::Refused::Finished.into());
        }
        let plan = &mut self.schedule.plan;
        let mut run = self.runs.first_mut().filter(|_| has_run);
        let words = |rate: Rate| rate.fixed().map_or("automatic".to_owned(), |rate| rate.to_string());
        let mut changed = Vec::new();
        if let Some(rate) = edit.rate {
            let was = run.as_ref().map_or(plan.rate, |run| if run.auto { Rate::Auto } else { run.rate() });
            if rate != was {
                changed.push(format!("rate {} → {} a minute", words(was), words(rate)));
                plan.rate = rate;
                if let Some(run) = &mut run {
                    let holds = run.holds(calendar);
                    run.edit_rate(rate, &holds, now)?;
                    run.spread(waiting, &holds, now);
                }
            }
        }
        if let Some(End { time, day }) = edit.end {
            let said = |at: DateTime<Utc>| at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
            let meant = run.as_ref().map(|run| edited_end(&run.window, time, zone, now));
            let was = run.as_ref().map(|run| run.window.ends);
            let ends = match day {
                Some(day) => was.map(|_| pacing::instant(day, time, zone)),
                None if time == plan.end => was,
                None => meant,
            };
            match (day, was.zip(ends)) {
                (Some(_), Some((was, ends))) if was != ends => {
                    changed.push(format!("end {} → {}", said(was), said(ends)))
                }
                (Some(_), Some(_)) => {}
                _ if time != plan.end => changed.push(format!("end {} → {time}", plan.end)),
                _ => {}
            }
            // The end on another day than the time alone means is that of this run only.
            if !self.schedule.comes_round() || day.is_none() || ends == meant {
                self.schedule.plan.end = time;
            }
            if let (Some(run), Some(ends)) = (&mut run, ends.filter(|ends| was != Some(*ends))) {
                run.edit_end(ends, now)?;
                run.spread(waiting, &run.holds(calendar), now);
            }
        }
        Ok(changed)
    }

    /// Goes on until `end`, without a day until that time next comes, after a pause or after its run ran out
    /// of time. `waiting`: contacts of its newest run that come round again. Returns until when.
    pub fn extend(
        &mut self,
        end: End,
        zone: Tz,
        calendar: &Calendar,
        waiting: i64,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Refused> {
        self.schedule.extend()?;
        let Some(run) = self.runs.first_mut() else { return Err(schedules::Refused::Finished.into()) };
        let ends = match end.day {
            Some(day) => pacing::instant(day, end.time, zone),
            None => next_occurrence(end.time, zone, now),
        };
        let holds = run.holds_until(calendar, ends);
        run.extend(ends, &holds, now)?;
        run.spread(waiting, &holds, now);
        // Only what runs once means this end for good.
        if !self.schedule.comes_round() {
            self.schedule.plan.end = end.time;
        }
        Ok(ends)
    }

    /// From now on paused by itself: its campaign goes on without it.
    pub fn stay_paused(&mut self, now: DateTime<Utc>) {
        let since = match self.was().state {
            ScheduleState::Paused { since, .. } => since,
            ScheduleState::Active | ScheduleState::Stopped | ScheduleState::Finished => now,
        };
        (self.schedule, self.runs) = self.stored.clone();
        self.schedule.state = ScheduleState::Paused { since, with: PausedWith::Schedule };
    }
}

/// What happened to a run whose schedule was paused, resumed, extended or stopped.
pub fn followed(was: RunState, became: RunState) -> Option<Happened> {
    match became {
        _ if was == became => None,
        RunState::Paused { .. } => Some(Happened::RunPaused),
        RunState::Stopped { .. } => Some(Happened::RunStopped),
        RunState::Waiting | RunState::Running => Some(Happened::RunResumed),
        RunState::Completed { .. } | RunState::Overrun { .. } => Some(Happened::RunEnded),
    }
}

/// States that a verb can change, by table.
pub struct States {
    pub campaigns: Vec<&'static str>,
    /// Those of a campaign that are left only while a bot of it talks with somebody.
    pub talking: Vec<&'static str>,
    pub schedules: Vec<&'static str>,
    pub runs: Vec<&'static str>,
}

impl States {
    /// Those that a stop ends.
    pub fn stoppable(now: DateTime<Utc>) -> States {
        let talking = |it: &CampaignState| it.stop().is_err() && it.stop_with(true).is_ok();
        let states = States::asked(
            now,
            |campaign| campaign.stop().is_ok(),
            |schedule| schedule.stopped().is_ok(),
            |run| run.stopped(now).is_ok(),
        );
        let talking = CampaignState::ALL.into_iter().filter(talking).map(CampaignState::word).collect();
        States { talking, ..states }
    }

    /// Those that a pause holds.
    pub fn pausable(now: DateTime<Utc>) -> States {
        States::asked(
            now,
            |campaign| campaign.pause().is_ok(),
            |schedule| schedule.paused(PausedWith::Campaign, now).is_ok(),
            |run| run.paused(now).is_ok(),
        )
    }

    /// Asks the state machines themselves, instead of listing the states anew.
    fn asked(
        now: DateTime<Utc>,
        campaign: impl Fn(CampaignState) -> bool,
        schedule: impl Fn(ScheduleState) -> bool,
        run: impl Fn(RunState) -> bool,
    ) -> States {
        let schedules = [
            ScheduleState::Active,
            ScheduleState::Paused { since: now, with: PausedWith::Schedule },
            ScheduleState::Stopped,
            ScheduleState::Finished,
        ];
        let runs = [
            RunState::Waiting,
            RunState::Running,
            RunState::Paused { since: now },
            RunState::Completed { at: now },
            RunState::Overrun { at: now },
            RunState::Stopped { at: now },
        ];
        States {
            talking: Vec::new(),
            campaigns: CampaignState::ALL.into_iter().filter(|it| campaign(*it)).map(CampaignState::word).collect(),
            schedules: schedules.iter().filter(|it| schedule(**it)).map(ScheduleState::word).collect(),
            runs: runs.iter().filter(|it| run(**it)).map(RunState::word).collect(),
        }
    }
}
