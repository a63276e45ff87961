//! Files and forms that were made to do harm, or do it by accident.

use std::cell::Cell;
use std::fs;
use std::io::{Cursor, Read as _, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

use actix_web::cookie::Key;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::test::{self, TestRequest};
use actix_web::web::Bytes;
use bugle::contacts::addresses::TwoWays;
use bugle::contacts::domain::read_pasted;
use bugle::db::is_gone;
use bugle::engine::{checker, importer};
use bugle::files::domain::Format;
use bugle::files::table::Unread;
use bugle::files::workbook::{Patience, workbook_rows};
use bugle::providers::Kind;
use bugle::{privileges, server};
use diesel::prelude::*;
use diesel::sql_types::Binary;
use futures_util::{StreamExt, stream};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::desk::{Answer, Desk};

/// An old workbook of 5,632 bytes with one cell in the last row of a column that does not exist: as a
/// table it takes 128 GiB.
const CORNER: &[u8] = include_bytes!("../fixtures/files/corner.xls");
const GOOD: &[u8] = include_bytes!("../fixtures/files/contacts.xls");

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const REL: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE_REL: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

/// A workbook of one sheet with these rows, and other parts beside it.
pub fn xlsx(rows: &str, besides: &[(&str, &str)]) -> Vec<u8> {
    let relationship = |kind: &str, target: &str| {
        format!(
            "<Relationships xmlns=\"{PACKAGE_REL}\"><Relationship Id=\"r1\" Type=\"{REL}/{kind}\" Target=\"{target}\"/></Relationships>"
        )
    };
    let workbook = format!(
        "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{REL}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
    );
    let sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>");
    let (package, book) =
        (relationship("officeDocument", "xl/workbook.xml"), relationship("worksheet", "worksheets/sheet1.xml"));
    let parts = [
        ("_rels/.rels", package.as_str()),
        ("xl/workbook.xml", &workbook),
        ("xl/_rels/workbook.xml.rels", &book),
        ("xl/worksheets/sheet1.xml", &sheet),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts.iter().chain(besides) {
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(*name, stored).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn row(n: usize, cells: &[&str]) -> String {
    let cells: String = cells.iter().map(|it| format!("<c t=\"inlineStr\"><is><t>{it}</t></is></c>")).collect();
    format!("<row r=\"{n}\">{cells}</row>")
}

/// `n` good rows below a header.
pub fn rows(n: usize) -> String {
    let good = (0..n).map(|i| row(i + 2, &[&format!("+3538612{i:05}"), "x"]));
    [row(1, &["Phone", "Name"])].into_iter().chain(good).collect()
}

/// Makes the directory of an archive claim another size of a part.
fn claiming(mut archive: Vec<u8>, part: &str, size: u32) -> Vec<u8> {
    let entry = |at: usize| archive[at..].starts_with(b"PK\x01\x02") && archive[at + 46..].starts_with(part.as_bytes());
    let at = (0..archive.len() - 46).find(|at| entry(*at)).expect("a part of that name");
    archive[at + 24..at + 28].copy_from_slice(&size.to_le_bytes());
    archive
}

impl Desk {
    /// Uploads a workbook, takes what is guessed of its columns, and lets the importer at it.
    async fn imports(&self, name: &str, bytes: &[u8]) -> Answer {
        let page = self.upload("/files", name, bytes, &[]).await;
        let file = page.location.unwrap_or_else(|| panic!("refused: {}", page.html));
        self.order_import(&file).await;
        importer::tick(&self.app).await.unwrap();
        self.visit(&file).await
    }

    async fn order_import(&self, file: &str) {
        let form = [("use-0", "channel_id"), ("use-1", "data"), ("use-2", "data"), ("region", "IE")];
        assert_eq!(self.fill_in(&format!("{file}/import"), &form).await.status, 303);
    }

    async fn still_imports(&self) {
        self.imports("good.xlsx", &xlsx(&rows(3), &[])).await.shows("3 contacts from good.xlsx");
    }

    /// Why the clock ended something, as the journal has it.
    fn whys(&self, happened: &str) -> Vec<String> {
        use bugle::db::schema::journal;
        let whys = journal::table.filter(journal::happened.eq(happened)).filter(journal::user_id.is_null());
        self.db(|conn| whys.select(journal::why.assume_not_null()).order(journal::id).load(conn).unwrap())
    }
}

#[actix_web::test]
async fn a_workbook_that_asks_for_more_memory_than_there_is_is_refused() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for path in ["/files", "/files?campaign=7"] {
        let page = desk.upload(path, "corner.xls", CORNER, &[]).await;
        assert_eq!(page.status, 422);
        page.shows("This workbook needs too much memory to be read. Save its table as CSV and upload that.");
    }
    assert_eq!(desk.number("SELECT count(*) AS n FROM files"), 0);
    desk.still_imports().await;
}

#[actix_web::test]
async fn a_workbook_that_does_harm_only_when_it_is_imported_is_refused_then() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let file = desk.upload("/files", "late.xls", GOOD, &[]).await.location.unwrap();
    desk.db(|conn| {
        diesel::sql_query("UPDATE file_chunks SET bytes = $1").bind::<Binary, _>(CORNER).execute(conn).unwrap()
    });
    desk.order_import(&file).await;
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    let page = desk.visit(&file).await;
    page.shows("late.xls was not imported");
    page.shows("needs too much memory to be read");
    assert_eq!(
        desk.whys("file.import_ended"),
        ["This workbook needs too much memory to be read. Save its table as CSV and upload that."]
    );
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 0, "it is not tried again");
    desk.still_imports().await;
}

#[actix_web::test]
async fn a_cell_that_has_no_end_is_refused_when_it_is_reached() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let late = rows(10) + &row(12, &["+353861234567", &"0".repeat(17 << 20)]);
    let page = desk.imports("late.xlsx", &xlsx(&late, &[])).await;
    page.shows("A row of the workbook is longer than 16 MiB");
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_rows"), 0);
    desk.still_imports().await;
}

