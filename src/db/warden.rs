//! Ends what stands in the way: sessions that a click waits for, and work that is
//! stuck in a server that says nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use diesel::sql_types::{Array, Integer, Text};
use diesel::{QueryableByName, RunQueryDsl};

use super::Db;
use super::pool::Pool;
use super::session::{CannotConnect, Purpose, Session};
use super::ticket::Ticket;

/// How often stuck work is looked at.
const EVERY: Duration = Duration::from_millis(300);
/// How long a fresh connection may take to be there and to answer a question.
const FRESH: Duration = Duration::from_secs(5);
/// So often stuck work is ended by the server's hand before its pool is replaced.
const TRIES: u32 = 5;

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    state: String,
}

/// Ends the sessions that the server's process `backend` waits for. Returns at once;
/// one such question is on its way at a time.
pub(super) fn end_blockers(url: &str, backend: i32) {
    static ASKING: AtomicBool = AtomicBool::new(false);
    if ASKING.swap(true, Ordering::SeqCst) {
        return;
    }
    let url = url.to_owned();
    thread::spawn(move || {
        let ended = within(FRESH, move || {
            let mut session = Session::open(&url, Purpose::Vital, Arc::default())?;
            let ask = diesel::sql_query(include_str!("end_blockers.sql")).bind::<Integer, _>(backend);
            Ok(ask.load::<Ended>(&mut *session)?)
        });
        ASKING.store(false, Ordering::SeqCst);
        match ended {
            Ok(ended) => {
                for it in ended {
                    tracing::warn!(
                        pid = it.pid,
                        "ended a session that kept a click waiting ({}, {})",
                        it.name,
                        it.state
                    );
                }
            }
            Err(error) => tracing::warn!("who keeps a click waiting could not be ended: {error}"),
        }
    });
}

/// Sees to it that work that was given up comes back, or that nobody needs what it holds.
pub(super) fn watch(db: &Db, pool: &Arc<Pool>, ticket: Arc<Ticket>) {
    let is_first = {
        let mut stuck = pool.stuck.lock().unwrap();
        stuck.push(ticket);
        stuck.len() == 1
    };
    if is_first {
        let (db, pool) = (db.clone(), pool.clone());
        thread::spawn(move || free(&db, &pool));
    }
}

fn free(db: &Db, pool: &Arc<Pool>) {
    let mut tries = 0;
    loop {
        thread::sleep(EVERY);
        let (backends, server) = {
            let mut stuck = pool.stuck.lock().unwrap();
            stuck.retain(|ticket| !ticket.is_done());
            // Those that wait for a thread come when one is free.
            if !stuck.iter().any(|ticket| ticket.is_begun()) {
                match stuck.is_empty() {
                    true => return,
                    false => continue,
                }
            }
            let begun: Vec<(i32, Arc<str>)> = stuck.iter().filter_map(|ticket| ticket.backend()).collect();
            // Those without one have a connection that does not even say whether it is alive.
            let server = begun.first().map(|(_, server)| server.clone());
            let server = server.or_else(|| pool.server.lock().unwrap().clone());
            (begun.into_iter().map(|(pid, _)| pid).collect::<Vec<i32>>(), server)
        };
        let url = pool.url.clone();
        let same = within(FRESH, move || {
            let mut session = Session::open(&url, Purpose::Vital, Arc::default())?;
            let is_same = server.is_none_or(|server| session.server == server);
            if is_same && !backends.is_empty() {
                // It is there and slow, or one of its processes stands still.
                diesel::sql_query("SELECT pg_terminate_backend(pid) FROM unnest($1) AS u (pid)")
                    .bind::<Array<Integer>, _>(backends)
                    .execute(&mut *session)?;
            }
            Ok(is_same)
        });
        match same {
            Ok(true) if tries < TRIES => tries += 1,
            Ok(_) => {
                tracing::warn!(
                    "another database server answers, or the one before has lost its way: beginning anew with it"
                );
                return replace(db, pool);
            }
            // Nobody answers. Whoever asks is told so; there is nothing to begin anew with.
            Err(error) => pool.complain(&error.to_string()),
        }
    }
}

/// Puts new connections and threads in the place of those that are stuck.
fn replace(db: &Db, old: &Arc<Pool>) {
    match Pool::open(old.url.clone(), old.purpose, old.size, db.health.clone()) {
        Ok(new) => {
            let mut pool = db.pool.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if Arc::ptr_eq(&pool, old) {
                *pool = Arc::new(new);
            }
            old.replace();
        }
        Err(error) => tracing::error!("no new connections could be made: {error}"),
    }
}

/// What `ask` answers, or that it did not within this time. Its thread is left alone then.
fn within<T: Send + 'static>(
    time: Duration,
    ask: impl FnOnce() -> Result<T, CannotConnect> + Send + 'static,
) -> Result<T, CannotConnect> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || drop(tell.send(ask())));
    told.recv_timeout(time).unwrap_or(Err(CannotConnect::Broken))
}
