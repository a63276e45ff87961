//! The way out, once for runs and for conversations: claim, send, settle.
//!
//! No connection is held during the long step, and a claim takes only what can
//! begin at once: there is a fixed number of places on the wire for each channel,
//! so a slow provider slows its own campaigns and nobody else's, and hardly
//! anything is ever claimed and not yet begun.
//!
//! Results are written down by a few settlers, each taking whatever has come in
//! since its last commit: many results share a commit when there are many, and
//! none waits when there are few. A place is given back when its result is written
//! down and not before: while nothing can be written, nothing more is claimed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use uuid::Uuid;

use super::lines::{Line, Term, Tried};
use super::wire::Wire;
use crate::app::App;
use crate::channels::look_ups::{self, UnansweredSend};
use crate::channels::references;
use crate::clock::uptime;
use crate::db::DbError;
use crate::deliveries::claim::Claimer;
use crate::deliveries::{self, Fate, LEASE};
use crate::ids::ChannelId;
use crate::pacing;
use crate::providers::key::SendKey;
use crate::providers::{Envelope, RejectClass, SendOutcome};
use crate::wording::Content;

/// Settlers, each with a connection while it commits.
const SETTLERS: usize = 2;

/// Where sends come from, and where what became of them is written.
pub trait Ledger: Send + Sync + 'static {
    /// What it calls a claimed send.
    type Name: Send + Sync + 'static;
    /// What became of one, as it is written.
    type Settled: Send + Sync + 'static;

    /// What is sent, for logs and metrics: `sends`, `replies`.
    const WHAT: &'static str;
    /// Results in one transaction at most.
    const AT_ONCE: usize;

    fn settled(&self, name: Self::Name, fate: Fate, begun_at: Option<DateTime<Utc>>) -> Self::Settled;

    /// Results of equal lanes are written by one settler, one transaction after another.
    fn lane(&self, settled: &Self::Settled) -> usize;

    /// Writes results down in one transaction. `batch` is a name for them: written again under it, they count once.
    fn write(
        &self,
        conn: &mut PgConnection,
        results: &[Self::Settled],
        batch: Uuid,
        shard: i16,
        now: DateTime<Utc>,
    ) -> QueryResult<()>;

    /// Whether somebody else has given them all up.
    fn are_given_up(&self, conn: &mut PgConnection, results: &[Self::Settled]) -> QueryResult<bool>;

    /// Results have been written down.
    fn written(&self) {}
}

/// What may leave, claimed in one transaction.
pub struct Batch<N> {
    /// None begins before.
    pub begins_at: Option<DateTime<Utc>>,
    /// None begins at or after.
    pub until: Option<DateTime<Utc>>,
    /// Whether consent was asked for after the claim had committed. Where it was not, nothing may begin.
    pub seen: bool,
    pub sends: Vec<Leaving<N>>,
}

/// A claimed send: what is to leave, or what becomes of it without.
pub struct Leaving<N> {
    pub name: N,
    pub what: Result<Envelope, Fate>,
    /// How often its provider has said "later" about it.
    pub refusals: i16,
}

/// What a claim came to.
pub struct ClaimedSends<N> {
    pub batches: Vec<Batch<N>>,
    /// How many it put off or left out.
    pub passed: usize,
}

/// A provider's own name for a send through one of its channels.
type Reference = (ChannelId, String, SendKey);

/// One per process and ledger.
pub struct Outbox<L: Ledger> {
    app: Data<App>,
    process: Uuid,
    ledger: Arc<L>,
    settlers: Vec<mpsc::UnboundedSender<Done<L::Settled>>>,
    pub wire: Arc<Wire>,
}

/// A result, with the place that is given back when it is written down.
struct Done<S> {
    settled: S,
    /// Under which reference its provider tells of it, if it is one that does.
    reference: Option<Reference>,
    /// What its provider is asked about later, where that may help.
    unanswered: Option<UnansweredSend>,
    place: OwnedSemaphorePermit,
}

/// What is learnt of sends apart from what becomes of them.
#[derive(Default)]
struct Learnt {
    references: Vec<Reference>,
    unanswered: Vec<UnansweredSend>,
}

