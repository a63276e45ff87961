//! io: Importing a file: from its stored pieces to an audience.
//!
//! A thread reads and checks rows and packs them; the importer's connection
//! copies the packs into tables of its own. At the end one transaction sets the
//! repeated addresses apart, makes contacts of new addresses, and publishes the
//! rows. Until that commits nobody sees anything but counts, so an importer that
//! dies leaves nothing to clean up and the next one starts over.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use uuid::Uuid;

use super::actions;
use super::domain::{File, FileCounts, Format, ImportRules, Mapping, Refused, Use};
use super::refusal::Refusal;
use super::store::{self, HeardImporter, ImportClaim, Pack};
use super::table::{EachRow, Unread, csv_rows};
use super::workbook::{Patience, workbook_rows};
use crate::access::Actor;
use crate::clock::Clock;
use crate::contacts::addresses::{TWO_WAYS, TwoWays};
use crate::db::{self, Db, Error};
use crate::ids::{FileId, UserId};
use crate::journal::{self, Entry, Happened};

/// Rows that are copied at once.
const BATCH: i64 = 20_000;
/// Long rows are copied in smaller batches.
const BATCH_BYTES: usize = 4 << 20;
/// Slow files tell how far they are at least this often.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// Rows with problems that are listed; more are only counted.
pub const MOST_LISTED: i64 = 100_000;
/// Packs that wait to be copied; with the ones being filled and copied this
/// bounds the memory.
const WAITING: usize = 2;
/// An import that was begun so often and never came to an end is not begun again.
const MOST_TRIES: i16 = 2;
/// Without a sign of life for this long, another process starts the import over.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Shorter than the lease by enough that a late one does no harm.
const PULSE: Duration = Duration::from_secs(5);

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Imported,
    Refused,
    Cancelled,
    /// Another process has taken the file; what was read here is forgotten.
    Lost,
}

/// Imports the next file that waits for it. `None` when none does.
///
/// Blocks for as long as the file takes, on connections of its own.
pub fn next(db: &Db, clock: &Clock) -> anyhow::Result<Option<(FileId, Ended)>> {
    let now = clock.now();
    let claim = store::claim(&mut *db.lend()?, Uuid::new_v4(), now + LEASE, now)?;
    let Some(claim) = claim else { return Ok(None) };
    let id = claim.file.id;
    let ended = run_counted(db, clock, &claim)?;
    tracing::info!(file.id = %id, "import ended: {ended:?}");
    Ok(Some((id, ended)))
}

/// Imports a small file while whoever uploaded it waits.
///
/// It is sent to be imported and claimed in one transaction, so that no tick takes it in between.
pub fn at_once(
    db: &Db,
    clock: &Clock,
    id: FileId,
    mapping: Mapping,
    region: String,
    two_ways: TwoWays,
    by: UserId,
) -> anyhow::Result<Ended> {
    let now = clock.now();
    let claim = db.lend()?.transaction(|conn| {
        actions::import(conn, id, mapping, region, two_ways, by, now)?;
        Ok::<_, Error<Refused>>(store::begin(conn, id, Uuid::new_v4(), now + LEASE)?)
    })?;
    run_counted(db, clock, &claim)
}

/// As [`at_once`], for a file that was imported before somebody chose what its numbers are that could be read in
/// two ways.
pub fn settle_at_once(db: &Db, clock: &Clock, id: FileId, two_ways: TwoWays, by: UserId) -> anyhow::Result<Ended> {
    let now = clock.now();
    let claim = db.lend()?.transaction(|conn| {
        actions::settle(conn, id, two_ways, by, now)?;
        Ok::<_, Error<Refused>>(store::begin(conn, id, Uuid::new_v4(), now + LEASE)?)
    })?;
    run_counted(db, clock, &claim)
}

/// As [`run`]; a database that went away meanwhile is not held against the file.
fn run_counted(db: &Db, clock: &Clock, claim: &ImportClaim) -> anyhow::Result<Ended> {
    let ended = run(db, clock, claim);
    if let Err(error) = &ended
        && db::is_gone(error)
    {
        db.lend().map_err(anyhow::Error::from).and_then(|mut conn| Ok(store::uncount(&mut conn, claim)?))?;
    }
    ended.with_context(|| format!("import of file {}", claim.file.id))
}

