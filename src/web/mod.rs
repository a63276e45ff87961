//! What all pages share: who is asking and what they may, how to answer, and how to say no.

mod bodies;
pub mod chart;
mod cross_site;
pub mod csv;
mod forms;
mod framed;
mod headers;
mod heavy;
mod htmx;
mod in_turn;
mod may;
mod multipart;
mod panics;
mod peer;
mod problem;
mod said;
mod told;
mod wrongs;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

pub use bodies::in_time;
pub use cross_site::{is_own_origin, plain_host, refuse_cross_site};
pub use forms::FieldErrors;
pub use framed::framed;
pub use headers::harden;
pub use heavy::heavy;
pub use htmx::Htmx;
pub use in_turn::{in_turn, reckon, search_in_turn, table_in_turn};
pub use may::{Frame, May, Waits, who_asks};
pub use multipart::{Budget, Incoming, Parts, Unfit};
pub use panics::{survive, tell_of_panics};
pub use peer::{caller, is_local, site};
pub use problem::{Click, Problem};
pub use said::Say;
pub use told::{KEPT_TO_CORRECT, tell_once, told_once};

/// Answers with a rendered template.
pub fn page(template: impl Template) -> Result<HttpResponse, Problem> {
    page_with(StatusCode::OK, template)
}

pub fn page_with(status: StatusCode, template: impl Template) -> Result<HttpResponse, Problem> {
    let mut html = template.render().map_err(|error| Problem::Unexpected(error.into()))?;
    if status.is_client_error() {
        html = wrongs::with_wrongs(html);
    }
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

pub fn see_other(location: impl Into<String>) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location.into())).finish()
}

/// Tells a page with a draft on it that the draft, or what is known of it, is another one.
const DRAFT_CHANGED: (&str, &str) = ("hx-trigger", "draft-changed");

/// What a fragment answers for is another one now: a page with a draft on it draws what follows from that.
pub fn tell_draft(answer: &mut HttpResponse) {
    let (name, event) = DRAFT_CHANGED;
    answer.headers_mut().insert(header::HeaderName::from_static(name), header::HeaderValue::from_static(event));
}

impl Htmx {
    /// Sends the whole browser window elsewhere. A 303 alone would make htmx
    /// fetch the other page and put it inside the fragment.
    pub fn leave_for(self, location: &str) -> HttpResponse {
        match self {
            Htmx(true) => HttpResponse::Ok().insert_header(("HX-Redirect", location)).finish(),
            Htmx(false) => see_other(location),
        }
    }

    /// After a change of a draft: htmx is told of it, and what depends on the draft is drawn anew; a plain form is led on.
    pub fn draft_changed_or_redirect(self, location: impl Into<String>) -> HttpResponse {
        match self {
            Htmx(true) => HttpResponse::NoContent().insert_header(DRAFT_CHANGED).finish(),
            Htmx(false) => see_other(location),
        }
    }

    /// After a change: the changed part for htmx, a redirect for a plain form.
    pub fn fragment_or_redirect(
        self,
        fragment: impl Template,
        location: impl Into<String>,
    ) -> Result<HttpResponse, Problem> {
        match self {
            Htmx(true) => page(fragment),
            Htmx(false) => Ok(see_other(location)),
        }
    }
}

/// A short name for a text that a page shows, to see whether it is another one, the same in every process (FNV-1a).
pub fn version_of(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// `text` if it is a path of ours that a browser may be sent to.
///
/// `//host` and `/\host` are other people's sites to a browser, and it drops tabs
/// and line ends before it looks.
pub fn local_path(text: &str) -> Option<&str> {
    let inside = text.starts_with('/') && !text.starts_with("//") && !text.contains('\\');
    (inside && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_places_to_go() {
        for ours in ["/", "/campaigns", "/campaigns?open=12&state=live", "/a//b"] {
            assert_eq!(local_path(ours), Some(ours));
        }
        for not_ours in [
            "",
            "campaigns",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/a b",
            "/é",
        ] {
            assert_eq!(local_path(not_ours), None, "{not_ours}");
        }
    }
}
