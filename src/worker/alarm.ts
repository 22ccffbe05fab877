const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** Two readings of two clocks differ by so much; not worth another timer. */
const SLACK_MS = 2;

/** One timer for the earliest thing that is due. */
export class Alarm {
  readonly #ring: () => void;
  /** By the clock that timers follow. The system's may step, or go on while a computer sleeps. */
  #ringsAt = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings at `at` (of a clock that shows `now`), or earlier if it was set so before. */
  set(at: number, now: number): void {
    if (at === Infinity) return;
    const wait = Math.min(Math.max(0, at - now), MAX_TIMEOUT_MS);
    const ringsAt = performance.now() + wait;
    if (ringsAt >= this.#ringsAt - SLACK_MS) return;
    this.clear();
    this.#ringsAt = ringsAt;
    this.#timer = setTimeout(() => {
      this.clear();
      this.#ring();
    }, wait);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#ringsAt = Infinity;
  }
}
