//! What WhatsApp and Messenger have in common: the Graph API of Meta, how it signs its calls, and what its codes mean.

pub mod templates;
pub mod messenger;
pub mod whatsapp;

use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::Hmac;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::answer::HttpAnswer;
use super::caller::Unanswered;
use super::class::AnswerMeans;
use super::credentials::Credentials;
use super::form::{Fields, Mistakes};
use super::http::signing::is_mac;
use super::said::{Said, pairs};
use super::{Call, CallAnswer, Forged, RejectClass, RetryScope, SendOutcome};

/// Where Graph is.
pub const GRAPH: &str = "https://graph.facebook.com";
/// The version that is spoken where a channel names none.
pub const VERSION: &str = "v25.0";

/// The fields of what is kept sealed.
pub const SECRETS: [&str; 3] = ["access_token", "app_secret", "verify_token"];

const SIGNATURE: &str = "x-hub-signature-256";

/// Whether it may be an id at Meta: digits.
fn is_id(text: &str) -> bool {
    (5..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The version of Graph, as typed.
fn version_of(fields: &Fields, mistakes: &mut Mistakes) -> String {
    let typed = fields.get("api_version").trim().to_owned();
    if typed.strip_prefix('v').and_then(|rest| rest.parse::<f32>().ok()).is_none() {
        mistakes.add("api_version", format!("A version of Graph, such as {VERSION}."));
    }
    typed
}

/// Whether a call was signed with one of the app's secrets, over the very octets of its body.
pub fn is_genuine(credentials: &Credentials, call: &Call<'_>) -> bool {
    let told = call.header(SIGNATURE).and_then(|told| told.strip_prefix("sha256=")).unwrap_or_default();
    let mut secrets = credentials.get("app_secret").split_whitespace();
    !told.is_empty() && secrets.any(|secret| is_mac::<Hmac<Sha256>>(secret, call.body, told))
}

/// What a call that asks whether the address is ours is answered. `None`: it is another call.
pub fn subscription(credentials: &Credentials, call: &Call<'_>) -> Option<Result<CallAnswer, Forged>> {
    if call.method != "GET" {
        return None;
    }
    let fields = pairs(call.url.split_once('?').map_or("", |(_, query)| query).as_bytes());
    let get = |name: &str| {
        let field = fields.iter().find(|(it, _)| it == name);
        field.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let ours = credentials.get("verify_token");
    let same: bool = get("hub.verify_token").as_bytes().ct_eq(ours.as_bytes()).into();
    Some(match same && !ours.is_empty() && get("hub.mode") == "subscribe" {
        true => Ok(CallAnswer { content_type: "text/plain", body: get("hub.challenge") }),
        false => Err(Forged::BadSignature),
    })
}

/// A text, or a number, at a pointer.
pub(super) fn text(value: &serde_json::Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a code of Graph means, in an answer and in a status alike. `details` tell some apart that share a code.
pub fn means(code: i64, subcode: Option<i64>, details: &str) -> Option<AnswerMeans> {
    use RejectClass::*;
    let rejected = AnswerMeans::Rejected;
    Some(match (code, subcode) {
        // Only this person's window is closed; the same code alone is a permission.
        (10, Some(2018278 | 2018065)) | (131047 | 2018278, _) => rejected(WindowClosed),
        (100, Some(2018001)) => rejected(BadAddress),
        // Blocked us, switched messages off, or closed the account.
        (551 | 131026, _) | (_, Some(1545041 | 2018108)) => rejected(Unreachable),
        // Another app holds the conversation with this person.
        (_, Some(2018300)) => rejected(Policy),
        (1200, _) => AnswerMeans::not_now(RetryScope::Recipient),
        (100, Some(2018008 | 2018294)) => AnswerMeans::not_now(RetryScope::Recipient),
        (131050, _) => rejected(OptedOut),
        // A limit between this number and this person, of about one message in six seconds; the others may go on.
        (131056, _) => AnswerMeans::throttled(RetryScope::Recipient).after(Some(Duration::from_secs(6))),
        (130429 | 133016 | 80007 | 80006 | 80002, _) => AnswerMeans::throttled(RetryScope::Sender),
        (4 | 17 | 32 | 613 | 131064, _) => AnswerMeans::throttled(RetryScope::Account),
        // Restricted, locked, or under suspicion: somebody has to look.
        (131048 | 368 | 131031 | 130497, _) => rejected(ChannelConfig),
        (131042, _) => rejected(AccountLimit),
        // Not now, says Meta: too many advertisements, or an experiment.
        (131049 | 130472, _) => rejected(Policy),
        // It could not fetch what we pointed to, or does not take such a file.
        (131052, _) => rejected(Content),
        (131053, _) => match details.to_lowercase() {
            it if it.contains("download") || it.contains("fetch") || it.contains("timed out") => {
                AnswerMeans::not_now(RetryScope::Recipient)
            }
            _ => rejected(Content),
        },
        // What stands in the places of a template, for this person: too many, too long, of another form.
        (132000 | 132005 | 132012 | 132018, _) => rejected(Content),
        (132001..=132099, _) => rejected(Template),
        (131008 | 131009 | 131051 | 131055 | 135000 | 100, _) => rejected(Content),
        (0 | 3 | 10 | 102 | 190 | 200..=299 | 463 | 467 | 131005 | 131030 | 131045 | 133000..=133015 | 33, _) => {
            rejected(ChannelConfig)
        }
        // They say that it failed, and that trying again may help.
        (2 | 131000 | 131016 | 131057, _) => AnswerMeans::not_now(RetryScope::Channel),
        // Nobody knows, says Meta; with 1357046, “invalid JSON reply”, everything was sent though it answers so.
        (1, _) => AnswerMeans::Unknown,
        _ => return None,
    })
}

/// A code as the ledger shows it: with its subcode.
fn named(code: i64, subcode: Option<i64>) -> String {
    subcode.filter(|_| code < 1000 && code != 190).map_or_else(|| code.to_string(), |sub| format!("{code}/{sub}"))
}

/// What an answer to a message comes to. `taken` finds the provider's name for it.
pub fn outcome(
    answered: Result<HttpAnswer, Unanswered>,
    now: DateTime<Utc>,
    taken: impl Fn(&Said) -> Option<String>,
) -> SendOutcome {
    let answer = match answered {
        Ok(answer) => answer,
        Err(unanswered) => return unanswered.outcome(),
    };
    let said = answer.said().unwrap_or_default();
    if (200..=299).contains(&answer.status) {
        return match taken(&said) {
            Some(id) => SendOutcome::Accepted { provider_ref: Some(id) },
            None => SendOutcome::Unknown { code: format!("HTTP {} without a name for the message", answer.status) },
        };
    }
    let number = |pointer: &str| said.text(pointer).and_then(|text| text.parse::<i64>().ok());
    let Some(code) = number("/error/code") else {
        // Not Graph's own words: an edge, or a proxy.
        let code = format!("HTTP {}", answer.status);
        return match answer.status {
            300..=399 | 404 => SendOutcome::Rejected { class: RejectClass::Misset, code },
            429 => AnswerMeans::throttled(RetryScope::Account).after(answer.retry_after(now)).outcome(None, code),
            _ => SendOutcome::Unknown { code },
        };
    };
    let subcode = number("/error/error_subcode");
    let details = said.text("/error/error_data/details").unwrap_or_default();
    let named = named(code, subcode);
    let meant = means(code, subcode, &details).unwrap_or(match answer.status {
        401 | 403 => AnswerMeans::Rejected(RejectClass::ChannelConfig),
        400..=499 => AnswerMeans::Rejected(RejectClass::Other),
        _ => AnswerMeans::Unknown,
    });
    meant.after(answer.retry_after(now)).outcome(None, named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subcode_tells_whose_fault_it_is() {
        use RejectClass::*;
        let class = |code, subcode| means(code, subcode, "").map(AnswerMeans::class);
        let refused = |class| Some(Some(class));
        assert_eq!(class(10, Some(2018278)), refused(WindowClosed));
        assert_eq!((class(10, None), class(10, Some(2018108))), (refused(ChannelConfig), refused(Unreachable)));
        assert_eq!((class(100, Some(2018001)), class(100, None)), (refused(BadAddress), refused(Content)));
        assert_eq!(
            (class(551, Some(1545041)), class(200, Some(1545041))),
            (refused(Unreachable), refused(Unreachable))
        );
        assert_eq!(
            (class(200, Some(2018028)), class(190, Some(463))),
            (refused(ChannelConfig), refused(ChannelConfig))
        );
        let unknown = Some(AnswerMeans::Unknown);
        assert_eq!((means(1, Some(1357046), ""), means(1, None, "")), (unknown, unknown));
        assert_eq!(means(613, None, ""), Some(AnswerMeans::throttled(RetryScope::Account)));
        assert_eq!(means(7777, None, ""), None);
    }
}
