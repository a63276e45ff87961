//! Who can be written to: addresses on kinds of channel, and what is known about them.
//!
//! An address is kept in one form only, so that one person is one contact
//! however a file spells the number: [`addresses::normalise`] makes that form, and
//! everything that reads addresses from outside goes through it.
//!
//! A contact's customer ID and custom values are the newest that a file or a
//! person said. A campaign file keeps its own rows beside them: those are what
//! its texts are made of.
//!
//! [`quiet`] waits until nothing can begin to leave any more to those who opted out or
//! were blocked, before anybody is told that it is so.
//!
//! Deliberately absent: the page of one contact, which tells of runs and lists
//! and so stands below them ([`crate::contact_page`]); and the blocklist, which has
//! a room of its own ([`crate::blocklist`]).

pub mod addresses;
pub mod domain;
pub mod regions;
pub mod store;
pub mod search;
pub mod quiet;
pub mod actions;
pub mod web;
