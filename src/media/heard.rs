//! domain: What came with a message of a contact, as people see it.

use super::domain::{KeptFile, size_in_words};
use crate::providers::MediaHeard;
use crate::wording::MapPlace;
use crate::words::words;

words! {
    /// How far a file is that came with a message.
    pub enum HeardState {
        /// To be fetched.
        Awaited = "awaited",
        Kept = "kept",
        /// It could not be fetched, or is none that we keep.
        Refused = "refused",
        /// There is nothing to fetch: what was told is all.
        Told = "told",
    }
}

/// Something that came with a message.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardFile {
    pub id: i64,
    pub heard: MediaHeard,
    pub state: HeardState,
    /// Why it could not be fetched, the last time.
    pub why: Option<String>,
    pub file: Option<KeptFile>,
}

impl HeardFile {
    pub fn place(&self) -> Option<MapPlace> {
        MapPlace::parse_geo(&self.heard.url)
    }

    /// Where people of the house find it.
    pub fn path(&self) -> String {
        self.file.as_ref().map(|file| format!("/inbox{}", file.path())).unwrap_or_default()
    }

    /// What it is called.
    pub fn label(&self) -> String {
        match &self.file {
            Some(file) => format!("{}, {}", file.name, size_in_words(file.size)),
            None => line(&self.heard),
        }
    }
}

/// What came, in words: what it is, and what it is called.
pub fn line(it: &MediaHeard) -> String {
    let kind = match it.kind.as_str() {
        "" => it.content_type.split('/').next().filter(|kind| !kind.is_empty()).unwrap_or("file"),
        "image" | "picture" => "picture",
        "audio" | "voice" => "sound",
        "document" => "file",
        other => other,
    };
    let kind = if kind == "image" { "picture" } else { kind };
    // A place says where it is; other addresses are the provider's, and lead nowhere without its account.
    let where_at = if it.url.starts_with("geo:") { it.url.as_str() } else { "" };
    let parts: Vec<&str> = [it.about.as_str(), where_at].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { kind.to_owned() } else { format!("{kind}: {}", parts.join(" ")) }
}

/// The lines that stand for what came in the text of a message.
pub fn lines(them: &[MediaHeard]) -> String {
    them.iter().map(|it| format!("[{}]", line(it))).collect::<Vec<_>>().join("\n")
}

/// The words of a message, without the lines that stand for what came with it.
pub fn words_alone<'a>(body: &'a str, them: &[HeardFile]) -> &'a str {
    let heard: Vec<MediaHeard> = them.iter().map(|it| it.heard.clone()).collect();
    body.strip_suffix(&lines(&heard)).unwrap_or(body).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_said_in_a_line() {
        let it = |kind: &str, url: &str, about: &str| {
            line(&MediaHeard { kind: kind.into(), url: url.into(), about: about.into(), ..MediaHeard::default() })
        };
        assert_eq!(it("image", "https://provider.example/1", ""), "picture");
        assert_eq!(it("document", "", "bill.pdf"), "file: bill.pdf");
        assert_eq!(it("location", "geo:48.2,16.37", "Shop"), "location: Shop geo:48.2,16.37");
        assert_eq!(line(&MediaHeard { content_type: "image/jpeg".into(), ..MediaHeard::default() }), "picture");
        assert_eq!(line(&MediaHeard::default()), "file");
    }

    #[test]
    fn the_words_of_a_message_stand_alone_again() {
        let heard = MediaHeard { kind: "image".into(), ..MediaHeard::default() };
        let body = format!("Look at this\n{}", lines(std::slice::from_ref(&heard)));
        let it = HeardFile { id: 1, heard, state: HeardState::Awaited, why: None, file: None };
        assert_eq!(words_alone(&body, std::slice::from_ref(&it)), "Look at this");
        assert_eq!(words_alone("[picture]", &[it]), "");
        assert_eq!(words_alone("[picture]", &[]), "[picture]");
    }
}
