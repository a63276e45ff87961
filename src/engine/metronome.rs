//! Calls the ticks. It keeps time and nothing else: a tick that is missed or
//! comes twice changes nothing, because what is due stands in Postgres.
//!
//! A handful of jobs, however many schedules there are. The scheduler forgets
//! jobs when more fall due at once than its channel holds, starts a job again
//! while it is still going on, and does not come back from a long stall with
//! repeated jobs; so there are few, each guarded, and all cron jobs.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Every second.
pub const EACH_SECOND: &str = "* * * * * *";

/// Adds a tick that is called at the instants of `cron`, unless the one before is still going on.
pub async fn call<T, F>(
    metronome: &JobScheduler,
    cron: &str,
    name: &'static str,
    tick: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Result<(), JobSchedulerError>
where
    F: Future<Output = anyhow::Result<T>> + Send,
{
    let busy = Arc::new(Mutex::new(()));
    let job = Job::new_async(cron, move |_, _| {
        let (busy, tick) = (busy.clone(), tick.clone());
        Box::pin(async move {
            let Ok(_turn) = busy.try_lock() else { return };
            if let Err(error) = tick().await {
                tracing::error!(tick = name, "{name}: {error:#}");
            }
        })
    })?;
    metronome.add(job).await.map(drop)
}
