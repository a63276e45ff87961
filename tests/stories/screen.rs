//! Finding campaigns, and seeing how they stand.

use std::collections::HashMap;

use bugle::access::Role;
use bugle::pacing::LatePolicy;
use bugle::screen::live::Hub;
use bugle::screen::store::{past_within, turns_of};
use bugle::web::chart::Fates;

use crate::desk::Desk;
use crate::ledger::all_sorts;

#[actix_web::test]
async fn a_search_finds_parts_of_names_and_takes_every_sign_as_it_is() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/campaigns").await.shows("No campaigns yet.");
    desk.campaign("Spring offer", 3, "09:00-10:00", 10.0).await;
    desk.campaign("Arrears 50% off", 3, "09:00-10:00", 10.0).await;

    let found = desk.peek("/campaigns?q=SPRING").await;
    found.shows("Spring offer");
    assert!(!found.html.contains("Arrears") && !found.html.contains("<html"), "only the list, only what was asked for");
    let found = desk.visit("/campaigns?q=50%25").await;
    found.shows("Arrears 50% off");
    assert!(!found.html.contains("Spring offer"));
    desk.visit("/campaigns?q=_pring").await.shows("Nothing found.");
}

#[actix_web::test]
async fn filters_ask_for_what_is_so() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Running one", 30, "09:00-10:00", 10.0).await;
    let (held, ..) = desk.campaign("Held one", 30, "09:00-10:00", 10.0).await;
    desk.campaign("Late one", 30, "17:00-18:00", 10.0).await;
    desk.press(&format!("/campaigns/{held}/pause")).await;
    desk.tick().await;

    let names = async |show: &str| {
        let html = desk.visit(&format!("/campaigns?show={show}")).await.html;
        ["Running one", "Held one", "Late one"].map(|name| html.contains(name))
    };
    assert_eq!(names("all").await, [true, true, true]);
    assert_eq!(names("live").await, [true, false, false]);
    assert_eq!(names("paused").await, [false, true, false]);
    assert_eq!(names("today").await, [true, true, true]);
    for show in ["finished", "inbound", "draft", "overrun", "stopped", "archived"] {
        assert_eq!(names(show).await, [false, false, false], "{show}");
    }
    desk.visit("/campaigns?show=stopped").await.shows("Nothing was stopped.");
    desk.visit("/campaigns?show=live&q=nobody").await.shows("Nothing found.");
    // In Kiritimati it is Monday 23:00 at 09:00 UTC; an hour and a half later it is Tuesday.
    desk.sql(&format!("UPDATE schedule_runs SET run_date = '2026-03-03' WHERE campaign_id <> {held}"));
    assert_eq!(names("today").await, [false, true, false]);
    desk.sql("UPDATE campaigns SET time_zone = 'Pacific/Kiritimati'");
    desk.at("2026-03-02 10:30");
    assert_eq!(names("today").await, [true, false, true]);
}

#[actix_web::test]
async fn what_is_through_what_ran_out_of_time_and_what_was_stopped_are_told_apart() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Through", 5, "09:00-10:00", 60.0).await;
    desk.campaign("Too late", 50, "09:00-09:02", 1.0).await;
    let (called_off, ..) = desk.campaign("Called off", 50, "09:00-10:00", 1.0).await;
    desk.run_until("2026-03-02 09:01").await;
    desk.press(&format!("/campaigns/{called_off}/stop")).await;
    desk.run_until("2026-03-02 09:03").await;
    for (show, only) in [("finished", 0), ("overrun", 1), ("stopped", 2)] {
        let html = desk.visit(&format!("/campaigns?show={show}")).await.html;
        let found = ["Through", "Too late", "Called off"].map(|name| html.contains(&format!(">{name}<")));
        assert_eq!(found, [0, 1, 2].map(|n| n == only), "{show}");
    }
}

