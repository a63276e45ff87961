//! What somebody wants to know before a launch: computed by the planner that will
//! run it, and read from the contacts it will go to.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, Int8, Text as SqlText};
use serde_json::Value;

use super::{Campaign, Refused, actions, store};
use crate::channels::Kind;
use crate::db::schema;
use crate::drops::domain::DailyPlan;
use crate::files::actions::Look;
use crate::files::domain::{Mapping, State, Use};
use crate::ids::{CampaignId, FileId, UserId};
use crate::pacing::{self, Calendar, EmptyWindow, Forecast, ON_TIME, Rate, Window};
use crate::runs::same_group;
use crate::schedules::{self, Draft, Schedule};
use crate::senders::domain::Sender;
use crate::wording::{Segments, Template as Text, segments};
use crate::{deliveries, drops, files, senders, settings};

/// What is known of a draft.
pub struct Facts {
    pub campaign: Campaign,
    pub contacts: Option<Contacts>,
    pub schedules: Vec<Schedule>,
    pub senders: Vec<Sender>,
    pub obstacles: Vec<Refused>,
    pub reviews: Vec<Review>,
    /// Launched campaigns that went to the same contacts.
    pub used_by: Vec<String>,
    /// When the file of a daily campaign is expected, once that is said.
    pub daily: Option<DailyPlan>,
}

/// The file of a draft.
pub struct Contacts {
    pub look: Look,
    /// What a text may name, as the run will read it.
    pub fields: Vec<String>,
    /// The values of the first contact, once there is one.
    pub first: Option<Value>,
}

impl Contacts {
    /// Fields that hold a value of their own for each contact.
    pub fn data_fields(&self) -> Vec<String> {
        let head = &self.look.file.head;
        let mapping = self.look.file.mapping.clone().unwrap_or_else(|| Mapping::guess(&head.headers, &head.sample));
        let field = |(column, header): (Use, &String)| match column {
            Use::Data { field } => Some(field),
            Use::CustomerId => Some(header.clone()),
            Use::ChannelId | Use::Ignore => None,
        };
        mapping.columns.into_iter().zip(&head.headers).filter_map(field).collect()
    }

    pub fn imported(&self) -> bool {
        matches!(self.look.file.state, State::Imported { .. })
    }
}

/// One schedule, looked at before the launch.
pub struct Review {
    pub schedule: Schedule,
    pub channel: String,
    pub contacts: i64,
    pub outlook: Outlook,
    /// What the first contact gets, or the field that it lacks.
    pub first_text: Option<Result<String, String>>,
    pub segments: Option<Segments>,
    /// Contacts that get nothing because they lack a value.
    pub lacking: i64,
    pub needed: Vec<String>,
    pub unknown: Vec<String>,
    /// The channel's own limit, when it is what slows this down.
    pub limit: Option<i32>,
}

/// Everything that the guided page shows of a draft.
pub fn gather(conn: &mut PgConnection, id: CampaignId, by: UserId, now: DateTime<Utc>) -> QueryResult<Facts> {
    let campaign = store::find(conn, id)?;
    let contacts = campaign.file_id.map(|file| contacts(conn, file, by)).transpose()?;
    let schedules = schedules::store::of_campaigns(conn, &[id.0])?;
    let senders = senders::store::list(conn)?;
    let mut reviews = Vec::new();
    if let Some(contacts) = contacts.as_ref().filter(|contacts| contacts.imported()) {
        for schedule in &schedules {
            reviews.extend(review(conn, &campaign, contacts, schedule, &senders, now)?);
        }
    }
    Ok(Facts {
        obstacles: actions::obstacles(conn, id, now)?,
        used_by: match campaign.file_id {
            Some(file) => used_by(conn, file, id)?,
            None => Vec::new(),
        },
        daily: drops::store::plan(conn, id)?,
        campaign,
        contacts,
        schedules,
        senders,
        reviews,
    })
}

/// The file of a draft, if it has one.
pub fn contacts_of(conn: &mut PgConnection, campaign: CampaignId, by: UserId) -> QueryResult<Option<Contacts>> {
    store::find(conn, campaign)?.file_id.map(|file| contacts(conn, file, by)).transpose()
}

fn contacts(conn: &mut PgConnection, file: FileId, by: UserId) -> QueryResult<Contacts> {
    Ok(Contacts {
        look: files::actions::look(conn, file, by)?,
        fields: deliveries::store::fields(conn, file)?,
        first: files::store::first_rows(conn, file, 1)?.pop().map(|row| row.values),
    })
}

