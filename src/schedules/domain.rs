use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::bots::domain::Pinned;
use crate::campaigns::{CampaignKind, CampaignState};
use crate::db::Reason;
use crate::ids::{CampaignId, ChannelId, ScheduleId};
use crate::pacing::{self, EmptyWindow, LatePolicy, Missed, Overlap, Rate, Rule, Window};
use crate::schedules::rules::Rules;
use crate::wording::FilledTemplate;

/// What a person plans: the part of a schedule that a form fills in.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub name: String,
    pub channel_id: ChannelId,
    /// With `#field` and `#field|fallback#` in it; empty when it sends a bot.
    pub body: String,
    /// The bot it sends instead of a text.
    pub bot: Option<Pinned>,
    /// The approved text that leaves instead of its text, which then is what people read of it; or with which its bot
    /// begins.
    pub template: Option<FilledTemplate>,
    pub when: When,
    /// Dates and times are meant in the campaign's time zone. Of no meaning for a cron expression.
    pub start: NaiveTime,
    /// At or before the start it means the next day.
    pub end: NaiveTime,
    pub rate: Rate,
    pub late: LatePolicy,
    /// Serves the rows whose group field has this value; `None`: all of them.
    pub group: Option<String>,
    pub rules: Rules,
}

/// On which days.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    Once {
        date: NaiveDate,
    },
    /// Once, on a day that nobody has chosen yet. It cannot be launched so.
    Undecided,
    /// Whenever the day's file has come.
    Daily,
    Recurring(Recurrence),
    /// Whenever somebody writes first on its channel.
    Inbound,
}

/// Comes round again by itself.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Recurrence {
    pub rule: Rule,
    /// In the campaign's time zone; `None`: until it is stopped.
    pub last_date: Option<NaiveDate>,
    /// What becomes of a run whose time passed while nothing worked.
    pub missed: Missed,
    /// What becomes of a run that is due while the one before goes on.
    pub overlap: Overlap,
}

impl When {
    /// Whether a schedule that runs on such days belongs into a campaign of this kind.
    pub fn suits(&self, kind: CampaignKind) -> bool {
        match self {
            When::Once { .. } | When::Undecided => matches!(kind, CampaignKind::OnceOff | CampaignKind::Quick),
            When::Daily => kind == CampaignKind::Daily,
            When::Recurring(_) => kind == CampaignKind::Recurring,
            When::Inbound => kind == CampaignKind::Inbound,
        }
    }

    /// For people, without the times.
    pub fn words(&self) -> String {
        match self {
            When::Once { date } => date.format("%-d %B %Y").to_string(),
            When::Undecided => "no day yet".to_owned(),
            When::Daily => "each day's file".to_owned(),
            When::Recurring(it) => it.rule.describe(),
            When::Inbound => "whenever somebody writes".to_owned(),
        }
    }
}

fn quoted(text: impl AsRef<str>) -> String {
    format!("“{}”", text.as_ref())
}

fn last_date(it: &Recurrence) -> String {
    it.last_date.map_or("none".to_owned(), |date| date.to_string())
}

impl Draft {
    /// What is another one in `new`, before and after, in words. Empty when nothing is.
    pub fn changes(&self, new: &Draft) -> String {
        let mut changes = Vec::new();
        let mut change = |what: &str, was: String, became: String| {
            if was != became {
                changes.push(format!("{what} {was} → {became}"));
            }
        };
        change("name", self.name.clone(), new.name.clone());
        change("channel", self.channel_id.to_string(), new.channel_id.to_string());
        change("text", quoted(&self.body), quoted(&new.body));
        let bot = |bot: &Option<Pinned>| match bot {
            Some(it) => format!("{} version {}", it.bot, it.version),
            None => "none".to_owned(),
        };
        change("bot", bot(&self.bot), bot(&new.bot));
        let template = |it: &Option<FilledTemplate>| match it {
            Some(it) => format!("{} in {}: {}", it.title, it.language, quoted(it.words())),
            None => "none".to_owned(),
        };
        change("approved text", template(&self.template), template(&new.template));
        change("day", self.when.words(), new.when.words());
        change("start", self.start.to_string(), new.start.to_string());
        change("end", self.end.to_string(), new.end.to_string());
        let rate = |rate: Rate| rate.fixed().map_or("automatic".to_owned(), |rate| format!("{rate} a minute"));
        change("rate", rate(self.rate), rate(new.rate));
        change("late start", self.late.word().to_owned(), new.late.word().to_owned());
        let group = |group: &Option<String>| group.as_deref().map_or("all".to_owned(), quoted);
        change("group", group(&self.group), group(&new.group));
        if let (When::Recurring(was), When::Recurring(became)) = (&self.when, &new.when) {
            change("last date", last_date(was), last_date(became));
            change("when missed", was.missed.word().to_owned(), became.missed.word().to_owned());
            change("when the run before goes on", was.overlap.word().to_owned(), became.overlap.word().to_owned());
        }
        change("rules", self.rules.words(), new.rules.words());
        changes.join(", ")
    }

