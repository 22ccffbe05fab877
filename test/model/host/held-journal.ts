import type { Json } from "../../../src/protocol/json.js";
import { TabloomError } from "../../../src/protocol/errors.js";
import type { Batch, Journal, Loaded, Page, Slice } from "../../../src/store/journal.js";

interface Operation {
  readonly epoch: string;
  readonly grows: boolean;
  effect(): unknown;
  /** What the transaction came to, once the disk did it; the hub hears of it later, or never. */
  outcome?: { ok: true; value: unknown } | { ok: false; error: TabloomError };
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/**
 * What is on disk, and the transactions that are asked for and not done: they happen in order, when the test says so,
 * all or nothing, and only for the owner. A transaction may be done before its hub hears of it.
 */
export class Disk {
  owner = "";
  readonly rows = new Map<string, Json>();
  records: Batch[] = [];
  readonly pages = new Map<number, Page>();
  /** What was on pages that this disk lost. */
  readonly damaged = new Set<string>();
  hasReserve = false;
  #queue: Operation[] = [];
  readonly #appended: (epoch: string, batch: Batch) => void;

  constructor(appended: (epoch: string, batch: Batch) => void) {
    this.#appended = appended;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  open(epoch: string): Journal {
    return new HeldJournal(this, epoch);
  }

  /** Does the oldest transaction that is not done. `full`: there is no room for what grows. */
  step(full: boolean): void {
    const operation = this.#queue.find(({ outcome }) => outcome === undefined);
    if (operation === undefined) return;
    if (operation.epoch !== this.owner) operation.outcome = failed("FENCED");
    else if (full && operation.grows) operation.outcome = failed("QUOTA");
    else operation.outcome = { ok: true, value: operation.effect() };
  }

  /** Hubs hear of everything that is done. */
  answer(): void {
    const done = this.#queue.filter(({ outcome }) => outcome !== undefined);
    this.#queue = this.#queue.filter(({ outcome }) => outcome === undefined);
    for (const { outcome, resolve, reject } of done) {
      if (outcome!.ok) resolve(outcome!.value);
      else reject(outcome!.error);
    }
  }

  /** A hub is dead: what it asked for and the disk did not do will not happen; it hears of nothing. */
  forget(epoch: string): void {
    this.#queue = this.#queue.filter((operation) => operation.epoch !== epoch);
  }

  load(epoch: string): Loaded {
    this.owner = epoch;
    this.hasReserve = true;
    return this.look();
  }

  /** What the next hub would find. */
  look(): Loaded {
    const rows = new Map(this.rows);
    const tail = new Map<string, Json | undefined>();
    for (const [key, value] of this.records.flatMap((record) => record.rows)) {
      put(rows, key, value);
      tail.set(key, value);
    }
    return { rows, tail, last: this.records.at(-1)?.n ?? 0 };
  }

  append(epoch: string, batch: Batch): void {
    if (this.records.some(({ n }) => n >= batch.n)) throw new Error(`record ${batch.n} is there already`);
    this.records.push(batch);
    for (const [n, page] of batch.pages?.put ?? []) this.pages.set(n, page);
    for (const n of batch.pages?.drop ?? []) this.pages.delete(n);
    this.#appended(epoch, batch);
  }

  /** Loses a page. */
  damage(which: number): void {
    const n = [...this.pages.keys()][which % this.pages.size];
    if (n === undefined) return;
    for (const entry of this.pages.get(n)!)
      this.damaged.add(typeof entry === "string" ? entry : (entry as string[])[0]!);
    this.pages.delete(n);
  }

  checkpoint({ rows, dropUpTo }: Slice): void {
    for (const [key, value] of rows) put(this.rows, key, value);
    if (dropUpTo !== undefined) this.records = this.records.filter(({ n }) => n > dropUpTo);
  }

  ask(epoch: string, grows: boolean, effect: () => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => this.#queue.push({ epoch, grows, effect, resolve, reject }));
  }
}

class HeldJournal implements Journal {
  readonly durable = true;
  readonly #disk: Disk;
  readonly #epoch: string;

  constructor(disk: Disk, epoch: string) {
    this.#disk = disk;
    this.#epoch = epoch;
  }

  /** At once: what may happen before, between and after is the test's to choose all the same. */
  load = (): Promise<Loaded> => Promise.resolve(this.#disk.load(this.#epoch));

  append(batch: Batch): Promise<void> {
    // As it was when it was asked for: what the hub changes later must not reach the disk.
    const copy = structuredClone(batch);
    return this.#ask(true, () => this.#disk.append(this.#epoch, copy));
  }

  read(pages: readonly number[]): Promise<(Page | undefined)[]> {
    const found = (): (Page | undefined)[] => pages.map((n) => this.#disk.pages.get(n));
    return this.#disk.ask(this.#epoch, false, found) as Promise<(Page | undefined)[]>;
  }

  checkpoint(slice: Slice): Promise<void> {
    const copy = structuredClone(slice);
    return this.#ask(
      copy.rows.some(([, value]) => value !== undefined),
      () => this.#disk.checkpoint(copy),
    );
  }

  async dropReserve(): Promise<boolean> {
    return this.#disk.hasReserve && (await this.#ask(false, () => (this.#disk.hasReserve = false)), true);
  }

  takeReserve(): Promise<boolean> {
    return this.#ask(true, () => (this.#disk.hasReserve = true)).then(() => true);
  }

  close(): void {}

  #ask = (grows: boolean, effect: () => unknown): Promise<void> =>
    this.#disk.ask(this.#epoch, grows, effect) as Promise<void>;
}

function failed(code: "FENCED" | "QUOTA"): { ok: false; error: TabloomError } {
  return { ok: false, error: new TabloomError(code, "the disk says no") };
}

function put(rows: Map<string, Json>, key: string, value: Json | undefined): void {
  if (value === undefined) rows.delete(key);
  else rows.set(key, value);
}
