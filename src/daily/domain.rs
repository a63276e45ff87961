use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::contacts::addresses::TwoWays;
use crate::db::Reason;
use crate::files::domain::{File, FileEncoding, Format, Mapping, ReadingChoice, State, TableHead, Use};
use crate::folding::folded;
use crate::ids::{CampaignId, DropId, FileId};
use crate::pacing::{self, Days, Window};
use crate::words::words;

/// When the file of a daily campaign is expected, and what it looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct DailyPlan {
    /// Local time in the campaign's zone, as is the other.
    pub opens: NaiveTime,
    /// After it opens, on the same day.
    pub closes: NaiveTime,
    pub days: Days,
    /// With `*` for anything and the date as in [`name_on`]; empty: any name.
    pub expected_name: String,
}

/// What the columns of a daily file are: those of the campaign's sample file, and those that came since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropTemplate {
    /// The country that numbers without a country code belong to; empty: all have theirs.
    pub region: String,
    /// What is made of numbers that could be read in two ways.
    #[serde(default)]
    pub two_ways: TwoWays,
    /// Kind of channel that the addresses are for, as stored.
    pub kind: String,
    pub columns: Vec<Column>,
    /// The word of the sample file's encoding.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Which sheet of the sample workbook is read, counted from 0.
    #[serde(default)]
    pub sheet: Option<usize>,
    /// Where the sample file names its columns.
    #[serde(default)]
    pub header_row: i64,
    /// Rows that a workbook hides are taken as well.
    #[serde(default)]
    pub takes_hidden: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub header: String,
    #[serde(flatten)]
    pub meaning: Use,
    /// It came after the launch: files may have it and need not.
    #[serde(default)]
    pub added: bool,
}

impl Column {
    /// Whether a file calls it that. Files of old were not folded.
    fn is(&self, header: &str) -> bool {
        folded(&self.header) == folded(header)
    }
}

impl DropTemplate {
    pub fn new(kind: &str, region: &str, headers: &[String], mapping: &Mapping) -> DropTemplate {
        let columns = headers.iter().zip(&mapping.columns);
        DropTemplate {
            kind: kind.to_owned(),
            region: region.to_owned(),
            two_ways: TwoWays::default(),
            columns: columns
                .map(|(header, it)| Column { header: header.clone(), meaning: it.clone(), added: false })
                .collect(),
            encoding: None,
            sheet: None,
            header_row: 1,
            takes_hidden: false,
        }
    }

    /// Has the files read as this one is.
    pub fn read_like(self, head: &TableHead) -> DropTemplate {
        let encoding = head.encoding.map(|encoding| encoding.word().to_owned());
        let sheet = (head.format != Format::Csv).then_some(head.sheet);
        DropTemplate { encoding, sheet, header_row: head.header_row, takes_hidden: head.takes_hidden, ..self }
    }

    /// How a file is read: nobody is asked about it before its rows are sent to.
    pub fn reading(&self) -> ReadingChoice {
        ReadingChoice {
            encoding: None,
            likely: self.encoding.as_deref().and_then(FileEncoding::of_word),
            sheet: self.sheet,
            header_row: Some(self.header_row).filter(|row| *row > 1),
            takes_hidden: self.takes_hidden,
        }
    }

    /// Columns that a file with these `headers` lacks, in the order of the template.
    /// One that is ignored anyway, or was added by a later file, is not missed.
    pub fn missing(&self, headers: &[String]) -> Vec<String> {
        let needed = |column: &&Column| column.meaning != Use::Ignore && !column.added;
        let lacks = |column: &&Column| !headers.iter().any(|header| column.is(header));
        self.columns.iter().filter(needed).filter(lacks).map(|column| column.header.clone()).collect()
    }

    /// Takes in the columns that it does not know, as data. Returns their names.
    pub fn take_in(&mut self, headers: &[String]) -> Vec<String> {
        let known = |header: &String| self.columns.iter().any(|column| column.is(header));
        let new: Vec<String> = headers.iter().filter(|header| !known(header)).cloned().collect();
        let data = |header: &String| Column {
            header: header.clone(),
            meaning: Use::Data { field: header.clone() },
            added: true,
        };
        self.columns.extend(new.iter().map(data));
        new
    }

