//! Plots drawn by the server as SVG, readable without scripts and with a table behind them.

use std::collections::BTreeMap;
use std::fmt::Write;

use askama::Template;
use chrono::{DateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::pacing::{self, Forecast, Window};

// The drawing, in its own units; `static/css/chart.css` sizes the text to fit.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 704.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 216.0;

/// What became of those who had their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    pub sent: i64,
    pub failed: i64,
    pub unconfirmed: i64,
    pub skipped: i64,
}

impl Fates {
    /// Each with the word that the page has for it, from the ground up.
    fn parts(&self) -> [(&'static str, i64); 4] {
        [("sent", self.sent), ("failed", self.failed), ("unconfirmed", self.unconfirmed), ("skipped", self.skipped)]
    }

    fn all(&self) -> i64 {
        self.parts().iter().map(|(_, n)| n).sum()
    }

    /// `28 sent, 27 unconfirmed`.
    fn words(&self) -> String {
        let worth = self.parts().into_iter().filter(|(word, n)| *n > 0 || *word == "sent");
        worth.map(|(word, n)| format!("{} {word}", thousands(n))).collect::<Vec<_>>().join(", ")
    }
}

impl std::ops::AddAssign for Fates {
    fn add_assign(&mut self, other: Fates) {
        self.sent += other.sent;
        self.failed += other.failed;
        self.unconfirmed += other.unconfirmed;
        self.skipped += other.skipped;
    }
}

/// How a run has gone so far. The default: it has not begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course<'a> {
    /// The counts of the run, as they stand everywhere else.
    pub so_far: Fates,
    /// When they had their turn, by any instants.
    pub turns: &'a [(DateTime<Utc>, Fates)],
    /// The turns are only counted, as `sent`: there are too many to tell them apart.
    pub in_one: bool,
    /// From when to when it stood still.
    pub pauses: &'a [(DateTime<Utc>, DateTime<Utc>)],
    /// It stands still now: the forecast is of what resuming would bring.
    pub paused: bool,
}

