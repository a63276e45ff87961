//! The Campaigns screen: how many a second, how quickly it searches, and what live progress asks.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_web::cookie::Key;
use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{HttpResponse, HttpServer};
use bugle::app::App;
use bugle::screen::live::Hub;
use bugle::server;
use diesel::prelude::*;

use crate::ground::{EMAIL, Ground, House, PASSWORD, null};
use crate::http::{Browser, load};
use crate::table::{Row, Target, median};

/// As `serve` has it by default.
const WORKERS: usize = 2;
const CONNECTIONS: usize = 16;

/// Serves the product on a free port.
pub fn serve(app: Data<App>, hub: Option<Data<Hub>>, key: Key) -> anyhow::Result<(SocketAddr, ServerHandle)> {
    let server = HttpServer::new(move || {
        let all = server::app(app.clone(), key.clone());
        match &hub {
            Some(hub) => all.app_data(hub.clone()),
            None => all,
        }
    });
    let server = server.workers(WORKERS).worker_max_blocking_threads(16).disable_signals().bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok((address, handle))
}

/// The first page of many campaigns, against a handler that asks one query; and searches, against the page without.
pub async fn screen(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("screen")?, ground.size(100_000));
    campaigns(&house, n)?;
    let app = house.app(64, null())?;
    let (address, ours) = serve(app.clone(), None, Key::generate())?;
    let (bare_address, bare) = serve_bare(app.clone())?;
    let browser = Browser::sign_in(address, EMAIL, PASSWORD).await?;
    let time = Duration::from_secs(if ground.quick { 1 } else { 5 });

    let mut rate = Row::new(format!("Campaigns screen, {n} campaigns, signed in"), "requests/s", Target::AtLeast(0.6));
    let mut search = Row::new(format!("search of {n} campaigns, p50 of the page"), "ms", Target::AtMost(2.0));
    for _ in 0..ground.rounds() {
        let pages = load(address, &browser.cookie, "/campaigns", CONNECTIONS, time).await?;
        rate.add(pages, load(bare_address, "", "/", CONNECTIONS, time).await?);

        // The server has closed the connection meanwhile: nobody spoke on it.
        let mut browser = Browser::open(address, &browser.cookie).await?;
        let (mut found, mut all) = (Vec::new(), Vec::new());
        for i in 0..if ground.quick { 20 } else { 200 } {
            // Within one name, within a hundred, within a tenth of all, and in none.
            let word = match i % 4 {
                0 => format!("{:05}", i * 37 % n),
                1 => format!("der+{:03}", i % 1000),
                2 => "utum".to_owned(),
                _ => "nowhere".to_owned(),
            };
            for (times, path) in [(&mut found, format!("/campaigns?q={word}")), (&mut all, "/campaigns".to_owned())] {
                let began = Instant::now();
                browser.get(&path).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        search.add(median(found), median(all));
    }
    ours.stop(false).await;
    bare.stop(false).await;
    Ok(vec![search, rate])
}

/// Database queries a second while one person looks, and while many do.
pub async fn live(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let house = ground.house("live")?;
    campaigns(&house, 1_000)?;
    let app = house.app(64, null())?;
    let hub = Hub::start(app.clone());
    let (address, server) = serve(app.clone(), Some(hub.clone()), Key::generate())?;
    let browser = Browser::sign_in(address, EMAIL, PASSWORD).await?;
    let ids: Vec<String> = (951..=1000).map(|id: i32| id.to_string()).collect();
    let path = format!("/campaigns/live?ids={}", ids.join(","));
    let seconds = if ground.quick { 3 } else { 10 };
    let mut row = Row::new("live progress, 200 screens open, against 1", "queries/s", Target::AtMost(1.1));
    for _ in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for (figure, screens) in figures.iter_mut().zip([200, 1]) {
            let mut open = Vec::new();
            for _ in 0..screens {
                open.push(Browser::open(address, &browser.cookie).await?.watch(&path).await?);
            }
            // Opening the streams asked, too; a connection at rest tells of it within ten seconds.
            tokio::time::sleep(Duration::from_secs(11)).await;
            let (before, began) = (asked(&house)?, Instant::now());
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            *figure = (asked(&house)? - before) as f64 / began.elapsed().as_secs_f64();
            drop(open);
            // The hub notices at its next beat.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        row.add(figures[0], figures[1]);
    }
    hub.stop();
    server.stop(false).await;
    Ok(vec![row])
}

/// Transactions that the database has seen; each query of a hub's look is one.
fn asked(house: &House) -> anyhow::Result<i64> {
    house.number("SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()")
}

#[derive(QueryableByName)]
struct Campaign {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    state: String,
}

/// A page with one query and nothing around it: no session, no progress, no buttons.
async fn bare(app: Data<App>) -> HttpResponse {
    let first = "SELECT id, name, state FROM campaigns WHERE state <> 'archived' ORDER BY id DESC LIMIT 50";
    let Ok(rows) = app.db.run(move |conn| diesel::sql_query(first).load::<Campaign>(conn)).await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    let mut page = String::from("<!doctype html><title>Campaigns</title><table>");
    for row in rows {
        page.push_str(&format!("<tr id=\"{}\"><td>{}<td>{}", row.id, row.name, row.state));
    }
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page)
}

