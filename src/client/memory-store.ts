import { ValidationError } from "../protocol/errors.js";
import { type Store, expiryOf } from "./store.js";

/**
 * A `Store` in memory: what is in it lives as long as the object does. Values are copied in and out
 * (`structuredClone`). No timers: what is over is removed when somebody looks.
 *
 * @throws `set`: `ValidationError` for a value that cannot be copied, such as a function.
 * @example
 * const store = createMemoryStore();
 * store.set("greeting", { text: "hello" }, 60_000);
 */
export function createMemoryStore(): Store {
  const entries = new Map<string, { value: unknown; expiresAt: number }>();
  let sweepAt = 64;

  const find = (key: string): unknown => {
    const entry = entries.get(key);
    if (entry && entry.expiresAt <= Date.now()) entries.delete(key);
    else return entry?.value;
  };
  const keys = (prefix = ""): string[] =>
    [...entries.keys()].filter((key) => key.startsWith(prefix) && find(key) !== undefined);

  return {
    get: (key) => structuredClone(find(key)),
    set(key, value, ttlMs) {
      if (value === undefined) return void entries.delete(key);
      entries.set(key, { value: copy(value), expiresAt: expiryOf(ttlMs) });
      if (entries.size < sweepAt) return;
      // Nobody may ever look at what is over.
      sweepAt = Math.max(64, 2 * keys().length);
    },
    del: (key) => void entries.delete(key),
    keys,
  };
}

function copy(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch (cause) {
    throw new ValidationError(`the value cannot be copied: ${String(cause)}`, undefined, { cause });
  }
}
