//! The only place that knows what time it is.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

/// Tells the time. `serve` reads the system clock; a story and the demo set it by hand.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Mutex<DateTime<Utc>>>>);

impl Clock {
    /// A clock that stands still until it is [`set`](Clock::set).
    pub fn stopped_at(instant: DateTime<Utc>) -> Self {
        Self(Some(Arc::new(Mutex::new(instant))))
    }

    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Some(instant) => *instant.lock().unwrap(),
            None => Utc::now(),
        }
    }

    /// Moves a stopped clock. A running clock ignores it.
    pub fn set(&self, instant: DateTime<Utc>) {
        if let Some(hand) = &self.0 {
            *hand.lock().unwrap() = instant;
        }
    }
}
