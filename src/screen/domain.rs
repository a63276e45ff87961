//! What the Campaigns screen says about campaigns and their schedules. Nothing here asks or changes anything.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::campaigns::{Campaign, CampaignKind, CampaignState};
use crate::channels::incidents::Incident;
use crate::deliveries::Counts;
use crate::ids::{CampaignId, PauseAllId};
use crate::pacing::{self, Calendar, Forecast, Holds, Rate, SendClock};
use crate::providers::Kind;
use crate::runs::{Run, RunClock, RunState};
use crate::schedules::{PausedWith, Schedule, ScheduleState, When};
use crate::web::chart::thousands;
use crate::web::version_of;

/// A campaign with its schedules.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    pub campaign: Campaign,
    pub lines: Vec<ScheduleLine>,
    /// Of campaigns with bots.
    pub talks: Talks,
    /// Of a draft: it launches by itself when its file is imported.
    pub launches: bool,
    /// Of a daily campaign the last day on which no file came, if none has come since.
    pub missed: Option<NaiveDate>,
    /// Of one that is paused as a whole.
    pub paused_by: Option<PausedBy>,
}

/// Who paused it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedBy {
    pub who: String,
    pub at: DateTime<Utc>,
}

/// A PAUSE of everything that can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedAll {
    pub id: PauseAllId,
    pub by: PausedBy,
    /// Campaigns that it still holds.
    pub n: i64,
}

/// Conversations are counted no further on the screen.
pub const COUNTED: i64 = 1000;

/// Conversations of a campaign that are open; counted no further than [`COUNTED`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Talks {
    pub open: i64,
    /// For a human.
    pub waiting: i64,
    /// A bot has one of them.
    pub with_bot: bool,
}

/// An earlier run of a schedule that has not ended: it was extended into the time of the next.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierRun {
    pub run: Run,
    /// When it may not send.
    pub holds: Holds,
    pub counts: Counts,
}

/// A schedule with its newest run, if it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleLine {
    pub schedule: Schedule,
    pub run: Option<Run>,
    /// When the run may not send.
    pub holds: Holds,
    pub counts: Counts,
    /// Runs before it that have not ended, newest first.
    pub earlier: Vec<EarlierRun>,
    /// Of one that was paused by itself.
    pub paused_by: Option<PausedBy>,
    /// Name of its channel.
    pub channel: String,
    /// Kind of its channel, as stored.
    pub kind: String,
    /// What its bot is called.
    pub bot: Option<String>,
    /// Of one in which the contact writes first: the campaign that meets them on its channel now.
    pub met_by: Option<(CampaignId, String)>,
    /// Until when the others wait for receipts of the first, while they do.
    pub waits_until: Option<DateTime<Utc>>,
    /// What keeps its channel from sending.
    pub trouble: Option<Incident>,
    /// Why its approved text cannot be sent.
    pub text_refused: Option<String>,
    /// Name of the schedule whose unreached people it goes to.
    pub follows: Option<String>,
}

/// How things stand, in one word for the badge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CampaignStanding {
    Draft,
    Waiting {
        starts: DateTime<Utc>,
    },
    /// Between two runs. `next`: when it runs again by itself; `None` when a file has to come first.
    Scheduled {
        next: Option<DateTime<Utc>>,
    },
    Live,
    Paused,
    Finished,
    Overrun,
    Stopped,
}

impl CampaignStanding {
    /// Names the picture and the colour.
    pub fn badge(&self) -> &'static str {
        match self {
            CampaignStanding::Draft => "draft",
            CampaignStanding::Waiting { .. } | CampaignStanding::Scheduled { .. } => "waiting",
            CampaignStanding::Live => "live",
            CampaignStanding::Paused => "paused",
            CampaignStanding::Finished => "finished",
            CampaignStanding::Overrun => "overrun",
            CampaignStanding::Stopped => "stopped",
        }
    }
}

impl CampaignStanding {
    /// The word on the screen.
    pub fn word(&self) -> &'static str {
        match self {
            CampaignStanding::Draft => "Draft",
            CampaignStanding::Waiting { .. } => "Waiting",
            CampaignStanding::Scheduled { .. } => "Scheduled",
            CampaignStanding::Live => "Live",
            CampaignStanding::Paused => "Paused",
            CampaignStanding::Finished => "Finished",
            CampaignStanding::Overrun => "Overrun",
            CampaignStanding::Stopped => "Stopped",
        }
    }
}

