use std::collections::HashMap;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;

use crate::ids::{CampaignId, RunId, ScheduleId};
use crate::pacing::{self, Holds, Rate, Rule};

/// What recurs more often than this is shown so often on a day and no more: once a minute.
pub const MOST_A_DAY: usize = 24 * 60;
/// From so many runs on a day on, those of a schedule are one entry.
pub const OFTEN: usize = 5;
/// Entries that stand in a day of the month by name.
pub const NAMED: usize = 3;

/// How an entry stands. The words are those of the badges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DayStanding {
    /// Its run is made when its time comes.
    Planned,
    /// Its run is made when the file of the day has come.
    Expected,
    Waiting,
    Running,
    Paused,
    Completed,
    Overrun,
    Stopped,
}

impl DayStanding {
    pub const ALL: [DayStanding; 8] = [
        DayStanding::Planned,
        DayStanding::Expected,
        DayStanding::Waiting,
        DayStanding::Running,
        DayStanding::Paused,
        DayStanding::Completed,
        DayStanding::Overrun,
        DayStanding::Stopped,
    ];

    /// Of a run, by its word in the database.
    pub fn of_run(word: &str) -> Option<DayStanding> {
        match word {
            "waiting" => Some(DayStanding::Waiting),
            "running" => Some(DayStanding::Running),
            "paused" => Some(DayStanding::Paused),
            "completed" => Some(DayStanding::Completed),
            "overrun" => Some(DayStanding::Overrun),
            "stopped" => Some(DayStanding::Stopped),
            _ => None,
        }
    }

    /// The look of its badge.
    pub fn badge(self) -> &'static str {
        match self {
            DayStanding::Planned | DayStanding::Expected | DayStanding::Waiting => "waiting",
            DayStanding::Running => "live",
            DayStanding::Paused => "paused",
            DayStanding::Completed => "completed",
            DayStanding::Overrun => "overrun",
            DayStanding::Stopped => "stopped",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            DayStanding::Planned => "planned",
            DayStanding::Expected => "file expected",
            DayStanding::Waiting => "waiting",
            DayStanding::Running => "live",
            DayStanding::Paused => "paused",
            DayStanding::Completed => "completed",
            DayStanding::Overrun => "overrun",
            DayStanding::Stopped => "stopped",
        }
    }

    /// Whether nothing more leaves.
    pub fn has_ended(self) -> bool {
        match self {
            DayStanding::Planned
            | DayStanding::Expected
            | DayStanding::Waiting
            | DayStanding::Running
            | DayStanding::Paused => false,
            DayStanding::Completed | DayStanding::Overrun | DayStanding::Stopped => true,
        }
    }

    /// Whether the word stands beside its picture even where there is little room.
    pub fn is_told(self) -> bool {
        match self {
            DayStanding::Expected | DayStanding::Paused | DayStanding::Overrun | DayStanding::Stopped => true,
            DayStanding::Planned | DayStanding::Waiting | DayStanding::Running | DayStanding::Completed => false,
        }
    }
}

/// Whose entry it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Whose {
    pub campaign_id: CampaignId,
    pub campaign: String,
    pub schedule_id: ScheduleId,
    pub schedule: String,
    pub channel: String,
    /// The campaign's.
    pub zone: Tz,
}

/// A run that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Went {
    pub id: RunId,
    pub whose: Whose,
    pub standing: DayStanding,
    pub starts: DateTime<Utc>,
    pub ends: DateTime<Utc>,
    pub sent: i64,
    pub total: i64,
    pub rate: Rate,
}

/// A schedule that comes round again.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurs {
    pub whose: Whose,
    /// `Planned` or `Expected`, or `Paused` together with its campaign or by itself.
    pub standing: DayStanding,
    /// As stored; many schedules have the same.
    pub rule: String,
    pub last_date: Option<NaiveDate>,
    pub next: DateTime<Utc>,
    pub end: NaiveTime,
    pub rate: Rate,
}

