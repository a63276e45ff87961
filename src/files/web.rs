use std::ops::RangeInclusive;

use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::stream;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::actions::{self, Look};
use super::domain::{File, FileEncoding, Mapping, ReadingChoice, Refused, State, Use, letters};
use super::import::MOST_LISTED;
use super::refusal::Refusal;
use super::store::{self, Kept, Listed, Taken};
use super::upload;
use crate::access::{Export, Operate, Right, Role, SeeAddresses, View, without_numbers};
use crate::app::App;
use crate::contacts::addresses::{DoubtfulNumber, TwoWays};
use crate::contacts::regions;
use crate::db::{DbError, Error};
use crate::ids::{CampaignId, FileId};
use crate::providers::Kind;
use crate::web::{Frame, Htmx, Incoming, May, Problem, page, page_with, see_other, table_in_turn, tell_draft};

/// On the form: every number has its country code.
const EVERYWHERE: &str = "everywhere";

pub fn configure(pages: &mut ServiceConfig) {
    // `new` before `{id}`, which would take it for one.
    pages
        .service(index)
        .service(new)
        .service(create)
        .service(show)
        .service(renew)
        .service(read)
        .service(import)
        .service(cancel)
        .service(settle)
        .service(delete)
        .service(download_problems)
        .service(preview);
}

/// The campaign that a file is for, carried from page to page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct FilePurpose {
    pub campaign: Option<CampaignId>,
}

impl FilePurpose {
    /// What stands behind the path of a page so that it leads back there.
    fn query(self) -> String {
        self.campaign.map(|id| format!("?campaign={id}")).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "files/new.html")]
struct New<'a> {
    frame: Frame,
    purpose: FilePurpose,
    refusal: Option<&'a Refusal>,
}

#[derive(Template)]
#[template(path = "files/show.html")]
struct Show {
    frame: Frame,
    panel: Panel,
}

#[derive(Template)]
#[template(path = "files/rows.html")]
struct Rows {
    frame: Frame,
    file: File,
    fields: Vec<String>,
    rows: Vec<Taken>,
    purpose: FilePurpose,
}

/// Where a file stands and what can be done about it: its mapping form, its
/// progress, or what came of it. Other pages may show it with `{{ panel|safe }}`;
/// while the file is being imported it renews itself.
#[derive(Template)]
#[template(path = "files/panel.html")]
pub struct Panel {
    file: File,
    purpose: FilePurpose,
    may_operate: bool,
    may_export: bool,
    /// Whether whoever looks sees people's numbers.
    in_full: bool,
    problems: Vec<Listed>,
    /// The first addresses that were taken.
    first: Vec<String>,
    doubtful: Vec<DoubtfulNumber>,
    may_settle: bool,
    form: MappingForm,
}

impl Panel {
    /// `role`: of whoever looks; it decides which buttons there are.
    pub fn new(look: Look, purpose: FilePurpose, role: Role) -> Self {
        let mut form = MappingForm::offer(&look);
        let in_full = role >= SeeAddresses::NEEDS;
        let (first, doubtful) = if in_full { (look.first, look.doubtful) } else { (Vec::new(), Vec::new()) };
        let may_settle = look.may_settle && role >= Role::Operator;
        if !in_full {
            form.columns.iter_mut().for_each(|column| column.examples.clear());
        }
        let (may_operate, may_export) = (role >= Role::Operator, role >= Export::NEEDS);
        let (file, problems) = (look.file, look.problems);
        Panel { file, purpose, may_operate, may_export, in_full, problems, first, doubtful, may_settle, form }
    }

    fn shown(&self, text: &str) -> String {
        if self.in_full { text.to_owned() } else { without_numbers(text) }
    }

    fn action(&self, verb: &str) -> String {
        format!("/files/{}/{verb}{}", self.file.id, self.purpose.query())
    }

    fn percent(&self) -> i64 {
        (self.file.counts.bytes_done * 100).checked_div(self.file.size_bytes).unwrap_or(0).clamp(0, 100)
    }

    /// All is read; what is good is being stored.
    fn is_storing(&self) -> bool {
        self.file.counts.bytes_done >= self.file.size_bytes
    }

    fn waits(&self) -> bool {
        self.file.counts.done == 0
    }

