//! Who asks, and what they may.
//!
//! Four roles, each with the rights of those before it. What a handler needs stands in its
//! signature (`web::May`); what an action writes down is who did it ([`Actor`]).

use crate::ids::UserId;
use crate::words::words;

words! {
    /// What somebody may do, from looking to everything.
    #[derive(PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Role {
        Viewer = "viewer",
        Operator = "operator",
        Manager = "manager",
        Admin = "admin",
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
    /// Where a session keeps the person. Putting one there signs them in.
    pub const IN_SESSION: &'static str = "person";
    /// Stands in a session that could not be read just now: for how many seconds the
    /// database has not answered, or nothing when it was just busy.
    pub const UNKNOWN_IN_SESSION: &'static str = "person_unknown";
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Person(UserId),
    /// What moves by itself: a schedule that ends, a file that is not used any more.
    Clock,
    /// Whoever may run the program on the machine.
    Shell,
    /// Somebody who has not signed in.
    Stranger,
}

impl Actor {
    /// The person, if one did it.
    pub fn person(self) -> Option<UserId> {
        match self {
            Actor::Person(id) => Some(id),
            Actor::Clock | Actor::Shell | Actor::Stranger => None,
        }
    }

    /// The word for whoever is neither a person nor the clock.
    pub fn other(self) -> Option<&'static str> {
        match self {
            Actor::Person(_) | Actor::Clock => None,
            Actor::Shell => Some("shell"),
            Actor::Stranger => Some("stranger"),
        }
    }
}

impl From<UserId> for Actor {
    fn from(id: UserId) -> Self {
        Actor::Person(id)
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
    /// People, channels, settings, words of consent.
    Administer needs Admin,
    /// STOP all.
    StopEverything needs Admin,
}
