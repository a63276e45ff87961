//! Starting: together with others, on databases that are not ours or not there, as root, and
//! the terminal on the day when the pages do not answer.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::cookie::Key;
use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use bugle::app::App;
use bugle::config::Settings;
use bugle::db::embedded::{Durability, Private, find_programs};
use bugle::db::{self, Refused};
use bugle::engine::starter;
use bugle::people::first_password;
use bugle::providers::sandbox::Knobs;
use bugle::{channels, privileges, server};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::desk::{Desk, empty_database, keeper_of, prompt, until};
use crate::torture::browser::Browser;

// ---- the program, as a process -------------------------------------------------

/// Bugle as somebody starts it. What it says is read as it comes.
struct Bugle {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Bugle {
    fn start(args: &[&str]) -> Bugle {
        Bugle::start_with(args, &[])
    }

    fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Bugle {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bugle"))
            .args(args)
            .env_remove("DATABASE_URL")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    said.lock().unwrap().push_str(&format!("{line}\n"));
                }
            });
        }
        Bugle { child, said }
    }

    fn serve(url: &str, more: &[&str]) -> Bugle {
        let args = ["serve", "--port", "0", "--time-zone", "UTC", "--database-url", url];
        Bugle::start(&[&args[..], more].concat())
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.take().unwrap(), "{line}").unwrap();
    }

    /// Until it says this; it must not end before.
    async fn says(&mut self, text: &str) -> String {
        let began = Instant::now();
        while !self.said().contains(text) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended without {text:?}:\n{}", self.said());
            assert!(began.elapsed() < Duration::from_secs(60), "it never said {text:?}:\n{}", self.said());
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        self.said()
    }

    /// Until it ends, and all it said.
    async fn ends(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it never ended:\n{}", self.said());
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        };
        // The readers let go when they have read all.
        while 1 < Arc::strong_count(&self.said) {
            actix_web::rt::time::sleep(Duration::from_millis(1)).await;
        }
        (status, self.said())
    }

    fn address(&self) -> SocketAddr {
        let said = self.said();
        let address = said.split("Listening on http://").nth(1).expect("it listens").lines().next();
        address.unwrap().parse().unwrap()
    }

    /// What is answered to whoever asks whether it is ready.
    async fn ready(&mut self) -> (u16, String) {
        self.says("Listening on").await;
        let nobody = Browser { address: self.address(), cookie: String::new() };
        let ask = move || nobody.get("/readyz", Duration::from_secs(20)).unwrap();
        let answer = tokio::task::spawn_blocking(ask).await.unwrap();
        (answer.status, answer.body)
    }

    /// Until it is.
    async fn is_ready(&mut self) {
        let began = Instant::now();
        while let (503, why) = self.ready().await {
            assert!(began.elapsed() < Duration::from_secs(120), "it never was ready: {why}{}", self.said());
            actix_web::rt::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        // SAFETY: our own child, which was not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.ends().await;
    }
}

