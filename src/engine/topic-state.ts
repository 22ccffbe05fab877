import type { Gap, TopicConfig, TopicEvent } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import { DueHeap } from "./due-heap.js";
import { Line } from "./line.js";
import { Log } from "./log.js";
import type { Table } from "./primitive.js";

export interface LoggedEvent extends TopicEvent {
  readonly idempotencyKey?: string;
  readonly keyUntilAt?: number;
}

/** A delivery that was not committed. `idle`: anyone may take it over, its holder may still commit it. */
export interface Pending {
  readonly deliveryId: string;
  /** The tab that holds it. */
  readonly by: string;
  readonly attempt: number;
  /** Since delivery or the last touch. */
  readonly since: number;
  readonly idle: boolean;
}

/** One event on its way through one group. */
export interface Slot {
  readonly group: Group;
  readonly n: number;
  pending: Pending | undefined;
}

export interface Group {
  readonly name: string;
  /** Events up to here were delivered at least once; undefined before the group exists. */
  position: number | undefined;
  slots: Map<number, Slot>;
  byDelivery: Map<string, Slot>;
  /** Slots that anyone may take over, by number. */
  idle: Line<Slot>;
  loss: Loss | undefined;
}

/** Events that were trimmed before this group committed them. */
export interface Loss {
  /** The lowest of them that the group was not told of; 0: none. */
  readonly first: number;
  /** What was told last, and to which claim: told again when that claim is re-sent, for its reply may be lost. */
  readonly told: { readonly deliveryId: string; readonly gap: Gap } | undefined;
}

export interface TopicState {
  config: TopicConfig;
  log: Log<LoggedEvent>;
  groups: Map<string, Group>;
  keys: Map<string, LoggedEvent>;
  deadlines: DueHeap<{ slot: Slot; pending: Pending }>;
}

export function createState(config: TopicConfig, seed: string): TopicState {
  return {
    config,
    log: new Log(seed),
    groups: new Map(),
    keys: new Map(),
    deadlines: new DueHeap(({ slot, pending }) => slot.pending === pending),
  };
}

export function groupOf(state: TopicState, name: string): Group {
  let group = state.groups.get(name);
  if (group === undefined) {
    group = {
      name,
      position: undefined,
      slots: new Map(),
      byDelivery: new Map(),
      idle: new Line((slot) => slot.n),
      loss: undefined,
    };
    state.groups.set(name, group);
  }
  return group;
}

export function slotOf(group: Group, n: number): Slot {
  return group.slots.get(n) ?? { group, n, pending: undefined };
}

export const events: Table<TopicState, LoggedEvent, LoggedEvent> = {
  letter: "e",
  key: (event) => event.n,
  get: (state, event) => (state.log.find(event.n) === event ? event : undefined),
  set(state, event, value) {
    const { log, keys } = state;
    if (value === undefined) {
      log.events.remove(event);
      // Undoing the newest gives its number back; trimming the oldest does not.
      if (event.n === log.head && event.n > log.trimmedUpTo) log.head--;
      if (event.idempotencyKey !== undefined && keys.get(event.idempotencyKey) === event)
        keys.delete(event.idempotencyKey);
    } else {
      log.events.insert(event);
      log.head = Math.max(log.head, event.n);
      if (event.idempotencyKey !== undefined) keys.set(event.idempotencyKey, event);
    }
  },
  encode: (event) => [
    event.eventId,
    event.data,
    event.publishedAt,
    event.orderingKey ?? null,
    event.meta ?? null,
    event.idempotencyKey ?? null,
    event.keyUntilAt ?? 0,
  ],
};

export function decodeEvent(n: number, row: Json): LoggedEvent {
  const [eventId, data, publishedAt, orderingKey, meta, idempotencyKey, keyUntilAt] = row as [
    string,
    string,
    number,
    string | null,
    string | null,
    string | null,
    number,
  ];
  return {
    n,
    eventId,
    data,
    publishedAt,
    ...(orderingKey === null ? {} : { orderingKey }),
    ...(meta === null ? {} : { meta }),
    ...(idempotencyKey === null ? {} : { idempotencyKey, keyUntilAt }),
  };
}

export const trims: Table<TopicState, "trim", number> = {
  letter: "t",
  key: (only) => only,
  get: (state) => state.log.trimmedUpTo || undefined,
  set(state, _, value) {
    state.log.trimmedUpTo = value ?? 0;
    state.log.head = Math.max(state.log.head, state.log.trimmedUpTo);
  },
  encode: (value) => value,
};

export const positions: Table<TopicState, Group, number> = {
  letter: "g",
  key: (group) => group.name,
  get: (_, group) => group.position,
  set(_, group, value) {
    group.position = value;
  },
  encode: (value) => value,
};

export const losses: Table<TopicState, Group, Loss> = {
  letter: "l",
  key: (group) => group.name,
  get: (_, group) => group.loss,
  set(_, group, value) {
    group.loss = value;
  },
  encode: ({ first, told }) => [first, ...(told ? [told.deliveryId, told.gap.after, told.gap.firstAvailable] : [])],
};

export function decodeLoss(row: Json): Loss {
  const [first, deliveryId, after, firstAvailable] = row as [number, string?, string?, string?];
  const told =
    deliveryId === undefined ? undefined : { deliveryId, gap: { after: after!, firstAvailable: firstAvailable! } };
  return { first, told };
}

export const pendings: Table<TopicState, Slot, Pending> = {
  letter: "p",
  key: (slot) => `${slot.n}/${slot.group.name}`,
  get: (_, slot) => slot.pending,
  set(state, slot, value) {
    const { group } = slot;
    const previous = slot.pending;
    if (previous !== undefined) {
      group.byDelivery.delete(previous.deliveryId);
      if (previous.idle) group.idle.remove(slot);
    }
    slot.pending = value;
    if (value === undefined) {
      group.slots.delete(slot.n);
      return;
    }
    group.slots.set(slot.n, slot);
    group.byDelivery.set(value.deliveryId, slot);
    if (value.idle) group.idle.insert(slot);
    else state.deadlines.add(value.since + state.config.reclaimAfterMs, { slot, pending: value });
  },
  encode: (value) => [value.deliveryId, value.by, value.attempt, value.since, value.idle ? 1 : 0],
};

export function decodePending(row: Json): Pending {
  const [deliveryId, by, attempt, since, idle] = row as [string, string, number, number, number];
  return { deliveryId, by, attempt, since, idle: idle === 1 };
}
