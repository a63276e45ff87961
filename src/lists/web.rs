use std::collections::BTreeMap;

use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures_util::stream;
use serde::Deserialize;

use super::actions;
use super::domain::{Condition, Field, Filter, FilterOp, Join, List, MOST_CONDITIONS, Refused};
use super::store::{self, CountedList, ListSource, Wanted};
use crate::access::{Export, Manage, Operate, Role, View};
use crate::app::App;
use crate::contacts::addresses::TwoWays;
use crate::contacts::addresses::in_full;
use crate::contacts::domain::{Pasted, last_day, read_pasted};
use crate::contacts::quiet;
use crate::contacts::regions;
use crate::contacts::store::Whom;
use crate::contacts::store::{Contact, all_fields, usual_fields, usual_region};
use crate::db::{DbError, Error};
use crate::ids::{ContactId, FileId, ListId};
use crate::providers::Kind;
use crate::web::chart::thousands;
use crate::web::{
    FieldErrors, Frame, Htmx, Incoming, KEPT_TO_CORRECT, May, Parts, Problem, Say, csv, heavy, in_turn, page,
    page_with, see_other, table_in_turn, tell_once, told_once,
};

pub fn routes(cfg: &mut ServiceConfig) {
    // What has a name before `{id}`, which would take it for one.
    cfg.service(index)
        .service(new_by_hand)
        .service(check)
        .service(create)
        .service(new_from_file)
        .service(create_from_file)
        .service(new_filter)
        .service(create_filter)
        .service(preview_count)
        .service(show)
        .service(count_now)
        .service(export)
        .service(add)
        .service(remove)
        .service(rename)
        .service(delete)
        .service(edit_filter)
        .service(change_filter);
}

/// Members on one page.
const PAGE: usize = 50;
/// Members read at once while exporting.
const EXPORTED_AT_ONCE: i64 = 2000;
/// Contacts that the index counts of one list; more are “more than”.
const COUNTED: i64 = 100_000;
/// How long the count of a filter is shown before it is counted again.
const KEPT: TimeDelta = TimeDelta::minutes(10);
/// Bad addresses that an answer names; more are only counted.
const NAMED: usize = 100;
/// Bytes of addresses that are checked while they are typed, at most.
const CHECKED_WHILE_TYPED: usize = 64 << 10;
/// Files to choose from.
const SOURCES: i64 = 100;

fn n_contacts(n: i64, most: Option<i64>) -> String {
    match most {
        Some(most) if most < n => format!("more than {} contacts", thousands(most)),
        Some(_) | None if n == 1 => "1 contact".to_owned(),
        Some(_) | None => format!("{} contacts", thousands(n)),
    }
}

// The lists

#[derive(Template)]
#[template(path = "lists/index.html")]
struct Index {
    frame: Frame,
    lists: Vec<(List, Now)>,
    zone: Tz,
}

/// How many contacts a list has now, as far as it is known without counting.
enum Now {
    Known(String),
    /// As it was some time ago; `stale` when it is time to count again.
    Counted {
        words: String,
        at: DateTime<Utc>,
        stale: bool,
    },
    Unknown,
}

impl Index {
    fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%H:%M").to_string()
    }
}

#[get("/lists")]
async fn index(_may: May<View>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let (now, zone) = (app.clock.now(), app.settings.time_zone);
    let (lists, members, counts) = app
        .db
        .run(|conn| {
            let members = store::count_members(conn, COUNTED + 1)?;
            Ok::<_, diesel::result::Error>((store::all(conn)?, members, store::last_counts(conn)?))
        })
        .await?;
    let members: BTreeMap<ListId, i64> = members.into_iter().collect();
    let counted = |list: List| {
        let words = |n: &i64| n_contacts(*n, Some(COUNTED));
        let now = match (members.get(&list.id), counts.get(&list.id)) {
            (Some(n), _) => Now::Known(words(n)),
            (None, Some(CountedList { n, at })) => Now::Counted { words: words(n), at: *at, stale: *at + KEPT < now },
            (None, None) => Now::Unknown,
        };
        (list, now)
    };
    page(Index { frame, lists: lists.into_iter().map(counted).collect(), zone })
}

