import { type CommandTraits, grow, read, shrink } from "./traits.js";

export interface QueueConfig {
  ordering: "best_effort" | "ordering_key_partitioned";
  payloadBytes: number;
  maxMessageAgeMs: number;
  maxNackDelayMs: number;
  dlqRetentionMs: number;
  /** 0: no bound. */
  maxMessages: number;
  maxDead: number;
  maxIdempotencyKeys: number;
  defaultLeaseMs: number;
  maxDeliveries: number;
}

/** A message as it is sent. */
export interface QueueItem {
  messageId: string;
  data: string;
  /** UTF-8 bytes of data + meta + orderingKey. */
  bytes: number;
  meta?: string;
  orderingKey?: string;
  delayMs?: number;
  priority?: number;
  idempotencyKey?: string;
  idempotencyTtlMs?: number;
}

/** A message as it is handed out. */
export interface QueueDelivery {
  messageId: string;
  deliveryId: string;
  data: string;
  attempt: number;
  leaseUntil: number;
  meta?: string;
  orderingKey?: string;
}

export interface DeadEntry {
  messageId: string;
  data: string;
  attempts: number;
  movedAt: number;
  reason: string;
  lastError?: string;
  meta?: string;
  orderingKey?: string;
}

/** Counts of a queue, each known in O(1). */
export interface QueueStats {
  /** Waiting, delayed and leased together. */
  depth: number;
  /** Could be received now (in partitioned mode: plus those behind a message of their key). */
  ready: number;
  delayed: number;
  leased: number;
  dead: number;
  /** Parked `recv` calls. */
  waiters: number;
  idempotencyKeys: number;
  paused: boolean;
}

/** One message, looked at without claiming it. */
export interface QueuePeek {
  messageId: string;
  /** The JSON text, as it is stored. */
  data: string;
  at: "ready" | "delayed" | "leased";
  attempt: number;
  priority: number;
  orderingKey?: string;
  /** When it is due (delayed) or when its lease ends (leased). */
  untilAt?: number;
  /** The tab that holds it (leased): its `backend.status.tabId`. */
  by?: string;
}

export interface QueueCommands {
  /** null: accepted under its own id. A string: the id of the message that the idempotency key already named. */
  "queue.send": { body: QueueItem; reply: string | null };
  "queue.sendMany": { body: { items: QueueItem[] }; reply: (string | null)[] | null };
  /** Delivery ids are `deliveryId` for max 1, else `deliveryId.0`, `deliveryId.1` … */
  "queue.claim": {
    body: { deliveryId: string; max: number; waitMs: number; leaseMs?: number; consumerId?: string };
    reply: QueueDelivery[];
  };
  "queue.ack": { body: { deliveryId: string }; reply: boolean };
  "queue.nack": {
    body: {
      deliveryId: string;
      delayMs?: number;
      reason?: string;
      error?: string;
      deadLetter?: boolean;
      /** With deadLetter: put off for this long, at most `maxNackDelayMs`, when the dead letters are full. */
      elseDelayMs?: number;
    };
    reply: boolean;
  };
  /** The new end of the lease, or null when the delivery is no longer the caller's. */
  "queue.touch": { body: { deliveryId: string; leaseMs?: number }; reply: number | null };
  /** Hands claimed messages back: to the front, attempt not counted. */
  "queue.release": { body: { deliveryIds: string[] }; reply: number };
  "queue.pause": { body: Record<string, never>; reply: null };
  "queue.resume": { body: Record<string, never>; reply: null };
  "queue.purge": { body: Record<string, never>; reply: number };
  "queue.stats": { body: Record<string, never>; reply: QueueStats };
  "queue.peek": { body: { limit: number }; reply: QueuePeek[] };
  "queue.listDead": { body: { limit: number; after?: string }; reply: { entries: DeadEntry[]; next?: string } };
  "queue.removeDead": { body: { messageId: string }; reply: boolean };
  /** Without `messageIds`: all. */
  "queue.redriveDead": { body: { messageIds?: string[]; delayMs?: number }; reply: number };
  "queue.purgeDead": { body: Record<string, never>; reply: number };
}

export const queueTraits = {
  "queue.send": grow,
  "queue.sendMany": grow,
  "queue.claim": read,
  "queue.ack": shrink,
  "queue.nack": shrink,
  "queue.touch": read,
  "queue.release": shrink,
  "queue.pause": shrink,
  "queue.resume": shrink,
  "queue.purge": shrink,
  "queue.stats": read,
  "queue.peek": read,
  "queue.listDead": read,
  "queue.removeDead": shrink,
  "queue.redriveDead": shrink,
  "queue.purgeDead": shrink,
} satisfies Record<keyof QueueCommands, CommandTraits>;