    /// All of them, or as many as are listed.
    fn download(&self) -> String {
        match self.file.counts.bad + self.file.counts.duplicate {
            n if n > MOST_LISTED => format!("Download the first {} problems (CSV)", grouped(MOST_LISTED)),
            _ => "Download all problems (CSV)".to_owned(),
        }
    }

    fn more_problems(&self) -> i64 {
        self.file.counts.bad + self.file.counts.duplicate - self.problems.len() as i64
    }

    fn format(&self) -> String {
        let head = &self.file.head;
        let separated = match head.delimiter {
            Some(b';') => ", separated by semicolons",
            Some(b'\t') => ", separated by tabs",
            Some(b'|') => ", separated by bars",
            Some(b',') => ", separated by commas",
            Some(_) | None => "",
        };
        let encoding = head.encoding.map(|encoding| format!(" in {}", encoding.label())).unwrap_or_default();
        let sheet = head.sheet_name().map(|name| format!(", sheet “{name}”")).unwrap_or_default();
        format!("{}{encoding}{separated}{sheet}", head.format.label())
    }

    /// Rows that may name the columns.
    fn header_rows(&self) -> RangeInclusive<i64> {
        1..=self.file.head.header_row.max(10)
    }

    /// Of the rows that the workbook does not show.
    fn hidden(&self) -> Option<String> {
        let (rows, are, they, were) = match self.file.head.n_hidden {
            0 => return None,
            1 => ("1 row".to_owned(), "is", "It is", "was"),
            n => (format!("{} rows", grouped(n)), "are", "They are", "were"),
        };
        let imported = matches!(self.file.state, State::Imported { .. });
        Some(match (imported, self.file.head.takes_hidden) {
            (false, false) => format!("{rows} {are} hidden or filtered out in the workbook. {they} left out."),
            (false, true) => {
                format!("{rows} {are} hidden or filtered out in the workbook. {they} taken like the others.")
            }
            (true, false) => format!("{rows} that {are} hidden or filtered out in the workbook {were} left out."),
            (true, true) => {
                format!("{rows} that {are} hidden or filtered out in the workbook {were} taken like the others.")
            }
        })
    }

    /// Said when the name promises another format than the content has.
    fn misnamed(&self) -> Option<String> {
        let ending = self.file.name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase())?;
        let promised = super::domain::Format::of_word(&ending)?;
        let format = self.file.head.format;
        (promised != format)
            .then(|| format!("Its name ends in .{ending}, but its content is {}; it is read as that.", format.label()))
    }
}

/// What is chosen on the mapping form.
#[derive(Debug)]
struct MappingForm {
    columns: Vec<Column>,
    /// Empty while nothing is chosen.
    region: String,
    two_ways: TwoWays,
    error: Option<String>,
}

#[derive(Debug)]
struct Column {
    letters: String,
    header: String,
    examples: Vec<String>,
    chosen: Use,
}

impl MappingForm {
    const USES: [(&'static str, &'static str); 4] = [
        ("channel_id", "Channel ID: messages go there"),
        ("customer_id", "Customer ID"),
        ("data", "Data"),
        ("ignore", "Ignore"),
    ];

    fn offer(look: &Look) -> Self {
        let head = &look.file.head;
        let mapping = look.file.mapping.clone().unwrap_or_else(|| Mapping::guess(&head.headers, &head.sample));
        let region = match look.region.as_deref() {
            Some("") => EVERYWHERE.to_owned(),
            Some(code) => code.to_owned(),
            None => String::new(),
        };
        Self::of(&look.file, mapping, region, look.file.two_ways, None)
    }

    fn of(file: &File, mapping: Mapping, region: String, two_ways: TwoWays, error: Option<String>) -> Self {
        let head = &file.head;
        let columns = head.headers.iter().zip(mapping.columns).enumerate().map(|(i, (header, chosen))| Column {
            letters: letters(i),
            header: header.clone(),
            examples: head
                .sample
                .iter()
                .filter_map(|row| row.get(i))
                .filter(|v| !v.is_empty())
                .take(3)
                .cloned()
                .collect(),
            chosen,
        });
        MappingForm { columns: columns.collect(), region, two_ways, error }
    }
}

/// How a file is to be read, as it is chosen beside its first rows.
#[derive(Deserialize)]
struct ReadingForm {
    encoding: Option<String>,
    sheet: Option<usize>,
    header_row: Option<i64>,
    hidden: Option<String>,
}

