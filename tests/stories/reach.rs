//! What providers let through in a day, or to one person: known before the launch, kept to while it sends, and nobody is
//! burnt on it.

use std::sync::atomic::{AtomicUsize, Ordering};

use bugle::channels::fetch;
use bugle::deliveries::Show;
use bugle::ids::{ChannelId, RunId};
use bugle::pacing::LatePolicy;

use crate::approved::{PEOPLE, draft, graph_answers, schedule, sent};
use crate::desk::{Desk, phones};
use crate::gateways::{Gateway, meta_calls, of_number, with_whatsapp};

/// A desk with two numbers of one account that may begin with two people a day, and a draft to three.
async fn with_a_small_account() -> (Desk, Gateway, String) {
    let (desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    fetch::tick(&desk.app).await.unwrap();
    desk.sql("UPDATE channels SET new_people = 2 WHERE provider = 'whatsapp'");
    let path = draft(&desk, PEOPLE).await;
    let hello = [("template", "hello:de"), ("place_body_name", "#name|du#")];
    let saved = desk.fill_in(&format!("{path}/schedules"), &schedule(&desk.channel.to_string(), &hello)).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    (desk, graph, path)
}

#[actix_web::test]
async fn whom_the_account_cannot_reach_today_is_said_before_the_launch_and_waits_behind_it() {
    let (desk, graph, path) = with_a_small_account().await;
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows("Yes, 1 wait: this account may reach 2 new people today, 0 are used: 2 of 3 can be reached today.");
    assert_ne!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[("new_people", "1")]).await.status, 303);
    for _ in 0..4 {
        desk.later(2);
        desk.tick().await;
    }
    let run = RunId(desk.number("SELECT max(id) AS n FROM schedule_runs"));
    let counts = desk.counts(run);
    assert_eq!((sent(&graph).len(), counts.accepted, counts.failed, counts.skipped), (2, 2, 0, 0));
    let waits = desk
        .ledger(run, Show::All)
        .into_iter()
        .find(|it| it.standing.outcome().is_none() && it.address.ends_with("123"));
    assert!(waits.is_some(), "the third one waits");
    desk.later(400);
    desk.tick().await;
    assert_eq!(sent(&graph).len(), 2, "there is still no place");

    // Whom the account has reached already needs none; whoever writes, to whichever of its numbers, does not either.
    let text =
        r#""messages":[{"from":"353861234123","id":"w1","timestamp":"1772442000","type":"text","text":{"body":"hi"}}]"#;
    assert_eq!(meta_calls(&desk, &of_number("10000000002", text)).await.status, 200);
    desk.later(3_600);
    desk.tick().await;
    assert_eq!((sent(&graph).len(), desk.counts(run).accepted), (3, 3));
    assert_eq!(desk.number("SELECT count(*) AS n FROM reached_people"), 2, "who wrote takes no place");
    desk.check_counts();
}

#[actix_web::test]
async fn places_are_shared_by_the_numbers_of_an_account_and_come_back_after_a_day() {
    let (desk, graph, path) = with_a_small_account().await;
    // The other number has reached two people this morning.
    desk.sql(
        "INSERT INTO reached_people (account, contact_id, at)
         SELECT '20000000001', id, '2026-03-02 08:00Z' FROM contacts WHERE address <> '353861234123'",
    );
    desk.visit(&format!("{path}/edit")).await.shows("2 new people today, 2 are used: 0 of 3 can be reached today.");
    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[("new_people", "3")]).await.status, 303);
    for _ in 0..4 {
        desk.later(2);
        desk.tick().await;
    }
    assert_eq!(sent(&graph).len(), 2, "they were reached already");
    desk.sql("UPDATE reached_people SET at = at - interval '1 day'");
    desk.later(3_600);
    desk.tick().await;
    let run = RunId(desk.number("SELECT max(id) AS n FROM schedule_runs"));
    assert_eq!((sent(&graph).len(), desk.counts(run).accepted), (3, 3));
}

