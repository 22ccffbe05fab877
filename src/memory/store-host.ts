/**
 * What a user's store adds to the engine in this thread: a turn is written before its calls answer, or undone.
 *
 *   closed to calls ──(first call: lock, load)──▶ open: run ──▶ commit ──▶ answers, events
 *          │                                                      │
 *          └── the calls that waited reject; the next tries again └── fails: undo, refuse what grows, run the rest again
 */
import type { Maybe } from "../client/backend.js";
import { promised } from "../client/maybe.js";
import type { Store } from "../client/store.js";
import type { Call } from "../engine/call.js";
import type { Released } from "../engine/primitive.js";
import type { Space } from "../engine/space.js";
import type { Turn } from "../engine/turn.js";
import { commandTraits } from "../protocol/commands.js";
import { StoreWriteError, TabloomError, closedError } from "../protocol/errors.js";
import { type LoadedRows, StoreJournal, rowOf } from "./store-journal.js";

/** What time brings waits this long after a write that failed. */
const REST_MS = 1000;

export interface StoreHostOptions {
  store: Store;
  space: Space;
  now(): number;
  /** Calls that wait at the space. */
  parked: Iterable<Call>;
  /** The store is open, or it could not be opened. */
  onOpen(opened: boolean): void;
}

export class StoreHost {
  readonly #options: StoreHostOptions;
  #journal: StoreJournal | undefined;
  #opening = false;
  #closed = false;
  #unlock: (() => unknown) | undefined;
  /** Calls that came before the store was open. */
  #waiting: { run(): void; fail(error: unknown): void }[] = [];
  #failedAt: number | undefined;
  /** Freed in a turn that failed. */
  #unreleased: Released[] = [];

  constructor(options: StoreHostOptions) {
    this.#options = options;
  }

  /** Runs now when the store is open or needs no lock, else as soon as it is, in order. */
  whenOpen<T>(run: () => Maybe<T>): Maybe<T> {
    if (this.#closed) throw closedError("backend");
    if (this.#journal) return run();
    const { store, onOpen } = this.#options;
    if (store.lock) {
      return new Promise<T>((resolve, reject) => {
        this.#waiting.push({ run: () => resolve(promised(run)), fail: reject });
        void this.#open(() => store.lock!());
      });
    }
    try {
      this.#load();
    } catch (error) {
      onOpen(false);
      throw error;
    }
    onOpen(true);
    return run();
  }

  /** Writes what was changed; outcomes and events of the space may leave then. */
  commit(): void {
    const { space } = this.#options;
    for (let again = false; !space.turn.empty; again = true) {
      const turn = space.take();
      const growing = grows(turn);
      try {
        const rows = Array.from(turn.writes().values(), ({ key, value }) => rowOf(key, value));
        if (rows.length > 0) this.#journal!.append(rows, growing);
        space.committed = turn.id;
        this.#failedAt = undefined;
      } catch (error) {
        // Without those that grow it may fit. If it does not, there is no room for any of them.
        const refused = growing && !again ? growsStorage : (): boolean => true;
        this.#undo(turn, refused, writeError(error));
      }
    }
  }

  /** Does what time brings. */
  wake(): void {
    const { space, now } = this.#options;
    for (const released of this.#unreleased.splice(0)) space.release(released, now());
    space.wake(now());
  }

  /** When `wake` has something to do. */
  dueAt(): number {
    const due = this.#unreleased.length > 0 ? -Infinity : this.#options.space.dueAt();
    if (this.#failedAt === undefined) return due;
    // A clock that stepped back does not make it longer.
    const now = this.#options.now();
    return Math.max(due, Math.min(this.#failedAt, now) + REST_MS);
  }

  /** Lets go of the store. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { fail } of this.#waiting.splice(0)) fail(closedError("backend"));
    await this.#unlock?.();
  }

  /** As if it had not been; those of its calls that are not to blame, such as a parked one that was served, run again. */
  #undo(turn: Turn, refused: (call: Call) => boolean, error: StoreWriteError): void {
    const { space, parked, now } = this.#options;
    const refuse = (call: Call): void => void space.settled.push({ call, outcome: { ok: false, error }, turn: 0 });
    const undone = space.undo([turn]);
    // Not for a call that is refused alone: those who keep trying would hold up what time brings.
    if (!turn.ran.some(({ call }) => growsStorage(call))) this.#failedAt = now();
    this.#unreleased.push(...turn.released);
    space.repeat(() => {
      for (const call of undone) {
        if (call.instance.gone || refused(call)) refuse(call);
        else space.run(call, now());
      }
    });
    for (const call of parked) {
      if (!call.instance.gone || call.parkedIn === undefined) continue;
      space.cancel(call, now(), false);
      refuse(call);
    }
  }

  async #open(lock: () => Promise<() => unknown>): Promise<void> {
    if (this.#opening) return;
    this.#opening = true;
    try {
      const unlock = await lock();
      if (this.#closed) return void unlock();
      this.#unlock = unlock;
      this.#load();
      // In a row: a later call must not come between.
      for (const { run } of this.#waiting.splice(0)) run();
    } catch (error) {
      if (!this.#journal) this.#unlock?.();
      for (const { fail } of this.#waiting.splice(0)) fail(error);
    }
    this.#opening = false;
    if (!this.#closed) this.#options.onOpen(this.#journal !== undefined);
  }

  #load(): void {
    const { store, space, now } = this.#options;
    const journal = new StoreJournal(store);
    let loaded: LoadedRows;
    try {
      loaded = journal.load();
    } catch (error) {
      if (error instanceof TabloomError) throw error;
      throw new TabloomError("STORAGE", `the store cannot be read: ${String(error)}`, { cause: error });
    }
    this.#journal = journal;
    const highest = Array.from(loaded.keys, instanceOf).reduce((a, b) => Math.max(a, b), 0);
    const owners = space.restore(loaded.rows, { skipBroken: true, highest });
    // Whoever held something lived in the engine before this one, and is gone.
    for (const owner of owners) space.release({ owner, died: true }, now());
    this.commit();
  }
}

function growsStorage({ op }: Call): boolean {
  return commandTraits[op].grows;
}

/** Also a call that is the first at its instance: that is a row, too. */
function grows(turn: Turn): boolean {
  return (
    turn.ran.some(({ call }) => growsStorage(call)) ||
    turn.changes.some(({ instance, before }) => instance.number === 0 && before === undefined)
  );
}

function writeError(cause: unknown): StoreWriteError {
  if (cause instanceof StoreWriteError) return cause;
  return new StoreWriteError(`the store does not take it: ${String(cause)}`, { cause });
}

/** The number of the instance that a row is of: registrations are rows of instance 0, by number. */
function instanceOf(key: string): number {
  return Number.parseInt(key.startsWith("0i") ? key.slice(2) : key, 10) || 0;
}
