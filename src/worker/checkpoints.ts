import { TabloomError } from "../protocol/errors.js";
import type { Checkpointer, Room } from "../store/checkpointer.js";
import type { Journal } from "../store/journal.js";
import type { Committer } from "./committer.js";

/** A checkpoint begins when nothing was committed for this long, and steps back as soon as something is. */
const IDLE_MS = 500;
const QUIET_MS = 50;
/** When this many rows wait, it goes on between appends, whatever the load. */
const MANY_ROWS = 250_000;

/** When to checkpoint: traffic goes first, and nothing stays in the journal for ever. */
export class Checkpoints {
  readonly #journal: Journal;
  readonly #checkpointer: Checkpointer;
  readonly #committer: Committer;
  #committedAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** For rows, as the last run found it. */
  #room: Room = "plenty";
  #closed = false;

  constructor(journal: Journal, checkpointer: Checkpointer, committer: Committer) {
    this.#journal = journal;
    this.#checkpointer = checkpointer;
    this.#committer = committer;
  }

  /** To be told after every commit. */
  committed(): void {
    if (this.#checkpointer.backlog === 0) return;
    this.#committedAt = performance.now();
    this.soon();
    if (this.#checkpointer.backlog >= MANY_ROWS) void this.#run();
  }

  soon(): void {
    if (!this.#journal.durable || this.#closed || this.#timer !== undefined) return;
    // One timer for a burst of commits: when it rings too early, it is set again.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (performance.now() - this.#committedAt < IDLE_MS) this.soon();
      else void this.#run();
    }, IDLE_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    if (this.#closed || !this.#journal.durable) return;
    try {
      await this.#checkpointer.run(() => this.#breathe(), this.#committer.full ? "none" : this.#room);
      this.#room = this.#committer.full ? "scarce" : "plenty";
      await this.#committer.takeRoomAgain();
      // What became dirty meanwhile has no other run coming.
      if (this.#checkpointer.backlog > 0 && !this.#committer.full) this.soon();
    } catch (error) {
      if (error instanceof TabloomError && error.code === "QUOTA") this.#room = "scarce";
      // The journal still has everything; the next commit tries again. Ownership lost shows there, too.
      if (!(error instanceof TabloomError)) reportError(error);
    }
  }

  /** Between two slices: appends go first, and traffic keeps the disk to itself. */
  async #breathe(): Promise<void> {
    await this.#committer.appendDone();
    while (
      !this.#closed &&
      this.#checkpointer.backlog < MANY_ROWS &&
      performance.now() - this.#committedAt < QUIET_MS
    ) {
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    }
  }
}
