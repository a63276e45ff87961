//! The channels as this process uses them: an adapter each, and places on the wire.
//!
//! Some providers want a line held open, by one of our processes at a time. Whoever holds it says so in the database each
//! second. A process that could not say so for a while stops sending by its own clock before another may take the line.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::Data;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::app::App;
use crate::channels::incidents::{self, Incident, Trouble};
use crate::channels::look_ups::UnansweredSend;
use crate::channels::{held, room, setups, templates};
use crate::clock::uptime;
use crate::conversations::intake;
use crate::db::DbError;
use crate::deliveries::actions::{self, Overrun};
use crate::deliveries::{BEGIN_WITHIN, PATIENCE};
use crate::ids::ChannelId;
use crate::media;
use crate::providers::media::{Brought, fitted};
use crate::providers::{
    Able, Envelope, InDoubt, Later, Provider, RejectClass, RetryScope, SendOutcome, Session, Setup, TakeIn,
};
use crate::wording::{Attached, Content, FileLink, FilledTemplate, MediaFile, attached};

/// How long nothing is sent through a channel whose provider refuses everything.
const SILENT_FOR: TimeDelta = TimeDelta::seconds(60);

/// How often the holder of a line says that it holds it.
const HOLDS_AGAIN: Duration = Duration::from_secs(1);
/// Its clock may differ by so much from that of whoever takes the line next, and what passed its gate has to leave.
const SURE_FOR_LESS: Duration = Duration::from_secs(2);

/// Claims that a fast channel is asked for in a second.
const BATCHES_A_SECOND: usize = 50;
const SMALLEST_BATCH: usize = 100;
const LARGEST_BATCH: usize = 500;

/// A channel as this process uses it.
pub struct Line {
    setup: Setup,
    adapter: Arc<dyn Provider>,
    able: Able,
    /// For campaigns. A place is given back when what came of its send is written down.
    pub places: Arc<Semaphore>,
    /// For replies, which never wait behind a campaign.
    pub reply_places: Arc<Semaphore>,
    flow: Arc<Mutex<Flow>>,
    /// Held open as long as there is somebody who sends through it, and it is ours to hold.
    session: Mutex<Option<Session>>,
    /// Files of ours that texts led to; `None`: there is none. They never change.
    files: Mutex<HashMap<Uuid, Option<MediaFile>>>,
    /// Until when its line is ours, by [`uptime`]. It stays when the settings change.
    ours_until: Arc<Mutex<Duration>>,
}

/// What went out lately.
#[derive(Default)]
struct Flow {
    /// When the sends of the last second began, by [`uptime`].
    begun: VecDeque<Duration>,
    /// The provider wants to be left alone until then.
    silent_until: DateTime<Utc>,
    /// It could not send, as far as this process knows, and nothing was taken since.
    in_trouble: bool,
    /// What was noted of that last, and when, by [`uptime`]: all that were on the wire are refused alike.
    noted: Option<(Trouble, Duration)>,
}

impl Flow {
    /// Drops what is longer ago than a second.
    fn forget(&mut self, now: Duration) {
        while self.begun.front().is_some_and(|begun| *begun + Duration::from_secs(1) <= now) {
            self.begun.pop_front();
        }
    }

    /// Contacts in one claim at most: what leaves in a moment.
    fn batch(&mut self, now: Duration) -> usize {
        self.forget(now);
        (self.begun.len() / BATCHES_A_SECOND).clamp(SMALLEST_BATCH, LARGEST_BATCH)
    }
}

/// When a claimed send may begin.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Not before.
    pub begins_at: Option<DateTime<Utc>>,
    /// A hold begins, or the window ends.
    pub until: Option<DateTime<Utc>>,
    /// The same and [`BEGIN_WITHIN`], by [`uptime`]: whichever clock is first.
    by: Duration,
}

