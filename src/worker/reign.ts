import { serveRelay } from "../hosting/relay.js";
import type { HelloFrame, HubFacade } from "../protocol/frames.js";
import { createIndexedDbJournal } from "../store/indexeddb.js";
import type { Journal } from "../store/journal.js";
import { createMemoryJournal } from "../store/memory.js";
import { Host } from "./host.js";

export interface ReignOptions {
  space: string;
  epoch: string;
  /** Nothing lasts, and nobody comes through the channel. */
  alone: boolean;
  /** There was storage before: that it is not there now is a fault, not how this browser is. */
  wasThere: boolean;
  /** What hubs that relay, and tabs without a port, may ask. */
  relayed: HubFacade;
  /** The memory is void. */
  onLost(): void;
  onTabs(): void;
  /** A hub of an older build keeps the storage open. */
  onBlocked(): void;
}

/** The time in which a hub owns its space: the storage, the host over it, and the way in for those without a port. */
export class Reign {
  readonly host: Host;
  readonly journal: Journal;
  /** Said hello before the host was ready. */
  readonly greeted: HelloFrame[] = [];
  /** The host ran calls. */
  ruled = false;
  /** Somebody asked for the space who should rather have it. */
  outranked = false;
  readonly over: Promise<void>;
  readonly #server: { close(): void } | undefined;
  #end!: () => void;

  constructor({ space, epoch, alone, wasThere, relayed, onLost, onTabs, onBlocked }: ReignOptions) {
    this.over = new Promise((resolve) => (this.#end = resolve));
    this.#server = alone ? undefined : serveRelay(space, epoch, relayed);
    this.journal = alone
      ? createMemoryJournal()
      : createIndexedDbJournal({ space, epoch, wasThere, onBlocked, onGone: onLost });
    this.host = new Host({ space, epoch, journal: this.journal, onLost, onTabs });
  }

  /** In this very turn. */
  end(): void {
    this.host.close();
    this.#server?.close();
    this.#end();
  }
}
