//! What an installation decides once for all its campaigns: quiet hours, blackout
//! dates, how often one contact may be written to, and when a launch needs a
//! second person.
//!
//! ```text
//! House, blackouts ─┐
//!                   ├─▶ effective ─▶ pacing::Calendar   when a campaign is held
//! Override ─────────┘
//! ```
//!
//! A campaign may have other quiet hours or none, and may leave the blackout dates
//! out; its choice is an [`Override`]. What is held is never lost: it goes on when
//! the hold is over.
//!
//! Deliberately absent: what a hold does to a run ([`crate::pacing`]), who counts
//! messages against the cap, and who asks for the second person. They read
//! [`store::house`].

pub mod domain;
mod quiet_form;
pub mod store;
pub mod calendars;
pub mod actions;
pub mod web;

pub use domain::{ApprovalRule, Cap, House, Override, QuietChoice, effective};
pub use quiet_form::QuietForm;
