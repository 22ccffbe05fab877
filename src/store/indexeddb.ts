import { Dexie } from "dexie";
import { SCHEMA, names } from "../protocol/names.js";
import { TabloomError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import type { Batch, Journal, Loaded, Row, Slice } from "./journal.js";

const META = "meta";
const JOURNAL = "journal";
const ROWS = "rows";
const OWNER = "owner";
const RESERVE = "reserve";
/** Room kept so that a full disk still has some for acknowledgements and removals. */
const RESERVE_BYTES = 256 * 1024;
const REOPEN_TRIES = 3;
const REOPEN_DELAY_MS = 50;
const LOAD_PAGE = 20_000;

export interface IndexedDbOptions {
  space: string;
  /** Written as the owner; every later transaction checks that it still is. */
  epoch: string;
  /** Called when the database was deleted, or another version of the code asks for it. */
  onGone?: (reason: "deleted" | "versionchange") => void;
}

/**
 * The journal and the checkpoint of a space in IndexedDB.
 *
 *   meta     owner → epoch of the hub that may write; reserve → random bytes
 *   journal  n → one record per turn: the JSON text of its rows
 *   rows     key → the JSON text of the row
 *
 * Dexie opens and migrates. Transactions use the database handle itself: durability is set per transaction, and one
 * append costs half of what it costs through table calls.
 */
export function createIndexedDbJournal(options: IndexedDbOptions): Journal {
  return new IndexedDbJournal(options);
}

class IndexedDbJournal implements Journal {
  readonly durable = true;
  readonly #options: IndexedDbOptions;
  #dexie: Dexie | undefined;
  #closed = false;

  constructor(options: IndexedDbOptions) {
    this.#options = options;
  }

  async load(): Promise<Loaded> {
    const handle = await this.#open();
    // Ownership first: from here on a former owner's writes abort.
    await transact(handle, [META], "relaxed", (tx) => {
      tx.objectStore(META).put(this.#options.epoch, OWNER);
    });
    const rows = new Map<string, Json>();
    const tail = new Map<string, Json | undefined>();
    let last = 0;
    await eachPage(handle, ROWS, (keys, texts) => {
      const values = parseAll(texts);
      keys.forEach((key, i) => rows.set(key as string, values[i]!));
    });
    await eachPage(handle, JOURNAL, (keys, texts) => {
      texts.forEach((text, i) => {
        for (const [key, value] of JSON.parse(text) as [string, Json?][]) {
          tail.set(key, value);
          if (value === undefined) rows.delete(key);
          else rows.set(key, value);
        }
        last = keys[i] as number;
      });
    });
    if ((await this.#hasReserve(handle)) === false) await this.takeReserve();
    return { rows, tail, last };
  }

  append({ n, rows, strict }: Batch): Promise<void> {
    const text = JSON.stringify(rows.map(encodeRow));
    // A reopened handle does not know whether the transaction that was lost with the old one had committed: the
    // record's number tells.
    return this.#write([META, JOURNAL], strict ? "strict" : "relaxed", (tx, again) => {
      const journal = tx.objectStore(JOURNAL);
      if (!again) journal.add(text, n);
      else {
        const present = journal.count(n);
        present.onsuccess = () => {
          if (present.result === 0) journal.add(text, n);
        };
      }
    });
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
    if (!(await this.#hasReserve(await this.#open()))) return false;
    await this.#write([META], "relaxed", (tx) => {
      tx.objectStore(META).delete(RESERVE);
    });
    return true;
  }

  async takeReserve(): Promise<void> {
    // Random, because the database compresses what it can.
    const bytes = new Uint8Array(RESERVE_BYTES);
    for (let i = 0; i < RESERVE_BYTES; i += 65_536) crypto.getRandomValues(bytes.subarray(i, i + 65_536));
    try {
      await this.#write([META], "relaxed", (tx) => {
        tx.objectStore(META).put(bytes, RESERVE);
      });
    } catch (error) {
      if (!(error instanceof TabloomError && error.code === "QUOTA")) throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#dexie?.close();
    this.#dexie = undefined;
  }

  async #hasReserve(handle: IDBDatabase): Promise<boolean> {
    let found = 0;
    await transact(handle, [META], "relaxed", (tx) => {
      const count = tx.objectStore(META).count(RESERVE);
      count.onsuccess = () => {
        found = count.result;
      };
    });
    return found > 0;
  }

  async #open(): Promise<IDBDatabase> {
    if (this.#closed) throw new TabloomError("STORAGE", "the database is closed");
    if (!this.#dexie) {
      const dexie = new Dexie(names.database(this.#options.space), { autoOpen: false });
      dexie.version(SCHEMA).stores({ [META]: "", [JOURNAL]: "", [ROWS]: "" });
      await dexie.open();
      dexie.on("versionchange", (event) => {
        this.#forget();
        this.#options.onGone?.(event.newVersion === null ? "deleted" : "versionchange");
      });
      this.#dexie = dexie;
    }
    return this.#dexie.backendDB();
  }

  #forget(): void {
    this.#dexie?.close();
    this.#dexie = undefined;
  }

  /** A transaction that only the owner can make. A handle that the browser closed is opened again. */
  async #write(
    stores: string[],
    durability: IDBTransactionDurability,
    fill: (tx: IDBTransaction, again: boolean) => void,
  ): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        const handle = await this.#open();
        await transact(handle, stores, durability, (tx) => {
          const owner = tx.objectStore(META).get(OWNER);
          const again = attempt > 0;
          owner.onsuccess = () => {
            if (owner.result !== this.#options.epoch)
              abort(tx, new TabloomError("FENCED", "another hub owns this space"));
            // Everything is asked for already: no need to wait for the answers before the commit.
            else if (!again) tx.commit();
          };
          fill(tx, again);
        });
        return;
      } catch (error) {
        if (error instanceof TabloomError || attempt >= REOPEN_TRIES || this.#closed) throw storageError(error);
        if (isQuota(error)) throw new TabloomError("QUOTA", "the origin's storage is full", { cause: error });
        this.#forget();
        await new Promise((resolve) => setTimeout(resolve, REOPEN_DELAY_MS * 2 ** attempt));
      }
    }
  }
}

