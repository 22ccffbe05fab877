/** Entries that all end by themselves: at their deadline, or with the tab or handle they are bound to (entries.ts). */
import type { EphemeralConfig, HeldEntry } from "../protocol/commands.js";
import { EphemeralCapacityError, EphemeralPayloadTooLargeError } from "../protocol/errors.js";
import * as entries from "./entries.js";
import {
  type EntriesState,
  type EntriesTraits,
  createState,
  entries as entryTable,
  restore,
  versions,
} from "./entries-state.js";
import { compareCodePoints } from "./key-index.js";
import type { Context, Primitive } from "./primitive.js";

type State = EntriesState<EphemeralConfig>;

const traits: EntriesTraits = { announces: "ephemeral.changed", countsAll: true, tombstoneMs: () => undefined };

export const ephemeral: Primitive<State, "ephemeral"> = {
  kind: "ephemeral",
  create: (config, seed) => createState(config, seed, traits),
  configure(state, config) {
    state.config = config;
  },
  restore,
  peek: entries.peek,
  dueAt: entries.dueAt,
  wake: entries.wake,
  release(state, { owner }, ctx) {
    if (!state.bound.has(owner)) return;
    // No command woke it: what is over has expired, whatever its tab did then.
    entries.wake(state, ctx);
    for (const key of boundTo(state, owner)) entries.remove(state, ctx, key, "tab_gone");
  },
  owners: (state) => state.bound.keys(),
  rules: {
    "ephemeral.upsert": {
      run(state, { key, value, bytes, ttlMs, handle }, ctx) {
        const { maxPayloadBytes } = state.config;
        if (bytes > maxPayloadBytes) {
          throw new EphemeralPayloadTooLargeError({ limitBytes: maxPayloadBytes, actualBytes: bytes });
        }
        const earlier = entries.find(state, key);
        if (earlier === undefined && isFull(state)) {
          throw new EphemeralCapacityError({ bound: "maxEntries", limit: state.config.maxEntries });
        }
        const createdAt = earlier?.createdAt ?? ctx.now;
        const bound = handle === undefined ? undefined : { tab: ctx.owner, handle };
        return entries.stampOf(entries.save(state, ctx, { key, value, createdAt, ttlMs, meta: undefined, bound }));
      },
    },
    "ephemeral.touch": {
      run(state, { key, ttlMs }, ctx) {
        const entry = entries.find(state, key);
        return entry ? entries.touch(state, ctx, entry, ttlMs) : null;
      },
    },
    "ephemeral.remove": {
      run: (state, { key, reason }, ctx) => entries.remove(state, ctx, key, reason),
      recall: () => true,
      usual: (reply) => reply,
    },
    "ephemeral.get": { run: (state, { key }) => entries.find(state, key) ?? null },
    "ephemeral.snapshot": { run: (state, { prefix }) => entries.page(state, prefix) },
    "ephemeral.unbind": {
      run(state, { handle }, ctx) {
        for (const key of boundTo(state, ctx.owner)) {
          if (entries.find(state, key)?.bound?.handle === handle) entries.remove(state, ctx, key, "closed");
        }
        return null;
      },
    },
    "ephemeral.assert": {
      run: (state, { handle, entries: held }, ctx) =>
        held.filter((entry) => !reassert(state, entry, handle, ctx)).map(({ key }) => key),
    },
    "ephemeral.anchor": { run: (state, { after }) => entries.anchor(state, after) },
    "ephemeral.read": { run: entries.readChanges },
    "ephemeral.stats": {
      run: (state) => ({
        entries: state.active.size,
        events: state.log.events.length,
        cursor: entries.cursorOf(state),
      }),
    },
  },
};

/** A copy, in an order that a restore knows, too. */
function boundTo(state: State, tab: string): string[] {
  return [...(state.bound.get(tab) ?? [])].sort(compareCodePoints);
}

function isFull({ config, active }: State): boolean {
  return active.size >= config.maxEntries;
}

/** Whether the handle holds the entry now. What is there wins over what a tab remembers. */
function reassert(state: State, told: HeldEntry, handle: string, ctx: Context): boolean {
  const { key, value, ttlMs, createdAt } = told;
  const current = entries.find(state, key);
  const bound = { tab: ctx.owner, handle };
  if (current) {
    if (current.bound?.handle !== handle) return false;
    // The tab came back under another name; its old one must not take the entry along.
    if (current.bound.tab !== ctx.owner) ctx.put(entryTable, key, { ...current, bound });
    return true;
  }
  if (isFull(state)) return false;
  // Versions go on where those of the lost memory ended.
  if (Number(told.version) > state.version) ctx.put(versions, "version", Number(told.version));
  entries.save(state, ctx, { key, value, createdAt, ttlMs, meta: undefined, bound });
  return true;
}
