/** Runs benchmarks by name and prints, or writes down, what came out. */
import { memory } from "./memory.js";
import { describeEnvironment } from "./environment.js";
import { writeDocument } from "./document.js";
import { redis } from "./redis.js";
import { type Result, type Row, formatEnvironment, formatTable } from "./report.js";
import { scale } from "./scale.js";
import { size } from "./size.js";
import { spine } from "./spine.js";
import { start } from "./start.js";
import { tabs } from "./tabs.js";

export interface Run {
  /** Where CPU profiles go; undefined: none are taken. */
  profileFolder: string | undefined;
  /** Tells the person who waits what is going on. */
  progress(text: string): void;
}

interface Benchmark {
  run(run: Run): Promise<Row[]>;
  browser: boolean;
  redis?: true;
}

const benchmarks: Record<string, Benchmark> = {
  spine: { run: spine, browser: true },
  memory: { run: memory, browser: false },
  scale: { run: scale, browser: true },
  start: { run: start, browser: true },
  tabs: { run: tabs, browser: true },
  redis: { run: redis, browser: false, redis: true },
  size: { run: size, browser: false },
};

/** Returns the exit code. A missed target is a result, not a failure. */
export async function main(args: string[]): Promise<number> {
  const names = args.filter((arg) => !arg.startsWith("--"));
  const flags = new Set(args.filter((arg) => arg.startsWith("--")));
  const unknown = [
    ...names.filter((name) => !Object.hasOwn(benchmarks, name)),
    ...[...flags].filter((flag) => !["--json", "--write", "--profile"].includes(flag)),
  ];
  if (unknown.length > 0) {
    console.error(
      `unknown: ${unknown.join(", ")}. Benchmarks: ${Object.keys(benchmarks).join(", ")} (all without a name).`,
    );
    console.error(
      "Flags: --json prints one JSON object, --write updates docs/benchmarks.md, --profile keeps CPU profiles.",
    );
    return 2;
  }
  const json = flags.has("--json");
  const run: Run = {
    profileFolder: flags.has("--profile") ? ".out/bench/profiles" : undefined,
    progress: (text) => process.stderr.write(`${text}\n`),
  };
  const results: Result[] = [];
  for (const name of names.length > 0 ? names : Object.keys(benchmarks)) {
    const { run: measure, ...needs } = benchmarks[name]!;
    const env = describeEnvironment(needs);
    const result: Result = { name, env, rows: await measure(run) };
    results.push(result);
    if (!json) console.log(`\n${name}: ${formatEnvironment(env)}\n\n${formatTable(result.rows)}`);
    if (flags.has("--write")) await writeDocument(result);
  }
  if (json) console.log(JSON.stringify(joined(results)));
  return 0;
}

/** Several benchmarks as one object: the versions of all, the load before the first. */
function joined(results: Result[]): Result {
  if (results.length === 1) return results[0]!;
  const [first] = results;
  const browser = results.find(({ env }) => env.browser !== undefined)?.env.browser;
  const redisVersion = results.find(({ env }) => env.redis !== undefined)?.env.redis;
  const env = {
    ...first!.env,
    ...(browser === undefined ? {} : { browser }),
    ...(redisVersion === undefined ? {} : { redis: redisVersion }),
  };
  return { name: "all", env, rows: results.flatMap(({ rows }) => rows) };
}
