//! What all pages share: who is asking and what they may, how to answer, and how to say no.

pub mod chart;
mod forms;
mod htmx;
mod may;
mod problem;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

pub use forms::FieldErrors;
pub use htmx::Htmx;
pub use may::{Frame, Manage, May, Operate, Person, Right, Role, StopEverything, View};
pub use problem::Problem;

/// Answers with a rendered template.
pub fn page(template: impl Template) -> Result<HttpResponse, Problem> {
    page_with(StatusCode::OK, template)
}

pub fn page_with(status: StatusCode, template: impl Template) -> Result<HttpResponse, Problem> {
    let html = template.render().map_err(|error| Problem::Unexpected(error.into()))?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

pub fn see_other(location: impl Into<String>) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location.into())).finish()
}
