//! The door at which providers knock.

use actix_web::web::{Bytes, Data, Path, PayloadConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, route};

use super::intake::{self, NotTakenIn};
use crate::app::App;
use crate::ids::ChannelId;
use crate::providers::{Call, Forged};
use crate::web::Problem;

/// What providers call. They have no session: the signature says who they are.
pub fn webhooks(cfg: &mut ServiceConfig) {
    cfg.app_data(PayloadConfig::new(256 * 1024)).service(webhook);
}

#[route("/webhooks/{channel}", method = "GET", method = "POST")]
async fn webhook(
    app: Data<App>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let headers: Vec<(&str, &str)> =
        req.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let site = app.settings.public_url.as_deref().unwrap_or_default();
    let url = format!("{site}{}", req.uri());
    let call = Call { method: req.method().as_str(), url: &url, headers: &headers, body: &body };
    match intake::webhook(&app, channel.into_inner(), &call, app.clock.now()).await {
        Ok(None) => Ok(HttpResponse::NoContent().finish()),
        Ok(Some(answer)) => Ok(HttpResponse::Ok().content_type(answer.content_type).body(answer.body)),
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
