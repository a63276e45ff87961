//! web: The page of a draft, and what was typed in the one of its forms that was wrong.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::campaigns::validity_form::{UNITS, ValidityForm};
use crate::campaigns::{CampaignKind, Freeze};
use crate::channels::template_form::ApprovedInForm;
use crate::drafting::approvals::ApprovalStanding;
use crate::drafting::audience::{Contacts, data_fields};
use crate::drafting::obstacles::follows_kind;
use crate::drafting::review::{Facts, Review, gather};
use crate::drafting::web::basics::{BasicsForm, KINDS, zones};
use crate::drafting::web::contacts::{ListsForm, total};
use crate::drafting::web::instants::Instants;
use crate::drafting::web::measure::Measured;
use crate::drafting::web::review::{Test, plan_rate, plan_times, rate_text};
use crate::drafting::web::schedules::ScheduleForm;
use crate::files::web::{FilePurpose, Panel};
use crate::ids::{CampaignId, ChannelId, ScheduleId, UserId};
use crate::media::said::in_bubble;
use crate::pacing::{LatePolicy, Overlap, TooLate};
use crate::providers::Kind;
use crate::schedules::Busy;
use crate::settings::QuietForm;
use crate::web::chart::thousands;
use crate::web::{FieldErrors, Frame, Problem, page_with};

/// What is typed on the page, and what is wrong with it.
pub(super) struct Typed {
    pub(super) basics: BasicsForm,
    pub(super) basics_errors: FieldErrors,
    pub(super) file_error: Option<String>,
    pub(super) lists: ListsForm,
    pub(super) lists_error: Option<String>,
    pub(super) group_by: String,
    pub(super) group_error: Option<String>,
    /// The schedule form, when it is open; `id` when it changes one.
    pub(super) schedule: Option<(Option<ScheduleId>, ScheduleForm)>,
    pub(super) schedule_errors: FieldErrors,
    pub(super) validity: ValidityForm,
    pub(super) validity_errors: FieldErrors,
    pub(super) quiet: QuietForm,
    pub(super) quiet_errors: FieldErrors,
    /// The test that could not be sent.
    pub(super) trial: Option<(ScheduleId, String)>,
    /// Where tests go, as last typed.
    pub(super) number: String,
    pub(super) launch_error: Option<String>,
    pub(super) approval_error: Option<String>,
    /// The note of an approval that was refused.
    pub(super) note: String,
}

