//! io: Reading a workbook in a process of its own.
//!
//! Workbooks come from anywhere, and what unpacks and parses them was not written for enemies: a few
//! kilobytes can ask for more memory than there is. So the program starts itself anew with the hidden
//! command `read-workbook`, [confined](super::confine), and is told the rows through a pipe. Whatever
//! becomes of that process is a refusal with a reason here.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::confine::confine;
use super::domain::{Format, Record};
use super::refusal::Refusal;
use super::sheet;
use super::table::{EachRow, LONGEST_ROW, Named, Unread};
use super::xlsx::{MOST_COLUMNS, MOST_SHEETS};

/// How long somebody waits for a workbook.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until one of the [`PLACES`] is free.
    place: Duration,
    /// For the reader, all waits together. What the rows are then used for does not count.
    reader: Duration,
}

impl Patience {
    /// A browser waits for the answer.
    pub const UPLOAD: Patience = Patience { place: Duration::from_secs(20), reader: Duration::from_secs(30) };
    /// The importer has time, and gives signs of life meanwhile.
    pub const IMPORT: Patience = Patience { place: Duration::from_secs(900), reader: Duration::from_secs(400) };
}

/// Workbooks that this process has read at once, which bounds the memory of all of them.
static PLACES: Places = Places { free: Mutex::new(2), freed: Condvar::new() };
/// The program that reads, when it is another than this one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Has another program than this one read workbooks. For tests, which are not `bugle` themselves.
pub fn read_with(program: impl Into<PathBuf>) {
    PROGRAM.get_or_init(|| program.into());
}

/// Reads the rows of a sheet until the end or until `each` breaks.
///
/// `size`: of the file, for telling how far the reading has come; `sheet`: which of those that can be seen,
/// counted from 0.
pub fn workbook_rows(
    file: &File,
    format: Format,
    size: u64,
    sheet: usize,
    patience: Patience,
    named: &mut Named<'_>,
    each: &mut EachRow<'_>,
) -> Result<(), Unread> {
    let _place = PLACES.take(patience.place).ok_or(Refusal::WorkbooksBusy)?;
    let mut reader = Reader::start(file, format, size, sheet, patience.reader)?;
    let mut record = Record::default();
    loop {
        match told(&mut reader.pipe, &mut record) {
            Ok(Told::Row { line, bytes_done }) => {
                if each(line, &record, bytes_done).is_break() {
                    return Ok(());
                }
            }
            Ok(Told::Sheets(names)) => named(&names),
            Ok(Told::End) => return Ok(()),
            Ok(Told::Refused(refusal)) => return Err(refusal.into()),
            Err(error) => return Err(reader.gone(error)),
        }
    }
}

/// What comes through the pipe: a word, then what belongs to it, numbers with the low byte first.
mod word {
    /// Whether system calls are held back.
    pub const BEGUN: u8 = b'b';
    /// Row number, bytes done, number of fields, where each ends, their text.
    pub const ROW: u8 = b'r';
    /// The same of a row that the workbook does not show.
    pub const HIDDEN_ROW: u8 = b'h';
    /// Number of sheets, then the length and the letters of each one's name.
    pub const SHEETS: u8 = b's';
    pub const END: u8 = b'e';
    /// Place in the list of [`refusals`](super::refusals).
    pub const REFUSED: u8 = b'x';
}

/// What a reader can say of a workbook.
fn refusals() -> impl Iterator<Item = Refusal> {
    let plain = [Refusal::BadWorkbook, Refusal::NoSheet, Refusal::HugeRow, sheet::TOO_LARGE];
    plain.into_iter().chain(sheet::OTHERS.map(|(_, what)| Refusal::AnotherKind { what }))
}

/// What a reader said.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// The fields are in the record.
    Row {
        line: u64,
        bytes_done: u64,
    },
    /// The names of those that can be seen.
    Sheets(Vec<String>),
    End,
    Refused(Refusal),
}

/// The letters of a sheet's name that are told; spreadsheets allow 31.
const LONGEST_NAME: usize = 100;

