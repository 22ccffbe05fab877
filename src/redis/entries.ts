import type { EntryChange, EntryPage, EntryRecord, EntryScope, EntryStamp } from "../protocol/commands.js";
import { type RawAnchor, type RawRead, anchorArgs, anchorReply, readReply } from "./log.js";
import type { Argument } from "./script.js";

/** A record as scripts keep it (prelude-entries.lua). */
type Row = [
  version: number,
  createdAt: number,
  updatedAt: number,
  ttlMs: number | null,
  expiresAt: number | null,
  expired: 0 | 1,
  meta: string | null,
  value: string,
  tab: string | null,
  handle: string | null,
];
export type RawPage = [keys: string[], records: string[], cursor: string, nextKey: string | null];
type RawEnd = [version: string, expiresAt: number] | null;

/** A text that scripts put into JSON as it is; "" for none. */
export const quoted = (text: string | undefined): string => (text === undefined ? "" : JSON.stringify(text));

export function stampOf(text: string): EntryStamp {
  const [version, createdAt, updatedAt, ttlMs, expiresAt, , meta] = JSON.parse(text) as Row;
  const times = { createdAt, updatedAt, ttlMs, expiresAt };
  return { version: String(version), ...times, ...(meta === null ? {} : { meta }) };
}

export const stampOrNull = (text: string | null): EntryStamp | null => (text === null ? null : stampOf(text));

export const recordOrNull = (text: string | null, { key }: { key: string }): EntryRecord | null =>
  text === null ? null : recordOf(key, text);

export function recordOf(key: string, text: string): EntryRecord {
  return decode(key, JSON.parse(text) as Row);
}

export function pageOf([keys, records, cursor]: RawPage): EntryPage {
  // One text: most of what a thousand small texts cost is the thousand calls.
  const rows = JSON.parse(`[${records.join()}]`) as Row[];
  return { entries: rows.map((row, i) => decode(keys[i]!, row)), cursor };
}

function decode(key: string, row: Row): EntryRecord {
  const [version, createdAt, updatedAt, ttlMs, expiresAt, expired, meta, value, tab, handle] = row;
  return {
    key,
    value,
    version: String(version),
    createdAt,
    updatedAt,
    ttlMs,
    expiresAt,
    meta: meta ?? undefined,
    expired: expired === 1,
    bound: tab === null ? undefined : { tab, handle: handle! },
  };
}

export function endOf(raw: RawEnd): { version: string; expiresAt: number } | null {
  return raw && { version: raw[0], expiresAt: raw[1] };
}

/** Scripts of both kinds that differ in nothing but their names. */
export function logScripts<K extends "registry" | "ephemeral">(kind: K) {
  return {
    anchor: {
      lua: `${kind}-anchor`,
      args: anchorArgs,
      reply: (raw: RawAnchor) => anchorReply(raw),
    },
    read: {
      lua: `${kind}-read`,
      args: ({ after, limit, key, prefix }: { after: number; limit: number } & EntryScope): Argument[] => {
        if (key !== undefined) return [after, limit, "key", key];
        return prefix === undefined ? [after, limit, "all", ""] : [after, limit, "prefix", prefix];
      },
      reply: (raw: RawRead) => readReply<EntryChange>(raw),
    },
  };
}