    /// What the columns of a file are that has these `headers`, in whatever order.
    pub fn mapping(&self, headers: &[String]) -> Mapping {
        let meaning = |header: &String| {
            let column = self.columns.iter().find(|column| column.is(header));
            match column.map(|column| &column.meaning) {
                // As the file spells it.
                Some(Use::Data { .. }) | None => Use::Data { field: header.clone() },
                Some(meaning) => meaning.clone(),
            }
        };
        Mapping { columns: headers.iter().map(meaning).collect() }
    }
}

/// The placeholders of an expected name.
const PLACEHOLDERS: [(&str, &str); 4] = [("{date}", "%Y-%m-%d"), ("{yyyy}", "%Y"), ("{mm}", "%m"), ("{dd}", "%d")];

/// An expected name with the day's date in it: `{date}` is 2026-11-24, `{yyyy}`, `{mm}` and `{dd}` are its parts.
pub fn name_on(expected: &str, day: NaiveDate) -> String {
    let filled = |name: String, (word, format): (&str, &str)| name.replace(word, &day.format(format).to_string());
    PLACEHOLDERS.into_iter().fold(expected.to_owned(), filled)
}

/// The first word in braces that stands for nothing.
pub fn unknown_placeholder(expected: &str) -> Option<String> {
    let rest = PLACEHOLDERS.iter().fold(expected.to_owned(), |name, (word, _)| name.replace(word, ""));
    let word = rest.get(rest.find('{')?..)?;
    word.split_inclusive('}').next().map(str::to_owned)
}

/// Whether a name is the expected one, whatever its case. `*` stands for any characters.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (folded(pattern).to_lowercase(), folded(name).to_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    name.ends_with(last)
}

impl DailyPlan {
    /// The instants between which the file of a day may come; `None` on a day that is not
    /// expected, or where a clock change leaves no time for it.
    pub fn window_on(&self, day: NaiveDate, zone: Tz) -> Option<Window> {
        let expected = self.days.contains(day.weekday());
        expected.then(|| pacing::window(day, self.opens, self.closes, zone).ok()).flatten()
    }

    /// The window that is open, or else the next one.
    pub fn next_slot(&self, zone: Tz, now: DateTime<Utc>) -> Option<Window> {
        let today = today(zone, now);
        // Every weekday is among these, twice: a clock change may take one away.
        let days = today.iter_days().take(15);
        days.filter_map(|day| self.window_on(day, zone)).find(|window| now < window.ends)
    }

    /// When the first expected window closes after `after`.
    pub fn next_close(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next_slot(zone, after).map(|slot| slot.ends)
    }

    /// The expected name as it reads on a day; `None` when any will do.
    pub fn name_on(&self, day: NaiveDate) -> Option<String> {
        Some(name_on(self.expected_name.trim(), day)).filter(|name| !name.is_empty())
    }
}

/// A slot in words: `Tuesday 24 November, 08:00 to 11:00 Europe/Dublin`.
pub fn slot_words(slot: &Window, zone: Tz) -> String {
    let (opens, closes) = (slot.starts.with_timezone(&zone), slot.ends.with_timezone(&zone));
    format!("{} to {} {zone}", opens.format("%A %-d %B, %H:%M"), closes.format("%H:%M"))
}

/// What is known of a file that was dropped.
#[derive(Clone, Debug)]
pub struct DropFacts<'a> {
    pub name: &'a str,
    /// Whether anything stands below its header row.
    pub has_rows: bool,
    pub headers: &'a [String],
    /// The file with the same content that was taken in today.
    pub same: Option<Earlier>,
    /// Whether another file was taken in today.
    pub another: bool,
    /// When the schedules run today; stopped ones are not among them.
    pub windows: &'a [Window],
    pub allowed: Allowed,
}

/// A file that came before.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    pub at: DateTime<Utc>,
    pub by: String,
}

/// What somebody let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowed {
    pub day: bool,
    pub window: bool,
    pub name: bool,
    /// A new end for runs that would have ended before the file came.
    pub ends: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DropVerdict {
    /// It is taken in, and its first message leaves when the first schedule starts.
    Waits {
        starts: DateTime<Utc>,
    },
    /// It is taken in, and what has started already starts late.
    Late,
    /// Another file was first today: are its contacts added, or do they replace what is unsent?
    Ask,
    Refused(DropRefusal),
}

