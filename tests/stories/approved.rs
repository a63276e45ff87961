//! Texts that a provider approves beforehand: read, chosen by a schedule and by an agent, and what leaves without one.

use bugle::channels::fetch;
use bugle::deliveries::Show;
use bugle::engine::importer;

use crate::desk::Desk;
use crate::gateways::{Gateway, meta_calls, of_number, with_whatsapp};

const PAGE_1: &str = r#"{"data":[
    {"name":"order_ready","language":"en_US","status":"APPROVED","category":"UTILITY","quality_score":{"score":"GREEN"},
     "components":[
        {"type":"HEADER","format":"IMAGE"},
        {"type":"BODY","text":"Hi {{1}}, order #{{2}} is ready.","example":{"body_text":[["Ada","A-7"]]}},
        {"type":"FOOTER","text":"Reply STOP to opt out"},
        {"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Thanks"},{"type":"QUICK_REPLY","text":"Change"}]}]},
    {"name":"offer","language":"en_US","status":"PAUSED","category":"MARKETING",
     "components":[{"type":"BODY","text":"Half price"}]}],
    "paging":{"cursors":{"after":"NEXT"},"next":"https://graph.facebook.com/next"}}"#;
const PAGE_2: &str = r#"{"data":[
    {"name":"hello","language":"de","status":"APPROVED","category":"UTILITY",
     "components":[{"type":"BODY","text":"Hallo {{name}}"}]},
    {"name":"cards","language":"de","status":"APPROVED","category":"MARKETING",
     "components":[{"type":"BODY","text":"x"},{"type":"CAROUSEL","cards":[]}]}],
    "paging":{"cursors":{"after":"LAST"}}}"#;

pub const PEOPLE: &str = "phone,name,order\n+353861234121,Ada,A-7\n+353861234122,,A-8\n+353861234123,Eve,A-9\n";

/// Graph, as far as it goes: two pages of templates, and it takes every message.
pub fn graph_answers(graph: &Gateway) {
    graph.answers(|request| {
        let answer = match request {
            it if it.contains("/message_templates?") && it.contains("after=NEXT") => PAGE_2,
            it if it.contains("/20000000001/message_templates?") => PAGE_1,
            it if it.contains("/message_templates?") => r#"{"data":[]}"#,
            _ => r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.A"}]}"#,
        };
        Some(answer.to_owned())
    });
}

/// What was sent, without the lists that were asked for.
pub fn sent(graph: &Gateway) -> Vec<serde_json::Value> {
    let posts = graph.seen().into_iter().filter(|it| it.starts_with("POST"));
    posts.map(|it| serde_json::from_str(&it[it.find('{').unwrap()..]).unwrap()).collect()
}

/// A draft whose file is imported, as WhatsApp numbers.
pub async fn draft(desk: &Desk, people: &str) -> String {
    let fields = [("name", "Orders"), ("time_zone", "UTC")];
    let location = desk.fill_in("/campaigns", &fields).await.location.unwrap();
    let path = location.strip_suffix("/edit").unwrap().to_owned();
    assert_eq!(
        desk.upload(&format!("{path}/file"), "people.csv", people.as_bytes(), &[("kind", "whatsapp")]).await.status,
        303
    );
    let file = desk.number("SELECT max(id) AS n FROM files");
    let mapping = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "everywhere")];
    let done = desk.fill_in(&format!("/files/{file}/import"), &mapping).await;
    assert_eq!(done.status, 303, "{}", done.html);
    importer::tick(&desk.app).await.unwrap();
    path
}

pub fn schedule<'a>(channel: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("schedule_name", "Main"),
        ("channel", channel),
        ("sends", "text"),
        ("body", ""),
        ("date", "2026-03-02"),
        ("start", "09:00"),
        ("end", "18:00"),
        ("pace", "fixed"),
        ("rate", "6000"),
        ("late", "catch_up"),
    ];
    for (name, value) in more {
        fields.retain(|(it, _)| it != name);
        fields.push((name, value));
    }
    fields
}

