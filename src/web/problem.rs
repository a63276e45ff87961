use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use askama::Template;

use super::Htmx;
use crate::db::DbError;

/// Everything a handler may answer instead of what was asked for.
///
/// One HTML page serves both readers: a browser shows it whole, and htmx is told
/// to lift `#problem` out of it and put it in `#notice`.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("sign in first")]
    SignInFirst(Htmx),
    /// Signed in, but without the right this needs.
    #[error("not allowed")]
    NotAllowed,
    /// The request was made by another site's page.
    #[error("cross-site request")]
    CrossSite,
    #[error("not found")]
    NotFound,
    /// The request does not make sense; says what to do about it.
    #[error("{0}")]
    Invalid(String),
    /// The thing asked about is no longer in the state the page showed.
    #[error("{0}")]
    Conflict(String),
    #[error("busy")]
    Busy,
    /// A bug or a broken part. The cause is logged and never shown.
    #[error("unexpected: {0:#}")]
    Unexpected(anyhow::Error),
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    headline: &'a str,
    advice: &'a str,
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Problem::SignInFirst(_) => StatusCode::UNAUTHORIZED,
            Problem::NotAllowed | Problem::CrossSite => StatusCode::FORBIDDEN,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::Conflict(_) => StatusCode::CONFLICT,
            Problem::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Problem::Unexpected(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (headline, advice) = match self {
            Problem::SignInFirst(htmx) => return htmx.leave_for("/sign-in"),
            Problem::NotAllowed => ("You may not do this", "Ask an admin of this installation for the right."),
            Problem::CrossSite => ("This request came from another site", "Open Bugle itself and do it there."),
            Problem::NotFound => ("Not found", "It may have been deleted, or the address is mistyped."),
            Problem::Invalid(reason) => (reason.as_str(), "Nothing was changed."),
            Problem::Conflict(reason) => {
                (reason.as_str(), "Nothing was changed. Reload the page to see how things are now.")
            }
            Problem::Busy => ("Busy right now", "Please try again in a moment."),
            Problem::Unexpected(error) => {
                tracing::error!("{error:#}");
                ("Something went wrong", "We have written down what happened. Please try again.")
            }
        };
        HttpResponse::build(self.status_code())
            .content_type("text/html; charset=utf-8")
            .insert_header(("HX-Reselect", "#problem"))
            .insert_header(("HX-Retarget", "#notice"))
            .insert_header(("HX-Reswap", "innerHTML"))
            .body(Page { headline, advice }.render().unwrap_or_else(|_| headline.to_owned()))
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        match error {
            diesel::result::Error::NotFound => Problem::NotFound,
            error => Problem::Unexpected(error.into()),
        }
    }
}

impl<E: Into<Problem>> From<DbError<E>> for Problem {
    fn from(error: DbError<E>) -> Self {
        match error {
            DbError::Busy(_) => Problem::Busy,
            DbError::Cancelled => Problem::Unexpected(anyhow::anyhow!("database work was cancelled")),
            DbError::Work(error) => error.into(),
        }
    }
}
