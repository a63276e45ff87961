//! Conversations: messages taken in and answered by a bot, bots that wait to speak up, the
//! inbox, and open widgets.

use std::time::Instant;

use bugle::bots::domain::Pinned;
use bugle::bots::steps::Steps;
use bugle::campaigns::CampaignKind;
use bugle::channels::setups;
use bugle::conversations::actions::{take_in, wake_next};
use bugle::ids::{ChannelId, VisitorId};
use bugle::inbox::store::{self, InboxAsk, InboxPlace, View};
use bugle::providers::Inbound;
use bugle::providers::webchat::ChatMessage;
use bugle::schedules::{Draft, When};
use bugle::webchat;
use bugle::webchat::domain::token;
use bugle::webchat::lobby::Lobby;
use chrono::{NaiveTime, TimeDelta, Utc};
use diesel::RunQueryDsl;
use diesel::sql_types::{BigInt, Text, Timestamptz};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ground::{Ground, House, null};
use crate::table::{Row, Target, median};

const STEPS: &str = r##"[
  {"id": "a", "name": "Greeting", "do": "message", "text": "Hello #name|there#."},
  {"id": "b", "name": "Score", "do": "ask", "text": "From 1 to 5?", "accept": {"kind": "entity", "entity": "number"}, "store": "score",
   "retries": 1, "retry_text": "A number, please.", "routes": [{"op": "is", "value": "0", "to": "z"}], "otherwise": "b"},
  {"id": "z", "name": "Bye", "do": "close", "text": "Bye."}]"##;
/// Connections that take messages in side by side.
const SIDE_BY_SIDE: i64 = 4;

/// An inbound campaign on the house's channel that meets people with a bot.
fn inbound(house: &House) -> anyhow::Result<(ChannelId, i64, i64, i64)> {
    let (conn, now) = (&mut house.conn()?, Utc::now());
    let steps: Steps = serde_json::from_str(STEPS)?;
    let bot = bugle::bots::actions::create(conn, "Score", &steps, house.admin, now)?;
    let revision = bugle::bots::store::draft(conn, bot)?.revision;
    let version = bugle::bots::actions::publish(conn, bot, revision, "", house.admin, now)?;
    let channel = ChannelId(house.number("SELECT min(id) AS n FROM channels")?);
    let id = bugle::drafting::actions::create(conn, "Desk", CampaignKind::Inbound, chrono_tz::UTC, house.admin, now)?;
    let plan = Draft::once("SMS", channel, "", now.date_naive(), NaiveTime::MIN, NaiveTime::MIN, 60.0);
    let plan =
        Draft { bot: Some(Pinned { bot, version }), when: When::Inbound, rate: bugle::pacing::Rate::Auto, ..plan };
    let schedule = bugle::drafting::actions::add_schedule(conn, id, &plan, house.admin, now)?;
    bugle::drafting::actions::launch(conn, id, house.admin, now)?;
    Ok((channel, id.0, schedule.0, bot.0))
}

/// Messages a second that are stored, routed and answered by a bot's turn, each in a
/// transaction of its own, against a bare INSERT of a row each.
pub async fn take_in_messages(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("talk")?, ground.size(20_000) as i64);
    let (channel, ..) = inbound(&house)?;
    house.sql(
        "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, provider_id text UNIQUE)",
    )?;
    let mut row = Row::new(
        format!("{n} messages taken in and answered by a bot, {SIDE_BY_SIDE} connections"),
        "msgs/s",
        Target::Told,
    );
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            house.sql("CHECKPOINT")?;
            let began = Instant::now();
            let threads: Vec<_> = (0..SIDE_BY_SIDE)
                .map(|part| {
                    let mut conn = house.conn()?;
                    Ok(std::thread::spawn(move || -> anyhow::Result<()> {
                        let (setup, now) = (setups::find(&mut conn, channel)?, Utc::now());
                        for k in (part..n).step_by(SIDE_BY_SIDE as usize) {
                            // Ten messages of each contact, in the order of the clock.
                            let id = format!("{round}-{k}");
                            if side == 0 {
                                let from = format!("4474{:08}", k % (n / 10).max(1));
                                take_in(
                                    &mut conn,
                                    &setup,
                                    &Inbound { id, from, text: "4".into(), ..Inbound::default() },
                                    now,
                                )?;
                            } else {
                                diesel::sql_query("INSERT INTO bare (body, provider_id) VALUES ('4', $1)")
                                    .bind::<Text, _>(id)
                                    .execute(&mut conn)?;
                            }
                        }
                        Ok(())
                    }))
                })
                .collect::<anyhow::Result<_>>()?;
            for thread in threads {
                thread.join().expect("a thread")?;
            }
            figures[side] = n as f64 / began.elapsed().as_secs_f64();
        }
        row.add(figures[0], figures[1]);
    }
    let answers = house.number("SELECT count(*) AS n FROM messages WHERE author = 'bot'")?;
    anyhow::ensure!(answers >= n, "only {answers} answers");
    Ok(vec![row])
}

