import { type CommandTraits, read } from "./traits.js";

/** How a lock shares its resource: with nobody, or with others that share. */
export type LockMode = "exclusive" | "shared";

/** Everything that can be set belongs to a call. */
export type MutexConfig = Record<string, never>;

/** A lock as its holder tells a new hub. `ttlMs`: what is left. */
export interface AssertedLock {
  resource: string;
  value: string;
  token: number;
  mode: LockMode;
  ttlMs: number;
}

export interface LockGrant {
  token: number;
  /** When its ttl ends, by the hub's clock. */
  expiresAt: number;
}

/** One holder of a resource. */
export interface LockHolder {
  /** The lock's own name, as in `lock.value`. */
  value: string;
  token: number;
  mode: LockMode;
  /** When its ttl ends: epoch milliseconds of the hub's clock, on Redis of its holder's. */
  expiration: number;
  /** The tab that holds it: its `backend.status.tabId`. */
  by: string;
}

export interface MutexStats {
  /** Locks held. */
  held: number;
  /** Resources that are held. */
  resources: number;
  /** Parked `acquire` calls. */
  waiters: number;
}

export interface MutexCommands {
  /** null: not to be had within `waitMs`. */
  "mutex.acquire": {
    body: { resource: string; value: string; ttlMs: number; mode: LockMode; waitMs: number };
    reply: LockGrant | null;
  };
  "mutex.release": { body: { resource: string; value: string }; reply: null };
  /** The new end, or null when the lock is no longer the caller's. */
  "mutex.extend": { body: { resource: string; value: string; ttlMs: number }; reply: number | null };
  /** Told to a new hub by those who hold. For each the end of its ttl, or null when it is lost. */
  "mutex.assert": { body: { locks: AssertedLock[] }; reply: (number | null)[] };
  "mutex.query": { body: { resource: string }; reply: { holders: LockHolder[]; waiting: number } };
  "mutex.stats": { body: Record<string, never>; reply: MutexStats };
}

/** All may be run again: an acquire finds its own lock, a release nothing. */
export const mutexTraits = {
  "mutex.acquire": read,
  "mutex.release": read,
  "mutex.extend": read,
  "mutex.assert": read,
  "mutex.query": read,
  "mutex.stats": read,
} satisfies Record<keyof MutexCommands, CommandTraits>;
