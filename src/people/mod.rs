//! Who may sign in, and the sessions of those who did.
//!
//! ```text
//! Enabled ──disable──▶ Disabled
//!     ▲                   │
//!     └──────enable───────┘
//! ```
//!
//! A session lives in Postgres and its cookie is only a key to it. Every request
//! reads the session together with the person, in one query, so signing out,
//! disabling somebody and a new role hold from the next request on.
//!
//! Attempts to sign in are counted by what was typed and from where, before the password
//! is looked at: guesses made side by side are all counted, and an address that belongs
//! to nobody is answered, and slowed down, like any other. A browser in which somebody has
//! signed in before is counted by itself: no stranger can keep its person out.
//!
//! Deliberately absent: what a role may do. That is [`crate::web::May`], named by
//! each handler in its signature.

pub mod actions;
pub mod domain;
pub mod known;
pub mod store;
pub mod first_password;
pub mod web;
