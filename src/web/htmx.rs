use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};

/// Whether htmx asked, and so wants a fragment rather than a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Htmx(pub bool);

impl Htmx {
    pub fn of(req: &HttpRequest) -> Self {
        Htmx(req.headers().contains_key("HX-Request"))
    }
}

impl FromRequest for Htmx {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Htmx::of(req)))
    }
}
