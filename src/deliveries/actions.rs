//! Claim, settle, take in receipts, rescue. Each function is one transaction.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::turn::{self, Selection};
use super::{Claim, CountChange, Fate, Lease, Outcome, Settled, merge};
use crate::channels::reach;
use crate::channels::room::{self, Room};
use crate::consent;
use crate::db::locks;
use crate::deliveries::claim::{Claimer, Take};
use crate::deliveries::settle::{Closed, Learned};
use crate::files;
use crate::ids::{ChannelId, FileId, RunId, ScheduleId};
use crate::pacing::{self, Holds, Pace};
use crate::providers::key::DeliveryKey;
use crate::providers::{Receipt, ReceiptStatus};
use crate::runs::{self, Run, RunClock};
use crate::schedules::same_group;
use crate::settings::{self, Cap};

/// Rows that the tallies of a run are spread over, by settlers and by receipts.
const SHARDS: i32 = 8;

/// What somebody who claims brings along.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Contacts at most.
    pub most: i64,
    /// The part of the channel's limit that is this run's, in messages a minute; `None`
    /// when the limit is enough for all.
    pub part: Option<f64>,
    /// How many names the text of the run could use when it was read.
    pub n_fields: usize,
}

/// What came of a claim.
#[derive(Debug, Default)]
pub struct Claimed {
    pub claims: Vec<Claim>,
    /// Contacts that were put off or left out instead of being claimed.
    pub passed: usize,
}

/// Claims as many contacts of a run as its clock, its channel and the last minute allow.
///
/// No claims when the run is not running (any more), when nothing is due, when nobody is
/// left, or when another file has brought names that the claimer's text does not know.
/// The run's row is locked throughout, which is what a pause or a stop waits for and what
/// makes every later claim see it. What the settings say is read here and not before:
/// whoever changes them waits as long as a claim may be on its way to its sends.
/// Whom consent or a block bars is asked when the claim has committed: those who opt
/// somebody out wait for what is claimed.
pub fn claim(conn: &mut PgConnection, run: RunId, leave: &Leave, by: Claimer) -> QueryResult<Claimed> {
    let mut claimed = conn.transaction(|conn| {
        let nothing = Claimed::default();
        let Some((mut run, comes_round)) = runs::store::lock_running(conn, run, by.now)? else { return Ok(nothing) };
        let RunClock::Started(clock) = run.clock else { return Ok(nothing) };
        if run.fields.len() != leave.n_fields {
            return Ok(nothing);
        }
        let (holds, cap) = in_force(conn, &run)?;
        if run.window.ends <= by.now || holds.is_closed(by.now) {
            return Ok(nothing);
        }
        // Only an approved text reaches somebody new.
        let reach = match run.template.is_some() && !run.is_test {
            true => reach::of_channel(conn, run.channel_id)?,
            false => None,
        };
        let until = holds.closes(by.now).map_or(run.window.ends, |closes| closes.min(run.window.ends));
        let lately = super::claim::lately(conn, &run, by.now)?;
        let clock = clock.past(&holds, by.now);
        let is_behind = clock.due(by.now) < run.released;
        let limit = pacing::most_a_minute(clock.rate) + (run.burst - run.released).max(0);
        let (released, clock) = pacing::allowance(clock, run.released, lately.counted(by.now), run.burst, by.now);
        let most = leave.most.min(released);
        if most <= 0 {
            if is_behind {
                // It goes on from what is released, and does not wait until that is due again.
                run.clock = RunClock::Started(clock);
                runs::store::save(conn, &run, by.now)?;
            }
            return Ok(nothing);
        }
        let first = run.canary_left().unwrap_or(i64::MAX);
        let waiting = match comes_round {
            true => super::claim::due_retries(conn, run.id, 0, most as usize, first == 0, by.now)?,
            false => Vec::new(),
        };
        if waiting.is_empty() && (first == 0 || run.unclaimed() == 0) {
            return Ok(nothing);
        }
        let (most, share) = match room::channel_room(conn, run.channel_id, by.now)? {
            Room::Held => return Ok(nothing),
            Room::Unlimited => (most, None),
            Room::Limited(share) => {
                let part = match leave.part {
                    Some(part) => super::claim::left_of_part(conn, &run, part, by.now)?,
                    None => share.sends,
                };
                // Replies outrank campaigns: what waits to answer somebody is left its room.
                let replies = room::replies_waiting(conn, run.channel_id, by.now)?;
                (most.min(share.sends - replies).min(part), Some(share))
            }
        };
        if most <= 0 {
            return Ok(nothing);
        }

        let is_asked = turn::is_asked(&run, cap, reach.as_ref());
        let mut turn = match is_asked {
            true => turn::next(conn, &run, (cap, reach.as_ref()), most as usize, first, by.now)?,
            false => take_waiting(conn, &run, waiting, most as usize, first)?,
        };
        // One try after another, each with a lease of its own.
        turn.taken.sort_unstable();
        let (mut claims, mut taken) = (Vec::new(), 0);
        for (attempt, seqs) in &turn.taken {
            let take = Take::Set { seqs, attempt: *attempt };
            claims.push(super::claim::claim(conn, &run, &take, &clock, run.released, by)?);
            run.released += seqs.len() as i64;
            taken += seqs.len() as i64;
        }
        let fresh = first.min(run.unclaimed().into()).min(most - taken);
        if fresh > 0 && !is_asked {
            let take = Take::Fresh { lo: run.next_seq, hi: run.next_seq + fresh as i32 - 1 };
            claims.push(super::claim::claim(conn, &run, &take, &clock, run.released, by)?);
            taken += fresh;
        }
        if let Some(share) = share {
            let take = |claim: &Claim| room::Taking { lease: Some(claim.lease.id), sends: claim.contacts.len() as i64 };
            let takes: Vec<room::Taking> = claims.iter().map(take).collect();
            room::take(conn, run.channel_id, share.before, &takes, by.now)?;
        }
        let begins_at = lately.wait(limit, taken).max(share.and_then(|share| share.wait(taken)));
        for claim in &mut claims {
            claim.begins_at = begins_at;
            claim.until = turn.until.map_or(until, |closes| closes.min(until));
            for contact in &mut claim.contacts {
                contact.refusals = turn.refusals.get(&contact.seq).copied().unwrap_or_default();
            }
        }
        QueryResult::Ok(Claimed { claims, passed: turn.passed })
    })?;
    if let Err(error) = super::claim::last_look(conn, &mut claimed.claims, by.now) {
        tracing::error!(run.id = %run, "claimed of run {run}, and cannot ask for consent: {error}");
    }
    Ok(claimed)
}

