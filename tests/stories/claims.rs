//! What a claim asks before a message leaves: the hours of the contact, the frequency
//! cap, other campaigns, and how the first contacts turned out.

use std::collections::{BTreeMap, HashSet};

use bugle::campaigns::CampaignKind;
use bugle::control::actions;
use bugle::control::actions::{pause, resume, stop};
use bugle::deliveries::{Outcome, Show, Standing};
use bugle::drafting;
use bugle::engine::starter;
use bugle::ids::{CampaignId, RunId, ScheduleId};
use bugle::pacing::LocalHours;
use bugle::providers::sandbox::Knobs;
use bugle::schedules::Draft;
use bugle::schedules::{Busy, Canary, Rules};
use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;

use crate::desk::{Desk, instant, phones, prompt};

pub struct Launched {
    pub campaign: CampaignId,
    pub schedule: ScheduleId,
    pub run: RunId,
}

/// A launched once-off campaign of today, whose zone is `zone` and whose plan is `change`d first.
pub async fn launch(
    desk: &Desk,
    name: &str,
    zone: Tz,
    addresses: &[String],
    window: &str,
    rate: f64,
    change: impl FnOnce(&mut Draft),
) -> Launched {
    let (file, now) = (desk.file(addresses), desk.app.clock.now());
    let (start, end) = window.split_once('-').unwrap();
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    let date = now.with_timezone(&zone).date_naive();
    let mut plan = Draft::once("Main", desk.channel, "Hello #name", date, time(start), time(end), rate);
    change(&mut plan);
    let (campaign, schedule) = desk.db(|conn| {
        let campaign = drafting::actions::create(conn, name, CampaignKind::OnceOff, zone, desk.admin, now).unwrap();
        drafting::actions::set_file(conn, campaign, Some(file), desk.admin, now).unwrap();
        let schedule = drafting::actions::add_schedule(conn, campaign, &plan, desk.admin, now).unwrap();
        drafting::actions::launch(conn, campaign, desk.admin, now).unwrap();
        (campaign, schedule)
    });
    starter::tick(&desk.app).await.unwrap();
    Launched { campaign, schedule, run: desk.run_of(schedule) }
}

fn ruled(rules: Rules) -> impl FnOnce(&mut Draft) {
    move |plan| plan.rules = rules
}

fn nine_to_eight() -> Rules {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    Rules { local: Some(LocalHours::new(time(9), time(20)).unwrap()), ..Rules::default() }
}

fn cap(desk: &Desk, messages: i32, days: i32) {
    desk.sql(&format!("UPDATE settings SET cap_messages = {messages}, cap_days = {days}"));
}

/// New York and Los Angeles in turn, `n` of each.
fn coasts(n: usize) -> Vec<String> {
    (0..n).flat_map(|n| [format!("121255501{n:02}"), format!("131055501{n:02}")]).collect()
}

/// How many contacts of a run stand where, by name.
fn standings(desk: &Desk, run: RunId) -> BTreeMap<&'static str, i64> {
    let mut standings = BTreeMap::new();
    for entry in desk.ledger(run, Show::All) {
        *standings.entry(entry.standing.name()).or_default() += 1;
    }
    standings
}

fn details(desk: &Desk, run: RunId, show: Show) -> Vec<String> {
    desk.ledger(run, show).into_iter().filter_map(|entry| entry.detail).collect()
}

fn nobody_twice(desk: &Desk) {
    let received = desk.received();
    let distinct: HashSet<&str> = received.iter().map(|it| it.phone.as_str()).collect();
    assert_eq!(distinct.len(), received.len(), "somebody got it twice");
    let parts: HashSet<&str> = received.iter().map(|it| it.part.as_str()).collect();
    assert_eq!(parts.len(), received.len());
}

// ---- the hours of the contact ------------------------------------------------------

