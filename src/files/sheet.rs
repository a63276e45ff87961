//! io: Reading the first sheet of a workbook row by row. Only a process that was made for it does this:
//! see [`workbook`](super::workbook).
//!
//! Cells of an .xlsx are streamed; its texts, which the format keeps in one
//! list beside the cells, and an .xls as a whole are held in memory.

use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Data, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xls, Xlsx, XlsxError};

use super::domain::{Format, Record};
use super::refusal::Refusal;
use super::table::{EachRow, LONGEST_ROW, Unread};

/// What the parts of an .xlsx may unpack to. More is no table of contacts, but a trap.
const MOST_UNPACKED: u64 = 4 << 30;
/// The same for parts that are no sheets: they are held in memory.
const MOST_UNPACKED_BESIDES: u64 = 512 << 20;
pub const TOO_LARGE: Refusal = Refusal::WorkbookTooLarge { most_mib: MOST_UNPACKED >> 20 };
/// Columns in the widest sheet there is.
pub const MOST_COLUMNS: u32 = 16_384;

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

/// Reads the rows of the first visible sheet until the end or until `each`
/// breaks. `size`: of the file, for telling how far the reading has come.
pub fn sheet_rows(mut from: impl Read + Seek, format: Format, size: u64, each: &mut EachRow<'_>) -> Result<(), Unread> {
    // One that trips the parser is a bad workbook.
    catch_unwind(AssertUnwindSafe(|| match format {
        Format::Xlsx => {
            look_into(&mut from)?;
            from.seek(SeekFrom::Start(0))?;
            xlsx_rows(from, size, each)
        }
        Format::Xls => xls_rows(from, size, each),
        Format::Csv => Err(Refusal::BadWorkbook.into()),
    }))
    .unwrap_or(Err(Unread::Refused(Refusal::BadWorkbook)))
}

fn first_sheet<R: Reader<RS>, RS: Read + Seek>(workbook: &R) -> Result<String, Refusal> {
    workbook
        .sheets_metadata()
        .iter()
        .find(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .ok_or(Refusal::NoSheet)
}

fn xlsx_rows(file: impl Read + Seek, size: u64, each: &mut EachRow<'_>) -> Result<(), Unread> {
    let bad = |_: XlsxError| Refusal::BadWorkbook;
    let mut workbook = Xlsx::new(file).map_err(bad)?;
    let sheet = first_sheet(&workbook)?;
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(bad)?;
    // Not every program writes how many rows there are; then nobody knows how far the reading is.
    let n_rows = Some(u64::from(cells.dimensions().end.0) + 1).filter(|n| *n > 1);

    let mut record = Record::default();
    let mut text = String::new();
    let mut current = None;
    loop {
        let cell = cells.next_cell().map_err(bad)?;
        let row = cell.as_ref().map(|cell| cell.get_position().0);
        if current != row {
            if let Some(done) = current
                && !record.is_blank()
            {
                let done = u64::from(done) + 1;
                let done_bytes = n_rows.map_or(0, |n_rows| size * done.min(n_rows) / n_rows);
                if each(done, &record, done_bytes).is_break() {
                    return Ok(());
                }
            }
            record.clear();
            current = row;
        }
        let Some(cell) = cell else { return Ok(()) };
        let column = cell.get_position().1;
        if column.max(record.len() as u32) >= MOST_COLUMNS {
            return Err(Refusal::BadWorkbook.into());
        }
        while record.len() < column as usize {
            record.push("");
        }
        text.clear();
        write_cell(cell.get_value(), &mut text);
        if record.text.len() + text.len() > LONGEST_ROW {
            return Err(Refusal::HugeRow.into());
        }
        record.push(&text);
    }
}

fn xls_rows(file: impl Read + Seek, size: u64, each: &mut EachRow<'_>) -> Result<(), Unread> {
    let mut workbook = Xls::new(file).map_err(|_| Refusal::BadWorkbook)?;
    let sheet = first_sheet(&workbook)?;
    let range = workbook.worksheet_range(&sheet).map_err(|_| Refusal::BadWorkbook)?;
    let Some((top, left)) = range.start() else { return Ok(()) };
    let n_rows = range.height() as u64;

    let mut record = Record::default();
    let mut text = String::new();
    for (i, row) in range.rows().enumerate() {
        record.clear();
        (0..left).for_each(|_| record.push(""));
        for cell in row {
            text.clear();
            write_cell(&borrowed(cell), &mut text);
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

fn borrowed(cell: &Data) -> DataRef<'_> {
    match cell {
        Data::Empty => DataRef::Empty,
        Data::String(value) => DataRef::SharedString(value),
        Data::DateTimeIso(value) | Data::DurationIso(value) => DataRef::SharedString(value),
        Data::Int(value) => DataRef::Int(*value),
        Data::Float(value) => DataRef::Float(*value),
        Data::Bool(value) => DataRef::Bool(*value),
        Data::DateTime(value) => DataRef::DateTime(*value),
        Data::Error(error) => DataRef::Error(error.clone()),
    }
}

/// A cell as text that means the same to everybody: whole numbers without ".0"
/// or exponent, so that phone numbers survive, and dates as ISO 8601.
fn write_cell(cell: &DataRef<'_>, text: &mut String) {
    match cell {
        DataRef::Empty => {}
        DataRef::String(value) | DataRef::DateTimeIso(value) | DataRef::DurationIso(value) => text.push_str(value),
        DataRef::SharedString(value) => text.push_str(value),
        DataRef::Int(value) => text.push_str(&value.to_string()),
        // Rust writes whole floats without ".0" and never with an exponent.
        DataRef::Float(value) => text.push_str(&value.to_string()),
        DataRef::Bool(value) => text.push_str(if *value { "TRUE" } else { "FALSE" }),
        DataRef::DateTime(value) => text.push_str(&instant(value)),
        DataRef::Error(error) => text.push_str(&error.to_string()),
    }
}

fn instant(value: &ExcelDateTime) -> String {
    let days = value.as_f64();
    let seconds = (days * 86_400.0).round();
    if value.is_duration() {
        let sign = if seconds < 0.0 { "-" } else { "" };
        let seconds = seconds.abs() as u64;
        return format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
    let time = match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    if (0.0..1.0).contains(&days) {
        time
    } else if days.fract() == 0.0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02} {time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType;

    #[test]
    fn cells_read_as_people_see_them() {
        let text = |cell: DataRef<'_>| {
            let mut text = String::new();
            write_cell(&cell, &mut text);
            text
        };
        let at = |days, kind| text(DataRef::DateTime(ExcelDateTime::new(days, kind, false)));
        assert_eq!(text(DataRef::Float(353_861_234_567.0)), "353861234567");
        assert_eq!(text(DataRef::Float(3.538_612_345_67e11)), "353861234567");
        assert_eq!(text(DataRef::Float(12.5)), "12.5");
        assert_eq!(text(DataRef::Bool(true)), "TRUE");
        assert_eq!(at(45_943.0, ExcelDateTimeType::DateTime), "2025-10-13");
        assert_eq!(at(45_943.375, ExcelDateTimeType::DateTime), "2025-10-13 09:00");
        assert_eq!(at(0.75, ExcelDateTimeType::DateTime), "18:00");
        assert_eq!(at(1.5, ExcelDateTimeType::TimeDelta), "36:00:00");
        assert_eq!(text(DataRef::Error(calamine::CellErrorType::NA)), "#N/A");
    }
}
