//! Schedules: the plan inside a campaign, and the buttons on it.
//!
//! ```text
//! Active ◀──resume── Paused        both ──stop──▶ Stopped   final
//!    │  ──pause──▶                 both ──its run ended──▶ Finished
//!    ▲───────────extend───────────────────────────┘
//! ```
//!
//! One that runs [`When::Once`] is finished with its run. One that waits for daily
//! files or recurs stays active for the next; a run of each comes from
//! [`actions::plan_run`], whoever asks for it: the launch, a file that was dropped,
//! or the planner when the clock says so.
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

pub use domain::{Draft, PausedWith, Recurrence, Refused, Schedule, ScheduleState, When, next_occurrence};
