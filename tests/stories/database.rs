//! The database beneath: restarted, frozen, replaced, locked by somebody else, used up.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::spawn;
use bugle::clock::Clock;
use bugle::db::embedded::{Durability, Private};
use bugle::db::{Db, DbError, Lost, Purpose};
use bugle::engine::timekeeper;
use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use futures_util::future::join_all;

use crate::desk::{Desk, until};

/// A PostgreSQL of one's own that may be mistreated.
struct Server {
    root: PathBuf,
    server: Option<Private>,
}

impl Server {
    fn start() -> Server {
        static N: AtomicUsize = AtomicUsize::new(0);
        let name = format!("bugle-stories-{}-{}", std::process::id(), N.fetch_add(1, Ordering::SeqCst));
        let root = std::env::temp_dir().join(name);
        let server = Some(Private::start(&root, Durability::None).unwrap());
        let it = Server { root, server };
        it.server.as_ref().unwrap().create_database("words").unwrap();
        PgConnection::establish(&it.url()).unwrap().batch_execute("CREATE TABLE words (word text)").unwrap();
        it
    }

    fn url(&self) -> String {
        self.server.as_ref().unwrap().url("words")
    }

    fn restart(&mut self) {
        self.server = None;
        self.server = Some(Private::start(&self.root, Durability::None).unwrap());
    }

    /// All processes of the server.
    fn processes(&self) -> Vec<i32> {
        let pid = std::fs::read_to_string(self.root.join("postgres/postmaster.pid")).unwrap();
        let postmaster: i32 = pid.lines().next().unwrap().trim().parse().unwrap();
        let parent = |pid: i32| -> Option<i32> {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
        pids.filter(|pid| *pid == postmaster || parent(*pid) == Some(postmaster)).collect()
    }

    fn signal(&self, signal: i32) {
        for pid in self.processes() {
            // SAFETY: a signal to a process that this story started.
            unsafe { libc::kill(pid, signal) };
        }
        // One that runs on another processor goes on for a moment, and may still answer.
        let stands_still = |pid: libc::pid_t| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| !rest.starts_with(['R', 'S', 'D']))
        };
        while signal == libc::SIGSTOP && !self.processes().into_iter().all(stands_still) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    diesel::sql_query(sql).get_result::<One>(conn).unwrap().n
}

/// A connection to look on with.
fn connect_to(server: &Server) -> RefCell<PgConnection> {
    RefCell::new(PgConnection::establish(&server.url()).unwrap())
}

fn ask(look: &RefCell<PgConnection>, sql: &str) -> i64 {
    number(&mut look.borrow_mut(), sql)
}

fn says(conn: &mut PgConnection) -> QueryResult<()> {
    conn.transaction(|conn| conn.batch_execute("INSERT INTO words VALUES ('said')"))
}

#[actix_web::test]
async fn after_a_restart_no_connection_that_died_with_the_server_is_lent() {
    let mut server = Server::start();
    let pages = Db::connect(&server.url(), 16).unwrap();
    let pools = [pages.beside(Purpose::Vital, 4).unwrap(), pages.beside(Purpose::Engine, 16).unwrap(), pages];
    for db in &pools {
        // As many connections as there may be.
        join_all((0..16).map(|_| db.run(|conn| conn.batch_execute("SELECT pg_sleep(0.05)")))).await;
    }
    server.restart();
    // An engine asks its connections only once one has failed: it tries again by itself.
    let _ = pools[1].run(says).await;
    for db in &pools {
        for done in join_all((0..30).map(|_| db.run(says))).await {
            done.unwrap();
        }
    }
}

