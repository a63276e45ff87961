//! Makes the adapters of channels that send through an account somewhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;

use super::caller::Caller;
use super::credentials::Credentials;
use super::http::{Hook, Http, HttpParts, HttpSettings};
use super::meta::messenger::{Messenger, MessengerParts, MessengerSettings};
use super::meta::whatsapp::{Whatsapp, WhatsappParts, WhatsappSettings};
use super::smpp::{Smpp, SmppParts, SmppSettings};
use super::twilio::{API, Twilio, TwilioParts, TwilioSettings};
use super::viber::{self, Viber, ViberParts, ViberSettings};
use super::{Able, Call, Envelope, Forged, Gate, Heard, Provider, ProviderName, RejectClass, SendOutcome, Setup};
use crate::clock::Clock;
use crate::config::Settings;
use crate::keyring::Keyring;

/// What they have in common.
pub struct Accounts {
    keyring: Keyring,
    public_url: Option<String>,
    caller: Arc<Caller>,
    clock: Clock,
    /// Those that hold a line open, by their channels, as long as somebody uses them.
    bound: Mutex<HashMap<i64, (Setup, Weak<Smpp>)>>,
}

impl Accounts {
    pub fn new(settings: &Settings, clock: &Clock) -> Accounts {
        Accounts {
            keyring: settings.keyring.clone(),
            public_url: settings.public_url.clone(),
            caller: Arc::new(Caller::new(settings.internal_gateways.clone())),
            clock: clock.clone(),
            bound: Mutex::default(),
        }
    }

    /// The adapter that holds this channel's line already; a new one where there is none as it is set up.
    fn bound(&self, setup: &Setup, new: impl FnOnce() -> Smpp) -> Arc<Smpp> {
        let mut bound = self.bound.lock().unwrap();
        let known = bound.get(&setup.id).filter(|(of, _)| of == setup);
        known.and_then(|(_, it)| it.upgrade()).unwrap_or_else(|| {
            let it = Arc::new(new());
            bound.insert(setup.id, (setup.clone(), Arc::downgrade(&it)));
            it
        })
    }

    /// One that refuses everything, and says why, where the channel's settings cannot be used.
    pub fn provider(&self, setup: &Setup) -> Arc<dyn Provider> {
        self.try_provider(setup).unwrap_or_else(|why| Arc::new(Unusable(why)))
    }

    fn try_provider(&self, setup: &Setup) -> Result<Arc<dyn Provider>, String> {
        let credentials =
            Credentials::open(setup.credentials.as_deref(), &self.keyring).map_err(|error| error.to_string())?;
        let (hook, settings) = (hook(self.public_url.as_deref(), setup), setup.settings.clone());
        let (caller, clock, sender) = (self.caller.clone(), self.clock.clone(), setup.sender.clone());
        let unreadable = |error: serde_json::Error| format!("the settings cannot be read: {error}");
        match setup.provider {
            ProviderName::Http => {
                let settings: HttpSettings = serde_json::from_value(settings).map_err(unreadable)?;
                let preset = settings.preset.clone();
                let parts = HttpParts { channel: setup.id, sender, settings, credentials, hook };
                let http = Http::new(parts, caller, clock);
                Ok(Arc::new(http.ok_or_else(|| format!("this version knows no gateway “{preset}”"))?))
            }
            ProviderName::Twilio => {
                let settings: TwilioSettings = serde_json::from_value(settings).map_err(unreadable)?;
                let parts = TwilioParts { kind: setup.kind, sender, settings, credentials, hook, api: API.to_owned() };
                Ok(Arc::new(Twilio::new(parts, caller, clock)))
            }
            ProviderName::Whatsapp => {
                let settings: WhatsappSettings = serde_json::from_value(settings).map_err(unreadable)?;
                let parts = WhatsappParts::new(settings, credentials);
                Ok(Arc::new(Whatsapp::new(parts, caller, clock)))
            }
            ProviderName::Messenger => {
                let settings: MessengerSettings = serde_json::from_value(settings).map_err(unreadable)?;
                let parts = MessengerParts::new(settings, credentials);
                Ok(Arc::new(Messenger::new(parts, caller, clock)))
            }
            ProviderName::Viber => {
                let settings: ViberSettings = serde_json::from_value(settings).map_err(unreadable)?;
                let parts = ViberParts { sender, settings, credentials, hook, api: viber::API.to_owned() };
                Ok(Arc::new(Viber::new(parts, caller, clock)))
            }
            ProviderName::Smpp => {
                let settings: SmppSettings = serde_json::from_value(settings).map_err(unreadable)?;
                Ok(self.bound(setup, || Smpp::new(SmppParts { sender, settings, credentials }, caller, clock)))
            }
            ProviderName::Sandbox | ProviderName::Webchat => Err("it has no account".to_owned()),
        }
    }
}

/// Where the provider of a channel finds us. The address of one whose calls nothing signs cannot be guessed.
pub fn hook(public_url: Option<&str>, setup: &Setup) -> Hook {
    let site = public_url.unwrap_or("http://localhost");
    let path = match setup.provider {
        ProviderName::Http => format!("/webhooks/{}/{}", setup.id, &*setup.secret),
        _ => format!("/webhooks/{}", setup.id),
    };
    Hook { url: format!("{site}{path}"), is_public: public_url.is_some() }
}

/// A channel that cannot be used as it is set up.
struct Unusable(String);

#[async_trait]
impl Provider for Unusable {
    fn able(&self) -> Able {
        // Whatever it is given is told why, and nothing is burnt.
        Able { choices: true, templates: true, ..Able::TEXT }
    }

    async fn send(&self, _: &Envelope, _: Gate<'_>) -> Option<SendOutcome> {
        Some(SendOutcome::Rejected { class: RejectClass::ChannelConfig, code: self.0.clone() })
    }

    fn read(&self, _: &Call<'_>) -> Result<Heard, Forged> {
        Err(Forged::BadSignature)
    }

    async fn check(&self) -> Option<Result<String, String>> {
        Some(Err(self.0.clone()))
    }
}
