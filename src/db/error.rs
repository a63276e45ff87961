//! Why something came to nothing.

use std::error;
use std::time::Duration;

use diesel::QueryResult;

/// Why borrowed work did not produce its value.
#[derive(Debug, thiserror::Error)]
pub enum DbError<E> {
    #[error("no database connection became free in time")]
    Busy,
    /// The database did not answer, or the connection broke.
    #[error("no answer")]
    Lost(#[source] Lost),
    #[error("the work was cut short")]
    Cancelled,
    #[error(transparent)]
    Work(E),
}

/// No answer, or a connection that broke under the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database has not answered for {} s", silent_for.as_secs())]
pub struct Lost {
    /// Whether it is certain that nothing was changed, and will not be. Otherwise nobody knows.
    pub unchanged: bool,
    /// How long nobody in this process has got an answer.
    pub silent_for: Duration,
}

/// What a room says when it leaves things as they were. Its text is shown to the person.
pub trait Reason: error::Error + Send + Sync + 'static {
    /// Whether what was asked for is wrong in itself (422). Otherwise what stands in the
    /// database is against it, and the same may be right later (409).
    fn is_invalid(&self) -> bool {
        false
    }
}

/// Why an action came to nothing, which it did as a whole: its transaction is undone.
#[derive(Debug, thiserror::Error)]
pub enum Error<R> {
    #[error(transparent)]
    Refused(R),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// A refusal as it is, or that of a room whose refusals this one passes on.
impl<S: Reason + Into<R>, R> From<S> for Error<R> {
    fn from(refused: S) -> Self {
        Error::Refused(refused.into())
    }
}

impl<R> Error<R> {
    /// The same failure, told by a room that passes these refusals on.
    pub fn told_by<B>(self) -> Error<B>
    where
        R: Into<B>,
    {
        match self {
            Error::Refused(refused) => Error::Refused(refused.into()),
            Error::Database(error) => Error::Database(error),
        }
    }
}

/// A name that somebody else has becomes a refusal; `constraint` is the unique one that says so.
pub fn unless_taken<T, R>(
    result: QueryResult<T>,
    constraint: &str,
    refused: impl FnOnce() -> R,
) -> Result<T, Error<R>> {
    result.map_err(|error| match super::violates_unique(&error, constraint) {
        true => Error::Refused(refused()),
        false => Error::Database(error),
    })
}
