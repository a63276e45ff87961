use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::stream;
use serde::Deserialize;

use super::domain::{BlockedAddress, Reading, TypedAddress, TypedLines, WrongAddress};
use super::{actions, store};
use crate::access::{Export, Manage, Operate, Role, View};
use crate::app::App;
use crate::contacts::addresses::TwoWays;
use crate::contacts::addresses::in_full;
use crate::contacts::domain::last_day;
use crate::contacts::quiet;
use crate::contacts::regions;
use crate::contacts::store::Whom;
use crate::contacts::store::usual_region;
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::web::{
    FieldErrors, Frame, Incoming, KEPT_TO_CORRECT, May, Parts, Problem, csv, heavy, page, page_with, search_in_turn,
    see_other, table_in_turn, tell_once, told_once,
};

pub fn routes(cfg: &mut ServiceConfig) {
    // What has a name before `{id}`, which would take it for one.
    cfg.service(index)
        .service(export)
        .service(new_page)
        .service(add)
        .service(import_page)
        .service(import)
        .service(unblock);
}

/// Entries on one page.
const PAGE: usize = 50;
/// Entries read at once while exporting.
const EXPORTED_AT_ONCE: i64 = 5000;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Place {
    q: String,
    before: String,
}

#[derive(Template)]
#[template(path = "blocklist/index.html")]
struct Index {
    frame: Frame,
    q: String,
    before: Option<i64>,
    entries: Vec<BlockedAddress>,
    next: Option<i64>,
    zone: Tz,
    now: DateTime<Utc>,
}

impl Index {
    fn href(&self, below: &str, before: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        let query = query.finish();
        format!("/blocklist{below}{}{query}", if query.is_empty() { "" } else { "?" })
    }

    fn next_href(&self) -> Option<String> {
        Some(self.href("", Some(self.next?)))
    }

    fn remove_href(&self, entry: &BlockedAddress) -> String {
        self.href(&format!("/{}/remove", entry.id), None)
    }

    fn last_day(&self, until: &DateTime<Utc>) -> String {
        last_day(*until, self.zone).format("%-d %B %Y").to_string()
    }

    fn day(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %B %Y").to_string()
    }
}

#[get("/blocklist", wrap = "from_fn(search_in_turn)")]
async fn index(_may: May<View>, frame: Frame, app: Data<App>, place: Query<Place>) -> Result<HttpResponse, Problem> {
    let Place { q, before } = place.into_inner();
    // What is no entry, is no place to begin.
    let (begins, before) = (q.clone(), before.parse().ok());
    let mut entries = app.db.run(move |conn| store::page(conn, &begins, before, PAGE as i64 + 1)).await?;
    let mut next = (entries.len() > PAGE).then(|| entries[PAGE - 1].id);
    entries.truncate(PAGE);
    let n = entries.len();
    entries.retain(|it| !frame.person.may_not_find(&q, &it.address, None));
    next = next.filter(|_| entries.len() == n);
    quiet::wait(&app, Whom::Barred).await;
    let (zone, now) = (app.settings.time_zone, app.clock.now());
    page(Index { frame, q: q.trim().to_owned(), before, entries, next, zone, now })
}

