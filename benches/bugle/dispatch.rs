//! From a running run to its last settled contact.

use std::time::{Duration, Instant};

use bugle::db::Prepared;
use bugle::db::schema::schedule_runs;
use bugle::deliveries::LEASE;
use bugle::engine::Engine;
use bugle::engine::starter;
use bugle::ids::{FileId, RunId};
use bugle::providers::key::DeliveryKey;
use bugle::providers::{Receipt, ReceiptStatus};
use chrono::Utc;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Float8, Int2, Int4, Int8, Jsonb, Nullable, Text, Timestamptz, Uuid};

use crate::ground::{Ground, House, null};
use crate::table::{Row, Target};

/// Connections of the bare loop, and contacts in each of its claims.
const CONNECTIONS: usize = 4;
const BATCH: i32 = 100;

/// What sends.
#[derive(Clone, Copy)]
pub enum By {
    Bugle,
    /// The same statements and nothing else.
    Bare,
    /// As few statements as there can be, for as many contacts each as pays.
    Fewest,
}

pub async fn dispatch(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("dispatch")?, ground.size(200_000));
    let file = house.contacts(n)?;
    let engine = Engine::new(house.app(2000, null())?);
    let mut row = Row::new(format!("dispatch of {n} contacts to a null channel"), "msgs/s", Target::AtLeast(0.5));
    let mut fewest = Row::new("… against the fewest statements", "msgs/s", Target::AtLeast(0.6));
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 3];
        for turn in 0..3 {
            let side = (round + turn) % 3;
            figures[side] = speed(&house, &engine, file, n, [By::Bugle, By::Bare, By::Fewest][side]).await?;
        }
        row.add(figures[0], figures[1]);
        fewest.add(figures[0], figures[2]);
    }
    Ok(vec![row, fewest])
}

/// Contacts a second of a run to all of `file`, from its first claim to its last settled contact.
pub async fn speed(house: &House, engine: &Engine, file: FileId, n: usize, by: By) -> anyhow::Result<f64> {
    let (schedule, run) = house.launch(file)?;
    starter::tick(&engine.app).await?;
    house.sql("VACUUM ANALYZE deliveries")?;
    house.sql("CHECKPOINT")?;
    let began = Instant::now();
    match by {
        By::Bugle => {
            engine.dispatcher.tick().await?;
            engine.dispatcher.outbox.idle().await;
        }
        By::Bare => bare(house, run, claim_and_settle)?,
        By::Fewest => bare(house, run, |house, run, _| claim_and_settle_shortly(house, run))?,
    }
    let speed = n as f64 / began.elapsed().as_secs_f64();
    all_settled(house, run)?;
    house.sql(&format!(
        "UPDATE schedule_runs SET state = 'completed', ended_at = now() WHERE schedule_id = {schedule}"
    ))?;
    Ok(speed)
}

fn all_settled(house: &House, run: RunId) -> anyhow::Result<()> {
    let left = format!(
        "SELECT count(*) AS n FROM deliveries WHERE run_id = {run} AND (progress IS NULL OR settled_at IS NULL)"
    );
    let left = house.number(&left)?;
    anyhow::ensure!(left == 0, "{left} contacts were not settled");
    Ok(())
}