impl Typed {
    pub(super) fn nothing(facts: &Facts) -> Self {
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
pub(super) struct Edit {
    pub(super) frame: Frame,
    /// Its address, with what is open on it.
    pub(super) here: String,
    pub(super) facts: Facts,
    pub(super) typed: Typed,
    pub(super) panel: Option<Panel>,
    pub(super) measured: Option<Measured>,
    pub(super) instants: Option<Instants>,
}

impl Edit {
    pub(super) fn new(frame: Frame, facts: Facts, typed: Typed, now: DateTime<Utc>) -> Self {
        let panel =
            facts.contacts.as_ref().and_then(Contacts::look).map(|look| {
                Panel::new(look.clone(), FilePurpose { campaign: Some(facts.campaign.id) }, frame.person.role)
            });
        let form = typed.schedule.as_ref().map(|(_, form)| form);
        // Of a group the first contact is asked for when the page is there.
        let contacts = facts.contacts.as_ref();
        let measured = form.map(|form| match facts.groups.is_some() {
            true => Measured::unfilled(&form.body, contacts),
            false => Measured::of(&form.body, contacts),
        });
        let (kind, zone) = (facts.campaign.kind, facts.campaign.zone);
        let instants = form.map(|form| Instants::of(form, kind, zone, now));
        let here = format!("/campaigns/{}/edit", facts.campaign.id);
        Edit { frame, here, facts, typed, panel, measured, instants }
    }

    /// Where a form of the page is handed in.
    pub(super) fn path(&self, verb: &str) -> String {
        format!("/campaigns/{}/{verb}", self.facts.campaign.id)
    }

    pub(super) fn path_of(&self, schedule: &ScheduleId, verb: &str) -> String {
        format!("/campaigns/{}/schedules/{schedule}/{verb}", self.facts.campaign.id)
    }

    /// Kinds of the channels there are, to choose what the addresses of a file are.
    pub(super) fn kinds(&self) -> Vec<(&'static str, &'static str)> {
        let mut kinds: Vec<_> = self.facts.channels.iter().map(|sender| sender.kind).collect();
        kinds.sort_by_key(|kind| kind.word());
        kinds.dedup();
        kinds.into_iter().map(|kind| (kind.word(), kind.label())).collect()
    }

    /// The kind to offer first.
    pub(super) fn kind(&self) -> &'static str {
        self.facts.contacts.as_ref().map_or(Kind::Sms, |contacts| contacts.kind).word()
    }

    /// Channels that the contacts can be reached on.
    pub(super) fn channels(&self) -> Vec<(ChannelId, String)> {
        let kind = self.facts.contacts.as_ref().map(|contacts| contacts.kind);
        self.facts
            .channels
            .iter()
            .filter(|sender| {
                let may_follow = self.to_follow().len() > 1;
                kind.is_none_or(|kind| sender.kind == kind || (may_follow && follows_kind(kind, sender.kind)))
            })
            .map(|sender| {
                (sender.id, format!("{} ({}, from {})", sender.setup.name, sender.kind.label(), sender.setup.sender))
            })
            .collect()
    }

    /// To whom a schedule may go: everybody, or those whom another one cannot reach.
    pub(super) fn to_follow(&self) -> Vec<(String, String)> {
        let changed = self.typed.schedule.as_ref().and_then(|(id, _)| *id);
        let others = self.facts.schedules.iter().filter(|it| Some(it.id) != changed && it.plan.rules.after.is_none());
        let those = others.map(|it| (it.id.to_string(), format!("Those whom “{}” could not reach", it.plan.name)));
        std::iter::once((String::new(), "Everybody".to_owned())).chain(those).collect()
    }

    /// The approved text of the schedule whose form is open.
    pub(super) fn approved(&self, form: &ScheduleForm) -> askama::Result<String> {
        // A browser chooses the first where none is chosen.
        let first = || self.channels().first().map(|(id, _)| *id);
        let id = form.channel.trim().parse().map(ChannelId).ok().or_else(first);
        let channel = self.facts.channels.iter().find(|it| Some(it.id) == id);
        let known = id.and_then(|id| self.facts.templates.get(&id)).map_or(&[][..], Vec::as_slice);
        let errors = &self.typed.schedule_errors;
        ApprovedInForm { choice: form.approved.choice(channel, known), errors }.render()
    }

    pub(super) fn channel_name(&self, id: &ChannelId) -> &str {
        self.facts.channels.iter().find(|sender| sender.id == *id).map_or("", |sender| &sender.setup.name)
    }

    pub(super) fn schedule_action(&self) -> String {
        let campaign = self.facts.campaign.id;
        match &self.typed.schedule {
            Some((Some(id), _)) => format!("/campaigns/{campaign}/schedules/{id}"),
            Some((None, _)) | None => format!("/campaigns/{campaign}/schedules"),
        }
    }

    /// Columns that the contacts can be grouped by; none where they do not come from a file.
    pub(super) fn columns(&self) -> Vec<(String, String)> {
        let file = self.facts.contacts.as_ref().filter(|contacts| contacts.ready()).and_then(Contacts::file);
        let Some(file) = file else { return Vec::new() };
        let none = (String::new(), "Nothing: every schedule sends to every contact".to_owned());
        std::iter::once(none).chain(data_fields(file).into_iter().map(|field| (field.clone(), field))).collect()
    }

    /// Whether lists can be chosen where the contacts are.
    pub(super) fn takes_lists(&self) -> bool {
        match self.facts.campaign.kind {
            CampaignKind::Recurring => true,
            CampaignKind::OnceOff | CampaignKind::Quick => self.facts.campaign.file_id.is_none(),
            CampaignKind::Daily | CampaignKind::Inbound => false,
        }
    }

    /// Whether any of these fields of the schedule form is wrong.
    pub(super) fn wrong(&self, fields: &str) -> bool {
        fields.split(' ').any(|field| self.typed.schedule_errors.of(field).is_some())
    }
}

pub(super) async fn facts(app: &App, id: CampaignId, by: UserId) -> Result<Facts, Problem> {
    let now = app.clock.now();
    // Not as of one instant: what a file's groups are is kept when it is asked for the first time.
    Ok(app.db.run(move |conn| gather(conn, id, by, now)).await?)
}

/// Shows the page again with what was typed and what is wrong with it.
pub(super) async fn again(
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

pub(super) fn one_error(field: &'static str, message: String) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.add(field, message);
    errors
}

impl Facts {
    pub(super) fn test(&self, review: &Review, typed: &Typed) -> Test {
        let id = review.schedule.id;
        let kind = self.contacts.as_ref().map(|contacts| contacts.kind);
        let test = Test::of((self.campaign.id, id), self.trials.get(&id).cloned(), kind, &typed.number, self.now);
        let error = typed.trial.as_ref().filter(|(of, _)| *of == id).map(|(_, error)| error.clone());
        Test { error, ..test }
    }
}
