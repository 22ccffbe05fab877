/**
 * Group commit: turns pile up while an append is in flight, and go as one when it is done.
 *
 *   run ──▶ open turn ──(append idle)──▶ in flight ──▶ committed: answers and events of the turn leave
 *                                            │
 *                                            └─ failed ──▶ undo both turns ──▶ refuse what grows, run the rest again
 *
 * While the disk is full, commands that grow storage are refused at the door, and one a second is let through to see.
 */
import type { Announced, Call, Settled } from "../engine/call.js";
import type { Space } from "../engine/space.js";
import type { Turn, Write } from "../engine/turn.js";
import { type CommandName, commandTraits } from "../protocol/commands.js";
import type { TabloomError } from "../protocol/errors.js";
import type { Checkpointer } from "../store/checkpointer.js";
import type { Journal } from "../store/journal.js";

const PROBE_AFTER_MS = 1000;
const MAKE_ROOM_TRIES = 3;
/** What was freed counts only when the browser has looked again. */
const ROOM_COUNTS_AFTER_MS = 200;

export interface CommitterOptions {
  space: Space;
  journal: Journal;
  checkpointer: Checkpointer;
  /** The number of the newest record. */
  last: number;
  now(): number;
  /** Rows of the sessions that took part, for the same record. */
  takeSessionRows(turn: Turn): Write[];
  sessionRowsSettled(committed: boolean): void;
  /** Outcomes and events that may leave now. */
  release(settled: Settled[], announced: Announced[]): void;
  /** Runs a call again that was undone; rejects it when its instance is gone. */
  runAgain(call: Call): void;
  /** Rejects a call that was undone. */
  refuse(call: Call, error: TabloomError): void;
  /** Parked calls whose instance was never created, its creation being undone. They are parked no more. */
  takeOrphans(): Call[];
  /** Commits what there is, and sees to what is due. */
  settle(): void;
  /** This hub's memory cannot be trusted any more: another owns the space, or the storage is lost. */
  onLost(error: TabloomError): void;
}