/// Something on the calendar.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Went(&'a Went),
    Recurs(&'a Recurs, DateTime<Utc>),
    /// Comes round so often on a day, first then and at last then.
    Often(&'a Recurs, Often),
}

/// How often something comes round on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Often {
    pub n: usize,
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
    /// Always so many minutes apart.
    pub every: Option<i64>,
}

impl Often {
    /// Of these times in order; `None` without any.
    pub fn of(times: &[DateTime<Utc>]) -> Option<Often> {
        let (first, last) = (*times.first()?, *times.last()?);
        let mut gaps = times.windows(2).map(|pair| (pair[1] - pair[0]).num_minutes());
        let gap = gaps.next().filter(|gap| gaps.all(|other| other == *gap));
        Some(Often { n: times.len(), first, last, every: gap })
    }
}

impl<'a> Item<'a> {
    pub fn starts(self) -> DateTime<Utc> {
        match self {
            Item::Went(run) => run.starts,
            Item::Recurs(_, at) => at,
            Item::Often(_, often) => often.first,
        }
    }

    pub fn ends(self) -> DateTime<Utc> {
        match self {
            Item::Went(run) => run.ends,
            Item::Often(it, often) => Item::Recurs(it, often.last).ends(),
            Item::Recurs(it, at) => {
                let day = at.with_timezone(&it.whose.zone).date_naive();
                let on = |day: NaiveDate| pacing::instant(day, it.end, it.whose.zone);
                if at < on(day) { on(day) } else { on(day + TimeDelta::days(1)) }
            }
        }
    }

    pub fn whose(self) -> &'a Whose {
        match self {
            Item::Went(run) => &run.whose,
            Item::Recurs(it, _) | Item::Often(it, _) => &it.whose,
        }
    }

    pub fn standing(self) -> DayStanding {
        match self {
            Item::Went(run) => run.standing,
            Item::Recurs(it, _) | Item::Often(it, _) => it.standing,
        }
    }

    pub fn rate(self) -> Rate {
        match self {
            Item::Went(run) => run.rate,
            Item::Recurs(it, _) | Item::Often(it, _) => it.rate,
        }
    }

    /// How many runs it is.
    pub fn n(self) -> usize {
        match self {
            Item::Went(_) | Item::Recurs(..) => 1,
            Item::Often(_, often) => often.n,
        }
    }

    /// By time, and always in the same order.
    fn place(self) -> (DateTime<Utc>, i64) {
        (self.starts(), self.whose().schedule_id.0)
    }
}

/// Days in a row, as instants.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub first: NaiveDate,
    /// Where each day begins, and where the last one ends.
    midnights: Vec<DateTime<Utc>>,
}

impl Span {
    pub fn of(first: NaiveDate, days: usize, zone: Tz) -> Span {
        let midnights = first.iter_days().take(days + 1).map(|day| pacing::instant(day, NaiveTime::MIN, zone));
        Span { first, midnights: midnights.collect() }
    }

    pub fn month(month: NaiveDate, zone: Tz) -> Span {
        let first = month.with_day(1).unwrap_or(month);
        let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
        Span::of(first, (next - first).num_days() as usize, zone)
    }

    pub fn from(&self) -> DateTime<Utc> {
        self.midnights[0]
    }

    pub fn to(&self) -> DateTime<Utc> {
        self.midnights[self.midnights.len() - 1]
    }

