//! Telling what went wrong with the work from what went wrong with the database beneath it.

use std::error::Error;
use std::io;

use diesel::ConnectionError;
use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
use diesel::result::Error as Failure;

use super::{CannotConnect, Lost};

/// Whether work failed because its connection was lost, or none could be had: it may succeed later.
pub fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(says_so)
}

fn says_so(error: &(dyn Error + 'static)) -> bool {
    let lost = |failure: &Failure| matches!(failure, Failure::DatabaseError(ClosedConnection | UnableToSendCommand, _));
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref().is_some_and(lost)
        || inside.and_then(|inside| inside.downcast_ref()).is_some_and(lost)
        || error.is::<ConnectionError>()
        || error.is::<CannotConnect>()
        || error.is::<r2d2::Error>()
        || error.is::<Lost>()
}
