//! Talking with a bot that nobody else hears.
//!
//! The page carries what was said and when, and nothing else: every answer tells the
//! whole conversation again. Nothing is sent and nothing stored.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::versions::steps_of;
use super::when;
use crate::access::View;
use crate::app::App;
use crate::bots::domain::Bot;
use crate::bots::steps::{Act, Steps};
use crate::bots::store;
use crate::bots::turn::{Action, BotReply, Input, Memory, TurnState, turn};
use crate::clock::is_of_our_days;
use crate::files;
use crate::ids::{BotId, FileId};
use crate::lists::store::{ListSource, sources};
use crate::web::{FieldErrors, Frame, May, Problem, in_turn, page, page_with, reckon};

/// Rounds of one trial at most.
const MOST_ROUNDS: usize = 200;
/// Values that a trial begins with at most.
const MOST_VALUES: usize = 200;
/// Bytes of values at most, and of what is said.
const MOST_TEXT: usize = 16 << 10;
/// Files to take a contact from.
const FILES: i64 = 30;
/// Rows of a file to choose from.
const ROWS: i32 = 5;
const LOCAL: &str = "%Y-%m-%dT%H:%M";

/// What has happened so far, as the page carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Trial {
    begun: DateTime<Utc>,
    clock: DateTime<Utc>,
    events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    at: DateTime<Utc>,
    /// `None` when the bot spoke up by itself.
    said: Option<String>,
}

/// One turn as the page shows it.
struct Round {
    at: DateTime<Utc>,
    said: Option<String>,
    woke: bool,
    /// Each with why it would not leave, if it would not.
    replies: Vec<(String, Option<String>)>,
    steps: String,
    did: Vec<String>,
}

/// The conversation so far.
struct Told {
    rounds: Vec<Round>,
    memory: Memory,
    wake: Option<DateTime<Utc>>,
}

/// Tells it from its beginning.
fn tell(steps: &Steps, values: &Map<String, Value>, trial: &Trial, zone: Tz) -> Told {
    let mut told = Told { rounds: Vec::new(), memory: Memory::default(), wake: None };
    told.take(steps, trial.begun, None, Input::Begin(values.clone()), zone);
    for event in &trial.events {
        told.go_on(steps, event, zone);
    }
    told
}

impl Told {
    fn go_on(&mut self, steps: &Steps, event: &Event, zone: Tz) {
        let input = event.said.clone().map_or(Input::Woke, Input::Said);
        self.take(steps, event.at, Some(event), input, zone);
    }

    fn take(&mut self, steps: &Steps, at: DateTime<Utc>, event: Option<&Event>, input: Input, zone: Tz) {
        let taken = turn(steps, std::mem::take(&mut self.memory), input, at, zone);
        let name = |id: &_| steps.get(id).map_or(String::new(), |step| step.name.clone());
        let reply = |reply: BotReply| match reply {
            BotReply::Text { text, .. } => (text, None),
            BotReply::Missing { step, field } => {
                let text = steps.get(&step).and_then(|step| step.act.text()).unwrap_or_default();
                (text.to_owned(), Some(field))
            }
        };
        self.rounds.push(Round {
            at,
            said: event.and_then(|event| event.said.clone()),
            woke: event.is_some_and(|event| event.said.is_none()),
            replies: taken.replies.into_iter().map(reply).collect(),
            steps: taken.trace.iter().map(name).collect::<Vec<_>>().join(" → "),
            did: taken.did.iter().map(did_in_words).collect(),
        });
        self.memory = taken.memory;
        self.wake = taken.wake;
    }
}

fn did_in_words(action: &Action) -> String {
    match action {
        Action::SetField { field, value } => format!("{field} = {value}"),
        Action::Label(label) => format!("label “{label}”"),
        Action::HandOver => "handed over to the inbox".to_owned(),
        Action::Block => "blocked the contact".to_owned(),
        Action::Close => "closed the conversation".to_owned(),
    }
}

impl Trial {
    fn new(now: DateTime<Utc>) -> Self {
        Trial { begun: now, clock: now, events: Vec::new() }
    }

