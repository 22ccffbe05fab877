import type { RegistryConflict, RegistryStats } from "../protocol/commands.js";
import type { EntryEvent, EntryReader } from "./entry-reader.js";
import type { HandleOptions } from "./handle.js";
import type { InputOf, OutputOf, Schema } from "./schema.js";

export interface RegistryOptions<S extends Schema> extends HandleOptions {
  /** What an entry's value is; any Standard Schema. Writes take its input type, reads give its output type. */
  schema: S;
  limits?: {
    /** Entries at most, expired ones not counted; a new key beyond rejects with `RegistryCapacityError`. Default 10,000. */
    maxEntries?: number;
    /** UTF-8 bytes of value and meta together. Default 131,072. */
    maxPayloadBytes?: number;
    /** How long an event is retained for readers that come back. Default 300,000. */
    eventRetentionMs?: number;
    /** Events retained at most; the oldest go first. Default 50,000. */
    eventMaxLen?: number;
    /** How long an expired entry can still be looked at. Default 300,000. */
    tombstoneRetentionMs?: number;
    /** Expired entries that one sweep takes, on backends that sweep in steps of their own. Default 200. */
    reconcileBatchSize?: number;
  };
  /**
   * `get`, `list` and writes parse and validate a value once per text, not every time, and hand it out deep-frozen.
   * For schemas without transforms: a `Date` cannot be frozen. Default false.
   */
  cache?: boolean;
}

export interface RegistryEntry<Data> {
  readonly key: string;
  readonly value: Data;
  /** A decimal number that grows with `upsert` and `cas`, of any key. Give it to `cas`. */
  readonly version: string;
  readonly status: "active" | "expired";
  /** Epoch milliseconds of the hub's clock, as all times here. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** null: it does not expire. */
  readonly ttlMs: number | null;
  readonly expiresAt: number | null;
  readonly meta?: unknown;
}

interface InTenant {
  tenantId?: string;
}

interface Writing<Data> {
  /** 1–512 UTF-8 bytes, at most 8 segments between "/". */
  key: string;
  value: Data;
  /** Any JSON value, beside the schema. */
  meta?: unknown;
}

export interface RegistryUpsert<Data> extends Writing<Data> {
  /** Ends the entry after this time without `touch`. Without it the entry stays. */
  ttlMs?: number;
}

export interface RegistryCasOptions<Data> extends Writing<Data> {
  /** The version that is to be replaced. */
  version: string;
}

export interface RegistryRemoveOptions {
  key: string;
  /** Carried by the event. */
  reason?: string;
}

export type RegistryTransactionStep<Data> =
  | ({ op: "upsert" | "create" } & RegistryUpsert<Data>)
  | ({ op: "cas" } & RegistryCasOptions<Data>)
  | ({ op: "remove" } & RegistryRemoveOptions);

/** `entries`: what each step made, null for removals. `index`: the step that was refused; nothing was changed. */
export type RegistryTransaction<Data> =
  | { readonly ok: true; readonly entries: readonly (RegistryEntry<Data> | null)[] }
  | { readonly ok: false; readonly index: number; readonly reason: RegistryConflict };

export interface RegistryListOptions extends InTenant {
  /** Whole segments, "/" at the end. Default: every key. */
  prefix?: string;
  /** "expired": tombstones. Default "active". */
  status?: "active" | "expired";
  /** Default and maximum 1,000. */
  limit?: number;
  /** Goes on behind this key: `nextKey` of the page before. */
  afterKey?: string;
}

export interface RegistryPage<Data> {
  /** In code-point order of their keys. Entries that do not fit the schema are left out. */
  readonly entries: readonly RegistryEntry<Data>[];
  /** `reader({ prefix, after: cursor })` goes on right behind this page's state. */
  readonly cursor: string;
  /** The last key of the page, when there is more. */
  readonly nextKey?: string;
}

export interface RegistryReaderOptions extends InTenant {
  /** Events of this key only. */
  key?: string;
  /** Events of keys that begin so; not together with `key`. */
  prefix?: string;
  /** A cursor; "0-0" for everything retained; "$", the default, for what comes from this call on. */
  after?: string;
}

export type RegistryEvent<Data> = EntryEvent<RegistryEntry<Data>>;
export type RegistryReader<Data> = EntryReader<RegistryEntry<Data>>;

/** See {@link registry}. */
export interface Registry<S extends Schema> {
  /**
   * Makes or replaces an entry. `createdAt` stays, everything else is new.
   *
   * @throws `ValidationError`, `RangeError`, `RegistryPayloadTooLargeError`, `RegistryCapacityError`, `QUOTA`: nothing
   * was changed.
   */
  upsert(options: RegistryUpsert<InputOf<S>> & InTenant): Promise<RegistryEntry<OutputOf<S>>>;
  /** Makes an entry unless there is one. `entry`: the new one, or the one that was there. */
  create(
    options: RegistryUpsert<InputOf<S>> & InTenant,
  ): Promise<{ readonly ok: boolean; readonly entry?: RegistryEntry<OutputOf<S>> }>;
  /** Replaces the value of an entry if it still has this version; its ttl starts again. */
  cas(
    options: RegistryCasOptions<InputOf<S>> & InTenant,
  ): Promise<{ readonly ok: boolean; readonly entry?: RegistryEntry<OutputOf<S>> }>;
  /** Starts the ttl of an entry again. `ok: false`: absent, or without a ttl. */
  touch(
    options: { key: string } & InTenant,
  ): Promise<{ readonly ok: boolean; readonly version?: string; readonly expiresAt?: number }>;
  /** Whether there was an entry. */
  remove(options: RegistryRemoveOptions & InTenant): Promise<boolean>;
  /**
   * @param options `includeExpired`: also what expired within `tombstoneRetentionMs`.
   * @throws `ValidationError` when the stored value does not fit the schema.
   */
  get(options: { key: string; includeExpired?: boolean } & InTenant): Promise<RegistryEntry<OutputOf<S>> | null>;
  list(options?: RegistryListOptions): Promise<RegistryPage<OutputOf<S>>>;
  /** All steps or none, in order, at most 1,000. */
  transact(
    steps: readonly RegistryTransactionStep<InputOf<S>>[],
    options?: InTenant,
  ): Promise<RegistryTransaction<OutputOf<S>>>;
  /** Follows changes, anchored at this call. */
  reader(options?: RegistryReaderOptions): RegistryReader<OutputOf<S>>;
  stats(options?: InTenant): Promise<RegistryStats>;
  /** Ends this handle and its readers. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
