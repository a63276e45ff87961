//! Channels that send through an account somewhere else: added, tried, sent through, called back, and their
//! credentials kept.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use bugle::deliveries::{Outcome, Show, Standing};
use bugle::engine::rescuer;
use bugle::ids::ChannelId;
use bugle::keyring::Keyring;
use bugle::pacing::LatePolicy;
use bugle::providers::ProviderName;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::meta::whatsapp::{Whatsapp, WhatsappParts};

use crate::desk::{Answer, Desk, phones};

/// How a request that it got is answered, with 200 unless `400 `, `429 ` or `500 ` stands before it; `None`: it hangs up.
pub type Answers = Box<dyn Fn(&str) -> Option<String> + Send>;

/// A gateway of somebody else, and what it was asked.
pub struct Gateway {
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Gateway {
    pub fn open() -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/send", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(|_| Some("OK 77".to_owned()))));
        let gateway = Gateway { url, seen: seen.clone(), answers: answers.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), seen, answers) = (stream, seen.clone(), answers.clone()) else { return };
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = read(&mut reader) {
                        let answer = (answers.lock().unwrap())(&request);
                        seen.lock().unwrap().push(request);
                        let Some(answer) = answer else { return };
                        let refusals =
                            [("400 ", "400 Bad Request"), ("429 ", "429 Too Many Requests"), ("500 ", "500 Oh Dear")];
                        let refused = refusals.iter().find_map(|(it, says)| Some((*says, answer.strip_prefix(it)?)));
                        let (status, answer) = refused.unwrap_or(("200 OK", answer.as_str()));
                        let n = answer.len();
                        let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {n}\r\n\r\n{answer}");
                    }
                });
            }
        });
        gateway
    }

    pub fn answers(&self, how: impl Fn(&str) -> Option<String> + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(how);
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request: its first line, its headers and its body. `None`: the other side has hung up.
fn read(reader: &mut impl BufRead) -> Option<String> {
    let (mut head, mut long) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            long = n.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; long];
    reader.read_exact(&mut body).ok()?;
    Some(format!("{head}{}", String::from_utf8_lossy(&body)))
}

/// The form of a gateway that somebody describes.
fn described<'a>(url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("kind", "sms"),
        ("provider", "http"),
        ("preset", "custom"),
        ("name", "Gateway"),
        ("sender", "Bugle"),
        ("per_minute", ""),
        ("url", url),
        ("method", "POST"),
        ("content", "form"),
        ("headers", "X-Key: {{api_key}}"),
        ("body", "id={{id}}&to={{to}}&text={{text}}"),
        ("accepted", "body matches ^OK (\\d+)"),
        ("rejected", "body matches ^ERROR:(\\d+)"),
        ("id_at", "body matches ^OK (\\d+)"),
        ("codes", "13 = bad-number\n14 = credentials\n15 = opted-out"),
        ("otherwise", "unknown-fate"),
        ("signed", "address"),
        ("ask_api_key", "t0p-s3cret"),
    ];
    for (name, value) in more {
        fields.retain(|(it, _)| it != name);
        fields.push((name, value));
    }
    fields
}

/// A desk whose campaigns go through a gateway.
pub async fn with_gateway(more: &[(&str, &str)]) -> (Desk, Gateway) {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let gateway = Gateway::open();
    let added = desk.fill_in("/channels", &described(&gateway.url, more)).await;
    assert_eq!(added.status, 303, "{}", added.html);
    desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'http'"));
    (desk, gateway)
}

impl Desk {
    /// The gateway calls the channel's address.
    pub async fn is_called(&self, rest: &str) -> Answer {
        let token = self.lines(&format!("SELECT secret AS line FROM channels WHERE id = {}", self.channel)).remove(0);
        let uri = format!("/webhooks/{}/{token}{rest}", self.channel);
        self.send(TestRequest::get().uri(&uri)).await
    }

    fn outcomes(&self, run: bugle::ids::RunId) -> Vec<String> {
        self.lines(&format!(
            "SELECT concat(seq, ' ', progress, ' ', outcome, ' ', detail) AS line FROM deliveries WHERE run_id = {run} ORDER BY seq"
        ))
    }
}

