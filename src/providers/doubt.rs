//! A send of which nobody knows whether its provider took it, for those providers that can be asked.

use chrono::{DateTime, Utc};

use super::key::SendKey;
use crate::wording::Content;

#[derive(Clone, Debug, PartialEq)]
pub struct InDoubt {
    pub key: SendKey,
    /// The address on the channel's kind.
    pub to: String,
    /// What the person reads, if it was taken.
    pub body: String,
    /// When it was handed over, if it was.
    pub begun_at: DateTime<Utc>,
}

impl InDoubt {
    /// What a content is in one piece, where a provider keeps nothing else of it.
    pub fn body_of(content: &Content) -> String {
        match content {
            Content::Choices { text, choices } => format!("{text}\n\n{}", choices.join("\n")),
            content => content.words().0.to_owned(),
        }
    }
}
