//! domain: One turn of a bot: what it says and does when something happens, until it waits or ends.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::conditions::{Route, Seen, has_word, plain, words};
use super::entities::as_said;
use super::steps::{Accept, Act, Ask, Choice, Nowhere, StepId, Steps, To};
use crate::wording::Template;

/// Steps in one turn at most. The checks refuse a bot that could need more.
pub const MOST_IN_A_TURN: usize = 50;
/// Times that a bot speaks up by itself between two replies, at most.
pub const MOST_WAKES: u8 = 20;

/// What a bot remembers of one conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    pub state: TurnState,
    /// What was known when it began.
    pub values: Map<String, Value>,
    /// What the bot has kept since, which counts before `values`.
    pub kept: BTreeMap<String, String>,
    /// What the contact wrote last.
    pub said: Option<String>,
    /// The same as it was understood.
    pub answer: Option<String>,
    /// How often it spoke up by itself since the last reply.
    pub wakes: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum TurnState {
    #[default]
    New,
    /// For a reply to that step, which was asked for `tries` times again.
    Waiting {
        step: StepId,
        tries: u8,
        since: DateTime<Utc>,
    },
    HandedOver,
    Blocked,
    Closed,
    /// It cannot go on by itself: a human has to look.
    Parked {
        fault: Fault,
    },
}

impl TurnState {
    pub fn words(&self) -> String {
        match self {
            TurnState::New => "not begun".to_owned(),
            TurnState::Waiting { tries: 0, .. } => "waiting for a reply".to_owned(),
            TurnState::Waiting { tries, .. } => format!("waiting for a reply, asked again {tries} times"),
            TurnState::HandedOver => "handed over to the inbox".to_owned(),
            TurnState::Blocked => "blocked".to_owned(),
            TurnState::Closed => "closed".to_owned(),
            TurnState::Parked { fault } => format!("parked for a human: {fault}"),
        }
    }
}

/// Why a bot cannot go on. Checked bots have none of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    #[error("More than {MOST_IN_A_TURN} steps followed one another without waiting for a reply.")]
    TooManySteps,
    #[error("It was to go on with the step “{step}”, and there is none.")]
    NoSuchStep { step: StepId },
    #[error("Nothing follows the last step.")]
    NothingFollows,
    #[error("The bot has no steps.")]
    NoSteps,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The conversation begins; this is known about the contact.
    Begin(Map<String, Value>),
    /// The contact wrote this. In a conversation that has not begun, it begins with it.
    Said(String),
    /// The time of [`Turn::wake`] has come.
    Woke,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    pub replies: Vec<BotReply>,
    pub memory: Memory,
    /// When to come back with [`Input::Woke`] if nothing was said meanwhile.
    pub wake: Option<DateTime<Utc>>,
    /// What to do besides, in order.
    pub did: Vec<Action>,
    /// The steps that were taken.
    pub trace: Vec<StepId>,
}

/// A message of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum BotReply {
    Text {
        step: StepId,
        text: String,
    },
    /// Must not leave: there is no value for this field, and no fallback.
    Missing {
        step: StepId,
        field: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    SetField { field: String, value: String },
    Label(String),
    HandOver,
    Block,
    Close,
}

/// The bot's turn. Always comes to an end: a bot that goes in circles is parked.
///
/// A conversation that is over stays so: there is no reply, whatever comes in.
pub fn turn(steps: &Steps, memory: Memory, input: Input, now: DateTime<Utc>, zone: Tz) -> Turn {
    let turn = Turn { replies: Vec::new(), memory, wake: None, did: Vec::new(), trace: Vec::new() };
    let mut walk = Walk { steps, turn, now, zone, fields: None };
    if let Some(place) = walk.take(input) {
        walk.go(place);
    }
    walk.turn
}

struct Walk<'a> {
    steps: &'a Steps,
    turn: Turn,
    now: DateTime<Utc>,
    zone: Tz,
    /// The fields that a text may have in it, once they were asked for.
    fields: Option<Vec<String>>,
}

type Place = Result<usize, Fault>;

