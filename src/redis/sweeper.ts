import { setLongTimeout } from "../client/signals.js";

/** Runs the sweep script when something is due. */
export class Sweeper {
  /** {there is more, milliseconds until something is due or -1}; undefined: it could not be run. */
  readonly #run: () => Promise<readonly [number, number] | undefined>;
  /** When it runs, of this process's monotonic clock. */
  #dueAt = Infinity;
  #stopTimer: (() => void) | undefined;
  #sweeping: Promise<void> | undefined;
  #again = false;

  constructor(run: () => Promise<readonly [number, number] | undefined>) {
    this.#run = run;
  }

  /** With `keepAlive` somebody in this process waits for it. */
  due(ms: number, keepAlive: boolean): void {
    if (ms < 0) return;
    // What is due at the end of this millisecond is not yet due at its beginning.
    const at = performance.now() + ms + 1;
    if (at >= this.#dueAt) return;
    this.#stopTimer?.();
    this.#dueAt = at;
    this.#stopTimer = setLongTimeout(() => void this.sweep(), Math.max(0, at - performance.now()), { keepAlive });
  }

  /** Does what time has brought. */
  sweep(): Promise<void> {
    this.#stopTimer?.();
    this.#dueAt = Infinity;
    // One that is under way may have looked before this came due.
    this.#again = this.#sweeping !== undefined;
    return (this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined)));
  }

  async #sweep(): Promise<void> {
    for (;;) {
      const swept = await this.#run();
      // Without a server nothing comes due; when it is back, everybody looks.
      if (swept === undefined) return;
      const [more, dueIn] = swept;
      if (more === 0 && !this.#again) return this.due(dueIn, false);
      this.#again = false;
    }
  }

  stop(): void {
    this.#stopTimer?.();
  }
}
