//! io: What a file is, from its content: its name is not believed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::domain::{FileEncoding, Format, Record, TableHead, read_headers};
use super::refusal::Refusal;
use super::table::{EachRow, Unread, csv_rows, until};
use super::workbook::{Patience, workbook_rows};

/// Workbooks are unpacked, so they may be less large than a CSV.
const LARGEST_WORKBOOK: u64 = 128 << 20;
const N_SAMPLE_ROWS: usize = 5;
/// Rows that tell which delimiter is meant.
const N_TELLING_ROWS: usize = 50;
/// Enough for a page to show.
const SAMPLE_VALUE: usize = 100;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Follows bytes as they come in and tells whether they can be UTF-8.
#[derive(Debug, Default)]
pub struct Utf8Check {
    /// The beginning of a character that the next piece has to end.
    rest: Vec<u8>,
    broken: bool,
}

impl Utf8Check {
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !self.broken && !self.rest.is_empty() && !bytes.is_empty() {
            self.rest.push(bytes[0]);
            bytes = &bytes[1..];
            match std::str::from_utf8(&self.rest) {
                Ok(_) => self.rest.clear(),
                Err(error) => self.broken = error.error_len().is_some(),
            }
        }
        if self.broken {
            return;
        }
        if let Err(error) = std::str::from_utf8(bytes) {
            self.broken = error.error_len().is_some();
            self.rest.extend_from_slice(
                &bytes[error.valid_up_to()..][..if self.broken { 0 } else { bytes.len() - error.valid_up_to() }],
            );
        }
    }

    /// Whether all that came in was UTF-8.
    pub fn passed(&self) -> bool {
        !self.broken && self.rest.is_empty()
    }
}

/// Reads the head of a complete upload. `is_utf8`: what [`Utf8Check`] said of all of it.
pub fn read_head(mut file: &File, size: u64, is_utf8: bool) -> Result<TableHead, Unread> {
    let mut start = Vec::with_capacity(64 << 10);
    file.seek(SeekFrom::Start(0))?;
    file.take(64 << 10).read_to_end(&mut start)?;

    if start.iter().all(u8::is_ascii_whitespace) && size <= start.len() as u64 {
        return Err(Refusal::Empty.into());
    }
    let format = if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        Format::Xlsx
    } else if start.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        Format::Xls
    } else {
        Format::Csv
    };
    match format {
        Format::Csv => {
            let encoding = encoding(&start, is_utf8)?;
            read_csv_head(file, encoding)
        }
        Format::Xls | Format::Xlsx if size > LARGEST_WORKBOOK => {
            Err(Refusal::WorkbookTooLarge { most_mib: LARGEST_WORKBOOK >> 20 }.into())
        }
        Format::Xls | Format::Xlsx => {
            let (headers, sample) =
                first_rows(|each| workbook_rows(file, format, size, Patience::UPLOAD, each), Refusal::NoSheet)?;
            Ok(TableHead { format, encoding: None, delimiter: None, headers, sample })
        }
    }
}

/// The encoding of text, or what it is instead of text.
fn encoding(start: &[u8], is_utf8: bool) -> Result<FileEncoding, Refusal> {
    const OTHERS: [(&[u8], &str); 9] = [
        (b"%PDF", "a PDF"),
        (b"{\\rtf", "a rich text document"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"\x1f\x8b", "a compressed file (.gz)"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!", "a RAR archive"),
        (b"SQLite format 3\0", "a database file"),
    ];
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(Refusal::AnotherKind { what });
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()));
    if begins("<!doctype html") || begins("<html") || begins("<table") || begins("<head") {
        return Err(Refusal::AnotherKind { what: "a web page" });
    }
    if begins("<?xml") {
        return Err(Refusal::AnotherKind { what: "an XML file" });
    }
    if begins("{") || begins("[{") {
        return Err(Refusal::AnotherKind { what: "a JSON file" });
    }

    let encoding = if start.starts_with(b"\xff\xfe") {
        FileEncoding::Utf16Le
    } else if start.starts_with(b"\xfe\xff") {
        FileEncoding::Utf16Be
    } else if let Some(encoding) = utf16_without_mark(start) {
        encoding
    } else if is_utf8 || start.starts_with(b"\xef\xbb\xbf") {
        FileEncoding::Utf8
    } else {
        FileEncoding::Windows1252
    };
    let is_8_bit = matches!(encoding, FileEncoding::Utf8 | FileEncoding::Windows1252);
    let is_control = |byte: &u8| *byte < 0x20 && !b"\t\n\x0b\x0c\r\x1a".contains(byte);
    let n_controls = start.iter().filter(|byte| is_control(byte)).count();
    // A stray control character makes a bad row; many are something that is not text.
    if is_8_bit && n_controls >= 8 && n_controls * 50 > start.len() {
        return Err(Refusal::Binary);
    }
    Ok(encoding)
}