/// What the sweep asks every second while many conversations wait, against few; and how
/// fast it lets bots speak up once they are due.
pub async fn re_engagers(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("wake")?, ground.size(1_000_000) as i64);
    let (channel, campaign, schedule, bot) = inbound(&house)?;
    let (now, conn) = (Utc::now(), &mut house.conn()?);
    let waiting = |from: i64, to: i64, conn: &mut diesel::PgConnection| -> anyhow::Result<()> {
        diesel::sql_query(
            "INSERT INTO conversations (channel_id, contact_id, campaign_id, schedule_id, began, bot_id, bot_version, handler,
                                        memory, wake_at, opened_at, last_at, changed)
             SELECT $1, k, $2, $3, 'inbound', $4, 1, 'bot',
                    '{\"state\": {\"is\": \"waiting\", \"step\": \"b\", \"tries\": 0, \"since\": \"2026-01-01T00:00:00Z\"}, \"values\": {}, \"kept\": {}, \"said\": null, \"answer\": null, \"wakes\": 0}',
                    $5 + interval '1 hour' + k * interval '1 millisecond', $5, $5, nextval('conversation_news')
             FROM generate_series($6, $7) k",
        )
        .bind::<BigInt, _>(channel.0)
        .bind::<BigInt, _>(campaign)
        .bind::<BigInt, _>(schedule)
        .bind::<BigInt, _>(bot)
        .bind::<Timestamptz, _>(now)
        .bind::<BigInt, _>(from)
        .bind::<BigInt, _>(to)
        .execute(conn)?;
        Ok(())
    };
    let poll = |conn: &mut diesel::PgConnection| -> anyhow::Result<f64> {
        let began = Instant::now();
        for _ in 0..50 {
            anyhow::ensure!(wake_next(conn, now)? == 0, "nobody is due");
        }
        Ok(began.elapsed().as_secs_f64() * 1e3 / 50.0)
    };
    let few = (n / 1000).max(1);
    waiting(1, few, conn)?;
    house.sql("VACUUM ANALYZE conversations")?;
    poll(conn)?;
    let mut with_few = Vec::new();
    for _ in 0..ground.rounds() {
        with_few.push(poll(conn)?);
    }
    waiting(few + 1, n, conn)?;
    house.sql("VACUUM ANALYZE conversations")?;
    poll(conn)?;
    let mut sweep =
        Row::new(format!("sweep for bots to speak up, {n} waiting against {few}"), "ms", Target::AtMost(3.0));
    for with_few in with_few {
        sweep.add(poll(conn)?, with_few);
    }
    let mut spoken = Row::new("… bots that speak up once they are due", "a second", Target::Told);
    house.sql("INSERT INTO contacts (kind, address) SELECT 'sms', '4474' || lpad(k::text, 8, '0') FROM generate_series(1, 20000) k")?;
    let (due, began, mut woken) = (now + TimeDelta::hours(1) + TimeDelta::seconds(5), Instant::now(), 0);
    while woken < 2_000.min(n as usize) {
        let k = wake_next(conn, due)?;
        anyhow::ensure!(k > 0, "{woken} spoke up, and nobody else is due");
        woken += k;
    }
    spoken.add_alone(woken as f64 / began.elapsed().as_secs_f64());
    Ok(vec![sweep, spoken])
}

