//! Reaching a database that may not be up yet.

use std::ffi::CString;
use std::time::{Duration, Instant};

use diesel::{Connection, ConnectionResult, PgConnection};

/// Between two tries.
const NAP: Duration = Duration::from_millis(250);
/// Between two lines that say what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Connects to the database at `url`. A server that cannot be reached, or that is only just
/// starting, is tried again until `patience` is over; one that answers and refuses is not.
pub fn reach(url: &str, patience: Duration) -> ConnectionResult<PgConnection> {
    let began = Instant::now();
    let mut said = None;
    loop {
        let error = match PgConnection::establish(url) {
            Ok(conn) => return Ok(conn),
            Err(error) => error,
        };
        if patience <= began.elapsed() || !may_come_up(url) {
            return Err(error);
        }
        if said.is_none_or(|at: Instant| SAY_EVERY <= at.elapsed()) {
            said = Some(Instant::now());
            let left = patience.saturating_sub(began.elapsed()).as_secs();
            tracing::warn!("the database does not answer yet, {left} s more are waited for it: {error}");
        }
        std::thread::sleep(NAP);
    }
}

/// Whether a server takes connections there, whoever asks.
pub fn answers(url: &str) -> bool {
    ping(url) == pq_sys::PGPing::PQPING_OK
}

/// Whether it is only that nobody takes connections there now.
fn may_come_up(url: &str) -> bool {
    matches!(ping(url), pq_sys::PGPing::PQPING_REJECT | pq_sys::PGPing::PQPING_NO_RESPONSE)
}

fn ping(url: &str) -> pq_sys::PGPing {
    let Ok(url) = CString::new(url) else { return pq_sys::PGPing::PQPING_NO_ATTEMPT };
    // SAFETY: a string that ends, and that libpq only reads.
    unsafe { pq_sys::PQping(url.as_ptr()) }
}