/// How a campaign stands. It is live only while one of its runs is running.
pub fn standing<'a>(state: CampaignState, runs: impl Iterator<Item = &'a Run> + Clone) -> CampaignStanding {
    let any = |is: fn(&RunState) -> bool| runs.clone().any(|run| is(&run.state));
    let ended = || match any(|state| matches!(state, RunState::Overrun { .. })) {
        true => CampaignStanding::Overrun,
        false => CampaignStanding::Finished,
    };
    match state {
        CampaignState::Draft => CampaignStanding::Draft,
        CampaignState::Paused => CampaignStanding::Paused,
        CampaignState::Stopped => CampaignStanding::Stopped,
        CampaignState::Finished | CampaignState::Archived => ended(),
        CampaignState::Active if any(|state| *state == RunState::Running) => CampaignStanding::Live,
        CampaignState::Active => {
            let waiting = runs.clone().filter(|run| run.state == RunState::Waiting).map(|run| run.window.starts);
            match waiting.min() {
                Some(starts) => CampaignStanding::Waiting { starts },
                None if any(|state| matches!(state, RunState::Paused { .. })) => CampaignStanding::Paused,
                None => ended(),
            }
        }
    }
}

/// What is expected of a run, in words beside its bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook {
    /// Nothing to say: no run, or it has ended.
    None,
    Starts(DateTime<Utc>),
    Done(DateTime<Utc>),
    Ends(DateTime<Utc>),
    WouldOverrun(i64),
}

/// What will leave if the run goes on at `now`; for one that is paused, if it is resumed then.
pub fn forecast(run: &Run, holds: &Holds, now: DateTime<Utc>) -> Option<Forecast> {
    let unclaimed = i64::from(run.unclaimed());
    let afresh = || {
        let begins = now.max(run.window.starts);
        pacing::start(&run.window, run.rate(), run.late, unclaimed, holds, begins).clock
    };
    let clock: SendClock = match (run.state, run.clock) {
        (RunState::Waiting, _) => afresh(),
        (RunState::Paused { .. }, RunClock::Unstarted { .. }) => afresh(),
        (RunState::Running, RunClock::Started(clock)) => {
            pacing::allowance(clock.past(holds, now), run.released, 0, run.burst, now).1
        }
        (RunState::Paused { since }, RunClock::Started(clock)) => clock.resumed(since, now, holds),
        (RunState::Running, RunClock::Unstarted { .. }) => return None,
        (RunState::Completed { .. } | RunState::Overrun { .. } | RunState::Stopped { .. }, _) => return None,
    };
    Some(pacing::forecast(&clock, run.released, run.released + unclaimed, holds, now, run.window.ends.max(now)))
}

/// How a field of date and time is filled in.
pub const ENTERED: &str = "%Y-%m-%dT%H:%M";
/// An end is looked for no further ahead.
const AHEAD: TimeDelta = TimeDelta::days(30);

/// When all contacts of a run that is paused, or ran out of time, would be through if it went on
/// at `now` with the rate it had; on the next whole five minutes.
pub fn all_through(run: &Run, calendar: &Calendar, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (ends, mut run) = (now + AHEAD, run.clone());
    let holds = run.holds_until(calendar, ends);
    run.extend(ends, &holds, now).ok()?;
    let done = forecast(&run, &holds, now)?.finishes?;
    DateTime::from_timestamp((done.timestamp() / 300 + 1) * 300, 0)
}

/// What becomes of a run that has just been changed, in words, before that is done.
pub fn would_mean(run: &Run, holds: &Holds, zone: Tz, now: DateTime<Utc>) -> String {
    let when = |at: DateTime<Utc>| moment(at, zone, now).words;
    let minutes = (run.window.ends - now).num_minutes();
    let ahead = match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    let mut words = format!("Ends {}, in {ahead}.", when(run.window.ends));
    match forecast(run, holds, now) {
        Some(Forecast { finishes: Some(at), planned, .. }) => {
            words += &format!(" All {} that wait are through at {}.", thousands(planned), when(at));
        }
        Some(Forecast { unsent, .. }) if unsent > 0 => {
            words += &format!(" {} would be left unsent.", thousands(unsent));
        }
        _ => {}
    }
    words
}

