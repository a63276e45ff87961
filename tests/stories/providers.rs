//! What lies between Bugle and a provider, with providers that are unlike the sandbox: one that tells by
//! its own references, one that holds its line open, one that refuses everything, one that offers no answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::web::Data;
use async_trait::async_trait;
use bugle::app::App;
use bugle::campaigns::inbound::InboundPlan;
use bugle::channels::references;
use bugle::conversations::intake;
use bugle::engine::{Engine, rescuer, starter};
use bugle::ids::{ChannelId, MessageId};
use bugle::providers::key::{DeliveryKey, MessageKey, SendKey, StatusKey};
use bugle::providers::{
    Able, Call, Envelope, Event, Forged, Gate, Heard, Inbound, Provider, Receipt, ReceiptStatus, RejectClass,
    SendOutcome, Session, TakeIn,
};
use bugle::wording::{Content, FilledTemplate, MediaFile};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::desk::{Desk, phones, until};

/// What a session hears, and whom to tell that it was taken in.
type News = (Vec<Event>, oneshot::Sender<Result<(), String>>);

/// A provider of whom everything can be asked for.
#[derive(Default)]
struct Odd {
    able: Option<Able>,
    /// What it answers; it accepts under a reference of its own otherwise.
    refuses: Mutex<Option<RejectClass>>,
    asked: AtomicUsize,
    /// What comes in over its session, if it holds one.
    line: Mutex<Option<mpsc::UnboundedReceiver<News>>>,
}

fn reference(key: SendKey) -> String {
    format!("ref/{key}")
}

#[async_trait]
impl Provider for Odd {
    fn able(&self) -> Able {
        self.able.unwrap_or(Able { choices: true, tells_by_reference: true, ..Able::TEXT })
    }

    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        if !gate() {
            return None;
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        Some(match *self.refuses.lock().unwrap() {
            Some(class) => SendOutcome::Rejected { class, code: "no".to_owned() },
            None => SendOutcome::Accepted { provider_ref: Some(reference(envelope.key)) },
        })
    }

    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        Ok(Heard::default())
    }

    fn open(self: Arc<Self>, told: TakeIn) -> Option<Session> {
        let mut line = self.line.lock().unwrap().take()?;
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some((events, answer)) = line.recv().await {
                let _ = answer.send(told(events).await);
            }
        })))
    }
}

/// The desk's engine with this provider behind every channel.
fn engine(desk: &Desk, odd: &Arc<Odd>) -> Engine {
    let odd = odd.clone();
    Engine::new(Data::new(App { providers: Arc::new(move |_| odd.clone()), ..App::clone(&desk.app) }))
}

/// The provider tells of sends by its references. Returns how much was news.
async fn tells(desk: &Desk, channel: ChannelId, keys: &[SendKey], status: ReceiptStatus) -> usize {
    let receipt = |key: &SendKey| Receipt::about(StatusKey::Theirs(reference(*key)), status);
    let events = keys.iter().map(receipt).map(Event::Receipt).collect();
    intake::take_in(&desk.app, channel, events, desk.app.clock.now()).await.unwrap()
}

fn rows(desk: &Desk, table: &str) -> i64 {
    desk.number(&format!("SELECT count(*) AS n FROM {table}"))
}

