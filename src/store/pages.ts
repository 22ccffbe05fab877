/** Pages of payloads in their object store: n → what is on it, as the engine made it. */
import type { Batch, Page } from "./journal.js";

/** With the record that needs them from here on, or needs them no more. */
export function writePages(store: IDBObjectStore, { put, drop }: NonNullable<Batch["pages"]>): void {
  for (const [n, page] of put) store.put(page, n);
  for (const range of rangesOf(drop)) store.delete(range);
}

/** Into `found`, by place in `pages`. `spare`: one that cannot be read does not keep the others from it. */
export function readPages(
  store: IDBObjectStore,
  pages: readonly number[],
  { found, spare }: { found: (Page | undefined)[]; spare: boolean },
): void {
  pages.forEach((n, i) => {
    const request = store.get(n);
    request.onsuccess = () => {
      found[i] = Array.isArray(request.result) ? request.result : undefined;
    };
    request.onerror = (event) => {
      if (spare) event.preventDefault();
    };
  });
}

/** Numbers that follow each other go together: a range costs what one number costs. */
function rangesOf(numbers: readonly number[]): IDBKeyRange[] {
  const ranges: IDBKeyRange[] = [];
  const sorted = [...numbers].sort((a, b) => a - b);
  for (let from = 0, to = 0; from < sorted.length; from = ++to) {
    while (sorted[to + 1] === sorted[to]! + 1) to++;
    ranges.push(IDBKeyRange.bound(sorted[from], sorted[to]));
  }
  return ranges;
}