/// What is expected of several runs together: the worst of each. Of one that is
/// paused only its end is known, and what is too late even if it went on now.
pub fn outlook<'a>(runs: impl Iterator<Item = (&'a Run, &'a Holds)>, now: DateTime<Utc>) -> Outlook {
    expect(runs, now, false)
}

/// The same, if what is paused were resumed at `now`.
pub fn if_resumed<'a>(runs: impl Iterator<Item = (&'a Run, &'a Holds)>, now: DateTime<Utc>) -> Outlook {
    expect(runs, now, true)
}

fn expect<'a>(runs: impl Iterator<Item = (&'a Run, &'a Holds)>, now: DateTime<Utc>, resumed: bool) -> Outlook {
    let (mut unsent, mut done, mut ends, mut starts) = (0, None, None, None::<DateTime<Utc>>);
    let mut all_wait = true;
    for (run, holds) in runs {
        all_wait &= run.state == RunState::Waiting && now < run.window.starts;
        starts = starts.into_iter().chain([run.window.starts]).min();
        let Some(forecast) = forecast(run, holds, now) else { continue };
        unsent += forecast.unsent;
        if resumed || !matches!(run.state, RunState::Paused { .. }) {
            done = done.max(forecast.finishes);
        }
        ends = ends.max(Some(run.window.ends));
    }
    match (unsent, done, ends) {
        (1.., ..) => Outlook::WouldOverrun(unsent),
        (_, Some(_), _) if all_wait => starts.map_or(Outlook::None, Outlook::Starts),
        (_, Some(done), _) => Outlook::Done(done),
        (_, None, Some(ends)) => Outlook::Ends(ends),
        (_, None, None) => Outlook::None,
    }
}

impl Sheet {
    /// The same of the first of its schedules.
    pub fn trouble_now(&self) -> Option<String> {
        self.lines.iter().find_map(ScheduleLine::trouble_now)
    }

    pub fn runs(&self) -> impl Iterator<Item = &Run> + Clone {
        self.lines.iter().flat_map(ScheduleLine::runs).map(|(run, _)| run)
    }

