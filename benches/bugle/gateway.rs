//! Dispatch through a gateway over HTTP on this machine, against the bare loop with the same client.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use bugle::clock::Clock;
use bugle::engine::Engine;
use bugle::ids::RunId;
use bugle::providers::caller::{Caller, HttpAsk};
use bugle::providers::credentials::Credentials;
use bugle::providers::http::{Hook, Http, HttpParts, HttpSettings};
use bugle::providers::key::DeliveryKey;
use bugle::providers::{Envelope, Provider};
use bugle::wording::Content;
use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt, stream};

use crate::dispatch::{By, speed};
use crate::ground::Ground;
use crate::table::{Row, Target};

/// Sends on the wire at once.
const IN_FLIGHT: usize = 24;

/// A gateway that takes everything at once, as Kannel answers. Returns its address.
fn sink() -> anyhow::Result<String> {
    const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 24\r\n\r\n0: Accepted for delivery";
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/cgi-bin/sendsms", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || {
                let (mut buffer, mut head) = ([0; 16 * 1024], Vec::new());
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    head.extend_from_slice(&buffer[..n]);
                    // A request without a body ends with its head, and one comes after the other.
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        if stream.write_all(TAKEN).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(url)
}

fn adapter(url: &str, caller: &Arc<Caller>) -> anyhow::Result<Arc<Http>> {
    let mut settings = HttpSettings::of("kannel").context("the preset of Kannel")?;
    settings.asked.insert("url".to_owned(), url.to_owned());
    settings.asked.insert("username".to_owned(), "bugle".to_owned());
    let hook = Hook { url: "https://bugle.example/webhooks/1/s3cret".to_owned(), is_public: true };
    let credentials = Credentials::from([("password", "s3cret")]);
    let parts = HttpParts { channel: 1, sender: "Bugle".to_owned(), settings, credentials, hook };
    Ok(Arc::new(Http::new(parts, caller.clone(), Clock::default()).context("an adapter")?))
}

/// Contacts a second, 24 on the wire.
pub async fn gateway(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n, url) = (ground.house("gateway")?, ground.size(50_000), sink()?);
    let file = house.contacts(n)?;
    let caller = Arc::new(Caller::new(vec!["127.0.0.0/8".parse().expect("a network")]));
    let http = adapter(&url, &caller)?;
    let sends = http.clone();
    let engine = Engine::new(house.app(IN_FLIGHT, Arc::new(move |_| sends.clone() as Arc<dyn Provider>))?);
    let asks: Vec<HttpAsk> = (0..n).map(|n| http.request(&envelope(n), Utc::now())).collect();
    let what = format!("dispatch of {n} contacts through HTTP, {IN_FLIGHT} on the wire, against a bare loop");
    let mut row = Row::new(what, "msgs/s", Target::AtLeast(0.6));
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            figures[side] = match side {
                0 => speed(&house, &engine, file, n, By::Bugle).await?,
                _ => bare(&caller, &asks).await?,
            };
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

fn envelope(n: usize) -> Envelope {
    Envelope {
        key: DeliveryKey { run: RunId(1), seq: n as i32 + 1, attempt: 1 }.into(),
        to: format!("447400{n:07}"),
        content: Content::Text(format!("Hello Name{n}, you owe {n} and a bit.")),
        expires_at: Utc::now() + TimeDelta::hours(1),
    }
}

/// The same requests with nothing around them.
async fn bare(caller: &Arc<Caller>, asks: &[HttpAsk]) -> anyhow::Result<f64> {
    let began = Instant::now();
    // As the product sends: each in a task of its own.
    let taken = stream::iter(asks.to_vec())
        .map(|ask| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.ask(&ask, &|| true).await })
        })
        .buffer_unordered(IN_FLIGHT)
        .filter(|answer| std::future::ready(matches!(answer, Ok(Some(Ok(answer))) if answer.status == 202)))
        .count()
        .await;
    ensure!(taken == asks.len(), "{taken} of {} were taken", asks.len());
    Ok(asks.len() as f64 / began.elapsed().as_secs_f64())
}
