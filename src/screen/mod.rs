//! The Campaigns screen: what stands on it, how it moves by itself, and its buttons.

pub mod domain;
pub mod store;
pub mod order;
pub mod live;
pub mod web;
