import { strict as assert } from "node:assert";
import { looksRight, until } from "../desk.mjs";
import { bring, clock, draft, launchIt, plan, Row } from "../screen.mjs";

/** A campaign file whose contacts live in two cities. */
function cities(n) {
  const rows = ["phone,name,city"];
  for (let i = 1; rows.length <= n; i += 1) {
    const phone = `+35387${String(2_000_000 + i)}`;
    if (/(8[0-4]|9[0-5])$/.test(phone)) continue;
    rows.push(`${phone},Person ${i},${rows.length % 3 === 0 ? "Cork" : "Dublin"}`);
  }
  return rows.join("\n") + "\n";
}

export const stories = {
  async "a campaign is grouped by a column, one schedule for each value"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns/new");
    await looksRight(page, "grouped-new");
    await draft(page, "Two cities");
    await bring(page, "cities.csv", cities(30), { good: 30 });

    await page.locator("#groups > summary").click();
    await page.getByLabel("Group by").selectOption("city");
    await page.locator("#groups").getByRole("button", { name: "Save" }).click();
    await page.getByText("30 rows have a value that no schedule serves").waitFor();
    await looksRight(page, "grouped-values");

    await page.getByRole("link", { name: "Add a schedule for Dublin" }).click();
    assert.equal(await page.getByLabel("Serves").inputValue(), "Dublin");
    await plan(page, { text: "Hello Dublin, #name", rate: 600 });
    await page.getByText("10 rows have a value that no schedule serves: “Cork”").waitFor();

    // The second one as most people leave it folded, and as some need it.
    await page.getByRole("link", { name: "Add a schedule for Cork" }).click();
    await page.getByLabel("Text", { exact: true }).fill("Hello Cork, #name");
    await page.getByLabel("Start", { exact: true }).fill(clock(-30));
    await page.getByLabel("End", { exact: true }).fill(clock(90));
    await page.getByRole("radio", { name: "Spread evenly" }).check();
    await page.getByLabel("Messages a minute").waitFor({ state: "hidden" });
    await looksRight(page, "grouped-schedule");
    await page.getByText("If it starts late").click();
    await page.getByText("Contact's hours").click();
    await page.getByLabel("First so many").fill("5");
    await page.getByLabel("Wait for receipts, minutes").fill("");
    await looksRight(page, "grouped-schedule-open");
    await page.getByRole("button", { name: "Save the schedule" }).click();
    await page.locator("#canary_minutes-error").waitFor();
    await looksRight(page, "grouped-refused");
    await page.getByLabel("First so many").fill("");
    await page.getByRole("button", { name: "Save the schedule" }).click();
    await page.locator("#review article").nth(1).waitFor();

    // Every message is checked by itself, and one comes to oneself.
    await page.getByText("Every contact gets a message.").waitFor();
    const dublin = page.locator("#review article").first();
    await dublin.getByText("Send this text to yourself").click();
    await dublin.getByLabel("Your own number").fill("+353 87 200 0999");
    await dublin.getByRole("button", { name: "Send a test" }).click();
    await dublin.getByText("delivered", { exact: true }).waitFor();
    await looksRight(page, "grouped-review");

    await launchIt(page);
    const row = new Row(page, "Two cities");
    await until("Dublin is through", async () => (await page.content()).includes("Dublin"));
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true");
  },

  async "when a recurring one would run is told as it is typed"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns/new");
    await page.getByLabel("Name", { exact: true }).fill("Every morning");
    await page.getByLabel("Time zone").fill("Europe/Dublin");
    await page.getByRole("radio", { name: /^Recurring/ }).check();
    await page.getByRole("button", { name: "Create the draft" }).click();
    await page.getByRole("link", { name: "New list" }).waitFor();
    await looksRight(page, "recurring-no-lists");
  },

  async "a campaign is grouped on a phone, without JavaScript"(desk) {
    const page = await desk.signedInWithoutJavaScript({ viewport: { width: 390, height: 844 } });
    await draft(page, "On the phone");
    await bring(page, "phone.csv", cities(9), { good: 9 });
    await page.locator("#groups > summary").click();
    await page.getByLabel("Group by").selectOption("city");
    await page.locator("#groups").getByRole("button", { name: "Save" }).click();
    await page.getByRole("link", { name: "Add a schedule for Cork" }).click();
    await plan(page, { text: "Hello Cork", rate: 60 });
    await page.getByText("6 rows have a value that no schedule serves: “Dublin”").waitFor();
  },
};
