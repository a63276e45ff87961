//! Bots, their versions and drafts, and what may be done to them.

use chrono::{DateTime, Utc};

use super::checks::{LONGEST_NAME, MOST_STEPS};
use super::steps::{Act, Step, StepId, Steps};
use crate::db::Reason;
use crate::ids::BotId;

#[derive(Clone, Debug, PartialEq)]
pub struct Bot {
    pub id: BotId,
    pub name: String,
    pub archived_at: Option<DateTime<Utc>>,
}

/// Steps that never change again.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub n: i32,
    pub steps: Steps,
    pub note: String,
    /// The name of whoever published it.
    pub made_by: Option<String>,
    pub made_at: DateTime<Utc>,
}

/// The version of a bot that a schedule, a run or a conversation keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Pinned {
    pub bot: BotId,
    pub version: i32,
}

impl Pinned {
    /// From two columns that are both there or both not.
    pub fn of(bot: Option<BotId>, version: Option<i32>) -> Option<Pinned> {
        bot.zip(version).map(|(bot, version)| Pinned { bot, version })
    }
}

/// A bot to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sendable {
    pub id: BotId,
    pub name: String,
    /// Chosen once, and put away since.
    pub archived: bool,
    /// Numbers of its versions, the newest first. There is at least one.
    pub versions: Vec<i32>,
}

impl Sendable {
    pub fn newest(&self) -> i32 {
        self.versions.first().copied().unwrap_or_default()
    }
}

/// What is being edited: one for each bot.
#[derive(Clone, Debug, PartialEq)]
pub struct BotDraft {
    pub steps: Steps,
    /// The version whose steps it began as.
    pub based_on: Option<i32>,
    /// Counts the changes, so that of two editors the second learns of the first.
    pub revision: i32,
    pub changed_by: Option<String>,
    pub changed_at: DateTime<Utc>,
}

/// Why a bot stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("Give it a name.")]
    NoName,
    #[error("At most {LONGEST_NAME} characters.")]
    NameTooLong,
    #[error("Another bot is called “{0}”. Choose a name of its own.")]
    NameTaken(String),
    #[error(
        "{who} changed this bot meanwhile. What you typed is still in its fields: copy what you need, then reload."
    )]
    ChangedMeanwhile { who: String },
    #[error(
        "Somebody removed this step meanwhile. What you typed is still in its fields: copy what you need, then reload."
    )]
    StepGone,
    #[error("A bot has at most {MOST_STEPS} steps.")]
    TooManySteps,
    #[error("{}", errors_in_words(*.0))]
    HasErrors(usize),
    #[error("Nothing has changed since version {0}.")]
    NothingChanged(i32),
    #[error("This bot is archived. Restore it first.")]
    Archived,
}

impl Reason for Refused {
    fn is_invalid(&self) -> bool {
        matches!(self, Refused::NoName | Refused::NameTooLong)
    }
}

fn errors_in_words(n: usize) -> String {
    match n {
        1 => "One thing must be put right before it can be published.".to_owned(),
        n => format!("{n} things must be put right before it can be published."),
    }
}

/// A name as it is kept.
pub fn name(typed: &str) -> Result<String, Refused> {
    let name = typed.trim();
    match name.chars().count() {
        0 => Err(Refused::NoName),
        n if n > LONGEST_NAME => Err(Refused::NameTooLong),
        _ => Ok(name.to_owned()),
    }
}

/// One change to a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum StepEdit {
    /// Puts this in the place of the step with its id.
    Save(Step),
    /// Adds a step below that one, or as the last.
    Add {
        act: Act,
        below: Option<StepId>,
    },
    Duplicate(StepId),
    Remove(StepId),
    Up(StepId),
    Down(StepId),
    /// Moves a step so that so many stand before it.
    Move {
        step: StepId,
        to: usize,
    },
}

