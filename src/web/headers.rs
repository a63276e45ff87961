use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::app::App;

/// Only what we serve ourselves is run, shown or sent to; nobody frames us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ALWAYS: [(&str, &str); 5] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Puts the headers on every answer that tell browsers to be careful with it.
pub async fn harden(
    app: Data<App>,
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match next.call(req).await {
        Ok(mut res) => {
            dress(res.headers_mut(), app.settings.secure_cookies);
            Ok(res)
        }
        // Middleware further in gave up; what becomes of that is an answer too.
        Err(error) => {
            let mut response = error.error_response();
            dress(response.headers_mut(), app.settings.secure_cookies);
            Err(InternalError::from_response(error, response).into())
        }
    }
}

fn dress(headers: &mut HeaderMap, over_tls: bool) {
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if over_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    // A path answers htmx with a fragment and browsers with a page.
    headers.append(header::VARY, HeaderValue::from_static("HX-Request"));
    // What is not for keeping says nothing: pages show people's addresses.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // Compression would hold events back until its buffer is full.
    let streams =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if streams {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    }
}
