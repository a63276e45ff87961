//! Sending to the letter: how much is claimed, when it begins, and whose fault a refusal is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::Data;
use async_trait::async_trait;
use bugle::app::App;
use bugle::campaigns::inbound::InboundPlan;
use bugle::clock::Clock;
use bugle::conversations::intake::take_in_receipts;
use bugle::deliveries::claim::Claimer;
use bugle::deliveries::{Outcome, Show, actions, quiet};
use bugle::engine::dispatcher::Dispatcher;
use bugle::engine::talker::Talker;
use bugle::engine::{rescuer, starter};
use bugle::ids::RunId;
use bugle::providers::key::DeliveryKey;
use bugle::providers::{
    Able, Call, Envelope, Forged, Gate, Heard, Later, Provider, Receipt, ReceiptStatus, RetryScope, SendOutcome,
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::desk::{Desk, instant, phones, until};
use crate::promises::Barrier;

const HELLO: &str = r##"[{"id": "a", "name": "1", "do": "close", "text": "Hello"}]"##;

/// Whether somebody waits for a lock.
const WAITS: &str =
    "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// Lets a tick come to where a barrier stands, and asks `meanwhile` before it may go on.
async fn held_up(desk: &Desk, table: &'static str, meanwhile: impl AsyncFnOnce()) {
    let barrier = Barrier::on(desk, table);
    let dispatcher = desk.engine.dispatcher.clone();
    let tick = actix_web::rt::spawn(async move { dispatcher.tick().await.unwrap() });
    until("the claim waits", || desk.number(WAITS) == 1).await;
    meanwhile().await;
    barrier.let_go();
    tick.await.unwrap();
    desk.engine.dispatcher.outbox.idle().await;
}

/// The most that reached phones within any 60 s.
fn most_in_a_minute(desk: &Desk) -> usize {
    let at: Vec<DateTime<Utc>> = desk.received().iter().map(|it| it.at).collect();
    let within =
        |from: &DateTime<Utc>| at.iter().filter(|it| from <= *it && **it < *from + TimeDelta::minutes(1)).count();
    at.iter().map(within).max().unwrap_or(0)
}

fn open_leases(desk: &Desk) -> i64 {
    desk.number("SELECT coalesce(sum(open), 0)::bigint AS n FROM leases")
}

// ---- places on the wire ----------------------------------------------------------

#[actix_web::test]
async fn while_nothing_can_be_written_down_no_more_is_claimed_than_there_are_places() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 1_000, "09:00-12:00", 60_000.0).await;
    desk.later(2);
    starter::tick(&desk.app).await.unwrap();
    // Results cannot be written; claims can.
    let barrier = Barrier::on(&desk, "deliveries");
    let claimed = desk.engine.dispatcher.tick().await.unwrap();
    until("all that was claimed has left", || desk.received().len() == claimed).await;
    assert_eq!((claimed, desk.engine.dispatcher.outbox.in_flight(), open_leases(&desk)), (64, 64, 64));
    barrier.let_go();
    desk.engine.dispatcher.outbox.idle().await;
    assert_eq!(open_leases(&desk), 0);

    for _ in 0..5 {
        desk.later(1);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).delivered, desk.received().len()), (1_000, 1_000));
}

#[actix_web::test]
async fn while_no_reply_can_be_written_down_no_more_is_claimed_than_there_are_places() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Hello", HELLO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    for phone in phones(80) {
        desk.hears_as(&phone, &phone, "hi");
    }
    desk.sql("CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'disk full'; END $$");
    desk.sql("CREATE TRIGGER disk_full BEFORE UPDATE ON messages FOR EACH ROW WHEN (NEW.state = 'settled') EXECUTE FUNCTION disk_full()");
    assert_eq!(desk.engine.talker.tick().await.unwrap(), 64);
    until("all that was claimed has left", || desk.received().len() == 64).await;
    assert_eq!(desk.engine.talker.tick().await.unwrap(), 0);

    desk.sql("DROP TRIGGER disk_full ON messages");
    desk.engine.talker.outbox.idle().await;
    desk.talk().await;
    assert_eq!(desk.received().len(), 80);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE state IN ('queued', 'claimed')"), 0);
}

