//! The form of an SMPP channel, in the words of operators' connection sheets.

use std::collections::BTreeMap;

use super::ids::IdForm;
use super::settings::{BindKind, SmppSettings};
use super::statuses;
use super::texts::LongTexts;
use crate::providers::class::AnswerMeans;
use crate::providers::form::{Fields, Mistakes, SettingsForm};
use crate::wording::letters::Letters;

pub const SECRETS: [&str; 1] = ["password"];

/// Alphabets that are somebody's default.
pub const ALPHABETS: [Letters; 4] = [Letters::Gsm, Letters::Packed, Letters::Latin1, Letters::Ascii];

/// Characters of a name or a password; SMPP knows 15 and 8, and operators more.
const LONGEST: usize = 64;
/// SMPP has no room for more.
const LONGEST_TYPE: usize = 12;

impl SettingsForm for SmppSettings {
    fn fields(&self) -> Fields {
        let number = |n: Option<u8>| n.map(|n| n.to_string()).unwrap_or_default();
        let codes: String = self.codes.iter().map(|(code, means)| format!("{code} = {means}\n")).collect();
        Fields::from([
            ("host", self.host.clone()),
            ("port", self.port.to_string()),
            ("tls", if self.tls { "yes" } else { "" }.to_owned()),
            ("system_id", self.system_id.clone()),
            ("system_type", self.system_type.clone()),
            ("bind", self.bind.word().to_owned()),
            ("source_ton", number(self.source_ton)),
            ("source_npi", number(self.source_npi)),
            ("dest_ton", self.dest_ton.to_string()),
            ("dest_npi", self.dest_npi.to_string()),
            ("alphabet", self.alphabet.word().to_owned()),
            ("long", self.long.word().to_owned()),
            ("ids", self.ids.word().to_owned()),
            ("window", self.window.to_string()),
            ("enquire_seconds", self.enquire_seconds.to_string()),
            ("answer_seconds", self.answer_seconds.to_string()),
            ("zone", self.zone.to_string()),
            ("region", self.region.clone()),
            ("codes", codes),
        ])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let usual = SmppSettings::default();
        let codes = codes(fields.get("codes"), mistakes);
        let mut reader = Reader { fields, mistakes };
        let it = SmppSettings {
            host: reader.text("host", 253),
            port: reader.number("port", (1, u16::MAX), usual.port),
            tls: !fields.get("tls").is_empty(),
            system_id: reader.text("system_id", LONGEST),
            system_type: reader.text("system_type", LONGEST_TYPE),
            bind: reader.word("bind", BindKind::of_word),
            source_ton: reader.kind_of_number("source_ton"),
            source_npi: reader.kind_of_number("source_npi"),
            dest_ton: reader.kind_of_number("dest_ton").unwrap_or(usual.dest_ton),
            dest_npi: reader.kind_of_number("dest_npi").unwrap_or(usual.dest_npi),
            alphabet: reader.word("alphabet", |word| Letters::of_word(word).filter(|it| ALPHABETS.contains(it))),
            long: reader.word("long", LongTexts::of_word),
            ids: reader.word("ids", IdForm::of_word),
            window: reader.number("window", (1, 1000), usual.window),
            enquire_seconds: reader.number("enquire_seconds", (1, 600), usual.enquire_seconds),
            answer_seconds: reader.number("answer_seconds", (1, 25), usual.answer_seconds),
            zone: reader.zone(),
            region: fields.get("region").trim().to_uppercase(),
            codes,
        };
        if it.host.is_empty() {
            mistakes.add("host", "Say where the SMSC is, such as smpp.operator.example.");
        } else if it.host.contains(|c: char| c == '/' || c.is_whitespace()) || it.host.split(':').count() == 2 {
            mistakes.add("host", "A name or an address alone; the port has a field of its own.");
        }
        if it.system_id.is_empty() {
            mistakes.add("system_id", "This is missing.");
        }
        // It is sealed a moment later; here it is looked at once.
        if !is_plain(fields.get("password")) || LONGEST < fields.get("password").trim().len() {
            mistakes.add("password", format!("At most {LONGEST} letters, digits and signs of ASCII."));
        }
        it
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

struct Reader<'a> {
    fields: &'a Fields,
    mistakes: &'a mut Mistakes,
}

impl Reader<'_> {
    fn text(&mut self, field: &'static str, most: usize) -> String {
        let text = self.fields.get(field).trim();
        if !is_plain(text) || most < text.len() {
            self.mistakes.add(field, format!("At most {most} letters, digits and signs of ASCII."));
        }
        text.to_owned()
    }

