use std::borrow::Borrow;
use std::collections::BTreeMap;

use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::domain::{Day, DayEntry, DayStanding, Item, NAMED, Span, by_hour, days, hours, in_order, items};
use super::store::{self, WantedRuns};
use crate::access::View;
use crate::app::App;
use crate::clock::DayFromOutside;
use crate::ids::{CampaignId, ChannelId, ScheduleId};
use crate::pacing::{Calendar, Holds, Quiet};
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::web::{Frame, May, Problem, page};
use crate::{channels, settings};

/// Entries on a page of a day.
const ROWS: usize = 100;
/// Minutes of a day, which is how wide its axis is drawn.
const DAY: i64 = 24 * 60;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(show_month).service(show_day);
}

/// What can be asked for. What makes no sense means what nothing does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// `2026-11`
    month: String,
    channel: String,
    q: String,
    /// Of a day, from 1.
    page: String,
    /// The schedule whose runs of a day stand singly.
    open: String,
}

impl Asked {
    fn wanted(&self) -> WantedRuns {
        WantedRuns { channel: self.channel.parse().ok().map(ChannelId), q: self.q.trim().to_owned() }
    }

    fn month(&self, today: NaiveDate) -> NaiveDate {
        let month = NaiveDate::parse_from_str(&format!("{}-01", self.month), "%Y-%m-%d").ok();
        month.filter(|month| (1970..=2200).contains(&month.year())).or(today.with_day(1)).unwrap_or(today)
    }
}

/// The filters, for the bar and for every link.
struct Filters {
    wanted: WantedRuns,
    channels: Vec<(ChannelId, String)>,
}

impl Filters {
    fn query(&self) -> form_urlencoded::Serializer<'static, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(channel) = self.wanted.channel {
            query.append_pair("channel", &channel.to_string());
        }
        if !self.wanted.q.is_empty() {
            query.append_pair("q", &self.wanted.q);
        }
        query
    }

    fn month(&self, month: impl Borrow<NaiveDate>) -> String {
        let query = self.query().append_pair("month", &month.borrow().format("%Y-%m").to_string()).finish();
        format!("/calendar?{query}")
    }

    fn day(&self, day: impl Borrow<NaiveDate>) -> String {
        let day = day.borrow();
        let query = self.query().finish();
        if query.is_empty() { format!("/calendar/{day}") } else { format!("/calendar/{day}?{query}") }
    }

    /// A page of a day, on which the runs of `open` stand singly.
    fn page(&self, day: impl Borrow<NaiveDate>, n: impl Borrow<usize>, open: Option<ScheduleId>) -> String {
        let (day, n, mut query) = (day.borrow(), n.borrow(), self.query());
        if *n > 1 {
            query.append_pair("page", &n.to_string());
        }
        if let Some(open) = open {
            query.append_pair("open", &open.to_string());
        }
        let query = query.finish();
        if query.is_empty() { format!("/calendar/{day}") } else { format!("/calendar/{day}?{query}") }
    }

    fn any(&self) -> bool {
        self.wanted != WantedRuns::default()
    }

    fn is(&self, channel: &ChannelId) -> bool {
        self.wanted.channel == Some(*channel)
    }
}

fn kinds(conn: &mut diesel::PgConnection) -> diesel::QueryResult<Vec<(ChannelId, String)>> {
    let name = |kind: Kind, name: &str| format!("{name} ({})", kind.label());
    Ok(channels::store::list(conn)?
        .into_iter()
        .map(|sender| (sender.id, name(sender.kind, &sender.setup.name)))
        .collect())
}

// ---- a month ---------------------------------------------------------------------

#[derive(Template)]
#[template(path = "calendar/month.html")]
struct Month<'a> {
    frame: Frame,
    filters: Filters,
    zone: Tz,
    month: NaiveDate,
    today: NaiveDate,
    days: Vec<Day<'a>>,
    blackouts: BTreeMap<NaiveDate, String>,
    quiet: Option<Quiet>,
}