    pub fn len(&self) -> usize {
        self.midnights.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which of the days it is; `None` outside.
    pub fn day(&self, at: DateTime<Utc>) -> Option<usize> {
        let n = self.midnights.partition_point(|midnight| *midnight <= at);
        (0 < n && n <= self.len()).then(|| n - 1)
    }
}

/// An instant so shortly before `at` that nothing comes between.
fn just_before(at: DateTime<Utc>) -> DateTime<Utc> {
    at - TimeDelta::nanoseconds(1)
}

/// The times of a rule in these days, at most [`MOST_A_DAY`] on each.
pub fn occurrences(rule: &Rule, zone: Tz, span: &Span) -> Vec<DateTime<Utc>> {
    let mut times = Vec::new();
    let (mut today, mut n) = (usize::MAX, 0);
    let mut next = rule.next(just_before(span.from()), zone, None);
    while let Some(at) = next
        && let Some(day) = span.day(at)
    {
        n = if day == today { n + 1 } else { 1 };
        today = day;
        times.push(at);
        let after = if n < MOST_A_DAY { at } else { just_before(span.midnights[day + 1]) };
        next = rule.next(after, zone, None);
    }
    times
}

/// All that is on these days, unsorted: each rule is worked out once, however many schedules have it.
/// `singly`: also what comes round often on a day.
pub fn items<'a>(went: &'a [Went], recurs: &'a [Recurs], span: &Span, singly: bool) -> Vec<Item<'a>> {
    let mut items: Vec<Item<'a>> = went.iter().map(Item::Went).collect();
    let mut known: HashMap<(&str, Tz), Vec<DateTime<Utc>>> = HashMap::new();
    for it in recurs {
        let times = known.entry((&it.rule, it.whose.zone)).or_insert_with(|| {
            // A rule that cannot be read is told of by its schedule; here it is nowhere.
            let rule = serde_json::from_str::<Rule>(&it.rule);
            rule.map(|rule| occurrences(&rule, it.whose.zone, span)).unwrap_or_default()
        });
        let last = it.last_date.and_then(|last| last.succ_opt());
        let until = last.map(|day| pacing::instant(day, NaiveTime::MIN, it.whose.zone));
        let from = times.partition_point(|at| *at < it.next);
        let to = until.map_or(times.len(), |until| times.partition_point(|at| *at < until));
        let times = times.get(from..to).unwrap_or_default();
        for of_day in times.chunk_by(|one, other| span.day(*one) == span.day(*other)) {
            match Often::of(of_day).filter(|often| !singly && OFTEN <= often.n) {
                Some(often) => items.push(Item::Often(it, often)),
                None => items.extend(of_day.iter().map(|at| Item::Recurs(it, *at))),
            }
        }
    }
    items
}

/// An entry of a day: a run, or all that a schedule has on it, where those are many.
#[derive(Clone, Debug)]
pub struct DayEntry<'a> {
    /// In order; never empty.
    items: Vec<Item<'a>>,
}

