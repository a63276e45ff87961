//! What this process knows to have been written down, and whether the database still knows it.
//!
//! A database can forget what it had confirmed: somebody restores an older dump, or a
//! standby takes over that was behind. Its cursors then stand where they stood before, and
//! whoever trusts them sends a second time. So every process keeps in memory what it claimed
//! and saw, and asks before each claim whether that is still there; the same stands in a
//! file outside of the database, the mark, for the process that starts after the restore.
//!
//! ```text
//! claim committed ─▶ known, and a line in the mark, before anything is sent
//! pause, stop     ─▶ known, and a line in the mark, before it is answered
//! each second     ─▶ what others did is read and added; the mark is written anew and synced
//! before a claim, each second, at the start: is it all there?  no ─▶ everything is held
//! ```
//!
//! The mark is never behind a send of a process that is killed; after a power cut of the
//! machine it may lack what was claimed since it was last synced, a second at most.
//!
//! Deliberately absent: what follows for runs, replies and people ([`crate::losses`]).

mod domain;
mod file;
mod keep;
pub mod store;

pub use domain::{ClaimMark, Fact, KnownRuns, Newest, Stand, Top};
pub use keep::Marks;
