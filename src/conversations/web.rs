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
    cfg.app_data(PayloadConfig::new(256 * 1024)).service(webhook).service(webhook_door);
}

#[route("/webhooks/{channel}", method = "GET", method = "POST")]
async fn webhook(
    app: Data<App>,
    req: HttpRequest,
    channel: Path<ChannelId>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    take_in(&app, &req, channel.into_inner(), &body).await
}

/// The same with what some providers' addresses go on with.
#[route("/webhooks/{channel}/{door:.*}", method = "GET", method = "POST")]
async fn webhook_door(
    app: Data<App>,
    req: HttpRequest,
    path: Path<(ChannelId, String)>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    take_in(&app, &req, path.into_inner().0, &body).await
}

async fn take_in(app: &App, req: &HttpRequest, channel: ChannelId, body: &[u8]) -> Result<HttpResponse, Problem> {
    let headers: Vec<(&str, &str)> =
        req.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let site = app.settings.public_url.as_deref().unwrap_or_default();
    let url = format!("{site}{}", req.uri());
    let (method, at) = (req.method().as_str(), app.clock.now());
    let call = Call { method, url: &url, headers: &headers, body, at };
    match intake::webhook(app, channel, &call, at).await {
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
