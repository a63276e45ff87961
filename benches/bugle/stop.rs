//! STOP of everything.

use std::time::Instant;

use bugle::control::actions;
use bugle::deliveries::counts::Scope;
use bugle::deliveries::quiet;
use chrono::Utc;

use crate::ground::{Ground, House, null};
use crate::table::{Row, Target};

/// The same number of running schedules, with millions of contacts to go and with a few.
pub async fn stop(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (schedules, each) = (ground.size(10_000), 500);
    let houses = [ground.house("stop_many")?, ground.house("stop_few")?];
    let unsent = [schedules * each, each];
    running_runs(&houses[0], schedules, each, schedules)?;
    running_runs(&houses[1], schedules, 1, each.min(schedules))?;
    let what = format!("STOP of {schedules} running schedules with {} unsent, against {}", unsent[0], unsent[1]);
    let mut row = Row::new(what, "ms", Target::AtMost(1.5));
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 2];
        for side in [round % 2, 1 - round % 2] {
            let house = &houses[side];
            again(house)?;
            let app = house.app(64, null())?;
            let (admin, now) = (house.admin, Utc::now());
            // The first question of a connection is dearer; nobody's STOP should pay for ours.
            quiet::look(&app, Scope::Everything).await?;
            let began = Instant::now();
            let hit = app
                .db
                .run(move |conn| actions::stop_all(conn, admin, now))
                .await
                .map_err(|e| anyhow::anyhow!("{e}"))?;
            let wire = quiet::wait(&app, Scope::Everything).await?;
            figures[side] = began.elapsed().as_secs_f64() * 1e3;
            anyhow::ensure!(hit.schedules == schedules as i64 && wire.is_quiet(), "not everything was stopped");
        }
        row.add(figures[0], figures[1]);
    }
    Ok(vec![row])
}

/// `n` running schedules, each with a campaign of its own; the first `with` have `each` deliveries to go.
fn running_runs(house: &House, n: usize, each: usize, with: usize) -> anyhow::Result<()> {
    let (admin, channel) = (house.admin, house.channel);
    house.sql(&format!(
        "SET session_replication_role = replica;
         INSERT INTO files (name, size_bytes, sha256, format, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
         VALUES ('people.csv', 1, '', 'csv', '{{}}', 'imported', {each}, {each}, {admin}, now(), now());
         INSERT INTO contacts (kind, address) SELECT 'sms', '447400' || n FROM generate_series(1, {each}) n;
         INSERT INTO campaigns (name, time_zone, state, file_id, search, created_by, created_at, launched_at)
         SELECT 'Campaign ' || c, 'UTC', 'active', 1, 'Campaign ' || c, {admin}, now(), now() FROM generate_series(1, {n}) c;
         INSERT INTO schedules (campaign_id, name, channel_id, body, run_date, start_time, end_time, rate)
         SELECT id, 'Main', {channel}, 'Hello', current_date, '09:00', '17:00', 60 FROM campaigns;
         INSERT INTO schedule_runs (schedule_id, campaign_id, channel_id, file_id, name, run_date, body, starts_at, ends_at, late_policy, prepared_at, last_seq, rate, state, clock_since)
         SELECT s.id, s.campaign_id, {channel}, 1, s.name, s.run_date, s.body, now(), now() + interval '8 hours', 'catch_up', now(),
                CASE WHEN s.id <= {with} THEN {each} ELSE 0 END, 60, 'running', now() FROM schedules s;
         INSERT INTO deliveries (run_id, seq, contact_id, address, customer_id, \"values\")
         SELECT r.id, c.id, c.id, c.address, 'C' || c.id, jsonb_build_object('name', 'Name' || c.id)
         FROM schedule_runs r, contacts c WHERE c.id <= r.last_seq;
         SET session_replication_role = origin;"
    ))?;
    house.sql("VACUUM ANALYZE")
}

/// Everything runs once more.
fn again(house: &House) -> anyhow::Result<()> {
    house.sql(
        "UPDATE campaigns SET state = 'active', ended_at = NULL WHERE state <> 'active';
         UPDATE schedules SET state = 'active' WHERE state <> 'active';
         UPDATE schedule_runs SET state = 'running', ended_at = NULL WHERE state <> 'running'",
    )?;
    house.sql("VACUUM ANALYZE campaigns")?;
    house.sql("VACUUM ANALYZE schedules")?;
    house.sql("VACUUM ANALYZE schedule_runs")?;
    house.sql("CHECKPOINT")
}
