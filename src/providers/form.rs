//! The settings of a channel as a form: each provider has fields of its own, in the words of its own console.

use std::borrow::Cow;
use std::collections::HashMap;

/// What was typed, by the names of the fields. One that is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(transparent)]
pub struct Fields(HashMap<String, String>);

impl Fields {
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Fields {
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }
}

impl<const N: usize> From<[(&str, String); N]> for Fields {
    fn from(fields: [(&str, String); N]) -> Self {
        Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// What is wrong with it: fields, and what to do about each.
#[derive(Debug, Default, PartialEq)]
pub struct Mistakes(pub Vec<(Cow<'static, str>, String)>);

impl Mistakes {
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, what: impl Into<String>) {
        self.0.push((field.into(), what.into()));
    }
}

/// Settings that a form fills in.
pub trait SettingsForm: Sized {
    /// As the form shows them.
    fn fields(&self) -> Fields;

    /// Reads what was typed. Only of use when it adds no mistakes.
    fn read(fields: &Fields, mistakes: &mut Mistakes) -> Self;
}
