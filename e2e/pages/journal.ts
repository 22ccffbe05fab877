/**
 * The journal on IndexedDB against a model, in the page: several owners open the same space one after the other, and
 * former ones go on writing. The driver outside calls `journalRuns`.
 */
import fc from "fast-check";
import type { Json } from "../../src/protocol/json.js";
import { names } from "../../src/protocol/names.js";
import { createIndexedDbJournal } from "../../src/store/indexeddb.js";
import type { Batch, Journal, Loaded, Page, Row } from "../../src/store/journal.js";

type Step =
  | { do: "open" }
  | { do: "append"; owner: number; rows: [key: number, value: number | null][]; strict: boolean }
  | { do: "checkpoint"; owner: number; rows: [key: number, value: number | null][] }
  | { do: "drop"; owner: number; count: number }
  | { do: "drop reserve"; owner: number }
  | { do: "lose handle" }
  | { do: "lose answer"; committed: boolean }
  | { do: "settle" };

type Write = Extract<Step, { owner: number }>;

/** What is on disk, as one would explain it. */
interface Model {
  owner: string;
  checkpoint: Map<string, Json>;
  records: { n: number; rows: Row[] }[];
  pages: Map<number, Page>;
}

interface Owner {
  epoch: string;
  journal: Journal;
  last: number;
  /** What it was asked for: one thing after the other, as a hub does. */
  underWay: Promise<void>;
}

const KEYS = 6;
const owner = fc.nat(3);
const rows = fc.array(fc.tuple(fc.nat(KEYS), fc.option(fc.nat(9))), { minLength: 1, maxLength: 4 });
const of = <Do extends string>(name: Do): fc.Arbitrary<Do> => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: of("open") }) },
  { weight: 8, arbitrary: fc.record({ do: of("append"), owner, rows, strict: fc.nat(4).map((n) => n === 4) }) },
  { weight: 3, arbitrary: fc.record({ do: of("checkpoint"), owner, rows }) },
  { weight: 2, arbitrary: fc.record({ do: of("drop"), owner, count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: of("drop reserve"), owner }) },
  { weight: 1, arbitrary: fc.record({ do: of("lose handle") }) },
  { weight: 2, arbitrary: fc.record({ do: of("lose answer"), committed: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: of("settle") }) },
);

class History {
  readonly #space: string;
  readonly #model: Model = { owner: "", checkpoint: new Map(), records: [], pages: new Map() };
  readonly #owners: Owner[] = [];
  #changing = false;

  constructor(space: string) {
    this.#space = space;
  }

  async perform(given: Step): Promise<void> {
    if (given.do === "open") return this.open();
    if (given.do === "settle") return this.settle();
    if (given.do === "lose handle") return loseHandles();
    if (given.do === "lose answer") return void (nextTransaction = given.committed ? "committed" : "aborted");
    // 0: the owner. Others: who owned it before.
    const one = this.#owners.at(-1 - given.owner);
    if (one === undefined) return;
    one.underWay = one.underWay.then(() => this.#write(one, given));
    // It is reported where it is awaited.
    one.underWay.catch(() => {});
  }

  /** The next owner takes over, whatever the one before has under way. */
  async open(): Promise<void> {
    // One that is robbed before it could look again does not know what it wrote: its FENCED says nothing then.
    if (answerLost || nextTransaction) await this.settle();
    const epoch = `epoch ${this.#owners.length}`;
    const journal = createIndexedDbJournal({ space: this.#space, epoch });
    this.#changing = true;
    const loaded = await journal.load();
    this.#model.owner = epoch;
    this.#changing = false;
    await this.settle();
    this.#expectLoaded(loaded);
    await this.#expectConsecutive();
    await this.#expectPages(journal);
    this.#owners.push({ epoch, journal, last: loaded.last, underWay: Promise.resolve() });
  }

  async settle(): Promise<void> {
    for (const { underWay } of this.#owners) await underWay;
    nextTransaction = undefined;
    answerLost = false;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#owners.map(({ underWay }) => underWay));
    for (const { journal } of this.#owners) journal.close();
  }

  async #write(one: Owner, given: Write): Promise<void> {
    const model = this.#model;
    const former = one.epoch !== model.owner;
    const { asked, keep } = this.#ask(one, given, former);
    const outcome = await asked.then(
      () => "kept",
      (error: unknown) => (error as { code?: string }).code ?? String(error),
    );
    const robbed = this.#changing || one.epoch !== model.owner;
    const allowed = former ? ["FENCED"] : robbed ? ["kept", "FENCED"] : ["kept"];
    if (!allowed.includes(outcome))
      throw new Error(`${given.do} of ${one.epoch}: ${outcome}, not ${allowed.join(" or ")}`);
    if (outcome === "kept") keep();
  }

  #ask(one: Owner, given: Write, former: boolean): { asked: Promise<unknown>; keep: () => void } {
    const model = this.#model;
    const { journal } = one;
    switch (given.do) {
      case "append": {
        const batch = {
          n: one.last + 1,
          rows: given.rows.map(toRow),
          strict: given.strict,
          pages: pagesOf(given.rows),
        };
        const keep = (): void => {
          one.last++;
          model.records.push(batch);
          for (const [n, page] of batch.pages.put) model.pages.set(n, page);
          for (const n of batch.pages.drop) model.pages.delete(n);
        };
        return { asked: journal.append(batch), keep };
      }
      case "checkpoint": {
        const slice = given.rows.map(toRow);
        const keep = (): void => slice.forEach((row) => put(model.checkpoint, row));
        return { asked: journal.checkpoint({ rows: slice }), keep };
      }
      case "drop": {
        const dropUpTo = (model.records[0]?.n ?? 1) + given.count - 1;
        const keep = (): void => void (model.records = model.records.filter(({ n }) => n > dropUpTo));
        return { asked: journal.checkpoint({ rows: [], dropUpTo }), keep };
      }
      case "drop reserve":
        // Nothing is written, and nobody refused, when there is none.
        return { asked: former ? journal.takeReserve() : journal.dropReserve(), keep() {} };
    }
  }

  #expectLoaded({ rows: found, tail, last }: Loaded): void {
    const { checkpoint, records } = this.#model;
    const all = new Map(checkpoint);
    const wanted = new Map<string, Json | undefined>();
    for (const row of records.flatMap((record) => record.rows)) {
      put(all, row);
      wanted.set(row[0], row[1]);
    }
    expectSame("rows", found, all);
    expectSame("tail", tail, wanted);
    const newest = records.at(-1)?.n ?? 0;
    if (last !== newest) throw new Error(`last is ${last}, expected ${newest}`);
  }

  async #expectPages(journal: Journal): Promise<void> {
    const numbers = Array.from({ length: KEYS + 1 }, (_, n) => n);
    const found = JSON.stringify(await journal.read(numbers));
    const wanted = JSON.stringify(numbers.map((n) => this.#model.pages.get(n)));
    if (found !== wanted) throw new Error(`pages: ${found}, expected ${wanted}`);
  }

  async #expectConsecutive(): Promise<void> {
    const numbers = await journalNumbers(this.#space);
    const wanted = this.#model.records.map(({ n }) => n);
    if (numbers.some((n, i) => n !== numbers[0]! + i)) throw new Error(`numbers with gaps: ${numbers.join(" ")}`);
    if (numbers.join() !== wanted.join()) throw new Error(`numbers ${numbers.join(" ")}, expected ${wanted.join(" ")}`);
  }
}

/** As a connection of its own sees them. */
function journalNumbers(space: string): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(names.database(space));
    request.onerror = () => reject(request.error!);
    request.onsuccess = () => {
      const keys = request.result.transaction("journal").objectStore("journal").getAllKeys();
      keys.onsuccess = () => {
        request.result.close();
        resolve(keys.result as number[]);
      };
    };
  });
}