/// The first page of the inbox in each of its views, and a search, while it has many conversations.
pub async fn inbox(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("inbox")?, ground.size(100_000) as i64);
    let (channel, campaign, schedule, bot) = inbound(&house)?;
    let channel = channel.0;
    house.sql(&format!(
        "INSERT INTO contacts (kind, address, customer_id, \"values\")
         SELECT 'sms', '4474' || lpad(k::text, 8, '0'), 'C' || k, jsonb_build_object('name', 'Name' || k) FROM generate_series(1, {n}) k;
         INSERT INTO conversations (channel_id, contact_id, campaign_id, schedule_id, began, bot_id, bot_version, handler, memory,
                                    opened_at, last_at, unanswered_since, closed_at, closed_because)
         SELECT {channel}, c.id, {campaign}, {schedule}, 'inbound', {bot}, 1, CASE WHEN c.id % 4 = 0 THEN 'bot' ELSE 'human' END,
                '{{\"state\": {{\"is\": \"new\"}}, \"values\": {{}}, \"kept\": {{}}, \"said\": null, \"answer\": null, \"wakes\": 0}}',
                now() - interval '1 day', now() - c.id * interval '1 second',
                CASE WHEN c.id % 4 = 1 THEN now() - c.id * interval '1 second' END,
                CASE WHEN c.id % 4 = 2 THEN now() END, CASE WHEN c.id % 4 = 2 THEN 'closed by Ada' END
         FROM contacts c;
         INSERT INTO messages (conversation_id, channel_id, author, body, at, provider_id)
         SELECT v.id, {channel}, 'contact', 'Where is my order number ' || v.id || '?', v.last_at, 'p' || v.id FROM conversations v;
         INSERT INTO messages (conversation_id, channel_id, author, body, at, purpose, step, state, settled_at, progress)
         SELECT v.id, {channel}, 'bot', 'Somebody looks into it.', v.last_at, 'answer', 'a', 'settled', v.last_at, 1 FROM conversations v"
    ))?;
    house.sql("VACUUM ANALYZE")?;
    let conn = &mut house.conn()?;
    let mut pages = Row::new(
        format!("inbox of {n} conversations, the slowest of {} views", View::ALL.len()),
        "ms",
        Target::Below(100.0),
    );
    let mut searched = Row::new("… a search of its messages", "ms", Target::Below(250.0));
    let ask = |view, q: &str| InboxAsk {
        view,
        channel: None,
        campaign: None,
        label: None,
        q: q.to_owned(),
        place: InboxPlace::Start,
        person: house.admin,
    };
    for _ in 0..ground.rounds() {
        let mut slowest: f64 = 0.0;
        for view in View::ALL {
            let mut times = Vec::new();
            for _ in 0..9 {
                let began = Instant::now();
                store::page(conn, &ask(view, ""), 50)?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            slowest = slowest.max(median(times));
        }
        pages.add_alone(slowest);
        let mut times = Vec::new();
        for k in 0..9 {
            let began = Instant::now();
            let found = store::page(conn, &ask(View::All, &format!("number {}", n / 2 + k)), 50)?;
            anyhow::ensure!(!found.conversations.is_empty(), "nothing was found");
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        searched.add_alone(median(times));
    }
    Ok(vec![pages, searched])
}

/// Memory of a process with 1,000 widgets open, and how long a message takes to one of them.
pub async fn widgets(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("widgets")?, ground.size(50_000).clamp(100, 1_000) as i64);
    let now = Utc::now();
    house.sql(&format!(
        "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
         VALUES ('Chat', 'webchat', 'webchat', 'Bugle', 's3cret', now());
         INSERT INTO webchat_visitors (channel_id, address, created_at, seen_at)
         SELECT (SELECT max(id) FROM channels), 'visitor-' || k, now(), now() FROM generate_series(1, {n}) k ORDER BY k"
    ))?;
    let channel = ChannelId(house.number("SELECT max(id) AS n FROM channels")?);
    let app = house.app(64, null())?;
    let lobby = Lobby::start(app.clone());
    let (served, address) = (app.clone(), "127.0.0.1:0");
    let (doors, key) = (lobby.clone(), actix_web::cookie::Key::generate());
    let server =
        actix_web::HttpServer::new(move || bugle::server::app(served.clone(), key.clone()).app_data(doors.clone()));
    let server = server.workers(2).disable_signals().bind(address)?;
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let before = resident()?;
    let mut open = Vec::new();
    for visitor in 1..=n {
        let token = token("s3cret", channel, VisitorId(visitor), now);
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET /webchat/{channel}/stream HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        wait_for(&mut stream, ": open").await?;
        open.push(stream);
    }
    let mut memory =
        Row::new(format!("memory of a process with {n} widgets open, beyond that without"), "MB", Target::Below(64.0));
    memory.add_alone(resident()? - before);
    let mut latency = Row::new("… a message to one of them, p95", "ms", Target::Below(1_500.0));
    let mut queries = Row::new("… questions to the database while nothing is said", "queries/s", Target::Below(3.0));
    for round in 0..ground.rounds() {
        let mut times = Vec::new();
        for k in 0..20 {
            let to = (round as i64 * 20 + k) % n;
            let (text, began) = (format!("hello {round} {k}"), Instant::now());
            let message = ChatMessage {
                channel: channel.0,
                to: format!("visitor-{}", to + 1),
                part: format!("m{round}-{k}"),
                text: text.clone(),
                choices: vec![],
            };
            webchat::actions::enter(&mut house.conn()?, &message, now)?;
            wait_for(&mut open[to as usize], &text).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        latency.add_alone(times[times.len() * 95 / 100]);
        let (looks, began) = (lobby.looks(), Instant::now());
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        queries.add_alone((lobby.looks() - looks) as f64 / began.elapsed().as_secs_f64());
    }
    lobby.stop();
    handle.stop(false).await;
    Ok(vec![memory, latency, queries])
}

async fn wait_for(stream: &mut TcpStream, text: &str) -> anyhow::Result<()> {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(text) {
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_buf(&mut heard)).await??;
        anyhow::ensure!(read > 0, "the stream ended instead of saying {text:?}: {}", String::from_utf8_lossy(&heard));
    }
    Ok(())
}

/// Resident memory of this process, in MB.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    Ok(kb / 1024.0)
}
