import type { EntryChange, EntryRecord, EntryScope } from "../protocol/commands.js";
import { isInScope } from "../protocol/entries.js";
import type { Maybe } from "./backend.js";
import type { Handle } from "./handle.js";
import type { LogSource } from "./log-feed.js";
import { type LogReader, createLogReader } from "./log-reader.js";
import { andThen } from "./maybe.js";

/** What happened to an entry. Times are epoch milliseconds of the hub's clock. */
export type EntryEvent<Entry> = { readonly cursor: string } & (
  | { readonly type: "upsert"; readonly entry: Entry }
  | {
      readonly type: "touch";
      readonly key: string;
      readonly version: string;
      readonly updatedAt: number;
      readonly expiresAt: number;
    }
  | {
      readonly type: "delete";
      readonly key: string;
      readonly version: string;
      readonly deletedAt: number;
      readonly reason?: string;
    }
  | { readonly type: "expire"; readonly key: string; readonly version: string; readonly expiredAt: number }
  /**
   * Events after `after` are gone. `cursor` is the newest event: reading goes on behind it, so read a snapshot now.
   * A reader `after: firstAvailable` gives what is retained.
   */
  | { readonly type: "overflow"; readonly after: string; readonly firstAvailable: string }
);

/** Follows the entries of its scope. Anchored when it was made: it misses nothing of what its own tab does after. */
export type EntryReader<Entry> = LogReader<EntryEvent<Entry>>;

export interface EntryReaderOptions<K extends "registry" | "ephemeral", Entry> {
  kind: K;
  handle: Handle<K>;
  tenantId: string | undefined;
  after: string | undefined;
  scope: EntryScope;
  /** undefined: unreadable, left out. */
  read(record: EntryRecord): Maybe<Entry | undefined>;
}

export function createEntryReader<K extends "registry" | "ephemeral", Entry>(
  options: EntryReaderOptions<K, Entry>,
): EntryReader<Entry> {
  const { kind, handle, tenantId, after = "$", scope, read } = options;
  const source: LogSource<EntryChange> = {
    anchor: (port, from, signal) => port.call(`${kind}.anchor`, { after: from }, { signal }),
    read: (port, range, signal) => port.call(`${kind}.read`, { ...range, ...scope }, { signal }),
    pick(announced) {
      if (announced.type !== "registry.changed" && announced.type !== "ephemeral.changed") return undefined;
      return isInScope(scope, announced.event.key) ? announced.event : undefined;
    },
  };
  return createLogReader<EntryChange, EntryEvent<Entry>>({
    handle,
    tenantId,
    after,
    source,
    decode(change, cursor) {
      if (change.type === "upsert") {
        return andThen(read(change.entry), (entry) => entry && { type: "upsert", cursor, entry });
      }
      const { n: _n, publishedAt: _publishedAt, ...event } = change;
      return { ...event, cursor };
    },
    overflow: ({ after: lost, firstAvailable }, cursor) => ({ type: "overflow", cursor, after: lost, firstAvailable }),
  });
}
