//! What the buttons mean, told through the actions behind them.

use bugle::campaigns::actions;
use bugle::schedules;

use crate::desk::Desk;

#[actix_web::test]
async fn resuming_a_campaign_leaves_alone_what_was_paused_by_itself() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 100, "09:00-18:00", 10.0).await;
    let now = desk.app.clock.now();

    desk.db(|conn| {
        schedules::actions::pause(conn, schedule, desk.admin, now).unwrap();
        actions::pause(conn, campaign, desk.admin, now).unwrap();
        let refused = schedules::actions::resume(conn, schedule, desk.admin, now).unwrap_err();
        assert_eq!(refused.to_string(), "The whole campaign is paused. Resume the campaign first.");
        actions::resume(conn, campaign, desk.admin, now).unwrap();
    });

    assert_eq!(desk.campaign_state(campaign), "active");
    assert_eq!(
        (desk.state("schedules", schedule.0).as_str(), desk.state("schedule_runs", run.0).as_str()),
        ("paused", "paused")
    );
}

#[actix_web::test]
async fn a_run_paused_before_its_start_starts_late_when_it_is_resumed() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let (_, schedule, run) = desk.campaign("Spring offer", 100, "09:00-18:00", 10.0).await;
    desk.db(|conn| schedules::actions::pause(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());

    desk.at("2026-03-02 09:05");
    desk.tick().await;
    assert!(desk.received().is_empty());
    desk.db(|conn| schedules::actions::resume(conn, schedule, desk.admin, desk.app.clock.now()).unwrap());
    desk.tick().await;

    assert_eq!(desk.state("schedule_runs", run.0), "running");
    assert_eq!(desk.received().len(), 51, "five minutes are caught up with at once");
}

#[actix_web::test]
async fn every_change_is_written_down_with_who_and_from_what_to_what() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 100, "09:00-18:00", 10.0).await;
    let now = desk.app.clock.now();
    desk.db(|conn| {
        schedules::actions::pause(conn, schedule, desk.admin, now).unwrap();
        schedules::actions::resume(conn, schedule, desk.admin, now).unwrap();
        actions::stop(conn, campaign, desk.admin, now).unwrap();
    });
    let told = |happened: &str, was: &str, became: &str| {
        desk.number(&format!(
            "SELECT count(*) AS n FROM journal WHERE happened = '{happened}' AND was = '{was}' AND became = '{became}' AND user_id = {}",
            desk.admin
        ))
    };
    assert_eq!(told("campaign.launched", "draft", "active"), 1);
    assert_eq!(told("schedule.paused", "active", "paused"), 1);
    assert_eq!(told("schedule.resumed", "paused", "active"), 1);
    assert_eq!(told("schedule.stopped", "active", "stopped"), 1);
    assert_eq!(told("campaign.stopped", "active", "stopped"), 1);
}

#[actix_web::test]
async fn a_stopped_campaign_is_stopped_for_ever_and_a_copy_of_it_runs_anew() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 100, "09:00-18:00", 10.0).await;
    desk.tick().await;
    let now = desk.app.clock.now();
    desk.db(|conn| actions::stop(conn, campaign, desk.admin, now).unwrap());
    desk.run_until("2026-03-02 09:02").await;

    assert_eq!((desk.received().len(), desk.state("schedule_runs", run.0).as_str()), (1, "stopped"));
    desk.db(|conn| {
        assert!(actions::resume(conn, campaign, desk.admin, now).is_err());
        assert!(schedules::actions::resume(conn, schedule, desk.admin, now).is_err());
        let end = "20:00:00".parse().unwrap();
        assert!(actions::extend(conn, schedule, end, desk.admin, now).is_err());
        let copy = actions::duplicate(conn, campaign, desk.admin, now).unwrap();
        let other = actions::duplicate(conn, campaign, desk.admin, now).unwrap();
        assert_eq!(bugle::campaigns::store::find(conn, copy).unwrap().name, "Spring offer copy");
        assert_eq!(bugle::campaigns::store::find(conn, other).unwrap().name, "Spring offer copy 2");
        actions::launch(conn, copy, desk.admin, now).unwrap();
    });
    desk.run_until("2026-03-02 09:03").await;
    assert!(desk.received().len() > 5);
}

#[actix_web::test]
async fn a_name_that_is_taken_is_refused_whatever_its_case() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let now = desk.app.clock.now();
    desk.db(|conn| {
        actions::create(conn, "Spring offer", chrono_tz::UTC, desk.admin, now).unwrap();
        let refused = actions::create(conn, "spring OFFER", chrono_tz::UTC, desk.admin, now).unwrap_err();
        assert_eq!(refused.to_string(), "Another campaign is called “spring OFFER”. Choose a name of its own.");
    });
}

#[actix_web::test]
async fn postgres_refuses_rows_that_nothing_can_be() {
    use diesel::{Connection, RunQueryDsl};
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Spring offer", 3, "09:00-18:00", 10.0).await;
    for (sql, constraint) in [
        ("UPDATE schedules SET state = 'paused'", "paused_has_"),
        ("UPDATE schedule_runs SET next_seq = last_seq + 2", "seq_stays_in_the_row"),
        ("UPDATE schedule_runs SET state = 'running', clock_since = NULL", "running_has_clock"),
        ("UPDATE deliveries SET outcome = 0", "settled_has_timestamp"),
        ("UPDATE campaigns SET state = 'stopped'", "ended_has_timestamp"),
    ] {
        let error =
            desk.db(|conn| conn.transaction(|conn| diesel::sql_query(sql).execute(conn)).unwrap_err().to_string());
        assert!(error.contains(constraint), "{sql}: {error}");
    }
}

#[actix_web::test]
async fn the_way_back_through_all_migrations_works() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (fresh, name) = (desk.url.rsplit_once("dbname=").unwrap().0, "there_and_back");
    desk.sql(&format!("CREATE DATABASE {name}"));
    let url = format!("{fresh}dbname={name}");
    bugle::db::migrate(&url).unwrap();
    bugle::db::unmigrate(&url).unwrap();
    bugle::db::migrate(&url).unwrap();
}
