//! One conversation, and what agents do with it.

use std::rc::Rc;

use actix_session::Session;
use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

use crate::access::{Export, Operate, Person, Role, SeeAddresses, View, masked, without_address};
use crate::app::App;
use crate::channels::domain::Channel;
use crate::channels::template_form::{ApprovedInForm, TemplateForm};
use crate::channels::{self, templates};
use crate::contacts::addresses::in_full;
use crate::contacts::quiet;
use crate::contacts::store::Whom;
use crate::conversations::{self, Handler, closed_words};
use crate::db::{DbError, Error};
use crate::ids::{ConversationId, MessageId, UserId};
use crate::inbox::actions::{self, AgentSays, Decision, Refused};
use crate::inbox::store::{self, Author, Barred, Thread, ThreadMessage, Which, name_among};
use crate::inbox::web::places::{Looking, thread_href, waits};
use crate::media::heard::words_alone;
use crate::media::said::{HeardFiles, said, words_said};
use crate::providers::Kind;
use crate::web::{
    FieldErrors, Frame, Htmx, May, Problem, csv, in_turn, page, page_with, see_other, table_in_turn, tell_once,
    told_once, version_of,
};
use crate::wording::{Approved, Segments, segments};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(show)
        .service(news)
        .service(reply)
        .service(measure)
        .service(ask_take_over)
        .service(take_over)
        .service(close)
        .service(reopen)
        .service(assign)
        .service(add_label)
        .service(remove_label)
        .service(ask_block)
        .service(block)
        .service(opted_out)
        .service(kept)
        .service(let_bots_answer)
        .service(fetch_again)
        .service(as_text)
        .service(as_table);
}

/// Messages on one page.
const PAGE: usize = 50;

/// What stands below the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Somebody who may only look.
    Looks,
    Closed,
    Barred,
    WithBot,
    /// Only an approved text reaches them.
    Outside,
    Open,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Mode::Looks => "looks",
            Mode::Closed => "closed",
            Mode::Barred => "barred",
            Mode::WithBot => "bot",
            Mode::Outside => "outside",
            Mode::Open => "open",
        }
    }
}

/// A conversation as somebody sees it.
struct Look {
    id: ConversationId,
    thread: Thread,
    messages: Vec<ThreadMessage>,
    /// Where the page of older messages ends, if there is one.
    older: Option<MessageId>,
    /// Whether these are the newest messages, which get news.
    live: bool,
    /// The query of the list that it was opened from.
    list: String,
    agents: Vec<(UserId, String)>,
    me: UserId,
    may_answer: bool,
    may_export: bool,
    /// Whether whoever looks sees people's addresses in full.
    sees_address: bool,
    zone: Tz,
    form: ReplyForm,
    measured: Option<Measured>,
    errors: FieldErrors,
    /// The channel and its approved texts, where nothing else reaches the contact, and for how many hours after they
    /// wrote something would.
    approvable: Option<(i64, Channel, Vec<Approved>)>,
}

impl Look {
    /// Whether an approved text would reach them.
    fn approves_texts(&self) -> bool {
        self.approvable.as_ref().is_some_and(|(_, it, _)| it.provider.approves_texts(it.kind))
    }

    /// Whether the channel has approved texts that can be sent.
    fn may_send_approved(&self) -> bool {
        self.approvable.as_ref().is_some_and(|(.., known)| known.iter().any(Approved::can_be_sent))
    }

    /// The fields of an approved text.
    fn approved(&self) -> askama::Result<String> {
        let Some((_, channel, known)) = &self.approvable else { return Ok(String::new()) };
        ApprovedInForm { choice: self.form.approved.choice(Some(channel), known), errors: &self.errors }.render()
    }

    fn title(&self) -> String {
        let name = name_among(self.thread.contact.values_json());
        name.map_or_else(|| self.address(), str::to_owned)
    }

    fn address(&self) -> String {
        let address = in_full(self.thread.contact.kind, &self.thread.contact.address);
        if self.sees_address { address } else { masked(&address) }
    }

    /// What was said, with the contact's address in it hidden from those who do not see it.
    fn shown(&self, text: impl AsRef<str>) -> String {
        let (text, address) = (text.as_ref(), &self.thread.contact.address);
        if self.sees_address { text.to_owned() } else { without_address(text, address) }
    }

