//! The buttons of the screen, as people press them.

use crate::desk::Desk;

#[actix_web::test]
async fn the_second_of_two_clickers_learns_what_the_first_did() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    let first = desk.press(&format!("/schedules/{schedule}/pause")).await;
    assert_eq!(first.status, 200);
    first.shows("Paused. Nothing more will leave.");

    let second = desk.press(&format!("/schedules/{schedule}/pause")).await;
    assert_eq!(second.status, 409);
    second.shows("The schedule is already paused.");
    second.shows("RESUME");
    assert_eq!(second.headers.get("HX-Retarget").unwrap(), &format!("#schedule-{schedule}"));
    assert!(!second.html.contains("<html"));

    let plain = desk.submit(&format!("/schedules/{schedule}/pause")).await;
    assert_eq!(plain.status, 409);
    plain.shows("The schedule is already paused.");

    desk.press(&format!("/campaigns/{campaign}/pause")).await.shows("Paused. Nothing more will leave.");
    let again = desk.press(&format!("/campaigns/{campaign}/pause")).await;
    assert_eq!(again.status, 409);
    again.shows("The campaign is already paused.");
}

#[actix_web::test]
async fn buttons_work_without_scripts() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    let place = format!("/campaigns?open={campaign}#schedule-{schedule}");

    let paused = desk.submit(&format!("/schedules/{schedule}/pause")).await;
    assert_eq!((paused.status, paused.location), (303, Some(place.clone())));
    desk.visit(&format!("/campaigns?open={campaign}")).await.shows("Paused. Nothing more will leave.");
    let plan = desk.visit(&format!("/schedules/{schedule}/resume")).await;
    plan.shows("<html");
    plan.shows("100 left.");
    let resumed = desk.submit(&format!("/schedules/{schedule}/resume")).await;
    assert_eq!((resumed.status, resumed.location), (303, Some(place.clone())));
    desk.visit(&format!("/schedules/{schedule}/stop")).await.shows("A stop is final.");
    let stopped = desk.submit(&format!("/schedules/{schedule}/stop")).await;
    assert_eq!((stopped.status, stopped.location), (303, Some(place)));
    assert_eq!(desk.state("schedules", schedule.0), "stopped");
}

#[actix_web::test]
async fn stop_of_everything_needs_the_word() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, ..) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    desk.visit("/stop").await.shows(r#"<dd class="num">100</dd>"#);
    for word in ["", "stop", "STOPP"] {
        let refused = desk.fill_in("/stop", &[("word", word)]).await;
        assert_eq!(refused.status, 422);
        refused.shows("Nothing was stopped.");
    }
    assert_eq!(desk.campaign_state(campaign), "active");

    let stopped = desk.fill_in("/stop", &[("word", "STOP")]).await;
    assert_eq!(stopped.location.as_deref(), Some("/campaigns?settling=Stopped"));
    assert_eq!(desk.campaign_state(campaign), "stopped");
    desk.visit("/campaigns?settling=Stopped").await.shows("Stopped. Nothing more will leave.");
}

#[actix_web::test]
async fn pause_all_pauses_every_campaign_and_can_be_undone() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (one, ..) = desk.campaign("One", 10, "09:00-10:00", 10.0).await;
    let (other, ..) = desk.campaign("Other", 10, "09:00-10:00", 10.0).await;
    desk.submit("/campaigns/pause-all").await;
    assert_eq!([desk.campaign_state(one), desk.campaign_state(other)], ["paused", "paused"]);
    desk.press(&format!("/campaigns/{one}/resume")).await;
    assert_eq!([desk.campaign_state(one), desk.campaign_state(other)], ["active", "paused"]);
}

#[actix_web::test]
async fn the_picture_of_a_run_knows_every_pause_and_needs_no_journal_for_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 600, "09:00-10:00", 10.0).await;
    desk.tick().await;
    for (time, path) in [
        ("09:01", format!("/schedules/{schedule}/pause")),
        ("09:03", format!("/schedules/{schedule}/resume")),
        ("09:05", format!("/campaigns/{campaign}/pause")),
        ("09:06", format!("/campaigns/{campaign}/resume")),
        ("09:08", "/campaigns/pause-all".to_owned()),
        ("09:09", format!("/campaigns/{campaign}/resume")),
        ("09:10", format!("/schedules/{schedule}/pause")),
    ] {
        desk.run_until(&format!("2026-03-02 {time}")).await;
        desk.submit(&path).await;
    }
    let pauses = || {
        let run = desk.db(|conn| bugle::runs::store::find(conn, run).unwrap());
        let past = desk.db(|conn| bugle::screen::store::past(conn, &run).unwrap());
        let pauses = past.pauses_until(desk.app.clock.now());
        let minutes = pauses.iter().map(|(from, to)| format!("{}-{}", from.format("%M"), to.format("%M")));
        minutes.collect::<Vec<_>>().join(" ")
    };
    desk.at("2026-03-02 09:12");
    assert_eq!(pauses(), "01-03 05-06 08-09 10-12", "the last one goes on");
    desk.sql("DELETE FROM journal");
    assert_eq!(pauses(), "01-03 05-06 08-09 10-12");
    desk.fill_in("/stop", &[("word", "STOP")]).await;
    desk.at("2026-03-02 09:15");
    assert_eq!(pauses(), "01-03 05-06 08-09 10-12", "stopped, it is not paused any more");
}