#[get("/blocklist.csv", wrap = "from_fn(table_in_turn)")]
async fn export(_may: May<Export>, app: Data<App>, place: Query<Place>) -> Result<HttpResponse, Problem> {
    let (q, zone) = (place.into_inner().q, app.settings.time_zone);
    let mut first = csv::mark();
    first.extend(csv::lines([["address", "until", "why", "kind", "added by", "added"]])?);
    let pages = stream::try_unfold((Some(None), first), move |(before, mut lines)| {
        let (app, q) = (app.clone(), q.clone());
        async move {
            let Some(before) = before else { return Ok::<_, Problem>(None) };
            let entries = app.db.run(move |conn| store::page(conn, &q, before, EXPORTED_AT_ONCE)).await?;
            quiet::wait(&app, Whom::Barred).await;
            for entry in &entries {
                let until = entry.until.map(|until| last_day(until, zone).to_string()).unwrap_or_default();
                let address = in_full(entry.kind, &entry.address);
                let added = entry.added_at.with_timezone(&zone).to_rfc3339();
                lines.extend(csv::lines([[
                    address.as_str(),
                    &until,
                    entry.why.as_deref().unwrap_or_default(),
                    entry.kind.word(),
                    entry.added_by.as_deref().unwrap_or_default(),
                    &added,
                ]])?);
            }
            let next = entries.last().filter(|_| entries.len() as i64 == EXPORTED_AT_ONCE).map(|last| Some(last.id));
            Ok(Some((Bytes::from(lines), (next, Vec::new()))))
        }
    });
    Ok(csv::download("blocklist.csv", pages))
}

/// An entry as typed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct EntryForm {
    kind: String,
    region: String,
    address: String,
    until: String,
    why: String,
}

#[derive(Template)]
#[template(path = "blocklist/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a EntryForm,
    errors: &'a FieldErrors,
    zone: Tz,
}

#[get("/blocklist/new")]
async fn new_page(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    form: Query<EntryForm>,
) -> Result<HttpResponse, Problem> {
    let by = may.person.id;
    let region = app.db.run(move |conn| usual_region(conn, by)).await?.unwrap_or_default();
    let form = EntryForm { region, ..form.into_inner() };
    page(New { frame, form: &form, errors: &FieldErrors::default(), zone: app.settings.time_zone })
}

#[post("/blocklist")]
async fn add(may: May<Operate>, frame: Frame, app: Data<App>, form: Form<EntryForm>) -> Result<HttpResponse, Problem> {
    let (by, now, zone) = (may.person.id, app.clock.now(), app.settings.time_zone);
    let kind = Kind::of_word(&form.kind).unwrap_or(Kind::Sms);
    let reading = Reading { kind, region: &form.region, two_ways: TwoWays::LeaveOut, zone, now };
    let typed = TypedAddress { address: &form.address, until: &form.until, why: &form.why };
    match reading.entry(typed) {
        Ok(block) => {
            app.db.run(move |conn| actions::block(conn, kind, &[block], by, now)).await?;
            quiet::wait(&app, Whom::Barred).await;
            Ok(see_other("/blocklist"))
        }
        Err(wrong) => {
            let mut errors = FieldErrors::default();
            for wrong in wrong {
                let field = match wrong {
                    WrongAddress::Address(_) => "address",
                    WrongAddress::NoDate | WrongAddress::Over => "until",
                    WrongAddress::LongWhy => "why",
                };
                errors.add(field, reading.says(&wrong, &form.address));
            }
            page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, form: &form, errors: &errors, zone })
        }
    }
}

#[post("/blocklist/{id}/remove")]
async fn unblock(
    may: May<Manage>,
    app: Data<App>,
    id: Path<i64>,
    place: Query<Place>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::unblock(conn, id, by, now)).await?;
    let q = form_urlencoded::Serializer::new(String::new()).append_pair("q", &place.q).finish();
    Ok(see_other(format!("/blocklist{}", if place.q.is_empty() { String::new() } else { format!("?{q}") })))
}

/// An import as it came in.
#[derive(Clone, Default)]
struct ImportForm {
    kind: String,
    region: String,
    two_ways: TwoWays,
    text: String,
    /// Whether numbers in the text wait for a choice between two readings.
    asks: bool,
}

#[derive(Template)]
#[template(path = "blocklist/import.html")]
struct Import<'a> {
    frame: Frame,
    form: &'a ImportForm,
    errors: &'a FieldErrors,
    /// What came of it, as HTML.
    told: Option<String>,
}

