use bugle::campaigns::CampaignKind;
use bugle::control::Edit;
use bugle::control::actions;
use bugle::control::actions::{edit, pause, resume};
use bugle::drafting;
use bugle::pacing::{LatePolicy, Rate};
use bugle::schedules::Draft;
use chrono::{DateTime, TimeDelta, Utc};

use crate::desk::{Desk, Received, instant, phones};

/// How many reached phones in each minute from `first` on.
fn per_minute(received: &[Received], first: &str) -> Vec<usize> {
    let first = instant(first);
    let mut minutes = Vec::new();
    for message in received {
        let minute = (message.at - first).num_minutes() as usize;
        minutes.resize(minutes.len().max(minute + 1), 0);
        minutes[minute] += 1;
    }
    minutes
}

/// The most that left within any 60 s.
fn most_in_a_minute(received: &[Received]) -> usize {
    let mut at: Vec<DateTime<Utc>> = received.iter().map(|it| it.at).collect();
    at.sort();
    at.iter()
        .map(|from| at.iter().filter(|it| *from <= **it && **it < *from + TimeDelta::seconds(60)).count())
        .max()
        .unwrap_or(0)
}

#[actix_web::test]
async fn a_hundred_contacts_at_ten_a_minute_take_ten_minutes() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (campaign, _, run) = desk.campaign("Reference", 100, "09:00-09:10", 10.0).await;

    desk.run_until("2026-03-02 09:10").await;

    assert_eq!(per_minute(&desk.received(), "2026-03-02 09:00"), [10; 10]);
    assert!(desk.received().last().unwrap().at < instant("2026-03-02 09:10"));
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
    assert_eq!(desk.campaign_state(campaign), "finished");
    assert_eq!(desk.counts(run).delivered, 100);
}

#[actix_web::test]
async fn a_file_that_comes_five_minutes_late_is_caught_up_with() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    desk.campaign("Reference", 100, "09:00-09:10", 10.0).await;
    desk.tick().await;

    desk.run_until("2026-03-02 09:10").await;

    assert_eq!(per_minute(&desk.received(), "2026-03-02 09:05"), [60, 10, 10, 10, 10]);
}

#[actix_web::test]
async fn a_late_run_can_keep_its_rate_and_overrun() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let (.., run) = desk.campaign_to("Late", &phones(100), "09:00-09:10", 10.0, LatePolicy::KeepRate).await;
    desk.tick().await;

    desk.run_until("2026-03-02 09:11").await;

    assert_eq!(per_minute(&desk.received(), "2026-03-02 09:05"), [10; 5]);
    assert_eq!(desk.state("schedule_runs", run.0), "overrun");
    assert_eq!((desk.counts(run).sent(), desk.counts(run).unsent()), (50, 50));
}

#[actix_web::test]
async fn a_late_run_can_spread_what_is_left() {
    let desk = Desk::open_at("2026-03-02 09:05").await;
    let (.., run) = desk.campaign_to("Late", &phones(100), "09:00-09:10", 10.0, LatePolicy::Spread).await;
    desk.tick().await;

    desk.run_until("2026-03-02 09:11").await;

    assert_eq!(desk.state("schedule_runs", run.0), "completed");
    assert!(most_in_a_minute(&desk.received()) <= 22, "{:?}", per_minute(&desk.received(), "2026-03-02 09:05"));
}

#[actix_web::test]
async fn many_pauses_lose_nobody_repeat_nobody_and_never_break_the_rate() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, run) = desk.campaign("Spring offer", 120, "09:00-11:00", 10.0).await;

    for round in 0..9 {
        desk.db(|conn| pause(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
        let before = desk.received().len();
        for _ in 0..(7 * round) % 31 + 1 {
            desk.later(3);
            desk.tick().await;
        }
        assert_eq!(desk.received().len(), before, "sent while paused");
        desk.db(|conn| resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
        for _ in 0..(11 * round) % 43 + 1 {
            desk.later(1);
            desk.tick().await;
        }
    }
    desk.run_until("2026-03-02 09:30").await;

    let mut phones: Vec<_> = desk.received().into_iter().map(|it| it.phone).collect();
    phones.sort();
    phones.dedup();
    assert_eq!((desk.received().len(), phones.len()), (120, 120));
    assert!(most_in_a_minute(&desk.received()) <= 10);
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
}

#[actix_web::test]
async fn a_process_that_was_down_does_not_make_up_for_it_in_a_burst() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 600, "09:00-18:00", 10.0).await;
    desk.run_until("2026-03-02 09:05").await;

    desk.at("2026-03-02 09:35");
    desk.run_until("2026-03-02 09:45").await;

    assert!(most_in_a_minute(&desk.received()) <= 10);
    // Five minutes, then ten: the half hour between is not made up for.
    assert!((149..=151).contains(&desk.counts(run).sent()), "{}", desk.counts(run).sent());
}