    /// Whether its times are some that calendars know: the page may hold anything.
    fn is_of_our_days(&self) -> bool {
        let instants = [self.begun, self.clock].into_iter().chain(self.events.iter().map(|event| event.at));
        instants.into_iter().all(is_of_our_days)
    }

    /// Whether so much was said that one should start again.
    fn is_full(&self) -> bool {
        let said: usize = self.events.iter().filter_map(|event| event.said.as_ref()).map(String::len).sum();
        self.events.len() >= MOST_ROUNDS || said >= MOST_TEXT
    }

    /// Turns the clock, and lets the bot speak up on the way when it is due.
    fn turn_to(&mut self, told: &mut Told, steps: &Steps, to: DateTime<Utc>, zone: Tz) {
        while let Some(due) = told.wake.filter(|due| *due <= to) {
            if self.events.len() >= MOST_ROUNDS {
                break;
            }
            self.happens(told, steps, Event { at: due, said: None }, zone);
        }
        self.clock = to;
    }

    fn happens(&mut self, told: &mut Told, steps: &Steps, event: Event, zone: Tz) {
        told.go_on(steps, &event, zone);
        self.events.push(event);
    }
}

/// `field = value` in each line.
fn read_values(text: &str) -> Result<Map<String, Value>, String> {
    if text.len() > MOST_TEXT || text.lines().count() > MOST_VALUES {
        return Err(format!("Give {MOST_VALUES} values at most, and {} KB of text.", MOST_TEXT >> 10));
    }
    let mut values = Map::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match line.split_once('=') {
            Some((field, value)) if !field.trim().is_empty() => {
                values.insert(field.trim().to_owned(), value.trim().into());
            }
            _ => return Err(format!("Line {}: write a field, =, and its value, such as name = Ada.", n + 1)),
        }
    }
    Ok(values)
}

fn values_as_text(values: &BTreeMap<String, String>) -> String {
    values.iter().map(|(field, value)| format!("{field} = {value}")).collect::<Vec<_>>().join("\n")
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    version: String,
    /// Takes the values of this row of this imported file.
    file: Option<i64>,
    row: Option<i32>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TryForm {
    version: String,
    values: String,
    trial: String,
    said: String,
    clock: String,
    press: String,
}

#[derive(Template)]
#[template(path = "bots/try.html")]
struct Try {
    frame: Frame,
    bot: Bot,
    version: String,
    versions: Vec<i32>,
    files: Vec<ListSource>,
    file: Option<i64>,
    row: Option<i32>,
    values: String,
    /// What is typed into the reply and could not be said.
    said: String,
    clock: String,
    trial: String,
    told: Told,
    /// Words that the waiting step offers.
    offers: Vec<String>,
    errors: FieldErrors,
    zone: Tz,
}

impl Try {
    fn when(&self, at: &DateTime<Utc>) -> String {
        when(at, &self.zone)
    }

    fn waits(&self) -> bool {
        matches!(self.told.memory.state, TurnState::Waiting { .. })
    }

    fn is_file(&self, source: &ListSource) -> bool {
        self.file == Some(source.id.0)
    }

    fn row(&self, seq: &i32) -> bool {
        self.row == Some(*seq)
    }

    fn known(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let memory = &self.told.memory;
        let begun = memory.values.iter().filter(|(field, _)| !memory.kept.contains_key(*field));
        begun.map(|(field, value)| (field.clone(), text(value))).collect()
    }
}

/// What the page shows besides the conversation.
struct Around {
    bot: Bot,
    steps: Steps,
    versions: Vec<i32>,
    files: Vec<ListSource>,
    rows: Vec<files::store::Taken>,
}

async fn around(app: &App, id: BotId, version: String, file: Option<i64>) -> Result<(String, Around), Problem> {
    let version = if version.is_empty() { "draft".to_owned() } else { version };
    let asked = version.clone();
    let around = app
        .db
        .run(move |conn| {
            Ok::<_, diesel::result::Error>(Around {
                bot: store::find(conn, id)?,
                steps: steps_of(conn, id, &asked)?,
                versions: store::versions(conn, id)?.iter().map(|version| version.n).collect(),
                files: sources(conn, FILES)?,
                rows: match file {
                    Some(file) => files::store::first_rows(conn, FileId(file), ROWS)?,
                    None => Vec::new(),
                },
            })
        })
        .await?;
    Ok((version, around))
}

/// Values for the fields that the bot's texts need, to begin with.
fn sample(steps: &Steps) -> BTreeMap<String, String> {
    let own = steps.sets();
    let texts = steps.0.iter().filter_map(|step| step.act.text());
    let needed = texts.flat_map(|text| crate::bots::turn::template(text, own.clone()).fields().to_vec());
    let value = |field: &str| match field.to_lowercase().as_str() {
        "name" => "Ada",
        "date" | "day" | "due" => "Friday",
        "time" => "10:30",
        "balance" | "amount" => "120.00",
        _ => "sample",
    };
    let unknown = needed.filter(|field| !own.iter().any(|own| own.eq_ignore_ascii_case(field)));
    unknown.map(|field| (field.to_lowercase(), value(&field).to_owned())).collect()
}

#[get("/bots/{id}/try", wrap = "from_fn(in_turn)")]
pub(super) async fn begin(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let asked = asked.into_inner();
    let (version, around) = around(&app, id.into_inner(), asked.version, asked.file).await?;
    let row = around.rows.iter().find(|row| asked.row.is_none_or(|seq| row.seq == seq));
    let values = match row.map(|row| &row.values) {
        Some(Value::Object(values)) => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            values.iter().map(|(field, value)| (field.clone(), text(value).replace('\n', " "))).collect()
        }
        _ => sample(&around.steps),
    };
    let form = TryForm { version, values: values_as_text(&values), ..TryForm::default() };
    let (zone, now) = (app.settings.time_zone, app.clock.now());
    let tried = reckon(&app, move || {
        let (trial, values) = (Trial::new(now), read_values(&form.values).unwrap_or_default());
        let told = tell(&around.steps, &values, &trial, zone);
        Tried { around, form, trial, told, errors: FieldErrors::default() }
    });
    page(shown(frame, tried.await?, (asked.file, asked.row), zone))
}

