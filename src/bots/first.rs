//! domain: What a schedule says first to a contact: its text, or the first turn of its bot.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::steps::{Accept, Act, StepId, Steps};
use super::turn::{BotReply, Input, Memory, Turn, turn};
use crate::wording::{Content, ParsedTemplate, Template};

/// Parsed once, rendered for every contact.
#[derive(Clone)]
pub enum First {
    Text(Template),
    /// The zone is that of the campaign: a bot may look at the time of day.
    Bot(Arc<Steps>, Tz),
    /// A text that the channel's provider has approved, for a text of ours or for what a bot says first.
    Approved(ParsedTemplate, Option<(Arc<Steps>, Tz)>),
}

/// Why nothing can be said to a contact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsaid {
    /// There is no value for this field, and no fallback.
    #[error("#{0} is missing")]
    Missing(String),
    #[error("the bot has nothing to say to this contact")]
    Nothing,
}

impl First {
    /// Whether a bot goes on with whoever answers.
    pub fn opens_a_bot(&self) -> bool {
        matches!(self, First::Bot(..) | First::Approved(_, Some(_)))
    }

    /// The first message to a contact of whom this is known. The same instant gives the same message.
    pub fn render(&self, values: &Map<String, Value>, now: DateTime<Utc>) -> Result<Content, Unsaid> {
        match self {
            First::Text(template) => match template.render(values) {
                Ok(text) => Ok(Content::Text(text)),
                Err(missing) => Err(Unsaid::Missing(missing.field)),
            },
            First::Approved(template, bot) => {
                if let Some((steps, zone)) = bot {
                    First::Bot(steps.clone(), *zone).render(values, now)?;
                }
                let filled = template.render(values).map_err(|missing| Unsaid::Missing(missing.field))?;
                Ok(Content::approved(filled))
            }
            First::Bot(steps, zone) => match begin(steps, values, now, *zone).replies.first() {
                Some(BotReply::Text { step, text }) => Ok(Content::said(text.clone(), choices(steps, step))),
                Some(BotReply::Missing { field, .. }) => Err(Unsaid::Missing(field.clone())),
                None => Err(Unsaid::Nothing),
            },
        }
    }
}

/// The first turn of a bot that writes first.
pub fn begin(steps: &Steps, values: &Map<String, Value>, now: DateTime<Utc>, zone: Tz) -> Turn {
    turn(steps, Memory::default(), Input::Begin(values.clone()), now, zone)
}

/// The answers that a step offers, if it waits for one of several.
pub fn choices(steps: &Steps, step: &StepId) -> Vec<String> {
    match steps.get(step).map(|step| &step.act) {
        Some(Act::Ask(ask)) => match &ask.accept {
            Accept::Choices { choices } => choices.iter().map(|choice| choice.value.trim().to_owned()).collect(),
            Accept::Text | Accept::Entity { .. } => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::examples::Example;

    #[test]
    fn a_bot_says_first_what_its_first_turn_says() {
        let steps = Example::of_word("appointment").unwrap().steps();
        let now = "2026-03-02T10:00:00Z".parse().unwrap();
        let values: Map<String, Value> = [("name", "Ada"), ("date", "Friday"), ("time", "10:30")]
            .into_iter()
            .map(|(field, value)| (field.to_owned(), Value::from(value)))
            .collect();
        let first = First::Bot(Arc::new(steps.clone()), chrono_tz::UTC);
        let said = first.render(&values, now).unwrap();
        assert!(
            matches!(&begin(&steps, &values, now, chrono_tz::UTC).replies[0], BotReply::Text { text, .. } if *text == said.words().0)
        );
        assert!(matches!(first.render(&Map::new(), now), Err(Unsaid::Missing(_))));
        assert_eq!(First::Bot(Arc::default(), chrono_tz::UTC).render(&values, now), Err(Unsaid::Nothing));
    }
}
