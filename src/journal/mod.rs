//! The journal: who did what, when, from which state to which, and why.
//!
//! It is for people; nothing is decided by it.

pub mod domain;
pub mod store;

pub use domain::{Entry, Happened};
pub use store::{note, note_all, note_each};
