//! io: Progress that moves by itself: one set of questions a second for everybody who looks.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix_session::Session;
use actix_web::web::{Bytes, Data, Query};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::access::View;
use crate::app::App;
use crate::ids::{CampaignId, UserId};
use crate::people;
use crate::people::store::SessionId;
use crate::screen::domain::Sheet;
use crate::screen::web::panels::PausedTogether;
use crate::screen::web::progress::{CampaignProgress, RunProgress, ScheduleProgress};
use crate::web::{May, Problem, version_of};

/// How often the screen is looked over, and the longest a fact stays unseen.
const BEAT: Duration = Duration::from_secs(1);
/// A word that keeps proxies from closing a quiet stream, and lets the page know that it is live.
const PING: Duration = Duration::from_secs(15);
/// Campaigns that one page may watch.
const WATCHED: usize = 200;
/// Pages that one person may watch from.
const OF_ONE: usize = 200;
/// Pages that are watched over all, where descriptors allow for so many.
const OF_ALL: usize = 5_000;
/// How often it is asked whether those who watch are still signed in.
const STILL_IN: Duration = Duration::from_secs(15);
/// Messages that a slow reader may be behind; one further behind is cut off and comes back.
const BEHIND: usize = 256;

/// Everybody who looks, and what each of them has seen. One for the process.
pub struct Hub {
    app: Data<App>,
    watchers: Mutex<HashMap<u64, Watcher>>,
    somebody: Notify,
    next: AtomicU64,
    looks: AtomicU64,
    /// When what is shown was so.
    looked_at: Mutex<Option<DateTime<Utc>>>,
    most: AtomicUsize,
    stop: CancellationToken,
}

struct Watcher {
    person: UserId,
    /// Whose end ends the stream.
    session: Option<SessionId>,
    campaigns: BTreeSet<CampaignId>,
    /// The fingerprint of what was last sent, by event.
    seen: HashMap<String, String>,
    stream: mpsc::Sender<Bytes>,
}

impl Hub {
    /// Must be called inside a runtime; ends when [`Hub::stop`] is called.
    pub fn start(app: Data<App>) -> Data<Hub> {
        let hub = Data::new(Hub::new(app));
        tokio::spawn(keep_telling(hub.clone()));
        hub
    }

    /// One that looks only when it is told to.
    pub fn new(app: Data<App>) -> Hub {
        Hub {
            app,
            watchers: Mutex::default(),
            somebody: Notify::new(),
            next: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            looked_at: Mutex::default(),
            most: AtomicUsize::new(OF_ALL),
            stop: CancellationToken::new(),
        }
    }

    /// Ends all streams and refuses new ones, so that the server can shut down.
    pub fn stop(&self) {
        self.stop.cancel();
        self.watchers.lock().unwrap().clear();
    }

    /// How often the database was asked, for whomever.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Allows for no more than so many streams.
    pub fn limit_to(&self, most: usize) {
        self.most.store(most.min(OF_ALL), Ordering::Relaxed);
    }

    /// Begins a stream about campaigns, given what the page shows of each; `None` when the person,
    /// or all together, have too many.
    pub fn watch(
        &self,
        (person, session): (UserId, Option<SessionId>),
        shown: HashMap<CampaignId, Option<String>>,
    ) -> Option<mpsc::Receiver<Bytes>> {
        let (stream, receiver) = mpsc::channel(BEHIND.max(shown.len() * 8));
        let seen = shown
            .iter()
            .filter_map(|(id, signature)| Some((format!("campaign-{id}-state"), signature.clone()?)))
            .collect();
        let watcher = Watcher { person, session, campaigns: shown.into_keys().collect(), seen, stream };
        let mut watchers = self.watchers.lock().unwrap();
        watchers.retain(|_, watcher| !watcher.stream.is_closed());
        let of_one = watchers.values().filter(|it| it.person == person).count();
        if OF_ONE <= of_one || self.most.load(Ordering::Relaxed) <= watchers.len() {
            return None;
        }
        if !self.stop.is_cancelled() {
            watchers.insert(self.next.fetch_add(1, Ordering::Relaxed), watcher);
            self.somebody.notify_one();
        }
        Some(receiver)
    }

