import type { Json } from "../protocol/json.js";
import type { Journal, Loaded, Row } from "./journal.js";

const SLICE_ROWS = 100;
/** While room is scarce a slice must fit into what little there is: JSON text of so many characters. */
const FRUGAL_CHARS = 32 * 1024;
/** With none left, so much all the same: the small old rows (what an instance is) that keep all records after them. */
const LAST_CHARS = 4 * 1024;

interface Dirty {
  value: Json | undefined;
  /** Not in the checkpoint yet: if it goes before it gets there, nothing needs to be written. */
  fresh: boolean;
  /** The newest record that has it; 0 when nobody knows. */
  n: number;
}

/**
 * How much of it there is for rows, besides what appends need. scarce: what frees some comes first, and each slice lets
 * the records go that it makes superfluous. none: next to nothing is written that takes any.
 */
export type Room = "plenty" | "scarce" | "none";

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
      else this.#dirty.set(key, { value, fresh: earlier ? earlier.fresh : fresh, n });
    }
  }

  /** Takes over what an earlier hub left in the journal: it must be written before those records may go. */
  seed({ tail, last, newest }: Pick<Loaded, "tail" | "last" | "newest">): void {
    this.#upTo = last;
    for (const [key, value] of tail) this.#dirty.set(key, { value, fresh: false, n: newest?.get(key) ?? 0 });
  }

  /** Writes what is dirty now. `pause` is awaited between slices, for appends to go first. */
  run(pause: () => Promise<void>, room: Room = "plenty"): Promise<void> {
    // One that is under way may be about to write what there is no room for: the deletes go right after it.
    if (this.#running && room !== "plenty") return this.#running.catch(() => {}).then(() => this.run(pause, room));
    this.#running ??= this.#run(pause, room).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(pause: () => Promise<void>, room: Room): Promise<void> {
    const dirty = this.#dirty;
    const upTo = this.#upTo;
    if (dirty.size === 0 && upTo === 0) return;
    this.#dirty = new Map();
    try {
      if (room === "plenty") await this.#write(dirty, upTo, pause);
      else await this.#writeFrugally(dirty, { upTo, pause, puts: room === "scarce" });
    } finally {
      // What was not written stays dirty; what came since is newer. All of it may be there all the same.
      for (const [key, entry] of dirty) {
        const newer = this.#dirty.get(key);
        this.#dirty.set(key, { ...(newer ?? entry), fresh: false });
      }
    }
  }

  /** What is written is dirty no more. */
  async #write(dirty: Map<string, Dirty>, upTo: number, pause: () => Promise<void>): Promise<void> {
    const rows = Array.from(dirty, ([key, { value }]): Row => [key, value]);
    for (let i = 0; i < rows.length; i += SLICE_ROWS) {
      const slice = rows.slice(i, i + SLICE_ROWS);
      await this.#journal.checkpoint({ rows: slice });
      for (const [key] of slice) dirty.delete(key);
      await pause();
    }
    await this.#journal.checkpoint({ rows: [], dropUpTo: upTo });
  }

  /**
   * A record is superfluous when each of its rows is in a newer one, or was written. So the oldest rows go first, and
   * with them their records: what this takes on the way is one slice, however much the journal holds.
   */
  async #writeFrugally(
    dirty: Map<string, Dirty>,
    { upTo, pause, puts }: { upTo: number; pause: () => Promise<void>; puts: boolean },
  ): Promise<void> {
    const entries = [...dirty].sort(
      ([, a], [, b]) => Number(a.value !== undefined) - Number(b.value !== undefined) || a.n - b.n,
    );
    let dropped = 0;
    let left = LAST_CHARS;
    for (let next = 0; ;) {
      const first = entries[next]?.[1];
      const dropUpTo = first === undefined ? upTo : first.value === undefined ? 0 : first.n - 1;
      if (dropUpTo > dropped) await this.#journal.checkpoint({ rows: [], dropUpTo: (dropped = dropUpTo) });
      if (first === undefined) return;
      const rows = sliceOf(entries, next, puts ? FRUGAL_CHARS : left);
      if (rows.length === 0) return;
      await this.#journal.checkpoint({ rows });
      left -= lengthOf(rows);
      for (const [key] of rows) dirty.delete(key);
      next += rows.length;
      await pause();
    }
  }
}

/** What frees room and what takes it are never in one slice: the first must not fail with the second. */
function sliceOf(entries: readonly (readonly [string, Dirty])[], from: number, maxChars: number): Row[] {
  const rows: Row[] = [];
  for (let chars = 0; rows.length < SLICE_ROWS;) {
    const entry = entries[from + rows.length];
    if (entry === undefined) break;
    const row = [entry[0], entry[1].value] as const;
    if (rows.length > 0 && (row[1] === undefined) !== (rows[0]![1] === undefined)) break;
    chars += lengthOf([row]);
    // A long one goes alone where there is some room.
    if (chars > maxChars && (rows.length > 0 || maxChars < FRUGAL_CHARS)) break;
    rows.push(row);
  }
  return rows;
}

function lengthOf(rows: readonly Row[]): number {
  return rows.reduce(
    (chars, [key, value]) => chars + (value === undefined ? 0 : key.length + JSON.stringify(value).length),
    0,
  );
}