#[actix_web::test]
async fn what_was_given_up_while_the_server_stood_still_changes_nothing_when_it_goes_on() {
    let server = Server::start();
    let db = Db::connect(&server.url(), 4).unwrap().beside(Purpose::Vital, 4).unwrap();
    db.run(|conn| conn.batch_execute("SELECT 1")).await.unwrap();
    server.signal(libc::SIGSTOP);
    let asked = Instant::now();
    let answer = db.run(says).await;
    let took = asked.elapsed();
    assert!(matches!(answer, Err(DbError::Lost(Lost { unchanged: true, .. }))), "{answer:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(db.health().is_silent());

    server.signal(libc::SIGCONT);
    let look = connect_to(&server);
    let busy = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'bugle vital' AND state <> 'idle'";
    until("all that was asked is over", || ask(&look, busy) == 0).await;
    db.run(|conn| conn.batch_execute("SELECT 1")).await.unwrap();
    assert_eq!(ask(&look, "SELECT count(*) AS n FROM words"), 0);
    assert!(!db.health().is_silent());
}

#[actix_web::test]
async fn a_commit_that_was_on_its_way_when_the_server_fell_silent_may_have_come_through() {
    let server = Server::start();
    let db = Db::connect(&server.url(), 4).unwrap().beside(Purpose::Vital, 4).unwrap();
    let processes = server.processes();
    let stopped = server.processes().len();
    let commits = move |conn: &mut PgConnection| -> QueryResult<()> {
        conn.transaction(|conn| {
            conn.batch_execute("INSERT INTO words VALUES ('said')")?;
            // Everything but the COMMIT has been answered; the one after this sentence will not be.
            let own = number(conn, "SELECT pg_backend_pid()::bigint AS n") as i32;
            for pid in processes.iter().copied().chain([own]) {
                // SAFETY: a signal to a process that this story started.
                unsafe { libc::kill(pid, libc::SIGSTOP) };
            }
            Ok(())
        })
    };
    let answer = db.run(commits).await;
    assert!(matches!(answer, Err(DbError::Lost(Lost { unchanged: false, .. }))), "{answer:?} {stopped}");
}

#[actix_web::test]
async fn another_server_that_takes_over_is_found_with_no_hand_on_it() {
    let (first, second) = (Server::start(), Server::start());
    let hosts = format!("{},{}", first.root.join("socket").display(), second.root.join("socket").display());
    let url = format!("host={hosts} user=bugle dbname=words");
    let pages = Db::connect(&url, 4).unwrap();
    let pools = [pages.beside(Purpose::Vital, 4).unwrap(), pages.beside(Purpose::Engine, 4).unwrap()];
    for db in &pools {
        join_all((0..4).map(|_| db.run(says))).await;
    }
    first.signal(libc::SIGSTOP);
    let fell_silent = Instant::now();
    join_all(pools.iter().map(async |db| {
        // Whoever asks, asks again.
        while db.run(says).await.is_err() {
            assert!(fell_silent.elapsed() < Duration::from_secs(40), "nobody found the other server");
        }
    }))
    .await;
    let took = fell_silent.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let look = connect_to(&second);
    assert_eq!(ask(&look, "SELECT count(*) AS n FROM words"), 2);
}

#[actix_web::test]
async fn who_keeps_a_click_waiting_is_ended() {
    let server = Server::start();
    let db = Db::connect(&server.url(), 4).unwrap().beside(Purpose::Vital, 4).unwrap();
    let mut frozen = PgConnection::establish(&server.url()).unwrap();
    frozen.batch_execute("BEGIN; LOCK TABLE words").unwrap();
    let asked = Instant::now();
    // The second one waits behind the first, which must not be taken for the one to blame.
    for done in join_all((0..3).map(|_| db.run(says))).await {
        done.unwrap();
    }
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(frozen.batch_execute("SELECT 1").is_err());
}

#[actix_web::test]
async fn pages_that_use_up_all_that_is_theirs_leave_a_click_its_own() {
    let server = Server::start();
    let pages = Db::connect(&server.url(), 4).unwrap();
    let vital = pages.beside(Purpose::Vital, 2).unwrap();
    vital.run(says).await.unwrap();
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let pages = pages.clone();
            spawn(async move { pages.run(|conn| conn.batch_execute("SELECT pg_sleep(1)")).await })
        })
        .collect();
    let look = connect_to(&server);
    let busy = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'bugle pages' AND state = 'active'";
    until("every connection for pages is busy", || ask(&look, busy) == 4).await;
    vital.run(says).await.unwrap();
    assert_eq!(ask(&look, busy), 4, "the click waited for a page");
    for page in slow {
        let _ = page.await.unwrap();
    }
}

#[actix_web::test]
async fn the_server_bears_with_nothing_for_ever() {
    #[derive(QueryableByName)]
    struct Set {
        #[diesel(sql_type = Text)]
        n: String,
    }
    let server = Server::start();
    let db = Db::connect(&server.url(), 1).unwrap();
    for (purpose, statement, lock, idle) in [
        (Purpose::Pages, "8s", "5s", "15s"),
        (Purpose::Vital, "0", "3s", "2s"),
        (Purpose::Engine, "0", "4s", "2s"),
        (Purpose::Long, "0", "1min", "1min"),
    ] {
        let db = db.beside(purpose, 1).unwrap();
        let of = |name: &'static str| {
            let ask = format!("SELECT current_setting('{name}') AS n");
            db.run(move |conn| diesel::sql_query(ask).get_result::<Set>(conn))
        };
        let set = [
            of("statement_timeout").await.unwrap().n,
            of("lock_timeout").await.unwrap().n,
            of("idle_in_transaction_session_timeout").await.unwrap().n,
        ];
        assert_eq!(set, [statement, lock, idle], "{purpose:?}");
    }
}

