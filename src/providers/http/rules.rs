//! Rules about answers, as people write them: `status 2xx`, `body matches ^OK`, `JSON /status = 0`,
//! `XPath /answer/result = 1 and status 200`.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::providers::answer::HttpAnswer;
use crate::providers::said::Said;

/// All of its conditions hold. It is kept as it was written.
#[derive(Clone, Debug)]
pub struct AnswerRule {
    written: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    of: Of,
    test: Test,
}

#[derive(Clone, Debug)]
enum Of {
    Status,
    Body,
    Header(String),
    /// A JSON pointer.
    Field(String),
}

#[derive(Clone, Debug)]
enum Test {
    IsThere,
    /// One of these, in any case of letters.
    Is(Vec<String>),
    IsNot(Vec<String>),
    Contains(String),
    StartsWith(String),
    Matches(Regex),
}

/// An answer as rules are asked about it.
pub struct Judged<'a> {
    pub answer: &'a HttpAnswer,
    pub text: &'a str,
    /// Its fields, or those of one of its parts.
    pub said: Option<&'a Said>,
}

impl Judged<'_> {
    fn value(&self, of: &Of) -> Option<String> {
        match of {
            Of::Status => Some(self.answer.status.to_string()),
            Of::Body => Some(self.text.trim().to_owned()),
            Of::Header(name) => self.answer.header(name).map(str::to_owned),
            Of::Field(pointer) => self.said?.text(pointer),
        }
    }
}

impl Condition {
    fn holds(&self, it: &Judged<'_>) -> bool {
        let value = match &self.of {
            Of::Field(pointer) if matches!(self.test, Test::IsThere) => {
                return it.said.is_some_and(|said| said.get(pointer).is_some());
            }
            of => it.value(of),
        };
        let Some(value) = value else { return matches!(self.test, Test::IsNot(_)) };
        match &self.test {
            Test::IsThere => !value.is_empty(),
            Test::Is(words) => words.iter().any(|word| is(&self.of, &value, word)),
            Test::IsNot(words) => !words.iter().any(|word| is(&self.of, &value, word)),
            Test::Contains(text) => value.to_lowercase().contains(&text.to_lowercase()),
            Test::StartsWith(text) => value.to_lowercase().starts_with(&text.to_lowercase()),
            Test::Matches(regex) => regex.is_match(&value),
        }
    }
}

fn is(of: &Of, value: &str, word: &str) -> bool {
    match (of, word.split_once('-')) {
        // 2xx, 200-299
        (Of::Status, None) if word.ends_with("xx") => value.chars().next() == word.chars().next(),
        (Of::Status, Some((from, to))) => match (value.parse::<u16>(), from.trim().parse(), to.trim().parse::<u16>()) {
            (Ok(value), Ok(from), Ok(to)) => (from..=to).contains(&value),
            _ => false,
        },
        _ => value.trim().eq_ignore_ascii_case(word),
    }
}

impl AnswerRule {
    pub fn holds(&self, it: &Judged<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(it))
    }

    /// What its first group finds; the whole match, or the value, where there is none.
    pub fn found(&self, it: &Judged<'_>) -> Option<String> {
        self.conditions.iter().find_map(|condition| {
            let value = it.value(&condition.of)?;
            match &condition.test {
                Test::Matches(regex) => {
                    let found = regex.captures(&value)?;
                    found.get(1).or(found.get(0)).map(|it| it.as_str().to_owned())
                }
                _ if condition.holds(it) => Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
                _ => None,
            }
        })
    }

    /// The first group of a pattern in it, if it has one.
    pub fn captured(&self, it: &Judged<'_>) -> Option<String> {
        self.conditions.iter().find_map(|condition| match &condition.test {
            Test::Matches(regex) => {
                let value = it.value(&condition.of)?;
                regex.captures(&value)?.get(1).map(|it| it.as_str().to_owned())
            }
            _ => None,
        })
    }

    /// Whether it asks for something inside a body of a certain shape.
    pub fn asks_fields(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition.of, Of::Field(_)))
    }
}

