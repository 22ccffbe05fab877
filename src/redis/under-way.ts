import type { Call } from "./call.js";

/** Calls without an answer that are not parked, and who waits for there to be none. */
export class UnderWay {
  readonly #calls = new Set<Call>();
  readonly #idle: (() => void)[] = [];

  [Symbol.iterator](): Iterator<Call> {
    return this.#calls.values();
  }

  add(call: Call): void {
    this.#calls.add(call);
  }

  done(call: Call): void {
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.release();
  }

  /** Something came for those that wait, of these lanes or all, while they ask: they ask once more. */
  wake(lanes?: readonly string[]): void {
    for (const call of this.#calls) {
      const isFor = lanes === undefined ? call.waitUntil > 0 : call.lane !== undefined && lanes.includes(call.lane);
      if (call.sent && isFor) call.woken = true;
    }
  }

  /** Resolves when every call is answered, or parked. */
  settled(): Promise<void> {
    if (this.#calls.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Nobody waits for them any longer. */
  release(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
