//! Conversations: messages taken in and answered by a bot, and bots that wait to speak up.

use std::time::Instant;

use bugle::bots::domain::Pinned;
use bugle::bots::steps::Steps;
use bugle::campaigns::{self, CampaignKind};
use bugle::channels::Inbound;
use bugle::conversations::actions::{take_in, wake_next};
use bugle::ids::ChannelId;
use bugle::schedules::{Draft, When};
use bugle::senders::setups;
use chrono::{NaiveTime, TimeDelta, Utc};
use diesel::RunQueryDsl;
use diesel::sql_types::{BigInt, Text, Timestamptz};

use crate::ground::{Ground, House};
use crate::table::{Row, Target};

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
    let id = campaigns::actions::create(conn, "Desk", CampaignKind::Inbound, chrono_tz::UTC, house.admin, now)?;
    let plan = Draft::once("SMS", channel, "", now.date_naive(), NaiveTime::MIN, NaiveTime::MIN, 60.0);
    let plan =
        Draft { bot: Some(Pinned { bot, version }), when: When::Inbound, rate: bugle::pacing::Rate::Auto, ..plan };
    let schedule = campaigns::actions::add_schedule(conn, id, &plan)?;
    campaigns::actions::launch(conn, id, house.admin, now)?;
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
        Target::AtLeast(0.15),
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
                                take_in(&mut conn, &setup, &Inbound { id, from, text: "4".into(), at: None }, now)?;
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
