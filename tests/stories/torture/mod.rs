//! What breaks beneath and beside the real program, held against its promises.
//!
//! Every story starts a PostgreSQL and `bugle` processes of its own, presses the buttons over HTTP as
//! an operator does, and breaks something meanwhile: a process, a connection, the server, the disk, the
//! clock. The truth is what the carrier wrote down (`sandbox_messages.stamped_at`, the machine's clock when
//! a send began) and the rows of the ledger.
//!
//! What is broken at which moment is drawn from `SEED` (1 unless said). `TORTURE=long` tries each thing
//! much more often. Each story adds a line to the file that `TORTURE_TABLE` names.

mod account;
mod binds;
pub mod browser;
mod cable;
mod carriers;
mod clocks;
mod databases;
mod fuzz;
mod gateways;
mod house;
mod letter;
mod pair;
mod processes;
mod program;
mod server;

use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};

/// How long PAUSE and STOP may take while the database answers.
const PROMPT: Duration = Duration::from_secs(3);
/// How long any click may go without an answer, whatever hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long sending may stand still after what was broken is whole again.
const AGAIN: Duration = Duration::from_secs(20);
/// How long a process that is told to end may take, whatever hangs.
const LEAVES: Duration = Duration::from_secs(30);

/// Chance for the story called `name`: the same seed breaks the same things at the same moments.
fn chance(name: &str) -> StdRng {
    let seed: u64 = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let of_name = name.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    StdRng::seed_from_u64(seed ^ of_name)
}

fn is_long() -> bool {
    std::env::var("TORTURE").is_ok_and(|word| word == "long")
}

/// So many tries, and so many in the long form.
fn tries(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// Lets `millis` pass, so that what is broken is broken at any moment.
fn nap(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Whether it becomes so before `patience` has run out.
fn comes_true(patience: Duration, is_so: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() {
        if patience < began.elapsed() {
            return false;
        }
        nap(20);
    }
    true
}
