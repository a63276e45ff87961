import { strict as assert } from "node:assert";
import { leaves, looksRight } from "../desk.mjs";

export const stories = {
  async "each part of the settings is saved by itself and says so"(desk) {
    const page = await desk.signedIn();
    await page.goto("/settings");
    await looksRight(page, "settings-empty");

    await page.getByLabel("From", { exact: true }).fill("21:00");
    await page.locator("#quiet_to").fill("08:00");
    await page.getByLabel("Spread over (minutes)").fill("10");
    await page.getByRole("button", { name: "Save quiet hours" }).click();
    await page.locator("#quiet").getByRole("status").waitFor();
    assert.match(await page.locator("#quiet").innerText(), /Between 21:00 and 08:00/);

    const above = page.getByLabel("More contacts than");
    assert.equal(await above.isVisible(), false, "the number belongs to one of the choices");
    await page.getByLabel("Launches to many contacts").check();
    await above.fill("1000");
    await page.locator("#approval").getByRole("button").click();
    await page.locator("#approval").getByRole("status").waitFor();
    await looksRight(page, "settings");
  },

  async "a day that is there already is refused beside the field, with the eye on it"(desk) {
    const page = await desk.signedIn();
    const year = new Date().getFullYear() + 1;
    await page.goto("/settings");
    for (const name of ["Christmas Day", "Again"]) {
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Day", { exact: true }).fill(`${year}-12-25`);
      await leaves(page, () => page.getByRole("button", { name: "Add", exact: true }).click());
    }
    assert.match(await page.locator("#first_day-error").innerText(), /is a blackout date already: Christmas Day/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "first_day");
    assert.equal(await page.getByLabel("Name").inputValue(), "Again");
    await looksRight(page, "settings-refused");

    await page.getByRole("button", { name: `Remove Christmas Day, 25 December ${year}` }).click();
    await page.getByRole("heading", { name: "No blackout date ahead" }).waitFor();
  },
};
