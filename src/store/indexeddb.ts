import { TabloomError } from "../protocol/errors.js";
import { randomText } from "../protocol/ids.js";
import type { Json } from "../protocol/json.js";
import { openUnlessAbsent } from "./absence.js";
import { compact, prepareCompaction } from "./compaction.js";
import { Database } from "./database.js";
import type { Batch, Journal, Loaded, Page, Row, Slice } from "./journal.js";
import { readPages, writePages } from "./pages.js";
import { parseAll, scan } from "./scan.js";

const META = "meta";
const JOURNAL = "journal";
const ROWS = "rows";
const PAGES = "pages";
const OWNER = "owner";
const LINEAGE = "lineage";
const RESERVE = "reserve";
/**
 * Room kept so that a full disk still has some for acknowledgements and removals: Chromium gives back what was deleted
 * only when it compacts, and until then each of them takes some.
 */
const RESERVE_BYTES = 1024 * 1024;
const REOPEN_TRIES = 3;
const REOPEN_DELAY_MS = 50;
/** A transaction that takes longer was begun on a handle that is dead, and did not say so; the next may take twice that. */
const ANSWER_WITHIN_MS = 5000;
/** Whoever waits for the handle is not kept longer by a transaction that does not end. */
const DRAIN_WITHIN_MS = 2000;

export interface IndexedDbOptions {
  space: string;
  /** Written as the owner; every later transaction checks that it still is. */
  epoch: string;
  /** This place had storage before: when it cannot be opened now, it is not because there is none. */
  wasThere?: boolean;
  /** An older build has the database open, and keeps this one from changing its layout. It is asked to let go. */
  onBlocked?: () => void;
  /**
   * Called once, when this journal will not take another write, with what its writes reject with from then on:
   * `STORAGE` the data was deleted, or the storage failed for good; `VERSION` another build wants to change the
   * layout, and the handle was let go for it; `FENCED` another hub owns the database.
   */
  onGone?: (error: TabloomError) => void;
}

/**
 * The journal and the checkpoint of a space in IndexedDB.
 *
 *   meta     owner → epoch of the hub that may write; lineage → names the data; reserve → random bytes
 *   journal  n → one record per turn: the JSON text of its rows
 *   rows     key → the JSON text of the row
 *   pages    n → payloads that are not in memory, which `load` leaves where they are
 *
 * Transactions use the database handle itself: durability is set per transaction, and one append costs half of what it
 * costs through Dexie's table calls.
 */
export function createIndexedDbJournal(options: IndexedDbOptions): Journal {
  return new IndexedDbJournal(options);
}

class IndexedDbJournal implements Journal {
  /** Until `load` finds that this browser keeps nothing here. */
  durable = true;
  problem: string | undefined;
  readonly #options: IndexedDbOptions;
  readonly #database: Database;
  /** Transactions without an answer, and how to stop waiting for it. */
  readonly #underWay = new Map<() => void, Promise<void>>();
  #gone: TabloomError | undefined;
  #closed = false;

  constructor(options: IndexedDbOptions) {
    this.#options = options;
    this.#database = new Database({
      space: options.space,
      onBlocked: () => options.onBlocked?.(),
      onWanted: (to) => void this.#letGo(to === "delete" ? deleted() : wanted()),
      // The data may be gone with it, or only the way to it: looking again tells.
      onClosed: () => {
        this.#database.close();
        // Not all of what was under way hears of it.
        for (const stopWaiting of [...this.#underWay.keys()]) stopWaiting();
        void this.probe();
      },
    });
  }