/// When a run may not send, and the most messages that a contact may get, as it is now.
fn in_force(conn: &mut PgConnection, run: &Run) -> QueryResult<(Holds, Option<Cap>)> {
    // Somebody waits beside the phone.
    if run.is_test {
        return Ok((Holds::none(), None));
    }
    let (calendar, cap) = settings::calendars::in_force(conn, run.campaign_id)?;
    Ok((calendar.closed(run.id.0, run.window.starts, run.window.ends), cap))
}

/// Takes those that wait off their list, where a run asks nothing about its contacts.
fn take_waiting(
    conn: &mut PgConnection,
    run: &Run,
    waiting: Vec<(i32, i16)>,
    most: usize,
    first: i64,
) -> QueryResult<Selection> {
    let mut turn = Selection::default();
    let held = waiting.iter().filter(|(_, attempt)| *attempt == 1).take(first.try_into().unwrap_or(usize::MAX));
    let tried = waiting.iter().filter(|(_, attempt)| *attempt > 1);
    let mut seqs = Vec::new();
    for (seq, attempt) in tried.chain(held).take(most) {
        seqs.push(*seq);
        match turn.taken.iter_mut().find(|(of, _)| of == attempt) {
            Some((_, seqs)) => seqs.push(*seq),
            None => turn.taken.push((*attempt, vec![*seq])),
        }
    }
    if !seqs.is_empty() {
        turn.refusals = super::claim::wait_no_more(conn, run.id, &seqs)?;
    }
    Ok(turn)
}

