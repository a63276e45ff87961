//! Conversations: bots that campaigns send, what people answer, and what PAUSE and STOP mean in between.

use bugle::bots::examples::Example;
use bugle::bots::steps::Steps;
use bugle::campaigns;
use bugle::campaigns::inbound::InboundPlan;
use bugle::channels::setups;
use bugle::control;
use bugle::conversations::actions::{TakenIn, take_in};
use bugle::conversations::intake::take_in_receipts;
use bugle::conversations::replies;
use bugle::deliveries::Fate;
use bugle::deliveries::claim::Claimer;
use bugle::deliveries::counts::Scope;
use bugle::ids::{BotId, CampaignId, ChannelId, MessageId, RunId, ScheduleId};
use bugle::providers::key::MessageKey;
use bugle::providers::sandbox::Knobs;
use bugle::providers::{Event, Inbound, Receipt, ReceiptStatus};

use crate::desk::{Desk, phones, prompt, until};

impl Desk {
    /// A published bot with these steps.
    pub fn published(&self, name: &str, steps: &str) -> BotId {
        let steps: Steps = serde_json::from_str(steps).unwrap();
        self.publish(name, &steps)
    }

    pub fn publish(&self, name: &str, steps: &Steps) -> BotId {
        let now = self.app.clock.now();
        self.db(|conn| {
            let id = bugle::bots::actions::create(conn, name, steps, self.admin, now).unwrap();
            let revision = bugle::bots::store::draft(conn, id).unwrap().revision;
            bugle::bots::actions::publish(conn, id, revision, "", self.admin, now).unwrap();
            id
        })
    }

    /// A launched once-off campaign that sends version 1 of a bot to these phones, today between 09:00 and 18:00.
    pub async fn bot_campaign(&self, name: &str, bot: BotId, to: &[String]) -> (CampaignId, ScheduleId, RunId) {
        use bugle::bots::domain::Pinned;
        use bugle::campaigns::CampaignKind;

        use bugle::schedules::Draft;
        let (file, now) = (self.file(to), self.app.clock.now());
        let time = |h| chrono::NaiveTime::from_hms_opt(h, 0, 0).unwrap();
        let plan = Draft::once("Main", self.channel, "", now.date_naive(), time(9), time(18), 6000.0);
        let plan = Draft { bot: Some(Pinned { bot, version: 1 }), ..plan };
        let (campaign, schedule) = self.db(|conn| {
            let id =
                bugle::drafting::actions::create(conn, name, CampaignKind::OnceOff, chrono_tz::UTC, self.admin, now)
                    .unwrap();
            bugle::drafting::actions::set_file(conn, id, Some(file), self.admin, now).unwrap();
            let schedule = bugle::drafting::actions::add_schedule(conn, id, &plan, self.admin, now).unwrap();
            bugle::drafting::actions::launch(conn, id, self.admin, now).unwrap();
            (id, schedule)
        });
        bugle::engine::starter::tick(&self.app).await.unwrap();
        (campaign, schedule, self.run_of(schedule))
    }

    /// Somebody writes a message with this name at the provider.
    pub fn hears_as(&self, id: &str, from: &str, text: &str) -> TakenIn {
        let now = self.app.clock.now();
        let inbound = Inbound { id: id.to_owned(), from: from.to_owned(), text: text.to_owned(), ..Inbound::default() };
        self.db(|conn| {
            let setup = setups::find(conn, self.channel).unwrap();
            take_in(conn, &setup, &inbound, now).unwrap()
        })
    }

    /// Somebody writes, and whatever follows happens.
    pub async fn hears(&self, from: &str, text: &str) {
        static N: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let id = format!("in-{}", N.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        assert!(matches!(self.hears_as(&id, from, text), TakenIn::New(_)));
        self.talk().await;
    }

    /// What a phone has received, in order.
    pub fn phone(&self, number: &str) -> Vec<String> {
        self.received().into_iter().filter(|it| it.phone == number).map(|it| it.body).collect()
    }
}

/// Asks how it was, and reminds once after an hour.
pub const SURVEY: &str = r##"[
  {"id": "s1", "name": "Greeting", "do": "message", "text": "Hello #name|there#."},
  {"id": "s2", "name": "Score", "do": "ask", "text": "From 1 to 5?", "accept": {"kind": "entity", "entity": "number"},
   "store": "score", "retries": 1, "retry_text": "A number, please.",
   "routes": [{"op": "at_most", "value": "2", "to": "s4"}],
   "no_reply": {"after": 1, "unit": "hours", "to": "s5"}},
  {"id": "s3", "name": "Thanks", "do": "close", "text": "Thank you for the #score."},
  {"id": "s4", "name": "Human", "do": "hand_over", "text": "Somebody will write to you."},
  {"id": "s5", "name": "Reminder", "do": "ask", "text": "Still there?", "otherwise": "s3"}]"##;

/// Asks again and again.
const ECHO: &str = r##"[
  {"id": "a", "name": "Ask", "do": "ask", "text": "Yes?", "routes": [{"op": "is", "value": "bye", "to": "z"}], "otherwise": "a"},
  {"id": "z", "name": "Bye", "do": "close", "text": "Bye."}]"##;

