/**
 * Scripts touch what they are given and nothing else. The conformance cases on Redis run under the same watch
 * (test/conformance/redis.test.ts); here is what they leave out, and that the watch sees what it should.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { scriptNames } from "../../src/redis/kinds.js";
import { scriptSource } from "../../src/redis/script-source.js";
import * as tabloom from "../../src/server.js";
import { type KeyWatch, RARE, watchKeys } from "./key-watch.js";
import { closeAll, newPrefix, processAt } from "./processes.js";
import { startProxy } from "./proxy.js";
import { type Server, startServer, until } from "./server.js";

const FOLDER = "src/redis/lua";
let redis: Server;
let watch: KeyWatch;

beforeAll(async () => {
  redis = await startServer();
  watch = await watchKeys(redis);
});
afterAll(async () => {
  await closeAll();
  watch?.stop();
  await redis?.stop();
});

const ROOT = "tabloom:{queue::default:work}";

/** Runs a script as a backend does, with the keys of one instance. */
async function run(text: string, parts: readonly string[], ...args: string[]): Promise<unknown> {
  const sha = String(await redis.ask("SCRIPT", "LOAD", text));
  return redis.ask("EVALSHA", sha, parts.length, ...parts.map((part) => `${ROOT}:${part}`), ...args);
}

/** What the watch finds in this, and did not before. */
async function found(act: () => Promise<unknown>): Promise<string[]> {
  const before = new Set(await watch.faults());
  await act();
  return (await watch.faults()).filter((fault) => !before.has(fault));
}

test("a script that touches what it was given is no fault", async () => {
  const text = `redis.call("HSET", KEYS[1], "a", 1) redis.call("DEL", KEYS[2], KEYS[1]) redis.call("PUBLISH", KEYS[1], "x")`;
  expect(await found(() => run(text, ["meta", "messages"]))).toEqual([]);
});

test("planted: a key that was not declared", async () => {
  const text = `return redis.call("HGET", "${ROOT}:dead", ARGV[1])`;
  expect(await found(() => run(text, ["meta"], "a"))).toEqual([
    expect.stringContaining(`touches ${ROOT}:dead with HGET`),
  ]);
});

test("planted: one of several keys of a command", async () => {
  const text = `return redis.call("DEL", KEYS[1], KEYS[1] .. "s")`;
  expect(await found(() => run(text, ["meta"]))).toEqual([expect.stringContaining(`touches ${ROOT}:metas with DEL`)]);
});

test("planted: a script of ours with a line that makes a key from data", async () => {
  const { text, parts } = scriptSource("queue-send");
  const planted = text.replace("settle_time()\n", `settle_time()\nredis.call("EXISTS", KEYS[1] .. ARGV[1])\n`);
  expect(planted).not.toBe(text);
  const open = async () => {
    await redis.ask("HSET", `${ROOT}:meta`, "seed", "s", "payloadBytes", 9, "maxMessages", 0, "maxIdempotencyKeys", 9);
    await redis.ask(
      "HSET",
      `${ROOT}:meta`,
      "maxMessageAgeMs",
      9,
      "maxDeliveries",
      9,
      "maxDead",
      9,
      "dlqRetentionMs",
      9,
    );
    await run(planted, parts, "id", "1", "1", "", "", "0", "5", "", "0", "0", "0").catch(() => {});
  };
  expect(await found(open)).toContainEqual(expect.stringContaining(`touches ${ROOT}:metaid with EXISTS`));
});

test("planted: another instance's key, a command whose keys are not known, a channel of somebody else", async () => {
  const two = `return redis.call("EXISTS", KEYS[1], KEYS[2])`;
  const sha = String(await redis.ask("SCRIPT", "LOAD", two));
  expect(await found(() => redis.ask("EVALSHA", sha, 2, "t:{a}:meta", "t:{b}:meta"))).toEqual([
    expect.stringContaining("keys of several instances: t:{a}:meta t:{b}:meta"),
  ]);
  const sort = `return redis.call("SORT", KEYS[1], "BY", "nosort", "GET", "x*")`;
  expect(await found(() => run(sort, ["meta-list"]))).toEqual([expect.stringContaining("calls SORT")]);
  expect(await found(() => run(`redis.call("PUBLISH", "elsewhere", "x")`, ["meta"]))).toEqual([
    expect.stringContaining("publishes on elsewhere"),
  ]);
});