impl Drop for Bugle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(QueryableByName)]
struct N {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn number(conn: &mut PgConnection, sql: &str) -> i64 {
    diesel::sql_query(sql).get_result::<N>(conn).unwrap().n
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

// ---- together ------------------------------------------------------------------

#[actix_web::test]
async fn processes_that_start_together_on_an_empty_database_all_live() {
    let url = empty_database("started_together");
    let mut processes: Vec<_> = (0..6).map(|_| Bugle::serve(&url, &["--demo", "none"])).collect();
    let mut passwords = 0;
    for process in &mut processes {
        let said = process.says("Sign in with").await;
        passwords += said.matches("and password").count();
    }
    let conn = &mut connect(&url);
    assert_eq!(number(conn, "SELECT count(*) AS n FROM users"), 1);
    assert_eq!(number(conn, "SELECT count(*) AS n FROM channels"), 1);
    assert_eq!(passwords, 1, "one of them made the first person and says the password");
}

#[actix_web::test]
async fn two_that_find_no_channel_at_the_same_time_make_one() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.sql("DELETE FROM channels");
    let (url, now) = (desk.url.clone(), desk.app.clock.now());
    // One has made it and not committed yet.
    let mut first = connect(&url);
    AnsiTransactionManager::begin_transaction(&mut first).unwrap();
    channels::actions::ensure_channel(&mut first, now).unwrap();
    let second = std::thread::spawn(move || channels::actions::ensure_channel(&mut connect(&url), now).unwrap());
    let waits =
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    until("the other waits", || desk.number(waits) == 1 || second.is_finished()).await;
    AnsiTransactionManager::commit_transaction(&mut first).unwrap();
    second.join().unwrap();
    assert_eq!(desk.number("SELECT count(*) AS n FROM channels"), 1);
}

#[actix_web::test]
async fn pages_answer_while_the_demo_is_written_and_say_how_far_it_is() {
    let url = empty_database("demo_shown");
    let mut process = Bugle::serve(&url, &["--demo", "story"]);
    let said = process.says("and password").await;
    let told = said.find("in a moment it answers at http://127.0.0.1:").expect("the address is told first");
    assert!(told < said.find("Listening on").unwrap());
    assert_eq!(process.ready().await, (503, "the demo is being written\n".to_owned()));

    let password = said.split("and password ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let address = process.address();
    let browser =
        tokio::task::spawn_blocking(move || Browser::sign_in(address, "admin@bugle.example", &password)).await.unwrap();
    let get = async |path: &'static str| {
        let browser = browser.clone();
        let get = move || browser.get(path, Duration::from_secs(20)).unwrap();
        tokio::task::spawn_blocking(get).await.unwrap()
    };
    let page = get("/campaigns").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("The demo is being written"), "{}", page.body);
    let progress = get("/demo").await.body;
    assert!(progress.contains("of 10: ") && progress.contains("<progress max=\"10\""), "{progress}");
    // Nothing that the demo launches moves by the clock of today meanwhile.
    process.is_ready().await;
    assert!(!get("/campaigns").await.body.contains("The demo is being written"));
    assert!(get("/demo").await.body.contains("The demo is there"));
}

#[actix_web::test]
async fn a_process_that_starts_while_another_writes_the_demo_waits_for_its_end() {
    let url = empty_database("demo_together");
    let mut both = [(); 2].map(|_| Bugle::serve(&url, &["--demo", "story"]));
    for process in &mut both {
        process.is_ready().await;
    }
    // The campaigns of the demo's past went as they are told, by no clock but its own.
    let conn = &mut connect(&url);
    let spring = "SELECT count(*) AS n FROM deliveries d JOIN schedule_runs r ON r.id = d.run_id
                  JOIN campaigns c ON c.id = r.campaign_id WHERE c.name = 'Spring offer' AND d.outcome = 9";
    assert_eq!(number(conn, spring), 0, "another engine ended a run of yesterday");
    let survey = "SELECT count(*) AS n FROM schedules WHERE name = 'First invitation' AND state = 'paused'";
    assert_eq!(number(conn, survey), 1);
}

#[actix_web::test]
async fn processes_that_find_a_demo_begun_are_ready_when_it_is_written() {
    let url = empty_database("demo_beside");
    let mut story = Bugle::serve(&url, &["--demo", "story"]);
    let begun = "SELECT count(*) AS n FROM installation WHERE seeded_at IS NOT NULL";
    let is_begun = || diesel::sql_query(begun).get_result::<N>(&mut connect(&url)).is_ok_and(|begun| begun.n == 1);
    until("the demo is begun", is_begun).await;

    let survey = "SELECT count(*) AS n FROM schedules WHERE name = 'First invitation' AND state = 'paused'";
    let is_ready = async |demo| {
        let mut beside = Bugle::serve(&url, &["--demo", demo]);
        beside.is_ready().await;
        assert_eq!(number(&mut connect(&url), survey), 1, "{demo}: it is not written yet");
    };
    futures_util::join!(is_ready("none"), is_ready("story"));
    story.is_ready().await;
}

