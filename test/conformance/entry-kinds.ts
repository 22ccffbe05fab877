import { z } from "zod";
import type { EntryEvent, EntryReader } from "../../src/memory.js";
import type { World } from "./case.js";

export type Event = EntryEvent<{ readonly key: string; readonly value: unknown }>;
type Reader = EntryReader<{ readonly key: string; readonly value: unknown }>;

/** What registry and ephemeral have in common, as these cases use it. */
export interface Entries {
  upsert(options: { key: string; value: string; ttlMs?: number; tenantId?: string }): Promise<unknown>;
  touch(options: { key: string }): Promise<unknown>;
  remove(options: { key: string; reason?: string }): Promise<boolean>;
  reader(options?: { prefix?: string; after?: string; tenantId?: string }): Reader;
  stats(): Promise<{ cursor: string; events: number }>;
  close(): Promise<void>;
}

export interface EntryLimits {
  eventMaxLen?: number;
  eventRetentionMs?: number;
}

export type Make = (world: World, id: string, limits?: EntryLimits) => Entries;

export const MINUTE = 60_000;
const schema = z.string();

export const makers = {
  registry: (world, id, limits = {}) => world.registry({ id, schema, limits }),
  ephemeral: (world, id, limits = {}) => world.ephemeral({ id, schema, limits, ttlMs: MINUTE }),
} satisfies Record<string, Make>;

export async function fill(entries: Entries, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) await entries.upsert({ key: `k/${i}`, value: String(i) });
}

export const upserts = (...numbers: number[]): string[] => numbers.map((i) => `upsert k/${i} "${i}"`);
