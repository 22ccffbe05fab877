import { assert } from "chai";
import type { Lock } from "../../src/memory.js";
import { ONE_TAB, type World, cases } from "./case.js";
import { eventually, rejection, rejectsWith } from "./expectations.js";
import { lockNow, taken } from "./mutex-acquire.cases.js";
import { parked } from "./receiving.js";

const LONG = { waitMs: 600_000, ttl: 600_000 };

function aborted({ signal }: Lock): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

/** Runs with a handle on a backend that the case may close. */
async function apart(
  world: World,
  run: (mutex: ReturnType<World["mutex"]>, backend: World["backend"]) => Promise<void>,
) {
  const other = world.fresh();
  await run(other.mutex({ id: other.id() }), other.backend);
}

/** What can be done with a lock that is held, and how it ends. */
export const mutexHeld = cases("mutex", {
  "release gives the lock back, and does nothing when it is not held": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door");
    assert.isUndefined(await mutex.release(lock));
    const second = await lockNow(mutex, "door");
    assert.isUndefined(await mutex.release(lock), "repeated");
    await mutex.release({ resource: "door", value: "somebody else's" });
    await mutex.release({ resource: "window", value: second.value });
    await taken(mutex, "door");
    await mutex.release({ resource: "door", value: second.value });
    await lockNow(mutex, "door");
  },

  "a lock whose ttl is over cannot release the one that came after it": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const first = await lockNow(mutex, "door", { ttl: 60_000 });
    await world.advance(60_001);
    await lockNow(mutex, "door");
    await mutex.release(first);
    assert.isFalse(await mutex.extend(first));
    await taken(mutex, "door");
  },

  "extend lets the ttl begin anew and updates the lock": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 60_000 });
    const { expiration, token, value } = lock;
    await world.advance(50_000);
    assert.isTrue(await mutex.extend(lock));
    assert.include(lock, { ttl: 60_000, token, value });
    assert.approximately(lock.expiration - expiration, 50_000, 5000);
    await world.advance(50_000);
    await taken(mutex, "door");
    assert.isTrue(await mutex.extend(lock, 5000));
    assert.strictEqual(lock.ttl, 5000);
    await world.advance(5001);
    await lockNow(mutex, "door");
  },

  "extend is false once the lock is over, released, or another's, and revives nothing": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const over = await lockNow(mutex, "over", { ttl: 60_000 });
    const { expiration } = over;
    const released = await lockNow(mutex, "released", { ttl: 60_000 });
    await mutex.release(released);
    await world.advance(60_001);
    assert.isFalse(await mutex.extend(over, 120_000));
    assert.include(over, { ttl: 60_000, expiration });
    assert.isFalse(await mutex.extend(released));
    assert.deepEqual(await mutex.stats(), { held: 0, resources: 0, waiters: 0 });
    const mine = await lockNow(mutex, "door");
    assert.isFalse(await mutex.extend({ ...mine, value: "somebody else's", signal: mine.signal } as Lock));
  },

  "extend works on a copy of the lock, and at another handle": async (world) => {
    const id = world.id();
    const mutex = world.mutex({ id });
    const lock = await lockNow(mutex, "door", { ttl: 60_000 });
    const { expiration } = lock;
    await world.advance(30_000);
    const copy = { ...lock } as Lock;
    assert.isTrue(await mutex.extend(copy, 90_000));
    assert.strictEqual(copy.ttl, 90_000);
    assert.isAbove(copy.expiration, expiration);
    const elsewhere = { ...lock } as Lock;
    assert.isTrue(await world.mutex({ id }).extend(elsewhere, 100_000));
    assert.strictEqual(elsewhere.ttl, 100_000);
  },

  "tokens grow with every lock of the mutex": async (world) => {
    const id = world.id();
    const tokens: number[] = [];
    for (let i = 0; i < 10; i++) {
      const mutex = world.mutex({ id });
      const lock = await lockNow(mutex, `resource ${i % 3}`, { mode: i % 2 ? "shared" : "exclusive" });
      tokens.push(lock.token);
      if (i % 4 === 0) await world.advance(1000);
      await mutex.release(lock);
    }
    for (const [i, token] of tokens.entries()) {
      assert.isTrue(Number.isSafeInteger(token));
      if (i > 0) assert.isAbove(token, tokens[i - 1]!);
    }
  },

  "a token is at least the time of its block in microseconds": async (world) => {
    const lock = await lockNow(world.mutex({ id: world.id() }), "door");
    const grantedAt = lock.expiration - lock.ttl;
    assert.approximately(lock.token / 1000, grantedAt, 60_000);
  },

  "tokens do not go back with the clock": async (world) => {
    const other = world.fresh();
    const mutex = other.mutex({ id: other.id() });
    const before = await lockNow(mutex, "door");
    await other.advance(-3_600_000);
    const after = await lockNow(mutex, "window");
    assert.isAbove(after.token, before.token);
  },

  "a clock that steps back does not make a lock last longer than its ttl": async (world) => {
    const other = world.fresh();
    const mutex = other.mutex({ id: other.id() });
    await lockNow(mutex, "door", { ttl: 60_000 });
    await other.advance(-3_600_000);
    await taken(mutex, "door");
    await other.advance(60_001);
    await lockNow(mutex, "door");
  },

  "withLock runs with the lock held, gives the result and releases": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const result = await mutex.withLock("door", async (lock) => {
      assert.strictEqual(lock.resource, "door");
      await taken(mutex, "door");
      return 42;
    });
    assert.strictEqual(result, 42);
    assert.strictEqual(await mutex.withLock("door", () => "at once", 5000), "at once");
    await lockNow(mutex, "door");
  },

  "withLock gives null when the lock is not to be had, and does not run": async (world) => {
    const mutex = world.mutex({ id: world.id(), retryCount: 0 });
    await lockNow(mutex, "door");
    assert.isNull(await mutex.withLock("door", () => assert.fail("must not run")));
    assert.isNull(await mutex.withLock("door", () => assert.fail("must not run"), { waitMs: 0 }));
  },

  "withLockOrThrow rejects with LockError, which names the resource": async (world) => {
    const { LockError } = world.entry;
    const mutex = world.mutex({ id: world.id(), retryCount: 0 });
    await lockNow(mutex, "door");
    const error = await rejectsWith<InstanceType<typeof LockError>>(
      mutex.withLockOrThrow("door", () => assert.fail("must not run")),
      "LOCKED",
    );
    assert.instanceOf(error, LockError);
    assert.include(error, { name: "LockError", resource: "door", retryable: true });
    assert.match(error.message, /^Failed to acquire lock on resource:/);
    assert.strictEqual(await mutex.withLockOrThrow("window", () => 1), 1);
  },

  "what the function throws comes out of withLock, after the release": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const failure = new Error("in the middle");
    for (const run of [
      mutex.withLock("door", () => Promise.reject(failure)),
      mutex.withLock("door", () => {
        throw failure;
      }),
      mutex.withLockOrThrow("door", () => Promise.reject(failure)),
    ]) {
      assert.strictEqual(await rejection(run), failure);
    }
    await lockNow(mutex, "door");
  },

  "fault of the reference: a failing release never hides what the function returned or threw": (world) =>
    apart(world, async (mutex, backend) => {
      const failure = new Error("in the middle");
      const thrown = mutex.withLock("window", async () => {
        await parked(mutex, 1);
        await backend.close();
        throw failure;
      });
      await mutex.withLock("door", async (lock) => {
        const result = await mutex.withLock("garden", async () => {
          // Keeps the first function waiting until all three hold their locks.
          void mutex.acquire("door", LONG).catch(() => null);
          await aborted(lock);
          return "worth keeping";
        });
        assert.strictEqual(result, "worth keeping");
        await rejectsWith(mutex.release(lock), "CLOSED");
      });
      assert.strictEqual(await rejection(thrown), failure);
    }),

  "a lock is disposed of by releasing it": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door");
    await lock[Symbol.asyncDispose]();
    await lock[Symbol.asyncDispose]();
    await lockNow(mutex, "door");
  },

  "lock.signal aborts when the ttl runs out": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 30 });
    assert.include(await aborted(lock), { code: "LOCKED" });
    assert.isFalse(await mutex.extend(lock));
  },

  "lock.signal is aborted also when it is asked for only after the ttl": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const short = await lockNow(mutex, "door", { ttl: 10 });
    // Its end is watched by another lock that lasts longer.
    await aborted(await lockNow(mutex, "window", { ttl: 40 }));
    assert.include(await aborted(short), { code: "LOCKED" });
  },

  "lock.signal aborts when extending is refused": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 60_000 });
    const { signal } = lock;
    assert.isTrue(await mutex.extend(lock));
    assert.isFalse(signal.aborted);
    await world.advance(60_001);
    assert.isFalse(await mutex.extend(lock));
    assert.isTrue(signal.aborted);
    assert.include(signal.reason, { code: "LOCKED" });
  },

  "lock.signal aborts when the backend is closed": (world) =>
    apart(world, async (mutex, backend) => {
      const lock = await lockNow(mutex, "door", LONG);
      const { signal } = lock;
      await backend.close();
      assert.isTrue(signal.aborted);
      await rejectsWith(mutex.acquire("door"), "CLOSED");
    }),

  "lock.signal does not abort by releasing, and lives on with every extension": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 400 });
    const { signal } = lock;
    assert.isTrue(await mutex.extend(lock, 600_000));
    // Real time passes, beyond the first ttl.
    await aborted(await lockNow(mutex, "window", { ttl: 450 }));
    assert.isFalse(signal.aborted);
    await mutex.release(lock);
    assert.isFalse(signal.aborted);
  },

  "autoExtend keeps the lock beyond its ttl, until it is released": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 600, autoExtend: true });
    const { expiration } = lock;
    await eventually(() => lock.expiration > expiration + 600, "extended over its first ttl");
    assert.isFalse(lock.signal.aborted);
    await taken(mutex, "door");
    await mutex.release(lock);
    const { expiration: last } = lock;
    await aborted(await lockNow(mutex, "window", { ttl: 300 }));
    assert.strictEqual(lock.expiration, last, "extended no more");
    await lockNow(mutex, "door");
  },

  "autoExtend that is refused aborts lock.signal": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", { ttl: 300, autoExtend: true });
    await world.advance(3_600_000);
    assert.include(await aborted(lock), { code: "LOCKED" });
    await lockNow(mutex, "door");
  },

  "close settles waiting calls with null, later ones reject with CLOSED": async (world) => {
    const id = world.id();
    const mutex = world.mutex({ id });
    const other = world.mutex({ id });
    const lock = await lockNow(mutex, "door", LONG);
    const waiting = mutex.acquire("door", LONG);
    const ofTheOther = other.acquire("door", LONG);
    await parked(mutex, 2);
    await mutex.close();
    await mutex.close();
    await mutex[Symbol.asyncDispose]();
    assert.isNull(await waiting);
    for (const call of [
      () => mutex.acquire("door"),
      () => mutex.withLock("door", () => 1),
      () => mutex.withLockOrThrow("door", () => 1),
      () => mutex.extend(lock),
      () => mutex.query("door"),
      () => mutex.stats(),
    ]) {
      await rejectsWith(call(), "CLOSED");
    }
    // What it holds stays until it is released, or until the ttl.
    await taken(other, "door");
    assert.isFalse(lock.signal.aborted);
    await mutex.release(lock);
    assert.isNotNull(await ofTheOther);
  },

  "a lock of a closed handle is over with its ttl": async (world) => {
    const id = world.id();
    const mutex = world.mutex({ id });
    await lockNow(mutex, "door", { ttl: 60_000 });
    await mutex.close();
    const other = world.mutex({ id });
    await taken(other, "door");
    await world.advance(60_001);
    await lockNow(other, "door");
  },

  "closing a backend settles waiting calls with null": (world) =>
    apart(world, async (mutex, backend) => {
      await lockNow(mutex, "door", LONG);
      const waiting = mutex.acquire("door", LONG);
      await parked(mutex);
      await backend.close();
      assert.isNull(await waiting);
    }),

  "another tab releases a lock that it was told of": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const { resource, value } = await lockNow(world.mutex({ id }), "door", LONG);
      const there = world.tab().mutex({ id });
      await taken(there, "door");
      await there.release({ resource, value });
      await lockNow(there, "door");
    },
  },
});
