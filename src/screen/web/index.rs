//! The list, its rows, and what an open row holds.

use std::collections::HashMap;

use actix_web::middleware::from_fn;
use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use serde::Deserialize;

use crate::access::{Manage, Person, Role, View};
use crate::app::App;
use crate::campaigns::validity_form::ValidityForm;
use crate::campaigns::{Campaign, CampaignKind, CampaignState};
use crate::control::Locked;
use crate::daily;
use crate::deliveries::counts::Scope;
use crate::deliveries::quiet::{self, OnTheWire};
use crate::ids::{CampaignId, ScheduleId};
use crate::pacing::Forecast;
use crate::runs::RunState;
use crate::screen::domain::{ScheduleLine, Sheet};
use crate::screen::order::{CampaignGroup, CampaignOrder, CampaignPlace, PlacedCampaign, list};
use crate::screen::store::{Past, ShowCampaigns, turns_of};
use crate::screen::web::panels::{
    Body, CampaignList, CampaignRow, Head, Index, ListedRow, Note, PausedTogether, Picture, Place, Plan, Rights, SHOWS,
    SchedulePanel, Settling,
};
use crate::web::chart::{Course, Timeline};
use crate::web::{Frame, Htmx, May, Problem, page, search_in_turn};

/// Rows of a page.
const ROWS: usize = 50;
/// Lines of history in an open row.
const HISTORY: i64 = 20;

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(index).service(how_all_settles).service(row).service(head).service(show_schedule).service(picture);
}

/// What a list can be asked for. Unknown words mean what no word does.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    after: String,
    pub open: Option<CampaignId>,
    /// Signature of what the asker shows already.
    was: Option<String>,
    /// What was just done to everything, to be told how it settles.
    settling: Option<String>,
    word: Option<String>,
    /// The campaign that is open has just been launched.
    launched: Option<String>,
}

impl Asked {
    pub fn place(&self) -> Place {
        let show =
            SHOWS.into_iter().find(|(_, word, _)| *word == self.show).map_or(ShowCampaigns::All, |(show, ..)| show);
        let (order, after) = (CampaignOrder::parse(&self.sort), CampaignPlace::parse(&self.after));
        Place { q: self.q.trim().to_owned(), show, order, after, open: self.open }
    }
}

#[get("/campaigns", wrap = "from_fn(search_in_turn)")]
async fn index(
    app: Data<App>,
    _may: May<View>,
    mut frame: Frame,
    htmx: Htmx,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let (now, place) = (app.clock.now(), asked.place());
    let wanted = place.clone();
    let (sheets, headings, next, opened, nothing_yet, pauses) = app
        .db
        .look(move |conn| {
            let Place { q, show, order, after, .. } = &wanted;
            let mut placed = list(conn, q, *show, *order, after.as_ref(), ROWS + 1, now)?;
            let next = placed.get(ROWS - 1).filter(|_| placed.len() > ROWS).map(|last| last.place.clone());
            placed.truncate(ROWS);
            let headings = headings(&placed);
            let mut found: Vec<Campaign> = placed.into_iter().map(|it| it.campaign).collect();
            // The row to open is shown even when it is on another page of the list.
            if let Some(open) = wanted.open
                && wanted.q.is_empty()
                && !found.iter().any(|campaign| campaign.id == open)
            {
                found.splice(0..0, crate::screen::store::some(conn, &[open])?);
            }
            let nothing_yet = found.is_empty() && !crate::screen::store::any(conn)?;
            let sheets = crate::screen::store::sheets(conn, found)?;
            let opened = match sheets.iter().find(|sheet| Some(sheet.campaign.id) == wanted.open) {
                Some(sheet) => Some(crate::screen::store::inside(conn, sheet, HISTORY, true)?),
                None => None,
            };
            let pauses = crate::screen::store::pauses_of_everything(conn)?;
            Ok::<_, Problem>((sheets, headings, next, opened, nothing_yet, pauses))
        })
        .await?;
    let next = next.map(|after| Place { after: Some(after), open: None, ..place.clone() }.url(None));
    let watched: Vec<String> =
        sheets.iter().map(|sheet| format!("{}:{}", sheet.campaign.id, sheet.signature())).collect();
    let watched = watched.join(",");

    let mut inside = opened;
    let mut rows = Vec::new();
    for sheet in &sheets {
        let is_open = Some(sheet.campaign.id) == place.open;
        let inside = if is_open { inside.take() } else { None };
        if is_open && asked.launched.is_some() {
            frame.said = sheet.launched(now).map(|words| (words, true));
        }
        let html = draw_row(&app, &frame.person, sheet, &place, inside, None, None, None, now).await?;
        rows.push(ListedRow { heading: headings.get(&sheet.campaign.id).copied(), html });
    }
    let (zone, operates) = (app.settings.time_zone, frame.may(&Role::Operator));
    let paused = draw(&PausedTogether { pauses, zone, now, operates })?;
    if htmx == Htmx(true) {
        return page(CampaignList { place: &place, paused, rows, watched, next, nothing_yet, frame });
    }
    let settling = match asked.settling.as_deref() {
        Some(word) => settle(&app, &frame.person, word, now).await?,
        None => None,
    };
    page(Index { frame, place: &place, paused, rows, watched, next, nothing_yet, settling })
}

