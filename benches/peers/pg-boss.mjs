// `n` jobs that do nothing through pg-boss: four workers, a thousand a batch, and the next batch as soon as
// one is done. Prints the seconds from its start until every job is recorded as completed.
import pg from "pg";
import { PgBoss } from "pg-boss";

const [url, count] = process.argv.slice(2);
const n = Number(count);
const queue = "nothing";
// What looks after a queue over days has nothing to do here.
const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
boss.on("error", (error) => {
  console.error(error);
  process.exit(1);
});

await boss.start();
await boss.createQueue(queue);
for (let from = 0; from < n; from += 10_000) {
  const jobs = Array.from({ length: Math.min(10_000, n - from) }, (_, i) => ({ data: { n: from + i } }));
  await boss.insert(queue, jobs);
}
const client = new pg.Client({ connectionString: url });
await client.connect();
await client.query("VACUUM ANALYZE");
await client.query("CHECKPOINT");

let done = 0;
let allDone;
const all = new Promise((resolve) => (allDone = resolve));

const began = performance.now();
await boss.work(queue, { batchSize: 1000, burstWhenBatchFull: true, localConcurrency: 4 }, async (jobs) => {
  done += jobs.length;
  if (done >= n) allDone();
});
await all;
// Waits until the last batch is recorded.
await boss.offWork(queue);
const seconds = (performance.now() - began) / 1000;

const { rows } = await client.query("SELECT count(*)::int AS done FROM pgboss.job WHERE state = 'completed'");
if (rows[0].done !== n) throw new Error(`${rows[0].done} of ${n} jobs are recorded as completed`);
await client.end();
await boss.stop();
console.log(seconds);