#[actix_web::test]
async fn a_text_that_cannot_be_read_leaves_nothing_claimed() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Hello", HELLO);
    let (.., run) = desk.bot_campaign("Spring", bot, &phones(5)).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    desk.sql("ALTER TABLE bot_versions DISABLE TRIGGER USER");
    desk.sql("UPDATE bot_versions SET steps = jsonb_build_object('was', steps)");
    desk.dispatch().await;
    assert_eq!((desk.engine.dispatcher.outbox.in_flight(), open_leases(&desk)), (0, 0));
    assert_eq!(desk.counts(run).unsent(), 5);

    desk.sql("UPDATE bot_versions SET steps = steps -> 'was'");
    desk.later(1);
    desk.tick().await;
    assert_eq!(desk.counts(run).delivered, 5);
}

/// From here on no claim can ask who is not to be written to.
fn forgets_whom_it_must_not_write_to(desk: &Desk) {
    desk.sql("ALTER TABLE blocklist RENAME TO out_of_reach");
}

fn remembers(desk: &Desk) {
    desk.sql("ALTER TABLE out_of_reach RENAME TO blocklist");
}

#[actix_web::test]
async fn contacts_whose_claim_could_not_ask_for_consent_are_not_sent_to_and_come_round_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6000.0).await;
    desk.sql("UPDATE contacts SET opted_out_at = now() WHERE id = (SELECT min(id) FROM contacts)");
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    forgets_whom_it_must_not_write_to(&desk);
    let dispatcher = desk.engine.dispatcher.clone();
    let tick = actix_web::rt::spawn(async move { dispatcher.tick().await.unwrap() });
    let came_back = "SELECT count(*) AS n FROM leases WHERE open = 0";
    until("what was claimed is settled", || desk.number(came_back) > 0).await;
    assert_eq!(desk.received().len(), 0, "sent without having asked");

    remembers(&desk);
    tick.await.unwrap();
    desk.engine.dispatcher.outbox.idle().await;
    desk.tick().await;
    assert_eq!(desk.received().len(), 0, "each claim is an attempt: not again at once");
    desk.later(1);
    desk.tick().await;
    let counts = desk.counts(run);
    assert_eq!((counts.delivered, counts.skipped, counts.unsent(), desk.received().len()), (4, 1, 0, 4));
}

#[actix_web::test]
async fn replies_whose_claim_could_not_ask_for_consent_do_not_leave_and_come_round_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Hello", HELLO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    for phone in phones(2) {
        desk.hears_as(&phone, &phone, "hi");
    }
    desk.sql("UPDATE contacts SET opted_out_at = now() WHERE id = (SELECT min(id) FROM contacts)");
    forgets_whom_it_must_not_write_to(&desk);
    let talker = desk.engine.talker.clone();
    let tick = actix_web::rt::spawn(async move { talker.tick().await.unwrap() });
    let tried = "SELECT count(*) AS n FROM messages WHERE attempt > 0 AND (state = 'settled' OR detail IS NOT NULL)";
    until("what was claimed is settled", || desk.number(tried) == 2).await;
    assert_eq!(desk.received().len(), 0, "sent without having asked");

    remembers(&desk);
    tick.await.unwrap();
    desk.talk().await;
    assert_eq!(desk.received().len(), 0, "each claim is an attempt: not again at once");
    desk.later(1);
    desk.talk().await;
    assert_eq!(desk.received().iter().map(|it| it.phone.clone()).collect::<Vec<_>>(), phones(2)[1..]);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE state IN ('queued', 'claimed')"), 0);
}

