import { strict as assert } from "node:assert";
import { contacts, looksRight, until, upload } from "../desk.mjs";

export const stories = {
  async "phones that got nothing yet say what will bring messages"(desk) {
    const page = await desk.signedIn();
    await page.goto("/phones");
    await page.locator(".empty").waitFor();
    await looksRight(page, "phones-empty");
  },

  async "a channel is added, and a wrong one comes back as it was typed"(desk) {
    const page = await desk.signedIn();
    await page.goto("/channels/new");
    await looksRight(page, "channel-new");

    await page.getByLabel("Name").fill("Pretend carrier");
    await page.getByLabel("Sender").fill("Bugle");
    // As a browser without the checks of the form would send it.
    await page.locator("form.form").evaluate((form) => { form.noValidate = true; });
    await page.getByLabel("Slow answers (%)").fill("200");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator(".error").first().waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), "Pretend carrier");
    await looksRight(page, "channel-refused");

    await page.getByLabel("Slow answers (%)").fill("0");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.waitForURL("**/channels");
    await page.getByRole("link", { name: "Pretend carrier" }).waitFor();
    await looksRight(page, "channels");
    await page.getByRole("link", { name: "Pretend carrier" }).click();
    await page.getByRole("button", { name: "Save", exact: true }).waitFor();
    await looksRight(page, "channel-edit");
  },

  async "a gateway is added, what is wrong comes back, and its page says what to do on the other side"(desk) {
    const page = await desk.signedIn();
    await page.goto("/channels");
    await page.getByRole("link", { name: "Add a channel" }).click();
    await looksRight(page, "channel-choose");
    await page.getByText("From RapidPro").click();
    await page.getByLabel("Settings of an external channel").fill("send_url=x");
    await page.getByRole("button", { name: "Read them" }).click();
    await page.locator("#settings-error").getByText("This is no JSON").waitFor();
    assert.equal(await page.getByLabel("Settings of an external channel").inputValue(), "send_url=x");
    await page.getByLabel("Settings of an external channel").fill(JSON.stringify({
      send_url: "http://127.0.0.1:9/send", send_authorization: "Token t0p-s3cret", mt_response_check: "OK",
    }));
    await page.getByRole("button", { name: "Read them" }).click();
    assert.equal(await page.getByLabel("It was taken").inputValue(), "status 2xx and body contains OK");
    await page.getByLabel("Name", { exact: true }).fill("Gateway");
    await page.getByLabel("Sender").fill("Bugle");
    await page.getByLabel("It was refused").fill("perhaps");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator("#rejected-error").waitFor();
    await looksRight(page, "gateway-refused");
    await page.getByLabel("It was refused").fill("");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("The channel “Gateway” is added.").waitFor();
    await page.getByText("Nobody outside can call us yet").waitFor();
    assert.ok(!(await page.content()).includes("t0p-s3cret"), "what is kept is not shown again");
    await looksRight(page, "gateway");

    // Nobody is there, and nothing is called in our own network that was not allowed.
    await page.getByLabel("Your own phone").fill("+353 86 123 4567");
    await page.getByRole("button", { name: "Send a test message" }).click();
    await page.locator("#said.bad").getByText("--internal-gateways").waitFor();
    assert.equal(await page.getByLabel("Your own phone").inputValue(), "+353 86 123 4567");
    await page.getByRole("button", { name: "Check the account" }).click();
    await page.locator("#said.bad").getByText("Not ready").waitFor();

    for (const [name, shot] of [["Twilio", "twilio-new"], ["WhatsApp Cloud API", "whatsapp-new"], ["Kannel", "kannel-new"]]) {
      await page.goto("/channels/add");
      await page.getByRole("link", { name, exact: true }).click();
      await page.getByRole("button", { name: "Add", exact: true }).waitFor();
      await looksRight(page, shot);
    }
  },

  async "a file is uploaded, its columns are named, and its rows become contacts"(desk) {
    const page = await desk.signedIn();
    await page.goto("/files/new");
    await looksRight(page, "file-new");
    await upload(page.getByLabel("Campaign file"), "spring.csv", contacts(40) + "12,Too short\n");
    await page.getByRole("button", { name: "Upload" }).click();
    await page.getByRole("button", { name: "Import" }).waitFor();
    await looksRight(page, "file-columns");

    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByRole("button", { name: "Import" }).click();
    await page.getByRole("heading", { name: "40 contacts from spring.csv" }).waitFor();
    await looksRight(page, "file-imported");
    await page.getByRole("link", { name: "See the rows" }).click();
    await page.getByRole("cell", { name: "353871000001" }).waitFor();
    await looksRight(page, "file-rows");
  },

  async "a file is uploaded and imported without JavaScript"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/files/new");
    await upload(page.getByLabel("Campaign file"), "plain.csv", contacts(3, { from: 5_000 }));
    await page.getByRole("button", { name: "Upload" }).click();
    await page.getByLabel("Numbers without a country code are from").selectOption("IE");
    await page.getByRole("button", { name: "Import" }).click();
    // The import takes its time; without a script somebody asks again.
    const done = page.getByRole("heading", { name: "3 contacts from plain.csv" });
    await until("the import is done", async () => {
      if (await done.isVisible()) return true;
      await page.getByRole("link", { name: "Refresh" }).click();
      return false;
    });
  },
};
