//! Inbound campaigns: the contact writes first, and meets a bot. Made and changed in one go;
//! they have no runs.

pub mod actions;
pub mod web;
