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

#[derive(Template)]
#[template(source = "{{ text }}", ext = "html")]
struct PlainText<'a> {
    text: &'a str,
}

/// A text with what it brings along.
pub fn said(text: &str) -> askama::Result<String> {
    Ok(dense(&SaidText { pieces: pieces(text) }.render()?))
}

/// The same in a frame of its own; words that bring nothing stand in it as they are.
pub fn in_bubble(text: &str) -> askama::Result<String> {
    match &pieces(text)[..] {
        [] | [Piece::Words(_)] => PlainText { text }.render(),
        _ => said(text),
    }
}

/// The words of somebody else: whatever stands in them are words.
pub fn words_said(text: &str) -> askama::Result<String> {
    Ok(dense(&SaidText { pieces: vec![Piece::Words(text.to_owned())] }.render()?))
}

/// Without the breaks between its tags: it stands where breaks are shown. Those of the text are between no tags.
fn dense(html: &str) -> String {
    html.trim().replace(">\n<", "><")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_with_its_breaks_and_no_others_and_is_never_markup() {
        let key = "0f8fad5bd9cb469fa16570867728950e";
        let shown = said(&format!("One <b>\n\ntwo>\n<three\nhttp://a.example/media/{key}/x.png")).unwrap();
        let picture = format!("/media/{key}/x.png");
        assert_eq!(
            shown,
            format!(
                "<p class=\"said-text\">One &#60;b&#62;\n\ntwo&#62;\n&#60;three</p><p class=\"said-file\"><a href=\"{picture}\" \
                 target=\"_blank\"><img src=\"{picture}\" alt=\"x.png\" loading=\"lazy\"></a></p>"
            )
        );
        assert_eq!(in_bubble("a <b>\n").unwrap(), "a &#60;b&#62;\n");
        assert_eq!(words_said(&format!("http://a/media/{key}/x.png")).unwrap().matches("<img").count(), 0);
    }
}