    /// What the badge says: that of a pause while something is still on the wire, it is not one yet.
    pub fn word(&self) -> &'static str {
        going_still(self.standing(), &self.counts())
    }

    /// Of several schedules some stand still while the campaign goes on: `1 of 3 paused`.
    pub fn held_back(&self) -> Option<String> {
        let there = || self.lines.iter().filter(|line| line.schedule.state.stopped().is_ok());
        let paused = there().filter(|line| matches!(line.schedule.state, ScheduleState::Paused { .. })).count();
        let goes_on = self.campaign.state == CampaignState::Active && self.standing() != CampaignStanding::Paused;
        (goes_on && paused > 0).then(|| format!("{paused} of {} paused", there().count()))
    }

    /// What its launch has led to, as things are; nothing once that is past.
    pub fn launched(&self, now: DateTime<Utc>) -> Option<String> {
        let when = |at: DateTime<Utc>| moment(at, self.campaign.zone, now).words;
        let says = match self.standing() {
            CampaignStanding::Waiting { starts } => format!("It starts {}", when(starts)),
            CampaignStanding::Live if self.is_inbound() => "It meets who writes first".to_owned(),
            CampaignStanding::Live => "It has begun".to_owned(),
            CampaignStanding::Scheduled { next: Some(next) } => format!("It starts {}", when(next)),
            CampaignStanding::Scheduled { next: None } => "It waits for its file".to_owned(),
            CampaignStanding::Draft
            | CampaignStanding::Paused
            | CampaignStanding::Finished
            | CampaignStanding::Overrun
            | CampaignStanding::Stopped => return None,
        };
        Some(match self.counts().audience {
            0 => format!("Launched. {says}."),
            1 => format!("Launched. {says}, with 1 contact."),
            n => format!("Launched. {says}, with {} contacts.", thousands(n)),
        })
    }

    /// Who paused what stands still: the campaign, or the last of its schedules.
    pub fn who_paused(&self) -> Option<&PausedBy> {
        let last = || self.lines.iter().filter_map(|line| line.paused_by.as_ref()).max_by_key(|it| it.at);
        self.paused_by.as_ref().or_else(last).filter(|_| self.standing() == CampaignStanding::Paused)
    }

    pub fn standing(&self) -> CampaignStanding {
        let going_on = self.runs().any(|run| !run.state.has_ended());
        let mut coming = self.lines.iter().filter(|line| line.comes_round()).peekable();
        if self.campaign.state != CampaignState::Active || going_on || coming.peek().is_none() {
            return match standing(self.campaign.state, self.runs()) {
                // Its runs are over, and its bots still talk.
                CampaignStanding::Finished if self.campaign.state == CampaignState::Active && self.talks.with_bot => {
                    CampaignStanding::Live
                }
                standing => standing,
            };
        }
        let active = |line: &&ScheduleLine| line.schedule.state == ScheduleState::Active;
        let mut active = coming.filter(active).peekable();
        match active.peek() {
            Some(_) if self.is_inbound() => CampaignStanding::Live,
            Some(_) => CampaignStanding::Scheduled { next: active.filter_map(|line| line.schedule.next_run_at).min() },
            None => CampaignStanding::Paused,
        }
    }

    pub fn is_inbound(&self) -> bool {
        self.campaign.kind == CampaignKind::Inbound
    }

    /// Whether a bot of it is there for contacts, or could have been.
    pub fn has_bot(&self) -> bool {
        self.lines.iter().any(|line| line.bot.is_some())
    }

    /// Whether STOP would work: also on one that has finished, while its bots still talk, and
    /// on a draft that would launch by itself.
    pub fn can_stop(&self) -> bool {
        self.launches || self.campaign.state.stop_with(self.talks.with_bot).is_ok()
    }

    /// Of an inbound campaign: on which channels it meets who writes first, and who else does.
    pub fn reach(&self) -> Vec<String> {
        let reach = |line: &ScheduleLine| line.reach(&self.campaign).map(|reach| reach.words(&line.channel));
        self.lines.iter().filter_map(reach).collect()
    }

    pub fn counts(&self) -> Counts {
        self.lines.iter().map(ScheduleLine::all_counts).fold(Counts::default(), |sum, counts| sum + counts)
    }

    pub fn outlook(&self, now: DateTime<Utc>) -> Outlook {
        match self.standing() {
            CampaignStanding::Scheduled { next: Some(next) } => Outlook::Starts(next),
            _ => outlook(self.lines.iter().flat_map(ScheduleLine::runs), now),
        }
    }

    /// Changes whenever a button or a badge of the campaign or one of its schedules would.
    pub fn signature(&self) -> String {
        let mut words = vec![self.campaign.state.word().to_owned()];
        words.extend(self.lines.iter().map(|line| line.signature(&self.campaign)));
        words.push(format!("{} {} {:?}", self.standing().badge(), self.word(), self.who_paused()));
        words.extend(self.missed.map(|day| day.to_string()));
        words.extend(self.reach());
        words.push(self.can_stop().to_string());
        version_of(&words.join(" "))
    }

    /// `SMS`, or several of them.
    pub fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = self.lines.iter().map(|line| kind_name(&line.kind)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.join(", ")
    }
}

/// The word for how something stands, as long as nothing is on the wire; what it becomes until then.
pub fn going_still(standing: CampaignStanding, counts: &Counts) -> &'static str {
    match standing {
        CampaignStanding::Paused if counts.in_flight() > 0 => "Pausing",
        CampaignStanding::Stopped if counts.in_flight() > 0 => "Stopping",
        standing => standing.word(),
    }
}

/// What a pause comes to where bots talk: what has begun goes on.
pub const BEGINS_NOTHING: &str = "Paused. Nothing more begins; bots still answer in conversations that have begun.";
pub const MEETS_NOBODY: &str =
    "Paused. It meets nobody who writes first; bots still answer in conversations that have begun.";

impl Talks {
    /// For people; nothing where there was never anything to count.
    pub fn words(&self) -> String {
        let n = |n: i64| if COUNTED <= n { format!("{}+", thousands(n)) } else { thousands(n) };
        let open = format!("{} open conversation{}", n(self.open), if self.open == 1 { "" } else { "s" });
        match self.waiting {
            0 => open,
            waiting => format!("{open}, {} waiting for a human", n(waiting)),
        }
    }
}

