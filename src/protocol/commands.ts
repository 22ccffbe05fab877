/**
 * Every command that a client may give to a backend: the name, the body, the reply. The same names and fields are used
 * by the engine's rules, the hub's wire and the Redis scripts.
 *
 * Rules for a new command: it touches one instance only; ids come with it (the client makes them); payloads are opaque
 * JSON text, "" standing for `undefined`; absent fields mean the documented default.
 */

export type Kind = "queue" | "topic";

/** memory: dies with the hub. relaxed: survives tab, worker, browser. strict: flushed to disk before the answer. */
export type Durability = "memory" | "relaxed" | "strict";

/** What makes two handles share state. */
export interface InstanceName {
  prefix: string;
  kind: Kind;
  tenantId: string;
  id: string;
}

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

export interface TopicConfig {
  payloadBytes: number;
  retentionMs: number;
  maxLen: number;
  reclaimAfterMs: number;
}

export interface Configs {
  queue: QueueConfig;
  topic: TopicConfig;
}

export interface OpenBody {
  name: InstanceName;
  config: Configs[Kind];
  durability: Durability;
  /** Becomes the log generation if this call creates the instance. */
  seed: string;
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

export interface TopicItem {
  eventId: string;
  data: string;
  bytes: number;
  meta?: string;
  orderingKey?: string;
  idempotencyKey?: string;
  idempotencyTtlMs?: number;
}

/** Where an event stands; `eventId` only when the idempotency key named an earlier one. */
export interface TopicPublished {
  cursor: string;
  duplicateOf?: string;
}

export interface TopicEvent {
  n: number;
  eventId: string;
  data: string;
  publishedAt: number;
  meta?: string;
  orderingKey?: string;
}

export interface TopicDelivery extends TopicEvent {
  deliveryId: string;
  cursor: string;
  attempt: number;
}

export interface Gap {
  after: string;
  firstAvailable: string;
}

export interface TopicStats {
  /** Events retained. */
  entries: number;
  /** The cursor of the newest event. */
  cursor: string;
  groups: Record<string, { lag: number; pending: number }>;
  /** Parked `recv` calls. */
  waiters: number;
}

export interface Commands {
  "instance.open": { body: OpenBody; reply: { durability: Durability } };
  /** Whether this tab hears the instance's events. */
  "instance.listen": { body: { on: boolean }; reply: null };

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

  "topic.publish": { body: TopicItem; reply: TopicPublished };
  "topic.publishMany": { body: { items: TopicItem[] }; reply: TopicPublished[] };
  "topic.claim": {
    body: { group: string; deliveryId: string; max: number; waitMs: number; consumerId?: string };
    reply: { deliveries: TopicDelivery[]; gap?: Gap };
  };
  "topic.commit": { body: { group: string; deliveryId: string }; reply: boolean };
  "topic.touch": { body: { group: string; deliveryId: string }; reply: boolean };
  "topic.release": { body: { group: string; deliveryIds: string[] }; reply: number };
  "topic.reclaim": {
    body: { group: string; deliveryId: string; minIdleMs: number; count: number };
    reply: { deliveries: TopicDelivery[] };
  };
  /** Resolves "0", "$" or a cursor to a place in the log. */
  "topic.anchor": { body: { after: string }; reply: { generation: string; n: number; gap?: Gap } };
  "topic.read": { body: { after: number; limit: number }; reply: { events: TopicEvent[]; head: number; gap?: Gap } };
  "topic.stats": { body: Record<string, never>; reply: TopicStats };
}

export type CommandName = keyof Commands;
export type Body<Op extends CommandName> = Commands[Op]["body"];
export type Reply<Op extends CommandName> = Commands[Op]["reply"];

/**
 * What a re-sent command may do to a hub that may have run it before.
 * - `once`: has an effect; the hub must know whether it ran.
 * - `rerun`: reads, claims that find their own lease, and settings that are the same when made twice.
 */
export type Resend = "once" | "rerun";

export interface CommandTraits {
  resend: Resend;
  /** Writes more than it removes: refused while the origin's storage is full. */
  grows: boolean;
}

const read: CommandTraits = { resend: "rerun", grows: false };
const shrink: CommandTraits = { resend: "once", grows: false };
const grow: CommandTraits = { resend: "once", grows: true };

export const commandTraits = {
  "instance.open": { resend: "rerun", grows: true },
  "instance.listen": read,
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
  "topic.publish": grow,
  "topic.publishMany": grow,
  "topic.claim": read,
  "topic.commit": shrink,
  "topic.touch": read,
  "topic.release": shrink,
  "topic.reclaim": read,
  "topic.anchor": read,
  "topic.read": read,
  "topic.stats": read,
} as const satisfies Record<CommandName, CommandTraits>;
