//! From a name to a launch: the pages on which a campaign is drafted.

mod basics;
mod contacts;
mod measure;
mod review;
mod schedules;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use serde::Deserialize;

use self::basics::{BasicsForm, Rename, zones};
use self::measure::Measured;
use self::review::{plan_rate, rate_text};
use self::schedules::ScheduleForm;
use crate::app::App;
use crate::campaigns::actions::Error;
use crate::campaigns::review::{Facts, gather};
use crate::campaigns::{Campaign, CampaignState, store};
use crate::channels::Kind;
use crate::db::DbError;
use crate::files::actions::Look;
use crate::files::web::{Panel, Purpose};
use crate::ids::{CampaignId, ChannelId, ScheduleId, UserId};
use crate::pacing::LatePolicy;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, Manage, May, Problem, Right, View, page, page_with, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    // `new` before `{id}`, which would take it for one.
    cfg.service(basics::new_page)
        .service(basics::create)
        .service(show)
        .service(edit_page)
        .service(basics::edit)
        .service(contacts::upload_file)
        .service(contacts::leave_file)
        .service(schedules::add_schedule)
        .service(schedules::change_schedule)
        .service(schedules::remove_schedule)
        .service(measure::measure)
        .service(review::review_again)
        .service(review::launch)
        .service(review::discard);
}

/// What is typed on the page, and what is wrong with it.
struct Typed {
    basics: BasicsForm,
    basics_errors: FieldErrors,
    file_error: Option<String>,
    /// The schedule form, when it is open; `id` when it changes one.
    schedule: Option<(Option<ScheduleId>, ScheduleForm)>,
    schedule_errors: FieldErrors,
    launch_error: Option<String>,
}

impl Typed {
    fn nothing(campaign: &Campaign) -> Self {
        Typed {
            basics: BasicsForm::of(campaign),
            basics_errors: FieldErrors::default(),
            file_error: None,
            schedule: None,
            schedule_errors: FieldErrors::default(),
            launch_error: None,
        }
    }
}

#[derive(Template)]
#[template(path = "campaigns/edit.html")]
struct Edit {
    frame: Frame,
    facts: Facts,
    typed: Typed,
    panel: Option<Panel>,
    measured: Option<Measured>,
}

impl Edit {
    fn new(frame: Frame, facts: Facts, typed: Typed) -> Self {
        let panel = facts.contacts.as_ref().map(|contacts| {
            let look = Look {
                file: contacts.look.file.clone(),
                problems: contacts.look.problems.clone(),
                region: contacts.look.region.clone(),
            };
            Panel::new(look, Purpose { campaign: Some(facts.campaign.id) }, frame.person.role)
        });
        let measured = typed.schedule.as_ref().map(|(_, form)| Measured::of(&form.body, facts.contacts.as_ref()));
        Edit { frame, facts, typed, panel, measured }
    }

    /// Kinds of the channels there are, to choose what the addresses of a file are.
    fn kinds(&self) -> Vec<(&'static str, &'static str)> {
        let mut kinds: Vec<_> = self.facts.senders.iter().map(|sender| sender.kind).collect();
        kinds.sort_by_key(|kind| kind.word());
        kinds.dedup();
        kinds.into_iter().map(|kind| (kind.word(), kind.label())).collect()
    }

    /// The kind to offer first.
    fn kind(&self) -> &'static str {
        self.facts.contacts.as_ref().map_or(Kind::Sms, |contacts| contacts.look.file.kind).word()
    }

    /// Channels that the contacts can be reached on.
    fn channels(&self) -> Vec<(ChannelId, String)> {
        let kind = self.facts.contacts.as_ref().map(|contacts| contacts.look.file.kind);
        self.facts
            .senders
            .iter()
            .filter(|sender| kind.is_none_or(|kind| sender.kind == kind))
            .map(|sender| {
                (sender.id, format!("{} ({}, from {})", sender.setup.name, sender.kind.label(), sender.setup.sender))
            })
            .collect()
    }

    fn channel_name(&self, id: &ChannelId) -> &str {
        self.facts.senders.iter().find(|sender| sender.id == *id).map_or("", |sender| &sender.setup.name)
    }

    fn schedule_action(&self) -> String {
        let campaign = self.facts.campaign.id;
        match &self.typed.schedule {
            Some((Some(id), _)) => format!("/campaigns/{campaign}/schedules/{id}"),
            Some((None, _)) | None => format!("/campaigns/{campaign}/schedules"),
        }
    }

    fn is_late(&self, policy: &LatePolicy) -> bool {
        self.typed.schedule.as_ref().is_some_and(|(_, form)| form.late == policy.word())
    }
}

#[derive(Default, Deserialize)]
struct Opened {
    /// `new`, or the id of a schedule: the form that is open.
    #[serde(default)]
    schedule: String,
}

#[get("/campaigns/{id}/edit")]
async fn edit_page(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    opened: Query<Opened>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    let campaign = app.db.run(move |conn| store::find(conn, id)).await?;
    if campaign.state != CampaignState::Draft {
        return page(Rename {
            frame,
            form: &BasicsForm::of(&campaign),
            campaign: &campaign,
            errors: &FieldErrors::default(),
        });
    }
    let facts = facts(&app, id, may.person.id).await?;
    let mut typed = Typed::nothing(&campaign);
    typed.schedule = match opened.schedule.parse().map(ScheduleId) {
        Ok(wanted) => facts
            .schedules
            .iter()
            .find(|schedule| schedule.id == wanted)
            .map(|schedule| (Some(wanted), ScheduleForm::of(&schedule.plan))),
        Err(_) if opened.schedule == "new" || facts.schedules.is_empty() => {
            Some((None, ScheduleForm::fresh(&facts, now)))
        }
        Err(_) => None,
    };
    page(Edit::new(frame, facts, typed))
}

/// A campaign has no page of its own: a draft is edited, any other stands on the Campaigns screen.
#[get("/campaigns/{id:\\d+}")]
async fn show(may: May<View>, app: Data<App>, id: Path<CampaignId>) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let is_draft = app.db.run(move |conn| store::find(conn, id)).await?.state == CampaignState::Draft;
    let may_edit = may.person.role >= Manage::NEEDS;
    Ok(see_other(match is_draft && may_edit {
        true => format!("/campaigns/{id}/edit#schedules"),
        false => format!("/campaigns?open={id}"),
    }))
}

async fn facts(app: &App, id: CampaignId, by: UserId) -> Result<Facts, Problem> {
    let now = app.clock.now();
    Ok(app.db.run(move |conn| gather(conn, id, by, now)).await?)
}

/// Shows the page again with what was typed and what is wrong with it.
async fn again(
    app: &App,
    frame: Frame,
    id: CampaignId,
    typed: impl FnOnce(&Facts) -> Typed,
) -> Result<HttpResponse, Problem> {
    let facts = facts(app, id, frame.person.id).await?;
    let typed = typed(&facts);
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Edit::new(frame, facts, typed))
}

fn one_error(field: &'static str, message: String) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.add(field, message);
    errors
}

fn problem(error: DbError<Error>) -> Problem {
    match error {
        DbError::Work(Error::Refused(refused)) => Problem::Conflict(refused.to_string()),
        DbError::Work(Error::Database(error)) => error.into(),
        DbError::Busy(_) => Problem::Busy,
        DbError::Cancelled => Problem::Unexpected(anyhow::anyhow!("database work was cancelled")),
    }
}
