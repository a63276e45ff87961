//! Web chats: who may knock, what is written down once, and what a widget that was away is given.

use std::time::Instant;

use actix_web::cookie::Key;
use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use bugle::bots::domain::Pinned;
use bugle::campaigns::CampaignKind;
use bugle::channels::setups;
use bugle::conversations::replies;
use bugle::deliveries::claim::Claimer;
use bugle::deliveries::{BEGIN_WITHIN, Fate};
use bugle::engine::fetcher;
use bugle::ids::{BotId, ChannelId, VisitorId};
use bugle::providers::Envelope;
use bugle::providers::key::SendKey;
use bugle::schedules::{Draft, When};
use bugle::webchat::domain;
use bugle::webchat::lobby::{Knock, Lobby};
use bugle::wording::Content;
use bugle::{drafting, server};
use chrono::NaiveTime;
use serde_json::{Value, json};

use crate::desk::{Answer, Desk};

const SHOP: &str = "https://shop.example";

/// A page of a shop, whose widget a visitor has open.
struct Page<'a> {
    desk: &'a Desk,
    lobby: Data<Lobby>,
    channel: ChannelId,
    origin: &'static str,
    peer: &'static str,
    token: String,
}

impl Desk {
    /// A web chat that the shop may hold.
    async fn web_chat(&self) -> ChannelId {
        let fields = [
            ("kind", "webchat"),
            ("name", "Shop"),
            ("sender", "Bugle"),
            ("title", "Ask us"),
            ("greeting", "Hello!"),
            ("accent", "#ffd400"),
            ("side", "left"),
            ("offline", "No connection."),
            ("origins", SHOP),
        ];
        let added = self.fill_in("/channels", &fields).await;
        let path = added.location.unwrap_or_else(|| panic!("{}", added.html));
        ChannelId(path.strip_prefix("/channels/").unwrap().parse().unwrap())
    }

    /// A launched inbound campaign: this bot meets whoever writes.
    fn bot_meets(&self, channel: ChannelId, bot: BotId) {
        let now = self.app.clock.now();
        let plan = Draft::once("Main", channel, "", now.date_naive(), NaiveTime::MIN, NaiveTime::MIN, 6000.0);
        let plan = Draft { bot: Some(Pinned { bot, version: 1 }), when: When::Inbound, ..plan };
        self.db(|conn| {
            let id = drafting::actions::create(conn, "Desk", CampaignKind::Inbound, chrono_tz::UTC, self.admin, now)
                .unwrap();
            drafting::actions::add_schedule(conn, id, &plan, self.admin, now).unwrap();
            drafting::actions::launch(conn, id, self.admin, now).unwrap();
        });
    }

    fn page(&self, channel: ChannelId) -> Page<'_> {
        let lobby = Data::new(Lobby::new(self.app.clone()));
        Page { desk: self, lobby, channel, origin: SHOP, peer: "192.0.2.1:5000", token: String::new() }
    }
}

impl Page<'_> {
    async fn send(&self, request: TestRequest) -> Answer {
        let request = request
            .peer_addr(self.peer.parse().unwrap())
            .insert_header(("Origin", self.origin))
            .insert_header(("Sec-Fetch-Site", "cross-site"))
            .insert_header(("Authorization", format!("Bearer {}", self.token)));
        let app = server::app(self.desk.app.clone(), Key::from(&[7; 64])).app_data(self.lobby.clone());
        let service = test::init_service(app).await;
        let response = test::call_service(&service, request.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = if headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            Default::default()
        } else {
            test::read_body(response).await
        };
        Answer { status, location: None, html: String::from_utf8_lossy(&body).into_owned(), headers }
    }

    async fn get(&self, door: &str) -> Answer {
        self.send(TestRequest::get().uri(&format!("/webchat/{}/{door}", self.channel))).await
    }

    async fn post(&self, door: &str, body: &Value) -> Answer {
        self.send(TestRequest::post().uri(&format!("/webchat/{}/{door}", self.channel)).set_json(body)).await
    }

    /// The page of somebody who is known from now on.
    async fn known(self) -> Self {
        let answer = self.post("visitors", &json!({})).await;
        assert_eq!(answer.status, 201, "{}", answer.html);
        let told: Value = serde_json::from_str(&answer.html).unwrap();
        Page { token: told["token"].as_str().unwrap().to_owned(), ..self }
    }

    async fn says(&self, id: &str, text: &str) -> Answer {
        self.post("messages", &json!({ "id": id, "text": text })).await
    }

    /// What stands in the widget, as (number, text).
    async fn shows(&self, door: &str) -> Vec<(i64, String)> {
        let answer = self.get(door).await;
        assert_eq!(answer.status, 200, "{}", answer.html);
        let told: Value = serde_json::from_str(&answer.html).unwrap();
        told["messages"].as_array().unwrap().iter().map(said).collect()
    }
}

