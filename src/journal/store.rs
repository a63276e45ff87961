use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};

use crate::db::schema::journal;
use crate::ids::{CampaignId, UserId};

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Thing and verb, such as `schedule.paused`.
    pub happened: &'static str,
    /// The campaign whose history it belongs to; `None` for users and channels.
    pub campaign: Option<CampaignId>,
    /// Id of the thing that `happened` names.
    pub subject: i64,
    /// Who did it; `None` for the clock.
    pub by: Option<UserId>,
    pub was: Option<&'a str>,
    pub became: Option<&'a str>,
    pub why: Option<&'a str>,
}

/// Writes it down. Call it inside the transaction that does the thing, so that
/// an entry exists exactly when the thing happened.
pub fn record(conn: &mut PgConnection, entry: &Entry, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(journal::table)
        .values((
            journal::at.eq(now),
            journal::user_id.eq(entry.by.map(|user| user.0)),
            journal::happened.eq(entry.happened),
            journal::campaign_id.eq(entry.campaign.map(|campaign| campaign.0)),
            journal::subject_id.eq(entry.subject),
            journal::was.eq(entry.was),
            journal::became.eq(entry.became),
            journal::why.eq(entry.why),
        ))
        .execute(conn)?;
    Ok(())
}

/// Writes down that the same happened to many things, each with its why.
pub fn record_each(
    conn: &mut PgConnection,
    happened: &'static str,
    subjects: &[(i64, Option<String>)],
    by: UserId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (ids, whys): (Vec<i64>, Vec<Option<&str>>) = subjects.iter().map(|(id, why)| (*id, why.as_deref())).unzip();
    diesel::sql_query(
        "INSERT INTO journal (at, user_id, happened, subject_id, why)
         SELECT $1, $2, $3, id, why FROM unnest($4::bigint[], $5::text[]) AS u (id, why)",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(by.0)
    .bind::<Text, _>(happened)
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Nullable<Text>>, _>(whys)
    .execute(conn)
    .map(drop)
}
