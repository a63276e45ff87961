use std::borrow::Cow;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use super::{Htmx, local_path, see_other};
use crate::db::{DbError, Error, Lost, Reason};

/// Everything a handler may answer instead of what was asked for.
///
/// One HTML page serves both readers: a browser shows it whole, and htmx is told
/// to lift `#problem` out of it and put it in `#notice`.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nobody is signed in. `next` is the page to come back to.
    #[error("sign in first")]
    SignInFirst { htmx: Htmx, next: Option<String> },
    /// Signed in, but without the right this needs.
    #[error("not allowed")]
    NotAllowed,
    /// The request was made by another site's page.
    #[error("cross-site request")]
    CrossSite,
    /// The request was made to a name that we do not know to be ours.
    #[error("unknown host")]
    UnknownHost,
    #[error("not found")]
    NotFound,
    /// The request does not make sense; says what to do about it.
    #[error("{0}")]
    Invalid(String),
    /// More was sent than is taken in; says how much fits.
    #[error("{0}")]
    TooLarge(String),
    /// The thing asked about is no longer in the state the page showed.
    #[error("{0}")]
    Conflict(String),
    #[error("busy")]
    Busy,
    /// So many slow questions of this person, or of all, are under way that one more has to wait.
    #[error("too many questions at once")]
    TooMany,
    /// The body of the request did not come in time.
    #[error("too late")]
    TooLate,
    /// The question takes longer than anybody may keep the database busy.
    #[error("too slow")]
    TooSlow,
    /// The database does not answer.
    #[error("{0}")]
    NoDatabase(Lost),
    /// A click that must be answered was not carried out, or nobody knows whether it was.
    #[error("not done: {0:?}")]
    NotDone(Click, Option<Lost>),
    /// It was carried out, and what it led to cannot be shown.
    #[error("done: {0:?}")]
    Unseen(Click),
    /// A bug ended the request; the log has heard of it already.
    #[error("a bug")]
    Panicked,
    /// A bug or a broken part. The cause is logged and never shown.
    #[error("unexpected: {0:#}")]
    Unexpected(anyhow::Error),
}

/// The clicks whose answer has to be true whatever breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Click {
    Pause,
    PauseAll,
    Resume,
    ResumeAll,
    Stop,
    StopAll,
    /// Any other change of a campaign or a schedule.
    Edit,
}

impl Click {
    /// Which one a request is.
    pub fn of(req: &HttpRequest) -> Option<Click> {
        if req.method() != Method::POST {
            return None;
        }
        match req.path().rsplit('/').next()? {
            "pause" => Some(Click::Pause),
            "pause-all" => Some(Click::PauseAll),
            "resume" => Some(Click::Resume),
            "resume-all" => Some(Click::ResumeAll),
            "stop" if req.path() == "/stop" => Some(Click::StopAll),
            "stop" => Some(Click::Stop),
            _ => None,
        }
    }

    fn not_done(self) -> &'static str {
        match self {
            Click::Pause => "Not paused",
            Click::PauseAll => "Nothing was paused",
            Click::Resume => "Not resumed",
            Click::ResumeAll => "Nothing was resumed",
            Click::Stop => "Not stopped",
            Click::StopAll => "Nothing was stopped",
            Click::Edit => "Not changed",
        }
    }

    fn unknown(self) -> &'static str {
        match self {
            Click::Pause => "It is not known whether it was paused",
            Click::PauseAll => "It is not known whether everything was paused",
            Click::Resume => "It is not known whether it was resumed",
            Click::ResumeAll => "It is not known what was resumed",
            Click::Stop => "It is not known whether it was stopped",
            Click::StopAll => "It is not known whether everything was stopped",
            Click::Edit => "It is not known whether it was changed",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Click::Pause => "Paused. Nothing more will leave.",
            Click::PauseAll => "Everything is paused. Nothing more will leave.",
            Click::Resume => "Resumed",
            Click::ResumeAll => "Everything that was paused together is resumed",
            Click::Stop => "Stopped. Nothing more will leave.",
            Click::StopAll => "Everything is stopped. Nothing more will leave.",
            Click::Edit => "Changed",
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    headline: &'a str,
    advice: &'a str,
}

impl Problem {
    /// The same, as whoever clicked has to hear it.
    pub fn clicking(self, click: Click) -> Self {
        match self {
            Problem::Busy | Problem::TooSlow => Problem::NotDone(click, None),
            Problem::NoDatabase(lost) => Problem::NotDone(click, Some(lost)),
            other => other,
        }
    }

    pub fn sign_in_first(req: &HttpRequest) -> Self {
        let htmx = Htmx::of(req);
        // What htmx asked for is a fragment; the page around it is where to return to.
        let next = match htmx {
            Htmx(true) => req.headers().get("HX-Current-URL").and_then(|url| path_of(url.to_str().ok()?)),
            Htmx(false) if req.method() == Method::GET => req.uri().path_and_query().map(|next| next.as_str()),
            Htmx(false) => None,
        };
        Problem::SignInFirst { htmx, next: next.and_then(local_path).map(str::to_owned) }
    }

