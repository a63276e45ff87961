//! The pieces of the screen, each of them also an answer of its own.

use std::borrow::Borrow;

use askama::Template;
use chrono::{DateTime, Utc};

use super::super::screen::{self, Line, Moment, Outlook, Sheet, Standing};
use super::super::store::{Happened, Show};
use super::super::{Campaign, CampaignState};
use super::validity::{UNITS, ValidityForm};
use crate::deliveries::Counts;
use crate::deliveries::quiet::Wire;
use crate::ids::RunId;
use crate::schedules::ScheduleState;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Manage, Operate, Person, Right, Role};

/// Bar, numbers and outlook. It holds no button and nothing about a contact, so
/// the same text goes to everybody who looks.
#[derive(Template)]
#[template(path = "campaigns/_progress.html")]
pub struct Progress {
    pub id: String,
    pub counts: Counts,
    /// Whose ledger the numbers lead to; `None` when there are several.
    pub run: Option<RunId>,
    pub outlook: Outlook,
    /// Conversations, where bots talk.
    pub talks: Option<String>,
    pub now: DateTime<Utc>,
    pub zone: chrono_tz::Tz,
    /// Whether each number is shown with its name.
    pub in_full: bool,
}

pub struct CampaignProgress;
pub struct ScheduleProgress;

impl CampaignProgress {
    pub fn of(sheet: &Sheet, now: DateTime<Utc>) -> Progress {
        let mut runs = sheet.runs();
        let run = runs.next().map(|run| run.id).filter(|_| runs.next().is_none());
        Progress {
            id: format!("campaign-{}-progress", sheet.campaign.id),
            counts: sheet.counts(),
            run,
            outlook: sheet.outlook(now),
            talks: sheet
                .has_bot()
                .then_some(sheet.talks)
                .filter(|it| sheet.is_inbound() || 0 < it.open)
                .map(|it| it.words()),
            now,
            zone: sheet.campaign.zone,
            in_full: false,
        }
    }
}

impl ScheduleProgress {
    pub fn of(line: &Line, campaign: &Campaign, now: DateTime<Utc>) -> Progress {
        Progress {
            id: format!("schedule-{}-progress", line.schedule.id),
            counts: line.counts,
            run: line.run.as_ref().map(|run| run.id),
            outlook: line.outlook(now),
            talks: None,
            now,
            zone: campaign.zone,
            in_full: true,
        }
    }
}

impl Progress {
    fn part(&self, n: impl Borrow<i64>) -> f64 {
        let n = *n.borrow();
        if self.counts.audience == 0 { 0.0 } else { (n as f64 * 1000.0 / self.counts.audience as f64).round() / 10.0 }
    }

    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        screen::moment(*at.borrow(), self.zone, self.now)
    }

    /// Numbers worth a link, by the word that the ledger knows them under.
    fn numbers(&self) -> Vec<(&'static str, &'static str, i64)> {
        let c = &self.counts;
        let all = [
            ("sent", "sent", c.sent()),
            ("failed", "failed", c.failed),
            ("skipped", "skipped", c.skipped),
            ("unconfirmed", "unconfirmed", c.unconfirmed),
            ("in-flight", "in flight", c.in_flight()),
            ("unsent", "unsent", c.unsent()),
        ];
        all.into_iter().filter(|(word, _, n)| *n > 0 || *word == "sent").collect()
    }
}

/// What this person may press.
#[derive(Clone, Copy, Debug)]
pub struct Rights {
    pub operate: bool,
    pub manage: bool,
}

impl Rights {
    pub fn of(person: &Person) -> Self {
        Rights { operate: person.role >= Operate::NEEDS, manage: person.role >= Manage::NEEDS }
    }
}

/// A word to the person who pressed something.
#[derive(Clone, Debug)]
pub struct Note {
    /// `good`, `warn` or `bad`.
    pub tone: &'static str,
    pub text: String,
}

impl Note {
    pub fn refusal(text: impl Into<String>) -> Self {
        Note { tone: "warn", text: text.into() }
    }
}

/// What resuming would bring.
#[derive(Clone, Debug)]
pub struct Plan {
    pub left: i64,
    pub barred: i64,
    pub outlook: Outlook,
    /// The end time has passed, so that only more time helps.
    pub too_late: bool,
    /// Said instead of numbers, where nothing is counted.
    pub says: Option<String>,
}

