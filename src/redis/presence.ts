import type { Reassertion } from "../client/backend.js";
import { failureOf } from "./failures.js";

type Tell = (hub: { remembers: boolean }) => Reassertion | undefined;

export interface PresenceOptions {
  /** Gives a call to the server, before those that wait to be sent again. */
  readonly say: (told: Reassertion) => Promise<unknown>;
  /** instance-renew.lua. */
  readonly renew: () => Promise<unknown>;
  /** The server does not have the instance any more. */
  readonly lost: () => void;
  /** What was said is said again this often. */
  readonly everyMs: number;
}

/** What a process says of itself at an instance: that it lives, as long as it holds something, and what it holds. */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #tells = new Set<Tell>();
  /** When it was said last, of this process's monotonic clock. */
  #saidAt = 0;
  /** Holds something that ends with this process. */
  holding = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Asked for what is to be said; returns how to stop. */
  add(tell: Tell): () => void {
    this.#tells.add(tell);
    return () => this.#tells.delete(tell);
  }

  say(hub: { remembers: boolean }): void {
    for (const tell of this.#tells) {
      const told = tell(hub);
      if (told === undefined) continue;
      this.#options.say(told).then(
        (reply) => told.answered?.(reply as never),
        (error: unknown) => told.refused?.(error),
      );
    }
  }

  /** Says again what is forgotten unless it is said from time to time. */
  remind(): void {
    const now = performance.now();
    if (now - this.#saidAt < this.#options.everyMs) return;
    this.#saidAt = now;
    this.say({ remembers: true });
  }

  async renew(): Promise<void> {
    if (!this.holding) return;
    // True again by the time of the answer when something was taken after this was asked.
    this.holding = false;
    try {
      const held = await this.#options.renew();
      this.holding ||= held === 1;
    } catch (error) {
      if (failureOf(error).what === "unopened") this.#options.lost();
      else this.holding = true;
      return;
    }
    // It holds nothing, and has nothing to tell; or it was taken for dead.
    if (!this.holding) this.say({ remembers: false });
  }
}