/// Why a file was not taken in. The text is shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DropRefusal {
    #[error("No file is expected on a {day}.{}", next_words(next))]
    Day { day: String, next: Option<String> },
    #[error("The import window is closed at {at}.{}", next_words(next))]
    Window { at: String, next: Option<String> },
    #[error("The file is called “{name}”. Today “{expected}” is expected.")]
    Name { name: String, expected: String },
    #[error("The file has a header row and nothing below it. Add a row for each contact and drop it again.")]
    Rows,
    #[error("{}", missing_words(missing, similar))]
    Columns {
        missing: Vec<String>,
        /// Columns of the file that differ from a missing one only in their case.
        similar: Vec<String>,
    },
    #[error("This very file was dropped today at {at} by {by}. Nobody gets it twice.")]
    Same { at: String, by: String },
    #[error(
        "The schedules have ended for today, the last one at {at}. Give them a new end time to send this file today."
    )]
    End { at: String },
    #[error("Today's runs have ended, so nothing can be added to them.")]
    Over,
}

fn next_words(next: &Option<String>) -> String {
    next.as_ref().map(|next| format!(" Next: {next}.")).unwrap_or_default()
}

fn missing_words(missing: &[String], similar: &[String]) -> String {
    let quoted = |names: &[String]| names.iter().map(|name| format!("“{name}”")).collect::<Vec<_>>().join(", ");
    let what = match missing {
        [_] => format!("The column {} is missing.", quoted(missing)),
        _ => format!("The columns {} are missing.", quoted(missing)),
    };
    match similar {
        [] => what,
        _ => format!("{what} The file has {}: the names must be written alike.", quoted(similar)),
    }
}

words! {
    /// The check that a file failed.
    pub enum DropCheck {
        Day = "day",
        Window = "window",
        Name = "name",
        Rows = "rows",
        Columns = "columns",
        Same = "same",
        End = "end",
        Over = "over",
        /// It is no table of contacts, or its import came to nothing.
        File = "file",
        /// No run could take its contacts.
        Run = "run",
        /// Somebody decided to leave it.
        Left = "left",
    }
}

impl DropCheck {
    /// The words on the screen.
    pub fn label(self) -> &'static str {
        match self {
            DropCheck::Day => "No file is expected today.",
            DropCheck::Window => "The import window is closed.",
            DropCheck::Name => "The file has another name.",
            DropCheck::Rows => "The file has no rows.",
            DropCheck::Columns => "The columns are not those of the sample.",
            DropCheck::Same => "This file has come before.",
            DropCheck::End => "It is too late for today’s end time.",
            DropCheck::Over | DropCheck::Run => "Today’s runs take no more contacts.",
            DropCheck::File => "The file could not be read.",
            DropCheck::Left => "It was left out.",
        }
    }

    /// Whether the same file may still get in, when somebody lets it.
    pub fn has_a_way_on(self) -> bool {
        match self {
            DropCheck::Day | DropCheck::Window | DropCheck::Name | DropCheck::End => true,
            DropCheck::Rows
            | DropCheck::Columns
            | DropCheck::Same
            | DropCheck::Over
            | DropCheck::File
            | DropCheck::Run
            | DropCheck::Left => false,
        }
    }
}

impl DropRefusal {
    pub fn check(&self) -> DropCheck {
        match self {
            DropRefusal::Day { .. } => DropCheck::Day,
            DropRefusal::Window { .. } => DropCheck::Window,
            DropRefusal::Name { .. } => DropCheck::Name,
            DropRefusal::Rows => DropCheck::Rows,
            DropRefusal::Columns { .. } => DropCheck::Columns,
            DropRefusal::Same { .. } => DropCheck::Same,
            DropRefusal::End { .. } => DropCheck::End,
            DropRefusal::Over => DropCheck::Over,
        }
    }
}

/// What becomes of a file that is dropped at `now`. Asked before anything of it is imported.
pub fn judge(
    plan: &DailyPlan,
    template: &DropTemplate,
    facts: &DropFacts<'_>,
    zone: Tz,
    now: DateTime<Utc>,
) -> DropVerdict {
    match check(plan, template, facts, zone, now) {
        Ok(verdict) => verdict,
        Err(refusal) => DropVerdict::Refused(refusal),
    }
}

