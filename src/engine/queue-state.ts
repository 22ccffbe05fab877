import type { QueueConfig } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import { DueHeap } from "./due-heap.js";
import { Line } from "./line.js";
import type { Payload, Payloads } from "./payloads.js";
import type { StoredRows, Table } from "./primitive.js";
import { type Ready, createReady } from "./queue-ready.js";
import { STEP_ROWS } from "./turn.js";

/** What was sent. Never changes; only `place` does. */
export interface Message {
  readonly seq: number;
  readonly messageId: string;
  readonly data: Payload;
  /** On disk with the data, when that is there. */
  readonly meta: string | undefined;
  readonly orderingKey: string | undefined;
  readonly bytes: number;
  readonly priority: number;
  /** When it could first be delivered: age runs from here. */
  readonly ageFrom: number;
  /** Where it stands; undefined when it is not in the queue. */
  place: Place | undefined;
  /** Where it was put when it was sent. */
  readonly delayed: boolean;
}

interface Tried {
  /** Claims so far. */
  readonly attempts: number;
  readonly lastError: string | undefined;
}

/** Could be claimed. `order` is its place in line, `readyAt` where its waiting began. */
export interface ReadyPlace extends Tried {
  readonly at: "ready";
  readonly order: number;
  readonly readyAt: number;
}

/** Waits for its time. `retry`: it was claimed before, and in partitioned mode still blocks its key. */
export interface DelayedPlace extends Tried {
  readonly at: "delayed";
  readonly dueAt: number;
  readonly retry: boolean;
}

/** Held by a tab. `order` and `readyAt` are kept for handing it back. */
export interface LeasedPlace extends Tried {
  readonly at: "leased";
  readonly deliveryId: string;
  readonly by: string;
  readonly untilAt: number;
  readonly leaseMs: number;
  readonly order: number;
  readonly readyAt: number;
}

export type Place = ReadyPlace | DelayedPlace | LeasedPlace;

export interface Dead {
  readonly n: number;
  readonly messageId: string;
  readonly data: Payload;
  readonly meta: string | undefined;
  readonly orderingKey: string | undefined;
  readonly bytes: number;
  readonly priority: number;
  readonly attempts: number;
  readonly movedAt: number;
  readonly reason: string;
  readonly lastError: string | undefined;
}

export interface RememberedKey {
  readonly messageId: string;
  readonly untilAt: number;
}

export interface QueueState {
  config: QueueConfig;
  /** Of the whole space. */
  readonly payloads: Payloads;
  /** The next number for a message, a place in line, or a dead letter. Only ever grows. */
  next: number;
  paused: boolean;
  ready: Ready<Message>;
  delayed: DueHeap<{ message: Message; place: DelayedPlace }>;
  leases: DueHeap<{ message: Message; place: LeasedPlace }>;
  byDelivery: Map<string, Message>;
  /** Messages in the queue, by place. */
  count: { ready: number; delayed: number; leased: number };
  dead: Line<Dead>;
  deadById: Map<string, Dead>;
  keys: Map<string, RememberedKey>;
  keysByEnd: DueHeap<{ key: string; remembered: RememberedKey }>;
}

export function createState(config: QueueConfig, payloads: Payloads): QueueState {
  const state: QueueState = {
    config,
    payloads,
    next: 1,
    paused: false,
    ready: createReady(config.ordering),
    delayed: new DueHeap(({ message, place }) => message.place === place),
    leases: new DueHeap(({ message, place }) => message.place === place),
    byDelivery: new Map(),
    count: { ready: 0, delayed: 0, leased: 0 },
    dead: new Line((dead) => dead.n),
    deadById: new Map(),
    keys: new Map(),
    keysByEnd: new DueHeap(({ key, remembered }) => state.keys.get(key) === remembered),
  };
  return state;
}

/** Where a message stands right after it was sent. */
function firstPlace(message: Message): Place {
  if (message.delayed)
    return { at: "delayed", dueAt: message.ageFrom, retry: false, attempts: 0, lastError: undefined };
  return { at: "ready", order: message.seq, readyAt: message.ageFrom, attempts: 0, lastError: undefined };
}

/** Where it was sent to: it stands there without a row. */
export function isFirstPlace(message: Message, place: Place): boolean {
  if (place.attempts > 0 || place.lastError !== undefined) return false;
  if (message.delayed) return place.at === "delayed" && place.dueAt === message.ageFrom && !place.retry;
  return place.at === "ready" && place.order === message.seq && place.readyAt === message.ageFrom;
}

/** Moves a message between the structures that find it. */
function move(state: QueueState, message: Message, next: Place | undefined): void {
  const previous = message.place;
  if (previous !== undefined) {
    state.count[previous.at]--;
    if (previous.at === "leased") state.byDelivery.delete(previous.deliveryId);
    state.ready.leave(message, previous);
  }
  message.place = next;
  if (next === undefined) return;
  state.count[next.at]++;
  // Ties between due times are broken by what a restore and an undo know, too.
  if (next.at === "leased") {
    state.byDelivery.set(next.deliveryId, message);
    state.leases.add(next.untilAt, { message, place: next }, next.order);
  } else if (next.at === "delayed") {
    state.delayed.add(next.dueAt, { message, place: next }, message.seq);
  }
  state.ready.enter(message, next);
}

/** Messages in the queue: written when sent, removed when settled. */
export const messages: Table<QueueState, Message, Message> = {
  letter: "m",
  key: (message) => message.seq,
  get: (_, message) => (message.place === undefined ? undefined : message),
  set(state, message, value) {
    if (message.place !== undefined) state.payloads.remove(message);
    if (value !== undefined) state.payloads.add(message);
    move(state, message, value && firstPlace(message));
  },
  encode: (message) => [
    message.messageId,
    message.data,
    message.bytes,
    message.ageFrom,
    message.delayed ? 1 : 0,
    message.priority,
    message.orderingKey ?? null,
    message.meta ?? null,
  ],
};

