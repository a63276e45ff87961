//! Schedules that go to those whom another could not reach, mostly on another channel.

use bugle::deliveries::{Outcome, Show, Standing};
use bugle::engine::rescuer;
use bugle::ids::{RunId, ScheduleId};

use crate::approved::{draft, schedule};
use crate::desk::Desk;

/// A desk with a channel of WhatsApp and one of SMS, both of the sandbox, and a draft to WhatsApp numbers that goes
/// through the first and then, to whom that cannot reach, through the second.
struct Followed {
    desk: Desk,
    path: String,
    first: String,
    then: String,
}

const PEOPLE: &str = "phone,name,order\n+353861234121,Ada,A-7\n+353861234190,Ben,A-8\n+353861234184,Eve,A-9\n\
    +353861234195,Flo,A-10\n+353861234191,Gus,A-11\n+353861234192,Hal,A-12\n";

impl Followed {
    async fn open() -> Followed {
        let desk = Desk::open_at("2026-03-02 09:00").await;
        desk.sql("UPDATE channels SET kind = 'whatsapp' WHERE provider = 'sandbox'");
        let first = desk.number("SELECT id AS n FROM channels WHERE kind = 'whatsapp'").to_string();
        let sms = [("kind", "sms"), ("provider", "sandbox"), ("name", "Text"), ("sender", "Bugle"), ("per_minute", "")];
        let knobs = [
            ("latency_ms", "0"),
            ("latency_to_ms", "0"),
            ("long_tail", "0"),
            ("error_rate", "0"),
            ("per_second", "0"),
            ("receipt_ms", "1000"),
            ("silence_ms", "0"),
            ("seed", "1"),
        ];
        let added = desk.fill_in("/channels", &[&sms[..], &knobs[..]].concat()).await;
        assert_eq!(added.status, 303, "{}", added.html);
        let then = desk.number("SELECT id AS n FROM channels WHERE kind = 'sms' AND name = 'Text'").to_string();
        let path = draft(&desk, PEOPLE).await;
        let main = schedule(&first, &[("schedule_name", "WhatsApp"), ("body", "Hi #name|you#"), ("end", "12:00")]);
        let added = desk.fill_in(&format!("{path}/schedules"), &main).await;
        assert_eq!(added.status, 303, "{}", added.html);
        Followed { desk, path, first, then }
    }

    fn id(&self, name: &str) -> ScheduleId {
        ScheduleId(self.desk.number(&format!("SELECT id AS n FROM schedules WHERE name = '{name}'")))
    }

    fn run(&self, name: &str) -> RunId {
        self.desk.run_of(self.id(name))
    }

    async fn follows(&self, more: &[(&str, &str)]) -> crate::desk::Answer {
        let before = self.id("WhatsApp").to_string();
        let mut fields = vec![
            ("schedule_name", "SMS"),
            ("body", "Hello #name|you# by SMS"),
            ("after", &*before),
            ("after_minutes", "15"),
            ("start", "09:00"),
            ("end", "18:00"),
        ];
        fields.extend(more);
        self.desk.fill_in(&format!("{}/schedules", self.path), &schedule(&self.then, &fields)).await
    }

    /// Lets everything go on for so many minutes.
    async fn minutes(&self, n: i64) {
        for _ in 0..n * 2 {
            self.desk.later(30);
            self.desk.tick().await;
            rescuer::sweep(&self.desk.app).await.unwrap();
        }
    }

    fn texts(&self, phone: &str) -> Vec<String> {
        self.desk.received().into_iter().filter(|it| it.phone.ends_with(phone)).map(|it| it.body).collect()
    }
}

