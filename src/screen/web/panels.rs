//! The pieces of the screen, each of them also an answer of its own.

use std::borrow::Borrow;

use askama::Template;
use chrono::{DateTime, Utc};

use crate::access::{Manage, Operate, Person, Right, Role};
use crate::campaigns::validity_form::{UNITS, ValidityForm};
use crate::campaigns::{Campaign, CampaignState};
use crate::deliveries::quiet::OnTheWire;
use crate::ids::CampaignId;
use crate::runs::Run;
use crate::schedules::ScheduleState;
use crate::screen::domain::{CampaignStanding, EarlierRun, Moment, Outlook, PausedAll, ScheduleLine, Sheet};
use crate::screen::order::{CampaignGroup, CampaignOrder, CampaignPlace, CampaignSort};
use crate::screen::store::{HistoryLine, ShowCampaigns};
use crate::screen::web::progress::{CampaignProgress, Progress, RunProgress, ScheduleProgress};
use crate::web::chart::thousands;
use crate::web::{FieldErrors, version_of};

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
    /// An end by which all would be through, as a field takes it, where more time is needed.
    pub until: Option<String>,
    /// Said instead of numbers, where nothing is counted.
    pub says: Option<String>,
}

#[derive(Template)]
#[template(path = "campaigns/_schedule.html")]
pub struct SchedulePanel<'a> {
    pub campaign: &'a Campaign,
    pub line: &'a ScheduleLine,
    pub rights: Rights,
    pub note: Option<Note>,
    pub plan: Option<Plan>,
    pub wire: Option<OnTheWire>,
    /// Of its run, as HTML; one that is not drawn yet fetches itself.
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
        crate::screen::domain::moment(*at.borrow(), self.campaign.zone, self.now)
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

    fn standing(&self) -> CampaignStanding {
        self.line.standing(self.campaign)
    }

    /// What the badge says.
    fn word(&self) -> &'static str {
        match self.line.schedule.state {
            ScheduleState::Paused { .. } if self.is_settling() => "Pausing",
            ScheduleState::Stopped if self.is_settling() => "Stopping",
            _ => self.line.word(self.campaign),
        }
    }

    fn earlier_progress(&self, earlier: &EarlierRun) -> Progress {
        RunProgress::of(earlier, self.campaign, self.now)
    }

    fn earlier_word(&self, earlier: &EarlierRun) -> CampaignStanding {
        crate::screen::domain::standing(CampaignState::Active, std::iter::once(&earlier.run))
    }

    fn has_picture(&self) -> bool {
        self.line.run.as_ref().is_some_and(|run| run.prepared)
    }

    fn stopping(&self) -> &'static str {
        if self.line.schedule.state == ScheduleState::Stopped { "Stopping" } else { "Pausing" }
    }
}

/// How a run has gone and will go, and the way to its ledger.
#[derive(Template)]
#[template(path = "campaigns/_picture.html")]
pub struct Picture<'a> {
    pub campaign: &'a Campaign,
    pub line: &'a ScheduleLine,
    pub run: &'a Run,
    /// As HTML.
    pub timeline: &'a str,
    /// What it says is of now, and nothing else moves it.
    pub paused: bool,
    /// Whether whoever looks may make campaigns.
    pub manages: bool,
}

impl Picture<'_> {
    /// How many a run that is over did not reach, for whom another campaign can be made.
    fn unreached(&self) -> Option<String> {
        let n = self.line.counts.unsent() + self.line.counts.failed;
        (self.manages && self.run.state.has_ended() && n > 0).then(|| thousands(n))
    }

    fn day(&self) -> String {
        self.run.window.starts.with_timezone(&self.campaign.zone).format("%-d %b").to_string()
    }
}

/// Where in the list somebody is, to come back there.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub q: String,
    pub show: ShowCampaigns,
    pub order: CampaignOrder,
    pub after: Option<CampaignPlace>,
    pub open: Option<CampaignId>,
}

