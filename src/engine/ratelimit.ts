/**
 * A rate limit: a counter per identifier.
 *
 * - Sliding window: calls of the current window and of the one before, both aligned to the epoch; what the window
 *   before had fades as the current one passes. Limited calls count, too.
 * - Token bucket (GCRA): what was taken drains evenly, `limit` in a window. Limited calls take nothing.
 *
 * Sums are kept as calls × milliseconds of the window: whole numbers as long as the limit is one, so that nothing is
 * rounded. A counter is forgotten when the window after its last change is over: by then nothing of it is left.
 *
 * A clock that steps back forgives nothing and shuts nobody out for long: a window ahead of the clock counts as the next
 * one, just begun; a bucket drains from the new time on. A counter that cannot be read counts as full.
 */
import type { RateLimitResult, RatelimitConfig } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import type { Context, Primitive, StoredRows, Table } from "./primitive.js";

interface Counter {
  /** The window of its last change. */
  readonly window: number;
  /** Sliding window: calls of the current window. Token bucket: what had not drained at `at`, in calls × ms. */
  readonly level: number;
  /** Calls of the window before. */
  readonly previous: number;
  /** Token bucket: when `level` was right. */
  readonly at: number;
}

interface RatelimitState {
  config: RatelimitConfig;
  counters: Map<string, Counter>;
  /** Identifiers by the window of their last change. */
  windows: Map<number, Set<string>>;
}

/** What a check comes to, and the counter after it, if it changed. */
interface Checked {
  result: RateLimitResult;
  next?: Counter;
}

const counters: Table<RatelimitState, string, Counter> = {
  letter: "c",
  key: (identifier) => identifier,
  get: (state, identifier) => state.counters.get(identifier),
  set(state, identifier, counter) {
    const before = state.counters.get(identifier);
    if (counter === undefined) state.counters.delete(identifier);
    else state.counters.set(identifier, counter);
    if (before?.window === counter?.window) return;
    if (before !== undefined) {
      const others = state.windows.get(before.window)!;
      others.delete(identifier);
      if (others.size === 0) state.windows.delete(before.window);
    }
    if (counter === undefined) return;
    const others = state.windows.get(counter.window);
    if (others) others.add(identifier);
    else state.windows.set(counter.window, new Set([identifier]));
  },
  encode: ({ window, level, previous, at }) => [window, level, previous, at],
};

export const ratelimit: Primitive<RatelimitState, "ratelimit"> = {
  kind: "ratelimit",
  create: (config) => ({ config, counters: new Map(), windows: new Map() }),
  configure(state, config) {
    state.config = config;
  },
  restore,
  dueAt(state) {
    let oldest = Infinity;
    for (const window of state.windows.keys()) oldest = Math.min(oldest, window);
    return forgottenAt(state, oldest);
  },
  wake(state, ctx) {
    for (const [window, identifiers] of state.windows) {
      if (forgottenAt(state, window) > ctx.now) continue;
      for (const identifier of identifiers) ctx.put(counters, identifier, undefined);
    }
  },
  release() {},
  owners: () => [],
  peek: (state, limit, ctx) =>
    Array.from(state.counters.keys())
      .slice(0, limit)
      .map((identifier) => ({ identifier, ...look(state, identifier, 0, ctx).result })),
  rules: {
    "ratelimit.check": {
      run(state, { identifier, cost }, ctx) {
        const { result, next } = look(state, identifier, cost, ctx);
        if (next !== undefined) ctx.put(counters, identifier, next);
        return result;
      },
    },
    "ratelimit.reset": {
      run(_, { identifier }, ctx) {
        ctx.put(counters, identifier, undefined);
        return null;
      },
    },
    "ratelimit.stats": { run: (state) => ({ identifiers: state.counters.size }) },
  },
};

function forgottenAt({ config }: RatelimitState, window: number): number {
  return (window + 2) * config.windowMs;
}

function look(state: RatelimitState, identifier: string, cost: number, { now }: Context): Checked {
  const counter = state.counters.get(identifier);
  return state.config.algorithm === "token-bucket"
    ? takeTokens(state.config, counter, cost, now)
    : countCalls(state.config, counter, cost, now);
}

function countCalls({ limit, windowMs }: RatelimitConfig, counter: Counter | undefined, cost: number, now: number) {
  const current = Math.floor(now / windowMs);
  const passed = now - current * windowMs;
  let window = current;
  let fading = windowMs - passed;
  let level = cost;
  let previous = 0;
  if (counter !== undefined) {
    if (counter.window > current) {
      // The clock stepped back.
      window = Math.min(counter.window, current + 1);
      fading = windowMs;
    }
    if (counter.window >= current) {
      level += counter.level;
      previous = counter.previous;
    } else if (counter.window === current - 1) previous = counter.level;
  }
  const left = limit * windowMs - (previous * fading + level * windowMs);
  // So that a sum that is no number is limited.
  const limited = !(left >= 0);
  const result = { limited, remaining: limited ? 0 : Math.floor(left / windowMs), resetIn: windowMs - passed };
  return cost > 0 ? { result, next: { window, level, previous, at: 0 } } : { result };
}

function takeTokens({ limit, windowMs }: RatelimitConfig, counter: Counter | undefined, cost: number, now: number) {
  if (cost > limit) throw new RangeError(`cost must be at most the limit (${limit}), not ${cost}`);
  const full = limit * windowMs;
  let level = 0;
  if (counter !== undefined) {
    const drained = Math.max(0, now - counter.at) * limit;
    level = Math.max(0, Math.min(counter.level, full) - drained);
  }
  const limited = !(level + cost * windowMs <= full);
  if (!limited) level += cost * windowMs;
  // To look costs nothing; what is of interest then is when a call would pass.
  const wanted = Math.min((cost || 1) * windowMs, full);
  const result = {
    limited,
    remaining: Math.floor((full - level) / windowMs),
    resetIn: Math.max(0, Math.ceil((level + wanted - full) / limit)),
  };
  const steppedBack = counter !== undefined && counter.at > now;
  if (cost === 0 || (limited && !steppedBack)) return { result };
  return { result, next: { window: Math.floor(now / windowMs), level, previous: 0, at: now } };
}

function restore(state: RatelimitState, rows: StoredRows): void {
  for (const { key, value } of rows.get(counters.letter) ?? []) counters.set(state, key, decode(value));
}

/** What cannot be read counts as full, from the time on when it is looked at. */
function decode(row: Json): Counter {
  const numbers = Array.isArray(row) && row.length === 4 ? row : [null];
  const sound = numbers.every((number) => typeof number === "number" && number >= 0);
  const [window, level, previous, at] = sound ? (numbers as number[]) : [Infinity, Infinity, Infinity, Infinity];
  return { window: window!, level: level!, previous: previous!, at: at! };
}