fn check(
    plan: &DailyPlan,
    template: &DropTemplate,
    facts: &DropFacts<'_>,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<DropVerdict, DropRefusal> {
    let local = |at: DateTime<Utc>| at.with_timezone(&zone);
    let time = |at: DateTime<Utc>| local(at).format("%H:%M").to_string();
    let (today, allowed) = (local(now).date_naive(), &facts.allowed);
    // First, because nothing that could be said after it helps.
    if let Some(earlier) = &facts.same {
        return Err(DropRefusal::Same { at: time(earlier.at), by: earlier.by.clone() });
    }
    let next = || plan.next_slot(zone, now).map(|slot| slot_words(&slot, zone));
    match plan.window_on(today, zone) {
        None if allowed.day => {}
        None => return Err(DropRefusal::Day { day: today.format("%A").to_string(), next: next() }),
        Some(_) if allowed.window => {}
        Some(window) if window.starts <= now && now < window.ends => {}
        Some(_) => return Err(DropRefusal::Window { at: time(now), next: next() }),
    }
    if let Some(expected) = plan.name_on(today)
        && !allowed.name
        && !name_matches(&expected, facts.name)
    {
        return Err(DropRefusal::Name { name: facts.name.to_owned(), expected });
    }
    if !facts.has_rows {
        return Err(DropRefusal::Rows);
    }
    let missing = template.missing(facts.headers);
    if !missing.is_empty() {
        let alike = |header: &&String| missing.iter().any(|name| name.to_lowercase() == header.to_lowercase());
        let similar = facts.headers.iter().filter(alike).cloned().collect();
        return Err(DropRefusal::Columns { missing, similar });
    }
    let starts = facts.windows.iter().map(|window| window.starts).min().unwrap_or(now);
    let ends = facts.windows.iter().map(|window| window.ends).max().unwrap_or(now);
    if ends <= now && allowed.ends.is_none_or(|ends| ends <= now) {
        return Err(if facts.another { DropRefusal::Over } else { DropRefusal::End { at: time(ends) } });
    }
    Ok(match (facts.another, now < starts) {
        (true, _) => DropVerdict::Ask,
        (false, true) => DropVerdict::Waits { starts },
        (false, false) => DropVerdict::Late,
    })
}

words! {
    /// How a file that was let in gets into the day's runs.
    pub enum Mode {
        /// It makes them.
        First = "first",
        /// Its contacts join those they have.
        Add = "add",
        /// Its contacts take the place of those that are unsent.
        Replace = "replace",
    }
}

/// Where a dropped file stands.
#[derive(Clone, Debug, PartialEq)]
pub enum DropState {
    Importing(Mode),
    Asked,
    Launched(Mode),
    Refused { failed: DropCheck, why: String },
}

impl DropState {
    /// The word in the database.
    pub fn word(&self) -> &'static str {
        match self {
            DropState::Importing(_) => "importing",
            DropState::Asked => "asked",
            DropState::Launched(_) => "launched",
            DropState::Refused { .. } => "refused",
        }
    }
}

/// Why a dropped file stayed as it was. The text is shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("This campaign takes no daily files.")]
    NotDaily,
    #[error("The campaign is a draft. Launch it first.")]
    IsDraft,
    #[error("The campaign was stopped; a stop is final. Duplicate it to run it again.")]
    Stopped,
    #[error("The campaign has finished.")]
    Finished,
    #[error("The campaign is archived.")]
    Archived,
    #[error("All its schedules were stopped.")]
    NoSchedules,
    #[error("Somebody already decided about this file.")]
    Decided,
    #[error("This file was dropped on another day. Drop today's file.")]
    OtherDay,
    #[error("Nothing of this file was kept. Drop it again.")]
    NotKept,
    #[error("Give an end time later than now, today.")]
    EndNotInFuture,
}

impl Reason for Refused {
    fn is_invalid(&self) -> bool {
        matches!(self, Refused::EndNotInFuture)
    }
}

/// A file that somebody dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct DailyFile {
    pub id: DropId,
    pub campaign: CampaignId,
    pub day: NaiveDate,
    /// `None` when nothing of it was kept.
    pub file: Option<FileId>,
    pub name: String,
    pub state: DropState,
    pub allowed: Allowed,
    pub dropped_at: DateTime<Utc>,
}