#[actix_web::test]
async fn every_part_of_a_workbook_counts_however_it_is_spelt() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for part in ["xl/sharedStrings.xml", "xl/SharedStrings.xml", "XL/SHAREDSTRINGS.XML", "xl/styles.xml"] {
        let book = claiming(xlsx(&rows(3), &[(part, "<sst/>")]), part, 513 << 20);
        let page = desk.upload("/files", "large.xlsx", &book, &[]).await;
        assert_eq!(page.status, 422, "{part}");
        page.shows("The workbook is larger than 4096 MiB.");
    }
    // Several that are small enough each.
    let besides = [("xl/a.xml", "<a/>"), ("xl/b.xml", "<a/>")];
    let book = xlsx(&rows(3), &besides);
    let book = besides.iter().fold(book, |book, (part, _)| claiming(book, part, 300 << 20));
    assert_eq!(desk.upload("/files", "large.xlsx", &book, &[]).await.status, 422);
    desk.still_imports().await;
}

#[actix_web::test]
async fn of_very_many_bad_rows_some_are_listed_and_all_are_counted() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    // One that is good, and again: also what came twice is listed up to there.
    let bad = format!("Phone,Name,City\n{}{}", "+353861234567,,\n".repeat(5), "1,,\n".repeat(100_000 - 2));
    let page = desk.imports("bad.csv", bad.as_bytes()).await;
    page.shows(r#"<dt>With problems</dt><dd class="num">99,998</dd>"#);
    page.shows(r#"<dt>Duplicates</dt><dd class="num">4</dd>"#);
    page.shows("And 99,982 more.");
    page.shows("Download the first 100,000 problems (CSV)");
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_problems"), 100_000);
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_problems WHERE code = 'duplicate'"), 2);
    let more = format!("Phone,Name,City\n+353861234567,,\n{}", "1,,\n".repeat(100_001));
    desk.imports("more.csv", more.as_bytes()).await.shows(r#"<dd class="num">100,001</dd>"#);
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_problems WHERE file_id = 2"), 100_000);
}

#[actix_web::test]
async fn whatever_is_wrong_in_a_workbook_ends_in_an_answer() {
    // The story's server makes known which program reads.
    let _desk = Desk::open_at("2026-03-02 09:00").await;
    let book = xlsx(&rows(20), &[("xl/sharedStrings.xml", "<sst><si><t>a</t></si></sst>")]);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for n in 0..60 {
        let (format, mut bytes) = if n % 2 == 0 { (Format::Xls, GOOD.to_vec()) } else { (Format::Xlsx, book.clone()) };
        for _ in 0..1 + random(8) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(if n % 5 == 0 { random(bytes.len()) } else { bytes.len() });
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let read =
            workbook_rows(&file, format, bytes.len() as u64, 0, Patience::UPLOAD, &mut |_| {}, &mut |_, row, _| {
                row.iter().for_each(drop);
                ControlFlow::Continue(())
            });
        assert!(!matches!(read, Err(Unread::Broken(_))), "case {n}: {read:?}");
    }
}

#[actix_web::test]
async fn who_reads_workbooks_can_do_nothing_else() {
    let mut book = tempfile::NamedTempFile::new().unwrap();
    book.write_all(&xlsx(&rows(5000), &[])).unwrap();
    let path = book.path().to_owned();
    // Opened by somebody who did not think of children, under a number that the reader itself never comes to.
    // SAFETY: a descriptor that is open.
    let leaked = unsafe { libc::fcntl(book.as_file().as_raw_fd(), libc::F_DUPFD, 100) };
    // The death of the thread that started it is the death of its parent to the kernel.
    let started = std::thread::spawn(move || {
        let mut reader = Command::new(env!("CARGO_BIN_EXE_bugle"))
            .args(["read-workbook", "xlsx", "1"])
            .env("DATABASE_URL", "postgres://somebody:secret@nowhere/")
            .stdin(fs::File::open(path).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It has begun, and stands still as soon as its pipe is full.
        let mut begun = [0; 2];
        reader.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
        assert_eq!(begun, [b'b', 1], "sealed");
        assert!(fs::symlink_metadata(format!("/proc/{}/fd/{leaked}", reader.id())).is_err(), "it has what we had open");
        // SAFETY: ours, and of no more use.
        unsafe { libc::close(leaked) };
        let about = |what: &str| fs::read_to_string(format!("/proc/{}/{what}", reader.id())).unwrap();
        let (limits, status) = (about("limits"), about("status"));
        (reader, limits, status)
    });
    let (mut reader, limits, status) = started.join().unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max address space"), (1_u64 << 30).to_string());
    assert_eq!(limit("Max cpu time"), "300");
    assert_eq!(
        (limit("Max file size"), limit("Max core file size"), limit("Max open files")),
        ("0".into(), "0".into(), "8".into())
    );
    let is = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((is("NoNewPrivs:"), is("Seccomp:")), ("1".into(), "2".into()));
    assert_eq!(reader.wait().unwrap().signal(), Some(9), "it went with its parent");
}

#[test]
fn who_reads_workbooks_is_closed_to_others_of_the_same_account() {
    let mut book = tempfile::tempfile().unwrap();
    book.write_all(&xlsx(&rows(5000), &[])).unwrap();
    book.rewind().unwrap();
    // To root nothing is closed, and everything of root's looks the same: somebody else has it read then.
    let program = fs::File::open(env!("CARGO_BIN_EXE_bugle")).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    if privileges::is_root() {
        command.uid(65534).gid(65534);
    }
    command.args(["read-workbook", "xlsx", "1"]).stdin(book).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut reader = command.spawn().unwrap();
    // It has begun, and stands still as soon as its pipe is full.
    reader.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
    let owner = |what: &str| fs::metadata(format!("/proc/{}/{what}", reader.id())).unwrap().uid();
    let owners = ["mem", "maps", "environ", "fd"].map(owner);
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert_eq!(owners, [0; 4], "root's, and not of whoever it runs as");
}

/// Whoever reads a workbook of this size for us now: their folders in `/proc`.
fn readers(size: usize) -> Vec<PathBuf> {
    let words = format!("\0read-workbook\0xlsx\0{size}\x000\0");
    let ours = format!("PPid:\t{}\n", std::process::id());
    let is_reader = |dir: &PathBuf| {
        fs::read_to_string(dir.join("cmdline")).is_ok_and(|line| line.ends_with(&words))
            && fs::read_to_string(dir.join("status")).is_ok_and(|status| status.contains(&ours))
    };
    fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(is_reader).collect()
}

#[test]
fn who_reads_workbooks_knows_nothing_of_our_surroundings() {
    let (book, mut file) = (xlsx(&rows(5000), &[]), tempfile::tempfile().unwrap());
    file.write_all(&book).unwrap();
    // Whoever makes the server says as well where the program is.
    crate::desk::empty_database("reads_workbooks");
    let mut seen = Vec::new();
    workbook_rows(&file, Format::Xlsx, book.len() as u64, 0, Patience::UPLOAD, &mut |_| {}, &mut |_, _, _| {
        // It stands still meanwhile, with the rest of its rows before it.
        seen = readers(book.len())
            .iter()
            .map(|dir| (fs::read(dir.join("environ")), fs::read_link(dir.join("cwd"))))
            .collect();
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(seen.len(), 1);
    // Nobody but root looks into it.
    for (variables, folder) in seen.into_iter().filter(|_| privileges::is_root()) {
        assert_eq!((variables.unwrap(), folder.unwrap()), (Vec::new(), PathBuf::from("/")));
    }
}

#[actix_web::test]
async fn an_import_that_ends_its_worker_is_begun_twice_and_not_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let file =
        desk.upload("/files", "people.csv", b"Phone,Name,City\n+353861234567,Anna,Cork\n", &[]).await.location.unwrap();
    desk.order_import(&file).await;
    for _ in 0..2 {
        dies_with_an_import(&desk);
        desk.later(61);
    }
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    let page = desk.visit(&file).await;
    page.shows("people.csv was not imported");
    page.shows("Its import was begun twice and ended both times without an answer");
    assert_eq!(desk.whys("file.import_ended").len(), 1);
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 0);
    desk.still_imports().await;
}

#[actix_web::test]
async fn one_death_of_an_importer_and_a_new_order_are_not_held_against_a_file() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let file =
        desk.upload("/files", "people.csv", b"Phone,Name,City\n+353861234567,Anna,Cork\n", &[]).await.location.unwrap();
    for _ in 0..3 {
        desk.order_import(&file).await;
        dies_with_an_import(&desk);
        desk.fill_in(&format!("{file}/cancel"), &[]).await;
        desk.later(61);
        importer::tick(&desk.app).await.unwrap();
    }
    desk.order_import(&file).await;
    dies_with_an_import(&desk);
    desk.later(61);
    importer::tick(&desk.app).await.unwrap();
    desk.visit(&file).await.shows("1 contact from people.csv");
    assert_eq!(desk.number("SELECT tries::bigint AS n FROM files"), 0);
}

/// A worker takes the file that waits, and is never heard of again.
fn dies_with_an_import(desk: &Desk) {
    let now = desk.app.clock.now();
    let ends = now + chrono::TimeDelta::seconds(60);
    let claim = desk.db(|conn| bugle::files::store::claim(conn, uuid::Uuid::new_v4(), ends, now).unwrap());
    assert!(claim.is_some());
}

#[actix_web::test]
async fn a_check_that_ends_its_worker_is_begun_twice_and_not_again() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let campaign = desk.daily_draft("Offer", "offer.csv", &[("Main", "09:00-10:00", 60.0, None)]).await;
    let check = format!("/campaigns/{campaign}/check");
    desk.press(&check).await.shows("contacts checked.");
    let died = "UPDATE dry_runs SET state = 'running', worker = gen_random_uuid(), lease_ends_at = '2026-03-02 09:00:00+00', tries = tries + 1";
    desk.sql(died);
    desk.sql(died);
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 1);
    let page = desk.peek(&check).await;
    page.shows("The check was begun twice and ended both times without an answer");
    page.lacks("every 1s");
    assert_eq!(desk.whys("campaign.check_ended").len(), 1);
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 0);
    desk.press(&check).await.shows("every 1s");
    checker::tick(&desk.app).await.unwrap();
    desk.peek(&check).await.shows("Checked on");
}

