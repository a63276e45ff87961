//! What the calendar shows, asked for in sets. Reads only.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::{Array, Bool, Date, Double, Int8, Nullable, Text, Time, Timestamptz};

use super::domain::{DayStanding, Recurs, Span, Went, Whose};
use crate::campaigns;
use crate::ids::{CampaignId, ChannelId, RunId, ScheduleId};
use crate::lists;
use crate::pacing::{Calendar, Rate};
use crate::settings;

/// Campaigns whose lists are counted for a page; of the others nobody knows how many.
const COUNTED: usize = 20;
/// A window is shorter than this, unless somebody has moved its end very far.
const LONGEST: TimeDelta = TimeDelta::days(2);

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantedRuns {
    pub channel: Option<ChannelId>,
    /// Part of a campaign's name, whatever its case; empty: all.
    pub q: String,
}

/// Runs that start on these days, oldest first; with `touching` also those that go on into them.
pub fn went(conn: &mut PgConnection, span: &Span, wanted: &WantedRuns, touching: bool) -> QueryResult<Vec<Went>> {
    let from = if touching { span.from() - LONGEST } else { span.from() };
    let ends_after = if touching { span.from() } else { DateTime::<Utc>::MIN_UTC.max(span.from() - LONGEST) };
    let rows: Vec<Ran> = diesel::sql_query(include_str!("went.sql"))
        .bind::<Timestamptz, _>(from)
        .bind::<Timestamptz, _>(span.to())
        .bind::<Timestamptz, _>(ends_after)
        .bind::<Nullable<Int8>, _>(wanted.channel)
        .bind::<Text, _>(&wanted.q)
        .load(conn)?;
    rows.into_iter().map(Went::try_from).collect()
}

/// Schedules that come round again before these days are over.
pub fn recurs(conn: &mut PgConnection, span: &Span, wanted: &WantedRuns) -> QueryResult<Vec<Recurs>> {
    let rows: Vec<Comes> = diesel::sql_query(include_str!("recurs.sql"))
        .bind::<Timestamptz, _>(span.to())
        .bind::<Nullable<Int8>, _>(wanted.channel)
        .bind::<Text, _>(&wanted.q)
        .load(conn)?;
    rows.into_iter().map(Recurs::try_from).collect()
}

/// Blackout dates among these days, with their names.
pub fn blackouts(conn: &mut PgConnection, span: &Span) -> QueryResult<BTreeMap<NaiveDate, String>> {
    let here = |day: NaiveDate| span.first <= day && (day - span.first).num_days() < span.len() as i64;
    let all = settings::store::list(conn)?.into_iter().filter(|blackout| here(blackout.day));
    Ok(all.map(|blackout| (blackout.day, blackout.name)).collect())
}

/// How many contacts a schedule will go to, as far as one knows: as many as the last
/// time, or for the first few that have not run yet whoever is on their lists now.
pub fn audiences(conn: &mut PgConnection, schedules: &[ScheduleId]) -> QueryResult<HashMap<ScheduleId, i64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Int8)]
        schedule_id: ScheduleId,
        #[diesel(sql_type = Int8)]
        campaign_id: CampaignId,
        #[diesel(sql_type = Nullable<Int8>)]
        n: Option<i64>,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT s.id AS schedule_id, s.campaign_id, last.n FROM schedules s
         LEFT JOIN LATERAL (
             SELECT r.last_seq::bigint AS n FROM real_runs r
             WHERE r.schedule_id = s.id AND r.prepared_at IS NOT NULL
             ORDER BY r.starts_at DESC LIMIT 1
         ) last ON true
         WHERE s.id = ANY ($1)",
    )
    .bind::<Array<Int8>, _>(schedules)
    .load(conn)?;
    let mut counted: HashMap<CampaignId, i64> = HashMap::new();
    let mut audiences = HashMap::new();
    for row in rows {
        let n = match (row.n, counted.get(&row.campaign_id)) {
            (Some(n), _) => n,
            (None, Some(n)) => *n,
            (None, None) if counted.len() < COUNTED => {
                let lists = campaigns::store::lists(conn, row.campaign_id)?;
                let n = match lists::store::kind_of(conn, &lists.include)? {
                    Some(kind) => lists::store::count_audience(conn, &lists.include, &lists.exclude, kind)?,
                    None => 0,
                };
                counted.insert(row.campaign_id, n);
                n
            }
            (None, None) => continue,
        };
        audiences.insert(row.schedule_id, n);
    }
    Ok(audiences)
}

