//! One case: what comes out, against what is right.

use base64::Engine as _;
use bugle::conversations::{intake, pieces};
use bugle::deliveries::{Outcome, Word, merge};
use bugle::providers::answer::HttpAnswer;
use bugle::providers::key::StatusKey;
use bugle::providers::{
    Call, Event, Forged, Heard, Inbound, Kind, Later, Receipt, ReceiptStatus, RejectClass, RetryScope, SendOutcome,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::setting::{self, Adapter};
use crate::smpp;

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

pub fn now_of(case: &Value) -> DateTime<Utc> {
    instant(&case["setup"]["now"]).unwrap_or_else(|| "2026-11-28T12:00:00Z".parse().unwrap())
}

fn octets(it: &Value) -> Vec<u8> {
    match it["body_base64"].as_str() {
        Some(text) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        None => it["body"].as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn headers(it: &Value) -> Vec<(String, String)> {
    let headers = it["headers"].as_object().into_iter().flatten();
    headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or_default().to_owned())).collect()
}

pub fn check(case: &Value) -> Result<(), String> {
    if case["provider"] == "smpp" {
        return smpp::check(case);
    }
    let (adapter, kind, region) = setting::channel(case, None)?;
    let right = &case["right"];
    if case["answer"].is_object() {
        return answer(case, &adapter);
    }
    let calls: Vec<&Value> = match case["calls"].as_array() {
        Some(calls) => calls.iter().collect(),
        None => vec![&case["call"]],
    };
    let several = case["calls"].is_array();
    let (mut stored, mut said) = (Vec::new(), Vec::new());
    for (n, call) in calls.iter().enumerate() {
        let right_events = if several { &right["events"][n] } else { &right["events"] };
        let heard = hear(call, &adapter, now_of(case));
        let status = match &heard {
            Ok(_) => 200,
            Err(Forged::BadSignature) => 401,
            Err(Forged::Unreadable(_)) => 400,
        };
        check_answer(&right["answer"], status, heard.as_ref().ok())?;
        let mut events = Vec::new();
        if let Ok(heard) = heard {
            events = heard.events;
            // What it says of other numbers is read by their channels.
            for number in heard.elsewhere.into_iter().filter(|number| setting::is_ours(case, number)) {
                let (other, ..) = setting::channel(case, Some(&number))?;
                events.extend(hear(call, &other, now_of(case)).map(|heard| heard.events).unwrap_or_default());
            }
        }
        let events = events.into_iter().filter_map(|event| readable(event, kind, &region));
        let mut events: Vec<Event> = events.collect();
        // What has come before under the same name is not stored a second time.
        events.retain(|event| match event {
            Event::Inbound(it) => {
                let is_new = !stored.contains(&it.id);
                stored.push(it.id.clone());
                is_new
            }
            _ => true,
        });
        said.extend(events.iter().filter_map(|event| match event {
            Event::Inbound(it) => Some(it.clone()),
            _ => None,
        }));
        compare(&events, right_events, kind)?;
        effective(case, &events)?;
        touches(case, &events, kind)?;
    }
    if let Some(n) = right["messages_stored"].as_u64() {
        want("messages stored", &json!(n), &json!(said.len()))?;
    }
    joined(right, &said, kind)
}

fn hear(call: &Value, adapter: &Adapter, at: DateTime<Utc>) -> Result<Heard, Forged> {
    let (headers, body) = (headers(call), octets(call));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (method, url) = (call["method"].as_str().unwrap_or("POST"), call["url"].as_str().unwrap_or_default());
    adapter.provider().read(&Call { method, url, headers: &headers, body: &body, at })
}

/// As the product stores it.
pub fn readable(event: Event, kind: Kind, region: &str) -> Option<Event> {
    match event {
        Event::Inbound(it) => intake::readable(kind, region, it).map(Event::Inbound),
        other => Some(other),
    }
}

fn check_answer(right: &Value, status: u64, heard: Option<&Heard>) -> Result<(), String> {
    let wanted = right["status"].as_u64().unwrap_or(200);
    // Refused in one way or the other.
    let same = wanted == status || ([401, 403].contains(&wanted) && [401, 403].contains(&status));
    if !same {
        return Err(format!("answered with {status}, and {wanted} is right"));
    }
    let answer = heard.and_then(|heard| heard.answer.as_ref());
    if let Some(body) = right["body"].as_str() {
        want("answer", &json!(body), &json!(answer.map(|it| it.body.as_str()).unwrap_or_default()))?;
    }
    if let Some(contained) = right["body_contains"].as_object() {
        let body = answer.map(|it| it.body.as_str()).unwrap_or_default();
        let body: Value = serde_json::from_str(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
        for (name, value) in contained {
            want(name, value, &body[name])?;
        }
    }
    if let Some(kind) = right["content_type"].as_str() {
        let ours = answer.map(|it| it.content_type.split(';').next().unwrap_or_default()).unwrap_or_default();
        want("content type", &json!(kind), &json!(ours))?;
    }
    Ok(())
}

pub fn want(what: &str, right: &Value, ours: &Value) -> Result<(), String> {
    if right == ours { Ok(()) } else { Err(format!("{what}: {right} is right, and it is {ours}")) }
}

/// An address without what providers put before it.
fn bare(address: &str, kind: Kind) -> String {
    let address = address.split_once(':').map_or(address, |(_, rest)| rest);
    if kind.is_phone() && kind != Kind::Viber { address.trim_start_matches('+').to_owned() } else { address.to_owned() }
}

fn same_address(right: &Value, ours: Option<&str>, kind: Kind) -> bool {
    match right.as_str() {
        Some(right) => ours.is_some_and(|ours| bare(right, kind) == bare(ours, kind)),
        None => true,
    }
}

fn same_time(right: &Value, ours: Option<DateTime<Utc>>) -> bool {
    match right {
        // Not told by the call: then we say none either.
        Value::Null => true,
        right => instant(right) == ours,
    }
}

/// Each event that is right, in its order. Those that are of no person may be left out or be there.
pub fn compare(events: &[Event], right: &Value, kind: Kind) -> Result<(), String> {
    let is_quiet = |word: &str| ["ignored", "other"].contains(&word);
    let right: Vec<&Value> = right.as_array().into_iter().flatten().collect();
    let spoken: Vec<&&Value> = right.iter().filter(|it| !is_quiet(it["type"].as_str().unwrap_or_default())).collect();
    let mut ours: Vec<&Event> = events.iter().filter(|event| !matches!(event, Event::Other(_))).collect();
    for it in &spoken {
        let at = ours.iter().position(|event| same(event, it, kind).is_ok());
        match at {
            Some(at) => drop(ours.remove(at)),
            None => {
                let why: Vec<String> = ours.iter().filter_map(|event| same(event, it, kind).err()).collect();
                return Err(format!("not there: {it}\nthere is: {ours:?}\n{}", why.join("\n")));
            }
        }
    }
    // What arrived may be told by its name and by the instant up to which everything has: one of them is enough.
    let told = |it: &Receipt| spoken.iter().any(|right| right["state"] == it.status.word());
    ours.retain(|event| match event {
        Event::Receipt(it) => it.about.to().is_none() || !told(it),
        _ => true,
    });
    if ours.is_empty() { Ok(()) } else { Err(format!("nobody said this: {ours:?}")) }
}

fn same(event: &Event, right: &Value, kind: Kind) -> Result<(), String> {
    let word = right["type"].as_str().unwrap_or_default();
    match (event, word) {
        (Event::Inbound(it), "message") if it.part.is_none() => same_message(it, right, kind),
        (Event::Inbound(it), "message-part") => {
            let part = it.part.as_ref().ok_or("no part")?;
            let reference = &right["part"]["ref"];
            let written = reference.as_str().map_or_else(|| reference.to_string(), str::to_owned);
            want("reference", &json!(written), &json!(part.of_text))?;
            want("of", &right["part"]["of"], &json!(part.of))?;
            want("n", &right["part"]["n"], &json!(part.n))?;
            if right["id"].is_string() {
                want("id", &right["id"], &json!(it.id))?;
            }
            Ok(())
        }
        (Event::Receipt(it), "status") => same_status(it, right, kind),
        (Event::Consent(it), "opt-out" | "opt-in") => {
            want("wants", &json!(word == "opt-in"), &json!(it.wants))?;
            match same_address(&right["from"], Some(&it.from), kind) {
                true => Ok(()),
                false => Err(format!("from {}", it.from)),
            }
        }
        _ => Err("of another kind".to_owned()),
    }
}

fn same_message(it: &Inbound, right: &Value, kind: Kind) -> Result<(), String> {
    want("text", &right["text"], &json!(it.text))?;
    if right["id"].is_string() {
        want("id", &right["id"], &json!(it.id))?;
    }
    if !same_address(&right["from"], Some(&it.from), kind) || !same_address(&right["to"], it.to.as_deref(), kind) {
        return Err(format!("from {} to {:?}", it.from, it.to));
    }
    if !same_time(&right["time"], it.at) {
        return Err(format!("time: {} is right, and it is {:?}", right["time"], it.at));
    }
    let media: Vec<&Value> = right["media"].as_array().into_iter().flatten().collect();
    want("files", &json!(media.len()), &json!(it.media.len()))?;
    for (right, ours) in media.iter().zip(&it.media) {
        if right["url"].is_string() {
            want("url", &right["url"], &json!(ours.url))?;
        }
        if let Some(kind) = right["content_type"].as_str() {
            // Some say only what it is: a picture.
            let ours = if kind.contains('/') { &ours.content_type } else { &ours.kind };
            want("content type", &json!(kind), &json!(ours))?;
        }
        if right["media_id"].is_string() {
            want("id", &right["media_id"], &json!(ours.id))?;
        }
        if right["kind"].is_string() {
            want("kind", &right["kind"], &json!(ours.kind))?;
        }
        if let Some(name) = right["name"].as_str().filter(|name| !ours.about.contains(*name)) {
            return Err(format!("{name} is right, and it is {}", ours.about));
        }
        if right["latitude"].is_number() {
            let place = format!("geo:{},{}", right["latitude"], right["longitude"]);
            want("place", &json!(place), &json!(ours.url))?;
        }
    }
    if let Some(choice) = right.get("choice").filter(|it| it["kind"] == "form") {
        want("form", &choice["data"], &json!(it.form))?;
    } else if let Some(choice) = right.get("choice") {
        want("choice", &choice["id"], &json!(it.choice.as_ref().map(|it| it.id.as_str())))?;
        if choice["title"].is_string() {
            want("title", &choice["title"], &json!(it.choice.as_ref().map(|it| it.title.as_str())))?;
        }
    }
    if right["reply_to"].is_string() {
        want("reply to", &right["reply_to"], &json!(it.reply_to))?;
    }
    if right["name"].is_string() {
        want("name", &right["name"], &json!(it.name))?;
    }
    Ok(())
}

fn same_status(it: &Receipt, right: &Value, kind: Kind) -> Result<(), String> {
    want("state", &right["state"], &json!(it.status.word()))?;
    let (ours, theirs) = match &it.about {
        StatusKey::Ours(key) => (Some(key.to_string()), it.reference.clone()),
        StatusKey::Strange(name) => (Some(name.clone()), it.reference.clone()),
        StatusKey::Named { ours, theirs } => (Some(ours.to_string()), Some(theirs.clone())),
        about => (None, about.theirs().map(str::to_owned)),
    };
    if right["until"].is_string() {
        let until = match &it.about {
            StatusKey::UpTo { until, .. } => Some(*until),
            _ => None,
        };
        want("until", &json!(instant(&right["until"])), &json!(until))?;
    }
    if right["our_id"].is_string() {
        want("our id", &right["our_id"], &json!(ours))?;
    }
    if right["id"].is_string() {
        want("id", &right["id"], &json!(theirs))?;
    }
    if right["code"].is_string() {
        want("code", &right["code"], &json!(it.code))?;
    }
    if let Some(class) = right["class"].as_str() {
        // That somebody may be there later is no fault of a class of ours.
        let class = if ["temporary", "rate-limited"].contains(&class) { "other" } else { class };
        let ours = it.class.map(class_word);
        let near = ours.is_some_and(|ours| is_near(class, ours));
        if !near {
            want("class", &json!(class), &json!(ours))?;
        }
    }
    if !same_address(&right["to"], it.to.as_deref(), kind) && it.to.is_some() {
        return Err(format!("to {:?}", it.to));
    }
    if !same_time(&right["time"], it.at) {
        return Err(format!("time: {} is right, and it is {:?}", right["time"], it.at));
    }
    Ok(())
}

/// A refusal whose cause is the address that we ask has no word of its own there.
fn class_word(class: RejectClass) -> &'static str {
    match class {
        RejectClass::Misset => RejectClass::Other.word(),
        // There what is wrong with a template is what the message says.
        RejectClass::Template => RejectClass::Content.word(),
        class => class.word(),
    }
}

/// Who cannot be reached has no word of their own there: it is a block, or nobody says why.
fn is_near(right: &str, ours: &str) -> bool {
    ours == "unreachable" && ["other", "blocked"].contains(&right)
}

/// What is shown afterwards: what was recorded, and what is told now.
pub fn effective(case: &Value, events: &[Event]) -> Result<(), String> {
    let Some(right) = case["right"]["effective_state"].as_str() else { return Ok(()) };
    let mut word = Word::default();
    let recorded = case["setup"]["recorded_before"].as_array().into_iter().flatten();
    let told = recorded.filter_map(|it| ReceiptStatus::of_word(it["state"].as_str()?)).map(|status| (status, None));
    let now = events.iter().filter_map(|event| match event {
        Event::Receipt(it) => Some((it.status, it.class)),
        _ => None,
    });
    for (status, class) in told.chain(now) {
        word = merge(word, status, class).unwrap_or(word);
    }
    let shown = match (word.outcome, word.progress) {
        (Some(Outcome::Delivered), Some(3)) => "read",
        (Some(Outcome::Delivered), _) => "delivered",
        (Some(_), _) => "failed",
        (None, Some(2)) => "sent",
        (None, Some(_)) => "accepted",
        (None, None) => "nothing",
    };
    want("what is shown", &json!(right), &json!(shown))
}

/// Which of those that were sent are told of: by their names, or because they had left for somebody by an instant.
fn touches(case: &Value, events: &[Event], kind: Kind) -> Result<(), String> {
    let Some(right) = case["right"]["touches"].as_array() else { return Ok(()) };
    let told: Vec<&Receipt> = events
        .iter()
        .filter_map(|event| match event {
            Event::Receipt(it) => Some(it),
            _ => None,
        })
        .collect();
    let is_told = |sent: &&Value| {
        told.iter().any(|it| match &it.about {
            StatusKey::UpTo { to, until } => {
                same_address(&sent["to"], Some(to), kind) && instant(&sent["time"]).is_some_and(|at| at <= *until)
            }
            about => about.theirs().is_some_and(|theirs| sent["id"] == theirs),
        })
    };
    let sent = case["setup"]["sent"].as_array().into_iter().flatten();
    let touched: Vec<&Value> = sent.filter(is_told).map(|sent| &sent["id"]).collect();
    want("told of", &json!(right), &json!(touched))
}

/// Pieces of a text, put together as the product puts them.
pub fn joined(right: &Value, said: &[Inbound], kind: Kind) -> Result<(), String> {
    if !right["joined"].is_object() {
        return Ok(());
    }
    let parts: Vec<(i32, i32, Inbound)> = said
        .iter()
        .filter_map(|it| it.part.as_ref().map(|part| (i32::from(part.n), i32::from(part.of), it.clone())))
        .collect();
    let whole = pieces::join(parts).ok_or("no text came of the pieces")?;
    same_message(&whole, &right["joined"], kind)
}

/// What an answer to a send of ours means.
fn answer(case: &Value, adapter: &Adapter) -> Result<(), String> {
    let (it, right) = (&case["answer"], &case["right"]);
    let answer =
        HttpAnswer { status: it["status"].as_u64().unwrap_or_default() as u16, headers: headers(it), body: octets(it) };
    same_outcome(&adapter.outcome(answer, now_of(case)), right)
}

pub fn same_outcome(outcome: &SendOutcome, right: &Value) -> Result<(), String> {
    let (class, scope, wait, id, code) = match outcome {
        SendOutcome::Accepted { provider_ref } => ("accepted", None, None, provider_ref.clone(), None),
        SendOutcome::Rejected { class, code } => (class_word(*class), None, None, None, Some(code.clone())),
        SendOutcome::RetryLater { why, after, scope, code } => {
            let class = if *why == Later::TooFast { "rate-limited" } else { "temporary" };
            (class, Some(*scope), Some(after.as_secs()), None, Some(code.clone()))
        }
        SendOutcome::Unknown { code } => ("unknown-fate", None, None, None, Some(code.clone())),
    };
    if let Some(parts) = right["parts"].as_array() {
        // One send is one message here: what was taken in part is never sent again by itself.
        let all_taken = parts.iter().all(|part| part["class"] == "accepted");
        return want("class", &json!(if all_taken { "accepted" } else { "unknown-fate" }), &json!(class));
    }
    if !is_near(right["class"].as_str().unwrap_or_default(), class) {
        want("class", &right["class"], &json!(class)).map_err(|what| format!("{what}\n{outcome:?}"))?;
    }
    if let (Some(right), Some(scope)) = (right["scope"].as_str(), scope) {
        let word = match scope {
            RetryScope::Recipient => "recipient",
            RetryScope::Sender => "sender",
            RetryScope::Channel => "channel",
            RetryScope::Account => "account",
        };
        want("scope", &json!(right), &json!(word))?;
    }
    if right["retry_after"].is_number() {
        want("retry after", &right["retry_after"], &json!(wait))?;
    }
    if let Some(right) = right.get("id") {
        want("id", right, &json!(id))?;
    }
    if let (Some(right), Some(code)) = (right["code"].as_str(), code) {
        want("code", &json!(right), &json!(code))?;
    }
    Ok(())
}
