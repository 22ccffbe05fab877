import type { LockGrant } from "../protocol/commands.js";
import { AbortError, LockError } from "../protocol/errors.js";
import { newId } from "../protocol/ids.js";
import type { Maybe } from "./backend.js";
import type { Flavour } from "./flavour.js";
import { Handle } from "./handle.js";
import { HeldLock, HeldLocks } from "./held-locks.js";
import { andThen, isPromise, promised } from "./maybe.js";
import type { AcquireOptions, Lock, Mutex, MutexOptions } from "./mutex-types.js";
import { boundedText, delay, duration, integer, oneOf } from "./ranges.js";
import { withAnySignal } from "./signals.js";

/** The `mutex` factory over a flavour's backend. */
export function createMutexFactory(flavour: Flavour) {
  /**
   * Locks on named resources, shared by every tab: first come, first served, with a ttl, and free at once when their
   * tab dies.
   *
   * @throws `ValidationError` for a bad id; `RangeError` for options out of range.
   * @example
   * const documents = mutex({ id: "documents" });
   * await documents.withLock("report.txt", async (lock) => {
   *   await save("report.txt", { token: lock.token, signal: lock.signal });
   * });
   */
  return function mutex(options: MutexOptions): Mutex {
    const handle = new Handle("mutex", flavour, options, {}, "memory");
    const defaultTtl = duration("defaultTtl", options.defaultTtl ?? 10_000);
    const retryCount = integer("retryCount", options.retryCount ?? 10, { min: 0 });
    const retryDelay = integer("retryDelay", options.retryDelay ?? 200, { min: 0 });
    const defaultWait = delay("retryCount × retryDelay", retryCount * retryDelay);
    const locks = new HeldLocks();

    const acquire = (resource: string, given: number | AcquireOptions = {}): Promise<Lock | null> =>
      promised(() => {
        boundedText("resource", resource);
        const asked = typeof given === "object" ? given : { ttl: given };
        const ttl = duration("ttl", asked.ttl ?? defaultTtl);
        const waitMs = delay("waitMs", asked.waitMs ?? defaultWait);
        return take(handle, locks, resource, { ...asked, ttl, waitMs });
      });
    const locked = async <T, None>(
      lock: Lock | null,
      fn: (lock: Lock) => T | Promise<T>,
      none: () => None,
    ): Promise<T | None> => {
      if (lock === null) return none();
      try {
        return await fn(lock);
      } finally {
        await lock[Symbol.asyncDispose]();
      }
    };
    const close = async (): Promise<void> => {
      handle.close();
      locks.stopRenewing();
    };

    return {
      acquire,
      release: (lock) =>
        promised(() => {
          const { resource, value } = lock;
          const held = lock instanceof HeldLock ? lock : locks.find(lock);
          const released = held ? held.release() : handle.port().call("mutex.release", { resource, value });
          return andThen<null, void>(released, () => {});
        }),
      extend: (lock, given) =>
        promised(() => {
          const ttl = duration("ttl", given === undefined ? lock.ttl : given);
          handle.assertOpen();
          return extend(handle, lock, lock instanceof HeldLock ? lock : locks.find(lock), ttl);
        }),
      withLock: async (resource, fn, given) => locked(await acquire(resource, given), fn, () => null),
      withLockOrThrow: async (resource, fn, given) =>
        locked(await acquire(resource, given), fn, () => {
          throw new LockError({ resource });
        }),
      query: (resource) =>
        handle.ask(undefined, (port) =>
          andThen(port.call("mutex.query", { resource: boundedText("resource", resource) }), (found) => ({
            holder: found.holders[0] ?? null,
            ...found,
          })),
        ),
      stats: () => handle.ask(undefined, (port) => port.call("mutex.stats", {})),
      close,
      [Symbol.asyncDispose]: close,
    };
  };
}

function take(
  handle: Handle<"mutex">,
  locks: HeldLocks,
  resource: string,
  { ttl, waitMs, signal, autoExtend, mode = "exclusive" }: AcquireOptions & { ttl: number; waitMs: number },
): Maybe<Lock | null> {
  oneOf("mode", mode, ["exclusive", "shared"]);
  const port = handle.port();
  const value = newId();
  const askedAt = performance.now();
  // Granted after this call was given up.
  const onLate = (late: LockGrant | null): void => {
    if (late) promised(() => port.call("mutex.release", { resource, value })).catch(() => {});
  };
  const hold = (grant: LockGrant | null): Lock | null => {
    if (grant === null) return null;
    const lock = new HeldLock({ resource, value, mode, ttl, grant, askedAt, locks, port });
    locks.add(lock, port, handle.bind());
    if (autoExtend && !handle.closed) lock.keepExtended();
    return lock;
  };
  const granted = withAnySignal([handle.closing.signal, signal], (either) =>
    port.call("mutex.acquire", { resource, value, ttlMs: ttl, mode, waitMs }, { signal: either, onLate }),
  );
  if (!isPromise(granted)) return hold(granted);
  return granted.then(hold, (error: unknown) => {
    // Handle or backend are closed: nobody was served.
    if (error instanceof AbortError && !signal?.aborted) return null;
    throw error;
  });
}

function extend(handle: Handle<"mutex">, lock: Lock, held: HeldLock | undefined, ttl: number): Maybe<boolean> {
  const { resource, value } = lock;
  if (held === undefined) {
    return andThen(handle.port().call("mutex.extend", { resource, value, ttlMs: ttl }), (expiration) => {
      if (expiration !== null) Object.assign(lock, { ttl, expiration });
      return expiration !== null;
    });
  }
  return andThen(held.extend(ttl), (ours) => {
    // Also a copy that the caller may have made.
    if (ours && held !== lock) Object.assign(lock, { ttl, expiration: held.expiration });
    return ours;
  });
}
