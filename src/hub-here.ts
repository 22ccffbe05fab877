/** A hub in a page's own thread: what a tab loads that has no worker for it. */
import { granted } from "./hosting/ownership.js";
import type { HubLink } from "./transport/comlink.js";
import { Hub } from "./worker/hub.js";

export interface HubHereOptions {
  space: string;
  /** For this tab alone: nothing lasts, and no other tab is reached. */
  alone?: boolean;
  /** It does not own the space any more; `unfit`: nor will it ever, for it cannot read what is there. */
  onEnd(unfit?: Error): void;
}

export function hubHere({ space, alone = false, onEnd }: HubHereOptions): HubLink {
  const claim = granted((unfit) => {
    hub.close();
    onEnd(unfit);
  });
  const hub = new Hub({ space, claim, alone });
  return { call: (frame) => hub.call(frame), pull: (tab) => hub.pull(tab), close: () => hub.close() };
}