/// From here on the database goes away whenever this happens.
fn goes_away(desk: &Desk, event: &str) {
    desk.sql(
        "CREATE FUNCTION go_away() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END'",
    );
    desk.sql(&format!("CREATE TRIGGER goes_away AFTER {event} EXECUTE FUNCTION go_away()"));
}

#[actix_web::test]
async fn an_import_whose_database_goes_away_again_and_again_is_begun_again_each_time() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let file =
        desk.upload("/files", "people.csv", b"Phone,Name,City\n+353861234567,Anna,Cork\n", &[]).await.location.unwrap();
    desk.order_import(&file).await;
    goes_away(&desk, "INSERT ON contacts");
    for n in 1..=3 {
        assert!(importer::tick(&desk.app).await.is_err(), "try {n}");
        desk.later(61);
    }
    desk.sql("DROP TRIGGER goes_away ON contacts");
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    desk.visit(&file).await.shows("1 contact from people.csv");
    assert_eq!(desk.whys("file.import_ended"), [] as [String; 0]);
}

#[actix_web::test]
async fn a_check_whose_database_goes_away_again_and_again_is_begun_again_each_time() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let campaign = desk.daily_draft("Offer", "offer.csv", &[("Main", "09:00-10:00", 60.0, None)]).await;
    let check = format!("/campaigns/{campaign}/check");
    desk.press(&check).await.shows("contacts checked.");
    goes_away(&desk, "UPDATE ON dry_runs FOR EACH ROW WHEN (NEW.rows_done > 0)");
    for n in 1..=3 {
        assert!(checker::tick(&desk.app).await.is_err(), "try {n}");
        desk.later(61);
    }
    desk.sql("DROP TRIGGER goes_away ON dry_runs");
    assert_eq!(checker::tick(&desk.app).await.unwrap(), 1);
    desk.peek(&check).await.shows("Checked on");
    assert_eq!(desk.whys("campaign.check_ended"), [] as [String; 0]);
}

