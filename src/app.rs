//! What every handler and every tick may use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;
use crate::marks::Marks;
use crate::providers::Providers;
use crate::turns::Turns;

#[derive(Clone)]
pub struct App {
    pub db: Db,
    /// For what must be answered whatever else goes on: PAUSE, RESUME, STOP, signing in.
    pub vital: Db,
    pub clock: Clock,
    pub settings: Settings,
    /// Where the sandbox's carrier keeps its books; the database of the product, unless it was told otherwise.
    pub books: Db,
    pub providers: Providers,
    /// What this process knows to have been written down.
    pub marks: Arc<Marks>,
    /// Told when a reply waits to leave, so that nobody waits for the next tick.
    pub said: Arc<Notify>,
    /// Places for what is slow.
    pub turns: Arc<Turns>,
    /// When this process last saw that it lives.
    pub pulse: Arc<Pulse>,
}

/// The last signs of life of a process, as the machine counts time.
#[derive(Debug, Default)]
pub struct Pulse {
    database: Mutex<Option<Instant>>,
    engine: Mutex<Option<Instant>>,
    outdated: AtomicBool,
    demo: Mutex<Option<DemoProgress>>,
}

/// How far the demo of a new installation is, until its engine may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoProgress {
    /// Another process writes it, or it is not known yet whether one does.
    Awaited,
    /// `done` parts `of` so many are there, and `next` is the one that is being written.
    Written { done: usize, of: usize, next: &'static str },
    /// It ended before its end; the log says why.
    Failed,
}

impl DemoProgress {
    /// Whether nothing is sent yet.
    pub fn is_under_way(self) -> bool {
        self != DemoProgress::Failed
    }
}

impl Pulse {
    /// The database answered when it was asked for the time.
    pub fn database_answered(&self, at: Instant) {
        *self.database.lock().unwrap() = Some(at);
    }

    /// The dispatcher has looked for what is due, or begins to.
    pub fn engine_looked(&self, at: Instant) {
        *self.engine.lock().unwrap() = Some(at);
    }

    /// The programs of our own database server were replaced under it.
    pub fn server_was_replaced(&self) {
        self.outdated.store(true, Ordering::SeqCst);
    }

    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::SeqCst)
    }

    pub fn demo_is_at(&self, progress: Option<DemoProgress>) {
        *self.demo.lock().unwrap() = progress;
    }

    /// `None` once it is written, and where none is.
    pub fn demo(&self) -> Option<DemoProgress> {
        *self.demo.lock().unwrap()
    }

    /// How long ago the database answered; `None` in a process that does not ask it for the time.
    pub fn database(&self) -> Option<Duration> {
        self.database.lock().unwrap().map(|at| at.elapsed())
    }

    /// How long ago the dispatcher looked for what is due; `None` in a process that has none.
    pub fn engine(&self) -> Option<Duration> {
        self.engine.lock().unwrap().map(|at| at.elapsed())
    }
}

impl App {
    /// The same with the connections and threads that nothing else can use up, for a
    /// click that must be answered.
    pub fn without_delay(&self) -> App {
        App { db: self.vital.clone(), ..self.clone() }
    }
}
