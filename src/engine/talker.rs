//! Conversations as they go on by themselves: those that campaigns begin are written
//! down, bots speak up that got no reply, and replies leave: claim, send, settle.

use std::sync::Arc;

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use tokio::sync::Notify;
use uuid::Uuid;

use super::lines::Lines;
use super::outbox::{Batch, ClaimedSends, Leaving, Ledger, Outbox};
use super::watcher;
use crate::app::App;
use crate::conversations::actions;
use crate::conversations::replies::{self, Reply, SettledReply};
use crate::db::Error;
use crate::deliveries::claim::Claimer;
use crate::deliveries::{Fate, LEASE};
use crate::ids::ChannelId;
use crate::losses;
use crate::marks::Fact;
use crate::providers::Envelope;
use crate::providers::key::MessageKey;

/// Replies in one claim at most.
const BATCH: usize = 50;
/// Conversations written down in one transaction.
const OPENED_AT_ONCE: i64 = 100;

/// One per process.
pub struct Talker {
    app: Data<App>,
    lines: Arc<Lines>,
    pub outbox: Arc<Outbox<Replies>>,
}

impl Talker {
    pub fn new(app: Data<App>, lines: Arc<Lines>) -> Arc<Self> {
        let outbox = Outbox::new(app.clone(), Replies { said: app.said.clone() });
        Arc::new(Talker { app, lines, outbox })
    }

    /// Everything that is due, until nothing is. It returns while sends are on the wire; see [`idle`](Self::idle).
    pub async fn tick(&self) -> anyhow::Result<usize> {
        let mut n = 0;
        loop {
            let moved = self.open().await? + self.wake().await? + self.send().await?;
            n += moved;
            if moved == 0 || self.outbox.wire.is_stopping() {
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
                () = self.outbox.wire.stopped() => return,
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
            .run(move |conn| QueryResult::Ok((replies::rescue(conn, now)?, replies::stop_queued(conn, now)?)))
            .await?;
        if lost > 0 {
            tracing::warn!(unconfirmed = lost, "{lost} replies of a process that died are unconfirmed");
        }
        Ok(lost + stopped)
    }

    /// Claims replies and begins to send them, while there are places. Returns how many.
    async fn send(&self) -> anyhow::Result<usize> {
        let now = self.app.clock.now();
        let waiting = self.app.db.run(move |conn| replies::channels_with_replies(conn, now)).await?;
        if waiting.is_empty() || self.outbox.wire.is_stopping() || self.app.clock.has_leapt() {
            return Ok(0);
        }
        self.lines.look_up(&self.app).await?;
        let mut n = 0;
        for channel in waiting {
            n += self.send_through(channel).await?;
        }
        Ok(n)
    }

    async fn send_through(&self, channel: ChannelId) -> anyhow::Result<usize> {
        let now = self.app.clock.now();
        let Some(line) = self.lines.get(channel).filter(|line| !line.is_silent(now)) else { return Ok(0) };
        let most = line.reply_places.available_permits().min(BATCH);
        let Ok(places) = line.reply_places.clone().try_acquire_many_owned(most as u32) else { return Ok(0) };
        if most == 0 {
            return Ok(0);
        }
        let app = self.app.clone();
        let claim = move |conn: &mut PgConnection, by: Claimer| {
            let replies = watcher::claim(&app, conn, |conn| replies::claim(conn, channel, most as i64, by))?;
            app.marks.note(replies.iter().map(|it| Fact::Reply { at: by.now, id: it.id, attempt: it.attempt }));
            Ok::<_, Error<losses::actions::Refused>>(taken(replies, by.now + LEASE))
        };
        Ok(self.outbox.claim(line, places, claim).await?.0)
    }
}

/// The ledger of conversations: the messages in them.
pub struct Replies {
    said: Arc<Notify>,
}

impl Ledger for Replies {
    type Name = MessageKey;
    type Settled = SettledReply;
    const WHAT: &'static str = "replies";
    const AT_ONCE: usize = 50;

    fn settled(&self, MessageKey { id, attempt }: MessageKey, fate: Fate, _: Option<DateTime<Utc>>) -> SettledReply {
        SettledReply { id, attempt, fate }
    }

    fn lane(&self, settled: &SettledReply) -> usize {
        settled.id.0 as usize
    }

    fn write(
        &self,
        conn: &mut PgConnection,
        results: &[SettledReply],
        _: Uuid,
        _: i16,
        now: DateTime<Utc>,
    ) -> QueryResult<()> {
        replies::settle(conn, results, now)
    }

    fn are_given_up(&self, conn: &mut PgConnection, results: &[SettledReply]) -> QueryResult<bool> {
        replies::are_given_up(conn, results.iter().map(|it| it.id))
    }

    /// What stands behind them in their conversations can leave now.
    fn written(&self) {
        self.said.notify_one();
    }
}

/// Claimed replies as they leave. They are of use until `expires_at`.
fn taken(replies: Vec<Reply>, expires_at: DateTime<Utc>) -> ClaimedSends<MessageKey> {
    let begins_at = replies.iter().filter_map(|reply| reply.begins_at).max();
    let seen = replies.iter().all(|reply| reply.seen);
    let leaving = |it: Reply| {
        let name = MessageKey { id: it.id, attempt: it.attempt };
        let what = match it.barred {
            Some(outcome) => Err(Fate::Final { outcome, detail: None }),
            None => Ok(Envelope { key: name.into(), to: it.address, content: it.content, expires_at }),
        };
        Leaving { name, what, refusals: it.refusals }
    };
    let sends = replies.into_iter().map(leaving).collect();
    ClaimedSends { batches: vec![Batch { begins_at, until: None, seen, sends }], passed: 0 }
}