/** How the next transaction on the journal goes wrong: its answer is lost, or all of it. */
let nextTransaction: "committed" | "aborted" | undefined;
let answerLost = false;

const begin = IDBDatabase.prototype.transaction;
IDBDatabase.prototype.transaction = function (this: IDBDatabase, stores, mode, options) {
  const tx = begin.call(this, stores, mode, options);
  if (
    mode !== "readwrite" ||
    nextTransaction === undefined ||
    !Array.from(stores as Iterable<string>).includes("journal")
  )
    return tx;
  if (nextTransaction === "aborted") queueMicrotask(() => tx.abort());
  else {
    answerLost = true;
    // As when the browser loses the connection after the commit: whoever waits hears of an abort.
    tx.addEventListener("complete", () => tx.onabort?.(new Event("abort")));
    Object.defineProperty(tx, "oncomplete", { set() {} });
  }
  nextTransaction = undefined;
  return tx;
};

const handles = new Set<IDBDatabase>();
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (this: IDBFactory, name, version) {
  const request = open.call(this, name, version);
  request.addEventListener("success", () => handles.add(request.result));
  return request;
};

/** As when the browser closes them: whoever has one finds out with the next transaction. */
function loseHandles(): void {
  for (const handle of handles) handle.close();
  handles.clear();
}

/** A page for each row that it puts; one that it removes goes with it. */
function pagesOf(given: [key: number, value: number | null][]): NonNullable<Batch["pages"]> {
  const gone = given.filter(([, value]) => value === null).map(([key]) => key);
  return { put: given.filter(([key]) => !gone.includes(key)).map(([key, value]) => [key, [`${value}`]]), drop: gone };
}

function toRow([key, value]: [number, number | null]): Row {
  return [`k${key}`, value === null ? undefined : { value }];
}

function put(into: Map<string, Json>, [key, value]: Row): void {
  if (value === undefined) into.delete(key);
  else into.set(key, value);
}

function expectSame(what: string, found: Map<string, Json | undefined>, wanted: Map<string, Json | undefined>): void {
  const [have, want] = [found, wanted].map((map) => JSON.stringify([...map].sort(([a], [b]) => (a < b ? -1 : 1))));
  if (have !== want) throw new Error(`${what}: ${have}, expected ${want}`);
}

let spaces = 0;

async function live(steps: readonly Step[]): Promise<void> {
  const history = new History(`journal ${++spaces}`);
  try {
    await history.open();
    for (const each of steps) await history.perform(each);
    await history.open();
  } finally {
    nextTransaction = undefined;
    await history.close();
  }
}

/** Rejects with the shortest history that fails. */
async function journalRuns(options: { numRuns: number; seed: number }): Promise<void> {
  const result = await fc.check(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: "max" }), live),
    options,
  );
  // Only its message crosses to the driver.
  if (result.failed) throw new Error(`${String(result.errorInstance)}\n${fc.defaultReportMessage(result)}`);
}

declare global {
  var journalRuns: (options: { numRuns: number; seed: number }) => Promise<void>;
}

globalThis.journalRuns = journalRuns;