/// The last of 5,000,000 messages of one run against its first: whether anything grows.
pub async fn decline(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("decline")?, ground.size(5_000_000));
    let file = house.contacts(n)?;
    let app = house.app(2000, null())?;
    let dispatcher = Engine::new(app.clone()).dispatcher;
    let (_, run) = house.launch(file)?;
    starter::tick(&app).await?;
    house.sql("VACUUM ANALYZE deliveries")?;
    house.sql("CHECKPOINT")?;
    let mut conn = house.conn()?;
    let watch = std::thread::spawn(move || -> anyhow::Result<Vec<(Instant, i32)>> {
        let mut seen = Vec::new();
        loop {
            let next: i32 = schedule_runs::table.find(run).select(schedule_runs::next_seq).first(&mut conn)?;
            seen.push((Instant::now(), next));
            if next as usize > n {
                return Ok(seen);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    dispatcher.tick().await?;
    dispatcher.outbox.idle().await;
    all_settled(&house, run)?;
    let seen = watch.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    let speed = |from: f64, to: f64| {
        let at = |part: f64| seen.iter().find(|(_, next)| f64::from(*next) >= part * n as f64).or(seen.last());
        let (Some((began, first)), Some((ended, last))) = (at(from), at(to)) else { return f64::NAN };
        f64::from(last - first) / (*ended - *began).as_secs_f64()
    };
    let what = format!("the last fifth of {n} messages of one run, against the first");
    let mut row = Row::new(what, "msgs/s", Target::AtLeast(0.95));
    row.add(speed(0.8, 1.0), speed(0.0, 0.2));
    Ok(vec![row])
}

/// Claims that ask how much a contact got lately and where else it is still to be sent to, with a long past of each
/// contact against none.
pub async fn crowded(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (n, past) = (ground.size(20_000), ground.size(5_000_000));
    let houses = [("crowded", past / n), ("uncrowded", 0)].map(|(name, runs)| {
        let house = ground.house(name)?;
        let file = house.contacts(n)?;
        house.sql(&format!(
            "SET session_replication_role = replica;
             INSERT INTO deliveries (run_id, seq, contact_id, address, \"values\", progress, outcome, attempt, settled_at)
             SELECT r, c.id, c.id, c.address, '{{}}', 2, 0, 1, now() - interval '1 year'
             FROM generate_series(1, {runs}) r, contacts c;
             SELECT setval(pg_get_serial_sequence('schedule_runs', 'id'), 100000);
             UPDATE settings SET cap_messages = 100, cap_days = 30"
        ))?;
        anyhow::Ok((house, file))
    });
    let what = format!("claims that ask for the cap and who is busy elsewhere, {past} past deliveries against none");
    let mut row = Row::new(what, "msgs/s", Target::AtLeast(0.8));
    let mut houses = houses.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter();
    let (Some(crowded), Some(empty)) = (houses.next(), houses.next()) else { anyhow::bail!("two houses") };
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            let (house, file) = if side == 0 { &crowded } else { &empty };
            let app = house.app(2000, null())?;
            let dispatcher = Engine::new(app.clone()).dispatcher;
            let (schedule, run) = house.launch(*file)?;
            house
                .sql(&format!(r#"UPDATE schedule_runs SET rules = rules || '{{"busy": "wait"}}' WHERE id = {run}"#))?;
            starter::tick(&app).await?;
            house.sql("VACUUM ANALYZE deliveries")?;
            house.sql("CHECKPOINT")?;
            let began = Instant::now();
            dispatcher.tick().await?;
            dispatcher.outbox.idle().await;
            figures[side] = n as f64 / began.elapsed().as_secs_f64();
            all_settled(house, run)?;
            house.sql(&format!(
                "UPDATE schedule_runs SET state = 'completed', ended_at = now() WHERE schedule_id = {schedule}"
            ))?;
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

/// Contacts that were held and fall due all at once, against as many whose turn comes for the first time.
pub async fn held(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("held")?, ground.size(50_000));
    let file = house.contacts(n)?;
    let app = house.app(2000, null())?;
    let dispatcher = Engine::new(app.clone()).dispatcher;
    let mut row =
        Row::new(format!("dispatch of {n} held contacts that fall due, against fresh ones"), "msgs/s", Target::Told);
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            let (schedule, run) = house.launch(file)?;
            starter::tick(&app).await?;
            if side == 0 {
                house.sql(&format!(
                    "INSERT INTO retries (run_id, seq, attempt, due_at) SELECT run_id, seq, 1, now() FROM deliveries WHERE run_id = {run};
                     UPDATE schedule_runs SET next_seq = last_seq + 1, passed_over = last_seq WHERE id = {run};
                     INSERT INTO tallies (run_id, shard, retrying) VALUES ({run}, 0, {n})"
                ))?;
            }
            house.sql("VACUUM ANALYZE deliveries, retries")?;
            house.sql("CHECKPOINT")?;
            let began = Instant::now();
            dispatcher.tick().await?;
            dispatcher.outbox.idle().await;
            figures[side] = n as f64 / began.elapsed().as_secs_f64();
            all_settled(&house, run)?;
            house.sql(&format!(
                "UPDATE schedule_runs SET state = 'completed', ended_at = now() WHERE schedule_id = {schedule}"
            ))?;
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

/// Two receipts of each of many contacts, a hundred a call over four connections, against the barest statement
/// that writes as much in as many transactions.
pub async fn receipts(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("receipts")?, ground.size(200_000));
    let file = house.contacts(n)?;
    let app = house.app(2000, null())?;
    let dispatcher = Engine::new(app.clone()).dispatcher;
    let mut row = Row::new(format!("receipts of {n} contacts, two each, 100 a call"), "receipts/s", Target::Told);
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            let (schedule, run) = house.launch(file)?;
            starter::tick(&app).await?;
            dispatcher.tick().await?;
            dispatcher.outbox.idle().await;
            house.sql("VACUUM ANALYZE deliveries")?;
            house.sql("CHECKPOINT")?;
            let began = Instant::now();
            let house = &house;
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..CONNECTIONS)
                    .map(|k| {
                        scope.spawn(move || match side {
                            0 => take_in(house, run, n, k),
                            _ => write_barely(house, run, n, k),
                        })
                    })
                    .collect();
                let end = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<()>>| {
                    thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
                };
                threads.into_iter().try_for_each(end)
            })?;
            figures[side] = 2.0 * n as f64 / began.elapsed().as_secs_f64();
            let left = house.number(&format!(
                "SELECT count(*) AS n FROM deliveries WHERE run_id = {run} AND outcome IS DISTINCT FROM 0"
            ))?;
            anyhow::ensure!(left == 0, "{left} contacts were not delivered to");
            house.sql(&format!(
                "UPDATE schedule_runs SET state = 'completed', ended_at = now() WHERE schedule_id = {schedule}"
            ))?;
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

/// The calls of a connection: every so many a hundred, those that tell of sending before those that tell of delivery.
fn calls(n: usize, connection: usize) -> impl Iterator<Item = (std::ops::RangeInclusive<i32>, ReceiptStatus)> {
    let hundreds = (0..n as i32).step_by(BATCH as usize).skip(connection).step_by(CONNECTIONS);
    hundreds.flat_map(move |from| {
        let seqs = from + 1..=(from + BATCH).min(n as i32);
        [(seqs.clone(), ReceiptStatus::Sent), (seqs, ReceiptStatus::Delivered)]
    })
}

fn take_in(house: &House, run: RunId, n: usize, connection: usize) -> anyhow::Result<()> {
    let conn = &mut house.conn()?;
    for (seqs, status) in calls(n, connection) {
        let receipt = |seq| Receipt::of(DeliveryKey { run, seq, attempt: 1 }.into(), status);
        let told: Vec<Receipt> = seqs.map(receipt).collect();
        let changed = bugle::conversations::intake::take_in_receipts(conn, house.channel, &told, Utc::now())?;
        anyhow::ensure!(changed == told.len(), "{changed} of {} receipts changed something", told.len());
    }
    Ok(())
}

fn write_barely(house: &House, run: RunId, n: usize, connection: usize) -> anyhow::Result<()> {
    let conn = &mut house.conn()?;
    for (seqs, status) in calls(n, connection) {
        let outcome = (status == ReceiptStatus::Delivered).then_some(0i16);
        Prepared(
            diesel::sql_query("UPDATE deliveries SET progress = 2, outcome = $3 WHERE run_id = $1 AND seq = ANY ($2)")
                .bind::<BigInt, _>(run.0)
                .bind::<Array<Int4>, _>(seqs.collect::<Vec<_>>())
                .bind::<Nullable<Int2>, _>(outcome),
        )
        .execute(conn)?;
    }
    Ok(())
}

/// A loop that claims and settles on each of some connections, each on its own thread: no rendering, no pacing, no channel.
fn bare(
    house: &House,
    run: RunId,
    claim_and_settle: impl Fn(&House, RunId, usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let claim_and_settle = &claim_and_settle;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || claim_and_settle(house, run, n))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
    })
}

#[derive(QueryableByName)]
struct Cursor {
    #[diesel(sql_type = Int4)]
    next_seq: i32,
    #[diesel(sql_type = Int4)]
    last_seq: i32,
    #[diesel(sql_type = Int8)]
    released: i64,
}

#[derive(QueryableByName)]
#[expect(dead_code, reason = "read as the product reads them")]
struct Claimed {
    #[diesel(sql_type = Int8)]
    lease: i64,
    #[diesel(sql_type = Int4)]
    seq: i32,
    #[diesel(sql_type = Int8)]
    contact_id: i64,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Jsonb)]
    values: Bytes,
    #[diesel(sql_type = Nullable<Text>)]
    replaced: Option<String>,
}

