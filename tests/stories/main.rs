//! What the product promises, told as things that happen at one desk.
//!
//! Each story gets its own database, a clock it sets by hand and a sandbox
//! carrier that counts. When it is over, the counts of every run are held
//! against its rows.

mod desk;
mod bots;
mod contacts;
mod controls;
mod controls_core;
mod creating;
mod importing;
mod ledger;
mod lists;
mod pacing;
mod phones;
mod promises;
mod receipts;
mod screen;
mod settings;
mod signing_in;
