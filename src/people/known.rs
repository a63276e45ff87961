//! store: Browsers in which somebody has signed in before.
//!
//! Such a browser has a cookie of its own, signed like that of a session, which says for which
//! address; it opens nothing. Whoever guesses passwords elsewhere does not slow it down.

use actix_web::body::MessageBody;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest};
use sha2::{Digest, Sha256};

use super::domain::tidy_email;
use crate::app::App;

const COOKIE: &str = "bugle-known";
const LASTS: Duration = Duration::days(365);

/// Signs these cookies; the same in every process and after a restart.
pub struct Seal(pub Key);

/// What is to be kept in the browser that asked.
struct Remembered(Cookie<'static>);

/// The browser's own name, if somebody has signed in there with this address.
pub fn read(req: &HttpRequest, email: &str) -> Option<String> {
    let seal = req.app_data::<Data<Seal>>()?;
    let cookie = CookieJar::new().signed(&seal.0).verify(req.cookie(COOKIE)?)?;
    let (browser, whom) = cookie.value().split_once('.')?;
    (whom == mark(email)).then(|| browser.to_owned())
}

/// Keeps in the browser that this address has signed in there, under the name that it has already.
pub fn remember(req: &HttpRequest, email: &str, browser: Option<String>) {
    let Some(seal) = req.app_data::<Data<Seal>>() else { return };
    let browser = browser.unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
    let secure = req.app_data::<Data<App>>().is_some_and(|app| app.settings.secure_cookies);
    let cookie = Cookie::build(COOKIE, format!("{browser}.{}", mark(email)))
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Strict)
        .max_age(LASTS)
        .finish();
    let mut jar = CookieJar::new();
    jar.signed_mut(&seal.0).add(cookie);
    if let Some(signed) = jar.get(COOKIE) {
        req.extensions_mut().insert(Remembered(signed.clone()));
    }
}

/// An address as it stands in the cookie: nobody else who uses the browser reads it there.
fn mark(email: &str) -> String {
    Sha256::digest(tidy_email(email).as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Gives the browser what [`remember`] said, after the cookie of its session.
pub async fn keep(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut answer = next.call(req).await?;
    let remembered = answer.request().extensions_mut().remove::<Remembered>();
    if let Some(Remembered(cookie)) = remembered {
        answer.response_mut().add_cookie(&cookie)?;
    }
    Ok(answer)
}