impl FromStr for AnswerRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = text.trim().to_owned();
        let conditions: Vec<Condition> = parts(&written).map(condition).collect::<Result<_, String>>()?;
        if conditions.is_empty() {
            return Err("Write a rule, such as “status 2xx” or “JSON /status = 0”.".to_owned());
        }
        Ok(AnswerRule { written, conditions })
    }
}

/// Split at `and` between two conditions; a pattern may hold the word itself.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let begins = ["status", "body", "json", "xpath", "header"];
    let mut cuts = vec![0];
    for (at, word) in text.match_indices(" and ") {
        let rest = text.get(at + word.len()..).unwrap_or_default().trim_start().to_lowercase();
        if begins.iter().any(|begin| rest.starts_with(begin)) {
            cuts.push(at);
        }
    }
    cuts.push(text.len());
    let cut: Vec<&str> = cuts
        .windows(2)
        .filter_map(|ends| text.get(ends[0]..ends[1]))
        .map(|part| part.trim().trim_start_matches("and ").trim())
        .filter(|part| !part.is_empty())
        .collect();
    cut.into_iter()
}

fn condition(text: &str) -> Result<Condition, String> {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let (of, test) = match first.to_lowercase().as_str() {
        "status" => (Of::Status, rest),
        "body" => (Of::Body, rest),
        "header" => {
            let (name, test) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Of::Header(name.to_lowercase()), test)
        }
        "json" => {
            let (path, test) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Of::Field(json_pointer(path)), test)
        }
        "xpath" => {
            let (path, test) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Of::Field(xml_pointer(path)), test)
        }
        _ => return Err(format!("“{text}” begins with none of status, body, header, JSON, XPath.")),
    };
    if matches!(&of, Of::Field(path) if path.is_empty()) {
        return Err(format!("“{text}” does not say where to look, such as JSON /messages/0/status."));
    }
    let test = test.trim();
    if matches!(of, Of::Status) && test.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Condition { of, test: Test::Is(words(test)) });
    }
    Ok(Condition { of, test: test_of(test)? })
}

fn test_of(text: &str) -> Result<Test, String> {
    let rest = |sign: &str| {
        let rest = text.get(sign.len()..).filter(|_| text.to_lowercase().starts_with(sign))?;
        (rest.starts_with(char::is_whitespace) || !sign.ends_with(|c: char| c.is_alphanumeric())).then(|| rest.trim())
    };
    if text.is_empty() {
        return Ok(Test::IsThere);
    }
    if let Some(pattern) = rest("matches").or_else(|| rest("=~")).or_else(|| rest("~")) {
        let pattern = pattern.trim_matches('"');
        let regex = RegexBuilder::new(pattern).size_limit(1 << 20).build();
        return regex.map(Test::Matches).map_err(|error| format!("“{pattern}” is no pattern: {error}"));
    }
    let unquoted = |text: &str| text.trim_matches(['"', '\'']).to_owned();
    if let Some(word) = rest("contains") {
        return Ok(Test::Contains(unquoted(word)));
    }
    if let Some(word) = rest("starts with").or_else(|| rest("begins with")) {
        return Ok(Test::StartsWith(unquoted(word)));
    }
    if let Some(word) = rest("!=").or_else(|| rest("is not")) {
        return Ok(Test::IsNot(vec![unquoted(word)]));
    }
    if let Some(them) = rest("in") {
        return Ok(Test::Is(words(them.trim_matches(['(', ')', '[', ']']))));
    }
    if rest("exists").is_some() || rest("is there").is_some() {
        return Ok(Test::IsThere);
    }
    if let Some(word) = rest("==").or_else(|| rest("=")).or_else(|| rest("equals")).or_else(|| rest("is")) {
        return Ok(Test::Is(vec![unquoted(word)]));
    }
    Err(format!("“{text}” is no comparison; write =, !=, in, contains, starts with or matches."))
}

