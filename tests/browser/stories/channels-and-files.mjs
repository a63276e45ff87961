import { strict as assert } from "node:assert";
import { contacts, looksRight, until, upload } from "../desk.mjs";

export const stories = {
  async "phones that got nothing yet say what will bring messages"(desk) {
    const page = await desk.signedIn();
    await page.goto("/phones");
    await page.locator(".empty").waitFor();
    await looksRight(page, "phones-empty");
  },

  async "a channel is added, and a wrong one comes back as it was typed"(desk) {
    const page = await desk.signedIn();
    await page.goto("/channels/new");
    await looksRight(page, "channel-new");

    await page.getByLabel("Name").fill("Pretend carrier");
    await page.getByLabel("Sender").fill("Bugle");
    // As a browser without the checks of the form would send it.
    await page.locator("form.form").evaluate((form) => { form.noValidate = true; });
    await page.getByLabel("Slow answers (%)").fill("200");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator(".error").first().waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), "Pretend carrier");
    await looksRight(page, "channel-refused");

    await page.getByLabel("Slow answers (%)").fill("0");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.waitForURL("**/channels");
    await page.getByRole("link", { name: "Pretend carrier" }).waitFor();
    await looksRight(page, "channels");
    await page.getByRole("link", { name: "Pretend carrier" }).click();
    await page.getByRole("button", { name: "Save", exact: true }).waitFor();
    await looksRight(page, "channel-edit");
  },

  async "a file is uploaded, its columns are named, and its rows become contacts"(desk) {
    const page = await desk.signedIn();
    await page.goto("/files/new");
    await looksRight(page, "file-new");
    await upload(page.getByLabel("Campaign file"), "spring.csv", contacts(40) + "12,Too short\n");
    await page.getByRole("button", { name: "Upload" }).click();
    await page.getByRole("button", { name: "Import" }).waitFor();
    await looksRight(page, "file-columns");

    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByRole("button", { name: "Import" }).click();
    await page.getByRole("heading", { name: "40 contacts from spring.csv" }).waitFor();
    await looksRight(page, "file-imported");
    await page.getByRole("link", { name: "See the rows" }).click();
    await page.getByRole("cell", { name: "353871000001" }).waitFor();
    await looksRight(page, "file-rows");
  },

  async "a file is uploaded and imported without JavaScript"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/files/new");
    await upload(page.getByLabel("Campaign file"), "plain.csv", contacts(3, { from: 5_000 }));
    await page.getByRole("button", { name: "Upload" }).click();
    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByRole("button", { name: "Import" }).click();
    // The import takes its time; without a script somebody asks again.
    const done = page.getByRole("heading", { name: "3 contacts from plain.csv" });
    await until("the import is done", async () => {
      if (await done.isVisible()) return true;
      await page.getByRole("link", { name: "Refresh" }).click();
      return false;
    });
  },
};
