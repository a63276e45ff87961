import { strict as assert } from "node:assert";
import { looksRight, number, signIn, until } from "../desk.mjs";
import { bring, draft, launch, launchIt, moment, plan, Row, rowsBehind } from "../screen.mjs";

/** A window with the Campaigns screen, this campaign open in it. */
async function opened(desk, name = "Spring offer", options = {}) {
  const page = await desk.signedIn(options);
  await page.goto("/campaigns");
  return { page, row: await new Row(page, name).open() };
}

export const stories = {
  async "a launched campaign moves by itself"(desk) {
    const page = await desk.signedIn();
    const row = await launch(page, { name: "Spring offer", n: 3000, rate: 600 });
    await row.becomes("live");
    const before = await row.sent();
    // Nothing on the page is touched: the numbers come by themselves, in the row and in the open schedule.
    await row.reaches(before + 10);
    await until("the schedule moves too", async () => await row.sentBySchedule() > before);
    await looksRight(page, "campaigns-live");
  },

  async "what is expanded stays expanded over a reload, and can be folded again"(desk) {
    const { page, row } = await opened(desk);
    await page.reload();
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true");
    await row.toggle.click();
    await row.schedule.waitFor({ state: "detached" });
    await page.reload();
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "false");
  },

  async "after a pause has answered nothing more leaves; resuming goes on where it stood"(desk) {
    const { page, row } = await opened(desk);
    const held = await row.pause();

    // Another campaign starts and sends meanwhile, so the engine is known to be at work, and the page
    // to be told about it.
    const other = await desk.signedIn();
    const metronome = await launch(other, { name: "Metronome", n: 600, rate: 600, from: 500_001 });
    await metronome.reaches(30);
    assert.equal(await row.sent(), held);
    assert.equal(await row.sentBySchedule(), held);
    await page.reload();
    assert.equal(await row.sent(), held, "and a fresh page says the same");

    await row.button("resume").click();
    await row.plan.waitFor();
    await looksRight(page, "resume-plan");
    assert.equal(await number(row.plan), 3000 - held, "the plan counts who is left");
    await row.plan.getByRole("link", { name: "Not now" }).click();
    await row.plan.waitFor({ state: "detached" });
    assert.equal(await row.state(), "paused", "a plan alone resumes nothing");
    await row.resume();
    await row.reaches(held + 10);
  },

  async "a page follows what somebody does in another window"(desk) {
    const mine = await opened(desk);
    const theirs = await opened(desk);
    await mine.row.pause();
    await theirs.row.isStill();
    assert.equal(await theirs.row.button("resume").count(), 1, "its buttons followed too");
    await mine.row.resume();
    await theirs.row.becomes("live");
    await theirs.row.button("pause").waitFor();
  },

  async "of two people who press different buttons at once, the second reads in place why nothing was done"(desk) {
    const page = await desk.signedIn();
    await launch(page, { name: "Contested", n: 600, rate: 60, from: 700_001 });
    // Nobody tells this window what happens meanwhile: its question is never answered.
    const late = await desk.window();
    await late.route("**/campaigns/live?*", () => {});
    await signIn(late, desk.bugle.admin);
    await late.goto("/campaigns");
    const stale = await new Row(late, "Contested").open();

    const row = new Row(page, "Contested");
    await row.button("stop").click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    await looksRight(page, "stop-one");
    await dialog.getByRole("button", { name: "STOP", exact: true }).click();
    await row.becomes("stopped");

    const refused = late.waitForResponse((response) => response.status() === 409);
    await stale.button("pause").click();
    await refused;
    await stale.schedule.locator(".note.warn").waitFor();
    assert.equal(await stale.schedule.locator(".badge").getAttribute("data-state"), "stopped", "it shows how things are");
    assert.equal(await stale.button("pause").count(), 0);
    await looksRight(late, "refused-in-place");
  },

  async "pausing keeps the focus and leaves the rest of the page alone"(desk) {
    const { page, row } = await opened(desk);
    const search = page.getByRole("searchbox");
    await search.evaluate((field) => { field.marked = true; });
    await row.button("pause").focus();
    await page.keyboard.press("Enter");
    await row.isStill();
    assert.ok(await search.evaluate((field) => field.marked), "the page was not loaded anew");
    assert.match(await page.evaluate(() => document.activeElement.innerText), /^RESUME/, "the focus is on the way back");
    await row.resume();
  },

  async "a new rate holds from now on"(desk) {
    const { row } = await opened(desk);
    await row.schedule.getByLabel("Messages a minute").fill("1200");
    await row.schedule.getByRole("button", { name: "Update schedule" }).click();
    await until("the new rate is shown", async () => /1,?200/.test(await row.schedule.locator(".schedule-rate").innerText()));
    assert.equal(await row.schedule.getByLabel("Messages a minute").inputValue(), "1200");
    await row.reaches(await row.sent() + 10);
  },

  async "what is being typed is not lost when the numbers move"(desk) {
    const { row } = await opened(desk);
    const rate = row.schedule.getByLabel("Messages a minute");
    await rate.fill("99");
    await row.reaches(await row.sent() + 10);
    assert.equal(await rate.inputValue(), "99");
    assert.ok(await rate.evaluate((it) => it === document.activeElement));
  },

  async "an end time that has passed is refused in place"(desk) {
    const { page, row } = await opened(desk);
    const end = row.schedule.getByLabel(/^End time/);
    await end.fill(moment(-30));
    await row.schedule.locator(".would").getByText("must lie in the future").waitFor();
    await row.schedule.getByRole("button", { name: "Update schedule" }).click();
    await row.schedule.locator(".note.warn").waitFor();
    assert.equal(await row.state(), "live", "nothing was changed");
    await looksRight(page, "end-refused");
  },

  async "every number leads to the rows behind it"(desk) {
    const { page, row } = await opened(desk);
    await row.pause();
    await rowsBehind(page, row.schedule.locator(".count").first());
    await looksRight(page, "ledger-filtered");
    await page.getByRole("navigation", { name: "Counts" }).getByRole("link").first().click();
    await page.getByRole("searchbox").fill("35387");
    await page.getByRole("button", { name: "Find" }).click();
    await page.locator(".table tbody tr").first().waitFor();
    await looksRight(page, "ledger");
    await page.getByRole("searchbox").fill("nobody");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByRole("heading", { name: "No such contact" }).waitFor();
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
    await looksRight(page, "campaigns-nothing-found");
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

  async "PAUSE ALL asks, holds everything, and RESUME ALL takes it back, in every window"(desk) {
    const { page, row } = await opened(desk);
    const theirs = await opened(desk);
    await page.getByRole("link", { name: "PAUSE ALL" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Campaigns that pause").waitFor();
    await looksRight(page, "pause-all");
    await dialog.getByRole("button", { name: "PAUSE ALL" }).click();
    await page.getByText("Paused. Nothing more will leave.").first().waitFor();
    await row.becomes("paused");
    const held = await row.sent();
    await theirs.page.getByText(/still paused by it/).waitFor();
    await looksRight(page, "paused-all");
    await page.goto("/campaigns/1/resume");
    await looksRight(page, "resume-page");

    await theirs.page.getByRole("link", { name: /^RESUME (it|these)/ }).click();
    const plan = theirs.page.getByRole("dialog");
    await plan.getByText(/left\./).waitFor();
    await looksRight(theirs.page, "resume-all");
    await page.goto("/campaigns?settling=Paused");
    await page.locator("#settling").getByText("Paused. Nothing more will leave.").waitFor();
    await plan.getByRole("button", { name: "RESUME ALL" }).click();
    await row.becomes("live");
    await page.getByText(/still paused by it/).waitFor({ state: "detached" });
    await page.locator("#settling").waitFor({ state: "detached" });
    await row.reaches(held + 10);
  },

  async "a STOP shows its answer where it was asked for, however slow the carrier"(desk) {
    const page = await desk.signedIn();
    // Dead lines: what is sent to them stays on the wire for long.
    const dead = Array.from({ length: 30 }, (_, n) => `+35387${2_000_095 + n * 100},Person ${n}`);
    await draft(page, "Slow one");
    await bring(page, "slow.csv", `phone,name\n${dead.join("\n")}\n`, { good: 30 });
    await plan(page, { rate: 600 });
    await launchIt(page);
    await page.waitForURL("**/campaigns?open=*");
    const row = new Row(page, "Slow one");
    await row.open();
    await row.schedule.locator(".count", { hasText: "in flight" }).waitFor();
    await row.button("stop").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("heading", { name: "Stop Main of Slow one?" }).waitFor();
    await dialog.getByRole("button", { name: "STOP", exact: true }).click();
    await dialog.getByText(/^Stopping… \d+ in flight/).waitFor();
    assert.equal(await dialog.getByRole("button", { name: "STOP", exact: true }).count(), 0, "the question is answered");
    assert.match(await row.badge.innerText(), /Stopping/);
    await looksRight(page, "stop-settles");
    await dialog.waitFor({ state: "hidden" });
    await row.schedule.getByText("Stopped. Nothing more will leave.").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id.replace(/\d+/, "N")), "schedule-N-name");
  },

  async "the focus and what was typed stay where they are, whoever changes what"(desk) {
    const { page, row } = await opened(desk);
    const theirs = await opened(desk);
    await row.schedule.getByLabel("Messages a minute").fill("777");
    await theirs.row.pause();
    await row.isStill();
    assert.equal(await row.schedule.getByLabel("Messages a minute").inputValue(), "777");
    await row.button("resume").focus();
    await page.keyboard.press("Enter");
    await row.plan.waitFor();
    await row.plan.getByRole("button", { name: "RESUME" }).focus();
    await page.keyboard.press("Enter");
    await row.becomes("live");
    await row.button("pause").waitFor();
    assert.match(await page.evaluate(() => document.activeElement.innerText), /^PAUSE/);
    assert.equal(await row.schedule.getByLabel("Messages a minute").inputValue(), "777");
  },

  async "the chart moves with the numbers, and the numbers behind it stay unfolded"(desk) {
    const { row } = await opened(desk);
    const told = row.schedule.locator("figcaption");
    await row.schedule.getByText("The numbers").click();
    const before = await number(told);
    await until("the chart has followed", async () => await number(told) > before);
    assert.ok(await row.schedule.locator("figure details").evaluate((it) => it.open));
    assert.ok(await number(told) <= await row.sent());
  },

  async "a lost connection is said, with since when, and made up for"(desk) {
    const { page, row } = await opened(desk);
    desk.forgives(/\[object Event\]|htmx:(sseError|sendError|afterRequest)/);
    await row.reaches(await row.sent() + 1);
    await desk.bugle.dies();
    await page.getByText(/^Not live since \d\d:\d\d:\d\d, reconnecting…/).waitFor();
    await row.button("pause").click();
    await page.getByRole("heading", { name: "No connection to Bugle" }).waitFor();
    assert.ok(await page.locator(".notice-close svg").evaluate((it) => it.getBoundingClientRect().width > 0));
    const before = await row.sent();
    await looksRight(page, "not-live");
    await page.getByRole("button", { name: "Close this message" }).click();
    await desk.bugle.comesBack();
    await page.getByText(/^Not live since/).waitFor({ state: "detached" });
    await row.reaches(before + 10);
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true", "what was open is open");
  },

  async "what is not there is a page that says so"(desk) {
    const page = await desk.signedIn();
    for (const path of ["/campaigns/999999/edit", "/nowhere"]) {
      const response = await page.goto(path);
      assert.equal(response.status(), 404, path);
      await page.getByRole("heading", { name: "Not found" }).waitFor();
    }
    await looksRight(page, "not-found");
  },

  async "Escape and Cancel are safe, and Enter alone does not stop anything"(desk) {
    const { page, row } = await opened(desk);
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
    const word = dialog.getByLabel("Type STOP to go on");
    const stop = dialog.getByRole("button", { name: "STOP everything" });
    await word.fill("stop");
    assert.ok(await stop.isDisabled(), "the word is STOP, in capitals");
    await looksRight(page, "stop-dialog");
    await word.fill("STOP");
    assert.ok(await stop.isEnabled());
    await word.press("Enter");
    await looksRight(page, "stop-dialog-typed");
    assert.ok(await dialog.isVisible(), "Enter in the field did nothing");
    await page.keyboard.press("Escape");
    await page.goto("/stop");
    await looksRight(page, "stop-page");
    await page.getByRole("link", { name: "Cancel" }).click();
    await row.reaches(await row.sent() + 10);
    assert.equal(await row.state(), "live");
  },

  async "with the keyboard alone everything can be stopped, for good"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    const tabTo = async (what) => {
      for (let n = 0; n < 40; n += 1) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((what) => document.activeElement.matches(what), what)) return;
      }
      assert.fail(`${what} is not reached with Tab`);
    };
    await tabTo(".panic .stop");
    await page.keyboard.press("Enter");
    await page.locator("dialog input[name=word]:focus").waitFor();
    await page.keyboard.type("STOP");
    await tabTo("dialog button.stop");
    await page.keyboard.press("Enter");
    await page.getByText("Stopped. Nothing more will leave.").first().waitFor();
    const row = new Row(page, "Spring offer");
    await row.becomes("stopped");
    const sent = await row.sent();
    await page.reload();
    assert.equal(await row.sent(), sent);
    await row.open();
    for (const word of ["resume", "pause", "stop"]) {
      assert.equal(await row.button(word).count(), 0, `there is no ${word} any more`);
    }
    await looksRight(page, "campaigns-stopped");
  },

  async "what was stopped is still stopped after a crash"(desk) {
    await desk.bugle.crash();
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    assert.equal(await new Row(page, "Spring offer").state(), "stopped");
  },
};
