/** Finds the Chromium that the browser tests drive, and brings one where there is none. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { chromium } from "playwright-core";

const SYSTEM = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map(
  (name) => `/usr/bin/${name}`,
);

/** A file alone proves nothing: Ubuntu's `chromium` is a script that asks for snap. */
function runs(path) {
  return existsSync(path) && spawnSync(path, ["--version"], { timeout: 30_000 }).status === 0;
}

/**
 * Where a working Chromium is, or undefined.
 *
 * @returns {string | undefined}
 */
export function chromiumPath() {
  const chosen = process.env.CHROMIUM_PATH;
  if (chosen) {
    if (!runs(chosen)) throw new Error(`CHROMIUM_PATH=${chosen} does not run`);
    return chosen;
  }
  return [...SYSTEM, chromium.executablePath()].find(runs);
}

function run(command, args) {
  console.log(`$ ${command} ${args.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], env }).status === 0;
}

function aptInstall() {
  const lock = ["-o", "DPkg::Lock::Timeout=300"];
  run("apt-get", ["update", ...lock]); // A broken third-party source fails this and need not fail the next.
  return run("apt-get", ["install", "-y", "--no-install-recommends", ...lock, "chromium"]);
}

function playwrightInstall(root) {
  const cli = join(dirname(createRequire(import.meta.url).resolve("playwright-core/package.json")), "cli.js");
  return run(process.execPath, [cli, "install", ...(root ? ["--with-deps"] : []), "chromium"]);
}

/**
 * Installs Chromium when there is none. Says in one line what to do and ends the process when that fails.
 *
 * @returns {string} where it is
 */
export function ensureChromium() {
  const present = chromiumPath();
  if (present) return present;
  const root = process.getuid?.() === 0;
  const ways = [() => root && existsSync("/usr/bin/apt-get") && aptInstall(), () => playwrightInstall(root)];
  for (const install of ways) {
    const path = install() ? chromiumPath() : undefined;
    if (path) return path;
  }
  console.error("No Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM_PATH to one.");
  process.exit(1);
}
