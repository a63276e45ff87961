//! Sends that got no answer, and providers that are asked what became of them.

use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use bugle::deliveries::claim::Claimer;
use bugle::deliveries::{Outcome, Show, actions};
use bugle::engine::looker;
use bugle::ids::{ChannelId, RunId};
use bugle::pacing::LatePolicy;
use bugle::providers::ProviderName;
use bugle::providers::accounts::hook;
use bugle::providers::caller::Caller;
use bugle::providers::credentials::Credentials;
use bugle::providers::twilio::{Twilio, TwilioParts};
use url::form_urlencoded;

use crate::desk::{Desk, phones};
use crate::gateways::Gateway;

const SENDER: &str = "+353861234567";

/// What Twilio does with the next message.
#[derive(Clone, Copy)]
enum Plays {
    Answers,
    /// It sends it, and nobody hears the answer.
    SendsInSilence,
    Loses,
}

/// What it has taken: its name, to whom, what it said and when, and how that stands.
#[derive(Clone)]
struct Has {
    sid: String,
    to: String,
    body: String,
    made: String,
    status: &'static str,
}

/// Twilio, with a list of what it has that it can be asked for.
#[derive(Clone, Default)]
struct Account {
    has: Arc<Mutex<Vec<Has>>>,
    plays: Arc<Mutex<Vec<Plays>>>,
}

impl Account {
    fn takes(&self, to: &str, body: &str, now: &str) -> String {
        let mut has = self.has.lock().unwrap();
        let sid = format!("SM{:032x}", has.len() + 1);
        let (to, body, made) = (to.to_owned(), body.to_owned(), now.to_owned());
        has.push(Has { sid: sid.clone(), to, body, made, status: "delivered" });
        sid
    }

