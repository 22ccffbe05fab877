import type { DeadEntry, QueueDelivery, QueueItem, QueuePeek } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { type Argument, type RedisKind, asBoolean, asIs, asNull } from "./script.js";

const DEFAULT_PRIORITY = 5;
const DEFAULT_IDEMPOTENCY_TTL_MS = 7 * 24 * 3_600_000;

type RawDelivery = [string, string, string, number, number, string | null, string | null];
type RawDead = [string, string, number, number, string, string, string | null, string | null];
type RawPeek = [string, string, QueuePeek["at"], number, number, string | null, number | null, string | null];

export const queueKind: RedisKind<"queue"> = {
  settings: ({ ordering, ...limits }) => ({ ...limits, keyed: ordering === "ordering_key_partitioned" ? 1 : 0 }),
  sweep: "queue-sweep",
  scripts: {
    "queue.send": {
      lua: "queue-send",
      many: true,
      args: itemArgs,
      reply: asIs,
      repeatable: ({ idempotencyKey }) => Boolean(idempotencyKey),
    },
    "queue.sendMany": {
      lua: "queue-sendMany",
      args: ({ items }) => items.flatMap(itemArgs),
      reply: asIs,
      repeatable: ({ items }) => items.every(({ idempotencyKey }) => Boolean(idempotencyKey)),
    },
    "queue.claim": {
      lua: "queue-claim",
      many: true,
      args: ({ deliveryId, max, leaseMs }, { owner, callId, waitMs }) => [
        deliveryId,
        max,
        leaseMs ?? 0,
        waitMs,
        owner,
        callId,
      ],
      reply: (raw: RawDelivery[]) => raw.map(deliveryOf),
      none: () => [],
    },
    "queue.ack": { lua: "queue-ack", many: true, args: ({ deliveryId }) => [deliveryId], reply: asBoolean },
    "queue.nack": {
      lua: "queue-nack",
      args: ({ deliveryId, delayMs, reason, error, deadLetter, elseDelayMs }) => [
        deliveryId,
        delayMs ?? 0,
        deadLetter ? 1 : 0,
        elseDelayMs ?? -1,
        ...given(reason),
        ...given(error),
      ],
      reply: asBoolean,
    },
    "queue.touch": {
      lua: "queue-touch",
      many: true,
      args: ({ deliveryId, leaseMs }) => [deliveryId, leaseMs ?? 0],
      reply: asIs,
    },
    "queue.release": { lua: "queue-release", args: ({ deliveryIds }) => deliveryIds, reply: asIs },
    "queue.pause": { lua: "queue-pause", args: () => [], reply: asNull, repeatable: () => true },
    "queue.resume": { lua: "queue-resume", args: () => [], reply: asNull, repeatable: () => true },
    "queue.purge": { lua: "queue-purge", args: () => [], reply: asIs },
    "queue.stats": {
      lua: "queue-stats",
      args: () => [],
      reply: ([depth, delayed, leased, dead, waiters, idempotencyKeys, paused]: [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ]) => ({
        depth,
        ready: depth - delayed - leased,
        delayed,
        leased,
        dead,
        waiters,
        idempotencyKeys,
        paused: paused === 1,
      }),
    },
    "queue.peek": { lua: "queue-peek", args: ({ limit }) => [limit], reply: (raw: RawPeek[]) => raw.map(peekOf) },
    "queue.listDead": {
      lua: "queue-listDead",
      args: ({ limit, after = "0" }) => {
        if (!/^\d{1,15}$/.test(after)) throw new ValidationError(`"after" is not a cursor of this list`);
        return [limit, after];
      },
      reply: ([entries, next]: [RawDead[], string | null]) => ({
        entries: entries.map(deadOf),
        ...(next === null ? {} : { next }),
      }),
    },
    "queue.removeDead": { lua: "queue-removeDead", args: ({ messageId }) => [messageId], reply: asBoolean },
    "queue.redriveDead": {
      lua: "queue-redriveDead",
      args: ({ messageIds, delayMs }) => [delayMs ?? 0, messageIds ? 0 : 1, ...(messageIds ?? [])],
      reply: asIs,
    },
    "queue.purgeDead": { lua: "queue-purgeDead", args: () => [], reply: asIs },
  },
  tracks: {
    taken: (op, reply) => (op === "queue.claim" ? (reply as QueueDelivery[]).map(({ deliveryId }) => deliveryId) : []),
    settled(op, body) {
      if (op === "queue.ack" || op === "queue.nack") return [(body as { deliveryId: string }).deliveryId];
      return op === "queue.release" ? (body as { deliveryIds: string[] }).deliveryIds : [];
    },
    handBack: async (port, deliveryIds) => port.call("queue.release", { deliveryIds: [...deliveryIds] }),
  },
  peek: async (port, limit) => port.call("queue.peek", { limit }),
};

function itemArgs(item: QueueItem): Argument[] {
  const { messageId, data, bytes, meta, orderingKey, delayMs, priority, idempotencyKey, idempotencyTtlMs } = item;
  return [
    messageId,
    data,
    bytes,
    meta ?? "",
    orderingKey ?? "",
    delayMs ?? 0,
    priority ?? DEFAULT_PRIORITY,
    idempotencyKey ?? "",
    idempotencyTtlMs ?? DEFAULT_IDEMPOTENCY_TTL_MS,
    meta === undefined ? 0 : 1,
    orderingKey === undefined ? 0 : 1,
  ];
}

const given = (value: string | undefined): Argument[] => (value === undefined ? [0, ""] : [1, value]);

function deliveryOf([messageId, deliveryId, data, attempt, leaseUntil, meta, orderingKey]: RawDelivery): QueueDelivery {
  return {
    messageId,
    deliveryId,
    data,
    attempt,
    leaseUntil,
    ...(meta === null ? {} : { meta }),
    ...(orderingKey === null ? {} : { orderingKey }),
  };
}

function deadOf([messageId, data, attempts, movedAt, reason, error, orderingKey, meta]: RawDead): DeadEntry {
  return {
    messageId,
    data,
    attempts,
    movedAt,
    reason,
    ...(error === "" ? {} : { lastError: error }),
    ...(orderingKey === null ? {} : { orderingKey }),
    ...(meta === null ? {} : { meta }),
  };
}

function peekOf([messageId, data, at, attempt, priority, orderingKey, untilAt, by]: RawPeek): QueuePeek {
  return {
    messageId,
    data,
    at,
    attempt,
    priority,
    ...(orderingKey === null ? {} : { orderingKey }),
    ...(untilAt === null ? {} : { untilAt }),
    ...(by === null ? {} : { by }),
  };
}
