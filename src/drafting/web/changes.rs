//! web: What the forms of a draft do.

use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use serde::Deserialize;

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::{self, Campaign, CampaignKind, CampaignState, Freeze, store};
use crate::contacts::addresses::normalise;
use crate::db::{DbError, Error};
use crate::drafting::Refused;
use crate::drafting::actions::launch_agreed;
use crate::drafting::approvals;
use crate::drafting::own_yes::Matter;
use crate::drafting::review::{self, Facts};
use crate::drafting::test_send::{self};
use crate::drafting::web::basics::{BasicsForm, KINDS, zones};
use crate::drafting::web::contacts::ListsForm;
use crate::drafting::web::page::{Edit, Typed, again, facts, one_error};
use crate::drafting::web::review::{NUMBER_IN_SESSION, Test, last_number};
use crate::drafting::web::schedules::ScheduleForm;
use crate::drafting::{self};
use crate::files::upload;
use crate::ids::{CampaignId, ScheduleId, UserId};
use crate::providers::Kind;
use crate::settings::QuietForm;
use crate::web::{FieldErrors, Frame, Htmx, Incoming, May, Problem, page, page_with, see_other};

#[derive(Template)]
#[template(path = "campaigns/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a BasicsForm,
    errors: &'a FieldErrors,
}

#[get("/campaigns/new")]
pub async fn new_page(_may: May<Manage>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let form = BasicsForm {
        name: String::new(),
        kind: CampaignKind::OnceOff.word().to_owned(),
        time_zone: app.settings.time_zone.name().to_owned(),
    };
    page(New { frame, form: &form, errors: &FieldErrors::default() })
}

