use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::contacts::addresses::{AddressProblem, Doubtful, TwoWays, normalise};
use crate::db::Reason;
use crate::folding::folded;
use crate::ids::FileId;
use crate::providers::Kind;
use crate::words::words;

/// More columns than any table of contacts has; what claims more is something else.
pub const MOST_COLUMNS: usize = 1000;
/// Longest name of a column, in characters.
pub const LONGEST_NAME: usize = 100;
/// Longest value of a cell, in characters.
pub const LONGEST_VALUE: usize = 10_000;
const LONGEST_CUSTOMER_ID: usize = 200;

words! {
    pub enum Format {
        Csv = "csv" => "CSV",
        Xls = "xls" => "Excel workbook (.xls)",
        Xlsx = "xlsx" => "Excel workbook (.xlsx)",
    }
}

words! {
    /// How the characters of a CSV are written. The words are the labels that browsers know.
    pub enum FileEncoding {
        Utf8 = "utf-8" => "UTF-8",
        Utf16Le = "utf-16le" => "UTF-16",
        Utf16Be = "utf-16be" => "UTF-16, high bytes first",
        Windows1252 = "windows-1252" => "Windows-1252, Western European",
        Windows1250 = "windows-1250" => "Windows-1250, Central European",
        Windows1251 = "windows-1251" => "Windows-1251, Cyrillic",
        Windows1253 = "windows-1253" => "Windows-1253, Greek",
        Windows1254 = "windows-1254" => "Windows-1254, Turkish",
        Windows1255 = "windows-1255" => "Windows-1255, Hebrew",
        Windows1256 = "windows-1256" => "Windows-1256, Arabic",
        Windows1257 = "windows-1257" => "Windows-1257, Baltic",
        Windows1258 = "windows-1258" => "Windows-1258, Vietnamese",
        Windows874 = "windows-874" => "Windows-874, Thai",
        Iso8859_2 = "iso-8859-2" => "ISO 8859-2, Central European",
        Iso8859_5 = "iso-8859-5" => "ISO 8859-5, Cyrillic",
        Iso8859_7 = "iso-8859-7" => "ISO 8859-7, Greek",
        Iso8859_15 = "iso-8859-15" => "ISO 8859-15, Western European",
        Macintosh = "macintosh" => "Mac OS Roman",
        MacCyrillic = "x-mac-cyrillic" => "Mac OS Cyrillic",
        Ibm866 = "ibm866" => "IBM 866, Cyrillic",
        Koi8R = "koi8-r" => "KOI8-R, Cyrillic",
        Koi8U = "koi8-u" => "KOI8-U, Cyrillic",
        ShiftJis = "shift_jis" => "Shift JIS, Japanese",
        EucJp = "euc-jp" => "EUC-JP, Japanese",
        Gb18030 = "gb18030" => "GB 18030, Chinese",
        Big5 = "big5" => "Big5, Chinese",
        EucKr = "euc-kr" => "EUC-KR, Korean",
    }
}

/// What the beginning of a file tells.
#[derive(Clone, Debug, PartialEq)]
pub struct TableHead {
    pub format: Format,
    /// Only of CSV, as is the delimiter.
    pub encoding: Option<FileEncoding>,
    pub delimiter: Option<u8>,
    /// Only of a workbook: the names of the sheets that can be seen.
    pub sheets: Vec<String>,
    /// Which of them is read, counted from 0.
    pub sheet: usize,
    /// The row that names the columns, as a spreadsheet numbers it, or an empty one above it.
    pub header_row: i64,
    /// Rows below it that the workbook hides or has filtered out, as far as the head was read.
    pub n_hidden: i64,
    /// Those are taken as well.
    pub takes_hidden: bool,
    /// Of the columns that have a name; the others are left out.
    pub headers: Vec<String>,
    /// The first rows, as wide as the headers, each value cut to what a page shows.
    pub sample: Vec<Vec<String>>,
}

impl TableHead {
    /// How the file is read, in a few words.
    pub fn reading(&self) -> String {
        let encoding = self.encoding.map(|it| format!("{}, ", it.label())).unwrap_or_default();
        let sheet = self.sheet_name().map(|name| format!("sheet “{name}”, ")).unwrap_or_default();
        let hidden = if self.takes_hidden { ", with hidden rows" } else { "" };
        format!("{encoding}{sheet}header in row {}{hidden}", self.header_row)
    }

    /// The name of the sheet that is read, where there are others.
    pub fn sheet_name(&self) -> Option<&str> {
        self.sheets.get(self.sheet).filter(|_| self.sheets.len() > 1).map(String::as_str)
    }
}

/// How a file is to be read, where somebody says otherwise than its content does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadingChoice {
    pub encoding: Option<FileEncoding>,
    /// Taken instead of a guess, where the content does not tell.
    pub likely: Option<FileEncoding>,
    /// Which of the sheets that can be seen, counted from 0.
    pub sheet: Option<usize>,
    pub header_row: Option<i64>,
    pub takes_hidden: bool,
}

/// Rows among which the header row is looked for.
const N_TITLE_ROWS: usize = 10;

/// Which of the first rows names the columns: the first one, but a title with one cell is passed over
/// when a row below it names more columns.
pub fn header_among(rows: &[Record]) -> usize {
    let n_names = |row: &Record| row.iter().filter(|field| !folded(plain(field)).is_empty()).count();
    if rows.first().is_none_or(|row| n_names(row) > 1) {
        return 0;
    }
    let mut best = (0, 1);
    for (i, row) in rows.iter().enumerate().take(N_TITLE_ROWS) {
        if n_names(row) > best.1 && read_headers(row, rows.get(i + 1..).unwrap_or_default()).is_ok() {
            best = (i, n_names(row));
        }
    }
    best.0
}

