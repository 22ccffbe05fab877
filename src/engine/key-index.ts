const BLOCK = 256;

/**
 * Items by key, in code-point order: blocks of sorted keys, so that adding one costs a search and a move within its
 * block, however many there are, and a page costs its length.
 */
export class KeyIndex<Item extends { readonly key: string }> {
  /** None of them empty. */
  #blocks: Item[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The key must not be there. */
  add(item: Item): void {
    this.#size++;
    const at = Math.max(0, this.#blockOf(item.key));
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([item]);
      return;
    }
    block.splice(search(block, item.key), 0, item);
    if (block.length <= BLOCK) return;
    // Keys that grow (numbers, times) leave full blocks behind.
    const half = at === this.#blocks.length - 1 ? BLOCK : BLOCK / 2;
    this.#blocks.splice(at + 1, 0, block.splice(half));
  }

  /** The key must be there. */
  remove(key: string): void {
    this.#size--;
    const at = this.#blockOf(key);
    const block = this.#blocks[at]!;
    block.splice(search(block, key), 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /** Items whose keys begin with `prefix`, behind `afterKey` if given, at most `limit`. */
  page(prefix: string, limit: number, afterKey?: string): Item[] {
    const from = afterKey ?? prefix;
    const found: Item[] = [];
    let at = Math.max(0, this.#blockOf(from));
    let index = at < this.#blocks.length ? search(this.#blocks[at]!, from) : 0;
    if (afterKey !== undefined && this.#blocks[at]?.[index]?.key === afterKey) index++;
    for (; at < this.#blocks.length; at++, index = 0) {
      const block = this.#blocks[at]!;
      for (; index < block.length; index++) {
        const item = block[index]!;
        if (found.length >= limit || !item.key.startsWith(prefix)) return found;
        found.push(item);
      }
    }
    return found;
  }

  /** The last block that begins at or before the key; −1: the key is before all. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareCodePoints(this.#blocks[middle]![0]!.key, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** Where the key stands in its block, or would. */
function search(block: readonly { readonly key: string }[], key: string): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareCodePoints(block[middle]!.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Order by code points, which is that of UTF-8 bytes; JavaScript's own is by UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