#[actix_web::test]
async fn news_by_the_providers_own_references_finds_its_send_early_and_late() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let engine = engine(&desk, &Arc::default());
    let (.., run) = desk.campaign("Spring offer", 3, "09:00-12:00", 6_000.0).await;
    let key = |seq| SendKey::from(DeliveryKey { run, seq, attempt: 1 });
    let (ours, other) = (
        desk.channel,
        ChannelId(desk.number(
            "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
         VALUES ('Other', 'sms', 'sandbox', 'x', 'x', now()) RETURNING id AS n",
        )),
    );

    // It is told of before it has answered, twice and out of order.
    assert_eq!(tells(&desk, ours, &[key(1)], ReceiptStatus::Delivered).await, 0);
    assert_eq!(tells(&desk, ours, &[key(1)], ReceiptStatus::Sent).await, 0);
    assert_eq!(rows(&desk, "parked_receipts"), 2);
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    engine.dispatch().await.unwrap();
    assert_eq!((desk.counts(run).delivered, desk.counts(run).accepted), (0, 3));
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!((desk.counts(run).delivered, rows(&desk, "parked_receipts")), (1, 0));

    // Afterwards, at once; not from a channel that never sent it.
    assert_eq!(tells(&desk, other, &[key(2)], ReceiptStatus::Delivered).await, 0);
    assert_eq!(tells(&desk, ours, &[key(2), key(3)], ReceiptStatus::Delivered).await, 2);
    assert_eq!(desk.counts(run).delivered, 3);

    // What was never ours is forgotten after a day, and the references when nobody tells of them any more.
    assert_eq!((rows(&desk, "parked_receipts"), rows(&desk, "provider_references")), (1, 3));
    desk.later(25 * 3600);
    rescuer::forget(&desk.app).await.unwrap();
    assert_eq!((rows(&desk, "parked_receipts"), rows(&desk, "provider_references")), (0, 3));
    desk.later(8 * 86_400);
    rescuer::forget(&desk.app).await.unwrap();
    assert_eq!(rows(&desk, "provider_references"), 0);
}

#[actix_web::test]
async fn a_reference_that_is_learnt_while_its_receipt_is_parked_is_not_missed() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let engine = engine(&desk, &Arc::default());
    let (.., run) = desk.campaign("Spring offer", 1, "09:00-12:00", 6_000.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    engine.dispatch().await.unwrap();
    // As if the receipt had been looked up before the send was written down, and parked after.
    desk.sql(&format!(
        "INSERT INTO parked_receipts (channel_id, reference, status, until)
         VALUES ({}, 'ref/{run}-1-1', 'delivered', now() + interval '1 year')",
        desk.channel
    ));
    let key = DeliveryKey { run, seq: 1, attempt: 9 };
    tells(&desk, desk.channel, &[key.into()], ReceiptStatus::Sent).await;
    assert_eq!(desk.counts(run).delivered, 1, "whoever parks the next looks for all that can be taken in");
}

#[actix_web::test]
async fn early_news_of_contacts_and_of_replies_is_taken_in_together_and_in_any_order() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let engine = engine(&desk, &Arc::default());
    let (.., run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6_000.0).await;
    let bot = desk.published("Hello", r##"[{"id": "a", "name": "1", "do": "close", "text": "Hello"}]"##);
    desk.inbound("Desk", bot, &InboundPlan::default());
    desk.hears_as("a", "12025550177", "hi");
    let reply =
        MessageKey { id: MessageId(desk.number("SELECT id AS n FROM messages WHERE author = 'bot'")), attempt: 1 };
    let mut keys: Vec<SendKey> = (1..=5).rev().map(|seq| DeliveryKey { run, seq, attempt: 1 }.into()).collect();
    keys.insert(2, reply.into());
    assert_eq!(tells(&desk, desk.channel, &keys, ReceiptStatus::Delivered).await, 0);

    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    engine.dispatch().await.unwrap();
    engine.talk().await.unwrap();
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!((desk.counts(run).delivered, rows(&desk, "parked_receipts")), (5, 0));
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE outcome = 0"), 1);
    desk.check_counts();
}

#[actix_web::test]
async fn of_a_reference_that_is_given_a_second_time_the_newest_send_is_meant() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (first, second) = (MessageKey { id: MessageId(1), attempt: 1 }, MessageKey { id: MessageId(2), attempt: 1 });
    let remembers = |keys: &[MessageKey]| {
        let given: Vec<_> = keys.iter().map(|key| (desk.channel, "7".to_owned(), SendKey::from(*key))).collect();
        desk.db(|conn| references::remember(conn, &given, desk.app.clock.now()).unwrap());
    };
    let means =
        |key: &str| desk.number(&format!("SELECT count(*) AS n FROM provider_references WHERE send_key = '{key}'"));
    remembers(&[second]);
    remembers(&[first]);
    assert_eq!((means("m1-1"), means("m2-1")), (1, 0));
    remembers(&[first, second]);
    assert_eq!((means("m1-1"), means("m2-1")), (0, 1));
}