fn said(line: &Value) -> (i64, String) {
    (line["seq"].as_i64().unwrap(), line["text"].as_str().unwrap().to_owned())
}

const COLOURS: &str = r##"[
  {"id": "s1", "name": "Ask", "do": "ask", "text": "Which colour?", "accept": {"kind": "choices", "choices": [{"value": "Red"}, {"value": "Blue"}]}, "store": "colour"},
  {"id": "s2", "name": "End", "do": "close", "text": "#colour it is."}]"##;

#[actix_web::test]
async fn a_bot_answers_a_visitor_and_what_the_widget_shows_is_delivered() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let bot = desk.published("Colours", COLOURS);
    desk.bot_meets(channel, bot);
    let page = desk.page(channel).known().await;

    assert_eq!(page.says("a", "Hello").await.status, 200);
    desk.talk().await;
    let answer = page.get("messages").await;
    let told: Value = serde_json::from_str(&answer.html).unwrap();
    assert_eq!(said(&told["messages"][1]), (2, "Which colour?".into()), "{}", answer.html);
    assert_eq!(told["messages"][1]["choices"], json!(["Red", "Blue"]));
    assert_eq!(page.says("b", "Blue").await.status, 200);
    desk.talk().await;
    let all = page.shows("messages").await;
    assert_eq!(all[2..], [(3, "Blue".into()), (4, "Blue it is.".into())]);

    let code = bugle::deliveries::Outcome::Delivered.code();
    let sql = format!("SELECT count(*) AS n FROM messages WHERE author = 'bot' AND outcome = {code}");
    let delivered = || desk.number(&sql);
    let accepted = desk.number("SELECT count(*) AS n FROM messages WHERE author = 'bot' AND state = 'settled'");
    assert_eq!((accepted, delivered()), (2, 0));
    assert_eq!(page.post("ack", &json!({ "seq": 2 })).await.status, 204);
    assert_eq!(delivered(), 1, "as far as the widget shows");
    assert_eq!(page.post("ack", &json!({ "seq": 99 })).await.status, 204);
    assert_eq!(delivered(), 2);
    assert_eq!(page.post("ack", &json!({ "seq": 1 })).await.status, 204);
    assert_eq!(desk.number("SELECT acked_seq AS n FROM webchat_visitors"), 4, "it never takes that back");
}

#[actix_web::test]
async fn an_opt_out_is_acknowledged_when_no_reply_that_was_claimed_before_can_begin() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let bot = desk.published("Colours", COLOURS);
    desk.bot_meets(channel, bot);
    let page = desk.page(channel).known().await;
    assert_eq!(page.says("a", "Hello").await.status, 200);
    // A process claims what the bot answers, and then stands still.
    let now = desk.app.clock.now();
    let by = Claimer { process: uuid::Uuid::new_v4(), now };
    let claimed = desk.db(|conn| replies::claim(conn, channel, 10, by).unwrap());
    assert_eq!(claimed.len(), 1);
    let stops = async || {
        let began = Instant::now();
        let answer = page.says("b", "STOP").await;
        (answer.status, began.elapsed())
    };
    let (status, took) = stops().await;
    assert!(status == 200 && BEGIN_WITHIN <= took, "{status} after {took:?}");
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NOT NULL"), 1);
    let fate = Fate::Accepted { provider_ref: None };
    let settled = replies::SettledReply { id: claimed[0].id, attempt: claimed[0].attempt, fate };
    desk.db(|conn| replies::settle(conn, &[settled], now).unwrap());
    let (status, took) = stops().await;
    assert!(status == 200 && took < BEGIN_WITHIN, "told again: {status} after {took:?}");
}

