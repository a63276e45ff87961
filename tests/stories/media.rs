//! Files: what people of the house send with a text, and what contacts send.

use actix_web::test::TestRequest;
use actix_web::web::Data;
use bugle::access::Role;
use bugle::app::App;
use bugle::config::Settings;
use bugle::engine::fetcher;
use bugle::media::domain::LARGEST;
use serde_json::Value;

use crate::approved::{PEOPLE, draft, schedule};
use crate::desk::{Answer, Desk};
use crate::gateways::{Gateway, meta_calls, of_number, with_gateway, with_whatsapp};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
/// A picture whose octets are letters.
const GIF: &str = "GIF89a----------";

/// Brings a file, and tells its address.
async fn brought(desk: &Desk, name: &str, octets: &[u8]) -> String {
    let answer = desk.upload("/media", name, octets, &[]).await;
    assert_eq!(answer.status, 201, "{}", answer.html);
    let told: Value = serde_json::from_str(&answer.html).unwrap();
    told["url"].as_str().unwrap().to_owned()
}

fn path_of(url: &str) -> &str {
    &url[url.find("/media/").unwrap()..]
}

fn bodies(graph: &Gateway) -> Vec<Value> {
    let posts = graph.seen().into_iter().filter(|it| it.starts_with("POST"));
    posts.map(|it| serde_json::from_str(&it[it.find('{').unwrap()..]).unwrap()).collect()
}

