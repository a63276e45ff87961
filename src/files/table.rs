//! io: Reading a CSV row by row, in memory that does not grow with the file.

use std::io::{self, Read};
use std::ops::ControlFlow;

use csv_core::ReadRecordResult;
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

use super::domain::{FileEncoding, Record};
use super::refusal::Refusal;

/// A row longer than this is a quotation mark that nobody closed.
pub const LONGEST_ROW: usize = 16 << 20;
const MOST_FIELDS: usize = 100_000;

/// What may stand between the values of a CSV.
pub const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Why reading ended before the end.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// Called with the names of the sheets that a workbook shows, before any row.
pub type Named<'a> = dyn FnMut(&[String]) + 'a;

/// Called with each row that is not blank: its number as a spreadsheet shows it
/// (the first row of the file is 1), the row, and how many bytes are read.
pub type EachRow<'a> = dyn FnMut(u64, &Record, u64) -> ControlFlow<()> + 'a;

/// Reads rows until the end or until `each` breaks. A first line `sep=;` is for the program that reads,
/// and no row.
pub fn csv_rows(from: impl Read, encoding: FileEncoding, delimiter: u8, each: &mut EachRow<'_>) -> Result<(), Unread> {
    let mut rows = Rows::new(from, encoding, delimiter);
    let mut record = Record::default();
    while let Some(line) = rows.next(&mut record)? {
        if line == 1 && told_delimiter(&record, delimiter).is_some() {
            // Spreadsheets do not show it and count from the next.
            rows.line = 1;
            continue;
        }
        if !record.is_blank() && each(line, &record, rows.text.n_read).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// The delimiter that a first line `sep=;` tells.
pub fn first_line_tells(from: impl Read, encoding: FileEncoding) -> Result<Option<u8>, Unread> {
    let [any, ..] = DELIMITERS;
    let mut record = Record::default();
    match Rows::new(from, encoding, any).next(&mut record)? {
        Some(1) => Ok(told_delimiter(&record, any)),
        Some(_) | None => Ok(None),
    }
}

/// What a row says that was read with this delimiter, if it is `sep=;` or `"sep=;"`.
fn told_delimiter(row: &Record, delimiter: u8) -> Option<u8> {
    const WORD: usize = "sep=".len();
    let text = row.text.trim_matches(' ');
    let is_word = text.get(..WORD).is_some_and(|word| word.eq_ignore_ascii_case("sep="));
    match (row.len(), text.as_bytes().get(WORD..)?) {
        // The one that is told parts this row as well.
        (2.., []) if is_word => Some(delimiter),
        (1, [told]) if is_word && DELIMITERS.contains(told) => Some(*told),
        _ => None,
    }
}

/// Whether reading a row may go on; for callers that want only the first few.
pub fn until(enough: bool) -> ControlFlow<()> {
    if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

struct Rows<R> {
    text: Decoded<R>,
    core: csv_core::Reader,
    /// Number of the row that comes next.
    line: u64,
    /// The last row ended in a carriage return; a line feed may belong to it.
    after_cr: bool,
    out: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: Read> Rows<R> {
    fn new(from: R, encoding: FileEncoding, delimiter: u8) -> Self {
        Rows {
            text: Decoded::new(from, encoding, delimiter),
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            line: 1,
            after_cr: false,
            out: vec![0; 64 << 10],
            ends: vec![0; 64],
        }
    }

    fn next(&mut self, record: &mut Record) -> Result<Option<u64>, Unread> {
        if !self.skip_empty_lines()? {
            return Ok(None);
        }
        let line = self.line;
        let (mut n_out, mut n_ends, mut n_quotes) = (0, 0, 0);
        let ended_by = loop {
            let input = self.text.fill()?;
            let at_end = input.is_empty();
            let (result, n_in, out, ends) =
                self.core.read_record(input, &mut self.out[n_out..], &mut self.ends[n_ends..]);
            n_out += out;
            n_ends += ends;
            n_quotes += input[..n_in].iter().filter(|&&byte| byte == b'"').count();
            let last = input[..n_in].last().copied();
            self.text.consume(n_in);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.out.len() < LONGEST_ROW => self.out.resize(self.out.len() * 2, 0),
                ReadRecordResult::OutputFull => return Err(Refusal::EndlessRow { line }.into()),
                ReadRecordResult::OutputEndsFull if self.ends.len() < MOST_FIELDS => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => return Err(Refusal::TooManyColumns { n: n_ends }.into()),
                ReadRecordResult::Record if at_end => break None,
                ReadRecordResult::Record => break last,
                ReadRecordResult::End => return Ok(None),
            }
        };
        self.line += 1;
        self.after_cr = ended_by == Some(b'\r');

        let text = std::str::from_utf8(&self.out[..n_out])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if ended_by.is_none() && n_quotes % 2 == 1 && text.contains(['\n', '\r']) {
            return Err(Refusal::OpenQuote { line }.into());
        }
        record.clear();
        record.text.push_str(text);
        record.ends.extend_from_slice(&self.ends[..n_ends]);
        // One very long row must not hold on to its memory for the rest of the file.
        if self.out.len() > 1 << 20 {
            self.out = vec![0; 64 << 10];
        }
        Ok(Some(line))
    }

    /// The parser skips empty lines silently, but they count as rows.
    /// Returns whether anything follows.
    fn skip_empty_lines(&mut self) -> io::Result<bool> {
        loop {
            match self.text.fill()?.first() {
                None => return Ok(false),
                Some(b'\n') if self.after_cr => self.after_cr = false,
                Some(&byte @ (b'\r' | b'\n')) => {
                    self.after_cr = byte == b'\r';
                    self.line += 1;
                }
                Some(_) => return Ok(true),
            }
            self.text.consume(1);
        }
    }
}

/// Bytes in any encoding as UTF-8, without a byte order mark, and tidied: see [`Tidy`].
struct Decoded<R> {
    from: R,
    decoder: Decoder,
    tidy: Tidy,
    n_read: u64,
    raw: Vec<u8>,
    raw_at: usize,
    raw_end: usize,
    decoded: Vec<u8>,
    text: Vec<u8>,
    at: usize,
    from_ended: bool,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    fn new(from: R, encoding: FileEncoding, delimiter: u8) -> Self {
        let encoding = Encoding::for_label(encoding.word().as_bytes()).unwrap_or(UTF_8);
        Decoded {
            from,
            decoder: encoding.new_decoder_with_bom_removal(),
            tidy: Tidy { delimiter, within: Within::Start, held: Vec::new() },
            n_read: 0,
            raw: vec![0; 64 << 10],
            raw_at: 0,
            raw_end: 0,
            decoded: vec![0; 128 << 10],
            text: Vec::new(),
            at: 0,
            from_ended: false,
            ended: false,
        }
    }

    /// What is decoded and not consumed; empty only at the end.
    fn fill(&mut self) -> io::Result<&[u8]> {
        while self.at == self.text.len() && !self.ended {
            if self.raw_at == self.raw_end && !self.from_ended {
                let n = loop {
                    match self.from.read(&mut self.raw) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => break result?,
                    }
                };
                self.from_ended = n == 0;
                self.n_read += n as u64;
                (self.raw_at, self.raw_end) = (0, n);
            }
            let raw = &self.raw[self.raw_at..self.raw_end];
            let (result, n_in, n_out, _) = self.decoder.decode_to_utf8(raw, &mut self.decoded, self.from_ended);
            self.raw_at += n_in;
            self.at = 0;
            self.text.clear();
            self.tidy.add(&self.decoded[..n_out], &mut self.text);
            self.ended = self.from_ended && result == CoderResult::InputEmpty;
            if self.ended {
                self.tidy.end(&mut self.text);
            }
        }
        Ok(&self.text[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

/// Takes out what programs write in front of an opening quotation mark: blanks, and the `=` of `="0861…"`.
/// The parser would take the mark for a part of the value, and a separator in it for one.
struct Tidy {
    delimiter: u8,
    within: Within,
    /// What stands at the start of a value and may be in front of a mark.
    held: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// Nothing of a value was met yet.
    Start,
    Plain,
    Quoted,
    /// Behind a mark that may close the value, or be the first of two.
    Closed,
}

impl Tidy {
    /// More blanks than this are a value.
    const MOST_HELD: usize = 1000;

    fn add(&mut self, text: &[u8], into: &mut Vec<u8>) {
        let mut rest = text;
        loop {
            // Most of a text is the middle of values.
            let n_middle = match self.within {
                Within::Quoted => rest.iter().position(|byte| *byte == b'"'),
                Within::Plain => rest.iter().position(|byte| *byte == self.delimiter || b"\r\n".contains(byte)),
                Within::Start | Within::Closed => Some(0),
            };
            let (middle, after) = rest.split_at(n_middle.unwrap_or(rest.len()));
            into.extend_from_slice(middle);
            let Some((&byte, after)) = after.split_first() else { return };
            rest = after;
            self.within = match self.within {
                Within::Quoted if byte == b'"' => Within::Closed,
                Within::Quoted => Within::Quoted,
                Within::Closed if byte == b'"' => Within::Quoted,
                _ if byte == self.delimiter || byte == b'\n' || byte == b'\r' => {
                    into.append(&mut self.held);
                    Within::Start
                }
                Within::Start if byte == b'"' => {
                    self.held.clear();
                    Within::Quoted
                }
                Within::Start if self.may_precede(byte) => {
                    self.held.push(byte);
                    continue;
                }
                Within::Start => {
                    into.append(&mut self.held);
                    Within::Plain
                }
                Within::Plain | Within::Closed => Within::Plain,
            };
            into.push(byte);
        }
    }

    fn may_precede(&self, byte: u8) -> bool {
        let after_sign = self.held.last() == Some(&b'=');
        match byte {
            b' ' | b'\t' => !after_sign && self.held.len() < Self::MOST_HELD,
            b'=' => !after_sign,
            _ => false,
        }
    }

    fn end(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], encoding: FileEncoding) -> Result<Vec<(u64, Vec<String>)>, Unread> {
        // One byte at a time: whatever can be cut in two, is.
        struct Drops<'a>(&'a [u8]);
        impl Read for Drops<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(1);
                into[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let mut whole = Vec::new();
        csv_rows(bytes, encoding, b',', &mut |line, record, _| {
            whole.push((line, record.iter().map(str::to_owned).collect::<Vec<_>>()));
            ControlFlow::Continue(())
        })?;
        let mut drops = Vec::new();
        csv_rows(Drops(bytes), encoding, b',', &mut |line, record, _| {
            drops.push((line, record.iter().map(str::to_owned).collect::<Vec<_>>()));
            ControlFlow::Continue(())
        })?;
        assert_eq!(whole, drops);
        Ok(whole)
    }

    fn lines(bytes: &[u8]) -> Vec<(u64, String)> {
        read(bytes, FileEncoding::Utf8).unwrap().into_iter().map(|(line, fields)| (line, fields.join("|"))).collect()
    }

    fn expect(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
        rows.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_shows_them() {
        let rows = expect(&[(1, "a|b"), (2, "1|two\nlines"), (5, "3|4"), (7, "5|6")]);
        assert_eq!(lines(b"a,b\n1,\"two\nlines\"\n\n\n3,4\n , \n5,6\n"), rows);
        let rows = expect(&[(1, "a|b"), (2, "1|two\r\nlines"), (4, "3|4")]);
        assert_eq!(lines(b"a,b\r\n1,\"two\r\nlines\"\r\n\r\n3,4"), rows);
        assert_eq!(lines(b"a,b\r1,2\r\r3,4\r"), expect(&[(1, "a|b"), (2, "1|2"), (4, "3|4")]));
        assert_eq!(lines(b"\n\na,b\n"), expect(&[(3, "a|b")]));
    }

    #[test]
    fn every_encoding_reads_the_same() {
        let text = "name\nZoë – €\n";
        let expected = vec![(1, vec!["name".to_owned()]), (2, vec!["Zoë – €".to_owned()])];
        let utf16 = |bom: &[u8], units: fn(u16) -> [u8; 2]| {
            [bom, &text.encode_utf16().flat_map(units).collect::<Vec<_>>()].concat()
        };
        for (encoding, bytes) in [
            (FileEncoding::Utf8, text.as_bytes().to_vec()),
            (FileEncoding::Utf8, [b"\xef\xbb\xbf", text.as_bytes()].concat()),
            (FileEncoding::Utf16Le, utf16(b"\xff\xfe", u16::to_le_bytes)),
            (FileEncoding::Utf16Le, utf16(b"", u16::to_le_bytes)),
            (FileEncoding::Utf16Be, utf16(b"\xfe\xff", u16::to_be_bytes)),
            (FileEncoding::Windows1252, b"name\nZo\xeb \x96 \x80\n".to_vec()),
        ] {
            assert_eq!(read(&bytes, encoding).unwrap(), expected, "{encoding:?}");
        }
    }

    #[test]
    fn every_encoding_has_a_reader() {
        for encoding in FileEncoding::ALL {
            let known = Encoding::for_label(encoding.word().as_bytes()).map(|it| it.name().to_ascii_lowercase());
            assert_eq!(known.as_deref(), Some(encoding.word()), "{encoding:?}");
        }
        for (encoding, bytes, name) in [
            (FileEncoding::Windows1250, &b"\xa3ukasz \x8cliwa"[..], "Łukasz Śliwa"),
            (FileEncoding::Iso8859_2, b"\xa3ukasz \xa6liwa", "Łukasz Śliwa"),
            (FileEncoding::Windows1254, b"\xdeahin", "Şahin"),
            (FileEncoding::Koi8R, b"\xe1\xce\xce\xc1", "Анна"),
            (FileEncoding::Ibm866, b"\x80\xad\xad\xa0", "Анна"),
            (FileEncoding::Macintosh, b"Zo\x91", "Zoë"),
            (FileEncoding::ShiftJis, b"\x8d\xb2\x93\xa1", "佐藤"),
            (FileEncoding::Gb18030, b"\xd5\xc5\xce\xb0", "张伟"),
        ] {
            assert_eq!(read(bytes, encoding).unwrap(), [(1, vec![name.to_owned()])], "{encoding:?}");
        }
    }

    #[test]
    fn a_first_line_that_tells_the_separator_is_no_row() {
        let rows = expect(&[(1, "a|b"), (2, "1|2")]);
        for first in ["sep=,", "SEP=,", "sep=;", "\"sep=,\"", "sep=,,", "sep=\t", "\u{feff}Sep=|"] {
            assert_eq!(lines(format!("{first}\r\na,b\n1,2\n").as_bytes()), rows, "{first:?}");
        }
        assert_eq!(lines(b"a,b\nsep=,\n"), expect(&[(1, "a|b"), (2, "sep=|")]), "only the first line is one");
        assert_eq!(lines(b"sep=x,b\n1,2\n"), expect(&[(1, "sep=x|b"), (2, "1|2")]));
        let tells = |text: &str| first_line_tells(text.as_bytes(), FileEncoding::Utf8).unwrap();
        assert_eq!(
            ["sep=;\na", "SEP=\t\na", "sep=,\na", "a;b\n", "\nsep=;\n"].map(tells),
            [Some(b';'), Some(b'\t'), Some(b','), None, None]
        );
    }

    #[test]
    fn what_stands_before_a_quotation_mark_is_no_part_of_a_value() {
        assert_eq!(
            lines(b"\"a\", \"b, c\",\t\"d \"\"e\"\"\" ,f\n =\"007\",=\"a,b\",\"=\"\"008\"\"\",= \"x\"\n"),
            expect(&[(1, "a|b, c|d \"e\" |f"), (2, "007|a,b|=\"008\"|= \"x\"")])
        );
        let as_it_is = b" a, b \"c\",=1+1,  ,==\"x\",5\" pipe,\"a\"b\"";
        assert_eq!(lines(as_it_is), expect(&[(1, " a| b \"c\"|=1+1|  |==\"x\"|5\" pipe|ab\"")]));
        assert_eq!(lines(b"a,  \nb,="), expect(&[(1, "a|  "), (2, "b|=")]));
    }

    #[test]
    fn a_quote_that_never_closes_is_found() {
        for bytes in [&b"a,b\n1,\"2\n3,4\n"[..], b"a,b\n1,\"2\n3,4"] {
            assert!(matches!(read(bytes, FileEncoding::Utf8), Err(Unread::Refused(Refusal::OpenQuote { line: 2 }))));
        }
        assert_eq!(lines(b"a,b\n1,5\" pipe"), expect(&[(1, "a|b"), (2, "1|5\" pipe")]));
    }

    #[test]
    fn an_endless_row_does_not_fill_the_memory() {
        let endless = io::Read::chain(&b"a,b\n1,\""[..], io::repeat(b'x'));
        let read = csv_rows(endless, FileEncoding::Utf8, b',', &mut |_, _, _| ControlFlow::Continue(()));
        assert!(matches!(read, Err(Unread::Refused(Refusal::EndlessRow { line: 2 }))));
    }

    #[test]
    fn a_cell_of_a_megabyte_is_read() {
        let huge = "x".repeat(1 << 20);
        let mut lengths = Vec::new();
        csv_rows(format!("a,b\n1,{huge}\n2,3").as_bytes(), FileEncoding::Utf8, b',', &mut |line, row, _| {
            lengths.push((line, row.get(1).len()));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(lengths, [(1, 1), (2, 1 << 20), (3, 1)]);
    }
}
