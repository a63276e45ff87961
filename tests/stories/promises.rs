//! The three promises, under load, with two engines, hanging providers and kills.

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bugle::channels::sandbox::Knobs;
use bugle::clock::Clock;
use bugle::deliveries::quiet;
use bugle::deliveries::store::Scope;
use bugle::engine::dispatcher::Dispatcher;
use bugle::engine::{rescuer, starter};
use bugle::schedules::actions::{pause, resume};
use bugle::{campaigns, schedules};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::desk::{Desk, instant, phones, prompt, until};

/// Engines that tick as fast as they can until dropped, under a clock that runs.
struct Running {
    stop: Arc<AtomicBool>,
    tasks: Vec<actix_web::rt::task::JoinHandle<()>>,
}

impl Running {
    fn start(desk: &Desk, engines: &[Arc<Dispatcher>]) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for engine in engines {
            let (engine, stop) = (engine.clone(), stop.clone());
            tasks.push(actix_web::rt::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    engine.tick().await.unwrap();
                    actix_web::rt::time::sleep(Duration::from_millis(1)).await;
                }
                engine.idle().await;
            }));
        }
        // The hand-set clock runs here: ten seconds pass in one.
        let (clock, stopping) = (desk.app.clock.clone(), stop.clone());
        tasks.push(actix_web::rt::spawn(async move {
            while !stopping.load(Ordering::SeqCst) {
                clock.set(clock.now() + chrono::TimeDelta::milliseconds(50));
                actix_web::rt::time::sleep(Duration::from_millis(5)).await;
            }
        }));
        Running { stop, tasks }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Phones that something reached after `answered`, by the machine's clock.
fn begun_after(desk: &Desk, answered: chrono::DateTime<chrono::Utc>) -> HashSet<String> {
    use bugle::db::schema::sandbox_messages;
    use diesel::prelude::*;
    desk.db(|conn| {
        let late: Vec<String> = sandbox_messages::table
            .filter(sandbox_messages::stamped_at.gt(answered))
            .select(sandbox_messages::phone)
            .load(conn)
            .unwrap();
        late.into_iter().collect()
    })
}

#[actix_web::test]
async fn nothing_begins_to_leave_after_pause_has_answered_in_hundreds_of_tries() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { latency_ms: 0, latency_to_ms: 15, ..prompt() });
    let (_, schedule, run) = desk.campaign("Spring offer", 60_000, "09:00-23:00", 120_000.0).await;
    starter::tick(&desk.app).await.unwrap();
    let engines = [desk.dispatcher.clone(), desk.another_engine()];
    let running = Running::start(&desk, &engines);
    let mut chance = StdRng::seed_from_u64(7);
    let mut paused_under_load = 0;

    for _ in 0..200 {
        actix_web::rt::time::sleep(Duration::from_millis(chance.random_range(0..20))).await;
        let now = desk.app.clock.now();
        let busy = engines.iter().any(|engine| engine.in_flight() > 0);
        let admin = desk.admin;
        desk.app.db.run(move |conn| pause(conn, schedule, admin, now)).await.unwrap();
        let wire = quiet::wait(&desk.app, Scope::Schedule(schedule.0)).await.unwrap();
        let answered = Clock::default().now();
        paused_under_load += usize::from(busy);

        actix_web::rt::time::sleep(Duration::from_millis(4)).await;
        let listed: HashSet<String> = wire.sends.iter().map(|it| it.address.clone()).collect();
        let late: Vec<_> = begun_after(&desk, answered).difference(&listed).cloned().collect();
        assert!(late.is_empty(), "left after the answer: {late:?}");
        let now = desk.app.clock.now();
        desk.app.db.run(move |conn| resume(conn, schedule, admin, now)).await.unwrap();
    }
    running.end().await;

    assert!(paused_under_load > 50, "only {paused_under_load} pauses came while something was on the wire");
    let received = desk.received();
    let distinct: HashSet<&str> = received.iter().map(|it| it.phone.as_str()).collect();
    assert_eq!(distinct.len(), received.len(), "somebody got it twice");
    assert_eq!(desk.counts(run).settled(), received.len() as i64);
}

