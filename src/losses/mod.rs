//! Lost history: the database knows less than it had confirmed. Everything is held until
//! somebody has looked and says how to go on.
//!
//! ```text
//! noticed ─▶ held, in the database, by every process: no claim of runs, none of replies
//!            runs: the cursor moves to where it is known to have stood; whom it passes is unconfirmed
//!            schedules whose run is not known any more, or was paused or stopped in what was lost: paused
//! released ─▶ as it stands, and nobody gets anything twice; or those who are still unconfirmed are sent to again
//! ```
//!
//! What arrives meanwhile is taken in: receipts and late results settle what is
//! unconfirmed, messages of people are kept. PAUSE and STOP work as ever.
//!
//! A loss that is on record is spoken for: a mark that knows no more than it did raises no
//! second one, on whatever machine it lay.
//!
//! Deliberately absent: how it is noticed ([`crate::marks`]).

pub mod store;
pub mod actions;
pub mod web;
