//! Who can be written to: addresses on kinds of channel.
//!
//! An address is kept in one form only, so that one person is one contact
//! however a file spells the number: [`domain::normalise`] makes that form, and
//! everything that reads addresses from outside goes through it.
//!
//! Deliberately absent: names and other facts about people. They stand in the
//! rows of campaign files, because they are true for that file.

pub mod domain;
pub mod regions;
pub mod store;
