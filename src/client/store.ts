/**
 * Storage that users may bring to the memory flavour: four synchronous methods. What was set comes back as it was
 * then, whatever happens to the value afterwards.
 *
 * @example
 * const store = createLocalStorageStore({ prefix: "my-app" });
 * const jobs = queue({ id: "jobs", schema, store });
 */
export interface Store {
  /** undefined: missing, expired, or unreadable. */
  get(key: string): unknown;
  /**
   * Writes all of it, or throws and leaves what was there. `ttlMs` null, 0 or negative: for ever. undefined as the
   * value: as `del`.
   */
  set(key: string, value: unknown, ttlMs?: number | null): void;
  del(key: string): void;
  /** Keys that begin with `prefix`, unreadable ones included, expired ones not. */
  keys(prefix?: string): string[];
  /**
   * Optional, for storage that others can reach: asked before handles use the store. Resolves with how to let go;
   * rejects with `STORAGE` while another uses it. Without it the first call of a handle answers at once.
   */
  lock?(): Promise<() => unknown>;
}

/** When a value that is set now is over; Infinity: never. */
export function expiryOf(ttlMs: number | null | undefined): number {
  return ttlMs && ttlMs > 0 ? Date.now() + ttlMs : Infinity;
}
