//! Calls the ticks. It keeps time and nothing else: a tick that is missed or
//! comes twice changes nothing, because what is due stands in Postgres.
//!
//! A handful of jobs, however many schedules there are. The scheduler forgets
//! jobs when more fall due at once than its channel holds, starts a job again
//! while it is still going on, and keeps each job's next instant on the wall clock,
//! so that a clock that is set back keeps it from calling anybody for as long. So
//! there are few jobs, each guarded, and a watch that counts time as the machine
//! does: when calls are late, it sets the scheduler up anew.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex as Short;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

/// Every second.
pub const EACH_SECOND: &str = "* * * * * *";
/// A call that is so late does not come by itself.
const LATE: Duration = Duration::from_secs(3);
/// Leaving a scheduler takes no longer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Work that blocks has its turn for so long. Then the next call gets one beside it: what
/// it holds in the database is its own as long as its lease is renewed, and no longer.
const AT_LENGTH: Duration = Duration::from_secs(10 * 60);

/// Runs work that blocks, with no deadline of its own, inside a tick.
pub async fn at_length<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    timeout(AT_LENGTH, spawn_blocking(work)).await.context("it takes too long, or the database stands still")??
}

type Work = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync>;

/// What is called, and when.
struct Tick {
    name: &'static str,
    cron: &'static str,
    work: Work,
    /// When it was called last, whether or not it had its turn.
    called: Short<Instant>,
    /// Held while it goes on.
    turn: Mutex<()>,
}

impl Tick {
    async fn call(&self) {
        *self.called.lock().unwrap() = Instant::now();
        let Ok(_turn) = self.turn.try_lock() else { return };
        if let Err(error) = (self.work)().await {
            tracing::error!(tick = self.name, "{}: {error:#}", self.name);
        }
    }
}

/// All ticks of a process.
#[derive(Default)]
pub struct Metronome {
    ticks: Vec<Arc<Tick>>,
    stopping: CancellationToken,
}

impl Metronome {
    /// Adds a tick that is called at the instants of `cron`, unless the one before is still going on.
    pub fn add<T, F>(
        &mut self,
        cron: &'static str,
        name: &'static str,
        tick: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        let work: Work = Arc::new(move || {
            let work = tick();
            Box::pin(async move { work.await.map(drop) })
        });
        let called = Short::new(Instant::now());
        self.ticks.push(Arc::new(Tick { name, cron, work, called, turn: Mutex::default() }));
    }

    /// Begins to call, and goes on until [`stop`](Metronome::stop).
    pub async fn start(&self) -> Result<(), JobSchedulerError> {
        let scheduler = scheduled(&self.ticks).await?;
        tokio::spawn(watch(scheduler, self.ticks.clone(), self.stopping.clone()));
        Ok(())
    }

    /// Calls nobody any more.
    pub fn stop(&self) {
        self.stopping.cancel();
    }
}

async fn scheduled(ticks: &[Arc<Tick>]) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for tick in ticks {
        let called = tick.clone();
        let job = Job::new_async(tick.cron, move |_, _| {
            let tick = called.clone();
            Box::pin(async move { tick.call().await })
        })?;
        scheduler.add(job).await?;
        *tick.called.lock().unwrap() = Instant::now();
    }
    scheduler.start().await?;
    Ok(scheduler)
}

/// Sets the scheduler up anew when those that come each second do not.
async fn watch(mut scheduler: JobScheduler, ticks: Vec<Arc<Tick>>, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stopping.cancelled() => break,
        }
        let late = ticks.iter().find(|tick| tick.cron == EACH_SECOND && LATE < tick.called.lock().unwrap().elapsed());
        let Some(late) = late else { continue };
        tracing::warn!(tick = late.name, "the scheduler calls nobody (was the clock set back?): setting it up anew");
        metrics::counter!("bugle_metronome_armed_anew_total").increment(1);
        match timeout(FAREWELL, scheduled(&ticks)).await {
            Ok(Ok(anew)) => {
                let mut old = std::mem::replace(&mut scheduler, anew);
                let _ = timeout(FAREWELL, old.shutdown()).await;
            }
            Ok(Err(error)) => tracing::error!("the scheduler could not be set up anew: {error}"),
            Err(_) => tracing::error!("the scheduler could not be set up anew in time"),
        }
    }
    let _ = timeout(FAREWELL, scheduler.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_scheduler_that_calls_nobody_is_set_up_anew() {
        let mut metronome = Metronome::default();
        let (called, n) = (Arc::new(tokio::sync::Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (tell, count) = (called.clone(), n.clone());
        metronome.add(EACH_SECOND, "count", move || {
            let (tell, count) = (tell.clone(), count.clone());
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                tell.notify_one();
                Ok(())
            }
        });
        // As one is whose clock was set back: it has the jobs, and none is due for years.
        let idle = JobScheduler::new().await.unwrap();
        let watching = tokio::spawn(watch(idle, metronome.ticks.clone(), metronome.stopping.clone()));

        for _ in 0..2 {
            timeout(Duration::from_secs(60), called.notified()).await.unwrap();
        }
        metronome.stop();
        watching.await.unwrap();
        assert!(2 <= n.load(Ordering::SeqCst));
    }
}