/// `None` for one that has no window to draw; the obstacles tell of it.
fn review(
    conn: &mut PgConnection,
    campaign: &Campaign,
    contacts: &Contacts,
    schedule: &Schedule,
    senders: &[Sender],
    now: DateTime<Utc>,
) -> QueryResult<Option<Review>> {
    let file = &contacts.look.file;
    let plan = &schedule.plan;
    let sender = senders.iter().find(|sender| sender.id == plan.channel_id);
    let limit = sender.and_then(|sender| sender.setup.per_minute);
    let n = match (&campaign.group_by, &plan.group) {
        (Some(field), Some(value)) => contacts_of_group(conn, file.id, field, value)?,
        (Some(_), None) | (None, _) => file.counts.good,
    };
    let calendar = settings::calendars::of_campaign(conn, campaign.id)?;
    let Ok(Some(outlook)) = self::outlook(plan, campaign.zone, n, limit, &calendar, now) else { return Ok(None) };
    if outlook.window.ends <= now {
        return Ok(None);
    }
    let text = Text::parse(&plan.body, &contacts.fields);
    let first_text = contacts.first.as_ref().and_then(Value::as_object).map(|values| text.render(values));
    let is_sms = sender.is_some_and(|sender| sender.kind == Kind::Sms);
    let counted = first_text.as_ref().and_then(|text| text.as_deref().ok()).unwrap_or(&plan.body);
    Ok(Some(Review {
        channel: sender.map(|sender| sender.setup.name.clone()).unwrap_or_default(),
        contacts: n,
        limit: limit.filter(|_| outlook.limited),
        outlook,
        segments: is_sms.then(|| segments(counted)),
        first_text: first_text.map(|text| text.map_err(|missing| missing.field)),
        lacking: lacking(conn, contacts, &text.needed())?,
        needed: text.needed().into_iter().map(str::to_owned).collect(),
        unknown: text.unknown().to_vec(),
        schedule: schedule.clone(),
    }))
}

/// What would leave when, if the campaign were launched now.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    pub window: Window,
    pub forecast: Forecast,
    /// It starts after its window opened.
    pub late: bool,
    /// Sends a minute that it starts with.
    pub rate: f64,
    /// The channel's limit is slower than the plan.
    pub limited: bool,
    /// Sends that leave at once to catch up.
    pub burst: i64,
}

/// The next run of a plan; `None` when it never runs. `limit`: the most that the
/// channel lets go in a minute.
pub fn outlook(
    plan: &Draft,
    zone: Tz,
    contacts: i64,
    limit: Option<i32>,
    calendar: &Calendar,
    now: DateTime<Utc>,
) -> Result<Option<Outlook>, EmptyWindow> {
    let Some(window) = plan.first_window(zone, now)? else { return Ok(None) };
    let starts = now.max(window.starts);
    // Without a run there is no jitter yet: the earliest it can be.
    let holds = Calendar { jitter: TimeDelta::zero(), ..calendar.clone() }.closed(0, window.starts, window.ends);
    let begin = |rate| pacing::start(&window, rate, plan.late, contacts, &holds, starts);
    let mut begun = begin(plan.rate);
    let limit = limit.map(f64::from).filter(|limit| *limit < begun.clock.rate);
    if let Some(limit) = limit {
        begun = begin(Rate::Fixed(limit));
    }
    // The dispatcher asks for leave before its first claim; so do we, to see the clock it goes on with.
    let (_, clock) = pacing::allowance(begun.clock.past(&holds, starts), 0, 0, begun.burst, starts);
    Ok(Some(Outlook {
        window,
        forecast: pacing::forecast(&clock, 0, contacts, &holds, starts, window.ends),
        late: starts - window.starts > ON_TIME,
        rate: clock.rate,
        limited: limit.is_some(),
        burst: begun.burst,
    }))
}

/// Contacts of a file that a schedule with this group value serves.
fn contacts_of_group(conn: &mut PgConnection, file: FileId, field: &str, value: &str) -> QueryResult<i64> {
    let groups = files::store::groups(conn, file, field)?;
    let mine = groups.iter().filter(|(spelt, _)| spelt.as_ref().is_some_and(|spelt| same_group(value, spelt)));
    Ok(mine.map(|(_, n)| n).sum())
}

/// Contacts of a file that lack a value for one of these fields.
fn lacking(conn: &mut PgConnection, contacts: &Contacts, needed: &[&str]) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct N {
        #[diesel(sql_type = Int8)]
        n: i64,
    }
    let file = &contacts.look.file;
    let data_fields = contacts.data_fields();
    if needed.iter().any(|field| !data_fields.iter().any(|data| data == field)) {
        return Ok(file.counts.good);
    }
    // The import has counted field by field; only for several together the rows are asked.
    let holes: Vec<_> = file.missing.iter().filter(|(field, _)| needed.contains(&field.as_str())).collect();
    match holes.as_slice() {
        [] => Ok(0),
        [(_, n)] => Ok(*n),
        // Fields that are empty in a row are left out of its values.
        _ => diesel::sql_query("SELECT count(*) AS n FROM file_rows WHERE file_id = $1 AND NOT (\"values\" ?& $2)")
            .bind::<Int8, _>(file.id.0)
            .bind::<Array<SqlText>, _>(needed)
            .get_result::<N>(conn)
            .map(|it| it.n),
    }
}

/// Names of up to five launched campaigns that went to the same contacts: with the
/// same file, or with one of the same content.
fn used_by(conn: &mut PgConnection, file: FileId, except: CampaignId) -> QueryResult<Vec<String>> {
    use schema::{campaigns, files};
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
    use crate::runs::Rules;
    use crate::schedules::When;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    fn outlook_at(time: &str, late: LatePolicy, limit: Option<i32>) -> Outlook {
        let plan = Draft {
            name: "Dublin".into(),
            channel_id: ChannelId(1),
            body: "Hello".into(),
            when: When::Once { date: utc("09:00:00").date_naive() },
            start: "09:00:00".parse().unwrap(),
            end: "09:10:00".parse().unwrap(),
            rate: Rate::Fixed(10.0),
            late,
            group: None,
            rules: Rules::default(),
        };
        outlook(&plan, Tz::UTC, 100, limit, &Calendar::open(Tz::UTC), utc(time)).unwrap().unwrap()
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