/// Who meets those who write first on the channel of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    Current,
    /// Another campaign, by name.
    Taken(String),
}

impl Reach {
    /// Where the channel is named beside it.
    pub fn short(&self) -> String {
        match self {
            Reach::Current => "current".to_owned(),
            Reach::Taken(by) => format!("met by {by} now"),
        }
    }

    pub fn words(&self, channel: &str) -> String {
        match self {
            Reach::Current => format!("current on {channel}"),
            Reach::Taken(by) => format!("{channel} is met by {by} now"),
        }
    }
}

impl ScheduleLine {
    /// Why nothing leaves, in words: its channel cannot send, its text is not approved now, or another schedule has to
    /// end before.
    pub fn trouble_now(&self) -> Option<String> {
        if let (Some(before), Some(run)) = (&self.follows, &self.run)
            && run.state == RunState::Waiting
            && !run.prepared
        {
            return Some(format!(
                "{} begins when it is known whom “{before}” could not reach.",
                self.schedule.plan.name
            ));
        }
        let is_sending = self.run.as_ref().is_some_and(|run| run.state == RunState::Running);
        if let Some(why) = self.text_refused.as_ref().filter(|_| is_sending) {
            return Some(format!("{} waits. {why}", self.schedule.plan.name));
        }
        let incident = self.trouble.as_ref().filter(|_| is_sending)?;
        Some(format!("{} waits: {} ({})", self.channel, incident.trouble.label(), incident.code))
    }

    /// `None` when nobody does, and for what is no inbound schedule or meets nobody any more.
    pub fn reach(&self, campaign: &Campaign) -> Option<Reach> {
        let over = match campaign.state {
            CampaignState::Draft | CampaignState::Active | CampaignState::Paused => false,
            CampaignState::Stopped | CampaignState::Finished | CampaignState::Archived => true,
        };
        let (id, name) = self.met_by.as_ref().filter(|_| !over && self.schedule.state.stopped().is_ok())?;
        Some(if *id == campaign.id { Reach::Current } else { Reach::Taken(name.clone()) })
    }

    /// Whether the contact writes first.
    pub fn is_inbound(&self) -> bool {
        self.schedule.plan.when == When::Inbound
    }

    /// What it sends, unless that is a text: `Offer v3`.
    pub fn bot_words(&self) -> Option<String> {
        let (name, pinned) = self.bot.as_ref().zip(self.schedule.plan.bot)?;
        Some(format!("{name} v{}", pinned.version))
    }

    /// On which days and from when to when, for people.
    pub fn hours(&self, campaign: &Campaign) -> String {
        let hours = self.schedule.plan.hours();
        match &campaign.inbound {
            Some(plan) => format!("{hours}, {}", plan.hours()),
            None => hours,
        }
    }

    pub fn standing(&self, campaign: &Campaign) -> CampaignStanding {
        match (self.schedule.state, &self.run) {
            (_, None) if campaign.state == CampaignState::Draft => CampaignStanding::Draft,
            (ScheduleState::Stopped, _) => CampaignStanding::Stopped,
            (ScheduleState::Paused { .. }, _) if self.comes_round() => CampaignStanding::Paused,
            (_, Some(Run { state: RunState::Overrun { .. }, .. })) => CampaignStanding::Overrun,
            (ScheduleState::Paused { .. }, _) => CampaignStanding::Paused,
            (ScheduleState::Finished, _) => CampaignStanding::Finished,
            (ScheduleState::Active, Some(run)) if run.state.has_ended() && self.comes_round() => {
                match self.earlier.first() {
                    Some(earlier) => standing(CampaignState::Active, std::iter::once(&earlier.run)),
                    None => CampaignStanding::Scheduled { next: self.schedule.next_run_at },
                }
            }
            (ScheduleState::Active, Some(run)) => standing(CampaignState::Active, std::iter::once(run)),
            (ScheduleState::Active, None) if self.is_inbound() => match campaign.state {
                CampaignState::Active => CampaignStanding::Live,
                CampaignState::Paused => CampaignStanding::Paused,
                CampaignState::Draft => CampaignStanding::Draft,
                CampaignState::Stopped | CampaignState::Finished | CampaignState::Archived => CampaignStanding::Stopped,
            },
            (ScheduleState::Active, None) => CampaignStanding::Scheduled { next: self.schedule.next_run_at },
        }
    }

