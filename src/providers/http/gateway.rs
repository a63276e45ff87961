//! A gateway as data: how it is asked, what its answers mean, and what it calls us with. Each preset is one, in a file
//! of its own; the channel of an unknown gateway carries one that somebody filled in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::rules::AnswerRule;
use crate::providers::ReceiptStatus;
use crate::words::words;

/// A preset: what an account there consists of, and how the gateway is spoken to with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    pub label: String,
    /// One sentence for the person who chooses it.
    pub about: String,
    pub asks: Vec<AccountField>,
    /// What to do on the gateway's side, a step each. `{{hook}}` is the channel's address.
    pub steps: Vec<String>,
    pub gateway: Gateway,
}

/// One thing that an account consists of, in the words of the gateway's own console.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountField {
    pub name: String,
    pub label: String,
    #[serde(default)]
    pub hint: String,
    /// What stands there at first.
    #[serde(default)]
    pub value: String,
    /// It is kept sealed and never shown again.
    #[serde(default)]
    pub secret: bool,
    /// It may be left empty.
    #[serde(default)]
    pub optional: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    pub send: SendShape,
    pub answers: AnswerShape,
    /// The first of these that a call fits says what it is.
    pub calls: Vec<CallShape>,
    /// Where it calls us about one send, with `{{hook}}` and `{{id}}`; empty where that is set up once on its side.
    pub receipt_url: String,
    pub signed: Signed,
    /// What a call is answered with.
    pub reply: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendShape {
    pub method: Method,
    /// The address, its parameters and the body have places for values: `{{to}}`, `{{text}}`, … They are escaped as
    /// is right where they stand.
    pub url: String,
    pub content: ContentType,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// Characters of a text at most.
    pub longest: Option<usize>,
    /// It promises that what comes a second time under the same `Idempotency-Key` is not sent a second time.
    pub honours_key: bool,
}

words! {
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub enum Method {
        #[default]
        Post = "POST",
        Get = "GET",
        Put = "PUT",
    }
}

words! {
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum ContentType {
        #[default]
        Form = "form" => "Form (urlencoded)",
        Json = "json" => "JSON",
        Xml = "xml" => "XML",
        Text = "text" => "Plain text",
    }
}

impl ContentType {
    pub fn header(self) -> &'static str {
        match self {
            ContentType::Form => "application/x-www-form-urlencoded",
            ContentType::Json => "application/json",
            ContentType::Xml => "text/xml; charset=utf-8",
            ContentType::Text => "text/plain; charset=utf-8",
        }
    }
}

/// What answers mean. The first rule that holds counts; what fits none is not believed to be taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerShape {
    /// A pointer to the parts that an answer speaks of one by one. What one says holds if the others say the same.
    pub each: Option<String>,
    pub later: Option<AnswerRule>,
    /// Taken by nobody, and worth another try.
    pub not_now: Option<AnswerRule>,
    pub accepted: Option<AnswerRule>,
    pub rejected: Option<AnswerRule>,
    /// Where the provider's name for the send stands.
    pub id: Option<AnswerRule>,
    /// Names that are none, such as the word None.
    pub no_ids: Vec<String>,
    /// Pointers to its code; the first group of `rejected` where there are none.
    pub code: Vec<String>,
    /// The same where no part is spoken of.
    pub whole_code: Vec<String>,
    /// What codes mean, see [`crate::providers::class::AnswerMeans::parse`]; or words that stand in the answer.
    pub codes: BTreeMap<String, String>,
    /// What it means when no rule holds.
    pub otherwise: String,
}

words! {
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum CallIs {
        #[default]
        Message = "message",
        Receipt = "receipt",
        OptOut = "opt-out",
    }
}

/// A call of the gateway. Pointers lead into its parameters and its body, the first that is there counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallShape {
    pub is: CallIs,
    /// How its address ends behind the channel's; any, if none is named.
    pub at: Vec<String>,
    /// Only a call that says this.
    pub when: Option<String>,
    pub each: Option<String>,
    /// The gateway's name for the message or the send.
    pub id: Vec<String>,
    /// Ours for the send.
    pub our_id: Vec<String>,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub text: Vec<String>,
    /// Names the alphabet of the text.
    pub charset: Vec<String>,
    pub time: Vec<String>,
    pub name: Vec<String>,
    pub part: Option<PartShape>,
    pub media: Option<MediaShape>,
    pub state: Vec<String>,
    /// Words of the gateway, in any case of letters, and what they say of the send.
    pub states: BTreeMap<String, ReceiptStatus>,
    /// What it says of the send by coming to this address.
    pub always: Option<ReceiptStatus>,
    /// What is written with a stroke between is one code.
    pub code: Vec<String>,
    /// The first group of this is the code.
    pub code_in: Option<String>,
    pub codes: BTreeMap<String, String>,
}

/// How pieces of a text say whose they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartShape {
    pub of_text: String,
    pub n: String,
    pub of: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaShape {
    pub each: String,
    pub url: String,
    pub content_type: String,
}

words! {
    /// How its calls prove that they are its.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Signed {
        /// By knowing the address, which nobody can guess.
        #[default]
        Address = "address" => "The address is the secret",
        /// An HMAC-SHA256 over the time and the body in a header.
        Header = "header" => "HMAC in a header",
        Vonage = "vonage" => "As Vonage signs",
    }
}

/// The word of a channel whose gateway somebody described.
pub const CUSTOM: &str = "custom";

/// The presets, by their words.
pub static PRESETS: LazyLock<BTreeMap<&'static str, Preset>> = LazyLock::new(|| {
    let files = [
        (CUSTOM, include_str!("presets/custom.json")),
        ("kannel", include_str!("presets/kannel.json")),
        ("vonage", include_str!("presets/vonage.json")),
        ("infobip", include_str!("presets/infobip.json")),
        ("africastalking", include_str!("presets/africastalking.json")),
        ("clickatell", include_str!("presets/clickatell.json")),
        ("clickatell-one", include_str!("presets/clickatell-one.json")),
    ];
    let read = |(word, text)| (word, serde_json::from_str(text).expect("a test reads every preset"));
    files.map(read).into()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::class::AnswerMeans;

    #[test]
    fn every_preset_can_be_read_and_its_codes_mean_something() {
        for (word, preset) in PRESETS.iter() {
            let codes = preset.gateway.calls.iter().map(|call| &call.codes).chain([&preset.gateway.answers.codes]);
            for (code, meaning) in codes.flatten() {
                assert!(AnswerMeans::parse(meaning).is_some(), "{word}: {code}: {meaning}");
            }
            let otherwise = &preset.gateway.answers.otherwise;
            assert!(otherwise.is_empty() || AnswerMeans::parse(otherwise).is_some(), "{word}: {otherwise}");
            assert!(!preset.label.is_empty() && !preset.about.is_empty() && *word == word.to_lowercase());
        }
    }
}
