//! What every handler and every tick may use.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::channels::Providers;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;

#[derive(Clone)]
pub struct App {
    pub db: Db,
    /// For what must be answered whatever else goes on: PAUSE, RESUME, STOP, signing in.
    pub vital: Db,
    pub clock: Clock,
    pub settings: Settings,
    pub providers: Providers,
    /// Told when a reply waits to leave, so that nobody waits for the next tick.
    pub said: Arc<Notify>,
}

impl App {
    /// The same with the connections and threads that nothing else can use up, for a
    /// click that must be answered.
    pub fn without_delay(&self) -> App {
        App { db: self.vital.clone(), ..self.clone() }
    }
}
