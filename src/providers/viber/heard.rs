//! What Viber calls us with.

use chrono::{DateTime, Utc};

use crate::providers::key::StatusKey;
use crate::providers::said::{Said, instant};
use crate::providers::{ConsentNews, Event, Inbound, MediaHeard, Receipt, ReceiptStatus, RejectClass};

/// What a call says. The person stands in another field in each kind of call.
pub fn events(said: &Said) -> Vec<Event> {
    let event = said.text("/event").unwrap_or_default();
    let whom = said.first(&["/user_id", "/user/id", "/sender/id"]);
    let token = said.text("/message_token");
    let status = match event.as_str() {
        "delivered" => ReceiptStatus::Delivered,
        "seen" => ReceiptStatus::Read,
        "failed" => ReceiptStatus::Failed,
        "message" => return vec![message(said, whom, token)],
        "subscribed" | "unsubscribed" => {
            let wants = event == "subscribed";
            return whom.map_or_else(
                || nothing("somebody without an id"),
                |from| vec![Event::Consent(ConsentNews { from, wants, id: token })],
            );
        }
        // They have opened the bot, and have neither written nor agreed to anything.
        _ => return nothing(&event),
    };
    let (Some(theirs), Some(to)) = (token, whom) else { return nothing("news of no message") };
    let (reference, failed) = (Some(theirs.clone()), status == ReceiptStatus::Failed);
    let about = match failed {
        // Perhaps of a message that we know nothing of: what has failed is nobody's proof that it left.
        true => StatusKey::TheirsTo { theirs, to: to.clone() },
        false => StatusKey::TheirsOrOnly { theirs, to: to.clone() },
    };
    vec![Event::Receipt(Receipt {
        code: said.text("/desc").filter(|_| failed),
        class: failed.then_some(RejectClass::Other),
        reference,
        to: Some(to),
        at: at(said),
        ..Receipt::about(about, status)
    })]
}

fn nothing(what: &str) -> Vec<Event> {
    vec![Event::Other(what.to_owned())]
}

fn at(said: &Said) -> Option<DateTime<Utc>> {
    said.text("/timestamp").and_then(|at| instant(&at, chrono_tz::UTC))
}

fn message(said: &Said, whom: Option<String>, token: Option<String>) -> Event {
    let (Some(id), Some(from)) = (token, whom) else {
        return Event::Other("a message without a token or a sender".to_owned());
    };
    let get = |field: &str| said.text(&format!("/message/{field}")).unwrap_or_default();
    let kind = get("type");
    let mut inbound =
        Inbound { id, from, at: at(said), name: said.first(&["/sender/name", "/user/name"]), ..Inbound::default() };
    let one = |url: String, about: String| vec![MediaHeard { kind: kind.clone(), url, about, ..MediaHeard::default() }];
    match kind.as_str() {
        "text" => inbound.text = get("text"),
        // Somebody typed an address.
        "url" => inbound.text = Some(get("media")).filter(|it| !it.is_empty()).unwrap_or_else(|| get("text")),
        "location" => {
            let url = format!("geo:{},{}", get("location/lat"), get("location/lon"));
            inbound.media = one(url, get("location/address"));
        }
        "contact" => {
            let parts = [get("contact/name"), get("contact/phone_number")];
            let about = parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(", ");
            inbound.media = one(String::new(), about);
        }
        "sticker" => {
            inbound.media = one(get("media"), get("sticker_id"));
        }
        // A picture, a video, a file; or something that is newer than we are.
        _ => {
            inbound.text = get("text");
            inbound.media = one(get("media"), get("file_name"));
        }
    }
    if inbound.text.is_empty() && inbound.media.is_empty() {
        return Event::Other(format!("nothing that can be read, in {}", inbound.id));
    }
    Event::Inbound(inbound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(json: &str) -> Event {
        events(&Said::of_text("application/json", json).unwrap()).remove(0)
    }

    fn written(message: &str) -> Inbound {
        let call = format!(
            r#"{{"event":"message","timestamp":"1795860001234","message_token":4912661846655238147,"sender":{{"id":"A/+=","name":"Ann"}},"message":{message}}}"#
        );
        match heard(&call) {
            Event::Inbound(it) => it,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_people_send_is_kept_as_what_it_is() {
        let text = written(r#"{"type":"text","text":"hello"}"#);
        assert_eq!(
            (text.id.as_str(), text.from.as_str(), text.name.as_deref()),
            ("4912661846655238147", "A/+=", Some("Ann"))
        );
        assert_eq!(text.at, DateTime::from_timestamp_millis(1_795_860_001_234));
        assert_eq!(written(r#"{"type":"url","media":"https://a.example"}"#).text, "https://a.example");
        let picture = written(r#"{"type":"picture","text":"look","media":"https://a.example/b.jpg"}"#);
        assert_eq!((picture.text.as_str(), picture.media[0].kind.as_str()), ("look", "picture"));
        assert_eq!(
            written(r#"{"type":"file","media":"https://a.example/b","file_name":"b.pdf"}"#).media[0].about,
            "b.pdf"
        );
        assert_eq!(
            written(r#"{"type":"location","location":{"lat":48.2,"lon":16.37}}"#).media[0].url,
            "geo:48.2,16.37"
        );
        let card = written(r#"{"type":"contact","contact":{"name":"Ben","phone_number":"+353861234567"}}"#);
        assert_eq!(card.media[0].about, "Ben, +353861234567");
        assert_eq!(written(r#"{"type":"sticker","sticker_id":46105}"#).media[0].about, "46105");
    }

    #[test]
    fn who_it_is_about_stands_in_three_places() {
        let consent = |json: &str| match heard(json) {
            Event::Consent(it) => (it.from, it.wants),
            other => panic!("{other:?}"),
        };
        assert_eq!(consent(r#"{"event":"unsubscribed","user_id":"A=","message_token":1}"#), ("A=".into(), false));
        assert_eq!(consent(r#"{"event":"subscribed","user":{"id":"A="},"message_token":1}"#), ("A=".into(), true));
        for quiet in ["webhook", "client_status", "conversation_started", "action"] {
            let call = format!(r#"{{"event":"{quiet}","user":{{"id":"A="}},"subscribed":true,"message_token":1}}"#);
            assert_eq!(heard(&call), Event::Other(quiet.into()));
        }
    }

    #[test]
    fn only_good_news_may_be_of_the_one_send_that_nobody_answered_for() {
        let about = |event: &str| {
            let call = format!(
                r#"{{"event":"{event}","timestamp":1795860004000,"message_token":4912661846655238147,"user_id":"A=","desc":"no"}}"#
            );
            match heard(&call) {
                Event::Receipt(it) => (it.about, it.code),
                other => panic!("{other:?}"),
            }
        };
        let (theirs, to) = ("4912661846655238147".to_owned(), "A=".to_owned());
        let only = StatusKey::TheirsOrOnly { theirs: theirs.clone(), to: to.clone() };
        assert_eq!((about("delivered"), about("seen")), ((only.clone(), None), (only, None)));
        assert_eq!(about("failed"), (StatusKey::TheirsTo { theirs, to }, Some("no".into())));
    }
}