#[actix_web::test]
async fn told_to_end_while_replies_are_claimed_it_waits_for_them_and_gives_them_back() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Hello", HELLO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    for phone in phones(3) {
        desk.hears_as(&phone, &phone, "hi");
    }
    let barrier = Barrier::on(&desk, "messages");
    let talker = desk.engine.talker.clone();
    let tick = actix_web::rt::spawn(async move { talker.tick().await.unwrap() });
    until("the claim waits", || desk.number(WAITS) == 1).await;
    desk.engine.talker.outbox.hold();
    let idle = tokio::time::timeout(Duration::from_millis(50), desk.engine.talker.outbox.idle()).await;
    assert!(idle.is_err(), "it would have ended in the middle of a claim");
    barrier.let_go();
    tick.await.unwrap();
    desk.engine.talker.outbox.idle().await;
    assert_eq!(desk.received().len(), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE state = 'queued'"), 3);

    let next = Talker::new(desk.app.clone(), desk.engine.dispatcher.lines.clone());
    next.tick().await.unwrap();
    next.outbox.idle().await;
    assert_eq!(desk.received().len(), 3);
}

#[actix_web::test]
async fn told_to_end_while_contacts_are_claimed_it_gives_them_back() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6000.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    held_up(&desk, "leases", async || desk.engine.dispatcher.outbox.hold()).await;
    assert_eq!((desk.received().len(), open_leases(&desk), desk.counts(run).unsent()), (0, 0, 5));

    desk.another_engine().tick().await.unwrap();
    until("the next one sends them", || desk.received().len() == 5).await;
    until("and writes it down", || desk.counts(run).sent() == 5).await;
}

#[actix_web::test]
async fn what_receipts_say_before_the_result_is_not_on_the_wire_any_more() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6000.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    // A process claims them, hands over three, and dies; their receipts come.
    let now = desk.app.clock.now();
    let by = Claimer { process: uuid::Uuid::new_v4(), now };
    let leave = actions::Leave { most: 5, part: None, n_fields: desk.n_fields(run) };
    let claimed = desk.db(|conn| actions::claim(conn, run, &leave, by).unwrap());
    assert_eq!(claimed.claims[0].contacts.len(), 5);
    let news: Vec<Receipt> =
        (1..=3).map(|seq| Receipt::of(DeliveryKey { run, seq, attempt: 1 }.into(), ReceiptStatus::Delivered)).collect();
    desk.db(|conn| take_in_receipts(conn, desk.channel, &news, now).unwrap());

    let wire = quiet::look(&desk.app, bugle::deliveries::counts::Scope::Schedule(schedule)).await.unwrap();
    assert_eq!((wire.n, wire.sends.len()), (2, 2));
    assert_eq!(desk.counts(run).in_flight(), 2);
    desk.later(61);
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!((desk.counts(run).unconfirmed, desk.counts(run).delivered), (2, 3));
}

// ---- holds and ends --------------------------------------------------------------

#[actix_web::test]
async fn nothing_begins_after_the_end_or_in_a_hold_though_it_was_claimed_before() {
    const QUIET: &str = "UPDATE settings SET quiet_from = '09:10', quiet_to = '11:00'";
    const LOCAL: &str = r#"UPDATE schedule_runs SET rules = '{"local": {"from": "08:00:00", "to": "09:10:00"}}'"#;
    const AT_HOME: &str = r#"UPDATE deliveries SET "values" = "values" || '{"tz": "UTC"}'"#;
    let cases: [(&str, &[&str]); 3] =
        [("09:00-09:10", &[]), ("09:00-12:00", &[QUIET]), ("09:00-12:00", &[LOCAL, AT_HOME])];
    for (window, rules) in cases {
        let desk = Desk::open_at("2026-03-02 09:00").await;
        let (.., run) = desk.campaign("Spring offer", 5, window, 6000.0).await;
        for rule in rules {
            desk.sql(rule);
        }
        desk.tick().await;
        let before = desk.received().len();
        desk.app.clock.set(instant("2026-03-02 09:09:59") + TimeDelta::milliseconds(200));
        held_up(&desk, "leases", async || desk.at("2026-03-02 09:10")).await;

        assert_eq!(desk.received().len(), before, "begun after {window}, {rules:?}");
        desk.tick().await;
        desk.tick().await;
        let unsent = desk.counts(run).unsent();
        assert_eq!((unsent, open_leases(&desk)), (5 - before as i64, 0));
        let state = if rules.is_empty() { "overrun" } else { "running" };
        assert_eq!(desk.state("schedule_runs", run.0), state);
        if rules.is_empty() {
            assert_eq!(desk.ledger(run, Show::Outcome(Outcome::Overrun)).len() as i64, unsent);
        }
    }
}