/// Places of the columns that a header row names.
pub fn named_columns(row: &Record) -> Vec<usize> {
    (0..row.len()).filter(|&i| !folded(plain(row.get(i))).is_empty()).collect()
}

/// Checks a header row and folds its names, those of [`named_columns`]. Other columns are left out: nothing
/// stands in them, in so far as the rows `below` tell, or they are at the right end, where spreadsheets like
/// to leave some.
pub fn read_headers(row: &Record, below: &[Record]) -> Result<Vec<String>, Refusal> {
    if row.iter().any(|name| name.contains('\0')) {
        return Err(Refusal::Binary);
    }
    let columns = named_columns(row);
    let headers: Vec<String> = columns.iter().map(|&i| folded(plain(row.get(i)))).collect();
    if headers.is_empty() {
        return Err(Refusal::NoTable);
    }
    if headers.len() > MOST_COLUMNS {
        return Err(Refusal::TooManyColumns { n: headers.len() });
    }
    let too_long = |name: &String| name.chars().nth(LONGEST_NAME).is_some();
    match headers.iter().position(too_long).and_then(|i| columns.get(i)) {
        Some(_) if headers.len() == 1 => return Err(Refusal::NoTable),
        Some(&column) => return Err(Refusal::HeaderTooLong { column: letters(column) }),
        None => {}
    }
    if let Some(i) = headers.iter().position(|name| name.contains('\u{fffd}')) {
        return Err(Refusal::UnreadableHeader { column: letters(columns.get(i).copied().unwrap_or_default()) });
    }
    if let Some(value) = headers.iter().find(|name| looks_like_a_number(name)) {
        return Err(Refusal::HeaderIsData { value: value.clone() });
    }
    let has_values = |i: &usize| below.iter().any(|row| !plain(row.get(*i)).is_empty());
    let last = columns.last().copied().unwrap_or_default();
    let nameless: Vec<_> =
        (0..last).filter(|i| columns.binary_search(i).is_err()).filter(has_values).map(letters).collect();
    if !nameless.is_empty() {
        return Err(Refusal::NamelessColumns { columns: nameless });
    }
    let mut seen = HashMap::new();
    let mut repeated = Vec::new();
    for name in &headers {
        let n: &mut usize = seen.entry(name.to_lowercase()).or_default();
        *n += 1;
        if *n == 2 {
            repeated.push(name.clone());
        }
    }
    if !repeated.is_empty() {
        return Err(Refusal::RepeatedColumns { names: repeated });
    }
    Ok(headers)
}

/// A column as spreadsheets name it: 0 is A, 26 is AA.
pub fn letters(mut column: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'A' + (column % 26) as u8);
        if column < 26 {
            break;
        }
        column = column / 26 - 1;
    }
    letters.reverse();
    letters.into_iter().map(char::from).collect()
}

/// What a cell says: without blanks around it, out of the formula `="…"`, which keeps zeros in front
/// through spreadsheets, and without the apostrophe that our own tables put before what would be a formula.
pub fn plain(cell: &str) -> &str {
    let cell = cell.trim();
    let cell = cell.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(cell);
    let inside = cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    inside.filter(|inside| !inside.contains('"')).map_or(cell, str::trim)
}

fn looks_like_a_number(text: &str) -> bool {
    text.chars().filter(char::is_ascii_digit).count() >= 7
        && text.chars().all(|c| c.is_ascii_digit() || " +-().'/".contains(c))
}

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "use")]
pub enum Use {
    /// The contact's address.
    ChannelId,
    /// What the company calls the contact.
    CustomerId,
    /// A value that texts can use as `#field`.
    Data {
        field: String,
    },
    Ignore,
}

impl Use {
    /// The word on forms.
    pub fn word(&self) -> &'static str {
        match self {
            Use::ChannelId => "channel_id",
            Use::CustomerId => "customer_id",
            Use::Data { .. } => "data",
            Use::Ignore => "ignore",
        }
    }

    /// `header` names the field when the column is data.
    pub fn of_word(word: &str, header: &str) -> Option<Use> {
        match word {
            "channel_id" => Some(Use::ChannelId),
            "customer_id" => Some(Use::CustomerId),
            "data" => Some(Use::Data { field: header.to_owned() }),
            "ignore" => Some(Use::Ignore),
            _ => None,
        }
    }
}

/// What each column is, in column order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping {
    pub columns: Vec<Use>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingProblem {
    #[error("Choose which column holds the channel ID: the number or address that messages go to.")]
    NoChannelId,
    #[error("Only one column can be the channel ID. Now it is {}.", .0.join(" and "))]
    SeveralChannelIds(Vec<String>),
    #[error("Only one column can be the customer ID. Now it is {}.", .0.join(" and "))]
    SeveralCustomerIds(Vec<String>),
    #[error("Say for each column of the file what it is.")]
    OtherColumns,
}

impl Mapping {
    /// The likeliest meaning of each column, from its name and the first rows.
    pub fn guess(headers: &[String], sample: &[Vec<String>]) -> Mapping {
        const CUSTOMER_ID: [&str; 9] = [
            "customerid",
            "customernumber",
            "customer",
            "clientid",
            "accountid",
            "accountnumber",
            "account",
            "reference",
            "id",
        ];
        let plain: Vec<String> = headers.iter().map(|name| plain_name(name)).collect();
        let named = |names: &[&str]| names.iter().find_map(|name| plain.iter().position(|header| header == name));
        let all_numbers = |i: usize| {
            let mut values = sample.iter().filter_map(|row| row.get(i)).filter(|value| !value.is_empty()).peekable();
            values.peek().is_some() && values.all(|value| looks_like_a_number(value))
        };

        let channel_id = PHONE_WORDS
            .iter()
            .chain(PERHAPS_PHONE_WORDS)
            .find_map(|word| headers.iter().position(|header| plain_name(header) == plain_name(word)))
            .or_else(|| (0..headers.len()).find(|&i| all_numbers(i)));
        let customer_id = named(&CUSTOMER_ID).filter(|i| Some(*i) != channel_id);
        let columns = headers
            .iter()
            .enumerate()
            .map(|(i, header)| match i {
                i if Some(i) == channel_id => Use::ChannelId,
                i if Some(i) == customer_id => Use::CustomerId,
                _ => Use::Data { field: header.clone() },
            })
            .collect();
        Mapping { columns }
    }

