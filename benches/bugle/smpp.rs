//! Messages by a bind: the adapter, against a bare loop over the same octets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use bugle::clock::Clock;
use bugle::ids::MessageId;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::key::MessageKey;
use bugle::providers::smpp::pdu::{Framed, Frames, Pdu, bind_body, command};
use bugle::providers::smpp::{Smpp, SmppParts, SmppSettings};
use bugle::providers::{Envelope, Provider, SendOutcome};
use bugle::wording::Content;
use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ground::Ground;
use crate::table::{Row, Target};

const WINDOW: u16 = 50;

/// An SMSC that takes everything at once. Returns its port.
fn smsc() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || {
                let (mut frames, mut buffer, mut answers) = (Frames::default(), [0; 16 * 1024], Vec::new());
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    frames.feed(&buffer[..n]);
                    while let Some(Framed::Whole(pdu)) = frames.take() {
                        let body = format!("{:08X}\0", pdu.sequence).into_bytes();
                        Pdu { body, ..pdu.answer(0) }.write(&mut answers);
                    }
                    if stream.write_all(&answers).is_err() {
                        return;
                    }
                    answers.clear();
                }
            });
        }
    });
    Ok(port)
}

fn envelope(n: i64) -> Envelope {
    Envelope {
        key: MessageKey { id: MessageId(n), attempt: 1 }.into(),
        to: format!("35386{:07}", n % 10_000_000),
        content: Content::Text(format!("Hello, you owe {n} and a bit.")),
        expires_at: Utc::now() + TimeDelta::hours(1),
    }
}

fn adapter(port: u16) -> Arc<Smpp> {
    let settings = SmppSettings {
        host: "127.0.0.1".to_owned(),
        port,
        system_id: "bugle".to_owned(),
        window: WINDOW,
        ..SmppSettings::default()
    };
    let parts = SmppParts { sender: "Bugle".to_owned(), settings, credentials: Credentials::default() };
    let caller = Caller::new(vec!["127.0.0.0/8".parse().expect("a network")]);
    Arc::new(Smpp::new(parts, Arc::new(caller), Clock::default()))
}

/// Messages a second that an SMSC on this machine takes, with 50 outstanding.
pub async fn submit(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (port, n) = (smsc()?, ground.size(200_000) as i64);
    let what = format!("{n} messages by a bind, {WINDOW} outstanding, against a bare loop");
    let mut row = Row::new(what, "msgs/s", Target::AtLeast(0.6));
    let smpp = adapter(port);
    let _session = smpp.clone().open(Arc::new(|_| Box::pin(async { Ok(()) })));
    let bodies = Arc::new(bodies(&smpp, n)?);
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            let began = Instant::now();
            match side {
                0 => ours(&smpp, n).await?,
                _ => bare(port, &bodies).await?,
            }
            figures[side] = n as f64 / began.elapsed().as_secs_f64();
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

async fn ours(smpp: &Arc<Smpp>, n: i64) -> anyhow::Result<()> {
    // As the product sends: each by a task's own future, more of them than there are places.
    let taken = stream::iter(0..n)
        .map(|n| async move { smpp.send(&envelope(n), &|| true).await })
        .buffer_unordered(usize::from(WINDOW) * 2)
        .filter(|sent| std::future::ready(matches!(sent, Some(SendOutcome::Accepted { .. }))))
        .count()
        .await;
    ensure!(taken as i64 == n, "{taken} of {n} were taken");
    Ok(())
}

/// The same messages, written out before.
fn bodies(smpp: &Smpp, n: i64) -> anyhow::Result<Vec<Vec<u8>>> {
    let body = |n: i64| Some(smpp.messages(&envelope(n), Utc::now())?.first()?.body());
    (0..n).map(|n| body(n).context("a message")).collect()
}

async fn bare(port: u16, bodies: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let bind = Pdu::new(command::BIND_TRANSCEIVER, 1, bind_body("bugle", "", ""));
    stream.write_all(&bind.octets()).await?;
    let (mut frames, mut buffer, mut outstanding, mut answered) = (Frames::default(), [0; 16 * 1024], 1, 0);
    let mut next = bodies.iter().enumerate();
    while answered < bodies.len() + 1 {
        while outstanding < usize::from(WINDOW)
            && let Some((n, body)) = next.next()
        {
            stream.write_all(&Pdu::new(command::SUBMIT_SM, n as u32 + 2, body.clone()).octets()).await?;
            outstanding += 1;
        }
        let n = stream.read(&mut buffer).await?;
        ensure!(n > 0, "the SMSC hung up");
        frames.feed(&buffer[..n]);
        while let Some(Framed::Whole(_)) = frames.take() {
            outstanding -= 1;
            answered += 1;
        }
    }
    Ok(())
}
