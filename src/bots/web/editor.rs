//! The editor: steps as cards, checks and the drawn flow beside them.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::step_form::{StepForm, choices_as_text};
use super::when;
use crate::access::{Manage, Role, View};
use crate::app::App;
use crate::bots::actions;
use crate::bots::checks::{Finding, MOST_ROUTES, Severity, check, errors};
use crate::bots::conditions::{Op, Route};
use crate::bots::domain::{Bot, BotDraft, Refused, StepEdit};
use crate::bots::drawing::{Drawing, draw};
use crate::bots::entities::Entity;
use crate::bots::steps::{Accept, Act, Ask, Step, StepId, Steps, To, Unit};
use crate::bots::store::{self, UsedBy};
use crate::contacts::store::usual_fields;
use crate::db::{DbError, Error};
use crate::ids::BotId;
use crate::web::{FieldErrors, Frame, Htmx, May, Problem, Say, page, page_with, reckon, see_other};

/// One step of the draft.
#[derive(Template)]
#[template(path = "bots/_step.html")]
struct Card<'a> {
    bot: BotId,
    revision: i32,
    n: usize,
    last: bool,
    step: &'a Step,
    steps: &'a Steps,
    findings: Vec<&'a Finding>,
    errors: &'a FieldErrors,
    open: bool,
    may: bool,
    /// Said beside the buttons.
    saved: Option<String>,
    conflict: Option<String>,
}

impl Card<'_> {
    fn id(&self) -> &StepId {
        &self.step.id
    }

    /// Places to go on to, with what people call them.
    fn targets(&self, chosen: &To) -> Vec<(String, String)> {
        let below = self
            .steps
            .0
            .get(self.n)
            .map_or("The step below (there is none)".to_owned(), |step| format!("The step below: {}", step.name));
        let mut targets = vec![(String::new(), below)];
        targets.extend(
            self.steps.0.iter().enumerate().map(|(n, step)| (step.id.0.clone(), format!("{}. {}", n + 1, step.name))),
        );
        if let Some(id) = chosen.as_ref().filter(|id| self.steps.place(id).is_none()) {
            targets.push((id.0.clone(), format!("A missing step ({id})")));
        }
        targets
    }

    fn chosen<'b>(&self, to: &'b To) -> &'b str {
        to.as_ref().map_or("", |id| id.0.as_str())
    }

    fn is(&self, to: &To, id: &str) -> bool {
        self.chosen(to) == id
    }

    fn unit(&self, ask: &Ask) -> &'static str {
        ask.no_reply.as_ref().map_or(Unit::Hours, |no_reply| no_reply.unit).word()
    }

    fn no_reply_to<'b>(&self, ask: &'b Ask) -> &'b To {
        ask.no_reply.as_ref().map_or(&None, |no_reply| &no_reply.to)
    }

    fn accepts(&self, ask: &Ask) -> &'static str {
        match &ask.accept {
            Accept::Text => "",
            Accept::Choices { .. } => "choices",
            Accept::Entity { entity } => entity.word(),
        }
    }

    fn choices(&self, ask: &Ask) -> String {
        match &ask.accept {
            Accept::Choices { choices } => choices_as_text(choices),
            Accept::Text | Accept::Entity { .. } => String::new(),
        }
    }

    fn field<'b>(&self, route: &'b Route) -> &'b str {
        route.field.as_deref().unwrap_or_default()
    }

    fn worst(&self) -> Option<&'static str> {
        worst(&self.findings)
    }

    /// What the step comes to, for a folded card.
    fn summary(&self) -> String {
        summary(self.step)
    }
}

fn worst(findings: &[&Finding]) -> Option<&'static str> {
    match findings.iter().any(|finding| finding.severity == Severity::Error) {
        true => Some("error"),
        false if findings.is_empty() => None,
        false => Some("warning"),
    }
}

