/** Storage that users may bring to the memory flavour: four synchronous methods. */
export interface Store {
  /** undefined: missing, expired, or unreadable. */
  get(key: string): unknown;
  /** `ttlMs` null, 0 or negative: for ever. */
  set(key: string, value: unknown, ttlMs?: number | null): void;
  del(key: string): void;
  /** Keys that begin with `prefix`. */
  keys(prefix?: string): string[];
}
