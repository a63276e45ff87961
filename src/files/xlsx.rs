//! io: Reading one of the visible sheets of an .xlsx row by row, with what people see of it: formats of
//! numbers, rows that are hidden, formulas that nobody has calculated. Only a process that was made for
//! it does this: see [`workbook`](super::workbook).
//!
//! Cells are streamed; the texts that the format keeps in one list beside them are held in memory.

use std::io::{BufReader, Read, Seek};

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;
use zip::read::ZipFile;

use super::domain::{NEVER_CALCULATED, Record};
use super::number_format::NumberFormat;
use super::refusal::Refusal;
use super::table::{EachRow, LONGEST_ROW, Named, Unread};

/// Columns in the widest sheet there is.
pub const MOST_COLUMNS: u32 = 16_384;
/// Sheets of a workbook that one of can be chosen from.
pub const MOST_SHEETS: usize = 200;
const MOST_ROWS: u32 = 1 << 20;
/// Parts that describe have so many entries at most in any workbook that a spreadsheet opens.
const MOST_STYLES: usize = 70_000;

type Part<'a, R> = quick_xml::Reader<BufReader<ZipFile<'a, R>>>;

/// Anything but what a workbook should be.
struct Bad;

impl From<Bad> for Unread {
    fn from(_: Bad) -> Self {
        Refusal::BadWorkbook.into()
    }
}

impl From<quick_xml::Error> for Bad {
    fn from(_: quick_xml::Error) -> Self {
        Bad
    }
}

/// Reads rows until the end or until `each` breaks. `size`: of the file, for telling how far the reading has come;
/// `sheet`: which of those that can be seen, counted from 0.
pub fn xlsx_rows<R: Read + Seek>(
    file: R,
    size: u64,
    sheet: usize,
    named: &mut Named<'_>,
    each: &mut EachRow<'_>,
) -> Result<(), Unread> {
    let mut zip = ZipArchive::new(file).map_err(|_| Bad)?;
    let book = Book::read(&mut zip)?;
    named(&book.sheets.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    let (_, sheet) = book.sheets.get(sheet).ok_or(Refusal::NoSheet)?;
    let styles = read_styles(&mut zip, &book.styles)?;
    let texts = Texts::read(&mut zip, &book.texts)?;
    let xml = part(&mut zip, sheet)?.ok_or(Bad)?;
    let record = Record::default();
    Sheet { xml, book: &book, styles, texts, record, n_rows: None, text: String::new(), size }.read(each)
}

/// A part of the archive; programs are not of one mind about capitals in names.
fn part<'a, R: Read + Seek>(zip: &'a mut ZipArchive<R>, name: &str) -> Result<Option<Part<'a, R>>, Bad> {
    let spelt_otherwise = |zip: &ZipArchive<R>| {
        zip.file_names().position(|it| it.is_ok_and(|it| it.replace('\\', "/").eq_ignore_ascii_case(name)))
    };
    let Some(at) = zip.index_for_name(name).or_else(|| spelt_otherwise(zip)) else { return Ok(None) };
    let mut xml = quick_xml::Reader::from_reader(BufReader::new(zip.by_index(at).map_err(|_| Bad)?));
    let config = xml.config_mut();
    config.check_end_names = false;
    // `<c/>` is as good as `<c></c>`.
    config.expand_empty_elements = true;
    Ok(Some(xml))
}

fn attribute(of: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut all = of.attributes();
    // What a prefix says is told by the name behind it.
    let found = all.with_checks(false).flatten().find(|it| it.key.local_name().as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|it| it == "1" || it == "true")
}

