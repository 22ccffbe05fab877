import type { Journal } from "./journal.js";

/** Keeps nothing: for spaces without storage, where the hub's memory is all there is. */
export function createMemoryJournal(): Journal {
  return {
    durable: false,
    load: async () => ({ rows: new Map(), tail: new Map(), last: 0, lineage: "" }),
    append: async () => {},
    read: async () => [],
    checkpoint: async () => {},
    dropReserve: async () => false,
    takeReserve: async () => true,
    close() {},
  };
}