    /// Looks once at all that anybody watches, and tells each what is new to them.
    pub async fn look(&self) -> Result<(), Problem> {
        let wanted: Vec<CampaignId> = {
            let mut watchers = self.watchers.lock().unwrap();
            watchers.retain(|_, watcher| !watcher.stream.is_closed());
            let ids: BTreeSet<CampaignId> = watchers.values().flat_map(|watcher| &watcher.campaigns).copied().collect();
            ids.into_iter().collect()
        };
        if wanted.is_empty() {
            return Ok(());
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("bugle_live_looks_total").increment(1);
        let (sheets, paused) = self
            .app
            .db
            .look(move |conn| {
                let found = crate::screen::store::some(conn, &wanted)?;
                let sheets = crate::screen::store::sheets(conn, found)?;
                Ok::<_, diesel::result::Error>((sheets, crate::screen::store::pauses_of_everything(conn)?))
            })
            .await?;
        let paused = PausedTogether::signature(&paused);
        let paused = Event::of(PAUSED_ALL.to_owned(), &paused, paused.clone());
        let now = self.app.clock.now();
        *self.looked_at.lock().unwrap() = Some(now);
        let told: HashMap<CampaignId, Vec<Event>> =
            sheets.iter().map(|sheet| (sheet.campaign.id, events(sheet, now))).collect();
        let mut watchers = self.watchers.lock().unwrap();
        watchers.retain(|_, watcher| {
            let Watcher { campaigns, seen, stream, .. } = watcher;
            // Whoever was told that nothing moves any more is told that it does.
            let moves = seen.contains_key(SILENCE).then(Event::moves);
            let mut events =
                moves.iter().chain([&paused]).chain(campaigns.iter().filter_map(|id| told.get(id)).flatten());
            events.all(|event| tell(event, seen, stream))
        });
        Ok(())
    }

    /// Tells everybody that what they see moves no more, and since when.
    pub fn fall_silent(&self) {
        let since = *self.looked_at.lock().unwrap().get_or_insert_with(|| self.app.clock.now());
        let event = Event::stands_still(since.with_timezone(&self.app.settings.time_zone));
        self.watchers.lock().unwrap().retain(|_, Watcher { seen, stream, .. }| tell(&event, seen, stream));
    }

    /// Ends the streams of whoever was signed out or disabled meanwhile.
    pub async fn part(&self) -> Result<(), Problem> {
        let sessions: HashSet<SessionId> =
            self.watchers.lock().unwrap().values().filter_map(|watcher| watcher.session.clone()).collect();
        let (asked, now) = (sessions.into_iter().collect::<Vec<_>>(), self.app.clock.now());
        if asked.is_empty() {
            return Ok(());
        }
        let mut over: HashSet<SessionId> = asked.iter().cloned().collect();
        for session in self.app.db.run(move |conn| people::store::still_in(conn, &asked, now)).await? {
            over.remove(&session);
        }
        self.watchers.lock().unwrap().retain(|_, watcher| watcher.session.as_ref().is_none_or(|it| !over.contains(it)));
        Ok(())
    }

    fn ping(&self) {
        let beat = Bytes::from_static(b"event: beat\ndata: live\n\n");
        self.watchers.lock().unwrap().retain(|_, watcher| watcher.stream.try_send(beat.clone()).is_ok());
    }

    fn is_alone(&self) -> bool {
        self.watchers.lock().unwrap().is_empty()
    }
}

async fn keep_telling(hub: Data<Hub>) {
    let stop = hub.stop.clone();
    let work = async {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pinged = tokio::time::Instant::now();
        let mut asked = pinged;
        loop {
            if hub.is_alone() {
                hub.somebody.notified().await;
            }
            beat.tick().await;
            if let Err(error) = hub.look().await {
                tracing::warn!("live progress: {error}");
                hub.fall_silent();
            }
            if STILL_IN <= asked.elapsed() {
                if let Err(error) = hub.part().await {
                    tracing::warn!("live progress: {error}");
                }
                asked = tokio::time::Instant::now();
            }
            if PING <= pinged.elapsed() {
                hub.ping();
                pinged = tokio::time::Instant::now();
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

/// The event that says since when nothing moves.
const SILENCE: &str = "silence";

/// The event that something has become of what was paused together with everything.
const PAUSED_ALL: &str = "paused-all";

/// Sends what its reader has not seen yet. Returns whether they are still there.
fn tell(event: &Event, seen: &mut HashMap<String, String>, stream: &mpsc::Sender<Bytes>) -> bool {
    if seen.get(&event.name) == Some(&event.print) {
        return true;
    }
    let is_sent = stream.try_send(event.wire.clone()).is_ok();
    if is_sent {
        seen.insert(event.name.clone(), event.print.clone());
    }
    is_sent
}

/// One server-sent event, ready for the wire.
struct Event {
    name: String,
    /// Of its content, to send it only when that is new.
    print: String,
    wire: Bytes,
}

impl Event {
    fn stands_still(since: DateTime<Tz>) -> Event {
        let words = format!(
            "<p class=\"note warn\" role=\"status\"><b>These numbers are of {}.</b> The database does not answer; nothing begins to be sent until it does.</p>",
            since.format("%H:%M:%S")
        );
        Event::of(SILENCE.to_owned(), &words, version_of(&words))
    }

    /// Takes that back.
    fn moves() -> Event {
        Event::of(SILENCE.to_owned(), "<!-- moving -->", String::new())
    }

    fn of(name: String, content: &str, print: String) -> Event {
        let mut wire = format!("event: {name}\n");
        for line in content.lines() {
            wire.push_str("data: ");
            wire.push_str(line);
            wire.push('\n');
        }
        wire.push('\n');
        Event { name, print, wire: wire.into() }
    }
}

fn events(sheet: &Sheet, now: chrono::DateTime<chrono::Utc>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut progress = |progress: crate::screen::web::progress::Progress| {
        let Ok(html) = progress.render() else { return };
        events.push(Event::of(progress.id.clone(), &html, version_of(&html)));
    };
    progress(CampaignProgress::of(sheet, now));
    for line in &sheet.lines {
        progress(ScheduleProgress::of(line, &sheet.campaign, now));
        line.earlier.iter().for_each(|it| progress(RunProgress::of(it, &sheet.campaign, now)));
    }
    let mut state = |name: String, signature: String| events.push(Event::of(name, &signature, signature.clone()));
    state(format!("campaign-{}-state", sheet.campaign.id), sheet.signature());
    for line in &sheet.lines {
        state(format!("schedule-{}-state", line.schedule.id), line.signature(&sheet.campaign));
    }
    events
}

#[derive(Deserialize)]
struct Watched {
    /// `12,13` or, with the signatures of what the page shows, `12:0af3…,13:77b1…`.
    ids: String,
}

/// A stream of what changes in these campaigns.
#[get("/campaigns/live")]
pub async fn live(
    hub: Option<Data<Hub>>,
    may: May<View>,
    session: Session,
    watched: Query<Watched>,
) -> Result<HttpResponse, Problem> {
    let hub = hub.ok_or(Problem::NotFound)?;
    let shown = watched.ids.split(',').filter_map(|part| {
        let (id, signature) = part.split_once(':').map_or((part, None), |(id, it)| (id, Some(it.to_owned())));
        Some((CampaignId(id.parse().ok()?), signature))
    });
    let who = (may.person.id, SessionId::of(&session));
    let receiver = hub.watch(who, shown.take(WATCHED).collect()).ok_or(Problem::TooMany)?;
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|bytes| (Ok::<_, actix_web::Error>(bytes), receiver))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-cache"))
        // Compressed, an event would wait in the compressor for the next one.
        .insert_header(("Content-Encoding", "identity"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(stream))
}
