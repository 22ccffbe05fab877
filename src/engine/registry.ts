/** A registry: entries that last, with versions to compare, and tombstones of those that expired (entries.ts). */
import type {
  Body,
  EntryRecord,
  EntryStamp,
  RegistryConfig,
  RegistryConflict,
  RegistryOperation,
  Reply,
} from "../protocol/commands.js";
import { RegistryCapacityError, RegistryPayloadTooLargeError } from "../protocol/errors.js";
import * as entries from "./entries.js";
import { type EntriesState, type EntriesTraits, createState, restore } from "./entries-state.js";
import type { Context, Primitive } from "./primitive.js";

type State = EntriesState<RegistryConfig>;

const traits: EntriesTraits = {
  announces: "registry.changed",
  countsAll: false,
  tombstoneMs: (config) => (config as RegistryConfig).tombstoneRetentionMs,
};

export const registry: Primitive<State, "registry"> = {
  kind: "registry",
  create: (config, seed) => createState(config, seed, traits),
  configure(state, config) {
    state.config = config;
  },
  restore,
  peek: entries.peek,
  dueAt: entries.dueAt,
  wake: entries.wake,
  release() {},
  owners: () => [],
  rules: {
    "registry.upsert": {
      run(state, body, ctx) {
        checkSize(state, body.bytes);
        const earlier = entries.find(state, body.key);
        if (earlier === undefined) checkCapacity(state, 1);
        return upsert(state, body, ctx, earlier);
      },
    },
    "registry.create": {
      run(state, body, ctx) {
        checkSize(state, body.bytes);
        const entry = entries.find(state, body.key);
        if (entry) return { ok: false, entry };
        checkCapacity(state, 1);
        return { ok: true, stamp: upsert(state, body, ctx, undefined) };
      },
      // A stored reply would hold the other's value.
      recall: refusal,
      usual: ({ ok }) => !ok,
    },
    "registry.cas": {
      run(state, body, ctx) {
        checkSize(state, body.bytes);
        const entry = entries.find(state, body.key);
        return entry?.version === body.version ? replace(state, body, ctx, entry) : null;
      },
    },
    "registry.touch": {
      run(state, { key }, ctx) {
        const entry = entries.find(state, key);
        if (entry === undefined || entry.ttlMs === null) return null;
        return entries.touch(state, ctx, entry, entry.ttlMs);
      },
    },
    "registry.remove": {
      run: (state, { key, reason }, ctx) => entries.remove(state, ctx, key, reason),
      recall: () => true,
      usual: (reply) => reply,
    },
    "registry.transact": { run: transact },
    "registry.get": {
      run: (state, { key, includeExpired }) =>
        (includeExpired ? state.slots.get(key)?.record : entries.find(state, key)) ?? null,
    },
    "registry.list": { run: list },
    "registry.anchor": { run: (state, { after }) => entries.anchor(state, after) },
    "registry.read": { run: entries.readChanges },
    "registry.stats": {
      run: (state) => ({
        entries: state.active.size,
        tombstones: state.tombstones.size,
        events: state.log.events.length,
        cursor: entries.cursorOf(state),
      }),
    },
  },
};

function checkSize({ config }: State, bytes: number): void {
  const limitBytes = config.maxPayloadBytes;
  if (bytes > limitBytes) throw new RegistryPayloadTooLargeError({ limitBytes, actualBytes: bytes });
}

function checkCapacity({ config, active }: State, added: number): void {
  const limit = config.maxEntries;
  if (added > 0 && active.size + added > limit) throw new RegistryCapacityError({ bound: "maxEntries", limit });
}

function upsert(
  state: State,
  { key, value, ttlMs = null, meta }: { key: string; value: string; ttlMs?: number | null; meta?: string },
  ctx: Context,
  earlier: EntryRecord | undefined,
): EntryStamp {
  const createdAt = earlier?.createdAt ?? ctx.now;
  return entries.stampOf(entries.save(state, ctx, { key, value, createdAt, ttlMs, meta, bound: undefined }));
}

function replace(state: State, { value, meta }: Body<"registry.cas">, ctx: Context, entry: EntryRecord): EntryStamp {
  return entries.stampOf(entries.save(state, ctx, { ...entry, value, meta: meta ?? entry.meta }));
}

function refusal(state: State, { key }: Body<"registry.create">): Reply<"registry.create"> {
  const entry = entries.find(state, key);
  return { ok: false, ...(entry ? { entry } : {}) };
}

function transact(state: State, { ops }: Body<"registry.transact">, ctx: Context): Reply<"registry.transact"> {
  for (const op of ops) if (op.op !== "remove") checkSize(state, op.bytes);
  const { added, conflict } = foresee(state, ops);
  if (conflict) return { ok: false, ...conflict };
  checkCapacity(state, added);
  return { ok: true, stamps: ops.map((op) => perform(state, op, ctx)) };
}

/** What the operations will come to, each seeing those before it. */
function foresee(
  state: State,
  ops: RegistryOperation[],
): { added: number; conflict?: { index: number; reason: RegistryConflict } } {
  /** Versions after the operations so far; undefined: absent. */
  const known = new Map<string, string | undefined>();
  let newest = state.version;
  let added = 0;
  for (const [index, op] of ops.entries()) {
    const before = known.has(op.key) ? known.get(op.key) : entries.find(state, op.key)?.version;
    const reason = conflictOf(op, before);
    if (reason) return { added, conflict: { index, reason } };
    const after = op.op === "remove" ? undefined : String(++newest);
    known.set(op.key, after);
    added += (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
  }
  return { added };
}

function conflictOf(op: RegistryOperation, current: string | undefined): RegistryConflict | undefined {
  if (op.op === "create") return current === undefined ? undefined : "exists";
  if (op.op !== "cas" || op.version === current) return undefined;
  return current === undefined ? "missing" : "version";
}

function perform(state: State, op: RegistryOperation, ctx: Context): EntryStamp | null {
  const entry = entries.find(state, op.key);
  if (op.op === "remove") {
    entries.remove(state, ctx, op.key, op.reason);
    return null;
  }
  return op.op === "cas" ? replace(state, op, ctx, entry!) : upsert(state, op, ctx, entry);
}

function list(state: State, { status, prefix = "", limit, afterKey }: Body<"registry.list">): Reply<"registry.list"> {
  const index = status === "active" ? state.active : state.tombstones;
  // One more, to know whether there is more.
  const found = index.page(prefix, limit + 1, afterKey);
  const more = found.length > limit;
  if (more) found.pop();
  return {
    entries: found.map(entries.recordOf),
    cursor: entries.cursorOf(state),
    ...(more ? { nextKey: found.at(-1)!.key } : {}),
  };
}
