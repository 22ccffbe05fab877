import type { LockGrant, LockMode } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Backend, Maybe, Port, Reassertion } from "./backend.js";
import { andThen, promised } from "./maybe.js";
import type { Lock } from "./mutex-types.js";
import { setLongTimeout } from "./signals.js";

const SWEEP_AT_LEAST = 64;

/** The locks that a handle was granted, until they are released or lost: told to every new hub. */
export class HeldLocks {
  readonly #held = new Map<string, HeldLock>();
  #detach: (() => void) | undefined;
  #sweepAt = SWEEP_AT_LEAST;

  /** The lock that this is a copy of. */
  find({ resource, value }: Pick<Lock, "resource" | "value">): HeldLock | undefined {
    const lock = this.#held.get(value);
    return lock?.resource === resource ? lock : undefined;
  }

  add(lock: HeldLock, port: Port, backend: Backend): void {
    if (this.#held.size >= this.#sweepAt) this.#sweep();
    this.#held.set(lock.value, lock);
    this.#detach ??= this.#attach(port, backend);
  }

  forget(lock: HeldLock): void {
    if (!this.#held.delete(lock.value) || this.#held.size > 0) return;
    this.#detach?.();
    this.#detach = undefined;
  }

  stopRenewing(): void {
    for (const lock of this.#held.values()) lock.stopRenewing();
  }

  #attach(port: Port, backend: Backend): () => void {
    const unassert = port.reassert(() => this.#tell());
    const unlisten = backend.onStatus(({ state }) => {
      if (state === "closed" || state === "failed") this.#loseAll(`the backend is ${state}`);
    });
    return () => {
      unassert();
      unlisten();
    };
  }

  #tell(): Reassertion | undefined {
    this.#sweep();
    const locks = [...this.#held.values()];
    if (locks.length === 0) return undefined;
    const told: Reassertion<"mutex.assert"> = {
      op: "mutex.assert",
      body: {
        locks: locks.map(({ resource, value, token, mode, left }) => ({ resource, value, token, mode, ttlMs: left })),
      },
      answered: (ends) => locks.forEach((lock, i) => lock.asserted(ends[i] ?? null)),
      refused: (error) => locks.forEach((lock) => lock.lose("the new hub does not take it over", error)),
    };
    return told as unknown as Reassertion;
  }

  /** Drops those that nobody released and whose ttl is over. */
  #sweep(): void {
    for (const lock of [...this.#held.values()]) if (lock.left <= 0) lock.lose("its ttl is over");
    this.#sweepAt = Math.max(SWEEP_AT_LEAST, this.#held.size * 2);
  }

  #loseAll(why: string): void {
    for (const lock of [...this.#held.values()]) lock.lose(why);
  }
}

interface HeldLockOptions {
  resource: string;
  value: string;
  mode: LockMode;
  ttl: number;
  grant: LockGrant;
  /** When it was asked for, of this tab's monotonic clock. */
  askedAt: number;
  locks: HeldLocks;
  port: Port;
}

/**
 *   held ──┬── release ──▶ ended
 *          └── ttl over, refused, backend gone ──▶ ended, lost: its signal aborts
 */
export class HeldLock implements Lock {
  readonly resource: string;
  readonly value: string;
  readonly token: number;
  readonly mode: LockMode;
  ttl: number;
  expiration: number;
  readonly #locks: HeldLocks;
  readonly #port: Port;
  /** Until when it is surely held, of this tab's monotonic clock. */
  #heldUntil: number;
  #ended = false;
  #lost: TabloomError | undefined;
  /** Made when somebody asks for the signal: only then a timer is needed. */
  #controller: AbortController | undefined;
  #stopWatching: (() => void) | undefined;
  #renewing = false;
  #stopTimer: (() => void) | undefined;

  constructor({ resource, value, mode, ttl, grant, askedAt, locks, port }: HeldLockOptions) {
    this.resource = resource;
    this.value = value;
    this.token = grant.token;
    this.mode = mode;
    this.ttl = ttl;
    this.expiration = grant.expiresAt;
    this.#locks = locks;
    this.#port = port;
    // The hub's clock says how long ago it was granted: at most since it was asked for.
    const grantedAgo = Math.max(0, Date.now() - (grant.expiresAt - ttl));
    this.#heldUntil = Math.max(askedAt, performance.now() - grantedAgo) + ttl;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#lost) this.#controller.abort(this.#lost);
      else this.#watch();
    }
    return this.#controller.signal;
  }

  /** What is left of the ttl, in whole milliseconds. */
  get left(): number {
    return Math.floor(this.#heldUntil - performance.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What is not released ends with its ttl; an error would hide what the block threw.
    await promised(() => this.release()).catch(() => {});
  }

  release(): Maybe<null> {
    this.#end();
    return this.#port.call("mutex.release", { resource: this.resource, value: this.value });
  }

  extend(ttl: number): Maybe<boolean> {
    if (this.#lost) return false;
    const askedAt = performance.now();
    // A shorter ttl may count from now on, also when no answer comes.
    this.#heldUntil = Math.min(this.#heldUntil, askedAt + ttl);
    const { resource, value } = this;
    return andThen(this.#port.call("mutex.extend", { resource, value, ttlMs: ttl }), (expiresAt) => {
      if (expiresAt === null) this.lose("it was not held any more");
      // Its holder was told meanwhile that it is lost: it stays so.
      else if (this.#lost) void this[Symbol.asyncDispose]();
      if (expiresAt === null || this.#lost) return false;
      this.ttl = ttl;
      this.expiration = expiresAt;
      this.#heldUntil = askedAt + ttl;
      if (this.#controller) this.#watch();
      return true;
    });
  }

  keepExtended(): void {
    this.#renewing = true;
    this.#renewLater();
  }

  stopRenewing(): void {
    this.#renewing = false;
    this.#stopTimer?.();
  }

  /** A new hub's answer: when its ttl ends, or null. */
  asserted(expiresAt: number | null): void {
    if (expiresAt === null) this.lose("it was given to another while no hub was there");
    else if (!this.#ended) this.expiration = expiresAt;
  }

  lose(why: string, cause?: unknown): void {
    if (this.#ended) return;
    this.#lost = new TabloomError("LOCKED", `the lock on ${this.resource} is lost: ${why}`, { cause });
    this.#end();
    this.#controller?.abort(this.#lost);
  }

  #renewLater(): void {
    if (!this.#renewing) return;
    const again = (): void => this.#renewLater();
    const renew = (): void => {
      promised(() => this.extend(this.ttl)).then(again, (error: unknown) => {
        if (this.left > 0 && error instanceof TabloomError && error.retryable) again();
        else this.lose("extending it failed", error);
      });
    };
    this.#stopTimer = setLongTimeout(renew, Math.max(1, Math.floor(this.ttl / 3)), { keepAlive: false });
  }

  #end(): void {
    this.#ended = true;
    this.#stopWatching?.();
    this.stopRenewing();
    this.#locks.forget(this);
  }

  #watch(): void {
    this.#stopWatching?.();
    if (this.#ended) return;
    if (this.left <= 0) this.lose("its ttl is over");
    else this.#stopWatching = setLongTimeout(() => this.#watch(), this.left, { keepAlive: false });
  }
}