fn summary(step: &Step) -> String {
    match &step.act {
        Act::Entity { entity, store, .. } => format!("{} → {store}", entity.label()),
        Act::Branch { routes, .. } => routes.iter().map(Route::words).collect::<Vec<_>>().join(" / "),
        Act::SetField { field, value, .. } => format!("{field} = {value}"),
        Act::Label { label, .. } => label.clone(),
        Act::Message { .. } | Act::Ask(_) | Act::HandOver { .. } | Act::Block { .. } | Act::Close { .. } => {
            step.act.text().unwrap_or_default().to_owned()
        }
    }
}

/// What is found and the flow, which change with every step that is saved.
#[derive(Template)]
#[template(path = "bots/_side.html")]
struct Side<'a> {
    steps: &'a Steps,
    findings: &'a [Finding],
    drawing: &'a Drawing,
    n_errors: usize,
    part: &'a str,
}

impl Side<'_> {
    fn name(&self, id: &StepId) -> String {
        self.steps.get(id).map_or_else(|| id.to_string(), |step| step.name.clone())
    }

    fn mark(&self, id: &StepId) -> &'static str {
        let here: Vec<&Finding> = self.findings.iter().filter(|finding| finding.step.as_ref() == Some(id)).collect();
        worst(&here).unwrap_or_default()
    }

    fn n_warnings(&self) -> usize {
        self.findings.len() - self.n_errors
    }
}

/// What an autosave answers: a word beside the buttons, and the parts that follow it.
#[derive(Template)]
#[template(path = "bots/_saved.html")]
struct Saved<'a> {
    draft: &'a BotDraft,
    said: String,
    findings: &'a [Finding],
    checks: String,
    flow: String,
}

impl Saved<'_> {
    fn of(&self, step: &Step) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.step.as_ref() == Some(&step.id)).collect()
    }

    fn summary(&self, step: &Step) -> String {
        summary(step)
    }
}

#[derive(Template)]
#[template(path = "bots/_findings.html")]
struct Found<'a> {
    findings: &'a [&'a Finding],
}

fn found(findings: &[&Finding]) -> askama::Result<String> {
    Found { findings }.render()
}

#[derive(Template)]
#[template(path = "bots/editor.html")]
struct Editor {
    frame: Frame,
    bot: Bot,
    newest: Option<i32>,
    differs: bool,
    draft: BotDraft,
    cards: Vec<String>,
    checks: String,
    flow: String,
    fields: Vec<String>,
    /// Campaigns that send it or meet people with it.
    used_by: Vec<UsedBy>,
    conflict: Option<String>,
    note: String,
    zone: Tz,
}

impl Editor {
    fn when(&self, at: &DateTime<Utc>) -> String {
        when(at, &self.zone)
    }

    fn may_edit(&self) -> bool {
        self.frame.may(&Role::Manager) && self.bot.archived_at.is_none()
    }
}

/// Everything that the editor shows of a bot.
struct Seen {
    bot: Bot,
    draft: BotDraft,
    newest: Option<crate::bots::domain::Version>,
    fields: Vec<String>,
    used_by: Vec<UsedBy>,
    findings: Vec<Finding>,
    drawing: Drawing,
}

async fn look(app: &App, id: BotId) -> Result<Seen, Problem> {
    let (bot, draft, newest, fields, used_by) = app
        .db
        .run(move |conn| {
            let (bot, draft) = (store::find(conn, id)?, store::draft(conn, id)?);
            let used_by = store::used_by(conn, &[id], super::USERS)?;
            Ok::<_, diesel::result::Error>((bot, draft, store::newest_version(conn, id)?, usual_fields(conn)?, used_by))
        })
        .await?;
    let looked = move || {
        let (findings, drawing) = (check(&draft.steps, &fields), draw(&draft.steps));
        Seen { bot, draft, newest, fields, used_by, findings, drawing }
    };
    reckon(app, looked).await
}

/// What somebody typed into a card that could not be saved.
struct Typed {
    step: Step,
    errors: FieldErrors,
    conflict: Option<String>,
}

impl Seen {
    /// The same bot with another draft.
    fn with(self, draft: BotDraft) -> Seen {
        let (findings, drawing) = (check(&draft.steps, &self.fields), draw(&draft.steps));
        Seen { findings, drawing, draft, ..self }
    }

