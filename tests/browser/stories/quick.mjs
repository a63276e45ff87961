import { strict as assert } from "node:assert";
import { contacts, looksRight, number, until, upload } from "../desk.mjs";
import { Row } from "../screen.mjs";

/** Chooses it in the header, or in the menu that stands there on a narrow screen. */
async function beginQuick(page) {
  const menu = page.getByRole("button", { name: /^New/ });
  if (await menu.isVisible()) await menu.click();
  await page.getByRole("link", { name: "Quick campaign" }).click();
}

/** Opens the form and fills in what every quick campaign has. */
async function begin(page, name, text = "The office is closed today.") {
  await page.goto("/campaigns");
  await beginQuick(page);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Text", { exact: true }).fill(text);
}

async function send(page) {
  await page.getByRole("button", { name: "Send", exact: true }).click();
}

export const stories = {
  async "from the click to the first message it is one page"(desk) {
    const page = await desk.signedIn();
    await page.goto("/campaigns");
    await beginQuick(page);
    assert.match(await page.getByLabel("Name", { exact: true }).inputValue(), /^Quick \d+ \w+ \d\d:\d\d$/);
    await looksRight(page, "quick-new");

    // What is typed is checked while it is typed.
    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByLabel("Phone numbers").fill("087 100 0001\n0871000002, 0871000003\nMary\n0871");
    const checked = page.locator("#checked");
    await checked.getByText("5 numbers").waitFor();
    await checked.getByText("Row 4: 0871 is not a phone number in Ireland").waitFor();
    await page.getByLabel("Text", { exact: true }).pressSequentially("Hello #name");
    await page.locator("#measure").getByText("Typed numbers have no fields").waitFor();
    await page.getByLabel("Text", { exact: true }).fill("The office is closed today.");
    await page.locator("#measure").getByText("Typed numbers").waitFor({ state: "detached" });
    assert.equal(await number(page.locator("#measure b")), 1);
    await page.getByLabel("Name", { exact: true }).fill("Closed today");
    await page.getByLabel("Messages a minute").fill("600");
    await looksRight(page, "quick-filled");

    // Sending with what cannot be used asks once.
    await send(page);
    await page.getByText("Nothing was sent yet.").waitFor();
    await looksRight(page, "quick-asks");
    assert.equal(await page.getByLabel("Text", { exact: true }).inputValue(), "The office is closed today.");
    await page.getByRole("button", { name: "Send to 3 of 5" }).click();
    await page.waitForURL("**/campaigns?open=*");
    const row = new Row(page, "Closed today");
    assert.equal(await row.toggle.getAttribute("aria-expanded"), "true");
    await row.reaches(3);
    await page.goto("/campaigns/quick");
    assert.equal(await page.getByLabel("Numbers without a country code are from").inputValue(), "IE", "it is remembered");
  },

  async "pressed twice, and gone back to, it is one campaign"(desk) {
    const page = await desk.signedIn();
    await begin(page, "Only once");
    await page.getByLabel("Phone numbers").fill("+353871000011\n+353871000012");
    await page.getByRole("button", { name: "Send", exact: true }).dblclick();
    await page.waitForURL("**/campaigns?open=*");
    await page.goBack();
    await page.waitForURL("**/campaigns?open=*");
    await page.goto("/campaigns?q=Only+once");
    assert.equal(await page.locator(".campaign").count(), 1);
    await new Row(page, "Only once").reaches(2);
  },

  async "a file is kept when something else is wrong, and its fields are filled in"(desk) {
    const page = await desk.signedIn();
    await begin(page, "From a file", " ");
    await page.getByRole("radio", { name: "A file" }).check();
    await upload(page.getByLabel("A file with your contacts"), "people.csv", contacts(5, { from: 400_001 }));
    await looksRight(page, "quick-file");
    await send(page);
    await page.getByText("people.csv is kept").waitFor();
    await page.locator("small.error").getByText("Write the text.").waitFor();
    await looksRight(page, "quick-kept");
    await page.getByLabel("Text", { exact: true }).fill("Hello #name");
    await page.getByLabel("Messages a minute").fill("600");
    await send(page);
    await page.waitForURL("**/campaigns?open=*");
    await new Row(page, "From a file").reaches(5);
    await page.goto("/phones");
    await page.locator(".phone-tile").first().click();
    assert.match(await page.locator(".bubble").first().innerText(), /Hello Person|office is closed/);
  },

  async "a large file sends by itself when it is through"(desk) {
    const page = await desk.signedIn();
    await begin(page, "Many people");
    await page.getByRole("radio", { name: "A file" }).check();
    const padded = contacts(30_000, { from: 500_001 }).replaceAll(",Person", ",A person with a rather long name of their own, in quotes or not");
    await upload(page.getByLabel("A file with your contacts"), "many.csv", padded.replaceAll(", in quotes", " in quotes"));
    await send(page);
    await page.waitForURL(/campaigns\/quick\/\d+|campaigns\?open=/);
    await page.waitForURL("**/campaigns?open=*", { timeout: 60_000 });
    await new Row(page, "Many people").becomes("live");
  },

  async "without JavaScript and on a phone it works as well"(desk) {
    const page = await desk.signedInWithoutJavaScript({ viewport: { width: 390, height: 844 } });
    await begin(page, "By phone");
    await page.getByLabel("Phone numbers").fill("+353871000021\nMary");
    await send(page);
    await page.getByText("Row 2: Mary is not a phone number").waitFor();
    await page.getByRole("button", { name: "Send to 1 of 2" }).click();
    await page.waitForURL("**/campaigns?open=*");
    await until("it was sent", async () => {
      await page.reload();
      return await new Row(page, "By phone").sent() >= 1;
    });

    await begin(page, "Tomorrow");
    await page.getByLabel("Phone numbers").fill("+353871000022");
    await page.getByRole("radio", { name: "Later" }).check();
    const date = page.getByLabel("Date", { exact: true });
    await date.fill(new Date(Date.now() + 86_400_000).toISOString().slice(0, 10));
    await page.getByLabel("Time", { exact: true }).fill("12:00");
    await send(page);
    await page.waitForURL("**/campaigns?open=*");
    await new Row(page, "Tomorrow").becomes("waiting");
  },
};