#[actix_web::test]
async fn contacts_where_it_is_night_are_held_and_the_others_get_the_whole_rate() {
    // Nine in New York, six in Los Angeles.
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let it = launch(&desk, "Coasts", Tz::UTC, &coasts(20), "13:00-20:00", 10.0, ruled(nine_to_eight())).await;
    desk.tick().await;
    desk.run_until("2026-07-01 13:02").await;

    let received = desk.received();
    assert!((20..=21).contains(&received.len()), "{}", received.len());
    assert!(received.iter().all(|it| it.phone.starts_with("1212")), "somebody was woken up");
    assert_eq!(standings(&desk, it.run), BTreeMap::from([("delivered", 20), ("held", 20)]));
    assert_eq!(desk.counts(it.run).unsent(), 20);
    let held = desk.ledger(it.run, Show::Retrying);
    assert!(held.iter().all(|entry| entry.standing == Standing::Held));
    assert!(held.iter().all(|entry| entry.next_try_at == Some(instant("2026-07-01 16:00"))));
    assert_eq!(held[0].detail.as_deref(), Some("waits for 09:00 where the person lives"));
    desk.check_counts();

    desk.at("2026-07-01 15:59:50");
    desk.run_until("2026-07-01 16:03").await;

    nobody_twice(&desk);
    let morning: Vec<_> = desk.received().into_iter().skip(20).collect();
    assert!(morning.iter().all(|it| it.phone.starts_with("1310") && it.at >= instant("2026-07-01 16:00")));
    assert_eq!(morning.len(), 20);
    assert_eq!(desk.state("schedule_runs", it.run.0), "completed");
    assert_eq!(desk.counts(it.run).delivered, 40);
}

#[actix_web::test]
async fn whose_morning_does_not_come_before_the_end_is_overrun_and_goes_on_with_more_time() {
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let it = launch(&desk, "Coasts", Tz::UTC, &coasts(3), "13:00-14:00", 60.0, ruled(nine_to_eight())).await;
    desk.tick().await;
    desk.run_until("2026-07-01 13:01").await;
    assert_eq!(
        details(&desk, it.run, Show::Retrying)[0],
        "it does not get 09:00 where the person lives before the end"
    );
    desk.at("2026-07-01 13:59:55");
    desk.run_until("2026-07-01 14:00:05").await;
    assert_eq!(standings(&desk, it.run), BTreeMap::from([("delivered", 3), ("overrun", 3)]));
    assert_eq!(desk.state("schedule_runs", it.run.0), "overrun");

    desk.at("2026-07-01 14:30");
    let (now, end) = (desk.app.clock.now(), "17:00:00".parse::<chrono::NaiveTime>().unwrap());
    desk.db(|conn| actions::extend(conn, it.schedule, end, desk.admin, now).unwrap());
    desk.run_until("2026-07-01 14:30:10").await;
    assert_eq!((desk.received().len(), standings(&desk, it.run)["held"]), (3, 3), "still night");
    desk.at("2026-07-01 15:59:58");
    desk.run_until("2026-07-01 16:00:10").await;
    assert_eq!((desk.received().len(), desk.counts(it.run).delivered), (6, 6));
    nobody_twice(&desk);
}

#[actix_web::test]
async fn a_held_contact_whose_hours_have_closed_again_goes_back_and_is_never_lost() {
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let it = launch(&desk, "Coasts", Tz::UTC, &coasts(5), "13:00-12:00", 60.0, ruled(nine_to_eight())).await;
    desk.tick().await;
    desk.run_until("2026-07-01 13:01").await;
    assert_eq!(standings(&desk, it.run)["held"], 5);

    // Paused all day: it is night again in Los Angeles when somebody resumes.
    desk.db(|conn| pause(conn, it.schedule, desk.admin, desk.app.clock.now()).unwrap());
    desk.at("2026-07-02 04:00");
    desk.tick().await;
    desk.db(|conn| resume(conn, it.schedule, desk.admin, desk.app.clock.now()).unwrap());
    desk.run_until("2026-07-02 04:00:10").await;

    assert_eq!((desk.received().len(), standings(&desk, it.run)["held"]), (5, 5));
    desk.check_counts();
    let now = desk.app.clock.now();
    desk.db(|conn| stop(conn, it.schedule, desk.admin, now).unwrap());
    desk.run_until("2026-07-02 04:00:20").await;
    assert_eq!(standings(&desk, it.run), BTreeMap::from([("delivered", 5), ("stopped", 5)]));
}