/// What is planned, minute by minute, and what became of those who had their turn.
///
/// It renders to a `<figure class="chart">` of its own: `{{ timeline|safe }}`.
#[derive(Debug, Template)]
#[template(path = "shared/_timeline.html")]
pub struct Timeline {
    zone: Tz,
    /// What one bar counts: "per minute", "per 5 minutes".
    per: String,
    /// The whole picture in a sentence or two.
    summary: String,
    window: Band,
    /// When it is, in words.
    hours: String,
    /// Where the window ends, unless the picture stops before.
    end_line: Option<f64>,
    /// Outlines of all bars of a kind; empty when there are none.
    planned_path: String,
    /// Stacked, each with its word.
    turn_paths: Vec<(&'static str, String)>,
    overrun_path: String,
    pauses: Vec<Band>,
    /// When nothing is sent, and in words.
    holds: Vec<Band>,
    held: String,
    /// The instants at the left and the right edge.
    shown: (DateTime<Utc>, DateTime<Utc>),
    y_ticks: Vec<Tick>,
    x_ticks: Vec<Tick>,
    planned: String,
    /// What became of how many, each with its word; empty before the first had their turn.
    so_far: Vec<(&'static str, String)>,
    in_one: bool,
    unsent: Option<String>,
    rows: Vec<Row>,
}

/// From left to right over the full height.
#[derive(Debug)]
struct Band {
    x: f64,
    width: f64,
}

#[derive(Debug)]
struct Tick {
    at: f64,
    label: String,
}

#[derive(Debug)]
struct Row {
    datetime: String,
    time: String,
    planned: String,
    /// As many as there are words in `so_far`.
    turns: Vec<String>,
}

impl Timeline {
    /// Draws a forecast in its window, as clocks in `zone` show it.
    ///
    /// Once somebody has had their turn, the turns are the bars, put into the buckets of the
    /// picture, and the plan becomes a line. Pauses are shaded.
    pub fn of(forecast: &Forecast, window: &Window, zone: Tz, course: Course<'_>) -> Timeline {
        let (from, to) = span(forecast, window, course.turns);
        let bucket = pacing::bucket_for(from, to, forecast.bucket_minutes);
        let length = TimeDelta::minutes(bucket);
        let from = pacing::bucket_start(from, bucket);
        let planned_bars = gather(&forecast.minutes, bucket);
        let mut turn_bars: BTreeMap<DateTime<Utc>, Fates> = BTreeMap::new();
        for (at, turns) in course.turns {
            *turn_bars.entry(pacing::bucket_start(*at, bucket)).or_default() += *turns;
        }

        // What is left over is drawn as if it went on at the last pace, as wide as there is room for it.
        let pace = planned_bars.values().rev().take(2).max().copied();
        let overrun_starts = window.ends.max(from);
        let overrun_lasts = (forecast.unsent > 0).then(|| {
            let (least, most) = ((to - from) / 25, (to - from) / 5);
            let needed =
                pace.map_or(f64::MAX, |pace| forecast.unsent as f64 / pace as f64 * length.num_seconds() as f64);
            TimeDelta::seconds(needed.min(most.num_seconds() as f64) as i64).max(least)
        });
        let to = to.max(overrun_lasts.map_or(to, |lasts| overrun_starts + lasts));

        let x = |at: DateTime<Utc>| {
            let part = (at - from).num_seconds() as f64 / ((to - from).num_seconds().max(1) as f64);
            round(LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT))
        };
        let heights = turn_bars.values().map(Fates::all);
        let highest = planned_bars.values().copied().chain(heights).max().unwrap_or(1);
        let step = y_step(highest);
        // One step more where the highest bar would fill the picture.
        let top = (highest + highest / 10).max(1) / step * step + step;
        let y = |n: i64| round(BOTTOM - n as f64 / top as f64 * (BOTTOM - TOP));
        let band =
            |starts: DateTime<Utc>, ends: DateTime<Utc>| Band { x: x(starts), width: round(x(ends) - x(starts)) };

        let planned_path = match turn_bars.is_empty() {
            true => {
                let mut path = String::new();
                for (at, n) in planned_bars.iter().filter(|(_, n)| **n > 0) {
                    bar(&mut path, x(*at), x(*at + length), BOTTOM, y(*n));
                }
                path
            }
            false => steps(&planned_bars, length, x, y),
        };
        let mut turn_paths = Fates::default().parts().map(|(word, _)| (word, String::new()));
        for (at, turns) in &turn_bars {
            let mut below = 0;
            for ((_, path), (_, n)) in turn_paths.iter_mut().zip(turns.parts()).filter(|(_, (_, n))| *n > 0) {
                bar(path, x(*at), x(*at + length), y(below), y(below + n));
                below += n;
            }
        }
        let overrun_path = overrun_lasts.map_or(String::new(), |lasts| {
            let mut path = String::new();
            bar(&mut path, x(overrun_starts), x(overrun_starts + lasts), BOTTOM, y(pace.unwrap_or(top)));
            path
        });

        let clock = Wall::of(zone, from, to.max(window.ends));
        let so_far: Vec<(&'static str, i64)> = match turn_bars.is_empty() {
            true => Vec::new(),
            false => course.so_far.parts().into_iter().filter(|(word, n)| *n > 0 || *word == "sent").collect(),
        };
        let turns_at = |at: &DateTime<Utc>| {
            let turns = turn_bars.get(at).copied().unwrap_or_default();
            match course.in_one {
                true => vec![thousands(turns.all())],
                false => {
                    let shown = turns.parts().into_iter().filter(|(word, _)| so_far.iter().any(|(it, _)| it == word));
                    shown.map(|(_, n)| thousands(n)).collect()
                }
            }
        };
        let mut times: Vec<_> = planned_bars.keys().chain(turn_bars.keys()).copied().collect();
        times.sort_unstable();
        times.dedup();
        let rows = times.into_iter().map(|at| Row {
            datetime: at.with_timezone(&zone).to_rfc3339(),
            time: clock.show(at),
            planned: thousands(planned_bars.get(&at).copied().unwrap_or(0)),
            turns: if so_far.is_empty() { Vec::new() } else { turns_at(&at) },
        });
        let rows: Vec<Row> = rows.collect();
        Timeline {
            zone,
            per: if bucket == 1 { "per minute".into() } else { format!("per {bucket} minutes") },
            summary: summary(forecast, window, &clock, course.so_far, course.paused),
            window: band(window.starts, window.ends),
            hours: format!("{} – {}", clock.show(window.starts), clock.show(window.ends)),
            end_line: (window.ends <= to).then(|| x(window.ends)),
            planned_path,
            turn_paths: turn_paths.into_iter().filter(|(_, path)| !path.is_empty()).collect(),
            overrun_path,
            pauses: course.pauses.iter().map(|(starts, ends)| band(*starts, *ends)).collect(),
            holds: Vec::new(),
            held: String::new(),
            shown: (from, to),
            y_ticks: (0..=top / step).map(|k| Tick { at: y(k * step), label: thousands(k * step) }).collect(),
            x_ticks: x_ticks(from, to, &clock, x),
            planned: thousands(forecast.planned),
            so_far: so_far.iter().map(|(word, n)| (*word, thousands(*n))).collect(),
            in_one: course.in_one,
            unsent: (forecast.unsent > 0).then(|| thousands(forecast.unsent)),
            rows,
        }
    }

    /// Shades when nothing is sent, and says so.
    pub fn with_holds(mut self, holds: &[(DateTime<Utc>, DateTime<Utc>)]) -> Timeline {
        let (from, to) = self.shown;
        let seen = holds.iter().map(|(starts, ends)| (*starts.max(&from), *ends.min(&to)));
        let seen: Vec<_> = seen.filter(|(starts, ends)| starts < ends).collect();
        let x = |at: DateTime<Utc>| {
            let part = (at - from).num_seconds() as f64 / ((to - from).num_seconds().max(1) as f64);
            round(LEFT + part * (RIGHT - LEFT))
        };
        self.holds =
            seen.iter().map(|(starts, ends)| Band { x: x(*starts), width: round(x(*ends) - x(*starts)) }).collect();
        let clock = Wall::of(self.zone, from, to);
        let words: Vec<_> =
            seen.iter().map(|(starts, ends)| format!("{} – {}", clock.show(*starts), clock.show(*ends))).collect();
        self.held = match words.as_slice() {
            few if few.len() <= 2 => few.join(" and "),
            [first, second, more @ ..] => format!("{first}, {second} and {} more times", more.len()),
            _ => String::new(),
        };
        if !self.held.is_empty() {
            self.summary.push_str(&format!(" Nothing is sent {}.", self.held));
        }
        self
    }

    fn has_begun(&self) -> bool {
        !self.so_far.is_empty()
    }
}

/// The time to show: the window, or less of it when all is over long before its end.
fn span(forecast: &Forecast, window: &Window, turns: &[(DateTime<Utc>, Fates)]) -> (DateTime<Utc>, DateTime<Utc>) {
    let bucket = TimeDelta::minutes(forecast.bucket_minutes);
    let starts = || forecast.minutes.iter().map(|(at, _)| *at).chain(turns.iter().map(|(at, _)| *at));
    let from = starts().min().map_or(window.starts, |first| first.min(window.starts));
    let Some(last) = starts().max().map(|at| at + bucket) else { return (from, window.ends.max(from + bucket)) };
    let long_done = forecast.unsent == 0 && (last - from) * 3 < window.ends - from;
    let to = if long_done { from + ((last - from) * 2).max(TimeDelta::minutes(10)) } else { window.ends };
    (from, to.min(window.ends).max(last))
}

fn gather(counts: &[(DateTime<Utc>, i64)], bucket: i64) -> BTreeMap<DateTime<Utc>, i64> {
    let mut bars = BTreeMap::new();
    for (at, n) in counts {
        *bars.entry(pacing::bucket_start(*at, bucket)).or_default() += n;
    }
    bars
}

/// Adds the outline of a bar, with a gap to the next where there is room for one.
fn bar(path: &mut String, left: f64, right: f64, bottom: f64, top: f64) {
    let gap = if right - left > 8.0 { 1.0 } else { 0.0 };
    let (left, right) = (round(left + gap / 2.0), round((right - gap / 2.0).max(left + 1.0)));
    // At least a hair's breadth, so that one message among thousands shows.
    let top = top.min(bottom - 1.0);
    let _ = write!(path, "M{left} {bottom}V{top}H{right}V{bottom}z");
}

/// The upper edge of bars that touch; back on the ground where there are none.
fn steps(
    bars: &BTreeMap<DateTime<Utc>, i64>,
    length: TimeDelta,
    x: impl Fn(DateTime<Utc>) -> f64,
    y: impl Fn(i64) -> f64,
) -> String {
    let mut path = String::new();
    let mut before = None;
    for (at, n) in bars {
        if before != Some(*at) {
            if let Some(end) = before {
                let _ = write!(path, "H{}V{BOTTOM}", x(end));
            }
            let _ = write!(path, "M{} {BOTTOM}", x(*at));
        }
        let _ = write!(path, "H{}V{}", x(*at), y(*n));
        before = Some(*at + length);
    }
    if let Some(end) = before {
        let _ = write!(path, "H{}V{BOTTOM}", x(end));
    }
    path
}

/// A round step that gives a scale of at most four.
fn y_step(highest: i64) -> i64 {
    let steps = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_i64.pow(power)));
    steps.into_iter().find(|step| highest <= step * 4).unwrap_or(highest)
}