test("a process's sign of life touches what it was given", async () => {
  const { text, parts } = scriptSource("instance-renew");
  await redis.ask("HSET", `${ROOT}:meta`, "seed", "s");
  await redis.ask("HSET", `${ROOT}:held`, "me", 1);
  await redis.ask("ZADD", `${ROOT}:owners`, Date.now() + 60_000, "me");
  expect(await found(async () => expect(await run(text, parts, "me")).toBe(1))).toEqual([]);
});

test("so does what runs only when data is lost, a reply is late, or somebody looks on", async () => {
  const proxy = await startProxy(redis.port);
  const backend = processAt(proxy.url, newPrefix());
  const schema = z.string();
  const act = async (): Promise<void> => {
    const mutex = tabloom.mutex({ id: "door", backend });
    await mutex.acquire("a", { ttl: 60_000 });
    const presence = tabloom.ephemeral({ id: "here", schema, ttlMs: 60_000, backend });
    await presence.upsert({ key: "me", value: "x", bound: "tab" });
    await tabloom.ratelimit({ id: "api", limit: 3, windowSecs: 60, backend }).check("me");
    const topic = tabloom.topic({ id: "news", schema, backend });
    await topic.pub({ data: "x" });

    const inspector = tabloom.inspect(backend);
    for (const { name } of await inspector.instances()) expect(await inspector.peek(name)).toHaveLength(1);

    proxy.slow(100);
    const ending = new AbortController();
    const received = topic.reader("g").recv({ signal: ending.signal });
    const taken = async (): Promise<boolean> => (await watch.seen()).includes("topic-claim");
    await until("the event is taken", taken);
    ending.abort();
    expect(await received).toBeNull();
    await until("it is handed back", async () => (await watch.seen()).includes("topic-release"));
    proxy.slow(0);

    await redis.ask("FLUSHALL");
    await mutex.acquire("b");
    await presence.get({ key: "me" });
    await backend.close();
  };
  expect(await found(act)).toEqual([]);
  await proxy.stop();
  expect(await watch.seen()).toEqual(expect.arrayContaining([...RARE]));
});

// --- The files --------------------------------------------------------------------------------------------------------

const files = readdirSync(FOLDER).map((file) => file.replace(/\.lua$/, ""));
const used = new Set(scriptNames());
const isPrelude = (file: string): boolean => file.startsWith("prelude");
const textOf = (file: string): string => readFileSync(join(FOLDER, `${file}.lua`), "utf8");
const lineOf = (file: string, word: string): string[] | undefined =>
  new RegExp(`^-- ${word} (.+)$`, "m").exec(textOf(file))?.[1]?.trim().split(/\s+/);

test("every script is used, and every prelude", () => {
  expect(files.filter((file) => !isPrelude(file) && !used.has(file))).toEqual([]);
  const included = new Set([
    "prelude",
    ...[...used].flatMap((name) => lineOf(name, "PRELUDE") ?? []).map((part) => `prelude-${part}`),
  ]);
  expect(files.filter((file) => isPrelude(file) && !included.has(file))).toEqual([]);
});

test("every script says first what it does, which keys it is given, what it takes, and what it replies", () => {
  const faults: string[] = [];
  for (const file of files.filter((name) => !isPrelude(name))) {
    const text = textOf(file);
    const keys = lineOf(file, "KEYS");
    if (!/^-- [A-Z]/.test(text)) faults.push(`${file}: does not begin with what it does`);
    if (keys?.[0] !== "meta") faults.push(`${file}: its first key is not meta`);
    if (new Set(keys).size !== keys?.length) faults.push(`${file}: a key twice`);
    if (/\bARGV\b/.test(text.replace(/^--.*$/gm, "")) && !/^-- ARGV /m.test(text)) faults.push(`${file}: no line ARGV`);
    if (!/^-- Reply /m.test(text)) faults.push(`${file}: no line Reply`);
    if (/\bKEYS\b/.test(text.replace(/^--.*$/gm, ""))) faults.push(`${file}: speaks of KEYS beside their names`);
  }
  expect(faults).toEqual([]);
});
