import type { EntryRecord, EntryStamp } from "../protocol/commands.js";
import type { Maybe, Port } from "./backend.js";
import { readAll } from "./entry-values.js";
import { andThen } from "./maybe.js";
import type { RegistryEntry, RegistryOptions } from "./registry-types.js";
import type { OutputOf, Schema } from "./schema.js";
import { ValueCache } from "./value-cache.js";
import { decodeMeta, decodeValue } from "./values.js";

/** How the values of a handle's entries are read. */
export class RegistryValues<S extends Schema> {
  readonly #schema: S;
  readonly #limit: number;
  /** undefined: every read parses anew. */
  readonly #caches: WeakMap<Port, ValueCache<RegistryEntry<OutputOf<S>>>> | undefined;

  constructor({ schema, cache, limits }: RegistryOptions<S>) {
    this.#schema = schema;
    this.#limit = limits?.maxEntries ?? 10_000;
    this.#caches = cache ? new WeakMap() : undefined;
  }

  /** Throws `ValidationError` when the value does not fit. */
  read(port: Port, record: EntryRecord): Maybe<RegistryEntry<OutputOf<S>>> {
    const cache = this.#cacheOf(port);
    return (
      cache?.get(record) ??
      andThen(decodeValue(this.#schema, record.value), (value) => cache?.add(record, value) ?? entryOf(record, value))
    );
  }

  /** Those that fit. */
  readable(port: Port, records: readonly EntryRecord[]): Maybe<RegistryEntry<OutputOf<S>>[]> {
    const cache = this.#cacheOf(port);
    if (cache === undefined) return readAll(this.#schema, records, entryOf<OutputOf<S>>);
    const found = records.map((record) => cache.get(record));
    const missing = records.filter((_, i) => found[i] === undefined);
    if (missing.length === 0) return found as RegistryEntry<OutputOf<S>>[];
    return andThen(
      readAll(this.#schema, missing, (record, value) => cache.add(record, value)),
      (read) => {
        const byKey = new Map(read.map((entry) => [entry.key, entry]));
        return records.map(({ key }, i) => found[i] ?? byKey.get(key)).filter((entry) => entry !== undefined);
      },
    );
  }

  /** The entry that a write made. */
  made(
    port: Port,
    { key, value: text }: { key: string; value: string },
    { version, createdAt, updatedAt, ttlMs, expiresAt, meta }: EntryStamp,
    value: OutputOf<S>,
  ): RegistryEntry<OutputOf<S>> {
    const times = { createdAt, updatedAt, ttlMs, expiresAt };
    const record = { key, value: text, version, ...times, meta, expired: false, bound: undefined };
    return this.#cacheOf(port)?.add(record, value) ?? entryOf(record, value);
  }

  #cacheOf(port: Port): ValueCache<RegistryEntry<OutputOf<S>>> | undefined {
    if (this.#caches === undefined) return undefined;
    let cache = this.#caches.get(port);
    if (cache === undefined) this.#caches.set(port, (cache = new ValueCache(this.#limit, entryOf<OutputOf<S>>)));
    return cache;
  }
}

export function entryOf<Data>(record: EntryRecord, value: Data): RegistryEntry<Data> {
  const { key, version, expired, createdAt, updatedAt, ttlMs, expiresAt, meta } = record;
  const status = expired ? "expired" : "active";
  const entry = { key, value, version, status, createdAt, updatedAt, ttlMs, expiresAt } as const;
  return meta === undefined ? entry : { ...entry, meta: decodeMeta(meta) };
}