/// Imports a claimed file.
pub fn run(db: &Db, clock: &Clock, claim: &ImportClaim) -> anyhow::Result<Ended> {
    let give_up = |why: Option<&str>| -> anyhow::Result<Ended> {
        let (conn, now) = (&mut *db.lend()?, clock.now());
        let held = conn.transaction(|conn| {
            let held = store::give_up(conn, claim, why, now)?;
            if held {
                let became = if why.is_some() { "refused" } else { "cancelled" };
                record(conn, claim, Happened::FileImportEnded, became, why, now)?;
            }
            QueryResult::Ok(held)
        })?;
        Ok(match (held, why) {
            (false, _) => Ended::Lost,
            (true, Some(_)) => Ended::Refused,
            (true, None) => Ended::Cancelled,
        })
    };
    let pulse = |conn: &mut PgConnection, counts: &FileCounts| store::pulse(conn, claim, counts, clock.now() + LEASE);
    if claim.tries > MOST_TRIES {
        return give_up(Some(&Refusal::GaveUp.to_string()));
    }
    let mut conn = db.open()?;
    store::open_staging(&mut conn)?;

    let (mut counts, mut missing) = (FileCounts::default(), Vec::new());
    let collected = thread::scope(|scope| -> anyhow::Result<Collected> {
        let (packs, copied) = sync_channel(WAITING);
        let reader = scope.spawn(move || read(db, &claim.file, packs));
        let stopped = copy(&mut conn, copied, &mut counts, &mut missing, &pulse)?;
        // It would fall over the same row again.
        let read = reader.join().unwrap_or(Ok(Err(Refusal::GaveUp)));
        Ok(match (stopped, read?) {
            (Some(heard), _) => Collected::Stopped(heard),
            (None, Err(refusal)) => Collected::Unreadable(refusal.to_string()),
            (None, Ok(())) => Collected::All,
        })
    })?;
    match collected {
        Collected::All => {}
        Collected::Unreadable(why) => return give_up(Some(&why)),
        Collected::Stopped(HeardImporter::Cancel) => return give_up(None),
        Collected::Stopped(HeardImporter::Lost | HeardImporter::GoOn) => return Ok(Ended::Lost),
    }
    if counts.done == 0 {
        let all_hidden = claim.file.head.n_hidden > 0 && !claim.file.head.takes_hidden;
        return give_up(Some(&if all_hidden { Refusal::AllHidden } else { Refusal::HeaderOnly }.to_string()));
    }
    counts.bytes_done = claim.file.size_bytes;

    let published = thread::scope(|scope| {
        let (end, ended) = channel::<()>();
        scope.spawn(move || keep_alive(ended, || Ok(pulse(&mut *db.lend()?, &counts)?)));
        let published = publish(&mut conn, claim, counts, missing, clock);
        drop(end);
        published
    })?;
    match published {
        true => Ok(Ended::Imported),
        // Cancelled, or lost; giving up knows which.
        false => give_up(None),
    }
}

/// Writes down in the journal what the clock made of a file.
fn record(
    conn: &mut PgConnection,
    claim: &ImportClaim,
    happened: Happened,
    became: &str,
    why: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let entry = Entry::new(happened, claim.file.id, Actor::Clock).was("importing").became(became).why_if(why);
    journal::note(conn, entry, now)
}

enum Collected {
    All,
    Unreadable(String),
    Stopped(HeardImporter),
}

/// Rows that were read and checked, on their way to the database.
struct Batch {
    rows: Pack,
    problems: Pack,
    /// Of the whole file so far.
    counts: FileCounts,
    missing: Vec<u64>,
}

