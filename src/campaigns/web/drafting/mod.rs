//! From a name to a launch: the pages on which a campaign is drafted.

mod basics;
mod contacts;
mod groups;
mod instants;
mod measure;
mod quiet;
mod review;
mod schedules;

use actix_session::Session;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

pub use self::basics::zones;
use self::basics::{BasicsForm, KINDS, Rename};
use self::contacts::{ListsForm, total};
use self::instants::Instants;
use self::measure::Measured;
use self::review::{last_number, plan_rate, plan_times, rate_text};
use self::schedules::ScheduleForm;
use super::validity::{UNITS, ValidityForm};
use crate::app::App;
use crate::campaigns::actions::Error;
use crate::campaigns::approvals::Standing;
use crate::campaigns::review::{Contacts, Facts, data_fields, gather};
use crate::campaigns::{CampaignKind, CampaignState, Freeze, store};
use crate::channels::Kind;
use crate::db::DbError;
use crate::files::actions::Look;
use crate::files::web::{Panel, Purpose};
use crate::ids::{CampaignId, ChannelId, ScheduleId, UserId};
use crate::pacing::{LatePolicy, Overlap, TooLate};
use crate::runs::Busy;
use crate::settings::QuietForm;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, Manage, May, Problem, Right, View, in_turn, page, page_with, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    // `new` before `{id}`, which would take it for one.
    cfg.service(basics::new_page)
        .service(basics::create)
        .service(show)
        .service(edit_page)
        .service(basics::edit)
        .service(contacts::upload_file)
        .service(contacts::leave_file)
        .service(contacts::set_lists)
        .service(contacts::count_lists)
        .service(groups::set_group)
        .service(quiet::set_quiet)
        .service(instants::instants)
        .service(schedules::add_schedule)
        .service(schedules::change_schedule)
        .service(schedules::remove_schedule)
        .service(measure::measure)
        .service(review::review_again)
        .service(review::check_messages)
        .service(review::check_goes_on)
        .service(review::send_test)
        .service(review::test_again)
        .service(review::approve)
        .service(review::launch)
        .service(review::discard);
}

/// What is typed on the page, and what is wrong with it.
struct Typed {
    basics: BasicsForm,
    basics_errors: FieldErrors,
    file_error: Option<String>,
    lists: ListsForm,
    lists_error: Option<String>,
    group_by: String,
    group_error: Option<String>,
    /// The schedule form, when it is open; `id` when it changes one.
    schedule: Option<(Option<ScheduleId>, ScheduleForm)>,
    schedule_errors: FieldErrors,
    validity: ValidityForm,
    validity_errors: FieldErrors,
    quiet: QuietForm,
    quiet_errors: FieldErrors,
    /// The test that could not be sent.
    trial: Option<(ScheduleId, String)>,
    /// Where tests go, as last typed.
    number: String,
    launch_error: Option<String>,
    approval_error: Option<String>,
    /// The note of an approval that was refused.
    note: String,
}

