//! When sends may begin: recurrence, windows, holds, the clock of a run, late
//! starts, the hours of the contact, and what that will look like.
//!
//! Everything here is arithmetic on instants it is given. The dispatcher asks
//! [`allowance`] inside the transaction that claims; the preview asks
//! [`forecast`] about the same clock. So the picture that is shown before a
//! launch and what happens afterwards cannot drift apart.
//!
//! ```text
//! window ───▶ start ─▶ SendClock ─▶ past ─▶ allowance   how many may be claimed now
//!               ▲                    ▲  └▶ forecast    minute by minute, finish, overrun
//! Calendar ─▶ Holds ─────────────────┘   when nobody may be sent to
//!
//! Rule ─▶ next, upcoming                  when it comes round again
//! zones_of_number ─▶ LocalHours           whether a contact's own clock allows it
//! Lately ─▶ counted, wait                 a limit holds for sends as they begin
//! Pace                                    what a provider takes, learnt from its refusals
//! ```
//!
//! A claim, in three steps: the clock is led [`past`](SendClock::past) the holds;
//! during a hold nothing is claimed; otherwise [`allowance`] is asked.
//!
//! Postgres keeps microseconds, so clocks are made of whole microseconds: one
//! that was stored and read back releases at the same instants.

mod cadence;
mod clock;
mod forecast;
mod holds;
mod late;
mod local;
mod pace;
mod rate;
mod window;
mod zones;

pub use cadence::{BadCron, CronText, Days, Missed, MissedVerdict, NoDays, Overlap, Rule, upcoming};
pub use clock::{
    LAG, LATEST, Lately, ON_TIME, SendClock, Start, allowance, auto_rate, most_a_minute, on_the_beat, start,
};
pub use forecast::{Forecast, MAX_POINTS, forecast};
pub(crate) use forecast::{bucket_for, bucket_start};
pub use holds::{Calendar, EmptyQuiet, Hold, Holds, Quiet};
pub use late::{LateLimit, LatePolicy, TooLate};
pub use local::{EmptyHours, LocalHours, own_zone, zones_of_number};
pub use pace::Pace;
pub use rate::Rate;
pub use window::{EmptyWindow, Window, instant, window};