/// Copies batches until the reader is through; returns why it stopped before.
fn copy(
    conn: &mut PgConnection,
    batches: Receiver<Batch>,
    counts: &mut FileCounts,
    missing: &mut Vec<u64>,
    pulse: &impl Fn(&mut PgConnection, &FileCounts) -> QueryResult<HeardImporter>,
) -> anyhow::Result<Option<HeardImporter>> {
    // Whoever has clicked Cancel before the first batch need not wait for it.
    let mut heard = pulse(conn, counts)?;
    while heard == HeardImporter::GoOn {
        match batches.recv_timeout(PULSE) {
            Ok(batch) => {
                store::stage(conn, &batch.rows, &batch.problems)?;
                (*counts, *missing) = (batch.counts, batch.missing);
            }
            // A workbook may say nothing for a while, or wait for its turn.
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
        heard = pulse(conn, counts)?;
    }
    Ok(Some(heard))
}

/// Reads the file and checks its rows. The inner error is the file's fault.
fn read(db: &Db, file: &File, batches: SyncSender<Batch>) -> anyhow::Result<Result<(), Refusal>> {
    let mapping = file.mapping.as_ref().context("no mapping")?;
    let region = file.region.as_deref().unwrap_or_default();
    let rules = ImportRules::new(mapping, &file.head.headers, file.head.format, file.kind, region, file.two_ways)?;
    let mut chunks = Chunks::open(db, file.id)?;

    let mut packing = Packing {
        rules,
        batches,
        rows: Pack::default(),
        problems: Pack::default(),
        json: Vec::new(),
        counts: FileCounts::default(),
        missing: vec![0; file.head.headers.len()],
        header_row: file.head.header_row,
        takes_hidden: file.head.takes_hidden,
        header_read: false,
        n_sent: 0,
        sent_at: Instant::now(),
    };
    let each: &mut EachRow<'_> = &mut |line, row, bytes_done| packing.add(line, row, bytes_done);
    let read = match (file.head.format, file.head.encoding, file.head.delimiter) {
        (Format::Csv, Some(encoding), Some(delimiter)) => csv_rows(chunks, encoding, delimiter, each),
        (Format::Csv, _, _) => bail!("a CSV without encoding or delimiter"),
        (Format::Xls | Format::Xlsx, _, _) => {
            let mut spool = tempfile::tempfile()?;
            while let Some(bytes) = chunks.next()? {
                spool.write_all(bytes)?;
            }
            let (format, size) = (file.head.format, file.size_bytes as u64);
            workbook_rows(&spool, format, size, file.head.sheet, Patience::IMPORT, &mut |_| {}, each)
        }
    };
    match read {
        Ok(()) => {}
        Err(Unread::Refused(refusal)) => return Ok(Err(refusal)),
        Err(Unread::Broken(error)) => return Err(error.into()),
    }
    // Nobody listens when the import was stopped.
    let _ = packing.send();
    Ok(Ok(()))
}

struct Packing<'a> {
    rules: ImportRules<'a>,
    batches: SyncSender<Batch>,
    rows: Pack,
    problems: Pack,
    json: Vec<u8>,
    counts: FileCounts,
    missing: Vec<u64>,
    header_row: i64,
    takes_hidden: bool,
    header_read: bool,
    n_sent: i64,
    sent_at: Instant,
}