/// Hears every element of a part as it opens.
fn elements<R: Read + Seek>(
    zip: &mut ZipArchive<R>,
    name: &str,
    mut heard: impl FnMut(&str, &BytesStart<'_>),
) -> Result<bool, Bad> {
    let Some(mut xml) = part(zip, name)? else { return Ok(false) };
    let mut buffer = Vec::new();
    loop {
        match xml.read_event_into(&mut buffer)? {
            Event::Start(element) => heard(element.local_name().as_ref(), &element),
            Event::Eof => return Ok(true),
            _ => {}
        }
        buffer.clear();
    }
}

/// Where the parts are that matter.
struct Book {
    /// Those that can be seen: name and part.
    sheets: Vec<(String, String)>,
    styles: String,
    texts: String,
    /// Days are counted from 1904 on.
    is_1904: bool,
}

impl Book {
    fn read<R: Read + Seek>(zip: &mut ZipArchive<R>) -> Result<Book, Bad> {
        let mut book = Book {
            sheets: Vec::new(),
            styles: "xl/styles.xml".to_owned(),
            texts: "xl/sharedStrings.xml".to_owned(),
            is_1904: false,
        };
        let (mut visible, mut sheets) = (Vec::new(), Vec::new());
        elements(zip, "xl/workbook.xml", |name, element| match name {
            "workbookPr" => book.is_1904 = is_true(attribute(element, "date1904")),
            "sheet" => {
                let is_hidden = attribute(element, "state").is_some_and(|it| it != "visible");
                if let Some(id) = attribute(element, "id").filter(|_| !is_hidden && visible.len() < MOST_SHEETS) {
                    visible.push((attribute(element, "name").unwrap_or_default(), id));
                }
            }
            _ => {}
        })?;
        elements(zip, "xl/_rels/workbook.xml.rels", |name, element| {
            let of = |it| attribute(element, it);
            let (Some(id), Some(kind), Some(target)) = (of("Id"), of("Type"), of("Target")) else { return };
            if name != "Relationship" {
                return;
            }
            let path = match target.strip_prefix('/') {
                Some(from_root) => from_root.to_owned(),
                None => format!("xl/{target}"),
            };
            match kind.rsplit('/').next() {
                Some("worksheet") if sheets.len() < MOST_STYLES => sheets.push((id, path)),
                Some("styles") => book.styles = path,
                Some("sharedStrings") => book.texts = path,
                _ => {}
            }
        })?;
        let path = |id: &String| sheets.iter().find(|(it, _)| it == id).map(|(_, path)| path.clone());
        book.sheets = visible.into_iter().filter_map(|(name, id)| Some((name, path(&id)?))).collect();
        Ok(book)
    }
}

/// How cells of each style show their numbers.
fn read_styles<R: Read + Seek>(zip: &mut ZipArchive<R>, name: &str) -> Result<Vec<NumberFormat>, Bad> {
    let (mut own, mut styles, mut of_cells) = (std::collections::HashMap::new(), Vec::new(), false);
    elements(zip, name, |name, element| {
        let id = || attribute(element, "numFmtId").and_then(|it| it.parse::<u32>().ok());
        match name {
            "numFmt" if own.len() < MOST_STYLES => {
                // Spreadsheets take 255 characters.
                let code = attribute(element, "formatCode").filter(|code| code.len() < 2000);
                if let (Some(id), Some(code)) = (id(), code) {
                    own.insert(id, NumberFormat::read(&code));
                }
            }
            "cellXfs" => of_cells = true,
            "cellStyleXfs" | "cellStyles" | "dxfs" => of_cells = false,
            "xf" if of_cells && styles.len() < MOST_STYLES => styles.push(id().unwrap_or_default()),
            _ => {}
        }
    })?;
    let format = |id: u32| own.get(&id).cloned().unwrap_or_else(|| NumberFormat::built_in(id));
    Ok(styles.into_iter().map(format).collect())
}

/// The texts of the workbook, one after the other, and where each ends.
#[derive(Default)]
struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    fn read<R: Read + Seek>(zip: &mut ZipArchive<R>, name: &str) -> Result<Texts, Bad> {
        let mut texts = Texts::default();
        let Some(mut xml) = part(zip, name)? else { return Ok(texts) };
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match xml.read_event_into(&mut buffer)? {
                Event::Start(element) if element.local_name().as_ref() == "si" => {
                    read_text(&mut xml, "si", usize::MAX, &mut texts.all)?;
                    texts.ends.push(texts.all.len());
                }
                Event::Eof => return Ok(texts),
                _ => {}
            }
        }
    }

    fn get(&self, n: usize) -> Option<&str> {
        let start = n.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.all.get(start..*self.ends.get(n)?)
    }
}

/// Adds the text of an element whose start is read: all of its `t`, but not how they are pronounced.
/// What is longer than `most` is read and left out.
fn read_text<R: Read + Seek>(xml: &mut Part<'_, R>, closing: &str, most: usize, into: &mut String) -> Result<(), Bad> {
    let (mut buffer, mut piece) = (Vec::new(), String::new());
    let (mut in_t, mut spoken, mut keeps_blanks) = (false, false, false);
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer)? {
            Event::Start(it) => match it.local_name().as_ref() {
                "t" if !spoken => {
                    in_t = true;
                    keeps_blanks = attribute(&it, "space").is_some_and(|it| it == "preserve");
                }
                "rPh" => spoken = true,
                _ => {}
            },
            Event::End(it) => match it.local_name().as_ref() {
                name if name == closing => return Ok(()),
                "t" if in_t => {
                    in_t = false;
                    let blank = |c: char| c.is_ascii_whitespace();
                    unescape(if keeps_blanks { &piece } else { piece.trim_matches(blank) }, into);
                    piece.clear();
                }
                "rPh" => spoken = false,
                _ => {}
            },
            Event::Text(it) if in_t && piece.len() < most => piece.push_str(&it.xml10_content()),
            Event::CData(it) if in_t && piece.len() < most => piece.push_str(&it.xml10_content()),
            Event::GeneralRef(it) if in_t => add_reference(&it, &mut piece)?,
            Event::Eof => return Err(Bad),
            _ => {}
        }
    }
}