const abortReasons = new WeakMap<IDBTransaction, TabloomError>();

function abort(tx: IDBTransaction, reason: TabloomError): void {
  abortReasons.set(tx, reason);
  tx.abort();
}

/** Resolves when the transaction is complete: only then is anything in it acknowledged. */
function transact(
  handle: IDBDatabase,
  stores: string[],
  durability: IDBTransactionDurability,
  fill: (tx: IDBTransaction) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const tx = handle.transaction(stores, "readwrite", { durability });
    tx.oncomplete = () => resolve();
    tx.onabort = () => reject(abortReasons.get(tx) ?? tx.error ?? new DOMException("aborted", "AbortError"));
    try {
      fill(tx);
    } catch (error) {
      reject(error);
      tx.abort();
    }
  });
}

async function eachPage(
  handle: IDBDatabase,
  store: string,
  visit: (keys: IDBValidKey[], texts: string[]) => void,
): Promise<void> {
  let range: IDBKeyRange | null = null;
  for (;;) {
    const [keys, texts] = await new Promise<[IDBValidKey[], string[]]>((resolve, reject) => {
      const tx = handle.transaction(store, "readonly");
      const keyRequest = tx.objectStore(store).getAllKeys(range, LOAD_PAGE);
      const textRequest = tx.objectStore(store).getAll(range, LOAD_PAGE) as IDBRequest<string[]>;
      tx.oncomplete = () => resolve([keyRequest.result, textRequest.result]);
      tx.onabort = () => reject(tx.error ?? new DOMException("aborted", "AbortError"));
    });
    visit(keys, texts);
    if (keys.length < LOAD_PAGE) return;
    range = IDBKeyRange.lowerBound(keys[keys.length - 1]!, true);
  }
}

/** One parse for a page costs half of one parse per row. */
function parseAll(texts: string[]): Json[] {
  return JSON.parse(`[${texts.join(",")}]`) as Json[];
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