impl Packing<'_> {
    fn add(&mut self, line: u64, row: &super::domain::Record, bytes_done: u64) -> ControlFlow<()> {
        let line = line as i64;
        if !self.header_read {
            if line >= self.header_row {
                self.header_read = true;
                self.rules.see_header(row);
            }
            return ControlFlow::Continue(());
        }
        if row.hidden && !self.takes_hidden {
            return ControlFlow::Continue(());
        }
        self.counts.done += 1;
        self.counts.bytes_done = bytes_done as i64;
        self.json.clear();
        match self.rules.check(row, &mut self.json, &mut self.missing) {
            Ok(good) => {
                self.counts.good += 1;
                self.counts.two_ways += i64::from(good.two_ways);
                self.rows.add_row(self.counts.good as i32, line, &good.address, good.customer_id, &self.json);
            }
            Err(problem) => {
                self.counts.bad += 1;
                self.counts.two_ways += i64::from(problem.code == TWO_WAYS);
                if self.counts.bad <= MOST_LISTED {
                    self.problems.add_problem(line, &problem);
                }
            }
        }
        let full = self.counts.done - self.n_sent >= BATCH
            || self.rows.size() + self.problems.size() >= BATCH_BYTES
            // Asking the time costs as much as a row; every sixteenth is enough.
            || (self.counts.done % 16 == 0 && self.sent_at.elapsed() >= BATCH_TIME);
        if full { self.send() } else { ControlFlow::Continue(()) }
    }

    fn send(&mut self) -> ControlFlow<()> {
        let batch = Batch {
            rows: std::mem::take(&mut self.rows),
            problems: std::mem::take(&mut self.problems),
            counts: self.counts,
            missing: self.missing.clone(),
        };
        self.n_sent = self.counts.done;
        self.sent_at = Instant::now();
        match self.batches.send(batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Keeps the lease while one long transaction works.
fn keep_alive(ended: Receiver<()>, pulse: impl Fn() -> anyhow::Result<HeardImporter>) {
    while ended.recv_timeout(PULSE) == Err(RecvTimeoutError::Timeout) {
        // The transaction asks for itself whether it is still wanted.
        if let Err(error) = pulse() {
            tracing::warn!("keeping an import: {error:#}");
        }
    }
}

/// Makes an audience of what was collected: all of it, or nothing.
fn publish(
    conn: &mut PgConnection,
    claim: &ImportClaim,
    mut counts: FileCounts,
    missing: Vec<u64>,
    clock: &Clock,
) -> anyhow::Result<bool> {
    let file = &claim.file;
    let mapping = file.mapping.as_ref().context("no mapping")?;
    let channel_id = mapping.channel_id().and_then(|i| file.head.headers.get(i)).context("no channel ID")?;
    let published = conn.transaction(|conn| -> Result<(), Unpublished> {
        counts.duplicate = store::set_repeats_apart(conn, channel_id, (MOST_LISTED - counts.bad).max(0))?;
        counts.good -= counts.duplicate;
        let missing = still_missing(conn, claim, missing, counts.duplicate)?;
        if store::is_unwanted(conn, claim)? {
            return Err(Unpublished::Unwanted);
        }
        let n_rows = store::publish(conn, file, counts.good, counts.duplicate)?;
        if n_rows != counts.good {
            return Err(Unpublished::Broken(anyhow::anyhow!("{n_rows} rows were stored, not {}", counts.good)));
        }
        match store::finish(conn, claim, &counts, &missing, clock.now())? {
            true => Ok(record(conn, claim, Happened::FileImported, "imported", None, clock.now())?),
            false => Err(Unpublished::Unwanted),
        }
    });
    match published {
        Ok(()) => Ok(true),
        Err(Unpublished::Unwanted) => Ok(false),
        Err(Unpublished::Broken(error)) => Err(error),
    }
}

enum Unpublished {
    Unwanted,
    Broken(anyhow::Error),
}

impl From<diesel::result::Error> for Unpublished {
    fn from(error: diesel::result::Error) -> Self {
        Unpublished::Broken(error.into())
    }
}

/// Field name to the number of rows with nothing there, without the repeats.
fn still_missing(
    conn: &mut PgConnection,
    claim: &ImportClaim,
    missing: Vec<u64>,
    n_repeats: i64,
) -> QueryResult<serde_json::Value> {
    let columns = claim.file.mapping.iter().flat_map(|mapping| &mapping.columns);
    let mut by_field: std::collections::BTreeMap<&str, i64> = columns
        .zip(missing)
        .filter_map(|(column, n)| match column {
            Use::Data { field } if n > 0 => Some((field.as_str(), n as i64)),
            Use::Data { .. } | Use::ChannelId | Use::CustomerId | Use::Ignore => None,
        })
        .collect();
    if n_repeats > 0 {
        let fields: Vec<&str> = by_field.keys().copied().collect();
        for (field, n) in store::missing_in_repeats(conn, &fields)? {
            if let Some(all) = by_field.get_mut(field.as_str()) {
                *all -= n;
            }
        }
        by_field.retain(|_, n| *n > 0);
    }
    Ok(serde_json::json!(by_field))
}

/// The stored pieces as one stream, fetched one by one.
struct Chunks {
    conn: PgConnection,
    id: FileId,
    n: i32,
    chunk: Vec<u8>,
    at: usize,
}

impl Chunks {
    fn open(db: &Db, id: FileId) -> anyhow::Result<Self> {
        Ok(Chunks { conn: db.open()?, id, n: 0, chunk: Vec::new(), at: 0 })
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(chunk) = store::chunk(&mut self.conn, self.id, self.n).map_err(io::Error::other)? else {
            return Ok(None);
        };
        self.n += 1;
        self.chunk = chunk;
        Ok(Some(&self.chunk))
    }
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            self.at = 0;
            if self.next()?.is_none() {
                self.chunk.clear();
                return Ok(0);
            }
        }
        let n = into.len().min(self.chunk.len() - self.at);
        into[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
