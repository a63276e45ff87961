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
    plan.shows(">Resume Main of Spring offer?</h1>");
    plan.shows(r#"data-icon="campaigns" aria-current="page""#);
    plan.shows("100 left.");
    let resumed = desk.submit(&format!("/schedules/{schedule}/resume")).await;
    assert_eq!((resumed.status, resumed.location), (303, Some(place.clone())));
    let question = desk.visit(&format!("/schedules/{schedule}/stop")).await;
    question.shows("A stop is final.");
    question.shows(">Stop Main of Spring offer?</h1>");
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
async fn pause_all_asks_first_and_resume_all_takes_back_exactly_what_it_did() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let mut campaigns = Vec::new();
    for name in ["Before", "One", "Other", "Between", "After"] {
        campaigns.push(desk.campaign(name, 10, "09:00-10:00", 10.0).await.0);
    }
    let [before, one, other, between, after] = campaigns[..] else { unreachable!() };
    desk.press(&format!("/campaigns/{before}/pause")).await;
    let question = desk.visit("/campaigns/pause-all").await;
    question.shows(r#"<dt>Campaigns that pause</dt><dd class="num">4</dd>"#);
    question.shows(r#"<dt>Messages in flight, which still settle</dt><dd class="num">0</dd>"#);
    assert_eq!(desk.campaign_state(one), "active", "asking does nothing");
    desk.visit("/campaigns").await.lacks("paused by it");

    desk.submit("/campaigns/pause-all").await;
    desk.visit("/campaigns").await.shows("PAUSE ALL</b> by Ada");
    for (campaign, verb) in [(between, "resume"), (between, "pause"), (after, "resume")] {
        assert_eq!(desk.press(&format!("/campaigns/{campaign}/{verb}")).await.status, 200);
    }
    // Another process knows it as well.
    desk.reconnects();
    let page = desk.visit("/campaigns").await;
    page.shows("2 campaigns are still paused by it.");
    page.shows("/campaigns/resume-all/1");
    let plan = desk.visit("/campaigns/resume-all/1").await;
    plan.shows("20 left.");
    plan.shows("it is done at");

    let resume = async || desk.fill_in("/campaigns/resume-all", &[("pause", "1")]).await;
    assert_eq!(resume().await.status, 303);
    let states = campaigns.iter().map(|id| desk.campaign_state(*id)).collect::<Vec<_>>();
    assert_eq!(states, ["paused", "active", "active", "paused", "active"]);
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs WHERE state = 'running'"), 3);
    assert_eq!(
        desk.number(
            "SELECT count(*) AS n FROM journal WHERE happened = 'campaign.resumed' AND why = 'RESUME of everything'"
        ),
        2
    );
    desk.visit("/campaigns").await.lacks("paused by it");
    let again = resume().await;
    assert_eq!(again.status, 409);
    again.shows("Nothing of it is paused any more.");
    assert_eq!(desk.campaign_state(other), "active");
}

#[actix_web::test]
async fn of_two_pauses_of_everything_each_is_taken_back_by_itself() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (first, ..) = desk.campaign("First", 10, "09:00-10:00", 10.0).await;
    desk.submit("/campaigns/pause-all").await;
    let (second, ..) = desk.campaign("Second", 10, "09:00-10:00", 10.0).await;
    desk.submit("/campaigns/pause-all").await;
    desk.fill_in("/campaigns/resume-all", &[("pause", "2")]).await;
    assert_eq!([desk.campaign_state(first), desk.campaign_state(second)], ["paused", "active"]);
    // What was stopped meanwhile is not resumed, and nobody is offered it.
    desk.press(&format!("/campaigns/{first}/stop")).await;
    desk.visit("/campaigns").await.lacks("paused by it");
    assert_eq!(desk.fill_in("/campaigns/resume-all", &[("pause", "1")]).await.status, 409);
    assert_eq!(desk.campaign_state(first), "stopped");
    // Nothing was there to pause, so nothing is remembered.
    desk.submit(&format!("/campaigns/{second}/stop")).await;
    desk.submit("/campaigns/pause-all").await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM pauses_of_everything"), 2);
}

#[actix_web::test]
async fn whoever_looks_on_is_told_of_a_pause_of_everything_and_of_its_end() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, ..) = desk.campaign("One", 10, "09:00-10:00", 10.0).await;
    let hub = bugle::screen::live::Hub::new(desk.app.clone());
    let mut stream = hub.watch((desk.admin, None), [(campaign, None)].into()).unwrap();
    let mut told = async || {
        hub.look().await.unwrap();
        let mut n = 0;
        while let Ok(event) = stream.try_recv() {
            n += std::str::from_utf8(&event).unwrap().matches("event: paused-all\n").count();
        }
        n
    };
    assert_eq!((told().await, told().await), (1, 0), "how things are, once");
    let quiet = desk.peek("/campaigns/paused-all").await.html;
    desk.submit("/campaigns/pause-all").await;
    assert_eq!(told().await, 1);
    let page = desk.peek("/campaigns/paused-all").await;
    page.shows("1 campaign is still paused by it.");
    let was = page.html.split("?was=").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(desk.peek(&format!("/campaigns/paused-all?was={was}")).await.status, 204);
    desk.press(&format!("/campaigns/{campaign}/resume")).await;
    assert_eq!(told().await, 1);
    assert_eq!(desk.peek("/campaigns/paused-all").await.html, quiet);
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

    let plan = desk.peek(&format!("/schedules/{schedule}/resume")).await;
    plan.shows("Extend end time and resume");
    // At ten a minute all are through ten minutes from now; what that means is said before it is done.
    plan.shows(r#"type="datetime-local" name="end" value="2026-03-02T09:40""#);
    let would = async |end: &str| desk.peek(&format!("/schedules/{schedule}/would?extend=yes&end={end}")).await;
    would("2026-03-02T09:40").await.shows("Ends 09:40 UTC, in 10 min. All 99 that wait are through at 09:39 UTC.");
    would("2026-03-02T09:35").await.shows("Ends 09:35 UTC, in 5 min.");
    would("2026-03-02T09:35").await.shows("would be left unsent.");
    would("2026-03-02T09:20").await.shows("must lie in the future");
    assert_eq!(desk.state("schedule_runs", run.0), "overrun", "asking does nothing");
    let page = desk.visit(&format!("/schedules/{schedule}/would?extend=yes&end=2026-03-02T09:40")).await;
    page.shows("<html");
    page.shows(&format!(r#"<form method="post" action="/schedules/{schedule}/extend">"#));
    assert_eq!(desk.press(&format!("/schedules/{schedule}/resume")).await.status, 409);
    let extend = format!("/schedules/{schedule}/extend");
    assert_eq!(desk.fill_in_with_htmx(&extend, &[("end", "soon")]).await.status, 422);
    let no_day = desk.fill_in_with_htmx(&extend, &[("end", "09:10")]).await;
    assert_eq!(no_day.status, 422, "nobody means tomorrow by a time that has passed");
    no_day.shows("Write the date of the end as well");
    let extended = desk.fill_in_with_htmx(&extend, &[("end", "2026-03-02T11:00")]).await;
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

    desk.peek(&format!("/schedules/{schedule}")).await.shows(r#"name="end" value="2026-03-02T11:30""#);
    let would = desk.peek(&format!("/schedules/{schedule}/would?end=2026-03-03T08:00&rate=25")).await;
    would.shows("Ends 3 Mar 08:00 UTC, in 23 h 0 min.");
    assert_eq!(desk.number(ends), 11, "asking does nothing");
    desk.fill_in_with_htmx(&edit, &[("end", "2026-03-03T08:00"), ("rate", "25")])
        .await
        .shows("It ends 3 Mar 08:00 UTC.");
    assert_eq!(desk.number(ends), 8);
    let refused = desk.fill_in_with_htmx(&edit, &[("end", "2026-03-02T09:00"), ("rate", "25")]).await;
    assert_eq!(refused.status, 409, "that is no later day");
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

#[actix_web::test]
async fn without_scripts_one_comes_back_to_the_list_as_one_had_it() {
    use actix_web::test::TestRequest;
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 10, "09:00-10:00", 10.0).await;
    let page = desk.visit("/campaigns?q=spring&show=waiting").await;
    page.shows(&format!(r#"action="/campaigns/{campaign}/pause?q=spring""#));
    let paused = desk.submit(&format!("/campaigns/{campaign}/pause?q=spring")).await;
    assert_eq!(paused.location, Some(format!("/campaigns?q=spring&open={campaign}#campaign-{campaign}")));
    desk.submit(&format!("/campaigns/{campaign}/resume?q=spring")).await;
    let request = TestRequest::post().uri(&format!("/schedules/{schedule}/pause"));
    let request = request.insert_header(("Sec-Fetch-Site", "same-origin")).cookie(desk.cookie().clone());
    let request = request.insert_header(("Referer", "http://bugle.test/campaigns?q=spring&show=live&open=1"));
    let paused = desk.send(request).await;
    assert_eq!(paused.location, Some(format!("/campaigns?q=spring&show=live&open={campaign}#schedule-{schedule}")));
}
