//! Whether the database answers, as everybody in this process saw it last.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{DbError, Lost};
use chrono::{DateTime, TimeDelta, Utc};

/// How often the log says that there is still no answer.
const SAID_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Health {
    is_silent: AtomicBool,
    silence: Mutex<Option<Silence>>,
    statements: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Instant,
    said: Instant,
}

impl Health {
    /// How many statements have been sent so far for somebody's work, beside those that begin and
    /// end transactions and those that try a connection.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.statements.clone()
    }

    /// Somebody asked and got no answer.
    pub(super) fn no_answer(&self, why: &str) {
        let (mut silence, now) = (self.silence.lock().unwrap(), Instant::now());
        match &mut *silence {
            None => {
                *silence = Some(Silence { since: now, said: now });
                tracing::warn!("the database does not answer: {why}");
            }
            Some(it) if SAID_AGAIN <= now - it.said => {
                it.said = now;
                tracing::warn!("the database has not answered for {} s: {why}", (now - it.since).as_secs());
            }
            Some(_) => {}
        }
        self.is_silent.store(true, Ordering::SeqCst);
        metrics::gauge!("bugle_database_up").set(0.0);
    }

    /// Somebody got an answer.
    pub(super) fn answered(&self) {
        if self.is_silent.load(Ordering::Relaxed)
            && self.is_silent.swap(false, Ordering::SeqCst)
            && let Some(it) = self.silence.lock().unwrap().take()
        {
            tracing::warn!("the database answers again, after {:.1} s", it.since.elapsed().as_secs_f64());
            metrics::gauge!("bugle_database_up").set(1.0);
        }
    }

    pub fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    /// What to tell whoever waited in vain.
    pub(super) fn lost<E>(&self, unchanged: bool) -> DbError<E> {
        let silence = *self.silence.lock().unwrap();
        let silent_for = silence.map(|it| it.since.elapsed()).unwrap_or_default();
        DbError::Lost(Lost { unchanged, silent_for })
    }

    /// Since when nobody has got an answer; `None` while it answers. `now` is the product's time.
    pub fn silent_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let silence = (*self.silence.lock().unwrap())?;
        Some(now - TimeDelta::from_std(silence.since.elapsed()).unwrap_or_default())
    }
}