#[actix_web::test]
async fn a_forged_old_or_foreign_token_opens_nothing() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    let good = page.token.clone();
    assert_eq!(page.get("messages").await.status, 200);

    let stranger = desk.page(channel);
    for door in ["messages", "stream"] {
        assert_eq!(stranger.get(door).await.status, 401, "{door} without a token");
    }
    assert_eq!(stranger.says("a", "Hello").await.status, 401);
    assert_eq!(stranger.post("ack", &json!({ "seq": 1 })).await.status, 401);
    let forged = Page { token: good.replacen(|c: char| c.is_ascii_digit(), "9", 1), ..desk.page(channel) };
    assert_eq!(forged.says("a", "Hello").await.status, 401);
    let (secret, other) = desk.db(|conn| {
        let setup = setups::find(conn, channel).unwrap();
        (setup.secret, ChannelId(setup.id + 1))
    });
    let now = desk.app.clock.now();
    let foreign = Page { token: domain::token(&secret, other, VisitorId(1), now), ..desk.page(channel) };
    assert_eq!(foreign.get("messages").await.status, 401);

    desk.at("2026-05-01 09:00");
    let told: Value = serde_json::from_str(&page.get("messages").await.html).unwrap();
    let renewed = Page { token: told["token"].as_str().unwrap().to_owned(), ..desk.page(channel) };
    desk.at("2026-06-01 09:00");
    assert_eq!(page.says("a", "Hello").await.status, 401, "91 days old");
    assert_eq!(renewed.says("a", "Hello").await.status, 200, "who comes by is known for longer");
    assert_eq!(desk.number("SELECT count(*) AS n FROM webchat_messages"), 1);
}

#[actix_web::test]
async fn only_the_sites_on_the_list_may_hold_the_widget() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    let answer = page.says("a", "Hello").await;
    assert_eq!(answer.headers.get("access-control-allow-origin").unwrap(), SHOP);
    let asks = |origin| {
        let request = TestRequest::default().method(actix_web::http::Method::OPTIONS);
        desk.send(request.uri(&format!("/webchat/{channel}/messages")).insert_header(("Origin", origin)))
    };
    let answer = asks(SHOP).await;
    assert_eq!(
        (answer.status, answer.headers.get("access-control-allow-origin").unwrap().as_bytes()),
        (204, SHOP.as_bytes())
    );

    for origin in ["https://evil.example", "http://shop.example", "https://shop.example.evil.example", "null", ""] {
        let elsewhere = Page { origin, token: page.token.clone(), ..desk.page(channel) };
        for answer in [
            elsewhere.post("visitors", &json!({})).await,
            elsewhere.says("b", "Hello").await,
            elsewhere.get("messages").await,
            elsewhere.get("stream").await,
            asks(origin).await,
        ] {
            assert_eq!(answer.status, 403, "{origin:?}");
            assert!(answer.headers.get("access-control-allow-origin").is_none());
        }
    }
    let nowhere = TestRequest::post().uri(&format!("/webchat/{channel}/visitors")).set_json(json!({}));
    assert_eq!(desk.send(nowhere).await.status, 403, "browsers always say where from");
    let other = desk.page(desk.channel);
    assert_eq!(other.get("widget.js").await.status, 404, "no web chat");
    assert_eq!(desk.number("SELECT count(*) AS n FROM webchat_messages"), 1);
}

#[actix_web::test]
async fn what_is_posted_twice_is_written_and_taken_in_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    let first = page.says("a-1", "  Hello <b>there</b>  ").await;
    desk.later(5);
    let again = page.says("a-1", "Hello").await;
    assert_eq!((first.status, &first.html), (200, &again.html));
    assert_eq!(page.shows("messages").await, [(1, "Hello <b>there</b>".to_owned())]);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages"), 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM conversations WHERE unanswered_since IS NOT NULL"), 1);
    let neighbour = desk.page(channel).known().await;
    assert_eq!(neighbour.says("a-1", "Hello").await.status, 200, "names are each visitor's own");
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages"), 2);
}

#[actix_web::test]
async fn a_part_that_is_sent_twice_stands_in_the_widget_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    page.says("a", "Hello").await;
    let setup = desk.db(|conn| setups::find(conn, channel).unwrap());
    let to = desk.db(|conn| bugle::webchat::store::find(conn, VisitorId(1)).unwrap().address);
    let part = |key: &str, to: &str| Envelope {
        key: SendKey::parse(key).unwrap(),
        to: to.into(),
        content: Content::Text("Hello back".into()),
        expires_at: desk.app.clock.now(),
    };
    use bugle::providers::SendOutcome::{Accepted, Rejected};
    let adapter = (desk.app.providers)(&setup);
    for _ in 0..2 {
        assert_eq!(adapter.send(&part("m7-1", &to), &|| true).await, Some(Accepted { provider_ref: None }));
    }
    assert_eq!(adapter.send(&part("m9-1", &to), &|| false).await, None, "held back at the last moment");
    assert_eq!(page.shows("messages").await, [(1, "Hello".to_owned()), (2, "Hello back".to_owned())]);
    assert!(matches!(adapter.send(&part("m8-1", "visitor-0"), &|| true).await, Some(Rejected { .. })));
}

