// What stories are told with: a browser, somebody signed in, and facts to wait for.

import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ROOT } from "./bugle.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = join(ROOT, "tests/browser/shots");
/** Every page is looked at in these. */
const SIZES = [{ width: 1280, height: 860 }, { width: 390, height: 844 }];
const THEMES = ["light", "dark"];
/**
 * What htmx writes as an error when a page is left while it asks for something: the browser ends
 * the request, as it should. A request that fails otherwise is written with `htmx:sendError` or
 * `htmx:timeout` as well, which are complaints.
 */
const LEFT_BEHIND = /^htmx:(afterRequest|sendAbort), /;
/** How long a fact may take to become true. */
const PATIENCE = 15_000;

export class Desk {
  #browser;
  #contexts = [];
  #complaints = [];
  #forgiven = [];

  constructor(browser, bugle) {
    this.#browser = browser;
    this.bugle = bugle;
  }

  /** A browser window of its own, nobody signed in. */
  async window(options = {}) {
    const context = await this.#browser.newContext({
      baseURL: this.bugle.url,
      viewport: SIZES[0],
      locale: "en-GB",
      timezoneId: "Europe/Dublin",
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    this.#contexts.push(context);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.#complaints.push(`script error: ${error.message}`));
    page.on("console", (message) => {
      // A refused request is part of some stories; a refused script or style never is.
      const text = message.text();
      if (message.type() === "error" && !text.startsWith("Failed to load resource") && !LEFT_BEHIND.test(text)) {
        this.#complaints.push(`console: ${text}`);
      }
    });
    page.on("response", (response) => {
      const missing = response.url().includes("/static/") && response.status() >= 400;
      if (missing) this.#complaints.push(`${response.status()} for ${new URL(response.url()).pathname}`);
    });
    return page;
  }

  /** A window in which the first admin, or `who`, is signed in. */
  async signedIn({ who = this.bugle.admin, ...options } = {}) {
    const page = await this.window(options);
    await signIn(page, who);
    return page;
  }

  /** The same without JavaScript: every form has to work as a form. */
  async signedInWithoutJavaScript(options = {}) {
    return this.signedIn({ ...options, javaScriptEnabled: false });
  }

  /** What a page says of this, to the end of the story, is part of the story. */
  forgives(words) {
    this.#forgiven.push(words);
  }

  /** Closes the windows. Fails when a page complained meanwhile. */
  async leave() {
    await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
    const forgiven = this.#forgiven.splice(0);
    const complaints = this.#complaints.splice(0).filter((it) => !forgiven.some((words) => words.test(it)));
    assert.deepEqual(complaints, [], "a page complained");
  }

  /** Pictures of what was open when a story failed. */
  async photograph(name) {
    mkdirSync(SHOTS, { recursive: true });
    const pages = this.#contexts.flatMap((context) => context.pages());
    for (const [n, page] of pages.entries()) {
      await page.screenshot({ path: join(SHOTS, `failed-${name}-${n}.png`) }).catch(() => {});
    }
    return pages.map((page) => page.url());
  }
}

export async function signIn(page, { email, password }) {
  await page.goto("/sign-in");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
}

/**
 * Does what leads to a page, the same one or another, and waits until that is there with its
 * scripts: what is pressed before would be pressed on neither.
 */
export async function leaves(page, act) {
  await Promise.all([page.waitForEvent("load"), act()]);
}

/** Chooses a file that exists only here. `input` finds the file input. */
export async function upload(input, name, text) {
  await input.setInputFiles({ name, mimeType: "text/csv", buffer: Buffer.from(text) });
}

/** The sandbox's carrier makes trouble for numbers that end like this. */
const TROUBLE = /(8[0-4]|9[0-7])$/;

/** A campaign file with `n` contacts whom the sandbox reaches, beginning at the number `from`. */
export function contacts(n, { from = 1 } = {}) {
  const rows = ["phone,name"];
  for (let i = from; rows.length <= n; i += 1) {
    const phone = `+35387${String(1_000_000 + i)}`;
    if (!TROUBLE.test(phone)) rows.push(`${phone},Person ${i}`);
  }
  return rows.join("\n") + "\n";
}

/** Waits until `ask` answers something true, and returns that. Fails naming what was waited for. */
export async function until(what, ask, { within = PATIENCE } = {}) {
  const end = Date.now() + within;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < end, `waited ${within / 1000} s in vain: ${what}`);
    await new Promise((next) => setTimeout(next, 25));
  }
}

/** The first whole number of a text such as `7,204 / 10,000`. */
export async function number(locator) {
  const text = await locator.innerText();
  const digits = text.match(/\d[\d,\u00a0\u202f ]*/)?.[0].replace(/\D/g, "");
  assert.ok(digits, `no number in ${JSON.stringify(text)}`);
  return Number(digits);
}

/** What fades or moves into place is there at once: halfway, colours would be measured wrongly. */
async function settled(page) {
  await page.evaluate(() => {
    for (const it of document.getAnimations()) {
      if (it.effect.getComputedTiming().iterations !== Infinity) it.finish();
    }
  });
}

/** Nothing that axe objects to, as the page is now. */
export async function axe(page) {
  await settled(page);
  if (!await page.evaluate(() => "axe" in window)) await page.evaluate(AXE);
  const violations = await page.evaluate(async () => (await window.axe.run(document)).violations
    .map(({ id, help, nodes }) => ({ id, help, at: nodes.map((node) => node.target.join(" ")) })));
  assert.deepEqual(violations, [], `axe objects to ${page.url()}`);
}

/**
 * Looks at the page as it is now, in both sizes and both themes: nothing axe objects to, nothing
 * wider than the window. With SHOTS=1 the pictures are kept in tests/browser/shots.
 */
export async function looksRight(page, name) {
  for (const size of SIZES) {
    for (const colorScheme of THEMES) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await settled(page);
      if (process.env.SHOTS) {
        mkdirSync(SHOTS, { recursive: true });
        await page.screenshot({ path: join(SHOTS, `${name}-${size.width}-${colorScheme}.png`), fullPage: true, caret: "initial" });
      }
      await axe(page);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wider <= 0, `${name} is ${wider} px wider than a window of ${size.width}`);
    }
  }
  await page.setViewportSize(SIZES[0]);
  await page.emulateMedia({ colorScheme: null });
}