/// The groups of a page, by the campaign that each begins with, and how many each has on all pages.
fn headings(placed: &[PlacedCampaign]) -> HashMap<CampaignId, (CampaignGroup, i64)> {
    let groups = placed.chunk_by(|one, other| one.place.group == other.place.group);
    groups.filter_map(|of| of.first()).map(|it| (it.campaign.id, (it.place.group, it.n_in_group))).collect()
}

/// What a pause or stop of everything has come to. Nothing, once something has been
/// resumed or launched since: the address may be an old one.
async fn settle(app: &App, person: &Person, word: &str, now: DateTime<Utc>) -> Result<Option<Settling>, Problem> {
    let word = if word == "Stopped" { "Stopped" } else { "Paused" };
    let wire = quiet::look(app, Scope::Everything).await?.seen_by(person);
    let still = app.db.run(crate::screen::store::stands_still).await?;
    Ok(still.then_some(Settling { word, wire, zone: app.settings.time_zone, now }))
}

/// How a pause or stop of everything settles.
#[get("/campaigns/settling")]
async fn how_all_settles(app: Data<App>, may: May<View>, asked: Query<Asked>) -> Result<HttpResponse, Problem> {
    match settle(&app, &may.person, asked.word.as_deref().unwrap_or_default(), app.clock.now()).await? {
        Some(settling) => page(settling),
        None => Ok(html(String::new())),
    }
}

#[get("/campaigns/{id}/row")]
async fn row(
    app: Data<App>,
    may: May<View>,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    answer_row(&app, &may.person, *id, asked.place(), None, None).await.map(html)
}

/// The head of a row; nothing when the asker shows it as it is.
#[get("/campaigns/{id}/head")]
async fn head(
    app: Data<App>,
    may: May<View>,
    id: Path<CampaignId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let id = *id;
    let sheet = app.db.look(move |conn| crate::screen::store::sheet(conn, id)).await?;
    if asked.was.as_deref() == Some(&sheet.signature()) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let place = asked.place();
    let open = place.open == Some(id);
    page(Head { sheet: &sheet, rights: Rights::of(&may.person), place: &place, open, now: app.clock.now() })
}

/// One schedule; nothing when the asker shows it as it is.
#[get("/schedules/{id}")]
async fn show_schedule(
    app: Data<App>,
    may: May<View>,
    htmx: Htmx,
    id: Path<ScheduleId>,
    asked: Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let shown = ShownSchedule::find(&app, *id).await?;
    if htmx == Htmx(false) {
        return Ok(crate::web::see_other(shown.address()));
    }
    if asked.was.as_deref() == Some(&shown.line().signature(&shown.sheet.campaign)) {
        return Ok(HttpResponse::NoContent().finish());
    }
    shown.draw(&app, &may.person, None, None, None).await.map(html)
}

/// How the run of a schedule has gone and will go, for a page that shows it.
#[get("/schedules/{id}/picture")]
async fn picture(app: Data<App>, may: May<View>, htmx: Htmx, id: Path<ScheduleId>) -> Result<HttpResponse, Problem> {
    let id = *id;
    let (shown, past) = app
        .db
        .look(move |conn| {
            let shown = ShownSchedule::on(id, crate::screen::store::sheet_of_schedule(conn, id)?)?;
            let past = shown.line().run.as_ref().map(|run| crate::screen::store::past(conn, run)).transpose()?;
            Ok::<_, Problem>((shown, past))
        })
        .await?;
    if htmx == Htmx(false) {
        return Ok(crate::web::see_other(shown.address()));
    }
    let drawn = match &past {
        Some(past) => draw_picture(&shown.sheet.campaign, shown.line(), past, &may.person, app.clock.now())?,
        None => None,
    };
    Ok(html(drawn.unwrap_or_default()))
}

