//! io: What a file is, from its content: its name is not believed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use super::domain::{
    FileEncoding, Format, Mapping, ReadingChoice, Record, TableHead, header_among, named_columns, plain, read_headers,
};
use super::refusal::Refusal;
use super::table::{DELIMITERS, Unread, csv_rows, first_line_tells, until};
use super::workbook::{Patience, workbook_rows};

/// Workbooks are unpacked, so they may be less large than a CSV.
const LARGEST_WORKBOOK: u64 = 128 << 20;
const N_SAMPLE_ROWS: usize = 5;
/// Rows that tell which delimiter is meant, where the header row is, and in which columns nothing stands.
const N_TELLING_ROWS: usize = 50;
/// The same in bytes, when they are long.
const TELLING_BYTES: usize = 32 << 20;
/// Enough for a page to show.
const SAMPLE_VALUE: usize = 100;
/// Text that is not UTF-8 is looked at for its encoding where it is not ASCII, up to so many bytes.
const TELLING_TEXT: usize = 4 << 20;
/// Rows in the longest sheet there is.
const MOST_HIDDEN: usize = 1 << 20;
/// So long somebody waits at most for the hidden rows of a workbook to be counted.
const COUNTING: Duration = Duration::from_secs(10);
/// Sheets of a workbook among which the one with the contacts is looked for.
const MOST_LOOKED_AT: usize = 20;

/// Follows bytes as they come in and tells whether they are UTF-8.
#[derive(Debug, Default)]
pub struct Utf8Check {
    /// The beginning of a character that the next piece has to end.
    rest: Vec<u8>,
    /// Characters of several bytes.
    n_chars: u64,
    /// Places where a byte cannot stand.
    n_broken: u64,
}

impl Utf8Check {
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !self.rest.is_empty()
            && let Some((byte, after)) = bytes.split_first()
        {
            self.rest.push(*byte);
            match std::str::from_utf8(&self.rest) {
                Ok(_) => {
                    self.n_chars += 1;
                    self.rest.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    // The byte may begin another character.
                    self.n_broken += 1;
                    self.rest.clear();
                    break;
                }
            }
            bytes = after;
        }
        let n_all = bytes.len();
        let mut n_seen = 0;
        for chunk in bytes.utf8_chunks() {
            self.n_chars += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count() as u64;
            n_seen += chunk.valid().len() + chunk.invalid().len();
            let is_cut =
                n_seen == n_all && std::str::from_utf8(chunk.invalid()).is_err_and(|it| it.error_len().is_none());
            if is_cut {
                self.rest.extend_from_slice(chunk.invalid());
            } else {
                self.n_broken += u64::from(!chunk.invalid().is_empty());
            }
        }
    }

    /// Whether all that came in was UTF-8.
    pub fn passed(&self) -> bool {
        self.n_broken == 0 && self.rest.is_empty()
    }

    /// Whether it was meant to be: hardly any other text holds so much that happens to be UTF-8. What is
    /// broken in it is a problem of its rows.
    pub fn is_meant(&self) -> bool {
        self.passed() || self.n_chars > self.n_broken + u64::from(!self.rest.is_empty())
    }
}

/// Reads the head of a complete upload. `is_utf8`: what [`Utf8Check`] said of all of it.
pub fn read_head(mut file: &File, size: u64, is_utf8: bool, choice: ReadingChoice) -> Result<TableHead, Unread> {
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
            let is_8_bit =
                |it: &FileEncoding| !matches!(it, FileEncoding::Utf8 | FileEncoding::Utf16Le | FileEncoding::Utf16Be);
            let found = match encoding(&start, is_utf8)?.or(choice.likely.filter(is_8_bit)) {
                Some(found) => found,
                None => guess_encoding(file)?,
            };
            read_csv_head(file, choice.encoding.unwrap_or(found), choice)
        }
        Format::Xls | Format::Xlsx if size > LARGEST_WORKBOOK => {
            Err(Refusal::WorkbookTooLarge { most_mib: LARGEST_WORKBOOK >> 20 }.into())
        }
        Format::Xls | Format::Xlsx => read_workbook_head(file, format, size, choice),
    }
}

