//! Drafts: what a campaign is before its launch, and the launch.
//!
//! [`review`] shows what a launch would do, [`dry_run`] writes and weighs every message,
//! [`test_send`] sends one to somebody's own phone, and where the house wants a second person
//! [`approvals`] asks for one. What these found out holds for one [`fingerprint`] of the draft;
//! [`audience`] has whom it goes to, [`obstacles`] what keeps it from being launched. [`rest`] begins one for those whom a run did not reach.
//!
//! What of a launch is out of the ordinary wants a yes of its own, with its figure: [`own_yes`].
//!
//! Every edit is in the journal with what it was before.

mod domain;
pub mod fingerprint;
pub mod audience;
pub mod approvals;
pub mod dry_run;
pub mod test_send;
pub mod obstacles;
pub mod actions;
pub mod rest;
pub mod review;
pub mod own_yes;
pub mod web;

pub use domain::Refused;
