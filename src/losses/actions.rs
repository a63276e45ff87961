//! Noticing that history was lost, and letting everything go on. Each function is one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::store::{self, LostRun};
use crate::access::Actor;
use crate::control;
use crate::conversations::replies;
use crate::db::{Error, Reason, locks};
use crate::deliveries;
use crate::ids::{MessageId, RunId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::marks::store::Present;
use crate::marks::{self, KnownRuns, Stand};
use crate::runs;

/// Why what is held stayed held. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("Nothing is held. Somebody may have released it already.")]
    NotHeld,
    #[error(transparent)]
    Control(#[from] control::Refused),
}

impl Reason for Refused {}

/// What came of holding what is known against the database.
pub enum Looked {
    /// Everything is there; the database may know more.
    Whole(Present),
    /// Something is missing, and is on record now or was before: the database is to be believed from here on.
    Lost(Present),
}

/// Holds what a process knows against the database. Where that knows less, everything is
/// held from now on, and whoever may have been sent to in what was lost is unconfirmed.
pub fn look(conn: &mut PgConnection, known: &KnownRuns, now: DateTime<Utc>) -> Result<Looked, Error<Refused>> {
    let (present, missing) = marks::store::present(conn, known, known.open_runs(), now)?;
    let is_behind = |(id, stand): (&RunId, &Stand)| {
        !stand.has_ended() && present.stand(*id).is_none_or(|now| now.next_seq < stand.next_seq)
    };
    if !missing && !known.runs.iter().any(is_behind) {
        return Ok(Looked::Whole(present));
    }
    conn.transaction(|conn| notice(conn, known, now)).map(Looked::Lost)
}

fn notice(conn: &mut PgConnection, known: &KnownRuns, now: DateTime<Utc>) -> Result<Present, Error<Refused>> {
    locks::take_loss(conn)?;
    let all = || known.runs.keys().map(|id| id.0).collect::<Vec<_>>();
    let (present, _) = marks::store::present(conn, known, all(), now)?;
    let spoken_for = store::spoken_for(conn)?;
    let until = known.until.unwrap_or(now);
    let lost = lost_runs(conn, known, &present, &spoken_for)?;
    if !lost.iter().any(|it| it.is_behind) && store::is_spoken_for(conn, until)? {
        return Ok(present);
    }
    let loss = store::widen(conn, present.reaches, until, now)?;
    store::pass_numbers(conn, known.top)?;
    // Schedules before runs: in the order in which everybody locks them.
    for it in &lost {
        if let Some(why) = it.held {
            match control::clockwork::pause_because(conn, it.knew.schedule, why, now) {
                Err(Error::Database(diesel::result::Error::NotFound)) | Ok(_) => {}
                Err(error) => return Err(error.told_by()),
            }
        }
    }
    let mut n = 0;
    for it in &lost {
        let (lo, hi) = match it.stands {
            Some(_) => deliveries::actions::lose(conn, it.id, it.knew.next_seq, now)?,
            None => (1, it.knew.next_seq - 1),
        };
        let (name, held) = (it.knew.name.clone(), it.held.map(str::to_owned));
        let run = LostRun { loss_id: loss, run_id: it.id, name, known: it.stands.is_some(), lo, hi, waiting: 0, held };
        n += run.n();
        store::note_run(conn, &run)?;
    }
    for it in deliveries::actions::lose_waiting(conn, until, now)? {
        n += it.n;
        let (run_id, name, waiting) = (it.run_id, it.name, it.n);
        let run = LostRun { loss_id: loss, run_id, name, known: true, lo: i32::MAX, hi: 0, waiting, held: None };
        store::note_run(conn, &run)?;
    }
    let replies = replies::lose(conn, MessageId(known.top.message), until, now)? as i64;
    store::add_replies(conn, loss, replies)?;
    let why = format!("{n} contacts and {replies} replies may have been sent to without the database knowing");
    record(conn, Happened::HistoryLost, loss, Actor::Clock, &why, now)?;
    tracing::error!(
        loss.id = loss,
        contacts = n,
        replies,
        "the database lost history that it had confirmed: everything is held until somebody releases it"
    );
    Ok(marks::store::present(conn, known, all(), now)?.0)
}

/// A run that is not as it is known to have been.
struct Lost<'a> {
    id: RunId,
    knew: &'a Stand,
    /// Where it stands in the database; `None` when its contacts are not there.
    stands: Option<i32>,
    /// Whether contacts of it may have been sent to without the database knowing.
    is_behind: bool,
    /// Why its schedule must not go on by itself.
    held: Option<&'static str>,
}

fn lost_runs<'a>(
    conn: &mut PgConnection,
    known: &'a KnownRuns,
    present: &Present,
    spoken_for: &HashMap<RunId, i32>,
) -> QueryResult<Vec<Lost<'a>>> {
    let mut lost = Vec::new();
    for (&id, knew) in &known.runs {
        if spoken_for.get(&id).is_some_and(|hi| knew.next_seq - 1 <= *hi) {
            continue;
        }
        let stands = match present.stand(id) {
            Some(_) => {
                Some(runs::store::find(conn, id)?).filter(|run| run.prepared && knew.next_seq <= run.last_seq + 1)
            }
            None => None,
        };
        let was_held = knew.was_held() && present.stand(id).is_some_and(|now| !now.has_ended() && !now.was_held());
        let held = match (&stands, was_held) {
            (None, _) => Some("its last run is not known any more, because history was lost: it may have sent already"),
            (Some(_), true) => Some("it was held in history that was lost"),
            (Some(_), false) => None,
        };
        let is_behind = stands.as_ref().is_none_or(|run| run.next_seq < knew.next_seq);
        if is_behind || was_held {
            lost.push(Lost { id, knew, stands: stands.map(|run| run.next_seq), is_behind, held });
        }
    }
    Ok(lost)
}

/// Lets everything go on. Those who may have got it stay unconfirmed, or, with `again`, are
/// sent to once more unless something has been heard of them.
pub fn release(conn: &mut PgConnection, again: bool, by: UserId, now: DateTime<Utc>) -> Result<(), Error<Refused>> {
    conn.transaction(|conn| {
        locks::take_loss(conn)?;
        let loss = store::open(conn)?.ok_or(Refused::NotHeld)?;
        let mut n = 0;
        if again {
            for run in store::runs(conn, loss.id)?.into_iter().filter(|run| run.known) {
                n += deliveries::actions::send_again(conn, run.run_id, loss.noticed_at, now)?;
            }
            n += replies::send_again(conn, loss.noticed_at, now)? as i64;
        }
        store::release(conn, loss.id, again, by, now)?;
        let why = match again {
            true => format!("{n} who may have got it are sent to again"),
            false => "those who may have got it stay unconfirmed".to_owned(),
        };
        Ok(record(conn, Happened::HistoryReleased, loss.id, by.into(), &why, now)?)
    })
}

fn record(
    conn: &mut PgConnection,
    happened: Happened,
    loss: i64,
    by: Actor,
    why: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry::new(happened, loss, by).why(why);
    journal::note(conn, entry, now)
}