// ---- whose database, and which version -----------------------------------------

#[actix_web::test]
async fn somebody_elses_database_is_refused_and_left_as_it_was() {
    for (name, sql, shown) in [
        ("others_contacts", "CREATE TABLE contacts (id int); INSERT INTO contacts VALUES (7)", "contacts"),
        ("others_orders", "CREATE TABLE orders (id serial)", "orders"),
        (
            "others_diesel",
            "CREATE TABLE __diesel_schema_migrations (version text PRIMARY KEY, run_on timestamp DEFAULT now());
             INSERT INTO __diesel_schema_migrations VALUES ('20200101000000')",
            "not Bugle's",
        ),
    ] {
        let url = empty_database(name);
        let conn = &mut connect(&url);
        conn.batch_execute(sql).unwrap();
        let relations = "SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        let before = number(conn, relations);
        let error = db::migrate(&url).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Refused::NotOurs { .. })), "{error:#}");
        assert!(error.to_string().contains(shown), "{error:#}");
        assert_eq!(number(conn, relations), before, "{name} was written into");
    }
}

#[actix_web::test]
async fn what_extensions_bring_along_is_nobodys_table() {
    let url = empty_database("with_extensions");
    keeper_of("with_extensions").batch_execute("CREATE EXTENSION pg_stat_statements").unwrap();
    db::migrate(&url).unwrap();
}

#[actix_web::test]
async fn a_channel_of_a_provider_that_nobody_knows_is_no_sandbox_but_an_error() {
    let url = empty_database("with_a_pigeon");
    db::migrate(&url).unwrap();
    let pigeon = "INSERT INTO channels (name, kind, provider, sender, secret, created_at)
                  VALUES ('Loft', 'sms', 'pigeon', 'Bugle', 'x', now())";
    let refused = connect(&url).batch_execute(pigeon).unwrap_err().to_string();
    assert!(refused.contains("provider_is_known"), "{refused}");
    connect(&url).batch_execute("ALTER TABLE channels DROP CONSTRAINT provider_is_known").unwrap();
    connect(&url).batch_execute(pigeon).unwrap();
    let (status, said) = Bugle::serve(&url, &[]).ends().await;
    assert!(!status.success() && said.contains("“Loft” is of the provider “pigeon”"), "{said}");
    assert!(!said.contains("Listening"), "{said}");
}

#[actix_web::test]
async fn a_database_of_a_newer_version_is_refused() {
    let url = empty_database("from_tomorrow");
    db::migrate(&url).unwrap();
    connect(&url).batch_execute("INSERT INTO __diesel_schema_migrations VALUES ('29991231000000')").unwrap();
    let error = db::migrate(&url).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Refused::Newer { version: "29991231000000".to_owned() }), "{error:#}");

    let (status, said) = Bugle::serve(&url, &[]).ends().await;
    assert!(!status.success() && said.contains("newer Bugle"), "{said}");
}

#[actix_web::test]
async fn a_start_that_breaks_off_half_way_leaves_nothing_behind() {
    let url = empty_database("broken_off");
    keeper_of("broken_off")
        .batch_execute(
            "CREATE FUNCTION break_off() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.bots') THEN
                     RAISE 'the power went off';
                 END IF;
             END $$;
             CREATE EVENT TRIGGER break_off ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION break_off()",
        )
        .unwrap();
    let error = db::migrate(&url).unwrap_err();
    assert!(format!("{error:#}").contains("the power went off"), "{error:#}");
    let relations = "SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(number(&mut connect(&url), relations), 0);

    keeper_of("broken_off").batch_execute("DROP EVENT TRIGGER break_off").unwrap();
    db::migrate(&url).unwrap();
}

