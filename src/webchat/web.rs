use std::ops::AsyncFnOnce;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Data, Path, Query, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, get, post, route};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::actions::{self, VisitorHeard};
use super::domain::{self, KnownVisitor, LONGEST};
use super::lobby::{Knock, Lobby, NEWS, wire};
use super::store;
use crate::access::{Role, View};
use crate::app::App;
use crate::channels::setups;
use crate::contacts::quiet;
use crate::contacts::store::Whom;
use crate::conversations::intake;
use crate::db::DbError;
use crate::ids::{ChannelId, VisitorId};
use crate::media;
use crate::media::domain::{Refused as NotKept, sniff};
use crate::media::form::read_file;
use crate::people::domain::peer_of;
use crate::providers::key::SendKey;
use crate::providers::webchat::{Side, Widget};
use crate::providers::{Event, Kind, ProviderName, Receipt, ReceiptStatus, Setup};
use crate::web::{Frame, Incoming, May, Problem, caller, is_own_origin, page};

/// Pages for who is signed in.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(demo);
}

/// What widgets in other people's pages ask for.
pub fn doors(cfg: &mut ServiceConfig) {
    cfg.service(widget_script)
        .service(files_script)
        .service(welcome)
        .service(history)
        .service(say)
        .service(bring_file)
        .service(stream)
        .service(acknowledge);
    cfg.service(may_it_ask);
}

/// Bytes of a file that a visitor sends, at most.
const LARGEST_FILE: u64 = 5 << 20;

/// Messages that a widget shows of what was said before.
const SHOWN: i64 = 200;

// Who knocks

/// A request for a web chat, from a page that may make it.
struct Door {
    channel: ChannelId,
    setup: Setup,
    widget: Widget,
    /// The other site whose page asks; it may read the answer.
    origin: Option<HeaderValue>,
}

/// Why a widget was turned away. The words are for the visitor.
#[derive(Debug)]
enum Refused {
    NoChat,
    Elsewhere,
    NotKnown,
    Unreadable,
    TooLong,
    FileTooLarge,
    File(NotKept),
    TooFast { until: DateTime<Utc>, now: DateTime<Utc> },
    TooManyPages,
    NotNow(Problem),
}

impl Refused {
    fn answer(self) -> HttpResponse {
        let (status, words, wait) = match self {
            Refused::NoChat => (StatusCode::NOT_FOUND, "There is no such chat.".to_owned(), None),
            Refused::Elsewhere => (StatusCode::FORBIDDEN, "This chat is not for this site.".to_owned(), None),
            Refused::NotKnown => (StatusCode::UNAUTHORIZED, "This chat does not know you any more.".to_owned(), None),
            Refused::Unreadable => (StatusCode::UNPROCESSABLE_ENTITY, "This could not be understood.".to_owned(), None),
            Refused::TooLong => {
                (StatusCode::PAYLOAD_TOO_LARGE, "Too long. Write it in several messages.".to_owned(), None)
            }
            Refused::FileTooLarge => {
                let words = format!("The file is larger than {} MB.", LARGEST_FILE >> 20);
                (StatusCode::PAYLOAD_TOO_LARGE, words, None)
            }
            Refused::File(why) => (StatusCode::UNPROCESSABLE_ENTITY, why.to_string(), None),
            Refused::TooFast { until, now } => {
                let wait = ((until - now).num_milliseconds() + 999) / 1000;
                let words = format!("Too many messages at once. It goes on in {wait} s.");
                (StatusCode::TOO_MANY_REQUESTS, words, Some(wait))
            }
            Refused::TooManyPages => {
                (StatusCode::TOO_MANY_REQUESTS, "The chat is open in too many pages.".to_owned(), Some(30))
            }
            Refused::NotNow(problem) => {
                if !matches!(problem, Problem::Busy) {
                    tracing::error!("web chat: {problem}");
                }
                (StatusCode::SERVICE_UNAVAILABLE, "The chat cannot answer just now.".to_owned(), Some(2))
            }
        };
        let mut answer = HttpResponse::build(status);
        if let Some(wait) = wait {
            answer.insert_header((header::RETRY_AFTER, wait.to_string()));
        }
        answer.json(json!({ "error": words }))
    }
}

