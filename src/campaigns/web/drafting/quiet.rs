//! The quiet hours of one campaign.

use actix_web::web::{Data, Form, Path};
use actix_web::{HttpResponse, post};

use super::{Typed, again, problem};
use crate::app::App;
use crate::campaigns::actions;
use crate::campaigns::review::Facts;
use crate::ids::CampaignId;
use crate::settings::domain::hours;
use crate::settings::{QuietChoice, QuietForm};
use crate::web::{FieldErrors, Frame, Manage, May, Problem, see_other};

impl Facts {
    /// What the installation says: `21:00–08:00`, or `none`.
    pub(super) fn house_hours(&self) -> String {
        hours(self.house.quiet)
    }

    /// What holds for this campaign, in a few words.
    pub(super) fn quiet_words(&self) -> String {
        let blackouts = if self.quiet.blackouts_apply { "" } else { "; blackout dates do not apply" };
        match self.quiet.quiet {
            QuietChoice::Inherit => format!("{}, as everywhere{blackouts}", self.house_hours()),
            QuietChoice::None => format!("none{blackouts}"),
            QuietChoice::Own(quiet) => format!("{}, its own{blackouts}", hours(Some(quiet))),
        }
    }
}

#[post("/campaigns/{id}/quiet")]
pub(super) async fn set_quiet(
    _may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    form: Form<QuietForm>,
) -> Result<HttpResponse, Problem> {
    let (id, form) = (id.into_inner(), form.into_inner());
    let mut errors = FieldErrors::default();
    match form.parse(&mut errors) {
        Some(own) => {
            app.db.run(move |conn| actions::set_quiet(conn, id, &own)).await.map_err(problem)?;
            Ok(see_other(format!("/campaigns/{id}/edit#quiet")))
        }
        None => {
            let typed = |facts: &Facts| Typed { quiet: form, quiet_errors: errors, ..Typed::nothing(facts) };
            again(&app, frame, id, typed).await
        }
    }
}
