import type { Durability } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import type { Call, Outcome } from "./call.js";
import type { Instance } from "./instance.js";
import type { PageChanges } from "./payloads.js";
import type { Released, StoredRows, Table } from "./primitive.js";

/** One change of state, with what it takes to undo it. */
export interface Change {
  readonly instance: Instance;
  readonly table: Table<unknown, unknown, unknown>;
  readonly subject: unknown;
  readonly before: unknown;
  readonly after: unknown;
  /** Memory only: not written, but undone with what it rests on. */
  readonly volatile: boolean;
}

/** A row to write; undefined removes. `fresh`: it did not exist before. */
export interface Write {
  readonly key: string;
  readonly value: Json | undefined;
  readonly fresh: boolean;
}

/** Everything changed between two appends: it is committed, or undone, as one. */
export class Turn {
  readonly id: number;
  readonly changes: Change[] = [];
  /** Calls whose outcome rests on something uncommitted, in order, to run again after an undo. */
  readonly ran: { readonly call: Call; readonly outcome: Outcome }[] = [];
  /** Tabs whose belongings were freed, to be freed again after an undo. */
  readonly released: Released[] = [];
  strict = false;
  /** Payloads that go to disk with it, and those that it needs no more; known once it is taken. */
  pages: PageChanges | undefined;

  constructor(id: number) {
    this.id = id;
  }

  get empty(): boolean {
    return !this.changes.some(({ volatile }) => !volatile);
  }

  /** The last value of each row; rows that came and went within the turn are left out. */
  writes(): Map<string, Write> {
    const writes = new Map<string, Write>();
    for (const { instance, table, subject, before, after, volatile } of this.changes) {
      if (volatile) continue;
      const key = rowKey(instance.number, table.letter, table.key(subject));
      const earlier = writes.get(key);
      const fresh = earlier ? earlier.fresh : before === undefined;
      if (after === undefined && fresh) writes.delete(key);
      else writes.set(key, { key, fresh, value: after === undefined ? undefined : table.encode(after, subject) });
    }
    return writes;
  }

  /** Takes changes back, from this one on. */
  undo(from = 0): void {
    while (this.changes.length > from) {
      const { instance, table, subject, before } = this.changes.pop()!;
      table.set(instance.state, subject, before);
    }
  }
}

/** Whether rows of this table are written at instances of this durability. */
export function isWritten(
  { fleeting, lasting }: Pick<Table<never, never, never>, "fleeting" | "lasting">,
  durability: Durability,
): boolean {
  return !fleeting && (lasting === true || durability !== "memory");
}

function rowKey(instance: number, letter: string, key: string | number): string {
  return `${instance}${letter}${key}`;
}

export type AllRows = Iterable<readonly [key: string, value: Json]>;

/** What a generator comes to, in one go. */
export function finish<Result>(steps: Generator<undefined, Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Rebuilding pauses after so many rows, if it is asked to. */
export const STEP_ROWS = 10_000;

/** Rows as they come from disk, by instance number and table letter, each sorted by key. In steps. */
export function* groupRows(rows: AllRows): Generator<undefined, Map<number, StoredRows>> {
  let grouped = 0;
  const byTable = new Map<string, { key: string; value: Json; n: number }[]>();
  for (const [text, value] of rows) {
    let i = 0;
    while (text.charCodeAt(i) < 58) i++;
    const key = text.slice(i + 1);
    getOrAdd(byTable, text.slice(0, i + 1), () => []).push({ key, value, n: Number.parseInt(key, 10) });
    if (++grouped % STEP_ROWS === 0) yield;
  }
  const byInstance = new Map<number, Map<string, { key: string; value: Json }[]>>();
  for (const [table, list] of byTable) {
    list.sort((a, b) => a.n - b.n);
    yield;
    getOrAdd(byInstance, Number(table.slice(0, -1)), () => new Map()).set(table.at(-1)!, list);
  }
  return byInstance;
}

function getOrAdd<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
