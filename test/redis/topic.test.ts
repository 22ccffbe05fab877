/** What cases cannot show of topics: connections that are away, data that is gone. Killed processes: leases.test.ts. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { type Backend, GapError, type TopicOptions, topic as makeTopic } from "../../src/server.js";
import { closeAll, newPrefix, processAt } from "./processes.js";
import { type Proxy, startProxy } from "./proxy.js";
import { type Server, startServer, until } from "./server.js";

const schema = z.string();

let redis: Server;
let proxy: Proxy;

beforeAll(async () => {
  redis = await startServer();
  proxy = await startProxy(redis.port);
});
afterEach(async () => {
  await proxy.restore();
  await closeAll();
});
afterAll(async () => {
  await proxy?.stop();
  await redis?.stop();
});

function topicOf(backend: Backend, options: Partial<TopicOptions<typeof schema>> = {}) {
  return makeTopic({ id: "t", schema, backend, ...options });
}

async function values(events: AsyncIterator<{ data: string }>, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push((await events.next()).value.data);
  return found;
}

test("a listener learns what was trimmed while it was away, and goes on", async () => {
  const prefix = newPrefix();
  const near = topicOf(processAt(redis.url, prefix), { maxLen: 3 });
  const far = topicOf(processAt(proxy.url, prefix), { maxLen: 3 });
  const strict = far.live();
  const lenient = far.live({ onGap: "continue" });
  await far.pub({ data: "before" });
  expect(await values(strict, 1)).toEqual(["before"]);
  expect(await values(lenient, 1)).toEqual(["before"]);
  await proxy.cut();
  for (const data of "abcdef") await near.pub({ data });
  await proxy.restore();
  await expect(strict.next()).rejects.toBeInstanceOf(GapError);
  expect(await values(lenient, 3)).toEqual(["d", "e", "f"]);
  await near.pub({ data: "after" });
  expect(await values(lenient, 1)).toEqual(["after"]);
  await lenient.return?.();
}, 30_000);

test("who listens or waits notices that the server lost everything, though the connections stand", async () => {
  const prefix = newPrefix();
  const far = topicOf(processAt(redis.url, prefix));
  const near = topicOf(processAt(redis.url, prefix));
  const events = far.live();
  await far.pub({ data: "old" });
  expect(await values(events, 1)).toEqual(["old"]);
  expect((await far.reader().recv())?.data).toBe("old");
  const waiting = far.reader().recv();
  await until("somebody waits", async () => (await near.stats()).waiters === 1);
  await redis.ask("FLUSHALL");
  await near.pub({ data: "new" });
  await expect(events.next()).rejects.toBeInstanceOf(GapError);
  expect((await waiting)?.data).toBe("new");
});

test("many claims and commits of one moment, from two processes, take each event once", async () => {
  const prefix = newPrefix();
  const topics = [topicOf(processAt(redis.url, prefix)), topicOf(processAt(redis.url, prefix))];
  const sent = Array.from({ length: 1000 }, (_, i) => String(i));
  const receiving = sent.map((_, i) => topics[i % 2]!.reader("g").recv());
  await topics[0]!.pubMany(sent.slice(0, 500).map((data) => ({ data })));
  await Promise.all(sent.slice(500).map((data, i) => topics[i % 2]!.pub({ data })));
  const received = await Promise.all(receiving);
  expect(received.map((event) => Number(event?.data)).sort((a, b) => a - b)).toEqual(sent.map(Number));
  expect(await Promise.all(received.map((event) => event!.commit()))).toEqual(sent.map(() => true));
  expect((await topics[0]!.stats()).groups).toEqual({ g: { lag: 0, pending: 0 } });
}, 30_000);
