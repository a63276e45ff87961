use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::store::{self, HistoryRow, LeftOut};
use crate::access::{Operate, Role, View, without_numbers};
use crate::app::App;
use crate::consent::store::{Changed, WantedChanges};
use crate::contacts::addresses::in_full;
use crate::contacts::domain::{Known, last_day};
use crate::contacts::quiet;
use crate::contacts::store::Contact;
use crate::contacts::store::Whom;
use crate::deliveries::Standing;
use crate::ids::{ContactId, ListId, RunId};
use crate::web::{FieldErrors, Frame, May, Problem, page, page_with, see_other};
use crate::{consent, contacts, lists};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(show).service(edit);
}

/// Runs on one page.
const PAGE: usize = 50;
/// Changes of consent on one page, at most.
const CHANGES: i64 = 200;
/// Rows of files that were left out, at most.
const LEFT_OUT: i64 = 50;
/// Empty lines for new fields.
const NEW_FIELDS: usize = 2;
/// Characters of a customer ID or a field's name, and of a value, at most.
const LONGEST_NAME: usize = 200;
const LONGEST_VALUE: usize = 2000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    before: String,
}

#[derive(Template)]
#[template(path = "contact_page/show.html")]
struct Show {
    frame: Frame,
    contact: Contact,
    lists: Vec<(ListId, String)>,
    events: Vec<Event>,
    before: Option<RunId>,
    next: Option<RunId>,
    left_out: Vec<LeftOut>,
    form: KnownForm,
    errors: FieldErrors,
    zone: Tz,
}

/// What happened to a contact.
enum Event {
    Turn(Box<HistoryRow>),
    Consent(Box<Changed>),
}

/// Runs and changes of consent in one row, the newest first: a change stands before the first
/// run that is older. What has not happened yet is no older than anything.
fn in_order(turns: Vec<HistoryRow>, changes: Vec<Changed>) -> Vec<Event> {
    let mut changes = changes.into_iter().peekable();
    let mut events = Vec::new();
    for turn in turns {
        while let Some(change) = changes.next_if(|change| turn.settled_at.is_some_and(|at| at <= change.at)) {
            events.push(Event::Consent(Box::new(change)));
        }
        events.push(Event::Turn(Box::new(turn)));
    }
    events.extend(changes.map(|change| Event::Consent(Box::new(change))));
    events
}

impl Show {
    fn day(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %B %Y, %H:%M").to_string()
    }

    fn last_day(&self, until: &DateTime<Utc>) -> String {
        last_day(*until, self.zone).format("%-d %B %Y").to_string()
    }

    /// Where the contact stands in the ledger of that run.
    fn ledger(&self, turn: &HistoryRow) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.frame.sees_addresses() {
            return format!("/runs/{}", turn.run.id);
        }
        query.append_pair("q", &self.contact.address);
        format!("/runs/{}?{}", turn.run.id, query.finish())
    }

    fn next_href(&self) -> Option<String> {
        Some(format!("/contacts/{}?before={}", self.contact.id, self.next?))
    }

    fn block_href(&self) -> String {
        let address = in_full(self.contact.kind, &self.contact.address);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("kind", self.contact.kind.word()).append_pair("address", &address);
        format!("/blocklist/new?{}", query.finish())
    }
}

fn time(at: &DateTime<Utc>, zone: &Tz) -> String {
    at.with_timezone(zone).format("%-d %b %Y, %H:%M:%S").to_string()
}

/// What is known about a contact as typed: `customer_id`, and lines of `field` and `value`.
#[derive(Debug, Default)]
struct KnownForm {
    customer_id: String,
    lines: Vec<(String, String)>,
}