#[actix_web::test]
async fn approved_texts_are_read_page_after_page_and_again_when_one_has_changed() {
    let (desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    assert_eq!(fetch::tick(&desk.app).await.unwrap(), 2, "both numbers");
    let page = desk.visit(&format!("/channels/{}/templates", desk.channel)).await;
    page.shows("Hi Ada, order #A-7 is ready.");
    page.shows("paused");
    page.shows("not from here: it has a carousel");
    assert_eq!(fetch::tick(&desk.app).await.unwrap(), 0, "they are good for an hour");

    // Meta says that something became of one: whichever number it is of.
    let news = r#"{"object":"whatsapp_business_account","entry":[{"id":"20000000001","changes":[{
        "field":"message_template_status_update","value":{"event":"PAUSED","message_template_name":"hello"}}]}]}"#;
    assert_eq!(meta_calls(&desk, news).await.status, 200);
    graph.answers(|_| Some(r#"{"data":[]}"#.to_owned()));
    fetch::tick(&desk.app).await.unwrap();
    desk.visit(&format!("/channels/{}/templates", desk.channel)).await.shows("No approved text yet");

    // One that does not answer keeps what was known.
    graph_answers(&graph);
    assert_eq!(desk.press(&format!("/channels/{}/templates/fetch", desk.channel)).await.status, 303);
    graph.answers(|_| None);
    desk.press(&format!("/channels/{}/templates/fetch", desk.channel)).await;
    let page = desk.visit(&format!("/channels/{}/templates", desk.channel)).await;
    page.shows("They could not be read on");
    page.shows("order_ready");
}

#[actix_web::test]
async fn the_sandbox_approves_a_few_to_try_them_on() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql("UPDATE channels SET kind = 'whatsapp' WHERE provider = 'sandbox'");
    assert_eq!(fetch::tick(&desk.app).await.unwrap(), 1);
    desk.channel = bugle::ids::ChannelId(desk.number("SELECT id AS n FROM channels WHERE kind = 'whatsapp'"));
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.channel.to_string();
    desk.visit(&format!("/channels/{channel}/templates")).await.shows("Hello Ada, we expect you on Friday, 10:30.");
    let fields = [("template", "appointment:en"), ("place_body_1", "#name|you#"), ("place_body_2", "Monday")];
    assert_eq!(desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &fields)).await.status, 303);
    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
    for _ in 0..2 {
        desk.later(2);
        desk.tick().await;
    }
    let texts: Vec<String> = desk.received().into_iter().map(|it| it.body).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts.contains(&"Hello Ada, we expect you on Monday.".to_owned()), "{texts:?}");
}

#[actix_web::test]
async fn a_schedule_sends_an_approved_text_with_the_values_of_each_contact() {
    let (desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    fetch::tick(&desk.app).await.unwrap();
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.channel.to_string();
    let chosen = desk.visit(&format!("/templates/choice?channel={channel}&template=order_ready:en_US")).await;
    for shown in ["place_image_0", "place_body_1", "Hi {{1}}, order #{{2}} is ready.", "Thanks"] {
        chosen.shows(shown);
    }
    chosen.lacks("value=\"offer:en_US\"");

    // What is missing is said where it is missing, and what was typed is there.
    let half = [("template", "order_ready:en_US"), ("place_image_0", "ftp://x"), ("place_body_1", "#name|you#")];
    let again = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &half)).await;
    assert_eq!(again.status, 422);
    for shown in ["place_image_0-error", "place_body_2-error", "value=\"#name|you#\""] {
        again.shows(shown);
    }
    let whole = [("place_image_0", "https://shop.example/a.png"), ("place_body_2", "#order")];
    let fields: Vec<_> = half.into_iter().filter(|it| it.0 != "place_image_0").chain(whole).collect();
    let saved = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &fields)).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    let page = desk.visit(&format!("{path}/edit")).await;
    page.shows("Hi Ada, order #A-7 is ready.");
    page.lacks("a text of our own to");

    // The form of the schedule shows what was chosen.
    let id = desk.number("SELECT max(id) AS n FROM schedules");
    desk.visit(&format!("{path}/edit?schedule={id}")).await.shows("value=\"https://shop.example/a.png\"");

    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
    desk.later(2);
    desk.tick().await;
    desk.later(2);
    desk.tick().await;
    let sent = sent(&graph);
    assert_eq!(sent.len(), 3, "{sent:?}");
    let ada = sent.iter().find(|it| it["to"] == "353861234121").unwrap();
    assert_eq!(
        ada["template"]["components"],
        serde_json::json!([
            { "type": "header", "parameters": [{ "type": "image", "image": { "link": "https://shop.example/a.png" } }] },
            { "type": "body", "parameters": [{ "type": "text", "text": "Ada" }, { "type": "text", "text": "A-7" }] }
        ])
    );
    let run = bugle::ids::RunId(desk.number("SELECT max(id) AS n FROM schedule_runs"));
    assert_eq!(desk.ledger(run, Show::All).len(), 3);
    desk.check_counts();
}

