//! Web chat: the widget, what its visitors write, and what is written to them.
//!
//! ```text
//! widget ── POST messages ──▶ written down, and taken in as any message of a contact
//!        ◀── stream ───────── what stands after the last number that it shows
//!        ── POST ack ───────▶ receipts: delivered
//! ```
//!
//! A visitor's messages are numbered in both directions under one count. So a widget that
//! was away asks for what comes after its last number and is given exactly that; and what
//! it could not be sure to have sent it sends again, under the same name, once.
//!
//! The doors are open to strangers. Who knocks is told by a token that only we can sign;
//! from where, by the browser, and a channel lists the sites that may. How much is limited.

pub mod domain;
pub mod store;
pub mod actions;
mod books;
pub mod lobby;
pub mod web;

pub use books::books;
