// The verbs of the Campaigns screen and of what leads to a campaign. Stories say what people do;
// how that looks on the page is said here, once.

import { strict as assert } from "node:assert";
import { contacts, number, until, upload } from "./desk.mjs";

// Stories are told around noon, whenever they are told: windows that go over midnight mean other days.
const AHEAD = 12 - new Date().getUTCHours();
const ZONE = AHEAD === 0 ? "UTC" : `Etc/GMT${AHEAD > 0 ? "-" : "+"}${Math.abs(AHEAD)}`;

/** Begins a draft, once off unless a `kind` is named. Leaves the page on it. */
export async function draft(page, name, kind) {
  await page.goto("/campaigns/new");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Time zone").fill(ZONE);
  if (kind) await page.getByRole("radio", { name: kind }).check();
  await page.getByRole("button", { name: "Create the draft" }).click();
  await page.waitForURL("**/edit");
}

/** Gives the draft its contacts. Without JavaScript somebody asks again until they are read. */
export async function bring(page, name, text, { good }) {
  await upload(page.getByLabel(/A file (with your contacts|such as one day's)/), name, text);
  await page.getByRole("button", { name: "Upload", exact: true }).click();
  await page.getByLabel("Numbers without a country code are from").selectOption("IE");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  const read = page.getByRole("heading", { name: `${good.toLocaleString("en")} contacts from ${name}` });
  const refresh = page.getByRole("link", { name: "Refresh" });
  const scripts = await page.evaluate(() => "htmx" in window);
  await until(`${name} is read`, async () => {
    if (await read.isVisible()) return true;
    if (!scripts && await refresh.isVisible()) await refresh.click();
    return false;
  });
  await page.getByRole("link", { name: "Go on with the campaign" }).click();
}

const local = (minutes) => new Date(Date.now() + AHEAD * 3_600_000 + minutes * 60_000).toISOString();

/** What a time field takes, so many minutes from now. */
export function clock(minutes) {
  return local(minutes).slice(11, 16);
}

/** What a field of date and time takes. */
export function moment(minutes) {
  return local(minutes).slice(0, 16);
}

/** Fills in the schedule form. Its window has begun, so it sends once launched, at its own rate. */
export async function plan(page, { text = "Hello #name", rate = 600, starts = -60, ends = 120 } = {}) {
  await page.getByLabel("Text", { exact: true }).fill(text);
  await page.getByLabel("Date", { exact: true }).fill(local(starts).slice(0, 10));
  await page.getByLabel("Start", { exact: true }).fill(clock(starts));
  await page.getByLabel("End", { exact: true }).fill(clock(ends));
  await page.getByLabel("Messages a minute").fill(String(rate));
  const keep = page.getByRole("radio", { name: /keep the rate/i });
  if (!await keep.isVisible()) await page.getByText("If it starts late").click();
  await keep.check();
  await page.getByRole("button", { name: "Save the schedule" }).click();
  await page.getByRole("button", { name: /^Remove/ }).last().waitFor();
}

/** Says yes to what wants one of its own, and launches. */
export async function launchIt(page) {
  for (const yes of await page.locator("input[form=launch-form]").all()) await yes.check();
  await page.getByRole("button", { name: "Launch" }).click();
}

/** Creates a once off campaign from a file and launches it. Leaves the page on the Campaigns screen. */
export async function launch(page, { name, n, from = 1, ...how }) {
  await draft(page, name);
  await bring(page, `${name}.csv`, contacts(n, { from }), { good: n });
  await plan(page, how);
  await launchIt(page);
  await page.waitForURL("**/campaigns?open=*");
  return new Row(page, name);
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
    this.plan = this.element.locator(".resume-plan");
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

  get progress() {
    return this.element.locator(".campaign-head .campaign-progress .num");
  }

  /** How many are done, as its progress says: `7,204 / 10,000`. */
  async sent() {
    return number(this.progress);
  }

  /** The same, as its schedule says. */
  async sentBySchedule() {
    return number(this.schedule.locator(".schedule-progress .num"));
  }

  async reaches(n) {
    return until(`${this.name} has sent ${n}`, async () => await this.sent() >= n);
  }

  /** PAUSE, RESUME or STOP of its first schedule. */
  button(word) {
    const named = { name: new RegExp(`^${word}`, "i") };
    const controls = this.schedule.locator(".schedule-controls");
    return controls.getByRole("button", named).or(controls.getByRole("link", named));
  }

  /** Presses PAUSE on its first schedule. Returns how many were done when nothing was in flight any more. */
  async pause() {
    await this.button("pause").click();
    await this.isStill();
    return this.sentBySchedule();
  }

  /** The page says of the schedule that nothing more will leave, and the row has followed. */
  async isStill() {
    await this.schedule.getByText(/nothing more will leave/i).waitFor();
    const held = await this.sentBySchedule();
    await until(`the row of ${this.name} says what its schedule says`, async () => await this.sent() === held);
    await this.becomes("paused");
  }

  /** Presses RESUME…, reads the plan that comes up, and confirms it. Returns the words of the plan. */
  async resume() {
    await this.button("resume").click();
    const words = await this.plan.innerText();
    await this.plan.getByRole("button", { name: /^resume/i }).click();
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
  assert.equal(rows, Math.min(shown, rows), "no more rows than the number said");
  assert.ok(shown === 0 || rows > 0, `${shown} on the screen, no row behind it`);
  return shown;
}
