import type { EntriesConfig, EntryChange, EntryRecord } from "../protocol/entries.js";
import type { Json } from "../protocol/json.js";
import { DueHeap } from "./due-heap.js";
import { KeyIndex } from "./key-index.js";
import { Log } from "./log.js";
import type { StoredRows, Table } from "./primitive.js";

/** In what registry and ephemeral differ. */
export interface EntriesTraits {
  readonly announces: "registry.changed" | "ephemeral.changed";
  /** Whether touching, removing and expiring make a version, too. */
  readonly countsAll: boolean;
  /** Whether what expired is kept to be looked at, for how long. */
  tombstoneMs(config: EntriesConfig): number | undefined;
}

/** A key's place in the indexes, through all its changes. */
export interface Slot {
  readonly key: string;
  record: EntryRecord;
  /** Its alarm in `deadlines`, never after its deadline; Infinity: none. A later deadline does not move it. */
  alarmAt: number;
}

export interface EntriesState<Config extends EntriesConfig = EntriesConfig> {
  config: Config;
  readonly traits: EntriesTraits;
  readonly log: Log<EntryChange>;
  /** The number of the newest version. */
  version: number;
  readonly slots: Map<string, Slot>;
  readonly active: KeyIndex<Slot>;
  readonly tombstones: KeyIndex<Slot>;
  readonly deadlines: DueHeap<Slot>;
  /** Tombstones by the deadline that made them. */
  readonly forgettable: DueHeap<EntryRecord>;
  /** Keys that are bound, by tab. */
  readonly bound: Map<string, Set<string>>;
}

export function createState<Config extends EntriesConfig>(
  config: Config,
  seed: string,
  traits: EntriesTraits,
): EntriesState<Config> {
  const state: EntriesState<Config> = {
    config,
    traits,
    log: new Log(seed),
    version: 0,
    slots: new Map(),
    active: new KeyIndex(),
    tombstones: new KeyIndex(),
    deadlines: new DueHeap((slot, at) => slot.alarmAt === at && state.slots.get(slot.key) === slot),
    forgettable: new DueHeap((record) => state.slots.get(record.key)?.record === record),
    bound: new Map(),
  };
  return state;
}

/** Entries by key, tombstones among them. */
export const entries: Table<EntriesState, string, EntryRecord> = {
  letter: "e",
  key: (key) => key,
  get: (state, key) => state.slots.get(key)?.record,
  set(state, key, next) {
    let slot = state.slots.get(key);
    const previous = slot?.record;
    if (previous?.bound) unbind(state, previous.bound.tab, key);
    if (previous && previous.expired !== next?.expired) indexOf(state, previous).remove(key);
    if (next === undefined) {
      state.slots.delete(key);
      return;
    }
    if (next.bound) bind(state, next.bound.tab, key);
    if (slot === undefined) state.slots.set(key, (slot = { key, record: next, alarmAt: Infinity }));
    else slot.record = next;
    if (previous?.expired !== next.expired) indexOf(state, next).add(slot);
    if (next.expired) state.forgettable.add(next.expiresAt!, next);
    else setAlarm(state, slot);
  },
  encode: encodeRecord,
};

/** Sees to it that there is an alarm in time. */
export function setAlarm(state: EntriesState, slot: Slot): void {
  const { expiresAt } = slot.record;
  if (expiresAt === null || expiresAt >= slot.alarmAt) return;
  slot.alarmAt = expiresAt;
  state.deadlines.add(expiresAt, slot);
}

function indexOf(state: EntriesState, { expired }: EntryRecord): KeyIndex<Slot> {
  return expired ? state.tombstones : state.active;
}

function bind(state: EntriesState, tab: string, key: string): void {
  const keys = state.bound.get(tab);
  if (keys) keys.add(key);
  else state.bound.set(tab, new Set([key]));
}

function unbind(state: EntriesState, tab: string, key: string): void {
  const keys = state.bound.get(tab);
  keys?.delete(key);
  if (keys?.size === 0) state.bound.delete(tab);
}

