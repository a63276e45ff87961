//! The promises to the letter, while nothing is broken but the moment is unlucky.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bugle::pacing::LatePolicy;
use bugle::providers::Inbound;
use bugle::providers::sandbox::{News, webhook};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use rand::Rng;

use super::account::Account;
use super::browser::Form;
use super::house::House;
use super::{AGAIN, PATIENCE, PROMPT, chance, comes_true, nap, tries};

/// Most sends within any 60 seconds, of those that `of` chooses.
fn most_in_a_minute(house: &House, of: &str) -> i64 {
    house.number(&format!(
        "SELECT coalesce(max(n), 0)::bigint AS n FROM (
             SELECT count(*) OVER (ORDER BY m.stamped_at RANGE BETWEEN '59.999 seconds' PRECEDING AND CURRENT ROW) AS n
             FROM sandbox_messages m JOIN deliveries d ON d.address = m.phone WHERE m.part IS NOT NULL AND {of}) minutes"
    ))
}

#[test]
fn limits_over_any_minute() {
    const CHANNEL: i64 = 600;
    const RATE: i64 = 150;
    let (mut account, mut chance) = (Account::of("limits over any 60 s, kills and stalls meanwhile"), chance("limits"));
    let mut house = House::open(2);
    house.sql(&format!("UPDATE channels SET per_minute = {CHANNEL}"));
    let slow = house.campaign(2_000, RATE as f64);
    house.until_sent(1);
    // All of these are late, so that the channel's limit is all that holds them.
    let campaigns = [0; 2].map(|_| house.campaign_like(20_000, 600_000.0, LatePolicy::CatchUp));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(tries(75, 240) as u64) {
        nap(chance.random_range(500..6_000));
        let n = chance.random_range(0..2);
        account.tries += 1;
        match chance.random_range(0..3) {
            0 => house.replace(n),
            1 => {
                house.processes[n].freeze();
                nap(chance.random_range(100..900));
                house.processes[n].thaw();
            }
            _ => house.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'bugle' AND pid <> pg_backend_pid()",
            ),
        }
    }
    let channel = most_in_a_minute(&house, "true");
    account.must(channel <= CHANNEL, format!("{channel} of at most {CHANNEL} over the channel within 60 s"));
    let paced = most_in_a_minute(&house, &format!("d.run_id = {}", slow.run));
    account.must(paced <= RATE, format!("{paced} of at most {RATE} of one schedule within 60 s"));
    account.must(CHANNEL / 2 < channel, format!("only {channel} in a minute: nothing was tried"));
    for campaign in campaigns.iter().chain([&slow]) {
        house.stills(&mut account, 0, &format!("/campaigns/{}/stop", campaign.id), PROMPT);
    }
    house.count_rows(&mut account);
    account.close();
}

#[test]
fn end_of_a_window() {
    let (mut account, mut chance) = (Account::of("the end of a window, with a process that stalls"), chance("end"));
    let house = House::open(2);
    for n in 0..tries(3, 20) {
        let campaign = house.campaign(4_000, 24_000.0);
        let before = house.sent();
        house.until_sent(before + 20);
        let ends = Utc::now() + TimeDelta::milliseconds(chance.random_range(800..2_000));
        house.sql(&format!("UPDATE schedule_runs SET ends_at = '{}' WHERE id = {}", ends.to_rfc3339(), campaign.run));
        account.tries += 1;
        // The second try and those after it meet a process that stands still over the end.
        if n > 0 {
            let before_the_end = chance.random_range(20..600);
            nap(((ends - Utc::now()).num_milliseconds() - before_the_end).max(0) as u64);
            house.processes[n % 2].freeze();
            nap(before_the_end as u64 + chance.random_range(50..350));
            house.processes[n % 2].thaw();
        }
        let over = format!("SELECT count(*) AS n FROM schedule_runs WHERE id = {} AND state = 'overrun'", campaign.run);
        let ended = comes_true(AGAIN, || house.number(&over) == 1 && house.open_leases() == 0);
        account.must(ended, "the run did not become overrun");
        let late = house.number(&format!(
            "SELECT count(*) AS n FROM sandbox_messages m JOIN deliveries d ON d.address = m.phone
             WHERE d.run_id = {} AND '{}' <= m.stamped_at",
            campaign.run,
            ends.to_rfc3339()
        ));
        account.must(late == 0, format!("{late} began after the end"));
    }
    house.settle_up(&mut account);
    account.close();
}

