// Runs the stories in stories/, each file against a server of its own, one after another or, with LANES=2, two at a time.
//
//   node tests/browser/run.mjs            all
//   node tests/browser/run.mjs sign stop  those whose file or name holds one of the words
//   SHOTS=1 node tests/browser/run.mjs    keeps pictures of the pages in tests/browser/shots
//
// A story file exports `stories`: an object of name → async (desk) => {…}, told in its order.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Bugle, ROOT } from "./bugle.mjs";
import { Desk } from "./desk.mjs";

const wanted = process.argv.slice(2).map((word) => word.toLowerCase());
const folder = join(ROOT, "tests/browser/stories");
/** The longest that one story may take: a page that hangs fails its story, not everybody's patience. */
const LONGEST = 90_000;
/** So many files are told side by side. On two slow cores two are too many: a campaign is over before the story looks. */
const LANES = Number(process.env.LANES ?? 1);
let passed = 0;
let failed = 0;

async function inTime(told) {
  let clock;
  const late = new Promise((_, fail) => {
    clock = setTimeout(() => fail(new Error(`not through after ${LONGEST / 1000} s`)), LONGEST);
  });
  await Promise.race([told, late]).finally(() => clearTimeout(clock));
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
  ],
});

/** The stories of one file, in their order. What is to be said of them is said at its end, so that files do not mix. */
async function tell(file) {
  const { stories } = await import(join(folder, file));
  const told = Object.entries(stories).filter(([name]) =>
    wanted.length === 0 || wanted.some((word) => `${file} ${name}`.toLowerCase().includes(word)));
  if (told.length === 0) return;

  const lines = [file.replace(/\.mjs$/, "")];
  const fail = (name, error, more = "") => {
    failed += 1;
    lines.push(`  FAILED  ${name}\n${String(error.stack ?? error).replace(/^/gm, "          ")}${more}`);
  };
  try {
    const bugle = await Bugle.start();
    for (const [name, story] of told) {
      const desk = new Desk(browser, bugle);
      const began = Date.now();
      try {
        await inTime(story(desk));
        await desk.leave();
        passed += 1;
        lines.push(`  ok      ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
      } catch (error) {
        const pages = await desk.photograph(name.replace(/\W+/g, "-"));
        await desk.leave().catch(() => {});
        fail(name, error, `\n          at ${pages.join(", ")}\n          The server's last words:\n${bugle.lastWords().replace(/^/gm, "          | ")}`);
      }
    }
    await bugle.stop().catch((error) => fail("the server stops", error));
  } catch (error) {
    fail("the server starts", error);
  }
  console.log(lines.join("\n"));
}

try {
  const files = readdirSync(folder).filter((name) => name.endsWith(".mjs")).sort();
  const lane = async () => {
    for (let file = files.shift(); file; file = files.shift()) await tell(file);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
} finally {
  await browser.close();
}

if (passed + failed === 0) {
  console.log(`No story matches ${wanted.join(" ")}`);
  failed = 1;
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
