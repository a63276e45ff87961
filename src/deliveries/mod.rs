//! One contact times one run, from planned to known fate: the outbox and the ledger of campaigns.
//! What is said afterwards, in conversations, leaves through [`crate::conversations::replies`].
//!
//! ```text
//! planned ──claim──▶ in flight ──settle──▶ accepted ─▶ sent ─▶ delivered      upwards only;
//!    ▲                 │   │                                    failed         receipts say more
//!    └───── later ─────┘   ├─────▶ skipped, rejected, invalid …                a final word
//!                          └─────▶ unconfirmed   fate unknown; only a receipt or a person moves it
//! ```
//!
//! A claim takes the next few contacts of a run by moving the run's cursor and
//! writing one lease; it writes no row of the ledger. Where a run has rules about its
//! contacts, [`turn`] looks at them first, and puts off or leaves out some. Because it locks the run's
//! row and so do pause and stop, no claim can follow a pause that has committed.
//! What is left on the wire then is exactly what open leases say, and
//! [`quiet`] waits for them.
//!
//! Nothing is ever sent again by itself when its fate is unknown. Measured with
//! providers in mind whose send calls are not idempotent, putting such contacts
//! back into the queue doubled dozens of messages at every crash.
//!
//! Deliberately absent: who may pause, and what it means ([`crate::schedules`]);
//! when to claim and how many at once ([`crate::engine`]).

mod domain;
pub mod quiet;
pub mod turn;
pub mod claim;
pub mod counts;
pub mod prepare;
pub mod rescue;
pub mod settle;
pub mod actions;
pub mod ledger;
pub mod web;

pub use crate::providers::BEGIN_WITHIN;
pub use domain::{
    Claim, ClaimedContact, CountChange, Counts, Fate, LEASE, LOST, Lease, OnRecord, Outcome, OutcomeGroup, PATIENCE,
    Settled, Show, Standing, Word, even_part, fate, merge,
};
