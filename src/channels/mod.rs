//! The channels somebody has configured: as whom we send, through whom, and how fast.
//!
//! A channel's kind and provider stay as they were chosen: addresses, consent and
//! ledgers speak of them. Name, sender, limit and the provider's settings may
//! change at any time and hold from the next claim on.
//!
//! Deliberately absent: the adapters ([`crate::providers`]), and removing a channel:
//! ledgers of past runs name it.

pub mod domain;
pub mod store;
pub mod room;
pub mod reach;
pub mod references;
pub mod look_ups;
pub mod incidents;
pub mod silence;
pub mod templates;
pub mod fetch;
pub mod template_form;
pub mod template_pages;
pub mod held;
pub mod setups;
pub mod actions;
pub mod web;
