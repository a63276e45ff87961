//! Schedules: the plan inside a campaign, and the buttons on it.
//!
//! ```text
//! Active ◀──resume── Paused        both ──stop──▶ Stopped   final
//!    │  ──pause──▶                 both ──its run ended──▶ Finished
//!    ▲───────────extend───────────────────────────┘
//! ```
//!
//! A schedule is written while its campaign is a draft and makes no run before
//! the campaign is launched. Pausing, resuming and stopping move the schedule and
//! its run together, under the lock of the campaign, so two people who click at
//! once make two decisions, and the second learns what the first did.
//!
//! Deliberately absent: nothing here sends or holds back a message. The claim in
//! [`crate::deliveries`] feels a pause because it locks the same run.

mod domain;
pub mod store;
pub mod actions;

pub use domain::{Draft, PausedWith, Refused, Schedule, ScheduleState};
