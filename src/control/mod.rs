//! Control: PAUSE, RESUME, STOP and *extend*, of one schedule, of one campaign and of everything;
//! and what the clock does to schedules, runs and campaigns.
//!
//! A verb locks what it changes, campaign before schedule before run, asks each of them
//! ([`domain`]), writes what has become of them with an entry in the journal, and answers
//! with what it holds ([`Locked`]), all in one transaction: two people who click at once
//! make two decisions, and the second learns what the first did.
//!
//! Everything at once goes through six statements instead, which ask the same state
//! machines for the states that a verb can change: it is as quick with five million
//! contacts unsent as with five, because no delivery is touched. What an unsent contact
//! of a stopped run comes to follows from the run.
//!
//! What one PAUSE of everything has paused remembers it (`campaigns.paused_with_all`) until anything
//! else becomes of its state, so that it can be taken back, and it alone.
//!
//! Each run that follows its schedule has an entry of its own in the journal, whichever way
//! it was paused, resumed or stopped. The history of a campaign on the screen leaves these out.
//!
//! Deliberately absent: nothing here sends or holds back a message. The claim in
//! [`crate::deliveries`] feels a pause because it locks the same run.

mod domain;
pub mod store;
pub mod actions;
pub mod clockwork;

pub use domain::{Edit, End, Locked, LockedSchedule, Refused};
