//! Hands due contacts to their channels: claim, send, settle.
//!
//! No connection is held during the long step, and a claim takes only what can
//! begin at once: there is a fixed number of places on the wire for each channel,
//! so a slow provider slows its own campaigns and nobody else's, and hardly
//! anything is ever claimed and not yet begun.
//!
//! Results are written down by a few settlers, each taking whatever has come in
//! since its last commit: many results share a commit when there are many, and
//! none waits when there are few.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lines::Lines;
use crate::app::App;
use crate::bots::{self, first::First};
use crate::channels::{Channel, Part, Scope, SendOutcome};
use crate::deliveries::actions::{Claimed, Leave};
use crate::deliveries::store::Claimer;
use crate::deliveries::{
    self, BEGIN_WITHIN, Claim, Contact, Fate, Outcome, PATIENCE, PartId, Settled, actions, even_part,
};
use crate::ids::{CampaignId, ChannelId, RunId};
use crate::pacing::{self, Calendar, Holds};
use crate::runs::{self, Clock, Run};
use crate::settings::{self, Cap};

/// Contacts in one claim at most. Larger batches cost less each, smaller ones
/// leave fewer unknown when the process is killed.
const BATCH: usize = 100;
/// Claims made side by side.
const LANES: usize = 4;
/// Settlers, each with a connection while it commits.
const SETTLERS: usize = 2;
/// Results in one commit at most.
const SETTLED_AT_ONCE: usize = 500;
/// How often a busy dispatcher looks for runs that have started meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// One per process.
pub struct Dispatcher {
    app: Data<App>,
    process: Uuid,
    settlers: Vec<mpsc::UnboundedSender<Settled>>,
    wire: Arc<Wire>,
    lines: Arc<Lines>,
    /// When campaigns may not send, as it was when they were looked over last.
    calendars: Mutex<HashMap<CampaignId, Calendar>>,
    /// The most messages a contact may get, as it was then.
    cap: Mutex<Option<Cap>>,
    /// Of channels whose limit is not enough for all their runs: what each run gets of it, a minute.
    parts: Mutex<HashMap<ChannelId, f64>>,
    texts: Mutex<HashMap<RunId, Text>>,
    stopping: CancellationToken,
}

/// Sends of this process that are claimed and not settled.
#[derive(Default)]
struct Wire {
    n: AtomicUsize,
    /// Told whenever a send settles or a place becomes free.
    moved: Notify,
}