  async load(): Promise<Loaded> {
    try {
      this.problem = await openUnlessAbsent(() => this.#handle(), this.#options.wasThere ?? false);
      this.durable = this.problem === undefined;
      if (this.durable) return await this.#load(await this.#handle());
      return { rows: new Map(), tail: new Map(), last: 0, lineage: "" };
    } catch (error) {
      throw this.#gone ?? storageError(error);
    }
  }

  async #load(handle: IDBDatabase): Promise<Loaded> {
    // Ownership first: from here on a former owner's writes abort.
    const lineage = await this.#takeOwnership(handle);
    const rows = new Map<string, Json>();
    const tail = new Map<string, Json | undefined>();
    const newest = new Map<string, number>();
    let last = 0;
    await scan(handle, ROWS, (keys, texts) => {
      const values = parseAll(texts);
      keys.forEach((key, i) => rows.set(key as string, values[i]!));
    });
    await scan(handle, JOURNAL, (keys, texts) => {
      texts.forEach((text, i) => {
        last = keys[i] as number;
        for (const [key, value] of JSON.parse(text) as [string, Json?][]) {
          tail.set(key, value);
          newest.set(key, last);
          if (value === undefined) rows.delete(key);
          else rows.set(key, value);
        }
      });
    });
    if (!(await this.#hasReserve())) await this.takeReserve();
    return { rows, tail, newest, last, lineage };
  }

  append({ n, rows, strict, pages }: Batch): Promise<void> {
    const text = JSON.stringify(rows.map(encodeRow));
    // A reopened handle does not know whether the transaction that was lost with the old one had committed: the
    // record's number tells.
    const stores = pages ? [META, JOURNAL, PAGES] : [META, JOURNAL];
    return this.#write(stores, strict ? "strict" : "relaxed", (tx, again) => {
      const journal = tx.objectStore(JOURNAL);
      const add = (): void => {
        journal.add(text, n);
        if (pages) writePages(tx.objectStore(PAGES), pages);
      };
      if (!again) return add();
      const present = journal.count(n);
      present.onsuccess = () => {
        if (present.result === 0) add();
      };
    });
  }

