//! store: Questions about the ledger of one run: who got it, who did not, and why.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Int2, Int4, Int8, Nullable, Text, Timestamptz};

use super::{Counts, Show, Standing};
use crate::contacts::domain::as_stored;
use crate::db::Zone;
use crate::db::schema::{campaigns, channels, files, schedule_runs, schedules};
use crate::ids::RunId;
use crate::runs::{self, Run};

const LEDGER: &str = include_str!("ledger.sql");

/// Whose ledger it is, for the head of the page.
pub struct LedgerHead {
    pub run: Run,
    pub campaign: String,
    pub schedule: String,
    pub channel: String,
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
    let channel = channels::table.find(run.channel_id).select(channels::name).first(conn)?;
    let file: Option<(String, i64)> = match run.file_id {
        Some(file) => files::table
            .find(file)
            .select((files::name, files::rows_bad + files::rows_duplicate))
            .first(conn)
            .map(Some)?,
        None => None,
    };
    let (file, file_problems) = file.map_or((None, 0), |(name, problems)| (Some(name), problems));
    Ok(LedgerHead { run, campaign, schedule, channel, file, file_problems, zone })
}

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub struct LedgerAsk {
    pub show: Show,
    /// How an address or a customer ID begins; empty for any.
    pub begins: String,
    /// Only rows with a higher number.
    pub after: i32,
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
}

/// One page of a ledger, and what stands above it.
pub struct LedgerLook {
    pub head: LedgerHead,
    pub counts: Counts,
    /// How many contacts stand where.
    pub standings: Vec<(Standing, i64)>,
    pub ask: LedgerAsk,
    pub entries: Vec<LedgerEntry>,
    /// The last row of this page, when there are more behind it.
    pub next: Option<i32>,
}

/// To be asked on one snapshot: what stands above the rows is then what the rows say.
pub fn look(conn: &mut PgConnection, run: RunId, ask: LedgerAsk, page: usize) -> QueryResult<LedgerLook> {
    let head = head(conn, run)?;
    let mut entries = entries(conn, run, &ask, page as i64 + 1)?;
    let next = (entries.len() > page).then(|| entries[page - 1].seq);
    entries.truncate(page);
    let (counts, standings) = (super::counts::counts_of(conn, run)?, standings(conn, run)?);
    Ok(LedgerLook { head, counts, standings, ask, entries, next })
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
}

/// Up to `n` rows, in the order of the run.
pub fn entries(conn: &mut PgConnection, run: RunId, ask: &LedgerAsk, n: i64) -> QueryResult<Vec<LedgerEntry>> {
    let standings: Option<Vec<i16>> = match ask.show {
        Show::All => None,
        show => Some(Standing::all().filter(|it| show.shows(*it)).map(Standing::code).collect()),
    };
    let begins = Some(ask.begins.trim()).filter(|text| !text.is_empty());
    let address = begins.map(as_stored).filter(|text| !text.is_empty());
    let sql = format!(
        "SELECT * FROM ({LEDGER}) l
         WHERE l.seq > $2
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
            })
        })
        .collect()
}

/// How many contacts stand where. Reads every row of the run.
pub fn standings(conn: &mut PgConnection, run: RunId) -> QueryResult<Vec<(Standing, i64)>> {
    #[derive(QueryableByName)]
    struct Group {
        #[diesel(sql_type = Int2)]
        standing: i16,
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let groups: Vec<Group> =
        diesel::sql_query(format!("SELECT l.standing, count(*) AS n FROM ({LEDGER}) l GROUP BY 1 ORDER BY 1"))
            .bind::<Int8, _>(run)
            .load(conn)?;
    groups.into_iter().map(|group| Ok((standing(group.standing)?, group.n))).collect()
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