impl Place {
    /// The query of this place with another row open.
    pub fn query(&self, open: Option<CampaignId>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if self.show != ShowCampaigns::All {
            query.append_pair("show", show_word(self.show));
        }
        if self.order != CampaignOrder::default() {
            query.append_pair("sort", &self.order.to_string());
        }
        if let Some(after) = &self.after {
            query.append_pair("after", &after.to_string());
        }
        if let Some(open) = open {
            query.append_pair("open", &open.to_string());
        }
        query.finish()
    }

    pub fn url(&self, open: Option<CampaignId>) -> String {
        let query = self.query(open);
        if query.is_empty() { "/campaigns".to_owned() } else { format!("/campaigns?{query}") }
    }
}

pub const SHOWS: [(ShowCampaigns, &str, &str); 10] = [
    (ShowCampaigns::All, "all", "All"),
    (ShowCampaigns::Live, "live", "Live"),
    (ShowCampaigns::Paused, "paused", "Paused"),
    (ShowCampaigns::Today, "today", "Today"),
    (ShowCampaigns::Inbound, "inbound", "Inbound"),
    (ShowCampaigns::Draft, "draft", "Draft"),
    (ShowCampaigns::Finished, "finished", "Finished"),
    (ShowCampaigns::Overrun, "overrun", "Overrun"),
    (ShowCampaigns::Stopped, "stopped", "Stopped"),
    (ShowCampaigns::Archived, "archived", "Archived"),
];

fn show_word(show: ShowCampaigns) -> &'static str {
    SHOWS.into_iter().find(|(it, ..)| *it == show).map_or("all", |(_, word, _)| word)
}

impl Place {
    /// Why the list is empty.
    fn nothing(&self) -> &'static str {
        match self.show {
            _ if !self.q.is_empty() => "Nothing found.",
            ShowCampaigns::All => "Nothing found.",
            ShowCampaigns::Live => "Nothing is live.",
            ShowCampaigns::Paused => "Nothing is paused.",
            ShowCampaigns::Today => "Nothing runs today.",
            ShowCampaigns::Inbound => "There is no inbound campaign.",
            ShowCampaigns::Draft => "There is no draft.",
            ShowCampaigns::Finished => "Nothing has finished.",
            ShowCampaigns::Overrun => "Nothing ran out of time.",
            ShowCampaigns::Stopped => "Nothing was stopped.",
            ShowCampaigns::Archived => "Nothing is archived.",
        }
    }
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
    pub history: Vec<HistoryLine>,
}

#[derive(Template)]
#[template(path = "campaigns/_row.html")]
pub struct CampaignRow<'a> {
    pub sheet: &'a Sheet,
    pub rights: Rights,
    pub place: &'a Place,
    pub note: Option<Note>,
    pub plan: Option<Plan>,
    pub wire: Option<OnTheWire>,
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

