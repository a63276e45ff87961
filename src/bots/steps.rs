//! domain: What a bot does, step by step: values that are saved, exported and walked.

use serde::{Deserialize, Serialize};

use super::conditions::Route;
pub use super::conditions::{StepId, To};
use super::entities::Entity;

use crate::words::words;

/// All steps of a bot in their order. A conversation begins at the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Steps(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: StepId,
    /// What people call it.
    pub name: String,
    #[serde(flatten)]
    pub act: Act,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Act {
    Message {
        text: String,
        #[serde(default)]
        next: To,
    },
    Ask(Ask),
    /// Looks for an entity in what is already known, and keeps it.
    Entity {
        entity: Entity,
        /// The field to look in; what was said last when there is none.
        #[serde(default)]
        field: Option<String>,
        store: String,
        #[serde(default)]
        next: To,
        /// Where to go when there is no such thing in it.
        #[serde(default)]
        otherwise: To,
    },
    Branch {
        #[serde(default)]
        routes: Vec<Route>,
        #[serde(default)]
        otherwise: To,
    },
    SetField {
        field: String,
        /// May have fields in it, as a text does.
        value: String,
        #[serde(default)]
        next: To,
    },
    Label {
        label: String,
        #[serde(default)]
        next: To,
    },
    HandOver {
        /// Said before; nothing is said when it is empty.
        #[serde(default)]
        text: String,
    },
    Block {
        #[serde(default)]
        text: String,
    },
    Close {
        #[serde(default)]
        text: String,
    },
}

/// Asks, and waits for a reply: the only act that waits.
///
/// A reply that is no answer is asked for again with `retry_text`, `retries`
/// times; then the default route is taken. After an answer the routes are tried in
/// their order, and the default route is taken when none of them holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    pub text: String,
    #[serde(default)]
    pub accept: Accept,
    /// The field that keeps the answer; it is not kept when this is empty.
    #[serde(default)]
    pub store: String,
    #[serde(default)]
    pub retries: u8,
    #[serde(default)]
    pub retry_text: String,
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The default route.
    #[serde(default)]
    pub otherwise: To,
    #[serde(default)]
    pub no_reply: Option<NoReply>,
}

/// What counts as an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Accept {
    /// Any text that is not blank.
    #[default]
    Text,
    Choices {
        choices: Vec<Choice>,
    },
    Entity {
        entity: Entity,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Kept, however it was said.
    pub value: String,
    #[serde(default)]
    pub synonyms: Vec<String>,
}

/// The re-engager of a waiting step: without a reply for so long, go elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoReply {
    pub after: u32,
    pub unit: Unit,
    #[serde(default)]
    pub to: To,
}

words! {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Unit {
        Minutes = "minutes",
        Hours = "hours",
        Days = "days",
    }
}

impl NoReply {
    pub fn minutes(&self) -> i64 {
        let each = match self.unit {
            Unit::Minutes => 1,
            Unit::Hours => 60,
            Unit::Days => 24 * 60,
        };
        i64::from(self.after) * each
    }

    pub fn words(&self) -> String {
        let unit = self.unit.word();
        format!("{} {}", self.after, if self.after == 1 { unit.trim_end_matches('s') } else { unit })
    }
}

impl Act {
    /// The words of all acts, in the order in which they are offered.
    pub const WORDS: [&str; 9] =
        ["message", "ask", "entity", "branch", "set_field", "label", "hand_over", "block", "close"];