impl<E: Into<Problem>> From<DbError<E>> for Refused {
    fn from(error: DbError<E>) -> Self {
        match error.into() {
            Problem::NotFound => Refused::NotKnown,
            problem => Refused::NotNow(problem),
        }
    }
}

impl Door {
    /// Opens when the channel is a web chat and the asking page may hold it.
    async fn open(app: &App, req: &HttpRequest, channel: ChannelId) -> Result<Door, Refused> {
        let setup = match app.db.run(move |conn| setups::find(conn, channel)).await.map_err(Problem::from) {
            Ok(setup) if setup.kind == Kind::Webchat && setup.provider == ProviderName::Webchat => setup,
            Ok(_) | Err(Problem::NotFound) => return Err(Refused::NoChat),
            Err(problem) => return Err(Refused::NotNow(problem)),
        };
        let widget: Widget = serde_json::from_value(setup.settings.clone()).unwrap_or_default();
        let origin = match req.headers().get(header::ORIGIN) {
            // Browsers name the page with everything but a plain look from a page of our own.
            None if req.method().is_safe() => None,
            None => return Err(Refused::Elsewhere),
            Some(told) => {
                let text = told.to_str().unwrap_or_default();
                if is_own_origin(text, req.headers(), app.settings.public_url.as_deref()) {
                    None
                } else if widget.origins.iter().any(|it| it.eq_ignore_ascii_case(text)) {
                    Some(told.clone())
                } else {
                    return Err(Refused::Elsewhere);
                }
            }
        };
        Ok(Door { channel, setup, widget, origin })
    }

    fn visitor(&self, req: &HttpRequest, now: DateTime<Utc>) -> Result<KnownVisitor, Refused> {
        let told = req.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = told.and_then(|told| told.strip_prefix("Bearer ")).ok_or(Refused::NotKnown)?;
        domain::read_token(&self.setup.secret, self.channel, token, now).ok_or(Refused::NotKnown)
    }

    fn token(&self, visitor: VisitorId, now: DateTime<Utc>) -> String {
        domain::token(&self.setup.secret, self.channel, visitor, now)
    }
}

/// Answers a request with what `work` makes of it, so that the page which asked can read it.
async fn at_the_door(
    app: &App,
    req: &HttpRequest,
    channel: ChannelId,
    work: impl AsyncFnOnce(&Door) -> Result<HttpResponse, Refused>,
) -> HttpResponse {
    let (mut answer, origin) = match Door::open(app, req, channel).await {
        Ok(door) => (work(&door).await.unwrap_or_else(Refused::answer), door.origin),
        Err(refused) => (refused.answer(), None),
    };
    let headers = answer.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
    answer
}

/// A body that was read, or why not in words that the asking page may read, too.
fn whole(body: Result<Bytes, Error>) -> Result<Bytes, Refused> {
    body.map_err(|error| match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => Refused::TooLong,
        _ => Refused::Unreadable,
    })
}

/// A browser asks before a page of another site may ask.
#[route("/webchat/{channel}/{door}", method = "OPTIONS")]
async fn may_it_ask(app: Data<App>, req: HttpRequest, path: Path<(ChannelId, String)>) -> HttpResponse {
    at_the_door(&app, &req, path.into_inner().0, async |_| {
        Ok(HttpResponse::NoContent()
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, last-event-id"))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "7200"))
            .finish())
    })
    .await
}

fn from_where(req: &HttpRequest, app: &App) -> String {
    caller(req, &app.settings).map_or_else(|| "unknown".to_owned(), peer_of)
}