impl CampaignRow<'_> {
    /// The word for what its campaign does until the wire is quiet.
    fn stopping(&self) -> &'static str {
        if self.sheet.campaign.state == CampaignState::Stopped { "Stopping" } else { "Pausing" }
    }

    /// What it shows, for whoever asks whether that is still so.
    fn signature(&self) -> String {
        self.sheet.signature()
    }

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
        crate::screen::domain::moment(*at.borrow(), self.sheet.campaign.zone, self.now)
    }

    /// Whether it is over, and those whom it did not reach may be sent to by another.
    fn has_a_rest(&self) -> bool {
        let campaign = self.campaign();
        matches!(campaign.state, CampaignState::Stopped | CampaignState::Finished) && self.sheet.runs().next().is_some()
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

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        crate::screen::domain::moment(*at.borrow(), self.sheet.campaign.zone, self.now)
    }

    fn standing(&self) -> CampaignStanding {
        self.sheet.standing()
    }

    /// The query of this place as it is, and with the row the other way round.
    fn here(&self) -> String {
        self.place.query(self.open.then_some(self.sheet.campaign.id))
    }

    fn there(&self) -> String {
        self.place.query((!self.open).then_some(self.sheet.campaign.id))
    }

    fn is_active(&self) -> bool {
        self.sheet.campaign.state == CampaignState::Active && self.standing() != CampaignStanding::Paused
    }

    fn is_paused(&self) -> bool {
        self.standing() == CampaignStanding::Paused
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

/// What PAUSES of everything still hold, and the way back.
#[derive(Template)]
#[template(path = "campaigns/_paused_all.html")]
pub struct PausedTogether {
    pub pauses: Vec<PausedAll>,
    pub zone: chrono_tz::Tz,
    pub now: DateTime<Utc>,
    pub operates: bool,
}

impl PausedTogether {
    /// Changes whenever something else would be said.
    pub fn signature(pauses: &[PausedAll]) -> String {
        version_of(&format!("{pauses:?}"))
    }

    fn its_signature(&self) -> String {
        Self::signature(&self.pauses)
    }

    fn n(&self, n: impl Borrow<i64>) -> String {
        thousands(*n.borrow())
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        crate::screen::domain::moment(*at.borrow(), self.zone, self.now)
    }
}

#[derive(Template)]
#[template(path = "campaigns/_settling.html")]
pub struct Settling {
    /// `Stopped` or `Paused`.
    pub word: &'static str,
    pub wire: OnTheWire,
    pub zone: chrono_tz::Tz,
    pub now: DateTime<Utc>,
}

impl Settling {
    /// The word for it until the wire is quiet.
    fn stopping(&self) -> &'static str {
        if self.word == "Stopped" { "Stopping" } else { "Pausing" }
    }

    fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        crate::screen::domain::moment(*at.borrow(), self.zone, self.now)
    }
}

/// A row of the list.
pub struct ListedRow {
    /// The group that it begins, and how many that has on all pages.
    pub heading: Option<(CampaignGroup, i64)>,
    pub html: String,
}

/// A way to sort the list.
pub struct SortLink {
    pub url: String,
    pub words: &'static str,
    /// It is the one: `Some("ascending")` or `Some("descending")`.
    pub current: Option<&'static str>,
}

impl ListedRow {
    /// The group that it begins, and how many that has.
    fn group(&self) -> Option<(CampaignGroup, String)> {
        self.heading.map(|(group, n)| (group, thousands(n)))
    }
}

impl Place {
    fn sorts(&self) -> Vec<SortLink> {
        let link = |by: CampaignSort| {
            let order = self.order.pressed(by);
            let place = Place { order, after: None, open: None, ..self.clone() };
            let way = if self.order.backwards { "descending" } else { "ascending" };
            SortLink { url: place.url(None), words: by.label(), current: (self.order.by == by).then_some(way) }
        };
        CampaignSort::ALL.into_iter().map(link).collect()
    }

    /// The order, unless it is the usual one.
    fn sorted(&self) -> Option<String> {
        (self.order != CampaignOrder::default()).then(|| self.order.to_string())
    }
}

#[derive(Template)]
#[template(path = "campaigns/index.html")]
pub struct Index<'a> {
    pub frame: crate::web::Frame,
    pub place: &'a Place,
    pub rows: Vec<ListedRow>,
    /// What was paused together, as HTML.
    pub paused: String,
    /// `12:<signature>,…` of what the rows show.
    pub watched: String,
    pub next: Option<String>,
    pub nothing_yet: bool,
    pub settling: Option<Settling>,
}

/// The list alone.
#[derive(Template)]
#[template(path = "campaigns/index.html", block = "list")]
pub struct CampaignList<'a> {
    pub place: &'a Place,
    pub paused: String,
    pub rows: Vec<ListedRow>,
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

impl CampaignList<'_> {
    fn manages(&self) -> bool {
        self.frame.may(&Role::Manager)
    }
}
