use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::db::Reason;
use crate::ids::ChannelId;
use crate::keyring::KeyringError;
use crate::providers::credentials::Credentials;
use crate::providers::form::{Fields, Mistakes, SettingsForm};
use crate::providers::http::{self, HttpSettings};
use crate::providers::meta::SECRETS;
use crate::providers::meta::messenger::MessengerSettings;
use crate::providers::meta::whatsapp::WhatsappSettings;
use crate::providers::sandbox::Knobs;
use crate::providers::smpp::{self, SmppSettings};
use crate::providers::twilio::{self, TwilioSettings};
use crate::providers::viber::{self, ViberSettings};
use crate::providers::webchat::Widget;
use crate::providers::{Kind, ProviderName};

/// A configured channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub id: ChannelId,
    pub kind: Kind,
    pub provider: ProviderName,
    pub setup: ChannelSetup,
    /// The provider asked for silence until then.
    pub held_until: Option<DateTime<Utc>>,
    /// Its credentials as they are kept.
    pub sealed: Option<String>,
    /// When its provider called us last, to the minute.
    pub called_at: Option<DateTime<Utc>>,
}

/// The part of a channel that a form fills in.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSetup {
    pub name: String,
    /// As whom messages arrive: a number or a short name.
    pub sender: String,
    /// Most sends that may begin within any 60 s, over all schedules.
    pub per_minute: Option<i32>,
    pub own: Own,
    /// Those that were typed anew; those that were not stay. None of what is read from the database.
    pub typed: Credentials,
}

/// What only channels of one provider have.
#[derive(Clone, Debug, PartialEq)]
pub enum Own {
    Sandbox(Knobs),
    Webchat(Widget),
    Http(HttpSettings),
    Twilio(TwilioSettings),
    Whatsapp(WhatsappSettings),
    Messenger(MessengerSettings),
    Viber(ViberSettings),
    Smpp(SmppSettings),
}

impl Own {
    /// What a channel of this provider begins with.
    pub fn of(provider: ProviderName) -> Own {
        match provider {
            ProviderName::Webchat => Own::Webchat(Widget::default()),
            ProviderName::Sandbox => Own::Sandbox(Knobs::default()),
            ProviderName::Http => Own::Http(HttpSettings::default()),
            ProviderName::Twilio => Own::Twilio(TwilioSettings::default()),
            ProviderName::Whatsapp => Own::Whatsapp(WhatsappSettings::default()),
            ProviderName::Messenger => Own::Messenger(MessengerSettings::default()),
            ProviderName::Viber => Own::Viber(ViberSettings::default()),
            ProviderName::Smpp => Own::Smpp(SmppSettings::default()),
        }
    }

    /// As the provider's form shows it.
    pub fn fields(&self) -> Fields {
        match self {
            Own::Sandbox(knobs) => knobs.fields(),
            Own::Webchat(widget) => widget.fields(),
            Own::Http(settings) => settings.fields(),
            Own::Twilio(settings) => settings.fields(),
            Own::Whatsapp(settings) => settings.fields(),
            Own::Messenger(settings) => settings.fields(),
            Own::Viber(settings) => settings.fields(),
            Own::Smpp(settings) => settings.fields(),
        }
    }

    /// Reads the provider's form. Only of use when it adds no mistakes.
    pub fn read(provider: ProviderName, fields: &Fields, mistakes: &mut Mistakes) -> Own {
        match provider {
            ProviderName::Webchat => Own::Webchat(Widget::read(fields, mistakes)),
            ProviderName::Sandbox => Own::Sandbox(Knobs::read(fields, mistakes)),
            ProviderName::Http => Own::Http(HttpSettings::read(fields, mistakes)),
            ProviderName::Twilio => Own::Twilio(TwilioSettings::read(fields, mistakes)),
            ProviderName::Whatsapp => Own::Whatsapp(WhatsappSettings::read(fields, mistakes)),
            ProviderName::Messenger => Own::Messenger(MessengerSettings::read(fields, mistakes)),
            ProviderName::Viber => Own::Viber(ViberSettings::read(fields, mistakes)),
            ProviderName::Smpp => Own::Smpp(SmppSettings::read(fields, mistakes)),
        }
    }

