// Drives the pages in Chromium as a person does. Called by the tests with one JSON argument:
// { scenario, npm: folder with node_modules, url, …what the scenario needs }. Ends with 0, or says what was wrong.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";

const given = JSON.parse(process.argv[2]);
const require = createRequire(path.join(given.npm, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: given.chromium, args: ["--no-sandbox"] });

// A person's window. What the browser complains about, a refused script or style above all, fails the test.
const complaints = [];
async function window(options = {}) {
  const context = await browser.newContext({ baseURL: given.url, ...options });
  context.setDefaultTimeout(10000);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A form that is refused is answered with 422, a page that is not there with 404, a live part whose session is
    // over with 401; Chromium tells of all.
    const expected = /responded with a status of (401|404|422)/.test(message.text());
    if (message.type() === "error" && !expected) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  return page;
}

async function signIn(page, link) {
  await page.goto(link);
  await page.getByRole("button", { name: /^Sign in as / }).click();
  await page.getByRole("heading", { level: 1, name: "Projects" }).waitFor();
}

const scenarios = {
  // Signs in by link, pastes a key, sees it, deletes it, adds a collaborator, signs out.
  async person() {
    const page = await window({ javaScriptEnabled: given.scripts });
    await signIn(page, given.link);
    await page.getByRole("link", { name: "SSH keys" }).click();
    await page.getByText("No key yet.").waitFor();
    await page.getByLabel("Public key").fill(given.key);
    await page.getByLabel("Title").fill("my laptop");
    await page.getByRole("button", { name: "Add key" }).click();
    await page.getByRole("status").getByText("The key was added.").waitFor();
    await page.getByRole("heading", { name: "my laptop" }).waitFor();
    await page.getByText(given.fingerprint).waitFor();

    await page.getByLabel("Public key").fill(given.private);
    await page.getByRole("button", { name: "Add key" }).click();
    await page.getByRole("alert").getByText("This is a private key").waitFor();
    assert.equal(await page.getByLabel("Public key").inputValue(), "");

    await page.getByText("Delete my laptop").click();
    await page.getByRole("button", { name: "Delete this key" }).click();
    await page.getByText("No key yet.").waitFor();

    await page.getByRole("link", { name: "Projects" }).click();
    await page.getByLabel("Title").fill("Climate runs");
    await page.getByLabel("Alias").fill("climate");
    await page.getByRole("button", { name: "Make project" }).click();
    await page.getByRole("heading", { level: 1, name: "Climate runs" }).waitFor();
    await page.getByText("climate@gateway.example.org").first().waitFor();
    await page.getByLabel("Account name").fill("bob");
    await page.getByRole("button", { name: "Add member" }).click();
    await page.getByRole("status").getByText("The member was added.").waitFor();
    const members = page.getByRole("region", { name: "Members" });
    await members.getByText("bob", { exact: true }).first().waitFor();
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByText("running", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
  },

  // The page of a project follows what happens elsewhere, without being loaded again.
  async live() {
    const page = await window();
    await signIn(page, given.link);
    await page.goto(given.project);
    await page.getByText("stopped", { exact: true }).waitFor();
    await page.evaluate(() => { document.body.dataset.same = "yes"; });
    console.log("ready");
    await page.getByText("running", { exact: true }).waitFor({ timeout: 30000 });
    const end = page.getByRole("button", { name: /^End the session of / });
    await end.focus();
    await page.evaluate(() => { document.getElementById("live").dataset.old = "yes"; });
    await page.locator("#live:not([data-old])").waitFor();
    // Who is there with the keyboard stays there.
    assert.match(await page.evaluate(() => document.activeElement.id), /^end-[0-9a-f]{32}$/);
    assert.equal(await page.evaluate(() => document.body.dataset.same), "yes");
    // A page whose session is over does not go on showing what it shows.
    console.log("out");
    await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  },

  // Copy buttons copy; with the keyboard alone one gets everywhere and sees where one is.
  async copying() {
    const page = await window({ permissions: ["clipboard-read", "clipboard-write"] });
    await signIn(page, given.link);
    await page.goto(given.project);
    await page.getByRole("button", { name: "Copy the ssh config block" }).click();
    await page.getByRole("button", { name: "Copied the ssh config block" }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^Host climate\n {4}HostName gateway\.example\.org\n/);
    assert.match(copied, /\n {4}UseKeychain yes\n$/);

    await page.goto("/keys");
    await page.keyboard.press("Tab");
    const skip = await page.evaluate(() => document.activeElement.textContent);
    assert.equal(skip, "Skip to content");
    await page.keyboard.press("Enter");
    const reached = [];
    for (let at = 0; at < 12; at += 1) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        if (document.activeElement === document.body) return { what: "", seen: false };
        return { what: document.activeElement.id || document.activeElement.textContent.trim(), seen };
      }));
    }
    for (const wanted of ["new-key", "new-title", "new-day", "Add key"]) {
      assert.ok(reached.some(({ what }) => what === wanted), `${wanted} is not in ${JSON.stringify(reached)}`);
    }
    assert.deepEqual(reached.filter(({ seen, what }) => !seen && what !== ""), []);
  },

  // Every page, on a phone and a wide screen, light and dark: judged by axe, nothing sticks out, a picture of each.
  async looks() {
    mkdirSync(given.pictures, { recursive: true });
    const problems = [];
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [390, 1440]) {
        const page = await window({ colorScheme, viewport: { width, height: 900 } });
        await look(page, "sign-in", "/sign-in", colorScheme, width, problems);
        await look(page, "invitation", given.invitation, colorScheme, width, problems);
        await look(page, "link", given.links[0], colorScheme, width, problems);
        await signIn(page, given.links.shift());
        for (const [name, where] of Object.entries(given.pages)) {
          await look(page, name, where, colorScheme, width, problems);
        }
        await page.goto("/keys");
        for (const summary of await page.locator("summary").all()) await summary.click();
        await page.getByLabel("Public key").fill("nonsense");
        await look(page, "keys-open", null, colorScheme, width, problems);
        await page.getByRole("button", { name: "Add key" }).click();
        await look(page, "keys-refused", null, colorScheme, width, problems);
        await page.context().close();
      }
    }
    assert.deepEqual(problems, []);
  },
};

async function look(page, name, where, colorScheme, width, problems) {
  if (where) await page.goto(where);
  await page.screenshot({ path: path.join(given.pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
  // By the debugger, which the page's policy does not bind.
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  for (const { id, help, nodes } of found.violations) {
    problems.push(`${name} ${width} ${colorScheme}: ${id}: ${help}: ${nodes.map((node) => node.html).slice(0, 3)}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) problems.push(`${name} ${width} ${colorScheme}: ${wide} px wider than the screen`);
}

try {
  await scenarios[given.scenario]();
  assert.deepEqual(complaints, []);
} catch (error) {
  console.error(String(error.stack ?? error));
  process.exitCode = 1;
} finally {
  await browser.close();
}
