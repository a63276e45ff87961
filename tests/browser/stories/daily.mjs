import { strict as assert } from "node:assert";
import { contacts, looksRight, until } from "../desk.mjs";
import { bring, clock, draft, launchIt, Row } from "../screen.mjs";

const today = () => new Date().toISOString().slice(0, 10);

/** A launched daily campaign whose window is open and whose schedule has begun. Leaves the page on its open row. */
async function daily(page, name, look = async () => {}) {
  await draft(page, name, "Daily");
  await bring(page, "sample.csv", contacts(2), { good: 2 });
  await page.getByLabel("Any time between").fill(clock(-90));
  await page.getByLabel("and", { exact: true }).fill(clock(90));
  for (const day of ["Saturday", "Sunday"]) await page.getByLabel(day).check();
  await page.getByLabel("Expected file name").fill("arrears-{day}.csv");
  await page.getByRole("button", { name: "Save the daily file" }).click();
  await page.locator("#expected_name-error").waitFor();
  await look(page, "daily-plan-refused");
  await page.getByLabel("Expected file name").fill("arrears-{date}*.csv");
  await page.getByRole("button", { name: "Save the daily file" }).click();
  await page.locator("#expected_name-error").waitFor({ state: "detached" });
  await page.locator("#unsaved").waitFor({ state: "hidden" });
  await look(page, "daily-draft");

  const form = page.locator("#schedule-form");
  await form.or(page.locator("#add-schedule")).first().waitFor();
  await page.waitForLoadState();
  if (!await form.isVisible()) await page.getByRole("link", { name: /^Add a/ }).click();
  await page.getByLabel("Text", { exact: true }).fill("Hello #name");
  await page.getByLabel("Start", { exact: true }).fill(clock(-60));
  await page.getByLabel("End", { exact: true }).fill(clock(120));
  await page.getByLabel("Messages a minute").fill("600");
  await page.getByRole("button", { name: "Save the schedule" }).click();
  await page.getByRole("button", { name: /^Remove/ }).waitFor();
  await launchIt(page);
  await page.waitForURL("**/campaigns?open=*");
  const row = new Row(page, name);
  await row.element.locator(".drops").waitFor();
  return row;
}

/** Drags a file from outside onto the drop window. */
async function drag(page, zone, name, text) {
  const carried = await page.evaluateHandle(([name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, { type: "text/csv" }));
    return transfer;
  }, [name, text]);
  await zone.dispatchEvent("dragover", { dataTransfer: carried });
  assert.notEqual(await zone.getAttribute("data-over"), null, "it shows that the file can be let go here");
  await zone.dispatchEvent("drop", { dataTransfer: carried });
  await zone.getByText(name).waitFor();
}

/** Pastes cells as a spreadsheet copies them. */
async function paste(zone, text) {
  await zone.locator("input").evaluate((input, text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    input.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, text);
}

export const stories = {
  async "a bad daily file is told what is wrong and a good one goes"(desk) {
    const page = await desk.signedIn();
    const row = await daily(page, "Daily arrears", looksRight);
    const zone = row.element.locator(".dropzone");
    const send = row.element.getByRole("button", { name: "Hand in the file" });
    await looksRight(page, "daily-open");

    await send.click();
    await row.element.getByText("Drop a file, choose one, or paste its rows first.").waitFor();

    // Dragged: without the column that the texts need.
    const good = contacts(30);
    await drag(page, zone, `arrears-${today()}.csv`, good.replace("phone,name", "phone,who"));
    await send.click();
    await row.element.getByText("The column “name” is missing.").waitFor();

    // Chosen: under another name, accepted once.
    await zone.locator("input").setInputFiles({ name: "other.csv", mimeType: "text/csv", buffer: Buffer.from(good) });
    await send.click();
    await row.element.getByText("The file is called “other.csv”.").waitFor();
    await looksRight(page, "daily-refused");
    await row.element.getByRole("button", { name: "Accept this name once" }).click();
    await row.element.getByText("30 contacts in today's runs.").waitFor();
    await row.reaches(30);

    // Pasted: a second one is asked about, and added.
    await paste(zone, contacts(5, { from: 500 }).replaceAll(",", "\t"));
    await zone.getByText(`arrears-${today()}pasted.csv`).waitFor();
    await send.click();
    await row.element.getByText("Another file came before it today.").waitFor();
    await looksRight(page, "daily-asked");
    await row.element.getByRole("button", { name: "Add its contacts" }).click();
    await row.element.getByText("5 contacts added to today's runs.").waitFor();
    await row.reaches(35);
    await looksRight(page, "daily-sent");
  },

  async "without JavaScript a daily file is handed in as a form"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    const row = await daily(page, "Plain arrears");
    const file = { name: `arrears-${today()}.csv`, mimeType: "text/csv", buffer: Buffer.from(contacts(3, { from: 900 })) };
    await row.element.locator(".dropzone input").setInputFiles(file);
    await row.element.getByRole("button", { name: "Hand in the file" }).click();
    await until("it is sent", async () => {
      const there = [row.element.getByText("3 contacts in today's runs."), row.progress];
      const both = await Promise.all(there.map((it) => it.isVisible()));
      // A page without scripts stays as it was drawn: before the run has begun it tells of no number.
      if (both.every((it) => it) && await row.sent() >= 3) return true;
      await page.reload();
      return false;
    });
  },
};
