import type { Call } from "./calls.js";

/** Calls that wait, in order of arrival, found by what they wait for (`Script.lane`). */
export class Waiting {
  readonly #calls = new Set<Call>();
  readonly #byLane = new Map<string, Set<Call>>();

  get size(): number {
    return this.#calls.size;
  }

  [Symbol.iterator](): Iterator<Call> {
    return this.#calls.values();
  }

  of(lane: string): Iterable<Call> {
    return this.#byLane.get(lane) ?? [];
  }

  add(call: Call): void {
    this.#calls.add(call);
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

  clear(): void {
    this.#calls.clear();
    this.#byLane.clear();
  }
}
