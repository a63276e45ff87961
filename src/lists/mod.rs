//! Saved lists of contacts, for campaigns to include or exclude.
//!
//! * A list kept **by hand** has members: pasted numbers, or the contacts of an
//!   imported file. They stay until somebody removes them.
//! * A list **by filter** has conditions ([`domain::Filter`]) on what is known
//!   about contacts. Whoever matches when it is asked is in it.
//!
//! A campaign asks for the audience of several lists at once
//! ([`store::count_audience`], [`store::insert_audience`]): who is in one of the
//! included lists, and in none of the excluded ones, each contact once.
//!
//! Deliberately absent: consent. Whoever opted out or is on the blocklist stays in
//! a list; the claim asks about that just before a message leaves, and the ledger
//! says why nothing did.

pub mod domain;
pub mod store;
pub mod actions;
pub mod web;