impl ReadingForm {
    /// What is not on the form stays as it is.
    fn choice(&self, file: &File) -> ReadingChoice {
        let head = &file.head;
        ReadingChoice {
            encoding: self.encoding.as_deref().and_then(FileEncoding::of_word).or(head.encoding),
            likely: None,
            sheet: Some(self.sheet.unwrap_or(head.sheet)),
            // Another sheet has a header row of its own.
            header_row: match self.sheet.is_some_and(|sheet| sheet != head.sheet) {
                true => None,
                false => Some(self.header_row.unwrap_or(head.header_row)),
            },
            takes_hidden: self.hidden.is_some(),
        }
    }
}

/// The mapping form as it comes in: `use-0`, `use-1`, …, `region` and `two_ways`.
struct Chosen {
    mapping: Mapping,
    region: String,
    two_ways: TwoWays,
}

impl Chosen {
    /// Not a `Form`, whose limit a file with many columns would exceed.
    fn read(body: &Bytes, headers: &[String]) -> Result<Self, Problem> {
        let garbled = || Problem::Invalid("The form did not come through whole".to_owned());
        let body = std::str::from_utf8(body).map_err(|_| garbled())?;
        let pairs = Query::<Vec<(String, String)>>::from_query(body).map_err(|_| garbled())?;
        let fields: std::collections::HashMap<String, String> = pairs.into_inner().into_iter().collect();
        let columns = headers.iter().enumerate().map(|(i, header)| {
            let word = fields.get(&format!("use-{i}")).map(String::as_str).unwrap_or("ignore");
            Use::of_word(word, header).unwrap_or(Use::Ignore)
        });
        let mapping = Mapping { columns: columns.collect() };
        let two_ways = fields.get("two_ways").and_then(|word| TwoWays::of_word(word)).unwrap_or_default();
        Ok(Chosen { mapping, region: fields.get("region").cloned().unwrap_or_default(), two_ways })
    }
}

/// Files on one page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "files/index.html")]
struct Index {
    frame: Frame,
    files: Vec<Kept>,
    before: Option<FileId>,
    next: Option<FileId>,
    zone: Tz,
}

impl Index {
    fn day(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %B %Y, %H:%M").to_string()
    }

    fn size(&self, file: &File) -> String {
        match file.size_bytes {
            n if n < 1 << 10 => format!("{n} B"),
            n if n < 1 << 20 => format!("{} KiB", n >> 10),
            n => format!("{} MiB", grouped(n >> 20)),
        }
    }
}

#[derive(Deserialize)]
struct Place {
    before: Option<FileId>,
}

/// What was uploaded, the newest first.
#[get("/files")]
async fn index(_: May<View>, frame: Frame, app: Data<App>, place: Query<Place>) -> Result<HttpResponse, Problem> {
    let before = place.before;
    let mut files = app.db.run(move |conn| store::page(conn, before, PAGE as i64 + 1)).await?;
    let next = (files.len() > PAGE).then(|| files[PAGE - 1].file.id);
    files.truncate(PAGE);
    page(Index { frame, files, before, next, zone: app.settings.time_zone })
}

#[post("/files/{id}/delete")]
async fn delete(may: May<Operate>, app: Data<App>, id: Path<FileId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::delete(conn, id, by, now)).await?;
    Ok(see_other("/files"))
}

#[get("/files/new")]
async fn new(_: May<Operate>, frame: Frame, purpose: Query<FilePurpose>) -> Result<HttpResponse, Problem> {
    page(New { frame, purpose: purpose.into_inner(), refusal: None })
}

/// Takes a file in and asks what its columns are. Campaigns have an upload of their own.
#[post("/files")]
async fn create(may: May<Operate>, frame: Frame, app: Data<App>, form: Incoming) -> Result<HttpResponse, Problem> {
    let mut purpose = FilePurpose::default();
    let kept = match upload::Form::read(form, &["campaign"]).await {
        Ok(form) => {
            purpose.campaign = form.texts.text("campaign").trim().parse().ok().map(CampaignId);
            form.keep(&app, Kind::Sms, may.person.id, app.clock.now()).await
        }
        Err(failed) => Err(failed),
    };
    match kept {
        Ok(id) => Ok(see_other(format!("/files/{id}{}", purpose.query()))),
        Err(upload::Failed::Refused(refusal)) => {
            page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, purpose, refusal: Some(&refusal) })
        }
        Err(failed) => Err(failed.into()),
    }
}