#[actix_web::test]
async fn another_rate_holds_from_now_on_and_never_backwards() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, _) = desk.campaign("Spring offer", 600, "09:00-18:00", 10.0).await;
    desk.run_until("2026-03-02 09:02").await;
    let slow = desk.received().len();

    let faster = Edit { rate: Some(Rate::Fixed(60.0)), end: None };
    desk.db(|conn| edit(conn, schedule, faster, desk.admin, desk.app.clock.now()).unwrap());
    desk.run_until("2026-03-02 09:04").await;

    let fast = desk.received().len() - slow;
    assert!((20..=21).contains(&slow), "{slow}");
    assert!((118..=122).contains(&fast), "{fast}");
    assert!(most_in_a_minute(&desk.received()) <= 60);
}

#[actix_web::test]
async fn a_channel_keeps_its_own_limit_however_many_schedules_and_processes_use_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql("UPDATE channels SET per_minute = 30");
    desk.campaign("One", 200, "09:00-18:00", 60.0).await;
    desk.campaign_to("Two", &phones(400)[200..], "09:00-18:00", 60.0, LatePolicy::CatchUp).await;
    let other = desk.another_engine();

    for _ in 0..240 {
        desk.later(1);
        desk.tick().await;
        other.tick().await.unwrap();
        other.outbox.idle().await;
    }

    let received = desk.received();
    assert!(most_in_a_minute(&received) <= 30, "{}", most_in_a_minute(&received));
    assert!((110..=120).contains(&received.len()), "{}", received.len());
}

#[actix_web::test]
async fn what_is_unsent_at_the_end_is_overrun_even_when_the_server_was_down_all_the_time() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let (campaign, _, run) = desk.campaign("Spring offer", 100, "09:00-09:10", 10.0).await;

    desk.at("2026-03-02 12:00");
    desk.tick().await;

    assert_eq!(desk.state("schedule_runs", run.0), "overrun");
    assert_eq!((desk.counts(run).unsent(), desk.received().len()), (100, 0));
    assert_eq!(desk.campaign_state(campaign), "finished");
}

#[actix_web::test]
async fn more_time_lets_an_overrun_run_go_on_from_where_it_stopped() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 100, "09:00-09:05", 10.0).await;
    desk.run_until("2026-03-02 09:06").await;
    assert_eq!((desk.state("schedule_runs", run.0).as_str(), desk.received().len()), ("overrun", 50));

    desk.at("2026-03-02 10:00");
    let end = "10:30:00".parse::<chrono::NaiveTime>().unwrap();
    desk.db(|conn| actions::extend(conn, schedule, end, desk.admin, desk.app.clock.now()).unwrap());
    assert_eq!(desk.campaign_state(campaign), "active");
    desk.run_until("2026-03-02 10:06").await;

    assert_eq!((desk.state("schedule_runs", run.0).as_str(), desk.received().len()), ("completed", 100));
    assert!(most_in_a_minute(&desk.received()) <= 10);
}

#[actix_web::test]
async fn the_end_time_keeps_running_while_paused() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 100, "09:00-09:10", 10.0).await;
    desk.run_until("2026-03-02 09:02").await;
    desk.db(|conn| pause(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());

    desk.run_until("2026-03-02 09:11").await;

    assert_eq!(desk.state("schedule_runs", run.0), "overrun");
    assert_eq!(desk.state("schedules", schedule.0), "finished");
    assert_eq!(desk.campaign_state(campaign), "finished");
    let refused = desk.db(|conn| resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap_err());
    assert_eq!(refused.to_string(), "Its end time has passed. Extend the end time to go on.");
}

#[actix_web::test]
async fn a_clock_that_is_set_back_repeats_nobody_and_goes_no_faster() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 60, "09:00-11:00", 10.0).await;
    desk.run_until("2026-03-02 09:03").await;

    desk.at("2026-03-02 09:01");
    desk.run_until("2026-03-02 09:10").await;

    let mut phones: Vec<_> = desk.received().into_iter().map(|it| it.phone).collect();
    phones.sort();
    phones.dedup();
    assert_eq!((desk.received().len(), phones.len()), (60, 60));
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
}

