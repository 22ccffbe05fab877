/** Whatever step a page dies at, and whatever a store refuses: what is loaded next is what was kept, turn by turn. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StoreJournal, type StoreRow, rowOf } from "../../src/memory/store-journal.js";
import { type Fate, FaultyStore } from "./faulty-store.js";

type Rows = Map<string, unknown>;
interface Turn {
  rows: { key: number; size: number | undefined }[];
  grows: boolean;
  fates: Fate[];
  /** Characters that are left for it; undefined: no limit. */
  room: number | undefined;
}

const rows = fc.oneof(
  fc.array(fc.record({ key: fc.nat(9), size: fc.option(fc.nat(40), { nil: undefined }) }), {
    minLength: 1,
    maxLength: 4,
  }),
  // One that may find no room of its own.
  fc.record({ key: fc.nat(9), size: fc.constant(3000) }).map((row) => [row]),
);
const fate = fc.constantFrom<Fate>("works", "works", "works", "works", "refuses", "dies before", "dies after");
const turn: fc.Arbitrary<Turn> = fc.record({
  rows,
  grows: fc.boolean(),
  fates: fc.oneof(
    { weight: 6, arbitrary: fc.constant<Fate[]>([]) },
    { weight: 1, arbitrary: fc.array(fate, { maxLength: 12 }) },
  ),
  room: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(12_000) }),
});

function applied(kept: Rows, written: readonly StoreRow[]): Rows {
  const next = new Map(kept);
  for (const [key, value] of written) {
    if (value === undefined) next.delete(key);
    else next.set(key, value);
  }
  return next;
}

const sorted = (kept: Rows): unknown => [...kept].sort(([a], [b]) => (a < b ? -1 : 1));

function load(store: FaultyStore): { journal: StoreJournal; rows: Rows } {
  const journal = new StoreJournal(store);
  return { journal, rows: journal.load().rows };
}

function expectOneOf(found: Rows, candidates: Rows[]): void {
  expect(candidates.map(sorted)).toContainEqual(sorted(found));
}

function live(turns: readonly Turn[]): void {
  let store = new FaultyStore();
  let { journal } = load(store);
  let kept: Rows = new Map();
  turns.forEach(({ rows: given, grows, fates, room }, i) => {
    // Each version of a row differs from the one before.
    const written = [...new Map(given.map(({ key, size }) => [`1m${key}`, size]))].map(([key, size]) =>
      rowOf(key, size === undefined ? undefined : [i, "x".repeat(size)]),
    );
    store.fates = [...fates];
    store.capacity = room === undefined ? Infinity : store.used + room;
    const before = kept;
    try {
      journal.append(written, grows);
      kept = applied(kept, written);
    } catch {
      // Nothing of it, unless the page died: then nobody was told.
    }
    if (store.dead) {
      store = new FaultyStore(store.contents);
      const next = load(store);
      journal = next.journal;
      expectOneOf(next.rows, [before, applied(before, written)]);
      kept = next.rows;
    }
    store.fates = [];
    expect(sorted(load(store).rows)).toEqual(sorted(kept));
  });
}

describe("the journal over a user's store", () => {
  test("holds exactly what it kept, whatever fails and whenever the page dies", () => {
    fc.assert(fc.property(fc.array(turn, { maxLength: 100, size: "max" }), live), { numRuns: 600, seed: 9 });
  }, 60_000);

  test("stays small: a row that changes for ever takes one record per turn, and few are kept", () => {
    const store = new FaultyStore();
    const { journal } = load(store);
    for (let i = 0; i < 1000; i++) journal.append([["1m1", i]], true);
    expect(store.contents.size).toBeLessThan(100);
    expect(store.writes / 1000).toBeLessThan(4);
    expect([...load(store).rows]).toEqual([["1m1", 999]]);
  });

  test("rows that came and went leave nothing behind", () => {
    const store = new FaultyStore();
    const { journal } = load(store);
    for (let i = 0; i < 200; i++) journal.append([[`1m${i}`, i]], true);
    for (let i = 0; i < 200; i++) journal.append([[`1m${i}`]], false);
    for (let i = 0; i < 100; i++) journal.append([["1m1000", i]], true);
    expect(store.keys("tabloom/1/r/").filter((key) => key !== "tabloom/1/r/1m1000")).toEqual([]);
  });

  for (const [where, after] of [
    ["rows", 500],
    ["records", 60],
  ] as const) {
    test(`a full store can be emptied: messages in ${where}, behind one that finds no room beside its record`, () => {
      const store = new FaultyStore();
      const { journal } = load(store);
      journal.append([["1m0", "x".repeat(20_000)]], true);
      for (let i = 1; i <= after; i++) journal.append([[`1m${i}`, "y".repeat(40)]], true);
      store.capacity = store.used;
      expect(() => journal.append([["1m9999", "z"]], true)).toThrow("full");
      // As a queue is drained: a lease, then the removal.
      for (let i = 1; i <= after; i++) {
        journal.append([[`1p${i}`, ["lease", "x".repeat(100)]]], false);
        journal.append([[`1m${i}`], [`1p${i}`]], false);
      }
      expect(load(store).rows.size).toBe(1);
      journal.append([["1m9999", "z"]], true);
    });
  }

  test("what an earlier page left in records is folded by the next", () => {
    const store = new FaultyStore();
    for (let page = 0; page < 10; page++) {
      const { journal } = load(store);
      for (let i = 0; i < 30; i++) journal.append([[`1m${i}`, page]], true);
    }
    expect(store.keys("tabloom/1/t/").length).toBeLessThan(70);
    expect(load(store).rows.get("1m29")).toBe(9);
  });

  test("a record that cannot be read is a turn that never was, and its number is not used again", () => {
    const store = new FaultyStore();
    const { journal } = load(store);
    journal.append([["1m1", "a"]], true);
    journal.append([["1m2", "b"]], true);
    store.contents.set("tabloom/1/t/2", '"half a re"');
    const next = load(store);
    expect([...next.rows]).toEqual([["1m1", "a"]]);
    next.journal.append([["1m3", "c"]], true);
    expect(store.contents.get("tabloom/1/t/2")).toBe('"half a re"');
    expect([...load(store).rows]).toEqual([
      ["1m1", "a"],
      ["1m3", "c"],
    ]);
  });
});
