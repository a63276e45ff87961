import { strict as assert } from "node:assert";
import { leaves, looksRight, until } from "../desk.mjs";

const FIRST = "353871000101";
const SECOND = "353871000102";

export const stories = {
  async "an agent answers with the keyboard and sees it delivered"(desk) {
    const page = await desk.signedIn();
    await page.goto("/inbox");
    await page.getByRole("heading", { name: "No conversations yet" }).waitFor();
    await looksRight(page, "inbox-empty");

    // Without a reload, the list says who writes.
    await desk.bugle.hears(FIRST, "Where is my parcel?");
    await page.getByText("Where is my parcel?").waitFor();
    await desk.bugle.hears(SECOND, "Are you open on Sunday?");
    await page.getByText("Are you open on Sunday?").waitFor();
    await looksRight(page, "inbox-list");

    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    assert.match(await focused(), /Where is my parcel/, "the longest waiting stands first");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/inbox/*");
    await page.getByText("Waits for a human").waitFor();
    await leaves(page, () => page.keyboard.press("a"));
    await page.getByRole("button", { name: "Assign to me" }).waitFor({ state: "detached" });
    await page.keyboard.press("r");
    await page.keyboard.type("It is on its way. e and j are only letters here.");
    await page.locator("#measure").getByText("1 SMS").waitFor();
    await looksRight(page, "inbox-thread");
    await page.getByLabel("Reply", { exact: true }).focus();
    await page.keyboard.press("Control+Enter");
    const mine = page.locator(".said[data-by=agent]");
    await mine.getByText("It is on its way.").waitFor();
    await mine.getByText("delivered").waitFor();
    assert.equal(await page.getByLabel("Reply", { exact: true }).inputValue(), "");

    // What comes in meanwhile is seen, and what is being written stays.
    await page.getByLabel("Reply", { exact: true }).fill("You are wel");
    await desk.bugle.hears(FIRST, "Great, thanks!");
    await page.getByText("Great, thanks!").waitFor();
    await page.getByText("Waits for a human").waitFor();
    assert.equal(await page.getByLabel("Reply", { exact: true }).inputValue(), "You are wel");
    await page.getByLabel("Reply", { exact: true }).press("Escape");
    await leaves(page, () => page.keyboard.press("e"));
    await page.getByText("Closed: ").waitFor();
    await looksRight(page, "inbox-closed");
    await page.keyboard.press("u");
    await page.waitForURL("**/inbox");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("They do nothing while you are typing.").waitFor();
    await looksRight(page, "inbox-keys");
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.type("sunday");
    await until("only that one is left", async () => await page.locator(".conversation").count() === 1);
    assert.match(page.url(), /q=sunday/);
  },

  async "without JavaScript an agent labels, answers and blocks"(desk) {
    await desk.bugle.hears(SECOND, "Hello? please stop texting");
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/inbox?view=unanswered");
    await page.locator(".conversation").first().click();
    await page.getByText("Have they opted out?").waitFor();
    await looksRightWithoutScripts(page);
    await page.getByRole("button", { name: "They did not mean it" }).click();
    await page.getByLabel("New label").fill("Sundays");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("button", { name: "Take the label Sundays off" }).waitFor();
    await page.getByLabel("Reply", { exact: true }).fill("Dear #name");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText(/is no field of this contact|There is no value/).first().waitFor();
    assert.equal(await page.getByLabel("Reply", { exact: true }).inputValue(), "Dear #name");
    await page.getByLabel("Reply", { exact: true }).fill("Dear #name|customer#, we are.");
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator(".said-text", { hasText: "Dear" }).waitFor();
    await page.getByRole("link", { name: "Block…" }).click();
    await page.getByRole("button", { name: "Block", exact: true }).click();
    await page.getByText("blocked by").waitFor();
  },

  async "an agent attaches a picture, and the phone shows it"(desk) {
    const page = await desk.signedIn();
    await desk.bugle.hears(FIRST, "What does it look like?");
    await page.goto("/inbox");
    await page.getByText("What does it look like?").click();
    await page.waitForURL("**/inbox/*");
    const pixel = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
    const reply = page.getByLabel("Reply", { exact: true });
    await reply.fill("Like this");
    await page.getByLabel("Attach a file").setInputFiles({ name: "setup.exe", mimeType: "image/png", buffer: Buffer.from("MZ\0") });
    await page.getByText("Programs are not taken").waitFor();
    assert.equal(await reply.inputValue(), "Like this");
    await page.getByLabel("Attach a file").setInputFiles({ name: "hat.png", mimeType: "image/png", buffer: pixel });
    await page.getByText("hat.png goes with the text.").waitFor();
    assert.match(await reply.inputValue(), /^Like this\nhttp:\S+\/media\/[0-9a-f]{32}\/hat\.png\n$/);
    await looksRight(page, "inbox-attach");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    const picture = page.locator(".said[data-by=agent] img[alt='hat.png']");
    await picture.waitFor();
    await until("the picture is drawn", () => picture.evaluate((it) => it.complete && it.naturalWidth === 1));
    await looksRight(page, "inbox-picture");
    await page.goto(`/phones/${FIRST}`);
    await page.locator(".bubble img[alt='hat.png']").waitFor();
    await looksRight(page, "phone-picture");
  },
};

/** axe cannot run there; the page must at least not be wider than a phone. */
async function looksRightWithoutScripts(page) {
  await page.setViewportSize({ width: 390, height: 844 });
  const box = await page.locator(".thread").boundingBox();
  assert.ok(box.width <= 390);
  await page.setViewportSize({ width: 1280, height: 860 });
}
