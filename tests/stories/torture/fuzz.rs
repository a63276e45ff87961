//! Bytes that nobody meant, into everything of ours that reads what people write.
//!
//! Each reader is given mutations of a few good examples, drawn from `SEED`, for a second or for as many
//! as `FUZZ` says. Whatever made one panic is printed whole: it belongs into a test of its room.

use std::any::Any;
use std::fs::File;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bugle::bots::conditions::{Op, Route};
use bugle::bots::entities::Entity;
use bugle::files::domain::{FileEncoding, Format, ReadingChoice, Record};
use bugle::files::head::{Utf8Check, read_head};
use bugle::files::table::{Unread, csv_rows};
use bugle::files::workbook::{Patience, Told, told, workbook_rows};
use bugle::lists::domain::Condition;
use bugle::pacing::{CronText, Rule};
use bugle::providers::Kind;
use bugle::wording::{Template, segments, split};
use chrono::NaiveDate;
use rand::{Rng, rngs::StdRng};

use super::account::Account;
use super::chance;
use crate::hostile::{rows, xlsx};

/// Bytes of an input at most.
const LONGEST: usize = 32 << 10;
/// No reader needs as long for so few bytes, on a busy machine either.
const SLOW: Duration = Duration::from_secs(10);
/// What is put in the way of a reader that counts bytes where it should count characters.
const WORDS: [&str; 32] = [
    "–",
    "é",
    "\u{feff}",
    "\u{0}",
    "\r",
    "\n",
    "\"",
    "#",
    "|",
    ",",
    ";",
    "\t",
    "today",
    "+",
    "-",
    "*",
    "/",
    "0",
    "9999999999",
    "-1",
    "2026-02-30",
    "\u{1F600}",
    "\u{202e}",
    "ß",
    "İ",
    "\u{0301}",
    " ",
    "''",
    "L",
    "W",
    "23:59",
    "\u{a0}",
];