export class Committer {
  readonly #options: CommitterOptions;
  #inFlight: { turn: Turn; writes: Map<string, Write> } | undefined;
  /** What waits for the append in flight, and what for the one after. */
  #held: { settled: Settled[]; announced: Announced[] } = { settled: [], announced: [] };
  #heldNext: { settled: Settled[]; announced: Announced[] } = { settled: [], announced: [] };
  #last: number;
  #recovering = false;
  #stopped = false;
  #draining = false;
  /** Since when the disk is full, or the last probe; undefined when it is not. */
  #fullSince: number | undefined;
  /** Appends that failed one after the other. */
  #failures = 0;
  #waiting: (() => void)[] = [];
  #roomAgain = false;
  /** Calls that came while room is made: those that were undone go first. */
  #deferred: Call[] = [];

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#last = options.last;
  }

  /** Whether a growing command is refused at the door. */
  refuses(op: CommandName, now: number): boolean {
    if (this.#fullSince === undefined || !growsStorage(op)) return false;
    if (now - this.#fullSince < PROBE_AFTER_MS) return true;
    this.#fullSince = now;
    return false;
  }

  /** Until when what time brings waits while the disk is full: each try costs an append that fails. */
  restsUntil(now: number): number {
    return this.#fullSince === undefined ? now : Math.min(this.#fullSince, now) + PROBE_AFTER_MS;
  }

  /** Whether the disk was full when it was last tried. */
  get full(): boolean {
    return this.#fullSince !== undefined;
  }

  /** Whether this call will run when those that were undone did. */
  defers(call: Call): boolean {
    if (this.#recovering) this.#deferred.push(call);
    return this.#recovering;
  }

  get #busy(): boolean {
    return this.#inFlight !== undefined || this.#recovering;
  }

  /** Takes the reserve again after a full disk, as soon as there is room for it. */
  async takeRoomAgain(): Promise<void> {
    if (this.#roomAgain) this.#roomAgain = !(await this.#options.journal.takeReserve());
  }

  /** When the append in flight is done: the time for something else to use the disk. */
  appendDone(): Promise<void> {
    if (this.#stopped || !this.#inFlight) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Starts nothing any more; resolves when what was started is done and answered. */
  drain(): Promise<void> {
    this.#draining = true;
    return this.appendDone();
  }

  stop(): void {
    this.#stopped = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Lets go what needs no commit, and starts an append if none is in flight. */
  flush(): void {
    if (this.#stopped) return;
    const { space, release } = this.#options;
    const settled = takeReady(space.settled, this.#held.settled, this.#heldNext.settled, this.#inFlight?.turn.id);
    const announced = takeReady(
      space.announced,
      this.#held.announced,
      this.#heldNext.announced,
      this.#inFlight?.turn.id,
    );
    space.settled = [];
    space.announced = [];
    if (settled.length > 0 || announced.length > 0) release(settled, announced);
    if (!this.#busy) this.#start();
  }

  #start(): void {
    const { space, journal, takeSessionRows } = this.#options;
    if (space.turn.empty || this.#draining) return;
    const turn = space.take();
    const writes = turn.writes();
    for (const write of takeSessionRows(turn)) writes.set(write.key, write);
    this.#inFlight = { turn, writes };
    this.#held = this.#heldNext;
    this.#heldNext = { settled: [], announced: [] };
    const rows = Array.from(writes.values(), ({ key, value }) => [key, value] as const);
    journal.append({ n: this.#last + 1, rows, strict: turn.strict, pages: turn.pages }).then(
      () => this.#committed(),
      (error: unknown) => this.#failed(error as TabloomError),
    );
  }

  #committed(): void {
    if (this.#stopped || !this.#inFlight) return;
    const { space, checkpointer, sessionRowsSettled, release } = this.#options;
    const { turn, writes } = this.#inFlight;
    const { settled, announced } = this.#held;
    this.#held = { settled: [], announced: [] };
    this.#inFlight = undefined;
    this.#last++;
    this.#failures = 0;
    space.committed = turn.id;
    sessionRowsSettled(true);
    checkpointer.note(this.#last, writes.values());
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (this.#fullSince !== undefined && grows(turn)) {
      this.#fullSince = undefined;
      this.#roomAgain = true;
    }
    // The disk goes on with the next turn while answers are written.
    this.#start();
    release(settled, announced);
  }

  #failed(error: TabloomError): void {
    if (this.#stopped || !this.#inFlight) return;
    const { space, sessionRowsSettled, onLost } = this.#options;
    sessionRowsSettled(false);
    if (error.code !== "QUOTA") {
      this.stop();
      onLost(error);
      return;
    }
    const turns = [this.#inFlight.turn, space.take()];
    this.#inFlight = undefined;
    this.#held = { settled: [], announced: [] };
    this.#heldNext = { settled: [], announced: [] };
    const undone = space.undo(turns);
    // Only one that fails with nothing growing in it says that there is no room at all.
    this.#failures = turns.some(grows) ? 0 : this.#failures + 1;
    this.#fullSince = this.#options.now();
    this.#recovering = true;
    // Not only after the recovery: that may wait for a checkpoint, which waits here between two slices.
    for (const resolve of this.#waiting.splice(0)) resolve();
    void this.#recover(turns, undone, error);
  }

  /**
   * Makes room, first from the reserve, then by a checkpoint that only deletes; then runs again what does not grow.
   * If even that found no room, it is refused as well: nobody waits for a disk that stays full.
   */
  async #recover(turns: Turn[], undone: Call[], error: TabloomError): Promise<void> {
    const { space, journal, checkpointer, runAgain, refuse, takeOrphans, settle, now } = this.#options;
    try {
      if (!(await journal.dropReserve())) {
        // Before it, for the little that it writes; after it, for what it lets go.
        await journal.compact?.();
        await checkpointer.run(() => Promise.resolve(), "none").catch(() => {});
        await journal.compact?.();
        if (this.#failures > 1) await pause(ROOM_COUNTS_AFTER_MS * this.#failures);
      }
    } catch {
      // No room for a checkpoint either: the next append will tell.
    }
    if (this.#stopped) return;
    space.repeat(() => {
      for (const { released } of turns) for (const one of released) space.release(one, now());
      for (const call of [...undone, ...takeOrphans(), ...this.#deferred.splice(0)]) {
        if (growsStorage(call.op) || this.#failures > MAKE_ROOM_TRIES) refuse(call, error);
        else runAgain(call);
      }
    });
    this.#recovering = false;
    settle();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function grows(turn: Turn): boolean {
  return turn.ran.some(({ call }) => growsStorage(call.op));
}

/** Whether this command is refused while storage is full. */
function growsStorage(op: CommandName): boolean {
  return commandTraits[op].grows;
}

/** Sorts what the space produced: what may leave now is returned, the rest is held for its commit. */
function takeReady<T extends { turn: number }>(
  produced: T[],
  held: T[],
  heldNext: T[],
  inFlight: number | undefined,
): T[] {
  if (produced.every(({ turn }) => turn === 0)) return produced;
  const ready: T[] = [];
  for (const item of produced) {
    if (item.turn === 0) ready.push(item);
    else if (item.turn === inFlight) held.push(item);
    else heldNext.push(item);
  }
  return ready;
}