#[actix_web::test]
async fn a_widget_that_was_away_is_given_exactly_what_it_missed() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    for n in 1..=5 {
        page.says(&format!("a-{n}"), &format!("Message {n}")).await;
    }
    let numbers = |lines: Vec<(i64, String)>| lines.into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(numbers(page.shows("messages?after=3").await), [4, 5]);
    assert_eq!(numbers(page.shows("messages?after=5").await), [] as [i64; 0]);

    let heard = |stream: &mut tokio::sync::mpsc::Receiver<actix_web::web::Bytes>| {
        let mut told = String::new();
        while let Ok(event) = stream.try_recv() {
            told += std::str::from_utf8(&event).unwrap();
        }
        told.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<i64>().ok()).collect::<Vec<_>>()
    };
    let lobby = &page.lobby;
    let mut one = lobby.enter(VisitorId(1), 3, None).unwrap();
    let mut other = lobby.enter(VisitorId(1), 0, None).unwrap();
    lobby.look().await.unwrap();
    assert_eq!((heard(&mut one), heard(&mut other)), (vec![4, 5], vec![1, 2, 3, 4, 5]));
    lobby.look().await.unwrap();
    assert_eq!(heard(&mut one), [] as [i64; 0], "once");
    page.says("a-6", "Message 6").await;
    lobby.look().await.unwrap();
    assert_eq!((heard(&mut one), heard(&mut other)), (vec![6], vec![6]));

    let stream = page.get("stream?after=2").await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers.get("content-encoding").unwrap(), "identity");
    assert_eq!(stream.headers.get("access-control-allow-origin").unwrap(), SHOP);
    lobby.stop();
    assert!(one.recv().await.is_none(), "streams end when the server shuts down");
}

#[actix_web::test]
async fn a_thousand_open_widgets_cost_one_question() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    desk.sql(&format!(
        "INSERT INTO webchat_visitors (channel_id, address, created_at, seen_at)
         SELECT {channel}, 'visitor-' || n, now(), now() FROM generate_series(1, 1000) n"
    ));
    let lobby = Lobby::new(desk.app.clone());
    let mut streams: Vec<_> = (1..=1000).map(|n| lobby.enter(VisitorId(n), 0, None).unwrap()).collect();
    let began = std::time::Instant::now();
    for _ in 0..10 {
        lobby.look().await.unwrap();
    }
    assert_eq!(lobby.looks(), 10);
    let each = began.elapsed() / 10;
    println!("a look at 1,000 quiet widgets: {each:?}");
    assert!(each < std::time::Duration::from_millis(500), "{each:?}");

    let setup = desk.db(|conn| setups::find(conn, channel).unwrap());
    let part = Envelope {
        key: SendKey::parse("m1-1").unwrap(),
        to: "visitor-700".into(),
        content: Content::said("Hello".into(), vec!["Yes".into()]),
        expires_at: desk.app.clock.now(),
    };
    (desk.app.providers)(&setup).send(&part, &|| true).await;
    lobby.look().await.unwrap();
    for (n, stream) in streams.iter_mut().enumerate() {
        assert_eq!(&stream.try_recv().unwrap()[..], b": open\n\n");
        assert_eq!(stream.try_recv().is_ok(), n == 699, "only who is written to hears it");
    }
}

#[actix_web::test]
async fn too_much_and_too_long_are_refused_in_words() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    let long = page.says("long", &"é".repeat(2049)).await;
    assert_eq!(long.status, 413);
    long.shows("Too long. Write it in several messages.");
    assert_eq!(page.says("fits", &"é".repeat(2048)).await.status, 200);
    for (id, text) in [("", "Hello"), ("a:b", "Hello"), ("empty", "   "), ("nul", "a\0b")] {
        assert_eq!(page.says(id, text).await.status, 422, "{id}");
    }
    assert_eq!(page.post("messages", &json!(["what"])).await.status, 422);

    for n in 2..=domain::A_MINUTE {
        assert_eq!(page.says(&format!("n-{n}"), "Hello").await.status, 200);
    }
    desk.later(15);
    let one_more = page.says("more", "Hello").await;
    assert_eq!((one_more.status, one_more.headers.get("retry-after").unwrap().as_bytes()), (429, &b"45"[..]));
    one_more.shows("Too many messages at once. It goes on in 45 s.");
    assert_eq!(page.says("fits", "again").await.status, 200, "what is told again is no more");
    desk.later(45);
    assert_eq!(page.says("more", "Hello").await.status, 200);

    // By where they come from: whoever makes up visitors gains nothing.
    let crowd = Page { peer: "192.0.2.77:5000", ..desk.page(channel) };
    for _ in 0..Knock::Visitor.a_minute() {
        assert_eq!(crowd.post("visitors", &json!({})).await.status, 201);
    }
    let one_more = crowd.post("visitors", &json!({})).await;
    assert_eq!((one_more.status, one_more.headers.get("retry-after").unwrap().as_bytes()), (429, &b"60"[..]));
    let elsewhere = Page { peer: "192.0.2.78:5000", ..crowd };
    assert_eq!(elsewhere.post("visitors", &json!({})).await.status, 201);
}