#[derive(QueryableByName)]
#[expect(dead_code, reason = "read as the product reads them")]
struct Barred {
    #[diesel(sql_type = Int8)]
    id: i64,
    #[diesel(sql_type = Int2)]
    barred: i16,
}

/// JSON nobody looks into.
#[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = Jsonb)]
#[derive(Debug)]
#[expect(dead_code, reason = "read as the product reads them")]
struct Bytes(Vec<u8>);

impl diesel::deserialize::FromSql<Jsonb, Pg> for Bytes {
    fn from_sql(value: PgValue<'_>) -> diesel::deserialize::Result<Self> {
        Ok(Bytes(value.as_bytes().to_vec()))
    }
}

/// The statements of a claim, of its last look for consent and of a settlement, and nothing else.
fn claim_and_settle(house: &House, run: RunId, shard: usize) -> anyhow::Result<()> {
    let conn = &mut house.conn()?;
    let process = uuid::Uuid::new_v4();
    loop {
        let now = Utc::now();
        let claimed: Vec<Claimed> = conn.transaction(|conn| {
            let cursor: Cursor = Prepared(
                diesel::sql_query(
                    "SELECT next_seq, last_seq, released FROM schedule_runs WHERE id = $1 AND state = 'running' FOR NO KEY UPDATE",
                )
                .bind::<BigInt, _>(run.0),
            )
            .get_result(conn)?;
            if cursor.next_seq > cursor.last_seq {
                return QueryResult::Ok(Vec::new());
            }
            Prepared(
                diesel::sql_query(include_str!("../../src/deliveries/claim.sql"))
                    .bind::<Int8, _>(run.0)
                    .bind::<Int4, _>(cursor.next_seq)
                    .bind::<Int4, _>((cursor.next_seq + BATCH - 1).min(cursor.last_seq))
                    .bind::<Float8, _>(1.0)
                    .bind::<Timestamptz, _>(now)
                    .bind::<Int8, _>(cursor.released)
                    .bind::<Uuid, _>(process)
                    .bind::<Timestamptz, _>(now)
                    .bind::<Timestamptz, _>(now + LEASE),
            )
            .load(conn)
        })?;
        let Some(first) = claimed.first() else { return Ok(()) };
        let k = claimed.len();
        let _: Vec<Barred> = Prepared(
            diesel::sql_query(include_str!("../../src/deliveries/last_look.sql"))
                .bind::<Array<Int8>, _>(claimed.iter().map(|row| row.contact_id).collect::<Vec<_>>())
                .bind::<Timestamptz, _>(now),
        )
        .load(conn)?;
        conn.transaction(|conn| {
            Prepared(
                diesel::sql_query("UPDATE leases SET open = open - $2, last_batch = $3 WHERE id = $1 AND open >= $2")
                    .bind::<Int8, _>(first.lease)
                    .bind::<Int4, _>(k as i32)
                    .bind::<Uuid, _>(uuid::Uuid::new_v4()),
            )
            .execute(conn)?;
            Prepared(
                diesel::sql_query(include_str!("../../src/deliveries/settle.sql"))
                    .bind::<Array<Int8>, _>(vec![run.0; k])
                    .bind::<Array<Int4>, _>(claimed.iter().map(|row| row.seq).collect::<Vec<_>>())
                    .bind::<Array<Nullable<Int2>>, _>(vec![Some(1i16); k])
                    .bind::<Array<Nullable<Int2>>, _>(vec![None::<i16>; k])
                    .bind::<Array<Int2>, _>(vec![1i16; k])
                    .bind::<Array<Nullable<Text>>, _>(vec![None::<&str>; k])
                    .bind::<Array<Nullable<Text>>, _>(vec![None::<&str>; k])
                    .bind::<Timestamptz, _>(now),
            )
            .execute(conn)?;
            Prepared(
                diesel::sql_query(
                    "INSERT INTO tallies (run_id, shard, accepted) VALUES ($1, $2, $3)
                     ON CONFLICT (run_id, shard) DO UPDATE SET accepted = tallies.accepted + EXCLUDED.accepted",
                )
                .bind::<Int8, _>(run.0)
                .bind::<Int2, _>(shard as i16)
                .bind::<Int8, _>(k as i64),
            )
            .execute(conn)
        })?;
    }
}

