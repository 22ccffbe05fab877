import { type CommandTraits, grow, read, shrink } from "./traits.js";

export interface TopicConfig {
  payloadBytes: number;
  retentionMs: number;
  maxLen: number;
  reclaimAfterMs: number;
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

export interface TopicCommands {
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

export const topicTraits = {
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
} satisfies Record<keyof TopicCommands, CommandTraits>;

export type TopicEvents = { type: "topic.published"; event: TopicEvent };
