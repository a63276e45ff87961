//! Tables to take away.

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::Stream;

use super::Problem;

/// Text that no spreadsheet takes for a formula: what came from a file or a
/// provider must not run on the machine of the person who opens the table.
///
/// A cell may also begin within the text: where lists have semicolons between them, a spreadsheet cuts
/// there, whatever quotes stand around it.
pub fn as_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    // A sign of ours stands before it, with nothing but blanks in between.
    let mut guarded = false;
    for cell in text.split_inclusive(CUTS) {
        let begins = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c == '\u{feff}');
        let odd = safe.is_empty() && cell.starts_with(['\t', '\r']);
        if odd || (begins.starts_with(SIGNS) && !guarded) {
            safe.push('\'');
            guarded = true;
        }
        guarded &= cell.trim().is_empty();
        safe.push_str(cell);
    }
    safe
}

/// What formulas begin with.
const SIGNS: [char; 4] = ['=', '+', '-', '@'];
/// Where a spreadsheet may take one cell for two.
const CUTS: [char; 4] = [';', '\t', '\n', '\r'];

/// The first bytes of a table: without them Excel takes UTF-8 for something else.
pub fn mark() -> Vec<u8> {
    "\u{feff}".as_bytes().to_vec()
}

/// Lines of a table, every cell made harmless with [`as_text`].
pub fn lines<'a, R>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, Problem>
where
    R: IntoIterator<Item = &'a str>,
{
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let cells = row.into_iter().map(as_text);
        writer.write_record(cells).map_err(|error| Problem::Unexpected(error.into()))?;
    }
    writer.into_inner().map_err(|error| Problem::Unexpected(anyhow::anyhow!("lines of a table: {error}")))
}

/// A table that is saved under `name` while it is made.
pub fn download(name: &str, pages: impl Stream<Item = Result<Bytes, Problem>> + 'static) -> HttpResponse {
    let mut answer: HttpResponseBuilder = HttpResponse::Ok();
    answer
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=1+1", "+353", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(as_text(formula), format!("'{formula}"));
        }
        for (text, safe) in [
            ("hi;=cmd|' /C calc'!A0", "hi;'=cmd|' /C calc'!A0"),
            ("hi; \"=1+1", "hi;' \"=1+1"),
            ("a\n@x", "a\n'@x"),
            (" =1", "' =1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\"=1", "'\"=1"),
        ] {
            assert_eq!(as_text(text), safe);
        }
        for plain in ["35387=1", "a;b; c", "one - two", "12-30", "", "a\n\nb"] {
            assert_eq!(as_text(plain), plain);
        }
        assert_eq!(lines([["353", "=cmd", "a,b"]]).unwrap(), b"353,'=cmd,\"a,b\"\n");
    }
}
