//! io: What this process knows, in memory and in its mark.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};

use super::file::{self, Slot};
use super::store::{self, Present};
use super::{Fact, KnownRuns};
use crate::ids::RunId;

/// What this process knows. One per process.
#[derive(Default)]
pub struct Marks {
    known: Mutex<KnownRuns>,
    /// `None` where there is no folder for it: then only this process remembers.
    slot: Option<Mutex<Slot>>,
    /// What the mark said when it was written anew.
    written: Mutex<KnownRuns>,
    held: AtomicBool,
}

impl Marks {
    /// Knows from the start what stands in the marks of `installation` in this folder.
    pub fn open(dir: &Path, installation: &str) -> io::Result<Marks> {
        let (slot, facts) = Slot::take(dir, installation)?;
        let mut known = KnownRuns::default();
        facts.into_iter().for_each(|fact| known.learn(fact));
        Ok(Marks { known: Mutex::new(known), slot: Some(Mutex::new(slot)), ..Marks::default() })
    }

    pub fn known(&self) -> KnownRuns {
        self.known.lock().unwrap().clone()
    }

    /// Whether everything that is known is still there. To be asked on the connection on
    /// which something is then claimed: another one may lead to another server.
    pub fn stand(&self, conn: &mut PgConnection) -> QueryResult<bool> {
        Ok(!store::is_missing(conn, &self.written_down())?)
    }

    /// What must be there, without what stands in the runs.
    fn written_down(&self) -> KnownRuns {
        let known = self.known.lock().unwrap();
        KnownRuns {
            claims: known.claims.clone(),
            replies: known.replies.clone(),
            newest: known.newest,
            ..KnownRuns::default()
        }
    }

    pub fn knows(&self, run: RunId) -> bool {
        self.known.lock().unwrap().runs.contains_key(&run)
    }

    /// Notes what was claimed, before it is sent.
    pub fn note(&self, facts: impl IntoIterator<Item = Fact>) {
        for fact in facts {
            // In this order: what the mark that is being written anew lacks is added to it.
            self.known.lock().unwrap().learn(fact.clone());
            let added = self.slot.as_ref().map_or(Ok(()), |slot| slot.lock().unwrap().add(&fact));
            if let Err(error) = added {
                tracing::error!("the mark could not be written: {error}");
            }
        }
    }

    /// Learns what the database knows beyond what is known.
    pub fn learn(&self, present: Present) {
        self.hold(present.held);
        let mut known = self.known.lock().unwrap();
        known.forget_old(present.at);
        present.facts.into_iter().for_each(|fact| known.learn(fact));
    }

    /// Learns it before something is answered that was just written down: it is in the mark
    /// when this returns. What is missing is left to whoever watches.
    pub fn witness(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<()> {
        let known = self.known();
        let (present, missing) = store::present(conn, &known, known.open_runs(), now)?;
        if !missing {
            self.note(present.facts.into_iter().filter(|fact| !known.has(fact)));
        }
        Ok(())
    }

    /// Takes the database's word: what it lacks stands in it now as lost.
    pub fn believe(&self, present: Present) {
        self.known.lock().unwrap().believe(present.facts);
        self.hold(present.held);
    }

    /// Whether everything is held, as this process saw it last.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
        metrics::gauge!("bugle_held").set(if held { 1.0 } else { 0.0 });
    }

    /// Writes the mark anew, if it says less. Returns when it would outlive a power cut.
    pub fn write(&self) -> io::Result<()> {
        let Some(slot) = &self.slot else { return Ok(()) };
        let mut written = self.written.lock().unwrap();
        // What is noted from here on is added to both.
        let path = slot.lock().unwrap().begin();
        let known = self.known();
        if (KnownRuns { until: written.until, ..known.clone() }) == *written {
            slot.lock().unwrap().leave();
            return Ok(());
        }
        let new = file::write(&path, &known.facts());
        slot.lock().unwrap().replace(new)?;
        *written = known;
        Ok(())
    }
}
