//! Texts with fields in them.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// A text with fields in it, parsed once and rendered for every contact.
///
/// The grammar is that of the [room](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
    fields: Vec<String>,
    unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Plain(String),
    /// `index` into the template's fields.
    Field {
        index: usize,
        fallback: Option<String>,
    },
}

/// A contact has no value for a field that the text cannot do without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("There is no value for “{field}”.")]
pub struct MissingValue {
    pub field: String,
}

impl Template {
    /// Reads `text`, in which the names in `fields` may occur. It always succeeds;
    /// ask [`unknown`](Template::unknown) for what looks like a mistake.
    pub fn parse(text: &str, fields: &[String]) -> Template {
        let mut longest_first: Vec<&String> = fields.iter().filter(|name| !name.is_empty()).collect();
        longest_first.sort_by_key(|name| std::cmp::Reverse(name.chars().count()));

        let mut template = Template { pieces: Vec::new(), fields: Vec::new(), unknown: Vec::new() };
        let (mut plain, mut seen) = (String::new(), HashSet::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('#') {
            plain.push_str(before);
            if let Some(more) = after.strip_prefix('#') {
                plain.push('#');
                rest = more;
            } else if let Some((name, more)) = longest_first.iter().find_map(|name| Some((*name, tail(after, name)?))) {
                let (fallback, more) = fallback(more);
                let index = template.use_field(name);
                if !plain.is_empty() {
                    template.pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                template.pieces.push(Piece::Field { index, fallback: fallback.map(str::to_owned) });
                rest = more;
            } else {
                let (word, beyond) = after.split_at(after.find(|c: char| !is_of_word(c)).unwrap_or(after.len()));
                plain.push('#');
                if word.starts_with(char::is_alphabetic) {
                    if seen.insert(word) {
                        template.unknown.push(word.to_owned());
                    }
                    // The # that closes its fallback must not open a field.
                    let (_, more) = fallback(beyond);
                    plain.push_str(after.strip_suffix(more).unwrap_or(after));
                    rest = more;
                } else {
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            template.pieces.push(Piece::Plain(plain));
        }
        template
    }

    fn use_field(&mut self, name: &str) -> usize {
        self.fields.iter().position(|used| used == name).unwrap_or_else(|| {
            self.fields.push(name.to_owned());
            self.fields.len() - 1
        })
    }

    /// The fields it uses, as they were spelt when they were made known, each once.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The fields that cannot be left empty: used at least once without a fallback.
    pub fn needed(&self) -> Vec<&str> {
        let needed = |index| {
            self.pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Field { index: used, fallback: None } if *used == index))
        };
        self.fields.iter().enumerate().filter(|(index, _)| needed(*index)).map(|(_, name)| name.as_str()).collect()
    }

    /// What looks like a field but is none that is known. It will be sent as it stands.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The text with `values` in it, found by the known spelling of their field.
    ///
    /// Blank counts as missing. Numbers and truth values are written as JSON does.
    pub fn render(&self, values: &Map<String, Value>) -> Result<String, MissingValue> {
        let mut text = String::with_capacity(160);
        for piece in &self.pieces {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Field { index, fallback } => {
                    let field = &self.fields[*index];
                    match (values.get(field), fallback) {
                        (Some(Value::String(value)), _) if !value.trim().is_empty() => text.push_str(value),
                        (Some(value @ (Value::Number(_) | Value::Bool(_))), _) => text.push_str(&value.to_string()),
                        (_, Some(fallback)) => text.push_str(fallback),
                        (_, None) => return Err(MissingValue { field: field.clone() }),
                    }
                }
            }
        }
        Ok(text)
    }
}

/// What follows `name` in `text`, if the text starts with it, in any case, and
/// the word ends there.
fn tail<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    for expected in name.chars() {
        let found = rest.next()?;
        if found != expected && !found.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    let rest = rest.as_str();
    let ends = !rest.starts_with(|next| is_of_word(next) && !runs_on(next)) || !name.ends_with(is_of_word);
    ends.then_some(rest)
}

/// Splits a fallback off, when `text` starts with one.
fn fallback(text: &str) -> (Option<&str>, &str) {
    match text.strip_prefix('|').and_then(|text| text.split_once('#')) {
        Some((fallback, rest)) => (Some(fallback), rest),
        None => (None, text),
    }
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether `c` is written right after the word before it: Thai to Khmer, and
/// kana, ideographs and Hangul with its particles.
fn runs_on(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn known(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|name| (*name).to_owned()).collect()
    }

    fn parse(text: &str, fields: &[&str]) -> Template {
        Template::parse(text, &known(fields))
    }

    fn render(text: &str, values: Value) -> Result<String, String> {
        let Value::Object(values) = values else { panic!("values are an object") };
        let fields: Vec<String> = values.keys().cloned().collect();
        Template::parse(text, &fields).render(&values).map_err(|missing| missing.field)
    }

    fn rendered(text: &str, values: Value) -> String {
        render(text, values).unwrap()
    }

    #[test]
    fn values_are_filled_in() {
        let text = "Dear #name, you owe #amount. Call #name!";
        assert_eq!(rendered(text, json!({"name": "Ann", "amount": "€12"})), "Dear Ann, you owe €12. Call Ann!");
        assert_eq!(rendered("#n", json!({"n": 12.5})), "12.5");
    }

    #[test]
    fn case_does_not_matter_and_the_known_spelling_finds_the_value() {
        assert_eq!(rendered("#NAME #naMe", json!({"Name": "Ann"})), "Ann Ann");
        assert_eq!(rendered("#ÉTAT", json!({"état": "ok"})), "ok");
        assert_eq!(parse("#NAME", &["Name"]).fields(), ["Name"]);
    }

    #[test]
    fn the_longest_name_wins_even_with_spaces() {
        let values = json!({"first": "A", "first name": "Ann", "first name of child": "Bo"});
        assert_eq!(rendered("#first name of dog", values.clone()), "Ann of dog");
        assert_eq!(rendered("#First Name Of Child.", values.clone()), "Bo.");
        assert_eq!(rendered("#first.", values), "A.");
    }

    #[test]
    fn a_missing_or_blank_value_stops_the_message() {
        let text = "Hi #name";
        let template = parse(text, &["name"]);
        assert_eq!(template.render(&Map::new()), Err(MissingValue { field: "name".into() }));
        for value in [json!(""), json!("  "), json!(null), json!([1])] {
            assert_eq!(render(text, json!({"name": value})), Err("name".into()));
        }
    }

    #[test]
    fn a_fallback_stands_in() {
        let text = "Hi #name|there#, bye";
        assert_eq!(rendered(text, json!({"name": ""})), "Hi there, bye");
        assert_eq!(rendered(text, json!({"name": "Ann"})), "Hi Ann, bye");
        assert_eq!(rendered("#a|#b", json!({"a": "", "b": "B"})), "b", "an empty fallback, then text");
        assert_eq!(rendered("#name|#s", json!({"name": "Ann"})), "Anns");
        assert_eq!(rendered("#a|x##b", json!({"a": "", "b": "B"})), "xB");
    }

    #[test]
    fn a_bar_without_an_end_is_plain() {
        assert_eq!(rendered("#a|b", json!({"a": "A"})), "A|b");
    }

    #[test]
    fn needed_are_those_once_used_without_fallback() {
        let template = parse("#a|x# #b #c|y# #a", &["a", "b", "c", "d"]);
        assert_eq!(template.fields(), ["a", "b", "c"]);
        assert_eq!(template.needed(), ["a", "b"]);
    }

    #[test]
    fn other_hashes_are_text() {
        for text in ["dial #1", "C# is #", "#", "a # b", "100#", "#|x#"] {
            let template = parse(text, &["name"]);
            assert_eq!(template.render(&Map::new()).unwrap(), text);
            assert!(template.unknown().is_empty(), "{text}");
        }
        assert_eq!(rendered("##name #### #name", json!({"name": "Ann"})), "#name ## Ann");
    }

    #[test]
    fn mistyped_fields_are_told() {
        let text = "Hi #nmae, #names #nmae|my# friend #1";
        let template = parse(text, &["name"]);
        assert_eq!(template.unknown(), ["nmae", "names"]);
        assert_eq!(template.render(&Map::new()).unwrap(), text);
    }

    #[test]
    fn a_name_does_not_end_inside_a_word() {
        assert_eq!(parse("#balance_due #balance2 #balance", &["balance"]).unknown(), ["balance_due", "balance2"]);
        assert_eq!(rendered("#名前様 #이름님", json!({"名前": "山田", "이름": "민수"})), "山田様 민수님");
        assert_eq!(rendered("#rate %x", json!({"rate %": "7"})), "7x", "this one ends by itself");
    }

    proptest! {
        /// What has no # comes out as it went in; doubled ones come out single.
        #[test]
        fn plain_text_stays(text in "\\PC{0,60}") {
            let template = Template::parse(&text.replace('#', "##"), &known(&["name", "first name"]));
            prop_assert_eq!(template.render(&Map::new()).unwrap(), text);
        }

        /// Nothing a person types breaks the parser, and every value lands unchanged.
        #[test]
        fn any_text_can_be_parsed(text in "([#|a-c ]|name|é){0,40}", value in "\\PC{1,20}") {
            let value = format!("<{value}>");
            let Value::Object(values) = json!({"name": value, "a b": value}) else { unreachable!() };
            let fields: Vec<String> = values.keys().cloned().collect();
            let template = Template::parse(&text, &fields);
            let rendered = template.render(&values).unwrap();
            prop_assert_eq!(rendered.contains(&value), !template.fields().is_empty());
        }
    }
}
