//! web: Texts as people see them: their words, and what they bring along as pictures and links.

use askama::Template;

use super::domain::size_in_words;
use super::heard::{HeardFile, HeardState};
use crate::wording::{FileLink, FileLook, Piece, pieces};

#[derive(Template)]
#[template(path = "shared/_said.html")]
struct SaidText {
    pieces: Vec<Piece>,
}

/// A text with what it brings along.
pub fn said(text: &str) -> askama::Result<String> {
    SaidText { pieces: pieces(text) }.render()
}

/// The words of somebody else: whatever stands in them are words.
pub fn words_said(text: &str) -> askama::Result<String> {
    SaidText { pieces: vec![Piece::Words(text.to_owned())] }.render()
}

/// What came with a message of a contact.
#[derive(Template)]
#[template(path = "shared/_heard.html")]
pub struct HeardFiles<'a> {
    pub files: &'a [HeardFile],
    /// Where it is asked to fetch again what could not be fetched; empty: nowhere.
    pub again: String,
}

/// What somebody sees of a file, by its name: ours end as their type does.
fn look(file: &FileLink) -> FileLook {
    FileLook::of_name(&file.name)
}
