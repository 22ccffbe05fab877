import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Store, createLocalStorageStore, createMemoryStore } from "../../src/memory.js";

const NOW = 1_700_000_000_000;

/** The browser's, as far as the store uses it. */
class FakeStorage {
  readonly entries = new Map<string, string>();
  quota = Infinity;

  get length(): number {
    return this.entries.size;
  }
  key(index: number): string | null {
    return [...this.entries.keys()][index] ?? null;
  }
  getItem(key: string): string | null {
    return this.entries.get(key) ?? null;
  }
  setItem(key: string, text: string): void {
    if (key.length + text.length > this.quota) throw new DOMException("full", "QuotaExceededError");
    this.entries.set(key, text);
  }
  removeItem(key: string): void {
    this.entries.delete(key);
  }
}

let storage: FakeStorage;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  storage = new FakeStorage();
  vi.stubGlobal("localStorage", storage);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const kinds: Record<string, () => Store> = {
  createMemoryStore,
  createLocalStorageStore: () => createLocalStorageStore(),
};

for (const [name, make] of Object.entries(kinds)) {
  describe(name, () => {
    test("gives back what was set, undefined for the rest", () => {
      const store = make();
      for (const value of [null, 0, "", false, [], { a: [{}] }, "text"]) {
        store.set("key", value);
        expect(store.get("key")).toEqual(value);
      }
      store.del("key");
      expect(store.get("key")).toBeUndefined();
      expect(store.get("__proto__")).toBeUndefined();
      store.del("never there");
    });

    test("undefined as the value removes", () => {
      const store = make();
      store.set("key", 1);
      store.set("key", undefined);
      expect(store.get("key")).toBeUndefined();
      expect(store.keys()).toEqual([]);
    });

    test("reference fault: values are copied in and out", () => {
      const store = make();
      const value = { list: [1] };
      store.set("key", value);
      value.list.push(2);
      (store.get("key") as typeof value).list.push(3);
      expect(store.get("key")).toEqual({ list: [1] });
    });

    test("a value that cannot be kept is refused, and what was there stays", () => {
      const store = make();
      store.set("key", 1);
      expect(() => store.set("key", () => 1)).toThrow(expect.objectContaining({ code: "VALIDATION" }));
      expect(store.get("key")).toBe(1);
    });

    test("a ttl ends at its time; null, 0 and negative mean none", () => {
      const store = make();
      store.set("short", 1, 1000);
      [null, 0, -5, undefined, Number.NaN].forEach((ttl, i) => store.set(`none ${i}`, i, ttl));
      vi.setSystemTime(NOW + 999);
      expect(store.get("short")).toBe(1);
      vi.setSystemTime(NOW + 1000);
      expect(store.get("short")).toBeUndefined();
      vi.setSystemTime(NOW + 1e12);
      expect(store.keys()).toHaveLength(5);
    });

    test("reference fault: a ttl beyond 2^31-1 ms lasts as long as it says", () => {
      const store = make();
      store.set("key", 1, 2 ** 31);
      vi.advanceTimersByTime(2 ** 31 - 1);
      expect(store.get("key")).toBe(1);
      vi.advanceTimersByTime(1);
      expect(store.get("key")).toBeUndefined();
    });

    test("reference fault: no timer keeps a process alive", () => {
      const store = make();
      store.set("key", 1, 1000);
      store.set("key", 2, 2000);
      store.get("key");
      expect(vi.getTimerCount()).toBe(0);
    });

    test("reference fault: a newer write outlives the ttl of the one before, also one without a ttl", () => {
      const store = make();
      store.set("longer", 1, 1000);
      store.set("for ever", 1, 1000);
      vi.advanceTimersByTime(500);
      store.set("longer", 2, 1000);
      store.set("for ever", 2);
      vi.advanceTimersByTime(600);
      expect([store.get("longer"), store.get("for ever")]).toEqual([2, 2]);
      vi.advanceTimersByTime(400);
      expect([store.get("longer"), store.get("for ever")]).toEqual([undefined, 2]);
    });

    test("reference fault: keys does not skip entries while it removes those that are over", () => {
      const store = make();
      for (let i = 0; i < 10; i++) store.set(`a${i}`, i, i % 3 === 0 ? undefined : 1000);
      vi.advanceTimersByTime(1000);
      expect(store.keys().sort()).toEqual(["a0", "a3", "a6", "a9"]);
    });

    test("keys are those that begin with the prefix, as they were given", () => {
      const store = make();
      for (const key of ["a", "ab", "b", "a:b", ""]) store.set(key, 1);
      expect(store.keys("a").sort()).toEqual(["a", "a:b", "ab"]);
      expect(store.keys("a:")).toEqual(["a:b"]);
      expect(store.keys().sort()).toEqual(["", "a", "a:b", "ab", "b"]);
    });
  });
}

