/** What registry and ephemeral have in common: entries by key, and the log of their changes. */
export interface EntriesConfig {
  maxEntries: number;
  maxPayloadBytes: number;
  eventRetentionMs: number;
  eventMaxLen: number;
}

/** An entry as replies, events and rows carry it. Never changed in place. */
export interface EntryRecord {
  readonly key: string;
  /** JSON text. */
  readonly value: string;
  /** A decimal number. */
  readonly version: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** null: it does not expire. */
  readonly ttlMs: number | null;
  readonly expiresAt: number | null;
  /** JSON text. */
  readonly meta: string | undefined;
  /** Its time is over; kept to be looked at. */
  readonly expired: boolean;
  /** It ends with this tab, or with this handle of it. */
  readonly bound: Binding | undefined;
}

export interface Binding {
  readonly tab: string;
  readonly handle: string;
}

/** What a write made of its value, which the caller has. */
export interface EntryStamp {
  version: string;
  createdAt: number;
  updatedAt: number;
  ttlMs: number | null;
  expiresAt: number | null;
  meta?: string;
}

/** One event of the log. `publishedAt`: when it was written; the times inside are those of what happened. */
export type EntryChange = { readonly n: number; readonly publishedAt: number; readonly key: string } & (
  | { readonly type: "upsert"; readonly entry: EntryRecord }
  | { readonly type: "touch"; readonly version: string; readonly updatedAt: number; readonly expiresAt: number }
  | { readonly type: "delete"; readonly version: string; readonly deletedAt: number; readonly reason?: string }
  | { readonly type: "expire"; readonly version: string; readonly expiredAt: number }
);

/** Of what a reader hears: one key, keys that begin alike, or everything. */
export interface EntryScope {
  key?: string;
  prefix?: string;
}

export function isInScope({ key, prefix }: EntryScope, of: string): boolean {
  if (key !== undefined) return of === key;
  return prefix === undefined || of.startsWith(prefix);
}

export interface EntryPage {
  /** In code-point order of their keys. */
  entries: EntryRecord[];
  /** The newest event of the log; this is the state right after it. */
  cursor: string;
}

export interface EntriesRead {
  body: { after: number; limit: number } & EntryScope;
  reply: { events: EntryChange[]; head: number; gap?: { after: string; firstAvailable: string } };
}

/** Resolves "0", "$" or a cursor to a place in the log. */
export interface EntriesAnchor {
  body: { after: string };
  reply: { generation: string; n: number; gap?: { after: string; firstAvailable: string } };
}

export interface EntriesStats {
  /** Entries that are there. */
  entries: number;
  /** Events retained. */
  events: number;
  /** The newest event. */
  cursor: string;
}