#[actix_web::test]
async fn a_database_that_went_away_is_told_from_work_that_fails() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let fails = |sql: &str| {
        let mut conn = desk.app.db.open().unwrap();
        anyhow::Error::from(diesel::sql_query(sql).execute(&mut conn).unwrap_err()).context("an import")
    };
    assert!(is_gone(&fails("SELECT pg_terminate_backend(pg_backend_pid())")));
    assert!(!is_gone(&fails("SELECT 1/0")));
    let inside = std::io::Error::other(diesel::result::Error::RollbackTransaction);
    assert!(!is_gone(&inside.into()));
    let nowhere = PgConnection::establish("postgres:///nowhere?host=/nowhere").err().unwrap();
    assert!(is_gone(&nowhere.into()));
}

// ---- forms -------------------------------------------------------------------------

/// A part of a form: its name, the name of its file if it is one, and what is in it.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// A form as a browser sends it, without the line that ends it.
fn unended(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body.extend(format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body
}

impl Desk {
    async fn sends(&self, path: &str, body: Vec<u8>) -> Answer {
        let request = TestRequest::post()
            .uri(path)
            .insert_header(("Sec-Fetch-Site", "same-origin"))
            .insert_header(("Content-Type", "multipart/form-data; boundary=edge"))
            .set_payload(body);
        self.send(request.cookie(self.cookie().clone())).await
    }

    async fn sends_form(&self, path: &str, parts: &[Part<'_>]) -> Answer {
        self.sends(path, [unended(parts), b"--edge--\r\n".to_vec()].concat()).await
    }
}

const PEOPLE: &[u8] = b"Phone,Name\n+353861234567,Anna\n";

#[actix_web::test]
async fn a_form_with_several_files_or_without_an_end_keeps_none() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let campaign = desk.fill_in("/campaigns", &[("name", "Offer"), ("kind", "once_off"), ("time_zone", "UTC")]).await;
    let draft = campaign.location.unwrap().strip_suffix("/edit").unwrap().to_owned();
    let daily = desk.daily("Daily", "", &[("Main", "09:00-10:00", 60.0, None)]).await.0;
    let before = desk.number("SELECT count(*) AS n FROM files");
    for path in ["/files", &format!("{draft}/file"), &format!("/campaigns/{daily}/drops")] {
        let file = ("file", Some("a.csv"), PEOPLE);
        let several = desk.sends_form(path, &[file, file, file]).await;
        assert!([409, 422].contains(&several.status), "{path}: {}", several.status);
        several.shows("This form brought more than one file, and none of them was kept.");
        let cut = desk.sends(path, unended(&[file, ("file", Some("b.csv"), PEOPLE)])).await;
        assert_eq!(cut.status, 422, "{path}");
        cut.shows("The upload broke off before the file was complete.");
        assert_eq!(desk.number("SELECT count(*) AS n FROM files"), before, "{path}");
    }
    // A field that nothing was chosen in is none.
    let one = [("file", Some("a.csv"), PEOPLE), ("file", Some(""), b"" as &[u8])];
    assert_eq!(desk.sends_form("/files", &one).await.status, 303);
}

#[actix_web::test]
async fn a_form_has_one_budget_for_everything_in_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let long = "x".repeat(7000);
    for path in ["/blocklist/import", "/lists", "/lists/check", "/bots/import", "/campaigns/quick", "/files"] {
        let many: Vec<Part<'_>> = (0..101).map(|_| ("f", None, b"" as &[u8])).collect();
        let answer = desk.sends_form(path, &many).await;
        assert_eq!(answer.status, 422, "{path}");
        answer.shows("This form has more parts than any of ours");
    }
    for path in ["/blocklist/import", "/lists", "/bots/import"] {
        // Nothing but names; then one text that is too long; then more than anybody reads.
        let names: Vec<Part<'_>> = (0..2500).map(|_| (long.as_str(), None, b"" as &[u8])).collect();
        let large = vec![b'1'; 17 << 20];
        for parts in [&names[..], &[("text", None, &large)], &[("text", None, &large), ("text", None, &large)]] {
            let answer = desk.sends_form(path, parts).await;
            assert_eq!(answer.status, 413, "{path}");
            answer.shows("At most 16 MiB fit here");
        }
    }
}