/// The same, unless it is this machine.
fn from_afar(req: &HttpRequest, app: &App) -> Option<String> {
    caller(req, &app.settings).filter(|address| !address.to_canonical().is_loopback()).map(peer_of)
}

fn knock(lobby: &Option<Data<Lobby>>, knock: Knock, req: &HttpRequest, app: &App) -> Result<(), Refused> {
    let (Some(lobby), now) = (lobby, app.clock.now()) else { return Ok(()) };
    lobby.knock(knock, &from_where(req, app), now).map_err(|until| Refused::TooFast { until, now })
}

// The widget and its doors

const SCRIPT: &str = include_str!("widget.js");
const SHEET: &str = include_str!("widget.css");
const FILES: &str = include_str!("files.js");

/// Both as they are sent, made once.
static LEAN_SCRIPT: LazyLock<String> = LazyLock::new(|| lean(SCRIPT));
static LEAN_SHEET: LazyLock<String> = LazyLock::new(lean_sheet);
static LEAN_FILES: LazyLock<String> = LazyLock::new(|| lean(FILES));

/// The script without the spaces and remarks that only its readers need. Lines stay lines, and
/// strings as they are; it knows neither regular expressions nor templates in templates.
fn lean(script: &str) -> String {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let in_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let (mut lean, mut quote, mut chars) = (String::new(), None, text.chars().peekable());
    while let Some(c) = chars.next() {
        if c == ' ' && quote.is_none() {
            let between = [lean.chars().next_back(), chars.peek().copied()];
            if !between.into_iter().all(|beside| beside.is_some_and(in_a_word)) {
                continue;
            }
        }
        lean.push(c);
        match quote {
            Some(_) if c == '\\' => lean.extend(chars.next()),
            Some(open) if c == open => quote = None,
            None if ['"', '\'', '`'].contains(&c) => quote = Some(c),
            _ => {}
        }
    }
    lean
}

/// The sheet, in front of it what the channel says.
fn sheet(widget: &Widget) -> String {
    let (left, right) = match widget.side {
        Side::Left => ("20px", "auto"),
        Side::Right => ("auto", "20px"),
    };
    let (accent, ink) = (&widget.accent, domain::ink_on(&widget.accent));
    let mut sheet = format!(":host{{--accent:{accent};--on-accent:{ink};--left:{left};--right:{right}}}");
    sheet.push_str(&LEAN_SHEET);
    sheet
}

fn lean_sheet() -> String {
    let rules = SHEET.split_once("*/").map_or(SHEET, |(_, rules)| rules);
    let mut lean = rules.lines().map(str::trim).collect::<String>();
    for (loose, tight) in [
        (" { ", "{"),
        ("{ ", "{"),
        (" {", "{"),
        ("; }", "}"),
        (" }", "}"),
        ("; ", ";"),
        (": ", ":"),
        (", ", ","),
        (" > ", ">"),
    ] {
        lean = lean.replace(loose, tight);
    }
    lean
}

/// The script that a page names: the widget, told how this channel wants it.
#[get("/webchat/{channel}/widget.js")]
async fn widget_script(app: Data<App>, req: HttpRequest, channel: Path<ChannelId>) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        let it = &door.widget;
        let told = json!({
            "title": it.title, "greeting": it.greeting, "sender": door.setup.sender, "offline": it.offline,
            "longest": LONGEST, "largest": LARGEST_FILE, "css": sheet(it),
        });
        Ok(HttpResponse::Ok()
            .content_type("text/javascript; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "public, max-age=60"))
            // Pages that let in only who says so let it in.
            .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"))
            .body(format!("({})({told});\n", *LEAN_SCRIPT)))
    })
    .await
}

/// What has to do with files; the widget asks for it when it is opened.
#[get("/webchat/{channel}/files.js")]
async fn files_script(app: Data<App>, req: HttpRequest, channel: Path<ChannelId>) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |_| {
        Ok(HttpResponse::Ok()
            .content_type("text/javascript; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
            .body(LEAN_FILES.as_str()))
    })
    .await
}