/// The head of the sheet that is chosen, or else of the first in which phone numbers certainly stand, or else of
/// the first that is a table.
fn read_workbook_head(file: &File, format: Format, size: u64, choice: ReadingChoice) -> Result<TableHead, Unread> {
    let began = Instant::now();
    let wanted = choice.sheet.unwrap_or(0);
    let (names, mut best) = read_sheet_head(file, format, size, wanted, choice);
    let is_certain = |head: &TableHead| Mapping::guess(&head.headers, &head.sample).is_certain(head);
    if choice.sheet.is_some_and(|sheet| sheet < names.len()) || best.as_ref().is_ok_and(is_certain) {
        return best;
    }
    for sheet in (0..names.len().min(MOST_LOOKED_AT)).filter(|sheet| *sheet != wanted) {
        if began.elapsed() > COUNTING || matches!(best, Err(Unread::Broken(_))) {
            break;
        }
        match read_sheet_head(file, format, size, sheet, choice).1 {
            Ok(head) if is_certain(&head) => return Ok(head),
            Ok(head) if best.is_err() => best = Ok(head),
            Ok(_) | Err(_) => {}
        }
    }
    best
}

/// The names of all sheets, as far as they could be read, and the head of one.
fn read_sheet_head(
    file: &File,
    format: Format,
    size: u64,
    sheet: usize,
    choice: ReadingChoice,
) -> (Vec<String>, Result<TableHead, Unread>) {
    let mut sheets = Vec::new();
    let mut first = FirstRows { choice, counts_hidden: true, ..FirstRows::default() };
    let mut named = |names: &[String]| sheets = names.to_vec();
    let mut add = |line, row: &Record, _| first.add(line, row);
    let read = workbook_rows(file, format, size, sheet, Patience::UPLOAD, &mut named, &mut add);
    let head = match read {
        // What is wrong behind the head is told when it is imported.
        Err(error) if first.rows.len() <= N_SAMPLE_ROWS || matches!(error, Unread::Broken(_)) => Err(error),
        Ok(()) | Err(_) => first.head(format, None, None, Refusal::NoSheet).map_err(Unread::from),
    };
    let head = head.map(|head| TableHead { sheets: sheets.clone(), sheet, ..head });
    (sheets, head)
}

/// The encoding of text as far as it is certain, or what it is instead of text.
fn encoding(start: &[u8], is_utf8: bool) -> Result<Option<FileEncoding>, Refusal> {
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
        Some(FileEncoding::Utf16Le)
    } else if start.starts_with(b"\xfe\xff") {
        Some(FileEncoding::Utf16Be)
    } else if let Some(encoding) = utf16_without_mark(start) {
        Some(encoding)
    } else {
        (is_utf8 || start.starts_with(b"\xef\xbb\xbf")).then_some(FileEncoding::Utf8)
    };
    let is_8_bit = !matches!(encoding, Some(FileEncoding::Utf16Le | FileEncoding::Utf16Be));
    let is_control = |byte: &u8| *byte < 0x20 && !b"\t\n\x0b\x0c\r\x1a".contains(byte);
    let n_controls = start.iter().filter(|byte| is_control(byte)).count();
    // A stray control character makes a bad row; many are something that is not text.
    if is_8_bit && n_controls >= 8 && n_controls * 50 > start.len() {
        return Err(Refusal::Binary);
    }
    Ok(encoding)
}