impl Term {
    /// `claiming_since`: the [`uptime`] just before the claim, when the clock said
    /// `claimed_at`. Whoever pauses afterwards waits at least as long.
    pub fn new(
        claiming_since: Duration,
        claimed_at: DateTime<Utc>,
        begins_at: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Self {
        let left = until.map_or(BEGIN_WITHIN, |until| (until - claimed_at).to_std().unwrap_or_default());
        Term { begins_at, until, by: claiming_since + left.min(BEGIN_WITHIN) }
    }

    /// Waits until it may begin.
    async fn come(&self, app: &App) {
        let wait = self.begins_at.and_then(|at| (at - app.clock.now()).to_std().ok()).unwrap_or_default();
        if !wait.is_zero() {
            tokio::time::sleep(wait.min(BEGIN_WITHIN)).await;
        }
    }

    fn is_over(&self, app: &App) -> bool {
        self.by <= uptime() || self.until.is_some_and(|until| until <= app.clock.latest())
    }
}

/// What became of an attempt to send.
pub enum Tried {
    Sent {
        outcome: SendOutcome,
        /// `None`: the provider was not asked.
        begun_at: Option<DateTime<Utc>>,
    },
    /// It did not begin, and goes back as it was.
    NotBegun,
}

impl Line {
    /// Sends one message, if it may still begin: its term is not over, and it is not `is_off`.
    pub async fn send(&self, app: &App, envelope: &Envelope, term: &Term, is_off: impl Fn() -> bool + Sync) -> Tried {
        let fitted = match self.fitted(app, envelope).await {
            Ok(fitted) => fitted,
            Err(error) => {
                tracing::error!("what a text brings along cannot be read: {error}");
                return Tried::NotBegun;
            }
        };
        let envelope = fitted.as_ref().unwrap_or(envelope);
        if let Some((class, why)) = self.able.refuses(&envelope.content) {
            return Tried::Sent { outcome: SendOutcome::Rejected { class, code: why.to_owned() }, begun_at: None };
        }
        term.come(app).await;
        let begun_at = app.clock.now();
        let Some(begun) = self.begin(begun_at) else { return Tried::NotBegun };
        // The term comes last: past it a pause or a stop may have answered.
        let may_begin = || !is_off() && !term.is_over(app) && self.is_ours();
        let sent = timeout(PATIENCE, self.adapter.send(envelope, &may_begin)).await;
        let sent = sent.unwrap_or_else(|_| Some(SendOutcome::Unknown { code: "no answer in time".to_owned() }));
        let Some(outcome) = sent else {
            self.did_not_begin(begun);
            return Tried::NotBegun;
        };
        match &outcome {
            SendOutcome::RetryLater { scope: RetryScope::Recipient, .. } => {}
            SendOutcome::RetryLater { why, after, .. } => self.slow_down(app, begun_at, *why, *after).await,
            SendOutcome::Rejected { class, .. } if class.is_of_channel() => self.fall_silent(app).await,
            SendOutcome::Accepted { .. } => self.is_well(app).await,
            SendOutcome::Rejected { .. } | SendOutcome::Unknown { .. } => {}
        }
        if let Some((trouble, code)) = Trouble::of(&outcome) {
            self.note_trouble(app, trouble, code).await;
        }
        if let (Content::Template { filled, .. }, SendOutcome::Rejected { class: RejectClass::Template, code }) =
            (&envelope.content, &outcome)
        {
            self.note_refusal(app, filled, code).await;
        }
        Tried::Sent { outcome, begun_at: Some(begun_at) }
    }

    /// A message whose text brings something along that its channel carries as such; `None`: it leaves as it is.
    async fn fitted(&self, app: &App, envelope: &Envelope) -> Result<Option<Envelope>, DbError<diesel::result::Error>> {
        let text = match &envelope.content {
            Content::Text(text) | Content::Choices { text, .. } => text,
            Content::Media { .. } | Content::Place { .. } | Content::Template { .. } => return Ok(None),
        };
        let Some((it, words)) = attached(text) else { return Ok(None) };
        let brought = match it {
            Attached::Place(place) => Brought::Place(place),
            Attached::File(_) if self.able.files.is_empty() => return Ok(None),
            Attached::File(link) => match self.file(app, &link).await? {
                Some(file) => Brought::File(file),
                None => return Ok(None),
            },
        };
        let content = fitted(self.able.files, self.able.places, &envelope.content, brought, words);
        Ok((content != envelope.content).then(|| Envelope { content, ..envelope.clone() }))
    }

    /// The file that a link in a text leads to; `None`: there is none.
    async fn file(&self, app: &App, link: &FileLink) -> Result<Option<MediaFile>, DbError<diesel::result::Error>> {
        let key = link.key;
        if let Some(known) = self.files.lock().unwrap().get(&key) {
            return Ok(known.clone());
        }
        let found = app.db.run(move |conn| media::store::find_all(conn, &[key])).await?;
        let public = found.get(&key).filter(|file| file.is_public);
        // Where it was put into the text we may have had another name.
        let sent = public.map(|file| file.sent(app.settings.public_url.as_deref().unwrap_or(&link.site())));
        self.files.lock().unwrap().insert(key, sent.clone());
        Ok(sent)
    }

