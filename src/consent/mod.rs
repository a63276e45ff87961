//! Opting out and back in: by which words, what is answered, and the proof of it.
//!
//! Words count as a whole message, whatever courtesies and signatures stand around them, before any
//! bot is asked, and at once: every claim asks for consent, so whatever is queued stays here, and
//! they are acknowledged when nothing claimed before them can begin ([`crate::contacts::quiet`]).
//! Words of people's own, and one of opting out in a sentence ([`sentences`]),
//! that sound like an opt-out are not obeyed by themselves; they hold the campaigns back
//! from that person until somebody has decided.
//!
//! Deliberately absent: taking messages in ([`crate::conversations`]).

pub mod sentences;
pub mod domain;
pub mod store;
pub mod actions;
pub mod web;
