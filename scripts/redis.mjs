/** Finds the redis-server that the tests start, and brings one where there is none. */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";

function runs(path) {
  return spawnSync(path, ["--version"], { timeout: 30_000 }).status === 0;
}

/**
 * Where a working redis-server is, or undefined.
 *
 * @returns {string | undefined}
 */
export function redisPath() {
  const chosen = process.env.REDIS_SERVER;
  if (chosen) {
    if (!runs(chosen)) throw new Error(`REDIS_SERVER=${chosen} does not run`);
    return chosen;
  }
  return ["redis-server", "/usr/bin/redis-server", "/usr/local/bin/redis-server"].find(runs);
}

function run(command, args) {
  console.log(`$ ${command} ${args.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"], env }).status === 0;
}

/** What dpkg asks before it starts a service: the package's own would take the usual port, and tests do not need it. */
const POLICY = "/usr/sbin/policy-rc.d";

function aptInstall() {
  const lock = ["-o", "DPkg::Lock::Timeout=300"];
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    run("apt-get", ["update", ...lock]); // A broken third-party source fails this and need not fail the next.
    return run("apt-get", ["install", "-y", "--no-install-recommends", ...lock, "redis-server"]);
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
}

/**
 * Installs redis-server when there is none. Says in one line what to do and ends the process when that fails.
 *
 * @returns {string} where it is
 */
export function ensureRedis() {
  const present = redisPath();
  if (present) return present;
  const root = process.getuid?.() === 0;
  const path = root && existsSync("/usr/bin/apt-get") && aptInstall() ? redisPath() : undefined;
  if (path) return path;
  console.error("No redis-server: install it (Debian: apt-get install redis-server) or set REDIS_SERVER to one.");
  process.exit(1);
}
