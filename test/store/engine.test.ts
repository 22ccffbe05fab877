/** Handles over a user's store: what they share, what survives, and what happens when the store fails. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import {
  type Backend,
  type Queue,
  type Store,
  StoreWriteError,
  createMemoryStore,
  queue,
  topic,
} from "../../src/memory.js";
import * as browser from "../../src/index.js";
import { createMemoryBackend } from "../../src/memory/memory-backend.js";
import { FaultyStore } from "./faulty-store.js";

const schema = z.string();
const jobs = (store: Store, id = "jobs"): Queue<typeof schema> => queue({ id, schema, store });

/** The backend that handles of this store use. */
const backendOf = (store: Store): Backend => createMemoryBackend({ store });

/** As the next page finds it, the one before gone without a word. */
const reopened = (store: FaultyStore): FaultyStore => new FaultyStore(store.contents);

async function drain(from: Queue<typeof schema>): Promise<string[]> {
  const all: string[] = [];
  for await (const message of from.stream({ wait: false })) {
    all.push(message.data);
    await message.ack();
  }
  return all;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("handles with a store", () => {
  test("share state on the same store, and none with other stores or backends", async () => {
    const [a, b] = [createMemoryStore(), createMemoryStore()];
    await jobs(a).send({ data: "in a" });
    expect((await jobs(b).stats()).depth).toBe(0);
    expect((await queue({ id: "jobs", schema, backend: createMemoryBackend() }).stats()).depth).toBe(0);
    expect(await drain(jobs(a))).toEqual(["in a"]);
  });

  test("have one backend, ready with the first call", async () => {
    const store = createMemoryStore();
    expect(backendOf(store).status).toMatchObject({ state: "connecting", durable: true, mode: "memory" });
    await jobs(store).send({ data: "a" });
    expect(backendOf(store).status).toMatchObject({ state: "ready", connected: true });
    expect(await drain(queue({ id: "jobs", schema, backend: backendOf(store) }))).toEqual(["a"]);
  });

  test("state outlives the backend: after close what was held is there as if it had not been taken", async () => {
    const store = createMemoryStore();
    await jobs(store).send({ data: "a" });
    await jobs(store).send({ data: "b" });
    const before = jobs(store);
    await before.recv();
    await backendOf(store).close();
    await expect(before.stats()).rejects.toMatchObject({ code: "CLOSED" });
    const again = await jobs(store).recv();
    expect(again).toMatchObject({ data: "a", attempt: 1 });
  });

  test("a page that ends without a word: what it held is free at once, the attempt counted", async () => {
    const store = new FaultyStore();
    await jobs(store).send({ data: "a" });
    await jobs(store).recv();
    expect(await jobs(reopened(store)).recv({ wait: false })).toMatchObject({ data: "a", attempt: 2 });
  });

  test("what is due while nobody is there happens when somebody comes", async () => {
    const store = new FaultyStore();
    await jobs(store).send({ data: "later", delayMs: 5000 });
    vi.setSystemTime(Date.now() + 6000);
    expect(await drain(jobs(reopened(store)))).toEqual(["later"]);
  });

  test("calls take effect at once, as without a store", () => {
    const store = new FaultyStore();
    void jobs(store).send({ data: "a" });
    expect(store.keys("tabloom/1/t/")).toHaveLength(1);
  });

  test("one call is one record, whatever it changes", async () => {
    const store = new FaultyStore();
    const sending = jobs(store);
    await sending.send({ data: "first" });
    const before = store.writes;
    await sending.sendMany(["a", "b", "c"].map((data) => ({ data })));
    expect(store.writes).toBe(before + 1);
  });

  test("calls that change nothing write nothing", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    await handle.send({ data: "a" });
    const before = store.writes;
    await handle.stats();
    await handle.peek();
    await handle.recv({ wait: false }).then((message) => message?.ack());
    expect(store.writes).toBe(before + 2);
    await handle.recv({ wait: false });
    expect(store.writes).toBe(before + 2);
  });

  test('durability "memory" stays in memory', async () => {
    const store = new FaultyStore();
    const handle = queue({ id: "fleeting", schema, store, durability: "memory" });
    await handle.send({ data: "a" });
    expect(await drain(handle)).toEqual(["a"]);
    expect(store.contents.size).toBe(0);
    await jobs(store).send({ data: "kept" });
    await expect(queue({ id: "jobs", schema, store, durability: "memory" }).stats()).rejects.toMatchObject({
      code: "CONFLICT",
    });
  });

  test("a user's own keys in the same store are left alone", async () => {
    const store = createMemoryStore();
    store.set("mine", 1);
    store.set("tabloomish", 2);
    for (let i = 0; i < 200; i++) await jobs(store).send({ data: "a" });
    await backendOf(store).close();
    expect((await jobs(store).stats()).depth).toBe(200);
    expect([store.get("mine"), store.get("tabloomish")]).toEqual([1, 2]);
    expect(store.keys().filter((key) => !key.startsWith("tabloom/"))).toEqual(["mine", "tabloomish"]);
  });

  test("row keys may hold any characters", async () => {
    const store = new FaultyStore();
    for (const idempotencyKey of ["\n", "/", "a:b", "\ud800", "0i1"]) {
      await jobs(store).send({ data: idempotencyKey, idempotencyKey });
    }
    const next = jobs(reopened(store));
    expect(await next.send({ data: "again", idempotencyKey: "\n" })).toMatchObject({ duplicate: true });
    expect(await drain(next)).toEqual(["\n", "/", "a:b", "\ud800", "0i1"]);
  });

  test("in the browser flavour a store is refused", async () => {
    const refused = browser.queue({ id: "x", schema, store: createMemoryStore() });
    await expect(refused.stats()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("either a backend or a store", async () => {
    const both = queue({ id: "x", schema, store: createMemoryStore(), backend: createMemoryBackend() });
    await expect(both.stats()).rejects.toMatchObject({ code: "VALIDATION" });
  });
});

describe("a store that fails", () => {
  test("refuses the call with StoreWriteError and its cause; memory is unchanged, and later calls work", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    await handle.send({ data: "a" });
    store.capacity = store.used;
    const error: unknown = await handle.send({ data: "b" }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StoreWriteError);
    expect(error).toMatchObject({ code: "STORAGE", retryable: true, cause: new Error("full") });
    expect(await handle.stats()).toMatchObject({ depth: 1 });
    store.capacity = Infinity;
    await handle.send({ data: "c" });
    expect(await drain(handle)).toEqual(["a", "c"]);
  });

  test("a store that is full can be drained, and takes more then", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    store.capacity = 200_000;
    let count = 0;
    const fill = async (): Promise<never> => {
      for (; ; count++) await handle.send({ data: `${count} ${"x".repeat(count % 7 === 0 ? 9000 : 20)}` });
    };
    await expect(fill()).rejects.toThrow(StoreWriteError);
    expect(count).toBeGreaterThan(50);
    expect(await drain(handle)).toHaveLength(count);
    await handle.send({ data: "room again" });
    expect(await drain(jobs(reopened(store)))).toEqual(["room again"]);
  });

  test("the first call of an instance: nothing is left of it, and the next opens it again", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    store.capacity = 0;
    await expect(handle.send({ data: "a" })).rejects.toThrow(StoreWriteError);
    await expect(handle.recv({ timeoutMs: 60_000 })).rejects.toThrow(StoreWriteError);
    store.capacity = Infinity;
    await handle.send({ data: "b" });
    expect(await drain(jobs(reopened(store)))).toEqual(["b"]);
  });

  test("a parked recv that a refused send would have served goes on waiting", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    const waiting = handle.recv();
    await handle.stats();
    store.capacity = store.used;
    await expect(handle.send({ data: "a" })).rejects.toThrow(StoreWriteError);
    expect(await handle.stats()).toMatchObject({ waiters: 1, depth: 0 });
    store.capacity = Infinity;
    await handle.send({ data: "b" });
    expect((await waiting)?.data).toBe("b");
  });

  test("listeners hear nothing of what was refused", async () => {
    const store = new FaultyStore();
    const news = topic({ id: "news", schema, store });
    const live = news.live();
    await news.pub({ data: "a" });
    store.capacity = store.used;
    await expect(news.pub({ data: "b" })).rejects.toThrow(StoreWriteError);
    store.capacity = Infinity;
    await news.pub({ data: "c" });
    expect([(await live.next()).value?.data, (await live.next()).value?.data]).toEqual(["a", "c"]);
  });

  test("what time brings is tried again later, with a pause", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    await handle.send({ data: "later", delayMs: 100 });
    store.fates = Array.from({ length: 1000 }, () => "refuses");
    const before = store.writes;
    await vi.advanceTimersByTimeAsync(5000);
    const attempts = store.writes - before;
    expect(attempts).toBeGreaterThan(4);
    expect(attempts).toBeLessThan(60);
    store.fates = [];
    await vi.advanceTimersByTimeAsync(1000);
    const writes = store.writes;
    expect(await handle.stats()).toMatchObject({ ready: 1 });
    expect(store.writes).toBe(writes);
  });

  test("a call that fails for want of room does not hold up what time brings", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    await handle.send({ data: "due", delayMs: 300 });
    store.capacity = store.used;
    await expect(handle.send({ data: "too much" })).rejects.toThrow(StoreWriteError);
    const waiting = [handle.recv({ timeoutMs: 200 }), handle.recv()];
    await vi.advanceTimersByTimeAsync(200);
    expect(await waiting[0]).toBeNull();
    await vi.advanceTimersByTimeAsync(100);
    expect((await waiting[1])?.data).toBe("due");
  });

  test("the room that is kept for draining is not used up by opening more", async () => {
    const store = new FaultyStore();
    const handle = jobs(store);
    for (let i = 0; i < 100; i++) await handle.send({ data: `${i}` });
    store.capacity = store.used;
    for (let i = 0; i < 100; i++) await expect(jobs(store, `other ${i}`).stats()).rejects.toThrow(StoreWriteError);
    expect(await drain(handle)).toHaveLength(100);
  });

  test("freeing what an earlier page held is tried again, too", async () => {
    const store = new FaultyStore();
    await jobs(store).send({ data: "a" });
    await jobs(store).recv({ leaseMs: 1e9 });
    const next = reopened(store);
    next.fates = Array.from({ length: 20 }, () => "refuses");
    expect(await jobs(next).stats()).toMatchObject({ leased: 1 });
    next.fates = [];
    await vi.advanceTimersByTimeAsync(1000);
    expect(await jobs(next).stats()).toMatchObject({ leased: 0, ready: 1 });
  });

  test("a store that cannot be read: STORAGE, and the next call tries again", async () => {
    const store = createMemoryStore();
    const { keys } = store;
    store.keys = () => {
      throw new Error("no");
    };
    const handle = jobs(store);
    await expect(handle.send({ data: "a" })).rejects.toMatchObject({ code: "STORAGE", cause: new Error("no") });
    expect(backendOf(store).status.state).toBe("failed");
    store.keys = keys;
    await handle.send({ data: "b" });
    expect(backendOf(store).status.state).toBe("ready");
    expect(await drain(handle)).toEqual(["b"]);
  });
});

