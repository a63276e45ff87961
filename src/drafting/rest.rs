//! actions: A new campaign for those whom the runs of another did not reach.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Int2, Int8, Text};

use super::Refused;
use crate::campaigns::store::named;
use crate::campaigns::{CampaignKind, CampaignState, store};
use crate::contacts;
use crate::db::schema::files;
use crate::db::{Error, N};
use crate::deliveries::Outcome;
use crate::files::domain::{FileEncoding, Format, Mapping, TableHead, Use};
use crate::files::store::Upload;
use crate::ids::{CampaignId, FileId, RunId, ScheduleId, UserId};
use crate::journal::{self, Entry, Happened};
use crate::runs;
use crate::schedules::{self, Draft, When};
use crate::words::words;

words! {
    /// How somebody of a run stands who may be sent to in another campaign.
    pub enum Unreached {
        Unsent = "unsent" => "Unsent: their turn never came",
        Failed = "failed" => "Failed: the provider refused them or could not reach them",
        LeftOut = "left_out" => "Left out for a time: frequency cap, busy elsewhere, window closed",
        Unconfirmed = "unconfirmed" => "Unconfirmed: nobody knows; some of them may have got it",
        Undelivered = "undelivered" => "Not delivered: sent, and no receipt from the phone",
        Silent = "silent" => "No reply: reached, and nothing came back",
    }
}

impl Unreached {
    /// Codes of what the ledger has for it: outcomes, and those of [`Standing::code`](crate::deliveries::Standing::code).
    fn codes(self) -> Vec<i16> {
        let outcomes = |of: &[Outcome]| of.iter().map(|it| it.code()).collect();
        match self {
            Unreached::Unsent => vec![-1],
            Unreached::Failed => outcomes(&[
                Outcome::Invalid,
                Outcome::Unavailable,
                Outcome::NetworkError,
                Outcome::Expired,
                Outcome::InvalidContact,
                Outcome::Rejected,
            ]),
            Unreached::LeftOut => outcomes(&[Outcome::FrequencyCap, Outcome::Busy, Outcome::WindowClosed]),
            Unreached::Unconfirmed => outcomes(&[Outcome::Unconfirmed]),
            Unreached::Undelivered => vec![-4],
            Unreached::Silent => Vec::new(),
        }
    }

    /// Whether they may have got the message: then it is a second one.
    pub fn may_have_got_it(self) -> bool {
        matches!(self, Unreached::Unconfirmed | Unreached::Undelivered | Unreached::Silent)
    }
}

/// Begins a draft with the schedules of these runs of a campaign and a file of those who stand so, each once and with
/// the values that the last run had of them. Of several groups each keeps its schedule. It has no day yet. Called
/// “name rest”, “name rest 2” and so on.
///
/// # Errors
///
/// While one of the runs goes on: those whom it has not reached it may still reach. And when nobody stands so.
pub fn begin(
    conn: &mut PgConnection,
    runs: &[RunId],
    whom: &[Unreached],
    by: UserId,
    now: DateTime<Utc>,
) -> Result<CampaignId, Error<Refused>> {
    conn.transaction(|conn| {
        let mut ids = runs.to_vec();
        ids.sort_unstable();
        let runs = ids.into_iter().map(|id| runs::store::lock(conn, id)).collect::<QueryResult<Vec<_>>>()?;
        if let Some(run) = runs.iter().find(|run| !run.state.has_ended()) {
            return Err(Refused::RunGoesOn { run: run.name.clone() }.into());
        }
        let first = runs.first().ok_or(Refused::NobodyLeft)?;
        if runs.iter().any(|run| run.campaign_id != first.campaign_id) {
            return Err(diesel::result::Error::NotFound.into());
        }
        let campaign = store::find(conn, first.campaign_id)?;
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let mut served: Vec<ScheduleId> = runs.iter().map(|run| run.schedule_id).collect();
        served.sort_unstable();
        served.dedup();
        let name = store::free_name(conn, &campaign.name, "rest")?;
        let zone = campaign.zone;
        let id = named(store::insert(conn, &name, CampaignKind::OnceOff, zone, by, now), &name)?;
        journal::note(
            conn,
            Entry::new(Happened::CampaignCreated, id, by)
                .of(id)
                .became(CampaignState::Draft.word())
                .why(&format!("those of {} who were not reached", names.join(", "))),
            now,
        )?;
        store::copy_plan(conn, campaign.id, id)?;
        store::set_lists(conn, id, &store::Lists::default())?;
        let file = file_of(conn, &runs, &name, whom, by, now)?;
        store::set_file(conn, id, Some(file))?;
        // One group has nobody of another.
        let one = served.len() == 1;
        if one {
            store::set_group_by(conn, id, None)?;
        }
        for schedule in served {
            let mut plan = schedules::store::find(conn, schedule)?.plan;
            // Its people are those of the file now.
            plan.rules.after = None;
            let group = plan.group.clone().filter(|_| !one);
            schedules::store::insert(conn, id, &Draft { when: When::Undecided, group, ..plan })?;
        }
        Ok(id)
    })
}