fn seconds() -> Duration {
    let seconds = std::env::var("FUZZ").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

/// One to six changes of an example.
fn mutated(examples: &[Vec<u8>], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = examples[chance.random_range(0..examples.len())].clone();
    for _ in 0..chance.random_range(1..=6) {
        let at = chance.random_range(0..=bytes.len());
        let end = (at + chance.random_range(0..16)).min(bytes.len());
        match chance.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = chance.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].repeat(chance.random_range(1..20));
                bytes.splice(at..at, again);
            }
            4 => {
                let other = &examples[chance.random_range(0..examples.len())];
                let from = chance.random_range(0..=other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            _ => {
                let word = WORDS[chance.random_range(0..WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

/// Gives `read` one mutation after another until the time is over.
fn fuzz(what: &'static str, examples: &[&[u8]], mut read: impl FnMut(&[u8])) {
    let (mut account, mut chance) = (Account::of(what), chance(what));
    // Workbooks are read by `bugle`, which the tests are not.
    bugle::files::workbook::read_with(env!("CARGO_BIN_EXE_bugle"));
    let examples: Vec<Vec<u8>> = examples.iter().map(|bytes| bytes.to_vec()).collect();
    let began = Instant::now();
    let mut panics = 0;
    while began.elapsed() < seconds() && panics < 5 {
        let bytes = mutated(&examples, &mut chance);
        account.tries += 1;
        let (asked, taken) = (Instant::now(), catch_unwind(AssertUnwindSafe(|| read(&bytes))));
        if let Err(panic) = taken {
            panics += 1;
            account.must(false, format!("{}: {:?}", words_of(&*panic), String::from_utf8_lossy(&bytes)));
        }
        let slow = asked.elapsed();
        account.must(slow < SLOW, format!("{slow:?}: {:?}", String::from_utf8_lossy(&bytes)));
    }
    account.close();
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|it| it.to_string())).unwrap_or_default()
}

#[test]
fn heads_of_files() {
    let mut file = tempfile::tempfile().unwrap();
    let examples: [&[u8]; 5] = [
        b"phone,name,balance\n+447700900123,Ada,1.50\n\"+447700900124\",\"O\"\"Brien\",\"2\n3\"\n",
        b"\xef\xbb\xbfphone;name\r\n00447700900123;Zo\xc3\xab\r\n",
        b"phone\tname\n+353861234567\tCaf\xe9\n",
        b"\xff\xfep\x00h\x00o\x00n\x00e\x00,\x00n\x00\n\x001\x00,\x00\x3d\xd8\x00\xde\n\x00",
        b"sep=;\nphone; \"name\"\n\n;;;\n=\"1\";2;3;4\n",
    ];
    fuzz("bytes of a CSV file: its head and its rows", &examples, move |bytes| {
        write_anew(&mut file, bytes);
        let mut check = Utf8Check::default();
        let (a, b) = bytes.split_at(bytes.len() / 3);
        check.add(a);
        check.add(b);
        let _ = read_head(&file, bytes.len() as u64, check.is_meant(), ReadingChoice::default());
        for encoding in FileEncoding::ALL {
            for delimiter in [b',', b';', b'\t'] {
                let _ = csv_rows(Cursor::new(bytes), encoding, delimiter, &mut |_, row, _| {
                    std::hint::black_box(row.iter().map(str::len).sum::<usize>());
                    ControlFlow::Continue(())
                });
            }
        }
    });
}

#[test]
fn workbooks() {
    let (few, many) =
        (xlsx(&rows(3), &[]), xlsx(&rows(60), &[("xl/sharedStrings.xml", "<sst><si><t>x</t></si></sst>")]));
    let old = include_bytes!("../../fixtures/files/contacts.xls");
    let mut file = tempfile::tempfile().unwrap();
    fuzz("bytes of a workbook, read by a process of its own", &[&few, &many, old], move |bytes| {
        let format = if bytes.starts_with(b"PK") { Format::Xlsx } else { Format::Xls };
        write_anew(&mut file, bytes);
        let read =
            workbook_rows(&file, format, bytes.len() as u64, 0, Patience::UPLOAD, &mut |_| {}, &mut |_, row, _| {
                std::hint::black_box(row.iter().map(str::len).sum::<usize>());
                ControlFlow::Continue(())
            });
        // Whatever became of that process is a reason to refuse the file.
        assert!(matches!(read, Ok(()) | Err(Unread::Refused(_))), "{read:?}");
    });
}

#[test]
fn what_a_reader_of_workbooks_says() {
    let row = b"r\x02\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0\0\x05\0\0\0Adaxyere";
    fuzz("what the reader of workbooks tells its parent", &[row, b"x\x01", b"e"], |bytes| {
        let (mut from, mut record) = (Cursor::new(bytes), Record::default());
        while let Ok(Told::Row { .. }) = told(&mut from, &mut record) {
            std::hint::black_box(record.iter().map(str::len).sum::<usize>());
        }
    });
}

/// Leaves nothing in the file but these bytes.
fn write_anew(file: &mut File, bytes: &[u8]) {
    file.set_len(0).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn texts_with_fields() {
    let examples: [&[u8]; 4] = [
        b"Hello #name|there#, you owe #balance|nothing#.",
        "Grüße #vorname#: €#betrag|0,00# – bis #datum# ✂️ {~} #1 ##".as_bytes(),
        b"#name",
        "👩‍👩‍👧 #name|\u{1F600}# and a very long text that goes over one segment of a message, twice".as_bytes(),
    ];
    let fields = ["name", "balance", "vorname", "betrag", "datum", "1"].map(str::to_owned);
    let values = serde_json::json!({ "name": "Ada \u{1F600}", "balance": "", "vorname": "é", "betrag": null, "datum": "#name#" });
    let values = values.as_object().unwrap().clone();
    fuzz("texts with fields, and their segments", &examples, move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let template = Template::parse(&text, &fields);
        std::hint::black_box((template.needed().len(), template.unknown().len(), template.fields().len()));
        let rendered = template.render(&values).unwrap_or_default();
        for text in [&*text, &rendered] {
            segments(text);
            assert_eq!(split(text).concat(), text, "the parts are not the whole");
        }
    });
}

#[test]
fn cron_expressions() {
    let examples: [&[u8]; 6] = [
        b"30 9 * * 1-5",
        b"*/15 8-18 1,15 * *",
        b"0 0 L * *",
        b"0 12 15W * *",
        b"0 9 * JAN-MAR MON#2",
        b"59 23 31 12 7",
    ];
    let after = "2026-03-28T23:59:00Z".parse().unwrap();
    fuzz("cron expressions, and when they are due", &examples, move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(cron) = text.parse::<CronText>() {
            let rule = Rule::Cron(cron);
            std::hint::black_box((rule.describe(), rule.next(after, chrono_tz::Europe::Dublin, None)));
        }
    });
}

#[test]
fn conditions_of_bots_and_lists() {
    let examples: [&[u8]; 7] = [
        b"today+3",
        b"today - 30",
        b"2026-03-31",
        b"09:00-17:30",
        b"yes, ok; Sat, Sun",
        "1.250,50 € or so".as_bytes(),
        b"31st of march, ada@example.org, D02 AF30",
    ];
    let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    fuzz("conditions of bots and lists, and what contacts answer", &examples, move |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        for op in Op::ALL {
            let route: Route = serde_json::from_value(serde_json::json!({ "op": op.word(), "value": text })).unwrap();
            std::hint::black_box((route.wrong(), route.words()));
        }
        for entity in ["date", "number", "email", "postcode", "name"].iter().filter_map(|word| Entity::of_word(word)) {
            std::hint::black_box(entity.find(&text, today));
        }
        for op in bugle::lists::domain::FilterOp::ALL {
            let _ = std::hint::black_box(Condition::parse("value:name", op.word(), &text).map(|it| it.words()));
        }
    });
}

#[test]
fn pasted_addresses() {
    let examples: [&[u8]; 3] = [
        b"+44 7700 900123\n(086) 123-4567, 00353861234567; x",
        b"+1 202 555 0123 until 2026-12-31 moved away",
        b"@ada",
    ];
    fuzz("pasted addresses", &examples, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for region in ["", "IE", "US"] {
            bugle::contacts::domain::read_pasted(Kind::Sms, &text, region, bugle::contacts::addresses::TwoWays::Inside);
            bugle::quick::typed::Typed::read(&text, region, bugle::contacts::addresses::TwoWays::WithCode);
        }
        bugle::contacts::addresses::as_stored(&text);
    });
}
