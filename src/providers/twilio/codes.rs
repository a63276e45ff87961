//! Twilio's codes, of answers and of status calls alike.

use crate::providers::class::AnswerMeans;
use crate::providers::{RejectClass, RetryScope};

/// What a code says. `None`: one that is not known here; what the status of the answer says holds then.
///
/// From Twilio's error dictionary. What is our side's fault (a sender, a permission, an account) holds the channel, and
/// leaves the person's address as it is.
pub fn verdict(code: &str) -> Option<AnswerMeans> {
    use RejectClass::*;
    let rejected = AnswerMeans::Rejected;
    Some(match code.trim() {
        // Too fast, or a queue is full.
        "20429" | "14107" => AnswerMeans::throttled(RetryScope::Account),
        "21611" => AnswerMeans::throttled(RetryScope::Sender),
        "30001" => AnswerMeans::throttled(RetryScope::Sender),
        "63018" => AnswerMeans::throttled(RetryScope::Sender),
        "63038" => AnswerMeans::throttled(RetryScope::Account),
        // The person said no.
        "21610" => rejected(OptedOut),
        // Their address.
        "21211" | "21214" | "21217" | "21401" | "21407" | "21421" | "21604" | "21614" | "30005" | "30006" | "63003"
        | "63024" => rejected(BadAddress),
        "21612" | "30003" | "30009" | "63033" => rejected(Unreachable),
        // The WhatsApp window.
        "63016" => rejected(WindowClosed),
        // Templates.
        "63027" | "63028" | "63040" | "63041" | "63042" | "63049" | "21656" | "21655" | "63005" => rejected(Template),
        // What it says.
        "21602" | "21605" | "21617" | "21618" | "21619" | "21620" | "21623" | "30011" | "30012" | "30019" | "12300"
        | "63019" | "63021" => rejected(Content),
        // Filters and blocks; hours in which nobody is written to.
        "30004" | "30007" | "30610" | "30453" | "63013" | "63032" => rejected(Policy),
        // Our sender, our permissions, our credentials.
        "20003" | "20006" | "20008" | "20404" | "21212" | "21408" | "21603" | "21606" | "21608" | "21659" | "21660"
        | "21701" | "21703" | "21704" | "21705" | "21710" | "30002" | "30010" | "30018" | "30022" | "30023"
        | "30024" | "30027" | "30032" | "30034" | "30035" | "30037" | "30038" | "30485" | "63001" | "63002"
        | "63007" | "63010" | "63014" | "63015" | "63020" | "63025" | "63051" => rejected(ChannelConfig),
        "20005" | "90010" | "30036" | "32017" | "21609" => return by_special(code),
        _ => return None,
    })
}

fn by_special(code: &str) -> Option<AnswerMeans> {
    Some(match code {
        // Suspended, or without funds.
        "20005" | "90010" | "32017" => AnswerMeans::Rejected(RejectClass::AccountLimit),
        // The validity period was over before it could be sent.
        "30036" => AnswerMeans::Rejected(RejectClass::Unreachable),
        // The address of our status calls is none.
        "21609" => AnswerMeans::Rejected(RejectClass::ChannelConfig),
        _ => return None,
    })
}
