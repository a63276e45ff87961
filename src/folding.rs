//! Texts that look the same are the same: how names of fields, files and campaigns are kept and compared.

use unicode_normalization::UnicodeNormalization as _;

/// A text as a name is kept: its letters composed (Unicode NFC), every run of blanks of any kind one
/// space and none at the ends, and nothing in it that cannot be seen.
pub fn folded(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if is_blank(c) => {
                if !visible.is_empty() && !visible.ends_with(' ') {
                    visible.push(' ');
                }
            }
            // Between signs of a script, or parts of a picture, they change what is seen.
            '\u{200c}' | '\u{200d}' => {
                let joins = visible.chars().next_back().is_some_and(is_joined);
                if joins && rest.peek().is_some_and(|next| is_joined(*next)) {
                    visible.push(c);
                }
            }
            c if is_invisible(c) => {}
            c => visible.push(c),
        }
    }
    visible.trim_end().nfc().collect()
}

/// Blanks that break lines and that do not, and the Braille sign without a dot.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

/// Marks of direction, of where words may break, of byte order, fillers, and what controls devices.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// Arabic, Indic and the like, and pictures.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{dff}' | '\u{f00}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}')
        || c >= '\u{1f000}' && !is_invisible(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_are_one_sign_with_their_letter_however_they_were_typed() {
        assert_eq!(folded("Donne\u{301}es"), "Données");
        assert_eq!(folded("A\u{30a}ngstro\u{308}m"), "Ångström");
        assert_eq!(folded("Données"), "Données");
    }

    #[test]
    fn any_blanks_are_one_and_none_stands_at_the_ends() {
        for text in [
            "First name",
            " First  name\t",
            "First\u{a0}name",
            "First \u{202f}\u{2003}name\r\n",
            "\u{3000}First\u{2800}name",
        ] {
            assert_eq!(folded(text), "First name", "{text:?}");
        }
        assert_eq!(folded("First \u{200b} name"), "First name", "also around what is not seen");
    }

    #[test]
    fn what_cannot_be_seen_is_no_part_of_a_name() {
        for c in "\u{feff}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2060}\u{ad}\u{61c}\u{202e}\u{2066}\u{3164}\u{115f}\u{ffa0}\0\u{7f}\u{e0041}".chars() {
            assert_eq!(folded(&format!("{c}na{c}me{c}")), "name", "{c:?}");
        }
        assert_eq!(folded("\u{200b}\u{2060} \u{3164}"), "");
    }

    #[test]
    fn joiners_stay_where_they_change_what_is_seen() {
        for text in ["👩\u{200d}💻", "❤\u{fe0f}\u{200d}🔥", "می\u{200c}خواهم", "क\u{94d}\u{200d}ष"] {
            assert_eq!(folded(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn folding_again_changes_nothing(text in "\\PC{0,20}[ \u{a0}\u{200b}\u{200d}e\u{301}]{0,8}\\PC{0,20}") {
            let once = folded(&text);
            proptest::prop_assert_eq!(folded(&once), once);
        }
    }
}
