//! store: Questions about the ledger of one run: who got it, who did not, and why.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Int2, Int4, Int8, Nullable, Text, Timestamptz};

use super::{Counts, Outcome, Show, Standing};
use crate::contacts::addresses::as_stored;
use crate::db::Zone;
use crate::db::schema::{campaigns, channels, files, retries, schedule_runs, schedules};
use crate::ids::RunId;
use crate::providers::Kind;
use crate::runs::{self, Run};

const LEDGER: &str = include_str!("ledger.sql");

/// Whose ledger it is, for the head of the page.
pub struct LedgerHead {
    pub run: Run,
    pub campaign: String,
    pub schedule: String,
    pub channel: String,
    /// Of its addresses.
    pub kind: Kind,
    /// Name of the file its contacts come from; `None` when they come from lists.
    pub file: Option<String>,
    /// Rows of the file that came to no contact, or not as they stood.
    pub file_problems: i64,
    /// The campaign's.
    pub zone: Tz,
}

pub fn head(conn: &mut PgConnection, id: RunId) -> QueryResult<LedgerHead> {
    let run = runs::store::find(conn, id)?;
    let (campaign, Zone(zone)): (String, Zone) =
        campaigns::table.find(run.campaign_id).select((campaigns::name, campaigns::time_zone)).first(conn)?;
    let schedule = schedules::table.find(run.schedule_id).select(schedules::name).first(conn)?;
    let (channel, kind): (String, Kind) =
        channels::table.find(run.channel_id).select((channels::name, channels::kind)).first(conn)?;
    let file: Option<(String, i64)> = match run.file_id {
        Some(file) => files::table
            .find(file)
            .select((files::name, files::rows_bad + files::rows_duplicate))
            .first(conn)
            .map(Some)?,
        None => None,
    };
    let (file, file_problems) = file.map_or((None, 0), |(name, problems)| (Some(name), problems));
    Ok(LedgerHead { run, campaign, schedule, channel, kind, file, file_problems, zone })
}

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub struct LedgerAsk {
    pub show: Show,
    /// How an address or a customer ID begins; empty for any.
    pub begins: String,
    /// Only rows with a higher number.
    pub after: i32,
    /// How many rows of the page were found already, before that number.
    pub found: usize,
}

/// One contact of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// Its place in the run, from 1.
    pub seq: i32,
    pub address: String,
    pub customer_id: Option<String>,
    pub standing: Standing,
    /// The attempt that settled it; 0 when it was never handed over.
    pub attempt: Option<i16>,
    /// What the provider or we said about it.
    pub detail: Option<String>,
    pub settled_at: Option<DateTime<Utc>>,
    pub next_try_at: Option<DateTime<Utc>>,
    /// What the run knew of the contact, by field.
    pub values: serde_json::Value,
}

/// One page of a ledger, and what stands above it.
pub struct LedgerLook {
    pub head: LedgerHead,
    pub counts: Counts,
    /// Outcomes that occur, with how often.
    pub outcomes: Vec<(Outcome, i64)>,
    pub ask: LedgerAsk,
    pub entries: Vec<LedgerEntry>,
    pub goes_on: Option<GoesOn>,
}

/// What comes behind the rows of a ledger page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoesOn {
    /// The page is full; more rows are behind this one.
    AnotherPage { after: i32 },
    /// Nothing is known yet of the rows behind this one.
    LooksOn { after: i32 },
}

/// How many rows of a run one look goes through. What few rows have in common is found in as many looks as it
/// takes, each quick, so that a page of a million contacts answers at once.
const ROWS_A_LOOK: i32 = 50_000;

