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

/// What a list shows, in its order: `# now 2` for a heading, and the names of the campaigns.
fn listed(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut parts = html.split('<').peekable();
    while let Some(part) = parts.next() {
        let text = part.rsplit('>').next().unwrap().trim();
        if part.starts_with("h2 class=\"campaign-group\"") {
            let n = parts.peek().unwrap().rsplit('>').next().unwrap();
            found.push(format!("# {} {n}", text.to_lowercase()));
        } else if part.starts_with("a class=\"campaign-toggle\"") {
            found.push(text.to_owned());
        }
    }
    found
}

/// Walks through all pages of a list.
async fn whole(desk: &Desk, first: &str) -> (usize, Vec<String>) {
    let (mut path, mut pages, mut all) = (Some(first.to_owned()), 0, Vec::new());
    while let Some(at) = path {
        let html = desk.visit(&at).await.html;
        pages += 1;
        all.extend(listed(&html));
        let next = html.split("id=\"next-page\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        path = next.map(|next| next.replace("&#38;", "&").replace("&amp;", "&"));
    }
    (pages, all)
}

#[actix_web::test]
async fn what_runs_or_needs_somebody_stands_first_then_what_comes_then_drafts_then_what_is_over() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Through", 2, "09:00-10:00", 60.0).await;
    desk.campaign("Running", 300, "09:00-10:00", 1.0).await;
    let (held, ..) = desk.campaign("Held", 30, "09:00-10:00", 1.0).await;
    let (off, ..) = desk.campaign("Called off", 30, "09:00-10:00", 1.0).await;
    desk.campaign("Tonight", 3, "17:00-18:00", 10.0).await;
    desk.campaign("At noon", 3, "12:00-13:00", 10.0).await;
    desk.daily("Daily", "daily.csv", &[("Main", "09:00-10:00", 10.0, None)]).await;
    desk.sql("INSERT INTO campaigns (name, time_zone, created_at) VALUES ('Old draft', 'UTC', '2026-02-01'), ('New draft', 'UTC', '2026-03-01')");
    desk.press(&format!("/campaigns/{held}/pause")).await;
    desk.run_until("2026-03-02 09:03").await;
    desk.press(&format!("/campaigns/{off}/stop")).await;

    let usual = [
        "# now 3",
        "Daily",
        "Held",
        "Running",
        "# next 2",
        "At noon",
        "Tonight",
        "# drafts 2",
        "New draft",
        "Old draft",
        "# done 2",
        "Called off",
        "Through",
    ];
    let page = desk.visit("/campaigns").await;
    assert_eq!(listed(&page.html), usual);
    // Empty groups are not there, and a filter or a search keeps to the groups.
    assert_eq!(listed(&desk.visit("/campaigns?show=draft").await.html), ["# drafts 2", "New draft", "Old draft"]);
    assert_eq!(listed(&desk.peek("/campaigns?q=old").await.html), ["# drafts 1", "Old draft"]);

    let by_name = listed(&desk.visit("/campaigns?sort=name").await.html);
    assert_eq!(by_name[..6], ["# now 3", "Daily", "Held", "Running", "# next 2", "At noon"]);
    let backwards = desk.visit("/campaigns?sort=-name").await;
    let names = listed(&backwards.html);
    assert_eq!(names[..4], ["# now 3", "Running", "Held", "Daily"]);
    assert_eq!(names[names.len() - 2..], ["Through", "Called off"]);
    let by_start = listed(&desk.visit("/campaigns?sort=-start").await.html);
    assert_eq!(by_start[4..7], ["# next 2", "Tonight", "At noon"]);
    let by_progress = listed(&desk.visit("/campaigns?sort=-progress").await.html);
    assert_eq!(by_progress[by_progress.len() - 3..], ["# done 2", "Through", "Called off"]);
    assert_eq!(listed(&desk.visit("/campaigns?sort=nonsense&after=nonsense").await.html), usual);

    // The order stays over a search, a filter and whatever draws a single row anew.
    backwards.shows("<input type=\"hidden\" name=\"sort\" value=\"-name\">");
    backwards.shows("/campaigns?show=live&sort=-name");
    backwards.shows("data-way=\"descending\"");
    let row = desk.peek(&format!("/campaigns/{held}/row?sort=-name")).await;
    row.shows(&format!("/campaigns?sort=-name&open={held}"));
}

