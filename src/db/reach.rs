//! Reaching a database that may not be up yet.

use std::ffi::CString;
use std::time::{Duration, Instant};

use diesel::{Connection, ConnectionError, ConnectionResult, PgConnection};

/// Between two tries.
const NAP: Duration = Duration::from_millis(250);
/// Between two lines that say what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Connects to the database at `url`. A server that cannot be reached, or that is only just
/// starting, is tried again until `patience` is over; one that answers and refuses is not.
pub fn reach(url: &str, patience: Duration) -> ConnectionResult<PgConnection> {
    let began = Instant::now();
    let (mut said, mut answered) = (None, false);
    loop {
        let error = match PgConnection::establish(url) {
            Ok(conn) => return Ok(conn),
            Err(error) => error,
        };
        // It may have come up just behind the try: only who took connections before it as well has refused.
        let answered_before = std::mem::replace(&mut answered, !may_come_up(url));
        if patience <= began.elapsed() || is_distrusted(&error) || answered_before && answered {
            return Err(error);
        }
        if answered {
            continue;
        }
        if said.is_none_or(|at: Instant| SAY_EVERY <= at.elapsed()) {
            said = Some(Instant::now());
            let left = patience.saturating_sub(began.elapsed()).as_secs();
            tracing::warn!("the database does not answer yet, {left} s more are waited for it: {error}");
        }
        std::thread::sleep(NAP);
    }
}

/// Whether a server answers that cannot prove who it is, or does not encrypt: waiting changes neither.
fn is_distrusted(error: &ConnectionError) -> bool {
    let said = error.to_string();
    said.contains("certificate") || said.contains("does not support SSL")
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// What a server says that takes no connection, under the code of its reason.
    fn refusal(code: &str, why: &str) -> Vec<u8> {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{why}\0\0");
        [b"E", &(fields.len() as u32 + 4).to_be_bytes()[..], fields.as_bytes()].concat()
    }

    #[test]
    fn a_server_that_comes_up_behind_a_try_is_asked_again_and_one_that_refuses_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let starting = refusal("57P03", "the database system is starting up");
            let refused = refusal("28P01", "password authentication failed");
            let answers = std::iter::once(starting).chain(std::iter::repeat(refused));
            for (stream, answer) in listener.incoming().zip(answers) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]);
                stream.write_all(&answer).unwrap();
            }
        });
        let url = format!("postgres://bugle:wrong@127.0.0.1:{port}/bugle?sslmode=disable");
        let began = Instant::now();
        let error = reach(&url, Duration::from_secs(30)).map(drop).unwrap_err().to_string();
        assert!(error.contains("password authentication failed"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "it was waited for");
    }
}
