//! Quiet hours and blackout days: nothing leaves inside them, and what was held goes
//! on after them where it stood.

use bugle::control::actions::{pause, resume};
use chrono::{DateTime, Utc};

use crate::desk::{Desk, instant};

async fn at_night(time: &str) -> Desk {
    let desk = Desk::open_at(time).await;
    desk.sql("UPDATE settings SET quiet_from = '21:00', quiet_to = '08:00'");
    desk
}

/// How many reached phones in `[from, to)`.
fn between(desk: &Desk, from: &str, to: &str) -> usize {
    let (from, to) = (instant(from), instant(to));
    desk.received().iter().filter(|it| from <= it.at && it.at < to).count()
}

/// The most that left at one instant at or after `from`.
fn most_at_once(desk: &Desk, from: &str) -> usize {
    let at: Vec<DateTime<Utc>> = desk.received().iter().map(|it| it.at).filter(|at| instant(from) <= *at).collect();
    at.iter().map(|one| at.iter().filter(|it| *it == one).count()).max().unwrap_or(0)
}

/// Ticks a little, every now and then, from now until `time`.
async fn doze_until(desk: &Desk, time: &str) {
    while desk.app.clock.now() < instant(time) {
        desk.app.clock.set((desk.app.clock.now() + chrono::TimeDelta::minutes(7)).min(instant(time)));
        desk.tick().await;
    }
}

#[actix_web::test]
async fn a_run_that_crosses_the_night_stands_still_and_goes_on_with_its_clock_where_it_stood() {
    let desk = at_night("2026-03-02 20:00").await;
    let (.., run) = desk.campaign("Overnight", 100, "20:57-12:00", 10.0).await;
    desk.at("2026-03-02 20:56:59");
    desk.run_until("2026-03-02 21:01").await;
    assert_eq!(desk.received().len(), 30);
    doze_until(&desk, "2026-03-03 07:59:55").await;
    desk.run_until("2026-03-03 08:10").await;

    assert_eq!(between(&desk, "2026-03-02 21:00", "2026-03-03 08:00"), 0);
    assert_eq!(between(&desk, "2026-03-03 08:00", "2026-03-03 08:01"), 10);
    assert_eq!((desk.received().len(), most_at_once(&desk, "2026-03-02 20:00")), (100, 1), "no burst");
    assert_eq!(desk.state("schedule_runs", run.0), "completed");
    assert!(desk.received().last().unwrap().at < instant("2026-03-03 08:07"));
}

