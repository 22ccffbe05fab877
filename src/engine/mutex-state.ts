import type { LockMode } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import { DueHeap } from "./due-heap.js";
import type { Table } from "./primitive.js";

/** A lock that is held. Never changes; extending it puts another in its place. */
export interface Lock {
  readonly resource: string;
  /** The lock's own name, made by its holder. */
  readonly value: string;
  readonly token: number;
  readonly mode: LockMode;
  readonly expiresAt: number;
  readonly ttlMs: number;
  /** The tab that holds it. */
  readonly by: string;
}

export interface MutexState {
  held: Map<string, Lock>;
  /** By resource: one that is exclusive, or several that are shared. */
  holders: Map<string, Set<Lock>>;
  expiries: DueHeap<Lock>;
  /** Resources that became freer since this was last asked. */
  opened: string[];
  /** Tokens up to here may have been given by this hub or an earlier one: what is on disk. */
  mark: number;
  /** The highest token that was given, or told. Only ever grows, also when the turn that gave it is undone. */
  last: number;
  /** The lowest token that this hub gave; Infinity: none yet. */
  ownFrom: number;
  ended: Ended;
}

export function createState(): MutexState {
  const held = new Map<string, Lock>();
  return {
    held,
    holders: new Map(),
    expiries: new DueHeap((lock) => held.get(lock.value) === lock),
    opened: [],
    mark: 0,
    last: 0,
    ownFrom: Infinity,
    ended: new Ended(),
  };
}

export function holdersOf(state: MutexState, resource: string): Lock[] {
  const holders = state.holders.get(resource);
  return holders ? [...holders] : [];
}

const ENDED_AT_MOST = 1000;

/**
 * What this hub granted and took back: a lock of an earlier hub that is told only afterwards was overtaken by it. When
 * that is too much to remember, every lock that comes so late counts as overtaken.
 */
class Ended {
  readonly #modes = new Map<string, LockMode>();
  #forgotten = false;

  note({ resource, mode }: Lock): void {
    if (this.#modes.get(resource) === "exclusive") return;
    if (this.#modes.size >= ENDED_AT_MOST) {
      this.#forgotten = true;
      this.#modes.clear();
    }
    this.#modes.set(resource, mode);
  }

  overtook({ resource, mode }: { resource: string; mode: LockMode }): boolean {
    const ended = this.#modes.get(resource);
    return this.#forgotten || (ended !== undefined && excludes(ended, mode));
  }
}

/** Whether two locks of these modes cannot be held together. */
export function excludes(a: LockMode, b: LockMode): boolean {
  return a === "exclusive" || b === "exclusive";
}

/** Locks by their value. */
export const locks: Table<MutexState, string, Lock> = {
  letter: "l",
  key: (value) => value,
  get: (state, value) => state.held.get(value),
  set(state, value, lock) {
    const previous = state.held.get(value);
    const stays = previous !== undefined && previous.resource === lock?.resource;
    if (previous !== undefined) {
      const holders = state.holders.get(previous.resource)!;
      holders.delete(previous);
      // Not taken out only to be put in again: a big map pays dearly for that.
      if (!stays) {
        if (holders.size === 0) state.holders.delete(previous.resource);
        state.opened.push(previous.resource);
        if (previous.token >= state.ownFrom) state.ended.note(previous);
      }
    }
    if (lock === undefined) {
      state.held.delete(value);
      return;
    }
    state.held.set(value, lock);
    const holders = state.holders.get(lock.resource);
    if (holders) holders.add(lock);
    else state.holders.set(lock.resource, new Set([lock]));
    state.expiries.add(lock.expiresAt, lock);
  },
  encode: ({ resource, token, mode, expiresAt, ttlMs, by }) => [
    resource,
    token,
    mode === "shared" ? 1 : 0,
    expiresAt,
    ttlMs,
    by,
  ],
};

export function decodeLock(value: string, row: Json): Lock {
  const [resource, token, shared, expiresAt, ttlMs, by] = row as [string, number, number, number, number, string];
  return { resource, value, token, mode: shared === 1 ? "shared" : "exclusive", expiresAt, ttlMs, by };
}

/** Written also when the locks are not: a token must not come again. */
export const marks: Table<MutexState, "mark", number> = {
  letter: "t",
  lasting: true,
  key: (only) => only,
  get: (state) => state.mark || undefined,
  set(state, _, value) {
    state.mark = value ?? 0;
  },
  encode: (value) => value,
};