/// Nobody gets into the database of this desk any more, and nobody is in it.
fn lock_out(desk: &Desk) {
    let name = desk.url.rsplit("dbname=").next().unwrap().to_owned();
    let elsewhere = desk.url.replace(&name, "postgres");
    let mut server = PgConnection::establish(&elsewhere).unwrap();
    server
        .batch_execute(&format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .unwrap();
}

fn let_in(desk: &Desk) {
    let name = desk.url.rsplit("dbname=").next().unwrap().to_owned();
    let mut server = PgConnection::establish(&desk.url.replace(&name, "postgres")).unwrap();
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).unwrap();
}

#[actix_web::test]
async fn without_a_database_pages_say_so_and_clicks_say_that_nothing_was_done() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, schedule, _) = desk.campaign("Spring offer", 10, "09:00-18:00", 60.0).await;
    lock_out(&desk);
    let page = desk.visit("/campaigns").await;
    assert_eq!(page.status, 503);
    page.shows("The database does not answer");
    page.shows("Nothing begins to be sent until it answers.");
    for (path, says) in [
        (format!("/campaigns/{campaign}/pause"), "Not paused"),
        (format!("/schedules/{schedule}/stop"), "Not stopped"),
        ("/campaigns/pause-all".to_owned(), "Nothing was paused"),
        ("/campaigns/resume-all".to_owned(), "Nothing was resumed"),
        ("/stop".to_owned(), "Nothing was stopped"),
    ] {
        let answer = desk.fill_in(&path, &[("word", "STOP"), ("pause", "1")]).await;
        assert_eq!(answer.status, 503, "{path}");
        answer.shows(says);
    }
    assert_eq!(desk.visit("/readyz").await.status, 503);
    let_in(&desk);
    let answer = desk.submit(&format!("/campaigns/{campaign}/pause")).await;
    assert_eq!(answer.status, 303);
    assert_eq!(desk.state("campaigns", campaign.0), "paused");
}

#[actix_web::test]
async fn an_engine_that_stands_still_is_not_ready() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    assert_eq!(desk.visit("/readyz").await.status, 200);
    desk.dispatch().await;
    assert_eq!(desk.visit("/readyz").await.status, 200);
    desk.app.pulse.engine_looked(Instant::now() - Duration::from_secs(20));
    assert_eq!(desk.visit("/readyz").await.status, 503);
}

#[actix_web::test]
async fn when_the_clock_is_set_back_what_was_claimed_is_moved_along() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Spring offer", 10, "09:00-18:00", 60.0).await;
    desk.later(5);
    desk.dispatch().await;
    assert!(desk.number("SELECT count(*) AS n FROM leases") > 0);
    let app = bugle::app::App { clock: Clock::default(), ..desk.app.get_ref().clone() };
    app.clock.hear(Utc::now() + TimeDelta::seconds(600), TimeDelta::zero());
    desk.sql("UPDATE leases SET taken_at = now() + interval '590 s', expires_at = now() + interval '650 s'");

    timekeeper::compare(&app).await.unwrap();

    let ago = "SELECT extract(epoch FROM now() - max(taken_at))::bigint AS n FROM leases";
    assert!((9..=20).contains(&desk.number(ago)), "{}", desk.number(ago));
    assert!((Utc::now() - app.clock.now()).abs() < TimeDelta::seconds(2));
    assert!(!app.clock.has_leapt());
}

#[actix_web::test]
async fn when_the_clock_leaps_forward_nothing_is_claimed_for_as_long() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let clock = Clock::default();
    clock.hear(Utc::now() - TimeDelta::seconds(30), TimeDelta::zero());
    let app = Arc::new(bugle::app::App { clock, ..desk.app.get_ref().clone() });
    assert!(!app.clock.has_leapt());
    timekeeper::compare(&app).await.unwrap();
    assert!(app.clock.has_leapt());
}

#[actix_web::test]
async fn pages_that_are_open_say_since_when_they_stand_still() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (campaign, ..) = desk.campaign("Spring offer", 10, "09:00-18:00", 60.0).await;
    let hub = bugle::screen::live::Hub::new(desk.app.clone());
    let mut stream = hub.watch((desk.admin, None), [(campaign, None)].into()).unwrap();
    hub.look().await.unwrap();
    let mut heard = move || {
        let events = std::iter::from_fn(|| stream.try_recv().ok());
        events
            .map(|it| String::from_utf8(it.to_vec()).unwrap())
            .filter(|it| it.contains("event: silence"))
            .collect::<Vec<_>>()
    };
    assert!(heard().is_empty());
    desk.later(5);
    lock_out(&desk);
    for _ in 0..2 {
        assert!(hub.look().await.is_err());
        hub.fall_silent();
    }
    let told = heard();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("These numbers are of 09:00:00."), "{told:?}");
    let_in(&desk);
    // The pool finds its way back by itself.
    while hub.look().await.is_err() {}
    assert_eq!(heard(), ["event: silence\ndata: <!-- moving -->\n\n"]);
}
