//! What Bugle costs, measured beside the barest thing that does the same work.
//!
//! Absolute figures drift by a factor on shared machines, so every benchmark
//! runs both sides in turn, three rounds, and reports medians and their ratio.
//! `cargo bench` runs all of them but `peers`, which needs more than PostgreSQL,
//! `cargo bench -- stop` those with `stop` in their name, and `-- --quick` all of
//! them with less to do.

mod besieged;
mod calendar;
mod child;
mod dispatch;
mod engine;
mod gateway;
mod ground;
mod http;
mod import;
mod ledger;
mod lists;
mod pause;
mod peers;
mod review;
mod screen;
mod smpp;
mod stop;
mod table;
mod talk;

use std::pin::Pin;

use ground::Ground;
use table::Row;

type Bench = for<'a> fn(&'a Ground) -> Pin<Box<dyn Future<Output = anyhow::Result<Vec<Row>>> + 'a>>;

const BENCHES: &[(&str, Bench)] = &[
    ("dispatch", |ground| Box::pin(dispatch::dispatch(ground))),
    (peers::NAME, |ground| Box::pin(peers::peers(ground))),
    ("decline", |ground| Box::pin(dispatch::decline(ground))),
    ("crowded", |ground| Box::pin(dispatch::crowded(ground))),
    ("held", |ground| Box::pin(dispatch::held(ground))),
    ("receipts", |ground| Box::pin(dispatch::receipts(ground))),
    ("launch", |ground| Box::pin(engine::launch(ground))),
    ("import", |ground| Box::pin(import::import(ground))),
    ("ledger", |ground| Box::pin(ledger::ledger(ground))),
    ("lists", |ground| Box::pin(lists::lists(ground))),
    ("stop", |ground| Box::pin(stop::stop(ground))),
    ("poll", |ground| Box::pin(engine::poll(ground))),
    ("planner", |ground| Box::pin(engine::planner(ground))),
    ("pause", |ground| Box::pin(pause::pause(ground))),
    ("memory", |ground| Box::pin(child::memory(ground))),
    ("review", |ground| Box::pin(review::review(ground))),
    ("screen", |ground| Box::pin(screen::screen(ground))),
    ("live", |ground| Box::pin(screen::live(ground))),
    ("calendar", |ground| Box::pin(calendar::calendar(ground))),
    ("talk", |ground| Box::pin(talk::take_in_messages(ground))),
    ("wake", |ground| Box::pin(talk::re_engagers(ground))),
    ("inbox", |ground| Box::pin(talk::inbox(ground))),
    ("widgets", |ground| Box::pin(talk::widgets(ground))),
    ("gateway", |ground| Box::pin(gateway::gateway(ground))),
    ("smpp", |ground| Box::pin(smpp::submit(ground))),
    ("besieged", |ground| Box::pin(besieged::besieged(ground))),
];

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, work, rest @ ..] = &args[..]
        && flag == "--child"
    {
        return child::work(work, rest).await;
    }
    // Cargo itself adds --bench.
    let names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let chosen = |name: &str| match names.is_empty() {
        true => name != peers::NAME,
        false => names.iter().any(|part| name.contains(part.as_str())),
    };
    let ground = Ground::open(args.iter().any(|arg| arg == "--quick"))?;
    let mut rows = Vec::new();
    for (name, bench) in BENCHES {
        if chosen(name) {
            eprintln!("{name} …");
            rows.extend(bench(&ground).await?);
        }
    }
    table::print(&rows);
    Ok(())
}
