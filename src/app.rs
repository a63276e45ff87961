//! What every handler and every tick may use.

use crate::channels::Providers;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;

pub struct App {
    pub db: Db,
    pub clock: Clock,
    pub settings: Settings,
    pub providers: Providers,
}
