//! How long conversations can be continued: a number and a unit, wherever that is asked.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, post};

use crate::access::Manage;
use crate::app::App;
use crate::campaigns::validity_form::ValidityForm;
use crate::campaigns::{CampaignState, store};
use crate::control::actions;
use crate::drafting::web::validity_again;
use crate::ids::CampaignId;
use crate::screen::web::index::{Asked, answer_row, html};
use crate::screen::web::panels::Note;
use crate::web::{FieldErrors, Frame, Htmx, May, Problem, see_other};

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(set_validity);
}

#[post("/campaigns/{id}/validity")]
async fn set_validity(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    htmx: Htmx,
    id: Path<CampaignId>,
    asked: Query<Asked>,
    form: Form<ValidityForm>,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    let mut errors = FieldErrors::default();
    let Some(validity) = form.parse(&mut errors) else {
        let is_draft = app.db.run(move |conn| store::find(conn, id)).await?.state == CampaignState::Draft;
        if is_draft {
            return validity_again(&app, frame, id, form.into_inner(), errors).await;
        }
        let why = errors.of("validity").unwrap_or_default().to_owned();
        return match htmx {
            Htmx(true) => {
                let note = Note::refusal(format!("Conversations can be continued for so long: {why}"));
                let mut answer = html(answer_row(&app, &may.person, id, asked.place(), Some(note), None).await?);
                *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                Ok(answer)
            }
            Htmx(false) => Err(Problem::Invalid(why)),
        };
    };
    app.db.run(move |conn| actions::set_validity(conn, id, validity, by, now)).await?;
    let state = app.db.run(move |conn| store::find(conn, id)).await?.state;
    match htmx {
        htmx if state == CampaignState::Draft => {
            Ok(htmx.draft_changed_or_redirect(format!("/campaigns/{id}/edit#validity-of-it")))
        }
        Htmx(true) => {
            let text = format!("Conversations can be continued for {}, from now on.", validity.words());
            let note = Note { tone: "good", text };
            answer_row(&app, &may.person, id, asked.place(), Some(note), None).await.map(html)
        }
        Htmx(false) => Ok(see_other(format!("/campaigns?open={id}#campaign-{id}"))),
    }
}