/// Their file, as if it had been uploaded and imported.
fn file_of(
    conn: &mut PgConnection,
    runs: &[runs::Run],
    name: &str,
    whom: &[Unreached],
    by: UserId,
    now: DateTime<Utc>,
) -> Result<FileId, Error<Refused>> {
    let first = runs.first().ok_or(Refused::NobodyLeft)?;
    let kind = crate::channels::store::find(conn, first.channel_id)?.kind;
    let mut fields: Vec<String> = Vec::new();
    for field in runs.iter().flat_map(|run| &run.fields) {
        if !fields.iter().any(|it| it.to_lowercase() == field.to_lowercase()) {
            fields.push(field.clone());
        }
    }
    let mut address = "phone".to_owned();
    while fields.iter().any(|field| field.to_lowercase() == address) {
        address.push_str(" of the run");
    }
    let columns = std::iter::once(Use::ChannelId).chain(fields.iter().map(|it| Use::Data { field: it.clone() }));
    let mapping = Mapping { columns: columns.collect() };
    let head = TableHead {
        format: Format::Csv,
        encoding: Some(FileEncoding::Utf8),
        delimiter: Some(b','),
        sheets: Vec::new(),
        sheet: 0,
        header_row: 1,
        n_hidden: 0,
        takes_hidden: false,
        headers: std::iter::once(address).chain(fields.iter().cloned()).collect(),
        sample: Vec::new(),
    };
    let upload = Upload { name: &format!("{name}.csv"), size_bytes: 0, sha256: &[], kind, head: &head };
    let file = crate::files::store::insert(conn, &upload, by, now)?;
    let codes: Vec<i16> = whom.iter().flat_map(|it| it.codes()).collect();
    let n = diesel::sql_query(include_str!("rest.sql"))
        .bind::<Int8, _>(file)
        .bind::<Array<Int8>, _>(runs.iter().map(|run| run.id).collect::<Vec<_>>())
        .bind::<Array<Int2>, _>(codes)
        .bind::<Bool, _>(whom.contains(&Unreached::Silent))
        .get_result::<N>(conn)?
        .n;
    if n == 0 {
        return Err(Refused::NobodyLeft.into());
    }
    let missing = diesel::sql_query(
        "SELECT coalesce(jsonb_object_agg(field, n), '{}') AS missing
         FROM (SELECT field, count(*) AS n FROM file_rows, unnest($2::text[]) field
               WHERE file_id = $1 AND coalesce(\"values\" ->> field, '') = '' GROUP BY field) lacking",
    )
    .bind::<Int8, _>(file)
    .bind::<Array<Text>, _>(&fields)
    .get_result::<Missing>(conn)?
    .missing;
    let mapping = serde_json::to_value(&mapping)
        .map_err(|error| Error::Database(diesel::result::Error::SerializationError(error.into())))?;
    diesel::update(files::table.find(file))
        .set((
            files::state.eq("imported"),
            files::mapping.eq(mapping),
            files::region.eq(""),
            files::rows_done.eq(n),
            files::rows_good.eq(n),
            files::missing.eq(missing),
            files::finished_at.eq(now),
        ))
        .execute(conn)?;
    contacts::store::make_known(conn, &fields.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(file)
}

#[derive(QueryableByName)]
struct Missing {
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    missing: serde_json::Value,
}