impl Walk<'_> {
    /// Takes in what happened. Returns where to go on, if anywhere.
    fn take(&mut self, input: Input) -> Option<Place> {
        let memory = &mut self.turn.memory;
        match (memory.state.clone(), input) {
            (TurnState::New, Input::Begin(values)) => {
                memory.values = values;
                Some(self.first())
            }
            (TurnState::New, Input::Said(text)) => {
                memory.answer = Some(text.clone());
                memory.said = Some(text);
                Some(self.first())
            }
            (TurnState::Waiting { step, tries, since }, input) => {
                let place = self.steps.place(&step);
                let asked = place.and_then(|place| match &self.steps.0[place].act {
                    Act::Ask(ask) => Some((place, ask)),
                    _ => None,
                });
                let Some((place, ask)) = asked else { return Some(Err(Fault::NoSuchStep { step })) };
                match input {
                    Input::Said(text) => self.hear(place, ask, tries, text),
                    Input::Woke => self.wake(place, ask, since),
                    Input::Begin(_) => {
                        self.turn.wake = self.due(ask, since);
                        None
                    }
                }
            }
            (TurnState::New, Input::Woke) => None,
            (TurnState::HandedOver | TurnState::Blocked | TurnState::Closed | TurnState::Parked { .. }, _) => None,
        }
    }

    fn first(&self) -> Place {
        if self.steps.0.is_empty() { Err(Fault::NoSteps) } else { Ok(0) }
    }

    fn follow(&self, from: usize, to: &To) -> Place {
        self.steps.follow(from, to).map_err(|nowhere| match nowhere {
            Nowhere::Missing(step) => Fault::NoSuchStep { step },
            Nowhere::NothingBelow => Fault::NothingFollows,
        })
    }

    fn hear(&mut self, place: usize, ask: &Ask, tries: u8, text: String) -> Option<Place> {
        let today = self.now.with_timezone(&self.zone).date_naive();
        let understood = match &ask.accept {
            Accept::Text => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Accept::Choices { choices } => choose(choices, &text),
            Accept::Entity { entity } => entity.find(&text, today),
        };
        let memory = &mut self.turn.memory;
        memory.wakes = 0;
        memory.answer = Some(understood.clone().unwrap_or_else(|| text.clone()));
        memory.said = Some(text);
        match understood {
            Some(answer) => {
                self.keep(&ask.store, answer);
                let to = self.route(&ask.routes).unwrap_or(&ask.otherwise).clone();
                Some(self.follow(place, &to))
            }
            None if tries < ask.retries => {
                let step = &self.steps.0[place].id;
                self.turn.trace.push(step.clone());
                self.say(step, &ask.retry_text);
                self.wait(step, ask, tries + 1);
                None
            }
            None => Some(self.follow(place, &ask.otherwise)),
        }
    }

    fn wake(&mut self, place: usize, ask: &Ask, since: DateTime<Utc>) -> Option<Place> {
        let due = self.due(ask, since);
        let no_reply = ask.no_reply.as_ref().filter(|_| due.is_some_and(|due| due <= self.now));
        let Some(no_reply) = no_reply else {
            self.turn.wake = due;
            return None;
        };
        self.turn.memory.wakes += 1;
        Some(self.follow(place, &no_reply.to))
    }

    /// When the re-engager of a step that waits since then is due.
    fn due(&self, ask: &Ask, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let no_reply = ask.no_reply.as_ref().filter(|_| self.turn.memory.wakes < MOST_WAKES)?;
        since.checked_add_signed(TimeDelta::try_minutes(no_reply.minutes())?)
    }

    fn wait(&mut self, step: &StepId, ask: &Ask, tries: u8) {
        self.turn.memory.state = TurnState::Waiting { step: step.clone(), tries, since: self.now };
        self.turn.wake = self.due(ask, self.now);
    }

    /// Goes from step to step until one waits or ends.
    fn go(&mut self, mut place: Place) {
        let steps = self.steps;
        for _ in 0..MOST_IN_A_TURN {
            let at = match place {
                Ok(at) => at,
                Err(fault) => return self.park(fault),
            };
            let step = &steps.0[at];
            self.turn.trace.push(step.id.clone());
            let to = match &step.act {
                Act::Message { text, next } => {
                    self.say(&step.id, text);
                    next
                }
                Act::Ask(ask) => {
                    self.say(&step.id, &ask.text);
                    return self.wait(&step.id, ask, 0);
                }
                Act::Entity { entity, field, store, next, otherwise } => {
                    let looked = match field {
                        Some(field) => self.value(field),
                        None => self.turn.memory.said.clone(),
                    };
                    let today = self.now.with_timezone(&self.zone).date_naive();
                    match looked.and_then(|text| entity.find(&text, today)) {
                        Some(found) => {
                            self.keep(store, found);
                            next
                        }
                        None => otherwise,
                    }
                }
                Act::Branch { routes, otherwise } => self.route(routes).unwrap_or(otherwise),
                Act::SetField { field, value, next } => {
                    if let Ok(value) = self.render(value, |kept| kept) {
                        self.keep(field, value.trim().to_owned());
                    }
                    next
                }
                Act::Label { label, next } => {
                    self.turn.did.push(Action::Label(label.trim().to_owned()));
                    next
                }
                Act::HandOver { text } => return self.end(&step.id, text, TurnState::HandedOver, Action::HandOver),
                Act::Block { text } => return self.end(&step.id, text, TurnState::Blocked, Action::Block),
                Act::Close { text } => return self.end(&step.id, text, TurnState::Closed, Action::Close),
            };
            place = self.follow(at, to);
        }
        self.park(Fault::TooManySteps);
    }

    fn end(&mut self, step: &StepId, text: &str, state: TurnState, action: Action) {
        self.say(step, text);
        self.turn.memory.state = state;
        self.turn.did.push(action);
    }

    fn park(&mut self, fault: Fault) {
        self.turn.memory.state = TurnState::Parked { fault };
    }

    fn route<'a>(&self, routes: &'a [Route]) -> Option<&'a To> {
        let holds = |route: &&Route| {
            let value = match &route.field {
                Some(field) => self.value(field),
                None => self.turn.memory.answer.clone(),
            };
            route.holds(Seen { value: value.as_deref(), now: self.now, zone: self.zone })
        };
        routes.iter().find(holds).map(|route| &route.to)
    }

    fn say(&mut self, step: &StepId, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let step = step.clone();
        let reply = match self.render(text, as_said) {
            Ok(text) => BotReply::Text { step, text },
            Err(field) => BotReply::Missing { step, field },
        };
        self.turn.replies.push(reply);
    }

    /// The text with its fields filled in, what the bot kept `written` so; or the field that has no value.
    fn render(&mut self, text: &str, written: fn(String) -> String) -> Result<String, String> {
        let known = self.fields.take().unwrap_or_else(|| self.known());
        let template = template(text, known.clone());
        self.fields = Some(known);
        let values = template.fields().iter().filter_map(|field| {
            let kept = self.kept(field).map(written);
            Some((field.clone(), kept.or_else(|| self.value(field))?.into()))
        });
        template.render(&values.collect()).map_err(|missing| missing.field)
    }

    /// Every field that has a value, or may get one.
    fn known(&self) -> Vec<String> {
        let memory = &self.turn.memory;
        let mut fields: Vec<String> = memory.kept.keys().chain(memory.values.keys()).cloned().collect();
        for field in self.steps.sets() {
            if !fields.iter().any(|known| same(known, &field)) {
                fields.push(field);
            }
        }
        fields
    }

    fn kept(&self, field: &str) -> Option<String> {
        self.turn.memory.kept.iter().find(|(name, _)| same(name, field)).map(|(_, value)| value.clone())
    }

    fn value(&self, field: &str) -> Option<String> {
        self.kept(field).or_else(|| {
            let (_, value) = self.turn.memory.values.iter().find(|(name, _)| same(name, field))?;
            match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            }
        })
    }

    fn keep(&mut self, field: &str, value: String) {
        let field = field.trim();
        if field.is_empty() {
            return;
        }
        // However the contact's field is spelt.
        let memory = &mut self.turn.memory;
        let known = memory.kept.keys().chain(memory.values.keys()).find(|known| same(known, field));
        let field = known.cloned().unwrap_or_else(|| field.to_owned());
        if memory.kept.insert(field.clone(), value.clone()).is_none() {
            self.fields = None;
        }
        self.turn.did.push(Action::SetField { field, value });
    }
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// A bot's text, in which whatever looks like a field is one: a contact without a
/// `name` must not read "#name".
pub(super) fn template(text: &str, mut fields: Vec<String>) -> Template {
    let template = Template::parse(text, &fields);
    if template.unknown().is_empty() {
        return template;
    }
    fields.extend(template.unknown().iter().cloned());
    Template::parse(text, &fields)
}

/// The choice that was meant: said alone, or the only one of which a word was said.
fn choose(choices: &[Choice], text: &str) -> Option<String> {
    let said = plain(text);
    let names = |choice: &Choice| -> Vec<String> {
        std::iter::once(plain(&choice.value)).chain(choice.synonyms.iter().flat_map(|name| words(name))).collect()
    };
    if said.is_empty() {
        return None;
    }
    if let Some(choice) = choices.iter().find(|choice| names(choice).contains(&said)) {
        return Some(choice.value.trim().to_owned());
    }
    let mut meant = choices.iter().filter(|choice| names(choice).iter().any(|name| has_word(&said, name)));
    match (meant.next(), meant.next()) {
        (Some(choice), None) => Some(choice.value.trim().to_owned()),
        _ => None,
    }
}
