//! io: Waiting for the wire to fall silent after a pause or a stop.

use std::time::{Duration, Instant};

use super::BEGIN_WITHIN;
use crate::access::Person;
use crate::app::App;
use crate::db::DbError;
use crate::deliveries::counts::{InFlight, Scope};

/// How long an answer waits for sends on the wire before it lists them instead.
/// Longer than a claimed send may take to begin: those it lists have all begun.
const WAIT: Duration = Duration::from_millis(BEGIN_WITHIN.as_millis() as u64 + 200);
/// Sends listed by name at most; the count is always whole.
const LISTED: i64 = 50;

/// What is still on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnTheWire {
    pub n: i64,
    /// The first of them, by name.
    pub sends: Vec<InFlight>,
}

impl OnTheWire {
    pub fn is_quiet(&self) -> bool {
        self.n == 0
    }

    /// As this person is shown it.
    pub fn seen_by(mut self, person: &Person) -> OnTheWire {
        self.sends.iter_mut().for_each(|send| send.address = person.sees(&send.address));
        self
    }
}

/// Waits, after a pause or stop of `scope` has committed, until nothing is on the
/// wire or nothing can begin any more. What it returns has begun and will settle
/// by its deadline; nothing else leaves. That holds for an error as well: it comes
/// when nothing can begin any more, and only says that nobody knows what has.
pub async fn wait(app: &App, scope: Scope) -> Result<OnTheWire, DbError<diesel::result::Error>> {
    let began = Instant::now();
    // Forgotten by the database, it is missed: by this process, and by the one that starts next.
    let (marks, now) = (app.marks.clone(), app.clock.now());
    if let Err(error) = app.db.run(move |conn| marks.witness(conn, now)).await {
        tracing::warn!("what is answered now is not in the mark yet: {error}");
    }
    let mut nap = Duration::from_millis(2);
    loop {
        let looked = look(app, scope).await;
        if looked.as_ref().is_ok_and(OnTheWire::is_quiet) || WAIT <= began.elapsed() {
            return looked;
        }
        tokio::time::sleep(nap).await;
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}

/// What is on the wire right now.
pub async fn look(app: &App, scope: Scope) -> Result<OnTheWire, DbError<diesel::result::Error>> {
    app.db
        .run(move |conn| {
            let n = super::counts::n_in_flight(conn, scope)?;
            let sends = if n == 0 { Vec::new() } else { super::counts::in_flight(conn, scope, LISTED)? };
            Ok(OnTheWire { n, sends })
        })
        .await
}
