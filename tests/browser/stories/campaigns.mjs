import { strict as assert } from "node:assert";
import { axe, looksRight, until } from "../desk.mjs";
import { Row, launch, rowsBehind } from "../screen.mjs";

export const stories = {
  async "before the first campaign the screen says what to do"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    await page.locator(".empty").waitFor();
    await looksRight(page, "campaigns-empty");
  },

  async "a campaign made from a file moves by itself"(desk) {
    const page = await desk.signedIn();
    await launch(page, { name: "Spring offer", n: 2000, rate: 600 });
    const row = new Row(page, "Spring offer");
    await row.becomes("live");
    const before = await row.sent();
    // Nothing on the page is touched: the numbers come by themselves.
    await row.reaches(before + 10);
    await row.open();
    await looksRight(page, "campaigns-live");
  },

  async "after a pause has answered, nothing more leaves; resuming goes on where it stood"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = await new Row(page, "Spring offer").open();
    const held = await row.pause();

    // Another campaign starts and sends meanwhile, so the engine is known to be at work.
    const other = await desk.signedIn();
    await launch(other, { name: "Metronome", n: 500, rate: 600, from: 500_001 });
    await new Row(other, "Metronome").reaches(30);
    assert.equal(await row.sent(), held);
    await page.reload();
    assert.equal(await row.sent(), held, "and a fresh page says the same");

    const plan = await row.resume();
    assert.match(plan, /\d/, "the plan counts who is left");
    await row.reaches(held + 10);
  },

  async "what is expanded stays expanded over a reload"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = await new Row(page, "Spring offer").open();
    await page.reload();
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true");
  },

  async "pausing keeps the focus and leaves the rest of the page alone"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = await new Row(page, "Spring offer").open();
    const search = page.getByRole("searchbox");
    await search.evaluate((field) => { field.marked = true; });
    await row.button("pause").focus();
    await page.keyboard.press("Enter");
    await row.becomes("paused");
    assert.ok(await search.evaluate((field) => field.marked), "the page was not loaded anew");
    assert.ok(await row.element.evaluate((it) => it.contains(document.activeElement)), "the focus stayed in the row");
    await row.resume();
  },

  async "a new rate holds from now on"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = await new Row(page, "Spring offer").open();
    const rate = row.schedule.getByLabel(/rate|messages per minute/i);
    if (!(await rate.isVisible())) await row.schedule.getByRole("button", { name: /edit/i }).or(row.schedule.locator("summary")).first().click();
    await rate.fill("1200");
    await row.schedule.getByRole("button", { name: "Update schedule" }).click();
    await until("the new rate is shown", async () => /1,?200/.test(await row.schedule.locator(".schedule-rate").innerText()));
  },

  async "an end time that has passed is refused beside the field"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = await new Row(page, "Spring offer").open();
    const end = row.schedule.getByLabel(/end/i);
    if (!(await end.isVisible())) await row.schedule.getByRole("button", { name: /edit/i }).or(row.schedule.locator("summary")).first().click();
    await end.fill("00:00");
    await row.schedule.getByRole("button", { name: "Update schedule" }).click();
    await page.locator(".schedule .error, #notice .problem").first().waitFor();
    await axe(page);
  },

  async "every number leads to the rows behind it"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = await new Row(page, "Spring offer").open();
    await row.pause();
    await rowsBehind(page, row.schedule.locator(".count").first());
    await looksRight(page, "ledger");
    await page.goto("/campaigns");
    await row.open();
    await row.resume();
  },

  async "the search finds as one types, and its result has an address"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    await page.getByRole("searchbox").pressSequentially("METRO");
    await until("only Metronome is left", async () => await page.locator(".campaign").count() === 1);
    assert.match(page.url(), /[?&]q=METRO/);
    await page.reload();
    assert.equal(await page.locator(".campaign").count(), 1);
    await page.getByRole("searchbox").fill("nothing is called this");
    await until("nothing is left", async () => await page.locator(".campaign").count() === 0);
    await page.locator(".empty").waitFor();
  },

  async "without JavaScript a campaign is paused, resumed and found"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/campaigns?q=Spring");
    assert.equal(await page.locator(".campaign").count(), 1);
    const row = await new Row(page, "Spring offer").open();
    await row.button("pause").click();
    assert.equal(await row.state(), "paused");
    await row.open();
    await row.button("resume").click();
    const confirm = page.locator(".resume-plan").getByRole("button", { name: /^resume/i });
    if (await confirm.count()) await confirm.click();
    assert.equal(await row.state(), "live");
  },

  async "the phones have got the messages"(desk) {
    const page = await desk.signedIn();
    await page.goto("/phones");
    await page.locator(".phone-tile").first().waitFor();
    await looksRight(page, "phones");
    await page.locator(".phone-tile").first().click();
    assert.match(await page.locator(".bubble").first().innerText(), /Hello Person \d+/);
    await looksRight(page, "phone");
  },

  async "Escape and Cancel are safe, and Enter alone does not stop anything"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const opener = page.locator(".panic .stop");
    const dialog = page.getByRole("dialog");
    for (const leave of [() => page.keyboard.press("Escape"), () => dialog.getByText("Cancel").click()]) {
      await opener.focus();
      await page.keyboard.press("Enter");
      await dialog.waitFor();
      await leave();
      await dialog.waitFor({ state: "hidden" });
      assert.ok(await opener.evaluate((it) => it === document.activeElement), "the focus is back");
    }

    await page.keyboard.press("Enter");
    await dialog.waitFor();
    const word = dialog.getByLabel(/type stop/i);
    const stop = dialog.getByRole("button", { name: /stop/i });
    await word.fill("stop");
    assert.ok(await stop.isDisabled(), "the word is STOP, in capitals");
    await word.fill("STOP");
    assert.ok(await stop.isEnabled());
    await word.press("Enter");
    await looksRight(page, "stop-dialog");
    assert.ok(await dialog.isVisible(), "Enter in the field did nothing");
    await page.keyboard.press("Escape");
    assert.equal(await new Row(page, "Spring offer").state(), "live");
  },

  async "with the keyboard alone everything can be stopped, for good"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const row = new Row(page, "Spring offer");
    await page.locator(".panic .stop").focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("STOP");
    for (let n = 0; n < 5; n += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(() => document.activeElement.matches("dialog .stop"))) break;
    }
    await page.keyboard.press("Enter");
    await row.becomes("stopped");
    const sent = await row.sent();
    await page.reload();
    assert.equal(await row.sent(), sent);
    await row.open();
    assert.equal(await row.button("resume").count(), 0, "there is no way back");
    await looksRight(page, "campaigns-stopped");
  },

  async "what was stopped is still stopped after a crash"(desk) {
    await desk.bugle.crash();
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    assert.equal(await new Row(page, "Spring offer").state(), "stopped");
  },
};
