//! domain: Why nothing can be made of a file.

/// Why nothing can be made of a file. The text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Choose a file first.")]
    NoFile,
    #[error("The file is empty. Upload one with a header row and a row for each contact.")]
    Empty,
    #[error("The file is larger than {most_mib} MiB. Split it into several files and upload them one by one.")]
    TooLarge { most_mib: u64 },
    #[error("The workbook is larger than {most_mib} MiB. Save it as CSV, which may be larger, and upload that.")]
    WorkbookTooLarge { most_mib: u64 },
    #[error("This form brought more than one file, and none of them was kept. Upload them one by one.")]
    SeveralFiles,
    #[error("The upload broke off before the file was complete. Upload it again.")]
    BrokeOff,
    #[error("This is {what}, whatever its name says. Save the table as .xlsx or .csv and upload that.")]
    AnotherKind { what: &'static str },
    #[error("This is neither text nor a workbook. Save the table as .xlsx or .csv and upload that.")]
    Binary,
    #[error(
        "The workbook cannot be opened: it is damaged or protected with a password. Open it in your spreadsheet program, save it without a password as .xlsx and upload that."
    )]
    BadWorkbook,
    #[error("This workbook needs too much memory to be read. Save its table as CSV and upload that.")]
    WorkbookNeedsMemory,
    #[error("This workbook takes too long to be read. Save its table as CSV and upload that.")]
    WorkbookTakesLong,
    #[error("Other workbooks are being read just now. Upload this one again in a minute, or save it as CSV.")]
    WorkbooksBusy,
    #[error(
        "A row of the workbook is longer than 16 MiB, which no table of contacts needs. Save it as CSV and look there for what is so long."
    )]
    HugeRow,
    #[error(
        "Its import was begun twice and ended both times without an answer, so it is not begun again. Save the table as CSV, look for a cell that is very long, and upload that."
    )]
    GaveUp,
    #[error("The workbook has no sheet with cells. Put the table on its first sheet.")]
    NoSheet,
    #[error("The file has a header row and nothing below it. Add a row for each contact and upload it again.")]
    HeaderOnly,
    #[error("{} no name in the header row. Name every column and upload the file again.", columns_have(columns))]
    NamelessColumns { columns: Vec<String> },
    #[error("The header row has the same name more than once: {}. Give each column a name of its own.", names.join(", "))]
    RepeatedColumns { names: Vec<String> },
    #[error(
        "The first row has to name the columns, but it holds {value}. Put a header row on top and upload it again."
    )]
    HeaderIsData { value: String },
    #[error(
        "This is not a table: its first row is one long text. Put a header row on top, with a name for each column, and upload it again."
    )]
    NoTable,
    #[error(
        "Some characters in the name of column {column} could not be read. Save the file as \"CSV UTF-8\" and upload it again."
    )]
    UnreadableHeader { column: String },
    #[error("All rows of the workbook are hidden or filtered out. Show them there and upload it again.")]
    AllHidden,
    #[error("The name of column {column} is longer than 100 characters. Shorten it, or put a header row on top.")]
    HeaderTooLong { column: String },
    #[error("The file has {n} columns. Keep the ones you need, at most 1,000.")]
    TooManyColumns { n: usize },
    #[error(
        "A quotation mark opens in row {line} and never closes, so nothing after it can be read. Remove it or write it twice (\"\")."
    )]
    OpenQuote { line: u64 },
    #[error("Row {line} is longer than 16 MiB. Look there for a quotation mark (\") that opens and never closes.")]
    EndlessRow { line: u64 },
}

fn columns_have(columns: &[String]) -> String {
    match columns {
        [one] => format!("Column {one} has"),
        many => format!("Columns {} have", many.join(", ")),
    }
}