impl<'a> DayEntry<'a> {
    /// What items of one day come to, in order.
    pub fn of_day(items: Vec<Item<'a>>) -> Vec<DayEntry<'a>> {
        DayEntry::but_singly(items, None, DateTime::<Utc>::MIN_UTC)
    }

    /// The same, where the runs of one schedule stand singly beside their entry. What began before
    /// `midnight` and goes on is an entry of its own.
    pub fn but_singly(items: Vec<Item<'a>>, singly: Option<ScheduleId>, midnight: DateTime<Utc>) -> Vec<DayEntry<'a>> {
        let mut of: HashMap<(ScheduleId, bool), Vec<Item<'a>>> = HashMap::new();
        for item in items {
            of.entry((item.whose().schedule_id, item.starts() < midnight)).or_default().push(item);
        }
        let mut entries = Vec::new();
        for ((schedule, _), mut items) in of {
            items.sort_by_key(|item| item.place());
            let often = OFTEN <= items.iter().map(|item| item.n()).sum::<usize>();
            if often {
                entries.push(DayEntry { items: items.clone() });
            }
            if !often || singly == Some(schedule) {
                entries.extend(items.into_iter().map(|item| DayEntry { items: vec![item] }));
            }
        }
        // What stands for many comes before each of them.
        entries.sort_by_key(|entry| (entry.first().place(), std::cmp::Reverse(entry.n())));
        entries
    }

    pub fn first(&self) -> Item<'a> {
        self.items[0]
    }

    pub fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// How many runs it is.
    pub fn n(&self) -> usize {
        self.items.iter().map(|item| item.n()).sum()
    }

    pub fn ends(&self) -> DateTime<Utc> {
        self.items.iter().map(|item| item.ends()).max().unwrap_or_else(|| self.first().ends())
    }

    /// How many of them stand how.
    pub fn by_standing(&self) -> [usize; DayStanding::ALL.len()] {
        let mut by_standing = [0; DayStanding::ALL.len()];
        for item in &self.items {
            by_standing[item.standing() as usize] += item.n();
        }
        by_standing
    }

    /// Of several: the one of which something is to be expected.
    pub fn standing(&self) -> DayStanding {
        let by_standing = self.by_standing();
        let first = [DayStanding::Running, DayStanding::Paused, DayStanding::Waiting, DayStanding::Planned];
        first.into_iter().find(|it| by_standing[*it as usize] > 0).unwrap_or_else(|| self.first().standing())
    }

    /// Sent, and to be sent to, as far as runs were made.
    pub fn sent(&self) -> (i64, i64) {
        let went = self.items.iter().filter_map(|item| match item {
            Item::Went(run) => Some((run.sent, run.total)),
            Item::Recurs(..) | Item::Often(..) => None,
        });
        went.fold((0, 0), |(sent, total), (s, t)| (sent + s, total + t))
    }

    /// `every 5 minutes, 288 runs`; nothing of a single run.
    pub fn how_often(&self) -> Option<String> {
        let n = self.n();
        let starts: Vec<_> = self.items.iter().map(|item| item.starts()).collect();
        let every = self.items.iter().find_map(|item| match item {
            Item::Often(_, often) => often.every,
            Item::Went(_) | Item::Recurs(..) => None,
        });
        let every = every.or_else(|| Often::of(&starts)?.every);
        match every {
            _ if n == 1 => None,
            Some(1) => Some(format!("every minute, {n} runs")),
            Some(60) => Some(format!("every hour, {n} runs")),
            Some(minutes) if minutes > 0 && minutes % 60 == 0 => {
                Some(format!("every {} hours, {n} runs", minutes / 60))
            }
            Some(minutes) if minutes > 0 => Some(format!("every {minutes} minutes, {n} runs")),
            Some(_) | None => Some(format!("{n} runs")),
        }
    }
}

/// What stands in one day of a month.
#[derive(Clone, Debug)]
pub struct Day<'a> {
    pub date: NaiveDate,
    /// Runs on it.
    pub n: usize,
    /// Entries that they come to.
    pub entries: usize,
    /// How many of them stand how.
    pub by_standing: [usize; DayStanding::ALL.len()],
    pub sent: i64,
    pub total: i64,
    /// The first few, by time.
    pub first: Vec<DayEntry<'a>>,
}

impl Day<'_> {
    /// Its place in a week that begins on Monday, from 1.
    pub fn column(&self) -> u32 {
        self.date.weekday().days_since(Weekday::Mon) + 1
    }

    pub fn more(&self) -> usize {
        self.entries - self.first.len()
    }

    /// Standings that should be noticed, and how many.
    pub fn told(&self) -> impl Iterator<Item = (DayStanding, usize)> {
        let all = DayStanding::ALL.into_iter().zip(self.by_standing);
        all.filter(|(standing, n)| standing.is_told() && *n > 0)
    }
}

/// Each day with what starts on it, in one pass.
pub fn days<'a>(items: &[Item<'a>], span: &Span) -> Vec<Day<'a>> {
    let empty =
        |date| Day { date, n: 0, entries: 0, by_standing: Default::default(), sent: 0, total: 0, first: Vec::new() };
    let mut days: Vec<Day<'a>> = span.first.iter_days().take(span.len()).map(empty).collect();
    let mut of_days: Vec<Vec<Item<'a>>> = vec![Vec::new(); days.len()];
    for item in items {
        if let Some(day) = span.day(item.starts()) {
            of_days[day].push(*item);
        }
    }
    for (day, items) in days.iter_mut().zip(of_days) {
        let mut entries = DayEntry::of_day(items);
        for entry in &entries {
            let (sent, total) = entry.sent();
            day.n += entry.n();
            day.sent += sent;
            day.total += total;
            for (sum, n) in day.by_standing.iter_mut().zip(entry.by_standing()) {
                *sum += n;
            }
        }
        day.entries = entries.len();
        entries.truncate(NAMED);
        day.first = entries;
    }
    days
}