impl DailyFile {
    /// Lets something pass that it was refused for, to be judged again. `day`: today.
    pub fn allow(&mut self, failed: DropCheck, ends: Option<DateTime<Utc>>, day: NaiveDate) -> Result<(), Refused> {
        match &self.state {
            DropState::Refused { failed: it, .. } if *it == failed && it.has_a_way_on() => {}
            DropState::Refused { .. } | DropState::Importing(_) | DropState::Asked | DropState::Launched(_) => {
                return Err(Refused::Decided);
            }
        }
        if self.day != day {
            return Err(Refused::OtherDay);
        }
        if self.file.is_none() {
            return Err(Refused::NotKept);
        }
        match failed {
            DropCheck::Day => self.allowed.day = true,
            DropCheck::Window => self.allowed.window = true,
            DropCheck::Name => self.allowed.name = true,
            DropCheck::End => self.allowed.ends = ends,
            DropCheck::Rows
            | DropCheck::Columns
            | DropCheck::Same
            | DropCheck::Over
            | DropCheck::File
            | DropCheck::Run
            | DropCheck::Left => {}
        }
        Ok(())
    }

    /// Answers the question that a second file asks.
    pub fn decide(&mut self, mode: Mode) -> Result<(), Refused> {
        self.state = match self.state {
            DropState::Asked => DropState::Importing(mode),
            DropState::Importing(_) | DropState::Launched(_) | DropState::Refused { .. } => {
                return Err(Refused::Decided);
            }
        };
        Ok(())
    }

    /// Nobody needs to be told of it any more.
    pub fn dismiss(&self) -> Result<(), Refused> {
        match self.state {
            DropState::Refused { .. } => Ok(()),
            DropState::Importing(_) | DropState::Asked | DropState::Launched(_) => Err(Refused::Decided),
        }
    }

    /// Leaves it: the day's runs stay as they are.
    pub fn leave(&mut self, who: &str) -> Result<(), Refused> {
        self.state = match self.state {
            DropState::Asked => DropState::Refused { failed: DropCheck::Left, why: format!("{who} left it out.") },
            DropState::Importing(_) | DropState::Launched(_) | DropState::Refused { .. } => {
                return Err(Refused::Decided);
            }
        };
        Ok(())
    }
}

/// Whether a file's import has ended without an audience, and why.
pub fn came_to_nothing(file: &File) -> Option<String> {
    match &file.state {
        State::Imported { .. } if file.counts.good > 0 => None,
        State::Imported { .. } => Some("No row could be taken, so there is nobody to send to.".to_owned()),
        State::Refused { why, .. } => Some(why.clone()),
        State::Cancelled { .. } => Some("Somebody cancelled its import.".to_owned()),
        State::Received | State::Importing { .. } => Some("Its import never began.".to_owned()),
    }
}

