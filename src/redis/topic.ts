import type { TopicDelivery, TopicEvent, TopicItem, TopicPublished, TopicStats } from "../protocol/commands.js";
import { formatCursor } from "../protocol/cursor.js";
import { anchorArgs, anchorReply, fragment, readReply } from "./log.js";
import { type Argument, type RedisKind, asBoolean, asIs } from "./script.js";

const DEFAULT_IDEMPOTENCY_TTL_MS = 7 * 24 * 3_600_000;

type RawPublished = [string, number, string?];
type RawDelivery = [string, string, number];
type RawClaimed = [string, RawDelivery[], number?, number?];
type RawStats = [string, number, number, number, ...(string | number)[]];

export const topicKind: RedisKind<"topic"> = {
  settings: (config) => ({ ...config }),
  sweep: "topic-sweep",
  goodbye: "topic-goodbye",
  scripts: {
    "topic.publish": {
      lua: "topic-publish",
      many: true,
      args: itemArgs,
      reply: publishedOf,
      repeatable: ({ idempotencyKey }) => Boolean(idempotencyKey),
    },
    "topic.publishMany": {
      lua: "topic-publishMany",
      args: ({ items }) => items.flatMap(itemArgs),
      reply: (raw: RawPublished[], { items }) => raw.map((published, i) => publishedOf(published, items[i]!)),
      repeatable: ({ items }) => items.every(({ idempotencyKey }) => Boolean(idempotencyKey)),
    },
    "topic.claim": {
      lua: "topic-claim",
      unordered: true,
      many: true,
      holds: true,
      args: ({ group, deliveryId, max }, { owner, callId, waitMs }) => [group, deliveryId, max, waitMs, owner, callId],
      reply([generation, deliveries, after, firstAvailable]: RawClaimed) {
        const found = deliveries.map((delivery) => deliveryOf(generation, delivery));
        if (after === undefined) return { deliveries: found };
        return {
          deliveries: found,
          gap: { after: formatCursor(generation, after), firstAvailable: formatCursor(generation, firstAvailable!) },
        };
      },
      none: () => ({ deliveries: [] }),
    },
    "topic.commit": { lua: "topic-commit", unordered: true, many: true, args: deliveryArgs, reply: asBoolean },
    "topic.touch": {
      lua: "topic-touch",
      unordered: true,
      many: true,
      holds: true,
      args: deliveryArgs,
      reply: asBoolean,
    },
    "topic.release": {
      lua: "topic-release",
      unordered: true,
      args: ({ group, deliveryIds }) => [group, ...deliveryIds],
      reply: asIs,
    },
    "topic.reclaim": {
      lua: "topic-reclaim",
      holds: true,
      args: ({ group, deliveryId, minIdleMs, count }, { owner }) => [group, deliveryId, minIdleMs, count, owner],
      reply: ([generation, deliveries]: RawClaimed) => ({
        deliveries: deliveries.map((delivery) => deliveryOf(generation, delivery)),
      }),
    },
    "topic.anchor": { lua: "topic-anchor", args: anchorArgs, reply: anchorReply },
    "topic.read": { lua: "topic-read", args: ({ after, limit }) => [after, limit], reply: readReply<TopicEvent> },
    "topic.stats": { lua: "topic-stats", args: () => [], reply: statsOf },
  },
  async peek(port, limit) {
    const { n } = await port.call("topic.anchor", { after: "$" });
    const { events } = await port.call("topic.read", { after: Math.max(0, n - limit), limit });
    return events;
  },
};

function itemArgs(item: TopicItem): Argument[] {
  const { eventId, data, meta, orderingKey, bytes, idempotencyKey, idempotencyTtlMs } = item;
  return [
    fragment({ eventId, data, meta, orderingKey }),
    bytes,
    idempotencyKey ?? "",
    idempotencyTtlMs ?? DEFAULT_IDEMPOTENCY_TTL_MS,
    eventId,
  ];
}

function deliveryArgs({ group, deliveryId }: { group: string; deliveryId: string }): Argument[] {
  return [group, deliveryId];
}

function publishedOf([generation, n, earlier]: RawPublished, { eventId }: TopicItem): TopicPublished {
  const cursor = formatCursor(generation, n);
  // Its own id: it was sent again.
  return earlier === undefined || earlier === eventId ? { cursor } : { cursor, duplicateOf: earlier };
}

function deliveryOf(generation: string, [text, deliveryId, attempt]: RawDelivery): TopicDelivery {
  const event = JSON.parse(text) as TopicEvent;
  return { ...event, deliveryId, attempt, cursor: formatCursor(generation, event.n) };
}

function statsOf([generation, head, entries, waiters, ...counts]: RawStats): TopicStats {
  const groups: [string, { lag: number; pending: number }][] = [];
  for (let i = 0; i < counts.length; i += 3) {
    groups.push([counts[i] as string, { lag: counts[i + 1] as number, pending: counts[i + 2] as number }]);
  }
  return { entries, cursor: formatCursor(generation, head), groups: Object.fromEntries(groups), waiters };
}