#[get("/files/{id}")]
async fn show(
    may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
) -> Result<HttpResponse, Problem> {
    let (id, by) = (id.into_inner(), may.person.id);
    let look = app.db.run(move |conn| actions::look(conn, id, by)).await?;
    page(Show { frame, panel: Panel::new(look, purpose.into_inner(), may.person.role) })
}

#[get("/files/{id}/panel")]
async fn renew(
    may: May<View>,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
) -> Result<HttpResponse, Problem> {
    let (id, by) = (id.into_inner(), may.person.id);
    let look = app.db.run(move |conn| actions::look(conn, id, by)).await?;
    let goes_on = matches!(look.file.state, State::Importing { .. });
    let mut answer = page(Panel::new(look, purpose.into_inner(), may.person.role))?;
    if !goes_on {
        tell_draft(&mut answer);
    }
    Ok(answer)
}

/// Reads a file anew as somebody says, and shows its first rows again.
#[post("/files/{id}/read")]
async fn read(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
    form: Form<ReadingForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now, purpose) = (id.into_inner(), may.person.id, app.clock.now(), purpose.into_inner());
    let look = app.db.run(move |conn| actions::look(conn, id, by)).await?;
    look.file.may_be_read_anew().map_err(|refused| Problem::from(Error::Refused(refused)))?;
    let (db, choice) = (app.db.clone(), form.choice(&look.file));
    let head = spawn_blocking(move || upload::read_anew(&db, id, choice)).await;
    match head.map_err(|error| Problem::Unexpected(error.into()))? {
        Ok(head) => app.db.run(move |conn| actions::read_anew(conn, id, &head, by, now)).await?,
        Err(upload::Failed::Refused(refusal)) => {
            let mut panel = Panel::new(look, purpose, may.person.role);
            panel.form.error = Some(format!("Read like that, it is no table. {refusal}"));
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return match htmx {
                Htmx(true) => page_with(status, panel),
                Htmx(false) => page_with(status, Show { frame, panel }),
            };
        }
        Err(failed) => return Err(failed.into()),
    }
    answer(&app, may, id, purpose, htmx).await
}

#[post("/files/{id}/import")]
async fn import(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
    body: Bytes,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now, purpose) = (id.into_inner(), may.person.id, app.clock.now(), purpose.into_inner());
    let look = app.db.run(move |conn| actions::look(conn, id, by)).await?;
    let Chosen { mapping, region, two_ways } = Chosen::read(&body, &look.file.head.headers)?;

    let (sent, stored_region) = (mapping.clone(), if region == EVERYWHERE { String::new() } else { region.clone() });
    let result = match region.is_empty() {
        true => Err(Error::Refused(Refused::NoSuchRegion)),
        false => {
            match app.db.run(move |conn| actions::import(conn, id, sent, stored_region, two_ways, by, now)).await {
                Ok(_) => Ok(()),
                Err(DbError::Work(error)) => Err(error),
                Err(DbError::Busy | DbError::Cancelled) => return Err(Problem::Busy),
                Err(DbError::Lost(lost)) => return Err(Problem::NoDatabase(lost)),
            }
        }
    };
    match result {
        Ok(()) => {}
        Err(Error::Refused(error @ (Refused::Mapping(_) | Refused::NoSuchRegion))) => {
            let form = MappingForm::of(&look.file, mapping, region, two_ways, Some(error.to_string()));
            let panel = Panel { form, ..Panel::new(look, purpose, may.person.role) };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return match htmx {
                Htmx(true) => page_with(status, panel),
                Htmx(false) => page_with(status, Show { frame, panel }),
            };
        }
        Err(error) => return Err(error.into()),
    }
    answer(&app, may, id, purpose, htmx).await
}

#[derive(Deserialize)]
struct TwoWaysForm {
    two_ways: String,
}

/// Has an imported file read once more, with the chosen reading of numbers that have two.
#[post("/files/{id}/two-ways")]
async fn settle(
    may: May<Operate>,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
    form: Form<TwoWaysForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let Some(two_ways) = TwoWays::of_word(&form.two_ways) else {
        return Err(Problem::Invalid("Choose how numbers are read that could be read two ways.".to_owned()));
    };
    app.db.run(move |conn| actions::settle(conn, id, two_ways, by, now)).await?;
    answer(&app, may, id, purpose.into_inner(), htmx).await
}

