/**
 * Processes that die, or are cut off, hold nothing for longer than a lease lasts; those that live hold on. By the server's
 * own clock: each of these takes as long as a lease, so all of them run at once. Jobs: job.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Backend, ephemeral, topic as makeTopic } from "../../src/server.js";
import { startChild } from "./child.js";
import { endAll, newPrefix, processAt } from "./processes.js";
import { startProxy } from "./proxy.js";
import { type Server, startServer } from "./server.js";

const TOPIC_HOLDER = new URL("./topic-holder.ts", import.meta.url);
const BOUND_HOLDER = new URL("./bound-holder.ts", import.meta.url);
/** How long a process is taken to live after it was last heard of. */
const LEASE_MS = 10_000;
const HOUR = 3_600_000;
const schema = z.string();

let redis: Server;

beforeAll(async () => {
  redis = await startServer();
});
afterAll(() => endAll(redis));

const entriesOf = (backend: Backend) => ephemeral({ id: "e", schema, ttlMs: HOUR, backend });

describe.concurrent("a lease of a process", { timeout: 60_000 }, () => {
  test("what a killed process held is taken over when its lease is over, what a living one holds is not", async () => {
    const prefix = newPrefix();
    const topic = makeTopic({ id: "t", schema, backend: processAt(redis.url, prefix), reclaimAfterMs: HOUR });
    const reader = topic.reader("g");
    await topic.pub({ data: "kept" });
    const living = await startChild(TOPIC_HOLDER, redis.url, prefix, "t");
    expect(await living.says()).toBe("kept");
    await topic.pub({ data: "lost" });
    const dying = await startChild(TOPIC_HOLDER, redis.url, prefix, "t");
    expect(await dying.says()).toBe("lost");
    await dying.kill();
    expect(await reader.recv({ wait: false })).toBeNull();
    // The leases of both as they were given have ended by then; the living one has renewed its own.
    expect(await reader.recv()).toMatchObject({ data: "lost", attempt: 2 });
    expect(await reader.recv({ wait: false })).toBeNull();
    living.tell("commit");
    expect(await living.says()).toBe("true");
  });

  test("what was bound to a killed process ends with its lease, what a living one holds does not", async () => {
    const prefix = newPrefix();
    const entries = entriesOf(processAt(redis.url, prefix));
    const living = await startChild(BOUND_HOLDER, redis.url, prefix, "living");
    const dying = await startChild(BOUND_HOLDER, redis.url, prefix, "dying");
    expect(await Promise.all([living.says(), dying.says()])).toEqual(["bound", "bound"]);
    const reader = entries.reader();
    await entries.stats();
    await dying.kill();
    const ended = await reader.recv({ timeoutMs: LEASE_MS + 1000 });
    expect(ended).toMatchObject({ type: "delete", key: "dying", reason: "tab_gone" });
    // The lease that the living one had then has ended, too: it has renewed it.
    expect((await entries.snapshot()).entries.map(({ key }) => key)).toEqual(["living"]);
  });

  test("who was cut off for longer than its lease lasts tells what it holds when it is back", async () => {
    const prefix = newPrefix();
    const proxy = await startProxy(redis.port);
    const near = entriesOf(processAt(redis.url, prefix));
    const far = entriesOf(processAt(proxy.url, prefix));
    const { createdAt } = await far.upsert({ key: "a", value: "x", bound: "tab" });
    const reader = near.reader();
    await near.stats();
    await proxy.cut();
    expect(await reader.recv()).toMatchObject({ type: "delete", key: "a" });
    await proxy.restore();
    expect(await reader.recv()).toMatchObject({ type: "upsert", entry: { key: "a" } });
    expect(await near.get({ key: "a" })).toMatchObject({ value: "x", createdAt });
    await far.close();
    expect(await reader.recv()).toMatchObject({ type: "delete", key: "a" });
    await proxy.stop();
  });
});
