import { names } from "../protocol/names.js";

/**
 * Tells when a tab is dead: each tab holds a lock from before its hello until it dies, so the hub that is granted the
 * same lock knows. A browser gives a dead tab's lock on within about 20 ms.
 */
export class Liveness {
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

  close(): void {
    for (const tab of [...this.#watched.keys()]) this.unwatch(tab);
  }
}