fn words(text: &str) -> Vec<String> {
    text.split([',', '|'])
        .map(|word| word.trim().trim_matches(['"', '\'']).to_owned())
        .filter(|it| !it.is_empty())
        .collect()
}

/// `/data/0/id`, `$.data[0].id` and `data.0.id` as a pointer.
pub fn json_pointer(path: &str) -> String {
    let path = path.trim();
    if path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    let path = path.trim_start_matches('$').trim_start_matches('.').replace('[', ".").replace([']', '\'', '"'], "");
    path.split('.').map(|step| format!("/{step}")).collect()
}

/// `/answer/result[1]/text()` as a pointer into [`Said`].
fn xml_pointer(path: &str) -> String {
    let steps = path.trim().split('/').filter(|step| !step.is_empty() && *step != "text()");
    let step = |step: &str| {
        let name = step.rsplit_once(':').map_or(step, |(_, name)| name);
        match name.split_once('[') {
            Some((name, n)) => match n.trim_end_matches(']').parse::<usize>() {
                Ok(n) if n > 1 => format!("/{name}/{}", n - 1),
                _ => format!("/{name}"),
            },
            None => format!("/{name}"),
        }
    };
    steps.map(step).collect()
}

impl fmt::Display for AnswerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartialEq for AnswerRule {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl serde::Serialize for AnswerRule {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Value::String(self.written.clone()).serialize(to)
    }
}

impl<'de> serde::Deserialize<'de> for AnswerRule {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: &str, status: u16, body: &str) -> bool {
        let answer = HttpAnswer { status, body: body.into(), headers: vec![("x-id".into(), "7".into())] };
        let said = answer.said();
        let judged = Judged { answer: &answer, text: body, said: said.as_ref() };
        rule.parse::<AnswerRule>().unwrap().holds(&judged)
    }

    #[test]
    fn rules_are_read_as_people_write_them() {
        let json = r#"{"data":[{"id":"9f"}],"status":0,"note":"Sent and gone"}"#;
        for rule in [
            "status 200",
            "status 2xx",
            "Status 200, 202",
            "status 200-204",
            "status = 200 and JSON /status = 0",
            "JSON $.data[0].id = 9F",
            "JSON data.0.id",
            "JSON /status in 0, 1",
            "JSON /note contains sent and gone",
            "JSON /note starts with Sent",
            "JSON /none != 1",
            "body matches ^\\{",
            "header X-Id is 7",
        ] {
            assert!(holds(rule, 200, json), "{rule}");
            assert!(!holds(&format!("{rule} and status 500"), 200, json), "{rule}");
        }
        for rule in ["status 201", "status 5xx", "JSON /none", "JSON /status = 1", "XPath /data/id", "body matches ^OK"]
        {
            assert!(!holds(rule, 200, json), "{rule}");
        }
        let xml = "<r><result>0</result><result>1</result></r>";
        assert!(holds("XPath /r/result[2] = 1 and XPath /r/result[1]/text() = 0", 200, xml));
        for wrong in ["", "sent", "JSON", "body matches (", "status maybe", "JSON /a ? b"] {
            assert!(wrong.parse::<AnswerRule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_rule_finds_is_its_group_or_the_value() {
        let answer = HttpAnswer { status: 200, body: b"OK 77".to_vec(), ..HttpAnswer::default() };
        let judged = Judged { answer: &answer, text: "OK 77", said: None };
        let found = |rule: &str| rule.parse::<AnswerRule>().unwrap().found(&judged);
        assert_eq!(found("body matches ^OK (\\d+)"), Some("77".into()));
        assert_eq!((found("body matches ^ERR (\\d+)"), found("JSON /id")), (None, None));
        assert_eq!("body matches ^ERROR:(\\d+)".parse::<AnswerRule>().unwrap().captured(&judged), None);
    }
}