    /// A plain one: once, to everybody, at a fixed rate that catches up.
    pub fn once(
        name: &str,
        channel_id: ChannelId,
        body: &str,
        date: NaiveDate,
        start: NaiveTime,
        end: NaiveTime,
        rate: f64,
    ) -> Draft {
        Draft {
            name: name.to_owned(),
            channel_id,
            body: body.to_owned(),
            bot: None,
            template: None,
            when: When::Once { date },
            start,
            end,
            rate: Rate::Fixed(rate),
            late: LatePolicy::CatchUp,
            group: None,
            rules: Rules::default(),
        }
    }

    /// On which days and from when to when, for people.
    pub fn hours(&self) -> String {
        let (days, end) = (self.when.words(), self.end.format("%H:%M"));
        match &self.when {
            // These rules name their time themselves.
            When::Recurring(_) => format!("{days}, until {end}"),
            When::Once { .. } | When::Undecided | When::Daily => {
                format!("{days}, {}–{end}", self.start.format("%H:%M"))
            }
            When::Inbound => days,
        }
    }

    /// The instants it runs between when it runs on `date`.
    pub fn window_on(&self, date: NaiveDate, zone: Tz) -> Result<Window, EmptyWindow> {
        pacing::window(date, self.start, self.end, zone)
    }

    /// The instants it runs between when it starts at `starts`: until the local clock
    /// next shows its end.
    pub fn window_from(&self, starts: DateTime<Utc>, zone: Tz) -> Window {
        Window { starts, ends: next_occurrence(self.end, zone, starts) }
    }

    /// The next time it would run, if it were launched at `now`; for one that waits for files, today.
    pub fn first_window(&self, zone: Tz, now: DateTime<Utc>) -> Result<Option<Window>, EmptyWindow> {
        match &self.when {
            When::Once { date } => self.window_on(*date, zone).map(Some),
            When::Daily => self.window_on(now.with_timezone(&zone).date_naive(), zone).map(Some),
            When::Recurring(it) => {
                Ok(it.rule.next(now, zone, it.last_date).map(|starts| self.window_from(starts, zone)))
            }
            When::Inbound | When::Undecided => Ok(None),
        }
    }

