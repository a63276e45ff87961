//! domain: What differs between two versions, step by step.

use super::steps::{Accept, Act, Step, StepId, Steps, To};

use crate::words::words;

words! {
    pub enum How {
        Added = "added",
        Removed = "removed",
        Changed = "changed",
    }
}

/// A step that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub id: StepId,
    pub name: String,
    pub how: How,
    pub lines: Vec<DiffLine>,
}

/// One thing about a step, as it was and as it is; empty where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffLine {
    pub label: String,
    pub was: String,
    pub is: String,
}

/// The steps that differ, in the order of `after`; removed ones last.
///
/// A step also differs when the one below it does and it goes on there.
pub fn compare(before: &Steps, after: &Steps) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (at, step) in after.0.iter().enumerate() {
        let is = described(after, at);
        let was = before.place(&step.id).map(|at| described(before, at));
        let how = if was.is_some() { How::Changed } else { How::Added };
        differences.push(difference(step, how, &was.unwrap_or_default(), &is));
    }
    for (at, step) in before.0.iter().enumerate().filter(|(_, step)| after.place(&step.id).is_none()) {
        differences.push(difference(step, How::Removed, &described(before, at), &[]));
    }
    differences.retain(|difference| !difference.lines.is_empty());
    differences
}

fn difference(step: &Step, how: How, was: &[(String, String)], is: &[(String, String)]) -> Difference {
    let text = |lines: &[(String, String)], label: &str| {
        lines.iter().find(|(it, _)| it == label).map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let gone = was.iter().filter(|(label, _)| !is.iter().any(|(it, _)| it == label));
    let line = |label: &String| DiffLine { label: label.clone(), was: text(was, label), is: text(is, label) };
    let lines = is.iter().chain(gone).map(|(label, _)| line(label)).filter(|line| line.was != line.is).collect();
    Difference { id: step.id.clone(), name: step.name.clone(), how, lines }
}

/// Everything about a step, in words.
pub fn described(steps: &Steps, at: usize) -> Vec<(String, String)> {
    let step = &steps.0[at];
    let place = |to: &To| match steps.follow(at, to) {
        Ok(next) if to.is_none() => format!("the step below ({})", steps.0[next].name),
        Ok(_) | Err(_) => steps.words_of(to),
    };
    let mut lines = vec![("Name".to_owned(), step.name.clone()), ("Does".to_owned(), step.act.label().to_owned())];
    let mut line = |label: &str, text: &str| {
        if !text.is_empty() {
            lines.push((label.to_owned(), text.to_owned()));
        }
    };
    line("Says", step.act.text().unwrap_or_default());
    match &step.act {
        Act::Ask(ask) => {
            match &ask.accept {
                Accept::Text => line("Accepts", "any text"),
                Accept::Entity { entity } => line("Accepts", &entity.label().to_lowercase()),
                Accept::Choices { choices } => {
                    let choice = |choice: &super::steps::Choice| match choice.synonyms.is_empty() {
                        true => choice.value.clone(),
                        false => format!("{}: {}", choice.value, choice.synonyms.join(", ")),
                    };
                    line("Accepts", &choices.iter().map(choice).collect::<Vec<_>>().join("\n"));
                }
            }
            if ask.retries > 0 {
                line("Asks again", &format!("{} times", ask.retries));
                line("Then says", &ask.retry_text);
            }
        }
        Act::Entity { entity, field, .. } => {
            line("Looks for", &entity.label().to_lowercase());
            line("Looks in", field.as_deref().unwrap_or("what was said last"));
        }
        Act::SetField { value, .. } => line("Value", value),
        Act::Label { label, .. } => line("Label", label),
        Act::Message { .. } | Act::Branch { .. } | Act::HandOver { .. } | Act::Block { .. } | Act::Close { .. } => {}
    }
    line("Keeps it in", step.act.sets().unwrap_or_default());
    let ways = step.act.ways();
    let way = |(words, to): &(String, &To)| match words.is_empty() {
        true => place(to),
        false => format!("{words}: {}", place(to)),
    };
    line("Goes on to", &ways.iter().map(way).collect::<Vec<_>>().join("\n"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(json: serde_json::Value) -> Steps {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_was_added_removed_and_changed_is_told_with_both_texts() {
        let before = steps(serde_json::json!([
            {"id": "a", "name": "Hello", "do": "message", "text": "Hi"},
            {"id": "b", "name": "Old", "do": "message", "text": "x"},
            {"id": "c", "name": "Bye", "do": "close"}]));
        let after = steps(serde_json::json!([
            {"id": "a", "name": "Hello", "do": "message", "text": "Hello"},
            {"id": "d", "name": "New", "do": "label", "label": "y"},
            {"id": "c", "name": "Bye", "do": "close"}]));
        let told: Vec<_> = compare(&before, &after).into_iter().map(|it| (it.id.0, it.how, it.lines)).collect();
        let line = |label: &str, was: &str, is: &str| DiffLine { label: label.into(), was: was.into(), is: is.into() };
        assert_eq!(
            told[0],
            (
                "a".into(),
                How::Changed,
                vec![line("Says", "Hi", "Hello"), line("Goes on to", "the step below (Old)", "the step below (New)")]
            )
        );
        assert_eq!(
            (told[1].0.as_str(), told[1].1, told[2].0.as_str(), told[2].1),
            ("d", How::Added, "b", How::Removed)
        );
        assert_eq!(told.len(), 3, "what stayed is not told");
        assert_eq!(compare(&after, &after), []);
    }
}