impl Month<'_> {
    fn before(&self) -> NaiveDate {
        self.month - Months::new(1)
    }

    fn after(&self) -> NaiveDate {
        self.month + Months::new(1)
    }

    fn is_empty(&self) -> bool {
        self.days.iter().all(|day| day.n == 0)
    }

    fn blackout(&self, day: &NaiveDate) -> Option<&String> {
        self.blackouts.get(day)
    }

    /// Where an entry leads: to its campaign, or to its many runs.
    fn href(&self, day: &NaiveDate, entry: &DayEntry<'_>) -> String {
        let whose = entry.first().whose();
        match entry.how_often() {
            Some(_) => self.filters.page(day, 1, Some(whose.schedule_id)),
            None => format!("/campaigns?open={id}#campaign-{id}", id = whose.campaign_id),
        }
    }

    fn time(&self, entry: &DayEntry<'_>) -> String {
        entry.first().starts().with_timezone(&self.zone).format("%H:%M").to_string()
    }

    fn instant(&self, entry: &DayEntry<'_>) -> String {
        entry.first().starts().with_timezone(&self.zone).to_rfc3339()
    }
}

#[get("/calendar")]
async fn show_month(
    app: Data<App>,
    _may: May<View>,
    frame: Frame,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let zone = app.settings.time_zone;
    let today = app.clock.now().with_timezone(&zone).date_naive();
    let (month, wanted) = (asked.month(today), asked.wanted());
    let html = app
        .db
        .look(move |conn| {
            let span = Span::month(month, zone);
            let went = store::went(conn, &span, &wanted, false)?;
            let recurs = store::recurs(conn, &span, &wanted)?;
            let items = items(&went, &recurs, &span, false);
            let month = Month {
                frame,
                zone,
                month,
                today,
                days: days(&items, &span),
                blackouts: store::blackouts(conn, &span)?,
                quiet: settings::store::house(conn)?.quiet,
                filters: Filters { wanted, channels: kinds(conn)? },
            };
            month.render().map_err(|error| Problem::Unexpected(error.into()))
        })
        .await?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html))
}

// ---- a day -----------------------------------------------------------------------

#[derive(Template)]
#[template(path = "calendar/day.html")]
struct OneDay {
    frame: Frame,
    filters: Filters,
    zone: Tz,
    date: NaiveDate,
    today: NaiveDate,
    blackout: Option<String>,
    quiet: Option<Quiet>,
    rows: Vec<Row>,
    /// Runs of the day, and the entries that they come to.
    n: usize,
    entries: usize,
    open: Option<ScheduleId>,
    page: usize,
    /// Messages planned in each hour; the hour in words.
    hours: Vec<(String, i64)>,
}

/// An entry of a day.
struct Row {
    /// Of an entry for many runs: how often, and how they stand.
    often: Option<(String, String)>,
    schedule_id: ScheduleId,
    starts: DateTime<Utc>,
    ends: DateTime<Utc>,
    standing: DayStanding,
    campaign_id: CampaignId,
    campaign: String,
    schedule: String,
    channel: String,
    run: Option<i64>,
    /// `1,200 of 3,000 sent`, or about how many it will be.
    audience: String,
    /// From where to where its bar goes, in minutes of the day.
    bar: (i64, i64),
    /// The same of what is held.
    held: Vec<(i64, i64)>,
}

impl OneDay {
    fn before(&self) -> NaiveDate {
        self.date - Days::new(1)
    }

    fn after(&self) -> NaiveDate {
        self.date + Days::new(1)
    }

    fn pages(&self) -> usize {
        self.entries.div_ceil(ROWS)
    }

    fn is_open(&self, schedule: &ScheduleId) -> bool {
        self.open == Some(*schedule)
    }

    /// This page with the runs of a schedule singly, or no more so.
    fn unfolds(&self, schedule: &ScheduleId) -> String {
        self.filters.page(self.date, self.page, (!self.is_open(schedule)).then_some(*schedule))
    }

    fn turns_to(&self, page: impl Borrow<usize>) -> String {
        self.filters.page(self.date, page, self.open)
    }

    /// As clocks here show it, with the day when it is another.
    fn clock(&self, at: &DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.zone);
        let format = if local.date_naive() == self.date { "%H:%M" } else { "%-d %b %H:%M" };
        local.format(format).to_string()
    }

    fn instant(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).to_rfc3339()
    }

    fn planned(&self) -> i64 {
        self.hours.iter().map(|(_, n)| n).sum()
    }

    fn busiest(&self) -> i64 {
        self.hours.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1)
    }

    /// Bars of the picture: where, how high, and from where down.
    fn columns(&self) -> Vec<(i64, f64, f64)> {
        let (most, width) = (self.busiest() as f64, 640 / self.hours.len().max(1) as i64);
        let bar = |(i, (_, n)): (usize, &(String, i64))| {
            let height = (*n as f64 / most * 1000.0).round() / 10.0;
            (64 + i as i64 * width + 2, height, 112.0 - height)
        };
        self.hours.iter().enumerate().filter(|(_, (_, n))| *n > 0).map(bar).collect()
    }
}