/// The likeliest encoding of text in which characters have a byte or two.
fn guess_encoding(mut file: &File) -> Result<FileEncoding, Unread> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let (mut piece, mut n_fed) = (vec![0; 16 << 10], 0);
    file.seek(SeekFrom::Start(0))?;
    while n_fed < TELLING_TEXT {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        if !piece[..n].is_ascii() {
            detector.feed(&piece[..n], false);
            n_fed += n;
        }
    }
    detector.feed(b"", true);
    let word = detector.guess(None, Utf8Detection::Deny).name().to_ascii_lowercase();
    // The larger set has the smaller in it.
    let word = if word == "gbk" { "gb18030" } else { &word };
    Ok(FileEncoding::of_word(word).unwrap_or(FileEncoding::Windows1252))
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
pub fn read_csv_head(
    mut file: impl Read + Seek,
    encoding: FileEncoding,
    choice: ReadingChoice,
) -> Result<TableHead, Unread> {
    file.seek(SeekFrom::Start(0))?;
    let told = match first_line_tells(&mut file, encoding) {
        Err(broken @ Unread::Broken(_)) => return Err(broken),
        told => told.ok().flatten(),
    };
    let mut best: Option<(bool, usize, usize, u8)> = None;
    for delimiter in DELIMITERS.into_iter().filter(|_| told.is_none()) {
        file.seek(SeekFrom::Start(0))?;
        let mut first = FirstRows { choice, ..FirstRows::default() };
        match csv_rows(&mut file, encoding, delimiter, &mut |line, row, _| first.add(line, row)) {
            Ok(()) | Err(Unread::Refused(_)) => {}
            Err(broken @ Unread::Broken(_)) => return Err(broken),
        }
        let rows = first.rows.get(first.header()..).unwrap_or_default();
        let Some(width) = rows.first().map(Record::len) else { continue };
        let n_alike = rows.iter().filter(|row| row.len() == width).count();
        // A delimiter that splits the header is better than one that does not;
        // then the one that splits most rows alike, then the one that splits more.
        let score = (width > 1, n_alike, width, delimiter);
        if best.is_none_or(|best| (score.0, score.1, score.2) > (best.0, best.1, best.2)) {
            best = Some(score);
        }
    }
    let delimiter = told.or(best.map(|best| best.3)).unwrap_or(b',');

    file.seek(SeekFrom::Start(0))?;
    let mut first = FirstRows { choice, ..FirstRows::default() };
    csv_rows(&mut file, encoding, delimiter, &mut |line, row, _| first.add(line, row))?;
    Ok(first.head(Format::Csv, Some(encoding), Some(delimiter), Refusal::Empty)?)
}

/// The first rows of a table that people see, and how many they do not.
#[derive(Default)]
struct FirstRows {
    choice: ReadingChoice,
    /// All rows are gone through, for the hidden ones among them.
    counts_hidden: bool,
    rows: Vec<Record>,
    /// Their numbers.
    lines: Vec<u64>,
    n_bytes: usize,
    /// Numbers of rows that are hidden.
    hidden: Vec<u64>,
    enough_since: Option<Instant>,
}

impl FirstRows {
    fn is_enough(&self) -> bool {
        self.rows.len() >= N_TELLING_ROWS || self.n_bytes >= TELLING_BYTES
    }

    fn add(&mut self, line: u64, row: &Record) -> ControlFlow<()> {
        if self.choice.header_row.is_some_and(|from| (line as i64) < from) {
            return ControlFlow::Continue(());
        }
        // Somebody may want a hidden one to name the columns.
        let is_chosen = self.choice.header_row.is_some() && self.rows.is_empty();
        // Whoever reads a workbook may say so without end.
        if row.hidden && !is_chosen && self.hidden.len() < MOST_HIDDEN {
            self.hidden.push(line);
        }
        if !self.is_enough() && (!row.hidden || self.choice.takes_hidden || is_chosen) {
            self.rows.push(row.clone());
            self.lines.push(line);
            self.n_bytes += row.text.len();
        }
        let waited = || self.enough_since.is_some_and(|since| since.elapsed() > COUNTING);
        let is_done = self.is_enough() && (!self.counts_hidden || (line.is_multiple_of(1024) && waited()));
        if self.is_enough() && self.enough_since.is_none() {
            self.enough_since = Some(Instant::now());
        }
        until(is_done)
    }

    /// Which of the rows names the columns.
    fn header(&self) -> usize {
        if self.choice.header_row.is_some() { 0 } else { header_among(&self.rows) }
    }