#[actix_web::test]
async fn a_window_follows_the_local_clock_over_a_change_to_summer_time() {
    let desk = Desk::open_at("2026-03-28 20:00").await;
    let file = desk.file(&phones(30));
    let now = desk.app.clock.now();
    // Dublin's clocks go from 01:00 to 02:00 that night: 01:30 does not exist.
    let (start, end) = ("01:30:00".parse().unwrap(), "03:00:00".parse().unwrap());
    let plan = Draft::once("Night", desk.channel, "Hello", "2026-03-29".parse().unwrap(), start, end, 10.0);
    desk.db(|conn| {
        let id = drafting::actions::create(
            conn,
            "Summer",
            CampaignKind::OnceOff,
            chrono_tz::Europe::Dublin,
            desk.admin,
            now,
        )
        .unwrap();
        drafting::actions::set_file(conn, id, Some(file), desk.admin, now).unwrap();
        drafting::actions::add_schedule(conn, id, &plan, desk.admin, now).unwrap();
        drafting::actions::launch(conn, id, desk.admin, now).unwrap();
    });
    desk.tick().await;

    desk.at("2026-03-29 00:59:55");
    desk.run_until("2026-03-29 01:05").await;

    // 02:00 in Dublin is 01:00 UTC: the first instant after the gap.
    assert_eq!(desk.received().first().unwrap().at, instant("2026-03-29 01:00:00"));
    assert_eq!(desk.received().len(), 30);
}

#[actix_web::test]
async fn a_campaign_paused_over_its_end_can_be_given_more_time() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 60, "09:00-09:05", 10.0).await;
    desk.run_until("2026-03-02 09:02").await;
    desk.db(|conn| actions::pause(conn, campaign, desk.admin, desk.app.clock.now()).unwrap());
    desk.run_until("2026-03-02 09:06").await;
    assert_eq!(
        (desk.state("schedule_runs", run.0).as_str(), desk.campaign_state(campaign).as_str()),
        ("overrun", "finished")
    );
    desk.visit(&format!("/schedules/{schedule}/resume")).await.shows("Extend end time and resume");

    let end = "10:00:00".parse::<chrono::NaiveTime>().unwrap();
    desk.db(|conn| actions::extend(conn, schedule, end, desk.admin, desk.app.clock.now()).unwrap());
    desk.run_until("2026-03-02 09:20").await;

    assert_eq!((desk.state("schedule_runs", run.0).as_str(), desk.received().len()), ("completed", 60));
    assert_eq!(desk.campaign_state(campaign), "finished");
}

/// How many of each run left in `[from, to)`.
fn of_runs(desk: &Desk, runs: &[bugle::ids::RunId], from: &str, to: &str) -> Vec<usize> {
    let received = desk.received();
    let within: Vec<_> = received.iter().filter(|it| instant(from) <= it.at && it.at < instant(to)).collect();
    runs.iter().map(|run| within.iter().filter(|it| it.part.starts_with(&format!("{run}-"))).count()).collect()
}

#[actix_web::test]
async fn runs_that_share_a_limited_channel_each_get_their_part() {
    // Rates of the runs, and what each should get of sixty a minute over three minutes.
    let cases: [(&[f64], &[usize]); 2] = [(&[600.0, 60.0], &[90, 90]), (&[6_000.0, 60.0, 6.0], &[81, 81, 18])];
    for (rates, parts) in cases {
        let desk = Desk::open_at("2026-03-02 09:00").await;
        desk.sql("UPDATE channels SET per_minute = 60");
        let all = phones(3_000);
        let mut runs = Vec::new();
        for (n, rate) in rates.iter().enumerate() {
            let people = &all[n * 1_000..][..900 - n * 200];
            let (.., run) =
                desk.campaign_to(&format!("Run {n}"), people, "09:00-18:00", *rate, LatePolicy::CatchUp).await;
            runs.push(run);
        }
        let other = desk.another_engine();
        for _ in 0..150 {
            desk.later(1);
            desk.tick().await;
            desk.later(1);
            other.tick().await.unwrap();
            other.outbox.idle().await;
        }

        assert!(most_in_a_minute(&desk.received()) <= 60);
        // After the first minutes, in which everybody begins at once.
        let got = of_runs(&desk, &runs, "2026-03-02 09:02", "2026-03-02 09:05");
        for (got, part) in got.iter().zip(parts) {
            assert!(got.abs_diff(*part) <= 4, "{got} of {part}, at rates {rates:?}");
        }
        assert!(got.iter().sum::<usize>() >= 174, "{got:?}: the channel is used, at rates {rates:?}");
    }
}
