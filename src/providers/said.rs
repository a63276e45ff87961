//! What a call or an answer says: forms, JSON and XML read into one shape, whatever octets they are made of.
//!
//! Nothing here fails because of how a text is spelled: a call that is refused comes back for days, and what
//! cannot be read in it would be no better then.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use encoding_rs::{Encoding, WINDOWS_1252};
use quick_xml::events::Event as Xml;
use serde_json::{Map, Value};

use super::Call;

/// A header by its name in lower case.
pub fn header<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>, name: &str) -> Option<&'a str> {
    let mut headers = headers;
    headers.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// What was said, to be asked by JSON pointers: `/from`, `/messages/0/id`. The fields of a form, the
/// parameters of an address and the elements of XML are asked in the same way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    value: Value,
    /// The octets of a form's fields, for those who say later which letters they are.
    octets: HashMap<String, Vec<u8>>,
}

/// Levels of JSON or XML; deeper is nothing that a gateway says.
const DEEPEST: usize = 64;

impl Said {
    /// The parameters of the address and the body together. `None`: the body is none of those shapes.
    pub fn of_call(call: &Call<'_>) -> Option<Said> {
        let query = call.url.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default());
        let mut said = Said::of_form(query.as_bytes());
        if call.body.iter().all(u8::is_ascii_whitespace) {
            return Some(said);
        }
        let kind = call.header("content-type").unwrap_or_default();
        let more = if is_form(kind) {
            Said::of_form(call.body)
        } else {
            Said::of_text(kind, &text_of(call.body, charset(kind)))?
        };
        if !more.value.is_object() {
            return Some(more);
        }
        let (Value::Object(ours), Value::Object(more_values)) = (&mut said.value, more.value) else {
            return Some(said);
        };
        ours.extend(more_values);
        said.octets.extend(more.octets);
        Some(said)
    }

    /// A body that says what it is, or what it looks like.
    pub fn of_text(content_type: &str, text: &str) -> Option<Said> {
        let text = text.trim_start_matches('\u{feff}').trim();
        let value = if text.starts_with(['{', '[']) {
            serde_json::from_str(&with_whole_pairs(text)).ok()?
        } else if text.starts_with('<') {
            xml(text)?
        } else if is_form(content_type) {
            return Some(Said::of_form(text.as_bytes()));
        } else {
            return None;
        };
        Some(Said { value, octets: HashMap::new() })
    }

    fn of_form(text: &[u8]) -> Said {
        let (mut value, mut octets) = (Map::new(), HashMap::new());
        for (name, bytes) in pairs(text) {
            if !value.contains_key(&name) {
                value.insert(name.clone(), Value::String(text_of(&bytes, None)));
                octets.insert(name, bytes);
            }
        }
        Said { value: Value::Object(value), octets }
    }

    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer).filter(|it| !it.is_null())
    }

    /// A text, a number or a truth as it was written; empty ones count as not said.
    pub fn text(&self, pointer: &str) -> Option<String> {
        let text = match self.get(pointer)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(is) => is.to_string(),
            // An element of XML that has attributes.
            Value::Object(fields) => fields.get("#text")?.as_str()?.to_owned(),
            // One of several that are called so.
            Value::Array(them) => them.first()?.as_str()?.to_owned(),
            Value::Null => return None,
        };
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// The first of these that was said.
    pub fn first<P: AsRef<str>>(&self, pointers: &[P]) -> Option<String> {
        pointers.iter().find_map(|pointer| self.text(pointer.as_ref()))
    }

    /// A text whose octets are of another alphabet than the call: as fields of a form, or escaped in JSON.
    pub fn text_in(&self, pointer: &str, charset: &str) -> Option<String> {
        let encoding = Encoding::for_label(charset.trim().as_bytes());
        let name = pointer.trim_start_matches('/');
        match (self.octets.get(name), encoding) {
            (Some(octets), Some(encoding)) => Some(encoding.decode_without_bom_handling(octets).0.into_owned()),
            (None, Some(encoding)) if encoding != encoding_rs::UTF_8 => {
                let escaped = self.text(pointer)?;
                let octets = unescaped(escaped.as_bytes(), false);
                Some(encoding.decode_without_bom_handling(&octets).0.into_owned())
            }
            _ => self.text(pointer),
        }
    }

    /// Its parts, where it is a list of them or one alone; itself where no list is asked for. What it says of itself
    /// is not repeated in its parts.
    pub fn each(&self, pointer: Option<&str>) -> Vec<Said> {
        let Some(pointer) = pointer else { return vec![self.clone()] };
        let part = |value: &Value| Said { value: value.clone(), octets: HashMap::new() };
        match self.value.pointer(pointer) {
            Some(Value::Array(parts)) => parts.iter().map(part).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(one) => vec![part(one)],
        }
    }
}

