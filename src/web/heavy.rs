//! Work on much that somebody sent, away from the threads that answer.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::Problem;

/// So much of it at once, which bounds its memory.
static PLACES: Semaphore = Semaphore::const_new(2);
/// How long somebody waits for a place before the answer is "busy".
const PATIENCE: Duration = Duration::from_secs(10);
/// When the answer has left as well.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Does it as soon as there is a place for it, and gives its memory back.
pub async fn heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let place = match timeout(PATIENCE, PLACES.acquire()).await {
        Ok(place) => place.map_err(|error| Problem::Unexpected(error.into()))?,
        Err(_) => return Err(Problem::Busy),
    };
    let done = spawn_blocking(move || {
        // Kept to the end of the work, also when nobody waits for it any more.
        let _place = place;
        work()
    })
    .await;
    give_back();
    done.map_err(|error| Problem::Unexpected(error.into()))
}

/// Returns memory that is free to the system, a little later: what was large is still on its way out.
fn give_back() {
    tokio::spawn(async {
        sleep(AFTERWARDS).await;
        // glibc keeps it otherwise, in an arena for each thread, until the end of the process.
        #[cfg(target_env = "gnu")]
        // SAFETY: takes a number and locks what it touches.
        spawn_blocking(|| unsafe { libc::malloc_trim(0) });
    });
}
