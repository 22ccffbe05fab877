import type { QueueConfig, QueueDelivery, QueueItem } from "../../src/protocol/commands.js";
import type { Seen } from "./engine-driver.js";

interface Entry {
  item: QueueItem;
  /** Order of sending. */
  sent: number;
  /** Place in line; "to the back" is a new number. */
  order: number;
  readyAt: number;
  attempts: number;
  lastError: string | undefined;
  at: "ready" | "delayed" | "leased";
  /** Delayed: when due. Leased: when over. */
  untilAt: number;
  /** It was claimed before, and in partitioned mode blocks its key. */
  retry: boolean;
  /** When it was last leased, as a number: the order in which a dead tab's messages are looked at. */
  placed: number;
  deliveryId: string;
  by: string;
  leaseMs: number;
}

interface DeadEntry {
  entry: Entry;
  reason: string;
  lastError: string | undefined;
  movedAt: number;
}

interface Waiter {
  deliveryId: string;
  max: number;
  owner: string;
  untilAt: number;
}

/**
 * A queue as one would explain it: everything in arrays, searched from end to end at every command. Messages do not
 * grow old here (queue.test.ts checks that by its invariants).
 */
export class QueueModel {
  now: number;
  paused = false;
  entries: Entry[] = [];
  dead: DeadEntry[] = [];
  keys: { key: string; messageId: string; untilAt: number }[] = [];
  waiters: Waiter[] = [];
  /** What waiters were given since the last look. */
  served: { deliveryId: string; seen: Seen }[] = [];
  readonly #config: QueueConfig;
  #next = 0;

  constructor(config: QueueConfig, now: number) {
    this.#config = config;
    this.now = now;
  }

  send(items: QueueItem[]): (string | null)[] | { code: string; fields: unknown } {
    const { maxMessages, maxIdempotencyKeys } = this.#config;
    const known = new Map(this.keys.map(({ key, messageId }) => [key, messageId]));
    const before = known.size;
    const replies = items.map(({ idempotencyKey: key, messageId }) => {
      if (!key) return null;
      if (!known.has(key)) known.set(key, messageId);
      return known.get(key) === messageId ? null : known.get(key)!;
    });
    const fresh = items.filter((_, i) => replies[i] === null);
    if (maxMessages > 0 && this.entries.length + fresh.length > maxMessages)
      return capacity("maxMessages", maxMessages);
    if (known.size > before && known.size > maxIdempotencyKeys)
      return capacity("maxIdempotencyKeys", maxIdempotencyKeys);
    for (const item of fresh) {
      this.#enter(item, item.delayMs ?? 0);
      const { idempotencyKey: key, messageId, idempotencyTtlMs } = item;
      if (key) this.keys.push({ key, messageId, untilAt: this.now + idempotencyTtlMs! });
    }
    this.#serve();
    return replies;
  }

  claim(deliveryId: string, max: number, owner: string, waitMs: number): QueueDelivery[] | "parked" {
    const got = this.#take(deliveryId, max, owner);
    if (got.length > 0 || waitMs === 0) return got;
    this.waiters.push({ deliveryId, max, owner, untilAt: this.now + waitMs });
    return "parked";
  }

  ack(deliveryId: string): boolean {
    const entry = this.#held(deliveryId);
    if (entry) this.#remove(entry);
    this.#serve();
    return entry !== undefined;
  }