/// Contacts in a claim of the loop with the fewest statements.
const MANY: i32 = 500;

/// One statement that moves the cursor, writes a lease and reads the contacts, and one that writes what became of them and
/// closes it. It asks nothing and counts nothing.
fn claim_and_settle_shortly(house: &House, run: RunId) -> anyhow::Result<()> {
    let conn = &mut house.conn()?;
    let process = uuid::Uuid::new_v4();
    loop {
        let now = Utc::now();
        let claim = diesel::sql_query(
            "WITH run AS (
                 SELECT id, next_seq, last_seq FROM schedule_runs WHERE id = $1 AND state = 'running' FOR NO KEY UPDATE
             ), moved AS (
                 UPDATE schedule_runs r SET next_seq = least(run.next_seq + $2, run.last_seq + 1)
                 FROM run WHERE r.id = run.id AND run.next_seq <= run.last_seq
                 RETURNING run.next_seq AS lo, r.next_seq - 1 AS hi
             ), lease AS (
                 INSERT INTO leases (run_id, lo, hi, attempt, open, released_before, process, taken_at, expires_at)
                 SELECT $1, lo, hi, 1, hi - lo + 1, 0, $3, $4, $5 FROM moved RETURNING id, lo, hi
             )
             SELECT lease.id AS lease, d.seq, d.contact_id, d.address, d.\"values\", NULL::text AS replaced
             FROM lease JOIN deliveries d ON d.run_id = $1 AND d.seq BETWEEN lease.lo AND lease.hi",
        )
        .bind::<Int8, _>(run.0)
        .bind::<Int4, _>(MANY)
        .bind::<Uuid, _>(process)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(now + LEASE);
        let claimed: Vec<Claimed> = Prepared(claim).load(conn)?;
        let Some(first) = claimed.first() else { return Ok(()) };
        let settle = diesel::sql_query(
            "WITH closed AS (UPDATE leases SET open = 0 WHERE id = $2)
             UPDATE deliveries SET progress = 1, attempt = 1, settled_at = $4 WHERE run_id = $1 AND seq = ANY ($3)",
        )
        .bind::<Int8, _>(run.0)
        .bind::<Int8, _>(first.lease)
        .bind::<Array<Int4>, _>(claimed.iter().map(|row| row.seq).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(now);
        Prepared(settle).execute(conn)?;
    }
}
