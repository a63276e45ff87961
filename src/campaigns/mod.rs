//! Campaigns: named containers that tie contacts to texts through schedules, and STOP.
//!
//! ```text
//! Draft ──launch──▶ Active ◀──resume── Paused     both ──stop──▶ Stopped   final
//!                     │ ▲  ──pause──▶    │
//!                     ▼ └── extend       ▼
//!                   Finished ◀───────────┘ (every run has ended) ──archive──▶ Archived
//! ```
//!
//! Launching writes one waiting run for each schedule that runs once and pins the
//! text in it. The schedules of a daily campaign then wait for the day's file, those
//! of a recurring one for their time.
//! Pausing and resuming a campaign pauses and resumes its schedules together;
//! those that somebody paused by themselves stay paused.
//!
//! STOP of everything updates campaigns, schedules and runs, and never their
//! deliveries: it is as quick with five million contacts unsent as with five.
//! What an unsent contact of a stopped run comes to follows from the run.

mod domain;
pub mod inbound;
pub mod validity_form;
pub mod store;
pub mod actions;

pub use domain::{Campaign, CampaignKind, CampaignState, Freeze, Refused, same_group_twice};