/// Hears what a reader says next. It is not believed: nothing that it can say takes more than a row's memory.
pub fn told(from: &mut impl Read, record: &mut Record) -> io::Result<Told> {
    match bytes(from)? {
        [word @ (word::ROW | word::HIDDEN_ROW)] => {
            let (line, bytes_done) = (u64::from_le_bytes(bytes(from)?), u64::from_le_bytes(bytes(from)?));
            let n_fields = u32::from_le_bytes(bytes(from)?);
            if n_fields > MOST_COLUMNS {
                return Err(ErrorKind::InvalidData.into());
            }
            record.clear();
            record.hidden = word == word::HIDDEN_ROW;
            for _ in 0..n_fields {
                record.ends.push(u32::from_le_bytes(bytes(from)?) as usize);
            }
            let length = record.ends.last().copied().unwrap_or(0);
            if length > LONGEST_ROW || !record.ends.is_sorted() {
                return Err(ErrorKind::InvalidData.into());
            }
            let text = &mut record.text;
            from.take(length as u64).read_to_string(text)?;
            let whole = text.len() == length && record.ends.iter().all(|end| text.is_char_boundary(*end));
            if whole { Ok(Told::Row { line, bytes_done }) } else { Err(ErrorKind::UnexpectedEof.into()) }
        }
        [word::SHEETS] => {
            let n_sheets = usize::from(u16::from_le_bytes(bytes(from)?));
            if n_sheets > MOST_SHEETS {
                return Err(ErrorKind::InvalidData.into());
            }
            let mut names = Vec::with_capacity(n_sheets);
            for _ in 0..n_sheets {
                let length = u16::from_le_bytes(bytes(from)?);
                let mut name = String::new();
                from.take(u64::from(length)).read_to_string(&mut name)?;
                if name.len() < usize::from(length) {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                names.push(name);
            }
            Ok(Told::Sheets(names))
        }
        [word::END] => Ok(Told::End),
        [word::REFUSED] => {
            let [n] = bytes(from)?;
            Ok(Told::Refused(refusals().nth(n.into()).unwrap_or(Refusal::BadWorkbook)))
        }
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

/// The process that reads, from outside. It ends with this.
struct Reader {
    child: Child,
    pipe: BufReader<Patient>,
}

impl Reader {
    fn start(file: &File, format: Format, size: u64, sheet: usize, patience: Duration) -> io::Result<Self> {
        // Opened anew it has a position of its own, and cannot be written to.
        let file = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        // As it was started, whatever lies under that name since an upgrade.
        let program = PROGRAM.get().cloned().unwrap_or_else(|| "/proc/self/exe".into());
        let mut child = Command::new(program)
            .args(["read-workbook", format.word(), &size.to_string(), &sheet.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let Some(pipe) = child.stdout.take() else { return Err(io::Error::other("a reader without a pipe")) };
        let mut reader = Reader { child, pipe: BufReader::with_capacity(64 << 10, Patient { pipe, left: patience }) };
        match bytes(&mut reader.pipe) {
            Ok([word::BEGUN, sealed]) => warn_unsealed(sealed == 1),
            Ok(_) => return Err(io::Error::other("not a reader of workbooks")),
            Err(error) => return Err(error),
        }
        Ok(reader)
    }

    /// Why it stopped in the middle.
    fn gone(&mut self, error: io::Error) -> Unread {
        if error.kind() == ErrorKind::TimedOut {
            return Refusal::WorkbookTakesLong.into();
        }
        // It may have closed the pipe and not have ended yet.
        match self.child.wait() {
            Ok(status) => why(status).into(),
            Err(error) => error.into(),
        }
    }
}

fn why(status: ExitStatus) -> Refusal {
    tracing::warn!("reading a workbook ended with {status}");
    match status.signal() {
        Some(libc::SIGXCPU) => Refusal::WorkbookTakesLong,
        // Denied memory ends a program by abort, by fault where there is no stack, or by the kernel's own choice.
        Some(_) => Refusal::WorkbookNeedsMemory,
        None => Refusal::BadWorkbook,
    }
}

fn warn_unsealed(is_sealed: bool) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !is_sealed && !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!("this kernel does not hold back system calls: workbooks are read under limits alone");
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that is not waited at for ever.
struct Patient {
    pipe: ChildStdout,
    left: Duration,
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut poll = libc::pollfd { fd: self.pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let began = Instant::now();
        let most = libc::c_int::try_from(self.left.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one structure, which lives through the call.
        let n = unsafe { libc::poll(&mut poll, 1, most) };
        self.left = self.left.saturating_sub(began.elapsed());
        match n {
            0 => Err(ErrorKind::TimedOut.into()),
            n if n < 0 => Err(io::Error::last_os_error()),
            _ => self.pipe.read(into),
        }
    }
}

/// So many at once; the others wait.
struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Place(&'static Places);

impl Places {
    fn take(&'static self, patience: Duration) -> Option<Place> {
        let free = self.free.lock().unwrap();
        let (mut free, _) = self.freed.wait_timeout_while(free, patience, |free| *free == 0).unwrap();
        *free = free.checked_sub(1)?;
        Some(Place(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap() += 1;
        self.0.freed.notify_one();
    }
}

/// What the command `read-workbook` does: reads the workbook on standard input and tells its rows on standard output.
pub fn read(format: &str, size: u64, sheet: usize) -> ExitCode {
    let Some(format) = Format::of_word(format) else { return ExitCode::FAILURE };
    match confine().and_then(|sealed| tell(format, size, sheet, sealed)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn tell(format: Format, size: u64, sheet: usize, sealed: bool) -> io::Result<()> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let out = RefCell::new(BufWriter::with_capacity(64 << 10, out));
    out.borrow_mut().write_all(&[word::BEGUN, u8::from(sealed)])?;
    out.borrow_mut().flush()?;
    let (mut told, mut named) = (Ok(()), Ok(()));
    let read = sheet::sheet_rows(
        BufReader::new(file),
        format,
        size,
        sheet,
        &mut |names| named = tell_sheets(&mut *out.borrow_mut(), names),
        &mut |line, record, bytes_done| {
            told = tell_row(&mut *out.borrow_mut(), line, record, bytes_done);
            if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    );
    named.and(told)?;
    let mut out = out.into_inner();
    match read {
        Ok(()) => out.write_all(&[word::END])?,
        Err(Unread::Refused(refusal)) => {
            let n = refusals().position(|it| it == refusal).unwrap_or(0);
            out.write_all(&[word::REFUSED, n as u8])?;
        }
        Err(Unread::Broken(error)) => return Err(error),
    }
    out.flush()
}

fn tell_sheets(out: &mut impl Write, names: &[String]) -> io::Result<()> {
    out.write_all(&[word::SHEETS])?;
    out.write_all(&(names.len() as u16).to_le_bytes())?;
    for name in names {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        out.write_all(&(name.len() as u16).to_le_bytes())?;
        out.write_all(name.as_bytes())?;
    }
    Ok(())
}

fn tell_row(out: &mut impl Write, line: u64, record: &Record, bytes_done: u64) -> io::Result<()> {
    out.write_all(&[if record.hidden { word::HIDDEN_ROW } else { word::ROW }])?;
    out.write_all(&line.to_le_bytes())?;
    out.write_all(&bytes_done.to_le_bytes())?;
    out.write_all(&(record.len() as u32).to_le_bytes())?;
    for end in &record.ends {
        out.write_all(&(*end as u32).to_le_bytes())?;
    }
    out.write_all(record.text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(said: &[u8]) -> io::Result<(Told, Record)> {
        let mut record = Record::default();
        told(&mut &*said, &mut record).map(|told| (told, record))
    }

    #[test]
    fn what_is_told_is_heard() {
        let mut row = Record::default();
        ["0861234567", "", "Zoë"].iter().for_each(|field| row.push(field));
        let mut said = Vec::new();
        tell_row(&mut said, 7, &row, 99).unwrap();
        assert_eq!(heard(&said).unwrap(), (Told::Row { line: 7, bytes_done: 99 }, row.clone()));
        (row.hidden, said) = (true, Vec::new());
        tell_row(&mut said, 8, &row, 99).unwrap();
        assert_eq!(heard(&said).unwrap(), (Told::Row { line: 8, bytes_done: 99 }, row));
        let sheets = ["People".to_owned(), String::new(), "Übersicht".to_owned()];
        let mut said = Vec::new();
        tell_sheets(&mut said, &sheets).unwrap();
        assert_eq!(heard(&said).unwrap().0, Told::Sheets(sheets.to_vec()));
        assert_eq!(heard(&said[..said.len() - 1]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        for (n, refusal) in refusals().enumerate() {
            assert_eq!(heard(&[word::REFUSED, n as u8]).unwrap().0, Told::Refused(refusal));
        }
    }

    #[test]
    fn a_reader_that_lies_is_not_believed() {
        let row = |fields: u32, ends: &[u32], text: &[u8]| {
            let mut said = vec![word::ROW];
            said.extend([0; 16]);
            said.extend(fields.to_le_bytes());
            ends.iter().for_each(|end| said.extend(end.to_le_bytes()));
            said.extend(text);
            heard(&said).map_err(|error| error.kind())
        };
        assert!(row(1, &[2], "ë".as_bytes()).is_ok());
        assert_eq!(row(u32::MAX, &[], b""), Err(ErrorKind::InvalidData), "more fields than a sheet has");
        assert_eq!(row(1, &[u32::MAX], b""), Err(ErrorKind::InvalidData), "a row without end");
        assert_eq!(row(2, &[2, 1], b"ab"), Err(ErrorKind::InvalidData), "fields that go back");
        assert_eq!(row(1, &[3], b"ab"), Err(ErrorKind::UnexpectedEof), "less than was promised");
        assert_eq!(row(2, &[1, 2], "ë".as_bytes()), Err(ErrorKind::UnexpectedEof), "half a character");
    }

    #[test]
    fn nobody_waits_for_a_place_for_ever() {
        static ONE: Places = Places { free: Mutex::new(1), freed: Condvar::new() };
        let place = ONE.take(Duration::ZERO);
        assert!(place.is_some());
        assert!(ONE.take(Duration::from_millis(1)).is_none());
        drop(place);
        assert!(ONE.take(Duration::ZERO).is_some());
    }

    proptest! {
        #[test]
        fn whatever_comes_through_the_pipe_is_heard_or_refused(said in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &*said;
            let mut record = Record::default();
            while told(&mut rest, &mut record).is_ok() {
                record.iter().for_each(|_| {});
            }
        }
    }
}