/// A schedule as it is now, on its sheet.
pub struct ShownSchedule {
    pub sheet: Sheet,
    /// Which of the sheet's lines it is.
    n: usize,
}

impl ShownSchedule {
    /// Read for somebody who looks at it.
    pub async fn find(app: &App, id: ScheduleId) -> Result<Self, Problem> {
        let read = move |conn: &mut PgConnection| {
            let sheet = crate::screen::store::sheet_of_schedule(conn, id)?;
            Self::on(id, sheet)
        };
        Ok(app.db.look(read).await?)
    }

    /// From what whoever changed it holds.
    pub async fn of(app: &App, id: ScheduleId, locked: Locked) -> Result<Self, Problem> {
        let read = move |conn: &mut PgConnection| {
            let sheet = crate::screen::store::sheet_of_locked(conn, locked)?;
            Self::on(id, sheet)
        };
        Ok(app.db.look(read).await?)
    }

    fn on(id: ScheduleId, sheet: Sheet) -> QueryResult<Self> {
        let n = sheet.lines.iter().position(|line| line.schedule.id == id).ok_or(diesel::result::Error::NotFound)?;
        Ok(ShownSchedule { sheet, n })
    }

    pub fn line(&self) -> &ScheduleLine {
        &self.sheet.lines[self.n]
    }

    /// Where it stands on the screen.
    pub fn address(&self) -> String {
        self.address_in(Place::default())
    }

    /// The same, in the list as somebody had it.
    pub fn address_in(&self, place: Place) -> String {
        format!("{}#schedule-{}", place.url(Some(self.sheet.campaign.id)), self.line().schedule.id)
    }

    /// As an answer, whose picture fetches itself. `wire`: what is on the wire of it, if somebody has just looked.
    pub async fn draw(
        &self,
        app: &App,
        person: &Person,
        note: Option<Note>,
        plan: Option<Plan>,
        wire: Option<OnTheWire>,
    ) -> Result<String, Problem> {
        draw_line(app, person, &self.sheet.campaign, self.line(), note, plan, None, wire).await
    }
}

pub fn html(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body)
}

#[allow(clippy::too_many_arguments, reason = "a line is made of so many things")]
async fn draw_line(
    app: &App,
    person: &Person,
    campaign: &Campaign,
    line: &ScheduleLine,
    note: Option<Note>,
    plan: Option<Plan>,
    past: Option<&Past>,
    wire: Option<OnTheWire>,
) -> Result<String, Problem> {
    let now = app.clock.now();
    let wire = match (line.stillness(), wire) {
        (Some(_), None) => Some(quiet::look(app, Scope::Schedule(line.schedule.id)).await?),
        (Some(_), wire) => wire,
        (None, _) => None,
    };
    let wire = wire.map(|wire| wire.seen_by(person));
    let drawn = match past {
        Some(past) => draw_picture(campaign, line, past, person, now)?,
        None => None,
    };
    draw(&SchedulePanel { campaign, line, rights: Rights::of(person), note, plan, wire, picture: drawn, now })
}

/// The picture of a run and the way to its ledger, as HTML.
fn draw_picture(
    campaign: &Campaign,
    line: &ScheduleLine,
    past: &Past,
    person: &Person,
    now: DateTime<Utc>,
) -> Result<Option<String>, Problem> {
    let Some(run) = line.run.as_ref().filter(|run| run.prepared) else { return Ok(None) };
    let nothing = || Forecast { minutes: Vec::new(), bucket_minutes: 1, finishes: None, unsent: 0, planned: 0 };
    let forecast = crate::screen::domain::forecast(run, &line.holds, now).unwrap_or_else(nothing);
    let paused = matches!(run.state, RunState::Paused { .. });
    let (so_far, pauses) = (turns_of(&line.counts), past.pauses_until(now));
    let course = Course { so_far, turns: &past.turns, in_one: past.in_one, pauses: &pauses, paused };
    let timeline = draw(&Timeline::of(&forecast, &run.window, campaign.zone, course))?;
    draw(&Picture { campaign, line, run, timeline: &timeline, paused, manages: person.has::<Manage>() }).map(Some)
}

pub fn draw(template: &impl Template) -> Result<String, Problem> {
    template.render().map_err(|error| Problem::Unexpected(error.into()))
}