#[actix_web::test]
async fn a_text_that_was_paused_or_changed_launches_nothing() {
    let (desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    fetch::tick(&desk.app).await.unwrap();
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.channel.to_string();
    let hello = schedule(&channel, &[("template", "hello:de"), ("place_body_name", "#name|du#")]);
    assert_eq!(desk.fill_in(&format!("{path}/schedules"), &hello).await.status, 303);
    for (became, says) in [
        (PAGE_2.replacen("APPROVED", "PAUSED", 1), "is paused now"),
        (PAGE_2.replacen("Hallo", "Guten Tag", 1), "has other words or places now"),
        (r#"{"data":[]}"#.to_owned(), "is not there any more"),
    ] {
        graph.answers(move |_| Some(became.clone()));
        desk.press(&format!("/channels/{channel}/templates/fetch")).await;
        desk.visit(&format!("{path}/edit")).await.shows(says);
        let refused = desk.fill_in(&format!("{path}/launch"), &[]).await;
        assert_eq!(refused.status, 422, "{says}");
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs"), 0);
}

#[actix_web::test]
async fn a_text_that_is_refused_burns_nobody_and_its_run_goes_on_when_it_is_well() {
    let (desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    fetch::tick(&desk.app).await.unwrap();
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.channel.to_string();
    let hello = schedule(&channel, &[("template", "hello:de"), ("place_body_name", "#name|du#")]);
    assert_eq!(desk.fill_in(&format!("{path}/schedules"), &hello).await.status, 303);
    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
    graph.answers(|_| Some(r#"400 {"error":{"message":"Template is paused","code":132015}}"#.to_owned()));
    for _ in 0..6 {
        desk.later(10);
        desk.tick().await;
    }
    let asked = sent(&graph).len();
    assert!((1..=3).contains(&asked), "each at most once, and then it waits: {asked}");
    let run = bugle::ids::RunId(desk.number("SELECT max(id) AS n FROM schedule_runs"));
    assert_eq!((desk.counts(run).failed, desk.counts(run).unconfirmed), (0, 0));
    let id = desk.number("SELECT max(id) AS n FROM campaigns");
    desk.visit(&format!("/campaigns?open={id}")).await.shows("is refused by the provider (132015) now");

    graph_answers(&graph);
    assert_eq!(desk.press(&format!("/channels/{channel}/templates/fetch")).await.status, 303);
    for _ in 0..3 {
        desk.later(10);
        desk.tick().await;
    }
    assert_eq!(desk.counts(run).accepted, 3);
    desk.check_counts();
}

#[actix_web::test]
async fn a_text_of_our_own_to_people_who_have_not_written_wants_a_yes_with_their_number() {
    let (mut desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    let path = draft(&desk, PEOPLE).await;
    let channel = desk.channel.to_string();
    let free = schedule(&channel, &[("body", "Hello")]);
    assert_eq!(desk.fill_in(&format!("{path}/schedules"), &free).await.status, 303);
    desk.visit(&format!("{path}/edit")).await.shows("Yes, a text of our own to 3 who have not written within 24 hours");
    let message = r#""contacts":[],"messages":[{"from":"353861234121","id":"w1","timestamp":"1772442000","type":"text","text":{"body":"hi"}}]"#;
    assert_eq!(meta_calls(&desk, &of_number("10000000001", message)).await.status, 200);
    desk.visit(&format!("{path}/edit")).await.shows("Yes, a text of our own to 2 who have not written within 24 hours");
    let page = desk.fill_in(&format!("{path}/launch"), &[("seen", ""), ("outside_window", "1")]).await;
    assert_ne!(page.status, 303, "a yes to fewer is none");
    desk.comes_back_at("2026-03-03 10:00").await;
    desk.sql("UPDATE schedules SET run_date = '2026-03-04'");
    desk.visit(&format!("{path}/edit")).await.shows("Yes, a text of our own to 3 who have not written");
}

#[actix_web::test]
async fn a_bot_begins_with_an_approved_text_and_goes_on_with_whoever_answers() {
    let (desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    fetch::tick(&desk.app).await.unwrap();
    let bot = desk.published(
        "Orders",
        r##"[{"id": "a", "name": "1", "do": "ask", "text": "Is it right, #name|you#?",
              "accept": {"kind": "choices", "choices": [{"value": "Thanks"}, {"value": "Change"}]},
              "otherwise": "z"}, {"id": "z", "name": "2", "do": "close", "text": "You are welcome."}]"##,
    );
    let path = draft(&desk, PEOPLE).await;
    let (channel, bot) = (desk.channel.to_string(), bot.to_string());
    let fields = [
        ("sends", "bot"),
        ("bot", bot.as_str()),
        ("template", "order_ready:en_US"),
        ("place_image_0", "https://shop.example/a.png"),
        ("place_body_1", "#name|you#"),
        ("place_body_2", "#order"),
    ];
    let saved = desk.fill_in(&format!("{path}/schedules"), &schedule(&channel, &fields)).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    assert_eq!(desk.fill_in(&format!("{path}/launch"), &[]).await.status, 303);
    desk.later(2);
    desk.tick().await;
    desk.later(2);
    desk.tick().await;
    desk.talk().await;
    assert_eq!(sent(&graph).len(), 3);
    let first = "SELECT body AS line FROM messages WHERE author = 'campaign' ORDER BY id";
    assert!(desk.lines(first).contains(&"Hi Ada, order #A-7 is ready.\nReply STOP to opt out".to_owned()));
    let tap = r#""contacts":[],"messages":[{"from":"353861234121","id":"w1","timestamp":"1772442000","type":"button","button":{"payload":"Thanks","text":"Thanks"}}]"#;
    assert_eq!(meta_calls(&desk, &of_number("10000000001", tap)).await.status, 200);
    desk.talk().await;
    let last = sent(&graph).pop().unwrap();
    assert_eq!(last["text"]["body"], "You are welcome.");
}

#[actix_web::test]
async fn an_agent_reaches_somebody_after_a_day_only_with_an_approved_text() {
    let (mut desk, graph) = with_whatsapp().await;
    graph_answers(&graph);
    fetch::tick(&desk.app).await.unwrap();
    let hi = r#""contacts":[],"messages":[{"from":"353861234121","id":"w1","timestamp":"1772442000","type":"text","text":{"body":"hi"}}]"#;
    assert_eq!(meta_calls(&desk, &of_number("10000000001", hi)).await.status, 200);
    let thread = format!("/inbox/{}", desk.number("SELECT max(id) AS n FROM conversations"));
    let reply = format!("{thread}/reply");
    desk.visit(&thread).await.lacks("only an approved text");
    assert_eq!(desk.fill_in(&reply, &[("body", "Hello"), ("seen", "9")]).await.status, 303);
    desk.talk().await;
    desk.comes_back_at("2026-03-03 09:02").await;
    desk.visit(&thread).await.shows("Until they write again, only an approved text reaches them.");
    let refused = desk.fill_in(&reply, &[("body", "Still there?"), ("seen", "9")]).await;
    assert_eq!(refused.status, 422);
    refused.shows("no text of your own reaches them");

    desk.fill_in(&reply, &[("template", ""), ("seen", "9")]).await.shows("Choose a text.");
    let half = desk.fill_in(&reply, &[("template", "hello:de"), ("place_body_name", ""), ("seen", "9")]).await;
    assert_eq!(half.status, 422);
    half.shows("place_body_name-error");
    let fields = [("template", "hello:de"), ("place_body_name", "#name|Ada#"), ("seen", "9")];
    assert_eq!(desk.fill_in(&reply, &fields).await.status, 303);
    desk.talk().await;
    let sent = sent(&graph);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1]["template"]["name"], "hello");
    assert_eq!(sent[1]["template"]["components"][0]["parameters"][0]["text"], "Ada");
    desk.visit(&thread).await.shows("Hallo Ada");
}