/// When these campaigns may not send.
pub fn calendars(conn: &mut PgConnection, ids: &[CampaignId]) -> QueryResult<HashMap<CampaignId, Calendar>> {
    settings::calendars::of_campaigns(conn, ids)
}

#[derive(Debug, QueryableByName)]
struct Ran {
    #[diesel(sql_type = Int8)]
    id: i64,
    #[diesel(sql_type = Int8)]
    campaign_id: CampaignId,
    #[diesel(sql_type = Text)]
    campaign: String,
    #[diesel(sql_type = Int8)]
    schedule_id: ScheduleId,
    #[diesel(sql_type = Text)]
    schedule: String,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Text)]
    time_zone: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    starts_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    ends_at: DateTime<Utc>,
    #[diesel(sql_type = Int8)]
    total: i64,
    #[diesel(sql_type = Int8)]
    sent: i64,
    #[diesel(sql_type = Double)]
    rate: f64,
    #[diesel(sql_type = Bool)]
    finds_its_rate: bool,
}

impl TryFrom<Ran> for Went {
    type Error = diesel::result::Error;

    fn try_from(row: Ran) -> QueryResult<Went> {
        let (Some(standing), Ok(zone)) = (DayStanding::of_run(&row.state), row.time_zone.parse()) else {
            return Err(DeserializationError(format!("schedule_runs: not on a calendar: {row:?}").into()));
        };
        Ok(Went {
            id: RunId(row.id),
            whose: Whose {
                campaign_id: row.campaign_id,
                campaign: row.campaign,
                schedule_id: row.schedule_id,
                schedule: row.schedule,
                channel: row.channel,
                zone,
            },
            standing,
            starts: row.starts_at,
            ends: row.ends_at,
            sent: row.sent,
            total: row.total,
            rate: if row.finds_its_rate { Rate::Auto } else { Rate::Fixed(row.rate) },
        })
    }
}

#[derive(Debug, QueryableByName)]
struct Comes {
    #[diesel(sql_type = Int8)]
    campaign_id: CampaignId,
    #[diesel(sql_type = Text)]
    campaign: String,
    #[diesel(sql_type = Int8)]
    schedule_id: ScheduleId,
    #[diesel(sql_type = Text)]
    schedule: String,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Text)]
    time_zone: String,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = Bool)]
    waits_for_file: bool,
    #[diesel(sql_type = Text)]
    rule: String,
    #[diesel(sql_type = Nullable<Date>)]
    last_date: Option<NaiveDate>,
    #[diesel(sql_type = Timestamptz)]
    next_run_at: DateTime<Utc>,
    #[diesel(sql_type = Time)]
    end_time: NaiveTime,
    #[diesel(sql_type = Nullable<Double>)]
    rate: Option<f64>,
}

impl TryFrom<Comes> for Recurs {
    type Error = diesel::result::Error;

    fn try_from(row: Comes) -> QueryResult<Recurs> {
        let Ok(zone) = row.time_zone.parse() else {
            return Err(DeserializationError(format!("schedules: not on a calendar: {row:?}").into()));
        };
        Ok(Recurs {
            whose: Whose {
                campaign_id: row.campaign_id,
                campaign: row.campaign,
                schedule_id: row.schedule_id,
                schedule: row.schedule,
                channel: row.channel,
                zone,
            },
            standing: match (row.paused, row.waits_for_file) {
                (true, _) => DayStanding::Paused,
                (false, true) => DayStanding::Expected,
                (false, false) => DayStanding::Planned,
            },
            rule: row.rule,
            last_date: row.last_date,
            next: row.next_run_at,
            end: row.end_time,
            rate: row.rate.map_or(Rate::Auto, Rate::Fixed),
        })
    }
}
