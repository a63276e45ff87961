//! The sandbox carrier's books and its phones.
//!
//! The adapter ([`crate::providers::sandbox`]) decides what happens to a message;
//! this room keeps what reached which phone and what it wrote, shows the phones, lets
//! them answer by rules, and lets the carrier report through the very webhook path that
//! real providers use.
//!
//! Its books are written in transactions of their own, before the adapter
//! answers. So they can be held against the ledger: what the carrier counted
//! and what the ledger says must agree, whatever was killed in between.

pub mod domain;
pub mod store;
pub mod actions;
pub mod carrier;
mod rule_pages;
pub mod web;