/// `&amp;`, `&#xA0;`.
fn add_reference(reference: &BytesRef<'_>, into: &mut String) -> Result<(), Bad> {
    match quick_xml::escape::resolve_xml_entity(reference) {
        Some(known) => into.push_str(known),
        None => into.push(reference.resolve_char_ref()?.ok_or(Bad)?),
    }
    Ok(())
}

/// Adds a text in which `_x000D_` stands for a sign that XML has no other way for.
fn unescape(text: &str, into: &mut String) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("_x") {
        into.push_str(before);
        let unit =
            after.get(..4).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()) && after.get(4..5) == Some("_"));
        match unit.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
            Some(unit) => {
                into.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = after.get(5..).unwrap_or_default();
            }
            None => {
                into.push_str("_x");
                rest = after;
            }
        }
    }
    into.push_str(rest);
}

struct Sheet<'a, R: Read + Seek> {
    xml: Part<'a, R>,
    book: &'a Book,
    styles: Vec<NumberFormat>,
    texts: Texts,
    record: Record,
    /// Not every program writes how many there are; then nobody knows how far the reading is.
    n_rows: Option<u64>,
    text: String,
    size: u64,
}

impl<R: Read + Seek> Sheet<'_, R> {
    fn read(mut self, each: &mut EachRow<'_>) -> Result<(), Unread> {
        let mut buffer = Vec::new();
        let (mut row, mut column) = (0_u32, 0_u32);
        loop {
            buffer.clear();
            match self.xml.read_event_into(&mut buffer).map_err(Bad::from)? {
                Event::Start(it) => match it.local_name().as_ref() {
                    "dimension" => {
                        let last = attribute(&it, "ref").and_then(|all| place(all.rsplit(':').next()?));
                        self.n_rows = last.map(|(_, row)| u64::from(row)).filter(|n| *n > 1);
                    }
                    "row" => {
                        row = match attribute(&it, "r") {
                            Some(n) => n.parse().ok().filter(|n| (1..=MOST_ROWS).contains(n)).ok_or(Bad)?,
                            None => row + 1,
                        };
                        column = 0;
                        self.record.clear();
                        self.record.hidden = is_true(attribute(&it, "hidden"));
                    }
                    "c" => {
                        let (mut kind, mut style) = (String::new(), 0);
                        for about in it.attributes().with_checks(false).flatten() {
                            match about.key.as_ref() {
                                "r" => (column, row) = place(&about.value).ok_or(Bad)?,
                                "t" => kind.push_str(&about.value),
                                "s" => style = about.value.parse().unwrap_or_default(),
                                _ => {}
                            }
                        }
                        // Cells that go back would stand under another name than their own.
                        if column >= MOST_COLUMNS || self.record.len() > column as usize || row > MOST_ROWS {
                            return Err(Bad.into());
                        }
                        while self.record.len() < column as usize {
                            self.record.push("");
                        }
                        self.read_cell(if kind.is_empty() { "n" } else { &kind }, style)?;
                        if self.record.text.len() + self.text.len() > LONGEST_ROW {
                            return Err(Refusal::HugeRow.into());
                        }
                        self.record.push(&self.text);
                        column += 1;
                    }
                    _ => {}
                },
                Event::End(it) => match it.local_name().as_ref() {
                    "row" if !self.record.is_blank() => {
                        let n = u64::from(row);
                        let done = self.n_rows.map_or(0, |n_rows| self.size * n.min(n_rows) / n_rows);
                        if each(n, &self.record, done).is_break() {
                            return Ok(());
                        }
                    }
                    "sheetData" => return Ok(()),
                    _ => {}
                },
                // Cut off, or not a sheet.
                Event::Eof => return Err(Bad.into()),
                _ => {}
            }
        }
    }

    /// Reads a cell, whose start is read, into `text`.
    fn read_cell(&mut self, kind: &str, style: usize) -> Result<(), Bad> {
        self.text.clear();
        let (mut buffer, mut value) = (Vec::new(), String::new());
        let (mut in_value, mut has_formula, mut has_text) = (false, false, false);
        loop {
            buffer.clear();
            match self.xml.read_event_into(&mut buffer)? {
                Event::Start(it) => match it.local_name().as_ref() {
                    "v" => in_value = true,
                    "f" => has_formula = true,
                    "is" => {
                        has_text = true;
                        read_text(&mut self.xml, "is", LONGEST_ROW + 1, &mut self.text)?;
                    }
                    _ => {}
                },
                Event::End(it) => match it.local_name().as_ref() {
                    "v" => in_value = false,
                    "c" => break,
                    _ => {}
                },
                Event::Text(it) if in_value => value.push_str(&it.xml10_content()),
                Event::CData(it) if in_value => value.push_str(&it.xml10_content()),
                Event::GeneralRef(it) if in_value => add_reference(&it, &mut value)?,
                Event::Eof => return Err(Bad),
                _ => {}
            }
        }
        if has_text {
            return Ok(());
        }
        if kind != "str" && kind != "s" {
            value.truncate(value.trim_end().len());
        }
        match kind {
            // A formula may well come to nothing, but then it comes to a text.
            _ if value.is_empty() && has_formula && kind != "str" => self.text.push_str(NEVER_CALCULATED),
            _ if value.is_empty() => {}
            "s" => {
                let n = value.trim().parse().map_err(|_| Bad)?;
                self.text.push_str(self.texts.get(n).ok_or(Bad)?);
            }
            "b" => self.text.push_str(if is_true(Some(value)) { "TRUE" } else { "FALSE" }),
            "n" => {
                let format = self.styles.get(style);
                write_number(value.trim(), format, self.book.is_1904, &mut self.text)?;
            }
            _ => unescape(&value, &mut self.text),
        }
        Ok(())
    }
}