    /// What happened, and what to do.
    pub(super) fn words(&self) -> (Cow<'_, str>, Cow<'_, str>) {
        let (headline, advice): (&str, &str) = match self {
            Problem::SignInFirst { .. } => ("Sign in first", "You are signed out."),
            Problem::NotAllowed => ("You may not do this", "Ask an admin of this installation for the right."),
            Problem::CrossSite => ("This request came from another site", "Open Bugle itself and do it there."),
            Problem::UnknownHost => (
                "Bugle does not know itself by this name",
                "Start it with --public-url and the address that browsers use, or open it by its IP address.",
            ),
            Problem::NotFound => ("Not found", "It may have been deleted, or the address is mistyped."),
            Problem::Invalid(reason) | Problem::TooLarge(reason) => (reason.as_str(), "Nothing was changed."),
            Problem::Conflict(reason) => {
                (reason.as_str(), "Nothing was changed. Reload the page to see how things are now.")
            }
            Problem::Busy => ("Busy right now", "Please try again in a moment."),
            Problem::TooMany => ("Too many slow questions at once", "Wait until one has its answer, and try again."),
            Problem::TooLate => ("This request took too long to arrive", "Nothing was changed. Please try again."),
            Problem::TooSlow => (
                "This takes too long to find out",
                "Nothing was changed. Ask for less, or try again when less is going on.",
            ),
            Problem::NoDatabase(lost) => {
                let advice = format!("{} {} {}", no_answer(lost), unchanged(lost), UNTIL_THEN);
                return ("The database does not answer".into(), advice.into());
            }
            Problem::NotDone(click, None) => {
                (click.not_done(), "Too much is going on right now, and sending goes on as before. Press it again.")
            }
            Problem::NotDone(click, Some(lost)) => {
                let advice =
                    format!("{} What is being sent goes on when it answers: press again then.", no_answer(lost));
                return (if lost.unchanged { click.not_done() } else { click.unknown() }.into(), advice.into());
            }
            Problem::Unseen(click) => (
                click.done(),
                "The database stopped answering just afterwards, so what is still on its way cannot be listed. Reload the page in a moment.",
            ),
            Problem::Panicked | Problem::Unexpected(_) => WENT_WRONG,
        };
        (headline.into(), advice.into())
    }
}

fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').and_then(|start| rest.get(start..))
}

const WENT_WRONG: (&str, &str) = ("Something went wrong", "We have written down what happened. Please try again.");

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Problem::SignInFirst { .. } => StatusCode::UNAUTHORIZED,
            Problem::NotAllowed | Problem::CrossSite => StatusCode::FORBIDDEN,
            Problem::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::Conflict(_) => StatusCode::CONFLICT,
            Problem::Busy | Problem::TooSlow | Problem::NoDatabase(_) | Problem::NotDone(..) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Problem::Unseen(_) => StatusCode::OK,
            Problem::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Problem::TooLate => StatusCode::REQUEST_TIMEOUT,
            Problem::Panicked | Problem::Unexpected(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Problem::SignInFirst { htmx, next } = self {
            return sign_in(*htmx, next.as_deref());
        }
        if let Problem::Unexpected(error) = self {
            tracing::error!("{error:#}");
        }
        let mut response = HttpResponse::build(self.status_code());
        if let Problem::TooLarge(_) = self {
            // What is left of it is not read.
            response.force_close();
        }
        let (headline, advice) = self.words();
        let (headline, advice) = (headline.as_ref(), advice.as_ref());
        response
            .content_type("text/html; charset=utf-8")
            .insert_header(("HX-Reselect", "#problem"))
            .insert_header(("HX-Retarget", "#notice"))
            .insert_header(("HX-Reswap", "innerHTML"))
            .body(Page { headline, advice }.render().unwrap_or_else(|_| headline.to_owned()))
    }
}

/// What can be promised while the database is away: claims are made in it.
const UNTIL_THEN: &str = "Nothing begins to be sent until it answers.";

fn no_answer(lost: &Lost) -> String {
    match lost.silent_for.as_secs() {
        0 => "The connection to the database broke just now.".to_owned(),
        1 => "The database has not answered for a second.".to_owned(),
        n => format!("The database has not answered for {n} seconds."),
    }
}

fn unchanged(lost: &Lost) -> &'static str {
    match lost.unchanged {
        true => "Nothing was changed.",
        false => "Whether anything was changed is not known: look when it answers.",
    }
}

fn sign_in(htmx: Htmx, next: Option<&str>) -> HttpResponse {
    let location = match next {
        Some(next) => {
            format!("/sign-in?{}", form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish())
        }
        None => "/sign-in".to_owned(),
    };
    match htmx {
        // A 303 would make htmx put the sign-in page inside the fragment.
        Htmx(true) => HttpResponse::Unauthorized().insert_header(("HX-Redirect", location)).finish(),
        Htmx(false) => see_other(location),
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        match error {
            diesel::result::Error::NotFound => Problem::NotFound,
            // Only the character NUL gets this far: Postgres has no place for it.
            diesel::result::Error::DatabaseError(_, told) if told.message().contains("invalid byte sequence") => {
                Problem::Invalid("The text has a character in it that cannot be stored. Type it again.".into())
            }
            diesel::result::Error::DatabaseError(_, told) if told.message().contains("statement timeout") => {
                Problem::TooSlow
            }
            diesel::result::Error::DatabaseError(_, told) if told.message().contains("lock timeout") => Problem::Busy,
            error => Problem::Unexpected(error.into()),
        }
    }
}

impl<R: Reason> From<Error<R>> for Problem {
    fn from(error: Error<R>) -> Self {
        match error {
            Error::Refused(refused) if refused.is_invalid() => Problem::Invalid(refused.to_string()),
            Error::Refused(refused) => Problem::Conflict(refused.to_string()),
            Error::Database(error) => error.into(),
        }
    }
}

impl<E: Into<Problem>> From<DbError<E>> for Problem {
    fn from(error: DbError<E>) -> Self {
        match error {
            DbError::Busy => Problem::Busy,
            DbError::Lost(lost) => Problem::NoDatabase(lost),
            DbError::Cancelled => Problem::Unexpected(anyhow::anyhow!("database work was cancelled")),
            DbError::Work(error) => error.into(),
        }
    }
}
