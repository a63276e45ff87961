//! io: Everybody whose widget is open: one question a second for all of them, and at once
//! when this process has written to one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::domain::{By, ChatLine};
use super::store;
use crate::app::App;
use crate::ids::VisitorId;

/// The longest that something another process wrote stays unseen.
const BEAT: Duration = Duration::from_secs(1);
/// The least time between two looks, however much is written.
const BREATH: Duration = Duration::from_millis(50);
/// A line that keeps proxies from closing a quiet stream, and tells a widget that it is one.
const PING: Duration = Duration::from_secs(15);
/// Looks with news that a slow reader may be behind; one further behind is cut off and comes back.
const BEHIND: usize = 64;
/// Messages read in one look.
const READ_AT_ONCE: i64 = 2000;
/// Pages in which one visitor may have the widget open.
const PAGES: usize = 10;
/// Visitors that are forgotten at once.
const SWEPT_AT_ONCE: i64 = 50_000;
/// Streams to one address on the internet.
const OF_ONE_ADDRESS: usize = 50;
/// Streams over all, where descriptors allow for so many.
const OF_ALL: usize = 2_000;

/// Told when this process has written something for a visitor, or has heard one.
pub(super) static NEWS: Notify = Notify::const_new();

/// One for the process.
pub struct Lobby {
    app: Data<App>,
    streams: Mutex<HashMap<u64, Stream>>,
    next: AtomicU64,
    looks: AtomicU64,
    knocks: Mutex<Knocks>,
    most: AtomicUsize,
    stop: CancellationToken,
}

/// Since when, and how often, an address has knocked.
type Knocks = HashMap<(Knock, String), (DateTime<Utc>, u32)>;

struct Stream {
    visitor: VisitorId,
    /// The address that it goes to; `None` within the machine, where a proxy may speak for many.
    from: Option<String>,
    /// The number of the last message it was given.
    seen: i64,
    to: mpsc::Sender<Bytes>,
}

/// What is limited for each address on the internet. An office may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Knock {
    /// Somebody new.
    Visitor,
    Message,
    File,
}

impl Knock {
    pub fn a_minute(self) -> u32 {
        match self {
            Knock::Visitor => 30,
            Knock::Message => 120,
            Knock::File => 20,
        }
    }
}

impl Lobby {
    /// Must be called inside a runtime; ends when [`Lobby::stop`] is called.
    pub fn start(app: Data<App>) -> Data<Lobby> {
        let lobby = Data::new(Lobby::new(app));
        tokio::spawn(keep_telling(lobby.clone()));
        lobby
    }

    /// One that looks only when it is told to.
    pub fn new(app: Data<App>) -> Lobby {
        Lobby {
            app,
            streams: Mutex::default(),
            next: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            knocks: Mutex::default(),
            most: AtomicUsize::new(OF_ALL),
            stop: CancellationToken::new(),
        }
    }

    /// Ends all streams and refuses new ones, so that the server can shut down.
    pub fn stop(&self) {
        self.stop.cancel();
        self.streams.lock().unwrap().clear();
    }

    /// How often the database was asked, for whomever.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Allows for no more than so many streams.
    pub fn limit_to(&self, most: usize) {
        self.most.store(most.min(OF_ALL), Ordering::Relaxed);
    }

    /// Begins a stream of what comes after number `seen`; `None` when the visitor, the address
    /// or all together have too many.
    pub fn enter(&self, visitor: VisitorId, seen: i64, from: Option<String>) -> Option<mpsc::Receiver<Bytes>> {
        let (to, receiver) = mpsc::channel(BEHIND);
        let mut streams = self.streams.lock().unwrap();
        streams.retain(|_, stream| !stream.to.is_closed());
        let of_visitor = streams.values().filter(|it| it.visitor == visitor).count();
        let of_address = streams.values().filter(|it| it.from.is_some() && it.from == from).count();
        let full = PAGES <= of_visitor || OF_ONE_ADDRESS <= of_address;
        if full || self.most.load(Ordering::Relaxed) <= streams.len() || self.stop.is_cancelled() {
            return None;
        }
        // Says at once that the line is open.
        let _ = to.try_send(Bytes::from_static(b": open\n\n"));
        streams.insert(self.next.fetch_add(1, Ordering::Relaxed), Stream { visitor, from, seen, to });
        NEWS.notify_one();
        Some(receiver)
    }