/// Says it sees, and asks on.
const LISTENER: &str = r##"[
  {"id": "a", "name": "Ask", "do": "ask", "text": "Yes?", "otherwise": "b"},
  {"id": "b", "name": "Word", "do": "message", "text": "I see."},
  {"id": "c", "name": "Again", "do": "ask", "text": "And?", "routes": [{"op": "is", "value": "bye", "to": "z"}], "otherwise": "b"},
  {"id": "z", "name": "Bye", "do": "close", "text": "Bye."}]"##;

#[actix_web::test]
async fn a_campaign_sends_a_bot_and_people_talk_with_it() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = phones(2);
    let (_, _, run) = desk.bot_campaign("Spring", bot, &to).await;
    desk.at("2026-03-02 09:00");
    desk.tick().await;
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.phone(&to[0]), ["Hello Name1.", "From 1 to 5?"], "the first through its run, the second after it");
    assert_eq!(desk.counts(run).delivered, 2);

    desk.hears(&to[0], "great").await;
    desk.hears(&to[0], "five... 5").await;
    assert_eq!(desk.phone(&to[0])[2..], ["A number, please.".to_owned(), "Thank you for the 5.".to_owned()]);
    desk.hears(&to[1], "1").await;
    assert_eq!(desk.phone(&to[1])[2..], ["Somebody will write to you.".to_owned()]);

    let closed = desk.number("SELECT count(*) AS n FROM conversations WHERE closed_because = 'ended by the bot'");
    let waiting =
        desk.number("SELECT count(*) AS n FROM conversations WHERE unanswered_since IS NOT NULL AND handler = 'human'");
    assert_eq!((closed, waiting), (1, 1));
    let kept =
        desk.number(&format!("SELECT (\"values\" ->> 'score')::bigint AS n FROM contacts WHERE address = '{}'", to[0]));
    assert_eq!(kept, 5, "a custom value of the contact");
}

#[actix_web::test]
async fn an_example_runs_to_its_end() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.publish("Payments", &Example::of_word("payment").unwrap().steps());
    let to = phones(1);
    let (_, _, run) = desk.bot_campaign("Arrears", bot, &to).await;
    desk.tick().await;
    // The file has no date that the text names.
    assert_eq!((desk.counts(run).skipped, desk.phone(&to[0]).len()), (1, 0));
}

impl Desk {
    /// A launched inbound campaign on the desk's channel that meets people with version 1 of a bot.
    pub fn inbound(&self, name: &str, bot: BotId, plan: &InboundPlan) -> (CampaignId, ScheduleId) {
        use bugle::campaigns::CampaignKind;

        use bugle::campaigns::store;
        use bugle::schedules::{Draft, When};
        let now = self.app.clock.now();
        let midnight = chrono::NaiveTime::MIN;
        let draft = Draft::once("SMS", self.channel, "", now.date_naive(), midnight, midnight, 60.0);
        let pinned = Some(bugle::bots::domain::Pinned { bot, version: 1 });
        let draft = Draft { bot: pinned, when: When::Inbound, rate: bugle::pacing::Rate::Auto, ..draft };
        self.db(|conn| {
            let id =
                bugle::drafting::actions::create(conn, name, CampaignKind::Inbound, chrono_tz::UTC, self.admin, now)
                    .unwrap();
            store::set_inbound(conn, id, plan).unwrap();
            let schedule = bugle::drafting::actions::add_schedule(conn, id, &draft, self.admin, now).unwrap();
            bugle::drafting::actions::launch(conn, id, self.admin, now).unwrap();
            (id, schedule)
        })
    }

    /// The newest conversation with a phone: its number, who has it, and why it was closed, if it was.
    pub fn newest(&self, phone: &str) -> (i64, String, Option<String>) {
        #[derive(diesel::QueryableByName)]
        struct It {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            id: i64,
            #[diesel(sql_type = diesel::sql_types::Text)]
            handler: String,
            #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
            closed_because: Option<String>,
        }
        let sql = "SELECT v.id, v.handler, v.closed_because FROM conversations v JOIN contacts c ON c.id = v.contact_id
                   WHERE c.address = $1 ORDER BY v.id DESC LIMIT 1";
        let it: It = self.db(|conn| {
            use diesel::RunQueryDsl;
            diesel::sql_query(sql).bind::<diesel::sql_types::Text, _>(phone).get_result(conn).unwrap()
        });
        (it.id, it.handler, it.closed_because)
    }

    /// How many messages stand so in the outbox.
    fn outbox(&self, r#where: &str) -> i64 {
        self.number(&format!("SELECT count(*) AS n FROM messages WHERE {}", r#where))
    }

    /// A survey that has asked its question and waits.
    async fn begun_survey(&self, n: usize) -> (CampaignId, ScheduleId, Vec<String>) {
        let bot = self.published("Survey", SURVEY);
        let to = phones(n);
        let (campaign, schedule, _) = self.bot_campaign("Spring", bot, &to).await;
        for _ in 0..3 {
            self.later(1);
            self.tick().await;
        }
        assert_eq!(self.outbox("author = 'bot' AND state = 'settled'"), n as i64);
        (campaign, schedule, to)
    }
}

#[actix_web::test]
async fn the_messages_of_a_conversation_arrive_in_their_order_however_slow_the_carrier_is() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { latency_ms: 0, latency_to_ms: 40, ..prompt() });
    let three = r##"[
      {"id": "a", "name": "1", "do": "message", "text": "one"}, {"id": "b", "name": "2", "do": "message", "text": "two"},
      {"id": "c", "name": "3", "do": "message", "text": "three"}, {"id": "d", "name": "4", "do": "close", "text": "four"}]"##;
    let bot = desk.published("Counting", three);
    let to = phones(20);
    desk.bot_campaign("Numbers", bot, &to).await;
    for _ in 0..3 {
        desk.later(1);
        desk.tick().await;
    }
    for phone in &to {
        assert_eq!(desk.phone(phone), ["one", "two", "three", "four"]);
    }
}

