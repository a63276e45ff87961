//! How soon after the click on PAUSE there is an answer that can be trusted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::cookie::Key;
use async_trait::async_trait;
use bugle::engine::Engine;
use bugle::engine::starter;
use bugle::providers::{Able, Call, Envelope, Forged, Gate, Heard, Provider, Providers, SendOutcome};

use crate::ground::{EMAIL, Ground, PASSWORD};
use crate::http::Browser;
use crate::screen::serve;
use crate::table::{Row, Target, median, percentile};

/// What the provider takes for each message.
const LATENCY: Duration = Duration::from_millis(20);

/// Begin and end of the last sends.
type Sends = Arc<Mutex<VecDeque<(Instant, Instant)>>>;

struct Slow(Sends);

#[async_trait]
impl Provider for Slow {
    async fn send(&self, _: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        if !gate() {
            return None;
        }
        let began = Instant::now();
        tokio::time::sleep(LATENCY).await;
        let mut sends = self.0.lock().unwrap();
        sends.push_back((began, Instant::now()));
        if sends.len() > 1000 {
            sends.pop_front();
        }
        Some(SendOutcome::Accepted { provider_ref: None })
    }

    fn able(&self) -> Able {
        Able { choices: true, ..Able::TEXT }
    }

    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        Ok(Heard::default())
    }
}

/// From the click to the answer, without what the slowest send on the wire took after the click.
pub async fn pause(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, clicks) = (ground.house("pause")?, if ground.quick { 10 } else { 100 });
    let file = house.contacts(100_000)?;
    let sends = Sends::default();
    let providers: Providers = {
        let sends = sends.clone();
        Arc::new(move |_| Arc::new(Slow(sends.clone())))
    };
    let app = house.app(64, providers)?;
    let (address, server) = serve(app.clone(), None, Key::generate())?;
    let mut browser = Browser::sign_in(address, EMAIL, PASSWORD).await?;
    let dispatcher = Engine::new(app.clone()).dispatcher;
    let mut row = Row::new("pause to silence, p99 beyond the slowest send on the wire", "ms", Target::Below(50.0));
    for _ in 0..ground.rounds() {
        let (schedule, run) = house.launch(file)?;
        starter::tick(&app).await?;
        let (engine, stop) = (dispatcher.clone(), tokio_util::sync::CancellationToken::new());
        let stopped = stop.clone();
        let ticking = actix_web::rt::spawn(async move {
            while !stopped.is_cancelled() {
                if let Err(error) = engine.tick().await {
                    eprintln!("  tick: {error:#}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let mut late = Vec::new();
        for click in 0..clicks {
            while dispatcher.outbox.in_flight() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // Not always at the same point of a batch.
            tokio::time::sleep(Duration::from_millis(30 + click as u64 * 7 % 20)).await;
            let clicked = Instant::now();
            browser.post(&format!("/schedules/{schedule}/pause"), "").await?;
            let answered = Instant::now();
            let slowest = sends.lock().unwrap().iter().map(|(_, ended)| *ended).max().unwrap_or(clicked).max(clicked);
            late.push((answered - slowest).as_secs_f64() * 1e3);
            tokio::time::sleep(LATENCY * 2).await;
            let after = sends.lock().unwrap().iter().filter(|(_, ended)| answered < *ended).count();
            anyhow::ensure!(after == 0, "{after} sends were on the wire when it answered");
            browser.post(&format!("/schedules/{schedule}/resume"), "").await?;
        }
        eprintln!("  p50 {:.1} ms", median(late.iter().copied()));
        row.add_alone(percentile(late, 0.99));
        browser.post(&format!("/schedules/{schedule}/stop"), "").await?;
        stop.cancel();
        ticking.await?;
        let left = house
            .number(&format!("SELECT (last_seq - next_seq + 1)::bigint AS n FROM schedule_runs WHERE id = {run}"))?;
        anyhow::ensure!(left > 0, "the run was over before the last click");
    }
    server.stop(false).await;
    Ok(vec![row])
}
