import type { Announced } from "../engine/call.js";
import type { FeedMessage } from "../protocol/events.js";
import { names } from "../protocol/names.js";
import { type Broadcast, joinBroadcast } from "../transport/broadcast.js";

/** Announces the events of a turn to every tab: one message, and only of instances that some tab listens to. */
export class FanOut {
  readonly #epoch: string;
  readonly #channel: Broadcast;
  /** By instance: how many sessions listen. */
  readonly #listeners = new Map<string, number>();

  constructor(space: string, epoch: string) {
    this.#epoch = epoch;
    this.#channel = joinBroadcast(names.eventChannel(space));
  }

  /** `listening`: what one session listens to. */
  listen(listening: Set<string>, instance: string, on: boolean): void {
    if (listening.has(instance) === on) return;
    if (on) listening.add(instance);
    else listening.delete(instance);
    const count = (this.#listeners.get(instance) ?? 0) + (on ? 1 : -1);
    if (count > 0) this.#listeners.set(instance, count);
    else this.#listeners.delete(instance);
  }

  hears(instance: string): boolean {
    return this.#listeners.has(instance);
  }

  announce(announced: Announced[]): void {
    const events = announced.filter(({ event }) => this.hears(event.instance)).map(({ event }) => event);
    if (events.length > 0) this.#channel.post(JSON.stringify({ epoch: this.#epoch, events } satisfies FeedMessage));
  }

  close(): void {
    this.#channel.close();
  }
}