/// Somebody new.
#[post("/webchat/{channel}/visitors")]
async fn welcome(
    app: Data<App>,
    lobby: Option<Data<Lobby>>,
    req: HttpRequest,
    channel: Path<ChannelId>,
) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        knock(&lobby, Knock::Visitor, &req, &app)?;
        let (channel, now) = (door.channel, app.clock.now());
        let address = format!("visitor-{:016x}", rand::random::<u64>());
        let visitor = app.db.run(move |conn| store::insert(conn, channel, &address, now)).await?;
        Ok(HttpResponse::Created().json(json!({ "token": door.token(visitor, now) })))
    })
    .await
}

#[derive(Deserialize)]
struct After {
    after: Option<i64>,
}

/// What was said: the newest, or what comes after a number.
#[get("/webchat/{channel}/messages")]
async fn history(
    app: Data<App>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    after: Result<Query<After>, Error>,
) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        let (now, after) = (app.clock.now(), after.map_err(|_| Refused::Unreadable)?);
        let KnownVisitor { visitor, renew } = door.visitor(&req, now)?;
        let after = after.after;
        let (last, lines) = app
            .db
            .run(move |conn| {
                let last = store::find(conn, visitor)?.last_seq;
                let lines = match after {
                    None => store::newest(conn, visitor, SHOWN),
                    Some(after) => store::after(conn, visitor, after, SHOWN),
                };
                lines.map(|lines| (last, lines))
            })
            .await?;
        let more = lines.last().is_some_and(|line| line.seq < last);
        let token = renew.then(|| door.token(visitor, now));
        let lines: Vec<_> = lines.iter().map(wire).collect();
        Ok(HttpResponse::Ok().json(json!({ "messages": lines, "more": more, "token": token })))
    })
    .await
}

/// A file that a visitor wants to send; told with the message that brings it.
#[post("/webchat/{channel}/media")]
async fn bring_file(
    app: Data<App>,
    lobby: Option<Data<Lobby>>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    form: Incoming,
) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        let now = app.clock.now();
        door.visitor(&req, now)?;
        knock(&lobby, Knock::File, &req, &app)?;
        let (octets, name) = read_file(form, LARGEST_FILE).await.map_err(|problem| match problem {
            Problem::TooLarge(_) => Refused::FileTooLarge,
            _ => Refused::Unreadable,
        })?;
        let file = sniff(&octets, &name).map_err(Refused::File)?;
        let kept = app.db.run(move |conn| media::store::insert(conn, &file, &octets, None, now)).await?;
        Ok(HttpResponse::Created().json(json!({ "key": kept.key, "name": kept.name })))
    })
    .await
}

#[derive(Deserialize)]
struct Said {
    id: String,
    text: String,
    #[serde(default)]
    file: Option<Uuid>,
}

#[post("/webchat/{channel}/messages")]
async fn say(
    app: Data<App>,
    lobby: Option<Data<Lobby>>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    body: Result<Bytes, Error>,
) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        let (now, body) = (app.clock.now(), whole(body)?);
        let visitor = door.visitor(&req, now)?.visitor;
        // Written as JSON, each byte may take six.
        if body.len() > LONGEST * 6 + 200 {
            return Err(Refused::TooLong);
        }
        let Said { id, text, file } = serde_json::from_slice(&body).map_err(|_| Refused::Unreadable)?;
        let text = text.trim().to_owned();
        if text.len() > LONGEST {
            return Err(Refused::TooLong);
        }
        if (text.is_empty() && file.is_none()) || text.contains('\0') || !domain::is_client_id(&id) {
            return Err(Refused::Unreadable);
        }
        knock(&lobby, Knock::Message, &req, &app)?;
        let setup = door.setup.clone();
        let heard = app.db.run(move |conn| actions::hear(conn, &setup, visitor, &id, &text, file, now)).await?;
        match heard {
            VisitorHeard::TooFast { until } => Err(Refused::TooFast { until, now }),
            VisitorHeard::Written { seq, at, from } => {
                app.said.notify_one();
                NEWS.notify_one();
                quiet::wait(&app, Whom::Addresses(Kind::Webchat, vec![from])).await;
                Ok(HttpResponse::Ok().json(json!({ "seq": seq, "at": at })))
            }
        }
    })
    .await
}