fn is_form(content_type: &str) -> bool {
    content_type.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

fn charset(content_type: &str) -> Option<&'static Encoding> {
    let lower = content_type.to_ascii_lowercase();
    let (_, rest) = lower.split_once("charset=")?;
    let label = rest.split(';').next().unwrap_or_default().trim().trim_matches('"').to_owned();
    Encoding::for_label(label.as_bytes())
}

/// Octets as a text: UTF-8 if they are, else what they are said to be, else windows-1252.
fn text_of(octets: &[u8], said: Option<&'static Encoding>) -> String {
    match (std::str::from_utf8(octets), said) {
        (_, Some(said)) if said == encoding_rs::UTF_16BE || said == encoding_rs::UTF_16LE => {
            said.decode(octets).0.into_owned()
        }
        (Ok(text), _) => text.to_owned(),
        (Err(_), said) => said
            .filter(|said| *said != encoding_rs::UTF_8)
            .unwrap_or(WINDOWS_1252)
            .decode_without_bom_handling(octets)
            .0
            .into_owned(),
    }
}

/// Names and octets of a form, or of the parameters of an address, in their order.
pub fn pairs(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let fields = text.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    let field = |field: &[u8]| {
        let at = field.iter().position(|byte| *byte == b'=');
        let (name, value) = match at {
            Some(at) => (field.get(..at).unwrap_or_default(), field.get(at + 1..).unwrap_or_default()),
            None => (field, &[][..]),
        };
        (text_of(&unescaped(name, true), None), unescaped(value, true))
    };
    fields.map(field).collect()
}

fn unescaped(text: &[u8], plus_is_blank: bool) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut octets = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                octets.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) if plus_is_blank => octets.push(b' '),
            _ => octets.push(*byte),
        }
        at += 1;
    }
    octets
}

/// JSON in which every half of a pair of surrogates that stands alone is the replacement character: gateways cut
/// texts between the two.
fn with_whole_pairs(json: &str) -> String {
    let unit = |at: usize| {
        let escape = json.get(at..at + 6)?;
        u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let (mut mended, mut at) = (String::with_capacity(json.len()), 0);
    while let Some(rest) = json.get(at..) {
        let Some(next) = rest.find('\\') else {
            mended.push_str(rest);
            break;
        };
        mended.push_str(rest.get(..next).unwrap_or_default());
        at += next;
        let long = match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                mended.push_str("\\ufffd");
                at += 6;
                continue;
            }
            Some(_) => 6,
            // Another escape: two characters, so that a backslash behind a backslash begins none.
            None => 1 + json.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
        };
        mended.push_str(json.get(at..at + long).unwrap_or_default());
        at += long;
    }
    mended
}