    /// Under which reference its provider will tell of a send that it answered so, if that is how it tells.
    pub fn reference(&self, outcome: &SendOutcome) -> Option<(ChannelId, String)> {
        match outcome {
            SendOutcome::Accepted { provider_ref: Some(it) } if self.able.tells_by_reference => {
                Some((ChannelId(self.setup.id), it.clone()))
            }
            _ => None,
        }
    }

    /// What its provider can be asked about later, if it gave no answer that can be believed.
    pub fn unanswered(&self, it: &Envelope, outcome: &SendOutcome, begun_at: DateTime<Utc>) -> Option<UnansweredSend> {
        let is_asked = matches!(outcome, SendOutcome::Unknown { .. }) && self.setup.provider.can_be_asked();
        is_asked.then(|| UnansweredSend {
            channel: ChannelId(self.setup.id),
            key: it.key,
            to: it.to.clone(),
            body: Some(InDoubt::body_of(&it.content)),
            begun_at,
        })
    }

    /// Whether this process may send through it.
    fn is_ours(&self) -> bool {
        !self.able.held_once || uptime() < *self.ours_until.lock().unwrap()
    }

    /// Opens its line, or lets go of it.
    fn hold(&self, app: &Data<App>, is_ours: bool) {
        let mut session = self.session.lock().unwrap();
        match (&*session, is_ours) {
            (None, true) => *session = self.adapter.clone().open(told(app, ChannelId(self.setup.id))),
            (Some(_), false) => *session = None,
            _ => {}
        }
    }

    /// Whether its provider asked this process to be left alone.
    pub fn is_silent(&self, now: DateTime<Utc>) -> bool {
        now < self.flow.lock().unwrap().silent_until
    }

    /// Contacts in one claim at most: what leaves here in a moment. Larger claims cost less each, smaller ones
    /// leave fewer unknown when the process is killed.
    pub fn batch(&self) -> usize {
        self.flow.lock().unwrap().batch(uptime())
    }

    /// Counts a send that begins now. Not while the provider wants to be left alone: then
    /// the others of a batch need not be refused one by one. Returns its moment, by [`uptime`].
    fn begin(&self, now: DateTime<Utc>) -> Option<Duration> {
        let (mut flow, at) = (self.flow.lock().unwrap(), uptime());
        if now < flow.silent_until {
            return None;
        }
        flow.forget(at);
        flow.begun.push_back(at);
        Some(at)
    }

    /// One that was counted was held back after all, and says nothing of the pace.
    fn did_not_begin(&self, at: Duration) {
        let mut flow = self.flow.lock().unwrap();
        if let Ok(n) = flow.begun.binary_search(&at) {
            flow.begun.remove(n);
        }
    }

    /// The provider refuses whatever comes from this channel: nothing more is burnt on it for a while.
    async fn fall_silent(&self, app: &App) {
        let until = app.clock.now() + SILENT_FOR;
        self.flow.lock().unwrap().silent_until = until;
        let channel = ChannelId(self.setup.id);
        if let Err(error) = app.db.run(move |conn| room::slow_down(conn, channel, until, None)).await {
            tracing::error!(channel.id = %channel, "could not silence channel {channel}: {error}");
        }
    }

    /// Notes that an approved text is refused: what sends it waits.
    async fn note_refusal(&self, app: &App, filled: &FilledTemplate, code: &str) {
        let (channel, filled, code) = (ChannelId(self.setup.id), filled.clone(), code.to_owned());
        let noted = app.db.run(move |conn| templates::was_refused(conn, channel, &filled, &code)).await;
        if let Err(error) = noted {
            tracing::error!(channel.id = %channel, "that a text of channel {channel} is refused could not be noted: {error}");
        }
    }

    /// Notes what keeps it from sending.
    async fn note_trouble(&self, app: &App, trouble: Trouble, code: &str) {
        {
            let (mut flow, at) = (self.flow.lock().unwrap(), uptime());
            flow.in_trouble = true;
            if flow.noted.is_some_and(|(was, noted)| was == trouble && at < noted + Duration::from_secs(1)) {
                return;
            }
            flow.noted = Some((trouble, at));
        }
        let (channel, code, now) = (ChannelId(self.setup.id), code.to_owned(), app.clock.now());
        let noted = app.db.run(move |conn| incidents::note(conn, channel, trouble, &code, now)).await;
        if let Err(error) = noted {
            tracing::error!(channel.id = %channel, "trouble of channel {channel} could not be noted: {error}");
        }
    }