/// The day that it is in a zone.
pub fn today(zone: Tz, now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Tuesday.
    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-11-24T{time}:00Z").parse().unwrap()
    }

    fn clock(time: &str) -> NaiveTime {
        NaiveTime::parse_from_str(time, "%H:%M").unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn plan() -> DailyPlan {
        DailyPlan {
            opens: clock("08:00"),
            closes: clock("11:00"),
            days: Days::of_names(["Tue", "Thu"]).unwrap(),
            expected_name: "arrears-{date}*.csv".to_owned(),
        }
    }

    fn template() -> DropTemplate {
        let mapping = Mapping {
            columns: vec![Use::ChannelId, Use::Data { field: "name".to_owned() }, Use::CustomerId, Use::Ignore],
        };
        DropTemplate::new("sms", "IE", &names(&["phone", "name", "id", "note"]), &mapping)
    }

    const ZONE: Tz = Tz::Europe__Dublin;

    struct Case {
        now: DateTime<Utc>,
        name: &'static str,
        has_rows: bool,
        headers: Vec<String>,
        same: Option<Earlier>,
        another: bool,
        windows: Vec<Window>,
        allowed: Allowed,
    }

    /// In time, in the window, as expected: what each row of the table changes one thing of.
    fn good() -> Case {
        Case {
            now: at("08:30"),
            name: "arrears-2026-11-24.csv",
            has_rows: true,
            headers: names(&["name", "phone", "id"]),
            same: None,
            another: false,
            windows: vec![Window { starts: at("09:00"), ends: at("10:00") }],
            allowed: Allowed::default(),
        }
    }

    fn verdict(case: &Case) -> DropVerdict {
        let facts = DropFacts {
            name: case.name,
            has_rows: case.has_rows,
            headers: &case.headers,
            same: case.same.clone(),
            another: case.another,
            windows: &case.windows,
            allowed: case.allowed,
        };
        judge(&plan(), &template(), &facts, ZONE, case.now)
    }

    fn refused(case: &Case) -> (DropCheck, String) {
        match verdict(case) {
            DropVerdict::Refused(refusal) => (refusal.check(), refusal.to_string()),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn the_table_of_the_product_row_by_row() {
        // day no, and nothing else matters
        let wednesday = Case { now: at("08:30") + chrono::TimeDelta::days(1), ..good() };
        let next = "Next: Thursday 26 November, 08:00 to 11:00 Europe/Dublin.";
        assert_eq!(refused(&wednesday), (DropCheck::Day, format!("No file is expected on a Wednesday. {next}")));
        let worse = Case { name: "x", has_rows: false, headers: Vec::new(), ..wednesday };
        assert_eq!(refused(&worse).0, DropCheck::Day);

        // day yes, window no
        let early = Case { now: at("07:59"), ..good() };
        let next = "Next: Tuesday 24 November, 08:00 to 11:00 Europe/Dublin.";
        assert_eq!(refused(&early), (DropCheck::Window, format!("The import window is closed at 07:59. {next}")));
        let late = Case { now: at("11:00"), name: "x", has_rows: false, ..good() };
        let next = "Next: Thursday 26 November, 08:00 to 11:00 Europe/Dublin.";
        assert_eq!(refused(&late), (DropCheck::Window, format!("The import window is closed at 11:00. {next}")));

        // name no
        let named = Case { name: "other.csv", has_rows: false, headers: Vec::new(), ..good() };
        let says = "The file is called “other.csv”. Today “arrears-2026-11-24*.csv” is expected.";
        assert_eq!(refused(&named), (DropCheck::Name, says.to_owned()));

        // rows no
        assert_eq!(refused(&Case { has_rows: false, headers: Vec::new(), ..good() }).0, DropCheck::Rows);

        // column missing
        let lacking = Case { headers: names(&["phone", "Name", "extra"]), ..good() };
        let says = "The columns “name”, “id” are missing. The file has “Name”: the names must be written alike.";
        assert_eq!(refused(&lacking), (DropCheck::Columns, says.to_owned()));
        let lacking = Case { headers: names(&["phone", "name", "note"]), ..good() };
        assert_eq!(refused(&lacking).1, "The column “id” is missing.");

        // before start
        assert_eq!(verdict(&good()), DropVerdict::Waits { starts: at("09:00") });
        // start..end
        assert_eq!(verdict(&Case { now: at("09:00"), ..good() }), DropVerdict::Late);
        assert_eq!(verdict(&Case { now: at("09:59"), ..good() }), DropVerdict::Late);
        // after end
        let says = "The schedules have ended for today, the last one at 10:00. Give them a new end time to send this file today.";
        assert_eq!(refused(&Case { now: at("10:00"), ..good() }), (DropCheck::End, says.to_owned()));
    }

    #[test]
    fn the_same_content_again_is_told_before_anything_else() {
        let same = Some(Earlier { at: at("08:10"), by: "Ada".to_owned() });
        let again = Case { same, another: true, name: "x", now: at("12:00"), ..good() };
        let says = "This very file was dropped today at 08:10 by Ada. Nobody gets it twice.";
        assert_eq!(refused(&again), (DropCheck::Same, says.to_owned()));
    }

    #[test]
    fn a_second_file_asks_while_a_run_can_take_it() {
        assert_eq!(verdict(&Case { another: true, ..good() }), DropVerdict::Ask);
        assert_eq!(verdict(&Case { another: true, now: at("09:30"), ..good() }), DropVerdict::Ask);
        assert_eq!(refused(&Case { another: true, now: at("10:30"), ..good() }).0, DropCheck::Over);
        let lacking = Case { another: true, headers: names(&["phone"]), ..good() };
        assert_eq!(refused(&lacking).0, DropCheck::Columns, "it is checked like the first");
    }

    #[test]
    fn what_somebody_allows_is_passed_over_and_nothing_else() {
        let wednesday = Case { now: at("05:00") + chrono::TimeDelta::days(1), ..good() };
        let allowed = Allowed { day: true, ..Allowed::default() };
        let let_in = Case { allowed, name: "arrears-2026-11-25.csv", ..wednesday };
        assert_eq!(
            verdict(&Case {
                windows: vec![Window {
                    starts: at("09:00") + chrono::TimeDelta::days(1),
                    ends: at("10:00") + chrono::TimeDelta::days(1)
                }],
                ..let_in
            }),
            DropVerdict::Waits { starts: at("09:00") + chrono::TimeDelta::days(1) }
        );

        let early = Case { now: at("05:00"), allowed: Allowed { window: true, ..Allowed::default() }, ..good() };
        assert_eq!(verdict(&early), DropVerdict::Waits { starts: at("09:00") });
        assert_eq!(refused(&Case { name: "x", ..early }).0, DropCheck::Name, "the name is another matter");

        let named = Case { name: "x", allowed: Allowed { name: true, ..Allowed::default() }, ..good() };
        assert_eq!(verdict(&named), DropVerdict::Waits { starts: at("09:00") });

        let ends = |time| Allowed { ends: Some(at(time)), ..Allowed::default() };
        assert_eq!(verdict(&Case { now: at("10:30"), allowed: ends("12:00"), ..good() }), DropVerdict::Late);
        assert_eq!(refused(&Case { now: at("10:30"), allowed: ends("10:30"), ..good() }).0, DropCheck::End);
    }

    #[test]
    fn the_last_schedule_decides_when_it_is_too_late_and_the_first_when_it_is_early() {
        let windows =
            vec![Window { starts: at("09:00"), ends: at("09:30") }, Window { starts: at("10:00"), ends: at("10:50") }];
        let case = |time| Case { now: at(time), windows: windows.clone(), ..good() };
        assert_eq!(verdict(&case("08:59")), DropVerdict::Waits { starts: at("09:00") });
        assert_eq!(verdict(&case("09:40")), DropVerdict::Late);
        assert_eq!(refused(&case("10:50")).0, DropCheck::End);
    }

    #[test]
    fn the_next_slot_is_the_open_one_or_the_next_expected_day() {
        let slot = |now| slot_words(&plan().next_slot(ZONE, now).unwrap(), ZONE);
        assert_eq!(slot(at("10:59")), "Tuesday 24 November, 08:00 to 11:00 Europe/Dublin");
        assert_eq!(slot(at("11:00")), "Thursday 26 November, 08:00 to 11:00 Europe/Dublin");
        assert_eq!(
            plan().next_slot(Tz::Asia__Tokyo, at("02:00")).unwrap().starts,
            at("23:00") + chrono::TimeDelta::days(1)
        );
    }

    #[test]
    fn names_match_whatever_their_case_with_stars_and_dates() {
        let day = "2026-03-05".parse().unwrap();
        let matches = |pattern: &str, name: &str| name_matches(&name_on(pattern, day), name);
        assert!(matches("Arrears.csv", "ARREARS.CSV"));
        assert!(!matches("arrears.csv", "arrears.csv.xlsx"));
        assert!(matches("a-{yyyy}{mm}{dd}.csv", "a-20260305.csv"));
        assert!(matches("{date}.csv", "2026-03-05.csv"));
        assert!(!matches("{date}.csv", "2026-03-06.csv"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c.csv", "a1b2b3c.csv"));
        assert!(!matches("a*b*c.csv", "a1c.csv"));
        assert!(!matches("ab*ba.csv", "aba.csv"), "a star may stand for nothing, but no sign stands for two");
        assert!(matches("*.csv", ".csv"));
        assert!(matches("Données*.csv", "Donne\u{301}es\u{a0}1.csv"), "as macOS writes it");
        assert!(matches("Donne\u{301}es.csv", "données.csv"));
        assert_eq!(unknown_placeholder("a-{date}-{mm}.csv"), None);
        assert_eq!(unknown_placeholder("a-{day}-{mm}.csv"), Some("{day}".to_owned()));
        assert_eq!(unknown_placeholder("a-{yyyy"), Some("{yyyy".to_owned()));
    }

    #[test]
    fn files_are_read_like_the_sample_and_their_columns_found_however_they_are_typed() {
        let head = TableHead {
            format: Format::Csv,
            encoding: Some(FileEncoding::Windows1250),
            delimiter: Some(b','),
            sheets: Vec::new(),
            sheet: 0,
            header_row: 3,
            n_hidden: 0,
            takes_hidden: true,
            headers: names(&["phone"]),
            sample: Vec::new(),
        };
        let stored = serde_json::to_value(template().read_like(&head)).unwrap();
        let reading = serde_json::from_value::<DropTemplate>(stored).unwrap().reading();
        let likely = Some(FileEncoding::Windows1250);
        let as_csv = ReadingChoice { encoding: None, likely, sheet: None, header_row: Some(3), takes_hidden: true };
        assert_eq!(reading, as_csv);
        let of_book = TableHead { format: Format::Xlsx, sheet: 1, ..head.clone() };
        assert_eq!(template().read_like(&of_book).reading().sheet, Some(1), "the same sheet of the next workbook");
        assert_eq!(template().reading(), ReadingChoice::default());
        let of_old = serde_json::json!({"region": "IE", "kind": "sms", "columns": []});
        assert_eq!(serde_json::from_value::<DropTemplate>(of_old).unwrap().reading(), ReadingChoice::default());

        let data = |field: &str| Use::Data { field: field.to_owned() };
        let columns = vec![Use::ChannelId, data("re\u{301}gion")];
        let mut old = DropTemplate::new("sms", "IE", &names(&["phone", "re\u{301}gion"]), &Mapping { columns });
        let headers = names(&["phone", "région"]);
        assert!(old.missing(&headers).is_empty());
        assert!(old.take_in(&headers).is_empty());
        assert_eq!(old.mapping(&headers).columns, [Use::ChannelId, data("région")]);
    }

    #[test]
    fn new_columns_become_data_and_the_order_does_not_matter() {
        let mut template = template();
        let headers = names(&["city", "id", "phone", "note", "name"]);
        assert_eq!(template.take_in(&headers), ["city"]);
        assert_eq!(template.take_in(&headers), Vec::<String>::new());
        let data = |field: &str| Use::Data { field: field.to_owned() };
        let mapping = template.mapping(&headers);
        assert_eq!(mapping.columns, [data("city"), Use::CustomerId, Use::ChannelId, Use::Ignore, data("name")]);
        assert_eq!(mapping.check(&headers), Ok(()));
        assert!(template.missing(&names(&["phone", "name", "id"])).is_empty(), "yesterday's structure still fits");
        let stored = serde_json::to_value(&template).unwrap();
        assert_eq!(
            stored["columns"][4],
            serde_json::json!({"header": "city", "use": "data", "field": "city", "added": true})
        );
        assert_eq!(serde_json::from_value::<DropTemplate>(stored).unwrap(), template);
    }

    #[test]
    fn checks_survive_being_stored() {
        for check in DropCheck::ALL {
            assert_eq!(DropCheck::of_word(check.word()), Some(check));
        }
    }

    fn dropped(state: DropState) -> DailyFile {
        DailyFile {
            id: DropId(1),
            campaign: CampaignId(1),
            day: at("09:00").date_naive(),
            file: Some(FileId(1)),
            name: "x".to_owned(),
            state,
            allowed: Allowed::default(),
            dropped_at: at("09:00"),
        }
    }

    #[test]
    fn only_what_was_refused_is_let_in_and_only_what_is_asked_is_decided() {
        let refused = |failed| DropState::Refused { failed, why: "no".to_owned() };
        let day = at("09:00").date_naive();
        for state in [
            DropState::Importing(Mode::First),
            DropState::Asked,
            DropState::Launched(Mode::Add),
            refused(DropCheck::Same),
        ] {
            assert_eq!(dropped(state).allow(DropCheck::Name, None, day), Err(Refused::Decided));
        }
        let mut it = dropped(refused(DropCheck::Name));
        assert_eq!(it.allow(DropCheck::Day, None, day), Err(Refused::Decided), "it was not refused for that");
        assert_eq!(it.allow(DropCheck::Name, None, day.succ_opt().unwrap()), Err(Refused::OtherDay));
        assert_eq!(it.allow(DropCheck::Name, None, day), Ok(()));
        assert!(it.allowed.name && !it.allowed.day);
        assert_eq!(
            DailyFile { file: None, ..dropped(refused(DropCheck::Day)) }.allow(DropCheck::Day, None, day),
            Err(Refused::NotKept)
        );

        assert_eq!(it.decide(Mode::Add), Err(Refused::Decided));
        assert_eq!(it.leave("Ada"), Err(Refused::Decided));
        let mut asked = dropped(DropState::Asked);
        assert_eq!(asked.decide(Mode::Replace), Ok(()));
        assert_eq!(asked.state, DropState::Importing(Mode::Replace));
    }
}