fn write_number(value: &str, format: Option<&NumberFormat>, is_1904: bool, into: &mut String) -> Result<(), Bad> {
    let number: f64 = value.parse().map_err(|_| Bad)?;
    let format = format.unwrap_or(&NumberFormat::General);
    // Longer than a number can be exactly: whoever wrote all these digits meant them.
    let is_written_out = value.len() > 15 && value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0');
    if is_written_out && *format == NumberFormat::General {
        into.push_str(value);
    } else {
        into.push_str(&format.shown(number, is_1904));
    }
    Ok(())
}

/// Column from 0 and row from 1 of `AB12`.
fn place(text: &str) -> Option<(u32, u32)> {
    let text = text.replace('$', "");
    let n_letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, row) = text.split_at_checked(n_letters)?;
    let column = letters.bytes().try_fold(0_u32, |n, letter| {
        n.checked_mul(26)?.checked_add(u32::from(letter.to_ascii_uppercase() - b'A') + 1)
    })?;
    Some((column.checked_sub(1)?, row.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};
    use std::ops::ControlFlow;

    use super::*;

    /// A workbook of these parts, each under its name in `xl/`.
    fn book(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, text) in parts {
            zip.start_file(format!("xl/{name}"), stored).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    const BOOK: (&str, &str) = (
        "workbook.xml",
        r#"<workbook><sheets><sheet name="Notes" state="hidden" r:id="r2"/><sheet name="S" r:id="r1"/></sheets></workbook>"#,
    );
    const RELATIONS: (&str, &str) = (
        "_rels/workbook.xml.rels",
        r#"<Relationships>
            <Relationship Id="r2" Type="http://x/worksheet" Target="worksheets/notes.xml"/>
            <Relationship Id="r1" Type="http://x/worksheet" Target="/xl/worksheets/sheet1.xml"/>
            <Relationship Id="r3" Type="http://x/styles" Target="styles.xml"/>
        </Relationships>"#,
    );

    fn rows(parts: &[(&str, &str)]) -> Result<Vec<(u64, bool, String)>, Unread> {
        let mut rows = Vec::new();
        xlsx_rows(Cursor::new(book(parts)), 100, 0, &mut |_| {}, &mut |line, row, _| {
            rows.push((line, row.hidden, row.iter().collect::<Vec<_>>().join("|")));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// The rows of a sheet with these, under styles that a test needs.
    fn sheet(rows_of_it: &str) -> Result<Vec<(u64, bool, String)>, Unread> {
        let text = format!("<worksheet><sheetData>{rows_of_it}</sheetData></worksheet>");
        let styles = r#"<styleSheet>
            <numFmts><numFmt numFmtId="164" formatCode="&quot;€&quot;#,##0.00"/></numFmts>
            <cellStyleXfs><xf numFmtId="9"/></cellStyleXfs>
            <cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/><xf numFmtId="10"/></cellXfs>
            <dxfs><dxf><numFmt numFmtId="165" formatCode="0"/></dxf></dxfs>
        </styleSheet>"#;
        let texts = r#"<sst><si><t>Phone</t></si><si><r><t>Zo</t></r><r><t xml:space="preserve">ë </t></r><rPh><t>zoe</t></rPh></si>
            <si><t>a &amp; b_x000A_c_x_</t></si><si/></sst>"#;
        rows(&[
            BOOK,
            RELATIONS,
            ("worksheets/sheet1.xml", &text),
            ("Worksheets/notes.xml", "<worksheet/>"),
            ("styles.xml", styles),
            ("SharedStrings.xml", texts),
        ])
    }

    fn one(cells: &str) -> String {
        sheet(&format!("<row>{cells}</row>")).unwrap().pop().unwrap().2
    }

    #[test]
    fn cells_read_as_people_see_them() {
        let text = one(
            r#"<c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="s"><v>2</v></c><c t="s"><v>3</v></c><c><v>1</v></c>"#,
        );
        assert_eq!(text, "Phone|Zoë |a & b\nc_x_||1");
        let text = one(
            r#"<c t="inlineStr"><is><t> x </t></is></c><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c><c t="str"><f>A1</f><v>y</v></c>"#,
        );
        assert_eq!(text, "x|TRUE|#N/A|y");
        let numbers = r#"<c><v>3.53861234567E11</v></c><c><v>59.970000000000006</v></c><c s="1"><v>1250</v></c><c s="2"><v>45943</v></c><c s="3"><v>0.125</v></c><c s="99"><v>2</v></c>"#;
        assert_eq!(one(numbers), "353861234567|59.97|€1,250.00|2025-10-13|12.50%|2");
        assert_eq!(one("<c><v>8901234567890123456</v></c>"), "8901234567890123456", "all digits that were written");
    }

    #[test]
    fn a_formula_without_a_value_says_so() {
        for cell in [
            "<c><f>A1</f></c>",
            "<c><f>A1</f><v/></c>",
            "<c t=\"n\"><f>A1</f><v></v></c>",
            "<c><f t=\"shared\" si=\"0\"/></c>",
        ] {
            assert_eq!(one(cell), NEVER_CALCULATED, "{cell}");
        }
        assert_eq!(one("<c t=\"str\"><f>A1</f><v></v></c><c><v>1</v></c>"), "|1", "it came to nothing");
        assert_eq!(one("<c><f>A1</f><v>0</v></c>"), "0");
    }

    #[test]
    fn rows_keep_their_numbers_and_what_hides_them() {
        let rows = sheet(
            r#"<row r="2"><c r="B2"><v>1</v></c></row><row r="3" hidden="1"><c r="A3"><v>2</v></c></row>
               <row r="4"><c r="A4"/></row><row hidden="true"><c><v>3</v></c></row><row hidden="0"><c r="C9"><v>4</v></c></row>"#,
        );
        let expected = [(2, false, "|1"), (3, true, "2"), (5, true, "3"), (9, false, "||4")]
            .map(|(n, hidden, text)| (n, hidden, text.to_owned()));
        assert_eq!(rows.unwrap(), expected);
    }

    #[test]
    fn what_is_no_sheet_is_a_bad_workbook() {
        for rows in [
            r#"<row r="0"><c><v>1</v></c></row>"#,
            r#"<row r="1048577"><c><v>1</v></c></row>"#,
            r#"<row><c r="XFE1"><v>1</v></c></row>"#,
            r#"<row><c r="ZZZZZZZZZ1"><v>1</v></c></row>"#,
            r#"<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>"#,
            "<row><c><v>x</v></c></row>",
            r#"<row><c t="s"><v>4</v></c></row>"#,
            "<row><c><v>&unknown;</v></c></row>",
            "<row><c",
        ] {
            assert!(matches!(sheet(rows), Err(Unread::Refused(Refusal::BadWorkbook))), "{rows}");
        }
        assert!(matches!(rows(&[BOOK]), Err(Unread::Refused(Refusal::NoSheet))));
        assert!(matches!(rows(&[BOOK, RELATIONS]), Err(Unread::Refused(Refusal::BadWorkbook))));
        let cut = ("worksheets/sheet1.xml", "<worksheet><sheetData><row><c><v>1</v></c></row>");
        assert!(matches!(rows(&[BOOK, RELATIONS, cut]), Err(Unread::Refused(Refusal::BadWorkbook))));
    }
}