/// A trial after what was pressed.
struct Tried {
    around: Around,
    form: TryForm,
    trial: Trial,
    told: Told,
    errors: FieldErrors,
}

#[post("/bots/{id}/try", wrap = "from_fn(in_turn)")]
pub(super) async fn go_on(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    form: Form<TryForm>,
) -> Result<HttpResponse, Problem> {
    let (version, around) = around(&app, id.into_inner(), form.version.clone(), None).await?;
    let form = TryForm { version, ..form.into_inner() };
    let (zone, now) = (app.settings.time_zone, app.clock.now());
    let tried = reckon(&app, move || pressed(around, form, now, zone)).await?;
    let status = if tried.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page_with(status, shown(frame, tried, (None, None), zone))
}

fn pressed(around: Around, mut form: TryForm, now: DateTime<Utc>, zone: Tz) -> Tried {
    let steps = &around.steps;
    let trial: Option<Trial> = serde_json::from_str(&form.trial).ok();
    let mut trial = trial.filter(Trial::is_of_our_days).unwrap_or_else(|| Trial::new(now));
    trial.events.truncate(MOST_ROUNDS);
    let mut errors = FieldErrors::default();
    let values = match read_values(&form.values) {
        Ok(values) => values,
        Err(says) => {
            errors.add("values", says);
            Map::new()
        }
    };
    let mut told = tell(steps, &values, &trial, zone);
    // The clock is turned first, whichever button was pressed.
    if form.clock != trial.clock.with_timezone(&zone).format(LOCAL).to_string() && form.press != "restart" {
        let local = NaiveDateTime::parse_from_str(form.clock.get(..16).unwrap_or_default(), LOCAL).ok();
        match local.and_then(|local| zone.from_local_datetime(&local).earliest()) {
            Some(to) if to >= trial.clock => trial.turn_to(&mut told, steps, to.with_timezone(&Utc), zone),
            Some(_) => errors.add("clock", "The clock only goes forward. Start again to go back."),
            None => errors.add("clock", "Write a day and a time."),
        }
    }
    if errors.is_empty() {
        match form.press.as_str() {
            "restart" => {
                trial = Trial::new(now);
                told = tell(steps, &values, &trial, zone);
            }
            "back" => {
                trial.events.pop();
                trial.clock = trial.events.last().map_or(trial.begun, |event| event.at);
                told = tell(steps, &values, &trial, zone);
            }
            "skip" => {
                if let Some(due) = told.wake {
                    let to = due.max(trial.clock);
                    trial.turn_to(&mut told, steps, to, zone);
                }
            }
            "clock" => {}
            _ if trial.is_full() => {
                errors.add("said", format!("A trial has at most {MOST_ROUNDS} rounds. Start again."));
            }
            _ if form.said.len() > MOST_TEXT => errors.add("said", "This is too long to be tried."),
            _ => {
                let said = Some(std::mem::take(&mut form.said));
                let event = Event { at: trial.clock, said };
                trial.happens(&mut told, steps, event, zone);
            }
        }
    }
    Tried { around, form, trial, told, errors }
}

