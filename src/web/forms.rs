use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is wrong with a form, by field name, in words for the person filling it in.
#[derive(Debug, Default, PartialEq)]
pub struct FieldErrors(BTreeMap<Cow<'static, str>, Cow<'static, str>>);

impl FieldErrors {
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        self.0.entry(field.into()).or_insert(message.into());
    }

    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(AsRef::as_ref)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
