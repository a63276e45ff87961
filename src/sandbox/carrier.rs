//! io: The carrier at work: entering messages, letting phones answer by themselves, and
//! reporting receipts and what phones wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::domain::{Answer, Arrival, PhoneRules};
use super::store;
use crate::app::App;
use crate::channels::setups;
use crate::clock::Clock;
use crate::config::Settings;
use crate::conversations::intake;
use crate::db::Db;
use crate::ids::ChannelId;
use crate::providers::accounts::Accounts;
use crate::providers::sandbox::{CarrierBooks, Handed, News, SIGNATURE, Sandbox, webhook};
use crate::providers::webchat::Webchat;
use crate::providers::{Call, Provider, ProviderName, Providers};
use crate::webchat;

/// Receipts, or messages of phones, reported in one go.
const BATCH: i64 = 500;

struct PostgresBooks {
    /// The carrier's own; what phones got survives whatever happens to the product's.
    db: Db,
    /// Where the rules stand.
    product: Db,
    clock: Clock,
    rules: Mutex<KnownRules>,
}

/// The rules as they were read last.
#[derive(Default)]
struct KnownRules {
    rules: Arc<PhoneRules>,
    read: Option<(Instant, u64)>,
}

/// How long rules are believed that another process may have changed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Counts the changes made in this process, which hold at once.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// The rules were changed.
pub fn rules_changed() {
    CHANGES.fetch_add(1, Ordering::SeqCst);
}

impl PostgresBooks {
    async fn answer(&self, handed: &Handed) -> Option<Answer> {
        let rules = {
            let mut known = self.rules.lock().await;
            let changes = CHANGES.load(Ordering::SeqCst);
            if known.read.is_none_or(|(at, then)| then != changes || at.elapsed() >= BELIEVED) {
                match self.product.run(store::rules).await {
                    Ok(rules) => known.rules = Arc::new(PhoneRules::new(rules)),
                    Err(error) => tracing::warn!("the rules of the phones stay as they were: {error}"),
                }
                known.read = Some((Instant::now(), changes));
            }
            known.rules.clone()
        };
        let Handed { seed, part, phone, text, choices, .. } = handed;
        rules.answer(Arrival { seed: *seed, part, phone, text, choices })
    }
}

#[async_trait]
impl CarrierBooks for PostgresBooks {
    async fn enter(&self, handed: Handed) -> Result<(), String> {
        let answer = if handed.reaches { self.answer(&handed).await } else { None };
        let now = self.clock.now();
        self.db
            .run(move |conn| store::enter(conn, &handed, answer.as_ref(), now))
            .await
            .map_err(|error| format!("the carrier's books: {error}"))
    }
}

/// The adapters this installation can make. The sandbox's carrier keeps its books in `books`.
pub fn providers(db: &Db, books: &Db, clock: &Clock, settings: &Settings) -> Providers {
    let (product, rules) = (db.clone(), Mutex::default());
    let books: Arc<dyn CarrierBooks> =
        Arc::new(PostgresBooks { db: books.clone(), product, clock: clock.clone(), rules });
    let chats = webchat::books(db, clock);
    let accounts = Accounts::new(settings, clock);
    Arc::new(move |setup| match setup.provider {
        ProviderName::Sandbox => Arc::new(Sandbox::new(setup, books.clone())) as Arc<dyn Provider>,
        ProviderName::Webchat => Arc::new(Webchat::new(setup, chats.clone())),
        _ => accounts.provider(setup),
    })
}

/// Lets phones write what they were going to, and reports everything that is due, through the
/// signed webhook. Returns how much.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    loop {
        let now = app.clock.now();
        let receipts = app.books.run(move |conn| store::due_receipts(conn, BATCH, now)).await?;
        let (ids, told): (Vec<i64>, Vec<_>) =
            receipts.into_iter().map(|(id, channel, receipt)| (id, (channel, receipt))).unzip();
        let reported = report(app, told).await?;
        if reported > 0 {
            app.books.run(move |conn| store::reported(conn, &ids)).await?;
        }
        app.books.run(move |conn| store::write_replies(conn, BATCH, now)).await?;
        match reported + report_written(app).await? {
            0 => return Ok(n),
            more => n += more,
        }
    }
}

/// Reports what phones wrote, once each. Returns how many.
///
/// They are crossed off only after they were taken in: a crash in between repeats them under
/// the same id.
pub async fn report_written(app: &App) -> anyhow::Result<usize> {
    let written = app.books.run(|conn| store::untold(conn, BATCH)).await?;
    let (ids, told): (Vec<i64>, Vec<_>) =
        written.into_iter().map(|(id, channel, inbound)| (id, (channel, News::Inbound(Box::new(inbound))))).unzip();
    let reported = report(app, told).await?;
    if reported > 0 {
        app.books.run(move |conn| store::told(conn, &ids)).await?;
    }
    Ok(reported)
}

/// Calls the signed webhook of each channel with its news. Returns how many there were.
async fn report(app: &App, news: Vec<(ChannelId, News)>) -> anyhow::Result<usize> {
    let (n, now) = (news.len(), app.clock.now());
    let mut by_channel: BTreeMap<ChannelId, Vec<News>> = BTreeMap::new();
    for (channel, it) in news {
        by_channel.entry(channel).or_default().push(it);
    }
    for (channel, news) in by_channel {
        let secret = app.db.run(move |conn| setups::find(conn, channel)).await?.secret;
        let (body, signature) = webhook(&secret, &news);
        let headers = [(SIGNATURE, signature.as_str())];
        let call = Call { method: "POST", url: "", headers: &headers, body: &body, at: now };
        intake::webhook(app, channel, &call, now).await?;
    }
    Ok(n)
}
