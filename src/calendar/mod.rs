//! The calendar: what went and what will go, by month and by day.
//!
//! Runs are read as they are; what recurs is worked out from its rule by the same
//! planner that later makes its runs. Days are those of the installation's time zone.
//!
//! Deliberately absent: changing anything. Each entry leads to its campaign, where that is done.

pub mod domain;
pub mod store;
pub mod web;