#[actix_web::test]
async fn a_message_told_again_is_stored_once_and_answered_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, _, to) = desk.begun_survey(1).await;
    assert!(matches!(desk.hears_as("x-1", &to[0], "4"), TakenIn::New(_)));
    desk.talk().await;
    // A week later, and after others.
    desk.at("2026-03-09 09:00");
    assert_eq!(desk.hears_as("x-1", &to[0], "4"), TakenIn::Repeated);
    desk.talk().await;
    assert_eq!(desk.phone(&to[0])[2..], ["Thank you for the 4.".to_owned()]);
    assert_eq!(desk.outbox("author = 'contact'"), 1);
}

#[actix_web::test]
async fn one_who_writes_twice_at_once_has_one_conversation_and_each_message_is_answered_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Echo", ECHO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let (url, channel, now) = (desk.url.clone(), desk.channel, desk.app.clock.now());
    for round in 0..10 {
        let phone = format!("1202555{:04}", 100 + round);
        let start = std::sync::Arc::new(std::sync::Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (url, phone, start) = (url.clone(), phone.clone(), start.clone());
                std::thread::spawn(move || {
                    use diesel::Connection;
                    let conn = &mut diesel::PgConnection::establish(&url).unwrap();
                    let setup = setups::find(conn, channel).unwrap();
                    // Each message is told twice.
                    let id = format!("{phone}-{}", n / 2);
                    let inbound = Inbound { id, from: phone, text: format!("hello {}", n / 2), ..Inbound::default() };
                    start.wait();
                    take_in(conn, &setup, &inbound, now).unwrap()
                })
            })
            .collect();
        let news = threads.into_iter().filter(|_| true).map(|it| it.join().unwrap());
        assert_eq!(news.filter(|it| matches!(it, TakenIn::New(_))).count(), 2, "each message once");
        desk.talk().await;
        assert_eq!(desk.phone(&phone), ["Yes?", "Yes?"], "each answered once");
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM conversations"), 10);
}

#[actix_web::test]
async fn two_processes_send_each_reply_once() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { latency_ms: 0, latency_to_ms: 5, ..prompt() });
    let bot = desk.published("Listener", LISTENER);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let another = desk.another_engine();
    let other = bugle::engine::talker::Talker::new(desk.app.clone(), another.lines.clone());
    let to = phones(30);
    for round in 0..3 {
        for phone in &to {
            desk.hears_as(&format!("{phone}-{round}"), phone, "hello");
        }
        loop {
            let (a, b) = tokio::join!(desk.engine.talker.tick(), other.tick());
            desk.engine.talker.outbox.idle().await;
            other.outbox.idle().await;
            if a.unwrap() + b.unwrap() == 0 {
                break;
            }
        }
    }
    for phone in &to {
        assert_eq!(desk.phone(phone), ["Yes?", "I see.", "And?", "I see.", "And?"]);
    }
}

#[actix_web::test]
async fn a_reply_whose_process_died_is_unconfirmed_and_never_sent_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, _, to) = desk.begun_survey(1).await;
    desk.hears_as("x", &to[0], "5");
    let by = Claimer { process: uuid::Uuid::new_v4(), now: desk.app.clock.now() };
    let claimed = desk.db(|conn| replies::claim(conn, desk.channel, 10, by).unwrap());
    assert_eq!(claimed.len(), 1);
    // That process dies here, perhaps after the provider had it.
    desk.talk().await;
    assert_eq!(desk.outbox("state = 'claimed'"), 1);
    desk.later(61);
    desk.talk().await;
    assert_eq!(desk.outbox("outcome = 14 AND detail = 'the sending process died'"), 1);
    desk.later(3600);
    desk.talk().await;
    assert_eq!(desk.phone(&to[0]).len(), 2, "nothing was sent again by itself");
    // What the dead process knew comes after all, and is true.
    let id = claimed[0].id;
    let settled = replies::SettledReply { id, attempt: 1, fate: Fate::Accepted { provider_ref: None } };
    let now = desk.app.clock.now();
    desk.db(|conn| replies::settle(conn, &[settled], now).unwrap());
    assert_eq!(desk.outbox("progress = 1 AND outcome IS NULL AND author = 'bot' AND step = 's3'"), 1);
}