impl BotDraft {
    /// Does it. Returns the step that one looks at afterwards.
    pub fn edit(&mut self, edit: StepEdit) -> Result<Option<StepId>, Refused> {
        let place = |id: &StepId| self.steps.place(id).ok_or(Refused::StepGone);
        match edit {
            StepEdit::Save(step) => {
                let at = place(&step.id)?;
                let id = step.id.clone();
                self.steps.0[at] = step;
                Ok(Some(id))
            }
            StepEdit::Add { act, below } => {
                let at = match &below {
                    Some(id) => place(id)? + 1,
                    None => self.steps.0.len(),
                };
                let name = self.free_name(act.label());
                self.insert(at, name, act)
            }
            StepEdit::Duplicate(id) => {
                let at = place(&id)?;
                let step = self.steps.0[at].clone();
                let name = self.free_name(&step.name);
                self.insert(at + 1, name, step.act)
            }
            StepEdit::Remove(id) => {
                let at = place(&id)?;
                self.steps.0.remove(at);
                Ok(self.steps.0.get(at.saturating_sub(1)).map(|step| step.id.clone()))
            }
            StepEdit::Up(id) => {
                let at = place(&id)?;
                self.shift(at, at.saturating_sub(1))
            }
            StepEdit::Down(id) => {
                let at = place(&id)?;
                self.shift(at, at + 1)
            }
            StepEdit::Move { step, to } => {
                let at = place(&step)?;
                self.shift(at, to)
            }
        }
    }

    fn insert(&mut self, at: usize, name: String, act: Act) -> Result<Option<StepId>, Refused> {
        if self.steps.0.len() >= MOST_STEPS {
            return Err(Refused::TooManySteps);
        }
        let id = self.steps.fresh_id();
        self.steps.0.insert(at, Step { id: id.clone(), name, act });
        Ok(Some(id))
    }

    fn shift(&mut self, from: usize, to: usize) -> Result<Option<StepId>, Refused> {
        let step = self.steps.0.remove(from);
        let id = step.id.clone();
        self.steps.0.insert(to.min(self.steps.0.len()), step);
        Ok(Some(id))
    }

    /// The name, with a number behind it when a step has it.
    fn free_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.steps.0.iter().any(|step| step.name == name);
        let plain = wanted.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end();
        let mut name = wanted.to_owned();
        let mut n = 2;
        while taken(&name) {
            name = format!("{plain} {n}");
            n += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(names: &[&str]) -> BotDraft {
        let step = |name: &&str| Step {
            id: StepId((*name).to_owned()),
            name: (*name).to_owned(),
            act: Act::Message { text: "x".into(), next: None },
        };
        let steps = Steps(names.iter().map(step).collect());
        BotDraft { steps, based_on: None, revision: 1, changed_by: None, changed_at: DateTime::UNIX_EPOCH }
    }

    fn after(edit: StepEdit) -> String {
        let mut draft = draft(&["a", "b", "c"]);
        draft.edit(edit).unwrap();
        draft.steps.0.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn id(id: &str) -> StepId {
        StepId(id.into())
    }

    #[test]
    fn steps_are_added_moved_and_removed() {
        let close = || Act::Close { text: String::new() };
        assert_eq!(after(StepEdit::Add { act: close(), below: Some(id("a")) }), "a Close b c");
        assert_eq!(after(StepEdit::Add { act: close(), below: None }), "a b c Close");
        assert_eq!(after(StepEdit::Duplicate(id("b"))), "a b b 2 c");
        assert_eq!(after(StepEdit::Remove(id("b"))), "a c");
        assert_eq!((after(StepEdit::Up(id("c"))), after(StepEdit::Up(id("a")))), ("a c b".into(), "a b c".into()));
        assert_eq!((after(StepEdit::Down(id("a"))), after(StepEdit::Down(id("c")))), ("b a c".into(), "a b c".into()));
        assert_eq!(after(StepEdit::Move { step: id("a"), to: 2 }), "b c a");
        assert_eq!(after(StepEdit::Move { step: id("c"), to: 0 }), "c a b");
        assert_eq!(after(StepEdit::Move { step: id("a"), to: 99 }), "b c a");
        assert_eq!(draft(&["a"]).edit(StepEdit::Up(id("z"))), Err(Refused::StepGone));
    }

    #[test]
    fn a_new_step_has_an_id_that_no_route_names() {
        let mut draft = draft(&["a"]);
        draft.steps.0[0].act = Act::Message { text: "x".into(), next: Some(id("s2")) };
        let new = draft.edit(StepEdit::Add { act: Act::Close { text: String::new() }, below: None }).unwrap();
        assert_eq!(new, Some(id("s3")), "a way to a removed step must not lead to a new one");
    }
}