#[actix_web::test]
async fn a_campaign_leaves_through_a_gateway_and_what_it_tells_reaches_the_ledger() {
    let (desk, gateway) = with_gateway(&[]).await;
    // Its name for a message is the last digit of ours and a hundred.
    gateway.answers(|request| {
        let seq = ["-1-1&", "-2-1&", "-3-1&"].iter().position(|it| request.contains(it))?;
        Some(format!("OK {}", 101 + seq))
    });
    let (.., run) = desk.campaign("Spring", 3, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    let seen = gateway.seen();
    assert_eq!(seen.len(), 3);
    let first = seen.iter().find(|it| it.contains(&format!("id={run}-1-1&"))).expect("our name goes with it");
    assert!(first.starts_with("POST /send ") && first.to_lowercase().contains("x-key: t0p-s3cret"), "{first}");
    assert!(first.contains(&format!("to=%2B{}&", phones(1)[0])), "{first}");

    // By our name for it, by theirs, twice, out of order, and of none that is ours.
    for call in ["/delivered?id=103", &format!("/delivered?id={run}-1-1"), &format!("/sent?id={run}-1-1")] {
        assert_eq!(desk.is_called(call).await.status, 200, "{call}");
    }
    for call in [&format!("/failed?id={run}-2-1&code=13"), "/status?id=99&status=delivered", "/nonsense", "/status"] {
        assert_eq!(desk.is_called(call).await.status, 200, "{call}");
    }
    let (outcomes, code) = (desk.outcomes(run), |outcome: Outcome| format!(" {} ", outcome.code()));
    for (n, outcome) in [Outcome::Delivered, Outcome::Invalid, Outcome::Delivered].into_iter().enumerate() {
        assert!(outcomes[n].contains(&code(outcome)), "{outcomes:?}");
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM channels WHERE called_at IS NOT NULL"), 1);
    desk.check_counts();

    // Who does not know the address says nothing.
    for path in [
        format!("/webhooks/{}/delivered?id={run}-3-1", desk.channel),
        format!("/webhooks/{}/{}/delivered", desk.channel, "0".repeat(32)),
    ] {
        assert_eq!(desk.send(TestRequest::get().uri(&path)).await.status, 401, "{path}");
    }
}

#[actix_web::test]
async fn what_got_no_answer_is_unconfirmed_asked_once_and_settled_by_what_is_told() {
    let (desk, gateway) = with_gateway(&[]).await;
    gateway.answers(|_| None);
    let (.., run) = desk.campaign("Spring", 2, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    desk.later(60);
    desk.tick().await;
    assert_eq!(gateway.seen().len(), 2, "each once");
    assert_eq!(desk.counts(run).unconfirmed, 2);
    desk.is_called(&format!("/delivered?id={run}-2-1")).await;
    assert_eq!((desk.counts(run).unconfirmed, desk.ledger(run, Show::Outcome(Outcome::Delivered)).len()), (1, 1));
    desk.check_counts();
}

#[actix_web::test]
async fn only_where_the_gateway_knows_a_key_again_it_is_asked_again_under_the_same_one() {
    let (desk, gateway) = with_gateway(&[("honours_key", "yes"), ("repeats", "yes")]).await;
    let n = Mutex::new(0);
    gateway.answers(move |_| {
        let mut n = n.lock().unwrap();
        *n += 1;
        (*n > 1).then(|| "OK 78".to_owned())
    });
    let (.., run) = desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    for _ in 0..8 {
        desk.later(2);
        desk.tick().await;
    }
    let seen = gateway.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    let key = format!("idempotency-key: {run}-1");
    assert!(seen.iter().all(|it| it.to_lowercase().lines().any(|line| line == key)), "{seen:?}");
    assert_eq!((desk.counts(run).unconfirmed, desk.counts(run).accepted), (0, 1));
}

#[actix_web::test]
async fn a_refusal_says_whose_fault_it_is_and_our_own_burns_nobody() {
    let (desk, gateway) = with_gateway(&[]).await;
    let to = phones(4);
    gateway.answers(|request| {
        let code = if request.contains("-1-1&") { 13 } else { 15 };
        Some(format!("ERROR:{code}"))
    });
    let (.., run) = desk.campaign_to("Spring", &to[..2], "09:00-11:00", 6_000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    let outcomes = desk.outcomes(run);
    let code = |outcome: Outcome| format!(" {} ", outcome.code());
    assert!(outcomes[0].contains(&code(Outcome::Invalid)), "{outcomes:?}");
    assert!(outcomes[1].contains(&code(Outcome::OptedOut)), "{outcomes:?}");
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NOT NULL"), 1);

    // The account: it waits, and goes on when that is well again.
    gateway.answers(|_| Some("ERROR:14".to_owned()));
    let (.., run) = desk.campaign_to("Summer", &to[2..], "09:00-11:00", 6_000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    let asked = gateway.seen().len();
    desk.later(10);
    desk.tick().await;
    assert_eq!(gateway.seen().len(), asked, "nothing more is burnt on it");
    let says = "the provider refuses our account, our sender or a permission (14)";
    desk.visit("/channels").await.shows(says);
    let waits = format!("Gateway waits: {says}");
    desk.visit("/campaigns").await.shows(&waits);
    desk.visit(&format!("/channels/{}", desk.channel)).await.shows("it goes on");
    gateway.answers(|_| Some("OK 80".to_owned()));
    for _ in 0..40 {
        desk.later(2);
        desk.tick().await;
    }
    assert_eq!(desk.counts(run).accepted, 2);
    desk.check_counts();
    desk.visit("/campaigns").await.lacks(&waits);
    desk.visit("/channels").await.lacks(says);
    let ended = "SELECT count(*) AS n FROM channel_incidents WHERE began_at < ended_at AND trouble = 'credentials'";
    assert_eq!((desk.number(ended), desk.number("SELECT count(*) AS n FROM channel_incidents")), (1, 1));
}

#[actix_web::test]
async fn what_cannot_be_reached_is_waited_for_and_is_no_word_about_the_pace() {
    let (desk, gateway) = with_gateway(&[]).await;
    desk.sql(&format!("UPDATE channels SET settings = jsonb_set(settings, '{{gateway,send,url}}', '\"http://127.0.0.1:9/\"') WHERE id = {}", desk.channel));
    let (.., run) = desk.campaign("Spring", 2, "09:00-11:00", 6_000.0).await;
    for _ in 0..5 {
        desk.later(6);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).failed, desk.counts(run).unconfirmed, gateway.seen().len()), (0, 0, 0));
    desk.visit("/channels").await.shows("the provider cannot be reached");
    assert_eq!(desk.number("SELECT count(*) AS n FROM channels WHERE pace IS NOT NULL"), 0);
    let url = format!("\"{}\"", gateway.url);
    desk.sql(&format!(
        "UPDATE channels SET settings = jsonb_set(settings, '{{gateway,send,url}}', '{url}') WHERE id = {}",
        desk.channel
    ));
    for _ in 0..5 {
        desk.later(6);
        desk.tick().await;
    }
    assert_eq!(desk.counts(run).accepted, 2);
    assert_eq!(desk.number("SELECT count(*) AS n FROM channel_incidents WHERE ended_at IS NULL"), 0);
}

#[actix_web::test]
async fn people_write_through_a_gateway_in_one_piece_or_several_and_say_stop() {
    let (desk, _gateway) = with_gateway(&[("region", "IE"), ("headers", ""), ("ask_api_key", "")]).await;
    let page = format!("/channels/{}", desk.channel);
    desk.visit(&page).await.shows("It has not called yet.");
    let said = |desk: &Desk| desk.lines("SELECT body AS line FROM messages WHERE author = 'contact' ORDER BY id");
    desk.is_called("?from=+353861234567&text=ja+%2B+nein&id=1").await;
    desk.is_called("?from=0861234567&text=again&id=2").await;
    desk.is_called("?from=0861234567&text=again&id=2").await;
    assert_eq!(said(&desk), ["ja + nein", "again"]);
    desk.visit(&page).await.shows("It called last on 2 Mar 2026, 09:00.");
    assert_eq!(desk.lines("SELECT address AS line FROM contacts"), ["353861234567"], "one person, however written");

    // No name: the same words a moment later are the same message.
    desk.is_called("?from=0861234567&text=hm").await;
    desk.is_called("?from=0861234567&text=hm").await;
    assert_eq!(said(&desk).len(), 3);
    desk.is_called("/stopped?from=%2B353861234567&id=s1").await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE opted_out_at IS NOT NULL"), 1);
    assert_eq!(desk.lines("SELECT how AS line FROM consent_changes"), ["provider"]);
    desk.is_called("/stopped?from=%2B353861234567&id=s1").await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM consent_changes"), 1, "told again it is no news");
}

#[actix_web::test]
async fn a_text_in_pieces_is_one_message_whatever_comes_first_and_what_never_comes_is_marked() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let fields = [
        ("kind", "sms"),
        ("provider", "http"),
        ("preset", "vonage"),
        ("name", "Vonage"),
        ("sender", "Bugle"),
        ("ask_url", "https://rest.nexmo.com/sms/json"),
        ("ask_api_key", "k"),
        ("ask_api_secret", "s"),
    ];
    let added = desk.fill_in("/channels", &fields).await;
    assert_eq!(added.status, 303, "{}", added.html);
    desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'http'"));
    let said = |desk: &Desk| desk.lines("SELECT body AS line FROM messages WHERE author = 'contact' ORDER BY id");
    let piece = |n: u8, of: u8, name: &str, text: &str| {
        format!(
            "?msisdn=353861234567&to=1&messageId={name}&concat=true&concat-ref=9&concat-total={of}&concat-part={n}&text={text}"
        )
    };
    desk.is_called(&piece(2, 2, "b", "+and+late")).await;
    assert!(said(&desk).is_empty());
    desk.is_called(&piece(1, 2, "a", "Broken+down")).await;
    desk.is_called(&piece(2, 2, "b", "+and+late")).await;
    desk.is_called(&piece(1, 2, "a", "Broken+down")).await;
    assert_eq!(said(&desk), ["Broken down and late"]);

    // The reference comes round again, and of this text a piece is lost.
    desk.is_called(&piece(2, 3, "d", "second")).await;
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!(said(&desk).len(), 1, "the others may come yet");
    desk.later(121);
    rescuer::tick(&desk.app).await.unwrap();
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!(said(&desk), ["Broken down and late", "[…] second […]"]);
}

#[actix_web::test]
async fn credentials_are_typed_once_and_stand_nowhere() {
    let (desk, gateway) = with_gateway(&[]).await;
    let path = format!("/channels/{}", desk.channel);
    let whole = desk.lines("SELECT concat(settings, credentials, name) AS line FROM channels").join("\n");
    assert!(!whole.contains("t0p-s3cret") && whole.contains("k1:"), "{whole}");
    let page = desk.visit(&path).await;
    page.lacks("t0p-s3cret");
    page.shows("Kept. Type a new one to replace it");
    page.shows("/webhooks/");
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE why LIKE '%t0p%'"), 0);

    // Saved without it, it stays; typed anew, it is replaced.
    assert_eq!(
        desk.fill_in(&path, &described(&gateway.url, &[("ask_api_key", ""), ("name", "Other")])).await.status,
        303
    );
    desk.campaign("Spring", 1, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    assert!(gateway.seen()[0].contains("t0p-s3cret"));
    desk.fill_in(&path, &described(&gateway.url, &[("ask_api_key", "n3w"), ("name", "Other")])).await;
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE why = 'api_key replaced'"), 1);
    desk.campaign("Summer", 1, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    assert!(gateway.seen()[1].to_lowercase().contains("x-key: n3w"));

    // Under another key they are opened no more: what waits is held, and nobody is refused.
    let before = desk.lines("SELECT credentials AS line FROM channels WHERE credentials IS NOT NULL");
    let both = Keyring::of(&[[8; 32], [7; 32]]);
    assert_eq!(desk.db(|conn| bugle::channels::actions::reseal(conn, &both).unwrap()), 1);
    assert_eq!(desk.db(|conn| bugle::channels::actions::reseal(conn, &both).unwrap()), 0, "once is enough");
    assert_ne!(desk.lines("SELECT credentials AS line FROM channels WHERE credentials IS NOT NULL"), before);
    let (.., run) = desk.campaign("Autumn", 1, "09:00-11:00", 6_000.0).await;
    desk.later(2);
    desk.tick().await;
    assert_eq!((gateway.seen().len(), desk.counts(run).failed), (2, 0));
    desk.submit(&format!("{path}/check")).await;
    desk.visit(&path).await.shows("Not ready: no key here opens these credentials");
}

#[actix_web::test]
async fn a_channel_is_tried_with_a_message_to_a_phone_of_ones_own() {
    let (desk, gateway) = with_gateway(&[("region", "IE")]).await;
    let path = format!("/channels/{}", desk.channel);
    let tries = async |to: &str| {
        let sent = desk.fill_in(&format!("{path}/test"), &[("to", to), ("text", "Hello")]).await;
        desk.lands(sent).await
    };
    tries("086 123 4567").await.shows("The provider took it, as 77.");
    assert!(gateway.seen()[0].contains("to=%2B353861234567&text=Hello"));
    tries("12").await.shows("Nothing was sent.");
    gateway.answers(|_| Some("ERROR:14".to_owned()));
    tries("086 123 4567").await.shows("The provider refused it: the account, the sender or a permission (14).");
    gateway.answers(|_| None);
    tries("086 123 4567").await.shows("It may arrive: look at your phone.");
    // Trouble that nothing has tried since is told as such, until a message is taken.
    let note = "INSERT INTO channel_incidents (channel_id, trouble, code, began_at, last_at) SELECT id, 'funds', '9', '2026-03-02 08:00Z', '2026-03-02 08:10Z' FROM channels WHERE provider = 'http'";
    desk.sql(note);
    desk.visit("/channels").await.shows("Not tried since 2 Mar, 08:10");
    gateway.answers(|_| Some("OK 78".to_owned()));
    tries("086 123 4567").await.shows("as 78");
    desk.visit("/channels").await.lacks("Not tried since");
    desk.fill_in("/blocklist", &[("kind", "sms"), ("address", "+353861234567")]).await;
    let asked = gateway.seen().len();
    tries("086 123 4567").await.shows("has opted out, or is on the blocklist");
    assert_eq!((gateway.seen().len(), desk.number("SELECT count(*) AS n FROM contacts")), (asked, 0));
    let checked = desk.submit(&format!("{path}/check")).await;
    desk.lands(checked).await.shows("127.0.0.1 can be reached.");
}

#[actix_web::test]
async fn what_is_wrong_with_a_gateway_is_said_and_nothing_typed_is_lost() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let page = desk.visit("/channels/add").await;
    for shown in ["Kannel", "Vonage", "Infobip", "Clickatell", "Twilio", "preset=custom"] {
        page.shows(shown);
    }
    let wrong = [("url", "gateway"), ("accepted", "perhaps"), ("codes", "1 = sent"), ("body", "to={{phone}}")];
    let page = desk.fill_in("/channels", &described("x", &wrong)).await;
    assert_eq!(page.status, 422);
    for shown in ["url-error", "accepted-error", "codes-error", "body-error", "value=\"perhaps\"", "to={{phone}}"] {
        page.shows(shown);
    }
    let pasted = r#"{"send_url": "https://gw.example/send", "method": "POST", "send_authorization": "Token abc", "max_length": 480}"#;
    let page = desk.fill_in("/channels/paste", &[("settings", pasted)]).await;
    for shown in ["https://gw.example/send", "value=\"480\"", "Authorization: {{authorization}}", "status 2xx"] {
        page.shows(shown);
    }
    let page = desk.fill_in("/channels/paste", &[("settings", "send_url=x")]).await;
    assert_eq!(page.status, 422);
    page.shows("This is no JSON");
    page.shows("send_url=x");

    // A preset asks for what it needs, and for nothing else.
    let fields = [
        ("kind", "sms"),
        ("provider", "twilio"),
        ("name", "Twilio"),
        ("sender", "+353861234567"),
        ("account_sid", "AC1"),
    ];
    let page = desk.fill_in("/channels", &fields).await;
    assert_eq!(page.status, 422);
    page.shows("account_sid-error");
    page.shows("auth_token-error");
    assert_eq!(desk.number("SELECT count(*) AS n FROM channels"), 1);
}

// ---- WhatsApp -------------------------------------------------------------------------

/// A call of Meta's, signed with the app's secret.
pub async fn meta_calls(desk: &Desk, body: &str) -> Answer {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(b"app-s3cret").unwrap();
    mac.update(body.as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = TestRequest::post()
        .uri(&format!("/webhooks/{}", desk.channel))
        .insert_header(("X-Hub-Signature-256", format!("sha256={signature}")))
        .set_payload(body.to_owned());
    desk.send(request).await
}

pub fn of_number(number: &str, value: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":
        {{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"447700900100","phone_number_id":"{number}"}},{value}}}}}]}}]}}"#
    )
}

