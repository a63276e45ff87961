//! Hands due contacts to their channels: claim, send, settle.
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

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use uuid::Uuid;

use super::lines::{Line, Lines, Term, Tried};
use super::watcher;
use super::wire::{Expected, Wire, write_down};
use crate::app::App;
use crate::bots::{self, first::First};
use crate::campaigns;
use crate::clock::uptime;
use crate::db::Error;
use crate::deliveries::actions::{Claimed, Leave};
use crate::deliveries::claim::Claimer;
use crate::deliveries::{self, Claim, ClaimedContact, Fate, Outcome, Settled, actions, even_part};
use crate::ids::{CampaignId, ChannelId, LeaseId, RunId};
use crate::losses;
use crate::marks::{self, Fact};
use crate::pacing::{self, Calendar, Holds};
use crate::providers::Part;
use crate::providers::key::DeliveryKey;
use crate::runs::{self, Run, RunClock};
use crate::settings;

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
    settlers: Vec<mpsc::UnboundedSender<Done>>,
    wire: Arc<Wire>,
    lines: Arc<Lines>,
    /// When campaigns may not send, as it was when they were looked over last. Good for
    /// finding runs worth a look; a claim asks anew.
    calendars: Mutex<HashMap<CampaignId, Calendar>>,
    /// Of channels whose limit is not enough for all their runs: what each run gets of it, a minute.
    parts: Mutex<HashMap<ChannelId, f64>>,
    texts: Mutex<HashMap<RunId, Text>>,
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
            parts: Mutex::default(),
            texts: Mutex::default(),
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
            while !due.is_empty() && looked_at.elapsed() < LOOK_AGAIN && !self.wire.is_stopping() {
                let moved = self.wire.moved();
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
            if n == before || self.wire.is_stopping() {
                return Ok(n);
            }
        }
    }

    /// Running runs whose clock has released something, and which have somebody it could be for.
    async fn due(&self) -> anyhow::Result<Vec<Run>> {
        let now = self.app.clock.now();
        let (running, calendars, limits, come_round) = self
            .app
            .db
            .run(move |conn| {
                let running = runs::store::running(conn)?;
                let campaigns: BTreeSet<CampaignId> = running.iter().map(|run| run.campaign_id).collect();
                let campaigns: Vec<CampaignId> = campaigns.into_iter().collect();
                let calendars = settings::calendars::of_campaigns(conn, &campaigns)?;
                let limits = crate::channels::room::limits(conn)?;
                let without = running.iter().filter(|run| !has_fresh(run)).map(|run| run.id.0).collect();
                let come_round = deliveries::claim::with_due_retries(conn, without, now)?;
                QueryResult::Ok((running, calendars, limits, come_round))
            })
            .await?;
        self.app.pulse.engine_looked(Instant::now());
        if self.app.clock.has_leapt() {
            return Ok(Vec::new());
        }
        *self.calendars.lock().unwrap() = calendars;
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
        let now = self.app.clock.now();
        let Some(line) = self.lines.get(run.channel_id).filter(|line| !line.is_silent(now)) else {
            return Ok(Looked::Idle);
        };
        // No more than it may need: other runs of the channel want places, too.
        let wanted = line.places.available_permits().min(BATCH).min(n_due(run, &self.holds(run), now));
        let Ok(places) = line.places.clone().try_acquire_many_owned(wanted as u32) else {
            return Ok(Looked::NoPlace);
        };
        let most = places.num_permits();
        if most == 0 {
            return Ok(Looked::NoPlace);
        }
        // Before the claim: what is claimed has everything that it needs to leave.
        let text = self.text(run).await?;
        let part = self.parts.lock().unwrap().get(&run.channel_id).copied();
        let leave = Leave { most: most as i64, part, n_fields: run.fields.len() };
        let Some(expected) = self.wire.expect(most) else { return Ok(Looked::Idle) };
        let order = Order {
            app: self.app.clone(),
            process: self.process,
            run: run.clone(),
            leave,
            line,
            text,
            places,
            expected,
            settlers: self.settlers.clone(),
            wire: self.wire.clone(),
        };
        // By itself: what is claimed leaves, whoever does not wait for this tick any more.
        tokio::spawn(order.carry_out()).await?
    }

    /// The text of a run, parsed once. It was pinned when the run was made; only the
    /// names it may use can become more, when contacts are added.
    async fn text(&self, run: &Run) -> anyhow::Result<Arc<First>> {
        let n_fields = run.fields.len();
        let known = |texts: &HashMap<RunId, Text>| {
            texts.get(&run.id).filter(|text| text.n_fields == n_fields).map(|text| text.first.clone())
        };
        if let Some(first) = known(&self.texts.lock().unwrap()) {
            return Ok(first);
        }
        let of = run.clone();
        let first = self
            .app
            .db
            .run(move |conn| {
                let zone = campaigns::store::find(conn, of.campaign_id)?.zone;
                bots::store::first(conn, &of.body, of.bot, &of.fields, zone)
            })
            .await?;
        let first = Arc::new(first);
        self.texts.lock().unwrap().insert(run.id, Text { first: first.clone(), n_fields });
        Ok(first)
    }

    /// The channels, for others in this process who send through them.
    pub fn lines(&self) -> Arc<Lines> {
        self.lines.clone()
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
        self.wire.shut_down("sends").await;
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
        RunClock::Started(clock) if now < run.window.ends => {
            let ahead = clock.past(holds, now).due(now) - run.released;
            if ahead < 0 { 1 } else { ahead as usize }
        }
        RunClock::Started(_) | RunClock::Unstarted { .. } => 0,
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

/// What the mark says of a run.
fn stand(run: &Run) -> Fact {
    let stand = marks::Stand {
        schedule: run.schedule_id,
        name: run.name.clone(),
        state: run.state.word().to_owned(),
        next_seq: run.next_seq,
        ends_at: run.window.ends,
    };
    Fact::Run { id: run.id, stand }
}

/// What the mark says of a claim.
fn mark(claim: &Claim) -> Fact {
    let next_seq = claim.contacts.iter().map(|contact| contact.seq + 1).max().unwrap_or(1);
    let lease = claim.lease;
    Fact::Claim(marks::ClaimMark {
        at: lease.taken_at,
        run: claim.run,
        next_seq,
        lease: lease.id,
        process: lease.process,
    })
}

/// All that it takes to claim contacts of a run and to send to them.
struct Order {
    app: Data<App>,
    process: Uuid,
    run: Run,
    leave: Leave,
    line: Arc<Line>,
    text: Arc<First>,
    places: OwnedSemaphorePermit,
    expected: Expected,
    settlers: Vec<mpsc::UnboundedSender<Done>>,
    wire: Arc<Wire>,
}

impl Order {
    /// Claims, and begins what it claimed.
    async fn carry_out(self) -> anyhow::Result<Looked> {
        let Order { app, process, run, leave, line, text, mut places, expected, settlers, wire } = self;
        // Before the claim: whoever pauses afterwards waits at least as long.
        let (since, now) = (uptime(), app.clock.now());
        let by = Claimer { process, now: pacing::on_the_beat(now) };
        let (id, is_test, marks) = (run.id, run.is_test, app.clone());
        let stand = (!is_test && !app.marks.knows(id)).then(|| stand(&run));
        let claim = move |conn: &mut PgConnection| {
            let claimed = watcher::claim(&marks, conn, |conn| actions::claim(conn, id, &leave, by))?;
            // Tests go with their draft, and so say nothing when they are missing.
            let claims = claimed.claims.iter().filter(|_| !is_test).map(mark);
            marks.marks.note(stand.into_iter().chain(claims));
            Ok::<_, Error<losses::actions::Refused>>(claimed)
        };
        let Claimed { claims, passed } = app.db.run(claim).await?;
        let n: usize = claims.iter().map(|claim| claim.contacts.len()).sum();
        expected.were(n);
        if n == 0 {
            return Ok(if passed > 0 { Looked::Claimed(passed) } else { Looked::Idle });
        }
        metrics::counter!("bugle_claimed_total").increment(n as u64);
        metrics::gauge!("bugle_in_flight").increment(n as f64);
        for claim in claims {
            let sends: Vec<(ClaimedContact, OwnedSemaphorePermit)> =
                claim.contacts.iter().filter_map(|contact| Some((contact.clone(), places.split(1)?))).collect();
            let job = Job {
                app: app.clone(),
                line: line.clone(),
                text: text.clone(),
                opens: matches!(*text, First::Bot(..)) && !run.is_test,
                expires_at: run.window.ends,
                term: Term::new(since, now, claim.begins_at, Some(claim.until)),
                settler: settlers[claim.lease.id.0 as usize % SETTLERS].clone(),
                wire: wire.clone(),
            };
            tokio::spawn(job.send_all(claim, sends));
        }
        Ok(Looked::Claimed(n + passed))
    }
}

/// A result, with the place that is given back when it is written down.
struct Done {
    settled: Settled,
    place: OwnedSemaphorePermit,
}

/// What the sends of one claim share.
struct Job {
    app: Data<App>,
    line: Arc<Line>,
    text: Arc<First>,
    /// Whether what it sends begins conversations: a test does not.
    opens: bool,
    expires_at: DateTime<Utc>,
    term: Term,
    settler: mpsc::UnboundedSender<Done>,
    wire: Arc<Wire>,
}

impl Job {
    async fn send_all(self, claim: Claim, sends: Vec<(ClaimedContact, OwnedSemaphorePermit)>) {
        let (job, claim) = (&self, &claim);
        stream::iter(sends)
            .for_each_concurrent(None, |(contact, place)| async move {
                let (fate, begun_at) = job.send(claim, &contact).await;
                let settled = Settled {
                    lease: claim.lease,
                    run: claim.run,
                    seq: contact.seq,
                    attempt: claim.attempt,
                    refusals: contact.refusals,
                    fate,
                    begun_at,
                    opens: job.opens,
                };
                // A settler ends only after the dispatcher, and that only when the wire is quiet.
                let _ = job.settler.send(Done { settled, place });
            })
            .await;
    }

    /// What became of it, and when it was handed to the provider, if it was.
    async fn send(&self, claim: &Claim, contact: &ClaimedContact) -> (Fate, Option<DateTime<Utc>>) {
        let finally = |outcome, detail: Option<String>| (Fate::Final { outcome, detail }, None);
        if let Some(barred) = &contact.barred {
            let (outcome, why) = barred.clone();
            return finally(outcome, why);
        }
        let said = match self.text.render(&contact.values, self.app.clock.now()) {
            Ok(said) => said,
            Err(unsaid) => return finally(Outcome::InvalidMessage, Some(unsaid.to_string())),
        };
        let id = DeliveryKey { run: claim.run, seq: contact.seq, attempt: claim.attempt };
        let part = Part {
            id: id.to_string(),
            to: contact.address.clone(),
            text: said.text,
            choices: said.choices,
            attempt: claim.attempt as u16,
            expires_at: self.expires_at,
        };
        let is_off = || !claim.seen || self.wire.is_stopping();
        let tried = self.line.send(&self.app, &part, &self.term, is_off).await;
        let now = self.app.clock.now();
        match tried {
            Tried::NotBegun if !claim.seen => (Fate::not_asked(now), None),
            Tried::NotBegun => (Fate::not_begun(now), None),
            Tried::Sent { outcome, begun_at } => (deliveries::fate(contact.refusals, outcome, now), Some(begun_at)),
        }
    }
}

/// Writes results down until nobody is left to bring any. No more of them wait than there
/// are places on the wire.
async fn settle(app: Data<App>, mut results: mpsc::UnboundedReceiver<Done>, wire: Arc<Wire>, shard: i16) {
    let mut batch = Vec::with_capacity(SETTLED_AT_ONCE);
    while results.recv_many(&mut batch, SETTLED_AT_ONCE).await > 0 {
        let (n, name) = (batch.len(), Uuid::new_v4());
        let (results, places): (Vec<Settled>, Vec<OwnedSemaphorePermit>) =
            batch.drain(..).map(|done: Done| (done.settled, done.place)).unzip();
        let leases: BTreeSet<LeaseId> = results.iter().map(|it| it.lease.id).collect();
        let (results, leases) = (Arc::new(results), Arc::new(leases));
        let clock = app.clock.clone();
        let write = move |conn: &mut PgConnection| {
            let late = actions::settle(conn, &results, name, shard, clock.now())?;
            if late > 0 {
                tracing::warn!(late, "{late} results came after their lease had run out");
            }
            Ok(())
        };
        let are_given_up = move |conn: &mut PgConnection| deliveries::settle::are_closed(conn, leases.iter().copied());
        write_down(&app, write, are_given_up).await;
        metrics::counter!("bugle_settled_total").increment(n as u64);
        metrics::gauge!("bugle_in_flight").decrement(n as f64);
        drop(places);
        wire.less(n);
    }
}