#[actix_web::test]
async fn a_claim_asks_the_settings_as_they_are_and_not_as_they_were() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6000.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    let by = Claimer { process: uuid::Uuid::new_v4(), now: desk.app.clock.now() };
    let leave = actions::Leave { most: 5, part: None, n_fields: desk.n_fields(run) };
    for held in ["quiet_from = '08:00', quiet_to = '20:00'", "cap_messages = 1, cap_days = 1"] {
        desk.sql(&format!("UPDATE settings SET {held}"));
        if held.starts_with("cap") {
            desk.sql("UPDATE settings SET quiet_from = NULL, quiet_to = NULL");
            let (.., other) = desk.campaign("Before", 5, "09:00-12:00", 6000.0).await;
            desk.later(1);
            desk.sql(&format!("UPDATE schedule_runs SET state = 'paused', paused_at = now() WHERE id = {run}"));
            desk.tick().await;
            assert_eq!(desk.counts(other).delivered, 5);
            desk.sql(&format!("UPDATE schedule_runs SET state = 'running', paused_at = NULL WHERE id = {run}"));
        }
        let by = Claimer { now: desk.app.clock.now(), ..by };
        let claimed = desk.db(|conn| actions::claim(conn, run, &leave, by).unwrap());
        assert!(claimed.claims.iter().all(|claim| claim.contacts.is_empty()), "claimed although {held}");
    }
}

#[actix_web::test]
async fn quiet_hours_that_hold_already_are_saved_when_nothing_claimed_before_can_begin() {
    let blackout: &[(&str, &str)] = &[("name", "Strike"), ("first_day", "2026-03-02"), ("last_day", "")];
    let hours: &[(&str, &str)] = &[("quiet_from", "08:00"), ("quiet_to", "20:00"), ("jitter_minutes", "0")];
    for (path, form) in [("/settings/quiet", hours), ("/settings/blackouts", blackout)] {
        let desk = Desk::open_at("2026-03-02 09:00").await;
        let (.., run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6000.0).await;
        desk.later(1);
        starter::tick(&desk.app).await.unwrap();
        held_up(&desk, "leases", async || assert_eq!(desk.fill_in(path, form).await.status, 303)).await;
        assert_eq!(desk.received().len(), 0, "begun after {path} had answered");
        assert_eq!((open_leases(&desk), desk.counts(run).unsent()), (0, 5));
        desk.later(60);
        desk.tick().await;
        assert_eq!(desk.received().len(), 0);
    }
}

// ---- rates and limits ------------------------------------------------------------

#[actix_web::test]
async fn a_limit_holds_for_sends_though_they_begin_later_than_they_were_claimed() {
    for (per_minute, rate) in [("10", 6_000.0), ("NULL", 1.0)] {
        let desk = Desk::open_at("2026-03-02 09:00").await;
        desk.sql(&format!("UPDATE channels SET per_minute = {per_minute}"));
        let (.., run) = desk.campaign("Spring offer", 100, "09:00-12:00", rate).await;
        starter::tick(&desk.app).await.unwrap();
        desk.later(i64::from(rate > 1.0));
        let claimed_at = desk.app.clock.now();
        held_up(&desk, "leases", async || desk.app.clock.set(claimed_at + TimeDelta::milliseconds(800))).await;
        let first = desk.received().len();
        assert_eq!(first, if rate > 1.0 { 10 } else { 1 });

        for second in 1..=63 {
            desk.app.clock.set(claimed_at + TimeDelta::seconds(second));
            desk.dispatch().await;
        }
        assert_eq!(most_in_a_minute(&desk), first, "at {per_minute} and {rate}");
        assert_eq!(desk.counts(run).sent(), 2 * first as i64, "and the next minute has its full share");
    }
}

/// A carrier that takes so many a second, by the desk's clock.
struct Stingy {
    clock: Clock,
    a_second: usize,
    second: Mutex<(DateTime<Utc>, usize)>,
    refused: AtomicUsize,
}

