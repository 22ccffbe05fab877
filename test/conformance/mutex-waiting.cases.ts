import { assert } from "chai";
import type { Lock, Mutex } from "../../src/memory.js";
import { ONE_TAB, cases } from "./case.js";
import { eventually, isPending, rejectsWith } from "./expectations.js";
import { lockNow, taken } from "./mutex-acquire.cases.js";
import { parked } from "./receiving.js";

const LONG = { waitMs: 600_000, ttl: 600_000 };
const SHARED = { ...LONG, mode: "shared" as const };

/** Starts waiting calls in order; notes who is served. */
async function queueUp(mutex: Mutex, served: string[], ...names: string[]): Promise<Map<string, Promise<Lock>>> {
  const waiting = new Map<string, Promise<Lock>>();
  for (const name of names) {
    const before = (await mutex.stats()).waiters;
    const granted = mutex.acquire("door", name.startsWith("shared") ? SHARED : LONG).then((lock) => {
      served.push(name);
      return lock!;
    });
    waiting.set(name, granted);
    await parked(mutex, before + 1);
  }
  return waiting;
}

/** Who waits, in what order they are served, and what ends their waiting. */
export const mutexWaiting = cases("mutex", {
  "waiters are woken by the release, in order": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const first = await lockNow(mutex, "door", LONG);
    const served: string[] = [];
    const waiting = await queueUp(mutex, served, "a", "b", "c");
    // Time stands still for the backend: nothing polls.
    await mutex.release(first);
    await mutex.release(await waiting.get("a")!);
    await mutex.release(await waiting.get("b")!);
    await waiting.get("c");
    assert.deepEqual(served, ["a", "b", "c"]);
    await taken(mutex, "door");
  },

  "an ended ttl hands the lock to the next at once": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door", { ttl: 60_000 });
    const served: string[] = [];
    const waiting = await queueUp(mutex, served, "a", "b");
    await world.advance(60_001);
    await waiting.get("a");
    assert.deepEqual(served, ["a"]);
  },

  "waiters of one resource do not wait for those of another": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door", LONG);
    const window = await lockNow(mutex, "window", LONG);
    const atDoor = mutex.acquire("door", LONG);
    await parked(mutex, 1);
    const atWindow = mutex.acquire("window", LONG);
    await parked(mutex, 2);
    await mutex.release(window);
    assert.isNotNull(await atWindow);
    assert.isTrue(await isPending(atDoor));
  },

  "waiters of two tabs are served in order of arrival": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const here = world.mutex({ id });
      const there = world.tab().mutex({ id });
      const first = await lockNow(here, "door", LONG);
      const served: string[] = [];
      const a = await queueUp(there, served, "a");
      const b = await queueUp(here, served, "b");
      const c = await queueUp(there, served, "c");
      await here.release(first);
      await there.release(await a.get("a")!);
      await here.release(await b.get("b")!);
      await c.get("c");
      assert.deepEqual(served, ["a", "b", "c"]);
    },
  },

  "shared locks are held together, exclusive ones alone": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const one = await lockNow(mutex, "door", SHARED);
    const two = await lockNow(mutex, "door", SHARED);
    assert.strictEqual(one.mode, "shared");
    await taken(mutex, "door");
    const { holder, holders } = await mutex.query("door");
    assert.deepEqual(
      holders.map(({ value }) => value),
      [one.value, two.value],
    );
    assert.deepEqual(holder, holders[0]);
    await mutex.release(one);
    await taken(mutex, "door");
    await mutex.release(two);
    await lockNow(mutex, "door");
    await taken(mutex, "door", { mode: "shared" });
  },

  "a shared waiter does not overtake an exclusive one that waits before it": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const shared = await lockNow(mutex, "door", SHARED);
    const served: string[] = [];
    const waiting = await queueUp(mutex, served, "writer", "shared 1", "shared 2", "writer 2", "shared 3");
    // Nor does one that would not wait.
    await taken(mutex, "door", { mode: "shared" });
    await mutex.release(shared);
    await mutex.release(await waiting.get("writer")!);
    await Promise.all([waiting.get("shared 1"), waiting.get("shared 2")]);
    await mutex.stats();
    assert.deepEqual(served, ["writer", "shared 1", "shared 2"]);
    await mutex.release(await waiting.get("shared 1")!);
    await mutex.release(await waiting.get("shared 2")!);
    await mutex.release(await waiting.get("writer 2")!);
    await waiting.get("shared 3");
    assert.deepEqual(served, ["writer", "shared 1", "shared 2", "writer 2", "shared 3"]);
  },

  "an exclusive waiter that gives up lets the shared ones behind it pass": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    await lockNow(mutex, "door", SHARED);
    const giveUp = new AbortController();
    const aborted = mutex.acquire("door", { ...LONG, signal: giveUp.signal });
    await parked(mutex, 1);
    const behind = mutex.acquire("door", SHARED);
    await parked(mutex, 2);
    giveUp.abort();
    await rejectsWith(aborted, "ABORTED");
    assert.isNotNull(await behind);
    // The same when its time is up.
    const timedOut = mutex.acquire("door", { waitMs: 5000 });
    await parked(mutex, 1);
    const next = mutex.acquire("door", SHARED);
    await parked(mutex, 2);
    await world.advance(5001);
    assert.isNull(await timedOut);
    assert.isNotNull(await next);
  },

  "an aborted acquire rejects with AbortError, whose cause is the signal's reason": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const lock = await lockNow(mutex, "door", LONG);
    const giveUp = new AbortController();
    const waiting = mutex.acquire("door", { ...LONG, signal: giveUp.signal });
    await parked(mutex);
    const reason = new Error("enough");
    giveUp.abort(reason);
    const error = await rejectsWith(waiting, "ABORTED");
    assert.strictEqual(error.name, "AbortError");
    assert.strictEqual(error.cause, reason);
    await eventually(async () => (await mutex.stats()).waiters === 0, "nobody waits");
    await mutex.release(lock);
    await lockNow(mutex, "door");
  },

  "a signal that aborted before rejects at once, and nothing is locked": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const error = await rejectsWith(mutex.acquire("door", { signal: AbortSignal.abort("before") }), "ABORTED");
    assert.strictEqual(error.cause, "before");
    assert.strictEqual((await mutex.stats()).held, 0);
  },

  "a lock that arrives after its call ended is handed back": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    for (let i = 0; i < 10; i++) {
      const giveUp = new AbortController();
      const given = mutex.acquire("door", { ...LONG, signal: giveUp.signal });
      given.catch(() => {});
      // Before it was sent, while it is on its way, or when it is there.
      for (let turns = 0; turns < i; turns++) await Promise.resolve();
      giveUp.abort();
      // In this thread the answer was there already.
      const lock = await given.catch(() => null);
      if (lock) await mutex.release(lock);
      await eventually(async () => (await mutex.query("door")).holder === null, "the door is free again");
    }
  },

  "aborting after the grant does nothing to the lock": async (world) => {
    const mutex = world.mutex({ id: world.id() });
    const giveUp = new AbortController();
    const lock = await lockNow(mutex, "door", { ...LONG, signal: giveUp.signal });
    giveUp.abort();
    assert.isFalse(lock.signal.aborted);
    assert.isTrue(await mutex.extend(lock));
  },

  "a tab's locks are free at once when it closes, and its waiters go": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const here = world.mutex({ id });
      const tab = world.tab();
      const there = tab.mutex({ id });
      await lockNow(there, "door", LONG);
      await lockNow(there, "window", SHARED);
      const served: string[] = [];
      const waiting = await queueUp(here, served, "a", "b");
      const ofTheOther = there.acquire("door", LONG);
      await parked(here, 3);
      await tab.close();
      const a = (await waiting.get("a"))!;
      assert.isNull(await ofTheOther);
      assert.include(await here.query("door"), { waiting: 1 });
      await lockNow(here, "window");
      await here.release(a);
      await waiting.get("b");
      assert.deepEqual(served, ["a", "b"]);
    },
  },

  "of many at once each is alone": async (world) => {
    const id = world.id();
    let inside = 0;
    let most = 0;
    let runs = 0;
    const tokens: number[] = [];
    const work = async (): Promise<void> => {
      const mutex = world.mutex({ id });
      await mutex.withLockOrThrow(
        "door",
        async (lock) => {
          most = Math.max(most, ++inside);
          tokens.push(lock.token);
          await mutex.stats();
          inside--;
          runs++;
        },
        LONG,
      );
    };
    await Promise.all(Array.from({ length: 20 }, work));
    assert.strictEqual(runs, 20);
    assert.strictEqual(most, 1);
    assert.deepEqual(
      tokens,
      [...tokens].sort((a, b) => a - b),
    );
    assert.strictEqual(new Set(tokens).size, 20);
  },
});
