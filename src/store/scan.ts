import type { Json } from "../protocol/json.js";

/** Small enough that reading and parsing overlap. */
const BATCH = 10_000;

/** Everything in an object store, in order, in batches of keys and values. */
export async function scan(
  handle: IDBDatabase,
  store: string,
  visit: (keys: IDBValidKey[], texts: string[]) => void,
): Promise<void> {
  let next = readBatch(handle, store, null);
  for (let more = true; more;) {
    const [keys, texts] = await next;
    more = keys.length === BATCH;
    // It is read while this one is parsed.
    if (more) next = readBatch(handle, store, IDBKeyRange.lowerBound(keys.at(-1)!, true));
    visit(keys, texts);
  }
}

function readBatch(handle: IDBDatabase, store: string, range: IDBKeyRange | null): Promise<[IDBValidKey[], string[]]> {
  return new Promise((resolve, reject) => {
    const tx = handle.transaction(store, "readonly");
    const keys = tx.objectStore(store).getAllKeys(range, BATCH);
    const texts = tx.objectStore(store).getAll(range, BATCH) as IDBRequest<string[]>;
    tx.oncomplete = () => resolve([keys.result, texts.result]);
    tx.onabort = () => reject(tx.error ?? new DOMException("aborted", "AbortError"));
  });
}

/** One parse for a batch costs half of one parse per row. */
export function parseAll(texts: string[]): Json[] {
  return JSON.parse(`[${texts.join(",")}]`) as Json[];
}