impl Wire {
    fn less(&self, n: usize) {
        self.n.fetch_sub(n, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

/// What a run says first, and how many names it knew when that was read.
struct Text {
    first: Arc<First>,
    n_fields: usize,
}

/// What came of looking at a run.
enum Looked {
    /// So many contacts were claimed, put off or left out; there may be more.
    Claimed(usize),
    /// No place on the wire.
    NoPlace,
    /// Nothing is due.
    Idle,
}

impl Dispatcher {
    /// Starts the settlers. Must be called inside a runtime.
    pub fn new(app: Data<App>) -> Arc<Self> {
        let wire = Arc::new(Wire::default());
        let process = Uuid::new_v4();
        let settlers = (0..SETTLERS)
            .map(|n| {
                let (sender, receiver) = mpsc::unbounded_channel();
                let shard = (process.as_u128() % 4) as usize * SETTLERS + n;
                tokio::spawn(settle(app.clone(), receiver, wire.clone(), shard as i16));
                sender
            })
            .collect();
        Arc::new(Self {
            app,
            process,
            settlers,
            wire,
            lines: Arc::default(),
            calendars: Mutex::default(),
            cap: Mutex::default(),
            parts: Mutex::default(),
            texts: Mutex::default(),
            stopping: CancellationToken::new(),
        })
    }

    /// Claims and begins everything that is due, until nothing is. Returns how many contacts.
    ///
    /// It returns while sends are on the wire; see [`idle`](Self::idle).
    pub async fn tick(&self) -> anyhow::Result<usize> {
        let mut n = 0;
        loop {
            self.lines.look_up(&self.app).await?;
            let mut due = self.due().await?;
            let looked_at = Instant::now();
            if due.is_empty() {
                return Ok(n);
            }
            let before = n;
            // Those that had something come round again until it is time to look for others.
            while !due.is_empty() && looked_at.elapsed() < LOOK_AGAIN && !self.stopping.is_cancelled() {
                let moved = self.wire.moved.notified();
                let looked: Vec<(Run, anyhow::Result<Looked>)> = stream::iter(due)
                    .map(|run| async move {
                        let looked = self.look(&run).await;
                        (run, looked)
                    })
                    .buffer_unordered(LANES)
                    .collect()
                    .await;
                due = Vec::new();
                let mut claimed = 0;
                for (run, looked) in looked {
                    match looked {
                        // The others go on; the next tick looks at this one again.
                        Err(error) => tracing::error!(run.id = %run.id, "run {}: {error:#}", run.id),
                        Ok(Looked::Claimed(k)) => {
                            claimed += k;
                            due.push(run);
                        }
                        Ok(Looked::NoPlace) => due.push(run),
                        Ok(Looked::Idle) => {}
                    }
                }
                n += claimed;
                if claimed == 0 && !due.is_empty() {
                    let _ = timeout(LOOK_AGAIN.saturating_sub(looked_at.elapsed()), moved).await;
                }
            }
            if n == before || self.stopping.is_cancelled() {
                return Ok(n);
            }
        }
    }

    /// Running runs whose clock has released something, and which have somebody it could be for.
    async fn due(&self) -> anyhow::Result<Vec<Run>> {
        let now = self.app.clock.now();
        let (running, calendars, cap, limits, come_round) = self
            .app
            .db
            .run(move |conn| {
                let running = runs::store::running(conn)?;
                let campaigns: BTreeSet<i64> = running.iter().map(|run| run.campaign_id.0).collect();
                let campaigns: Vec<i64> = campaigns.into_iter().collect();
                let calendars = settings::calendars::of_campaigns(conn, &campaigns)?;
                let cap = settings::store::house(conn)?.cap;
                let limits = deliveries::store::limits(conn)?;
                let without = running.iter().filter(|run| !has_fresh(run)).map(|run| run.id.0).collect();
                let come_round = deliveries::store::with_due_retries(conn, without, now)?;
                QueryResult::Ok((running, calendars, cap, limits, come_round))
            })
            .await?;
        self.app.pulse.engine_looked();
        if self.app.clock.has_leapt() {
            return Ok(Vec::new());
        }
        *self.calendars.lock().unwrap() = calendars;
        *self.cap.lock().unwrap() = cap;
        self.texts.lock().unwrap().retain(|id, _| running.iter().any(|run| run.id == *id));
        let wants = |run: &Run| has_fresh(run) || come_round.contains(&run.id);
        let running: Vec<Run> = running.into_iter().filter(wants).collect();
        let mut demands: HashMap<ChannelId, Vec<f64>> = HashMap::new();
        for run in running.iter().filter(|run| limits.contains_key(&run.channel_id)) {
            if let Some(demand) = demand(run, &self.holds(run), now) {
                demands.entry(run.channel_id).or_default().push(demand);
            }
        }
        *self.parts.lock().unwrap() = demands
            .into_iter()
            .filter_map(|(channel, mut demands)| Some((channel, even_part(f64::from(limits[&channel]), &mut demands)?)))
            .collect();
        let mut due: Vec<Run> = running.into_iter().filter(|run| n_due(run, &self.holds(run), now) > 0).collect();
        // Nobody is always first.
        if !due.is_empty() {
            let first = now.timestamp_millis().unsigned_abs() as usize % due.len();
            due.rotate_left(first);
        }
        Ok(due)
    }

    /// When this run may not send.
    fn holds(&self, run: &Run) -> Holds {
        // Somebody waits beside the phone.
        if run.is_test {
            return Holds::none();
        }
        let calendars = self.calendars.lock().unwrap();
        calendars
            .get(&run.campaign_id)
            .map_or(Holds::none(), |it| it.closed(run.id.0, run.window.starts, run.window.ends))
    }

    async fn look(&self, run: &Run) -> anyhow::Result<Looked> {
        let holds = self.holds(run);
        let Some(line) = self.lines.get(run.channel_id) else {
            return Ok(Looked::Idle);
        };
        // No more than it may need: other runs of the channel want places, too.
        let wanted = line.places.available_permits().min(BATCH).min(n_due(run, &holds, self.app.clock.now()));
        let Ok(mut places) = line.places.clone().try_acquire_many_owned(wanted as u32) else {
            return Ok(Looked::NoPlace);
        };
        if places.num_permits() == 0 {
            return Ok(Looked::NoPlace);
        }
        // Measured from before the claim: whoever pauses afterwards waits at least as long.
        let begin_by = Instant::now() + BEGIN_WITHIN;
        let (id, most) = (run.id, places.num_permits() as i64);
        let by = Claimer { process: self.process, now: pacing::on_the_beat(self.app.clock.now()) };
        // Counted before they are claimed: whoever waits for the wire to fall silent
        // must not look between the claim and the counting.
        self.wire.n.fetch_add(most as usize, Ordering::SeqCst);
        if self.stopping.is_cancelled() {
            self.wire.less(most as usize);
            return Ok(Looked::Idle);
        }
        let part = self.parts.lock().unwrap().get(&run.channel_id).copied();
        let leave = Leave { most, part, holds, cap: *self.cap.lock().unwrap() };
        let claimed = self.app.db.run(move |conn| actions::claim(conn, id, &leave, by)).await;
        let claims = claimed.iter().flat_map(|claimed| &claimed.claims);
        let n: usize = claims.map(|claim| claim.contacts.len()).sum();
        self.wire.less(most as usize - n);
        let Claimed { claims, passed, fields } = claimed?;
        if n == 0 {
            drop(places);
            self.wire.moved.notify_waiters();
            return Ok(if passed > 0 { Looked::Claimed(passed) } else { Looked::Idle });
        }
        metrics::counter!("bugle_claimed_total").increment(n as u64);
        metrics::gauge!("bugle_in_flight").increment(n as f64);
        let text = self.text(run, &fields).await?;
        for claim in claims {
            let sends: Vec<Send> = claim
                .contacts
                .iter()
                .filter_map(|contact| Some((contact.clone(), places.split(1)?)))
                .map(|(contact, place)| Send { contact, _place: place })
                .collect();
            let job = Job {
                app: self.app.clone(),
                adapter: line.adapter.clone(),
                text: text.clone(),
                begins: matches!(*text, First::Bot(..)) && !run.is_test,
                expires_at: run.window.ends,
                begin_by,
                settler: self.settlers[claim.lease.0 as usize % SETTLERS].clone(),
                wire: self.wire.clone(),
            };
            tokio::spawn(job.send_all(claim, sends));
        }
        Ok(Looked::Claimed(n + passed))
    }

    /// The text of a run, parsed once. It was pinned when the run was made; only the
    /// names it may use can become more, when contacts are added.
    async fn text(&self, run: &Run, fields: &[String]) -> anyhow::Result<Arc<First>> {
        let known = |texts: &HashMap<RunId, Text>| {
            texts.get(&run.id).filter(|text| text.n_fields == fields.len()).map(|text| text.first.clone())
        };
        if let Some(first) = known(&self.texts.lock().unwrap()) {
            return Ok(first);
        }
        let (of, names) = (run.clone(), fields.to_vec());
        let first = self
            .app
            .db
            .run(move |conn| {
                let (_, zone) = deliveries::store::place(conn, &of)?;
                bots::store::first(conn, &of.body, of.bot, &names, zone)
            })
            .await?;
        let first = Arc::new(first);
        self.texts.lock().unwrap().insert(run.id, Text { first: first.clone(), n_fields: fields.len() });
        Ok(first)
    }

    /// The channels, for others in this process who send through them.
    pub fn lines(&self) -> Arc<Lines> {
        self.lines.clone()
    }

    /// Sends of this process that are on the wire or not written down yet.
    pub fn in_flight(&self) -> usize {
        self.wire.n.load(Ordering::SeqCst)
    }

    /// Waits until every send of this process has settled.
    pub async fn idle(&self) {
        loop {
            let moved = self.wire.moved.notified();
            if self.in_flight() == 0 {
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
            tracing::warn!(left = self.in_flight(), "sends did not settle before shutdown; they will be unconfirmed");
        }
    }
}

/// How many sends its clock has released and nobody has claimed; 0 when looking
/// closer would be of no use. A clock behind what was claimed, because a hold was
/// added to the past, is looked at: it is set right there.
fn n_due(run: &Run, holds: &Holds, now: DateTime<Utc>) -> usize {
    if holds.is_closed(now) {
        return 0;
    }
    match run.clock {
        Clock::Started(clock) if now < run.window.ends => {
            let ahead = clock.past(holds, now).due(now) - run.released;
            if ahead < 0 { 1 } else { ahead as usize }
        }
        Clock::Started(_) | Clock::Unstarted { .. } => 0,
    }
}

/// Whether there is somebody whose turn may come for the first time. Others may still
/// come round who were held, or told to wait.
fn has_fresh(run: &Run) -> bool {
    run.unclaimed() > 0 && run.canary_left() != Some(0)
}

/// How many sends a minute a run would like to make; `None` when it may make none now.
fn demand(run: &Run, holds: &Holds, now: DateTime<Utc>) -> Option<f64> {
    let is_open = !holds.is_closed(now) && now < run.window.ends;
    is_open.then(|| run.clock.rate().max(n_due(run, holds, now) as f64))
}

struct Send {
    contact: Contact,
    /// Given back when the send is over.
    _place: OwnedSemaphorePermit,
}

/// What the sends of one claim share.
struct Job {
    app: Data<App>,
    adapter: Arc<dyn Channel>,
    text: Arc<First>,
    /// Whether what it sends begins conversations: a test does not.
    begins: bool,
    expires_at: DateTime<Utc>,
    begin_by: Instant,
    settler: mpsc::UnboundedSender<Settled>,
    wire: Arc<Wire>,
}

impl Job {
    async fn send_all(self, claim: Claim, sends: Vec<Send>) {
        let (job, claim) = (&self, &claim);
        stream::iter(sends)
            .for_each_concurrent(None, |send| async move {
                let (fate, began_at) = job.send(claim, &send.contact).await;
                let (lease, run, seq, attempt) = (claim.lease, claim.run, send.contact.seq, claim.attempt);
                drop(send);
                job.wire.moved.notify_waiters();
                // A settler ends only after the dispatcher, and that only when the wire is quiet.
                let _ = job.settler.send(Settled { lease, run, seq, attempt, fate, began_at });
            })
            .await;
    }

    /// What became of it, and when a bot took its turn in it.
    async fn send(&self, claim: &Claim, contact: &Contact) -> (Fate, Option<DateTime<Utc>>) {
        let finally = |outcome, detail: Option<String>| (Fate::Final { outcome, detail }, None);
        let began_at = self.app.clock.now();
        if let Some(barred) = &contact.barred {
            let (outcome, why) = barred.clone();
            return finally(outcome, why);
        }
        let said = match self.text.render(&contact.values, began_at) {
            Ok(said) => said,
            Err(unsaid) => return finally(Outcome::InvalidMessage, Some(unsaid.to_string())),
        };
        let id = PartId { run: claim.run, seq: contact.seq, attempt: claim.attempt };
        let part = Part {
            id: id.to_string(),
            to: contact.address.clone(),
            text: said.text,
            choices: said.choices,
            attempt: claim.attempt as u16,
            expires_at: self.expires_at,
        };
        // The last look before it leaves. Past this instant a pause or stop may have
        // answered, so what has not begun goes back untouched.
        if !claim.seen || self.begin_by <= Instant::now() {
            let at = self.app.clock.now();
            return (Fate::Later { at, detail: Some("not begun in time".to_owned()) }, None);
        }
        let sent = timeout(PATIENCE, self.adapter.send(&part)).await;
        let sent = sent.unwrap_or_else(|_| SendOutcome::Unknown { code: "no answer in time".to_owned() });
        let now = self.app.clock.now();
        if let SendOutcome::RetryLater { after, scope: Scope::Channel, .. } = sent {
            let (run, until) = (claim.run, now + after);
            let held = self.app.db.run(move |conn| actions::hold_channel(conn, run, Scope::Channel, until)).await;
            if let Err(error) = held {
                tracing::error!(run.id = %run, "could not hold the channel of run {run}: {error}");
            }
        }
        let began_at = self.begins.then_some(began_at);
        (deliveries::fate(claim.attempt, sent, now), began_at)
    }
}

/// Writes results down until nobody is left to bring any.
async fn settle(app: Data<App>, mut results: mpsc::UnboundedReceiver<Settled>, wire: Arc<Wire>, shard: i16) {
    let mut batch = Vec::with_capacity(SETTLED_AT_ONCE);
    while results.recv_many(&mut batch, SETTLED_AT_ONCE).await > 0 {
        let (n, name) = (batch.len(), Uuid::new_v4());
        let batch = Arc::new(std::mem::take(&mut batch));
        // Not given up before the leases are: until then nobody else speaks for these sends.
        let until = Instant::now() + deliveries::LEASE.to_std().unwrap_or_default();
        loop {
            let (now, results) = (app.clock.now(), batch.clone());
            match app.db.run(move |conn| actions::settle(conn, &results, name, shard, now)).await {
                Ok(0) => break,
                Ok(late) => {
                    tracing::warn!(late, "{late} results came after their lease had run out");
                    break;
                }
                Err(error) if Instant::now() < until => {
                    tracing::error!("could not write down {n} results, trying again: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    tracing::error!("gave up writing down {n} results; they will be unconfirmed: {error}");
                    break;
                }
            }
        }
        metrics::counter!("bugle_settled_total").increment(n as u64);
        metrics::gauge!("bugle_in_flight").decrement(n as f64);
        wire.less(n);
    }
}
