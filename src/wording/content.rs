use super::FilledTemplate;

/// What a message says, from its draft to the provider. Which of these leave through a channel is
/// its provider's affair.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Text(String),
    /// A text with answers to offer as buttons.
    Choices {
        text: String,
        choices: Vec<String>,
    },
    /// What lies at an address that the provider fetches it from.
    Media {
        url: String,
        caption: String,
    },
    /// A text that the provider knows and has approved, with the values for its places. `words` is what a person reads.
    Template {
        filled: FilledTemplate,
        words: String,
    },
}

impl Content {
    /// A text, with answers to offer if there are any.
    pub fn said(text: String, choices: Vec<String>) -> Content {
        if choices.is_empty() { Content::Text(text) } else { Content::Choices { text, choices } }
    }

    /// An approved text, its values rendered.
    pub fn approved(filled: FilledTemplate) -> Content {
        Content::Template { words: filled.words(), filled }
    }

    /// What a person reads, as far as it is ours to know, and the answers that are offered.
    pub fn words(&self) -> (&str, &[String]) {
        match self {
            Content::Text(text) => (text, &[]),
            Content::Choices { text, choices } => (text, choices),
            Content::Media { caption, .. } => (caption, &[]),
            Content::Template { words, filled } => (words, &filled.choices),
        }
    }
}