#[actix_web::test]
async fn the_script_carries_what_the_channel_says_and_its_page_the_line_to_copy() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let script = desk.page(channel).get("widget.js").await;
    assert_eq!(script.headers.get("content-type").unwrap(), "text/javascript; charset=utf-8");
    script.shows(r#""title":"Ask us""#);
    script.shows("--accent:#ffd400;--on-accent:#000000;--left:20px;--right:auto");
    assert!(script.html.len() < 15_000, "{} bytes", script.html.len());

    let page = desk.visit(&format!("/channels/{channel}")).await;
    page.shows(&format!("/webchat/{channel}/widget.js"));
    page.lacks("How the sandbox behaves");
    desk.visit(&format!("/channels/{}", desk.channel)).await.shows("How the sandbox behaves");
    let demo = desk.visit(&format!("/webchat/{channel}/demo")).await;
    demo.shows(&format!(r#"<script src="/webchat/{channel}/widget.js" async></script>"#));
    assert_eq!(desk.visit_as_stranger(&format!("/webchat/{channel}/demo")).await.status, 303);
    assert_eq!(desk.visit(&format!("/webchat/{}/demo", desk.channel)).await.status, 404);
}

#[actix_web::test]
async fn a_visitor_sends_a_file_and_reads_ours_where_its_address_stands() {
    const EDGE: &str = "----edge";
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let channel = desk.web_chat().await;
    let page = desk.page(channel).known().await;
    let bring = async |page: &Page<'_>, octets: &[u8]| {
        let mut body = format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n");
        body.push_str(&String::from_utf8_lossy(octets));
        body.push_str(&format!("\r\n--{EDGE}--\r\n"));
        let request = TestRequest::post().uri(&format!("/webchat/{channel}/media")).set_payload(body);
        page.send(request.insert_header(("Content-Type", format!("multipart/form-data; boundary={EDGE}")))).await
    };
    let stranger = desk.page(channel);
    assert_eq!(bring(&stranger, b"GIF89a--").await.status, 401);
    let answer = bring(&page, b"GIF89a--").await;
    assert_eq!(answer.status, 201, "{}", answer.html);
    assert!(answer.headers.contains_key("access-control-allow-origin"));
    let told: Value = serde_json::from_str(&answer.html).unwrap();
    assert_eq!(told["name"], "a.gif");
    bring(&page, b"MZ\0").await.shows("Programs are not taken");
    assert_eq!(bring(&page, &vec![b'x'; (5 << 20) + (65 << 10)]).await.status, 413);

    let said = json!({ "id": "one", "text": "", "file": told["key"] });
    for _ in 0..2 {
        assert_eq!(page.post("messages", &said).await.status, 200);
    }
    assert_eq!(page.shows("messages").await, [(1, "📎 a.gif".to_owned())]);
    let thread = format!("/inbox/{}", desk.number("SELECT max(id) AS n FROM conversations"));
    let shown = desk.visit(&thread).await;
    shown.shows("/a.gif");
    shown.shows("Waits for a human");
    assert_eq!(desk.number("SELECT count(*) AS n FROM message_media WHERE state = 'kept'"), 1);

    // One for which no message comes is forgotten after a day, and what was sent stays.
    bring(&page, b"GIF89a--").await;
    fetcher::forget_strays(&desk.app).await.unwrap();
    assert_eq!(desk.number("SELECT count(*) AS n FROM media"), 2);
    desk.later(24 * 3600 + 60);
    fetcher::forget_strays(&desk.app).await.unwrap();
    assert_eq!(desk.number("SELECT count(*) AS n FROM media"), 1);
}
