//! Conversations: what people write is taken in, answered by a bot or a human, and kept.
//!
//! ```text
//!                    provider's webhook                     widget, phone
//!                          │                                     │
//!                      intake ── receipts ──▶ the ledger, or a message of ours
//!                          │
//!            take_in: one transaction per message
//!   stored once ─▶ opt-out words ─▶ route ─▶ the bot's turn ─▶ replies queued
//!                                     │
//!                                     └─▶ no bot, or it cannot go on: the inbox
//! ```
//!
//! A conversation of a campaign begins when a provider has taken its first message,
//! which left through the campaign's run like any other; [`actions::open_next`] then
//! takes the bot's first turn again, at the instant at which it spoke, and writes
//! it down. Everything said afterwards, by bots, agents and the house, leaves through
//! the [`replies`]: claim, send, settle, with leases and attempts as in the ledger, but
//! one message at a time of each conversation, in the order in which they were written.
//!
//! # What PAUSE and STOP mean here
//!
//! | | bot answers a reply | bot speaks up by itself | humans answer | messages come in |
//! | --- | --- | --- | --- | --- |
//! | paused | yes | held | yes | yes |
//! | stopped | no | no | yes | yes, into the inbox |
//!
//! A claim locks the schedule and the campaign that govern a message against change and looks at
//! their states; pause and stop change them. So nothing they govern begins after they have answered.
//!
//! A conversation that a campaign's next message takes over from is closed, unless a human has it.
//! Humans answer in the inbox, a room of its own ([`crate::inbox`]).
//! Who has opted out, is blocked or in doubt is heard, and answered by humans alone; and so is an
//! address at which a machine seems to answer the bot ([`rounds`]).

pub mod domain;
pub mod rounds;
pub mod store;
pub mod replies;
pub mod actions;
pub mod pieces;
pub mod sent_to;
pub mod intake;
pub mod looked_up;
pub mod web;

pub use domain::{Began, Conversation, Handler, closed_words};
