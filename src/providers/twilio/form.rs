//! The form of a Twilio channel, in the words of its console.

use super::TwilioSettings;
use crate::providers::form::{Fields, Mistakes, SettingsForm};

pub const SECRETS: [&str; 2] = ["auth_token", "api_key_secret"];

fn is_sid(text: &str, begin: &str) -> bool {
    text.strip_prefix(begin).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl SettingsForm for TwilioSettings {
    fn fields(&self) -> Fields {
        Fields::from([
            ("account_sid", self.account_sid.clone()),
            ("api_key_sid", self.api_key_sid.clone()),
            ("messaging_service_sid", self.messaging_service_sid.clone()),
        ])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let text = |name: &str| fields.get(name).trim().to_owned();
        let it = TwilioSettings {
            account_sid: text("account_sid"),
            api_key_sid: text("api_key_sid"),
            messaging_service_sid: text("messaging_service_sid"),
        };
        if !is_sid(&it.account_sid, "AC") {
            mistakes.add("account_sid", "AC and 32 hexadecimal digits, as on the console's home page.");
        }
        if !it.api_key_sid.is_empty() && !is_sid(&it.api_key_sid, "SK") {
            mistakes.add("api_key_sid", "SK and 32 hexadecimal digits, or nothing.");
        }
        if !it.messaging_service_sid.is_empty() && !is_sid(&it.messaging_service_sid, "MG") {
            mistakes.add("messaging_service_sid", "MG and 32 hexadecimal digits, or nothing.");
        }
        it
    }
}