    pub fn word(&self) -> &'static str {
        match self {
            Act::Message { .. } => "message",
            Act::Ask(_) => "ask",
            Act::Entity { .. } => "entity",
            Act::Branch { .. } => "branch",
            Act::SetField { .. } => "set_field",
            Act::Label { .. } => "label",
            Act::HandOver { .. } => "hand_over",
            Act::Block { .. } => "block",
            Act::Close { .. } => "close",
        }
    }

    /// What people call the act with this word.
    pub fn label_of(word: &str) -> &'static str {
        match word {
            "message" => "Message",
            "ask" => "Ask",
            "entity" => "Entity",
            "branch" => "Branch",
            "set_field" => "Set field",
            "label" => "Label",
            "hand_over" => "Hand over",
            "block" => "Block",
            "close" => "Close",
            _ => "",
        }
    }

    pub fn label(&self) -> &'static str {
        Act::label_of(self.word())
    }

    /// An act with nothing filled in.
    pub fn of_word(word: &str) -> Option<Act> {
        let text = String::new;
        Some(match word {
            "message" => Act::Message { text: text(), next: None },
            "ask" => Act::Ask(Ask {
                text: text(),
                accept: Accept::Text,
                store: text(),
                retries: 0,
                retry_text: text(),
                routes: Vec::new(),
                otherwise: None,
                no_reply: None,
            }),
            "entity" => Act::Entity { entity: Entity::Date, field: None, store: text(), next: None, otherwise: None },
            "branch" => Act::Branch { routes: Vec::new(), otherwise: None },
            "set_field" => Act::SetField { field: text(), value: text(), next: None },
            "label" => Act::Label { label: text(), next: None },
            "hand_over" => Act::HandOver { text: text() },
            "block" => Act::Block { text: text() },
            "close" => Act::Close { text: text() },
            _ => return None,
        })
    }

    /// Whether the conversation with the bot is over after it.
    pub fn ends(&self) -> bool {
        match self {
            Act::HandOver { .. } | Act::Block { .. } | Act::Close { .. } => true,
            Act::Message { .. }
            | Act::Ask(_)
            | Act::Entity { .. }
            | Act::Branch { .. }
            | Act::SetField { .. }
            | Act::Label { .. } => false,
        }
    }

    pub fn waits(&self) -> bool {
        matches!(self, Act::Ask(_))
    }

    /// What it says to the contact, if it may say something.
    pub fn text(&self) -> Option<&str> {
        match self {
            Act::Message { text, .. } | Act::Ask(Ask { text, .. }) => Some(text),
            Act::HandOver { text } | Act::Block { text } | Act::Close { text } => Some(text),
            Act::Entity { .. } | Act::Branch { .. } | Act::SetField { .. } | Act::Label { .. } => None,
        }
    }

    /// Whether it may have conditions.
    pub fn routes_offered(&self) -> bool {
        matches!(self, Act::Ask(_) | Act::Branch { .. })
    }

    pub fn routes(&self) -> &[Route] {
        match self {
            Act::Ask(Ask { routes, .. }) | Act::Branch { routes, .. } => routes,
            Act::Message { .. }
            | Act::Entity { .. }
            | Act::SetField { .. }
            | Act::Label { .. }
            | Act::HandOver { .. }
            | Act::Block { .. }
            | Act::Close { .. } => &[],
        }
    }

    /// Every place it may go on to, with the words for the way there.
    pub fn ways(&self) -> Vec<(String, &To)> {
        let mut ways: Vec<(String, &To)> = self.routes().iter().map(|route| (route.words(), &route.to)).collect();
        let default = |ways: &[(String, &To)]| if ways.is_empty() { String::new() } else { "otherwise".to_owned() };
        match self {
            Act::Message { next, .. } | Act::SetField { next, .. } | Act::Label { next, .. } => {
                ways.push((String::new(), next));
            }
            Act::Entity { entity, next, otherwise, .. } => {
                ways.push((format!("{} found", entity.word()), next));
                ways.push(("otherwise".to_owned(), otherwise));
            }
            Act::Branch { otherwise, .. } => ways.push((default(&ways), otherwise)),
            Act::Ask(ask) => {
                ways.push((default(&ways), &ask.otherwise));
                if let Some(no_reply) = &ask.no_reply {
                    ways.push((format!("no reply for {}", no_reply.words()), &no_reply.to));
                }
            }
            Act::HandOver { .. } | Act::Block { .. } | Act::Close { .. } => {}
        }
        ways
    }

    /// The field that it may give a value to.
    pub fn sets(&self) -> Option<&str> {
        let field = match self {
            Act::Ask(Ask { store, .. }) | Act::Entity { store, .. } => store,
            Act::SetField { field, .. } => field,
            Act::Message { .. }
            | Act::Branch { .. }
            | Act::Label { .. }
            | Act::HandOver { .. }
            | Act::Block { .. }
            | Act::Close { .. } => return None,
        };
        Some(field.trim()).filter(|field| !field.is_empty())
    }
}

/// Why a way leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// There is no such step.
    Missing(StepId),
    /// It goes to the step below, and there is none.
    NothingBelow,
}

impl Steps {
    pub fn place(&self, id: &StepId) -> Option<usize> {
        self.0.iter().position(|step| step.id == *id)
    }

    pub fn get(&self, id: &StepId) -> Option<&Step> {
        self.0.iter().find(|step| step.id == *id)
    }

    /// Where the step at `from` goes on by `to`.
    pub fn follow(&self, from: usize, to: &To) -> Result<usize, Nowhere> {
        match to {
            Some(id) => self.place(id).ok_or_else(|| Nowhere::Missing(id.clone())),
            None if from + 1 < self.0.len() => Ok(from + 1),
            None => Err(Nowhere::NothingBelow),
        }
    }

    /// An id that no step has, nor any route names.
    pub fn fresh_id(&self) -> StepId {
        let named = |id: &str| {
            let goes_to = |step: &Step| step.act.ways().iter().any(|(_, to)| to.as_ref().is_some_and(|to| to.0 == id));
            self.0.iter().any(|step| step.id.0 == id || goes_to(step))
        };
        let mut n = self.0.len() + 1;
        while named(&format!("s{n}")) {
            n += 1;
        }
        StepId(format!("s{n}"))
    }

    /// Fields that some step may give a value to, each once.
    pub fn sets(&self) -> Vec<String> {
        let mut fields: Vec<String> = Vec::new();
        for field in self.0.iter().filter_map(|step| step.act.sets()) {
            if !fields.iter().any(|known| known.eq_ignore_ascii_case(field)) {
                fields.push(field.to_owned());
            }
        }
        fields
    }

    /// What people call the place that `to` leads to.
    pub fn words_of(&self, to: &To) -> String {
        match to {
            None => "the step below".to_owned(),
            Some(id) => match self.get(id) {
                Some(step) => step.name.clone(),
                None => format!("a missing step ({id})"),
            },
        }
    }
}