#[actix_web::test]
async fn of_a_form_past_twice_its_budget_nothing_is_read_any_more() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let came = Rc::new(Cell::new(0));
    let counted = came.clone();
    let head = Bytes::from_static(b"--edge\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n");
    let pieces = (0..64).map(move |_| {
        counted.set(counted.get() + 1);
        Ok::<_, PayloadError>(Bytes::from(vec![b'1'; 1 << 20]))
    });
    let body = stream::iter([Ok(head)].into_iter().chain(pieces)).boxed_local();
    let request = TestRequest::post()
        .uri("/blocklist/import")
        .insert_header(("Sec-Fetch-Site", "same-origin"))
        .insert_header(("Content-Type", "multipart/form-data; boundary=edge"))
        .cookie(desk.cookie().clone());
    let request = request.to_request().replace_payload(Payload::Stream { payload: body }).0;
    let service = test::init_service(server::app(desk.app.clone(), Key::from(&[7; 64]))).await;
    assert_eq!(test::call_service(&service, request).await.status().as_u16(), 413);
    assert!(came.get() <= 33, "{} MiB were read", came.get());
}

#[actix_web::test]
async fn fields_that_a_form_does_not_have_are_not_kept() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let large = vec![b'x'; 512 << 10];
    let key = uuid::Uuid::new_v4().to_string();
    let names: Vec<String> = (0..50).map(|n| format!("f{n}")).collect();
    // Ten times what the texts of a form may have.
    let unknown = names.iter().map(|name| (name.as_str(), None, large.as_slice()));
    let parts: Vec<Part<'_>> = [("start_key", None, key.as_bytes())].into_iter().chain(unknown).collect();
    let answer = desk.sends_form("/campaigns/quick", &parts).await;
    assert_eq!(answer.status, 422);
    answer.shows("Give the campaign a name.");
    let known = [("start_key", None, key.as_bytes()), ("body", None, &large.repeat(11))];
    let answer = desk.sends_form("/campaigns/quick", &known).await;
    assert_eq!(answer.status, 413);
    answer.shows("At most 5 MiB fit here");
}