    fn card(
        &self,
        at: usize,
        typed: Option<&Typed>,
        open: bool,
        may: bool,
        saved: Option<String>,
    ) -> Result<String, Problem> {
        let step = &self.draft.steps.0[at];
        let typed = typed.filter(|typed| typed.step.id == step.id);
        let none = FieldErrors::default();
        Card {
            bot: self.bot.id,
            revision: self.draft.revision,
            n: at + 1,
            last: at + 1 == self.draft.steps.0.len(),
            step: typed.map_or(step, |typed| &typed.step),
            steps: &self.draft.steps,
            findings: self.findings.iter().filter(|finding| finding.step.as_ref() == Some(&step.id)).collect(),
            errors: typed.map_or(&none, |typed| &typed.errors),
            open: open || typed.is_some(),
            may,
            saved,
            conflict: typed.and_then(|typed| typed.conflict.clone()),
        }
        .render()
        .map_err(|error| Problem::Unexpected(error.into()))
    }

    fn part(&self, part: &str) -> Result<String, Problem> {
        let (n_errors, drawing) = (errors(&self.findings), &self.drawing);
        Side { steps: &self.draft.steps, findings: &self.findings, drawing, n_errors, part }
            .render()
            .map_err(|error| Problem::Unexpected(error.into()))
    }

    fn editor(
        self,
        app: &App,
        frame: Frame,
        open: Option<&str>,
        typed: Option<&Typed>,
        conflict: Option<String>,
        note: String,
    ) -> Result<Editor, Problem> {
        let may = frame.may(&Role::Manager) && self.bot.archived_at.is_none();
        let steps = &self.draft.steps.0;
        let open = open.or_else(|| steps.first().map(|step| step.id.0.as_str())).map(str::to_owned);
        let cards = (0..steps.len())
            .map(|at| self.card(at, typed, open.as_deref() == Some(steps[at].id.0.as_str()), may, None))
            .collect::<Result<_, _>>()?;
        let mut fields = self.draft.steps.sets();
        fields.extend(self.fields.iter().cloned());
        fields.sort();
        fields.dedup();
        Ok(Editor {
            frame,
            cards,
            checks: self.part("checks")?,
            flow: self.part("flow")?,
            differs: self.newest.as_ref().is_none_or(|newest| newest.steps != self.draft.steps),
            newest: self.newest.as_ref().map(|newest| newest.n),
            used_by: self.used_by,
            bot: self.bot,
            draft: self.draft,
            fields,
            conflict,
            note,
            zone: app.settings.time_zone,
        })
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Open {
    /// The step whose card is unfolded.
    open: Option<String>,
}

#[get("/bots/{id}")]
pub(super) async fn show(
    _may: May<View>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    open: Query<Open>,
) -> Result<HttpResponse, Problem> {
    let seen = look(&app, id.into_inner()).await?;
    page(seen.editor(&app, frame, open.open.as_deref(), None, None, String::new())?)
}

fn refused(error: DbError<Error<Refused>>) -> Result<String, Problem> {
    match error {
        DbError::Work(Error::Refused(refused)) => Ok(refused.to_string()),
        error => Err(error.into()),
    }
}

/// Where the editor shows a step after a change.
fn shown(id: BotId, step: Option<&StepId>) -> String {
    match step {
        Some(step) => format!("/bots/{id}?open={step}#{step}-name"),
        None => format!("/bots/{id}"),
    }
}

/// Puts a fragment somewhere else than the form asked for.
fn instead(html: String, target: &str, status: StatusCode) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("HX-Retarget", target.to_owned()))
        .insert_header(("HX-Reswap", "outerHTML"))
        .body(html)
}