#[test]
fn holds_saved_while_sending() {
    let mut account = Account::of("quiet hours and blackouts that hold already, saved");
    let mut house = House::open(2);
    let saves = tries(4, 24);
    let campaign = house.campaign(2_000 * saves, 24_000.0);
    house.until_sent(50);
    for n in 0..saves {
        let now = Utc::now();
        let (from, to) = ((now - TimeDelta::hours(1)).format("%H:%M"), (now + TimeDelta::hours(1)).format("%H:%M"));
        let (from, to, day) = (from.to_string(), to.to_string(), now.format("%Y-%m-%d").to_string());
        let quiet = [("quiet_from", from.as_str()), ("quiet_to", &to), ("jitter_minutes", "0")];
        let dark = [("name", "A holiday"), ("first_day", day.as_str()), ("last_day", &day)];
        let no_quiet = [("quiet_from", ""), ("quiet_to", ""), ("jitter_minutes", "0")];
        let over = format!("/settings/blackouts/{day}/remove");
        let (path, form, undo, undoing): (&str, &[_], &str, &[_]) = match n % 2 {
            0 => ("/settings/quiet", &quiet, "/settings/quiet", &no_quiet),
            _ => ("/settings/blackouts", &dark, &over, &[]),
        };
        account.tries += 1;
        match house.browser(n % 2).post(path, &Form::Fields(form), PATIENCE) {
            Ok(answer) => {
                account.took(answer.took);
                account.must(answer.did_it(), format!("{path}: {}", answer.status));
                house.is_silent_from(answer.at, path);
            }
            Err(error) => account.must(false, format!("{path}: {error}")),
        }
        nap(1_300);
        house.may_send();
        let undone = house.browser(0).post(undo, &Form::Fields(undoing), PATIENCE);
        account.must(undone.is_ok_and(|it| it.did_it()), format!("{undo} was not done"));
        house.goes_on(&mut account, campaign, "the hold is over");
    }
    house.stills(&mut account, 0, &format!("/campaigns/{}/stop", campaign.id), PROMPT);
    house.settle_up(&mut account);
    account.close();
}

#[test]
fn opt_outs_around_their_turn() {
    let (mut account, chance) =
        (Account::of("opt-outs acknowledged and blocks shown around their turn"), chance("out"));
    let mut house = House::open(2);
    let each = tries(60, 400);
    let campaign = house.campaign(10_000 + 40 * each, 12_000.0);
    let secret = {
        #[derive(QueryableByName)]
        struct Secret {
            #[diesel(sql_type = Text)]
            secret: String,
        }
        diesel::sql_query("SELECT secret FROM channels").get_result::<Secret>(&mut house.conn()).unwrap().secret
    };
    house.until_sent(50);
    let (chance, out) = (Mutex::new(chance), Mutex::new(Vec::<(String, DateTime<Utc>)>::new()));
    let refused = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for hand in 0..4 {
            let (house, chance, out, refused, secret) = (&house, &chance, &out, &refused, &secret);
            scope.spawn(move || {
                for _ in 0..each {
                    // Those whose turn is about now, by the cursor of the run.
                    let near = chance.lock().unwrap().random_range(-10..60);
                    let Some(phone) = phone_near(house, campaign.run.0, near) else { return };
                    let browser = house.browser(hand % 2);
                    let answer = match hand {
                        0 => {
                            let fields = [("kind", "sms"), ("address", &format!("+{phone}")[..]), ("why", "torture")];
                            browser.post("/blocklist", &Form::Fields(&fields), PATIENCE)
                        }
                        _ => {
                            let said = Inbound {
                                id: format!("stop-{phone}-{near}-{hand}"),
                                from: phone.clone(),
                                text: "STOP".into(),
                                ..Inbound::default()
                            };
                            let (body, signature) = webhook(secret, &[News::Inbound(Box::new(said))]);
                            browser.post(
                                &format!("/webhooks/{}", house.channel),
                                &Form::Signed(&body, &signature),
                                PATIENCE,
                            )
                        }
                    };
                    match answer {
                        Ok(answer) if matches!(answer.status, 204 | 303) => {
                            out.lock().unwrap().push((phone, answer.at))
                        }
                        Ok(answer) => refused.lock().unwrap().push(format!("an opt-out: {}", answer.status)),
                        Err(error) => refused.lock().unwrap().push(format!("an opt-out: {error}")),
                    }
                }
            });
        }
    });
    let (out, refused) = (out.into_inner().unwrap(), refused.into_inner().unwrap());
    account.tries = out.len();
    for refused in refused {
        account.must(false, refused);
    }
    nap(1_500);
    for (phone, at) in &out {
        // Replies to the word itself are not sends of a campaign.
        let late = house.number(&format!(
            "SELECT count(*) AS n FROM sandbox_messages WHERE phone = '{phone}' AND body LIKE 'Hello%' AND '{}' < stamped_at",
            at.to_rfc3339()
        ));
        account.must(late == 0, format!("{phone}: sent to after its opt-out was acknowledged"));
    }
    house.stills(&mut account, 0, &format!("/campaigns/{}/stop", campaign.id), PROMPT);
    account.close();
}