impl Typed {
    fn nothing(facts: &Facts) -> Self {
        Typed {
            basics: BasicsForm::of(&facts.campaign),
            basics_errors: FieldErrors::default(),
            file_error: None,
            lists: ListsForm::of(&facts.lists.chosen, facts.campaign.freeze),
            lists_error: None,
            group_by: facts.campaign.group_by.clone().unwrap_or_default(),
            group_error: None,
            schedule: None,
            schedule_errors: FieldErrors::default(),
            validity: ValidityForm::of(facts.campaign.validity),
            validity_errors: FieldErrors::default(),
            quiet: QuietForm::of(&facts.quiet),
            quiet_errors: FieldErrors::default(),
            trial: None,
            number: String::new(),
            launch_error: None,
            approval_error: None,
            note: String::new(),
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
    instants: Option<Instants>,
}

impl Edit {
    fn new(frame: Frame, facts: Facts, typed: Typed, now: DateTime<Utc>) -> Self {
        let panel = facts.contacts.as_ref().and_then(Contacts::look).map(|look| {
            let look = Look { file: look.file.clone(), problems: look.problems.clone(), region: look.region.clone() };
            Panel::new(look, Purpose { campaign: Some(facts.campaign.id) }, frame.person.role)
        });
        let form = typed.schedule.as_ref().map(|(_, form)| form);
        let measured = form.map(|form| Measured::of(&form.body, facts.contacts.as_ref()));
        let (kind, zone) = (facts.campaign.kind, facts.campaign.zone);
        let instants = form.map(|form| Instants::of(form, kind, zone, now));
        Edit { frame, facts, typed, panel, measured, instants }
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
        self.facts.contacts.as_ref().map_or(Kind::Sms, |contacts| contacts.kind).word()
    }

    /// Channels that the contacts can be reached on.
    fn channels(&self) -> Vec<(ChannelId, String)> {
        let kind = self.facts.contacts.as_ref().map(|contacts| contacts.kind);
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

    /// Columns that the contacts can be grouped by; none where they do not come from a file.
    fn columns(&self) -> Vec<(String, String)> {
        let file = self.facts.contacts.as_ref().filter(|contacts| contacts.ready()).and_then(Contacts::file);
        let Some(file) = file else { return Vec::new() };
        let none = (String::new(), "Nothing: every schedule sends to every contact".to_owned());
        std::iter::once(none).chain(data_fields(file).into_iter().map(|field| (field.clone(), field))).collect()
    }

    /// Whether lists can be chosen where the contacts are.
    fn takes_lists(&self) -> bool {
        match self.facts.campaign.kind {
            CampaignKind::Recurring => true,
            CampaignKind::OnceOff | CampaignKind::Quick => self.facts.campaign.file_id.is_none(),
            CampaignKind::Daily | CampaignKind::Inbound => false,
        }
    }

    /// Whether any of these fields of the schedule form is wrong.
    fn wrong(&self, fields: &str) -> bool {
        fields.split(' ').any(|field| self.typed.schedule_errors.of(field).is_some())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Opened {
    /// `new`, or the id of a schedule: the form that is open.
    schedule: String,
    /// The group that a new one shall serve.
    group: String,
}

#[get("/campaigns/{id}/edit", wrap = "from_fn(in_turn)")]
async fn edit_page(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    session: Session,
    id: Path<CampaignId>,
    opened: Query<Opened>,
) -> Result<HttpResponse, Problem> {
    let (id, now) = (id.into_inner(), app.clock.now());
    let campaign = app.db.run(move |conn| store::find(conn, id)).await?;
    let is_over = campaign.state.stop().is_err() && campaign.state != CampaignState::Draft;
    if campaign.kind == CampaignKind::Inbound && !is_over {
        return Ok(see_other(format!("/campaigns/{id}/inbound")));
    }
    if campaign.state != CampaignState::Draft {
        return page(Rename {
            frame,
            form: &BasicsForm::of(&campaign),
            campaign: &campaign,
            errors: &FieldErrors::default(),
        });
    }
    let facts = facts(&app, id, may.person.id).await?;
    let mut typed = Typed::nothing(&facts);
    typed.number = last_number(&session);
    typed.schedule = match opened.schedule.parse().map(ScheduleId) {
        Ok(wanted) => facts
            .schedules
            .iter()
            .find(|schedule| schedule.id == wanted)
            .map(|schedule| (Some(wanted), ScheduleForm::of(&schedule.plan))),
        Err(_) if opened.schedule == "new" || facts.schedules.is_empty() => {
            Some((None, ScheduleForm::fresh(&facts, &opened.group, now)))
        }
        Err(_) => None,
    };
    page(Edit::new(frame, facts, typed, now))
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
    // Not as of one instant: what a file's groups are is kept when it is asked for the first time.
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
    page_with(StatusCode::UNPROCESSABLE_ENTITY, Edit::new(frame, facts, typed, app.clock.now()))
}

/// Shows the page of a draft again with a validity that cannot be.
pub async fn validity_again(
    app: &App,
    frame: Frame,
    id: CampaignId,
    validity: ValidityForm,
    validity_errors: FieldErrors,
) -> Result<HttpResponse, Problem> {
    again(app, frame, id, |facts| Typed { validity, validity_errors, ..Typed::nothing(facts) }).await
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
        DbError::Busy => Problem::Busy,
        DbError::Lost(lost) => Problem::NoDatabase(lost),
        DbError::Cancelled => Problem::Unexpected(anyhow::anyhow!("database work was cancelled")),
    }
}
