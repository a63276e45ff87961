//! The door at which providers knock.

use actix_web::web::{Bytes, Data, Path, PayloadConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, post};

use super::intake::{self, NotTakenIn};
use crate::app::App;
use crate::ids::ChannelId;
use crate::providers::Forged;
use crate::web::Problem;

/// What providers call. They have no session: the signature says who they are.
pub fn webhooks(cfg: &mut ServiceConfig) {
    cfg.app_data(PayloadConfig::new(256 * 1024)).service(webhook);
}

#[post("/webhooks/{channel}")]
async fn webhook(
    app: Data<App>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let signature = req.headers().get("X-Signature-256").and_then(|value| value.to_str().ok());
    // Some channels write which hash it is in front.
    let signature = signature.map(|text| text.strip_prefix("sha256=").unwrap_or(text));
    match intake::webhook(&app, channel.into_inner(), signature, &body, app.clock.now()).await {
        Ok(_) => Ok(HttpResponse::NoContent().finish()),
        Err(NotTakenIn::Forged(Forged::BadSignature)) => Ok(HttpResponse::Unauthorized().finish()),
        Err(NotTakenIn::Forged(Forged::Unreadable(what))) => {
            tracing::warn!("a signed webhook call could not be read: {what}");
            Ok(HttpResponse::BadRequest().finish())
        }
        Err(NotTakenIn::Database(error)) => match Problem::from(error) {
            Problem::NotFound => Ok(HttpResponse::NotFound().finish()),
            // Not taken in, so it must be told again.
            problem => Err(problem),
        },
    }
}
