//! Addresses never to be written to, or not until a day is over.
//!
//! Every claim asks for it just before a message leaves, so blocking an address
//! holds for what is queued already; it is answered when nothing claimed before can
//! begin ([`crate::contacts::quiet`]). An entry that has ended holds nothing
//! back. Entries that have ended stay on the list until somebody removes them.
//!
//! Deliberately absent: opt-outs, which are the person's own word and stand with
//! the contact; and removing one's past deliveries.

pub mod domain;
pub mod store;
pub mod actions;
pub mod web;
