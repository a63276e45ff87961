//! Messenger and Viber: chats of which a provider tells by its own names, by the person, or not at all. The other side
//! is played here, over HTTP, and signs its calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use actix_web::test::TestRequest;
use bugle::campaigns::inbound::InboundPlan;
use bugle::deliveries::{Outcome, Show, Standing};
use bugle::engine::rescuer;
use bugle::ids::{ChannelId, RunId};
use bugle::pacing::LatePolicy;
use bugle::providers::ProviderName;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::http::Hook;
use bugle::providers::meta::messenger::{Messenger, MessengerParts};
use bugle::providers::viber::{Viber, ViberParts};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, until};
use crate::gateways::Gateway;

const SURVEY: &str = r##"[
  {"id": "a", "name": "Ask", "do": "ask", "text": "Which colour?", "accept": {"kind": "choices", "choices": [{"value": "Red"}, {"value": "Blue"}]}, "store": "colour"},
  {"id": "z", "name": "Bye", "do": "close", "text": "So it is #colour."}]"##;

fn signature(secret: &str, body: &str) -> String {
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Desk {
    /// A call at the desk's channel.
    async fn is_called_with(&self, header: (&str, String), body: &str) -> Answer {
        let path = format!("/webhooks/{}", self.channel);
        self.send(TestRequest::post().uri(&path).insert_header(header).set_payload(body.to_owned())).await
    }

    /// A campaign that starts now and sends to these people of the kind.
    async fn chat_campaign(&self, kind: &str, name: &str, to: &[&str]) -> RunId {
        let to: Vec<String> = to.iter().map(|it| (*it).to_owned()).collect();
        let file = self.file(&to);
        let contacts = format!(
            "INSERT INTO contacts (kind, address) SELECT '{kind}', address FROM contacts WHERE kind = 'sms' ON CONFLICT DO NOTHING"
        );
        let rows = format!(
            "UPDATE file_rows r SET contact_id = c.id FROM contacts c WHERE c.kind = '{kind}' AND c.address = r.address"
        );
        for sql in [
            &*contacts,
            &*rows,
            "DELETE FROM contacts WHERE kind = 'sms'",
            &format!("UPDATE files SET kind = '{kind}'"),
        ] {
            self.sql(sql);
        }
        let now = self.app.clock.now();
        let window = format!("{}-18:00", now.format("%H:%M"));
        let (.., run) = self.campaign_of(name, file, &window, 6_000.0, LatePolicy::CatchUp).await;
        self.later(1);
        run
    }

    fn delivered(&self, run: RunId) -> usize {
        self.ledger(run, Show::Outcome(Outcome::Delivered)).len()
    }

    fn read(&self, run: RunId) -> usize {
        self.ledger(run, Show::Delivered).iter().filter(|it| it.standing == Standing::Read).count()
    }

    fn parked(&self) -> i64 {
        self.number("SELECT count(*) AS n FROM parked_receipts")
    }

    fn written(&self) -> Vec<String> {
        self.lines("SELECT body AS line FROM messages WHERE author = 'contact' ORDER BY id")
    }
}

/// The body of a request that a gateway got.
fn body_of(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n{").map_or(request, |(_, rest)| rest).trim())
        .or_else(|_| serde_json::from_str(&request[request.find('{').unwrap()..]))
        .unwrap()
}

// ---- Messenger ------------------------------------------------------------------------

const ANNA: &str = "7000000000000001";
const BEN: &str = "7000000000000002";

/// A desk with two pages of one app, the first of which campaigns leave through, and whoever plays Graph.
async fn with_messenger() -> (Desk, Gateway) {
    let (mut desk, graph) = (Desk::open_at("2026-03-02 09:00").await, Gateway::open());
    for (name, page) in [("First", "111000111000111"), ("Second", "111000111000112")] {
        let fields = [
            ("kind", "messenger"),
            ("provider", "messenger"),
            ("name", name),
            ("sender", "Bugle"),
            ("page_id", page),
            ("app_id", "909090909090901"),
            ("api_version", "v25.0"),
            ("access_token", "t0ken"),
            ("app_secret", "app-s3cret"),
            ("verify_token", "our word"),
        ];
        let added = desk.fill_in("/channels", &fields).await;
        assert_eq!(added.status, 303, "{}", added.html);
    }
    desk.channel = ChannelId(desk.number("SELECT min(id) AS n FROM channels WHERE provider = 'messenger'"));
    let api = graph.url.trim_end_matches("/send").to_owned();
    let (usual, settings) = (desk.app.providers.clone(), desk.app.settings.clone());
    let (caller, clock) = (Arc::new(Caller::new(settings.internal_gateways.clone())), desk.app.clock.clone());
    desk.sends_through(Arc::new(move |setup| match setup.provider {
        ProviderName::Messenger => {
            let credentials = Credentials::open(setup.credentials.as_deref(), &settings.keyring).unwrap();
            let its = serde_json::from_value(setup.settings.clone()).unwrap();
            let parts = MessengerParts { api: api.clone(), ..MessengerParts::new(its, credentials) };
            Arc::new(Messenger::new(parts, caller.clone(), clock.clone()))
        }
        _ => usual(setup),
    }));
    graph.answers(taken);
    (desk, graph)
}

/// What Graph answers, with a name that says which send it is.
fn taken(request: &str) -> Option<String> {
    let body = body_of(request);
    let key = body["message"]["metadata"].as_str().unwrap_or_default().to_owned();
    Some(json!({ "recipient_id": body["recipient"]["id"], "message_id": format!("m_{key}") }).to_string())
}

/// Something that happens between a person and a page, as Meta tells it.
async fn page_tells(desk: &Desk, page: &str, whom: &str, what: Value) {
    let mut it = json!({ "sender": { "id": whom }, "recipient": { "id": page }, "timestamp": desk.app.clock.now().timestamp_millis() });
    it.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    let body = json!({ "object": "page", "entry": [{ "id": page, "messaging": [it] }] }).to_string();
    let header = ("X-Hub-Signature-256", format!("sha256={}", signature("app-s3cret", &body)));
    let answer = desk.is_called_with(header, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.html);
}

async fn tells(desk: &Desk, whom: &str, what: Value) {
    page_tells(desk, "111000111000111", whom, what).await;
}

async fn echoes(desk: &Desk, to: &str, key: &str, app: u64) {
    let message =
        json!({ "mid": format!("m_{key}"), "is_echo": true, "app_id": app, "metadata": key, "text": "Hello" });
    let what = json!({ "sender": { "id": "111000111000111" }, "recipient": { "id": to }, "message": message });
    tells(desk, to, what).await;
}

#[actix_web::test]
async fn a_campaign_leaves_through_messenger_and_an_echo_settles_what_nobody_answered() {
    let (desk, graph) = with_messenger().await;
    graph.answers(|request| if request.contains(ANNA) { taken(request) } else { None });
    let run = desk.chat_campaign("messenger", "Spring", &[ANNA, BEN]).await;
    desk.tick().await;
    let seen = graph.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    for request in &seen {
        assert!(request.starts_with("POST /v25.0/111000111000111/messages "), "{request}");
        assert!(request.contains("Bearer t0ken") && !request.to_lowercase().contains("tag"), "{request}");
        assert_eq!(body_of(request)["messaging_type"], "UPDATE");
    }
    assert_eq!((desk.counts(run).accepted, desk.counts(run).unconfirmed), (1, 1));

    // What another app wrote, under a name that could be ours, settles nothing.
    echoes(&desk, BEN, &format!("{run}-2-1"), 263902037430900).await;
    assert_eq!(desk.counts(run).unconfirmed, 1);
    for key in [format!("{run}-1-1"), format!("{run}-2-1")] {
        echoes(&desk, &key, &key, 909090909090901).await;
    }
    assert_eq!((desk.counts(run).accepted, desk.counts(run).unconfirmed), (2, 0));
    assert!(
        desk.written().is_empty() && graph.seen().len() == 2,
        "an echo is said by nobody, and nothing is sent twice"
    );

    // From then on it is told of by Meta's name alone.
    let delivery = json!({ "delivery": { "mids": [format!("m_{run}-2-1"), "m_of_somebody_else"] } });
    tells(&desk, BEN, delivery).await;
    assert_eq!((desk.delivered(run), desk.parked()), (1, 0), "and what is of nobody here is not kept");
    desk.check_counts();
}

#[actix_web::test]
async fn what_had_left_for_somebody_by_an_instant_arrived_and_nothing_else() {
    let (desk, graph) = with_messenger().await;
    let outside = r#"400 {"error":{"message":"(#10) outside of allowed window","code":10,"error_subcode":2018278}}"#;
    graph.answers(|request| if request.contains(BEN) { Some(outside.to_owned()) } else { taken(request) });
    let first = desk.chat_campaign("messenger", "First", &[ANNA, BEN]).await;
    desk.tick().await;
    let closed = desk.ledger(first, Show::Outcome(Outcome::WindowClosed));
    assert_eq!(closed.len(), 1, "only with this person");
    desk.later(60);
    graph.answers(|_| None);
    let lost = desk.chat_campaign("messenger", "Lost", &[ANNA]).await;
    desk.tick().await;
    desk.later(60);
    graph.answers(taken);
    let second = desk.chat_campaign("messenger", "Second", &[ANNA]).await;
    desk.tick().await;
    let by = desk.app.clock.now();
    desk.later(60);
    let third = desk.chat_campaign("messenger", "Third", &[ANNA]).await;
    desk.tick().await;

    let up_to = |what: &str, at: chrono::DateTime<chrono::Utc>| json!({ what: { "watermark": at.timestamp_millis() } });
    let all = |desk: &Desk| [first, second, third, lost].map(|run| desk.delivered(run));
    tells(&desk, ANNA, up_to("delivery", by)).await;
    assert_eq!(all(&desk), [1, 1, 0, 0]);
    tells(&desk, ANNA, up_to("read", by)).await;
    tells(&desk, BEN, up_to("read", desk.app.clock.now())).await;
    assert_eq!(all(&desk), [1, 1, 0, 0], "told again, and of one who was refused");
    let read = |desk: &Desk| [first, second, third, lost].map(|run| desk.read(run));
    assert_eq!(read(&desk), [1, 1, 0, 0]);
    page_tells(&desk, "111000111000112", ANNA, up_to("read", desk.app.clock.now())).await;
    assert_eq!(all(&desk), [1, 1, 0, 0], "of another page");
    tells(&desk, ANNA, up_to("read", desk.app.clock.now())).await;
    assert_eq!(all(&desk), [1, 1, 1, 0]);
    // What got no answer may never have come to Meta.
    assert_eq!((desk.parked(), desk.counts(lost).unconfirmed), (0, 1));
    desk.check_counts();
}

#[actix_web::test]
async fn what_is_told_of_a_send_before_its_answer_is_written_waits_for_that() {
    let (desk, graph) = with_messenger().await;
    let (is_asked, (go_on, wait)) = (Arc::new(AtomicBool::new(false)), mpsc::channel::<()>());
    let (asked, wait) = (is_asked.clone(), Mutex::new(wait));
    graph.answers(move |request| {
        asked.store(true, Ordering::SeqCst);
        wait.lock().unwrap().recv().ok()?;
        taken(request)
    });
    let run = desk.chat_campaign("messenger", "Spring", &[ANNA]).await;
    let told = async {
        until("it is on the wire", || is_asked.load(Ordering::SeqCst)).await;
        let watermark = desk.app.clock.now().timestamp_millis();
        tells(&desk, ANNA, json!({ "delivery": { "mids": [format!("m_{run}-1-1")], "watermark": watermark } })).await;
        assert_eq!((desk.delivered(run), desk.parked()), (0, 2));
        go_on.send(()).unwrap();
    };
    tokio::join!(desk.dispatch(), told);
    assert_eq!(desk.counts(run).accepted, 1);
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!((desk.delivered(run), desk.parked()), (1, 0));
    desk.check_counts();
}

#[actix_web::test]
async fn people_write_to_a_page_and_a_bot_answers_with_quick_replies() {
    let (desk, graph) = with_messenger().await;
    let bot = desk.published("Survey", SURVEY);
    desk.inbound("Desk", bot, &InboundPlan::default());
    tells(&desk, ANNA, json!({ "message": { "mid": "m1", "text": "hello" } })).await;
    tells(&desk, ANNA, json!({ "message": { "mid": "m1", "text": "hello" } })).await;
    desk.tick().await;
    let asked = body_of(&graph.seen()[0]);
    assert_eq!((&asked["messaging_type"], &asked["recipient"]["id"]), (&json!("RESPONSE"), &json!(ANNA)));
    let offered = asked["message"]["quick_replies"].as_array().unwrap();
    let titles: Vec<&str> = offered.iter().map(|it| it["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Red", "Blue"]);

    // It has been read, and a button is pressed; nobody answers the thread of another app, or ourselves.
    desk.later(1);
    tells(&desk, ANNA, json!({ "read": { "watermark": desk.app.clock.now().timestamp_millis() } })).await;
    assert_eq!(desk.lines("SELECT concat(progress, ' ', outcome) AS line FROM messages WHERE author = 'bot'"), ["3 0"]);
    let pressed = json!({ "message": { "mid": "m2", "text": "Blue", "quick_reply": { "payload": "Blue" } } });
    tells(&desk, ANNA, pressed).await;
    tells(&desk, ANNA, json!({ "reaction": { "mid": "m1", "action": "react", "emoji": "x" } })).await;
    tells(&desk, ANNA, json!({ "optin": { "ref": "x" } })).await;
    echoes(&desk, ANNA, "a name of theirs", 1).await;
    page_tells(&desk, "111000111000112", ANNA, json!({ "message": { "mid": "m3", "text": "to the second" } })).await;
    page_tells(&desk, "111000111000119", ANNA, json!({ "message": { "mid": "m4", "text": "to nobody" } })).await;
    desk.tick().await;
    assert_eq!(desk.written(), ["hello", "Blue", "to the second"]);
    assert_eq!(body_of(&graph.seen()[1])["message"]["text"], "So it is Blue.");
    assert_eq!(graph.seen().len(), 2);

    graph.answers(|_| Some(r#"{"name":"The shop","id":"111000111000111"}"#.to_owned()));
    let page = format!("/channels/{}", desk.channel);
    let checked = desk.submit(&format!("{page}/check")).await;
    desk.lands(checked).await.shows("The page is “The shop”.");
    let shown = desk.visit(&page).await;
    for step in ["message_echoes", &*format!("/webhooks/{}", desk.channel), "At most once"] {
        shown.shows(step);
    }
    shown.lacks("app-s3cret");
}

// ---- Viber ----------------------------------------------------------------------------

const CARA: &str = "xy5/5y6O81+/kbWHpLhBoA==";
const DAN: &str = "01234567890A=";
const EVE: &str = "aB3/5y6O81+/kbWHpLhBoA==";

/// A desk whose campaigns leave through a bot, and whoever plays Viber.
async fn with_viber() -> (Desk, Gateway) {
    let (mut desk, viber) = (Desk::open_at("2026-03-02 09:00").await, Gateway::open());
    let fields = [
        ("kind", "viber"),
        ("provider", "viber"),
        ("name", "Viber"),
        ("sender", "Bugle"),
        ("auth_token", "t0ken"),
        ("welcome", "Welcome! Write to begin."),
    ];
    let added = desk.fill_in("/channels", &fields).await;
    assert_eq!(added.status, 303, "{}", added.html);
    desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'viber'"));
    let api = viber.url.trim_end_matches("/send").to_owned();
    let (usual, settings) = (desk.app.providers.clone(), desk.app.settings.clone());
    let (caller, clock) = (Arc::new(Caller::new(settings.internal_gateways.clone())), desk.app.clock.clone());
    desk.sends_through(Arc::new(move |setup| match setup.provider {
        ProviderName::Viber => {
            let credentials = Credentials::open(setup.credentials.as_deref(), &settings.keyring).unwrap();
            let hook = Hook { url: format!("https://bugle.example/webhooks/{}", setup.id), is_public: true };
            let its = serde_json::from_value(setup.settings.clone()).unwrap();
            let parts = ViberParts { sender: setup.sender.clone(), settings: its, credentials, hook, api: api.clone() };
            Arc::new(Viber::new(parts, caller.clone(), clock.clone()))
        }
        _ => usual(setup),
    }));
    viber.answers(|request| Some(token_of(request)));
    (desk, viber)
}

/// What Viber answers: a token above what a floating-point number holds, by the person.
fn token_of(request: &str) -> String {
    let n = [CARA, DAN, EVE].iter().position(|it| body_of(request)["receiver"] == *it).unwrap();
    format!(r#"{{"status":0,"status_message":"ok","message_token":498738119403885778{n}}}"#)
}

/// Viber calls, and is answered.
async fn viber_tells(desk: &Desk, event: &str, token: u64, what: Value) -> Answer {
    let mut it =
        json!({ "event": event, "timestamp": desk.app.clock.now().timestamp_millis(), "message_token": token });
    it.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    let body = it.to_string();
    let answer = desk.is_called_with(("X-Viber-Content-Signature", signature("t0ken", &body)), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.html);
    answer
}

async fn told_of(desk: &Desk, event: &str, token: u64, whom: &str) {
    viber_tells(desk, event, token, json!({ "user_id": whom })).await;
}

async fn writes(desk: &Desk, token: u64, whom: &str, text: &str) {
    let what = json!({ "sender": { "id": whom, "name": "Cara" }, "message": { "type": "text", "text": text } });
    viber_tells(desk, "message", token, what).await;
}

/// Whoever plays Viber hangs up on these people.
fn hangs_up_on(viber: &Gateway, them: &'static [&'static str]) {
    viber.answers(move |request| {
        let receiver = body_of(request)["receiver"].clone();
        (!them.iter().any(|it| receiver == *it)).then(|| token_of(request))
    });
}

#[actix_web::test]
async fn a_campaign_leaves_through_viber_and_a_token_that_nobody_knows_is_of_the_one_that_is_unconfirmed() {
    let (desk, viber) = with_viber().await;
    hangs_up_on(&viber, &[EVE]);
    let run = desk.chat_campaign("viber", "Spring", &[CARA, DAN, EVE]).await;
    desk.tick().await;
    let seen = viber.seen();
    assert_eq!(seen.len(), 3);
    let first = seen.iter().find(|it| it.contains(CARA)).expect("its id goes out letter by letter");
    assert!(first.starts_with("POST /pa/send_message ") && first.to_lowercase().contains("x-viber-auth-token: t0ken"));
    let body = body_of(first);
    assert_eq!((&body["sender"]["name"], &body["tracking_data"]), (&json!("Bugle"), &json!(format!("{run}-1-1"))));
    assert_eq!((desk.counts(run).accepted, desk.counts(run).unconfirmed), (2, 1));

    told_of(&desk, "delivered", 4_987_381_194_038_857_780, CARA).await;
    viber_tells(&desk, "failed", 4_987_381_194_038_857_781, json!({ "user_id": DAN, "desc": "no such keyboard" }))
        .await;
    assert_eq!((desk.delivered(run), desk.counts(run).failed, desk.parked()), (1, 1, 0));

    // It is told that her own message arrived, before and after that message itself: neither is news of a send.
    told_of(&desk, "delivered", 71, EVE).await;
    writes(&desk, 71, EVE, "hello").await;
    told_of(&desk, "delivered", 71, EVE).await;
    desk.later(31);
    desk.tick().await;
    assert_eq!((desk.counts(run).unconfirmed, desk.parked(), desk.written().len()), (1, 0, 1));

    // Another token: it can be of no other send.
    told_of(&desk, "delivered", 4_987_381_194_038_857_789, EVE).await;
    desk.tick().await;
    assert_eq!((desk.counts(run).unconfirmed, desk.parked()), (1, 1), "a message of hers could still be told");
    desk.later(31);
    desk.tick().await;
    assert_eq!((desk.counts(run).unconfirmed, desk.delivered(run), desk.parked()), (0, 2, 0));
    told_of(&desk, "seen", 4_987_381_194_038_857_789, EVE).await;
    for strange in [81, 82, 83] {
        told_of(&desk, "seen", strange, EVE).await;
    }
    assert_eq!(desk.parked(), 0, "what can be of nothing is not kept");
    assert_eq!(viber.seen().len(), 3, "nothing is sent twice");
    desk.check_counts();
}

#[actix_web::test]
async fn of_two_unconfirmed_messages_to_somebody_a_strange_token_settles_neither() {
    let (desk, viber) = with_viber().await;
    hangs_up_on(&viber, &[EVE, DAN]);
    let first = desk.chat_campaign("viber", "First", &[EVE, CARA, DAN]).await;
    desk.tick().await;
    let second = desk.chat_campaign("viber", "Second", &[EVE]).await;
    desk.tick().await;
    told_of(&desk, "delivered", 90, EVE).await;
    // Of somebody to whom nothing is unconfirmed.
    told_of(&desk, "delivered", 91, CARA).await;
    assert_eq!(desk.parked(), 0);
    // A test message to one's own phone is of no campaign, and known.
    viber.answers(|request| Some(token_of(request)));
    let tried = desk.fill_in(&format!("/channels/{}/test", desk.channel), &[("to", DAN), ("text", "Hello")]).await;
    desk.lands(tried).await.shows("The provider took it, as 4987381194038857781.");
    told_of(&desk, "delivered", 4_987_381_194_038_857_781, DAN).await;
    desk.later(31);
    desk.tick().await;
    let counts = [first, second].map(|run| desk.counts(run).unconfirmed);
    assert_eq!((counts, desk.delivered(first), desk.parked()), ([2, 1], 0, 0));
}

#[actix_web::test]
async fn people_come_and_go_on_viber_and_only_a_message_is_answered() {
    let (desk, viber) = with_viber().await;
    let bot = desk.published("Survey", SURVEY);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let user = json!({ "user": { "id": DAN, "name": "Dan" }, "subscribed": false, "context": "flyer" });
    let welcomed = viber_tells(&desk, "conversation_started", 1, user.clone()).await;
    let welcome: Value = serde_json::from_str(&welcomed.html).unwrap();
    assert_eq!((&welcome["text"], &welcome["sender"]["name"]), (&json!("Welcome! Write to begin."), &json!("Bugle")));
    assert!(!welcomed.html.contains("t0ken"));
    viber_tells(&desk, "webhook", 2, json!({})).await;
    viber_tells(&desk, "client_status", 3, json!({ "user": { "id": DAN } })).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts"), 0, "nobody has agreed to anything");

    writes(&desk, 4, CARA, "hello").await;
    desk.tick().await;
    let asked = body_of(&viber.seen()[0]);
    let buttons = asked["keyboard"]["Buttons"].as_array().unwrap();
    let titles: Vec<&str> = buttons.iter().map(|it| it["ActionBody"].as_str().unwrap()).collect();
    assert_eq!((titles, &asked["receiver"]), (vec!["Red", "Blue"], &json!(CARA)));
    writes(&desk, 5, CARA, "Blue").await;
    desk.tick().await;
    assert_eq!(body_of(&viber.seen()[1])["text"], "So it is Blue.");
    assert_eq!(desk.lines("SELECT address AS line FROM contacts"), [CARA]);
    desk.visit("/contacts").await.lacks(&format!("+{CARA}"));

    // She leaves, comes back, and leaves.
    let out = |desk: &Desk| desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NOT NULL");
    told_of(&desk, "unsubscribed", 6, CARA).await;
    told_of(&desk, "unsubscribed", 6, CARA).await;
    assert_eq!((out(&desk), desk.number("SELECT count(*) AS n FROM consent_changes")), (1, 1));
    viber_tells(&desk, "subscribed", 7, json!({ "user": { "id": CARA } })).await;
    assert_eq!((out(&desk), desk.number("SELECT count(*) AS n FROM consent_changes")), (0, 2));

    // Viber says it of somebody whom we write to.
    viber.answers(|_| Some(r#"{"status":6,"status_message":"notSubscribed","message_token":8}"#.to_owned()));
    let run = desk.chat_campaign("viber", "Spring", &[DAN]).await;
    desk.tick().await;
    assert_eq!((out(&desk), desk.ledger(run, Show::Outcome(Outcome::OptedOut)).len()), (1, 1));

    // Whoever signs with another token is nobody.
    let forged = desk.is_called_with(("X-Viber-Content-Signature", signature("other", "{}")), "{}").await;
    assert_eq!(forged.status, 401);
}

#[actix_web::test]
async fn viber_is_told_our_address_by_a_button_and_says_who_the_bot_is() {
    let (desk, viber) = with_viber().await;
    let page = format!("/channels/{}", desk.channel);
    desk.visit(&page).await.shows("Tell Viber our address");
    viber.answers(|_| Some(r#"{"status":0,"status_message":"ok","event_types":["delivered"]}"#.to_owned()));
    let told = desk.submit(&format!("{page}/tell-address")).await;
    let address = format!("https://bugle.example/webhooks/{}", desk.channel);
    desk.lands(told).await.shows(&format!("Viber knows our address now: {address}."));
    let request = &viber.seen()[0];
    assert!(request.starts_with("POST /pa/set_webhook ") && body_of(request)["url"] == address, "{request}");
    for event in ["delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"] {
        assert!(body_of(request)["event_types"].as_array().unwrap().contains(&json!(event)), "{event}");
    }
    viber.answers(|_| Some(r#"{"status":2,"status_message":"invalidAuthToken"}"#.to_owned()));
    let told = desk.submit(&format!("{page}/tell-address")).await;
    desk.lands(told).await.shows("Not told: Viber does not know this token.");
    viber.answers(|_| {
        Some(r#"{"status":0,"name":"Bugle","subscribers_count":35,"webhook":"https://old.example/viber"}"#.to_owned())
    });
    let checked = desk.submit(&format!("{page}/check")).await;
    desk.lands(checked)
        .await
        .shows("with 35 subscribers. It calls https://old.example/viber, which is not this channel.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE why LIKE '%asked to call%'"), 2);

    // Elsewhere there is nothing to tell.
    let other = desk.number("SELECT min(id) AS n FROM channels");
    let told = desk.submit(&format!("/channels/{other}/tell-address")).await;
    desk.lands(told).await.shows("Nothing to tell");

    let long = [
        ("kind", "viber"),
        ("provider", "viber"),
        ("name", "Other"),
        ("sender", "A name of far too many letters"),
        ("welcome", "Hi"),
    ];
    let refused = desk.fill_in("/channels", &long).await;
    assert_eq!(refused.status, 422);
    for shown in ["sender-error", "auth_token-error", "\nHi</textarea>"] {
        refused.shows(shown);
    }
}