    /// Whether it runs again after the run it has.
    pub fn comes_round(&self) -> bool {
        self.schedule.comes_round()
    }

    /// Its run, unless that is over and another comes.
    pub fn current_run(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| !(run.state.has_ended() && self.comes_round()))
    }

    /// All its runs that are shown, newest first, and when each may not send.
    pub fn runs(&self) -> impl Iterator<Item = (&Run, &Holds)> + Clone {
        self.with_holds().into_iter().chain(self.earlier.iter().map(|it| (&it.run, &it.holds)))
    }

    /// The counts of all these.
    pub fn all_counts(&self) -> Counts {
        self.earlier.iter().fold(self.counts, |sum, it| sum + it.counts)
    }

    /// What the badge says.
    pub fn word(&self, campaign: &Campaign) -> &'static str {
        going_still(self.standing(campaign), &self.all_counts())
    }

    /// What is expected of its newest run, in words beside its bar.
    pub fn outlook(&self, now: DateTime<Utc>) -> Outlook {
        match (self.current_run(), self.schedule.next_run_at) {
            (None, Some(next)) if self.schedule.state == ScheduleState::Active => Outlook::Starts(next),
            _ => outlook(self.with_holds().into_iter(), now),
        }
    }

    /// Its run, and when that may not send.
    pub fn with_holds(&self) -> Option<(&Run, &Holds)> {
        self.run.as_ref().map(|run| (run, &self.holds))
    }

    /// Changes whenever a button or the badge of the schedule would.
    pub fn signature(&self, campaign: &Campaign) -> String {
        let run = self.run.as_ref();
        version_of(&format!(
            "{} {} {} {} {:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?}",
            self.schedule.id,
            campaign.state.word(),
            self.schedule.state.word(),
            run.map_or("", |run| run.state.word()),
            run.map(|run| run.window.ends),
            run.map(|run| run.clock.rate()),
            run.map(|run| (run.id, run.canary_left(), self.waits_until)),
            self.bot_words(),
            self.reach(campaign),
            self.hours(campaign),
            self.word(campaign),
            self.paused_by,
            self.earlier.iter().map(|it| (it.run.id, it.run.state, it.run.window.ends)).collect::<Vec<_>>(),
        ))
    }

    /// Whether PAUSE would work.
    pub fn can_pause(&self, campaign: &Campaign) -> bool {
        campaign.state == CampaignState::Active && self.schedule.state == ScheduleState::Active
    }

    /// Whether there is something to resume, be it with more time.
    pub fn can_resume(&self) -> bool {
        if self.comes_round() && matches!(self.schedule.state, ScheduleState::Paused { .. }) {
            return true;
        }
        self.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Paused { .. } | RunState::Overrun { .. }))
            && self.schedule.state != ScheduleState::Stopped
    }

    pub fn can_stop(&self, campaign: &Campaign) -> bool {
        matches!(campaign.state, CampaignState::Active | CampaignState::Paused) && self.schedule.state.stopped().is_ok()
    }

    /// Whether its run, or those to come, can still get another rate or end.
    pub fn can_edit(&self) -> bool {
        if self.is_inbound() {
            return false;
        }
        let goes_on = self.run.as_ref().is_some_and(|run| !run.state.has_ended());
        goes_on || (self.comes_round() && self.schedule.state.stopped().is_ok())
    }

    /// Whether only more time lets it go on.
    pub fn needs_more_time(&self, now: DateTime<Utc>) -> bool {
        if self.comes_round() && self.run.as_ref().is_none_or(|run| run.state.has_ended()) {
            return false;
        }
        self.run.as_ref().is_some_and(|run| run.window.ends <= now || matches!(run.state, RunState::Overrun { .. }))
    }

    /// The end as it is, for a field of date and time; of what has no run now, for one of time.
    pub fn end_typed(&self, zone: &Tz) -> String {
        match self.current_run() {
            Some(run) => run.window.ends.with_timezone(zone).format(ENTERED).to_string(),
            None => self.schedule.plan.end.format("%H:%M").to_string(),
        }
    }

    pub fn paused_with_campaign(&self) -> bool {
        matches!(self.schedule.state, ScheduleState::Paused { with: PausedWith::Campaign, .. })
    }

    /// What PAUSE or STOP came to, once the wire is quiet.
    pub fn stillness(&self) -> Option<&'static str> {
        match self.schedule.state {
            ScheduleState::Paused { .. } if self.is_inbound() => Some(MEETS_NOBODY),
            ScheduleState::Paused { .. } if self.bot.is_some() => Some(BEGINS_NOTHING),
            ScheduleState::Paused { .. } => Some("Paused. Nothing more will leave."),
            ScheduleState::Stopped => Some("Stopped. Nothing more will leave."),
            ScheduleState::Active | ScheduleState::Finished => None,
        }
    }

    /// `120 / min`, or how an automatic rate came out.
    pub fn rate_words(&self) -> String {
        let short = |rate: f64| format!("{} / min", (rate * 100.0).round() / 100.0);
        match (&self.run, self.schedule.plan.rate) {
            (Some(run), _) if run.auto => match run.clock {
                // Found by reckoning: hundredths of it mean nothing to anybody.
                RunClock::Started(clock) if clock.rate >= 10.0 => format!("auto, {}", short(clock.rate.round())),
                RunClock::Started(clock) => format!("auto, {}", short(clock.rate)),
                RunClock::Unstarted { .. } => "auto".to_owned(),
            },
            (Some(run), _) if !run.state.has_ended() => short(run.clock.rate()),
            (_, Rate::Fixed(rate)) => short(rate),
            (_, Rate::Auto) => "auto".to_owned(),
        }
    }

    /// For the form that changes it; empty when it is automatic.
    pub fn rate_typed(&self) -> String {
        let fixed = match &self.run {
            Some(run) if !run.state.has_ended() => (!run.auto).then_some(run.clock.rate()),
            Some(_) | None => self.schedule.plan.rate.fixed(),
        };
        fixed.map(|rate| rate.to_string()).unwrap_or_default()
    }

    pub fn kind_name(&self) -> &str {
        kind_name(&self.kind)
    }
}