/// Minutes of the local day, so that 09:00 stands at the same place on every day.
fn minute(at: DateTime<Utc>, date: NaiveDate, zone: Tz) -> i64 {
    let local = at.with_timezone(&zone);
    match local.date_naive().cmp(&date) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => i64::from(local.num_seconds_from_midnight() / 60),
        std::cmp::Ordering::Greater => DAY,
    }
}

#[get("/calendar/{date}")]
async fn show_day(
    app: Data<App>,
    _may: May<View>,
    frame: Frame,
    date: Path<DayFromOutside>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (DayFromOutside(date), zone) = (date.into_inner(), app.settings.time_zone);
    if !(1970..=2200).contains(&date.year()) {
        return Err(Problem::NotFound);
    }
    let today = app.clock.now().with_timezone(&zone).date_naive();
    let (wanted, number) = (asked.wanted(), asked.page.parse::<usize>().unwrap_or(1).max(1));
    let open = asked.open.parse().ok().map(ScheduleId);
    let seen = app
        .db
        .look(move |conn| {
            let span = Span::of(date, 1, zone);
            // What starts the day before may go on into this one.
            let both = Span::of(date - Days::new(1), 2, zone);
            let went = store::went(conn, &span, &wanted, true)?;
            let recurs = store::recurs(conn, &span, &wanted)?;
            let items = in_order(items(&went, &recurs, &both, true), &span);
            let mut coming: Vec<_> = items
                .iter()
                .filter(|item| matches!(item, Item::Recurs(..)))
                .map(|item| item.whose().schedule_id)
                .collect();
            coming.sort_unstable();
            coming.dedup();
            let audiences = store::audiences(conn, &coming)?;
            let mut campaigns: Vec<_> = items.iter().map(|item| item.whose().campaign_id).collect();
            campaigns.sort_unstable();
            campaigns.dedup();
            let calendars = store::calendars(conn, &campaigns)?;

            let marks = hours(date, zone);
            let mut planned = vec![0; marks.len() - 1];
            let holds = |item: Item<'_>| match calendars.get(&item.whose().campaign_id) {
                Some(calendar) => held(calendar, item),
                None => Holds::none(),
            };
            let contacts = |item: Item<'_>| match item {
                Item::Went(run) if run.standing.has_ended() => Some(run.sent),
                Item::Went(run) => Some(run.total),
                Item::Recurs(it, _) | Item::Often(it, _) => audiences.get(&it.whose.schedule_id).copied(),
            };
            for item in &items {
                let by_hour = by_hour(*item, contacts(*item).unwrap_or(0), &holds(*item), &marks);
                planned.iter_mut().zip(by_hour).for_each(|(sum, n)| *sum += n);
            }
            let n = items.len();
            let entries = DayEntry::but_singly(items, open, span.from());
            let number = number.min(entries.len().div_ceil(ROWS).max(1));
            let shown = entries.iter().skip((number - 1) * ROWS).take(ROWS);
            let rows = shown
                .map(|entry| match entry.items() {
                    [item] => row(*item, contacts(*item), &holds(*item), date, zone),
                    _ => row_of_many(entry, contacts, date, zone),
                })
                .collect();
            let words = |at: &DateTime<Utc>| at.with_timezone(&zone).format("%H:%M").to_string();
            Ok::<_, Problem>(OneDay {
                frame,
                zone,
                date,
                today,
                blackout: store::blackouts(conn, &span)?.remove(&date),
                quiet: settings::store::house(conn)?.quiet,
                n,
                entries: entries.len(),
                open,
                page: number,
                rows,
                hours: marks.iter().map(words).zip(planned).collect(),
                filters: Filters { wanted, channels: kinds(conn)? },
            })
        })
        .await?;
    page(seen)
}

