//! A pair of real PostgreSQL servers of which the second takes over, under the real binary
//! in mid-send. The carrier's books lie in a third: they bear witness.

use std::collections::HashSet;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bugle::clock::Clock;
use bugle::db::{self, embedded};
use bugle::ids::RunId;
use bugle::providers::sandbox::Knobs;
use bugle::{losses, privileges};
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::desk::{Desk, prompt, until};

/// One server of the pair.
struct Server {
    data: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn program(name: &str) -> Command {
        // Where the server itself lies, and not a link to it, there are the others as well.
        let server = embedded::find_programs().unwrap().join("postgres").canonicalize().unwrap();
        let mut command = Command::new(server.with_file_name(name));
        if let Some(account) = privileges::account(None).unwrap() {
            command.uid(account.user).gid(account.group);
        }
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(mut command: Command) {
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn at(dir: &Path, name: &str) -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Server { data: dir.join(name), port, child: None }
    }

    async fn start(&mut self) {
        let mut command = Self::program("postgres");
        command.arg("-D").arg(&self.data).args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        for setting in ["fsync=off", "shared_buffers=32MB", "max_connections=120", "wal_keep_size=256MB"] {
            command.args(["-c", setting]);
        }
        self.child = Some(command.spawn().unwrap());
        until("the server answers", || PgConnection::establish(&self.url("postgres")).is_ok()).await;
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://bugle@127.0.0.1:{}/{database}", self.port)
    }

    fn sql(&self, sql: &str) {
        use diesel::connection::SimpleConnection;
        PgConnection::establish(&self.url("postgres")).unwrap().batch_execute(sql).unwrap();
    }

    fn says(&self, question: &str) -> bool {
        #[derive(QueryableByName)]
        struct Is {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            is: bool,
        }
        let mut conn = PgConnection::establish(&self.url("postgres")).unwrap();
        diesel::sql_query(format!("SELECT ({question}) AS is")).get_result::<Is>(&mut conn).unwrap().is
    }

    /// All of its processes at once, as when the power goes.
    fn is_lost(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        child.kill().unwrap();
        for pid in children.split_whitespace() {
            // SAFETY: a process of a server that this test started.
            unsafe { libc::kill(pid.parse().unwrap(), libc::SIGKILL) };
        }
        child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_lost();
    }
}

struct Pair {
    first: Server,
    second: Server,
    _dir: tempfile::TempDir,
}

impl Pair {
    /// Two servers, the second streaming from the first.
    async fn start() -> Pair {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        if let Some(account) = privileges::account(None).unwrap() {
            chown(dir.path(), Some(account.user), Some(account.group)).unwrap();
        }
        let (mut first, mut second) = (Server::at(dir.path(), "first"), Server::at(dir.path(), "second"));
        let mut make = Server::program("initdb");
        make.arg("-D").arg(&first.data).args(["-U", "bugle", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]);
        Server::run(make);
        first.start().await;
        first.sql("CREATE DATABASE bugle");
        let mut copy = Server::program("pg_basebackup");
        let from = format!("host=127.0.0.1 port={} user=bugle", first.port);
        copy.args(["-d", &from, "-R", "-X", "stream", "-c", "fast", "-N", "-D"]).arg(&second.data);
        Server::run(copy);
        second.start().await;
        until("it streams", || first.says("EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")).await;
        Pair { first, second, _dir: dir }
    }

    /// From now on nothing is confirmed that the second does not have.
    async fn confirms_together(&self) {
        self.first.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.first.sql("SELECT pg_reload_conf()");
        let together = "EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
        until("it is synchronous", || self.first.says(together)).await;
    }