/// A contact writes on WhatsApp. Returns the page of their conversation.
async fn writes(desk: &Desk, id: &str, what: &str) -> String {
    let value =
        format!(r#""contacts":[],"messages":[{{"from":"353861234121","id":"{id}","timestamp":"1772442000",{what}}}]"#);
    assert_eq!(meta_calls(desk, &of_number("10000000001", &value)).await.status, 200);
    format!("/inbox/{}", desk.number("SELECT max(id) AS n FROM conversations"))
}

/// Graph has one file, under the id 77.
fn graph_has(graph: &Gateway, octets: &'static str) {
    let site = graph.url.trim_end_matches("/send").to_owned();
    graph.answers(move |request| match request.lines().next().unwrap_or_default() {
        it if it.starts_with("GET /v25.0/77 ") => Some(format!(r#"{{"url":"{site}/file/77","id":"77"}}"#)),
        it if it.starts_with("GET /file/77 ") => Some(octets.to_owned()),
        it if it.starts_with("GET ") => Some("400 {}".to_owned()),
        _ => Some(r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.A"}]}"#.to_owned()),
    });
}

const PICTURE: &str = r#""type":"image","image":{"id":"77","mime_type":"image/jpeg","caption":"This one"}"#;

#[actix_web::test]
async fn a_file_leaves_as_what_it_is_and_where_a_channel_carries_none_as_a_link() {
    let (mut desk, graph) = with_whatsapp().await;
    let settings = Settings { public_url: Some("https://bugle.example".to_owned()), ..desk.app.settings.clone() };
    desk.app = Data::new(App { settings, ..App::clone(&desk.app) });
    desk.sends_through(desk.app.providers.clone());
    graph_has(&graph, GIF);
    let thread = writes(&desk, "w1", r#""type":"text","text":{"body":"hi"}"#).await;
    let url = brought(&desk, "Our offer.PNG", PNG).await;
    assert!(url.starts_with("https://bugle.example/media/") && url.ends_with("/Our%20offer.png"), "{url}");
    let place = "https://www.openstreetmap.org/?mlat=48.2&mlon=16.37";
    for body in [format!("Look, Ada\n{url}"), url.clone(), format!("Our shop\n{place}"), format!("see {url} there")] {
        let seen = desk.number("SELECT max(id) AS n FROM messages").to_string();
        let sent = desk.fill_in(&format!("{thread}/reply"), &[("body", &body), ("seen", &seen)]).await;
        assert_eq!(sent.status, 303, "{}", sent.html);
        desk.talk().await;
    }
    let sent = bodies(&graph);
    assert_eq!((&sent[0]["image"]["link"], &sent[0]["image"]["caption"]), (&url.as_str().into(), &"Look, Ada".into()));
    assert_eq!((&sent[1]["image"]["link"], sent[1]["image"].get("caption")), (&url.as_str().into(), None));
    assert_eq!((&sent[2]["location"]["latitude"], &sent[2]["location"]["name"]), (&"48.2".into(), &"Our shop".into()));
    assert_eq!(sent[3]["text"]["body"], format!("see {url} there"), "among words it is a link");
    let page = desk.visit(&thread).await;
    page.shows(&format!(r#"<img src="{}" alt="Our offer.png""#, path_of(&url)));
    page.shows("Place on the map");

    // By SMS the text leaves as it is, link and all.
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let url = brought(&desk, "offer.png", PNG).await;
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    desk.sql(&format!("UPDATE schedule_runs SET body = 'Look' || chr(10) || '{url}' WHERE id = {run}"));
    desk.later(2);
    desk.tick().await;
    assert_eq!(desk.received().remove(0).body, format!("Look\n{url}"));
}

#[actix_web::test]
async fn whoever_knows_the_address_of_what_is_sent_may_fetch_it_whole_or_in_parts() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let url = brought(&desk, "offer.png", PNG).await;
    let whole = desk.visit_as_stranger(path_of(&url)).await;
    assert_eq!(whole.status, 200);
    let header = |answer: &Answer, name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header(&whole, "content-type"), "image/png");
    assert_eq!(header(&whole, "x-content-type-options"), "nosniff");
    assert!(header(&whole, "content-disposition").starts_with("inline"));
    let part = TestRequest::get().uri(path_of(&url)).insert_header(("Range", "bytes=1-3"));
    let part = desk.send(part).await;
    assert_eq!((part.status, part.html.as_str()), (206, "PNG"));
    assert_eq!(header(&part, "content-range"), format!("bytes 1-3/{}", PNG.len()));
    let beyond = desk.send(TestRequest::get().uri(path_of(&url)).insert_header(("Range", "bytes=99-"))).await;
    assert_eq!(beyond.status, 416);
    let head = desk.send(TestRequest::default().method(actix_web::http::Method::HEAD).uri(path_of(&url))).await;
    assert_eq!((head.status, head.html.as_str()), (200, ""));

    // A page stays a text, and is saved.
    let page = brought(&desk, "a.html", b"<html><script>alert(1)</script></html>").await;
    assert!(page.ends_with("/a.txt"), "{page}");
    let page = desk.visit_as_stranger(path_of(&page)).await;
    assert_eq!(header(&page, "content-type"), "text/plain");
    assert!(header(&page, "content-disposition").starts_with("attachment"));
    let guessed = path_of(&url).replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(desk.visit_as_stranger(&guessed).await.status, 404);
}

#[actix_web::test]
async fn what_is_no_file_to_send_is_refused_in_a_sentence() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for (name, octets, why) in [
        ("setup.png", b"MZ\x90\0\0\0".to_vec(), "Programs are not taken"),
        ("empty.png", Vec::new(), "The file is empty."),
        ("film.mp4", vec![1; LARGEST as usize + 1], "larger than 16 MB"),
        ("film.mp4", vec![1; LARGEST as usize + (1 << 20)], "larger than 16 MB"),
    ] {
        let answer = desk.upload("/media", name, &octets, &[]).await;
        assert_eq!(answer.status, 422, "{name}");
        answer.shows(why);
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM media"), 0);
    desk.gives_the_admin_the_role(Role::Viewer);
    assert_eq!(desk.upload("/media", "a.png", PNG, &[]).await.status, 403);
}

#[actix_web::test]
async fn what_a_contact_sends_is_fetched_kept_and_shown_to_people_of_the_house_alone() {
    let (desk, graph) = with_whatsapp().await;
    graph_has(&graph, GIF);
    let thread = writes(&desk, "w1", PICTURE).await;
    let page = desk.visit(&thread).await;
    page.shows("This one");
    page.shows("is being fetched");
    page.lacks("[picture]");
    assert_eq!(fetcher::tick(&desk.app).await.unwrap(), 1);
    let asked = graph.seen();
    assert!(asked.iter().all(|it| it.contains("Bearer t0ken")), "{asked:?}");
    let path =
        desk.lines("SELECT concat('/media/', replace(key::text, '-', ''), '/', name) AS line FROM media").remove(0);
    assert!(path.ends_with("/image.gif"), "by its octets, whatever its provider says: {path}");
    desk.visit(&thread).await.shows(&format!(r#"src="/inbox{path}""#));
    assert_eq!(desk.visit(&format!("/inbox{path}")).await.html, GIF);
    assert_eq!(desk.visit_as_stranger(&format!("/inbox{path}")).await.status, 303, "to the sign-in");
    assert_eq!(desk.visit_as_stranger(&path).await.status, 404);
    assert_eq!(desk.visit(&path).await.status, 404);

    // Told again, it is neither a second message nor a second file.
    writes(&desk, "w1", PICTURE).await;
    assert_eq!(fetcher::tick(&desk.app).await.unwrap(), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM message_media"), 1);
    let place = r#""type":"location","location":{"latitude":48.2,"longitude":16.37,"name":"Here"}"#;
    writes(&desk, "w2", place).await;
    assert_eq!(fetcher::tick(&desk.app).await.unwrap(), 0, "there is nothing to fetch");
    desk.visit(&thread).await.shows("mlat=48.2&mlon=16.37");
}

#[actix_web::test]
async fn what_cannot_be_fetched_is_tried_again_and_then_said() {
    let (desk, graph) = with_whatsapp().await;
    graph.answers(|_| None);
    let thread = writes(&desk, "w1", PICTURE).await;
    let mut tries = 0;
    for _ in 0..40 {
        tries += fetcher::tick(&desk.app).await.unwrap();
        desk.later(60);
    }
    assert_eq!(tries, 5);
    desk.visit(&thread).await.shows("could not be fetched");
    let again = format!("{thread}/media/{}", desk.number("SELECT max(id) AS n FROM messages"));
    graph_has(&graph, "MZ\0.");
    assert_eq!(desk.press(&again).await.status, 303);
    fetcher::tick(&desk.app).await.unwrap();
    desk.visit(&thread).await.shows("Programs are not taken");
    graph_has(&graph, GIF);
    assert_eq!(desk.press(&again).await.status, 303);
    fetcher::tick(&desk.app).await.unwrap();
    desk.visit(&thread).await.shows("image.gif");
    assert_eq!(desk.press(&again).await.status, 303, "there is nothing to try again");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'media.asked'"), 2);
    let elsewhere = desk.press(&format!("/inbox/9999/media/{}", 1)).await;
    assert_eq!(elsewhere.status, 404);
}

#[actix_web::test]
async fn a_file_is_fetched_once_by_however_many_processes() {
    let (desk, graph) = with_whatsapp().await;
    graph_has(&graph, GIF);
    for n in 0..6 {
        writes(&desk, &format!("w{n}"), PICTURE).await;
    }
    let other = desk.app.clone();
    for _ in 0..4 {
        let (one, two) = futures_util::join!(fetcher::tick(&desk.app), fetcher::tick(&other));
        assert!(one.unwrap() + two.unwrap() <= 8);
    }
    let files = graph.seen().into_iter().filter(|it| it.starts_with("GET /file/77 ")).count();
    let why = desk.lines("SELECT concat(state, ' ', why) AS line FROM message_media");
    assert_eq!((files, desk.number("SELECT count(*) AS n FROM media")), (6, 6), "{why:?}");
}

#[actix_web::test]
async fn the_review_says_how_a_file_leaves_and_phones_of_the_sandbox_show_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql("UPDATE channels SET kind = 'whatsapp' WHERE provider = 'sandbox'");
    let url = brought(&desk, "offer.png", PNG).await;
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.number("SELECT id AS n FROM channels WHERE provider = 'sandbox'").to_string();
    let body = format!("Look, #name|you#\n{url}");
    let added = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &[("body", &body)])).await;
    assert_eq!(added.status, 303, "{}", added.html);
    let review = desk.visit(&format!("{path}/edit")).await;
    review.shows("offer.png (16 bytes) goes with it as a picture.");
    review.shows(&format!(r#"<img src="{}""#, path_of(&url)));
    desk.sql("UPDATE channels SET kind = 'sms' WHERE provider = 'sandbox'");
    desk.visit(&format!("{path}/edit")).await.shows("goes as a link: the channel carries no pictures.");
    desk.sql("UPDATE channels SET provider = 'smpp' WHERE provider = 'sandbox'");
    desk.visit(&format!("{path}/edit")).await.shows("cannot reach. Start Bugle with its public address");
    desk.sql("UPDATE channels SET kind = 'whatsapp', provider = 'sandbox' WHERE provider = 'smpp'");

    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
    for _ in 0..2 {
        desk.later(2);
        desk.tick().await;
    }
    let received = desk.received();
    assert!(received.iter().any(|it| it.body == format!("Look, Ada\n{url}")), "{received:?}");
    desk.visit(&format!("/phones/{}", received[0].phone)).await.shows(&format!(r#"<img src="{}""#, path_of(&url)));
    desk.check_counts();
}

#[actix_web::test]
async fn a_text_that_its_channel_refuses_for_its_length_launches_nothing() {
    let (desk, _graph) = with_whatsapp().await;
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.channel.to_string();
    let body = format!("#name|you# {}", "x".repeat(4092));
    let added = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &[("body", &body)])).await;
    assert_eq!(added.status, 303, "{}", added.html);
    let review = desk.visit(&format!("{path}/edit")).await;
    review.lacks("and refuses more");
    desk.sql("UPDATE schedules SET body = body || 'x'");
    let review = desk.visit(&format!("{path}/edit")).await;
    review.shows("is 4097 characters long for the first contacts; WhatsApp Cloud API carries 4096 and refuses more");
    assert_ne!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
}

#[actix_web::test]
async fn what_a_gateway_tells_the_address_of_is_fetched_without_what_proves_who_we_are() {
    let (desk, gateway) = with_gateway(&[]).await;
    desk.hears_as("a", "353861234121", "look");
    desk.sql(&format!(
        "INSERT INTO message_media (message_id, channel_id, heard, state, due_at)
         SELECT id, {}, jsonb_build_object('url', '{}'), 'awaited', at FROM messages WHERE provider_id = 'a'",
        desk.channel, gateway.url
    ));
    gateway.answers(|_| Some(GIF.to_owned()));
    assert_eq!(fetcher::tick(&desk.app).await.unwrap(), 1);
    let seen = gateway.seen();
    assert!(seen.len() == 1 && !seen[0].contains("t0p-s3cret"), "{seen:?}");
    assert_eq!(desk.lines("SELECT name AS line FROM media"), ["file.gif"]);
}