    /// Looks once for what anybody has missed, and gives it to them. Returns whether there may be more.
    pub async fn look(&self) -> anyhow::Result<bool> {
        let seen: Vec<(VisitorId, i64)> = {
            let mut streams = self.streams.lock().unwrap();
            streams.retain(|_, stream| !stream.to.is_closed());
            metrics::gauge!("bugle_webchat_open").set(streams.len() as f64);
            let mut least: HashMap<VisitorId, i64> = HashMap::new();
            for stream in streams.values() {
                least.entry(stream.visitor).and_modify(|seq| *seq = stream.seen.min(*seq)).or_insert(stream.seen);
            }
            least.into_iter().collect()
        };
        if seen.is_empty() {
            return Ok(false);
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("bugle_webchat_looks_total").increment(1);
        let missed = self.app.db.run(move |conn| store::missed(conn, &seen, READ_AT_ONCE)).await?;
        let n: usize = missed.values().map(Vec::len).sum();
        self.streams.lock().unwrap().retain(|_, stream| {
            let Some(lines) = missed.get(&stream.visitor) else { return true };
            let new: Vec<&ChatLine> = lines.iter().filter(|line| stream.seen < line.seq).collect();
            let Some(last) = new.last() else { return true };
            stream.seen = last.seq;
            stream.to.try_send(new.into_iter().map(event).collect::<String>().into()).is_ok()
        });
        Ok(READ_AT_ONCE as usize <= n || missed.values().any(|lines| store::OF_ONE <= lines.len() as i64))
    }

    fn ping(&self) {
        let ping = Bytes::from_static(b": ping\n\n");
        self.streams.lock().unwrap().retain(|_, stream| stream.to.try_send(ping.clone()).is_ok());
    }

    /// Counts one more of these from an address. Says until when it is one too many, if so.
    pub fn knock(&self, knock: Knock, from: &str, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        let minute = TimeDelta::seconds(60);
        let mut knocks = self.knocks.lock().unwrap();
        if knocks.len() > 10_000 {
            knocks.retain(|_, (since, _)| now < *since + minute);
        }
        let (since, n) = knocks.entry((knock, from.to_owned())).or_insert((now, 0));
        if *since + minute <= now {
            (*since, *n) = (now, 0);
        }
        if knock.a_minute() <= *n {
            return Err(*since + minute);
        }
        *n += 1;
        Ok(())
    }
}

/// Forgets visitors who opened a page a day ago and never said a word; the widget makes them known
/// anew when they come back.
pub async fn sweep(app: &App) -> anyhow::Result<()> {
    let then = app.clock.now() - TimeDelta::days(1);
    Ok(app.db.run(move |conn| store::sweep(conn, then, SWEPT_AT_ONCE)).await.map(drop)?)
}

async fn keep_telling(lobby: Data<Lobby>) {
    let stop = lobby.stop.clone();
    let work = async {
        let mut pinged = Instant::now();
        loop {
            match lobby.look().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!("web chat: {error}"),
            }
            if PING <= pinged.elapsed() {
                lobby.ping();
                pinged = Instant::now();
            }
            tokio::time::sleep(BREATH).await;
            let _ = tokio::time::timeout(BEAT - BREATH, NEWS.notified()).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

/// A message as the widget reads it.
pub(super) fn wire(line: &ChatLine) -> serde_json::Value {
    let (by, id) = match &line.by {
        By::Us => ("us", None),
        By::Visitor { client_id } => ("visitor", Some(client_id)),
    };
    json!({ "seq": line.seq, "by": by, "id": id, "text": line.text, "choices": line.choices, "at": line.at })
}

/// One server-sent event; its id is what a widget comes back with.
fn event(line: &ChatLine) -> String {
    format!("id: {}\ndata: {}\n\n", line.seq, wire(line))
}
