use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::contacts::addresses::{AddressProblem, normalise};
use crate::db::Reason;
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
    /// How the characters of a CSV are written.
    pub enum FileEncoding {
        Utf8 = "utf-8",
        Utf16Le = "utf-16le",
        Utf16Be = "utf-16be",
        Windows1252 = "windows-1252",
    }
}

impl FileEncoding {
    pub fn label(self) -> &'static str {
        match self {
            FileEncoding::Utf8 => "UTF-8",
            FileEncoding::Utf16Le | FileEncoding::Utf16Be => "UTF-16",
            FileEncoding::Windows1252 => "Windows-1252",
        }
    }
}

/// What the beginning of a file tells.
#[derive(Clone, Debug, PartialEq)]
pub struct TableHead {
    pub format: Format,
    /// Only of CSV, as is the delimiter.
    pub encoding: Option<FileEncoding>,
    pub delimiter: Option<u8>,
    pub headers: Vec<String>,
    /// The first rows, as wide as the headers, each value cut to what a page shows.
    pub sample: Vec<Vec<String>>,
}

/// Checks a header row and trims its names. Nameless columns at the right end,
/// which spreadsheets like to leave, are not counted.
pub fn read_headers(row: &Record) -> Result<Vec<String>, Refusal> {
    let mut headers: Vec<String> = row.iter().map(|name| name.trim().to_owned()).collect();
    while headers.last().is_some_and(String::is_empty) {
        headers.pop();
    }
    if headers.len() > MOST_COLUMNS {
        return Err(Refusal::TooManyColumns { n: headers.len() });
    }
    if let Some(i) = headers.iter().position(|name| name.chars().nth(LONGEST_NAME).is_some()) {
        return Err(Refusal::HeaderTooLong { column: letters(i) });
    }
    if headers.iter().any(|name| name.contains(['\0', '\u{fffd}'])) {
        return Err(Refusal::Binary);
    }
    if let Some(value) = headers.iter().find(|name| looks_like_a_number(name)) {
        return Err(Refusal::HeaderIsData { value: value.clone() });
    }
    let nameless: Vec<_> = (0..headers.len()).filter(|&i| headers[i].is_empty()).map(letters).collect();
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
const PERHAPS_PHONE_WORDS: &[&str] = &["number", "to", "broj", "portable", "sms"];

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
    pub customer_id: Option<&'a str>,
}

/// What a row must be to be taken. Made once for a file and asked for each row.
pub struct ImportRules<'a> {
    headers: &'a [String],
    kind: Kind,
    region: &'a str,
    /// Whether a row with another number of fields than the header is wrong.
    /// Spreadsheets leave empty cells out, so there it is not.
    strict_width: bool,
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
        let strict_width = format == Format::Csv;
        Ok(ImportRules { headers, kind, region, strict_width, channel_id, customer_id, data })
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
        let beyond = (self.headers.len()..row.len()).any(|i| !row.get(i).trim().is_empty());
        if beyond || (self.strict_width && row.len() < self.headers.len()) {
            return Err(RowProblem {
                field: None,
                value: None,
                code: "other_columns",
                says: format!(
                    "This row has {} and the header row has {}. A text with the separator in it needs quotes around it.",
                    fields(row.len()),
                    self.headers.len()
                ),
            });
        }
        let address = self.value(row, self.channel_id)?;
        let address =
            normalise(self.kind, address, self.region).map_err(|problem| self.not_an_address(problem, address))?;
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
            missing[data.column] += u64::from(row.get(data.column).trim().is_empty());
        }
        Ok(GoodRow { address, customer_id })
    }

    fn value<'r>(&self, row: &'r Record, column: usize) -> Result<&'r str, RowProblem> {
        let value = row.get(column).trim();
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
        if !self.strict_width && is_cell_error(value) {
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

fn is_cell_error(value: &str) -> bool {
    value.starts_with('#')
        && matches!(value, "#DIV/0!" | "#N/A" | "#NAME?" | "#NULL!" | "#NUM!" | "#REF!" | "#VALUE!" | "#DATA!")
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
}

impl File {
    /// Sends it to be imported with this meaning of its columns.
    ///
    /// `region`: the country that numbers without a country code belong to;
    /// empty when all have theirs.
    pub fn import(&mut self, mapping: Mapping, region: String) -> Result<(), Refused> {
        match self.state {
            State::Received | State::Cancelled { .. } => {}
            State::Importing { .. } => return Err(Refused::AlreadyImporting),
            State::Imported { .. } => return Err(Refused::AlreadyImported),
            State::Refused { .. } => return Err(Refused::Refused),
        }
        mapping.check(&self.head.headers)?;
        if !region.is_empty() && crate::contacts::regions::name(&region).is_none() {
            return Err(Refused::NoSuchRegion);
        }
        self.mapping = Some(mapping);
        self.region = Some(region);
        self.counts = FileCounts::default();
        self.state = State::Importing { cancelling: false };
        Ok(())
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
            && numbers().all(|number| number.starts_with(['+', '0']) && normalise(self.kind, number, "").is_ok());
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
    fn headers_are_trimmed_and_empty_ones_at_the_end_dropped() {
        assert_eq!(read_headers(&record(&[" Phone ", "First name", "", " "])), Ok(names(&["Phone", "First name"])));
    }

    #[test]
    fn headers_that_name_nothing_or_twice_are_refused_by_name() {
        assert_eq!(
            read_headers(&record(&["Phone", "", "Name", "", "x"])),
            Err(Refusal::NamelessColumns { columns: names(&["B", "D"]) })
        );
        assert_eq!(
            read_headers(&record(&["Phone", "name", "Name", "NAME"])),
            Err(Refusal::RepeatedColumns { names: names(&["Name"]) })
        );
        assert_eq!(
            read_headers(&record(&["Anna", "+353 86 123 4567"])),
            Err(Refusal::HeaderIsData { value: "+353 86 123 4567".to_owned() })
        );
        assert_eq!(
            read_headers(&record(&["Phone", &"x".repeat(101)])),
            Err(Refusal::HeaderTooLong { column: "B".to_owned() })
        );
        let many: Vec<String> = (0..1001).map(|i| format!("c{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(read_headers(&record(&many)), Err(Refusal::TooManyColumns { n: 1001 }));
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
        let rules = ImportRules::new(&mapping, &headers, format, Kind::Sms, "IE").unwrap();
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
    fn a_row_with_another_width_is_told() {
        let short = check(Format::Csv, &["0861234567", "1"]).result.unwrap_err();
        assert_eq!((short.code, short.field), ("other_columns", None));
        assert!(short.says.starts_with("This row has 2 fields and the header row has 5."), "{}", short.says);
        assert!(check(Format::Csv, &["0861234567", "1", "", "", "", "6"]).result.is_err());
        assert!(
            check(Format::Csv, &["0861234567", "1", "", "", "", " "]).result.is_ok(),
            "nothing stands in the sixth"
        );
        assert!(check(Format::Xlsx, &["0861234567"]).result.is_ok(), "spreadsheets leave empty cells out");
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
        assert_eq!(check(Format::Xls, &["0861234567", "1", "#N/A"]).result.unwrap_err().code, "cell_error");
        assert!(check(Format::Csv, &["0861234567", "1", "#N/A", "", ""]).result.is_ok());
    }
}
