//! Schedules: the plan inside a campaign, and its state.
//!
//! ```text
//! Active ◀──resume── Paused        both ──stop──▶ Stopped   final
//!    │  ──pause──▶                 both ──its run ended──▶ Finished
//!    ▲───────────extend───────────────────────────┘
//! ```
//!
//! One that runs [`When::Once`] is finished with its run. One that waits for daily
//! files or recurs stays active for the next; a run of each comes from
//! [`plan_run`](crate::control::clockwork::plan_run), whoever asks for it: the launch, a
//! file that was dropped, or the planner when the clock says so.
//!
//! A schedule is written while its campaign is a draft and makes no run before the
//! campaign is launched. Deliberately absent: the buttons, which move a schedule and its
//! runs together ([`crate::control`]).

mod domain;
mod rules;
pub mod store;

pub use domain::{Draft, PausedWith, Recurrence, Refused, Schedule, ScheduleState, When, edited_end, next_occurrence};
pub use rules::{After, Busy, Canary, Rules, Verdict, same_group};
