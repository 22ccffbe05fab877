// oxlint-disable vitest/no-standalone-expect -- the world checks itself at every step
import { expect } from "vitest";
import type { Call, Settled } from "../../src/engine/call.js";
import { Space } from "../../src/engine/space.js";
import type { Turn } from "../../src/engine/turn.js";
import type {
  Body,
  CommandName,
  Durability,
  LockGrant,
  LockHolder,
  LockMode,
  OpenBody,
} from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { START } from "./engine-driver.js";
import { mutexNamed } from "./mutex-model.js";

/** A lock as its tab believes to hold it. `until`: of the time that never steps. */
interface Believed {
  resource: string;
  value: string;
  token: number;
  mode: LockMode;
  until: number;
  /** Its tab was frozen while a hub died, or a clock stepped over its end: only the token protects now. */
  fencedOnly: boolean;
}

interface Tab {
  readonly name: string;
  held: Map<string, Believed>;
  /** It has not heard of the present hub. */
  frozen: boolean;
}

/** What a tab asked for, and no hub has answered yet. */
interface Asked {
  readonly tab: Tab;
  readonly op: CommandName;
  readonly body: Body<CommandName>;
  readonly askedAt: number;
  readonly waitUntil: number;
  /** Steps of the clock before it. */
  readonly leaps: number;
  call: Call | undefined;
}

/**
 * Tabs and the hubs that come one after the other, over the rows that were committed. It checks while it runs: what is
 * answered never shows two holders, tokens only grow, and nobody waits for what is free.
 */
export class MutexWorld {
  readonly tabs: Tab[] = ["a", "b", "c"].map((name) => ({ name, held: new Map(), frozen: false }));
  /** Time that never steps; the hub's clock is this plus an offset. */
  time = START;
  offset = 0;
  space = new Space();
  readonly rows = new Map<string, Json>();
  highestToken = 0;
  #leaps = 0;
  #wasSetBack = false;
  #wasLost = false;
  readonly #opening: OpenBody;
  #unanswered: Asked[] = [];
  #ids = 0;
  #inFlight: Turn | undefined;
  /** Outcomes that wait for a commit. */
  #held: Settled[] = [];

  constructor(durability: Durability) {
    this.#opening = mutexNamed("m", durability);
    this.#register();
  }

  get now(): number {
    return this.time + this.offset;
  }

  // --- What tabs do -----------------------------------------------------------------------------------------------

  acquire(tab: Tab, resource: string, mode: LockMode, ttlMs: number, waitMs: number): void {
    this.#ask(tab, "mutex.acquire", { resource, value: `v${++this.#ids}`, ttlMs, mode, waitMs }, waitMs);
  }

  release(tab: Tab, lock: Believed): void {
    tab.held.delete(lock.value);
    this.#ask(tab, "mutex.release", { resource: lock.resource, value: lock.value });
  }

  extend(tab: Tab, lock: Believed, ttlMs: number): void {
    lock.until = Math.min(lock.until, this.time + ttlMs);
    this.#ask(tab, "mutex.extend", { resource: lock.resource, value: lock.value, ttlMs });
  }

  giveUp(which: number): void {
    const asked = this.#unanswered.filter(({ call }) => call?.parkedIn !== undefined)[which];
    if (!asked) return;
    this.#unanswered.splice(this.#unanswered.indexOf(asked), 1);
    this.space.cancel(asked.call!, this.now, false);
    this.settle();
  }

  /** Dies, and comes back as a new one. */
  die(tab: Tab): void {
    for (const { call } of this.#unanswered.filter((asked) => asked.tab === tab)) {
      if (call) this.space.cancel(call, this.now, false);
    }
    this.#unanswered = this.#unanswered.filter((asked) => asked.tab !== tab);
    tab.held.clear();
    tab.frozen = false;
    this.space.release({ owner: tab.name, died: true }, this.now);
    this.settle();
  }

  /** A frozen tab wakes, and meets the hub that took over meanwhile. */
  thaw(tab: Tab): void {
    if (!tab.frozen) return;
    tab.frozen = false;
    this.#assert(tab);
    this.#resend((asked) => asked.tab === tab);
  }

  // --- What time and hubs do --------------------------------------------------------------------------------------