  nack(
    deliveryId: string,
    { delayMs = 0, error, deadLetter = false }: { delayMs?: number; error?: string; deadLetter?: boolean },
  ) {
    const entry = this.#held(deliveryId);
    if (!entry) return false;
    const lastError = error ?? entry.lastError;
    if (deadLetter || entry.attempts >= this.#config.maxDeliveries) {
      const buried = this.#bury(entry, deadLetter ? "nack" : "max_deliveries_exceeded", lastError);
      if (!buried && deadLetter) return capacity("maxDead", this.#config.maxDead);
      if (buried) {
        this.#serve();
        return true;
      }
    }
    entry.lastError = lastError;
    if (delayMs > 0) this.#delay(entry, delayMs, true);
    else this.#toTheBack(entry);
    this.#serve();
    return true;
  }

  touch(deliveryId: string, leaseMs: number | undefined): number | null {
    const entry = this.#held(deliveryId);
    if (!entry) return null;
    entry.leaseMs = leaseMs ?? entry.leaseMs;
    entry.untilAt = this.now + entry.leaseMs;
    entry.placed = ++this.#next;
    return entry.untilAt;
  }

  release(deliveryIds: string[]): number {
    let released = 0;
    for (const id of deliveryIds) {
      const entry = this.#held(id);
      if (!entry) continue;
      this.#giveBack(entry, false);
      released++;
    }
    this.#serve();
    return released;
  }

  ownerGone(owner: string, died: boolean): void {
    for (const entry of this.#leased()) if (entry.by === owner) this.#giveBack(entry, died);
    this.#serve();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.#serve();
  }

  purge(): number {
    const waiting = this.entries.filter(({ at }) => at !== "leased");
    for (const entry of waiting) this.#remove(entry);
    return waiting.length;
  }

  removeDead(messageId: string): boolean {
    const before = this.dead.length;
    this.dead = this.dead.filter(({ entry }) => entry.item.messageId !== messageId);
    return this.dead.length < before;
  }

  redrive(messageIds: string[] | undefined, delayMs: number): number {
    const ids = messageIds ?? this.dead.map(({ entry }) => entry.item.messageId);
    let count = 0;
    for (const id of new Set(ids)) {
      const found = this.dead.find(({ entry }) => entry.item.messageId === id);
      if (!found) continue;
      this.removeDead(id);
      this.#enter(found.entry.item, delayMs);
      count++;
    }
    this.#serve();
    return count;
  }

  purgeDead(): number {
    return this.dead.splice(0).length;
  }

  advance(ms: number): void {
    const target = this.now + ms;
    for (let due; (due = this.#dueAt()) <= target;) {
      this.now = Math.max(this.now, due);
      this.#wake();
    }
    this.now = target;
  }

  stats() {
    const count = (at: Entry["at"]): number => this.entries.filter((entry) => entry.at === at).length;
    return {
      depth: this.entries.length,
      ready: count("ready"),
      delayed: count("delayed"),
      leased: count("leased"),
      dead: this.dead.length,
      waiters: this.waiters.length,
      idempotencyKeys: this.keys.length,
      paused: this.paused,
    };
  }

  #dueAt(): number {
    const { dlqRetentionMs } = this.#config;
    return Math.min(
      Infinity,
      ...this.entries.filter(({ at }) => at !== "ready").map(({ untilAt }) => untilAt),
      ...this.dead.map(({ movedAt }) => movedAt + dlqRetentionMs),
      ...this.keys.map(({ untilAt }) => untilAt),
      ...this.waiters.map(({ untilAt }) => untilAt),
    );
  }

  #wake(): void {
    this.keys = this.keys.filter(({ untilAt }) => untilAt > this.now);
    for (const entry of this.#due("delayed")) this.#toTheBack(entry);
    for (const entry of this.#due("leased")) {
      if (entry.attempts >= this.#config.maxDeliveries && this.#bury(entry, "max_deliveries_exceeded", entry.lastError))
        continue;
      this.#toTheBack(entry);
    }
    this.#forgetOldDead();
    this.#serve();
    for (const waiter of this.waiters.filter(({ untilAt }) => untilAt <= this.now)) {
      this.waiters.splice(this.waiters.indexOf(waiter), 1);
      this.served.push({ deliveryId: waiter.deliveryId, seen: { value: [] } });
    }
  }

  #due(at: Entry["at"]): Entry[] {
    const due = this.entries.filter((entry) => entry.at === at && entry.untilAt <= this.now);
    // At the same time: by order of sending, or by the place in line they had.
    return due.sort((a, b) => a.untilAt - b.untilAt || (at === "delayed" ? a.sent - b.sent : a.order - b.order));
  }

  #enter(item: QueueItem, delayMs: number): void {
    const sent = ++this.#next;
    const entry: Entry = {
      item,
      sent,
      order: sent,
      readyAt: this.now,
      attempts: 0,
      lastError: undefined,
      at: "ready",
      untilAt: 0,
      retry: false,
      placed: sent,
      deliveryId: "",
      by: "",
      leaseMs: 0,
    };
    if (delayMs > 0) this.#delay(entry, delayMs, false);
    this.entries.push(entry);
  }

  #delay(entry: Entry, delayMs: number, retry: boolean): void {
    Object.assign(entry, { at: "delayed", untilAt: this.now + delayMs, retry, placed: ++this.#next });
  }

  #toTheBack(entry: Entry): void {
    Object.assign(entry, { at: "ready", order: ++this.#next, readyAt: this.now });
  }

  /** Handed back by its holder: as if it had not been claimed. Taken from a dead one: a try that failed. */
  #giveBack(entry: Entry, tried: boolean): void {
    if (!tried) entry.attempts--;
    else if (
      entry.attempts >= this.#config.maxDeliveries &&
      this.#bury(entry, "max_deliveries_exceeded", entry.lastError)
    )
      return;
    entry.at = "ready";
  }

  #bury(entry: Entry, reason: string, lastError: string | undefined): boolean {
    this.#forgetOldDead();
    if (this.dead.length >= this.#config.maxDead) return false;
    this.#remove(entry);
    this.dead.push({ entry, reason, lastError, movedAt: this.now });
    return true;
  }

  #forgetOldDead(): void {
    this.dead = this.dead.filter(({ movedAt }) => movedAt + this.#config.dlqRetentionMs > this.now);
  }

  #take(deliveryId: string, max: number, owner: string): QueueDelivery[] {
    const got: QueueDelivery[] = [];
    while (!this.paused && got.length < max) {
      const entry = this.#best();
      if (!entry) break;
      if (entry.attempts >= this.#config.maxDeliveries && this.#bury(entry, "max_deliveries_exceeded", entry.lastError))
        continue;
      const leaseMs = this.#config.defaultLeaseMs;
      Object.assign(entry, {
        at: "leased",
        attempts: entry.attempts + 1,
        by: owner,
        leaseMs,
        untilAt: this.now + leaseMs,
        placed: ++this.#next,
        deliveryId: max === 1 ? deliveryId : `${deliveryId}.${got.length}`,
      });
      const { item, attempts: attempt, untilAt: leaseUntil } = entry;
      got.push({
        messageId: item.messageId,
        deliveryId: entry.deliveryId,
        data: item.data,
        attempt,
        leaseUntil,
        ...(item.orderingKey === undefined ? {} : { orderingKey: item.orderingKey }),
      });
    }
    return got;
  }

  /** Of what may be claimed: the lowest effective priority, then the first in line. */
  #best(): Entry | undefined {
    const effective = ({ item, readyAt }: Entry): number =>
      Math.max(0, (item.priority ?? 5) - Math.floor((this.now - readyAt) / 30_000));
    const claimable = this.entries.filter((entry) => entry.at === "ready" && !this.#blocked(entry));
    return claimable.sort((a, b) => effective(a) - effective(b) || a.order - b.order)[0];
  }

  #blocked({ item: { orderingKey }, sent }: Entry): boolean {
    if (this.#config.ordering === "best_effort" || orderingKey === undefined) return false;
    const sameKey = this.entries.filter(({ item }) => item.orderingKey === orderingKey);
    return sameKey.some(
      (other) =>
        other.at === "leased" || (other.at === "delayed" && other.retry) || (other.at === "ready" && other.sent < sent),
    );
  }

  #serve(): void {
    while (this.waiters.length > 0) {
      const { deliveryId, max, owner } = this.waiters[0]!;
      const got = this.#take(deliveryId, max, owner);
      if (got.length === 0) return;
      this.waiters.shift();
      this.served.push({ deliveryId, seen: { value: got } });
    }
  }

  #leased(): Entry[] {
    return this.entries.filter(({ at }) => at === "leased").sort((a, b) => a.placed - b.placed);
  }

  #held(deliveryId: string): Entry | undefined {
    return this.entries.find((entry) => entry.at === "leased" && entry.deliveryId === deliveryId);
  }

  #remove(entry: Entry): void {
    this.entries.splice(this.entries.indexOf(entry), 1);
  }
}

function capacity(bound: string, limit: number): { code: string; fields: unknown } {
  return { code: "CAPACITY", fields: { bound, limit } };
}