/// What comes after the last number that the widget has, as it is written.
#[get("/webchat/{channel}/stream")]
async fn stream(
    app: Data<App>,
    lobby: Option<Data<Lobby>>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    after: Result<Query<After>, Error>,
) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        let after = after.map_err(|_| Refused::Unreadable)?;
        let visitor = door.visitor(&req, app.clock.now())?.visitor;
        let told = req.headers().get("Last-Event-ID").and_then(|value| value.to_str().ok()?.parse().ok());
        let seen = told.or(after.after).unwrap_or(0);
        let lobby = lobby.as_ref().ok_or(Refused::NotNow(Problem::Busy))?;
        let receiver = lobby.enter(visitor, seen, from_afar(&req, &app)).ok_or(Refused::TooManyPages)?;
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|bytes| (Ok::<_, actix_web::Error>(bytes), receiver))
        });
        Ok(HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            // Compressed, an event would wait in the compressor for the next one.
            .insert_header((header::CONTENT_ENCODING, "identity"))
            .insert_header(("X-Accel-Buffering", "no"))
            .streaming(stream))
    })
    .await
}

#[derive(Deserialize)]
struct Shown {
    seq: i64,
}

/// The widget shows every message up to a number: those of ours are delivered.
#[post("/webchat/{channel}/ack")]
async fn acknowledge(
    app: Data<App>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    body: Result<Bytes, Error>,
) -> HttpResponse {
    at_the_door(&app, &req, channel.into_inner(), async |door| {
        let (now, body) = (app.clock.now(), whole(body)?);
        let visitor = door.visitor(&req, now)?.visitor;
        let Shown { seq } = serde_json::from_slice(&body).map_err(|_| Refused::Unreadable)?;
        let (shown, parts) = app
            .db
            .run(move |conn| {
                let it = store::find(conn, visitor)?;
                // Nobody shows what was not written.
                let shown = seq.min(it.last_seq);
                store::parts(conn, visitor, it.acked_seq, shown).map(|parts| (shown, parts))
            })
            .await?;
        let delivered = |part: String| Some(Receipt::of(SendKey::parse(&part)?, ReceiptStatus::Delivered));
        let events = parts.into_iter().filter_map(delivered).map(Event::Receipt).collect();
        intake::take_in(&app, door.channel, events, now).await?;
        // Noted only after they were taken in: what is told twice changes nothing.
        app.db.run(move |conn| store::acknowledge(conn, visitor, shown, now)).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

// A page to try it on

#[derive(Template)]
#[template(path = "webchat/demo.html")]
struct Demo {
    frame: Frame,
    channel: ChannelId,
    name: String,
}

#[get("/webchat/{channel}/demo")]
async fn demo(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    channel: Path<ChannelId>,
) -> Result<HttpResponse, Problem> {
    let channel = channel.into_inner();
    let sender = app.db.run(move |conn| crate::channels::store::find(conn, channel)).await?;
    if sender.provider != ProviderName::Webchat {
        return Err(Problem::NotFound);
    }
    page(Demo { frame, channel, name: sender.setup.name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_says_what_it_said() {
        assert_eq!(
            lean("  // what\n  const a = `b  ${c}`;\n\n  return a ? \"x \\\" y\" : 1;"),
            "const a=`b  ${c}`;\nreturn a?\"x \\\" y\":1;"
        );
        let lean = lean(SCRIPT);
        let n = lean.len() + sheet(&Widget::default()).len();
        assert!(n < 14_500, "{n} bytes, and the words of the channel come on top");
    }
}
