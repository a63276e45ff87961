//! The database knows less than it had confirmed: an older state is restored under a
//! process that lives, or one that starts. Everything is held, and nobody gets anything twice.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bugle::access::Role;
use bugle::app::App;
use bugle::config::Settings;
use bugle::control::actions as campaigns;
use bugle::control::actions::{pause, resume};
use bugle::deliveries::claim::Claimer;
use bugle::deliveries::{self, Fate, Settled};
use bugle::engine::{rescuer, starter, watcher};
use bugle::ids::{CampaignId, RunId, ScheduleId};
use bugle::marks::Marks;
use bugle::marks::store::{is_held, name_of_installation};
use bugle::providers::key::SendKey;
use bugle::providers::sandbox::Knobs;
use bugle::providers::{Receipt, ReceiptStatus};
use bugle::{db, server};
use diesel::PgConnection;
use diesel::connection::SimpleConnection;

use crate::desk::{Answer, Desk, Received, keeper_of, phones, prompt, until};
use crate::recurring::{every_day, recurring};

/// The server of a desk's database, with everybody thrown out of that.
fn beside(desk: &Desk) -> (PgConnection, String) {
    let name = desk.url.rsplit_once("dbname=").unwrap().1.to_owned();
    let mut server = keeper_of("postgres");
    let out = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'");
    server.batch_execute(&out).unwrap();
    (server, name)
}

/// An older state that can come back.
struct Dump {
    name: String,
    received: Vec<Received>,
}

impl Dump {
    fn of(desk: &mut Desk) -> Dump {
        let received = desk.received();
        let (mut server, name) = beside(desk);
        server.batch_execute(&format!("CREATE DATABASE {name}_then TEMPLATE {name} OWNER bugle")).unwrap();
        desk.reconnects();
        Dump { name: format!("{name}_then"), received }
    }

    /// Puts this state in the place of the present one. Returns what phones got of which it knows nothing.
    fn comes_back(&self, desk: &mut Desk) -> Vec<Received> {
        let forgotten = desk.received().split_off(self.received.len());
        let (mut server, name) = beside(desk);
        server.batch_execute(&format!("DROP DATABASE {name}")).unwrap();
        server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {} OWNER bugle", self.name)).unwrap();
        desk.reconnects();
        forgotten
    }
}

/// Everything that phones got, whatever the database forgot of it.
fn ever(desk: &Desk, forgotten: &[Received]) -> Vec<Received> {
    desk.received().into_iter().chain(forgotten.iter().cloned()).collect()
}

#[track_caller]
fn nobody_twice(received: &[Received]) {
    let distinct: HashSet<&str> = received.iter().map(|it| it.phone.as_str()).collect();
    assert_eq!(distinct.len(), received.len(), "somebody got it twice");
}

fn held(desk: &Desk) -> bool {
    desk.db(|conn| is_held(conn).unwrap())
}

/// A second goes by, with everything that a process does in it.
async fn tick(desk: &Desk) {
    desk.later(1);
    watcher::tick(&desk.app).await.unwrap();
    desk.tick().await;
}

async fn released(desk: &Desk, those: &str) -> Answer {
    let answer = desk.fill_in("/lost-history", &[("word", "RELEASE"), ("those", those)]).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/lost-history")));
    watcher::tick(&desk.app).await.unwrap();
    answer
}

/// A process whose mark lies in this folder.
async fn with_a_mark_in(desk: &mut Desk, dir: &Path) {
    let installation = desk.db(|conn| name_of_installation(conn).unwrap());
    // The place of the process before is free once that is gone.
    let before = Arc::downgrade(&desk.app.marks);
    desk.goes_on_as(Arc::default());
    until("the process before is gone", || before.upgrade().is_none()).await;
    desk.goes_on_as(Arc::new(Marks::open(dir, &installation).unwrap()));
}

/// A campaign of `n` that sends ten a second, of whom about `sent` have got it.
async fn under_way(desk: &Desk, n: usize, sent: usize) -> (CampaignId, ScheduleId, RunId) {
    let it = desk.campaign("Spring offer", n, "09:00-12:00", 600.0).await;
    while desk.received().len() < sent {
        tick(desk).await;
    }
    it
}

