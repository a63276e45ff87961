//! A step as a form has it.

use std::collections::BTreeMap;

use crate::bots::checks::MOST_ROUTES;
use crate::bots::conditions::{Op, Route};
use crate::bots::entities::Entity;
use crate::bots::steps::{Accept, Act, Ask, Choice, NoReply, Step, StepId, To, Unit};
use crate::web::FieldErrors;

/// What came in: the fields of one step, the revision that was seen, and the button that was pressed.
pub(super) struct StepForm(BTreeMap<String, String>);

impl StepForm {
    pub fn read(pairs: Vec<(String, String)>) -> Self {
        let clean = |text: String| text.replace('\0', "").replace("\r\n", "\n");
        StepForm(pairs.into_iter().map(|(name, text)| (name, clean(text))).collect())
    }

    fn text(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn line(&self, name: &str) -> String {
        self.text(name).trim().to_owned()
    }

    fn to(&self, name: &str) -> To {
        Some(self.line(name)).filter(|id| !id.is_empty()).map(StepId)
    }

    fn maybe(&self, name: &str) -> Option<String> {
        Some(self.line(name)).filter(|text| !text.is_empty())
    }

    pub fn revision(&self) -> i32 {
        self.line("revision").parse().unwrap_or_default()
    }

    pub fn pressed(&self) -> String {
        self.line("press")
    }

    /// The step with what was typed, after a button for its conditions. A draft may
    /// hold what is not finished; only what is no number at all is an error.
    pub fn step(&self, was: &Step) -> (Step, FieldErrors) {
        let mut errors = FieldErrors::default();
        let text = || self.text("text");
        let act = match &was.act {
            Act::Message { .. } => Act::Message { text: text(), next: self.to("next") },
            Act::Ask(before) => self.ask(before, &mut errors),
            Act::Entity { entity, .. } => Act::Entity {
                entity: Entity::of_word(&self.line("entity")).unwrap_or(*entity),
                field: self.maybe("field"),
                store: self.line("store"),
                next: self.to("next"),
                otherwise: self.to("otherwise"),
            },
            Act::Branch { .. } => Act::Branch { routes: self.routes(), otherwise: self.to("otherwise") },
            Act::SetField { .. } => {
                Act::SetField { field: self.line("field"), value: self.text("value"), next: self.to("next") }
            }
            Act::Label { .. } => Act::Label { label: self.line("label"), next: self.to("next") },
            Act::HandOver { .. } => Act::HandOver { text: text() },
            Act::Block { .. } => Act::Block { text: text() },
            Act::Close { .. } => Act::Close { text: text() },
        };
        (Step { id: was.id.clone(), name: self.line("name"), act }, errors)
    }

    fn ask(&self, before: &Ask, errors: &mut FieldErrors) -> Act {
        let accept = match self.line("accept").as_str() {
            "choices" => Accept::Choices { choices: choices(&self.text("choices")) },
            word => Entity::of_word(word).map_or(Accept::Text, |entity| Accept::Entity { entity }),
        };
        let retries = match self.line("retries").as_str() {
            "" => 0,
            typed => typed.parse().unwrap_or_else(|_| {
                errors.add("retries", "Write how many times, such as 2.");
                before.retries
            }),
        };
        let no_reply = self.maybe("no_reply_after").and_then(|typed| match typed.parse() {
            Ok(after) => Some(NoReply {
                after,
                unit: Unit::of_word(&self.line("no_reply_unit")).unwrap_or(Unit::Hours),
                to: self.to("no_reply_to"),
            }),
            Err(_) => {
                errors.add("no_reply_after", "Write a whole number, such as 4, or nothing.");
                before.no_reply.clone()
            }
        });
        Act::Ask(Ask {
            text: self.text("text"),
            accept,
            store: self.line("store"),
            retries,
            retry_text: self.text("retry_text"),
            routes: self.routes(),
            otherwise: self.to("otherwise"),
            no_reply,
        })
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> = (0..MOST_ROUTES)
            .filter_map(|n| {
                let op = Op::of_word(&self.line(&format!("route-op-{n}")))?;
                Some(Route {
                    field: self.maybe(&format!("route-field-{n}")),
                    op,
                    value: self.line(&format!("route-value-{n}")),
                    to: self.to(&format!("route-to-{n}")),
                })
            })
            .collect();
        let pressed = self.pressed();
        let at = |button: &str| pressed.strip_prefix(button)?.parse::<usize>().ok().filter(|at| *at < routes.len());
        if let Some(at) = at("remove-route-") {
            routes.remove(at);
        } else if let Some(at) = at("up-route-").filter(|at| *at > 0) {
            routes.swap(at, at - 1);
        } else if pressed == "add-route" && routes.len() < MOST_ROUTES {
            routes.push(Route { field: None, op: Op::HasWord, value: String::new(), to: None });
        }
        routes
    }
}

/// One choice in a line: `yes: yeah, sure`.
fn choices(text: &str) -> Vec<Choice> {
    let choice = |line: &str| {
        let (value, synonyms) = line.split_once(':').unwrap_or((line, ""));
        let synonyms = synonyms.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty());
        Choice { value: value.trim().to_owned(), synonyms: synonyms.collect() }
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(choice).collect()
}

/// The same as it is shown.
pub(super) fn choices_as_text(choices: &[Choice]) -> String {
    let line = |choice: &Choice| match choice.synonyms.is_empty() {
        true => choice.value.clone(),
        false => format!("{}: {}", choice.value, choice.synonyms.join(", ")),
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> StepForm {
        StepForm::read(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    fn ask() -> Step {
        Step { id: StepId("s1".into()), name: "Ask".into(), act: Act::of_word("ask").unwrap() }
    }

    #[test]
    fn choices_come_back_as_they_were_typed() {
        let text = "yes: yeah, sure\nno";
        assert_eq!(choices_as_text(&choices(text)), text);
        assert_eq!(choices(" \nyes : y ,,\n").len(), 1);
    }

    #[test]
    fn conditions_are_added_raised_and_removed_without_a_script() {
        let pairs = [
            ("route-op-0", "is"),
            ("route-value-0", "yes"),
            ("route-op-1", "is_empty"),
            ("route-field-1", "city"),
            ("route-to-1", "s2"),
        ];
        let routes = |press: &str| {
            let (step, _) = form(&[&pairs[..], &[("press", press)]].concat()).step(&ask());
            step.act.routes().iter().map(|route| route.op.word()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(routes("save"), "is is_empty");
        assert_eq!(routes("add-route"), "is is_empty has_word");
        assert_eq!(routes("up-route-1"), "is_empty is");
        assert_eq!(routes("up-route-0"), "is is_empty");
        assert_eq!(routes("remove-route-0"), "is_empty");
        assert_eq!(routes("remove-route-9"), "is is_empty");
    }

    #[test]
    fn what_is_no_number_says_so_and_the_rest_is_kept() {
        let (step, errors) = form(&[("text", "How?"), ("retries", "many"), ("no_reply_after", "soon")]).step(&ask());
        assert!(errors.of("retries").is_some() && errors.of("no_reply_after").is_some());
        assert_eq!(step.act.text(), Some("How?"));
    }
}
