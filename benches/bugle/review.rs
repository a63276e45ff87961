//! What is found out before a launch: the preview of a page, and every message.

use std::time::Instant;

use bugle::campaigns::CampaignKind;
use bugle::drafting::{self, dry_run, review};
use bugle::schedules::Draft;
use chrono::{TimeDelta, Utc};

use crate::child;
use crate::ground::Ground;
use crate::table::{Row, Target};

/// A grouped draft to many contacts: all that its page shows, the first time and every
/// other time; and each of its messages, written and weighed.
pub async fn review(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("review")?, ground.size(1_000_000));
    let file = house.contacts(n)?;
    house.sql(
        "UPDATE file_rows SET \"values\" = \"values\" || jsonb_build_object('city', (ARRAY['Cork', 'Dublin', 'Galway'])[1 + seq % 3])",
    )?;
    house.sql(
        "UPDATE files SET headers = headers || '[\"city\"]', mapping = mapping || '[{\"use\": \"data\", \"field\": \"city\"}]'",
    )?;
    house.sql("VACUUM ANALYZE")?;
    let (conn, now) = (&mut house.conn()?, Utc::now());
    let campaign = drafting::actions::create(conn, "Bench", CampaignKind::OnceOff, chrono_tz::UTC, house.admin, now)?;
    drafting::actions::set_file(conn, campaign, Some(file), house.admin, now)?;
    drafting::actions::set_group_by(conn, campaign, Some("city"), house.admin, now)?;
    let date = (now + TimeDelta::days(1)).date_naive();
    let (nine, five) = ("09:00:00".parse()?, "17:00:00".parse()?);
    for city in ["Cork", "Dublin"] {
        let body = "Hello #name, you owe #balance|nothing#.";
        let plan = Draft::once(city, house.channel, body, date, nine, five, 1_000.0);
        drafting::actions::add_schedule(
            conn,
            campaign,
            &Draft { group: Some(city.to_owned()), ..plan },
            house.admin,
            now,
        )?;
    }

    let mut first =
        Row::new(format!("page of a draft to {n} contacts in groups, the first time"), "ms", Target::Below(1000.0));
    let mut again = Row::new("… and every other time", "ms", Target::Below(100.0));
    let mut check = Row::new(format!("check of {n} messages"), "s", Target::Below(30.0));
    let mut memory = Row::new("… memory of its process at most", "MB", Target::Below(100.0));
    for _ in 0..ground.rounds() {
        house.sql("TRUNCATE file_groups")?;
        for row in [&mut first, &mut again] {
            let began = Instant::now();
            let facts = review::gather(conn, campaign, house.admin, now)?;
            row.add_alone(began.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(facts.reviews.len() == 2, "both schedules are shown");
        }

        dry_run::order(conn, campaign, house.admin, now)?;
        let told = child::run("check", &house.url)?;
        let done = house.number("SELECT rows_done AS n FROM dry_runs WHERE state = 'done'")?;
        anyhow::ensure!(done == n as i64, "only {done} were checked");
        check.add_alone(told.seconds);
        memory.add_alone(told.peak_mb);
    }
    Ok(vec![first, again, check, memory])
}