  async read(pages: readonly number[]): Promise<(Page | undefined)[]> {
    const found = new Array<Page | undefined>(pages.length).fill(undefined);
    await this.#guarded([META, PAGES], { mode: "readonly" }, (tx, again) => {
      // Damaged is what cannot be read through a new handle either.
      readPages(tx.objectStore(PAGES), pages, { found, spare: again });
    });
    return found;
  }

  checkpoint({ rows, dropUpTo }: Slice): Promise<void> {
    return this.#write([META, ROWS, JOURNAL], "relaxed", (tx) => {
      const store = tx.objectStore(ROWS);
      for (const [key, value] of rows) {
        if (value === undefined) store.delete(key);
        else store.put(JSON.stringify(value), key);
      }
      if (dropUpTo !== undefined) tx.objectStore(JOURNAL).delete(IDBKeyRange.upperBound(dropUpTo));
    });
  }

  async dropReserve(): Promise<boolean> {
    if (!(await this.#hasReserve())) return false;
    await this.#write([META], "relaxed", (tx) => {
      tx.objectStore(META).delete(RESERVE);
    });
    await compact(this.#options.space);
    return true;
  }

  async compact(): Promise<void> {
    const { space } = this.#options;
    await prepareCompaction(space);
    await compact(space);
  }

  async takeReserve(): Promise<boolean> {
    // Random, because the database compresses what it can.
    const bytes = new Uint8Array(RESERVE_BYTES);
    for (let i = 0; i < RESERVE_BYTES; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
    try {
      await this.#write([META], "relaxed", (tx) => {
        tx.objectStore(META).put(bytes, RESERVE);
      });
      await prepareCompaction(this.#options.space);
      return true;
    } catch (error) {
      if (error instanceof TabloomError && error.code === "QUOTA") return false;
      throw error;
    }
  }

  async probe(): Promise<void> {
    if (this.#closed || this.#gone || !this.durable) return;
    try {
      await this.#guarded([META], { mode: "readonly" }, () => {});
    } catch (error) {
      await this.#letGo(storageError(error));
    }
  }

  close(): void {
    this.#closed = true;
    this.#database.close();
  }

  // --- The handle -------------------------------------------------------------------------------------------------

  async #handle(): Promise<IDBDatabase> {
    if (this.#gone) throw this.#gone;
    if (this.#closed) throw new TabloomError("STORAGE", "the database is closed");
    return this.#database.handle();
  }

  /** Takes no more writes, lets the handle go, and says so when what was under way is done. */
  async #letGo(reason: TabloomError): Promise<void> {
    if (this.#closed || this.#gone) return;
    this.#gone = reason;
    this.#database.close();
    await Promise.race([Promise.allSettled(this.#underWay.values()), pause(DRAIN_WITHIN_MS)]);
    if (!this.#closed) this.#options.onGone?.(reason);
  }

  // --- Transactions -----------------------------------------------------------------------------------------------

  /** A full disk may have no room even for this: the reserve is there to give it some. */
  async #takeOwnership(handle: IDBDatabase): Promise<string> {
    let lineage = randomText(16);
    const take = (): Promise<void> =>
      this.#transact(handle, [META], { durability: "relaxed" }, (tx) => {
        const meta = tx.objectStore(META);
        meta.put(this.#options.epoch, OWNER);
        const found = meta.get(LINEAGE);
        found.onsuccess = () => {
          if (found.result === undefined) meta.put(lineage, LINEAGE);
          else lineage = found.result as string;
        };
      });
    try {
      await take();
    } catch (error) {
      if (!isQuota(error)) throw error;
      await this.#transact(handle, [META], { durability: "relaxed" }, (tx) => {
        tx.objectStore(META).delete(RESERVE);
      });
      await take();
    }
    return lineage;
  }

  async #hasReserve(): Promise<boolean> {
    let found = 0;
    await this.#guarded([META], { mode: "readonly" }, (tx) => {
      const count = tx.objectStore(META).count(RESERVE);
      count.onsuccess = () => {
        found = count.result;
      };
    });
    return found > 0;
  }

  #write(
    stores: string[],
    durability: IDBTransactionDurability,
    fill: (tx: IDBTransaction, again: boolean) => void,
  ): Promise<void> {
    return this.#guarded(stores, { durability }, fill);
  }

  /** A transaction that only the owner can make. A handle that the browser closed, or that is silent, is opened again. */
  async #guarded(
    stores: string[],
    options: TransactionOptions,
    fill: (tx: IDBTransaction, again: boolean) => void,
  ): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        const again = attempt > 0;
        const done = this.#handle().then((handle) =>
          this.#transact(handle, stores, options, (tx) => {
            const owner = tx.objectStore(META).get(OWNER);
            owner.onsuccess = () => {
              if (owner.result === undefined) abort(tx, deleted());
              else if (owner.result !== this.#options.epoch) abort(tx, fenced());
              // Everything is asked for already: no need to wait for the answers before the commit.
              else if (!again) tx.commit();
            };
            fill(tx, again);
          }),
        );
        return await inTime(done, ANSWER_WITHIN_MS * 2 ** attempt);
      } catch (error) {
        if (error instanceof TabloomError || attempt >= REOPEN_TRIES || this.#closed) throw storageError(error);
        if (isQuota(error)) throw storageError(error);
        this.#database.close();
        await pause(REOPEN_DELAY_MS * 2 ** attempt);
      }
    }
  }

  /** Resolves when the transaction is complete: only then is anything in it acknowledged. */
  #transact(
    handle: IDBDatabase,
    stores: string[],
    { mode = "readwrite", durability = "default" }: TransactionOptions,
    fill: (tx: IDBTransaction) => void,
  ): Promise<void> {
    let stopWaiting!: () => void;
    const done = new Promise<void>((resolve, reject) => {
      stopWaiting = () => reject(silence());
      const tx = handle.transaction(stores, mode, { durability });
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(abortReasons.get(tx) ?? tx.error ?? new DOMException("aborted", "AbortError"));
      try {
        fill(tx);
      } catch (error) {
        reject(error);
        tx.abort();
      }
    });
    this.#underWay.set(stopWaiting, done);
    const forget = (): void => void this.#underWay.delete(stopWaiting);
    done.then(forget, forget);
    return done;
  }
}

interface TransactionOptions {
  mode?: IDBTransactionMode;
  durability?: IDBTransactionDurability;
}

const abortReasons = new WeakMap<IDBTransaction, TabloomError>();

function abort(tx: IDBTransaction, reason: TabloomError): void {
  abortReasons.set(tx, reason);
  tx.abort();
}

function encodeRow([key, value]: Row): readonly [string, Json?] {
  return value === undefined ? [key] : [key, value];
}

function isQuota(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

function storageError(error: unknown): TabloomError {
  if (error instanceof TabloomError) return error;
  if (isQuota(error)) return new TabloomError("QUOTA", "the origin's storage is full", { cause: error });
  return new TabloomError("STORAGE", `the browser's storage failed: ${String(error)}`, { cause: error });
}

const deleted = (): TabloomError => new TabloomError("STORAGE", "the site's data was deleted");
const wanted = (): TabloomError => new TabloomError("VERSION", "another build changes the layout of the storage");
const fenced = (): TabloomError => new TabloomError("FENCED", "another hub owns this space");

const silence = (): DOMException => new DOMException("the storage does not answer", "UnknownError");

async function inTime(done: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(silence()), ms)));
  try {
    await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