/// What touches a day, by time.
pub fn in_order<'a>(items: Vec<Item<'a>>, span: &Span) -> Vec<Item<'a>> {
    let touches = |item: &Item<'_>| item.starts() < span.to() && span.from() < item.ends();
    let mut items: Vec<Item<'a>> = items.into_iter().filter(touches).collect();
    items.sort_by_key(|item| item.place());
    items
}

/// The hours of a day: where each begins, and where the last one ends.
pub fn hours(date: NaiveDate, zone: Tz) -> Vec<DateTime<Utc>> {
    let span = Span::of(date, 1, zone);
    let hours = (span.to() - span.from()).num_hours();
    (0..=hours).map(|hour| span.from() + TimeDelta::hours(hour)).collect()
}

/// How many messages leave in each of the `hours`, if `contacts` are sent to as planned.
pub fn by_hour(item: Item<'_>, contacts: i64, holds: &Holds, hours: &[DateTime<Utc>]) -> Vec<i64> {
    let (starts, ends) = (item.starts(), item.ends());
    let rate = match item.rate() {
        Rate::Fixed(rate) => Some(rate),
        Rate::Auto => pacing::auto_rate(contacts, holds.open_time(starts, ends)),
    };
    let sent_by = |at: DateTime<Utc>| {
        let minutes = holds.open_time(starts, at.min(ends)).num_seconds().max(0) as f64 / 60.0;
        contacts.min((rate.unwrap_or(0.0) * minutes).ceil() as i64)
    };
    hours.windows(2).map(|hour| sent_by(hour[1]) - sent_by(hour[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::{Days, Hold};

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn time(text: &str) -> NaiveTime {
        NaiveTime::parse_from_str(text, "%H:%M").unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn recurs(rule: &Rule, next: &str, last_date: Option<&str>) -> Recurs {
        Recurs {
            whose: Whose {
                campaign_id: CampaignId(1),
                campaign: "Reminder".into(),
                schedule_id: ScheduleId(1),
                schedule: "Main".into(),
                channel: "SMS".into(),
                zone: Tz::Europe__Dublin,
            },
            standing: DayStanding::Planned,
            rule: serde_json::to_string(rule).unwrap(),
            last_date: last_date.map(date),
            next: utc(next),
            end: time("10:00"),
            rate: Rate::Fixed(60.0),
        }
    }

    fn every_day(at: &str) -> Rule {
        Rule::Weekly { days: Days::ALL, at: time(at) }
    }

    #[test]
    fn what_recurs_is_there_from_its_next_run_to_its_last_date() {
        let span = Span::month(date("2026-11-24"), Tz::Europe__Dublin);
        assert_eq!(span.len(), 30);
        let plans = [recurs(&every_day("09:00"), "2026-11-25T09:00:00Z", Some("2026-11-27"))];
        let items = items(&[], &plans, &span, true);
        let starts: Vec<_> = items.iter().map(|item| item.starts().format("%d %H:%M").to_string()).collect();
        assert_eq!(starts, ["25 09:00", "26 09:00", "27 09:00"]);
        assert_eq!(items[0].ends(), utc("2026-11-25T10:00:00Z"));
        let days = days(&items, &span);
        assert_eq!((days[24].n, days[23].n, days[27].n), (1, 0, 0));
    }

    #[test]
    fn a_day_begins_at_its_own_midnight_on_both_sides_of_a_clock_change() {
        // Clocks in Dublin went forward on 29 March.
        let span = Span::month(date("2026-03-01"), Tz::Europe__Dublin);
        assert_eq!(span.day(utc("2026-03-28T23:59:00Z")), Some(27));
        assert_eq!(span.day(utc("2026-03-29T23:00:00Z")), Some(29), "00:00 on the 30th there");
        assert_eq!(span.day(utc("2026-03-31T23:00:00Z")), None);
        assert_eq!(hours(date("2026-03-29"), Tz::Europe__Dublin).len(), 24, "a day of 23 hours");
        let plans = [recurs(&every_day("00:30"), "2026-03-01T00:00:00Z", None)];
        assert!(days(&items(&[], &plans, &span, true), &span).iter().all(|day| day.n == 1));
    }

    #[test]
    fn what_recurs_all_the_time_fills_no_day_beyond_measure() {
        let rule = Rule::Cron("*/5 * * * *".parse().unwrap());
        let span = Span::month(date("2026-11-01"), Tz::UTC);
        let times = occurrences(&rule, Tz::UTC, &span);
        assert_eq!(times.len(), 30 * 288);
        assert_eq!(times[288], utc("2026-11-02T00:00:00Z"), "the next day begins at its beginning");
        let plans = [recurs(&rule, "2026-11-30T12:00:00Z", None)];
        let items = items(&[], &plans, &span, false);
        assert_eq!(items.len(), 1, "one entry, however many runs");
        let days = days(&items, &span);
        let last = &days[29];
        assert_eq!((last.n, last.entries, last.more()), (144, 1, 0));
        assert_eq!(last.first[0].how_often().unwrap(), "every 5 minutes, 144 runs");
        assert_eq!(last.first[0].by_standing()[DayStanding::Planned as usize], 144);
    }

    #[test]
    fn what_comes_round_often_is_one_entry_of_a_day_and_opens() {
        let day = Span::of(date("2026-11-30"), 1, Tz::UTC);
        let mut plans = vec![
            recurs(&Rule::Cron("0 */4 * * *".parse().unwrap()), "2026-11-01T00:00:00Z", None),
            recurs(&every_day("09:00"), "2026-11-01T00:00:00Z", None),
        ];
        plans[1].whose.schedule_id = ScheduleId(2);
        let items = items(&[], &plans, &day, true);
        let n = |entries: &[DayEntry<'_>]| entries.iter().map(DayEntry::n).collect::<Vec<_>>();
        let folded = DayEntry::of_day(items.clone());
        assert_eq!(n(&folded), [6, 1]);
        assert_eq!(folded[0].how_often().unwrap(), "every 4 hours, 6 runs");
        assert_eq!((folded[1].how_often(), folded[0].ends()), (None, utc("2026-12-01T10:00:00Z")));
        assert_eq!(n(&DayEntry::but_singly(items, Some(ScheduleId(1)), day.from())), [6, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_day_names_its_first_few_and_counts_all() {
        let span = Span::month(date("2026-11-01"), Tz::UTC);
        let plans: Vec<_> =
            ["12:00", "09:00", "11:00", "10:00"].map(|at| recurs(&every_day(at), "2026-11-30T00:00:00Z", None)).into();
        let items = items(&[], &plans, &span, true);
        let days = days(&items, &span);
        let last = &days[29];
        let names: Vec<_> = last.first.iter().map(|entry| entry.first().starts().format("%H").to_string()).collect();
        assert_eq!((last.n, last.more()), (4, 1));
        assert_eq!(names, ["09", "10", "11"]);
    }

    #[test]
    fn messages_leave_by_the_hour_and_not_while_they_are_held() {
        let plans = [recurs(&every_day("09:30"), "2026-11-24T00:00:00Z", None)];
        let item = Item::Recurs(&Recurs { end: time("12:00"), ..plans[0].clone() }, utc("2026-11-24T09:30:00Z"));
        let hours = hours(date("2026-11-24"), Tz::UTC);
        let at = |counts: Vec<i64>| (counts[9], counts[10], counts[11], counts.iter().sum::<i64>());
        assert_eq!(at(by_hour(item, 5000, &Holds::none(), &hours)), (1800, 3200, 0, 5000));
        assert_eq!(at(by_hour(item, 2000, &Holds::none(), &hours)), (1800, 200, 0, 2000));
        let held = Holds::of([Hold { from: utc("2026-11-24T10:00:00Z"), to: utc("2026-11-24T11:00:00Z") }]);
        assert_eq!(at(by_hour(item, 2000, &held, &hours)), (1800, 0, 200, 2000));
    }

    #[test]
    fn weeks_begin_on_monday() {
        let span = Span::of(date("2026-11-23"), 7, Tz::UTC);
        let columns: Vec<_> = days(&[], &span).iter().map(Day::column).collect();
        assert_eq!(columns, [1, 2, 3, 4, 5, 6, 7]);
    }
}
