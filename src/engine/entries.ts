/**
 * What registry and ephemeral have in common: entries by key, each change of which is an event of one log.
 *
 *   upsert, create ──▶ active ── upsert, cas, touch ──▶ active
 *                        │ │
 *                 remove │ └── its time is over ──▶ tombstone ── tombstoneMs ──▶ (gone)
 *                        ▼                          (registry; ephemeral: gone)
 *                     (gone)
 *
 * What is due ends before the command that finds it: a space wakes an instance before it runs a command there.
 */
import type { EntryChange, EntryPage, EntryRecord, EntryScope, EntryStamp } from "../protocol/commands.js";
import { isInScope } from "../protocol/entries.js";
import type { Json } from "../protocol/json.js";
import { type EntriesState, changes, entries, setAlarm, trims, versions } from "./entries-state.js";
import type { Anchor } from "./log.js";
import type { Context } from "./primitive.js";

/** What a write says; the rest follows from when it is made. */
export type Draft = Pick<EntryRecord, "key" | "value" | "createdAt" | "ttlMs" | "meta" | "bound">;

/** The entry under a key, if it is there. */
export function find(state: EntriesState, key: string): EntryRecord | undefined {
  const record = state.slots.get(key)?.record;
  return record?.expired ? undefined : record;
}

export function save(state: EntriesState, ctx: Context, draft: Draft): EntryRecord {
  const { key, value, createdAt, ttlMs, meta, bound } = draft;
  const { now } = ctx;
  const expiresAt = ttlMs === null ? null : now + ttlMs;
  const version = nextVersion(state, ctx);
  const entry = { key, value, version, createdAt, updatedAt: now, ttlMs, expiresAt, meta, expired: false, bound };
  ctx.put(entries, key, entry);
  append(state, ctx, { n: state.log.head + 1, publishedAt: now, key, type: "upsert", entry });
  return entry;
}

/** Gives an entry a new deadline. */
export function touch(
  state: EntriesState,
  ctx: Context,
  entry: EntryRecord,
  ttlMs: number,
): { version: string; expiresAt: number } {
  const { key } = entry;
  const { now } = ctx;
  const version = versionAfter(state, ctx, entry);
  const expiresAt = now + ttlMs;
  ctx.put(entries, key, { ...entry, version, updatedAt: now, ttlMs, expiresAt });
  append(state, ctx, {
    n: state.log.head + 1,
    publishedAt: now,
    key,
    type: "touch",
    version,
    updatedAt: now,
    expiresAt,
  });
  return { version, expiresAt };
}

/** Whether there was an entry to remove. */
export function remove(state: EntriesState, ctx: Context, key: string, reason?: string): boolean {
  const entry = find(state, key);
  if (entry === undefined) return false;
  const version = versionAfter(state, ctx, entry);
  ctx.put(entries, key, undefined);
  append(state, ctx, {
    n: state.log.head + 1,
    publishedAt: ctx.now,
    key,
    type: "delete",
    version,
    deletedAt: ctx.now,
    ...(reason === undefined ? {} : { reason }),
  });
  return true;
}

export function dueAt(state: EntriesState): number {
  const { config, log, traits } = state;
  // The bound was lowered.
  if (log.events.length > config.eventMaxLen) return 0;
  const oldest = log.events.first();
  return Math.min(
    state.deadlines.dueAt(),
    state.forgettable.dueAt() + (traits.tombstoneMs(config) ?? 0),
    oldest ? oldest.publishedAt + config.eventRetentionMs + 1 : Infinity,
  );
}

export function wake(state: EntriesState, ctx: Context): void {
  const tombstoneMs = state.traits.tombstoneMs(state.config);
  for (const due of takeDue(state, ctx.now)) {
    const version = versionAfter(state, ctx, due);
    ctx.put(entries, due.key, tombstoneMs === undefined ? undefined : { ...due, version, expired: true });
    append(state, ctx, {
      n: state.log.head + 1,
      publishedAt: ctx.now,
      key: due.key,
      type: "expire",
      version,
      expiredAt: due.expiresAt!,
    });
  }
  for (let old; (old = state.forgettable.take(ctx.now - (tombstoneMs ?? 0)));) ctx.put(entries, old.key, undefined);
  trim(state, ctx);
}

/** Entries whose deadline has passed, in order of the deadlines; ties are broken by what a restore knows, too. */
function takeDue(state: EntriesState, now: number): EntryRecord[] {
  const due: EntryRecord[] = [];
  for (let slot; (slot = state.deadlines.take(now));) {
    slot.alarmAt = Infinity;
    const { record } = slot;
    if (record.expired || record.expiresAt === null) continue;
    if (record.expiresAt <= now) due.push(record);
    else setAlarm(state, slot);
  }
  return due.sort((a, b) => a.expiresAt! - b.expiresAt! || Number(a.version) - Number(b.version));
}

export function stampOf({ version, createdAt, updatedAt, ttlMs, expiresAt, meta }: EntryRecord): EntryStamp {
  const stamp: EntryStamp = { version, createdAt, updatedAt, ttlMs, expiresAt };
  if (meta !== undefined) stamp.meta = meta;
  return stamp;
}

/** Entries in order of their keys, and the cursor behind which the reader of the same scope goes on. */
export function page(state: EntriesState, prefix = "", limit = Infinity): EntryPage {
  return { entries: state.active.page(prefix, limit).map(recordOf), cursor: cursorOf(state) };
}

export function cursorOf({ log }: EntriesState): string {
  return log.cursor(log.head);
}

export function recordOf({ record }: { record: EntryRecord }): EntryRecord {
  return record;
}

export function peek(state: EntriesState, limit: number): Json[] {
  return page(state, "", limit).entries as unknown as Json[];
}

export function anchor({ log }: EntriesState, after: string): Anchor & { generation: string } {
  return { generation: log.generation, ...log.anchor(after) };
}

export function readChanges(
  { log }: EntriesState,
  { after, limit, ...scope }: { after: number; limit: number } & EntryScope,
) {
  const events: EntryChange[] = [];
  for (let i = log.events.search(after + 1); i < log.events.length && events.length < limit; i++) {
    const change = log.events.at(i)!;
    if (isInScope(scope, change.key)) events.push(change);
  }
  const gap = log.gapAfter(after);
  return { events, head: log.head, ...(gap ? { gap } : {}) };
}

function nextVersion(state: EntriesState, ctx: Context): string {
  ctx.put(versions, "version", state.version + 1);
  return String(state.version);
}

/** The version of an event that changes no value. */
function versionAfter(state: EntriesState, ctx: Context, { version }: EntryRecord): string {
  return state.traits.countsAll ? nextVersion(state, ctx) : version;
}

function append(state: EntriesState, ctx: Context, change: EntryChange): void {
  ctx.put(changes, change, change);
  ctx.emit({ type: state.traits.announces, event: change }, change.n);
  trim(state, ctx);
}

function trim(state: EntriesState, ctx: Context): void {
  const { log, config } = state;
  let count = Math.max(0, log.events.length - config.eventMaxLen);
  for (let event; (event = log.events.at(count)) && event.publishedAt < ctx.now - config.eventRetentionMs;) count++;
  if (count === 0) return;
  // First the mark, then the events: an event above the mark that goes is an undone one.
  ctx.put(trims, "trim", log.events.at(count - 1)!.n);
  for (; count > 0; count--) ctx.put(changes, log.events.first()!, undefined);
}
