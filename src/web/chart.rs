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

/// What is planned, minute by minute, and what really left.
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
    sent_path: String,
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
    sent: String,
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
    sent: String,
}

impl Timeline {
    /// Draws a forecast in its window, as clocks in `zone` show it.
    ///
    /// `sent` counts what really left, by any instants: they are put into the
    /// buckets of the picture. When there are any, they are the bars and the plan
    /// becomes a line. `pauses` are shaded.
    pub fn of(
        forecast: &Forecast,
        window: &Window,
        zone: Tz,
        sent: &[(DateTime<Utc>, i64)],
        pauses: &[(DateTime<Utc>, DateTime<Utc>)],
    ) -> Timeline {
        let (from, to) = span(forecast, window, sent);
        let bucket = pacing::bucket_for(from, to, forecast.bucket_minutes);
        let length = TimeDelta::minutes(bucket);
        let from = pacing::bucket_start(from, bucket);
        let planned_bars = gather(&forecast.minutes, bucket);
        let sent_bars = gather(sent, bucket);

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
        let highest = planned_bars.values().chain(sent_bars.values()).max().copied().unwrap_or(1);
        let step = y_step(highest);
        // One step more where the highest bar would fill the picture.
        let top = (highest + highest / 10).max(1) / step * step + step;
        let y = |n: i64| round(BOTTOM - n as f64 / top as f64 * (BOTTOM - TOP));
        let band =
            |starts: DateTime<Utc>, ends: DateTime<Utc>| Band { x: x(starts), width: round(x(ends) - x(starts)) };

        let bars = |bars: &BTreeMap<DateTime<Utc>, i64>| {
            let mut path = String::new();
            for (at, n) in bars.iter().filter(|(_, n)| **n > 0) {
                bar(&mut path, x(*at), x(*at + length), y(*n));
            }
            path
        };
        let planned_path = if sent_bars.is_empty() { bars(&planned_bars) } else { steps(&planned_bars, length, x, y) };
        let overrun_path = overrun_lasts.map_or(String::new(), |lasts| {
            let mut path = String::new();
            bar(&mut path, x(overrun_starts), x(overrun_starts + lasts), y(pace.unwrap_or(top)));
            path
        });

        let clock = Wall::of(zone, from, to.max(window.ends));
        let mut times: Vec<_> = planned_bars.keys().chain(sent_bars.keys()).copied().collect();
        times.sort_unstable();
        times.dedup();
        let rows = times.into_iter().map(|at| Row {
            datetime: at.with_timezone(&zone).to_rfc3339(),
            time: clock.show(at),
            planned: thousands(planned_bars.get(&at).copied().unwrap_or(0)),
            sent: thousands(sent_bars.get(&at).copied().unwrap_or(0)),
        });
        let n_sent: i64 = sent_bars.values().sum();
        Timeline {
            zone,
            per: if bucket == 1 { "per minute".into() } else { format!("per {bucket} minutes") },
            summary: summary(forecast, window, &clock, (!sent_bars.is_empty()).then_some(n_sent)),
            window: band(window.starts, window.ends),
            hours: format!("{} – {}", clock.show(window.starts), clock.show(window.ends)),
            end_line: (window.ends <= to).then(|| x(window.ends)),
            planned_path,
            sent_path: bars(&sent_bars),
            overrun_path,
            pauses: pauses.iter().map(|(starts, ends)| band(*starts, *ends)).collect(),
            holds: Vec::new(),
            held: String::new(),
            shown: (from, to),
            y_ticks: (0..=top / step).map(|k| Tick { at: y(k * step), label: thousands(k * step) }).collect(),
            x_ticks: x_ticks(from, to, &clock, x),
            planned: thousands(forecast.planned),
            sent: thousands(n_sent),
            unsent: (forecast.unsent > 0).then(|| thousands(forecast.unsent)),
            rows: rows.collect(),
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

    fn has_sent(&self) -> bool {
        !self.sent_path.is_empty()
    }
}

/// The time to show: the window, or less of it when all is over long before its end.
fn span(forecast: &Forecast, window: &Window, sent: &[(DateTime<Utc>, i64)]) -> (DateTime<Utc>, DateTime<Utc>) {
    let bucket = TimeDelta::minutes(forecast.bucket_minutes);
    let starts = || forecast.minutes.iter().chain(sent).map(|(at, _)| *at);
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
fn bar(path: &mut String, left: f64, right: f64, top: f64) {
    let gap = if right - left > 8.0 { 1.0 } else { 0.0 };
    let (left, right) = (round(left + gap / 2.0), round((right - gap / 2.0).max(left + 1.0)));
    // At least a hair's breadth, so that one message among thousands shows.
    let top = top.min(BOTTOM - 1.0);
    let _ = write!(path, "M{left} {BOTTOM}V{top}H{right}V{BOTTOM}z");
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

fn summary(forecast: &Forecast, window: &Window, clock: &Wall, sent: Option<i64>) -> String {
    let ends = clock.show(window.ends);
    let sent = sent.map_or(String::new(), |n| format!("{} sent. ", thousands(n)));
    let planned = thousands(forecast.planned);
    let plan = match (forecast.finishes, forecast.unsent) {
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
    format!("{sent}{plan}")
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

    fn drawn(forecast: &Forecast, window: &Window, sent: &[(DateTime<Utc>, i64)]) -> Timeline {
        Timeline::of(forecast, window, Tz::Europe__Dublin, sent, &[])
    }

    fn bars(path: &str) -> usize {
        path.matches('M').count()
    }

    #[test]
    fn it_shows_the_plan_in_local_time() {
        let (forecast, window) = planned(10, 10.0, 100, nine());
        let timeline = drawn(&forecast, &window, &[]);
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
        let timeline = drawn(&forecast, &window, &[]);
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
        let timeline = drawn(&nothing, &window(10), &[]);
        assert_eq!(bars(&timeline.overrun_path), 1);
        let done = Forecast { unsent: 0, ..nothing };
        let html = drawn(&done, &window(10), &[]).render().unwrap();
        assert!(html.contains("Nothing more is planned.") && !html.contains("NaN"), "{html}");
    }

    #[test]
    fn what_was_sent_becomes_the_bars_and_the_plan_a_line() {
        let (forecast, window) = planned(10, 10.0, 100, nine());
        let sent = [(nine(), 10), (nine() + MINUTE, 4), (nine() + MINUTE + TimeDelta::seconds(30), 3)];
        let pause = (nine() + MINUTE * 2, nine() + MINUTE * 3);
        let timeline = Timeline::of(&forecast, &window, Tz::Europe__Dublin, &sent, &[pause]);
        assert_eq!(bars(&timeline.sent_path), 2, "by minute");
        assert_eq!(bars(&timeline.planned_path), 1, "one line without a gap");
        assert_eq!(timeline.rows[1].sent, "7");
        assert_eq!((timeline.pauses[0].x, timeline.pauses[0].width), (192.0, 64.0));
        assert!(timeline.summary.starts_with("17 sent. "), "{}", timeline.summary);
        let html = timeline.render().unwrap();
        assert!(html.contains("Paused") && html.contains("Window <b>09:00 – 09:10</b>"), "{html}");
    }

    #[test]
    fn the_rest_of_a_long_window_is_left_out() {
        let (forecast, window) = planned(9 * 60, 10.0, 100, nine());
        let timeline = drawn(&forecast, &window, &[]);
        assert_eq!((timeline.per.as_str(), bars(&timeline.planned_path)), ("per minute", 10));
        assert_eq!(timeline.end_line, None);
        assert!(timeline.summary.ends_with("before the end at 18:00."), "{}", timeline.summary);
    }

    #[test]
    fn a_day_is_drawn_with_few_bars_and_all_messages() {
        let (forecast, window) = planned(24 * 60, 1000.0, 1_440_000, nine());
        let sent: Vec<_> = (0..1440).map(|m| (nine() + MINUTE * m, 1)).collect();
        let timeline = drawn(&forecast, &window, &sent);
        assert_eq!(timeline.per, "per 10 minutes");
        assert!(timeline.rows.len() <= 145, "{}", timeline.rows.len());
        assert_eq!((timeline.planned.as_str(), timeline.sent.as_str()), ("1,440,000", "1,440"));
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
        let timeline = drawn(&forecast, &window, &[]);
        let times: Vec<_> = timeline.rows.iter().map(|row| row.time.as_str()).collect();
        assert!(times.contains(&"01:30 IST") && times.contains(&"01:30 GMT"), "{times:?}");
    }

    #[test]
    fn scales_are_round() {
        assert_eq!([1, 4, 5, 10, 60, 81, 1_000].map(y_step), [1, 1, 2, 5, 20, 50, 500]);
        assert_eq!([0, 999, 1_000, -1_234_567].map(thousands), ["0", "999", "1,000", "-1,234,567"]);
    }
}
