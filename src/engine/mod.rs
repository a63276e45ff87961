//! The parts that move without being asked.
//!
//! Every tick is a plain function of the app and the clock. The metronome calls
//! it on a timer, a story calls it by hand, and nothing is remembered between
//! two ticks except in Postgres. The dispatcher alone has a life of its own
//! between ticks: sends on the wire, whose results must be written down.

pub mod checker;
pub mod dispatcher;
pub mod importer;
pub mod launcher;
pub mod lines;
pub mod metronome;
pub mod rescuer;
pub mod starter;
pub mod talker;
pub mod timekeeper;
pub mod watcher;
pub mod wire;
