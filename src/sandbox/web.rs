use std::collections::BTreeMap;

use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::store::{self, Message, Phone};
use crate::app::App;
use crate::deliveries::{PartId, ledger};
use crate::ids::RunId;
use crate::web::chart::thousands;
use crate::web::{Frame, May, Problem, View, page};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(index).service(held);
}

fn time(at: &DateTime<Utc>, zone: &Tz) -> String {
    at.with_timezone(zone).format("%-d %b %H:%M:%S").to_string()
}

// The wall of phones

/// Phones on one page.
const WALL: usize = 60;

#[derive(Default, Deserialize)]
struct Looking {
    #[serde(default)]
    q: String,
    before: Option<i64>,
    /// The newest message that the page shows; asks only for news.
    since: Option<i64>,
}

impl Looking {
    /// Numbers are searched by digits, however they are typed; other addresses as they are.
    fn digits(&self) -> String {
        let text = self.q.trim();
        let is_number = text.chars().all(|c| c.is_ascii_digit() || "+-() ./".contains(c));
        if is_number { text.chars().filter(char::is_ascii_digit).collect() } else { text.to_owned() }
    }
}

#[derive(Template)]
#[template(path = "sandbox/phones.html")]
struct Phones {
    frame: Frame,
    wall: Wall,
}

/// The part of `phones.html` that changes when a message arrives.
#[derive(Template)]
#[template(path = "sandbox/phones.html", block = "wall")]
struct News {
    wall: Wall,
}

struct Wall {
    phones: Vec<Phone>,
    q: String,
    /// Where the next page begins.
    next: Option<i64>,
    /// Only the first page gets news.
    first: bool,
    newest: i64,
    zone: Tz,
}

impl Wall {
    fn href(&self, before: Option<&i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.q.is_empty() {
            query.append_pair("q", &self.q);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("/phones?{}", query.finish())
    }

    fn news_href(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.q).append_pair("since", &self.newest.to_string());
        format!("/phones?{}", query.finish())
    }

    fn time(&self, at: &DateTime<Utc>) -> String {
        time(at, &self.zone)
    }
}

#[get("/phones")]
async fn index(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    looking: Query<Looking>,
) -> Result<HttpResponse, Problem> {
    let looking = looking.into_inner();
    let (digits, before, since) = (looking.digits(), looking.before, looking.since);
    let found = app.db.run(move |conn| store::wall(conn, &digits, before, since, WALL as i64 + 1)).await?;
    let Some((newest, mut phones)) = found else { return Ok(HttpResponse::NoContent().finish()) };
    let next = (phones.len() > WALL).then(|| phones[WALL - 1].last);
    phones.truncate(WALL);
    let zone = app.settings.time_zone;
    let wall = Wall { phones, q: looking.q.trim().to_owned(), next, first: before.is_none(), newest, zone };
    match since {
        Some(_) => page(News { wall }),
        None => page(Phones { frame, wall }),
    }
}

// One phone

/// Messages shown at once.
const SHOWN: usize = 50;

#[derive(Default, Deserialize)]
struct Scrolled {
    before: Option<i64>,
    since: Option<i64>,
}

#[derive(Template)]
#[template(path = "sandbox/phone.html")]
struct Show {
    frame: Frame,
    screen: Screen,
}

/// What is new at the bottom of a phone.
#[derive(Template)]
#[template(path = "sandbox/phone.html", block = "arrived")]
struct Arrived {
    screen: Screen,
}

struct Screen {
    number: String,
    bubbles: Vec<Bubble>,
    /// Older messages begin before this one.
    older: Option<i64>,
    /// The newest end of the conversation is on the screen.
    live: bool,
    newest: i64,
    zone: Tz,
}

struct Bubble {
    message: Message,
    /// The send it came from.
    from: Option<From>,
}

/// The ledger row of a message.
struct From {
    run: String,
    href: String,
}

impl Screen {
    fn time(&self, at: &DateTime<Utc>) -> String {
        time(at, &self.zone)
    }

    fn path(&self) -> String {
        let number: String = form_urlencoded::byte_serialize(self.number.as_bytes()).collect();
        format!("/phones/{}", number.replace('+', "%20"))
    }
}

#[get("/phones/{number}")]
async fn held(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    number: Path<String>,
    scrolled: Query<Scrolled>,
) -> Result<HttpResponse, Problem> {
    let (number, before, since) = (number.into_inner(), scrolled.before, scrolled.since);
    let zone = app.settings.time_zone;
    let wanted = number.clone();
    let (mut messages, names) = app
        .db
        .run(move |conn| {
            let messages = store::messages(conn, &wanted, since.unwrap_or(0), before, SHOWN as i64 + 1)?;
            let parts = messages.iter().filter_map(|message| PartId::parse(&message.part));
            let runs: Vec<RunId> = parts.map(|part| part.run).collect();
            ledger::names(conn, &runs).map(|names| (messages, names))
        })
        .await?;
    let more = messages.len() > SHOWN;
    if more {
        messages.remove(0);
    }
    let screen = Screen {
        older: messages.first().filter(|_| more).map(|message| message.id),
        live: before.is_none(),
        newest: messages.last().map(|message| message.id).or(since).unwrap_or(0),
        bubbles: messages.into_iter().map(|message| Bubble { from: from(&message, &names), message }).collect(),
        number,
        zone,
    };
    match since {
        Some(_) if screen.bubbles.is_empty() => Ok(HttpResponse::NoContent().finish()),
        Some(_) => page(Arrived { screen }),
        None => page(Show { frame, screen }),
    }
}

fn from(message: &Message, names: &BTreeMap<RunId, String>) -> Option<From> {
    let part = PartId::parse(&message.part)?;
    let run = names.get(&part.run)?.clone();
    let (id, seq) = (part.run, part.seq);
    Some(From { run, href: format!("/runs/{id}?after={}#delivery-{seq}", seq - 1) })
}