    /// Whether it may run again after the run it has.
    pub fn comes_round(&self, next_run_at: Option<DateTime<Utc>>) -> bool {
        match self.when {
            When::Once { .. } | When::Undecided => false,
            When::Daily | When::Inbound => true,
            When::Recurring(_) => next_run_at.is_some(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub id: ScheduleId,
    pub campaign_id: CampaignId,
    pub plan: Draft,
    pub state: ScheduleState,
    /// When the planner makes its next run; only of what recurs and is launched.
    pub next_run_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleState {
    Active,
    Paused { since: DateTime<Utc>, with: PausedWith },
    Stopped,
    Finished,
}

/// Whose pause it is, and so whose resume undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PausedWith {
    /// Paused by itself; resuming the campaign leaves it paused.
    Schedule,
    /// Paused together with its campaign.
    Campaign,
}

/// Why a schedule stayed as it was. The text is shown to the person.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("The schedule is already paused.")]
    AlreadyPaused,
    #[error("The schedule is not paused.")]
    NotPaused,
    #[error("The schedule was stopped; a stop is final. Duplicate the campaign to run it again.")]
    Stopped,
    #[error("The schedule has finished.")]
    Finished,
}

impl Reason for Refused {}

impl ScheduleState {
    /// The word in the database.
    pub fn word(&self) -> &'static str {
        match self {
            ScheduleState::Active => "active",
            ScheduleState::Paused { .. } => "paused",
            ScheduleState::Stopped => "stopped",
            ScheduleState::Finished => "finished",
        }
    }

    /// What a pause makes of it.
    pub fn paused(self, with: PausedWith, now: DateTime<Utc>) -> Result<ScheduleState, Refused> {
        match self {
            ScheduleState::Active => Ok(ScheduleState::Paused { since: now, with }),
            ScheduleState::Paused { .. } => Err(Refused::AlreadyPaused),
            ScheduleState::Stopped => Err(Refused::Stopped),
            ScheduleState::Finished => Err(Refused::Finished),
        }
    }

    /// Whether it goes on when its campaign, in this state, is resumed. One that was paused
    /// by itself stays so when its campaign goes on; but where the campaign never stood
    /// still, going on can only mean such schedules.
    pub fn goes_on_with(self, campaign: CampaignState) -> bool {
        match (campaign, self) {
            (CampaignState::Paused, ScheduleState::Paused { with, .. }) => with == PausedWith::Campaign,
            (CampaignState::Active, ScheduleState::Paused { .. }) => true,
            (_, ScheduleState::Active | ScheduleState::Stopped | ScheduleState::Finished) => false,
            (CampaignState::Draft | CampaignState::Stopped | CampaignState::Finished | CampaignState::Archived, _) => {
                false
            }
        }
    }

    /// What a stop makes of it.
    pub fn stopped(self) -> Result<ScheduleState, Refused> {
        match self {
            ScheduleState::Active | ScheduleState::Paused { .. } => Ok(ScheduleState::Stopped),
            ScheduleState::Stopped => Err(Refused::Stopped),
            ScheduleState::Finished => Err(Refused::Finished),
        }
    }
}

impl Schedule {
    pub fn pause(&mut self, with: PausedWith, now: DateTime<Utc>) -> Result<(), Refused> {
        self.state = self.state.paused(with, now)?;
        Ok(())
    }

    pub fn resume(&mut self) -> Result<(), Refused> {
        self.state = match self.state {
            ScheduleState::Paused { .. } => ScheduleState::Active,
            ScheduleState::Active => return Err(Refused::NotPaused),
            ScheduleState::Stopped => return Err(Refused::Stopped),
            ScheduleState::Finished => return Err(Refused::Finished),
        };
        Ok(())
    }

    pub fn stop(&mut self) -> Result<(), Refused> {
        self.state = self.state.stopped()?;
        Ok(())
    }

    /// Its run has ended, in time or out of it. What runs once is over then: paused
    /// or not, only more time helps. What comes round stays as it is for its next run.
    pub fn run_ended(&mut self) {
        self.state = match self.state {
            state @ (ScheduleState::Active | ScheduleState::Paused { .. }) if self.comes_round() => state,
            ScheduleState::Active | ScheduleState::Paused { .. } => ScheduleState::Finished,
            ScheduleState::Stopped | ScheduleState::Finished => self.state,
        };
    }

    /// Whether it may run again after the run it has.
    pub fn comes_round(&self) -> bool {
        self.plan.comes_round(self.next_run_at)
    }