#[actix_web::test]
async fn receipts_of_replies_merge_upwards_and_only_for_their_own_channel() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { receipt_ms: 3_600_000, ..prompt() });
    let (_, _, to) = desk.begun_survey(1).await;
    desk.hears(&to[0], "5").await;
    let id = MessageId(desk.number("SELECT id AS n FROM messages WHERE step = 's3'"));
    let tell = |key: MessageKey, status, channel| {
        let now = desk.app.clock.now();
        let receipts = [Receipt::of(key.into(), status)];
        desk.db(|conn| take_in_receipts(conn, channel, &receipts, now).unwrap())
    };
    let part = || MessageKey { id, attempt: 1 };
    assert_eq!(tell(part(), ReceiptStatus::Delivered, ChannelId(999)), 0, "another channel's news");
    assert_eq!(tell(part(), ReceiptStatus::Delivered, desk.channel), 1);
    assert_eq!(tell(part(), ReceiptStatus::Sent, desk.channel), 0, "late news takes nothing back");
    assert_eq!(tell(part(), ReceiptStatus::Failed, desk.channel), 0);
    assert_eq!(desk.outbox("step = 's3' AND outcome = 0"), 1);
    let theirs = desk.number("SELECT id AS n FROM messages WHERE author = 'contact'");
    assert_eq!(tell(MessageKey { id: MessageId(theirs), attempt: 1 }, ReceiptStatus::Delivered, desk.channel), 0);
}

#[actix_web::test]
async fn while_a_campaign_is_paused_its_bot_answers_and_does_not_speak_up_by_itself() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, _, to) = desk.begun_survey(3).await;
    let now = desk.app.clock.now();
    desk.db(|conn| control::actions::pause(conn, campaign, desk.admin, now).unwrap_or_else(|error| panic!("{error}")));
    desk.hears(&to[0], "4").await;
    assert_eq!(desk.phone(&to[0])[2..], ["Thank you for the 4.".to_owned()], "a conversation that has begun goes on");
    desk.later(2 * 3600);
    desk.talk().await;
    assert_eq!(desk.phone(&to[1]).len(), 2, "nobody asked for the reminder");
    let now = desk.app.clock.now();
    desk.db(|conn| control::actions::resume(conn, campaign, desk.admin, now).unwrap());
    desk.talk().await;
    assert_eq!(desk.phone(&to[1])[2..], ["Still there?".to_owned()]);
    assert_eq!(desk.phone(&to[0]).len(), 3, "who has answered is not reminded");
}

#[actix_web::test]
async fn a_reminder_that_waits_in_the_outbox_is_held_by_a_pause_and_ended_by_a_stop() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, to) = desk.begun_survey(2).await;
    desk.later(3601);
    let now = desk.app.clock.now();
    // Written down by the sweep, not claimed yet.
    assert_eq!(desk.db(|conn| bugle::conversations::actions::wake_next(conn, now).unwrap()), 2);
    assert_eq!(desk.outbox("purpose = 'reengager' AND state = 'queued'"), 2);
    desk.db(|conn| control::actions::pause(conn, campaign, desk.admin, now).unwrap());
    desk.talk().await;
    assert_eq!(desk.outbox("purpose = 'reengager' AND state = 'queued'"), 2, "held, not lost");
    desk.db(|conn| control::actions::stop(conn, campaign, desk.admin, now).unwrap());
    desk.talk().await;
    assert_eq!(desk.outbox("purpose = 'reengager' AND outcome = 20"), 2);
    assert_eq!(desk.phone(&to[0]).len(), 2);
    let wire = bugle::deliveries::quiet::look(&desk.app, Scope::Schedule(schedule)).await.unwrap();
    assert!(wire.is_quiet());
}

#[actix_web::test]
async fn after_a_stop_bots_are_silent_and_what_people_write_waits_in_the_inbox() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, _, to) = desk.begun_survey(2).await;
    let now = desk.app.clock.now();
    desk.db(|conn| control::actions::stop(conn, campaign, desk.admin, now).unwrap());
    desk.hears(&to[0], "4").await;
    desk.later(2 * 3600);
    desk.hears(&to[0], "hello?").await;
    assert_eq!(desk.phone(&to[0]).len(), 2);
    assert_eq!(desk.outbox("author = 'contact'"), 2, "received and kept");
    let fault = "SELECT count(*) AS n FROM conversations WHERE unanswered_since IS NOT NULL AND fault = 'Its campaign was stopped.'";
    assert_eq!(desk.number(fault), 1);
    assert_eq!(desk.phone(&to[1]).len(), 2, "and nobody is reminded");
}

#[actix_web::test]
async fn a_stop_waits_for_the_reply_on_the_wire_or_names_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    let to = vec!["12025550194".to_owned()];
    // The line goes silent for the first message as well, so the conversation begins with the reply.
    let (campaign, schedule, _) = desk.bot_campaign("Spring", bot, &to).await;
    desk.later(1);
    desk.tick().await;
    desk.hears_as("x", &to[0], "no idea");
    let by = Claimer { process: uuid::Uuid::new_v4(), now: desk.app.clock.now() };
    let claimed = desk.db(|conn| replies::claim(conn, desk.channel, 10, by).unwrap());
    assert_eq!(claimed.len(), 1);
    let scope = Scope::Schedule(schedule);
    let wire = bugle::deliveries::quiet::look(&desk.app, scope).await.unwrap();
    assert!(wire.is_quiet(), "an answer is nothing that a pause waits for");
    let now = desk.app.clock.now();
    desk.db(|conn| control::actions::stop(conn, campaign, desk.admin, now).unwrap());
    let wire = bugle::deliveries::quiet::look(&desk.app, scope).await.unwrap();
    assert_eq!((wire.n, wire.sends[0].address.as_str()), (1, to[0].as_str()));
    assert_eq!(desk.db(|conn| replies::claim(conn, desk.channel, 10, by).unwrap()).len(), 0);
}

