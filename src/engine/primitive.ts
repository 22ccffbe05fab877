import type {
  Body,
  CommandName,
  Commands,
  Configs,
  InstanceName,
  Kind,
  OpenBody,
  Reply,
} from "../protocol/commands.js";
import type { InstanceEvent } from "../protocol/events.js";
import type { Json } from "../protocol/json.js";
import type { Attachment, Payloads } from "./payloads.js";

export type RowKey = string | number;

/**
 * One kind of row. `set` is the only way in which the state of a primitive changes: a rule calls it through
 * `ctx.put`, an undo calls it with the value before, a restore with the value from disk.
 */
export interface Table<State, Subject, Value> {
  /** One letter, part of the row's key on disk. */
  readonly letter: string;
  /** Written also when the instance's durability is "memory": what must not be forgotten for safety's sake. */
  readonly lasting?: true;
  /** Never written: what only this hub needs to know, such as who is there. */
  readonly fleeting?: true;
  key(subject: Subject): RowKey;
  /** undefined: there is no row. */
  get(state: State, subject: Subject): Value | undefined;
  set(state: State, subject: Subject, value: Value | undefined): void;
  /** The row as JSON. */
  encode(value: Value, subject: Subject): Json;
}

/** What a rule may see and do besides its own state. */
export interface Context {
  /** The hub's clock, epoch milliseconds. */
  readonly now: number;
  /** Tab and incarnation of the caller; "" when time, not a caller, is at work. */
  readonly owner: string;
  /** Calls parked at this instance. */
  readonly waiters: number;
  /** Calls parked in this lane: those before the one that runs now, if it is of this lane. */
  waiting(lane: string): number;
  /** Whether the space has this instance. */
  has(name: InstanceName): boolean;
  /** Changes state, and the row that will survive it. undefined removes. */
  put<State, Subject, Value>(table: Table<State, Subject, Value>, subject: Subject, value: Value | undefined): void;
  emit(event: InstanceEvent, n: number): void;
  /** Payloads on disk that the reply of the rule that runs shows. */
  readonly attachments: Attachment[];
  /**
   * Runs a command at another instance, in the same turn: both happen, or neither. The other is created when it does
   * not exist; one that exists keeps its settings. Throws what the command rejects with, which then had no effect.
   */
  call<Op extends CommandName>(other: OpenBody, op: Op, body: Body<Op>): Reply<Op>;
}

/** A tab that holds nothing any more. `died`: it did not say goodbye, so what it held counts as tried. */
export interface Released {
  readonly owner: string;
  readonly died: boolean;
}

export interface Rule<State, Op extends CommandName> {
  /** undefined: nothing yet, let the call wait (only for commands with `waits`). */
  run(state: State, body: Body<Op>, ctx: Context): Reply<Op> | undefined;
  /** The reply of a run whose reply was lost; what it cannot rebuild is stored (see `usual`). */
  recall?(state: State, body: Body<Op>): Reply<Op>;
  /** Whether `recall` will find this reply, so that it need not be stored. */
  usual?(reply: Reply<Op>): boolean;
  /** Some parts of the reply show payloads that cannot be read: what becomes of them, before the call runs again. */
  unreadable?(state: State, reply: Reply<Op>, lost: ReadonlySet<object>, ctx: Context): void;
  /** For commands that may park: calls of one lane are served in order of arrival. */
  waits?: { lane(body: Body<Op>): string; none(body: Body<Op>): Reply<Op> };
}

export type OpsOf<K extends Kind> = Extract<keyof Commands, `${K}.${string}`>;
export type Rules<State, K extends Kind> = { readonly [Op in OpsOf<K>]: Rule<State, Op> };

/** Rows of one instance as they come from disk, by table letter, each sorted by key. */
export type StoredRows = ReadonlyMap<string, readonly { key: string; value: Json }[]>;

/** What a primitive declares to the engine. Everything in it is pure and synchronous. */
export interface Primitive<State, K extends Kind> {
  readonly kind: K;
  create(config: Configs[K], seed: string, name: InstanceName, payloads: Payloads): State;
  configure(state: State, config: Configs[K]): void;
  /** In one go, or in steps. */
  restore(state: State, rows: StoredRows): Iterable<undefined> | void;
  /** Has lasting tables, so that instances are registered whatever their durability. */
  readonly lasting?: true;
  readonly rules: Rules<State, K>;
  /** What it holds, at most so much of it, for those who look on. */
  peek(state: State, limit: number, ctx: Context): Json[];
  /**
   * Lanes in which a call may be served that could not before: asked after every change, and told once. Without it all
   * lanes are tried after every change, and nobody waits for those before them.
   */
  opened?(state: State): Iterable<string>;
  /** When `wake` has something to do, or Infinity. */
  dueAt(state: State): number;
  /** Does what time brings, up to `ctx.now`. */
  wake(state: State, ctx: Context): void;
  /** Frees what this tab held. */
  release(state: State, released: Released, ctx: Context): void;
  /** Tabs that hold something durable; after a restart the host watches for their death. */
  owners(state: State): Iterable<string>;
}

export type AnyPrimitive = Primitive<unknown, Kind>;
