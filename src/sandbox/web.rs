use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::QueryResult;
use serde::Deserialize;

use super::store::{self, Phone, PhoneMessage};
use super::{carrier, rule_pages};
use crate::access::{Operate, Person, Role, SeeAddresses, View};
use crate::app::App;
use crate::channels;
use crate::channels::domain::Channel;
use crate::conversations;
use crate::deliveries::ledger;
use crate::ids::{ChannelId, ConversationId, MessageId, RunId};
use crate::media::said::in_bubble;
use crate::providers::key::SendKey;
use crate::providers::{Kind, ProviderName};
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, Htmx, May, Problem, page, page_with, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    // What has a name before `{number}`, which would take it for one.
    cfg.service(index).service(use_one).configure(rule_pages::routes).service(held).service(write);
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
    /// The number of a phone to use, as typed.
    number: String,
    errors: FieldErrors,
}

/// The part of `phones.html` that changes when a message arrives.
#[derive(Template)]
#[template(path = "sandbox/phones.html", block = "wall")]
struct News {
    wall: Wall,
}

struct Wall {
    person: Person,
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
    /// `None` when nothing came after what the page shows.
    async fn read(app: &App, person: &Person, looking: Looking) -> Result<Option<Wall>, Problem> {
        let (digits, before, since) = (looking.digits(), looking.before, looking.since);
        let found = app.books.run(move |conn| store::wall(conn, &digits, before, since, WALL as i64 + 1)).await?;
        let Some((newest, mut phones)) = found else { return Ok(None) };
        let next = (phones.len() > WALL).then(|| phones[WALL - 1].last);
        phones.truncate(WALL);
        phones.retain(|phone| !person.may_not_find(&looking.q, &phone.number, None));
        let (person, zone) = (person.clone(), app.settings.time_zone);
        Ok(Some(Wall { person, phones, q: looking.q.trim().to_owned(), next, first: before.is_none(), newest, zone }))
    }

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

    /// Whether whoever looks may know which phone it is.
    fn opens(&self, phone: &Phone) -> bool {
        self.person.has::<SeeAddresses>() || is_asked(&self.q, &phone.number)
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

/// Whether this number was looked for in full.
fn is_asked(q: &str, number: &str) -> bool {
    let looking = Looking { q: q.to_owned(), ..Looking::default() };
    looking.digits() == number
}

#[get("/phones")]
async fn index(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    looking: Query<Looking>,
) -> Result<HttpResponse, Problem> {
    let looking = looking.into_inner();
    let is_news = looking.since.is_some();
    let Some(wall) = Wall::read(&app, &frame.person, looking).await? else {
        return Ok(HttpResponse::NoContent().finish());
    };
    match is_news {
        true => page(News { wall }),
        false => page(Phones { frame, wall, number: String::new(), errors: FieldErrors::default() }),
    }
}

/// Takes a phone in the hand that nothing may have reached yet.
#[get("/phones/use")]
async fn use_one(
    _may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    typed: Query<BTreeMap<String, String>>,
) -> Result<HttpResponse, Problem> {
    let number = typed.get("number").map(|text| text.trim().to_owned()).unwrap_or_default();
    if let Some(address) = address(&number) {
        return Ok(see_other(path(&address)));
    }
    let mut errors = FieldErrors::default();
    errors.add("number", "A number with its country code, such as +1 202 555 0101, or another address without blanks.");
    let wall = Wall::read(&app, &frame.person, Looking::default()).await?.ok_or(Problem::NotFound)?;
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Phones { frame, wall, number, errors })
}

/// The longest address of a kind that is not a phone.
const LONGEST_ADDRESS: usize = 200;

/// What was typed as the carrier calls it. Any number will do: these phones need not exist.
fn address(typed: &str) -> Option<String> {
    let is_number = typed.chars().all(|c| c.is_ascii_digit() || "+-() ./".contains(c));
    let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    if is_number && digits.len() <= 15 {
        return is_phone(digits).then(|| digits.to_owned());
    }
    let fits =
        typed.chars().count() <= LONGEST_ADDRESS && !typed.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then(|| typed.to_owned())
}

/// Whether an address can be that of a phone.
fn is_phone(address: &str) -> bool {
    (7..=15).contains(&address.len()) && address.bytes().all(|byte| byte.is_ascii_digit())
}

// One phone

/// Messages shown at once.
const SHOWN: usize = 50;
/// Characters that a phone writes at once, at most.
const LONGEST_TEXT: usize = 4000;

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
    reply: Reply,
}