#[actix_web::test]
async fn replies_are_told_of_by_reference_as_well() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let engine = engine(&desk, &Arc::default());
    let bot = desk.published("Hello", r##"[{"id": "a", "name": "1", "do": "close", "text": "Hello"}]"##);
    desk.inbound("Desk", bot, &InboundPlan::default());
    desk.hears_as("a", &phones(1)[0], "hi");
    engine.talk().await.unwrap();
    let key =
        MessageKey { id: MessageId(desk.number("SELECT id AS n FROM messages WHERE author = 'bot'")), attempt: 1 };
    assert_eq!(tells(&desk, desk.channel, &[key.into()], ReceiptStatus::Delivered).await, 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE outcome = 0"), 1);
}

#[actix_web::test]
async fn what_a_session_hears_is_taken_in_before_it_is_acknowledged_and_new_settings_open_a_new_one() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (speak, line) = mpsc::unbounded_channel();
    let odd = Arc::new(Odd { line: Mutex::new(Some(line)), ..Odd::default() });
    let engine = engine(&desk, &odd);
    engine.dispatch().await.unwrap();

    let (answer, answered) = oneshot::channel();
    let wrote = Inbound { id: "1".into(), from: phones(1)[0].clone(), text: "hi".into(), ..Inbound::default() };
    speak.send((vec![Event::Inbound(wrote)], answer)).unwrap();
    assert_eq!(answered.await.unwrap(), Ok(()));
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE author = 'contact'"), 1);

    desk.sql("UPDATE channels SET sender = 'Elsewhere'");
    let (next, line) = mpsc::unbounded_channel();
    *odd.line.lock().unwrap() = Some(line);
    engine.dispatch().await.unwrap();
    until("the old session is closed", || speak.is_closed()).await;
    assert!(!next.is_closed(), "the new one is open");
}

#[actix_web::test]
async fn a_channel_whose_provider_refuses_everything_burns_nobody_and_goes_on_when_it_is_well() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let odd = Arc::new(Odd::default());
    let engine = engine(&desk, &odd);
    let (.., run) = desk.campaign("Spring offer", 200, "09:00-12:00", 60_000.0).await;
    *odd.refuses.lock().unwrap() = Some(RejectClass::AccountLimit);
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    for _ in 0..20 {
        engine.dispatch().await.unwrap();
        desk.later(1);
    }
    assert!(odd.asked.load(Ordering::SeqCst) < 5, "asked {} times", odd.asked.load(Ordering::SeqCst));
    assert_eq!((desk.counts(run).failed, desk.counts(run).unconfirmed), (0, 0));
    desk.visit("/channels").await.shows("Held since");

    *odd.refuses.lock().unwrap() = None;
    for _ in 0..70 {
        desk.later(1);
        engine.dispatch().await.unwrap();
    }
    assert_eq!(desk.counts(run).accepted, 200);
}

#[actix_web::test]
async fn what_a_provider_cannot_carry_is_refused_before_it_is_asked() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let odd = Arc::new(Odd { able: Some(Able::TEXT), ..Odd::default() });
    let engine = engine(&desk, &odd);
    let bot = desk.published(
        "Asks",
        r##"[{"id": "a", "name": "1", "do": "ask", "text": "Well?",
              "accept": {"kind": "choices", "choices": [{"value": "Yes"}, {"value": "No"}]},
              "otherwise": "z"}, {"id": "z", "name": "2", "do": "close", "text": "Bye"}]"##,
    );
    desk.inbound("Desk", bot, &InboundPlan::default());
    desk.hears_as("a", &phones(1)[0], "hi");
    engine.talk().await.unwrap();
    assert_eq!(odd.asked.load(Ordering::SeqCst), 0);
    assert_eq!(
        desk.number("SELECT count(*) AS n FROM messages WHERE outcome = 12 AND detail = 'it offers no answers'"),
        1
    );

    let file = MediaFile {
        url: "https://shop.example/a.png".into(),
        name: "a.png".into(),
        content_type: "image/png".into(),
        size: 1,
    };
    let media = Content::Media { file, caption: String::new(), choices: Vec::new() };
    let template = Content::approved(FilledTemplate { name: "hello".into(), ..FilledTemplate::default() });
    assert_eq!(Able::TEXT.refuses(&media).map(|it| it.0), Some(RejectClass::Content));
    assert_eq!(Able::TEXT.refuses(&template).map(|it| it.0), Some(RejectClass::Template));
    assert_eq!(Able { templates: true, ..Able::TEXT }.refuses(&template), None);
}
