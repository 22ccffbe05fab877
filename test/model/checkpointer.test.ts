/**
 * Whatever step a hub dies at, the next one loads exactly what was kept. The journal is a fake at the outermost edge:
 * each of its operations is all or nothing, and any of them may be the last.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../../src/protocol/json.js";
import { TabloomError } from "../../src/protocol/errors.js";
import { Checkpointer, type Room } from "../../src/store/checkpointer.js";
import type { Batch, Journal, Loaded, Slice } from "../../src/store/journal.js";

type Fate = "works" | "refuses" | "dies before" | "dies after";

class Died extends Error {}

/** What is on disk outlives the hub; what each operation comes to is given. */
class FakeJournal implements Journal {
  readonly durable = true;
  rows = new Map<string, Json>();
  records: Batch[] = [];
  fates: Fate[] = [];

  async load(): Promise<Loaded> {
    await Promise.resolve();
    const rows = new Map(this.rows);
    const tail = new Map<string, Json | undefined>();
    const newest = new Map<string, number>();
    for (const record of this.records) {
      for (const [key, value] of record.rows) {
        put(rows, key, value);
        tail.set(key, value);
        newest.set(key, record.n);
      }
    }
    return { rows, tail, newest, last: this.records.at(-1)?.n ?? this.dropped };
  }

  append(batch: Batch): Promise<void> {
    return this.#step(() => this.records.push(batch));
  }

  checkpoint({ rows, dropUpTo }: Slice): Promise<void> {
    return this.#step(() => {
      for (const [key, value] of rows) put(this.rows, key, value);
      if (dropUpTo === undefined) return;
      this.records = this.records.filter(({ n }) => n > dropUpTo);
      this.dropped = Math.max(this.dropped, dropUpTo);
    });
  }

  /** As IndexedDB's key generator does: numbers are not used again. */
  dropped = 0;

  dropReserve = (): Promise<boolean> => Promise.resolve(false);
  takeReserve = (): Promise<boolean> => Promise.resolve(true);
  read = (): Promise<[]> => Promise.resolve([]);
  close(): void {}

  async #step(effect: () => void): Promise<void> {
    await Promise.resolve();
    const fate = this.fates.shift() ?? "works";
    if (fate === "refuses") throw new TabloomError("QUOTA", "full");
    if (fate === "dies before") throw new Died();
    effect();
    if (fate === "dies after") throw new Died();
  }
}

function put(rows: Map<string, Json>, key: string, value: Json | undefined): void {
  if (value === undefined) rows.delete(key);
  else rows.set(key, value);
}

type Write = { key: number; value: number | string | undefined };
type Step = { do: "append"; writes: Write[] } | { do: "checkpoint"; during: Write[][]; room: Room };

const KEYS = 260;
const writes: fc.Arbitrary<Write[]> = fc.oneof(
  fc.array(fc.record({ key: fc.nat(5), value: fc.option(fc.nat(9), { nil: undefined }) }), {
    minLength: 1,
    maxLength: 5,
  }),
  // Enough for several slices.
  fc
    .record({
      from: fc.nat(KEYS),
      count: fc.integer({ min: 90, max: 230 }),
      value: fc.option(fc.nat(9), { nil: undefined }),
    })
    .map(({ from, count, value }) => Array.from({ length: count }, (_, i) => ({ key: (from + i) % KEYS, value }))),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("append" as const), writes }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("checkpoint" as const),
      during: fc.array(writes, { maxLength: 3 }),
      room: fc.constantFrom<Room>("plenty", "scarce", "none"),
    }),
  },
);
const fates = fc.array(
  fc.constantFrom<Fate>("works", "works", "works", "works", "works", "works", "refuses", "dies before", "dies after"),
  { maxLength: 20 },
);
const life = fc.record({ steps: fc.array(step, { maxLength: 8 }), fates });