#[actix_web::test]
async fn an_older_state_is_noticed_before_the_next_claim_and_nobody_gets_it_twice() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = under_way(&desk, 200, 50).await;
    let dump = Dump::of(&mut desk);
    let n_then = dump.received.len();
    while desk.received().len() < 120 {
        desk.later(1);
        desk.dispatch().await;
    }
    let forgotten = dump.comes_back(&mut desk);
    assert!(60 < forgotten.len(), "{}", forgotten.len());
    let last = n_then + forgotten.len();

    desk.later(1);
    assert_eq!((desk.dispatch().await, held(&desk)), (0, true));
    assert_eq!(desk.counts(run).unconfirmed, forgotten.len() as i64);
    desk.check_counts();
    for _ in 0..5 {
        tick(&desk).await;
    }
    assert_eq!(desk.received().len(), n_then, "sent while everything was held");
    assert_eq!(desk.state("schedule_runs", run.0), "running", "ended while everything was held");

    desk.visit("/campaigns").await.shows("Everything is held.");
    let page = desk.visit("/lost-history").await;
    page.shows("Spring offer-2026-03-02");
    page.shows(&format!("Contacts {} to {last} ({}) may have got it", n_then + 1, forgotten.len()));
    page.shows("It knows of nothing between");
    let refused = desk.fill_in("/lost-history", &[("word", "release")]).await;
    assert_eq!((refused.status, held(&desk)), (422, true));
    // A receipt of what the database does not know of settles it.
    let receipt = Receipt::of(SendKey::parse(&forgotten[0].part).unwrap(), ReceiptStatus::Delivered);
    let now = desk.app.clock.now();
    desk.db(|conn| bugle::conversations::intake::take_in_receipts(conn, desk.channel, &[receipt], now).unwrap());
    assert_eq!(desk.counts(run).unconfirmed, forgotten.len() as i64 - 1);

    released(&desk, "unconfirmed").await;
    desk.visit("/campaigns").await.lacks("Everything is held.");
    desk.visit("/lost-history").await.shows("Nothing is held");
    while desk.state("schedule_runs", run.0) != "completed" {
        tick(&desk).await;
    }
    let received = ever(&desk, &forgotten);
    nobody_twice(&received);
    assert_eq!(received.len(), 200, "somebody was forgotten");
    assert_eq!(desk.counts(run).unconfirmed, forgotten.len() as i64 - 1);
    let written = |what: &str| desk.number(&format!("SELECT count(*) AS n FROM journal WHERE happened = '{what}'"));
    assert_eq!((written("history.lost"), written("history.released")), (1, 1));
}

#[actix_web::test]
async fn whoever_starts_on_an_older_state_notices_by_its_mark_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    with_a_mark_in(&mut desk, dir.path()).await;
    let (.., run) = under_way(&desk, 200, 40).await;
    let dump = Dump::of(&mut desk);
    while desk.received().len() < 100 {
        tick(&desk).await;
    }
    // The last claims are followed by nothing: the process is killed after them.
    for _ in 0..3 {
        desk.later(1);
        desk.dispatch().await;
    }
    let forgotten = dump.comes_back(&mut desk);
    with_a_mark_in(&mut desk, dir.path()).await;

    assert!(!watcher::tick(&desk.app).await.unwrap());
    assert!(held(&desk));
    assert_eq!(desk.counts(run).unconfirmed, forgotten.len() as i64, "to the last claim");
    released(&desk, "unconfirmed").await;
    // Started once more, it has nothing new to say.
    with_a_mark_in(&mut desk, dir.path()).await;
    assert!(watcher::tick(&desk.app).await.unwrap() && !held(&desk));
    for _ in 0..30 {
        tick(&desk).await;
    }
    let received = ever(&desk, &forgotten);
    nobody_twice(&received);
    assert_eq!(received.len(), 200);
}

#[actix_web::test]
async fn a_mark_that_knows_no_more_than_what_was_released_raises_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    with_a_mark_in(&mut desk, there.path()).await;
    under_way(&desk, 200, 30).await;
    let dump = Dump::of(&mut desk);
    tick(&desk).await;
    tick(&desk).await;
    desk.app.marks.write().unwrap();
    // The machine of that mark is gone for a while; another goes on.
    with_a_mark_in(&mut desk, here.path()).await;
    for _ in 0..3 {
        tick(&desk).await;
    }
    let forgotten = dump.comes_back(&mut desk);
    desk.later(1);
    assert!(desk.dispatch().await == 0 && held(&desk));
    released(&desk, "again").await;

    with_a_mark_in(&mut desk, there.path()).await;
    watcher::tick(&desk.app).await.unwrap();
    assert!(!held(&desk), "what it knows has been spoken for");
    while desk.counts(RunId(desk.number("SELECT id AS n FROM schedule_runs"))).settled() < 200 {
        tick(&desk).await;
    }
    let twice = ever(&desk, &forgotten).len() - 200;
    assert_eq!(twice, forgotten.len(), "those who may have got it were sent to again, and nobody else");
}

