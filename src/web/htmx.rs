use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload};
use askama::Template;

use super::{Problem, page, see_other};

/// Whether htmx asked, and so wants a fragment rather than a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Htmx(pub bool);

impl Htmx {
    pub fn of(req: &HttpRequest) -> Self {
        Htmx(req.headers().contains_key("HX-Request"))
    }

    /// Sends the whole browser window elsewhere. A 303 alone would make htmx
    /// fetch the other page and put it inside the fragment.
    pub fn leave_for(self, location: &str) -> HttpResponse {
        match self {
            Htmx(true) => HttpResponse::Ok().insert_header(("HX-Redirect", location)).finish(),
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

impl FromRequest for Htmx {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Htmx::of(req)))
    }
}