#[actix_web::test]
async fn in_every_order_the_pages_neither_repeat_nor_skip() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql(
        "INSERT INTO campaigns (name, time_zone, created_at, state, launched_at, ended_at)
         SELECT 'No. ' || lpad(n::text, 3, '0'), 'UTC', now(), CASE n % 3 WHEN 0 THEN 'draft' WHEN 1 THEN 'paused' ELSE 'stopped' END,
                CASE WHEN n % 3 > 0 THEN now() - n % 7 * interval '1 day' END, CASE WHEN n % 3 = 2 THEN now() - n % 5 * interval '1 hour' END
         FROM generate_series(1, 160) n",
    );
    for sort in ["usual", "name", "-name", "start", "-start", "progress", "-progress", "end", "-end"] {
        let (pages, all) = whole(&desk, &format!("/campaigns?q=No.&sort={sort}")).await;
        let mut names: Vec<_> = all.iter().filter(|it| !it.starts_with('#')).collect();
        assert_eq!((pages, names.len()), (4, 160), "{sort}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 160, "{sort}: a campaign stands there twice");
        let mut headings: Vec<_> = all.iter().filter(|it| it.starts_with('#')).collect();
        headings.dedup();
        assert_eq!(headings, ["# now 54", "# drafts 53", "# done 53"], "{sort}");
    }
}

#[actix_web::test]
async fn a_campaign_of_groups_counts_those_it_sends_to_and_names_the_others() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let rows: String =
        (1..=5).map(|n| format!("+1202555010{n},Name{n},{}\n", ["Cork", "Galway", "Sligo"][n % 3])).collect();
    let path = crate::before_launch::draft(&desk, "Regions", &format!("phone,name,city\n{rows}")).await;
    desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await;
    crate::before_launch::schedule(&desk, &path, &[("schedule_name", "Galway"), ("group", "Galway")]).await;
    crate::before_launch::schedule(&desk, &path, &[("schedule_name", "Cork"), ("group", "Cork")]).await;
    desk.submit(&format!("{path}/launch")).await;
    desk.tick().await;

    let (first, second) =
        (desk.number("SELECT min(id) AS n FROM schedule_runs"), desk.number("SELECT max(id) AS n FROM schedule_runs"));
    let id = path.rsplit('/').next().unwrap();
    let row = desk.visit(&format!("/campaigns?open={id}")).await;
    row.shows("<span class=\"num\">0 / 3</span>");
    row.shows("aria-label=\"0 of 3 done\"");
    row.shows(&format!("<a class=\"num\" href=\"/runs/{first}?show=no-group\">2 in no group</a>"));
    let audience = |run: i64| desk.counts(bugle::ids::RunId(run)).audience;
    assert_eq!((audience(first), audience(second)), (2, 1));
    let ledger = desk.visit(&format!("/runs/{first}")).await;
    ledger.shows("<b>2</b> Audience");
    ledger.shows("<b>2</b> In no group");
    ledger.shows("<b>0</b> Skipped");
    let rows = |html: &str| html.matches("<tr").count() - 1;
    assert_eq!(rows(&ledger.html), 2);
    assert_eq!(rows(&desk.visit(&format!("/runs/{first}?show=no-group")).await.html), 2);
    assert_eq!(rows(&desk.visit(&format!("/runs/{first}?q=1202555010")).await.html), 4, "a search finds everybody");
}

#[actix_web::test]
async fn each_link_to_a_ledger_says_which() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let rows: String =
        (1..=3).map(|n| format!("+1202555010{n},Name{n},{}\n", ["Cork", "Galway", "Sligo"][n % 3])).collect();
    let path = crate::before_launch::draft(&desk, "Regions", &format!("phone,name,city\n{rows}")).await;
    desk.fill_in(&format!("{path}/group"), &[("group_by", "city")]).await;
    for city in ["Cork", "Galway", "Sligo"] {
        crate::before_launch::schedule(&desk, &path, &[("schedule_name", city), ("group", city)]).await;
    }
    desk.submit(&format!("{path}/launch")).await;
    desk.tick().await;
    let page = desk.visit(&format!("/campaigns?open={}", path.rsplit('/').next().unwrap())).await;
    let mut links: Vec<&str> = page
        .html
        .split("<a href=\"/runs/")
        .skip(1)
        .filter_map(|link| link.split_once('>')?.1.split("</a>").next())
        .collect();
    links.retain(|words| words.starts_with("Ledger of"));
    links.sort_unstable();
    assert_eq!(
        links,
        ["Cork", "Galway", "Sligo"].map(|city| format!("Ledger of Regions, {city}, 2 Mar")),
        "three runs, three names"
    );
}