#[actix_web::test]
async fn a_contact_that_names_its_zone_is_taken_at_its_word() {
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let it = launch(&desk, "Moved", Tz::UTC, &coasts(2), "13:00-20:00", 60.0, ruled(nine_to_eight())).await;
    desk.sql(r#"UPDATE deliveries SET "values" = "values" || '{"Time zone": "Europe/Dublin"}' WHERE seq = 2"#);
    desk.tick().await;
    desk.run_until("2026-07-01 13:00:10").await;
    let got: Vec<String> = desk.received().into_iter().map(|it| it.phone).collect();
    assert_eq!(got.len(), 3, "two in New York, one that moved to Dublin: {got:?}");
    assert_eq!(standings(&desk, it.run)["held"], 1);
}

#[actix_web::test]
async fn news_of_a_contact_that_was_never_sent_to_is_passed_over() {
    use bugle::providers::key::DeliveryKey;
    use bugle::providers::{Receipt, ReceiptStatus};
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let it = launch(&desk, "Coasts", Tz::UTC, &coasts(2), "13:00-20:00", 60.0, ruled(nine_to_eight())).await;
    desk.tick().await;
    desk.run_until("2026-07-01 13:00:10").await;
    let (now, run) = (desk.app.clock.now(), it.run);
    let news = [Receipt::of(DeliveryKey { run, seq: 2, attempt: 1 }.into(), ReceiptStatus::Delivered)];
    let taken = desk.db(|conn| bugle::conversations::intake::take_in_receipts(conn, desk.channel, &news, now).unwrap());
    assert_eq!((taken, standings(&desk, run)["held"]), (0, 2));
}

#[actix_web::test]
async fn thousands_who_wake_up_at_once_are_claimed_many_at_a_time() {
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let west: Vec<String> = (0..2_000).map(|n| format!("1310{:05}{:02}", 20_000 + n / 80, n % 80)).collect();
    let it = launch(&desk, "West", Tz::UTC, &west, "13:00-20:00", 60_000.0, ruled(nine_to_eight())).await;
    desk.tick().await;
    desk.later(1);
    desk.tick().await;
    assert_eq!((standings(&desk, it.run)["held"], desk.received().len()), (2_000, 0));

    desk.at("2026-07-01 16:00");
    for _ in 0..12 {
        desk.later(1);
        desk.dispatch().await;
    }
    assert_eq!(desk.received().len(), 2_000);
    let leases = desk.number("SELECT count(*) AS n FROM leases");
    assert!(leases <= 500, "{leases} leases");
    desk.tick().await;
    nobody_twice(&desk);
}

// ---- the frequency cap -------------------------------------------------------------

#[actix_web::test]
async fn who_got_enough_lately_is_left_out_and_spends_none_of_the_rate() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    cap(&desk, 2, 7);
    let people = phones(10);
    for (day, name) in [("02", "One"), ("03", "Two"), ("04", "Three")] {
        desk.at(&format!("2026-03-{day} 09:00"));
        // The third goes to ten others as well.
        let audience = if name == "Three" { phones(20) } else { people.clone() };
        let it = launch(&desk, name, Tz::UTC, &audience, "09:00-10:00", 600.0, |_| ()).await;
        desk.tick().await;
        desk.run_until(&format!("2026-03-{day} 09:00:05")).await;
        let skipped = if name == "Three" { 10 } else { 0 };
        assert_eq!((desk.counts(it.run).delivered, desk.counts(it.run).skipped), (10, skipped), "{name}");
        assert_eq!(desk.state("schedule_runs", it.run.0), "completed");
        if name == "Three" {
            let capped = Show::Outcome(Outcome::FrequencyCap);
            assert_eq!(details(&desk, it.run, capped)[0], "2 within 7 days are allowed");
            assert_eq!(desk.number(&format!("SELECT released AS n FROM schedule_runs WHERE id = {}", it.run)), 10);
        }
    }
    // A week after the first, one more is allowed.
    desk.at("2026-03-09 09:01");
    let it = launch(&desk, "Four", Tz::UTC, &people, "09:00-10:00", 600.0, |_| ()).await;
    desk.tick().await;
    desk.run_until("2026-03-09 09:01:05").await;
    assert_eq!(desk.counts(it.run).delivered, 10);
}

