use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_session::{Session, SessionExt};
use actix_web::http::Method;
use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::Htmx;

/// Where the session keeps it.
const SAID: &str = "said";

/// Says once, on the page that is led to, that something is done.
pub struct Say(Session);

impl Say {
    /// In a sentence. What was said before and not heard yet is forgotten.
    pub fn that(&self, words: impl Into<String>) {
        self.keep(words.into(), true);
    }

    /// The same of something that was not done.
    pub fn sorry(&self, words: impl Into<String>) {
        self.keep(words.into(), false);
    }

    fn keep(&self, words: String, is_good: bool) {
        // What is lost of it undoes nothing of what it speaks of.
        let _ = self.0.insert(SAID, (words, is_good));
    }
}

impl FromRequest for Say {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Say(req.get_session())))
    }
}

/// What is to be said on this page, and whether it is good news. A fragment of a page says nothing, and leaves it for the next one.
pub(super) fn heard(req: &HttpRequest) -> Option<(String, bool)> {
    if req.method() != Method::GET || Htmx::of(req).0 {
        return None;
    }
    let session = req.get_session();
    let said = session.get(SAID).ok()??;
    // Removing writes the session anew and lets it last, even where nothing is there.
    session.remove(SAID);
    Some(said)
}
