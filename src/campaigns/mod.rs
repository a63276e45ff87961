//! Campaigns: named containers that tie contacts to texts through schedules, the
//! screen they stand on, and STOP.
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
//! Before a launch, [`review`] shows what it would do, [`dry_run`] writes and weighs
//! every message, [`trial`] sends one to somebody's own phone, and where the house
//! wants a second person [`approvals`] asks for one. What these found out holds for one
//! [`fingerprint`] of the draft.
//!
//! In an inbound campaign the contact writes first: [`inbound`] has its hours and texts, and
//! [`reception`] makes and changes it in one go. It has no runs.
//!
//! STOP of everything updates campaigns, schedules and runs, and never their
//! deliveries: it is as quick with five million contacts unsent as with five.
//! What an unsent contact of a stopped run comes to follows from the run.

mod domain;
pub mod inbound;
pub mod fingerprint;
pub mod screen;
pub mod store;
pub mod actions;
pub mod approvals;
pub mod dry_run;
pub mod trial;
pub mod review;
pub mod typed;
pub mod quick;
pub mod reception;
pub mod web;
pub mod live;

pub use domain::{Campaign, CampaignKind, CampaignState, Freeze, Refused};