#[derive(Template)]
#[template(path = "campaigns/_schedule.html")]
pub struct SchedulePanel<'a> {
    pub campaign: &'a Campaign,
    pub line: &'a Line,
    pub rights: Rights,
    pub note: Option<Note>,
    pub plan: Option<Plan>,
    pub wire: Option<Wire>,
    /// The drawing, as HTML.
    pub picture: Option<String>,
    pub now: DateTime<Utc>,
}

impl SchedulePanel<'_> {
    fn progress(&self) -> Progress {
        ScheduleProgress::of(self.line, self.campaign, self.now)
    }

    fn signature(&self) -> String {
        self.line.signature(self.campaign)
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        screen::moment(*at.borrow(), self.campaign.zone, self.now)
    }

    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn is_settling(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| !wire.is_quiet())
    }

    /// How many went first, and until when the others wait for their receipts.
    fn waits_for_the_first(&self) -> Option<(i32, Moment)> {
        let canary = self.line.run.as_ref()?.rules.canary?;
        Some((canary.first, self.moment(self.line.waits_until?)))
    }

    fn standing(&self) -> Standing {
        self.line.standing(self.campaign)
    }

    fn stopping(&self) -> &'static str {
        if self.line.schedule.state == ScheduleState::Stopped { "Stopping" } else { "Pausing" }
    }
}

/// Where in the list somebody is, to come back there.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub q: String,
    pub show: Show,
    pub after: Option<i64>,
    pub open: Option<i64>,
}

impl Place {
    /// The query of this place with another row open.
    pub fn query(&self, open: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if self.show != Show::All {
            query.append_pair("show", show_word(self.show));
        }
        if let Some(after) = self.after {
            query.append_pair("after", &after.to_string());
        }
        if let Some(open) = open {
            query.append_pair("open", &open.to_string());
        }
        query.finish()
    }

    pub fn url(&self, open: Option<i64>) -> String {
        let query = self.query(open);
        if query.is_empty() { "/campaigns".to_owned() } else { format!("/campaigns?{query}") }
    }
}

pub const SHOWS: [(Show, &str, &str); 7] = [
    (Show::All, "all", "All"),
    (Show::Live, "live", "Live"),
    (Show::Paused, "paused", "Paused"),
    (Show::Today, "today", "Today"),
    (Show::Inbound, "inbound", "Inbound"),
    (Show::Finished, "finished", "Finished"),
    (Show::Archived, "archived", "Archived"),
];

fn show_word(show: Show) -> &'static str {
    SHOWS.into_iter().find(|(it, ..)| *it == show).map_or("all", |(_, word, _)| word)
}

/// What an open row holds.
pub struct Body {
    pub file: Option<(String, i64)>,
    /// Names of the lists whose contacts it takes, and of those it leaves out.
    pub lists: Option<(String, String)>,
    /// The files of a daily campaign, as HTML.
    pub drops: Option<String>,
    /// How long conversations can be continued, where bots talk, and the form that changes it.
    pub validity: Option<ValidityForm>,
    /// The schedules, as HTML.
    pub schedules: Vec<String>,
    pub history: Vec<Happened>,
}

#[derive(Template)]
#[template(path = "campaigns/_row.html")]
pub struct Row<'a> {
    pub sheet: &'a Sheet,
    pub rights: Rights,
    pub place: &'a Place,
    pub note: Option<Note>,
    pub plan: Option<Plan>,
    pub wire: Option<Wire>,
    pub body: Option<Body>,
    pub now: DateTime<Utc>,
}

/// The part of a row that is always there; it fetches itself when its state changes.
#[derive(Template)]
#[template(path = "campaigns/_head.html")]
pub struct Head<'a> {
    pub sheet: &'a Sheet,
    pub rights: Rights,
    pub place: &'a Place,
    pub open: bool,
    pub now: DateTime<Utc>,
}

