//! When sends may begin: windows, the clock of a run, late starts, and what that will look like.
//!
//! Everything here is arithmetic on instants it is given. The dispatcher asks
//! [`allowance`] inside the transaction that claims; the preview asks
//! [`forecast`] about the same clock. So the picture that is shown before a
//! launch and what happens afterwards cannot drift apart.
//!
//! ```text
//! window ─▶ start ─▶ SendClock ─▶ allowance   how many may be claimed now
//!                                └▶ forecast    minute by minute, finish, overrun
//! ```
//!
//! Postgres keeps microseconds, so clocks are made of whole microseconds: one
//! that was stored and read back releases at the same instants.

mod clock;
mod forecast;
mod window;

pub use clock::{LAG, LatePolicy, ON_TIME, SendClock, Start, allowance, auto_rate, on_the_beat, start};
pub use forecast::{Forecast, MAX_POINTS, forecast};
pub(crate) use forecast::{bucket_for, bucket_start};
pub use window::{EmptyWindow, Window, instant, window};
