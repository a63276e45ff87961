//! Twilio, WhatsApp and Viber on a bad day: too fast, broken behind the send, silent with and without it, and calls that
//! come shuffled, twice, and before the answer that they are about. No phone gets two copies, and the ledger says of
//! each what the carrier knows.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::test::TestRequest;
use bugle::deliveries::{Outcome, Show};
use bugle::ids::ChannelId;
use bugle::pacing::LatePolicy;
use bugle::providers::accounts::hook;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::http::Hook;
use bugle::providers::meta::whatsapp::{Whatsapp, WhatsappParts};
use bugle::providers::twilio::{Twilio, TwilioParts};
use bugle::providers::viber::{Viber, ViberParts};
use bugle::providers::{Provider, ProviderName, Setup};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::tries;
use crate::desk::{Desk, phones};
use crate::gateways::{Gateway, of_number};
use crate::lookups::twilio_signature;

/// Who carries.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Twilio,
    Whatsapp,
    Viber,
}

/// What is sent to somebody: our name for it, where it goes along, and to whom.
#[derive(Clone, Debug)]
struct Parcel {
    key: String,
    to: String,
    /// The carrier's number for it.
    n: usize,
}

/// What a carrier does with a message, by whom it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Well,
    /// Too fast, at the first try; it is not sent.
    TooFast,
    /// It sends it, and answers with a fault of its own.
    BreaksBehindIt,
    SentInSilence,
    NothingInSilence,
}

fn nth(to: &str) -> usize {
    let digits: usize = to[to.len() - 7..].parse().unwrap();
    digits / 100 * 80 + digits % 100
}

fn does(to: &str) -> Does {
    match nth(to) * 7919 % 100 {
        0..5 => Does::TooFast,
        5..10 => Does::BreaksBehindIt,
        10..15 => Does::SentInSilence,
        15..20 => Does::NothingInSilence,
        _ => Does::Well,
    }
}

