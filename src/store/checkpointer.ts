import type { Json } from "../protocol/json.js";
import type { Journal, Loaded, Row } from "./journal.js";

const SLICE_ROWS = 100;

interface Dirty {
  value: Json | undefined;
  /** Not in the checkpoint yet: if it goes before it gets there, nothing needs to be written. */
  fresh: boolean;
}

export interface CommittedWrite {
  readonly key: string;
  readonly value: Json | undefined;
  readonly fresh: boolean;
}

/**
 * Moves what the journal holds into rows, in small slices between appends, then drops the journal's prefix.
 *
 * It only ever sees committed rows (`note` is called after the commit), so a checkpoint cannot make anything durable
 * that was not. A crash between slices leaves rows and journal both; replaying the journal over newer rows converges,
 * because records are absolute.
 */
export class Checkpointer {
  readonly #journal: Journal;
  /** Rows committed since the last checkpoint began. */
  #dirty = new Map<string, Dirty>();
  #upTo = 0;
  #running: Promise<void> | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Rows that wait to be written. */
  get backlog(): number {
    return this.#dirty.size;
  }

  note(n: number, writes: Iterable<CommittedWrite>): void {
    this.#upTo = n;
    for (const { key, value, fresh } of writes) {
      const earlier = this.#dirty.get(key);
      if (value === undefined && (earlier ? earlier.fresh : fresh)) this.#dirty.delete(key);
      else this.#dirty.set(key, { value, fresh: earlier ? earlier.fresh : fresh });
    }
  }

  /** Takes over what an earlier hub left in the journal: it must be written before those records may go. */
  seed({ tail, last }: Pick<Loaded, "tail" | "last">): void {
    this.#upTo = last;
    for (const [key, value] of tail) this.#dirty.set(key, { value, fresh: false });
  }

  /** Writes what is dirty now. `pause` is awaited between slices, for appends to go first. */
  run(pause: () => Promise<void>, deletesFirst = false): Promise<void> {
    // One that is under way may be about to write what there is no room for: the deletes go right after it.
    if (this.#running && deletesFirst) return this.#running.catch(() => {}).then(() => this.run(pause, true));
    this.#running ??= this.#run(pause, deletesFirst).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(pause: () => Promise<void>, deletesFirst: boolean): Promise<void> {
    const dirty = this.#dirty;
    const upTo = this.#upTo;
    if (dirty.size === 0 && upTo === 0) return;
    this.#dirty = new Map();
    const rows: Row[] = [];
    for (const [key, { value }] of dirty) rows.push([key, value]);
    if (deletesFirst) rows.sort((a, b) => Number(a[1] !== undefined) - Number(b[1] !== undefined));
    try {
      for (let i = 0; i < rows.length; i += SLICE_ROWS) {
        await this.#journal.checkpoint({ rows: rows.slice(i, i + SLICE_ROWS) });
        await pause();
      }
      await this.#journal.checkpoint({ rows: [], dropUpTo: upTo });
    } catch (error) {
      // What was not written stays dirty; what came since is newer.
      for (const [key, entry] of dirty) {
        const newer = this.#dirty.get(key);
        this.#dirty.set(key, newer ? { value: newer.value, fresh: false } : { value: entry.value, fresh: false });
      }
      throw error;
    }
  }
}
