import type { Announced } from "../engine/call.js";
import type { FeedMessage } from "../protocol/events.js";
import { names } from "../protocol/names.js";
import { type Broadcast, joinBroadcast } from "../transport/broadcast.js";

/** Announces the events of a turn to every tab: one message, and only of instances that some tab listens to. */
export class FanOut {
  readonly #epoch: string;
  readonly #channel: Broadcast;

  constructor(space: string, epoch: string) {
    this.#epoch = epoch;
    this.#channel = joinBroadcast(names.eventChannel(space));
  }

  announce(announced: Announced[], isHeard: (instance: string) => boolean): void {
    const events = announced.filter(({ event }) => isHeard(event.instance)).map(({ event }) => event);
    if (events.length > 0) this.#channel.post(JSON.stringify({ epoch: this.#epoch, events } satisfies FeedMessage));
  }

  close(): void {
    this.#channel.close();
  }
}