    /// Whether a guess is knowledge: one column has a name that means a phone number, and numbers in it. What
    /// only looks like numbers may be anything, the number of an account as well.
    pub fn is_certain(&self, head: &TableHead) -> bool {
        let named: Vec<usize> = (0..head.headers.len()).filter(|&i| means_a_phone(&head.headers[i])).collect();
        let [column] = named[..] else { return false };
        let values = || head.sample.iter().filter_map(|row| row.get(column)).filter(|value| !value.is_empty());
        let numbers = values().filter(|value| looks_like_a_number(value)).count();
        self.check(&head.headers).is_ok()
            && self.channel_id() == Some(column)
            && numbers * 2 >= values().count()
            && numbers > 0
    }

    /// Whether it fits a file with these `headers`: one channel ID, at most one customer ID.
    pub fn check(&self, headers: &[String]) -> Result<(), MappingProblem> {
        let named = |wanted: Use| -> Vec<String> {
            headers.iter().zip(&self.columns).filter(|(_, u)| **u == wanted).map(|(header, _)| header.clone()).collect()
        };
        let fits = headers.len() == self.columns.len()
            && headers.iter().zip(&self.columns).all(|(header, u)| match u {
                Use::Data { field } => field == header,
                Use::ChannelId | Use::CustomerId | Use::Ignore => true,
            });
        if !fits {
            return Err(MappingProblem::OtherColumns);
        }
        let (channel_ids, customer_ids) = (named(Use::ChannelId), named(Use::CustomerId));
        match channel_ids.len() {
            0 => return Err(MappingProblem::NoChannelId),
            1 => {}
            _ => return Err(MappingProblem::SeveralChannelIds(channel_ids)),
        }
        if customer_ids.len() > 1 {
            return Err(MappingProblem::SeveralCustomerIds(customer_ids));
        }
        Ok(())
    }

    /// The column of the channel ID.
    pub fn channel_id(&self) -> Option<usize> {
        self.columns.iter().position(|u| *u == Use::ChannelId)
    }
}

/// Words for a phone number as columns are named, the most telling first: English, then German, French, Spanish,
/// Portuguese, Italian, Dutch, the languages of the North and the East, Turkish, Indonesian, Vietnamese, Greek,
/// Russian, Hebrew, Arabic, Hindi, Thai, Chinese, Japanese, Korean.
#[rustfmt::skip]
const PHONE_WORDS: &[&str] = &[
    "channelid", "phone", "phonenumber", "mobile", "mobilenumber", "mobilephone", "msisdn", "cell", "cellphone",
    "cellnumber", "telephone", "telephonenumber", "tel", "telno", "phoneno", "mobileno", "contactnumber",
    "whatsapp", "whatsappnumber", "smsnumber", "gsm", "telefon", "telefonnummer", "telefonnr", "telnr", "handy",
    "handynummer", "handynr", "mobil", "mobilnummer", "mobilnr", "mobiltelefon", "rufnummer", "mobilfunknummer",
    "téléphone", "numérodetéléphone", "télmobile", "mobil1", "teléfono", "telefono", "móvil", "movil", "celular",
    "númerodeteléfono", "telefone", "telemóvel", "telemovel", "cellulare", "numeroditelefono", "telefoon",
    "telefoonnummer", "mobiel", "mobielnummer", "gsmnummer", "mobiltlf", "tlf", "puhelin", "puhelinnumero",
    "matkapuhelin", "telefons", "telefonas", "komórka", "numertelefonu", "telefonkomórkowy", "mobilní",
    "telefonníčíslo", "telefónnečíslo", "telefonszám", "mobiltelefonszám", "numărdetelefon", "brojtelefona",
    "mobitel", "cep", "ceptelefonu", "ceptel", "nomorhp", "nomortelepon", "nohp", "sốđiệnthoại", "điệnthoại",
    "τηλέφωνο", "κινητό", "телефон", "номертелефона", "мобильный", "мобильныйтелефон", "мобилен", "мобільний",
    "הטלפון", "טלפון", "נייד", "هاتف", "الهاتف", "رقمالهاتف", "جوال", "الجوال", "موبايل", "فون", "फ़ोन", "मोबाइल",
    "मोबाइलनंबर", "โทรศัพท์", "เบอร์โทร", "เบอร์โทรศัพท์", "电话", "手机", "手机号", "手机号码", "電話", "電話番号", "携帯", "携帯電話",
    "携帯番号", "手機", "手機號碼", "전화", "전화번호", "휴대폰", "휴대전화",
];
/// Words that may mean a phone number, and something else as well.
const PERHAPS_PHONE_WORDS: &[&str] = &["number", "to", "broj", "portable", "sms", "address"];

/// The name of a column without its case, blanks and signs.
fn plain_name(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

fn means_a_phone(name: &str) -> bool {
    let name = plain_name(name);
    PHONE_WORDS.iter().any(|word| plain_name(word) == name)
}

/// One row as it was read: its fields one after the other, and where each ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub(super) text: String,
    pub(super) ends: Vec<usize>,
    /// The workbook does not show it, because somebody hid it or a filter does.
    pub hidden: bool,
}

impl Record {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Empty for a column that the row does not reach.
    pub fn get(&self, i: usize) -> &str {
        let Some(&end) = self.ends.get(i) else { return "" };
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i))
    }

    pub fn push(&mut self, field: &str) {
        self.text.push_str(field);
        self.ends.push(self.text.len());
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// Why a row was not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct RowProblem {
    /// Name of the column; none when it is about the whole row.
    pub field: Option<String>,
    pub value: Option<String>,
    pub code: &'static str,
    pub says: String,
}

