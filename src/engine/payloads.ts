/**
 * The payloads of messages that wait: in memory up to a budget, the rest in pages on disk (docs/decisions/0011).
 *
 *   sent ──(room in the budget)──▶ in memory: the text is in the message, and in its row
 *     └──(none)──▶ page of this turn ──(its append)──▶ on disk: message and row hold where it is
 *
 * A page is written once, in the append of the turn that filled it, and goes in the append of the turn that takes the
 * last message from it. Which pages are needed is counted by the tables' `set`, so that it follows every undo, and a
 * restore finds it in the rows.
 */

/** Where a text is that is not in memory: the number of its page and its place in it. */
export type PageRef = number;
/** The JSON text, or where it is. */
export type Payload = string | PageRef;
/** What a page has of one message: the data, or data and meta. */
export type PageEntry = string | readonly [data: string, meta: string];

export interface PageChanges {
  readonly put: readonly (readonly [page: number, entries: readonly PageEntry[]])[];
  readonly drop: readonly number[];
}

/** So many fit into a page, at most; part of what a stored reference means. */
const PAGE_ENTRIES = 256;
/** So much text, unless it is one. Small, because one message that stays keeps all of its page on disk. */
const PAGE_CHARS = 16_384;

/** The part of a reply that shows a payload: all of it, or the data alone. */
type Shown = { data: string; meta?: string };

/** A payload that a reply shows, to be read before it leaves. */
export interface Attachment {
  readonly ref: PageRef;
  readonly into: Shown;
  readonly dataOnly: boolean;
  /** The message is not there any more as the reply says. */
  isGone(): boolean;
}

interface Stored {
  readonly data: Payload;
  readonly bytes: number;
}

export class Payloads {
  /** Bytes of payloads that may be in memory. */
  budgetBytes = Infinity;
  #heldBytes = 0;
  #nextPage = 1;
  /** Messages on each page. */
  readonly #live = new Map<number, number>();
  /** Pages of the turn that is being filled; the last one has room. */
  #written = new Map<number, PageEntry[]>();
  #room = 0;
  /** Pages that lost their last message in this turn. */
  #emptied = new Set<number>();

  /** Whether a payload of this size goes to disk. */
  spills(bytes: number): boolean {
    return this.#heldBytes + bytes > this.budgetBytes;
  }

  /** Puts a payload on a page of this turn. It is kept if a message with it is added before the turn is taken. */
  write(data: string, meta: string | undefined): PageRef {
    const chars = data.length + (meta?.length ?? 0);
    let entries = this.#written.get(this.#nextPage - 1);
    if (entries === undefined || chars > this.#room || entries.length === PAGE_ENTRIES) {
      this.#written.set(this.#nextPage++, (entries = []));
      this.#room = PAGE_CHARS;
    }
    this.#room -= chars;
    return (this.#nextPage - 1) * PAGE_ENTRIES + entries.push(meta === undefined ? data : [data, meta]) - 1;
  }

  add({ data, bytes }: Stored): void {
    if (typeof data === "string") {
      this.#heldBytes += bytes;
      return;
    }
    const page = pageOf(data);
    this.#live.set(page, (this.#live.get(page) ?? 0) + 1);
    this.#nextPage = Math.max(this.#nextPage, page + 1);
  }

  remove({ data, bytes }: Stored): void {
    if (typeof data === "string") {
      this.#heldBytes -= bytes;
      return;
    }
    const page = pageOf(data);
    const left = this.#live.get(page)! - 1;
    if (left > 0) this.#live.set(page, left);
    else {
      this.#live.delete(page);
      this.#emptied.add(page);
    }
  }

  /** What the append of this turn does to the pages; the next turn fills others. */
  take(): PageChanges | undefined {
    if (this.#written.size === 0 && this.#emptied.size === 0) return undefined;
    const put = [...this.#written].filter(([page]) => this.#live.has(page));
    const drop = [...this.#emptied].filter((page) => !this.#live.has(page) && !this.#written.has(page));
    this.#written = new Map();
    this.#emptied = new Set();
    return { put, drop };
  }
}

/** The text, or what stands in a reply until the host has read it. */
export function textOf(data: Payload): string {
  return typeof data === "string" ? data : "";
}

/** What the host does with an attachment once its page is read. false: the page does not have it. */
export function fill({ ref, into, dataOnly }: Attachment, page: readonly unknown[] | undefined): boolean {
  const entry = entryOf(page, ref);
  if (entry === undefined) return false;
  const [data, meta] = typeof entry === "string" ? [entry] : entry;
  into.data = data;
  if (meta !== undefined && !dataOnly) into.meta = meta;
  return true;
}

export function pageOf(ref: PageRef): number {
  return Math.floor(ref / PAGE_ENTRIES);
}

/** What a page has for this reference; undefined when it is not what was written. */
function entryOf(page: readonly unknown[] | undefined, ref: PageRef): PageEntry | undefined {
  const entry = page?.[ref % PAGE_ENTRIES];
  if (typeof entry === "string") return entry;
  return Array.isArray(entry) && entry.length === 2 && entry.every((text) => typeof text === "string")
    ? (entry as unknown as PageEntry)
    : undefined;
}