    /// `nothing`: why there is no row at all.
    fn head(
        &self,
        format: Format,
        encoding: Option<FileEncoding>,
        delimiter: Option<u8>,
        nothing: Refusal,
    ) -> Result<TableHead, Refusal> {
        let at = self.header();
        let (Some(header), Some(&line)) = (self.rows.get(at), self.lines.get(at)) else {
            return Err(if self.hidden.is_empty() { nothing } else { Refusal::AllHidden });
        };
        let below = self.rows.get(at + 1..).unwrap_or_default();
        let headers = read_headers(header, below)?;
        let n_hidden = self.hidden.iter().filter(|hidden| **hidden > line).count() as i64;
        if below.is_empty() && n_hidden == 0 {
            return Err(Refusal::HeaderOnly);
        }
        let columns = named_columns(header);
        let cut = |value: &str| {
            plain(value).chars().take(SAMPLE_VALUE).map(|c| if c == '\0' { ' ' } else { c }).collect::<String>()
        };
        let sample = below.iter().take(N_SAMPLE_ROWS);
        let sample = sample.map(|row| columns.iter().map(|&column| cut(row.get(column))).collect()).collect();
        let takes_hidden = self.choice.takes_hidden;
        let (sheets, sheet, header_row) = (Vec::new(), 0, line as i64);
        Ok(TableHead {
            format,
            encoding,
            delimiter,
            sheets,
            sheet,
            header_row,
            n_hidden,
            takes_hidden,
            headers,
            sample,
        })
    }
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
        let mut whole = Utf8Check::default();
        whole.add(bytes);
        assert_eq!(
            (whole.n_chars, whole.n_broken, &whole.rest),
            (check.n_chars, check.n_broken, &check.rest),
            "in one piece"
        );
        match read_head(&file, bytes.len() as u64, check.is_meant(), ReadingChoice::default()) {
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
    fn text_that_is_not_utf8_is_read_as_what_it_is_likeliest() {
        let in_8_bit = |encoding: FileEncoding, text: &str| {
            let encoding = encoding_rs::Encoding::for_label(encoding.word().as_bytes()).unwrap();
            encoding.encode(text).0.into_owned()
        };
        for (encoding, text) in [
            (FileEncoding::Windows1250, "telefon;imię\n512345678;Łukasz Śliwa\n512345679;Małgorzata Święcicka\n"),
            (FileEncoding::Windows1251, "phone;name\n1;Анна Иванова\n2;Пётр Смирнов\n3;Сергей Кузнецов\n"),
            (FileEncoding::Windows1252, "phone;name\n1;Zoë\n2;Siobhán Ó Murchú\n3;Jürgen Müller\n"),
            (FileEncoding::ShiftJis, "phone,name\n1,佐藤太郎さん\n2,鈴木花子さん\n3,カタカナ\n"),
            (FileEncoding::EucKr, "phone,name\n1,김민준 고객님\n2,이서연 고객님\n"),
        ] {
            assert_eq!(told(&in_8_bit(encoding, text)).0, encoding, "{text}");
        }
    }

    #[test]
    fn a_few_bytes_that_are_none_do_not_make_other_text_of_utf8() {
        let text = b"phone,name\n1,Zo\xc3\xab\n2,Siobh\xc3\xa1n\n3,J\xfcrgen\n4,\xc5\x81ukasz\n";
        let head = head(text).unwrap();
        assert_eq!(head.encoding, Some(FileEncoding::Utf8));
        assert_eq!(head.sample.concat(), ["1", "Zoë", "2", "Siobhán", "3", "J\u{fffd}rgen", "4", "Łukasz"]);
        assert_eq!(told(b"phone,name\n1,Zo\xeb\n2,J\xfcrgen\n3,Ren\xe9\n").0, FileEncoding::Windows1252);
    }

    #[test]
    fn who_knows_better_how_a_file_is_read_is_believed() {
        let read = |text: &[u8], choice| read_csv_head(Cursor::new(text), choice_of(choice), choice).unwrap();
        let choice = ReadingChoice { encoding: Some(FileEncoding::Windows1250), ..ReadingChoice::default() };
        assert_eq!(read(b"phone,name\n1,\xa3ukasz\n", choice).sample, [["1", "Łukasz"]]);
        let choice = ReadingChoice { header_row: Some(2), ..ReadingChoice::default() };
        let below = read(b"a,b\n\nphone,name\n1,x\n", choice);
        assert_eq!(
            (below.header_row, below.headers, below.sample),
            (3, vec!["phone".into(), "name".into()], vec![vec!["1".to_owned(), "x".to_owned()]])
        );
    }

    fn choice_of(choice: ReadingChoice) -> FileEncoding {
        choice.encoding.unwrap_or(FileEncoding::Utf8)
    }

    #[test]
    fn a_title_above_the_header_changes_neither_delimiter_nor_columns() {
        let head = head(b"Customers, as of May\nphone;name\n1;Anna, Cork\n2;Ben\n").unwrap();
        assert_eq!((head.delimiter, head.header_row, head.headers.concat()), (Some(b';'), 2, "phonename".to_owned()));
        assert_eq!(head.sample, [["1", "Anna, Cork"], ["2", "Ben"]]);
    }

    #[test]
    fn a_separator_that_is_told_is_taken() {
        assert_eq!(told(b"sep=;\nphone;a,b,c,d\n1;1,2,3,4\n"), (FileEncoding::Utf8, ';', "phone|a,b,c,d".to_owned()));
        assert_eq!(head(b"sep=,\nphone,name\n1,x\n").unwrap().header_row, 1);
    }

    #[test]
    fn rows_that_nobody_sees_are_counted_and_not_shown() {
        let rows = |choice| {
            let mut first = FirstRows { choice, counts_hidden: true, ..FirstRows::default() };
            for (line, hidden, fields) in [
                (1, true, ["technical", "names"]),
                (2, false, ["phone", "name"]),
                (3, true, ["1", "Anna"]),
                (4, false, ["2", "Ben"]),
                (5, true, ["3", "Cid"]),
            ] {
                let mut row = Record { hidden, ..Record::default() };
                fields.iter().for_each(|field| row.push(field));
                assert!(first.add(line, &row).is_continue());
            }
            let head = first.head(Format::Xlsx, None, None, Refusal::NoSheet).unwrap();
            (
                head.header_row,
                head.n_hidden,
                head.headers.concat(),
                head.sample.iter().map(|row| row[1].clone()).collect::<Vec<_>>().concat(),
            )
        };
        let nothing = ReadingChoice::default();
        assert_eq!(rows(nothing), (2, 2, "phonename".to_owned(), "Ben".to_owned()));
        assert_eq!(
            rows(ReadingChoice { takes_hidden: true, header_row: Some(2), ..nothing }),
            (2, 2, "phonename".to_owned(), "AnnaBenCid".to_owned())
        );
        assert_eq!(
            rows(ReadingChoice { header_row: Some(1), ..nothing }),
            (1, 2, "technicalnames".to_owned(), "nameBen".to_owned())
        );
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
                "[a-c,;|=\"\t\r\n\u{0}é\u{feff} ]{0,300}".prop_map(String::into_bytes),
            ],
            encoding in proptest::sample::select(&FileEncoding::ALL[..]),
            header_row in proptest::option::of(0_i64..6),
        ) {
            match read_csv_head(Cursor::new(&bytes), encoding, ReadingChoice { header_row, ..ReadingChoice::default() }) {
                Ok(head) => {
                    prop_assert!(!head.headers.is_empty() && head.sample.len() <= N_SAMPLE_ROWS);
                    prop_assert!(head.sample.iter().all(|row| row.len() == head.headers.len()));
                }
                Err(Unread::Refused(_)) => {}
                Err(Unread::Broken(error)) => return Err(TestCaseError::fail(error.to_string())),
            }
            if !bytes.starts_with(b"PK") && !bytes.starts_with(b"\xd0\xcf") {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&bytes).unwrap();
                let is_utf8 = std::str::from_utf8(&bytes).is_ok();
                let read = read_head(&file, bytes.len() as u64, is_utf8, ReadingChoice::default());
                prop_assert!(!matches!(read, Err(Unread::Broken(_))));
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
