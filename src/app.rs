//! What every handler and every tick may use.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::channels::Providers;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;
use crate::turns::Turns;

pub struct App {
    pub db: Db,
    pub clock: Clock,
    pub settings: Settings,
    pub providers: Providers,
    /// Told when a reply waits to leave, so that nobody waits for the next tick.
    pub said: Arc<Notify>,
    /// Places for what is slow.
    pub turns: Arc<Turns>,
}