#[post("/files/{id}/cancel")]
async fn cancel(
    may: May<Operate>,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::cancel(conn, id, by, now)).await?;
    answer(&app, may, id, purpose.into_inner(), htmx).await
}

async fn answer(
    app: &App,
    may: May<Operate>,
    id: FileId,
    purpose: FilePurpose,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let by = may.person.id;
    let look = app.db.run(move |conn| actions::look(conn, id, by)).await?;
    let panel = Panel::new(look, purpose, may.person.role);
    let mut answer = htmx.fragment_or_redirect(panel, format!("/files/{id}{}", purpose.query()))?;
    if htmx.0 {
        tell_draft(&mut answer);
    }
    Ok(answer)
}

/// All problems, fetched and sent page by page.
#[get("/files/{id}/problems.csv", wrap = "from_fn(table_in_turn)")]
async fn download_problems(_: May<Export>, app: Data<App>, id: Path<FileId>) -> Result<HttpResponse, Problem> {
    const PAGE: i64 = 5_000;

    let id = id.into_inner();
    app.db.run(move |conn| store::find(conn, id)).await?;
    let pages = stream::try_unfold((app, Some(0)), move |(app, after)| async move {
        let Some(after) = after else { return Ok::<_, Problem>(None) };
        let problems = app.db.run(move |conn| store::problems(conn, id, after, PAGE)).await?;
        let next = problems.last().map(|last| last.line).filter(|_| problems.len() as i64 == PAGE);
        let text = problems_csv(&problems, after == 0).map_err(Problem::Unexpected)?;
        Ok(Some((Bytes::from(text), (app, next))))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"file-{id}-problems.csv\"")))
        .streaming(pages))
}

fn problems_csv(problems: &[Listed], with_header: bool) -> anyhow::Result<Vec<u8>> {
    // Without the mark Excel takes UTF-8 for something else.
    let start = if with_header { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut csv = csv::Writer::from_writer(start);
    if with_header {
        csv.write_record(["Row", "Column", "Value", "Code", "Problem"])?;
    }
    for problem in problems {
        csv.write_record([
            problem.line.to_string().as_str(),
            &harmless(problem.field.as_deref().unwrap_or_default()),
            &harmless(problem.value.as_deref().unwrap_or_default()),
            &problem.code,
            &harmless(&problem.says),
        ])?;
    }
    Ok(csv.into_inner().map_err(|error| error.into_error())?)
}

/// A spreadsheet would run a cell that begins like a formula.
fn harmless(text: &str) -> String {
    let is_formula = text.starts_with(['=', '@', '\t', '\r'])
        || text.strip_prefix(['+', '-']).is_some_and(|rest| !rest.bytes().all(|b| b.is_ascii_digit() || b == b' '));
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

#[get("/files/{id}/rows")]
async fn preview(
    _: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<FileId>,
    purpose: Query<FilePurpose>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let (file, rows) = app
        .db
        .run(move |conn| Ok::<_, Error<Refused>>((store::find(conn, id)?, store::first_rows(conn, id, 100)?)))
        .await?;
    let columns = file.mapping.iter().flat_map(|mapping| &mapping.columns);
    let fields = columns
        .filter_map(|column| match column {
            Use::Data { field } => Some(field.clone()),
            Use::ChannelId | Use::CustomerId | Use::Ignore => None,
        })
        .collect();
    page(Rows { frame, file, fields, rows, purpose: purpose.into_inner() })
}

impl From<upload::Failed> for Problem {
    fn from(failed: upload::Failed) -> Self {
        match failed {
            upload::Failed::Refused(refusal) => Problem::Invalid(refusal.to_string()),
            upload::Failed::Unfit(unfit) => unfit.into(),
            upload::Failed::Broken(error) => Problem::Unexpected(error),
        }
    }
}

mod filters {
    /// Digits in groups of three.
    #[askama::filter_fn]
    pub fn grouped(n: &i64, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(super::grouped(*n))
    }
}

fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567, -1000].map(grouped), ["0", "999", "1,000", "1,234,567", "-1,000"]);
    }

    #[test]
    fn downloaded_cells_are_never_formulas() {
        for text in ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["+353 86 123", "353", "-5", ""] {
            assert_eq!(harmless(text), text);
        }
    }
}
