import { describe, expect, test } from "vitest";
import { createMemoryBackend } from "../memory/memory-backend.js";
import type { Backend, InstanceSpec, Port, Reassertion } from "./backend.js";
import { createFlavour } from "./flavour.js";
import type { Kind } from "../protocol/commands.js";
import { createMutexFactory } from "./mutex.js";
import type { Lock } from "./mutex-types.js";

/** Memory that dies: the next one knows nothing but what it is told, as a hub whose mutexes are memory only. */
function mortalBackend() {
  let current = createMemoryBackend({ testClock: true });
  const told: Reassertion[] = [];
  const reassertions = new Set<{ port: Port; tell: (hub: { remembers: boolean }) => Reassertion | undefined }>();
  const listeners = new Set<(status: Backend["status"]) => void>();
  const backend = {
    get status() {
      return current.status;
    },
    onStatus(listener: (status: Backend["status"]) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    port<K extends Kind>(spec: InstanceSpec<K>): Port {
      const port: Port = {
        call: (op, body, options) => current.port(spec).call(op, body, options),
        listen: () => () => {},
        reassert(tell) {
          const entry = { port, tell };
          reassertions.add(entry);
          return () => reassertions.delete(entry);
        },
      };
      return port;
    },
    close: () => current.close(),
    advanceClock: (ms: number) => current.advanceClock(ms),
  } as unknown as Backend;
  return {
    backend,
    told,
    reassertions,
    listeners,
    /** Another memory takes over; `before` runs between. */
    async die(before?: (next: Backend) => Promise<unknown>) {
      current = createMemoryBackend({ testClock: true });
      await before?.(current);
      for (const { port, tell } of [...reassertions]) {
        const telling = tell({ remembers: false });
        if (!telling) continue;
        told.push(telling);
        try {
          telling.answered?.((await port.call(telling.op, telling.body)) as never);
        } catch (error) {
          telling.refused?.(error);
        }
      }
    },
  };
}

function setUp() {
  const mortal = mortalBackend();
  const { backend } = mortal;
  const mutex = createMutexFactory(createFlavour(() => backend));
  return { ...mortal, mutex, locks: mutex({ id: "m" }) };
}

function lost({ signal }: Lock): Promise<unknown> {
  return new Promise((resolve) => (signal.aborted ? resolve(0) : signal.addEventListener("abort", resolve)));
}

describe("locks that are held when a hub dies", () => {
  test("are told to the next one, with their token, and stay", async () => {
    const { locks, mutex, die } = setUp();
    const door = (await locks.acquire("door"))!;
    const shared = (await locks.acquire("hall", { mode: "shared", ttl: 60_000 }))!;
    await die();
    const other = mutex({ id: "m" });
    expect(await other.acquire("door", { waitMs: 0 })).toBeNull();
    expect(await other.acquire("hall", { waitMs: 0 })).toBeNull();
    const { holder } = await other.query("door");
    expect(holder).toMatchObject({ value: door.value, token: door.token });
    expect(holder!.expiration).toBe(door.expiration);
    expect(door.signal.aborted).toBe(false);
    expect(await locks.extend(shared)).toBe(true);
    await locks.release(door);
    const next = (await other.acquire("door", { waitMs: 0 }))!;
    expect(next.token).toBeGreaterThan(shared.token);
  });

  test("are lost when the next one had given them to another", async () => {
    const { locks, mutex, die } = setUp();
    const door = (await locks.acquire("door"))!;
    const { signal } = door;
    await die((next) => mutex({ id: "m", backend: next }).acquire("door"));
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toMatchObject({ code: "LOCKED" });
    expect(await locks.extend(door)).toBe(false);
    expect((await locks.stats()).held).toBe(1);
  });

  test("are lost also when the other has released it already", async () => {
    const { locks, mutex, die } = setUp();
    const door = (await locks.acquire("door"))!;
    await die((next) => mutex({ id: "m", backend: next }).withLock("door", () => {}));
    expect(door.signal.aborted).toBe(true);
    expect((await locks.stats()).held).toBe(0);
  });

  test("are not told when they were released, or their ttl is over", async () => {
    const { locks, mutex, die, told } = setUp();
    await locks.release((await locks.acquire("released"))!);
    await mutex({ id: "m" }).release((await locks.acquire("released elsewhere"))!);
    const over = (await locks.acquire("over", 10))!;
    await lost(over);
    await die();
    expect(told).toEqual([]);
    expect(await locks.stats()).toEqual({ held: 0, resources: 0, waiters: 0 });
  });

  test("tell what is left of their ttl", async () => {
    const { locks, die, told } = setUp();
    await locks.acquire("door", 5000);
    await die();
    const [{ ttlMs }] = (told[0]!.body as { locks: [{ ttlMs: number }] }).locks;
    expect(Number.isSafeInteger(ttlMs)).toBe(true);
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(5000);
  });

  test("of a closed handle are told, too, until they are released", async () => {
    const { locks, mutex, die, told } = setUp();
    const door = (await locks.acquire("door"))!;
    await locks.close();
    await die();
    expect(await mutex({ id: "m" }).acquire("door", { waitMs: 0 })).toBeNull();
    await locks.release(door);
    await die();
    expect(told).toHaveLength(1);
  });

  test("are lost when the next one refuses the telling", async () => {
    const { locks, die, backend } = setUp();
    const door = (await locks.acquire("door"))!;
    await die((next) => {
      // Nothing can be told to a backend that is closed.
      void next.close();
      return Promise.resolve();
    });
    expect(door.signal.aborted).toBe(true);
    expect(door.signal.reason).toMatchObject({ code: "LOCKED", cause: { code: "CLOSED" } });
    await backend.close();
  });
});

test("nothing listens for locks that are not held any more", async () => {
  const { locks, reassertions, listeners } = setUp();
  const one = (await locks.acquire("a"))!;
  const two = (await locks.acquire("b"))!;
  expect([reassertions.size, listeners.size]).toEqual([1, 1]);
  await locks.release(one);
  await two[Symbol.asyncDispose]();
  expect([reassertions.size, listeners.size]).toEqual([0, 0]);
});

test("locks that nobody releases are forgotten after their ttl", async () => {
  const { locks, reassertions } = setUp();
  const last = (await locks.acquire("last", 30))!;
  for (let i = 0; i < 200; i++) await locks.acquire(`resource ${i}`, 1);
  await lost(last);
  const held = (await locks.acquire("held"))!;
  for (let i = 0; i < 400; i++) await locks.acquire(`more ${i}`, 1);
  const [registered] = reassertions;
  const told = (registered!.tell({ remembers: false })!.body as { locks: { value: string }[] }).locks;
  expect(told.length).toBeLessThan(400);
  expect(told.map(({ value }) => value)).toContain(held.value);
});
