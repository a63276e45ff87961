//! The page of one contact: what is known about it, its consent, its lists, and
//! its whole history, with why nothing was sent where nothing was.
//!
//! It tells of contacts, lists, runs and deliveries at once and owns none of
//! them, so it is a room of its own below them all.
//!
//! Deliberately absent: a derivation of its own. Where a delivery stands is asked
//! of [`crate::deliveries::Standing`], as the ledger of a run does.

pub mod store;
pub mod web;