/// A desk with two numbers of one app, the first of which campaigns leave through, and whoever plays Graph.
pub async fn with_whatsapp() -> (Desk, Gateway) {
    let (mut desk, graph) = (Desk::open_at("2026-03-02 09:00").await, Gateway::open());
    for (name, number) in [("First", "10000000001"), ("Second", "10000000002")] {
        let fields = [
            ("kind", "whatsapp"),
            ("provider", "whatsapp"),
            ("name", name),
            ("sender", "447700900100"),
            ("phone_number_id", number),
            ("waba_id", "20000000001"),
            ("api_version", "v25.0"),
            ("access_token", "t0ken"),
            ("app_secret", "app-s3cret"),
            ("verify_token", "our word"),
        ];
        let added = desk.fill_in("/channels", &fields).await;
        assert_eq!(added.status, 303, "{}", added.html);
    }
    desk.channel = ChannelId(desk.number("SELECT min(id) AS n FROM channels WHERE provider = 'whatsapp'"));
    let api = graph.url.trim_end_matches("/send").to_owned();
    let (usual, settings) = (desk.app.providers.clone(), desk.app.settings.clone());
    let (caller, clock) = (Arc::new(Caller::new(settings.internal_gateways.clone())), desk.app.clock.clone());
    desk.sends_through(Arc::new(move |setup| match setup.provider {
        ProviderName::Whatsapp => {
            let credentials = Credentials::open(setup.credentials.as_deref(), &settings.keyring).unwrap();
            let its = serde_json::from_value(setup.settings.clone()).unwrap();
            let parts = WhatsappParts { api: api.clone(), ..WhatsappParts::new(its, credentials) };
            Arc::new(Whatsapp::new(parts, caller.clone(), clock.clone()))
        }
        _ => usual(setup),
    }));
    (desk, graph)
}

