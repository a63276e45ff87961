import { strict as assert } from "node:assert";
import { axe, leaves, looksRight, signIn } from "../desk.mjs";

export const stories = {
  async "a stranger is sent to the sign-in page, from any page"(desk) {
    const page = await desk.window();
    for (const path of ["/", "/campaigns", "/settings/people"]) {
      await page.goto(path);
      assert.equal(new URL(page.url()).pathname, "/sign-in", path);
    }
  },

  async "the sign-in page looks right"(desk) {
    const page = await desk.window();
    await page.goto("/sign-in");
    await looksRight(page, "sign-in");
  },

  async "a wrong password is refused in words that do not say which part was wrong"(desk) {
    const page = await desk.window();
    await page.goto("/sign-in");
    const messages = [];
    for (const email of [desk.bugle.admin.email, "nobody@example.org"]) {
      await page.getByLabel("E-mail address").fill(email);
      await page.getByLabel("Password").fill("not the password");
      await page.getByRole("button", { name: "Sign in" }).click();
      const message = page.getByRole("alert");
      messages.push(await message.innerText());
      assert.equal(await page.getByLabel("E-mail address").inputValue(), email, "what was typed is kept");
    }
    assert.equal(messages[0], messages[1]);
    await axe(page);
  },

  async "signing in with the keyboard alone leads to the campaigns"(desk) {
    const page = await desk.window();
    await page.goto("/sign-in");
    // The first field gets the focus by itself, once the browser has drawn it.
    await page.locator("input[name=email]:focus").waitFor();
    await page.keyboard.type(desk.bugle.admin.email);
    await page.keyboard.press("Tab");
    const enter = async () => {
      await page.keyboard.type(desk.bugle.admin.password);
      await leaves(page, () => page.keyboard.press("Enter"));
    };
    await enter();
    // Within a second of the wrong password in the story before, nobody is heard.
    while (new URL(page.url()).pathname === "/sign-in") {
      assert.equal(await page.getByRole("alert").innerText(), "Too many attempts. Try again in a second.");
      await page.locator("input[name=password]:focus").waitFor();
      await enter();
    }
    assert.equal(await page.getByRole("heading", { level: 1 }).innerText(), "Campaigns");
  },

  async "signing in and out works without JavaScript"(desk) {
    const page = await desk.signedInWithoutJavaScript();
    await page.goto("/account");
    await page.getByRole("button", { name: /^Signed in as/ }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL("**/sign-in*");
    await page.goto("/campaigns");
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  },

  async "the chosen colours are kept, and can be given back to the system"(desk) {
    const page = await desk.window({ colorScheme: "light" });
    await signIn(page, desk.bugle.admin);
    await page.goto("/account");
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();

    await page.getByRole("button", { name: /^Signed in as/ }).click();
    await page.getByRole("radio", { name: "Dark" }).press("Space");
    const dark = await ground();
    assert.notEqual(dark, light);

    await page.reload();
    assert.equal(await ground(), dark);

    await page.getByRole("button", { name: /^Signed in as/ }).click();
    await page.getByRole("radio", { name: "System" }).press("Space");
    assert.equal(await ground(), light);
    await page.emulateMedia({ colorScheme: "dark" });
    assert.equal(await ground(), dark);
  },

  async "the first thing the keyboard reaches leads past the rail"(desk) {
    const page = await desk.signedIn();
    await page.goto("/account");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  },

  async "the account page and the people page look right"(desk) {
    const page = await desk.signedIn();
    for (const [name, path] of [["account", "/account"], ["people", "/settings/people"], ["new-person", "/settings/people/new"]]) {
      await page.goto(path);
      await looksRight(page, name);
    }
  },

  async "neither a restart nor a crash signs anybody out"(desk) {
    const page = await desk.signedIn();
    // The page is open meanwhile, and asks in vain how many people wait.
    desk.forgives(/htmx:(sendError|afterRequest)/);
    for (const again of ["restart", "crash"]) {
      await desk.bugle[again]();
      await page.goto(`${desk.bugle.url}/account`);
      assert.equal(await page.getByRole("heading", { level: 1 }).innerText(), "Account", again);
    }
  },
};
