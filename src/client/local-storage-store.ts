import { StoreWriteError, TabloomError } from "../protocol/errors.js";
import { names } from "../protocol/names.js";
import { type Store, expiryOf } from "./store.js";
import { toText } from "./values.js";

/** After a reload the lock of the page before may still be on its way out. */
const LOCK_WITHIN_MS = 1000;
/** Other processes see what is written here some milliseconds later; under load, tens. */
const QUIET_MS = 100;

export interface LocalStorageStoreOptions {
  /** In front of every key, with a colon. Default "sync". */
  prefix?: string;
}

/**
 * A `Store` in `localStorage`, under the keys `prefix:key`: some 5 MB per origin. Values are kept as JSON. No timers:
 * what is over is removed when somebody looks. Making it touches nothing, so that it may be made on a server, too.
 *
 * Handles use it in one tab at a time: elsewhere their calls reject with `STORAGE`.
 *
 * @throws its methods: `StoreWriteError` when the browser refuses (quota, blocked site data), which leaves what was
 * there; `UNAVAILABLE` where there is no localStorage; `ValidationError` for a value that JSON cannot hold.
 * @example
 * const drafts = queue({ id: "drafts", schema, store: createLocalStorageStore({ prefix: "my-app" }) });
 */
export function createLocalStorageStore({ prefix = "sync" }: LocalStorageStoreOptions = {}): Store {
  const nameOf = (key: string): string => `${prefix}:${key}`;

  const keys = (start = ""): string[] => {
    const storage = area();
    // All names first: a removal moves those behind it.
    const all = Array.from({ length: storage.length }, (_, i) => storage.key(i)!);
    return all
      .filter((name) => name.startsWith(nameOf(start)) && !purge(storage, name))
      .map((name) => name.slice(nameOf("").length));
  };

  return {
    get(key) {
      const storage = area();
      return purge(storage, nameOf(key)) ? undefined : read(storage, nameOf(key))?.value;
    },
    set(key, value, ttlMs) {
      const storage = area();
      if (value === undefined) return storage.removeItem(nameOf(key));
      const text = `{"value":${toText(value, "value")},"expiresAt":${JSON.stringify(expiryOf(ttlMs))}}`;
      try {
        storage.setItem(nameOf(key), text);
      } catch {
        // What is over makes room.
        keys();
        try {
          storage.setItem(nameOf(key), text);
        } catch (cause) {
          throw new StoreWriteError(`localStorage does not take "${nameOf(key)}": ${String(cause)}`, { cause });
        }
      }
    },
    del: (key) => area().removeItem(nameOf(key)),
    keys,
    lock: async () => lock(prefix),
  };
}

interface Entry {
  value?: unknown;
  /** JSON has no Infinity: null. */
  expiresAt?: number | null;
}

function area(): Storage {
  let storage: Storage | undefined;
  try {
    storage = globalThis.localStorage;
  } catch (cause) {
    throw new StoreWriteError(`localStorage is blocked here: ${String(cause)}`, { cause });
  }
  if (storage) return storage;
  throw new TabloomError("UNAVAILABLE", "there is no localStorage here");
}

/** undefined when it is not there or cannot be read. */
function read(storage: Storage, name: string): Entry | undefined {
  try {
    const entry = JSON.parse(storage.getItem(name)!) as Entry | null;
    return typeof (entry?.expiresAt ?? 0) === "number" ? entry! : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it was over; what cannot be read stays. */
function purge(storage: Storage, name: string): boolean {
  const over = (read(storage, name)?.expiresAt ?? Infinity) <= Date.now();
  if (over) storage.removeItem(name);
  return over;
}

/** Another tab, or another Store object in this one, may use the same prefix: one at a time. */
function lock(prefix: string): Promise<() => Promise<unknown>> {
  area();
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (!locks) throw new TabloomError("UNAVAILABLE", "localStorage needs Web Locks, which an insecure origin lacks");
  return new Promise((resolve, reject) => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), LOCK_WITHIN_MS);
    const held = locks.request(names.storeLock(prefix), { signal: giveUp.signal }, async () => {
      clearTimeout(timer);
      await quiet(prefix);
      await new Promise<void>((free) => {
        resolve(() => {
          free();
          return held;
        });
      });
      await quiet(prefix);
    });
    held.catch((cause: unknown) => {
      clearTimeout(timer);
      reject(
        giveUp.signal.aborted
          ? new TabloomError("STORAGE", `localStorage under "${prefix}" is in use, by another tab or store`)
          : new TabloomError("UNAVAILABLE", `no Web Locks here: ${String(cause)}`, { cause }),
      );
    });
  });
}

/** The lock comes sooner than what its last holder wrote: resolves when nothing has come for a while. */
function quiet(prefix: string): Promise<void> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout>;
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        globalThis.removeEventListener?.("storage", heard);
        resolve();
      }, QUIET_MS);
    };
    const heard = ({ key }: StorageEvent): void => {
      if (key?.startsWith(`${prefix}:${names.storeRoot}`)) wait();
    };
    globalThis.addEventListener?.("storage", heard);
    wait();
  });
}
