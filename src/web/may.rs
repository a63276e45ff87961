use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;

use actix_session::SessionExt;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::{Click, Problem};
use crate::app::App;
use crate::db::Lost;
use crate::ids::UserId;

/// What somebody may do, from looking to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Viewer,
    Operator,
    Manager,
    Admin,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Operator, Role::Manager, Role::Admin];

    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Manager => "manager",
            Role::Admin => "admin",
        }
    }

    pub fn of_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A signed-in person.
///
/// Read from the database with the session, for every request anew: a person who
/// was disabled or given another role a moment ago is so in the next request.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub role: Role,
}

impl Person {
    /// Where the session keeps the person. Putting one there signs them in.
    pub const IN_SESSION: &'static str = "person";
    /// Stands in a session that could not be read just now: for how many seconds the
    /// database has not answered, or nothing when it was just busy.
    pub const UNKNOWN_IN_SESSION: &'static str = "person_unknown";

    /// Who is asking.
    pub fn of(req: &HttpRequest) -> Result<Person, Problem> {
        let session = req.get_session();
        if let Ok(Some(silent_for)) = session.get::<Option<u64>>(Self::UNKNOWN_IN_SESSION) {
            let lost = |seconds| Lost { unchanged: true, silent_for: Duration::from_secs(seconds) };
            let problem = silent_for.map(lost).map_or(Problem::Busy, Problem::NoDatabase);
            return Err(match Click::of(req) {
                Some(click) => problem.clicking(click),
                None => problem,
            });
        }
        match session.get(Self::IN_SESSION) {
            Ok(person) => person.ok_or_else(|| Problem::sign_in_first(req)),
            Err(error) => Err(Problem::Unexpected(error.into())),
        }
    }
}

/// A right that a handler can ask for in its signature.
pub trait Right: 'static {
    /// The least role that has it.
    const NEEDS: Role;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident needs $role:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Right for $name {
            const NEEDS: Role = Role::$role;
        }
    )+};
}

rights! {
    /// Look at everything.
    View needs Viewer,
    /// Upload, pause, resume, answer people.
    Operate needs Operator,
    /// Create, edit, launch, stop one.
    Manage needs Manager,
    /// STOP all, channels, users, settings.
    StopEverything needs Admin,
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
        ready(match Person::of(req) {
            Ok(person) if person.role < R::NEEDS => Err(Problem::NotAllowed),
            Ok(person) => Ok(May { person, right: PhantomData }),
            Err(problem) => Err(problem),
        })
    }
}

/// What the layout around every signed-in page shows.
#[derive(Clone, Debug)]
pub struct Frame {
    pub person: Person,
    /// Path of the page, to mark where we are in the rail.
    pub path: String,
    /// Whether everything is held, because history was lost.
    pub held: bool,
}

impl Frame {
    /// Whether the page lies under `path`, such as `/campaigns`.
    pub fn under(&self, path: &str) -> bool {
        self.path == path || self.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
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
        let held = req.app_data::<Data<App>>().is_some_and(|app| app.marks.is_held());
        ready(Person::of(req).map(|person| Frame { person, path: req.path().to_owned(), held }))
    }
}
