//! Texts of messages: fields filled in, and what a text costs as SMS.
//!
//! # Fields in a text
//!
//! ```text
//! #name              the value of the field "name"
//! #name|there#       the same, or "there" when the value is missing or empty
//! #name|#            the same, or nothing; also ends a name inside a word: "#name|#s"
//! ##                 a plain #
//! ```
//!
//! - A name is one of the known fields, in upper or lower case, longest first, so
//!   "#first name" is the field "first name" even if there is a field "first".
//! - It must not go on as a word: with the field "name", "#names" is not a field.
//!   In scripts that do not put spaces between words, anything may follow.
//! - A fallback reaches to the next `#`, which it cannot contain. A `|` with no
//!   `#` after it is plain text.
//! - Every other `#` is plain text too: "dial #1" needs nothing special. One that
//!   looks like a field, a `#` before a letter, is told by [`Template::unknown`].

mod approved;
mod attached;
mod content;
pub mod letters;
mod segments;
mod template;

pub use approved::{Approved, FilledPlace, FilledTemplate, ParsedTemplate, PlacePart, TemplatePlace, places_in};
pub use attached::{Attached, FileLink, MEDIA_PATH, MapPlace, Piece, attached, path_of, pieces};
pub use content::{Content, FileLook, MediaFile};
pub use segments::{Encoding, Segments, segments, split, split_as};
pub use template::{MissingValue, Template};
