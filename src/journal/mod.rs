//! The journal: who did what, when, from which state to which, and why.

pub mod store;

pub use store::{Entry, record, record_each};