    /// Empty: as usual.
    fn number(&mut self, field: &'static str, (least, most): (u16, u16), usual: u16) -> u16 {
        match self.fields.get(field).trim() {
            "" => usual,
            text => match text.parse() {
                Ok(n) if (least..=most).contains(&n) => n,
                _ => {
                    self.mistakes.add(field, format!("A whole number from {least} to {most}."));
                    usual
                }
            },
        }
    }

    fn kind_of_number(&mut self, field: &'static str) -> Option<u8> {
        let text = self.fields.get(field).trim();
        let read = text.parse().ok();
        if read.is_none() && !text.is_empty() {
            self.mistakes.add(field, "A whole number from 0 to 255, or nothing.");
        }
        read
    }

    /// Nothing: the first of them.
    fn word<T: Default>(&mut self, field: &'static str, of_word: impl Fn(&str) -> Option<T>) -> T {
        match self.fields.get(field) {
            "" => T::default(),
            word => of_word(word).unwrap_or_else(|| {
                self.mistakes.add(field, "Choose one of these.");
                T::default()
            }),
        }
    }

    fn zone(&mut self) -> chrono_tz::Tz {
        match self.fields.get("zone").trim() {
            "" => chrono_tz::Tz::UTC,
            zone => zone.parse().unwrap_or_else(|_| {
                self.mistakes.add("zone", "A zone such as Europe/Dublin.");
                chrono_tz::Tz::UTC
            }),
        }
    }
}

/// One a line: a status and what it means here.
fn codes(text: &str, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (code, means) = line.split_once('=').unwrap_or((line, ""));
        match (statuses::of_text(code), AnswerMeans::parse(means)) {
            (None, _) => mistakes.add("codes", format!("“{line}” begins with no status, such as 0x00000094.")),
            (_, None) => mistakes.add("codes", format!("What “{line}” means is not known here: {MEANINGS}.")),
            (Some(statuses::OK), _) => mistakes.add("codes", "0 is what was taken, and stays so."),
            (Some(code), Some(_)) => drop(codes.insert(statuses::code(code), means.trim().to_owned())),
        }
    }
    codes
}

/// What statuses can be said to mean.
pub const MEANINGS: &str = "bad-number, opted-out, unreachable, blocked, content, credentials, funds, rate-limited, temporary, unknown-fate or other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_comes_back_and_what_is_wrong_is_said() {
        let typed = Fields::from([
            ("host", "smpp.operator.example".to_owned()),
            ("port", "3600".to_owned()),
            ("system_id", "bugle".to_owned()),
            ("source_ton", "0".to_owned()),
            ("alphabet", "latin1".to_owned()),
            ("ids", "hex-then-decimal".to_owned()),
            ("codes", "0x94 = funds\n1025 = rate-limited channel 30".to_owned()),
            ("zone", "Europe/Dublin".to_owned()),
        ]);
        let mut mistakes = Mistakes::default();
        let read = SmppSettings::read(&typed, &mut mistakes);
        assert_eq!(mistakes, Mistakes::default());
        assert_eq!((read.port, read.source_ton, read.source_npi, read.dest_ton), (3600, Some(0), None, 1));
        assert_eq!(read.codes.keys().collect::<Vec<_>>(), ["0x00000094", "0x00000401"]);
        assert_eq!(SmppSettings::read(&read.fields(), &mut mistakes), read);
        assert_eq!(mistakes, Mistakes::default());

        for (field, wrong) in [
            ("host", ""),
            ("host", "smpp.operator.example:2775"),
            ("host", "smpp://operator.example"),
            ("port", "0"),
            ("port", "70000"),
            ("system_id", ""),
            ("system_id", "bügle"),
            ("system_type", "longer than twelve"),
            ("source_ton", "300"),
            ("window", "0"),
            ("answer_seconds", "26"),
            ("alphabet", "ucs2"),
            ("zone", "Dublin"),
            ("codes", "0x94: funds"),
            ("codes", "funds = 0x94"),
            ("codes", "0 = funds"),
            ("password", "pässword"),
        ] {
            let (mut fields, mut mistakes) = (read.fields(), Mistakes::default());
            fields.put(field, wrong);
            SmppSettings::read(&fields, &mut mistakes);
            assert!(matches!(&mistakes.0[..], [(it, _)] if it == field), "{field} {wrong}: {mistakes:?}");
        }
    }
}
