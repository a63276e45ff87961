//! Conversations as they go on by themselves: those that campaigns begin are written
//! down, bots speak up that got no reply, and replies leave: claim, send, settle.

use std::sync::Arc;

use actix_web::web::Data;
use diesel::{PgConnection, QueryResult};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::lines::{Line, Lines, Term, Tried};
use super::watcher;
use super::wire::{Wire, write_down};
use crate::app::App;
use crate::clock::uptime;
use crate::conversations::actions;
use crate::conversations::outbox::{self, Reply, SettledReply};
use crate::db::Error;
use crate::deliveries::claim::Claimer;
use crate::deliveries::{self, Fate, LEASE};
use crate::ids::ChannelId;
use crate::losses;
use crate::marks::Fact;
use crate::pacing;
use crate::providers::Part;
use crate::providers::key::MessageKey;

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
    wire: Arc<Wire>,
}

impl Talker {
    pub fn new(app: Data<App>, lines: Arc<Lines>) -> Arc<Self> {
        let process = Uuid::new_v4();
        Arc::new(Talker { app, process, lines, wire: Arc::default() })
    }

    /// Everything that is due, until nothing is. It returns while sends are on the wire; see [`idle`](Self::idle).
    pub async fn tick(self: &Arc<Self>) -> anyhow::Result<usize> {
        let mut n = 0;
        loop {
            let moved = self.open().await? + self.wake().await? + self.send().await?;
            n += moved;
            if moved == 0 || self.wire.is_stopping() {
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
                () = self.wire.stopped() => return,
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
        if waiting.is_empty() || self.wire.is_stopping() || self.app.clock.has_leapt() {
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
        let now = self.app.clock.now();
        let Some(line) = self.lines.get(channel).filter(|line| !line.is_silent(now)) else { return Ok(0) };
        let most = line.reply_places.available_permits().min(BATCH);
        let Ok(mut places) = line.reply_places.clone().try_acquire_many_owned(most as u32) else { return Ok(0) };
        let Some(expected) = self.wire.expect(most).filter(|_| most > 0) else { return Ok(0) };
        let me = self.clone();
        // By itself: what is claimed leaves, whoever does not wait for this tick any more.
        tokio::spawn(async move {
            let (since, now) = (uptime(), me.app.clock.now());
            let by = Claimer { process: me.process, now: pacing::on_the_beat(now) };
            let app = me.app.clone();
            let claim = move |conn: &mut PgConnection| {
                let replies = watcher::claim(&app, conn, |conn| outbox::claim(conn, channel, most as i64, by))?;
                app.marks.note(replies.iter().map(|it| Fact::Reply { at: by.now, id: it.id, attempt: it.attempt }));
                Ok::<_, Error<losses::actions::Refused>>(replies)
            };
            let replies = me.app.db.run(claim).await?;
            let n = replies.len();
            expected.were(n);
            let begins_at = replies.iter().filter_map(|reply| reply.begins_at).max();
            let term = Term::new(since, now, begins_at, None);
            let sends: Vec<(Reply, OwnedSemaphorePermit)> =
                replies.into_iter().filter_map(|reply| Some((reply, places.split(1)?))).collect();
            if n > 0 {
                tokio::spawn(me.send_all(line, sends, term));
            }
            Ok(n)
        })
        .await?
    }

    async fn send_all(self: Arc<Self>, line: Arc<Line>, sends: Vec<(Reply, OwnedSemaphorePermit)>, term: Term) {
        let settled = stream::iter(sends)
            .map(|(reply, place)| {
                let (me, line, term) = (&self, &line, &term);
                async move {
                    let fate = me.send_one(line, &reply, term).await;
                    (SettledReply { id: reply.id, attempt: reply.attempt, fate }, place)
                }
            })
            .buffer_unordered(BATCH)
            .ready_chunks(SETTLED_AT_ONCE);
        let mut settled = std::pin::pin!(settled);
        while let Some(results) = settled.next().await {
            let n = results.len();
            let (results, places): (Vec<SettledReply>, Vec<OwnedSemaphorePermit>) = results.into_iter().unzip();
            self.settle(results).await;
            drop(places);
            self.wire.less(n);
            // What stands behind them in their conversations can leave now.
            self.app.said.notify_one();
        }
    }

    async fn send_one(&self, line: &Line, reply: &Reply, term: &Term) -> Fate {
        if let Some(outcome) = reply.barred {
            return Fate::Final { outcome, detail: None };
        }
        let part = Part {
            id: MessageKey { id: reply.id, attempt: reply.attempt }.to_string(),
            to: reply.address.clone(),
            text: reply.text.clone(),
            choices: reply.choices.clone(),
            attempt: reply.attempt as u16,
            expires_at: self.app.clock.now() + LEASE,
        };
        let is_off = || !reply.seen || self.wire.is_stopping();
        let tried = line.send(&self.app, &part, term, is_off).await;
        let now = self.app.clock.now();
        match tried {
            Tried::NotBegun if !reply.seen => Fate::not_asked(now),
            Tried::NotBegun => Fate::not_begun(now),
            Tried::Sent { outcome, .. } => deliveries::fate(reply.refusals, outcome, now),
        }
    }

    async fn settle(&self, results: Vec<SettledReply>) {
        let results = Arc::new(results);
        let (clock, ids) = (self.app.clock.clone(), results.clone());
        let write = move |conn: &mut PgConnection| outbox::settle(conn, &results, clock.now());
        let are_given_up = move |conn: &mut PgConnection| outbox::are_given_up(conn, ids.iter().map(|it| it.id));
        write_down(&self.app, write, are_given_up).await;
    }

    /// Waits until every reply of this process has settled.
    pub async fn idle(&self) {
        self.wire.idle().await;
    }

    /// Claims nothing more.
    pub fn hold(&self) {
        self.wire.hold();
    }

    /// Claims nothing more and waits for what is on the wire.
    pub async fn shut_down(&self) {
        self.wire.shut_down("replies").await;
    }
}