    fn url(&self) -> String {
        let (first, second) = (self.first.port, self.second.port);
        format!(
            "postgres://bugle@127.0.0.1:{first},127.0.0.1:{second}/bugle?target_session_attrs=read-write&connect_timeout=3"
        )
    }
}

/// Bugle's engine as a process of its own.
struct Engine(Child);

impl Engine {
    fn start(url: &str, books: &str, dir: &Path) -> Engine {
        let child = Command::new(env!("CARGO_BIN_EXE_bugle"))
            .args(["serve", "--port", "0", "--only", "engine", "--demo", "none", "--data-dir"])
            .arg(dir)
            .env("DATABASE_URL", url)
            .env("BUGLE_SANDBOX_DATABASE_URL", books)
            .env("BUGLE_LOG", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Engine(child)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CONTACTS: usize = 1_200;

/// A pair under way: `house` looks into the product's database, `carrier` into the carrier's books.
struct Sending {
    house: Desk,
    carrier: Desk,
    run: RunId,
    _engine: Engine,
    _dir: tempfile::TempDir,
    // Last: the others still ask it when they go.
    pair: Pair,
}

impl Sending {
    /// Two hundred a second, some forty of them on the wire.
    async fn start(pair: Pair) -> Sending {
        db::migrate(&pair.first.url("bugle")).unwrap();
        let today = Clock::default().now().format("%Y-%m-%d 00:00").to_string();
        let (carrier, house) = (Desk::open_at(&today).await, Desk::open_on(pair.url(), &today).await);
        house.carrier(&Knobs { latency_ms: 100, latency_to_ms: 300, ..prompt() });
        let (.., run) = house.campaign("Real", CONTACTS, "00:00-23:59", 12_000.0).await;
        house.sql(
            "UPDATE schedule_runs SET starts_at = now() - interval '1 second', ends_at = now() + interval '1 day'",
        );
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::start(&house.url, &carrier.url, dir.path());
        Sending { house, carrier, run, _engine: engine, _dir: dir, pair }
    }

    async fn has_sent(&self, n: usize) {
        until("it sends", || n <= self.carrier.received().len()).await;
    }

    /// The first server is gone, and the other takes over.
    async fn fails_over(&mut self) {
        self.pair.first.is_lost();
        self.pair.second.sql("SELECT pg_promote()");
        until("the second takes over", || self.pair.second.says("NOT pg_is_in_recovery()")).await;
        self.house.reconnects();
    }

    /// Everybody has a word; what nobody can say any more is unconfirmed at once.
    async fn ends(&self) {
        until("everybody was claimed", || {
            self.house.number("SELECT count(*) AS n FROM schedule_runs WHERE next_seq <= last_seq") == 0
        })
        .await;
        let give_up =
            "UPDATE leases SET expires_at = taken_at WHERE open > 0 AND taken_at < now() - interval '4 seconds'";
        until("everybody has a word", || {
            self.house.sql(give_up);
            let counts = self.house.counts(self.run);
            counts.settled() == counts.audience
        })
        .await;
    }

    fn nobody_twice_and_nobody_forgotten(&self) {
        let received = self.carrier.received();
        let distinct: HashSet<&str> = received.iter().map(|it| it.phone.as_str()).collect();
        assert_eq!(distinct.len(), received.len(), "somebody got it twice");
        let counts = self.house.counts(self.run);
        let reached = received.len() as i64;
        let may = counts.sent() + counts.unconfirmed;
        assert!(counts.sent() <= reached && reached <= may, "{reached} reached, {counts:?}");
        assert_eq!((counts.settled(), counts.audience), (CONTACTS as i64, CONTACTS as i64), "{counts:?}");
    }

    /// The longest time in which nothing began to leave.
    fn gap(&self) -> Duration {
        use bugle::db::schema::sandbox_messages;
        let stamps: Vec<DateTime<Utc>> = self.carrier.db(|conn| {
            sandbox_messages::table
                .order(sandbox_messages::stamped_at)
                .select(sandbox_messages::stamped_at)
                .load(conn)
                .unwrap()
        });
        stamps.windows(2).map(|two| (two[1] - two[0]).to_std().unwrap()).max().unwrap()
    }
}

#[actix_web::test]
async fn torture_a_synchronous_pair_loses_its_first_server_in_mid_send() {
    let pair = Pair::start().await;
    pair.confirms_together().await;
    let mut it = Sending::start(pair).await;
    it.has_sent(300).await;
    it.fails_over().await;
    it.ends().await;

    let (gap, counts) = (it.gap(), it.house.counts(it.run));
    eprintln!("pair, synchronous: nothing left for {gap:?}; {counts:?}");
    it.nobody_twice_and_nobody_forgotten();
    assert!(gap < Duration::from_secs(20), "{gap:?}");
    assert_eq!(it.house.number("SELECT count(*) AS n FROM losses"), 0, "nothing was lost");
}

#[actix_web::test]
async fn torture_a_second_server_that_was_behind_takes_over_and_everything_is_held() {
    let mut it = Sending::start(Pair::start().await).await;
    it.has_sent(200).await;
    // It hears nothing more of the first.
    it.pair.second.sql("ALTER SYSTEM SET primary_conninfo = ''");
    it.pair.second.sql("SELECT pg_reload_conf()");
    until("it hears nothing", || it.pair.second.says("NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")).await;
    let heard = it.carrier.received().len();
    it.has_sent(heard + 300).await;
    it.fails_over().await;
    until("it is noticed", || it.house.number("SELECT count(*) AS n FROM losses") == 1).await;

    let held = it.house.counts(it.run);
    eprintln!("pair, the second behind: {} unconfirmed, everything held", held.unconfirmed);
    assert!(held.unconfirmed >= 250, "{held:?}");
    let (admin, now) = (it.house.admin, Clock::default().now());
    let cursor = it.house.number("SELECT next_seq::bigint AS n FROM schedule_runs");
    it.house.db(|conn| losses::actions::release(conn, false, admin, now).unwrap());
    until("it goes on", || cursor < it.house.number("SELECT next_seq::bigint AS n FROM schedule_runs")).await;
    it.ends().await;
    it.nobody_twice_and_nobody_forgotten();
}