#[actix_web::test]
async fn whom_one_channel_cannot_reach_another_does_and_each_once() {
    let it = Followed::open().await;
    let desk = &it.desk;
    assert_eq!(it.follows(&[]).await.status, 303);
    let review = desk.visit(&format!("{}/edit", it.path)).await;
    review.shows("Those whom “WhatsApp” could not reach, 15 minutes after it has ended");
    assert_eq!(desk.fill_in(&format!("{}/launch", it.path), &[]).await.status, 303);
    it.minutes(3).await;
    let campaign = it.path.trim_start_matches("/campaigns/").to_owned();
    desk.visit(&format!("/campaigns?open={campaign}"))
        .await
        .shows("begins when it is known whom “WhatsApp” could not reach");
    assert_eq!(desk.counts(it.run("SMS")).audience, 0, "nobody yet");

    it.minutes(20).await;
    let (first, then) = (it.run("WhatsApp"), it.run("SMS"));
    let outcomes: Vec<String> = desk.lines(&format!(
        "SELECT concat(address, ' ', outcome) AS line FROM deliveries WHERE run_id = {first} ORDER BY seq"
    ));
    // Failed, failed later, opted out, window closed; and of one nobody knows.
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
    let sent: Vec<String> =
        desk.lines(&format!("SELECT address AS line FROM deliveries WHERE run_id = {then} ORDER BY seq"));
    assert_eq!(sent, ["353861234190", "353861234184", "353861234192"], "{outcomes:?}");
    assert_eq!(it.texts("21"), ["Hi Ada"]);
    assert!(it.texts("95").is_empty(), "whoever may have got it is left alone");
    let unknown = desk.ledger(first, Show::Outcome(Outcome::Unconfirmed));
    assert_eq!(unknown.len(), 1);
    assert!(
        desk.ledger(first, Show::Outcome(Outcome::OptedOut))
            .iter()
            .all(|it| it.standing == Standing::Final(Outcome::OptedOut))
    );
    let kinds = desk.lines(&format!(
        "SELECT DISTINCT c.kind AS line FROM deliveries d JOIN contacts c ON c.id = d.contact_id WHERE d.run_id = {then}"
    ));
    assert_eq!(kinds, ["sms"]);
    desk.check_counts();

    // Whoever was reached there is not sent to once more by a campaign for the rest of the first.
    desk.sql(&format!("UPDATE deliveries SET outcome = 0 WHERE run_id = {then} AND address LIKE '%92'"));
    let rest = desk.fill_in(&format!("/runs/{first}/rest"), &[("whom", "failed"), ("whom", "left_out")]).await;
    assert_eq!(rest.status, 303, "{}", rest.html);
    let left = "SELECT address AS line FROM file_rows WHERE file_id = (SELECT max(id) FROM files) ORDER BY seq";
    assert_eq!(desk.lines(left), ["353861234190", "353861234184"]);
    desk.sql(&format!("UPDATE deliveries SET outcome = 24 WHERE run_id = {then} AND address LIKE '%92'"));
}

#[actix_web::test]
async fn it_waits_for_a_pause_and_a_stop_ends_both() {
    let it = Followed::open().await;
    let desk = &it.desk;
    assert_eq!(it.follows(&[("after_minutes", "0")]).await.status, 303);
    assert_eq!(desk.fill_in(&format!("{}/launch", it.path), &[]).await.status, 303);
    let paused = desk.press(&format!("/schedules/{}/pause", it.id("WhatsApp"))).await;
    assert!(matches!(paused.status, 200 | 303), "{}", paused.html);
    it.minutes(30).await;
    assert!(desk.received().is_empty());
    assert_eq!(
        desk.number(&format!(
            "SELECT count(*) AS n FROM schedule_runs WHERE id = {} AND prepared_at IS NULL",
            it.run("SMS")
        )),
        1
    );
    desk.press(&format!("/schedules/{}/resume", it.id("WhatsApp"))).await;
    it.minutes(2).await;
    assert_eq!(it.texts("21").len(), 1);
    let campaign = it.path.clone();
    desk.fill_in(&format!("{campaign}/stop"), &[("word", "STOP")]).await;
    let n = desk.received().len();
    it.minutes(30).await;
    assert_eq!(desk.received().len(), n, "nothing after STOP");
    desk.check_counts();
}

#[actix_web::test]
async fn what_cannot_follow_is_said_in_the_form_and_before_the_launch() {
    let it = Followed::open().await;
    let desk = &it.desk;
    // Without a schedule to follow, contacts of WhatsApp are not for SMS.
    let refused = it.follows(&[("after", "")]).await;
    assert_eq!(refused.status, 422);
    refused.shows("The contacts' addresses are not of this kind");
    let gone = it.follows(&[("after", "999")]).await;
    gone.shows("That schedule is not there any more");
    let never = it.follows(&[("after_minutes", "soon")]).await;
    never.shows("A whole number from 0");
    assert_eq!(it.follows(&[]).await.status, 303);
    // The one that is followed cannot go while the other is there.
    let removed = desk.press(&format!("{}/schedules/{}/remove", it.path, it.id("WhatsApp"))).await;
    assert_ne!(removed.status, 303);
    // One channel cannot be its own way out.
    desk.sql(&format!("UPDATE schedules SET channel_id = {} WHERE name = 'SMS'", it.first));
    desk.visit(&format!("{}/edit", it.path)).await.shows("both send through one channel");
    desk.sql(&format!("UPDATE schedules SET channel_id = {}, start_time = '08:00' WHERE name = 'SMS'", it.then));
    desk.visit(&format!("{}/edit", it.path)).await.shows("it starts before that one");
    desk.sql("UPDATE schedules SET start_time = '09:00' WHERE name = 'SMS'");
    desk.visit(&format!("{}/edit", it.path)).await.lacks("cannot reach, and");

    // A copy follows its own.
    let copy = desk.press(&format!("{}/duplicate", it.path)).await;
    assert!(matches!(copy.status, 200 | 303), "{}", copy.html);
    let follows = desk.number(
        "SELECT count(*) AS n FROM schedules s JOIN schedules b ON b.id = (s.rules #>> '{after,schedule}')::bigint
         WHERE s.campaign_id = b.campaign_id",
    );
    assert_eq!(follows, 2);
}