/// A row that can be sent to.
#[derive(Clone, Debug, PartialEq)]
pub struct GoodRow<'a> {
    pub address: String,
    /// It could have been another one, and was chosen.
    pub two_ways: bool,
    pub customer_id: Option<&'a str>,
}

/// What a row must be to be taken. Made once for a file and asked for each row.
pub struct ImportRules<'a> {
    headers: &'a [String],
    kind: Kind,
    region: &'a str,
    two_ways: TwoWays,
    format: Format,
    /// Where each column of the headers stands in a row.
    places: Vec<usize>,
    channel_id: usize,
    customer_id: Option<usize>,
    data: Vec<Data>,
}

struct Data {
    column: usize,
    /// The name and a colon, as they stand in JSON.
    key: String,
}

impl<'a> ImportRules<'a> {
    pub fn new(
        mapping: &Mapping,
        headers: &'a [String],
        format: Format,
        kind: Kind,
        region: &'a str,
        two_ways: TwoWays,
    ) -> Result<Self, MappingProblem> {
        mapping.check(headers)?;
        let channel_id = mapping.channel_id().ok_or(MappingProblem::NoChannelId)?;
        let customer_id = mapping.columns.iter().position(|u| *u == Use::CustomerId);
        let data = mapping
            .columns
            .iter()
            .enumerate()
            .filter_map(|(column, u)| match u {
                Use::Data { field } => Some((column, field)),
                // A text may name it like any other field.
                Use::CustomerId => headers.get(column).map(|field| (column, field)),
                Use::ChannelId | Use::Ignore => None,
            })
            .map(|(column, field)| Data { column, key: format!("{}:", serde_json::Value::from(&**field)) })
            .collect();
        let places = (0..headers.len()).collect();
        Ok(ImportRules { headers, kind, region, two_ways, format, places, channel_id, customer_id, data })
    }

    /// Learns from the header row which columns are left out because they have no name.
    pub fn see_header(&mut self, row: &Record) {
        let places = named_columns(row);
        // A head that was read by an older version left none out.
        if places.len() == self.headers.len() {
            self.places = places;
        }
    }

    /// Checks one row. When it is good, its data is appended to `json` as one
    /// object, and each field with nothing in it is counted in `missing`, which
    /// is as long as the header row.
    pub fn check<'r>(
        &self,
        row: &'r Record,
        json: &mut Vec<u8>,
        missing: &mut [u64],
    ) -> Result<GoodRow<'r>, RowProblem> {
        if let Some(column) = self.beyond(row) {
            return Err(self.in_no_column(row, column));
        }
        let address = self.value(row, self.channel_id)?;
        let read = normalise(self.kind, address, self.region);
        let two_ways = matches!(read, Err(AddressProblem::TwoWays { .. }));
        let address = read
            .or_else(|problem| problem.settled(self.two_ways))
            .map_err(|problem| self.not_an_address(problem, address))?;
        let customer_id = match self.customer_id {
            Some(column) => Some(self.value(row, column)?).filter(|id| !id.is_empty()),
            None => None,
        };
        if let (Some(id), Some(column)) = (customer_id, self.customer_id)
            && id.chars().nth(LONGEST_CUSTOMER_ID).is_some()
        {
            return Err(self.too_long(column, id, LONGEST_CUSTOMER_ID));
        }
        let start = json.len();
        json.push(b'{');
        for data in &self.data {
            let value = match self.value(row, data.column) {
                Ok(value) => value,
                Err(problem) => {
                    json.truncate(start);
                    return Err(problem);
                }
            };
            if value.is_empty() {
                continue;
            }
            if json.len() > start + 1 {
                json.push(b',');
            }
            json.extend_from_slice(data.key.as_bytes());
            write_json(json, value);
        }
        json.push(b'}');
        for data in &self.data {
            missing[data.column] += u64::from(plain(self.cell(row, data.column)).is_empty());
        }
        Ok(GoodRow { address, two_ways, customer_id })
    }

    /// The first place with something in it that no column of the headers has. A row that stops early
    /// has nothing in the rest: spreadsheets leave empty cells at the end out.
    fn beyond(&self, row: &Record) -> Option<usize> {
        if row.len() <= self.places.len() && self.places.last() == Some(&(self.places.len() - 1)) {
            return None;
        }
        (0..row.len()).find(|i| self.places.binary_search(i).is_err() && !plain(row.get(*i)).is_empty())
    }

    fn in_no_column(&self, row: &Record, column: usize) -> RowProblem {
        let width = self.places.last().map_or(0, |last| last + 1);
        let says = if self.format == Format::Csv && column >= width {
            format!(
                "This row has {} and the header row has {width}. A text with the separator in it needs quotes around it.",
                fields(row.len()),
            )
        } else {
            let column = letters(column);
            format!("Something stands in column {column}, which has no name in the header row. Name it, or empty it.")
        };
        RowProblem { field: None, value: None, code: "other_columns", says }
    }

    /// What stands in a column of the headers.
    fn cell<'r>(&self, row: &'r Record, column: usize) -> &'r str {
        self.places.get(column).map_or("", |place| row.get(*place))
    }

    fn value<'r>(&self, row: &'r Record, column: usize) -> Result<&'r str, RowProblem> {
        let value = plain(self.cell(row, column));
        if value.len() > LONGEST_VALUE && value.chars().nth(LONGEST_VALUE).is_some() {
            return Err(self.too_long(column, value, LONGEST_VALUE));
        }
        if value.contains(['\0', '\u{fffd}']) {
            return Err(self.problem(
                column,
                value,
                "unreadable_text",
                "Some characters here could not be read. Save the file as \"CSV UTF-8\" and upload it again."
                    .to_owned(),
            ));
        }
        if value == NEVER_CALCULATED {
            let says = "The formula in this cell was never calculated: open the workbook, save it and upload it again.";
            return Err(RowProblem {
                field: self.headers.get(column).cloned(),
                value: None,
                code: "never_calculated",
                says: says.to_owned(),
            });
        }
        if is_cell_error(value) {
            return Err(self.problem(
                column,
                value,
                "cell_error",
                format!("The formula in this cell ended in {value}. Correct it in the spreadsheet."),
            ));
        }
        Ok(value)
    }

    fn not_an_address(&self, problem: AddressProblem, text: &str) -> RowProblem {
        self.problem(self.channel_id, text, problem.code(), problem.says(self.kind, text, self.region))
    }

    fn too_long(&self, column: usize, value: &str, most: usize) -> RowProblem {
        let says = format!("This value has {} characters. At most {most} fit here.", value.chars().count());
        self.problem(column, value, "too_long", says)
    }

    fn problem(&self, column: usize, value: &str, code: &'static str, says: String) -> RowProblem {
        let value: String = value.chars().take(100).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect();
        let value = (!value.is_empty()).then_some(value);
        RowProblem { field: Some(self.headers[column].clone()), value, code, says }
    }
}

