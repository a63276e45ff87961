//! `n` jobs that do nothing through the crate graphile_worker, as its documentation sets up a worker for
//! throughput: local queues, several of them since the jobs are small and many, and completions written together
//! every few milliseconds. Prints the seconds from its start until every job is gone from its table, which is how
//! it records that one is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Notify;

#[derive(Deserialize, Serialize)]
struct Nothing {
    n: usize,
}

#[derive(Clone, Debug)]
struct Progress(Arc<(AtomicUsize, Notify)>);

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "nothing";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        std::hint::black_box(self.n);
        let progress = context.get_ext::<Progress>().ok_or("no progress")?;
        let (left, all_done) = &*progress.0;
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            all_done.notify_one();
        }
        Ok::<(), &str>(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, count] = &args[..] else { anyhow::bail!("expects a database and a number of jobs") };
    let n: usize = count.parse()?;
    let pool = PgPoolOptions::new().max_connections(25).connect(url).await?;
    let progress = Arc::new((AtomicUsize::new(n), Notify::new()));

    let worker = WorkerOptions::default()
        .pg_pool(pool.clone())
        .concurrency(24)
        .local_queue(LocalQueueConfig::default().with_size(500).with_queue_count(4))
        .complete_job_batch_delay(Duration::from_millis(5))
        .fail_job_batch_delay(Duration::from_millis(5))
        .add_extension(Progress(progress.clone()))
        .define_job::<Nothing>()
        .init()
        .await?;
    fill(&worker.create_utils(), n).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&pool).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&pool).await?;

    let worker = Arc::new(worker);
    let began = Instant::now();
    let running = tokio::spawn({
        let worker = worker.clone();
        async move { worker.run().await }
    });
    progress.1.notified().await;
    // Writes the completions that are still in a batch.
    worker.request_shutdown();
    running.await??;
    let seconds = began.elapsed().as_secs_f64();

    let left = left(&pool).await.context("cannot count the jobs")?;
    anyhow::ensure!(left == 0, "{left} jobs are left");
    println!("{seconds}");
    Ok(())
}

async fn fill(utils: &graphile_worker::WorkerUtils, n: usize) -> anyhow::Result<()> {
    let jobs: Vec<RawJobSpec> = (0..n)
        .map(|n| RawJobSpec {
            identifier: Nothing::IDENTIFIER.to_owned(),
            payload: serde_json::json!({ "n": n }),
            spec: JobSpec::default(),
        })
        .collect();
    for some in jobs.chunks(10_000) {
        utils.add_raw_jobs(some).await?;
    }
    Ok(())
}

async fn left(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM graphile_worker._private_jobs").fetch_one(pool).await
}
