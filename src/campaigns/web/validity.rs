//! How long conversations can be continued: a number and a unit, wherever that is asked.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use actix_web::{HttpResponse, post};
use serde::Deserialize;

use super::super::inbound::Validity;
use super::super::{CampaignState, actions, store};
use super::drafting::validity_again;
use super::index::{Asked, answer_row, html};
use super::panels::Note;
use crate::app::App;
use crate::ids::CampaignId;
use crate::web::{FieldErrors, Frame, Htmx, Manage, May, Problem, see_other};

pub fn routes(pages: &mut ServiceConfig) {
    pages.service(set_validity);
}

/// As typed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ValidityForm {
    pub validity: String,
    pub validity_unit: String,
}

/// Units and their minutes.
pub const UNITS: [(&str, &str, i32); 3] =
    [("minutes", "minutes", 1), ("hours", "hours", 60), ("days", "days", 24 * 60)];

impl ValidityForm {
    pub fn of(it: Validity) -> Self {
        let minutes = it.minutes();
        let (unit, _, size) = match minutes {
            _ if minutes % (24 * 60) == 0 && 24 * 60 < minutes => UNITS[2],
            _ if minutes % 60 == 0 => UNITS[1],
            _ => UNITS[0],
        };
        ValidityForm { validity: (minutes / size).to_string(), validity_unit: unit.to_owned() }
    }

    pub fn is_in(&self, unit: &str) -> bool {
        self.validity_unit == unit
    }

    pub fn parse(&self, errors: &mut FieldErrors) -> Option<Validity> {
        let unit = UNITS.into_iter().find(|(word, ..)| *word == self.validity_unit);
        let n = self.validity.trim().parse::<i32>().ok();
        let minutes = n.zip(unit).and_then(|(n, (_, _, minutes))| n.checked_mul(minutes));
        let validity = minutes.and_then(Validity::of_minutes);
        if validity.is_none() {
            errors.add("validity", "A whole number: from 1 hour to 90 days.");
        }
        validity
    }
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
        let why = errors.of("validity").unwrap_or_default().to_owned();
        return match htmx {
            Htmx(true) => {
                let note = Note::refusal(format!("Conversations can be continued for so long: {why}"));
                let mut answer = html(answer_row(&app, &may.person, id, asked.place(), Some(note), None).await?);
                *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                Ok(answer)
            }
            Htmx(false) if is_draft => validity_again(&app, frame, id, form.into_inner(), errors).await,
            Htmx(false) => Err(Problem::Invalid(why)),
        };
    };
    app.db.run(move |conn| actions::set_validity(conn, id, validity, by, now)).await?;
    let state = app.db.run(move |conn| store::find(conn, id)).await?.state;
    match htmx {
        Htmx(true) => {
            let text = format!("Conversations can be continued for {}, from now on.", validity.words());
            let note = Note { tone: "good", text };
            answer_row(&app, &may.person, id, asked.place(), Some(note), None).await.map(html)
        }
        Htmx(false) if state == CampaignState::Draft => Ok(see_other(format!("/campaigns/{id}/edit#validity-of-it"))),
        Htmx(false) => Ok(see_other(format!("/campaigns?open={id}#campaign-{id}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_was_typed() {
        for (n, unit, minutes) in
            [("24", "hours", 1440), ("2", "days", 2880), ("90", "minutes", 90), ("1", "hours", 60)]
        {
            let form = ValidityForm { validity: n.into(), validity_unit: unit.into() };
            let validity = form.parse(&mut FieldErrors::default()).unwrap();
            assert_eq!((validity.minutes(), ValidityForm::of(validity)), (minutes, form));
        }
        for (n, unit) in [("59", "minutes"), ("91", "days"), ("", "hours"), ("1", "weeks"), ("99999999", "days")] {
            let form = ValidityForm { validity: n.into(), validity_unit: unit.into() };
            let mut errors = FieldErrors::default();
            assert_eq!(form.parse(&mut errors), None);
            assert!(errors.of("validity").is_some(), "{n} {unit}");
        }
    }
}
