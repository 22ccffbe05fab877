import type { Durability, LockMode, OpenBody } from "../../src/protocol/commands.js";

export function mutexNamed(id: string, durability: Durability = "memory"): OpenBody {
  return { name: { prefix: "", kind: "mutex", tenantId: "default", id }, config: {}, durability, seed: "GEN" };
}

export interface ModelLock {
  resource: string;
  value: string;
  mode: LockMode;
  ttlMs: number;
  expiresAt: number;
  by: string;
}

interface Waiting extends Omit<ModelLock, "expiresAt"> {
  until: number;
}

/** A mutex as one would explain it: who holds and who waits, in lists that are searched from end to end. */
export class MutexModel {
  now: number;
  held: ModelLock[] = [];
  waiting: Waiting[] = [];
  /** What calls came to since it was last emptied: when the lock ends, or null. */
  served: { value: string; expiresAt: number | null }[] = [];

  constructor(now: number) {
    this.now = now;
  }

  acquire(asked: Omit<ModelLock, "expiresAt">, waitMs: number): void {
    this.waiting.push({ ...asked, until: this.now + waitMs });
    this.#serve();
    this.#giveUp(({ value }) => value === asked.value && waitMs === 0, true);
  }

  release(resource: string, value: string): void {
    this.held = this.held.filter((lock) => lock.value !== value || lock.resource !== resource);
    this.#serve();
  }

  extend(resource: string, value: string, ttlMs: number): number | null {
    const lock = this.held.find((one) => one.value === value && one.resource === resource);
    if (!lock) return null;
    Object.assign(lock, { ttlMs, expiresAt: this.now + ttlMs });
    return lock.expiresAt;
  }

  giveUp(value: string): void {
    this.#giveUp((call) => call.value === value, false);
  }

  ownerGone(owner: string): void {
    this.#giveUp(({ by }) => by === owner, false);
    this.held = this.held.filter(({ by }) => by !== owner);
    this.#serve();
  }

  advance(ms: number): void {
    const target = this.now + ms;
    for (;;) {
      const next = Math.min(
        ...this.held.map(({ expiresAt }) => expiresAt),
        ...this.waiting.map(({ until }) => until),
        Infinity,
      );
      if (next > target) break;
      this.now = next;
      this.held = this.held.filter(({ expiresAt }) => expiresAt > next);
      this.#serve();
      this.#giveUp(({ until }) => until <= next, true);
    }
    this.now = target;
  }

  query(resource: string) {
    return {
      holders: this.held.filter((lock) => lock.resource === resource).map(({ value }) => value),
      waiting: this.waiting.filter((call) => call.resource === resource).length,
    };
  }

  stats() {
    return {
      held: this.held.length,
      resources: new Set(this.held.map(({ resource }) => resource)).size,
      waiters: this.waiting.length,
    };
  }

  /** One after the other, for each may let the next one pass. */
  #giveUp(who: (call: Waiting) => boolean, told: boolean): void {
    for (let call; (call = this.waiting.find(who));) {
      this.waiting.splice(this.waiting.indexOf(call), 1);
      if (told) this.served.push({ value: call.value, expiresAt: null });
      this.#serve();
    }
  }

  #serve(): void {
    for (let call; (call = this.waiting.find((one) => this.#isNext(one)));) {
      const { until: _, ...lock } = call;
      this.waiting.splice(this.waiting.indexOf(call), 1);
      this.held.push({ ...lock, expiresAt: this.now + lock.ttlMs });
      this.served.push({ value: lock.value, expiresAt: this.now + lock.ttlMs });
    }
  }

  #isNext(call: Waiting): boolean {
    const { resource, mode } = call;
    if (this.waiting.find((one) => one.resource === resource) !== call) return false;
    const holders = this.held.filter((lock) => lock.resource === resource);
    return holders.every((lock) => lock.mode === "shared" && mode === "shared");
  }
}