#[actix_web::test]
async fn a_campaign_leaves_through_whatsapp_and_a_status_settles_what_nobody_answered() {
    let (desk, graph) = with_whatsapp().await;
    graph.answers(|request| {
        let answer = r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.A"}]}"#;
        request.contains("-1-1").then(|| answer.to_owned())
    });
    let file = desk.file(&phones(2));
    desk.sql("UPDATE contacts SET kind = 'whatsapp'");
    desk.sql("UPDATE files SET kind = 'whatsapp'");
    let (.., run) = desk.campaign_of("Spring", file, "09:00-11:00", 6_000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    desk.tick().await;
    let seen = graph.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|it| it.starts_with("POST /v25.0/10000000001/messages ") && it.contains("Bearer t0ken")));
    assert_eq!((desk.counts(run).accepted, desk.counts(run).unconfirmed), (1, 1));

    let status = |id: &str, key: &str, status: &str| {
        of_number(
            "10000000001",
            &format!(
                r#""statuses":[{{"id":"{id}","status":"{status}","timestamp":"1772442000","recipient_id":"1","biz_opaque_callback_data":"{key}"}}]"#
            ),
        )
    };
    // Read, without having been delivered first; and of one that nobody had answered for.
    assert_eq!(meta_calls(&desk, &status("wamid.A", &format!("{run}-1-1"), "read")).await.status, 200);
    assert_eq!(meta_calls(&desk, &status("wamid.B", &format!("{run}-2-1"), "sent")).await.status, 200);
    assert_eq!((desk.counts(run).unconfirmed, desk.ledger(run, Show::Outcome(Outcome::Delivered)).len()), (0, 1));
    let settled_at = "SELECT settled_at::text AS line FROM deliveries WHERE seq = 1";
    let (read, at) = (desk.ledger(run, Show::Delivered).remove(0), desk.lines(settled_at));
    assert_eq!((read.standing, read.standing.outcome()), (Standing::Read, Some(Outcome::Delivered)));
    desk.later(60);
    assert_eq!(meta_calls(&desk, &status("wamid.A", &format!("{run}-1-1"), "delivered")).await.status, 200);
    assert_eq!((desk.ledger(run, Show::Sent).remove(0).standing, desk.lines(settled_at)), (Standing::Read, at));
    desk.visit(&format!("/runs/{run}")).await.shows("The phone confirmed it, and somebody has looked at it.");
    let forged = TestRequest::post()
        .uri(&format!("/webhooks/{}", desk.channel))
        .insert_header(("X-Hub-Signature-256", format!("sha256={}", "0".repeat(64))))
        .set_payload(status("wamid.B", &format!("{run}-2-1"), "delivered"));
    assert_eq!(desk.send(forged).await.status, 401);
    desk.check_counts();
}