/** One hub after the other on the same disk. `kept` is what the journal ever took, and nothing else. */
async function live(lives: readonly { steps: readonly Step[]; fates: readonly Fate[] }[]): Promise<void> {
  const journal = new FakeJournal();
  const kept = new Map<string, Json>();
  for (const { steps, fates: given } of lives) {
    journal.fates = [];
    const loaded = await journal.load();
    expect(sorted(loaded.rows)).toEqual(sorted(kept));
    journal.fates = [...given];
    await oneHub(journal, loaded, kept, steps);
  }
  journal.fates = [];
  expect(sorted((await journal.load()).rows)).toEqual(sorted(kept));
}

async function oneHub(
  journal: FakeJournal,
  loaded: Loaded,
  kept: Map<string, Json>,
  steps: readonly Step[],
): Promise<void> {
  const checkpointer = new Checkpointer(journal);
  checkpointer.seed(loaded);
  let { last } = loaded;

  const append = async (given: Write[]): Promise<void> => {
    // One row per key, and nothing for what came and went within the turn: as Turn.writes gives it.
    const rows = new Map(given.map(({ key, value }) => [`k${key}`, value]));
    const changes = [...rows].filter(([key, value]) => value !== undefined || kept.has(key));
    const noted = changes.map(([key, value]) => ({ key, value, fresh: !kept.has(key) }));
    const before = journal.records.length;
    try {
      await journal.append({ n: last + 1, rows: changes, strict: false });
    } finally {
      if (journal.records.length > before) for (const [key, value] of changes) put(kept, key, value);
    }
    checkpointer.note(++last, noted);
  };

  try {
    for (const each of steps) {
      try {
        if (each.do === "append") await append(each.writes);
        else {
          const during = [...each.during];
          await checkpointer.run(async () => {
            const next = during.shift();
            if (next) await append(next).catch(rethrowDeath);
          }, each.room);
        }
      } catch (error) {
        rethrowDeath(error);
      }
    }
  } catch (error) {
    if (!(error instanceof Died)) throw error;
  }
}

function rethrowDeath(error: unknown): void {
  if (!(error instanceof TabloomError)) throw error;
}

const sorted = (rows: Map<string, Json>): [string, Json][] => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));

describe("checkpoints", () => {
  test("a hub may die at any step: the next one loads what was committed", async () => {
    await fc.assert(fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), live), { numRuns: 1000, seed: 5 });
  }, 60_000);

  test("a row that a checkpoint wrote before it failed goes for good when it is removed", async () => {
    const many = Array.from({ length: 150 }, (_, key) => ({ key, value: key }));
    const checkpoint: Step = { do: "checkpoint", during: [], room: "plenty" };
    const removed: Step = { do: "append", writes: [{ key: 3, value: undefined }] };
    await live([
      {
        steps: [{ do: "append", writes: many }, checkpoint, removed, checkpoint],
        fates: ["works", "works", "refuses"],
      },
    ]);
  });

  test("without room for rows, records that nothing needs go all the same", async () => {
    const journal = new FakeJournal();
    const long = "x".repeat(5000);
    const steps: Step[] = [
      { do: "append", writes: [{ key: 0, value: 1 }] },
      { do: "append", writes: [{ key: 1, value: long }] },
      { do: "append", writes: [{ key: 2, value: long }] },
      { do: "append", writes: [{ key: 3, value: long }] },
      { do: "append", writes: [{ key: 1, value: undefined }] },
      { do: "checkpoint", during: [], room: "none" },
    ];
    await oneHub(journal, await journal.load(), new Map(), steps);
    // But for the short one at the beginning, which would keep them all.
    expect([...journal.rows.keys()]).toEqual(["k0"]);
    expect(journal.records.map(({ n }) => n)).toEqual([3, 4, 5]);
  });

  test("a checkpoint that went through leaves no records, and its rows are all there is", async () => {
    const journal = new FakeJournal();
    const kept = new Map<string, Json>();
    const many = Array.from({ length: 250 }, (_, key) => ({ key, value: key }));
    const steps: Step[] = [
      { do: "append", writes: many },
      { do: "append", writes: [{ key: 3, value: undefined }] },
      { do: "checkpoint", during: [], room: "plenty" },
    ];
    await oneHub(journal, await journal.load(), kept, steps);
    expect(journal.records).toEqual([]);
    expect(sorted(journal.rows)).toEqual(sorted(kept));
  });
});
