/**
 * A mutex: locks on resources.
 *
 *             nobody is in the way, nobody waits before it
 *   acquire ─────────────────────────────────────────────▶ held ── release ─────────────▶ (gone)
 *      │                                                   ▲  │ ├── ttl over ────────────▶ (gone)
 *      └──▶ waiting (parked in the lane of its resource) ──┘  │ └── its tab died or left ▶ (gone)
 *                                                             └─ extend ─▶ held, for another ttl
 *   assert: a lock of an earlier hub, told by its holder ──▶ held, with the token that it had
 *
 * Who holds what together, tokens, and what a hub's death leaves: docs/decisions/0005-mutex.md.
 */
import type { AssertedLock, Body, LockGrant, LockHolder } from "../protocol/commands.js";
import { CapacityError } from "../protocol/errors.js";
import {
  type Lock,
  type MutexState,
  createState,
  decodeLock,
  excludes,
  holdersOf,
  locks,
  marks,
} from "./mutex-state.js";
import type { Context, Primitive, StoredRows } from "./primitive.js";

/**
 * Tokens of one block: the microseconds of 10 ms. No hub starts as fast, so the clock is ahead of what its predecessor
 * may have given, and takes over when the mark is lost.
 */
const BLOCK = 10_000;
/** A clock that is wrong by decades must not use up the tokens. */
const LATEST_CLOCK = 2 ** 52;

export const mutex: Primitive<MutexState, "mutex"> = {
  kind: "mutex",
  lasting: true,
  create: createState,
  configure() {},
  restore,
  opened(state) {
    const { opened } = state;
    if (opened.length > 0) state.opened = [];
    return opened;
  },
  dueAt: (state) => state.expiries.dueAt(),
  wake(state, ctx) {
    for (let lock; (lock = state.expiries.take(ctx.now));) ctx.put(locks, lock.value, undefined);
  },
  release(state, { owner }, ctx) {
    for (const lock of [...state.held.values()]) if (lock.by === owner) ctx.put(locks, lock.value, undefined);
  },
  *owners(state) {
    for (const { by } of state.held.values()) yield by;
  },
  peek: (state, limit) =>
    Array.from(state.held.values())
      .slice(0, limit)
      .map((lock) => ({ ...lock })),
  rules: {
    "mutex.acquire": {
      run: acquire,
      waits: { lane: ({ resource }) => resource, none: () => null },
    },
    "mutex.release": {
      run(state, { resource, value }, ctx) {
        const lock = find(state, resource, value);
        if (lock) ctx.put(locks, lock.value, undefined);
        return null;
      },
    },
    "mutex.extend": {
      run(state, { resource, value, ttlMs }, ctx) {
        const lock = find(state, resource, value);
        if (lock === undefined || lock.expiresAt <= ctx.now) return null;
        const expiresAt = ctx.now + ttlMs;
        ctx.put(locks, lock.value, { ...lock, ttlMs, expiresAt });
        return expiresAt;
      },
    },
    "mutex.assert": { run: (state, body, ctx) => body.locks.map((told) => assertOne(state, told, ctx)) },
    "mutex.query": {
      run: (state, { resource }, ctx) => ({
        holders: holdersOf(state, resource)
          .map(holder)
          .sort((a, b) => a.token - b.token),
        waiting: ctx.waiting(resource),
      }),
    },
    "mutex.stats": {
      run: (state, _, ctx) => ({ held: state.held.size, resources: state.holders.size, waiters: ctx.waiters }),
    },
  },
};

function acquire(state: MutexState, body: Body<"mutex.acquire">, ctx: Context): LockGrant | undefined {
  const { resource, value, ttlMs, mode } = body;
  // Asked again after its answer was lost.
  const own = find(state, resource, value);
  if (own) return { token: own.token, expiresAt: own.expiresAt };
  const inTheWay = holdersOf(state, resource).filter((lock) => excludes(lock.mode, mode));
  for (const lock of inTheWay) curb(lock, ctx);
  if (inTheWay.length > 0) return undefined;
  if (ctx.waiters > 0 && ctx.waiting(resource) > 0) return undefined;
  const token = nextToken(state, ctx);
  const expiresAt = ctx.now + ttlMs;
  ctx.put(locks, value, { resource, value, token, mode, expiresAt, ttlMs, by: ctx.owner });
  return { token, expiresAt };
}

function find(state: MutexState, resource: string, value: string): Lock | undefined {
  const lock = state.held.get(value);
  return lock?.resource === resource ? lock : undefined;
}

/** A clock that stepped back would make a lock last longer than its ttl. */
function curb(lock: Lock, ctx: Context): void {
  const latest = ctx.now + lock.ttlMs;
  if (lock.expiresAt > latest) ctx.put(locks, lock.value, { ...lock, expiresAt: latest });
}

/** A token above all that were given or told, from a block that is marked as given before any of it is. */
function nextToken(state: MutexState, ctx: Context): number {
  let token = state.last + 1;
  if (token > state.mark) {
    token = Math.max(token, state.mark + 1, Math.min(ctx.now * 1000, LATEST_CLOCK));
    const mark = token + BLOCK - 1;
    if (!Number.isSafeInteger(mark)) throw new CapacityError({ bound: "token", limit: Number.MAX_SAFE_INTEGER });
    ctx.put(marks, "mark", mark);
  }
  state.last = token;
  state.ownFrom = Math.min(state.ownFrom, token);
  return token;
}

/** What a holder says of its lock, to a hub that may or may not know it. The end of its ttl, or null: it is lost. */
function assertOne(state: MutexState, told: AssertedLock, ctx: Context): number | null {
  const { resource, value, token, mode, ttlMs } = told;
  const own = find(state, resource, value);
  if (own) {
    if (own.by !== ctx.owner) ctx.put(locks, value, { ...own, by: ctx.owner });
    return own.expiresAt;
  }
  // This hub gave it and took it back, or gave it to another meanwhile.
  if (!Number.isSafeInteger(token + BLOCK) || token >= state.ownFrom || state.ended.overtook(told)) return null;
  const inTheWay = holdersOf(state, resource).filter((lock) => excludes(lock.mode, mode));
  if (inTheWay.some((lock) => lock.token >= token)) return null;
  // The storage was lost. Others may have had higher ones: the next grant begins a block, at the clock.
  if (token > state.mark) ctx.put(marks, "mark", token);
  state.last = Math.max(state.last, token);
  for (const lock of inTheWay) ctx.put(locks, lock.value, undefined);
  const expiresAt = ctx.now + ttlMs;
  ctx.put(locks, value, { resource, value, token, mode, expiresAt, ttlMs, by: ctx.owner });
  return expiresAt;
}

function holder({ value, token, mode, expiresAt, by }: Lock): LockHolder {
  return { value, token, mode, expiration: expiresAt, by };
}

function restore(state: MutexState, rows: StoredRows): void {
  for (const { value } of rows.get(marks.letter) ?? [])
    if (Number.isSafeInteger(value)) marks.set(state, "mark", value as number);
  state.last = state.mark;
  for (const { key, value } of rows.get(locks.letter) ?? []) {
    const lock = decodeLock(key, value);
    locks.set(state, key, lock);
  }
}