#[actix_web::test]
async fn what_failed_before_it_left_does_not_count_and_what_may_have_arrived_does() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    cap(&desk, 1, 7);
    // Rejected, dead line, well-behaved.
    let people = ["12020000090", "12020000095", "12020000001"].map(String::from);
    launch(&desk, "One", Tz::UTC, &people, "09:00-10:00", 600.0, |_| ()).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:00:05").await;
    let it = launch(&desk, "Two", Tz::UTC, &people, "09:00-10:00", 600.0, |_| ()).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:00:15").await;
    assert_eq!(standings(&desk, it.run), BTreeMap::from([("invalid", 1), ("frequency cap", 2)]));
}

#[actix_web::test]
async fn two_campaigns_that_claim_the_same_people_at_the_same_moment_keep_the_cap() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { latency_ms: 1, latency_to_ms: 5, ..prompt() });
    cap(&desk, 1, 1);
    let people = phones(600);
    let mut other_way = people.clone();
    other_way.reverse();
    let mut runs = Vec::new();
    for (name, people) in [("One", &people), ("Two", &other_way), ("Three", &people)] {
        runs.push(launch(&desk, name, Tz::UTC, people, "09:00-10:00", 60_000.0, |_| ()).await.run);
    }
    let engines = [desk.engine.dispatcher.clone(), desk.another_engine(), desk.another_engine()];
    for _ in 0..40 {
        desk.later(1);
        starter::tick(&desk.app).await.unwrap();
        let ticks = engines.iter().map(|engine| engine.tick());
        for tick in futures_util::future::join_all(ticks).await {
            tick.unwrap();
        }
    }
    for engine in &engines {
        engine.outbox.idle().await;
    }
    desk.tick().await;
    nobody_twice(&desk);
    assert_eq!(desk.received().len(), 600);
    let skipped: i64 = runs.iter().map(|run| desk.counts(*run).skipped).sum();
    assert_eq!(skipped, 1_200);
}

// ---- busy elsewhere ----------------------------------------------------------------

fn busy(busy: Busy) -> impl FnOnce(&mut Draft) {
    ruled(Rules { busy, ..Rules::default() })
}

#[actix_web::test]
async fn one_that_waits_sends_when_the_other_campaign_is_through_with_the_contact() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let slow = launch(&desk, "Slow", Tz::UTC, &phones(30), "09:00-12:00", 10.0, |_| ()).await;
    desk.tick().await;
    let audience: Vec<String> = phones(40).split_off(20);
    let it = launch(&desk, "Polite", Tz::UTC, &audience, "09:00-12:00", 600.0, busy(Busy::Wait)).await;
    desk.run_until("2026-03-02 09:00:10").await;

    assert_eq!(standings(&desk, it.run), BTreeMap::from([("delivered", 10), ("held", 10)]));
    assert_eq!(details(&desk, it.run, Show::Retrying)[0], "waits until Slow is through with this person");
    desk.run_until("2026-03-02 09:11").await;
    assert_eq!((desk.counts(slow.run).delivered, desk.counts(it.run).delivered), (30, 20));
    let last_of_slow = desk.received().iter().rposition(|it| it.part.starts_with(&format!("{}-", slow.run)));
    let waited: Vec<_> = desk.received().into_iter().skip(last_of_slow.unwrap() + 1).collect();
    assert_eq!(waited.len(), 10, "each of them after the other campaign");
}

