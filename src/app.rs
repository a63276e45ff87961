//! What every handler and every tick may use.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::channels::Providers;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;
use crate::marks::Marks;

pub struct App {
    pub db: Db,
    pub clock: Clock,
    pub settings: Settings,
    /// Where the sandbox's carrier keeps its books; the database of the product, unless it was told otherwise.
    pub books: Db,
    pub providers: Providers,
    /// What this process knows to have been written down.
    pub marks: Arc<Marks>,
    /// Told when a reply waits to leave, so that nobody waits for the next tick.
    pub said: Arc<Notify>,
}
