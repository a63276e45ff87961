//! Quick campaigns: numbers or a file, a text, and SEND, on one page.

pub mod typed;
pub mod understood;
pub mod actions;
pub mod web;