#[actix_web::test]
async fn a_claim_and_a_stop_come_one_after_the_other() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, _, to) = desk.begun_survey(1).await;
    desk.hears_as("x", &to[0], "5");
    let (url, admin, now) = (desk.url.clone(), desk.admin, desk.app.clock.now());
    let channel = desk.channel;
    // A stop that has changed the states and not committed yet.
    let (stopped, may_commit) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let stopper = std::thread::spawn({
        let url = url.clone();
        move || {
            use diesel::Connection;
            let conn = &mut diesel::PgConnection::establish(&url).unwrap();
            conn.transaction(|conn| {
                control::actions::stop(conn, campaign, admin, now).unwrap();
                stopped.0.send(()).unwrap();
                may_commit.1.recv().unwrap();
                diesel::QueryResult::Ok(())
            })
            .unwrap();
        }
    });
    stopped.1.recv().unwrap();
    let claimer = std::thread::spawn(move || {
        use diesel::Connection;
        let conn = &mut diesel::PgConnection::establish(&url).unwrap();
        replies::claim(conn, channel, 10, Claimer { process: uuid::Uuid::new_v4(), now }).unwrap().len()
    });
    // The claim has seen the message and waits for what governs it.
    let waits =
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    until("the claim waits", || desk.number(waits) == 1).await;
    may_commit.0.send(()).unwrap();
    stopper.join().unwrap();
    assert_eq!(claimer.join().unwrap(), 0, "nothing is claimed after the stop has committed");
}

#[actix_web::test]
async fn bots_speak_up_no_faster_than_their_schedule_and_not_in_quiet_hours() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, _) = desk.begun_survey(30).await;
    desk.sql(&format!("UPDATE schedules SET rate = 10 WHERE id = {schedule}"));
    desk.sql("UPDATE settings SET quiet_from = '10:00', quiet_to = '11:00'");
    desk.at("2026-03-02 10:30");
    desk.talk().await;
    assert_eq!(desk.outbox("purpose = 'reengager'"), 0, "quiet hours");
    desk.at("2026-03-02 11:00");
    for minute in 1..=3 {
        for _ in 0..60 {
            desk.talk().await;
            desk.later(1);
        }
        assert_eq!(desk.outbox("purpose = 'reengager'"), minute * 10);
    }
}

#[actix_web::test]
async fn one_who_opts_out_is_not_reminded() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, _, to) = desk.begun_survey(2).await;
    desk.hears(&to[0], "Stop!").await;
    assert_eq!(
        desk.phone(&to[0])[2..],
        ["You will get no more messages from us. Reply START to get them again.".to_owned()]
    );
    desk.later(2 * 3600);
    desk.talk().await;
    assert_eq!((desk.phone(&to[0]).len(), desk.phone(&to[1]).len()), (3, 3));
    // Opted out elsewhere, while the reminder is queued.
    let (_, _, closed) = desk.newest(&to[0]);
    assert_eq!(closed.as_deref(), Some("opted out"));
}

#[actix_web::test]
async fn an_opt_out_stops_what_is_queued_already() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, _, to) = desk.begun_survey(1).await;
    desk.hears_as("a", &to[0], "5");
    assert_eq!(desk.outbox("state = 'queued'"), 1);
    desk.sql("UPDATE contacts SET opted_out_at = now()");
    desk.talk().await;
    assert_eq!(desk.outbox("outcome = 23"), 1);
    assert_eq!(desk.phone(&to[0]).len(), 2);
}

#[actix_web::test]
async fn who_is_blocked_by_a_bot_reads_its_last_words_and_nothing_after_them() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published(
        "Door",
        r##"[{"id": "a", "name": "Ask", "do": "ask", "text": "Password?", "routes": [], "otherwise": "b"},
             {"id": "b", "name": "Out", "do": "block", "text": "Never again."}]"##,
    );
    desk.inbound("Door", bot, &InboundPlan::default());
    let phone = "12025550100";
    desk.hears(phone, "hi").await;
    desk.hears(phone, "sesame").await;
    desk.hears(phone, "hello?").await;
    assert_eq!(desk.phone(phone), ["Password?", "Never again."]);
    assert_eq!(desk.outbox("author = 'contact'"), 3, "heard all the same");
    assert_eq!(desk.number("SELECT count(*) AS n FROM blocklist WHERE address = '12025550100'"), 1);
}

