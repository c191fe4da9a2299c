// A person at the page of `hop answer --page`, while programs without a terminal wait for a login. Called inside the machine
// of a test with one JSON argument: { npm: folder with node_modules, chromium, link, second, secret, shots }. Ends with 0, or
// says what was wrong.
import { createRequire } from "node:module";
import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";

const given = JSON.parse(process.argv[2]);
const require = createRequire(path.join(given.npm, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");
const code = () => execFileSync("oathtool", ["--totp", "-b", given.secret], { encoding: "utf8" }).trim();

// A program in a session without a terminal; what it says and how it ends.
const start = (...words) => {
  const child = spawn("setsid", ["--wait", ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = { out: "", err: "" };
  child.stdout.on("data", (part) => { ended.out += part; });
  child.stderr.on("data", (part) => { ended.err += part; });
  return new Promise((resolve) => { child.on("close", (status) => resolve({ status, ...ended })); });
};
const ends = async (promise, status, out) => {
  const ended = await promise;
  assert.deepEqual([ended.status, ended.out], [status, out], ended.err);
  return ended.err;
};

const browser = await chromium.launch({ executablePath: given.chromium, args: ["--no-sandbox"] });
const context = await browser.newContext({ colorScheme: "light", viewport: { width: 1440, height: 900 } });
context.setDefaultTimeout(15000);
const page = await context.newPage();
const complaints = [];
page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
const look = async (page, name) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [390, 1440]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wider, 0, `${name} is wider than ${width}`);
      if (given.shots) await page.screenshot({ path: path.join(given.shots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      // Evaluated, not added: the page lets no script in.
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run());
      assert.deepEqual(violations.map((found) => [found.id, found.nodes.map((node) => node.html)]), [], name);
    }
  }
};
try {
  await page.goto(given.link);
  await page.getByText("Nothing is asked.").waitFor();
  const home = page.url();
  const { origin } = new URL(home);
  await look(page, "nothing");

  // Questions come by themselves; one answer serves all who wait.
  const first = start("hop", "exec", "totp", "--", "echo first");
  const second = start("ssh", "totp", "echo second");
  await page.getByRole("heading", { name: /totp one-time code/ }).waitFor();
  await page.getByText(/Waiting for it: .*hop exec/).waitFor();
  await look(page, "asked");
  // What is being typed stays while the page changes around it.
  await page.getByLabel("Answer for totp").fill("000000");
  await ends(start("hop", "login", "plain"), 0, "");
  await page.getByRole("heading", { name: /plain logged in/ }).waitFor();
  assert.equal(await page.getByLabel("Answer for totp").inputValue(), "000000");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByText("That was not accepted.").waitFor();
  await look(page, "refused");
  await page.getByLabel("Answer for totp").fill(code());
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByRole("heading", { name: /totp logged in/ }).waitFor();
  await page.getByText("Nothing is asked.").waitFor();
  await ends(first, 0, "first\n");
  await ends(second, 0, "second\n");
  await look(page, "up");

  // An unknown host is a person's decision.
  execFileSync("hop", ["logout", "plain"], { stdio: "ignore" });
  execFileSync("sh", ["-c", "rm -f ~/.ssh/known_hosts; sed -i 's/StrictHostKeyChecking accept-new/StrictHostKeyChecking ask/' ~/.ssh/config"]);
  const unknown = start("hop", "login", "plain");
  await page.getByRole("heading", { name: /plain host key/ }).waitFor();
  await page.getByText(/SHA256:/).first().waitFor();
  await look(page, "host-key");
  await page.getByRole("button", { name: "Connect, this is the host" }).click();
  await ends(unknown, 0, "");
  execFileSync("sed", ["-i", "s/StrictHostKeyChecking ask/StrictHostKeyChecking accept-new/", "/root/.ssh/config"]);

  // A login that is given up ends for those who wait.
  execFileSync("hop", ["logout", "--now", "totp"], { stdio: "ignore" });
  const given_up = start("hop", "exec", "totp", "--", "true");
  await page.getByRole("button", { name: "Give this login up" }).click();
  await page.getByText("The login was given up.").waitFor();
  assert.match(await ends(given_up, 255, ""), /given up/);

  // The link was good once, and the page is for the browser that came by it.
  assert.equal((await page.request.get(given.link)).status(), 403);
  const stranger = await browser.newContext();
  assert.equal((await stranger.request.get(home)).status(), 403);
  const [cookie] = await context.cookies(home);
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", new URL(home).pathname]);
  assert.equal((await stranger.request.get(`${origin}/p/x/`, { headers: { cookie: `hop=${cookie.value}` } })).status(), 403);
  assert.equal((await context.request.get(home, { headers: { host: "rebound.example" } })).status(), 421);

  // A page of somebody else's server on this computer gets nothing and changes nothing.
  const heard = [];
  const other = createServer((request, answer) => {
    heard.push(request.headers.cookie);
    answer.setHeader("content-type", "text/html");
    answer.end(`<form method="post" action="${home}answer"><input name="prompt" value="1"><input name="text" value="x"><button>Go</button></form>`);
  });
  await new Promise((resolve) => { other.listen(0, "127.0.0.1", resolve); });
  const visit = await context.newPage();
  await visit.goto(`http://127.0.0.1:${other.address().port}/`);
  assert.deepEqual(heard.filter(Boolean), [], "the cookie goes nowhere else");
  await visit.getByRole("button", { name: "Go" }).click();
  await visit.getByText("This did not come from a page of ours").waitFor();
  other.close();
  await visit.close();

  // Without scripts, and without anybody else there.
  await page.close();
  const plain = await browser.newContext({ javaScriptEnabled: false });
  plain.setDefaultTimeout(15000);
  const still = await plain.newPage();
  await still.goto(given.second);
  await still.getByText("Nothing is asked.").waitFor();
  const third = start("hop", "exec", "totp", "--", "echo third");
  await still.getByRole("heading", { name: /totp one-time code/ }).waitFor();
  await still.getByLabel("Answer for totp").fill(code());
  await still.getByRole("button", { name: "Answer" }).click();
  await still.getByText("Your answer was passed on.").waitFor();
  await ends(third, 0, "third\n");
  assert.deepEqual(complaints, []);
} catch (error) {
  console.error(error, "\nthe page:\n", await page.innerText("body").catch(() => "none"), complaints);
  process.exitCode = 1;
} finally {
  await browser.close();
  // Who still waits is not waited for.
  process.exit();
}
