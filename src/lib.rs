//! Bugle: campaigns that can be paused, resumed and stopped at any second, with
//! an answer that can be trusted.
//!
//! # The map
//!
//! The rooms are listed in reading order. **A room may use the rooms above it,
//! never one below**, so reading down the list no word is met before it is
//! explained. Inside a room the file name says the layer, and the layers go
//! `domain ← store ← actions ← web`. `tests/tidy.rs` keeps both.
//!
//! # The way of one message
//!
//! ```text
//! metronome ─▶ importer    uploaded files: their rows become contacts
//!           ─▶ launcher    quick campaigns and launches that were ordered: launched once their file is ready
//!           ─▶ starter     due dates of what recurs, files of daily campaigns: make their runs;
//!                          runs: write their deliveries, start them at their time
//!           ─▶ dispatcher  per running run: how many does the clock release? to the outbox
//!           ─▶ rescuer     leases that ran out → unconfirmed; first contacts judged; runs past
//!                          their end → overrun; campaigns with nothing left to run → ended
//!           ─▶ checker     dry runs that were ordered: render every text of a draft
//!           ─▶ talker      conversations that campaigns begin: written down; bots that got no
//!                          reply: speak up; replies: to the outbox
//!           ─▶ looker      sends that got no answer: asks the provider, where it can be asked
//!           ─▶ listener    channels of which nothing is heard any more: held
//!           ─▶ watcher     what this process knows, held against the database; the mark
//!
//! outbox, one for runs and one for conversations: claim, send, settle
//!
//! claim   one transaction: run still running (its row is locked), nothing held because history
//!         was lost, clock and limits asked, the cursor moved, a lease written, the contacts read;
//!         when it has committed, their consent asked
//! send    no connection held, bounded time, never retried inside; the adapter asks whether it still
//!         may (its gate) when all is prepared, and nothing is waited for behind the answer
//! settle  only under a lease that still holds: accepted, rejected, later, or unconfirmed
//! receipt by our key or the provider's reference; merges upwards only; also resolves what was unconfirmed
//! ```
//!
//! # The way of one answer
//!
//! ```text
//! webhook ─▶ one transaction: the message stored once for ever, words of consent heard,
//!            its conversation found, the bot's turn taken, replies queued; then acknowledged,
//!            an opt-out when nothing claimed before it can begin any more
//! talker  ─▶ claim   the oldest waiting message of each conversation; its schedule and campaign
//!                    locked against change and asked, a lease written; then consent asked
//!            send, settle, receipt: as above
//! ```
//!
//! Time is a parameter: a [`clock::Clock`] stands at the edge, and every rule,
//! query and action below is told `now`.

// A byte that is no border of a character would end the request, or the tick.
#![cfg_attr(not(test), deny(clippy::string_slice))]

// The floor: names, time, settings, storage, the outside world.
pub mod ids;
mod words;
pub mod folding;
pub mod clock;
pub mod keyring;
pub mod config;
pub mod privileges;
pub mod db;
pub mod access;
pub mod journal;
pub mod installation;
pub mod marks;
pub mod wording;
pub mod providers;
pub mod pacing;
pub mod turns;
pub mod app;
pub mod web;

// The work, one room per thing people talk about.
pub mod people;
pub mod settings;
pub mod channels;
pub mod contacts;
pub mod blocklist;
pub mod consent;
pub mod files;
pub mod media;
pub mod lists;
pub mod bots;
pub mod campaigns;
pub mod schedules;
pub mod runs;
pub mod deliveries;
pub mod contact_page;
pub mod control;
pub mod daily;
pub mod drafting;
pub mod quick;
pub mod inbound;
pub mod screen;
pub mod calendar;
pub mod conversations;
pub mod inbox;
pub mod trial;
pub mod losses;
pub mod webchat;
pub mod sandbox;

// What moves by itself, the demo, and the front door.
pub mod engine;
pub mod doors;
pub mod server;
pub mod demo;
