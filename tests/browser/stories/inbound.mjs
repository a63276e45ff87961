import { strict as assert } from "node:assert";
import { looksRight } from "../desk.mjs";

const BOT = JSON.stringify({
  bugle_bot: 1,
  name: "Welcome",
  version: null,
  steps: [
    { id: "s1", name: "Question", do: "ask", text: "Hello, what is it about?", store: "about" },
    { id: "s2", name: "Thanks", do: "close", text: "Thank you." },
  ],
});

async function publish(page) {
  await page.goto("/bots/import");
  await page.locator("[name=text]").fill(BOT);
  await page.getByRole("button", { name: "Import" }).click();
  await page.getByRole("button", { name: "Publish version 1" }).click();
  await page.getByRole("rowheader", { name: "Version 1" }).waitFor();
}

async function fillIn(page, name) {
  await page.getByRole("link", { name: "Inbound campaign" }).click();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.locator("[name=channel]").first().check();
  await page.getByLabel("Bot", { exact: true }).selectOption({ label: "Welcome" });
  await page.locator("#version").getByText("1, the newest").waitFor({ state: "attached" });
}

export const stories = {
  async "an inbound campaign takes over a channel once somebody has agreed to that"(desk) {
    const page = await desk.signedIn();
    await publish(page);
    await page.goto("/campaigns");
    await fillIn(page, "Front desk");
    await page.getByLabel("Between two times").check();
    await page.getByLabel("Text outside these hours").fill("We are back at nine.");
    await page.getByLabel("From", { exact: true }).waitFor();
    await looksRight(page, "inbound-new");
    await page.getByLabel("All day").check();
    await page.getByRole("button", { name: "Start", exact: true }).click();
    const first = page.locator(".campaign", { hasText: "Front desk" });
    await first.locator(".campaign-head").getByText("current on").waitFor();
    await first.locator(".campaign-head").getByText("Live", { exact: true }).waitFor();
    await looksRight(page, "inbound-open");

    await page.goto("/campaigns");
    await fillIn(page, "Night shift");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByText("“Front desk” is current on").waitFor();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Night shift");
    await looksRight(page, "inbound-takes-over");
    await page.getByLabel("Yes, that is what I want").check();
    await page.getByRole("button", { name: "Start all the same" }).click();
    const second = page.locator(".campaign", { hasText: "Night shift" }).first();
    await second.locator(".campaign-head").getByText("current on").waitFor();
    await page.getByText("is met by Night shift now").first().waitFor();
    await page.goto("/channels");
    await page.getByRole("link", { name: "Night shift" }).waitFor();
    await looksRight(page, "channels-met");
  },
};