/// Writes what became of sends, unless their lease was given up in the meantime.
///
/// A result that comes after that speaks of a contact already marked unconfirmed;
/// it is true all the same, and resolves it as a receipt would. `batch` names these
/// results: written again because the answer to a commit was lost, they change
/// nothing. Returns how many results came too late.
pub fn settle(
    conn: &mut PgConnection,
    results: &[Settled],
    batch: Uuid,
    shard: i16,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    conn.transaction(|conn| {
        let mut closed: BTreeMap<Lease, Closed> = BTreeMap::new();
        for it in results {
            let closed = closed.entry(it.lease).or_default();
            closed.sends += 1;
            closed.begun_at = closed.begun_at.max(it.begun_at);
        }
        // Also what comes late: they want nothing more, whatever became of the lease. Contacts are locked
        // before deliveries.
        let opted_out: Vec<DeliveryKey> = results
            .iter()
            .filter(|it| it.fate.is_news_of_an_opt_out())
            .map(|it| DeliveryKey { run: it.run, seq: it.seq, attempt: it.attempt })
            .collect();
        if !opted_out.is_empty() {
            let learnt = super::settle::learnt_of(conn, &opted_out)?;
            consent::store::learn(conn, &learnt, now)?;
        }
        let held = super::settle::close_part(conn, &closed, batch)?;
        // In the order in which everybody locks deliveries.
        let mut results: Vec<&Settled> = results.iter().collect();
        results.sort_by_key(|it| (it.run, it.seq));
        let (in_time, late): (Vec<&Settled>, Vec<&Settled>) =
            results.iter().copied().partition(|it| held.contains(&it.lease.id));
        super::settle::write_words(conn, &in_time, shard, now)?;
        super::settle::write_retries(conn, &in_time, shard)?;
        let begun: Vec<(RunId, i32, DateTime<Utc>)> = results
            .iter()
            .filter(|it| it.opens && matches!(it.fate, Fate::Accepted { .. }))
            .filter_map(|it| Some((it.run, it.seq, it.begun_at?)))
            .collect();
        super::settle::open(conn, &begun)?;
        for it in &late {
            settle_late(conn, it, shard, now)?;
        }
        Ok(late.len())
    })
}

fn settle_late(conn: &mut PgConnection, it: &Settled, shard: i16, now: DateTime<Utc>) -> QueryResult<()> {
    use super::Word;
    let Some(known) = super::settle::lock_words(conn, it.run, &[it.seq])?.remove(&it.seq) else { return Ok(()) };
    let word = match &it.fate {
        _ if known.outcome != Some(Outcome::Unconfirmed) => return Ok(()),
        Fate::Accepted { .. } => Word::ACCEPTED,
        Fate::Final { outcome, .. } => Word::finally(*outcome),
        // It was given up as unconfirmed, and stays so: only a person sends again.
        Fate::Later { .. } => return Ok(()),
    };
    let learned = Learned { attempt: it.attempt, word, detail: None };
    super::settle::set_words(conn, it.run, &BTreeMap::from([(it.seq, learned)]), now)?;
    move_count(conn, it.run, known, word, shard)
}

fn move_count(conn: &mut PgConnection, run: RunId, was: super::Word, is: super::Word, shard: i16) -> QueryResult<()> {
    let mut change = CountChange::default();
    change.add(was, -1);
    change.add(is, 1);
    super::settle::count(conn, &BTreeMap::from([(run, change)]), shard)
}

/// A provider said that a whole channel shall wait.
#[derive(Clone, Copy, Debug)]
pub struct Overrun {
    pub until: DateTime<Utc>,
    /// When the send began that was told so.
    pub began_at: DateTime<Utc>,
    /// How many sends of this process had begun within a second, that one included.
    pub in_a_second: usize,
}

/// Keeps a channel quiet, because its provider asked for it, and slows it down. Every process sees it.
pub fn slow_down(conn: &mut PgConnection, channel: ChannelId, told: Overrun, now: DateTime<Utc>) -> QueryResult<()> {
    conn.transaction(|conn| {
        let known = room::lock_pace(conn, channel)?;
        let pace = Pace::refused(known, told.in_a_second, told.began_at, now);
        room::slow_down(conn, channel, told.until, pace)
    })
}