/// Saves a step; with a button also moves, copies or removes it, or changes its conditions.
#[post("/bots/{id}/steps/{step}")]
pub(super) async fn save(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    path: Path<(BotId, StepId)>,
    form: Form<Vec<(String, String)>>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let ((id, step), by, now) = (path.into_inner(), may.person.id, app.clock.now());
    let form = StepForm::read(form.into_inner());
    let seen = look(&app, id).await?;
    let Some(was) = seen.draft.steps.get(&step) else {
        let gone = crate::bots::domain::Refused::StepGone.to_string();
        return match htmx {
            Htmx(true) => Ok(conflicted(&gone)),
            Htmx(false) => {
                page_with(StatusCode::CONFLICT, seen.editor(&app, frame, None, None, Some(gone), String::new())?)
            }
        };
    };
    let (typed, errors) = form.step(was);
    if !errors.is_empty() {
        let at = seen.draft.steps.place(&step).unwrap_or_default();
        let typed = Typed { step: typed, errors, conflict: None };
        return match htmx {
            Htmx(true) => {
                let card = seen.card(at, Some(&typed), true, true, None)?;
                Ok(instead(card, &format!("#card-{step}"), StatusCode::UNPROCESSABLE_ENTITY))
            }
            Htmx(false) => page_with(
                StatusCode::UNPROCESSABLE_ENTITY,
                seen.editor(&app, frame, Some(&step.0), Some(&typed), None, String::new())?,
            ),
        };
    }
    let pressed = form.pressed();
    let more = match pressed.as_str() {
        "up" => Some(StepEdit::Up(step.clone())),
        "down" => Some(StepEdit::Down(step.clone())),
        "duplicate" => Some(StepEdit::Duplicate(step.clone())),
        "remove" => Some(StepEdit::Remove(step.clone())),
        _ => None,
    };
    let whole = more.is_some();
    let edits: Vec<StepEdit> = [StepEdit::Save(typed.clone())].into_iter().chain(more).collect();
    let revision = form.revision();
    let (draft, looks_at) = match app.db.run(move |conn| actions::edit(conn, id, revision, edits, by, now)).await {
        Ok(done) => done,
        Err(error) => {
            let says = refused(error)?;
            return match htmx {
                Htmx(true) => Ok(conflicted(&says)),
                Htmx(false) => {
                    let typed = Typed { step: typed, errors: FieldErrors::default(), conflict: Some(says) };
                    page_with(
                        StatusCode::CONFLICT,
                        seen.editor(&app, frame, Some(&step.0), Some(&typed), None, String::new())?,
                    )
                }
            };
        }
    };
    if !htmx.0 {
        return Ok(see_other(shown(id, looks_at.as_ref())));
    }
    let seen = reckon(&app, move || seen.with(draft)).await?;
    if whole {
        return redraw(seen, &app, frame, looks_at.as_ref());
    }
    let said = format!("Saved {}", now.with_timezone(&app.settings.time_zone).format("%H:%M:%S"));
    if pressed.contains("route") {
        let at = seen.draft.steps.place(&step).unwrap_or_default();
        let card = seen.card(at, None, true, true, Some(said.clone()))?;
        let rest = saved(&seen, String::new())?;
        return Ok(instead(card + &rest, &format!("#card-{step}"), StatusCode::OK));
    }
    let html = saved(&seen, said)?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html))
}

/// A refusal for the place beside the buttons of a card.
#[derive(Template)]
#[template(source = "<span class=\"note bad\" role=\"alert\">{{ says }} <a href=\"\">Reload</a></span>", ext = "html")]
struct Conflicted<'a> {
    says: &'a str,
}

fn conflicted(says: &str) -> HttpResponse {
    let html = Conflicted { says }.render().unwrap_or_else(|_| says.to_owned());
    HttpResponse::Conflict().content_type("text/html; charset=utf-8").body(html)
}

fn saved(seen: &Seen, said: String) -> Result<String, Problem> {
    let (checks, flow) = (seen.part("checks")?, seen.part("flow")?);
    Saved { draft: &seen.draft, said, findings: &seen.findings, checks, flow }
        .render()
        .map_err(|error| Problem::Unexpected(error.into()))
}

