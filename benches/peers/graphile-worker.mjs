// `n` jobs that do nothing through graphile-worker, as its page on performance sets it up: 24 at once, a
// local queue, and completions in batches. Prints the seconds from its start until every job is gone from
// its table, which is how it records that one is done.
import pg from "pg";

// Read when the module is loaded: a line for each job would be most of the work.
process.env.NO_LOG_SUCCESS = "1";
const { Logger, makeWorkerUtils, run } = await import("graphile-worker");

const [url, count] = process.argv.slice(2);
const n = Number(count);
const pgPool = new pg.Pool({ connectionString: url, max: 25 });
const failed = (error) => {
  console.error(error);
  process.exit(1);
};
pgPool.on("error", failed);
pgPool.on("connect", (client) => client.on("error", failed));
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});
const preset = {
  worker: {
    concurrentJobs: 24,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    logger,
  },
};

const utils = await makeWorkerUtils({ preset, pgPool });
await utils.migrate();
for (let from = 0; from < n; from += 10_000) {
  const jobs = Array.from({ length: Math.min(10_000, n - from) }, (_, i) => ({
    identifier: "nothing",
    payload: { n: from + i },
  }));
  await utils.addJobs(jobs);
}
await utils.release();
await pgPool.query("VACUUM ANALYZE");
await pgPool.query("CHECKPOINT");

let done = 0;
let allDone;
const all = new Promise((resolve) => (allDone = resolve));
const nothing = async () => {
  done += 1;
  if (done >= n) allDone();
};

const began = performance.now();
const runner = await run({ preset, pgPool, taskList: { nothing }, parsedCronItems: [], noHandleSignals: true });
await all;
// Writes the completions that are still in a batch.
await runner.stop();
const seconds = (performance.now() - began) / 1000;

const { rows } = await pgPool.query("SELECT count(*)::int AS left FROM graphile_worker.jobs");
if (rows[0].left !== 0) throw new Error(`${rows[0].left} jobs are left`);
await pgPool.end();
console.log(seconds);
