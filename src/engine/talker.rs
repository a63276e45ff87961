//! Conversations as they go on by themselves: those that campaigns begin are written
//! down, bots speak up that got no reply, and replies leave: claim, send, settle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use diesel::QueryResult;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lines::{Line, Lines};
use crate::app::App;
use crate::channels::{Part, Scope, SendOutcome};
use crate::conversations::actions;
use crate::conversations::outbox::{self, Reply, Settled};
use crate::deliveries::store::{Claimer, hold_line};
use crate::deliveries::{self, BEGIN_WITHIN, Fate, LEASE, PATIENCE};
use crate::ids::ChannelId;
use crate::pacing;

/// Replies in one claim at most.
const BATCH: usize = 50;
/// Conversations written down in one transaction.
const OPENED_AT_ONCE: i64 = 100;
/// Results written down in one transaction.
const SETTLED_AT_ONCE: usize = 50;

/// One per process.
pub struct Talker {
    app: Data<App>,
    process: Uuid,
    lines: Arc<Lines>,
    /// Replies claimed and not settled.
    in_flight: AtomicUsize,
    moved: Notify,
    stopping: CancellationToken,
}

impl Talker {
    pub fn new(app: Data<App>, lines: Arc<Lines>) -> Arc<Self> {
        let process = Uuid::new_v4();
        Arc::new(Talker {
            app,
            process,
            lines,
            in_flight: AtomicUsize::new(0),
            moved: Notify::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Everything that is due, until nothing is. It returns while sends are on the wire; see [`idle`](Self::idle).
    pub async fn tick(self: &Arc<Self>) -> anyhow::Result<usize> {
        let mut n = 0;
        loop {
            let moved = self.open().await? + self.wake().await? + self.send().await?;
            n += moved;
            if moved == 0 || self.stopping.is_cancelled() {
                return Ok(n);
            }
        }
    }

    /// Sends whenever somebody says that there is something to send, until the process stops.
    pub async fn listen(self: Arc<Self>) {
        let said = self.app.said.clone();
        loop {
            tokio::select! {
                () = said.notified() => {}
                () = self.stopping.cancelled() => return,
            }
            if let Err(error) = self.send().await {
                tracing::error!("replies: {error:#}");
            }
        }
    }

    async fn open(&self) -> anyhow::Result<usize> {
        let mut n = 0;
        loop {
            match self.app.db.run(|conn| actions::open_next(conn, OPENED_AT_ONCE)).await? {
                0 => return Ok(n),
                opened => n += opened,
            }
        }
    }

    async fn wake(&self) -> anyhow::Result<usize> {
        let now = self.app.clock.now();
        Ok(self.app.db.run(move |conn| actions::wake_next(conn, now)).await?)
    }

    /// Gives up what nobody will send any more. Returns how many replies.
    pub async fn rescue(&self) -> anyhow::Result<usize> {
        let now = self.app.clock.now();
        let (lost, stopped) = self
            .app
            .db
            .run(move |conn| QueryResult::Ok((outbox::rescue(conn, now)?, outbox::stop_queued(conn, now)?)))
            .await?;
        if lost > 0 {
            tracing::warn!(unconfirmed = lost, "{lost} replies of a process that died are unconfirmed");
        }
        Ok(lost + stopped)
    }

    /// Claims replies and begins to send them, while there are places. Returns how many.
    async fn send(self: &Arc<Self>) -> anyhow::Result<usize> {
        let now = self.app.clock.now();
        let waiting = self.app.db.run(move |conn| outbox::channels_with_replies(conn, now)).await?;
        if waiting.is_empty() || self.stopping.is_cancelled() || self.app.clock.has_leapt() {
            return Ok(0);
        }
        self.lines.look_up(&self.app).await?;
        let mut n = 0;
        for channel in waiting {
            n += self.send_through(channel).await?;
        }
        Ok(n)
    }

    async fn send_through(self: &Arc<Self>, channel: ChannelId) -> anyhow::Result<usize> {
        let Some(line) = self.lines.get(channel) else { return Ok(0) };
        let wanted = line.reply_places.available_permits().min(BATCH) as u32;
        let Ok(mut places) = line.reply_places.clone().try_acquire_many_owned(wanted) else { return Ok(0) };
        if wanted == 0 {
            return Ok(0);
        }
        // Measured from before the claim: whoever stops afterwards waits at least as long.
        let begin_by = Instant::now() + BEGIN_WITHIN;
        let by = Claimer { process: self.process, now: pacing::on_the_beat(self.app.clock.now()) };
        let replies = self.app.db.run(move |conn| outbox::claim(conn, channel, i64::from(wanted), by)).await?;
        let n = replies.len();
        if n == 0 {
            return Ok(0);
        }
        self.in_flight.fetch_add(n, Ordering::SeqCst);
        let sends: Vec<(Reply, OwnedSemaphorePermit)> =
            replies.into_iter().filter_map(|reply| Some((reply, places.split(1)?))).collect();
        drop(places);
        let me = self.clone();
        tokio::spawn(async move { me.send_all(channel, line, sends, begin_by).await });
        Ok(n)
    }

    async fn send_all(
        self: Arc<Self>,
        channel: ChannelId,
        line: Arc<Line>,
        sends: Vec<(Reply, OwnedSemaphorePermit)>,
        begin_by: Instant,
    ) {
        let settled = stream::iter(sends)
            .map(|(reply, place)| {
                let (me, line) = (&self, &line);
                async move {
                    let fate = me.send_one(channel, line, &reply, begin_by).await;
                    drop(place);
                    Settled { id: reply.id, attempt: reply.attempt, fate }
                }
            })
            .buffer_unordered(BATCH)
            .ready_chunks(SETTLED_AT_ONCE);
        let mut settled = std::pin::pin!(settled);
        while let Some(results) = settled.next().await {
            let n = results.len();
            self.write_down(results).await;
            self.in_flight.fetch_sub(n, Ordering::SeqCst);
            self.moved.notify_waiters();
            // What stands behind them in their conversations can leave now.
            self.app.said.notify_one();
        }
    }

    async fn send_one(&self, channel: ChannelId, line: &Line, reply: &Reply, begin_by: Instant) -> Fate {
        if let Some(outcome) = reply.barred {
            return Fate::Final { outcome, detail: None };
        }
        let part = Part {
            id: outbox::part_id(reply.id, reply.attempt),
            to: reply.address.clone(),
            text: reply.text.clone(),
            choices: reply.choices.clone(),
            attempt: reply.attempt as u16,
            expires_at: self.app.clock.now() + LEASE,
        };
        // The last look before it leaves: past this instant a stop may have answered.
        if !reply.seen || begin_by <= Instant::now() {
            return Fate::Later { at: self.app.clock.now(), detail: Some("not begun in time".to_owned()) };
        }
        let sent = timeout(PATIENCE, line.adapter.send(&part)).await;
        let sent = sent.unwrap_or_else(|_| SendOutcome::Unknown { code: "no answer in time".to_owned() });
        let now = self.app.clock.now();
        if let SendOutcome::RetryLater { after, scope: Scope::Channel, .. } = sent {
            let held = self.app.db.run(move |conn| hold_line(conn, channel, now + after)).await;
            if let Err(error) = held {
                tracing::error!(channel.id = %channel, "could not hold channel {channel}: {error}");
            }
        }
        deliveries::fate(reply.attempt, sent, now)
    }

    /// Writes results down; not given up before their leases are.
    async fn write_down(&self, results: Vec<Settled>) {
        let until = Instant::now() + LEASE.to_std().unwrap_or_default();
        let results = Arc::new(results);
        loop {
            let (now, results) = (self.app.clock.now(), results.clone());
            match self.app.db.run(move |conn| outbox::settle(conn, &results, now)).await {
                Ok(()) => return,
                Err(error) if Instant::now() < until => {
                    tracing::error!("could not write down replies, trying again: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    tracing::error!("gave up writing down replies; they will be unconfirmed: {error}");
                    return;
                }
            }
        }
    }

    /// Waits until every reply of this process has settled.
    pub async fn idle(&self) {
        loop {
            let moved = self.moved.notified();
            if self.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            let _ = timeout(Duration::from_millis(100), moved).await;
        }
    }

    /// Claims nothing more.
    pub fn hold(&self) {
        self.stopping.cancel();
    }

    /// Claims nothing more and waits for what is on the wire.
    pub async fn shut_down(&self) {
        self.hold();
        if timeout(PATIENCE + Duration::from_secs(5), self.idle()).await.is_err() {
            tracing::warn!("replies did not settle before shutdown; they will be unconfirmed");
        }
    }
}
