//! Readying a run, and asking what is due.

use std::time::Instant;

use bugle::engine::starter;
use bugle::{control, deliveries, runs, schedules};
use chrono::Utc;
use diesel::prelude::*;

use crate::ground::{Ground, House, null};
use crate::table::{Row, Target, median};

/// Writing the deliveries of a launched run, against the same rows written by a bare statement.
pub async fn launch(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("launch")?, ground.size(1_000_000));
    let file = house.contacts(n)?;
    let app = house.app(64, null())?;
    let mut row = Row::new(format!("launch of a run with {n} contacts"), "rows/s", Target::AtLeast(0.7));
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            house.sql("TRUNCATE deliveries CASCADE; TRUNCATE campaigns CASCADE; CHECKPOINT")?;
            let (_, run) = house.launch(file)?;
            let began = Instant::now();
            if side == 0 {
                starter::tick(&app).await?;
            } else {
                house.sql(&format!(
                    "INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, \"values\")
                     SELECT {run}, seq, contact_id, address, customer_id, \"values\" FROM file_rows WHERE file_id = {file}"
                ))?;
            }
            figures[side] = n as f64 / began.elapsed().as_secs_f64();
            anyhow::ensure!(house.number("SELECT count(*) AS n FROM deliveries")? == n as i64, "not all were written");
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

/// What the engine asks every second, with many waiting runs and with few.
pub async fn poll(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let many = ground.size(1_000_000);
    let houses = [(ground.house("poll_many")?, many), (ground.house("poll_few")?, ground.size(50_000).min(1_000))];
    for (house, n) in &houses {
        waiting_runs(house, *n)?;
    }
    let (many, few) = (houses[0].1, houses[1].1);
    let mut rows = Vec::new();
    for (name, target, ask) in QUESTIONS {
        let mut row = Row::new(format!("{name}, {many} waiting runs against {few}"), "ms", target);
        for _ in 0..ground.rounds() {
            let mut figures = [0.0; 2];
            for (figure, (house, _)) in figures.iter_mut().zip(&houses) {
                let conn = &mut house.conn()?;
                let mut asked = Vec::new();
                for _ in 0..50 {
                    let began = Instant::now();
                    let due = ask(conn)?;
                    asked.push(began.elapsed().as_secs_f64() * 1e3);
                    anyhow::ensure!(due == 0, "nothing should be due");
                }
                *figure = median(asked);
            }
            row.add(figures[0], figures[1]);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// What the planner asks every second, with many schedules that recur and with few.
pub async fn planner(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let many = ground.size(1_000_000);
    let houses =
        [(ground.house("planner_many")?, many), (ground.house("planner_few")?, ground.size(50_000).min(1_000))];
    for (house, n) in &houses {
        recurring_schedules(house, *n)?;
    }
    let (many, few) = (houses[0].1, houses[1].1);
    let what = format!("poll for due schedules, {many} recurring schedules against {few}");
    let mut row = Row::new(what, "ms", Target::AtMost(3.0));
    for _ in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for (figure, (house, _)) in figures.iter_mut().zip(&houses) {
            let conn = &mut house.conn()?;
            let mut asked = Vec::new();
            for _ in 0..50 {
                let began = Instant::now();
                let due = schedules::store::due(conn, None, 500, Utc::now())?;
                asked.push(began.elapsed().as_secs_f64() * 1e3);
                anyhow::ensure!(due.is_empty(), "nothing should be due");
            }
            *figure = median(asked);
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

/// So many active schedules that run every day, the next time tomorrow or later.
fn recurring_schedules(house: &House, n: usize) -> anyhow::Result<()> {
    let (admin, channel) = (house.admin, house.channel);
    house.sql(&format!(
        "SET session_replication_role = replica;
         INSERT INTO campaigns (name, kind, time_zone, state, created_by, created_at, launched_at)
         SELECT 'Campaign ' || c, 'recurring', 'UTC', 'active', {admin}, now(), now() FROM generate_series(1, {n} / 100) c;
         INSERT INTO schedules (campaign_id, name, channel_id, body, recurrence, next_run_at, start_time, end_time, rate)
         SELECT 1 + (s - 1) / 100, 'Schedule ' || s, {channel}, 'Hello',
                '{{\"rule\": {{\"weekly\": {{\"days\": 127, \"at\": \"09:00:00\"}}}}, \"last_date\": null, \"missed\": \"skip\", \"overlap\": \"skip\"}}',
                now() + interval '1 day' + s * interval '1 s', '09:00', '17:00', 60 FROM generate_series(1, {n}) s;
         SET session_replication_role = origin;"
    ))?;
    house.sql("VACUUM ANALYZE")
}

type Question = fn(&mut PgConnection) -> QueryResult<usize>;

/// What is asked every second. The last grows with the campaigns that are active,
/// of which there are a hundred times fewer than runs; nothing is promised about it.
const QUESTIONS: [(&str, Target, Question); 2] = [
    ("poll for due and ended runs", Target::AtMost(3.0), ask),
    ("poll for finished campaigns", Target::Told, |conn| Ok(control::store::with_all_runs_ended(conn)?.len())),
];

/// What the starter, the dispatcher and the rescuer ask about runs.
fn ask(conn: &mut PgConnection) -> QueryResult<usize> {
    let now = Utc::now();
    let mut n = runs::store::unprepared(conn, now)?.len();
    n += runs::store::due_to_start(conn, 500, now)?.len();
    n += runs::store::running(conn)?.len();
    n += runs::store::perhaps_ended(conn, now)?.len();
    n += usize::from(deliveries::rescue::lock_expired_lease(conn, now)?.is_some());
    Ok(n)
}

/// So many prepared runs for tomorrow and later, a hundred in each campaign.
fn waiting_runs(house: &House, n: usize) -> anyhow::Result<()> {
    let (admin, channel) = (house.admin, house.channel);
    house.sql(&format!(
        "SET session_replication_role = replica;
         INSERT INTO files (name, size_bytes, sha256, format, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
         VALUES ('people.csv', 1, '', 'csv', '{{}}', 'imported', 1, 1, {admin}, now(), now());
         INSERT INTO campaigns (name, time_zone, state, file_id, created_by, created_at, launched_at)
         SELECT 'Campaign ' || c, 'UTC', 'active', 1, {admin}, now(), now() FROM generate_series(1, {n} / 100) c;
         INSERT INTO schedules (campaign_id, name, channel_id, body, run_date, start_time, end_time, rate)
         SELECT 1 + (s - 1) / 100, 'Schedule ' || s, {channel}, 'Hello', current_date + 2, '09:00', '17:00', 60 FROM generate_series(1, {n}) s;
         INSERT INTO schedule_runs (schedule_id, campaign_id, channel_id, file_id, name, run_date, body, starts_at, ends_at, late_policy, prepared_at, last_seq, rate)
         SELECT id, campaign_id, {channel}, 1, name, run_date, body, now() + interval '1 day' + s.id * interval '1 s',
                now() + interval '9 hours 1 day' + s.id * interval '1 s', 'catch_up', now(), 1, 60 FROM schedules s;
         SET session_replication_role = origin;"
    ))?;
    house.sql("VACUUM ANALYZE")
}