/// Latin text in UTF-16 has a zero in nearly every second byte.
fn utf16_without_mark(start: &[u8]) -> Option<FileEncoding> {
    let pairs = start.len() / 2;
    if pairs < 4 {
        return None;
    }
    let zeros = |offset: usize| start.chunks_exact(2).filter(|pair| pair[offset] == 0).count();
    let (high_first, low_first) = (zeros(0), zeros(1));
    if low_first * 10 > pairs * 7 && high_first * 10 < pairs {
        Some(FileEncoding::Utf16Le)
    } else if high_first * 10 > pairs * 7 && low_first * 10 < pairs {
        Some(FileEncoding::Utf16Be)
    } else {
        None
    }
}

/// The head of a CSV in this encoding.
pub fn read_csv_head(mut file: impl Read + Seek, encoding: FileEncoding) -> Result<TableHead, Unread> {
    let mut best: Option<(bool, usize, usize, u8)> = None;
    for delimiter in DELIMITERS {
        file.seek(SeekFrom::Start(0))?;
        let mut widths = Vec::new();
        let read = csv_rows(&mut file, encoding, delimiter, &mut |_, row, _| {
            widths.push(row.len());
            until(widths.len() == N_TELLING_ROWS)
        });
        match read {
            Ok(()) => {}
            Err(Unread::Refused(_)) => {}
            Err(broken @ Unread::Broken(_)) => return Err(broken),
        }
        let Some(&width) = widths.first() else { continue };
        let n_alike = widths.iter().filter(|w| **w == width).count();
        // A delimiter that splits the header is better than one that does not;
        // then the one that splits most rows alike, then the one that splits more.
        let score = (width > 1, n_alike, width, delimiter);
        if best.is_none_or(|best| (score.0, score.1, score.2) > (best.0, best.1, best.2)) {
            best = Some(score);
        }
    }
    let delimiter = best.map_or(b',', |best| best.3);

    let (headers, sample) = first_rows(
        |each| {
            file.seek(SeekFrom::Start(0))?;
            csv_rows(&mut file, encoding, delimiter, each)
        },
        Refusal::Empty,
    )?;
    Ok(TableHead { format: Format::Csv, encoding: Some(encoding), delimiter: Some(delimiter), headers, sample })
}