#[actix_web::test]
async fn stop_answers_in_time_when_a_provider_hangs_and_names_what_hangs() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { silence_ms: 6_000, ..prompt() });
    let hanging = ["12025550195".to_owned(), "12025550295".to_owned()];
    let audience: Vec<String> = hanging.iter().cloned().chain(phones(500)).collect();
    let (campaign, _, run) =
        desk.campaign_to("Hangs", &audience, "09:00-18:00", 600.0, bugle::pacing::LatePolicy::CatchUp).await;
    desk.later(1);
    let running = Running::start(&desk, &[desk.dispatcher.clone(), desk.another_engine()]);
    until("both hang", || desk.number("SELECT next_seq::bigint AS n FROM schedule_runs") > 3).await;

    let (now, admin) = (desk.app.clock.now(), desk.admin);
    let clicked = std::time::Instant::now();
    desk.app.db.run(move |conn| campaigns::actions::stop(conn, campaign, admin, now)).await.unwrap();
    let wire = quiet::wait(&desk.app, Scope::Campaign(campaign.0)).await.unwrap();
    let (took, answered) = (clicked.elapsed(), Clock::default().now());

    let mut listed: Vec<&str> = wire.sends.iter().map(|it| it.address.as_str()).collect();
    listed.sort();
    assert_eq!((listed, wire.n), (hanging.iter().map(String::as_str).collect(), 2));
    assert!(took < Duration::from_secs(3), "{took:?}");
    until("the wire is quiet", || desk.number("SELECT count(*) AS n FROM leases WHERE open > 0") == 0).await;
    running.end().await;
    assert!(begun_after(&desk, answered).is_empty());
    assert_eq!(desk.counts(run).unconfirmed, 2);
    assert_eq!(desk.state("schedule_runs", run.0), "stopped");
}

#[actix_web::test]
async fn stop_of_everything_at_random_moments_lets_nothing_leave_afterwards() {
    let mut chance = StdRng::seed_from_u64(11);
    for _ in 0..8 {
        let desk = Desk::open_at("2026-03-02 09:00").await;
        desk.carrier(&Knobs { latency_ms: 0, latency_to_ms: 10, ..prompt() });
        for name in ["One", "Two", "Three"] {
            desk.campaign(name, 3_000, "09:00-23:00", 60_000.0).await;
        }
        let running = Running::start(&desk, &[desk.dispatcher.clone(), desk.another_engine()]);
        until("it sends", || desk.dispatcher.in_flight() > 0).await;
        actix_web::rt::time::sleep(Duration::from_millis(chance.random_range(0..60))).await;

        let (now, admin) = (desk.app.clock.now(), desk.admin);
        let hit = desk.app.db.run(move |conn| campaigns::actions::stop_all(conn, admin, now)).await.unwrap();
        let wire = quiet::wait(&desk.app, Scope::Everything).await.unwrap();
        let answered = Clock::default().now();
        actix_web::rt::time::sleep(Duration::from_millis(30)).await;
        running.end().await;

        assert_eq!((hit.campaigns, hit.schedules), (3, 3));
        assert!(wire.is_quiet());
        assert!(begun_after(&desk, answered).is_empty());
        assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs WHERE state <> 'stopped'"), 0);
        assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE became = 'stopped'"), 9);
    }
}

#[actix_web::test]
async fn what_could_not_begin_in_time_goes_back_untouched() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (.., run) = desk.campaign("Spring offer", 5, "09:00-12:00", 6000.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    // A reader of the file keeps the dispatcher from its text for longer than a claim may wait.
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let url = desk.url.clone();
    let (locked, is_locked) = std::sync::mpsc::channel();
    let holder = std::thread::spawn(move || {
        use diesel::{Connection, connection::SimpleConnection};
        let mut conn = diesel::PgConnection::establish(&url).unwrap();
        conn.batch_execute("BEGIN; LOCK TABLE files IN ACCESS EXCLUSIVE MODE").unwrap();
        locked.send(()).unwrap();
        gone.recv().unwrap();
        conn.batch_execute("COMMIT").unwrap();
    });
    is_locked.recv().unwrap();

    let dispatcher = desk.dispatcher.clone();
    let tick = actix_web::rt::spawn(async move { dispatcher.tick().await.unwrap() });
    until("it is claimed", || desk.number("SELECT count(*) AS n FROM leases WHERE open > 0") > 0).await;
    actix_web::rt::time::sleep(bugle::deliveries::BEGIN_WITHIN).await;
    go.send(()).unwrap();
    holder.join().unwrap();
    tick.await.unwrap();
    desk.dispatcher.idle().await;

    let first_tries = desk.received().iter().filter(|it| it.part.ends_with("-1")).count();
    assert_eq!(first_tries, 0, "begun after its time");
    for _ in 0..10 {
        desk.later(1);
        desk.tick().await;
    }
    assert_eq!((desk.counts(run).delivered, desk.received().len()), (5, 5));
}

#[actix_web::test]
async fn a_lease_that_runs_out_leaves_its_contacts_unconfirmed_and_a_late_result_resolves_them() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { latency_ms: 1_500, latency_to_ms: 1_500, ..prompt() });
    let (.., run) = desk.campaign("Spring offer", 3, "09:00-12:00", 6000.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    desk.dispatcher.tick().await.unwrap();

    desk.later(61);
    rescuer::tick(&desk.app).await.unwrap();
    assert_eq!(desk.counts(run).unconfirmed, 3);
    desk.check_counts();
    let again = desk.another_engine().tick().await.unwrap();
    assert_eq!(again, 0, "the unconfirmed were claimed again");

    desk.dispatcher.idle().await;
    assert_eq!((desk.counts(run).unconfirmed, desk.counts(run).accepted), (0, 3));
}

