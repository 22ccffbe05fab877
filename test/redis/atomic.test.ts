/**
 * What a script does, it does in one step, and each part of that is needed: with one writing call taken out of it, a case
 * of its kind notices. Here one such call of every script that writes; `MUTANTS=all`, or `MUTANTS=queue-send,queue-ack`,
 * tries all of them on all cases of their kind, and prints who noticed, and what nobody did.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createRedisBackend } from "../../src/redis/backend.js";
import { scriptNames } from "../../src/redis/kinds.js";
import type * as Sources from "../../src/redis/script-source.js";
import * as server from "../../src/server.js";
import { type Case, createWorld } from "../conformance/case.js";
import { casesOf, fullName } from "../conformance/conformance.js";
import { mutantsOf } from "./mutants.js";
import { NOTICED_BY, UNNOTICED } from "./noticed-by.js";
import { type Server, startServer } from "./server.js";

type Changed = { readonly name: string; readonly text: string } | undefined;

/** The script that is changed for what runs just now; several cases run at once. */
const changed = vi.hoisted(() => ({ now: (): Changed => undefined }));
vi.mock("../../src/redis/script-source.js", async (importOriginal) => {
  const original = await importOriginal<typeof Sources>();
  const scriptSource = (name: string): ReturnType<typeof original.scriptSource> => {
    const script = original.scriptSource(name);
    const other = changed.now();
    return other?.name === name ? { ...script, text: other.text } : script;
  };
  return { ...original, scriptSource };
});
const { scriptSource } = await import("../../src/redis/script-source.js");
const context = new AsyncLocalStorage<Changed>();
changed.now = () => context.getStore();

/** A case that does not end by then has noticed, too. */
const HANGS_MS = 6000;

let redis: Server;
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

async function passes(one: Case, script: Changed): Promise<boolean> {
  return context.run(script, async () => {
    const connect = (prefix: string) => createRedisBackend({ redis: redis.url, prefix, testClock: true });
    const world = createWorld({ name: "redis", entry: server, connect });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("hangs")), HANGS_MS);
    });
    try {
      await Promise.race([one.run(world), hangs]);
      return true;
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
      await world.close().catch(ignore);
    }
  });
}

const byName = new Map(
  casesOf()
    .filter(({ skip }) => skip["redis"] === undefined)
    .map((one) => [fullName(one), one]),
);
const writing = scriptNames().filter((name) => mutantsOf(scriptSource(name)).length > 0);

test("every script that writes has a case that needs what it writes, or a reason", () => {
  const known = new Set([...Object.keys(NOTICED_BY), ...Object.keys(UNNOTICED)]);
  expect(writing.filter((name) => !known.has(name))).toEqual([]);
  expect([...known].filter((name) => !writing.includes(name))).toEqual([]);
  expect(Object.values(NOTICED_BY).filter(({ by }) => !byName.has(by))).toEqual([]);
});

describe.concurrent("without one of its writing steps", { timeout: 60_000 }, () => {
  for (const [name, { step, by }] of Object.entries(NOTICED_BY)) {
    test(`${name} without ${step} breaks "${by}"`, async () => {
      const one = byName.get(by)!;
      expect(await passes(one, undefined), "as it is").toBe(true);
      const mutants = mutantsOf(scriptSource(name)).filter((mutant) => mutant.step === step);
      // The same step may stand in it twice, once beside this case's way.
      for (const { text } of mutants) if (!(await passes(one, { name, text }))) return;
      expect.fail(`nothing noticed that these were missing:\n${mutants.map(({ without }) => without).join("\n")}`);
    });
  }
});

const asked = process.env["MUTANTS"]?.split(",") ?? [];
for (const name of asked[0] === "all" ? writing : asked) {
  test(`every step of ${name}`, { timeout: 600_000 }, async () => {
    const kind = name.slice(0, name.indexOf("-"));
    const cases = [...byName.values()].filter(({ primitive }) => primitive === kind || kind === "instance");
    // First the one that is known to look at what the script does.
    const known = (one: Case): number => Number(fullName(one) === NOTICED_BY[name]?.by);
    cases.sort((a, b) => known(b) - known(a));
    for (const { text, without, step } of mutantsOf(scriptSource(name))) {
      let by: Case | undefined;
      for (const one of cases) if (!by && !(await passes(one, { name, text }))) by = one;
      console.log(by ? `${name} ${step}: ${fullName(by)}` : `survives: ${name} without ${without}`);
    }
  });
}