#[actix_web::test]
async fn what_one_process_notices_holds_the_others_and_what_they_know_is_added() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = under_way(&desk, 300, 30).await;
    let dump = Dump::of(&mut desk);
    let other = desk.another_process();
    let elsewhere = bugle::engine::dispatcher::Dispatcher::new(other.clone(), std::sync::Arc::default());
    for _ in 0..6 {
        desk.later(1);
        desk.dispatch().await;
        desk.later(1);
        elsewhere.tick().await.unwrap();
        elsewhere.outbox.idle().await;
    }
    let others_marks = other.marks.clone();
    drop((elsewhere, other));
    let forgotten = dump.comes_back(&mut desk);

    // This one did not see the other's last claim; a third knows nothing at all.
    desk.later(1);
    assert_eq!(desk.dispatch().await, 0);
    assert!(desk.counts(run).unconfirmed < forgotten.len() as i64);
    desk.later(1);
    assert_eq!(desk.another_engine().tick().await.unwrap(), 0);
    desk.goes_on_as(others_marks);
    desk.later(1);
    assert_eq!(desk.dispatch().await, 0);
    watcher::tick(&desk.app).await.unwrap();
    assert_eq!(desk.counts(run).unconfirmed, forgotten.len() as i64);
    assert_eq!(desk.number("SELECT count(*) AS n FROM losses"), 1);

    released(&desk, "unconfirmed").await;
    for _ in 0..30 {
        tick(&desk).await;
    }
    let received = ever(&desk, &forgotten);
    nobody_twice(&received);
    assert_eq!(received.len(), 300);
}

#[actix_web::test]
async fn a_pause_that_was_forgotten_holds_after_the_release() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let (_, schedule, run) = under_way(&desk, 200, 30).await;
    let dump = Dump::of(&mut desk);
    let n_then = desk.received().len();
    // Nobody watches between the answer and the loss.
    let answer = desk.press(&format!("/schedules/{schedule}/pause")).await;
    assert_eq!((answer.status, desk.state("schedule_runs", run.0).as_str()), (200, "paused"));
    dump.comes_back(&mut desk);
    assert_eq!(desk.state("schedule_runs", run.0), "running");

    // Before anybody watches again something is due.
    desk.later(1);
    assert_eq!(desk.dispatch().await, 0);
    assert!(held(&desk), "nothing was claimed in between, and the journal is shorter");
    desk.visit("/lost-history").await.shows("Its schedule is paused: it was held in history that was lost.");
    released(&desk, "unconfirmed").await;
    for _ in 0..5 {
        tick(&desk).await;
    }
    assert_eq!((desk.received().len(), desk.state("schedule_runs", run.0).as_str()), (n_then, "paused"));
    let now = desk.app.clock.now();
    desk.db(|conn| resume(conn, schedule, desk.admin, now).unwrap());
    tick(&desk).await;
    assert!(n_then < desk.received().len());
}

#[actix_web::test]
async fn a_date_whose_run_is_not_known_any_more_is_not_sent_a_second_time() {
    let mut desk = Desk::open_at("2026-03-02 08:59").await;
    let (_, schedule, _) = recurring(&desk, 20, every_day(), "10:00", 600.0);
    watcher::tick(&desk.app).await.unwrap();
    let dump = Dump::of(&mut desk);
    desk.at("2026-03-02 09:00");
    for _ in 0..4 {
        tick(&desk).await;
    }
    assert_eq!(desk.received().len(), 20);
    let forgotten = dump.comes_back(&mut desk);
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs"), 0);

    for _ in 0..4 {
        tick(&desk).await;
    }
    let page = desk.visit("/lost-history").await;
    page.shows("Round-2026-03-02 (run 1)");
    page.shows("The database does not know them any more: contacts 1 to 20 (20) may have got it.");
    assert_eq!(desk.state("schedules", schedule.0), "paused");
    released(&desk, "unconfirmed").await;
    for _ in 0..4 {
        tick(&desk).await;
    }
    nobody_twice(&ever(&desk, &forgotten));
    assert_eq!(desk.state("schedules", schedule.0), "paused", "somebody has to say whether it goes out again");
}

