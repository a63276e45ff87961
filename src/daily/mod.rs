//! Daily files: when one is expected, what is said to one that comes, and the runs it makes.
//!
//! ```text
//! dropped ──judged──▶ importing ──imported──▶ launched    its rows are in the day's runs
//!              │  │        ▲  └───────────┐
//!              │  └▶ asked ┘ add, replace │               another file was first today
//!              ▼         └────── leave ──▶▼
//!           refused ◀─────────────────────┘               somebody may let it in all the same
//! ```
//!
//! A file is judged before a row of it is read ([`domain::judge`]). What is let in
//! is imported with the mapping of the campaign's template, and when that is done a
//! tick makes the day's runs, one of each schedule. An expected window that closes
//! without a file is a missed day.
//!
//! Everything here happens under the lock of the campaign, so two people who drop
//! at once are first and second.
//!
//! Deliberately absent: starting what is late. A run made after its start time
//! follows its late-start policy by itself.

pub mod domain;
pub mod store;
pub mod actions;
pub mod web;
