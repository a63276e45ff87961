import { strict as assert } from "node:assert";
import { createServer } from "node:http";
import { axe, looksRight, until } from "../desk.mjs";

const COLOURS = {
  bugle_bot: 1,
  name: "Colours",
  steps: [
    { id: "hello", name: "Greeting", do: "message", text: "Welcome to the <b>paint</b> shop." },
    {
      id: "ask", name: "Colour", do: "ask", text: "Which colour?", store: "colour",
      accept: { kind: "choices", choices: [{ value: "Red" }, { value: "Blue" }] },
      routes: [], otherwise: "name", retries: 5, retry_text: "Red or blue, please.",
    },
    { id: "name", name: "Name", do: "ask", text: "#colour it is. Who are you?", store: "who", accept: { kind: "text" } },
    { id: "bye", name: "Bye", do: "close", text: "Thank you, #who." },
  ],
};

/** A web chat whose visitors meet the bot. Returns its number. */
async function webChat(desk, page, name, more = async () => {}) {
  await page.goto("/channels");
  await page.getByRole("link", { name: "Add a channel" }).first().click();
  await page.getByRole("link", { name: "Web chat" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Greeting").fill("Hello! Ask us anything.");
  await more(page);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.waitForURL(/\/channels\/\d+$/);
  const channel = Number(page.url().match(/\d+$/)[0]);

  await page.goto("/bots/import");
  await page.getByLabel("Name").fill(`${name} bot`);
  await page.getByLabel("Or what is in it").fill(JSON.stringify(COLOURS));
  await page.getByRole("button", { name: "Import" }).click();
  await page.waitForURL(/\/bots\/\d+$/);
  const bot = Number(page.url().match(/\d+$/)[0]);
  await page.getByRole("button", { name: "Publish version 1" }).click();
  await page.getByRole("rowheader", { name: "Version 1" }).waitFor();
  desk.bugle.ask(`
    WITH c AS (
      INSERT INTO campaigns (name, direction, kind, time_zone, state, created_at, launched_at, inbound)
      VALUES ('${name}', 'inbound', 'inbound', 'UTC', 'active', now(), now(),
        (SELECT jsonb_build_object('days', 127, 'from', '00:00:00', 'to', '00:00:00', 'out_of_hours', '', 'fallback', '')))
      RETURNING id)
    INSERT INTO schedules (campaign_id, name, channel_id, body, start_time, end_time, rate, state, bot_id, bot_version, inbound)
    SELECT id, 'Main', ${channel}, '', '00:00', '00:00', 6000, 'active', ${bot}, 1, true FROM c`);
  return channel;
}

const says = (page) => page.locator(".log .say p").allInnerTexts();
const isSaid = (page, text) => until(`“${text}” is said`, async () => (await says(page)).includes(text));
const settledDown = (page) => until("all is sent", async () => await page.locator('.say[data-state="waiting"]').count() === 0);

async function write(page, text) {
  await page.getByLabel("Your message").fill(text);
  await page.getByLabel("Your message").press("Enter");
}

export const stories = {
  async "somebody talks with a bot in the widget, and a reload keeps all of it"(desk) {
    const page = await desk.signedIn();
    const channel = await webChat(desk, page, "Paint shop");
    await page.goto(`/channels/${channel}`);
    await page.getByText(`/webchat/${channel}/widget.js`).waitFor();
    await looksRight(page, "webchat-channel");
    const script = await page.request.get(`/webchat/${channel}/widget.js`);
    assert.ok((await script.body()).length < 15_000, `${(await script.body()).length} bytes`);

    await page.goto(`/webchat/${channel}/demo`);
    const launch = page.getByRole("button", { name: "Chat with us", exact: true });
    await launch.click();
    assert.equal(await page.evaluate(() => document.activeElement.shadowRoot.activeElement.tagName), "TEXTAREA");
    await write(page, "Hello");
    await isSaid(page, "Which colour?");
    assert.ok((await says(page)).includes("Welcome to the <b>paint</b> shop."), "text, never markup");
    await looksRight(page, "webchat-open");

    await page.getByRole("button", { name: "Blue", exact: true }).click();
    await isSaid(page, "Blue it is. Who are you?");
    assert.equal(await page.locator(".choices").count(), 0);
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("dialog").count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.shadowRoot.activeElement.className), "launch");

    // While it is closed.
    desk.bugle.ask(`
      WITH v AS (UPDATE webchat_visitors SET last_seq = last_seq + 1 WHERE channel_id = ${channel} RETURNING id, last_seq)
      INSERT INTO webchat_messages (visitor_id, seq, direction, part, body, at) SELECT id, last_seq, 'out', 'from elsewhere', 'Still there?', now() FROM v`);
    await page.getByRole("button", { name: "Chat with us, 1 new" }).click();
    await page.keyboard.press("Escape");
    await launch.click();
    assert.equal(await launch.getAttribute("aria-label"), "Chat with us");
    const before = await says(page);
    await page.reload();
    await page.getByRole("button", { name: "Chat with us" }).click();
    await until("what was said is there", async () => (await says(page)).length === before.length);
    assert.deepEqual(await says(page), before);
    await write(page, "Ada");
    await isSaid(page, "Thank you, Ada.");
    await until("what it shows is delivered", () =>
      desk.bugle.ask("SELECT count(*) = 0 FROM messages WHERE author = 'bot' AND outcome IS NULL") === "t");
  },

  async "a lost connection loses nothing and doubles nothing"(desk) {
    const page = await desk.signedIn();
    const channel = await webChat(desk, page, "Boat shop");
    await page.goto(`/webchat/${channel}/demo`);
    await page.getByRole("button", { name: "Chat with us" }).click();
    await write(page, "Hello");
    await isSaid(page, "Which colour?");

    // While somebody types.
    await page.getByLabel("Your message").fill("Gre");
    await page.context().setOffline(true);
    await page.getByText("No connection.").waitFor();
    assert.equal(await page.getByLabel("Your message").inputValue(), "Gre");
    await page.getByLabel("Your message").pressSequentially("en");
    await page.getByLabel("Your message").press("Enter");
    await write(page, "Purple");
    await until("it waits", async () => await page.locator('.say[data-state="waiting"]').count() === 2);
    await page.getByText("Waiting for the connection").first().waitFor();
    await looksRight(page, "webchat-offline");

    // While a reply comes.
    const visitor = desk.bugle.ask(`SELECT max(id) FROM webchat_visitors WHERE channel_id = ${channel}`);
    desk.bugle.ask(`
      WITH v AS (UPDATE webchat_visitors SET last_seq = last_seq + 1 WHERE id = ${visitor} RETURNING id, last_seq)
      INSERT INTO webchat_messages (visitor_id, seq, direction, part, body, at) SELECT id, last_seq, 'out', 'elsewhere', 'Said meanwhile.', now() FROM v`);
    await page.context().setOffline(false);
    await isSaid(page, "Said meanwhile.");
    await isSaid(page, "Red or blue, please.");
    await settledDown(page);
    await until("the warning is gone", async () => !await page.getByText("No connection.").isVisible());

    // The answer to a message is lost on its way: it was heard, and is sent again.
    let lost = 0;
    await page.route("**/messages", async (route) => {
      if (route.request().method() !== "POST" || lost > 0) return route.continue();
      lost += 1;
      await route.fetch();
      await route.abort();
    });
    await write(page, "Red");
    await settledDown(page);
    assert.equal(lost, 1);
    await isSaid(page, "Red it is. Who are you?");

    // Cut off in the middle of being answered, and closed while it waits.
    await page.getByLabel("Your message").fill("Ada");
    await page.getByLabel("Your message").press("Enter");
    await page.context().setOffline(true);
    await write(page, "And good night");
    await page.waitForTimeout(300);
    await page.context().setOffline(false);
    await page.reload();
    await page.getByRole("button", { name: /^Chat with us/ }).click();
    await until("all has arrived", () =>
      desk.bugle.ask(`SELECT count(*) FROM webchat_messages WHERE visitor_id = ${visitor} AND direction = 'in'`) === "6");
    await settledDown(page);

    const stored = desk.bugle.ask(`SELECT body FROM webchat_messages WHERE visitor_id = ${visitor} ORDER BY seq`).split("\n");
    await until("the widget shows what is stored, in its order", async () =>
      JSON.stringify((await says(page)).slice(1)) === JSON.stringify(stored));
    const typed = ["Hello", "Green", "Purple", "Red", "Ada", "And good night"];
    assert.deepEqual(stored.filter((it) => typed.includes(it)), typed, "each once, in the order in which it was typed");
    assert.equal(desk.bugle.ask(`SELECT count(*) FROM messages WHERE channel_id = ${channel} AND author = 'contact'`), "6");
  },

  async "another site holds the widget when it is on the list, and only then"(desk) {
    const page = await desk.signedIn();
    const site = createServer((_, answer) => {
      answer.setHeader("Content-Type", "text/html");
      answer.end(`<!doctype html><html lang="en"><title>Shop</title><main><h1>Shop</h1></main>
        <script src="${desk.bugle.url}/webchat/${channel}/widget.js" async></script>`);
    });
    await new Promise((ready) => site.listen(0, "127.0.0.1", ready));
    const shop = `http://127.0.0.1:${site.address().port}`;
    let channel;
    try {
      channel = await webChat(desk, page, "Yarn shop", (form) => form.getByLabel("Sites").fill(`${shop}/`));
      // Its own window: the page of the shop, and somebody who is not signed in.
      const visitor = await desk.window();
      await visitor.goto(shop);
      await visitor.getByRole("button", { name: "Chat with us" }).click();
      await write(visitor, "Hello");
      await isSaid(visitor, "Which colour?");
      await axe(visitor);
      await visitor.close();

      await page.goto(`/channels/${channel}`);
      await page.getByLabel("Sites").fill("https://elsewhere.example");
      await page.getByRole("button", { name: "Save", exact: true }).click();
      await page.waitForURL("**/channels");
      const answer = await page.request.post(`/webchat/${channel}/visitors`, { headers: { Origin: shop }, data: {} });
      assert.equal(answer.status(), 403);
    } finally {
      site.close();
    }
  },

  async "a visitor sends a picture, and sees the one that an agent sends"(desk) {
    const page = await desk.signedIn();
    const channel = await webChat(desk, page, "Hat shop");
    const pixel = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
    const visitor = await page.context().newPage();
    await visitor.goto(`/webchat/${channel}/demo`);
    await visitor.getByRole("button", { name: "Chat with us" }).click();
    await visitor.locator("input[type=file]").setInputFiles({ name: "setup.exe", mimeType: "image/png", buffer: Buffer.from("MZ\0") });
    await visitor.getByText("Programs are not taken").waitFor();
    await visitor.locator("input[type=file]").setInputFiles({ name: "mine.png", mimeType: "image/png", buffer: pixel });
    await settledDown(visitor);
    await looksRight(visitor, "webchat-file");

    await page.goto("/inbox");
    await page.getByText("[picture: mine.png]").click();
    await page.waitForURL("**/inbox/*");
    const theirs = page.locator(".said[data-by=contact] img");
    await until("it is drawn", () => theirs.evaluate((it) => it.complete && it.naturalWidth === 1));
    await page.getByLabel("Attach a file").setInputFiles({ name: "ours.png", mimeType: "image/png", buffer: pixel });
    await page.getByText("ours.png goes with the text.").waitFor();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    const ours = visitor.locator(".say img[alt='ours.png']");
    await ours.waitFor();
    await until("it is drawn", () => ours.evaluate((it) => it.complete && it.naturalWidth === 1));
    await looksRight(visitor, "webchat-picture");
    await visitor.reload();
    await visitor.getByRole("button", { name: "Chat with us" }).click();
    await visitor.getByText("mine.png").waitFor();
    await ours.waitFor();
  },
};