#[actix_web::test]
async fn a_long_list_comes_in_pages_that_neither_repeat_nor_skip() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql(
        "INSERT INTO campaigns (name, time_zone, created_at)
         SELECT 'No. ' || lpad(n::text, 3, '0'), 'UTC', now() FROM generate_series(1, 120) n",
    );
    let mut path = Some("/campaigns?q=No.".to_owned());
    let (mut seen, mut pages) = (Vec::new(), 0);
    while let Some(at) = path {
        let html = desk.visit(&at).await.html;
        pages += 1;
        seen.extend((1..=120).filter(|n| html.contains(&format!(">No. {n:03}<"))));
        path = html
            .split("id=\"next-page\" href=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .map(|next| next.replace("&#38;", "&").replace("&amp;", "&"));
    }
    seen.sort_unstable();
    assert_eq!((pages, seen), (3, (1..=120).collect::<Vec<_>>()));
}

#[actix_web::test]
async fn an_open_row_shows_its_file_schedules_and_history() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 30, "09:00-10:00", 10.0).await;
    let page = desk.visit(&format!("/campaigns?open={campaign}")).await;
    page.shows("people.csv");
    page.shows(&format!("id=\"schedule-{schedule}\""));
    page.shows("campaign launched");
    page.shows("Waiting");
    page.shows("starts <time");
    page.shows("09:00 UTC");
    page.shows(&format!("/runs/{run}?show=unsent"));
    page.shows("aria-expanded=\"true\"");
}

#[actix_web::test]
async fn buttons_are_offered_to_those_who_may_press_them() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 30, "09:00-10:00", 10.0).await;
    desk.gives_the_admin_the_role(Role::Viewer);
    desk.visit("/campaigns").await.shows("STOP of everything needs the role admin");
    for path in [format!("/schedules/{schedule}/pause"), format!("/campaigns/{campaign}/pause")] {
        assert_eq!(desk.press(&path).await.status, 403);
    }
    desk.gives_the_admin_the_role(Role::Operator);
    assert_eq!(desk.press(&format!("/schedules/{schedule}/stop")).await.status, 403);
    assert_eq!(desk.press(&format!("/schedules/{schedule}/pause")).await.status, 200);
    desk.gives_the_admin_the_role(Role::Manager);
    assert_eq!(desk.fill_in("/stop", &[("word", "STOP")]).await.status, 403);
    assert_eq!(desk.campaign_state(campaign), "active");
}

#[actix_web::test]
async fn two_hundred_pages_ask_the_database_as_often_as_one() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 30, "09:00-10:00", 10.0).await;
    let hub = Hub::new(desk.app.clone());
    let mut streams: Vec<_> =
        (0..200).map(|_| hub.watch((desk.admin, None), HashMap::from([(campaign, None)])).unwrap()).collect();
    let before = hub.looks();
    hub.look().await.unwrap();
    assert_eq!(hub.looks() - before, 1);

    for stream in &mut streams {
        let mut told = String::new();
        while let Ok(event) = stream.try_recv() {
            told += std::str::from_utf8(&event).unwrap();
        }
        assert!(
            told.contains(&format!("event: campaign-{campaign}-progress\ndata: <div class=\"progress\"><svg")),
            "{told}"
        );
        assert!(told.contains(&format!("event: schedule-{schedule}-state\n")));
        assert!(!told.contains("<form") && !told.contains("<button"));
    }
    desk.press(&format!("/schedules/{schedule}/pause")).await;
    hub.look().await.unwrap();
    let mut told = String::new();
    while let Ok(event) = streams[7].try_recv() {
        told += std::str::from_utf8(&event).unwrap();
    }
    assert!(told.contains(&format!("event: schedule-{schedule}-state\n")), "{told}");
    hub.stop();
    assert!(streams.pop().unwrap().is_closed(), "streams end when the server shuts down");
}

