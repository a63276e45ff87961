//! The carrier at work: entering messages, and reporting receipts when they are due.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::store;
use crate::app::App;
use crate::channels::sandbox::{Books, Handed, Sandbox, webhook};
use crate::channels::webchat::Webchat;
use crate::channels::{Channel, Event, Providers};
use crate::clock::Clock;
use crate::conversations::intake;
use crate::db::Db;
use crate::ids::ChannelId;
use crate::senders::setups;
use crate::webchat;

/// Receipts reported in one go.
const BATCH: i64 = 500;

struct PostgresBooks {
    db: Db,
    clock: Clock,
}

#[async_trait]
impl Books for PostgresBooks {
    async fn enter(&self, handed: Handed) -> Result<(), String> {
        let (stamped_at, now) = (Clock::default().now(), self.clock.now());
        self.db
            .run(move |conn| store::enter(conn, &handed, stamped_at, now))
            .await
            .map_err(|error| format!("the carrier's books: {error}"))
    }
}

/// The adapters this installation can make: the web chat, and for everything else the sandbox.
pub fn providers(db: &Db, clock: &Clock) -> Providers {
    let books: Arc<dyn Books> = Arc::new(PostgresBooks { db: db.clone(), clock: clock.clone() });
    let chats = webchat::books(db, clock);
    Arc::new(move |setup| match setup.provider.as_str() {
        "webchat" => Arc::new(Webchat::new(setup, chats.clone())) as Arc<dyn Channel>,
        _ => Arc::new(Sandbox::new(setup, books.clone())),
    })
}

/// Reports every receipt that is due, through the signed webhook. Returns how many.
///
/// They are struck out only after they were taken in: a crash in between repeats
/// them, and a repeated receipt changes nothing.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    loop {
        let now = app.clock.now();
        let due = app.db.run(move |conn| store::due_receipts(conn, BATCH, now)).await?;
        if due.is_empty() {
            return Ok(n);
        }
        let mut by_channel: BTreeMap<ChannelId, (Vec<i64>, Vec<Event>)> = BTreeMap::new();
        for (id, channel, receipt) in due {
            let (ids, receipts) = by_channel.entry(channel).or_default();
            ids.push(id);
            receipts.push(Event::Receipt(receipt));
        }
        for (channel, (ids, receipts)) in by_channel {
            let secret = app.db.run(move |conn| setups::find(conn, channel)).await?.secret;
            let (body, signature) = webhook(&secret, &receipts);
            intake::webhook(app, channel, Some(&signature), &body, now).await?;
            n += ids.len();
            app.db.run(move |conn| store::reported(conn, &ids)).await?;
        }
    }
}
