//! The inbox: where humans answer people, and what they do with a conversation.
//!
//! [`store`] asks for a page of conversations, for news, and for one conversation whole;
//! [`actions`] has the verbs of agents. Each locks the conversation, and a second agent learns
//! what the first has done.
//!
//! Deliberately absent: how an answer leaves. It is queued like a bot's, and goes the way of
//! every reply ([`crate::conversations::replies`]).

pub mod store;
pub mod actions;
pub mod web;