    /// What somebody said, and what it brings along.
    fn said(&self, message: &ThreadMessage) -> askama::Result<String> {
        if message.author != Author::Contact {
            return said(&self.shown(&message.body));
        }
        let again = if self.may_answer { format!("{}/media/{}", self.path(), message.id) } else { String::new() };
        let files = HeardFiles { files: &message.heard, again }.render()?;
        let words = self.shown(words_alone(&message.body, &message.heard));
        Ok(if words.is_empty() && !message.heard.is_empty() {
            files
        } else {
            format!("{}{files}", words_said(&words)?)
        })
    }

    fn mode(&self) -> Mode {
        let it = &self.thread.it;
        if !self.may_answer {
            Mode::Looks
        } else if !it.is_open() {
            Mode::Closed
        } else if self.thread.barred().is_some() {
            Mode::Barred
        } else if it.handler == Handler::Bot {
            Mode::WithBot
        } else if self.approvable.is_some() {
            Mode::Outside
        } else {
            Mode::Open
        }
    }

    fn is_with_bot(&self) -> bool {
        self.thread.it.is_open() && self.thread.it.handler == Handler::Bot
    }

    fn is_doubted(&self) -> bool {
        self.thread.it.doubted || self.thread.contact_doubted
    }

    fn is_mine(&self) -> bool {
        self.thread.it.assigned_to == Some(self.me)
    }

    fn is_assigned_to(&self, user: &UserId) -> bool {
        self.thread.it.assigned_to == Some(*user)
    }

    /// Whoever has it, though they cannot be chosen any more.
    fn former_agent(&self) -> Option<&str> {
        let user = self.thread.it.assigned_to?;
        let gone = !self.agents.iter().any(|(id, _)| *id == user);
        gone.then_some(self.thread.assignee.as_deref()).flatten()
    }

    fn bot(&self) -> String {
        match (&self.thread.bot, self.thread.it.bot) {
            (Some(name), Some(pinned)) => format!("{name} v{}", pinned.version),
            (Some(_) | None, _) => "the bot".to_owned(),
        }
    }

    /// What the newest message is called, for a reply to be compared with.
    fn newest(&self) -> i64 {
        self.messages.last().map_or(0, |message| message.id.0)
    }

    fn who(&self, message: &ThreadMessage) -> String {
        match message.author {
            Author::Contact => self.title(),
            Author::Campaign => format!("{}, by campaign", self.bot()),
            Author::Bot => self.bot(),
            Author::Agent => message.agent.clone().unwrap_or_else(|| "Agent".to_owned()),
            Author::House => "Bugle".to_owned(),
        }
    }

    fn step<'a>(&'a self, message: &'a ThreadMessage) -> Option<&'a str> {
        let step = message.step.as_deref()?;
        Some(self.thread.step(step).unwrap_or(step))
    }

    fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%-d %b %Y, %H:%M:%S").to_string()
    }

    fn path(&self) -> String {
        format!("/inbox/{}", self.id)
    }

    fn older_href(&self) -> Option<String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("before", &self.older?.to_string());
        if !self.list.is_empty() {
            query.append_pair("list", &self.list);
        }
        Some(format!("{}?{}", self.path(), query.finish()))
    }

    /// This page, as the list opens it.
    fn here(&self) -> String {
        thread_href(self.id.0, &self.list)
    }

    /// The list that it was opened from.
    fn list_href(&self) -> String {
        if self.list.is_empty() { "/inbox".to_owned() } else { format!("/inbox?{}", self.list) }
    }

    fn news_href(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("at", &self.thread.changed.to_string())
            .append_pair("mode", self.mode().word())
            .append_pair("side", &self.side_print())
            .append_pair("list", &self.list);
        format!("{}/news?{}", self.path(), query.finish())
    }

    /// Of what stands beside the messages.
    fn side_print(&self) -> String {
        let side = SidePart { look: self, oob: false }.render().unwrap_or_default();
        version_of(&side)
    }

    fn campaign_href(&self) -> Option<String> {
        let (campaign, _) = self.thread.it.home?;
        Some(format!("/campaigns?open={campaign}"))
    }
}

