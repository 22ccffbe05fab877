import type { EntriesStats } from "../protocol/commands.js";
import type { EntryEvent, EntryReader } from "./entry-reader.js";
import type { HandleOptions } from "./handle.js";
import type { InputOf, OutputOf, Schema } from "./schema.js";

export interface EphemeralOptions<S extends Schema> extends HandleOptions {
  /** What an entry's value is; any Standard Schema. Writes take its input type, reads give its output type. */
  schema: S;
  /** How long an entry lasts without another `upsert` or `touch`, unless that call says otherwise. */
  ttlMs: number;
  limits?: {
    /** Entries at most; a new key beyond rejects with `EphemeralCapacityError`. Default 10,000. */
    maxEntries?: number;
    /** UTF-8 bytes of the value. Default 4,096. */
    maxPayloadBytes?: number;
    /** How long an event is retained for readers that come back. Default 300,000. */
    eventRetentionMs?: number;
    /** Events retained at most; the oldest go first. Default 50,000. */
    eventMaxLen?: number;
  };
}

export interface EphemeralEntry<Data> {
  readonly key: string;
  readonly value: Data;
  /** A decimal number that grows with every change of any key. */
  readonly version: string;
  /** Epoch milliseconds of the hub's clock, as all times here. Kept by `upsert` and `touch`. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number;
}

interface InTenant {
  tenantId?: string;
}

export interface EphemeralUpsert<Data> extends InTenant {
  /** 1–512 UTF-8 bytes. */
  key: string;
  value: Data;
  /** Default: the handle's. */
  ttlMs?: number;
  /** The entry ends also with this tab, and when this handle is closed. A new hub is told of it. */
  bound?: "tab";
}

export interface EphemeralSnapshot<Data> {
  /** In code-point order of their keys. Entries that do not fit the schema are left out. */
  readonly entries: readonly EphemeralEntry<Data>[];
  /** `reader({ prefix, after: cursor })` goes on right behind this state. */
  readonly cursor: string;
}

export interface EphemeralReaderOptions extends InTenant {
  /** Events of keys that begin so. */
  prefix?: string;
  /** A cursor; "0-0" for everything retained; "$", the default, for what comes from this call on. */
  after?: string;
}

export type EphemeralEvent<Data> = EntryEvent<EphemeralEntry<Data>>;
export type EphemeralReader<Data> = EntryReader<EphemeralEntry<Data>>;

/** See {@link ephemeral}. */
export interface Ephemeral<S extends Schema> {
  /**
   * Makes or replaces an entry; its ttl starts now.
   *
   * @throws `ValidationError`, `RangeError`, `EphemeralPayloadTooLargeError`, `EphemeralCapacityError`: nothing was
   * changed.
   */
  upsert(options: EphemeralUpsert<InputOf<S>>): Promise<EphemeralEntry<OutputOf<S>>>;
  /** Starts the ttl of an entry again. `ok: false`: there is none. */
  touch(
    options: { key: string; ttlMs?: number } & InTenant,
  ): Promise<{ readonly ok: boolean; readonly version?: string; readonly expiresAt?: number }>;
  /** Whether there was an entry. `reason` is carried by the event. */
  remove(options: { key: string; reason?: string } & InTenant): Promise<boolean>;
  /** @throws `ValidationError` when the stored value does not fit the schema. */
  get(options: { key: string } & InTenant): Promise<EphemeralEntry<OutputOf<S>> | null>;
  /** Everything at one moment. `prefix`: keys that begin so. */
  snapshot(options?: { prefix?: string } & InTenant): Promise<EphemeralSnapshot<OutputOf<S>>>;
  /** Follows changes, anchored at this call. */
  reader(options?: EphemeralReaderOptions): EphemeralReader<OutputOf<S>>;
  stats(options?: InTenant): Promise<EntriesStats>;
  /** Ends this handle, its readers, and the entries that are bound to it. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