#[actix_web::test]
async fn pauses_across_the_edges_of_the_night_change_nothing_about_it() {
    for (paused, resumed, goes_on) in [
        ("2026-03-02 20:58", "2026-03-02 22:00", "2026-03-03 08:00"),
        ("2026-03-02 20:58", "2026-03-03 09:30", "2026-03-03 09:30"),
        ("2026-03-02 23:00", "2026-03-03 02:00", "2026-03-03 08:00"),
        ("2026-03-02 23:00", "2026-03-03 08:20", "2026-03-03 08:20"),
    ] {
        let desk = at_night("2026-03-02 20:00").await;
        let (_, schedule, run) = desk.campaign("Overnight", 60, "20:57-12:00", 10.0).await;
        desk.at("2026-03-02 20:56:59");
        desk.run_until("2026-03-02 20:58").await;
        doze_until(&desk, paused).await;
        desk.db(|conn| pause(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
        let before = desk.received().len();
        doze_until(&desk, resumed).await;
        desk.db(|conn| resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
        doze_until(&desk, goes_on).await;
        assert!(desk.received().len() <= before + 1, "{paused}, {resumed}");
        let end = instant(goes_on) + chrono::TimeDelta::minutes(7);
        while desk.app.clock.now() < end {
            desk.later(1);
            desk.tick().await;
        }

        assert_eq!(between(&desk, "2026-03-02 21:00", "2026-03-03 08:00"), 0, "{paused}, {resumed}");
        let first = desk.received()[before].at;
        assert!((first - instant(goes_on)).num_seconds() < 7, "{paused}, {resumed}: {first}");
        assert_eq!((desk.received().len(), most_at_once(&desk, "2026-03-02 20:00")), (60, 1));
        assert_eq!(desk.state("schedule_runs", run.0), "completed");
    }
}

#[actix_web::test]
async fn runs_held_by_the_same_night_go_on_apart() {
    let desk = at_night("2026-03-02 20:00").await;
    desk.sql("UPDATE settings SET jitter_minutes = 30");
    let mut runs = Vec::new();
    for name in ["One", "Two", "Three", "Four"] {
        runs.push(desk.campaign(name, 100, "22:00-12:00", 60.0).await.2);
    }
    doze_until(&desk, "2026-03-03 07:59").await;
    assert!(desk.received().is_empty());
    desk.run_until("2026-03-03 08:31").await;
    let first = |run| desk.received().iter().find(|it| it.part.starts_with(&format!("{run}-"))).unwrap().at;
    let mut firsts: Vec<_> = runs.into_iter().map(first).collect();
    firsts.sort();
    assert!(instant("2026-03-03 08:00") <= firsts[0] && firsts[3] < instant("2026-03-03 08:30"), "{firsts:?}");
    firsts.dedup();
    assert_eq!(firsts.len(), 4);
}

#[actix_web::test]
async fn a_blackout_day_is_held_from_midnight_to_midnight() {
    let desk = Desk::open_at("2026-12-24 23:00").await;
    desk.sql("INSERT INTO blackouts VALUES ('2026-12-25', 'Christmas', NULL, now())");
    desk.campaign("Night shift", 100, "23:58-23:30", 10.0).await;
    desk.at("2026-12-24 23:57:59");
    desk.run_until("2026-12-25 00:01").await;
    assert_eq!(desk.received().len(), 20);
    doze_until(&desk, "2026-12-25 23:35").await;
    assert_eq!(desk.received().len(), 20);
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs WHERE state = 'overrun'"), 1);
}

#[actix_web::test]
async fn a_campaign_may_have_quiet_hours_of_its_own_or_none() {
    let desk = at_night("2026-03-02 20:00").await;
    let (none, ..) = desk.campaign("Alarm", 30, "21:00-23:00", 10.0).await;
    let (own, ..) = desk.campaign("Late shift", 30, "21:00-23:00", 10.0).await;
    desk.sql(&format!("UPDATE campaigns SET quiet = 'none' WHERE id = {none}"));
    desk.sql(&format!("UPDATE campaigns SET quiet = 'own', quiet_from = '21:05', quiet_to = '22:00' WHERE id = {own}"));
    let (.., third) = desk.campaign("As the house has it", 30, "21:00-23:00", 10.0).await;
    desk.at("2026-03-02 20:59:59");
    desk.run_until("2026-03-02 21:01").await;
    assert_eq!(between(&desk, "2026-03-02 21:00", "2026-03-02 21:01"), 20);
    desk.run_until("2026-03-02 21:06").await;
    assert_eq!((desk.counts(third).sent(), desk.received().len()), (0, 60));
}

#[actix_web::test]
async fn quiet_hours_that_are_set_while_a_run_sends_hold_within_a_second() {
    let desk = Desk::open_at("2026-03-02 10:00").await;
    let (.., run) = desk.campaign("Spring offer", 1_000, "10:00-20:00", 600.0).await;
    desk.run_until("2026-03-02 10:00:20").await;
    desk.sql("UPDATE settings SET quiet_from = '09:00', quiet_to = '12:00'");
    let before = desk.received().len();
    desk.run_until("2026-03-02 10:01").await;
    assert_eq!(desk.received().len(), before);

    // Taken back an hour later: it goes on from what it has sent.
    doze_until(&desk, "2026-03-02 11:00").await;
    desk.sql("UPDATE settings SET quiet_from = NULL, quiet_to = NULL");
    desk.run_until("2026-03-02 11:01").await;
    let sent = desk.received().len() - before;
    assert!((590..=651).contains(&sent), "{sent}: a minute of it and no hour made up for");
    assert!(most_at_once(&desk, "2026-03-02 11:00") <= 60);
    assert!(desk.counts(run).unsent() > 0);
}

#[actix_web::test]
async fn quiet_hours_that_are_set_for_a_time_gone_by_do_not_hold_what_follows() {
    let desk = Desk::open_at("2026-03-02 08:30").await;
    let (.., run) = desk.campaign("Morning", 600, "09:00-12:00", 60.0).await;
    desk.at("2026-03-02 08:59:59");
    desk.run_until("2026-03-02 09:05").await;
    desk.sql("UPDATE settings SET quiet_from = '07:00', quiet_to = '09:04'");
    desk.run_until("2026-03-02 09:07").await;
    assert!(between(&desk, "2026-03-02 09:05", "2026-03-02 09:07") >= 100, "two minutes at 60");
    assert_eq!(desk.counts(run).audience, 600);
}
