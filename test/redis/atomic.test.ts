/**
 * What a script does, it does in one step, and each part of that is needed: with one writing call taken out of it, a case
 * notices. Here one such call of every script that writes; `MUTANTS=all`, or `MUTANTS=queue-send,queue-ack`, tries all of
 * them on all cases of their kind, and prints who noticed, and what nobody did.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createRedisBackend } from "../../src/redis/backend.js";
import { scriptNames } from "../../src/redis/kinds.js";
import type * as Sources from "../../src/redis/script-source.js";
import * as server from "../../src/server.js";
import { createWorld } from "../conformance/case.js";
import { casesOf } from "../conformance/conformance.js";
import { mutantsOf } from "./mutants.js";
import { NOTICED } from "./noticed-by.js";
import { type RedisCase, redisCases } from "./redis-cases.js";
import { type Server, startServer } from "./server.js";

interface Script {
  readonly name: string;
  readonly text: string;
}

/** Scripts that are others for what runs just now; several cases run at once. */
const changed = vi.hoisted(() => ({ now: (): readonly Script[] => [] }));
vi.mock("../../src/redis/script-source.js", async (importOriginal) => {
  const original = await importOriginal<typeof Sources>();
  const scriptSource = (name: string): ReturnType<typeof original.scriptSource> => {
    const script = original.scriptSource(name);
    const other = changed.now().find((one) => one.name === name);
    return other ? { ...script, text: other.text } : script;
  };
  return { ...original, scriptSource };
});
const { scriptSource } = await import("../../src/redis/script-source.js");
const context = new AsyncLocalStorage<readonly Script[]>();
changed.now = () => context.getStore() ?? [];
/** For cases in which nobody sweeps. */
const unswept = scriptNames()
  .filter((name) => name.endsWith("-sweep"))
  .map((name) => ({ name, text: "return {0, -1}" }));

/** A case that takes so many times as long as it does, and at least so long, has noticed, too. */
const HANGS = { times: 5, atLeastMs: 2000 };

let redis: Server;
let worlds = 0;
// What a broken script leaves behind it may reject after its case is over.
const ignore = (): void => {};

beforeAll(async () => {
  process.on("unhandledRejection", ignore);
  redis = await startServer();
});
afterAll(async () => {
  await redis?.stop();
  process.off("unhandledRejection", ignore);
});

async function passes(one: RedisCase, withinMs: number, ...scripts: Script[]): Promise<boolean> {
  return context.run(one.unswept ? [...scripts, ...unswept] : scripts, async () => {
    const connect = (prefix: string) => createRedisBackend({ redis: redis.url, prefix, testClock: true });
    const prefix = `world${++worlds}`;
    const world = createWorld({ name: "redis", entry: server, connect }, prefix);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("hangs")), withinMs);
    });
    try {
      await Promise.race([one.run(world, prefix, redis.url), hangs]);
      return true;
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
      await world.close().catch(ignore);
    }
  });
}

/** How long it may take with a step taken out. It passes as it is. */
async function timeOf(one: RedisCase): Promise<number> {
  const beganAt = performance.now();
  expect(await passes(one, 20_000), `${nameOf(one)}, as it is`).toBe(true);
  return Math.max(HANGS.atLeastMs, HANGS.times * (performance.now() - beganAt));
}

const nameOf = ({ primitive, name }: RedisCase): string => `${primitive}: ${name}`;
const cases = [...casesOf().filter(({ skip }) => skip["redis"] === undefined), ...redisCases];
const byName = new Map(cases.map((one) => [nameOf(one), one]));
const writing = scriptNames().filter((name) => mutantsOf(scriptSource(name)).length > 0);
const scriptOf = (step: string): string => step.slice(0, step.indexOf(":"));

test("every script that writes has a case that needs what it writes", () => {
  const known = new Set(Object.values(NOTICED).flat().map(scriptOf));
  expect(writing.filter((name) => !known.has(name))).toEqual([]);
  expect([...known].filter((name) => !writing.includes(name))).toEqual([]);
  expect(Object.keys(NOTICED).filter((by) => !byName.has(by))).toEqual([]);
});

describe.concurrent("a case fails without what it needs", { timeout: 60_000 }, () => {
  for (const [by, steps] of Object.entries(NOTICED)) {
    test(`"${by}" needs ${steps.join(", ")}`, async () => {
      const one = byName.get(by)!;
      const withinMs = await timeOf(one);
      for (const step of steps) {
        const name = scriptOf(step);
        const mutants = mutantsOf(scriptSource(name)).filter((mutant) => `${name}: ${mutant.step}` === step);
        let noticed = false;
        // The same step may stand in it twice, once beside this case's way.
        for (const { text } of mutants) noticed ||= !(await passes(one, withinMs, { name, text }));
        const missing = mutants.map(({ without }) => without).join("\n");
        expect(noticed, `nothing noticed that these were missing from ${name}:\n${missing}`).toBe(true);
      }
    });
  }
});

const asked = process.env["MUTANTS"]?.split(",") ?? [];
for (const name of asked[0] === "all" ? writing : asked) {
  test(`every step of ${name}`, { timeout: 600_000 }, async () => {
    const kind = name.slice(0, name.indexOf("-"));
    const known = Object.entries(NOTICED).find(([, steps]) => steps.some((step) => scriptOf(step) === name))?.[0];
    // First the one that is known to look at what the script does, then those of Redis.
    const rank = (one: RedisCase): number => (nameOf(one) === known ? 0 : redisCases.includes(one) ? 1 : 2);
    const looking = cases
      .filter(({ primitive }) => primitive === kind || kind === "instance")
      .sort((a, b) => rank(a) - rank(b));
    const times = new Map<RedisCase, number>();
    for (const { text, without, step } of mutantsOf(scriptSource(name))) {
      let by: RedisCase | undefined;
      for (const one of looking) {
        if (by) break;
        if (!times.has(one)) times.set(one, await timeOf(one));
        if (!(await passes(one, times.get(one)!, { name, text }))) by = one;
      }
      console.log(by ? `${name}: ${step} – ${nameOf(by)}` : `survives: ${name} without ${without}`);
    }
  });
}