fn fields(n: usize) -> String {
    match n {
        1 => "1 field".to_owned(),
        n => format!("{n} fields"),
    }
}

/// What formulas that failed show, in the languages of spreadsheets.
const CELL_ERRORS: [&str; 62] = [
    "#DIV/0!",
    "#N/A",
    "#NAME?",
    "#NULL!",
    "#NUM!",
    "#REF!",
    "#VALUE!",
    "#DATA!",
    "#SPILL!",
    "#CALC!",
    "#FIELD!",
    "#GETTING_DATA",
    "#BLOCKED!",
    "#UNKNOWN!",
    "#CONNECT!",
    "#BUSY!",
    "#ERROR!",
    // German.
    "#NV",
    "#BEZUG!",
    "#WERT!",
    "#ZAHL!",
    "#ÜBERLAUF!",
    // French.
    "#VALEUR!",
    "#NOM?",
    "#NOMBRE!",
    "#NUL!",
    // Spanish.
    "#N/D",
    "#¡REF!",
    "#¡VALOR!",
    "#¿NOMBRE?",
    "#¡NUM!",
    "#¡NULO!",
    "#¡DIV/0!",
    // Italian.
    "#RIF!",
    "#VALORE!",
    "#NOME?",
    "#NULLO!",
    // Portuguese.
    "#VALOR!",
    "#NÚM!",
    "#NULO!",
    // Dutch.
    "#N/B",
    "#VERW!",
    "#WAARDE!",
    "#NAAM?",
    "#GETAL!",
    "#LEEG!",
    "#DEEL/0!",
    // Polish.
    "#N/D!",
    "#ADR!",
    "#ARG!",
    "#NAZWA?",
    "#LICZBA!",
    "#ZERO!",
    "#DZIEL/0!",
    // Swedish.
    "#SAKNAS!",
    "#REFERENS!",
    "#VÄRDEFEL!",
    "#NAMN?",
    "#OGILTIGT!",
    "#SKÄRNING!",
    "#DIVISION/0!",
    // Russian.
    "#Н/Д",
];

/// What a reader of workbooks says of a formula whose value nobody has calculated.
pub const NEVER_CALCULATED: &str = "#NEVER CALCULATED!";

fn is_cell_error(value: &str) -> bool {
    match value.strip_prefix("Err:") {
        Some(code) => code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()),
        None => value.starts_with('#') && CELL_ERRORS.contains(&value),
    }
}

/// Appends `text` as a JSON string.
fn write_json(json: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        json.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    } else {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    }
}

/// Where a file stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Kept and looked into; somebody has to say what its columns are.
    Received,
    /// Being read row by row, or waiting to be. `cancelling`: it will be let go.
    Importing { cancelling: bool },
    /// Its good rows are an audience.
    Imported { at: DateTime<Utc> },
    /// It could not be read to the end; nothing of it was stored.
    Refused { at: DateTime<Utc>, why: String },
    /// Somebody broke the import off; nothing of it was stored.
    Cancelled { at: DateTime<Utc> },
}

impl State {
    pub fn word(&self) -> &'static str {
        match self {
            State::Received => "received",
            State::Importing { .. } => "importing",
            State::Imported { .. } => "imported",
            State::Refused { .. } => "refused",
            State::Cancelled { .. } => "cancelled",
        }
    }

    /// As people read it.
    pub fn label(&self) -> &'static str {
        match self {
            State::Received => "waits for its columns",
            State::Importing { .. } => "being imported",
            State::Imported { .. } => "imported",
            State::Refused { .. } => "could not be read",
            State::Cancelled { .. } => "cancelled",
        }
    }
}

/// Why a file stayed as it was. The text is shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("This file is being imported already.")]
    AlreadyImporting,
    #[error("This file has been imported already.")]
    AlreadyImported,
    #[error("This file cannot be read. Upload a corrected one.")]
    Refused,
    #[error("A campaign, a run or a day's drop refers to this file.")]
    InUse,
    #[error("This import was cancelled already.")]
    AlreadyCancelled,
    #[error(transparent)]
    Mapping(#[from] MappingProblem),
    #[error("Choose the country that numbers without a country code belong to.")]
    NoSuchRegion,
    #[error(
        "Contacts of this file were sent to already, or are about to be: it stays as it was read. Upload it again to have it read otherwise."
    )]
    SentTo,
    #[error("This file is not imported yet.")]
    NotImported,
    #[error("No number of this file could be read in two ways.")]
    NothingToChoose,
}

impl Reason for Refused {}

