/** `npm test`: brings a browser and a redis-server, builds the package, runs every test, closes with one line of numbers. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const REPORT = ".out/vitest.json";
const TABLE = ".out/conformance-table.txt";
const SUMMARY = ".out/summary.txt"; // .ci/run repeats it after the gates.

let summary = "0 passed, 1 failed";
process.on("exit", () => {
  writeFileSync(SUMMARY, `${summary}\n`);
  console.log(summary);
});

mkdirSync(".out", { recursive: true });
for (const stale of [REPORT, TABLE, SUMMARY]) rmSync(stale, { force: true });

const { ensureChromium } = await import("./chromium.mjs");
process.env.CHROMIUM_PATH = ensureChromium();
console.log(`Chromium: ${process.env.CHROMIUM_PATH}`);
const { ensureRedis } = await import("./redis.mjs");
process.env.REDIS_SERVER = ensureRedis();
console.log(`redis-server: ${process.env.REDIS_SERVER}`);

if (run("npm", ["run", "build"]) !== 0) process.exit(1);

const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`];
const status = run("npx", ["vitest", "run", "--project=unit", "--project=e2e", ...reporters, ...process.argv.slice(2)]);
if (existsSync(TABLE)) console.log(`\n${readFileSync(TABLE, "utf8").trimEnd()}\n`);
if (!existsSync(REPORT)) process.exit(1);

const { passed, failed, skipped } = sort(JSON.parse(readFileSync(REPORT, "utf8")));
for (const name of skipped) console.log(`skipped: ${name}`);
// Vitest also fails for errors outside any test, and a run without a single test proves nothing.
const failures = failed.length || (status === 0 && passed > 0 ? 0 : 1);
summary = [...failed.map((name) => `failed: ${name}`), `${passed} passed, ${failures} failed`].join("\n");
process.exit(failures ? 1 : 0);

function run(command, args) {
  return spawnSync(command, args, { stdio: "inherit" }).status;
}

/** A file that failed as a whole (it did not load, a hook threw) has no failed test to show for it: it counts as one. */
function sort({ testResults }) {
  const tests = testResults.flatMap((file) => file.assertionResults);
  const withStatus = (...statuses) => tests.filter((test) => statuses.includes(test.status));
  const silent = testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: withStatus("passed").length,
    failed: [
      ...withStatus("failed").map(({ fullName, failureMessages: [why = ""] }) => `${fullName}: ${why.split("\n")[0]}`),
      ...silent.map(({ name, message }) => `${name}: ${message.split("\n")[0]}`),
    ],
    skipped: withStatus("skipped", "pending", "todo", "disabled").map((test) => test.fullName),
  };
}
