//! Texts that a provider approves beforehand, and how their places are filled in.
//!
//! The provider keeps the text, with places such as `{{1}}` or `{{first_name}}` in it, and is sent its name and the
//! values. What a place is filled with is a text with fields of ours ([`Template`]), so that each contact gets their own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MissingValue, Template};

/// A text as its provider knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Approved {
    /// What the provider is asked for: a name, or an id.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The provider's code, such as `en_US`.
    pub language: String,
    /// Its word for what it is for, in lower case: `marketing`, `utility`, `authentication`.
    pub category: String,
    /// Its word for how it stands, in lower case: `approved`, `pending`, `rejected`, `paused`, `disabled`.
    pub status: String,
    /// Its word for how people take it, in lower case: `green`, `yellow`, `red`; empty when it says none.
    pub quality: String,
    pub header: String,
    pub body: String,
    pub footer: String,
    /// Buttons that answer with their own words.
    pub choices: Vec<String>,
    /// Every place, in the order in which they are filled in.
    pub places: Vec<TemplatePlace>,
    /// What of it cannot be filled in here; such a text cannot be sent from here.
    pub beyond: Option<String>,
}

/// Somewhere in an approved text that is filled in for each send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplatePlace {
    pub part: PlacePart,
    /// As between the braces; of a button, its index from 0.
    pub name: String,
    /// What the provider was shown when it approved.
    #[serde(default)]
    pub example: String,
}

/// What is filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacePart {
    #[default]
    Body,
    Header,
    /// The address of a picture above the text.
    Image,
    Video,
    Document,
    /// The end of a button's address.
    ButtonUrl,
    /// The code that a button copies.
    ButtonCode,
}

impl PlacePart {
    /// Whether it is the address of a file.
    pub fn is_media(self) -> bool {
        matches!(self, PlacePart::Image | PlacePart::Video | PlacePart::Document)
    }
}

impl TemplatePlace {
    /// What its field is called in a form: the same for the same place of any text.
    pub fn field(&self) -> String {
        let part = match self.part {
            PlacePart::Body => "body",
            PlacePart::Header => "header",
            PlacePart::Image => "image",
            PlacePart::Video => "video",
            PlacePart::Document => "document",
            PlacePart::ButtonUrl => "url",
            PlacePart::ButtonCode => "code",
        };
        format!("place_{part}_{}", self.name)
    }

    /// For people.
    pub fn label(&self) -> String {
        match self.part {
            PlacePart::Body => format!("{{{{{}}}}}", self.name),
            PlacePart::Header => format!("{{{{{}}}}} in the header", self.name),
            PlacePart::Image => "Address of the picture".to_owned(),
            PlacePart::Video => "Address of the video".to_owned(),
            PlacePart::Document => "Address of the document".to_owned(),
            PlacePart::ButtonUrl => format!("End of the address of button {}", self.button()),
            PlacePart::ButtonCode => format!("Code of button {}", self.button()),
        }
    }

    /// From 1.
    fn button(&self) -> u32 {
        self.name.parse::<u32>().unwrap_or(0) + 1
    }
}

