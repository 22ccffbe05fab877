/**
 * A queue of items sorted by a number that each item carries: a ring buffer, so that adding at the end and taking from
 * the front cost the same at any length. Inserting or removing in the middle is possible (undo, handing back) and
 * costs a move of the shorter side's length at most.
 */
export class Line<T> {
  #items: (T | undefined)[] = new Array<T | undefined>(8);
  #head = 0;
  #length = 0;
  readonly #orderOf: (item: T) => number;

  constructor(orderOf: (item: T) => number) {
    this.#orderOf = orderOf;
  }

  get length(): number {
    return this.#length;
  }

  at(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    return this.#items[(this.#head + index) & (this.#items.length - 1)];
  }

  first(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head];
  }

  last(): T | undefined {
    return this.at(this.#length - 1);
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#length--;
    this.#shrink();
    return item;
  }

  insert(item: T): void {
    if (this.#length === this.#items.length) this.#resize(this.#items.length * 2);
    const order = this.#orderOf(item);
    const last = this.last();
    if (last === undefined || this.#orderOf(last) <= order) {
      this.#set(this.#length++, item);
      return;
    }
    if (order <= this.#orderOf(this.first()!)) {
      this.#head = (this.#head - 1) & (this.#items.length - 1);
      this.#length++;
      this.#set(0, item);
      return;
    }
    const index = this.search(order);
    this.#length++;
    for (let i = this.#length - 1; i > index; i--) this.#set(i, this.at(i - 1));
    this.#set(index, item);
  }

  /** Removes this very item; false when it is not in the line. */
  remove(item: T): boolean {
    if (this.first() === item) {
      this.shift();
      return true;
    }
    const order = this.#orderOf(item);
    let index = this.search(order);
    while (index < this.#length && this.at(index) !== item) {
      if (this.#orderOf(this.at(index)!) !== order) return false;
      index++;
    }
    if (index >= this.#length) return false;
    for (let i = index; i < this.#length - 1; i++) this.#set(i, this.at(i + 1));
    this.#set(--this.#length, undefined);
    this.#shrink();
    return true;
  }

  /** The index of the first item whose number is at least `order`. */
  search(order: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#orderOf(this.at(middle)!) < order) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.#length; i++) yield this.at(i)!;
  }

  #set(index: number, item: T | undefined): void {
    this.#items[(this.#head + index) & (this.#items.length - 1)] = item;
  }

  #shrink(): void {
    if (this.#items.length > 64 && this.#length * 4 <= this.#items.length) this.#resize(this.#items.length / 2);
  }

  #resize(size: number): void {
    const items = new Array<T | undefined>(size);
    for (let i = 0; i < this.#length; i++) items[i] = this.at(i);
    this.#items = items;
    this.#head = 0;
  }
}
