import type { HubLink } from "../transport/comlink.js";

/** How a connection reaches a hub. */
export interface Dialer {
  /** Throws `UNAVAILABLE`, naming what is missing here. */
  assertAvailable(): void;
  /** `name`: the worker's, which says space and generation. `failed` rejects when there will be no hub behind it. */
  dial(name: string): { link: HubLink; failed: Promise<never> };
  /** The hub's own thread, not a tab. */
  readonly own?: true;
}