fn shown(frame: Frame, tried: Tried, (file, row): (Option<i64>, Option<i32>), zone: Tz) -> Try {
    let Tried { around, form, trial, told, errors } = tried;
    let offers = match &told.memory.state {
        TurnState::Waiting { step, .. } => match around.steps.get(step).map(|step| &step.act) {
            Some(Act::Ask(ask)) => match &ask.accept {
                crate::bots::steps::Accept::Choices { choices } => {
                    choices.iter().map(|choice| choice.value.clone()).collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let kept_clock = errors.of("clock").is_some();
    let clock = if kept_clock { form.clock } else { trial.clock.with_timezone(&zone).format(LOCAL).to_string() };
    Try {
        frame,
        bot: around.bot,
        version: form.version,
        versions: around.versions,
        files: around.files,
        file,
        row,
        values: form.values,
        said: form.said,
        clock,
        trial: serde_json::to_string(&trial).unwrap_or_default(),
        told,
        offers,
        errors,
        zone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::examples::Example;

    #[test]
    fn values_are_read_line_by_line() {
        let values = read_values("name = Ada\n\n due= 3 = 4 ").unwrap();
        assert_eq!((&values["name"], &values["due"]), (&"Ada".into(), &"3 = 4".into()));
        assert!(read_values("name = Ada\nCork").unwrap_err().starts_with("Line 2"));
    }

    #[test]
    fn turning_the_clock_lets_the_bot_speak_up_on_the_way() {
        let steps = Example::of_word("appointment").unwrap().steps();
        let begun = "2026-03-02T10:00:00Z".parse().unwrap();
        let mut trial = Trial::new(begun);
        let (values, zone) = (Map::new(), chrono_tz::UTC);
        let mut told = tell(&steps, &values, &trial, zone);
        trial.turn_to(&mut told, &steps, "2026-03-02T13:59:00Z".parse().unwrap(), zone);
        assert_eq!(trial.events, []);
        trial.turn_to(&mut told, &steps, "2026-03-05T10:00:00Z".parse().unwrap(), zone);
        let at: Vec<String> = trial.events.iter().map(|event| event.at.to_rfc3339()).collect();
        assert_eq!(at, ["2026-03-02T14:00:00+00:00", "2026-03-03T14:00:00+00:00"]);
        assert_eq!(told.memory.state, TurnState::Closed);
        assert_eq!(tell(&steps, &values, &trial, zone).memory, told.memory);
    }

    #[test]
    fn a_page_that_holds_nonsense_begins_anew() {
        let begun = "2026-03-02T10:00:00Z".parse().unwrap();
        assert!(Trial::new(begun).is_of_our_days());
        assert!(!Trial { clock: DateTime::<Utc>::MAX_UTC, ..Trial::new(begun) }.is_of_our_days());
    }

    #[test]
    fn a_sample_has_what_the_texts_need() {
        let sample = sample(&Example::of_word("payment").unwrap().steps());
        assert_eq!(sample.keys().map(String::as_str).collect::<Vec<_>>(), ["balance", "due", "name"]);
    }
}
