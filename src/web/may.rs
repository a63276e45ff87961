use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;

use actix_session::SessionExt;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::{Click, Problem};
use crate::access::{Export, Person, Right, Role, SeeAddresses};
use crate::app::{App, DemoProgress};
use crate::db::Lost;

/// Who is asking.
pub fn who_asks(req: &HttpRequest) -> Result<Person, Problem> {
    let session = req.get_session();
    if let Ok(Some(silent_for)) = session.get::<Option<u64>>(Person::UNKNOWN_IN_SESSION) {
        let lost = |seconds| Lost { unchanged: true, silent_for: Duration::from_secs(seconds) };
        let problem = silent_for.map(lost).map_or(Problem::Busy, Problem::NoDatabase);
        return Err(match Click::of(req) {
            Some(click) => problem.clicking(click),
            None => problem,
        });
    }
    match session.get(Person::IN_SESSION) {
        Ok(person) => person.ok_or_else(|| Problem::sign_in_first(req)),
        Err(error) => Err(Problem::Unexpected(error.into())),
    }
}

/// Proof that the request comes from a signed-in person with the right `R`.
///
/// A handler that takes a `May<R>` cannot run without one.
#[derive(Debug)]
pub struct May<R> {
    pub person: Person,
    right: PhantomData<R>,
}

impl<R: Right> FromRequest for May<R> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match who_asks(req) {
            Ok(person) if person.role < R::NEEDS => Err(Problem::NotAllowed),
            Ok(person) => Ok(May { person, right: PhantomData }),
            Err(problem) => Err(problem),
        })
    }
}

/// How many wait for somebody in the inbox, and what happens when one more does.
#[derive(Clone, Debug)]
pub struct Waits {
    pub n: i64,
    /// `14`, or `1,000+`; nothing when nobody waits.
    pub words: Option<String>,
    /// As stored.
    pub alerts: &'static str,
}

/// What the layout around every signed-in page shows.
#[derive(Clone, Debug)]
pub struct Frame {
    pub person: Person,
    /// Path of the page, to mark where we are in the rail.
    pub path: String,
    /// Whether everything is held, because history was lost.
    pub held: bool,
    /// How far the demo is, while it is written.
    pub demo: Option<DemoProgress>,
    /// What was done on the page before, and whether that is good news.
    pub said: Option<(String, bool)>,
    /// On pages of the inbox; others ask for it afterwards.
    pub waits: Option<Waits>,
}

impl Frame {
    pub fn of(req: &HttpRequest) -> Result<Frame, Problem> {
        let app = req.app_data::<Data<App>>();
        let held = app.is_some_and(|app| app.marks.is_held());
        let demo = app.and_then(|app| app.pulse.demo());
        let (person, path) = (who_asks(req)?, req.path().to_owned());
        Ok(Frame { person, path, held, demo, said: None, waits: None })
    }

    /// Whether the page lies under `path`, such as `/campaigns`.
    pub fn under(&self, path: &str) -> bool {
        self.path == path || self.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    }

    /// An address as whoever looks is shown it.
    pub fn sees(&self, address: impl AsRef<str>) -> String {
        self.person.sees(address)
    }

    /// A value or a text about whoever has this address, as whoever looks is shown it.
    pub fn sees_text(&self, text: impl AsRef<str>, address: impl AsRef<str>) -> String {
        self.person.sees_text(text, address)
    }

    pub fn sees_addresses(&self) -> bool {
        self.person.has::<SeeAddresses>()
    }

    /// Whether tables to take away should be offered.
    pub fn may_export(&self) -> bool {
        self.person.has::<Export>()
    }

    /// Whether buttons that need `role` should be offered.
    pub fn may(&self, role: &Role) -> bool {
        self.person.role >= *role
    }
}

impl FromRequest for Frame {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Frame::of(req).map(|frame| Frame { said: super::said::heard(req), ..frame }))
    }
}
