//! The list of conversations.

use actix_session::Session;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::places::{Looking, thread_href, told, waits};
use super::thread::{DoubtQuestion, JustClosed, ThreadAsked};
use crate::access::{Person, View};
use crate::app::App;
use crate::contacts::quiet;
use crate::contacts::store::Whom;
use crate::conversations::closed_words;
use crate::ids::{CampaignId, ChannelId};
use crate::inbox::store::{self, COUNTED, Choices, InboxAsk, InboxPlace, ListedConversation, Page, View as Shown};
use crate::people;
use crate::people::domain::InboxAlerts;
use crate::web::chart::thousands;
use crate::web::{Frame, Htmx, May, Problem, Waits, page, search_in_turn, told_once};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(index).service(count_for_you).service(keys);
}

/// Conversations on one page.
const PAGE: usize = 50;

struct List {
    person: Person,
    looking: Looking,
    ask: InboxAsk,
    page: Page,
    counts: Vec<(Shown, i64)>,
    news: String,
    zone: Tz,
    now: DateTime<Utc>,
}

impl List {
    /// Views with their address, how many they have, and whether this is one of them.
    fn views(&self) -> impl Iterator<Item = (String, &'static str, String, bool)> {
        self.counts.iter().map(|(view, n)| {
            let n = if *n >= COUNTED { format!("{}+", thousands(COUNTED)) } else { thousands(*n) };
            (self.looking.href(*view, None, ""), view.label(), n, *view == self.ask.view)
        })
    }

    /// The page of a conversation, which knows the way back.
    fn thread_href(&self, it: &ListedConversation) -> String {
        thread_href(it.id, &self.looking.query())
    }

    fn is_first(&self) -> bool {
        self.ask.place == InboxPlace::Start
    }

    fn news_href(&self) -> String {
        self.looking.href(self.ask.view, None, &self.news)
    }

    fn first_href(&self) -> String {
        self.looking.href(self.ask.view, None, "")
    }

    fn next_href(&self) -> Option<String> {
        Some(self.looking.href(self.ask.view, Some(self.page.next.as_ref()?), ""))
    }

    fn is_narrowed(&self) -> bool {
        !self.ask.q.is_empty() || self.ask.channel.is_some() || self.ask.campaign.is_some() || self.ask.label.is_some()
    }

    /// Of how many conversations somebody else than a human takes care.
    fn n_with_bots(&self) -> Option<String> {
        let (_, n) = self.counts.iter().find(|(view, n)| *view == Shown::Bots && *n > 0)?;
        Some(thousands(*n))
    }

    /// As short as it can be said: the time today, else the day.
    fn when(&self, at: &DateTime<Utc>) -> String {
        let (at, now) = (at.with_timezone(&self.zone), self.now.with_timezone(&self.zone));
        match at.date_naive() == now.date_naive() {
            true => at.format("%H:%M").to_string(),
            false => at.format("%-d %b %Y").to_string(),
        }
    }

    /// The last message, and who said it.
    fn said(&self, it: &ListedConversation) -> (&'static str, String) {
        let who = match it.author.as_deref() {
            Some("contact") => "",
            Some("agent") => "Agent: ",
            Some("bot" | "campaign") => "Bot: ",
            Some(_) => "Bugle: ",
            None => "",
        };
        let said = it.said.as_deref().map(|said| self.person.sees_text(said, &it.address));
        (who, said.unwrap_or_else(|| "Nothing was said.".to_owned()))
    }
}

#[derive(Template)]
#[template(path = "inbox/inbox.html")]
struct Index {
    frame: Frame,
    list: List,
    choices: Choices,
    closed: Option<JustClosed>,
    alerts: InboxAlerts,
}

impl Index {
    fn is_channel(&self, id: &ChannelId) -> bool {
        self.list.ask.channel == Some(*id)
    }

    fn is_campaign(&self, id: &CampaignId) -> bool {
        self.list.ask.campaign == Some(*id)
    }

    fn is_label(&self, label: &str) -> bool {
        self.list.ask.label.as_deref() == Some(label)
    }

    /// What the search is narrowed to, though it cannot be chosen any more.
    fn other_campaign(&self) -> Option<CampaignId> {
        self.list.ask.campaign.filter(|id| !self.choices.campaigns.iter().any(|(other, _)| other == id))
    }

    fn other_label(&self) -> Option<&str> {
        self.list.ask.label.as_deref().filter(|label| !self.choices.labels.iter().any(|other| other == label))
    }
}

/// The part of the page that changes when there is news.
#[derive(Template)]
#[template(path = "inbox/inbox.html", block = "list")]
struct News {
    list: List,
}

#[get("/inbox", wrap = "from_fn(search_in_turn)")]
async fn index(
    may: May<View>,
    mut frame: Frame,
    app: Data<App>,
    session: Session,
    looking: Query<Looking>,
) -> Result<HttpResponse, Problem> {
    let (looking, now) = (looking.into_inner(), app.clock.now());
    let ask = looking.ask(may.person.id);
    let (wanted, seen) = (ask.clone(), looking.seen.clone());
    let found = app
        .db
        .look(move |conn| {
            // Before the list: what comes in between is told again, and nothing is lost.
            let news = store::news(conn)?;
            if seen == news {
                return Ok::<_, diesel::result::Error>(None);
            }
            let page = store::page(conn, &wanted, PAGE)?;
            let counts = store::counts(conn, wanted.person)?;
            let choices = match seen.is_empty() {
                true => Some((store::choices(conn)?, people::store::alerts(conn, wanted.person)?)),
                false => None,
            };
            Ok(Some((page, counts, news, choices)))
        })
        .await?;
    let Some((mut shown, counts, news, choices)) = found else { return Ok(HttpResponse::NoContent().finish()) };
    quiet::wait(&app, Whom::Barred).await;
    let zone = app.settings.time_zone;
    let person = may.person;
    let n = shown.conversations.len();
    shown.conversations.retain(|it| !person.may_not_find(&ask.q, &it.address, None));
    if shown.conversations.len() < n {
        shown.next = None;
    }
    let list = List { looking, ask, page: shown, counts, news, person, zone, now };
    match choices {
        Some((choices, alerts)) => {
            let n = list.counts.iter().find(|(view, _)| *view == Shown::ForYou).map_or(0, |(_, n)| *n);
            frame.waits = Some(told(n, alerts));
            let closed = told_once(&session, &frame.path);
            page(Index { frame, list, choices, closed, alerts })
        }
        None => page(News { list }),
    }
}

/// The count in the rail.
#[derive(Template)]
#[template(path = "inbox/_count.html")]
struct CountForYou {
    waits: Option<Waits>,
}

/// What the rail shows already.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted {
    was: String,
}

/// How many wait for whoever looks; nothing when that is what they see.
#[get("/inbox/count")]
async fn count_for_you(may: May<View>, app: Data<App>, known: Query<Counted>) -> Result<HttpResponse, Problem> {
    let waits = waits(&app, &may.person).await?;
    if known.was == format!("{}.{}", waits.n, waits.alerts) {
        return Ok(HttpResponse::NoContent().finish());
    }
    page(CountForYou { waits: Some(waits) })
}

/// What the keys do.
#[get("/inbox/keys")]
async fn keys(_may: May<View>, frame: Frame, htmx: Htmx) -> Result<HttpResponse, Problem> {
    ThreadAsked { title: "Keys of the inbox".to_owned(), question: DoubtQuestion::Keys }.answer(frame, htmx)
}