#[actix_web::test]
async fn two_that_wait_for_each_other_go_in_the_order_in_which_they_started() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let people = phones(20);
    let second = launch(&desk, "B", Tz::UTC, &people, "09:05-12:00", 600.0, busy(Busy::Wait)).await;
    let first = launch(&desk, "A", Tz::UTC, &people, "09:00-12:00", 2.0, busy(Busy::Wait)).await;
    let third = launch(&desk, "C", Tz::UTC, &people, "09:05-12:00", 600.0, busy(Busy::Wait)).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:25").await;

    let of = |run: RunId| {
        desk.received().into_iter().filter(|it| it.part.starts_with(&format!("{run}-"))).collect::<Vec<_>>()
    };
    assert_eq!((of(first.run).len(), of(second.run).len(), of(third.run).len()), (20, 20, 20));
    for phone in &people {
        let at = |run| of(run).into_iter().find(|it| it.phone == *phone).unwrap().at;
        assert!(at(first.run) <= at(second.run) && at(second.run) <= at(third.run), "{phone}");
    }
}

#[actix_web::test]
async fn one_that_skips_leaves_out_whose_turn_elsewhere_is_still_to_come_and_of_two_only_one_does() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let a = launch(&desk, "A", Tz::UTC, &phones(20), "09:00-12:00", 2.0, busy(Busy::Skip)).await;
    let b = launch(&desk, "B", Tz::UTC, &phones(30), "09:00-12:00", 600.0, busy(Busy::Skip)).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:12").await;

    // The first few had A's message before B looked.
    let (of_a, of_b) = (standings(&desk, a.run), standings(&desk, b.run));
    assert_eq!(of_a, BTreeMap::from([("delivered", 20)]));
    assert!(of_b["busy elsewhere"] >= 18 && of_b["delivered"] >= 10, "{of_b:?}");
    assert_eq!(details(&desk, b.run, Show::Outcome(Outcome::Busy))[0], "A");
    let distinct: HashSet<String> = desk.received().into_iter().map(|it| it.phone).collect();
    assert_eq!(distinct.len(), 30, "nobody was left out by both");
}

#[actix_web::test]
async fn one_that_replaces_takes_the_place_of_what_was_still_to_come() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let old = launch(&desk, "Old news", Tz::UTC, &phones(20), "09:00-12:00", 2.0, |_| ()).await;
    desk.tick().await;
    let new = launch(&desk, "News", Tz::UTC, &phones(20), "09:00-12:00", 600.0, busy(Busy::Replace)).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:12").await;

    assert_eq!(desk.counts(new.run).delivered, 20);
    let of_old = standings(&desk, old.run);
    assert!(of_old["replaced"] >= 18, "{of_old:?}");
    assert_eq!(details(&desk, old.run, Show::Outcome(Outcome::Replaced))[0], "News took its place");
    assert_eq!(desk.state("schedule_runs", old.run.0), "completed");
    assert_eq!(desk.received().len() as i64, 40 - of_old["replaced"]);
}

// ---- the first contacts ------------------------------------------------------------

fn canary(first: i32, minutes: i32, most_failed: f64) -> impl FnOnce(&mut Draft) {
    ruled(Rules { canary: Some(Canary { first, minutes, most_failed }), ..Rules::default() })
}

