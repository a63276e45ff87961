//! What a gateway's answer means, by its table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::gateway::AnswerShape;
use super::rules::{AnswerRule, Judged};
use crate::providers::answer::HttpAnswer;
use crate::providers::class::AnswerMeans;
use crate::providers::said::Said;
use crate::providers::{RejectClass, RetryScope};

/// What an answer says of a send.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub verdict: AnswerMeans,
    pub id: Option<String>,
    pub code: String,
}

/// What a code means: as it is, or the words of the table that stand in the answer.
pub fn meaning(codes: &BTreeMap<String, String>, code: &str, text: &str) -> Option<AnswerMeans> {
    let exact = |code: &str| codes.iter().find(|(it, _)| it.trim().eq_ignore_ascii_case(code.trim()));
    let known = exact(code).or_else(|| code.split('/').find_map(exact));
    let text = text.to_lowercase();
    // Short ones could stand anywhere.
    let said = || codes.iter().find(|(words, _)| 3 < words.len() && text.contains(&words.to_lowercase()));
    AnswerMeans::parse(known.or_else(said)?.1)
}

/// The values of these pointers, as one code.
pub fn code_of(said: &Said, pointers: &[String]) -> Option<String> {
    let found: Vec<String> = pointers.iter().filter_map(|pointer| said.text(pointer)).collect();
    (!found.is_empty()).then(|| found.join("/"))
}

pub fn judge(shape: &AnswerShape, answer: &HttpAnswer, now: DateTime<Utc>) -> Judgement {
    let code = format!("HTTP {}", answer.status);
    // It broke off: perhaps it is sent, and no name can be made of a fragment.
    let Some(text) = answer.text() else {
        let code = format!("{code}, and the answer broke off");
        return Judgement { verdict: AnswerMeans::Unknown, id: None, code };
    };
    let said = answer.said();
    let whole = Judged { answer, text: &text, said: said.as_ref() };
    let wait = answer.retry_after(now);
    if shape.later.as_ref().is_some_and(|rule| rule.holds(&whole)) {
        return Judgement { verdict: AnswerMeans::throttled(RetryScope::Channel).after(wait), id: None, code };
    }
    if shape.not_now.as_ref().is_some_and(|rule| rule.holds(&whole)) {
        return Judgement { verdict: AnswerMeans::not_now(RetryScope::Channel).after(wait), id: None, code };
    }
    let parts = match (&shape.each, &said) {
        (Some(each), Some(said)) => said.each(Some(each)),
        _ => Vec::new(),
    };
    if shape.each.is_some() && !parts.is_empty() {
        let judged = parts.iter().map(|part| {
            let it = Judged { said: Some(part), ..whole };
            by_rules(shape, &shape.code, &it).unwrap_or_else(|| otherwise(shape, answer, code.clone(), wait))
        });
        return together(judged.collect()).with_wait(wait);
    }
    let code_at = if shape.each.is_some() { &shape.whole_code } else { &shape.code };
    // A list of parts with none in it accepts nothing, whatever the status says.
    let found = match shape.each.is_some() && said.is_some() {
        true => by_code(shape, code_at, &whole),
        false => by_rules(shape, code_at, &whole),
    };
    found.unwrap_or_else(|| otherwise(shape, answer, code, wait)).with_wait(wait)
}

fn by_rules(shape: &AnswerShape, code_at: &[String], it: &Judged<'_>) -> Option<Judgement> {
    if shape.accepted.as_ref().is_some_and(|rule| rule.holds(it)) {
        let name = |rule: &AnswerRule| rule.found(it).filter(|id| !shape.no_ids.contains(id));
        // It should say a name in a shape that it does not have: this is not the answer that was meant.
        if it.said.is_none() && shape.id.as_ref().is_some_and(AnswerRule::asks_fields) {
            let code = format!("HTTP {}, and the answer cannot be read", it.answer.status);
            return Some(Judgement { verdict: AnswerMeans::Unknown, id: None, code });
        }
        let code = format!("HTTP {}", it.answer.status);
        return Some(Judgement { verdict: AnswerMeans::Accepted, id: shape.id.as_ref().and_then(name), code });
    }
    if shape.rejected.as_ref().is_some_and(|rule| rule.holds(it)) {
        let group = shape.rejected.as_ref().and_then(|rule| rule.captured(it));
        let code = it.said.and_then(|said| code_of(said, code_at)).or(group);
        let code = code.unwrap_or_else(|| format!("HTTP {}", it.answer.status));
        let verdict = meaning(&shape.codes, &code, it.text).unwrap_or(AnswerMeans::Rejected(RejectClass::Other));
        return Some(Judgement { verdict, id: None, code });
    }
    by_code(shape, code_at, it)
}

fn by_code(shape: &AnswerShape, code_at: &[String], it: &Judged<'_>) -> Option<Judgement> {
    let code = it.said.and_then(|said| code_of(said, code_at))?;
    let verdict = meaning(&shape.codes, &code, "")?;
    Some(Judgement { verdict, id: None, code })
}

/// What an answer means that fits no rule.
fn otherwise(shape: &AnswerShape, answer: &HttpAnswer, code: String, wait: Option<std::time::Duration>) -> Judgement {
    let verdict = match answer.status {
        // Not followed: the address is wrong, or somebody stands between.
        300..=399 | 404 | 405 | 407 => AnswerMeans::Rejected(RejectClass::Misset),
        401 | 403 => AnswerMeans::Rejected(RejectClass::ChannelConfig),
        402 => AnswerMeans::Rejected(RejectClass::AccountLimit),
        429 => AnswerMeans::throttled(RetryScope::Channel).after(wait),
        400..=499 if ![408, 409, 425].contains(&answer.status) => AnswerMeans::Rejected(RejectClass::Other),
        _ => AnswerMeans::parse(&shape.otherwise).unwrap_or(AnswerMeans::Unknown),
    };
    Judgement { verdict, id: None, code }
}

/// What the parts say together. Where some were taken and others not, nobody can send the whole again.
fn together(judged: Vec<Judgement>) -> Judgement {
    let (n, taken) = (judged.len(), judged.iter().filter(|it| it.verdict == AnswerMeans::Accepted).count());
    let other = judged.iter().find(|it| it.verdict != AnswerMeans::Accepted);
    match other {
        Some(other) if taken > 0 => {
            let code = format!("{taken} of {n} parts: {}", other.code);
            Judgement { verdict: AnswerMeans::Unknown, id: None, code }
        }
        Some(other) => other.clone(),
        None => judged.into_iter().next().unwrap_or(Judgement {
            verdict: AnswerMeans::Unknown,
            id: None,
            code: "no part".to_owned(),
        }),
    }
}

impl Judgement {
    fn with_wait(self, wait: Option<std::time::Duration>) -> Judgement {
        Judgement { verdict: self.verdict.after(wait), ..self }
    }
}