export const changes: Table<EntriesState, EntryChange, EntryChange> = {
  letter: "l",
  key: (change) => change.n,
  get({ log }, change) {
    if (change.n > log.head) return undefined;
    const found = log.events.first() === change ? change : log.find(change.n);
    return found === change ? change : undefined;
  },
  set({ log }, change, value) {
    if (value === undefined) {
      log.events.remove(change);
      // Undoing the newest gives its number back; trimming the oldest does not.
      if (change.n === log.head && change.n > log.trimmedUpTo) log.head--;
    } else {
      log.events.insert(change);
      log.head = Math.max(log.head, change.n);
    }
  },
  encode: encodeChange,
};

export const trims: Table<EntriesState, "trim", number> = {
  letter: "t",
  key: (only) => only,
  get: ({ log }) => log.trimmedUpTo || undefined,
  set({ log }, _, value) {
    log.trimmedUpTo = value ?? 0;
    log.head = Math.max(log.head, log.trimmedUpTo);
  },
  encode: (value) => value,
};

export const versions: Table<EntriesState, "version", number> = {
  letter: "v",
  key: (only) => only,
  get: (state) => state.version || undefined,
  set(state, _, value) {
    state.version = value ?? 0;
  },
  encode: (value) => value,
};

export function restore(state: EntriesState, rows: StoredRows): void {
  for (const { value } of rows.get(versions.letter) ?? []) versions.set(state, "version", value as number);
  for (const { value } of rows.get(trims.letter) ?? []) trims.set(state, "trim", value as number);
  for (const { key, value } of rows.get(changes.letter) ?? []) {
    const change = decodeChange(Number(key), value);
    changes.set(state, change, change);
  }
  for (const { key, value } of rows.get(entries.letter) ?? []) entries.set(state, key, decodeRecord(key, value));
}

function encodeRecord(record: EntryRecord): Json {
  const { value, version, createdAt, updatedAt, ttlMs, expiresAt, meta, expired, bound } = record;
  const always = [value, version, createdAt, updatedAt, ttlMs, expiresAt];
  if (meta === undefined && !expired && !bound) return always;
  return [...always, meta ?? null, expired ? 1 : 0, ...(bound ? [bound.tab, bound.handle] : [])];
}

type RecordRow = readonly [
  value: string,
  version: string,
  createdAt: number,
  updatedAt: number,
  ttlMs: number | null,
  expiresAt: number | null,
  meta?: string | null,
  expired?: number,
  tab?: string,
  handle?: string,
];

function decodeRecord(key: string, row: Json): EntryRecord {
  const [value, version, createdAt, updatedAt, ttlMs, expiresAt, meta, expired, tab, handle] = row as RecordRow;
  return {
    key,
    value,
    version,
    createdAt,
    updatedAt,
    ttlMs,
    expiresAt,
    meta: meta ?? undefined,
    expired: expired === 1,
    bound: tab === undefined ? undefined : { tab, handle: handle! },
  };
}

function encodeChange(change: EntryChange): Json {
  const { publishedAt, key, type } = change;
  switch (type) {
    case "upsert":
      return [publishedAt, key, "u", encodeRecord(change.entry)];
    case "touch":
      return [publishedAt, key, "t", change.version, change.updatedAt, change.expiresAt];
    case "delete":
      return [publishedAt, key, "d", change.version, change.deletedAt, change.reason ?? null];
    case "expire":
      return [publishedAt, key, "x", change.version, change.expiredAt];
  }
}

function decodeChange(n: number, row: Json): EntryChange {
  const [publishedAt, key, type, ...rest] = row as [number, string, "u" | "t" | "d" | "x", ...Json[]];
  const head = { n, publishedAt, key };
  if (type === "u") return { ...head, type: "upsert", entry: decodeRecord(key, rest[0]!) };
  const [version, at, last] = rest as [string, number, (string | number | null)?];
  if (type === "t") return { ...head, type: "touch", version, updatedAt: at, expiresAt: last as number };
  if (type === "x") return { ...head, type: "expire", version, expiredAt: at };
  return { ...head, type: "delete", version, deletedAt: at, ...(last === null ? {} : { reason: last as string }) };
}
