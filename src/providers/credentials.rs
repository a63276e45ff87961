//! What an account somewhere else is used with: tokens, passwords. They are typed once and shown never again.

use std::collections::BTreeMap;

use super::form::Fields;
use crate::keyring::{Keyring, KeyringError};

/// By the names of the fields they are typed into.
#[derive(Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Credentials(BTreeMap<String, String>);

impl Credentials {
    /// Those of these fields that somebody has typed something into.
    pub fn typed(names: &[&str], fields: &Fields) -> Credentials {
        let mut typed = Credentials::default();
        for name in names {
            let value = fields.get(name).trim();
            if !value.is_empty() {
                typed.put(name, value);
            }
        }
        typed
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn put(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The same with those that were typed anew; what was left empty stays.
    pub fn with(mut self, typed: &Credentials) -> Credentials {
        let typed = typed.0.iter().filter(|(_, value)| !value.is_empty());
        self.0.extend(typed.map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// As they lie in the database; nothing where there are none.
    pub fn seal(&self, keys: &Keyring) -> Result<Option<String>, KeyringError> {
        if self.is_empty() {
            return Ok(None);
        }
        let text = serde_json::to_string(self).map_err(|_| KeyringError::Damaged)?;
        keys.seal(&text).map(Some)
    }

    pub fn open(sealed: Option<&str>, keys: &Keyring) -> Result<Credentials, KeyringError> {
        match sealed {
            None => Ok(Credentials::default()),
            Some(sealed) => serde_json::from_str(&keys.open(sealed)?).map_err(|_| KeyringError::Damaged),
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Credentials {
    fn from(them: [(&str, &str); N]) -> Self {
        Credentials(them.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_kept_sealed_and_what_is_left_empty_stays() {
        let keys = Keyring::of(&[[1; 32]]);
        let ours = Credentials::from([("token", "t0ken"), ("password", "p4ss")]);
        let sealed = ours.seal(&keys).unwrap();
        assert!(!sealed.as_deref().unwrap().contains("t0ken") && !format!("{ours:?}").contains("t0ken"));
        assert_eq!(Credentials::open(sealed.as_deref(), &keys), Ok(ours.clone()));
        let typed = Credentials::from([("token", "new"), ("password", "")]);
        assert_eq!(ours.with(&typed), Credentials::from([("token", "new"), ("password", "p4ss")]));
        assert_eq!(Credentials::default().seal(&Keyring::default()), Ok(None));
        assert!(typed.seal(&Keyring::default()).is_err(), "never in the clear");
    }
}
