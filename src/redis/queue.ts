import type { DeadEntry, QueueDelivery, QueueItem, QueuePeek } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { utf8Bytes } from "../protocol/json.js";
import { type Argument, type RedisKind, asBoolean, asIs, asNull } from "./script.js";

const DEFAULT_PRIORITY = 5;
const DEFAULT_IDEMPOTENCY_TTL_MS = 7 * 24 * 3_600_000;
/** The length of what there is not. */
const NONE = -1;

type RawDead = [record: string, attempts: number, movedAt: number, reason: string, error: string];
type RawPeek = [record: string, at: QueuePeek["at"], attempt: number, until: number | null, by: string | null];

export const queueKind: RedisKind<"queue"> = {
  settings: ({ ordering, ...limits }) => ({ ...limits, keyed: ordering === "ordering_key_partitioned" ? 1 : 0 }),
  sweep: "queue-sweep",
  scripts: {
    "queue.send": {
      lua: "queue-send",
      many: true,
      args: itemArgs,
      plain: {
        lua: "queue-sendPlain",
        many: true,
        suits: (item) => optionsOf(item) === "" && item.orderingKey === undefined,
        args: (item) => [recordOf(item), item.bytes],
      },
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
      unordered: true,
      many: true,
      args: ({ deliveryId, max, leaseMs }, { owner, callId, waitMs }) => [
        deliveryId,
        max,
        leaseMs ?? 0,
        waitMs,
        owner,
        callId,
      ],
      reply: deliveriesOf,
      none: () => [],
    },
    "queue.ack": {
      lua: "queue-ack",
      unordered: true,
      many: true,
      args: ({ deliveryId }) => [deliveryId],
      reply: asBoolean,
    },
    "queue.nack": {
      lua: "queue-nack",
      unordered: true,
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
      unordered: true,
      many: true,
      args: ({ deliveryId, leaseMs }) => [deliveryId, leaseMs ?? 0],
      reply: asIs,
    },
    "queue.release": { lua: "queue-release", unordered: true, args: ({ deliveryIds }) => deliveryIds, reply: asIs },
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

/** As queue-send.lua wants it. */
function itemArgs(item: QueueItem): Argument[] {
  return [recordOf(item), item.bytes, optionsOf(item)];
}

/** Most messages have none. */
function optionsOf({ messageId, delayMs, priority, idempotencyKey, idempotencyTtlMs }: QueueItem): string {
  if (!delayMs && (priority === undefined || priority === DEFAULT_PRIORITY) && !idempotencyKey) return "";
  const ttl = idempotencyTtlMs ?? DEFAULT_IDEMPOTENCY_TTL_MS;
  return `${delayMs ?? 0} ${priority ?? DEFAULT_PRIORITY} ${ttl} ${messageId}\n${idempotencyKey ?? ""}`;
}

/** What is stored (prelude-queue.lua), but for the time in front, which the script puts there. */
function recordOf({ messageId, data, meta, orderingKey, priority = DEFAULT_PRIORITY }: QueueItem): string {
  if (meta === undefined && orderingKey === undefined && priority === DEFAULT_PRIORITY) return `${messageId}\n${data}`;
  const keyBytes = orderingKey === undefined ? NONE : utf8Bytes(orderingKey);
  const lengths = `${priority} ${keyBytes} ${orderingKey?.length ?? NONE} ${meta?.length ?? NONE}`;
  return `${messageId} ${lengths}\n${orderingKey ?? ""}${meta ?? ""}${data}`;
}

interface QueueRecord {
  messageId: string;
  data: string;
  priority: number;
  orderingKey?: string;
  meta?: string;
}

function readRecord(record: string): QueueRecord {
  const end = record.indexOf("\n");
  const [, messageId, priority, , keyLength, metaLength] = record.slice(0, end).split(" ");
  if (priority === undefined) return { messageId: messageId!, data: record.slice(end + 1), priority: DEFAULT_PRIORITY };
  let at = end + 1;
  const take = (length: number): string => record.slice(at, (at += length));
  const orderingKey = Number(keyLength) === NONE ? {} : { orderingKey: take(Number(keyLength)) };
  const meta = Number(metaLength) === NONE ? {} : { meta: take(Number(metaLength)) };
  return { messageId: messageId!, data: record.slice(at), priority: Number(priority), ...orderingKey, ...meta };
}

/** A claim's reply: record, attempt, end of the lease of each. */
function deliveriesOf(
  raw: (string | number)[],
  { deliveryId, max }: { deliveryId: string; max: number },
): QueueDelivery[] {
  const deliveries: QueueDelivery[] = [];
  for (let at = 0; at < raw.length; at += 3) {
    const { priority: _, ...message } = readRecord(raw[at] as string);
    deliveries.push({
      ...message,
      deliveryId: max === 1 ? deliveryId : `${deliveryId}.${deliveries.length}`,
      attempt: raw[at + 1] as number,
      leaseUntil: raw[at + 2] as number,
    });
  }
  return deliveries;
}

function deadOf([record, attempts, movedAt, reason, error]: RawDead): DeadEntry {
  const { priority: _, ...message } = readRecord(record);
  return { ...message, attempts, movedAt, reason, ...(error === "" ? {} : { lastError: error }) };
}

function peekOf([record, at, attempt, untilAt, by]: RawPeek): QueuePeek {
  const { meta: _, ...message } = readRecord(record);
  return { ...message, at, attempt, ...(untilAt === null ? {} : { untilAt }), ...(by === null ? {} : { by }) };
}

const given = (value: string | undefined): Argument[] => (value === undefined ? [0, ""] : [1, value]);