impl Row<'_> {
    fn no_errors(&self) -> FieldErrors {
        FieldErrors::default()
    }

    fn head(&self) -> Head<'_> {
        Head { sheet: self.sheet, rights: self.rights, place: self.place, open: self.body.is_some(), now: self.now }
    }

    fn campaign(&self) -> &Campaign {
        &self.sheet.campaign
    }

    fn here(&self) -> String {
        self.place.query(self.place.open)
    }

    fn address(&self) -> String {
        self.place.url(self.place.open)
    }

    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        screen::moment(*at.borrow(), self.sheet.campaign.zone, self.now)
    }

    /// Why nothing happens today, if so.
    fn nothing_today(&self) -> Option<(&'static str, Moment)> {
        let zone = self.sheet.campaign.zone;
        let today = self.now.with_timezone(&zone).date_naive();
        let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
        let mut runs = self.sheet.runs();
        if runs.clone().any(|run| day(run.window.starts) <= today && today <= day(run.window.ends)) {
            return None;
        }
        let to_come = self.sheet.lines.iter().filter_map(|line| line.schedule.next_run_at);
        let next = runs.clone().map(|run| run.window.starts).chain(to_come).filter(|at| self.now < *at).min();
        if next.is_some_and(|at| day(at) == today) {
            return None;
        }
        match next {
            Some(at) => Some(("next run", self.moment(at))),
            None => runs.next().map(|run| ("last run", self.moment(run.window.starts))),
        }
    }
}

impl Head<'_> {
    fn campaign(&self) -> &Campaign {
        &self.sheet.campaign
    }

    fn progress(&self) -> Progress {
        CampaignProgress::of(self.sheet, self.now)
    }

    fn standing(&self) -> Standing {
        self.sheet.standing()
    }

    /// The query of this place as it is, and with the row the other way round.
    fn here(&self) -> String {
        self.place.query(self.open.then_some(self.sheet.campaign.id.0))
    }

    fn there(&self) -> String {
        self.place.query((!self.open).then_some(self.sheet.campaign.id.0))
    }

    fn is_active(&self) -> bool {
        self.sheet.campaign.state == CampaignState::Active && self.standing() != Standing::Paused
    }

    fn is_paused(&self) -> bool {
        self.standing() == Standing::Paused
    }

    fn is_draft(&self) -> bool {
        self.sheet.campaign.state == CampaignState::Draft
    }

    fn can_stop(&self) -> bool {
        self.sheet.can_stop()
    }

    /// Whether a form changes more of it than its name.
    fn is_edited_as_a_whole(&self) -> bool {
        self.sheet.is_inbound() && self.sheet.campaign.state.stop().is_ok()
    }

    fn has_ended(&self) -> bool {
        self.sheet.campaign.state.archive().is_ok()
    }

    /// Whether today's file should have come and has not.
    fn no_file_today(&self) -> bool {
        self.sheet.missed == Some(self.now.with_timezone(&self.sheet.campaign.zone).date_naive())
    }
}

#[derive(Template)]
#[template(path = "campaigns/_settling.html")]
pub struct Settling {
    /// `Stopped` or `Paused`.
    pub word: &'static str,
    pub wire: Wire,
    pub zone: chrono_tz::Tz,
    pub now: DateTime<Utc>,
}

impl Settling {
    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        screen::moment(*at.borrow(), self.zone, self.now)
    }
}

#[derive(Template)]
#[template(path = "campaigns/index.html")]
pub struct Index<'a> {
    pub frame: crate::web::Frame,
    pub place: &'a Place,
    /// Rows, as HTML.
    pub rows: Vec<String>,
    /// `12:<signature>,…` of what the rows show.
    pub watched: String,
    pub next: Option<String>,
    pub nothing_yet: bool,
    pub settling: Option<Settling>,
}

/// The list alone.
#[derive(Template)]
#[template(path = "campaigns/index.html", block = "list")]
pub struct List<'a> {
    pub place: &'a Place,
    pub rows: Vec<String>,
    pub watched: String,
    pub next: Option<String>,
    pub nothing_yet: bool,
    pub frame: crate::web::Frame,
}

impl Index<'_> {
    fn manages(&self) -> bool {
        self.frame.may(&Role::Manager)
    }

    fn chips(&self) -> Vec<(String, &'static str, bool)> {
        let chip = |(show, _, words)| {
            let place = Place { show, after: None, open: None, ..self.place.clone() };
            (place.url(None), words, show == self.place.show)
        };
        SHOWS.into_iter().map(chip).collect()
    }
}

impl List<'_> {
    fn manages(&self) -> bool {
        self.frame.may(&Role::Manager)
    }
}