/// When an entry may not send; one without a run has no jitter yet.
fn held(calendar: &Calendar, item: Item<'_>) -> Holds {
    match item {
        Item::Went(run) => calendar.closed(run.id.0, run.starts, run.ends),
        Item::Recurs(..) | Item::Often(..) => {
            Calendar { jitter: TimeDelta::zero(), ..calendar.clone() }.closed(0, item.starts(), item.ends())
        }
    }
}

fn row(item: Item<'_>, contacts: Option<i64>, holds: &Holds, date: NaiveDate, zone: Tz) -> Row {
    let whose = item.whose();
    let (starts, ends) = (item.starts(), item.ends());
    let at = |instant: DateTime<Utc>| minute(instant, date, zone);
    let audience = match (item, contacts) {
        (Item::Went(run), _) if run.total > 0 => format!("{} of {} sent", thousands(run.sent), thousands(run.total)),
        (Item::Went(_), _) => "being prepared".to_owned(),
        (Item::Recurs(..) | Item::Often(..), Some(n)) if n > 0 => format!("about {}", thousands(n)),
        (Item::Recurs(..) | Item::Often(..), _) => "not known yet".to_owned(),
    };
    let bar = (at(starts), (at(ends) - at(starts)).max(4));
    let held = holds.iter().map(|hold| (hold.from.max(starts), hold.to.min(ends)));
    Row {
        often: None,
        schedule_id: whose.schedule_id,
        starts,
        ends,
        standing: item.standing(),
        campaign_id: whose.campaign_id,
        campaign: whose.campaign.clone(),
        schedule: whose.schedule.clone(),
        channel: whose.channel.clone(),
        run: match item {
            Item::Went(run) => Some(run.id.0),
            Item::Recurs(..) | Item::Often(..) => None,
        },
        audience,
        bar,
        held: held.map(|(from, to)| (at(from), at(to) - at(from))).filter(|(_, width)| *width > 0).collect(),
    }
}

/// All that a schedule has on a day.
fn row_of_many(entry: &DayEntry<'_>, contacts: impl Fn(Item<'_>) -> Option<i64>, date: NaiveDate, zone: Tz) -> Row {
    let (whose, (sent, total)) = (entry.first().whose(), entry.sent());
    let (starts, ends) = (entry.first().starts(), entry.ends());
    let at = |instant: DateTime<Utc>| minute(instant, date, zone);
    let planned = entry.items().iter().filter(|item| !matches!(item, Item::Went(_)));
    let planned: i64 = planned.filter_map(|item| contacts(*item)).sum();
    let audience = match (total, planned) {
        (0, 0) => "not known yet".to_owned(),
        (0, n) => format!("about {}", thousands(n)),
        (total, 0) => format!("{} of {} sent", thousands(sent), thousands(total)),
        (total, n) => format!("{} of {} sent, about {} to come", thousands(sent), thousands(total), thousands(n)),
    };
    let standings = DayStanding::ALL.into_iter().zip(entry.by_standing()).filter(|(_, n)| *n > 0);
    let standings: Vec<_> = standings.map(|(it, n)| format!("{n} {}", it.label())).collect();
    Row {
        often: Some((entry.how_often().unwrap_or_default(), standings.join(", "))),
        schedule_id: whose.schedule_id,
        starts,
        ends,
        standing: entry.standing(),
        campaign_id: whose.campaign_id,
        campaign: whose.campaign.clone(),
        schedule: whose.schedule.clone(),
        channel: whose.channel.clone(),
        run: None,
        audience,
        bar: (at(starts), (at(ends) - at(starts)).max(4)),
        held: Vec::new(),
    }
}

fn count(n: impl Borrow<i64>) -> String {
    thousands(*n.borrow())
}

fn many(n: impl Borrow<usize>) -> String {
    thousands(*n.borrow() as i64)
}

/// `21:00–08:00`
fn quiet_hours(quiet: &Quiet) -> String {
    let time = |time: NaiveTime| time.format("%H:%M").to_string();
    format!("{}–{}", time(quiet.from()), time(quiet.to()))
}

/// What of its runs is sent, in hundredths.
fn part(entry: &DayEntry<'_>) -> Option<f64> {
    match entry.sent() {
        (_, 0) => None,
        (sent, total) => Some((sent as f64 * 1000.0 / total as f64).round() / 10.0),
    }
}
