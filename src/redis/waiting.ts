import { setLongTimeout } from "../client/signals.js";
import type { Call } from "./call.js";

/** Calls that wait, in order of arrival, until something comes for them (`Script.lane`) or their time is up. */
export class Waiting {
  readonly #calls = new Set<Call>();
  readonly #byLane = new Map<string, Set<Call>>();
  readonly #ask: (calls: readonly Call[]) => void;
  #stopTimer: (() => void) | undefined;
  #timerAt = Infinity;

  constructor(ask: (calls: readonly Call[]) => void) {
    this.#ask = ask;
  }

  get size(): number {
    return this.#calls.size;
  }

  [Symbol.iterator](): Iterator<Call> {
    return this.#calls.values();
  }

  add(call: Call): void {
    this.#calls.add(call);
    this.#endAt(call.waitUntil);
    const { lane } = call;
    if (lane === undefined) return;
    const others = this.#byLane.get(lane);
    if (others) others.add(call);
    else this.#byLane.set(lane, new Set([call]));
  }

  delete(call: Call): boolean {
    const { lane } = call;
    const others = lane === undefined ? undefined : this.#byLane.get(lane);
    if (others?.delete(call) && others.size === 0) this.#byLane.delete(lane!);
    return this.#calls.delete(call);
  }

  /** They wait here no longer. */
  takeAll(): Call[] {
    const calls = [...this.#calls];
    this.#calls.clear();
    this.#byLane.clear();
    return calls;
  }

  /** Asks again for all, in order of arrival. */
  retry(): void {
    if (this.#calls.size > 0) this.#ask(this.takeAll());
  }

  /** Asks again for those of these lanes. */
  retryLanes(lanes: readonly string[]): void {
    const calls = lanes.flatMap((lane) => [...(this.#byLane.get(lane) ?? [])]);
    for (const call of calls) this.delete(call);
    if (calls.length > 0) this.#ask(calls);
  }

  /** Calls whose time is up are asked once more, so that what came at that moment is not missed. */
  endOverdue(): void {
    this.#timerAt = Infinity;
    const now = performance.now();
    const over = [...this.#calls].filter((call) => call.waitUntil <= now);
    for (const call of over) {
      call.last = true;
      this.delete(call);
    }
    this.#ask(over);
    for (const call of this.#calls) this.#endAt(call.waitUntil);
  }

  #endAt(at: number): void {
    if (at >= this.#timerAt) return;
    this.stop();
    this.#timerAt = at;
    this.#stopTimer = setLongTimeout(() => this.endOverdue(), Math.max(0, at - performance.now()));
  }

  stop(): void {
    this.#stopTimer?.();
  }
}
