//! What a gateway calls us with, by its table.

use chrono_tz::Tz;
use regex::Regex;
use sha2::{Digest, Sha256};

use super::gateway::{CallIs, CallShape, MediaShape};
use super::judging::{code_of, meaning};
use crate::providers::key::{SendKey, StatusKey};
use crate::providers::said::{Said, instant, with_plus};
use crate::providers::{Call, ConsentNews, Event, Inbound, MediaHeard, Receipt, ReceiptStatus, TextPart};

/// Seconds within which the same words of the same person are one message, where nothing tells them apart.
const ONE_MESSAGE: i64 = 10;

/// What the call says. `door` is how its address ends behind the channel's.
pub fn read(shapes: &[CallShape], call: &Call<'_>, door: &str, said: &Said, zone: Tz) -> Vec<Event> {
    let fits = |shape: &&CallShape| {
        let at = shape.at.is_empty() || shape.at.iter().any(|at| at == door);
        at && shape.when.as_ref().is_none_or(|when| said.get(when).is_some())
    };
    let Some(shape) = shapes.iter().find(fits) else {
        return vec![Event::Other(format!("a call to “{door}” that fits nothing"))];
    };
    let parts = said.each(shape.each.as_deref());
    let event = |part: &Said| match shape.is {
        CallIs::Message => message(shape, call, part, zone),
        CallIs::Receipt => receipt(shape, part, zone),
        CallIs::OptOut => part.first(&shape.from).map(|from| {
            let id = part.first(&shape.id);
            Event::Consent(ConsentNews { from: with_plus(&from), wants: false, id })
        }),
    };
    let read =
        parts.iter().map(|part| event(part).unwrap_or_else(|| Event::Other("a call that names nobody".to_owned())));
    read.collect()
}

fn message(shape: &CallShape, call: &Call<'_>, said: &Said, zone: Tz) -> Option<Event> {
    let from = with_plus(&said.first(&shape.from)?);
    let charset = said.first(&shape.charset).unwrap_or_default();
    let text = shape.text.iter().find_map(|pointer| said.text_in(pointer, &charset)).unwrap_or_default();
    let at = said.first(&shape.time).and_then(|time| instant(&time, zone));
    let id = said.first(&shape.id).unwrap_or_else(|| {
        let at = at.map_or(call.at.timestamp() / ONE_MESSAGE, |at| at.timestamp_millis());
        let digest = Sha256::digest(format!("{from}\n{at}\n{text}"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    });
    let part = shape.part.as_ref().and_then(|part| {
        let (n, of) = (said.text(&part.n)?.parse().ok()?, said.text(&part.of)?.parse().ok()?);
        (1 < of && (1..=of).contains(&n)).then_some(TextPart { of_text: said.text(&part.of_text)?, n, of })
    });
    let media = shape.media.as_ref().map(|shape| media(shape, said)).unwrap_or_default();
    let to = said.first(&shape.to).map(|to| with_plus(&to));
    let name = said.first(&shape.name);
    Some(Event::Inbound(Inbound { id, from, text, at, to, part, media, name, ..Inbound::default() }))
}

fn media(shape: &MediaShape, said: &Said) -> Vec<MediaHeard> {
    let media = |part: Said| {
        Some(MediaHeard {
            url: part.text(&shape.url)?,
            content_type: part.text(&shape.content_type).unwrap_or_default(),
            ..MediaHeard::default()
        })
    };
    said.each(Some(&shape.each)).into_iter().filter_map(media).collect()
}

fn receipt(shape: &CallShape, said: &Said, zone: Tz) -> Option<Event> {
    let theirs = said.first(&shape.id);
    let about = about(said.first(&shape.our_id), theirs.clone())?;
    let state = |pointer: &String| {
        let word = said.text(pointer)?;
        shape.states.iter().find(|(it, _)| it.eq_ignore_ascii_case(word.trim())).map(|(_, status)| *status)
    };
    let status = shape.always.or_else(|| shape.state.iter().find_map(state))?;
    let code = code_of(said, &shape.code);
    let code = match (&shape.code_in, code) {
        (Some(pattern), Some(code)) => found(pattern, &code),
        (_, code) => code,
    };
    let verdict = code.as_deref().and_then(|code| meaning(&shape.codes, code, ""));
    let failed = status == ReceiptStatus::Failed;
    Some(Event::Receipt(Receipt {
        class: verdict.and_then(|verdict| verdict.class()).filter(|_| failed),
        code,
        reference: theirs,
        to: said.first(&shape.to).map(|to| with_plus(&to)),
        at: said.first(&shape.time).and_then(|time| instant(&time, zone)),
        ..Receipt::about(about, status)
    }))
}

fn found(pattern: &str, text: &str) -> Option<String> {
    Regex::new(pattern).ok()?.captures(text)?.get(1).map(|it| it.as_str().to_owned())
}

/// Which send is meant: ours, if it is named so, else by the provider's name for it.
pub fn about(ours: Option<String>, theirs: Option<String>) -> Option<StatusKey> {
    match (ours.as_deref().and_then(SendKey::parse), ours, theirs) {
        (Some(key), ..) => Some(StatusKey::Ours(key)),
        (None, Some(strange), Some(theirs)) if strange == theirs => Some(StatusKey::Theirs(theirs)),
        (None, Some(strange), _) => Some(StatusKey::Strange(strange)),
        (None, None, Some(theirs)) => Some(StatusKey::Theirs(theirs)),
        (None, None, None) => None,
    }
}
