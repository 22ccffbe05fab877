import { dialRelay } from "../hosting/relay.js";
import type { Owner } from "../protocol/control.js";
import type { HubFacade } from "../protocol/frames.js";
import { names } from "../protocol/names.js";
import type { HubLink } from "../transport/comlink.js";

/** A waiting hub's way to the owner of its space, for the frames of its own tabs. */
export class Uplink {
  readonly owner: Owner;
  readonly #link: HubLink;
  readonly #watch = new AbortController();
  readonly #open = new Set<() => void>();

  /** `onGone`: the owner's worker is dead. */
  constructor(space: string, owner: Owner, onGone: () => void) {
    this.owner = owner;
    this.#link = dialRelay(space, owner.epoch);
    navigator.locks?.request(names.hubLock(space, owner.hubId), { signal: this.#watch.signal }, onGone).catch(() => {
      // Aborted: another owner is followed, or this hub owns.
    });
  }

  /** Resolves with undefined when the owner is followed no more. */
  ask(method: keyof HubFacade, text: string): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const end = (): void => resolve(undefined);
      this.#open.add(end);
      this.#link
        [method](text)
        .then(resolve, reject)
        .finally(() => this.#open.delete(end));
    });
  }

  close(): void {
    this.#watch.abort();
    for (const end of this.#open) end();
    // What was asked in this turn still leaves.
    this.#link.close();
  }
}
