//! Content templates of an account, as the list of contents and approvals tells them.

use serde_json::Value;

use crate::wording::{Approved, PlacePart, TemplatePlace, places_in};

/// Pages that are read at most.
pub const MOST_PAGES: usize = 60;

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The templates of one page, and the address of the next one.
pub fn page(said: &Value) -> (Vec<Approved>, Option<String>) {
    let templates = said["contents"].as_array().into_iter().flatten().filter_map(template).collect();
    (templates, Some(text(said, "/meta/next_page_url")).filter(|url| !url.is_empty()))
}

fn template(it: &Value) -> Option<Approved> {
    let sid = text(it, "/sid");
    // One content may be written in several ways; WhatsApp is given the richest.
    let types = it["types"].as_object()?;
    let (kind, content) = types.iter().max_by_key(|(kind, _)| *kind != "twilio/text")?;
    let body = text(content, "/body");
    let actions = || content["actions"].as_array().into_iter().flatten();
    let mut known = Approved {
        title: text(it, "/friendly_name"),
        language: text(it, "/language"),
        category: text(it, "/approval_requests/category").to_lowercase(),
        status: text(it, "/approval_requests/status").to_lowercase(),
        name: sid,
        ..Approved::default()
    };
    let mut named = places_in(&body);
    match kind.as_str() {
        "twilio/text" => {}
        "twilio/quick-reply" => known.choices = actions().map(|it| text(it, "/title")).collect(),
        "twilio/call-to-action" => {
            for place in actions().flat_map(|it| places_in(&text(it, "/url"))) {
                if !named.contains(&place) {
                    named.push(place);
                }
            }
        }
        "twilio/media" => {
            let urls = content["media"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for place in urls.flat_map(places_in) {
                if !named.contains(&place) {
                    named.push(place);
                }
            }
        }
        other => known.beyond = Some(format!("it is of the kind {}", other.trim_start_matches("twilio/"))),
    }
    let example = |name: &str| it["variables"][name].as_str().unwrap_or_default().to_owned();
    // All places of a content are numbered together.
    let place = |name: String| TemplatePlace { part: PlacePart::Body, example: example(&name), name };
    known.places = named.into_iter().map(place).collect();
    known.body = body;
    (!known.name.is_empty()).then_some(known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn contents_are_read_with_their_places() {
        let said = json!({ "contents": [
            { "sid": "HX1", "friendly_name": "order_ready", "language": "en", "variables": { "1": "Ada", "2": "7" },
              "types": { "twilio/text": { "body": "Hi {{1}}" },
                         "twilio/quick-reply": { "body": "Hi {{1}}, order {{2}}", "actions": [{ "title": "Thanks", "id": "t" }] } },
              "approval_requests": { "name": "order_ready", "status": "approved", "category": "UTILITY" } },
            { "sid": "HX2", "friendly_name": "cards", "language": "en", "variables": {},
              "types": { "twilio/carousel": { "body": "x" } }, "approval_requests": { "status": "unsubmitted" } }],
            "meta": { "next_page_url": "https://content.twilio.com/v1/ContentAndApprovals?Page=1" } });
        let (them, more) = page(&said);
        assert!(more.is_some());
        assert_eq!((them[0].name.as_str(), them[0].title.as_str()), ("HX1", "order_ready"));
        assert_eq!((them[0].places.len(), them[0].places[1].example.as_str()), (2, "7"));
        assert_eq!((them[0].choices.as_slice(), them[0].can_be_sent()), (&["Thanks".to_owned()][..], true));
        assert_eq!(them[1].beyond.as_deref(), Some("it is of the kind carousel"));
        assert!(!them[1].is_approved());
    }
}
