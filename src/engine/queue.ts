/**
 * A queue.
 *
 *                 send                     claim
 *   (new) ──────────────────────▶ ready ─────────▶ leased ── ack ──▶ (gone)
 *     │ delayMs                   ▲ ▲ ▲              │ │ │
 *     └──────────▶ delayed ── due ┘ │ └─ lease over ─┘ │ └── nack deadLetter, or attempts used up ──▶ dead
 *                     ▲             └── nack, release ─┤                                              │ redrive
 *                     └──────────────── nack delayMs ──┘                     (new message, same id) ◀─┘
 *
 * - Lease over and nack: to the back of the line. Handed back (`release`) and a holder that died: to the place it had.
 * - Partitioned: one message of a key at a time; what returns stays first of its key (queue-ready.ts).
 * - Older than `maxMessageAgeMs` at the front of a line: dead ("expired").
 * - When the dead-letter queue is full a dying message goes on being delivered: nothing is dropped to make room.
 */
import type { Body, QueueConfig, QueueDelivery, QueueItem } from "../protocol/commands.js";
import { CapacityError, PayloadTooLargeError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import { textOf } from "./payloads.js";
import type { Context, Primitive } from "./primitive.js";
import { bury, forgetOldDead, queueDeadRules } from "./queue-dead.js";
import { peekMessages } from "./queue-peek.js";
import {
  type LeasedPlace,
  type Message,
  type Place,
  type QueueState,
  type ReadyPlace,
  createState,
  idempotencyKeys,
  isFirstPlace,
  messages,
  pauseFlag,
  places,
  restore,
} from "./queue-state.js";

const DEFAULT_PRIORITY = 5;
const DEFAULT_IDEMPOTENCY_TTL_MS = 7 * 24 * 3_600_000;
/** How long a message that cannot be read waits for room among the dead letters. */
const UNREADABLE_PARKED_MS = 30_000;

export const queue: Primitive<QueueState, "queue"> = {
  kind: "queue",
  create: (config, _, __, payloads) => createState(config, payloads),
  configure(state, config) {
    state.config = config;
  },
  restore,
  dueAt,
  wake,
  release(state, { owner, died }, ctx) {
    for (const message of [...state.byDelivery.values()]) {
      const place = message.place as LeasedPlace;
      if (place.by !== owner) continue;
      if (!died) giveBack(ctx, message, place, place.attempts - 1);
      else if (place.attempts < state.config.maxDeliveries || !bury(state, ctx, message, "max_deliveries_exceeded")) {
        giveBack(ctx, message, place, place.attempts);
      }
    }
  },
  *owners(state) {
    for (const message of state.byDelivery.values()) yield (message.place as LeasedPlace).by;
  },
  peek: (state, limit, ctx) => peekMessages(state, limit, ctx) as unknown as Json[],
  rules: {
    "queue.send": {
      run: send,
      recall: () => null,
      usual: (reply) => reply === null,
    },
    "queue.sendMany": {
      run: sendMany,
      recall: () => null,
      usual: (reply) => reply === null,
    },
    "queue.claim": {
      run: claim,
      waits: { lane: () => "", none: () => [] },
      unreadable,
    },
    "queue.ack": {
      run(state, { deliveryId }, ctx) {
        const message = held(state, deliveryId, ctx);
        if (message === undefined) return false;
        remove(message, ctx);
        return true;
      },
      recall: () => true,
      usual: (reply) => reply,
    },
    "queue.nack": {
      run: nack,
      recall: () => true,
      usual: (reply) => reply,
    },
    "queue.touch": {
      run(state, { deliveryId, leaseMs }, ctx) {
        const message = held(state, deliveryId, ctx);
        if (message === undefined) return null;
        const place = message.place as LeasedPlace;
        const length = leaseMs ?? place.leaseMs;
        ctx.put(places, message, { ...place, leaseMs: length, untilAt: ctx.now + length });
        return ctx.now + length;
      },
    },
    "queue.release": {
      run(state, { deliveryIds }, ctx) {
        let released = 0;
        for (const deliveryId of deliveryIds) {
          const message = held(state, deliveryId, ctx);
          if (message === undefined) continue;
          const place = message.place as LeasedPlace;
          giveBack(ctx, message, place, place.attempts - 1);
          released++;
        }
        return released;
      },
    },
    "queue.pause": {
      run(_, __, ctx) {
        ctx.put(pauseFlag, "paused", true);
        return null;
      },
      recall: () => null,
      usual: () => true,
    },
    "queue.resume": {
      run(_, __, ctx) {
        ctx.put(pauseFlag, "paused", undefined);
        return null;
      },
      recall: () => null,
      usual: () => true,
    },
    "queue.purge": {
      run(state, _, ctx) {
        // A set: after an undo the heap may know a delayed message twice.
        const delayed = Array.from(state.delayed.live(), ({ message }) => message);
        const waiting = new Set([...state.ready.list(), ...delayed]);
        for (const message of waiting) remove(message, ctx);
        return waiting.size;
      },
    },
    "queue.stats": {
      run: (state, _, ctx) => ({
        depth: state.count.ready + state.count.delayed + state.count.leased,
        ready: state.count.ready,
        delayed: state.count.delayed,
        leased: state.count.leased,
        dead: state.dead.length,
        waiters: ctx.waiters,
        idempotencyKeys: state.keys.size,
        paused: state.paused,
      }),
    },
    "queue.peek": { run: (state, { limit }, ctx) => peekMessages(state, limit, ctx) },
    ...queueDeadRules,
  },
};

function send(state: QueueState, item: QueueItem, ctx: Context): string | null {
  checkSize(state.config, item);
  const earlier = remembered(state, item, ctx.now);
  if (earlier !== undefined) return earlier;
  checkCapacity(state, 1, item.idempotencyKey ? 1 : 0);
  enqueue(state, item, ctx);
  return null;
}

function sendMany(state: QueueState, { items }: Body<"queue.sendMany">, ctx: Context): (string | null)[] | null {
  const firstOfKey = new Map<string, string>();
  const replies = items.map((item) => {
    checkSize(state.config, item);
    const key = item.idempotencyKey;
    const earlier = remembered(state, item, ctx.now) ?? (key ? firstOfKey.get(key) : undefined);
    if (earlier === undefined && key) firstOfKey.set(key, item.messageId);
    return earlier ?? null;
  });
  const accepted = replies.filter((reply) => reply === null).length;
  checkCapacity(state, accepted, firstOfKey.size);
  items.forEach((item, index) => {
    if (replies[index] === null) enqueue(state, item, ctx);
  });
  return accepted === items.length ? null : replies;
}

function remembered(state: QueueState, item: QueueItem, now: number): string | undefined {
  if (!item.idempotencyKey) return undefined;
  const known = state.keys.get(item.idempotencyKey);
  return known && known.untilAt > now ? known.messageId : undefined;
}

function checkSize(config: QueueConfig, item: QueueItem): void {
  if (item.bytes > config.payloadBytes) {
    throw new PayloadTooLargeError({ limitBytes: config.payloadBytes, actualBytes: item.bytes });
  }
}

function checkCapacity(state: QueueState, newMessages: number, newKeys: number): void {
  const { maxMessages, maxIdempotencyKeys } = state.config;
  const depth = state.count.ready + state.count.delayed + state.count.leased;
  if (maxMessages > 0 && depth + newMessages > maxMessages) {
    throw new CapacityError({ bound: "maxMessages", limit: maxMessages });
  }
  if (newKeys > 0 && state.keys.size + newKeys > maxIdempotencyKeys) {
    throw new CapacityError({ bound: "maxIdempotencyKeys", limit: maxIdempotencyKeys });
  }
}

function enqueue(state: QueueState, item: QueueItem, ctx: Context): void {
  const delayMs = item.delayMs ?? 0;
  const spills = state.payloads.spills(item.bytes);
  const message: Message = {
    seq: state.next++,
    messageId: item.messageId,
    data: spills ? state.payloads.write(item.data, item.meta) : item.data,
    meta: spills ? undefined : item.meta,
    orderingKey: item.orderingKey,
    bytes: item.bytes,
    priority: item.priority ?? DEFAULT_PRIORITY,
    ageFrom: ctx.now + delayMs,
    delayed: delayMs > 0,
    place: undefined,
  };
  ctx.put(messages, message, message);
  if (item.idempotencyKey) {
    const untilAt = ctx.now + (item.idempotencyTtlMs ?? DEFAULT_IDEMPOTENCY_TTL_MS);
    ctx.put(idempotencyKeys, item.idempotencyKey, { messageId: message.messageId, untilAt });
  }
}

function claim(state: QueueState, body: Body<"queue.claim">, ctx: Context): QueueDelivery[] | undefined {
  const deliveries: QueueDelivery[] = [];
  const idOf = (i: number): string => (body.max === 1 ? body.deliveryId : `${body.deliveryId}.${i}`);
  // A re-sent claim finds the leases that its first run took.
  for (let again; deliveries.length < body.max && (again = held(state, idOf(deliveries.length), ctx));) {
    deliveries.push(delivery(again, ctx));
  }
  if (deliveries.length > 0) return deliveries;
  if (state.paused) return undefined;
  const leaseMs = body.leaseMs ?? state.config.defaultLeaseMs;
  while (deliveries.length < body.max) {
    const message = nextClaimable(state, ctx);
    if (message === undefined) break;
    const { attempts, lastError, order, readyAt } = message.place as ReadyPlace;
    ctx.put(places, message, {
      at: "leased",
      attempts: attempts + 1,
      lastError,
      deliveryId: idOf(deliveries.length),
      by: ctx.owner,
      untilAt: ctx.now + leaseMs,
      leaseMs,
      order,
      readyAt,
    });
    deliveries.push(delivery(message, ctx));
  }
  return deliveries.length > 0 ? deliveries : undefined;
}

function nextClaimable(state: QueueState, ctx: Context): Message | undefined {
  for (;;) {
    const message = state.ready.head(ctx.now);
    if (message === undefined) return undefined;
    const reason = causeOfDeath(state, message, ctx.now);
    if (reason === undefined || !bury(state, ctx, message, reason)) return message;
  }
}

function causeOfDeath(state: QueueState, message: Message, now: number): string | undefined {
  if (now - message.ageFrom > state.config.maxMessageAgeMs) return "expired";
  if (message.place!.attempts >= state.config.maxDeliveries) return "max_deliveries_exceeded";
  return undefined;
}

function delivery(message: Message, ctx: Context): QueueDelivery {
  const place = message.place as LeasedPlace;
  const result: QueueDelivery = {
    messageId: message.messageId,
    deliveryId: place.deliveryId,
    data: textOf(message.data),
    attempt: place.attempts,
    leaseUntil: place.untilAt,
  };
  if (message.meta !== undefined) result.meta = message.meta;
  if (message.orderingKey !== undefined) result.orderingKey = message.orderingKey;
  if (typeof message.data === "number") {
    ctx.attachments.push({ ref: message.data, into: result, dataOnly: false, isGone: () => message.place !== place });
  }
  return result;
}

/** Messages of which nothing can be read are dead; the others go back to their places, for the claim to run again. */
function unreadable(state: QueueState, deliveries: QueueDelivery[], lost: ReadonlySet<object>, ctx: Context): void {
  for (const delivery of deliveries) {
    const { deliveryId } = delivery;
    const message = held(state, deliveryId, ctx);
    if (message === undefined) continue;
    if (lost.has(delivery)) {
      const error = "what the message carried cannot be read from disk";
      nack(state, { deliveryId, deadLetter: true, elseDelayMs: UNREADABLE_PARKED_MS, reason: "invalid", error }, ctx);
    } else {
      const place = message.place as LeasedPlace;
      giveBack(ctx, message, place, place.attempts - 1);
    }
  }
}

/** The message that this delivery still holds. */
function held(state: QueueState, deliveryId: string, ctx: Context): Message | undefined {
  const message = state.byDelivery.get(deliveryId);
  return message && (message.place as LeasedPlace).untilAt > ctx.now ? message : undefined;
}

function nack(state: QueueState, body: Body<"queue.nack">, ctx: Context): boolean {
  const { maxNackDelayMs, maxDeliveries, maxDead } = state.config;
  let delayMs = body.delayMs ?? 0;
  if (delayMs > maxNackDelayMs) throw new RangeError(`delayMs must be at most maxNackDelayMs (${maxNackDelayMs})`);
  const message = held(state, body.deliveryId, ctx);
  if (message === undefined) return false;
  const place = message.place as LeasedPlace;
  const lastError = body.error ?? place.lastError;
  if (body.deadLetter || place.attempts >= maxDeliveries) {
    const reason = body.reason ?? (body.deadLetter ? "nack" : "max_deliveries_exceeded");
    if (bury(state, ctx, message, reason, lastError)) return true;
    if (body.deadLetter && body.elseDelayMs === undefined)
      throw new CapacityError({ bound: "maxDead", limit: maxDead });
    delayMs = Math.min(body.elseDelayMs ?? delayMs, maxNackDelayMs);
  }
  const { attempts } = place;
  const next: Place =
    delayMs > 0
      ? { at: "delayed", attempts, lastError, dueAt: ctx.now + delayMs, retry: true }
      : { at: "ready", attempts, lastError, order: state.next++, readyAt: ctx.now };
  ctx.put(places, message, next);
  return true;
}

/** Back to the place it had before it was claimed. */
function giveBack(ctx: Context, message: Message, { lastError, order, readyAt }: LeasedPlace, attempts: number): void {
  const next: Place = { at: "ready", attempts, lastError, order, readyAt };
  ctx.put(places, message, isFirstPlace(message, next) ? undefined : next);
}

function remove(message: Message, ctx: Context): void {
  ctx.put(places, message, undefined);
  ctx.put(messages, message, undefined);
}

function dueAt(state: QueueState): number {
  let due = Math.min(state.delayed.dueAt(), state.leases.dueAt(), state.keysByEnd.dueAt());
  const oldestDead = state.dead.first();
  if (oldestDead) due = Math.min(due, oldestDead.movedAt + state.config.dlqRetentionMs);
  if (state.dead.length >= state.config.maxDead) return due;
  return Math.min(due, state.ready.oldestFront() + state.config.maxMessageAgeMs + 1);
}

function wake(state: QueueState, ctx: Context): void {
  const { now } = ctx;
  for (let due; (due = state.keysByEnd.take(now));) ctx.put(idempotencyKeys, due.key, undefined);
  for (let due; (due = state.delayed.take(now));) {
    const { attempts, lastError } = due.place;
    ctx.put(places, due.message, { at: "ready", attempts, lastError, order: state.next++, readyAt: now });
  }
  for (let due; (due = state.leases.take(now));) {
    const { attempts, lastError } = due.place;
    if (attempts >= state.config.maxDeliveries && bury(state, ctx, due.message, "max_deliveries_exceeded")) continue;
    ctx.put(places, due.message, { at: "ready", attempts, lastError, order: state.next++, readyAt: now });
  }
  forgetOldDead(state, ctx);
  for (let old; (old = state.ready.frontBefore(now - state.config.maxMessageAgeMs));) {
    if (!bury(state, ctx, old, "expired")) return;
  }
}