#[actix_web::test]
async fn a_run_that_is_not_known_any_more_is_spoken_for_to_everybody_who_knew_of_it() {
    let mut desk = Desk::open_at("2026-03-02 08:59").await;
    recurring(&desk, 20, every_day(), "10:00", 60.0);
    watcher::tick(&desk.app).await.unwrap();
    let dump = Dump::of(&mut desk);
    let other = desk.another_process();
    desk.at("2026-03-02 09:00");
    for _ in 0..4 {
        tick(&desk).await;
        watcher::tick(&other).await.unwrap();
    }
    // That one is away while this one notices, and somebody releases.
    let others_marks = other.marks.clone();
    drop(other);
    let forgotten = dump.comes_back(&mut desk);
    assert!((1..20).contains(&forgotten.len()), "{}", forgotten.len());
    tick(&desk).await;
    assert!(held(&desk));
    released(&desk, "unconfirmed").await;

    desk.goes_on_as(others_marks);
    for _ in 0..2 {
        tick(&desk).await;
        assert!(!held(&desk), "held a second time for the same run");
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM losses"), 1);
    nobody_twice(&ever(&desk, &forgotten));
}

#[actix_web::test]
async fn replies_and_second_tries_that_may_have_left_are_unconfirmed_and_later_ones_leave() {
    const BOT: &str = r##"[{"id": "a", "name": "1", "do": "message", "text": "one"},
        {"id": "b", "name": "2", "do": "close", "text": "two"}]"##;
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Desk", BOT);
    desk.inbound("Front desk", bot, &bugle::campaigns::inbound::InboundPlan::default());
    // Told "later" at the first two tries.
    let busy = ["12025550193".to_owned()];
    desk.campaign_to("Busy", &busy, "09:00-12:00", 600.0, bugle::pacing::LatePolicy::CatchUp).await;
    watcher::tick(&desk.app).await.unwrap();
    desk.dispatch().await;
    let waiting = desk.number("SELECT count(*) AS n FROM retries");
    let [early, forgotten_too, late] = phones(3).try_into().unwrap();
    desk.hears_as("x", &early, "hi");
    let dump = Dump::of(&mut desk);
    desk.later(60);
    desk.talk().await;
    desk.hears(&forgotten_too, "hi").await;
    desk.dispatch().await;
    watcher::tick(&desk.app).await.unwrap();
    assert_eq!(desk.phone(&early), ["one", "two"]);
    let forgotten = dump.comes_back(&mut desk);

    assert_eq!((waiting, desk.number("SELECT count(*) AS n FROM retries")), (1, 1));
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE state = 'queued'"), 2);
    desk.later(1);
    desk.talk().await;
    assert!(held(&desk));
    desk.hears_as("y", &late, "hi");
    for _ in 0..3 {
        tick(&desk).await;
    }
    assert_eq!(desk.received().len(), dump.received.len(), "sent while everything was held");
    desk.visit("/lost-history").await.shows("They were waiting and may have left");
    assert_eq!(desk.number("SELECT count(*) AS n FROM messages WHERE outcome = 14"), 2);
    assert_eq!(desk.number("SELECT count(*) AS n FROM retries"), 0);

    released(&desk, "unconfirmed").await;
    for _ in 0..3 {
        tick(&desk).await;
    }
    assert_eq!((desk.phone(&early).len(), desk.phone(&late).len()), (0, 2));
    let parts: HashSet<String> = ever(&desk, &forgotten).into_iter().map(|it| it.part).collect();
    assert_eq!(parts.len(), ever(&desk, &forgotten).len(), "a number was given to two sends");
}

#[actix_web::test]
async fn a_process_that_only_watches_notices_what_others_had_sent() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = under_way(&desk, 200, 20).await;
    let dump = Dump::of(&mut desk);
    desk.goes_on_as(Arc::default());
    let elsewhere = desk.another_engine();
    for _ in 0..3 {
        desk.later(1);
        elsewhere.tick().await.unwrap();
        elsewhere.outbox.idle().await;
        watcher::tick(&desk.app).await.unwrap();
    }
    drop(elsewhere);
    let forgotten = dump.comes_back(&mut desk);
    assert!(!watcher::tick(&desk.app).await.unwrap());
    assert!(held(&desk));
    assert_eq!(desk.counts(run).unconfirmed, forgotten.len() as i64);
}

