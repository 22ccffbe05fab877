import type { FeedListener } from "../client/backend.js";
import type { Client } from "./client.js";
import { parseEvents } from "./event-text.js";

/** Who in this process hears an instance's events. */
export class Listeners {
  readonly #client: Client;
  readonly #channel: string;
  readonly #listeners = new Set<FeedListener>();
  #hearing: Promise<void> | undefined;
  /** undefined: they hear what happens from now on, or there are none. Until then, calls of this process wait. */
  deaf: Promise<void> | undefined;

  constructor(client: Client, channel: string) {
    this.#client = client;
    this.#channel = channel;
  }

  /** Returns how to stop. */
  add(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    if (this.#hearing === undefined) {
      const hearing = this.#client.subscribe(this.#channel, (text) => this.#hear(text));
      this.#hearing = hearing;
      const deaf = hearing.then(() => {
        // Nobody may have listened any more, and somebody again.
        if (this.deaf === deaf) this.deaf = undefined;
      });
      this.deaf = deaf;
    }
    // What was published before the subscription stood is in the log; not every kind has one.
    void this.#hearing.then(() => this.#listeners.has(listener) && listener.resync());
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.#hearing = undefined;
      this.#client.unsubscribe(this.#channel);
    };
  }

  /** Something was missed. */
  resync(): void {
    for (const listener of this.#listeners) listener.resync();
  }

  #hear(text: string): void {
    for (const [n, event] of parseEvents(text)) for (const listener of this.#listeners) listener.event(event, n);
  }
}