#[actix_web::test]
async fn a_bot_that_cannot_go_on_leaves_the_conversation_to_a_human() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    // As no check lets it through: a way to a step that is not there.
    let broken =
        SURVEY.replace(r#""otherwise": "s3""#, r#""otherwise": "gone""#).replace(r#""to": "s4""#, r#""to": "gone""#);
    desk.sql(&format!(
        "INSERT INTO bot_versions (bot_id, n, steps, note, made_at) VALUES ({bot}, 2, '{}'::jsonb, '', now())",
        broken.replace('\'', "''")
    ));
    let plan = InboundPlan { fallback: "One moment, please.".into(), ..InboundPlan::default() };
    let (_, schedule) = desk.inbound("Desk", bot, &plan);
    desk.sql(&format!("UPDATE schedules SET bot_version = 2 WHERE id = {schedule}"));
    let phone = "12025550100";
    desk.hears(phone, "hi").await;
    desk.hears(phone, "1").await;
    desk.hears(phone, "hello?").await;
    assert_eq!(desk.phone(phone), ["Hello there.", "From 1 to 5?", "One moment, please."], "once, and no loop");
    let parked = "SELECT count(*) AS n FROM conversations WHERE handler = 'human' AND unanswered_since IS NOT NULL AND fault LIKE '%“gone”%'";
    assert_eq!(desk.number(parked), 1);
}

#[actix_web::test]
async fn a_text_that_lacks_a_value_does_not_leave_and_says_why() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published(
        "Greeting",
        r##"[{"id": "a", "name": "Ask", "do": "ask", "text": "Yes?", "routes": [], "otherwise": "b"},
             {"id": "b", "name": "Order", "do": "message", "text": "Your order #order is on its way."},
             {"id": "c", "name": "Bye", "do": "close", "text": "Bye."}]"##,
    );
    desk.inbound("Desk", bot, &InboundPlan::default());
    desk.hears("12025550100", "hi").await;
    desk.hears("12025550100", "yes please").await;
    assert_eq!(desk.phone("12025550100"), ["Yes?", "Bye."]);
    assert_eq!(desk.outbox("outcome = 6 AND detail = '#order is missing' AND body LIKE '%#order%'"), 1);
}

#[actix_web::test]
async fn who_replies_to_a_message_of_unknown_fate_is_heard_in_its_conversation() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    // The line goes dead, and the phone has it.
    let to = vec!["12025550194".to_owned()];
    let (_, _, run) = desk.bot_campaign("Spring", bot, &to).await;
    desk.carrier(&Knobs { receipt_ms: 3_600_000, ..prompt() });
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.counts(run).unconfirmed, 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM conversations"), 0, "nobody knows yet whether there is one");
    desk.hears(&to[0], "1").await;
    let began = "SELECT count(*) AS n FROM conversations WHERE began = 'outbound' AND unanswered_since IS NOT NULL";
    assert_eq!(desk.number(began), 1, "the bot heard the 1 and handed over");
    // The receipt comes after all, and begins nothing a second time.
    desk.later(2 * 3600);
    desk.tick().await;
    assert_eq!(desk.counts(run).delivered, 1);
    assert_eq!(desk.number("SELECT count(*) AS n FROM conversations"), 1);
}

#[actix_web::test]
async fn a_message_finds_its_conversation_by_validity_and_direction() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let greeter = desk.published(
        "Greeter",
        r##"[{"id": "a", "name": "Ask", "do": "ask", "text": "Welcome. What is it?", "routes": [], "otherwise": "b"},
             {"id": "b", "name": "Bye", "do": "hand_over", "text": "A moment."}]"##,
    );
    let (_, _, to) = desk.begun_survey(1).await;
    let (first, ..) = desk.newest(&to[0]);

    // Outbound, open, over its validity: a new one on the same schedule.
    desk.at("2026-03-04 09:00");
    desk.hears(&to[0], "hello").await;
    let (second, handler, _) = desk.newest(&to[0]);
    assert!(second > first);
    assert_eq!(handler, "bot");
    assert_eq!(desk.phone(&to[0]).last().unwrap(), "From 1 to 5?", "its bot begins anew");
    desk.hears(&to[0], "4").await;
    assert_eq!(desk.newest(&to[0]).2.as_deref(), Some("ended by the bot"));

    // Closed, and no inbound schedule: it opens again, for humans.
    desk.hears(&to[0], "one more thing").await;
    assert_eq!(desk.newest(&to[0]), (second, "human".into(), None));

    // With one, and over its validity, an inbound conversation begins; who never wrote gets one as well.
    let (campaign, _) = desk.inbound("Front desk", greeter, &InboundPlan::default());
    desk.hears("12025550177", "hi").await;
    assert_eq!(desk.phone("12025550177"), ["Welcome. What is it?"]);
    let (inbound, ..) = desk.newest("12025550177");
    desk.at("2026-03-06 09:00");
    desk.hears("12025550177", "still me").await;
    assert!(desk.newest("12025550177").0 > inbound);
    assert_eq!(desk.phone("12025550177").len(), 2);

    // A longer validity holds at once, for the open one as well.
    let week = bugle::campaigns::inbound::Validity::of_minutes(7 * 24 * 60).unwrap();
    desk.db(|conn| campaigns::store::set_validity(conn, campaign, week).unwrap());
    desk.at("2026-03-09 09:00");
    desk.hears("12025550177", "and again").await;
    assert_eq!(desk.phone("12025550177").last().unwrap(), "A moment.", "the bot went on where it stood");
}

