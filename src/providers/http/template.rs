//! Places for values in an address, a header or a body: `{{to}}`, escaped as is right where they stand. What stands
//! between `{{#to}}` and `{{/to}}` is only there when there is a value.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// How values are written where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// In an address or a form.
    Percent,
    /// In JSON, in quotes; where the place stands in quotes already, without further ones.
    Json,
    Xml,
    /// In a header or a plain text.
    None,
}

/// What a place is filled with.
#[derive(Clone, Debug, PartialEq)]
pub enum Filling {
    Text(String),
    /// A list where JSON is written, and one text with commas elsewhere.
    Texts(Vec<String>),
}

impl Filling {
    fn is_empty(&self) -> bool {
        match self {
            Filling::Text(text) => text.is_empty(),
            Filling::Texts(texts) => texts.is_empty(),
        }
    }

    fn text(&self) -> String {
        match self {
            Filling::Text(text) => text.clone(),
            Filling::Texts(texts) => texts.join(","),
        }
    }
}

/// Everything but what stands for itself in every address.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As it stands inside of an address.
pub fn percent(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn written(value: &Filling, escape: Escape, in_quotes: bool) -> String {
    match escape {
        Escape::Percent => percent(&value.text()),
        // A line break would end a header.
        Escape::None => value.text().replace(['\r', '\n', '\0'], " "),
        Escape::Xml => value
            .text()
            .chars()
            .filter(|c| !c.is_control() || "\n\r\t".contains(*c))
            .map(|c| match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\'' => "&apos;".to_owned(),
                c => c.to_string(),
            })
            .collect(),
        Escape::Json => match (value, in_quotes) {
            (Filling::Texts(texts), false) => serde_json::json!(texts).to_string(),
            (value, in_quotes) => {
                let quoted = serde_json::Value::String(value.text()).to_string();
                match in_quotes {
                    true => quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned(),
                    false => quoted,
                }
            }
        },
    }
}

/// Fills the places of a template. What nobody knows a value of stays empty.
pub fn fill(template: &str, escape: Escape, value: &dyn Fn(&str) -> Option<Filling>) -> String {
    let mut filled = String::with_capacity(template.len() + 200);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, behind)) = behind.split_once("}}") else {
            filled.push_str("{{");
            filled.push_str(behind);
            return filled;
        };
        let name = name.trim();
        rest = behind;
        if let Some(name) = name.strip_prefix('#') {
            let end = format!("{{{{/{name}}}}}");
            let (inside, behind) = behind.split_once(end.as_str()).unwrap_or((behind, ""));
            if value(name).is_some_and(|value| !value.is_empty()) {
                filled.push_str(&fill(inside, escape, value));
            }
            rest = behind;
            continue;
        }
        let in_quotes = filled.ends_with('"') && behind.starts_with('"') || within_quotes(&filled);
        filled.push_str(&written(&value(name).unwrap_or(Filling::Text(String::new())), escape, in_quotes));
    }
    filled.push_str(rest);
    filled
}

/// Whether a piece of JSON ends inside of a string.
fn within_quotes(json: &str) -> bool {
    let (mut inside, mut escaped) = (false, false);
    for c in json.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

/// The names of the places in a template.
pub fn places(template: &str) -> Vec<&str> {
    let parts = template.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    parts.map(|(name, _)| name.trim().trim_start_matches(['#', '/'])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, escape: Escape) -> String {
        fill(template, escape, &|name| match name {
            "to" => Some(Filling::Text("+43 660".into())),
            "text" => Some(Filling::Text("a \"b\" & <c>\n{{to}}".into())),
            "replies" => Some(Filling::Texts(vec!["Yes".into(), "N\"o".into()])),
            "empty" => Some(Filling::Text(String::new())),
            _ => None,
        })
    }

    #[test]
    fn values_are_escaped_where_they_stand_and_never_read_again() {
        assert_eq!(
            filled("?to={{to}}&t={{ text }}", Escape::Percent),
            "?to=%2B43%20660&t=a%20%22b%22%20%26%20%3Cc%3E%0A%7B%7Bto%7D%7D"
        );
        let json = filled(r#"{"a":{{text}},"b":"{{text}}","c":{{replies}},"d":"to {{to}}!"}"#, Escape::Json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["a"], json["b"]);
        assert_eq!((json["c"][1].as_str(), json["d"].as_str()), (Some("N\"o"), Some("to +43 660!")));
        assert_eq!(filled("<t>{{text}}</t>", Escape::Xml), "<t>a &quot;b&quot; &amp; &lt;c&gt;\n{{to}}</t>");
        assert_eq!(filled("X: {{text}}{{unknown}}", Escape::None), "X: a \"b\" & <c> {{to}}");
        assert_eq!(filled("{{#to}}a{{to}}{{/to}}{{#empty}}b{{/empty}}{{#no}}c", Escape::None), "a+43 660");
        assert_eq!(filled("a {{to", Escape::None), "a {{to");
        assert_eq!(places("{{to}}{{#cb}}x{{ cb }}{{/cb}}"), ["to", "cb", "cb", "cb"]);
    }
}