#[actix_web::test]
async fn a_run_whose_time_goes_by_while_everything_is_held_ends_after_the_release() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = under_way(&desk, 200, 20).await;
    let dump = Dump::of(&mut desk);
    tick(&desk).await;
    dump.comes_back(&mut desk);
    tick(&desk).await;
    assert!(held(&desk));
    desk.at("2026-03-02 12:30");
    for _ in 0..2 {
        tick(&desk).await;
    }
    assert_eq!(desk.state("schedule_runs", run.0), "running", "somebody may want them sent to again");
    released(&desk, "unconfirmed").await;
    tick(&desk).await;
    assert_eq!(desk.state("schedule_runs", run.0), "overrun");
}

#[actix_web::test]
async fn a_reply_that_left_and_is_not_known_of_is_noticed_before_the_next() {
    const BOT: &str = r##"[{"id": "a", "name": "1", "do": "message", "text": "one"},
        {"id": "b", "name": "2", "do": "close", "text": "two"}]"##;
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    let bot = desk.published("Desk", BOT);
    desk.inbound("Front desk", bot, &bugle::campaigns::inbound::InboundPlan::default());
    let it = &phones(1)[0];
    desk.hears_as("x", it, "hi");
    watcher::tick(&desk.app).await.unwrap();
    let dump = Dump::of(&mut desk);
    // Nothing else happens, and nobody watches.
    desk.later(1);
    desk.talk().await;
    let forgotten = dump.comes_back(&mut desk);
    desk.later(1);
    desk.talk().await;
    assert!(held(&desk));
    let parts: HashSet<String> = ever(&desk, &forgotten).into_iter().map(|it| it.body).collect();
    assert_eq!(parts.len(), ever(&desk, &forgotten).len(), "a reply was said twice");
}

#[actix_web::test]
async fn a_result_of_what_was_lost_closes_no_lease_that_has_its_number_now() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 6, "09:00-12:00", 6000.0).await;
    starter::tick(&desk.app).await.unwrap();
    let claim = |process, seconds| {
        desk.later(seconds);
        let leave = deliveries::actions::Leave { most: 3, part: None, n_fields: desk.n_fields(run) };
        let by = Claimer { process, now: desk.app.clock.now() };
        desk.db(|conn| deliveries::actions::claim(conn, run, &leave, by).unwrap()).claims.remove(0)
    };
    let now = desk.app.clock.now();
    let accepted = Fate::Accepted { provider_ref: None };
    let settled = |it: &deliveries::Claim| -> Vec<Settled> {
        let of = |seq| Settled {
            lease: it.lease,
            run,
            seq,
            attempt: 1,
            refusals: 0,
            fate: accepted.clone(),
            begun_at: Some(now),
            opens: false,
        };
        it.contacts.iter().map(|contact| of(contact.seq)).collect()
    };
    let settle = |results: &[Settled]| {
        desk.db(|conn| deliveries::actions::settle(conn, results, uuid::Uuid::new_v4(), 0, now).unwrap())
    };
    let (one, another) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    // Its number is given to the same process later, or to another in the same instant.
    for (process, seconds) in [(one, 2), (another, 0)] {
        let lost = claim(one, 2);
        // As if it had never been.
        let (lease, lo) = (lost.lease.id, lost.contacts[0].seq);
        desk.sql(&format!("DELETE FROM leases WHERE id = {lease}"));
        desk.sql(&format!("UPDATE schedule_runs SET next_seq = {lo}, released = {lo} - 1"));
        desk.sql(&format!("ALTER TABLE leases ALTER COLUMN id RESTART WITH {lease}"));
        let next = claim(process, seconds);
        assert_eq!((next.lease.id, next.contacts.len()), (lease, 3));

        assert_eq!(settle(&settled(&lost)), 3, "they come too late");
        assert_eq!(desk.number("SELECT sum(open)::bigint AS n FROM leases"), 3, "the wire is as it is");
        assert_eq!(settle(&settled(&next)), 0);
        assert_eq!(desk.number("SELECT sum(open)::bigint AS n FROM leases"), 0);
    }
}