/// What became of a send.
struct Sent {
    fate: Fate,
    /// When it was handed to the provider, if it was.
    begun_at: Option<DateTime<Utc>>,
    reference: Option<Reference>,
    unanswered: Option<UnansweredSend>,
}

impl<L: Ledger> Outbox<L> {
    /// Starts the settlers. Must be called inside a runtime.
    pub fn new(app: Data<App>, ledger: L) -> Arc<Self> {
        let (wire, process, ledger) = (Arc::new(Wire::default()), Uuid::new_v4(), Arc::new(ledger));
        let settlers = (0..SETTLERS)
            .map(|n| {
                let (sender, receiver) = mpsc::unbounded_channel();
                let shard = (process.as_u128() % 4) as usize * SETTLERS + n;
                tokio::spawn(settle(app.clone(), ledger.clone(), receiver, wire.clone(), shard as i16));
                sender
            })
            .collect();
        Arc::new(Outbox { app, process, ledger, settlers, wire })
    }

    /// Claims sends through a line, no more than it has `places` for, and begins them. Returns how many, and how
    /// many the claim passed over.
    ///
    /// By itself: what is claimed leaves, whoever does not wait for the answer any more.
    pub async fn claim<C, E>(
        self: &Arc<Self>,
        line: Arc<Line>,
        places: OwnedSemaphorePermit,
        claim: C,
    ) -> anyhow::Result<(usize, usize)>
    where
        C: FnOnce(&mut PgConnection, Claimer) -> Result<ClaimedSends<L::Name>, E> + Send + 'static,
        E: From<diesel::result::Error> + Send + 'static,
        anyhow::Error: From<DbError<E>>,
    {
        let Some(expected) = self.wire.expect(places.num_permits()) else { return Ok((0, 0)) };
        let me = self.clone();
        tokio::spawn(async move {
            let mut places = places;
            // Before the claim: whoever pauses afterwards waits at least as long.
            let (since, now) = (uptime(), me.app.clock.now());
            let by = Claimer { process: me.process, now: pacing::on_the_beat(now) };
            let ClaimedSends { batches, passed } = me.app.db.run(move |conn| claim(conn, by)).await?;
            let n = batches.iter().map(|batch| batch.sends.len()).sum();
            expected.were(n);
            metrics::counter!("bugle_claimed_total", "what" => L::WHAT).increment(n as u64);
            metrics::gauge!("bugle_in_flight", "what" => L::WHAT).increment(n as f64);
            for batch in batches {
                let term = Term::new(since, now, batch.begins_at, batch.until);
                let sends = batch.sends.into_iter().filter_map(|it| Some((it, places.split(1)?))).collect();
                tokio::spawn(me.clone().send_all(line.clone(), term, batch.seen, sends));
            }
            Ok((n, passed))
        })
        .await?
    }

    async fn send_all(
        self: Arc<Self>,
        line: Arc<Line>,
        term: Term,
        seen: bool,
        sends: Vec<(Leaving<L::Name>, OwnedSemaphorePermit)>,
    ) {
        let (me, line, term) = (&self, &line, &term);
        stream::iter(sends)
            .for_each_concurrent(None, |(it, place)| async move {
                let sent = me.send(line, term, seen, it.what, it.refusals).await;
                let Sent { fate, begun_at, reference, unanswered } = sent;
                let settled = me.ledger.settled(it.name, fate, begun_at);
                let lane = me.ledger.lane(&settled) % SETTLERS;
                // A settler ends only after the machine, and that only when the wire is quiet.
                let _ = me.settlers[lane].send(Done { settled, reference, unanswered, place });
            })
            .await;
    }

    async fn send(&self, line: &Line, term: &Term, seen: bool, what: Result<Envelope, Fate>, refusals: i16) -> Sent {
        let without = |fate| Sent { fate, begun_at: None, reference: None, unanswered: None };
        let envelope = match what {
            Ok(envelope) => envelope,
            Err(fate) => return without(fate),
        };
        let tried = line.send(&self.app, &envelope, term, || !seen || self.wire.is_stopping()).await;
        let now = self.app.clock.now();
        match tried {
            Tried::NotBegun if !seen => without(Fate::not_asked(now)),
            Tried::NotBegun => without(Fate::not_begun(now)),
            Tried::Sent { outcome, begun_at } => {
                let reference = line.reference(&outcome).map(|(channel, it)| (channel, it, envelope.key));
                let unanswered = begun_at.and_then(|at| line.unanswered(&envelope, &outcome, at));
                Sent { fate: fate(&envelope, refusals, outcome, now), begun_at, reference, unanswered }
            }
        }
    }