/// How many contacts are on a list, in words; asked for by the page when it shows a filter. Counting
/// takes seconds among many contacts, so a count of the last minutes will do for everybody.
#[get("/lists/{id}/count", wrap = "from_fn(in_turn)")]
async fn count_now(_may: May<View>, app: Data<App>, id: Path<ListId>) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    let words = app
        .db
        .run(move |conn| {
            let list = store::find(conn, id)?;
            let last = store::last_counts(conn)?.get(&id).copied().filter(|last| now <= last.at + KEPT);
            let n = match (&list.filter, last) {
                (Some(_), Some(last)) => last.n,
                (Some(filter), None) => {
                    let n = store::count_matching(conn, filter, list.kind, Some(COUNTED + 1))?;
                    store::keep_count(conn, id, filter, CountedList { n, at: now })?;
                    n
                }
                (None, _) => store::count_audience(conn, &[id], &[], list.kind)?,
            };
            Ok::<_, diesel::result::Error>(n_contacts(n, Some(COUNTED)))
        })
        .await?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(words))
}

// Making one by hand

/// Pasted addresses as they came in.
#[derive(Clone, Default)]
struct PasteForm {
    name: String,
    kind: String,
    region: String,
    two_ways: TwoWays,
    text: String,
}

impl PasteForm {
    async fn read(form: Incoming) -> Result<Self, Problem> {
        let parts = Parts::read(form, &["name", "kind", "region", "two_ways", "text"]).await?;
        let [name, kind, region, text] = ["name", "kind", "region", "text"].map(|name| parts.text(name));
        let two_ways = TwoWays::of_word(&parts.text("two_ways")).unwrap_or_default();
        Ok(PasteForm { name, kind, region, two_ways, text })
    }

    fn kind(&self) -> Kind {
        Kind::of_word(&self.kind).unwrap_or(Kind::Sms)
    }

    /// Sorts the addresses out where many of them hold nobody up.
    async fn pasted(&self) -> Result<Pasted, Problem> {
        let (kind, text, region) = (self.kind(), self.text.clone(), self.region.clone());
        let two_ways = self.two_ways;
        heavy(move || read_pasted(kind, &text, &region, two_ways)).await
    }
}

/// What became of pasted addresses, or would.
#[derive(Template)]
#[template(path = "lists/_checked.html")]
struct Checked<'a> {
    pasted: &'a Pasted,
    /// They are on the list now, and so many were not before.
    added: Option<usize>,
}

impl Checked<'_> {
    fn good(&self) -> String {
        match self.added.unwrap_or(self.pasted.good.len()) {
            1 => "1 address".to_owned(),
            n => format!("{} addresses", thousands(n as i64)),
        }
    }

    fn more_bad(&self) -> usize {
        self.pasted.n_bad - self.pasted.bad.len().min(NAMED)
    }
}

/// Instead of [`Checked`] while so many are typed.
#[derive(Template)]
#[template(path = "lists/_too_many.html")]
struct TooMany;

#[derive(Template)]
#[template(path = "lists/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a PasteForm,
    errors: &'a FieldErrors,
    checked: Option<String>,
}

#[get("/lists/new")]
async fn new_by_hand(may: May<Operate>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let by = may.person.id;
    let region = app.db.run(move |conn| usual_region(conn, by)).await?.unwrap_or_default();
    let form = PasteForm { region, ..PasteForm::default() };
    page(New { frame, form: &form, errors: &FieldErrors::default(), checked: None })
}

/// Says which of the typed addresses are good, while they are typed.
#[post("/lists/check", wrap = "from_fn(in_turn)")]
async fn check(_may: May<Operate>, form: Incoming) -> Result<HttpResponse, Problem> {
    let form = PasteForm::read(form).await?;
    if form.text.len() > CHECKED_WHILE_TYPED {
        return page(TooMany);
    }
    let pasted = form.pasted().await?;
    page(Checked { pasted: &pasted, added: None })
}

