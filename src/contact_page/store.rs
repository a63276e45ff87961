use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{BigInt, Int2, Int4, Nullable, Text, Timestamptz};

use crate::db::Zone;
use crate::db::schema::{campaigns, schedules};
use crate::deliveries::{OnRecord, Outcome, Standing, Word};
use crate::ids::{CampaignId, ContactId, FileId, RunId, ScheduleId};
use crate::providers::Kind;
use crate::runs::{self, Run};

/// One run that a contact was in, and what came of it there.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    pub run: Run,
    pub campaign: String,
    /// The campaign's.
    pub zone: Tz,
    pub schedule: String,
    pub standing: Standing,
    /// What the provider or we said about it.
    pub detail: Option<String>,
    /// 0 when it was never handed over.
    pub attempt: Option<i16>,
    pub settled_at: Option<DateTime<Utc>>,
    pub next_try_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    run_id: RunId,
    #[diesel(sql_type = Int4)]
    seq: i32,
    #[diesel(sql_type = Nullable<Int2>)]
    progress: Option<i16>,
    #[diesel(sql_type = Nullable<Int2>)]
    outcome: Option<i16>,
    #[diesel(sql_type = Nullable<Int2>)]
    attempt: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    settled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Int2>)]
    waits_for: Option<i16>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_try_at: Option<DateTime<Utc>>,
}

/// Up to `n` runs that a contact was in, the newest first, older than run `before`.
pub fn turns(
    conn: &mut PgConnection,
    contact: ContactId,
    before: Option<RunId>,
    n: i64,
) -> QueryResult<Vec<HistoryRow>> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT d.run_id, d.seq, d.progress, d.outcome, d.attempt, coalesce(d.detail, t.detail) AS detail, d.settled_at,
                t.attempt AS waits_for, t.due_at AS next_try_at
         FROM deliveries d
         LEFT JOIN retries t ON t.run_id = d.run_id AND t.seq = d.seq
         WHERE d.contact_id = $1 AND d.run_id < $2
         ORDER BY d.run_id DESC
         LIMIT $3",
    )
    .bind::<BigInt, _>(contact)
    .bind::<BigInt, _>(before.map_or(i64::MAX, |run| run.0))
    .bind::<BigInt, _>(n)
    .load(conn)?;

    let ids: Vec<RunId> = rows.iter().map(|row| row.run_id).collect();
    let runs: BTreeMap<RunId, Run> = runs::store::these(conn, &ids)?.into_iter().map(|run| (run.id, run)).collect();
    let campaigns: Vec<(CampaignId, String, Zone)> = campaigns::table
        .filter(campaigns::id.eq_any(runs.values().map(|run| run.campaign_id)))
        .select((campaigns::id, campaigns::name, campaigns::time_zone))
        .load(conn)?;
    let schedules: Vec<(ScheduleId, String)> = schedules::table
        .filter(schedules::id.eq_any(runs.values().map(|run| run.schedule_id)))
        .select((schedules::id, schedules::name))
        .load(conn)?;
    let campaigns: BTreeMap<CampaignId, (String, Tz)> =
        campaigns.into_iter().map(|(id, name, Zone(zone))| (id, (name, zone))).collect();
    let schedules: BTreeMap<ScheduleId, String> = schedules.into_iter().collect();

    // A run that was deleted in between has taken its deliveries along.
    rows.into_iter()
        .filter_map(|row| {
            let run = runs.get(&row.run_id)?.clone();
            let (campaign, zone) = campaigns.get(&run.campaign_id)?.clone();
            let schedule = schedules.get(&run.schedule_id)?.clone();
            Some(turn(row, run, campaign, zone, schedule))
        })
        .collect()
}

fn turn(row: Row, run: Run, campaign: String, zone: Tz, schedule: String) -> QueryResult<HistoryRow> {
    let not = |what: String| DeserializationError(what.into());
    let outcome = row
        .outcome
        .map(|code| Outcome::of_code(code).ok_or_else(|| not(format!("deliveries: not an outcome: {code}"))))
        .transpose()?;
    let on_record = OnRecord {
        word: Word { progress: row.progress, outcome },
        waits_for: row.waits_for,
        claimed: row.seq < run.next_seq,
    };
    Ok(HistoryRow {
        standing: Standing::of(on_record, &run.state),
        zone,
        run,
        campaign,
        schedule,
        detail: row.detail,
        attempt: row.attempt,
        settled_at: row.settled_at,
        next_try_at: row.next_try_at,
    })
}

/// A row of a file that had this very address and was not taken.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct LeftOut {
    #[diesel(sql_type = BigInt)]
    file_id: FileId,
    #[diesel(sql_type = Text)]
    pub file: String,
    #[diesel(sql_type = Timestamptz)]
    pub uploaded_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    pub line: i64,
    #[diesel(sql_type = Text)]
    pub code: String,
    #[diesel(sql_type = Text)]
    pub says: String,
}

impl LeftOut {
    pub fn file_id(&self) -> FileId {
        self.file_id
    }

    pub fn name(&self) -> &'static str {
        match self.code.as_str() {
            "duplicate" => "duplicate in file",
            _ => "refused",
        }
    }
}

/// Up to `n` rows of files that had this address and were not taken, the newest first.
pub fn left_out(conn: &mut PgConnection, kind: Kind, address: &str, n: i64) -> QueryResult<Vec<LeftOut>> {
    diesel::sql_query(
        "SELECT p.file_id, f.name AS file, f.uploaded_at, p.line, p.code, p.says
         FROM file_problems p JOIN files f ON f.id = p.file_id
         WHERE p.value IN ($1, '+' || $1) AND p.code IN ('duplicate', 'invalid_address') AND f.kind = $2
         ORDER BY p.file_id DESC, p.line
         LIMIT $3",
    )
    .bind::<Text, _>(address)
    .bind::<Text, _>(kind)
    .bind::<BigInt, _>(n)
    .load(conn)
}