describe("createMemoryStore", () => {
  test("what is over is removed some day, also when nobody asks for it", () => {
    const store = createMemoryStore();
    for (let i = 0; i < 10_000; i++) {
      store.set(`key ${i}`, i, 10);
      vi.advanceTimersByTime(1);
    }
    vi.setSystemTime(NOW);
    // The clock stepped back: what is still there would be seen.
    expect(store.keys().length).toBeLessThan(200);
  });
});

describe("createLocalStorageStore", () => {
  test("keeps JSON under prefix:key, with what ends its time", () => {
    createLocalStorageStore().set("a", { b: 1 });
    createLocalStorageStore({ prefix: "app" }).set("a", 1, 1000);
    expect([...storage.entries]).toEqual([
      ["sync:a", '{"value":{"b":1},"expiresAt":null}'],
      ["app:a", `{"value":1,"expiresAt":${NOW + 1000}}`],
    ]);
  });

  test("a page that comes later finds what is there, with its ttl", () => {
    createLocalStorageStore().set("a", 1, 1000);
    const later = createLocalStorageStore();
    expect(later.get("a")).toBe(1);
    vi.advanceTimersByTime(1000);
    expect(later.get("a")).toBeUndefined();
    expect(storage.length).toBe(0);
  });

  test("leaves the keys of others alone", () => {
    storage.setItem("mine", "text");
    storage.setItem("syncer:a", "text");
    const store = createLocalStorageStore();
    store.set("a", 1);
    expect(store.keys()).toEqual(["a"]);
  });

  test("entries that cannot be read are undefined, and stay to be seen", () => {
    const corrupt = ["", "{", "null", "5", '"text"', "[]", '{"value":1,"expiresAt":"soon"}'];
    corrupt.forEach((text, i) => storage.setItem(`sync:${i}`, text));
    const store = createLocalStorageStore();
    expect(corrupt.map((_, i) => store.get(`${i}`))).toEqual(corrupt.map(() => undefined));
    expect(store.keys()).toHaveLength(corrupt.length);
    expect(storage.length).toBe(corrupt.length);
  });

  test("a full disk: StoreWriteError with its cause, and what was there stays", () => {
    const store = createLocalStorageStore();
    store.set("a", "before");
    storage.quota = 50;
    expect(() => store.set("a", "x".repeat(50))).toThrow(
      expect.objectContaining({
        name: "StoreWriteError",
        code: "STORAGE",
        cause: expect.objectContaining({ name: "QuotaExceededError" }) as unknown,
      }),
    );
    expect(store.get("a")).toBe("before");
  });

  test("what is over makes room", () => {
    const store = createLocalStorageStore();
    store.set("old", 1, 1000);
    vi.advanceTimersByTime(1000);
    const { setItem } = storage;
    storage.setItem = function (key, text) {
      if (this.length > 0) throw new DOMException("full", "QuotaExceededError");
      setItem.call(this, key, text);
    };
    store.set("new", 2);
    expect(store.get("new")).toBe(2);
  });

  test("a server has none: it may be made there, and says so when it is used", async () => {
    vi.stubGlobal("localStorage", undefined);
    const store = createLocalStorageStore();
    for (const use of [() => store.get("a"), () => store.set("a", 1), () => store.del("a"), () => store.keys()]) {
      expect(use).toThrow(expect.objectContaining({ code: "UNAVAILABLE", message: "there is no localStorage here" }));
    }
    await expect(store.lock!()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("blocked site data: StoreWriteError", () => {
    vi.stubGlobal("localStorage", undefined);
    Object.defineProperty(globalThis, "localStorage", {
      configurable: true,
      get() {
        throw new DOMException("denied", "SecurityError");
      },
    });
    const store = createLocalStorageStore();
    expect(() => store.set("a", 1)).toThrow(expect.objectContaining({ name: "StoreWriteError" }));
    expect(() => store.get("a")).toThrow(expect.objectContaining({ code: "STORAGE" }));
  });

  test("without Web Locks no handle can use it", async () => {
    vi.stubGlobal("navigator", {});
    await expect(createLocalStorageStore().lock!()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