impl Who {
    fn fields(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Who::Twilio => vec![
                ("kind", "sms"),
                ("provider", "twilio"),
                ("sender", "+353861234567"),
                ("account_sid", "AC00000000000000000000000000000000"),
                ("auth_token", "t0ken"),
            ],
            Who::Whatsapp => vec![
                ("kind", "whatsapp"),
                ("provider", "whatsapp"),
                ("sender", "447700900100"),
                ("phone_number_id", "10000000001"),
                ("waba_id", "20000000001"),
                ("api_version", "v25.0"),
                ("access_token", "t0ken"),
                ("app_secret", "t0ken"),
                ("verify_token", "our word"),
            ],
            Who::Viber => vec![("kind", "viber"), ("provider", "viber"), ("sender", "Bugle"), ("auth_token", "t0ken")],
        }
    }

    fn kind(self) -> &'static str {
        self.fields()[0].1
    }

    /// The adapter, which finds the carrier at `api`.
    fn adapter(self, setup: &Setup, credentials: Credentials, api: String, desk: &Desk) -> Arc<dyn Provider> {
        let (caller, clock) =
            (Arc::new(Caller::new(desk.app.settings.internal_gateways.clone())), desk.app.clock.clone());
        let hook = Hook { is_public: true, ..hook(None, setup) };
        let (sender, its) = (setup.sender.clone(), setup.settings.clone());
        match self {
            Who::Twilio => {
                let settings = serde_json::from_value(its).unwrap();
                let parts = TwilioParts { kind: setup.kind, sender, settings, credentials, hook, api };
                Arc::new(Twilio::new(parts, caller, clock))
            }
            Who::Whatsapp => {
                let parts =
                    WhatsappParts { api, ..WhatsappParts::new(serde_json::from_value(its).unwrap(), credentials) };
                Arc::new(Whatsapp::new(parts, caller, clock))
            }
            Who::Viber => {
                let settings = serde_json::from_value(its).unwrap();
                Arc::new(Viber::new(ViberParts { sender, settings, credentials, hook, api }, caller, clock))
            }
        }
    }

    /// What a request is to send, and to whom.
    fn reads(self, request: &str) -> (String, String) {
        if self == Who::Twilio {
            let form: HashMap<_, _> = form_urlencoded::parse(request.lines().last().unwrap().as_bytes()).collect();
            let key = form["StatusCallback"].split_once("part=").unwrap().1.to_owned();
            return (key, form["To"].trim_start_matches('+').to_owned());
        }
        let body: Value = serde_json::from_str(&request[request.find('{').unwrap()..]).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match self {
            Who::Whatsapp => (text("biz_opaque_callback_data"), text("to")),
            _ => (String::new(), text("receiver")),
        }
    }

    fn takes(self, it: &Parcel) -> String {
        match self {
            Who::Twilio => json!({ "sid": format!("SM{:032x}", it.n), "status": "queued" }),
            Who::Whatsapp => {
                json!({ "messaging_product": "whatsapp", "messages": [{ "id": format!("wamid.{}", it.n) }] })
            }
            Who::Viber => json!({ "status": 0, "status_message": "ok", "message_token": token(it) }),
        }
        .to_string()
    }

    fn is_too_fast(self) -> &'static str {
        match self {
            Who::Twilio => r#"429 {"code":20429,"message":"Too Many Requests"}"#,
            Who::Whatsapp => r#"400 {"error":{"code":130429,"message":"Rate limit hit"}}"#,
            Who::Viber => "429 slow down",
        }
    }

    /// Tells how it stands with a message.
    fn tells(self, channel: ChannelId, it: &Parcel, status: &str) -> TestRequest {
        use hmac::{Hmac, KeyInit, Mac};
        let path = format!("/webhooks/{channel}");
        let sha256 = |body: &str| {
            let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(b"t0ken").unwrap();
            mac.update(body.as_bytes());
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        match self {
            Who::Twilio => {
                let path = format!("{path}/status?part={}", it.key);
                let (sid, to) = (format!("SM{:032x}", it.n), format!("+{}", it.to));
                let form = [("MessageSid", sid.as_str()), ("MessageStatus", status), ("To", &to)];
                let signed = twilio_signature("http://localhost", &path, &form);
                TestRequest::post().uri(&path).insert_header(("X-Twilio-Signature", signed)).set_form(form)
            }
            Who::Whatsapp => {
                let statuses = json!([{ "id": format!("wamid.{}", it.n), "status": status, "timestamp": "1772442000",
                    "recipient_id": it.to, "biz_opaque_callback_data": it.key }]);
                let body = of_number("10000000001", &format!(r#""statuses":{statuses}"#));
                let signed = format!("sha256={}", sha256(&body));
                TestRequest::post().uri(&path).insert_header(("X-Hub-Signature-256", signed)).set_payload(body)
            }
            Who::Viber => {
                let event = if status == "sent" { "delivered" } else { status };
                let body = json!({ "event": event, "timestamp": 1772442000000_u64, "message_token": token(it), "user_id": it.to });
                let signed = sha256(&body.to_string());
                let call = TestRequest::post().uri(&path).insert_header(("X-Viber-Content-Signature", signed));
                call.set_payload(body.to_string())
            }
        }
    }
}

/// Larger than what a float can hold.
fn token(it: &Parcel) -> u64 {
    4_912_661_846_655_238_145 + it.n as u64
}

#[derive(Default)]
struct Phones {
    copies: HashMap<String, usize>,
    throttled: HashSet<String>,
    n: usize,
    /// Calls that come before the answer, and the others.
    early: VecDeque<(Parcel, &'static str)>,
    calls: Vec<(Parcel, &'static str)>,
    /// Parcels whose early call is over.
    told: HashSet<usize>,
}

#[derive(Clone)]
struct Carrier {
    who: Who,
    phones: Arc<Mutex<Phones>>,
}

impl Carrier {
    fn answer(&self, request: &str) -> Option<String> {
        let (key, to) = self.who.reads(request);
        let what = does(&to);
        let mut phones = self.phones.lock().unwrap();
        if what == Does::TooFast && phones.throttled.insert(to.clone()) {
            return Some(self.who.is_too_fast().to_owned());
        }
        if what == Does::NothingInSilence {
            return None;
        }
        *phones.copies.entry(to.clone()).or_default() += 1;
        phones.n += 1;
        let it = Parcel { key, to, n: phones.n };
        match nth(&it.to) % 10 {
            0 => phones.early.push_back((it.clone(), "delivered")),
            1 => phones.calls.extend([(it.clone(), "delivered"), (it.clone(), "sent"), (it.clone(), "delivered")]),
            _ => phones.calls.push((it.clone(), "delivered")),
        }
        let is_early = nth(&it.to).is_multiple_of(10);
        drop(phones);
        let began = Instant::now();
        while is_early
            && began.elapsed() < Duration::from_millis(500)
            && !self.phones.lock().unwrap().told.contains(&it.n)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        match what {
            Does::BreaksBehindIt => Some("500 oh dear".to_owned()),
            Does::SentInSilence => None,
            _ => Some(self.who.takes(&it)),
        }
    }

    /// Makes one of the calls that it owes, in no order. Returns whether there was one.
    async fn calls(&self, desk: &Desk, chance: &mut StdRng) -> bool {
        let call = {
            let mut phones = self.phones.lock().unwrap();
            match phones.early.pop_front() {
                Some(early) => Some(early),
                None if phones.calls.is_empty() => None,
                None => {
                    let n = phones.calls.len();
                    Some(phones.calls.swap_remove(chance.random_range(0..n)))
                }
            }
        };
        let Some((it, status)) = call else { return false };
        let answer = desk.send(self.who.tells(desk.channel, &it, status)).await;
        assert!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.html);
        self.phones.lock().unwrap().told.insert(it.n);
        true
    }
}

async fn a_bad_day(who: Who, n: usize) {
    let (mut desk, site) = (Desk::open_at("2026-03-02 09:00").await, Gateway::open());
    let fields = [who.fields(), vec![("name", "Carrier")]].concat();
    let added = desk.fill_in("/channels", &fields).await;
    assert_eq!(added.status, 303, "{}", added.html);
    desk.channel = ChannelId(desk.number("SELECT max(id) AS n FROM channels"));
    let (usual, api) = (desk.app.providers.clone(), site.url.trim_end_matches("/send").to_owned());
    let sealed = desk.lines("SELECT credentials AS line FROM channels ORDER BY id DESC LIMIT 1").remove(0);
    let credentials = Credentials::open(Some(&sealed), &desk.app.settings.keyring).unwrap();
    let setup = desk.db(|conn| bugle::channels::setups::find(conn, desk.channel).unwrap());
    let adapter = who.adapter(&setup, credentials, api, &desk);
    desk.sends_through(Arc::new(move |setup| match setup.provider {
        ProviderName::Sandbox => usual(setup),
        _ => adapter.clone(),
    }));
    let carrier = Carrier { who, phones: Arc::default() };
    let answers = carrier.clone();
    site.answers(move |request| answers.answer(request));

    let file = desk.file(&phones(n));
    desk.sql(&format!("UPDATE contacts SET kind = '{}'", who.kind()));
    desk.sql(&format!("UPDATE files SET kind = '{}'", who.kind()));
    let (.., run) = desk.campaign_of("Bad day", file, "09:00-23:00", 60_000.0, LatePolicy::CatchUp).await;
    let mut chance = StdRng::seed_from_u64(n as u64);
    for round in 0.. {
        assert!(round < 2_000, "{who:?} does not come to its end: {:?}", desk.counts(run));
        desk.later(20);
        let is_over = Cell::new(false);
        let send = async {
            desk.tick().await;
            is_over.set(true);
        };
        let call = async {
            while !is_over.get() {
                if !carrier.calls(&desk, &mut chance).await {
                    actix_web::rt::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        futures_util::join!(send, call);
        let counts = desk.counts(run);
        // Nothing is left whose answer a call could overtake.
        if counts.unclaimed + counts.retrying == 0 {
            while carrier.calls(&desk, &mut chance).await {}
        }
        let is_told = {
            let phones = carrier.phones.lock().unwrap();
            phones.calls.is_empty() && phones.early.is_empty()
        };
        if counts.settled() == counts.audience && is_told {
            break;
        }
    }
    // A token that nobody knows is of the one unconfirmed send to that person, half a minute later.
    for _ in 0..3 {
        desk.later(31);
        desk.tick().await;
    }

    let carrier = carrier.phones.lock().unwrap();
    let rows = desk.ledger(run, Show::All);
    assert_eq!(rows.len(), n);
    let mut unconfirmed = 0;
    for row in rows {
        let copies = carrier.copies.get(&row.address).copied().unwrap_or_default();
        let right = if copies == 1 { Outcome::Delivered } else { Outcome::Unconfirmed };
        assert!(copies < 2, "{who:?}: {} got it {copies} times", row.address);
        assert_eq!(row.standing.outcome(), Some(right), "{who:?}: {} {:?}", row.address, does(&row.address));
        unconfirmed += usize::from(copies == 0);
    }
    assert_eq!((desk.counts(run).unconfirmed as usize, carrier.throttled.len()), (unconfirmed, n / 20), "{who:?}");
    assert_eq!(unconfirmed, n / 20);
    desk.check_counts();
}

#[actix_web::test]
async fn twilio_on_a_bad_day_sends_nobody_two_copies() {
    a_bad_day(Who::Twilio, tries(3_400, 20_000)).await;
}

#[actix_web::test]
async fn whatsapp_on_a_bad_day_sends_nobody_two_copies() {
    a_bad_day(Who::Whatsapp, tries(3_400, 20_000)).await;
}

#[actix_web::test]
async fn viber_on_a_bad_day_sends_nobody_two_copies() {
    a_bad_day(Who::Viber, tries(2_400, 10_000)).await;
}
