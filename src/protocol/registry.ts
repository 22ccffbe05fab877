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

export interface RegistryConfig extends EntriesConfig {
  tombstoneRetentionMs: number;
  /** Expired entries that one sweep takes, where sweeping is a step of its own (Redis). */
  reconcileBatchSize: number;
}

export interface RegistryWrite {
  key: string;
  value: string;
  /** UTF-8 bytes of value + meta. */
  bytes: number;
  ttlMs?: number;
  meta?: string;
}

export interface RegistryCas extends Omit<RegistryWrite, "ttlMs"> {
  version: string;
}

export interface RegistryRemoval {
  key: string;
  reason?: string;
}

export type RegistryOperation =
  ({ op: "upsert" | "create" } & RegistryWrite) | ({ op: "cas" } & RegistryCas) | ({ op: "remove" } & RegistryRemoval);

/** Why a transaction was not made: what was to be created exists, what was to be replaced is absent or another. */
export type RegistryConflict = "exists" | "missing" | "version";

/** One stamp per operation, null for removals. */
export type RegistryTransacted =
  { ok: true; stamps: (EntryStamp | null)[] } | { ok: false; index: number; reason: RegistryConflict };

export interface RegistryStats extends EntriesStats {
  /** Expired entries that are kept to be looked at. */
  tombstones: number;
}

export interface RegistryCommands {
  "registry.upsert": { body: RegistryWrite; reply: EntryStamp };
  /** `entry`: what is there instead. */
  "registry.create": {
    body: RegistryWrite;
    reply: { ok: true; stamp: EntryStamp } | { ok: false; entry?: EntryRecord };
  };
  /** null: absent, or another version. */
  "registry.cas": { body: RegistryCas; reply: EntryStamp | null };
  /** null: absent, or without a ttl. */
  "registry.touch": { body: { key: string }; reply: { version: string; expiresAt: number } | null };
  "registry.remove": { body: RegistryRemoval; reply: boolean };
  "registry.transact": { body: { ops: RegistryOperation[] }; reply: RegistryTransacted };
  "registry.get": { body: { key: string; includeExpired?: boolean }; reply: EntryRecord | null };
  "registry.list": {
    body: { status: "active" | "expired"; limit: number; prefix?: string; afterKey?: string };
    reply: EntryPage & { nextKey?: string };
  };
  "registry.anchor": EntriesAnchor;
  "registry.read": EntriesRead;
  "registry.stats": { body: Record<string, never>; reply: RegistryStats };
}

export const registryTraits = {
  "registry.upsert": grow,
  "registry.create": grow,
  "registry.cas": grow,
  // Made twice it moves the end twice, to the same effect.
  "registry.touch": read,
  "registry.remove": shrink,
  "registry.transact": grow,
  "registry.get": read,
  "registry.list": read,
  "registry.anchor": read,
  "registry.read": read,
  "registry.stats": read,
} satisfies Record<keyof RegistryCommands, CommandTraits>;

/** What the instance's log holds, as it is announced. */
export type RegistryEvents = { type: "registry.changed"; event: EntryChange };