#[actix_web::test]
async fn outside_its_hours_an_inbound_campaign_says_so_once_and_a_human_is_waited_for() {
    let desk = Desk::open_at("2026-03-02 20:00").await;
    let bot = desk.published("Survey", SURVEY);
    let time = |h| chrono::NaiveTime::from_hms_opt(h, 0, 0).unwrap();
    let plan = InboundPlan {
        from: time(9),
        to: time(17),
        out_of_hours: "We are here from nine to five.".into(),
        ..InboundPlan::default()
    };
    desk.inbound("Desk", bot, &plan);
    desk.hears("12025550100", "anybody there?").await;
    desk.hears("12025550100", "hello?").await;
    assert_eq!(desk.phone("12025550100"), ["We are here from nine to five."]);
    assert_eq!(desk.newest("12025550100").1, "human");
}

#[actix_web::test]
async fn another_campaigns_message_takes_over_from_a_bot_and_not_from_a_human() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, _, to) = desk.begun_survey(2).await;
    desk.hears(&to[1], "1").await;
    let bot = desk.published("News", ECHO);
    desk.bot_campaign("Other", bot, &to).await;
    desk.later(1);
    desk.tick().await;
    let closed = "SELECT count(*) AS n FROM conversations WHERE closed_because = 'another campaign wrote'";
    assert_eq!(desk.number(closed), 1, "the survey of the first");
    let waiting = "SELECT count(*) AS n FROM conversations WHERE unanswered_since IS NOT NULL AND closed_at IS NULL";
    assert_eq!(desk.number(waiting), 1, "the human still has the second");
    desk.later(2 * 3600);
    desk.talk().await;
    assert!(!desk.phone(&to[0]).contains(&"Still there?".to_owned()), "the old bot is silent");
}

#[actix_web::test]
async fn replies_come_before_a_campaign_where_the_channel_has_a_limit() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Echo", ECHO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    desk.sql("UPDATE channels SET per_minute = 10");
    let (_, _, run) = desk.campaign("Bulk", 1000, "09:00-18:00", 6000.0).await;
    desk.later(1);
    for n in 0..4 {
        desk.hears_as(&format!("x{n}"), &format!("120255509{n:02}"), "hi");
    }
    desk.dispatch().await;
    desk.talk().await;
    assert_eq!(desk.counts(run).sent() + desk.counts(run).in_flight(), 6, "the rest of the minute");
    assert_eq!(desk.outbox("state = 'settled' AND author = 'bot'"), 4);
    desk.hears("12025550950", "hi").await;
    assert_eq!(desk.outbox("state = 'queued'"), 1, "no more than the channel's limit within a minute");
    desk.later(61);
    desk.talk().await;
    assert_eq!(desk.outbox("state = 'queued'"), 0);
}

#[actix_web::test]
async fn nobody_is_reminded_of_a_message_that_did_not_arrive() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Survey", SURVEY);
    // Accepted, then failed.
    let to = vec!["12025550184".to_owned()];
    let (_, _, run) = desk.bot_campaign("Spring", bot, &to).await;
    for _ in 0..3 {
        desk.later(1);
        desk.tick().await;
    }
    assert_eq!(desk.counts(run).failed, 1);
    desk.later(2 * 3600);
    desk.talk().await;
    assert_eq!(desk.outbox("purpose = 'reengager'"), 0);
    assert_eq!(desk.newest(&to[0]).2.as_deref(), Some("its first message did not arrive"));
}

#[actix_web::test]
async fn words_of_consent_begin_no_conversation_with_a_bot_and_leave_none_open() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Echo", ECHO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let phone = "12025550100";
    desk.hears(phone, "STOP").await;
    desk.hears(phone, "stop").await;
    desk.hears(phone, "help").await;
    desk.hears(phone, "start").await;
    let read = desk.phone(phone);
    assert_eq!(read.len(), 3, "confirmed once: {read:?}");
    assert!(read[0].contains("no more messages") && read[1].contains("Reply STOP") && read[2].contains("again"));
    assert_eq!(desk.number("SELECT count(*) AS n FROM conversations WHERE closed_at IS NULL"), 0);
    desk.hears(phone, "hi").await;
    assert_eq!(desk.phone(phone).last().unwrap(), "Yes?");
}

#[actix_web::test]
async fn what_providers_garble_is_kept_as_far_as_it_can_be_read() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let tell = |id: &str, from: &str, text: String| {
        Event::Inbound(Inbound { id: id.into(), from: from.into(), text, ..Inbound::default() })
    };
    let told = vec![
        tell("a", "+12025550100", "nul\0l".into()),
        tell("b", " ", "from nobody".into()),
        tell("", "12025550101", "without a name".into()),
        tell("c", "12025550102", "x".repeat(50_000)),
        tell("d", "12025550103", String::new()),
    ];
    let now = desk.app.clock.now();
    let n = bugle::conversations::intake::take_in(&desk.app, desk.channel, told, now).await.unwrap();
    assert_eq!(n, 3);
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts WHERE address = '12025550100'"), 1);
    assert_eq!(desk.number("SELECT max(length(body))::bigint AS n FROM messages"), 10_000);
}

