//! Bots: numbered versions of steps that talk with one contact at a time.
//!
//! A bot is a value. [`turn::turn`] takes the steps of a version, what is remembered
//! of a conversation and what has happened, and answers with what to say, what to do,
//! what to remember and when to come back. It reads no clock and no table, so the
//! simulator in the editor and a real conversation are the same code.
//!
//! ```text
//! draft ── publish ──▶ version 1 ── 2 ── 3      never changed again
//!   ▲                                  │
//!   └── edit, import                   └── revert to 1 ──▶ version 4, with the steps of 1
//! ```
//!
//! # As JSON
//!
//! What is exported, imported and stored. Every key is always written; an import may
//! leave out those that are marked with `?`, and has no others.
//!
//! ```text
//! { "bugle_bot": 1, "name": "Survey", "version": 3?, "steps": [
//!   { "id": "s1", "name": "Greeting", "do": "message", "text": "Hello #name|there#", "next": "s2"? },
//!   { "id": "s2", "name": "How was it", "do": "ask", "text": "From 1 to 5?",
//!     "accept": { "kind": "entity", "entity": "number" }?, "store": "score"?,
//!     "retries": 1?, "retry_text": "A number, please."?,
//!     "routes": [ { "field": null?, "op": "at_most", "value": "2"?, "to": "s4"? } ]?,
//!     "otherwise": null?,
//!     "no_reply": { "after": 2, "unit": "hours", "to": "s3"? }? },
//!   { "id": "s3", "name": "Thanks", "do": "close", "text": "Thank you."? },
//!   { "id": "s4", "name": "To a human", "do": "hand_over", "text": "Somebody will write to you."? } ] }
//! ```
//!
//! - `do`: [`message`, `ask`, `entity`, `branch`, `set_field`, `label`, `hand_over`,
//!   `block`, `close`](steps::Act), each with its own keys.
//! - `next`, `otherwise`, `to`: the id of a step; `null` is the step below.
//! - `accept`: `{"kind": "text"}`, `{"kind": "choices", "choices": [{"value": "yes",
//!   "synonyms": ["yeah"]?}]}` or `{"kind": "entity", "entity": "date"}`.
//! - `op`: a word of [`conditions::Op`]; several words in a `value` have commas between them.
//!
//! Deliberately absent: sending. Whoever holds a conversation asks for a turn, and
//! sends what it says through the ledger like everything else. Opt-out words are not
//! a bot's business either: they work before any bot is asked.

pub mod entities;
pub mod steps;
pub mod conditions;
pub mod turn;
pub mod checks;
pub mod compare;
pub mod exchange;
pub mod examples;
pub mod first;
pub mod drawing;
pub mod domain;
pub mod store;
pub mod actions;
pub mod web;
#[cfg(test)]
mod laws;