/// Makes a list of the good addresses; the bad ones are named on its page.
#[post("/lists")]
async fn create(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    say: Say,
    session: Session,
    form: Incoming,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let form = PasteForm::read(form).await?;
    let (kind, pasted) = (form.kind(), form.pasted().await?);
    let again = |frame: Frame, errors: FieldErrors| {
        let checked = (!form.text.trim().is_empty()).then(|| Checked { pasted: &pasted, added: None }.render());
        let checked = checked.transpose().map_err(|error| Problem::Unexpected(error.into()))?;
        page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, form: &form, errors: &errors, checked })
    };
    let mut errors = FieldErrors::default();
    if let Err(refused) = super::domain::name(&form.name) {
        errors.add("name", refused.to_string());
    }
    if pasted.good.is_empty() {
        errors.add("text", "Paste at least one good address, one in a line or with commas between them.");
    }
    if !errors.is_empty() {
        return again(frame, errors);
    }
    let (name, good) = (form.name.clone(), pasted.good.clone());
    match app.db.run(move |conn| actions::create(conn, &name, kind, &good, by, now)).await {
        Ok(id) if pasted.bad.is_empty() => {
            say.that("The list is made.");
            Ok(see_other(format!("/lists/{id}")))
        }
        Ok(id) => {
            let pasted = (pasted.good.len(), pasted);
            added(&session, id, &form, pasted)
        }
        Err(DbError::Work(Error::Refused(refused))) => {
            errors.add("name", refused.to_string());
            again(frame, errors)
        }
        Err(error) => Err(error.into()),
    }
}

// Making one from a file

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct FileForm {
    name: String,
    file: String,
}

#[derive(Template)]
#[template(path = "lists/from_file.html")]
struct FromFile<'a> {
    frame: Frame,
    form: &'a FileForm,
    errors: &'a FieldErrors,
    sources: Vec<ListSource>,
    zone: Tz,
}

impl FromFile<'_> {
    fn options(&self) -> Vec<(String, String)> {
        let words = |source: &ListSource| {
            let day = source.uploaded_at.with_timezone(&self.zone).format("%-d %B %Y, %H:%M");
            format!("{} – {} of {}, {day}", source.name, n_contacts(source.contacts, None), source.kind.label())
        };
        self.sources.iter().map(|source| (source.id.to_string(), words(source))).collect()
    }
}

#[get("/lists/new/file")]
async fn new_from_file(
    _may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    form: Query<FileForm>,
) -> Result<HttpResponse, Problem> {
    let sources = app.db.run(|conn| store::sources(conn, SOURCES)).await?;
    page(FromFile { frame, form: &form, errors: &FieldErrors::default(), sources, zone: app.settings.time_zone })
}

