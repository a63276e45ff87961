//! Conversations: bots that campaigns send, what people answer, and what PAUSE and STOP mean in between.

use bugle::bots::examples::Example;
use bugle::bots::steps::Steps;
use bugle::channels::Inbound;
use bugle::conversations::actions::{TakenIn, take_in};
use bugle::ids::{BotId, CampaignId, RunId, ScheduleId};
use bugle::senders::setups;

use crate::desk::{Desk, phones};

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
        use bugle::campaigns::{CampaignKind, actions};
        use bugle::schedules::Draft;
        let (file, now) = (self.file(to), self.app.clock.now());
        let time = |h| chrono::NaiveTime::from_hms_opt(h, 0, 0).unwrap();
        let plan = Draft::once("Main", self.channel, "", now.date_naive(), time(9), time(18), 6000.0);
        let plan = Draft { bot: Some(Pinned { bot, version: 1 }), ..plan };
        let (campaign, schedule) = self.db(|conn| {
            let id = actions::create(conn, name, CampaignKind::OnceOff, chrono_tz::UTC, self.admin, now).unwrap();
            actions::set_file(conn, id, Some(file)).unwrap();
            let schedule = actions::add_schedule(conn, id, &plan).unwrap();
            actions::launch(conn, id, self.admin, now).unwrap();
            (id, schedule)
        });
        bugle::engine::starter::tick(&self.app).await.unwrap();
        (campaign, schedule, self.run_of(schedule))
    }

    /// Somebody writes a message with this name at the provider.
    pub fn hears_as(&self, id: &str, from: &str, text: &str) -> TakenIn {
        let now = self.app.clock.now();
        let inbound = Inbound { id: id.to_owned(), from: from.to_owned(), text: text.to_owned(), at: None };
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