impl KnownForm {
    fn of(contact: &Contact) -> Self {
        let lines = contact.values().into_iter().map(|(field, value)| (field.to_owned(), value.to_owned()));
        KnownForm { customer_id: contact.customer_id.clone().unwrap_or_default(), lines: lines.collect() }.with_room()
    }

    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut form = KnownForm::default();
        for (name, text) in pairs {
            match name.as_str() {
                "customer_id" => form.customer_id = text,
                "field" => form.lines.push((text, String::new())),
                "value" => {
                    if let Some((_, value)) = form.lines.last_mut() {
                        *value = text;
                    }
                }
                _ => {}
            }
        }
        form
    }

    fn with_room(mut self) -> Self {
        self.lines.extend((0..NEW_FIELDS).map(|_| Default::default()));
        self
    }

    fn parse(&self) -> Result<Known, FieldErrors> {
        let mut errors = FieldErrors::default();
        let customer_id = self.customer_id.trim().replace('\0', "");
        if customer_id.chars().count() > LONGEST_NAME {
            errors.add("customer_id", format!("At most {LONGEST_NAME} characters."));
        }
        let mut values = BTreeMap::new();
        for (field, value) in &self.lines {
            let (field, value) = (field.trim().replace('\0', ""), value.trim().replace('\0', ""));
            match (field.is_empty(), value.is_empty()) {
                // A field without a value is taken away.
                (_, true) => {}
                (true, false) => errors.add("values", format!("Name the field that holds “{value}”.")),
                (false, false) if field.chars().count() > LONGEST_NAME => {
                    errors.add("values", format!("A field's name has at most {LONGEST_NAME} characters."));
                }
                (false, false) if value.chars().count() > LONGEST_VALUE => {
                    errors.add("values", format!("{field}: at most {LONGEST_VALUE} characters fit."));
                }
                (false, false) => {
                    if values.insert(field.clone(), value).is_some() {
                        errors.add("values", format!("The field “{field}” stands here twice. Keep one of them."));
                    }
                }
            }
        }
        match errors.is_empty() {
            true => Ok(Known { customer_id: Some(customer_id).filter(|id| !id.is_empty()), values }),
            false => Err(errors),
        }
    }
}

async fn look(app: &App, frame: Frame, id: ContactId, before: Option<RunId>) -> Result<Show, Problem> {
    let now = app.clock.now();
    let (contact, lists, turns, next, changes, left_out) = app
        .db
        .look(move |conn| {
            let contact = contacts::store::find(conn, id, now)?;
            let lists = lists::store::of_contact(conn, id.0)?;
            let mut turns = store::turns(conn, id, before, PAGE as i64 + 1)?;
            let next = (turns.len() > PAGE).then(|| turns[PAGE - 1].run.id);
            turns.truncate(PAGE);
            // The changes between this page's last run and the one that ends the page before.
            let since = if next.is_some() { turns.last().and_then(|turn| turn.settled_at) } else { None };
            let until = match before {
                Some(RunId(run)) => store::turns(conn, id, Some(RunId(run + 1)), 1)?.pop().and_then(|it| it.settled_at),
                None => None,
            };
            let wanted = WantedChanges { contact: Some(id), since, until, ..WantedChanges::default() };
            let changes = consent::store::changes(conn, &wanted, CHANGES)?;
            let left_out = store::left_out(conn, contact.kind, &contact.address, LEFT_OUT)?;
            Ok::<_, diesel::result::Error>((contact, lists, turns, next, changes, left_out))
        })
        .await?;
    if contact.is_barred {
        quiet::wait(app, Whom::Contacts(vec![contact.id])).await;
    }
    let events = in_order(turns, changes);
    let (form, zone) = (KnownForm::of(&contact), app.settings.time_zone);
    Ok(Show { frame, contact, lists, events, before, next, left_out, form, errors: FieldErrors::default(), zone })
}

#[get("/contacts/{id}")]
async fn show(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<ContactId>,
    place: Query<Place>,
) -> Result<HttpResponse, Problem> {
    // What is no run, is no place to begin.
    let before = place.before.parse().ok().map(RunId);
    page(look(&app, frame, id.into_inner(), before).await?)
}

#[post("/contacts/{id}")]
async fn edit(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<ContactId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let form = KnownForm::read(form.into_inner());
    match form.parse() {
        Ok(known) => {
            app.db.run(move |conn| contacts::actions::edit(conn, id, &known, by, now)).await?;
            Ok(see_other(format!("/contacts/{id}")))
        }
        Err(errors) => {
            let page = look(&app, frame, id, None).await?;
            page_with(StatusCode::UNPROCESSABLE_ENTITY, Show { form, errors, ..page })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(lines: &[(&str, &str)]) -> KnownForm {
        let mut pairs = vec![("customer_id".to_owned(), " 17 ".to_owned())];
        for (field, value) in lines {
            pairs.push(("field".to_owned(), (*field).to_owned()));
            pairs.push(("value".to_owned(), (*value).to_owned()));
        }
        KnownForm::read(pairs)
    }

    #[test]
    fn a_field_without_a_value_is_taken_away() {
        let known = form(&[("city", " Cork "), ("name", ""), ("", "")]).parse().unwrap();
        assert_eq!(known.customer_id.as_deref(), Some("17"));
        assert_eq!(known.values.into_iter().collect::<Vec<_>>(), [("city".to_owned(), "Cork".to_owned())]);
    }

    #[test]
    fn a_value_needs_a_field_of_its_own() {
        for lines in [[("", "Cork"), ("a", "b")], [("city", "Cork"), ("city ", "Sligo")]] {
            assert!(form(&lines).parse().unwrap_err().of("values").is_some());
        }
    }
}
