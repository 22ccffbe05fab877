import type { QueueConfig } from "../protocol/commands.js";
import { Line } from "./line.js";

/** What can stand in line: a message, a job. */
export interface Waiting {
  readonly seq: number;
  readonly orderingKey: string | undefined;
  readonly priority: number;
  readonly ageFrom: number;
  readonly place: Standing | undefined;
}

/** Where it stands: in line, or where it still holds its key, or, delayed before its first time and done, nowhere. */
type Standing =
  | { readonly at: "ready"; readonly order: number; readonly readyAt: number }
  | { readonly at: "delayed"; readonly retry: boolean }
  | { readonly at: "leased" | "running" | "parked" | "done" };

type InLine = Extract<Standing, { at: "ready" }>;

/** Which message is next. Told of every message that enters or leaves a place. */
export interface Ready<Item extends Waiting> {
  /** The next message to claim, left where it is. */
  head(now: number): Item | undefined;
  enter(message: Item, place: Standing): void;
  leave(message: Item, place: Standing): void;
  /** The smallest `ageFrom` among the fronts of the lines, or Infinity. */
  oldestFront(): number;
  /** A front whose age began before this time. */
  frontBefore(time: number): Item | undefined;
  /** In the order in which they would be claimed now, as far as that can be told cheaply. */
  list(): Iterable<Item>;
}

export function createReady<Item extends Waiting>(ordering: QueueConfig["ordering"]): Ready<Item> {
  return ordering === "ordering_key_partitioned" ? new KeyedReady() : new PriorityReady();
}

const LEVELS = 10;
/** A waiting message rises one priority level in this time, so that nothing starves. */
const RISE_MS = 30_000;

const orderOf = (message: Waiting): number => (message.place as InLine).order;

/**
 * One line per priority. Within a line the front has waited longest, so the best of all is the best of the fronts.
 */
class PriorityReady<Item extends Waiting> implements Ready<Item> {
  readonly #lines: (Line<Item> | undefined)[] = new Array<undefined>(LEVELS).fill(undefined);

  head(now: number): Item | undefined {
    let best: Item | undefined;
    let bestLevel = Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const message = this.#lines[level]?.first();
      if (message === undefined) continue;
      const waited = now - (message.place as InLine).readyAt;
      const effective = Math.max(0, level - Math.max(0, Math.floor(waited / RISE_MS)));
      if (effective < bestLevel || (effective === bestLevel && orderOf(message) < orderOf(best!))) {
        best = message;
        bestLevel = effective;
      }
    }
    return best;
  }

  enter(message: Item, place: Standing): void {
    if (place.at === "ready") (this.#lines[message.priority] ??= new Line<Item>(orderOf)).insert(message);
  }

  leave(message: Item, place: Standing): void {
    if (place.at === "ready") this.#lines[message.priority]?.remove(message);
  }

  oldestFront(): number {
    let oldest = Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const front = this.#lines[level]?.first();
      if (front !== undefined && front.ageFrom < oldest) oldest = front.ageFrom;
    }
    return oldest;
  }

  frontBefore(time: number): Item | undefined {
    for (const line of this.#lines) {
      const front = line?.first();
      if (front !== undefined && front.ageFrom < time) return front;
    }
    return undefined;
  }

  *list(): Iterable<Item> {
    for (const line of this.#lines) if (line) yield* line;
  }
}

interface Lane<Item> {
  /** Those of this key that could be claimed, in order of sending. */
  waiting: Line<Item>;
  /** The one of this key that is under way or waits for a retry: the others stay behind it. */
  blockedBy: Item | undefined;
  /** The one that stands in the common line on behalf of this key. */
  offered: Item | undefined;
}

/**
 * One lane per ordering key; each lane offers its first message to the common lines unless one of its messages is in
 * flight. Messages without a key stand in the common lines directly.
 */
class KeyedReady<Item extends Waiting> implements Ready<Item> {
  readonly #common = new PriorityReady<Item>();
  readonly #lanes = new Map<string, Lane<Item>>();

  head(now: number): Item | undefined {
    return this.#common.head(now);
  }

  enter(message: Item, place: Standing): void {
    if (message.orderingKey === undefined) return this.#common.enter(message, place);
    if (place.at === "done" || (place.at === "delayed" && !place.retry)) return;
    const lane = this.#lane(message.orderingKey);
    if (place.at === "ready") lane.waiting.insert(message);
    else lane.blockedBy = message;
    this.#offer(lane);
  }

  leave(message: Item, place: Standing): void {
    if (message.orderingKey === undefined) return this.#common.leave(message, place);
    const lane = this.#lanes.get(message.orderingKey);
    if (lane === undefined) return;
    if (lane.offered === message) {
      this.#common.leave(message, place);
      lane.offered = undefined;
    }
    if (lane.blockedBy === message) lane.blockedBy = undefined;
    lane.waiting.remove(message);
    this.#offer(lane);
    if (lane.waiting.length === 0 && lane.blockedBy === undefined) this.#lanes.delete(message.orderingKey);
  }

  oldestFront(): number {
    return this.#common.oldestFront();
  }

  frontBefore(time: number): Item | undefined {
    return this.#common.frontBefore(time);
  }

  *list(): Iterable<Item> {
    for (const message of this.#common.list()) if (message.orderingKey === undefined) yield message;
    for (const lane of this.#lanes.values()) yield* lane.waiting;
  }

  #lane(key: string): Lane<Item> {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { waiting: new Line((message) => message.seq), blockedBy: undefined, offered: undefined };
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  #offer(lane: Lane<Item>): void {
    const next = lane.blockedBy === undefined ? lane.waiting.first() : undefined;
    if (next === lane.offered) return;
    if (lane.offered?.place) this.#common.leave(lane.offered, lane.offered.place);
    lane.offered = next;
    if (next?.place) this.#common.enter(next, next.place);
  }
}