fn kind_name(kind: &str) -> &str {
    match Kind::of_word(kind) {
        Some(kind) => kind.label(),
        None => kind,
    }
}

/// An instant as people of the campaign's zone read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub datetime: String,
    /// `16:42 GMT`, with the date unless that is today's.
    pub words: String,
}

pub fn moment(at: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> Moment {
    let local = at.with_timezone(&zone);
    let here = now.with_timezone(&zone);
    let words = match (local.date_naive() == here.date_naive(), local.year() == here.year()) {
        (true, _) => local.format("%H:%M %Z"),
        (false, true) => local.format("%-d %b %H:%M %Z"),
        (false, false) => local.format("%-d %b %Y %H:%M %Z"),
    };
    Moment { datetime: local.to_rfc3339(), words: words.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CampaignId, ChannelId, FileId, RunId, ScheduleId};
    use crate::pacing::{LatePolicy, Window};
    use crate::schedules::{Draft, Rules};

    const NONE: Holds = Holds::none();

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-03-02T{time}:00Z").parse().unwrap()
    }

    fn run(state: RunState) -> Run {
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
            window: Window { starts: at("09:00"), ends: at("10:00") },
            late: LatePolicy::CatchUp,
            state,
            prepared: true,
            next_seq: 1,
            last_seq: 100,
            passed_over: 0,
            clock: RunClock::Unstarted { rate: 10.0 },
            released: 0,
            burst: 0,
        }
    }

    fn paused_at(since: &str) -> Run {
        let clock = RunClock::Started(SendClock { rate: 10.0, base: 1.0, since: at("09:00") });
        Run { clock, next_seq: 31, released: 30, ..run(RunState::Paused { since: at(since) }) }
    }

    #[test]
    fn a_rate_that_was_reckoned_is_a_round_figure_and_a_chosen_one_stays_as_it_was_typed() {
        let words = |auto: bool, rate: f64| {
            let clock = RunClock::Started(SendClock { rate, base: 1.0, since: at("09:00") });
            let time = |text: &str| text.parse().unwrap();
            let (start, end) = (time("09:00:00"), time("10:00:00"));
            let plan = Draft::once("Main", ChannelId(1), "Hello", at("09:00").date_naive(), start, end, 10.0);
            let (id, campaign_id) = (ScheduleId(1), CampaignId(1));
            let line = ScheduleLine {
                schedule: Schedule { id, campaign_id, plan, state: ScheduleState::Active, next_run_at: None },
                run: Some(Run { auto, clock, ..run(RunState::Running) }),
                holds: Holds::none(),
                counts: Counts::default(),
                earlier: Vec::new(),
                paused_by: None,
                channel: "SMS".to_owned(),
                kind: "sms".to_owned(),
                bot: None,
                met_by: None,
                waits_until: None,
                trouble: None,
                text_refused: None,
                follows: None,
            };
            line.rate_words()
        };
        assert_eq!(words(true, 148.96), "auto, 149 / min");
        assert_eq!(words(true, 1.234), "auto, 1.23 / min");
        assert_eq!(words(false, 148.96), "148.96 / min");
    }

    #[test]
    fn a_campaign_is_live_only_while_a_run_is_running() {
        let stands = |state, runs: &[Run]| standing(state, runs.iter()).badge();
        let (waiting, running) = (run(RunState::Waiting), run(RunState::Running));
        let (overrun, completed) =
            (run(RunState::Overrun { at: at("10:00") }), run(RunState::Completed { at: at("09:50") }));

        assert_eq!(stands(CampaignState::Draft, &[]), "draft");
        assert_eq!(stands(CampaignState::Active, std::slice::from_ref(&waiting)), "waiting");
        assert_eq!(stands(CampaignState::Active, &[waiting.clone(), running.clone()]), "live");
        assert_eq!(stands(CampaignState::Active, &[paused_at("09:03")]), "paused");
        assert_eq!(stands(CampaignState::Active, std::slice::from_ref(&completed)), "finished");
        assert_eq!(stands(CampaignState::Paused, std::slice::from_ref(&running)), "paused");
        assert_eq!(stands(CampaignState::Finished, &[completed.clone(), overrun.clone()]), "overrun");
        assert_eq!(stands(CampaignState::Finished, &[completed]), "finished");
        assert_eq!(stands(CampaignState::Stopped, &[overrun]), "stopped");
    }

    #[test]
    fn the_outlook_of_a_paused_run_is_what_resuming_now_would_bring() {
        assert_eq!(outlook([(&paused_at("09:03"), &NONE)].into_iter(), at("09:13")), Outlook::Ends(at("10:00")));
        let finish = |now| if_resumed([(&paused_at("09:03"), &NONE)].into_iter(), at(now));
        let Outlook::Done(done) = finish("09:13") else { panic!("{:?}", finish("09:13")) };
        assert_eq!(done.format("%H:%M").to_string(), "09:19");
        assert!(matches!(finish("09:57"), Outlook::WouldOverrun(n) if (39..=41).contains(&n)), "{:?}", finish("09:57"));
    }

    #[test]
    fn what_a_change_would_mean_is_said_in_full() {
        let ends = |at: &str| Window {
            ends: format!("2026-03-02T{at}:00Z").parse().unwrap(),
            ..run(RunState::Running).window
        };
        let says = |at: &str| {
            would_mean(&Run { window: ends(at), ..paused_at("09:03") }, &NONE, chrono_tz::UTC, self::at("09:13"))
        };
        assert_eq!(says("11:00"), "Ends 11:00 UTC, in 1 h 47 min. All 70 that wait are through at 09:19 UTC.");
        assert!(
            says("09:15").starts_with("Ends 09:15 UTC, in 2 min. ")
                && says("09:15").ends_with(" would be left unsent.")
        );
    }

    #[test]
    fn nothing_is_expected_of_what_has_ended() {
        assert_eq!(
            outlook([(&run(RunState::Stopped { at: at("09:10") }), &NONE)].into_iter(), at("09:20")),
            Outlook::None
        );
    }

    #[test]
    fn moments_name_their_zone_and_the_day_when_it_is_another() {
        let words = |now: &str| moment(at("23:30"), chrono_tz::Europe::Berlin, now.parse().unwrap()).words;
        assert_eq!(words("2026-03-02T10:00:00Z"), "3 Mar 00:30 CET");
        assert_eq!(words("2026-03-03T10:00:00Z"), "00:30 CET");
    }
}
