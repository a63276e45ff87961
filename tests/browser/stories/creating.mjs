import { strict as assert } from "node:assert";
import { contacts, looksRight, number, until, upload } from "../desk.mjs";
import { Row, bring, draft, plan } from "../screen.mjs";

export const stories = {
  async "before the first campaign the screen says what to do"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    await page.locator(".empty").getByRole("link", { name: "New campaign" }).waitFor();
    await looksRight(page, "campaigns-empty");
  },

  async "a campaign is made from a file, step by step, and told before what it will do"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns/new");
    await looksRight(page, "campaign-new");
    await draft(page, "Spring offer");
    await looksRight(page, "draft-new");
    assert.ok(await page.getByRole("button", { name: "Launch" }).isDisabled(), "nothing to launch yet");

    // A file with a column of an own name, a contact without it, and a row that is none.
    const rows = contacts(40).replace("Person 7\n", "\n") + "12,Too short\n";
    await upload(page.getByLabel("A file with your contacts"), "spring.csv", rows);
    await page.getByText("spring.csv").first().waitFor();
    await page.getByRole("button", { name: "Upload", exact: true }).click();
    await page.getByRole("button", { name: "Import", exact: true }).waitFor();
    await looksRight(page, "draft-columns");
    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByRole("heading", { name: "40 contacts from spring.csv" }).waitFor();
    await page.getByRole("cell", { name: "12", exact: true }).waitFor();
    await looksRight(page, "draft-problems");
    await page.getByRole("link", { name: "Go on with the campaign" }).click();

    // What the text comes to is said while it is typed.
    const text = page.getByLabel("Text", { exact: true });
    await text.fill("");
    await text.pressSequentially("Hello #nme");
    await page.locator("#measure").getByText("#nme is no field of these contacts").waitFor();
    await text.fill("Hello #name|there#, 20 % off");
    await page.locator("#measure").getByText("#nme").waitFor({ state: "detached" });
    assert.equal(await number(page.locator("#measure b")), 1);

    // An end that has passed comes back as it was typed, with the reason beside it.
    await page.getByLabel("Date", { exact: true }).fill("2020-02-29");
    await page.getByRole("button", { name: "Save the schedule" }).click();
    await page.locator("#end-error").waitFor();
    assert.equal(await text.inputValue(), "Hello #name|there#, 20 % off");
    await looksRight(page, "draft-refused");

    await plan(page, { text: "Hello #name|there#, 20 % off", rate: 600 });
    await page.locator("#review .bubble").getByText("Hello Person 1, 20 % off").waitFor();
    await page.locator("#review figure").waitFor();
    await looksRight(page, "draft-review");
    await page.getByRole("button", { name: "Launch" }).click();

    // It stands on the screen, its row open, and goes through by itself.
    const row = new Row(page, "Spring offer");
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true");
    await row.reaches(40);
    await row.becomes("finished");
  },

  async "two campaigns cannot have one name"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns/new");
    await page.getByLabel("Name", { exact: true }).fill("Spring offer");
    await page.getByRole("button", { name: "Create the draft" }).click();
    await page.locator("#name-error").waitFor();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Spring offer");
  },

  async "without JavaScript a campaign is made, paused, resumed, edited, found, and everything is stopped"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await draft(page, "Plain words");
    await bring(page, "plain.csv", contacts(1500, { from: 10_000 }), { good: 1500 });
    await plan(page, { rate: 300 });
    await page.getByRole("button", { name: "Launch" }).click();
    const row = new Row(page, "Plain words");
    await until("it sends", async () => {
      if (await row.state() === "live" && await row.sent() > 0) return true;
      await page.reload();
      return false;
    });

    await row.button("pause").click();
    await row.schedule.getByText(/nothing more will leave/i).waitFor();
    assert.equal(await row.state(), "paused");
    const held = await row.sent();

    await row.button("resume").click();
    assert.equal(await number(page.locator(".resume-plan")), 1500 - held);
    await page.locator(".resume-plan").getByRole("button", { name: /^resume/i }).click();
    assert.equal(await row.state(), "live");

    await row.schedule.getByLabel("Messages a minute").fill("240");
    await row.schedule.getByRole("button", { name: "Update schedule" }).click();
    assert.match(await row.schedule.locator(".schedule-rate").innerText(), /\b240\b/);

    await page.getByRole("searchbox").fill("plain");
    await page.getByRole("button", { name: "Search" }).click();
    assert.deepEqual(await page.locator(".campaign-toggle").allInnerTexts(), ["Plain words"]);

    await page.getByRole("link", { name: "STOP", exact: true }).click();
    await page.getByLabel("Type STOP to go on").fill("stop");
    await page.getByRole("button", { name: "STOP everything" }).click();
    await page.getByText("Nothing was stopped").waitFor();
    await page.getByLabel("Type STOP to go on").fill("STOP");
    await page.getByRole("button", { name: "STOP everything" }).click();
    await page.locator("#settling").waitFor();
    assert.equal(await row.state(), "stopped");
  },
};