#[actix_web::test]
async fn the_resume_plan_says_who_is_left_and_who_would_not_be_reached() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, run) = desk.campaign("Spring offer", 100, "09:00-09:20", 10.0).await;
    desk.tick().await;
    desk.run_until("2026-03-02 09:02").await;
    desk.press(&format!("/schedules/{schedule}/pause")).await;
    let left = desk.counts(run).unsent();
    desk.sql(&format!(
        "UPDATE contacts SET opted_out_at = now() WHERE id IN
         (SELECT contact_id FROM deliveries WHERE run_id = {run} AND seq IN (1, 99, 100))"
    ));

    let plan = desk.peek(&format!("/schedules/{schedule}/resume")).await;
    plan.shows(&format!("{left} left."));
    plan.shows("2 of them opted out or were blocked meanwhile");
    // Who seems to have opted out is not sent to, either.
    desk.sql(&format!(
        "UPDATE contacts SET doubted_at = now() WHERE id IN
         (SELECT contact_id FROM deliveries WHERE run_id = {run} AND seq = 98)"
    ));
    let plan = desk.peek(&format!("/schedules/{schedule}/resume")).await;
    plan.shows("3 of them opted out or were blocked meanwhile");
    plan.shows("it is done at");
    desk.at("2026-03-02 09:18");
    desk.peek(&format!("/schedules/{schedule}/resume")).await.shows("would not be sent before the end time");
}

#[actix_web::test]
async fn after_the_end_only_more_time_helps() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, run) = desk.campaign("Spring offer", 100, "09:00-09:20", 10.0).await;
    desk.tick().await;
    desk.press(&format!("/schedules/{schedule}/pause")).await;
    desk.at("2026-03-02 09:30");
    desk.tick().await;

    desk.peek(&format!("/schedules/{schedule}/resume")).await.shows("Extend end time and resume");
    assert_eq!(desk.press(&format!("/schedules/{schedule}/resume")).await.status, 409);
    let extend = format!("/schedules/{schedule}/extend");
    assert_eq!(desk.fill_in_with_htmx(&extend, &[("end", "soon")]).await.status, 422);
    let extended = desk.fill_in_with_htmx(&extend, &[("end", "11:00")]).await;
    assert_eq!(extended.status, 200);
    extended.shows("Extended and resumed.");
    assert_eq!(desk.state("schedule_runs", run.0), "running");
}

#[actix_web::test]
async fn rate_and_end_change_while_it_runs() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, run) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    desk.tick().await;
    let edit = format!("/schedules/{schedule}/edit");
    desk.fill_in_with_htmx(&edit, &[("end", "11:30"), ("rate", "25")]).await.shows("Updated.");
    assert_eq!(desk.number(&format!("SELECT rate::bigint AS n FROM schedule_runs WHERE id = {run}")), 25);
    let ends = "SELECT extract(hour FROM ends_at AT TIME ZONE 'UTC')::bigint AS n FROM schedule_runs";
    assert_eq!(desk.number(ends), 11);

    let refused = desk.fill_in_with_htmx(&edit, &[("end", "09:00"), ("rate", "25")]).await;
    assert!(refused.status == 409 || refused.status == 200, "{}", refused.status);
    for rate in ["0", "-1", "fast", "NaN", "inf"] {
        let refused = desk.fill_in_with_htmx(&edit, &[("end", "11:30"), ("rate", rate)]).await;
        assert_eq!(refused.status, 422, "{rate}");
        refused.shows("Messages a minute must be a number");
    }
    desk.visit(&format!("/campaigns?open={campaign}")).await.shows("rate 10 → 25 a minute");
}

#[actix_web::test]
async fn a_copy_is_a_draft_and_what_has_ended_can_be_put_away() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, ..) = desk.campaign("Spring offer", 10, "09:00-10:00", 10.0).await;
    let copied = desk.submit(&format!("/campaigns/{campaign}/duplicate")).await;
    assert!(copied.location.unwrap().ends_with("/edit"));
    desk.visit("/campaigns").await.shows("Spring offer copy");

    assert_eq!(desk.submit(&format!("/campaigns/{campaign}/archive")).await.status, 409);
    desk.submit(&format!("/campaigns/{campaign}/stop")).await;
    desk.submit(&format!("/campaigns/{campaign}/archive")).await;
    assert!(!desk.visit("/campaigns").await.html.contains(">Spring offer<"));
    desk.visit("/campaigns?show=archived").await.shows(">Spring offer<");
}

#[actix_web::test]
async fn a_pause_takes_twelve_statements_at_most() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, _) = desk.campaign("Spring offer", 100, "09:00-10:00", 10.0).await;
    desk.run_until("2026-03-02 09:02").await;
    // Connections are open, and what they have asked once is prepared.
    desk.press(&format!("/schedules/{schedule}/pause")).await;
    desk.press(&format!("/schedules/{schedule}/resume")).await;
    for verb in ["pause", "resume", "stop"] {
        let before = desk.app.db.health().statements();
        let answer = desk.press(&format!("/schedules/{schedule}/{verb}")).await;
        assert_eq!(answer.status, 200, "{verb}");
        let n = desk.app.db.health().statements() - before;
        let most = if verb == "stop" { 16 } else { 12 };
        assert!(n <= most, "{verb} took {n} statements");
    }
}
