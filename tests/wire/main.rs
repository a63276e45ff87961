//! What providers really send: calls, answers and reports, each a file with what is right, run through the very functions
//! that the product reads them with.
//!
//! `cargo test --test wire` runs the cases of the project; `tests/run wire FOLDER` those of any folder, and prints which
//! came out right. A new case is a new file. The keys of a file:
//!
//! * `provider`, `kind` (inbound, status, verify, other: a call; answer: to a send of ours), `why` it is a trap
//! * `setup`: secrets, the channel's `public_url`, `outcome` (rules about answers), `fields`, `now`, `recorded_before`
//! * `call` or `calls` (method, url, headers, body or `body_base64`); or `answer` (status, headers, body)
//! * for SMPP `pdu_hex` or `pdus_hex`, what comes over a bind; in `setup` what is `outstanding`, `smsc_default_alphabet`,
//!   `smsc_zone`, `message_id_form`; in `right` `results` of what was outstanding, and `answer` or `answers` as PDUs
//! * `right`: `events`, of several calls a list for each (a status is about an `id` or `our_id`, or everything `to` somebody
//!   `until` an instant); `touches`, the only ones of `setup.sent` that these tell of; `joined` of pieces; `answer` to
//!   the call; `class`, `scope`, `code`, `id`, `retry_after` of an answer to a send; `parts` where an answer speaks of several

mod case;
mod setting;
mod smpp;

use std::fs;
use std::path::Path;

/// Providers whose adapters are there.
const KNOWN: [&str; 11] = [
    "generic-http",
    "kannel",
    "vonage",
    "infobip",
    "africastalking",
    "clickatell",
    "twilio",
    "whatsapp",
    "messenger",
    "viber",
    "smpp",
];

#[test]
fn every_case_comes_out_right() {
    let folder = std::env::var("WIRE").unwrap_or_else(|_| "tests/wire/cases".to_owned());
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    files.sort();
    let (mut right, mut wrong, mut passed_over) = (0, Vec::new(), 0);
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match run(path) {
            Ok(true) => {
                right += 1;
                println!("right  {name}");
            }
            Ok(false) => {
                passed_over += 1;
                println!("-      {name}: its provider has no adapter yet");
            }
            Err(what) => {
                println!("WRONG  {name}\n       {}", what.replace('\n', "\n       "));
                wrong.push(name);
            }
        }
    }
    println!("{right} right, {} wrong, {passed_over} passed over", wrong.len());
    assert!(!files.is_empty(), "no case lies in {folder}");
    assert!(wrong.is_empty(), "wrong: {wrong:?}");
}

/// `false`: nobody here speaks with this provider. The error says what is not right.
fn run(path: &Path) -> Result<bool, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let case: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("no JSON: {error}"))?;
    let provider = case["provider"].as_str().unwrap_or_default();
    if !KNOWN.contains(&provider) {
        return Ok(false);
    }
    case::check(&case)?;
    Ok(true)
}
