/**
 * What leaves the hub, in order: an answer that shows payloads from disk waits until they are read, and so does
 * everything that came after it.
 *
 *   committed ──▶ nothing to read, nobody waits ──▶ leaves
 *        └──────▶ in line ──(its pages are read, those before it are gone)──▶ leaves
 *                    └── a payload cannot be read ──▶ its call runs again (a claim: without the message, which is dead)
 */
import type { Announced, Call, Settled } from "../engine/call.js";
import { type Attachment, fill, pageOf } from "../engine/payloads.js";
import type { Space } from "../engine/space.js";
import type { CommandName, Reply } from "../protocol/commands.js";
import type { TabloomError } from "../protocol/errors.js";
import type { HelloFrame } from "../protocol/frames.js";
import type { Journal, Page } from "../store/journal.js";

const PAYLOAD_BUDGET_BYTES = 64 * 1024 * 1024;
/** Of pages that were read and have more on them: who takes messages in order needs them again at once. */
const CACHED_CHARS = 4_000_000;

export interface OutboxOptions {
  space: Space;
  journal: Journal;
  now(): number;
  release(settled: Settled[], announced: Announced[]): void;
  /** Whether somebody waits for this call, and it may run now. */
  mayRun(call: Call): boolean;
  /** Commits what there is. */
  settle(): void;
  onLost(error: TabloomError): void;
}

interface Parcel {
  settled: Settled[];
  readonly announced: Announced[];
  /** Answers that show what cannot be read. */
  readonly lost: Map<Settled, Attachment[]>;
  ready: boolean;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #pages: PageReader;
  readonly #line: Parcel[] = [];
  #stopped = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#pages = new PageReader(options.journal);
  }

  /** How much of what waits may be in memory: the least that a tab asked for. */
  limit({ own, payloadBudgetBytes }: Pick<HelloFrame, "own" | "payloadBudgetBytes">): void {
    const { space, journal } = this.#options;
    if (own || !journal.durable) return;
    space.payloads.budgetBytes = Math.min(space.payloads.budgetBytes, payloadBudgetBytes ?? PAYLOAD_BUDGET_BYTES);
  }

  release(settled: Settled[], announced: Announced[]): void {
    const reads = settled.some(({ attachments }) => attachments !== undefined);
    if (!reads && this.#line.length === 0) return this.#options.release(settled, announced);
    const parcel: Parcel = { settled, announced, lost: new Map(), ready: !reads };
    this.#line.push(parcel);
    if (reads) void this.#fill(parcel);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #fill(parcel: Parcel): Promise<void> {
    const { settled, lost } = parcel;
    const attachments = settled.flatMap((one) => (one.attachments ?? []).map((attachment) => ({ one, attachment })));
    try {
      const pages = await this.#pages.read(new Set(attachments.map(({ attachment: { ref } }) => pageOf(ref))));
      for (const { one, attachment } of attachments) {
        if (!fill(attachment, pages.get(pageOf(attachment.ref)))) lost.set(one, [...(lost.get(one) ?? []), attachment]);
      }
    } catch (error) {
      if (!this.#stopped) this.#options.onLost(error as TabloomError);
      this.#stopped = true;
    }
    parcel.ready = true;
    while (!this.#stopped && this.#line[0]?.ready) this.#send(this.#line.shift()!);
  }

  #send({ settled, announced, lost }: Parcel): void {
    const { release, settle } = this.#options;
    if (lost.size > 0) settled = settled.filter((one) => !lost.has(one) || !this.#again(one, lost.get(one)!));
    release(settled, announced);
    if (lost.size > 0) settle();
  }

  /** false: it is answered as it is, without the text. */
  #again({ call, outcome }: Settled, lost: readonly Attachment[]): boolean {
    const { space, mayRun, now } = this.#options;
    if (!outcome.ok || !mayRun(call)) return true;
    return space.unreadable(call, outcome.value as Reply<CommandName>, lost, now());
  }
}

/** Reads each page once at a time, and keeps the newest for a while. They never change. */
class PageReader {
  readonly #journal: Journal;
  readonly #reading = new Map<number, Promise<Page | undefined>>();
  readonly #cached = new Map<number, { page: Page; chars: number }>();
  #cachedChars = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async read(wanted: ReadonlySet<number>): Promise<Map<number, Page | undefined>> {
    const missing = [...wanted].filter((n) => !this.#cached.has(n) && !this.#reading.has(n));
    if (missing.length > 0) {
      const found = this.#journal.read(missing);
      missing.forEach((n, i) => this.#reading.set(n, this.#keep(n, found, i)));
    }
    // All at once: each is forgotten as soon as it is read.
    return new Map(
      await Promise.all(
        [...wanted].map(async (n) => [n, this.#cached.get(n)?.page ?? (await this.#reading.get(n))] as const),
      ),
    );
  }

  async #keep(n: number, found: Promise<(Page | undefined)[]>, i: number): Promise<Page | undefined> {
    try {
      const page = (await found)[i];
      if (page && page.length > 1) this.#cache(n, page);
      return page;
    } finally {
      this.#reading.delete(n);
    }
  }

  #cache(n: number, page: Page): void {
    const chars = page.reduce<number>((sum, entry) => sum + String(entry).length, 0);
    this.#cached.set(n, { page, chars });
    this.#cachedChars += chars;
    for (const [oldest, { chars: freed }] of this.#cached) {
      if (this.#cachedChars <= CACHED_CHARS) return;
      this.#cached.delete(oldest);
      this.#cachedChars -= freed;
    }
  }
}
