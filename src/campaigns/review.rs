//! What somebody wants to know before a launch: computed by the planner that will
//! run it, and read from the contacts it will go to.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, Int8, Text};

use crate::db::schema::{campaigns, files};
use crate::ids::{CampaignId, FileId};
use crate::pacing::{self, EmptyWindow, Forecast, ON_TIME, Window};
use crate::schedules::Draft;

/// What would leave when, if the campaign were launched now.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    pub window: Window,
    pub forecast: Forecast,
    /// It starts after its window opened.
    pub late: bool,
    /// Sends a minute that it starts with.
    pub rate: f64,
    /// Sends that leave at once to catch up.
    pub burst: i64,
}

/// `limit`: the most that the channel lets go in a minute.
pub fn outlook(
    plan: &Draft,
    zone: Tz,
    contacts: i64,
    limit: Option<i32>,
    now: DateTime<Utc>,
) -> Result<Outlook, EmptyWindow> {
    let window = plan.window(zone)?;
    let starts = now.max(window.starts);
    let rate = limit.map_or(plan.rate, |limit| plan.rate.min(limit.into()));
    let begun = pacing::start(&window, rate, plan.late, contacts, starts);
    // The dispatcher asks for leave before its first claim; so do we, to see the clock it goes on with.
    let (_, clock) = pacing::allowance(begun.clock, 0, 0, begun.burst, starts);
    Ok(Outlook {
        window,
        forecast: pacing::forecast(&clock, 0, contacts, starts, window.ends),
        late: starts - window.starts > ON_TIME,
        rate: clock.rate,
        burst: begun.burst,
    })
}

/// Contacts of a file that lack a value for one of these fields.
pub fn lacking(conn: &mut PgConnection, file: FileId, fields: &[&str]) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct N {
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    if fields.is_empty() {
        return Ok(0);
    }
    // Fields that are empty in a row are left out of its values.
    diesel::sql_query("SELECT count(*) AS n FROM file_rows WHERE file_id = $1 AND NOT (\"values\" ?& $2)")
        .bind::<Int8, _>(file.0)
        .bind::<Array<Text>, _>(fields)
        .get_result::<N>(conn)
        .map(|it| it.n)
}

/// Names of up to five launched campaigns that went to the same contacts: with the
/// same file, or with one of the same content.
pub fn used_by(conn: &mut PgConnection, file: FileId, except: CampaignId) -> QueryResult<Vec<String>> {
    let sha256: Vec<u8> = files::table.find(file.0).select(files::sha256).first(conn)?;
    campaigns::table
        .inner_join(files::table)
        .filter(campaigns::id.ne(except.0))
        .filter(campaigns::state.ne("draft"))
        .filter(files::id.eq(file.0).or(files::sha256.eq(sha256)))
        .order(campaigns::id.desc())
        .limit(5)
        .select(campaigns::name)
        .load(conn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChannelId;
    use crate::pacing::LatePolicy;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    fn outlook_at(time: &str, late: LatePolicy, limit: Option<i32>) -> Outlook {
        let plan = Draft {
            name: "Dublin".into(),
            channel_id: ChannelId(1),
            body: "Hello".into(),
            date: utc("09:00:00").date_naive(),
            start: "09:00:00".parse().unwrap(),
            end: "09:10:00".parse().unwrap(),
            rate: 10.0,
            late,
        };
        outlook(&plan, Tz::UTC, 100, limit, utc(time)).unwrap()
    }

    #[test]
    fn launched_in_time_it_goes_as_planned() {
        let outlook = outlook_at("08:00:00", LatePolicy::Spread, None);
        assert_eq!((outlook.late, outlook.burst, outlook.rate), (false, 0, 10.0));
        assert_eq!(outlook.forecast.minutes.iter().map(|it| it.1).collect::<Vec<_>>(), [10; 10]);
        assert_eq!(outlook.forecast.minutes[0].0, utc("09:00:00"));
    }

    #[test]
    fn launched_late_it_follows_its_policy() {
        let catch_up = outlook_at("09:05:00", LatePolicy::CatchUp, None);
        assert_eq!((catch_up.late, catch_up.burst, catch_up.forecast.unsent), (true, 50, 0));
        assert_eq!(catch_up.forecast.minutes[0], (utc("09:05:00"), 60));
        let spread = outlook_at("09:05:00", LatePolicy::Spread, None);
        assert_eq!((spread.rate, spread.forecast.unsent), (22.0, 0));
        assert_eq!(outlook_at("09:05:00", LatePolicy::KeepRate, None).forecast.unsent, 50);
    }

    #[test]
    fn a_slower_channel_is_told_before_the_launch() {
        let outlook = outlook_at("08:00:00", LatePolicy::CatchUp, Some(4));
        assert_eq!((outlook.rate, outlook.forecast.unsent), (4.0, 60));
    }
}
