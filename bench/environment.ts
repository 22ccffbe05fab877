import { execFileSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { chromiumPath } from "../scripts/chromium.mjs";
import type { Environment } from "./report.js";

/** What the figures depend on besides the code. */
export function describeEnvironment(browser: boolean): Environment {
  return {
    node: process.version,
    ...(browser ? { browser: browserVersion() } : {}),
    cpus: cpus().length,
    load: loadavg()[0]!,
  };
}

function browserVersion(): string {
  const path = chromiumPath();
  if (path === undefined) throw new Error("No Chromium found: set CHROMIUM_PATH");
  process.env.CHROMIUM_PATH = path;
  const text = execFileSync(path, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return /Chrom\S* [\d.]+/.exec(text)?.[0] ?? text.trim();
}
