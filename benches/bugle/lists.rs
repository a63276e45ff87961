//! Saved lists over many contacts: who matches, who is in an audience, and the search.

use std::time::Instant;

use bugle::contacts::search::{self, ContactSearch};
use bugle::ids::CampaignId;
use bugle::lists::actions;
use bugle::lists::domain::{Condition, Filter, Join};
use bugle::lists::store::{self, AudienceTarget};
use bugle::providers::Kind;
use chrono::Utc;

use crate::ground::Ground;
use crate::table::{Row, Target, median};

/// A filter of two conditions and an audience of two lists without a third, against a bare count and a bare INSERT.
pub async fn lists(ground: &Ground) -> anyhow::Result<Vec<Row>> {
    let (house, n) = (ground.house("lists")?, ground.size(1_000_000));
    house.sql(&format!(
        "INSERT INTO contacts (kind, address, customer_id, \"values\")
         SELECT 'sms', '447400' || lpad(n::text, 7, '0'), 'C' || n,
                jsonb_build_object('name', 'Name' || n, 'city', (ARRAY['Leeds', 'Cork', 'Sligo', 'Hull'])[1 + n % 4], 'balance', (n % 1000)::text)
         FROM generate_series(1, {n}) n;
         CREATE TABLE bare (campaign_id bigint, contact_id bigint, PRIMARY KEY (campaign_id, contact_id))"
    ))?;
    house.sql("VACUUM ANALYZE contacts")?;
    let conn = &mut house.conn()?;
    let (admin, now) = (house.admin, Utc::now());
    let filter = |join, conditions: &[(&str, &str, &str)]| {
        let conditions = conditions.iter().map(|(field, op, value)| Condition::parse(field, op, value));
        Ok::<_, anyhow::Error>(Filter { join, conditions: conditions.collect::<Result<_, _>>()? })
    };
    let debtors = filter(Join::All, &[("value:city", "is", "leeds"), ("value:balance", "greater_than", "500")])?;
    let most = filter(Join::Any, &[("value:city", "is_not", "Hull"), ("value:balance", "less_than", "100")])?;
    let most = actions::create_filter(conn, "most", Kind::Sms, &most, admin, now)?;
    let by_hand = actions::create(conn, "by hand", Kind::Sms, &[], admin, now)?;
    let without = actions::create(conn, "without", Kind::Sms, &[], admin, now)?;
    house.sql(&format!(
        "INSERT INTO list_members SELECT {by_hand}, id, now() FROM contacts WHERE id % 2 = 0;
         INSERT INTO list_members SELECT {without}, id, now() FROM contacts WHERE id % 10 = 0"
    ))?;
    house.sql("VACUUM ANALYZE list_members")?;

    let mut count = Row::new(format!("list filters over {n} contacts: a count"), "s", Target::AtMost(20.0));
    let mut write = Row::new(format!("… an audience of 2 lists without a third, of {n}"), "s", Target::AtMost(3.0));
    let mut found = Row::new(format!("… a search of {n} contacts, the slowest of 5 ways"), "ms", Target::Below(250.0));
    let seconds = |work: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<f64> {
        let began = Instant::now();
        work()?;
        Ok(began.elapsed().as_secs_f64())
    };
    for round in 0..ground.rounds() {
        let mut figures = [0.0; 4];
        for side in [round % 2, 1 - round % 2] {
            house.sql("TRUNCATE campaign_audience, bare; CHECKPOINT")?;
            if side == 0 {
                figures[0] = seconds(&mut || {
                    let n_debtors = store::count_matching(conn, &debtors, Kind::Sms, None)?;
                    anyhow::ensure!(n_debtors > 0, "nobody matches");
                    Ok(())
                })?;
                let into = AudienceTarget::Campaign(CampaignId(1));
                figures[2] = seconds(&mut || {
                    let n_contacts = store::insert_audience(conn, &[most, by_hand], &[without], Kind::Sms, into)?;
                    anyhow::ensure!(n_contacts > n / 2, "only {n_contacts} contacts");
                    Ok(())
                })?;
            } else {
                figures[1] = seconds(&mut || house.number("SELECT count(*) AS n FROM contacts").map(drop))?;
                figures[3] =
                    seconds(&mut || house.sql("INSERT INTO bare SELECT 1, id FROM contacts WHERE id % 10 <> 0"))?;
            }
        }
        count.add(figures[0], figures[1]);
        write.add(figures[2], figures[3]);

        let mut slowest: f64 = 0.0;
        for q in ["", "+44 7400 0", "C99", "city: leeds", "name: nobody"] {
            let ask = ContactSearch { q: q.to_owned(), ..ContactSearch::default() };
            let mut times = Vec::new();
            for _ in 0..5 {
                times.push(1e3 * seconds(&mut || Ok(search::page(conn, &ask, 50, now).map(drop)?))?);
            }
            slowest = slowest.max(median(times));
        }
        found.add_alone(slowest);
    }
    Ok(vec![count, write, found])
}
