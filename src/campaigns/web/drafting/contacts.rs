//! Whom it goes to.

use actix_multipart::Multipart;
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use futures_util::TryStreamExt;

use super::{Typed, again, problem};
use crate::app::App;
use crate::campaigns::{CampaignState, Refused, actions, store};
use crate::channels::Kind;
use crate::files::refusal::Refusal;
use crate::files::upload;
use crate::ids::CampaignId;
use crate::web::{Frame, Manage, May, Problem, see_other};

/// Takes in the file. A form with `kind` in it says what the addresses are.
#[post("/campaigns/{id}/file")]
pub(super) async fn upload_file(
    may: May<Manage>,
    frame: Frame,
    app: Data<App>,
    id: Path<CampaignId>,
    mut form: Multipart,
) -> Result<HttpResponse, Problem> {
    let (id, by, now) = (id.into_inner(), may.person.id, app.clock.now());
    // Asked before the upload, so that nothing is stored for a campaign that cannot have it.
    if app.db.run(move |conn| store::find(conn, id)).await?.state != CampaignState::Draft {
        return Err(Problem::Conflict(Refused::AlreadyLaunched.to_string()));
    }
    let mut kind = Kind::Sms;
    let mut received = Err(upload::Failed::Refused(Refusal::NoFile));
    loop {
        let mut field = match form.try_next().await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(_) => {
                received = Err(Refusal::BrokeOff.into());
                break;
            }
        };
        match field.name() {
            Some("kind") => {
                let text = field.bytes(32).await.ok().and_then(Result::ok).unwrap_or_default();
                kind = std::str::from_utf8(&text).ok().and_then(Kind::of_word).unwrap_or(kind);
            }
            Some("file") => received = upload::receive(&app, &mut field, kind, by, now).await,
            Some(_) | None => {}
        }
    }
    match received {
        Ok(file) => {
            app.db.run(move |conn| actions::set_file(conn, id, Some(file))).await.map_err(problem)?;
            Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
        }
        Err(upload::Failed::Refused(refusal)) => {
            let why = refusal.to_string();
            again(&app, frame, id, |facts| Typed { file_error: Some(why), ..Typed::nothing(&facts.campaign) }).await
        }
        Err(upload::Failed::Broken(error)) => Err(Problem::Unexpected(error)),
    }
}

#[post("/campaigns/{id}/file/remove")]
pub(super) async fn leave_file(
    _may: May<Manage>,
    app: Data<App>,
    id: Path<CampaignId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    app.db.run(move |conn| actions::set_file(conn, id, None)).await.map_err(problem)?;
    Ok(see_other(format!("/campaigns/{id}/edit#contacts")))
}