/// What is new at the bottom of a phone.
#[derive(Template)]
#[template(path = "sandbox/phone.html", block = "arrived")]
struct Arrived {
    screen: Screen,
}

/// The line to write in.
#[derive(Template)]
#[template(path = "sandbox/phone.html", block = "reply")]
struct ReplyAlone {
    reply: Reply,
}

struct Screen {
    number: String,
    bubbles: Vec<Bubble>,
    /// Older messages begin before this one.
    older: Option<i64>,
    /// The newest end of the conversation is on the screen.
    live: bool,
    newest: i64,
    /// It holds only what is new.
    news: bool,
    may_write: bool,
    zone: Tz,
}

struct Bubble {
    message: PhoneMessage,
    /// The send it came from.
    from: Option<From>,
    /// Whether the answers it offers can be tapped; on an SMS they are text.
    tappable: bool,
}

/// Where the outcome of a message stands.
struct From {
    name: String,
    href: String,
}

fn path(number: &str) -> String {
    let number: String = form_urlencoded::byte_serialize(number.as_bytes()).collect();
    format!("/phones/{}", number.replace('+', "%20"))
}

impl Screen {
    fn time(&self, at: &DateTime<Utc>) -> String {
        time(at, &self.zone)
    }

    fn path(&self) -> String {
        path(&self.number)
    }
}

/// What a phone writes, as typed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ReplyForm {
    text: String,
    channel: String,
}

struct Reply {
    number: String,
    /// The channels of the sandbox.
    channels: Vec<(i64, String)>,
    form: ReplyForm,
    errors: FieldErrors,
    /// Somebody has just written, and goes on.
    goes_on: bool,
    /// Whoever looks may write, and there is a channel that takes it.
    offered: bool,
}

impl Reply {
    fn path(&self) -> String {
        path(&self.number)
    }

    fn is_chosen(&self, id: &i64) -> bool {
        self.form.channel == id.to_string()
    }

    async fn read(app: &App, number: &str, form: ReplyForm) -> Result<Reply, Problem> {
        let wanted = number.to_owned();
        let last = app.books.run(move |conn| store::last_channel(conn, &wanted)).await?;
        let (channels, met) = app
            .db
            .run(|conn| {
                Ok::<_, diesel::result::Error>((channels::store::list(conn)?, channels::store::met_by_campaigns(conn)?))
            })
            .await?;
        let channels: Vec<(i64, String)> = channels
            .into_iter()
            .filter(|it| it.provider == ProviderName::Sandbox && (is_phone(number) || !it.kind.is_phone()))
            .map(|it| (it.id.0, format!("{} ({})", it.setup.name, it.kind.label())))
            .collect();
        let is_one = |id: &i64| channels.iter().any(|(it, _)| it == id);
        let typed = form.channel.parse().ok();
        // Who writes for the first time does so where somebody answers.
        let answers = |id: &i64| met.contains_key(&ChannelId(*id));
        let first = channels.iter().find(|(id, _)| answers(id)).or(channels.first());
        let usual = last.map(|last| last.0).filter(is_one).or(first.map(|(id, _)| *id));
        let channel = typed.filter(is_one).or(usual).map(|id| id.to_string()).unwrap_or_default();
        let form = ReplyForm { channel, ..form };
        let offered = !channels.is_empty();
        let (number, errors) = (number.to_owned(), FieldErrors::default());
        Ok(Reply { number, channels, form, errors, goes_on: false, offered })
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
    let number = number.into_inner();
    let screen = screen(&app, &frame, &number, scrolled.into_inner()).await?;
    if screen.news {
        return match screen.bubbles.is_empty() {
            true => Ok(HttpResponse::NoContent().finish()),
            false => page(Arrived { screen }),
        };
    }
    let mut reply = Reply::read(&app, &number, ReplyForm::default()).await?;
    reply.offered &= screen.may_write && screen.live;
    page(Show { frame, screen, reply })
}

async fn screen(app: &App, frame: &Frame, number: &str, scrolled: Scrolled) -> Result<Screen, Problem> {
    let Scrolled { before, since } = scrolled;
    let wanted = number.to_owned();
    let read = move |conn: &mut _| store::messages(conn, &wanted, since.unwrap_or(0), before, SHOWN as i64 + 1);
    let mut messages = app.books.run(read).await?;
    let parts = || messages.iter().filter_map(|message| message.part.as_deref());
    let runs: Vec<RunId> = parts().filter_map(SendKey::delivery).map(|part| part.run).collect();
    let replies: Vec<MessageId> = parts().filter_map(SendKey::message).map(|key| key.id).collect();
    let sources = app
        .db
        .run(move |conn| {
            QueryResult::Ok(Sources {
                runs: ledger::names(conn, &runs)?,
                conversations: conversations::store::of_messages(conn, &replies)?,
                channels: channels::store::list(conn)?,
            })
        })
        .await?;
    let more = messages.len() > SHOWN;
    if more {
        messages.remove(0);
    }
    Ok(Screen {
        older: messages.first().filter(|_| more).map(|message| message.id),
        live: before.is_none(),
        newest: messages.last().map(|message| message.id).or(since).unwrap_or(0),
        bubbles: messages.into_iter().map(|message| sources.bubble(message)).collect(),
        number: number.to_owned(),
        news: since.is_some(),
        may_write: frame.may(&Role::Operator),
        zone: app.settings.time_zone,
    })
}

struct Sources {
    runs: BTreeMap<RunId, String>,
    conversations: BTreeMap<MessageId, ConversationId>,
    channels: Vec<Channel>,
}

impl Sources {
    fn bubble(&self, message: PhoneMessage) -> Bubble {
        let from = message.part.as_deref().and_then(|part| self.delivery(part).or_else(|| self.reply(part)));
        let tappable = self.channels.iter().any(|it| it.id == message.channel_id && it.kind != Kind::Sms);
        Bubble { message, from, tappable }
    }

