/**
 * The rows of a space in a user's `Store` (docs/decisions/0009).
 *
 *   …/t/<n>   one record per turn: its rows, written by one `set`
 *   …/r/<row> what was folded out of the oldest records
 *   …/reserve room for what must be written when there is none left
 *
 * What is there is the rows, then the records in order. Records are absolute and go oldest first, each after its rows
 * were written, so that a crash between any two steps changes nothing of that.
 */
import type { Store } from "../client/store.js";
import type { Json } from "../protocol/json.js";
import { names } from "../protocol/names.js";

/** A row that changes within so many turns is folded once. */
const KEPT_RECORDS = 64;
const RESERVE_CHARS = 8192;

export type StoreRow = readonly [key: string, value?: Json];

export interface LoadedRows {
  readonly rows: Map<string, Json>;
  /** Every row's key, those that cannot be read included. */
  readonly keys: Set<string>;
}

interface StoredRecord {
  readonly n: number;
  /** Rows in it. */
  keys: string[];
}

const rowName = (key: string): string => `${names.storeRoot}r/${key}`;
const recordName = (n: number): string => `${names.storeRoot}t/${n}`;
const RESERVE_NAME = `${names.storeRoot}reserve`;

export class StoreJournal {
  readonly #store: Store;
  /** Oldest first. */
  #records: StoredRecord[] = [];
  /** Rows whose newest version is in a record: which, and what it says. */
  readonly #latest = new Map<string, { n: number; value: Json | undefined }>();
  #last = 0;
  #reserved = false;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Everything there is. Entries that cannot be read are left out, and left where they are. */
  load(): LoadedRows {
    const rows = new Map<string, Json>();
    const keys = new Set<string>();
    const records: { n: number; rows: StoreRow[] }[] = [];
    for (const name of this.#store.keys(names.storeRoot)) {
      const value = this.#store.get(name);
      const [, row, record] = /^(?:r\/(\d+[a-z].*)|t\/(\d+))$/s.exec(name.slice(names.storeRoot.length)) ?? [];
      if (row !== undefined) {
        keys.add(row);
        if (value !== undefined) rows.set(row, value as Json);
      } else if (record !== undefined) {
        this.#last = Math.max(this.#last, Number(record));
        if (isRecord(value)) records.push({ n: Number(record), rows: value });
      } else if (name === RESERVE_NAME) this.#reserved = value !== undefined;
    }
    for (const { n, rows: written } of records.sort((a, b) => a.n - b.n)) {
      this.#note(n, written);
      for (const [key, value] of written) {
        keys.add(key);
        if (value === undefined) rows.delete(key);
        else rows.set(key, value);
      }
    }
    return { rows, keys };
  }

  /** Keeps one turn's rows, all of them, or throws and keeps none. What `grows` leaves the reserve alone. */
  append(rows: readonly StoreRow[], grows: boolean): void {
    const n = this.#last + 1;
    if (grows) {
      if (!this.#reserved) this.#write(RESERVE_NAME, "-".repeat(RESERVE_CHARS));
      this.#reserved = true;
      this.#write(recordName(n), rows);
    } else this.#writeWithReserve(recordName(n), rows);
    this.#last = n;
    this.#note(n, rows);
    try {
      while (this.#records.length > KEPT_RECORDS) this.#fold();
    } catch {
      // The turn is kept; the next one tries again.
    }
  }

  #note(n: number, rows: readonly StoreRow[]): void {
    this.#records.push({ n, keys: rows.map(([key]) => key) });
    for (const [key, value] of rows) this.#latest.set(key, { n, value });
  }

  /** Writes; when that fails, makes room and tries again. */
  #write(name: string, value: unknown): void {
    try {
      this.#store.set(name, value);
    } catch {
      this.#makeRoom();
      this.#store.set(name, value);
    }
  }

  #writeWithReserve(name: string, value: unknown): void {
    try {
      this.#write(name, value);
    } catch (error) {
      if (!this.#reserved) throw error;
      this.#reserved = false;
      this.#store.del(RESERVE_NAME);
      this.#write(name, value);
    }
  }

  /** Moves the oldest record into rows. */
  #fold(): void {
    const { n, keys } = this.#records[0]!;
    const current = keys.filter((key) => this.#isNewest(key, n));
    for (const key of current) {
      const { value } = this.#latest.get(key)!;
      if (value === undefined) this.#store.del(rowName(key));
      else this.#store.set(rowName(key), value);
    }
    this.#store.del(recordName(n));
    this.#records.shift();
    for (const key of current) this.#latest.delete(key);
  }

  #isNewest(key: string, n: number): boolean {
    return this.#latest.get(key)?.n === n;
  }

  #makeRoom(): void {
    try {
      // These first: they make room for the others. Their records still say that they are gone.
      for (const [key, { value }] of this.#latest) if (value === undefined) this.#store.del(rowName(key));
      while (this.#records.length > 0) this.#fold();
    } catch {
      this.#shrink();
    }
  }

  /** The oldest record may hold a row that finds no room: then what later records made void goes from each. */
  #shrink(): void {
    try {
      for (const record of this.#records) {
        const current = record.keys.filter((key) => this.#isNewest(key, record.n));
        if (current.length === record.keys.length) continue;
        const rows = current.map((key) => rowOf(key, this.#latest.get(key)!.value));
        this.#store.set(recordName(record.n), rows);
        record.keys = current;
      }
    } catch {
      // Then there is no room.
    }
  }
}

export function rowOf(key: string, value: Json | undefined): StoreRow {
  return value === undefined ? [key] : [key, value];
}

function isRecord(value: unknown): value is StoreRow[] {
  return Array.isArray(value) && value.every((row) => Array.isArray(row) && /^\d+[a-z]/.test(String(row[0])));
}
