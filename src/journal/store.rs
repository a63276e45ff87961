use chrono::{DateTime, Utc};
use diesel::prelude::*;

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
