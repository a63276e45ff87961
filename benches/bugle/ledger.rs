//! The ledger of a run: its slowest page, whatever is looked for.

use std::time::Instant;

use bugle::deliveries::ledger::{GoesOn, LedgerAsk, look};
use bugle::deliveries::{Outcome, Show};

use crate::ground::Ground;
use crate::table::{Row, Target};

/// Rows on a page of the ledger.
const PAGE: usize = 100;

/// The slowest of all pages that somebody can open of a long run, and of all looks that fill one.
pub async fn ledger(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("ledger")?, ground.size(1_000_000));
    let file = house.contacts(n)?;
    let (_, run) = house.launch(file)?;
    // Most were delivered; one in a thousand failed, the last few are with the provider, and one is unconfirmed.
    house.sql(&format!(
        "INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, \"values\", progress, outcome, attempt, settled_at)
         SELECT {run}, seq, contact_id, address, customer_id, \"values\", 1,
                CASE WHEN seq = {n} / 2 THEN 14 WHEN seq % 1000 = 7 THEN 12 WHEN seq % 1000 = 8 THEN 10 WHEN seq < {n} * 0.99 THEN 0 END, 1, now()
         FROM file_rows WHERE file_id = {file};
         UPDATE schedule_runs SET prepared_at = now(), last_seq = {n}, next_seq = {n} + 1, state = 'running', clock_since = now()
         WHERE id = {run};
         INSERT INTO outcome_tallies SELECT run_id, 0, outcome, count(*) FROM deliveries WHERE outcome IN (10, 12) GROUP BY run_id, outcome"
    ))?;
    house.sql("VACUUM ANALYZE")?;
    let asks = [
        (Show::All, ""),
        (Show::Failed, ""),
        (Show::Skipped, ""),
        (Show::Sent, ""),
        (Show::Unconfirmed, ""),
        (Show::InFlight, ""),
        (Show::Unsent, ""),
        (Show::Outcome(Outcome::Rejected), ""),
        (Show::All, "4474009"),
        (Show::All, "C999"),
        (Show::Failed, "nobody"),
    ];
    let mut page = Row::new(
        format!("ledger of {n} contacts, the slowest page of {} filters", asks.len()),
        "ms",
        Target::Below(100.0),
    );
    let mut whole = Row::new(format!("… all looks until nobody is found in {n}"), "ms", Target::Told);
    let conn = &mut house.conn()?;
    for _ in 0..ground.rounds() {
        let (mut slowest, mut longest) = (0.0_f64, 0.0_f64);
        for (show, begins) in asks {
            let (mut ask, began) =
                (LedgerAsk { show, begins: begins.to_owned(), ..LedgerAsk::default() }, Instant::now());
            loop {
                let one = Instant::now();
                let wanted = ask.clone();
                let seen =
                    conn.build_transaction().read_only().repeatable_read().run(|conn| look(conn, run, wanted, PAGE))?;
                slowest = slowest.max(one.elapsed().as_secs_f64() * 1e3);
                ask.found += seen.entries.len();
                match seen.goes_on {
                    Some(GoesOn::LooksOn { after }) => ask.after = after,
                    Some(GoesOn::AnotherPage { .. }) | None => break,
                }
            }
            longest = longest.max(began.elapsed().as_secs_f64() * 1e3);
        }
        page.add_alone(slowest);
        whole.add_alone(longest);
    }
    Ok(vec![page, whole])
}