#[actix_web::test]
async fn what_people_write_to_another_number_of_the_app_reaches_its_channel() {
    let (desk, _graph) = with_whatsapp().await;
    let message = |number: &str, id: &str, what: &str| {
        of_number(
            number,
            &format!(
                r#""contacts":[{{"wa_id":"447700900121","profile":{{"name":"Test"}}}}],"messages":[{{"from":"447700900121","id":"{id}","timestamp":"1772442000",{what}}}]"#
            ),
        )
    };
    let text = |said: &str| format!(r#""type":"text","text":{{"body":"{said}"}}"#);
    for (number, id, what) in [
        ("10000000001", "w1", text("to the first")),
        ("10000000002", "w2", text("to the second")),
        ("10000000002", "w2", text("to the second")),
        ("10000000009", "w3", text("to nobody of ours")),
        ("10000000001", "w4", r#""type":"reaction","reaction":{"message_id":"w0","emoji":"x"}"#.to_owned()),
        (
            "10000000001",
            "w5",
            r#""type":"image","image":{"id":"77","mime_type":"image/jpeg","caption":"look"}"#.to_owned(),
        ),
    ] {
        assert_eq!(meta_calls(&desk, &message(number, id, &what)).await.status, 200);
    }
    let said = "SELECT concat(h.name, ': ', m.body) AS line FROM messages m JOIN channels h ON h.id = m.channel_id
                WHERE m.author = 'contact' ORDER BY m.id";
    assert_eq!(desk.lines(said), ["First: to the first", "Second: to the second", "First: look\n[picture]"]);

    // Whoever knows one app's secret speaks for no number of another.
    let sealed = Credentials::from([("access_token", "x"), ("app_secret", "another"), ("verify_token", "x")]);
    let sealed = sealed.seal(&desk.app.settings.keyring).unwrap().unwrap();
    desk.sql(&format!("UPDATE channels SET credentials = '{sealed}' WHERE name = 'Second'"));
    assert_eq!(meta_calls(&desk, &message("10000000002", "w6", &text("forged"))).await.status, 200);
    assert_eq!(desk.lines(said).len(), 3);

    let asks = |token: &str| {
        let path = format!(
            "/webhooks/{}?hub.mode=subscribe&hub.challenge=123456789012&hub.verify_token={token}",
            desk.channel
        );
        TestRequest::get().uri(&path)
    };
    let answer = desk.send(asks("our+word")).await;
    assert_eq!((answer.status, answer.html.as_str()), (200, "123456789012"));
    let answer = desk.send(asks("another")).await;
    assert!(answer.status == 401 && !answer.html.contains("123456789012"));
}
