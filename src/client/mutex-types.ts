import type { LockHolder, LockMode, MutexStats } from "../protocol/commands.js";
import type { HandleOptions } from "./handle.js";

export interface MutexOptions extends HandleOptions {
  /** With `retryDelay` bounds the wait of calls without `waitMs`: `retryCount × retryDelay` ms. 0: try once. Default 10. */
  retryCount?: number;
  /** Milliseconds. Nothing polls: waiters are woken in order. Default 200. */
  retryDelay?: number;
  /** How long a lock is held unless released or extended, in milliseconds. Default 10,000. */
  defaultTtl?: number;
}

export interface AcquireOptions {
  /** How long the lock is held unless released or extended, in milliseconds. Default: the handle's `defaultTtl`. */
  ttl?: number;
  /** How long to wait for it, in milliseconds; 0: do not. Default `retryCount × retryDelay`. */
  waitMs?: number;
  /** Gives up waiting: the call rejects with `AbortError`. A lock that was granted by then is given back. */
  signal?: AbortSignal;
  /**
   * Extends the lock by its ttl every third of it, until it is released, lost, or the handle is closed. Default false.
   * Browsers slow the timers of hidden tabs down to one a minute: give such a lock a ttl of some minutes.
   */
  autoExtend?: boolean;
  /**
   * "exclusive": held by nobody else. "shared": together with other shared ones. Served in order of arrival: a shared
   * waiter does not overtake an exclusive one. Default "exclusive".
   */
  mode?: LockMode;
}

/** A lock that this tab was granted. `await using` releases it. */
export interface Lock {
  readonly resource: string;
  /** The lock's own name: 26 characters. */
  readonly value: string;
  /** Of the last grant or extension, in milliseconds. */
  readonly ttl: number;
  /** When the ttl ends: epoch milliseconds of the hub's clock, on Redis of this process's. */
  readonly expiration: number;
  /**
   * Grows with every lock of this mutex, for ever. Send it along with what the lock protects, and let the receiver refuse
   * a lower one than it has seen: then a tab that was frozen beyond its ttl can do no harm.
   */
  readonly token: number;
  readonly mode: LockMode;
  /**
   * Aborts as soon as the lock is known to be lost: its ttl ran out, extending it was refused, a new hub had given it
   * away, the backend was closed. Not by `release`.
   */
  readonly signal: AbortSignal;
  /** Releases it; never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Who holds a resource, and how many wait for it. */
export interface LockQuery {
  /** The one that holds it longest; null when it is free. */
  readonly holder: LockHolder | null;
  /** Several when it is shared. */
  readonly holders: readonly LockHolder[];
  /** Calls of `acquire` that wait for it. */
  readonly waiting: number;
}

/** See {@link mutex}. */
export interface Mutex {
  /**
   * Takes the lock on a resource (any text up to 65,536 characters). null: not to be had in time.
   *
   * @param options A number is the ttl.
   * @throws `RangeError`, `AbortError`: nothing was locked.
   */
  acquire(resource: string, options?: number | AcquireOptions): Promise<Lock | null>;
  /** Gives the lock back; who waits is served at once. Does nothing when it is not held any more. */
  release(lock: Pick<Lock, "resource" | "value">): Promise<void>;
  /**
   * Lets the lock's ttl begin anew, with another length if given. On success `ttl` and `expiration` are updated; false:
   * it is no longer held. What is over is never revived.
   */
  extend(lock: Lock, ttl?: number): Promise<boolean>;
  /** Runs with the lock held, and releases it. null: not to be had in time. */
  withLock<T>(
    resource: string,
    fn: (lock: Lock) => T | Promise<T>,
    options?: number | AcquireOptions,
  ): Promise<T | null>;
  /** As `withLock`; rejects with `LockError` when the lock is not to be had in time. */
  withLockOrThrow<T>(
    resource: string,
    fn: (lock: Lock) => T | Promise<T>,
    options?: number | AcquireOptions,
  ): Promise<T>;
  query(resource: string): Promise<LockQuery>;
  stats(): Promise<MutexStats>;
  /**
   * Ends this handle: waiting calls resolve with null, locks are no longer extended by themselves. They stay until
   * they are released or their ttl ends.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
