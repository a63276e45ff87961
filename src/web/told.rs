use actix_session::Session;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Problem;

/// Bytes of what was typed that a session keeps, so that it stands in its form again.
pub const KEPT_TO_CORRECT: usize = 16 << 10;
/// Under which name a session keeps it.
const TOLD: &str = "told";

/// Keeps what the page at `path` will say once, so that what has been done can be answered with a
/// redirect, and a page that is loaded again does nothing again.
pub fn tell_once<T: Serialize>(session: &Session, path: &str, told: &T) -> Result<(), Problem> {
    session.insert(TOLD, (path, told)).map_err(|error| Problem::Unexpected(error.into()))
}

/// What there is to say on the page at `path`, once.
pub fn told_once<T: DeserializeOwned>(session: &Session, path: &str) -> Option<T> {
    let (of, told): (String, serde_json::Value) = session.get(TOLD).ok()??;
    if of != path {
        return None;
    }
    session.remove(TOLD);
    serde_json::from_value(told).ok()
}
