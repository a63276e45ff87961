//! Templates of a business account: read from Graph, and written into a message.

use serde_json::{Value, json};

use super::text;
use crate::wording::{Approved, FilledTemplate, PlacePart, TemplatePlace, places_in};

/// Templates of a page of their list.
pub const A_PAGE: usize = 100;
/// Pages that are read at most: an account has 6,000 templates at most.
pub const MOST_PAGES: usize = 60;

/// The templates of one page of the list, and whether there is one behind it: from where it is asked for.
pub fn page(said: &Value) -> (Vec<Approved>, Option<String>) {
    let templates = said["data"].as_array().into_iter().flatten().filter_map(template).collect();
    // The last page has a cursor as well, and no address of a next one.
    let more = text(said, "/paging/next").and_then(|_| text(said, "/paging/cursors/after"));
    (templates, more)
}

fn template(it: &Value) -> Option<Approved> {
    let name = text(it, "/name")?;
    let word = |pointer: &str| text(it, pointer).unwrap_or_default().to_lowercase();
    let mut known = Approved {
        title: name.clone(),
        name,
        language: text(it, "/language")?,
        category: word("/category"),
        status: word("/status"),
        quality: Some(word("/quality_score/score")).filter(|word| word != "unknown").unwrap_or_default(),
        ..Approved::default()
    };
    for component in it["components"].as_array().into_iter().flatten() {
        take_component(&mut known, component);
    }
    if known.category == "authentication" {
        known.beyond = Some("it is for one-time codes".to_owned());
    }
    Some(known)
}

fn take_component(known: &mut Approved, it: &Value) {
    let words = text(it, "/text").unwrap_or_default();
    let word = |pointer: &str| text(it, pointer).unwrap_or_default().to_uppercase();
    match word("/type").as_str() {
        "HEADER" => match word("/format").as_str() {
            "TEXT" => {
                known.places.extend(places(PlacePart::Header, &words, it, "header_text"));
                known.header = words;
            }
            format @ ("IMAGE" | "VIDEO" | "DOCUMENT") => {
                let part = match format {
                    "IMAGE" => PlacePart::Image,
                    "VIDEO" => PlacePart::Video,
                    _ => PlacePart::Document,
                };
                known.places.push(TemplatePlace { part, name: "0".to_owned(), example: String::new() });
            }
            other => known.beyond = Some(format!("its header is a {}", other.to_lowercase())),
        },
        "BODY" => {
            known.places.extend(places(PlacePart::Body, &words, it, "body_text"));
            known.body = words;
        }
        "FOOTER" => known.footer = words,
        "BUTTONS" => {
            for (n, button) in it["buttons"].as_array().into_iter().flatten().enumerate() {
                take_button(known, n, button);
            }
        }
        // Newer than we are, or a carousel, or an offer that ends.
        other => known.beyond = Some(format!("it has a {}", other.to_lowercase().replace('_', " "))),
    }
}

fn take_button(known: &mut Approved, n: usize, it: &Value) {
    let place = |part| TemplatePlace {
        part,
        name: n.to_string(),
        example: text(it, "/example").or_else(|| text(it, "/example/0")).unwrap_or_default(),
    };
    match text(it, "/type").unwrap_or_default().to_uppercase().as_str() {
        "QUICK_REPLY" => known.choices.extend(text(it, "/text")),
        "URL" if text(it, "/url").is_some_and(|url| !places_in(&url).is_empty()) => {
            known.places.push(place(PlacePart::ButtonUrl));
        }
        "COPY_CODE" => known.places.push(place(PlacePart::ButtonCode)),
        // It leads always to the same.
        "URL" | "PHONE_NUMBER" | "VOICE_CALL" => {}
        other => known.beyond = Some(format!("it has a button of the kind {}", other.to_lowercase().replace('_', " "))),
    }
}

/// The places of a component, with what Meta was shown for each.
fn places(part: PlacePart, words: &str, it: &Value, examples: &str) -> Vec<TemplatePlace> {
    let named = |name: &str| {
        let shown = it["example"][format!("{examples}_named_params")].as_array();
        let shown = shown.into_iter().flatten().find(|it| it["param_name"] == name);
        shown.and_then(|it| text(it, "/example"))
    };
    let numbered = |n: usize| {
        let shown = &it["example"][examples];
        text(shown, &format!("/0/{n}")).or_else(|| text(shown, &format!("/{n}")))
    };
    let place = |(n, name): (usize, String)| {
        let example = named(&name).or_else(|| numbered(n)).unwrap_or_default();
        TemplatePlace { part, name, example }
    };
    places_in(words).into_iter().enumerate().map(place).collect()
}

/// A filled template as a message has it.
pub fn written(filled: &FilledTemplate) -> Value {
    let mut template =
        json!({ "name": filled.name, "language": { "policy": "deterministic", "code": filled.language } });
    let components = components(filled);
    if !components.is_empty() {
        template["components"] = json!(components);
    }
    template
}

