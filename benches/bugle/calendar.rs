//! The calendar: a month with many schedules on it, and a day.

use std::time::Instant;

use actix_web::cookie::Key;
use chrono::{Datelike, NaiveDate};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Text};

use crate::ground::{EMAIL, Ground, House, PASSWORD, null};
use crate::http::Browser;
use crate::screen::serve;
use crate::table::{Row, Target, median};

/// The pages, against the queries that find the same rows.
pub async fn calendar(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("calendar")?, ground.size(10_000));
    schedules(&house, n)?;
    let app = house.app(64, null())?;
    let (address, ours) = serve(app, None, Key::generate())?;
    let mut browser = Browser::sign_in(address, EMAIL, PASSWORD).await?;
    let mut conn = house.conn()?;
    let middle = diesel::select(diesel::dsl::sql::<Date>("date_trunc('month', now())::date + 13"))
        .get_result::<NaiveDate>(&mut conn)?;
    let paths = [
        ("a month", format!("/calendar?month={}-{:02}", middle.year(), middle.month())),
        ("a day", format!("/calendar/{middle}")),
    ];
    let mut rows = Vec::new();
    for (what, path) in paths {
        let mut row =
            Row::new(format!("calendar, {what} of {n} schedules, p50 of the page"), "ms", Target::Below(500.0));
        for _ in 0..ground.rounds() {
            let (mut page, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..if ground.quick { 3 } else { 20 } {
                let began = Instant::now();
                browser.get(&path).await?;
                page.push(began.elapsed().as_secs_f64() * 1e3);
                let began = Instant::now();
                find(&mut conn)?;
                bare.push(began.elapsed().as_secs_f64() * 1e3);
            }
            row.add(median(page), median(bare));
        }
        rows.push(row);
    }
    ours.stop(false).await;
    Ok(rows)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Every run of the month and everything that recurs, by name.
fn find(conn: &mut PgConnection) -> anyhow::Result<()> {
    let runs = "SELECT r.id, c.name FROM schedule_runs r JOIN campaigns c ON c.id = r.campaign_id
                WHERE r.purpose = 'campaign' AND r.starts_at >= date_trunc('month', now())
                  AND r.starts_at < date_trunc('month', now()) + interval '1 month'";
    let recurring = "SELECT s.id, c.name FROM schedules s JOIN campaigns c ON c.id = s.campaign_id
                     WHERE s.next_run_at < date_trunc('month', now()) + interval '1 month'";
    for query in [runs, recurring] {
        let found: Vec<Found> = diesel::sql_query(query).load(conn)?;
        anyhow::ensure!(found.iter().all(|it| it.id > 0 && !it.name.is_empty()), "rows without a name");
    }
    Ok(())
}

/// Half have had a run this month, half come round every week, each at its own minute.
fn schedules(house: &House, n: usize) -> anyhow::Result<()> {
    let (admin, channel) = (house.admin, house.channel);
    house.sql(&format!(
        "SET session_replication_role = replica;
         INSERT INTO campaigns (name, kind, time_zone, state, search, created_by, created_at, launched_at)
         SELECT 'Reminder ' || n, CASE WHEN n % 2 = 0 THEN 'once_off' ELSE 'recurring' END, 'Europe/Dublin', 'active', '', {admin}, now(), now()
         FROM generate_series(1, {n}) n;
         INSERT INTO schedules (campaign_id, name, channel_id, body, start_time, end_time, rate, recurrence, next_run_at)
         SELECT id, 'Main', {channel}, 'Hello', '09:00', '17:00', 60,
                CASE WHEN kind = 'recurring' THEN jsonb_build_object('last_date', NULL, 'missed', 'skip', 'overlap', 'skip', 'rule',
                    jsonb_build_object('weekly', jsonb_build_object('days', 31,
                        'at', to_char(time '00:00' + id % 1440 * interval '1 minute', 'HH24:MI:SS')))) END,
                CASE WHEN kind = 'recurring' THEN date_trunc('month', now()) END
         FROM campaigns;
         INSERT INTO schedule_runs (schedule_id, campaign_id, channel_id, name, run_date, body, starts_at, ends_at, late_policy,
                                    prepared_at, next_seq, last_seq, rate, state, clock_since, ended_at)
         SELECT s.id, s.campaign_id, {channel}, s.name, current_date, s.body, at, at + interval '8 hours', 'catch_up',
                now(), 11, 10, 60, 'completed', at, at + interval '1 hour'
         FROM (SELECT s.*, date_trunc('month', now()) + s.id % 28 * interval '1 day' + s.id % 900 * interval '1 minute' AS at
               FROM schedules s WHERE recurrence IS NULL) s;
         INSERT INTO tallies (run_id, shard, accepted, delivered) SELECT id, 0, 1, 9 FROM schedule_runs;
         SET session_replication_role = origin;"
    ))?;
    house.sql("VACUUM ANALYZE")
}