#[derive(Template)]
#[template(path = "inbox/thread.html")]
struct Show {
    frame: Frame,
    look: Look,
    closed: Option<JustClosed>,
}

/// A conversation that was closed a moment ago, for whoever goes on with the next: the way back.
#[derive(Deserialize, Serialize)]
pub(super) struct JustClosed {
    pub id: i64,
    /// Name or address, as whoever closed it sees it.
    pub who: String,
    /// The query of the list that it was opened from.
    pub list: String,
}

impl JustClosed {
    pub fn href(&self) -> String {
        thread_href(self.id, &self.list)
    }
}

/// The messages and how things stand.
#[derive(Template)]
#[template(path = "inbox/_live.html")]
struct LivePart<'a> {
    look: &'a Look,
    oob: bool,
}

#[derive(Template)]
#[template(path = "inbox/_reply.html")]
struct ReplyPart<'a> {
    look: &'a Look,
    oob: bool,
}

#[derive(Template)]
#[template(path = "inbox/_side.html")]
struct SidePart<'a> {
    look: &'a Look,
    oob: bool,
}

async fn look(
    app: &App,
    person: &Person,
    id: ConversationId,
    before: Option<MessageId>,
    form: ReplyForm,
) -> Result<Look, Problem> {
    let (now, may_answer) = (app.clock.now(), person.role >= Role::Operator);
    let which = before.map_or(Which::NEWEST, Which::Before);
    let body = form.body.clone();
    let (thread, mut messages, agents, measured, approvable) = app
        .db
        .look(move |conn| {
            let thread = store::thread(conn, id, now)?;
            let messages = store::messages(conn, id, which, PAGE as i64 + 1)?;
            let agents = if may_answer { store::agents(conn)? } else { Vec::new() };
            let measured = match body.trim().is_empty() {
                true => None,
                false => Some(Measured::of(thread.kind, actions::preview(conn, &thread.it, &body)?)),
            };
            let approvable = match actions::closed_window(conn, &thread.it, now)? {
                Some(hours) if may_answer => {
                    let channel = channels::store::find(conn, thread.it.channel)?;
                    Some((hours, channel, templates::of_channel(conn, thread.it.channel)?))
                }
                Some(_) | None => None,
            };
            Ok::<_, diesel::result::Error>((thread, messages, agents, measured, approvable))
        })
        .await?;
    if thread.contact.is_barred {
        quiet::wait(app, Whom::Contacts(vec![thread.contact.id])).await;
    }
    let more = messages.len() > PAGE;
    messages.drain(..messages.len().saturating_sub(PAGE));
    let older = messages.first().filter(|_| more).map(|message| message.id);
    let zone = thread.zone.unwrap_or(app.settings.time_zone);
    Ok(Look {
        id,
        thread,
        messages,
        older,
        live: before.is_none(),
        list: String::new(),
        agents,
        me: person.id,
        may_answer,
        may_export: person.has::<Export>(),
        sees_address: person.has::<SeeAddresses>(),
        zone,
        form,
        measured,
        errors: FieldErrors::default(),
        approvable,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Where {
    before: String,
    list: String,
}

#[get("/inbox/{id:\\d+}")]
async fn show(
    may: May<View>,
    mut frame: Frame,
    app: Data<App>,
    session: Session,
    id: Path<ConversationId>,
    place: Query<Where>,
) -> Result<HttpResponse, Problem> {
    let before = place.before.parse().ok().map(MessageId);
    let look = look(&app, &may.person, id.into_inner(), before, ReplyForm::default()).await?;
    let look = Look { list: Looking::parse(&place.list).query(), ..look };
    frame.waits = Some(waits(&app, &may.person).await?);
    let closed = told_once(&session, &frame.path);
    page(Show { frame, look, closed })
}

/// What a page knows.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Known {
    at: i64,
    mode: String,
    side: String,
    list: String,
}

fn html(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body)
}

fn draw(template: &impl Template) -> Result<String, Problem> {
    template.render().map_err(|error| Problem::Unexpected(error.into()))
}

/// What is new on a page that shows a conversation. The text that somebody is writing stays
/// untouched as long as it can be sent.
#[get("/inbox/{id:\\d+}/news")]
async fn news(
    may: May<View>,
    app: Data<App>,
    id: Path<ConversationId>,
    known: Query<Known>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let changed = app.db.run(move |conn| store::news_of(conn, id)).await?;
    if changed == known.at {
        return Ok(HttpResponse::NoContent().finish());
    }
    let look = look(&app, &may.person, id, None, ReplyForm::default()).await?;
    let look = &Look { list: Looking::parse(&known.list).query(), ..look };
    let mut parts = draw(&LivePart { look, oob: false })?;
    if look.mode().word() != known.mode {
        parts += &draw(&ReplyPart { look, oob: true })?;
    }
    if look.side_print() != known.side {
        parts += &draw(&SidePart { look, oob: true })?;
    }
    Ok(html(StatusCode::OK, parts))
}

// Replying

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct ReplyForm {
    /// The query of the list that the page was opened from.
    list: String,
    body: String,
    /// The id of the newest message on the page.
    seen: String,
    #[serde(flatten)]
    approved: TemplateForm,
}

/// What a reply comes to.
struct Measured {
    sms: Option<Segments>,
    characters: usize,
    /// Why it would be refused.
    refused: Option<String>,
}

impl Measured {
    fn of(kind: Kind, filled: Result<String, (String, Refused)>) -> Measured {
        let (text, refused) = match filled {
            Ok(text) => (text, None),
            Err((text, refused)) => (text, Some(refused.to_string())),
        };
        let sms = (kind == Kind::Sms).then(|| segments(&text));
        Measured { sms, characters: text.chars().count(), refused }
    }
}

#[derive(Template)]
#[template(path = "inbox/_measured.html")]
struct MeasuredPart {
    measured: Option<Measured>,
}

/// Changes nothing; it is a POST because texts are longer than addresses may be.
#[post("/inbox/{id:\\d+}/measure", wrap = "from_fn(in_turn)")]
async fn measure(
    _may: May<Operate>,
    app: Data<App>,
    id: Path<ConversationId>,
    form: Form<ReplyForm>,
) -> Result<HttpResponse, Problem> {
    let (id, now, body) = (id.into_inner(), app.clock.now(), form.into_inner().body.replace('\0', ""));
    if body.trim().is_empty() {
        return page(MeasuredPart { measured: None });
    }
    let measured = app
        .db
        .run(move |conn| {
            let thread = store::thread(conn, id, now)?;
            Ok::<_, diesel::result::Error>(Measured::of(thread.kind, actions::preview(conn, &thread.it, &body)?))
        })
        .await?;
    page(MeasuredPart { measured: Some(measured) })
}

#[post("/inbox/{id:\\d+}/reply")]
async fn reply(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<ConversationId>,
    form: Form<ReplyForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let list = Looking::parse(&form.list).query();
    let mut form = form.into_inner();
    (form.body, form.list) = (form.body.replace("\r\n", "\n").replace('\0', ""), list.clone());
    let seen = MessageId(form.seen.parse().unwrap_or(0));
    let (text, template) = (form.body.clone(), form.approved.clone());
    let said = app
        .db
        .run(move |conn| {
            let mut errors = FieldErrors::default();
            let it = conversations::store::find(conn, id)?;
            let filled = template.parse(&templates::of_channel(conn, it.channel)?, &mut errors);
            let is_ours = it.is_open() && it.handler == Handler::Human;
            let says_nothing = filled.is_none() && text.trim().is_empty();
            if is_ours && says_nothing && actions::closed_window(conn, &it, now)?.is_some() {
                errors.add("template", "Choose a text.");
            }
            let says = match filled {
                Some(_) | None if !errors.is_empty() => return Ok(Err(errors)),
                Some(filled) => AgentSays::Template(filled),
                None => AgentSays::Text(text),
            };
            actions::reply(conn, id, &says, seen, by, now).map(Ok)
        })
        .await;
    let mut wrong = FieldErrors::default();
    let (status, form, refused) = match said {
        Ok(Err(errors)) => {
            wrong = errors;
            (StatusCode::UNPROCESSABLE_ENTITY, form, None)
        }
        Ok(Ok(_)) => {
            app.said.notify_one();
            if !htmx.0 {
                return Ok(see_other(format!("{}#newest", thread_href(id.0, &list))));
            }
            (StatusCode::OK, ReplyForm::default(), None)
        }
        Err(DbError::Work(Error::Refused(refused))) => (StatusCode::UNPROCESSABLE_ENTITY, form, Some(refused)),
        Err(error) => return Err(error.into()),
    };
    let look = look(&app, &may.person, id, None, form).await?;
    let mut look = Look { list, errors: wrong, ..look };
    if let Some(refused) = refused {
        look.errors.add("body", refused.to_string());
    }
    if !htmx.0 {
        return page_with(status, Show { frame, look, closed: None });
    }
    let parts = draw(&ReplyPart { look: &look, oob: false })? + &draw(&LivePart { look: &look, oob: true })?;
    let side = draw(&SidePart { look: &look, oob: true })?;
    Ok(html(status, parts + &side))
}

// Questions before what cannot be taken back

pub enum DoubtQuestion {
    /// What the keys do: no question at all.
    Keys,
    TakeOver {
        id: ConversationId,
        bot: String,
    },
    Block {
        id: ConversationId,
        address: String,
    },
}

pub struct ThreadAsked {
    pub title: String,
    pub question: DoubtQuestion,
}

/// A question as a page of its own.
#[derive(Template)]
#[template(path = "inbox/ask.html")]
struct AskPage {
    frame: Frame,
    asked: ThreadAsked,
}

/// The same for the dialog of the page.
#[derive(Template)]
#[template(path = "inbox/_ask.html")]
struct AskPart {
    asked: ThreadAsked,
    dialog: bool,
}

impl ThreadAsked {
    pub fn answer(self, frame: Frame, htmx: Htmx) -> Result<HttpResponse, Problem> {
        match htmx {
            Htmx(true) => page(AskPart { asked: self, dialog: true }),
            Htmx(false) => page(AskPage { frame, asked: self }),
        }
    }
}

#[get("/inbox/{id:\\d+}/take-over")]
async fn ask_take_over(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<ConversationId>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let look = look(&app, &may.person, id.into_inner(), None, ReplyForm::default()).await?;
    let question = DoubtQuestion::TakeOver { id: look.id, bot: look.bot() };
    ThreadAsked { title: "Take over from the bot?".to_owned(), question }.answer(frame, htmx)
}

#[post("/inbox/{id:\\d+}/take-over")]
async fn take_over(may: May<Operate>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::take_over(conn, id, by, now)).await?;
    Ok(see_other(format!("/inbox/{id}#newest")))
}