#[actix_web::test]
async fn the_others_follow_without_a_burst_when_the_first_turned_out_well() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { receipt_ms: 60_000, ..prompt() });
    let it = launch(&desk, "Careful", Tz::UTC, &phones(400), "09:00-12:00", 60.0, canary(20, 10, 10.0)).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:01").await;
    assert_eq!(desk.received().len(), 20);
    let page = desk.peek(&format!("/schedules/{}", it.schedule)).await;
    page.shows("First 20 sent, waiting for their receipts until");
    page.shows("09:10 UTC");

    desk.run_until("2026-03-02 09:04").await;
    let journal = desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'run.canary_passed'");
    assert_eq!(journal, 1);
    let passed = desk.received()[20].at;
    assert!(passed >= instant("2026-03-02 09:02:19"), "{passed}");
    let at_once = desk.received().iter().filter(|it| it.at == passed).count();
    assert!(at_once <= 6, "{at_once} at once");
    desk.peek(&format!("/schedules/{}", it.schedule)).await.lacks("waiting for their receipts");
}

#[actix_web::test]
async fn a_run_whose_first_contacts_fail_is_paused_until_a_person_lets_it_go_on() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    // Every fourth is rejected.
    let people: Vec<String> =
        (0..100).map(|n| if n % 4 == 0 { format!("1202{n:05}90") } else { format!("1202{n:05}01") }).collect();
    let it = launch(&desk, "Careful", Tz::UTC, &people, "09:00-12:00", 600.0, canary(20, 10, 10.0)).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:00:20").await;

    assert_eq!(
        (desk.state("schedules", it.schedule.0).as_str(), desk.state("schedule_runs", it.run.0).as_str()),
        ("paused", "paused")
    );
    let why = "5 of the first 20 failed (25 %), more than 10 %";
    assert_eq!(
        desk.number(&format!(
            "SELECT count(*) AS n FROM journal WHERE happened = 'schedule.paused' AND why = '{why}' AND user_id IS NULL"
        )),
        1
    );
    assert_eq!(desk.received().len(), 15);

    desk.db(|conn| resume(conn, it.schedule, desk.admin, desk.app.clock.now()).unwrap());
    desk.run_until("2026-03-02 09:01").await;
    assert_eq!(desk.received().len(), 75, "all the others, and the canary asks no more");
    assert_eq!(desk.campaign_state(it.campaign), "finished");
}

#[actix_web::test]
async fn receipts_that_do_not_come_are_waited_for_so_long_and_no_longer() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { receipt_ms: 3_600_000, ..prompt() });
    launch(&desk, "Careful", Tz::UTC, &phones(40), "09:00-12:00", 600.0, canary(10, 3, 0.0)).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:02:58").await;
    assert_eq!(desk.received().len(), 10);
    desk.run_until("2026-03-02 09:03:10").await;
    assert_eq!(desk.received().len(), 40);
}

#[actix_web::test]
async fn those_who_are_left_out_or_held_are_not_among_the_first() {
    let desk = Desk::open_at("2026-07-01 13:00").await;
    let change = |plan: &mut Draft| {
        let first = Canary { first: 4, minutes: 5, most_failed: 0.0 };
        plan.rules = Rules { canary: Some(first), ..nine_to_eight() };
    };
    let it = launch(&desk, "Coasts", Tz::UTC, &coasts(10), "13:00-20:00", 60.0, change).await;
    desk.carrier(&Knobs { receipt_ms: 25_000, ..prompt() });
    desk.tick().await;
    desk.run_until("2026-07-01 13:00:30").await;
    assert_eq!(desk.received().len(), 4, "in New York, whoever is held between them");
    desk.run_until("2026-07-01 13:02").await;
    eprintln!(
        "{:?} {} {:?}",
        standings(&desk, it.run),
        desk.state("schedule_runs", it.run.0),
        desk.db(|conn| bugle::runs::store::find(conn, it.run))
    );
    assert_eq!(desk.received().len(), 10);
    let left = desk.app.clock.now() + TimeDelta::hours(3);
    desk.app.clock.set(left);
    desk.tick().await;
    desk.run_until("2026-07-01 16:02:30").await;
    assert_eq!((desk.received().len(), desk.counts(it.run).unsent()), (20, 0));
}
