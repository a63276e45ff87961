use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::stream;
use serde::Deserialize;

use super::addresses::in_full;
use super::domain::last_day;
use super::quiet;
use super::search::{self, ContactSearch, Found};
use super::store::{self, Contact};
use crate::access::{Export, Role, View};
use crate::app::App;
use crate::contacts::store::Whom;
use crate::providers::Kind;
use crate::web::{Frame, May, Problem, csv, page, search_in_turn, table_in_turn};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(index).service(export);
}

/// Contacts on one page.
const PAGE: usize = 50;
/// Contacts read at once while exporting.
const EXPORTED_AT_ONCE: usize = 2000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    q: String,
    kind: String,
    after: String,
}

impl Place {
    fn ask(&self) -> ContactSearch {
        ContactSearch { q: self.q.trim().to_owned(), kind: Kind::of_word(&self.kind), after: self.after.clone() }
    }
}

#[derive(Template)]
#[template(path = "contacts/index.html")]
struct Index {
    frame: Frame,
    ask: ContactSearch,
    found: Found,
    zone: Tz,
}

impl Index {
    fn href(&self, below: &str, kind: Option<Kind>, after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.ask.q.is_empty() {
            query.append_pair("q", &self.ask.q);
        }
        if let Some(kind) = kind {
            query.append_pair("kind", kind.word());
        }
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        let query = query.finish();
        format!("/contacts{below}{}{query}", if query.is_empty() { "" } else { "?" })
    }

    fn kinds(&self) -> Vec<(String, &'static str, bool)> {
        let chip =
            |kind: Option<Kind>| (self.href("", kind, None), kind.map_or("All", Kind::label), self.ask.kind == kind);
        [None].into_iter().chain(Kind::ALL.map(Some)).map(chip).collect()
    }

    fn first(&self) -> String {
        self.href("", self.ask.kind, None)
    }

    fn next(&self) -> Option<String> {
        self.found.next.as_ref().map(|next| self.href("", self.ask.kind, Some(next)))
    }

    fn export(&self) -> String {
        self.href(".csv", self.ask.kind, None)
    }

    /// A few values to know the contact by; its customer ID has a column of its own.
    fn some_values<'a>(&self, contact: &'a Contact) -> Vec<(&'a str, &'a str)> {
        let values = contact.values().into_iter();
        values.filter(|(_, value)| Some(*value) != contact.customer_id.as_deref()).take(3).collect()
    }

    fn searches_values(&self) -> bool {
        self.ask.q.contains(':')
    }

    fn last_day(&self, until: &DateTime<Utc>) -> String {
        last_day(*until, self.zone).format("%-d %B %Y").to_string()
    }
}

#[get("/contacts", wrap = "from_fn(search_in_turn)")]
async fn index(_may: May<View>, frame: Frame, app: Data<App>, place: Query<Place>) -> Result<HttpResponse, Problem> {
    let (ask, now) = (place.ask(), app.clock.now());
    let wanted = ask.clone();
    let mut found = app.db.run(move |conn| search::page(conn, &wanted, PAGE, now)).await?;
    let hidden = |it: &Contact| frame.person.may_not_find(&ask.q, &it.address, it.customer_id.as_deref());
    if found.contacts.iter().any(hidden) {
        found.contacts.retain(|it| !hidden(it));
        found.next = None;
    }
    quiet::wait(&app, Whom::shown(&found.contacts)).await;
    page(Index { frame, ask, found, zone: app.settings.time_zone })
}

/// Whoever the page would show, page after page, with a column for each field.
#[get("/contacts.csv", wrap = "from_fn(table_in_turn)")]
async fn export(_may: May<Export>, app: Data<App>, place: Query<Place>) -> Result<HttpResponse, Problem> {
    let (ask, now, zone) =
        (ContactSearch { after: String::new(), ..place.ask() }, app.clock.now(), app.settings.time_zone);
    let columns = ["address", "kind", "customer id", "opted out", "blocked", "blocked until"];
    // Each column once, so that the table can be uploaded again: what a file called the customer ID is in that column.
    let is_column = |field: &String| columns.contains(&field.to_lowercase().as_str());
    let fields: Vec<String> =
        app.db.run(store::all_fields).await?.into_iter().filter(|field| !is_column(field)).collect();
    let mut first = csv::mark();
    first.extend(csv::lines([columns.into_iter().chain(fields.iter().map(String::as_str))])?);
    let pages = stream::try_unfold((Some(ask), first), move |(ask, mut lines)| {
        let (app, fields) = (app.clone(), fields.clone());
        async move {
            let Some(mut ask) = ask else { return Ok::<_, Problem>(None) };
            let wanted = ask.clone();
            let found = app.db.run(move |conn| search::page(conn, &wanted, EXPORTED_AT_ONCE, now)).await?;
            quiet::wait(&app, Whom::Barred).await;
            for contact in &found.contacts {
                let values = contact.values();
                let time = |at: DateTime<Utc>| at.with_timezone(&zone).to_rfc3339();
                let opted_out = contact.opted_out_at.map(time).unwrap_or_default();
                let until = contact.blocked_until.map(time).unwrap_or_default();
                let address = in_full(contact.kind, &contact.address);
                let known = [
                    address.as_str(),
                    contact.kind.word(),
                    contact.customer_id.as_deref().unwrap_or_default(),
                    &opted_out,
                    if contact.blocked { "yes" } else { "" },
                    &until,
                ];
                let fields = fields.iter().map(|field| values.get(field.as_str()).copied().unwrap_or_default());
                lines.extend(csv::lines([known.into_iter().chain(fields)])?);
            }
            let next = found.next.map(|after| {
                ask.after = after;
                ask
            });
            Ok(Some((Bytes::from(lines), (next, Vec::new()))))
        }
    });
    Ok(csv::download("contacts.csv", pages))
}
