import { assert } from "chai";
import type { Lock, Mutex } from "../../src/memory.js";
import { cases } from "./case.js";
import { isPending, rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";
import { parked } from "./receiving.js";

const DAY = 24 * 3_600_000;
const NO_DURATION = [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53];

/** A lock that must be there at once. */
export async function lockNow(mutex: Mutex, resource: string, options: object = {}): Promise<Lock> {
  const lock = await mutex.acquire(resource, { waitMs: 0, ...options });
  assert.isNotNull(lock, `${resource} is free`);
  return lock!;
}

export async function taken(mutex: Mutex, resource: string, options: object = {}): Promise<void> {
  assert.isNull(await mutex.acquire(resource, { waitMs: 0, ...options }), `${resource} is taken`);
}

/** What is locked, for how long, and with what settings. */
export const mutexAcquire = cases("mutex", {
  "acquire gives a lock": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await mutex.acquire("door", 5000);
    assert.include(lock, { resource: "door", ttl: 5000, mode: "exclusive" });
    assert.match(lock!.value, /^[0-9A-Z]{26}$/);
    assert.isTrue(Number.isSafeInteger(lock!.token));
    assert.isTrue(Number.isSafeInteger(lock!.expiration));
    assert.isFalse(lock!.signal.aborted);
  },

  "a lock excludes every other on its resource, and no other resource": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door");
    await taken(mutex, "door");
    await taken(mutex, "door", { mode: "shared" });
    await lockNow(mutex, "window");
  },

  "fault of the reference: handles with the same id exclude each other": async (world) => {
    const id = world.id();
    const lock = await lockNow(world.mutex({ id }), "door");
    const other = world.mutex({ id });
    await taken(other, "door");
    await other.release(lock);
    await lockNow(other, "door");
  },

  "another id, prefix or tenant is another mutex": async (world) => {
    const id = world.id();
    await lockNow(world.mutex({ id }), "door");
    for (const name of [{ prefix: "p" }, { id: `${id}2` }, { tenantId: "t" }]) {
      await lockNow(world.mutex({ id, ...name }), "door");
    }
  },

  "prefix, id and resource with colons do not collide": async (world) => {
    const id = world.id();
    await lockNow(world.mutex({ prefix: "p", id: `${id}:a` }), "b");
    await lockNow(world.mutex({ prefix: "p", id }), "a:b");
    await lockNow(world.mutex({ prefix: `p:${id}`, id: "a" }), "b");
  },

  "resources of any length are apart": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    for (const length of [0, 127, 128, 129, 65_535]) {
      await lockNow(mutex, `${"x".repeat(length)}a`);
      await lockNow(mutex, `${"x".repeat(length)}b`);
      await taken(mutex, `${"x".repeat(length)}a`);
    }
    await lockNow(mutex, "");
    await lockNow(mutex, "__proto__");
  },

  "a resource that is no text, or longer than 65,536 characters, is refused": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await rejectsWith(mutex.acquire("x".repeat(65_537)), "VALIDATION");
    for (const wrong of [undefined, null, 7, {}]) {
      await rejectsWith(mutex.acquire(wrong as unknown as string), "VALIDATION");
      await rejectsWith(mutex.query(wrong as unknown as string), "VALIDATION");
    }
    assert.include(await mutex.stats(), { held: 0 });
  },

  "checks come in order: resource, ranges": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await rejectsWith(mutex.acquire(7 as unknown as string, { ttl: 0, waitMs: -1 }), "VALIDATION");
  },

  "a lock is over when its ttl is": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door", { ttl: 60_000 });
    await world.advance(50_000);
    await taken(mutex, "door");
    await world.advance(10_001);
    await lockNow(mutex, "door");
  },

  "the ttl is 10 seconds by default, or the handle's defaultTtl": async (world) => {
    const id = world.id();
    const lock = await lockNow(world.mutex({ id }), "a");
    assert.strictEqual(lock.ttl, 10_000);
    const slow = await lockNow(world.mutex({ id, defaultTtl: 60_000 }), "b");
    assert.strictEqual(slow.ttl, 60_000);
    assert.approximately(slow.expiration - lock.expiration, 50_000, 5000);
    await world.advance(10_001);
    await lockNow(world.mutex({ id }), "a");
    await taken(world.mutex({ id }), "b");
  },

  "expiration is the time of the grant plus the ttl, also after a wait": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const first = await lockNow(mutex, "door", { ttl: 60_000 });
    const waiting = mutex.acquire("door", { ttl: 1000, waitMs: 120_000 });
    await parked(mutex);
    await world.advance(60_001);
    const second = await waiting;
    assert.approximately(second!.expiration - first.expiration, 1000, 900);
  },

  "a ttl longer than 2^31 − 1 ms works": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door", { ttl: 60 * DAY });
    await world.advance(50 * DAY);
    await taken(mutex, "door");
    await world.advance(10 * DAY + 1);
    await lockNow(mutex, "door");
  },

  "fault of the reference: a ttl out of range is a RangeError, and nothing is touched": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 60_000 });
    const { expiration } = lock;
    for (const ttl of [...NO_DURATION, null as unknown as number, "5" as unknown as number]) {
      if (ttl !== null) await rejectsWithRange(mutex.acquire("window", ttl));
      await rejectsWithRange(mutex.extend(lock, ttl));
    }
    for (const ttl of NO_DURATION) {
      await rejectsWithRange(mutex.acquire("window", { ttl }));
      await rejectsWithRange(mutex.withLock("window", () => assert.fail("must not run"), ttl));
      throwsRange(() => world.mutex({ id: "a", defaultTtl: ttl }));
    }
    assert.include(lock, { ttl: 60_000, expiration });
    assert.deepEqual(await mutex.stats(), { held: 1, resources: 1, waiters: 0 });
    await world.advance(60_001);
    assert.strictEqual((await mutex.stats()).held, 0, "the lock did not become immortal");
  },

  "retryCount and retryDelay out of range are refused when the handle is made": async (world) => {
    for (const wrong of [-1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      throwsRange(() => world.mutex({ id: "a", retryCount: wrong }));
      throwsRange(() => world.mutex({ id: "a", retryDelay: wrong }));
    }
    throwsRange(() => world.mutex({ id: "a", retryCount: 2 ** 40, retryDelay: 2 ** 40 }));
    throwsWith(() => world.mutex({ id: "" }), "VALIDATION");
  },

  "waitMs and mode out of range are refused": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    for (const waitMs of [-1, 1.5, Number.NaN, Infinity]) await rejectsWithRange(mutex.acquire("door", { waitMs }));
    await rejectsWith(mutex.acquire("door", { mode: "write" as "shared" }), "VALIDATION");
    await lockNow(mutex, "door");
  },

  "without waitMs the wait is bounded by retryCount × retryDelay, 2 seconds by default": async (world) => {
    const id = world.id();
    const mutex = world.mutex({ id });
    const patient = world.mutex({ id, retryCount: 3, retryDelay: 20_000 });
    await lockNow(mutex, "door", { ttl: DAY });
    const first = mutex.acquire("door");
    const second = patient.acquire("door");
    await parked(mutex, 2);
    await world.advance(1000);
    await mutex.stats();
    assert.isTrue(await isPending(first));
    await world.advance(1001);
    assert.isNull(await first);
    await world.advance(50_000);
    await mutex.stats();
    assert.isTrue(await isPending(second));
    await world.advance(10_000);
    assert.isNull(await second);
  },

  "with retryCount 0 acquire tries once": async (world) => {
    const mutex = world.mutex({ id: world.id(), retryCount: 0 });
    const lock = await mutex.acquire("door");
    assert.isNotNull(lock);
    assert.isNull(await mutex.acquire("door"));
    // A call may wait all the same.
    const waiting = mutex.acquire("door", { waitMs: 60_000 });
    await parked(mutex);
    await mutex.release(lock!);
    assert.isNotNull(await waiting);
  },

  "waitMs 0 does not wait": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door");
    assert.isNull(await mutex.acquire("door", { waitMs: 0 }));
    assert.strictEqual((await mutex.stats()).waiters, 0);
  },

  "query tells who holds a resource and how many wait for it": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    assert.deepEqual(await mutex.query("door"), { holder: null, holders: [], waiting: 0 });
    const lock = await lockNow(mutex, "door", { ttl: 60_000 });
    const waiting = [mutex.acquire("door"), mutex.acquire("door")];
    await parked(mutex, 2);
    const found = await mutex.query("door");
    const holder = {
      value: lock.value,
      token: lock.token,
      mode: "exclusive" as const,
      expiration: lock.expiration,
      by: world.backend.status.tabId,
    };
    assert.deepEqual(found, { holder, holders: [holder], waiting: 2 });
    assert.deepEqual(await mutex.query("window"), { holder: null, holders: [], waiting: 0 });
    await mutex.release(lock);
    await mutex.release((await waiting[0])!);
    await mutex.release((await waiting[1])!);
  },

  "stats counts what is held and who waits": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    assert.deepEqual(await mutex.stats(), { held: 0, resources: 0, waiters: 0 });
    await lockNow(mutex, "a", { mode: "shared" });
    await lockNow(mutex, "a", { mode: "shared" });
    await lockNow(mutex, "b", { ttl: DAY });
    const waiting = mutex.acquire("b", { waitMs: 5000 });
    await parked(mutex);
    assert.deepEqual(await mutex.stats(), { held: 3, resources: 2, waiters: 1 });
    await world.advance(10_001);
    assert.isNull(await waiting);
    assert.deepEqual(await mutex.stats(), { held: 1, resources: 1, waiters: 0 });
  },
});