function decodeMessage(seq: number, row: Json): Message {
  const [messageId, data, bytes, ageFrom, delayed, priority, orderingKey, meta] = row as [
    string,
    Payload,
    number,
    number,
    number,
    number,
    string | null,
    string | null,
  ];
  return {
    seq,
    messageId,
    data,
    bytes,
    ageFrom,
    priority,
    delayed: delayed === 1,
    orderingKey: orderingKey ?? undefined,
    meta: meta ?? undefined,
    place: undefined,
  };
}

/** Where a message stands, once that differs from where it was sent to. Small, so that a claim writes no payload. */
export const places: Table<QueueState, Message, Place> = {
  letter: "p",
  key: (message) => message.seq,
  get: (_, message) =>
    message.place === undefined || isFirstPlace(message, message.place) ? undefined : message.place,
  set(state, message, value) {
    // A message that left the queue has no place; its rows go together.
    if (message.place === undefined) return;
    move(state, message, value ?? firstPlace(message));
  },
  encode: (place) => {
    const tried = [place.attempts, place.lastError ?? null];
    if (place.at === "ready") return [0, ...tried, place.order, place.readyAt];
    if (place.at === "delayed") return [1, ...tried, place.dueAt, place.retry ? 1 : 0];
    return [2, ...tried, place.deliveryId, place.by, place.untilAt, place.leaseMs, place.order, place.readyAt];
  },
};

function decodePlace(row: Json): Place {
  const [at, attempts, error, ...rest] = row as [number, number, string | null, ...Json[]];
  const lastError = error ?? undefined;
  if (at === 0) {
    const [order, readyAt] = rest as [number, number];
    return { at: "ready", attempts, lastError, order, readyAt };
  }
  if (at === 1) {
    const [dueAt, retry] = rest as [number, number];
    return { at: "delayed", attempts, lastError, dueAt, retry: retry === 1 };
  }
  const [deliveryId, by, untilAt, leaseMs, order, readyAt] = rest as [string, string, number, number, number, number];
  return { at: "leased", attempts, lastError, deliveryId, by, untilAt, leaseMs, order, readyAt };
}

export const deadLetters: Table<QueueState, Dead, Dead> = {
  letter: "d",
  key: (dead) => dead.n,
  get: (state, dead) => (state.deadById.get(dead.messageId) === dead ? dead : undefined),
  set(state, dead, value) {
    if (value === undefined) {
      if (state.dead.remove(dead)) state.payloads.remove(dead);
      if (state.deadById.get(dead.messageId) === dead) state.deadById.delete(dead.messageId);
    } else {
      state.payloads.add(dead);
      state.dead.insert(dead);
      state.deadById.set(dead.messageId, dead);
    }
  },
  encode: (dead) => [
    dead.messageId,
    dead.data,
    dead.bytes,
    dead.priority,
    dead.attempts,
    dead.movedAt,
    dead.reason,
    dead.lastError ?? null,
    dead.orderingKey ?? null,
    dead.meta ?? null,
  ],
};

function decodeDead(n: number, row: Json): Dead {
  const [messageId, data, bytes, priority, attempts, movedAt, reason, lastError, orderingKey, meta] = row as [
    string,
    Payload,
    number,
    number,
    number,
    number,
    string,
    string | null,
    string | null,
    string | null,
  ];
  return {
    n,
    messageId,
    data,
    bytes,
    priority,
    attempts,
    movedAt,
    reason,
    lastError: lastError ?? undefined,
    orderingKey: orderingKey ?? undefined,
    meta: meta ?? undefined,
  };
}

export const idempotencyKeys: Table<QueueState, string, RememberedKey> = {
  letter: "k",
  key: (key) => key,
  get: (state, key) => state.keys.get(key),
  set(state, key, value) {
    if (value === undefined) state.keys.delete(key);
    else {
      state.keys.set(key, value);
      state.keysByEnd.add(value.untilAt, { key, remembered: value });
    }
  },
  encode: (value) => [value.messageId, value.untilAt],
};

export const pauseFlag: Table<QueueState, "paused", true> = {
  letter: "f",
  key: (flag) => flag,
  get: (state) => (state.paused ? true : undefined),
  set: (state, _, value) => {
    state.paused = value === true;
  },
  encode: () => 1,
};

export function* restore(state: QueueState, rows: StoredRows): Generator<undefined> {
  let restored = 0;
  const stored = rows.get(places.letter) ?? [];
  const placeOf = new Map(stored.map(({ key, value }) => [key, decodePlace(value)]));
  for (const { key, value } of rows.get(messages.letter) ?? []) {
    const message = decodeMessage(Number(key), value);
    messages.set(state, message, message);
    const place = placeOf.get(key);
    if (place) places.set(state, message, place);
    state.next = Math.max(state.next, message.seq + 1, place && place.at !== "delayed" ? place.order + 1 : 0);
    if (++restored % STEP_ROWS === 0) yield;
  }
  for (const { key, value } of rows.get(deadLetters.letter) ?? []) {
    const dead = decodeDead(Number(key), value);
    deadLetters.set(state, dead, dead);
    state.next = Math.max(state.next, dead.n + 1);
  }
  for (const { key, value } of rows.get(idempotencyKeys.letter) ?? []) {
    const [messageId, untilAt] = value as [string, number];
    idempotencyKeys.set(state, key, { messageId, untilAt });
  }
  if (rows.get(pauseFlag.letter)?.length) state.paused = true;
}
