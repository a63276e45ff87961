//! Hands due contacts to their channels: which runs are due, and how much of each may be claimed now.
//! What is claimed leaves through the [outbox](super::outbox).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::timeout;
use uuid::Uuid;

use super::lines::Lines;
use super::outbox::{Batch, ClaimedSends, Leaving, Ledger, Outbox};
use super::watcher;
use crate::app::App;
use crate::bots::{self, first::First};
use crate::campaigns;
use crate::channels::templates;
use crate::db::Error;
use crate::deliveries::actions::Leave;
use crate::deliveries::claim::Claimer;
use crate::deliveries::{self, Claim, ClaimedContact, Fate, Lease, Outcome, Settled, actions, even_part};
use crate::ids::{CampaignId, ChannelId, LeaseId, RunId};
use crate::losses;
use crate::marks::{self, Fact};
use crate::pacing::{Calendar, Holds};
use crate::providers::Envelope;
use crate::providers::key::DeliveryKey;
use crate::runs::{self, Run, RunClock};
use crate::settings;

/// Claims made side by side.
const LANES: usize = 4;
/// How often a busy dispatcher looks for runs that have started meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// One per process.
pub struct Dispatcher {
    app: Data<App>,
    pub outbox: Arc<Outbox<Runs>>,
    pub lines: Arc<Lines>,
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
    /// Must be called inside a runtime.
    pub fn new(app: Data<App>, lines: Arc<Lines>) -> Arc<Self> {
        let outbox = Outbox::new(app.clone(), Runs);
        Arc::new(Self {
            app,
            outbox,
            lines,
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
            while !due.is_empty() && looked_at.elapsed() < LOOK_AGAIN && !self.outbox.wire.is_stopping() {
                let moved = self.outbox.wire.moved();
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
            if n == before || self.outbox.wire.is_stopping() {
                return Ok(n);
            }
        }
    }

    /// Running runs whose clock has released something, and which have somebody it could be for.
    async fn due(&self) -> anyhow::Result<Vec<Run>> {
        let now = self.app.clock.now();
        let (running, calendars, limits, come_round, refused) = self
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
                let of_texts = running.iter().filter_map(|run| Some((run.id, run.channel_id, run.template.clone()?)));
                let refused = templates::refusals(conn, of_texts)?;
                QueryResult::Ok((running, calendars, limits, come_round, refused))
            })
            .await?;
        self.app.pulse.engine_looked(Instant::now());
        if self.app.clock.has_leapt() {
            return Ok(Vec::new());
        }
        *self.calendars.lock().unwrap() = calendars;
        self.texts.lock().unwrap().retain(|id, _| running.iter().any(|run| run.id == *id));
        let wants = |run: &Run| {
            // Nobody is sent words that nobody meant, and nobody is burnt on a text that is refused.
            let text_waits = refused.iter().any(|(id, _)| *id == run.id);
            !text_waits && (has_fresh(run) || come_round.contains(&run.id))
        };
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
        let wanted = line.places.available_permits().min(line.batch()).min(n_due(run, &self.holds(run), now));
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
        let (run, app) = (run.clone(), self.app.clone());
        let stand = (!run.is_test && !app.marks.knows(run.id)).then(|| stand(&run));
        let claim = move |conn: &mut PgConnection, by: Claimer| {
            let claimed = watcher::claim(&app, conn, |conn| actions::claim(conn, run.id, &leave, by))?;
            // Tests go with their draft, and so say nothing when they are missing.
            let claims = claimed.claims.iter().filter(|_| !run.is_test).map(mark);
            app.marks.note(stand.into_iter().chain(claims));
            let now = app.clock.now();
            let batches = claimed.claims.into_iter().map(|claim| batch(claim, &text, &run, now)).collect();
            Ok::<_, Error<losses::actions::Refused>>(ClaimedSends { batches, passed: claimed.passed })
        };
        Ok(match self.outbox.claim(line, places, claim).await? {
            (0, 0) => Looked::Idle,
            (n, passed) => Looked::Claimed(n + passed),
        })
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
                bots::store::first(conn, &of.body, of.bot, of.template.as_ref(), &of.fields, zone)
            })
            .await?;
        let first = Arc::new(first);
        self.texts.lock().unwrap().insert(run.id, Text { first: first.clone(), n_fields });
        Ok(first)
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

/// A claimed contact by the names of the ledger of runs.
pub struct ContactName {
    lease: Lease,
    run: RunId,
    seq: i32,
    attempt: i16,
    refusals: i16,
    /// Whether what is sent begins a conversation.
    opens: bool,
}

/// The ledger of runs.
pub struct Runs;

impl Ledger for Runs {
    type Name = ContactName;
    type Settled = Settled;
    const WHAT: &'static str = "sends";
    const AT_ONCE: usize = 500;

    fn settled(&self, name: ContactName, fate: Fate, begun_at: Option<DateTime<Utc>>) -> Settled {
        let ContactName { lease, run, seq, attempt, refusals, opens } = name;
        Settled { lease, run, seq, attempt, refusals, fate, begun_at, opens }
    }

    fn lane(&self, settled: &Settled) -> usize {
        settled.lease.id.0 as usize
    }

    fn write(
        &self,
        conn: &mut PgConnection,
        results: &[Settled],
        batch: Uuid,
        shard: i16,
        now: DateTime<Utc>,
    ) -> QueryResult<()> {
        let late = actions::settle(conn, results, batch, shard, now)?;
        if late > 0 {
            tracing::warn!(late, "{late} results came after their lease had run out");
        }
        Ok(())
    }

    fn are_given_up(&self, conn: &mut PgConnection, results: &[Settled]) -> QueryResult<bool> {
        let leases: BTreeSet<LeaseId> = results.iter().map(|it| it.lease.id).collect();
        deliveries::settle::are_closed(conn, leases.into_iter())
    }
}

/// What a claim lets leave: the first words of its run to each of its contacts.
fn batch(claim: Claim, text: &First, run: &Run, now: DateTime<Utc>) -> Batch<ContactName> {
    // A test begins no conversation.
    let opens = text.opens_a_bot() && !run.is_test;
    let Claim { lease, attempt, begins_at, until, seen, .. } = claim;
    let leaving = |contact: ClaimedContact| {
        let ClaimedContact { seq, refusals, address, .. } = contact;
        let name = ContactName { lease, run: run.id, seq, attempt, refusals, opens };
        let finally = |outcome, detail| Err(Fate::Final { outcome, detail });
        let what = match contact.barred {
            Some((outcome, why)) => finally(outcome, why),
            None => match text.render(&contact.values, now) {
                Err(unsaid) => finally(Outcome::InvalidMessage, Some(unsaid.to_string())),
                Ok(content) => {
                    let key = DeliveryKey { run: run.id, seq, attempt }.into();
                    Ok(Envelope { key, to: address, content, expires_at: run.window.ends })
                }
            },
        };
        Leaving { name, what, refusals }
    };
    let sends = claim.contacts.into_iter().map(leaving).collect();
    Batch { begins_at, until: Some(until), seen, sends }
}
