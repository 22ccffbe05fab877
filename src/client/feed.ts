import type { FeedMessage } from "../protocol/events.js";
import { names } from "../protocol/names.js";
import { type Broadcast, joinBroadcast } from "../transport/broadcast.js";
import type { FeedListener } from "./backend.js";

/** Hears the event channel for the instances that this tab listens to. */
export class Feed {
  readonly #space: string;
  readonly #listeners = new Map<string, Set<FeedListener>>();
  #channel: Broadcast | undefined;
  /** Events of another hub than ours are of no use: its connection makes everyone resync. */
  epoch = "";

  constructor(space: string) {
    this.#space = space;
  }

  /** Whether this is the first listener of the instance. */
  add(instance: string, listener: FeedListener): boolean {
    this.#open();
    const listeners = this.#listeners.get(instance);
    if (listeners) {
      listeners.add(listener);
      return false;
    }
    this.#listeners.set(instance, new Set([listener]));
    return true;
  }

  /** Whether it was the last one of the instance. */
  remove(instance: string, listener: FeedListener): boolean {
    const listeners = this.#listeners.get(instance);
    if (!listeners?.delete(listener) || listeners.size > 0) return false;
    this.#listeners.delete(instance);
    if (this.#listeners.size === 0) this.close();
    return true;
  }

  hears(instance: string): boolean {
    return this.#listeners.has(instance);
  }

  /** Something may have been missed. */
  resync(): void {
    if (this.#listeners.size > 0) this.#open();
    for (const listeners of this.#listeners.values()) for (const listener of listeners) listener.resync();
  }

  #open(): void {
    this.#channel ??= joinBroadcast(names.eventChannel(this.#space), (text) =>
      this.#hear(JSON.parse(text) as FeedMessage),
    );
  }

  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }

  #hear({ epoch, events }: FeedMessage): void {
    if (epoch !== this.epoch) return;
    for (const { instance, n, event } of events) {
      for (const listener of this.#listeners.get(instance) ?? []) listener.event(event, n);
    }
  }
}