#[post("/campaigns")]
pub async fn create(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    form: Form<BasicsForm>,
) -> Result<HttpResponse, Problem> {
    let again =
        |errors: FieldErrors| page_with(StatusCode::UNPROCESSABLE_ENTITY, New { frame, form: &form, errors: &errors });
    let (name, kind, zone) = match form.parse(CampaignKind::OnceOff) {
        Ok(parsed) => parsed,
        Err(errors) => return again(errors),
    };
    let (by, now) = (may.person.id, app.clock.now());
    match app.db.run(move |conn| drafting::actions::create(conn, &name, kind, zone, by, now)).await {
        Ok(id) => Ok(see_other(format!("/campaigns/{id}/edit"))),
        Err(DbError::Work(Error::Refused(refused @ Refused::Campaign(campaigns::Refused::NameTaken(_))))) => {
            again(one_error("name", refused.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// All that can be edited after the launch: the name. Times and rates are edited on
/// the schedules themselves.
#[derive(Template)]
#[template(path = "campaigns/rename.html")]
pub struct Rename<'a> {
    pub frame: Frame,
    pub campaign: &'a Campaign,
    pub form: &'a BasicsForm,
    pub errors: &'a FieldErrors,
}

#[post("/campaigns/{id}/edit")]
pub async fn edit(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<BasicsForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let campaign = app.db.run(move |conn| store::find(conn, id)).await?;
    let is_draft = campaign.state == CampaignState::Draft;
    let mut form = form.into_inner();
    if !is_draft {
        // Its times are meant in its zone, so the zone stays.
        form.time_zone = campaign.zone.name().to_owned();
        form.kind = campaign.kind.word().to_owned();
    }
    let errors = match form.parse(campaign.kind) {
        Ok((name, kind, zone)) => {
            match app
                .db
                .run(move |conn| {
                    drafting::actions::edit(conn, id, &drafting::actions::Basics { name, kind, zone }, by, now)
                })
                .await
            {
                Ok(()) if is_draft => {
                    return Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#contacts")));
                }
                Ok(()) => return Ok(see_other(format!("/campaigns?open={id}"))),
                Err(DbError::Work(Error::Refused(refused @ Refused::Campaign(campaigns::Refused::NameTaken(_))))) => {
                    one_error("name", refused.to_string())
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(errors) => errors,
    };
    if is_draft {
        let typed = |facts: &Facts| Typed { basics: form, basics_errors: errors, ..Typed::nothing(facts) };
        return again(&app, frame, id, typed).await;
    }
    let rename = Rename { frame, campaign: &campaign, form: &form, errors: &errors };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, rename)
}

/// Takes in the file. A form with `kind` in it says what the addresses are.
#[post("/campaigns/{id}/file")]
pub async fn upload_file(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Incoming,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    // Asked before the upload, so that nothing is stored for a campaign that cannot have it.
    if app.db.run(move |conn| store::find(conn, id)).await?.state != CampaignState::Draft {
        return Err(Problem::Conflict(campaigns::Refused::AlreadyLaunched.to_string()));
    }
    let received = match upload::Form::read(form, &["kind"]).await {
        Ok(form) => {
            let kind = Kind::of_word(&form.texts.text("kind")).unwrap_or(Kind::Sms);
            form.keep(&app, kind, by, now).await
        }
        Err(failed) => Err(failed),
    };
    match received {
        Ok(file) => {
            app.db.run(move |conn| drafting::actions::set_file(conn, id, Some(file), by, now)).await?;
            Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#contacts")))
        }
        Err(upload::Failed::Refused(refusal)) => {
            let why = refusal.to_string();
            again(&app, frame, id, |facts| Typed { file_error: Some(why), ..Typed::nothing(facts) }).await
        }
        Err(failed) => Err(failed.into()),
    }
}

#[post("/campaigns/{id}/file/remove")]
pub async fn leave_file(
    may: May<Manage>,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| drafting::actions::set_file(conn, id, None, by, now)).await?;
    Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#contacts")))
}

#[post("/campaigns/{id}/lists")]
pub async fn set_lists(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let (id, form) = (id.into_inner(), ListsForm::read(form.into_inner()));
    let choice = crate::drafting::web::page::facts(&app, id, frame.person.id).await?.lists;
    let freeze = Freeze::of_word(&form.freeze).unwrap_or_default();
    if let Some(wrong) = form.wrong(&choice) {
        let typed = |facts: &review::Facts| Typed { lists: form, lists_error: Some(wrong), ..Typed::nothing(facts) };
        return again(&app, frame, id, typed).await;
    }
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| drafting::actions::set_lists(conn, id, &form.chosen, freeze, by, now)).await?;
    Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#contacts")))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct GroupForm {
    group_by: String,
}

#[post("/campaigns/{id}/group")]
pub async fn set_group(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<GroupForm>,
) -> Result<HttpResponse, Problem> {
    let (id, typed) = (id.into_inner(), form.into_inner().group_by);
    let (field, by, now) = (Some(typed.clone()).filter(|field| !field.is_empty()), may.person.id, app.clock.now());
    let set = app.db.run(move |conn| drafting::actions::set_group_by(conn, id, field.as_deref(), by, now)).await;
    match set {
        Ok(()) => Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#groups"))),
        Err(DbError::Work(Error::Refused(
            refused @ (Refused::ImportFirst | Refused::NotAColumn | Refused::TooManyGroups),
        ))) => {
            let wrong = |facts: &Facts| Typed {
                group_by: typed,
                group_error: Some(refused.to_string()),
                ..Typed::nothing(facts)
            };
            again(&app, frame, id, wrong).await
        }
        Err(error) => Err(error.into()),
    }
}

#[post("/campaigns/{id}/quiet")]
pub async fn set_quiet(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<QuietForm>,
) -> Result<HttpResponse, Problem> {
    let (id, form) = (id.into_inner(), form.into_inner());
    let mut errors = FieldErrors::default();
    match form.parse(&mut errors) {
        Some(own) => {
            let (by, now) = (may.person.id, app.clock.now());
            app.db.run(move |conn| drafting::actions::set_quiet(conn, id, &own, by, now)).await?;
            Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#quiet")))
        }
        None => {
            let typed = |facts: &Facts| Typed { quiet: form, quiet_errors: errors, ..Typed::nothing(facts) };
            again(&app, frame, id, typed).await
        }
    }
}

#[post("/campaigns/{id}/schedules")]
pub async fn add_schedule(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<ScheduleForm>,
) -> Result<HttpResponse, Problem> {
    save_schedule(&app, may.person.id, (frame, htmx), id.into_inner(), None, form.into_inner()).await
}

#[post("/campaigns/{id}/schedules/{schedule}")]
pub async fn change_schedule(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    path: Path<(CampaignId, ScheduleId)>,
    form: Form<ScheduleForm>,
) -> Result<HttpResponse, Problem> {
    let (id, schedule) = path.into_inner();
    save_schedule(&app, may.person.id, (frame, htmx), id, Some(schedule), form.into_inner()).await
}

async fn save_schedule(
    app: &App,
    by: UserId,
    (frame, htmx): (Frame, Htmx),
    id: CampaignId,
    schedule: Option<ScheduleId>,
    form: ScheduleForm,
) -> Result<HttpResponse, Problem> {
    let now = app.clock.now();
    let facts = facts(app, id, frame.person.id).await?;
    if schedule.is_some_and(|wanted| !facts.schedules.iter().any(|it| it.id == wanted)) {
        return Err(Problem::NotFound);
    }
    let errors = match form.parse(&facts, now) {
        Err(errors) => errors,
        Ok(plan) => {
            let saved = app.db.run(move |conn| match schedule {
                Some(schedule) => drafting::actions::change_schedule(conn, schedule, &plan, by, now),
                None => drafting::actions::add_schedule(conn, id, &plan, by, now).map(drop),
            });
            match saved.await {
                Ok(()) => return Ok(without_its_form(htmx, id)),
                Err(DbError::Work(Error::Refused(refused @ Refused::ScheduleNameTaken))) => {
                    one_error("schedule_name", refused.to_string())
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let typed = Typed { schedule: Some((schedule, form)), schedule_errors: errors, ..Typed::nothing(&facts) };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Edit::new(frame, facts, typed, now))
}

/// The page of a draft without the form of a schedule, now that this is saved.
fn without_its_form(htmx: Htmx, id: CampaignId) -> HttpResponse {
    match htmx {
        Htmx(true) => {
            let there = serde_json::json!({
                "path": format!("/campaigns/{id}/edit"), "target": "#draft", "select": "#draft", "swap": "outerHTML",
            });
            HttpResponse::Ok().insert_header(("HX-Location", there.to_string())).finish()
        }
        Htmx(false) => see_other(format!("/campaigns/{id}/edit#schedules")),
    }
}

#[post("/campaigns/{id}/schedules/{schedule}/remove")]
pub async fn remove_schedule(
    may: May<Manage>,
    app: Data<App>,
    htmx: Htmx,
    path: Path<(CampaignId, ScheduleId)>,
) -> Result<HttpResponse, Problem> {
    let (id, schedule) = path.into_inner();
    let (by, now) = (may.person.id, app.clock.now());
    app.db.run(move |conn| drafting::actions::remove_schedule(conn, id, schedule, by, now)).await?;
    Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#schedules")))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct TestForm {
    number: String,
}

#[post("/campaigns/{id}/schedules/{schedule}/test")]
pub async fn send_test(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    session: Session,
    htmx: Htmx,
    path: Path<(CampaignId, ScheduleId)>,
    form: Form<TestForm>,
) -> Result<HttpResponse, Problem> {
    let ((id, schedule), number) = (path.into_inner(), form.into_inner().number);
    let (by, now) = (may.person.id, app.clock.now());
    let facts = facts(&app, id, may.person.id).await?;
    if !facts.schedules.iter().any(|it| it.id == schedule) {
        return Err(Problem::NotFound);
    }
    let Some(contacts) = &facts.contacts else { return Err(Problem::Conflict(Refused::NoContacts.to_string())) };
    let region = contacts.file().and_then(|file| file.region.clone()).unwrap_or_default();
    let kind = contacts.kind;
    let address = match normalise(kind, &number, &region) {
        Ok(address) => address,
        Err(wrong) => {
            let error = wrong.says(kind, &number, &region);
            if htmx.0 {
                let trial = facts.trials.get(&schedule).cloned();
                let test = Test::of((id, schedule), trial, Some(kind), &number, now);
                return page(Test { error: Some(error), ..test });
            }
            let typed = |facts: &Facts| Typed { trial: Some((schedule, error)), number, ..Typed::nothing(facts) };
            return again(&app, frame, id, typed).await;
        }
    };
    session.insert(NUMBER_IN_SESSION, &number).map_err(|error| Problem::Unexpected(error.into()))?;
    app.db.run(move |conn| test_send::send(conn, schedule, kind, &address, by, now)).await?;
    let trial = app.db.run(move |conn| test_send::last(conn, id)).await?.remove(&schedule);
    let test = Test::of((id, schedule), trial, Some(kind), &number, now);
    htmx.fragment_or_redirect(test, format!("/campaigns/{id}/edit#review-{schedule}"))
}

#[get("/campaigns/{id}/schedules/{schedule}/test")]
pub async fn test_again(
    _may: May<Manage>,
    app: Data<App>,
    session: Session,
    path: Path<(CampaignId, ScheduleId)>,
) -> Result<HttpResponse, Problem> {
    let (id, schedule) = path.into_inner();
    let trial = app.db.run(move |conn| test_send::last(conn, id)).await?.remove(&schedule);
    page(Test::of((id, schedule), trial, None, &last_number(&session), app.clock.now()))
}

// A second person

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ApprovalForm {
    fingerprint: String,
    note: String,
}

#[post("/campaigns/{id}/approve")]
pub async fn approve(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<ApprovalForm>,
) -> Result<HttpResponse, Problem> {
    let (id, form, by, now) = (id.into_inner(), form.into_inner(), may.person.id, app.clock.now());
    let note: String = form.note.trim().chars().take(300).collect();
    let said = note.clone();
    let approved = app.db.run(move |conn| {
        let said = Some(said.as_str()).filter(|said| !said.is_empty());
        approvals::approve(conn, id, &form.fingerprint, said, by, now)
    });
    match approved.await {
        Ok(()) => Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#approval"))),
        Err(DbError::Work(Error::Refused(refused @ Refused::ChangedMeanwhile))) => {
            let why = refused.to_string();
            let typed = |facts: &Facts| Typed { approval_error: Some(why), note, ..Typed::nothing(facts) };
            again(&app, frame, id, typed).await
        }
        Err(error) => Err(error.into()),
    }
}

// Launch

/// What is launched, as whoever presses the button has seen it, and what they have said yes to.
struct LaunchForm {
    seen: Option<String>,
    agreed: Vec<(Matter, i64)>,
}

impl LaunchForm {
    fn read(fields: Vec<(String, String)>) -> LaunchForm {
        let seen = fields.iter().find(|(name, value)| name == "fingerprint" && !value.is_empty());
        let yes = |(matter, n): &(String, String)| Some((Matter::of_word(matter)?, n.parse().ok()?));
        LaunchForm { seen: seen.map(|(_, value)| value.clone()), agreed: fields.iter().filter_map(yes).collect() }
    }
}

#[post("/campaigns/{id}/launch")]
pub async fn launch(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let form = LaunchForm::read(form.into_inner());
    match app.db.run(move |conn| launch_agreed(conn, id, form.seen.as_deref(), &form.agreed, by, now)).await {
        Ok(()) => Ok(htmx.leave_for(&format!("/campaigns?open={id}&launched=yes"))),
        // Pressed twice: it is where one wants it.
        Err(DbError::Work(Error::Refused(
            Refused::Campaign(campaigns::Refused::AlreadyLaunched)
            | Refused::Campaign(
                campaigns::Refused::Stopped | campaigns::Refused::Finished | campaigns::Refused::Archived,
            ),
        ))) => Ok(htmx.leave_for(&format!("/campaigns?open={id}"))),
        Err(DbError::Work(Error::Refused(refused))) => {
            let why = refused.to_string();
            again(&app, frame, id, |facts| Typed { launch_error: Some(why), ..Typed::nothing(facts) }).await
        }
        Err(error) => Err(error.into()),
    }
}

#[post("/campaigns/{id}/discard")]
pub async fn discard(may: May<Manage>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    app.db.run(move |conn| drafting::actions::discard(conn, id, by, now)).await?;
    Ok(see_other("/campaigns"))
}