#[actix_web::test]
async fn reminders_that_a_pause_holds_take_no_room_from_a_campaign() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, _, _) = desk.begun_survey(20).await;
    desk.later(3601);
    let now = desk.app.clock.now();
    while desk.db(|conn| bugle::conversations::actions::wake_next(conn, now).unwrap()) > 0 {}
    desk.db(|conn| control::actions::pause(conn, campaign, desk.admin, now).unwrap());
    assert_eq!(desk.outbox("purpose = 'reengager' AND state = 'queued'"), 20);
    desk.sql("UPDATE channels SET per_minute = 10");
    let file = (500..600).map(|n| format!("12125{n:06}")).collect::<Vec<_>>();
    let (_, _, run) = desk.campaign_to("Bulk", &file, "10:00-18:00", 6000.0, bugle::pacing::LatePolicy::CatchUp).await;
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.counts(run).sent() + desk.counts(run).in_flight(), 10);
}

/// Thanks for each message, and ends.
pub const THANKS: &str = r##"[{"id": "a", "name": "Thanks", "do": "close", "text": "Thanks, we got it."}]"##;

#[actix_web::test]
async fn a_bot_falls_silent_for_a_machine_and_shows_it_to_humans() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Thanks", THANKS);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let (machine, human) = (&phones(2)[0], &phones(2)[1]);
    for n in 0..40 {
        desk.hears(machine, &format!("I am out of office. Ref {n}")).await;
        desk.later(1);
    }

    assert_eq!(desk.phone(machine).len(), 5, "five rounds with the same words are enough");
    let of = |sql: &str| desk.number(&format!("SELECT count(*) AS n FROM conversations {sql}"));
    assert_eq!((of(""), of("WHERE unanswered_since IS NOT NULL")), (6, 1), "what comes since stands in one");
    let waiting = desk.number("SELECT id AS n FROM conversations WHERE unanswered_since IS NOT NULL");
    let thread = desk.visit(&format!("/inbox/{waiting}")).await;
    thread.shows("It fell silent after 5 rounds with the same words on both sides. It may be talking to a machine.");
    thread.shows("Bots are silent for this address");
    desk.hears(human, "Are you open?").await;
    assert_eq!(desk.phone(human).len(), 1, "others are answered");

    // After an hour of quiet, and not sooner, it goes on where it was.
    desk.at("2026-03-02 10:00:30");
    desk.hears(machine, "Still out of office").await;
    desk.at("2026-03-02 11:00:29");
    desk.hears(machine, "And still").await;
    assert_eq!(desk.phone(machine).len(), 5);
    desk.at("2026-03-02 12:00:29");
    desk.hears(machine, "Back again, are you open?").await;
    assert_eq!(desk.phone(machine).len(), 6);
    assert_eq!(of("WHERE unanswered_since IS NOT NULL"), 0);
}

#[actix_web::test]
async fn a_human_lets_a_silent_bot_answer_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Echo", ECHO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let it = &phones(1)[0];
    for n in 0..9 {
        desk.hears(it, &format!("Ticket {n} was received")).await;
    }
    assert_eq!(desk.phone(it).len(), 5);
    let thread = format!("/inbox/{}", desk.number("SELECT id AS n FROM conversations"));
    desk.visit(&thread).await.shows("Waits for a human");
    assert_eq!(desk.submit(&format!("{thread}/bots-answer")).await.status, 303);
    let page = desk.visit(&thread).await;
    page.shows("With the bot");
    page.lacks("Bots are silent");
    desk.hears(it, "bye").await;
    assert_eq!(desk.phone(it).len(), 6);
    assert_eq!(desk.phone(it).last().unwrap(), "Bye.");
    let again = desk.submit(&format!("{thread}/bots-answer")).await;
    assert_eq!(again.status, 409);
    again.shows("Bots answer this address already.");
}

#[actix_web::test]
async fn a_bot_that_fell_silent_leaves_it_to_the_human_who_took_it_up() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Echo", ECHO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    let it = &phones(1)[0];
    for n in 0..6 {
        desk.hears(it, &format!("Ticket {n} was received")).await;
    }
    let thread = format!("/inbox/{}", desk.number("SELECT id AS n FROM conversations"));
    desk.fill_in(&format!("{thread}/reply"), &[("body", "Who is this?"), ("seen", "9999999")]).await;
    desk.talk().await;
    desk.at("2026-03-02 11:00");
    desk.hears(it, "It is me").await;
    assert_eq!(desk.phone(it).len(), 6, "five answers and the human's");
}

#[actix_web::test]
async fn a_questionnaire_of_quick_questions_is_answered_to_its_end() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let step = |n: usize| {
        format!(
            r#"{{"id": "q{n}", "name": "Question {n}", "do": "ask", "text": "How is {}?", "otherwise": "q{}"}}"#,
            "x".repeat(n + 1),
            n + 1
        )
    };
    let steps: Vec<String> = (0..12).map(step).collect();
    let end = r#"{"id": "q12", "name": "End", "do": "close", "text": "Thank you."}"#;
    let bot = desk.published("Quiz", &format!("[{}, {end}]", steps.join(", ")));
    desk.inbound("Desk", bot, &InboundPlan::default());
    let it = &phones(1)[0];
    for _ in 0..13 {
        desk.hears(it, "5").await;
        desk.later(2);
    }
    assert_eq!(desk.phone(it).len(), 13);
    assert_eq!(desk.phone(it).last().unwrap(), "Thank you.");
}