    fn delivery(&self, part: &str) -> Option<From> {
        let part = SendKey::delivery(part)?;
        let name = self.runs.get(&part.run)?.clone();
        let (id, seq) = (part.run, part.seq);
        Some(From { name, href: format!("/runs/{id}?after={}#delivery-{seq}", seq - 1) })
    }

    fn reply(&self, part: &str) -> Option<From> {
        let conversation = self.conversations.get(&SendKey::message(part)?.id)?;
        Some(From { name: "conversation".to_owned(), href: format!("/inbox/{conversation}") })
    }
}

/// Writes a message on a phone. It goes the way of every message that a contact writes.
#[post("/phones/{number}")]
async fn write(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    number: Path<String>,
    form: Form<ReplyForm>,
) -> Result<HttpResponse, Problem> {
    let number = address(&number).ok_or(Problem::NotFound)?;
    let mut reply = Reply { goes_on: true, ..Reply::read(&app, &number, form.into_inner()).await? };
    let text = reply.form.text.replace("\r\n", "\n").trim_end().to_owned();
    if text.trim().is_empty() {
        reply.errors.add("text", "Write something first.");
    } else if text.chars().count() > LONGEST_TEXT {
        reply.errors.add("text", format!("At most {LONGEST_TEXT} characters."));
    } else if text.contains('\0') {
        reply.errors.add("text", "There is a character in it that no phone can write.");
    }
    let Ok(channel) = reply.form.channel.parse().map(ChannelId) else {
        return Err(Problem::Conflict("There is no channel of the sandbox that could take this message.".to_owned()));
    };
    if !reply.errors.is_empty() {
        return match htmx {
            Htmx(true) => page_with(StatusCode::UNPROCESSABLE_ENTITY, ReplyAlone { reply }),
            Htmx(false) => {
                let screen = screen(&app, &frame, &number, Scrolled::default()).await?;
                page_with(StatusCode::UNPROCESSABLE_ENTITY, Show { frame, screen, reply })
            }
        };
    }
    let (now, phone, by) = (app.clock.now(), number.clone(), may.person.id);
    app.books.run(move |conn| store::write(conn, channel, &phone, &text, Some(by), now)).await?;
    // It stands in the books: what is not reported now is with the next tick.
    if let Err(error) = carrier::report_written(&app).await {
        tracing::warn!("what a phone wrote is reported later: {error:#}");
    }
    match htmx {
        Htmx(true) => {
            reply.form.text.clear();
            let mut answer = page(ReplyAlone { reply })?;
            answer.headers_mut().insert(HeaderName::from_static("hx-trigger"), HeaderValue::from_static("phone-wrote"));
            Ok(answer)
        }
        Htmx(false) => Ok(see_other(format!("{}#newest", path(&number)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_will_do_however_it_is_written() {
        assert_eq!(address("+1 (202) 555-0101").as_deref(), Some("12025550101"));
        assert_eq!(address("0044 20 7946 0000").as_deref(), Some("442079460000"));
        for other in ["psid:10158", "6754321098765432"] {
            assert_eq!(address(other).as_deref(), Some(other), "an address of another kind");
        }
        for wrong in ["", "12", "+", "two words", "a\0b"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
