/** Which calls of a process may be under way together, and which never overtake each other, whatever the server refuses. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { registry } from "../../src/server.js";
import { closeAll, newPrefix, processAt, textQueue } from "./processes.js";
import { type Proxy, startProxy } from "./proxy.js";
import { type Server, startServer, until } from "./server.js";

let redis: Server;
let proxy: Proxy;

beforeAll(async () => {
  redis = await startServer({ settings: { "busy-reply-threshold": "50" } });
  proxy = await startProxy(redis.port);
});
afterEach(closeAll);
afterAll(async () => {
  await proxy?.stop();
  await redis?.stop();
});

const nextTick = (): Promise<void> => new Promise(setImmediate);

async function scriptsRun(): Promise<number> {
  const stats = String(await redis.ask("INFO", "commandstats"));
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

test("reads are sent while others are under way; a write waits for them, and what comes behind it for the write", async () => {
  const values = registry({ id: "values", schema: z.string(), backend: processAt(proxy.url, newPrefix()) });
  await values.upsert({ key: "a", value: "1" });
  const before = await scriptsRun();
  proxy.slow(500);
  const reading = [values.get({ key: "a" })];
  await nextTick();
  reading.push(values.get({ key: "a" }));
  await nextTick();
  const writing = values.upsert({ key: "a", value: "2" });
  await nextTick();
  reading.push(values.get({ key: "a" }));
  await until("both reads run", async () => (await scriptsRun()) >= before + 2);
  expect(await scriptsRun()).toBe(before + 2);
  proxy.slow(0);
  expect((await Promise.all(reading)).map((entry) => entry?.value)).toEqual(["1", "1", "2"]);
  await writing;
});

test("what the server was too busy for is not overtaken by what it takes", async () => {
  const queue = textQueue(processAt(proxy.url, newPrefix()));
  await queue.sendMany([{ data: "0" }, { data: "1" }]);
  const [first, second] = [(await queue.recv())!, (await queue.recv())!];
  const endless = redis.ask("EVAL", "while true do end", 0).catch(String);
  await until("it is busy", async () => (await redis.ask("PING").catch(String)) !== "PONG");
  // Long enough for all that follows to be sent, were it not held back.
  proxy.slow(500);
  const acknowledged = first.ack();
  await nextTick();
  // Refused by the time that this is.
  expect(await redis.ask("PING").then(String, String)).toMatch(/BUSY/);
  await redis.ask("SCRIPT", "KILL");
  await endless;
  const counted = queue.stats();
  await nextTick();
  const released = second.nack({ delayMs: 0 });
  await nextTick();
  const taken = queue.recv({ wait: false });
  proxy.slow(0);
  expect(await counted).toMatchObject({ depth: 1, leased: 1 });
  expect(await Promise.all([acknowledged, released])).toEqual([true, true]);
  expect((await taken)?.data).toBe("1");
});