fn components(filled: &FilledTemplate) -> Vec<Value> {
    let of = |parts: &[PlacePart]| filled.values.iter().filter(|it| parts.contains(&it.part)).collect::<Vec<_>>();
    let mut components = Vec::new();
    let header = of(&[PlacePart::Header, PlacePart::Image, PlacePart::Video, PlacePart::Document]);
    for (kind, values) in [("header", header), ("body", of(&[PlacePart::Body]))] {
        let parameters: Vec<Value> = values.iter().map(|it| parameter(it.part, &it.name, &it.text)).collect();
        if !parameters.is_empty() {
            components.push(json!({ "type": kind, "parameters": parameters }));
        }
    }
    for it in of(&[PlacePart::ButtonUrl, PlacePart::ButtonCode]) {
        let (sub_type, parameter) = match it.part {
            PlacePart::ButtonCode => ("copy_code", json!({ "type": "coupon_code", "coupon_code": it.text })),
            _ => ("url", json!({ "type": "text", "text": it.text })),
        };
        components.push(json!({ "type": "button", "sub_type": sub_type, "index": it.name, "parameters": [parameter] }));
    }
    components
}

fn parameter(part: PlacePart, name: &str, text: &str) -> Value {
    let kind = match part {
        PlacePart::Image => "image",
        PlacePart::Video => "video",
        PlacePart::Document => "document",
        _ => {
            let mut parameter = json!({ "type": "text", "text": text });
            if !name.bytes().all(|byte| byte.is_ascii_digit()) {
                parameter["parameter_name"] = json!(name);
            }
            return parameter;
        }
    };
    json!({ "type": kind, kind: { "link": text } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Value {
        json!({
            "name": "order_ready", "language": "en_US", "status": "APPROVED", "category": "UTILITY",
            "quality_score": { "score": "GREEN" },
            "components": [
                { "type": "HEADER", "format": "IMAGE", "example": { "header_handle": ["https://a.example/x"] } },
                { "type": "BODY", "text": "Hi {{1}}, order {{2}}", "example": { "body_text": [["Ada", "A-7"]] } },
                { "type": "FOOTER", "text": "Bugle" },
                { "type": "BUTTONS", "buttons": [
                    { "type": "QUICK_REPLY", "text": "Thanks" },
                    { "type": "URL", "text": "Track", "url": "https://a.example/{{1}}", "example": ["https://a.example/7"] },
                    { "type": "URL", "text": "Home", "url": "https://a.example/" },
                    { "type": "COPY_CODE", "text": "Copy", "example": "SAVE20" }] }
            ]
        })
    }

    #[test]
    fn a_template_is_read_with_its_places_and_written_with_their_values() {
        let (them, more) = page(&json!({ "data": [order()], "paging": { "cursors": { "after": "QVFI" } } }));
        assert_eq!(more, None, "the last page has a cursor, too");
        let it = &them[0];
        assert!(it.can_be_sent(), "{it:?}");
        assert_eq!((it.quality.as_str(), it.choices.as_slice()), ("green", &["Thanks".to_owned()][..]));
        let fields: Vec<String> = it.places.iter().map(TemplatePlace::field).collect();
        assert_eq!(fields, ["place_image_0", "place_body_1", "place_body_2", "place_url_1", "place_code_3"]);
        assert_eq!((it.places[2].example.as_str(), it.places[4].example.as_str()), ("A-7", "SAVE20"));
        let filled = it.filled(|place| format!("v{}", place.name));
        let written = written(&filled);
        assert_eq!(written["language"], json!({ "policy": "deterministic", "code": "en_US" }));
        assert_eq!(
            written["components"],
            json!([
                { "type": "header", "parameters": [{ "type": "image", "image": { "link": "v0" } }] },
                { "type": "body", "parameters": [{ "type": "text", "text": "v1" }, { "type": "text", "text": "v2" }] },
                { "type": "button", "sub_type": "url", "index": "1", "parameters": [{ "type": "text", "text": "v1" }] },
                { "type": "button", "sub_type": "copy_code", "index": "3",
                  "parameters": [{ "type": "coupon_code", "coupon_code": "v3" }] },
            ])
        );
    }

    #[test]
    fn places_with_names_are_named() {
        let named = json!({ "name": "n", "language": "de", "status": "PAUSED", "category": "MARKETING", "components": [
            { "type": "HEADER", "format": "TEXT", "text": "For {{who}}" },
            { "type": "BODY", "text": "Hi {{first_name}}",
              "example": { "body_text_named_params": [{ "param_name": "first_name", "example": "Ada" }] } }] });
        let it = template(&named).unwrap();
        assert_eq!((it.status.as_str(), it.places[1].example.as_str(), it.can_be_sent()), ("paused", "Ada", false));
        let body = &written(&it.filled(|_| "x".into()))["components"][1]["parameters"][0];
        assert_eq!(body, &json!({ "type": "text", "text": "x", "parameter_name": "first_name" }));
    }

    #[test]
    fn what_cannot_be_filled_in_here_says_so() {
        let with = |component: Value| {
            let it = json!({ "name": "n", "language": "de", "status": "APPROVED", "category": "MARKETING",
                             "components": [{ "type": "BODY", "text": "Hi" }, component] });
            template(&it).unwrap().beyond
        };
        assert_eq!(with(json!({ "type": "HEADER", "format": "LOCATION" })).unwrap(), "its header is a location");
        assert!(with(json!({ "type": "CAROUSEL", "cards": [] })).is_some());
        assert!(with(json!({ "type": "BUTTONS", "buttons": [{ "type": "FLOW", "text": "x" }] })).is_some());
        assert_eq!(with(json!({ "type": "BUTTONS", "buttons": [{ "type": "PHONE_NUMBER", "text": "x" }] })), None);
        assert!(template(&json!({ "name": "n" })).is_none());
    }
}