fn serve_bare(app: Data<App>) -> anyhow::Result<(SocketAddr, ServerHandle)> {
    let server = HttpServer::new(move || actix_web::App::new().app_data(app.clone()).route("/", web::get().to(bare)));
    let server = server.workers(WORKERS).worker_max_blocking_threads(16).disable_signals().bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok((address, handle))
}

/// Launched campaigns with a schedule each, as a company has after years: most have finished, some run.
fn campaigns(house: &House, n: usize) -> anyhow::Result<()> {
    let (admin, channel) = (house.admin, house.channel);
    house.sql(&format!(
        "SET session_replication_role = replica;
         INSERT INTO files (name, size_bytes, sha256, format, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
         VALUES ('people.csv', 1, '', 'csv', '{{}}', 'imported', 10, 10, {admin}, now(), now());
         INSERT INTO campaigns (name, time_zone, state, file_id, search, created_by, created_at, launched_at, ended_at)
         SELECT name, 'UTC', CASE WHEN n % 10 = 0 THEN 'active' ELSE 'finished' END, 1, name || E'\\nMain\\npeople.csv',
                {admin}, now(), now(), CASE WHEN n % 10 = 0 THEN NULL ELSE now() END
         FROM (SELECT n, (ARRAY['Spring', 'Summer', 'Autumn', 'Winter', 'Reminder', 'Invoice', 'Welcome', 'Survey', 'Renewal', 'Outage'])[1 + n * 7 % 10]
                         || ' ' || (ARRAY['reminder', 'offer', 'notice', 'news'])[1 + n % 4] || ' ' || lpad(n::text, 6, '0') AS name
               FROM generate_series(1, {n}) n) named;
         INSERT INTO schedules (campaign_id, name, channel_id, body, run_date, start_time, end_time, rate, state)
         SELECT id, 'Main', {channel}, 'Hello', current_date, '09:00', '17:00', 60, state FROM campaigns;
         INSERT INTO schedule_runs (schedule_id, campaign_id, channel_id, file_id, name, run_date, body, starts_at, ends_at, late_policy,
                                    prepared_at, next_seq, last_seq, rate, state, clock_since, ended_at)
         SELECT s.id, s.campaign_id, {channel}, 1, s.name, s.run_date, s.body, now(), now() + interval '8 hours', 'catch_up',
                now(), 5, 10, 60, CASE WHEN s.state = 'active' THEN 'running' ELSE 'overrun' END, now(),
                CASE WHEN s.state = 'active' THEN NULL ELSE now() END FROM schedules s;
         INSERT INTO tallies (run_id, shard, accepted, delivered) SELECT id, 0, 1, 3 FROM schedule_runs;
         SET session_replication_role = origin;"
    ))?;
    house.sql("VACUUM ANALYZE")
}