#[actix_web::test]
async fn a_role_that_may_too_little_is_told_what_is_missing() {
    let url = empty_database("may_little");
    let keeper = &mut keeper_of("may_little");
    keeper
        .batch_execute("ALTER DATABASE may_little OWNER TO postgres; REVOKE ALL ON SCHEMA public FROM PUBLIC")
        .unwrap();
    let error = db::migrate(&url).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Refused::MayNotAddTrigrams { .. })), "{error:#}");
    keeper.batch_execute("CREATE EXTENSION pg_trgm").unwrap();
    keeper.batch_execute("GRANT USAGE ON SCHEMA public TO bugle").unwrap();
    let error = db::migrate(&url).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Refused::MayNotAddTables { .. })), "{error:#}");
}

// ---- databases that are not there ----------------------------------------------

/// Passes connections of a free port on to the server of `url`, from when it is asked to.
struct Relay {
    port: u16,
    /// Taken, so that nobody else has it, and not listening yet.
    socket: tokio::net::TcpSocket,
}

impl Relay {
    fn new() -> Relay {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Relay { port: socket.local_addr().unwrap().port(), socket }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://bugle@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    fn open(self, url: &str) {
        let socket = PathBuf::from(url.split_whitespace().next().unwrap().strip_prefix("host=").unwrap());
        let listener = self.socket.listen(16).unwrap();
        actix_web::rt::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let socket = socket.join(".s.PGSQL.5432");
                actix_web::rt::spawn(async move {
                    let mut far = tokio::net::UnixStream::connect(socket).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
    }
}

#[actix_web::test]
async fn a_database_that_comes_up_late_is_waited_for() {
    let url = empty_database("comes_late");
    let relay = Relay::new();
    let mut process = Bugle::start(&["migrate", "--database-url", &relay.url("comes_late")]);
    process.says("the database does not answer yet").await;
    relay.open(&url);
    let (status, said) = process.ends().await;
    assert!(status.success() && said.contains("up to date"), "{said}");
}

#[actix_web::test]
async fn a_database_that_does_not_come_is_given_up_with_a_word() {
    let relay = Relay::new();
    let args = ["migrate", "--wait", "1", "--database-url", &relay.url("never")];
    let (status, said) = Bugle::start(&args).ends().await;
    assert!(!status.success() && said.contains("cannot reach the database"), "{said}");

    // One that takes the connection and then keeps silent, as a host does that swallows packets.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://bugle@127.0.0.1:{}/never", mute.local_addr().unwrap().port());
    let began = Instant::now();
    let (status, said) = Bugle::start(&["migrate", "--wait", "1", "--database-url", &url]).ends().await;
    assert!(!status.success() && said.contains("cannot reach the database"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for {:?}", began.elapsed());
}

#[actix_web::test]
async fn another_machine_is_not_spoken_to_in_the_clear_and_no_password_is_shown() {
    let (status, said) =
        Bugle::start(&["migrate", "--database-url", "postgres://bugle:hunter2@192.0.2.1/bugle?sslmode=prefer"])
            .ends()
            .await;
    assert!(!status.success() && said.contains("192.0.2.1 is another machine"), "{said}");
    let (status, said) =
        Bugle::start_with(&["migrate"], &[("DATABASE_URL", "postgres://bugle:hunter2@te@db:x/bugle")]).ends().await;
    assert!(!status.success() && said.contains("cannot be understood") && !said.contains("hunter2"), "{said}");
}

// ---- a data folder of its own ---------------------------------------------------

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[actix_web::test]
async fn a_private_house_is_closed_to_others_and_its_program_may_do_little() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let dir = home.path().join("data");
    let serve = ["serve", "--port", "0", "--demo", "none", "--data-dir", dir.to_str().unwrap()];
    let (mut one, mut other) = (Bugle::start(&serve), Bugle::start(&serve));
    let (said, also_said) = (one.says("(shown until").await, other.says("(shown until").await);
    let password = |said: &str| said.split("and password ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(password(&said), password(&also_said), "both know the password, whoever made it");

    // The folder.
    for (path, wanted) in
        [("", 0o700), ("socket", 0o700), ("postgres", 0o700), ("postgres.log", 0o600), ("first-password", 0o600)]
    {
        assert_eq!(mode(&dir.join(path)), wanted, "{path:?}");
    }
    // The process: an account without privileges, and no way to more.
    let status = fs::read_to_string(format!("/proc/{}/status", one.child.id())).unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(of("NoNewPrivs:"), "1");
    if privileges::is_root() {
        let account = privileges::account(None).unwrap().unwrap();
        assert_eq!(of("Uid:"), [account.user.to_string().as_str(); 4].join("\t"));
        assert_eq!(of("CapEff:").trim_matches('0'), "");
        assert_eq!(fs::metadata(dir.join("first-password")).unwrap().uid(), account.user);
    }
    // The role.
    let url = format!("host={} user=bugle dbname=bugle", dir.join("socket").display());
    let conn = &mut connect(&url);
    let powers = "SELECT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)::int::bigint AS n
                  FROM pg_roles WHERE rolname = current_user";
    assert_eq!(number(conn, powers), 0, "it may more than it needs");
    assert!(fs::read_to_string(dir.join("postgres/pg_hba.conf")).unwrap().lines().all(|line| line.contains(" peer ")));
    // The library that triggers are written in is in the server before any upgrade can replace it.
    let postmaster = fs::read_to_string(dir.join("postgres/postmaster.pid")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{}/maps", postmaster.lines().next().unwrap())).unwrap();
    assert!(maps.contains("plpgsql.so") && maps.contains("pg_trgm.so"));

    // Until it is changed the password is shown, and then no more.
    let mut change = Bugle::start(&["user", "passwd", first_password::EMAIL, "--data-dir", dir.to_str().unwrap()]);
    change.types("another password of mine");
    let (changed, words) = change.ends().await;
    assert!(changed.success(), "{words}");
    assert!(!dir.join("first-password").exists());
    let mut third = Bugle::start(&serve);
    let said = third.says("Sign in with").await;
    assert!(!said.contains("and password"), "{said}");
    third.stop().await;
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn a_server_whose_programs_were_replaced_shows_where_readiness_is_asked() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.visit_as_stranger("/readyz").await.lacks("replaced");
    desk.app.pulse.server_was_replaced();
    desk.visit_as_stranger("/readyz").await.shows("were replaced: restart soon");
}

/// A cluster as it was once made: it belongs to `bugle`, and lets everybody in.
fn cluster_of_before(dir: &Path) -> impl Fn(&str) -> Command {
    let account = privileges::account(None).unwrap();
    fs::create_dir_all(dir.join("socket")).unwrap();
    if let Some(account) = &account {
        account.give(dir).unwrap();
    }
    let programs = find_programs().unwrap();
    let dir = dir.to_owned();
    move |name| {
        let mut command = Command::new(programs.join(name));
        if let Some(account) = &account {
            command.uid(account.user).gid(account.group);
        }
        command.current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

#[actix_web::test]
async fn data_of_before_follow_to_a_role_that_may_less() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let dir = home.path().join("data");
    let program = cluster_of_before(&dir);
    let made = program("initdb").args(["-D", "postgres", "-U", "bugle", "-A", "trust", "-N", "-E", "UTF8"]).status();
    assert!(made.unwrap().success());
    let mut server = program("postgres")
        .args([
            "-D",
            "postgres",
            "-k",
            dir.join("socket").to_str().unwrap(),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
        ])
        .spawn()
        .unwrap();
    let url = |database: &str| format!("host={} user=bugle dbname={database}", dir.join("socket").display());
    until("the server of before is up", || PgConnection::establish(&url("postgres")).is_ok()).await;
    connect(&url("postgres")).batch_execute("CREATE DATABASE bugle").unwrap();
    db::migrate(&url("bugle")).unwrap();
    connect(&url("bugle")).batch_execute("CREATE TYPE mood AS ENUM ('good')").unwrap();
    // SAFETY: our own child, which was not waited for.
    unsafe { libc::kill(server.id() as i32, libc::SIGINT) };
    server.wait().unwrap();

    for start in ["the first", "the second"] {
        let server = Private::start(&dir, Durability::None).unwrap();
        server.create_database("bugle").unwrap();
        let conn = &mut connect(&server.url("bugle"));
        let supers = "SELECT count(*) AS n FROM pg_roles WHERE rolsuper";
        assert_eq!(number(conn, supers), 1, "{start}");
        let is_super = "SELECT rolsuper::int::bigint AS n FROM pg_roles WHERE rolname = current_user";
        assert_eq!(number(conn, is_super), 0, "{start}");
        let others = "SELECT (SELECT count(*) FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relowner <> 'bugle'::regrole)
                           + (SELECT count(*) FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND proowner <> 'bugle'::regrole
                              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'))
                           + (SELECT count(*) FROM pg_type t WHERE typname = 'mood' AND typowner <> 'bugle'::regrole) AS n";
        assert_eq!(number(conn, others), 0, "{start}: something belongs to somebody else");
        db::migrate(&server.url("bugle")).unwrap();
        conn.batch_execute("ALTER TABLE campaigns ADD COLUMN tried int; ALTER TABLE campaigns DROP COLUMN tried")
            .unwrap();
    }
}

#[actix_web::test]
async fn a_password_that_is_changed_on_its_page_is_written_down_no_longer() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("first-password");
    let settings = Settings { first_password: Some(path.clone()), ..Settings::default() };
    let app = App { settings, ..App::clone(&desk.app) };
    desk.sql(&format!("UPDATE users SET email = '{}'", first_password::EMAIL));
    first_password::keep(&path, "admin password").unwrap();
    let recalled = desk.db(|conn| first_password::recall(conn, &path).unwrap());
    assert_eq!(recalled.as_deref(), Some("admin password"));

    let service = test::init_service(server::app(Data::new(app), Key::from(&[7; 64]))).await;
    let post = |to| TestRequest::post().uri(to).insert_header(("Sec-Fetch-Site", "same-origin"));
    let form = [("email", first_password::EMAIL), ("password", "admin password")];
    let response = test::call_service(&service, post("/sign-in").set_form(form).to_request()).await;
    let cookie = response.response().cookies().next().unwrap().into_owned();
    let form = [("current", "admin password"), ("password", "a longer password")];
    let request = post("/account/password").cookie(cookie).set_form(form).to_request();
    assert_eq!(test::call_service(&service, request).await.status(), 303);
    assert!(!path.exists(), "it is written down still");
}

// ---- the terminal --------------------------------------------------------------

#[actix_web::test]
async fn everything_is_paused_and_stopped_from_the_terminal() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.carrier(&Knobs { latency_ms: 600_000, latency_to_ms: 600_000, ..prompt() });
    let (campaign, ..) = desk.campaign("Spring offer", 300, "09:00-18:00", 600.0).await;
    desk.later(1);
    starter::tick(&desk.app).await.unwrap();
    desk.engine.dispatcher.tick().await.unwrap();
    let wire = desk.number("SELECT coalesce(sum(open), 0)::bigint AS n FROM leases");
    assert!(0 < wire);

    // Without the word nothing happens.
    let mut asked = Bugle::start(&["stop-all", "--database-url", &desk.url]);
    asked.types("stop");
    let (status, said) = asked.ends().await;
    assert!(
        !status.success() && said.contains("1 campaigns with 1 schedules") && said.contains("NOT stopped"),
        "{said}"
    );
    let (status, said) = Bugle::start(&["pause-all", "--yes", "--database-url", &desk.url]).ends().await;
    assert!(status.success() && said.contains("Paused: 1 campaigns. Nothing more will leave."), "{said}");
    assert!(said.contains(&format!("{wire} sends had begun")) && said.contains("of Spring offer"), "{said}");
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs WHERE state = 'paused'"), 1);

    let mut asked = Bugle::start(&["stop-all", "--database-url", &desk.url]);
    asked.types("STOP");
    let (status, said) = asked.ends().await;
    assert!(status.success() && said.contains("Stopped: 1 campaigns with 1 schedules."), "{said}");
    assert_eq!(desk.number("SELECT count(*) AS n FROM schedule_runs WHERE state = 'stopped'"), 1);
    let told = "SELECT count(*) AS n FROM journal WHERE happened LIKE '%.stopped' AND user_id IS NULL
                AND why = 'STOP of everything' AND nobody = 'shell'";
    assert_eq!(desk.number(told), 3);
    let history = desk.db(|conn| bugle::screen::store::history(conn, campaign, 1).unwrap());
    assert_eq!(history[0].who(), "the terminal");
}

#[actix_web::test]
async fn a_stop_that_reaches_no_database_says_that_nothing_was_stopped() {
    let relay = Relay::new();
    let args = ["stop-all", "--yes", "--wait", "0", "--database-url", &relay.url("never")];
    let (status, said) = Bugle::start(&args).ends().await;
    assert!(!status.success() && said.contains("NOT stopped: cannot reach the database"), "{said}");

    let empty = tempfile::tempdir().unwrap();
    let dir = empty.path().join("data");
    let (status, said) = Bugle::start(&["pause-all", "--yes", "--data-dir", dir.to_str().unwrap()]).ends().await;
    assert!(!status.success() && said.contains("NOT paused: no installation lies in"), "{said}");
    assert!(!dir.exists(), "it made one");
}

// ---- encryption ----------------------------------------------------------------

#[cfg(feature = "tls")]
#[actix_web::test]
async fn a_server_with_a_certificate_is_spoken_to_as_the_address_says() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let dir = home.path().join("data");
    let program = cluster_of_before(&dir);
    let made = program("initdb").args(["-D", "postgres", "-U", "bugle", "-A", "trust", "-N", "-E", "UTF8"]).status();
    assert!(made.unwrap().success());
    for words in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Authority -keyout authority.key -out authority.crt",
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Another -keyout another.key -out another.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 -out server.crt",
    ] {
        let openssl = Command::new("openssl").args(words.split(' ')).current_dir(&dir).output().unwrap();
        assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    }
    fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    if let Some(account) = privileges::account(None).unwrap() {
        account.give(&dir).unwrap();
    }
    let port = Relay::new().port;
    let path = |name: &str| dir.join(name).display().to_string();
    let mut server = program("postgres")
        .args(["-D", "postgres", "-k", &path("socket"), "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", path("server.crt"))])
        .args(["-c", &format!("ssl_key_file={}", path("server.key")), "-c", "fsync=off"])
        .spawn()
        .unwrap();
    let socket = format!("host={} port={port} user=bugle dbname=postgres", path("socket"));
    until("the server is up", || PgConnection::establish(&socket).is_ok()).await;
    connect(&socket).batch_execute("CREATE DATABASE bugle").unwrap();

    let mine = format!("sslrootcert={}", path("authority.crt"));
    let anothers = format!("sslrootcert={}", path("another.crt"));
    for (host, mode, root, fits) in [
        ("localhost", "disable", "", true),
        ("localhost", "require", "", true),
        ("localhost", "verify-ca", mine.as_str(), true),
        ("localhost", "verify-ca", anothers.as_str(), false),
        ("localhost", "verify-full", mine.as_str(), true),
        ("127.0.0.1", "verify-full", mine.as_str(), false),
    ] {
        let url = format!("postgres://bugle@{host}:{port}/bugle?sslmode={mode}&{root}");
        let (status, said) = Bugle::start(&["migrate", "--database-url", url.trim_end_matches('&')]).ends().await;
        assert_eq!(status.success(), fits, "{host} {mode} {root}: {said}");
        assert!(!said.contains("more are waited for it"), "waiting makes no server trustworthy: {said}");
        assert!(fits || said.contains("certificate"), "{said}");
    }
    let encrypted = format!("postgres://bugle@127.0.0.1:{port}/bugle?sslmode=require");
    let ssl = "SELECT ssl::int::bigint AS n FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(number(&mut connect(&encrypted), ssl), 1);
    // SAFETY: our own child, which was not waited for.
    unsafe { libc::kill(server.id() as i32, libc::SIGINT) };
    server.wait().unwrap();
}