    /// A message was taken: whatever kept it from sending is over.
    async fn is_well(&self, app: &App) {
        {
            let mut flow = self.flow.lock().unwrap();
            if !std::mem::take(&mut flow.in_trouble) {
                return;
            }
            flow.noted = None;
        }
        let (channel, now) = (ChannelId(self.setup.id), app.clock.now());
        if let Err(error) = app.db.run(move |conn| incidents::end(conn, channel, now)).await {
            self.flow.lock().unwrap().in_trouble = true;
            tracing::error!(channel.id = %channel, "the end of an incident of channel {channel} could not be noted: {error}");
        }
    }

    async fn slow_down(&self, app: &App, began_at: DateTime<Utc>, why: Later, after: Duration) {
        let now = app.clock.now();
        let in_a_second = {
            let mut flow = self.flow.lock().unwrap();
            let is_news = flow.silent_until <= now;
            flow.silent_until = flow.silent_until.max(now + after);
            if !is_news {
                return;
            }
            flow.begun.len()
        };
        let channel = ChannelId(self.setup.id);
        let told = Overrun { until: now + after, began_at, in_a_second };
        let slowed = match why {
            Later::TooFast => app.db.run(move |conn| actions::slow_down(conn, channel, told, now)).await,
            // Nobody said that it was too fast.
            Later::NotNow => app.db.run(move |conn| room::slow_down(conn, channel, told.until, None)).await,
        };
        if let Err(error) = slowed {
            tracing::error!(channel.id = %channel, "could not slow channel {channel} down: {error}");
        }
    }
}

/// One per process.
pub struct Lines {
    /// Its name where lines are held.
    process: Uuid,
    lines: Mutex<HashMap<ChannelId, Arc<Line>>>,
    /// When it said last which lines it holds, by [`uptime`] and by the clock, which may leap.
    held_at: Mutex<Option<(Duration, DateTime<Utc>)>>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { process: Uuid::new_v4(), lines: Mutex::default(), held_at: Mutex::default() }
    }
}

impl Lines {
    /// `None` as well where another process holds its line.
    pub fn get(&self, channel: ChannelId) -> Option<Arc<Line>> {
        self.lines.lock().unwrap().get(&channel).filter(|line| line.is_ours()).cloned()
    }

    /// Takes the lines that nobody holds, and goes on holding those that are ours.
    async fn hold(&self, app: &Data<App>) -> anyhow::Result<()> {
        let them = || self.lines.lock().unwrap().values().filter(|it| it.able.held_once).cloned().collect::<Vec<_>>();
        let mut held_once: Vec<ChannelId> = them().iter().map(|line| ChannelId(line.setup.id)).collect();
        // Before the question: whoever takes a line over counts from later.
        let (since, now) = (uptime(), app.clock.now());
        let is_due = self.held_at.lock().unwrap().is_none_or(|(at, by_clock)| {
            at + HOLDS_AGAIN <= since || HOLDS_AGAIN <= (now - by_clock).abs().to_std().unwrap_or_default()
        });
        let some_are_new = them().iter().any(|line| line.session.lock().unwrap().is_none());
        if held_once.is_empty() || app.clock.has_leapt() || !(is_due || some_are_new) {
            return Ok(());
        }
        held_once.sort_unstable();
        let process = self.process;
        let ours = app.db.run(move |conn| held::take(conn, process, &held_once, now)).await;
        if let Ok(ours) = &ours {
            *self.held_at.lock().unwrap() = Some((since, now));
            let until = since + held::HELD_FOR.to_std().unwrap_or_default().saturating_sub(SURE_FOR_LESS);
            for line in them() {
                let is_ours = ours.contains(&ChannelId(line.setup.id));
                *line.ours_until.lock().unwrap() = if is_ours { until } else { Duration::ZERO };
            }
        }
        for line in them() {
            line.hold(app, line.is_ours());
        }
        ours.map(drop).map_err(Into::into)
    }

    /// Lets go of all lines, so that another process need not wait for them.
    pub async fn let_go(&self, app: &App) {
        let lines: Vec<Arc<Line>> =
            self.lines.lock().unwrap().values().filter(|it| it.able.held_once).cloned().collect();
        if lines.is_empty() {
            return;
        }
        for line in lines {
            *line.ours_until.lock().unwrap() = Duration::ZERO;
            *line.session.lock().unwrap() = None;
        }
        let process = self.process;
        if let Err(error) = app.db.run(move |conn| held::let_go(conn, process)).await {
            tracing::warn!("lines could not be let go of, and are free in a moment: {error}");
        }
    }