/// The names between double braces, each once, in their order.
pub fn places_in(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces(text) {
        if let Piece::Place(name) = piece
            && !names.iter().any(|it| it == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

enum Piece<'a> {
    Plain(&'a str),
    Place(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        pieces.push(Piece::Plain(before));
        pieces.push(Piece::Place(name.trim()));
        rest = behind;
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

impl Approved {
    /// How forms name it.
    pub fn key(&self) -> String {
        format!("{}:{}", self.name, self.language)
    }

    pub fn is_approved(&self) -> bool {
        self.status == "approved"
    }

    /// Whether it can be sent from here now.
    pub fn can_be_sent(&self) -> bool {
        self.is_approved() && self.beyond.is_none()
    }

    /// Filled in with what `of` says of each place.
    pub fn filled(&self, of: impl Fn(&TemplatePlace) -> String) -> FilledTemplate {
        let value = |place: &TemplatePlace| FilledPlace { part: place.part, name: place.name.clone(), text: of(place) };
        FilledTemplate {
            name: self.name.clone(),
            title: self.title.clone(),
            language: self.language.clone(),
            header: self.header.clone(),
            body: self.body.clone(),
            footer: self.footer.clone(),
            choices: self.choices.clone(),
            values: self.places.iter().map(value).collect(),
        }
    }

    /// Whether what was filled in once still is this text with these places.
    pub fn is_still(&self, filled: &FilledTemplate) -> bool {
        let same =
            |place: &TemplatePlace| filled.values.iter().any(|it| it.part == place.part && it.name == place.name);
        (&self.header, &self.body, &self.footer) == (&filled.header, &filled.body, &filled.footer)
            && self.choices == filled.choices
            && self.places.len() == filled.values.len()
            && self.places.iter().all(same)
    }
}

/// An approved text as somebody filled it in. It keeps the words that were approved, so that what was said is known
/// when the provider has changed them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilledTemplate {
    pub name: String,
    pub title: String,
    pub language: String,
    pub header: String,
    pub body: String,
    pub footer: String,
    pub choices: Vec<String>,
    pub values: Vec<FilledPlace>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FilledPlace {
    pub part: PlacePart,
    pub name: String,
    /// With fields in it, until it is rendered.
    pub text: String,
}

impl FilledTemplate {
    pub fn key(&self) -> String {
        format!("{}:{}", self.name, self.language)
    }

    /// What was filled into a place; empty when nothing was.
    pub fn value(&self, place: &TemplatePlace) -> &str {
        let value = self.values.iter().find(|it| it.part == place.part && it.name == place.name);
        value.map_or("", |it| it.text.as_str())
    }

    /// What a person reads: header, text and footer with the values in their places.
    pub fn words(&self) -> String {
        let lines = [(&self.header, PlacePart::Header), (&self.body, PlacePart::Body), (&self.footer, PlacePart::Body)];
        let lines = lines.into_iter().filter(|(text, _)| !text.is_empty());
        lines.map(|(text, part)| self.put_into(text, part)).collect::<Vec<_>>().join("\n")
    }

    fn put_into(&self, text: &str, part: PlacePart) -> String {
        let value = |name: &str| self.values.iter().find(|it| it.part == part && it.name == name);
        let pieces = pieces(text).into_iter().map(|piece| match piece {
            Piece::Plain(plain) => plain.to_owned(),
            Piece::Place(name) => value(name).map_or_else(|| format!("{{{{{name}}}}}"), |it| it.text.clone()),
        });
        pieces.collect()
    }

    /// Everything that was filled in, as one text with fields: what looks like a mistake in it is one.
    pub fn typed(&self) -> String {
        self.values.iter().map(|it| it.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    pub fn parse(&self, fields: &[String]) -> ParsedTemplate {
        let values = self.values.iter().map(|it| Template::parse(&it.text, fields)).collect();
        ParsedTemplate { filled: self.clone(), values }
    }
}

/// A filled text, parsed once and rendered for every contact.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedTemplate {
    filled: FilledTemplate,
    values: Vec<Template>,
}

impl ParsedTemplate {
    /// With the values of a contact. A place that would be empty counts as missing: providers refuse it.
    pub fn render(&self, of: &Map<String, Value>) -> Result<FilledTemplate, MissingValue> {
        let mut rendered = self.filled.clone();
        for (place, template) in rendered.values.iter_mut().zip(&self.values) {
            place.text = in_one_line(&template.render(of)?);
            if place.text.is_empty() {
                let field = template.fields().first().cloned().unwrap_or_else(|| place.name.clone());
                return Err(MissingValue { field });
            }
        }
        Ok(rendered)
    }
}

/// Without line breaks, tabs and long gaps, which providers refuse in a place.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order() -> Approved {
        let place = |part, name: &str| TemplatePlace { part, name: name.into(), example: String::new() };
        Approved {
            name: "order_ready".into(),
            language: "en_US".into(),
            status: "approved".into(),
            header: "Order {{1}}".into(),
            body: "Hi {{1}}, your order #{{2}} is ready. {{1}}!".into(),
            footer: "Reply STOP to opt out".into(),
            choices: vec!["Thanks".into()],
            places: vec![
                place(PlacePart::Header, "1"),
                place(PlacePart::Body, "1"),
                place(PlacePart::Body, "2"),
                place(PlacePart::ButtonUrl, "0"),
            ],
            ..Approved::default()
        }
    }

    fn values(it: serde_json::Value) -> Map<String, Value> {
        it.as_object().unwrap().clone()
    }

    #[test]
    fn places_are_found_by_their_names() {
        assert_eq!(places_in("Hi {{1}}, {{ first_name }} and {{1}} {{"), ["1", "first_name"]);
        assert_eq!(places_in("no { place }} here"), [""; 0]);
    }

    #[test]
    fn each_contact_gets_their_own_values_in_the_words_that_were_approved() {
        let filled = order().filled(|place| match (place.part, place.name.as_str()) {
            (PlacePart::Body, "1") => "#name|you#".into(),
            (PlacePart::ButtonUrl, _) => "#order".into(),
            _ => "no. #order".into(),
        });
        assert!(order().is_still(&filled));
        assert_eq!(
            filled.words(),
            "Order no. #order\nHi #name|you#, your order #no. #order is ready. #name|you#!\nReply STOP to opt out"
        );
        let parsed = filled.parse(&["name".into(), "order".into()]);
        let said = parsed.render(&values(json!({ "name": "Ada\n\tLovelace", "order": 7 }))).unwrap();
        assert_eq!(
            said.words(),
            "Order no. 7\nHi Ada Lovelace, your order #no. 7 is ready. Ada Lovelace!\nReply STOP to opt out"
        );
        assert_eq!(said.values[3].text, "7");
        assert_eq!(parsed.render(&values(json!({ "name": "Ada" }))).unwrap_err().field, "order");
        let empty = order().filled(|_| "#order|#".into()).parse(&["order".into()]);
        assert_eq!(
            empty.render(&Map::new()).unwrap_err().field,
            "order",
            "an empty place is refused, so it is missing"
        );
    }

    #[test]
    fn a_text_that_was_changed_is_another_one() {
        let filled = order().filled(|_| "x".into());
        let other_words = Approved { body: "Hello {{1}} {{2}}".into(), ..order() };
        assert!(!other_words.is_still(&filled));
        let mut fewer_places = order();
        fewer_places.places.pop();
        assert!(!fewer_places.is_still(&filled));
    }
}