/// A row as it is now, as an answer.
pub async fn answer_row(
    app: &App,
    person: &Person,
    id: CampaignId,
    place: Place,
    note: Option<Note>,
    plan: Option<Plan>,
) -> Result<String, Problem> {
    let sheet = move |conn: &mut PgConnection| crate::screen::store::sheet(conn, id);
    row_of(app, person, sheet, id, place, note, plan, None).await
}

/// The same, of what whoever changed it holds, and of what is on the wire of it.
pub async fn row_of_locked(
    app: &App,
    person: &Person,
    locked: Locked,
    place: Place,
    wire: Option<OnTheWire>,
) -> Result<String, Problem> {
    let id = locked.campaign.id;
    let sheet = move |conn: &mut PgConnection| crate::screen::store::sheet_of_locked(conn, locked);
    row_of(app, person, sheet, id, place, None, None, wire).await
}

#[allow(clippy::too_many_arguments, reason = "a row is made of so many things")]
async fn row_of(
    app: &App,
    person: &Person,
    sheet: impl FnOnce(&mut PgConnection) -> QueryResult<Sheet> + Send + 'static,
    id: CampaignId,
    place: Place,
    note: Option<Note>,
    plan: Option<Plan>,
    wire: Option<OnTheWire>,
) -> Result<String, Problem> {
    let open = place.open == Some(id);
    let (sheet, inside) = app
        .db
        .look(move |conn| {
            let sheet = sheet(conn)?;
            let inside = if open { Some(crate::screen::store::inside(conn, &sheet, HISTORY, false)?) } else { None };
            Ok::<_, Problem>((sheet, inside))
        })
        .await?;
    let note = note.or_else(|| stillness(&sheet));
    draw_row(app, person, &sheet, &place, inside, note, plan, wire, app.clock.now()).await
}

/// What somebody who paused or stopped a whole campaign wants to read.
fn stillness(sheet: &Sheet) -> Option<Note> {
    let text = match sheet.campaign.state {
        CampaignState::Paused if sheet.is_inbound() => crate::screen::domain::MEETS_NOBODY,
        CampaignState::Paused if sheet.has_bot() => crate::screen::domain::BEGINS_NOTHING,
        CampaignState::Paused => "Paused. Nothing more will leave.",
        CampaignState::Stopped => "Stopped. Nothing more will leave.",
        CampaignState::Draft => "It is a draft. Nothing leaves until somebody launches it.",
        _ => return None,
    };
    Some(Note { tone: "good", text: text.to_owned() })
}

#[allow(clippy::too_many_arguments, reason = "a row is made of so many things")]
async fn draw_row(
    app: &App,
    person: &Person,
    sheet: &Sheet,
    place: &Place,
    inside: Option<crate::screen::store::Inside>,
    note: Option<Note>,
    plan: Option<Plan>,
    wire: Option<OnTheWire>,
    now: DateTime<Utc>,
) -> Result<String, Problem> {
    // Only an answer to somebody who pressed something looks at the wire.
    let wire = match &note {
        Some(_) if wire.is_some() => wire,
        Some(_) if stillness(sheet).is_some() => Some(quiet::look(app, Scope::Campaign(sheet.campaign.id)).await?),
        _ => None,
    };
    let settling = wire.as_ref().is_some_and(|wire| !wire.is_quiet());
    let note = note.filter(|note| !settling || note.tone != "good");
    let body = match inside {
        None => None,
        Some(inside) => {
            let mut schedules = Vec::new();
            for (line, past) in sheet.lines.iter().zip(inside.pasts) {
                schedules.push(draw_line(app, person, &sheet.campaign, line, None, None, past.as_ref(), None).await?);
            }
            let (id, role) = (sheet.campaign.id, person.role);
            let drops = match sheet.campaign.kind {
                CampaignKind::Daily => {
                    Some(draw(&app.db.run(move |conn| daily::web::DropPanel::load(conn, id, role, now)).await?)?)
                }
                CampaignKind::OnceOff | CampaignKind::Recurring | CampaignKind::Quick | CampaignKind::Inbound => None,
            };
            let validity = sheet.has_bot().then(|| ValidityForm::of(sheet.campaign.validity));
            Some(Body { validity, file: inside.file, lists: inside.lists, drops, schedules, history: inside.history })
        }
    };
    draw(&CampaignRow { sheet, rights: Rights::of(person), place, note, plan, wire, body, now })
}