#[actix_web::test]
async fn the_limit_is_read_from_the_account_or_typed_in() {
    let (desk, graph) = with_whatsapp().await;
    graph.answers(|request| {
        let answer = match request {
            it if it.contains("messaging_limit_tier") => r#"{"messaging_limit_tier":"TIER_2K","id":"1"}"#,
            it if it.contains("whatsapp_business_manager_messaging_limit") => {
                return Some(r#"400 {"error":{"code":100,"message":"Tried accessing nonexisting field"}}"#.to_owned());
            }
            _ => r#"{"verified_name":"Bugle","display_phone_number":"+44","quality_rating":"GREEN"}"#,
        };
        Some(answer.to_owned())
    });
    let page = format!("/channels/{}", desk.channel);
    let answer = desk.submit(&format!("{page}/check")).await;
    desk.lands(answer).await.shows("It may write to 2,000 new people a day.");
    desk.sql("UPDATE channels SET settings = settings || '{\"new_people\": 50}' WHERE provider = 'whatsapp'");
    let answer = desk.submit(&format!("{page}/check")).await;
    desk.lands(answer).await.shows("It may write to 50 new people a day.");
    desk.visit(&page).await.shows("value=\"50\"");
}

#[actix_web::test]
async fn too_much_for_one_person_holds_nobody_else_and_gives_nobody_up() {
    let (mut desk, graph) = with_whatsapp().await;
    let tries = std::sync::Arc::new(AtomicUsize::new(0));
    let n = tries.clone();
    graph.answers(move |request| match request.contains("-1-") && n.fetch_add(1, Ordering::SeqCst) < 7 {
        true => Some(r#"400 {"error":{"code":131056,"message":"Pair rate limit hit"}}"#.to_owned()),
        false => Some(r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.A"}]}"#.to_owned()),
    });
    let file = desk.file(&phones(3));
    desk.sql("UPDATE contacts SET kind = 'whatsapp'");
    desk.sql("UPDATE files SET kind = 'whatsapp'");
    desk.channel = ChannelId(desk.number("SELECT min(id) AS n FROM channels WHERE provider = 'whatsapp'"));
    let (.., run) = desk.campaign_of("Spring", file, "09:00-23:00", 6_000.0, LatePolicy::CatchUp).await;
    for _ in 0..3 {
        desk.later(1);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).accepted, tries.load(Ordering::SeqCst)), (2, 1), "six seconds are not over");
    for _ in 0..12 {
        desk.later(130);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).accepted, desk.counts(run).failed, tries.load(Ordering::SeqCst)), (3, 0, 8));
    assert_eq!(desk.number("SELECT count(*) AS n FROM channel_incidents"), 0);
}

#[actix_web::test]
async fn a_page_on_messenger_launches_nothing_to_people_of_whom_nobody_has_written() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let fields = [
        ("kind", "messenger"),
        ("provider", "messenger"),
        ("name", "Page"),
        ("sender", "Bugle"),
        ("page_id", "111000111000111"),
        ("app_id", "909090909090901"),
        ("api_version", "v25.0"),
        ("access_token", "t0ken"),
        ("app_secret", "app-s3cret"),
        ("verify_token", "our word"),
    ];
    assert_eq!(desk.fill_in("/channels", &fields).await.status, 303);
    let page = desk.number("SELECT max(id) AS n FROM channels");
    let file = desk.file(&phones(3));
    desk.sql("UPDATE contacts SET kind = 'messenger'");
    desk.sql("UPDATE files SET kind = 'messenger'");
    let location = desk.fill_in("/campaigns", &[("name", "Offer"), ("time_zone", "UTC")]).await.location.unwrap();
    let path = location.strip_suffix("/edit").unwrap();
    desk.sql(&format!("UPDATE campaigns SET file_id = {file}"));
    let (channel, text) = (page.to_string(), [("body", "Half price")]);
    assert_eq!(desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &text)).await.status, 303);
    let says = "“Main” would reach nobody: none of its 3 contacts has written within 24 hours";
    desk.visit(&format!("{path}/edit")).await.shows(says);
    let refused = desk.fill_in(&format!("{path}/launch"), &[("outside_window", "3")]).await;
    assert_ne!(refused.status, 303);

    // One of them writes: the others are agreed to with their figure.
    let written = r#"{"object":"page","entry":[{"id":"111000111000111","messaging":[{"sender":{"id":"12020000000"},
        "recipient":{"id":"111000111000111"},"timestamp":1772442000000,"message":{"mid":"m1","text":"hello"}}]}]}"#;
    desk.channel = ChannelId(page);
    assert_eq!(meta_calls(&desk, written).await.status, 200);
    desk.visit(&format!("{path}/edit")).await.lacks("would reach nobody");
    desk.visit(&format!("{path}/edit")).await.shows("Yes, a text of our own to 2 who have not written");
}
