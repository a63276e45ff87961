use std::borrow::Cow;

use super::{FilledTemplate, MapPlace};

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
    /// A file that the provider fetches from its address.
    Media {
        file: MediaFile,
        caption: String,
        choices: Vec<String>,
    },
    Place {
        place: MapPlace,
        words: String,
    },
    /// A text that the provider knows and has approved, with the values for its places. `words` is what a person reads.
    Template {
        filled: FilledTemplate,
        words: String,
    },
}

/// A file as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaFile {
    /// Where the provider finds it.
    pub url: String,
    pub name: String,
    /// By its octets.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
}

impl MediaFile {
    pub fn look(&self) -> FileLook {
        FileLook::of_type(&self.content_type)
    }

    /// A text that leads to it, where it cannot be sent itself.
    pub fn as_link(&self, caption: &str) -> String {
        if caption.is_empty() { self.url.clone() } else { format!("{caption}\n{}", self.url) }
    }
}

/// What somebody sees or hears of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileLook {
    Picture,
    Video,
    Sound,
    /// A document, or whatever else.
    Other,
}

impl FileLook {
    /// By its type, such as `image/png`.
    pub fn of_type(content_type: &str) -> FileLook {
        match content_type.split('/').next() {
            Some("image") => FileLook::Picture,
            Some("video") => FileLook::Video,
            Some("audio") => FileLook::Sound,
            _ => FileLook::Other,
        }
    }

    /// By how its name or address ends.
    pub fn of_name(name: &str) -> FileLook {
        let path = name.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "jpg" | "jpeg" | "png" | "gif" | "webp" => FileLook::Picture,
            "mp4" | "3gp" | "mov" | "webm" => FileLook::Video,
            "aac" | "amr" | "mp3" | "m4a" | "ogg" | "opus" | "wav" => FileLook::Sound,
            _ => FileLook::Other,
        }
    }

    /// What people call one.
    pub fn label(self) -> &'static str {
        match self {
            FileLook::Picture => "picture",
            FileLook::Video => "video",
            FileLook::Sound => "sound",
            FileLook::Other => "document",
        }
    }
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

    /// All of it as a text, for whoever carries nothing else: what it brings along as a link.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Content::Media { file, caption, .. } => Cow::Owned(file.as_link(caption)),
            Content::Place { place, words } if words.is_empty() => Cow::Owned(place.link()),
            Content::Place { place, words } => Cow::Owned(format!("{words}\n{}", place.link())),
            Content::Text(_) | Content::Choices { .. } | Content::Template { .. } => Cow::Borrowed(self.words().0),
        }
    }

    /// What a person reads, as far as it is ours to know, and the answers that are offered.
    pub fn words(&self) -> (&str, &[String]) {
        match self {
            Content::Text(text) => (text, &[]),
            Content::Choices { text, choices } => (text, choices),
            Content::Media { caption, choices, .. } => (caption, choices),
            Content::Place { words, .. } => (words, &[]),
            Content::Template { words, filled } => (words, &filled.choices),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_name_ends_with() {
        let of = |name: &str| FileLook::of_name(&format!("https://a.example/{name}"));
        assert_eq!((of("b.PNG?size=1.mp4"), of("b.mp4#t")), (FileLook::Picture, FileLook::Video));
        assert_eq!((of("c.mp3"), of("c.pdf")), (FileLook::Sound, FileLook::Other));
        assert_eq!((of("v1.png/plain"), of("")), (FileLook::Other, FileLook::Other));
        assert_eq!(FileLook::of_type("image/webp"), FileLook::Picture);
    }
}
