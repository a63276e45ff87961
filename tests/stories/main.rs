//! What the product promises, told as things that happen at one desk.
//!
//! Each story gets its own database, a clock it sets by hand and a sandbox
//! carrier that counts. When it is over, the counts of every run are held
//! against its rows.

mod database;
mod desk;
mod calendar;
mod chances;
mod chats;
mod claims;
mod consent;
mod bots;
mod contacts;
mod before_launch;
mod controls;
mod controls_core;
mod creating;
mod drops;
mod following;
mod frames;
mod history;
mod hostile;
mod importing;
mod inbox;
mod journal;
mod inbound;
mod ledger;
mod lists;
mod media;
mod opting_out;
mod pacing;
mod phones;
mod promises;
mod counterparts;
mod gateways;
mod callbacks;
mod lookups;
mod reach;
mod approved;
mod providers;
mod quick;
mod quiet;
mod receipts;
mod recurring;
mod rest;
mod screen;
mod settings;
mod signing_in;
mod smpp;
mod starting;
mod strangers;
mod talking;
mod torture;
mod webchat;
mod wire;