fn first_rows(
    rows: impl FnOnce(&mut EachRow<'_>) -> Result<(), Unread>,
    nothing: Refusal,
) -> Result<(Vec<String>, Vec<Vec<String>>), Unread> {
    let mut headers = None;
    let mut sample: Vec<Record> = Vec::new();
    rows(&mut |_, row, _| {
        match headers {
            None => headers = Some(read_headers(row)),
            Some(_) => sample.push(row.clone()),
        }
        until(matches!(headers, Some(Err(_))) || sample.len() == N_SAMPLE_ROWS)
    })?;
    let headers = headers.ok_or(nothing)??;
    if sample.is_empty() {
        return Err(Refusal::HeaderOnly.into());
    }
    let cut = |value: &str| value.trim().chars().take(SAMPLE_VALUE).map(|c| if c == '\0' { ' ' } else { c }).collect();
    let sample = sample.iter().map(|row| (0..headers.len()).map(|i| cut(row.get(i))).collect()).collect();
    Ok((headers, sample))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;

    use super::*;

    fn head(bytes: &[u8]) -> Result<TableHead, Refusal> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut check = Utf8Check::default();
        bytes.chunks(7).for_each(|piece| check.add(piece));
        assert_eq!(check.passed(), std::str::from_utf8(bytes).is_ok());
        match read_head(&file, bytes.len() as u64, check.passed()) {
            Ok(head) => Ok(head),
            Err(Unread::Refused(refusal)) => Err(refusal),
            Err(Unread::Broken(error)) => panic!("{error}"),
        }
    }

    fn told(bytes: &[u8]) -> (FileEncoding, char, String) {
        let head = head(bytes).unwrap();
        (head.encoding.unwrap(), head.delimiter.unwrap().into(), head.headers.join("|"))
    }

    #[test]
    fn delimiters_are_told_apart() {
        for delimiter in [',', ';', '\t', '|'] {
            let text = "phone,name\n0861234567,Anna\n0861234568,Ben\n".replace(',', &delimiter.to_string());
            assert_eq!(told(text.as_bytes()), (FileEncoding::Utf8, delimiter, "phone|name".to_owned()));
        }
        // The wrong one occurs as well.
        assert_eq!(told(b"phone;amount, EUR;name\n1;1,50;a\n2;2,75;b\n").1, ';');
        assert_eq!(told(b"phone,note\n1,a;b;c\n2,\"x,y\"\n").1, ',');
        assert_eq!(told(b"phone\n0861234567\n").1, ',', "one column needs none");
    }

    #[test]
    fn encodings_are_told_apart() {
        let utf16 = |bom: &[u8], units: fn(u16) -> [u8; 2]| {
            [bom, &"phone,n\u{e4}me\n0861234567,Zo\u{eb}\n".encode_utf16().flat_map(units).collect::<Vec<_>>()].concat()
        };
        let name = "phone|näme".to_owned();
        assert_eq!(told("phone,näme\n1,Zoë\n".as_bytes()), (FileEncoding::Utf8, ',', name.clone()));
        assert_eq!(told("\u{feff}phone,näme\n1,Zoë\n".as_bytes()), (FileEncoding::Utf8, ',', name.clone()));
        assert_eq!(told(b"phone,n\xe4me\n1,Zo\xeb\n"), (FileEncoding::Windows1252, ',', name.clone()));
        assert_eq!(told(&utf16(b"\xff\xfe", u16::to_le_bytes)), (FileEncoding::Utf16Le, ',', name.clone()));
        assert_eq!(told(&utf16(b"", u16::to_le_bytes)), (FileEncoding::Utf16Le, ',', name.clone()));
        assert_eq!(told(&utf16(b"\xfe\xff", u16::to_be_bytes)), (FileEncoding::Utf16Be, ',', name.clone()));
        assert_eq!(told(&utf16(b"", u16::to_be_bytes)), (FileEncoding::Utf16Be, ',', name));
    }

    #[test]
    fn the_only_accent_may_stand_at_the_end_of_the_file() {
        let mut bytes = b"phone,name\n".to_vec();
        bytes.extend(b"0861234567,Anna\n".repeat(10_000));
        bytes.extend(b"0861234567,Zo\xeb\n");
        assert_eq!(told(&bytes).0, FileEncoding::Windows1252);
    }

    #[test]
    fn the_first_rows_are_shown_as_wide_as_the_header() {
        let head = head(b"phone,name,,\n1,a\n2,b,c,d\n3\n4,x\n5,x\n6,x\n").unwrap();
        assert_eq!(head.headers, ["phone", "name"]);
        assert_eq!(head.sample, [["1", "a"], ["2", "b"], ["3", ""], ["4", "x"], ["5", "x"]]);
    }

    proptest! {
        /// Nothing that is sent breaks the reading; what comes of it fits a page.
        #[test]
        fn any_bytes_are_a_head_or_refused(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                "[a-c,;|\"\t\r\n\u{0}é\u{feff} ]{0,300}".prop_map(String::into_bytes),
            ],
        ) {
            for encoding in FileEncoding::ALL {
                match read_csv_head(Cursor::new(&bytes), encoding) {
                    Ok(head) => {
                        prop_assert!(!head.headers.is_empty() && head.sample.len() <= N_SAMPLE_ROWS);
                        prop_assert!(head.sample.iter().all(|row| row.len() == head.headers.len()));
                    }
                    Err(Unread::Refused(_)) => {}
                    Err(Unread::Broken(error)) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            if !bytes.starts_with(b"PK") && !bytes.starts_with(b"\xd0\xcf") {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&bytes).unwrap();
                let is_utf8 = std::str::from_utf8(&bytes).is_ok();
                prop_assert!(!matches!(read_head(&file, bytes.len() as u64, is_utf8), Err(Unread::Broken(_))));
            }
        }
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_name() {
        let what = |bytes: &[u8]| head(bytes).unwrap_err();
        assert_eq!(what(b""), Refusal::Empty);
        assert_eq!(what(b"\n \r\n"), Refusal::Empty);
        assert_eq!(what(b"phone,name\n"), Refusal::HeaderOnly);
        assert_eq!(what(b"phone,name\n,\n\n"), Refusal::HeaderOnly);
        assert_eq!(what(b"%PDF-1.7\n%\xe2\xe3"), Refusal::AnotherKind { what: "a PDF" });
        assert_eq!(what(b"<html><table>"), Refusal::AnotherKind { what: "a web page" });
        assert_eq!(what(b"[{\"phone\": 1}]"), Refusal::AnotherKind { what: "a JSON file" });
        assert_eq!(what(&(0..=255).collect::<Vec<u8>>().repeat(20)), Refusal::Binary);
        assert_eq!(what(b"phone,phone\n1,2\n"), Refusal::RepeatedColumns { names: vec!["phone".to_owned()] });
    }
}