/// Round local times, at most seven.
fn x_ticks(from: DateTime<Utc>, to: DateTime<Utc>, clock: &Wall, x: impl Fn(DateTime<Utc>) -> f64) -> Vec<Tick> {
    const ROUND: [i64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440];
    let minutes = (to - from).num_minutes();
    let step = ROUND.into_iter().find(|step| minutes / step <= 6).unwrap_or(1440 * (minutes / (1440 * 6) + 1));
    // Offsets are whole quarters of an hour, so round local times are found among these.
    let stride = match step {
        1 | 2 => 1,
        5 | 10 => 5,
        _ => 15,
    };
    let first = pacing::bucket_start(from, stride);
    let candidates = (0..=minutes / stride + 1).map(|k| first + TimeDelta::minutes(k * stride));
    candidates
        .filter(|at| *at >= from && *at <= to)
        .filter(|at| i64::from(clock.local_minute(*at)) % step.min(1440) == 0)
        .map(|at| Tick { at: x(at), label: clock.show_short(at) })
        .collect()
}

/// Shows instants as a clock on the wall does, with as much beside the time as
/// is needed to tell them apart.
struct Wall {
    zone: Tz,
    several_days: bool,
    clock_changes: bool,
}

impl Wall {
    fn of(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Wall {
        let last = to - TimeDelta::seconds(1);
        let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        Wall {
            zone,
            several_days: from.with_timezone(&zone).date_naive() != last.with_timezone(&zone).date_naive(),
            clock_changes: offset(from) != offset(last),
        }
    }

    fn show(&self, at: DateTime<Utc>) -> String {
        let format = match (self.several_days, self.clock_changes) {
            (false, false) => "%H:%M",
            (true, false) => "%-d %b, %H:%M",
            (false, true) => "%H:%M %Z",
            (true, true) => "%-d %b, %H:%M %Z",
        };
        at.with_timezone(&self.zone).format(format).to_string()
    }

    /// For the axis: midnight is its day, when there are several.
    fn show_short(&self, at: DateTime<Utc>) -> String {
        let midnight = self.several_days && self.local_minute(at) == 0;
        at.with_timezone(&self.zone).format(if midnight { "%-d %b" } else { "%H:%M" }).to_string()
    }

    fn show_seconds(&self, at: DateTime<Utc>) -> String {
        let format = if self.several_days { "%-d %b, %H:%M:%S" } else { "%H:%M:%S" };
        at.with_timezone(&self.zone).format(format).to_string()
    }

    /// Minutes since local midnight.
    fn local_minute(&self, at: DateTime<Utc>) -> u32 {
        let local = at.with_timezone(&self.zone);
        local.hour() * 60 + local.minute()
    }
}

fn summary(forecast: &Forecast, window: &Window, clock: &Wall, so_far: Fates, paused: bool) -> String {
    let ends = clock.show(window.ends);
    let so_far = if so_far.all() > 0 { format!("{}. ", so_far.words()) } else { String::new() };
    let planned = thousands(forecast.planned);
    let waiting = || thousands(forecast.planned + forecast.unsent);
    let plan = match (forecast.finishes, forecast.unsent) {
        // When it is resumed nobody knows, so nothing is promised but what that would bring now.
        (Some(last), _) if paused => format!("{} wait. Resumed now: done at {}.", waiting(), clock.show(last)),
        (None, 1..) if paused && forecast.planned > 0 => {
            let unsent = thousands(forecast.unsent);
            format!("{} wait. Resumed now, {unsent} would be left unsent at the end, {ends}.", waiting())
        }
        (None, 1..) if paused => format!("{} wait. The end, {ends}, has passed.", waiting()),
        (Some(last), _) => {
            format!("{planned} planned, the last at {}, before the end at {ends}.", clock.show_seconds(last))
        }
        (None, 0) => "Nothing more is planned.".to_owned(),
        (None, unsent) if forecast.planned == 0 => format!("{} are left unsent at the end, {ends}.", thousands(unsent)),
        (None, unsent) => {
            let unsent = thousands(unsent);
            format!("{planned} planned until the end at {ends}. {unsent} would be left unsent.")
        }
    };
    format!("{so_far}{plan}")
}

/// 1234567 as "1,234,567".
pub fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::from(if n < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A tenth of a unit is finer than a pixel.
fn round(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacing::{Holds, LatePolicy, Rate, forecast, start};

    const MINUTE: TimeDelta = TimeDelta::minutes(1);

    fn nine() -> DateTime<Utc> {
        "2026-07-01T08:00:00Z".parse().unwrap()
    }

    fn window(minutes: i32) -> Window {
        Window { starts: nine(), ends: nine() + MINUTE * minutes }
    }

    /// A run in Dublin, at 09:00 there.
    fn planned(minutes: i32, rate: f64, contacts: i64, now: DateTime<Utc>) -> (Forecast, Window) {
        let window = window(minutes);
        let begun = start(&window, Rate::Fixed(rate), LatePolicy::CatchUp, contacts, &Holds::none(), now);
        (forecast(&begun.clock, 0, contacts, &Holds::none(), now, window.ends), window)
    }

    fn drawn(forecast: &Forecast, window: &Window, course: Course<'_>) -> Timeline {
        Timeline::of(forecast, window, Tz::Europe__Dublin, course)
    }

    fn sent(n: i64) -> Fates {
        Fates { sent: n, ..Fates::default() }
    }

    fn bars(path: &str) -> usize {
        path.matches('M').count()
    }

    #[test]
    fn it_shows_the_plan_in_local_time() {
        let (forecast, window) = planned(10, 10.0, 100, nine());
        let timeline = drawn(&forecast, &window, Course::default());
        assert_eq!(timeline.summary, "100 planned, the last at 09:09:54, before the end at 09:10.");
        assert_eq!((timeline.per.as_str(), bars(&timeline.planned_path)), ("per minute", 10));
        let ticks: Vec<_> = timeline.x_ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(ticks, ["09:00", "09:02", "09:04", "09:06", "09:08", "09:10"]);
        let rows: Vec<_> = timeline.rows.iter().map(|row| (row.time.as_str(), row.planned.as_str())).collect();
        assert_eq!((rows.len(), rows[0], rows[9]), (10, ("09:00", "10"), ("09:09", "10")));

        let html = timeline.render().unwrap();
        assert!(html.contains("Europe/Dublin") && html.contains(r#"datetime="2026-07-01T09:00:00+01:00""#), "{html}");
        assert!(!html.contains("style=") && !html.contains("overrun"), "{html}");
        assert!(!html.contains("<th scope=\"col\" class=\"num\">Sent"), "nothing was sent, so there is no column");
    }

    #[test]
    fn overrun_is_drawn_after_the_end() {
        let (forecast, window) = planned(10, 10.0, 120, nine());
        let timeline = drawn(&forecast, &window, Course::default());
        assert_eq!(timeline.summary, "100 planned until the end at 09:10. 20 would be left unsent.");
        let end = timeline.end_line.unwrap();
        let left: f64 = timeline.overrun_path[1..].split(' ').next().unwrap().parse().unwrap();
        assert!((left - end).abs() <= 0.5, "{left} is where the window ends, {end}");
        assert_eq!(bars(&timeline.overrun_path), 1);
        assert!(timeline.render().unwrap().contains("Unsent at the end"));
    }

    #[test]
    fn a_run_that_only_overruns_can_be_drawn() {
        let nothing = Forecast { minutes: vec![], bucket_minutes: 1, finishes: None, unsent: 5, planned: 0 };
        let timeline = drawn(&nothing, &window(10), Course::default());
        assert_eq!(bars(&timeline.overrun_path), 1);
        let done = Forecast { unsent: 0, ..nothing };
        let html = drawn(&done, &window(10), Course::default()).render().unwrap();
        assert!(html.contains("Nothing more is planned.") && !html.contains("NaN"), "{html}");
    }

    #[test]
    fn what_was_sent_becomes_the_bars_and_the_plan_a_line() {
        let (forecast, window) = planned(10, 10.0, 100, nine());
        let failed = Fates { sent: 1, failed: 2, ..Fates::default() };
        let turns =
            [(nine(), sent(10)), (nine() + MINUTE, sent(4)), (nine() + MINUTE + TimeDelta::seconds(30), failed)];
        let pauses = [(nine() + MINUTE * 2, nine() + MINUTE * 3)];
        let so_far = Fates { sent: 15, failed: 2, ..Fates::default() };
        let course = Course { so_far, turns: &turns, pauses: &pauses, ..Course::default() };
        let timeline = drawn(&forecast, &window, course);
        let paths: Vec<_> = timeline.turn_paths.iter().map(|(word, path)| (*word, bars(path))).collect();
        assert_eq!(paths, [("sent", 2), ("failed", 1)], "by minute, one on the other");
        assert_eq!(bars(&timeline.planned_path), 1, "one line without a gap");
        assert_eq!(timeline.rows[1].turns, ["5", "2"]);
        assert_eq!((timeline.pauses[0].x, timeline.pauses[0].width), (192.0, 64.0));
        assert!(timeline.summary.starts_with("15 sent, 2 failed. "), "{}", timeline.summary);
        let html = timeline.render().unwrap();
        assert!(html.contains("Paused") && html.contains("Window <b>09:00 – 09:10</b>"), "{html}");
    }

    #[test]
    fn while_it_stands_still_no_instant_is_promised_but_what_resuming_now_would_bring() {
        let (forecast, window) = planned(10, 10.0, 45, nine());
        let course = Course { so_far: sent(4), paused: true, ..Course::default() };
        assert_eq!(drawn(&forecast, &window, course).summary, "4 sent. 45 wait. Resumed now: done at 09:04.");
        let late = Forecast { finishes: None, unsent: 5, planned: 40, ..forecast.clone() };
        let words = "4 sent. 45 wait. Resumed now, 5 would be left unsent at the end, 09:10.";
        assert_eq!(drawn(&late, &window, course).summary, words);
        let over = Forecast { minutes: vec![], finishes: None, unsent: 45, planned: 0, ..forecast };
        assert_eq!(drawn(&over, &window, course).summary, "4 sent. 45 wait. The end, 09:10, has passed.");
    }

    #[test]
    fn the_rest_of_a_long_window_is_left_out() {
        let (forecast, window) = planned(9 * 60, 10.0, 100, nine());
        let timeline = drawn(&forecast, &window, Course::default());
        assert_eq!((timeline.per.as_str(), bars(&timeline.planned_path)), ("per minute", 10));
        assert_eq!(timeline.end_line, None);
        assert!(timeline.summary.ends_with("before the end at 18:00."), "{}", timeline.summary);
    }

    #[test]
    fn a_day_is_drawn_with_few_bars_and_all_messages() {
        let (forecast, window) = planned(24 * 60, 1000.0, 1_440_000, nine());
        let turns: Vec<_> = (0..1440).map(|m| (nine() + MINUTE * m, sent(1))).collect();
        let timeline = drawn(&forecast, &window, Course { so_far: sent(1440), turns: &turns, ..Course::default() });
        assert_eq!(timeline.per, "per 10 minutes");
        assert!(timeline.rows.len() <= 145, "{}", timeline.rows.len());
        assert_eq!((timeline.planned.as_str(), &timeline.so_far), ("1,440,000", &vec![("sent", "1,440".to_owned())]));
        assert!(timeline.rows.iter().all(|row| row.planned == "10,000"));
        assert!(timeline.x_ticks.len() <= 7);
        assert!(timeline.x_ticks.iter().any(|tick| tick.label == "2 Jul"), "midnight names the day");
    }

    #[test]
    fn doubled_hours_can_be_told_apart() {
        let starts = "2026-10-25T00:00:00Z".parse().unwrap();
        let window = Window { starts, ends: starts + TimeDelta::hours(3) };
        let begun = start(&window, Rate::Fixed(1.0), LatePolicy::CatchUp, 180, &Holds::none(), starts);
        let forecast = forecast(&begun.clock, 0, 180, &Holds::none(), starts, window.ends);
        let timeline = drawn(&forecast, &window, Course::default());
        let times: Vec<_> = timeline.rows.iter().map(|row| row.time.as_str()).collect();
        assert!(times.contains(&"01:30 IST") && times.contains(&"01:30 GMT"), "{times:?}");
    }

    #[test]
    fn scales_are_round() {
        assert_eq!([1, 4, 5, 10, 60, 81, 1_000].map(y_step), [1, 1, 2, 5, 20, 50, 500]);
        assert_eq!([0, 999, 1_000, -1_234_567].map(thousands), ["0", "999", "1,000", "-1,234,567"]);
    }
}