/// Merges the provider's news into the ledger: upwards only, repeated or out of
/// order. News of parts that this channel never sent is passed over, whoever signed
/// it. Returns how many changed something.
pub fn take_in(
    conn: &mut PgConnection,
    channel: ChannelId,
    mut known: Vec<(DeliveryKey, &Receipt)>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    if known.is_empty() {
        return Ok(0);
    }
    conn.transaction(|conn| {
        let cursors = super::settle::cursors(conn, channel, known.iter().map(|(part, _)| part.run))?;
        known.retain(|(part, _)| cursors.get(&part.run).is_some_and(|next_seq| part.seq < *next_seq));
        let parts: Vec<DeliveryKey> = known.iter().map(|(part, _)| *part).collect();
        let held = super::claim::held_parts(conn, &parts)?;
        known.retain(|(part, _)| !held.contains(&(part.run, part.seq)));
        // One order for everybody who locks several deliveries, and tallies after all
        // of them; news of one part keeps its own order.
        known.sort_by_key(|(part, _)| (part.run, part.seq));
        let first_seq = known.first().map_or(0, |(part, _)| part.seq);
        let mut changes: BTreeMap<RunId, CountChange> = BTreeMap::new();
        let (mut changed, mut proven) = (0, Vec::new());
        for of_run in known.chunk_by(|(a, _), (b, _)| a.run == b.run) {
            let run = of_run[0].0.run;
            let mut seqs: Vec<i32> = of_run.iter().map(|(part, _)| part.seq).collect();
            seqs.dedup();
            let mut words = super::settle::lock_words(conn, run, &seqs)?;
            let (mut learned, mut change) = (BTreeMap::new(), CountChange::default());
            for (part, receipt) in of_run {
                let Some(word) = words.get_mut(&part.seq) else { continue };
                let Some(is) = merge(*word, receipt.status, receipt.class) else { continue };
                let was = std::mem::replace(word, is);
                change.add(was, -1);
                change.add(is, 1);
                let detail = receipt.code.as_deref();
                learned.insert(part.seq, Learned { attempt: part.attempt, word: is, detail });
                if was.progress.is_none() && receipt.status != ReceiptStatus::Failed {
                    proven.push((run, part.seq, now));
                }
                changed += 1;
            }
            if learned.is_empty() {
                continue;
            }
            let seqs: Vec<i32> = learned.keys().copied().collect();
            change.counts.retrying -= super::settle::drop_retries(conn, run, &seqs)?;
            super::settle::set_words(conn, run, &learned, now)?;
            changes.insert(run, change);
        }
        // Calls that come at once seldom wait for each other's tallies.
        let shard = (first_seq % SHARDS) as i16;
        super::settle::count(conn, &changes, shard)?;
        super::settle::open_proven(conn, &proven)?;
        Ok(changed)
    })
}

