/**
 * A topic: one log, and groups that each take every event of it once.
 *
 *   publish ──▶ log ──(live readers)──▶ every listener
 *                │
 *                └─ group: ahead of position ── claim ──▶ pending ── commit ──▶ (done)
 *                                                          │  ▲
 *                         idle for reclaimAfterMs,         ▼  │ claim, by any reader: attempt + 1
 *                         or its tab died               idle ─┘
 *
 * - What is idle is taken over before anything new, lowest number first. Its former holder may commit until then.
 * - Trimming (age, length) does not wait for groups. A group that lost events is told once, then goes on.
 */
import type {
  Body,
  Gap,
  TopicDelivery,
  TopicEvent,
  TopicItem,
  TopicPublished,
  TopicStats,
} from "../protocol/commands.js";
import { PayloadTooLargeError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import type { Context, Primitive, StoredRows } from "./primitive.js";
import {
  type Group,
  type LoggedEvent,
  type Pending,
  type Slot,
  type TopicState,
  createState,
  decodeEvent,
  decodeLoss,
  decodePending,
  events,
  groupOf,
  losses,
  pendings,
  positions,
  slotOf,
  trims,
} from "./topic-state.js";

const DEFAULT_IDEMPOTENCY_TTL_MS = 7 * 24 * 3_600_000;

export const topic: Primitive<TopicState, "topic"> = {
  kind: "topic",
  create: createState,
  configure(state, config) {
    state.config = config;
  },
  restore,
  peek: (state, limit, ctx) =>
    state.log
      .after(state.log.head - limit, limit, ctx.now - state.config.retentionMs)
      .map(eventOf) as unknown as Json[],
  dueAt(state) {
    const oldest = state.log.events.first();
    const trimAt = oldest ? oldest.publishedAt + state.config.retentionMs + 1 : Infinity;
    return Math.min(trimAt, state.deadlines.dueAt());
  },
  wake(state, ctx) {
    trim(state, ctx);
    for (let due; (due = state.deadlines.take(ctx.now));) ctx.put(pendings, due.slot, { ...due.pending, idle: true });
  },
  release(state, { owner, died }, ctx) {
    for (const group of state.groups.values()) {
      for (const slot of [...group.slots.values()]) {
        const pending = slot.pending!;
        if (pending.by !== owner || pending.idle) continue;
        ctx.put(pendings, slot, { ...pending, attempt: pending.attempt - (died ? 0 : 1), idle: true });
      }
    }
  },
  *owners(state) {
    for (const group of state.groups.values()) {
      for (const { pending } of group.slots.values()) if (pending && !pending.idle) yield pending.by;
    }
  },
  rules: {
    "topic.publish": {
      run: (state, item, ctx) => publishMany(state, [item], ctx)[0]!,
      recall: (state, item) => recall(state, item),
      usual: (reply) => reply.duplicateOf === undefined,
    },
    "topic.publishMany": {
      run: (state, { items }, ctx) => publishMany(state, items, ctx),
      recall: (state, { items }) => items.map((item) => recall(state, item)),
      usual: (replies) => replies.every((reply) => reply.duplicateOf === undefined),
    },
    "topic.claim": {
      run: claim,
      waits: { lane: ({ group }) => group, none: () => ({ deliveries: [] }) },
    },
    "topic.commit": {
      run(state, { group, deliveryId }, ctx) {
        const slot = state.groups.get(group)?.byDelivery.get(deliveryId);
        if (slot === undefined) return false;
        ctx.put(pendings, slot, undefined);
        return true;
      },
      recall: () => true,
      usual: (reply) => reply,
    },
    "topic.touch": {
      run(state, { group, deliveryId }, ctx) {
        const slot = state.groups.get(group)?.byDelivery.get(deliveryId);
        if (slot?.pending === undefined) return false;
        ctx.put(pendings, slot, { ...slot.pending, since: ctx.now, idle: false });
        return true;
      },
    },
    "topic.release": {
      run(state, { group, deliveryIds }, ctx) {
        const slots = deliveryIds
          .map((id) => state.groups.get(group)?.byDelivery.get(id))
          .filter((slot) => slot !== undefined);
        for (const slot of slots) {
          const pending = slot.pending!;
          ctx.put(pendings, slot, { ...pending, attempt: pending.attempt - 1, idle: true });
        }
        return slots.length;
      },
    },
    "topic.reclaim": {
      run(state, { group: name, deliveryId, minIdleMs, count }, ctx) {
        const group = state.groups.get(name);
        if (group === undefined) return { deliveries: [] };
        const again = deliveriesOf(state, group, deliveryId, count);
        if (again.length > 0) return { deliveries: again };
        const idle = [...group.slots.values()]
          .filter(({ pending }) => pending && (pending.idle || ctx.now - pending.since >= minIdleMs))
          .sort((a, b) => a.n - b.n);
        return { deliveries: takeOver(state, idle, deliveryId, count, count, ctx) };
      },
    },
    "topic.anchor": {
      run(state, { after }) {
        const { generation } = state.log;
        return { generation, ...state.log.anchor(after) };
      },
    },
    "topic.read": {
      run(state, { after, limit }, ctx) {
        const gap = state.log.gapAfter(after);
        const found = state.log.after(after, limit, ctx.now - state.config.retentionMs);
        return { events: found.map(eventOf), head: state.log.head, ...(gap ? { gap } : {}) };
      },
    },
    "topic.stats": { run: stats },
  },
};

function publishMany(state: TopicState, items: TopicItem[], ctx: Context): TopicPublished[] {
  const { payloadBytes } = state.config;
  for (const { bytes } of items) {
    if (bytes > payloadBytes) throw new PayloadTooLargeError({ limitBytes: payloadBytes, actualBytes: bytes });
  }
  const published = items.map((item) => publish(state, item, ctx));
  trim(state, ctx);
  return published;
}

function publish(state: TopicState, item: TopicItem, ctx: Context): TopicPublished {
  const { log } = state;
  const earlier = item.idempotencyKey ? state.keys.get(item.idempotencyKey) : undefined;
  if (earlier && earlier.keyUntilAt! > ctx.now && earlier.publishedAt >= ctx.now - state.config.retentionMs) {
    return { cursor: log.cursor(earlier.n), duplicateOf: earlier.eventId };
  }
  const event: LoggedEvent = {
    n: log.head + 1,
    eventId: item.eventId,
    data: item.data,
    publishedAt: ctx.now,
    ...(item.meta === undefined ? {} : { meta: item.meta }),
    ...(item.orderingKey === undefined ? {} : { orderingKey: item.orderingKey }),
    ...(item.idempotencyKey
      ? {
          idempotencyKey: item.idempotencyKey,
          keyUntilAt: ctx.now + (item.idempotencyTtlMs ?? DEFAULT_IDEMPOTENCY_TTL_MS),
        }
      : {}),
  };
  ctx.put(events, event, event);
  ctx.emit({ type: "topic.published", event: eventOf(event) }, event.n);
  return { cursor: log.cursor(event.n) };
}

/** Where an event that was published stands; searched from the end, for this happens only after a lost reply. */
function recall(state: TopicState, item: TopicItem): TopicPublished {
  const { log } = state;
  for (let i = log.events.length - 1; i >= 0; i--) {
    const event = log.events.at(i)!;
    if (event.eventId === item.eventId) return { cursor: log.cursor(event.n) };
  }
  return { cursor: log.cursor(log.trimmedUpTo) };
}

function trim(state: TopicState, ctx: Context): void {
  const { log, config } = state;
  const surplus = log.events.length - config.maxLen;
  let count = Math.max(0, surplus);
  for (let event; (event = log.events.at(count)) && event.publishedAt < ctx.now - config.retentionMs;) count++;
  if (count === 0) return;
  // First the mark, then the events: an event above the mark that goes is an undone one (topic-state.ts).
  ctx.put(trims, "trim", log.events.at(count - 1)!.n);
  for (; count > 0; count--) ctx.put(events, log.events.first()!, undefined);
}

function claim(
  state: TopicState,
  { group: name, deliveryId, max }: Body<"topic.claim">,
  ctx: Context,
): { deliveries: TopicDelivery[]; gap?: Gap } | undefined {
  const group = groupOf(state, name);
  const again = deliveriesOf(state, group, deliveryId, max);
  if (again.length > 0) return { deliveries: again };
  // A group begins at what is retained when its first reader comes.
  if (group.position === undefined) ctx.put(positions, group, state.log.trimmedUpTo);
  const gap = tellGap(state, group, deliveryId, ctx);
  if (gap) return { deliveries: [], gap };
  const deliveries = takeOver(state, group.idle, deliveryId, max, max, ctx);
  while (deliveries.length < max) {
    const [event] = state.log.after(group.position!, 1, ctx.now - state.config.retentionMs);
    if (event === undefined) break;
    ctx.put(positions, group, event.n);
    deliveries.push(deliver(state, slotOf(group, event.n), event, idOf(deliveryId, deliveries.length, max), 1, ctx));
  }
  return deliveries.length > 0 ? { deliveries } : undefined;
}

/** Whether this group lost events that it had not committed; says so once, to one claim. */
function tellGap(state: TopicState, group: Group, deliveryId: string, ctx: Context): Gap | undefined {
  const { log } = state;
  const told = group.loss?.told;
  if (told?.deliveryId === deliveryId) return told.gap;
  let first = group.loss?.first || Infinity;
  // Idle deliveries whose event is gone can never be delivered again.
  for (let slot; (slot = group.idle.first()) && slot.n <= log.trimmedUpTo;) {
    first = Math.min(first, slot.n);
    ctx.put(pendings, slot, undefined);
  }
  if (group.position! < log.trimmedUpTo) {
    first = Math.min(first, group.position! + 1);
    ctx.put(positions, group, log.trimmedUpTo);
  }
  // Another claim came: whoever was told before has got it.
  if (first === Infinity) {
    if (told) ctx.put(losses, group, undefined);
    return undefined;
  }
  const gap = { after: log.cursor(first - 1), firstAvailable: log.cursor(log.trimmedUpTo) };
  ctx.put(losses, group, { first: 0, told: { deliveryId, gap } });
  return gap;
}

function takeOver(
  state: TopicState,
  from: Iterable<Slot>,
  deliveryId: string,
  count: number,
  max: number,
  ctx: Context,
): TopicDelivery[] {
  const chosen: { slot: Slot; event: LoggedEvent }[] = [];
  for (const slot of from) {
    if (chosen.length === count) break;
    const event = state.log.find(slot.n);
    if (event?.n === slot.n) chosen.push({ slot, event });
  }
  return chosen.map(({ slot, event }, i) =>
    deliver(state, slot, event, idOf(deliveryId, i, max), slot.pending!.attempt + 1, ctx),
  );
}

function deliver(
  state: TopicState,
  slot: Slot,
  event: LoggedEvent,
  deliveryId: string,
  attempt: number,
  ctx: Context,
): TopicDelivery {
  const pending: Pending = { deliveryId, by: ctx.owner, attempt, since: ctx.now, idle: false };
  ctx.put(pendings, slot, pending);
  return deliveryOf(state, event, pending);
}

/** The deliveries that an earlier run of this claim took. */
function deliveriesOf(state: TopicState, group: Group, deliveryId: string, max: number): TopicDelivery[] {
  const found: TopicDelivery[] = [];
  for (let i = 0; i < max; i++) {
    const slot = group.byDelivery.get(idOf(deliveryId, i, max));
    const event = slot && state.log.find(slot.n);
    if (!slot?.pending || event?.n !== slot.n) break;
    found.push(deliveryOf(state, event, slot.pending));
  }
  return found;
}

function idOf(deliveryId: string, index: number, max: number): string {
  return max === 1 ? deliveryId : `${deliveryId}.${index}`;
}

function deliveryOf(state: TopicState, event: LoggedEvent, { deliveryId, attempt }: Pending): TopicDelivery {
  return { ...eventOf(event), deliveryId, attempt, cursor: state.log.cursor(event.n) };
}

function eventOf(event: LoggedEvent): TopicEvent {
  const { n, eventId, data, publishedAt, meta, orderingKey } = event;
  return {
    n,
    eventId,
    data,
    publishedAt,
    ...(meta === undefined ? {} : { meta }),
    ...(orderingKey === undefined ? {} : { orderingKey }),
  };
}

function stats(state: TopicState, _: Body<"topic.stats">, ctx: Context): TopicStats {
  const { log } = state;
  const groups = [...state.groups.values()].flatMap(({ name, position, slots }) => {
    // Its creation was undone.
    if (position === undefined) return [];
    return [[name, { lag: log.head - Math.max(position, log.trimmedUpTo), pending: slots.size }] as const];
  });
  return {
    entries: log.events.length,
    cursor: log.cursor(log.head),
    groups: Object.fromEntries(groups),
    waiters: ctx.waiters,
  };
}

function restore(state: TopicState, rows: StoredRows): void {
  for (const { value } of rows.get(trims.letter) ?? []) trims.set(state, "trim", value as number);
  for (const { key, value } of rows.get(events.letter) ?? []) {
    const event = decodeEvent(Number(key), value);
    events.set(state, event, event);
  }
  for (const { key, value } of rows.get(positions.letter) ?? [])
    positions.set(state, groupOf(state, key), value as number);
  for (const { key, value } of rows.get(losses.letter) ?? []) losses.set(state, groupOf(state, key), decodeLoss(value));
  for (const { key, value } of rows.get(pendings.letter) ?? []) {
    const slash = key.indexOf("/");
    const group = groupOf(state, key.slice(slash + 1));
    pendings.set(state, slotOf(group, Number(key.slice(0, slash))), decodePending(value));
  }
}
