// What a person does with a whole site: pages in Chromium, and real ssh beside them. Called with one JSON argument:
// { npm: folder with node_modules, chromium, link, folder, key, bob: { key }, port }. Ends with 0, or says what was wrong.
import { createRequire } from "node:module";
import { spawn, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";

const given = JSON.parse(process.argv[2]);
const require = createRequire(path.join(given.npm, "package.json"));
const { chromium } = require("playwright-core");

const words = (key, command) => [
  "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes",
  "-o", "IdentityAgent=none", "-o", `UserKnownHostsFile=${path.join(given.folder, "known_hosts")}`,
  "-i", key, "-p", String(given.port), "first@127.0.0.1", command,
];
const ssh = (key, command) => execFileSync("ssh", words(key, command), { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const refused = (key) => assert.throws(() => ssh(key, "true"), /Permission denied/);

const browser = await chromium.launch({ executablePath: given.chromium, args: ["--no-sandbox"] });
const context = await browser.newContext();
context.setDefaultTimeout(15000);
const page = await context.newPage();
let open;
try {
  refused(given.key);
  await page.goto(given.link);
  await page.getByRole("button", { name: "Sign in as admin" }).click();
  await page.getByRole("heading", { level: 1, name: "Projects" }).waitFor();

  // A pasted key works at once.
  await page.getByRole("banner").getByRole("link", { name: "SSH keys" }).click();
  await page.getByLabel("Public key").fill(readFileSync(`${given.key}.pub`, "utf8"));
  await page.getByLabel("Title").fill("my laptop");
  await page.getByRole("button", { name: "Add key" }).click();
  await page.getByRole("heading", { name: "my laptop" }).waitFor();
  assert.equal(await page.getByText("127.0.0.1").count(), 0, "never used");
  assert.equal(ssh(given.key, "echo in").trim(), "in");
  await page.reload();
  await page.getByText("127.0.0.1").waitFor();
  await page.getByRole("link", { name: "First project" }).waitFor();

  // The line on the project's page is the line that works.
  await page.getByRole("link", { name: "First project" }).click();
  await page.getByText(`ssh -p ${given.port} first@127.0.0.1`).first().waitFor();
  refused(given.bob.key);
  await page.getByLabel("Account name").fill("bob");
  await page.getByRole("button", { name: "Add member" }).click();
  await page.getByRole("status").getByText("The member was added.").waitFor();
  assert.equal(ssh(given.bob.key, "echo $HOP_ACCOUNT").trim(), "bob");

  // An open session is seen, and ends when its key goes.
  open = spawn("ssh", words(given.key, "echo open; cat"), { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  open.stderr.on("data", (part) => { said += part; });
  const ended = new Promise((resolve) => { open.on("close", resolve); });
  await new Promise((resolve) => { open.stdout.once("data", resolve); });
  await page.reload();
  await page.getByRole("button", { name: /^End/ }).first().waitFor();
  await page.getByRole("banner").getByRole("link", { name: "SSH keys" }).click();
  await page.getByText("Delete my laptop").click();
  await page.getByRole("button", { name: "Delete this key" }).click();
  await page.getByText("No key yet.").waitFor();
  assert.notEqual(await ended, 0);
  assert.match(said, /my laptop.*was removed/);
  refused(given.key);
} catch (error) {
  console.error(error, "\nthe page:\n", await page.innerText("body").catch(() => "none"));
  process.exitCode = 1;
} finally {
  // What still runs would keep this script from ending.
  open?.kill();
  await browser.close();
}
