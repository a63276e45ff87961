//! What Twilio lists of the messages to somebody, and which of them may be one that it gave no answer for.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{codes, receipt_status};
use crate::providers::class::AnswerMeans;
use crate::providers::doubt::InDoubt;
use crate::providers::key::StatusKey;
use crate::providers::said::instant;
use crate::providers::{Receipt, ReceiptStatus, RejectClass};

/// Their clock and ours may differ by so much.
const CLOCKS: TimeDelta = TimeDelta::minutes(1);
/// What was handed over is there by then, or was never taken.
const WITHIN: TimeDelta = TimeDelta::minutes(2);

/// From when on messages may be the one.
pub fn since(it: &InDoubt) -> DateTime<Utc> {
    it.begun_at - CLOCKS
}

/// What would be told of the send, if it were one of these: each that says the same, from us, made about then.
///
/// `is_ours` asks whether a message left from the channel's sender. An error: not all of them are in the list.
pub fn candidates(said: &Value, it: &InDoubt, is_ours: impl Fn(&Value) -> bool) -> Result<Vec<Receipt>, String> {
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    if text(said, "next_page_uri").is_some_and(|next| !next.is_empty()) {
        return Err("there are too many messages to this number".to_owned());
    }
    let them = said["messages"].as_array().ok_or("Twilio answered with no list of messages")?;
    let is_it = |message: &&Value| {
        let made = text(message, "date_created").and_then(|at| instant(&at, chrono_tz::UTC));
        let is_then = made.is_some_and(|at| since(it) <= at && at <= it.begun_at + WITHIN + CLOCKS);
        let is_outbound = text(message, "direction").is_none_or(|it| it.starts_with("outbound"));
        let says_it = text(message, "body").is_some_and(|body| body.trim_end() == it.body.trim_end());
        is_then && is_outbound && says_it && is_ours(message)
    };
    let receipt = |message: &Value| {
        let (theirs, status) = (text(message, "sid")?, receipt_status(text(message, "status")?.as_str())?);
        let code = message["error_code"].as_i64().map(|code| code.to_string()).or_else(|| text(message, "error_code"));
        let failed = status == ReceiptStatus::Failed;
        let class = code.as_deref().and_then(codes::verdict).and_then(AnswerMeans::class);
        let about = StatusKey::Named { ours: it.key, theirs: theirs.clone() };
        let class = class.or(Some(RejectClass::Other)).filter(|_| failed);
        Some(Receipt { code, class, reference: Some(theirs), ..Receipt::about(about, status) })
    };
    Ok(them.iter().filter(is_it).filter_map(receipt).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::MessageId;
    use crate::providers::key::MessageKey;

    fn doubt() -> InDoubt {
        let begun_at = "2026-03-02T09:00:00Z".parse().unwrap();
        InDoubt {
            key: MessageKey { id: MessageId(7), attempt: 1 }.into(),
            to: "353861234567".into(),
            body: "Hello".into(),
            begun_at,
        }
    }

    #[test]
    fn only_what_says_the_same_from_us_at_about_the_time_may_be_it() {
        let message = |sid: &str, body: &str, at: &str, from: &str| {
            json!({ "sid": sid, "body": body, "date_created": format!("Mon, 02 Mar 2026 {at} +0000"), "from": from,
                    "direction": "outbound-api", "status": "undelivered", "error_code": 30005 })
        };
        let inbound = json!({ "sid": "SM6", "body": "Hello", "date_created": "Mon, 02 Mar 2026 09:00:01 +0000",
                              "from": "+1", "direction": "inbound", "status": "received" });
        let said = json!({ "messages": [
            message("SM1", "Hello", "09:00:01", "+1"), message("SM2", "Hullo", "09:00:01", "+1"),
            message("SM3", "Hello", "08:58:59", "+1"), message("SM4", "Hello", "09:03:01", "+1"),
            message("SM5", "Hello", "09:00:01", "+2"), inbound], "next_page_uri": null });
        let found = candidates(&said, &doubt(), |it| it["from"] == "+1").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].about.theirs(), found[0].status), (Some("SM1"), ReceiptStatus::Failed));
        assert_eq!((found[0].code.as_deref(), found[0].class), (Some("30005"), Some(RejectClass::BadAddress)));
        let more = json!({ "messages": [], "next_page_uri": "/2010-04-01/Accounts/AC1/Messages.json?Page=1" });
        assert!(candidates(&more, &doubt(), |_| true).is_err() && candidates(&json!({}), &doubt(), |_| true).is_err());
    }
}