    /// Makes adapters for new channels, and new ones for those whose settings changed.
    pub async fn look_up(&self, app: &Data<App>) -> anyhow::Result<()> {
        let read = self.read(app).await;
        // Whatever cannot be read: what cannot be held any longer is let go of.
        self.hold(app).await.and(read)
    }

    async fn read(&self, app: &Data<App>) -> anyhow::Result<()> {
        let (setups, troubled) =
            app.db.run(|conn| diesel::QueryResult::Ok((setups::all(conn)?, incidents::all_open(conn)?))).await?;
        let (silent, troubled): (Vec<Incident>, Vec<Incident>) = troubled.into_iter().partition(Incident::is_silence);
        let of = |them: &[Incident]| them.iter().map(|it| it.channel_id).collect::<HashSet<ChannelId>>();
        let (unheard, troubled) = (of(&silent), of(&troubled));
        let held: HashSet<ChannelId> = silent.iter().filter(|it| it.holds()).map(|it| it.channel_id).collect();
        for setup in &setups {
            let id = ChannelId(setup.id);
            let unheard = if unheard.contains(&id) { 1.0 } else { 0.0 };
            metrics::gauge!("bugle_channel_callbacks_stopped", "channel" => setup.id.to_string()).set(unheard);
            let held = if troubled.contains(&id) || held.contains(&id) { 1.0 } else { 0.0 };
            metrics::gauge!("bugle_channel_in_trouble", "channel" => setup.id.to_string()).set(held);
        }
        let mut lines = self.lines.lock().unwrap();
        for setup in setups {
            let id = ChannelId(setup.id);
            let known = lines.get(&id);
            // Another process may have met with it.
            if let (Some(line), true) = (known, troubled.contains(&id)) {
                line.flow.lock().unwrap().in_trouble = true;
            }
            if known.is_some_and(|line| line.setup == setup) {
                continue;
            }
            // The places stay: sends under the old settings are still on the wire.
            let in_flight = app.settings.in_flight;
            let (places, reply_places, flow, ours_until) = match known {
                Some(line) => {
                    (line.places.clone(), line.reply_places.clone(), line.flow.clone(), line.ours_until.clone())
                }
                None => {
                    let flow = Flow { in_trouble: troubled.contains(&id), ..Flow::default() };
                    let places = || Arc::new(Semaphore::new(in_flight));
                    (places(), places(), Arc::new(Mutex::new(flow)), Arc::default())
                }
            };
            let adapter = (app.providers)(&setup);
            let able = adapter.able();
            let session = Mutex::default();
            let files = Mutex::default();
            let line = Line { adapter, able, setup, places, reply_places, flow, session, files, ours_until };
            if !able.held_once {
                line.hold(app, true);
            }
            lines.insert(id, Arc::new(line));
        }
        Ok(())
    }
}

/// Takes in what a channel's session hears.
fn told(app: &Data<App>, channel: ChannelId) -> TakeIn {
    let app = app.clone();
    Arc::new(move |events| {
        let app = app.clone();
        Box::pin(async move {
            let now = app.clock.now();
            intake::over_a_line(&app, channel, events, now).await.map_err(|error| error.to_string())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_as_large_as_what_leaves_in_a_moment() {
        let at = |ms| Duration::from_secs(100) + Duration::from_millis(ms);
        let lately = |n: usize| Flow { begun: vec![at(0); n].into(), ..Flow::default() };
        assert_eq!([0, 4_000, 10_000, 50_000].map(|n| lately(n).batch(at(500))), [100, 100, 200, 500]);
        assert_eq!(lately(50_000).batch(at(1_000)), 100, "a second ago says nothing");
    }

    #[test]
    fn a_claimed_send_begins_within_a_second_and_before_a_hold_or_the_end() {
        let (since, at) = (Duration::from_secs(10), "2026-03-02T09:00:00Z".parse::<DateTime<Utc>>().unwrap());
        let by = |left_ms: i64| Term::new(since, at, None, Some(at + TimeDelta::milliseconds(left_ms))).by;
        assert_eq!(by(300), since + Duration::from_millis(300));
        assert_eq!(by(5_000), since + BEGIN_WITHIN);
        assert_eq!(by(-1), since, "it is over already");
        assert_eq!(Term::new(since, at, None, None).by, since + BEGIN_WITHIN);
    }
}
