//! domain: Bots as JSON, to take away and to bring back. The format stands in the [room](super).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checks::MOST_STEPS;
use super::conditions::Route;
use super::steps::{Choice, Step, Steps};

/// The only format there is so far.
const FORMAT: u64 = 1;
/// Characters of an id at most.
const LONGEST_ID: usize = 40;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    pub bugle_bot: u64,
    pub name: String,
    pub version: Option<i32>,
    pub steps: Steps,
}

/// Something that cannot be read, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// Such as `steps[2].routes[0].op`; empty for the whole.
    pub path: String,
    pub says: String,
}

pub fn write(name: &str, version: Option<i32>, steps: &Steps) -> String {
    let exported = Exported { bugle_bot: FORMAT, name: name.to_owned(), version, steps: steps.clone() };
    // A value of strings, numbers and lists is always JSON.
    serde_json::to_string_pretty(&exported).unwrap_or_default()
}

/// Reads a bot. Whatever would be lost is an error, too.
pub fn read(text: &str) -> Result<Exported, Vec<Wrong>> {
    let mut wrong = Wrongs::default();
    let value: Value = match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(value) => value,
        Err(error) => {
            wrong.add("", format!("This is no JSON: {error}."));
            return Err(wrong.0);
        }
    };
    if text.contains("\\u0000") {
        wrong.add("", "The character \\u0000 cannot be stored. Take it out.");
        return Err(wrong.0);
    }
    let Value::Object(whole) = &value else {
        wrong.add("", "A bot is an object: { \"bugle_bot\": 1, \"name\": …, \"steps\": […] }.");
        return Err(wrong.0);
    };
    match whole.get("bugle_bot").and_then(Value::as_u64) {
        Some(FORMAT) => {}
        Some(other) => wrong.add("bugle_bot", format!("This is format {other}; only format {FORMAT} can be read.")),
        None => wrong.add("bugle_bot", format!("Missing. Write \"bugle_bot\": {FORMAT}.")),
    }
    for key in whole.keys().filter(|key| !["bugle_bot", "name", "version", "steps"].contains(&key.as_str())) {
        wrong.add(key, "Nothing has this name. Take it out.");
    }
    let name = whole.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !whole.get("name").is_none_or(Value::is_string) {
        wrong.add("name", "A name is a text.");
    }
    let mut steps = Vec::new();
    match whole.get("steps") {
        Some(Value::Array(list)) if list.len() > MOST_STEPS => {
            wrong.add("steps", format!("A bot has at most {MOST_STEPS} steps."));
        }
        Some(Value::Array(list)) => {
            for (n, value) in list.iter().enumerate() {
                steps.extend(step(&mut wrong, &format!("steps[{n}]"), value));
            }
        }
        Some(_) => wrong.add("steps", "The steps are a list: […]."),
        None => wrong.add("steps", "Missing. A bot has a list of steps."),
    }
    for (n, step) in steps.iter().enumerate() {
        if steps[..n].iter().any(|other: &Step| other.id == step.id) {
            wrong.add(&format!("steps[{n}].id"), format!("Another step has the id “{}”, too.", step.id));
        }
    }
    match wrong.0.is_empty() {
        true => Ok(Exported { bugle_bot: FORMAT, name, version: None, steps: Steps(steps) }),
        false => Err(wrong.0),
    }
}

#[derive(Default)]
struct Wrongs(Vec<Wrong>);

impl Wrongs {
    fn add(&mut self, path: &str, says: impl Into<String>) {
        self.0.push(Wrong { path: path.to_owned(), says: says.into() });
    }
}

/// Reads one step; parts that are lists first, so that an error names their place.
fn step(wrong: &mut Wrongs, path: &str, value: &Value) -> Option<Step> {
    let before = wrong.0.len();
    let Value::Object(whole) = value else {
        wrong.add(path, "A step is an object: { \"id\": …, \"name\": …, \"do\": … }.");
        return None;
    };
    match whole.get("id").and_then(Value::as_str) {
        Some(id) if is_id(id) => {}
        _ => wrong.add(
            &format!("{path}.id"),
            format!("An id is a text of 1 to {LONGEST_ID} letters a to z, digits, - and _."),
        ),
    }
    parts::<Route>(wrong, &format!("{path}.routes"), whole.get("routes"));
    if let Some(Value::Object(accept)) = whole.get("accept") {
        parts::<Choice>(wrong, &format!("{path}.accept.choices"), accept.get("choices"));
    }
    if wrong.0.len() > before {
        return None;
    }
    match serde_json::from_value::<Step>(value.clone()) {
        Ok(step) => {
            let written = serde_json::to_value(&step).unwrap_or_default();
            lost(wrong, path, value, &written);
            Some(step)
        }
        Err(error) => {
            wrong.add(path, in_words(&error));
            None
        }
    }
}

fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn parts<T: for<'de> Deserialize<'de>>(wrong: &mut Wrongs, path: &str, value: Option<&Value>) {
    match value {
        Some(Value::Array(list)) => {
            for (n, value) in list.iter().enumerate() {
                if let Err(error) = serde_json::from_value::<T>(value.clone()) {
                    wrong.add(&format!("{path}[{n}]"), in_words(&error));
                }
            }
        }
        Some(_) => wrong.add(path, "This is a list: […]."),
        None => {}
    }
}

fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

/// Names what `given` has and `written` has not.
fn lost(wrong: &mut Wrongs, path: &str, given: &Value, written: &Value) {
    match (given, written) {
        (Value::Object(given), Value::Object(written)) => lost_keys(wrong, path, given, written),
        (Value::Array(given), Value::Array(written)) => {
            for (n, (given, written)) in given.iter().zip(written).enumerate() {
                lost(wrong, &format!("{path}[{n}]"), given, written);
            }
        }
        _ => {}
    }
}

fn lost_keys(wrong: &mut Wrongs, path: &str, given: &Map<String, Value>, written: &Map<String, Value>) {
    for (key, value) in given {
        let path = format!("{path}.{key}");
        match written.get(key) {
            Some(written) => lost(wrong, &path, value, written),
            None => wrong.add(&path, "Nothing has this name here. Take it out."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::examples::EXAMPLES;

    #[test]
    fn what_is_exported_comes_back_as_it_was() {
        for example in EXAMPLES {
            let exported = write(example.name, Some(3), &example.steps());
            let read = read(&exported).unwrap();
            assert_eq!((read.name.as_str(), &read.steps), (example.name, &example.steps()));
        }
    }

    fn paths(text: &str) -> Vec<String> {
        read(text).unwrap_err().into_iter().map(|wrong| wrong.path).collect()
    }

    #[test]
    fn each_error_names_its_place_and_nothing_is_dropped_silently() {
        assert_eq!(paths("{"), [""]);
        assert_eq!(paths("[]"), [""]);
        assert_eq!(paths("{}"), ["bugle_bot", "steps"]);
        let steps = |steps: &str| format!("{{\"bugle_bot\": 1, \"name\": \"x\", \"steps\": {steps}}}");
        assert_eq!(paths(&steps(r#"[{"id": "a", "name": "\u0000", "do": "close"}]"#)), [""]);
        assert_eq!(paths(&steps("{}")), ["steps"]);
        assert_eq!(paths(&steps("[1]")), ["steps[0]"]);
        assert_eq!(paths(&steps(r#"[{"id": "a b", "name": "x", "do": "close"}]"#)), ["steps[0].id"]);
        assert_eq!(paths(&steps(r#"[{"id": "a", "name": "x", "do": "dance"}]"#)), ["steps[0]"]);
        assert_eq!(paths(&steps(r#"[{"id": "a", "name": "x", "do": "close", "txt": ""}]"#)), ["steps[0].txt"]);
        assert_eq!(
            paths(&steps(r#"[{"id": "a", "name": "x", "do": "close"}, {"id": "a", "name": "x", "do": "close"}]"#)),
            ["steps[1].id"]
        );
        assert_eq!(
            paths(&steps(r#"[{"id": "a", "name": "x", "do": "branch", "routes": [{"op": "is"}, {"op": "was"}]}]"#)),
            ["steps[0].routes[1]"]
        );
        assert_eq!(
            paths(&steps(r#"[{"id": "a", "name": "x", "do": "branch", "routes": [{"op": "is", "too": "b"}]}]"#)),
            ["steps[0].routes[0].too"]
        );
    }
}
