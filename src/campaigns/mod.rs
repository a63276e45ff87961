//! Campaigns: named containers that tie contacts to texts through schedules.
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
//! Every room below speaks of a campaign as [`Campaign`]. Deliberately absent: the verbs.
//! What they do to a campaign with its schedules and runs is in [`crate::control`].

mod domain;
pub mod inbound;
pub mod validity_form;
pub mod store;

pub use domain::{Campaign, CampaignKind, CampaignState, Freeze, Refused};