/// To be asked on one snapshot: what stands above the rows is then what the rows say.
pub fn look(conn: &mut PgConnection, run: RunId, ask: LedgerAsk, page: usize) -> QueryResult<LedgerLook> {
    let head = head(conn, run)?;
    let counts = super::counts::counts_of(conn, run)?;
    let from = ask.after.max(before_first(conn, &head.run, &ask, &counts)?);
    let until = from.saturating_add(ROWS_A_LOOK).min(head.run.last_seq);
    let wanted = page.saturating_sub(ask.found);
    let mut entries = entries(conn, run, &LedgerAsk { after: from, ..ask.clone() }, until, wanted as i64 + 1)?;
    let goes_on = if entries.len() > wanted {
        entries.truncate(wanted);
        Some(GoesOn::AnotherPage { after: entries.last().map_or(from, |entry| entry.seq) })
    } else {
        (until < head.run.last_seq).then_some(GoesOn::LooksOn { after: until })
    };
    let outcomes = super::counts::outcomes(conn, &head.run, &counts)?;
    Ok(LedgerLook { head, counts, outcomes, ask, entries, goes_on })
}

/// A row of the run before which none is in `show`. Contacts that were not sent to stand
/// behind the cursor, or on the list of those that wait; those in no group stand in front of all.
fn before_first(conn: &mut PgConnection, run: &Run, ask: &LedgerAsk, counts: &Counts) -> QueryResult<i32> {
    let show = ask.show;
    if show == Show::All && ask.begins.trim().is_empty() {
        return Ok(counts.no_group as i32);
    }
    if !matches!(show, Show::Unsent | Show::Retrying | Show::Outcome(Outcome::Stopped | Outcome::Overrun)) {
        return Ok(0);
    }
    let waits: Option<i32> =
        retries::table.filter(retries::run_id.eq(run.id)).select(diesel::dsl::min(retries::seq)).first(conn)?;
    Ok(waits.map_or(run.next_seq, |seq| seq.min(run.next_seq)) - 1)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Int4)]
    seq: i32,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Nullable<Text>)]
    customer_id: Option<String>,
    #[diesel(sql_type = Int2)]
    standing: i16,
    #[diesel(sql_type = Nullable<Int2>)]
    attempt: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    settled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_try_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    values: serde_json::Value,
}

/// Up to `n` rows of those up to number `until`, in the order of the run.
pub fn entries(
    conn: &mut PgConnection,
    run: RunId,
    ask: &LedgerAsk,
    until: i32,
    n: i64,
) -> QueryResult<Vec<LedgerEntry>> {
    let begins = Some(ask.begins.trim()).filter(|text| !text.is_empty());
    // Who looks for somebody finds them, also where nobody was to send to them.
    let standings: Option<Vec<i16>> = match ask.show {
        Show::All if begins.is_some() => None,
        show => Some(Standing::all().filter(|it| show.shows(*it)).map(Standing::code).collect()),
    };
    let address = begins.map(as_stored).filter(|text| !text.is_empty());
    let sql = format!(
        "SELECT * FROM ({LEDGER}) l
         WHERE l.seq > $2 AND l.seq <= $7
           AND ($3 IS NULL OR l.standing = ANY ($3))
           AND ($4 IS NULL OR starts_with(l.address, $5) OR starts_with(lower(l.customer_id), lower($4)))
         ORDER BY l.seq
         LIMIT $6"
    );
    diesel::sql_query(sql)
        .bind::<Int8, _>(run)
        .bind::<Int4, _>(ask.after)
        .bind::<Nullable<Array<Int2>>, _>(standings)
        .bind::<Nullable<Text>, _>(begins)
        .bind::<Nullable<Text>, _>(address)
        .bind::<Int8, _>(n)
        .bind::<Int4, _>(until)
        .load::<Row>(conn)?
        .into_iter()
        .map(|row| {
            Ok(LedgerEntry {
                standing: standing(row.standing)?,
                seq: row.seq,
                address: row.address,
                customer_id: row.customer_id,
                attempt: row.attempt,
                detail: row.detail,
                settled_at: row.settled_at,
                next_try_at: row.next_try_at,
                values: row.values,
            })
        })
        .collect()
}

/// Names of these runs, for links to them.
pub fn names(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<BTreeMap<RunId, String>> {
    let rows: Vec<(RunId, String)> = schedule_runs::table
        .filter(schedule_runs::id.eq_any(runs))
        .select((schedule_runs::id, schedule_runs::name))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

fn standing(code: i16) -> QueryResult<Standing> {
    Standing::of_code(code).ok_or_else(|| DeserializationError(format!("ledger: not a standing: {code}").into()))
}
