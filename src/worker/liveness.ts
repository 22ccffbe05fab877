import { names } from "../protocol/names.js";

/** Tells when a tab is dead. */
export interface Liveness {
  watch(tab: string): void;
  unwatch(tab: string): void;
  /** The tab was heard of. */
  beat(tab: string): void;
  close(): void;
}

export function createLiveness(space: string, onDeath: (tab: string) => void): Liveness {
  return globalThis.navigator?.locks ? new LockLiveness(space, onDeath) : new HeartbeatLiveness(onDeath);
}

/**
 * Each tab holds a lock from before its hello until it dies, so the hub that is granted the same lock knows. A browser
 * gives a dead tab's lock on within about 20 ms.
 */
class LockLiveness implements Liveness {
  readonly #space: string;
  readonly #onDeath: (tab: string) => void;
  readonly #watched = new Map<string, AbortController>();

  constructor(space: string, onDeath: (tab: string) => void) {
    this.#space = space;
    this.#onDeath = onDeath;
  }

  watch(tab: string): void {
    if (this.#watched.has(tab)) return;
    const stop = new AbortController();
    this.#watched.set(tab, stop);
    navigator.locks
      .request(names.tabLock(this.#space, tab), { signal: stop.signal }, () => {
        if (this.#watched.get(tab) === stop) this.#onDeath(tab);
        this.#watched.delete(tab);
      })
      .catch(() => {
        // Aborted: the tab said goodbye, or this hub ends.
      });
  }

  unwatch(tab: string): void {
    this.#watched.get(tab)?.abort();
    this.#watched.delete(tab);
  }

  beat(): void {}

  close(): void {
    for (const tab of [...this.#watched.keys()]) this.unwatch(tab);
  }
}

const SILENT_MS = 15_000;

/** Where there are no Web Locks (an insecure origin): a tab that was not heard of for 15 s is dead. */
class HeartbeatLiveness implements Liveness {
  readonly #onDeath: (tab: string) => void;
  /** When each was heard of last, of a clock that does not step. */
  readonly #heardAt = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(onDeath: (tab: string) => void) {
    this.#onDeath = onDeath;
  }

  watch(tab: string): void {
    this.#heardAt.set(tab, performance.now());
    this.#timer ??= setTimeout(() => this.#look(), SILENT_MS);
  }

  unwatch(tab: string): void {
    this.#heardAt.delete(tab);
  }

  beat(tab: string): void {
    if (this.#heardAt.has(tab)) this.#heardAt.set(tab, performance.now());
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#heardAt.clear();
  }

  #look(): void {
    this.#timer = undefined;
    const silentSince = performance.now() - SILENT_MS;
    for (const [tab, heardAt] of [...this.#heardAt]) {
      if (heardAt > silentSince) continue;
      this.#heardAt.delete(tab);
      this.#onDeath(tab);
    }
    if (this.#heardAt.size === 0) return;
    const first = Math.min(...this.#heardAt.values());
    this.#timer = setTimeout(() => this.#look(), Math.max(1, first - silentSince));
  }
}