#[post("/lists/new/file")]
async fn create_from_file(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    say: Say,
    form: Form<FileForm>,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let mut errors = FieldErrors::default();
    if let Err(refused) = super::domain::name(&form.name) {
        errors.add("name", refused.to_string());
    }
    let file = form.file.parse().ok().map(FileId);
    if file.is_none() {
        errors.add("file", "Choose a file.");
    }
    if let (Some(file), true) = (file, errors.is_empty()) {
        let name = form.name.clone();
        match app.db.run(move |conn| actions::create_from_file(conn, &name, file, by, now)).await {
            Ok(id) => {
                say.that("The list is made.");
                return Ok(see_other(format!("/lists/{id}")));
            }
            Err(DbError::Work(Error::Refused(refused @ Refused::NotImported))) => {
                errors.add("file", refused.to_string());
            }
            Err(DbError::Work(Error::Refused(refused))) => errors.add("name", refused.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let sources = app.db.run(|conn| store::sources(conn, SOURCES)).await?;
    let again = FromFile { frame, form: &form, errors: &errors, sources, zone: app.settings.time_zone };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, again)
}

// Making one by filter

/// A filter as typed: `name`, `kind`, `join`, and `field-0`, `op-0`, `value-0` and so on.
#[derive(Clone, Debug, Default)]
struct FilterForm {
    name: String,
    kind: String,
    join: String,
    conditions: Vec<TypedCondition>,
    /// Which button was pressed.
    pressed: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct TypedCondition {
    field: String,
    op: String,
    value: String,
    error: Option<String>,
}

impl FilterForm {
    fn empty() -> Self {
        FilterForm { conditions: vec![TypedCondition::default()], ..FilterForm::default() }
    }

    fn of(list: &List, filter: &Filter) -> Self {
        let typed = |condition: &Condition| TypedCondition {
            field: condition.field.word().into_owned(),
            op: condition.op.word().to_owned(),
            value: condition.value.clone(),
            error: None,
        };
        FilterForm {
            name: list.name.clone(),
            kind: list.kind.word().to_owned(),
            join: filter.join.word().to_owned(),
            conditions: filter.conditions.iter().map(typed).collect(),
            pressed: String::new(),
        }
    }

    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut form = FilterForm::default();
        let mut conditions: BTreeMap<usize, TypedCondition> = BTreeMap::new();
        for (name, text) in pairs {
            let text = text.replace('\0', "");
            match name.split_once('-').and_then(|(part, i)| Some((part, i.parse::<usize>().ok()?))) {
                Some(("field", i)) => conditions.entry(i).or_default().field = text,
                Some(("op", i)) => conditions.entry(i).or_default().op = text,
                Some(("value", i)) => conditions.entry(i).or_default().value = text,
                Some(_) | None => match name.as_str() {
                    "name" => form.name = text,
                    "kind" => form.kind = text,
                    "join" => form.join = text,
                    "do" => form.pressed = text,
                    _ => {}
                },
            }
        }
        form.conditions = conditions.into_values().take(MOST_CONDITIONS).collect();
        form
    }

    /// Does what a button of the form asks for that saves nothing. Returns whether it was one.
    fn turned(&mut self) -> bool {
        match self.pressed.as_str() {
            "add" => self.conditions.push(TypedCondition::default()),
            "count" => {}
            pressed => {
                let Some(i) = pressed.strip_prefix("remove-").and_then(|i| i.parse::<usize>().ok()) else {
                    return false;
                };
                if i < self.conditions.len() {
                    self.conditions.remove(i);
                }
            }
        }
        self.conditions.truncate(MOST_CONDITIONS);
        true
    }

    fn kind(&self) -> Kind {
        Kind::of_word(&self.kind).unwrap_or(Kind::Sms)
    }

    /// The filter, if every condition is one; says at each what is wrong otherwise.
    fn parse(&mut self) -> Option<Filter> {
        let mut conditions = Vec::new();
        for typed in &mut self.conditions {
            match Condition::parse(&typed.field, &typed.op, &typed.value) {
                Ok(condition) => conditions.push(condition),
                Err(error) => typed.error = Some(error.to_string()),
            }
        }
        let whole = !conditions.is_empty() && conditions.len() == self.conditions.len();
        whole.then(|| Filter { join: Join::of_word(&self.join).unwrap_or_default(), conditions })
    }
}

#[derive(Template)]
#[template(path = "lists/filter.html")]
struct FilterPage {
    frame: Frame,
    /// Changing that list; making one when there is none.
    id: Option<ListId>,
    form: FilterForm,
    errors: FieldErrors,
    fields: Vec<(String, String)>,
    preview: Option<String>,
}

impl FilterPage {
    fn action(&self) -> String {
        self.id.map_or("/lists/new/filter".to_owned(), |id| format!("/lists/{id}/filter"))
    }

    fn back(&self) -> String {
        self.id.map_or("/lists".to_owned(), |id| format!("/lists/{id}"))
    }

    fn kind_label(&self) -> &'static str {
        self.form.kind().label()
    }
}

async fn filter_page(
    app: &App,
    frame: Frame,
    id: Option<ListId>,
    form: FilterForm,
    errors: FieldErrors,
) -> Result<FilterPage, Problem> {
    let mut fields = vec![Field::Address, Field::CustomerId];
    fields.extend(app.db.run(usual_fields).await?.into_iter().map(Field::Value));
    for typed in form.conditions.iter().filter_map(|typed| Field::of_word(&typed.field)) {
        if !fields.contains(&typed) {
            fields.push(typed);
        }
    }
    let fields = fields.into_iter().map(|field| (field.word().into_owned(), field.label().to_owned())).collect();
    let preview = match form.pressed.as_str() {
        "count" => Some(in_words(app, form.clone()).await?),
        _ => None,
    };
    Ok(FilterPage { frame, id, form, errors, fields, preview })
}

/// How many contacts a filter as typed has right now.
async fn in_words(app: &App, mut form: FilterForm) -> Result<String, Problem> {
    let kind = form.kind();
    let Some(filter) = form.parse() else {
        return Ok("Complete the conditions to see how many match.".to_owned());
    };
    let n = app.db.run(move |conn| store::count_matching(conn, &filter, kind, None)).await?;
    Ok(format!("{} of {} {} now.", n_contacts(n, None), kind.label(), if n == 1 { "matches" } else { "match" }))
}

#[get("/lists/new/filter")]
async fn new_filter(_may: May<Operate>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    page(filter_page(&app, frame, None, FilterForm::empty(), FieldErrors::default()).await?)
}

#[post("/lists/new/filter", wrap = "from_fn(in_turn)")]
async fn create_filter(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    say: Say,
    form: Form<Vec<(String, String)>>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (may.person.id, app.clock.now());
    let mut form = FilterForm::read(form.into_inner());
    let mut errors = FieldErrors::default();
    if form.turned() {
        return page(filter_page(&app, frame, None, form, errors).await?);
    }
    if let Err(refused) = super::domain::name(&form.name) {
        errors.add("name", refused.to_string());
    }
    let filter = form.parse();
    if form.conditions.is_empty() {
        errors.add("conditions", "Add a condition.");
    }
    if let (Some(filter), true) = (filter, errors.is_empty()) {
        let (name, kind) = (form.name.clone(), form.kind());
        match app.db.run(move |conn| actions::create_filter(conn, &name, kind, &filter, by, now)).await {
            Ok(id) => {
                say.that("The list is made.");
                return Ok(htmx.leave_for(&format!("/lists/{id}")));
            }
            Err(DbError::Work(Error::Refused(refused))) => errors.add("name", refused.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    page_with(StatusCode::UNPROCESSABLE_ENTITY, filter_page(&app, frame, None, form, errors).await?)
}

/// The count beside the conditions, while they are changed.
#[post("/lists/preview", wrap = "from_fn(in_turn)")]
async fn preview_count(
    _may: May<Operate>,
    app: Data<App>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let words = in_words(&app, FilterForm::read(form.into_inner())).await?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(words))
}

async fn with_filter(app: &App, id: ListId) -> Result<(List, Filter), Problem> {
    let list = app.db.run(move |conn| store::find(conn, id)).await?;
    match list.filter.clone() {
        Some(filter) => Ok((list, filter)),
        None => Err(Error::Refused(Refused::HasNoFilter).into()),
    }
}

#[get("/lists/{id}/filter")]
async fn edit_filter(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<ListId>,
) -> Result<HttpResponse, Problem> {
    let (list, filter) = with_filter(&app, id.into_inner()).await?;
    page(filter_page(&app, frame, Some(list.id), FilterForm::of(&list, &filter), FieldErrors::default()).await?)
}

#[post("/lists/{id}/filter", wrap = "from_fn(in_turn)")]
async fn change_filter(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<ListId>,
    form: Form<Vec<(String, String)>>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let (list, _) = with_filter(&app, id).await?;
    // Its kind stays, and its name is changed elsewhere.
    let form = FilterForm::read(form.into_inner());
    let mut form = FilterForm { name: list.name, kind: list.kind.word().to_owned(), ..form };
    let mut errors = FieldErrors::default();
    if form.turned() {
        return page(filter_page(&app, frame, Some(id), form, errors).await?);
    }
    if let Some(filter) = form.parse() {
        app.db.run(move |conn| actions::set_filter(conn, id, &filter, by, now)).await?;
        return Ok(htmx.leave_for(&format!("/lists/{id}")));
    }
    if form.conditions.is_empty() {
        errors.add("conditions", "Add a condition.");
    }
    page_with(StatusCode::UNPROCESSABLE_ENTITY, filter_page(&app, frame, Some(id), form, errors).await?)
}

// One list

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Place {
    q: String,
    after: String,
}

#[derive(Template)]
#[template(path = "lists/show.html")]
struct Show {
    frame: Frame,
    list: List,
    wanted: Wanted,
    members: Vec<Contact>,
    next: Option<i64>,
    /// Of a list kept by hand.
    count: Option<String>,
    form: PasteForm,
    checked: Option<String>,
    /// What was made of numbers that could be read in two ways, where somebody has to choose.
    asks: Option<TwoWays>,
    errors: FieldErrors,
    /// As typed.
    typed_name: String,
    zone: Tz,
}

impl Show {
    fn href(&self, below: &str, after: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.wanted.begins.is_empty() {
            query.append_pair("q", &self.wanted.begins);
        }
        if let Some(after) = after {
            query.append_pair("after", &after.to_string());
        }
        let query = query.finish();
        format!("/lists/{}{below}{}{query}", self.list.id, if query.is_empty() { "" } else { "?" })
    }

    fn next_href(&self) -> Option<String> {
        Some(self.href("", Some(self.next?)))
    }

    fn remove_path(&self, member: &Contact) -> String {
        format!("/members/{}/remove", member.id)
    }

    fn last_day(&self, until: &DateTime<Utc>) -> String {
        last_day(*until, self.zone).format("%-d %B %Y").to_string()
    }
}

async fn look(app: &App, frame: Frame, id: ListId, place: Place) -> Result<Show, Problem> {
    let (now, by) = (app.clock.now(), frame.person.id);
    // What is no place to go on from is the beginning.
    let wanted = Wanted { begins: place.q.trim().to_owned(), after: place.after.parse().unwrap_or_default() };
    let asked = wanted.clone();
    let (list, mut members, count, region) = app
        .db
        .look(move |conn| {
            let list = store::find(conn, id)?;
            let members = store::members(conn, &list, &asked, PAGE as i64 + 1, now)?;
            let count = match list.filter {
                Some(_) => None,
                None => Some(store::count_audience(conn, &[id], &[], list.kind)?),
            };
            Ok::<_, diesel::result::Error>((list, members, count, usual_region(conn, by)?.unwrap_or_default()))
        })
        .await?;
    let mut next = (members.len() > PAGE).then(|| members[PAGE - 1].id.0);
    members.truncate(PAGE);
    let n = members.len();
    members.retain(|it| !frame.person.may_not_find(&wanted.begins, &it.address, it.customer_id.as_deref()));
    next = next.filter(|_| members.len() == n);
    quiet::wait(app, Whom::shown(&members)).await;
    Ok(Show {
        frame,
        form: PasteForm { region, kind: list.kind.word().to_owned(), ..PasteForm::default() },
        typed_name: list.name.clone(),
        list,
        wanted,
        members,
        next,
        count: count.map(|n| n_contacts(n, None)),
        checked: None,
        asks: None,
        errors: FieldErrors::default(),
        zone: app.settings.time_zone,
    })
}

#[get("/lists/{id}", wrap = "from_fn(in_turn)")]
async fn show(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    session: Session,
    id: Path<ListId>,
    place: Query<Place>,
) -> Result<HttpResponse, Problem> {
    let told: Option<(String, String, String, String, bool)> = told_once(&session, &frame.path);
    let seen = look(&app, frame, id.into_inner(), place.into_inner()).await?;
    match told {
        Some((checked, text, region, two_ways, asks)) => {
            let two_ways = TwoWays::of_word(&two_ways).unwrap_or_default();
            let form = PasteForm { text, region, two_ways, ..seen.form };
            page(Show { form, checked: Some(checked), asks: asks.then_some(two_ways), ..seen })
        }
        None => page(seen),
    }
}

/// The list's page after some of the pasted addresses were taken: the others are
/// named and stand in the field again, to be corrected.
fn added(
    session: &Session,
    id: ListId,
    typed: &PasteForm,
    (added, pasted): (usize, Pasted),
) -> Result<HttpResponse, Problem> {
    let checked = Checked { pasted: &pasted, added: Some(added) };
    let checked = checked.render().map_err(|error| Problem::Unexpected(error.into()))?;
    let mut text = String::new();
    for bad in &pasted.bad {
        if KEPT_TO_CORRECT < text.len() + bad.text.len() {
            break;
        }
        text += &bad.text;
        text.push('\n');
    }
    let path = format!("/lists/{id}");
    let asks = pasted.doubtful.n > 0;
    tell_once(session, &path, &(checked, text.trim_end(), &typed.region, pasted.two_ways.word(), asks))?;
    Ok(see_other(path))
}

/// Adds the good ones of pasted addresses.
#[post("/lists/{id}/add")]
async fn add(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    session: Session,
    id: Path<ListId>,
    form: Incoming,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let kind = app.db.run(move |conn| store::find(conn, id)).await?.kind;
    let form = PasteForm { kind: kind.word().to_owned(), ..PasteForm::read(form).await? };
    let pasted = form.pasted().await?;
    if pasted.good.is_empty() {
        let mut page = look(&app, frame, id, Place::default()).await?;
        page.errors.add("text", "Paste at least one good address, one in a line or with commas between them.");
        if !form.text.trim().is_empty() {
            let checked = Checked { pasted: &pasted, added: Some(0) }.render();
            page.asks = (pasted.doubtful.n > 0).then_some(pasted.two_ways);
            page.checked = Some(checked.map_err(|error| Problem::Unexpected(error.into()))?);
        }
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, Show { form, ..page });
    }
    let good = pasted.good.clone();
    let n = app.db.run(move |conn| actions::add(conn, id, &good, by, now)).await?;
    match pasted.bad.is_empty() {
        true => Ok(see_other(format!("/lists/{id}"))),
        false => added(&session, id, &form, (n, pasted)),
    }
}

#[post("/lists/{id}/members/{contact}/remove")]
async fn remove(
    may: May<Operate>,
    app: Data<App>,
    path: Path<(ListId, ContactId)>,
    place: Query<Place>,
) -> Result<HttpResponse, Problem> {
    let ((id, contact), by, now) = (path.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::remove(conn, id, contact, by, now)).await?;
    let q = form_urlencoded::Serializer::new(String::new()).append_pair("q", &place.q).finish();
    Ok(see_other(format!("/lists/{id}{}", if place.q.is_empty() { String::new() } else { format!("?{q}") })))
}

#[derive(Deserialize)]
struct Rename {
    #[serde(default)]
    name: String,
}

#[post("/lists/{id}/rename")]
async fn rename(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<ListId>,
    form: Form<Rename>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now, name) = (id.into_inner(), may.person.id, app.clock.now(), form.into_inner().name);
    let typed = name.clone();
    match app.db.run(move |conn| actions::rename(conn, id, &typed, by, now)).await {
        Ok(()) => Ok(see_other(format!("/lists/{id}"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut page = look(&app, frame, id, Place::default()).await?;
            page.errors.add("name", refused.to_string());
            page_with(StatusCode::UNPROCESSABLE_ENTITY, Show { typed_name: name, ..page })
        }
        Err(error) => Err(error.into()),
    }
}

#[post("/lists/{id}/delete")]
async fn delete(may: May<Manage>, frame: Frame, app: Data<App>, id: Path<ListId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    match app.db.run(move |conn| actions::delete(conn, id, by, now)).await {
        Ok(()) => Ok(see_other("/lists")),
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut page = look(&app, frame, id, Place::default()).await?;
            page.errors.add("delete", refused.to_string());
            page_with(StatusCode::CONFLICT, page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Everybody on the list now, page after page.
#[get("/lists/{id}/members.csv", wrap = "from_fn(table_in_turn)")]
async fn export(
    _may: May<Export>,
    app: Data<App>,
    id: Path<ListId>,
    place: Query<Place>,
) -> Result<HttpResponse, Problem> {
    let (id, begins, now) = (id.into_inner(), place.into_inner().q, app.clock.now());
    let (list, fields) =
        app.db.run(move |conn| Ok::<_, diesel::result::Error>((store::find(conn, id)?, all_fields(conn)?))).await?;
    let mut first = csv::mark();
    first.extend(csv::lines([["address", "customer id"].into_iter().chain(fields.iter().map(String::as_str))])?);
    let pages = stream::try_unfold((Some(0), first), move |(after, mut lines)| {
        let (app, list, fields, begins) = (app.clone(), list.clone(), fields.clone(), begins.clone());
        async move {
            let Some(after) = after else { return Ok::<_, Problem>(None) };
            let wanted = Wanted { begins, after };
            let members = app.db.run(move |conn| store::members(conn, &list, &wanted, EXPORTED_AT_ONCE, now)).await?;
            for member in &members {
                let values = member.values();
                let address = in_full(member.kind, &member.address);
                let known = [address.as_str(), member.customer_id.as_deref().unwrap_or_default()];
                let fields = fields.iter().map(|field| values.get(field.as_str()).copied().unwrap_or_default());
                lines.extend(csv::lines([known.into_iter().chain(fields)])?);
            }
            let next = members.last().filter(|_| members.len() as i64 == EXPORTED_AT_ONCE).map(|last| last.id.0);
            Ok(Some((Bytes::from(lines), (next, Vec::new()))))
        }
    });
    Ok(csv::download(&format!("list-{id}.csv"), pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> FilterForm {
        FilterForm::read(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn a_filter_comes_back_from_its_form_as_it_was() {
        let condition = |op: &str, value: &str| Condition::parse("value:city", op, value).unwrap();
        let filter = Filter { join: Join::Any, conditions: vec![condition("is", "Cork"), condition("is_empty", "")] };
        let list = List { id: ListId(1), name: "VIP".into(), kind: Kind::Viber, filter: None, created_at: Utc::now() };
        let mut form = FilterForm::of(&list, &filter);
        assert_eq!(form.parse(), Some(filter));
        assert_eq!(form.kind(), Kind::Viber);
    }

    #[test]
    fn conditions_are_added_and_removed_without_a_script() {
        let pairs = [
            ("field-0", "address"),
            ("op-0", "is"),
            ("value-0", "1"),
            ("field-7", "customer_id"),
            ("op-7", "is_empty"),
        ];
        let mut more = form(&[&pairs[..], &[("do", "add")]].concat());
        assert!(more.turned());
        assert_eq!(more.conditions.len(), 3);
        let mut less = form(&[&pairs[..], &[("do", "remove-0")]].concat());
        assert!(less.turned());
        assert_eq!(less.conditions[0].field, "customer_id");
        assert!(!form(&[&pairs[..], &[("do", "save")]].concat()).turned());
    }

    #[test]
    fn each_condition_says_what_is_wrong_with_it() {
        let mut form = form(&[
            ("field-0", "address"),
            ("op-0", "greater_than"),
            ("value-0", "x"),
            ("field-1", "address"),
            ("op-1", "is"),
            ("value-1", "1"),
        ]);
        assert_eq!(form.parse(), None);
        assert!(form.conditions[0].error.is_some());
        assert_eq!(form.conditions[1].error, None);
    }
}
