import { execFileSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { chromiumPath } from "../scripts/chromium.mjs";
import manifest from "../package.json" with { type: "json" };
import type { Environment } from "./report.js";

/** What the figures depend on besides the code. */
export function describeEnvironment({ browser, redis }: { browser: boolean; redis?: true }): Environment {
  return {
    node: process.version,
    ...(browser ? { browser: browserVersion() } : {}),
    ...(redis ? { redis: redisVersion() } : {}),
    cpus: cpus().length,
    load: loadavg()[0]!,
  };
}

/** With those of what is measured beside us. */
function redisVersion(): string {
  const text = execFileSync(process.env["REDIS_SERVER"] ?? "redis-server", ["--version"], { encoding: "utf8" });
  const { devDependencies } = manifest;
  const beside = (["bullmq", "rate-limiter-flexible", "ioredis"] as const).map(
    (name) => `${name} ${devDependencies[name].replace(/^\D/, "")}`,
  );
  return [/v=([\d.]+)/.exec(text)?.[1] ?? text.trim(), ...beside].join(", ");
}

function browserVersion(): string {
  const path = chromiumPath();
  if (path === undefined) throw new Error("No Chromium found: set CHROMIUM_PATH");
  process.env.CHROMIUM_PATH = path;
  const text = execFileSync(path, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return /Chrom\S* [\d.]+/.exec(text)?.[0] ?? text.trim();
}
