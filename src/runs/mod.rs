//! Runs: one dated execution of a schedule.
//!
//! ```text
//! Waiting ──start──▶ Running ──end──▶ Completed   every contact was attempted or skipped
//!    │  ▲               │  ▲
//!  pause resume       pause resume    Waiting, Running or Paused
//!    ▼  │               ▼  │            ──end──▶  Overrun     contacts unsent at the end time
//!    Paused ◀───────────┘  │            ──stop─▶  Stopped     final
//!                          └──extend── Overrun or Paused, with a new end time
//!                          └──add───── Completed, with more contacts
//! ```
//!
//! A run is a numbered row of contacts and a cursor: contacts before `next_seq`
//! have been claimed, those from it on have not. Pausing freezes the clock,
//! resuming moves it on; the cursor stays where it is, so "continues from where
//! it stopped" is not computed but simply true.
//!
//! Deliberately absent: claiming and sending ([`crate::deliveries`]), and what a
//! pause means for the schedule and its campaign ([`crate::control`]).

mod domain;
pub mod store;

pub use domain::{Begun, Refused, Run, RunClock, RunState};