    fn answer(&self, request: &str, now: &str) -> Option<String> {
        let (head, body) = request.split_once('\n').map(|(first, rest)| (first, rest.lines().last().unwrap()))?;
        let field = |text: &str, name: &str| {
            let found = form_urlencoded::parse(text.as_bytes()).find(|(it, _)| it == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        if let Some((_, query)) = head.strip_prefix("GET ").and_then(|it| it.split_once("Messages.json?")) {
            let query = query.split(' ').next()?;
            assert_eq!(field(query, "DateSent>"), "2026-03-02", "{query}");
            let to = field(query, "To");
            let them: Vec<_> = self
                .has
                .lock()
                .unwrap()
                .iter()
                .filter(|it| it.to == to)
                .map(|it| {
                    serde_json::json!({
                "sid": it.sid, "to": it.to, "from": SENDER, "body": it.body, "date_created": it.made,
                "direction": "outbound-api", "status": it.status, "error_code": null })
                })
                .collect();
            return Some(serde_json::json!({ "messages": them, "next_page_uri": null }).to_string());
        }
        let plays = self.plays.lock().unwrap().pop().unwrap_or(Plays::Answers);
        let sid = match plays {
            Plays::Loses => return None,
            Plays::Answers | Plays::SendsInSilence => self.takes(&field(body, "To"), &field(body, "Body"), now),
        };
        let said = format!(r#"{{"sid":"{sid}","status":"queued"}}"#);
        matches!(plays, Plays::Answers).then_some(said)
    }

    /// What it does with the next messages, one after another.
    fn plays(&self, next: &[Plays]) {
        *self.plays.lock().unwrap() = next.iter().rev().copied().collect();
    }

    fn copies(&self, to: &str) -> usize {
        self.has.lock().unwrap().iter().filter(|it| it.to == format!("+{to}")).count()
    }
}

/// A desk whose campaigns go through Twilio.
async fn with_twilio() -> (Desk, Gateway, Account) {
    let (mut desk, site, account) = (Desk::open_at("2026-03-02 09:00").await, Gateway::open(), Account::default());
    let sid = format!("AC{}", "0".repeat(32));
    let fields = [
        ("kind", "sms"),
        ("provider", "twilio"),
        ("name", "Twilio"),
        ("sender", SENDER),
        ("account_sid", sid.as_str()),
        ("auth_token", "t0ken"),
    ];
    let added = desk.fill_in("/channels", &fields).await;
    assert_eq!(added.status, 303, "{}", added.html);
    desk.channel = ChannelId(desk.number("SELECT id AS n FROM channels WHERE provider = 'twilio'"));
    let api = site.url.trim_end_matches("/send").to_owned();
    let (usual, settings) = (desk.app.providers.clone(), desk.app.settings.clone());
    let (caller, clock) = (Arc::new(Caller::new(settings.internal_gateways.clone())), desk.app.clock.clone());
    desk.sends_through(Arc::new(move |setup| match setup.provider {
        ProviderName::Twilio => {
            let credentials = Credentials::open(setup.credentials.as_deref(), &settings.keyring).unwrap();
            let (kind, sender, its) = (setup.kind, setup.sender.clone(), setup.settings.clone());
            let (settings, hook) = (serde_json::from_value(its).unwrap(), hook(None, setup));
            let parts = TwilioParts { kind, sender, settings, credentials, hook, api: api.clone() };
            Arc::new(Twilio::new(parts, caller.clone(), clock.clone()))
        }
        _ => usual(setup),
    }));
    let (plays, clock) = (account.clone(), desk.app.clock.clone());
    site.answers(move |request| plays.answer(request, &clock.now().to_rfc2822()));
    (desk, site, account)
}

impl Desk {
    async fn says(&self, name: &str, to: &[String]) -> RunId {
        let (.., run) = self.campaign_to(name, to, "09:00-23:00", 6_000.0, LatePolicy::CatchUp).await;
        self.sql("UPDATE schedule_runs SET body = 'Hello.'");
        self.later(2);
        self.tick().await;
        run
    }

    /// Asks about what is due after so many seconds. Returns of how many it became known.
    async fn looks_up_after(&self, seconds: i64) -> usize {
        self.later(seconds);
        looker::tick(&self.app).await.unwrap()
    }

    fn unconfirmed(&self, run: RunId) -> i64 {
        self.counts(run).unconfirmed
    }
}

#[actix_web::test]
async fn what_was_sent_in_silence_is_found_and_what_never_was_stays_unconfirmed() {
    let (desk, site, account) = with_twilio().await;
    let to = phones(3);
    account.plays(&[Plays::SendsInSilence]);
    let sent = desk.says("Spring", &to[..1]).await;
    account.plays(&[Plays::Loses]);
    let lost = desk.says("Summer", &to[1..2]).await;
    assert_eq!((desk.unconfirmed(sent), desk.unconfirmed(lost)), (1, 1));
    assert_eq!(desk.looks_up_after(5).await, 0, "a callback may still come");
    assert_eq!((desk.looks_up_after(10).await, desk.unconfirmed(sent), desk.unconfirmed(lost)), (1, 0, 1));
    let row = desk.ledger(sent, Show::Outcome(Outcome::Delivered));
    assert_eq!(row.len(), 1);
    let reference = "SELECT count(*) AS n FROM provider_references WHERE reference LIKE 'SM%1'";
    assert_eq!(desk.number(reference), 1, "from now on it is told of by that name");

    let asked = || site.seen().iter().filter(|it| it.starts_with("GET ")).count();
    let before = asked();
    for seconds in [59, 2, 298, 3, 1_800, 10_800, 100_000] {
        desk.looks_up_after(seconds).await;
    }
    assert_eq!((asked() - before, desk.unconfirmed(lost)), (4, 1), "farther and farther apart, and then no more");
    assert_eq!((account.copies(&to[0]), account.copies(&to[1])), (1, 0));
    desk.check_counts();
}

#[actix_web::test]
async fn two_that_say_the_same_to_one_person_never_swap_their_fates() {
    let (desk, _site, account) = with_twilio().await;
    let to = phones(4);

    // One was sent and the other was not, and nobody knows which.
    account.plays(&[Plays::SendsInSilence]);
    let one = desk.says("One", &to[..1]).await;
    account.plays(&[Plays::Loses]);
    let other = desk.says("Other", &to[..1]).await;
    desk.looks_up_after(10).await;
    desk.looks_up_after(60).await;
    assert_eq!((desk.unconfirmed(one), desk.unconfirmed(other)), (1, 1));

    // What was answered for is not what was lost.
    account.plays(&[Plays::Answers]);
    let one = desk.says("Three", &to[1..2]).await;
    account.plays(&[Plays::Loses]);
    let other = desk.says("Four", &to[1..2]).await;
    desk.looks_up_after(10).await;
    assert_eq!((desk.counts(one).accepted, desk.unconfirmed(other)), (1, 1));

    // Both arrived: the one that is not known already.
    account.plays(&[Plays::Answers, Plays::SendsInSilence]);
    let one = desk.says("Five", &to[2..3]).await;
    let other = desk.says("Six", &to[2..3]).await;
    account.has.lock().unwrap().last_mut().unwrap().status = "undelivered";
    desk.looks_up_after(10).await;
    assert_eq!((desk.counts(one).accepted, desk.counts(other).failed, account.copies(&to[2])), (1, 1, 2));

    // Something is on the wire to them: its name is not known yet.
    account.plays(&[Plays::Loses]);
    let lost = desk.says("Seven", &to[3..]).await;
    let (.., flies) = desk.campaign_to("Eight", &to[3..], "09:00-23:00", 6_000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    let by = Claimer { process: uuid::Uuid::new_v4(), now: desk.app.clock.now() };
    let leave = actions::Leave { most: 1, part: None, n_fields: desk.n_fields(flies) };
    desk.db(|conn| actions::claim(conn, flies, &leave, by).unwrap());
    account.takes(&format!("+{}", to[3]), "Hello.", &desk.app.clock.now().to_rfc2822());
    assert_eq!((desk.looks_up_after(10).await, desk.unconfirmed(lost)), (0, 1));
}

#[actix_web::test]
async fn what_a_process_left_behind_that_died_is_asked_about_in_its_own_words() {
    let (desk, _site, account) = with_twilio().await;
    let to = phones(2);
    let (.., run) = desk.campaign_to("Spring", &to, "09:00-23:00", 6_000.0, LatePolicy::CatchUp).await;
    desk.later(2);
    let by = Claimer { process: uuid::Uuid::new_v4(), now: desk.app.clock.now() };
    let leave = actions::Leave { most: 2, part: None, n_fields: desk.n_fields(run) };
    desk.db(|conn| actions::claim(conn, run, &leave, by).unwrap());
    account.takes(&format!("+{}", to[0]), "Hello Name1, you owe 1.", &desk.app.clock.now().to_rfc2822());
    desk.later(61);
    desk.tick().await;
    assert_eq!(desk.unconfirmed(run), 2);
    assert_eq!((desk.looks_up_after(10).await, desk.unconfirmed(run)), (1, 1));
    assert_eq!(desk.ledger(run, Show::Outcome(Outcome::Delivered)).remove(0).address, to[0]);

    // A status call comes first: then nobody has to be asked.
    let asked = "SELECT count(*) AS n FROM look_ups";
    assert_eq!(desk.number(asked), 1);
    desk.sql(&format!("UPDATE deliveries SET outcome = 0, progress = NULL WHERE run_id = {run} AND seq = 2"));
    desk.looks_up_after(60).await;
    assert_eq!(desk.number(asked), 0);
    desk.sql(&format!("UPDATE deliveries SET outcome = 14 WHERE run_id = {run} AND seq = 2"));
}

#[actix_web::test]
async fn an_answer_in_a_conversation_is_asked_about_as_well() {
    let (desk, _site, account) = with_twilio().await;
    desk.sql(&format!("UPDATE channels SET secret = 'x' WHERE id = {}", desk.channel));
    let form = [("MessageSid", "SMin"), ("From", "+353867654321"), ("To", SENDER), ("Body", "Are you there?")];
    let path = format!("/webhooks/{}", desk.channel);
    let signed = twilio_signature("http://localhost", &path, &form);
    let call = TestRequest::post().uri(&path).insert_header(("X-Twilio-Signature", signed)).set_form(form);
    assert_eq!(desk.send(call).await.status, 200);
    let id = desk.number("SELECT id AS n FROM conversations");
    account.plays(&[Plays::SendsInSilence]);
    let answer = desk.fill_in(&format!("/inbox/{id}/reply"), &[("body", "Yes, we are.")]).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    desk.talk().await;
    let outcomes = || desk.lines("SELECT concat(progress, ' ', outcome) AS line FROM messages WHERE author = 'agent'");
    assert_eq!(outcomes(), [" 14"]);
    assert_eq!(desk.looks_up_after(10).await, 1);
    assert_eq!(outcomes(), [" 0"]);
}

/// As Twilio signs a call with a form.
pub fn twilio_signature(site: &str, path: &str, form: &[(&str, &str)]) -> String {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit, Mac};
    let mut fields = form.to_vec();
    fields.sort_unstable();
    let mut mac = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(b"t0ken").unwrap();
    mac.update(format!("{site}{path}").as_bytes());
    fields.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}
