//! The form of a channel of Viber.

use super::ViberSettings;
use crate::providers::form::{Fields, Mistakes, SettingsForm};

/// The fields of what is kept sealed.
pub const SECRETS: [&str; 1] = ["auth_token"];

/// Characters of a welcome at most.
const LONGEST_WELCOME: usize = 1000;

impl SettingsForm for ViberSettings {
    fn fields(&self) -> Fields {
        Fields::from([("welcome", self.welcome.clone())])
    }

    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self {
        let welcome = fields.get("welcome").trim().to_owned();
        if LONGEST_WELCOME < welcome.chars().count() {
            mistakes.add("welcome", format!("At most {LONGEST_WELCOME} characters."));
        }
        ViberSettings { welcome }
    }
}