/// Elements by their names without prefixes, attributes as `@name`; what repeats is a list.
fn xml(text: &str) -> Option<Value> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut open: Vec<(String, Map<String, Value>, String)> = vec![(String::new(), Map::new(), String::new())];
    loop {
        match reader.read_event().ok()? {
            Xml::Start(it) => {
                let name = it.local_name().as_ref().to_owned();
                open.push((name, attributes(&it), String::new()));
                if DEEPEST < open.len() {
                    return None;
                }
            }
            Xml::Empty(it) => {
                let name = it.local_name().as_ref().to_owned();
                let whole = whole(attributes(&it), String::new());
                put(&mut open.last_mut()?.1, name, whole);
            }
            Xml::Text(it) => open.last_mut()?.2.push_str(&it),
            Xml::CData(it) => open.last_mut()?.2.push_str(&it),
            Xml::GeneralRef(it) => {
                let c = match it.as_ref() {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => it.resolve_char_ref().ok().flatten().unwrap_or('\u{fffd}'),
                };
                open.last_mut()?.2.push(c);
            }
            Xml::End(_) => {
                let (name, fields, text) = open.pop()?;
                put(&mut open.last_mut()?.1, name, whole(fields, text));
            }
            Xml::Eof => break,
            Xml::Comment(_) | Xml::Decl(_) | Xml::PI(_) | Xml::DocType(_) => {}
        }
    }
    let (_, fields, _) = open.pop()?;
    (open.is_empty() && !fields.is_empty()).then_some(Value::Object(fields))
}

fn attributes(it: &quick_xml::events::BytesStart<'_>) -> Map<String, Value> {
    let attributes = it
        .attributes()
        .flatten()
        .map(|it| (format!("@{}", it.key.local_name().as_ref()), Value::String(it.value.into_owned())));
    attributes.collect()
}

fn whole(mut fields: Map<String, Value>, text: String) -> Value {
    let text = text.trim().to_owned();
    if fields.is_empty() {
        return Value::String(text);
    }
    if !text.is_empty() {
        fields.insert("#text".to_owned(), Value::String(text));
    }
    Value::Object(fields)
}

fn put(fields: &mut Map<String, Value>, name: String, value: Value) {
    match fields.get_mut(&name) {
        None => drop(fields.insert(name, value)),
        Some(Value::Array(them)) => them.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
}

/// When it was, as gateways write it: seconds or milliseconds since 1970, or a date with or without its
/// zone; without one it is of `zone`.
pub fn instant(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return match text.len() {
            9 | 10 => DateTime::from_timestamp(number, 0),
            12 | 13 => DateTime::from_timestamp_millis(number),
            14 => local(text, zone),
            15 | 16 => DateTime::from_timestamp_micros(number),
            _ => None,
        };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64);
    }
    // The plus of an offset that was not escaped.
    let offset = text.rsplit_once(' ').filter(|(_, end)| end.len() == 5 && end.get(2..3) == Some(":"));
    let mended = match offset {
        Some((day, offset)) if day.contains('T') => format!("{day}+{offset}"),
        _ => text.to_owned(),
    };
    let with_zone = ["%+", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z"];
    let zoned = with_zone.iter().find_map(|form| DateTime::parse_from_str(&mended, form).ok());
    let zoned = zoned.or_else(|| DateTime::parse_from_rfc2822(&mended).ok());
    zoned.map(|at| at.to_utc()).or_else(|| local(&mended, zone))
}

fn local(text: &str, zone: Tz) -> Option<DateTime<Utc>> {
    let (text, zone) = match text.strip_suffix('Z').or(text.strip_suffix(" UTC")) {
        Some(text) => (text, Tz::UTC),
        None => (text, zone),
    };
    let forms = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
        "%Y/%m/%d %H:%M:%S",
        "%d/%m/%Y %H:%M:%S",
        "%Y%m%d%H%M%S",
    ];
    let at = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    zone.from_local_datetime(&at).earliest().map(|at| at.to_utc())
}

