//! From a name to a launch: the pages on which a campaign is drafted.

mod basics;
pub mod bot_choice;
mod changes;
mod contacts;
mod groups;
mod instants;
mod measure;
mod page;
mod quiet;
mod rest;
mod review;
mod schedules;

use actix_session::Session;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use serde::Deserialize;

use self::basics::BasicsForm;
pub use self::basics::zones;
use self::changes::Rename;
pub use self::page::validity_again;
use self::page::{Edit, Typed, facts};
use self::review::last_number;
use self::schedules::ScheduleForm;
use crate::access::{Manage, Right, View};
use crate::app::App;
use crate::campaigns::{CampaignKind, CampaignState, store};
use crate::ids::{CampaignId, ScheduleId};
use crate::web::{FieldErrors, Frame, Htmx, May, Problem, in_turn, page, see_other};

pub fn routes(cfg: &mut ServiceConfig) {
    // `new` before `{id}`, which would take it for one.
    cfg.configure(bot_choice::routes)
        .service(changes::new_page)
        .service(changes::create)
        .service(show)
        .service(edit_page)
        .service(changes::edit)
        .service(changes::upload_file)
        .service(changes::leave_file)
        .service(changes::set_lists)
        .service(contacts::count_lists)
        .service(changes::set_group)
        .service(changes::set_quiet)
        .service(instants::instants)
        .service(changes::add_schedule)
        .service(changes::change_schedule)
        .service(changes::remove_schedule)
        .service(measure::measure)
        .service(review::check_messages)
        .service(review::check_goes_on)
        .service(changes::send_test)
        .service(changes::test_again)
        .service(changes::approve)
        .service(changes::launch)
        .service(changes::discard)
        .service(rest::ask)
        .service(rest::begin)
        .service(rest::ask_of_campaign)
        .service(rest::begin_of_campaign);
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Opened {
    /// `new`, or the id of a schedule: the form that is open.
    schedule: String,
    /// The group that a new one shall serve.
    group: String,
}

impl Opened {
    /// Of the page on which the same is open.
    fn address(&self, id: CampaignId) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("schedule", &self.schedule), ("group", &self.group)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        match query.finish() {
            nothing if nothing.is_empty() => format!("/campaigns/{id}/edit"),
            query => format!("/campaigns/{id}/edit?{query}"),
        }
    }
}

#[get("/campaigns/{id}/edit", wrap = "from_fn(in_turn)")]
async fn edit_page(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    session: Session,
    htmx: Htmx,
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
        if htmx.0 {
            // Somebody else has launched it: there is no draft any more to draw.
            return Ok(htmx.leave_for(&format!("/campaigns?open={id}")));
        }
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
    let here = opened.address(id);
    let edit = Edit { here: here.clone(), ..Edit::new(frame, facts, typed, now) };
    let mut answer = page(edit)?;
    if let (true, Ok(here)) = (htmx.0, HeaderValue::from_str(&here)) {
        answer.headers_mut().insert(HeaderName::from_static("hx-replace-url"), here);
    }
    Ok(answer)
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
