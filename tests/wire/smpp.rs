//! Cases of SMPP: octets of a bind, through the exchange that a bind of the product goes by.

use std::time::Duration;

use bugle::providers::smpp::SmppSettings;
use bugle::providers::smpp::exchange::{BindStep, Exchange};
use bugle::providers::smpp::ids::IdForm;
use bugle::providers::smpp::pdu::Pdu;
use bugle::providers::smpp::statuses;
use bugle::providers::{Event, Kind, SendOutcome};
use bugle::wording::letters::Letters;
use serde_json::{Value, json};

use crate::case::{compare, effective, joined, now_of, readable, same_outcome, want};

/// The channel as somebody would set it up.
fn settings(setup: &Value) -> Result<SmppSettings, String> {
    let text = |name: &str| setup[name].as_str().unwrap_or_default().to_lowercase();
    let alphabet = text("smsc_default_alphabet");
    let has = |word: &str| alphabet.contains(word);
    let alphabet = match () {
        () if alphabet.is_empty() => Letters::Gsm,
        () if has("latin") || has("8859-1") => Letters::Latin1,
        () if has("packed") && !has("unpacked") => Letters::Packed,
        () if has("gsm") => Letters::Gsm,
        () if has("ascii") || has("ia5") => Letters::Ascii,
        () => return Err(format!("no alphabet {alphabet}")),
    };
    let form = text("message_id_form");
    let ids = match () {
        () if form.starts_with("hex") && form.contains("decimal") => IdForm::HexThenDecimal,
        () if form.starts_with("dec") && form.contains("hex") => IdForm::DecimalThenHex,
        () => IdForm::AsItIs,
    };
    let zone = zone(setup["smsc_zone"].as_str().unwrap_or("UTC"))?;
    let region = setup["default_country"].as_str().unwrap_or_default().to_owned();
    let codes = setup["codes"].as_object().into_iter().flatten();
    let codes = codes.filter_map(|(code, it)| Some((code.clone(), it.as_str()?.to_owned()))).collect();
    Ok(SmppSettings { alphabet, ids, zone, region, codes, ..SmppSettings::default() })
}

/// A zone by its name, or whole hours such as +02:00, whose names have the other sign.
fn zone(text: &str) -> Result<chrono_tz::Tz, String> {
    let hours = text.trim_start_matches("UTC").trim_end_matches(":00").parse::<i32>();
    let name = hours.map_or_else(|_| text.to_owned(), |hours| format!("Etc/GMT{:+}", -hours));
    name.parse().map_err(|error| format!("{text}: {error}"))
}

fn octets(hex: &Value) -> Result<Vec<u8>, String> {
    let hex: String = hex.as_str().ok_or("no octets")?.split_whitespace().collect();
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|error| error.to_string());
    (0..hex.len()).step_by(2).map(octet).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What is right, with names of messages as receipts are looked up by them.
fn with_our_ids(right: &Value, ids: IdForm) -> Value {
    let mut right = right.clone();
    for it in right.as_array_mut().into_iter().flatten() {
        if let Some(id) = it["id"].as_str().map(|id| ids.of_answer(id)) {
            it["id"] = json!(id);
        }
    }
    right
}

pub fn check(case: &Value) -> Result<(), String> {
    let (setup, right) = (&case["setup"], &case["right"]);
    let settings = settings(setup)?;
    let mut exchange: Exchange<u32> = Exchange::new(settings.hearing(), settings.statuses());
    for it in setup["outstanding"].as_array().into_iter().flatten() {
        let sequence = it["sequence_number"].as_u64().ok_or("no sequence number")? as u32;
        exchange.expect(sequence, sequence, None, Duration::ZERO);
    }
    let several = case["pdus_hex"].as_array();
    let pdus = several.cloned().unwrap_or_else(|| vec![case["pdu_hex"].clone()]);
    let (mut answers, mut results, mut told, mut ended) = (Vec::new(), Vec::new(), Vec::new(), None);
    for (n, pdu) in pdus.iter().enumerate() {
        let mut events = Vec::new();
        for step in exchange.hear(&octets(pdu)?, now_of(case)) {
            match step {
                BindStep::Say(pdu) => answers.push(pdu),
                BindStep::TakeIn { event, pdu } => {
                    events.extend(readable(*event, Kind::Sms, &settings.region));
                    answers.push(pdu.answer(statuses::OK));
                }
                BindStep::Settled { sequence, outcome, .. } => results.push((sequence, outcome)),
                BindStep::Unbound(answer) => {
                    answers.push(answer);
                    ended = Some("unbound");
                }
                BindStep::Hopeless => ended = Some("hopeless"),
                BindStep::Answered(_) => {}
            }
        }
        let right_events = if several.is_some() { &right["events"][n] } else { &right["events"] };
        compare(&events, &with_our_ids(right_events, settings.ids), Kind::Sms)?;
        told.extend(events);
    }
    if let Some(why) = ended {
        let lost = exchange.lost(why).into_iter().filter_map(|step| match step {
            BindStep::Settled { sequence, outcome, .. } => Some((sequence, outcome)),
            _ => None,
        });
        results.extend(lost);
    }
    check_answers(right, &answers)?;
    check_results(&with_our_ids(&right["results"], settings.ids), &results)?;
    effective(case, &told)?;
    let said = told.into_iter().filter_map(|event| match event {
        Event::Inbound(it) => Some(it),
        _ => None,
    });
    joined(right, &said.collect::<Vec<_>>(), Kind::Sms)
}

fn check_answers(right: &Value, ours: &[Pdu]) -> Result<(), String> {
    let one = right["answer"].is_object().then(|| vec![right["answer"].clone()]);
    let right = right["answers"].as_array().cloned().or(one).unwrap_or_default();
    want("answers", &json!(right.len()), &json!(ours.len())).map_err(|what| format!("{what}: {ours:x?}"))?;
    for (right, ours) in right.iter().zip(ours) {
        if right["command_status"].is_number() {
            want("status of the answer", &right["command_status"], &json!(ours.status))?;
        }
        if right["sequence_number"].is_number() {
            want("number of the answer", &right["sequence_number"], &json!(ours.sequence))?;
        }
        if right["pdu_hex"].is_string() {
            want("answer", &right["pdu_hex"], &json!(hex(&ours.octets())))?;
        }
    }
    Ok(())
}

fn check_results(right: &Value, ours: &[(u32, SendOutcome)]) -> Result<(), String> {
    let right: Vec<&Value> = right.as_array().into_iter().flatten().collect();
    want("results", &json!(right.len()), &json!(ours.len())).map_err(|what| format!("{what}: {ours:?}"))?;
    for right in right {
        let sequence = right["sequence_number"].as_u64().unwrap_or_default() as u32;
        let (_, outcome) = ours.iter().find(|(it, _)| *it == sequence).ok_or(format!("{sequence} has no result"))?;
        same_outcome(outcome, right)?;
    }
    Ok(())
}