// ---- the real binary -----------------------------------------------------------

/// The engine as a process of its own, on the desk's database and the real clock.
struct Process(Child);

impl Process {
    fn start(desk: &Desk) -> Process {
        let child = Command::new(env!("CARGO_BIN_EXE_bugle"))
            .args(["serve", "--port", "0", "--only", "engine", "--demo", "none"])
            .env("DATABASE_URL", &desk.url)
            .env("BUGLE_LOG", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Process(child)
    }

    /// SIGKILL: no goodbye.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything that reached a phone is in the ledger as reached or as unconfirmed,
/// nobody got it twice, and nobody is missing.
fn agrees_with_the_carrier(desk: &Desk, run: bugle::ids::RunId) {
    let received = desk.received();
    let distinct: HashSet<&str> = received.iter().map(|it| it.phone.as_str()).collect();
    assert_eq!(distinct.len(), received.len(), "somebody got it twice");
    let counts = desk.counts(run);
    assert_eq!(counts.settled(), counts.audience, "somebody was forgotten: {counts:?}");
    let reached = received.len() as i64;
    assert!(counts.sent() <= reached && reached <= counts.sent() + counts.unconfirmed, "{reached} reached, {counts:?}");
    let unknown_to_the_carrier = desk.number(
        "SELECT count(*) AS n FROM deliveries d WHERE (progress IS NOT NULL OR outcome = 0)
         AND NOT EXISTS (SELECT FROM sandbox_messages m WHERE m.phone = d.address)",
    );
    assert_eq!(unknown_to_the_carrier, 0, "the ledger says sent and the phone has nothing");
    let silent = desk.number(
        "SELECT count(*) AS n FROM sandbox_messages m JOIN deliveries d ON d.address = m.phone
         WHERE d.progress IS NULL AND d.outcome IS DISTINCT FROM 0 AND d.outcome IS DISTINCT FROM 14",
    );
    assert_eq!(silent, 0, "the phone has it and the ledger does not say so");
}

/// Lets the last engine finish, with leases of the killed ones brought to their end.
async fn finish(desk: &Desk, run: bugle::ids::RunId) {
    let process = Process::start(desk);
    until("every contact has a word or an expired lease", || {
        let left = "SELECT count(*) AS n FROM schedule_runs WHERE next_seq <= last_seq";
        desk.number(left) == 0
    })
    .await;
    desk.sql("UPDATE leases SET expires_at = taken_at WHERE open > 0 AND taken_at < now() - interval '3 seconds'");
    until("every contact has a word", || {
        desk.sql("UPDATE leases SET expires_at = taken_at WHERE open > 0 AND taken_at < now() - interval '3 seconds'");
        desk.counts(run).settled() == desk.counts(run).audience
    })
    .await;
    drop(process);
}

/// A campaign on the real clock, under way for the rest of the day and the next.
async fn live_campaign(desk: &Desk, n: usize, rate: f64) -> bugle::ids::RunId {
    let (.., run) = desk.campaign("Real", n, "00:00-23:59", rate).await;
    desk.sql("UPDATE schedule_runs SET starts_at = now() - interval '1 second', ends_at = now() + interval '1 day'");
    run
}

/// A desk whose campaigns are today by the machine's clock.
async fn desk_of_today() -> Desk {
    let today = Clock::default().now().format("%Y-%m-%d 00:00").to_string();
    Desk::open_at(&today).await
}

#[actix_web::test]
async fn killed_at_random_moments_nobody_gets_it_twice_and_nobody_is_forgotten() {
    let desk = desk_of_today().await;
    desk.carrier(&Knobs { latency_ms: 5, latency_to_ms: 40, ..prompt() });
    let run = live_campaign(&desk, 4_000, 60_000.0).await;
    let mut chance = StdRng::seed_from_u64(3);

    for round in 0..4 {
        let process = Process::start(&desk);
        let before = desk.received().len();
        until("it sends", || before + 100 < desk.received().len()).await;
        actix_web::rt::time::sleep(Duration::from_millis(chance.random_range(0..120))).await;
        process.kill();
        assert!(desk.received().len() < 4_000, "killed too late in round {round}");
    }
    finish(&desk, run).await;

    agrees_with_the_carrier(&desk, run);
    assert!(desk.counts(run).unconfirmed > 0, "no kill came while something was on the wire");
}

/// Holds a lock on a table until told to let go, so that whoever writes it next stands still there.
struct Barrier {
    let_go: std::sync::mpsc::Sender<()>,
    holder: std::thread::JoinHandle<()>,
}

impl Barrier {
    fn on(desk: &Desk, table: &'static str) -> Barrier {
        let (let_go, told) = std::sync::mpsc::channel();
        let (locked, is_locked) = std::sync::mpsc::channel();
        let url = desk.url.clone();
        let holder = std::thread::spawn(move || {
            use diesel::{Connection, connection::SimpleConnection};
            let mut conn = diesel::PgConnection::establish(&url).unwrap();
            conn.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).unwrap();
            locked.send(()).unwrap();
            told.recv().unwrap();
            conn.batch_execute("COMMIT").unwrap();
        });
        is_locked.recv().unwrap();
        Barrier { let_go, holder }
    }

    fn let_go(self) {
        self.let_go.send(()).unwrap();
        self.holder.join().unwrap();
    }
}

#[actix_web::test]
async fn killed_between_claim_and_send_the_contacts_are_unconfirmed_and_not_sent_again() {
    let desk = desk_of_today().await;
    let run = live_campaign(&desk, 300, 6_000.0).await;
    let barrier = Barrier::on(&desk, "sandbox_messages");
    let process = Process::start(&desk);
    until("it is claimed", || desk.number("SELECT count(*) AS n FROM leases WHERE open > 0") > 0).await;
    process.kill();
    let caught = desk.number("SELECT coalesce(sum(open), 0)::bigint AS n FROM leases");
    barrier.let_go();

    finish(&desk, run).await;

    agrees_with_the_carrier(&desk, run);
    assert_eq!(desk.counts(run).unconfirmed, caught);
}

#[actix_web::test]
async fn killed_between_send_and_settle_the_phone_has_it_and_the_ledger_says_unconfirmed() {
    let desk = desk_of_today().await;
    let run = live_campaign(&desk, 300, 6_000.0).await;
    desk.carrier(&Knobs { receipt_ms: 3_600_000, ..prompt() });
    let barrier = Barrier::on(&desk, "deliveries");
    let process = Process::start(&desk);
    until("the phones have it", || !desk.received().is_empty()).await;
    process.kill();
    let caught = desk.received().len() as i64;
    barrier.let_go();

    finish(&desk, run).await;

    agrees_with_the_carrier(&desk, run);
    assert!(desk.counts(run).unconfirmed >= caught, "{:?}, {caught} were caught", desk.counts(run));
}

#[actix_web::test]
async fn told_to_end_it_settles_what_is_on_the_wire_first() {
    let desk = desk_of_today().await;
    desk.carrier(&Knobs { latency_ms: 300, latency_to_ms: 600, ..prompt() });
    let run = live_campaign(&desk, 4_000, 60_000.0).await;
    let mut process = Process::start(&desk);
    until("it sends", || desk.received().len() > 100).await;

    // SAFETY: the process is our child.
    unsafe { libc::kill(process.0.id() as i32, libc::SIGTERM) };
    let status = process.0.wait().unwrap();

    assert!(status.success(), "{status}");
    assert_eq!(desk.number("SELECT coalesce(sum(open), 0)::bigint AS n FROM leases"), 0);
    assert_eq!(desk.counts(run).sent(), desk.received().len() as i64);
    assert_eq!(desk.counts(run).unconfirmed, 0);
}

#[actix_web::test]
async fn two_processes_that_start_together_prepare_and_start_a_run_once() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    let file = desk.file(&phones(2_000));
    let (campaign, admin, now) = desk.db(|conn| {
        let now = desk.app.clock.now();
        let id = campaigns::actions::create(conn, "Twice", chrono_tz::UTC, desk.admin, now).unwrap();
        campaigns::actions::set_file(conn, id, Some(file)).unwrap();
        (id, desk.admin, now)
    });
    let plan = schedules::Draft {
        name: "Main".into(),
        channel_id: desk.channel,
        body: "Hello".into(),
        date: now.date_naive(),
        start: "09:00:00".parse().unwrap(),
        end: "12:00:00".parse().unwrap(),
        rate: 6000.0,
        late: bugle::pacing::LatePolicy::CatchUp,
    };
    desk.db(|conn| {
        campaigns::actions::add_schedule(conn, campaign, &plan).unwrap();
        campaigns::actions::launch(conn, campaign, admin, now).unwrap();
    });

    let (a, b) = tokio::join!(starter::tick(&desk.app), starter::tick(&desk.app));
    a.unwrap();
    b.unwrap();
    desk.at("2026-03-02 09:00");
    let (a, b) = tokio::join!(starter::tick(&desk.app), starter::tick(&desk.app));
    a.unwrap();
    b.unwrap();

    assert_eq!(desk.number("SELECT count(*) AS n FROM deliveries"), 2_000);
    assert_eq!(desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'run.started'"), 1);
    assert!(now < instant("2026-03-02 09:00"));
}