/// An address whose plus was not escaped, and arrived as a blank.
pub fn with_plus(address: &str) -> String {
    match address.strip_prefix(' ') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => format!("+{}", rest.trim_end()),
        _ => address.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(url: &str, kind: &str, body: &[u8]) -> Option<Said> {
        let headers = [("content-type", kind)];
        Said::of_call(&Call { method: "POST", url, headers: &headers, body, at: DateTime::UNIX_EPOCH })
    }

    #[test]
    fn forms_json_and_xml_are_asked_alike() {
        let form = call("http://h/x?to=1&a=%E4", "application/x-www-form-urlencoded", b"text=a+%2B+b&text=c").unwrap();
        assert_eq!((form.text("/to"), form.text("/text")), (Some("1".into()), Some("a + b".into())));
        assert_eq!(form.text("/a"), Some("ä".into()), "no UTF-8, and nobody said what");
        let json = call("http://h/?to=1", "application/json", br#"{"m":[{"id":4912661846655238147}],"to":2}"#).unwrap();
        assert_eq!(json.text("/m/0/id"), Some("4912661846655238147".into()));
        assert_eq!(json.first(&["/from", "/to"]), Some("2".into()), "the body before the address");
        let xml = call(
            "http://h/",
            "text/xml",
            b"<?xml version=\"1.0\"?><a:r n=\"1\"><id>7</id><id>8</id><e/>x &amp; y</a:r>",
        );
        let xml = xml.unwrap();
        assert_eq!((xml.text("/r/id/1"), xml.text("/r/@n")), (Some("8".into()), Some("1".into())));
        assert_eq!(xml.each(Some("/r/id")).len(), 2);
        assert!(call("http://h/", "application/json", b"{\"a\":").is_none());
        assert!(call("http://h/", "text/plain", b"OK").is_none());
        assert_eq!(call("http://h/?a=1", "", b" ").unwrap().text("/a"), Some("1".into()));
    }

    #[test]
    fn half_a_pair_is_replaced_and_whole_ones_stay() {
        let read = |json: &str| serde_json::from_str::<String>(&with_whole_pairs(json)).unwrap();
        assert_eq!(read(r#""\ud83d\ude00 ok""#), "😀 ok");
        assert_eq!(read(r#""ok \ud83d""#), "ok \u{fffd}");
        assert_eq!(read(r#""\ude00 \\ud83d \u00e4 ä\n""#), "\u{fffd} \\ud83d ä ä\n");
    }

    #[test]
    fn letters_are_those_that_the_call_names() {
        let said = call("http://h/?t=%04%1F&c=UTF-16BE", "", b"").unwrap();
        assert_eq!(said.text_in("/t", &said.text("/c").unwrap()), Some("П".into()));
        let json = Said::of_text("", r#"{"t":"%00G%20%AC","u":"100%25"}"#).unwrap();
        assert_eq!(json.text_in("/t", "UTF-16BE"), Some("G€".into()));
        assert_eq!(json.text_in("/u", "UTF-8"), Some("100%25".into()));
    }

    #[test]
    fn times_are_read_in_their_forms() {
        let at = |text: &str| instant(text, chrono_tz::Europe::Vienna).map(|at| at.to_rfc3339());
        let ten = Some("2026-11-28T10:00:00+00:00".to_owned());
        for text in [
            "1795860000",
            "1795860000000",
            "2026-11-28T11:00:00",
            "2026-11-28 11:00:00",
            "2026-11-28T10:00:00Z",
            "2026-11-28T10:00:00+0000",
            "2026-11-28T10:00:00.000+00:00",
            "2026-11-28T10:00:00 00:00",
            "20261128110000",
            "Sat, 28 Nov 2026 10:00:00 GMT",
            "1795860000.0",
        ] {
            assert_eq!(at(text), ten, "{text}");
        }
        assert_eq!(at("1795860000123"), Some("2026-11-28T10:00:00.123+00:00".into()));
        for text in ["", "soon", "17", "2026-13-01 00:00:00"] {
            assert_eq!(at(text), None, "{text}");
        }
        assert_eq!((with_plus(" 436600000123"), with_plus("Bugle ")), ("+436600000123".into(), "Bugle".into()));
    }
}