    /// Goes on with more time, after a pause or after its run ran out of time.
    pub fn extend(&mut self) -> Result<(), Refused> {
        self.state = match self.state {
            ScheduleState::Paused { .. } | ScheduleState::Finished => ScheduleState::Active,
            ScheduleState::Active if self.comes_round() => ScheduleState::Active,
            ScheduleState::Active => return Err(Refused::NotPaused),
            ScheduleState::Stopped => return Err(Refused::Stopped),
        };
        Ok(())
    }
}

/// The instant at which the local clock shows `time` next.
pub fn next_occurrence(time: NaiveTime, zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    let at = pacing::instant(today, time, zone);
    if now < at { at } else { pacing::instant(today + TimeDelta::days(1), time, zone) }
}

/// The instant somebody means who sets the end of a run to the local time `end`.
///
/// On the day it ends now, or for a window that goes over midnight on the day
/// before; the day after only when the time would otherwise lie before the start.
/// A time that has just passed is taken as it is, to be refused: nobody means
/// tomorrow by it.
pub fn edited_end(window: &Window, end: NaiveTime, zone: Tz, now: DateTime<Utc>) -> DateTime<Utc> {
    let day = window.ends.with_timezone(&zone).date_naive();
    let on = |days: i64| pacing::instant(day + TimeDelta::days(days), end, zone);
    let possible = |at: &DateTime<Utc>| window.starts < *at && now < *at;
    match [on(-1), on(0)].into_iter().find(possible) {
        Some(at) => at,
        None if window.starts < on(0) => on(0),
        None => on(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_end_is_the_time_somebody_means() {
        let zone = chrono_tz::Europe::Dublin;
        let at = |text: &str| format!("2026-03-{text}:00Z").parse::<DateTime<Utc>>().unwrap();
        let time = |text: &str| format!("{text}:00").parse::<NaiveTime>().unwrap();
        let day = Window { starts: at("02T09:00"), ends: at("02T18:00") };
        let night = Window { starts: at("02T22:00"), ends: at("03T02:00") };
        let extended = Window { starts: at("01T09:00"), ends: at("02T12:00") };

        assert_eq!(edited_end(&day, time("17:00"), zone, at("02T10:00")), at("02T17:00"));
        assert_eq!(edited_end(&day, time("09:30"), zone, at("02T10:00")), at("02T09:30"), "passed: to be refused");
        assert_eq!(edited_end(&day, time("00:30"), zone, at("02T10:00")), at("03T00:30"));
        assert_eq!(edited_end(&day, time("17:00"), zone, at("01T10:00")), at("02T17:00"), "before its day");
        assert_eq!(edited_end(&night, time("23:30"), zone, at("02T22:10")), at("02T23:30"));
        assert_eq!(edited_end(&night, time("03:00"), zone, at("02T22:10")), at("03T03:00"));
        assert_eq!(edited_end(&extended, time("13:00"), zone, at("02T10:00")), at("02T13:00"));
    }

    #[test]
    fn the_next_occurrence_is_today_or_tomorrow() {
        let zone = chrono_tz::America::New_York;
        let noon: NaiveTime = "12:00:00".parse().unwrap();
        assert_eq!(
            next_occurrence(noon, zone, "2026-01-05T16:59:00Z".parse().unwrap()).to_rfc3339(),
            "2026-01-05T17:00:00+00:00"
        );
        assert_eq!(
            next_occurrence(noon, zone, "2026-01-05T17:00:00Z".parse().unwrap()).to_rfc3339(),
            "2026-01-06T17:00:00+00:00"
        );
    }

    fn now() -> DateTime<Utc> {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    fn in_each_state() -> [Schedule; 4] {
        let plan = Draft {
            name: "Dublin".into(),
            channel_id: ChannelId(1),
            body: "Hello".into(),
            bot: None,
            template: None,
            when: When::Once { date: now().date_naive() },
            start: "09:00:00".parse().unwrap(),
            end: "10:00:00".parse().unwrap(),
            rate: Rate::Fixed(10.0),
            late: LatePolicy::CatchUp,
            group: None,
            rules: Rules::default(),
        };
        [
            ScheduleState::Active,
            ScheduleState::Paused { since: now(), with: PausedWith::Schedule },
            ScheduleState::Stopped,
            ScheduleState::Finished,
        ]
        .map(|state| Schedule {
            id: ScheduleId(1),
            campaign_id: CampaignId(1),
            plan: plan.clone(),
            state,
            next_run_at: None,
        })
    }

    fn verdicts(verb: impl Fn(&mut Schedule) -> Result<(), Refused>) -> Vec<Result<&'static str, Refused>> {
        in_each_state().iter_mut().map(|it| verb(it).map(|()| it.state.word())).collect()
    }

    #[test]
    fn every_verb_accounts_for_every_state() {
        use Refused::*;
        // active, paused, stopped, finished
        assert_eq!(
            verdicts(|it| it.pause(PausedWith::Campaign, now())),
            [Ok("paused"), Err(AlreadyPaused), Err(Stopped), Err(Finished)]
        );
        assert_eq!(verdicts(Schedule::resume), [Err(NotPaused), Ok("active"), Err(Stopped), Err(Finished)]);
        assert_eq!(verdicts(Schedule::stop), [Ok("stopped"), Ok("stopped"), Err(Stopped), Err(Finished)]);
        assert_eq!(verdicts(Schedule::extend), [Err(NotPaused), Ok("active"), Err(Stopped), Ok("active")]);
        let ended = verdicts(|it| {
            it.run_ended();
            Ok(())
        });
        assert_eq!(ended, [Ok("finished"), Ok("finished"), Ok("stopped"), Ok("finished")]);
        let ended = verdicts(|it| {
            it.plan.when = When::Daily;
            it.run_ended();
            Ok(())
        });
        assert_eq!(ended, [Ok("active"), Ok("paused"), Ok("stopped"), Ok("finished")], "tomorrow it runs again");
    }
}
