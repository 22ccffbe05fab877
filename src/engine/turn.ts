import type { Json } from "../protocol/json.js";
import type { Call, Outcome } from "./call.js";
import type { Instance } from "./instance.js";
import type { Released, Table } from "./primitive.js";

/** One change of state, with what it takes to undo it. */
export interface Change {
  readonly instance: Instance;
  readonly table: Table<unknown, unknown, unknown>;
  readonly subject: unknown;
  readonly before: unknown;
  readonly after: unknown;
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

  constructor(id: number) {
    this.id = id;
  }

  get empty(): boolean {
    return this.changes.length === 0;
  }

  /** The last value of each row; rows that came and went within the turn are left out. */
  writes(): Map<string, Write> {
    const writes = new Map<string, Write>();
    for (const { instance, table, subject, before, after } of this.changes) {
      const key = rowKey(instance.number, table.letter, table.key(subject));
      const earlier = writes.get(key);
      const fresh = earlier ? earlier.fresh : before === undefined;
      if (after === undefined && fresh) writes.delete(key);
      else writes.set(key, { key, fresh, value: after === undefined ? undefined : table.encode(after, subject) });
    }
    return writes;
  }

  undo(): void {
    for (let i = this.changes.length - 1; i >= 0; i--) {
      const { instance, table, subject, before } = this.changes[i]!;
      table.set(instance.state, subject, before);
    }
  }
}

function rowKey(instance: number, letter: string, key: string | number): string {
  return `${instance}${letter}${key}`;
}

export function parseRowKey(text: string): { instance: number; letter: string; key: string } {
  let i = 0;
  while (text.charCodeAt(i) < 58) i++;
  return { instance: Number(text.slice(0, i)), letter: text[i]!, key: text.slice(i + 1) };
}
