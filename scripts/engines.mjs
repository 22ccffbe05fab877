/** `npm run test:engines`: brings three browsers, builds the package, runs every fault in each of them, prints the table. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tableOf } from "./engines-table.mjs";

const FOLDER = ".out/engines";
const TABLE = ".out/engines-table.txt";
const ENGINES = ["chromium", "firefox", "webkit"];
/** Besides Chromium: what must be there, and the Debian package that it comes from. */
const NEEDED = [
  { path: process.env.FIREFOX_PATH ?? "/usr/bin/firefox-esr", from: "firefox-esr" },
  { path: process.env.WEBKIT_DRIVER_PATH ?? "/usr/bin/WebKitWebDriver", from: "webkit2gtk-driver" },
  { path: "/usr/bin/Xvfb", from: "xvfb" },
];

let summary = "0 passed, 1 failed";
process.on("exit", () => console.log(summary));

rmSync(FOLDER, { recursive: true, force: true });
rmSync(TABLE, { force: true });
mkdirSync(FOLDER, { recursive: true });

const { ensureChromium } = await import("./chromium.mjs");
process.env.CHROMIUM_PATH = ensureChromium();
ensureOthers();

if (run("npm", ["run", "build"]) !== 0) process.exit(1);

// The engines side by side: a cell waits for its browser more than it works.
const status = run("npx", ["vitest", "run", "--project=engines", "--maxWorkers=3", ...process.argv.slice(2)]);
const files = ENGINES.map((engine) => `${FOLDER}/${engine}.json`).filter((file) => existsSync(file));
const { text, passed, failed } = tableOf(files.map((file) => JSON.parse(readFileSync(file, "utf8"))));
writeFileSync(TABLE, `${text}\n`);
console.log(`\n${text}\n`);
// Vitest also fails for what no cell can tell, and an engine that left nothing behind has not run.
const missing = ENGINES.length - files.length;
const silent = failed + missing === 0 && (status !== 0 || passed === 0) ? 1 : 0;
summary = `${passed} passed, ${failed + missing + silent} failed`;
process.exit(failed + missing + silent > 0 ? 1 : 0);

function ensureOthers() {
  const missing = () => NEEDED.filter(({ path }) => !existsSync(path)).map(({ from }) => from);
  if (missing().length > 0 && process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    const lock = ["-o", "DPkg::Lock::Timeout=300"];
    run("apt-get", ["update", ...lock]); // A broken third-party source fails this and need not fail the next.
    run("apt-get", ["install", "-y", "--no-install-recommends", ...lock, ...missing()]);
  }
  if (missing().length === 0) return;
  console.error(`Missing browsers: install them (Debian: apt-get install ${missing().join(" ")}).`);
  process.exit(1);
}

function run(command, args) {
  console.log(`$ ${command} ${args.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], env }).status;
}
