//! Connections as the pools keep them: each knows what it is for, whom it works
//! for, and whether it must be asked if it is still alive.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::{Connection, InstrumentationEvent, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::sql_types::{Integer, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use r2d2::{HandleError, ManageConnection};

use super::health::Health;
use super::locks;
use super::ticket::Desk;

/// What connections are for. It decides how long the server bears with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Pages and whatever else has time for a busy moment.
    Pages,
    /// PAUSE, RESUME, STOP, signing in: what must be answered whatever else goes on.
    Vital,
    /// What moves by itself. It holds rows that a PAUSE waits for.
    Engine,
    /// One connection for work that takes minutes.
    Long,
}

impl Purpose {
    /// As the server's list of activity shows it.
    fn name(self) -> &'static str {
        match self {
            Purpose::Pages => "bugle pages",
            Purpose::Vital => "bugle vital",
            Purpose::Engine => "bugle engine",
            Purpose::Long => "bugle long",
        }
    }

    /// How long whoever asked waits before the work is given up.
    pub(super) fn patience(self) -> Duration {
        match self {
            Purpose::Pages => Duration::from_secs(10),
            Purpose::Vital => Duration::from_secs(4),
            Purpose::Engine => Duration::from_secs(6),
            Purpose::Long => Duration::from_secs(15 * 60),
        }
    }

    /// The longest that one statement may take, in milliseconds; 0 for as long as it takes.
    pub(super) fn statement(self) -> u32 {
        match self {
            Purpose::Pages => 8_000,
            // Whoever clicked is told after the patience. (No timeout ends a COMMIT that waits for a standby.)
            Purpose::Vital => 0,
            Purpose::Engine | Purpose::Long => 0,
        }
    }

    /// The longest wait for somebody else's row, in milliseconds.
    fn lock(self) -> u32 {
        match self {
            Purpose::Pages => 5_000,
            Purpose::Vital => 3_000,
            Purpose::Engine => 4_000,
            Purpose::Long => 60_000,
        }
    }

    /// The longest silence inside a transaction, in milliseconds. A process that stands still gives back what it
    /// holds after so long; a claim is worthless by then.
    fn idle(self) -> u32 {
        match self {
            Purpose::Engine | Purpose::Vital => 2_000,
            Purpose::Pages => 15_000,
            Purpose::Long => 60_000,
        }
    }

    /// Whether a connection is asked if it is alive before it is lent. One more round
    /// trip: little beside a page, a third of the throughput of an engine.
    fn is_tested(self) -> bool {
        match self {
            Purpose::Pages | Purpose::Vital | Purpose::Long => true,
            Purpose::Engine => false,
        }
    }

    /// Whether the server may read whole tables. An engine looks everything up by its key; the plans of its
    /// statements are kept, and one that was made while a table was nearly empty would go on reading all of it.
    fn may_scan(self) -> bool {
        self != Purpose::Engine
    }

    /// What a connection bears with while its work is one that may take minutes.
    pub(super) fn settings_of_long_work() -> &'static str {
        "SET statement_timeout = 0; SET enable_seqscan = on"
    }

    /// And again when that is done.
    pub(super) fn settings_of_short_work(self) -> String {
        format!("SET statement_timeout = {}; SET enable_seqscan = {}", self.statement(), self.may_scan())
    }

    fn settings(self) -> String {
        // Compiling a plan takes longer than any of our statements that are asked often.
        format!(
            "SET application_name = '{}'; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET jit = off; {}",
            self.name(),
            self.lock(),
            self.idle(),
            self.settings_of_short_work()
        )
    }
}

/// A connection and what is known of it.
pub(super) struct Session {
    conn: PgConnection,
    pub(super) desk: Desk,
    /// The server's process at its other end.
    pub(super) backend: i32,
    /// When that server started, in its own words: tells one server from another.
    pub(super) server: Arc<str>,
    /// How many connections of the pool had broken when this one was known to be alive.
    sound_at: u64,
    /// Never to be lent again.
    pub(super) is_dead: bool,
}

#[derive(QueryableByName)]
struct OtherEnd {
    #[diesel(sql_type = Integer)]
    backend: i32,
    #[diesel(sql_type = Text)]
    server: String,
}

impl Session {
    /// `statements`: what counts the statements that it sends.
    pub(super) fn open(url: &str, purpose: Purpose, statements: Arc<AtomicU64>) -> Result<Self, CannotConnect> {
        let mut conn = PgConnection::establish(url)?;
        conn.batch_execute(&purpose.settings())?;
        let ask = "SELECT pg_backend_pid() AS backend, pg_postmaster_start_time()::text AS server";
        let OtherEnd { backend, server } = diesel::sql_query(ask).get_result(&mut conn)?;
        let desk = Desk::default();
        let looking = desk.clone();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            locks::look(&event);
            if looking.look(&event) {
                count(&event, &statements);
            }
        });
        Ok(Self { conn, desk, backend, server: server.into(), sound_at: 0, is_dead: false })
    }

    pub(super) fn answers(&mut self) -> bool {
        self.conn.batch_execute("SELECT 1").is_ok()
    }

    pub(super) fn into_connection(self) -> PgConnection {
        self.conn
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

fn count(event: &InstrumentationEvent<'_>, statements: &AtomicU64) {
    match event {
        InstrumentationEvent::StartQuery { .. } => statements.fetch_add(1, Ordering::Relaxed),
        // Its own statement follows.
        InstrumentationEvent::BeginTransaction { .. }
        | InstrumentationEvent::CommitTransaction { .. }
        | InstrumentationEvent::RollbackTransaction { .. } => statements.fetch_sub(1, Ordering::Relaxed),
        _ => 0,
    };
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum CannotConnect {
    #[error(transparent)]
    Refused(#[from] diesel::ConnectionError),
    #[error(transparent)]
    Failed(#[from] diesel::result::Error),
    #[error("the connection had broken")]
    Broken,
}

/// Opens and judges the connections of one pool.
pub(super) struct Manager {
    pub(super) url: String,
    pub(super) purpose: Purpose,
    /// How many connections have broken so far. Where one has, others may have.
    pub(super) broken: Arc<AtomicU64>,
    pub(super) statements: Arc<AtomicU64>,
    /// The server that answered last.
    pub(super) server: Arc<Mutex<Option<Arc<str>>>>,
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = CannotConnect;

    fn connect(&self) -> Result<Session, CannotConnect> {
        let mut session = Session::open(&self.url, self.purpose, self.statements.clone())?;
        session.sound_at = self.broken.load(Ordering::SeqCst);
        *self.server.lock().unwrap() = Some(session.server.clone());
        Ok(session)
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), CannotConnect> {
        let broken = self.broken.load(Ordering::SeqCst);
        if !self.purpose.is_tested() && session.sound_at == broken {
            return Ok(());
        }
        session.sound_at = broken;
        if session.answers() { Ok(()) } else { Err(CannotConnect::Broken) }
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.is_dead || session.conn.is_broken()
    }
}

/// Hears that a pool could not connect, or found a connection broken.
#[derive(Debug)]
pub(super) struct Complaints(pub(super) Arc<Health>);

impl HandleError<CannotConnect> for Complaints {
    fn handle_error(&self, error: CannotConnect) {
        match error {
            // It is replaced; whether the server is there, the replacement tells.
            CannotConnect::Broken => {}
            CannotConnect::Refused(_) | CannotConnect::Failed(_) => self.0.no_answer(&error.to_string()),
        }
    }
}
