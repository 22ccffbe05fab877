/** How a backend begins and ends, and what it leaves with clients that are not its own. */
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRedisBackend } from "../../src/redis/backend.js";
import type { BackendStatus } from "../../src/server.js";
import { startChild } from "./child.js";
import { closeAll, newPrefix, parked, processAt, textQueue } from "./processes.js";
import { type Server, startServer } from "./server.js";

let redis: Server;
beforeAll(async () => {
  redis = await startServer();
});
afterEach(closeAll);
afterAll(() => redis.stop());

describe("a subscriber that is passed in", () => {
  test("hears for the backend, and has nothing of it when that is closed", async () => {
    const subscriber = new Redis(redis.url);
    const own = subscriber.eventNames().map((event) => [event, subscriber.listenerCount(event)]);
    const prefix = newPrefix();
    const backend = createRedisBackend({ redis: redis.url, prefix, subscriber });
    const near = textQueue(processAt(redis.url, prefix));
    const received = textQueue(backend).recv();
    await parked(near);
    await near.send({ data: "a" });
    expect((await received)?.data).toBe("a");
    await backend.close();
    expect(subscriber.eventNames().map((event) => [event, subscriber.listenerCount(event)])).toEqual(own);
    await expect.poll(() => subscriber.ping().catch(String)).toBe("PONG");
    subscriber.disconnect();
  });

  test("is left alone by a backend that is closed before its first call", async () => {
    const subscriber = new Redis(redis.url, { lazyConnect: true });
    await createRedisBackend({ redis: redis.url, subscriber }).close();
    expect(subscriber.status).toBe("wait");
  });
});

test("a backend that is closed leaves no timer that keeps its process", { timeout: 20_000 }, async () => {
  const child = await startChild(new URL("./timers-left.ts", import.meta.url), redis.url, newPrefix());
  expect(await child.says()).toBe("0");
  await child.kill();
});

describe("status", { timeout: 20_000 }, () => {
  test("is told when it changes, each time as a value of its own", async () => {
    const server = await startServer();
    const told: BackendStatus[] = [];
    const onStatus = (status: BackendStatus): void => void told.push(status);
    const backend = createRedisBackend({ redis: server.url, prefix: newPrefix(), onStatus });
    const work = textQueue(backend);
    await work.send({ data: "a" });
    await server.kill();
    // Several attempts to connect fail meanwhile.
    await expect(work.send({ data: "b" })).rejects.toMatchObject({ code: "OFFLINE" });
    await server.restart();
    await expect.poll(() => backend.status.connected).toBe(true);
    await backend.close();
    expect(told.map(({ state }) => state)).toEqual(["ready", "connecting", "connecting", "ready", "closed"]);
    const [first, lost, refused, ...later] = told.map(({ problem }) => problem);
    expect([first, ...later]).toEqual([undefined, undefined, undefined]);
    expect(refused).toContain("ECONNREFUSED");
    // A connection may end in silence.
    expect(lost ?? "ECONNRESET").toContain("ECONNRESET");
    await server.stop();
  });

  test("a listener that throws keeps nobody from closing", async () => {
    const thrown: unknown[] = [];
    const uncaught = (error: unknown): void => void thrown.push(error);
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", uncaught);
    const onStatus = (): void => {
      throw new Error("the app's");
    };
    const backend = createRedisBackend({ redis: redis.url, prefix: newPrefix(), onStatus });
    await textQueue(backend).send({ data: "a" });
    await backend.close();
    await expect.poll(() => thrown.length).toBe(2);
    process.removeAllListeners("uncaughtException");
    for (const other of others) process.on("uncaughtException", other);
    expect(thrown.map(String)).toEqual(["Error: the app's", "Error: the app's"]);
  });
});
