import { strict as assert } from "node:assert";
import { looksRight, until } from "../desk.mjs";

const BOT = JSON.stringify({
  bugle_bot: 1,
  name: "Reception",
  version: null,
  steps: [
    { id: "s1", name: "Question", do: "ask", text: "Hello, what is it about?", store: "about" },
    { id: "s2", name: "Thanks", do: "close", text: "Thank you for #about." },
  ],
});

/** A phone in the hand that nothing has reached yet. */
async function use(page, number) {
  await page.goto("/phones");
  await page.getByLabel("Use a phone").fill(number);
  await page.getByRole("button", { name: "Use it" }).click();
  await page.waitForURL("**/phones/*");
}

const line = (page) => page.getByLabel("Write on this phone");

export const stories = {
  async "what is typed on a phone is answered there"(desk) {
    const page = await desk.signedIn();
    await page.goto("/phones");
    await page.getByLabel("Use a phone").fill("12");
    await page.getByRole("button", { name: "Use it" }).click();
    await page.locator(".error").waitFor();
    await looksRight(page, "phones-wrong-number");
    await use(page, "+1 202 555 0142");
    await page.getByText("Write first, if you like.").waitFor();
    await looksRight(page, "phone-empty");

    await line(page).fill("Help");
    await line(page).press("Shift+Enter");
    assert.equal(await page.locator(".bubble").count(), 0);
    await line(page).press("Backspace");
    await line(page).press("Enter");
    await page.locator(".bubble[data-mine]", { hasText: "Help" }).waitFor();
    await page.locator(".bubble:not([data-mine])", { hasText: "Reply STOP to get no more messages" }).waitFor();
    await until("one can go on writing", () => line(page).evaluate((it) => it === document.activeElement && it.value === ""));
    await page.keyboard.type("stop");
    await page.keyboard.press("Enter");
    await page.locator(".bubble", { hasText: "You will get no more messages" }).waitFor();
    await looksRight(page, "phone-talks");

    await page.goto("/settings/consent?text=stop&out=on");
    await page.getByText("They are out already").waitFor();
    await page.locator("#proof").getByRole("link", { name: "12025550142" }).waitFor();
    await page.getByText("English", { exact: true }).click();
    await looksRight(page, "consent");
    await page.getByRole("link", { name: "Edit English" }).click();
    await page.getByLabel("Words").first().fill("stop, ayuda");
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator("small.error").getByText("already means help in Spanish").waitFor();
    await looksRight(page, "consent-refused");
    await page.getByRole("link", { name: "Cancel" }).click();
    await page.locator("#proof").getByRole("link", { name: "12025550142" }).click();
    await page.getByText("“stop”").waitFor();
    await looksRight(page, "contact-opted-out");
  },

  async "a phone talks without JavaScript"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await use(page, "+1 202 555 0143");
    await line(page).fill("Is anybody there?");
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator(".bubble[data-mine]", { hasText: "Is anybody there?" }).waitFor();
    await page.goto("/phones");
    await page.locator(".phone-tile", { hasText: "12025550143" }).getByText("Is anybody there?").waitFor();
  },

  async "phones get rules, in an order, and are asked what they would answer"(desk) {
    const page = await desk.signedIn();
    await page.goto("/phones/rules");
    await looksRight(page, "rules-empty");
    await page.getByRole("link", { name: "Add a rule" }).first().click();
    await page.getByLabel("When a text has").fill("(from");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator("small.error").getByText("This is not a regular expression").waitFor();
    await looksRight(page, "rule-refused");
    await page.getByRole("link", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Put the usual rules in" }).click();
    await page.getByRole("button", { name: "Turn rule 5 off" }).click();
    await page.getByRole("button", { name: "Turn rule 5 on" }).waitFor();
    await page.getByRole("button", { name: "Move rule 6 up" }).click();
    await page.getByRole("button", { name: "Turn rule 6 on" }).waitFor();
    await page.getByLabel("To the text").fill("From 1 to 5?");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByRole("rowheader", { name: "about 4" }).waitFor();
    await looksRight(page, "rules");
    await page.getByRole("button", { name: "Turn all off" }).click();
    await page.getByRole("button", { name: "Turn all on" }).waitFor();
  },

  async "who writes first on a phone meets the bot of an inbound campaign there"(desk) {
    const page = await desk.signedIn();
    await page.goto("/bots/import");
    await page.locator("[name=text]").fill(BOT);
    await page.getByRole("button", { name: "Import" }).click();
    await page.getByRole("button", { name: "Publish version 1" }).click();
    await page.getByRole("rowheader", { name: "Version 1" }).waitFor();
    await page.goto("/campaigns");
    await page.getByRole("link", { name: "Inbound campaign" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Front desk");
    await page.locator("[name=channel]").first().check();
    await page.getByLabel("Bot", { exact: true }).selectOption({ label: "Reception" });
    await page.locator("#version").getByText("1, the newest").waitFor({ state: "attached" });
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator(".campaign", { hasText: "Front desk" }).first().waitFor();

    await use(page, "+1 202 555 0144");
    await line(page).fill("Good morning");
    await line(page).press("Enter");
    await page.locator(".bubble", { hasText: "Hello, what is it about?" }).waitFor();
    await line(page).fill("my parcel");
    await line(page).press("Enter");
    await page.locator(".bubble", { hasText: "Thank you for my parcel." }).waitFor();
    await looksRight(page, "phone-bot");
  },
};
