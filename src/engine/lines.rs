//! The channels as this process uses them: an adapter each, and places on the wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::app::App;
use crate::channels::{Channel, Setup};
use crate::ids::ChannelId;
use crate::senders::setups;

/// A channel as this process uses it.
pub struct Line {
    setup: Setup,
    pub adapter: Arc<dyn Channel>,
    /// For campaigns.
    pub places: Arc<Semaphore>,
    /// For replies, which never wait behind a campaign.
    pub reply_places: Arc<Semaphore>,
}

/// One per process.
#[derive(Default)]
pub struct Lines(Mutex<HashMap<ChannelId, Arc<Line>>>);

impl Lines {
    pub fn get(&self, channel: ChannelId) -> Option<Arc<Line>> {
        self.0.lock().unwrap().get(&channel).cloned()
    }

    /// Makes adapters for new channels, and new ones for those whose settings changed.
    pub async fn look_up(&self, app: &App) -> anyhow::Result<()> {
        let setups = app.db.run(setups::all).await?;
        let mut lines = self.0.lock().unwrap();
        for setup in setups {
            let id = ChannelId(setup.id);
            let known = lines.get(&id);
            if known.is_some_and(|line| line.setup.settings == setup.settings && line.setup.sender == setup.sender) {
                continue;
            }
            // The places stay: sends under the old settings are still on the wire.
            let in_flight = app.settings.in_flight;
            let (places, reply_places) = match known {
                Some(line) => (line.places.clone(), line.reply_places.clone()),
                None => (Arc::new(Semaphore::new(in_flight)), Arc::new(Semaphore::new(in_flight))),
            };
            lines.insert(id, Arc::new(Line { adapter: (app.providers)(&setup), setup, places, reply_places }));
        }
        Ok(())
    }
}
