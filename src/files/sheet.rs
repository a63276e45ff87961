//! io: Reading a sheet of a workbook row by row. Only a process that was made for it does this:
//! see [`workbook`](super::workbook).
//!
//! An .xlsx is read by [`xlsx`](super::xlsx); an .xls is held in memory as a whole.

use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Data, Reader, Sheet, SheetType, SheetVisible, Xls};

use super::domain::{Format, Record};
use super::number_format::{general, instant};
use super::refusal::Refusal;
use super::table::{EachRow, LONGEST_ROW, Named, Unread};
use super::xlsx::{MOST_SHEETS, xlsx_rows};

/// What the parts of an .xlsx may unpack to. More is no table of contacts, but a trap.
const MOST_UNPACKED: u64 = 4 << 30;
/// The same for parts that are no sheets: they are held in memory.
const MOST_UNPACKED_BESIDES: u64 = 512 << 20;
pub const TOO_LARGE: Refusal = Refusal::WorkbookTooLarge { most_mib: MOST_UNPACKED >> 20 };

/// Parts that tell what an archive is, when it is no workbook of ours.
pub const OTHERS: [(&str, &str); 6] = [
    ("xl/workbook.bin", "an Excel binary workbook (.xlsb)"),
    ("word/document.xml", "a Word document"),
    ("ppt/presentation.xml", "a PowerPoint presentation"),
    ("META-INF/manifest.xml", "an OpenDocument file"),
    ("Index/Document.iwa", "an Apple Numbers or Pages document"),
    ("", "a ZIP archive"),
];

/// Looks at the names and sizes inside an archive: whether it is a workbook that can be read.
fn look_into(archive: impl Read + Seek) -> Result<(), Refusal> {
    let mut zip = zip::ZipArchive::new(archive).map_err(|_| Refusal::BadWorkbook)?;
    let (mut unpacked, mut besides, mut is_workbook) = (0_u64, 0_u64, false);
    let (_, mut what) = OTHERS[OTHERS.len() - 1];
    for i in 0..zip.len() {
        let part = zip.by_index_raw(i).map_err(|_| Refusal::BadWorkbook)?;
        let name = part.name().unwrap_or_default();
        unpacked = unpacked.saturating_add(part.size());
        // Whoever reads it later does not look at capitals either.
        if !name.to_ascii_lowercase().starts_with("xl/worksheets/") {
            besides = besides.saturating_add(part.size());
        }
        is_workbook |= name.eq_ignore_ascii_case("xl/workbook.xml");
        if let Some((_, other)) = OTHERS.iter().find(|(part, _)| *part == name && !part.is_empty()) {
            what = other;
        }
    }
    match is_workbook {
        false => Err(Refusal::AnotherKind { what }),
        true if unpacked > MOST_UNPACKED || besides > MOST_UNPACKED_BESIDES => Err(TOO_LARGE),
        true => Ok(()),
    }
}

/// Reads the rows of a sheet until the end or until `each` breaks. `size`: of the file, for telling how far
/// the reading has come; `sheet`: which of those that can be seen, counted from 0.
pub fn sheet_rows(
    mut from: impl Read + Seek,
    format: Format,
    size: u64,
    sheet: usize,
    named: &mut Named<'_>,
    each: &mut EachRow<'_>,
) -> Result<(), Unread> {
    // One that trips the parser is a bad workbook.
    catch_unwind(AssertUnwindSafe(|| match format {
        Format::Xlsx => {
            look_into(&mut from)?;
            from.seek(SeekFrom::Start(0))?;
            xlsx_rows(from, size, sheet, named, each)
        }
        Format::Xls => xls_rows(from, size, sheet, named, each),
        Format::Csv => Err(Refusal::BadWorkbook.into()),
    }))
    .unwrap_or(Err(Unread::Refused(Refusal::BadWorkbook)))
}

fn xls_rows(
    file: impl Read + Seek,
    size: u64,
    sheet: usize,
    named: &mut Named<'_>,
    each: &mut EachRow<'_>,
) -> Result<(), Unread> {
    let mut workbook = Xls::new(file).map_err(|_| Refusal::BadWorkbook)?;
    let is_shown = |it: &&Sheet| it.typ == SheetType::WorkSheet && it.visible == SheetVisible::Visible;
    let shown = workbook.sheets_metadata().iter().filter(is_shown).take(MOST_SHEETS);
    let names: Vec<String> = shown.map(|it| it.name.clone()).collect();
    named(&names);
    let sheet = names.get(sheet).ok_or(Refusal::NoSheet)?;
    let range = workbook.worksheet_range(sheet).map_err(|_| Refusal::BadWorkbook)?;
    let Some((top, left)) = range.start() else { return Ok(()) };
    let n_rows = range.height() as u64;

    let mut record = Record::default();
    let mut text = String::new();
    for (i, row) in range.rows().enumerate() {
        record.clear();
        (0..left).for_each(|_| record.push(""));
        for cell in row {
            text.clear();
            write_cell(cell, &mut text);
            if record.text.len() + text.len() > LONGEST_ROW {
                return Err(Refusal::HugeRow.into());
            }
            record.push(&text);
        }
        let done = i as u64 + 1;
        if !record.is_blank() && each(u64::from(top) + done, &record, size * done / n_rows).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// A cell as text that means the same to everybody: whole numbers without ".0"
/// or exponent, so that phone numbers survive, and dates as ISO 8601.
fn write_cell(cell: &Data, text: &mut String) {
    match cell {
        Data::Empty => {}
        Data::String(value) | Data::DateTimeIso(value) | Data::DurationIso(value) => text.push_str(value),
        Data::Int(value) => text.push_str(&value.to_string()),
        Data::Float(value) => text.push_str(&general(*value)),
        Data::Bool(value) => text.push_str(if *value { "TRUE" } else { "FALSE" }),
        Data::DateTime(value) => text.push_str(&instant(value)),
        Data::Error(error) => text.push_str(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{ExcelDateTime, ExcelDateTimeType};

    #[test]
    fn cells_read_as_people_see_them() {
        let text = |cell: Data| {
            let mut text = String::new();
            write_cell(&cell, &mut text);
            text
        };
        let at = |days, kind| text(Data::DateTime(ExcelDateTime::new(days, kind, false)));
        assert_eq!(text(Data::Float(353_861_234_567.0)), "353861234567");
        assert_eq!(text(Data::Float(3.538_612_345_67e11)), "353861234567");
        assert_eq!(text(Data::Float(12.5)), "12.5");
        assert_eq!(text(Data::Bool(true)), "TRUE");
        assert_eq!(at(45_943.0, ExcelDateTimeType::DateTime), "2025-10-13");
        assert_eq!(at(45_943.375, ExcelDateTimeType::DateTime), "2025-10-13 09:00");
        assert_eq!(at(0.75, ExcelDateTimeType::DateTime), "18:00");
        assert_eq!(at(1.5, ExcelDateTimeType::TimeDelta), "36:00:00");
        assert_eq!(text(Data::Error(calamine::CellErrorType::NA)), "#N/A");
    }
}
