//! Name and time zone.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, get, post};
use askama::Template;
use chrono_tz::{TZ_VARIANTS, Tz};
use serde::Deserialize;

use super::{Typed, again, one_error, problem};
use crate::app::App;
use crate::campaigns::actions::{self, Error};
use crate::campaigns::review::Facts;
use crate::campaigns::{Campaign, CampaignKind, CampaignState, Refused, store};
use crate::db::DbError;
use crate::ids::CampaignId;
use crate::web::{FieldErrors, Frame, Manage, May, Problem, page, page_with, see_other};

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BasicsForm {
    pub(super) name: String,
    /// Empty in a form that does not ask.
    pub(super) kind: String,
    pub(super) time_zone: String,
}

impl BasicsForm {
    pub(super) fn of(campaign: &Campaign) -> Self {
        BasicsForm {
            name: campaign.name.clone(),
            kind: campaign.kind.word().to_owned(),
            time_zone: campaign.zone.name().to_owned(),
        }
    }

    /// `kind`: what it is where the form does not ask.
    fn parse(&self, kind: CampaignKind) -> Result<(String, CampaignKind, Tz), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = self.name.trim();
        if name.is_empty() {
            errors.add("name", "Give the campaign a name.");
        } else if name.chars().count() > 100 {
            errors.add("name", "At most 100 characters.");
        }
        let kind = match self.kind.as_str() {
            "" => Some(kind),
            // What it is already, or one of those that are drafted step by step.
            word => CampaignKind::of_word(word).filter(|it| *it == kind || KINDS.iter().any(|(known, _)| known == it)),
        };
        if kind.is_none() {
            errors.add("kind", "Choose one of these.");
        }
        let zone = self.time_zone.trim().parse();
        if zone.is_err() {
            errors.add("time_zone", "Choose a time zone from the list, such as Europe/Dublin.");
        }
        match (kind, zone) {
            (Some(kind), Ok(zone)) if errors.is_empty() => Ok((name.to_owned(), kind, zone)),
            _ => Err(errors),
        }
    }
}

/// The kinds that are drafted step by step, each with what it means.
pub(super) const KINDS: [(CampaignKind, &str); 3] = [
    (CampaignKind::OnceOff, "One time, to the contacts of a file or of saved lists."),
    (CampaignKind::Daily, "Each day that you name, to the contacts of the file that is dropped that day."),
    (CampaignKind::Recurring, "Again and again, on weekdays or by a cron expression, to saved lists."),
];

/// All zones, for the list behind the field.
pub fn zones() -> impl Iterator<Item = &'static str> {
    TZ_VARIANTS.iter().map(|zone| zone.name())
}

#[derive(Template)]
#[template(path = "campaigns/new.html")]
struct New<'a> {
    frame: Frame,
    form: &'a BasicsForm,
    errors: &'a FieldErrors,
}

#[get("/campaigns/new")]
pub(super) async fn new_page(_may: May<Manage>, frame: Frame, app: Data<App>) -> Result<HttpResponse, Problem> {
    let form = BasicsForm {
        name: String::new(),
        kind: CampaignKind::OnceOff.word().to_owned(),
        time_zone: app.settings.time_zone.name().to_owned(),
    };
    page(New { frame, form: &form, errors: &FieldErrors::default() })
}

#[post("/campaigns")]
pub(super) async fn create(
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
    match app.db.run(move |conn| actions::create(conn, &name, kind, zone, by, now)).await {
        Ok(id) => Ok(see_other(format!("/campaigns/{id}/edit"))),
        Err(DbError::Work(Error::Refused(refused @ Refused::NameTaken(_)))) => {
            again(one_error("name", refused.to_string()))
        }
        Err(error) => Err(problem(error)),
    }
}

/// All that can be edited after the launch: the name. Times and rates are edited on
/// the schedules themselves.
#[derive(Template)]
#[template(path = "campaigns/rename.html")]
pub(super) struct Rename<'a> {
    pub(super) frame: Frame,
    pub(super) campaign: &'a Campaign,
    pub(super) form: &'a BasicsForm,
    pub(super) errors: &'a FieldErrors,
}

#[post("/campaigns/{id}/edit")]
pub(super) async fn edit(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
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
        Ok((name, kind, zone)) => match app
            .db
            .run(move |conn| {
                actions::edit(conn, id, &name, zone, by, now)?;
                if is_draft { actions::set_kind(conn, id, kind) } else { Ok(()) }
            })
            .await
        {
            Ok(()) if is_draft => return Ok(see_other(format!("/campaigns/{id}/edit#contacts"))),
            Ok(()) => return Ok(see_other(format!("/campaigns?open={id}"))),
            Err(DbError::Work(Error::Refused(refused @ Refused::NameTaken(_)))) => {
                one_error("name", refused.to_string())
            }
            Err(error) => return Err(problem(error)),
        },
        Err(errors) => errors,
    };
    if is_draft {
        let typed = |facts: &Facts| Typed { basics: form, basics_errors: errors, ..Typed::nothing(facts) };
        return again(&app, frame, id, typed).await;
    }
    let rename = Rename { frame, campaign: &campaign, form: &form, errors: &errors };
    page_with(StatusCode::UNPROCESSABLE_ENTITY, rename)
}
