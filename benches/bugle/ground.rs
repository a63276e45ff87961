//! A server of our own, a database for each benchmark, and what stands in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::web::Data;
use async_trait::async_trait;
use bugle::access::{Actor, Role};
use bugle::app::App;
use bugle::campaigns::CampaignKind;
use bugle::clock::Clock;
use bugle::config::Settings;
use bugle::db::embedded::{Durability, Private};
use bugle::db::{self, Db, Purpose};
use bugle::drafting;
use bugle::ids::{ChannelId, FileId, RunId, ScheduleId, UserId};
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;
use bugle::providers::{Able, Call, Envelope, Forged, Gate, Heard, Provider, Providers, SendOutcome};
use bugle::schedules::Draft;
use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

pub const EMAIL: &str = "bench@example.org";
pub const PASSWORD: &str = "bench password";

pub struct Ground {
    server: Option<Private>,
    dir: PathBuf,
    pub quick: bool,
}

impl Ground {
    /// The server keeps its promises to the disk: what is measured is what a person would get.
    pub fn open(quick: bool) -> anyhow::Result<Ground> {
        let dir = std::env::temp_dir().join(format!("bugle-bench-{}", std::process::id()));
        let server = Private::start(&dir, Durability::Full)?;
        // Bugle's own role is an ordinary one. Filling a house skips triggers, rounds begin at a checkpoint, and the bare
        // import reads its file on the server.
        PgConnection::establish(&server.keeper_url("postgres"))?.batch_execute(
            "GRANT SET ON PARAMETER session_replication_role TO bugle; GRANT pg_checkpoint, pg_read_server_files TO bugle",
        )?;
        Ok(Ground { server: Some(server), dir, quick })
    }

    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// So many, or a fiftieth of it.
    pub fn size(&self, full: usize) -> usize {
        if self.quick { full / 50 } else { full }
    }

    /// A place for files that the database server may read.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A new database with nothing in it, as libpq wants to be told of it.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        let server = self.server.as_ref().ok_or_else(|| anyhow::anyhow!("closed"))?;
        server.create_database(name)?;
        Ok(server.url(name))
    }

    /// A new database with a person, a channel and nothing else.
    pub fn house(&self, name: &str) -> anyhow::Result<House> {
        let url = self.database(name)?;
        db::migrate(&url)?;
        let mut conn = PgConnection::establish(&url)?;
        let now = Utc::now();
        let new = NewUser { email: EMAIL.into(), name: "Bench".into(), role: Role::Admin, password: PASSWORD.into() };
        let admin = add_user(&mut conn, &new, Actor::Shell, now)?;
        bugle::channels::actions::ensure_channel(&mut conn, now)?;
        let channel = ChannelId(number(&mut conn, "SELECT id AS n FROM channels LIMIT 1")?);
        Ok(House { url, admin, channel })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.server.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub struct House {
    pub url: String,
    pub admin: UserId,
    pub channel: ChannelId,
}

impl House {
    pub fn conn(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::establish(&self.url)?)
    }

    pub fn sql(&self, sql: &str) -> anyhow::Result<()> {
        Ok(self.conn()?.batch_execute(sql)?)
    }

    pub fn number(&self, sql: &str) -> anyhow::Result<i64> {
        number(&mut self.conn()?, sql)
    }

    pub fn app(&self, in_flight: usize, providers: Providers) -> anyhow::Result<Data<App>> {
        app_at(&self.url, in_flight, providers)
    }

    /// An imported file of `n` contacts, each with a name and a balance.
    pub fn contacts(&self, n: usize) -> anyhow::Result<FileId> {
        let admin = self.admin;
        self.sql(&format!(
            "INSERT INTO files (name, size_bytes, sha256, format, headers, mapping, state, rows_done, rows_good, uploaded_by, uploaded_at, finished_at)
             VALUES ('people.csv', 1, '', 'csv', '[\"phone\", \"name\", \"balance\"]',
                     '[{{\"use\": \"channel_id\"}}, {{\"use\": \"data\", \"field\": \"name\"}}, {{\"use\": \"data\", \"field\": \"balance\"}}]',
                     'imported', {n}, {n}, {admin}, now(), now());
             INSERT INTO contacts (kind, address) SELECT 'sms', '447400' || lpad(n::text, 7, '0') FROM generate_series(1, {n}) n;
             INSERT INTO file_rows (file_id, seq, line, contact_id, address, customer_id, \"values\")
             SELECT f.id, c.id, c.id + 1, c.id, c.address, 'C' || c.id, jsonb_build_object('name', 'Name' || c.id, 'balance', c.id::text)
             FROM contacts c, files f;
             ANALYZE",
        ))?;
        Ok(FileId(self.number("SELECT id AS n FROM files")?))
    }

    /// A launched campaign to all of `file` that may leave at once; nothing is prepared yet.
    pub fn launch(&self, file: FileId) -> anyhow::Result<(ScheduleId, RunId)> {
        static N: AtomicUsize = AtomicUsize::new(0);
        let name = format!("Bench {}", N.fetch_add(1, Ordering::Relaxed));
        let (conn, now) = (&mut self.conn()?, Utc::now());
        // The window opened long ago, so that catching up lets everything go at once.
        let opened = now - TimeDelta::hours(12);
        let (body, time) = ("Hello #name, you owe #balance|nothing#.", opened.time());
        let plan = Draft::once("Main", self.channel, body, opened.date_naive(), time, time, 6_000_000.0);
        let campaign = drafting::actions::create(conn, &name, CampaignKind::OnceOff, chrono_tz::UTC, self.admin, now)?;
        drafting::actions::set_file(conn, campaign, Some(file), self.admin, now)?;
        let schedule = drafting::actions::add_schedule(conn, campaign, &plan, self.admin, now)?;
        drafting::actions::launch(conn, campaign, self.admin, now)?;
        let run = number(conn, &format!("SELECT id AS n FROM schedule_runs WHERE schedule_id = {schedule}"))?;
        Ok((schedule, RunId(run)))
    }
}

pub fn app_at(url: &str, in_flight: usize, providers: Providers) -> anyhow::Result<Data<App>> {
    let settings = Settings { in_flight, ..Settings::default() };
    let db = Db::connect(url, 16)?;
    Ok(Data::new(App {
        vital: db.beside(Purpose::Vital, 4)?,
        db: db.beside(Purpose::Engine, 16)?,
        books: db,
        clock: Clock::default(),
        settings,
        providers,
        marks: Default::default(),
        said: Default::default(),
        turns: Default::default(),
        pulse: Default::default(),
    }))
}

/// The answer of a query whose only column is called `n`.
pub fn number(conn: &mut PgConnection, sql: &str) -> anyhow::Result<i64> {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    Ok(diesel::sql_query(sql).get_result::<One>(conn)?.n)
}

/// A provider that takes everything at once.
pub struct Null;

pub fn null() -> Providers {
    Arc::new(|_| Arc::new(Null))
}

#[async_trait]
impl Provider for Null {
    async fn send(&self, envelope: &Envelope, gate: Gate<'_>) -> Option<SendOutcome> {
        std::hint::black_box(envelope);
        gate().then_some(SendOutcome::Accepted { provider_ref: None })
    }

    fn able(&self) -> Able {
        Able { choices: true, ..Able::TEXT }
    }

    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        Ok(Heard::default())
    }
}