/// The phone of the contact `near` places behind the cursor of a run.
fn phone_near(house: &House, run: i64, near: i32) -> Option<String> {
    #[derive(QueryableByName)]
    struct Phone {
        #[diesel(sql_type = Text)]
        address: String,
    }
    diesel::sql_query(format!(
        "SELECT d.address FROM schedule_runs r JOIN deliveries d ON d.run_id = r.id AND d.seq = r.next_seq + {near} WHERE r.id = {run}"
    ))
    .get_result::<Phone>(&mut house.conn())
    .optional()
    .unwrap()
    .map(|it| it.address)
}

#[test]
fn one_start_for_each_key() {
    let (mut account, mut chance) =
        (Account::of("SEND pressed again and again under one key, kills meanwhile"), chance("key"));
    let mut house = House::open(2);
    for n in 0..tries(3, 20) {
        let key = uuid::Uuid::from_u128(chance.random());
        let (key, name) = (key.to_string(), format!("Quick {n}"));
        // The last is too large to be imported before the answer.
        let (rows, clicks) = [(40, 6), (2_000, 6), (75_000, 2)][n % 3];
        let people: String = (0..rows).map(|k| format!("+4474{n:02}{:04}{:02},x\n", k / 70, k % 70)).collect();
        let file = format!("phone,name\n{people}");
        let fields = [
            ("start_key", key.as_str()),
            ("name", &name),
            ("channel", "1"),
            ("region", "everywhere"),
            ("to", "file"),
            ("body", "Hello"),
            ("when", "now"),
            ("rate", "60000"),
        ];
        account.tries += 1;
        std::thread::scope(|scope| {
            for k in 0..clicks {
                let (browser, fields, file) = (house.browser(k % 2), &fields, &file);
                scope.spawn(move || {
                    drop(browser.post("/campaigns/quick", &Form::Parts(fields, Some(("people.csv", file))), PATIENCE))
                });
            }
        });
        if n % 2 == 1 {
            house.replace(chance.random_range(0..2));
        }
        let browser = house.browser(0);
        let again = browser.post("/campaigns/quick", &Form::Parts(&fields, Some(("people.csv", &file))), PATIENCE * 2);
        match again {
            Ok(answer) => {
                account.must(answer.did_it(), format!("SEND: {} {}", answer.status, first_error(&answer.body)))
            }
            Err(error) => account.must(false, format!("SEND: {error}")),
        }
        let made = house.number(&format!("SELECT count(*) AS n FROM campaigns WHERE name = '{name}'"));
        account.must(made == 1, format!("{made} campaigns of one key"));
        // Before its file is ready, or while it sends: it holds.
        let id = house.number(&format!("SELECT max(id) AS n FROM campaigns WHERE name = '{name}'"));
        house.stills(&mut account, 1, &format!("/campaigns/{id}/stop"), PROMPT);
        let settled = comes_true(Duration::from_secs(60), || {
            house.number("SELECT count(*) AS n FROM launches_to_come") == 0 && house.open_leases() == 0
        });
        account.must(settled, format!("{name} waits for its file for ever"));
        nap(1_500);
        house.may_send();
        let state = house
            .number(&format!("SELECT count(*) AS n FROM campaigns WHERE id = {id} AND state IN ('active', 'paused')"));
        account.must(state == 0, format!("{name} was stopped and is under way"));
    }
    house.settle_up(&mut account);
    account.close();
}

/// The first reason that a page gives.
fn first_error(page: &str) -> String {
    let reason = page.split_once("class=\"error\"").and_then(|(_, rest)| rest.split_once('>')).map(|(_, rest)| rest);
    reason.and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

#[test]
fn looked_at_while_sending() {
    let mut account = Account::of("pages and tallies looked at while sending");
    let house = House::open(2);
    let campaign = house.campaign(tries(12_000, 40_000), 24_000.0);
    house.until_sent(50);
    let (over, mut compared) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            comes_true(Duration::from_secs(tries(8, 60) as u64), || house.unsent(campaign) == 0);
            over.store(true, Ordering::SeqCst);
        });
        while !over.load(Ordering::SeqCst) {
            account.tries += 1;
            house.count_rows(&mut account);
            match house.browser(account.tries % 2).get(&format!("/runs/{}", campaign.run), PATIENCE) {
                Ok(answer) => {
                    let above = told(&answer.body, "<b>", "</b> Delivered");
                    let below = told(&answer.body, "delivered <span class=\"num\">", "</span>");
                    compared += usize::from(above.is_some() && below.is_some());
                    let agree = above.zip(below).is_none_or(|(above, below)| above == below);
                    account.must(agree, format!("the ledger page: delivered {above:?} above, {below:?} below"));
                }
                Err(error) => account.must(false, format!("the ledger page: {error}")),
            }
        }
    });
    account.must(0 < compared, "no page told how many were delivered");
    account.close();
}

/// The number between `before` and `after` on a page.
fn told(page: &str, before: &str, after: &str) -> Option<i64> {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok();
    page.match_indices(before).find_map(|(at, _)| {
        let rest = &page[at + before.len()..];
        let end = rest.find(after)?;
        (end < 20).then(|| digits(&rest[..end])).flatten()
    })
}