#[get("/inbox/{id:\\d+}/block")]
async fn ask_block(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<ConversationId>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let look = look(&app, &may.person, id.into_inner(), None, ReplyForm::default()).await?;
    let question = DoubtQuestion::Block { id: look.id, address: look.address() };
    ThreadAsked { title: format!("Block {}?", look.title()), question }.answer(frame, htmx)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BlockForm {
    why: String,
}

/// Characters of a reason at most.
const LONGEST_WHY: usize = 300;

#[post("/inbox/{id:\\d+}/block")]
async fn block(
    may: May<Operate>,
    app: Data<App>,
    id: Path<ConversationId>,
    form: Form<BlockForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let why: String = form.why.trim().replace('\0', "").chars().take(LONGEST_WHY).collect();
    let why = Some(why).filter(|why| !why.is_empty());
    let contact = app.db.run(move |conn| actions::block(conn, id, why.as_deref(), by, now)).await?;
    quiet::wait(&app, Whom::Contacts(vec![contact])).await;
    Ok(see_other(format!("/inbox/{id}")))
}

// What is done with one press

#[post("/inbox/{id:\\d+}/close")]
async fn close(
    may: May<Operate>,
    app: Data<App>,
    session: Session,
    id: Path<ConversationId>,
    from: Option<Form<OpenedFrom>>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let looking = Looking::parse(&from.map(Form::into_inner).unwrap_or_default().list);
    let (list, mut ask) = (looking.query(), looking.ask(by));
    if !may.person.has::<SeeAddresses>() {
        ask.q.clear();
    }
    let title = look(&app, &may.person, id, None, ReplyForm::default()).await?.title();
    let next = app
        .db
        .run(move |conn| {
            actions::close(conn, id, by, now)?;
            Ok::<_, Error<Refused>>(store::next(conn, &ask, id)?)
        })
        .await?;
    let (path, goes_to) = match next {
        Some(next) => (format!("/inbox/{next}"), thread_href(next.0, &list)),
        None if list.is_empty() => ("/inbox".to_owned(), "/inbox".to_owned()),
        None => ("/inbox".to_owned(), format!("/inbox?{list}")),
    };
    tell_once(&session, &path, &JustClosed { id: id.0, who: title, list })?;
    Ok(see_other(goes_to))
}

#[post("/inbox/{id:\\d+}/reopen")]
async fn reopen(may: May<Operate>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::reopen(conn, id, by, now)).await?;
    Ok(see_other(format!("/inbox/{id}")))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OpenedFrom {
    /// The query of the list that the page was opened from.
    list: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AssignForm {
    /// An id; empty for nobody.
    to: String,
}

#[post("/inbox/{id:\\d+}/assign")]
async fn assign(
    may: May<Operate>,
    app: Data<App>,
    id: Path<ConversationId>,
    form: Form<AssignForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let to = match form.to.trim() {
        "" => None,
        // What is no id is nobody's.
        text => Some(UserId(text.parse().unwrap_or(0))),
    };
    app.db.run(move |conn| actions::assign(conn, id, to, by, now)).await?;
    Ok(see_other(format!("/inbox/{id}")))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LabelForm {
    label: String,
}

#[post("/inbox/{id:\\d+}/labels")]
async fn add_label(
    may: May<Operate>,
    frame: Frame,
    app: Data<App>,
    id: Path<ConversationId>,
    form: Form<LabelForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now, label) = (id.into_inner(), may.person.id, app.clock.now(), form.into_inner().label);
    match app.db.run(move |conn| actions::add_label(conn, id, &label, by, now)).await {
        Ok(()) => Ok(see_other(format!("/inbox/{id}"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let mut look = look(&app, &may.person, id, None, ReplyForm::default()).await?;
            look.errors.add("label", refused.to_string());
            page_with(StatusCode::UNPROCESSABLE_ENTITY, Show { frame, look, closed: None })
        }
        Err(error) => Err(error.into()),
    }
}

#[post("/inbox/{id:\\d+}/labels/remove")]
async fn remove_label(
    may: May<Operate>,
    app: Data<App>,
    id: Path<ConversationId>,
    form: Form<LabelForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now, label) = (id.into_inner(), may.person.id, app.clock.now(), form.into_inner().label);
    app.db.run(move |conn| actions::remove_label(conn, id, &label, by, now)).await?;
    Ok(see_other(format!("/inbox/{id}")))
}

#[post("/inbox/{id:\\d+}/opted-out")]
async fn opted_out(may: May<Operate>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    decide(&app, &may.person, id.into_inner(), Decision::OptedOut).await
}

#[post("/inbox/{id:\\d+}/kept")]
async fn kept(may: May<Operate>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    decide(&app, &may.person, id.into_inner(), Decision::Kept).await
}

#[post("/inbox/{id:\\d+}/bots-answer")]
async fn let_bots_answer(may: May<Operate>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::let_bots_answer(conn, id, by, now)).await?;
    Ok(see_other(format!("/inbox/{id}")))
}

/// Fetches once more what came with a message and could not be fetched.
#[post("/inbox/{id:\\d+}/media/{message}")]
async fn fetch_again(
    may: May<Operate>,
    app: Data<App>,
    path: Path<(ConversationId, MessageId)>,
) -> Result<HttpResponse, Problem> {
    let ((id, message), by, now) = (path.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| actions::fetch_again(conn, id, message, by, now)).await?;
    Ok(see_other(format!("/inbox/{id}")))
}

async fn decide(app: &App, person: &Person, id: ConversationId, decision: Decision) -> Result<HttpResponse, Problem> {
    let (by, now) = (person.id, app.clock.now());
    let contact = app.db.run(move |conn| actions::decide(conn, id, decision, by, now)).await?;
    if decision == Decision::OptedOut {
        quiet::wait(app, Whom::Contacts(vec![contact])).await;
    }
    Ok(see_other(format!("/inbox/{id}")))
}

// Transcripts

/// Messages read at once.
const READ_AT_ONCE: i64 = 1000;

/// A message as a transcript tells it.
struct Line {
    at: String,
    who: String,
    step: String,
    body: String,
    outcome: String,
    why: String,
}

impl Look {
    fn line(&self, message: &ThreadMessage) -> Line {
        let fate = message.fate.as_ref();
        let standing = fate.and_then(|fate| fate.standing);
        let outcome = match (fate, standing) {
            (None, _) => "",
            (Some(_), None) => "queued",
            (Some(_), Some(standing)) => standing.name(),
        };
        let detail = fate.and_then(|fate| fate.detail.clone()).unwrap_or_default();
        let why = standing.map(|standing| standing.why()).unwrap_or_default();
        Line {
            at: message.at.with_timezone(&self.zone).to_rfc3339(),
            who: self.who(message),
            step: self.step(message).unwrap_or_default().to_owned(),
            body: message.body.clone(),
            outcome: outcome.to_owned(),
            why: [why, &detail].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "),
        }
    }
}

/// All messages of a conversation, some at once, each some made to bytes.
fn told(
    app: Data<App>,
    look: Look,
    first: Vec<u8>,
    write: fn(&Look, &[ThreadMessage]) -> Result<Vec<u8>, Problem>,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let look = Rc::new(look);
    stream::try_unfold((Some(MessageId(0)), first), move |(after, mut bytes)| {
        let (app, look) = (app.clone(), look.clone());
        async move {
            let (Some(after), id) = (after, look.id) else { return Ok::<_, Problem>(None) };
            let messages = app.db.run(move |conn| store::messages(conn, id, Which::After(after), READ_AT_ONCE)).await?;
            bytes.extend(write(&look, &messages)?);
            let more = messages.len() as i64 == READ_AT_ONCE;
            let next = messages.last().filter(|_| more).map(|message| message.id);
            Ok(Some((Bytes::from(bytes), (next, Vec::new()))))
        }
    })
}

#[get("/inbox/{id:\\d+}/transcript.csv", wrap = "from_fn(table_in_turn)")]
async fn as_table(may: May<Export>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    let look = look(&app, &may.person, id.into_inner(), None, ReplyForm::default()).await?;
    let name = format!("conversation-{}.csv", look.id);
    let mut first = csv::mark();
    first.extend(csv::lines([["time", "who", "step", "text", "outcome", "why"]])?);
    let pages = told(app, look, first, |look, messages| {
        let lines: Vec<Line> = messages.iter().map(|message| look.line(message)).collect();
        csv::lines(lines.iter().map(|it| {
            [it.at.as_str(), it.who.as_str(), it.step.as_str(), it.body.as_str(), it.outcome.as_str(), it.why.as_str()]
        }))
    });
    Ok(csv::download(&name, pages))
}

#[get("/inbox/{id:\\d+}/transcript.txt", wrap = "from_fn(table_in_turn)")]
async fn as_text(may: May<Export>, app: Data<App>, id: Path<ConversationId>) -> Result<HttpResponse, Problem> {
    let look = look(&app, &may.person, id.into_inner(), None, ReplyForm::default()).await?;
    let name = format!("conversation-{}.txt", look.id);
    let first = format!(
        "Conversation {} with {} on {}\n{}Times in {}\n\n",
        look.id,
        look.address(),
        look.thread.channel,
        look.thread.campaign.as_ref().map(|name| format!("Campaign {name}\n")).unwrap_or_default(),
        look.zone,
    );
    let pages = told(app, look, first.into_bytes(), |look, messages| {
        let mut text = String::new();
        for message in messages {
            let line = look.line(message);
            let outcome = if line.outcome.is_empty() { String::new() } else { format!(" [{}]", line.outcome) };
            text += &format!("{}  {}{outcome}\n{}\n\n", look.time(&message.at), line.who, line.body);
        }
        Ok(text.into_bytes())
    });
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(pages))
}

/// Whether a reply would not leave, in words.
fn barred(barred: &Barred) -> &'static str {
    match barred {
        Barred::Blocked => "They are on the blocklist: a reply would not leave.",
        Barred::OptedOut => "They have opted out: a reply would not leave.",
    }
}