/// Gives up one expired lease: whatever it left unknown is unconfirmed. `None` when there is none.
pub fn rescue_one(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Option<usize>> {
    conn.transaction(|conn| {
        let Some((lease, run)) = super::rescue::lock_expired_lease(conn, now)? else { return Ok(None) };
        let n = super::rescue::rescue(conn, lease, now)?;
        let change = CountChange::of(Outcome::Unconfirmed, n as i64);
        super::settle::count(conn, &BTreeMap::from([(run, change)]), 0)?;
        Ok(Some(n))
    })
}

/// Moves the cursor of a run to where somebody knows that it stood, and marks unconfirmed
/// whom it passes: they may have been sent to. Returns the first and the last of them, none
/// when the cursor stands there already.
pub fn lose(conn: &mut PgConnection, run: RunId, next_seq: i32, now: DateTime<Utc>) -> QueryResult<(i32, i32)> {
    conn.transaction(|conn| {
        let run = runs::store::lock(conn, run)?;
        let next_seq = next_seq.min(run.last_seq + 1).max(run.next_seq);
        let unconfirmed = super::rescue::lose(conn, run.id, next_seq, now)?;
        let change = CountChange::of(Outcome::Unconfirmed, unconfirmed);
        super::settle::count(conn, &BTreeMap::from([(run.id, change)]), 0)?;
        Ok((run.next_seq, next_seq - 1))
    })
}

/// Marks those unconfirmed who waited for another try that was due by `until`. Returns which
/// runs they are of, and how many.
pub fn lose_waiting(
    conn: &mut PgConnection,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<super::rescue::LostWaiting>> {
    conn.transaction(|conn| {
        let lost = super::rescue::lose_waiting(conn, until, now)?;
        let changes = lost.iter().map(|it| {
            let mut change = CountChange::of(Outcome::Unconfirmed, it.n);
            change.counts.retrying = -it.n;
            (it.run_id, change)
        });
        let changes = changes.collect();
        super::settle::count(conn, &changes, 0)?;
        Ok(lost)
    })
}

/// Lets those of a run be sent to again who were marked so since `since`, and of whom nothing has been
/// heard, if the run has not ended. Returns how many.
pub fn send_again(conn: &mut PgConnection, run: RunId, since: DateTime<Utc>, now: DateTime<Utc>) -> QueryResult<i64> {
    conn.transaction(|conn| {
        if runs::store::lock(conn, run)?.state.has_ended() {
            return Ok(0);
        }
        let n = super::rescue::send_again(conn, run, since, now)?;
        let mut change = CountChange::of(Outcome::Unconfirmed, -n);
        change.counts.retrying = n;
        super::settle::count(conn, &BTreeMap::from([(run, change)]), 0)?;
        Ok(n)
    })
}

/// Writes the deliveries of a planned run, once, whoever else tries at the same
/// time. Returns how many contacts, or `None` when somebody else is at it.
///
/// The run's row stays free meanwhile, so that it can be paused or stopped while
/// a million rows are written.
pub fn prepare(conn: &mut PgConnection, run: RunId, now: DateTime<Utc>) -> QueryResult<Option<usize>> {
    conn.transaction(|conn| {
        if !locks::try_preparation(conn, run.0)? {
            return Ok(None);
        }
        let it = runs::store::find(conn, run)?;
        if it.prepared {
            return Ok(None);
        }
        let rows = match (it.rules.after, it.file_id) {
            (Some(after), _) => {
                runs::store::begin_later(conn, run, now)?;
                rows_of_unreached(conn, &it, after.schedule)?
            }
            (None, Some(file)) => rows_of_file(conn, &it, file, now)?,
            (None, None) => rows_of_lists(conn, &it)?,
        };
        let contacts = rows.taken + rows.left_out;
        runs::store::set_prepared(conn, run, contacts, rows.left_out, &rows.fields, now)?;
        Ok(Some(contacts as usize))
    })
}

/// What a run was given.
struct Rows {
    /// Contacts to send to.
    taken: i32,
    /// Contacts before them that nobody is going to send to. They stand in front of
    /// the cursor, with their outcome: as if claimed and settled.
    left_out: i32,
    fields: Vec<String>,
}

fn rows_of_file(conn: &mut PgConnection, run: &Run, file: FileId, now: DateTime<Utc>) -> QueryResult<Rows> {
    let fields = super::prepare::fields(conn, file)?;
    let Some(group) = runs::store::group(conn, run.id)? else {
        let taken = super::prepare::prepare(conn, run.id, file)? as i32;
        return Ok(Rows { taken, left_out: 0, fields });
    };
    let spellings = spellings(conn, file, &group.by)?;
    let left_out = match &group.served {
        Some(served) => {
            super::prepare::prepare_unserved(conn, run.id, file, &group.by, &meant(&spellings, served), now)? as i32
        }
        None => 0,
    };
    if left_out > 0 {
        let change = CountChange::of(Outcome::NoGroup, left_out.into());
        super::settle::count(conn, &BTreeMap::from([(run.id, change)]), 0)?;
    }
    let mine = meant(&spellings, std::slice::from_ref(&group.value));
    let taken = super::prepare::prepare_group(conn, run.id, file, &group.by, &mine, left_out)? as i32;
    Ok(Rows { taken, left_out, fields })
}

/// The values of a group field in a file, each as it is spelt.
fn spellings(conn: &mut PgConnection, file: FileId, by: &str) -> QueryResult<Vec<String>> {
    let groups = files::store::groups(conn, file, by)?;
    Ok(groups.into_iter().filter_map(|(value, _)| value).collect())
}

/// Those that mean one of these groups. Which spellings mean the same is decided in
/// one place, here and not in SQL.
fn meant(spellings: &[String], groups: &[String]) -> Vec<String> {
    let is_meant = |it: &&String| groups.iter().any(|group| same_group(group, it));
    spellings.iter().filter(is_meant).cloned().collect()
}

fn rows_of_lists(conn: &mut PgConnection, run: &Run) -> QueryResult<Rows> {
    let taken = super::prepare::prepare_lists(conn, run)? as i32;
    Ok(Rows { taken, left_out: 0, fields: super::prepare::fields_of_run(conn, run.id)? })
}

/// Those whom another schedule could not reach. A run that is stopped before has nobody.
fn rows_of_unreached(conn: &mut PgConnection, run: &Run, before: ScheduleId) -> QueryResult<Rows> {
    let taken = match run.state.has_ended() {
        true => 0,
        false => super::prepare::prepare_unreached(conn, run, before)? as i32,
    };
    Ok(Rows { taken, left_out: 0, fields: super::prepare::fields_of_run(conn, run.id)? })
}

/// Why a run takes no more contacts.
#[derive(Debug, thiserror::Error)]
pub enum NotAppended {
    #[error(transparent)]
    Refused(#[from] runs::Refused),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Takes back what a run has not sent: contacts that no claim has reached, and those
/// that were held before they were ever tried, come to [`Outcome::Replaced`]. Returns
/// how many. A run that takes no more contacts is refused: what it left is final.
///
/// [`Outcome::Replaced`]: super::Outcome::Replaced
pub fn take_back(conn: &mut PgConnection, run: RunId, now: DateTime<Utc>) -> Result<i64, NotAppended> {
    conn.transaction(|conn| {
        let run = runs::store::lock(conn, run)?;
        let holds = runs::store::holds(conn, &run)?;
        run.clone().add(0, &holds, now)?;
        let (replaced, held) = super::prepare::replace_unsent(conn, run.id, run.next_seq, now)?;
        let mut change = CountChange::of(Outcome::Replaced, replaced);
        change.counts.retrying = -held;
        super::settle::count(conn, &BTreeMap::from([(run.id, change)]), 0)?;
        Ok(replaced)
    })
}

/// What came of more contacts for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    pub added: i64,
    /// Contacts of the file that it, or a run beside it, has already.
    pub already_there: i64,
}

/// Gives a prepared run the contacts of another file, of its group if it has one, after
/// those it has. Whoever it has already is left out, and so is whoever one of the runs
/// `beside` it has; those without a group and those that were replaced do not count.
pub fn append(
    conn: &mut PgConnection,
    run: RunId,
    file: FileId,
    beside: &[RunId],
    now: DateTime<Utc>,
) -> Result<Appended, NotAppended> {
    conn.transaction(|conn| {
        let mut run = runs::store::lock(conn, run)?;
        let holds = runs::store::holds(conn, &run)?;
        run.clone().add(0, &holds, now)?;
        let group = match runs::store::group(conn, run.id)? {
            Some(group) => {
                let spellings = spellings(conn, file, &group.by)?;
                Some((meant(&spellings, &[group.value]), group.by))
            }
            None => None,
        };
        let group = group.as_ref().map(|(values, by)| (by.as_str(), values.as_slice()));
        let all = super::prepare::count_rows(conn, file, group)?;
        let added = super::prepare::append(conn, &run, file, group, beside)?;
        if added > 0 {
            run.add(added as i32, &holds, now)?;
            run.spread(super::counts::waiting(conn, run.id)?, &holds, now);
            runs::store::save(conn, &run, now)?;
            for field in super::prepare::fields(conn, file)? {
                if !run.fields.contains(&field) {
                    run.fields.push(field);
                }
            }
            runs::store::set_fields(conn, run.id, &run.fields)?;
        }
        Ok(Appended { added, already_there: all - added })
    })
}
