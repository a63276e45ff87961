//! Imports the files that wait for it.

use super::metronome::at_length;
use crate::app::App;
use crate::files::import;

/// Imports every file that waits, one after the other. Returns how many that was.
///
/// An import that fails keeps its lease and is tried once more when that has ended;
/// the other files get their turn at the next tick.
pub async fn tick(app: &App) -> anyhow::Result<usize> {
    let mut n_files = 0;
    loop {
        let (db, clock) = (app.db.clone(), app.clock.clone());
        match at_length(move || import::next(&db, &clock)).await? {
            Some(_) => n_files += 1,
            None => return Ok(n_files),
        }
    }
}