/// A campaign file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub id: FileId,
    pub name: String,
    pub size_bytes: i64,
    pub head: TableHead,
    pub kind: Kind,
    /// Empty when every number has its country code.
    pub region: Option<String>,
    pub two_ways: TwoWays,
    pub mapping: Option<Mapping>,
    pub counts: FileCounts,
    /// Name of a field and how many good rows have nothing there; only fields where some have nothing.
    pub missing: Vec<(String, i64)>,
    pub state: State,
    pub uploaded_at: DateTime<Utc>,
}

/// What was made of the rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FileCounts {
    /// How far the reading has come, on the scale of the file's size.
    pub bytes_done: i64,
    pub done: i64,
    pub good: i64,
    pub bad: i64,
    pub duplicate: i64,
    /// Numbers that could be read in two ways, whatever was made of them.
    pub two_ways: i64,
}

impl File {
    /// Sends it to be imported with this meaning of its columns.
    ///
    /// `region`: the country that numbers without a country code belong to;
    /// empty when all have theirs.
    pub fn import(&mut self, mapping: Mapping, region: String, two_ways: TwoWays) -> Result<(), Refused> {
        self.may_be_read_anew()?;
        mapping.check(&self.head.headers)?;
        if !region.is_empty() && crate::contacts::regions::name(&region).is_none() {
            return Err(Refused::NoSuchRegion);
        }
        self.mapping = Some(mapping);
        self.region = Some(region);
        self.two_ways = two_ways;
        self.counts = FileCounts::default();
        self.state = State::Importing { cancelling: false };
        Ok(())
    }

    /// Sends an imported file to be imported once more, with another choice of what numbers are that could be
    /// read in two ways.
    pub fn settle(&mut self, two_ways: TwoWays) -> Result<(), Refused> {
        match self.state {
            State::Imported { .. } if self.counts.two_ways == 0 => Err(Refused::NothingToChoose),
            State::Imported { .. } => {
                self.two_ways = two_ways;
                self.counts = FileCounts::default();
                self.state = State::Importing { cancelling: false };
                Ok(())
            }
            State::Importing { .. } => Err(Refused::AlreadyImporting),
            State::Received | State::Refused { .. } | State::Cancelled { .. } => Err(Refused::NotImported),
        }
    }

    /// How many of its numbers could be read in two ways, and what was made of them; `None` when there are none.
    pub fn two_ways_words(&self) -> Option<String> {
        let doubtful = Doubtful { n: self.counts.two_ways as usize, first: Vec::new() };
        doubtful.words(&("row", "rows"), &self.two_ways)
    }

    /// Whether somebody may say how it is to be read.
    pub fn may_be_read_anew(&self) -> Result<(), Refused> {
        match self.state {
            State::Received | State::Cancelled { .. } => Ok(()),
            State::Importing { .. } => Err(Refused::AlreadyImporting),
            State::Imported { .. } => Err(Refused::AlreadyImported),
            State::Refused { .. } => Err(Refused::Refused),
        }
    }

    /// Lets it go. An import that has begun ends at its next batch.
    pub fn cancel(&mut self, now: DateTime<Utc>) -> Result<(), Refused> {
        self.state = match self.state {
            State::Received => State::Cancelled { at: now },
            State::Importing { .. } => State::Importing { cancelling: true },
            State::Imported { .. } => return Err(Refused::AlreadyImported),
            State::Refused { .. } => return Err(Refused::Refused),
            State::Cancelled { .. } => return Err(Refused::AlreadyCancelled),
        };
        Ok(())
    }