/// The part of the editor that holds the cards and what is beside them.
#[derive(Template)]
#[template(path = "bots/editor.html", block = "editor")]
struct Whole<'a> {
    bot: &'a Bot,
    draft: &'a BotDraft,
    cards: &'a [String],
    checks: &'a str,
    flow: &'a str,
    fields: &'a [String],
    conflict: &'a Option<String>,
    note: &'a str,
    newest: Option<i32>,
    may: bool,
}

impl Whole<'_> {
    fn may_edit(&self) -> bool {
        self.may
    }
}

fn redraw(seen: Seen, app: &App, frame: Frame, open: Option<&StepId>) -> Result<HttpResponse, Problem> {
    let editor = seen.editor(app, frame, open.map(|id| id.0.as_str()), None, None, String::new())?;
    let whole = Whole {
        bot: &editor.bot,
        draft: &editor.draft,
        cards: &editor.cards,
        checks: &editor.checks,
        flow: &editor.flow,
        fields: &editor.fields,
        conflict: &None,
        note: &editor.note,
        newest: editor.newest,
        may: editor.may_edit(),
    };
    let html = whole.render().map_err(|error| Problem::Unexpected(error.into()))?;
    Ok(instead(html, "#editor", StatusCode::OK))
}

/// Does one change that is not about the fields of a step.
async fn change(
    app: &App,
    frame: Frame,
    (id, revision, edit): (BotId, i32, StepEdit),
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let (by, now) = (frame.person.id, app.clock.now());
    let done = app.db.run(move |conn| actions::edit(conn, id, revision, vec![edit], by, now)).await;
    match (done, htmx) {
        (Ok((_, step)), Htmx(false)) => Ok(see_other(shown(id, step.as_ref()))),
        (Ok((_, step)), Htmx(true)) => redraw(look(app, id).await?, app, frame, step.as_ref()),
        (Err(error), Htmx(true)) => Ok(conflicted(&refused(error)?)),
        (Err(error), Htmx(false)) => {
            let says = refused(error)?;
            let seen = look(app, id).await?;
            page_with(StatusCode::CONFLICT, seen.editor(app, frame, None, None, Some(says), String::new())?)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AddForm {
    revision: i32,
    act: String,
    #[serde(default)]
    below: String,
}

#[post("/bots/{id}/steps")]
pub(super) async fn add(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    form: Form<AddForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let act = Act::of_word(&form.act).ok_or_else(|| Problem::Invalid("Choose what the step does".to_owned()))?;
    let below = Some(form.below.clone()).filter(|id| !id.is_empty()).map(StepId);
    change(&app, frame, (id.into_inner(), form.revision, StepEdit::Add { act, below }), htmx).await
}

#[derive(Deserialize)]
pub(super) struct MoveForm {
    revision: i32,
    step: StepId,
    /// So many steps stand before it afterwards.
    to: usize,
}

/// Moves a step to where it was dropped.
#[post("/bots/{id}/move")]
pub(super) async fn shift(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<BotId>,
    form: Form<MoveForm>,
    htmx: Htmx,
) -> Result<HttpResponse, Problem> {
    let edit = StepEdit::Move { step: form.step.clone(), to: form.to };
    change(&app, frame, (id.into_inner(), form.revision, edit), htmx).await
}

#[derive(Deserialize)]
pub(super) struct PublishForm {
    revision: i32,
    #[serde(default)]
    note: String,
}

#[post("/bots/{id}/publish")]
pub(super) async fn publish(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    say: Say,
    id: Path<BotId>,
    form: Form<PublishForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let PublishForm { revision, note } = form.into_inner();
    let kept = note.replace('\0', "");
    match app.db.run(move |conn| actions::publish(conn, id, revision, &kept, by, now)).await {
        Ok(version) => {
            say.that(format!("Version {version} is published."));
            Ok(see_other(format!("/bots/{id}/versions")))
        }
        Err(error) => {
            let says = refused(error)?;
            let seen = look(&app, id).await?;
            page_with(StatusCode::CONFLICT, seen.editor(&app, frame, None, None, Some(says), note)?)
        }
    }
}