/// What came of the lines of an import.
#[derive(Template)]
#[template(path = "blocklist/_lines.html")]
struct Lines<'a> {
    lines: &'a TypedLines,
    two_ways: TwoWays,
    asks: bool,
}

impl Lines<'_> {
    fn n(&self, n: impl std::borrow::Borrow<usize>) -> String {
        thousands(*n.borrow() as i64)
    }

    fn more_bad(&self) -> usize {
        self.lines.n_bad - self.lines.bad.len()
    }
}

#[get("/blocklist/import")]
async fn import_page(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    session: Session,
) -> Result<HttpResponse, Problem> {
    let by = may.person.id;
    let region = app.db.run(move |conn| usual_region(conn, by)).await?.unwrap_or_default();
    let told: Option<(String, String, String, bool)> = told_once(&session, &frame.path);
    let (told, form) = match told {
        None => (None, ImportForm { region, ..ImportForm::default() }),
        Some((told, text, two_ways, asks)) => {
            let two_ways = TwoWays::of_word(&two_ways).unwrap_or_default();
            (Some(told), ImportForm { region, text, two_ways, asks, ..ImportForm::default() })
        }
    };
    page(Import { frame, form: &form, errors: &FieldErrors::default(), told })
}

/// Blocks what a file or a pasted text holds; lines that cannot be read are told and left out.
#[post("/blocklist/import")]
async fn import(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    session: Session,
    form: Incoming,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let parts = Parts::read(form, &["kind", "region", "two_ways", "text", "file"]).await?;
    let two_ways = TwoWays::of_word(&parts.text("two_ways")).unwrap_or_default();
    let (kind, region, text) = (parts.text("kind"), parts.text("region"), parts.text("text"));
    let form = ImportForm { kind, region, two_ways, text, asks: false };
    let kind = Kind::of_word(&form.kind).unwrap_or(Kind::Sms);
    let file = parts.text("file");
    let mut errors = FieldErrors::default();
    if !file.trim().is_empty() && !form.text.trim().is_empty() {
        errors.add("text", "A file came in beside these. Block these first, then choose the file again.");
        let again = Import { frame, form: &form, errors: &errors, told: None };
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, again);
    }
    let text = if file.trim().is_empty() { form.text.clone() } else { file };
    let (region, zone) = (form.region.clone(), app.settings.time_zone);
    let lines = heavy(move || Reading { kind, region: &region, two_ways, zone, now }.lines(&text)).await?;
    // What was taken need not be typed again; what waits for a choice need not either.
    let (mut unsettled, mut length) = (::csv::Writer::from_writer(Vec::new()), 0);
    for line in &lines.unsettled {
        length += line.iter().map(|field| field.len() + 1).sum::<usize>();
        if KEPT_TO_CORRECT < length {
            break;
        }
        unsettled.write_record(line).map_err(|error| Problem::Unexpected(error.into()))?;
    }
    let unsettled = unsettled.into_inner().map_err(|error| Problem::Unexpected(error.into_error().into()))?;
    let unsettled = String::from_utf8_lossy(&unsettled).into_owned();
    let asks = !unsettled.is_empty();
    let told = Lines { lines: &lines, two_ways, asks }.render().map_err(|error| Problem::Unexpected(error.into()))?;
    if lines.good.is_empty() {
        errors.add(
            "text",
            if lines.bad.is_empty() {
                "Paste addresses, or choose a file with them."
            } else {
                "None of the lines could be taken. See below what is wrong."
            },
        );
        let form = ImportForm { asks, ..form };
        let again = Import { frame, form: &form, errors: &errors, told: Some(told) };
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, again);
    }
    let good = lines.good.clone();
    app.db.run(move |conn| actions::block(conn, kind, &good, by, now)).await?;
    quiet::wait(&app, Whom::Barred).await;
    tell_once(&session, &frame.path, &(told, unsettled, two_ways.word(), asks))?;
    Ok(see_other(frame.path))
}
