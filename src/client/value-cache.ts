import type { EntryRecord } from "../protocol/commands.js";

/** Entries as they were handed out, frozen: reading the same text again gives the same value. */
export class ValueCache<Entry extends { readonly value: unknown; readonly meta?: unknown }> {
  readonly #known = new Map<string, { record: EntryRecord; entry: Entry }>();
  readonly #limit: number;
  readonly #entryOf: (record: EntryRecord, value: Entry["value"]) => Entry;

  constructor(limit: number, entryOf: (record: EntryRecord, value: Entry["value"]) => Entry) {
    this.#limit = limit;
    this.#entryOf = entryOf;
  }

  /** The entry of a record whose value is known. */
  get(record: EntryRecord): Entry | undefined {
    const known = this.#known.get(record.key);
    if (known?.record === record) return known.entry;
    // By text, not by version: a hub that lost its memory counts anew.
    return known?.record.value === record.value ? this.#keep(record, known.entry.value) : undefined;
  }

  /** The entry of a record that was just read. */
  add(record: EntryRecord, value: Entry["value"]): Entry {
    return this.#keep(record, deepFreeze(value));
  }

  #keep(record: EntryRecord, value: Entry["value"]): Entry {
    const entry = Object.freeze(this.#entryOf(record, value));
    deepFreeze(entry.meta);
    // Keys come and go: what is still there is read again.
    if (this.#known.size >= this.#limit && !this.#known.has(record.key)) this.#known.clear();
    this.#known.set(record.key, { record, entry });
    return entry;
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