#[actix_web::test]
async fn restarts_kills_pauses_gaps_and_drafts_that_go_are_no_lost_history() {
    let dir = tempfile::tempdir().unwrap();
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { error_rate: 0.2, ..prompt() });
    let whole = async |desk: &Desk, after: &str| {
        assert!(watcher::tick(&desk.app).await.unwrap() && !held(desk), "after {after}");
    };
    with_a_mark_in(&mut desk, dir.path()).await;
    whole(&desk, "an empty mark").await;
    let (campaign, schedule, _) = under_way(&desk, 400, 20).await;
    whole(&desk, "sending").await;
    // A kill after a claim, and its lease runs out.
    desk.engine.dispatcher.tick().await.unwrap();
    with_a_mark_in(&mut desk, dir.path()).await;
    whole(&desk, "a kill").await;
    desk.later(61);
    rescuer::tick(&desk.app).await.unwrap();
    whole(&desk, "a lease that ran out").await;
    let now = desk.app.clock.now();
    desk.db(|conn| pause(conn, schedule, desk.admin, now).unwrap());
    whole(&desk, "a pause").await;
    desk.db(|conn| resume(conn, schedule, desk.admin, now).unwrap());
    // Numbers that were given out for nothing, and a transaction that was taken back.
    for table in ["leases", "messages", "schedule_runs", "journal"] {
        desk.number(&format!("SELECT setval('{table}_id_seq', nextval('{table}_id_seq') + 500) AS n"));
    }
    tick(&desk).await;
    whole(&desk, "gaps").await;
    // A draft with a test message goes, and with it what was claimed for the test.
    let draft = desk.daily_draft("Draft", "people.csv", &[("Main", "10:00-12:00", 60.0, None)]).await;
    let plan = desk.number(&format!("SELECT id AS n FROM schedules WHERE campaign_id = {draft}"));
    let test = format!("/campaigns/{draft}/schedules/{plan}/test");
    let answer = desk.fill_in(&test, &[("number", "+12025550123")]).await;
    assert_eq!(answer.status, 303, "{}", answer.html);
    for _ in 0..3 {
        tick(&desk).await;
    }
    let tests = "SELECT count(*) AS n FROM leases l JOIN schedule_runs r ON r.id = l.run_id WHERE r.purpose = 'test'";
    assert_eq!(desk.number(tests), 1);
    let now = desk.app.clock.now();
    desk.db(|conn| bugle::drafting::actions::discard(conn, draft, desk.admin, now).unwrap());
    tick(&desk).await;
    whole(&desk, "a draft that went").await;
    db::migrate(&desk.url).unwrap();
    desk.reconnects();
    whole(&desk, "a migration").await;
    let now = desk.app.clock.now();
    desk.db(|conn| campaigns::stop(conn, campaign, desk.admin, now).unwrap());
    whole(&desk, "a stop").await;
    for _ in 0..2 {
        with_a_mark_in(&mut desk, dir.path()).await;
        whole(&desk, "a restart").await;
    }
    // A database made anew is another installation: the mark says nothing of it.
    let fresh = Desk::open_at("2026-03-02 09:00").await;
    let installation = fresh.db(|conn| name_of_installation(conn).unwrap());
    assert!(Marks::open(dir.path(), &installation).unwrap().known().is_empty());
}

#[actix_web::test]
async fn only_an_admin_releases_and_everybody_may_look() {
    let mut desk = Desk::open_at("2026-03-02 09:00").await;
    under_way(&desk, 100, 20).await;
    let dump = Dump::of(&mut desk);
    tick(&desk).await;
    dump.comes_back(&mut desk);
    tick(&desk).await;
    desk.gives_the_admin_the_role(Role::Manager);
    let page = desk.visit("/lost-history").await;
    page.shows("Everything is held");
    page.lacks("<form class=\"stack\" method=\"post\" action=\"/lost-history\"");
    let answer = desk.fill_in("/lost-history", &[("word", "RELEASE")]).await;
    assert_eq!((answer.status, held(&desk)), (403, true));
    desk.gives_the_admin_the_role(Role::Admin);
    released(&desk, "unconfirmed").await;
    let again = desk.fill_in("/lost-history", &[("word", "RELEASE")]).await;
    assert_eq!(again.status, 409);
}

#[actix_web::test]
async fn the_settings_say_when_the_second_server_may_lag_behind() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit("/settings").await.lacks("The second database server may lag behind");
    let several = Settings { several_hosts: true, ..Settings::default() };
    let several = App { settings: several, ..App::clone(&desk.app) };
    let key = actix_web::cookie::Key::from(&[7; 64]);
    let app = server::app(actix_web::web::Data::new(several), key);
    let service = actix_web::test::init_service(app).await;
    let request = actix_web::test::TestRequest::get().uri("/settings").cookie(desk.cookie().clone());
    let answer = actix_web::test::call_service(&service, request.to_request()).await;
    let html = String::from_utf8(actix_web::test::read_body(answer).await.to_vec()).unwrap();
    assert!(html.contains("The second database server may lag behind"), "{html}");
}