  advance(ms: number): void {
    const target = this.time + ms;
    for (let due; (due = this.space.dueAt() - this.offset) <= target;) {
      this.time = Math.max(this.time, due);
      this.space.wake(this.now);
      this.settle();
    }
    this.time = target;
  }

  step(ms: number): void {
    if (ms < 0 && this.#wasLost) return;
    this.offset += ms;
    this.#wasSetBack ||= ms < 0;
    // What ends early by the hub's clock is still believed in.
    if (ms > 0) for (const lock of this.#believed()) lock.fencedOnly = true;
    // Nor can be known how long ago a lock was granted whose answer is on its way.
    this.#leaps++;
    this.space.wake(this.now);
    this.settle();
  }

  /** An append starts. */
  begin(): void {
    if (this.#inFlight || this.space.turn.empty) return;
    this.#inFlight = this.space.take();
  }

  /** The append is done. */
  finish(committed: boolean): void {
    const turn = this.#inFlight;
    if (!turn) return;
    this.#inFlight = undefined;
    if (committed) {
      for (const { key, value } of turn.writes().values()) {
        if (value === undefined) this.rows.delete(key);
        else this.rows.set(key, JSON.parse(JSON.stringify(value)) as Json);
      }
      this.space.committed = turn.id;
      this.settle();
      return;
    }
    const turns = [turn, this.space.take()];
    const undone = this.space.undo(turns);
    this.#held = [];
    this.space.repeat(() => {
      for (const { released } of turns) for (const one of released) this.space.release(one, this.now);
      for (const call of undone) if (this.#of(call)) this.space.run(call, this.now);
    });
    this.settle();
  }

  /**
   * Another hub takes over. Of the tabs, those that are not frozen tell it what they hold before it grants anything.
   * `lost`: with nothing on disk; that and a clock that was set back cannot be covered.
   */
  hubDies(frozen: readonly Tab[], lost = false): void {
    this.#inFlight = undefined;
    this.#held = [];
    // No hub starts faster.
    this.time += 10;
    if (lost && !this.#wasSetBack) {
      this.rows.clear();
      this.#wasLost = true;
    }
    this.space = new Space();
    const owners = this.space.restore(this.rows);
    this.#register();
    for (const tab of frozen) {
      tab.frozen = true;
      for (const lock of tab.held.values()) lock.fencedOnly = true;
    }
    for (const asked of this.#unanswered) asked.call = undefined;
    // Asked before, and no more to be answered: each tab makes a new one.
    this.#unanswered = this.#unanswered.filter(({ op }) => op !== "mutex.assert");
    for (const tab of this.tabs) if (!tab.frozen) this.#assert(tab);
    this.#resend(({ tab }) => !tab.frozen);
    for (const owner of owners) expect(this.tabs.map(({ name }) => name)).toContain(owner);
  }

  settle(): void {
    const settled = [...this.#held, ...this.space.settled];
    this.space.settled = [];
    this.#held = settled.filter(({ turn }) => turn > this.space.committed);
    for (const { call, outcome, turn } of settled) {
      if (turn > this.space.committed) continue;
      expect(outcome.ok).toBe(true);
      const asked = this.#of(call);
      if (asked && outcome.ok) this.#answer(asked, outcome.value);
    }
    this.#checkHub();
  }

  /** That it exists is committed before anything else: calls at an instance that never was are refused, not run again. */
  #register(): void {
    this.space.open(this.#opening, this.now);
    this.begin();
    this.finish(true);
  }

  // --- Inside -----------------------------------------------------------------------------------------------------

  #ask(tab: Tab, op: CommandName, body: Body<CommandName>, waitMs = 0): void {
    const askedAt = this.time;
    const leaps = this.#leaps;
    const asked: Asked = { tab, op, body, askedAt, waitUntil: askedAt + waitMs, leaps, call: undefined };
    this.#unanswered.push(asked);
    if (!tab.frozen) this.#send(asked);
  }

  #assert(tab: Tab): void {
    const locks = [...tab.held.values()].filter(({ until }) => until > this.time);
    tab.held = new Map(locks.map((lock) => [lock.value, lock]));
    const told = locks.map(({ resource, value, token, mode, until }) => {
      return { resource, value, token, mode, ttlMs: until - this.time };
    });
    if (told.length > 0) this.#ask(tab, "mutex.assert", { locks: told });
  }

  #resend(which: (asked: Asked) => boolean): void {
    for (const asked of [...this.#unanswered].filter(which)) if (asked.op !== "mutex.assert") this.#send(asked);
  }

  #send(asked: Asked): void {
    const left = Math.max(0, asked.waitUntil - this.time);
    const instance = this.space.open(this.#opening, this.now);
    const waitUntil = left > 0 ? this.now + left : 0;
    const { tab, op, body } = asked;
    asked.call = { owner: tab.name, seq: ++this.#ids, op, body, instance, arrival: 0, waitUntil, parkedIn: undefined };
    this.space.run(asked.call, this.now);
    this.settle();
  }

  #of(call: Call): Asked | undefined {
    return this.#unanswered.find((asked) => asked.call === call);
  }

  #answer(asked: Asked, value: unknown): void {
    this.#unanswered.splice(this.#unanswered.indexOf(asked), 1);
    const { tab } = asked;
    if (asked.op === "mutex.acquire" && value !== null) this.#granted(asked, value as LockGrant);
    if (asked.op === "mutex.extend") {
      const body = asked.body as Body<"mutex.extend">;
      const lock = tab.held.get(body.value);
      if (lock && value === null) tab.held.delete(lock.value);
      else if (lock && lock.until > this.time) lock.until = asked.askedAt + body.ttlMs;
    }
    if (asked.op === "mutex.assert") {
      (asked.body as Body<"mutex.assert">).locks.forEach((told, i) => {
        const lock = tab.held.get(told.value);
        if ((value as (number | null)[])[i] !== null || !lock) return;
        // Who told in time, and was not overtaken by a clock, keeps what it has.
        expect(lock.fencedOnly || lock.until <= this.time, `${told.value} was refused`).toBe(true);
        tab.held.delete(told.value);
      });
    }
  }

  #granted({ tab, body, askedAt, call, leaps }: Asked, { token, expiresAt }: LockGrant): void {
    const { resource, value, mode, ttlMs } = body as Body<"mutex.acquire">;
    const grantedAt = Math.max(askedAt, this.time - Math.max(0, this.now - (expiresAt - ttlMs)));
    const lock: Believed = { resource, value, token, mode, until: grantedAt + ttlMs, fencedOnly: leaps < this.#leaps };
    expect(Number.isSafeInteger(token)).toBe(true);
    expect(token, "tokens grow with every grant that is answered").toBeGreaterThan(this.highestToken);
    this.highestToken = token;
    for (const { call: other } of this.#unanswered) {
      const before = other?.parkedIn === resource && other.arrival < call!.arrival;
      expect(before, `${value} overtook another`).toBe(false);
    }
    for (const other of this.#believed()) {
      if (other.resource !== resource || (other.mode === "shared" && mode === "shared")) continue;
      expect(other.token).toBeLessThan(token);
      expect(other.fencedOnly || other.until <= this.time, `${other.value} and ${value} both hold`).toBe(true);
    }
    tab.held.set(value, lock);
  }

  *#believed(): Iterable<Believed> {
    for (const tab of this.tabs) yield* tab.held.values();
  }

  /** In the hub's own memory: who holds together, and that nobody waits for what is free. */
  #checkHub(): void {
    const [instance] = this.space.instances();
    if (!instance) return;
    const held = [...(instance.state as { held: Map<string, LockHolder & { resource: string }> }).held.values()];
    const holdersOf = (of: string): LockHolder[] => held.filter(({ resource }) => resource === of);
    for (const { resource } of held) {
      const holders = holdersOf(resource);
      expect(holders.length === 1 || holders.every(({ mode }) => mode === "shared")).toBe(true);
    }
    for (const [resource, lane] of instance.lanes) {
      const [first] = lane;
      const { mode } = first!.body as Body<"mutex.acquire">;
      const free = holdersOf(resource).every((holder) => holder.mode === "shared" && mode === "shared");
      expect(free, `the first waiter of ${resource} could be served`).toBe(false);
    }
  }
}
