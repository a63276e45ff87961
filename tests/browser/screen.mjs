// The verbs of the Campaigns screen and of what leads to a campaign. Stories say what people do;
// how that looks on the page is said here, once.

import { strict as assert } from "node:assert";
import { contacts, number, until, upload } from "./desk.mjs";

/** Creates a once off campaign from a file and launches it. Leaves the page on the Campaigns screen. */
export async function launch(page, { name, n, rate = 600, text = "Hello #name", from = 1 }) {
  await page.goto("/campaigns/new");
  await page.getByLabel("Name", { exact: true }).first().fill(name);
  await page.getByLabel("Text").fill(text);
  await page.getByRole("button", { name: /go on|continue|next/i }).click();

  await upload(page.getByLabel("Campaign file"), `${name}.csv`, contacts(n, { from }));
  await page.getByRole("button", { name: "Upload" }).click();
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByRole("link", { name: "Go on with the campaign" }).click();

  await page.getByLabel("Messages per minute").fill(String(rate));
  await page.getByRole("button", { name: /review/i }).click();
  await page.getByRole("button", { name: /launch/i }).click();
  await page.goto("/campaigns");
  await new Row(page, name).element.waitFor();
}

/** One campaign on the screen. */
export class Row {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.element = page.locator(".campaign").filter({ has: page.locator(".campaign-toggle", { hasText: name }) });
    this.toggle = this.element.locator(".campaign-toggle");
    this.badge = this.element.locator(".campaign-head .badge");
    this.schedule = this.element.locator(".schedule").first();
  }

  async open() {
    if (await this.toggle.getAttribute("aria-expanded") !== "true") await this.toggle.click();
    await this.schedule.waitFor();
    return this;
  }

  /** The word of its badge, such as `live`. */
  async state() {
    return this.badge.getAttribute("data-state");
  }

  async becomes(state) {
    await until(`${this.name} becomes ${state}`, async () => await this.state() === state);
    return this;
  }

  /** How many have left, as its progress says: `7,204 / 10,000`. */
  async sent() {
    return number(this.element.locator(".campaign-head .campaign-progress .num"));
  }

  async reaches(n) {
    return until(`${this.name} has sent ${n}`, async () => await this.sent() >= n);
  }

  button(word) {
    return this.schedule.locator(".schedule-controls").getByRole("button", { name: new RegExp(`^${word}`, "i") });
  }

  /** Presses PAUSE on its only schedule; returns once the page says that nothing more will leave. */
  async pause() {
    await this.button("pause").click();
    await this.becomes("paused");
    await until("what was in flight has settled", async () => await this.schedule.locator(".inflight:not([data-settled])").count() === 0);
    return this.sent();
  }

  /** Presses RESUME, reads the plan that comes up, and confirms it. Returns the words of the plan. */
  async resume() {
    await this.button("resume").click();
    const plan = this.element.locator(".resume-plan");
    const words = await plan.innerText();
    await plan.getByRole("button", { name: /^resume/i }).click();
    await this.becomes("live");
    return words;
  }
}

/** Follows a number to its rows. The ledger must count as many as the number said. */
export async function rowsBehind(page, link) {
  const shown = await number(link.locator("b"));
  await link.click();
  const counted = page.locator(".ledger-counts a[aria-current], .chips a[aria-current]").first();
  assert.equal(await number(counted), shown);
  const rows = await page.locator(".table tbody tr").count();
  assert.ok(shown === 0 || rows > 0, `${shown} on the screen, no row behind it`);
  return shown;
}
