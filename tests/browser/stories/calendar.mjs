import { strict as assert } from "node:assert";
import { looksRight, until } from "../desk.mjs";
import { Row } from "../screen.mjs";

/** A quick campaign to two phones: now, or at that time of that day. */
async function quick(page, name, later) {
  await page.goto("/campaigns/quick");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Phone numbers").fill("+353871000001\n+353871000002");
  await page.getByLabel("Text", { exact: true }).fill("Hello");
  if (later) {
    await page.getByRole("radio", { name: "Later" }).check();
    await page.getByLabel("Date", { exact: true }).fill(later.date);
    await page.getByLabel("Time", { exact: true }).fill(later.time);
  }
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.waitForURL("**/campaigns?open=*");
}

const today = () => new Date().toISOString().slice(0, 10);
/** The fifteenth of next month. */
function next() {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 15)).toISOString().slice(0, 10);
}

export const stories = {
  async "an empty calendar says what would stand there"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Calendar" }).click();
    await page.getByText(/^Nothing in \w+ \d+\./).waitFor();
    await looksRight(page, "calendar-empty");
  },

  async "the month shows what went today and leads on to the day"(desk) {
    const page = await desk.signedIn();
    await quick(page, "Went today");
    await new Row(page, "Went today").reaches(2);
    await page.goto("/calendar");
    const day = page.locator(".day[data-today]");
    await day.getByText("Went today").waitFor();
    await until("both are counted", async () => {
      await page.reload();
      return await day.getByText("2 / 2 sent").isVisible();
    });
    await looksRight(page, "calendar-month");
    await day.locator(".day-date").click();
    await page.waitForURL(`**/calendar/${today()}`);
    await page.getByRole("cell", { name: /2 of 2 sent/ }).waitFor();
    await looksRight(page, "calendar-day");
    await page.getByRole("link", { name: /the ledger of Went today/ }).click();
    await page.waitForURL("**/runs/*");
  },

  async "the month after shows what will go, with quiet hours and blackout dates"(desk) {
    const page = await desk.signedIn();
    for (const [name, time] of [["Early bird", "07:30"], ["Breakfast", "09:00"], ["Noon", "12:00"], ["Supper", "18:00"], ["Night", "22:30"]]) {
      await quick(page, name, { date: next(), time });
    }
    await page.goto("/settings");
    await page.locator("#quiet").getByLabel("From", { exact: true }).fill("21:00");
    await page.locator("#quiet").getByLabel("Until", { exact: true }).fill("08:00");
    await page.getByRole("button", { name: "Save quiet hours" }).click();
    await page.getByText("Saved. It holds from now on.").waitFor();

    await page.goto("/calendar");
    await page.getByRole("navigation", { name: "Months" }).getByRole("link").last().click();
    await page.getByText("Quiet hours 21:00–08:00").waitFor();
    await page.getByRole("link", { name: "+ 2 more" }).waitFor();
    await looksRight(page, "calendar-next-month");
    await page.getByRole("link", { name: "+ 2 more" }).click();
    await page.waitForURL(`**/calendar/${next()}`);
    assert.equal(await page.locator(".day-table tbody tr").count(), 5);
    assert.ok(await page.locator(".day-held").count() > 0, "what is held is shaded");
    await looksRight(page, "calendar-next-day");
  },

  async "filters stay while one goes from month to month, with the keyboard and without JavaScript"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/calendar");
    await page.getByRole("searchbox").fill("noon");
    await page.keyboard.press("Enter");
    await page.getByText(/^Nothing found in/).waitFor();
    await page.getByRole("navigation", { name: "Months" }).getByRole("link").last().focus();
    await page.keyboard.press("Enter");
    await page.getByText("Noon", { exact: true }).waitFor();
    assert.equal(await page.locator(".day-run").count(), 1);
    assert.match(page.url(), /q=noon/);
  },
};
