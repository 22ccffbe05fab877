import type {
  EntriesAnchor,
  EntriesConfig,
  EntriesRead,
  EntriesStats,
  EntryChange,
  EntryPage,
  EntryRecord,
  EntryStamp,
} from "./entries.js";
import { type CommandTraits, grow, read, shrink } from "./traits.js";

export type EphemeralConfig = EntriesConfig;

export interface EphemeralWrite {
  key: string;
  value: string;
  bytes: number;
  ttlMs: number;
  /** The handle that the entry is bound to, and through it the caller's tab. */
  handle?: string;
}

/** What a tab still holds, as it knows it. */
export interface HeldEntry {
  key: string;
  value: string;
  /** What is left of it. */
  ttlMs: number;
  createdAt: number;
  version: string;
}

export interface EphemeralCommands {
  "ephemeral.upsert": { body: EphemeralWrite; reply: EntryStamp };
  /** null: absent. */
  "ephemeral.touch": { body: { key: string; ttlMs: number }; reply: { version: string; expiresAt: number } | null };
  "ephemeral.remove": { body: { key: string; reason?: string }; reply: boolean };
  "ephemeral.get": { body: { key: string }; reply: EntryRecord | null };
  "ephemeral.snapshot": { body: { prefix?: string }; reply: EntryPage };
  /** Ends what is bound to a handle. */
  "ephemeral.unbind": { body: { handle: string }; reply: null };
  /** Tells a hub what a handle holds; the keys that it does not hold any more. */
  "ephemeral.assert": { body: { handle: string; entries: HeldEntry[] }; reply: string[] };
  "ephemeral.anchor": EntriesAnchor;
  "ephemeral.read": EntriesRead;
  "ephemeral.stats": { body: Record<string, never>; reply: EntriesStats };
}

export const ephemeralTraits = {
  "ephemeral.upsert": grow,
  // Made twice it moves the end twice, to the same effect; after a hub's death a heartbeat goes on.
  "ephemeral.touch": read,
  "ephemeral.remove": shrink,
  "ephemeral.get": read,
  "ephemeral.snapshot": read,
  "ephemeral.unbind": read,
  "ephemeral.assert": read,
  "ephemeral.anchor": read,
  "ephemeral.read": read,
  "ephemeral.stats": read,
} satisfies Record<keyof EphemeralCommands, CommandTraits>;

/** What the instance's log holds, as it is announced. */
export type EphemeralEvents = { type: "ephemeral.changed"; event: EntryChange };