impl Stingy {
    /// An app on the desk's database that sends through such a carrier.
    fn takes(desk: &Desk, a_second: usize) -> (Arc<Stingy>, Data<App>) {
        let clock = desk.app.clock.clone();
        let second = Mutex::new((clock.now(), 0));
        let stingy = Arc::new(Stingy { clock, a_second, second, refused: AtomicUsize::new(0) });
        let carrier = stingy.clone();
        let app = App { providers: Arc::new(move |_| carrier.clone()), ..App::clone(&desk.app) };
        (stingy, Data::new(app))
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Provider for Stingy {
    async fn send(&self, _: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        if !gate() {
            return None;
        }
        let now = self.clock.now();
        let mut second = self.second.lock().unwrap();
        if second.0 + TimeDelta::seconds(1) <= now {
            *second = (now, 0);
        }
        second.1 += 1;
        if second.1 <= self.a_second {
            return Some(SendOutcome::Accepted { provider_ref: None });
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        let code = "slower".to_owned();
        let (why, after) = (Later::TooFast, Duration::from_secs(1));
        Some(SendOutcome::RetryLater { why, after, scope: RetryScope::Channel, code })
    }

    fn able(&self) -> Able {
        Able { choices: true, ..Able::TEXT }
    }

    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        Ok(Heard::default())
    }
}

/// A minute of a run at a hundred a second, through a carrier that takes twenty, with
/// two engines. Returns how often it was refused.
async fn throttled(desk: &Desk) -> (RunId, usize) {
    let (.., run) = desk.campaign("Spring offer", 6_000, "09:00-09:01", 6_000.0).await;
    let (stingy, app) = Stingy::takes(desk, 20);
    let engines = [(); 2].map(|()| Dispatcher::new(app.clone(), Arc::default()));
    for _ in 0..62 {
        desk.later(1);
        starter::tick(&desk.app).await.unwrap();
        for engine in &engines {
            engine.tick().await.unwrap();
            engine.outbox.idle().await;
        }
        rescuer::tick(&desk.app).await.unwrap();
    }
    (run, stingy.refused())
}

#[actix_web::test]
async fn a_carrier_that_throttles_makes_nobody_be_given_up_and_is_sent_to_as_fast_as_it_takes() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (run, refused) = throttled(&desk).await;
    let counts = desk.counts(run);
    assert_eq!((counts.failed, counts.unconfirmed, counts.in_flight()), (0, 0, 0));
    assert!(refused < 40, "refused {refused} times");
    assert!(counts.sent() > 60 * 20 * 6 / 10, "{} sent", counts.sent());
    // The others are overrun, those that waited for another try among them.
    assert_eq!(desk.state("schedule_runs", run.0), "overrun");
    assert_eq!(counts.sent() + counts.unsent(), 6_000);
}

#[actix_web::test]
async fn one_refusal_of_a_channel_spares_the_rest_of_the_batch() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Spring offer", 500, "09:00-12:00", 6_000.0).await;
    let (stingy, app) = Stingy::takes(&desk, 20);
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    let engine = Dispatcher::new(app, Arc::default());
    engine.tick().await.unwrap();
    engine.outbox.idle().await;
    assert_eq!(stingy.refused(), 1);
    // Everybody sees that the channel is held, and how fast it may go on.
    let paced = desk.number("SELECT pace::bigint AS n FROM channels WHERE held_until > paced_at");
    assert_eq!(paced, 21 * 60 * 7 / 10);
}

#[actix_web::test]
async fn a_channel_that_throttles_makes_no_reply_be_given_up() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Hello", HELLO);
    desk.inbound("Desk", bot, &InboundPlan::default());
    for phone in phones(30) {
        desk.hears_as(&phone, &phone, "hi");
    }
    // It takes nothing at all.
    let (stingy, app) = Stingy::takes(&desk, 0);
    let talker = Talker::new(app, Arc::default());
    for _ in 0..10 {
        desk.later(10);
        talker.tick().await.unwrap();
        talker.outbox.idle().await;
    }
    assert!((6..=10).contains(&stingy.refused()), "{}", stingy.refused());
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE state = 'queued'"), 30);
    desk.later(3600);
    desk.talk().await;
    assert_eq!(desk.received().len(), 30);
}