    /// The country to offer on the mapping form: none needs to be assumed when
    /// all numbers in the first rows have their country code, otherwise the one
    /// that was chosen `last`. `None`: somebody has to choose.
    pub fn likely_region(&self, mapping: &Mapping, last: Option<String>) -> Option<String> {
        let numbers = || {
            let column = mapping.channel_id().unwrap_or_default();
            self.head.sample.iter().filter_map(move |row| row.get(column)).filter(|number| !number.is_empty())
        };
        let have_codes = numbers().next().is_some()
            // An id ends with its padding, and is of no country.
            && numbers().all(|it| (it.starts_with(['+', '0']) || it.ends_with('=')) && normalise(self.kind, it, "").is_ok());
        if !self.kind.is_phone() || have_codes { Some(String::new()) } else { last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str]) -> Record {
        let mut record = Record::default();
        fields.iter().for_each(|field| record.push(field));
        record
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn data(field: &str) -> Use {
        Use::Data { field: field.to_owned() }
    }

    #[test]
    fn headers_are_folded_and_columns_without_one_left_out() {
        let headers = |row: &[&str], below: &[Record]| read_headers(&record(row), below);
        assert_eq!(headers(&[" Phone ", "First name", "", " "], &[]), Ok(names(&["Phone", "First name"])));
        let row = ["\u{feff}Phone", "First\u{a0} name", "Cafe\u{301}", "=\"Zip\"", "na\u{200b}me"];
        assert_eq!(headers(&row, &[]), Ok(names(&["Phone", "First name", "Café", "Zip", "name"])));
        let below = [record(&["", "1", " ", "2"]), record(&["", "3"]), record(&["\u{a0}", "5", "", "", "6"])];
        assert_eq!(headers(&["", "Phone", "\u{200b}", "Name"], &below), Ok(names(&["Phone", "Name"])));
        assert_eq!(named_columns(&record(&["", "Phone", "\u{200b}", "Name", ""])), [1, 3]);
    }

    #[test]
    fn headers_that_name_nothing_or_twice_are_refused_by_name() {
        let headers = |row: &[&str], below: &[Record]| read_headers(&record(row), below);
        assert_eq!(
            headers(&["Phone", "", "Name", "", "x"], &[record(&["1", "2", "3"]), record(&["1", "", "3", "4"])]),
            Err(Refusal::NamelessColumns { columns: names(&["B", "D"]) })
        );
        assert_eq!(
            headers(&["Phone", "name", "Name", "NA\u{ad}ME"], &[]),
            Err(Refusal::RepeatedColumns { names: names(&["Name"]) })
        );
        assert_eq!(
            headers(&["Anna", "+353 86 123 4567"], &[]),
            Err(Refusal::HeaderIsData { value: "+353 86 123 4567".to_owned() })
        );
        let long = "x".repeat(101);
        assert_eq!(headers(&["", "Phone", &long], &[]), Err(Refusal::HeaderTooLong { column: "C".to_owned() }));
        assert_eq!(headers(&[&long], &[]), Err(Refusal::NoTable));
        assert_eq!(headers(&["\u{200b}"], &[]), Err(Refusal::NoTable));
        assert_eq!(headers(&["Phone", "N\u{fffd}me"], &[]), Err(Refusal::UnreadableHeader { column: "B".to_owned() }));
        let many: Vec<String> = (0..1001).map(|i| format!("c{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(headers(&many, &[]), Err(Refusal::TooManyColumns { n: 1001 }));
    }

    #[test]
    fn a_title_is_passed_over_when_a_row_below_names_more() {
        let at = |rows: &[&[&str]]| header_among(&rows.iter().map(|row| record(row)).collect::<Vec<_>>());
        let data: &[&str] = &["0861234567", "Anna", "Cork"];
        assert_eq!(at(&[&["phone", "name", "city"], data]), 0);
        assert_eq!(at(&[&["Our customers", "", ""], &["phone", "name", "city"], data]), 1);
        assert_eq!(at(&[&["", "Our customers"], &["as of", "May"], &["phone", "name", "city"], data]), 2);
        assert_eq!(at(&[&["\u{200b}"], &["phone", "name"], data]), 1);
        assert_eq!(at(&[&["phone"], data]), 0, "values name nothing");
        assert_eq!(at(&[&["phone"], &["0861234567"]]), 0);
        assert_eq!(at(&[&["phone", "name"], &["also", "a", "header"], data]), 0, "two names are no title");
        let mut late = vec![&["Our customers"][..]; N_TITLE_ROWS];
        late.extend([&["phone", "name"][..], data]);
        assert_eq!(at(&late), 0, "so far down nobody looks");
        assert_eq!(at(&[]), 0);
    }

    #[test]
    fn a_formula_that_is_a_text_is_that_text() {
        for (cell, text) in [
            ("=\"0861234567\"", "0861234567"),
            (" =\" 007 \" ", "007"),
            ("=\"\"", ""),
            ("=\"a\"&\"b\"", "=\"a\"&\"b\""),
            ("=\"", "=\""),
            ("=A1", "=A1"),
        ] {
            assert_eq!(plain(cell), text);
        }
    }

    #[test]
    fn columns_have_the_letters_of_a_spreadsheet() {
        assert_eq!([0, 25, 26, 51, 52, 701, 702].map(letters), ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn names_tell_what_columns_are() {
        let guess = Mapping::guess(&names(&["Name", "Customer ID", "Mobile number", "Phone"]), &[]);
        assert_eq!(guess.columns, [data("Name"), Use::CustomerId, data("Mobile number"), Use::ChannelId]);
    }

    #[test]
    fn numbers_tell_when_names_do_not() {
        let sample = vec![names(&["Anna", "086 123 4567"]), names(&["Ben", ""])];
        let guess = Mapping::guess(&names(&["who", "where"]), &sample);
        assert_eq!(guess.columns, [data("who"), Use::ChannelId]);
    }

    #[test]
    fn exactly_one_channel_id_and_at_most_one_customer_id() {
        let headers = names(&["a", "b", "c"]);
        let check = |columns: [Use; 3]| Mapping { columns: columns.to_vec() }.check(&headers);
        assert_eq!(check([Use::ChannelId, Use::CustomerId, data("c")]), Ok(()));
        assert_eq!(check([Use::ChannelId, Use::Ignore, Use::Ignore]), Ok(()));
        assert_eq!(check([Use::Ignore, data("b"), Use::CustomerId]), Err(MappingProblem::NoChannelId));
        assert_eq!(
            check([Use::ChannelId, data("b"), Use::ChannelId]),
            Err(MappingProblem::SeveralChannelIds(names(&["a", "c"])))
        );
        assert_eq!(
            check([Use::ChannelId, Use::CustomerId, Use::CustomerId]),
            Err(MappingProblem::SeveralCustomerIds(names(&["b", "c"])))
        );
        assert_eq!(check([Use::ChannelId, data("other"), data("c")]), Err(MappingProblem::OtherColumns));
        assert_eq!(Mapping { columns: vec![Use::ChannelId] }.check(&headers), Err(MappingProblem::OtherColumns));
    }

    #[test]
    fn a_mapping_survives_being_stored() {
        let mapping = Mapping { columns: vec![Use::ChannelId, Use::CustomerId, data("a"), Use::Ignore] };
        let stored = serde_json::to_value(&mapping).unwrap();
        assert_eq!(stored[2], serde_json::json!({"use": "data", "field": "a"}));
        assert_eq!(serde_json::from_value::<Mapping>(stored).unwrap(), mapping);
    }

    struct Checked {
        result: Result<(String, Option<String>), RowProblem>,
        json: String,
        missing: Vec<u64>,
    }

    fn check(format: Format, row: &[&str]) -> Checked {
        let headers = names(&["Phone", "ID", "Na\"me", "City", "Note"]);
        let mapping =
            Mapping { columns: vec![Use::ChannelId, Use::CustomerId, data("Na\"me"), data("City"), Use::Ignore] };
        let rules = ImportRules::new(&mapping, &headers, format, Kind::Sms, "IE", TwoWays::LeaveOut).unwrap();
        let (mut json, mut missing) = (Vec::new(), vec![0; 5]);
        let row = record(row);
        let result =
            rules.check(&row, &mut json, &mut missing).map(|good| (good.address, good.customer_id.map(str::to_owned)));
        Checked { result, json: String::from_utf8(json).unwrap(), missing }
    }

    #[test]
    fn a_good_row_gives_its_address_and_what_is_not_empty() {
        let checked = check(Format::Csv, &["086 123 4567", " 17 ", " A \"quoted\"\nname ", "  ", "x"]);
        assert_eq!(checked.result, Ok(("353861234567".to_owned(), Some("17".to_owned()))));
        let json: serde_json::Value = serde_json::from_str(&checked.json).unwrap();
        assert_eq!(json, serde_json::json!({"ID": "17", "Na\"me": "A \"quoted\"\nname"}));
        assert_eq!(checked.missing, [0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_row_that_stops_early_has_nothing_in_the_rest() {
        for format in Format::ALL {
            let short = check(format, &["0861234567", "1"]);
            assert_eq!(short.result, Ok(("353861234567".to_owned(), Some("1".to_owned()))));
            assert_eq!(short.missing, [0, 0, 1, 1, 0]);
            assert_eq!(check(format, &[""]).result.unwrap_err().code, "missing_address");
        }
    }

    #[test]
    fn a_value_in_no_column_is_told() {
        let row = ["0861234567", "1", "", "", "", "6"];
        let long = check(Format::Csv, &row).result.unwrap_err();
        assert_eq!((long.code, long.field), ("other_columns", None));
        assert!(long.says.starts_with("This row has 6 fields and the header row has 5."), "{}", long.says);
        let long = check(Format::Xlsx, &row).result.unwrap_err();
        assert_eq!(long.code, "other_columns");
        assert!(long.says.starts_with("Something stands in column F, which has no name"), "{}", long.says);
        assert!(
            check(Format::Csv, &["0861234567", "1", "", "", "", " "]).result.is_ok(),
            "nothing stands in the sixth"
        );
    }

    #[test]
    fn columns_without_a_name_are_stepped_over() {
        let headers = names(&["Phone", "Name"]);
        let mapping = Mapping { columns: vec![Use::ChannelId, data("Name")] };
        let mut rules = ImportRules::new(&mapping, &headers, Format::Csv, Kind::Sms, "IE", TwoWays::LeaveOut).unwrap();
        rules.see_header(&record(&["", "Phone", " ", "Name", ""]));
        let mut json = Vec::new();
        let mut check = |row: &[&str]| {
            json.clear();
            let row = record(row);
            let good = rules.check(&row, &mut json, &mut [0; 2]).map(|good| good.address)?;
            Ok::<_, RowProblem>((good, String::from_utf8(json.clone()).unwrap()))
        };
        let anna = ("353861234567".to_owned(), r#"{"Name":"Anna"}"#.to_owned());
        assert_eq!(check(&["", "0861234567", "", "Anna", ""]), Ok(anna.clone()));
        assert_eq!(check(&["", "0861234567", "", "Anna"]), Ok(anna));
        assert_eq!(check(&["", "0861234567"]).unwrap().1, "{}");
        let stray = check(&["", "0861234567", "x", "Anna"]).unwrap_err();
        assert_eq!(stray.code, "other_columns");
        assert!(stray.says.starts_with("Something stands in column C"), "{}", stray.says);
        assert_eq!(check(&["x", "0861234567"]).unwrap_err().code, "other_columns");
        assert!(check(&["", "0861234567", "", "Anna", "x"]).unwrap_err().says.contains("has 5 fields"));
    }

    #[test]
    fn errors_of_formulas_are_problems_in_every_format_and_language() {
        for format in Format::ALL {
            for error in ["#N/A", "#REF!", "#DIV/0!", "#NV", "#BEZUG!", "#NOM?", "#N/D", "#¡VALOR!", "Err:502"] {
                assert_eq!(
                    check(format, &["0861234567", "1", error]).result.unwrap_err().code,
                    "cell_error",
                    "{error}"
                );
            }
            for text in ["#1", "#", "N/A", "Err:", "Err:50x", "#NVIDIA"] {
                assert!(check(format, &["0861234567", "1", text]).result.is_ok(), "{text}");
            }
            let uncalculated = check(format, &[NEVER_CALCULATED, "1"]).result.unwrap_err();
            assert_eq!((uncalculated.code, uncalculated.field.as_deref()), ("never_calculated", Some("Phone")));
            assert!(uncalculated.says.contains("never calculated: open the workbook, save it"));
        }
    }

    #[test]
    fn a_bad_row_names_the_column_and_leaves_no_trace() {
        let huge = "x".repeat(1_000_000);
        for (row, field, code) in [
            (["", "1", "a", "b", ""], "Phone", "missing_address"),
            (["07911 1", "1", "a", "b", ""], "Phone", "invalid_address"),
            (["0861234567", "1", "a", &huge, ""], "City", "too_long"),
            (["0861234567", &huge, "a", "b", ""], "ID", "too_long"),
            (["0861234567", &huge[..201], "a", "b", ""], "ID", "too_long"),
            (["0861234567", "1", "a", "M\u{fffd}nster", ""], "City", "unreadable_text"),
            (["0861234567", "1", "a", "nul\0", ""], "City", "unreadable_text"),
        ] {
            let checked = check(Format::Csv, &row);
            let problem = checked.result.unwrap_err();
            assert_eq!((problem.field.as_deref(), problem.code), (Some(field), code));
            assert!(problem.value.is_none_or(|value| value.chars().count() <= 100 && !value.contains('\0')));
            assert_eq!((checked.json.as_str(), checked.missing.as_slice()), ("", &[0, 0, 0, 0, 0][..]));
        }
        assert!(check(Format::Csv, &["0861234567", "1", "a", "b", &huge]).result.is_ok(), "the column is ignored");
    }
}