#[actix_web::test]
async fn what_was_sent_off_already_stores_no_other_file() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let (key, channel) = (uuid::Uuid::new_v4().to_string(), desk.channel.to_string());
    let texts = [
        ("start_key", key.as_str()),
        ("name", "Offer"),
        ("channel", &channel),
        ("region", "everywhere"),
        ("body", "Hello"),
        ("when", "now"),
        ("rate", "60"),
        ("to", "file"),
    ];
    let texts = texts.iter().map(|(name, text)| (*name, None, text.as_bytes()));
    let parts: Vec<Part<'_>> = texts.chain([("file", Some("a.csv"), PEOPLE)]).collect();
    let first = desk.sends_form("/campaigns/quick", &parts).await;
    let second = desk.sends_form("/campaigns/quick", &parts).await;
    assert_eq!((first.status, second.status), (303, 303));
    assert_eq!(first.location, second.location);
    assert_eq!(desk.number("SELECT count(*) AS n FROM files"), 1);
}

#[actix_web::test]
async fn of_very_many_pasted_lines_the_bad_ones_are_counted() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let bad = "1\n".repeat(150_000);
    let region = ("region", None, b"IE" as &[u8]);
    let text = ("text", None, bad.as_bytes());
    let page = desk.sends_form("/blocklist/import", &[region, text]).await;
    assert_eq!(page.status, 422);
    page.shows("150,000 could not be read");
    assert_eq!(page.html.matches("is not a phone number in Ireland").count(), 200);

    let page = desk.sends_form("/lists", &[("name", None, b"All"), region, text]).await;
    assert_eq!(page.status, 422);
    page.shows("150000 left out");
    assert!(page.html.matches("is not a phone number in Ireland").count() <= 200);

    let kept = read_pasted(Kind::Sms, &bad, "IE", TwoWays::LeaveOut);
    assert_eq!((kept.n_bad, kept.bad.len()), (150_000, 200), "the others are only counted");

    let good = format!("0861234567\n{bad}086 123 4567\n");
    let page = desk.sends_form("/lists", &[("name", None, b"All"), region, ("text", None, good.as_bytes())]).await;
    assert_eq!(page.status, 303);
    desk.visit(&page.location.unwrap()).await.shows("1 address added, 1 there again, 150000 left out.");
    assert_eq!(desk.number("SELECT count(*) AS n FROM contacts"), 1);
}