    /// Sends of this process that are on the wire or not written down yet.
    pub fn in_flight(&self) -> usize {
        self.wire.in_flight()
    }

    /// Waits until every send of this process has settled.
    pub async fn idle(&self) {
        self.wire.idle().await;
    }

    /// Claims nothing more.
    pub fn hold(&self) {
        self.wire.hold();
    }

    /// Claims nothing more and waits for what is on the wire.
    pub async fn shut_down(&self) {
        self.wire.shut_down(L::WHAT).await;
    }
}

/// What follows a try. An approved text that is refused would be refused to everybody: its run waits for it, and only
/// what an agent sends has failed.
fn fate(envelope: &Envelope, refusals: i16, outcome: SendOutcome, now: DateTime<Utc>) -> Fate {
    let is_of_run = matches!((envelope.key, &envelope.content), (SendKey::Delivery(_), Content::Template { .. }));
    match outcome {
        SendOutcome::Rejected { class: RejectClass::Template, code } if is_of_run => {
            Fate::Later { at: now, refused: false, detail: Some(code) }
        }
        outcome => deliveries::fate(refusals, outcome, now),
    }
}

/// Writes results down until nobody is left to bring any. No more of them wait than there
/// are places on the wire.
async fn settle<L: Ledger>(
    app: Data<App>,
    ledger: Arc<L>,
    mut results: mpsc::UnboundedReceiver<Done<L::Settled>>,
    wire: Arc<Wire>,
    shard: i16,
) {
    let mut done = Vec::with_capacity(L::AT_ONCE);
    while results.recv_many(&mut done, L::AT_ONCE).await > 0 {
        let (mut results, mut learnt, mut places) = (Vec::new(), Learnt::default(), Vec::new());
        for Done { settled, reference, unanswered, place } in done.drain(..) {
            results.push(settled);
            learnt.references.extend(reference);
            learnt.unanswered.extend(unanswered);
            places.push(place);
        }
        let n = results.len();
        write_down(&app, &ledger, results, learnt, shard).await;
        metrics::counter!("bugle_settled_total", "what" => L::WHAT).increment(n as u64);
        metrics::gauge!("bugle_in_flight", "what" => L::WHAT).decrement(n as f64);
        drop(places);
        wire.less(n);
        ledger.written();
    }
}

/// Writes down what came of sends, trying again until it is written.
///
/// Their places are taken meanwhile: what cannot be written down must not be followed by
/// more. The one way out is that somebody has given them up, which can only be after their
/// leases ended and has to be written as well.
async fn write_down<L: Ledger>(app: &App, ledger: &Arc<L>, results: Vec<L::Settled>, learnt: Learnt, shard: i16) {
    let (batch, results, learnt) = (Uuid::new_v4(), Arc::new(results), Arc::new(learnt));
    let leased_until = Instant::now() + LEASE.to_std().unwrap_or_default();
    loop {
        let (ledger, results, clock) = (ledger.clone(), results.clone(), app.clock.clone());
        let (them, given_up) = (ledger.clone(), results.clone());
        let learnt = learnt.clone();
        let write = move |conn: &mut PgConnection| {
            let now = clock.now();
            if learnt.references.is_empty() && learnt.unanswered.is_empty() {
                return ledger.write(conn, &results, batch, shard, now);
            }
            conn.transaction(|conn| {
                references::remember(conn, &learnt.references, now)?;
                look_ups::order(conn, &learnt.unanswered, now)?;
                ledger.write(conn, &results, batch, shard, now)
            })
        };
        let Err(error) = app.db.run(write).await else { return };
        tracing::error!("could not write down what came of {}, trying again: {error}", L::WHAT);
        let are_given_up = move |conn: &mut PgConnection| them.are_given_up(conn, &given_up);
        if leased_until <= Instant::now() && app.db.run(are_given_up).await.unwrap_or(false) {
            tracing::error!("gave up writing down what came of {}; they are unconfirmed", L::WHAT);
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
