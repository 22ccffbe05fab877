interface Entry<T> {
  at: number;
  /** Breaks ties. */
  order: number;
  item: T;
}

/**
 * Items by the time they are due. An item that is settled early is not searched for: it stays until it surfaces or
 * until dead entries outnumber live ones, and `alive` tells the two apart.
 */
export class DueHeap<T> {
  #entries: Entry<T>[] = [];
  #added = 0;
  #compactAt = 64;
  readonly #alive: (item: T, at: number) => boolean;

  constructor(alive: (item: T, at: number) => boolean) {
    this.#alive = alive;
  }

  /** Of items that are due at the same time the lowest `order` goes first; by default, the first added. */
  add(at: number, item: T, order: number = this.#added++): void {
    if (this.#entries.length >= this.#compactAt) this.#compact();
    const entry = { at, order, item };
    const entries = this.#entries;
    let index = entries.length;
    entries.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, entries[parent]!)) break;
      entries[index] = entries[parent]!;
      index = parent;
    }
    entries[index] = entry;
  }

  /** When the next live item is due, or Infinity. */
  dueAt(): number {
    for (;;) {
      const top = this.#entries[0];
      if (top === undefined) return Infinity;
      if (this.#alive(top.item, top.at)) return top.at;
      this.#pop();
    }
  }

  /** Takes the next live item that is due at `now`. */
  take(now: number): T | undefined {
    if (this.dueAt() > now) return undefined;
    return this.#pop();
  }

  /** Live items in no particular order. */
  *live(): IterableIterator<T> {
    for (const { item, at } of this.#entries) if (this.#alive(item, at)) yield item;
  }

  #compact(): void {
    const live = this.#entries.filter((entry) => this.#alive(entry.item, entry.at));
    // A sorted array is a heap.
    live.sort((a, b) => a.at - b.at || a.order - b.order);
    this.#entries = live;
    this.#compactAt = Math.max(64, live.length * 2);
  }

  #pop(): T | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined || entries.length === 0) return top?.item;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++;
      if (!before(entries[child]!, last)) break;
      entries[index] = entries[child]!;
      index = child;
    }
    entries[index] = last;
    return top.item;
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
