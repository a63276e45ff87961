//! Trying a channel: whether its account is known, and one message to the phone of whoever asks.
//!
//! A test message is nobody's contact and in no ledger; what the provider says of it stands on the channel's page, once.
//! It goes to nobody who has opted out or is on the blocklist.

pub mod web;