#[actix_web::test]
async fn files_are_listed_and_those_that_nothing_refers_to_can_be_deleted() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.campaign("Offer", 2, "10:00-11:00", 60.0).await;
    let loose = desk.upload("/files", "loose.csv", PEOPLE, &[]).await.location.unwrap();
    let page = desk.visit("/files").await;
    page.shows(">people.csv</a>");
    page.shows(">Offer</a>");
    page.shows(r#"action="/files/2/delete""#);
    page.lacks(r#"action="/files/1/delete""#);
    page.shows("by Ada");
    desk.visit(&loose).await.shows(r#"href="/files""#);

    let used = desk.submit("/files/1/delete").await;
    assert_eq!(used.status, 409);
    used.shows("A campaign, a run or a day's drop refers to this file.");
    desk.fill_in("/files/2/import", &[("use-0", "channel_id"), ("region", "IE")]).await;
    assert_eq!(desk.submit("/files/2/delete").await.status, 409);
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(desk.submit("/files/2/delete").await.status, 303);
    desk.visit("/files").await.lacks("loose.csv");
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_rows WHERE file_id = 2"), 0);
    assert_eq!(desk.number("SELECT count(*) AS n FROM file_chunks"), 0);
    assert_eq!(
        desk.number("SELECT count(*) AS n FROM journal WHERE happened = 'file.deleted' AND user_id IS NOT NULL"),
        1
    );

    desk.gives_the_admin_the_role(bugle::access::Role::Viewer);
    assert_eq!(desk.submit("/files/1/delete").await.status, 403);
    desk.visit("/files").await.lacks("/delete");
}