#[actix_web::test]
async fn the_picture_its_sentence_and_the_chips_mean_the_same_contacts_by_sent() {
    let desk = Desk::open_at("2026-03-02 08:59").await;
    let (_, schedule, run) = desk.campaign_to("Spring", &all_sorts(), "09:00-09:05", 60.0, LatePolicy::CatchUp).await;
    desk.run_until("2026-03-02 09:00:30").await;

    let counts = desk.counts(run);
    let turns = |most: i32| {
        let run = desk.db(|conn| bugle::runs::store::find(conn, run).unwrap());
        let past = desk.db(|conn| past_within(conn, &run, most).unwrap());
        let mut all = Fates::default();
        past.turns.iter().for_each(|(_, turns)| all += *turns);
        (all, past.in_one)
    };
    assert!(counts.sent() > 0 && counts.failed > 0, "{counts:?}");
    assert_eq!(turns(50_000), (turns_of(&counts), false), "what became of each is stacked in the bars");
    let (had_their_turn, in_one) = turns(5);
    assert!(in_one && had_their_turn == Fates { sent: 6, ..Fates::default() }, "{had_their_turn:?}");

    let picture = desk.peek(&format!("/schedules/{schedule}/picture")).await;
    picture.shows(&format!("<figcaption>{} sent, {} failed", counts.sent(), counts.failed));
    picture.shows(&format!(r#"<li class="chart-key-sent">Sent <b>{}</b></li>"#, counts.sent()));
    picture.shows(&format!(r#"<li class="chart-key-failed">Failed <b>{}</b></li>"#, counts.failed));
    let panel = desk.peek(&format!("/schedules/{schedule}")).await;
    panel.shows(&format!("<b>{}</b> sent", counts.sent()));
    panel.shows(&format!("<b>{}</b> failed", counts.failed));
}

#[actix_web::test]
async fn while_a_run_stands_still_its_picture_promises_no_instant() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, _) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    desk.run_until("2026-03-02 09:01").await;
    desk.press(&format!("/schedules/{schedule}/pause")).await;
    desk.at("2026-03-02 09:30");
    let picture = desk.peek(&format!("/schedules/{schedule}/picture")).await;
    picture.shows("wait. Resumed now: done at 09:3");
    picture.lacks("planned, the last at");
}

#[actix_web::test]
async fn a_row_says_how_many_stand_still_and_who_made_them() {
    let desk = Desk::open_at("2026-03-02 08:30").await;
    let three = ["One", "Two", "Three"].map(|name| (name, "09:00-10:00", 10.0, None));
    let (campaign, ids) = desk.daily("Arrears", "", &three).await;
    let head = async || desk.peek(&format!("/campaigns/{campaign}/head")).await;
    head().await.lacks("paused");

    desk.press(&format!("/schedules/{}/pause", ids[1])).await.shows("by Ada, <time");
    let one = head().await;
    one.shows(">Scheduled</span>");
    one.shows("1 of 3 paused");
    one.lacks("by Ada");
    for id in [ids[0], ids[2]] {
        desk.press(&format!("/schedules/{id}/pause")).await;
    }
    let all = head().await;
    all.shows(">Paused</span>");
    all.shows("by Ada, <time");
    all.lacks("3 of 3");

    desk.press(&format!("/campaigns/{campaign}/resume")).await;
    let now = desk.app.clock.now();
    desk.db(|conn| bugle::control::actions::pause(conn, campaign, bugle::access::Actor::Shell, now).unwrap());
    head().await.shows("by the terminal, <time");
}

#[actix_web::test]
async fn a_pause_is_not_one_yet_while_something_is_in_flight() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    desk.tick().await;
    desk.press(&format!("/campaigns/{campaign}/pause")).await;
    desk.peek(&format!("/campaigns/{campaign}/head")).await.shows(">Paused</span>");
    desk.sql(&format!("UPDATE schedule_runs SET next_seq = next_seq + 1 WHERE id = {run}"));
    desk.peek(&format!("/campaigns/{campaign}/head")).await.shows(">Pausing</span>");
    desk.peek(&format!("/schedules/{schedule}")).await.shows(">Pausing</span>");
    desk.press(&format!("/campaigns/{campaign}/stop")).await.shows(">Stopping</span>");
}
