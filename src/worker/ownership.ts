import { names } from "../protocol/names.js";
import { type Broadcast, joinBroadcast } from "../transport/broadcast.js";

const PING_MS = 1000;
const MISSED_PINGS = 2;
const STEAL_SPREAD_MS = 500;

export interface Owned {
  /** Resolves when another hub took the lock by force. */
  readonly stolen: Promise<void>;
  release(): void;
}

type Control = { ask: "owner"; from: string } | { owner: string; to: string };

/**
 * The owner lock of a space. A hub waits for it as long as the owner shows signs of life; an owner that is silent for
 * two pings is wedged or frozen, and is stolen from, once. The fence (store/indexeddb.ts) makes that safe.
 */
export class Ownership {
  readonly #space: string;
  readonly #epoch: () => string;
  readonly #control: Broadcast;
  #owns = false;
  #heard: ((epoch: string) => void) | undefined;

  constructor(space: string, epoch: () => string) {
    this.#space = space;
    this.#epoch = epoch;
    this.#control = joinBroadcast(names.controlChannel(space), (text) => this.#hear(JSON.parse(text) as Control));
  }

  async take(): Promise<Owned> {
    const waiting = new AbortController();
    const granted = this.#request({ signal: waiting.signal });
    const watch = this.#watchOwner(waiting.signal);
    const owned = await Promise.race([granted, watch]);
    waiting.abort();
    return owned ?? (await this.#request({ steal: true }));
  }

  /** Resolves with nothing when the owner gives no sign of life. Never when it is given up. */
  async #watchOwner(given: AbortSignal): Promise<undefined> {
    for (let missed = 0; missed < MISSED_PINGS;) {
      const alive = new Promise<boolean>((resolve) => {
        this.#heard = () => resolve(true);
        setTimeout(() => resolve(false), PING_MS);
      });
      this.#control.post(JSON.stringify({ ask: "owner", from: this.#epoch() } satisfies Control));
      missed = (await alive) ? 0 : missed + 1;
      if (missed === 0) await pause(PING_MS);
      if (given.aborted) return new Promise(() => {});
    }
    // Several may wait: the first to steal is the next owner, and answers the others' pings.
    await pause(Math.random() * STEAL_SPREAD_MS);
    return given.aborted ? new Promise(() => {}) : undefined;
  }

  #request(options: { signal: AbortSignal } | { steal: true }): Promise<Owned> {
    return new Promise((resolve) => {
      let release!: () => void;
      const held = new Promise<void>((done) => (release = done));
      let lose!: () => void;
      const stolen = new Promise<void>((done) => (lose = done));
      let granted = false;
      navigator.locks
        .request(names.ownerLock(this.#space), options, () => {
          granted = true;
          this.#owns = true;
          resolve({ stolen, release });
          return held;
        })
        .catch(() => {})
        .finally(() => {
          if (!granted) return;
          this.#owns = false;
          lose();
        });
    });
  }

  #hear(message: Control): void {
    if ("ask" in message) {
      if (!this.#owns) return;
      this.#control.post(JSON.stringify({ owner: this.#epoch(), to: message.from } satisfies Control));
    } else if (message.to === this.#epoch()) {
      this.#heard?.(message.owner);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