describe("damaged entries", () => {
  const COUNT = 40;

  /** Rows and records of two queues, some folded, some not. */
  async function written(): Promise<FaultyStore> {
    const store = new FaultyStore();
    for (let i = 0; i < COUNT; i++) {
      await jobs(store, "a").send({ data: `a${i}` });
      await jobs(store, "b").send({ data: `b${i}` });
    }
    return store;
  }

  test("each entry in turn, unreadable or of another shape: the rest is there, and the entry stays", async () => {
    const whole = await written();
    for (const key of whole.contents.keys()) {
      for (const damage of [undefined, "5", '{"no":"row"}', "[null]"]) {
        const store = reopened(whole);
        const contents = new Map(whole.contents);
        Object.assign(store, { contents });
        if (damage !== undefined) contents.set(key, damage);
        else store.get = (asked) => (asked === key ? undefined : FaultyStore.prototype.get.call(store, asked));
        const text = contents.get(key);
        const found = [...(await drain(jobs(store, "a"))), ...(await drain(jobs(store, "b")))];
        // A damaged registration costs its queue, a damaged message at worst its queue, never the other's.
        expect(found.length, `${key} ${damage}`).toBeGreaterThanOrEqual(key.includes("/t/") ? 2 * COUNT - 1 : COUNT);
        expect(contents.get(key) === text || found.length === 2 * COUNT, `${key} ${damage} stays`).toBe(true);
        await backendOf(store).close();
      }
    }
  }, 60_000);

  test("an instance that was lost is made anew, apart from what is left of it", async () => {
    const store = await written();
    store.contents.set("tabloom/1/r/0i2", "5");
    const b = jobs(reopened(store), "b");
    await b.send({ data: "new" });
    expect(await drain(b)).toEqual(["new"]);
    await b.send({ data: "kept" });
    expect(await drain(jobs(reopened(store), "b"))).toEqual(["kept"]);
    expect(await drain(jobs(reopened(store), "a"))).toHaveLength(COUNT);
  });
});

