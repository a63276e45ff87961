//! Files: what a channel carries of them.

use crate::wording::{Content, FileLook, MapPlace, MediaFile};

/// What a channel carries of one look of files. What it does not is sent as a link in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRule {
    pub look: FileLook,
    /// Types that it takes; empty: any of that look.
    pub types: &'static [&'static str],
    /// Bytes.
    pub most: u64,
    /// Characters of words that go with it; 0: none do.
    pub words: usize,
    /// Answers that can be offered with it; 0: none.
    pub choices: usize,
}

/// All that there is.
pub const ANY: &[FileRule] =
    &[any(FileLook::Picture), any(FileLook::Video), any(FileLook::Sound), any(FileLook::Other)];

const fn any(look: FileLook) -> FileRule {
    FileRule { look, types: &[], most: 100 * MIB, words: 4096, choices: 20 }
}

/// A mebibyte, in which providers count.
pub const MIB: u64 = 1 << 20;

/// Why a file cannot be carried as such; `None` when it can.
pub fn not_carried(rules: &[FileRule], file: &MediaFile, words: &str, choices: usize) -> Option<String> {
    let look = file.look();
    let mut of_look = rules.iter().filter(|rule| rule.look == look).peekable();
    if of_look.peek().is_none() {
        return Some(format!("the channel carries no {}s", look.label()));
    }
    let of_type = of_look.find(|rule| rule.types.is_empty() || rule.types.contains(&file.content_type.as_str()));
    let Some(rule) = of_type else {
        return Some(format!("the channel carries no {}s of the type {}", look.label(), file.content_type));
    };
    if rule.most < file.size {
        let most = if rule.most < MIB { format!("{} KB", rule.most >> 10) } else { format!("{} MB", rule.most / MIB) };
        return Some(format!("the channel carries {}s up to {most}", look.label()));
    }
    match (rule.words, words.chars().count()) {
        (0, 1..) => Some(format!("the channel sends {}s without words", look.label())),
        (most, n) if most < n => Some(format!("with a {} go up to {most} characters", look.label())),
        _ if rule.choices < choices => Some(format!("with a {} go up to {} answers", look.label(), rule.choices)),
        _ => None,
    }
}

/// A text as it leaves through a channel that carries these files, and places with so many characters of words.
pub fn fitted(rules: &[FileRule], places: Option<usize>, text: &Content, brought: Brought, words: String) -> Content {
    let choices = text.words().1.to_vec();
    match brought {
        Brought::File(file) if not_carried(rules, &file, &words, choices.len()).is_none() => {
            Content::Media { file, caption: words, choices }
        }
        Brought::Place(place) if choices.is_empty() && places.is_some_and(|most| words.chars().count() <= most) => {
            Content::Place { place, words }
        }
        Brought::File(_) | Brought::Place(_) => text.clone(),
    }
}

/// What a text brings along, with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Brought {
    File(MediaFile),
    Place(MapPlace),
}

/// What came with a message, fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchedMedia {
    pub octets: Vec<u8>,
}

/// Why it could not be fetched.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfetched {
    /// It may be there later.
    Later(String),
    /// It never will be.
    Never(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[FileRule] = &[
        FileRule { look: FileLook::Picture, types: &["image/png"], most: 5 * MIB, words: 10, choices: 3 },
        FileRule { look: FileLook::Sound, types: &[], most: 500 << 10, words: 0, choices: 0 },
    ];

    fn file(content_type: &str, size: u64) -> MediaFile {
        MediaFile { url: "u".into(), name: "n".into(), content_type: content_type.into(), size }
    }

    #[test]
    fn what_is_not_carried_is_told_why() {
        let why = |it: &str, size, words: &str, choices| not_carried(RULES, &file(it, size), words, choices);
        assert_eq!(why("image/png", 1, "0123456789", 3), None);
        assert_eq!(why("image/gif", 1, "", 0).unwrap(), "the channel carries no pictures of the type image/gif");
        assert_eq!(why("image/png", 5 * MIB + 1, "", 0).unwrap(), "the channel carries pictures up to 5 MB");
        assert_eq!(why("audio/ogg", 501 << 10, "", 0).unwrap(), "the channel carries sounds up to 500 KB");
        assert_eq!(why("audio/ogg", 1, "x", 0).unwrap(), "the channel sends sounds without words");
        assert_eq!(why("image/png", 1, "0123456789a", 0).unwrap(), "with a picture go up to 10 characters");
        assert_eq!(why("image/png", 1, "", 4).unwrap(), "with a picture go up to 3 answers");
        assert_eq!(why("application/pdf", 1, "", 0).unwrap(), "the channel carries no documents");
    }

    #[test]
    fn a_text_leaves_with_what_it_brings_or_as_it_is() {
        let text = Content::Text("Look\nhttps://a/media/k/n.png".into());
        let fit = |it: &str| fitted(RULES, None, &text, Brought::File(file(it, 1)), "Look".into());
        assert!(matches!(fit("image/png"), Content::Media { caption, .. } if caption == "Look"));
        assert_eq!(fit("video/mp4"), text);
        let place = |most, words: &str| {
            fitted(RULES, most, &text, Brought::Place(MapPlace { latitude: 1.0, longitude: 2.0 }), words.into())
        };
        assert!(matches!(place(Some(4), "Look"), Content::Place { .. }));
        assert_eq!((place(Some(3), "Look"), place(None, "")), (text.clone(), text.clone()));
    }
}