    /// The credentials that were typed into the provider's form.
    pub fn typed(&self, fields: &Fields) -> Credentials {
        match self {
            Own::Http(settings) => http::form::typed_secrets(&settings.preset, fields),
            Own::Twilio(_) => Credentials::typed(&twilio::form::SECRETS, fields),
            Own::Whatsapp(_) | Own::Messenger(_) => Credentials::typed(&SECRETS, fields),
            Own::Viber(_) => Credentials::typed(&viber::form::SECRETS, fields),
            Own::Smpp(_) => Credentials::typed(&smpp::form::SECRETS, fields),
            Own::Sandbox(_) | Own::Webchat(_) => Credentials::default(),
        }
    }

    /// The fields of credentials without which it cannot send.
    pub fn needs(&self) -> Vec<(String, &'static str)> {
        match self {
            Own::Http(settings) => http::form::needed_secrets(&settings.preset),
            Own::Twilio(settings) => {
                let key = (!settings.api_key_sid.is_empty()).then_some(("api_key_secret".to_owned(), "api_key_secret"));
                [Some(("auth_token".to_owned(), "auth_token")), key].into_iter().flatten().collect()
            }
            Own::Whatsapp(_) | Own::Messenger(_) => SECRETS.map(|name| (name.to_owned(), name)).to_vec(),
            Own::Viber(_) => viber::form::SECRETS.map(|name| (name.to_owned(), name)).to_vec(),
            Own::Smpp(_) => smpp::form::SECRETS.map(|name| (name.to_owned(), name)).to_vec(),
            Own::Sandbox(_) | Own::Webchat(_) => Vec::new(),
        }
    }

    pub fn provider(&self) -> ProviderName {
        match self {
            Own::Sandbox(_) => ProviderName::Sandbox,
            Own::Webchat(_) => ProviderName::Webchat,
            Own::Http(_) => ProviderName::Http,
            Own::Twilio(_) => ProviderName::Twilio,
            Own::Whatsapp(_) => ProviderName::Whatsapp,
            Own::Messenger(_) => ProviderName::Messenger,
            Own::Viber(_) => ProviderName::Viber,
            Own::Smpp(_) => ProviderName::Smpp,
        }
    }
}

/// What was typed to try a channel with; it stands there again.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TestTyped {
    pub to: String,
    pub text: String,
}

impl Default for TestTyped {
    fn default() -> Self {
        TestTyped { to: String::new(), text: "A test message from Bugle.".to_owned() }
    }
}

/// Why a channel stayed as it was. The text is shown to the person.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("Another channel is called “{0}”. Choose a name of its own.")]
    NameTaken(String),
    #[error("The credentials cannot be kept: {0}.")]
    Keyring(#[from] KeyringError),
}

impl Reason for Refused {}

impl ChannelSetup {
    /// What is different in `new`, in words for the journal; empty when nothing is.
    /// Names of settings, not values: what they are now stands on the page.
    pub fn changes(&self, new: &ChannelSetup) -> String {
        let limit = |per_minute: Option<i32>| per_minute.map_or("none".to_owned(), |n| format!("{n} a minute"));
        let mut changes = Vec::new();
        if self.name != new.name {
            changes.push(format!("name {} → {}", self.name, new.name));
        }
        if self.sender != new.sender {
            changes.push(format!("sender {} → {}", self.sender, new.sender));
        }
        if self.per_minute != new.per_minute {
            changes.push(format!("limit {} → {}", limit(self.per_minute), limit(new.per_minute)));
        }
        if self.own != new.own {
            changes.push(match new.own {
                Own::Sandbox(_) => "sandbox settings".to_owned(),
                Own::Webchat(_) => "widget settings".to_owned(),
                _ => "the provider's settings".to_owned(),
            });
        }
        changes.extend(new.typed.names().map(|name| format!("{name} replaced")));
        changes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_hears_what_changed_and_nothing_else() {
        let old = ChannelSetup {
            name: "SMS".into(),
            sender: "Bugle".into(),
            per_minute: None,
            own: Own::Sandbox(Knobs::default()),
            typed: Credentials::default(),
        };
        assert_eq!(old.changes(&old), "");
        let new = ChannelSetup { per_minute: Some(60), sender: "Shop".into(), ..old.clone() };
        assert_eq!(old.changes(&new), "sender Bugle → Shop, limit none → 60 a minute");
        let new = ChannelSetup { own: Own::Sandbox(Knobs { seed: 2, ..Knobs::default() }), ..old.clone() };
        assert_eq!(old.changes(&new), "sandbox settings");
        let new = ChannelSetup { typed: Credentials::from([("auth_token", "s3cret")]), ..old.clone() };
        assert_eq!(old.changes(&new), "auth_token replaced");
    }
}