describe("a store with a lock", () => {
  /** Stores over one place: one at a time. */
  function place(): { open(): Store; holders(): number; refuse: boolean } {
    const contents = createMemoryStore();
    let held = 0;
    const shared = {
      refuse: false,
      holders: () => held,
      open: (): Store => ({
        ...contents,
        async lock() {
          await Promise.resolve();
          if (held > 0 || shared.refuse) throw Object.assign(new Error("in use"), { code: "STORAGE" });
          held++;
          return () => {
            held--;
          };
        },
      }),
    };
    return shared;
  }

  test("is asked once, before anything is read; calls wait for it in order, and answer at once afterwards", async () => {
    const store = place().open();
    const order: string[] = [];
    const { get, lock } = store;
    store.lock = () => {
      order.push("lock");
      return lock!();
    };
    store.get = (key) => {
      order.push("read");
      return get(key);
    };
    store.set("tabloom/1/r/0i9", null);
    const handle = jobs(store);
    await Promise.all(["a", "b", "c"].map((data) => handle.send({ data })));
    expect(order.indexOf("read")).toBe(order.lastIndexOf("lock") + 1);
    expect(order.filter((what) => what === "lock")).toHaveLength(1);
    expect(await drain(handle)).toEqual(["a", "b", "c"]);
    void handle.send({ data: "at once" });
    expect(store.keys("tabloom/1/t/").length).toBeGreaterThan(0);
  });

  test("a second engine is refused until the first is closed, and finds its state then", async () => {
    const shared = place();
    const [first, second] = [shared.open(), shared.open()];
    await jobs(first).send({ data: "a" });
    await expect(jobs(second).send({ data: "b" })).rejects.toMatchObject({ code: "STORAGE" });
    expect(backendOf(second).status.state).toBe("failed");
    await backendOf(first).close();
    expect(await drain(jobs(second))).toEqual(["a"]);
    expect(shared.holders()).toBe(1);
  });

  test("every call that waited is refused with the lock", async () => {
    const shared = place();
    shared.refuse = true;
    const handle = jobs(shared.open());
    const results = await Promise.allSettled([handle.send({ data: "a" }), handle.recv(), handle.stats()]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  });

  test("closed while it waits: the calls are refused, the lock is given back", async () => {
    const shared = place();
    const store = shared.open();
    const sending = jobs(store).send({ data: "a" });
    await backendOf(store).close();
    await expect(sending).rejects.toMatchObject({ code: "CLOSED" });
    await vi.advanceTimersByTimeAsync(0);
    expect(shared.holders()).toBe(0);
    expect(await drain(jobs(shared.open()))).toEqual([]);
  });

  test("is given back when the store cannot be read", async () => {
    const shared = place();
    const store = shared.open();
    store.keys = () => {
      throw new Error("no");
    };
    await expect(jobs(store).stats()).rejects.toMatchObject({ code: "STORAGE" });
    expect(shared.holders()).toBe(0);
  });
});
