import { strict as assert } from "node:assert";
import { contacts, looksRight, number, until, upload } from "../desk.mjs";
import { bring, draft, launchIt, plan, Row } from "../screen.mjs";

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
    await page.locator("#measure .note").getByText("#nme").waitFor({ state: "detached" });
    assert.equal(await number(page.locator("#measure b")), 1);

    // An end that has passed comes back as it was typed, with the reason beside it.
    await page.getByLabel("Date", { exact: true }).fill("2020-02-29");
    // Its instants come in above the button: not while it is pressed.
    await page.getByText("Sat 29 Feb 2020").first().waitFor();
    await page.getByRole("button", { name: "Save the schedule" }).click();
    await page.locator("#end-error").waitFor();
    assert.equal(await text.inputValue(), "Hello #name|there#, 20 % off");
    await looksRight(page, "draft-refused");

    await plan(page, { text: "Hello #name|there#, 20 % off", rate: 600 });
    await page.locator("#review .bubble").getByText("Hello Person 1, 20 % off").waitFor();
    await page.locator("#review figure").waitFor();
    await looksRight(page, "draft-review");
    await launchIt(page);

    // It stands on the screen, its row open, and goes through by itself.
    const row = new Row(page, "Spring offer");
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true");
    await row.reaches(40);
    await row.becomes("finished");
  },

  async "what is typed in one form of a draft stays when another is saved, and a launch without it asks"(desk) {
    const page = await desk.signedIn();
    await draft(page, "Side by side");
    const address = page.url();
    const cities = contacts(12).replaceAll(/(Person \d+)/g, "$1,Cork").replace("phone,name", "phone,name,city");
    await upload(page.getByLabel("A file with your contacts"), "side.csv", cities);
    await page.locator("#unsaved").getByText("Not saved: the file").waitFor();
    await page.getByRole("button", { name: "Upload", exact: true }).click();

    // The text is begun before the file is imported; what follows from its columns comes without a reload.
    const text = page.getByLabel("Text", { exact: true });
    await text.fill("Hello #name, first draft");
    await page.locator("#unsaved").getByText("Not saved: the schedule").waitFor();
    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.locator("#groups > summary").getByText("Not grouped").waitFor();
    assert.equal(await text.inputValue(), "Hello #name, first draft");
    assert.equal(page.url().split("#")[0], address);
    await page.locator("#measure .bubble").getByText("Hello Person 1, first draft").waitFor();
    await page.getByRole("button", { name: "Next contact" }).click();
    await page.locator("#measure .bubble").getByText("Hello Person 2, first draft").waitFor();
    assert.ok(await page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true }))), "leaving asks");

    // Another form is saved beside it: the text stays, and so does the focus.
    await page.locator("#quiet > summary").click();
    await page.locator("#quiet").getByRole("radio", { name: /^None/ }).check();
    await page.getByRole("button", { name: "Save the quiet hours" }).click();
    await page.locator("#quiet > summary").getByText("Quiet hours: none").waitFor();
    assert.equal(await text.inputValue(), "Hello #name, first draft");
    assert.equal(await page.evaluate(() => document.activeElement.id), "quiet-save");

    // What is wrong comes into sight with the focus, and nothing else moves.
    await page.getByLabel("Date", { exact: true }).fill("2020-02-29");
    // Its instants come in above the button: not while it is pressed.
    await page.getByText("Sat 29 Feb 2020").first().waitFor();
    await page.getByRole("button", { name: "Save the schedule" }).click();
    await page.locator("#end-error").waitFor();
    await until("the field that is wrong has the focus", () => page.evaluate(() => document.activeElement.id === "end"));
    assert.ok(await page.evaluate(() => {
      const { top, bottom } = document.activeElement.getBoundingClientRect();
      return top > 0 && bottom < innerHeight;
    }), "and is in sight");
    await looksRight(page, "draft-side-by-side");

    await plan(page, { text: "Hello #name, as it is saved", rate: 600 });
    await page.locator("#unsaved").waitFor({ state: "hidden" });
    await page.locator(".draft-bar-sum").getByText("12 contacts").waitFor();
    await page.getByRole("link", { name: "Change Main" }).click();
    await text.fill("Hello #name, never saved");
    await launchIt(page);
    const asks = page.getByRole("dialog");
    await asks.getByText("Launch without what is not saved?").waitFor();
    await looksRight(page, "draft-launch-unsaved");
    await asks.getByRole("button", { name: "Back to the draft" }).click();
    assert.equal(await text.inputValue(), "Hello #name, never saved");
    await launchIt(page);
    await asks.getByRole("button", { name: "Launch without it" }).click();
    await page.waitForURL("**/campaigns?open=*");
    await page.locator("#said").getByText("Launched.").waitFor();
    assert.equal(desk.bugle.ask("SELECT body FROM schedules WHERE body LIKE 'Hello #name, %'"), "Hello #name, as it is saved");
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
    await launchIt(page);
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
    await page.locator("#word-error").getByText("Nothing was stopped").waitFor();
    await page.getByLabel("Type STOP to go on").fill("STOP");
    await page.getByRole("button", { name: "STOP everything" }).click();
    await page.locator("#settling").waitFor();
    assert.equal(await row.state(), "stopped");
  },

  async "whom one channel cannot reach, another does"(desk) {
    const page = await desk.signedIn();
    // A second carrier, which delivers what the first one cannot.
    desk.bugle.ask(`
      INSERT INTO channels (name, kind, provider, sender, secret, settings, created_at)
      SELECT 'Other operator', kind, provider, 'Other', secret, settings, now() FROM channels WHERE provider = 'sandbox' ORDER BY id LIMIT 1`);
    await draft(page, "By two ways");
    await bring(page, "two.csv", `${contacts(3)}+353871000190,Nobody\n`, { good: 4 });
    await page.getByLabel("Schedule name").fill("First");
    await page.getByLabel("Channel", { exact: true }).selectOption({ label: await page.locator("#channel option", { hasText: "Sandbox" }).innerText() });
    await plan(page, { text: "Hello #name", rate: 6000 });
    await page.getByRole("link", { name: "Add another schedule" }).click();
    await page.getByLabel("Schedule name").fill("Second");
    await page.getByLabel("Channel", { exact: true }).selectOption({ label: "Other operator (SMS, from Other)" });
    await page.getByLabel("Goes to").selectOption({ label: "Those whom “First” could not reach" });
    await page.getByLabel("Minutes after that one has ended").fill("0");
    await looksRight(page, "draft-follows");
    await plan(page, { text: "Hello #name, once more", rate: 6000 });
    await page.locator("#review").getByText("Those whom “First” could not reach, 0 minutes after it has ended").waitFor();
    await looksRight(page, "draft-review-follows");
    await launchIt(page);
    const row = new Row(page, "By two ways");
    await row.becomes("finished");
    await looksRight(page, "campaign-followed");
    const reached = desk.bugle.ask("SELECT string_agg(right(address, 2), ',') FROM deliveries d JOIN schedule_runs r ON r.id = d.run_id JOIN schedules s ON s.id = r.schedule_id WHERE s.name = 'Second'");
    assert.equal(reached, "90");
  },
};
