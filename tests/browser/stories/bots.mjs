import { strict as assert } from "node:assert";
import { looksRight, until } from "../desk.mjs";

const step = (page, name) => page.locator(".step", { has: page.locator(".step-name", { hasText: name }) });

/** Saves by leaving the field, as people do. */
async function fillIn(page, card, label, text) {
  const saved = page.waitForResponse((response) => response.url().includes("/steps/") && response.request().method() === "POST");
  await card.getByLabel(label, { exact: true }).fill(text);
  await card.getByLabel(label, { exact: true }).press("Tab");
  assert.equal((await saved).status(), 200);
}

export const stories = {
  async "a bot of three steps is built, tried, published and compared"(desk) {
    const page = await desk.signedIn();
    await page.goto("/bots");
    await looksRight(page, "bots-empty");
    await page.getByRole("link", { name: "Start with nothing" }).click();
    await page.getByLabel("Name").fill("Greeter");
    await page.getByRole("button", { name: "Make the bot" }).click();
    await page.getByText("1 to put right").waitFor();

    const hello = step(page, "Greeting");
    await fillIn(page, hello, "Says", "Hello #name|there#!");
    await page.getByText("Nothing is wrong with this bot.").waitFor();
    await hello.getByText(/Saved \d\d:\d\d:\d\d/).waitFor();

    await page.getByLabel("Add a step").selectOption("ask");
    await page.getByLabel("Below").selectOption({ label: "1. Greeting" });
    await page.getByRole("button", { name: "Add", exact: true }).click();
    const ask = step(page, "Ask");
    await ask.waitFor();
    await until("it stands in the middle", async () => await ask.locator(".step-n").innerText() === "2");
    await fillIn(page, ask, "Asks", "May we call you?");
    await fillIn(page, ask, "Keeps it in the field", "call");
    await ask.getByRole("button", { name: "Add a condition" }).click();
    await ask.getByLabel("Compared with").fill("yes");
    await ask.getByLabel("Compared with").press("Tab");
    await page.getByText("Nothing is wrong with this bot.").waitFor();
    await until("the flow follows", async () => await page.locator(".flow-box").count() === 3);
    await looksRight(page, "bot-editor");

    await page.getByRole("link", { name: "Try it", exact: true }).first().click();
    await page.getByText("Hello there!").or(page.getByText("Hello Ada!")).waitFor();
    await page.getByLabel("Reply as the contact").fill("Yes");
    await page.getByLabel("Reply as the contact").press("Enter");
    await page.getByText("call = Yes").waitFor();
    await page.getByText("The bot is done: closed.").waitFor();
    await looksRight(page, "bot-try");

    await page.getByRole("link", { name: "Steps", exact: true }).click();
    await page.getByLabel("What is new").fill("First");
    await page.getByRole("button", { name: "Publish version 1" }).click();
    await page.getByRole("rowheader", { name: "Version 1" }).waitFor();
    await page.getByRole("link", { name: "Steps", exact: true }).click();
    await fillIn(page, step(page, "Greeting"), "Says", "Good day #name|there#!");
    await page.getByRole("link", { name: "Versions", exact: true }).click();
    await looksRight(page, "bot-versions");
    await page.getByRole("button", { name: "Compare", exact: true }).click();
    await page.getByText("Hello #name|there#!").waitFor();
    await page.getByText("Good day #name|there#!").waitFor();
    await looksRight(page, "bot-compare");
  },

  async "an example is drawn, moved with the keys, and two editors do not overwrite one another"(desk) {
    const page = await desk.signedIn();
    await page.goto("/bots/new?from=appointment");
    await looksRight(page, "bot-new");
    await page.getByRole("button", { name: "Make the bot" }).click();
    await page.locator(".flow-box").first().waitFor();
    await looksRight(page, "bot-example");

    const other = await desk.signedIn();
    await other.goto(page.url());
    await page.locator(".flow-box", { hasText: "See you" }).click();
    const bye = step(page, "See you");
    await until("it is unfolded", async () => await bye.getAttribute("open") !== null);
    await bye.getByLabel("Name", { exact: true }).press("Alt+ArrowUp");
    await until("it moved", async () => await step(page, "See you").locator(".step-n").innerText() === "4");

    const late = step(other, "Remind");
    const refused = other.waitForResponse((response) => response.status() === 409);
    await late.getByLabel("Asks", { exact: true }).fill("What I typed");
    await late.getByLabel("Asks", { exact: true }).press("Tab");
    await refused;
    await late.getByText(/changed this bot meanwhile/).waitFor();
    assert.equal(await late.getByLabel("Asks", { exact: true }).inputValue(), "What I typed");
    await looksRight(other, "bot-changed-meanwhile");
    await page.goto("/bots");
    await looksRight(page, "bots");
  },

  async "a bot is tried without JavaScript, and the wait is skipped"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/bots");
    await page.getByRole("link", { name: "Appointment reminder" }).click();
    await page.getByRole("link", { name: "Try it", exact: true }).first().click();
    await page.getByRole("button", { name: "Skip the wait" }).click();
    await page.getByText("We have not heard from you.").waitFor();
    await page.getByLabel("Reply as the contact").fill("yes");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("closed the conversation").waitFor();
  },
};
