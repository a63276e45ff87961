//! Checks every message of the drafts that wait for it.

use super::metronome::at_length;
use crate::app::App;
use crate::drafting::dry_run;

/// Checks every draft that waits, one after the other. Returns how many that was.
///
/// A check that fails keeps its lease and is tried once more when that has ended.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let mut n = 0;
    loop {
        let (db, clock) = (app.db.clone(), app.clock.clone());
        match at_length(move || dry_run::next(&db, &clock)).await? {
            Some(_) => n += 1,
            None => return Ok(n),
        }
    }
}
