//! A campaign file comes in, is mapped, imported, followed and corrected.

use std::io::Write as _;

use bugle::engine::importer;
use bugle::files::domain::FileCounts;
use bugle::files::import::{self, Ended};
use bugle::files::store::{self, HeardImporter};
use bugle::ids::FileId;
use bugle::pacing::LatePolicy;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use uuid::Uuid;

use crate::desk::Desk;

const CONTACTS: &str = "Phone,Customer,Name,City\n\
    086 123 4567,17,Anna,Cork\n\
    +353 86 123 4568,,Ben,\n\
    07911 1,19,Carl,Dublin\n\
    00353861234567,20,Anna again,\n\
    ,21,Nobody,Galway\n\
    0861234569,22,Dora,Sligo\n";

#[actix_web::test]
async fn good_rows_are_taken_and_bad_ones_are_told() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let page = desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[("campaign", "7")]).await;
    assert_eq!((page.status, page.location.as_deref().unwrap_or_default()), (303, "/files/1?campaign=7"));

    let page = desk.visit("/files/1?campaign=7").await;
    page.shows("What are the columns of march.csv?");
    page.shows("CSV in UTF-8, separated by commas");
    page.shows(r#"<option value="channel_id" selected>"#);
    page.shows(r#"<option value="customer_id" selected>"#);
    page.shows("086 123 4567");

    let page = desk.fill_in("/files/1/import?campaign=7", &mapping("IE")).await;
    assert_eq!((page.status, page.location.as_deref().unwrap_or_default()), (303, "/files/1?campaign=7"));
    let page = desk.visit("/files/1/panel?campaign=7").await;
    page.shows("Waiting for its turn.");
    page.shows(r#"hx-get="/files/1/panel?campaign=7" hx-trigger="every 1s""#);

    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);

    let page = desk.visit("/files/1?campaign=7").await;
    page.shows("3 contacts from march.csv");
    page.shows("07911 1 is not a phone number in Ireland. Write it with its country code, such as +353…");
    page.shows("Row 2 has the same Phone. That row is used, this one is not.");
    page.shows("There is no phone number in this row.");
    page.shows("#City is empty in 1 of the good rows.");
    page.shows(r#"href="/campaigns/7""#);
    page.lacks(r#"hx-trigger="every"#);
    assert_eq!(
        desk.rows(1),
        [
            r#"1 2 353861234567 17 {"City": "Cork", "Name": "Anna", "Customer": "17"}"#,
            r#"2 3 353861234568 - {"Name": "Ben"}"#,
            r#"3 7 353861234569 22 {"City": "Sligo", "Name": "Dora", "Customer": "22"}"#,
        ]
    );
    desk.visit("/files/1/rows").await.shows("353861234569");

    let csv = desk.visit("/files/1/problems.csv").await;
    assert_eq!(
        csv.html.lines().collect::<Vec<_>>(),
        [
            "\u{feff}Row,Column,Value,Code,Problem",
            "4,Phone,07911 1,invalid_address,\"07911 1 is not a phone number in Ireland. Write it with its country code, such as +353….\"",
            "5,Phone,353861234567,duplicate,\"Row 2 has the same Phone. That row is used, this one is not.\"",
            "6,Phone,,missing_address,\"There is no phone number in this row. Add it, or leave the row out.\"",
        ]
    );
}

#[actix_web::test]
async fn one_person_in_two_files_is_one_contact() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    for (n, text) in [(1, "Phone\n0861234567\n0861234568\n"), (2, "Phone\n+353861234568\n+353861234569\n")] {
        desk.import(n, text.as_bytes(), "IE").await;
    }
    assert_eq!(desk.count("SELECT count(*) AS n FROM contacts WHERE kind = 'sms'"), 3);
    let shared = "SELECT count(DISTINCT contact_id) AS n FROM file_rows WHERE address = '353861234568'";
    assert_eq!((desk.count(shared), desk.count("SELECT count(*) AS n FROM file_rows")), (1, 4));
}

#[actix_web::test]
async fn a_wrong_mapping_comes_back_with_what_was_chosen() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;

    let both = [("use-0", "channel_id"), ("use-1", "channel_id"), ("use-2", "ignore"), ("region", "DE")];
    let page = desk.fill_in("/files/1/import", &both).await;
    assert_eq!(page.status, 422);
    page.shows("Only one column can be the channel ID. Now it is Phone and Customer.");
    page.shows(r#"<option value="DE" selected>"#);
    page.shows(r#"<option value="ignore" selected>"#);

    let page = desk.fill_in("/files/1/import", &[("use-0", "data"), ("region", "IE")]).await;
    page.shows("Choose which column holds the channel ID");
    let page = desk.fill_in("/files/1/import", &[("use-0", "channel_id")]).await;
    page.shows("Choose the country that numbers without a country code belong to.");
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 0);
}

#[actix_web::test]
async fn a_file_that_is_no_table_is_refused_with_what_to_do() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let wide = (0..1001).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let zip = archive(&[("readme.txt", "hello")]);
    let word = archive(&[("word/document.xml", "<w:document/>")]);
    let garbage = format!("{}\nx\n", "no names ".repeat(20));
    let cases: [(&str, &[u8], &str); 14] = [
        ("a.csv", garbage.as_bytes(), "This is not a table: its first row is one long text."),
        ("a.csv", b"", "The file is empty."),
        ("a.csv", b"Phone,Name\n", "has a header row and nothing below it"),
        ("a.csv", b"Phone,,Name\n1,2,3\n", "Column B has no name"),
        ("a.csv", b"Phone,Name,name\n1,2,3\n", "the same name more than once: name"),
        ("a.csv", b"0861234567,Anna\n0861234568,Ben\n", "it holds 0861234567"),
        ("a.csv", b"Phone,Name\n0861234567,\"Anna\n0861234568,Ben\n", "A quotation mark opens in row 2"),
        ("a.csv", b"%PDF-1.7 \xe2\xe3\xcf\xd3", "This is a PDF, whatever its name says."),
        ("a.xls", b"<html><table><tr><td>1", "This is a web page"),
        ("a.csv", &zip, "This is a ZIP archive"),
        ("a.xlsx", &word, "This is a Word document"),
        ("a.xlsx", b"PK\x03\x04 and then nothing", "The workbook cannot be opened"),
        ("a.csv", &[0, 1, 2, 3, 200, 250, 5, 6, 7].repeat(99), "This is neither text nor a workbook."),
        ("a.csv", wide.as_bytes(), "The file has 1001 columns."),
    ];
    for (name, bytes, says) in cases {
        let page = desk.upload("/files", name, bytes, &[("campaign", "7")]).await;
        assert_eq!(page.status, 422, "{says}");
        page.shows(says);
        page.shows(r#"<input type="hidden" name="campaign" value="7">"#);
    }
    assert_eq!(desk.upload("/files", "", b"", &[]).await.status, 422);
    assert_eq!(desk.count("SELECT count(*) AS n FROM files"), 0, "nothing of them is kept");
}

#[actix_web::test]
async fn odd_tables_are_read_as_far_as_they_go() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    let header = (0..199).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let wide = format!("Phone,{header}\n0861234567,{}\n", vec!["x"; 199].join(","));
    desk.import(1, wide.as_bytes(), "IE").await;
    assert_eq!(desk.count("SELECT count(*) AS n FROM file_rows, jsonb_object_keys(\"values\") WHERE file_id = 1"), 199);

    let huge = format!("Phone,Name\n0861234567,{}\n0861234568,Ben\n", "x".repeat(1 << 20));
    desk.import(2, huge.as_bytes(), "IE").await;
    assert_eq!(desk.problems(2), ["2 Name too_long This value has 1048576 characters. At most 10000 fit here."]);
    assert_eq!(desk.rows(2), [r#"1 3 353861234568 - {"Name": "Ben"}"#]);

    let ragged = "Phone;Name\n0861234567\n0861234568;Ben;x\n\n0861234569;Dora\n";
    desk.import(3, ragged.as_bytes(), "IE").await;
    assert_eq!(desk.rows(3), ["1 2 353861234567 - {}", r#"2 5 353861234569 - {"Name": "Dora"}"#]);
    assert_eq!(
        desk.problems(3),
        [
            "3 other_columns This row has 3 fields and the header row has 2. A text with the separator in it needs quotes around it."
        ]
    );

    desk.import(4, b"Phone,Name\n0861234567,nul\0\n0861234568,Zo\xeb\n", "IE").await;
    assert_eq!(desk.rows(4), [r#"1 3 353861234568 - {"Name": "Zoë"}"#]);
    assert!(desk.problems(4)[0].starts_with("2 Name unreadable_text"), "{:?}", desk.problems(4));

    let utf16: Vec<u8> =
        "\u{feff}Phone\tName\r\n0861234567\tZoë\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    desk.import(5, &utf16, "IE").await;
    assert_eq!(desk.rows(5), [r#"1 2 353861234567 - {"Name": "Zoë"}"#]);
}

#[actix_web::test]
async fn workbooks_are_read_by_their_first_sheet() {
    let desk = Desk::open_at("2026-03-02 09:00").await;

    desk.import_named("contacts.xls", 1, include_bytes!("../fixtures/files/contacts.xls"), "IE").await;
    assert_eq!(
        desk.rows(1),
        [
            r#"1 2 353861234567 - {"Due": "2026-03-02", "Name": "Zoë", "Active": "TRUE", "Balance": "12.5"}"#,
            r#"2 4 353861234568 - {"Name": "Ben", "Note": "after an empty row"}"#,
        ]
    );
    assert!(desk.problems(1)[0].starts_with("5 Phone invalid_address"));

    // A workbook under a wrong name is read for what it is.
    let workbook = xlsx(
        "<row r=\"1\"><c t=\"inlineStr\"><is><t>Phone</t></is></c><c t=\"inlineStr\"><is><t>Name</t></is></c></row>\
         <row r=\"2\"><c r=\"A2\"><v>3.53861234567E11</v></c><c r=\"B2\" t=\"inlineStr\"><is><t>Anna</t></is></c></row>\
         <row r=\"5\"><c r=\"A5\"><v>353861234568</v></c><c r=\"B5\" t=\"e\"><v>#N/A</v></c></row>",
    );
    let page = desk.upload("/files", "really.csv", &workbook, &[]).await;
    assert_eq!(page.location.as_deref(), Some("/files/2"), "{}", page.html);
    desk.visit("/files/2").await.shows("Its name ends in .csv, but its content is Excel workbook (.xlsx)");
    desk.fill_in("/files/2/import", &mapping("IE")).await;
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(desk.rows(2), [r#"1 2 353861234567 Anna {"Name": "Anna"}"#]);
    assert_eq!(
        desk.problems(2),
        ["5 Name cell_error The formula in this cell ended in #N/A. Correct it in the spreadsheet."]
    );
}

#[actix_web::test]
async fn what_other_programs_make_of_a_csv_is_read_as_they_mean_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let text = "sep=;\r\n\r\n;Phone; \"First\u{a0}\u{200b} name\";;Note\r\n;=\"0861234567\"; \"Byrne; Anna\"\r\n;0861234568;Ben;;#REF!\r\n;0861234569\r\n";
    desk.import(1, text.as_bytes(), "IE").await;
    assert_eq!(desk.rows(1), [r#"1 3 353861234567 - {"First name": "Byrne; Anna"}"#, "2 5 353861234569 - {}"]);
    assert_eq!(
        desk.problems(1),
        ["4 Note cell_error The formula in this cell ended in #REF!. Correct it in the spreadsheet.",]
    );
}

#[actix_web::test]
async fn one_bad_byte_spoils_its_row_and_no_other() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let text = b"Phone,Name\n0861234567,Zo\xc3\xab\n0861234568,Siobh\xc3\xa1n\n0861234569,Ren\xe9\n";
    desk.import(1, text, "IE").await;
    assert_eq!(desk.rows(1), [r#"1 2 353861234567 - {"Name": "Zoë"}"#, r#"2 3 353861234568 - {"Name": "Siobhán"}"#]);
    assert!(desk.problems(1)[0].starts_with("4 Name unreadable_text"), "{:?}", desk.problems(1));
}

#[actix_web::test]
async fn somebody_says_how_a_file_is_read_and_sees_it_before_the_import() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let text = b"Our customers,as of May\nPhone,Name\n0861234567,\xa3ukasz \x8cliwa\n0861234568,Ben\n";
    desk.upload("/files", "march.csv", text, &[]).await;
    let page = desk.visit("/files/1").await;
    page.shows("Our customers");
    page.shows(r#"<option value="1" selected>1</option>"#);
    page.shows("<label for=\"encoding\">Encoding</label>");

    let reading = [("encoding", "windows-1250"), ("header_row", "2")];
    assert_eq!(desk.fill_in("/files/1/read", &reading).await.location.as_deref(), Some("/files/1"));
    let page = desk.visit("/files/1").await;
    page.shows("CSV in Windows-1250, Central European, separated by commas.");
    page.shows("Łukasz Śliwa");
    page.shows(r#"<option value="2" selected>2</option>"#);
    page.lacks("Our customers");

    // What cannot be read like that stays as it was.
    let page = desk.fill_in("/files/1/read", &[("encoding", "windows-1250"), ("header_row", "3")]).await;
    assert_eq!(page.status, 422);
    page.shows("Read like that, it is no table. The first row has to name the columns, but it holds 0861234567.");
    page.shows(r#"<option value="2" selected>2</option>"#);

    desk.fill_in("/files/1/import", &[("use-0", "channel_id"), ("use-1", "data"), ("region", "IE")]).await;
    assert_eq!(desk.fill_in("/files/1/read", &reading).await.status, 409, "it is being imported");
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(
        desk.rows(1),
        [r#"1 3 353861234567 - {"Name": "Łukasz Śliwa"}"#, r#"2 4 353861234568 - {"Name": "Ben"}"#]
    );
    let noted = "SELECT concat_ws(' > ', was, became) AS line FROM journal WHERE happened = 'file.read_anew'";
    let [noted] = &desk.texts(noted)[..] else { panic!("one entry") };
    assert!(noted.ends_with("header in row 1 > Windows-1250, Central European, header in row 2"), "{noted}");
}

#[actix_web::test]
async fn a_title_above_the_header_row_is_passed_over() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let workbook = xlsx(
        "<row r=\"1\"><c t=\"inlineStr\"><is><t>Our customers</t></is></c></row>\
         <row r=\"3\"><c t=\"inlineStr\"><is><t>Phone</t></is></c><c t=\"inlineStr\"><is><t>Name</t></is></c></row>\
         <row r=\"4\"><c><v>353861234567</v></c><c t=\"inlineStr\"><is><t>Anna</t></is></c></row>\
         <row r=\"5\"><c/><c t=\"inlineStr\"><is><t>Ben</t></is></c></row>",
    );
    desk.import_named("titled.xlsx", 1, &workbook, "IE").await;
    desk.visit("/files/1").await.shows(r#"<dt>Rows read</dt><dd class="num">2</dd>"#);
    assert_eq!(desk.rows(1), [r#"1 4 353861234567 - {"Name": "Anna"}"#]);
    assert!(desk.problems(1)[0].starts_with("5 Phone missing_address"), "{:?}", desk.problems(1));
}

/// Rows of a sheet, each with its cells.
fn sheet_of(rows: &[&[&str]]) -> String {
    let cell = |text: &&str| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let row = |(n, cells): (usize, &&[&str])| {
        format!("<row r=\"{}\">{}</row>", n + 1, cells.iter().map(cell).collect::<String>())
    };
    rows.iter().enumerate().map(row).collect()
}

#[actix_web::test]
async fn the_sheet_with_the_contacts_is_found_named_and_can_be_chosen() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let notes = sheet_of(&[&["Topic", "Note"], &["Opening", "Later this week"]]);
    let people = sheet_of(&[&["Phone", "Name"], &["+353861234501", "Ann"]]);
    let others = sheet_of(&[&["Whom", "Goal"], &["Bob", "+353861234502"]]);
    let book = workbook(&[("Empty", ""), ("Notes", &notes), ("People", &people), ("Of March", &others)]);
    desk.upload("/files", "march.xlsx", &book, &[]).await;
    let page = desk.visit("/files/1").await;
    page.shows("Excel workbook (.xlsx), sheet “People”.");
    page.shows("+353861234501");
    page.shows(r#"<option value="3">Of March</option>"#);

    // Another one is chosen, with a header row of its own.
    let page = desk.fill_in("/files/1/read", &[("sheet", "3"), ("header_row", "1")]).await;
    assert_eq!(page.status, 303, "{}", page.html);
    desk.visit("/files/1").await.shows("sheet “Of March”.");
    let form = [("use-0", "data"), ("use-1", "channel_id"), ("region", "IE")];
    assert_eq!(desk.fill_in("/files/1/import", &form).await.status, 303);
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    let taken = desk.number("SELECT address::bigint AS n FROM file_rows");
    assert_eq!(taken, 353_861_234_502, "what the page showed is what is taken");
    let noted =
        "SELECT count(*) AS n FROM journal WHERE was LIKE '%sheet “People”%' AND became LIKE '%sheet “Of March”%'";
    assert_eq!(desk.number(noted), 1);

    // Where no sheet certainly has phone numbers, it is the first that is a table; of one sheet nothing is said.
    let book = workbook(&[("Empty", ""), ("Notes", &notes), ("Of March", &others)]);
    desk.upload("/files", "april.xlsx", &book, &[]).await;
    desk.visit("/files/2").await.shows("sheet “Notes”.");
    desk.upload("/files", "may.xlsx", &xlsx(&people), &[]).await;
    desk.visit("/files/3").await.lacks("sheet “");
}

#[actix_web::test]
async fn rows_that_a_workbook_hides_are_left_out_unless_somebody_wants_them() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let workbook = xlsx(
        "<row r=\"1\"><c t=\"inlineStr\"><is><t>Phone</t></is></c></row>\
         <row r=\"2\"><c><v>353861234567</v></c></row>\
         <row r=\"3\" hidden=\"1\"><c><v>353861234568</v></c></row>\
         <row r=\"4\"><c><v>353861234569</v></c></row>",
    );
    for (n, takes) in [(1, false), (2, true)] {
        desk.upload("/files", "filtered.xlsx", &workbook, &[]).await;
        let page = desk.visit(&format!("/files/{n}")).await;
        page.shows("1 row is hidden or filtered out in the workbook. It is left out.");
        page.lacks("353861234568");
        if takes {
            let reading = [("header_row", "1"), ("hidden", "on")];
            desk.fill_in(&format!("/files/{n}/read"), &reading).await;
            let page = desk.visit(&format!("/files/{n}")).await;
            page.shows("It is taken like the others.");
            page.shows("353861234568");
        }
        desk.fill_in(&format!("/files/{n}/import"), &[("use-0", "channel_id"), ("region", "IE")]).await;
        importer::tick(&desk.app).await.unwrap();
    }
    assert_eq!(desk.rows(1), ["1 2 353861234567 - {}", "2 4 353861234569 - {}"]);
    desk.visit("/files/1").await.shows("1 row that is hidden or filtered out in the workbook was left out.");
    assert_eq!(desk.rows(2).len(), 3);

    let all = xlsx(
        "<row r=\"1\"><c t=\"inlineStr\"><is><t>Phone</t></is></c></row>\
         <row r=\"2\" hidden=\"1\"><c><v>353861234567</v></c></row>",
    );
    desk.import(3, &all, "IE").await;
    desk.visit("/files/3").await.shows("All rows of the workbook are hidden or filtered out.");
}

#[actix_web::test]
async fn a_formula_that_was_never_calculated_is_told_as_that() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let workbook = xlsx(
        "<row r=\"1\"><c t=\"inlineStr\"><is><t>Phone</t></is></c></row>\
         <row r=\"2\"><c><f>CONCATENATE(\"0\",B2)</f><v></v></c></row>\
         <row r=\"3\"><c><v>353861234568</v></c></row>",
    );
    desk.import(1, &workbook, "IE").await;
    assert_eq!(desk.rows(1), ["1 3 353861234568 - {}"]);
    assert_eq!(
        desk.problems(1),
        [
            "2 Phone never_calculated The formula in this cell was never calculated: open the workbook, save it and upload it again."
        ]
    );
}

#[actix_web::test]
async fn the_page_follows_an_import() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.fill_in("/files/1/import", &mapping("IE")).await;
    let claim = desk.claim();
    let later = desk.app.clock.now() + TimeDelta::seconds(60);
    let size = CONTACTS.len() as i64;
    let mut counts = FileCounts { bytes_done: size / 2, done: 20_000, good: 19_990, bad: 10, ..FileCounts::default() };
    assert_eq!(desk.db(|conn| store::pulse(conn, &claim, &counts, later).unwrap()), HeardImporter::GoOn);
    let page = desk.visit("/files/1/panel").await;
    page.shows(&format!("20,000 rows read, {} % of the file: 19,990 good, 10 with problems.", size / 2 * 100 / size));
    page.shows("Cancel the import");

    counts.bytes_done = size;
    desk.db(|conn| store::pulse(conn, &claim, &counts, later).unwrap());
    desk.visit("/files/1/panel").await.shows("All 20,000 rows are read. Storing 19,990 good ones");

    desk.fill_in("/files/1/cancel", &[]).await;
    assert_eq!(desk.db(|conn| store::pulse(conn, &claim, &counts, later).unwrap()), HeardImporter::Cancel);
}

#[actix_web::test]
async fn a_cancelled_import_leaves_nothing_and_can_be_repeated() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.fill_in("/files/1/import", &mapping("IE")).await;

    assert_eq!(desk.fill_in("/files/1/cancel", &[]).await.status, 303);
    desk.visit("/files/1").await.shows("Cancelling…");
    importer::tick(&desk.app).await.unwrap();
    desk.visit("/files/1").await.shows("The import was cancelled.");
    assert_eq!(desk.fill_in("/files/1/cancel", &[]).await.status, 409);
    assert_eq!(desk.count("SELECT count(*) AS n FROM file_rows"), 0);
    assert_eq!(desk.count("SELECT count(*) AS n FROM file_problems"), 0);
    assert_eq!(desk.count("SELECT count(*) AS n FROM contacts"), 0);

    desk.fill_in("/files/1/import", &mapping("IE")).await;
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(desk.rows(1).len(), 3);
    assert_eq!(desk.fill_in("/files/1/import", &mapping("IE")).await.status, 409);
}

#[actix_web::test]
async fn an_import_cancelled_at_its_very_end_is_cancelled() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.fill_in("/files/1/import", &mapping("IE")).await;
    let claim = desk.claim();
    desk.fill_in("/files/1/cancel", &[]).await;
    assert_eq!(import::run(&desk.app.db, &desk.app.clock, &claim).unwrap(), Ended::Cancelled);
    // Its last word is refused as well, whenever the click comes.
    desk.fill_in("/files/1/import", &mapping("IE")).await;
    let claim = desk.claim();
    desk.fill_in("/files/1/cancel", &[]).await;
    let finished = desk.db(|conn| {
        store::finish(conn, &claim, &Default::default(), &serde_json::json!({}), bugle::clock::Clock::default().now())
    });
    assert!(!finished.unwrap());
}

#[actix_web::test]
async fn an_import_whose_worker_died_starts_over() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.fill_in("/files/1/import", &mapping("IE")).await;

    // A worker takes the file, stages rows, and is never heard of again.
    let dead = desk.claim();
    let mut its_conn = desk.app.db.open().unwrap();
    store::open_staging(&mut its_conn).unwrap();
    let mut rows = store::Pack::default();
    rows.add_row(1, 2, "353861234567", None, b"{}");
    store::stage(&mut its_conn, &rows, &store::Pack::default()).unwrap();

    assert_eq!(importer::tick(&desk.app).await.unwrap(), 0, "its lease still holds");
    desk.wait(TimeDelta::seconds(61));
    assert_eq!(importer::tick(&desk.app).await.unwrap(), 1);
    assert_eq!(desk.rows(1).len(), 3);

    // It was only slow: now it goes on, and finds the file done.
    assert_eq!(import::run(&desk.app.db, &desk.app.clock, &dead).unwrap(), Ended::Lost);
    assert_eq!(desk.rows(1).len(), 3);
    assert_eq!(desk.problems(1).len(), 3);
}

#[actix_web::test]
async fn a_worker_that_lost_its_lease_publishes_nothing() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.fill_in("/files/1/import", &mapping("IE")).await;
    let slow = desk.claim();
    desk.wait(TimeDelta::seconds(61));
    let quick = desk.claim();
    assert_eq!(import::run(&desk.app.db, &desk.app.clock, &slow).unwrap(), Ended::Lost);
    assert!(desk.rows(1).is_empty());
    assert_eq!(import::run(&desk.app.db, &desk.app.clock, &quick).unwrap(), Ended::Imported);
    assert_eq!(desk.rows(1).len(), 3);
}

#[actix_web::test]
async fn two_workers_share_the_files_between_them() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    // The same numbers in opposite order: neither may wait for the other for ever.
    let numbers: Vec<String> = (0..3000).map(|i| format!("+35386{:07}", 1_000_000 + i)).collect();
    for n in 1..=6 {
        let mut lines = numbers.clone();
        if n % 2 == 0 {
            lines.reverse();
        }
        let text = format!("Phone\n{}\n", lines.join("\n"));
        desk.upload("/files", &format!("{n}.csv"), text.as_bytes(), &[]).await;
        desk.fill_in(&format!("/files/{n}/import"), &mapping("IE")).await;
    }
    let (one, two) = tokio::join!(importer::tick(&desk.app), importer::tick(&desk.app));
    assert_eq!(one.unwrap() + two.unwrap(), 6);
    assert_eq!(desk.count("SELECT count(*) AS n FROM contacts"), 3000);
    assert_eq!(desk.count("SELECT count(*) AS n FROM file_rows"), 18_000);
    let gaps = "SELECT count(*) AS n FROM (SELECT file_id FROM file_rows GROUP BY file_id HAVING max(seq) <> 3000) g";
    assert_eq!(desk.count(gaps), 0);
}

#[actix_web::test]
async fn an_address_that_somebody_adds_meanwhile_is_shared() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.fill_in("/files/1/import", &mapping("IE")).await;
    let claim = desk.claim();

    let mut somebody = desk.app.db.open().unwrap();
    let added = "BEGIN; INSERT INTO contacts (kind, address) VALUES ('sms', '353861234567')";
    somebody.batch_execute(added).unwrap();
    let ended = std::thread::scope(|scope| {
        let import = scope.spawn(|| import::run(&desk.app.db, &desk.app.clock, &claim).unwrap());
        let waiting = "SELECT count(*) AS n FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while desk.count(waiting) == 0 {
            assert!(!import.is_finished(), "the import did not wait for the other transaction");
        }
        somebody.batch_execute("COMMIT").unwrap();
        import.join().unwrap()
    });
    assert_eq!(ended, Ended::Imported);
    assert_eq!(desk.rows(1).len(), 3);
    assert_eq!(desk.count("SELECT count(*) AS n FROM contacts"), 3);
}

#[actix_web::test]
async fn a_file_takes_its_rows_with_it() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.import(1, b"Phone\n0861234567\n", "IE").await;
    desk.import(2, b"Phone\n0861234567\n", "IE").await;
    desk.db(|conn| conn.batch_execute("DELETE FROM files WHERE id = 1").unwrap());
    assert_eq!((desk.rows(1).len(), desk.rows(2).len()), (0, 1));
}

#[actix_web::test]
async fn many_batches_end_in_one_numbering() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    let mut text = String::from("Phone,n\n");
    for i in 0..50_000 {
        // Every tenth repeats the number of the row before.
        let number = 1_000_000 + if i % 10 == 9 { i - 1 } else { i };
        text.push_str(&format!("+35386{number:07},{i}\n"));
    }
    desk.import(1, text.as_bytes(), "IE").await;
    assert_eq!(desk.count("SELECT rows_good AS n FROM files"), 45_000);
    assert_eq!(desk.count("SELECT rows_duplicate AS n FROM files"), 5_000);
    assert_eq!(desk.count("SELECT max(seq)::bigint AS n FROM file_rows"), 45_000);
    let misplaced =
        "SELECT count(*) AS n FROM file_rows a JOIN file_rows b ON b.seq = a.seq + 1 WHERE b.line <= a.line";
    assert_eq!(desk.count(misplaced), 0);
    let csv = desk.visit("/files/1/problems.csv").await;
    assert_eq!(csv.html.lines().count(), 5_001);
}

#[actix_web::test]
async fn who_may_only_look_may_not_import() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await;
    desk.gives_the_admin_the_role(bugle::access::Role::Viewer);
    assert_eq!(desk.upload("/files", "march.csv", CONTACTS.as_bytes(), &[]).await.status, 403);
    assert_eq!(desk.fill_in("/files/1/import", &mapping("IE")).await.status, 403);
    assert_eq!(desk.fill_in("/files/1/cancel", &[]).await.status, 403);
    desk.visit("/files/1").await.lacks("action=\"/files/1");
}

fn mapping(region: &str) -> [(&str, &str); 5] {
    [("use-0", "channel_id"), ("use-1", "customer_id"), ("use-2", "data"), ("use-3", "data"), ("region", region)]
}

fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(*name, stored).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The smallest workbook with these rows.
fn xlsx(rows: &str) -> Vec<u8> {
    workbook(&[("S", rows)])
}

/// A workbook of these sheets, each with its name and rows.
fn workbook(sheets: &[(&str, &str)]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const REL: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE_REL: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let (mut list, mut relationships, mut parts) = (String::new(), String::new(), Vec::new());
    for (n, (name, rows)) in (1..).zip(sheets) {
        list.push_str(&format!("<sheet name=\"{name}\" sheetId=\"{n}\" r:id=\"r{n}\"/>"));
        relationships.push_str(&format!(
            "<Relationship Id=\"r{n}\" Type=\"{REL}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>"
        ));
        let sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>");
        parts.push((format!("xl/worksheets/sheet{n}.xml"), sheet));
    }
    let package = format!(
        "<Relationships xmlns=\"{PACKAGE_REL}\"><Relationship Id=\"r1\" Type=\"{REL}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
    );
    let book = format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{REL}\"><sheets>{list}</sheets></workbook>");
    parts.push(("_rels/.rels".to_owned(), package));
    parts.push(("xl/workbook.xml".to_owned(), book));
    let relationships = format!("<Relationships xmlns=\"{PACKAGE_REL}\">{relationships}</Relationships>");
    parts.push(("xl/_rels/workbook.xml.rels".to_owned(), relationships));
    archive(&parts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

impl Desk {
    /// Uploads a file that becomes file `n`, takes the guessed mapping, and imports it.
    async fn import(&self, n: i64, bytes: &[u8], region: &str) {
        self.import_named("file.csv", n, bytes, region).await;
    }

    async fn import_named(&self, name: &str, n: i64, bytes: &[u8], region: &str) {
        let page = self.upload("/files", name, bytes, &[]).await;
        assert_eq!(page.location, Some(format!("/files/{n}")), "{}", page.html);
        let headers = self.db(|conn| store::find(conn, FileId(n)).unwrap()).head.headers;
        let fields: Vec<String> = (0..headers.len()).map(|i| format!("use-{i}")).collect();
        let uses = fields.iter().enumerate().map(|(i, f)| (f.as_str(), if i == 0 { "channel_id" } else { "data" }));
        let form: Vec<_> = uses.chain([("region", region)]).collect();
        let page = self.fill_in(&format!("/files/{n}/import"), &form).await;
        assert_eq!(page.status, 303, "{}", page.html);
        assert_eq!(importer::tick(&self.app).await.unwrap(), 1);
    }

    fn claim(&self) -> store::ImportClaim {
        let now = self.app.clock.now();
        self.db(|conn| store::claim(conn, Uuid::new_v4(), now + TimeDelta::seconds(60), now).unwrap())
            .expect("a file to import")
    }

    fn wait(&self, time: TimeDelta) {
        self.app.clock.set(self.app.clock.now() + time);
    }

    fn count(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        self.db(|conn| diesel::sql_query(sql).get_result::<Count>(conn).unwrap()).n
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            line: String,
        }
        self.db(|conn| diesel::sql_query(sql).load::<Line>(conn).unwrap()).into_iter().map(|line| line.line).collect()
    }

    fn rows(&self, file: i64) -> Vec<String> {
        self.texts(&format!(
            "SELECT concat_ws(' ', seq, line, address, coalesce(customer_id, '-'), \"values\") AS line
             FROM file_rows WHERE file_id = {file} ORDER BY seq"
        ))
    }

    fn problems(&self, file: i64) -> Vec<String> {
        self.texts(&format!(
            "SELECT concat_ws(' ', p.line, field, code, says) AS line FROM file_problems p WHERE file_id = {file} ORDER BY p.line"
        ))
    }
}

const POTSDAM: &str = "Phone,Name\n49331123456,Anna\n0331 123457,Ben\n49331123458,Carl\n";
const GERMAN: [(&str, &str); 3] = [("use-0", "channel_id"), ("use-1", "data"), ("region", "DE")];

/// Numbers that could be read in two ways are left out until somebody chooses, and then all are what was chosen.
#[actix_web::test]
async fn numbers_that_could_be_read_two_ways_are_left_out_until_somebody_chooses() {
    let desk = Desk::open_at("2026-03-02 09:00").await;
    desk.upload("/files", "potsdam.csv", POTSDAM.as_bytes(), &[]).await;
    desk.visit("/files/1").await.shows("Numbers that could be read two ways");
    desk.fill_in("/files/1/import", &GERMAN).await;
    importer::tick(&desk.app).await.unwrap();

    let page = desk.visit("/files/1").await;
    page.shows("2 rows could be read two ways and were left out.");
    page.shows("49331123456 could be <b class=\"num\">+49 331 123456</b> with its country code");
    page.shows("<b class=\"num\">+49 4933 1123456</b> as dialled inside the country");
    assert_eq!(desk.rows(1), [r#"1 3 49331123457 - {"Name": "Ben"}"#]);

    for (choice, words, numbers) in [
        ("inside", "read as dialled inside the country", ["4949331123456", "49331123457", "4949331123458"]),
        ("with_code", "read with their country code in front", ["49331123456", "49331123457", "49331123458"]),
    ] {
        assert_eq!(desk.fill_in("/files/1/two-ways", &[("two_ways", choice)]).await.status, 303);
        desk.visit("/files/1").await.shows("Waiting for its turn.");
        importer::tick(&desk.app).await.unwrap();
        let page = desk.visit("/files/1").await;
        page.shows(&format!("2 rows could be read two ways and were {words}."));
        page.shows(&format!(r#"value="{choice}" checked"#));
        let names = ["Anna", "Ben", "Carl"];
        let rows: Vec<_> =
            (0..3).map(|n| format!(r#"{} {} {} - {{"Name": "{}"}}"#, n + 1, n + 2, numbers[n], names[n])).collect();
        assert_eq!(desk.rows(1), rows);
    }
    desk.fill_in("/files/1/two-ways", &[("two_ways", "leave_out")]).await;
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(desk.rows(1), [r#"1 3 49331123457 - {"Name": "Ben"}"#]);
    assert_eq!(
        desk.lines(
            "SELECT concat_ws(' > ', was, became) AS line FROM journal WHERE happened = 'file.two_ways_chosen' ORDER BY id"
        ),
        [
            "left out > read as dialled inside the country",
            "read as dialled inside the country > read with their country code in front",
            "read with their country code in front > left out",
        ]
    );
    assert_eq!(desk.fill_in("/files/1/two-ways", &[("two_ways", "both")]).await.status, 422);
}

#[actix_web::test]
async fn the_choice_is_made_before_the_import_as_well_and_nobody_changes_it_once_they_were_sent_to() {
    let desk = Desk::open_at("2026-03-02 08:00").await;
    desk.upload("/files", "potsdam.csv", POTSDAM.as_bytes(), &[]).await;
    let wrong = desk.fill_in("/files/1/import", &[("region", "DE"), ("two_ways", "inside")]).await;
    wrong.shows(r#"<option value="inside" selected>"#);
    desk.fill_in("/files/1/import", &[&GERMAN[..], &[("two_ways", "inside")]].concat()).await;
    importer::tick(&desk.app).await.unwrap();
    assert_eq!(desk.count("SELECT rows_good * 10 + rows_two_ways AS n FROM files"), 32);

    // No choice is offered where there is nothing to choose, or where it was chosen by a launch.
    desk.import(2, b"Phone\n0861234567\n", "IE").await;
    desk.visit("/files/2").await.lacks("could be read two ways");
    assert_eq!(desk.fill_in("/files/2/two-ways", &[("two_ways", "inside")]).await.status, 409);
    let (campaign, ..) = desk.campaign_of("Spring", FileId(1), "09:00-10:00", 1.0, LatePolicy::CatchUp).await;
    desk.visit("/files/1").await.lacks("Read the file again");
    let late = desk.fill_in("/files/1/two-ways", &[("two_ways", "with_code")]).await;
    assert_eq!(late.status, 409, "campaign {campaign}");
    late.shows("it stays as it was read");
    assert_eq!(desk.count("SELECT count(*) AS n FROM file_rows WHERE file_id = 1 AND address LIKE '4949%'"), 2);
}
